/*
 * fuzz_sendmail.c - any bytes as a Sendmail message
 *
 * check(), decode() and body() each run over the whole text and through small
 * windows of it. Both must say the same, in a bounded number of steps, and about
 * bytes that the parts have.
 *
 * Input: letter, version, window policy, where the text lies, age; the control file up
 * to the first 0xff 0x00; the rest is the text.
 */
#include "fuzz.h"

#include "format.h"

extern const struct format fmt_sendmail;

#define HEAD 5
#define ID "6AKCZi2h000071"
#define CONTROL 0

struct input {
	struct message m;
	const uint8_t *bytes[3];
	size_t size[3];
	unsigned text;   /* the part that the text is: 1 in the queue directory, 2 in df/ */
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
	const struct part *p = &in->m.parts[in->text];
	size_t extra = more[in->policy % (sizeof more / sizeof more[0])], len;

	must(want->part == in->text);
	must(want->off < in->size[in->text]);
	must(want->need >= 1 && want->need <= want->len && want->len <= WINDOW_MAX);
	must(want->need <= in->size[in->text] - want->off);
	must(want->off < p->off || want->off + want->need > p->off + p->len);
	len = want->len - want->need < extra ? want->len : want->need + extra;
	if (len > in->size[in->text] - want->off)
		len = (size_t)(in->size[in->text] - want->off);
	block(in, in->text, want->off, len);
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
	void *scratch = calloc(1, fmt_sendmail.check_scratch);
	uint64_t steps = 0;
	struct want want;

	if (in->bytes[in->text] != NULL)
		block(in, in->text, 0, start < in->size[in->text] ? start : in->size[in->text]);
	while (fmt_sendmail.check(scratch, &in->m, r, &want) == STEP_WANT) {
		must(++steps <= in->size[in->text] + 4);
		give(in, &want);
	}
	for (unsigned i = 0; i < r->count; i++) {
		const struct finding *f = &r->findings[i];

		must(i < REPORT_MAX && finding_def(f->id) != NULL && f->severity <= SEV_CORRUPT);
		must(f->impact <= IMPACT_SERVER_STOPS && inside(in, f->part, f->offset, f->length));
	}
	must(r->sender_len <= ADDRESS_MAX && r->recipient_len <= ADDRESS_MAX);
	must(r->recipients <= in->size[CONTROL]);
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
	void *scratch = calloc(1, fmt_sendmail.decode_scratch);
	uint64_t n = 0, most = 4 * in->size[CONTROL] + 2 * in->size[in->text] + 100;
	struct want want;
	struct row row;
	struct run run;
	enum step step;

	if (in->bytes[in->text] != NULL)
		block(in, in->text, 0, 0);
	while ((step = fmt_sendmail.decode(scratch, &in->m, &row, &want)) != STEP_DONE) {
		must(++n <= most);
		if (step == STEP_WANT)
			give(in, &want);
		else
			must(inside(in, row.part, row.offset, row.length) && row.kind.len > 0);
	}
	memset(scratch, 0, fmt_sendmail.body_scratch);
	for (n = 0; fmt_sendmail.body(scratch, &in->m, &run, &want) == STEP_ROW; n++)
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
	static const uint32_t versions[] = { 0, VERSION(8, 9, 3), VERSION(8, 17, 1), VERSION(8, 19, 0) };
	static const char *const paths[] = { "qf" ID, "hf" ID, "Qf" ID, "qfcopy" };
	struct report *whole, *pieces;
	struct input in = { .text = 1 };
	int64_t age;

	if (size < HEAD)
		return 0;
	in.m.path = paths[data[0] % 4];
	in.m.id = in.m.path + 2;
	in.m.id_len = strlen(in.m.id);
	in.m.force = (data[0] & 4) != 0;
	in.m.site.now = 1795177000;
	in.m.site.owner = UINT32_MAX;
	in.m.site.version = versions[data[1] % 4];
	in.policy = data[2];
	in.text = data[3] & 1 ? 2 : 1;
	age = data[4] & 1 ? 60 : 3600;
	if ((data[3] & 6) == 6)
		in.text = 0; /* there is none */
	data += HEAD;
	size -= HEAD;
	split(&in, CONTROL, &data, &size);
	if (in.text != 0) {
		in.bytes[in.text] = data;
		in.size[in.text] = size;
	} else {
		in.text = 1;
	}
	for (unsigned i = 0; i < 3; i++) {
		struct part *p = &in.m.parts[i];

		if (in.bytes[i] == NULL)
			continue;
		*p = (struct part){ .ino = i, .size = in.size[i], .mode = 0100600, .nlink = 1,
				    .mtime = in.m.site.now - age };
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
