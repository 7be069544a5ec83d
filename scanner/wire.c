/*
 * wire.c - encoding and suspicious decoding of a worker's answers
 *
 * Never allocates, never trusts: what a taken-over worker can achieve here is
 * a refused answer, or a well-formed lie, which a fresh worker will not repeat.
 */
#include "wire.h"

#include <string.h>

/* --- Writing -------------------------------------------------------------- */

static void put(struct wire *w, const void *p, size_t n)
{
	if (w->full || n > w->cap - w->len) {
		w->full = true;
		return;
	}
	memcpy(w->buf + w->len, p, n);
	w->len += n;
}

static void put_u8(struct wire *w, unsigned n)
{
	uint8_t b = (uint8_t)n;

	put(w, &b, 1);
}

static void put_u16(struct wire *w, unsigned n)
{
	uint8_t b[2] = { (uint8_t)n, (uint8_t)(n >> 8) };

	put(w, b, sizeof b);
}

static void put_u32(struct wire *w, uint32_t n)
{
	put_u16(w, n & 0xffff);
	put_u16(w, n >> 16);
}

static void put_u64(struct wire *w, uint64_t n)
{
	put_u32(w, (uint32_t)n);
	put_u32(w, (uint32_t)(n >> 32));
}

static void put_text(struct wire *w, const struct text *t)
{
	put_u8(w, t->len);
	put(w, t->bytes, t->len);
}

#define HEAD (1 + 2 + 4) /* kind, index, length */

/* Begin an answer; returns where it starts. */
static size_t begin(struct wire *w, enum answer_kind kind, unsigned index)
{
	size_t start = w->len;

	put_u8(w, kind);
	put_u16(w, index);
	put_u32(w, 0);
	return start;
}

/* End it: fill in its length, or take all of it back when it did not fit. */
static bool end(struct wire *w, size_t start)
{
	size_t stop = w->len;

	if (w->full) {
		w->full = false;
		w->len = start;
		return false;
	}
	w->len = start + 1 + 2;
	put_u32(w, (uint32_t)(stop - start - HEAD));
	w->len = stop;
	return true;
}

static void put_finding(struct wire *w, const struct finding *f)
{
	put_u16(w, f->id);
	put_u8(w, f->severity);
	put_u8(w, f->impact);
	put_u8(w, f->unit);
	put_u8(w, f->part);
	put_u64(w, f->offset);
	put_u64(w, f->length);
	put_u64(w, (uint64_t)f->deadline);
	put_text(w, &f->field);
	put_text(w, &f->expected);
	put_text(w, &f->found);
}

static void put_report(struct wire *w, const struct report *r)
{
	put_u8(w, (r->has_sender ? 1u : 0u) | (r->has_arrival ? 2u : 0u));
	put_u64(w, r->recipients);
	put_u64(w, r->recipients_done);
	put_u64(w, (uint64_t)r->arrival);
	put_u8(w, r->sender_len);
	put(w, r->sender, r->sender_len);
	put_u8(w, r->recipient_len);
	put(w, r->recipient, r->recipient_len);
	put_u64(w, r->more);
	put_u8(w, r->count);
	for (unsigned i = 0; i < r->count; i++)
		put_finding(w, &r->findings[i]);
}

bool wire_put_report(struct wire *w, unsigned index, const struct report *r)
{
	size_t start = begin(w, ANSWER_DONE, index);

	put_report(w, r);
	return end(w, start);
}

bool wire_put_want(struct wire *w, unsigned index, const struct want *want)
{
	size_t start = begin(w, ANSWER_WANT, index);

	put_u8(w, want->part);
	put_u64(w, want->off);
	put_u32(w, (uint32_t)want->len);
	return end(w, start);
}

bool wire_put_row(struct wire *w, unsigned index, const struct row *row)
{
	size_t start = begin(w, ANSWER_ROW, index);

	put_u8(w, row->part);
	put_u64(w, row->offset);
	put_u64(w, row->length);
	put_u64(w, row->target);
	put_u8(w, row->has_target);
	put_u8(w, row->depth);
	put_text(w, &row->kind);
	put_text(w, &row->detail);
	put_u8(w, row->told);
	put_u8(w, row->npersonal);
	for (unsigned i = 0; i < row->npersonal; i++) {
		put_u64(w, row->personal[i].offset);
		put_u64(w, row->personal[i].length);
		put_u8(w, row->personal[i].kind);
	}
	return end(w, start);
}

