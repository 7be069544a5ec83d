/*
 * test-exim.c - the Exim format against small messages built in memory
 *
 * healthy() is what Exim 4.96 would write; each row of a table then changes one
 * thing in -H, -D or -J and says which finding must come of it, and nothing else.
 * Truncation at every byte and every flipped bit must end, within the bytes.
 */
#include "format.h"
#include "reports.h"

#include <glib.h>
#include <string.h>

extern const struct format fmt_exim;

#define ID "1xUM0n-00000r-15"
#define NEW_ID "1xUM1R-0000000000T-0gDX"
#define NOW INT64_C(1795177000)
#define OWNER 100u

#define DELETES "corrupt server-deletes"
#define STOPS "corrupt server-stops"
#define DAMAGED "corrupt damaged-delivery"
#define NOTICE "notice none"
#define VALUE "exim.option-value suspect none"
#define SYNTAX "exim.recipient-syntax suspect damaged-delivery"

struct msg {
	const char *id, *path;
	unsigned place;
	uint32_t version, mode, uid, nlink, keep;
	GByteArray *part[3];   /* -H, -D, -J; NULL = there is none */
};

static GByteArray *bytes(const char *s, gssize n)
{
	GByteArray *b = g_byte_array_new();

	return g_byte_array_append(b, (const guint8 *)s, n < 0 ? strlen(s) : (guint)n);
}

#define HEAD \
	ID "-H\nDebian-exim 100 102\n<alice@example.org>\n1795171113 0\n" \
	"-received_time_usec .336145\n--helo_name client.example\n-host_address [192.0.2.1]:45408\n" \
	"-aclm _lines 27\none\n-frozen x\nXX\n-5\n023T x\n\n--aclm _empty 0\n\n" \
	"-unknown option\n-auth_sender \n-body_linecount 2\n-max_received_linelength 60\n" \
	"--tls_sni a\\\\\n-deliver_firsttime\n" \
	"YY dora@example.org\nNN alice@example.org\nNN two words@ok.test\n" \
	"4\nbob@example.org\ndora@example.org\n\"q # 3,1\"@x.test rfc822;b@old.test 17,12  0,-1#3\n" \
	"child@x.test  0,0 owner@example.org 17,0#3\n\n" \
	"029P Received: by lab\n\twith a tab\n039* Subject: replaced by another one xxxxx\n" \
	"012T To: you@b.c\n013  Subject: hi!\n"
#define DATA ID "-D\nHello.\n\xff with 8 bits\n"

static struct msg *healthy(void)
{
	struct msg *m = g_new0(struct msg, 1);

	*m = (struct msg){ ID, ID "-H", 0, 0, 0100640, OWNER, 1, 0, { bytes(HEAD, -1), bytes(DATA, -1), NULL } };
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
static void change(struct msg *m, unsigned part, const char *from, const char *to, gssize n)
{
	m->part[part] = replaced(m->part[part], from, to, n);
}

/* --- Running ---------------------------------------------------------------------- */

static void facts(const struct msg *f, struct message *m, size_t cap)
{
	memset(m, 0, sizeof *m);
	m->place = f->place;
	m->path = f->path;
	m->id = f->id;
	m->id_len = strlen(f->id);
	m->site.now = NOW;
	m->site.owner = OWNER;
	m->site.version = f->version;
	m->site.keep = f->keep;
	for (unsigned i = 0; i < 3; i++) {
		struct part *p = &m->parts[i];

		if (f->part[i] == NULL)
			continue;
		p->ino = 10 + i;
		p->size = f->part[i]->len;
		p->len = i == 1 ? MIN(p->size, cap) : p->size;
		p->mode = f->mode;
		p->uid = f->uid;
		p->nlink = f->nlink;
		p->bytes = g_memdup2(f->part[i]->data, p->len);
	}
}

static void close_parts(struct message *m)
{
	for (unsigned i = 0; i < 3; i++)
		g_free((void *)(uintptr_t)m->parts[i].bytes);
}

static void give(const struct msg *f, struct message *m, const struct want *w, size_t cap)
{
	g_assert_cmpuint(w->part, ==, 1);
	give_window(&m->parts[1], f->part[1]->data, f->part[1]->len, cap, w);
}

static struct report *run_capped(const struct msg *f, size_t cap)
{
	struct report *r = g_malloc0(sizeof *r);
	void *scratch = g_malloc0(fmt_exim.check_scratch);
	struct message m;
	struct want w;
	size_t steps = 0;

	facts(f, &m, cap);
	while (fmt_exim.check(scratch, &m, r, &w) == STEP_WANT) {
		g_assert_cmpuint(++steps, <, f->part[1]->len + 10);
		give(f, &m, &w, cap);
	}
	close_parts(&m);
	g_free(scratch);
	return r;
}

static struct report *run(const struct msg *f)
{
	return run_capped(f, WINDOW_MAX);
}

static void expect(struct msg *m, const char *wanted)
{
	struct report *r = run(m);
	g_autofree char *got = report_words(r, false);

	g_assert_cmpstr(got, ==, wanted);
	g_free(r);
	msg_free(m);
}

struct change {
	unsigned part;
	const char *from, *to, *wanted;
	uint32_t version;
};

static void table(const struct change *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct msg *m = healthy();

		g_test_message("row %zu: %s -> %s", i, rows[i].from, rows[i].to);
		m->version = rows[i].version;
		if (rows[i].part == 2)
			m->part[2] = bytes("", 0);
		change(m, rows[i].part, rows[i].from, rows[i].to, -1);
		expect(m, rows[i].wanted);
	}
}

#define TABLE(rows) table(rows, G_N_ELEMENTS(rows))

/* --- Healthy messages ----------------------------------------------------------------- */

