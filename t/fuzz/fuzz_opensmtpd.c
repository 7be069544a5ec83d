/*
 * fuzz_opensmtpd.c - any bytes as an envelope, a body or a submission of OpenSMTPD
 *
 * check() and decode() each run twice: over the whole file at once, and through windows that
 * are often as small as `need` allows. Both must say the same, in a bounded number of steps, and
 * about bytes that the file has.
 *
 * The bytes are those of the file, or what it unpacks to.
 *
 * Input: what it is, version, window policy, facts of the parts, length of the name, name; the
 * rest is the file.
 */
#include "windows.h"

extern const struct format fmt_opensmtpd;

#define HEAD 5
#define NAME_BYTES 40

struct input {
	char name[NAME_BYTES + 1];
	struct message m;
	const uint8_t *file;
	size_t size;
	unsigned part;   /* whose bytes they are: the file's, or those of the unpacked text */
	unsigned policy; /* how much more than needed a window holds */
};

/* --- Windows -------------------------------------------------------------------- */

static void window(struct input *in, uint64_t off, size_t len)
{
	fuzz_window(&in->m.parts[in->part], in->file, off, len);
}

static void give(struct input *in, const struct want *want)
{
	must(want->part == in->part);
	fuzz_give(&in->m.parts[in->part], in->file, in->size, in->policy, want);
}

static void inside(const struct input *in, unsigned part, uint64_t offset, uint64_t length)
{
	uint64_t size = in->m.parts[part].size;

	must(part == 0 || part == in->part);
	must(offset <= size && length <= size - offset);
}

/* --- check() ---------------------------------------------------------------------- */

static void check(struct input *in, struct report *r)
{
	void *scratch = calloc(1, fmt_opensmtpd.check_scratch);
	struct want want = { 0 };
	uint64_t steps = 0;
	enum step step;

	must(scratch != NULL);
	report_reset(r);
	while ((step = fmt_opensmtpd.check(scratch, &in->m, r, &want)) == STEP_WANT) {
		must(in->m.parts[in->part].len < in->size); /* never with all at hand */
		must(++steps < in->size + 16);
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

	window(in, 0, in->size);
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

	while ((step = fmt_opensmtpd.decode(scratch, &in->m, row, &want)) == STEP_WANT) {
		must(in->m.parts[in->part].len < in->size);
		give(in, &want);
	}
	if (step == STEP_DONE)
		return false;
	must(!row->has_target && row->npersonal <= ROW_PERSONAL);
	inside(in, row->part, row->offset, row->length);
	for (unsigned i = 0; i < row->npersonal; i++)
		inside(in, row->part, row->personal[i].offset, row->personal[i].length);
	return true;
}

static void try_decode(struct input *in, struct input *windowed)
{
	void *a = calloc(1, fmt_opensmtpd.decode_scratch), *b = calloc(1, fmt_opensmtpd.decode_scratch);
	struct row left, right;
	uint64_t rows = 0;

	must(a != NULL && b != NULL);
	window(in, 0, in->size);
	window(windowed, 0, 0);
	while (next_row(in, a, &left)) {
		must(++rows < in->size + 16);
		must(next_row(windowed, b, &right));
		fuzz_same_row(&left, &right);
	}
	must(!next_row(windowed, b, &right));
	free(a);
	free(b);
}

static void try_body(struct input *in)
{
	void *a = calloc(1, fmt_opensmtpd.body_scratch);
	struct want want = { 0 };
	struct run run;
	enum step step;
	unsigned runs = 0;

	must(a != NULL);
	window(in, 0, 0);
	while ((step = fmt_opensmtpd.body(a, &in->m, &run, &want)) != STEP_DONE) {
		must(++runs < 10);
		if (step == STEP_WANT)
			give(in, &want);
		else
			inside(in, run.part, run.offset, run.length);
	}
	free(a);
}

/* --- Names ----------------------------------------------------------------------------- */

/* What a name says leads to a path that says the same. */
static void try_name(struct input *in)
{
	struct name n = fmt_opensmtpd.id_of(in->m.place, in->name), again;
	char path[400], tight[400];
	size_t len, skip = in->m.place == 0 ? 6 : 8;

	must(n.id >= in->name && n.id + n.id_len <= in->name + strlen(in->name));
	in->m.id = n.id;
	in->m.id_len = n.id_len;
	if (n.kind != NAME_MESSAGE)
		return;
	len = fmt_opensmtpd.path_of(in->m.place, 0, n.id, n.id_len, 0, path, sizeof path);
	must(len > skip && len < sizeof path && path[len] == '\0');
	must(fmt_opensmtpd.path_of(in->m.place, 0, n.id, n.id_len, 0, tight, len) == 0);
	again = fmt_opensmtpd.id_of(in->m.place, path + skip);
	must(again.kind == NAME_MESSAGE && again.id_len == n.id_len);
	for (unsigned role = 1; role < fmt_opensmtpd.nroles; role++)
		must(fmt_opensmtpd.path_of(in->m.place, role, n.id, n.id_len, 0, path, sizeof path) <
		     sizeof path);
}

/* --- All of it ------------------------------------------------------------------------------ */

static bool set_up(struct input *in, const uint8_t *data, size_t size)
{
	static const uint32_t versions[] = { 0, VERSION(6, 8, 0), VERSION(7, 8, 0), VERSION(8, 0, 0) };
	static const uint32_t modes[] = { 0, 0100600, 0120777, 0040700 };
	struct message *m = &in->m;
	size_t name;

	if (size < HEAD)
		return false;
	name = data[4] % (NAME_BYTES + 1);
	if (size < HEAD + name)
		return false;
	memset(in, 0, sizeof *in);
	memcpy(in->name, data + HEAD, name);
	in->file = data + HEAD + name;
	in->size = size - HEAD - name;
	in->policy = data[2];
	m->place = data[0] % 2;
	m->force = (data[0] & 2) != 0;
	m->path = in->name;
	m->site.now = 1800000000;
	m->site.owner = data[3] & 0x80 ? UINT32_MAX : 100;
	m->site.version = versions[data[1] % 4];
	m->parts[0].ino = 7;
	m->parts[0].size = in->size;
	m->parts[0].mtime = data[3] & 0x40 ? 1700000000 : 1900000000;
	m->parts[0].mode = data[3] & 0x20 ? 0100600 : 0100644;
	m->parts[0].uid = data[3] & 0x10 ? 100 : 0;
	m->parts[0].nlink = 1;
	if (m->place == 0 && (data[0] >> 2) % 6 != 0) {
		in->part = fmt_opensmtpd.nroles - 1;
		m->parts[in->part] = m->parts[0];
		m->parts[in->part].mode = 0100600;
		m->parts[in->part].frame = (uint8_t)(data[0] >> 2) % 6;
		m->parts[in->part].frame_at = data[1];
		m->parts[in->part].frame_why = "incorrect data check";
		m->parts[0].size = 300;
	}
	m->parts[1].mode = modes[data[3] % 4];
	m->parts[2].mode = modes[data[3] / 4 % 4];
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
	try_body(&in);
	free((void *)(uintptr_t)in.m.parts[in.part].bytes);
	free((void *)(uintptr_t)windowed.m.parts[windowed.part].bytes);
	return 0;
}
