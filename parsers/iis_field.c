/* iis_field.c - header fields and addresses, as far as the checks need them */
#include "iis.h"

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

/* A line with its end; the value is without it. */
static struct cur take_line(struct cur *c)
{
	size_t n = cur_find(c, '\n');
	struct cur line = cur_sub(c, n);

	cur_skip(c, cur_left(c) > 0);
	return line;
}

/* How many bytes the name has before its ':' (RFC 5322: printable, no blank); 0 = no field. */
static size_t name_length(const struct cur *c)
{
	size_t n = 0;
	int ch;

	while ((ch = cur_ahead(c, n)) > ' ' && ch < 127 && ch != ':')
		n++;
	return ch == ':' ? n : 0;
}

enum iis_line iis_field(struct cur *c, struct iis_field *f)
{
	struct cur line;
	size_t n, end;
	int ch;

	if (cur_left(c) == 0)
		return IIS_END;
	ch = cur_peek(c);
	if (ch == '\n' || (ch == '\r' && cur_ahead(c, 1) == '\n')) {
		take_line(c);
		return IIS_BODY;
	}
	n = name_length(c);
	if (n == 0)
		return IIS_NO_FIELD;
	f->off = cur_offset(c);
	line = *c;
	f->name = cur_sub(&line, n);
	cur_skip(&line, 1);
	f->value = line;
	do
		take_line(c);
	while ((ch = cur_peek(c)) == ' ' || ch == '\t');
	f->len = cur_offset(c) - f->off;
	end = cur_left(&line) - cur_left(c);
	f->value = cur_sub(&line, end);
	cur_trim(&f->value);
	cur_skip_blanks(&f->value);
	return IIS_FIELD;
}

bool iis_word(struct cur *c, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i < n; i++) {
		int ch = cur_ahead(c, i);

		if (ch < 0 || lower((uint8_t)ch) != (uint8_t)word[i])
			return false;
	}
	return cur_skip(c, n);
}

bool iis_is(const struct iis_field *f, const char *name)
{
	struct cur c = f->name;

	return iis_word(&c, name) && cur_left(&c) == 0;
}

static bool is_atom(int ch)
{
	return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
	       ch == '.' || ch == '-' || ch == '_' || ch == '+' || ch == '=' || ch == '@' || ch == '!' ||
	       ch == '#' || ch == '$' || ch == '%' || ch == '&' || ch == '\'' || ch == '*' || ch == '/' ||
	       ch == '?' || ch == '^' || ch == '`' || ch == '{' || ch == '|' || ch == '}' || ch == '~';
}

bool iis_address(struct cur *c, struct cur *address)
{
	while (cur_left(c) > 0) {
		size_t n = 0, ats = 0, at = 0;
		int ch;

		while ((ch = cur_ahead(c, n)) >= 0 && is_atom(ch)) {
			if (ch == '@') {
				at = n;
				ats++;
			}
			n++;
		}
		*address = cur_sub(c, n);
		if (ats == 1 && at > 0 && at + 1 < n)
			return true;
		cur_skip(c, cur_left(c) > 0);
	}
	return false;
}

struct cur iis_path(struct cur value)
{
	struct cur c = value;
	size_t n = cur_find(&c, '<');

	if (n < cur_left(&c)) {
		cur_skip(&c, n + 1);
		return cur_sub(&c, cur_find(&c, '>'));
	}
	cur_skip_blanks(&value);
	return cur_sub(&value, cur_word(&value, ';'));
}

void iis_say(struct text *t, struct cur c)
{
	size_t n = cur_left(&c);
	const uint8_t *p;

	if (n > TEXT_MAX)
		n = TEXT_MAX;
	p = cur_take(&c, n);
	if (p != NULL && n > 0)
		text_bytes(t, p, n);
}
