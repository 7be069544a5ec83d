/*
 * test-content.c - what bytes are that should be mail, and which blocks of a file are foreign
 *
 * Contents are made by the programs that make them in life (this program itself, zlib) or written out by
 * the field's specifications. The scan for blocks sees each file in pieces of several sizes.
 */
#include "config.h"

#include "blocks.h"
#include "bounds.h"
#include "content.h"
#include "contents.h"
#include "sandbox.h"

#include <glib.h>
#include <magic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

/* --- What it is -------------------------------------------------------------- */

static enum content_kind kind_of(const void *p, size_t n, char *name, size_t cap)
{
	struct content c;

	content_identify(p, n, &c);
	g_assert_cmpuint(c.kind, <, CONTENT_KINDS);
	for (unsigned i = 0; i < c.name.len; i++)
		g_assert_true(g_ascii_isprint((char)c.name.bytes[i]));
	g_strlcpy(name, "", cap);
	g_assert_cmpuint(c.name.len, <, cap);
	memcpy(name, c.name.bytes, c.name.len);
	name[c.name.len] = '\0';
	return c.kind;
}

static void expect(const void *p, size_t n, enum content_kind kind, const char *words)
{
	char name[TEXT_MAX + 1];
	enum content_kind got = kind_of(p, n, name, sizeof name);

	g_assert_cmpstr(name, ==, words);
	g_assert_cmpuint(got, ==, kind);
}

/* Written out, padded with zeros to `n`. */
static void expect_block(const char *head, size_t len, size_t n, enum content_kind kind,
			 const char *words)
{
	g_autofree uint8_t *block = g_malloc0(n);

	memcpy(block, head, len);
	expect(block, n, kind, words);
}

#define BLOCK(head, kind, words) expect_block(head, sizeof head - 1, 4096, kind, words)

static void test_files(void)
{
	g_autofree char *self = NULL;
	uint8_t packed[256];
	uLongf len = sizeof packed;
	z_stream z = { .next_in = (Bytef *)(size_t)"mail", .avail_in = 4, .next_out = packed,
		.avail_out = sizeof packed };
	size_t n;

	g_assert_true(g_file_get_contents("/proc/self/exe", &self, &n, NULL));
	g_assert_cmpuint(n, >, CONTENT_BYTES);
	{
		char name[TEXT_MAX + 1];

		g_assert_cmpuint(kind_of(self, n, name, sizeof name), ==, CONTENT_PROGRAM);
		g_assert_true(g_str_has_prefix(name, "ELF "));
	}
	g_assert_cmpint(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), ==, Z_OK);
	g_assert_cmpint(deflate(&z, Z_FINISH), ==, Z_STREAM_END);
	len = (uLongf)z.total_out;
	deflateEnd(&z);
	expect(packed, len, CONTENT_ARCHIVE, "gzip compressed data");
	BLOCK("\x7f" "ELF\2\1\1\0\0\0\0\0\0\0\0\0\4\0>\0\1\0\0\0", CONTENT_CORE, "ELF 64-bit LSB core file");
	BLOCK("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\6\0\0\0", CONTENT_IMAGE, "PNG image data");
	BLOCK("%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", CONTENT_DOCUMENT, "PDF document");
	BLOCK("SQLite format 3\0\x10\0\1\1\0\x40\x20\x20", CONTENT_DATABASE, "SQLite 3.x database");
	BLOCK("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", CONTENT_DOCUMENT, "OLE 2 Compound Document");
}

/* A name in a gzip header is somebody's, and may be a trick on a terminal: it is not repeated. */
static void test_values(void)
{
	BLOCK("\x1f\x8b\x08\x08\0\0\0\0\0\3\x1b[31mred\0", CONTENT_ARCHIVE, "gzip compressed data");
}

