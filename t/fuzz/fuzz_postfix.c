/*
 * fuzz_postfix.c - any bytes as a Postfix queue file
 *
 * check(), decode() and body() each run twice: over the whole file at once, and
 * through windows that are often as small as `need` allows. Both must say the
 * same, in a bounded number of steps, and about bytes that the file has.
 *
 * Input: place, version, status, window policy, line limit, length of the name,
 * name; the rest is the file.
 */
#include "fuzz.h"

#include "format.h"

extern const struct format fmt_postfix;

#define HEAD 6
#define NAME_BYTES 48

struct input {
	char name[NAME_BYTES + 1];
	struct message m;
	const uint8_t *file;
	size_t size;
	unsigned policy;  /* how much more than needed a window holds */
	bool pointers;    /* a 'p' somewhere: records may be read again */
};

/* --- Windows ------------------------------------------------------------------ */

/* A window for `want` in its own block; the one before is gone. */
static void give(struct input *in, const struct want *want)
{
	static const size_t more[] = { 0, 1, 7, 64, 300, SIZE_MAX };
	struct part *p = &in->m.parts[0];
	size_t extra = more[in->policy % (sizeof more / sizeof more[0])], len;

	must(want->part == 0);
	must(want->off < in->size);
	must(want->need >= 1 && want->need <= want->len);
	must(want->len <= WINDOW_MAX);
	must(want->need <= in->size - want->off);
	must(want->off < p->off || want->off + want->need > p->off + p->len);
	len = want->len - want->need < extra ? want->len : want->need + extra;
	if (len > in->size - want->off)
		len = (size_t)(in->size - want->off);
	free((void *)(uintptr_t)p->bytes);
	p->bytes = fuzz_copy(in->file + want->off, len);
	p->off = want->off;
	p->len = len;
}

static void whole(struct input *in)
{
	struct part *p = &in->m.parts[0];

	free((void *)(uintptr_t)p->bytes);
	p->bytes = fuzz_copy(in->file, in->size);
	p->off = 0;
	p->len = in->size;
}

/* Nothing yet: the first call has to ask. */
static void nothing(struct input *in)
{
	struct part *p = &in->m.parts[0];

	free((void *)(uintptr_t)p->bytes);
	p->bytes = fuzz_copy(NULL, 0);
	p->off = 0;
	p->len = 0;
}

/* More answers than this is no progress. Without pointers each record is read
 * once or twice; with them Brent ends a loop after three rounds, each of them
 * no longer than the file. */
static uint64_t bound(const struct input *in)
{
	uint64_t records = in->size / 2 + 1;

	return 64 + (in->pointers ? 16 * records * records : 8 * records);
}

static bool inside(const struct input *in, uint64_t offset, uint64_t length)
{
	return offset <= in->size && length <= in->size - offset;
}

/* --- check() ------------------------------------------------------------------ */

static void check_text(const struct text *t)
{
	must(t->len <= TEXT_MAX);
}

static void check_finding(const struct input *in, const struct finding *f)
{
	must(finding_def(f->id) != NULL);
	must(f->severity <= SEV_CORRUPT);
	must(f->impact <= IMPACT_SERVER_STOPS);
	must(f->unit <= UNIT_PART);
	must(f->part == 0);
	must(inside(in, f->offset, f->length));
	check_text(&f->field);
	check_text(&f->expected);
	check_text(&f->found);
}

static void check_report(const struct input *in, const struct report *r)
{
	must(r->count <= REPORT_MAX);
	must(r->count == REPORT_MAX || r->more == 0);
	must(r->sender_len <= ADDRESS_MAX);
	must(r->recipient_len <= ADDRESS_MAX);
	must(in->pointers || r->recipients + r->recipients_done <= in->size / 2);
	must(r->recipients > 0 || r->recipient_len == 0);
	for (unsigned i = 0; i < r->count; i++)
		check_finding(in, &r->findings[i]);
}

static void same_text(const struct text *a, const struct text *b)
{
	must(a->len == b->len);
	must(memcmp(a->bytes, b->bytes, a->len) == 0);
}

