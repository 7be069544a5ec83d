/*
 * daemonlog.c - what a line of a mail log says of a daemon's death
 */
#include "daemonlog.h"

#include "cursor.h"

#include <string.h>

/* --- Words ----------------------------------------------------------------------- */

/* Step over `word` when it comes next. */
static bool eat(struct cur *c, const char *word)
{
	size_t n = strlen(word);
	const uint8_t *p = cur_view(c, n);

	if (p == NULL || memcmp(p, word, n) != 0)
		return false;
	return cur_skip(c, n);
}

/* The bytes up to a blank or `stop`, stepped over. */
static struct cur take_word(struct cur *c, uint8_t stop)
{
	return cur_sub(c, cur_word(c, stop));
}

static bool is(struct cur c, const char *word)
{
	return eat(&c, word) && cur_left(&c) == 0;
}

/* Step to just behind the next `word`; false, and no step, when there is none. */
static bool find(struct cur *c, const char *word)
{
	struct cur at = *c;

	while (cur_left(&at) > 0) {
		cur_skip(&at, cur_find(&at, (uint8_t)*word));
		if (eat(&at, word)) {
			*c = at;
			return true;
		}
		cur_skip(&at, cur_left(&at) > 0);
	}
	return false;
}

/* 1..`most` digits as a number. */
static bool number(struct cur *c, unsigned most, uint64_t *n_r)
{
	unsigned digits = 0;
	uint64_t n = 0;

	while (digits < most && cur_peek(c) >= '0' && cur_peek(c) <= '9') {
		n = n * 10 + (uint64_t)(cur_u8(c) - '0');
		digits++;
	}
	*n_r = n;
	return digits > 0 && !(cur_peek(c) >= '0' && cur_peek(c) <= '9');
}

#define PID_DIGITS 10

static void keep(struct text *t, struct cur c)
{
	size_t n = cur_left(&c);

	if (n > 0)
		text_bytes(t, cur_view(&c, n), n);
}

/* What stands behind the last slash. */
static struct cur last_name(struct cur path)
{
	while (cur_find(&path, '/') < cur_left(&path))
		cur_skip(&path, cur_find(&path, '/') + 1);
	return path;
}

/* --- Heads ----------------------------------------------------------------------- */

static bool small(struct cur *c, uint8_t low, uint8_t high, uint8_t *n_r)
{
	uint64_t n;

	if (!number(c, 2, &n) || n < low || n > high)
		return false;
	*n_r = (uint8_t)n;
	return true;
}

static bool clock(struct cur *c, struct log_time *t)
{
	uint64_t ignored;

	if (!small(c, 0, 23, &t->hour) || !eat(c, ":") || !small(c, 0, 59, &t->minute) || !eat(c, ":") ||
	    !small(c, 0, 60, &t->second))
		return false;
	return !eat(c, ".") || number(c, 9, &ignored);
}

/* "Z", "+01:00", "+0100"; nothing is the host's own time. */
static bool zone(struct cur *c, struct log_time *t)
{
	int sign = cur_peek(c) == '-' ? -1 : 1;
	uint64_t n, minutes = 0;

	t->zoned = true;
	if (eat(c, "Z"))
		return true;
	t->zoned = eat(c, "+") || eat(c, "-");
	if (!t->zoned)
		return true;
	if (!number(c, 4, &n))
		return false;
	if (eat(c, ":") && !number(c, 2, &minutes))
		return false;
	if (n >= 100) {
		minutes = n % 100;
		n /= 100;
	}
	t->zone = sign * (int32_t)(n * 3600 + minutes * 60);
	return n < 24 && minutes < 60;
}

/* "2026-11-20T15:41:19.12+01:00", and with a blank as Exim writes it. */
static bool time_iso(struct cur *c, struct log_time *t)
{
	uint64_t year;

	if (!number(c, 4, &year) || year < 1970 || !eat(c, "-") || !small(c, 1, 12, &t->month) || !eat(c, "-") ||
	    !small(c, 1, 31, &t->day) || !(eat(c, "T") || eat(c, " ")) || !clock(c, t))
		return false;
	t->year = (uint16_t)year;
	if (cur_peek(c) == ' ' && (cur_ahead(c, 1) == '+' || cur_ahead(c, 1) == '-'))
		cur_skip(c, 1); /* Exim's log_timezone */
	return zone(c, t);
}

/* "Nov 20 15:41:19" */
static bool time_classic(struct cur *c, struct log_time *t)
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
					    "Nov", "Dec" };

	while (t->month < 12 && !eat(c, months[t->month]))
		t->month++;
	if (t->month++ == 12 || !eat(c, " "))
		return false;
	cur_skip_blanks(c);
	return small(c, 1, 31, &t->day) && eat(c, " ") && clock(c, t);
}

/* "1795161679.123456" */
static bool time_unix(struct cur *c, struct log_time *t)
{
	uint64_t seconds, ignored;

	if (!number(c, 12, &seconds) || !eat(c, ".") || !number(c, 6, &ignored))
		return false;
	t->epoch = true;
	t->seconds = (int64_t)seconds;
	return true;
}

