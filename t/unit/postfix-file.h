/*
 * postfix-file.h - Postfix queue files built in memory, and check() run on them
 *
 * healthy(), dropped() and edited() build what cleanup, postdrop and a milter
 * would leave; with() and put() change them; expect() runs check() and compares.
 * Windows are allocated at their exact size, so that a sanitizer build sees a
 * read of one byte too many.
 */
#ifndef POSTFIX_FILE_H
#define POSTFIX_FILE_H

#include "bytes.h"
#include "format.h"

#include <glib.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

extern const struct format fmt_postfix;

enum { MAILDROP, INCOMING, ACTIVE, DEFERRED, HOLD, CORRUPT, SAVED, DEFER, BOUNCE, TRACE };

#define NOW 1795167400
#define OWNER 100
#define ID "4F2A111E17D"
#define INODE 0x11e17d

/* --- Building ------------------------------------------------------------------ */

struct file {
	uint8_t b[70000];
	size_t n;
	size_t text, x; /* first record of the text; the X record */
	unsigned place;
	uint32_t mode, uid, version;
	uint64_t limit;
	int64_t mtime;
	const char *path;
};

static size_t bytes(struct file *f, const void *p, size_t n)
{
	size_t at = f->n;

	g_assert_cmpuint(f->n + n, <=, sizeof f->b);
	memcpy(f->b + f->n, p, n);
	f->n += n;
	return at;
}

static size_t recn(struct file *f, char type, const void *data, size_t n)
{
	size_t at = bytes(f, &type, 1), rest = n;

	do {
		uint8_t byte = (uint8_t)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));

		bytes(f, &byte, 1);
		rest >>= 7;
	} while (rest > 0);
	bytes(f, data, n);
	return at;
}

static size_t rec(struct file *f, char type, const char *data)
{
	return recn(f, type, data, strlen(data));
}

static size_t pointer(struct file *f, size_t target)
{
	char s[32];

	g_snprintf(s, sizeof s, "%15zu", target);
	return rec(f, 'p', s);
}

/* Write over what is there. */
static void put(struct file *f, size_t at, const char *s)
{
	g_assert_cmpuint(at + strlen(s), <=, f->n);
	memcpy(f->b + at, s, strlen(s));
}

static void field(struct file *f, unsigned n, int64_t value)
{
	char s[32];

	g_snprintf(s, sizeof s, "%15" G_GINT64_FORMAT, value);
	g_assert_cmpuint(strlen(s), ==, 15);
	put(f, 2 + 16 * n, s);
}

static struct file *fresh(unsigned place)
{
	struct file *f = g_new0(struct file, 1);

	f->place = place;
	f->mode = 0100700;
	f->uid = OWNER;
	f->version = VERSION(3, 7, 11);
	f->limit = 2048;
	f->mtime = NOW - 60;
	f->path = ID;
	return f;
}

static void head(struct file *f)
{
	char c[96];

	memset(c, ' ', sizeof c);
	recn(f, 'C', c, 95);
	rec(f, 'T', "1795167359 747177");
	rec(f, 'A', "create_time=1795167359");
	rec(f, 'A', "rewrite_context=local");
	rec(f, 'F', "Alice");
	rec(f, 'S', "alice@example.org");
}

static void recipient(struct file *f, const char *address)
{
	char s[200];

	g_snprintf(s, sizeof s, "dsn_orig_rcpt=rfc822;%s", address);
	rec(f, 'A', s);
	rec(f, 'O', address);
	rec(f, 'R', address);
}

static void mark(struct file *f)
{
	rec(f, 'M', "");
	f->text = f->n;
}

static void lines(struct file *f)
{
	char wide[300];

	memset(wide, 'w', sizeof wide);
	rec(f, 'N', "Received: by example.org (Postfix)");
	rec(f, 'N', "Subject: test");
	rec(f, 'N', "");
	recn(f, 'N', "nul \0 and \xff", 11);
	recn(f, 'L', wide, sizeof wide);
	rec(f, 'N', "end of a long line");
	rec(f, 'L', "no newline");
}

static void extracted(struct file *f)
{
	f->x = rec(f, 'X', "");
	rec(f, 'A', "encoding=8bit");
}

