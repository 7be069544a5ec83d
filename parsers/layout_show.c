/*
 * layout_show.c - the annotated listing of a property block
 *
 * One row for the header and each of its fields, for each fragment, recipient, entry and value. What leads
 * nowhere has no row of its own: the finding about it stands under the row that holds the number.
 */
#include "layout.h"

#include "format.h"
#include "mailmsg.h"

#define VALUE_SHOWN 60u

struct header_field {
	const char *name;
	struct layout_word word;
};

/* Field `index` of the header; false behind the last one. */
static bool header_field(const struct layout *l, unsigned index, struct header_field *f_r)
{
	const struct header_field fields[] = {
		{ "signature", { l->signature_at, l->signature_len } },
		{ "header size", l->own_size },
		{ "block size", l->total_size },
		{ "entries", l->count },
		{ "table at", l->table },
		{ "recipients", l->recipients },
		{ "recipients at", l->list },
	};

	if (index >= sizeof fields / sizeof fields[0])
		return false;
	*f_r = fields[index];
	return true;
}

/* The next field that there is; the signature's width is no number's. */
static bool show_header_field(struct layout_show *s, const struct layout *l, struct row *row)
{
	struct header_field f;
	uint32_t value;

	while (header_field(l, s->field++, &f)) {
		if (f.word.width == 0 || (uint64_t)f.word.at + f.word.width > s->item.length)
			continue;
		row->offset = f.word.at;
		row->length = f.word.width;
		row->depth = 1;
		row->told = true;
		text_str(&row->kind, f.name);
		if (s->field > 1 && layout_number(&s->walk, 0, f.word, &value))
			text_u64(&row->detail, value);
		return true;
	}
	return false;
}

void layout_name(struct text *t, uint32_t id)
{
	static const char digits[16] = "0123456789abcdef";
	const struct mailmsg_property *p = mailmsg_property(id);

	if (p != NULL) {
		text_str(t, p->name);
		return;
	}
	text_str(t, id >= MAILMSG_CUSTOM ? "custom 0x" : id == 0 ? "free 0x" : "unknown 0x");
	for (unsigned shift = 32; shift > 0; shift -= 4)
		if (shift <= 16 || id >> (shift - 4) != 0)
			text_bytes(t, (const uint8_t *)&digits[id >> (shift - 4) & 15], 1);
}

static void show_entry(struct layout_show *s, const struct layout *l, struct row *row)
{
	const struct layout_entry *e = &s->item.entry;

	row->depth = e->owner == LAYOUT_MESSAGE || l->row_size == 0 ? 1 : 2;
	row->told = true; /* numbers of the server's own */
	text_str(&row->kind, "entry ");
	text_u64(&row->kind, e->number);
	layout_name(&row->detail, e->id);
	if (e->owner != LAYOUT_MESSAGE && l->row_size == 0) {
		text_str(&row->detail, " of recipient ");
		text_u64(&row->detail, e->owner);
	}
	text_str(&row->detail, ", offset ");
	text_u64(&row->detail, e->offset);
	text_str(&row->detail, ", length ");
	text_u64(&row->detail, e->length);
	if (l->allocated.width > 0) {
		text_str(&row->detail, " of ");
		text_u64(&row->detail, e->allocated);
	}
	s->value = e->id != 0 && e->length > 0;
}

/* Numbers as numbers, times as times, else the bytes. */
static void show_bytes(struct text *t, unsigned type, struct cur value)
{
	size_t n = cur_left(&value);
	uint64_t number = 0;

	if (type == MAILMSG_FILETIME && n == 8) {
		number = cur_u64le(&value);
		text_u64(t, number);
		if (number > UINT64_C(116444736000000000))
			text_time(t, (int64_t)(number / 10000000) - INT64_C(11644473600));
	} else if ((type == MAILMSG_DWORD || type == MAILMSG_BOOL || type == MAILMSG_UNKNOWN) && n == 4) {
		text_u64(t, cur_u32le(&value));
	} else {
		n = n < VALUE_SHOWN ? n : VALUE_SHOWN;
		text_bytes(t, cur_view(&value, n), n);
	}
}

/* The value of the entry shown last; false when it does not lie in the stream. */
static bool show_value(struct layout_show *s, const struct layout *l, struct row *row)
{
	const struct layout_entry *e = &s->item.entry;
	const struct mailmsg_property *p = mailmsg_property(e->id);
	uint64_t start = (uint64_t)e->offset + l->offset_adds;
	struct cur c = s->walk.block;

	s->value = false;
	if (start > s->walk.size || e->length > s->walk.size - start)
		return false;
	cur_skip(&c, (size_t)start);
	row->offset = start;
	row->length = e->length;
	row->depth = e->owner == LAYOUT_MESSAGE || l->row_size == 0 ? 2 : 3;
	/* Masked strings still end where they did. */
	row_personal(row, start, e->length, p != NULL && (p->type == MAILMSG_ANSI || p->type == MAILMSG_UNICODE ||
		     p->type == MAILMSG_STRING) ? PERSONAL_TEXT : PERSONAL_OPAQUE);
	text_str(&row->kind, p != NULL ? mailmsg_type_name(p->type) : "value");
	show_bytes(&row->detail, p != NULL ? p->type : MAILMSG_UNKNOWN, cur_sub(&c, e->length));
	return true;
}

/* What the walk came to; false: nothing to show. */
static bool show_item(struct layout_show *s, const struct layout *l, struct row *row)
{
	const struct layout_item *item = &s->item;

	row->offset = item->at;
	row->length = item->length;
	switch (item->kind) {
	case LAYOUT_HEADER:
		text_str(&row->kind, "header");
		s->field = 0;
		return item->length > 0;
	case LAYOUT_FRAGMENT:
		row->depth = item->owner == LAYOUT_MESSAGE ? 0 : 1;
		text_str(&row->kind, "table");
		text_u64(&row->detail, item->entries);
		text_str(&row->detail, " entries");
		row->has_target = !item->last;
		row->target = item->next;
		return true;
	case LAYOUT_ROW:
		text_str(&row->kind, "recipient ");
		text_u64(&row->kind, item->number);
		return true;
	case LAYOUT_ENTRY:
		show_entry(s, l, row);
		return true;
	default:
		return false;
	}
}

bool layout_row(struct layout_show *s, const struct layout *l, const uint8_t *bytes, uint32_t size,
		unsigned part, struct row *row)
{
	if (!s->begun)
		layout_begin(&s->walk, l, bytes, size);
	s->begun = true;
	/* The window may have been read anew: the same bytes, perhaps in another place. */
	s->walk.block = cur_make(bytes, size, 0);
	row->part = (uint8_t)part;
	if (s->item.kind == LAYOUT_HEADER && show_header_field(s, l, row))
		return true;
	if (s->value && show_value(s, l, row))
		return true;
	do {
		layout_next(&s->walk, &s->item);
		if (show_item(s, l, row))
			return true;
		row->length = 0;
	} while (s->item.kind != LAYOUT_DONE);
	return false;
}
