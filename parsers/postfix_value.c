/*
 * postfix_value.c - what the records of a Postfix envelope hold
 *
 * The size record, times, addresses, attributes: each is judged when its record
 * is read (pf_value()) and gives the report its envelope. Structure, and what the
 * size record means for the rest of the file, is postfix_check.c.
 */
#include "postfix.h"

/* Records that wait for the recipient behind them. */
enum { WAIT_O = 1, WAIT_N = 2, WAIT_ORCPT = 4 };

/* --- The size record ---------------------------------------------------------- */

static struct finding *note_column(const struct pf_work *x, enum finding_id id,
				   const struct pf_record *rec, unsigned column)
{
	uint64_t at = (uint64_t)column * PF_COLUMN;
	uint64_t len = rec->len > at ? rec->len - at : 0;
	struct finding *f = pf_note(x, id, rec->off + rec->header + (len > 0 ? at : 0),
				 len < PF_COLUMN - 1 ? len : PF_COLUMN - 1);

	text_str(&f->field, "size record, field ");
	text_u64(&f->field, column + 1);
	if (column < PF_FIELDS) {
		text_str(&f->field, " (");
		text_str(&f->field, pf_size_names[column]);
		text_str(&f->field, ")");
	}
	pf_say_bytes(&f->found, pf_size_column(rec, column));
	return f;
}

/* What qmgr does with a size record that is not as written: with one number it
 * takes the file for one of 2000 and dies; other counts it refuses; what it can
 * still read it uses, even to seek where no file system goes. */
static enum impact size_impact(const struct pf_work *x, const struct pf_size *s)
{
	if (x->k->held)
		return IMPACT_NONE;
	if (s->count == 1 || (s->count >= 3 && s->bad > 2 && s->field[0] >= PF_SEEK_LIMIT))
		return IMPACT_SERVER_STOPS;
	if (s->count < 3 || s->bad == 1 || s->bad == 2 || s->field[0] <= 0 || s->field[1] <= 0 ||
	    (s->field[3] & ~(int64_t)0x1f) != 0 || s->field[4] < 0)
		return IMPACT_SERVER_DELETES;
	return IMPACT_NONE;
}

static void size_shape(const struct pf_work *x, const struct pf_record *rec, const struct pf_size *s)
{
	bool misfit = s->columns < 3 || (rec->len + 1) % PF_COLUMN != 0;
	unsigned column = s->bad > 0 ? s->bad - 1 : s->columns;
	struct finding *f = note_column(x, F_POSTFIX_SIZE_FIELD, rec, column);

	f->impact = (uint8_t)size_impact(x, s);
	if (s->bad > 0) {
		text_str(&f->expected, "a number in 15 columns");
	} else if (misfit) {
		text_str(&f->expected, "at least 3 fields, 16 bytes each");
		text_str(&f->found, " (record length ");
		text_u64(&f->found, rec->len);
		text_str(&f->found, ")");
	}
}

/* qmgr and showq seek over the text by field 1: fatal where the file system has
 * no such offset. showq reads hold/ and maildrop/ as well. */
static void size_beyond(const struct pf_work *x, const struct pf_record *rec,
			const struct pf_size *s)
{
	struct finding *f;

	if (s->field[0] < PF_SEEK_LIMIT)
		return;
	f = note_column(x, F_POSTFIX_SIZE_RANGE, rec, 0);
	if (x->m->place < PF_CORRUPT)
		f->impact = IMPACT_SERVER_STOPS;
	text_str(&f->expected, "at most the file's size, ");
	text_u64(&f->expected, x->p->size);
}

static void size_values(const struct pf_work *x, const struct pf_record *rec, const struct pf_size *s)
{
	struct finding *f;

	for (unsigned i = 0; i < 2; i++) {
		if (s->field[i] > 0)
			continue;
		f = note_column(x, F_POSTFIX_SIZE_RANGE, rec, i);
		text_str(&f->expected, "more than 0");
	}
	if ((s->field[3] & ~(int64_t)0x1f) != 0) {
		f = note_column(x, F_POSTFIX_SIZE_FLAGS, rec, 3);
		text_str(&f->expected, "0 to 31");
	}
	if (s->field[4] < 0) {
		f = note_column(x, F_POSTFIX_CONTENT_LENGTH, rec, 4);
		text_str(&f->expected, "0 or more");
	}
}

