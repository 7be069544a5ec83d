/*
 * postfix_show.c - a Postfix queue file for eyes: decode() and body()
 *
 * decode() lists every record in the order in which Postfix reads it, pointers
 * followed, the fields of the size record one by one:
 *
 *	initial envelope
 *	  size record
 *	    data size (field 1)     1093
 *	  sender                    bob@example.org
 *	  pointer                   -> 1630
 *	message text
 *	  line                      Received: ...
 *
 * It judges nothing, but says when a record does not belong where it stands, and
 * why reading ends; then it goes on with the next segment where the size record
 * places it. body() gives the message text alone. Both end: pf_read() moves
 * forward, pf_follow() stops loops, and each segment is entered once.
 */
#include "postfix.h"

enum show_phase {
	SHOW_ENVELOPE, /* zero: the start */
	SHOW_TEXT,
	SHOW_EXTRACTED,
	SHOW_AFTER,
	SHOW_DONE,
};

static enum pf_segment segment_of(const struct pf_show *s)
{
	return s->phase == SHOW_ENVELOPE ? PF_ENV : s->phase == SHOW_TEXT ? PF_TEXT : PF_EXT;
}

/* Believe the first size record as far as qmgr would. */
static void note_size(struct pf_show *s, const struct part *p, const struct pf_record *rec)
{
	struct pf_size size;

	if (s->have_size)
		return;
	s->have_size = true;
	pf_size_scan(rec, &size);
	if (size.count < 3 || size.field[0] <= 0 || size.field[1] <= 0)
		return;
	if ((uint64_t)size.field[1] < p->size)
		s->text = (uint64_t)size.field[1];
	if ((uint64_t)size.field[1] < p->size &&
	    (uint64_t)size.field[0] < p->size - (uint64_t)size.field[1])
		s->x = s->text + (uint64_t)size.field[0];
}

/* Reading cannot go on: enter the next segment that the size record places
 * further on, or finish. */
static void next_segment(struct pf_show *s)
{
	s->title = false;
	if (s->phase == SHOW_ENVELOPE && s->text != 0) {
		s->phase = SHOW_TEXT;
		s->read.pos = s->text;
		s->by_size = true;
	} else if (s->phase != SHOW_EXTRACTED && s->x != 0) {
		s->phase = SHOW_EXTRACTED;
		s->read.pos = s->x;
		s->by_size = true;
	} else {
		s->phase = SHOW_DONE;
	}
}

/* --- What is somebody's ------------------------------------------------------- */

/* Attributes whose values are the server's own. */
static bool own_attribute(const struct cur *name)
{
	static const char *const own[] = { "create_time", "encoding", "notify_flags", "ret_flags",
					   "rewrite_context", "trace_flags" };

	for (unsigned i = 0; i < sizeof own / sizeof own[0]; i++)
		if (pf_is(name, own[i]))
			return true;
	return false;
}

/* Bytes [skip, end) of the record's data. */
static void mask(struct row *row, const struct pf_record *rec, uint64_t skip, enum personal_kind kind)
{
	if (skip <= rec->len)
		row_personal(row, rec->off + rec->header + skip, rec->len - skip, kind);
}

static void mask_attribute(struct row *row, const struct pf_record *rec)
{
	struct cur value = pf_string(rec), name;

	if (!pf_attribute(&value, &name)) {
		mask(row, rec, 0, PERSONAL_TEXT);
		return;
	}
	if (own_attribute(&name))
		return;
	if (pf_is(&name, "dsn_orig_rcpt") && cur_find(&value, ';') < cur_left(&value))
		cur_skip(&value, cur_find(&value, ';') + 1); /* rfc822; */
	mask(row, rec, cur_offset(&value) - (rec->off + rec->header), PERSONAL_TEXT);
}