static void test_file_systems(void)
{
	uint8_t dir[4096] = { 2, 0, 0, 0, 12, 0, 1, 2, '.', 0, 0, 0, 2, 0, 0, 0, 12, 0, 2, 2, '.', '.', 0, 0,
		11, 0, 0, 0, 0xe8, 0x0f, 10, 2 };

	memcpy(dir + 32, "lost+found", 10);
	expect(dir, sizeof dir, CONTENT_FILE_SYSTEM, "part of an ext4 directory");
	dir[28]++; /* the last entry would end behind the block */
	expect(dir, sizeof dir, CONTENT_BINARY, "binary data");
	BLOCK("FILE0\0\3\0", CONTENT_FILE_SYSTEM, "part of an NTFS file table");
	BLOCK("INDX(\0\x09\0", CONTENT_FILE_SYSTEM, "part of an NTFS directory");
	BLOCK("\xc0\x3b\x39\x98\0\0\0\1", CONTENT_FILE_SYSTEM, "part of an ext4 journal");
}

#define TEXT(words, kind, name) expect(words, sizeof words - 1, kind, name)

static void test_mail(void)
{
	TEXT("C\x5f            612             620               1               0             612               0"
	     "T\x11", CONTENT_QUEUE_FILE, "the beginning of a Postfix queue file");
	TEXT("1qK4Zs-0004Xy-2B-H\nmail 8 8\n", CONTENT_QUEUE_FILE, "the beginning of an Exim -H file");
	TEXT("1vLxyz-00000001abC-0Ab1-D\nHello\n", CONTENT_QUEUE_FILE, "the beginning of an Exim -D file");
	TEXT("V8\nT1795161600\nK0\n", CONTENT_QUEUE_FILE, "the beginning of a Sendmail control file");
	TEXT("version: 3\ndispatcher: local\ntag: \n", CONTENT_TEXT, "text");
	TEXT("version: 3\ntag: local\ntype: mda\n", CONTENT_QUEUE_FILE, "an OpenSMTPD envelope");
	TEXT("Return-Path: <a@example.org>\nReceived: from b\n\tby c; Fri\nSubject: x\n",
	     CONTENT_MAIL, "the beginning of another message");
	/* Lines that look like fields, and the answer that quotes some. */
	TEXT("Total: 4\nShipping: 1\nTax: 2\n", CONTENT_TEXT, "text");
	TEXT("From: a\nSubject: b\nthen text\n", CONTENT_TEXT, "text");
	TEXT("> From: a\n> Date: b\n> To: c\n", CONTENT_TEXT, "text");
	TEXT("Gr\xfc\xdf" "e\n", CONTENT_TEXT, "text");
	TEXT("\x1b$B$3$s\x1b(B\n", CONTENT_TEXT, "text");
	TEXT("", CONTENT_NOTHING, "");
	TEXT("\0\0\0\0", CONTENT_ZEROS, "zero bytes");
	TEXT("\0", CONTENT_ZEROS, "zero bytes");
}

/* Random bytes have no name, though libmagic gives one to each 25th. */
static void test_random(void)
{
	GRand *rand = g_rand_new_with_seed(6);
	unsigned named = 0;

	for (unsigned i = 0; i < 500; i++) {
		guint32 block[1024];
		char name[TEXT_MAX + 1];

		for (unsigned k = 0; k < G_N_ELEMENTS(block); k++)
			block[k] = g_rand_int(rand);
		named += kind_of(block, sizeof block, name, sizeof name) != CONTENT_BINARY;
	}
	g_assert_cmpuint(named, <=, 1); /* gzip's magic has three bytes: 1 in 2^24 */
	g_rand_free(rand);
}

static void test_limits(void)
{
	magic_t m = magic_open(0);

	for (int i = 0; content_limits[i] != 0; i++) {
		size_t usual = 0;

		g_assert_cmpint(magic_getparam(m, i, &usual), ==, 0);
		g_assert_cmpuint(content_limits[i], <, usual);
	}
	g_assert_cmpuint(content_limits[MAGIC_PARAM_BYTES_MAX], ==, CONTENT_BYTES);
	magic_close(m);
}

