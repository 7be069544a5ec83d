/*
 * opensmtpd_show.c - OpenSMTPD's files for eyes: decode() and body()
 *
 * An envelope is listed line by line, times and codes in words:
 *
 *	envelope
 *	  sender            bob@example.org
 *	  ctime             1795161600 (2026-11-20T07:20:00Z)
 *
 * Of a body the header is listed, then how much text follows. It judges nothing.
 */
#include "opensmtpd.h"

enum { SHOW_START, SHOW_LINES, SHOW_TEXT, SHOW_DONE };

#define ROWS_MAX 2000u  /* lines of a header that are listed */
#define OS_MAGIC 4u     /* bytes that tell a compressed or an encrypted file */
#define LINE_VIEW 2048u /* bytes of a line that are waited for */

static void new_row(struct row *row, uint64_t offset, uint64_t length, unsigned depth)
{
	memset(row, 0, sizeof *row);
	row->part = OS_FILE;
	row->offset = offset;
	row->length = length;
	row->depth = (uint8_t)depth;
}

/* --- Values in words ------------------------------------------------------------ */

static void say_notify(struct text *t, int64_t bits)
{
	static const char *const names[] = { " success", " failure", " delay", " never" };

	if (bits <= 0 || bits > 15)
		return;
	text_str(t, " (");
	text_str(t, "notify:");
	for (unsigned i = 0; i < 4; i++)
		if (bits >> i & 1)
			text_str(t, names[i]);
	text_str(t, ")");
}

static void say_value(struct row *row, unsigned key, const struct os_line *line)
{
	int64_t n;

	os_say(&row->detail, line->value);
	if (key >= OS_KEYS) {
		text_str(&row->detail, "  (no key of OpenSMTPD)");
		return;
	}
	if (key == OS_KEY_SENDER && cur_left(&line->value) == 1 && cur_peek(&line->value) == '@')
		text_str(&row->detail, "  (null sender)");
	if (os_keys[key].value != OS_NUMBER || !os_number(line->value, os_keys[key].max, &n))
		return;
	if (key == OS_KEY_CTIME || os_is(&line->key, "last-try") || os_is(&line->key, "last-bounce"))
		text_time(&row->detail, n);
	else if (os_is(&line->key, "dsn-notify"))
		say_notify(&row->detail, n);
}

/* --- What is somebody's ------------------------------------------------------------- */

static void mask_sockaddr(struct row *row, struct cur value)
{
	static const char old[] = "IPv6:";
	struct cur start = value, head;

	row->told = true;
	if (os_is(&value, "local"))
		return;
	head = cur_sub(&start, sizeof old - 1 < cur_left(&value) ? sizeof old - 1 : 0);
	if (!os_is(&head, old))
		start = value;
	row_personal(row, cur_offset(&start), cur_left(&start), PERSONAL_TEXT);
}

/* A line without a key that OpenSMTPD knows may be anything. */
static void mask_value(struct row *row, const struct os_line *line)
{
	unsigned key = os_find_key(&line->key);
	uint64_t at = cur_offset(&line->value), left = cur_left(&line->value);

	/* without a colon the value is empty, and at the line's start */
	if (key >= OS_KEYS || at == line->off)
		row_personal(row, line->off, line->len, PERSONAL_TEXT);
	else if (os_keys[key].value == OS_SOCKADDR)
		mask_sockaddr(row, line->value);
	else if (os_keys[key].value == OS_ADDRESS)
		row_personal(row, at, left, PERSONAL_ADDRESS);
	else if (os_keys[key].value == OS_NUMBER)
		row_personal(row, at, left, PERSONAL_LETTERS);
	else if ((os_keys[key].value == OS_WORD && os_word(line->value, os_keys[key].words)) ||
		 (os_keys[key].value == OS_FLAGS && os_flags(line->value, os_keys[key].words)))
		row->told = true;
	else
		row_personal(row, at, left, PERSONAL_TEXT);
}

/* --- An envelope ------------------------------------------------------------------ */

