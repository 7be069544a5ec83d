/*
 * learn_entry.c - other fields of an entry, and what values have in common
 *
 * With id, offset and length known, what is left of an entry may hold the length that is set aside, whose recipient's it
 * is, and a code for the type: numbers that keep to a rule in nearly all entries.
 */
#include "config.h"

#include "learn.h"

#include "mailmsg.h"

#include <string.h>

/* --- Fields ---------------------------------------------------------------------------------- */

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
			const struct found *e = learn_entry(s, k);

			fine = learn_number(s->sample, (int64_t)e->at + word.at, word.width, &owner);
			if (learn_of_message(e))
				fine = fine && layout_none(word, owner);
			else
				fine = fine && owner < s->recipients;
			if (e->id == LEARN_ADDRESS)
				fine = fine && owner == expect++;
		}
		several++;
		good += fine;
	}
	return several >= LEARN_DIFFERENT && good * 100 >= several * LEARN_SHARE;
}

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
			const struct found *e = learn_entry(studies[i], k);
			uint32_t value = 0;

			all++;
			good += learn_number(studies[i]->sample, (int64_t)e->at + word.at, word.width, &value) &&
				value >= e->length && value < e->length + 64 &&
				(uint64_t)e->start + value <= studies[i]->sample->size;
			g_hash_table_add(values, GUINT_TO_POINTER(value));
		}
	fine = all > 0 && good * 100 >= all * 98 && g_hash_table_size(values) >= LEARN_DIFFERENT;
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
			const struct found *e = learn_entry(studies[i], k);
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

void learn_fields(struct study *const *studies, unsigned n, struct layout *l)
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

void learn_values(struct study *const *studies, unsigned n, struct layout *l)
{
	unsigned strings = 0, inside = 0, last = 0;
	uint32_t bits = 0;

	for (unsigned i = 0; i < n; i++)
		for (guint k = 0; k < studies[i]->entries->len; k++) {
			const struct found *e = learn_entry(studies[i], k);
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
