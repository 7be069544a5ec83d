/*
 * test-qmail.c - the qmail format against messages built in memory
 *
 * A message is a set of files by place; each test changes one and says which findings must come
 * of that, and that nothing else does. Bytes are given in blocks of exactly their size, so that a
 * sanitizer build sees a read of one byte too many.
 */
#include "format.h"
#include "qmail.h"
#include "reports.h"

#include <glib.h>
#include <stdio.h>

extern const struct format fmt_qmail;

#define NOW 1795170700
#define QMAILQ 7794
#define QMAILS 7796
#define ID "1400885" /* mod 23 = 1 */
#define INO 1400885
#define LOST "corrupt server-deletes"
#define STUCK "corrupt stranded"

#define BYTES(s) g_bytes_new_static(s, sizeof s - 1)

static const char text[] = "Received: (qmail 6 invoked by uid 0); 20 Nov 2026 12:41:42 -0000\n"
			   "Subject: A\n\nhello\n";
static const char todo[] = "u0\0p5\0Fbob@src.example\0Ta@mta.test\0Tsp ace@dst.example\0";

/* --- One message ------------------------------------------------------------------ */

struct input {
	GBytes *file[QM_PLACES]; /* NULL = not there */
	struct part fact[QM_PLACES];
	unsigned anchor;
	const char *path;
	size_t window; /* a window is at most so large; 0 = as asked */
	struct site site;
	bool force;
};

static void put(struct input *in, unsigned place, const void *bytes, size_t n)
{
	bool there = in->file[place] != NULL;

	if (there)
		g_bytes_unref(in->file[place]);
	in->file[place] = g_bytes_new(bytes, n);
	if (!there)
		in->fact[place] = (struct part){
			.ino = place == QM_MESS ? INO : 7, .mtime = NOW - 60,
			.mode = place == QM_MESS || place == QM_TODO || place == QM_INTD ? 0100644 : 0100600,
			.uid = place == QM_MESS || place == QM_TODO || place == QM_INTD ? QMAILQ : QMAILS,
			.nlink = 1 };
}

static void drop(struct input *in, unsigned place)
{
	g_clear_pointer(&in->file[place], g_bytes_unref);
}

static void clear(struct input *in)
{
	for (unsigned i = 0; i < QM_PLACES; i++)
		drop(in, i);
}

#define PUT(in, place, s) put(in, place, s, sizeof s - 1)

static struct input site(void)
{
	struct input in = { .path = "1/" ID };

	in.site = (struct site){ .now = NOW, .owner = QMAILS, .split = 23,
				 .split_places = 1u << QM_INFO | 1u << QM_LOCAL | 1u << QM_REMOTE |
						 1u << QM_MESS };
	for (unsigned i = 0; i < PLACES_MAX; i++)
		in.site.owners[i] = i == QM_TODO || i == QM_INTD || i == QM_MESS ? QMAILQ : QMAILS;
	PUT(&in, QM_MESS, text);
	return in;
}

/* What qmail-send has taken up. */
static struct input taken(void)
{
	struct input in = site();

	in.anchor = QM_INFO;
	PUT(&in, QM_INFO, "Fbob@src.example\0");
	PUT(&in, QM_LOCAL, "Ta@mta.test\0Db@mta.test\0");
	PUT(&in, QM_REMOTE, "Tsp ace@dst.example\0");
	return in;
}

/* What it has not seen yet. */
static struct input queued(void)
{
	struct input in = site();

	in.anchor = QM_TODO;
	in.path = ID;
	PUT(&in, QM_TODO, todo);
	PUT(&in, QM_INTD, todo);
	in.fact[QM_TODO].nlink = in.fact[QM_INTD].nlink = 2;
	return in;
}

static GBytes *file_of(const struct input *in, unsigned role)
{
	return in->file[role == 0 ? in->anchor : role - 1];
}

static void window(struct message *m, const struct input *in, unsigned role, uint64_t off, size_t len)
{
	size_t size;
	const uint8_t *bytes = g_bytes_get_data(file_of(in, role), &size);
	struct part *p = &m->parts[role];

	g_free((void *)(size_t)p->bytes);
	len = MIN(len, size - off);
	p->bytes = len > 0 ? g_memdup2(bytes + off, len) : NULL;
	p->off = off;
	p->len = len;
}

