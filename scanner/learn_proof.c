/*
 * learn_proof.c - what a layout explains of messages that it was not learned from
 *
 * The messages are dealt into two halves. What is learned from one half is tried on the other one: each message
 * is judged by a layout that has not seen it, and each size in it is made wrong to see whether that is noticed. A
 * layout that says nothing would explain everything; it would refer to no known value and notice nothing.
 */
#include "config.h"

#include "learn.h"

#include <math.h>
#include <string.h>

#define CORRUPTED_MESSAGES 40u /* of a half: in so many sizes are made wrong */
#define CORRUPTED_ENTRIES 6u
#define WIDTH_COSTS 6u         /* percent of the entries: some are read out of other bytes */

double learn_bound(uint32_t good, uint32_t all)
{
	const double z = 1.96, n = all, p = all > 0 ? (double)good / all : 0;

	return all == 0 ? 0 : (p + z * z / (2 * n) - z * sqrt((p * (1 - p) + z * z / (4 * n)) / n)) / (1 + z * z / n);
}

bool learn_explains(const struct layout *l, const uint8_t *stream, uint32_t size)
{
	static struct layout_scratch scratch;
	static struct report report;
	struct layout_result result;

	report_reset(&report);
	layout_check(&scratch, l, stream, size, 0, &report, &result);
	for (unsigned i = 0; i < report.count; i++)
		if (report.findings[i].severity > SEV_NOTICE)
			return false;
	return result.entries > 0;
}

static uint32_t explained(struct study *const *studies, unsigned n, const struct layout *l)
{
	uint32_t good = 0;

	for (unsigned i = 0; i < n; i++)
		good += learn_explains(l, studies[i]->sample->stream, studies[i]->sample->size);
	return good;
}

/* --- Less may be more ----------------------------------------------------------------- */

/* Take statement `which` back; false: there are no more. */
static bool weaken(struct layout *l, unsigned which)
{
	struct layout_word *words[] = { &l->own_size, &l->total_size, &l->count, &l->used, &l->slots, &l->allocated,
					&l->type, &l->owner, &l->row_count };

	if (which < G_N_ELEMENTS(words)) {
		words[which]->width = 0;
		if (words[which] == &l->type)
			l->ntypes = 0;
		return true;
	}
	switch (which - G_N_ELEMENTS(words)) {
	case 0:
		l->end = l->end == LAYOUT_END_LAST ? LAYOUT_END_INSIDE : LAYOUT_END_ANY;
		return true;
	case 1:
		l->end = LAYOUT_END_ANY;
		return true;
	case 2:
		l->alignment = 1;
		return true;
	case 3:
		l->typed = false;
		return true;
	case 4:
		l->slots_fixed = 0;
		return true;
	case 5:
		l->shared = true;
		return true;
	case 6:
		l->signature_len = 0;
		return true;
	case 7:
		l->free_entries = true;
		return true;
	case 8:
		l->slack = true;
		return true;
	default:
		return false;
	}
}

/* A statement that many messages contradict is wrong. Single ones may be damaged. */
static void repair(struct study *const *studies, unsigned n, struct layout *l)
{
	uint32_t good = explained(studies, n, l), needed = MAX(2u, n / 25);

	for (bool again = true; again && good < n;) {
		struct layout best = *l;
		uint32_t most = good;

		for (unsigned which = 0;; which++) {
			struct layout less = *l;
			uint32_t now;

			if (!weaken(&less, which))
				break;
			now = layout_sound(&less) == NULL ? explained(studies, n, &less) : 0;
			if (now >= good + needed && now > most) {
				most = now;
				best = less;
			}
		}
		again = most > good;
		*l = best;
		good = most;
	}
}

/* --- Trying -------------------------------------------------------------------------------- */

/* How many anchors are exactly the value of an entry. */
static uint32_t referred(const struct study *study, const struct layout *l)
{
	static struct layout_walk walk;
	static struct layout_item item;
	g_autofree uint8_t *met = g_malloc0(study->anchors->len + 1);
	uint32_t n = 0;

	layout_begin(&walk, l, study->sample->stream, study->sample->size);
	for (layout_next(&walk, &item); item.kind != LAYOUT_DONE; layout_next(&walk, &item))
		for (guint i = 0; item.kind == LAYOUT_ENTRY && i < study->anchors->len; i++) {
			const struct anchor *a = &g_array_index(study->anchors, struct anchor, i);

			met[i] |= item.entry.offset + l->offset_adds == a->at && item.entry.length >= a->length &&
				  item.entry.length <= a->length + 2;
		}
	for (guint i = 0; i < study->anchors->len; i++)
		n += met[i];
	return n;
}

static void put(uint8_t *stream, uint32_t at, unsigned width, uint32_t value)
{
	for (unsigned i = 0; i < width; i++)
		stream[at + i] = (uint8_t)(value >> 8 * i);
}

/* Make one size much too large, negative, and such that a sum with it wraps around: is that noticed? */
static void corrupt(const struct sample *s, const struct layout *l, uint32_t base, struct layout_word word,
		    uint8_t *copy, struct learned *result)
{
	uint32_t value, top = word.width == 4 ? 0x80000000u : word.width == 2 ? 0x8000u : 0x80u;
	const uint32_t wrong[] = { 0, 0, 2 * top - 1 - 8 };

	if (word.width < 2 || !learn_number(s, (int64_t)base + word.at, word.width, &value))
		return;
	for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
		put(copy, base + word.at, word.width, i == 0 ? value + MIN(s->size, top - 1 - value) :
			i == 1 ? value | top : wrong[i]);
		result->corrupted++;
		result->detected += !learn_explains(l, copy, s->size);
	}
	put(copy, base + word.at, word.width, value);
}

