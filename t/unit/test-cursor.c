/*
 * test-cursor.c - every primitive of the cursor at its edges
 *
 * Windows are allocated at their exact size, so that a sanitizer build sees a
 * read of one byte too many.
 */
#include "bytes.h"
#include "cursor.h"
#include "name.h"

#include <glib.h>

static struct cur window(const void *bytes, size_t n)
{
	return cur_make(g_memdup2(bytes, n), n, 1000);
}

static void drop(struct cur *c)
{
	g_free((void *)(uintptr_t)c->buf);
}

static void test_take(void)
{
	struct cur c = window("abcdef", 6);
	const uint8_t *p = cur_take(&c, 4);

	same_bytes(p, 4, "abcd", 4);
	g_assert_cmpuint(cur_offset(&c), ==, 1004);
	g_assert_cmpuint(cur_left(&c), ==, 2);
	g_assert_nonnull(cur_take(&c, 0));
	g_assert_nonnull(cur_take(&c, 2));
	g_assert_cmpuint(cur_left(&c), ==, 0);
	g_assert_nonnull(cur_take(&c, 0));
	g_assert_null(cur_take(&c, 1));
	g_assert_cmpint(c.err, ==, CUR_SHORT);
	g_assert_cmpuint(cur_offset(&c), ==, 1006);
	drop(&c);
}

/* One failure, and nothing is read any more, whatever would still be there. */
static void test_sticky(void)
{
	struct cur c = window("abcdef", 6);

	g_assert_null(cur_take(&c, 7));
	g_assert_cmpuint(cur_left(&c), ==, 0);
	g_assert_cmpint(cur_peek(&c), ==, -1);
	g_assert_cmpuint(cur_u8(&c), ==, 0);
	g_assert_null(cur_take(&c, 1));
	g_assert_null(cur_take(&c, 0));
	g_assert_null(cur_view(&c, 0));
	g_assert_false(cur_skip(&c, 0));
	g_assert_false(cur_seek(&c, 0));
	g_assert_cmpuint(cur_find(&c, 'a'), ==, 0);
	g_assert_cmpuint(cur_varint(&c, 4, 100), ==, 0);
	cur_fail(&c, CUR_TOO_BIG);
	g_assert_cmpint(c.err, ==, CUR_SHORT);
	g_assert_cmpuint(c.pos, ==, 0);
	drop(&c);
}

/* A length near SIZE_MAX must not wrap. */
static void test_huge(void)
{
	struct cur c = window("abcdef", 6), d;

	g_assert_nonnull(cur_take(&c, 3));
	d = c;
	g_assert_null(cur_take(&d, SIZE_MAX));
	d = c;
	g_assert_null(cur_take(&d, SIZE_MAX - 2));
	d = c;
	g_assert_null(cur_view(&d, SIZE_MAX));
	g_assert_cmpint(d.err, ==, CUR_OK);
	g_assert_false(cur_skip(&d, SIZE_MAX));
	d = c;
	g_assert_false(cur_seek(&d, SIZE_MAX));
	drop(&c);
}

static void test_empty(void)
{
	struct cur c = cur_make(NULL, 0, 0);

	g_assert_cmpuint(cur_left(&c), ==, 0);
	g_assert_cmpint(cur_peek(&c), ==, -1);
	g_assert_cmpuint(cur_find(&c, 0), ==, 0);
	g_assert_cmpuint(cur_u8(&c), ==, 0);
	g_assert_cmpint(c.err, ==, CUR_SHORT);
}

static void test_seek_peek_view(void)
{
	struct cur c = window("abcdef", 6);
	const uint8_t *p = cur_view(&c, 6);

	same_bytes(p, 6, "abcdef", 6);
	g_assert_cmpuint(c.pos, ==, 0);
	g_assert_null(cur_view(&c, 7));
	g_assert_cmpint(c.err, ==, CUR_OK);
	g_assert_true(cur_seek(&c, 6));
	g_assert_cmpint(cur_peek(&c), ==, -1);
	g_assert_cmpint(c.err, ==, CUR_OK);
	g_assert_nonnull(cur_view(&c, 0));
	g_assert_true(cur_seek(&c, 5));
	g_assert_cmpint(cur_peek(&c), ==, 'f');
	g_assert_true(cur_seek(&c, 0));
	g_assert_false(cur_seek(&c, 7));
	g_assert_cmpint(c.err, ==, CUR_SHORT);
	drop(&c);
}

