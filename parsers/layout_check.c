/*
 * layout_check.c - what is wrong with a property block, by its layout
 *
 * Pass 1 goes along the tables and looks at each entry alone; sums are made in 64 bits, so that one
 * which wraps around 32 bits is seen as such. Pass 2 sorts what was found to occupy bytes, and looks
 * for two that occupy the same.
 */
#include "layout.h"

#include "mailmsg.h"

#define MANY_UNKNOWN 3 /* unpublished ids that are told of one message */

struct check {
	struct layout_scratch *s;
	const struct layout *l;
	struct report *report;
	struct layout_result *result;
	unsigned part;
	uint32_t size;          /* of the stream */
	uint32_t limit;         /* of the block: values end here */
	uint32_t recipients;    /* LAYOUT_MESSAGE = not known */
};

/* --- Telling ------------------------------------------------------------------------ */

static void say_number(struct text *t, uint32_t value)
{
	text_u64(t, value);
	if (value >= 0x80000000u) {
		text_str(t, " (negative: ");
		text_i64(t, (int64_t)value - 0x100000000);
		text_str(t, ")");
	}
}

static struct finding *add(struct check *c, enum finding_id id, uint64_t at, uint64_t length)
{
	struct finding *f = report_add(c->report, id, c->part, at, length);

	/* A layout that nobody vouches for proves nothing. */
	if (!c->l->confirmed && f->severity == SEV_CORRUPT)
		f->severity = SEV_SUSPECT;
	return f;
}

static struct finding *add_word(struct check *c, enum finding_id id, uint32_t base,
				struct layout_word word, const char *field, uint32_t found)
{
	struct finding *f = add(c, id, (uint64_t)base + word.at, word.width);

	text_str(&f->field, field);
	say_number(&f->found, found);
	return f;
}

/* "entry 3 of recipient 0 (RP_ADDRESS_SMTP), length" */
static void name_entry(struct text *t, const struct layout_entry *e, const char *field)
{
	text_str(t, "entry ");
	text_u64(t, e->number);
	if (e->owner != LAYOUT_MESSAGE) {
		text_str(t, " of recipient ");
		text_u64(t, e->owner);
	}
	text_str(t, " (");
	layout_name(t, e->id);
	text_str(t, "), ");
	text_str(t, field);
}

static struct finding *add_entry(struct check *c, enum finding_id id, struct layout_word word,
				 const char *field, uint32_t found)
{
	const struct layout_item *item = &c->s->item;
	struct finding *f = add(c, id, (uint64_t)item->at + word.at, word.width);

	name_entry(&f->field, &item->entry, field);
	say_number(&f->found, found);
	return f;
}

static void occupy(struct check *c, uint64_t start, uint64_t end, uint32_t where, uint32_t what)
{
	if (end > c->size)
		end = c->size;
	if (start < end && c->s->nextents < LAYOUT_EXTENTS)
		c->s->extents[c->s->nextents++] =
			(struct layout_extent){ (uint32_t)start, (uint32_t)end, where, what };
}

/* --- The header ----------------------------------------------------------------------- */

static void check_signature(struct check *c)
{
	const struct layout *l = c->l;
	struct cur cur = c->s->walk.block;
	const uint8_t *p;

	cur_skip(&cur, l->signature_at);
	p = cur_view(&cur, l->signature_len);
	if (l->signature_len == 0 || (p != NULL && memcmp(p, l->signature, l->signature_len) == 0))
		return;
	struct finding *f = add(c, F_IIS_PROPERTY_SIGNATURE, p != NULL ? l->signature_at : 0, p != NULL ? l->signature_len : 0);

	text_str(&f->field, "signature");
	if (p != NULL)
		text_bytes(&f->found, p, l->signature_len);
}

/* Bytes of the block, as the header says: with slack the stream may be longer. */
static void check_total(struct check *c)
{
	const struct layout *l = c->l;
	uint32_t value;
	uint64_t total;
	struct finding *f;

	if (!layout_number(&c->s->walk, 0, l->total_size, &value))
		return;
	total = (uint64_t)value + l->total_adds;
	if (total == c->size || (l->slack && total < c->size && total >= l->header_size)) {
		c->limit = (uint32_t)total;
		return;
	}
	f = add_word(c, F_IIS_PROPERTY_SIZE, 0, l->total_size, "size of the block", value);
	if (l->slack)
		text_str(&f->expected, "at most ");
	text_u64(&f->expected, (uint64_t)c->size - (c->size > l->total_adds ? l->total_adds : 0));
}