static void test_healthy(void)
{
	struct msg *m = healthy();
	struct report *r = run(m);
	g_autofree char *got = report_words(r, false);

	g_assert_cmpstr(got, ==, "");
	g_assert_cmpmem(r->sender, r->sender_len, "alice@example.org", 17);
	g_assert_cmpmem(r->recipient, r->recipient_len, "bob@example.org", 15);
	g_assert_true(r->has_sender && r->has_arrival);
	g_assert_cmpint(r->arrival, ==, 1795171113);
	g_assert_cmpuint(r->recipients, ==, 3);
	g_assert_cmpuint(r->recipients_done, ==, 1);
	g_free(r);
	m->part[2] = bytes("bob@example.org\n/dev/null:x@y.z\n", -1);
	r = run(m);
	g_assert_cmpuint(r->count, ==, 0);
	g_assert_cmpuint(r->recipients, ==, 2);
	g_assert_cmpuint(r->recipients_done, ==, 2);
	g_free(r);
	msg_free(m);
}

static void test_oddities(void)
{
	static const struct change rows[] = {
		{ 0, "<alice@example.org>", "<>", "", 0 },
		{ 0, "<alice@example.org>", "<\"a > b\"@x>", "", 0 },
		{ 0, "Debian-exim 100 102", "Debian user -1 -2", "", 0 },
		{ 0, "1795171113 0", "1795171113 17", "", 0 },
		{ 0, "1795171113 0", "1795171114 0", "", 0 },
		{ 0, "-aclm _lines 27", "--(ldap)aclm _lines 27", "", 0 },
		{ 0, "YY dora@example.org\nNN alice@example.org\nNN two words@ok.test\n", "XX\n", "", 0 },
		{ 0, "bob@example.org\n", "bob@example.org 0,0,1\n", "", 0 },
		{ 0, "bob@example.org\n", "bob@example.org 2\n", "", 0 },
		{ 0, "-deliver_firsttime\n", "-deliver_firsttime\n-N\n-localerror\n-manual_thaw\n", "", 0 },
		{ 0, "-unknown option\n", "--\n-x\n-body_zerocount 0\n", "", 0 },
		{ 0, "013  Subject: hi!\n", "013  Subject: hi!\n009  =?x: \xff\x01y\n", "", 0 },
		{ 0, "-deliver_firsttime\n", "-frozen 1795171113\n", "exim.frozen " NOTICE, 0 },
		{ 0, "-deliver_firsttime\n", "-local\n-local\n", "exim.option-twice " NOTICE, 0 },
		{ 0, "1795171113 0", "1795171333 0", "exim.time-id " NOTICE, 0 },
		{ 0, "029P Received: by lab\n\twith a tab\n", "", "exim.received " NOTICE, 0 },
		{ 1, "Hello.\n\xff with 8 bits\n", "a\n\n", "", 0 },
		{ 2, "", "one@x\n|pipe:x@y z\n", "", 0 },
	};
	struct msg *m;

	TABLE(rows);
	m = healthy();
	m->part[2] = bytes("", 0);
	expect(m, "");
	m = healthy();
	change(m, 0, "-body_linecount 2\n", "", -1);
	m->part[1]->len = 19; /* no text at all */
	expect(m, "");
	m = healthy();
	m->path = "n/" ID "-H";
	expect(m, "");
	m = healthy();
	change(m, 0, "-body_linecount 2\n", "-body_linecount 2\n-body_zerocount 2\n", -1);
	change(m, 1, "Hello", "\0el\0o", 5);
	expect(m, "");
	m = healthy();
	change(m, 0, "-body_linecount 2\n", "-spool_file_wireformat\n", -1);
	change(m, 1, "Hello.\n\xff with 8 bits\n", "Hello\r\n\0\n\r\n", 11);
	expect(m, "");
	m = healthy();
	m->id = NEW_ID;
	m->path = NEW_ID "-H";
	change(m, 0, ID, NEW_ID, -1);
	change(m, 0, "1795171113 0", "1795171153 0", -1);
	change(m, 1, ID, NEW_ID, -1);
	expect(m, "");
}

/* --- Damage of -H ------------------------------------------------------------------------- */

static void test_fixed_lines(void)
{
	static const struct change rows[] = {
		{ 0, ID "-H", "1xUM0n-00000r-16-H", "exim.first-line " DELETES, 0 },
		{ 0, ID "-H", ID "-D", "exim.first-line " DELETES, 0 },
		{ 0, "exim 100 102", "exim 100 x", "exim.user-line " DELETES, 0 },
		{ 0, "Debian-exim 100 102", "102", "exim.user-line " DELETES, 0 },
		{ 0, "<alice@example.org>", "alice@example.org>", "exim.sender-line " DELETES, 0 },
		{ 0, "<alice@example.org>", "<alice@example.org", "exim.sender-line " DELETES, 0 },
		{ 0, "1795171113 0", "1795171113", "exim.time-line " DELETES, 0 },
		{ 0, "1795171113 0", "x 0", "exim.time-line " DELETES, 0 },
		{ 0, "1795171113 0", "1795171113 0 x", "exim.time-line suspect none", 0 },
		{ 0, "1795171113 0", "179517111 0", "exim.time-id suspect server-deletes", 0 },
	};
	struct msg *m;

	TABLE(rows);
	m = healthy();
	m->part[0]->len = 0;
	expect(m, "exim.empty " DELETES);
	m = healthy();
	memset(m->part[0]->data, 0, m->part[0]->len);
	expect(m, "spool.zero-filled " DELETES);
	m = healthy();
	change(m, 0, "alice@", "ali\0e@", 6);
	expect(m, "exim.nul " DAMAGED ", exim.sender-line " DELETES);
	m = healthy();
	change(m, 0, "client.example", "client\0example", 14);
	expect(m, "exim.nul " DELETES);
	m = healthy();
	change(m, 0, "one\n", "on\0\n", 4);
	expect(m, "exim.nul " DAMAGED);
	m = healthy(); /* strlen() is 4 */
	change(m, 0, "NN alice", "NN a\0ice", 8);
	expect(m, "exim.tree-line " DELETES);
	m = healthy();
	change(m, 0, "NN alice", "NN al\0ce", 8);
	expect(m, "exim.nul " DAMAGED);
	m = healthy();
	m->place = 1; /* Finput */
	change(m, 0, "<alice", "alice", -1);
	expect(m, "exim.sender-line corrupt none");
}