static void fill(struct message *m, const struct input *in)
{
	memset(m, 0, sizeof *m);
	*m = (struct message){ .place = in->anchor, .path = in->path, .id = ID, .id_len = strlen(ID),
			       .force = in->force, .site = in->site };
	for (unsigned place = 0; place <= QM_MESS; place++) {
		unsigned role = place == in->anchor ? 0 : place + 1;

		if (in->file[place] == NULL)
			continue;
		m->parts[role] = in->fact[place];
		m->parts[role].size = g_bytes_get_size(in->file[place]);
		window(m, in, role, 0, in->window > 0 ? in->window : WINDOW_MAX);
	}
}

static void give(struct message *m, const struct input *in, const struct want *w)
{
	size_t most = MAX(in->window, w->need);

	g_assert_cmpuint(w->part, <, QM_ROLES);
	g_assert_nonnull(file_of(in, w->part));
	g_assert_cmpuint(w->need, >=, 1);
	g_assert_cmpuint(w->need, <=, w->len);
	g_assert_cmpuint(w->len, <=, WINDOW_MAX);
	g_assert_cmpuint(w->off + w->need, <=, g_bytes_get_size(file_of(in, w->part)));
	window(m, in, w->part, w->off, in->window > 0 ? MIN(w->len, most) : w->len);
}

static void let_go(struct message *m)
{
	for (unsigned i = 0; i < PARTS_MAX; i++)
		g_free((void *)(size_t)m->parts[i].bytes);
}

static void run(const struct input *in, struct report *r)
{
	struct qm_check k;
	struct message m;
	struct want w = { 0 };
	unsigned steps = 0;

	memset(&k, 0, sizeof k);
	g_assert_cmpuint(fmt_qmail.check_scratch, ==, sizeof k);
	fill(&m, in);
	report_reset(r);
	while (fmt_qmail.check(&k, &m, r, &w) == STEP_WANT) {
		g_assert_cmpuint(++steps, <, 100000);
		give(&m, in, &w);
	}
	for (unsigned i = 0; i < r->count; i++) {
		const struct finding *f = &r->findings[i];

		g_assert_cmpuint(f->offset, <=, m.parts[f->part].size);
		g_assert_cmpuint(f->length, <=, m.parts[f->part].size - f->offset);
	}
	let_go(&m);
	report_sort(r);
}

static char *said(const struct input *in)
{
	struct report r;

	run(in, &r);
	return report_words(&r, true);
}

/* What comes of it, whatever the windows. Ends the input. */
static void expect(struct input in, const char *expected)
{
	static const size_t windows[] = { 0, 1, 7, 64 };

	for (unsigned i = 0; i < G_N_ELEMENTS(windows); i++) {
		g_autofree char *got = NULL;

		in.window = windows[i];
		got = said(&in);
		g_assert_cmpstr(got, ==, expected);
	}
	clear(&in);
}

/* A taken or queued message with one file replaced. */
static void with(struct input in, unsigned place, const void *bytes, size_t n, const char *expected)
{
	put(&in, place, bytes, n);
	if (place == QM_TODO)
		drop(&in, QM_INTD);
	expect(in, expected);
}

#define TAKEN(place, s, expected) with(taken(), place, s, sizeof s - 1, expected)
#define TODO(s, expected) with(queued(), QM_TODO, s, sizeof s - 1, expected)

/* --- Healthy ------------------------------------------------------------------------ */

static void test_healthy(void)
{
	struct input in = taken();
	struct report r;

	run(&in, &r);
	g_assert_cmpuint(r.count, ==, 0);
	g_assert_true(r.has_sender && r.has_arrival);
	g_assert_cmpmem(r.sender, r.sender_len, "bob@src.example", 15);
	g_assert_cmpmem(r.recipient, r.recipient_len, "a@mta.test", 10);
	g_assert_cmpuint(r.recipients, ==, 2);
	g_assert_cmpuint(r.recipients_done, ==, 1);
	g_assert_cmpint(r.arrival, ==, NOW - 60);
	clear(&in);
	expect(taken(), "");
	expect(queued(), "");
	/* Everything that is legal and odd. */
	TAKEN(QM_INFO, "F\0", "");
	TAKEN(QM_INFO, "F#@[]\0", "");
	TAKEN(QM_INFO, "Fx-@[]\0", "");
	TAKEN(QM_LOCAL, "Da@mta.test\0", "");
	TAKEN(QM_LOCAL, "Tno host\0T\xff\n\"@\"@x\0T\x01\0", "");
	TAKEN(QM_BOUNCE, "<a@b>:\nno", "");
	TODO("u1\0p2\0F\0Tx\0Tx\0", "");
}