static void size_fields(struct file *f, unsigned recipients)
{
	int64_t values[6] = { (int64_t)(f->x - f->text), (int64_t)f->text, recipients, 0,
			      (int64_t)(f->x - f->text), 0 };

	for (unsigned i = 0; i < 6; i++)
		field(f, i, values[i]);
}

static struct file *healthy(void)
{
	struct file *f = fresh(DEFERRED);

	head(f);
	rec(f, 'W', "     1795181759");
	recipient(f, "bob@example.org");
	recipient(f, "carol@example.org");
	rec(f, 'D', "done@example.org");
	mark(f);
	lines(f);
	extracted(f);
	rec(f, 'E', "");
	size_fields(f, 3);
	return f;
}

static struct file *dropped(void)
{
	struct file *f = fresh(MAILDROP);

	f->mode = 0100744;
	f->uid = 1000;
	rec(f, 'T', "1795167359 747177");
	rec(f, 'A', "rewrite_context=local");
	rec(f, 'S', "alice@example.org");
	rec(f, 'R', "bob@example.org");
	mark(f);
	lines(f);
	f->x = rec(f, 'X', "");
	rec(f, 'E', "");
	return f;
}

/* A file edited by a milter: recipients and a header in the heap. */
static struct file *edited(void)
{
	struct file *f = fresh(DEFERRED);
	size_t from_rcpt, back_rcpt, from_head, back_head;

	head(f);
	rec(f, 'p', "        0");
	recipient(f, "bob@example.org");
	from_rcpt = pointer(f, 0);
	back_rcpt = f->n;
	mark(f);
	rec(f, 'N', "Received: by example.org (Postfix)");
	from_head = rec(f, 'N', "X-Old: a header that was replaced");
	memset(f->b + from_head + 17, 0xff, f->n - from_head - 17); /* garbage behind a pointer */
	back_head = f->n;
	pointer(f, 0);
	rec(f, 'N', "");
	rec(f, 'N', "text");
	pointer(f, 0);
	extracted(f);
	pointer(f, 0);
	rec(f, 'E', "");
	size_fields(f, 3);
	{
		char s[32];

		g_snprintf(s, sizeof s, "p\x0f%15zu", f->n);
		put(f, from_head, s);
		rec(f, 'N', "X-New: header");
		rec(f, 'w', "padding");
		pointer(f, back_head);
		g_snprintf(s, sizeof s, "%15zu", f->n);
		put(f, from_rcpt + 2, s);
		rec(f, 'R', "added1@example.org");
		rec(f, '/', "gone@example.org");
		pointer(f, back_rcpt);
	}
	return f;
}

/* The offset of the n-th record of this type, read in file order. */
static size_t at(const struct file *f, char type, unsigned n)
{
	for (size_t pos = 0; pos < f->n;) {
		size_t start = pos++, len = 0;

		for (unsigned shift = 0;; shift += 7) {
			len |= (size_t)(f->b[pos] & 0x7f) << shift;
			if ((f->b[pos++] & 0x80) == 0)
				break;
		}
		if (f->b[start] == type && n-- == 0)
			return start;
		pos += len;
	}
	g_assert_not_reached();
}

/* Insert records built in `g` before offset `where` and mend the size record. */
static void insert(struct file *f, size_t where, const struct file *g)
{
	memmove(f->b + where + g->n, f->b + where, f->n - where);
	memcpy(f->b + where, g->b, g->n);
	f->n += g->n;
	if (f->x >= where)
		f->x += g->n;
	if (f->text > where)
		f->text += g->n;
}

static struct file *with(struct file *f, size_t where, char type, const char *data)
{
	struct file *g = fresh(0);

	rec(g, type, data);
	insert(f, where, g);
	g_free(g);
	if (f->b[0] == 'C') {
		field(f, 0, (int64_t)(f->x - f->text));
		field(f, 1, (int64_t)f->text);
	}
	return f;
}

/* --- Running -------------------------------------------------------------------- */

static void facts(const struct file *f, struct message *m)
{
	struct name name = fmt_postfix.id_of(f->place, f->path);

	memset(m, 0, sizeof *m);
	g_assert_cmpint(name.kind, ==, NAME_MESSAGE);
	m->place = f->place;
	m->path = f->path;
	m->id = name.id;
	m->id_len = name.id_len;
	m->site.now = NOW;
	m->site.owner = OWNER;
	m->site.version = f->version;
	m->site.record_limit = f->limit;
	m->parts[0].ino = INODE;
	m->parts[0].size = f->n;
	m->parts[0].mtime = f->mtime;
	m->parts[0].mode = f->mode;
	m->parts[0].uid = f->uid;
	m->parts[0].nlink = 1;
}