static void same_finding(const struct finding *a, const struct finding *b)
{
	must(a->id == b->id);
	must(a->severity == b->severity && a->impact == b->impact && a->unit == b->unit);
	must(a->offset == b->offset && a->length == b->length);
	same_text(&a->field, &b->field);
	same_text(&a->expected, &b->expected);
	same_text(&a->found, &b->found);
}

static void same_report(const struct report *a, const struct report *b)
{
	must(a->count == b->count);
	must(a->more == b->more);
	must(a->has_sender == b->has_sender && a->has_arrival == b->has_arrival);
	must(a->sender_len == b->sender_len && a->recipient_len == b->recipient_len);
	must(memcmp(a->sender, b->sender, a->sender_len) == 0);
	must(memcmp(a->recipient, b->recipient, a->recipient_len) == 0);
	must(a->recipients == b->recipients && a->recipients_done == b->recipients_done);
	must(a->arrival == b->arrival);
	for (unsigned i = 0; i < a->count; i++)
		same_finding(&a->findings[i], &b->findings[i]);
}

static void check(struct input *in, struct report *r)
{
	void *scratch = calloc(1, fmt_postfix.check_scratch);
	uint64_t steps = 0;
	struct want want = { 0 };
	enum step step;

	must(scratch != NULL);
	report_reset(r);
	while ((step = fmt_postfix.check(scratch, &in->m, r, &want)) == STEP_WANT) {
		must(in->m.parts[0].len < in->size); /* never with all at hand */
		must(++steps < bound(in));
		give(in, &want);
	}
	must(step == STEP_DONE);
	free(scratch);
	check_report(in, r);
}

static void try_check(struct input *in)
{
	static struct report first, second;

	whole(in);
	check(in, &first);
	nothing(in);
	check(in, &second);
	same_report(&first, &second);
}

/* --- decode() ----------------------------------------------------------------- */

static bool next_row(struct input *in, void *scratch, struct row *row)
{
	struct want want = { 0 };
	enum step step;

	while ((step = fmt_postfix.decode(scratch, &in->m, row, &want)) == STEP_WANT) {
		must(in->m.parts[0].len < in->size);
		give(in, &want);
	}
	if (step == STEP_DONE)
		return false;
	must(step == STEP_ROW);
	must(row->part == 0);
	must(inside(in, row->offset, row->length));
	must(!row->has_target || row->target < in->size);
	must(row->npersonal <= ROW_PERSONAL);
	for (unsigned i = 0; i < row->npersonal; i++)
		must(row->told && row->personal[i].kind < PERSONAL_KINDS &&
		     inside(in, row->personal[i].offset, row->personal[i].length));
	check_text(&row->kind);
	check_text(&row->detail);
	return true;
}

/* Rows of the whole file, and of a second input with the same file in windows. */
static void try_decode(struct input *in, struct input *windowed)
{
	void *a = calloc(1, fmt_postfix.decode_scratch), *b = calloc(1, fmt_postfix.decode_scratch);
	struct row left, right;
	uint64_t rows = 0;

	must(a != NULL && b != NULL);
	whole(in);
	nothing(windowed);
	while (next_row(in, a, &left)) {
		must(++rows < bound(in));
		must(next_row(windowed, b, &right));
		must(left.offset == right.offset && left.length == right.length);
		must(left.has_target == right.has_target && left.target == right.target);
		must(left.depth == right.depth);
		same_text(&left.kind, &right.kind);
		same_text(&left.detail, &right.detail);
	}
	must(!next_row(windowed, b, &right));
	free(a);
	free(b);
}

/* --- body() ------------------------------------------------------------------- */

static bool next_run(struct input *in, void *scratch, struct run *run)
{
	struct want want = { 0 };
	enum step step;

	while ((step = fmt_postfix.body(scratch, &in->m, run, &want)) == STEP_WANT) {
		must(in->m.parts[0].len < in->size);
		give(in, &want);
	}
	if (step == STEP_DONE)
		return false;
	must(step == STEP_ROW);
	must(run->part == 0);
	must(inside(in, run->offset, run->length));
	return true;
}

