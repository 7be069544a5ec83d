/*
 * mask.h - bytes made nobody's, each by one
 *
 * Pure. Letters become 'a' or 'A', digits '1': hexadecimal numbers, quoted-printable and addresses
 * of hosts stay well-formed. UTF-8 stays UTF-8. Blanks, punctuation, controls and line ends stay, for
 * they are the structure; where a line has switched character sets by ESC they are text, too.
 */
#ifndef MASK_H
#define MASK_H

#include "format.h"

/* What is done with a byte; where several are said of one, the highest counts. */
enum mask {
	MASK_UNTOLD, /* nobody said: as text */
	MASK_KEEP,
	MASK_PERSONAL, /* + enum personal_kind: */
	MASK_LETTERS = MASK_PERSONAL + PERSONAL_LETTERS,
	MASK_TEXT = MASK_PERSONAL + PERSONAL_TEXT,
	MASK_OPAQUE = MASK_PERSONAL + PERSONAL_OPAQUE,
	MASK_END = MASK_PERSONAL + PERSONAL_KINDS
};

/* Behind an ESC in the line? Carried from one call to the next; false at the start of a part. */
struct mask_state {
	bool escaped;
};

/* Mask bytes[0..n) as how[0..n) (enum mask) says. */
void mask_bytes(struct mask_state *state, uint8_t *bytes, const uint8_t *how, size_t n);

/* Letters that tell `count` addresses apart: base 26. */
unsigned mask_digits(size_t count);

/* Write the rank of an address into its first `digits` bytes, so that the order of the ranks is
 * their byte order. Left alone: an address without a letter, or whose @ comes so early. */
void mask_rank(uint8_t *address, size_t len, size_t rank, unsigned digits);

#endif
