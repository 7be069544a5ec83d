/*
 * iis_show.c - the files for eyes: decode() and body()
 *
 *	message
 *	  Received          from a by b
 *	  X-ExtendedProps   FQAr...
 *	    key             Microsoft.Exchange.Transport.ResubmitCount
 *	    number          1
 *	  text              4711 bytes
 *	stream PROPERTIES   600 bytes
 *	  id                MP_SENDER_ADDRESS_SMTP (ansi)
 *	  text              SMTP:bob@example.org
 *
 * Of a stream, whose layout nobody has published, what can be read without one: text of a few characters
 * and more, in letters of one byte or of two, and 32 bits that are the published id of a property, which may be
 * chance. It judges nothing.
 */
#include "iis.h"
#include "mailmsg.h"

enum { SHOW_START, SHOW_FIELDS, SHOW_REST, SHOW_PART, SHOW_STRINGS, SHOW_DONE };

#define ROWS_MAX 2000u   /* lines of a header, strings of a stream */
#define STRING_MIN 5u    /* characters of a string that is listed */

static void new_row(struct row *row, unsigned part, uint64_t offset, uint64_t length, unsigned depth)
{
	memset(row, 0, sizeof *row);
	row->part = (uint8_t)part;
	row->offset = offset;
	row->length = length;
	row->depth = (uint8_t)depth;
}

static bool head_here(const struct message *m, struct want *w, struct cur *head)
{
	const struct part *p = &m->parts[IIS_TEXT];
	size_t n = p->size < IIS_HEADER_MAX ? (size_t)p->size : IIS_HEADER_MAX;

	if (n > 0 && (p->off != 0 || p->len < n)) {
		*w = (struct want){ IIS_TEXT, 0, n, n };
		return false;
	}
	*head = cur_make(p->bytes, p->len, 0);
	*head = cur_sub(head, n);
	return true;
}

/* --- Tokens of X-ExtendedProps ------------------------------------------------------------------ */

static void say_token(struct row *row, const struct iis_token *t)
{
	text_str(&row->kind, t->value ? "value" : "key");
	text_str(&row->kind, ", type ");
	text_u64(&row->kind, t->type);
	if (t->nview == 0) {
		text_u64(&row->detail, t->number);
	} else {
		text_bytes(&row->detail, t->view, t->nview);
		if (t->nview == IIS_PROPS_VIEW)
			text_str(&row->detail, "...");
	}
}

/* The next token of the field that was listed; STEP_DONE when there is none. */
static enum step token_row(struct iis_show *s, struct row *row)
{
	struct iis_token t;
	enum iis_props_end end = iis_props_next(&s->block, &t);

	s->props = end == IIS_PROPS_TOKEN;
	if (end == IIS_PROPS_SOUND)
		return STEP_DONE;
	new_row(row, IIS_TEXT, t.off, t.len, 2);
	if (end == IIS_PROPS_TOKEN)
		say_token(row, &t);
	else
		text_str(&row->kind, end == IIS_PROPS_NO_VALUE ? "no value" :
				     end == IIS_PROPS_OVERRUN ? "too long" :
				     end == IIS_PROPS_TYPE ? "unknown type" : "no base64");
	row_personal(row, t.off, t.len, PERSONAL_OPAQUE);
	return STEP_ROW;
}

/* The block is kept as offsets: its window may lie elsewhere when decode() is called again. */
static void props_reopen(struct iis_show *s, struct cur head)
{
	struct cur c = head;

	if (s->block_end < s->block_at || !cur_seek(&c, (size_t)s->block_at))
		return;
	c = cur_sub(&c, (size_t)(s->block_end - s->block_at));
	cur_seek(&c, s->block.text.pos);
	s->block.text = c;
}

static void props_open(struct iis_show *s, const struct iis_field *f)
{
	struct cur base64;

	s->props = iis_props_of(f, &base64);
	if (!s->props)
		return;
	s->block = iis_props(base64);
	s->block_at = cur_offset(&base64);
	s->block_end = s->block_at + cur_left(&base64);
	/* From here on positions count from block_at. */
	s->block.text = cur_sub(&base64, cur_left(&base64));
}

/* --- The message ------------------------------------------------------------------------------------ */

static enum step field_row(struct iis_show *s, struct cur head, struct row *row)
{
	struct iis_field f;

	if (s->pos <= cur_left(&head))
		cur_seek(&head, (size_t)s->pos);
	if (s->rows >= ROWS_MAX || iis_field(&head, &f) != IIS_FIELD) {
		s->phase = SHOW_REST;
		return STEP_DONE;
	}
	s->rows++;
	s->pos = cur_offset(&head);
	new_row(row, IIS_TEXT, f.off, f.len, 1);
	iis_say(&row->kind, f.name);
	iis_say(&row->detail, f.value);
	row_personal(row, cur_offset(&f.value), cur_left(&f.value), PERSONAL_TEXT);
	props_open(s, &f);
	return STEP_ROW;
}

static enum step rest_row(struct iis_show *s, const struct message *m, struct row *row)
{
	uint64_t left = m->parts[IIS_TEXT].size - s->pos;

	s->phase = SHOW_PART;
	s->part = IIS_STREAM;
	if (left == 0)
		return STEP_DONE;
	new_row(row, IIS_TEXT, s->pos, left, 1);
	text_str(&row->kind, "text");
	text_u64(&row->detail, left);
	text_str(&row->detail, " bytes");
	return STEP_ROW;
}

/* --- Streams ------------------------------------------------------------------------------------------- */

static enum step part_row(struct iis_show *s, const struct message *m, struct row *row)
{
	const struct part *p;

