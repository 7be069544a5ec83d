/*
 * mime_field.c - header blocks: fields, and the parameters that divide a message
 *
 * What is legal and odd stays silent: folded and empty fields, a blank before the colon (RFC 5322 4.5), a "From " line at
 * the top, UTF-8 in values (RFC 6532), comments and quoted pairs in parameters.
 */
#include "mime.h"

#include <string.h>

#define LINE_MAX_OF_RFC 998 /* RFC 5322 2.1.1 */

enum field {
	FIELD_OTHER,
	FIELD_FROM, FIELD_DATE, FIELD_MESSAGE_ID, FIELD_SUBJECT, FIELD_SENDER, FIELD_REPLY_TO,
	FIELD_TO, FIELD_CC, FIELD_BCC, FIELD_MIME_VERSION,
	FIELD_TYPE, FIELD_ENCODING, FIELD_DISPOSITION,
	FIELD_COUNT
};

static const char *const names[FIELD_COUNT] = {
	"", "From", "Date", "Message-ID", "Subject", "Sender", "Reply-To", "To", "Cc", "Bcc", "MIME-Version",
	"Content-Type", "Content-Transfer-Encoding", "Content-Disposition",
};

/* A header block as it is read. */
struct block {
	unsigned count[FIELD_COUNT];
	unsigned fields;
	uint64_t start;
	struct mime_span value[FIELD_COUNT]; /* the first of each */
	bool differ[FIELD_COUNT];            /* a later one contradicts it */
};

/* --- Small words ----------------------------------------------------------------- */

static uint8_t lower(uint8_t ch)
{
	return ch >= 'A' && ch <= 'Z' ? (uint8_t)(ch + 32) : ch;
}

/* The same letters, in either case? */
static bool same_letters(struct cur a, struct cur b)
{
	if (cur_left(&a) != cur_left(&b))
		return false;
	while (cur_left(&a) > 0)
		if (lower(cur_u8(&a)) != lower(cur_u8(&b)))
			return false;
	return true;
}

static bool is_word(struct cur c, const char *word)
{
	return same_letters(c, cur_make((const uint8_t *)word, strlen(word), 0));
}

static bool begins_with(const struct cur *c, const char *word)
{
	struct cur rest = *c;
	size_t n = strlen(word);

	if (cur_left(c) < n)
		return false;
	return is_word(cur_sub(&rest, n), word);
}

/* The stretch of the text as a window. */
static struct cur span_of(const struct mime *m, const struct mime_span *s)
{
	struct cur c = m->text;

	cur_seek(&c, (size_t)s->at);
	return cur_sub(&c, s->len);
}

/* --- Parameters -------------------------------------------------------------------- */

/* The boundary as it will be compared: blanks at its end are never part of it. */
static void take_boundary(struct mime *m, const struct mime_value *v, uint8_t *boundary, size_t *len_r)
{
	size_t n = v->len < MIME_BOUNDARY ? v->len : MIME_BOUNDARY;

	if (v->len > MIME_BOUNDARY)
		mime_exhaust(m, F_DEEP_BUDGET_BOUNDARY, v->where.at, MIME_BOUNDARY);
	while (n > 0 && cur_blank(v->bytes[n - 1]))
		n--;
	if (*len_r > 0 && (n != *len_r || memcmp(v->bytes, boundary, n) != 0))
		mime_say(m, F_MIME_BOUNDARY_UNCLEAR, m->now, v->where.at, v->where.len);
	if (*len_r > 0)
		return; /* the first one holds */
	if (v->open)
		mime_say(m, F_MIME_BOUNDARY_UNCLEAR, m->now, v->where.at, v->where.len);
	memcpy(boundary, v->bytes, n);
	*len_r = n;
}

