/*
 * test-opensmtpd.c - the OpenSMTPD format against envelopes and bodies built in memory
 *
 * ENVELOPE is what smtpd writes; with() replaces lines of it, and each test says which findings
 * must come of that, and that nothing else does. Bytes are given in blocks of exactly their
 * size, so that a sanitizer build sees a read of one byte too many.
 */
#include "format.h"
#include "opensmtpd.h"
#include "reports.h"

#include <glib.h>
#include <stdio.h>

extern const struct format fmt_opensmtpd;

#define NOW 1795170700
#define OWNER 101
#define ID "a1b2c3d4e5f60718"
#define HOME "a1/a1b2c3d4/" ID
#define LOST "corrupt stranded"
#define STOPS "corrupt server-stops"
#define WRONG "suspect damaged-delivery"

static const char envelope[] =
	"version: 3\ndispatcher: relay\ntag: IN\ntype: mta\nsmtpname: lab.test\nhelo: client.test\n"
	"hostname: localhost\nerrorline: 451 try again\nsockaddr: 127.0.0.1\nsender: alice@example.org\n"
	"rcpt: team@example.net\ndest: bob@example.net\nctime: 1795170653\nlast-try: 1795170660\n"
	"last-bounce: 0\nttl: 0\nretry: 1\nflags: authenticated bounce\ndsn-notify: 0\ndsn-ret: HDRS\n"
	"dsn-envid: QQ314\ndsn-orcpt: bob@example.net\nesc-class: 4\nesc-code: 13\n";

static const char body[] = "Received: from a\n\tby b\nSubject: hello\n\nHello.\n";

/* --- One message ------------------------------------------------------------------ */

struct input {
	const uint8_t *bytes;
	size_t size, window;    /* a window is at most so large; 0 = as asked */
	unsigned place;
	const char *id, *path;
	uint32_t version, uid, mode, nlink;
	uint32_t body_mode, home_mode; /* of the shared parts, 0 = not there */
	int64_t mtime;
	bool force;
	const char *conf;       /* smtpd.conf; NULL = not known */
	uint32_t gid;
	enum frame frame;       /* else the bytes are what was unpacked from PACKED bytes */
};

#define PACKED 40

static struct input input_of(const void *bytes, size_t size)
{
	return (struct input){ .bytes = bytes, .size = size, .id = ID, .path = HOME, .uid = OWNER,
			       .mode = 0100600, .nlink = 1, .body_mode = 0100600,
			       .home_mode = 0100600, .mtime = NOW - 60 };
}

static struct input body_of(const void *bytes, size_t size)
{
	struct input in = input_of(bytes, size);

	in.id = "a1b2c3d4";
	in.path = "a1/a1b2c3d4/message";
	in.home_mode = in.body_mode = 0;
	return in;
}

static void fill(struct message *m, const struct input *in)
{
	memset(m, 0, sizeof *m);
	m->place = in->place;
	m->path = in->path;
	m->id = in->id;
	m->id_len = strlen(in->id);
	m->force = in->force;
	m->site = (struct site){ .now = NOW, .owner = OWNER, .version = in->version };
	if (in->conf != NULL)
		fmt_opensmtpd.configure(&m->site, (const uint8_t *)in->conf, strlen(in->conf));
	m->parts[OS_FILE] = (struct part){ .ino = 7, .size = in->size, .mtime = in->mtime,
					   .mode = in->mode, .uid = in->uid, .gid = in->gid,
					   .nlink = in->nlink };
	if (in->frame != FRAME_NONE) {
		m->parts[OS_UNPACKED] = m->parts[OS_FILE];
		m->parts[OS_UNPACKED].frame = (uint8_t)in->frame;
		m->parts[OS_UNPACKED].frame_at = PACKED / 2;
		m->parts[OS_UNPACKED].frame_why = "incorrect data check";
		m->parts[OS_FILE].size = PACKED;
	}
	m->parts[OS_BODY] = (struct part){ .ino = 8, .size = 100, .mode = in->body_mode };
	m->parts[OS_HOME] = (struct part){ .ino = 9, .size = 100, .mode = in->home_mode };
}

/* Where the bytes of the input lie. */
static unsigned bytes_of(const struct input *in)
{
	return in->frame != FRAME_NONE ? OS_UNPACKED : OS_FILE;
}

static void give(struct message *m, const struct input *in, const struct want *w)
{
	g_assert_cmpuint(w->part, ==, bytes_of(in));
	give_window(&m->parts[bytes_of(in)], in->bytes, in->size, in->window, w);
}

