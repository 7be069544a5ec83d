/*
 * test-sendmail.c - the Sendmail format against small messages built in memory
 *
 * healthy() is what Sendmail 8.17 writes; each row of a table changes one thing in the control
 * file or the text and says which finding must come of it, and nothing else. Truncation at
 * every byte and every flipped bit must end, within the bytes.
 */
#include "sendmail.h"
#include "reports.h"

#include <glib.h>
#include <string.h>

extern const struct format fmt_sendmail;

#define ID "6AKCZi2h000071"
#define NOW INT64_C(1795177000)

#define DELETES "corrupt server-deletes"
#define STOPS "corrupt server-stops"
#define DAMAGED "corrupt damaged-delivery"
#define STRANDED "corrupt stranded"
#define SUSPECT "suspect none"
#define MISLEADS "suspect damaged-delivery"
#define NOTICE "notice none"

#define CONTROL \
	"V8\nT1795171113\nK1795172000\nN3\nP259859\nI8/1/131334\nB8BITMIME\nMDeferred: no answer\nFbns\n" \
	"$_root@localhost\n$r\n${daemon_flags}c u\n${if_addr}[192.0.2.1]\n" \
	"S<alice@example.org>\nZenv+2B7\nA<>\n!\x12 -300\n" \
	"MDeferred\nC:all\nQrfc822;x@y\nrRFC822; bob@example.org\nRPFDA:bob@example.org\n" \
	"C\nrRFC822; c@d\nRPSFD:<\"c d\"@d>\n" \
	"H?P?Return-Path: <\201g>\nH??Received: by lab\n\twith a tab\nH?${x_y}?Subject: hi\n" \
	"H??X-8: \xe4\xff\nHOld: form\nH??X-Empty:\n" \
	".\n"
#define TEXT "Hello.\n\xff with 8 bits and \0 and no end"

struct msg {
	const char *path;
	unsigned place;
	uint32_t version, mode, nlink;
	int64_t mtime, temp;   /* temp: of a tf file, 0 = there is none */
	bool force;
	GByteArray *part[3];   /* control file, text, text in df/; NULL = there is none */
};

static GByteArray *bytes(const char *s, gssize n)
{
	GByteArray *b = g_byte_array_new();

	return g_byte_array_append(b, (const guint8 *)s, n < 0 ? strlen(s) : (guint)n);
}

static struct msg *healthy(void)
{
	struct msg *m = g_new0(struct msg, 1);

	*m = (struct msg){ "qf" ID, SM_QF, 0, 0100640, 1, NOW - 3600, 0, false,
			   { bytes(CONTROL, sizeof CONTROL - 1), bytes(TEXT, sizeof TEXT - 1), NULL } };
	return m;
}

static void msg_free(struct msg *m)
{
	for (unsigned i = 0; i < 3; i++)
		if (m->part[i] != NULL)
			g_byte_array_unref(m->part[i]);
	g_free(m);
}

/* Put `to` in the place of the first `from` of a part. */
static void change(struct msg *m, const char *from, const char *to, gssize n)
{
	m->part[0] = replaced(m->part[0], from, to, n);
}

/* --- Running ---------------------------------------------------------------------- */

static void facts(const struct msg *f, struct message *m, size_t cap)
{
	memset(m, 0, sizeof *m);
	m->place = f->place;
	m->path = f->path;
	m->id = strchr(f->path, 'f') + 1;
	m->id_len = strlen(m->id);
	m->force = f->force;
	m->site.now = NOW;
	m->site.owner = UINT32_MAX;
	m->site.version = f->version;
	for (unsigned i = 0; i < 3; i++) {
		struct part *p = &m->parts[i];

		if (f->part[i] == NULL)
			continue;
		p->ino = 10 + i;
		p->size = f->part[i]->len;
		p->len = i > 0 ? MIN(p->size, cap) : p->size;
		p->mode = i == 0 ? f->mode : 0100640;
		p->nlink = f->nlink;
		p->mtime = f->mtime;
		p->bytes = g_memdup2(f->part[i]->data, p->len);
	}
	if (f->temp != 0)
		m->parts[SM_TEMP] = (struct part){ .mode = 0100600, .mtime = f->temp, .nlink = 1 };
}

static void close_parts(struct message *m)
{
	for (unsigned i = 0; i < 3; i++)
		g_free((void *)(uintptr_t)m->parts[i].bytes);
}