/* A line of text: the name of a header field stays. */
static void mask_text(struct pf_show *s, struct row *row, const struct pf_record *rec)
{
	struct cur line = rec->data;
	uint64_t name = 0;

	while (!s->piece && !s->body && cur_peek(&line) > ' ' && cur_peek(&line) < 127 &&
	       cur_peek(&line) != ':') {
		cur_skip(&line, 1);
		name++;
	}
	if (name == 0 || cur_peek(&line) != ':')
		name = 0;
	if (rec->type == 'N' && rec->len == 0 && !s->piece)
		s->body = true;
	s->piece = rec->type == 'L';
	mask(row, rec, name, PERSONAL_TEXT);
}

/* rfc822;address */
static void mask_original(struct row *row, const struct pf_record *rec)
{
	size_t type = cur_find(&rec->data, ';');

	mask(row, rec, type < cur_left(&rec->data) ? type + 1 : 0, PERSONAL_TEXT);
}

static void mask_record(struct pf_show *s, struct row *row, const struct pf_record *rec)
{
	row->told = true;
	switch (rec->type) {
	case 'C':
	case 'T':
	case 'W':
	case 'c':
	case 'n':
	case 'p':
		mask(row, rec, 0, PERSONAL_LETTERS);
		break;
	case 'A':
		mask_attribute(row, rec);
		break;
	case 'o':
		mask_original(row, rec);
		break;
	case 'S':
	case 'R':
	case 'O':
	case 'D':
		mask(row, rec, 0, PERSONAL_ADDRESS);
		break;
	case 'N':
	case 'L':
		if (s->phase == SHOW_TEXT) {
			mask_text(s, row, rec);
			break;
		}
		mask(row, rec, 0, PERSONAL_TEXT);
		break;
	default:
		mask(row, rec, 0, PERSONAL_TEXT);
		break;
	}
}

/* --- Rows --------------------------------------------------------------------- */

static void new_row(struct row *row, uint64_t offset, uint64_t length, unsigned depth)
{
	*row = (struct row){ 0 };
	row->part = PF_MESSAGE;
	row->offset = offset;
	row->length = length;
	row->depth = (uint8_t)depth;
}

static void title_row(struct pf_show *s, struct row *row)
{
	static const char *const titles[] = { "initial envelope", "message text",
					      "extracted envelope" };

	new_row(row, s->read.pos, 0, 0);
	text_str(&row->kind, titles[s->phase]);
	if (s->by_size)
		text_str(&row->detail, "by the size record");
	s->by_size = false;
	s->title = true;
}

static void attribute_detail(struct row *row, const struct pf_record *rec)
{
	struct cur value = pf_string(rec), name;
	int64_t sec;

	pf_say_bytes(&row->detail, rec->data);
	if (pf_attribute(&value, &name) && pf_is(&name, "create_time") &&
	    pf_all_digits(value, &sec))
		text_time(&row->detail, sec);
}

static void record_detail(const struct pf_show *s, struct row *row, const struct pf_record *rec)
{
	struct cur c = pf_string(rec);
	int64_t sec = 0;

	switch (rec->type) {
	case 'A':
		attribute_detail(row, rec);
		break;
	case 'T':
	case 'W':
		pf_say_bytes(&row->detail, rec->data);
		if (pf_number(&c, &sec))
			text_time(&row->detail, sec);
		break;
	case 'S':
		if (rec->len == 0)
			text_str(&row->detail, "<>");
		pf_say_bytes(&row->detail, rec->data);
		break;
	case 'C':
		break;
	default:
		pf_say_bytes(&row->detail, rec->data);
		break;
	}
	if ((pf_rules[rec->type].cleaned & segment_of(s)) == 0 &&
	    (pf_rules[rec->type].maildrop & segment_of(s)) == 0) {
		text_str(&row->kind, pf_rules[rec->type].name == NULL ? ", no known type" :
									", not expected here");
	}
}

static void kind_of(const struct pf_show *s, struct row *row, const struct pf_record *rec)
{
	if (rec->type == 'L')
		text_str(&row->kind, s->phase == SHOW_TEXT ? "piece of a line" : "content filter");
	else if (pf_rules[rec->type].name != NULL)
		text_str(&row->kind, pf_rules[rec->type].name);
	else
		pf_say_type(&row->kind, rec->type);
}

