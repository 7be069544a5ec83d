/*
 * courier_check.c - check(): how names, links and parts fit, both ends of the text
 *
 * The control file is given whole: Courier reads it in one piece, too. First each record alone,
 * then what all of them say together, then names, links and parts.
 *
 * courierd makes and removes the parts of a message one after the other, and has always just
 * written to the control file then: a part that is missing counts only when the last write is a
 * minute ago (co_settled).
 *
 * Of the text only the two ends are looked at, because any text is legal: submit writes a
 * Received line first and ends every line, so a beginning of zero bytes or an end without a
 * newline are traces of a crash.
 */
#include "courier.h"

#define DAY 86400

static bool present(const struct co_work *w, unsigned role)
{
	return w->m->parts[role].mode != 0;
}

bool co_settled(const struct message *m)
{
	const struct part *p = &m->parts[CO_ENTRY];

	return m->force || p->mtime < m->site.now - CO_FRESH || p->mtime > m->site.now + DAY;
}

/* --- Names, links and parts --------------------------------------------------------------- */

static struct finding *names(const struct co_work *w, enum finding_id id)
{
	return report_add(w->r, id, CO_ENTRY, 0, 0);
}

/* In which folder does the entry lie, and in which does its name lead? */
static void check_folder(const struct co_work *w)
{
	char buf[64] = { 0 };
	size_t n = co_queue_path(CO_MSGQ, CO_ENTRY, &w->id, buf, sizeof buf);
	struct cur home = cur_make((const uint8_t *)buf, n, 0), rest = home, folder, dir;
	struct cur path = cur_make((const uint8_t *)w->m->path, strlen(w->m->path), 0);
	struct finding *f;

	/* "msgq/179516/C..." */
	cur_skip(&rest, cur_find(&rest, '/'));
	cur_skip(&rest, 1);
	folder = cur_sub(&rest, cur_find(&rest, '/'));
	dir = cur_sub(&path, cur_find(&path, '/'));
	if (n == 0 || cur_same(&dir, &folder))
		return;
	f = names(w, F_COURIER_FOLDER);
	if (cur_left(&path) == 0)
		f->impact = IMPACT_STRANDED; /* in no folder: never listed */
	co_say(&f->expected, home);
}

/* Of the two names of a control file one is missing. */
static void check_one_name(const struct co_work *w)
{
	if (present(w, CO_CONTROL))
		names(w, F_COURIER_COPY);
	else if (present(w, CO_DATA))
		names(w, F_COURIER_CONTROL_MISSING);
	else
		names(w, F_COURIER_LEFTOVER);
}

/* There are two names, but the second is not where it belongs. Before the first try it may still
 * be in tmp/, and must not be parted from what is here. */
static void check_other_name(const struct co_work *w)
{
	struct finding *f = names(w, present(w, CO_CONTROL) ? F_COURIER_CONTROL_OTHER :
							      F_COURIER_CONTROL_ELSEWHERE);
	char home[64] = { 0 };
	size_t n = co_queue_path(CO_MSGS, CO_CONTROL, &w->id, home, sizeof home);

	text_bytes(&f->expected, (const uint8_t *)home, n);
	if (!present(w, CO_CONTROL) && (w->s->attempts == 0 || !present(w, CO_DATA)))
		f->severity = SEV_SUSPECT;
}

static void check_access(const struct co_work *w)
{
	const struct part *p = &w->m->parts[CO_ENTRY];
	bool can = p->uid == w->m->site.owner ? (p->mode & 0600) == 0600 : (p->mode & 0066) != 0;

	if (!can)
		names(w, F_COURIER_ACCESS);
}

static void check_inode(const struct co_work *w)
{
	struct finding *f;

	if (w->id.inode == w->m->parts[CO_ENTRY].ino)
		return;
	f = names(w, F_COURIER_INODE);
	text_u64(&f->expected, w->m->parts[CO_ENTRY].ino);
	text_u64(&f->found, w->id.inode);
}

