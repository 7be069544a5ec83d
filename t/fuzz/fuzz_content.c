/*
 * fuzz_content.c - any file, passed for foreign blocks and asked what it is
 *
 * Input: [size of the pieces][text or records][repetitions], then bytes that become a file of blocks. Runs
 * lie in the file, in their order, do not overlap, and begin where a block does; zeros that are
 * reported are zeros; the pieces do not matter. libmagic has fuzzers of its own: here are our rules.
 */
#include "fuzz.h"

#include "blocks.h"
#include "content.h"

#define FILE_MAX (64u << 10)

static void pass(struct blocks *b, const uint8_t *p, size_t n, bool text, size_t piece)
{
	blocks_begin(b, text);
	for (size_t at = 0; at < n; at += piece)
		blocks_feed(b, p + at, n - at < piece ? n - at : piece);
	blocks_end(b);
}

static void check_runs(const struct blocks *b, const uint8_t *p, size_t n)
{
	must(b->count <= BLOCK_RUNS);
	for (unsigned i = 0; i < b->count; i++) {
		const struct block_run *r = &b->runs[i];

		must(r->length > 0 && r->offset < n && r->length <= n - r->offset);
		must(r->offset % BLOCK_SIZE == 0);
		must((r->offset + r->length) % BLOCK_SIZE == 0 || r->offset + r->length == n);
		must(r->kind != BLOCK_ZEROS || content_zeros(p + r->offset, r->length));
		must(r->kind == BLOCK_ZEROS || b->text);
		must(i == 0 || r->offset >= b->runs[i - 1].offset + BLOCK_SIZE);
	}
}

/* Member by member: the padding of a run holds anything. */
static void check_same(const struct blocks *a, const struct blocks *b)
{
	must(a->count == b->count && a->more == b->more);
	for (unsigned i = 0; i < a->count; i++) {
		const struct block_run *x = &a->runs[i], *y = &b->runs[i];

		must(x->kind == y->kind && x->beside == y->beside);
		must(x->offset == y->offset && x->length == y->length);
	}
}

static void check_content(const uint8_t *p, size_t n)
{
	struct content c;

	content_identify(p, n, &c);
	must(c.kind < CONTENT_KINDS);
	must((c.kind == CONTENT_NOTHING) == (n == 0));
	must(c.name.len <= TEXT_MAX && (c.name.len > 0) == (n > 0));
	for (unsigned i = 0; i < c.name.len; i++)
		must(c.name.bytes[i] >= ' ' && c.name.bytes[i] <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = { 1, 7, 512, 513, 4096 };
	static struct blocks a, b;
	size_t piece, n;
	uint8_t *file, *one;
	bool text;

	if (size < 4)
		return 0;
	piece = pieces[data[0] % 5];
	text = data[1] & 1;
	n = (size - 3) * (1 + data[2] % 32);
	n = n < FILE_MAX ? n : FILE_MAX;
	file = malloc(n);
	must(file != NULL);
	for (size_t i = 0; i < n; i++)
		file[i] = data[3 + i % (size - 3)];
	one = fuzz_copy(data + 3, size - 3);
	pass(&a, file, n, text, n);
	pass(&b, file, n, text, piece);
	check_runs(&a, file, n);
	check_same(&a, &b);
	check_content(one, size - 3);
	content_doubtful((const char *)one, size - 3 < 15 ? size - 3 : 15, one, size - 3);
	free(one);
	free(file);
	return 0;
}