/* A pointer: where it leads, or why it cannot be followed. False then. */
static bool pointer_row(struct pf_show *s, const struct part *p, struct row *row,
			const struct pf_record *rec)
{
	uint64_t target = 0;
	const char *why = NULL;

	row->detail.len = 0;
	switch (pf_follow(&s->read, p, rec, &target)) {
	case PF_DUMMY:
		text_str(&row->detail, "0: room for a later edit");
		return true;
	case PF_JUMPED:
		s->jumped = true;
		row->has_target = true;
		row->target = target;
		return true;
	case PF_NO_VALUE:
		text_str(&row->detail, "blank, taken for 0");
		return true;
	case PF_NO_NUMBER:
		why = ": not an offset";
		break;
	case PF_OUTSIDE:
		why = ": outside of the file";
		break;
	case PF_BACKWARD:
		why = ": more than 10000 jumps backward";
		break;
	case PF_LOOP:
	default:
		row->has_target = true;
		row->target = target;
		why = ": read before, a loop";
		break;
	}
	pf_say_bytes(&row->detail, rec->data);
	text_str(&row->detail, why);
	return false;
}

/* A record that cannot be read: its type and length stay, whatever comes behind is masked. */
static void mask_stop(struct row *row, const struct part *p, const struct pf_record *rec)
{
	uint64_t left = p->size - row->offset, header = rec->header < left ? rec->header : left;

	row_personal(row, row->offset + header, left - header, PERSONAL_TEXT);
}

/* Why the record at the reader's position cannot be read. */
static void stop_row(const struct pf_show *s, const struct part *p, struct row *row,
		     enum pf_got got, const struct pf_record *rec)
{
	new_row(row, s->read.pos, p->size - s->read.pos, 1);
	if (got == PF_LONG || got == PF_OVERRUN) /* type and length are what stops it */
		mask_stop(row, p, rec);
	text_str(&row->kind, "reading stops");
	switch (got) {
	case PF_EOF:
		text_str(&row->detail, "end of file; an end record is missing");
		break;
	case PF_CUT:
		text_str(&row->detail, "the file ends in a record header");
		break;
	case PF_OVERRUN:
		pf_say_type(&row->detail, rec->type);
		text_str(&row->detail, " of length ");
		text_u64(&row->detail, rec->len);
		text_str(&row->detail, ", but only ");
		text_u64(&row->detail, p->size - s->read.pos - rec->header);
		text_str(&row->detail, " bytes are left");
		break;
	default:
		pf_say_type(&row->detail, rec->type);
		text_str(&row->detail, " with a length that Postfix cannot read");
		break;
	}
}

/* --- decode() ------------------------------------------------------------------ */

/* One field of the size record: its column, named. */
static enum step field_row(struct pf_show *s, const struct part *p, struct row *row,
			   struct want *w)
{
	struct pf_reader again = { 0 };
	struct pf_record rec = { 0 };
	unsigned field = s->field - 1u;
	uint64_t at = (uint64_t)field * PF_COLUMN;
	struct cur column;

	again.pos = s->size_at;
	again.near = true;
	if (pf_read(&again, p, PF_ENV, &rec, w) == PF_WANT)
		return STEP_WANT;
	column = pf_size_column(&rec, field);
	new_row(row, rec.off + rec.header + at, cur_left(&column), 2);
	row_personal(row, row->offset, row->length, PERSONAL_LETTERS);
	text_str(&row->kind, field < PF_FIELDS ? pf_size_names[field] : "unknown field");
	text_str(&row->kind, " (field ");
	text_u64(&row->kind, field + 1u);
	text_str(&row->kind, ")");
	cur_skip_blanks(&column);
	pf_say_bytes(&row->detail, column);
	s->field = rec.len > at + PF_COLUMN && field < 15 ? (uint8_t)(s->field + 1) : 0;
	return STEP_ROW;
}