static void give(const struct msg *f, struct message *m, const struct want *w, size_t cap)
{
	g_assert_cmpuint(w->part, >=, 1);
	g_assert_cmpuint(w->part, <=, 2);
	give_window(&m->parts[w->part], f->part[w->part]->data, f->part[w->part]->len, cap, w);
}

static struct report *run_capped(const struct msg *f, size_t cap)
{
	struct report *r = g_malloc0(sizeof *r);
	void *scratch = g_malloc0(fmt_sendmail.check_scratch);
	struct message m;
	struct want w;
	size_t steps = 0;

	facts(f, &m, cap);
	while (fmt_sendmail.check(scratch, &m, r, &w) == STEP_WANT) {
		g_assert_cmpuint(++steps, <, 100000);
		give(f, &m, &w, cap);
	}
	close_parts(&m);
	g_free(scratch);
	return r;
}

static void expect(struct msg *m, const char *wanted)
{
	struct report *r = run_capped(m, WINDOW_MAX);
	g_autofree char *got = report_words(r, false);

	g_assert_cmpstr(got, ==, wanted);
	g_free(r);
	msg_free(m);
}

struct change {
	const char *from, *to, *wanted;
	uint32_t version;
};

static void table(const struct change *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct msg *m = healthy();

		g_test_message("row %zu: %s -> %s", i, rows[i].from, rows[i].to);
		m->version = rows[i].version;
		change(m, rows[i].from, rows[i].to, -1);
		expect(m, rows[i].wanted);
	}
}

#define TABLE(rows) table(rows, G_N_ELEMENTS(rows))

/* --- Healthy messages ----------------------------------------------------------------- */

static void test_healthy(void)
{
	struct msg *m = healthy();
	struct report *r = run_capped(m, 5);
	g_autofree char *got = report_words(r, false);

	g_assert_cmpstr(got, ==, "");
	g_assert_cmpmem(r->sender, r->sender_len, "alice@example.org", 17);
	g_assert_cmpmem(r->recipient, r->recipient_len, "bob@example.org", 15);
	g_assert_true(r->has_sender && r->has_arrival);
	g_assert_cmpint(r->arrival, ==, 1795171113);
	g_assert_cmpuint(r->recipients, ==, 2);
	g_free(r);
	msg_free(m);
}

static void test_oddities(void)
{
	static const struct change rows[] = {
		{ "S<alice@example.org>", "S<>", "", 0 },
		{ "S<alice@example.org>", "Sroot", "", 0 },
		{ "V8", "V1", "", 0 },
		{ "V8", "V6", "", 0 },
		{ "I8/1/131334\n", "", "", 0 },
		{ "K1795172000\nN3\nP259859\n", "", "", 0 },
		{ "P259859", "P-99999", "", 0 },
		{ "K1795172000", "K1795177200", "", 0 },
		{ "B8BITMIME", "b", "sendmail.record " DELETES, 0 },
		{ "B8BITMIME", "B7bit", "", 0 },
		{ "B8BITMIME\n", "", "", 0 },
		{ "MDeferred: no answer", "M", "", 0 },
		{ "Fbns", "FZ", "", 0 },
		{ "A<>", "A", "", 0 },
		{ "A<>", "Ame+2B1@x", "", 0 },
		{ "$r\n", "$rESMTP\n$rSMTP\n", "", 0 },
		{ "Zenv+2B7\n", "Zx\nDold\nEold\nL12\n", "", 0 },
		{ "C:all", "Calice:1000:1000::include:/x", "", 0 },
		{ "RPFDA:bob@example.org", "R:bob@example.org", "", 0 },
		{ "RPFDA:bob@example.org", "RPFDA:(why) bob@example.org", "", 0 },
		{ "RPFDA:bob@example.org", "RPFDA:b\xc3\x98ob@x", "", 0 },
		{ "RPFDA:bob@example.org", "RPFDA:b\xf6rje@x", "", 0 },
		{ "RPFDA:bob@example.org", "RPFDA:|/usr/bin/vacation bob", "", 0 },
		{ "RPFDA:bob@example.org", "RPFDA:@a,@b:bob@example.org", "", 0 },
		{ "RPFDA:bob@example.org", "RPFDA:<\"b\\\"\\\\(\"@x>", "", 0 },
		{ "RPFDA:bob@example.org", "RXPF:bob@example.org", "sendmail.flag " NOTICE, 0 },
		{ "HOld: form", "H?ab c?X : y", "", 0 },
		{ "HOld: form", "H?\201x?X: y", "", 0 },
		{ "HOld: form", "H?$x?X: y", "", 0 },
		{ ".\n", ".\r\n", "", 0 },
		{ "I8/1/131334", "Ix", "sendmail.inode " NOTICE, 0 },
	};
	struct msg *m;
	GString *crlf = g_string_new(CONTROL);

	TABLE(rows);
	g_string_replace(crlf, "\n", "\r\n", 0);
	m = healthy();
	g_byte_array_unref(m->part[0]);
	m->part[0] = bytes(crlf->str, crlf->len);
	expect(m, "");
	g_string_free(crlf, TRUE);
}

