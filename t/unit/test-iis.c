/*
 * test-iis.c - the IIS format against texts and streams built in memory
 *
 * A message is sound before each test changes one thing of it; the test says which findings must come of that,
 * and that nothing else does. Bytes are given in blocks of exactly their size, and each text in windows
 * of every kind, so that a sanitizer build sees a read of one byte too many.
 */
#include "iis.h"

#include <glib.h>

extern const struct format fmt_iis;

#define NOW 1795177800
#define HEADER "Received: from a by b\r\nFrom: alice@example.org\r\nTo: Bob <bob@example.net>\r\n\r\n"
#define ENVELOPE "\1\2SMTP:alice@example.org\0\3bob@example.net"

/* --- One message ------------------------------------------------------------------ */

struct input {
	unsigned place;
	const char *id;
	GBytes *part[IIS_ROLES];  /* NULL = there is none */
	const char *name[IIS_ROLES];
	int64_t age;
	bool unseen, more, force;
	struct layout layout;     /* of property streams; entry_size 0 = there is none */
	size_t window;            /* of the text; 0 = as asked */
};

static GBytes *of(const void *p, size_t n)
{
	return g_bytes_new(p, n);
}

#define TEXT(s) of(s, sizeof(s) - 1)

static struct input healthy(void)
{
	return (struct input){ .place = IIS_QUEUE, .id = "NTFS_1.EML", .age = 3600,
			       .part = { TEXT(HEADER "Hello.\r\n"), TEXT(ENVELOPE) },
			       .name = { NULL, "PROPERTIES", "PROPERTIES-LIVE", "other", "fourth", "fifth" } };
}

static void give(struct message *m, const struct input *in, unsigned role, uint64_t off, size_t len)
{
	size_t size;
	const uint8_t *bytes = g_bytes_get_data(in->part[role], &size);
	struct part *p = &m->parts[role];

	g_free((void *)(size_t)p->bytes);
	p->off = off;
	p->len = MIN(len, size - (size_t)off);
	p->bytes = g_memdup2(bytes + off, p->len);
	if (p->bytes == NULL)
		p->bytes = g_malloc(1);
}

static void fill(struct message *m, const struct input *in)
{
	memset(m, 0, sizeof *m);
	m->place = in->place;
	m->path = m->id = in->id;
	m->id_len = strlen(in->id);
	m->force = in->force;
	m->more_streams = in->more;
	m->site = (struct site){ .now = NOW, .streams_seen = !in->unseen, .streams_known = 2,
				  .layout = in->layout };
	for (unsigned role = 0; role < IIS_ROLES; role++) {
		if (in->part[role] == NULL)
			continue;
		m->parts[role] = (struct part){ .ino = 7, .mode = 0100600, .mtime = NOW - in->age, .nlink = 1,
						.size = g_bytes_get_size(in->part[role]) };
		if (role >= IIS_STREAM && role < IIS_STREAM_END) {
			m->parts[role].name = in->name[role];
			m->parts[role].name_len = strlen(in->name[role]);
		}
		give(m, in, role, 0, role == IIS_TEXT && in->window > 0 ? in->window : SIZE_MAX);
	}
}

static void empty(struct message *m)
{
	for (unsigned role = 0; role < IIS_ROLES; role++)
		g_free((void *)(size_t)m->parts[role].bytes);
}

static void answer(struct message *m, const struct input *in, const struct want *w)
{
	g_assert_cmpuint(w->part, ==, IIS_TEXT);
	g_assert_cmpuint(w->need, >=, 1);
	g_assert_cmpuint(w->len, >=, w->need);
	g_assert_cmpuint(w->len, <=, WINDOW_MAX);
	give(m, in, IIS_TEXT, w->off, in->window == 0 ? w->len : MIN(w->len, MAX(in->window, w->need)));
}

static char *check_once(const struct input *in, struct report *r)
{
	void *scratch = g_malloc0(fmt_iis.check_scratch);
	GString *s = g_string_new("");
	struct message m;
	struct want w;
	unsigned steps = 0;

	fill(&m, in);
	report_reset(r);
	while (fmt_iis.check(scratch, &m, r, &w) == STEP_WANT) {
		g_assert_cmpuint(++steps, <, 100000);
		answer(&m, in, &w);
	}
	report_sort(r);
	for (unsigned i = 0; i < r->count; i++) {
		const struct finding *f = &r->findings[i];

		g_assert_cmpuint(f->part, <, IIS_ROLES);
		g_assert_nonnull(in->part[f->part]);
		g_assert_cmpuint(f->offset, <=, m.parts[f->part].size);
		g_assert_cmpuint(f->length, <=, m.parts[f->part].size - f->offset);
		g_string_append_printf(s, "%s%s %s", i > 0 ? ", " : "",
				       strchr(finding_def(f->id)->name, '.') + 1, severity_name(f->severity));
	}
	empty(&m);
	g_free(scratch);
	return g_string_free(s, FALSE);
}

