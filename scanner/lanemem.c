/* lanemem.c - a sealed memfd, filled from front to back */
#include "config.h"

#include "lanemem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int lanemem_open(struct lanemem *m)
{
	m->fd = memfd_create("spoolck-lane", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->fd < 0)
		return -errno;
	m->mem = MAP_FAILED;
	if (ftruncate(m->fd, LANE_BYTES) == 0)
		m->mem = mmap(NULL, LANE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	/* DONTFORK: whoever we might fork one day must not inherit the writable mapping. */
	if (m->mem == MAP_FAILED || madvise(m->mem, LANE_BYTES, MADV_DONTFORK) < 0 ||
	    fcntl(m->fd, F_ADD_SEALS,
		  F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		int error = -errno;

		close(m->fd);
		return error;
	}
	lanemem_reset(m);
	return 0;
}

void lanemem_close(struct lanemem *m)
{
	munmap(m->mem, LANE_BYTES);
	close(m->fd);
}

void lanemem_reset(struct lanemem *m)
{
	m->used = sizeof(struct lane_head);
}

uint32_t lanemem_take(struct lanemem *m, size_t n)
{
	size_t start = (m->used + 15) & ~(size_t)15;

	if (n > LANE_BYTES - start)
		return 0;
	m->used = start + n;
	return (uint32_t)start;
}

uint32_t lanemem_copy(struct lanemem *m, const char *s, size_t n)
{
	uint32_t offset = lanemem_take(m, n + 1);

	if (offset != 0) {
		memcpy(m->mem + offset, s, n);
		m->mem[offset + n] = '\0';
	}
	return offset;
}
