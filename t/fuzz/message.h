/*
 * message.h - a message of any format under the fuzzer
 *
 * A target makes a message of its input; here check(), decode() and body() run over it, twice each: with all bytes at
 * hand at once, and through windows that are often as small as `need` allows. Both must say the same, in a bounded number of
 * steps, and about bytes that the parts have.
 */
#ifndef MESSAGE_H
#define MESSAGE_H

#include "format.h"
#include "reports.h"

#include <strings.h>

struct fuzzed {
	const struct format *format;
	struct message m;                /* of the parts their facts; their bytes are put there as they are wanted */
	const uint8_t *bytes[PARTS_MAX]; /* all that a part has (the input's); NULL: check() gets its facts only */
	unsigned policy;                 /* how much more than needed a window holds */
	struct {
		uint64_t steps;          /* more questions than this are no progress */
		uint64_t rows, runs;     /* and more answers no listing of such a message */
		uint64_t recipients;     /* 0 = as many as it likes */
	} most;
};

/* --- Windows -------------------------------------------------------------------- */

static inline bool fuzz_has_bytes(const struct fuzzed *f, unsigned role)
{
	return f->bytes[role] != NULL && f->m.parts[role].mode != 0;
}

/* The part's window, in a block of exactly its size; the one before is gone. */
static inline void fuzz_window(struct fuzzed *f, unsigned role, uint64_t off, size_t len)
{
	struct part *p = &f->m.parts[role];

	free((void *)(uintptr_t)p->bytes);
	p->off = off;
	p->len = len < p->size - off ? len : (size_t)(p->size - off);
	p->bytes = fuzz_copy(f->bytes[role] + off, p->len);
}

/* All parts as before the first question: whole, or with `most` bytes at hand. */
static inline void fuzz_rewind(struct fuzzed *f, size_t most)
{
	for (unsigned role = 0; role < f->format->nroles; role++)
		if (fuzz_has_bytes(f, role))
			fuzz_window(f, role, 0, f->format->roles[role].whole ? SIZE_MAX : most);
}

/* The window that is wanted, mostly a small one. */
static inline void fuzz_give(struct fuzzed *f, const struct want *want)
{
	static const size_t more[] = { 0, 1, 7, 64, 300, SIZE_MAX };
	const size_t extra = more[f->policy % (sizeof more / sizeof more[0])];
	const struct part *p;

	must(want->part < f->format->nroles && fuzz_has_bytes(f, want->part));
	must(!f->format->roles[want->part].whole);
	p = &f->m.parts[want->part];
	must(want->off < p->size);
	must(want->need >= 1 && want->need <= want->len && want->len <= WINDOW_MAX);
	must(want->need <= p->size - want->off);
	must(want->off < p->off || want->off + want->need > p->off + p->len); /* it is not at hand */
	fuzz_window(f, want->part, want->off, want->len - want->need < extra ? want->len : want->need + extra);
}

/* A part that is missing may be spoken of: it has no bytes. */
static inline void fuzz_inside(const struct fuzzed *f, unsigned part, uint64_t offset, uint64_t length)
{
	must(part < f->format->nroles);
	must(offset <= f->m.parts[part].size && length <= f->m.parts[part].size - offset);
}

/* --- check() ---------------------------------------------------------------------- */

static inline void fuzz_check(struct fuzzed *f, struct report *r)
{
	void *scratch = calloc(1, f->format->check_scratch);
	struct want want = { 0 };
	uint64_t steps = 0;
	enum step step;

	must(scratch != NULL);
	report_reset(r);
	while ((step = f->format->check(scratch, &f->m, r, &want)) == STEP_WANT) {
		must(++steps <= f->most.steps);
		fuzz_give(f, &want);
	}
	must(step == STEP_DONE);
	free(scratch);
	fuzz_sane_report(r);
	must(f->most.recipients == 0 || r->recipients + r->recipients_done <= f->most.recipients);
	for (unsigned i = 0; i < r->count; i++)
		fuzz_inside(f, r->findings[i].part, r->findings[i].offset, r->findings[i].length);
}

/* --- decode() --------------------------------------------------------------------- */

static inline bool fuzz_next_row(struct fuzzed *f, void *scratch, struct row *row)
{
	struct want want = { 0 };
	uint64_t steps = 0;
	enum step step;

	memset(row, 0, sizeof *row);
	while ((step = f->format->decode(scratch, &f->m, row, &want)) == STEP_WANT) {
		must(++steps <= f->most.steps);
		fuzz_give(f, &want);
	}
	if (step == STEP_DONE)
		return false;
	must(step == STEP_ROW);
	fuzz_inside(f, row->part, row->offset, row->length);
	must(row->kind.len > 0);
	must(!row->has_target || row->target < f->m.parts[row->part].size);
	must(row->npersonal <= ROW_PERSONAL && (row->told || row->npersonal == 0));
	for (unsigned i = 0; i < row->npersonal; i++) {
		must(row->personal[i].kind < PERSONAL_KINDS);
		fuzz_inside(f, row->part, row->personal[i].offset, row->personal[i].length);
	}
	return true;
}

static inline void fuzz_same_row(const struct row *a, const struct row *b)
{
	must(a->part == b->part && a->offset == b->offset && a->length == b->length);
	must(a->has_target == b->has_target && a->target == b->target && a->depth == b->depth);
	fuzz_same_text(&a->kind, &b->kind);
	fuzz_same_text(&a->detail, &b->detail);
	must(a->told == b->told && a->npersonal == b->npersonal);
	for (unsigned i = 0; i < a->npersonal; i++) {
		must(a->personal[i].offset == b->personal[i].offset);
		must(a->personal[i].length == b->personal[i].length && a->personal[i].kind == b->personal[i].kind);
	}
}