/* While todo is there nobody looks at the others. */
static void test_scratch(void)
{
	struct input in = queued();

	PUT(&in, QM_INFO, "Fbo");
	PUT(&in, QM_LOCAL, "");
	PUT(&in, QM_REMOTE, "Xx");
	expect(in, "");
	in = queued();
	PUT(&in, QM_INFO, "");
	in.anchor = QM_INFO;
	in.path = "1/" ID;
	expect(in, "");
}

/* --- Records -------------------------------------------------------------------------- */

static void test_todo(void)
{
	TODO("", "todo-empty " STUCK);
	TODO("\0\0\0\0\0\0", "zero-filled " STUCK);
	TODO("u0\0p5\0F\0Ta\0Tb", "cut " LOST);
	TODO("u0\0p5\0F\0Ta\0T", "cut " LOST);
	TODO("u0\0p5\0Fx", "cut " LOST ", sender-missing " STUCK);
	TODO("u0\0p5\0F\0Ta\0\0Tb\0", "record " STUCK);
	TODO("u0\0p5\0F\0Ta\0\x01Tb\0", "record " STUCK);
	TODO("\0u0\0p5\0F\0Ta\0", "record " STUCK);
	TODO("u0\0p5\0F\0Ta\0Db\0", "record-letter suspect stranded");
	TODO("u0\0p5\0F\0eH\0Ta\0Tb\0hI\0", "record-letter suspect stranded");
	TODO("u0\0p5\0F\0eH\0Ta\0\x02\0", "record " STUCK); /* the worse is enough */
	TODO("u0\0p5\0Ta\0", "sender-missing " STUCK);
	TODO("u0\0p5\0F\0", "no-recipients suspect server-deletes");
	TODO("p5\0u0\0F\0Ta\0", "order suspect none");
	TODO("u0\0p5\0F\0Fx\0Ta\0", "order suspect none");
	TODO("u0\0F\0Ta\0", "order suspect none");
	TODO("u0\0p5\0Ta\0F\0", "order suspect none");
	TODO("u\0p5\0F\0Ta\0", "number suspect none");
	TODO("u0\0p5x\0F\0Ta\0", "number suspect none");
	TODO("u0\0p123456789012345678901\0F\0Ta\0", "number suspect none");
	TODO("u0\0p5\0F\0T\0", "recipient-empty notice damaged-delivery");
}

static void test_info(void)
{
	TAKEN(QM_INFO, "", "sender-missing " STUCK);
	TAKEN(QM_INFO, "\0\0", "zero-filled " STUCK);
	TAKEN(QM_INFO, "F", "sender-missing " STUCK);
	TAKEN(QM_INFO, "Fbob@src", "sender-missing " STUCK);
	TAKEN(QM_INFO, "Tbob@src\0", "sender-missing " STUCK);
	TAKEN(QM_INFO, "\0Fbob@src\0", "sender-missing " STUCK);
	TAKEN(QM_INFO, "Fbob\0@src\0", "info-behind corrupt damaged-delivery");
	TAKEN(QM_INFO, "Fbob\0Fsrc\0", "info-behind corrupt damaged-delivery");
	TAKEN(QM_INFO, "Fbob\0\0", "info-behind corrupt damaged-delivery");
	TAKEN(QM_INFO, "Fbob\0x", "info-behind corrupt damaged-delivery");
	TAKEN(QM_INFO, "Fbob\0eH\0hI\0", "record-letter suspect none");
}

static void test_lists(void)
{
	static const unsigned lists[] = { QM_LOCAL, QM_REMOTE };

	for (unsigned i = 0; i < 2; i++) {
		TAKEN(lists[i], "", "list-empty " LOST);
		TAKEN(lists[i], "\0", "zero-filled " STUCK);
		TAKEN(lists[i], "Ta", "cut " LOST);
		TAKEN(lists[i], "Ta\0Db", "cut " LOST);
		TAKEN(lists[i], "Ta\0Xb\0", "record " STUCK);
		TAKEN(lists[i], "Ta\0Fb\0Tc\0", "record " STUCK);
		TAKEN(lists[i], "Ta\0\0", "record " STUCK);
		TAKEN(lists[i], "T\0", "recipient-empty suspect damaged-delivery");
	}
}

