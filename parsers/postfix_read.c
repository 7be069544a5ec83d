/*
 * postfix_read.c - from record to record through a Postfix queue file
 *
 * All readers of the format stand on pf_read() and pf_follow(): they give the
 * records in the order in which Postfix' record.c would, from whatever window
 * of the file is at hand, and say exactly where and why that ends. They judge
 * nothing else. A record is
 *
 *	+------+--------------------+-----------------+
 *	| type | length, base 128   | data            |   record.c, rec_get_raw()
 *	| 1    | 1..5, low group    | length bytes    |
 *	|      | first, bit 7: more |                 |
 *	+------+--------------------+-----------------+
 *
 * Reading ends: positions grow from record to record; a jump is charged to
 * Postfix' own limit of backward jumps, and Brent's algorithm finds the target
 * that is reached a second time (reading has no state but its position, so a
 * second time means for ever).
 */
#include "postfix.h"

const char *const pf_size_names[PF_FIELDS] = {
	"data size", "data offset", "recipient count", "flags", "content length", "sendopts",
};

struct cur pf_window(const struct part *p, uint64_t off)
{
	struct cur c = cur_make(p->bytes, p->len, p->off);

	if (off < p->off || off - p->off > p->len)
		return cur_make(p->bytes, 0, off);
	cur_seek(&c, (size_t)(off - p->off));
	return c;
}

void pf_want(struct want *w, const struct part *p, uint64_t off, size_t need, size_t wish)
{
	uint64_t left = p->size > off ? p->size - off : 1;

	w->part = PF_MESSAGE;
	w->off = off;
	w->need = need;
	w->len = wish < need ? need : wish;
	if (w->len > left && left >= need)
		w->len = (size_t)left;
}

/* Ask for a window at the next record. After a jump a small one will do, once:
 * reading that goes on from there is sequential again. */
static enum pf_got want_here(struct pf_reader *rd, const struct part *p, size_t need,
			     struct want *w)
{
	pf_want(w, p, rd->pos, need, rd->near ? PF_WINDOW_JUMP : WINDOW_MAX);
	rd->near = false;
	return PF_WANT;
}

enum pf_got pf_read(struct pf_reader *rd, const struct part *p, enum pf_segment segment,
		    struct pf_record *rec, struct want *w)
{
	struct cur c = pf_window(p, rd->pos);
	uint64_t left = p->size > rd->pos ? p->size - rd->pos : 0;
	size_t need = left < PF_HEADER_MAX ? (size_t)left : PF_HEADER_MAX;
	int type, low;
	size_t view;

	rec->off = rd->pos;
	rec->data = cur_make(p->bytes, 0, rd->pos);
	rec->string = 0;
	if (left == 0)
		return PF_EOF;
	if (cur_left(&c) < need)
		return want_here(rd, p, need, w);
	if (left < PF_HEADER_MAX)
		c = cur_sub(&c, (size_t)left); /* a file that grew meanwhile ends here */
	type = cur_peek(&c);
	low = cur_ahead(&c, 1);
	if (low >= 0 && low < 0x80) { /* nearly every record: kept short for speed */
		rec->type = (uint8_t)type;
		rec->len = (unsigned)low;
		rec->header = 2;
		rec->padded = false;
		cur_skip(&c, 2);
	} else {
		rec->type = cur_u8(&c);
		rec->len = cur_varint(&c, PF_LENGTH_BYTES, PF_LENGTH_MAX);
		rec->header = (uint8_t)(cur_offset(&c) - rec->off);
		if (c.err == CUR_LONG_FORM)
			return PF_LONG;
		if (c.err == CUR_TOO_BIG)
			return PF_TOO_BIG;
		if (c.err != CUR_OK)
			return PF_CUT;
		rec->padded = rec->header > 2 && rec->header <= PF_HEADER_MAX &&
			      rec->len >> (7 * (rec->header - 2u)) == 0;
	}
	left -= rec->header;
	if (rec->len > left)
		return PF_OVERRUN;
	view = rec->len < PF_VIEW ? (size_t)rec->len : PF_VIEW;
	if (segment == PF_TEXT && rec->type != 'p')
		view = 0;
	if (cur_left(&c) < view)
		return want_here(rd, p, rec->header + view, w);
	rec->data = cur_sub(&c, view);
	rec->string = cur_find(&rec->data, 0);
	rd->pos = rec->off + rec->header + rec->len;
	return PF_GOT;
}

