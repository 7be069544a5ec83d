/*
 * exim_recipient.c - the recipients of an Exim -H file
 *
 * Behind the address may stand the original recipient with DSN flags, and an
 * errors-to address with the number of a parent, each address with its length
 * behind it: Exim takes the line apart from its end, and trusts every number.
 * When the very last digit is gone it takes all of the line for an address.
 */
#include "exim.h"

#include <string.h>

/* --- A line, taken apart --------------------------------------------------------- */

/* " FIELD LENGTH,NUMBER" at the end of `c`, where FIELD has LENGTH bytes: taken off,
 * as the reader does it, from the right. False when it does not fit. */
static bool take_field(struct cur *c, struct cur *field, int64_t *number_r, bool *outside_r,
		       struct cur *numbers_r)
{
	struct cur whole = *c, numbers;
	size_t n = 0;
	int64_t len = 0;
	int ch;

	do {
		struct cur before = *c;

		ch = ex_pop(c);
		if (!ex_digit(ch) && ch != ',' && ch != '-') {
			*c = before;
			break;
		}
		n++;
	} while (ch >= 0);
	cur_skip(&whole, cur_left(c));
	numbers = *numbers_r = cur_sub(&whole, n);
	if (!ex_int(&numbers, &len) || cur_u8(&numbers) != ',' || !ex_int(&numbers, number_r) ||
	    cur_left(&numbers) > 0)
		return false;
	if (ex_pop(c) != ' ')
		return false;
	if (len < 0)
		return false;
	if ((uint64_t)len >= cur_left(c)) {
		*outside_r = true;
		return false;
	}
	whole = *c;
	*c = cur_sub(&whole, cur_left(&whole) - (size_t)len);
	*field = cur_sub(&whole, (size_t)len);
	return ex_pop(c) == ' ';
}

/* The forms that end in digits: Exim 3 (" 0,0,-1" without the minus) and the first
 * Exim 4 (" 2"). */
static void old_form(struct cur line, struct cur *c, struct ex_rcpt *r, int before)
{
	struct cur digits = line, head = *c;
	int64_t ignored;
	int ch;

	if (before == ' ') {
		r->form = EX_PARENT;
		cur_skip(&digits, cur_left(c) + 1);
		if (cur_left(&digits) > 0)
			ex_int(&digits, &r->parent);
		r->address = *c;
		return;
	}
	for (ch = ex_pop(&head); ex_digit(ch) || ch == ','; ch = ex_pop(&head))
		;
	if (ch != ' ')
		return;
	r->form = EX_EXIM3;
	cur_skip(&digits, cur_left(&head) + 1);
	ex_int(&digits, &ignored);
	cur_u8(&digits);
	ex_int(&digits, &r->parent);
	r->address = head;
}

void ex_recipient(struct cur line, struct ex_rcpt *r)
{
	struct cur c = line, flags = line;
	int ch = ex_pop(&c);

	memset(r, 0, sizeof *r);
	r->parent = -1;
	r->address = line;
	while (ex_digit(ch))
		ch = ex_pop(&c);
	if (ch == ' ' || ch == ',')
		old_form(line, &c, r, ch);
	if (ch != '#')
		return;
	cur_skip(&flags, cur_left(&c) + 1);
	r->form = EX_NO_FORM;
	if (!ex_all_digits(flags, &r->flags) || (r->flags != 1 && r->flags != 3))
		return;
	r->form = r->flags == 3 ? EX_DSN : EX_ERRORS;
	if (!take_field(&c, &r->errors_to, &r->parent, &r->outside, &r->bad_field))
		r->bad = 'e';
	else if (r->flags == 3 && !take_field(&c, &r->orcpt, &r->dsn, &r->outside, &r->bad_field))
		r->bad = 'o';
	r->address = c;
}

/* --- What may be an address -------------------------------------------------------- */

/* What stands in no atom (RFC 5322, 3.2.3), apart from the dot. */
static bool special(int ch)
{
	static const char specials[] = "()<>@,;:\\\"[]";

	return ch <= ' ' || ch == 127 || memchr(specials, ch, sizeof specials - 1) != NULL;
}

/* The rest of a quoted string; false when it has no end. */
static bool quoted(struct cur *c)
{
	while (cur_peek(c) >= 0)
		switch (cur_u8(c)) {
		case '\\':
			cur_u8(c);
			break;
		case '"':
			return true;
		}
	return false;
}

static bool domain(struct cur c)
{
	bool literal = cur_peek(&c) == '[';
	int last = -1;

	while (cur_peek(&c) >= 0) {
		last = cur_u8(&c);
		if (literal ? last <= ' ' || last == 127 : special(last))
			return false;
	}
	return literal ? last == ']' : last >= 0;
}

/* Can Exim have written it? Whatever becomes a recipient went through its reader of
 * addresses, which takes blanks and comments out (src/parse.c, parse_extract_address(), up to
 * 4.99); only a local_scan() function can add one that did not. Up to 4.10 any atom was good
 * for a domain. Source routes, which Exim 3 could keep, are not looked into. */
static bool address_written(struct cur c)
{
	if (cur_peek(&c) == '@')
		return true;
	while (cur_peek(&c) >= 0) {
		int ch = cur_u8(&c);

		if (ch == '@')
			return domain(c);
		if (ch == '\\')
			cur_u8(&c);
		else if (ch == '"' ? !quoted(&c) : special(ch))
			return false;
	}
	return true;
}

