/*
 * wire.h - what a worker answers, and how it is read again
 *
 * A worker has seen hostile bytes, so its answer is hostile, too: it is decoded
 * with the same bounded cursor as a message, every number is compared with its
 * enum, and an answer that does not parse to its end is refused as a whole.
 *
 * A frame is one datagram: answers one behind the other, each
 *     kind u8 | index u16 | length u32 | body
 * with the messages of a batch answered in their order. Numbers are
 * little-endian.
 */
#ifndef WIRE_H
#define WIRE_H

#include "cursor.h"
#include "deep.h"
#include "format.h"
#include "bounds.h"

enum answer_kind {
	ANSWER_DONE = 1, /* body: report */
	ANSWER_WANT,     /* body: part u8, off u64, len u32 */
	ANSWER_ROW,      /* body: row of a listing */
	ANSWER_RUN,      /* body: run of text */
	ANSWER_BYTES,    /* body: 1..BYTES_MAX bytes of text that lies in no file: of an unpacked part */
	ANSWER_DEEP,     /* body: what a deep pass says */
	ANSWER_END,      /* end of a listing or of the text; no body */
};

struct answer {
	enum answer_kind kind;
	unsigned index;      /* of the message in its batch */
	const uint8_t *body; /* in the frame */
	size_t len;
};

/* A buffer that an answer is written to. `full` = it did not fit. */
struct wire {
	uint8_t *buf;
	size_t len, cap;
	bool full;
};

/* Worker's side. Each appends one answer; false when it does not fit (the
 * buffer is then as before). */
bool wire_put_report(struct wire *w, unsigned index, const struct report *r);
bool wire_put_want(struct wire *w, unsigned index, const struct want *want);
bool wire_put_row(struct wire *w, unsigned index, const struct row *row);
bool wire_put_run(struct wire *w, unsigned index, const struct run *run);
bool wire_put_bytes(struct wire *w, unsigned index, const uint8_t *p, size_t n);
bool wire_put_deep(struct wire *w, unsigned index, const struct deep *d);
bool wire_put_end(struct wire *w, unsigned index);

/* The other side. The next answer of a frame: false at its end or when it does
 * not parse (then c->err is set). */
bool wire_next(struct cur *frame, struct answer *a);

/* Decode a body; false when it is not exactly what a worker writes. */
bool wire_get_report(const uint8_t *body, size_t len, struct report *r);
bool wire_get_want(const uint8_t *body, size_t len, struct want *want);
bool wire_get_row(const uint8_t *body, size_t len, struct row *row);
bool wire_get_run(const uint8_t *body, size_t len, struct run *run);
bool wire_get_deep(const uint8_t *body, size_t len, struct deep *d);

#endif
