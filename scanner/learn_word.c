/*
 * learn_word.c - the place that holds a number which is expected
 *
 * A place that holds the number in nearly all messages, while the number changes from message to message, is its field.
 */
#include "config.h"

#include "learn_word.h"

#define TWO_VALUES 20u /* two values, less than LEARN_DIFFERENT, are enough when seen in so many places */

/* Does the number differ enough between the places to be told from a constant? */
static bool differs(const struct expected *e, unsigned n)
{
	GHashTable *values = g_hash_table_new(NULL, NULL);
	unsigned many, known = 0, least = 0;

	for (unsigned i = 0; i < n; i++)
		if (e[i].value != LEARN_NOTHING) {
			g_hash_table_add(values, GUINT_TO_POINTER(e[i].value));
			least += e[i].value != e[0].value;
			known++;
		}
	many = g_hash_table_size(values);
	g_hash_table_destroy(values);
	least = MIN(least, known - least);
	return many >= LEARN_DIFFERENT || (many == 2 && least >= LEARN_DIFFERENT && known >= TWO_VALUES);
}

/* In how many of the places does word + adds hold what is expected; 0 when not enough is known. */
static unsigned right(const struct expected *e, unsigned n, struct layout_word word, uint32_t adds)
{
	unsigned good = 0, known = 0;

	for (unsigned i = 0; i < n; i++) {
		uint32_t value;

		if (e[i].value == LEARN_NOTHING)
			continue;
		known++;
		good += learn_number(e[i].sample, (int64_t)e[i].base + word.at, word.width, &value) &&
			(uint64_t)value + adds == e[i].value;
	}
	return known > 0 && good * 100 >= known * LEARN_SHARE ? good : 0;
}

bool learn_word(const struct expected *e, unsigned n, uint32_t size, uint32_t most, struct layout_word *word_r,
		uint32_t *adds_r)
{
	unsigned best = 0;

	if (!differs(e, n))
		return false;
	for (uint32_t at = 0; at < size; at++)
		for (unsigned width = 4; width > 0; width /= 2) {
			struct layout_word word = { (uint16_t)at, (uint8_t)width };

			/* Any three messages: one of them was read rightly. */
			for (unsigned i = 0, tried = 0; i < n && tried < 3 && at + width <= size; i++) {
				uint32_t value;
				unsigned score;

				if (e[i].value == LEARN_NOTHING ||
				    !learn_number(e[i].sample, (int64_t)e[i].base + at, width, &value) ||
				    value > e[i].value || e[i].value - value > most)
					continue;
				tried++;
				score = right(e, n, word, e[i].value - value) * 8;
				score += score > 0 ? width + (at % width == 0) : 0;
				if (score > best) {
					best = score;
					*word_r = word;
					*adds_r = e[i].value - value;
				}
			}
		}
	return best > 0;
}

struct expected *learn_header(struct study *const *studies, unsigned n)
{
	struct expected *e = g_new0(struct expected, n);

	for (unsigned i = 0; i < n; i++)
		e[i] = (struct expected){ studies[i]->sample, 0, LEARN_NOTHING };
	return e;
}

uint32_t learn_usual(const struct expected *e, unsigned n)
{
	for (unsigned i = 0; i < n && i < LEARN_DIFFERENT; i++) {
		unsigned same = 0;

		for (unsigned k = 0; k < n; k++)
			same += e[k].value == e[i].value;
		if (same * 100 >= n * LEARN_SHARE)
			return e[i].value;
	}
	return LEARN_NOTHING;
}
