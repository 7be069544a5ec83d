/*
 * qmail_value.c - the records of todo, info, local and remote, as qmail-send reads them
 *
 * One damage, one finding: behind a record that makes qmail-send give up nothing more is said of
 * the file. Letters that the original does not know are used by patches (IndiMail has e and h
 * in todo and info): they are no proof of damage as long as all else is well formed.
 */
#include "qmail.h"

/* Kinds of records, in the order in which qmail-queue writes them. */
enum kind { KIND_UID, KIND_PID, KIND_SENDER, KIND_RECIPIENT, KIND_DONE, KIND_OTHER };

static bool is_letter(uint8_t ch)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
}

static bool is_list(unsigned place)
{
	return place == QM_LOCAL || place == QM_REMOTE;
}

/* What qmail knows in a file of this place. */
static enum kind kind_of(unsigned place, uint8_t type)
{
	bool todo = place == QM_TODO;

	switch (type) {
	case 'u':
		return todo ? KIND_UID : KIND_OTHER;
	case 'p':
		return todo ? KIND_PID : KIND_OTHER;
	case 'F':
		return todo || place == QM_INFO ? KIND_SENDER : KIND_OTHER;
	case 'T':
		return todo || is_list(place) ? KIND_RECIPIENT : KIND_OTHER;
	case 'D':
		return is_list(place) ? KIND_DONE : KIND_OTHER;
	default:
		return KIND_OTHER;
	}
}

/* --- The envelope of the report ------------------------------------------------ */

static uint16_t keep(uint8_t *to, struct cur value)
{
	size_t n = cur_left(&value) < ADDRESS_MAX ? cur_left(&value) : ADDRESS_MAX;

	cur_copy(&value, to, n);
	return (uint16_t)n;
}

static void put_envelope(const struct qm_work *x, enum kind kind, const struct qm_record *rec)
{
	struct report *r = x->r;

	if (kind == KIND_SENDER && !r->has_sender && rec->whole) {
		r->has_sender = true;
		r->sender_len = keep(r->sender, rec->value);
	} else if (kind == KIND_RECIPIENT) {
		if (r->recipients++ == 0 && rec->whole)
			r->recipient_len = keep(r->recipient, rec->value);
	} else if (kind == KIND_DONE) {
		r->recipients_done++;
	}
}

/* --- One record -------------------------------------------------------------------- */

static void say_type(struct finding *f, unsigned place, uint8_t type)
{
	text_str(&f->expected, place == QM_INFO ? "F" : place == QM_TODO ? "u, p, F or T" : "T or D");
	text_bytes(&f->found, &type, 1);
}

/* A record that the original refuses. False: it reads no further. */
static bool other_record(const struct qm_work *x, unsigned place, const struct qm_record *rec)
{
	struct finding *f;

	if (rec->type == 0 || !is_letter(rec->type) || is_list(place)) {
		f = qm_note(x, F_QMAIL_RECORD, x->k->role, rec->off, rec->len);
		say_type(f, place, rec->type);
		return false;
	}
	if (!x->k->letter) {
		x->k->letter = true;
		x->k->letter_at = rec->off;
		x->k->letter_len = rec->len;
		x->k->letter_type = rec->type;
	}
	return true;
}

static void check_number(const struct qm_work *x, const struct qm_record *rec)
{
	struct cur c = rec->value;
	bool good = rec->whole && cur_left(&c) > 0 && cur_left(&c) <= QM_ID_MAX;
	struct finding *f;

	while (good && cur_left(&c) > 0) {
		uint8_t ch = cur_u8(&c);

		good = ch >= '0' && ch <= '9';
	}
	if (good)
		return;
	f = qm_note(x, F_QMAIL_NUMBER, x->k->role, rec->off, rec->len);
	text_str(&f->field, rec->type == 'u' ? "user id" : "process id");
	qm_say(&f->found, rec->value);
}

