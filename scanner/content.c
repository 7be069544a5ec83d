/*
 * content.c - libmagic for what mail servers do not write, own rules for what they do
 *
 * Runs in a worker. libmagic is opened by name, in the zygote and only where contents are looked at: no other start of
 * spoolck pays for it. Its database is mapped there and never written to afterwards; a look at a block
 * takes memory (brk) and nothing else from the kernel. Bytes may be hostile: a death here is a
 * death of the worker, which its reader notices.
 */
#include "content.h"

#include <dlfcn.h>
#include <magic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LIBRARY "libmagic.so.1"

#define FUNCTIONS(X) X(magic_open) X(magic_close) X(magic_load) X(magic_buffer) X(magic_setflags) X(magic_setparam)

static struct {
#define X(name) __typeof__(name) *name;
	FUNCTIONS(X)
#undef X
} lib;

/* Only entries of the database, and tar's check sum. The compound document, ELF, JSON and CSV readers of
 * libmagic had most of its holes, and would add nothing that we print; text it names
 * from weak signs. Nothing is ever unpacked. */
#define FLAGS (MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_CDF | MAGIC_NO_CHECK_ELF | \
	       MAGIC_NO_CHECK_JSON | MAGIC_NO_CHECK_CSV | MAGIC_NO_CHECK_APPTYPE | \
	       MAGIC_NO_CHECK_TEXT | MAGIC_NO_CHECK_ENCODING | MAGIC_NO_CHECK_TOKENS)

/* Its own limits are 50, 50, 2048, 32768, 256, 8192, 7 MiB, 64 KiB (file-5.44). What we ask for is
 * known in the first bytes, at little depth, without long regular expressions. */
const size_t content_limits[] = {
	[MAGIC_PARAM_INDIR_MAX] = 5,       /* indirect entries, each within the one before */
	[MAGIC_PARAM_NAME_MAX] = 20,       /* uses of named entries within each other */
	[MAGIC_PARAM_ELF_PHNUM_MAX] = 1,   /* its reader of ELF files is off */
	[MAGIC_PARAM_ELF_SHNUM_MAX] = 1,
	[MAGIC_PARAM_ELF_NOTES_MAX] = 1,
	[MAGIC_PARAM_REGEX_MAX] = 512,     /* bytes that a regular expression sees */
	[MAGIC_PARAM_BYTES_MAX] = CONTENT_BYTES,
	[MAGIC_PARAM_ENCODING_MAX] = 1024, /* guessing a character set is off */
	0
};

static magic_t magic; /* NULL: no database, or not opened */

/* Kinds whose magic is unmistakable, by the type that libmagic gives them: at least four bytes, or fewer
 * that are followed by something that is checked. */
static const struct {
	const char *type;
	enum content_kind kind;
} known[] = {
	{ "application/x-executable", CONTENT_PROGRAM },
	{ "application/x-pie-executable", CONTENT_PROGRAM },
	{ "application/x-sharedlib", CONTENT_PROGRAM },
	{ "application/x-object", CONTENT_PROGRAM },
	{ "application/x-mach-binary", CONTENT_PROGRAM },
	{ "application/vnd.microsoft.portable-executable", CONTENT_PROGRAM },
	{ "application/x-coredump", CONTENT_CORE },
	{ "application/gzip", CONTENT_ARCHIVE },
	{ "application/x-bzip2", CONTENT_ARCHIVE },
	{ "application/x-xz", CONTENT_ARCHIVE },
	{ "application/zstd", CONTENT_ARCHIVE },
	{ "application/zip", CONTENT_ARCHIVE },
	{ "application/x-7z-compressed", CONTENT_ARCHIVE },
	{ "application/x-rar", CONTENT_ARCHIVE },
	{ "application/x-tar", CONTENT_ARCHIVE },
	{ "application/x-rpm", CONTENT_ARCHIVE },
	{ "application/vnd.debian.binary-package", CONTENT_ARCHIVE },
	{ "application/vnd.ms-cab-compressed", CONTENT_ARCHIVE },
	{ "image/png", CONTENT_IMAGE },
	{ "image/jpeg", CONTENT_IMAGE },
	{ "image/gif", CONTENT_IMAGE },
	{ "image/webp", CONTENT_IMAGE },
	{ "image/tiff", CONTENT_IMAGE },
	{ "application/pdf", CONTENT_DOCUMENT },
	{ "application/postscript", CONTENT_DOCUMENT },
	{ "application/vnd.sqlite3", CONTENT_DATABASE },
	{ "application/x-sqlite3", CONTENT_DATABASE },
};