/* "name severity, ..." of what comes of it, in windows of any size; NULL = nothing. */
static void expect(struct input in, const char *expected)
{
	static const size_t windows[] = { 0, 1, 511, 4096 };

	for (size_t i = 0; i < G_N_ELEMENTS(windows); i++) {
		g_autofree char *got = NULL;
		struct report r;

		in.window = windows[i];
		got = check_once(&in, &r);
		g_assert_cmpstr(got, ==, expected != NULL ? expected : "");
	}
	for (unsigned role = 0; role < IIS_ROLES; role++)
		g_clear_pointer(&in.part[role], g_bytes_unref);
}

static void with(unsigned role, GBytes *part, const char *expected)
{
	struct input in = healthy();

	g_clear_pointer(&in.part[role], g_bytes_unref);
	in.part[role] = part;
	expect(in, expected);
}

/* A text of lines, with `n` bytes `ch` at `at`, behind a header; `size` bytes in all. */
static GBytes *text(const char *header, size_t size, size_t at, size_t n, int ch)
{
	size_t head = strlen(header);
	uint8_t *p = g_malloc(size);

	for (size_t i = 0; i < size; i++)
		p[i] = i < head ? (uint8_t)header[i] : (uint8_t)"All is well.\r\n"[i % 14];
	p[size - 1] = '\n';
	memset(p + at, ch, n);
	return g_bytes_new_take(p, size);
}

static GBytes *zeros(size_t n)
{
	return g_bytes_new_take(g_malloc0(n), n);
}

/* --- Streams ------------------------------------------------------------------------- */

static void test_streams(void)
{
	static const char wide[] = "\1\2a\0l\0i\0c\0e\0@\0E\0x\0a\0m\0p\0l\0e\0.\0o\0r\0g\0\0";
	struct input in;

	expect(healthy(), NULL);
	with(IIS_STREAM, TEXT(wide), NULL);
	with(IIS_STREAM, NULL, "property-missing suspect");
	with(IIS_STREAM, zeros(0), "property-empty suspect");
	with(IIS_STREAM, zeros(1), "property-zeros corrupt");
	with(IIS_STREAM, zeros(70000), "property-zeros corrupt");
	with(IIS_STREAM, TEXT("\1\2\3\4"), "property-no-address notice");
	with(IIS_STREAM, TEXT("\1\2x@example.com\0\3"), "property-addresses notice");
	with(IIS_STREAM + 1, zeros(0), "property-empty notice");
	with(IIS_STREAM + 1, zeros(600), "property-zeros suspect");
	with(IIS_STREAM + 2, zeros(600), "stream-zeros notice");
	with(IIS_STREAM + 2, zeros(0), "stream-zeros notice");
	with(IIS_STREAM + 2, TEXT("regf"), NULL);
	in = healthy();
	g_clear_pointer(&in.part[IIS_STREAM], g_bytes_unref);
	in.part[IIS_STREAM + 1] = TEXT(ENVELOPE);
	expect(in, NULL); /* one of the two is enough */
	in = healthy();
	in.more = true;
	expect(in, "streams-more notice");
}

static void test_no_streams(void)
{
	struct input in = healthy();

	g_clear_pointer(&in.part[IIS_STREAM], g_bytes_unref);
	in.unseen = true;
	expect(in, NULL);
	in = healthy();
	g_clear_pointer(&in.part[IIS_STREAM], g_bytes_unref);
	in.age = IIS_SETTLED - 1;
	expect(in, NULL);
	in = healthy();
	g_clear_pointer(&in.part[IIS_STREAM], g_bytes_unref);
	in.place = IIS_DROP;
	expect(in, NULL);
	in = healthy();
	g_clear_pointer(&in.part[IIS_STREAM], g_bytes_unref);
	in.age = 0;
	in.force = true;
	expect(in, "property-missing suspect");
}