/* Behind the closed door all of it works, and a look at libmagic's worst is no different. */
static void test_sandbox(void)
{
	static const char pdf[] = "%PDF-1.4\n%\xe2\xe3\xcf\xd3\n";
	struct content c;
	int pair[2];
	char word = 0;
	pid_t pid;

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), ==, 0);
	pid = fork();
	if (pid == 0) {
		const char *what;

		dup2(pair[1], WORKER_FD);
		if (sandbox_close(SANDBOX_DEEP, &what) < 0)
			_exit(2);
		for (unsigned i = 0; i < 2000; i++) {
			uint8_t block[CONTENT_BYTES];

			for (size_t k = 0; k < sizeof block; k++)
				block[k] = (uint8_t)(k * i ^ k >> 3);
			content_identify(block, sizeof block, &c);
		}
		content_identify((const uint8_t *)pdf, sizeof pdf - 1, &c);
		word = c.kind == CONTENT_DOCUMENT && c.name.len == 12 ? 'y' : 'n';
		send(WORKER_FD, &word, 1, MSG_NOSIGNAL);
		_exit(0);
	}
	close(pair[1]);
	g_assert_cmpint(recv(pair[0], &word, 1, 0), ==, 1);
	g_assert_cmpint(word, ==, 'y');
	close(pair[0]);
	waitpid(pid, NULL, 0);
}

/* Without a database everything else is still said. */
static void test_without(void)
{
	const char *why;

	content_close();
	BLOCK("%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", CONTENT_BINARY, "binary data");
	BLOCK("FILE0\0\3\0", CONTENT_FILE_SYSTEM, "part of an NTFS file table");
	g_assert_cmpint(content_open(&why), ==, 0);
}

static void test_contradicts(void)
{
	g_assert_true(content_contradicts("image/png", 9, CONTENT_PROGRAM));
	g_assert_true(content_contradicts("IMAGE/JPEG", 10, CONTENT_DOCUMENT));
	g_assert_true(content_contradicts("application/pdf", 15, CONTENT_ARCHIVE));
	/* Said wrongly every day, or said of anything. */
	g_assert_false(content_contradicts("image/png", 9, CONTENT_IMAGE));
	g_assert_false(content_contradicts("image/png", 9, CONTENT_TEXT));
	g_assert_false(content_contradicts("image/png", 9, CONTENT_BINARY));
	g_assert_false(content_contradicts("image/svg+xml", 13, CONTENT_ARCHIVE));
	g_assert_false(content_contradicts("application/octet-stream", 24, CONTENT_PROGRAM));
	g_assert_false(content_contradicts("application/msword", 18, CONTENT_ARCHIVE));
	g_assert_false(content_contradicts("text/plain", 10, CONTENT_IMAGE));
	g_assert_false(content_contradicts("image/pn", 8, CONTENT_PROGRAM));
	g_assert_false(content_contradicts("", 0, CONTENT_PROGRAM));
}

#define DOUBTFUL(type, bytes) content_doubtful(type, strlen(type), (const uint8_t *)bytes, sizeof bytes - 1)

static void test_doubtful(void)
{
	g_assert_false(DOUBTFUL("image/png", "\x89PNG\r\n\x1a\n"));
	g_assert_false(DOUBTFUL("Image/JPEG", "\xff\xd8\xff\xe0"));
	g_assert_false(DOUBTFUL("application/pdf", "\n\n%PDF-1.4"));
	g_assert_false(DOUBTFUL("application/zip", "PK\5\6"));
	g_assert_false(DOUBTFUL("application/octet-stream", "\x7f" "ELF"));
	g_assert_false(DOUBTFUL("image/png", ""));
	g_assert_true(content_certain("IMAGE/gif", 9));
	g_assert_false(content_certain("image/gif2", 10));
	g_assert_true(DOUBTFUL("image/png", "\x7f" "ELF"));
	g_assert_true(DOUBTFUL("application/pdf", "MZ\x90"));
	for (unsigned k = 0; k < CONTENT_KINDS; k++)
		g_assert_cmpint(content_foreign(k), ==, k > CONTENT_ZEROS && k < CONTENT_TEXT);
}

/* --- Blocks ------------------------------------------------------------------- */

/* A text of short lines with `n` bytes. */
static uint8_t *make_text(size_t n)
{
	uint8_t *text = g_malloc(n);

	for (size_t i = 0; i < n; i++)
		text[i] = i % 61 == 60 ? '\n' : (uint8_t)('a' + i * 7 % 26);
	return text;
}

