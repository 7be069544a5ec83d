/*
 * test-layout.c - property blocks by their layout: the file, the walk, the check
 *
 * Sound blocks of three unlike layouts raise nothing; each damage is recognised for what it is; arbitrary
 * damage ends, and never tells of bytes outside of the stream.
 */
#include "format.h"
#include "layout.h"
#include "layout_file.h"

#include <glib.h>
#include <string.h>

/* One table behind a header, offsets from the first byte. */
static const char plain[] =
	"[layout]\nconfirmed = yes\n[header]\nsize = 24\nsignature = 53504c4b\nheader-size = 4:4\nblock-size = 8:4\n"
	"entries = 12:4\ntable = 16:4\nrecipients = 20:4\n[entry]\nsize = 16\nid = 0:2\nrecipient = 2:2\noffset = 4:4\n"
	"length = 8:4\nallocated = 12:4\n[values]\nalignment = 4\nstrings-end = last\ntyped = yes\n";

/* Chained fragments of four slots, no signature, 16-bit lengths. */
static const char chained[] =
	"[layout]\nconfirmed = yes\n[header]\nsize = 8\nentries = 0:2\ntable = 4:4\n[fragment]\nsize = 8\nnext = 0:4\n"
	"used = 4:2\nslots-fixed = 4\n[entry]\nsize = 10\nlength = 0:2\nid = 2:4\noffset = 6:4\n"
	"[values]\nstrings-end = last\ntyped = yes\n";

/* Recipients with tables of their own. */
static const char listed[] =
	"[layout]\nconfirmed = yes\n[header]\nsize = 20\nentries = 0:4\ntable = 4:4\nrecipients = 8:4\nlist = 12:4\n"
	"block-size = 16:4\nslack = yes\n[entry]\nsize = 12\nid = 0:4\noffset = 4:4\nlength = 8:4\n"
	"[recipient]\nsize = 8\ntable = 0:4\nentries = 4:4\n[values]\nstrings-end = last\ntyped = yes\n";

/* Tables whose entries nobody counts: an entry without an id ends one, the other has room for ten. */
static const char ended[] =
	"[layout]\nconfirmed = yes\n[header]\nsize = 4\ntable = 0:4\n[entry]\nsize = 12\nid = 0:4\noffset = 4:4\n"
	"length = 8:4\n[values]\nstrings-end = last\ntyped = yes\n";
static const char roomy[] =
	"[layout]\nconfirmed = yes\n[header]\nsize = 4\ntable = 0:4\n[fragment]\nslots-fixed = 10\n[entry]\nsize = 12\n"
	"id = 0:4\noffset = 4:4\nlength = 8:4\nfree = yes\n[values]\nstrings-end = last\ntyped = yes\n";

static struct layout parse(const char *text)
{
	GPtrArray *problems = g_ptr_array_new_with_free_func(g_free);
	struct layout l;

	layout_parse("test", text, &l, problems);
	for (guint i = 0; i < problems->len; i++)
		g_test_message("%s", (char *)problems->pdata[i]);
	g_assert_cmpuint(problems->len, ==, 0);
	g_ptr_array_unref(problems);
	return l;
}

static void put(uint8_t *block, uint32_t at, struct layout_word word, uint32_t value)
{
	for (unsigned i = 0; i < word.width; i++)
		block[at + word.at + i] = (uint8_t)(value >> 8 * i);
}

/* --- Blocks --------------------------------------------------------------------- */

struct block {
	uint8_t bytes[1024];
	uint32_t size, entry[8]; /* where each entry lies */
	unsigned entries;
};

static const struct { uint32_t id, owner; const char *value; uint32_t length; } content[] = {
	{ 0x1002, UINT32_MAX, "bob@example.org", 16 },
	{ 0x1021, UINT32_MAX, "a subject", 10 },
	{ 0x1013, UINT32_MAX, "\x00\x80\x3e\xd5\xde\xb1\x9d\x01", 8 },
	{ 0x1029, UINT32_MAX, "\x02\x00\x00\x00", 4 },
	{ 0x1031, UINT32_MAX, "text/plain", 11 },
	{ 0x2009, 0, "alice@example.com", 18 },
	{ 0x2009, 1, "carol@example.com", 18 },
	{ 0x200d, 1, "\x00\x00\x00\x00", 4 },
};