static void line_row(struct row *row, const struct os_line *line)
{
	static const char *const why[] = {
		[OS_LINE_BLANK] = "an empty line",
		[OS_LINE_NUL] = "a line with a zero byte",
		[OS_LINE_CUT] = "a line without its end",
		[OS_LINE_COLON] = "not key: value",
		[OS_LINE_END_NUL] = "a zero byte in place of its end",
	};

	new_row(row, line->off, line->len, 1);
	os_say(&row->kind, line->key);
	mask_value(row, line);
	if (row->kind.len == 0)
		text_str(&row->kind, "?");
	if (line->state == OS_LINE_GOOD) {
		say_value(row, os_find_key(&line->key), line);
		return;
	}
	text_str(&row->detail, why[line->state]);
}

static enum step envelope_row(struct os_show *s, const struct part *p, struct row *row,
			      struct want *w)
{
	struct cur c = cur_make(p->bytes, p->len, p->off);
	struct os_line line = { .len = 0 };

	if (p->size >= OS_ENVELOPE_MAX) {
		new_row(row, 0, p->size, 1);
		text_str(&row->kind, "too large");
		s->phase = SHOW_DONE;
		return STEP_ROW;
	}
	if (p->size > 0 && (p->off != 0 || p->len < p->size)) {
		*w = (struct want){ OS_FILE, 0, (size_t)p->size, (size_t)p->size };
		return STEP_WANT;
	}
	cur_seek(&c, (size_t)s->pos);
	if (!os_next(&c, &line)) {
		s->phase = SHOW_DONE;
		return STEP_DONE;
	}
	s->pos = line.off + line.len;
	line_row(row, &line);
	return STEP_ROW;
}

/* --- A body ------------------------------------------------------------------------- */

/* Is there a window for the line at s->pos? */
static bool line_here(const struct os_show *s, const struct part *p, struct want *w)
{
	uint64_t left = p->size - s->pos;
	size_t need = left < LINE_VIEW ? (size_t)left : LINE_VIEW;

	if (s->pos >= p->off && s->pos - p->off <= p->len && p->len - (s->pos - p->off) >= need)
		return true;
	*w = (struct want){ OS_FILE, s->pos, left < WINDOW_MAX ? (size_t)left : WINDOW_MAX, need };
	return false;
}

static void text_row(struct os_show *s, const struct part *p, struct row *row)
{
	new_row(row, s->pos, p->size - s->pos, 1);
	text_str(&row->kind, "text");
	text_u64(&row->detail, p->size - s->pos);
	text_str(&row->detail, " bytes");
	s->phase = SHOW_DONE;
}

static enum step body_row(struct os_show *s, const struct part *p, struct row *row, struct want *w)
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
	if (n == 0 || n >= LINE_VIEW || n == cur_left(&c) || s->rows >= ROWS_MAX) {
		text_row(s, p, row);
		return STEP_ROW;
	}
	line = cur_sub(&c, n);
	new_row(row, s->pos, n + 1, 1);
	colon = cur_find(&line, ':');
	if (cur_peek(&line) == ' ' || cur_peek(&line) == '\t') {
		text_str(&row->kind, "  continued");
	} else if (colon > 0 && colon < n && colon <= TEXT_MAX) {
		os_say(&row->kind, cur_sub(&line, colon));
		cur_skip(&line, 1);
	} else {
		text_row(s, p, row);
		return STEP_ROW;
	}
	while (cur_peek(&line) == ' ' || cur_peek(&line) == '\t')
		cur_skip(&line, 1);
	row_personal(row, cur_offset(&line), cur_left(&line), PERSONAL_TEXT);
	os_say(&row->detail, line);
	s->pos += n + 1;
	s->rows++;
	return STEP_ROW;
}

/* --- decode() and body() -------------------------------------------------------------- */