static void run(const struct input *in, struct report *r)
{
	struct os_check k;
	struct message m;
	struct want w = { 0 };
	unsigned steps = 0;

	memset(&k, 0, sizeof k);
	g_assert_cmpuint(fmt_opensmtpd.check_scratch, ==, sizeof k);
	fill(&m, in);
	report_reset(r);
	while (fmt_opensmtpd.check(&k, &m, r, &w) == STEP_WANT) {
		g_assert_cmpuint(++steps, <, 10000);
		give(&m, in, &w);
	}
	g_free((void *)(size_t)m.parts[bytes_of(in)].bytes);
	report_sort(r);
	for (unsigned i = 0; i < r->count; i++) {
		uint64_t size = m.parts[r->findings[i].part].size;

		g_assert_cmpuint(r->findings[i].offset, <=, size);
		g_assert_cmpuint(r->findings[i].length, <=, size - r->findings[i].offset);
	}
}

/* "name severity impact, name ..." of what comes of it; NULL = nothing. */
static void expect(const struct input *in, const char *expected)
{
	g_autofree char *words = NULL;
	struct report r;

	run(in, &r);
	words = report_words(&r, true);
	g_assert_cmpstr(words, ==, expected != NULL ? expected : "");
}

/* The envelope with the line of `key` replaced; no such line: one more. NULL = the line left out. */
static char *with(const char *key, const char *line)
{
	g_autofree char *find = g_strconcat("\n", key, ": ", NULL);
	g_autofree char *all = g_strconcat("\n", envelope, NULL);
	const char *at = strstr(all, find);
	size_t before = at != NULL ? (size_t)(at - all) : strlen(all) - 1;
	const char *rest = at != NULL ? strchr(at + 1, '\n') + 1 : "";

	return g_strdup_printf("%.*s\n%s%s", (int)before, all, line != NULL ? line : "", rest);
}

static void line(const char *key, const char *text, const char *expected)
{
	g_autofree char *e = with(key, text);
	struct input in = input_of(e + 1, strlen(e) - 1);

	expect(&in, expected);
}

static char *repeat(const char *key, size_t n, const char *end)
{
	g_autofree char *fill_up = g_strnfill(n, 'x');

	return g_strconcat(key, ": ", fill_up, end, "\n", NULL);
}

static void longer(const char *key, size_t n, const char *end, const char *expected)
{
	g_autofree char *text = repeat(key, n, end);

	line(key, text, expected);
}

/* --- Envelopes --------------------------------------------------------------------- */

static void test_healthy(void)
{
	struct input in = input_of(envelope, sizeof envelope - 1);
	struct report r;

	run(&in, &r);
	g_assert_cmpuint(r.count, ==, 0);
	g_assert_true(r.has_sender && r.has_arrival);
	g_assert_cmpuint(r.sender_len, ==, 17);
	g_assert_cmpmem(r.recipient, r.recipient_len, "bob@example.net", 15);
	g_assert_cmpint(r.arrival, ==, 1795170653);
	in.window = 7;
	expect(&in, NULL);
	/* Everything that is legal and odd. */
	line("sender", "sender: @\n", NULL);
	line("tag", "Tag:IN\n", NULL);
	line("tag", "tag :\t \v IN\n", NULL);
	line("tag", "tag:\n", NULL);
	line("tag", NULL, NULL);
	line("hostname", "hostname: <unknown>\n", NULL);
	line("errorline", "errorline: \xff\x01 : x\n", NULL);
	line("version", "version: +03\n", NULL);
	line("type", "type: MTA\n", NULL);
	line("sockaddr", "sockaddr: local\n", NULL);
	line("sockaddr", "sockaddr: [2001:db8::1]\n", NULL);
	line("sockaddr", "sockaddr: [fe80::1%eth0]\n", NULL);
	line("flags", "flags: internal,enqueued|BOUNCE\n", NULL);
	line("ttl", "ttl: 9223372036854775807\n", NULL);
	line("ttl", NULL, NULL);
	line("dsn-ret", "dsn-ret: full\n", NULL);
}

