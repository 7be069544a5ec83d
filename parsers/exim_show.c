/*
 * exim_show.c - an Exim message for eyes: decode() and body()
 *
 * decode() lists -H item by item in the order in which Exim reads it, then the
 * lines of -J, then the beginning of -D:
 *
 *	envelope
 *	  time                      1795167359 (2026-11-20T07:35:59Z), 0 warnings
 *	  option                    -helo_name client.example
 *	  done                      alice@example.org (child left)
 *	  recipient                 bob@example.com
 *	header lines
 *	  038 blank                 Subject: hello
 *	text
 *
 * It judges nothing, but says where Exim's reader would give up and why. body()
 * gives the header lines that are sent, an empty line, and the text.
 */
#include "exim.h"

enum show_phase {
	SHOW_HEAD, /* zero: the start */
	SHOW_JOURNAL,
	SHOW_DATA,
	SHOW_TEXT,
	SHOW_DONE,
};

#define SHOW_LINES 20u        /* of the text */
#define EX_LENGTH_FIELD 5u     /* "023T " before a header line */
#define SHOW_BYTES (16u << 10) /* in which they must lie */

static void new_row(struct row *row, unsigned part, uint64_t offset, uint64_t length, unsigned depth)
{
	memset(row, 0, sizeof *row);
	row->part = (uint8_t)part;
	row->offset = offset;
	row->length = length;
	row->depth = (uint8_t)depth;
}

static enum step title(struct ex_show *s, struct row *row, unsigned part, uint64_t offset,
		       const char *text)
{
	new_row(row, part, offset, 0, 0);
	text_str(&row->kind, text);
	s->title = true;
	return STEP_ROW;
}

static void next_phase(struct ex_show *s)
{
	s->phase++;
	s->title = false;
	s->pos = 0;
	s->line = 0;
}

/* --- What is somebody's ----------------------------------------------------------- */

static void mask(struct row *row, struct cur c, enum personal_kind kind)
{
	row_personal(row, cur_offset(&c), cur_left(&c), kind);
}

/* The line up to its last `blanks` blanks: what follows are numbers. */
static void mask_before(struct row *row, struct cur line, unsigned blanks)
{
	struct cur all = line;

	while (blanks > 0 && cur_left(&line) > 0)
		blanks -= ex_pop(&line) == ' ';
	mask(row, blanks == 0 ? line : all, PERSONAL_TEXT);
}

/* An id names a file and nobody; what stands in its place may be anything. */
static void mask_id(struct row *row, struct cur line)
{
	struct cur c = line;
	bool id = cur_left(&c) <= EX_NEW_ID + 2;

	while (id && cur_left(&c) > 0) {
		uint8_t ch = cur_u8(&c);

		id = ex_digit(ch) || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') || ch == '-';
	}
	if (id)
		row->told = true;
	else
		mask(row, line, PERSONAL_TEXT);
}

static void mask_option(struct row *row, const struct ex_item *it, const struct ex_words *w)
{
	struct cur name = it->line;

	row->told = true;
	if ((w->known < 0 && !w->quoted) || w->glued) {
		cur_skip(&name, 1);
		mask(row, name, PERSONAL_TEXT);
	} else if (w->has_value) {
		uint8_t shape = w->known >= 0 ? ex_options[w->known].shape : (uint8_t)EX_TEXT;

		mask(row, w->value, shape == EX_NUMBER || shape == EX_FROZEN_TIME ? PERSONAL_LETTERS :
										  PERSONAL_TEXT);
	}
}

static void mask_recipient(struct row *row, const struct ex_item *it, const struct ex_rcpt *r)
{
	if (r->form == EX_NO_FORM || r->bad != 0) {
		mask_before(row, it->line, 1);
		return;
	}
	mask(row, r->address, PERSONAL_ADDRESS);
	if (cur_left(&r->orcpt) > 0)
		mask(row, r->orcpt, PERSONAL_TEXT);
	if (cur_left(&r->errors_to) > 0)
		mask(row, r->errors_to, PERSONAL_TEXT);
}

