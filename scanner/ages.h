/*
 * ages.h - how old the mail of a queue is, in a handful of counters
 *
 * A reader and the coordinator count with the same classes; nothing grows with the spool.
 */
#ifndef AGES_H
#define AGES_H

#include <stdint.h>

#define AGES 8
#define AGE_SKEW 600 /* seconds by which two clocks may differ */

/* Class 0: dated in the future. Class n: younger than ages_below[n] seconds, and not in a class before; the last
 * one has no end. */
extern const int64_t ages_below[AGES];

/* The class of what arrived at `arrival`, both in seconds since 1970. */
unsigned ages_class(int64_t now, int64_t arrival);

/* Its name: "4 h to 1 d". */
const char *ages_name(unsigned class);

#endif