void pf_skip_text(struct pf_reader *rd, const struct part *p, uint64_t cap)
{
	struct cur c = pf_window(p, rd->pos);
	uint64_t at = rd->pos;

	for (;;) {
		int type = cur_peek(&c), low = cur_ahead(&c, 1), high = cur_ahead(&c, 2);
		size_t len, head = 2;

		if (high < 0 || (type != 'N' && type != 'L'))
			break;
		len = (unsigned)low;
		if (len >= 0x80) {
			if (high == 0 || high >= 0x80)
				break;
			len = (len & 0x7f) | (size_t)high << 7;
			head = 3;
		}
		if (len > cap || !cur_skip(&c, head + len))
			break;
		at = cur_offset(&c);
	}
	rd->pos = at <= p->size ? at : rd->pos;
}

/* The offset that a pointer record holds, read as rec_goto() does: blanks, then
 * digits up to the end or a NUL. */
static enum pf_jump pointer_value(const struct pf_record *rec, uint64_t *value_r)
{
	struct cur c = pf_string(rec);
	uint64_t value = 0;
	bool any = false;

	cur_skip_blanks(&c);
	while (cur_left(&c) > 0) {
		unsigned digit = (unsigned)cur_u8(&c) - '0';

		if (digit > 9 || value > ((uint64_t)INT64_MAX - digit) / 10)
			return PF_NO_NUMBER;
		value = value * 10 + digit;
		any = true;
	}
	*value_r = value;
	if (rec->len > PF_VIEW)
		return PF_NO_NUMBER;
	return any ? (value == 0 ? PF_DUMMY : PF_JUMPED) : PF_NO_VALUE;
}

enum pf_jump pf_follow(struct pf_reader *rd, const struct part *p, const struct pf_record *rec,
		       uint64_t *target_r)
{
	uint64_t target = 0;
	enum pf_jump jump = pointer_value(rec, &target);

	*target_r = target;
	if (jump != PF_JUMPED)
		return jump;
	if (p->size < 2 || target > p->size - 2)
		return PF_OUTSIDE;
	if (target == rd->tortoise)
		return PF_LOOP;
	if (target <= rd->jumped && ++rd->backward > PF_BACKWARD_MAX)
		return PF_BACKWARD;
	if (++rd->steps >= rd->power) {
		rd->tortoise = target;
		rd->power = 2 * rd->power + 1;
		rd->steps = 0;
	}
	if (rd->jumps < UINT32_MAX)
		rd->jumps++;
	rd->jumped = target;
	rd->pos = target;
	rd->near = true;
	return PF_JUMPED;
}

/* --- Values --------------------------------------------------------------- */

bool pf_number(struct cur *c, int64_t *value_r)
{
	bool minus, any = false;
	uint64_t value = 0;
	int ch;

	cur_skip_blanks(c);
	ch = cur_peek(c);
	minus = ch == '-';
	if (ch == '-' || ch == '+')
		cur_skip(c, 1);
	for (ch = cur_peek(c); ch >= '0' && ch <= '9'; ch = cur_peek(c)) {
		unsigned digit = (unsigned)ch - '0';

		if (value > INT64_MAX / 10 || (value == INT64_MAX / 10 && digit > INT64_MAX % 10))
			value = INT64_MAX;
		else
			value = value * 10 + digit;
		any = true;
		cur_skip(c, 1);
	}
	*value_r = (int64_t)(minus ? 0 - value : value);
	return any;
}

bool pf_is_number(struct cur c)
{
	int64_t ignored;

	cur_skip_blanks(&c);
	if (cur_peek(&c) == '+' || !pf_number(&c, &ignored))
		return false;
	cur_skip_blanks(&c);
	return cur_left(&c) == 0;
}

bool pf_all_digits(struct cur c, int64_t *value_r)
{
	int first = cur_peek(&c);

	*value_r = 0;
	return first >= '0' && first <= '9' && pf_number(&c, value_r) && cur_left(&c) == 0;
}

/* As the C library converts for %d: a long, cut to an int. */
static int64_t as_int(int64_t value)
{
	uint32_t low = (uint32_t)(uint64_t)value;

	return low > INT32_MAX ? (int64_t)low - ((int64_t)UINT32_MAX + 1) : (int64_t)low;
}