/* A message that comes in now, on a volume that is shared. */
static void test_unsettled(void)
{
	struct input in = healthy();

	g_bytes_unref(in.part[IIS_TEXT]);
	g_bytes_unref(in.part[IIS_STREAM]);
	in.part[IIS_TEXT] = zeros(65536);
	in.part[IIS_STREAM] = zeros(4096);
	in.part[IIS_STREAM + 1] = zeros(0);
	in.age = IIS_SETTLED - 1;
	expect(in, NULL);
	in.part[IIS_TEXT] = zeros(65536);
	in.part[IIS_STREAM] = zeros(4096);
	in.part[IIS_STREAM + 1] = NULL;
	in.age = IIS_SETTLED;
	expect(in, "property-zeros corrupt, text-zeros corrupt");
}

static void test_tail(void)
{
	static const struct {
		size_t n;
		const char *expected;
	} tails[] = { { 1, NULL }, { 511, NULL }, { 512, "property-zero-tail suspect" },
		      { 100000, "property-zero-tail suspect" } };

	for (size_t i = 0; i < G_N_ELEMENTS(tails); i++) {
		GByteArray *a = g_byte_array_new();

		g_byte_array_append(a, (const guint8 *)ENVELOPE, sizeof ENVELOPE - 2);
		g_byte_array_set_size(a, (guint)(sizeof ENVELOPE - 2 + tails[i].n));
		memset(a->data + sizeof ENVELOPE - 2, 0, tails[i].n);
		with(IIS_STREAM, g_byte_array_free_to_bytes(a), tails[i].expected);
	}
}

static void test_foreign_stream(void)
{
	with(IIS_STREAM, TEXT("regf....@"), "property-foreign suspect");
	with(IIS_STREAM, TEXT("\x89PNG\r\n\x1a\n@"), "property-foreign suspect");
	with(IIS_STREAM, TEXT("reg....@"), NULL);
	with(IIS_STREAM, TEXT("MZ......@"), NULL); /* two bytes prove nothing */
	with(IIS_STREAM, TEXT("A: b\nC: bob@example.net\nD: e\n"), "property-foreign suspect");
	with(IIS_STREAM, TEXT("A: b\nC: bob@example.net\n\n\1"), NULL);
	with(IIS_STREAM, TEXT("A: b\nC: \0bob@example.net\nD: e\n"), NULL);
}

/* --- The text ----------------------------------------------------------------------------- */

/* A text in which another one begins at `at`, in the middle of a line. */
static GBytes *spliced(size_t at, char before)
{
	static const char other[] = "Received: from c by d\r\n";
	GBytes *all = text(HEADER, 9000, 0, 0, 0);
	size_t size;
	uint8_t *p = g_bytes_unref_to_data(all, &size);

	p[at - 1] = (uint8_t)before;
	memcpy(p + at, other, sizeof other - 1);
	return g_bytes_new_take(p, size);
}

#define BINARY "From: bob@example.net\r\nContent-Transfer-Encoding:  BINARY\r\n\r\n"

static void test_text(void)
{
	with(IIS_TEXT, zeros(0), "text-empty corrupt");
	with(IIS_TEXT, zeros(1), "text-zeros corrupt");
	with(IIS_TEXT, zeros(5000), "text-zeros corrupt");
	with(IIS_TEXT, text(HEADER, 9000, 8000, 1000, 0), "text-zeros corrupt");
	with(IIS_TEXT, text(HEADER, 9000, 4096, 512, 0), "text-zeros corrupt");
	with(IIS_TEXT, text(HEADER, 9000, 4097, 512, 0), "text-nul notice"); /* no sector of its own */
	with(IIS_TEXT, text(HEADER, 9000, 4097, 1022, 0), "text-nul notice");
	with(IIS_TEXT, text(HEADER, 9000, 4097, 1023, 0), "text-zeros corrupt");
	with(IIS_TEXT, text(HEADER, 9000, 4096, 511, 0), "text-nul notice");
	with(IIS_TEXT, text(HEADER, 9000, 700, 1, 0), "text-nul notice");
	with(IIS_TEXT, text(BINARY, 9000, 700, 1, 0), NULL);
	with(IIS_TEXT, text(BINARY, 9000, 4096, 4096, 0), "text-zeros suspect");
	with(IIS_TEXT, text(HEADER, 12288, 4096, 4096, 7), "text-foreign suspect");
	with(IIS_TEXT, text(HEADER, 16384, 5000, 8192, 7), NULL); /* does not begin where a cluster does */
	with(IIS_TEXT, text(HEADER, 12288, 4096, 200, 7), NULL);
	with(IIS_TEXT, text(HEADER, 12288, 4096, 4096, 0xe9), NULL); /* Latin-1 and the like */
	with(IIS_TEXT, text(BINARY, 12288, 4096, 4096, 7), NULL);
	with(IIS_TEXT, spliced(4096, 'x'), "text-foreign suspect");
	with(IIS_TEXT, spliced(4097, 'x'), NULL);
	with(IIS_TEXT, spliced(4096, ' '), NULL); /* a header that somebody quotes, in "> " or indented */
	with(IIS_TEXT, spliced(4096, '>'), NULL);
	with(IIS_TEXT, TEXT("no header\r\nFrom: bob@example.net\r\n\r\n"), "text-header notice");
	with(IIS_TEXT, TEXT(HEADER "no end"), "text-unended notice");
}

