/*
 * courier_records.c - check(): the records of a control file
 *
 * First each record alone, then what all of them say together. What courierd or its delivery
 * programs do with a damaged one decides: they read numbers up to the first byte that is no digit, match
 * recipients by position, and believe that what is not there was never needed.
 */
#include "courier.h"

#define DAY 86400
#define YEAR (366 * DAY)

/* --- One record --------------------------------------------------------------------- */

struct finding *co_note(const struct co_work *w, enum finding_id id, const struct co_line *line,
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
static void check_result(const struct co_work *w, const struct co_line *line)
{
	bool final = line->letter != 'D';
	struct finding *f;
	uint64_t n;
	bool number = co_index(line->value, true, &n);

	if (number && n < w->s->recipients)
		return;
	f = co_note(w, final ? F_COURIER_RESULT : F_COURIER_INFO, line,
		    number ? "a recipient below " : "recipient time");
	if (number)
		text_u64(&f->expected, w->s->recipients);
	if (final && w->s->done == w->s->recipients && co_atoi(line->value) < w->s->recipients)
		f->impact = IMPACT_SERVER_DELETES; /* it is taken for finished */
}

static void check_info(const struct co_work *w, const struct co_line *line)
{
	uint64_t n;

	if (!co_index(line->value, false, &n))
		co_note(w, F_COURIER_INFO, line, "recipient letter text");
	else if (n >= w->s->recipients)
		text_u64(&co_note(w, F_COURIER_INFO, line, "a recipient below ")->expected,
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
static void check_address(const struct co_work *w, const struct co_line *line)
{
	struct finding *f;

	if (line->letter == 'r' && cur_left(&line->value) == 0) {
		co_note(w, F_COURIER_RECIPIENT, line, "an address");
	} else if (has_control(line->value)) {
		f = co_note(w, line->letter == 's' ? F_COURIER_SENDER : F_COURIER_RECIPIENT, line,
			 "an address without control characters");
		f->impact = line->letter == 's' ? IMPACT_SERVER_DELETES : IMPACT_DAMAGED_DELIVERY;
	} else if (line->letter == 's' && is_refused(line->value)) {
		co_note(w, F_COURIER_SENDER, line, "an address")->severity = SEV_SUSPECT;
	}
}

static void check_line(const struct co_work *w, const struct co_line *line)
{
	unsigned letter = co_find(line->letter);
	struct finding *f;
	uint64_t n;
	int64_t time;

	if (letter == CO_LETTERS) {
		f = co_note(w, F_COURIER_LETTER, line, "");
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
			co_note(w, F_COURIER_NUMBER, line, "a decimal number");
		break;
	case CO_EMPTY:
		if (cur_left(&line->value) > 0)
			co_note(w, F_COURIER_VALUE, line, "nothing");
		break;
	case CO_MSGID:
		if (!co_msgid(line->value, &time))
			co_note(w, F_COURIER_MSGID, line, "inode.time.process, hexadecimal");
		break;
	case CO_RET:
		if (cur_left(&line->value) > 1 || !all_of(line->value, "FH"))
			co_note(w, F_COURIER_VALUE, line, "F, H or nothing");
		break;
	case CO_NOTIFY:
		if (!all_of(line->value, "SFDN"))
			co_note(w, F_COURIER_VALUE, line, "any of S F D N");
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
static void check_nul(const struct co_work *w)
{
	const struct part *p = &w->m->parts[CO_ENTRY];
	struct cur text = co_text(p);
	size_t n = cur_left(&text);

	if (n < p->len)
		report_add(w->r, F_COURIER_NUL, CO_ENTRY, p->off + n, p->len - n);
}

static struct finding *whole(const struct co_work *w, enum finding_id id)
{
	return report_add(w->r, id, CO_ENTRY, 0, w->m->parts[CO_ENTRY].size);
}

static void check_counts(const struct co_work *w)
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

/* A time is read up to the first byte that is no digit, and too many of them make another one. */
static void check_expiry(const struct co_work *w)
{
	const struct co_sum *s = w->s;
	struct finding *f;
	uint64_t n;

	if (!s->has_expiry) {
		whole(w, F_COURIER_NO_EXPIRY);
		return;
	}
	if (!co_number(s->expiry.value, &n) || n > INT64_MAX) {
		f = co_note(w, F_COURIER_EXPIRY, &s->expiry, "a decimal number");
		if (s->expires > w->m->site.now) {
			f->severity = SEV_SUSPECT;
			f->impact = IMPACT_NONE;
		}
	} else if (s->arrival > 0 && s->arrival < w->m->site.now + DAY && n < (uint64_t)s->arrival &&
		   (uint64_t)s->arrival - n > CO_SUBMIT_MAX) {
		f = co_note(w, F_COURIER_EXPIRY, &s->expiry, "a time after the arrival");
		text_time(&f->found, (int64_t)n);
	} else if (n > (uint64_t)w->m->site.now + 10 * (uint64_t)YEAR) {
		f = co_note(w, F_COURIER_EXPIRY, &s->expiry, "a time within ten years");
		f->severity = SEV_SUSPECT;
		f->impact = IMPACT_NONE;
	} else if (n < (uint64_t)w->m->site.now) {
		co_note(w, F_COURIER_EXPIRED, &s->expiry, "");
	}
}

static void check_sum(const struct co_work *w)
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

void co_check_records(const struct co_work *w)
{
	struct cur c = co_text(&w->m->parts[CO_ENTRY]);
	struct co_line line = { 0 };

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
void co_put_envelope(const struct co_work *w)
{
	struct cur c = co_text(&w->m->parts[CO_ENTRY]);
	struct report *r = w->r;
	struct co_line line = { 0 };
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