struct cur pf_size_column(const struct pf_record *rec, unsigned n)
{
	struct cur c = rec->data;
	size_t left;

	cur_skip(&c, (size_t)n * PF_COLUMN);
	left = cur_left(&c);
	return cur_sub(&c, left < PF_COLUMN - 1 ? left : PF_COLUMN - 1);
}

/* A size record exactly as Postfix writes it: columns of blanks and digits. */
static bool size_scan_plain(const struct pf_record *rec, struct pf_size *s)
{
	int64_t field[PF_FIELDS] = { 0 };
	struct cur c = rec->data;

	if (s->columns > PF_FIELDS || rec->len + 1 != s->columns * PF_COLUMN)
		return false;
	for (unsigned i = 0; i < s->columns; i++) {
		uint8_t text[PF_COLUMN] = { 0 };
		bool last = i + 1 == s->columns;
		int64_t value = 0;
		unsigned at = 0;

		cur_copy(&c, text, last ? PF_COLUMN - 1 : PF_COLUMN);
		while (at < PF_COLUMN - 2 && text[at] == ' ')
			at++;
		for (; at < PF_COLUMN - 1; at++) {
			unsigned digit = text[at] - (unsigned)'0';

			if (digit > 9)
				return false;
			value = value * 10 + digit;
		}
		if (!last && text[PF_COLUMN - 1] != ' ')
			return false;
		field[i] = i >= 2 && i != 4 ? as_int(value) : value;
	}
	memcpy(s->field, field, sizeof field);
	s->count = (int)s->columns;
	return true;
}

void pf_size_scan(const struct pf_record *rec, struct pf_size *s)
{
	struct cur c = pf_string(rec);
	unsigned i;

	*s = (struct pf_size){ .columns = (unsigned)((rec->len + 1) / PF_COLUMN) };
	if (size_scan_plain(rec, s))
		return;
	for (i = 0; i < PF_FIELDS; i++) {
		if (!pf_number(&c, &s->field[i])) {
			s->field[i] = 0;
			break;
		}
		if (i >= 2 && i != 4)
			s->field[i] = as_int(s->field[i]);
		s->count++;
	}
	for (i = 0; i < s->columns && i < PF_VIEW / PF_COLUMN && s->bad == 0; i++) {
		struct cur column = pf_size_column(rec, i);
		struct cur gap = rec->data;

		if (!pf_is_number(column))
			s->bad = i + 1;
		if (i + 1 < s->columns && cur_skip(&gap, (size_t)(i + 1) * PF_COLUMN - 1) &&
		    cur_peek(&gap) != ' ')
			s->bad = i + 1;
	}
}

bool pf_attribute(struct cur *c, struct cur *name_r)
{
	cur_skip_blanks(c);
	*name_r = cur_sub(c, cur_word(c, '='));
	cur_skip_blanks(c);
	if (cur_left(name_r) == 0 || cur_peek(c) != '=')
		return false;
	cur_skip(c, 1);
	cur_skip_blanks(c);
	cur_trim(c);
	return true;
}

bool pf_fixed_2026(uint32_t version)
{
	return version >= VERSION(3, 11, 6) ||
	       (version >= VERSION(3, 10, 13) && version < VERSION(3, 11, 0)) ||
	       (version >= VERSION(3, 9, 14) && version < VERSION(3, 10, 0));
}

bool pf_showq_dies(uint32_t version)
{
	return version == 0 || (version >= VERSION(3, 1, 0) && !pf_fixed_2026(version));
}

void pf_say_type(struct text *t, uint8_t type)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t out[4] = { '0', 'x', (uint8_t)hex[type >> 4], (uint8_t)hex[type & 15] };

	if (type < 0x20 || type >= 0x7f) {
		text_bytes(t, out, sizeof out);
		return;
	}
	text_str(t, "'");
	text_bytes(t, &type, 1);
	text_str(t, "'");
	if (pf_rules[type].name != NULL) {
		text_str(t, " (");
		text_str(t, pf_rules[type].name);
		text_str(t, ")");
	}
}

void pf_say_bytes(struct text *t, struct cur c)
{
	for (unsigned i = 0; i < TEXT_MAX && cur_left(&c) > 0; i++) {
		uint8_t byte = cur_u8(&c);

		text_bytes(t, &byte, 1);
	}
}
