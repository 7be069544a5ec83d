/*
 * string.h - what the proof of cursor.h assumes of libc
 *
 * memchr and memcpy, declared for bytes. Frama-C's own header describes memchr
 * on char, where a byte of 128 or more equals nothing: with it anything could be
 * proved.
 */
#ifndef PROVE_STRING_H
#define PROVE_STRING_H
#define __FC_STRING_H_ /* instead of Frama-C's own */

#include <__fc_string_axiomatic.h>
#include <stddef.h>
#include <stdint.h>

/*@ requires \valid_read(s + (0 .. n - 1)) && 0 <= byte <= 255;
    assigns \result \from s, byte, n, s[0 .. n - 1];
    ensures \result == \null ==> \forall integer i; 0 <= i < n ==> s[i] != byte;
    ensures \result != \null ==> \let i = \result - s;
      0 <= i < n && \result == s + i && s[i] == byte &&
      \forall integer k; 0 <= k < i ==> s[k] != byte;
*/
extern const uint8_t *memchr(const uint8_t *s, int byte, size_t n);

/*@ requires \valid_read(from + (0 .. n - 1)) && \valid(to + (0 .. n - 1));
    requires \separated(to + (0 .. n - 1), from + (0 .. n - 1));
    assigns to[0 .. n - 1] \from from[0 .. n - 1];
    assigns \result \from to;
    ensures \result == to;
    ensures \forall integer i; 0 <= i < n ==> to[i] == from[i];
*/
extern uint8_t *memcpy(uint8_t *to, const uint8_t *from, size_t n);

#endif
