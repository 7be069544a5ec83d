/*
 * cursor.h - the bounded reader through which every parser sees bytes
 *
 * A cursor is a window of bytes, a position in it and the first error. Every
 * read compares with what is LEFT (a subtraction that cannot wrap), and after
 * one failure every later read fails too, so that a parser reads straight
 * down and asks once at the end. A nested block is a smaller cursor: it hides
 * the outer end, and what remains in it is the caller's finding.
 *
 * Nothing here allocates, recurses or touches errno. All pointer arithmetic of
 * parsers/ is in this file. The comments that begin with an @ are contracts in
 * ACSL, the language of Frama-C; t/prove/prove.sh proves each of them.
 */
#ifndef CURSOR_H
#define CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Why a read failed. The order is the order of the tests: a length field can
 * have too many bytes, be larger than allowed, or larger than what is left;
 * these tell three different stories about a file. */
enum cur_err {
	CUR_OK = 0,
	CUR_SHORT,     /* fewer bytes left than asked for */
	CUR_LONG_FORM, /* a number used more bytes than its form allows */
	CUR_TOO_BIG,   /* a number is larger than the caller's cap */
};

struct cur {
	const uint8_t *buf; /* first byte of the window */
	size_t len;         /* bytes in the window */
	size_t pos;         /* next byte, 0..len */
	uint64_t base;      /* offset of buf[0] in the part, for messages only */
	enum cur_err err;   /* first failure; sticky */
};

/*@ // The window can be read and the position lies in it: before and after
    // every function.
    predicate cur_valid(struct cur *c) =
      \valid_read(c) && c->pos <= c->len && \valid_read(c->buf + (0 .. c->len - 1));

    // ... and the cursor, which is written, is not in its own window.
    predicate cur_ready(struct cur *c) =
      cur_valid(c) && \valid(c) && \separated(c, c->buf + (0 .. c->len - 1));

    // The next n bytes are there and may be read.
    predicate cur_has(struct cur *c, integer n) = c->err == CUR_OK && n <= c->len - c->pos;

    // From state A to state B the cursor moved over n bytes, without an error;
    // or stayed, and holds the error e unless it held an earlier one.
    predicate cur_moved{A,B}(struct cur *c, integer n) =
      \at(c->pos, B) == \at(c->pos, A) + n && \at(c->err, B) == CUR_OK;
    predicate cur_failed{A,B}(struct cur *c, enum cur_err e) =
      \at(c->pos, B) == \at(c->pos, A) &&
      \at(c->err, B) == (\at(c->err, A) == CUR_OK ? e : \at(c->err, A));

    logic integer le32(uint8_t *p) =
      p[0] + 0x100 * p[1] + 0x10000 * p[2] + 0x1000000 * p[3];

    // The number in the n groups of 7 bits at p.
    logic integer power128(integer n) =
      n == 0 ? 1 : n == 1 ? 0x80 : n == 2 ? 0x4000 : n == 3 ? 0x200000 : n == 4 ? 0x10000000 :
      n == 5 ? 0x800000000 : n == 6 ? 0x40000000000 : n == 7 ? 0x2000000000000 :
      n == 8 ? 0x100000000000000 : 0x8000000000000000;
    logic integer group(uint8_t *p, integer i, integer n) =
      i < n ? power128(i) * (p[i] % 128) : 0;
    logic integer groups(uint8_t *p, integer n) =
      group(p, 0, n) + group(p, 1, n) + group(p, 2, n) + group(p, 3, n) + group(p, 4, n) +
      group(p, 5, n) + group(p, 6, n) + group(p, 7, n) + group(p, 8, n);

    lemma group_fits: \forall integer a, b; 0 <= a && 0 <= b <= 127 ==> 0 <= a * b <= 127 * a;

    // The form of a number at p: n bytes say "more follows"; the next one says
    // that it is the last.
    predicate more_bytes(uint8_t *p, integer n) = \forall integer i; 0 <= i < n ==> p[i] >= 128;

    predicate blank(integer ch) = ch == ' ' || '\t' <= ch <= '\r';
*/

/* A cursor over `len` bytes at `buf`; `base` is the offset of buf[0] in its
 * part. The bytes stay the caller's. */