static uint32_t put_value(struct block *b, const struct layout *l, unsigned i)
{
	uint32_t at = (b->size + l->alignment - 1u) & ~(l->alignment - 1u);

	memcpy(b->bytes + at, content[i].value, content[i].length);
	b->size = at + content[i].length;
	return at;
}

static void put_entry(struct block *b, const struct layout *l, uint32_t at, unsigned i)
{
	b->entry[i] = at;
	put(b->bytes, at, l->id, content[i].id);
	put(b->bytes, at, l->owner, content[i].owner);
	put(b->bytes, at, l->offset, put_value(b, l, i));
	put(b->bytes, at, l->length, content[i].length);
	put(b->bytes, at, l->allocated, content[i].length);
}

static struct block make_plain(const struct layout *l)
{
	struct block b = { .size = 24 + 8 * 16, .entries = 8 };

	for (unsigned i = 0; i < 8; i++)
		put_entry(&b, l, 24 + 16 * i, i);
	memcpy(b.bytes, "SPLK", 4);
	put(b.bytes, 0, l->own_size, 24);
	put(b.bytes, 0, l->total_size, b.size);
	put(b.bytes, 0, l->count, 8);
	put(b.bytes, 0, l->table, 24);
	put(b.bytes, 0, l->recipients, 2);
	return b;
}

static struct block make_chained(const struct layout *l)
{
	struct block b = { .size = 8, .entries = 8 };

	put(b.bytes, 0, l->count, 8);
	put(b.bytes, 0, l->table, 8);
	for (unsigned f = 0; f < 2; f++) {
		uint32_t at = b.size;

		b.size += 8 + 4 * 10;
		put(b.bytes, at, l->used, 4);
		for (unsigned i = 0; i < 4; i++)
			put_entry(&b, l, at + 8 + 10 * i, 4 * f + i);
		put(b.bytes, at, l->next, f == 0 ? b.size : 0);
	}
	return b;
}

static struct block make_listed(const struct layout *l)
{
	static const unsigned from[] = { 5, 6 }, many[] = { 1, 2 };
	struct block b = { .size = 20 + 5 * 12 + 16 + 3 * 12, .entries = 8 };
	uint32_t at = 96;

	for (unsigned i = 0; i < 5; i++)
		put_entry(&b, l, 20 + 12 * i, i);
	for (unsigned r = 0; r < 2; r++) {
		put(b.bytes, 80 + 8 * r, l->row_table, at);
		put(b.bytes, 80 + 8 * r, l->row_count, many[r]);
		for (unsigned i = 0; i < many[r]; i++, at += 12)
			put_entry(&b, l, at, from[r] + i);
	}
	put(b.bytes, 0, l->count, 5);
	put(b.bytes, 0, l->table, 20);
	put(b.bytes, 0, l->recipients, 2);
	put(b.bytes, 0, l->list, 80);
	put(b.bytes, 0, l->total_size, b.size);
	b.size += 40; /* slack */
	return b;
}

/* Eight entries, and room for two more. */
static struct block make_uncounted(const struct layout *l)
{
	struct block b = { .size = 4 + 10 * 12, .entries = 8 };

	put(b.bytes, 0, l->table, 4);
	for (unsigned i = 0; i < 8; i++)
		put_entry(&b, l, 4 + 12 * i, i);
	return b;
}

static struct layout_scratch scratch;

static void check(const struct block *b, const struct layout *l, struct report *r)
{
	struct layout_result result;
	uint8_t *exact = g_memdup2(b->bytes, b->size); /* a sanitizer sees the end */

	report_reset(r);
	layout_check(&scratch, l, exact, b->size, 0, r, &result);
	for (unsigned i = 0; i < r->count; i++) {
		g_assert_cmpuint(r->findings[i].offset + r->findings[i].length, <=, b->size);
		g_test_message("%s at %u+%u: %.*s; expected %.*s; found %.*s", finding_def(r->findings[i].id)->name,
			       (unsigned)r->findings[i].offset, (unsigned)r->findings[i].length,
			       r->findings[i].field.len, r->findings[i].field.bytes, r->findings[i].expected.len,
			       r->findings[i].expected.bytes, r->findings[i].found.len, r->findings[i].found.bytes);
	}
	g_free(exact);
}