/* --- Damage ---------------------------------------------------------------------------- */

static void test_lines(void)
{
	static const struct change rows[] = {
		{ "\n.\n", "\n", "sendmail.cut " STRANDED, 0 },
		{ "X-Empty:\n.\n", "X-E", "sendmail.cut " STRANDED, 0 },
		{ "\n.\n", "\n.", "sendmail.end-odd " SUSPECT, 0 },
		{ "\n.\n", "\n.x\n", "sendmail.end-odd " SUSPECT, 0 },
		{ "\n.\n", "\n.\n\n", "sendmail.trailing " DELETES, 0 },
		{ "\n.\n", "\n.\nRPFD:x@y\n", "sendmail.trailing " DELETES, 0 },
		{ "Fbns\n", "\n", "sendmail.record " DELETES, 0 },
		{ "Fbns\n", "Gx\n", "sendmail.record " DELETES, 0 },
		{ "Fbns\n", "Gx\n", "sendmail.record " DELETES, VERSION(8, 17, 1) },
		{ "Fbns\n", "Gx\n", "sendmail.record suspect server-deletes", VERSION(8, 19, 0) },
		{ "V8\n", " 8\n", "sendmail.record " DELETES, 0 },
		{ "V8\n", "V9\n", "sendmail.version suspect server-deletes", 0 },
		{ "V8\n", "V9\n", "sendmail.version " DELETES, VERSION(8, 17, 1) },
		{ "V8\nT1795171113\n", "T1795171113\nV8\n", "sendmail.version-odd " SUSPECT, 0 },
		{ "V8\n", "V0\n", "sendmail.version-odd " SUSPECT, 0 },
		{ "V8\n", "V8x\n", "sendmail.version-odd " SUSPECT, 0 },
		{ "N3\n", "N3\nN4\n", "sendmail.twice " SUSPECT, 0 },
		{ "Fbns\n", "Fbns\n x\n", "sendmail.folded " SUSPECT, 0 },
		{ "RPFDA:bob", " RPFDA:bob", "sendmail.swallowed " DAMAGED, 0 },
		{ "RPFDA:bob@example.org\n", "RPFDA:bob@example.org\n x\n",
		  "sendmail.folded " SUSPECT ", sendmail.recipient " DAMAGED, 0 },
		{ "RPFDA:bob@example.org\n", "", "sendmail.waiting " MISLEADS, 0 },
	};

	TABLE(rows);
}

