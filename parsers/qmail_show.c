/*
 * qmail_show.c - qmail's files for eyes: decode() and body()
 *
 * Part after part, record after record, then the header of the text:
 *
 *	todo
 *	  user id           1000
 *	  sender            bob@example.org
 *	  recipient         alice@example.net
 *	text
 *	  Received          (qmail 2112 invoked by uid 1000); 20 Nov 2026 08:06:11 -0000
 *
 * It judges nothing.
 */
#include "qmail.h"

#define ROWS_MAX 2000u /* lines of a header that are listed */
#define LINE_VIEW 2048u /* bytes of a line that are waited for */

/* The order of the listing. */
static const struct {
	uint8_t place; /* enum qm_place */
	const char *title;
} files[] = { { QM_TODO, "todo" },	 { QM_INTD, "intd" },	  { QM_INFO, "info" },
	      { QM_LOCAL, "local" },	 { QM_REMOTE, "remote" }, { QM_BOUNCE, "bounce" },
	      { QM_MESS, "text" } };
enum { FILES = sizeof files / sizeof files[0] };

/* Index of the file of `place`; FILES = it is not listed. */
static uint8_t file_of(unsigned place)
{
	uint8_t i = 0;

	while (i < FILES && files[i].place != place)
		i++;
	return i;
}

static void new_row(struct row *row, unsigned role, uint64_t offset, uint64_t length, unsigned depth)
{
	memset(row, 0, sizeof *row);
	row->part = (uint8_t)role;
	row->offset = offset;
	row->length = length;
	row->depth = (uint8_t)depth;
}

/* --- Records --------------------------------------------------------------------- */

static const char *kind_name(uint8_t type)
{
	switch (type) {
	case 'u':
		return "user id";
	case 'p':
		return "process id";
	case 'F':
		return "sender";
	case 'T':
		return "recipient";
	case 'D':
		return "done";
	default:
		return "?";
	}
}

static void record_row(struct row *row, unsigned role, const struct qm_record *rec)
{
	new_row(row, role, rec->off, rec->len, 1);
	/* Nobody should take half an address for a recipient. */
	text_str(&row->kind, rec->ended ? kind_name(rec->type) : "cut off");
	if (!rec->whole) {
		text_u64(&row->detail, rec->len);
		text_str(&row->detail, " bytes");
	} else if (rec->type == 0) {
		text_str(&row->detail, "an empty record");
	} else {
		qm_say(&row->detail, rec->value);
		if (rec->type == 'F' && cur_left(&rec->value) == 0)
			text_str(&row->detail, "(null sender)");
	}
	if (!rec->ended)
		text_str(&row->detail, "  (qmail does not read it)");
}

/* STEP_DONE: the file is over. */
static enum step next_record(struct qm_show *s, const struct message *m, unsigned role,
			     struct row *row, struct want *w)
{
	struct qm_record rec = { 0 };

	switch (qm_next(&s->read, m, role, &rec, w)) {
	case QM_WANT:
		return STEP_WANT;
	case QM_END:
		break;
	case QM_RECORD:
		if (s->rows >= ROWS_MAX && rec.type == 0) {
			new_row(row, role, rec.off, m->parts[role].size - rec.off, 1);
			text_str(&row->kind, "...");
			s->read.pos = m->parts[role].size;
			return STEP_ROW;
		}
		s->rows++;
		record_row(row, role, &rec);
		return STEP_ROW;
	}
	return STEP_DONE;
}

/* --- Text -------------------------------------------------------------------------- */

static enum step rest_row(struct qm_show *s, unsigned role, const struct part *p, struct row *row)
{
	new_row(row, role, s->pos, p->size - s->pos, 1);
	text_str(&row->kind, "text");
	text_u64(&row->detail, p->size - s->pos);
	text_str(&row->detail, " bytes");
	s->pos = p->size;
	return STEP_ROW;
}

/* A line of the header, or the rest at once. `header`: with a name before a colon. */
static enum step next_line(struct qm_show *s, const struct message *m, unsigned role, bool header,
			   struct row *row, struct want *w)
{
	const struct part *p = &m->parts[role];
	struct cur c, line;
	size_t n, colon;