/* The name of a header field stays, and the length and type before it. */
static void mask_header(struct row *row, const struct ex_item *it)
{
	struct cur text = it->line;

	while (cur_peek(&text) > ' ' && cur_peek(&text) < 127 && cur_peek(&text) != ':')
		cur_skip(&text, 1);
	mask(row, cur_peek(&text) == ':' ? text : it->line, PERSONAL_TEXT);
}

static void mask_fixed(struct row *row, const struct ex_item *it)
{
	struct cur line = it->line;

	row->told = true;
	if (it->kind == EX_ID)
		mask_id(row, line);
	else if (it->kind == EX_USER)
		mask_before(row, line, 2);
	else if (it->kind == EX_SENDER)
		mask(row, line, PERSONAL_TEXT);
	else if (it->kind == EX_TIME || it->kind == EX_COUNT)
		mask(row, line, PERSONAL_LETTERS);
}

/* Where reading stops the beginning of the line says why: what is a number, a type, a name there. */
static void mask_stop(struct row *row, const struct ex_item *it, struct cur line)
{
	size_t keep = 0;

	if (it->stop == EX_ACL_LINE || it->stop == EX_ACL_DATA)
		keep = cur_left(&line);
	else if (it->stop == EX_NO_LENGTH || it->stop == EX_LENGTH)
		keep = cur_left(&line) < EX_LENGTH_FIELD ? cur_left(&line) : EX_LENGTH_FIELD;
	else if (it->stop == EX_NODE_SHORT)
		keep = cur_left(&line) < 3 ? cur_left(&line) : 3;
	row_personal(row, row->offset + keep, row->length - keep, PERSONAL_TEXT);
}

/* --- -H ------------------------------------------------------------------------ */

static void option_row(struct row *row, const struct ex_item *it)
{
	struct ex_words w;
	int64_t sec;

	ex_option_words(it, &w);
	mask_option(row, it, &w);
	text_str(&row->kind, w.known >= 0 ? "option" : "unknown option");
	ex_say(&row->detail, it->line);
	if (ex_is(&w.name, "frozen") && ex_all_digits(w.value, &sec))
		text_time(&row->detail, sec);
}

static void acl_row(struct row *row, const struct ex_item *it)
{
	mask(row, it->data, PERSONAL_TEXT);
	text_str(&row->kind, "ACL variable");
	ex_say(&row->detail, it->line);
	text_str(&row->detail, ": ");
	ex_say(&row->detail, it->data);
}

static void node_row(struct row *row, const struct ex_item *it)
{
	struct cur c = it->line;
	bool left = cur_u8(&c) == 'Y', right = cur_u8(&c) == 'Y';

	cur_skip(&c, 1);
	mask(row, c, PERSONAL_ADDRESS);
	text_str(&row->kind, "done");
	ex_say(&row->detail, c);
	if (left || right)
		text_str(&row->detail, left && right ? " (children left, right)" :
				       left ? " (child left)" : " (child right)");
}

static void recipient_row(struct row *row, const struct ex_item *it)
{
	struct ex_rcpt r;

	ex_recipient(it->line, &r);
	mask_recipient(row, it, &r);
	text_str(&row->kind, "recipient");
	if (r.form == EX_NO_FORM || r.bad != 0) {
		ex_say(&row->detail, it->line);
		text_str(&row->detail, "  (cannot be taken apart)");
		return;
	}
	ex_say(&row->detail, r.address);
	if (cur_left(&r.orcpt) > 0) {
		text_str(&row->detail, ", original ");
		ex_say(&row->detail, r.orcpt);
	}
	if (r.dsn != 0) {
		text_str(&row->detail, ", DSN flags ");
		text_i64(&row->detail, r.dsn);
	}
	if (cur_left(&r.errors_to) > 0) {
		text_str(&row->detail, ", errors to ");
		ex_say(&row->detail, r.errors_to);
	}
	if (r.parent >= 0) {
		text_str(&row->detail, ", child of recipient ");
		text_i64(&row->detail, r.parent + 1);
	}
}

static const char *header_kind(uint8_t type)
{
	switch (type) {
	case '*':
		return "replaced";
	case 'F':
		return "From";
	case 'T':
		return "To";
	case 'C':
		return "Cc";
	case 'B':
		return "Bcc";
	case 'I':
		return "Message-ID";
	case 'P':
		return "Received";
	case 'R':
		return "Reply-To";
	case 'S':
		return "Sender";
	default:
		return "header line";
	}
}

