/*
 * layout_walk.c - from one table, fragment and entry of a property block to the next
 *
 * Follows only what lies inside of the stream, tells what does not as a problem, and goes on behind it
 * as far as the block can still be trusted. Tables cannot overlap, so there are never more entries than
 * the stream has room for: that is the budget which ends a chain that runs in circles.
 */
#include "layout.h"

enum stage { STAGE_HEADER, STAGE_TABLE, STAGE_LIST, STAGE_ROWS, STAGE_DONE };

#define UNTOLD UINT32_MAX /* slots that nothing tells */

void layout_begin(struct layout_walk *w, const struct layout *l, const uint8_t *bytes, uint32_t size)
{
	*w = (struct layout_walk){ .layout = l, .size = size, .stage = STAGE_HEADER };
	w->block = cur_make(bytes, size, 0);
	w->budget = l->entry_size > 0 ? size / l->entry_size : 0;
	w->fragment_budget = (uint64_t)size + 1;
}

bool layout_number(const struct layout_walk *w, uint64_t base, struct layout_word word, uint32_t *value_r)
{
	struct cur c = w->block;

	*value_r = 0;
	if (word.width == 0 || base > w->size || !cur_seek(&c, (size_t)base) || !cur_skip(&c, word.at))
		return false;
	*value_r = word.width == 4 ? cur_u32le(&c) : word.width == 2 ? cur_u16le(&c) : cur_u8(&c);
	return c.err == CUR_OK;
}

/* --- Problems ------------------------------------------------------------------- */

/* Told after the item in work; those that find no room are the later ones of one item. */
static void problem(struct layout_walk *w, uint64_t at, struct layout_word word,
		    const struct layout_problem *p)
{
	struct layout_item *item;

	if (w->pending >= LAYOUT_PENDING)
		return;
	item = &w->problems[w->pending++];
	*item = (struct layout_item){ .kind = LAYOUT_PROBLEM, .owner = w->owner, .problem = *p };
	if (at + word.at <= w->size && word.width <= w->size - (at + word.at)) {
		item->at = (uint32_t)(at + word.at);
		item->length = word.width;
	}
}

static bool tell_problem(struct layout_walk *w, struct layout_item *item)
{
	if (w->told >= w->pending || w->told >= LAYOUT_PENDING) {
		w->told = w->pending = 0;
		return false;
	}
	*item = w->problems[w->told++];
	return true;
}

/* --- Fragments ---------------------------------------------------------------------- */

/* Is there room for a fragment with no entry at `at`, behind the header? */
static bool fits(const struct layout_walk *w, uint32_t at)
{
	const struct layout *l = w->layout;

	return at >= l->header_size && at <= w->size && w->size - at >= l->fragment_header;
}

/* Nothing tells how many entries there are: one without an id ends them. More than the budget are not told. */
static uint32_t entries_until_end(const struct layout_walk *w, uint32_t at, uint32_t room)
{
	const struct layout *l = w->layout;
	uint32_t n = 0, id;

	while (n < room && n <= w->budget &&
	       layout_number(w, (uint64_t)at + l->fragment_header + (uint64_t)n * l->entry_size, l->id, &id) && id != 0)
		n++;
	return n;
}

/* How many entries of the fragment at `at` are in use, as far as there is room for them. */
static uint32_t entries_of(struct layout_walk *w, uint32_t at, uint32_t room, uint32_t slots)
{
	const struct layout *l = w->layout;
	uint32_t used;

	if (layout_number(w, at, l->used, &used)) {
		if (used > slots && slots <= room)
			problem(w, at, l->used, &(struct layout_problem){ F_IIS_PROPERTY_SIZE,
				"entries in use", "at most as many as there is room for", used });
	} else if (w->counted) {
		used = w->expected > w->seen ? w->expected - w->seen : 0;
		if (used > slots)
			used = slots;
	} else {
		used = slots == UNTOLD ? entries_until_end(w, at, room) : slots;
	}
	if (used > room && slots > room && l->used.width > 0)
		problem(w, at, l->used, &(struct layout_problem){ F_IIS_PROPERTY_SIZE,
			"entries in use", "entries that end before the stream does", used });
	return used < room ? used : room;
}

/* The room that a fragment says it has, and that there is. */
static uint32_t slots_of(struct layout_walk *w, uint32_t at, uint32_t room)
{
	const struct layout *l = w->layout;
	uint32_t slots;

	if (layout_number(w, at, l->slots, &slots)) {
		if (slots > room)
			problem(w, at, l->slots, &(struct layout_problem){ F_IIS_PROPERTY_SIZE,
				"room for entries", "a table that ends before the stream does", slots });
		return slots;
	}
	return l->slots_fixed > 0 ? l->slots_fixed : UNTOLD;
}