/*@ requires \valid_read(buf + (0 .. len - 1));
    assigns \result \from buf, len, base;
    ensures \result.buf == buf && \result.len == len && \result.base == base;
    ensures \result.pos == 0 && \result.err == CUR_OK;
*/
static inline struct cur cur_make(const uint8_t *buf, size_t len, uint64_t base)
{
	struct cur c = { buf, len, 0, base, CUR_OK };
	return c;
}

/* Bytes that can still be read: 0 after a failure. */
/*@ requires cur_valid(c);
    assigns \result \from *c;
    ensures \result == (c->err == CUR_OK ? c->len - c->pos : 0);
    ensures \result <= c->len;
*/
static inline size_t cur_left(const struct cur *c)
{
	return c->err == CUR_OK ? c->len - c->pos : 0;
}

/* Offset in the part of the next byte. After a failure: of the read that
 * failed, because a failed read does not move. */
/*@ requires cur_valid(c);
    assigns \result \from *c;
    ensures \result == (uint64_t)(c->base + c->pos);
*/
static inline uint64_t cur_offset(const struct cur *c)
{
	return c->base + c->pos;
}

/* Record the first failure. */
/*@ requires \valid(c);
    assigns c->err \from c->err, err;
    ensures cur_failed{Pre,Post}(c, err);
*/
static inline void cur_fail(struct cur *c, enum cur_err err)
{
	if (c->err == CUR_OK)
		c->err = err;
}

/* The next `n` bytes, or NULL and CUR_SHORT. Valid as long as the window. */
/*@ requires cur_ready(c);
    assigns c->pos, c->err, \result \from *c, n;
    ensures cur_ready(c);
    behavior there:
      assumes cur_has(c, n);
      ensures cur_moved{Pre,Post}(c, n);
      ensures \result == c->buf + \old(c->pos) && \valid_read(\result + (0 .. n - 1));
    behavior not_there:
      assumes !cur_has(c, n);
      ensures \result == \null && cur_failed{Pre,Post}(c, CUR_SHORT) && c->err != CUR_OK;
    complete behaviors;
    disjoint behaviors;
*/
static inline const uint8_t *cur_take(struct cur *c, size_t n)
{
	const uint8_t *p;

	if (c->err != CUR_OK || n > c->len - c->pos) {
		cur_fail(c, CUR_SHORT);
		return NULL;
	}
	p = c->buf + c->pos;
	c->pos += n;
	return p;
}

/* The next `n` bytes without moving, or NULL when they are not there (which is
 * no failure in itself). */
/*@ requires cur_valid(c);
    assigns \result \from *c, n;
    ensures cur_has(c, n) ==> \result == c->buf + c->pos && \valid_read(\result + (0 .. n - 1));
    ensures !cur_has(c, n) ==> \result == \null;
    ensures \result == \null || \valid_read(\result + (0 .. n - 1));
*/
static inline const uint8_t *cur_view(const struct cur *c, size_t n)
{
	return c->err == CUR_OK && n <= c->len - c->pos ? c->buf + c->pos : NULL;
}

/* Step over `n` bytes; false and CUR_SHORT when they are not there. */
/*@ requires cur_ready(c);
    assigns c->pos, c->err, \result \from *c, n;
    ensures cur_ready(c);
    ensures \result == \true ? cur_moved{Pre,Post}(c, n) : cur_failed{Pre,Post}(c, CUR_SHORT);
    ensures \result == \true <==> \old(cur_has(c, n));
*/
static inline bool cur_skip(struct cur *c, size_t n)
{
	cur_take(c, n);
	return c->err == CUR_OK;
}

/* Go to position `pos` of the window, 0..len; false and CUR_SHORT beyond. */
/*@ requires cur_ready(c);
    assigns c->pos, c->err, \result \from *c, pos;
    ensures cur_ready(c);
    ensures \result == \true ? c->pos == pos && c->err == CUR_OK :
                               cur_failed{Pre,Post}(c, CUR_SHORT);
    ensures \result == \true <==> \old(c->err) == CUR_OK && pos <= c->len;
*/
static inline bool cur_seek(struct cur *c, size_t pos)
{
	if (c->err != CUR_OK || pos > c->len) {
		cur_fail(c, CUR_SHORT);
		return false;
	}
	c->pos = pos;
	return true;
}

/* A smaller cursor over the next `n` bytes, which `c` steps over. When they
 * are not there both cursors have failed and the smaller one is empty. */
