/*
 * sendmail_check.c - check(): the control file, then the text
 *
 * Sendmail reads a control file record by record and stops at the first that it refuses: the
 * file becomes Qf, and nothing tries it again. So behind such a record only the envelope is
 * read, and nothing more is said. It looks at the text at delivery; no record tells its size.
 */
#include "sendmail.h"

enum phase { PH_START, PH_TEXT, PH_DONE };

enum sm_shelf sm_shelf(const struct message *m)
{
	size_t at = strlen(m->path);

	while (at > 0 && m->path[at - 1] != '/')
		at--;
	return m->path[at] == 'h' ? SM_QUARANTINED : m->path[at] == 'Q' ? SM_ASIDE : SM_ACTIVE;
}

unsigned sm_text(const struct message *m)
{
	/* A subdirectory that is there is used. */
	return m->parts[SM_SUB_DATA].mode != 0 ? SM_SUB_DATA :
	       m->parts[SM_DATA].mode != 0     ? SM_DATA : SM_CONTROL;
}

/* --- Facts that need no contents ---------------------------------------------- */

static void say_mode(struct text *t, uint32_t mode)
{
	text_str(t, "0");
	for (unsigned shift = 6; shift <= 6; shift -= 3)
		text_u64(t, mode >> shift & 7);
}

static void check_mode(struct sm_work *x)
{
	const struct part *p = &x->m->parts[SM_CONTROL];
	const struct part *d = &x->m->parts[sm_text(x->m)], *t = &x->m->parts[SM_TEMP];
	struct finding *f;

	if ((p->mode & 0002) != 0) {
		f = sm_note(x, F_SENDMAIL_MODE, SM_CONTROL, 0, 0);
		text_str(&f->expected, "a file that not everybody may write");
		say_mode(&f->found, p->mode);
		x->lost = true;
	} else if ((p->mode & 0020) != 0 && (d->mode & 0020) == 0) {
		f = sm_note(x, F_SENDMAIL_MODE_GROUP, SM_CONTROL, 0, 0);
		say_mode(&f->expected, d->mode);
		say_mode(&f->found, p->mode);
	}
	if (t->mode != 0 && x->shelf == SM_ACTIVE && t->mtime < x->m->site.now - SM_YOUNG)
		sm_note(x, F_SENDMAIL_TEMP, SM_TEMP, 0, t->size);
	if (p->nlink > 1)
		sm_note(x, F_SENDMAIL_LINKS, SM_CONTROL, 0, 0);
}

/* Letters and digits, the last five digits: of every release. */
static bool id_usual(const char *id, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool digit = id[i] >= '0' && id[i] <= '9';
		bool letter = (id[i] >= 'A' && id[i] <= 'Z') || (id[i] >= 'a' && id[i] <= 'z');

		if (!digit && (!letter || i + 5 >= len))
			return false;
	}
	return len >= 6;
}

static void check_status(struct sm_work *x)
{
	struct finding *f;

	if (x->shelf == SM_QUARANTINED)
		sm_note(x, F_SENDMAIL_QUARANTINED, SM_CONTROL, 0, 0);
	if (x->shelf == SM_ASIDE)
		sm_note(x, F_SENDMAIL_LOST, SM_CONTROL, 0, 0);
	if (!id_usual(x->m->id, x->m->id_len)) {
		f = sm_note(x, F_SENDMAIL_NAME, SM_CONTROL, 0, 0);
		text_str(&f->expected, "letters and digits, at least five digits last");
		text_bytes(&f->found, (const uint8_t *)x->m->id, x->m->id_len);
	}
	check_mode(x);
}

/* --- The control file ------------------------------------------------------------ */

/* Nothing but zeros? At least one. */
static bool all_zero(struct cur c)
{
	if (cur_left(&c) == 0)
		return false;
	while (cur_peek(&c) == 0)
		cur_skip(&c, 1);
	return cur_left(&c) == 0;
}

/* Is there a line that begins with a dot? */
static bool has_end(struct cur c)
{
	struct sm_line line;

	while (sm_next(&c, &line))
		if (line.letter == '.')
			return true;
	return false;
}

static void check_zero_byte(struct sm_work *x, struct sm_line *line)
{
	uint64_t start = cur_offset(&line->value);
	struct finding *f;

	if (line->nul == UINT64_MAX || (!line->ended && line->letter != 0))
		return;
	f = sm_note_line(x, F_SENDMAIL_NUL, line);
	f->offset = line->nul;
	f->length = 1;
	/* A string ends there. */
	if (line->letter != 0)
		line->value = cur_sub(&line->value, (size_t)(line->nul - start));
}