/* A record of n bytes in a file, with what comes before and behind it. */
static GBytes *long_record(const char *before, size_t before_len, size_t n, const char *behind,
			   size_t behind_len)
{
	GByteArray *a = g_byte_array_new();
	g_autofree char *x = g_strnfill(n, 'x');

	g_byte_array_append(a, (const guint8 *)before, before_len);
	g_byte_array_append(a, (const guint8 *)x, n);
	g_byte_array_append(a, (const guint8 *)behind, behind_len);
	return g_byte_array_free_to_bytes(a);
}

static void long_one(struct input in, unsigned place, const char *before, size_t before_len, size_t n,
		     const char *behind, size_t behind_len, const char *expected)
{
	g_autoptr(GBytes) b = long_record(before, before_len, n, behind, behind_len);

	with(in, place, g_bytes_get_data(b, NULL), g_bytes_get_size(b), expected);
}

static void test_long(void)
{
	static const char head[] = "u0\0p5\0F\0T";

	long_one(queued(), QM_TODO, head, sizeof head - 1, 1002, "\0", 1, "");
	long_one(queued(), QM_TODO, head, sizeof head - 1, 1003, "\0", 1, "address-long suspect none");
	long_one(taken(), QM_INFO, "F", 1, 1002, "\0", 1, "");
	long_one(taken(), QM_INFO, "F", 1, 1003, "\0", 1, "address-long suspect none");
	for (size_t n = QM_VIEW - 4; n < QM_VIEW + 4; n++) {
		long_one(taken(), QM_LOCAL, "T", 1, n, "\0Tx\0", 4, "");
		long_one(taken(), QM_LOCAL, "T", 1, n, "\0Tx", 3, "cut " LOST);
		long_one(taken(), QM_LOCAL, "T", 1, n, "\0\0", 2, "record " STUCK);
		long_one(taken(), QM_LOCAL, "X", 1, n, "\0", 1, "record " STUCK);
		long_one(taken(), QM_LOCAL, "T", 1, n, "", 0, "cut " LOST);
	}
	long_one(taken(), QM_LOCAL, "T", 1, 65536, "\0", 1, "");
	long_one(taken(), QM_LOCAL, "T", 1, 65537, "\0", 1, "address-long suspect none");
}

/* --- Parts ------------------------------------------------------------------------------ */

static void without(struct input in, unsigned place, const char *expected)
{
	drop(&in, place);
	expect(in, expected);
}

static void test_states(void)
{
	struct input in;

	without(taken(), QM_MESS, "mess-missing " STUCK);
	without(queued(), QM_MESS, "mess-missing " STUCK);
	without(taken(), QM_LOCAL, "");
	without(queued(), QM_INTD, "");
	in = taken();
	drop(&in, QM_LOCAL);
	without(in, QM_REMOTE, "done notice server-deletes");
	in = taken();
	drop(&in, QM_LOCAL);
	PUT(&in, QM_BOUNCE, "<a>:\nno\n\n");
	without(in, QM_REMOTE, "");
	/* Without info qmail-send does not know it. */
	in = taken();
	drop(&in, QM_INFO);
	in.anchor = QM_LOCAL;
	expect(in, "info-missing " LOST);
	in = taken();
	drop(&in, QM_INFO);
	drop(&in, QM_LOCAL);
	in.anchor = QM_REMOTE;
	expect(in, "info-missing " LOST);
	/* The text is gone, too: nothing can be lost any more. */
	in = taken();
	drop(&in, QM_INFO);
	drop(&in, QM_MESS);
	in.anchor = QM_LOCAL;
	expect(in, "");
	in = taken();
	drop(&in, QM_INFO);
	drop(&in, QM_MESS);
	in.anchor = QM_LOCAL;
	in.fact[QM_LOCAL].mtime = NOW - 300000;
	expect(in, "left-over notice server-deletes");
	/* Only a text. */
	in = site();
	in.anchor = QM_MESS;
	expect(in, "");
	in = site();
	in.anchor = QM_MESS;
	PUT(&in, QM_MESS, "");
	expect(in, "");
	in = site();
	in.anchor = QM_MESS;
	in.fact[QM_MESS].mtime = NOW - QM_LEFT_OVER - QM_DAY - 1;
	expect(in, "left-over notice server-deletes");
}