/* qmail-queue writes no longer address into todo and info. Afterwards rewriting adds to it. */
static void check_address(const struct qm_work *x, unsigned place, const struct qm_record *rec)
{
	uint64_t max = is_list(place) ? QM_RECORD_LONG : QM_ADDRESS;
	struct finding *f;

	if (rec->len > max + 2) {
		f = qm_note(x, F_QMAIL_ADDRESS_LONG, x->k->role, rec->off, rec->len);
		text_str(&f->expected, "at most ");
		text_u64(&f->expected, max);
		text_str(&f->expected, " bytes");
		text_u64(&f->found, rec->len - 2);
	}
	/* qmail-smtpd takes RCPT TO:<> from those who may relay. Rewriting adds a host. */
	if (rec->type != 'F' && rec->whole && cur_left(&rec->value) == 0) {
		f = qm_note(x, F_QMAIL_RECIPIENT_EMPTY, x->k->role, rec->off, rec->len);
		if (place == QM_TODO)
			f->severity = SEV_NOTICE;
	}
}

/* The end of the file in a record. */
static void cut_record(const struct qm_work *x, unsigned place, const struct qm_record *rec)
{
	struct finding *f;

	if (place == QM_INFO && x->k->count[KIND_SENDER] == 0)
		return; /* there is no sender then: said at the end */
	f = qm_note(x, place == QM_INFO ? F_QMAIL_INFO_BEHIND : F_QMAIL_CUT, x->k->role,
		    rec->off, rec->len);
	text_str(&f->expected, "a zero byte at the end");
	qm_say(&f->found, rec->value);
}

/* What the kind of record says of those before it. */
static void check_order(const struct qm_work *x, enum kind kind)
{
	struct qm_check *k = x->k;

	for (unsigned later = kind + 1u; later <= KIND_RECIPIENT; later++)
		k->disorder |= k->count[later] > 0;
	k->disorder |= kind < KIND_RECIPIENT && k->count[kind] > 0;
}

static bool good_record(const struct qm_work *x, unsigned place, const struct qm_record *rec,
			enum kind kind)
{
	struct finding *f;

	put_envelope(x, kind, rec);
	if (place == QM_TODO)
		check_order(x, kind);
	if (place == QM_INFO && x->k->count[KIND_SENDER] > 0) {
		f = qm_note(x, F_QMAIL_INFO_BEHIND, x->k->role, rec->off, rec->len);
		text_str(&f->expected, "one record");
		return false;
	}
	if (kind <= KIND_PID)
		check_number(x, rec);
	else if (kind != KIND_DONE)
		check_address(x, place, rec);
	return true;
}

/* False: the server reads no further. */
static bool one_record(const struct qm_work *x, unsigned place, const struct qm_record *rec)
{
	enum kind kind = kind_of(place, rec->type);
	bool more = true;

	if (!rec->ended) {
		if (!x->k->quiet)
			cut_record(x, place, rec);
		return false;
	}
	if (x->k->quiet) {
		put_envelope(x, kind, rec);
		return true;
	}
	if (kind != KIND_OTHER)
		more = good_record(x, place, rec, kind);
	else if (place == QM_INFO && !is_letter(rec->type) && x->k->count[KIND_SENDER] > 0)
		return good_record(x, place, rec, kind);
	else if (place != QM_INFO || x->k->count[KIND_SENDER] > 0)
		more = other_record(x, place, rec);
	else
		return false; /* info that begins with something else has no sender */
	if (kind <= KIND_RECIPIENT)
		x->k->count[kind]++;
	else if (kind == KIND_DONE)
		x->k->count[KIND_RECIPIENT]++;
	return more;
}

/* --- The whole file ------------------------------------------------------------------ */