static bool told(const struct report *r, enum finding_id id, uint64_t offset)
{
	for (unsigned i = 0; i < r->count; i++)
		if (r->findings[i].id == id && r->findings[i].offset == offset)
			return true;
	return false;
}

static void test_sound(void)
{
	struct layout a = parse(plain), b = parse(chained), c = parse(listed), d = parse(ended), e = parse(roomy);
	struct block blocks[] = { make_plain(&a), make_chained(&b), make_listed(&c), make_uncounted(&d), make_uncounted(&e) };
	const struct layout *layouts[] = { &a, &b, &c, &d, &e };
	struct report r;

	for (unsigned i = 0; i < G_N_ELEMENTS(layouts); i++) {
		struct layout_result result;

		check(&blocks[i], layouts[i], &r);
		g_assert_cmpuint(r.count, ==, 0);
		layout_check(&scratch, layouts[i], blocks[i].bytes, blocks[i].size, 0, &r, &result);
		g_assert_cmpuint(result.entries, ==, layouts[i] == &e ? 10 : 8);
		g_assert_cmpuint(result.known, ==, 8);
	}
}

/* --- Damage ---------------------------------------------------------------------------- */

/* The word at `at` gets `value`: exactly the finding `id` marks it. */
static void expect(const struct block *sound, const struct layout *l, uint32_t at, struct layout_word word,
		   uint32_t value, enum finding_id id)
{
	struct block b = *sound;
	struct report r;

	put(b.bytes, at, word, value);
	g_test_message("%u at %u+%u", value, at, word.at);
	check(&b, l, &r);
	g_assert_true(told(&r, id, at + word.at));
	for (unsigned i = 0; i < r.count; i++)
		g_assert_cmpuint(r.findings[i].severity, <=, SEV_CORRUPT);
}

static void test_sizes(void)
{
	/* Too large, far too large, negative, wrapping around. */
	static const uint32_t wrong[] = { 2000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff };
	struct layout l = parse(plain), ch = parse(chained), li = parse(listed), en = parse(ended), ro = parse(roomy);
	struct block b = make_plain(&l), c = make_chained(&ch), d = make_listed(&li), e = make_uncounted(&en);

	for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
		expect(&e, &en, e.entry[7], en.length, wrong[i], F_IIS_PROPERTY_SIZE);
		expect(&e, &ro, e.entry[7], ro.length, wrong[i], F_IIS_PROPERTY_SIZE);
		expect(&b, &l, 0, l.own_size, wrong[i], F_IIS_PROPERTY_SIZE);
		expect(&b, &l, 0, l.total_size, wrong[i], F_IIS_PROPERTY_SIZE);
		expect(&b, &l, 0, l.count, wrong[i], F_IIS_PROPERTY_SIZE);
		expect(&b, &l, 0, l.table, wrong[i], F_IIS_PROPERTY_OFFSET);
		expect(&b, &l, b.entry[1], l.length, wrong[i], F_IIS_PROPERTY_SIZE);
		expect(&b, &l, b.entry[1], l.allocated, wrong[i], F_IIS_PROPERTY_SIZE);
		expect(&b, &l, b.entry[1], l.offset, wrong[i], F_IIS_PROPERTY_OFFSET);
		expect(&c, &ch, 8, ch.next, wrong[i] == UINT32_MAX ? wrong[0] : wrong[i], F_IIS_PROPERTY_FRAGMENT);
		expect(&d, &li, 0, li.recipients, wrong[i], F_IIS_PROPERTY_SIZE);
		expect(&d, &li, 0, li.list, wrong[i], F_IIS_PROPERTY_OFFSET);
		expect(&d, &li, 0, li.total_size, wrong[i], F_IIS_PROPERTY_SIZE);
		expect(&d, &li, 80, li.row_table, wrong[i], F_IIS_PROPERTY_OFFSET);
	}
	/* Too small. */
	expect(&b, &l, 0, l.total_size, b.size - 1, F_IIS_PROPERTY_SIZE);
	expect(&b, &l, 0, l.own_size, 23, F_IIS_PROPERTY_SIZE);
	expect(&b, &l, b.entry[1], l.allocated, 3, F_IIS_PROPERTY_SIZE);
	expect(&b, &l, b.entry[3], l.length, 3, F_IIS_PROPERTY_TYPE);
	expect(&c, &ch, 0, ch.count, 7, F_IIS_PROPERTY_SIZE);
	expect(&c, &ch, 0, ch.count, 9, F_IIS_PROPERTY_SIZE);
	expect(&c, &ch, 8, ch.used, 5, F_IIS_PROPERTY_SIZE);
	expect(&c, &ch, 8, ch.used, 0xffff, F_IIS_PROPERTY_SIZE);
}