static void size_record(const struct pf_work *x, const struct pf_record *rec)
{
	struct pf_check *k = x->k;
	struct pf_size s;

	if (k->have_size && rec->off != k->size_at) {
		pf_note(x, F_POSTFIX_SIZE_TWICE, rec->off, rec->header + rec->len);
		return;
	}
	k->have_size = true;
	k->size_at = rec->off;
	k->size_header = rec->header;
	pf_size_scan(rec, &s);
	if (k->maildrop) {
		/* pickup takes no notice of it; showq does of a good one. */
		if (s.bad == 0)
			size_beyond(x, rec, &s);
		return;
	}
	if (s.bad > 0 || s.columns < 3 || (rec->len + 1) % PF_COLUMN != 0)
		size_shape(x, rec, &s);
	if (s.count < 3 || s.bad == 1 || s.bad == 2)
		return;
	if (s.bad == 0) {
		size_values(x, rec, &s);
		size_beyond(x, rec, &s);
	}
	k->counted = true;
	k->rcpt_count = s.field[2];
	if (s.field[0] > 0 && s.field[0] < PF_SEEK_LIMIT)
		k->data_size = s.field[0];
	if (s.field[1] > 0 && (uint64_t)s.field[1] <= x->p->size)
		k->data_offset = s.field[1];
	k->said_offset = s.field[1];
	k->offset_known = s.field[1] > 0;
}

/* --- Values of envelope records ------------------------------------------------ */

static void time_record(const struct pf_work *x, const struct pf_record *rec)
{
	struct cur c = pf_string(rec), all = c;
	struct pf_check *k = x->k;
	struct finding *f;
	int64_t sec = 0, usec;
	bool strict;

	if (k->time_seen && rec->off != k->time_at)
		pf_note(x, F_POSTFIX_ARRIVAL_TWICE, rec->off, rec->header + rec->len);
	if (!k->time_seen) {
		k->time_seen = true;
		k->time_at = rec->off;
		k->time_len = rec->header + rec->len;
	}
	pf_number(&c, &sec);
	if (k->time_good || sec == 0)
		return;
	k->time_good = true;
	x->r->has_arrival = true;
	x->r->arrival = sec;
	strict = cur_left(&c) == 0 || (cur_blank((uint8_t)cur_peek(&c)) && pf_number(&c, &usec));
	if (sec > 0 && strict && cur_left(&c) == 0)
		return;
	/* qmgr takes it, and bounces mail that looks too old. */
	f = pf_note_as(x, F_POSTFIX_ARRIVAL_TIME, rec->off, rec->header + rec->len,
		    sec < 0 ? SEV_CORRUPT : SEV_SUSPECT,
		    pf_impact_here(k, IMPACT_DAMAGED_DELIVERY));
	text_str(&f->expected, "seconds and microseconds");
	pf_say_bytes(&f->found, all);
}

/* qmgr takes the first one, showq may die at the second, in hold/ as well, and
 * cleanup refuses it in a requeued file. */
static void second_sender(const struct pf_work *x, const struct pf_record *rec)
{
	uint32_t version = x->m->site.version;
	bool dies = pf_showq_dies(version) && x->m->place <= PF_HOLD;
	enum impact impact = dies ? IMPACT_SERVER_STOPS : IMPACT_NONE;

	pf_note_as(x, F_POSTFIX_SENDER_TWICE, rec->off, rec->header + rec->len,
		   x->k->maildrop || (dies && version != 0) ? SEV_CORRUPT : SEV_SUSPECT,
		   x->k->maildrop ? IMPACT_SERVER_DELETES : impact);
}

