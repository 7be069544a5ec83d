/*
 * lanemem.h - the memory in which a reader hands bytes to its worker
 *
 * One memfd per lane: the reader maps it writable, then seals it, so that no other
 * mapping, write or truncation through the descriptor is possible; its worker gets the
 * descriptor and can only map it read-only. Each half is filled from its start for a batch;
 * offsets count from the struct lane_head at its beginning.
 */
#ifndef LANEMEM_H
#define LANEMEM_H

#include "worker.h"

/* One half. */
struct lanemem {
	uint8_t *mem;
	int fd;        /* of both */
	unsigned half; /* 0 or 1 */
	size_t used;
};

/* Make, map and seal LANE_BYTES, and tell the halves. 0 or a negative errno. */
int lanemem_open(struct lanemem halves[2]);

void lanemem_close(struct lanemem halves[2]);

/* Begin a new batch: everything behind the head is free again. */
void lanemem_reset(struct lanemem *m);

/* Room for `n` bytes, aligned to 16: an offset, 0 = no room. */
uint32_t lanemem_take(struct lanemem *m, size_t n);

/* A terminated copy of `n` bytes: an offset, 0 = no room. */
uint32_t lanemem_copy(struct lanemem *m, const char *s, size_t n);

/* What lies at an offset that lanemem_take() gave; 0 = the head. */
static inline void *lanemem_at(const struct lanemem *m, uint32_t offset)
{
	return m->mem + offset;
}

#endif
