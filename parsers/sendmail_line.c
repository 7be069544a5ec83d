/*
 * sendmail_line.c - lines and values of a control file as Sendmail reads them
 *
 * A line goes on when the next one begins with a blank or a tab; CR LF is a line end. Its
 * first byte is the letter of the record. Values are C strings: a zero byte ends them.
 */
#include "sendmail.h"

static bool is_digit(int ch)
{
	return ch >= '0' && ch <= '9';
}

static int lower(int ch)
{
	return ch >= 'A' && ch <= 'Z' ? ch + ('a' - 'A') : ch;
}

static bool is_letter(int ch)
{
	return lower(ch) >= 'a' && lower(ch) <= 'z';
}

static bool is_hex(int ch)
{
	return is_digit(ch) || (lower(ch) >= 'a' && lower(ch) <= 'f');
}

/* --- Lines -------------------------------------------------------------------- */

/* The bytes that are left but the line end, which is LF or CR LF. */
static struct cur without_end(struct cur text)
{
	size_t n = cur_left(&text);

	if (n > 0 && cur_ahead(&text, n - 1) == '\n') {
		n--;
		if (n > 0 && cur_ahead(&text, n - 1) == '\r')
			n--;
	}
	return cur_sub(&text, n);
}

bool sm_next(struct cur *c, struct sm_line *line)
{
	struct cur start = *c, text;
	size_t n, len = 0, zero;

	memset(line, 0, sizeof *line);
	if (cur_left(c) == 0)
		return false;
	line->off = cur_offset(c);
	do {
		n = cur_find(c, '\n');
		line->folded = len > 0;
		line->ended = n < cur_left(c);
		n += line->ended;
		cur_skip(c, n);
		len += n;
	} while (line->ended && (cur_peek(c) == ' ' || cur_peek(c) == '\t'));
	line->len = len;
	text = cur_sub(&start, len);
	text = without_end(text);
	zero = cur_find(&text, 0);
	line->nul = zero < cur_left(&text) ? cur_offset(&text) + zero : UINT64_MAX;
	line->letter = cur_peek(&text);
	cur_skip(&text, line->letter >= 0);
	line->value = text;
	return true;
}

/* --- Words and numbers ------------------------------------------------------------ */

bool sm_is(struct cur c, const char *word)
{
	return cur_left(&c) == strlen(word) && sm_starts(c, word);
}

bool sm_starts(struct cur c, const char *s)
{
	for (; *s != '\0'; s++)
		if (cur_left(&c) == 0 || lower(cur_u8(&c)) != lower((unsigned char)*s))
			return false;
	return true;
}

bool sm_digits(struct cur c)
{
	if (cur_left(&c) == 0)
		return false;
	while (is_digit(cur_peek(&c)))
		cur_skip(&c, 1);
	return cur_left(&c) == 0;
}

struct sm_number sm_number(struct cur value)
{
	struct sm_number r = { 0, false, false, false };
	uint64_t n = 0;
	bool minus;

	cur_skip_blanks(&value);
	minus = cur_peek(&value) == '-';
	if (minus || cur_peek(&value) == '+')
		cur_skip(&value, 1);
	for (; is_digit(cur_peek(&value)); r.some = true) {
		unsigned digit = cur_u8(&value) - (unsigned)'0';

		r.out_of_range |= n > ((uint64_t)INT64_MAX - digit) / 10;
		n = r.out_of_range ? INT64_MAX : n * 10 + digit;
	}
	r.n = (int64_t)(minus ? 0 - n : n);
	r.clean = r.some && cur_left(&value) == 0;
	return r;
}

/* --- Addresses ---------------------------------------------------------------------- */

struct sm_recipient sm_recipient(struct cur value, int version)
{
	struct sm_recipient r = { true, false, value };

	if (version < 1)
		return r;
	r.colon = cur_find(&value, ':') < cur_left(&value);
	while (cur_left(&value) > 0 && cur_peek(&value) != ':') {
		static const char flags[] = "PNSFDBAY";

		if (memchr(flags, cur_u8(&value), sizeof flags - 1) == NULL)
			r.odd_flag = true;
	}
	cur_skip(&value, r.colon);
	r.address = value;
	return r;
}

struct cur sm_bare(struct cur address)
{
	size_t n;

	cur_skip_blanks(&address);
	cur_trim(&address);
	n = cur_left(&address);
	if (n >= 2 && cur_peek(&address) == '<' && cur_ahead(&address, n - 1) == '>') {
		cur_skip(&address, 1);
		return cur_sub(&address, n - 2);
	}
	return address;
}

bool sm_address_void(struct cur address)
{
	unsigned depth = 0;

	while (cur_left(&address) > 0) {
		uint8_t ch = cur_u8(&address);

		if (ch == '\\' && depth > 0)
			cur_skip(&address, cur_left(&address) > 0);
		else if (ch == '(')
			depth++;
		else if (ch == ')' && depth > 0)
			depth--;
		else if (depth == 0 && ch != ')' && !cur_blank(ch) && !(ch == '\\' && cur_left(&address) == 0))
			return false;
	}
	return true;
}

/* What is open at the end: a quote, brackets, comments; UINT32_MAX when something was closed
 * that was not open, or a control character is there, or half a character. */