/* Where the chain goes on; a link that leads nowhere is a problem. */
static void follow(struct layout_walk *w, uint32_t at)
{
	const struct layout *l = w->layout;

	w->has_next = layout_number(w, at, l->next, &w->next) && !layout_none(l->next, w->next);
	if (!w->has_next)
		return;
	if (!fits(w, w->next))
		problem(w, at, l->next, &(struct layout_problem){ F_IIS_PROPERTY_FRAGMENT,
			"next fragment", "a place between header and end of the stream", w->next });
	else if (w->next == at)
		problem(w, at, l->next, &(struct layout_problem){ F_IIS_PROPERTY_FRAGMENT,
			"next fragment", "another fragment than this one", w->next });
	else if (w->next < at && !l->backward)
		problem(w, at, l->next, &(struct layout_problem){ F_IIS_PROPERTY_FRAGMENT,
			"next fragment", "a place further on: the chain runs backwards", w->next });
	else
		return;
	w->has_next = false;
	w->counted = false; /* what is missing is a consequence */
}

/* Begin with the fragment at `at`, for which fits() holds, and tell it. */
static void begin_fragment(struct layout_walk *w, uint32_t at, struct layout_item *item)
{
	const struct layout *l = w->layout;
	uint32_t room = (w->size - at - l->fragment_header) / l->entry_size;
	uint32_t slots = slots_of(w, at, room), shown;

	w->left = entries_of(w, at, room, slots);
	w->at = at + l->fragment_header;
	w->number = w->seen;
	follow(w, at);
	w->fragment_budget -= w->fragment_budget > 0 ? 1 : 0;
	shown = slots == UNTOLD || slots < w->left ? w->left : slots < room ? slots : room;
	*item = (struct layout_item){ .kind = LAYOUT_FRAGMENT, .at = at, .owner = w->owner,
		.length = l->fragment_header + shown * l->entry_size, .number = w->fragments++,
		.entries = w->left, .next = w->next, .last = !w->has_next };
}

/* --- Tables ------------------------------------------------------------------------ */

/* Begin with a table whose first fragment is at `at`, as the word of what begins at `base` says. Its
 * number of entries is the word `count` there, if anything tells it. */
static bool begin_table(struct layout_walk *w, uint32_t at, uint64_t base, struct layout_word said,
			struct layout_word count, struct layout_item *item)
{
	w->counted = layout_number(w, base, count, &w->expected);
	w->seen = w->fragments = 0;
	w->in_table = fits(w, at);
	if (w->in_table)
		begin_fragment(w, at, item);
	else
		problem(w, base, said, &(struct layout_problem){ F_IIS_PROPERTY_OFFSET, "location of the table",
			"a place between header and end of the stream", at });
	return w->in_table;
}

/* The table has come to its end: does its count agree? */
static void end_table(struct layout_walk *w, uint64_t base, struct layout_word said)
{
	w->in_table = false;
	if (w->counted && w->seen != w->expected)
		problem(w, base, said, &(struct layout_problem){ F_IIS_PROPERTY_SIZE, "number of entries",
			w->expected > w->seen ? "no more entries than the table has room for" :
						"as many entries as the fragments hold", w->expected });
}

static void read_entry(struct layout_walk *w, struct layout_item *item)
{
	const struct layout *l = w->layout;
	struct layout_entry *e = &item->entry;

	*item = (struct layout_item){ .kind = LAYOUT_ENTRY, .at = w->at, .length = l->entry_size };
	e->number = w->seen;
	e->owner = w->owner;
	layout_number(w, w->at, l->id, &e->id);
	layout_number(w, w->at, l->offset, &e->offset);
	layout_number(w, w->at, l->length, &e->length);
	layout_number(w, w->at, l->allocated, &e->allocated);
	layout_number(w, w->at, l->type, &e->type);
	if (w->owner == LAYOUT_MESSAGE && l->owner.width > 0) {
		layout_number(w, w->at, l->owner, &e->owner);
		if (e->owner != 0 && layout_none(l->owner, e->owner))
			e->owner = LAYOUT_MESSAGE;
	}
	w->at += l->entry_size;
	w->seen++;
	w->left--;
}

/* The next of the table in work; false: there is no more. */
static bool next_in_table(struct layout_walk *w, struct layout_item *item)
{
	if (w->left > 0) {
		if (w->budget == 0) {
			problem(w, w->at, w->layout->id, &(struct layout_problem){ F_IIS_PROPERTY_FRAGMENT,
				"table", "tables that do not meet again: the chain runs in a circle", w->at });
			w->stage = STAGE_DONE;
			return w->in_table = false;
		}
		w->budget--;
		read_entry(w, item);
		return true;
	}
	if (!w->has_next || w->fragments > w->size / (w->layout->fragment_header + 1) ||
	    w->fragment_budget == 0) {
		if (w->has_next)
			problem(w, w->next, w->layout->next, &(struct layout_problem){ F_IIS_PROPERTY_FRAGMENT,
				"next fragment", "a chain that ends: it runs in a circle", w->next });
		return false;
	}
	begin_fragment(w, w->next, item);
	return true;
}