static void test_others(void)
{
	struct layout l = parse(plain), ch = parse(chained), li = parse(listed);
	struct block b = make_plain(&l), c = make_chained(&ch), d = make_listed(&li), x;
	uint32_t second = c.entry[4] - 8;
	struct report r;

	expect(&b, &l, b.entry[6], l.owner, 2, F_IIS_PROPERTY_RECIPIENT);
	expect(&b, &l, b.entry[1], l.id, 0x1099, F_IIS_PROPERTY_ID);
	expect(&b, &l, b.entry[1], l.id, 0, F_IIS_PROPERTY_SIZE);
	x = b;
	put(x.bytes, b.entry[1], l.offset, b.bytes[b.entry[0] + 4]);
	check(&x, &l, &r);
	g_assert_true(told(&r, F_IIS_PROPERTY_OVERLAP, b.entry[0] + 4) ||
		      told(&r, F_IIS_PROPERTY_OVERLAP, b.entry[1] + 4));
	expect(&b, &l, b.entry[1], l.offset, b.bytes[b.entry[1] + 4] + 1u, F_IIS_PROPERTY_OFFSET);
	expect(&c, &ch, second, ch.next, 8, F_IIS_PROPERTY_FRAGMENT);
	expect(&c, &ch, 8, ch.next, 8, F_IIS_PROPERTY_FRAGMENT);
	ch.backward = true;
	expect(&c, &ch, 0, ch.count, 9, F_IIS_PROPERTY_SIZE);
	x = c;
	put(x.bytes, second, ch.next, 8); /* round and round */
	check(&x, &ch, &r);
	g_assert_cmpuint(r.count, >, 0);
	x = b;
	x.bytes[b.bytes[b.entry[0] + 4] + 15u] = 'x';
	check(&x, &l, &r);
	g_assert_true(told(&r, F_IIS_PROPERTY_STRING, b.bytes[b.entry[0] + 4]));
	x = b;
	x.bytes[0] = 'x';
	check(&x, &l, &r);
	g_assert_true(told(&r, F_IIS_PROPERTY_SIGNATURE, 0));
	x = d;
	put(x.bytes, 88, li.row_table, 96); /* two recipients, one table */
	check(&x, &li, &r);
	g_assert_cmpuint(r.count, >, 0);
}

/* Without the operator's word nothing is corrupt. */
static void test_learned(void)
{
	struct layout l = parse(plain);
	struct block b = make_plain(&l);
	struct report r;

	put(b.bytes, b.entry[1], l.length, 0xfffffff0);
	check(&b, &l, &r);
	g_assert_cmpint(r.findings[0].severity, ==, SEV_CORRUPT);
	g_assert_cmpint(r.findings[0].impact, ==, IMPACT_SERVER_STOPS);
	l.confirmed = false;
	check(&b, &l, &r);
	g_assert_cmpint(r.findings[0].severity, ==, SEV_SUSPECT);
}

