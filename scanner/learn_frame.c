/*
 * learn_frame.c - header, fragments, recipients, and what values have in common
 *
 * With all entries known, every number that has to be somewhere is known for each message: where the table begins, how
 * many entries it has, how long the stream is. A place in the header that holds the number in nearly all
 * messages, while the number changes from message to message, is its field.
 */
#include "config.h"

#include "learn.h"

#include "mailmsg.h"

#include <stdlib.h>
#include <string.h>

#define SHARE 85u        /* percent of the messages in which a field has to be right: some tables were misread */
#define DIFFERENT 3u     /* values that a number has to take before its place can be told from a constant's */
#define TWO_VALUES 20u   /* ... two are enough when seen in so many places */
#define ODD_ONES 20u     /* one message in so many may be damaged */
#define NOTHING UINT32_MAX /* a number that is not known of this message */
#define FRAGMENT_MOST 64u /* bytes of a fragment's header */
#define ENTRY_ROW_MOST 48u /* bytes of a recipient's row */

/* One number that is expected near each of some places. */
struct expected {
	const struct sample *sample;
	uint32_t base;           /* the word stands at base + its offset */
	uint32_t value;          /* ... or NOTHING */
};

static struct found *entry_of(const struct study *s, guint i)
{
	return &g_array_index(s->entries, struct found, i);
}

static bool of_message(const struct found *e)
{
	return e->id < 0x2000 || e->id >= 0x3000;
}

/* Does the number differ enough between the places to be told from a constant? */
static bool differs(const struct expected *e, unsigned n)
{
	GHashTable *values = g_hash_table_new(NULL, NULL);
	unsigned many, known = 0, least = 0;

	for (unsigned i = 0; i < n; i++)
		if (e[i].value != NOTHING) {
			g_hash_table_add(values, GUINT_TO_POINTER(e[i].value));
			least += e[i].value != e[0].value;
			known++;
		}
	many = g_hash_table_size(values);
	g_hash_table_destroy(values);
	least = MIN(least, known - least);
	return many >= DIFFERENT || (many == 2 && least >= DIFFERENT && known >= TWO_VALUES);
}

/* In how many of the places does word + adds hold what is expected; 0 when not enough is known. */
static unsigned right(const struct expected *e, unsigned n, struct layout_word word, uint32_t adds)
{
	unsigned good = 0, known = 0;

	for (unsigned i = 0; i < n; i++) {
		uint32_t value;

		if (e[i].value == NOTHING)
			continue;
		known++;
		good += learn_number(e[i].sample, (int64_t)e[i].base + word.at, word.width, &value) &&
			(uint64_t)value + adds == e[i].value;
	}
	return known > 0 && good * 100 >= known * SHARE ? good : 0;
}

/* The word within `size` bytes that, with a constant of at most `most` added, is what is expected. Words that are wider, and
 * aligned, win. */
static bool find_word(const struct expected *e, unsigned n, uint32_t size, uint32_t most, struct layout_word *word_r,
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

				if (e[i].value == NOTHING ||
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

static struct expected *header_of(struct study *const *studies, unsigned n)
{
	struct expected *e = g_new0(struct expected, n);

	for (unsigned i = 0; i < n; i++)
		e[i] = (struct expected){ studies[i]->sample, 0, NOTHING };
	return e;
}

/* The first entry of the message's own; -1. */
static int first_entry(const struct study *s)
{
	for (guint i = 0; i < s->entries->len; i++)
		if (of_message(entry_of(s, i)))
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
			rooms[i] = MIN(rooms[i], entry_of(studies[i], k)->at);
			rooms[i] = MIN(rooms[i], entry_of(studies[i], k)->start);
		}
	}
	return least_of(rooms, n);
}

/* The value of nearly all places; NOTHING when they differ. */
static uint32_t usual(const struct expected *e, unsigned n)
{
	for (unsigned i = 0; i < n && i < DIFFERENT; i++) {
		unsigned same = 0;

		for (unsigned k = 0; k < n; k++)
			same += e[k].value == e[i].value;
		if (same * 100 >= n * SHARE)
			return e[i].value;
	}
	return NOTHING;
}

/* The table's location less what lies before its first entry. */
static bool find_table(struct study *const *studies, unsigned n, uint32_t room, struct layout *l, uint32_t *before_r)
{
	g_autofree struct expected *e = header_of(studies, n);

	for (unsigned i = 0; i < n; i++) {
		int first = first_entry(studies[i]);

		e[i].value = first >= 0 ? entry_of(studies[i], (guint)first)->at : NOTHING;
	}
	*before_r = 0;
	l->table_at = usual(e, n);
	if (l->table_at != NOTHING)
		return true;
	return find_word(e, n, room, FRAGMENT_MOST, &l->table, before_r);
}