/* A Content-Type: its type, boundary and charset. */
static void content_type(struct mime *m, struct cur c, uint8_t *boundary, size_t *len_r)
{
	struct mime_node *n = &m->nodes[m->now];
	struct cur word, name;
	struct mime_value v = { .len = 0 };

	mime_skip_comments(&c);
	n->type.at = cur_offset(&c);
	word = mime_token(&c);
	n->type.len = (uint32_t)cur_left(&word);
	if (begins_with(&word, "multipart/"))
		n->kind = MIME_MULTIPART;
	else if (is_word(word, "message/rfc822") || is_word(word, "message/global"))
		n->kind = MIME_MESSAGE;
	while (mime_parameter(&c, &name, &v)) {
		if (is_word(name, "boundary"))
			take_boundary(m, &v, boundary, len_r);
		else if (begins_with(&name, "boundary*"))
			mime_say(m, F_MIME_BOUNDARY_UNCLEAR, m->now, v.where.at, v.where.len);
		else if (is_word(name, "charset") && n->charset.len == 0)
			n->charset = v.where;
	}
}

/* A number of at most 18 digits, else 0. */
static uint64_t number(const struct mime_value *v)
{
	uint64_t n = 0;

	if (v->len > 18)
		return 0;
	for (size_t i = 0; i < v->len; i++) {
		if (v->bytes[i] < '0' || v->bytes[i] > '9')
			return 0;
		n = n * 10 + (uint64_t)(v->bytes[i] - '0');
	}
	return n;
}

/* Is the part a file whose bytes nobody changes on the way? Line ends and character sets of texts are; a message is
 * another one in its sender's mailbox. */
static bool is_file(const struct mime *m, const struct mime_node *n)
{
	static const char *const types[] = { "application/", "image/", "audio/", "video/", "font/" };
	struct cur type = span_of(m, &n->type);
	bool file = false;

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		file |= begins_with(&type, types[i]);
	return file;
}

/* A Content-Disposition: the size of a file. */
static void disposition(const struct mime *m, struct mime_node *n, struct cur c)
{
	struct cur name;
	struct mime_value v = { .len = 0 };

	if (!is_file(m, n))
		return;
	mime_skip_comments(&c);
	mime_token(&c);
	while (mime_parameter(&c, &name, &v)) {
		if (!is_word(name, "size"))
			continue;
		mime_skip_comments(&c);
		if (cur_left(&c) == 0 || cur_peek(&c) == ';') /* no unit follows */
			n->declared = number(&v);
		return;
	}
}

/* The first word of a value. */
static struct cur first_word(struct cur value)
{
	mime_skip_comments(&value);
	return mime_token(&value);
}

static enum mime_encoding encoding_word(struct cur word)
{
	if (is_word(word, "base64"))
		return MIME_BASE64;
	if (is_word(word, "quoted-printable"))
		return MIME_QUOTED;
	if (is_word(word, "binary"))
		return MIME_BINARY;
	if (is_word(word, "7bit") || is_word(word, "8bit") || cur_left(&word) == 0)
		return MIME_PLAIN;
	return MIME_OTHER;
}

static enum mime_encoding encoding_of(struct mime *m, struct cur value)
{
	struct cur word = first_word(value);
	enum mime_encoding encoding = encoding_word(word);
	struct finding *f;

	/* Names of one's own begin with x- (RFC 2045 6.3); uuencode is what some wrote before. */
	if (encoding == MIME_OTHER && !begins_with(&word, "x-") && !is_word(word, "uuencode")) {
		f = mime_say(m, F_MIME_ENCODING, m->now, cur_offset(&word), cur_left(&word));
		if (f != NULL)
			text_left(&f->found, &word);
	}
	return encoding;
}

/* --- One field ----------------------------------------------------------------------- */

static enum field field_of(struct cur name)
{
	cur_trim(&name);
	for (unsigned i = 1; i < FIELD_COUNT; i++)
		if (is_word(name, names[i]))
			return (enum field)i;
	return FIELD_OTHER;
}

static bool has_addresses(enum field f)
{
	return f == FIELD_FROM || (f >= FIELD_SENDER && f <= FIELD_BCC);
}

/* Count addresses, not fewer than there are: commas and semicolons in names and comments count, too. Groups nest
 * in readers that call themselves for each. */