static void test_numbers(void)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 0xff };

	for (size_t n = 0; n <= sizeof bytes; n++) {
		struct cur c = window(bytes, n), d = c, e = c, f = c;

		g_assert_cmpuint(cur_u8(&c), ==, n >= 1 ? 1 : 0);
		g_assert_cmpuint(cur_u16le(&d), ==, n >= 2 ? 0x0201 : 0);
		g_assert_cmpuint(cur_u32le(&e), ==, n >= 4 ? 0x04030201 : 0);
		g_assert_cmpuint(cur_u64le(&f), ==, n >= 8 ? 0xff07060504030201u : 0);
		g_assert_cmpint(c.err, ==, n >= 1 ? CUR_OK : CUR_SHORT);
		g_assert_cmpint(d.err, ==, n >= 2 ? CUR_OK : CUR_SHORT);
		g_assert_cmpint(e.err, ==, n >= 4 ? CUR_OK : CUR_SHORT);
		g_assert_cmpint(f.err, ==, n >= 8 ? CUR_OK : CUR_SHORT);
		drop(&c);
	}
}

/* A number that is cut leaves the cursor where it was. */
static void test_cut_numbers(void)
{
	struct cur c = window("abcdef", 6);

	cur_u8(&c);
	g_assert_cmpuint(cur_u64le(&c), ==, 0);
	g_assert_cmpuint(cur_offset(&c), ==, 1001);
	drop(&c);
}

static void test_copy_ahead(void)
{
	struct cur c = window("abcdef", 6), empty = cur_make(NULL, 0, 0);
	uint8_t to[4] = "wxyz";

	g_assert_cmpint(cur_ahead(&c, 0), ==, 'a');
	g_assert_cmpint(cur_ahead(&c, 5), ==, 'f');
	g_assert_cmpint(cur_ahead(&c, 6), ==, -1);
	g_assert_cmpint(cur_ahead(&c, SIZE_MAX), ==, -1);
	g_assert_true(cur_copy(&c, to, 3));
	same_bytes(to, 4, "abcz", 4);
	g_assert_true(cur_copy(&c, to, 0));
	g_assert_false(cur_copy(&c, to, 4));
	same_bytes(to, 4, "abcz", 4);
	g_assert_cmpint(c.err, ==, CUR_SHORT);
	g_assert_cmpuint(c.pos, ==, 3);
	g_assert_cmpint(cur_ahead(&c, 0), ==, -1);
	g_assert_true(cur_copy(&empty, to, 0));
	g_assert_cmpint(cur_sub(&empty, 0).err, ==, CUR_OK);
	drop(&c);
}

static void varint(const char *bytes, size_t n, unsigned max_bytes, uint64_t max, enum cur_err err,
		   uint64_t value, size_t used)
{
	struct cur c = window(bytes, n);

	g_assert_cmpuint(cur_varint(&c, max_bytes, max), ==, value);
	g_assert_cmpint(c.err, ==, err);
	g_assert_cmpuint(c.pos, ==, used);
	drop(&c);
}

static void test_varint(void)
{
	varint("", 0, 5, UINT64_MAX, CUR_SHORT, 0, 0);
	varint("\x00", 1, 5, 0, CUR_OK, 0, 1);
	varint("\x7f", 1, 1, 127, CUR_OK, 127, 1);
	varint("\x7f", 1, 1, 126, CUR_TOO_BIG, 0, 0);
	varint("\x80", 1, 5, 127, CUR_SHORT, 0, 0);
	varint("\x80", 1, 1, 127, CUR_LONG_FORM, 0, 0);
	varint("\x80\x01", 2, 5, 128, CUR_OK, 128, 2);
	varint("\x80\x01", 2, 5, 127, CUR_TOO_BIG, 0, 0);
	varint("\x80\x00", 2, 5, 127, CUR_OK, 0, 2);
	varint("\xff\xff\xff\xff\x07", 5, 5, INT32_MAX, CUR_OK, INT32_MAX, 5);
	varint("\x80\x80\x80\x80\x08", 5, 5, INT32_MAX, CUR_TOO_BIG, 0, 0);
	varint("\x80\x80\x80\x80\x80\x01", 6, 5, UINT64_MAX, CUR_LONG_FORM, 0, 0);
	varint("\x80\x80\x80\x80\x80", 5, 5, UINT64_MAX, CUR_LONG_FORM, 0, 0);
	varint("\x80\x80\x80\x80", 4, 5, UINT64_MAX, CUR_SHORT, 0, 0);
	varint("\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 9, 9, UINT64_MAX, CUR_OK,
	       INT64_MAX, 9);
	varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, 20, UINT64_MAX, CUR_LONG_FORM, 0, 0);
}