static void test_lines(void)
{
	line("tag", "\n", "line " LOST);
	line("tag", "tag IN\n", "line " LOST);
	line("tag", "ta_g: IN\n", "line " LOST);
	line("tag", " tag: IN\n", "line " LOST);
	line("tag", "tag\n", "line " LOST);
	line("tag", ": IN\n", "key suspect stranded");
	line("tag", "tags: IN\n", "key suspect stranded");
	line("tag", "helo: x\n", "key-twice suspect none");
	/* The last of two lines counts, unless they are spelled differently. */
	line("tag", "retry: x\nretry: 1\n", "key-twice suspect none, key-twice suspect none");
	line("tag", "Retry: x\n", "number " LOST ", key-twice suspect none");
	line("version", "version: 2\n", "version " LOST);
	line("version", "version: 4\n", "version suspect stranded");
	line("version", "Version: 3\n", "version " LOST);
	line("version", NULL, "version " LOST);
	line("helo", NULL, "needed " LOST);
	line("hostname", "hostname:  \n", "needed " LOST);
	line("dispatcher", "dispatcher:\n", "needed " LOST);
	line("sender", NULL, "missing " WRONG);
	line("ctime", NULL, "missing " WRONG);
	line("mda-exec", "mda-exec: /bin/true\n", "agent suspect none");
	line("bounce-type", "bounce-type: failed\n", "agent suspect none");
}

static void test_versions(void)
{
	g_autofree char *key = with("tag", "tags: IN\n");
	g_autofree char *scope = with("sockaddr", "sockaddr: [fe80::1%em0]\n");
	g_autofree char *old = with("sockaddr", "sockaddr: IPv6:::1\n");
	struct input in = input_of(key + 1, strlen(key) - 1);

	in.version = VERSION(6, 8, 0);
	expect(&in, "key " LOST);
	in.version = VERSION(7, 9, 0);
	expect(&in, "key suspect stranded");
	in = input_of(scope + 1, strlen(scope) - 1);
	in.version = VERSION(6, 8, 0);
	expect(&in, "sockaddr " LOST);
	in.version = VERSION(7, 8, 0);
	expect(&in, NULL);
	in = input_of(old + 1, strlen(old) - 1);
	expect(&in, "sockaddr suspect stranded");
	in.version = VERSION(6, 8, 0);
	expect(&in, NULL);
	in.version = VERSION(7, 6, 0);
	expect(&in, "sockaddr " LOST);
}

static void test_values(void)
{
	static const char *const bad[] = { "", "-1", "1 ", "1x", "0x1", "65536", "9223372036854775808" };
	static const char *const addresses[] = {
		"", "Local", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "[", "[]", "::1",
		"[1:2]", "[1::2::3]", "[:1::]", "[1:]", "[12345::]", "[1:2:3:4:5:6:7:8:9]", "[1::2:3:4:5:6:7:8]",
		"[::1.2.3]", "[::1", "IPv6:x", "[x%eth0]",
	};
	static const char *const good[] = { "[::]", "[::1]", "[1::]", "[1:2:3:4:5:6:7:8]", "[::1.2.3.4]",
					    "[1:2:3:4:5:6:1.2.3.4]", "0.0.0.0", "255.255.255.255" };

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *text = g_strconcat("retry: ", bad[i], "\n", NULL);

		line("retry", text, "number " LOST);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++) {
		g_autofree char *text = g_strconcat("sockaddr: ", addresses[i], "\n", NULL);

		g_test_message("%s", addresses[i]);
		line("sockaddr", text, "sockaddr " LOST);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autofree char *text = g_strconcat("sockaddr: ", good[i], "\n", NULL);

		g_test_message("%s", good[i]);
		line("sockaddr", text, NULL);
	}
	line("type", "type: smtp\n", "word " LOST);
	line("flags", "flags: \n", "word " LOST);
	line("flags", "flags: bounce  internal\n", "word " LOST);
	line("dsn-ret", "dsn-ret: NONE\n", "word " LOST);
	line("retry", "retry: 65535\n", "retry notice none");
	line("dest", "dest: bob\n", "address " WRONG);
	line("rcpt", "rcpt: @\n", "address " WRONG);
	line("sender", "sender: \n", "address " WRONG);
}

static void test_lengths(void)
{
	longer("tag", 32, "", NULL);
	longer("tag", 33, "", "too-long " LOST);
	longer("helo", 64, "", NULL);
	longer("helo", 65, "", "too-long suspect stranded");
	longer("helo", 256, "", "too-long " LOST);
	longer("errorline", 2047, "", NULL);
	longer("errorline", 2048, "", "too-long suspect stranded");
	longer("errorline", 4096, "", "too-long " LOST);
	longer("dsn-envid", 101, "", "too-long " LOST);
	longer("sender", 255, "@d", NULL);
	longer("sender", 256, "@d", "too-long " LOST);
	longer("errorline", 7300, "", "too-long " LOST ", too-large suspect stranded");
}