static inline void fuzz_rows(struct fuzzed *whole, struct fuzzed *windowed)
{
	void *a = calloc(1, whole->format->decode_scratch), *b = calloc(1, whole->format->decode_scratch);
	struct row left, right;
	uint64_t rows = 0;

	must(a != NULL && b != NULL);
	fuzz_rewind(whole, SIZE_MAX);
	fuzz_rewind(windowed, 0);
	while (fuzz_next_row(whole, a, &left)) {
		must(++rows <= whole->most.rows);
		must(fuzz_next_row(windowed, b, &right));
		fuzz_same_row(&left, &right);
	}
	must(!fuzz_next_row(windowed, b, &right));
	free(a);
	free(b);
}

/* --- body() ----------------------------------------------------------------------- */

static inline bool fuzz_next_run(struct fuzzed *f, void *scratch, struct run *run)
{
	struct want want = { 0 };
	uint64_t steps = 0;
	enum step step;

	memset(run, 0, sizeof *run);
	while ((step = f->format->body(scratch, &f->m, run, &want)) == STEP_WANT) {
		must(++steps <= f->most.steps);
		fuzz_give(f, &want);
	}
	if (step == STEP_DONE)
		return false;
	must(step == STEP_ROW);
	fuzz_inside(f, run->part, run->offset, run->length);
	return true;
}

static inline void fuzz_runs(struct fuzzed *whole, struct fuzzed *windowed)
{
	void *a = calloc(1, whole->format->body_scratch), *b = calloc(1, whole->format->body_scratch);
	struct run left, right;
	uint64_t runs = 0;

	must(a != NULL && b != NULL);
	fuzz_rewind(whole, SIZE_MAX);
	fuzz_rewind(windowed, 0);
	while (fuzz_next_run(whole, a, &left)) {
		must(++runs <= whole->most.runs);
		must(fuzz_next_run(windowed, b, &right));
		must(left.part == right.part && left.offset == right.offset && left.length == right.length);
		must(left.newline == right.newline);
	}
	must(!fuzz_next_run(windowed, b, &right));
	free(a);
	free(b);
}

/* --- Names ------------------------------------------------------------------------ */

static inline size_t fuzz_path(const struct fuzzed *f, unsigned role, const struct name *n, char *buf, size_t cap)
{
	const struct format *x = f->format;
	const unsigned depth = f->policy % (x->places[f->m.place].depth_max + 1u);

	if (x->path_of != NULL)
		return x->path_of(f->m.place, role, n->id, n->id_len, depth, buf, cap);
	return x->path_at(&f->m.site, f->m.place, role, n->id, n->id_len, buf, cap);
}

/* What a name says leads to a path that says the same; no role has a path beyond the room for it. */
static inline struct name fuzz_name(const struct fuzzed *f, const char *name)
{
	const struct format *x = f->format;
	const char *place = x->places[f->m.place].name;
	struct name n = x->id_of(f->m.place, name), again;
	size_t len, skip = strlen(place) + 1;
	char path[400], tight[400];
	unsigned role;

	must(n.id >= name && n.id + n.id_len <= name + strlen(name));
	must(x->stem == NULL || x->stem(n.id, n.id_len) <= n.id_len);
	if (n.kind != NAME_MESSAGE && n.kind != NAME_COMPANION)
		return n;
	for (role = 0; role < x->nroles; role++)
		must(fuzz_path(f, role, &n, path, sizeof path) < sizeof path);
	role = x->roles[n.role].stream ? 0 : n.role; /* a stream has the path of its file */
	len = fuzz_path(f, role, &n, path, sizeof path);
	if (len == 0 && x->path_of == NULL)
		return n; /* the site has to be known better */
	must(len > skip && len < sizeof path && strlen(path) == len);
	must(fuzz_path(f, role, &n, tight, len) == 0);
	must(memcmp(path, place, skip - 1) == 0 && path[skip - 1] == '/');
	again = x->id_of(f->m.place, path + skip);
	must(again.id_len == n.id_len);
	/* OpenSMTPD makes a path of a number: in lower case. */
	must(fuzz_path(f, role, &again, tight, sizeof tight) == len && strcmp(path, tight) == 0);
	must(strncasecmp(again.id, n.id, n.id_len) == 0);
	must(role != n.role || (again.kind == n.kind && again.role == n.role));
	return n;
}

/* --- All of it ---------------------------------------------------------------------- */

/* What check() said; it stays until the next message. */
static inline const struct report *fuzz_message(struct fuzzed *f)
{
	static struct report first, second;
	static struct fuzzed windowed;
	uint8_t *id = fuzz_copy((const uint8_t *)f->m.id, f->m.id_len); /* nothing ends it */

	f->m.id = (const char *)id;
	windowed = *f;
	fuzz_rewind(f, SIZE_MAX);
	fuzz_check(f, &first);
	fuzz_rewind(&windowed, 0);
	fuzz_check(&windowed, &second);
	fuzz_same_report(&first, &second);
	fuzz_rows(f, &windowed);
	fuzz_runs(f, &windowed);
	for (unsigned role = 0; role < PARTS_MAX; role++) {
		free((void *)(uintptr_t)f->m.parts[role].bytes);
		free((void *)(uintptr_t)windowed.m.parts[role].bytes);
	}
	free(id);
	return &first;
}

#endif