static void test_sub(void)
{
	struct cur c = window("abcdef", 6), in;

	cur_u8(&c);
	in = cur_sub(&c, 3);
	g_assert_cmpuint(cur_left(&in), ==, 3);
	g_assert_cmpuint(cur_offset(&in), ==, 1001);
	g_assert_cmpint(cur_peek(&c), ==, 'e');
	g_assert_nonnull(cur_take(&in, 3));
	g_assert_null(cur_take(&in, 1)); /* the outer bytes are out of sight */
	in = cur_sub(&c, 2);
	g_assert_cmpuint(cur_left(&in), ==, 2);
	in = cur_sub(&c, 0);
	g_assert_cmpint(in.err, ==, CUR_OK);
	in = cur_sub(&c, 1);
	g_assert_cmpint(in.err, ==, CUR_SHORT);
	g_assert_cmpint(c.err, ==, CUR_SHORT);
	g_assert_cmpuint(cur_left(&in), ==, 0);
	drop(&c);
}

static void test_find(void)
{
	struct cur c = window("ab\0cb", 5);

	g_assert_cmpuint(cur_find(&c, 'a'), ==, 0);
	g_assert_cmpuint(cur_find(&c, 'b'), ==, 1);
	g_assert_cmpuint(cur_find(&c, 0), ==, 2);
	g_assert_cmpuint(cur_find(&c, 'z'), ==, 5);
	cur_skip(&c, 2);
	g_assert_cmpuint(cur_find(&c, 'b'), ==, 2);
	g_assert_cmpuint(cur_find(&c, 'a'), ==, 3);
	drop(&c);
}

/* What is left counts, wherever it lies and whatever was read before it. */
static void test_same(void)
{
	struct cur a = window("x\0bc", 4), b = window("\0bc", 3), none = cur_make(NULL, 0, 0);

	g_assert_false(cur_same(&a, &b));
	cur_skip(&a, 1);
	g_assert_true(cur_same(&a, &b) && cur_same(&b, &a));
	g_assert_cmpuint(a.pos, ==, 1);
	cur_skip(&a, 1);
	g_assert_false(cur_same(&a, &b)); /* one is the other's end */
	g_assert_false(cur_same(&a, &none));
	cur_skip(&a, 2);
	g_assert_true(cur_same(&a, &none) && cur_same(&none, &none));
	drop(&a);
	a = window("\0bd", 3);
	g_assert_false(cur_same(&a, &b)); /* in the last byte */
	cur_take(&a, 4);
	g_assert_false(cur_same(&a, &b));
	g_assert_true(cur_same(&a, &none)); /* nothing is left behind a failure */
	drop(&a);
	drop(&b);
}

/* isspace() of the C locale, and nothing else. */
static void test_blank(void)
{
	for (unsigned ch = 0; ch < 256; ch++)
		g_assert_cmpint(cur_blank((uint8_t)ch), ==, ch != 0 && strchr(" \t\n\v\f\r", (int)ch) != NULL);
}

static void test_words(void)
{
	struct cur c = window(" \t\v ab=c d\xa0\n ", 13), value;

	g_assert_cmpuint(cur_word(&c, '='), ==, 0);
	cur_skip_blanks(&c);
	g_assert_cmpuint(c.pos, ==, 4);
	cur_skip_blanks(&c);
	g_assert_cmpuint(c.pos, ==, 4);
	g_assert_cmpuint(cur_word(&c, '='), ==, 2);
	g_assert_cmpuint(cur_word(&c, 'z'), ==, 4);
	g_assert_cmpuint(cur_word(&c, 'a'), ==, 0);
	cur_skip(&c, 3);
	value = c;
	cur_trim(&value);
	g_assert_cmpuint(cur_left(&value), ==, 4);
	g_assert_cmpuint(cur_left(&c), ==, 6);
	cur_trim(&value);
	g_assert_cmpuint(cur_left(&value), ==, 4);
	cur_skip(&value, 2);
	g_assert_cmpuint(cur_word(&value, '='), ==, 2); /* up to the end */
	/* Blanks only: up to the end, and from it back to the position. */
	cur_skip(&c, 4);
	value = c;
	cur_skip_blanks(&value);
	g_assert_cmpuint(cur_left(&value), ==, 0);
	g_assert_cmpint(value.err, ==, CUR_OK);
	cur_skip_blanks(&value);
	g_assert_cmpuint(cur_word(&value, '='), ==, 0);
	cur_trim(&c);
	g_assert_cmpuint(cur_left(&c), ==, 0);
	g_assert_cmpuint(c.pos, ==, 11);
	g_assert_cmpint(c.err, ==, CUR_OK);
	drop(&c);
}

