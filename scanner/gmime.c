/*
 * gmime.c - GMime, loaded when it is wanted
 *
 * It brings twenty libraries along, which would make every start of spoolck several times as long and one more
 * reason for a hook to fail, so it is opened by name, in the zygote, with --deep only. Under the closed door iconv cannot load a converter,
 * and fails without a word (GMime then shows question marks): those of a fixed list are opened before and kept, and
 * a text whose character set is not among them is told as it stands, with a notice.
 */
#include "config.h"

#include "deep.h"

#include "mime.h"

#include <dlfcn.h>
#include <errno.h>
#include <gmime/gmime.h>
#include <iconv.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libgmime-3.0.so.0"

#define FUNCTIONS(X)                                                                               \
	X(g_mime_init)                                                                             \
	X(g_mime_charset_iconv_name)                                                               \
	X(g_mime_header_get_raw_value)                                                             \
	X(g_mime_header_list_get_header)                                                           \
	X(g_mime_message_get_addresses)                                                            \
	X(g_mime_message_get_date)                                                                 \
	X(g_mime_message_get_message_id)                                                           \
	X(g_mime_message_get_mime_part)                                                            \
	X(g_mime_message_get_subject)                                                              \
	X(g_mime_message_part_get_message)                                                         \
	X(g_mime_message_part_get_type)                                                            \
	X(g_mime_multipart_get_count)                                                              \
	X(g_mime_multipart_get_part)                                                               \
	X(g_mime_multipart_get_type)                                                               \
	X(g_mime_object_get_header_list)                                                           \
	X(g_mime_parser_construct_message)                                                         \
	X(g_mime_parser_new_with_stream)                                                           \
	X(g_mime_parser_options_new)                                                               \
	X(g_mime_parser_options_set_fallback_charsets)                                             \
	X(g_mime_stream_mem_new)                                                                   \
	X(g_mime_stream_mem_set_byte_array)                                                        \
	X(internet_address_list_length)                                                            \
	X(internet_address_list_to_string)                                                         \
	X(g_object_unref)                                                                          \
	X(g_type_check_instance_is_a)

static struct {
#define X(name) __typeof__(name) *name;
	FUNCTIONS(X)
#undef X
} lib;

static GMimeParserOptions *options;
static GHashTable *charsets; /* lower case names of those whose converter is open */

/* What mail is written in: the names that IANA has and those that programs write. */
static const char *const known[] = {
	"us-ascii", "ascii", "ansi_x3.4-1968", "utf-8", "utf8", "utf-7", "utf-16", "utf-16be", "utf-16le",
	"iso-8859-1", "iso-8859-2", "iso-8859-3", "iso-8859-4", "iso-8859-5", "iso-8859-6", "iso-8859-7",
	"iso-8859-8", "iso-8859-8-i", "iso-8859-8-e", "iso-8859-9", "iso-8859-10", "iso-8859-11",
	"iso-8859-13", "iso-8859-14", "iso-8859-15", "iso-8859-16", "iso8859-1", "iso8859-15", "latin1",
	"latin-1", "iso_8859-1",
	"windows-1250", "windows-1251", "windows-1252", "windows-1253", "windows-1254", "windows-1255",
	"windows-1256", "windows-1257", "windows-1258", "cp1250", "cp1251", "cp1252", "windows-874", "tis-620",
	"koi8-r", "koi8-u", "cp437", "ibm437", "cp850", "ibm850", "cp852", "cp866", "ibm866", "macintosh",
	"gb2312", "gbk", "gb18030", "hz-gb-2312", "cp936", "big5", "big5-hkscs", "cp950", "iso-2022-cn",
	"iso-2022-jp", "iso-2022-jp-1", "iso-2022-jp-2", "shift_jis", "shift-jis", "sjis", "x-sjis",
	"windows-31j", "cp932", "euc-jp", "euc-kr", "iso-2022-kr", "ks_c_5601-1987", "cp949", "windows-949",
	"viscii", "armscii-8", "georgian-ps",
};

/* --- Before the door closes ----------------------------------------------------------- */