static void test_options(void)
{
	static const struct change rows[] = {
		{ 0, "--helo_name client.example", "--helo_name", "exim.option-value suspect server-deletes", 0 },
		{ 0, "-unknown option", "-tls_resumption ", "exim.option-value suspect server-deletes", 0 },
		{ 0, "-unknown option", "-tls_resumption A", "", 0 },
		{ 0, "-unknown option", "-tls_resumptionA", "exim.option-value suspect server-deletes", 0 },
		{ 0, "-unknown option", "-tls_resumption\tA", VALUE, 0 },
		{ 0, "-unknown option", "-utf8_optdowncvt", "", 0 },
		{ 0, "-unknown option", "-smtputf8x", "", 0 },
		{ 0, "-unknown option", "-local_scanner", "", 0 },
		{ 0, "-unknown option", "-host_auth_pubname PLAIN", "", 0 },
		{ 0, "--helo_name client", "--helo_nameclient", VALUE, 0 },
		{ 0, "-body_linecount 2", "-body_linecounts 2", VALUE, 0 },
		{ 0, "-host_address [", "-host_address[", VALUE, 0 },
		{ 0, "-unknown option", "-frozen1795171113", "exim.frozen " NOTICE, 0 },
		{ 0, "-unknown option", "-frozenx1795171113", "exim.frozen-time " DELETES, 0 },
		{ 0, "-body_linecount 2", "-body_linecount 2x", "exim.option-value suspect none", 0 },
		{ 0, "-unknown option", "-debuglog_name ", "exim.option-short " STOPS, 0 },
		{ 0, "-unknown option", "-debuglog_name ", "exim.option-short " NOTICE, VERSION(4, 95, 0) },
		{ 0, "-unknown option", "-frozen x", "exim.frozen-time " DELETES, 0 },
		{ 0, "-unknown option", "-frozen", "exim.frozen-time " DELETES, 0 },
		{ 0, "-unknown option", "--(ldap", "exim.option-quoter " STOPS, 0 },
		{ 0, "-unknown option", "--(ldap", "exim.option-quoter suspect none", VERSION(4, 95, 0) },
		{ 0, "-unknown option", "--(nosuch)new x", "exim.option-quoter suspect server-deletes", 0 },
		{ 0, "-unknown option", "--(nosuch)new x", "exim.option-quoter " DELETES, VERSION(4, 96, 0) },
		{ 0, "-unknown option", "-N x", "exim.option-ignored " NOTICE, 0 },
		{ 0, "-unknown option", "-localerror ", "exim.option-ignored " NOTICE, 0 },
		{ 0, "[192.0.2.1]:45408", "192.0.2.1.45408", "", 0 },
		{ 0, "[192.0.2.1]:45408", "[2001:db8::1]:0", "", 0 },
		{ 0, "[192.0.2.1]:45408", "2001:db8::1.25", "", 0 },
		{ 0, "[192.0.2.1]:45408", "[192.0.2.1]", "exim.option-address " NOTICE, 0 },
		{ 0, "[192.0.2.1]:45408", "[192.0.2.1]:x", "exim.option-address " NOTICE, 0 },
		{ 0, "[192.0.2.1]:45408", "[192.0.2.1:45408", "exim.option-address " NOTICE, 0 },
		{ 0, "[192.0.2.1]:45408", "[]:45408", "exim.option-address " NOTICE, 0 },
		{ 0, "[192.0.2.1]:45408", "[192.0.2.1]:99999", "exim.option-address " NOTICE, 0 },
		{ 0, "[192.0.2.1]:45408", "192.0.2.1.", "exim.option-address " NOTICE, 0 },
		{ 0, "[192.0.2.1]:45408", ".25", "exim.option-address " NOTICE, 0 },
		{ 0, "[192.0.2.1]:45408", "client", "exim.option-address " NOTICE, 0 },
		{ 0, "--tls_sni a\\\\", "--tls_sni a\\", "exim.tls-backslash " STOPS, 0 },
		{ 0, "--tls_sni a\\\\", "--tls_sni a\\", "exim.tls-backslash suspect none", VERSION(4, 96, 0) },
		{ 0, "_empty 0\n", "_empty -5\n", "exim.acl-length " STOPS, 0 },
		{ 0, "_empty 0\n", "_empty 1073741822\n", "exim.acl-length " STOPS, 0 },
		{ 0, "_empty 0\n", "_empty -1\n", "exim.acl-length " DELETES, 0 },
		{ 0, "_empty 0\n", "_empty 99999\n", "exim.acl-length " DELETES, 0 },
		{ 0, "_empty 0\n", "_empty x\n", "exim.acl-length " DELETES, 0 },
		{ 0, "_empty 0\n", "_empty\n", "exim.acl-length " DELETES, 0 },
		{ 0, "_empty 0\n", "_empty 1\n",
		  "exim.acl-end " DAMAGED ", exim.tree-line suspect damaged-delivery, exim.recipient-count " DELETES, 0 },
		{ 0, "-unknown option", "-acl 20 2\nab", "exim.acl-length " DELETES, 0 },
		{ 0, "-unknown option", "-acl 19 2\nab", "", 0 },
		{ 0, "-unknown option", "--acl 19 2\nab", "", 0 },
		{ 0, "-unknown option", "-acl 19x 2\nab", "exim.acl-length " DELETES, 0 },
		{ 0, "--aclm _empty 0", "--acl _empty 0", "exim.acl-length " DELETES, 0 },
		{ 0, "-unknown option", "unknown option",
		  "exim.tree-line suspect damaged-delivery, exim.recipient-count " DELETES, 0 },
		{ 0, "-unknown option", "", "exim.tree-line " DELETES, 0 },
	};
	struct msg *m;
	char *wide;

	TABLE(rows);
	for (unsigned i = 0; i < 2; i++) {
		m = healthy();
		wide = g_strnfill(65534 - 11 + i, 'w');
		change(m, 0, "client.example", wide, -1);
		change(m, 0, "--helo_name ", "-helo_name ", -1);
		expect(m, i == 0 ? "" : "exim.line-length " DELETES);
		g_free(wide);
	}
}