/*@ requires cur_ready(c);
    assigns c->pos, c->err, \result \from *c, n;
    ensures cur_ready(c);
    ensures \valid_read(\result.buf + (0 .. \result.len - 1)) && \result.pos == 0;
    ensures \result.len <= c->len;
    ensures \result.buf == c->buf + \old(c->pos);
    ensures \result.base == (uint64_t)(c->base + \old(c->pos));
    behavior there:
      assumes cur_has(c, n);
      ensures cur_moved{Pre,Post}(c, n);
      ensures \result.len == n && \result.err == CUR_OK;
    behavior not_there:
      assumes !cur_has(c, n);
      ensures cur_failed{Pre,Post}(c, CUR_SHORT) && c->err != CUR_OK;
      ensures \result.len == 0 && \result.err == CUR_SHORT;
    complete behaviors;
    disjoint behaviors;
*/
static inline struct cur cur_sub(struct cur *c, size_t n)
{
	struct cur sub = { c->buf + c->pos, 0, 0, cur_offset(c), CUR_OK };

	if (cur_skip(c, n))
		sub.len = n;
	else
		sub.err = CUR_SHORT;
	return sub;
}

/* The next byte; 0 and CUR_SHORT when there is none. */
/*@ requires cur_ready(c);
    assigns c->pos, c->err, \result \from *c, c->buf[0 .. c->len - 1];
    ensures cur_ready(c);
    behavior there:
      assumes cur_has(c, 1);
      ensures cur_moved{Pre,Post}(c, 1);
      ensures \let p = c->buf + \old(c->pos);
              \result == p[0];
    behavior not_there:
      assumes !cur_has(c, 1);
      ensures \result == 0 && cur_failed{Pre,Post}(c, CUR_SHORT) && c->err != CUR_OK;
    complete behaviors;
    disjoint behaviors;
*/
static inline uint8_t cur_u8(struct cur *c)
{
	const uint8_t *p = cur_take(c, 1);
	return p != NULL ? p[0] : 0;
}

/* The next byte without moving: -1 at the end or after a failure (which is no
 * failure in itself). */
/*@ requires cur_valid(c);
    assigns \result \from *c, c->buf[0 .. c->len - 1];
    ensures cur_has(c, 1) ==> \result == c->buf[c->pos];
    ensures !cur_has(c, 1) ==> \result == -1;
    ensures -1 <= \result <= 255;
*/
static inline int cur_peek(const struct cur *c)
{
	return cur_left(c) > 0 ? c->buf[c->pos] : -1;
}

/* The same of the byte `n` further on. */
/*@ requires cur_valid(c);
    assigns \result \from *c, c->buf[0 .. c->len - 1], n;
    ensures cur_has(c, n + 1) ==> \result == c->buf[c->pos + n];
    ensures !cur_has(c, n + 1) ==> \result == -1;
    ensures -1 <= \result <= 255;
*/
static inline int cur_ahead(const struct cur *c, size_t n)
{
	return cur_left(c) > n ? c->buf[c->pos + n] : -1;
}

/* Four bytes, the lowest first. */
/*@ requires \valid_read(p + (0 .. 3));
    assigns \result \from p[0 .. 3];
    ensures \result == le32(p);
*/
static inline uint32_t cur_le32(const uint8_t *p)
{
	return p[0] + 0x100u * p[1] + 0x10000u * p[2] + 0x1000000u * p[3];
}

/* Little-endian fixed-width numbers; 0 and CUR_SHORT when cut. */
/*@ requires cur_ready(c);
    assigns c->pos, c->err, \result \from *c, c->buf[0 .. c->len - 1];
    ensures cur_ready(c);
    behavior there:
      assumes cur_has(c, 2);
      ensures cur_moved{Pre,Post}(c, 2);
      ensures \let p = c->buf + \old(c->pos);
              \result == p[0] + 0x100 * p[1];
    behavior not_there:
      assumes !cur_has(c, 2);
      ensures \result == 0 && cur_failed{Pre,Post}(c, CUR_SHORT) && c->err != CUR_OK;
    complete behaviors;
    disjoint behaviors;
*/
static inline uint16_t cur_u16le(struct cur *c)
{
	const uint8_t *p = cur_take(c, 2);
	return p != NULL ? (uint16_t)(p[0] + 0x100u * p[1]) : 0;
}