static void test_times(void)
{
	line("ctime", "ctime: 99999999999999\n", "ctime-far " STOPS);
	line("ctime", "ctime: 3942654348\n", "ctime-far " STOPS);  /* now + 2^31 */
	line("ctime", "ctime: 3942654347\n", "ctime " WRONG);
	line("ctime", "ctime: 1795257200\n", "ctime " WRONG);
	line("ctime", "ctime: 1795257000\n", NULL);
	line("ctime", "ctime: 0\n", "ctime " WRONG);
}

static void test_whole(void)
{
	struct input in = input_of("", 0);
	uint8_t zeros[500] = { 0 };
	char crypt[40] = "\1";
	char *copy = g_strdup(envelope);
	size_t n = sizeof envelope - 1;

	expect(&in, "empty " LOST);
	in = input_of(zeros, sizeof zeros);
	expect(&in, "zero-filled " LOST);
	in = input_of(envelope, n - 1);
	expect(&in, "cut " LOST);
	copy[n - 1] = '\0';
	in = input_of(copy, n);
	expect(&in, "nul suspect stranded");
	copy[n - 1] = '\n';
	copy[100] = '\0';
	expect(&in, "nul " LOST);
	/* Other kinds of queues. */
	in = input_of(crypt, sizeof crypt);
	expect(&in, "encrypted notice none");
	in = input_of(crypt, 29);
	expect(&in, "crypt-short " LOST ", encrypted notice none");
	/* Text that lost its first byte is no ciphertext. */
	g_free(copy);
	copy = g_strdup(envelope);
	copy[0] = 1;
	in = input_of(copy, n);
	expect(&in, "line " LOST);
	g_free(copy);
}

static void test_facts(void)
{
	struct input in = input_of(envelope, sizeof envelope - 1);

	in.body_mode = 0;
	expect(&in, "body-missing " LOST);
	/* Nobody looks for the body of what is not called like an envelope. */
	in.id = "backup";
	in.path = "a1/a1b2c3d4/backup";
	expect(&in, NULL);
	in.id = ID;
	in.path = HOME;
	in.body_mode = 0120777;
	expect(&in, "body-kind suspect stranded");
	in.body_mode = 0100600;
	in.nlink = 2;
	expect(&in, "links notice none");
	in.nlink = 1;
	in.mtime = NOW + 90000;
	expect(&in, "mtime suspect stranded");
	in.mtime = NOW;
	in.uid = 0;
	expect(&in, "access suspect stranded");
	in.mode = 0100644;
	expect(&in, NULL);
	/* Elsewhere than its id says. */
	in.path = "a2/a1b2c3d4/" ID;
	expect(&in, "twin " STOPS);
	in.home_mode = 0;
	expect(&in, "misplaced " LOST);
	in.home_mode = 0100600;
	in.path = "a1x/a1b2c3d4/" ID;
	expect(&in, "misplaced " LOST);
	in.path = "a1/a1b2c3d4/x/" ID;
	expect(&in, "misplaced " LOST);
	in.path = in.id = "A1B2C3D4e5f60718";
	expect(&in, "misplaced " LOST);
	in.path = "a1/a1b2c3d4/A1B2C3D4e5f60718";
	expect(&in, "twin " STOPS);
	/* On its own, of which nothing is known. */
	in.force = true;
	in.path = in.id = ID;
	in.body_mode = in.home_mode = 0;
	expect(&in, NULL);
	in = input_of(envelope, sizeof envelope - 1);
	in.id = "a1b2c3d400000000";
	in.path = "a1/a1b2c3d4/a1b2c3d400000000";
	expect(&in, "evpid-zero notice none");
}

/* --- Bodies and submissions ----------------------------------------------------------- */