static void check_header(struct check *c)
{
	const struct layout *l = c->l;
	uint32_t value;

	check_signature(c);
	if (layout_number(&c->s->walk, 0, l->own_size, &value) && value != l->header_size) {
		struct finding *f = add_word(c, F_IIS_PROPERTY_SIZE, 0, l->own_size, "size of the header", value);

		text_u64(&f->expected, l->header_size);
	}
	check_total(c);
	if (layout_number(&c->s->walk, 0, l->recipients, &value))
		c->recipients = value;
	occupy(c, 0, l->header_size, 0, LAYOUT_STRUCTURE);
}

/* --- Entries ------------------------------------------------------------------------------ */

/* The published type of the entry's property, narrowed by its type field. */
static unsigned type_of(struct check *c, const struct layout_entry *e)
{
	const struct mailmsg_property *p = mailmsg_property(e->id);
	unsigned published = p != NULL ? p->type : MAILMSG_UNKNOWN, coded = MAILMSG_UNKNOWN;

	for (unsigned i = 0; i < c->l->ntypes && i < LAYOUT_TYPES_MAX; i++)
		if (c->l->types[i].code == e->type)
			coded = c->l->types[i].type;
	if (coded != MAILMSG_UNKNOWN && published != MAILMSG_UNKNOWN && coded != published &&
		   (published != MAILMSG_STRING || (coded != MAILMSG_ANSI && coded != MAILMSG_UNICODE)) &&
		   (coded != MAILMSG_STRING || (published != MAILMSG_ANSI && published != MAILMSG_UNICODE)) &&
		   !(coded == MAILMSG_DWORD && published == MAILMSG_BOOL)) {
		struct finding *f = add_entry(c, F_IIS_PROPERTY_TYPE, c->l->type, "type", e->type);

		text_str(&f->expected, mailmsg_type_name(published));
	}
	return published == MAILMSG_UNKNOWN || published == MAILMSG_STRING ?
		       (coded != MAILMSG_UNKNOWN ? coded : published) : published;
}

/* Zero characters of `width` bytes: is there one, and is the only one the last? */
static void find_end(struct cur value, unsigned width, bool *inside_r, bool *last_r)
{
	*inside_r = *last_r = false;
	while (cur_left(&value) >= width) {
		uint16_t ch = width == 2 ? cur_u16le(&value) : cur_u8(&value);

		if (ch == 0) {
			*inside_r = true;
			*last_r = cur_left(&value) == 0;
			return;
		}
	}
}

static void check_string(struct check *c, const struct layout_entry *e, unsigned type, uint32_t start)
{
	struct cur value = c->s->walk.block;
	bool inside, last;
	struct finding *f;

	if (c->l->end == LAYOUT_END_ANY || e->length == 0)
		return;
	cur_skip(&value, start);
	value = cur_sub(&value, e->length);
	find_end(value, type == MAILMSG_UNICODE ? 2 : 1, &inside, &last);
	/* One that is not known to be narrow may be UTF-16. */
	if (type == MAILMSG_STRING && !(c->l->end == LAYOUT_END_LAST ? last : inside))
		find_end(value, 2, &inside, &last);
	if (c->l->end == LAYOUT_END_LAST ? last : inside)
		return;
	f = add(c, F_IIS_PROPERTY_STRING, start, e->length);
	name_entry(&f->field, e, "value");
	text_str(&f->expected, inside ? "a zero character at its end only" : "a zero character within it");
	text_bytes(&f->found, cur_view(&value, e->length), e->length < 40 ? e->length : 40);
}

static void check_length(struct check *c, const struct layout_entry *e, unsigned type)
{
	uint32_t want = mailmsg_type_length(type);
	struct finding *f;

	if (!c->l->typed)
		return;
	if (type == MAILMSG_BOOL ? e->length == 1 || e->length == 2 || e->length == 4 :
	    type == MAILMSG_UNICODE ? e->length % 2 == 0 : want == 0 || e->length == want)
		return;
	f = add_entry(c, F_IIS_PROPERTY_TYPE, c->l->length, "length", e->length);
	if (want > 0)
		text_u64(&f->expected, want);
	else
		text_str(&f->expected, type == MAILMSG_BOOL ? "1, 2 or 4" : "an even number");
	text_str(&f->expected, ", it is a ");
	text_str(&f->expected, mailmsg_type_name(type));
}