static void test_values(void)
{
	static const struct change rows[] = {
		{ "T1795171113\n", "", "sendmail.time " SUSPECT, 0 },
		{ "T1795171113", "T", "sendmail.time " DELETES, 0 },
		{ "T1795171113", "T0", "sendmail.time " DELETES, 0 },
		{ "T1795171113", "T-5", "sendmail.time " DELETES, 0 },
		{ "T1795171113", "T179517111", "sendmail.time " DELETES, 0 },
		{ "T1795171113", "T99999999999999999999", "sendmail.time " DELETES, 0 },
		{ "T1795171113", "T1795999999", "sendmail.time-ahead " SUSPECT, 0 },
		{ "T1795171113", "T1795171113x", "sendmail.number " SUSPECT, 0 },
		{ "N3", "N", "sendmail.number " SUSPECT, 0 },
		{ "N3", "N3x", "sendmail.number " SUSPECT, 0 },
		{ "P259859", "PFD:x@y", "sendmail.no-number " DAMAGED, 0 },
		{ "B8BITMIME", "B8BITMIM", "sendmail.body-type " DELETES, 0 },
		{ "A<>", "A+2", "sendmail.auth " DELETES, 0 },
		{ "A<>", "Aa=b", "sendmail.auth " DELETES, 0 },
		{ "A<>", "A\xe4", "sendmail.auth " DELETES, 0 },
		{ "Fbns", "From x", "sendmail.from " DELETES, 0 },
		{ "Fbns\n", "d\n", "sendmail.directory " DELETES, 0 },
		{ "Fbns\n", "d/var/spool/x\n", "sendmail.directory " DELETES, 0 },
		{ "Fbns\n", "dq2\n", "sendmail.directory suspect server-deletes", 0 },
		{ "S<alice@example.org>\n", "", "sendmail.sender-missing " STOPS, 0 },
		{ "S<alice@example.org>", "S", "sendmail.sender-odd " MISLEADS, 0 },
		{ "S<alice@example.org>", "S<alice", "sendmail.sender-odd " MISLEADS, 0 },
		{ "S<alice@example.org>", "Sa\001@b", "sendmail.sender-odd " MISLEADS, 0 },
		{ "RPFDA:bob@example.org", "RPFDA", "sendmail.recipient " DAMAGED, 0 },
		{ "RPFDA:bob@example.org", "RPFDA: (x)", "sendmail.recipient " DAMAGED, 0 },
		{ "RPFDA:bob@example.org", "RPFDA:\"b", "sendmail.recipient-odd " MISLEADS, 0 },
		{ "RPFDA:bob@example.org", "RPFDA:<>", "sendmail.recipient-odd " MISLEADS, 0 },
		{ "RPFDA:bob@example.org", "RPFDA:b)", "sendmail.recipient-odd " MISLEADS, 0 },
		{ "RPFDA:bob@example.org", "RPFDA:bob\\", "sendmail.recipient-odd " MISLEADS, 0 },
		{ "RPFDA:bob@example.org", "RPFDA:b\x98ob@x", "sendmail.recipient-odd " MISLEADS, 0 },
		{ "RPFDA:bob@example.org", "RPFDA:b@", "sendmail.recipient-odd " MISLEADS, 0 },
		{ "C:all", "Calice:x:1:all", "sendmail.controller " MISLEADS, 0 },
		{ "C:all", "Calice", "sendmail.controller " MISLEADS, 0 },
		{ "!\x12 -300", "!\x12-300", "sendmail.deliverby " SUSPECT, 0 },
		{ "$r\n", "$\n", "sendmail.macro " SUSPECT, 0 },
		{ "${if_addr}", "${if addr}", "sendmail.macro " SUSPECT, 0 },
		{ "HOld: form", "HOld form", "sendmail.header " DAMAGED, 0 },
		{ "HOld: form", "H: form", "sendmail.header " DAMAGED, 0 },
		{ "HOld: form", "H?Old: form", "sendmail.header " DAMAGED, 0 },
		{ "HOld: form", "H?\xe4?Old: form", "sendmail.header " DAMAGED, 0 },
		{ "HOld: form", "H?$?Old: form", "sendmail.header " DAMAGED, 0 },
		{ "HOld: form", "H?${x}?Old: form", "sendmail.header " DAMAGED, 0 },
		{ "HOld: form", "H??Ol\xe4: form", "sendmail.header " DAMAGED, 0 },
		{ "MDeferred: no answer", "qspam", "sendmail.reason " STRANDED, 0 },
	};
	struct msg *m;
	g_autofree char *name = g_strnfill(101, 'X'), *line = g_strconcat("H??", name, ": y", NULL);
	g_autofree char *local = g_strnfill(300, 'x'), *rcpt = g_strconcat("RPFDA:", local, NULL);

	TABLE(rows);
	m = healthy();
	change(m, "HOld: form", line, -1);
	expect(m, "sendmail.header-long " MISLEADS);
	m = healthy();
	change(m, "RPFDA:bob@example.org", rcpt, -1);
	expect(m, "sendmail.recipient " DAMAGED);
}

/* A control file with nothing but what is given. */
static void only(const char *control, gssize n, const char *wanted)
{
	struct msg *m = healthy();

	g_byte_array_unref(m->part[0]);
	m->part[0] = bytes(control, n);
	expect(m, wanted);
}

