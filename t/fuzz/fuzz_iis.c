/*
 * fuzz_iis.c - the IIS format against any bytes
 *
 * Input: place and what is seen (1 byte), age and more (1), how windows are given (1), length of the name (1), the name,
 * then text, three streams, .BDP and .BDR, with 0xff 0x00 between them. What one look in large windows says, a
 * look in small ones has to say, too; nothing lies outside of its part; decode() and body() end.
 */
#include "iis.h"

#include "fuzz.h"

extern const struct format fmt_iis;

#define HEAD 4u
#define NAME_BYTES 40u
#define PARTS 6u

static const unsigned roles[PARTS] = { IIS_TEXT, IIS_STREAM, IIS_STREAM + 1, IIS_STREAM + 2, IIS_BDP, IIS_BDR };

struct input {
	struct message m;
	const uint8_t *text;
	size_t text_size;
	uint8_t policy;
	char name[NAME_BYTES + 1];
};

/* --- Windows ----------------------------------------------------------------------- */

static void window(struct input *in, uint64_t off, size_t len)
{
	struct part *p = &in->m.parts[IIS_TEXT];

	must(off <= in->text_size);
	if (len > in->text_size - off)
		len = in->text_size - (size_t)off;
	free((void *)(uintptr_t)p->bytes);
	p->bytes = fuzz_copy(in->text + off, len);
	p->off = off;
	p->len = len;
}

static void give(struct input *in, const struct want *w)
{
	static const size_t least[] = { 1, 7, 512, 4096, 5000, WINDOW_MAX };
	size_t len = least[in->policy % 6];

	must(w->part == IIS_TEXT && w->need >= 1 && w->len >= w->need && w->len <= WINDOW_MAX);
	must(w->off < in->text_size && w->need <= in->text_size - w->off);
	len = len < w->need ? w->need : len;
	window(in, w->off, len < w->len ? len : w->len);
}

static void inside(const struct input *in, unsigned part, uint64_t offset, uint64_t length)
{
	must(part < IIS_ROLES && in->m.parts[part].mode != 0);
	must(offset <= in->m.parts[part].size && length <= in->m.parts[part].size - offset);
}

static void same_text(const struct text *a, const struct text *b)
{
	must(a->len <= TEXT_MAX && a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0);
}

/* --- check() ------------------------------------------------------------------------- */

static void check(struct input *in, struct report *r)
{
	void *scratch = calloc(1, fmt_iis.check_scratch);
	struct want want = { 0 };
	uint64_t steps = 0;

	must(scratch != NULL);
	report_reset(r);
	while (fmt_iis.check(scratch, &in->m, r, &want) == STEP_WANT) {
		must(in->m.parts[IIS_TEXT].len < in->text_size);
		must(++steps < in->text_size + 16);
		give(in, &want);
	}
	free(scratch);
	must(r->count <= REPORT_MAX && (r->count == REPORT_MAX || r->more == 0));
	must(r->sender_len <= ADDRESS_MAX && r->recipient_len <= ADDRESS_MAX);
	for (unsigned i = 0; i < r->count; i++) {
		const struct finding *f = &r->findings[i];

		must(finding_def(f->id) != NULL && f->severity <= finding_def(f->id)->severity);
		inside(in, f->part, f->offset, f->length);
	}
}

static void try_check(struct input *in)
{
	static struct report first, second;

	window(in, 0, in->text_size);
	check(in, &first);
	window(in, 0, 0);
	check(in, &second);
	must(first.count == second.count && first.more == second.more);
	must(first.recipients == second.recipients && first.sender_len == second.sender_len);
	for (unsigned i = 0; i < first.count; i++) {
		const struct finding *a = &first.findings[i], *b = &second.findings[i];

		must(a->id == b->id && a->severity == b->severity && a->impact == b->impact);
		must(a->part == b->part && a->offset == b->offset && a->length == b->length);
		same_text(&a->field, &b->field);
		same_text(&a->expected, &b->expected);
		same_text(&a->found, &b->found);
	}
}

/* --- decode() and body() --------------------------------------------------------------- */

static bool next_row(struct input *in, void *scratch, struct row *row)
{
	struct want want = { 0 };
	enum step step;

	memset(row, 0, sizeof *row);
	while ((step = fmt_iis.decode(scratch, &in->m, row, &want)) == STEP_WANT)
		give(in, &want);
	if (step == STEP_DONE)
		return false;
	must(!row->has_target);
	inside(in, row->part, row->offset, row->length);
	must(row->npersonal <= ROW_PERSONAL);
	for (unsigned i = 0; i < row->npersonal; i++)
		inside(in, row->part, row->personal[i].offset, row->personal[i].length);
	return true;
}

static void try_decode(struct input *in, struct input *windowed)
{
	void *a = calloc(1, fmt_iis.decode_scratch), *b = calloc(1, fmt_iis.decode_scratch);
	struct row left, right;
	uint64_t rows = 0, bytes = 0;

	must(a != NULL && b != NULL);
	for (unsigned i = 0; i < IIS_ROLES; i++)
		bytes += in->m.parts[i].size;
	window(in, 0, in->text_size);
	window(windowed, 0, 0);
	while (next_row(in, a, &left)) {
		must(++rows < bytes + 32);
		must(next_row(windowed, b, &right));
		must(left.part == right.part && left.offset == right.offset && left.length == right.length);
		same_text(&left.kind, &right.kind);
		same_text(&left.detail, &right.detail);
	}
	must(!next_row(windowed, b, &right));
	free(a);
	free(b);
}