/* Where the sum of offset and length leads, when that is outside. */
static void say_end(struct text *t, uint64_t end)
{
	if (end > UINT32_MAX) {
		text_str(t, "; the value would end at ");
		text_u64(t, end & UINT32_MAX);
		text_str(t, ": it wraps around 32 bits");
	}
}

/* The value lies inside of the block; false when it does not. */
static bool check_place(struct check *c, const struct layout_entry *e, uint64_t *start_r)
{
	uint64_t start = (uint64_t)e->offset + c->l->offset_adds;
	struct finding *f;

	*start_r = start;
	if (e->length > 0 && start + e->length <= c->limit && start < c->l->header_size) {
		f = add_entry(c, F_IIS_PROPERTY_OFFSET, c->l->offset, "offset", e->offset);
		text_str(&f->expected, "a place behind the header");
		return false;
	}
	if (start > c->limit) {
		f = add_entry(c, F_IIS_PROPERTY_OFFSET, c->l->offset, "offset", e->offset);
		text_str(&f->expected, "a place in the block of ");
		text_u64(&f->expected, c->limit);
		text_str(&f->expected, " bytes");
		return false;
	}
	if (e->length <= c->limit - start)
		return true;
	f = add_entry(c, F_IIS_PROPERTY_SIZE, c->l->length, "length", e->length);
	text_str(&f->expected, "at most ");
	text_u64(&f->expected, c->limit - start);
	say_end(&f->found, start + e->length);
	return false;
}

/* The bytes that the value may grow into. */
static uint64_t check_allocated(struct check *c, const struct layout_entry *e, uint64_t start)
{
	uint64_t end = start + e->length;
	struct finding *f;

	if (c->l->allocated.width == 0)
		return end;
	if (e->allocated >= e->length && start + e->allocated <= c->limit)
		return start + e->allocated;
	f = add_entry(c, F_IIS_PROPERTY_SIZE, c->l->allocated, "allocated length", e->allocated);
	text_str(&f->expected, e->allocated < e->length ? "at least the length, " : "at most ");
	text_u64(&f->expected, e->allocated < e->length ? e->length : c->limit - start);
	say_end(&f->found, start + e->allocated);
	return end;
}

static void check_owner(struct check *c, const struct layout_entry *e)
{
	struct finding *f;

	if (c->l->owner.width == 0 || c->l->row_size > 0 || e->owner == LAYOUT_MESSAGE ||
	    c->recipients == LAYOUT_MESSAGE || e->id < 0x2000 || e->id >= 0x3000 || e->owner < c->recipients)
		return;
	f = add_entry(c, F_IIS_PROPERTY_RECIPIENT, c->l->owner, "recipient", e->owner);
	text_str(&f->expected, "less than the number of recipients, ");
	text_u64(&f->expected, c->recipients);
}

/* An id that counts although nothing stands there, or one that is not published. */
static bool check_id(struct check *c, const struct layout_entry *e)
{
	struct finding *f;

	if (mailmsg_property(e->id) != NULL) {
		c->result->known++;
		return true;
	}
	if (e->id == 0 && !c->l->free_entries) {
		f = add_entry(c, F_IIS_PROPERTY_SIZE, c->l->id, "id", e->id);
		text_str(&f->expected, "an id: the table counts this entry");
	} else if (e->id != 0 && e->id < MAILMSG_CUSTOM &&
		   c->result->entries - c->result->known <= MANY_UNKNOWN) {
		f = add_entry(c, F_IIS_PROPERTY_ID, c->l->id, "id", e->id);
		text_str(&f->expected, "a published id");
	}
	return e->id != 0;
}