static void test_whole(void)
{
	only("V8\nT1795171113\nSx\nH??A: b\n.\n", -1, "sendmail.recipient-none " DELETES);
	only("V8\nT1795171113\nH??A: b\n.\n", -1,
	     "sendmail.sender-missing " DELETES ", sendmail.recipient-none " DELETES);
	only("V8\nT1795171113\nSx\nRPFD:y\n H??A: b\nH??A: b\n.\n", -1,
	     "sendmail.folded " SUSPECT ", sendmail.recipient " DAMAGED ", sendmail.recipient-none " DELETES);
	only("V8\nT1795171113\nSx\nRPFD:y\n.\n", -1, "sendmail.header-none " MISLEADS);
	only("T1795171113\nSx\nRPFD:y\nH??A: b\n.\n", -1, "sendmail.version-odd " SUSPECT);
	only("", -1, "sendmail.empty " DELETES);
	only("\0\0\0\0", 4, "spool.zero-filled " DELETES);
	only("V8", -1, "sendmail.cut " DELETES);
	only("V8\n", -1, "sendmail.cut " STRANDED);
	only("V8\nT1795171113\nS\0x\nRPFD:y\nH??A: b\n.\n", 36,
	     "sendmail.nul " DAMAGED ", sendmail.sender-odd " MISLEADS);
	only("V8\nT1795171113\nSx\nRPFD:y\n\0H??A: b\n.\n", 35,
	     "sendmail.nul " DAMAGED ", sendmail.record " DELETES);
}

/* --- The file itself, and the other parts ---------------------------------------------------- */

static void test_status(void)
{
	struct msg *m = healthy();

	m->mode = 0100642;
	expect(m, "sendmail.mode " DELETES);
	m = healthy();
	m->mode = 0100660;
	expect(m, "sendmail.mode-group suspect server-deletes");
	m = healthy();
	m->nlink = 2;
	expect(m, "sendmail.links " NOTICE);
	m = healthy();
	m->temp = NOW - 100;
	expect(m, "");
	m = healthy();
	m->temp = NOW - 700;
	expect(m, "sendmail.temp " NOTICE);
	m = healthy();
	m->path = "qfcopy";
	expect(m, "sendmail.name " NOTICE);
	m = healthy();
	m->path = "qfAAA12345";
	expect(m, "");
}

static void test_young(void)
{
	struct msg *m = healthy();
	struct part p = { .mtime = NOW - 60, .mode = 0100640 };
	struct site s = { .now = NOW };

	/* Half of it is there, as when one looks while it is written. */
	m->mtime = NOW - 60;
	m->part[0]->len = 200;
	g_clear_pointer(&m->part[1], g_byte_array_unref);
	expect(m, "sendmail.unfinished " NOTICE);
	m = healthy();
	m->mtime = NOW - 60;
	m->force = true;
	m->part[0]->len = 200;
	expect(m, "sendmail.cut " STRANDED);
	g_assert_true(fmt_sendmail.in_flight(SM_QF, &p, &s));
	p.mtime = NOW - 601;
	g_assert_false(fmt_sendmail.in_flight(SM_QF, &p, &s));
	p.mtime = NOW - 60;
	p.size = 1;
	g_assert_false(fmt_sendmail.in_flight(SM_QF, &p, &s));
}

static void test_shelved(void)
{
	struct msg *m = healthy();

	m->path = "hf" ID;
	m->place = SM_HF;
	change(m, "MDeferred: no answer", "qspam", -1);
	expect(m, "sendmail.quarantined " NOTICE);
	m = healthy();
	m->path = "hf" ID;
	m->place = SM_HF;
	change(m, "S<alice@example.org>\n", "", -1);
	expect(m, "sendmail.quarantined " NOTICE ", sendmail.sender-missing corrupt none");
	m = healthy();
	m->path = "Qf" ID;
	m->place = SM_QF_LOST;
	change(m, "Fbns", "Gx", -1);
	g_clear_pointer(&m->part[1], g_byte_array_unref);
	expect(m, "sendmail.lost " NOTICE ", sendmail.record " NOTICE ", sendmail.text-missing " NOTICE);
}

