/*
 * fuzz_qmail.c - any bytes as a qmail message
 *
 * check() and decode() each run over whole files and through windows that are often as small as
 * `need` allows. Both must say the same, in a bounded number of steps, and about bytes that the
 * files have.
 *
 * Input: place, window policy, which files there are, facts, length of the name, name; then the
 * files in the order of the places, each up to 0xff 0x00.
 */
#include "fuzz.h"

#include "format.h"

extern const struct format fmt_qmail;

#define HEAD 5
#define FILES 7u /* info, todo, local, remote, bounce, intd, mess */
#define MESS 6u
#define ID "1400885"
#define NAME_BYTES 40

struct input {
	char name[NAME_BYTES + 1];
	struct message m;
	const uint8_t *bytes[FILES + 1]; /* by role */
	size_t size[FILES + 1], all;
	unsigned policy; /* how much more than needed a window holds */
};

/* --- Windows -------------------------------------------------------------------- */

static void window(struct input *in, unsigned role, uint64_t off, size_t len)
{
	struct part *p = &in->m.parts[role];

	len = len < in->size[role] - off ? len : (size_t)(in->size[role] - off);
	free((void *)(uintptr_t)p->bytes);
	p->bytes = fuzz_copy(in->bytes[role] + off, len);
	p->off = off;
	p->len = len;
}

static void rewind_all(struct input *in, size_t len)
{
	for (unsigned role = 0; role <= FILES; role++)
		if (in->m.parts[role].mode != 0)
			window(in, role, 0, len);
}

static void give(struct input *in, const struct want *want)
{
	static const size_t more[] = { 0, 1, 7, 64, 300, SIZE_MAX };
	size_t extra = more[in->policy % (sizeof more / sizeof more[0])];
	const struct part *p;

	must(want->part <= FILES && in->m.parts[want->part].mode != 0);
	p = &in->m.parts[want->part];
	must(want->need >= 1 && want->need <= want->len && want->len <= WINDOW_MAX);
	must(want->off < p->size && want->need <= p->size - want->off);
	must(want->off < p->off || want->off + want->need > p->off + p->len);
	window(in, want->part, want->off,
	       want->len - want->need < extra ? want->len : want->need + extra);
}

static bool inside(const struct input *in, unsigned role, uint64_t offset, uint64_t length)
{
	return role <= FILES && in->m.parts[role].mode != 0 && offset <= in->size[role] &&
	       length <= in->size[role] - offset;
}

static void same_text(const struct text *a, const struct text *b)
{
	must(a->len <= TEXT_MAX && a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0);
}

/* --- check() ---------------------------------------------------------------------- */

static struct report *check(struct input *in, size_t start)
{
	struct report *r = calloc(1, sizeof *r);
	void *scratch = calloc(1, fmt_qmail.check_scratch);
	uint64_t steps = 0;
	struct want want;

	must(r != NULL && scratch != NULL);
	rewind_all(in, start);
	while (fmt_qmail.check(scratch, &in->m, r, &want) == STEP_WANT) {
		must(++steps <= 3 * in->all + 16);
		give(in, &want);
	}
	for (unsigned i = 0; i < r->count; i++) {
		const struct finding *f = &r->findings[i];

		must(i < REPORT_MAX && finding_def(f->id) != NULL && f->severity <= SEV_CORRUPT);
		must(f->impact <= IMPACT_SERVER_STOPS && inside(in, f->part, f->offset, f->length));
	}
	must(r->sender_len <= ADDRESS_MAX && r->recipient_len <= ADDRESS_MAX);
	must(r->recipients + r->recipients_done <= in->all);
	free(scratch);
	return r;
}

static void try_check(struct input *in)
{
	struct report *a = check(in, SIZE_MAX), *b = check(in, 0);

	must(a->count == b->count && a->more == b->more && a->recipients == b->recipients);
	must(a->recipients_done == b->recipients_done && a->sender_len == b->sender_len);
	for (unsigned i = 0; i < a->count; i++) {
		const struct finding *x = &a->findings[i], *y = &b->findings[i];

		must(x->id == y->id && x->offset == y->offset && x->length == y->length);
		must(x->severity == y->severity && x->impact == y->impact && x->part == y->part);
		same_text(&x->found, &y->found);
		same_text(&x->expected, &y->expected);
	}
	free(a);
	free(b);
}

/* --- decode() and body() ------------------------------------------------------------- */

static bool next_row(struct input *in, void *scratch, struct row *row)
{
	struct want want;
	enum step step;

	while ((step = fmt_qmail.decode(scratch, &in->m, row, &want)) == STEP_WANT)
		give(in, &want);
	if (step == STEP_DONE)
		return false;
	must(inside(in, row->part, row->offset, row->length) && row->kind.len <= TEXT_MAX);
	return true;
}