static void test_tree(void)
{
	static const struct change rows[] = {
		{ 0, "NN alice", "NN zlice", "exim.tree-order suspect damaged-delivery", 0 },
		{ 0, "NN two words@ok.test", "NN dora@example.org", "exim.tree-order suspect damaged-delivery", 0 },
		{ 0, "YY dora", "YZ dora", "exim.tree-line suspect damaged-delivery, exim.recipient-count " DELETES, 0 },
		{ 0, "NN two words@ok.test\n", "", "exim.tree-line " DELETES, 0 },
		{ 0, "NN two words@ok.test\n", "NN \n", "exim.tree-line " DELETES, 0 },
		{ 0, "YY dora@example.org\nNN alice@example.org\nNN two", "YN dora@example.org\nYN carol@x\nNN ax",
		  "exim.tree-order suspect none", 0 },
		{ 0, "YY dora", "NN dora", "exim.recipient-count " DELETES, 0 },
	};
	static const struct { unsigned nodes; const char *wanted; } chains[] = {
		{ 60, "exim.tree-order suspect damaged-delivery" }, { 70, "exim.tree-depth suspect none" },
		{ 20000, "exim.tree-depth " STOPS },
	};

	TABLE(rows);
	for (unsigned i = 0; i < G_N_ELEMENTS(chains); i++) {
		GString *s = g_string_new(NULL);
		struct msg *m = healthy();

		for (unsigned n = 0; n < chains[i].nodes; n++)
			g_string_append(s, "YN a@b\n");
		g_string_append(s, "YY dora");
		change(m, 0, "YY dora", s->str, -1);
		g_string_free(s, TRUE);
		expect(m, chains[i].wanted);
	}
}