static void try_body(struct input *in)
{
	void *a = calloc(1, fmt_iis.body_scratch);
	struct want want = { 0 };
	struct run run;
	enum step step;
	unsigned runs = 0;

	must(a != NULL);
	window(in, 0, 0);
	while ((step = fmt_iis.body(a, &in->m, &run, &want)) != STEP_DONE) {
		must(++runs < 10);
		if (step == STEP_WANT)
			give(in, &want);
		else
			inside(in, run.part, run.offset, run.length);
	}
	free(a);
}

/* --- X-ExtendedProps ---------------------------------------------------------------------- */

/* The text as base64 of a block: tokens follow each other, and it ends. */
static void try_props(const struct input *in)
{
	uint8_t *bytes = fuzz_copy(in->text, in->text_size);
	struct iis_props p = iis_props(cur_make(bytes, in->text_size, 0));
	uint64_t end = 0, tokens = 0;
	struct iis_token t;
	bool value = false;

	must(p.left <= in->text_size);
	for (;;) {
		enum iis_props_end said = iis_props_next(&p, &t);

		must(t.off >= end && t.off <= in->text_size && t.len <= in->text_size - t.off);
		must(t.nview <= IIS_PROPS_VIEW && t.value == value);
		if (said != IIS_PROPS_TOKEN)
			break;
		must(t.len > 0 && ++tokens <= in->text_size);
		value = !value;
		end = t.off + t.len;
	}
	free(bytes);
}

/* --- Names ----------------------------------------------------------------------------------- */

static void try_name(struct input *in)
{
	struct name n = fmt_iis.id_of(in->m.place, in->name), again;
	char path[400], tight[400];
	size_t len, skip = strlen(fmt_iis.places[in->m.place].name) + 1;

	must(n.id >= in->name && n.id + n.id_len <= in->name + strlen(in->name));
	in->m.id = n.id;
	in->m.id_len = n.id_len;
	if (n.kind != NAME_MESSAGE && n.kind != NAME_COMPANION)
		return;
	len = fmt_iis.path_of(in->m.place, fmt_iis.roles[n.role].stream ? 0 : n.role, n.id, n.id_len, 0, path,
			      sizeof path);
	must(len > skip && len < sizeof path && path[len] == '\0' && strlen(path) == len);
	must(fmt_iis.path_of(in->m.place, fmt_iis.roles[n.role].stream ? 0 : n.role, n.id, n.id_len, 0, tight,
			     len) == 0);
	again = fmt_iis.id_of(in->m.place, path + skip);
	must(again.kind != NAME_FOREIGN && again.id_len == n.id_len && memcmp(again.id, n.id, n.id_len) == 0);
}

/* --- All of it ----------------------------------------------------------------------------------- */

static void set_part(struct input *in, unsigned index, const uint8_t *bytes, size_t size, uint8_t facts)
{
	unsigned role = roles[index];
	struct part *p = &in->m.parts[role];

	if (index > 0 && size == 0 && facts & 1)
		return; /* there is none */
	*p = (struct part){ .ino = 7, .mode = 0100600, .nlink = 1, .size = size, .len = size,
			    .mtime = facts & 2 ? 1799999900 : 1700000000 };
	if (fmt_iis.roles[role].stream) {
		p->name = "PROPERTIES";
		p->name_len = 10;
	}
	p->bytes = fuzz_copy(bytes, size);
	if (index == 0) {
		in->text = bytes;
		in->text_size = size;
	}
}

static bool set_up(struct input *in, const uint8_t *data, size_t size)
{
	const uint8_t *at, *end = data + size;
	size_t name;

	if (size < HEAD)
		return false;
	name = data[3] % (NAME_BYTES + 1);
	if (size < HEAD + name)
		return false;
	memset(in, 0, sizeof *in);
	memcpy(in->name, data + HEAD, name);
	at = data + HEAD + name;
	in->policy = data[2];
	in->m.place = (data[0] & 15) % IIS_PLACES;
	in->m.path = in->name;
	in->m.force = (data[0] & 16) != 0;
	in->m.more_streams = (data[0] & 32) != 0;
	in->m.site.now = 1800000000;
	in->m.site.streams_seen = (data[0] & 64) != 0;
	in->m.site.streams_known = data[1] >> 2 & 3;
	for (unsigned i = 0; i < PARTS; i++) {
		const uint8_t *stop = at;

		while (stop < end && !(i + 1 < PARTS && stop + 1 < end && stop[0] == 0xff && stop[1] == 0))
			stop++;
		set_part(in, i, at, (size_t)(stop - at), data[1]);
		at = stop < end ? stop + 2 : end;
	}
	return true;
}

static void drop(struct input *in)
{
	for (unsigned i = 0; i < IIS_ROLES; i++)
		free((void *)(uintptr_t)in->m.parts[i].bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct input in, windowed;

	if (!set_up(&in, data, size) || !set_up(&windowed, data, size))
		return 0;
	try_name(&in);
	try_name(&windowed);
	try_props(&in);
	try_check(&in);
	try_decode(&in, &windowed);
	try_body(&in);
	drop(&in);
	drop(&windowed);
	return 0;
}