/*@ requires cur_ready(c);
    assigns c->pos, c->err, \result \from *c, c->buf[0 .. c->len - 1];
    ensures cur_ready(c);
    behavior there:
      assumes cur_has(c, 4);
      ensures cur_moved{Pre,Post}(c, 4);
      ensures \let p = c->buf + \old(c->pos);
              \result == le32(p);
    behavior not_there:
      assumes !cur_has(c, 4);
      ensures \result == 0 && cur_failed{Pre,Post}(c, CUR_SHORT) && c->err != CUR_OK;
    complete behaviors;
    disjoint behaviors;
*/
static inline uint32_t cur_u32le(struct cur *c)
{
	const uint8_t *p = cur_take(c, 4);
	return p != NULL ? cur_le32(p) : 0;
}

/*@ requires cur_ready(c);
    assigns c->pos, c->err, \result \from *c, c->buf[0 .. c->len - 1];
    ensures cur_ready(c);
    behavior there:
      assumes cur_has(c, 8);
      ensures cur_moved{Pre,Post}(c, 8);
      ensures \let p = c->buf + \old(c->pos);
              \result == le32(p) + 0x100000000 * le32(p + 4);
    behavior not_there:
      assumes !cur_has(c, 8);
      ensures \result == 0 && cur_failed{Pre,Post}(c, CUR_SHORT) && c->err != CUR_OK;
    complete behaviors;
    disjoint behaviors;
*/
static inline uint64_t cur_u64le(struct cur *c)
{
	const uint8_t *p = cur_take(c, 8);
	return p != NULL ? cur_le32(p) + 0x100000000u * cur_le32(p + 4) : 0;
}

/* How many of the first `most` bytes say "more follows", up to the first that
 * does not. */
/*@ requires \valid_read(p + (0 .. most - 1));
    assigns \result \from p[0 .. most - 1], most;
    ensures \result <= most && more_bytes(p, \result);
    ensures \result < most ==> p[\result] < 128;
    ensures \forall integer k; 0 <= k < most && more_bytes(p, k) && p[k] < 128 ==> k == \result;
*/
static inline size_t cur_more(const uint8_t *p, size_t most)
{
	size_t n = 0;

	/*@ loop invariant n <= most && more_bytes(p, n);
	    loop assigns n;
	    loop variant most - n;
	*/
	while (n < most && p[n] >= 128)
		n++;
	return n;
}

/* The number in `n` groups of 7 bits, 1..9 of them: at most 63 bits. */
/*@ requires 1 <= n <= 9 && \valid_read(p + (0 .. n - 1));
    assigns \result \from p[0 .. n - 1], n;
    ensures \result == groups(p, n);
*/
static inline uint64_t cur_groups(const uint8_t *p, size_t n)
{
	uint64_t value = 0, weight = 1;

	/*@ loop invariant i <= n && weight == power128(i);
	    loop invariant value < weight;
	    loop invariant value == groups(p, i);
	    loop assigns i, value, weight;
	    loop variant n - i;
	*/
	for (size_t i = 0; i < n; i++) {
		/*@ assert 0 <= weight * (p[i] % 128) <= 127 * weight; */
		/*@ assert groups(p, i + 1) == groups(p, i) + group(p, i, i + 1); */
		value += weight * (p[i] % 128u);
		weight *= 128;
	}
	return value;
}

/* A number in base 128, least significant group first, bit 7 = more follows
 * (Postfix global/record.c, LEB128). `max_bytes` 1..9 is the longest form,
 * `max` the largest value. Errors in this order: CUR_SHORT (the window ends in
 * the number), CUR_LONG_FORM, CUR_TOO_BIG. 0 after a failure, which does not
 * move the cursor. */
