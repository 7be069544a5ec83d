/*
 * exim_read.c - line after line through an Exim -H file
 *
 * All readers of the format stand on ex_next(): it gives the items in the order
 * in which Exim's spool_read_header() takes them, and stops where that stops.
 * What Exim does not look at is not judged here. Three things break the lines:
 *
 *	-aclm NAME LENGTH \n  then LENGTH bytes of any kind, and \n
 *	YN address \n         a node of a tree in pre-order: Y = a child follows
 *	LENGTH TYPE blank     then LENGTH bytes: header lines, to the end of the file
 *
 * Reading ends: each item is at least one byte further on, and a header line's
 * length is compared with what is left before it is used.
 */
#include "exim.h"

struct cur ex_window(const struct part *p, uint64_t off)
{
	struct cur c = cur_make(p->bytes, p->len, p->off);

	if (off < p->off || off - p->off > p->len)
		return cur_make(p->bytes, 0, off);
	cur_seek(&c, (size_t)(off - p->off));
	return c;
}

/* --- Values --------------------------------------------------------------- */

bool ex_digit(int ch)
{
	return ch >= '0' && ch <= '9';
}

bool ex_blank(int ch)
{
	return ch == ' ' || (ch >= '\t' && ch <= '\r');
}

bool ex_number(struct cur *c, int64_t *value_r)
{
	bool minus, any = false;
	uint64_t value = 0;
	int ch;

	while (ex_blank(cur_peek(c)))
		cur_skip(c, 1);
	ch = cur_peek(c);
	minus = ch == '-';
	if (ch == '-' || ch == '+')
		cur_skip(c, 1);
	for (ch = cur_peek(c); ex_digit(ch); ch = cur_peek(c)) {
		unsigned digit = (unsigned)(ch - '0');

		value = value > ((uint64_t)INT64_MAX - digit) / 10 ? INT64_MAX : value * 10 + digit;
		any = true;
		cur_skip(c, 1);
	}
	*value_r = (int64_t)(minus ? 0 - value : value);
	return any;
}

/* scanf() converts to a long, and what is kept of that is an int. */
bool ex_int(struct cur *c, int64_t *value_r)
{
	int64_t wide;
	bool any = ex_number(c, &wide);
	uint32_t low = (uint32_t)(uint64_t)wide;

	*value_r = low > INT32_MAX ? (int64_t)low - ((int64_t)UINT32_MAX + 1) : (int64_t)low;
	return any;
}

bool ex_all_digits(struct cur c, int64_t *value_r)
{
	*value_r = 0;
	return ex_digit(cur_peek(&c)) && ex_number(&c, value_r) && cur_left(&c) == 0;
}

struct cur ex_until(struct cur *c, uint8_t byte)
{
	struct cur word = cur_sub(c, cur_find(c, byte));

	if (cur_left(c) > 0)
		cur_skip(c, 1);
	return word;
}

bool ex_is(const struct cur *c, const char *word)
{
	struct cur text = *c;

	for (; *word != '\0'; word++)
		if (cur_left(&text) == 0 || cur_u8(&text) != (uint8_t)*word)
			return false;
	return cur_left(&text) == 0;
}

int ex_order(const struct cur *a, const struct cur *b)
{
	struct cur x = *a, y = *b;

	while (cur_left(&x) > 0 && cur_left(&y) > 0) {
		int diff = cur_u8(&x) - cur_u8(&y);

		if (diff != 0)
			return diff;
	}
	return cur_left(&y) > 0 ? -1 : cur_left(&x) > 0;
}

bool ex_same(const struct cur *a, const struct cur *b)
{
	return cur_left(a) == cur_left(b) && ex_order(a, b) == 0;
}

int ex_pop(struct cur *c)
{
	size_t n = cur_left(c);
	struct cur all = *c, last;

	if (n == 0)
		return -1;
	*c = cur_sub(&all, n - 1);
	last = all;
	return cur_peek(&last);
}

void ex_say(struct text *t, struct cur c)
{
	text_left(t, &c);
}

/* --- Options --------------------------------------------------------------- */