/* --- Recipients ---------------------------------------------------------------------- */

static void begin_list(struct layout_walk *w)
{
	const struct layout *l = w->layout;
	uint32_t room;

	w->stage = STAGE_ROWS;
	w->rows = w->row = 0;
	if (l->row_size == 0 || !layout_number(w, 0, l->recipients, &w->rows) || w->rows == 0)
		return;
	w->list = l->list_at;
	if (l->list.width > 0)
		layout_number(w, 0, l->list, &w->list);
	if (w->list < l->header_size || w->list > w->size) {
		problem(w, 0, l->list, &(struct layout_problem){ F_IIS_PROPERTY_OFFSET,
			"location of the recipients", "a place between header and end of the stream", w->list });
		w->rows = 0;
		return;
	}
	room = (w->size - w->list) / l->row_size;
	if (w->rows > room) {
		problem(w, 0, l->recipients, &(struct layout_problem){ F_IIS_PROPERTY_SIZE,
			"number of recipients", "a list that ends before the stream does", w->rows });
		w->rows = 0; /* what lies there is anything */
	}
}

static void next_row(struct layout_walk *w, struct layout_item *item)
{
	const struct layout *l = w->layout;

	*item = (struct layout_item){ .kind = LAYOUT_ROW, .at = w->list + w->row * l->row_size,
				      .length = l->row_size, .owner = w->row, .number = w->row };
}

/* The table of recipient w->row, whose row was told. */
static bool table_of_row(struct layout_walk *w, struct layout_item *item)
{
	const struct layout *l = w->layout;
	uint32_t base = w->list + w->row * l->row_size, at;

	layout_number(w, base, l->row_table, &at);
	return begin_table(w, at, base, l->row_table, l->row_count, item);
}

/* --- The whole ---------------------------------------------------------------------------- */

static bool begin_message_table(struct layout_walk *w, struct layout_item *item)
{
	const struct layout *l = w->layout;
	uint32_t at = l->table_at;

	w->owner = LAYOUT_MESSAGE;
	if (l->table.width > 0)
		layout_number(w, 0, l->table, &at);
	return begin_table(w, at, 0, l->table, l->count, item);
}

/* One step that may or may not have an item to tell. */
static bool step(struct layout_walk *w, struct layout_item *item)
{
	const struct layout *l = w->layout;

	switch ((enum stage)w->stage) {
	case STAGE_HEADER:
		w->stage = w->size >= l->header_size && l->entry_size > 0 ? STAGE_TABLE : STAGE_DONE;
		if (w->stage == STAGE_DONE)
			problem(w, w->size, (struct layout_word){ 0, 0 }, &(struct layout_problem){
				F_IIS_PROPERTY_SIZE, "stream", "at least a whole header", w->size });
		*item = (struct layout_item){ .kind = LAYOUT_HEADER, .owner = LAYOUT_MESSAGE,
			.length = l->header_size < w->size ? l->header_size : w->size };
		return true;
	case STAGE_TABLE:
		w->stage = STAGE_LIST;
		return begin_message_table(w, item);
	case STAGE_LIST:
		if (w->in_table && next_in_table(w, item))
			return true;
		if (w->in_table)
			end_table(w, 0, l->count);
		else if (w->stage == STAGE_LIST)
			begin_list(w);
		return false;
	case STAGE_ROWS:
		if (w->in_table && next_in_table(w, item))
			return true;
		if (w->in_table) {
			end_table(w, w->list + (w->row - 1) * l->row_size, l->row_count);
			return false;
		}
		if (w->row >= w->rows) {
			w->stage = STAGE_DONE;
			return false;
		}
		w->owner = w->row;
		next_row(w, item);
		table_of_row(w, &w->first);
		w->has_first = w->in_table;
		w->row++;
		return true;
	case STAGE_DONE:
		break;
	}
	*item = (struct layout_item){ .kind = LAYOUT_DONE };
	return true;
}

void layout_next(struct layout_walk *w, struct layout_item *item)
{
	if (w->has_first) {
		*item = w->first;
		w->has_first = false;
		return;
	}
	if (tell_problem(w, item))
		return;
	/* Steps that tell nothing lead on to the next stage or leave a problem. */
	while (!step(w, item))
		if (tell_problem(w, item))
			return;
}
