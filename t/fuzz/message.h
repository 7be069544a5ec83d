/*
 * windows.h - what a format may ask for and say, for targets that have one part behind a window
 *
 * The promises of format.h about `want` and of finding.h about reports, and that two runs over the same bytes, through
 * different windows, say the same.
 */
#ifndef WINDOWS_H
#define WINDOWS_H

#include "format.h"
#include "fuzz.h"

/* The part's window, in a block of exactly its size; `bytes` are all that the part has. */
static inline void fuzz_window(struct part *p, const uint8_t *bytes, uint64_t off, size_t len)
{
	free((void *)(uintptr_t)p->bytes);
	p->bytes = fuzz_copy(bytes + off, len);
	p->off = off;
	p->len = len;
}

/* The window that is wanted of the part and its `size` bytes, mostly a small one: `policy` says how much more than is
 * needed it holds. */
static inline void fuzz_give(struct part *p, const uint8_t *bytes, uint64_t size, unsigned policy,
			     const struct want *want)
{
	static const size_t more[] = { 0, 1, 7, 64, 300, SIZE_MAX };
	size_t extra = more[policy % (sizeof more / sizeof more[0])], len;

	must(want->off < size);
	must(want->need >= 1 && want->need <= want->len);
	must(want->len <= WINDOW_MAX);
	must(want->need <= size - want->off);
	must(want->off < p->off || want->off + want->need > p->off + p->len); /* it is not at hand */
	len = want->len - want->need < extra ? want->len : want->need + extra;
	fuzz_window(p, bytes, want->off, len < size - want->off ? len : (size_t)(size - want->off));
}

static inline void fuzz_same_text(const struct text *a, const struct text *b)
{
	must(a->len <= TEXT_MAX && a->len == b->len);
	must(memcmp(a->bytes, b->bytes, a->len) == 0);
}

/* A report as a worker may answer it; where its findings lie is the target's business. */
static inline void fuzz_sane_report(const struct report *r)
{
	must(r->count <= REPORT_MAX && (r->count == REPORT_MAX || r->more == 0));
	must(r->sender_len <= ADDRESS_MAX && r->recipient_len <= ADDRESS_MAX);
	must(r->recipients > 0 || r->recipient_len == 0);
	for (unsigned i = 0; i < r->count; i++) {
		const struct finding *f = &r->findings[i];

		must(finding_def(f->id) != NULL);
		must(f->severity <= SEV_CORRUPT && f->impact <= IMPACT_SERVER_STOPS);
	}
}

/* Member by member: what is not set, and padding, holds anything. */
static inline void fuzz_same_report(const struct report *first, const struct report *second)
{
	must(first->count == second->count && first->more == second->more);
	must(first->has_sender == second->has_sender && first->has_arrival == second->has_arrival);
	must(first->sender_len == second->sender_len && first->recipient_len == second->recipient_len);
	must(memcmp(first->sender, second->sender, first->sender_len) == 0);
	must(memcmp(first->recipient, second->recipient, first->recipient_len) == 0);
	must(first->recipients == second->recipients && first->recipients_done == second->recipients_done);
	must(first->arrival == second->arrival);
	for (unsigned i = 0; i < first->count; i++) {
		const struct finding *a = &first->findings[i], *b = &second->findings[i];

		must(a->id == b->id && a->severity == b->severity && a->impact == b->impact);
		must(a->unit == b->unit && a->deadline == b->deadline);
		must(a->part == b->part && a->offset == b->offset && a->length == b->length);
		fuzz_same_text(&a->field, &b->field);
		fuzz_same_text(&a->expected, &b->expected);
		fuzz_same_text(&a->found, &b->found);
	}
}

/* Two rows of a listing. */
static inline void fuzz_same_row(const struct row *a, const struct row *b)
{
	must(a->part == b->part && a->offset == b->offset && a->length == b->length);
	fuzz_same_text(&a->kind, &b->kind);
	fuzz_same_text(&a->detail, &b->detail);
}

#endif
