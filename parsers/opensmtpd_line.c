/*
 * opensmtpd_line.c - lines and values of an envelope as OpenSMTPD reads them
 *
 * One line is `key: value` LF: letters, digits and - up to white space or the colon, white
 * space, colon, white space, all the rest. No continuation, no comment, no empty line.
 */
#include "opensmtpd.h"

static bool is_blank(int ch)
{
	return ch == ' ' || (ch >= '\t' && ch <= '\r');
}

static bool is_digit(int ch)
{
	return ch >= '0' && ch <= '9';
}

static int lower(int ch)
{
	return ch >= 'A' && ch <= 'Z' ? ch + ('a' - 'A') : ch;
}

static bool is_key_char(int ch)
{
	return is_digit(ch) || (lower(ch) >= 'a' && lower(ch) <= 'z') || ch == '-';
}

static void skip_blanks(struct cur *c)
{
	while (is_blank(cur_peek(c)))
		cur_skip(c, 1);
}

/* --- Lines -------------------------------------------------------------------- */

/* Split the text of a line; false when OpenSMTPD would not find a colon. */
static bool split(struct cur text, struct os_line *line)
{
	struct cur start = text;
	size_t n = 0;

	while (is_key_char(cur_peek(&text))) {
		cur_skip(&text, 1);
		n++;
	}
	line->key = cur_sub(&start, n);
	skip_blanks(&text);
	if (cur_peek(&text) != ':')
		return false;
	cur_skip(&text, 1);
	skip_blanks(&text);
	line->value = cur_sub(&text, cur_left(&text));
	return true;
}

bool os_next(struct cur *c, struct os_line *line)
{
	size_t left = cur_left(c), n = cur_find(c, '\n');
	struct cur text, whole;
	bool end_nul;

	if (left == 0)
		return false;
	*line = (struct os_line){ .off = cur_offset(c), .len = n < left ? n + 1 : n };
	whole = cur_sub(c, n);
	/* It copies the file as a string; the NUL that ends the copy ends the line as well. */
	end_nul = n == left && n > 1 && cur_find(&whole, 0) == n - 1;
	text = cur_sub(&whole, end_nul ? n - 1 : n);
	line->key = line->value = cur_sub(&text, 0);
	if (n < left)
		cur_skip(c, 1);
	if (end_nul)
		line->state = split(text, line) ? OS_LINE_END_NUL : OS_LINE_NUL;
	else if (cur_find(&text, 0) < n)
		line->state = OS_LINE_NUL;
	else if (n == 0)
		line->state = OS_LINE_BLANK;
	else if (!split(text, line))
		line->state = n < left ? OS_LINE_COLON : OS_LINE_CUT;
	else
		line->state = n < left ? OS_LINE_GOOD : OS_LINE_CUT;
	return true;
}

/* --- Words ---------------------------------------------------------------------- */

bool os_same(struct cur a, struct cur b)
{
	if (cur_left(&a) != cur_left(&b))
		return false;
	while (cur_left(&a) > 0)
		if (cur_u8(&a) != cur_u8(&b))
			return false;
	return true;
}

bool os_is(const struct cur *c, const char *word)
{
	struct cur text = *c;

	for (; *word != '\0'; word++)
		if (cur_left(&text) == 0 || lower(cur_u8(&text)) != lower((unsigned char)*word))
			return false;
	return cur_left(&text) == 0;
}

unsigned os_find_key(const struct cur *name)
{
	unsigned i = 0;

	while (i < OS_KEYS && !os_is(name, os_keys[i].name))
		i++;
	return i;
}

bool os_word(struct cur value, const char words[OS_WORDS])
{
	size_t i = 0;

	while (i < OS_WORDS && words[i] != '\0') {
		struct cur text = value;
		bool same = true;

		for (; i < OS_WORDS && words[i] != '\0' && words[i] != ' '; i++)
			if (cur_left(&text) == 0 || lower(cur_u8(&text)) != lower((unsigned char)words[i]))
				same = false;
		if (same && cur_left(&text) == 0)
			return true;
		if (i < OS_WORDS && words[i] == ' ')
			i++;
	}
	return false;
}

bool os_flags(struct cur value, const char words[OS_WORDS])
{
	bool more;

	do {
		struct cur start = value;
		size_t n = 0;
		int ch;

		for (ch = cur_peek(&value); ch >= 0 && ch != ' ' && ch != ',' && ch != '|';
		     ch = cur_peek(&value)) {
			cur_skip(&value, 1);
			n++;
		}
		if (!os_word(cur_sub(&start, n), words))
			return false;
		more = ch >= 0;
		cur_skip(&value, 1);
	} while (more);
	return true;
}