	if (s->pos >= p->size)
		return STEP_DONE;
	if (!qm_there(m, role, s->pos, LINE_VIEW, w))
		return STEP_WANT;
	c = qm_window(p, s->pos);
	n = cur_find(&c, '\n');
	/* What is longer than a line can be is no header; windows must not change the answer. */
	if ((header && n == 0) || n >= LINE_VIEW || n == cur_left(&c) || s->rows >= ROWS_MAX)
		return rest_row(s, role, p, row);
	line = cur_sub(&c, n);
	colon = cur_find(&line, ':');
	if (header && cur_peek(&line) != ' ' && cur_peek(&line) != '\t' &&
	    (colon == 0 || colon == n || colon > TEXT_MAX))
		return rest_row(s, role, p, row);
	new_row(row, role, s->pos, n + 1, 1);
	if (!header) {
		text_str(&row->kind, "line");
	} else if (cur_peek(&line) == ' ' || cur_peek(&line) == '\t') {
		text_str(&row->kind, "  continued");
	} else {
		qm_say(&row->kind, cur_sub(&line, colon));
		cur_skip(&line, 1);
	}
	while (cur_peek(&line) == ' ' || cur_peek(&line) == '\t')
		cur_skip(&line, 1);
	qm_say(&row->detail, line);
	s->pos += n + 1;
	s->rows++;
	return STEP_ROW;
}

/* --- decode() and body() -------------------------------------------------------------- */

static enum step title_row(struct qm_show *s, unsigned role, const struct part *p, const char *title,
			   struct row *row)
{
	new_row(row, role, 0, 0, 0);
	text_str(&row->kind, title);
	text_u64(&row->detail, p->size);
	text_str(&row->detail, p->size == 1 ? " byte" : " bytes");
	text_time(&row->detail, p->mtime);
	s->titled = true;
	return STEP_ROW;
}

/* A file that is looked at on its own is what its first byte says. */
static enum step alone_row(struct qm_show *s, const struct message *m, struct row *row, struct want *w)
{
	if (s->file >= FILES)
		return STEP_DONE;
	if (!s->titled) {
		if (!qm_there(m, QM_HEAD, 0, 1, w))
			return STEP_WANT;
		s->file = file_of(qm_guess(m));
		return title_row(s, QM_HEAD, &m->parts[QM_HEAD], files[s->file].title, row);
	}
	return files[s->file].place != QM_MESS ? next_record(s, m, QM_HEAD, row, w) :
						 next_line(s, m, QM_HEAD, true, row, w);
}

enum step qm_decode(void *scratch, const struct message *m, struct row *row, struct want *w)
{
	struct qm_show *s = scratch;

	if (qm_loose(m))
		return alone_row(s, m, row, w);
	for (; s->file < FILES; s->file++) {
		unsigned place = files[s->file].place, role = qm_role(m, place);
		const struct part *p = qm_part(m, place), *todo = qm_part(m, QM_TODO);
		enum step step;

		/* intd is the same file as todo. */
		if (p == NULL || (place == QM_INTD && todo != NULL && todo->ino == p->ino))
			continue;
		if (!s->titled)
			return title_row(s, role, p, files[s->file].title, row);
		step = place == QM_MESS || place == QM_BOUNCE ?
			       next_line(s, m, role, place == QM_MESS, row, w) :
			       next_record(s, m, role, row, w);
		if (step != STEP_DONE)
			return step;
		s->titled = false;
		s->pos = s->rows = 0;
		memset(&s->read, 0, sizeof s->read);
	}
	return STEP_DONE;
}

/* The message text: all of it, in one run. */
enum step qm_body(void *scratch, const struct message *m, struct run *run, struct want *w)
{
	struct qm_show *s = scratch;
	const struct part *p = qm_part(m, QM_MESS);
	unsigned role = qm_role(m, QM_MESS);

	if (qm_loose(m)) {
		p = &m->parts[QM_HEAD];
		role = QM_HEAD;
	}
	if (p == NULL || p->size == 0 || s->titled)
		return STEP_DONE;
	if (qm_loose(m) && !qm_there(m, QM_HEAD, 0, 1, w))
		return STEP_WANT;
	s->titled = true;
	if (qm_loose(m) && qm_guess(m) != QM_MESS)
		return STEP_DONE;
	run->part = (uint8_t)role;
	run->offset = 0;
	run->length = p->size;
	run->newline = false;
	return STEP_ROW;
}