static void test_facts(void)
{
	struct input in = taken();

	in.fact[QM_MESS].ino = 1;
	expect(in, "inode notice none");
	in = queued();
	in.fact[QM_INTD].ino = 8;
	expect(in, "twin suspect none");
	in = taken();
	in.fact[QM_LOCAL].nlink = 2;
	expect(in, "links notice none");
	in = queued();
	in.fact[QM_TODO].nlink = 3;
	expect(in, "links notice none");
	in = taken();
	in.fact[QM_MESS].uid = 0;
	expect(in, "owner suspect stranded");
	in = taken();
	in.fact[QM_MESS].mode = 0100640;
	expect(in, "owner suspect stranded");
	in = taken();
	in.fact[QM_REMOTE].uid = QMAILQ;
	expect(in, "owner suspect stranded");
	in = taken();
	in.fact[QM_REMOTE].uid = QMAILQ;
	in.site.owners[QM_REMOTE] = UINT32_MAX;
	expect(in, "");
	in = taken();
	PUT(&in, QM_BOUNCE, "x");
	in.fact[QM_BOUNCE].uid = 0;
	expect(in, "bounce-owner corrupt server-stops");
	in = taken();
	PUT(&in, QM_BOUNCE, "x");
	in.fact[QM_BOUNCE].mode = 0100400;
	expect(in, "bounce-owner corrupt server-stops");
	in = taken();
	PUT(&in, QM_BOUNCE, "x");
	in.fact[QM_BOUNCE].uid = 0;
	in.fact[QM_BOUNCE].mode = 0100660; /* the group may be right */
	expect(in, "");
}

static void test_times(void)
{
	struct input in = taken();

	in.fact[QM_INFO].mtime = NOW + QM_DAY;
	expect(in, "");
	in = taken();
	in.fact[QM_INFO].mtime = NOW + QM_DAY + 1;
	expect(in, "birth suspect stranded");
	in = taken();
	in.fact[QM_INFO].mtime = 0;
	expect(in, "birth suspect damaged-delivery");
	in = taken();
	in.fact[QM_LOCAL].mtime = in.fact[QM_REMOTE].mtime = NOW + QM_RETRY_FAR;
	expect(in, "");
	in = taken();
	in.fact[QM_REMOTE].mtime = NOW + QM_RETRY_FAR + 1;
	expect(in, "retry-far suspect stranded");
}

static void test_misplaced(void)
{
	struct input in = taken();

	in.path = "2/" ID;
	expect(in, "misplaced " LOST);
	in = taken();
	in.path = ID;
	expect(in, "misplaced " LOST);
	in = taken();
	in.site.split = 24; /* 1400885 mod 24 = 5 */
	in.path = "5/" ID;
	expect(in, "");
	in = queued();
	in.path = "1/" ID;
	expect(in, "misplaced " STUCK);
	in = queued();
	in.path = "1/" ID;
	in.site.split_places |= 1u << QM_TODO;
	expect(in, "");
}

/* --- Bounce and text ----------------------------------------------------------------------- */

static void test_bounce(void)
{
	TAKEN(QM_BOUNCE, "", "bounce suspect damaged-delivery");
	TAKEN(QM_BOUNCE, "<a@b>:\n\0no", "bounce suspect damaged-delivery");
	TAKEN(QM_BOUNCE, "\0\0\0", "bounce suspect damaged-delivery");
}

static void zeros(size_t before, size_t n, size_t behind, const char *expected)
{
	g_autofree char *bytes = g_strnfill(before + n + behind, 'x');

	memcpy(bytes, "Received: (qmail ", MIN(before, 17));
	memset(bytes + before, 0, n);
	with(taken(), QM_MESS, bytes, before + n + behind, expected);
	if (before + n + behind > 0)
		with(queued(), QM_MESS, bytes, before + n + behind, expected);
}

static void test_text(void)
{
	TAKEN(QM_MESS, "", "mess-empty corrupt damaged-delivery");
	TAKEN(QM_MESS, "From: x\n\nhello\n", "received notice none");
	TAKEN(QM_MESS, "Received: (qmail", "received notice none");
	zeros(0, 1, 0, "");
	zeros(0, 100, 0, "zero-filled corrupt damaged-delivery");
	zeros(0, 7, 100, "");
	zeros(0, 8, 100, "mess-zeros corrupt damaged-delivery");
	zeros(100, 8, 0, "mess-zeros suspect damaged-delivery");
	zeros(100, 7, 0, "");
	zeros(100, 511, 100, "");
	zeros(100, 512, 100, "mess-zeros suspect damaged-delivery");
}