static void addresses(struct mime *m, struct cur c)
{
	uint64_t at = cur_offset(&c), groups = 0;

	m->addresses++;
	while (cur_left(&c) > 0) {
		uint8_t ch = cur_u8(&c);

		m->addresses += ch == ',' || ch == ';';
		groups += ch == ':';
		groups -= ch == ';' && groups > 0;
		if (groups > MIME_GROUPS) {
			mime_exhaust(m, F_DEEP_BUDGET_GROUPS, at, MIME_GROUPS);
			return;
		}
	}
	if (m->addresses > MIME_ADDRESSES)
		mime_exhaust(m, F_DEEP_BUDGET_ADDRESSES, at, MIME_ADDRESSES);
}

static bool same_bytes(struct cur a, struct cur b)
{
	cur_skip_blanks(&a);
	cur_skip_blanks(&b);
	cur_trim(&a);
	cur_trim(&b);
	return cur_same(&a, &b);
}

/* Do two fields of a kind, read by two programs, make two messages? Scripts that put a header together of pieces write some twice:
 * 7bit and 8bit are decoded alike, and text/html is one part in whatever character set. */
static bool contradict(enum field f, struct cur a, struct cur b)
{
	struct cur word = first_word(a), other = first_word(b);
	enum mime_encoding x = encoding_word(word), y = encoding_word(other);

	if (same_bytes(a, b))
		return false;
	if (f == FIELD_ENCODING && x != MIME_OTHER && y != MIME_OTHER)
		return x != y && (x > MIME_BINARY || y > MIME_BINARY);
	return f != FIELD_TYPE || begins_with(&word, "multipart/") || begins_with(&word, "message/") ||
	       !same_letters(word, other);
}

/* The field is complete: `name` without the colon, its value [at, end) in the text. */
static void on_field(struct mime *m, struct block *b, enum field f, uint64_t at, uint64_t end)
{
	struct mime_span span = { at, (uint32_t)(end - at) };

	if (has_addresses(f))
		addresses(m, span_of(m, &span));
	if (m->exhausted)
		return;
	if ((f == FIELD_TYPE || f == FIELD_DISPOSITION) && end - at > MIME_PARAMETERS)
		mime_exhaust(m, F_DEEP_BUDGET_PARAMETERS, at, MIME_PARAMETERS);
	else if (end - at > MIME_FIELD)
		mime_exhaust(m, F_DEEP_BUDGET_FIELD, at, MIME_FIELD);
	if (m->exhausted || f == FIELD_OTHER)
		return;
	if (b->count[f]++ == 0)
		b->value[f] = span;
	else if (contradict(f, span_of(m, &span), span_of(m, &b->value[f])))
		b->differ[f] = true;
}

/* --- The block ------------------------------------------------------------------------- */

/* How many bytes stand before the colon; 0: this is no field. *foreign_r: they are not all ASCII. */
static size_t name_length(const struct mime_line *line, bool *foreign_r)
{
	struct cur name = line->bytes;
	size_t n = cur_find(&line->bytes, ':');

	*foreign_r = false;
	if (n == 0 || n >= cur_left(&line->bytes))
		return 0;
	name = cur_sub(&name, n);
	cur_trim(&name);
	while (cur_left(&name) > 0) {
		uint8_t ch = cur_u8(&name);

		if (ch <= ' ' || ch == 127)
			return 0;
		*foreign_r |= ch > 127;
	}
	return n;
}

/* Bytes that no line of a header may have. */
static void line_bytes(struct mime *m, const struct mime_line *line)
{
	size_t len = cur_left(&line->bytes), nul = cur_find(&line->bytes, 0), cr = cur_find(&line->bytes, '\r');

	if (nul < len)
		mime_say(m, F_MIME_HEADER_NUL, m->now, line->at + nul, 1);
	if (cr < len)
		mime_say(m, F_MIME_HEADER_CR, m->now, line->at + cr, 1);
	if (len > LINE_MAX_OF_RFC)
		mime_say(m, F_MIME_HEADER_LONG, m->now, line->at, len);
}

/* Has the sender's own header begun? What servers on the way put before it does not count. */
static bool begun(const struct block *b)
{
	for (unsigned i = FIELD_OTHER + 1; i < FIELD_COUNT; i++)
		if (b->count[i] > 0)
			return true;
	return false;
}