static void test_text(void)
{
	struct msg *m = healthy();

	g_byte_array_set_size(m->part[1], 0);
	expect(m, "");
	m = healthy();
	g_byte_array_set_size(m->part[1], 0);
	change(m, "HOld: form", "H??Content-Type: Multipart/mixed; boundary=x", -1);
	expect(m, "sendmail.text-empty notice damaged-delivery");
	m = healthy();
	g_byte_array_set_size(m->part[1], 0);
	change(m, "HOld: form", "H??Content-Length: 7", -1);
	expect(m, "sendmail.text-empty notice damaged-delivery");
	m = healthy();
	g_clear_pointer(&m->part[1], g_byte_array_unref);
	expect(m, "sendmail.text-missing " DAMAGED);
	m = healthy();
	g_clear_pointer(&m->part[1], g_byte_array_unref);
	change(m, "Fbns\n", "dq2\n", -1);
	expect(m, "sendmail.elsewhere " NOTICE);
	m = healthy();
	m->part[2] = m->part[1];
	m->part[1] = NULL;
	expect(m, "");
	m = healthy();
	m->part[2] = bytes("other\n", -1);
	expect(m, "sendmail.text-twice " NOTICE);
}

/* The same whatever the windows. */
static void zeros(guint size, guint from, guint to, const char *wanted)
{
	for (size_t cap = 1000; cap <= WINDOW_MAX; cap *= 31) {
		struct msg *m = healthy();
		struct report *r;

		g_byte_array_set_size(m->part[1], size);
		memset(m->part[1]->data, 'x', size);
		memset(m->part[1]->data + from, 0, to - from);
		r = run_capped(m, cap);
		g_autofree char *got = report_words(r, false);
		g_assert_cmpstr(got, ==, wanted);
		g_free(r);
		msg_free(m);
	}
}

static void test_zeros(void)
{
	zeros(600, 0, 600, "spool.zero-filled " DAMAGED);
	zeros(400, 0, 400, "");
	zeros(40000, 0, 40000, "spool.zero-filled " DAMAGED);
	zeros(40000, 4096, 8192, "sendmail.text-zeros " MISLEADS);
	zeros(40000, 4097, 8192, "");
	zeros(40000, 4000, 9000, "sendmail.text-zeros " MISLEADS);
	zeros(40000, 36864, 40000, "sendmail.text-zeros " MISLEADS);
	zeros(37000, 36864, 37000, "");
	zeros(40000, 100, 103, "");
}

/* --- Names ------------------------------------------------------------------------------------ */

static void names(unsigned place, const char *path, int kind, unsigned role, const char *id)
{
	struct name n = fmt_sendmail.id_of(place, path);

	g_test_message("%u %s", place, path);
	g_assert_cmpint(n.kind, ==, kind);
	if (kind == NAME_MESSAGE || kind == NAME_COMPANION) {
		g_assert_cmpuint(n.role, ==, role);
		g_assert_cmpmem(n.id, n.id_len, id, strlen(id));
	}
}