static void test_body(void)
{
	struct input in = body_of(body, sizeof body - 1);
	size_t n = 3 * WINDOW_MAX + 100;
	uint8_t *big = g_malloc0(n);

	expect(&in, NULL);
	in.window = 1;
	expect(&in, NULL);
	in = body_of(body, sizeof body - 2);
	expect(&in, "body-cut " WRONG);
	in = body_of("", 0);
	expect(&in, "body-empty " WRONG);
	in = body_of(big, n);
	expect(&in, "zero-filled corrupt damaged-delivery");
	in.window = 100000;
	expect(&in, "zero-filled corrupt damaged-delivery");
	big[n - 1] = '\n';
	expect(&in, "body-zeros " WRONG);
	big[n - 1] = 0;
	memset(big, 'x', 70);
	expect(&in, "body-zeros " WRONG);
	memset(big, 'x', n);
	big[n - 1] = '\n';
	expect(&in, NULL);
	big[0] = 1;
	big[1] = 200;
	expect(&in, "encrypted notice none");
	in.uid = 0;
	expect(&in, "access suspect stranded, encrypted notice none");
	g_free(big);
}

static void test_offline(void)
{
	static const char sound[] = "-f|a@b|c@d\nSubject: x\n\nx\n";
	struct input in = body_of(sound, sizeof sound - 1);

	in.place = OS_OFFLINE;
	in.id = in.path = "1795161600.abcdefghij";
	expect(&in, NULL);
	in.nlink = 2;
	expect(&in, "offline-links suspect stranded");
	in.nlink = 1;
	in.gid = 5;
	expect(&in, "offline-group suspect stranded");
	in.gid = 0;
	in.size = 10;
	expect(&in, "offline-line suspect stranded");
	in.window = 3;
	expect(&in, "offline-line suspect stranded");
	in.size = 0;
	expect(&in, "offline-empty notice server-deletes");
	in.size = 1;
	in.bytes = (const uint8_t *)"\n";
	expect(&in, NULL);
}

/* --- The configuration ------------------------------------------------------------------------ */

/* The names of actions, in one line; NULL = nothing is known. */
static void reads(const char *conf, const char *words, enum os_kind storage)
{
	struct site s = { 0 };
	/* A block of its own size: one byte too many is seen. */
	g_autofree uint8_t *copy = g_memdup2(conf, strlen(conf));

	g_test_message("%s", conf);
	fmt_opensmtpd.configure(&s, copy, strlen(conf));
	g_assert_cmpint(s.configured, ==, words != NULL);
	for (unsigned i = 0; i < s.words_len; i++)
		if (s.words[i] == '\0')
			s.words[i] = ' ';
	if (words != NULL)
		g_assert_cmpmem(s.words, s.words_len, words, strlen(words));
	if (words != NULL)
		g_assert_cmpint(s.storage, ==, storage);
}

static void test_configure(void)
{
	g_autoptr(GString) many = g_string_new("");
	g_autoptr(GString) words = g_string_new("");

	reads("", NULL, OS_PLAIN);
	reads("listen on all\n", NULL, OS_PLAIN);
	reads("action \"relay\" relay", "relay ", OS_PLAIN);
	reads("action relay relay\naction 'l o' maildir\nmatch for any action nobody\n", "relay l o ", OS_PLAIN);
	reads("# action x y\n  action a mda \"/bin/x\" # action b\n\taction c lmtp /x", "a c ", OS_PLAIN);
	reads("table t { a = b,\n c = d }\naction \\\n  a relay \\\n action b\n", "a ", OS_PLAIN);
	reads("queue compression\naction a relay\n", "a ", OS_GZIP);
	reads("queue ttl 4d\nqueue encryption \"k\"\nqueue compression\naction a relay\n", "a ", OS_CRYPT);
	reads("action a relay\n#queue compression\n", "a ", OS_PLAIN);
	/* What might hide an action. */
	reads("include \"/etc/more\"\naction a relay\n", NULL, OS_PLAIN);
	reads("x = y\naction $x relay\naction a relay\n", NULL, OS_PLAIN);
	reads("$x a relay\naction a relay\n", NULL, OS_PLAIN);
	reads("action a mda \"x \\\" y\"\naction b relay\n", NULL, OS_PLAIN);
	reads("action {\n", NULL, OS_PLAIN);
	reads("action", NULL, OS_PLAIN);
	/* As many as there is room for, and one more. */
	for (unsigned i = 0; i < SITE_WORDS / 8; i++) {
		g_string_append_printf(many, "action a%06u relay\n", i);
		g_string_append_printf(words, "a%06u ", i);
	}
	reads(many->str, words->str, OS_PLAIN);
	g_string_append(many, "action b relay\n");
	reads(many->str, NULL, OS_PLAIN);
}