static void noise(uint8_t *p, size_t n, guint32 seed)
{
	GRand *rand = g_rand_new_with_seed(seed);

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)g_rand_int(rand);
	p[0] = 0x7f; /* as much that is foreign begins: with a control character */
	p[n - 1] = 3;
	g_rand_free(rand);
}

/* The runs, in words: "zeros 4096+512, ...". The same however the bytes are cut. */
static char *runs_of(const uint8_t *p, size_t n, bool text)
{
	static const char *const names[] = { "zeros", "binary", "another" };
	static const size_t pieces[] = { 1 << 20, 512, 1, 4097 };
	char *first = NULL;

	for (size_t k = 0; k < G_N_ELEMENTS(pieces); k++) {
		GString *s = g_string_new(NULL);
		struct blocks b;

		blocks_begin(&b, text);
		for (size_t at = 0; at < n; at += pieces[k])
			blocks_feed(&b, p + at, MIN(pieces[k], n - at));
		blocks_end(&b);
		for (unsigned i = 0; i < b.count; i++)
			g_string_append_printf(s, "%s%s %ju+%ju", i > 0 ? ", " : "", names[b.runs[i].kind],
					       (uintmax_t)b.runs[i].offset, (uintmax_t)b.runs[i].length);
		if (b.more > 0)
			g_string_append_printf(s, " and %ju", (uintmax_t)b.more);
		if (first == NULL) {
			first = g_string_free(s, FALSE);
		} else {
			g_assert_cmpstr(s->str, ==, first);
			g_string_free(s, TRUE);
		}
	}
	return first;
}

static void expect_runs(const uint8_t *p, size_t n, bool text, const char *words)
{
	g_autofree char *runs = runs_of(p, n, text);

	g_assert_cmpstr(runs, ==, words);
}

static void test_zeros(void)
{
	g_autofree uint8_t *t = make_text(20000);

	expect_runs(t, 20000, true, "");
	memset(t + 4096, 0, 512);
	expect_runs(t, 20000, true, "zeros 4096+512");
	expect_runs(t, 20000, false, "zeros 4096+512");
	memset(t + 8192, 0, 8192);
	expect_runs(t, 20000, true, "zeros 4096+512, zeros 8192+8192");
	/* To the end of the file; from its beginning. */
	expect_runs(t, 12000, true, "zeros 4096+512, zeros 8192+3808");
	memset(t, 0, 512);
	expect_runs(t, 4096, true, "zeros 0+512");
}

/* Zero bytes that the sender wrote begin and end anywhere. */
static void test_own_zeros(void)
{
	g_autofree uint8_t *t = make_text(20000);

	memset(t + 4000, 0, 6000);
	expect_runs(t, 20000, true, "");
	expect_runs(t, 20000, false, "");
	memcpy(t + 4000, "some text that is no block of zeros, and another line\n and more of it, to 96 by", 79);
	memset(t + 4079, 'x', 17); /* begins with a block, ends elsewhere */
	expect_runs(t, 20000, true, "");
}

static void test_binary(void)
{
	g_autofree uint8_t *t = make_text(20000);

	noise(t + 4096, 4096, 1);
	expect_runs(t, 20000, true, "binary 4096+4096");
	expect_runs(t, 20000, false, ""); /* records may hold what they like */
	memcpy(t + 10240, t + 4096, 512); /* where blocks of 512 begin and others do not */
	expect_runs(t, 20000, true, "");
	memcpy(t + 10240, t, 512);
	memset(t + 8192, 0, 4096);
	expect_runs(t, 20000, true, "binary 4096+4096, zeros 8192+4096");
	noise(t + 15000, 100, 2); /* the message has binary data of its own: the zeros belong to that, too */
	expect_runs(t, 20000, true, "");
}

/* Binary data of the message's own, at every offset of a block: uuencode's and yEnc's cousins. */
static void test_own_binary(void)
{
	unsigned alarms = 0;

	for (size_t at = 1000; at < 1512; at++) {
		g_autofree uint8_t *t = make_text(12000);
		g_autofree char *runs = NULL;

		noise(t + at, 5003, (guint32)at);
		runs = runs_of(t, 12000, true);
		alarms += *runs != '\0';
	}
	g_assert_cmpuint(alarms, ==, 0);
}