static GLogWriterOutput silent(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer arg)
{
	(void)level, (void)fields, (void)n, (void)arg;
	return G_LOG_WRITER_HANDLED;
}

static int look_up(void *handle)
{
	void *found;

#define X(name)                                                                                    \
	found = dlsym(handle, #name);                                                              \
	if (found == NULL)                                                                         \
		return -ELIBACC;                                                                   \
	memcpy(&lib.name, &found, sizeof found);
	FUNCTIONS(X)
#undef X
	return 0;
}

/* Open each converter once, in the direction in which it will be used, and let it be. */
static void open_converters(void)
{
	charsets = g_hash_table_new(g_str_hash, g_str_equal);
	for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
		const char *name = lib.g_mime_charset_iconv_name(known[i]);

		if (iconv_open("UTF-8", name) != (iconv_t)-1)
			g_hash_table_add(charsets, (gpointer)(guintptr)known[i]);
	}
}

int gmime_load(const char **what_r)
{
	static const char *fallback[] = { "utf-8", "iso-8859-1", NULL };
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	*what_r = "loading " LIBRARY;
	if (handle == NULL || look_up(handle) < 0)
		return -ELIBACC;
	g_log_set_writer_func(silent, NULL, NULL);
	lib.g_mime_init();
	options = lib.g_mime_parser_options_new();
	lib.g_mime_parser_options_set_fallback_charsets(options, fallback);
	open_converters();
	return 0;
}

bool gmime_knows_charset(const uint8_t *name, size_t len)
{
	char word[64];

	if (len >= sizeof word)
		return false;
	for (size_t i = 0; i < len; i++)
		word[i] = g_ascii_tolower((char)name[i]);
	word[len] = '\0';
	return g_hash_table_contains(charsets, word);
}

/* --- Words --------------------------------------------------------------------------------- */

/* Not to be shown: controls, and what turns the direction of writing around. */
static bool invisible(gunichar ch)
{
	return g_unichar_iscntrl(ch) || (ch >= 0x202a && ch <= 0x202e) || (ch >= 0x2066 && ch <= 0x2069);
}

/* Keep as many whole characters as there is room for; a fold is one blank. */
static void put_words(struct deep_words *w, const char *s)
{
	w->len = 0;
	while (s != NULL && *s != '\0') {
		size_t blanks = strspn(s, " \t\r\n");
		gunichar ch = g_utf8_get_char_validated(s, -1);
		bool valid = ch < (gunichar)-2;
		int n = blanks > 0 ? (int)MIN(blanks, G_MAXINT) : valid ? g_utf8_skip[*(const guchar *)s] : 1;

		if (blanks > 0) {
			if (w->len > 0 && w->len < DEEP_WORDS)
				w->bytes[w->len++] = ' ';
		} else if (!valid || !invisible(ch)) {
			if (w->len + n > DEEP_WORDS)
				return;
			memcpy(w->bytes + w->len, valid ? s : "?", (size_t)n);
			w->len = (uint8_t)(w->len + n);
		}
		s += n;
	}
	if (w->len > 0 && w->bytes[w->len - 1] == ' ')
		w->len--;
}

/* Are all encoded words (RFC 2047) of the raw value in character sets that can be decoded? */
static bool decodable(const char *raw, struct deep *d)
{
	for (const char *s = raw; s != NULL && (s = strstr(s, "=?")) != NULL; s += 2) {
		size_t n = strcspn(s + 2, "?* \t\r\n");

		if ((s[2 + n] != '?' && s[2 + n] != '*') || gmime_knows_charset((const uint8_t *)s + 2, n))
			continue;
		if (n > 0) {
			struct finding *f = report_add(&d->report, F_MIME_CHARSET, 0, 0, 0);

			text_bytes(&f->found, (const uint8_t *)s + 2, n);
			return false;
		}
	}
	return true;
}