bool wire_put_run(struct wire *w, unsigned index, const struct run *run)
{
	size_t start = begin(w, ANSWER_RUN, index);

	put_u8(w, run->part);
	put_u64(w, run->offset);
	put_u64(w, run->length);
	put_u8(w, run->newline);
	return end(w, start);
}

bool wire_put_bytes(struct wire *w, unsigned index, const uint8_t *p, size_t n)
{
	size_t start = begin(w, ANSWER_BYTES, index);

	put(w, p, n);
	return end(w, start);
}

static void put_words(struct wire *w, const struct deep_words *words)
{
	put_u8(w, words->len);
	put(w, words->bytes, words->len);
}

static void put_node(struct wire *w, const struct deep_node *n)
{
	put_u8(w, n->depth);
	put_u8(w, n->damaged);
	put_u64(w, n->offset);
	put_u64(w, n->size);
	put_text(w, &n->type);
}

bool wire_put_deep(struct wire *w, unsigned index, const struct deep *d)
{
	size_t start = begin(w, ANSWER_DEEP, index);

	put_report(w, &d->report);
	put_u8(w, (d->parsed ? 1u : 0u) | (d->has_date ? 2u : 0u));
	put_u64(w, (uint64_t)d->date);
	put_u64(w, d->to);
	put_u64(w, d->text);
	put_words(w, &d->subject);
	put_words(w, &d->from);
	put_words(w, &d->message_id);
	put_u64(w, d->more);
	put_u8(w, d->count);
	for (unsigned i = 0; i < d->count; i++)
		put_node(w, &d->nodes[i]);
	return end(w, start);
}

bool wire_put_end(struct wire *w, unsigned index)
{
	return end(w, begin(w, ANSWER_END, index));
}

/* --- Reading -------------------------------------------------------------- */

bool wire_next(struct cur *frame, struct answer *a)
{
	unsigned kind;

	if (cur_left(frame) == 0)
		return false;
	kind = cur_u8(frame);
	a->index = cur_u16le(frame);
	a->len = cur_u32le(frame);
	a->body = cur_take(frame, a->len);
	if (kind < ANSWER_DONE || kind > ANSWER_END || (kind == ANSWER_END && a->len > 0) ||
	    (kind == ANSWER_BYTES && (a->len == 0 || a->len > BYTES_MAX)))
		cur_fail(frame, CUR_TOO_BIG);
	a->kind = (enum answer_kind)kind;
	return frame->err == CUR_OK;
}

/* A byte that has to be below `limit`. */
static uint8_t get_enum(struct cur *c, unsigned limit)
{
	uint8_t n = cur_u8(c);

	if (n >= limit)
		cur_fail(c, CUR_TOO_BIG);
	return n;
}

static void get_text(struct cur *c, struct text *t)
{
	uint8_t len = get_enum(c, TEXT_MAX + 1);
	const uint8_t *p = cur_take(c, len);

	t->len = 0;
	if (p != NULL)
		text_bytes(t, p, len);
}

static uint16_t get_address(struct cur *c, uint8_t *to)
{
	uint8_t len = cur_u8(c);
	const uint8_t *p = cur_take(c, len);

	if (p == NULL)
		return 0;
	memcpy(to, p, len);
	return len;
}

static void get_finding(struct cur *c, struct finding *f)
{
	f->id = cur_u16le(c);
	if (f->id >= F_COUNT)
		cur_fail(c, CUR_TOO_BIG);
	f->severity = get_enum(c, SEV_CORRUPT + 1);
	f->impact = get_enum(c, IMPACT_SERVER_STOPS + 1);
	f->unit = get_enum(c, UNIT_PART + 1);
	f->part = get_enum(c, PARTS_MAX);
	f->offset = cur_u64le(c);
	f->length = cur_u64le(c);
	f->deadline = (int64_t)cur_u64le(c);
	get_text(c, &f->field);
	get_text(c, &f->expected);
	get_text(c, &f->found);
}