static bool time_of(struct cur *c, struct log_time *t)
{
	struct cur start = *c;

	if (time_classic(c, t))
		return t->known = true;
	*c = start;
	memset(t, 0, sizeof *t);
	if (time_iso(c, t))
		return t->known = true;
	*c = start;
	memset(t, 0, sizeof *t);
	return t->known = time_unix(c, t);
}

struct head {
	struct cur ident; /* "postfix/qmgr"; empty: Exim's own log */
	uint64_t pid;
};

/* "HOST IDENT[PID]: " */
static bool head_of(struct cur *c, struct head *h)
{
	take_word(c, ' ');
	if (!eat(c, " "))
		return false;
	h->ident = cur_sub(c, cur_word(c, '[') < cur_word(c, ':') ? cur_word(c, '[') : cur_word(c, ':'));
	if (eat(c, "[") && (!number(c, PID_DIGITS, &h->pid) || !eat(c, "]")))
		return false;
	return cur_left(&h->ident) > 0 && eat(c, ": ");
}

/* --- Postfix ------------------------------------------------------------------------ */

/* Those that read queue files. What else master starts dies of other things. */
static bool reads_queue(struct cur daemon)
{
	static const char *const daemons[] = { "qmgr", "oqmgr", "nqmgr", "pickup", "cleanup", "bounce", "showq",
					       "flush", "smtp", "lmtp", "local", "virtual", "pipe", "error",
					       "discard", NULL };

	for (unsigned i = 0; daemons[i] != NULL; i++)
		if (is(daemon, daemons[i]))
			return true;
	return false;
}

/* "... file active/4F2A1C0B9: ..." */
static void postfix_id(struct cur c, struct text *id)
{
	static const char *const queues[] = { "active/", "incoming/", "deferred/", "maildrop/", "hold/", NULL };

	while (cur_left(&c) > 0) {
		struct cur word, name;

		cur_skip_blanks(&c);
		word = take_word(&c, ':');
		cur_skip(&c, cur_peek(&c) == ':');
		for (unsigned i = 0; queues[i] != NULL; i++) {
			name = word;
			if (!eat(&name, queues[i]))
				continue;
			name = last_name(name);
			keep(id, cur_sub(&name, cur_word(&name, ',')));
			return;
		}
	}
}

/* "warning: process /usr/lib/postfix/sbin/qmgr pid 237 exit status 1", "... killed by signal 11" */
static bool postfix_master(struct cur c, struct death *d)
{
	struct cur daemon;
	uint64_t n;

	if (!eat(&c, "warning: process "))
		return false;
	daemon = last_name(take_word(&c, ' '));
	if (!reads_queue(daemon) || !eat(&c, " pid ") || !number(&c, PID_DIGITS, &d->pid))
		return false;
	keep(&d->daemon, daemon);
	if (eat(&c, " exit status ")) {
		d->kind = DEATH_EXIT;
		return true;
	}
	if (!eat(&c, " killed by signal ") || !number(&c, 3, &n))
		return false;
	d->signal = (unsigned)n;
	d->kind = DEATH_CRASH;
	return n != 1 && n != 2 && n != 15; /* HUP, INT, TERM: somebody told it to end */
}

static bool postfix_line(const struct head *h, struct cur c, struct death *d)
{
	struct cur daemon = last_name(h->ident);

	d->format = "postfix";
	if (is(daemon, "master"))
		return postfix_master(c, d);
	if (!reads_queue(daemon) || h->pid == 0 || !(eat(&c, "fatal: ") || eat(&c, "panic: ")))
		return false;
	d->kind = DEATH_SAID;
	d->pid = h->pid;
	keep(&d->daemon, daemon);
	keep(&d->said, c);
	postfix_id(c, &d->id);
	return true;
}

/* --- The others --------------------------------------------------------------------- */

/* "queue run: process 237 crashed with signal 11 while delivering 1wIbVf-0000Ci-1A" */
static bool exim_line(struct cur c, struct death *d)
{
	struct cur words = c;
	uint64_t n;

	if (!eat(&c, "queue run: process ") || !number(&c, PID_DIGITS, &d->pid) ||
	    !eat(&c, " crashed with signal ") || !number(&c, 3, &n) || !eat(&c, " while delivering "))
		return false;
	d->kind = DEATH_CRASH;
	d->format = "exim";
	d->signal = (unsigned)n;
	text_str(&d->daemon, "queue run");
	keep(&d->id, take_word(&c, ' '));
	keep(&d->said, words);
	return true;
}

/* "warn: lost child: queue exited abnormally", "... terminated; signal 6", or, when the parent hears of it in another
 * way first, "smtpd: process queue socket closed" (which may name a neighbour of the one that died); "fatal: ..." of a
 * child before that. All of smtpd ends with a child. */
