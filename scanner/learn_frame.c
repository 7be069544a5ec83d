/*
 * learn_frame.c - header and fragments
 *
 * With all entries known, every number that has to be somewhere is known for each message: where the table begins, how
 * many entries it has, how long the stream is. learn_word.c finds where the header says so.
 */
#include "config.h"

#include "learn_word.h"

#include <stdlib.h>
#include <string.h>

#define ODD_ONES 20u     /* one message in so many may be damaged */
#define FRAGMENT_MOST 64u /* bytes of a fragment's header */

/* The first entry of the message's own; -1. */
static int first_entry(const struct study *s)
{
	for (guint i = 0; i < s->entries->len; i++)
		if (learn_of_message(learn_entry(s, i)))
			return (int)i;
	return -1;
}

/* Constant in all messages. */
static bool constant(struct study *const *studies, unsigned n, uint32_t at, uint32_t width)
{
	for (unsigned i = 0; i < n; i++)
		if (studies[i]->sample->size < at + width ||
		    memcmp(studies[i]->sample->stream + at, studies[0]->sample->stream + at, width) != 0)
			return false;
	return true;
}

/* --- Where the table is -------------------------------------------------------------- */

static gint by_number(gconstpointer a, gconstpointer b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The least of n numbers, some of which, at one end, are those of damaged or misread messages. */
static uint32_t least_of(uint32_t *numbers, unsigned n)
{
	qsort(numbers, n, sizeof *numbers, by_number);
	return n > 0 ? numbers[(n + ODD_ONES - 1) / ODD_ONES] : 0;
}

/* Bytes before anything else: as far as a header can reach. */
static uint32_t header_room(struct study *const *studies, unsigned n)
{
	g_autofree uint32_t *rooms = g_new(uint32_t, n + 1);

	rooms[n] = LAYOUT_HEADER_MAX;
	for (unsigned i = 0; i < n; i++) {
		rooms[i] = LAYOUT_HEADER_MAX;
		for (guint k = 0; k < studies[i]->entries->len; k++) {
			rooms[i] = MIN(rooms[i], learn_entry(studies[i], k)->at);
			rooms[i] = MIN(rooms[i], learn_entry(studies[i], k)->start);
		}
	}
	return least_of(rooms, n);
}

/* The table's location less what lies before its first entry. */
static bool find_table(struct study *const *studies, unsigned n, uint32_t room, struct layout *l, uint32_t *before_r)
{
	g_autofree struct expected *e = learn_header(studies, n);

	for (unsigned i = 0; i < n; i++) {
		int first = first_entry(studies[i]);

		e[i].value = first >= 0 ? learn_entry(studies[i], (guint)first)->at : LEARN_NOTHING;
	}
	*before_r = 0;
	l->table_at = learn_usual(e, n);
	if (l->table_at != LEARN_NOTHING)
		return true;
	return learn_word(e, n, room, FRAGMENT_MOST, &l->table, before_r);
}

/* --- Fragments ------------------------------------------------------------------------- */

/* First entries of runs of the message's own entries, each with the number of entries in the run. */
static GArray *runs_of(struct study *const *studies, unsigned n, bool counts, bool all)
{
	GArray *runs = g_array_new(FALSE, FALSE, sizeof(struct expected));

	for (unsigned i = 0; i < n; i++)
		for (guint k = 0; k < studies[i]->entries->len; k++) {
			const struct found *f = learn_entry(studies[i], k);
			struct expected e = { studies[i]->sample, f->at, 1 };

			if (!f->first || (!all && !learn_of_message(f)))
				continue;
			for (guint j = k + 1; j < studies[i]->entries->len && !learn_entry(studies[i], j)->first; j++)
				e.value++;
			if (!counts) { /* the next run, if there is one */
				guint j = k + e.value;

				e.value = j < studies[i]->entries->len && (all || learn_of_message(learn_entry(studies[i], j))) ?
						  learn_entry(studies[i], j)->at : LEARN_NOTHING;
			}
			g_array_append_val(runs, e);
		}
	return runs;
}

/* `before` bytes lie between a fragment's beginning and its first entry: where are they numbers of its own? */
static void move_back(GArray *runs, uint32_t before, bool places)
{
	for (guint i = 0; i < runs->len; i++) {
		struct expected *e = &g_array_index(runs, struct expected, i);

		e->value = e->base < before ? LEARN_NOTHING : places && e->value != LEARN_NOTHING ? e->value - before : e->value;
		e->base -= MIN(e->base, before);
	}
}

static bool find_next(struct study *const *studies, unsigned n, uint32_t before, struct layout *l)
{
	GArray *runs = runs_of(studies, n, false, false);
	bool found;
	uint32_t adds;

	move_back(runs, before, true);
	found = learn_word((struct expected *)(void *)runs->data, runs->len, before, 0, &l->next, &adds);
	g_array_unref(runs);
	return found;
}

static void find_used(struct study *const *studies, unsigned n, struct layout *l, bool all)
{
	GArray *runs = runs_of(studies, n, true, all);
	uint32_t adds;

	move_back(runs, l->fragment_header, false);
	learn_word((struct expected *)(void *)runs->data, runs->len, l->fragment_header, 0, &l->used, &adds);
	if (l->used.width > 0 && l->next.width > 0 && l->used.at < l->next.at + l->next.width &&
	    l->next.at < l->used.at + l->used.width)
		l->used.width = 0;
	g_array_unref(runs);
}

/* Runs that are not the last of their table are full. */
static void find_slots(struct study *const *studies, unsigned n, struct layout *l)
{
	GArray *counts = runs_of(studies, n, true, false), *nexts = runs_of(studies, n, false, false);
	uint32_t slots = 0, same = 0, all = 0;

	for (guint i = 0; i < counts->len; i++) {
		uint32_t count = g_array_index(counts, struct expected, i).value;

		if (g_array_index(nexts, struct expected, i).value == LEARN_NOTHING)
			continue;
		slots = MAX(slots, count);
	}
	for (guint i = 0; i < counts->len; i++)
		if (g_array_index(nexts, struct expected, i).value != LEARN_NOTHING) {
			all++;
			same += g_array_index(counts, struct expected, i).value == slots;
		}
	if (all > 0 && same * 100 >= all * LEARN_SHARE)
		l->slots_fixed = slots;
	g_array_unref(counts);
	g_array_unref(nexts);
}

/* A table that lies in pieces begins with a header; so does one whose location is told to be before its first
 * entry by more than entries have room for. */
static void find_fragments(struct study *const *studies, unsigned n, uint32_t before, struct layout *l)
{
	if (l->table.width > 0) {
		if (before > 0)
			find_next(studies, n, before, l);
	} else {
		for (before = FRAGMENT_MOST; before > 0 && !find_next(studies, n, before, l); before--)
			;
		if (before > l->table_at)
			before = 0;
	}
	l->fragment_header = before;
	if (before == 0)
		return;
	if (l->table.width == 0)
		l->table_at -= before;
	find_used(studies, n, l, true);
	if (l->used.width == 0)
		find_used(studies, n, l, false);
	if (l->next.width > 0)
		find_slots(studies, n, l);
}

/* --- The header ------------------------------------------------------------------------------ */

static void find_total(struct study *const *studies, unsigned n, uint32_t room, struct layout *l)
{
	g_autofree struct expected *e = learn_header(studies, n);

	for (unsigned i = 0; i < n; i++)
		e[i].value = studies[i]->sample->size;
	if (learn_word(e, n, room, LEARN_ADDS, &l->total_size, &l->total_adds))
		return;
	/* The block ends where its last value does, rounded up or not; the stream goes on. */
	for (uint32_t round = 1; round <= 16; round *= 2) {
		for (unsigned i = 0; i < n; i++)
			e[i].value = (studies[i]->end + round - 1) / round * round;
		if (learn_word(e, n, room, LEARN_ADDS, &l->total_size, &l->total_adds)) {
			l->slack = true;
			return;
		}
	}
	l->total_size.width = 0;
}

static void find_counts(struct study *const *studies, unsigned n, uint32_t room, struct layout *l)
{
	g_autofree struct expected *e = learn_header(studies, n);
	uint32_t adds;

	for (unsigned i = 0; i < n; i++)
		e[i].value = l->row_size > 0 ? studies[i]->messages : studies[i]->entries->len;
	if (!learn_word(e, n, room, 0, &l->count, &adds)) {
		for (unsigned i = 0; i < n; i++)
			e[i].value = studies[i]->messages;
		if (!learn_word(e, n, room, 0, &l->count, &adds))
			l->count.width = 0;
	}
	if (l->recipients.width > 0)
		return;
	for (unsigned i = 0; i < n; i++)
		e[i].value = studies[i]->recipients;
	if (!learn_word(e, n, room, 0, &l->recipients, &adds))
		l->recipients.width = 0;
}

static bool header_taken(const struct layout *l, uint32_t at, uint32_t width)
{
	const struct layout_word fields[] = { l->own_size, l->total_size, l->count, l->table, l->recipients, l->list };

	for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
		if (fields[i].width > 0 && at < (uint32_t)fields[i].at + fields[i].width && fields[i].at < at + width)
			return true;
	return false;
}

/* Numbers that are the same in all messages: a signature at the beginning, the header's own size, the table's fixed place. */
static void find_constants(struct study *const *studies, unsigned n, struct layout *l)
{
	const struct sample *s = studies[0]->sample;
	uint32_t zeros = 0;

	for (unsigned i = 0; i < 4 && i < s->size; i++)
		zeros += s->stream[i] == 0;
	if (l->header_size >= 4 && zeros == 0 && constant(studies, n, 0, 4) && !header_taken(l, 0, 4)) {
		memcpy(l->signature, s->stream, 4);
		l->signature_len = 4;
	}
	for (uint32_t at = l->signature_len; at < l->header_size; at += 2)
		for (unsigned width = 4; width >= 2; width /= 2) {
			uint32_t value;

			if (at + width > l->header_size || at % width != 0 || header_taken(l, at, width) ||
			    !constant(studies, n, at, width) || !learn_number(s, at, width, &value))
				continue;
			if (l->table.width == 0 && value == l->table_at && value > 0)
				l->table = (struct layout_word){ (uint16_t)at, (uint8_t)width };
			else if (l->own_size.width == 0 && value == l->header_size && value > 0)
				l->own_size = (struct layout_word){ (uint16_t)at, (uint8_t)width };
		}
}

/* Nothing lies before it: table, list, values. */
static void find_header_size(struct study *const *studies, unsigned n, uint32_t room, struct layout *l)
{
	l->header_size = room;
	for (unsigned i = 0; i < n; i++) {
		uint32_t at;

		if (l->table.width == 0)
			at = l->table_at;
		else if (!learn_number(studies[i]->sample, l->table.at, l->table.width, &at))
			continue;
		/* A message that was misread must not make the header smaller than its fields are. */
		if (at >= l->table.at + l->table.width)
			l->header_size = MIN(l->header_size, at);
		if (l->list.width > 0 && learn_number(studies[i]->sample, l->list.at, l->list.width, &at) &&
		    at >= l->list.at + l->list.width)
			l->header_size = MIN(l->header_size, at);
	}
}

/* Entries may begin before the first field that is known. */
static void move_entry(struct layout *l, uint32_t by)
{
	struct layout_word *fields[] = { &l->id, &l->offset, &l->length, &l->allocated, &l->type, &l->owner };

	for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
		fields[i]->at = (uint16_t)(fields[i]->at + (fields[i]->width > 0 ? by : 0));
}

/* By how much the last entry of a run reaches into the value that lies behind it, at most: entries begin earlier then. */
static uint32_t reaches_into(struct study *const *studies, unsigned n, const struct layout *l)
{
	g_autofree uint32_t *most = g_new0(uint32_t, n + 1);

	for (unsigned i = 0; i < n; i++)
		for (guint k = 0; k < studies[i]->entries->len; k++) {
			uint32_t end = learn_entry(studies[i], k)->at + l->entry_size;

			for (guint j = 0; j < studies[i]->entries->len; j++) {
				const struct found *e = learn_entry(studies[i], j);

				if (e->start > learn_entry(studies[i], k)->at && e->start < end)
					most[i] = MAX(most[i], end - e->start);
			}
		}
	for (unsigned i = 0; i < n; i++)
		most[i] = UINT32_MAX - most[i]; /* the largest is the least */
	return UINT32_MAX - least_of(most, n);
}

/* A table that always begins in the same place: how far before the first known field? A constant of the header may tell. */
static uint32_t entry_begins_before(struct study *const *studies, unsigned n, uint32_t room, const struct layout *l,
				    uint32_t spare)
{
	uint32_t least = reaches_into(studies, n, l), best = LEARN_NOTHING;

	for (uint32_t at = 0; at + 2 <= room; at += 2)
		for (unsigned width = 2; width <= 4; width += 2) {
			uint32_t value;

			if (at + width <= room && constant(studies, n, at, width) &&
			    learn_number(studies[0]->sample, at, width, &value) && value <= l->table_at &&
			    l->table_at - value <= spare && l->table_at - value >= least)
				best = MIN(best, l->table_at - value);
		}
	return best != LEARN_NOTHING ? best : MIN(least, spare);
}

/* Entries begin `by` bytes before the first known field. */
static void begin_before(struct study *const *studies, unsigned n, struct layout *l, uint32_t by)
{
	for (unsigned i = 0; i < n; i++)
		for (guint k = 0; k < studies[i]->entries->len; k++)
			learn_entry(studies[i], k)->at -= MIN(by, learn_entry(studies[i], k)->at);
	move_entry(l, by);
}

bool learn_frame(struct study *const *studies, unsigned n, struct layout *l)
{
	uint32_t room = header_room(studies, n), before, span, spare;
	struct layout next;

	if (!find_table(studies, n, room, l, &before))
		return false;
	span = (uint32_t)MAX(l->id.at + l->id.width, MAX(l->offset.at + l->offset.width, l->length.at + l->length.width));
	spare = l->entry_size - span;
	next = *l;
	/* Either entries begin earlier, or there is a small header: only that can name a next fragment. */
	if (l->table.width > 0 && before > 0 && before <= spare && !find_next(studies, n, before, &next)) {
		begin_before(studies, n, l, before);
		before = 0;
	} else if (l->table.width == 0) {
		uint32_t by = entry_begins_before(studies, n, room, l, spare);

		begin_before(studies, n, l, by);
		l->table_at -= by;
	}
	room = header_room(studies, n);
	find_fragments(studies, n, before, l);
	learn_list(studies, n, room, l);
	learn_fields(studies, n, l);
	learn_values(studies, n, l);
	find_total(studies, n, room, l);
	find_counts(studies, n, room, l);
	find_header_size(studies, n, room, l);
	find_constants(studies, n, l);
	if (l->table.width > 0)
		l->table_at = 0;
	return true;
}