/* Of a large text both ends are looked at. */
static void large(uint64_t at, const char *expected)
{
	size_t size = QM_SCAN_MAX + 1000;
	g_autofree char *bytes = g_strnfill(size, 'x');
	struct input in = taken();
	g_autofree char *got = NULL;

	memcpy(bytes, "Received: (qmail ", 17);
	memset(bytes + at, 0, 600);
	put(&in, QM_MESS, bytes, size);
	got = said(&in);
	g_assert_cmpstr(got, ==, expected);
	clear(&in);
}

static void test_large(void)
{
	large(100, "mess-zeros suspect damaged-delivery");
	large(QM_SCAN_MAX / 2, "");
	large(QM_SCAN_MAX + 400, "mess-zeros suspect damaged-delivery");
}

/* --- A file on its own ------------------------------------------------------------------------ */

static void alone(const void *bytes, size_t n, const char *expected)
{
	struct input in = { .anchor = QM_INFO, .path = "x", .site = { .now = NOW }, .force = true };

	put(&in, QM_INFO, bytes, n);
	expect(in, expected);
}

static void test_alone(void)
{
	alone(todo, sizeof todo - 1, "");
	alone("u0\0p1\0F\0Ta", 10, "cut " LOST);
	alone("Fx\0", 3, "");
	alone("Fx", 2, "sender-missing " STUCK);
	alone("Tx\0Dy\0", 6, "");
	alone("Tx\0Dy", 5, "cut " LOST);
	alone(text, sizeof text - 1, "");
	alone("", 0, "");
}

/* --- Every cut and every bit ------------------------------------------------------------------- */

static void test_every(void)
{
	static const unsigned places[] = { QM_TODO, QM_INFO, QM_LOCAL, QM_REMOTE, QM_BOUNCE, QM_MESS };

	for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
		struct input in = places[i] == QM_TODO ? queued() : taken();
		size_t n;
		const guint8 *whole;
		g_autofree guint8 *bytes = NULL;

		if (places[i] == QM_BOUNCE)
			PUT(&in, QM_BOUNCE, "<a@b>:\nno\n\n");
		whole = g_bytes_get_data(in.file[places[i]], &n);
		bytes = g_memdup2(whole, n);
		for (size_t cut = 0; cut < n; cut++) {
			g_autofree char *got = NULL;

			put(&in, places[i], bytes, cut);
			got = said(&in);
			/* Only between two records nobody can tell. */
			if (places[i] < QM_BOUNCE && cut > 0 && bytes[cut - 1] != 0)
				g_assert_nonnull(strstr(got, "corrupt"));
		}
		for (size_t bit = 0; bit < n * 8; bit++) {
			g_autofree char *got = NULL;

			bytes[bit / 8] ^= (guint8)(1u << bit % 8);
			put(&in, places[i], bytes, n);
			got = said(&in);
			bytes[bit / 8] ^= (guint8)(1u << bit % 8);
		}
		clear(&in);
	}
}

/* --- Names -------------------------------------------------------------------------------------- */

static void name(unsigned place, const char *path, enum name_kind kind, const char *id)
{
	struct name n = fmt_qmail.id_of(place, path);

	g_assert_cmpint(n.kind, ==, kind);
	if (id != NULL)
		g_assert_cmpmem(n.id, n.id_len, id, strlen(id));
}

static void path(const struct site *s, unsigned place, unsigned role, const char *id, const char *expected)
{
	char buf[64] = "", tight[64];
	size_t n = fmt_qmail.path_at(s, place, role, id, strlen(id), buf, sizeof buf);

	g_assert_cmpstr(n > 0 ? buf : "", ==, expected);
	g_assert_cmpuint(n, ==, strlen(expected));
	for (size_t cap = 0; cap <= n; cap++)
		g_assert_cmpuint(fmt_qmail.path_at(s, place, role, id, strlen(id), tight, cap), ==, 0);
}