static void test_configured(void)
{
	struct input in = input_of(envelope, sizeof envelope - 1);

	in.conf = "action relay relay\n";
	expect(&in, NULL);
	in.conf = "action Relay relay\naction relay2 relay\naction rela relay\n";
	expect(&in, "dispatcher suspect stranded");
	in.conf = "queue compression\naction relay relay\n";
	expect(&in, "storage suspect stranded");
	in.frame = FRAME_SOUND;
	expect(&in, NULL);
	in = body_of(body, sizeof body - 1);
	in.conf = "queue compression\naction relay relay\n";
	expect(&in, NULL); /* it is read all the same */
	in.conf = "queue encryption\naction relay relay\n";
	expect(&in, "storage suspect stranded");
	in.frame = FRAME_SOUND;
	in.conf = "action relay relay\n";
	expect(&in, "storage " WRONG);
}

static void expect_directory(unsigned index, uint32_t mode, uint32_t uid, uint32_t gid, bool good)
{
	const struct part p = { .mode = 0040000 | mode, .uid = uid, .gid = gid };
	const struct site s = { .owner = OWNER };
	struct report r;

	report_reset(&r);
	fmt_opensmtpd.directory(index, &p, &s, &r);
	g_assert_cmpuint(r.count, ==, good ? 0 : 1);
}

static void test_directories(void)
{
	const char *const *names = fmt_opensmtpd.directories;

	for (unsigned i = 0; names[i] != NULL; i++) {
		bool root = strcmp(names[i], ".") == 0, offline = strcmp(names[i], "offline") == 0;
		uint32_t mode = root ? 0711 : offline ? 0770 : 0700, uid = root || offline ? 0 : OWNER;
		uint32_t gid = offline ? 77 : 0;

		expect_directory(i, mode, uid, gid, true);
		expect_directory(i, mode | 01000, uid, gid, false);
		expect_directory(i, mode ^ 04, uid, gid, false);
		expect_directory(i, mode, uid + 1, gid, false);
		expect_directory(i, mode, uid, gid + 1, offline);
	}
}

/* --- Compressed ------------------------------------------------------------------------------ */

static void test_compressed(void)
{
	static const char larger[OS_ENVELOPE_MAX] = "version: 3\n";
	const enum frame whole[] = { FRAME_SOUND, FRAME_MORE, FRAME_LARGE };
	const char *const says[] = { NULL, "gzip-more suspect none", "gzip-large suspect stranded" };
	struct input in = input_of(envelope, sizeof envelope - 1);
	struct report r;

	/* smtpd reads the text of what is whole, whatever follows. */
	for (unsigned i = 0; i < G_N_ELEMENTS(whole); i++) {
		in = input_of(envelope, sizeof envelope - 1);
		in.frame = whole[i];
		expect(&in, says[i]);
		in = body_of(body, sizeof body - 1);
		in.frame = whole[i];
		expect(&in, i == 1 ? "gzip-more " WRONG : says[i]);
	}
	in = input_of(envelope, sizeof envelope - 2);
	in.frame = FRAME_SOUND;
	expect(&in, "cut " LOST);
	in.size = 0;
	expect(&in, "empty " LOST);
	in = input_of(larger, OS_ENVELOPE_SMALL);
	in.frame = FRAME_SOUND;
	expect(&in, "nul " LOST ", too-large suspect stranded");
	in.size = OS_ENVELOPE_MAX;
	expect(&in, "too-large " LOST);
	/* What is not whole: an envelope is lost, a body fails or is cut. Whose it is can be read. */
	for (enum frame frame = FRAME_CUT; frame <= FRAME_DAMAGED; frame++) {
		in = input_of(envelope, 300);
		in.frame = frame;
		expect(&in, "gzip " LOST);
		run(&in, &r);
		g_assert_cmpmem(r.sender, r.sender_len, "alice@example.org", 17);
		g_assert_cmpuint(r.arrival, ==, 1795170653);
		g_assert_cmpuint(r.findings[0].part, ==, OS_FILE);
		in = body_of(body, 20);
		in.frame = frame;
		expect(&in, frame == FRAME_CUT ? "gzip corrupt damaged-delivery" : "gzip " LOST);
	}
	in = body_of(body, sizeof body - 2);
	in.frame = FRAME_SOUND;
	in.window = 3;
	expect(&in, "body-cut " WRONG);
	run(&in, &r);
	g_assert_cmpuint(r.findings[0].part, ==, OS_UNPACKED);
}

/* --- Every cut, every bit ---------------------------------------------------------------- */