static bool opensmtpd_line(const struct head *h, struct cur c, struct death *d)
{
	struct cur words = c;
	uint64_t n;

	d->format = "opensmtpd";
	d->pid = h->pid;
	text_str(&d->daemon, "smtpd");
	eat(&c, "warn: ");
	if (eat(&c, "fatal: ")) {
		d->kind = DEATH_SAID;
		keep(&d->said, c);
		return true;
	}
	eat(&c, "smtpd: ");
	if (eat(&c, "process ")) {
		take_word(&c, ' ');
		if (!eat(&c, " socket closed") || cur_left(&c) > 0)
			return false;
	} else if (!eat(&c, "lost child: ")) {
		return false;
	} else if (find(&c, "signal ") && number(&c, 3, &n)) {
		d->signal = (unsigned)n;
	}
	d->kind = DEATH_CRASH;
	keep(&d->said, words);
	return true;
}

/* "NOQUEUE: persistent queue runner=0 died, pid=237, signal=11", "... core dumped, signal=11" */
static bool sendmail_line(struct cur c, struct death *d)
{
	struct cur words;
	uint64_t n;

	if (!find(&c, "persistent queue runner="))
		return false;
	words = c;
	if (!number(&c, PID_DIGITS, &n) || !(eat(&c, " died, pid=") || eat(&c, " core dumped")))
		return false;
	number(&c, PID_DIGITS, &d->pid);
	if (!eat(&c, ", signal=") || !number(&c, 3, &n))
		return false;
	d->kind = DEATH_CRASH;
	d->format = "sendmail";
	d->signal = (unsigned)n;
	text_str(&d->daemon, "queue runner");
	keep(&d->said, words);
	return true;
}

/* "exim4[237]: segfault at ...", "traps: exim4[237] general protection ...". The kernel knows the first 15 bytes of a
 * name. Programs of names that others have, too, are left to the lines of their servers. */
static bool kernel_line(struct cur c, struct death *d)
{
	static const struct { const char *program, *format; } programs[] = {
		{ "exim", "exim" }, { "exim4", "exim" }, { "sendmail", "sendmail" }, { "sendmail-mta", "sendmail" },
		{ "sendmail-msp", "sendmail" }, { "courierd", "courier" }, { "courierlocal", "courier" },
		{ "courieresmtp", "courier" }, { NULL, NULL } };
	struct cur name;
	bool traps;

	if (eat(&c, "[")) {
		cur_skip(&c, cur_find(&c, ']'));
		if (!eat(&c, "] "))
			return false;
	}
	traps = eat(&c, "traps: ");
	name = take_word(&c, '[');
	if (!eat(&c, "[") || !number(&c, PID_DIGITS, &d->pid) || !eat(&c, traps ? "] " : "]: segfault "))
		return false;
	for (unsigned i = 0; programs[i].program != NULL; i++)
		if (is(name, programs[i].program))
			d->format = programs[i].format;
	if (d->format == NULL)
		return false;
	d->kind = DEATH_CRASH;
	d->signal = traps ? 0 : 11;
	keep(&d->daemon, name);
	text_str(&d->said, traps ? "a trap in " : "segmentation fault of ");
	keep(&d->said, name);
	return true;
}

static bool body_of(const struct head *h, struct cur c, struct death *d)
{
	struct cur ident = h->ident, text = c;

	if (cur_left(&ident) == 0)
		return exim_line(c, d);
	if (is(ident, "kernel"))
		return kernel_line(c, d);
	if (is(ident, "exim") || is(ident, "exim4")) {
		struct log_time again = { .known = false };

		if (time_iso(&c, &again)) /* syslog_timestamp */
			eat(&c, " ");
		else
			c = text;
		return exim_line(c, d);
	}
	if (is(ident, "smtpd"))
		return opensmtpd_line(h, c, d);
	if (is(ident, "sm-mta") || is(ident, "sendmail") || is(ident, "sm-queue"))
		return sendmail_line(c, d);
	/* syslog_name may be another, and an instance has its own: what counts is the slash */
	if (cur_find(&ident, '/') < cur_left(&ident))
		return postfix_line(h, c, d);
	return false;
}

bool daemonlog_line(const uint8_t *line, size_t len, struct death *d)
{
	struct cur c = cur_make(line, len, 0), own;
	struct head h = { .pid = 0 };
	struct log_time time = { .known = false };
	uint64_t ignored;

	memset(d, 0, sizeof *d);
	h.ident = cur_make(line, 0, 0);
	if (!time_of(&c, &time) || !eat(&c, " "))
		return false;
	d->time = time;
	own = c;
	/* Exim's own log has no host; with log_selector +pid the process comes first. */
	if (eat(&own, "[") && (!number(&own, PID_DIGITS, &ignored) || !eat(&own, "] ")))
		return false;
	if (body_of(&h, own, d))
		return true;
	memset(d, 0, sizeof *d);
	d->time = time;
	return head_of(&c, &h) && body_of(&h, c, d);
}
