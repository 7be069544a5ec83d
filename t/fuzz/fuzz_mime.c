/*
 * fuzz_mime.c - any bytes as the text of a message
 *
 * Parts lie in the text and in each other, in its order; what is said lies in it, too, each kind once; the
 * same text gives the same answer. A text that goes on is never called cut.
 *
 * Input: bit 0 of the first byte = the text goes on; the rest is the text.
 */
#include "reports.h"

#include "mime.h"

static struct mime_node nodes[MIME_PARTS];

static void check_nodes(const struct mime *m, size_t size)
{
	must(m->count >= 1 && m->count <= MIME_PARTS);
	for (unsigned i = 0; i < m->count; i++) {
		const struct mime_node *n = &nodes[i], *p = &nodes[n->parent];

		must(n->header <= n->body && n->body <= n->end && n->end <= size);
		must(n->depth < MIME_DEPTH);
		must(n->type.at + n->type.len <= size && n->charset.at + n->charset.len <= size);
		if (i == 0)
			continue;
		must(n->parent < i && n->depth == p->depth + 1);
		must(p->kind != MIME_LEAF);
		must(n->header >= p->header && n->end <= p->end);
		must(n->header >= nodes[i - 1].header);
	}
}

static void check_report(const struct report *r, size_t size, bool partial)
{
	for (unsigned i = 0; i < r->count; i++) {
		const struct finding *f = &r->findings[i];

		must(f->id >= F_DEEP_BUDGET_PARTS && f->id < F_COUNT);
		must(f->offset <= size && f->length <= size - f->offset);
		must(!partial || (f->id != F_MIME_OPEN && f->id != F_MIME_CUT && f->id != F_MIME_BOUNDARY_UNUSED));
		for (unsigned j = 0; j < i; j++)
			must(r->findings[j].id != f->id);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct report first, second;
	static struct mime m;
	uint8_t *text;
	bool partial, whole;

	if (size == 0)
		return 0;
	partial = data[0] & 1;
	text = fuzz_copy(data + 1, size - 1);
	report_reset(&first);
	report_reset(&second);
	whole = mime_scan(&m, text, size - 1, partial, nodes, &first);
	if (whole)
		mime_leaves(&m);
	check_nodes(&m, size - 1);
	check_report(&first, size - 1, partial);
	must(mime_scan(&m, text, size - 1, partial, nodes, &second) == whole);
	if (whole)
		mime_leaves(&m);
	fuzz_same_report(&first, &second);
	free(text);
	return 0;
}
