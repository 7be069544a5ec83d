/*
 * mime_parameter.c - the words of fields with parameters: comments, names, values (RFC 2045 5.1)
 *
 * Comments nest, and are counted; a quote without its end goes to the end of the field, which is said.
 */
#include "mime.h"

void mime_skip_comments(struct cur *c)
{
	unsigned depth = 0;

	cur_skip_blanks(c);
	while (cur_left(c) > 0 && (depth > 0 || cur_peek(c) == '(')) {
		uint8_t ch = cur_u8(c);

		depth += ch == '(';
		depth -= ch == ')' && depth > 0;
		if (ch == '\\' && cur_left(c) > 0)
			cur_skip(c, 1);
		if (depth == 0)
			cur_skip_blanks(c);
	}
}

/* It ends before a blank or one of the separators. */
struct cur mime_token(struct cur *c)
{
	size_t n = 0;
	int ch;

	while ((ch = cur_ahead(c, n)) >= 0 && !cur_blank((uint8_t)ch) && ch != ';' && ch != '=' && ch != '(' &&
	       ch != '"')
		n++;
	return cur_sub(c, n);
}

/* A parameter's value: quoted, with its pairs undone, or up to the next separator. */
static void value(struct cur *c, struct mime_value *v)
{
	bool quoted = cur_peek(c) == '"';
	int ch;

	v->len = 0;
	v->open = quoted;
	if (quoted)
		cur_skip(c, 1);
	v->where.at = cur_offset(c);
	while ((ch = cur_peek(c)) >= 0) {
		if (quoted ? ch == '"' : ch == ';' || ch == '(' || cur_blank((uint8_t)ch))
			break;
		cur_skip(c, 1);
		if (quoted && ch == '\\' && cur_left(c) > 0)
			ch = cur_u8(c);
		if (quoted && (ch == '\r' || ch == '\n'))
			continue; /* folded */
		if (v->len < sizeof v->bytes)
			v->bytes[v->len] = (uint8_t)ch;
		v->len++;
	}
	v->where.len = (uint32_t)(cur_offset(c) - v->where.at);
	if (quoted && ch == '"') {
		cur_skip(c, 1);
		v->open = false;
	}
}

bool mime_parameter(struct cur *c, struct cur *name_r, struct mime_value *v)
{
	while (cur_left(c) > 0) {
		mime_skip_comments(c);
		while (cur_peek(c) == ';' || cur_peek(c) == '=' || cur_peek(c) == '"') {
			cur_skip(c, 1);
			mime_skip_comments(c);
		}
		*name_r = mime_token(c);
		mime_skip_comments(c);
		if (cur_left(name_r) == 0 || cur_peek(c) != '=')
			continue;
		cur_skip(c, 1);
		mime_skip_comments(c);
		value(c, v);
		return true;
	}
	return false;
}
