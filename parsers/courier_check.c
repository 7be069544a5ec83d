/*
 * courier_check.c - check(): the control file, how the parts fit, both ends of the text
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
#define YEAR (366 * DAY)

struct work {
	const struct message *m;
	struct report *r;
	const struct co_sum *s;
	struct co_id id;
};

static bool present(const struct work *w, unsigned role)
{
	return w->m->parts[role].mode != 0;
}

bool co_settled(const struct message *m)
{
	const struct part *p = &m->parts[CO_ENTRY];

	return m->force || p->mtime < m->site.now - CO_FRESH || p->mtime > m->site.now + DAY;
}

/* --- One record --------------------------------------------------------------------- */

static struct finding *note(const struct work *w, enum finding_id id, const struct co_line *line,
			    const char *expected)
{
	struct finding *f = report_add(w->r, id, CO_ENTRY, line->off, line->len);
	unsigned letter = co_find(line->letter);
	struct text bare = { 0 };

	text_bytes(&bare, (const uint8_t *)&line->letter, 1);
	text_bytes(&f->field, bare.bytes, bare.len);
	text_str(&f->field, " record");
	if (letter < CO_LETTERS) {
		text_str(&f->field, " (");
		text_str(&f->field, co_letters[letter].name);
		text_str(&f->field, ")");
	}
	text_str(&f->expected, expected);
	co_say(&f->found, line->value);
	return f;
}

static bool all_of(struct cur c, const char *letters)
{
	size_t n = strlen(letters);

	while (cur_left(&c) > 0)
		if (memchr(letters, cur_u8(&c), n) == NULL)
			return false;
	return true;
}