static void check_entry(struct check *c)
{
	const struct layout_entry *e = &c->s->item.entry;
	uint64_t start, end;
	unsigned type;

	c->result->entries++;
	if (!check_id(c, e))
		return;
	check_owner(c, e);
	type = type_of(c, e);
	check_length(c, e, type);
	if (!check_place(c, e, &start))
		return;
	if (e->length > 0 && c->l->alignment > 1 && start % c->l->alignment != 0) {
		struct finding *f = add_entry(c, F_IIS_PROPERTY_OFFSET, c->l->offset, "offset", e->offset);

		text_str(&f->expected, "a multiple of ");
		text_u64(&f->expected, c->l->alignment);
	}
	end = check_allocated(c, e, start);
	if (type == MAILMSG_ANSI || type == MAILMSG_UNICODE || type == MAILMSG_STRING)
		check_string(c, e, type, (uint32_t)start);
	occupy(c, start, end, c->s->item.at, e->owner);
}

static void tell_problem(struct check *c)
{
	const struct layout_item *item = &c->s->item;
	struct finding *f = add(c, item->problem.finding, item->at, item->length);

	text_str(&f->field, item->problem.field);
	text_str(&f->expected, item->problem.expected);
	say_number(&f->found, item->problem.value);
}

/* --- Overlaps -------------------------------------------------------------------------------- */

static bool before(const struct layout_extent *a, const struct layout_extent *b)
{
	return a->start != b->start ? a->start < b->start : a->end < b->end;
}

/* Let the extent at `root` of the first `n` sink to where it belongs in the heap. */
static void sink(struct layout_extent *e, uint32_t root, uint32_t n)
{
	/*@ loop variant n - root; */
	while (root < n / 2) {
		uint32_t child = 2 * root + 1;
		struct layout_extent x = e[root];

		if (child + 1 < n && before(&e[child], &e[child + 1]))
			child++;
		if (!before(&e[root], &e[child]))
			return;
		e[root] = e[child];
		e[child] = x;
		root = child;
	}
}

/* Heap sort: in place, without recursion, the same for every input. */
static void sort(struct layout_extent *e, uint32_t n)
{
	for (uint32_t i = n / 2; i > 0; i--)
		sink(e, i - 1, n);
	for (uint32_t i = n; i > 1; i--) {
		struct layout_extent x = e[0];

		e[0] = e[i - 1];
		e[i - 1] = x;
		sink(e, 0, i - 1);
	}
}

static void say_extent(struct text *t, const struct layout_extent *x)
{
	text_str(t, x->what != LAYOUT_STRUCTURE ? "value of the entry at " :
		    x->start == 0 ? "header at " : "table at ");
	text_u64(t, x->where);
	text_str(t, ", bytes ");
	text_u64(t, x->start);
	text_str(t, " to ");
	text_u64(t, x->end - 1);
}

/* The offset of the later value in its entry is what is marked. */
static void tell_overlap(struct check *c, const struct layout_extent *a, const struct layout_extent *b)
{
	const struct layout_extent *mark = b->what != LAYOUT_STRUCTURE ? b : a;
	struct finding *f;

	if (mark->what != LAYOUT_STRUCTURE)
		f = add(c, F_IIS_PROPERTY_OVERLAP, (uint64_t)mark->where + c->l->offset.at, c->l->offset.width);
	else
		f = add(c, F_IIS_PROPERTY_OVERLAP, mark->start, mark->end - mark->start);
	say_extent(&f->field, mark);
	text_str(&f->expected, "bytes of its own");
	say_extent(&f->found, mark == b ? a : b);
}

static void check_overlaps(struct check *c)
{
	struct layout_extent *e = c->s->extents;
	uint32_t n = c->s->nextents, widest = 0;

	sort(e, n);
	for (uint32_t i = 1; i < n; i++) {
		const struct layout_extent *a = &e[widest];
		bool same = a->start == e[i].start && a->end == e[i].end &&
			    a->what != LAYOUT_STRUCTURE && e[i].what != LAYOUT_STRUCTURE;

		if (e[i].start < a->end && !(same && c->l->shared))
			tell_overlap(c, a, &e[i]);
		if (e[i].end > a->end)
			widest = i;
	}
}

/* --- The check ------------------------------------------------------------------------------------ */

