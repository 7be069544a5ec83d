/*
 * learn_table.c - from references to the fields of an entry, its size, and all entries
 *
 * Of the shapes that many known values agree on, and of all distances between entries, those are right by which
 * most entries follow one upon the other: a wrong field or distance leaves the table after a step or two,
 * since ids are published and types have lengths.
 */
#include "config.h"

#include "learn.h"

#include "mailmsg.h"

#include <string.h>

#define SHAPES_TRIED 300u
#define SHAPES_SHARE 80u  /* percent of the votes of the best one: what is right explains nearly all values */
#define STUDIES_TRIED 24u
#define ENTRY_LARGEST 64  /* bytes from one entry to the next; LEARN_REACH to both sides */

/* The four fields, from the first byte of the first one. */
struct fields {
	struct layout_word id, offset, length;
	uint32_t adds, span;
	struct shape shape;
};

static struct fields fields_of(const struct shape *s)
{
	int first = MIN(0, MIN(s->length, s->id));
	struct fields f = { .adds = s->adds, .shape = *s };

	f.id = (struct layout_word){ (uint16_t)(s->id - first), s->id_width };
	f.offset = (struct layout_word){ (uint16_t)-first, s->offset_width };
	f.length = (struct layout_word){ (uint16_t)(s->length - first), s->length_width };
	f.span = (uint32_t)MAX(f.id.at + f.id.width, MAX(f.offset.at + f.offset.width, f.length.at + f.length.width));
	return f;
}

/* Can there be an entry at `at`: an id, a value inside of the stream, the length of its type? */
static bool read_entry(const struct sample *s, const struct fields *f, int64_t at, struct found *e)
{
	const struct mailmsg_property *p;
	uint32_t offset, length, fixed;

	if (!learn_number(s, at + f->id.at, f->id.width, &e->id) ||
	    !learn_number(s, at + f->offset.at, f->offset.width, &offset) ||
	    !learn_number(s, at + f->length.at, f->length.width, &length))
		return false;
	p = mailmsg_property(e->id);
	fixed = p != NULL ? mailmsg_type_length(p->type) : 0;
	if ((p == NULL && (e->id < MAILMSG_CUSTOM || e->id > 0xffff)) || (uint64_t)offset + f->adds + length > s->size ||
	    length == 0 || (fixed != 0 && length != fixed) || (p != NULL && p->type == MAILMSG_BOOL && length > 4))
		return false;
	e->at = (uint32_t)at;
	e->start = offset + f->adds;
	e->length = length;
	e->first = false;
	/* A value does not lie in its own entry. */
	return e->start + e->length <= e->at || e->start >= e->at + f->span;
}

/* --- Entry size ------------------------------------------------------------------- */

/* Places of entries that refer to a known value. */
static GArray *seeds_of(const struct study *study, const struct fields *f)
{
	GArray *seeds = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	for (guint k = 0; k < study->anchors->len; k++) {
		const struct anchor *a = &g_array_index(study->anchors, struct anchor, k);
		uint32_t length = a->length + (f->shape.counts_end ? a->wide ? 2u : 1u : 0u);

		for (uint32_t at = 0; at + f->span <= study->sample->size; at++) {
			struct found e;
			uint32_t offset;

			if (learn_number(study->sample, (int64_t)at + f->offset.at, f->offset.width, &offset) &&
			    offset + f->adds == a->at && read_entry(study->sample, f, at, &e) && e.length == length)
				g_array_append_val(seeds, at);
		}
	}
	return seeds;
}

static void mark(uint8_t *met, const struct study *study, const struct fields *f, int64_t at, int step, uint32_t *n)
{
	struct found e;

	for (; at >= 0 && at < study->sample->size && !met[at] && read_entry(study->sample, f, at, &e); at += step) {
		met[at] = 1;
		(*n)++;
	}
}

/* Entries that follow upon each other from the seeds on, to both sides. */
static uint32_t count_entries(const struct study *study, const struct fields *f, const GArray *seeds, int size)
{
	g_autofree uint8_t *met = g_malloc0(study->sample->size + 1);
	uint32_t n = 0;

	for (guint i = 0; i < seeds->len; i++) {
		int64_t at = g_array_index(seeds, uint32_t, i);

		if (met[at])
			continue;
		mark(met, study, f, at, size, &n);
		mark(met, study, f, at - size, -size, &n);
	}
	return n;
}

struct best {
	struct fields fields;
	uint32_t entries;
	int size;
};

static int width_of(const struct best *b)
{
	return b->fields.id.width + b->fields.offset.width + b->fields.length.width;
}

/* Among those with nearly as many entries as the best one: wider fields win, since the upper half of a number is a part of
 * it. A few entries more may be read out of other bytes. */
static const struct best *choose(const GArray *candidates, unsigned nearly)
{
	const struct best *chosen = NULL;
	uint32_t most = 0;

	for (guint i = 0; i < candidates->len; i++)
		most = MAX(most, g_array_index(candidates, struct best, i).entries);
	for (guint i = 0; i < candidates->len; i++) {
		const struct best *b = &g_array_index(candidates, struct best, i);

		if (b->entries < most - most * nearly / 100)
			continue;
		if (chosen == NULL || width_of(b) > width_of(chosen) ||
		    (width_of(b) == width_of(chosen) && b->entries > chosen->entries))
			chosen = b;
	}
	return chosen;
}

