/*
 * name.h - file names: read through a cursor, put together within a bound
 *
 * A path is put together in buf[0 .. cap - 1], from position `at` on. Each function answers the next
 * position; cap = there is no room, and that stays so until put_end() says it.
 */
#ifndef NAME_H
#define NAME_H

#include "cursor.h"

/* A cursor over a name of `len` bytes. */
static inline struct cur name_make(const char *name, size_t len)
{
	return cur_make((const uint8_t *)name, len, 0);
}

/* Step over the directories of a path; its last name is what is left. The offset tells how long they
 * were, with the last slash. */
static inline void name_last(struct cur *path)
{
	while (cur_find(path, '/') < cur_left(path))
		cur_skip(path, cur_find(path, '/') + 1);
}

/* Where what is left lies in the caller's string. */
static inline const char *name_at(const struct cur *c)
{
	return (const char *)cur_view(c, 0);
}

/* Step over decimal digits; how many there were. */
static inline size_t name_digits(struct cur *c)
{
	size_t n = 0;

	for (; cur_peek(c) >= '0' && cur_peek(c) <= '9'; n++)
		cur_skip(c, 1);
	return n;
}

/* Is what is left this word? */
static inline bool name_is(struct cur c, const char *word)
{
	for (; *word != '\0'; word++)
		if (cur_left(&c) == 0 || cur_u8(&c) != (uint8_t)*word)
			return false;
	return cur_left(&c) == 0;
}

static inline size_t put_char(char *buf, size_t cap, size_t at, char ch)
{
	if (at < cap)
		buf[at++] = ch;
	return at;
}

static inline size_t put_str(char *buf, size_t cap, size_t at, const char *s)
{
	for (; *s != '\0'; s++)
		at = put_char(buf, cap, at, *s);
	return at;
}

static inline size_t put_bytes(char *buf, size_t cap, size_t at, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		at = put_char(buf, cap, at, s[i]);
	return at;
}

/* In decimal. */
static inline size_t put_number(char *buf, size_t cap, size_t at, uint64_t n)
{
	uint64_t unit = UINT64_C(10000000000000000000);

	while (unit > 1 && n < unit)
		unit /= 10;
	for (; unit > 0; unit /= 10)
		at = put_char(buf, cap, at, (char)('0' + n / unit % 10));
	return at;
}

/* Terminate it; its length, 0 = it did not fit. */
static inline size_t put_end(char *buf, size_t cap, size_t at)
{
	if (at >= cap)
		return 0;
	buf[at] = '\0';
	return at;
}

#endif