static bool is_alnum(char ch)
{
	return (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z');
}

/* Who had it already gets it again, or who has not gets nothing: the number is read with atoi(),
 * which takes what is no number for recipient 0. */
static void check_result(const struct work *w, const struct co_line *line)
{
	bool final = line->letter != 'D';
	struct finding *f;
	uint64_t n;

	if (!co_index(line->value, true, &n)) {
		f = note(w, final ? F_COURIER_RESULT : F_COURIER_INFO, line, "recipient time");
		if (final && w->s->done == w->s->recipients)
			f->impact = IMPACT_SERVER_DELETES; /* it is taken for finished */
	} else if (n >= w->s->recipients) {
		text_u64(&note(w, final ? F_COURIER_RESULT : F_COURIER_INFO, line,
			       "a recipient below ")->expected, w->s->recipients);
	}
}

static void check_info(const struct work *w, const struct co_line *line)
{
	uint64_t n;

	if (!co_index(line->value, false, &n))
		note(w, F_COURIER_INFO, line, "recipient letter text");
	else if (n >= w->s->recipients)
		text_u64(&note(w, F_COURIER_INFO, line, "a recipient below ")->expected,
			 w->s->recipients);
}

static bool has_control(struct cur c)
{
	while (cur_left(&c) > 0)
		if (cur_u8(&c) < ' ')
			return true;
	return false;
}

/* What submit refuses and what a try ends with, when it is no part of a quoted string. */
static bool is_refused(struct cur c)
{
	bool quoted = false;
	int before = 0, ch;

	for (; cur_left(&c) > 0; before = ch) {
		ch = cur_u8(&c);
		if (ch == '"' && before != '\\')
			quoted = !quoted;
		else if (!quoted && (ch == ';' || ch == '<' || ((ch == '@' || ch == '.') && ch == before)))
			return true;
	}
	return before == '@' || before == '.';
}

/* A sender that Courier cannot read makes the message undeliverable, and nobody can be told. */
static void check_address(const struct work *w, const struct co_line *line)
{
	struct finding *f;

	if (line->letter == 'r' && cur_left(&line->value) == 0) {
		note(w, F_COURIER_RECIPIENT, line, "an address");
	} else if (has_control(line->value)) {
		f = note(w, line->letter == 's' ? F_COURIER_SENDER : F_COURIER_RECIPIENT, line,
			 "an address without control characters");
		f->impact = line->letter == 's' ? IMPACT_SERVER_DELETES : IMPACT_DAMAGED_DELIVERY;
	} else if (line->letter == 's' && is_refused(line->value)) {
		note(w, F_COURIER_SENDER, line, "an address")->severity = SEV_SUSPECT;
	}
}

static void check_line(const struct work *w, const struct co_line *line)
{
	unsigned letter = co_find(line->letter);
	struct finding *f;
	uint64_t n;
	int64_t time;

	if (letter == CO_LETTERS) {
		f = note(w, F_COURIER_LETTER, line, "");
		if (!is_alnum(line->letter))
			f->severity = SEV_SUSPECT; /* no server's */
		return;
	}
	switch ((enum co_value)co_letters[letter].value) {
	case CO_TEXT:
		if (line->letter == 's' || line->letter == 'r')
			check_address(w, line);
		break;
	case CO_TIME:
	case CO_NUMBER:
		if (line->letter != 'E' && !co_number(line->value, &n))
			note(w, F_COURIER_NUMBER, line, "a decimal number");
		break;
	case CO_EMPTY:
		if (cur_left(&line->value) > 0)
			note(w, F_COURIER_VALUE, line, "nothing");
		break;
	case CO_MSGID:
		if (!co_msgid(line->value, &time))
			note(w, F_COURIER_MSGID, line, "inode.time.process, hexadecimal");
		break;
	case CO_RET:
		if (cur_left(&line->value) > 1 || !all_of(line->value, "FH"))
			note(w, F_COURIER_VALUE, line, "F, H or nothing");
		break;
	case CO_NOTIFY:
		if (!all_of(line->value, "SFDN"))
			note(w, F_COURIER_VALUE, line, "any of S F D N");
		break;
	case CO_RESULT:
		check_result(w, line);
		break;
	case CO_INFO:
		check_info(w, line);
		break;
	}
}

/* --- All records ---------------------------------------------------------------------- */

/* Behind a zero byte Courier sees nothing, and nothing of what it appends there itself. */
static void check_nul(const struct work *w)
{
	const struct part *p = &w->m->parts[CO_ENTRY];
	struct cur text = co_text(p);
	size_t n = cur_left(&text);

	if (n < p->len)
		report_add(w->r, F_COURIER_NUL, CO_ENTRY, p->off + n, p->len - n);
}

static struct finding *whole(const struct work *w, enum finding_id id)
{
	return report_add(w->r, id, CO_ENTRY, 0, w->m->parts[CO_ENTRY].size);
}

static void check_counts(const struct work *w)
{
	const struct co_sum *s = w->s;
	struct finding *f;

	if (s->recipients == 0) {
		whole(w, F_COURIER_NO_RECIPIENT);
		return;
	}
	if (!s->disorder && s->recipients == s->originals && s->recipients == s->notifies)
		return;
	f = report_add(w->r, F_COURIER_COUNTS, CO_ENTRY, s->disorder ? s->order : 0, 0);
	text_str(&f->expected, "an r, an R and an N record for each recipient");
	text_u64(&f->found, s->recipients);
	text_str(&f->found, " r, ");
	text_u64(&f->found, s->originals);
	text_str(&f->found, " R, ");
	text_u64(&f->found, s->notifies);
	text_str(&f->found, " N");
	if (s->recipients == s->originals && s->recipients == s->notifies)
		f->severity = SEV_SUSPECT;
	else if (s->done == s->recipients)
		f->impact = IMPACT_SERVER_DELETES; /* the one who is left is not among them */
}

/* A time is read up to the first byte that is no digit. */
static void check_expiry(const struct work *w)
{
	const struct co_sum *s = w->s;
	struct finding *f;
	uint64_t n;

	if (!s->has_expiry) {
		whole(w, F_COURIER_NO_EXPIRY);
		return;
	}
	if (!co_number(s->expiry.value, &n)) {
		f = note(w, F_COURIER_EXPIRY, &s->expiry, "a decimal number");
		if (s->expires != UINT64_MAX && s->expires > (uint64_t)w->m->site.now) {
			f->severity = SEV_SUSPECT; /* what is behind the digits is not read */
			f->impact = IMPACT_NONE;
		}
	} else if (s->arrival > 0 && s->arrival < w->m->site.now + DAY && n < (uint64_t)s->arrival &&
		   (uint64_t)s->arrival - n > CO_SUBMIT_MAX) {
		f = note(w, F_COURIER_EXPIRY, &s->expiry, "a time after the arrival");
		text_time(&f->found, (int64_t)n);
	} else if (n > (uint64_t)w->m->site.now + 10 * (uint64_t)YEAR) {
		f = note(w, F_COURIER_EXPIRY, &s->expiry, "a time within ten years");
		f->severity = SEV_SUSPECT;
		f->impact = IMPACT_NONE;
	} else if (n < (uint64_t)w->m->site.now) {
		note(w, F_COURIER_EXPIRED, &s->expiry, "");
	}
}

static void check_sum(const struct work *w)
{
	const struct co_sum *s = w->s;

	check_counts(w);
	if (s->senders == 0)
		whole(w, F_COURIER_NO_SENDER);
	else if (s->senders > 1)
		whole(w, F_COURIER_SENDERS);
	check_expiry(w);
	if (!s->has_msgid)
		whole(w, F_COURIER_MSGID);
	if (s->cancelled)
		whole(w, F_COURIER_CANCELLED);
	if (s->recipients > 0 && s->done == s->recipients)
		whole(w, F_COURIER_DONE);
}

static void check_control(const struct work *w)
{
	struct cur c = co_text(&w->m->parts[CO_ENTRY]);
	struct co_line line;

	check_nul(w);
	while (co_next(&c, &line))
		check_line(w, &line);
	check_sum(w);
}

static uint16_t put_address(struct cur value, uint8_t *to)
{
	size_t n = cur_left(&value) < ADDRESS_MAX ? cur_left(&value) : ADDRESS_MAX;

	cur_copy(&value, to, n);
	return (uint16_t)n;
}

/* The envelope as far as it can be read: the first recipient who is not done. */
static void put_envelope(const struct work *w)
{
	struct cur c = co_text(&w->m->parts[CO_ENTRY]);
	struct report *r = w->r;
	struct co_line line;
	uint64_t n = 0;
	bool first = true;

	r->has_sender = w->s->senders > 0;
	if (r->has_sender)
		r->sender_len = put_address(w->s->sender, r->sender);
	while (first && co_next(&c, &line)) {
		if (line.letter != 'r' || co_is_done(w->s, n++))
			continue;
		r->recipient_len = put_address(line.value, r->recipient);
		first = false;
	}
	r->recipients = w->s->recipients - w->s->done;
	r->recipients_done = w->s->done;
	r->has_arrival = w->s->arrival > 0;
	r->arrival = w->s->arrival;
}

/* --- Names, links and parts --------------------------------------------------------------- */

static struct finding *names(const struct work *w, enum finding_id id)
{
	return report_add(w->r, id, CO_ENTRY, 0, 0);
}

/* In which folder does the entry lie, and in which does its name lead? */
static void check_folder(const struct work *w)
{
	const char *path = w->m->path;
	size_t n = strlen(path), dir = 0;
	char home[64];
	struct finding *f;

	while (dir < n && path[dir] != '/')
		dir++;
	if (co_queue_path(CO_MSGQ, CO_ENTRY, &w->id, home, sizeof home) == 0)
		return;
	/* "msgq/179516/C..." */
	if (strlen(home) > dir + 5 && home[5 + dir] == '/' && memcmp(home + 5, path, dir) == 0)
		return;
	f = names(w, F_COURIER_FOLDER);
	if (dir == n)
		f->impact = IMPACT_STRANDED; /* in no folder: never listed */
	text_str(&f->expected, home);
}

/* Of the two names of a control file one is missing. */
static void check_one_name(const struct work *w)
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
static void check_other_name(const struct work *w)
{
	struct finding *f = names(w, present(w, CO_CONTROL) ? F_COURIER_CONTROL_OTHER :
							      F_COURIER_CONTROL_ELSEWHERE);
	char home[64];

	if (co_queue_path(CO_MSGS, CO_CONTROL, &w->id, home, sizeof home) > 0)
		text_str(&f->expected, home);
	if (!present(w, CO_CONTROL) && (w->s->attempts == 0 || !present(w, CO_DATA)))
		f->severity = SEV_SUSPECT;
}

static void check_access(const struct work *w)
{
	const struct part *p = &w->m->parts[CO_ENTRY];
	uint32_t bits = p->uid == w->m->site.owner ? 0600 : 0066;

	if (p->uid == w->m->site.owner ? (p->mode & bits) != bits : (p->mode & bits) == 0)
		names(w, F_COURIER_ACCESS);
}

static void check_inode(const struct work *w)
{
	struct finding *f;

	if (w->id.inode == w->m->parts[CO_ENTRY].ino)
		return;
	f = names(w, F_COURIER_INODE);
	text_u64(&f->expected, w->m->parts[CO_ENTRY].ino);
	text_u64(&f->found, w->id.inode);
}

/* An entry in msgq/. */
static void check_entry(const struct work *w)
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
		f = note(w, F_COURIER_SCHEDULE, &w->s->next, "");
		text_u64(&f->expected, w->id.time);
		text_str(&f->expected, ", as in the name");
	}
}

