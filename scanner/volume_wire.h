/*
 * volume_wire.h - what the volume server is asked, and how its answers are read
 *
 * The server has seen the metadata of a file system that may be damaged or hostile, and went through a
 * library with it: its answers are read like a worker's, with the bounded cursor, every count and enum
 * compared, and refused as a whole when they are not exactly what a server writes.
 *
 * A request is one datagram, struct volume_request, from this program to itself. An answer is one
 * datagram of at most FRAME_MAX bytes:
 *     verb u8 | error u32 (an errno, 0 = none) | body, which is empty after an error
 * Numbers are little-endian.
 */
#ifndef VOLUME_WIRE_H
#define VOLUME_WIRE_H

#include "bounds.h"
#include "cursor.h"
#include "volume.h"

enum volume_verb {
	VOLUME_TABLE = 1, /* which volumes are on this disk; body: struct volume_table */
	VOLUME_OPEN,      /* open the one at `off`, `size` bytes; body: struct volume_facts */
	VOLUME_LIST,      /* directory `ref` from entry `off` on; body: a page of entries */
	VOLUME_STAT,      /* file `ref`; body: struct volume_stat */
	VOLUME_READ,      /* `size` bytes at `off` of the stream `name` of `ref`; body: the bytes */
};

struct volume_request {
	uint32_t verb;      /* enum volume_verb */
	uint32_t name_len;  /* of the stream; 0 = the unnamed one */
	uint64_t ref;       /* file reference: sequence number << 48 | number of the MFT record */
	uint64_t off, size;
	char name[VOLUME_NAME_MAX + 1];
};

/* A page of a directory. */
struct volume_page {
	uint32_t next;      /* entry that the next page begins with; 0 = this is the last */
	uint32_t lost;      /* entries before `next` that cannot be read */
	uint16_t count;     /* entries in `entries` */
	struct cur entries;
};

/* Bytes of a stream in one answer. */
#define VOLUME_READ_MAX (FRAME_MAX - 64)

/* An answer that is being written; `full` = it did not fit. */
struct volume_out {
	uint8_t *buf;
	size_t len, cap;
	bool full;
};

/* Server's side. Begin an answer; set its error afterwards, which drops the body. */
void volume_put_head(struct volume_out *w, enum volume_verb verb);
void volume_put_error(struct volume_out *w, int error);
void volume_put_table(struct volume_out *w, const struct volume_table *t);
void volume_put_facts(struct volume_out *w, const struct volume_facts *f);
/* A page: its head, entries as long as they fit (false: this one did not, and nothing was written), and
 * the head again with what came of it. */
void volume_put_page(struct volume_out *w, const struct volume_page *page);
bool volume_put_entry(struct volume_out *w, const struct volume_entry *e);
void volume_end_page(struct volume_out *w, const struct volume_page *page);
void volume_put_stat(struct volume_out *w, const struct volume_stat *st);

/* The asking side. The head of an answer to `verb`: 0, the negative errno that the server gives, or
 * -EPROTO when it is none. `body` is then what follows. */
int volume_get_head(struct cur *body, const uint8_t *answer, size_t len, enum volume_verb verb);
/* Decode a body; false when it is not exactly what a server writes. */
bool volume_get_table(struct cur *body, struct volume_table *t);
bool volume_get_facts(struct cur *body, struct volume_facts *f);
bool volume_get_page(struct cur *body, struct volume_page *page);
/* The next entry of a page: call it `count` times. */
bool volume_get_entry(struct cur *entries, struct volume_entry *e);
bool volume_get_stat(struct cur *body, struct volume_stat *st);

#endif