static void header_row(struct row *row, const struct ex_item *it)
{
	struct cur text = it->line;

	mask_header(row, it);
	text_str(&row->kind, header_kind(it->type));
	ex_say(&row->detail, ex_until(&text, '\n'));
	if (cur_left(&text) > 0)
		text_str(&row->detail, " ...");
}

static void fixed_row(struct row *row, const struct ex_item *it)
{
	static const char *const kinds[] = { [EX_ID] = "id", [EX_USER] = "login, uid, gid",
					     [EX_SENDER] = "sender", [EX_TIME] = "time, warnings",
					     [EX_NO_TREE] = "done", [EX_COUNT] = "recipients",
					     [EX_BLANK] = "blank line" };
	struct cur c = it->line;
	int64_t sec;

	mask_fixed(row, it);
	if (it->kind < sizeof kinds / sizeof kinds[0] && kinds[it->kind] != NULL)
		text_str(&row->kind, kinds[it->kind]);
	ex_say(&row->detail, it->line);
	if (it->kind == EX_NO_TREE)
		text_str(&row->detail, " (nobody)");
	if (it->kind == EX_TIME && ex_number(&c, &sec))
		text_time(&row->detail, sec);
}

/* Why Exim's reader gives up at this item. */
static void stop_row(const struct ex_work *x, struct row *row, const struct ex_item *it)
{
	static const char *const why[] = {
		[EX_OK] = "", [EX_EOF] = "end of file", [EX_CUT] = "end of file in the line",
		[EX_NUL] = "a zero byte", [EX_LONG] = "a line longer than Exim reads",
		[EX_ACL_LINE] = "no name and length", [EX_ACL_DATA] = "a length that cannot be",
		[EX_NODE_SHORT] = "neither an option nor a line of the tree",
		[EX_NO_COUNT] = "not a number of recipients", [EX_NO_ADDRESS] = "no address",
		[EX_NO_BLANK] = "not an empty line", [EX_NO_LENGTH] = "not the length of a header line",
		[EX_LENGTH] = "longer than the file",
	};
	const struct part *p = &x->m->parts[EX_HEAD];
	struct cur c = ex_window(p, it->off), line = c;

	new_row(row, EX_HEAD, it->off, p->size - it->off, 1);
	mask_stop(row, it, ex_until(&line, '\n'));
	text_str(&row->kind, "reading stops");
	text_str(&row->detail, why[it->stop]);
	if (cur_left(&c) > 0) {
		text_str(&row->detail, ": ");
		ex_say(&row->detail, ex_until(&c, '\n'));
	}
}

static enum step head_row(struct ex_show *s, const struct ex_work *x, struct row *row)
{
	const struct part *p = &x->m->parts[EX_HEAD];
	struct ex_item it;

	if (!s->title)
		return title(s, row, EX_HEAD, s->read.pos,
			     s->read.due == EX_HEADER ? "header lines" : "envelope");
	ex_next(&s->read, p, &it);
	if (it.stop != EX_OK) {
		stop_row(x, row, &it);
		next_phase(s);
		return STEP_ROW;
	}
	if (it.kind == EX_END) {
		next_phase(s);
		return STEP_DONE;
	}
	new_row(row, EX_HEAD, it.off, it.len, 1);
	if (it.kind == EX_OPTION)
		option_row(row, &it);
	else if (it.kind == EX_ACL)
		acl_row(row, &it);
	else if (it.kind == EX_NODE)
		node_row(row, &it);
	else if (it.kind == EX_RECIPIENT)
		recipient_row(row, &it);
	else if (it.kind == EX_HEADER)
		header_row(row, &it);
	else
		fixed_row(row, &it);
	if (it.kind == EX_BLANK)
		s->title = false;
	return STEP_ROW;
}

/* --- -J and -D ------------------------------------------------------------------ */

static enum step journal_row(struct ex_show *s, const struct message *m, struct row *row)
{
	const struct part *p = &m->parts[EX_JOURNAL];
	struct cur c = ex_window(p, s->pos);
	struct cur line;

