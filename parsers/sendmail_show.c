/*
 * sendmail_show.c - Sendmail's files for eyes: decode() and body()
 *
 * The control file is listed record by record, times in words, then the first lines of the
 * text. The message is the header lines without their conditions, an empty line, the text. It
 * judges nothing.
 */
#include "sendmail.h"

enum { SHOW_CONTROL, SHOW_TEXT, SHOW_DONE };

#define SHOW_LINES 20u   /* lines of the text that are listed */
#define SHOW_BYTES 4096u /* ... which lie in so many bytes */

static void new_row(struct row *row, unsigned part, uint64_t offset, uint64_t length, unsigned depth)
{
	memset(row, 0, sizeof *row);
	row->part = (uint8_t)part;
	row->offset = offset;
	row->length = length;
	row->depth = (uint8_t)depth;
}

static void title(struct sm_show *s, struct row *row, unsigned part, const char *name)
{
	s->title = true;
	new_row(row, part, 0, 0, 0);
	text_str(&row->kind, name);
}

static void next_phase(struct sm_show *s)
{
	s->phase++;
	s->pos = 0;
	s->rows = 0;
	s->title = false;
}

/* --- The control file ---------------------------------------------------------- */

/* NULL = no record has this letter. */
static const char *kind_of(int letter)
{
	static const struct {
		char letter;
		const char *name;
	} kinds[] = {
		{ 'V', "version" },          { 'T', "arrival" },     { 'K', "last try" },
		{ 'N', "tries" },            { 'P', "priority" },    { 'I', "inode of text" },
		{ 'B', "body type" },        { 'F', "flags" },       { 'M', "error" },
		{ '$', "macro" },            { 'S', "sender" },      { 'Z', "DSN envelope id" },
		{ 'A', "AUTH" },             { '!', "deliver by" },  { 'C', "controlling user" },
		{ 'Q', "original recipient" }, { 'r', "final recipient" }, { 'R', "recipient" },
		{ 'H', "header" },           { 'q', "quarantine reason" }, { 'd', "text lies in" },
		{ 'D', "text (old)" },       { 'E', "errors to (old)" }, { 'L', "length (old)" },
		{ '.', "end" },
	};

	for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (kinds[i].letter == letter)
			return kinds[i].name;
	return letter < 0 ? "empty line" : NULL;
}

static void say_flags(struct text *t, struct cur flags)
{
	static const struct {
		char letter;
		const char *name;
	} known[] = { { 'w', "warning sent" }, { 'r', "a response" }, { '8', "8 bit" },
		      { 'b', "delete Bcc" },   { 'd', "RET=" },       { 'n', "no body returned" },
		      { 's', "split" },        { 'e', "SMTPUTF8" } };

	while (cur_left(&flags) > 0) {
		uint8_t ch = cur_u8(&flags);

		for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
			if ((uint8_t)known[i].letter == ch) {
				text_str(t, "  ");
				text_str(t, known[i].name);
			}
	}
}

/* The address first: who lists recipients takes it from here. */
static void say_recipient(struct text *t, struct cur value, int version)
{
	struct sm_recipient r = sm_recipient(value, version);
	size_t flags = cur_left(&value) - cur_left(&r.address);

	if (!r.colon) {
		sm_say(t, value);
		return;
	}
	sm_say(t, sm_bare(r.address));
	if (flags > 1) {
		text_str(t, "  (");
		sm_say(t, cur_sub(&value, flags - 1));
		text_str(t, ")");
	}
}

static void say_value(struct sm_show *s, struct row *row, const struct sm_line *line)
{
	struct text *t = &row->detail;
	struct sm_header h;

	switch (line->letter) {
	case 'V':
		s->version = (int)(int32_t)(uint32_t)(uint64_t)sm_number(line->value).n;
		sm_say(t, line->value);
		break;
	case 'T':
	case 'K':
		sm_say(t, line->value);
		if (sm_number(line->value).n > 0)
			text_time(t, sm_number(line->value).n);
		break;
	case 'F':
		sm_say(t, line->value);
		say_flags(t, line->value);
		break;
	case 'S':
		sm_say(t, sm_bare(line->value));
		if (t->len == 0)
			text_str(t, "(null sender)");
		break;
	case 'R':
		say_recipient(t, line->value, s->version);
		break;
	case 'H':
		h = sm_header(line->value);
		sm_say(t, h.state == SM_HEADER_GOOD ? h.name : line->value);
		if (h.state == SM_HEADER_GOOD) {
			text_str(t, ":");
			sm_say(t, h.value);
		}
		break;
	default:
		sm_say(t, line->value);
		break;
	}
}

static enum step control_row(struct sm_show *s, const struct message *m, struct row *row)
{
	const struct part *p = &m->parts[SM_CONTROL];
	struct cur c = cur_make(p->bytes, p->len, p->off);
	const char *kind;
	struct sm_line line;