/* --- Fragments ------------------------------------------------------------------------- */

/* First entries of runs of the message's own entries, each with the number of entries in the run. */
static GArray *runs_of(struct study *const *studies, unsigned n, bool counts, bool all)
{
	GArray *runs = g_array_new(FALSE, FALSE, sizeof(struct expected));

	for (unsigned i = 0; i < n; i++)
		for (guint k = 0; k < studies[i]->entries->len; k++) {
			const struct found *f = entry_of(studies[i], k);
			struct expected e = { studies[i]->sample, f->at, 1 };

			if (!f->first || (!all && !of_message(f)))
				continue;
			for (guint j = k + 1; j < studies[i]->entries->len && !entry_of(studies[i], j)->first; j++)
				e.value++;
			if (!counts) { /* the next run, if there is one */
				guint j = k + e.value;

				e.value = j < studies[i]->entries->len && (all || of_message(entry_of(studies[i], j))) ?
						  entry_of(studies[i], j)->at : NOTHING;
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

		e->value = e->base < before ? NOTHING : places && e->value != NOTHING ? e->value - before : e->value;
		e->base -= MIN(e->base, before);
	}
}

static bool find_next(struct study *const *studies, unsigned n, uint32_t before, struct layout *l)
{
	GArray *runs = runs_of(studies, n, false, false);
	bool found;
	uint32_t adds;

	move_back(runs, before, true);
	found = find_word((struct expected *)(void *)runs->data, runs->len, before, 0, &l->next, &adds);
	g_array_unref(runs);
	return found;
}

static void find_used(struct study *const *studies, unsigned n, struct layout *l, bool all)
{
	GArray *runs = runs_of(studies, n, true, all);
	uint32_t adds;

	move_back(runs, l->fragment_header, false);
	find_word((struct expected *)(void *)runs->data, runs->len, l->fragment_header, 0, &l->used, &adds);
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

		if (g_array_index(nexts, struct expected, i).value == NOTHING)
			continue;
		slots = MAX(slots, count);
	}
	for (guint i = 0; i < counts->len; i++)
		if (g_array_index(nexts, struct expected, i).value != NOTHING) {
			all++;
			same += g_array_index(counts, struct expected, i).value == slots;
		}
	if (all > 0 && same * 100 >= all * SHARE)
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

/* --- Recipients ------------------------------------------------------------------------- */

/* Entries of recipients: where the n-th one begins. */
static int recipient_entry(const struct study *s, unsigned after)
{
	for (guint i = after; i < s->entries->len; i++)
		if (!of_message(entry_of(s, i)))
			return (int)i;
	return -1;
}

/* Is there a row for each recipient at `at`, every `size` bytes: each one's value + before the place of an entry, in
 * order, with one address each? */
static bool rows_at(const struct study *s, uint32_t at, uint32_t size, uint32_t before)
{
	int k = recipient_entry(s, 0);

	for (unsigned r = 0; r < s->recipients; r++) {
		unsigned addresses = 0;
		uint32_t place;

		if (k < 0 || !learn_number(s->sample, (int64_t)at + r * size, 4, &place) ||
		    place + before != entry_of(s, (guint)k)->at)
			return false;
		/* On to the entry that the next row names. */
		if (r + 1 < s->recipients &&
		    !learn_number(s->sample, (int64_t)at + (r + 1) * size, 4, &place))
			return false;
		for (; k >= 0 && (r + 1 == s->recipients || entry_of(s, (guint)k)->at != place + before);
		     k = recipient_entry(s, (guint)k + 1))
			addresses += entry_of(s, (guint)k)->id == 0x2009;
		if (addresses != 1)
			return false;
	}
	return s->recipients > 0;
}

/* Size of a row: the one that most messages of several recipients have rows of. */
static uint32_t row_size(struct study *const *studies, unsigned n, uint32_t before)
{
	unsigned votes[ENTRY_ROW_MOST + 1] = { 0 }, several = 0, best = 0;

	for (unsigned i = 0; i < n; i++) {
		if (studies[i]->recipients < 2)
			continue;
		several++;
		for (uint32_t size = 4; size <= ENTRY_ROW_MOST; size++) {
			bool found = false;

			for (uint32_t at = 0; at + 4 <= studies[i]->sample->size && !found; at++)
				found = rows_at(studies[i], at, size, before);
			votes[size] += found;
		}
	}
	for (uint32_t size = 4; size <= ENTRY_ROW_MOST; size++)
		if (votes[size] > votes[best])
			best = size;
	return several >= DIFFERENT && votes[best] * 100 >= several * SHARE ? best : 0;
}

/* The rows, the header's field for them, and what else a row holds. */
static bool find_list(struct study *const *studies, unsigned n, uint32_t room, struct layout *l)
{
	uint32_t before = l->fragment_header, size = row_size(studies, n, before), adds = 0;
	g_autofree struct expected *e = header_of(studies, n), *many = header_of(studies, n);
	GArray *rows = g_array_new(FALSE, FALSE, sizeof(struct expected));
	bool found;

	if (size == 0) {
		g_array_unref(rows);
		return false;
	}
	for (unsigned i = 0; i < n; i++) {
		const struct study *s = studies[i];

		if (s->recipients < 2)
			continue;
		for (uint32_t at = 0; at + 4 <= s->sample->size && e[i].value == NOTHING; at++)
			if (rows_at(s, at, size, before))
				e[i].value = at;
		for (unsigned r = 0; r < s->recipients && e[i].value != NOTHING; r++) {
			struct expected row = { s->sample, e[i].value + r * size, 0 };
			uint32_t place, next;

			learn_number(s->sample, row.base, 4, &place);
			if (!learn_number(s->sample, (int64_t)row.base + size, 4, &next) || r + 1 == s->recipients)
				next = NOTHING;
			for (int k = recipient_entry(s, 0); k >= 0; k = recipient_entry(s, (guint)k + 1))
				row.value += entry_of(s, (guint)k)->at >= place + before &&
					     entry_of(s, (guint)k)->at < (next == NOTHING ? NOTHING : next + before);
			g_array_append_val(rows, row);
		}
	}
	for (unsigned i = 0; i < n; i++)
		many[i].value = studies[i]->recipients;
	/* A row may begin before its table field. */
	found = find_word(e, n, room, size - 4, &l->list, &adds) &&
		find_word(many, n, room, 0, &l->recipients, &(uint32_t){ 0 });
	if (found) {
		l->row_size = size;
		l->row_table = (struct layout_word){ (uint16_t)adds, 4 };
		for (guint i = 0; i < rows->len; i++)
			g_array_index(rows, struct expected, i).base -= adds;
		find_word((struct expected *)(void *)rows->data, rows->len, size, 0, &l->row_count, &adds);
		if (l->row_count.width > 0 && l->row_count.at < l->row_table.at + 4u &&
		    l->row_table.at < l->row_count.at + l->row_count.width)
			l->row_count.width = 0;
	} else {
		l->list.width = l->recipients.width = 0;
	}
	g_array_unref(rows);
	return found;
}

/* Is this word the recipient's index: one address for each from 0 on, and "none" for the message? */
static bool is_owner(struct study *const *studies, unsigned n, struct layout_word word)
{
	unsigned several = 0, good = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct study *s = studies[i];
		uint32_t expect = 0, owner;
		bool fine = true;

		if (s->recipients < 2)
			continue;
		for (guint k = 0; k < s->entries->len && fine; k++) {
			const struct found *e = entry_of(s, k);

			fine = learn_number(s->sample, (int64_t)e->at + word.at, word.width, &owner);
			if (of_message(e))
				fine = fine && layout_none(word, owner);
			else
				fine = fine && owner < s->recipients;
			if (e->id == 0x2009)
				fine = fine && owner == expect++;
		}
		several++;
		good += fine;
	}
	return several >= DIFFERENT && good * 100 >= several * SHARE;
}