static void try_decode(struct input *in)
{
	void *a = calloc(1, fmt_qmail.decode_scratch);
	uint64_t rows = 0, again = 0;
	struct text *kinds = NULL;
	struct row row;

	must(a != NULL);
	rewind_all(in, SIZE_MAX);
	while (next_row(in, a, &row)) {
		must(++rows <= in->all + 2 * FILES + 2);
		kinds = realloc(kinds, rows * 2 * sizeof *kinds);
		must(kinds != NULL);
		kinds[rows * 2 - 2] = row.kind;
		kinds[rows * 2 - 1] = row.detail;
	}
	memset(a, 0, fmt_qmail.decode_scratch);
	rewind_all(in, 0);
	while (next_row(in, a, &row)) {
		must(++again <= rows);
		same_text(&kinds[again * 2 - 2], &row.kind);
		same_text(&kinds[again * 2 - 1], &row.detail);
	}
	must(again == rows);
	free(kinds);
	free(a);
}

static void try_body(struct input *in)
{
	void *a = calloc(1, fmt_qmail.body_scratch);
	struct want want;
	struct run run;
	enum step step;
	unsigned runs = 0;

	must(a != NULL);
	rewind_all(in, 0);
	while ((step = fmt_qmail.body(a, &in->m, &run, &want)) != STEP_DONE) {
		must(++runs < 10);
		if (step == STEP_WANT)
			give(in, &want);
		else
			must(inside(in, run.part, run.offset, run.length));
	}
	free(a);
}

/* --- Names ----------------------------------------------------------------------------- */

/* What a name says leads to a path that says the same. */
static void try_name(struct input *in)
{
	struct name n = fmt_qmail.id_of(in->m.place, in->name), again;
	const struct site *s = &in->m.site;
	char path[100], tight[100];
	size_t len, skip;

	must(n.id >= in->name && n.id + n.id_len <= in->name + strlen(in->name));
	if (n.kind != NAME_MESSAGE)
		return;
	len = fmt_qmail.path_at(s, in->m.place, 0, n.id, n.id_len, path, sizeof path);
	must((len > 0) == (s->split > 0 || (in->m.place == 1 && s->split_places == 0)));
	if (len == 0)
		return;
	must(len < sizeof path && path[len] == '\0');
	must(fmt_qmail.path_at(s, in->m.place, 0, n.id, n.id_len, tight, len) == 0);
	skip = strlen(fmt_qmail.places[in->m.place].name) + 1;
	again = fmt_qmail.id_of(in->m.place, path + skip);
	must(again.kind == NAME_MESSAGE && again.id_len == n.id_len);
	must(memcmp(again.id, n.id, n.id_len) == 0);
}

/* --- All of it ------------------------------------------------------------------------------ */

/* Up to the mark, which is stepped over. */
static void split(struct input *in, unsigned role, const uint8_t **data, size_t *size)
{
	size_t n = 0;

	while (n < *size && !(n + 1 < *size && (*data)[n] == 0xff && (*data)[n + 1] == 0))
		n++;
	in->bytes[role] = *data;
	in->size[role] = n;
	in->all += n;
	n = n < *size ? n + 2 : n;
	*data += n;
	*size -= n;
}

static void facts(struct input *in, unsigned role, uint8_t odd)
{
	struct part *p = &in->m.parts[role];

	*p = (struct part){ .ino = odd & 1 ? 7 : 1400885, .size = in->size[role], .mode = 0100644,
			    .uid = odd & 2 ? 9 : 100, .nlink = odd & 4 ? 3 : 1,
			    .mtime = odd & 8 ? 1700000000 : odd & 16 ? 1900000000 : 1795170000 };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t splits[] = { 23, 0, 1, 7 };
	struct input in = { .policy = 0 };
	struct message *m = &in.m;
	size_t name;

	if (size < HEAD)
		return 0;
	m->place = data[0] % fmt_qmail.nplaces;
	m->force = (data[0] & 0x80) != 0;
	name = data[4] % (NAME_BYTES + 1);
	if (size < HEAD + name)
		return 0;
	memcpy(in.name, data + HEAD, name);
	in.policy = data[1];
	m->path = data[1] & 0x80 ? in.name : m->place == 1 || m->place == 4 ? ID : "1/" ID;
	m->id = ID;
	m->id_len = strlen(ID);
	m->site = (struct site){ .now = 1795177000, .owner = 100, .split = splits[data[3] >> 6] };
	m->site.split_places = data[3] & 0x20 ? 1u << 1 : 0;
	for (unsigned i = 0; i < PLACES_MAX; i++)
		m->site.owners[i] = 100;
	uint8_t there = data[2], odd = data[3];
	data += HEAD + name;
	size -= HEAD + name;
	for (unsigned file = 0; file < FILES; file++) {
		unsigned role = file == m->place ? 0 : file + 1;

		split(&in, role, &data, &size);
		if (role == 0 || (there >> file & 1) == 0)
			facts(&in, role, file == MESS || file == 4 ? odd : odd & 0x18);
	}
	if (m->place >= FILES) { /* pid, lock: explained by hand */
		in.bytes[0] = data;
		in.size[0] = size;
		in.all += size;
		facts(&in, 0, 0);
	}
	try_name(&in);
	try_check(&in);
	try_decode(&in);
	try_body(&in);
	for (unsigned role = 0; role <= FILES; role++)
		free((void *)(uintptr_t)m->parts[role].bytes);
	return 0;
}