/* --- Judged ------------------------------------------------------------------------- */

void ex_recipient_count(const struct ex_work *x, const struct ex_item *it)
{
	bool limited = x->m->site.version >= VERSION(4, 88, 0);
	struct finding *f;
	int64_t ignored;

	x->k->count = it->number;
	x->k->rcpt_off = it->off + it->len;
	ex_tree_end(x);
	if (!ex_all_digits(it->line, &ignored)) {
		f = ex_note_as(x, F_EXIM_RECIPIENT_COUNT, EX_HEAD, it->off, it->len, SEV_SUSPECT,
			       IMPACT_NONE);
		text_str(&f->expected, "a number and nothing else");
		ex_say(&f->found, it->line);
	}
	if (it->number > EX_RECIPIENTS && !ex_before(x, VERSION(4, 88, 0))) {
		f = ex_note(x, F_EXIM_RECIPIENT_LIMIT, EX_HEAD, it->off, it->len);
		text_str(&f->expected, "at most ");
		text_u64(&f->expected, EX_RECIPIENTS);
		text_i64(&f->found, it->number);
		if (!limited)
			f->severity = SEV_SUSPECT;
	}
	if (it->number == 0)
		ex_note(x, F_EXIM_RECIPIENT_NONE, EX_HEAD, it->off, it->len);
}

static void say(const struct ex_work *x, struct finding *f, const char *field, struct cur found)
{
	text_str(&f->field, "recipient ");
	text_u64(&f->field, (uint64_t)x->k->index + 1);
	text_str(&f->field, field);
	ex_say(&f->found, found);
}

/* Its fields; false when they do not tell where the address ends. */
static bool fields(const struct ex_work *x, const struct ex_item *it, const struct ex_rcpt *r)
{
	struct finding *f;

	if (r->form == EX_NO_FORM) {
		f = ex_note(x, F_EXIM_RECIPIENT_FLAGS, EX_HEAD, it->off, it->len);
		say(x, f, ", number behind #", it->line);
		text_str(&f->expected, "1 or 3");
		return false;
	}
	if (r->bad != 0) {
		f = ex_note(x, F_EXIM_RECIPIENT_LENGTH, EX_HEAD, cur_offset(&r->bad_field),
			    cur_left(&r->bad_field));
		say(x, f,
		    r->bad == 'e' ? ", length of errors-to" : ", length of the original recipient",
		    it->line);
		text_str(&f->expected, "the length of the field before it");
		if (!r->outside)
			f->impact = x->k->held ? IMPACT_NONE : IMPACT_DAMAGED_DELIVERY;
		return false;
	}
	if (r->form == EX_ERRORS) {
		f = ex_note(x, F_EXIM_RECIPIENT_OLD, EX_HEAD, it->off, it->len);
		say(x, f, "", it->line);
		if (ex_before(x, VERSION(4, 83, 0)))
			f->severity = SEV_NOTICE, f->impact = IMPACT_NONE;
	}
	return true;
}

static void address(const struct ex_work *x, const struct ex_item *it, const struct ex_rcpt *r)
{
	struct finding *f;
	int64_t ignored;

	if (cur_left(&r->address) == 0) {
		f = ex_note_as(x, F_EXIM_RECIPIENT_ADDRESS, EX_HEAD, it->off, it->len, SEV_CORRUPT,
			       x->k->held ? IMPACT_NONE : IMPACT_DAMAGED_DELIVERY);
	} else if (!address_written(r->address)) {
		f = ex_note(x, F_EXIM_RECIPIENT_SYNTAX, EX_HEAD, it->off, it->len);
		text_str(&f->expected, "an address as Exim writes it, or one and its numbers");
	} else if (ex_all_digits(r->address, &ignored) ||
		   cur_find(&r->address, '@') == cur_left(&r->address)) {
		f = ex_note(x, F_EXIM_RECIPIENT_ADDRESS, EX_HEAD, it->off, it->len);
	} else {
		return;
	}
	say(x, f, "", it->line);
}

static void numbers(const struct ex_work *x, const struct ex_item *it, const struct ex_rcpt *r)
{
	const struct ex_check *k = x->k;
	struct finding *f;

	if (r->form == EX_DSN && (r->dsn < 0 || r->dsn > EX_DSN_FLAGS)) {
		f = ex_note(x, F_EXIM_RECIPIENT_DSN, EX_HEAD, it->off, it->len);
		say(x, f, ", DSN flags", it->line);
		text_str(&f->expected, "0 to ");
		text_u64(&f->expected, EX_DSN_FLAGS);
	}
	if (r->parent >= k->count || r->parent < -1 ||
	    (r->parent == k->index && r->form >= EX_ERRORS)) {
		f = ex_note(x, F_EXIM_RECIPIENT_PARENT, EX_HEAD, it->off, it->len);
		say(x, f, ", number of its parent", it->line);
		text_str(&f->expected, "-1, or another one of ");
		text_i64(&f->expected, k->count);
		if (r->parent < k->count) { /* no number of another, but inside */
			f->severity = SEV_SUSPECT;
			f->impact = IMPACT_NONE;
		}
	}
}

void ex_recipient_line(const struct ex_work *x, const struct ex_item *it)
{
	struct ex_rcpt r;

	ex_recipient(it->line, &r);
	if (fields(x, it, &r)) {
		address(x, it, &r);
		numbers(x, it, &r);
	}
	if (x->k->index < INT64_MAX) /* they were announced in an int */
		x->k->index++;
}