static uint32_t open_at_end(struct cur c)
{
	uint32_t angles = 0, comments = 0;
	bool quote = false;
	uint8_t ch = 0;

	while (cur_left(&c) > 0) {
		bool before = ch < 128;

		ch = cur_u8(&c);
		/* Bytes 0200 to 0237 are refused; behind other such bytes they can be UTF-8. */
		if (ch < ' ' || ch == 0177 || ch == 0377 || (before && ch >= 0200 && ch < 0240) ||
		    (ch == '\\' && cur_left(&c) == 0))
			return UINT32_MAX;
		if (ch == '\\')
			cur_skip(&c, 1);
		else if (ch == '"' && comments == 0)
			quote = !quote;
		else if (quote)
			continue;
		else if (ch == '(')
			comments++;
		else if (ch == ')' && comments-- == 0)
			return UINT32_MAX;
		else if (comments == 0 && ch == '<')
			angles++;
		else if (comments == 0 && ch == '>' && angles-- == 0)
			return UINT32_MAX;
	}
	return angles + comments + quote;
}

bool sm_address_good(struct cur address)
{
	struct cur bare = sm_bare(address);
	size_t n = cur_left(&bare);
	int first = cur_peek(&bare), last = cur_ahead(&bare, n > 0 ? n - 1 : 0);

	return open_at_end(address) == 0 && n > 0 && n <= SM_ADDRESS_MAX && last != '@' &&
	       first != ';' && first != ',' && (first != '@' || n > 1);
}

bool sm_swallows(struct cur value)
{
	cur_skip(&value, cur_find(&value, '\n'));
	while (cur_left(&value) > 0) {
		struct cur line;
		struct sm_recipient r;

		cur_skip_blanks(&value);
		line = cur_sub(&value, cur_find(&value, '\n'));
		if (cur_u8(&line) != 'R')
			continue;
		r = sm_recipient(line, SM_VERSION);
		if (r.colon && !r.odd_flag && cur_left(&r.address) > 0)
			return true;
	}
	return false;
}

/* --- Headers ---------------------------------------------------------------------------- */

/* Step over a macro's {name}; false when it is none. */
static bool braced(struct cur *c)
{
	size_t n = 0;

	cur_skip(c, 1);
	while (is_letter(cur_peek(c)) || is_digit(cur_peek(c)) || cur_peek(c) == '_') {
		cur_skip(c, 1);
		n++;
	}
	if (n == 0 || n > SM_MACRO_MAX || cur_peek(c) != '}')
		return false;
	cur_skip(c, 1);
	return true;
}

/* What stands between the question marks: letters (any ASCII), or one macro, which is
 * written $x, ${name}, or in Sendmail's own way, byte 0201 for the $. */
static bool condition(struct cur c)
{
	int first = cur_peek(&c);

	if (first == '$' || first == 0201) {
		struct cur name;

		cur_skip(&c, 1);
		name = c;
		if (first == '$' && cur_peek(&name) == '{') {
			/* {x} stands for x, but is longer than it: refused. */
			return braced(&name) && cur_left(&name) == 0 && cur_left(&c) != 3;
		}
		return cur_left(&c) == 1;
	}
	while (cur_left(&c) > 0)
		if (cur_u8(&c) >= 128)
			return false;
	return true;
}

struct sm_header sm_header(struct cur value)
{
	struct sm_header h = { SM_HEADER_GOOD, value, value };
	size_t n = 0;

	if (cur_peek(&value) == '?') {
		struct cur inner;

		cur_skip(&value, 1);
		n = cur_find(&value, '?');
		if (n == cur_left(&value)) {
			h.state = SM_HEADER_FLAGS;
			return h;
		}
		inner = cur_sub(&value, n);
		cur_skip(&value, 1);
		if (!condition(inner)) {
			h.state = SM_HEADER_CONDITION;
			return h;
		}
	}
	h.name = value;
	for (n = 0; cur_peek(&value) > ' ' && cur_peek(&value) < 0177 && cur_peek(&value) != ':'; n++)
		cur_skip(&value, 1);
	h.name = cur_sub(&h.name, n);
	cur_skip_blanks(&value);
	if (n == 0 || cur_peek(&value) != ':')
		h.state = SM_HEADER_COLON;
	else
		cur_skip(&value, 1);
	h.value = value;
	return h;
}

bool sm_macro(struct cur value)
{
	if (cur_left(&value) == 0)
		return false;
	return cur_peek(&value) != '{' || braced(&value);
}

bool sm_xtext(struct cur value)
{
	while (cur_left(&value) > 0) {
		uint8_t ch = cur_u8(&value);

		if (ch == '+') {
			if (!is_hex(cur_peek(&value)) || !is_hex(cur_ahead(&value, 1)))
				return false;
			cur_skip(&value, 2);
		} else if (ch < '!' || ch > '~' || ch == '=') {
			return false;
		}
	}
	return true;
}

/* --- Saying --------------------------------------------------------------------------------- */

void sm_say(struct text *t, struct cur c)
{
	for (unsigned i = 0; i < TEXT_MAX && cur_left(&c) > 0; i++) {
		uint8_t byte = cur_u8(&c);

		text_bytes(t, &byte, 1);
	}
}
