/*
 * courier_read.c - records of a control file as Courier reads them
 *
 * A record is a line: one letter, then its value. Courier reads the file in one piece as a C
 * string, so a zero byte ends it; empty lines do not count. Recipients are numbered from 0 in the
 * order of the file; what was delivered is appended as S or F with that number.
 */
#include "courier.h"

static bool is_digit(int ch)
{
	return ch >= '0' && ch <= '9';
}

static bool is_hex(int ch)
{
	return is_digit(ch) || (ch >= 'A' && ch <= 'F') || (ch >= 'a' && ch <= 'f');
}

/* --- Lines ---------------------------------------------------------------------- */

struct cur co_text(const struct part *p)
{
	struct cur all = cur_make(p->bytes, p->len, p->off);

	return cur_sub(&all, cur_find(&all, 0));
}

bool co_next(struct cur *c, struct co_line *line)
{
	struct cur text;
	size_t n;

	while (cur_peek(c) == '\n')
		cur_skip(c, 1);
	if (cur_left(c) == 0)
		return false;
	line->off = cur_offset(c);
	n = cur_find(c, '\n');
	line->ended = n < cur_left(c);
	text = cur_sub(c, n);
	if (line->ended)
		cur_skip(c, 1);
	line->len = cur_offset(c) - line->off;
	line->letter = (char)cur_u8(&text);
	line->value = cur_sub(&text, cur_left(&text));
	cur_trim(&line->value); /* a carriage return is a blank to Courier */
	return true;
}

unsigned co_find(char letter)
{
	unsigned i = 0;

	while (i < CO_LETTERS && co_letters[i].letter != letter)
		i++;
	return i;
}

void co_say(struct text *t, struct cur c)
{
	text_left(t, &c);
}

/* --- Numbers ---------------------------------------------------------------------- */

uint64_t co_digits(struct cur *c)
{
	uint64_t n = 0;
	unsigned digits = 0;

	for (; is_digit(cur_peek(c)); digits++) {
		unsigned digit = cur_u8(c) - (unsigned)'0';

		n = digits < CO_NUMBER_DIGITS ? n * 10 + digit : UINT64_MAX;
	}
	return n;
}

int64_t co_expires(struct cur value)
{
	uint64_t n = 0;

	while (is_digit(cur_peek(&value)))
		n = n * 10 + cur_u8(&value) - (unsigned)'0';
	return (int64_t)n;
}

bool co_number(struct cur value, uint64_t *n_r)
{
	size_t n = cur_left(&value);

	*n_r = co_digits(&value);
	return n > 0 && n <= CO_NUMBER_DIGITS && cur_left(&value) == 0;
}

bool co_index(struct cur value, bool time, uint64_t *n_r)
{
	struct cur start = value;
	size_t n;

	*n_r = co_digits(&value);
	n = cur_left(&start) - cur_left(&value);
	if (n == 0 || n > CO_NUMBER_DIGITS || cur_u8(&value) != ' ')
		return false;
	if (!time)
		return cur_left(&value) > 0;
	start = value;
	co_digits(&value);
	n = cur_left(&start) - cur_left(&value);
	return n >= CO_TIME_DIGITS && n <= CO_NUMBER_DIGITS &&
	       (cur_left(&value) == 0 || cur_peek(&value) == ' ');
}

uint64_t co_atoi(struct cur value)
{
	bool minus;
	uint64_t n;

	cur_skip_blanks(&value);
	minus = cur_peek(&value) == '-';
	if (minus || cur_peek(&value) == '+')
		cur_skip(&value, 1);
	n = co_digits(&value);
	if (n > INT64_MAX) /* strtol() gives its smallest or largest number */
		n = minus ? 0 : UINT32_MAX;
	n = (uint32_t)(minus ? -n : n);
	return n > INT32_MAX ? UINT64_MAX : n;
}

bool co_msgid(struct cur value, int64_t *time_r)
{
	uint64_t time = 0;

	*time_r = 0;
	for (unsigned group = 0; group < 3; group++) {
		unsigned digits = 0;

		for (; is_hex(cur_peek(&value)) && digits <= 16; digits++) {
			unsigned ch = cur_u8(&value);
			unsigned digit = ch <= '9' ? ch - '0' : (ch | 0x20) - 'a' + 10;

			if (group == 1)
				time = (time & (UINT64_MAX >> 5)) * 16 + digit;
		}
		if (digits == 0 || digits > 16 || (group < 2 && cur_u8(&value) != '.'))
			return false;
	}
	if (time <= INT64_MAX)
		*time_r = (int64_t)time;
	return cur_left(&value) == 0;
}

/* --- All records together ------------------------------------------------------------ */

bool co_is_done(const struct co_sum *s, uint64_t recipient)
{
	return recipient < CO_TRACKED && (s->is_done[recipient / 8] >> (recipient % 8) & 1) != 0;
}

static void set_done(struct co_sum *s, uint64_t recipient)
{
	if (recipient >= CO_TRACKED || co_is_done(s, recipient))
		return;
	s->is_done[recipient / 8] |= (uint8_t)(1u << (recipient % 8));
	s->done++;
}

/* Every r is followed by its R and its N. */
static void in_turn(struct co_sum *s, const struct co_line *line)
{
	uint64_t *count = line->letter == 'r' ? &s->recipients :
			  line->letter == 'R' ? &s->originals : &s->notifies;
	bool turn = line->letter == 'r' ? s->recipients == s->originals && s->recipients == s->notifies :
		    line->letter == 'R' ? s->originals + 1 == s->recipients && s->notifies + 1 == s->recipients :
					  s->notifies + 1 == s->recipients && s->originals == s->recipients;

	(*count)++;
	if (!turn && !s->disorder) {
		s->disorder = true;
		s->order = line->off;
	}
}

static void add(struct co_sum *s, const struct co_line *line)
{
	int64_t time;
	struct cur value = line->value;

	switch (line->letter) {
	case 's':
		if (s->senders++ == 0)
			s->sender = line->value;
		break;
	case 'r':
	case 'R':
	case 'N':
		in_turn(s, line);
		break;
	case 'E':
		if (s->has_expiry)
			break;
		s->has_expiry = true;
		s->expiry = *line;
		s->expires = co_expires(value);
		break;
	case 'M':
		if (!s->has_msgid && co_msgid(line->value, &time))
			s->arrival = time;
		s->has_msgid = true;
		break;
	case 'A':
		s->has_next = true;
		s->next = *line;
		s->next_time = co_digits(&value);
		break;
	case 'L':
		if (s->has_delay)
			break;
		s->has_delay = true;
		s->delay = *line;
		s->delay_time = co_atoi(line->value);
		break;
	case 'C':
		s->attempts++;
		break;
	case 'X':
		s->cancelled = true;
		break;
	default:
		break;
	}
}

void co_sum(const struct part *p, struct co_sum *s)
{
	struct cur c = co_text(p);
	struct co_line line = { 0 };

	memset(s, 0, sizeof *s);
	while (co_next(&c, &line))
		add(s, &line);
	c = co_text(p);
	while (co_next(&c, &line))
		if (line.letter == 'S' || line.letter == 'F') {
			uint64_t n = co_atoi(line.value);

			if (n < s->recipients)
				set_done(s, n);
		}
}