/* --- Other fields of an entry ------------------------------------------------------------ */

static bool taken(const struct layout *l, struct layout_word word)
{
	const struct layout_word fields[] = { l->id, l->offset, l->length, l->allocated, l->owner, l->type };

	for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
		if (fields[i].width > 0 && word.at < fields[i].at + fields[i].width &&
		    fields[i].at < word.at + word.width)
			return true;
	return false;
}

/* Room for the value: never less than its length, never into what follows, and not always the same. */
static bool is_allocated(struct study *const *studies, unsigned n, struct layout_word word)
{
	GHashTable *values = g_hash_table_new(NULL, NULL);
	unsigned all = 0, good = 0;
	bool fine;

	for (unsigned i = 0; i < n; i++)
		for (guint k = 0; k < studies[i]->entries->len; k++) {
			const struct found *e = entry_of(studies[i], k);
			uint32_t value = 0;

			all++;
			good += learn_number(studies[i]->sample, (int64_t)e->at + word.at, word.width, &value) &&
				value >= e->length && value < e->length + 64 &&
				(uint64_t)e->start + value <= studies[i]->sample->size;
			g_hash_table_add(values, GUINT_TO_POINTER(value));
		}
	fine = all > 0 && good * 100 >= all * 98 && g_hash_table_size(values) >= DIFFERENT;
	g_hash_table_destroy(values);
	return fine;
}