static void test_names(void)
{
	char buf[100];

	names(SM_QF, "qf" ID, NAME_MESSAGE, SM_CONTROL, ID);
	names(SM_QF, "./qf" ID, NAME_MESSAGE, SM_CONTROL, ID);
	names(SM_SUB_QF, "qf/qf" ID, NAME_MESSAGE, SM_CONTROL, ID);
	names(SM_QF, "hf" ID, NAME_TRANSIENT, 0, "");
	names(SM_HF, "hf" ID, NAME_MESSAGE, SM_CONTROL, ID);
	names(SM_HF, "df" ID, NAME_TRANSIENT, 0, "");
	names(SM_QF_LOST, "Qf" ID, NAME_MESSAGE, SM_CONTROL, ID);
	names(SM_QF, "df" ID, NAME_COMPANION, SM_DATA, ID);
	names(SM_DF, "df" ID, NAME_COMPANION, SM_SUB_DATA, ID);
	names(SM_QF, "xf" ID, NAME_COMPANION, SM_SCRIPT, ID);
	names(SM_QF, "tf" ID, NAME_COMPANION, SM_TEMP, ID);
	names(SM_QF, "Tf" ID, NAME_TRANSIENT, 0, "");
	names(SM_QF, "qf", NAME_TRANSIENT, 0, "");
	names(SM_QF, "README", NAME_TRANSIENT, 0, "");
	names(SM_QF, "qf6AKCZi2h0000710000", NAME_MESSAGE, SM_CONTROL, "6AKCZi2h0000710000");
	names(SM_QF, "qf6AKCZi2h00007100001", NAME_FOREIGN, 0, "");
	names(SM_HF, "qf6AKCZi2h00007100001", NAME_TRANSIENT, 0, "");
	for (unsigned place = 0; place < SM_DF; place++)
		for (unsigned role = 0; role < SM_ROLES; role++) {
			size_t n = fmt_sendmail.path_of(place, role, "AAA12345", 8, 0, buf, sizeof buf);

			g_assert_cmpuint(n, ==, strlen(buf));
			g_assert_cmpuint(n, >, 8);
			g_assert_cmpuint(fmt_sendmail.path_of(place, role, "AAA12345", 8, 0, buf, 8), ==, 0);
			g_assert_cmpuint(fmt_sendmail.path_of(place, role, "AAA12345", 8, 1, buf, sizeof buf), ==, 0);
			g_assert_cmpuint(fmt_sendmail.path_of(place, role, "../x", 4, 0, buf, sizeof buf), ==, 0);
		}
	fmt_sendmail.path_of(SM_SUB_LOST, SM_CONTROL, "x", 1, 0, buf, sizeof buf);
	g_assert_cmpstr(buf, ==, "qf/Qfx");
	fmt_sendmail.path_of(SM_SUB_QF, SM_SUB_DATA, "x", 1, 0, buf, sizeof buf);
	g_assert_cmpstr(buf, ==, "df/dfx");
}

static void test_bid(void)
{
	static const char *const flat[] = { ".", "..", "df" ID, "qf" ID };
	static const char *const deep[] = { "qf", "df", "xf" };
	static const char *const lost[] = { "QfAAA12345" };
	static const char *const other[] = { "qfile", "df.txt", "xfce4", "hfoo" };

	g_assert_cmpuint(fmt_sendmail.bid(flat, 4), >, 16);
	g_assert_cmpuint(fmt_sendmail.bid(deep, 3), >, 16);
	g_assert_cmpuint(fmt_sendmail.bid(lost, 1), >, 16);
	g_assert_cmpuint(fmt_sendmail.bid(other, 4), ==, 0);
	g_assert_cmpuint(fmt_sendmail.bid(flat, 3), ==, 0); /* a text alone proves nothing */
}

static void test_orphans(void)
{
	struct part p = { .mtime = NOW - 2 * 86400, .mode = 0100600, .size = 5 };
	struct site s = { .now = NOW };
	struct sighting a = { SM_QF, "qfX", 1, NOW, 0100600 }, b = { SM_HF, "hfX", 2, NOW, 0100600 };
	struct report r;

	report_reset(&r);
	fmt_sendmail.orphan(SM_QF, SM_DATA, &p, &s, &r);
	fmt_sendmail.orphan(SM_QF, SM_TEMP, &p, &s, &r);
	fmt_sendmail.cross(&a, &b, &r);
	g_autofree char *got = report_words(&r, false);
	g_assert_cmpstr(got, ==, "sendmail.orphan " NOTICE ", sendmail.litter " NOTICE ", sendmail.twin " MISLEADS);
	report_reset(&r);
	p.mtime = NOW - 3600;
	fmt_sendmail.orphan(SM_QF, SM_DATA, &p, &s, &r);
	b.ino = 1;
	fmt_sendmail.cross(&a, &b, &r);
	g_assert_cmpuint(r.count, ==, 0);
}

/* --- For eyes ------------------------------------------------------------------------------------ */

static char *listed(const struct msg *f, size_t cap)
{
	GString *s = g_string_new(NULL);
	void *scratch = g_malloc0(fmt_sendmail.decode_scratch);
	struct message m;
	struct want w;
	struct row row;
	enum step step;
	size_t steps = 0;

	facts(f, &m, cap);
	while ((step = fmt_sendmail.decode(scratch, &m, &row, &w)) != STEP_DONE) {
		g_assert_cmpuint(++steps, <, 100000);
		if (step == STEP_WANT) {
			give(f, &m, &w, cap);
			continue;
		}
		g_assert_cmpuint(row.offset + row.length, <=, m.parts[row.part].size);
		g_string_append_printf(s, "%.*s=%.*s\n", row.kind.len, (char *)row.kind.bytes,
				       row.detail.len, (char *)row.detail.bytes);
	}
	close_parts(&m);
	g_free(scratch);
	return g_string_free(s, FALSE);
}