static unsigned count_rows(const struct input *in)
{
	struct os_show s;
	struct message m;
	struct want w = { 0 };
	struct row row;
	enum step step;
	unsigned rows = 0;

	memset(&s, 0, sizeof s);
	fill(&m, in);
	do {
		step = fmt_opensmtpd.decode(&s, &m, &row, &w);
		if (step == STEP_WANT)
			give(&m, in, &w);
		if (step == STEP_ROW) {
			g_assert_cmpuint(row.offset, <=, m.parts[row.part].size);
			g_assert_cmpuint(row.length, <=, m.parts[row.part].size - row.offset);
			g_assert_cmpuint(row.kind.len, >, 0);
			rows++;
		}
		g_assert_cmpuint(rows, <, 5000);
	} while (step != STEP_DONE);
	g_free((void *)(size_t)m.parts[bytes_of(in)].bytes);
	return rows;
}

static void torture(struct input in, bool cuts_show)
{
	size_t n = in.size;
	uint8_t *copy = g_memdup2(in.bytes, n);
	struct report r;

	for (in.size = 0; in.size < n; in.size++) {
		run(&in, &r);
		g_assert_true(r.count > 0 || !cuts_show || (in.size > 0 && in.bytes[in.size - 1] == '\n'));
		count_rows(&in);
	}
	in.bytes = copy;
	for (size_t bit = 0; bit < n * 8; bit++) {
		copy[bit / 8] = (uint8_t)(copy[bit / 8] ^ 1u << bit % 8);
		run(&in, &r);
		count_rows(&in);
		copy[bit / 8] = (uint8_t)(copy[bit / 8] ^ 1u << bit % 8);
	}
	g_free(copy);
}

static void test_torture(void)
{
	struct input in = body_of(body, sizeof body - 1);

	torture(input_of(envelope, sizeof envelope - 1), true);
	torture(in, true);
	in.window = 3;
	torture(in, true);
	in.frame = FRAME_SOUND;
	torture(in, true);
	in.frame = FRAME_NONE;
	in.place = OS_OFFLINE;
	torture(in, false);
}

static void test_rows(void)
{
	struct input in = input_of(envelope, sizeof envelope - 1);

	g_assert_cmpuint(count_rows(&in), ==, 1 + 24);
	in.frame = FRAME_SOUND;
	g_assert_cmpuint(count_rows(&in), ==, 1 + 24);
	in = body_of(body, sizeof body - 1);
	g_assert_cmpuint(count_rows(&in), ==, 1 + 3 + 1);
	/* A field has a name. */
	in = body_of(": x\n\n", 5);
	g_assert_cmpuint(count_rows(&in), ==, 1 + 1);
	in = input_of(": x\nversion: 3\n", 15);
	g_assert_cmpuint(count_rows(&in), ==, 1 + 2);
}

/* --- Names ---------------------------------------------------------------------------------- */

static void is_name(unsigned place, const char *path, enum name_kind kind, const char *id)
{
	struct name n = fmt_opensmtpd.id_of(place, path);

	g_test_message("%s", path);
	g_assert_cmpint(n.kind, ==, kind);
	g_assert_cmpmem(n.id, n.id_len, id, strlen(id));
}