	while (s->part < IIS_ROLES && !iis_present(m, s->part))
		s->part++;
	if (s->part >= IIS_ROLES) {
		s->phase = SHOW_DONE;
		return STEP_DONE;
	}
	p = &m->parts[s->part];
	s->pos = 0;
	s->rows = 0;
	s->phase = SHOW_STRINGS;
	new_row(row, s->part, 0, p->size, 0);
	text_str(&row->kind, s->part == IIS_BDP ? "properties" : s->part == IIS_BDR ? "reason" : "stream");
	if (p->name != NULL)
		text_bytes(&row->detail, (const uint8_t *)p->name, p->name_len);
	text_str(&row->detail, p->name != NULL ? ", " : "");
	text_u64(&row->detail, p->size);
	text_str(&row->detail, " bytes; the layout is not published");
	if (s->part == IIS_BDR)
		row->detail.len = 0;
	return STEP_ROW;
}

static bool printable(int ch)
{
	return ch >= ' ' && ch < 127;
}

/* How many letters stand here, each of `stride` bytes, the upper ones zero. */
static size_t letters(const struct cur *c, size_t stride)
{
	size_t n = 0;

	while (printable(cur_ahead(c, n * stride)) && (stride == 1 || cur_ahead(c, n * stride + 1) == 0))
		n++;
	return n;
}

static void say_letters(struct text *t, struct cur c, size_t n, size_t stride)
{
	for (size_t i = 0; i < n && i < TEXT_MAX; i++) {
		uint8_t ch = cur_u8(&c);

		text_bytes(t, &ch, 1);
		if (stride == 2)
			cur_skip(&c, 1);
	}
}

/* The published property whose id the next four bytes are, or NULL. */
static const struct mailmsg_property *property(const struct cur *c)
{
	const uint8_t *p = cur_view(c, 4);

	return p != NULL ? mailmsg_property(cur_le32(p)) : NULL;
}

static void id_row(struct iis_show *s, uint64_t at, const struct mailmsg_property *id, struct row *row)
{
	new_row(row, s->part, at, 4, 1);
	row->told = true;
	text_str(&row->kind, "id");
	text_str(&row->detail, id->name);
	text_str(&row->detail, " (");
	text_str(&row->detail, mailmsg_type_name(id->type));
	text_str(&row->detail, ")");
	s->pos = at + 4;
	s->rows++;
}

/* The next string or id of the stream. */
static enum step string_row(struct iis_show *s, const struct message *m, struct row *row)
{
	const struct part *p = &m->parts[s->part];
	struct cur c = cur_make(p->bytes, p->len, 0);

	cur_seek(&c, s->pos < p->len ? (size_t)s->pos : p->len);
	while (s->rows < ROWS_MAX && cur_left(&c) > 0) {
		size_t stride = cur_ahead(&c, 1) == 0 ? 2 : 1, n = letters(&c, stride);
		const struct mailmsg_property *id = property(&c);
		uint64_t at = cur_offset(&c);

		if (id != NULL && s->part != IIS_BDR) {
			id_row(s, at, id, row);
			return STEP_ROW;
		}
		if (n < STRING_MIN) {
			cur_skip(&c, 1);
			continue;
		}
		new_row(row, s->part, at, n * stride, 1);
		text_str(&row->kind, stride == 2 ? "text (UTF-16)" : "text");
		say_letters(&row->detail, c, n, stride);
		row_personal(row, at, n * stride, PERSONAL_TEXT);
		cur_skip(&c, n * stride);
		s->pos = cur_offset(&c);
		s->rows++;
		return STEP_ROW;
	}
	s->phase = SHOW_PART;
	s->part++;
	return STEP_DONE;
}

/* --- All of it -------------------------------------------------------------------------------------------- */

static enum step next_row(struct iis_show *s, const struct message *m, struct cur head, struct row *row)
{
	switch (s->phase) {
	case SHOW_START:
		s->phase = SHOW_FIELDS;
		new_row(row, IIS_TEXT, 0, m->parts[IIS_TEXT].size, 0);
		row->told = true;
		text_str(&row->kind, "message");
		return STEP_ROW;
	case SHOW_FIELDS:
		if (s->props) {
			props_reopen(s, head);
			if (token_row(s, row) == STEP_ROW)
				return STEP_ROW;
		}
		return field_row(s, head, row);
	case SHOW_REST:
		return rest_row(s, m, row);
	case SHOW_PART:
		return part_row(s, m, row);
	default:
		return string_row(s, m, row);
	}
}

enum step iis_decode(void *scratch, const struct message *m, struct row *row, struct want *w)
{
	struct iis_show *s = scratch;
	struct cur head;

	if (!head_here(m, w, &head))
		return STEP_WANT;
	while (s->phase != SHOW_DONE)
		if (next_row(s, m, head, row) == STEP_ROW)
			return STEP_ROW;
	return STEP_DONE;
}

/* All of the file, without the lines that are no part of the message. */
enum step iis_body(void *scratch, const struct message *m, struct run *run, struct want *w)
{
	struct iis_show *s = scratch;
	struct iis_field f;
	struct cur head;
	uint64_t at = 0;

	if (s->phase == SHOW_DONE || m->parts[IIS_TEXT].size == 0)
		return STEP_DONE;
	if (!head_here(m, w, &head))
		return STEP_WANT;
	while (m->place != IIS_QUEUE && m->place != IIS_BADMAIL && iis_field(&head, &f) == IIS_FIELD &&
	       (iis_is(&f, "x-sender") || iis_is(&f, "x-receiver")))
		at = cur_offset(&head);
	s->phase = SHOW_DONE;
	*run = (struct run){ .part = IIS_TEXT, .offset = at, .length = m->parts[IIS_TEXT].size - at };
	return run->length > 0 ? STEP_ROW : STEP_DONE;
}