/*@ requires cur_ready(c);
    assigns c->pos, c->err, \result \from *c, c->buf[0 .. c->len - 1], max_bytes, max;
    ensures cur_ready(c) && \result <= max;
    ensures \old(c->err) != CUR_OK ==> \result == 0 && cur_failed{Pre,Post}(c, CUR_SHORT);
    // A number of n + 1 bytes: the last one is the first without bit 7.
    ensures \let p = c->buf + \old(c->pos);
      \forall integer n; 0 <= n < max_bytes && n < 9 && \old(cur_has(c, n + 1)) &&
      more_bytes(p, n) && p[n] < 128 && groups(p, n + 1) <= max ==>
        \result == groups(p, n + 1) && cur_moved{Pre,Post}(c, n + 1);
    ensures \let p = c->buf + \old(c->pos);
      \forall integer n; 0 <= n < max_bytes && n < 9 && \old(cur_has(c, n + 1)) &&
      more_bytes(p, n) && p[n] < 128 && groups(p, n + 1) > max ==>
        \result == 0 && cur_failed{Pre,Post}(c, CUR_TOO_BIG);
    // The window ends in it.
    ensures \let p = c->buf + \old(c->pos); \let n = c->len - \old(c->pos);
      \old(c->err) == CUR_OK && n < max_bytes && n < 9 && more_bytes(p, n) ==>
        \result == 0 && cur_failed{Pre,Post}(c, CUR_SHORT);
    // It is longer than its form allows.
    ensures \let p = c->buf + \old(c->pos); \let n = \min(max_bytes, 9);
      \old(cur_has(c, n)) && more_bytes(p, n) ==>
        \result == 0 && cur_failed{Pre,Post}(c, CUR_LONG_FORM);
*/
static inline uint64_t cur_varint(struct cur *c, unsigned max_bytes, uint64_t max)
{
	const uint8_t *p = c->buf + c->pos;
	size_t left = c->len - c->pos, most = max_bytes < 9 ? max_bytes : 9, n;
	uint64_t value;

	if (c->err != CUR_OK)
		return 0;
	n = cur_more(p, most < left ? most : left);
	if (n == most || n == left) {
		c->err = n == most ? CUR_LONG_FORM : CUR_SHORT;
		return 0;
	}
	value = cur_groups(p, n + 1);
	if (value > max) {
		c->err = CUR_TOO_BIG;
		return 0;
	}
	c->pos += n + 1;
	return value;
}

/* How many of the bytes left come before the first `byte`; all of them when it
 * does not occur. Does not move. */
/*@ requires cur_valid(c);
    assigns \result \from *c, c->buf[0 .. c->len - 1], byte;
    ensures \result <= c->len;
    ensures \let left = c->err == CUR_OK ? c->len - c->pos : 0;
      \result <= left && (\result < left ==> c->buf[c->pos + \result] == byte);
    ensures \forall integer i; 0 <= i < \result ==> c->buf[c->pos + i] != byte;
*/
static inline size_t cur_find(const struct cur *c, uint8_t byte)
{
	size_t left = cur_left(c);
	const uint8_t *hit;

	if (left == 0)
		return 0;
	hit = memchr(c->buf + c->pos, byte, left);
	return hit != NULL ? (size_t)(hit - (c->buf + c->pos)) : left;
}

/* Are the bytes left in both the same? After a failure none is left. */
/*@ requires cur_valid(a);
    requires cur_valid(b);
    assigns \result \from *a, *b, a->buf[0 .. a->len - 1], b->buf[0 .. b->len - 1];
    ensures \let left = a->err == CUR_OK ? a->len - a->pos : 0;
      \result == \true <==> left == (b->err == CUR_OK ? b->len - b->pos : 0) &&
        \forall integer i; a->pos <= i < a->pos + left ==>
          a->buf[i] == b->buf[b->pos + (i - a->pos)];
*/
static inline bool cur_same(const struct cur *a, const struct cur *b)
{
	size_t left = cur_left(a), n = 0;

	if (left != cur_left(b))
		return false;
	/*@ loop invariant n <= left;
	    loop invariant \forall integer i; a->pos <= i < a->pos + n ==>
	      a->buf[i] == b->buf[b->pos + (i - a->pos)];
	    loop assigns n;
	    loop variant left - n;
	*/
	while (n < left && a->buf[a->pos + n] == b->buf[b->pos + n])
		n++;
	return n == left;
}

/* Copy the next `n` bytes to `to` and step over them; false, CUR_SHORT and `to`
 * as it was when they are not there. */