static void test_recipients(void)
{
	static const struct change rows[] = {
		{ 0, "\n4\n", "\n5\n", "exim.recipient-empty " DELETES, 0 },
		{ 0, "\n4\n", "\n3\n", "exim.blank-line " DELETES, 0 },
		{ 0, "\n4\n", "\n4x\n", "exim.recipient-count suspect none", 0 },
		{ 0, "\n4\n", "\nx\n", "exim.recipient-count " DELETES, 0 },
		{ 0, "\n4\n", "\n-1\n", "exim.recipient-count " STOPS, 0 },
		{ 0, "\n4\n", "\n4294967295\n", "exim.recipient-count " STOPS, 0 },
		{ 0, " 17,12  0,-1#3", " 18,12  0,-1#3", "exim.recipient-length " DAMAGED, 0 },
		{ 0, " 17,12  0,-1#3", " 17,12  5,-1#3", "exim.recipient-length " DAMAGED, 0 },
		{ 0, " 17,12  0,-1#3", " 999,12  0,-1#3", "exim.recipient-length " STOPS, 0 },
		{ 0, " 17,12  0,-1#3", " 17,12  999,-1#3", "exim.recipient-length " STOPS, 0 },
		{ 0, " 17,12  0,-1#3", " 17  0,-1#3", "exim.recipient-length " DAMAGED, 0 },
		{ 0, "17,0#3", "17,4#3", "exim.recipient-parent " STOPS, 0 },
		{ 0, "17,0#3", "17,3#3", "exim.recipient-parent suspect none", 0 },
		{ 0, "17,0#3", "17,-2#3", "exim.recipient-parent suspect none", 0 },
		{ 0, "17,0#3", "17,0#2", "exim.recipient-flags " DAMAGED, 0 },
		{ 0, "17,0#3", "17,0#", "exim.recipient-flags " DAMAGED, 0 },
		{ 0, "child@x.test  0,0 owner@example.org 17,0#3", "child@x.test owner@example.org 17,0#1",
		  "exim.recipient-old suspect damaged-delivery", 0 },
		{ 0, "child@x.test  0,0 owner@example.org 17,0#3", "child@x.test owner@example.org 17,0#1",
		  "exim.recipient-old " NOTICE, VERSION(4, 80, 0) },
		{ 0, "bob@example.org\n", "bob@example.org 7\n", "exim.recipient-parent " STOPS, 0 },
		{ 0, "bob@example.org\n", "12345\n", "exim.recipient-address " NOTICE, 0 },
		{ 0, "bob@example.org\n", "bob\n", "exim.recipient-address " NOTICE, 0 },
		{ 0, "bob@example.org\n", "\"bob smith\"@example.org\n", "", 0 },
		{ 0, "bob@example.org\n", "\"a\\\" b\".c@example.org\n", "", 0 },
		{ 0, "bob@example.org\n", "\"a@b\"@example.org\n", "", 0 },
		{ 0, "bob@example.org\n", "bob\\ smith@example.org\n", "", 0 },
		{ 0, "bob@example.org\n", ".b..o/b|=+#'.@a_b.example.org.\n", "", 0 },
		{ 0, "bob@example.org\n", "b\303\266b@\303\266.example\n", "", 0 },
		{ 0, "bob@example.org\n", "bob@[IPv6:2001:db8::7]\n", "", 0 },
		{ 0, "bob@example.org\n", "@a.test,@b.test:bob@example.org\n", "", 0 },
		{ 0, "bob@example.org\n", "\"bob smith\"@example.org  0,0  0,-1#3\n", "", 0 },
		{ 0, "bob@example.org\n", "bob@example.org  0,12  0,-1#\n", "exim.recipient-flags " DAMAGED, 0 },
		{ 0, "bob@example.org\n", "bob@example.org  0,12  0,-1# \n", SYNTAX, 0 },
		{ 0, "bob@example.org\n", "bob@example.org  0,12  0,-1#x\n", SYNTAX, 0 },
		{ 0, "bob@example.org\n", "bob@example.org \n", "", 0 },
		{ 0, "bob@example.org\n", "bob@example.org  \n", SYNTAX, 0 },
		{ 0, "bob@example.org\n", "bob@example.org,7\n", SYNTAX, 0 },
		{ 0, "bob@example.org\n", "bob smith@example.org\n", SYNTAX, 0 },
		{ 0, "bob@example.org\n", "bob smith\n", SYNTAX, 0 },
		{ 0, "bob@example.org\n", "\"bob@example.org\n", SYNTAX, 0 },
		{ 0, "bob@example.org\n", "b\001b@example.org\n", SYNTAX, 0 },
		{ 0, "bob@example.org\n", "bob@ex<mple.org\n", SYNTAX, 0 },
		{ 0, "bob@example.org\n", "bob@\n", SYNTAX, 0 },
		{ 0, "bob@example.org\n", "bob@[192.0.2.7\n", SYNTAX, 0 },
		{ 0, " 17,12  0,-1#3", " 17,31  0,-1#3", "", 0 },
		{ 0, " 17,12  0,-1#3", " 17,32  0,-1#3", "exim.recipient-dsn " NOTICE, 0 },
		{ 0, " 17,12  0,-1#3", " 17,-1  0,-1#3", "exim.recipient-dsn " NOTICE, 0 },
		{ 0, "bob@example.org\n", "\n", "exim.recipient-empty " DELETES, 0 },
	};
	static const struct { unsigned n; uint32_t version; const char *wanted; } many[] = {
		{ 16384, VERSION(4, 96, 0), "" }, { 16385, VERSION(4, 96, 0), "exim.recipient-limit " DELETES },
		{ 16385, 0, "exim.recipient-limit suspect server-deletes" }, { 16385, VERSION(4, 87, 0), "" },
		{ 0, 0, "exim.recipient-none suspect server-deletes" },
	};

	TABLE(rows);
	for (unsigned i = 0; i < G_N_ELEMENTS(many); i++) {
		GString *s = g_string_new(NULL);
		struct msg *m = healthy();

		g_string_printf(s, "\n%u\n", many[i].n);
		for (unsigned n = 0; n < many[i].n; n++)
			g_string_append_printf(s, "r%u@x.test\n", n);
		change(m, 0, "\n4\nbob@example.org\ndora@example.org\n\"q # 3,1\"@x.test rfc822;b@old.test 17,12  0,-1#3\n"
		       "child@x.test  0,0 owner@example.org 17,0#3\n", s->str, -1);
		m->version = many[i].version;
		g_string_free(s, TRUE);
		expect(m, many[i].wanted);
	}
}

static void test_headers(void)
{
	static const struct change rows[] = {
		{ 0, "\n\n029P", "\n029P", "exim.blank-line " DELETES, 0 },
		{ 0, "012T", "x12T", "exim.header-length " DELETES, 0 },
		{ 0, "012T", "011T", "exim.header-text " DAMAGED ", exim.header-length " DELETES, 0 },
		{ 0, "012T", "013T", "exim.header-text " DAMAGED ", exim.header-type suspect none", 0 },
		{ 0, "013  Subject", "999  Subject", "exim.header-length " DELETES, 0 },
		{ 0, "013  Subject", "2147483647  Subject", "exim.header-length " STOPS, 0 },
		{ 0, "013  Subject: hi!\n", "013  Subject: hi!\nx", "exim.header-length " DELETES, 0 },
		{ 0, "013  Subject: hi!\n", "013  Subject: hi!\n0", "exim.header-text suspect damaged-delivery, exim.header-type suspect none", 0 },
		{ 0, "012T", "012Z", "exim.header-type suspect none", 0 },
		{ 0, "012T", "12T", "exim.header-type suspect none", 0 },
		{ 0, "To: you", "To; you", "exim.header-text suspect damaged-delivery", 0 },
		{ 0, "\twith", "xwith", "exim.header-text suspect damaged-delivery", 0 },
	};
	struct msg *m;

	TABLE(rows);
	m = healthy();
	g_byte_array_append(m->part[0], (const guint8 *)"\0\0\0\0", 4);
	expect(m, "exim.header-length " DELETES);
	m = healthy();
	change(m, 0, "Subject: hi!", "Subject: h\0!", 12);
	expect(m, "exim.nul " DELETES);
}

/* --- -D, -J, and the rest --------------------------------------------------------------------- */