	if (p->mode == 0 || cur_left(&c) == 0) {
		next_phase(s);
		return STEP_DONE;
	}
	if (!s->title)
		return title(s, row, EX_JOURNAL, 0, "journal");
	line = ex_until(&c, '\n');
	new_row(row, EX_JOURNAL, s->pos, cur_offset(&c) - s->pos, 1);
	s->pos = cur_offset(&c);
	mask(row, line, PERSONAL_ADDRESS);
	text_str(&row->kind, "done");
	ex_say(&row->detail, line);
	return STEP_ROW;
}

/* The first lines of -D; what comes behind them is one row. */
static enum step data_row(struct ex_show *s, const struct message *m, struct row *row, struct want *w)
{
	const struct part *p = &m->parts[EX_DATA];
	const size_t all = 2 * SHOW_BYTES, take = p->size < all ? (size_t)p->size : all;
	struct cur c, line;

	if (p->mode == 0 || s->pos >= p->size) {
		s->phase = SHOW_DONE;
		return STEP_DONE;
	}
	if (!s->title)
		return title(s, row, EX_DATA, 0, "text");
	if (s->line >= SHOW_LINES || s->pos >= SHOW_BYTES) {
		new_row(row, EX_DATA, s->pos, p->size - s->pos, 1);
		text_str(&row->kind, "more text");
		text_u64(&row->detail, p->size - s->pos);
		text_str(&row->detail, " bytes");
		s->pos = p->size;
		return STEP_ROW;
	}
	if (p->off != 0 || p->len < take) {
		*w = (struct want){ EX_DATA, 0, take, take };
		return STEP_WANT;
	}
	c = cur_make(p->bytes, take, 0); /* where a long line is cut is not the window's business */
	cur_seek(&c, (size_t)s->pos);
	line = ex_until(&c, '\n');
	new_row(row, EX_DATA, s->pos, cur_offset(&c) - s->pos, 1);
	if (s->line == 0)
		mask_id(row, line);
	text_str(&row->kind, s->line == 0 ? "id" : "line");
	ex_say(&row->detail, line);
	s->pos = cur_offset(&c);
	s->line++;
	return STEP_ROW;
}

enum step ex_decode(void *scratch, const struct message *m, struct row *row, struct want *w)
{
	struct ex_show *s = scratch;
	const struct ex_work x = { NULL, m, NULL };
	enum step step = STEP_DONE;

	if (s->phase == SHOW_HEAD && m->parts[EX_HEAD].mode == 0)
		s->phase = SHOW_JOURNAL;
	if (s->phase == SHOW_HEAD)
		step = head_row(s, &x, row);
	if (step == STEP_DONE && s->phase == SHOW_JOURNAL)
		step = journal_row(s, m, row);
	if (step == STEP_DONE && s->phase == SHOW_DATA)
		step = data_row(s, m, row, w);
	return step;
}

/* --- body() ----------------------------------------------------------------------- */

enum step ex_body(void *scratch, const struct message *m, struct run *run, struct want *w)
{
	struct ex_show *s = scratch;
	const struct part *p = &m->parts[EX_HEAD], *d = &m->parts[EX_DATA];
	uint64_t start = m->id_len + 3;
	struct ex_item it;

	(void)w;
	memset(run, 0, sizeof *run);
	while (s->phase == SHOW_HEAD) {
		ex_next(&s->read, p, &it);
		if (it.stop != EX_OK || it.kind == EX_END) {
			s->phase = SHOW_DATA;
			run->part = EX_HEAD;
			run->offset = it.off;
			run->newline = true; /* between header lines and text */
			return STEP_ROW;
		}
		if (it.kind != EX_HEADER || it.type == '*')
			continue;
		run->part = EX_HEAD;
		run->offset = cur_offset(&it.line);
		run->length = cur_left(&it.line);
		return STEP_ROW;
	}
	if (s->phase == SHOW_DATA && d->mode != 0 && d->size > start) {
		s->phase = SHOW_DONE;
		run->part = EX_DATA;
		run->offset = start;
		run->length = d->size - start;
		return STEP_ROW;
	}
	return STEP_DONE;
}