static void open_window(const struct file *f, struct part *p, uint64_t off, size_t len)
{
	g_assert_cmpuint(off, <=, f->n);
	p->off = off;
	p->len = MIN(len, f->n - off);
	p->bytes = g_memdup2(f->b + off, p->len);
}

static void close_window(struct part *p)
{
	g_free((void *)(uintptr_t)p->bytes);
	p->bytes = NULL;
}

/* What a window may hold: `cap` bytes, but never less than is needed. */
static size_t fit(const struct want *w, size_t cap)
{
	g_assert_cmpuint(w->part, ==, 0);
	g_assert_cmpuint(w->need, >=, 1);
	g_assert_cmpuint(w->need, <=, w->len);
	g_assert_cmpuint(w->len, <=, WINDOW_MAX);
	return MIN(w->len, MAX(cap, w->need));
}

/* The report with windows of at most `cap` bytes. */
static struct report *run_capped(const struct file *f, size_t cap)
{
	struct report *r = g_malloc(sizeof *r);
	void *scratch = g_malloc0(fmt_postfix.check_scratch);
	struct message m;
	struct want w;
	size_t steps = 0;

	memset(r, 0xee, sizeof *r);
	report_reset(r);
	facts(f, &m);
	open_window(f, &m.parts[0], 0, cap);
	while (fmt_postfix.check(scratch, &m, r, &w) == STEP_WANT) {
		g_assert_cmpuint(++steps, <, 16 * f->n + 100000);
		close_window(&m.parts[0]);
		open_window(f, &m.parts[0], w.off, fit(&w, cap));
		g_assert_cmpuint(m.parts[0].len, >, 0);
	}
	close_window(&m.parts[0]);
	g_free(scratch);
	return r;
}

static struct report *run(const struct file *f)
{
	return run_capped(f, WINDOW_MAX);
}

static void show(const struct report *r)
{
	for (unsigned i = 0; i < r->count; i++) {
		const struct finding *x = &r->findings[i];

		g_test_message("%s %s %s at %" G_GUINT64_FORMAT " (%" G_GUINT64_FORMAT
			       "): %.*s: expected %.*s, found %.*s",
			       finding_def(x->id)->name, severity_name(x->severity),
			       impact_name(x->impact), x->offset, x->length, x->field.len,
			       (const char *)x->field.bytes, x->expected.len,
			       (const char *)x->expected.bytes, x->found.len,
			       (const char *)x->found.bytes);
	}
}

static const struct finding *only(const struct report *r, const char *name, const char *weight)
{
	char got[64];

	show(r);
	g_assert_cmpuint(r->count, ==, 1);
	g_assert_cmpstr(finding_def(r->findings[0].id)->name, ==, name);
	g_snprintf(got, sizeof got, "%s %s", severity_name(r->findings[0].severity),
		   impact_name(r->findings[0].impact));
	g_assert_cmpstr(got, ==, weight);
	return &r->findings[0];
}

/* The file gives this finding, of this weight, at this offset, and no other. */
static void expect(struct file *f, const char *name, const char *weight, uint64_t offset)
{
	struct report *r = run(f);

	g_assert_cmpuint(only(r, name, weight)->offset, ==, offset);
	g_free(r);
	g_free(f);
}

/* It gives these findings, and no others. NULL ends. */
static void expect_all(struct file *f, ...)
{
	struct report *r = run(f);
	unsigned n = 0;
	va_list ap;

	show(r);
	va_start(ap, f);
	for (const char *name = va_arg(ap, const char *); name != NULL; n++) {
		bool found = false;

		for (unsigned i = 0; i < r->count; i++)
			found = found || g_str_equal(finding_def(r->findings[i].id)->name, name);
		g_test_message("%s", name);
		g_assert_true(found);
		name = va_arg(ap, const char *);
	}
	va_end(ap);
	g_assert_cmpuint(r->count, ==, n);
	g_free(r);
	g_free(f);
}

static void expect_none(struct file *f)
{
	struct report *r = run(f);

	show(r);
	g_assert_cmpuint(r->count, ==, 0);
	g_free(r);
	g_free(f);
}

#endif
