/*
 * seen.c - open addressing over 64-bit words
 *
 * A word is 40 bits of the id's hash (its position comes from the uppermost of these, so the
 * table can grow without the ids) and 24 bits of the inode's; 0 = empty. The hash is keyed with
 * random bytes: whoever chooses names must not be able to choose collisions.
 */
#include "config.h"

#include "seen.h"

#include <glib.h>
#include <string.h>
#include <sys/random.h>

#define INO_BITS 24
#define INO_MASK ((UINT64_C(1) << INO_BITS) - 1)

struct seen {
	uint64_t *words;
	size_t used;
	unsigned bits; /* the table has 1 << bits words */
	uint64_t key[2];
};

/* The finalizer of MurmurHash3 (public domain): every input bit reaches every output bit. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
	x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return x ^ x >> 33;
}

static uint64_t word_of(const struct seen *seen, const char *id, size_t len, uint64_t ino)
{
	uint64_t h = seen->key[0] ^ len;
	uint64_t word;

	while (len > 0) {
		size_t n = len < 8 ? len : 8;
		uint64_t part = 0;

		memcpy(&part, id, n);
		h = mix(h ^ part) + seen->key[1];
		id += n;
		len -= n;
	}
	word = (mix(h) & ~INO_MASK) | (mix(ino ^ seen->key[1]) & INO_MASK);
	return word != 0 ? word : 1;
}

static size_t slot_of(const struct seen *seen, uint64_t word)
{
	return (size_t)(word >> (64 - seen->bits));
}

static void place(struct seen *seen, uint64_t word)
{
	size_t mask = ((size_t)1 << seen->bits) - 1;
	size_t i = slot_of(seen, word);

	while (seen->words[i] != 0)
		i = (i + 1) & mask;
	seen->words[i] = word;
	seen->used++;
}

static void grow(struct seen *seen)
{
	size_t old = (size_t)1 << seen->bits;
	uint64_t *words = seen->words;

	seen->bits++;
	seen->used = 0;
	seen->words = g_new0(uint64_t, old * 2);
	for (size_t i = 0; i < old; i++)
		if (words[i] != 0)
			place(seen, words[i]);
	g_free(words);
}

struct seen *seen_new(void)
{
	struct seen *seen = g_new0(struct seen, 1);

	seen->bits = 12;
	seen->words = g_new0(uint64_t, (size_t)1 << seen->bits);
	if (getrandom(seen->key, sizeof seen->key, GRND_NONBLOCK) != sizeof seen->key)
		seen->key[0] = (uint64_t)g_get_monotonic_time();
	return seen;
}

void seen_free(struct seen *seen)
{
	if (seen != NULL)
		g_free(seen->words);
	g_free(seen);
}

/* What is known of the id of `word`. */
static enum sight look(const struct seen *seen, uint64_t word)
{
	size_t mask = ((size_t)1 << seen->bits) - 1;
	enum sight sight = SEEN_NEW;

	for (size_t i = slot_of(seen, word); seen->words[i] != 0; i = (i + 1) & mask) {
		if (seen->words[i] == word)
			return SEEN_SAME;
		if ((seen->words[i] | INO_MASK) == (word | INO_MASK))
			sight = SEEN_OTHER;
	}
	return sight;
}

enum sight seen_add(struct seen *seen, const char *id, size_t len, uint64_t ino)
{
	uint64_t word = word_of(seen, id, len, ino);
	enum sight sight = look(seen, word);

	if (sight != SEEN_SAME) {
		if (seen->used >= (size_t)3 << (seen->bits - 2))
			grow(seen);
		place(seen, word);
	}
	return sight;
}

bool seen_id(const struct seen *seen, const char *id, size_t len)
{
	return look(seen, word_of(seen, id, len, 0)) != SEEN_NEW;
}