/* --- A layout --------------------------------------------------------------------------------- */

/* A block of `n` entries (id, offset, length), none of which has its value in the stream. */
static GBytes *astray(unsigned n)
{
	static const uint8_t entry[] = { 2, 0x10, 0, 0, 0xf0, 0xff, 0xff, 0x7f, 5, 0, 0, 0 };
	GByteArray *a = g_byte_array_new();

	for (unsigned i = 0; i < n; i++)
		g_byte_array_append(a, entry, sizeof entry);
	g_byte_array_append(a, (const guint8 *)"a@b", 4);
	return g_byte_array_free_to_bytes(a);
}

/* More violations than a report has room for, behind a notice whose place one of them takes. */
static void test_layout(void)
{
	struct input in = healthy();
	char *got;

	g_bytes_unref(in.part[IIS_TEXT]);
	g_bytes_unref(in.part[IIS_STREAM]);
	in.part[IIS_TEXT] = TEXT("no header\r\nFrom: bob@example.net\r\n\r\n");
	in.part[IIS_STREAM] = astray(40);
	in.layout = (struct layout){ .confirmed = true, .entry_size = 12, .id = { 0, 4 }, .offset = { 4, 4 }, .length = { 8, 4 },
				     .alignment = 1 };
	g_assert_null(layout_sound(&in.layout));
	for (unsigned settled = 0; settled < 2; settled++) {
		struct report r;

		in.age = settled ? IIS_SETTLED : IIS_SETTLED - 1;
		got = check_once(&in, &r);
		g_assert_cmpuint(r.count, ==, REPORT_MAX);
		g_assert_cmpuint(r.more, >=, 40 - REPORT_MAX);
		g_assert_true((strstr(got, "corrupt") != NULL) == settled); /* a session may be about to complete it */
		for (unsigned i = 0; i < r.count; i++)
			if (r.findings[i].id == F_IIS_PROPERTY_OFFSET)
				g_assert_cmpmem(r.findings[i].field.bytes, 25, "stream PROPERTIES, entry ", 25);
		g_free(got);
	}
	g_bytes_unref(in.part[IIS_TEXT]);
	g_bytes_unref(in.part[IIS_STREAM]);
}

/* --- Pickup, Replay, Badmail ----------------------------------------------------------------- */

static void submitted(unsigned place, const char *id, const char *bytes, const char *expected)
{
	struct input in = { .place = place, .id = id, .age = 3600, .part = { of(bytes, strlen(bytes)) } };

	expect(in, expected);
}

static void test_pickup(void)
{
	submitted(IIS_PICKUP, "a.txt", "x-sender: a@b\nX-RECEIVER: c@d\n\nx\n", NULL);
	submitted(IIS_PICKUP, "a.txt", "From: a@b\nCc: c@d\n\nx\n", NULL);
	submitted(IIS_PICKUP, "a.txt", "Sender: a@b\nBcc: c@d\n\nx\n", NULL);
	submitted(IIS_PICKUP, "a.txt", "Cc: c@d\n\nx\n", "pickup-syntax suspect");
	submitted(IIS_PICKUP, "a.txt", "From: c@d\n\nTo: b\n", "pickup-syntax suspect");
	submitted(IIS_PICKUP, "a.BAD", "From: c@d\n\nTo: b\n", "refused notice, pickup-syntax notice");
	submitted(IIS_PICKUP, "a.eml", "X-Sender: c@d\nX-Receiver: e@f\nX-EndOfInjectedXHeaders: 1\nTo: b\n\n",
		  "replay-in-pickup suspect");
	submitted(IIS_PICKUP, "a.eml", "hello\nFrom: a\n", "pickup-syntax suspect, text-header notice");
}