	if (!s->title) {
		title(s, row, SM_CONTROL, "control file");
		return STEP_ROW;
	}
	cur_seek(&c, (size_t)s->pos);
	if (!sm_next(&c, &line)) {
		next_phase(s);
		return STEP_DONE;
	}
	s->pos = line.off + line.len;
	new_row(row, SM_CONTROL, line.off, line.len, 1);
	kind = kind_of(line.letter);
	if (kind != NULL) {
		text_str(&row->kind, kind);
	} else {
		text_str(&row->kind, "unknown");
		text_bytes(&row->detail, &(const uint8_t){ (uint8_t)line.letter }, 1);
	}
	say_value(s, row, &line);
	return STEP_ROW;
}

/* --- The text ------------------------------------------------------------------------ */

/* The first lines; what comes behind them is one row. */
static enum step text_row(struct sm_show *s, const struct message *m, struct row *row, struct want *w)
{
	unsigned role = sm_text(m);
	const struct part *p = &m->parts[role];
	struct cur c, line;
	size_t n, take;

	if (role == SM_CONTROL || (s->title && s->pos >= p->size)) {
		next_phase(s);
		return STEP_DONE;
	}
	if (!s->title) {
		title(s, row, role, "text");
		if (p->size == 0)
			text_str(&row->detail, "empty");
		return STEP_ROW;
	}
	if (s->rows >= SHOW_LINES || s->pos >= SHOW_BYTES) {
		new_row(row, role, s->pos, p->size - s->pos, 1);
		text_str(&row->kind, "more text");
		text_u64(&row->detail, p->size - s->pos);
		text_str(&row->detail, " bytes");
		s->pos = p->size;
		return STEP_ROW;
	}
	take = p->size < 2 * SHOW_BYTES ? (size_t)p->size : 2 * SHOW_BYTES;
	if (p->off != 0 || p->len < take) {
		*w = (struct want){ role, 0, take, take };
		return STEP_WANT;
	}
	c = cur_make(p->bytes, p->len < p->size ? p->len : (size_t)p->size, 0);
	cur_seek(&c, (size_t)s->pos);
	n = cur_find(&c, '\n');
	if (n > SHOW_BYTES)
		n = SHOW_BYTES;
	line = cur_sub(&c, n);
	cur_skip(&c, cur_peek(&c) == '\n');
	new_row(row, role, s->pos, cur_offset(&c) - s->pos, 1);
	text_str(&row->kind, "line");
	sm_say(&row->detail, line);
	s->pos = cur_offset(&c);
	s->rows++;
	return STEP_ROW;
}

enum step sm_decode(void *scratch, const struct message *m, struct row *row, struct want *w)
{
	struct sm_show *s = scratch;
	enum step step = STEP_DONE;

	if (s->phase == SHOW_CONTROL)
		step = control_row(s, m, row);
	if (step == STEP_DONE && s->phase == SHOW_TEXT)
		step = text_row(s, m, row, w);
	return step;
}

/* --- body() ------------------------------------------------------------------------------ */

/* The bytes of a header line that are sent as they stand; false for one that Sendmail makes
 * up at delivery (a macro is in it) or drops. */
static bool header_run(const struct sm_line *line, struct run *run)
{
	struct sm_header h;

	if (line->letter != 'H')
		return false;
	h = sm_header(line->value);
	if (h.state != SM_HEADER_GOOD || cur_find(&h.value, 0201) < cur_left(&h.value))
		return false;
	run->part = SM_CONTROL;
	run->offset = cur_offset(&h.name);
	run->length = cur_offset(&line->value) + cur_left(&line->value) - run->offset;
	run->newline = true;
	return true;
}

enum step sm_body(void *scratch, const struct message *m, struct run *run, struct want *w)
{
	struct sm_show *s = scratch;
	const struct part *p = &m->parts[SM_CONTROL];
	unsigned role = sm_text(m);
	struct sm_line line;

	(void)w;
	memset(run, 0, sizeof *run);
	if (s->phase == SHOW_CONTROL) {
		struct cur c = cur_make(p->bytes, p->len, p->off);

		cur_seek(&c, (size_t)s->pos);
		while (sm_next(&c, &line) && line.letter != '.')
			if (header_run(&line, run)) {
				s->pos = line.off + line.len;
				return STEP_ROW;
			}
		next_phase(s);
		run->part = SM_CONTROL;
		run->offset = line.off;
		run->newline = true; /* between header lines and text */
		return STEP_ROW;
	}
	if (s->phase == SHOW_TEXT && role != SM_CONTROL && m->parts[role].size > 0) {
		s->phase = SHOW_DONE;
		run->part = (uint8_t)role;
		run->length = m->parts[role].size;
		return STEP_ROW;
	}
	return STEP_DONE;
}
