/*
 * learn_list.c - recipients that have tables of their own
 *
 * A row of their list tells where the table begins: so the numbers at equal distances that are, one after the other, the
 * places of the recipients' first entries are the rows.
 */
#include "config.h"

#include "learn_word.h"

#define ROW_MOST 48u /* bytes of a recipient's row */

/* Entries of recipients: where the n-th one begins. */
static int recipient_entry(const struct study *s, unsigned after)
{
	for (guint i = after; i < s->entries->len; i++)
		if (!learn_of_message(learn_entry(s, i)))
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
		    place + before != learn_entry(s, (guint)k)->at)
			return false;
		/* On to the entry that the next row names. */
		if (r + 1 < s->recipients &&
		    !learn_number(s->sample, (int64_t)at + (r + 1) * size, 4, &place))
			return false;
		for (; k >= 0 && (r + 1 == s->recipients || learn_entry(s, (guint)k)->at != place + before);
		     k = recipient_entry(s, (guint)k + 1))
			addresses += learn_entry(s, (guint)k)->id == LEARN_ADDRESS;
		if (addresses != 1)
			return false;
	}
	return s->recipients > 0;
}

/* Size of a row: the one that most messages of several recipients have rows of. */
static uint32_t row_size(struct study *const *studies, unsigned n, uint32_t before)
{
	unsigned votes[ROW_MOST + 1] = { 0 }, several = 0, best = 0;

	for (unsigned i = 0; i < n; i++) {
		if (studies[i]->recipients < 2)
			continue;
		several++;
		for (uint32_t size = 4; size <= ROW_MOST; size++) {
			bool found = false;

			for (uint32_t at = 0; at + 4 <= studies[i]->sample->size && !found; at++)
				found = rows_at(studies[i], at, size, before);
			votes[size] += found;
		}
	}
	for (uint32_t size = 4; size <= ROW_MOST; size++)
		if (votes[size] > votes[best])
			best = size;
	return several >= LEARN_DIFFERENT && votes[best] * 100 >= several * LEARN_SHARE ? best : 0;
}

/* Each of a message's rows, from `at` on, with the number of entries in its recipient's table. */
static void add_rows(const struct study *s, uint32_t at, uint32_t size, uint32_t before, GArray *rows)
{
	for (unsigned r = 0; r < s->recipients; r++) {
		struct expected row = { s->sample, at + r * size, 0 };
		uint32_t place = 0, next = LEARN_NOTHING;

		learn_number(s->sample, row.base, 4, &place);
		if (r + 1 < s->recipients && learn_number(s->sample, (int64_t)row.base + size, 4, &next))
			next += before;
		for (int k = recipient_entry(s, 0); k >= 0; k = recipient_entry(s, (guint)k + 1))
			row.value += learn_entry(s, (guint)k)->at >= place + before && learn_entry(s, (guint)k)->at < next;
		g_array_append_val(rows, row);
	}
}

/* Where the message's list is; LEARN_NOTHING when it has none, or one row only, which shows nothing. */
static uint32_t list_at(const struct study *s, uint32_t size, uint32_t before)
{
	for (uint32_t at = 0; s->recipients >= 2 && at + 4 <= s->sample->size; at++)
		if (rows_at(s, at, size, before))
			return at;
	return LEARN_NOTHING;
}

/* Rows of `size` bytes in which the table's location is `adds` bytes behind the beginning: where is the number of entries? */
static void find_row(GArray *rows, uint32_t size, uint32_t adds, struct layout *l)
{
	uint32_t none;

	l->row_size = size;
	l->row_table = (struct layout_word){ (uint16_t)adds, 4 };
	for (guint i = 0; i < rows->len; i++)
		g_array_index(rows, struct expected, i).base -= adds;
	learn_word((struct expected *)(void *)rows->data, rows->len, size, 0, &l->row_count, &none);
	if (l->row_count.width > 0 && l->row_count.at < l->row_table.at + 4u &&
	    l->row_table.at < l->row_count.at + l->row_count.width)
		l->row_count.width = 0;
}

void learn_list(struct study *const *studies, unsigned n, uint32_t room, struct layout *l)
{
	uint32_t before = l->fragment_header, size = row_size(studies, n, before), adds = 0, none;
	g_autofree struct expected *list = learn_header(studies, n), *many = learn_header(studies, n);
	GArray *rows;

	if (size == 0)
		return;
	rows = g_array_new(FALSE, FALSE, sizeof(struct expected));
	for (unsigned i = 0; i < n; i++) {
		many[i].value = studies[i]->recipients;
		list[i].value = list_at(studies[i], size, before);
		if (list[i].value != LEARN_NOTHING)
			add_rows(studies[i], list[i].value, size, before, rows);
	}
	/* A row may begin before its table field. */
	if (learn_word(list, n, room, size - 4, &l->list, &adds) && learn_word(many, n, room, 0, &l->recipients, &none))
		find_row(rows, size, adds, l);
	else
		l->list.width = l->recipients.width = 0;
	g_array_unref(rows);
}