static void test_replay(void)
{
	submitted(IIS_REPLAY, "a.eml", "X-Sender: <>\nX-Receiver: <c@d>\nX-Receiver: <e@f>\nFrom: a\n\n", NULL);
	submitted(IIS_REPLAY, "a.eml", "X-Receiver: <c@d>\nFrom: a\n\n", "replay-syntax suspect");
	submitted(IIS_REPLAY, "a.eml", "X-Sender: <c@d>\nFrom: a\n\n", "replay-syntax suspect");
	submitted(IIS_REPLAY, "a.eml", "X-Sender: a\nX-Receiver: b\nFrom: a\nX-Source: c\n\n", "replay-order notice");
	submitted(IIS_REPLAY, "a.eml", "X-Sender: a\nX-Receiver: b\nX-EndOfInjectedXHeaders: 1\nX-Source: c\n\n",
		  "replay-order notice");
	submitted(IIS_REPLAY, "a.eml", "X-Sender: a\nX-Receiver: b\nX-EndOfInjectedXHeaders:\n\n",
		  "replay-order notice");
	submitted(IIS_REPLAY, "a.eml", "X-Sender: a\nX-Receiver: b\nX-CreatedBy: msexchange15\n\n",
		  "replay-trusted notice");
}

static void test_envelope(void)
{
	struct input in = { .place = IIS_DROP, .id = "a.eml", .age = 3600,
			    .part = { TEXT("x-sender: a@b\nx-receiver: <c@d> NOTIFY=NEVER\nx-receiver: e\n\n") } };
	struct report r;
	g_autofree char *got = check_once(&in, &r);

	g_assert_cmpstr(got, ==, "");
	g_assert_true(r.has_sender);
	g_assert_cmpmem(r.sender, r.sender_len, "a@b", 3);
	g_assert_cmpmem(r.recipient, r.recipient_len, "c@d", 3);
	g_assert_cmpuint(r.recipients, ==, 2);
	g_bytes_unref(in.part[0]);
}

static void test_badmail(void)
{
	struct input in = { .place = IIS_BADMAIL, .id = "stem", .age = 3600,
			    .part = { TEXT(HEADER "x\r\n"), [IIS_BDP] = TEXT(ENVELOPE), [IIS_BDR] = TEXT("why") } };

	expect(in, NULL);
	in.part[IIS_TEXT] = TEXT(HEADER "x\r\n");
	in.part[IIS_BDP] = TEXT(ENVELOPE);
	in.part[IIS_BDR] = NULL;
	expect(in, "badmail-incomplete notice");
}

/* --- X-ExtendedProps --------------------------------------------------------------------------- */

#define KEY "\5\0\7\0"

static void block(const void *bytes, size_t n, const char *expected)
{
	g_autofree char *base64 = g_base64_encode(bytes, n);
	g_autofree char *field = g_strdup_printf("X-Sender: a\nX-Receiver: b\nX-ExtendedProps: %s\n\n", base64);
	g_autofree char *folded = g_strdup_printf("X-Sender: a\nX-Receiver: b\nX-ExtendedProps: %.3s\r\n\t%s\n\n",
						  base64, n > 0 ? base64 + 3 : "");
	g_autofree char *receiver = g_strdup_printf("X-Sender: a\nX-Receiver: b; X-ExtendedProps=%s\n\n", base64);

	submitted(IIS_REPLAY, "a.eml", field, expected);
	submitted(IIS_REPLAY, "a.eml", folded, expected);
	submitted(IIS_REPLAY, "a.eml", receiver, expected);
}

#define BLOCK(s, expected) block(s, sizeof(s) - 1, expected)