static void test_no_text(void)
{
	uint8_t all[8192];

	noise(all, sizeof all, 3);
	expect_runs(all, sizeof all, true, ""); /* a program that somebody sends by hand */
	memcpy(all + 7680, "it ends like text", 17);
	expect_runs(all, 7697, true, "");
	expect_runs(all, 0, true, "");
	expect_runs((const uint8_t *)"\1\2", 2, true, "");
}

/* Text of character sets other than ours. */
static void test_charsets(void)
{
	static const char *const lines[] = {
		"\x1b$B%a!<%k$N%F%9%H$G$9\x1b(B plain again\r\n", /* ISO-2022-JP */
		"\xc4\xfa\xba\xc3\xa3\xac\x81\x30\x81\x31\xd5\xe2\xca\xc7\xd6\xd0\xce\xc4\r\n", /* GB18030 */
		"Gr\xfc\337e aus K\xf6ln, \xa4 5\r\n",
		"page\f\vbell\a\b\ttab\r\n",
	};

	for (size_t k = 0; k < G_N_ELEMENTS(lines); k++) {
		GString *s = g_string_new(NULL);

		while (s->len < 9000)
			g_string_append(s, lines[k]);
		expect_runs((const uint8_t *)s->str, s->len, true, "");
		memset(s->str + 4096, 0, 4096);
		expect_runs((const uint8_t *)s->str, s->len, true, "zeros 4096+4096");
		g_string_free(s, TRUE);
	}
}

static void test_another(void)
{
	static const char head[] = "Received: from a by b; Fri, 20 Nov 2026 10:00:00 +0000\n"
				   "From: a@example.org\nSubject: other\n\n";
	g_autofree uint8_t *t = make_text(20000);

	memcpy(t + 8192, head, sizeof head - 1);
	expect_runs(t, 20000, true, "another 8192+4096");
	expect_runs(t, 8500, true, "another 8192+308");
	memcpy(t + 8192, "X-R: 1\nFrom: 2\nDate: 3\n", 23); /* the rest of a header, cut in a name */
	expect_runs(t, 20000, true, "");
	memcpy(t + 8192, head, sizeof head - 1);
	t[8191] = '-'; /* X-Received */
	expect_runs(t, 20000, true, "");
	t[8191] = '\n'; /* a forwarded message begins on a line of its own */
	expect_runs(t, 20000, true, "");
}

static void test_many(void)
{
	g_autofree uint8_t *t = make_text(40000);
	g_autofree char *runs = NULL;

	for (size_t i = 0; i < 12; i++)
		memset(t + 1024 + i * 2048, 0, 1024);
	runs = runs_of(t, 40000, true);
	g_assert_true(g_str_has_suffix(runs, " and 4"));
}

/* --- The files of a message ---------------------------------------------------- */

/* A message of two files, of which one is seen through windows of at most `most` bytes. */
struct files {
	uint8_t *bytes[2];
	size_t size[2], most;
	struct message m;
};

static const struct role test_roles[] = {
	{ .name = "text", .checked = true },
	{ .name = "records", .checked = true, .records = true },
};
static const struct format test_format = { .name = "test", .roles = test_roles, .nroles = 2 };

static const struct part *test_window(void *arg, unsigned role, uint64_t off)
{
	struct files *f = arg;
	struct part *p = &f->m.parts[role];

	g_assert_cmpuint(off, <, p->size);
	p->off = off;
	p->len = MIN(f->most, f->size[role] - (size_t)off);
	p->bytes = f->bytes[role] + off;
	return p;
}