static void take(struct check *c)
{
	const struct layout_item *item = &c->s->item;

	switch (item->kind) {
	case LAYOUT_HEADER:
		check_header(c);
		break;
	case LAYOUT_FRAGMENT:
	case LAYOUT_ROW:
		occupy(c, item->at, (uint64_t)item->at + item->length, item->at, LAYOUT_STRUCTURE);
		break;
	case LAYOUT_ENTRY:
		check_entry(c);
		break;
	case LAYOUT_PROBLEM:
		tell_problem(c);
		break;
	case LAYOUT_DONE:
		break;
	}
}

void layout_check(struct layout_scratch *s, const struct layout *l, const uint8_t *bytes, uint32_t size,
		  unsigned part, struct report *r, struct layout_result *result_r)
{
	struct check c = { .s = s, .l = l, .report = r, .result = result_r, .part = part, .size = size,
			   .limit = size, .recipients = LAYOUT_MESSAGE };

	*result_r = (struct layout_result){ 0, 0 };
	s->nextents = 0;
	layout_begin(&s->walk, l, bytes, size);
	do {
		layout_next(&s->walk, &s->item);
		take(&c);
	} while (s->item.kind != LAYOUT_DONE);
	check_overlaps(&c);
}

/* --- What a layout has to be ------------------------------------------------------------------------- */

static bool word_in(struct layout_word w, uint32_t size)
{
	return w.width == 0 || ((w.width == 1 || w.width == 2 || w.width == 4) && (uint32_t)w.at + w.width <= size);
}

static bool words_meet(struct layout_word a, struct layout_word b)
{
	return a.width > 0 && b.width > 0 && a.at < b.at + b.width && b.at < a.at + a.width;
}

static bool any_meet(const struct layout_word *words, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		for (unsigned j = 0; j < i; j++)
			if (words_meet(words[i], words[j]))
				return true;
	return false;
}

const char *layout_sound(const struct layout *l)
{
	const struct layout_word header[] = { l->own_size, l->total_size, l->count, l->table, l->recipients, l->list,
		{ l->signature_at, l->signature_len } };
	const struct layout_word fragment[] = { l->next, l->used, l->slots };
	const struct layout_word entry[] = { l->id, l->offset, l->length, l->allocated, l->type, l->owner };
	const struct layout_word row[] = { l->row_table, l->row_count };
	bool in = true;

	if (l->entry_size == 0 || l->entry_size > LAYOUT_ENTRY_MAX || l->id.width == 0 || l->id.width == 1 ||
	    l->offset.width == 0 || l->length.width == 0)
		return "an entry needs a size, an id, an offset and a length";
	if (l->header_size > LAYOUT_HEADER_MAX || l->fragment_header > LAYOUT_HEADER_MAX || l->row_size > LAYOUT_ENTRY_MAX)
		return "a header or a row is larger than any that is supported";
	for (unsigned i = 0; i < sizeof header / sizeof header[0]; i++)
		in = in && (i == 6 ? (uint32_t)l->signature_at + l->signature_len <= l->header_size :
				     word_in(header[i], l->header_size));
	for (unsigned i = 0; i < sizeof fragment / sizeof fragment[0]; i++)
		in = in && word_in(fragment[i], l->fragment_header);
	for (unsigned i = 0; i < sizeof entry / sizeof entry[0]; i++)
		in = in && word_in(entry[i], l->entry_size);
	for (unsigned i = 0; i < sizeof row / sizeof row[0]; i++)
		in = in && word_in(row[i], l->row_size);
	if (!in || l->signature_len > LAYOUT_SIGNATURE_MAX)
		return "a field lies outside of the header, fragment, entry or row that holds it";
	if (any_meet(header, 7) || any_meet(fragment, 3) || any_meet(entry, 6) || any_meet(row, 2))
		return "two fields lie on the same bytes";
	if (l->table.width == 0 && l->table_at < l->header_size)
		return "the table begins inside of the header";
	if (l->row_size > 0 && (l->row_table.width == 0 || l->recipients.width == 0 ||
				(l->list.width == 0 && l->list_at < l->header_size)))
		return "a list of recipients needs their number, its location, and in a row the location of a table";
	if (l->alignment == 0 || l->alignment > 16 || (l->alignment & (l->alignment - 1)) != 0)
		return "the alignment is none of 1, 2, 4, 8, 16";
	if (l->ntypes > LAYOUT_TYPES_MAX || l->end > LAYOUT_END_LAST)
		return "it has too many types";
	return NULL;
}