static void test_names(void)
{
	struct input in = site();
	struct site s = in.site;

	name(QM_INFO, "1/" ID, NAME_MESSAGE, ID);
	name(QM_TODO, ID, NAME_MESSAGE, ID);
	name(QM_MESS, ID, NAME_MESSAGE, ID);
	name(QM_MESS, "1/18446744073709551615", NAME_MESSAGE, "18446744073709551615");
	name(QM_MESS, "1/18446744073709551616", NAME_FOREIGN, NULL);
	name(QM_MESS, "1/01", NAME_FOREIGN, NULL);
	name(QM_MESS, "1/0", NAME_FOREIGN, NULL);
	name(QM_MESS, "1/1a", NAME_FOREIGN, NULL);
	name(QM_MESS, "1/", NAME_FOREIGN, NULL);
	name(QM_BOUNCE, ID, NAME_COMPANION, ID);
	name(QM_INTD, ID, NAME_COMPANION, ID);
	name(QM_PID, "12.1795161600.1", NAME_COMPANION, NULL);
	name(QM_LOCK, "trigger", NAME_COMPANION, NULL);
	name(QM_LOCK, "x", NAME_FOREIGN, NULL);
	path(&s, QM_INFO, 0, ID, "info/1/" ID);
	path(&s, QM_TODO, 0, ID, "todo/" ID);
	path(&s, QM_INFO, QM_MESS + 1, ID, "mess/1/" ID);
	path(&s, QM_INFO, QM_INFO + 1, ID, ""); /* that is role 0 */
	path(&s, QM_TODO, QM_BOUNCE + 1, ID, "bounce/" ID);
	path(&s, QM_BOUNCE, 0, ID, ""); /* finds no message */
	path(&s, QM_INFO, 0, "1x", "");
	path(&s, QM_INFO, QM_ROLES, ID, "");
	path(&s, QM_MESS, 0, "18446744073709551615", "mess/5/18446744073709551615");
	s.split_places |= 1u << QM_TODO;
	path(&s, QM_INFO, QM_TODO + 1, ID, "todo/1/" ID);
	s.split = 0;
	path(&s, QM_INFO, 0, ID, "");
	clear(&in);
}

static void test_bid(void)
{
	static const char *const queue[] = { "bounce", "info", "intd", "local", "lock", "mess", "pid",
					     "remote", "todo" };
	static const char *const postfix[] = { "active", "bounce", "defer", "deferred", "hold",
					       "incoming", "pid", "maildrop" };

	g_assert_cmpuint(fmt_qmail.bid(queue, 9), ==, 72);
	g_assert_cmpuint(fmt_qmail.bid(queue, 5), ==, 0);
	g_assert_cmpuint(fmt_qmail.bid(postfix, 8), ==, 0);
}

/* --- In flight, orphans --------------------------------------------------------------------------- */

static void test_in_flight(void)
{
	struct site s = { .now = NOW };
	struct part p = { .mtime = NOW - QM_LEFT_OVER };

	g_assert_true(fmt_qmail.in_flight(QM_MESS, &p, &s));
	g_assert_false(fmt_qmail.in_flight(QM_INFO, &p, &s));
	p.mtime = NOW - QM_LEFT_OVER - QM_DAY;
	g_assert_false(fmt_qmail.in_flight(QM_MESS, &p, &s));
}

static void orphan(unsigned place, const char *file, uint32_t mode, uint64_t size, int64_t age,
		   const char *expected)
{
	struct part p = { .mode = mode, .size = size, .mtime = NOW - age };
	struct site s = { .now = NOW };
	struct report r;

	report_reset(&r);
	fmt_qmail.orphan(place, fmt_qmail.id_of(place, file).role, &p, &s, &r);
	g_assert_cmpuint(r.count, ==, expected != NULL);
	if (expected != NULL) {
		const struct finding *f = &r.findings[0];
		g_autofree char *got = g_strjoin(" ", finding_def(f->id)->name, severity_name(f->severity),
						 impact_name(f->impact), NULL);

		g_assert_cmpstr(got, ==, expected);
	}
}

static void test_orphans(void)
{
	orphan(QM_LOCK, "trigger", 0010622, 0, 9, NULL);
	orphan(QM_LOCK, "trigger", 0100622, 0, 9, "qmail.lock-file suspect none");
	orphan(QM_LOCK, "sendmutex", 0100600, 0, 9, NULL);
	orphan(QM_LOCK, "sendmutex", 0010600, 0, 9, "qmail.lock-file corrupt server-stops");
	orphan(QM_LOCK, "tcpto", 0100644, 1024, 9, NULL);
	orphan(QM_LOCK, "tcpto", 0100644, 1000, 9, "qmail.lock-file suspect none");
	orphan(QM_BOUNCE, ID, 0100600, 10, 9, NULL);
	orphan(QM_BOUNCE, ID, 0100600, 10, 300000, "qmail.left-over notice server-deletes");
	orphan(QM_PID, "1.2.3", 0100644, 0, 300000, "qmail.left-over notice server-deletes");
}