static char *look_at(struct files *f, const struct report *checked)
{
	GString *s = g_string_new(NULL);
	struct report r;

	report_reset(&r);
	for (unsigned i = 0; i < 2; i++) {
		f->m.parts[i] = (struct part){ .size = f->size[i], .mode = 0100600 };
		if (f->size[i] > 0)
			test_window(f, i, 0);
	}
	contents_look(&test_format, &f->m, checked, test_window, f, &r);
	for (unsigned i = 0; i < r.count; i++) {
		const struct finding *x = &r.findings[i];

		g_string_append_printf(s, "%s%u %s %s %ju+%ju %.*s", i > 0 ? "; " : "", x->part,
				       finding_def(x->id)->name, severity_name(x->severity),
				       (uintmax_t)x->offset, (uintmax_t)x->length, x->found.len,
				       (const char *)x->found.bytes);
	}
	return g_string_free(s, FALSE);
}

static void expect_contents(struct files *f, const struct report *checked, const char *words)
{
	static const size_t most[] = { WINDOW_MAX, 16384, 9000, 100 };

	for (size_t i = 0; i < G_N_ELEMENTS(most); i++) {
		g_autofree char *said = NULL;

		f->most = most[i];
		said = look_at(f, checked);
		g_assert_cmpstr(said, ==, words);
	}
}

static void test_contents(void)
{
	static const char gzip[] = "\x1f\x8b\x08\0\0\0\0\0\0\3";
	struct files f = { .size = { 40000, 30000 } };
	struct report checked;

	report_reset(&checked);
	for (unsigned i = 0; i < 2; i++)
		f.bytes[i] = make_text(f.size[i]);
	expect_contents(&f, &checked, "");
	noise(f.bytes[0] + 8192, 4096, 9);
	expect_contents(&f, &checked, "0 deep.foreign-block notice 8192+4096 binary data");
	memcpy(f.bytes[0] + 8192, gzip, sizeof gzip - 1);
	expect_contents(&f, &checked, "0 deep.foreign-block suspect 8192+4096 gzip compressed data");
	memset(f.bytes[1] + 512, 0, 512);
	expect_contents(&f, &checked, "0 deep.foreign-block suspect 8192+4096 gzip compressed data; "
				      "1 deep.zero-block suspect 512+512 ");
	/* What check() found is named, where its block begins; the worst finding of each file. */
	memcpy(f.bytes[1] + 4096, "INDX(\0", 6);
	report_add(&checked, F_POSTFIX_RECORD_TYPE, 1, 4500, 1);
	report_add(&checked, F_POSTFIX_RECORD_TYPE, 1, 600, 1);
	expect_contents(&f, &checked, "0 deep.foreign-block suspect 8192+4096 gzip compressed data; "
				      "1 deep.zero-block suspect 512+512 ; "
				      "1 deep.contents notice 4096+0 part of an NTFS directory");
	f.size[0] = 0; /* no text at all */
	f.size[1] = 4000;
	expect_contents(&f, &checked, "1 deep.zero-block suspect 512+512 ");
	for (unsigned i = 0; i < 2; i++)
		g_free(f.bytes[i]);
}

int main(int argc, char **argv)
{
	const char *why = "";

	g_test_init(&argc, &argv, NULL);
	if (content_open(&why) < 0)
		g_error("%s", why);
	g_test_add_func("/content/files", test_files);
	g_test_add_func("/content/values", test_values);
	g_test_add_func("/content/file-systems", test_file_systems);
	g_test_add_func("/content/mail", test_mail);
	g_test_add_func("/content/random", test_random);
	g_test_add_func("/content/limits", test_limits);
	g_test_add_func("/content/without-a-database", test_without);
	g_test_add_func("/content/contradicts", test_contradicts);
	g_test_add_func("/content/doubtful", test_doubtful);
	g_test_add_func("/content/sandbox", test_sandbox);
	g_test_add_func("/blocks/zeros", test_zeros);
	g_test_add_func("/blocks/own-zeros", test_own_zeros);
	g_test_add_func("/blocks/binary", test_binary);
	g_test_add_func("/blocks/own-binary", test_own_binary);
	g_test_add_func("/blocks/no-text", test_no_text);
	g_test_add_func("/blocks/charsets", test_charsets);
	g_test_add_func("/blocks/another", test_another);
	g_test_add_func("/blocks/many", test_many);
	g_test_add_func("/contents/files", test_contents);
	return g_test_run();
}