/* Two published types that one code may stand for. */
static bool agree(unsigned a, unsigned b)
{
	bool a_string = a == MAILMSG_ANSI || a == MAILMSG_STRING, b_string = b == MAILMSG_ANSI || b == MAILMSG_STRING;

	return a == b || (a_string && b_string) || (a == MAILMSG_UNICODE && b == MAILMSG_STRING) ||
	       (b == MAILMSG_UNICODE && a == MAILMSG_STRING) || (a == MAILMSG_DWORD && b == MAILMSG_BOOL) ||
	       (a == MAILMSG_BOOL && b == MAILMSG_DWORD);
}

/* A code for the type: the same wherever the id is the same, and for types that agree only. */
static bool is_type(struct study *const *studies, unsigned n, struct layout_word word, struct layout *l)
{
	GHashTable *of_id = g_hash_table_new(NULL, NULL);
	bool fine = true;

	l->ntypes = 0;
	for (unsigned i = 0; i < n && fine; i++)
		for (guint k = 0; k < studies[i]->entries->len && fine; k++) {
			const struct found *e = entry_of(studies[i], k);
			const struct mailmsg_property *p = mailmsg_property(e->id);
			uint32_t code = 0;
			unsigned t = 0;

			learn_number(studies[i]->sample, (int64_t)e->at + word.at, word.width, &code);
			if (g_hash_table_contains(of_id, GUINT_TO_POINTER(e->id)))
				fine = GPOINTER_TO_UINT(g_hash_table_lookup(of_id, GUINT_TO_POINTER(e->id))) == code;
			g_hash_table_insert(of_id, GUINT_TO_POINTER(e->id), GUINT_TO_POINTER(code));
			if (p == NULL || p->type == MAILMSG_UNKNOWN)
				continue;
			while (t < l->ntypes && l->types[t].code != code)
				t++;
			if (t == LAYOUT_TYPES_MAX)
				fine = false;
			else if (t == l->ntypes)
				l->types[l->ntypes++] = (struct layout_type){ code, p->type };
			else
				fine = fine && agree(l->types[t].type, p->type);
			/* The wider meaning, so that each of its ids suits it. */
			if (fine && (p->type == MAILMSG_STRING || p->type == MAILMSG_DWORD))
				l->types[t].type = p->type;
		}
	g_hash_table_destroy(of_id);
	fine = fine && l->ntypes >= 2 && l->ntypes <= LAYOUT_TYPES_MAX;
	if (!fine)
		l->ntypes = 0;
	return fine;
}

static void find_fields(struct study *const *studies, unsigned n, struct layout *l)
{
	for (unsigned width = 4; width > 0; width /= 2)
		for (uint32_t at = 0; at + width <= l->entry_size; at++) {
			struct layout_word word = { (uint16_t)at, (uint8_t)width };

			if (taken(l, word))
				continue;
			if (l->allocated.width == 0 && width > 1 && is_allocated(studies, n, word))
				l->allocated = word;
			else if (l->row_size == 0 && l->owner.width == 0 && is_owner(studies, n, word))
				l->owner = word;
			else if (l->type.width == 0 && is_type(studies, n, word, l))
				l->type = word;
		}
}

/* --- Values ------------------------------------------------------------------------------- */

/* Zero bytes within the value's first length - 1 bytes: it may be UTF-16. */
static void see_end(const struct study *s, const struct found *e, unsigned *inside, unsigned *last)
{
	const uint8_t *p = s->sample->stream + e->start, *zero = memchr(p, 0, e->length);
	bool wide = e->length >= 4 && p[1] == 0 && p[3] == 0;
	bool wide_end = wide && p[e->length - 1] == 0 && p[e->length - 2] == 0;

	*inside += zero != NULL && (!wide || wide_end);
	*last += wide ? wide_end : zero == p + e->length - 1;
}