/* An entry in msgq/. */
static void check_entry(const struct co_work *w)
{
	const struct part *entry = &w->m->parts[CO_ENTRY], *control = &w->m->parts[CO_CONTROL];
	bool same = present(w, CO_CONTROL) && control->ino == entry->ino;
	struct finding *f;

	check_folder(w);
	check_access(w);
	if (entry->nlink > 2) {
		f = names(w, F_COURIER_LINKS);
		text_str(&f->expected, "2");
		text_u64(&f->found, entry->nlink);
	} else if (entry->nlink < 2 && co_settled(w->m)) {
		check_one_name(w);
	} else if (!same && co_settled(w->m)) {
		check_other_name(w);
	}
	if (same)
		check_inode(w);
	if (same && !present(w, CO_DATA) && co_settled(w->m))
		names(w, F_COURIER_DATA_MISSING);
	if (w->s->has_next && w->s->next_time != w->id.time && entry->nlink == 2 && co_settled(w->m)) {
		f = co_note(w, F_COURIER_SCHEDULE, &w->s->next, "");
		text_u64(&f->expected, w->id.time);
		text_str(&f->expected, ", as in the name");
	}
}

/* A control file in msgs/ whose entry was not met. With one name it has none. With two the entry may
 * be one that came, or was renamed, behind the reader; without it, this file is not to be moved. */
static void check_stray(const struct co_work *w)
{
	const struct part *p = &w->m->parts[CO_ENTRY];

	if (p->nlink == 1) {
		names(w, F_COURIER_UNSCHEDULED);
		return;
	}
	if (w->id.time == 0 && p->mtime < w->m->site.now - DAY)
		names(w, F_COURIER_UNSCHEDULED);
	for (unsigned i = 0; i < w->r->count && i < REPORT_MAX; i++)
		if (w->r->findings[i].severity == SEV_CORRUPT)
			w->r->findings[i].severity = SEV_SUSPECT;
}

/* courierd makes the folder of this moment and no other, then dies for want of the right one. It is
 * there when another message is due at that time, which cannot be seen from here. */
static void check_delay(const struct co_work *w)
{
	uint64_t now = (uint64_t)w->m->site.now, next = now + w->s->delay_time;
	struct finding *f;

	if (!w->s->has_delay || w->s->delay_time > INT32_MAX || !co_settled(w->m) ||
	    next / CO_FOLDER_SECONDS == now / CO_FOLDER_SECONDS)
		return;
	f = co_note(w, F_COURIER_DELAY, &w->s->delay, "a folder msgq/");
	f->severity = SEV_SUSPECT;
	text_u64(&f->expected, next / CO_FOLDER_SECONDS);
}

/* A submission. Its text has gone on already when courierd is just taking it. */
static void check_submission(const struct co_work *w)
{
	const struct part *p = &w->m->parts[CO_ENTRY];

	check_access(w);
	if (p->mtime < w->m->site.now - CO_SUBMIT_MAX)
		names(w, F_COURIER_SUBMISSION_OLD);
	check_delay(w);
	if (p->nlink == 1 && !present(w, CO_DATA) && co_settled(w->m))
		names(w, F_COURIER_DATA_MISSING);
}

/* --- The text -------------------------------------------------------------------------------- */

enum { CHECK_CONTROL, CHECK_ZEROS, CHECK_END, CHECK_DONE };

static struct want window(uint64_t off, uint64_t left, size_t need)
{
	size_t len = left < WINDOW_MAX ? (size_t)left : WINDOW_MAX;

	return (struct want){ CO_DATA, off, len, need < len ? need : len };
}

/* Step over zero bytes until something else comes; false: give us a window. */
static bool count_zeros(struct co_check *k, const struct part *p, struct want *w)
{
	while (k->zeros < p->size) {
		struct cur c = cur_make(p->bytes, p->len, p->off);

		if (k->zeros < p->off || k->zeros - p->off >= p->len) {
			*w = window(k->zeros, p->size - k->zeros, 1);
			return false;
		}
		cur_seek(&c, (size_t)(k->zeros - p->off));
		while (cur_peek(&c) == 0) {
			cur_skip(&c, 1);
			k->zeros++;
		}
		if (cur_left(&c) > 0)
			return true;
	}
	return true;
}

static enum step text_start(struct co_check *k, const struct message *m, struct report *r,
			    struct want *w)
{
	const struct part *p = &m->parts[CO_DATA];
	struct finding *f;