/* A control file in msgs/ whose entry was not met. With one name it has none. With two the entry may
 * be one that came, or was renamed, behind the reader; without it, this file is not to be moved. */
static void check_stray(const struct work *w)
{
	const struct part *p = &w->m->parts[CO_ENTRY];

	if (p->nlink == 1) {
		names(w, F_COURIER_UNSCHEDULED);
		return;
	}
	if (w->id.time == 0 && p->mtime < w->m->site.now - DAY)
		names(w, F_COURIER_UNSCHEDULED);
	for (unsigned i = 0; i < w->r->count; i++)
		if (w->r->findings[i].severity == SEV_CORRUPT)
			w->r->findings[i].severity = SEV_SUSPECT;
}

/* courierd makes the folder of this moment and no other, then dies for want of the right one. It is
 * there when another message is due at that time, which cannot be seen from here. */
static void check_delay(const struct work *w)
{
	uint64_t now = (uint64_t)w->m->site.now, next = now + w->s->delay_time;
	struct finding *f;

	if (!w->s->has_delay || w->s->delay_time > INT32_MAX || !co_settled(w->m) ||
	    next / CO_FOLDER_SECONDS == now / CO_FOLDER_SECONDS)
		return;
	f = note(w, F_COURIER_DELAY, &w->s->delay, "a folder msgq/");
	f->severity = SEV_SUSPECT;
	text_u64(&f->expected, next / CO_FOLDER_SECONDS);
}

/* A submission. Its text has gone on already when courierd is just taking it. */
static void check_submission(const struct work *w)
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
	struct work w = { m, r, &k->sum, { 0, 0, 0, 0 } };

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
	struct co_id id;

	if (k->phase == CHECK_CONTROL) {
		if (co_id(m->id, m->id_len, &id) && being_submitted(m, &id))
			return STEP_DONE;
		if (!check_blank(m, r)) {
			struct work work = { m, r, &k->sum, id };

			co_sum(p, &k->sum);
			check_control(&work);
			put_envelope(&work);
		}
		k->phase = CHECK_ZEROS;
		if (text_start(k, m, r, w) == STEP_WANT)
			return STEP_WANT;
	} else if (k->phase == CHECK_ZEROS && text_start(k, m, r, w) == STEP_WANT) {
		return STEP_WANT;
	}
	if (k->phase == CHECK_END && text_end(k, m, r, w) == STEP_WANT)
		return STEP_WANT;
	check_message(k, m, r);
	return STEP_DONE;
}