/* The line of a dot, and what should not be behind it. */
static void check_end(struct sm_work *x, const struct sm_line *line, struct cur rest)
{
	struct finding *f;

	if (cur_left(&rest) > 0) {
		f = sm_note(x, F_SENDMAIL_TRAILING, SM_CONTROL, cur_offset(&rest), cur_left(&rest));
		text_str(&f->expected, "the end of the file");
		sm_say(&f->found, cur_sub(&rest, cur_find(&rest, '\n')));
		x->lost = true;
	} else if (cur_left(&line->value) > 0 || !line->ended) {
		sm_note_value(x, F_SENDMAIL_END_ODD, line, "a dot and a line feed");
	}
}

/* Up to the dot; false when there is none. */
static bool read_lines(struct sm_work *x)
{
	const struct part *p = &x->m->parts[SM_CONTROL];
	struct cur c = cur_make(p->bytes, p->len, p->off);
	struct sm_line line;
	bool first = true;

	x->newer = x->m->site.version >> 8 > VERSION(8, 17, 0) >> 8;
	while (sm_next(&c, &line)) {
		x->any_line_end |= line.ended || line.folded;
		if (first && line.letter == 'V' && sm_number(line.value).n > SM_VERSION &&
		    x->m->site.version == 0)
			x->newer = true;
		first = false;
		x->quiet |= x->lost; /* only the envelope is still of interest */
		if (line.letter == '.') {
			check_end(x, &line, c);
			return true;
		}
		check_zero_byte(x, &line);
		sm_record(x, &line);
	}
	return false;
}

/* --- What the lines say together ------------------------------------------------------ */

static void judge_end(struct sm_work *x, bool ended)
{
	struct finding *f;

	if (ended || x->lost)
		return;
	f = sm_note(x, F_SENDMAIL_CUT, SM_CONTROL, x->m->parts[SM_CONTROL].size, 0);
	text_str(&f->expected, "a line with a dot");
	/* Without one whole line Sendmail takes the file for empty, and deletes it. */
	if (!x->any_line_end && x->shelf == SM_ACTIVE)
		f->impact = IMPACT_SERVER_DELETES;
	x->lost = true;
}

static void judge_lines(struct sm_work *x)
{
	struct finding *f;

	if (x->lost)
		return;
	if (!sm_seen(x, 'V'))
		sm_note(x, F_SENDMAIL_VERSION_ODD, SM_CONTROL, 0, 0);
	if (!sm_seen(x, 'T')) {
		f = sm_note(x, F_SENDMAIL_TIME, SM_CONTROL, 0, 0);
		if (f->severity == SEV_CORRUPT) /* the present is taken for it */
			f->severity = SEV_SUSPECT;
		f->impact = IMPACT_NONE;
	}
	if (!sm_seen(x, 'S')) {
		f = sm_note(x, F_SENDMAIL_SENDER_MISSING, SM_CONTROL, 0, 0);
		if (x->r->recipients == 0 && x->shelf == SM_ACTIVE) /* nobody to deliver to: it lives */
			f->impact = IMPACT_SERVER_DELETES;
	}
	if (x->r->recipients == x->tailed)
		sm_note(x, F_SENDMAIL_RECIPIENT_NONE, SM_CONTROL, 0, 0);
	if (x->headers == 0)
		sm_note(x, F_SENDMAIL_HEADER_NONE, SM_CONTROL, 0, 0);
	if (x->shelf == SM_ACTIVE && sm_seen(x, 'q'))
		sm_note(x, F_SENDMAIL_REASON, SM_CONTROL, 0, 0);
}

static void judge_text(struct sm_work *x)
{
	unsigned role = sm_text(x->m);
	const struct part *p = &x->m->parts[role];
	struct finding *f;

	if (x->m->parts[SM_DATA].mode != 0 && x->m->parts[SM_SUB_DATA].mode != 0)
		sm_note(x, F_SENDMAIL_TEXT_TWICE, SM_DATA, 0, 0);
	if (role != SM_CONTROL && x->other_place) {
		f = sm_note(x, F_SENDMAIL_DIRECTORY, SM_CONTROL, 0, 0);
		if (f->severity == SEV_CORRUPT) /* the configuration knows */
			f->severity = SEV_SUSPECT;
		text_str(&f->expected, "no d line: the text lies here");
	}
	if (role == SM_CONTROL) {
		f = sm_note(x, x->other_place ? F_SENDMAIL_ELSEWHERE : F_SENDMAIL_TEXT_MISSING,
			    SM_CONTROL, 0, 0);
		text_str(&f->expected, "df");
		text_bytes(&f->expected, (const uint8_t *)x->m->id, x->m->id_len);
	} else if (p->size == 0 && x->k->expects_text) {
		sm_note(x, F_SENDMAIL_TEXT_EMPTY, role, 0, 0);
	}
}