/* Those that Exim 4.80 to 4.99 knows. Any other is ignored by all of them, so that
 * a newer one can be backed out. */
const struct ex_option ex_options[EX_OPTIONS] = {
	{ "active_hostname", EX_TEXT, false },
	{ "allow_unqualified_recipient", EX_BARE, true },
	{ "allow_unqualified_sender", EX_BARE, true },
	{ "auth_id", EX_TEXT, false },
	{ "auth_sender", EX_TEXT, false },
	{ "body_linecount", EX_NUMBER, false },
	{ "body_zerocount", EX_NUMBER, false },
	{ "debug_selector", EX_TEXT, true },
	{ "debuglog_name", EX_DEBUGLOG, true },
	{ "deliver_firsttime", EX_BARE, true },
	{ "dsn_envid", EX_TEXT, false },
	{ "dsn_ret", EX_NUMBER, false },
	{ "frozen", EX_FROZEN_TIME, false },
	{ "helo_name", EX_TEXT, false },
	{ "host_address", EX_ADDRESS, false },
	{ "host_auth", EX_TEXT, false },
	{ "host_auth_pubname", EX_TEXT, false },
	{ "host_lookup_deferred", EX_BARE, true },
	{ "host_lookup_failed", EX_BARE, true },
	{ "host_name", EX_TEXT, false },
	{ "ident", EX_TEXT, false },
	{ "interface_address", EX_ADDRESS, false },
	{ "local", EX_BARE, true },
	{ "local_scan", EX_TEXT, true },
	{ "localerror", EX_BARE, true },
	{ "manual_thaw", EX_BARE, true },
	{ "max_received_linelength", EX_NUMBER, false },
	{ "N", EX_BARE, true },
	{ "received_protocol", EX_TEXT, false },
	{ "received_time_complete", EX_TEXT, false },
	{ "received_time_usec", EX_TEXT, false },
	{ "sender_set_untrusted", EX_BARE, false },
	{ "smtputf8", EX_BARE, false },
	{ "spam_bar", EX_TEXT, true },
	{ "spam_score", EX_TEXT, true },
	{ "spam_score_int", EX_TEXT, true },
	{ "spool_file_wireformat", EX_BARE, false },
	{ "tls_certificate_verified", EX_BARE, false },
	{ "tls_cipher", EX_TEXT, false },
	{ "tls_ocsp", EX_NUMBER, false },
	{ "tls_ourcert", EX_TEXT, false },
	{ "tls_peercert", EX_TEXT, false },
	{ "tls_peerdn", EX_ESCAPED, false },
	{ "tls_resumption", EX_LETTER, false },
	{ "tls_sni", EX_ESCAPED, false },
	{ "tls_ver", EX_TEXT, false },
	{ "utf8_downcvt", EX_BARE, false },
	{ "utf8_optdowncvt", EX_BARE, false },
};

/* Step over the name of this option, as the reader compares it; false when it is not there. */
static bool take_name(struct cur *c, const struct ex_option *o)
{
	for (const char *name = o->name; *name != '\0'; name++)
		if (cur_left(c) == 0 || cur_u8(c) != (uint8_t)*name)
			return false;
	return !o->exact || cur_left(c) == 0 || cur_peek(c) == ' ';
}

void ex_option_words(const struct ex_item *it, struct ex_words *w)
{
	struct cur c = it->line;
	bool frozen = false;
	size_t n = 0;

	memset(w, 0, sizeof *w);
	cur_skip(&c, 1);
	if (cur_peek(&c) == '-')
		cur_skip(&c, 1);
	if (cur_peek(&c) == '(') {
		w->quoted = true;
		cur_skip(&c, 1);
		w->open = cur_find(&c, ')') == cur_left(&c);
		w->quoter = ex_until(&c, ')');
	}
	w->known = -1;
	for (unsigned i = 0; i < EX_OPTIONS; i++) {
		struct cur behind = c;

		if (!take_name(&behind, &ex_options[i]) || cur_left(&c) - cur_left(&behind) <= n)
			continue;
		n = cur_left(&c) - cur_left(&behind); /* the longest is the one */
		w->known = (int)i;
		frozen = ex_options[i].shape == EX_FROZEN_TIME;
	}
	w->name = cur_sub(&c, n > 0 ? n : cur_find(&c, ' '));
	w->has_value = cur_left(&c) > 0;
	w->glued = w->has_value && cur_peek(&c) != ' ';
	if (!w->glued || !frozen) /* that number is read from there */
		cur_skip(&c, w->has_value);
	w->value = c;
}

