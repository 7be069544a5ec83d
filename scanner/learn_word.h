/*
 * learn_word.h - the place that holds a number which is expected
 */
#ifndef LEARN_WORD_H
#define LEARN_WORD_H

#include "learn.h"

#define LEARN_NOTHING UINT32_MAX /* a number that is not known of this message */

/* One number that is expected near each of some places. */
struct expected {
	const struct sample *sample;
	uint32_t base;           /* the word stands at base + its offset */
	uint32_t value;          /* ... or LEARN_NOTHING */
};

/* The beginning of each message, of which nothing is expected yet; n of them (g_free). */
struct expected *learn_header(struct study *const *studies, unsigned n);

/* The word within `size` bytes that, with a constant of at most `most` added, is what is expected in nearly all places. Words
 * that are wider, and aligned, win. False: there is none, or the number differs too little to be told from a constant. */
bool learn_word(const struct expected *e, unsigned n, uint32_t size, uint32_t most, struct layout_word *word_r,
		uint32_t *adds_r);

/* The value of nearly all places; LEARN_NOTHING when they differ. */
uint32_t learn_usual(const struct expected *e, unsigned n);

#endif
