/*
 * courier_show.c - Courier's files for eyes: decode() and body()
 *
 * The control file is listed record by record, times in words, then the header of the text:
 *
 *	control file
 *	  sender            alice@example.org
 *	  deferred          0 1795177398 (2026-11-20T12:23:18Z)
 *	message text
 *	  Subject           x
 *
 * It judges nothing.
 */
#include "courier.h"

enum { SHOW_START, SHOW_RECORDS, SHOW_BEHIND, SHOW_TEXT, SHOW_HEADER, SHOW_DONE };

#define ROWS_MAX 2000u  /* lines of a header that are listed */
#define LINE_VIEW 2048u /* bytes of a line that are waited for */

static void new_row(struct row *row, unsigned part, uint64_t offset, uint64_t length, unsigned depth)
{
	memset(row, 0, sizeof *row);
	row->part = (uint8_t)part;
	row->offset = offset;
	row->length = length;
	row->depth = (uint8_t)depth;
}

/* --- What is somebody's ------------------------------------------------------------- */

/* Of "0 R text" the text. */
static void mask_info(struct row *row, struct cur value)
{
	size_t n = cur_left(&value);

	for (unsigned blanks = 0; blanks < 2 && cur_left(&value) > 0;)
		blanks += cur_u8(&value) == ' ';
	row->told = true;
	if (n > 0 && cur_left(&value) > 0)
		row_personal(row, cur_offset(&value), cur_left(&value), PERSONAL_TEXT);
}

/* A letter that Courier does not know may begin anything. */
static void mask_value(struct row *row, const struct co_line *line, unsigned letter)
{
	uint64_t at = cur_offset(&line->value), left = cur_left(&line->value);
	enum co_value value = letter < CO_LETTERS ? (enum co_value)co_letters[letter].value : CO_TEXT;

	row->told = true; /* the letter, and what is not masked below */
	if (left == 0 || line->letter == 'u')
		return;
	if (line->letter == 's' || line->letter == 'r' || line->letter == 'R')
		row_personal(row, at, left, PERSONAL_ADDRESS);
	else if (value == CO_TIME || value == CO_NUMBER || value == CO_RESULT)
		row_personal(row, at, left, PERSONAL_LETTERS);
	else if (value == CO_INFO)
		mask_info(row, line->value);
	else if (value == CO_TEXT)
		row_personal(row, at, left, PERSONAL_TEXT);
}

/* --- The control file ------------------------------------------------------------- */

static void say_value(struct row *row, const struct co_line *line, unsigned letter)
{
	struct cur value = line->value;
	uint64_t n = 0;
	int64_t time;

	co_say(&row->detail, value);
	if (letter == CO_LETTERS) {
		text_str(&row->detail, "  (no letter of Courier)");
		return;
	}
	switch ((enum co_value)co_letters[letter].value) {
	case CO_TIME:
		if (co_number(value, &n) && n <= INT64_MAX)
			text_time(&row->detail, (int64_t)n);
		break;
	case CO_MSGID:
		if (co_msgid(value, &time))
			text_time(&row->detail, time);
		break;
	case CO_RESULT:
		if (!co_index(value, true, &n))
			break;
		co_digits(&value);
		cur_skip(&value, 1);
		n = co_digits(&value);
		if (n <= INT64_MAX)
			text_time(&row->detail, (int64_t)n);
		break;
	default:
		break;
	}
	if (line->letter == 's' && cur_left(&line->value) == 0)
		text_str(&row->detail, "(null sender)");
}

static enum step record_row(struct co_show *s, const struct part *p, struct row *row)
{
	struct cur c = co_text(p);
	struct co_line line = { 0 };
	unsigned letter;

	if (s->pos <= cur_left(&c))
		cur_seek(&c, (size_t)s->pos);
	if (!co_next(&c, &line)) {
		s->phase = SHOW_BEHIND;
		return STEP_DONE;
	}
	s->pos = cur_offset(&c);
	letter = co_find(line.letter);
	new_row(row, CO_ENTRY, line.off, line.len, 1);
	if (letter < CO_LETTERS)
		text_str(&row->kind, co_letters[letter].name);
	else
		text_bytes(&row->kind, (const uint8_t *)&line.letter, 1);
	say_value(row, &line, letter);
	mask_value(row, &line, letter);
	return STEP_ROW;
}

/* What Courier does not see. */
static enum step behind_row(struct co_show *s, const struct part *p, struct row *row)
{
	struct cur c = co_text(p);
	size_t n = cur_left(&c);