/* --- Listing and text -------------------------------------------------------------------------------- */

static char *listing(const struct input *in)
{
	GString *s = g_string_new("");
	struct qm_show show = { 0 };
	struct want w = { 0 };
	struct message m;
	struct row row;
	enum step step;

	fill(&m, in);
	while ((step = fmt_qmail.decode(&show, &m, &row, &w)) != STEP_DONE) {
		if (step == STEP_WANT) {
			give(&m, in, &w);
			continue;
		}
		if (row.depth > 0)
			g_string_append_printf(s, "%u+%u %.*s=%.*s; ", (unsigned)row.offset,
					       (unsigned)row.length, row.kind.len, row.kind.bytes,
					       row.detail.len, row.detail.bytes);
		else
			g_string_append_printf(s, "%.*s: ", row.kind.len, row.kind.bytes);
	}
	let_go(&m);
	return g_string_free(s, FALSE);
}

static void list(struct input in, const char *expected)
{
	static const size_t windows[] = { 0, 1, 30 };

	for (unsigned i = 0; i < G_N_ELEMENTS(windows); i++) {
		g_autofree char *got = NULL;

		in.window = windows[i];
		got = listing(&in);
		g_assert_cmpstr(got, ==, expected);
	}
	clear(&in);
}

static void test_decode(void)
{
	struct input in = taken();

	PUT(&in, QM_BOUNCE, "<c>:\nno\n");
	list(in, "info: 0+17 sender=bob@src.example; local: 0+12 recipient=a@mta.test; 12+12 done=b@mta.test; "
		 "remote: 0+20 recipient=sp ace@dst.example; bounce: 0+5 line=<c>:; 5+3 line=no; "
		 "text: 0+65 Received=(qmail 6 invoked by uid 0); 20 Nov 2026 12:41:42 -0000; "
		 "65+11 Subject=A; 76+7 text=7 bytes; ");
	in = queued();
	PUT(&in, QM_TODO, "u0\0");
	PUT(&in, QM_MESS, ": a field has a name\n\n");
	list(in, "todo: 0+3 user id=0; text: 0+22 text=22 bytes; ");
	in = queued();
	PUT(&in, QM_TODO, "u0\0\0F\0Xy");
	drop(&in, QM_MESS);
	list(in, "todo: 0+3 user id=0; 3+1 ?=an empty record; 4+2 sender=(null sender); "
		 "6+2 cut off=y  (qmail does not read it); ");
}

static void test_body(void)
{
	struct input in = taken();
	struct qm_show show = { 0 };
	struct want w = { 0 };
	struct message m;
	struct run run_r;

	fill(&m, &in);
	g_assert_cmpint(fmt_qmail.body(&show, &m, &run_r, &w), ==, STEP_ROW);
	g_assert_cmpuint(run_r.part, ==, QM_MESS + 1);
	g_assert_cmpuint(run_r.length, ==, sizeof text - 1);
	g_assert_cmpint(fmt_qmail.body(&show, &m, &run_r, &w), ==, STEP_DONE);
	let_go(&m);
	clear(&in);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/qmail/healthy", test_healthy);
	g_test_add_func("/qmail/scratch", test_scratch);
	g_test_add_func("/qmail/todo", test_todo);
	g_test_add_func("/qmail/info", test_info);
	g_test_add_func("/qmail/lists", test_lists);
	g_test_add_func("/qmail/long", test_long);
	g_test_add_func("/qmail/states", test_states);
	g_test_add_func("/qmail/facts", test_facts);
	g_test_add_func("/qmail/times", test_times);
	g_test_add_func("/qmail/misplaced", test_misplaced);
	g_test_add_func("/qmail/bounce", test_bounce);
	g_test_add_func("/qmail/text", test_text);
	g_test_add_func("/qmail/large", test_large);
	g_test_add_func("/qmail/alone", test_alone);
	g_test_add_func("/qmail/every", test_every);
	g_test_add_func("/qmail/names", test_names);
	g_test_add_func("/qmail/bid", test_bid);
	g_test_add_func("/qmail/in-flight", test_in_flight);
	g_test_add_func("/qmail/orphans", test_orphans);
	g_test_add_func("/qmail/decode", test_decode);
	g_test_add_func("/qmail/body", test_body);
	return g_test_run();
}