static void test_data(void)
{
	static const struct change rows[] = {
		{ 1, ID, "1xUM0n-00000r-16", "exim.data-id " DAMAGED, 0 },
		{ 1, " bits\n", " bits", "exim.data-cut suspect damaged-delivery", 0 },
		{ 1, "\xff with 8 bits\n", "", "exim.data-lines suspect damaged-delivery", 0 },
		{ 1, "Hello.\n\xff with 8 bits\n", "", "exim.data-cut suspect damaged-delivery", 0 },
		{ 1, "Hello.", "Hello, and so on, longer than any line that was seen when it came.",
		  "exim.data-lines suspect damaged-delivery", 0 },
	};
	struct msg *m;
	char *wide;

	TABLE(rows);
	m = healthy();
	g_byte_array_unref(m->part[1]);
	m->part[1] = NULL;
	expect(m, "exim.data-missing corrupt stranded");
	m = healthy();
	m->part[1]->len = 18;
	expect(m, "exim.data-short " DAMAGED);
	m = healthy();
	m->part[1]->len = 0;
	expect(m, "exim.data-short " DAMAGED);
	m = healthy();
	memset(m->part[1]->data, 0, m->part[1]->len);
	expect(m, "spool.zero-filled " DAMAGED);
	m = healthy();
	change(m, 1, "Hello", "He\0lo", 5);
	expect(m, "exim.data-zeros suspect damaged-delivery");
	/* A whole block of zeros in the middle, and at the end. */
	m = healthy();
	wide = g_malloc0(3000);
	memset(wide, 'x', 600);
	memset(wide + 2000, 'x', 1000);
	change(m, 1, "Hello", wide, 3000);
	change(m, 0, "linelength 60", "linelength 6000", -1);
	expect(m, "exim.data-zeros " DAMAGED);
	m = healthy();
	memset(wide, 0, 3000);
	g_byte_array_append(m->part[1], (guint8 *)wide, 3000);
	expect(m, "exim.data-zeros " DAMAGED ", exim.data-cut suspect damaged-delivery");
	g_free(wide);
	/* Exim lost the option that says so. */
	m = healthy();
	change(m, 0, "linecount 2", "linecount 0", -1);
	change(m, 1, "Hello.\n\xff with 8 bits\n", "Hello.\r\n\r\n", -1);
	expect(m, "exim.wire-flag notice damaged-delivery");
}

static void test_journal(void)
{
	static const struct change rows[] = {
		{ 2, "", "one@x\n\ntwo@x\n", "exim.journal-line " DELETES, 0 },
		{ 2, "", "\n", "exim.journal-line " DELETES, 0 },
		{ 2, "", "one@x\ntwo@x", "exim.journal-cut suspect damaged-delivery", 0 },
	};
	struct msg *m;

	TABLE(rows);
	m = healthy();
	m->part[2] = bytes("one\0x\n", 6);
	expect(m, "exim.journal-line " DAMAGED);
	m = healthy();
	m->part[2] = bytes("\0ne\n", 4);
	expect(m, "exim.journal-line " DELETES);
	m = healthy();
	m->part[2] = bytes("\0\0\0", 3);
	expect(m, "spool.zero-filled " DELETES);
}

static void test_status(void)
{
	struct msg *m = healthy();

	m->path = "x/" ID "-H";
	expect(m, "exim.directory suspect stranded");
	m = healthy();
	m->uid = 1;
	expect(m, "exim.owner " NOTICE);
	m = healthy();
	m->mode = 0100644;
	expect(m, "exim.owner " NOTICE);
	m = healthy();
	m->nlink = 2;
	expect(m, "exim.links " NOTICE);
	m = healthy();
	m->id = NEW_ID;
	m->path = NEW_ID "-H";
	m->version = VERSION(4, 96, 0);
	change(m, 0, ID, NEW_ID, -1);
	change(m, 0, "1795171113 0", "1795171153 0", -1);
	change(m, 1, ID, NEW_ID, -1);
	expect(m, "exim.id-newer suspect stranded");
	m = healthy();
	m->id = NEW_ID;
	m->path = NEW_ID "-H";
	change(m, 0, ID, "1xUM1R-0000000000T-0gDY", -1);
	change(m, 0, "1795171113 0", "1795171153 0", -1);
	change(m, 1, ID, NEW_ID, -1);
	expect(m, "exim.first-line suspect none");
}

/* A line of a recipient that old releases cut in two. */
static void test_long_recipient(void)
{
	static const struct { size_t len; uint32_t version; const char *wanted; } rows[] = {
		{ 16000, VERSION(4, 94, 0), "" }, { 17000, VERSION(4, 94, 2), "" }, { 17000, 0, "" },
		{ 17000, VERSION(4, 94, 1), "exim.line-length suspect server-deletes" },
		{ 65600, 0, "exim.line-length " DELETES },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *wide = g_strnfill(rows[i].len, 'x');
		g_autofree char *line = g_strconcat(wide, "@x.test\n", NULL);
		struct msg *m = healthy();

		m->version = rows[i].version;
		change(m, 0, "bob@example.org\n", line, -1);
		expect(m, rows[i].wanted);
	}
}