static void try_body(struct input *in, struct input *windowed)
{
	void *a = calloc(1, fmt_postfix.body_scratch), *b = calloc(1, fmt_postfix.body_scratch);
	struct run left = { 0 }, right = { 0 };
	uint64_t runs = 0;

	must(a != NULL && b != NULL);
	whole(in);
	nothing(windowed);
	while (next_run(in, a, &left)) {
		must(++runs < bound(in));
		must(next_run(windowed, b, &right));
		must(left.offset == right.offset && left.length == right.length);
		must(left.newline == right.newline);
	}
	must(!next_run(windowed, b, &right));
	free(a);
	free(b);
}

/* --- Names -------------------------------------------------------------------- */

/* What a name says leads back to it. */
static void try_name(struct input *in)
{
	struct name n = fmt_postfix.id_of(in->m.place, in->name);
	char path[300], tight[300];
	size_t len;

	must(n.id >= in->name && n.id + n.id_len <= in->name + strlen(in->name));
	if (n.kind != NAME_MESSAGE)
		return;
	must(n.role == 0);
	len = fmt_postfix.path_of(in->m.place, 0, n.id, n.id_len, in->policy % 9, path, sizeof path);
	must(len > 0 && len < sizeof path && path[len] == '\0');
	must(fmt_postfix.path_of(in->m.place, 0, n.id, n.id_len, in->policy % 9, tight, len) == 0);
	must(memcmp(path + len - n.id_len, n.id, n.id_len) == 0);
	in->m.id = n.id;
	in->m.id_len = n.id_len;
}

/* --- All of it ---------------------------------------------------------------- */

/* Fill in what the first bytes choose; false when there are too few. */
static bool set_up(struct input *in, const uint8_t *data, size_t size)
{
	static const uint32_t versions[] = { 0, VERSION(2, 11, 0), VERSION(3, 7, 11),
					     VERSION(3, 11, 6), VERSION(3, 14, 0) };
	static const uint64_t limits[] = { 0, 100, 2048 };
	static const uint32_t modes[] = { 0100700, 0100700, 0100700, 0100400, 0100600, 0040755 };
	struct message *m = &in->m;
	size_t name;

	if (size < HEAD)
		return false;
	name = data[5] % (NAME_BYTES + 1);
	if (size < HEAD + name)
		return false;
	memset(in, 0, sizeof *in);
	memcpy(in->name, data + HEAD, name);
	in->file = data + HEAD + name;
	in->size = size - HEAD - name;
	in->policy = data[3];
	in->pointers = in->size > 0 && memchr(in->file, 'p', in->size) != NULL;
	m->place = data[0] % 7; /* the places of messages; logs are not checked */
	m->path = in->name;
	m->id = in->name;
	m->id_len = strlen(in->name);
	m->site.now = 1800000000;
	m->site.owner = data[2] & 0x80 ? UINT32_MAX : 100;
	m->site.version = versions[data[1] % (sizeof versions / sizeof versions[0])];
	m->site.record_limit = limits[data[4] % (sizeof limits / sizeof limits[0])];
	m->parts[0].ino = 0x1c0b9;
	m->parts[0].size = in->size;
	m->parts[0].mtime = data[2] & 0x40 ? 1700000000 : 1800000000;
	m->parts[0].mode = modes[data[2] % (sizeof modes / sizeof modes[0])];
	m->parts[0].uid = 100;
	m->parts[0].nlink = 1;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct input in, windowed;

	if (!set_up(&in, data, size) || !set_up(&windowed, data, size))
		return 0;
	try_name(&in);
	try_name(&windowed);
	try_check(&in);
	try_decode(&in, &windowed);
	try_body(&in, &windowed);
	free((void *)(uintptr_t)in.m.parts[0].bytes);
	free((void *)(uintptr_t)windowed.m.parts[0].bytes);
	return 0;
}