static void sender_record(const struct pf_work *x, const struct pf_record *rec)
{
	struct cur c = pf_string(rec);
	struct pf_check *k = x->k;
	struct report *r = x->r;
	size_t len = cur_left(&c);

	if (k->senders > 0 && rec->off != k->sender_at) {
		second_sender(x, rec);
		return;
	}
	if (k->senders++ > 0)
		return;
	k->sender_at = rec->off;
	k->null_sender = rec->len == 0;
	len = len < ADDRESS_MAX ? len : ADDRESS_MAX;
	cur_copy(&c, r->sender, len);
	r->sender_len = (uint16_t)len;
	r->has_sender = true;
}

static void recipient_record(const struct pf_work *x, const struct pf_record *rec)
{
	struct cur c = pf_string(rec);
	struct pf_check *k = x->k;
	struct report *r = x->r;
	size_t len = cur_left(&c);

	k->pending = 0;
	if (r->recipients++ == 0) {
		len = len < ADDRESS_MAX ? len : ADDRESS_MAX;
		cur_copy(&c, r->recipient, len);
		r->recipient_len = (uint16_t)len;
	}
	if (rec->len == 0 && !k->maildrop)
		pf_note(x, F_POSTFIX_RECIPIENT_EMPTY, rec->off, rec->header);
}

/* O, n, o wait for a recipient; a second one of the kind is out of order. */
static void before_recipient(const struct pf_work *x, const struct pf_record *rec, uint8_t wait)
{
	if (x->k->pending & wait)
		pf_note(x, F_POSTFIX_RECIPIENT_ORDER, rec->off, rec->header + rec->len);
	x->k->pending |= wait;
}

/* A value that Postfix does not know. `fatal`: cleanup refuses the message. */
static void bad_value(const struct pf_work *x, const struct pf_record *rec, bool fatal,
		      const char *expected, struct cur value)
{
	bool deletes = fatal && x->k->maildrop;
	struct finding *f = pf_note_as(x, F_POSTFIX_ATTRIBUTE_VALUE, rec->off, rec->header + rec->len,
				    deletes ? SEV_CORRUPT : SEV_NOTICE,
				    deletes ? IMPACT_SERVER_DELETES : IMPACT_NONE);

	text_str(&f->expected, expected);
	pf_say_bytes(&f->found, value);
}

static void notify_value(const struct pf_work *x, const struct pf_record *rec, struct cur value)
{
	int64_t n;

	if (!pf_all_digits(value, &n) || !(n == 1 || (n > 0 && (n & ~(int64_t)14) == 0)))
		bad_value(x, rec, false, "1, or a sum of 2, 4 and 8", value);
	before_recipient(x, rec, WAIT_N);
}

static void return_value(const struct pf_work *x, const struct pf_record *rec, struct cur value)
{
	int64_t n;

	if (!pf_all_digits(value, &n) || n < 1 || n > 2)
		bad_value(x, rec, true, "1 or 2", value);
}

static void envid_value(const struct pf_work *x, const struct pf_record *rec, struct cur value)
{
	struct cur c = value;

	while (cur_left(&c) > 0) {
		uint8_t ch = cur_u8(&c);

		if (ch < 0x20 || ch >= 0x7f) {
			bad_value(x, rec, true, "printable ASCII", value);
			return;
		}
	}
}

/* False when qmgr and cleanup refuse the record. */
static bool attribute_record(const struct pf_work *x, const struct pf_record *rec,
			     enum pf_segment segment)
{
	struct cur value = pf_string(rec), name;
	int64_t n;