/* A line that is neither field nor the rest of one; true: there is one that belongs there. */
static bool tolerated(const struct mime *m, const struct block *b, const struct mime_line *line)
{
	return m->now == 0 && !begun(b) &&
	       (begins_with(&line->bytes, "From ") || begins_with(&line->bytes, ">From "));
}

/* The block is larger than it may be; maybe this field alone is, which says more. */
static void too_long(struct mime *m, struct block *b, enum field f, uint64_t at, uint64_t end)
{
	on_field(m, b, f, at, end);
	if (!m->exhausted)
		mime_exhaust(m, F_DEEP_BUDGET_HEADER_BYTES, b->start, MIME_BLOCK);
}

/* Does a field follow this line, and did somebody write one before? What a server puts above and below a text without any
 * header is no sign of damage. */
static bool between_fields(const struct mime *m, const struct block *b)
{
	struct cur next = m->text;
	struct mime_line line = mime_line(&next);
	unsigned written = 0;
	bool foreign;
	size_t name = name_length(&line, &foreign);
	int ch = cur_ahead(&line.bytes, name + 1);

	for (unsigned i = FIELD_FROM; i < FIELD_COUNT; i++)
		written += b->count[i];
	return written > 0 && name > 0 && !foreign && (ch < 0 || ch == ' ' || ch == '\t'); /* no http:// */
}

/* The block ended before the line at `here`: a boundary, which belongs to those who look for it, an empty line, or the end. */
static void end_block(struct mime *m, struct cur here)
{
	struct cur next = here;
	struct mime_line line;

	if (cur_left(&here) == 0)
		return;
	line = mime_line(&next);
	if (cur_left(&line.bytes) > 0)
		m->text = here;
}

/* Read fields up to the empty line, which is stepped over, or to what is no field. */
static void read_block(struct mime *m, struct block *b)
{
	enum field f = FIELD_OTHER;
	uint64_t value_at = 0;
	bool in_field = false, ended = true;
	struct cur here;

	for (;;) {
		struct mime_line line;
		uint64_t end;
		size_t name;
		bool last, foreign;

		here = m->text;
		if (cur_left(&m->text) == 0)
			break;
		line = mime_line(&m->text);
		ended = line.ended;
		if (cur_left(&line.bytes) == 0 || mime_boundary(m, &line, &last) >= 0)
			break;
		line_bytes(m, &line);
		end = line.at + cur_left(&line.bytes);
		if (in_field && (cur_peek(&line.bytes) == ' ' || cur_peek(&line.bytes) == '\t')) {
			if (end - b->start <= MIME_BLOCK)
				continue;
			too_long(m, b, f, value_at, end);
			return;
		}
		if (in_field)
			on_field(m, b, f, value_at, line.at);
		in_field = false;
		if (m->exhausted)
			return;
		name = name_length(&line, &foreign);
		if (name > 0 && foreign)
			mime_say(m, F_MIME_NAME, m->now, line.at, name);
		if (name == 0 && tolerated(m, b, &line))
			continue;
		if (name == 0) {
			mime_say(m, between_fields(m, b) ? F_MIME_HEADER_BROKEN : F_MIME_HEADER_ENDS, m->now, line.at,
				 cur_left(&line.bytes));
			m->text = here; /* it is text already */
			return;
		}
		if (++b->fields > MIME_HEADERS) {
			mime_exhaust(m, F_DEEP_BUDGET_HEADERS, line.at, MIME_HEADERS);
			return;
		}
		f = field_of(cur_sub(&line.bytes, name));
		value_at = line.at + name + 1;
		in_field = true;
		if (end - b->start > MIME_BLOCK) {
			too_long(m, b, f, value_at, end);
			return;
		}
	}
	if (in_field)
		on_field(m, b, f, value_at, cur_offset(&here));
	if (!ended && m->now == 0)
		mime_say(m, F_MIME_HEADER_CUT, 0, cur_offset(&m->text), 0);
	end_block(m, here);
}

