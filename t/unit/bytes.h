/*
 * bytes.h - for tests: bytes compared, and with a piece replaced
 */
#ifndef BYTES_H
#define BYTES_H

#include <glib.h>
#include <string.h>

/* g_assert_cmpmem() warns about its own conversions. */
static inline void same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
	g_assert_cmpuint(a_len, ==, b_len);
	g_assert_true(a_len == 0 || memcmp(a, b, a_len) == 0);
}

/* `b` with `to` (of n bytes, -1 = a string) in the place of the first `from`, which has to be there. It takes the
 * place of `b`. */
static inline GByteArray *replaced(GByteArray *b, const char *from, const char *to, gssize n)
{
	GByteArray *now = g_byte_array_new();
	guint len = (guint)strlen(from), at = 0;

	while (len > 0 && at + len <= b->len && memcmp(b->data + at, from, len) != 0)
		at++;
	g_assert_cmpuint(at + len, <=, b->len);
	g_byte_array_append(now, b->data, at);
	g_byte_array_append(now, (const guint8 *)to, n < 0 ? (guint)strlen(to) : (guint)n);
	g_byte_array_append(now, b->data + at + len, b->len - at - len);
	g_byte_array_unref(b);
	return now;
}

#endif
