/*
 * fuzz_courier.c - any bytes as control file, text and name of a message of Courier
 *
 * check() and decode() each run twice: with the whole text at once, and through windows that
 * are often as small as `need` allows. Both must say the same, in a bounded number of steps, and
 * about bytes that the files have.
 *
 * Input: place, facts, window policy, length of the name, name; then the control file up to FF 00,
 * and the text.
 */
#include "windows.h"

extern const struct format fmt_courier;

#define HEAD 4
#define NAME_BYTES 48
#define ENTRY 0
#define CONTROL 1
#define TEXT 2

struct input {
	char name[NAME_BYTES + 1];
	struct message m;
	const uint8_t *text;
	size_t control_size, text_size;
	unsigned policy; /* how much more than needed a window holds */
};

/* --- Windows -------------------------------------------------------------------- */

static void window(struct input *in, uint64_t off, size_t len)
{
	fuzz_window(&in->m.parts[TEXT], in->text, off, len);
}

static void give(struct input *in, const struct want *want)
{
	must(want->part == TEXT && in->m.parts[TEXT].mode != 0);
	fuzz_give(&in->m.parts[TEXT], in->text, in->text_size, in->policy, want);
}

static void inside(const struct input *in, unsigned part, uint64_t offset, uint64_t length)
{
	uint64_t size = part == TEXT ? in->text_size : in->control_size;

	must(part == ENTRY || part == TEXT);
	must(offset <= size && length <= size - offset);
}

/* --- check() ---------------------------------------------------------------------- */

static void check(struct input *in, struct report *r)
{
	void *scratch = calloc(1, fmt_courier.check_scratch);
	struct want want = { 0 };
	uint64_t steps = 0;
	enum step step;

	must(scratch != NULL);
	report_reset(r);
	while ((step = fmt_courier.check(scratch, &in->m, r, &want)) == STEP_WANT) {
		must(in->m.parts[TEXT].len < in->text_size); /* never with all at hand */
		must(++steps < in->text_size + 16);
		give(in, &want);
	}
	must(step == STEP_DONE);
	free(scratch);
	fuzz_sane_report(r);
	for (unsigned i = 0; i < r->count; i++)
		inside(in, r->findings[i].part, r->findings[i].offset, r->findings[i].length);
}

static void try_check(struct input *in)
{
	static struct report first, second;

	window(in, 0, in->text_size);
	check(in, &first);
	window(in, 0, 0);
	check(in, &second);
	fuzz_same_report(&first, &second);
}

/* --- decode() and body() ------------------------------------------------------------- */

static bool next_row(struct input *in, void *scratch, struct row *row)
{
	struct want want = { 0 };
	enum step step;

	while ((step = fmt_courier.decode(scratch, &in->m, row, &want)) == STEP_WANT) {
		must(in->m.parts[TEXT].len < in->text_size);
		give(in, &want);
	}
	if (step == STEP_DONE)
		return false;
	must(!row->has_target);
	inside(in, row->part, row->offset, row->length);
	return true;
}

static void try_decode(struct input *in, struct input *windowed)
{
	void *a = calloc(1, fmt_courier.decode_scratch), *b = calloc(1, fmt_courier.decode_scratch);
	struct row left, right;
	uint64_t rows = 0;

	must(a != NULL && b != NULL);
	window(in, 0, in->text_size);
	window(windowed, 0, 0);
	while (next_row(in, a, &left)) {
		must(++rows < in->control_size + in->text_size + 16);
		must(next_row(windowed, b, &right));
		fuzz_same_row(&left, &right);
	}
	must(!next_row(windowed, b, &right));
	free(a);
	free(b);
}

static void try_body(struct input *in)
{
	void *a = calloc(1, fmt_courier.body_scratch);
	struct want want = { 0 };
	struct run run;
	enum step step;
	unsigned runs = 0;

	must(a != NULL);
	window(in, 0, 0);
	while ((step = fmt_courier.body(a, &in->m, &run, &want)) != STEP_DONE) {
		must(++runs < 10);
		if (step == STEP_WANT)
			give(in, &want);
		else
			inside(in, run.part, run.offset, run.length);
	}
	free(a);
}