	s->phase = SHOW_TEXT;
	if (n == p->len)
		return STEP_DONE;
	new_row(row, CO_ENTRY, n, p->len - n, 1);
	text_str(&row->kind, "behind a zero byte");
	text_u64(&row->detail, p->len - n);
	text_str(&row->detail, " bytes that Courier does not read");
	return STEP_ROW;
}

/* --- The text ------------------------------------------------------------------------ */

/* Is there a window for the line at s->pos? */
static bool line_here(const struct co_show *s, const struct part *p, struct want *w)
{
	uint64_t left = p->size - s->pos;
	size_t need = left < LINE_VIEW ? (size_t)left : LINE_VIEW;

	if (s->pos >= p->off && s->pos - p->off <= p->len && p->len - (s->pos - p->off) >= need)
		return true;
	*w = (struct want){ CO_DATA, s->pos, left < WINDOW_MAX ? (size_t)left : WINDOW_MAX, need };
	return false;
}

static enum step text_row(struct co_show *s, const struct part *p, struct row *row)
{
	new_row(row, CO_DATA, s->pos, p->size - s->pos, 1);
	text_str(&row->kind, "text");
	text_u64(&row->detail, p->size - s->pos);
	text_str(&row->detail, " bytes");
	s->phase = SHOW_DONE;
	return STEP_ROW;
}

static enum step header_row(struct co_show *s, const struct part *p, struct row *row, struct want *w)
{
	struct cur c, line;
	size_t n, colon;

	if (s->pos >= p->size) {
		s->phase = SHOW_DONE;
		return STEP_DONE;
	}
	if (!line_here(s, p, w))
		return STEP_WANT;
	c = cur_make(p->bytes, p->len, p->off);
	cur_seek(&c, (size_t)(s->pos - p->off));
	n = cur_find(&c, '\n');
	/* What is longer than a line can be is no header; windows must not change the answer. */
	if (n == 0 || n >= LINE_VIEW || n == cur_left(&c) || s->rows >= ROWS_MAX)
		return text_row(s, p, row);
	line = cur_sub(&c, n);
	colon = cur_find(&line, ':');
	new_row(row, CO_DATA, s->pos, n + 1, 1);
	if (cur_peek(&line) == ' ' || cur_peek(&line) == '\t') {
		text_str(&row->kind, "  continued");
	} else if (colon > 0 && colon < n && colon <= TEXT_MAX) {
		co_say(&row->kind, cur_sub(&line, colon));
		cur_skip(&line, 1);
	} else {
		return text_row(s, p, row);
	}
	cur_skip_blanks(&line);
	row_personal(row, cur_offset(&line), cur_left(&line), PERSONAL_TEXT);
	co_say(&row->detail, line);
	s->pos += n + 1;
	s->rows++;
	return STEP_ROW;
}

/* --- decode() and body() ---------------------------------------------------------------- */

static enum step title(struct co_show *s, unsigned part, const char *text, unsigned next,
		       struct row *row)
{
	new_row(row, part, 0, 0, 0);
	text_str(&row->kind, text);
	s->pos = 0;
	s->phase = (uint8_t)next;
	return STEP_ROW;
}

enum step co_decode(void *scratch, const struct message *m, struct row *row, struct want *w)
{
	struct co_show *s = scratch;
	const struct part *control = &m->parts[CO_ENTRY], *text = &m->parts[CO_DATA];
	enum step step = STEP_DONE;

	if (s->phase == SHOW_START)
		return title(s, CO_ENTRY, "control file", SHOW_RECORDS, row);
	if (s->phase == SHOW_RECORDS)
		step = record_row(s, control, row);
	if (step == STEP_DONE && s->phase == SHOW_BEHIND)
		step = behind_row(s, control, row);
	if (step == STEP_DONE && s->phase == SHOW_TEXT)
		return text->size > 0 ? title(s, CO_DATA, "message text", SHOW_HEADER, row) : STEP_DONE;
	if (step == STEP_DONE && s->phase == SHOW_HEADER)
		step = header_row(s, text, row, w);
	return step;
}

/* The message text: all of it, in one run. */
enum step co_body(void *scratch, const struct message *m, struct run *run, struct want *w)
{
	struct co_show *s = scratch;
	const struct part *p = &m->parts[CO_DATA];

	(void)w;
	if (p->size == 0 || s->phase == SHOW_DONE)
		return STEP_DONE;
	s->phase = SHOW_DONE;
	*run = (struct run){ CO_DATA, 0, p->size, false };
	return STEP_ROW;
}
