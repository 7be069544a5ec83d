/*
 * daemonlog.c - what a line of a mail log says of a daemon's death
 */
#include "daemonlog.h"

#include "logline.h"

#include <string.h>

/* --- Words ----------------------------------------------------------------------- */

/* The bytes up to a blank or `stop`, stepped over. */
static struct cur take_word(struct cur *c, uint8_t stop)
{
	return cur_sub(c, cur_word(c, stop));
}

static bool is(struct cur c, const char *word)
{
	return log_eat(&c, word) && cur_left(&c) == 0;
}

/* Step to just behind the next `word`; false, and no step, when there is none. */
static bool find(struct cur *c, const char *word)
{
	struct cur at = *c;

	while (cur_left(&at) > 0) {
		cur_skip(&at, cur_find(&at, (uint8_t)*word));
		if (log_eat(&at, word)) {
			*c = at;
			return true;
		}
		cur_skip(&at, cur_left(&at) > 0);
	}
	return false;
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

struct head {
	struct cur ident; /* "postfix/qmgr"; empty: a log of one program, Exim's own or multilog's */
	uint64_t pid;
};

/* "HOST IDENT[PID]: " */
static bool head_of(struct cur *c, struct head *h)
{
	take_word(c, ' ');
	if (!log_eat(c, " "))
		return false;
	h->ident = cur_sub(c, cur_word(c, '[') < cur_word(c, ':') ? cur_word(c, '[') : cur_word(c, ':'));
	if (log_eat(c, "[") && (!log_number(c, PID_DIGITS, &h->pid) || !log_eat(c, "]")))
		return false;
	return cur_left(&h->ident) > 0 && log_eat(c, ": ");
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
			if (!log_eat(&name, queues[i]))
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

	if (!log_eat(&c, "warning: process "))
		return false;
	daemon = last_name(take_word(&c, ' '));
	if (!reads_queue(daemon) || !log_eat(&c, " pid ") || !log_number(&c, PID_DIGITS, &d->pid))
		return false;
	keep(&d->daemon, daemon);
	if (log_eat(&c, " exit status ")) {
		d->kind = DEATH_EXIT;
		return true;
	}
	if (!log_eat(&c, " killed by signal ") || !log_number(&c, 3, &n))
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
	if (!reads_queue(daemon) || h->pid == 0 || !(log_eat(&c, "fatal: ") || log_eat(&c, "panic: ")))
		return false;
	d->kind = DEATH_SAID;
	d->pid = h->pid;
	keep(&d->daemon, daemon);
	keep(&d->said, c);
	postfix_id(c, &d->id);
	return true;
}

/* --- The others --------------------------------------------------------------------- */

/* "1wIbVf-0000Ci-1A SIGSEGV (  237 delivering 1wIbVf-0000Ci-1A (queue run pid 9)": the last words of a process, of a delivery
 * right after the message came the only ones. Since 4.99 its purpose and a colon stand before the pid. Its other lines
 * (SIGSEGV (fault address: 0x1), a backtrace) have none. */
static bool exim_segv(struct cur c, struct death *d)
{
	struct cur words = c, id = cur_sub(&words, 0);
	bool delivery;

	if (!log_eat(&c, "SIGSEGV (")) {
		id = take_word(&c, ' ');
		words = c;
		if (!log_eat(&c, " SIGSEGV ("))
			return false;
		cur_skip(&words, 1);
	}
	cur_skip_blanks(&c);
	if (!log_number(&c, PID_DIGITS, &d->pid)) {
		if (!find(&c, ": "))
			return false;
		cur_skip_blanks(&c);
		if (!log_number(&c, PID_DIGITS, &d->pid))
			return false;
	}
	if (d->pid == 0 || !log_eat(&c, " "))
		return false;
	delivery = find(&c, "delivering ");
	if (delivery && cur_left(&id) == 0)
		id = take_word(&c, ':');
	d->kind = DEATH_CRASH;
	d->format = "exim";
	d->signal = 11;
	text_str(&d->daemon, find(&c, "queue run") ? "queue run" : delivery ? "delivery" : "exim");
	keep(&d->id, id);
	keep(&d->said, words);
	return true;
}

/* "queue run: process 237 crashed with signal 11 while delivering 1wIbVf-0000Ci-1A"; without the first two words where a
 * sender waits for the delivery (-odf) */
static bool exim_line(struct cur c, struct death *d)
{
	struct cur words = c;
	bool run = log_eat(&c, "queue run: ");
	uint64_t n;

	if (!log_eat(&c, "process ") || !log_number(&c, PID_DIGITS, &d->pid) ||
	    !log_eat(&c, " crashed with signal ") || !log_number(&c, 3, &n) || !log_eat(&c, " while delivering "))
		return false;
	d->kind = DEATH_CRASH;
	d->format = "exim";
	d->signal = (unsigned)n;
	text_str(&d->daemon, run ? "queue run" : "delivery");
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
	log_eat(&c, "warn: ");
	if (log_eat(&c, "fatal: ")) {
		d->kind = DEATH_SAID;
		keep(&d->said, c);
		return true;
	}
	log_eat(&c, "smtpd: ");
	if (log_eat(&c, "process ")) {
		take_word(&c, ' ');
		if (!log_eat(&c, " socket closed") || cur_left(&c) > 0)
			return false;
	} else if (!log_eat(&c, "lost child: ")) {
		return false;
	} else if (find(&c, "signal ") && log_number(&c, 3, &n)) {
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
	if (!log_number(&c, PID_DIGITS, &n) || !(log_eat(&c, " died, pid=") || log_eat(&c, " core dumped")))
		return false;
	log_number(&c, PID_DIGITS, &d->pid);
	if (!log_eat(&c, ", signal=") || !log_number(&c, 3, &n))
		return false;
	d->kind = DEATH_CRASH;
	d->format = "sendmail";
	d->signal = (unsigned)n;
	text_str(&d->daemon, "queue runner");
	keep(&d->said, words);
	return true;
}

/* "alert: oh no! lost spawn connection! dying...", "alert: cannot start: ...", of splogger behind a time of its own. Who stops
 * all of qmail's processes at once may bring it to say so, too: once is no crash. The pid before it is splogger's. */
static bool qmail_line(struct cur c, struct death *d)
{
	struct log_time again = { .known = false };
	struct cur words, text = c;

	if (!log_time_unix(&c, &again) || !log_eat(&c, " "))
		c = text;
	if (!log_eat(&c, "alert: "))
		return false;
	words = c;
	if (!log_eat(&c, "oh no! lost ") && (!log_eat(&c, "cannot start: ") || log_eat(&c, "qmail-send is already running")))
		return false;
	d->kind = DEATH_EXIT;
	d->format = "qmail";
	text_str(&d->daemon, "qmail-send");
	keep(&d->said, words);
	return true;
}

/* "ABNORMAL TERMINATION BY A SIGNAL", "ABNORMAL TERMINATION, exit status: 1": said by the parent, which starts another one after a
 * minute; the pid before it is the parent's. */
static bool courier_line(struct cur c, struct death *d)
{
	struct cur words = c;

	if (!log_eat(&c, "ABNORMAL TERMINATION"))
		return false;
	d->kind = log_eat(&c, " BY A SIGNAL") ? DEATH_CRASH : DEATH_EXIT;
	d->format = "courier";
	text_str(&d->daemon, "courierd");
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

	if (log_eat(&c, "[")) {
		cur_skip(&c, cur_find(&c, ']'));
		if (!log_eat(&c, "] "))
			return false;
	}
	traps = log_eat(&c, "traps: ");
	name = take_word(&c, '[');
	if (!log_eat(&c, "[") || !log_number(&c, PID_DIGITS, &d->pid) || !log_eat(&c, traps ? "] " : "]: segfault "))
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
		return exim_line(c, d) || exim_segv(c, d) || qmail_line(c, d);
	if (is(ident, "kernel"))
		return kernel_line(c, d);
	if (is(ident, "exim") || is(ident, "exim4")) {
		struct log_time again = { .known = false };

		if (log_time_iso(&c, &again)) /* syslog_timestamp */
			log_eat(&c, " ");
		else
			c = text;
		return exim_line(c, d) || exim_segv(c, d);
	}
	if (is(ident, "smtpd"))
		return opensmtpd_line(h, c, d);
	if (is(ident, "sm-mta") || is(ident, "sendmail") || is(ident, "sm-queue"))
		return sendmail_line(c, d);
	if (is(ident, "qmail") || is(ident, "qmail-send"))
		return qmail_line(c, d);
	if (is(ident, "courierd"))
		return courier_line(c, d);
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
	if (!log_time_read(&c, &time) || !log_eat(&c, " "))
		return false;
	d->time = time;
	own = c;
	/* Exim's own log has no host; with log_selector +pid the process comes first. */
	if (log_eat(&own, "[") && (!log_number(&own, PID_DIGITS, &ignored) || !log_eat(&own, "] ")))
		return false;
	if (body_of(&h, own, d))
		return true;
	memset(d, 0, sizeof *d);
	d->time = time;
	return head_of(&c, &h) && body_of(&h, c, d);
}