/* Which fields a message should have once. */
static void once(struct mime *m, const struct block *b)
{
	static const uint8_t one[] = { FIELD_FROM, FIELD_DATE, FIELD_MESSAGE_ID, FIELD_SUBJECT, FIELD_SENDER,
				       FIELD_REPLY_TO, FIELD_MIME_VERSION };
	struct finding *f;

	for (unsigned i = 0; i < sizeof one; i++)
		if (b->count[one[i]] > 1) {
			f = mime_say(m, one[i] == FIELD_FROM && b->differ[FIELD_FROM] ? F_MIME_FROM_TWICE :
				     F_MIME_HEADER_TWICE, m->now, b->value[one[i]].at, 0);
			if (f != NULL)
				text_str(&f->field, names[one[i]]);
		}
	if (b->count[FIELD_FROM] > 0 && b->count[FIELD_DATE] > 0 && b->count[FIELD_MESSAGE_ID] > 0)
		return;
	f = mime_say(m, F_MIME_HEADER_MISSING, m->now, b->start, 0);
	for (unsigned i = FIELD_FROM; i <= FIELD_MESSAGE_ID && f != NULL; i++)
		if (b->count[i] == 0) {
			text_str(&f->field, f->field.len > 0 ? ", " : "");
			text_str(&f->field, names[i]);
		}
}

/* Two fields that divide the message in two ways. */
static void twice(struct mime *m, const struct block *b, enum field which)
{
	struct finding *f;

	if (b->count[which] < 2)
		return;
	f = mime_say(m, b->differ[which] ? F_MIME_CONTENT_TWICE : F_MIME_HEADER_TWICE, m->now,
		     b->value[which].at, b->value[which].len);
	if (f != NULL)
		text_str(&f->field, names[which]);
}

void mime_header(struct mime *m, uint8_t *boundary, size_t *len_r)
{
	struct mime_node *n = &m->nodes[m->now];
	const struct mime_node *parent = &m->nodes[mime_parent(m, m->now)];
	struct block b;

	memset(&b, 0, sizeof b);
	b.start = n->header;
	*len_r = 0;
	read_block(m, &b);
	n->body = n->end = cur_offset(&m->text);
	m->header_bytes += n->body - n->header;
	if (m->header_bytes > MIME_HEADER_BYTES)
		mime_exhaust(m, F_DEEP_BUDGET_HEADER_BYTES, n->header, MIME_HEADER_BYTES);
	if (m->exhausted)
		return;
	if (m->now == 0)
		once(m, &b);
	twice(m, &b, FIELD_TYPE);
	twice(m, &b, FIELD_ENCODING);
	if (b.count[FIELD_ENCODING] > 0)
		n->encoding = (uint8_t)encoding_of(m, span_of(m, &b.value[FIELD_ENCODING]));
	if (b.count[FIELD_TYPE] > 0)
		content_type(m, span_of(m, &b.value[FIELD_TYPE]), boundary, len_r);
	else if (m->now > 0 && parent->kind == MIME_MULTIPART && parent->type.len == strlen("multipart/digest") &&
		 is_word(span_of(m, &parent->type), "multipart/digest"))
		n->kind = MIME_MESSAGE; /* the default there, RFC 2046 5.1.5 */
	if (b.count[FIELD_DISPOSITION] > 0)
		disposition(m, n, span_of(m, &b.value[FIELD_DISPOSITION]));
	if (n->kind == MIME_MULTIPART && *len_r == 0) {
		mime_say(m, F_MIME_BOUNDARY_MISSING, m->now, n->type.at, n->type.len);
		n->kind = MIME_LEAF;
	}
	/* What is encoded is not looked through; RFC 2045 6.4 forbids it, and some do it. */
	if (n->kind != MIME_LEAF && (n->encoding == MIME_BASE64 || n->encoding == MIME_QUOTED)) {
		if (n->kind == MIME_MULTIPART)
			mime_say(m, F_MIME_ENCODED_PARTS, m->now, n->type.at, n->type.len);
		else
			n->kind = MIME_LEAF;
	}
}