static char *text_of(const struct msg *f)
{
	GString *s = g_string_new(NULL);
	void *scratch = g_malloc0(fmt_sendmail.body_scratch);
	struct message m;
	struct want w;
	struct run run;
	size_t steps = 0;

	facts(f, &m, WINDOW_MAX);
	while (fmt_sendmail.body(scratch, &m, &run, &w) == STEP_ROW) {
		g_assert_cmpuint(++steps, <, 10000);
		g_assert_cmpuint(run.offset + run.length, <=, m.parts[run.part].size);
		g_string_append_len(s, (char *)f->part[run.part]->data + run.offset, run.length);
		if (run.newline)
			g_string_append_c(s, '\n');
	}
	close_parts(&m);
	g_free(scratch);
	return g_string_free(s, FALSE);
}

static void test_decode(void)
{
	struct msg *m = healthy();
	g_autofree char *all = listed(m, WINDOW_MAX), *windows = listed(m, 7);

	g_assert_cmpstr(all, ==, windows);
	g_assert_nonnull(strstr(all, "arrival=1795171113 (2026-"));
	g_assert_nonnull(strstr(all, "\nsender=alice@example.org\n"));
	g_assert_nonnull(strstr(all, "\nrecipient=bob@example.org  (PFDA)\n"));
	g_assert_nonnull(strstr(all, "\nheader=Subject: hi\n"));
	g_assert_nonnull(strstr(all, "\ntext=\nline=Hello.\n"));
	msg_free(m);
}

static void test_body(void)
{
	struct msg *m = healthy();

	g_byte_array_set_size(m->part[1], 7);
	g_autofree char *text = text_of(m);
	g_assert_cmpstr(text, ==, "Received: by lab\n\twith a tab\nSubject: hi\nX-8: \xe4\xff\nOld: form\n"
			"X-Empty:\n\nHello.\n");
	msg_free(m);
}

/* --- Any bytes ------------------------------------------------------------------------------------- */

static void all_of(struct msg *m)
{
	struct report *r = run_capped(m, 64);

	g_free(listed(m, 64));
	g_free(text_of(m));
	g_free(r);
}

static void test_truncated(void)
{
	struct msg *m = healthy();
	guint len = m->part[0]->len;

	for (guint n = 0; n < len; n++) {
		struct report *r;

		m->part[0]->len = n;
		all_of(m);
		r = run_capped(m, WINDOW_MAX);
		/* All but the last byte is needed; a dot may end it without a line feed. */
		if (n + 1 < len) {
			bool corrupt = false;

			for (unsigned i = 0; i < r->count; i++)
				corrupt |= r->findings[i].severity == SEV_CORRUPT;
			g_assert_true(corrupt);
		}
		g_free(r);
	}
	m->part[0]->len = len;
	msg_free(m);
}

static void test_flipped(void)
{
	struct msg *m = healthy();

	for (guint at = 0; at < m->part[0]->len; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			m->part[0]->data[at] ^= (guint8)(1u << bit);
			all_of(m);
			m->part[0]->data[at] ^= (guint8)(1u << bit);
		}
	msg_free(m);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sendmail/healthy", test_healthy);
	g_test_add_func("/sendmail/oddities", test_oddities);
	g_test_add_func("/sendmail/lines", test_lines);
	g_test_add_func("/sendmail/values", test_values);
	g_test_add_func("/sendmail/whole", test_whole);
	g_test_add_func("/sendmail/status", test_status);
	g_test_add_func("/sendmail/young", test_young);
	g_test_add_func("/sendmail/shelved", test_shelved);
	g_test_add_func("/sendmail/text", test_text);
	g_test_add_func("/sendmail/zeros", test_zeros);
	g_test_add_func("/sendmail/names", test_names);
	g_test_add_func("/sendmail/bid", test_bid);
	g_test_add_func("/sendmail/orphans", test_orphans);
	g_test_add_func("/sendmail/decode", test_decode);
	g_test_add_func("/sendmail/body", test_body);
	g_test_add_func("/sendmail/truncated", test_truncated);
	g_test_add_func("/sendmail/flipped", test_flipped);
	return g_test_run();
}