static void check_todo(const struct qm_work *x, const struct part *p)
{
	const struct qm_check *k = x->k;
	unsigned role = x->k->role;
	struct finding *f;

	if (k->count[KIND_SENDER] == 0) {
		f = qm_note(x, F_QMAIL_SENDER_MISSING, role, 0, p->size);
		text_str(&f->expected, "a record F");
	} else if (k->disorder || k->count[KIND_UID] != 1 || k->count[KIND_PID] != 1) {
		f = qm_note(x, F_QMAIL_ORDER, role, 0, p->size);
		text_str(&f->expected, "one u, one p, one F, then T");
	}
	if (k->count[KIND_SENDER] > 0 && k->count[KIND_RECIPIENT] == 0 && !k->cut)
		qm_note(x, F_QMAIL_NO_RECIPIENTS, role, p->size, 0);
}

/* `stopped`: before its end. */
static void file_end(const struct qm_work *x, unsigned place, bool stopped)
{
	const struct part *p = &x->m->parts[x->k->role];
	const struct qm_check *k = x->k;
	struct finding *f;

	if (place == QM_INFO && k->count[KIND_SENDER] == 0) {
		f = qm_note(x, F_QMAIL_SENDER_MISSING, x->k->role, 0, p->size);
		text_str(&f->expected, "F, an address, a zero byte");
	}
	if (place == QM_TODO && (!stopped || k->cut))
		check_todo(x, p);
	if (k->letter && !stopped) {
		f = qm_note(x, F_QMAIL_RECORD_LETTER, x->k->role, k->letter_at, k->letter_len);
		if (place == QM_INFO)
			f->impact = IMPACT_NONE;
		say_type(f, place, k->letter_type);
	}
}

/* Zero bytes from the start of the file; false: give a window. */
static bool count_zeros(const struct qm_work *x, unsigned role, struct want *w)
{
	const struct part *p = &x->m->parts[role];
	struct qm_check *k = x->k;

	while (!k->zeros_known && k->zeros < p->size) {
		struct cur c;

		if (!qm_there(x->m, role, k->zeros, 1, w))
			return false;
		c = qm_window(p, k->zeros);
		while (cur_peek(&c) == 0) {
			cur_skip(&c, 1);
			k->zeros++;
		}
		k->zeros_known = cur_left(&c) > 0;
	}
	k->zeros_known = true;
	return true;
}

/* The next file begins. */
static void file_done(struct qm_check *k)
{
	memset(&k->read, 0, sizeof k->read);
	memset(k->count, 0, sizeof k->count);
	k->zeros = 0;
	k->zeros_known = k->disorder = k->cut = k->letter = false;
}

static void empty_file(const struct qm_work *x, unsigned place)
{
	if (!x->k->quiet)
		qm_note(x, place == QM_TODO ? F_QMAIL_TODO_EMPTY :
			   place == QM_INFO ? F_QMAIL_SENDER_MISSING : F_QMAIL_LIST_EMPTY,
			x->k->role, 0, 0);
}

static void zero_file(const struct qm_work *x)
{
	unsigned role = x->k->role;

	if (!x->k->quiet)
		qm_note(x, F_SPOOL_ZERO_FILLED, role, 0, x->m->parts[role].size)->impact =
			IMPACT_STRANDED;
}

bool qm_records(const struct qm_work *x, unsigned place, unsigned role, struct want *w)
{
	const struct part *p = &x->m->parts[role];
	struct qm_check *k = x->k;
	struct qm_record rec = { 0 };
	enum qm_read got;
	bool more = true;

	if (p->mode == 0)
		return true;
	k->role = role;
	if (!count_zeros(x, role, w))
		return false;
	if (k->zeros == p->size) {
		if (p->size == 0)
			empty_file(x, place);
		else
			zero_file(x);
		file_done(k);
		return true;
	}
	while ((got = qm_next(&k->read, x->m, role, &rec, w)) == QM_RECORD && more) {
		more = one_record(x, place, &rec);
		k->cut |= !rec.ended; /* cut: what was read so far counts */
		if (!more)
			break;
	}
	if (got == QM_WANT)
		return false;
	if (!k->quiet)
		file_end(x, place, !more);
	file_done(k);
	return true;
}