/* After a failure nothing moves; no bytes at all are none to trim. */
static void test_words_nowhere(void)
{
	struct cur c = window("  ab  ", 6), empty = cur_make(NULL, 0, 0);

	cur_take(&c, 7);
	cur_skip_blanks(&c);
	g_assert_cmpuint(c.pos, ==, 0);
	g_assert_cmpuint(cur_word(&c, 'b'), ==, 0);
	cur_trim(&c);
	g_assert_cmpuint(cur_left(&c), ==, 0);
	g_assert_cmpint(c.err, ==, CUR_SHORT);
	cur_skip_blanks(&empty);
	cur_trim(&empty);
	g_assert_cmpuint(cur_word(&empty, '='), ==, 0);
	g_assert_cmpint(empty.err, ==, CUR_OK);
	drop(&c);
}

/* The last name of a path; what it is, where it lies. */
static void test_names(void)
{
	static const char path[] = "a/bc//12-x";
	struct cur c = name_make(path, strlen(path)), none = name_make("", 0);

	name_last(&c);
	g_assert_cmpuint(cur_offset(&c), ==, 6);
	g_assert_true(name_at(&c) == path + 6);
	g_assert_true(name_is(c, "12-x") && !name_is(c, "12-") && !name_is(c, "12-xy") && !name_is(c, ""));
	g_assert_cmpuint(name_digits(&c), ==, 2);
	g_assert_true(name_is(c, "-x") && name_digits(&c) == 0);
	name_last(&none);
	g_assert_true(name_is(none, "") && !name_is(none, "x") && name_digits(&none) == 0);
	c = name_make("dir/", 4);
	name_last(&c);
	g_assert_cmpuint(cur_left(&c), ==, 0);
}

/* Nothing is written behind the room, and what did not fit stays so. */
static void test_put(void)
{
	static const char want[] = "a/x18446744073709551615/0/10";
	char buf[64];

	for (size_t cap = 0; cap <= sizeof buf; cap++) {
		size_t at = 0;

		memset(buf, '#', sizeof buf);
		at = put_char(buf, cap, at, 'a');
		at = put_str(buf, cap, at, "/x");
		at = put_number(buf, cap, at, UINT64_MAX);
		at = put_str(buf, cap, at, "");
		at = put_bytes(buf, cap, at, "/0/", 1);
		at = put_number(buf, cap, at, 0);
		at = put_char(buf, cap, at, '/');
		at = put_number(buf, cap, at, 10);
		at = put_end(buf, cap, at);
		g_assert_cmpuint(at, ==, cap >= sizeof want ? sizeof want - 1 : 0);
		if (at > 0)
			g_assert_cmpstr(buf, ==, want);
		for (size_t i = at > 0 ? sizeof want : cap; i < sizeof buf; i++)
			g_assert_cmpint(buf[i], ==, '#');
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cursor/take", test_take);
	g_test_add_func("/cursor/sticky", test_sticky);
	g_test_add_func("/cursor/huge", test_huge);
	g_test_add_func("/cursor/empty", test_empty);
	g_test_add_func("/cursor/seek-peek-view", test_seek_peek_view);
	g_test_add_func("/cursor/numbers", test_numbers);
	g_test_add_func("/cursor/cut-numbers", test_cut_numbers);
	g_test_add_func("/cursor/copy-ahead", test_copy_ahead);
	g_test_add_func("/cursor/varint", test_varint);
	g_test_add_func("/cursor/sub", test_sub);
	g_test_add_func("/cursor/find", test_find);
	g_test_add_func("/cursor/same", test_same);
	g_test_add_func("/cursor/blank", test_blank);
	g_test_add_func("/cursor/words", test_words);
	g_test_add_func("/name/read", test_names);
	g_test_add_func("/name/put", test_put);
	g_test_add_func("/cursor/words-nowhere", test_words_nowhere);
	return g_test_run();
}