/* Until when Exim keeps what it cannot read. */
static void test_deadline(void)
{
	static const struct { const char *from, *to; uint32_t keep; int64_t deadline; } rows[] = {
		{ "<alice@example.org>", "alice", 0, 1795171113 + 345600 },
		{ "<alice@example.org>", "alice", 3600, 1795171113 + 3600 },
		/* The time of the -H file counts when the header lines alone are bad, else the id's. */
		{ "1795171113 0", "1795171115 x", 3600, 1795171113 + 3600 },
		{ "013  Subject", "999  Subject", 3600, 1795171113 + 3600 },
		{ "<alice@example.org>", "<>", 3600, 0 },
		{ "17,0#3", "17,4#3", 3600, 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct msg *m = healthy();
		struct report *r;

		m->keep = rows[i].keep;
		change(m, 0, rows[i].from, rows[i].to, -1);
		r = run(m);
		g_assert_cmpint(r->count > 0 ? r->findings[0].deadline : 0, ==, rows[i].deadline);
		g_free(r);
		msg_free(m);
	}
}

/* -D or -J without the rest, as `explain` of one file sees it. */
static void test_alone(void)
{
	struct msg *m = healthy();

	g_byte_array_unref(m->part[0]);
	m->part[0] = NULL;
	m->path = ID "-D";
	expect(m, "");
	m = healthy();
	g_byte_array_unref(m->part[0]);
	m->part[0] = NULL;
	change(m, 1, ID "-D\n", "1xUM0n-00000r-16-D\n", -1);
	expect(m, "exim.data-id " DAMAGED);
	m = healthy();
	g_byte_array_unref(m->part[0]);
	g_byte_array_unref(m->part[1]);
	m->part[0] = m->part[1] = NULL;
	m->part[2] = bytes("one@x\n\n", -1);
	expect(m, "exim.journal-line " DELETES);
}

/* --- Names ---------------------------------------------------------------------------------------- */

static void test_names(void)
{
	static const struct {
		unsigned place;
		const char *path;
		enum name_kind kind;
		unsigned role;
	} names[] = {
		{ 0, ID "-H", NAME_MESSAGE, 0 }, { 0, "n/" ID "-H", NAME_MESSAGE, 0 },
		{ 0, ID "-D", NAME_COMPANION, 1 }, { 0, NEW_ID "-J", NAME_COMPANION, 2 },
		{ 1, ID "-H", NAME_MESSAGE, 0 }, { 2, ID, NAME_COMPANION, 3 }, { 2, "n/" NEW_ID, NAME_COMPANION, 3 },
		{ 0, "hdr." ID, NAME_TRANSIENT, 0 }, { 0, "hdr.1234", NAME_TRANSIENT, 0 },
		{ 0, ID "-1234-K", NAME_TRANSIENT, 0 }, { 0, NEW_ID "-1234-K", NAME_TRANSIENT, 0 },
		{ 0, ID, NAME_FOREIGN, 0 }, { 0, ID "-X", NAME_FOREIGN, 0 }, { 0, "-H", NAME_FOREIGN, 0 },
		{ 0, "1xUM0n-00000r_15-H", NAME_FOREIGN, 0 }, { 0, "ab/" ID "-H", NAME_FOREIGN, 0 },
		{ 0, ID "-H~", NAME_FOREIGN, 0 }, { 0, "", NAME_FOREIGN, 0 }, { 2, ID "-H", NAME_FOREIGN, 0 },
		{ 4, ID "/" ID ".eml", NAME_TRANSIENT, 0 }, { 4, "x/y", NAME_FOREIGN, 0 },
		{ 4, "y", NAME_FOREIGN, 0 }, { 9, ID "-H", NAME_FOREIGN, 0 }, { 0, ID "--K", NAME_FOREIGN, 0 }, { 0, "hdr.x", NAME_FOREIGN, 0 },
	};
	static const char *const exim[] = { "db", "input", "msglog", "log" };
	static const char *const postfix[] = { "active", "deferred", "incoming", "input" };
	char buf[64];

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		struct name n = fmt_exim.id_of(names[i].place, names[i].path);

		g_test_message("%s", names[i].path);
		g_assert_cmpint(n.kind, ==, names[i].kind);
		if (n.kind == NAME_MESSAGE || n.kind == NAME_COMPANION)
			g_assert_cmpuint(n.role, ==, names[i].role);
	}
	g_assert_cmpuint(fmt_exim.path_of(0, 0, ID, 16, 0, buf, sizeof buf), ==, 24);
	g_assert_cmpstr(buf, ==, "input/" ID "-H");
	fmt_exim.path_of(1, 1, ID, 16, 1, buf, sizeof buf);
	g_assert_cmpstr(buf, ==, "Finput/n/" ID "-D");
	fmt_exim.path_of(0, 3, NEW_ID, 23, 1, buf, sizeof buf);
	g_assert_cmpstr(buf, ==, "msglog/R/" NEW_ID);
	g_assert_cmpuint(fmt_exim.path_of(0, 0, ID, 16, 2, buf, sizeof buf), ==, 0);
	g_assert_cmpuint(fmt_exim.path_of(0, 0, ID, 15, 0, buf, sizeof buf), ==, 0);
	g_assert_cmpuint(fmt_exim.path_of(0, 0, ID, 16, 0, buf, 24), ==, 0);
	g_assert_cmpuint(fmt_exim.lock.length(ID, 16), ==, 19);
	g_assert_cmpuint(fmt_exim.bid(exim, 4), >, 0);
	g_assert_cmpuint(fmt_exim.bid(postfix, 4), ==, 0);
}

static void test_orphan(void)
{
	const struct site site = { .now = NOW, .owner = OWNER };
	struct part p = { .size = 5, .mtime = NOW - 100, .mode = 0100640 };
	struct report r = { 0 };

	fmt_exim.orphan(0, 1, &p, &site, &r);
	g_assert_cmpuint(r.count, ==, 0);
	p.mtime = NOW - 100000;
	fmt_exim.orphan(0, 1, &p, &site, &r);
	fmt_exim.orphan(0, 2, &p, &site, &r);
	g_assert_cmpuint(r.count, ==, 2);
	g_assert_cmpstr(finding_def(r.findings[0].id)->name, ==, "exim.data-orphan");
	g_assert_cmpstr(finding_def(r.findings[1].id)->name, ==, "exim.journal-orphan");
}

static void test_leftover(void)
{
	const struct site site = { .now = NOW };
	struct part p = { .size = 5, .mtime = NOW - 80000, .mode = 0100640 };
	struct report r = { 0 };
	static const char *const queue[] = { "input", "msglog" }, *const other[] = { "inputs", "x" };

	fmt_exim.leftover(0, &p, &site, &r);
	g_assert_cmpuint(r.count, ==, 0);
	p.mtime = NOW - 90000;
	fmt_exim.leftover(0, &p, &site, &r);
	g_assert_cmpuint(r.count, ==, 1);
	g_assert_cmpstr(finding_def(r.findings[0].id)->name, ==, "exim.leftover");
	g_assert_true(fmt_exim.inner("slow", queue, 2));
	g_assert_false(fmt_exim.inner("slow", other, 2));
}