static void try_shape(struct study *const *studies, unsigned n, const struct shape *shape,
		      GArray *candidates)
{
	struct best this = { .fields = fields_of(shape) };
	GArray *seeds[STUDIES_TRIED];

	n = MIN(n, STUDIES_TRIED);
	for (unsigned i = 0; i < n; i++)
		seeds[i] = seeds_of(studies[i], &this.fields);
	for (this.size = (int)this.fields.span; this.size <= ENTRY_LARGEST; this.size++) {
		this.entries = 0;
		for (unsigned i = 0; i < n; i++)
			this.entries += count_entries(studies[i], &this.fields, seeds[i], this.size);
		g_array_append_val(candidates, this);
	}
	for (unsigned i = 0; i < n; i++)
		g_array_unref(seeds[i]);
}

bool learn_table(struct study *const *studies, unsigned n, const GArray *shapes, unsigned nearly, struct layout *l)
{
	GArray *candidates = g_array_new(FALSE, FALSE, sizeof(struct best));
	const struct best *best;
	bool enough;

	for (guint i = 0; i < shapes->len && i < SHAPES_TRIED; i++) {
		const struct shape *s = &g_array_index(shapes, struct shape, i);

		if (s->votes * 100 >= g_array_index(shapes, struct shape, 0).votes * SHAPES_SHARE)
			try_shape(studies, n, s, candidates);
	}
	/* Two entries in each message are the least that shows a distance. */
	best = choose(candidates, nearly);
	enough = best != NULL && best->entries >= 2 * MIN(n, STUDIES_TRIED);
	if (enough) {
		l->entry_size = (uint32_t)best->size;
		l->id = best->fields.id;
		l->offset = best->fields.offset;
		l->length = best->fields.length;
		l->offset_adds = best->fields.adds;
	}
	g_array_unref(candidates);
	return enough;
}

/* --- All entries ---------------------------------------------------------------------- */

static bool occupied(const uint8_t *met, uint32_t at, uint32_t n, uint32_t size)
{
	for (uint32_t i = at; i < at + n && i < size; i++)
		if (met[i])
			return true;
	return false;
}

/* The longest run that starts in a free place, of those that `can` begin an entry. */
static unsigned longest(const struct fields *f, uint32_t entry, const uint8_t *can, const uint8_t *met,
			uint32_t size, uint32_t *at_r)
{
	unsigned most = 0;

	for (uint32_t at = 0; at < size; at++) {
		unsigned n = 0;

		if (!can[at])
			continue;
		while (at + n * entry < size && can[at + n * entry] && !occupied(met, at + n * entry, f->span, size))
			n++;
		if (n > most) {
			most = n;
			*at_r = at;
		}
	}
	return most;
}

static gint by_place(gconstpointer a, gconstpointer b)
{
	const struct found *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

/* Longest runs first: what lies in the values of a run is no entry. A single one counts when its id is published
 * and nothing else has its value. */
void learn_entries(struct study *study, const struct layout *l)
{
	struct fields f = { .id = l->id, .offset = l->offset, .length = l->length, .adds = l->offset_adds };
	uint32_t size = study->sample->size, at = 0;
	g_autofree uint8_t *met = g_malloc0(size + 1), *can = g_malloc0(size + 1);
	struct found e;
	unsigned n;

	f.span = (uint32_t)MAX(f.id.at + f.id.width, MAX(f.offset.at + f.offset.width, f.length.at + f.length.width));
	g_array_set_size(study->entries, 0);
	for (uint32_t i = 0; i < size; i++)
		can[i] = read_entry(study->sample, &f, i, &e);
	while ((n = longest(&f, l->entry_size, can, met, size, &at)) > 0) {
		for (unsigned i = 0; i < n; i++) {
			bool fine = read_entry(study->sample, &f, at + i * l->entry_size, &e);

			memset(met + e.at, 1, MIN(i + 1 < n ? l->entry_size : f.span, size - e.at));
			if (!fine || occupied(met, e.start, e.length, size) || (n == 1 && mailmsg_property(e.id) == NULL))
				continue;
			memset(met + e.start, 1, e.length);
			e.first = i == 0;
			g_array_append_val(study->entries, e);
		}
	}
	g_array_sort(study->entries, by_place);
	study->messages = study->recipients = study->runs = study->end = 0;
	for (guint i = 0; i < study->entries->len; i++) {
		struct found *x = &g_array_index(study->entries, struct found, i);

		x->first = i == 0 || x[-1].at + l->entry_size != x->at;
		study->runs += x->first;
		study->messages += x->id < 0x2000 || x->id >= 0x3000;
		study->recipients += x->id == LEARN_ADDRESS;
		study->end = MAX(study->end, MAX(x->start + x->length, x->at + l->entry_size));
	}
}