/* False: there is nothing that could be read. */
static bool check_control(struct sm_work *x)
{
	const struct part *p = &x->m->parts[SM_CONTROL];
	struct cur c = cur_make(p->bytes, p->len, p->off);
	bool young = p->mtime > x->m->site.now - SM_YOUNG && p->mtime <= x->m->site.now + SM_DAY;
	bool growing, ended;

	if (p->size == 0) {
		sm_note(x, F_SENDMAIL_EMPTY, SM_CONTROL, 0, 0);
		return false;
	}
	if (all_zero(c)) {
		sm_note(x, F_SPOOL_ZERO_FILLED, SM_CONTROL, 0, p->size);
		return false;
	}
	/* It is made under its own name, so what has no end yet may still grow. */
	growing = young && !x->m->force && x->shelf == SM_ACTIVE && !has_end(c);
	if (growing)
		sm_note(x, F_SENDMAIL_UNFINISHED, SM_CONTROL, p->size, 0);
	x->quiet = growing;
	ended = read_lines(x);
	x->quiet = growing;
	judge_end(x, ended);
	judge_lines(x);
	return !growing;
}

/* --- The text --------------------------------------------------------------------- */

/* The zero bytes [from, to): is a whole block of the disk among them, or the rest of one at
 * the end? */
static void zero_run(struct sm_check *k, uint64_t from, uint64_t to, uint64_t size)
{
	uint64_t block = (from + SM_BLOCK - 1) / SM_BLOCK * SM_BLOCK;

	k->zeros += to - from;
	if (k->first_block == UINT64_MAX && block < to &&
	    (block + SM_BLOCK <= to || (to == size && to - block >= SM_SMALL)))
		k->first_block = block;
}

static void count_zeros(struct sm_check *k, struct cur c, uint64_t size)
{
	uint64_t end = cur_offset(&c) + cur_left(&c);

	while (cur_left(&c) > 0) {
		if (!k->in_run) {
			cur_skip(&c, cur_find(&c, 0));
			k->run_at = cur_offset(&c);
			if (cur_left(&c) == 0)
				return;
		}
		while (cur_peek(&c) == 0)
			cur_skip(&c, 1);
		k->in_run = cur_left(&c) == 0 && end < size;
		if (!k->in_run)
			zero_run(k, k->run_at, cur_offset(&c), size);
	}
}

static enum step read_text(const struct sm_work *x, struct want *w)
{
	unsigned role = sm_text(x->m);
	const struct part *p = &x->m->parts[role];
	struct sm_check *k = x->k;

	while (role != SM_CONTROL && k->pos < p->size && k->pos < SM_SCAN_MAX) {
		uint64_t left = p->size - k->pos;
		struct cur c = cur_make(p->bytes, p->len, p->off);

		if (k->pos < p->off || k->pos - p->off >= p->len) {
			*w = (struct want){ role, k->pos,
					    left < WINDOW_MAX ? (size_t)left : WINDOW_MAX, 1 };
			return STEP_WANT;
		}
		cur_seek(&c, (size_t)(k->pos - p->off));
		if (cur_left(&c) > left) /* it grew: not by Sendmail */
			c = cur_sub(&c, (size_t)left);
		count_zeros(k, c, p->size);
		k->pos += cur_left(&c);
	}
	return STEP_DONE;
}

static void judge_zeros(const struct sm_work *x)
{
	unsigned role = sm_text(x->m);
	const struct part *p = &x->m->parts[role];
	const struct sm_check *k = x->k;
	struct finding *f;

	if (role == SM_CONTROL || k->zeros == 0)
		return;
	if (k->zeros == p->size && p->size >= SM_SMALL) {
		f = sm_note(x, F_SPOOL_ZERO_FILLED, role, 0, p->size);
		if (x->shelf == SM_ACTIVE)
			f->impact = IMPACT_DAMAGED_DELIVERY;
		text_str(&f->field, "text (df)");
	} else if (k->first_block != UINT64_MAX) {
		f = sm_note(x, F_SENDMAIL_TEXT_ZEROS, role, k->first_block, 0);
		text_u64(&f->found, k->zeros);
		text_str(&f->found, " zero bytes in all");
	}
}

enum step sm_check(void *scratch, const struct message *m, struct report *r, struct want *w)
{
	struct sm_check *k = scratch;
	struct sm_work x = { .m = m, .r = r, .k = k, .shelf = sm_shelf(m) };

	if (k->phase == PH_START) {
		k->first_block = UINT64_MAX;
		check_status(&x);
		k->phase = check_control(&x) ? PH_TEXT : PH_DONE;
		if (k->phase == PH_TEXT)
			judge_text(&x);
	}
	if (k->phase == PH_TEXT) {
		if (read_text(&x, w) == STEP_WANT)
			return STEP_WANT;
		judge_zeros(&x);
	}
	k->phase = PH_DONE;
	return STEP_DONE;
}