/* --- Every damage ends ------------------------------------------------------------------------------- */

/* decode() and body(), to their end; the bytes of the text. */
static uint64_t show(const struct msg *f, size_t cap)
{
	void *scratch = g_malloc0(fmt_exim.decode_scratch);
	uint64_t text = 0, most = f->part[0]->len + 100;
	struct message m;
	struct want w;
	struct row row;
	struct run run;
	enum step step;

	facts(f, &m, cap);
	for (uint64_t n = 0; (step = fmt_exim.decode(scratch, &m, &row, &w)) != STEP_DONE; n++) {
		g_assert_cmpuint(n, <, most);
		if (step == STEP_WANT)
			give(f, &m, &w, cap);
		else
			g_assert_cmpuint(row.offset + row.length, <=, f->part[row.part]->len);
	}
	g_free(scratch);
	scratch = g_malloc0(fmt_exim.body_scratch);
	for (uint64_t n = 0; fmt_exim.body(scratch, &m, &run, &w) == STEP_ROW; n++) {
		g_assert_cmpuint(n, <, most);
		g_assert_cmpuint(run.offset + run.length, <=, f->part[run.part]->len);
		text += run.length + run.newline;
	}
	close_parts(&m);
	g_free(scratch);
	return text;
}

/* The whole listing (g_free). */
static char *listing(const struct msg *f, size_t cap)
{
	void *scratch = g_malloc0(fmt_exim.decode_scratch);
	GString *s = g_string_new(NULL);
	struct message m;
	struct want w;
	struct row row;
	enum step step;

	facts(f, &m, cap);
	while ((step = fmt_exim.decode(scratch, &m, &row, &w)) != STEP_DONE)
		if (step == STEP_WANT)
			give(f, &m, &w, cap);
		else
			g_string_append_printf(s, "%u %u+%u %.*s %.*s\n", row.part, (unsigned)row.offset,
					       (unsigned)row.length, row.kind.len, (const char *)row.kind.bytes,
					       row.detail.len, (const char *)row.detail.bytes);
	close_parts(&m);
	g_free(scratch);
	return g_string_free(s, FALSE);
}

static void exercise(const struct msg *f)
{
	struct report *r = run(f);

	for (unsigned i = 0; i < MIN(r->count, REPORT_MAX); i++)
		g_assert_cmpuint(r->findings[i].offset + r->findings[i].length, <=,
				 f->part[r->findings[i].part]->len);
	g_free(r);
	show(f, 7);
}

static void test_truncated(void)
{
	for (unsigned part = 0; part < 2; part++)
		for (guint n = 0;; n++) {
			struct msg *m = healthy();
			struct report *r;
			bool all = n >= m->part[part]->len;

			m->part[part]->len = MIN(n, m->part[part]->len);
			exercise(m);
			r = run(m);
			/* Whole header lines may be missing without a trace. */
			if (part == 1 && !all)
				g_assert_cmpuint(r->count, >, 0);
			g_free(r);
			msg_free(m);
			if (all)
				break;
		}
}

static void test_flipped(void)
{
	for (unsigned part = 0; part < 2; part++) {
		struct msg *m = healthy();

		for (guint i = 0; i < m->part[part]->len * 8; i++) {
			m->part[part]->data[i / 8] ^= (guint8)(1u << i % 8);
			exercise(m);
			m->part[part]->data[i / 8] ^= (guint8)(1u << i % 8);
		}
		msg_free(m);
	}
}

/* The text in windows of every size, what is said of it, and how it is listed. */
static void test_windows(void)
{
	char *wide = g_malloc0(3000);
	struct msg *m = healthy();
	g_autofree char *rows = NULL;

	g_assert_cmpuint(show(m, 1 << 20), ==, 29 + 12 + 13 + 1 + m->part[1]->len - 19);
	memset(wide, 'x', 600);
	memset(wide + 2000, '\n', 1000);
	change(m, 1, "Hello", wide, 3000);
	rows = listing(m, WINDOW_MAX);
	for (size_t cap = 1; cap < 3100; cap += cap < 64 ? 1 : 97) {
		struct report *r = run_capped(m, cap), *all = run(m);
		g_autofree char *again = listing(m, cap);

		g_assert_cmpstr(again, ==, rows);
		same_report(r, all);
		g_free(r);
		g_free(all);
		show(m, cap);
	}
	msg_free(m);
	g_free(wide);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/exim/healthy", test_healthy);
	g_test_add_func("/exim/oddities", test_oddities);
	g_test_add_func("/exim/fixed-lines", test_fixed_lines);
	g_test_add_func("/exim/options", test_options);
	g_test_add_func("/exim/tree", test_tree);
	g_test_add_func("/exim/recipients", test_recipients);
	g_test_add_func("/exim/headers", test_headers);
	g_test_add_func("/exim/data", test_data);
	g_test_add_func("/exim/journal", test_journal);
	g_test_add_func("/exim/status", test_status);
	g_test_add_func("/exim/names", test_names);
	g_test_add_func("/exim/orphan", test_orphan);
	g_test_add_func("/exim/leftover", test_leftover);
	g_test_add_func("/exim/long-recipient", test_long_recipient);
	g_test_add_func("/exim/deadline", test_deadline);
	g_test_add_func("/exim/alone", test_alone);
	g_test_add_func("/exim/truncated", test_truncated);
	g_test_add_func("/exim/flipped", test_flipped);
	g_test_add_func("/exim/windows", test_windows);
	return g_test_run();
}