/* --- Names ----------------------------------------------------------------------------- */

/* What a name says leads to a path that says the same; no role has a path beyond the room for it. */
static void try_name(struct input *in)
{
	const char *place = fmt_courier.places[in->m.place].name;
	struct name n = fmt_courier.id_of(in->m.place, in->name), again;
	char path[400], tight[400];
	size_t len, skip = strlen(place) + 1;

	must(n.id >= in->name && n.id + n.id_len <= in->name + strlen(in->name));
	in->m.id = n.id;
	in->m.id_len = n.id_len;
	must(fmt_courier.stem(n.id, n.id_len) <= n.id_len);
	if (n.kind != NAME_MESSAGE && n.kind != NAME_COMPANION)
		return;
	len = fmt_courier.path_of(in->m.place, n.role, n.id, n.id_len, 0, path, sizeof path);
	must(len > skip && len < sizeof path && path[len] == '\0' && strlen(path) == len);
	must(fmt_courier.path_of(in->m.place, n.role, n.id, n.id_len, 0, tight, len) == 0);
	must(memcmp(path, place, skip - 1) == 0);
	again = fmt_courier.id_of(in->m.place, path + skip);
	must(again.kind == n.kind && again.role == n.role && again.id_len == n.id_len);
	must(memcmp(again.id, n.id, n.id_len) == 0);
	for (unsigned role = 0; role < fmt_courier.nroles; role++)
		must(fmt_courier.path_of(in->m.place, role, n.id, n.id_len, 0, path, sizeof path) <
		     sizeof path);
}

/* --- All of it ------------------------------------------------------------------------------ */

static void set_parts(struct input *in, uint8_t facts)
{
	struct part *parts = in->m.parts;

	parts[ENTRY] = (struct part){ .ino = 11, .size = in->control_size, .len = in->control_size,
				      .mtime = facts & 1 ? 1700000000 : 1799999990,
				      .mode = facts & 2 ? 0100660 : 0100600, .uid = facts & 4 ? 100 : 0,
				      .nlink = facts >> 3 & 3, .bytes = parts[ENTRY].bytes };
	parts[CONTROL].mode = facts & 0x20 ? 0100660 : 0;
	parts[CONTROL].ino = facts & 0x40 ? 11 : 12;
	if (facts & 0x80) {
		in->text_size = 0;
		return;
	}
	parts[TEXT].mode = 0100660;
	parts[TEXT].size = in->text_size;
}

static bool set_up(struct input *in, const uint8_t *data, size_t size)
{
	struct message *m = &in->m;
	const uint8_t *files, *end = data + size;
	size_t name;

	if (size < HEAD)
		return false;
	name = data[3] % (NAME_BYTES + 1);
	if (size < HEAD + name)
		return false;
	memset(in, 0, sizeof *in);
	memcpy(in->name, data + HEAD, name);
	files = data + HEAD + name;
	in->control_size = (size_t)(end - files);
	in->text = end;
	for (const uint8_t *p = files; p + 1 < end; p++)
		if (p[0] == 0xff && p[1] == 0) {
			in->control_size = (size_t)(p - files);
			in->text = p + 2;
			in->text_size = (size_t)(end - in->text);
			break;
		}
	m->parts[ENTRY].bytes = fuzz_copy(files, in->control_size);
	in->policy = data[2];
	m->place = data[0] % 3;
	m->force = (data[0] & 4) != 0;
	m->path = in->name;
	m->site.now = 1800000000;
	m->site.owner = 100;
	set_parts(in, data[1]);
	return true;
}

static void drop(struct input *in)
{
	free((void *)(uintptr_t)in->m.parts[ENTRY].bytes);
	free((void *)(uintptr_t)in->m.parts[TEXT].bytes);
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
	try_body(&in);
	drop(&in);
	drop(&windowed);
	return 0;
}