static void test_props(void)
{
	static const char sound[] = KEY "\2\0\1" KEY "\7\0\1\2\3\4" KEY "\x16\0\1\2\3\4" KEY "\11\0ABCDEFGH" KEY
		"\x11\0ABCDEFGHIJKLMNOP" KEY "\x17\0\2\0\0\0ab" "\17\0\3\0\0\0key" "\x14\x20\2\0\0\0\1\0\0\0a\0\0\0\0";

	block("", 0, NULL);
	block(sound, sizeof sound - 1, NULL);
	BLOCK(KEY, "extended-value corrupt");
	BLOCK(KEY "\2\0\1" KEY, "extended-value corrupt");
	BLOCK("\5", "extended-overrun corrupt");
	BLOCK(KEY "\2", "extended-overrun corrupt");
	BLOCK(KEY "\2\0", "extended-overrun corrupt");
	BLOCK(KEY "\17\0\3\0\0\0ab", "extended-overrun corrupt");
	BLOCK(KEY "\17\0\xff\xff\xff\xff" "ab", "extended-overrun corrupt");
	BLOCK(KEY "\17\0\3\0\0", "extended-overrun corrupt");
	BLOCK(KEY "\x14\x20\2\0\0\0\1\0\0\0a", "extended-overrun corrupt");
	BLOCK(KEY "\x14\x20\1\0\0\x40\1\0\0\0a", "extended-overrun corrupt");
	BLOCK(KEY "\x14\x20\1\0\0\0\2\0\0\0a", "extended-overrun corrupt");
	BLOCK(KEY "\x99\0...", "extended-type notice");
	/* Every cut of a sound block is one: at a pair, none; else damage. */
	for (size_t n = 1; n < sizeof sound - 1; n++) {
		struct iis_token t;
		g_autofree char *base64 = g_base64_encode((const guchar *)sound, n);
		struct iis_props p = iis_props(cur_make((const uint8_t *)base64, strlen(base64), 0));
		enum iis_props_end end;

		do
			end = iis_props_next(&p, &t);
		while (end == IIS_PROPS_TOKEN);
		g_assert_true(end == IIS_PROPS_OVERRUN || end == IIS_PROPS_NO_VALUE || end == IIS_PROPS_SOUND);
	}
	submitted(IIS_REPLAY, "a.eml", "X-Sender: a\nX-Receiver: b\nX-ExtendedProps: A*==\n\n",
		  "extended-base64 suspect");
	submitted(IIS_REPLAY, "a.eml", "X-Sender: a\nX-Receiver: b\nX-ExtendedProps: ABCDE\n\n",
		  "extended-base64 suspect");
	submitted(IIS_REPLAY, "a.eml", "X-Sender: a\nX-Receiver: b\nX-ExtendedProps: AA==AA==\n\n",
		  "extended-base64 suspect");
}

/* A sound header that is longer than what is read of it: wherever that ends, it is no damage. */
static void test_long_header(void)
{
	static const char block[] = KEY "\17\0\34\0\0\0a text of twenty-eight bytes";
	g_autofree char *base64 = g_base64_encode((const guchar *)block, sizeof block - 1);
	g_autofree char *line = g_strdup_printf("X-Receiver: <bob@example.net>; X-ExtendedProps=%s\r\n", base64);

	for (size_t shift = 0; shift < strlen(line); shift += 7) {
		g_autofree char *pad = g_strnfill(shift, 'x');
		GString *replay = g_string_new("X-Sender: <a@b>\r\n"), *pickup = g_string_new("Subject: x\r\n");

		g_string_append_printf(replay, "X-HeloDomain: x%s\r\n", pad);
		g_string_append_printf(pickup, "X-Pad: %s\r\n", pad);
		while (replay->len < IIS_HEADER_MAX + 1000)
			g_string_append(replay, line);
		while (pickup->len < IIS_HEADER_MAX + 1000)
			g_string_append(pickup, "Keywords-Of-Some-Length: x\r\n more\r\n");
		g_string_append(replay, "From: a@b\r\n\r\nx\r\n");
		g_string_append(pickup, "From: a@b\r\nTo: c@d\r\n\r\nx\r\n");
		submitted(IIS_REPLAY, "a.eml", replay->str, NULL);
		submitted(IIS_PICKUP, "a.eml", pickup->str, NULL);
		g_string_free(replay, TRUE);
		g_string_free(pickup, TRUE);
	}
}

/* --- Names -------------------------------------------------------------------------------------- */

static void name(unsigned place, const char *path, enum name_kind kind, unsigned role, const char *id)
{
	struct name n = fmt_iis.id_of(place, path);

	g_assert_cmpint(n.kind, ==, kind);
	g_assert_cmpuint(n.role, ==, role);
	g_assert_cmpmem(n.id, n.id_len, id, strlen(id));
}

