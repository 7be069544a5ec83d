/*
 * mask.c - bytes made nobody's, each by one (see mask.h)
 */
#include "config.h"

#include "mask.h"

#include <string.h>

static bool is_letter(uint8_t b)
{
	return (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z');
}

/* Of UTF-8 a byte of the same kind, such that every sequence of them is a character. */
static uint8_t wide(uint8_t b)
{
	if (b < 0xc0)
		return 0xa9;
	if (b >= 0xc2 && b < 0xe0)
		return 0xc3;
	if (b >= 0xe0 && b < 0xf0)
		return 0xe3;
	return b >= 0xf0 && b < 0xf5 ? 0xf1 : 0xff;
}

static uint8_t masked(uint8_t b, bool digits, bool graphic)
{
	if (b >= 0x80)
		return wide(b);
	if (b >= 'A' && b <= 'Z')
		return 'A';
	if (is_letter(b) || (graphic && b > ' ' && b < 0x7f))
		return 'a';
	return digits && b >= '0' && b <= '9' ? '1' : b;
}

void mask_bytes(struct mask_state *state, uint8_t *bytes, const uint8_t *how, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t b = bytes[i];

		if (b == '\n' || how[i] == MASK_KEEP)
			state->escaped = false;
		else if (b == 0x1b)
			state->escaped = true;
		if (how[i] == MASK_OPAQUE)
			bytes[i] = 'a';
		else if (how[i] != MASK_KEEP)
			bytes[i] = masked(b, how[i] != MASK_LETTERS, state->escaped);
	}
}

unsigned mask_digits(size_t count)
{
	unsigned digits = 1;

	for (size_t room = 26; room < count && digits < 12; room *= 26)
		digits++;
	return digits;
}

void mask_rank(uint8_t *address, size_t len, size_t rank, unsigned digits)
{
	bool letter = false;

	for (size_t i = 0; i < len; i++)
		letter |= is_letter(address[i]) || address[i] >= 0x80;
	if (!letter || len < digits || memchr(address, '@', digits) != NULL)
		return;
	while (digits-- > 0) {
		address[digits] = (uint8_t)('a' + rank % 26);
		rank /= 26;
	}
}