static void find_values(struct study *const *studies, unsigned n, struct layout *l)
{
	unsigned strings = 0, inside = 0, last = 0;
	uint32_t bits = 0;

	for (unsigned i = 0; i < n; i++)
		for (guint k = 0; k < studies[i]->entries->len; k++) {
			const struct found *e = entry_of(studies[i], k);
			const struct mailmsg_property *p = mailmsg_property(e->id);

			bits |= e->start;
			if (p == NULL || (p->type != MAILMSG_ANSI && p->type != MAILMSG_STRING && p->type != MAILMSG_UNICODE))
				continue;
			strings++;
			see_end(studies[i], e, &inside, &last);
		}
	l->alignment = bits % 16 == 0 ? 16 : bits % 8 == 0 ? 8 : bits % 4 == 0 ? 4 : bits % 2 == 0 ? 2 : 1;
	l->end = strings == 0 ? LAYOUT_END_ANY : last * 100 >= strings * 98 ? LAYOUT_END_LAST :
		 inside * 100 >= strings * 98 ? LAYOUT_END_INSIDE : LAYOUT_END_ANY;
	l->typed = true;
}

/* --- The header ------------------------------------------------------------------------------ */

static void find_total(struct study *const *studies, unsigned n, uint32_t room, struct layout *l)
{
	g_autofree struct expected *e = header_of(studies, n);

	for (unsigned i = 0; i < n; i++)
		e[i].value = studies[i]->sample->size;
	if (find_word(e, n, room, LEARN_ADDS, &l->total_size, &l->total_adds))
		return;
	/* The block ends where its last value does, rounded up or not; the stream goes on. */
	for (uint32_t round = 1; round <= 16; round *= 2) {
		for (unsigned i = 0; i < n; i++)
			e[i].value = (studies[i]->end + round - 1) / round * round;
		if (find_word(e, n, room, LEARN_ADDS, &l->total_size, &l->total_adds)) {
			l->slack = true;
			return;
		}
	}
	l->total_size.width = 0;
}

static void find_counts(struct study *const *studies, unsigned n, uint32_t room, struct layout *l)
{
	g_autofree struct expected *e = header_of(studies, n);
	uint32_t adds;

	for (unsigned i = 0; i < n; i++)
		e[i].value = l->row_size > 0 ? studies[i]->messages : studies[i]->entries->len;
	if (!find_word(e, n, room, 0, &l->count, &adds)) {
		for (unsigned i = 0; i < n; i++)
			e[i].value = studies[i]->messages;
		if (!find_word(e, n, room, 0, &l->count, &adds))
			l->count.width = 0;
	}
	if (l->recipients.width > 0)
		return;
	for (unsigned i = 0; i < n; i++)
		e[i].value = studies[i]->recipients;
	if (!find_word(e, n, room, 0, &l->recipients, &adds))
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
			uint32_t end = entry_of(studies[i], k)->at + l->entry_size;

			for (guint j = 0; j < studies[i]->entries->len; j++) {
				const struct found *e = entry_of(studies[i], j);

				if (e->start > entry_of(studies[i], k)->at && e->start < end)
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
	uint32_t least = reaches_into(studies, n, l), best = NOTHING;

	for (uint32_t at = 0; at + 2 <= room; at += 2)
		for (unsigned width = 2; width <= 4; width += 2) {
			uint32_t value;

			if (at + width <= room && constant(studies, n, at, width) &&
			    learn_number(studies[0]->sample, at, width, &value) && value <= l->table_at &&
			    l->table_at - value <= spare && l->table_at - value >= least)
				best = MIN(best, l->table_at - value);
		}
	return best != NOTHING ? best : MIN(least, spare);
}

/* Entries begin `by` bytes before the first known field. */
static void begin_before(struct study *const *studies, unsigned n, struct layout *l, uint32_t by)
{
	for (unsigned i = 0; i < n; i++)
		for (guint k = 0; k < studies[i]->entries->len; k++)
			entry_of(studies[i], k)->at -= MIN(by, entry_of(studies[i], k)->at);
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
	find_list(studies, n, room, l);
	find_fields(studies, n, l);
	find_values(studies, n, l);
	find_total(studies, n, room, l);
	find_counts(studies, n, room, l);
	find_header_size(studies, n, room, l);
	find_constants(studies, n, l);
	if (l->table.width > 0)
		l->table_at = 0;
	return true;
}