/* Read to the last byte, without an error? */
static bool whole(const struct cur *c)
{
	return c->err == CUR_OK && cur_left(c) == 0;
}

static void get_report(struct cur *c, struct report *r)
{
	uint8_t flags = get_enum(c, 4);

	r->has_sender = flags & 1;
	r->has_arrival = flags & 2;
	r->recipients = cur_u64le(c);
	r->recipients_done = cur_u64le(c);
	r->arrival = (int64_t)cur_u64le(c);
	r->sender_len = get_address(c, r->sender);
	r->recipient_len = get_address(c, r->recipient);
	r->more = cur_u64le(c);
	r->count = get_enum(c, REPORT_MAX + 1);
	for (unsigned i = 0; i < r->count && c->err == CUR_OK; i++)
		get_finding(c, &r->findings[i]);
}

bool wire_get_report(const uint8_t *body, size_t len, struct report *r)
{
	struct cur c = cur_make(body, len, 0);

	get_report(&c, r);
	return whole(&c);
}

bool wire_get_want(const uint8_t *body, size_t len, struct want *want)
{
	struct cur c = cur_make(body, len, 0);

	want->part = get_enum(&c, PARTS_MAX);
	want->off = cur_u64le(&c);
	want->len = cur_u32le(&c);
	if (want->len == 0 || want->len > WINDOW_MAX)
		cur_fail(&c, CUR_TOO_BIG);
	return whole(&c);
}

bool wire_get_row(const uint8_t *body, size_t len, struct row *row)
{
	struct cur c = cur_make(body, len, 0);

	row->part = get_enum(&c, PARTS_MAX);
	row->offset = cur_u64le(&c);
	row->length = cur_u64le(&c);
	row->target = cur_u64le(&c);
	row->has_target = get_enum(&c, 2);
	row->depth = cur_u8(&c);
	get_text(&c, &row->kind);
	get_text(&c, &row->detail);
	row->told = get_enum(&c, 2);
	row->npersonal = get_enum(&c, ROW_PERSONAL + 1);
	for (unsigned i = 0; i < row->npersonal && c.err == CUR_OK; i++) {
		row->personal[i].offset = cur_u64le(&c);
		row->personal[i].length = cur_u64le(&c);
		row->personal[i].kind = get_enum(&c, PERSONAL_KINDS);
	}
	return whole(&c);
}

bool wire_get_run(const uint8_t *body, size_t len, struct run *run)
{
	struct cur c = cur_make(body, len, 0);

	run->part = get_enum(&c, PARTS_MAX);
	run->offset = cur_u64le(&c);
	run->length = cur_u64le(&c);
	run->newline = get_enum(&c, 2);
	if (run->offset > INT64_MAX || run->length > INT64_MAX - run->offset)
		cur_fail(&c, CUR_TOO_BIG);
	return whole(&c);
}

static void get_words(struct cur *c, struct deep_words *w)
{
	uint8_t len = get_enum(c, DEEP_WORDS + 1);
	const uint8_t *p = cur_take(c, len);

	w->len = p != NULL ? len : 0;
	if (p != NULL)
		memcpy(w->bytes, p, len);
}

static void get_node(struct cur *c, struct deep_node *n)
{
	n->depth = cur_u8(c);
	n->damaged = get_enum(c, 2);
	n->offset = cur_u64le(c);
	n->size = cur_u64le(c);
	get_text(c, &n->type);
}

bool wire_get_deep(const uint8_t *body, size_t len, struct deep *d)
{
	struct cur c = cur_make(body, len, 0);
	uint8_t flags;

	get_report(&c, &d->report);
	flags = get_enum(&c, 4);
	d->parsed = flags & 1;
	d->has_date = flags & 2;
	d->date = (int64_t)cur_u64le(&c);
	d->to = cur_u64le(&c);
	d->text = cur_u64le(&c);
	get_words(&c, &d->subject);
	get_words(&c, &d->from);
	get_words(&c, &d->message_id);
	d->more = cur_u64le(&c);
	d->count = get_enum(&c, DEEP_NODES + 1);
	for (unsigned i = 0; i < d->count && c.err == CUR_OK; i++)
		get_node(&c, &d->nodes[i]);
	return whole(&c);
}