static int look_up(void *handle)
{
	void *found;

#define X(name)                                                                                    \
	found = dlsym(handle, #name);                                                              \
	if (found == NULL)                                                                         \
		return -1;                                                                         \
	memcpy(&lib.name, &found, sizeof found);
	FUNCTIONS(X)
#undef X
	return 0;
}

int content_open(const char **why_r)
{
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	/* Neither of them may lead elsewhere; this is the zygote's environment only. */
	unsetenv("HOME");
	unsetenv("MAGIC");
	*why_r = "loading " LIBRARY;
	if (handle == NULL || look_up(handle) < 0)
		return -1;
	*why_r = "opening libmagic's database";
	magic = lib.magic_open(FLAGS);
	if (magic == NULL)
		return -1;
	for (int i = 0; content_limits[i] != 0; i++)
		if (lib.magic_setparam(magic, i, &content_limits[i]) < 0)
			goto fail;
	if (lib.magic_load(magic, NULL) < 0)
		goto fail;
	return 0;
fail:
	content_close();
	return -1;
}

void content_close(void)
{
	if (magic != NULL)
		lib.magic_close(magic);
	magic = NULL;
}

/* --- Rules of our own -------------------------------------------------------- */

bool content_zeros(const uint8_t *p, size_t n)
{
	return n > 0 && p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

static bool begins(const uint8_t *p, size_t n, const void *what, size_t len)
{
	return n >= len && memcmp(p, what, len) == 0;
}

static uint32_t le16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }

static enum content_kind is(struct text *name, enum content_kind kind, const char *words)
{
	name->len = 0;
	text_str(name, words);
	return kind;
}

/* A block of a directory of ext2, ext3 or ext4: entries (inode u32, length u16, length of the name u8, type
 * u8, name) whose lengths, multiples of four, end exactly with the block. */
static bool ext_directory(const uint8_t *p, size_t n)
{
	static const size_t sizes[] = { 1024, 2048, 4096 };
	unsigned named = 0;
	size_t at = 0;

	while (at + 8 <= n && at < 4096) {
		uint32_t len = le16(p + at + 4), name = p[at + 6];

		if (len < 8 || len % 4 != 0 || name + 8 > len || (p[at + 7] > 7 && p[at + 7] != 0xde))
			return false;
		if (name > 0 && memchr(p + at + 8, 0, at + 8 + name <= n ? name : n - at - 8) != NULL)
			return false;
		named += name > 0 && memcmp(p + at, "\0\0\0", 4) != 0;
		at += len;
		for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
			if (at == sizes[i] && named >= 2)
				return true;
	}
	return false;
}

/* A name of a header field at `p`: its length, 0 = none. */
static size_t field_name(const uint8_t *p, size_t n)
{
	size_t len = 0;

	while (len < n && len < 64 && p[len] > ' ' && p[len] < 0x7f && p[len] != ':')
		len++;
	return len > 0 && len < n && p[len] == ':' ? len : 0;
}

/* Header fields with which messages begin; a text that is not the beginning of one has none of them in its
 * first three lines. */
static bool first_field(const uint8_t *p, size_t len)
{
	static const char *const names[] = { "Return-Path", "Received", "Delivered-To",
		"X-Original-To", "DKIM-Signature", "From", "Message-ID", "Date", "MIME-Version" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strlen(names[i]) == len && strncasecmp((const char *)p, names[i], len) == 0)
			return true;
	return false;
}

/* At least three fields, the first and another one of those with which messages begin, and no line that belongs to
 * none. (The rest of a header cut anywhere begins with the rest of a name.) */
static bool header_fields(const uint8_t *p, size_t n)
{
	unsigned fields = 0, firsts = 0;

	while (n > 0 && fields < 3) {
		const uint8_t *end = memchr(p, '\n', n);
		size_t len = field_name(p, n);

		if (end == NULL)
			return false;
		if (*p != ' ' && *p != '\t') {
			if (len == 0 || (fields == 0 && !first_field(p, len)))
				return false;
			firsts += first_field(p, len);
			fields++;
		} else if (fields == 0) {
			return false;
		}
		n -= (size_t)(end - p) + 1;
		p = end + 1;
	}
	return fields == 3 && firsts >= 2;
}

/* Exim's first line is the name of the file: 6-6-2 or 6-11-4 letters and digits, -H or -D. */
static char exim_file(const uint8_t *p, size_t n)
{
	static const size_t dashes[2][2] = { { 6, 13 }, { 6, 18 } };

	for (unsigned k = 0; k < 2; k++) {
		size_t len = k == 0 ? 16 : 23, i = 0;

		if (n < len + 3 || p[len] != '-' || p[len + 2] != '\n' ||
		    (p[len + 1] != 'H' && p[len + 1] != 'D'))
			continue;
		while (i < len && (i == dashes[k][0] || i == dashes[k][1] ? p[i] == '-' :
			(p[i] >= '0' && p[i] <= '9') || (p[i] >= 'A' && p[i] <= 'Z') ||
			(p[i] >= 'a' && p[i] <= 'z')))
			i++;
		if (i == len)
			return (char)p[len + 1];
	}
	return 0;
}

/* Postfix: a size record, 95 bytes of numbers padded with spaces. */
static bool postfix_size(const uint8_t *p, size_t n)
{
	if (!begins(p, n, "C\x5f", 2) || n < 97)
		return false;
	for (size_t i = 2; i < 97; i++)
		if (p[i] != ' ' && (p[i] < '0' || p[i] > '9'))
			return false;
	return true;
}

enum content_kind content_mail(const uint8_t *p, size_t n, struct text *name)
{
	char exim = exim_file(p, n);

	if (postfix_size(p, n))
		return is(name, CONTENT_QUEUE_FILE, "the beginning of a Postfix queue file");
	if (exim != 0)
		return is(name, CONTENT_QUEUE_FILE, exim == 'H' ?
			  "the beginning of an Exim -H file" : "the beginning of an Exim -D file");
	if (n > 4 && p[0] == 'V' && p[1] >= '1' && p[1] <= '9' && p[2] == '\n' && p[3] == 'T' &&
	    p[4] >= '0' && p[4] <= '9')
		return is(name, CONTENT_QUEUE_FILE, "the beginning of a Sendmail control file");
	if (begins(p, n, "version: ", 9) && n > 20 && memchr(p, '\n', 16) != NULL &&
	    (begins(p + 11, n - 11, "dsn-", 4) || begins(p + 11, n - 11, "tag: ", 5) ||
	     begins(p + 11, n - 11, "type: ", 6)))
		return is(name, CONTENT_QUEUE_FILE, "an OpenSMTPD envelope");
	if (header_fields(p, n))
		return is(name, CONTENT_MAIL, "the beginning of another message");
	return CONTENT_NOTHING;
}

/* --- What it is -------------------------------------------------------------- */

/* libmagic's words up to the first value out of the bytes: "gzip compressed data, was ...". */
static void words(struct text *name, const char *said)
{
	size_t n = strcspn(said, ",(\\");

	while (n > 0 && said[n - 1] == ' ')
		n--;
	for (size_t i = 0; i < n; i++)
		if (said[i] < ' ' || said[i] > '~')
			n = i;
	name->len = 0;
	text_bytes(name, (const uint8_t *)said, n);
}

static enum content_kind ask_magic(const uint8_t *p, size_t n, struct text *name)
{
	enum content_kind kind = CONTENT_NOTHING;
	const char *said;

	if (magic == NULL)
		return CONTENT_NOTHING;
	lib.magic_setflags(magic, FLAGS | MAGIC_MIME_TYPE);
	said = lib.magic_buffer(magic, p, n);
	for (size_t i = 0; said != NULL && i < sizeof known / sizeof known[0]; i++)
		if (strcmp(said, known[i].type) == 0)
			kind = known[i].kind;
	if (kind == CONTENT_NOTHING)
		return kind;
	lib.magic_setflags(magic, FLAGS);
	said = lib.magic_buffer(magic, p, n);
	if (said == NULL)
		return CONTENT_NOTHING;
	words(name, said);
	return name->len > 0 ? kind : CONTENT_NOTHING;
}

static enum content_kind binary_kind(const uint8_t *p, size_t n, struct text *name)
{
	enum content_kind kind = ask_magic(p, n, name);

	if (kind != CONTENT_NOTHING)
		return kind;
	if (ext_directory(p, n))
		return is(name, CONTENT_FILE_SYSTEM, "part of an ext4 directory");
	if (begins(p, n, "FILE0\0", 6) || begins(p, n, "FILE*\0", 6))
		return is(name, CONTENT_FILE_SYSTEM, "part of an NTFS file table");
	if (begins(p, n, "INDX(\0", 6))
		return is(name, CONTENT_FILE_SYSTEM, "part of an NTFS directory");
	if (begins(p, n, "\xc0\x3b\x39\x98", 4))
		return is(name, CONTENT_FILE_SYSTEM, "part of an ext4 journal");
	if (begins(p, n, "XDB3", 4) || begins(p, n, "XDD3", 4) || begins(p, n, "XD2B", 4))
		return is(name, CONTENT_FILE_SYSTEM, "part of an XFS directory");
	if (begins(p, n, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8))
		return is(name, CONTENT_DOCUMENT, "OLE 2 Compound Document");
	return CONTENT_NOTHING;
}

/* Text of whatever character set: hardly a control character, and no zero byte. */
static bool is_text(const uint8_t *p, size_t n)
{
	size_t controls = 0;

	for (size_t i = 0; i < n; i++)
		controls += (p[i] < ' ' && (p[i] < '\a' || p[i] > '\r') && p[i] != 0x1b) || p[i] == 0x7f;
	return memchr(p, 0, n) == NULL && controls <= n / 64;
}

void content_identify(const uint8_t *p, size_t n, struct content *c)
{
	if (n > CONTENT_BYTES)
		n = CONTENT_BYTES;
	c->name.len = 0;
	c->kind = CONTENT_NOTHING;
	if (n == 0)
		return;
	if (content_zeros(p, n))
		c->kind = is(&c->name, CONTENT_ZEROS, "zero bytes");
	if (c->kind == CONTENT_NOTHING)
		c->kind = content_mail(p, n, &c->name);
	if (c->kind == CONTENT_NOTHING)
		c->kind = binary_kind(p, n, &c->name);
	if (c->kind == CONTENT_NOTHING && is_text(p, n))
		c->kind = is(&c->name, CONTENT_TEXT, "text");
	if (c->kind == CONTENT_NOTHING)
		c->kind = is(&c->name, CONTENT_BINARY, "binary data");
}

bool content_foreign(enum content_kind kind)
{
	return kind >= CONTENT_QUEUE_FILE && kind <= CONTENT_DATABASE;
}

/* --- Declared and found ------------------------------------------------------- */

/* Types that are declared with care, and how their files begin. */
static const struct declared {
	const char *type;
	enum content_kind kind;
	const char *begin;
	size_t within;         /* it may stand so far from the start */
} declared_types[] = {
	{ "image/png", CONTENT_IMAGE, "\x89PNG", 0 },
	{ "image/jpeg", CONTENT_IMAGE, "\xff\xd8\xff", 0 },
	{ "image/gif", CONTENT_IMAGE, "GIF8", 0 },
	{ "application/pdf", CONTENT_DOCUMENT, "%PDF", 1024 }, /* readers look so far */
	{ "application/zip", CONTENT_ARCHIVE, "PK", 0 },
	{ "application/gzip", CONTENT_ARCHIVE, "\x1f\x8b", 0 },
};

static const struct declared *find_declared(const char *type, size_t len)
{
	for (size_t i = 0; i < sizeof declared_types / sizeof declared_types[0]; i++)
		if (strlen(declared_types[i].type) == len &&
		    strncasecmp(declared_types[i].type, type, len) == 0)
			return &declared_types[i];
	return NULL;
}

bool content_certain(const char *declared, size_t len)
{
	return find_declared(declared, len) != NULL;
}

bool content_doubtful(const char *declared, size_t len, const uint8_t *p, size_t n)
{
	const struct declared *d = find_declared(declared, len);

	if (d == NULL || n == 0)
		return false;
	for (size_t at = 0; at <= d->within && at < n; at++)
		if (begins(p + at, n - at, d->begin, strlen(d->begin)))
			return false;
	return true;
}

bool content_contradicts(const char *declared, size_t len, enum content_kind kind)
{
	const struct declared *d = find_declared(declared, len);

	if (d == NULL || d->kind == kind)
		return false;
	return kind == CONTENT_PROGRAM || kind == CONTENT_CORE || kind == CONTENT_FILE_SYSTEM ||
	       kind == CONTENT_ARCHIVE || kind == CONTENT_IMAGE || kind == CONTENT_DOCUMENT;
}