/*@ requires cur_ready(c);
    requires \valid(to + (0 .. n - 1)) && \separated(to + (0 .. n - 1), c);
    requires \separated(to + (0 .. n - 1), c->buf + (0 .. c->len - 1));
    assigns c->pos, c->err, \result \from *c, n;
    assigns to[0 .. n - 1] \from *c, n, c->buf[0 .. c->len - 1];
    ensures cur_ready(c);
    behavior there:
      assumes cur_has(c, n);
      ensures \result == \true && cur_moved{Pre,Post}(c, n);
      ensures \forall integer i; 0 <= i < n ==> to[i] == c->buf[\old(c->pos) + i];
    behavior not_there:
      assumes !cur_has(c, n);
      ensures \result == \false && cur_failed{Pre,Post}(c, CUR_SHORT) && c->err != CUR_OK;
      ensures \forall integer i; 0 <= i < n ==> to[i] == \old(to[i]);
    complete behaviors;
    disjoint behaviors;
*/
static inline bool cur_copy(struct cur *c, uint8_t *to, size_t n)
{
	const uint8_t *p = cur_take(c, n);

	if (c->err != CUR_OK)
		return false;
	if (n > 0)
		memcpy(to, p, n);
	return true;
}

/* isspace() of the C locale. */
/*@ assigns \result \from ch;
    ensures \result == \true <==> blank(ch);
*/
static inline bool cur_blank(uint8_t ch)
{
	return ch <= ' ' && (ch == ' ' || (ch >= '\t' && ch <= '\r'));
}

/* Step over blanks. After a failure: over none. */
/*@ requires cur_ready(c);
    assigns c->pos \from *c, c->buf[0 .. c->len - 1];
    ensures cur_ready(c) && \old(c->pos) <= c->pos;
    ensures c->err != CUR_OK ==> c->pos == \old(c->pos);
    ensures \forall integer i; \old(c->pos) <= i < c->pos ==> blank(c->buf[i]);
    ensures c->err == CUR_OK && c->pos < c->len ==> !blank(c->buf[c->pos]);
*/
static inline void cur_skip_blanks(struct cur *c)
{
	size_t pos = c->pos;

	if (c->err != CUR_OK)
		return;
	/*@ loop invariant c->pos <= pos <= c->len;
	    loop invariant \forall integer i; c->pos <= i < pos ==> blank(c->buf[i]);
	    loop assigns pos;
	    loop variant c->len - pos;
	*/
	while (pos < c->len && cur_blank(c->buf[pos]))
		pos++;
	c->pos = pos;
}

/* How many of the bytes left come before the first blank or `stop`; all of them
 * when there is neither. Does not move. */
/*@ requires cur_valid(c);
    assigns \result \from *c, c->buf[0 .. c->len - 1], stop;
    ensures \result <= c->len;
    ensures \let left = c->err == CUR_OK ? c->len - c->pos : 0;
      \result <= left && (\result < left ==>
        c->buf[c->pos + \result] == stop || blank(c->buf[c->pos + \result]));
    ensures \forall integer i; 0 <= i < \result ==>
      c->buf[c->pos + i] != stop && !blank(c->buf[c->pos + i]);
*/
static inline size_t cur_word(const struct cur *c, uint8_t stop)
{
	size_t left = cur_left(c), n = 0;

	/*@ loop invariant n <= left;
	    loop invariant \forall integer i; 0 <= i < n ==>
	      c->buf[c->pos + i] != stop && !blank(c->buf[c->pos + i]);
	    loop assigns n;
	    loop variant left - n;
	*/
	while (n < left && c->buf[c->pos + n] != stop && !cur_blank(c->buf[c->pos + n]))
		n++;
	return n;
}

/* Take the blanks off the end of what is left: the window becomes smaller. */
/*@ requires cur_ready(c);
    assigns c->len \from *c, c->buf[0 .. c->len - 1];
    ensures cur_ready(c) && c->len <= \old(c->len);
    ensures \forall integer i; c->len <= i < \old(c->len) ==> blank(c->buf[i]);
    ensures c->pos < c->len ==> !blank(c->buf[c->len - 1]);
*/
static inline void cur_trim(struct cur *c)
{
	size_t len = c->len;

	/*@ loop invariant c->pos <= len <= c->len;
	    loop invariant \forall integer i; len <= i < c->len ==> blank(c->buf[i]);
	    loop assigns len;
	    loop variant len;
	*/
	while (len > c->pos && cur_blank(c->buf[len - 1]))
		len--;
	c->len = len;
}

#endif