	k->phase = CHECK_DONE;
	if (p->mode == 0)
		return STEP_DONE;
	if (p->size == 0) {
		report_add(r, F_COURIER_DATA_EMPTY, CO_DATA, 0, 0);
		return STEP_DONE;
	}
	k->phase = CHECK_ZEROS;
	if (!count_zeros(k, p, w))
		return STEP_WANT;
	k->phase = CHECK_END;
	if (k->zeros == p->size) {
		f = report_add(r, F_SPOOL_ZERO_FILLED, CO_DATA, 0, p->size);
		f->impact = IMPACT_DAMAGED_DELIVERY;
		k->phase = CHECK_DONE;
		return STEP_DONE;
	}
	if (k->zeros > 0)
		report_add(r, F_COURIER_DATA_ZEROS, CO_DATA, 0, k->zeros);
	return STEP_DONE;
}

static enum step text_end(struct co_check *k, const struct message *m, struct report *r,
			  struct want *w)
{
	const struct part *p = &m->parts[CO_DATA];
	size_t tail = p->size < CO_TAIL ? (size_t)p->size : CO_TAIL;
	uint64_t start = p->size - tail, zeros = 0;
	struct finding *f;
	struct cur c;
	int last = 0;

	if (p->off > start || p->off + p->len < p->size) {
		*w = (struct want){ CO_DATA, start, tail, tail };
		return STEP_WANT;
	}
	k->phase = CHECK_DONE;
	c = cur_make(p->bytes, p->len, p->off);
	cur_seek(&c, (size_t)(start - p->off));
	while (cur_left(&c) > 0) {
		last = cur_u8(&c);
		zeros = last == 0 ? zeros + 1 : 0;
	}
	if (last == '\n')
		return STEP_DONE;
	f = report_add(r, zeros > 0 ? F_COURIER_DATA_ZEROS : F_COURIER_DATA_CUT, CO_DATA,
		       p->size - (zeros > 0 ? zeros : 1), zeros > 0 ? zeros : 1);
	if (zeros > 0)
		f->severity = SEV_SUSPECT;
	text_str(&f->expected, "a newline as the last byte");
	return STEP_DONE;
}

/* --- check() ------------------------------------------------------------------------------------ */

/* An empty file, or one of zeros, says nothing more. */
static bool check_blank(const struct message *m, struct report *r)
{
	const struct part *p = &m->parts[CO_ENTRY];
	struct cur c = cur_make(p->bytes, p->len, p->off);

	if (p->size == 0) {
		report_add(r, F_COURIER_EMPTY, CO_ENTRY, 0, 0);
		return true;
	}
	while (cur_peek(&c) == 0)
		cur_skip(&c, 1);
	if (cur_left(&c) > 0)
		return false;
	report_add(r, F_SPOOL_ZERO_FILLED, CO_ENTRY, 0, p->size);
	return true;
}

/* Is this one of several batches whose first is not complete? */
static bool being_submitted(const struct message *m, const struct co_id *id)
{
	return m->place == CO_TMP && id->batch != 0 && m->parts[CO_CONTROL].mode != 0;
}

static void check_message(struct co_check *k, const struct message *m, struct report *r)
{
	struct co_work w = { m, r, &k->sum, { 0, 0, 0, 0 } };

	if (!co_id(m->id, m->id_len, &w.id))
		return; /* a file on its own under another name: its records are judged */
	if (m->place == CO_MSGQ && w.id.time != 0)
		check_entry(&w);
	else if (m->place == CO_MSGS)
		check_stray(&w);
	else if (m->place == CO_TMP)
		check_submission(&w);
}

enum step co_check(void *scratch, const struct message *m, struct report *r, struct want *w)
{
	struct co_check *k = scratch;
	const struct part *p = &m->parts[CO_ENTRY];

	if (k->phase == CHECK_CONTROL) {
		struct co_work work = { m, r, &k->sum, { 0, 0, 0, 0 } };

		if (co_id(m->id, m->id_len, &work.id) && being_submitted(m, &work.id))
			return STEP_DONE;
		if (!check_blank(m, r)) {
			co_sum(p, &k->sum);
			co_check_records(&work);
			co_put_envelope(&work);
		}
		k->phase = CHECK_ZEROS;
	}
	if (k->phase == CHECK_ZEROS && text_start(k, m, r, w) == STEP_WANT)
		return STEP_WANT;
	if (k->phase == CHECK_END && text_end(k, m, r, w) == STEP_WANT)
		return STEP_WANT;
	check_message(k, m, r);
	return STEP_DONE;
}