static void corrupt_sizes(const struct sample *s, const struct layout *l, struct learned *result)
{
	static struct layout_walk walk;
	static struct layout_item item;
	g_autofree uint8_t *copy = g_memdup2(s->stream, s->size);
	const struct layout_word header[] = { l->own_size, l->total_size, l->count };
	unsigned entries = 0;

	for (unsigned i = 0; i < G_N_ELEMENTS(header); i++)
		corrupt(s, l, 0, header[i], copy, result);
	layout_begin(&walk, l, s->stream, s->size);
	for (layout_next(&walk, &item); item.kind != LAYOUT_DONE; layout_next(&walk, &item)) {
		if (item.kind == LAYOUT_FRAGMENT) {
			corrupt(s, l, item.at, l->used, copy, result);
			corrupt(s, l, item.at, l->slots, copy, result);
		} else if (item.kind == LAYOUT_ENTRY && entries++ < CORRUPTED_ENTRIES) {
			corrupt(s, l, item.at, l->length, copy, result);
			corrupt(s, l, item.at, l->allocated, copy, result);
		}
	}
}

void learn_try(struct study *const *studies, unsigned n, const struct layout *l, struct learned *result)
{
	unsigned corrupted = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct sample *s = studies[i]->sample;
		bool fine = learn_explains(l, s->stream, s->size);

		result->explained += fine;
		result->contradicting += !fine;
		if (!fine)
			continue;
		result->anchors += studies[i]->anchors->len;
		result->referred += referred(studies[i], l);
		if (corrupted++ < CORRUPTED_MESSAGES)
			corrupt_sizes(s, l, result);
	}
}

/* --- Learning -------------------------------------------------------------------------------- */

/* From the shapes on; *good_r = the messages that come out explained. */
static enum learn_end learn_with(struct study *const *studies, unsigned n, const GArray *shapes, unsigned nearly,
				 struct layout *l, uint32_t *good_r)
{
	*good_r = 0;
	memset(l, 0, sizeof *l);
	l->alignment = 1;
	if (shapes->len == 0 || !learn_table(studies, n, shapes, nearly, l))
		return LEARN_NO_TABLE;
	for (unsigned i = 0; i < n; i++)
		learn_entries(studies[i], l);
	if (!learn_frame(studies, n, l) || layout_sound(l) != NULL)
		return LEARN_NO_FRAME;
	repair(studies, n, l);
	*good_r = explained(studies, n, l);
	return LEARN_OK;
}

/* From these messages alone. Wide fields first; when that explains little, as narrow as most entries want them. */
static enum learn_end learn_from(struct study *const *studies, unsigned n, struct layout *l)
{
	GArray *shapes = learn_shapes(studies, n);
	uint32_t good, better;
	enum learn_end end = learn_with(studies, n, shapes, WIDTH_COSTS, l, &good);

	if (good * 100 < n * 96) {
		struct layout narrow;
		enum learn_end second = learn_with(studies, n, shapes, 0, &narrow, &better);

		if (better > good || end != LEARN_OK) {
			*l = narrow;
			end = second;
		}
	}
	g_array_unref(shapes);
	return end;
}

static struct study *study_new(const struct sample *s)
{
	struct study *study = g_new0(struct study, 1);

	study->sample = s;
	study->anchors = g_array_new(FALSE, FALSE, sizeof(struct anchor));
	study->entries = g_array_new(FALSE, FALSE, sizeof(struct found));
	learn_anchors(s, study->anchors);
	return study;
}

/* Learn from one half, try on the other, both ways. */
static enum learn_end crosswise(struct study **studies, unsigned n, struct learned *result)
{
	g_autofree struct study **even = g_new(struct study *, n), **odd = g_new(struct study *, n);
	struct study **const half[] = { even, odd };
	unsigned many[2] = { 0, 0 };

	for (unsigned i = 0; i < n; i++)
		half[i % 2][many[i % 2]++] = studies[i];
	for (unsigned from = 0; from < 2; from++) {
		struct layout l;
		enum learn_end end = learn_from(half[from], many[from], &l);

		if (end != LEARN_OK)
			return end;
		learn_try(half[1 - from], many[1 - from], &l, result);
	}
	return LEARN_OK;
}

struct learned learn(const struct sample *samples, unsigned n, struct layout *l)
{
	struct learned result = { .messages = n, .end = LEARN_FEW };
	struct study **studies;
	uint32_t anchors = 0;

	memset(l, 0, sizeof *l);
	if (n < LEARN_LEAST_MESSAGES)
		return result;
	studies = g_new(struct study *, n);
	for (unsigned i = 0; i < n; i++) {
		studies[i] = study_new(&samples[i]);
		anchors += studies[i]->anchors->len;
	}
	result.end = LEARN_NO_ANCHORS;
	if (anchors >= n)
		result.end = crosswise(studies, n, &result);
	if (result.end == LEARN_OK)
		result.end = learn_from(studies, n, l);
	if (result.end == LEARN_OK &&
	    (learn_bound(result.explained, n) < LEARN_LEAST_EXPLAINED ||
	     result.referred * 100 < result.anchors * LEARN_LEAST_ANCHORS ||
	     result.detected * 100 < result.corrupted * LEARN_LEAST_DETECTED || result.corrupted == 0))
		result.end = LEARN_UNSURE;
	for (unsigned i = 0; i < n; i++) {
		g_array_unref(studies[i]->anchors);
		g_array_unref(studies[i]->entries);
		g_free(studies[i]);
	}
	g_free(studies);
	return result;
}