static void test_names(void)
{
	char buf[64];

	name(IIS_QUEUE, "NTFS_1.EML", NAME_MESSAGE, IIS_TEXT, "NTFS_1.EML");
	name(IIS_QUEUE, "ntfs_1.eml", NAME_MESSAGE, IIS_TEXT, "ntfs_1.eml");
	name(IIS_QUEUE, "NTFS_1.EML:PROPERTIES", NAME_COMPANION, IIS_STREAM, "NTFS_1.EML");
	name(IIS_QUEUE, "NTFS_1.EML:", NAME_FOREIGN, IIS_STREAM, "NTFS_1.EML:");
	name(IIS_QUEUE, ".EML", NAME_FOREIGN, IIS_TEXT, ".EML");
	name(IIS_QUEUE, "a.LTR", NAME_TRANSIENT, IIS_TEXT, "a.LTR");
	name(IIS_QUEUE, "a.tmp", NAME_TRANSIENT, IIS_TEXT, "a.tmp");
	name(IIS_QUEUE, "sub/a.eml", NAME_FOREIGN, IIS_TEXT, "a.eml");
	name(IIS_QUEUE, "readme.txt", NAME_FOREIGN, IIS_TEXT, "readme.txt");
	name(IIS_PICKUP, "readme.txt", NAME_MESSAGE, IIS_TEXT, "readme.txt");
	name(IIS_PICKUP, ":stream", NAME_FOREIGN, IIS_TEXT, ":stream");
	name(IIS_REPLAY, "a.bad", NAME_MESSAGE, IIS_TEXT, "a.bad");
	name(IIS_BADMAIL, "x.BAD", NAME_MESSAGE, IIS_TEXT, "x");
	name(IIS_BADMAIL, "x.bdp", NAME_COMPANION, IIS_BDP, "x");
	name(IIS_BADMAIL, "x.BDR", NAME_COMPANION, IIS_BDR, "x");
	name(IIS_BADMAIL, "x.BAD:PROPERTIES", NAME_COMPANION, IIS_STREAM, "x");
	g_assert_cmpuint(fmt_iis.path_of(IIS_BADMAIL, IIS_BDR, "x", 1, 0, buf, sizeof buf), ==, 13);
	g_assert_cmpstr(buf, ==, "Badmail/x.BDR");
	g_assert_cmpuint(fmt_iis.path_of(IIS_QUEUE, IIS_BDR, "x", 1, 0, buf, sizeof buf), ==, 0);
	g_assert_cmpuint(fmt_iis.path_of(IIS_QUEUE, IIS_STREAM, "x", 1, 0, buf, sizeof buf), ==, 0);
	g_assert_cmpuint(fmt_iis.path_of(IIS_QUEUE, IIS_TEXT, "x", 1, 0, buf, 7), ==, 0);
	g_assert_cmpuint(fmt_iis.path_of(IIS_QUEUE, IIS_TEXT, "x", 1, 0, buf, 8), ==, 7);
}

static void test_bid(void)
{
	static const char *const iis[] = { "Queue", "Pickup", "Badmail" }, *const exchange[] = { "replay", "PICKUP" },
				 *const other[] = { "Queue", "Badmail", "Drop" };

	g_assert_cmpuint(fmt_iis.bid(iis, 3), >, 0);
	g_assert_cmpuint(fmt_iis.bid(exchange, 2), >, 0);
	g_assert_cmpuint(fmt_iis.bid(other, 3), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/iis/streams", test_streams);
	g_test_add_func("/iis/no-streams", test_no_streams);
	g_test_add_func("/iis/unsettled", test_unsettled);
	g_test_add_func("/iis/tail", test_tail);
	g_test_add_func("/iis/foreign-stream", test_foreign_stream);
	g_test_add_func("/iis/text", test_text);
	g_test_add_func("/iis/layout", test_layout);
	g_test_add_func("/iis/pickup", test_pickup);
	g_test_add_func("/iis/replay", test_replay);
	g_test_add_func("/iis/envelope", test_envelope);
	g_test_add_func("/iis/badmail", test_badmail);
	g_test_add_func("/iis/props", test_props);
	g_test_add_func("/iis/long-header", test_long_header);
	g_test_add_func("/iis/names", test_names);
	g_test_add_func("/iis/bid", test_bid);
	return g_test_run();
}