/* Every byte overwritten in turn, every length: it ends, rows and findings stay inside. */
static void test_any(void)
{
	static const uint8_t with[] = { 0, 1, 0x7f, 0x80, 0xff };
	struct layout layouts[] = { parse(plain), parse(chained), parse(listed), parse(ended), parse(roomy) };
	struct block blocks[] = { make_plain(&layouts[0]), make_chained(&layouts[1]), make_listed(&layouts[2]),
				  make_uncounted(&layouts[3]), make_uncounted(&layouts[4]) };
	struct report r;

	for (unsigned k = 0; k < G_N_ELEMENTS(layouts); k++) {
		layouts[k].backward = true;
		for (uint32_t cut = 0; cut <= blocks[k].size; cut++) {
			struct layout_show show = { .begun = false };
			struct block b = blocks[k];
			struct row row = { 0 };
			unsigned rows = 0;

			b.size = cut;
			check(&b, &layouts[k], &r);
			for (; layout_row(&show, &layouts[k], b.bytes, b.size, 3, &row); rows++) {
				g_assert_cmpuint(row.offset + row.length, <=, cut);
				g_assert_cmpuint(row.part, ==, 3);
				g_assert_cmpuint(rows, <, 200);
				row = (struct row){ 0 };
			}
			g_assert_cmpuint(rows, >=, cut == blocks[k].size ? 17 : 0);
		}
		for (uint32_t at = 0; at < blocks[k].size; at++)
			for (unsigned i = 0; i < sizeof with; i++) {
				struct block b = blocks[k];

				b.bytes[at] = with[i];
				check(&b, &layouts[k], &r);
			}
	}
}

/* --- The file ------------------------------------------------------------------------------ */

static void test_round_trip(void)
{
	static const char *const texts[] = { plain, chained, listed, ended, roomy };

	for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
		struct layout a = parse(texts[i]), b;
		g_autofree char *text = layout_text(&a);

		b = parse(text);
		g_autofree char *again = layout_text(&b);
		g_assert_cmpstr(text, ==, again);
		g_assert_cmpint(a.confirmed, ==, b.confirmed);
		g_assert_cmpuint(a.entry_size, ==, b.entry_size);
	}
}

static void test_file_errors(void)
{
	static const struct { const char *text, *says; } bad[] = {
		{ "[header]\nsize = 24\n[entry]\nsiz = 3\n", "f:4: siz: no such key in [entry]; did you mean size?" },
		{ "[headr]\n", "f:1: [headr]: no such section; did you mean header?" },
		{ "x = 1\n", "f:1: x: stands before the first section; put [header] above it" },
		{ "[header]\nsize = -1\n", "f:2: size = -1: a number from 0 to 4096 is needed" },
		{ "[header]\nsize = 8\nsize = 8\n", "f:3: size: stands in line 2 already" },
		{ "[header]\nentries = 3\n", "f:2: entries = 3: OFFSET:WIDTH is needed, with a width of 1, 2 or 4 bytes, such as 8:4; or none" },
		{ "[header]\nentries = 0:3\n", "f:2: entries = 0:3: OFFSET:WIDTH is needed, with a width of 1, 2 or 4 bytes, such as 8:4; or none" },
		{ "[types]\n3 = dwrd\n", "f:2: 3 = dwrd: no such type; did you mean dword?" },
		{ "[header]\n", "f: [entry] size is missing" },
		{ "[header]\nsize = 0\n[entry]\nsize = 8\nid = 0:2\noffset = 0:4\nlength = 6:2\n", "f: two fields lie on the same bytes" },
		{ "[header]\nsize = 0\n[entry]\nsize = 8\nid = 0:2\noffset = 2:4\nlength = 6:4\n",
		  "f: a field lies outside of the header, fragment, entry or row that holds it" },
		{ "[header]\nsize = 8\n[entry]\nsize = 8\nid = 0:2\noffset = 2:4\nlength = 6:2\n", "f: the table begins inside of the header" },
		{ "nonsense\n", "f:1: neither a [section], a key = value nor a comment with #" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		GPtrArray *problems = g_ptr_array_new_with_free_func(g_free);
		gboolean said = FALSE;
		struct layout l;

		layout_parse("f", bad[i].text, &l, problems);
		for (guint k = 0; k < problems->len; k++) {
			g_test_message("%s", (char *)problems->pdata[k]);
			said = said || strcmp(problems->pdata[k], bad[i].says) == 0;
		}
		g_assert_true(said);
		g_ptr_array_unref(problems);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/layout/sound", test_sound);
	g_test_add_func("/layout/sizes", test_sizes);
	g_test_add_func("/layout/others", test_others);
	g_test_add_func("/layout/learned", test_learned);
	g_test_add_func("/layout/any", test_any);
	g_test_add_func("/layout/round-trip", test_round_trip);
	g_test_add_func("/layout/file-errors", test_file_errors);
	return g_test_run();
}
