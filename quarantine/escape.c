/*
 * escape.c - bytes made printable, and back
 *
 * Promises: every function takes any bytes; escape_undo() inverts escape_json(),
 * escape_eyes() and escape_word(). Never: looks at meaning. Fails: only
 * escape_undo(), with NULL.
 */
#include "config.h"

#include "private.h"

#include <string.h>

/* A character that could move a cursor, hide, or turn the line around. */
static bool unsafe_for_eyes(gunichar c)
{
	switch (g_unichar_type(c)) {
	case G_UNICODE_CONTROL:
	case G_UNICODE_FORMAT:
	case G_UNICODE_SURROGATE:
	case G_UNICODE_PRIVATE_USE:
	case G_UNICODE_UNASSIGNED:
	case G_UNICODE_LINE_SEPARATOR:
	case G_UNICODE_PARAGRAPH_SEPARATOR:
		return true;
	default:
		return false;
	}
}

static char *escape(const char *bytes, size_t len, bool eyes)
{
	GString *out = g_string_sized_new(len + 16);

	for (size_t i = 0; i < len;) {
		unsigned char byte = (unsigned char)bytes[i];
		gunichar c = g_utf8_get_char_validated(bytes + i, (gssize)(len - i));
		size_t n = 1;
		bool keep = byte >= 0x20 && byte != 0x7f;

		if (byte >= 0x80) {
			keep = c != (gunichar)-1 && c != (gunichar)-2;
			if (keep)
				n = (size_t)g_unichar_to_utf8(c, NULL);
			if (keep && eyes && unsafe_for_eyes(c))
				keep = false;
		}
		if (byte == '\\')
			g_string_append(out, "\\\\");
		else if (keep)
			g_string_append_len(out, bytes + i, (gssize)n);
		else
			for (size_t j = 0; j < n; j++)
				g_string_append_printf(out, "\\x%02X", (unsigned char)bytes[i + j]);
		i += n;
	}
	return g_string_free(out, FALSE);
}

/* The project's rule for JSON: `\` doubled, controls and bytes that are no UTF-8 as \xNN. */
char *escape_json(const void *bytes, size_t len)
{
	return escape(bytes, len, false);
}

/* The same for terminals and summaries: C1, bidirectional and invisible characters too. */
char *escape_eyes(const void *bytes, size_t len)
{
	return escape(bytes, len, true);
}

/* One word of printable ASCII, for the plan. */
char *escape_word(const char *bytes, size_t len)
{
	GString *out = g_string_sized_new(len + 16);

	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)bytes[i];

		if (byte == '\\')
			g_string_append(out, "\\\\");
		else if (byte > 0x20 && byte < 0x7f)
			g_string_append_c(out, (char)byte);
		else
			g_string_append_printf(out, "\\x%02X", byte);
	}
	return g_string_free(out, FALSE);
}

char *escape_name(const char *bytes, size_t len, size_t max)
{
	GString *out = g_string_sized_new(len + 16);
	size_t cut = 0; /* last length at which no escape is torn and the digest still fits */

	for (size_t i = 0; i < len; i++) {
		char c = bytes[i];

		if (out->len + 34 <= max)
			cut = out->len;
		if (g_ascii_isalnum(c) || (c && strchr("-_.+=@,", c)))
			g_string_append_c(out, c);
		else
			g_string_append_printf(out, "%%%02X", (unsigned char)c);
	}
	if (out->len > max) {
		char *hex = g_compute_checksum_for_data(G_CHECKSUM_SHA256,
							(const guchar *)bytes, len);

		g_string_truncate(out, cut);
		g_string_append_printf(out, "%%~%.32s", hex);
		g_free(hex);
	}
	return g_string_free(out, FALSE);
}

/* NULL when the text is not what one of the escapes above writes. */
char *escape_undo(const char *text, size_t *len_r)
{
	GString *out = g_string_sized_new(strlen(text) + 1);

	for (; *text; text++) {
		int hi, lo;

		if (*text != '\\' && !g_ascii_iscntrl(*text)) {
			g_string_append_c(out, *text);
			continue;
		}
		if (*text == '\\')
			text++;
		if (*text == '\\') {
			g_string_append_c(out, '\\');
			continue;
		}
		hi = *text == 'x' ? g_ascii_xdigit_value(text[1]) : -1;
		lo = hi >= 0 ? g_ascii_xdigit_value(text[2]) : -1;
		if (lo < 0) {
			g_string_free(out, TRUE);
			return NULL;
		}
		g_string_append_c(out, (char)(hi << 4 | lo));
		text += 2;
	}
	if (len_r)
		*len_r = out->len;
	return g_string_free(out, FALSE);
}