/* The title; false while the first bytes are not there. */
static bool title_row(struct os_show *s, const struct message *m, struct row *row, struct want *w)
{
	const struct part *p = &m->parts[OS_FILE];
	size_t head = p->size < 65 ? (size_t)p->size : 65;
	enum os_kind kind;

	if (p->off != 0 || p->len < head) {
		*w = (struct want){ OS_FILE, 0, p->size < WINDOW_MAX ? (size_t)p->size : WINDOW_MAX,
				    head };
		return false;
	}
	kind = m->place == OS_OFFLINE ? OS_PLAIN : os_kind(p);
	new_row(row, 0, kind != OS_PLAIN ? p->size : 0, 0);
	text_str(&row->kind, m->place == OS_OFFLINE ? "submission" :
			     os_is_envelope(m)      ? "envelope" : "message text");
	s->phase = SHOW_LINES;
	if (kind == OS_CRYPT) {
		text_str(&row->detail, "encrypted: ");
		text_u64(&row->detail, p->size);
		text_str(&row->detail, " bytes that are not shown");
		row_personal(row, head < OS_MAGIC ? head : OS_MAGIC, p->size - (head < OS_MAGIC ? head : OS_MAGIC),
			     PERSONAL_OPAQUE);
		s->phase = SHOW_DONE;
	}
	return true;
}

/* The title of what was unpacked; the rows after it have offsets in the text. */
static void unpacked_row(struct os_show *s, const struct message *m, struct row *row)
{
	uint64_t size = m->parts[OS_FILE].size, head = size < OS_MAGIC ? size : OS_MAGIC;

	new_row(row, 0, size, 0);
	row_personal(row, head, size - head, PERSONAL_OPAQUE);
	text_str(&row->kind, os_is_envelope(m) ? "envelope" : "message text");
	text_str(&row->detail, "compressed; unpacked: ");
	text_u64(&row->detail, m->parts[OS_UNPACKED].size);
	text_str(&row->detail, " bytes");
	s->phase = SHOW_LINES;
}

enum step os_decode(void *scratch, const struct message *m, struct row *row, struct want *w)
{
	struct os_show *s = scratch;
	unsigned part = os_text(m);
	const struct part *p = &m->parts[part];
	enum step step;

	if (m->parts[OS_FILE].size == 0 || s->phase == SHOW_DONE)
		return STEP_DONE;
	if (s->phase == SHOW_START && part == OS_UNPACKED) {
		unpacked_row(s, m, row);
		return STEP_ROW;
	}
	if (s->phase == SHOW_START)
		return title_row(s, m, row, w) ? STEP_ROW : STEP_WANT;
	step = m->place == OS_QUEUE && os_is_envelope(m) ? envelope_row(s, p, row, w) :
							    body_row(s, p, row, w);
	if (step == STEP_ROW)
		row->part = (uint8_t)part;
	if (step == STEP_ROW && part == OS_UNPACKED) { /* no file has these bytes: they cannot be masked in one */
		row->told = false;
		row->npersonal = 0;
	}
	if (step == STEP_WANT)
		w->part = part;
	return step;
}

/* The message text of a body: all of it, in one run. An envelope has none. */
enum step os_body(void *scratch, const struct message *m, struct run *run, struct want *w)
{
	struct os_show *s = scratch;
	unsigned part = os_text(m);
	const struct part *p = &m->parts[part];
	size_t head = p->size < 65 ? (size_t)p->size : 65;

	if (p->size == 0 || s->phase == SHOW_DONE || m->place != OS_QUEUE || os_is_envelope(m))
		return STEP_DONE;
	if (part == OS_FILE && (p->off != 0 || p->len < head)) {
		*w = (struct want){ OS_FILE, 0, p->size < WINDOW_MAX ? (size_t)p->size : WINDOW_MAX,
				    head };
		return STEP_WANT;
	}
	s->phase = SHOW_DONE;
	if (part == OS_FILE && os_kind(p) != OS_PLAIN)
		return STEP_DONE;
	run->part = (uint8_t)part;
	run->offset = 0;
	run->length = p->size;
	run->newline = false;
	return STEP_ROW;
}
