/*
 * fuzz_exim.c - any bytes as an Exim message
 *
 * check(), decode() and body() each run over the whole text and through small
 * windows of it. Both must say the same, in a bounded number of steps, and about
 * bytes that the parts have.
 *
 * Input: place, version, window policy, what parts there are; the -H file up to the
 * first 0xff 0x00, the -J file up to the next one; the rest is the -D file.
 */
#include "fuzz.h"

#include "format.h"

extern const struct format fmt_exim;

#define HEAD 4
#define ID "1xUM0n-00000r-15"
#define NEW_ID "1xUM1R-0000000000T-0gDX"

struct input {
	struct message m;
	const uint8_t *bytes[3];
	size_t size[3];
	unsigned policy;
};

static void block(struct input *in, unsigned part, uint64_t off, size_t len)
{
	struct part *p = &in->m.parts[part];

	free((void *)(uintptr_t)p->bytes);
	p->bytes = fuzz_copy(in->bytes[part] + off, len);
	p->off = off;
	p->len = len;
}

/* The window that was asked for, and no more than the policy allows. */
static void give(struct input *in, const struct want *want)
{
	static const size_t more[] = { 0, 1, 7, 64, 300, SIZE_MAX };
	const struct part *p = &in->m.parts[1];
	size_t extra = more[in->policy % (sizeof more / sizeof more[0])], len;

	must(want->part == 1);
	must(want->off < in->size[1]);
	must(want->need >= 1 && want->need <= want->len && want->len <= WINDOW_MAX);
	must(want->need <= in->size[1] - want->off);
	must(want->off < p->off || want->off + want->need > p->off + p->len);
	len = want->len - want->need < extra ? want->len : want->need + extra;
	if (len > in->size[1] - want->off)
		len = (size_t)(in->size[1] - want->off);
	block(in, 1, want->off, len);
}

static bool inside(const struct input *in, unsigned part, uint64_t offset, uint64_t length)
{
	return part < 3 && offset <= in->size[part] && length <= in->size[part] - offset;
}

static void same_text(const struct text *a, const struct text *b)
{
	must(a->len <= TEXT_MAX && a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0);
}

static struct report *check(struct input *in, size_t start)
{
	struct report *r = calloc(1, sizeof *r);
	void *scratch = calloc(1, fmt_exim.check_scratch);
	uint64_t steps = 0;
	struct want want;

	block(in, 1, 0, start < in->size[1] ? start : in->size[1]);
	while (fmt_exim.check(scratch, &in->m, r, &want) == STEP_WANT) {
		must(++steps <= in->size[1] + 4);
		give(in, &want);
	}
	for (unsigned i = 0; i < r->count; i++) {
		const struct finding *f = &r->findings[i];

		must(i < REPORT_MAX && finding_def(f->id) != NULL && f->severity <= SEV_CORRUPT);
		must(f->deadline == 0 || f->impact == IMPACT_SERVER_DELETES);
		must(f->impact <= IMPACT_SERVER_STOPS && inside(in, f->part, f->offset, f->length));
	}
	must(r->sender_len <= ADDRESS_MAX && r->recipient_len <= ADDRESS_MAX);
	must(r->recipients + r->recipients_done <= in->size[0]);
	free(scratch);
	return r;
}

static void compare(const struct report *a, const struct report *b)
{
	must(a->count == b->count && a->more == b->more && a->recipients == b->recipients);
	for (unsigned i = 0; i < a->count; i++) {
		const struct finding *x = &a->findings[i], *y = &b->findings[i];

		must(x->id == y->id && x->offset == y->offset && x->length == y->length);
		must(x->severity == y->severity && x->impact == y->impact && x->part == y->part);
		same_text(&x->found, &y->found);
		same_text(&x->expected, &y->expected);
	}
}

static void show(struct input *in)
{
	void *scratch = calloc(1, fmt_exim.decode_scratch);
	uint64_t n = 0, most = 4 * (in->size[0] + in->size[2]) + in->size[1] + 100;
	struct want want;
	struct row row;
	struct run run;
	enum step step;

	block(in, 1, 0, 0);
	while ((step = fmt_exim.decode(scratch, &in->m, &row, &want)) != STEP_DONE) {
		must(++n <= most);
		if (step == STEP_WANT)
			give(in, &want);
		else
			must(inside(in, row.part, row.offset, row.length) && row.kind.len > 0 &&
			     row.npersonal <= ROW_PERSONAL);
		for (unsigned i = 0; step == STEP_ROW && i < row.npersonal; i++)
			must(inside(in, row.part, row.personal[i].offset, row.personal[i].length));
	}
	memset(scratch, 0, fmt_exim.body_scratch);
	for (n = 0; fmt_exim.body(scratch, &in->m, &run, &want) == STEP_ROW; n++)
		must(n <= most && inside(in, run.part, run.offset, run.length));
	free(scratch);
}

/* Up to the mark, which is stepped over. */
static void split(struct input *in, unsigned part, const uint8_t **data, size_t *size)
{
	size_t n = 0;

	while (n < *size && !(n + 1 < *size && (*data)[n] == 0xff && (*data)[n + 1] == 0))
		n++;
	in->bytes[part] = *data;
	in->size[part] = n;
	n = n < *size ? n + 2 : n;
	*data += n;
	*size -= n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t versions[] = { 0, VERSION(4, 80, 0), VERSION(4, 87, 0), VERSION(4, 94, 1),
					     VERSION(4, 96, 0), VERSION(4, 98, 2), VERSION(5, 0, 0) };
	struct report *whole, *pieces;
	struct input in = { .policy = 0 };
	uint8_t parts;

	if (size < HEAD)
		return 0;
	in.m.place = data[0] & 1;
	in.m.id = data[0] & 2 ? NEW_ID : ID;
	in.m.id_len = strlen(in.m.id);
	in.m.path = data[0] & 4 ? "n/" ID "-H" : ID "-H";
	in.m.site.now = 1795177000;
	in.m.site.owner = 100;
	in.m.site.keep = (data[1] & 16) != 0 ? 3600 : 0;
	in.m.site.version = versions[data[1] % (sizeof versions / sizeof versions[0])];
	in.policy = data[2];
	parts = data[3];
	data += HEAD;
	size -= HEAD;
	split(&in, 0, &data, &size);
	split(&in, 2, &data, &size);
	in.bytes[1] = data;
	in.size[1] = size;
	for (unsigned i = 0; i < 3; i++) {
		struct part *p = &in.m.parts[i];

		/* -H is missing when somebody looks at one of the others. */
		if ((parts >> i & 1) != 0 && (i > 0 || (parts & 6) != 6)) {
			in.size[i] = 0;
			continue;
		}
		*p = (struct part){ .ino = i, .size = in.size[i], .mode = 0100640, .uid = 100, .nlink = 1 };
		block(&in, i, 0, in.size[i]);
	}
	whole = check(&in, SIZE_MAX);
	pieces = check(&in, 0);
	compare(whole, pieces);
	show(&in);
	free(whole);
	free(pieces);
	for (unsigned i = 0; i < 3; i++)
		free((void *)(uintptr_t)in.m.parts[i].bytes);
	return 0;
}