	if (!pf_attribute(&value, &name)) {
		struct finding *f = pf_note(x, F_POSTFIX_ATTRIBUTE, rec->off, rec->header + rec->len);

		text_str(&f->field, "attribute record in the ");
		pf_say_segment(&f->field, segment);
		text_str(&f->expected, "name=value");
		pf_say_bytes(&f->found, pf_string(rec));
		return false;
	}
	if (x->k->maildrop && cur_left(&value) == 0)
		return true; /* cleanup ignores it, whatever its name */
	switch (cur_peek(&name)) {
	case 'n':
		if (pf_is(&name, "notify_flags"))
			notify_value(x, rec, value);
		break;
	case 'd':
		if (pf_is(&name, "dsn_orig_rcpt"))
			before_recipient(x, rec, WAIT_ORCPT);
		break;
	case 'e':
		if (pf_is(&name, "envelope_id") && segment == PF_ENV)
			envid_value(x, rec, value);
		break;
	case 'r':
		if (pf_is(&name, "ret_flags"))
			return_value(x, rec, value);
		else if (pf_is(&name, "rewrite_context") && segment == PF_ENV &&
			 !pf_is(&value, "local") && !pf_is(&value, "remote"))
			bad_value(x, rec, true, "local or remote", value);
		break;
	case 't':
		if (pf_is(&name, "trace_flags") && !pf_all_digits(value, &n))
			bad_value(x, rec, segment == PF_ENV, "digits", value);
		break;
	case 'c':
		if (pf_is(&name, "create_time") && !pf_all_digits(value, &n))
			bad_value(x, rec, false, "seconds", value);
		break;
	default:
		break;
	}
	return true;
}

static void verp_record(const struct pf_work *x, const struct pf_record *rec)
{
	if (rec->len != 2 || x->k->senders == 0 || x->k->null_sender)
		pf_note(x, F_POSTFIX_VERP, rec->off, rec->header + rec->len);
}

/* --- All of them ---------------------------------------------------------------- */

void pf_mark(const struct pf_work *x, const struct pf_record *rec)
{
	struct finding *f;

	if (rec->len == 0)
		return;
	f = pf_note(x, F_POSTFIX_MARK_DATA, rec->off, rec->header + rec->len);
	pf_say_record(f, rec);
}

static bool has_line_end(const struct cur *data)
{
	return cur_find(data, '\n') < cur_left(data) || cur_find(data, '\r') < cur_left(data);
}

/* One record of an envelope that may stand there. False at the segment's end. */
bool pf_value(const struct pf_work *x, const struct pf_record *rec, enum pf_segment segment)
{
	struct pf_check *k = x->k;
	enum pf_value value = pf_rules[rec->type].value;

	if (rec->len > 0 && rec->type != 'K' && rec->type != 'C' &&
	    rec->string < cur_left(&rec->data))
		pf_note(x, F_POSTFIX_ENVELOPE_NUL, rec->off, rec->header + rec->len);
	else if (rec->len > 0 && rec->type != 'K' && rec->type != 'C' && has_line_end(&rec->data))
		pf_note(x, F_POSTFIX_ENVELOPE_LINE_END, rec->off, rec->header + rec->len);
	/* showq gives up at a recipient before the sender; cleanup at every kind
	 * of record that belongs to recipients. */
	if (k->senders == 0 && !k->rcpt_first &&
	    (rec->type == 'R' || (k->maildrop && memchr("DO/Kon", rec->type, 6) != NULL))) {
		k->rcpt_first = true;
		k->rcpt_at = rec->off;
	}
	switch (value) {
	case PF_SIZE_VALUE:
		size_record(x, rec);
		break;
	case PF_TIME_VALUE:
		time_record(x, rec);
		break;
	case PF_SENDER_VALUE:
		sender_record(x, rec);
		break;
	case PF_RECIPIENT_VALUE:
		recipient_record(x, rec);
		break;
	case PF_DONE_VALUE:
		k->pending = 0;
		x->r->recipients_done++;
		break;
	case PF_BEFORE_VALUE:
		if (rec->type == 'n')
			notify_value(x, rec, pf_string(rec));
		else
			before_recipient(x, rec, rec->type == 'O' ? WAIT_O : WAIT_ORCPT);
		break;
	case PF_ATTRIBUTE_VALUE:
		if (!attribute_record(x, rec, segment)) {
			k->broken = true;
			return false;
		}
		break;
	case PF_WARN_VALUE:
		if (!pf_is_number(rec->data))
			pf_note(x, F_POSTFIX_WARN_TIME, rec->off, rec->header + rec->len);
		break;
	case PF_VERP_VALUE:
		verp_record(x, rec);
		break;
	case PF_MARK_VALUE:
		pf_mark(x, rec);
		k->marked = k->marked || segment == PF_ENV;
		return false;
	case PF_POINTER_VALUE:
	case PF_ANY:
	default:
		break;
	}
	return true;
}