static enum step record_row(struct pf_show *s, const struct part *p, struct row *row,
			    struct want *w)
{
	struct pf_record rec = { 0 };
	enum pf_got got = pf_read(&s->read, p, PF_ENV, &rec, w);

	if (got == PF_WANT)
		return STEP_WANT;
	if (got == PF_GOT && rec.type == 0)
		got = PF_LONG;
	if (got != PF_GOT) {
		s->read.pos = rec.off;
		stop_row(s, p, row, got, &rec);
		next_segment(s);
		return STEP_ROW;
	}
	new_row(row, rec.off, rec.header + rec.len, 1);
	kind_of(s, row, &rec);
	record_detail(s, row, &rec);
	mask_record(s, row, &rec);
	if (rec.type == 'C' && s->phase == SHOW_ENVELOPE) {
		s->size_at = rec.off;
		s->field = rec.len > 0 ? 1 : 0;
		note_size(s, p, &rec);
	} else if (rec.type == 'p' && !pointer_row(s, p, row, &rec)) {
		next_segment(s);
	} else if (rec.type == 'M' && s->phase == SHOW_ENVELOPE) {
		s->phase = SHOW_TEXT;
		s->title = false;
	} else if (rec.type == 'X' && s->phase == SHOW_TEXT) {
		s->phase = SHOW_EXTRACTED;
		s->title = false;
	} else if (rec.type == 'E' && s->phase == SHOW_EXTRACTED) {
		s->phase = SHOW_AFTER;
		s->end = s->read.pos;
	}
	return STEP_ROW;
}

enum step pf_decode(void *scratch, const struct message *m, struct row *row, struct want *w)
{
	struct pf_show *s = scratch;
	const struct part *p = &m->parts[PF_MESSAGE];

	if (p->size == 0 || s->phase == SHOW_DONE)
		return STEP_DONE;
	if (s->phase == SHOW_AFTER) {
		s->phase = SHOW_DONE;
		if (s->end >= p->size)
			return STEP_DONE;
		new_row(row, s->end, p->size - s->end, 0);
		text_str(&row->kind, "after the end");
		text_u64(&row->detail, p->size - s->end);
		text_str(&row->detail, s->jumped ? " bytes, read by pointers only" :
						   " bytes, never read");
		return STEP_ROW;
	}
	if (s->field != 0)
		return field_row(s, p, row, w);
	if (!s->title) {
		title_row(s, row);
		return STEP_ROW;
	}
	return record_row(s, p, row, w);
}

/* --- body() --------------------------------------------------------------------- */

enum step pf_body(void *scratch, const struct message *m, struct run *run, struct want *w)
{
	struct pf_show *s = scratch;
	const struct part *p = &m->parts[PF_MESSAGE];
	struct pf_record rec = { 0 };
	uint64_t target;

	while (s->phase == SHOW_ENVELOPE || s->phase == SHOW_TEXT) {
		enum pf_segment segment = segment_of(s);
		enum pf_got got = pf_read(&s->read, p, segment, &rec, w);
		enum pf_jump jump = PF_DUMMY;

		if (got == PF_WANT)
			return STEP_WANT;
		if (got == PF_GOT && rec.type == 'p')
			jump = pf_follow(&s->read, p, &rec, &target);
		if (got != PF_GOT || rec.type == 0 ||
		    (jump != PF_DUMMY && jump != PF_JUMPED && jump != PF_NO_VALUE)) {
			next_segment(s);
			continue;
		}
		if (segment == PF_ENV) {
			if (rec.type == 'C')
				note_size(s, p, &rec);
			if (rec.type == 'M')
				s->phase = SHOW_TEXT;
			continue;
		}
		if (rec.type == 'X')
			s->phase = SHOW_DONE;
		if (rec.type == 'N' || rec.type == 'L') {
			run->part = PF_MESSAGE;
			run->offset = rec.off + rec.header;
			run->length = rec.len;
			run->newline = rec.type == 'N';
			return STEP_ROW;
		}
	}
	return STEP_DONE;
}