/* --- Numbers and addresses ------------------------------------------------------- */

bool os_number(struct cur value, int64_t max, int64_t *n_r)
{
	uint64_t n = 0;
	bool minus, some = false;
	int ch;

	*n_r = 0;
	skip_blanks(&value);
	minus = cur_peek(&value) == '-';
	if (minus || cur_peek(&value) == '+')
		cur_skip(&value, 1);
	for (ch = cur_peek(&value); is_digit(ch); ch = cur_peek(&value)) {
		if (n > INT64_MAX / 10)
			return false;
		n = n * 10 + (unsigned)(ch - '0');
		some = true;
		cur_skip(&value, 1);
	}
	if (!some || cur_left(&value) > 0 || n > (uint64_t)max || (minus && n > 0))
		return false;
	*n_r = (int64_t)n;
	return true;
}

struct os_address os_address(const struct cur *value)
{
	struct os_address a = { 0, 0, false };
	struct cur c = *value;
	size_t left = cur_left(&c), n;

	a.user = left;
	for (n = cur_find(&c, '@'); n < cur_left(&c); n = cur_find(&c, '@')) {
		cur_skip(&c, n + 1);
		a.at = true;
		a.domain = cur_left(&c);
		a.user = left - a.domain - 1;
	}
	return a;
}

/* 1 to 3 digits, no leading zero, up to 255. */
static bool octet(struct cur *c)
{
	unsigned n = 0, digits = 0;

	while (is_digit(cur_peek(c)) && digits < 4) {
		if (digits > 0 && n == 0)
			return false;
		n = n * 10 + (unsigned)(cur_u8(c) - '0');
		digits++;
	}
	return digits > 0 && digits < 4 && n <= 255;
}

static bool ipv4(struct cur c)
{
	for (unsigned i = 0; i < 4; i++) {
		if (i > 0 && cur_u8(&c) != '.')
			return false;
		if (!octet(&c))
			return false;
	}
	return c.err == CUR_OK && cur_left(&c) == 0;
}

static bool is_hex(int ch)
{
	return is_digit(ch) || (lower(ch) >= 'a' && lower(ch) <= 'f');
}

/* Groups of hexadecimal digits, one :: in place of any number of them, at the end perhaps an
 * IPv4 address in place of two. */
static bool ipv6(struct cur c)
{
	unsigned groups = 0;
	bool gap = false, colon = false;

	if (cur_peek(&c) == ':') {
		cur_skip(&c, 1);
		if (cur_peek(&c) != ':')
			return false;
		colon = true;
	}
	while (cur_left(&c) > 0) {
		struct cur group = c;
		unsigned digits = 0;

		if (cur_peek(&c) == ':') {
			/* The second colon of a gap. */
			if (!colon || gap)
				return false;
			cur_skip(&c, 1);
			gap = true;
			colon = false;
			continue;
		}
		if (groups > 0 && !colon && !gap)
			return false;
		while (is_hex(cur_peek(&c)) && digits < 5) {
			cur_skip(&c, 1);
			digits++;
		}
		if (cur_peek(&c) == '.') {
			groups += 2;
			return ipv4(group) && (gap ? groups < 8 : groups == 8);
		}
		if (digits == 0 || digits > 4 || ++groups > 8)
			return false;
		colon = cur_peek(&c) == ':';
		if (colon)
			cur_skip(&c, 1);
		else if (cur_left(&c) > 0)
			return false;
	}
	return !colon && (gap ? groups < 8 : groups == 8);
}

enum os_ip os_sockaddr(struct cur value)
{
	struct cur start = value, inner = cur_sub(&start, 5);
	size_t n = cur_left(&value), percent;

	if (os_same(value, cur_make((const uint8_t *)"local", 5, 0)))
		return OS_IP_GOOD;
	if (n > 5 && os_is(&inner, "IPv6:"))
		return ipv6(start) ? OS_IP_OLD : OS_IP_BAD;
	if (cur_peek(&value) != '[')
		return ipv4(value) ? OS_IP_GOOD : OS_IP_BAD;
	cur_skip(&value, 1);
	if (n < 3)
		return OS_IP_BAD;
	inner = cur_sub(&value, n - 2);
	if (cur_u8(&value) != ']')
		return OS_IP_BAD;
	percent = cur_find(&inner, '%');
	if (percent + 1 < n - 2)
		return ipv6(cur_sub(&inner, percent)) ? OS_IP_SCOPE : OS_IP_BAD;
	return ipv6(inner) ? OS_IP_GOOD : OS_IP_BAD;
}

/* --- Saying ------------------------------------------------------------------------ */

void os_say(struct text *t, struct cur c)
{
	text_left(t, &c);
}