static void test_names(void)
{
	char buf[100];
	const char *const names[] = { "queue", "incoming", "purge", "temporary", "offline", "x" };

	is_name(OS_QUEUE, HOME, NAME_MESSAGE, ID);
	is_name(OS_QUEUE, ID, NAME_MESSAGE, ID);
	is_name(OS_QUEUE, "a1/a1b2c3d4/message", NAME_MESSAGE, "a1b2c3d4");
	is_name(OS_QUEUE, "a1/xa1b2c3d4/message", NAME_FOREIGN, "message");
	is_name(OS_QUEUE, "a1/backup00/message", NAME_FOREIGN, "message");
	is_name(OS_QUEUE, "message", NAME_FOREIGN, "message");
	is_name(OS_QUEUE, "a1/a1b2c3d4/a1b2c3d4e5f6071g", NAME_FOREIGN, "a1b2c3d4e5f6071g");
	is_name(OS_QUEUE, "a1/a1b2c3d4/core", NAME_FOREIGN, "core");
	is_name(OS_OFFLINE, "17.abc", NAME_MESSAGE, "17.abc");
	is_name(OS_OFFLINE, ".swp", NAME_FOREIGN, ".swp");
	g_assert_cmpuint(fmt_opensmtpd.path_of(OS_QUEUE, OS_FILE, "A1B2C3D4e5f60718", 16, 0, buf, 100), ==, 34);
	g_assert_cmpstr(buf, ==, "queue/" HOME);
	g_assert_cmpuint(fmt_opensmtpd.path_of(OS_QUEUE, OS_FILE, ID, 16, 2, buf, 34), ==, 0);
	g_assert_cmpuint(fmt_opensmtpd.path_of(OS_QUEUE, OS_FILE, ID, 16, 2, buf, 35), ==, 34);
	g_assert_cmpuint(fmt_opensmtpd.path_of(OS_QUEUE, OS_BODY, ID, 16, 2, buf, 100), ==, 25);
	g_assert_cmpstr(buf, ==, "queue/a1/a1b2c3d4/message");
	g_assert_cmpuint(fmt_opensmtpd.path_of(OS_QUEUE, OS_BODY, "a1b2c3d4", 8, 2, buf, 100), ==, 0);
	g_assert_cmpuint(fmt_opensmtpd.path_of(OS_QUEUE, OS_FILE, "a1b2c3d4", 8, 2, buf, 100), ==, 25);
	g_assert_cmpuint(fmt_opensmtpd.path_of(OS_QUEUE, OS_FILE, "../../../e5f60718", 16, 2, buf, 100), ==, 0);
	g_assert_cmpuint(fmt_opensmtpd.path_of(OS_OFFLINE, OS_FILE, "a/b", 3, 0, buf, 100), ==, 0);
	g_assert_cmpuint(fmt_opensmtpd.path_of(OS_OFFLINE, OS_FILE, "a.b", 3, 0, buf, 100), ==, 11);
	g_assert_cmpuint(fmt_opensmtpd.bid(names, 6), ==, 40);
	g_assert_cmpuint(fmt_opensmtpd.bid(names, 3), ==, 0);
	g_assert_true(fmt_opensmtpd.owns_directory(OS_QUEUE, "a1b2c3d4", 8));
	g_assert_false(fmt_opensmtpd.owns_directory(OS_QUEUE, ID, 16));
}

static void test_flight(void)
{
	const struct site s = { .now = NOW };
	struct part p = { .mtime = NOW - 3, .mode = 0100600 };
	struct report r;

	g_assert_true(fmt_opensmtpd.in_flight(OS_QUEUE, &p, &s));
	p.size = 5;
	g_assert_false(fmt_opensmtpd.in_flight(OS_QUEUE, &p, &s));
	g_assert_true(fmt_opensmtpd.in_flight(OS_OFFLINE, &p, &s));
	p.mtime = NOW - 100;
	g_assert_false(fmt_opensmtpd.in_flight(OS_OFFLINE, &p, &s));
	report_reset(&r);
	fmt_opensmtpd.alone(OS_QUEUE, "message", &p, &s, &r);
	g_assert_cmpuint(r.count, ==, 0);
	p.mtime = NOW - 90000;
	fmt_opensmtpd.alone(OS_QUEUE, ID, &p, &s, &r);
	g_assert_cmpuint(r.count, ==, 0);
	fmt_opensmtpd.alone(OS_QUEUE, "message", &p, &s, &r);
	g_assert_cmpuint(r.count, ==, 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/opensmtpd/healthy", test_healthy);
	g_test_add_func("/opensmtpd/lines", test_lines);
	g_test_add_func("/opensmtpd/versions", test_versions);
	g_test_add_func("/opensmtpd/values", test_values);
	g_test_add_func("/opensmtpd/lengths", test_lengths);
	g_test_add_func("/opensmtpd/times", test_times);
	g_test_add_func("/opensmtpd/whole", test_whole);
	g_test_add_func("/opensmtpd/facts", test_facts);
	g_test_add_func("/opensmtpd/body", test_body);
	g_test_add_func("/opensmtpd/offline", test_offline);
	g_test_add_func("/opensmtpd/configure", test_configure);
	g_test_add_func("/opensmtpd/configured", test_configured);
	g_test_add_func("/opensmtpd/directories", test_directories);
	g_test_add_func("/opensmtpd/compressed", test_compressed);
	g_test_add_func("/opensmtpd/torture", test_torture);
	g_test_add_func("/opensmtpd/rows", test_rows);
	g_test_add_func("/opensmtpd/names", test_names);
	g_test_add_func("/opensmtpd/in-flight", test_flight);
	return g_test_run();
}