/* The raw value of a field, or NULL. */
static const char *raw(GMimeMessage *message, const char *name)
{
	GMimeHeaderList *list = lib.g_mime_object_get_header_list((GMimeObject *)message);
	GMimeHeader *header = lib.g_mime_header_list_get_header(list, name);

	return header != NULL ? lib.g_mime_header_get_raw_value(header) : NULL;
}

static void put_from(GMimeMessage *message, struct deep *d)
{
	const char *as_is = raw(message, "From");

	if (decodable(as_is, d)) {
		InternetAddressList *from = lib.g_mime_message_get_addresses(message, GMIME_ADDRESS_TYPE_FROM);
		char *text = from != NULL ? lib.internet_address_list_to_string(from, NULL, FALSE) : NULL;

		put_words(&d->from, text);
		g_free(text);
	} else {
		put_words(&d->from, as_is);
	}
}

static void put_header(GMimeMessage *message, struct deep *d)
{
	static const GMimeAddressType to[] = { GMIME_ADDRESS_TYPE_TO, GMIME_ADDRESS_TYPE_CC,
					       GMIME_ADDRESS_TYPE_BCC };
	const char *subject = raw(message, "Subject");
	GDateTime *date = lib.g_mime_message_get_date(message);

	put_words(&d->subject, decodable(subject, d) ? lib.g_mime_message_get_subject(message) : subject);
	put_from(message, d);
	put_words(&d->message_id, lib.g_mime_message_get_message_id(message));
	for (size_t i = 0; i < G_N_ELEMENTS(to); i++) {
		InternetAddressList *list = lib.g_mime_message_get_addresses(message, to[i]);
		int n = list != NULL ? lib.internet_address_list_length(list) : 0;

		d->to += n > 0 ? (uint64_t)n : 0;
	}
	d->has_date = date != NULL;
	d->date = date != NULL ? g_date_time_to_unix(date) : 0;
}

/* --- Parts ---------------------------------------------------------------------------------- */

static bool is_a(gpointer object, GType type)
{
	return lib.g_type_check_instance_is_a(object, type);
}

/* How many objects GMime made of the message. Without recursion: nothing is deeper than mime.h allows. */
static long count_parts(GMimeObject *top)
{
	struct {
		GMimeMultipart *multipart;
		int next, count;
	} open[MIME_DEPTH + 1];
	unsigned depth = 0;
	GMimeObject *o = top;
	long n = 0;

	for (;;) {
		n++;
		if (o != NULL && is_a(o, lib.g_mime_message_part_get_type())) {
			GMimeMessage *inner = lib.g_mime_message_part_get_message((GMimeMessagePart *)o);

			o = inner != NULL ? lib.g_mime_message_get_mime_part(inner) : NULL;
			continue;
		}
		if (o != NULL && depth < G_N_ELEMENTS(open) && is_a(o, lib.g_mime_multipart_get_type())) {
			open[depth].multipart = (GMimeMultipart *)o;
			open[depth].next = 0;
			open[depth++].count = lib.g_mime_multipart_get_count((GMimeMultipart *)o);
		}
		while (depth > 0 && open[depth - 1].next >= open[depth - 1].count)
			depth--;
		if (depth == 0)
			return n;
		o = lib.g_mime_multipart_get_part(open[depth - 1].multipart, open[depth - 1].next++);
	}
}

long gmime_read(const uint8_t *text, size_t len, struct deep *d)
{
	/* GMime reads it, and neither changes nor frees it. */
	GByteArray view = { (guint8 *)(guintptr)text, (guint)len };
	GMimeStream *stream = lib.g_mime_stream_mem_new();
	GMimeParser *parser;
	GMimeMessage *message;
	long parts = -1;

	lib.g_mime_stream_mem_set_byte_array((GMimeStreamMem *)stream, &view);
	parser = lib.g_mime_parser_new_with_stream(stream);
	message = lib.g_mime_parser_construct_message(parser, options);
	if (message != NULL) {
		put_header(message, d);
		parts = count_parts(lib.g_mime_message_get_mime_part(message));
		lib.g_object_unref(message);
	}
	lib.g_object_unref(parser);
	lib.g_object_unref(stream);
	return parts;
}
