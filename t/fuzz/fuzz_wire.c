/*
 * fuzz_wire.c - the answers of a worker that lies
 *
 * A frame of any bytes is refused, or it is exactly what a worker would have
 * written: what was decoded is encoded again and must give the same bytes.
 */
#include "fuzz.h"

#include "wire.h"

static void check_text(const struct text *t)
{
	must(t->len <= TEXT_MAX);
}

static void check_finding(const struct finding *f)
{
	must(finding_def(f->id) != NULL);
	must(f->severity <= SEV_CORRUPT);
	must(f->impact <= IMPACT_SERVER_STOPS);
	must(f->unit <= UNIT_PART);
	must(f->part < PARTS_MAX);
	check_text(&f->field);
	check_text(&f->expected);
	check_text(&f->found);
}

static bool again_report(struct wire *w, const struct answer *a)
{
	static struct report r; /* what an earlier answer left in it does not matter */

	if (!wire_get_report(a->body, a->len, &r))
		return false;
	must(r.count <= REPORT_MAX);
	must(r.sender_len <= ADDRESS_MAX);
	must(r.recipient_len <= ADDRESS_MAX);
	for (unsigned i = 0; i < r.count; i++)
		check_finding(&r.findings[i]);
	must(wire_put_report(w, a->index, &r));
	return true;
}

static bool again_want(struct wire *w, const struct answer *a)
{
	struct want want = { 0 };

	if (!wire_get_want(a->body, a->len, &want))
		return false;
	must(want.part < PARTS_MAX);
	must(want.len >= 1 && want.len <= WINDOW_MAX);
	must(wire_put_want(w, a->index, &want));
	return true;
}

static bool again_row(struct wire *w, const struct answer *a)
{
	struct row row = { 0 };

	if (!wire_get_row(a->body, a->len, &row))
		return false;
	must(row.part < PARTS_MAX);
	check_text(&row.kind);
	check_text(&row.detail);
	must(wire_put_row(w, a->index, &row));
	return true;
}

static bool again_run(struct wire *w, const struct answer *a)
{
	struct run run = { 0 };

	if (!wire_get_run(a->body, a->len, &run))
		return false;
	must(run.part < PARTS_MAX);
	must(wire_put_run(w, a->index, &run));
	return true;
}

static bool again_deep(struct wire *w, const struct answer *a)
{
	static struct deep deep;

	if (!wire_get_deep(a->body, a->len, &deep))
		return false;
	must(deep.count <= DEEP_NODES && deep.report.count <= REPORT_MAX);
	must(deep.subject.len <= DEEP_WORDS && deep.from.len <= DEEP_WORDS && deep.message_id.len <= DEEP_WORDS);
	must(wire_put_deep(w, a->index, &deep));
	return true;
}

/* The answer in new bytes; false when it was refused. */
static bool again(struct wire *w, const struct answer *a)
{
	switch (a->kind) {
	case ANSWER_DONE: return again_report(w, a);
	case ANSWER_WANT: return again_want(w, a);
	case ANSWER_ROW: return again_row(w, a);
	case ANSWER_RUN: return again_run(w, a);
	case ANSWER_BYTES: return wire_put_bytes(w, a->index, a->body, a->len);
	case ANSWER_DEEP: return again_deep(w, a);
	case ANSWER_END: return wire_put_end(w, a->index);
	}
	must(!"a kind that no worker writes");
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *bytes = fuzz_copy(data, size), *copy = malloc(size + 1);
	struct cur frame = cur_make(bytes, size, 0);
	size_t from = 0;
	struct answer a;

	must(copy != NULL);
	while (wire_next(&frame, &a)) {
		struct wire w = { copy, 0, size, false };

		must(a.len <= size && a.body >= bytes && a.body + a.len <= bytes + size);
		if (again(&w, &a)) {
			must(w.len == frame.pos - from);
			must(memcmp(copy, bytes + from, w.len) == 0);
		}
		from = frame.pos;
	}
	must(frame.err != CUR_OK || frame.pos == size);
	free(copy);
	free(bytes);
	return 0;
}