/* --- Items ------------------------------------------------------------------ */

/* The bytes of the file from `off` on. */
static struct cur rest(const struct part *p, uint64_t off)
{
	struct cur c = ex_window(p, off);
	uint64_t left = p->size > off ? p->size - off : 0;

	return cur_left(&c) > left ? cur_sub(&c, (size_t)left) : c;
}

/* A line: what is before its end, and in it, as fgets() and strlen() see it. */
static enum ex_stop take_line(struct cur *c, struct ex_item *it, size_t most)
{
	size_t n = cur_find(c, '\n');
	bool ended = n < cur_left(c);
	struct cur line;

	if (cur_left(c) == 0)
		return EX_EOF;
	line = cur_sub(c, n);
	it->nul = cur_find(&line, 0) < cur_left(&line);
	it->line = cur_sub(&line, cur_find(&line, 0));
	it->nul_at = it->off + cur_left(&it->line);
	it->len = n;
	if (!ended)
		return EX_CUT;
	cur_skip(c, 1);
	it->len++;
	return n >= most ? EX_LONG : EX_OK;
}

/* -aclm NAME LENGTH and the value. Old files: -acl INDEX LENGTH. */
static enum ex_stop take_acl(struct cur *c, struct ex_item *it)
{
	struct cur line = it->line;
	size_t left = cur_left(c);

	it->kind = EX_ACL;
	ex_until(&line, ' ');
	if (cur_find(&line, ' ') == cur_left(&line))
		return EX_ACL_LINE;
	ex_until(&line, ' ');
	if (!ex_int(&line, &it->number))
		return EX_ACL_LINE;
	if (it->number < 0 || (uint64_t)it->number > left)
		return EX_ACL_DATA;
	it->data = cur_sub(c, (size_t)it->number);
	it->closed = cur_peek(c) == '\n';
	/* One byte more is taken, whatever it is; that there is none is no error yet. */
	if (cur_left(c) > 0)
		cur_skip(c, 1);
	return EX_OK;
}

/* Is this line "-aclc name length", "-aclm ..." or the old "-acl ..."? */
static bool is_acl(const struct ex_item *it)
{
	struct ex_words w;

	ex_option_words(it, &w);
	return !w.open && w.has_value &&
	       (ex_is(&w.name, "aclc") || ex_is(&w.name, "aclm") || ex_is(&w.name, "acl"));
}

static enum ex_stop take_node(struct ex_reader *rd, struct ex_item *it)
{
	struct cur c = it->line;
	int left = cur_peek(&c), right;

	it->kind = EX_NODE;
	if (cur_left(&c) + !it->nul < 5) /* with its end, which it has not got when a zero byte ends it */
		return EX_NODE_SHORT;
	cur_skip(&c, 1);
	right = cur_peek(&c);
	rd->nodes = rd->nodes - 1 + (left == 'Y') + (right == 'Y');
	rd->due = rd->nodes > 0 ? EX_NODE : EX_COUNT;
	return EX_OK;
}

/* An option; or the line that ends them: XX, or the root of the tree. */
static enum ex_stop take_option(struct ex_reader *rd, struct cur *c, struct ex_item *it)
{
	enum ex_stop stop = take_line(c, it, EX_LINE_MAX);

	it->kind = EX_OPTION;
	if (stop != EX_OK)
		return stop;
	if (it->nul)
		return EX_NUL;
	if (cur_peek(&it->line) == '-')
		return is_acl(it) ? take_acl(c, it) : EX_OK;
	if (ex_is(&it->line, "XX")) {
		it->kind = EX_NO_TREE;
		rd->due = EX_COUNT;
		return EX_OK;
	}
	rd->nodes = 1;
	return take_node(rd, it);
}

