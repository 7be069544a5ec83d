/*
 * opensmtpd_conf.c - what smtpd.conf says about the queue
 *
 * Two things: the names of its actions, which envelopes carry as their dispatcher, and whether the
 * queue is compressed or encrypted. A statement ends with its line, unless a backslash is the last
 * character; words may be quoted; # begins a comment. Macros and included files are not followed:
 * where they could hide an action the site stays unconfigured, and nothing is judged by it.
 */
#include "opensmtpd.h"

/* CONF_ODD: a quoted word with a backslash in it, which may hide a quote. */
enum token { CONF_END, CONF_LINE, CONF_WORD, CONF_OTHER, CONF_ODD };

/* May the character stand in a word without quotes? */
static bool in_word(int ch)
{
	return ch > ' ' && ch != '"' && ch != '\'' && ch != '#' && ch != '(' && ch != ')' &&
	       ch != '{' && ch != '}' && ch != '<' && ch != '>' && ch != '!' && ch != '=' &&
	       ch != ',' && ch != '\\';
}

static void skip_blanks(struct cur *c)
{
	for (int ch = cur_peek(c); ch == ' ' || ch == '\t' || ch == '\r' || ch == '\\';
	     ch = cur_peek(c)) {
		cur_skip(c, 1);
		/* A backslash and the end of a line are a blank. */
		if (ch == '\\' && cur_peek(c) == '\n')
			cur_skip(c, 1);
	}
	if (cur_peek(c) == '#')
		cur_skip(c, cur_find(c, '\n'));
}

/* The next token; *word_r is a word without its quotes. */
static enum token next(struct cur *c, struct cur *word_r)
{
	struct cur start;
	size_t n = 0;
	int ch;

	skip_blanks(c);
	ch = cur_peek(c);
	start = *c;
	*word_r = cur_sub(&start, 0);
	if (ch < 0)
		return CONF_END;
	if (in_word(ch)) {
		for (; in_word(cur_peek(c)); n++)
			cur_skip(c, 1);
		*word_r = cur_sub(&start, n);
		return CONF_WORD;
	}
	cur_skip(c, 1);
	if (ch != '"' && ch != '\'')
		return ch == '\n' ? CONF_LINE : CONF_OTHER;
	n = cur_find(c, (uint8_t)ch);
	*word_r = cur_sub(c, n);
	cur_skip(c, 1);
	return cur_find(word_r, '\\') < n ? CONF_ODD : CONF_WORD;
}

static bool is(struct cur word, const char *text)
{
	return os_same(word, cur_make((const uint8_t *)text, strlen(text), 0));
}

/* Keep the name of an action; false when it is not plain, or there is no room. */
static bool keep(struct site *s, struct cur name)
{
	size_t at = s->words_len;

	if (cur_peek(&name) == '$')
		return false;
	while (cur_left(&name) > 0 && at < SITE_WORDS)
		s->words[at++] = cur_u8(&name);
	if (at >= SITE_WORDS)
		return false;
	s->words[at++] = '\0';
	s->words_len = (uint16_t)at;
	return true;
}

/* The rest of a statement that began with `first`; false when it may say something that is not seen. */
static bool statement(struct site *s, struct cur *c, struct cur first)
{
	bool good = cur_peek(&first) != '$' && !is(first, "include"), action = is(first, "action");
	enum token token;
	struct cur word;
	unsigned n = 0;

	for (token = next(c, &word); token == CONF_WORD || token == CONF_OTHER; token = next(c, &word)) {
		n++;
		if (action && n == 1)
			good = good && token == CONF_WORD && keep(s, word);
		if (n == 1 && is(first, "queue") && is(word, "compression") && s->storage == OS_PLAIN)
			s->storage = OS_GZIP;
		if (n == 1 && is(first, "queue") && is(word, "encryption"))
			s->storage = OS_CRYPT; /* of compressed files, if both are asked for */
	}
	return good && token != CONF_ODD;
}

void os_configure(struct site *s, const uint8_t *bytes, size_t len)
{
	struct cur c = cur_make(bytes, len, 0), word;
	enum token token;
	bool good = true;

	s->storage = OS_PLAIN;
	s->words_len = 0;
	for (token = next(&c, &word); good && token != CONF_END; token = next(&c, &word))
		good = good && token != CONF_ODD && (token != CONF_WORD || statement(s, &c, word));
	s->configured = good && s->words_len > 0;
}

bool os_is_action(const struct site *s, struct cur name)
{
	struct cur all = cur_make(s->words, s->words_len, 0);

	while (cur_left(&all) > 0) {
		size_t n = cur_find(&all, '\0');

		if (os_same(cur_sub(&all, n), name))
			return true;
		cur_skip(&all, 1);
	}
	return false;
}