static enum ex_stop take_count(struct ex_reader *rd, struct ex_item *it)
{
	struct cur c = it->line;

	if (!ex_int(&c, &it->number) || it->number < 0)
		return EX_NO_COUNT;
	rd->recipients = it->number;
	rd->due = it->number > 0 ? EX_RECIPIENT : EX_BLANK;
	return EX_OK;
}

static enum ex_stop take_recipient(struct ex_reader *rd, struct ex_item *it)
{
	if (it->nul)
		return EX_NUL;
	if (cur_left(&it->line) == 0)
		return EX_NO_ADDRESS;
	if (rd->recipients > 0)
		rd->recipients--;
	if (rd->recipients == 0)
		rd->due = EX_BLANK;
	return EX_OK;
}

/* A header line, read as fscanf("%d%c ") and so many bytes. */
static enum ex_stop take_header(struct cur *c, struct ex_item *it)
{
	uint64_t at = cur_offset(c);
	size_t left;

	if (cur_left(c) == 0) {
		it->kind = EX_END;
		return EX_OK;
	}
	if (!ex_digit(cur_peek(c)))
		return EX_NO_LENGTH;
	ex_int(c, &it->number);
	it->digits = cur_offset(c) - at > 255 ? 255 : (uint8_t)(cur_offset(c) - at);
	it->len = cur_offset(c) - at;
	if (cur_left(c) == 0) { /* digits alone: no more is wanted when they are zero */
		it->type = ' ';
		it->line = cur_sub(c, 0);
		return it->number > 0 ? EX_CUT : EX_OK;
	}
	it->type = cur_u8(c);
	while (ex_blank(cur_peek(c)) && it->blanks < 255) {
		cur_skip(c, 1);
		it->blanks++;
	}
	it->len = cur_offset(c) - at;
	left = cur_left(c);
	if (it->number < 0 || it->number > (int64_t)left)
		return EX_LENGTH;
	it->line = cur_sub(c, (size_t)it->number);
	it->nul = cur_find(&it->line, 0) < cur_left(&it->line);
	it->nul_at = cur_offset(&it->line) + cur_find(&it->line, 0);
	return it->nul ? EX_NUL : EX_OK;
}

static enum ex_stop take(struct ex_reader *rd, struct cur *c, struct ex_item *it)
{
	enum ex_stop stop;

	if (rd->due == EX_OPTION)
		return take_option(rd, c, it);
	if (rd->due == EX_HEADER)
		return take_header(c, it);
	stop = take_line(c, it, EX_LINE_MAX);
	if (stop != EX_OK)
		return stop;
	switch (rd->due) {
	case EX_NODE:
		return take_node(rd, it);
	case EX_COUNT:
		return take_count(rd, it);
	case EX_RECIPIENT:
		return take_recipient(rd, it);
	case EX_BLANK:
		rd->due = EX_HEADER;
		return it->len == 1 ? EX_OK : EX_NO_BLANK;
	default:
		rd->due++; /* the four fixed lines, then options */
		return EX_OK;
	}
}

void ex_next(struct ex_reader *rd, const struct part *p, struct ex_item *it)
{
	struct cur c = rest(p, rd->pos);

	memset(it, 0, sizeof *it);
	it->kind = rd->due;
	it->off = rd->pos;
	it->stop = (uint8_t)take(rd, &c, it);
	if (it->stop == EX_OK) {
		rd->pos = cur_offset(&c);
		it->len = rd->pos - it->off;
	}
}

bool ex_id_time(const char *id, size_t len, int64_t *time_r)
{
	int64_t value = 0;
	bool lower = false;

	if (len < 6)
		return false;
	for (unsigned i = 0; i < 6; i++) {
		char ch = id[i];
		int digit = ch >= '0' && ch <= '9' ? ch - '0' :
			    ch >= 'A' && ch <= 'Z' ? ch - 'A' + 10 :
			    ch >= 'a' && ch <= 'z' ? ch - 'a' + 36 : -1;

		if (digit < 0)
			return false;
		lower = lower || digit >= 36;
		value = value * 62 + digit;
	}
	*time_r = value;
	return lower; /* where file names have no case, base 36 is used */
}
