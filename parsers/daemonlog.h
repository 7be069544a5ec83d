/*
 * daemonlog.h - lines of a mail log that tell of the death of a server's daemon
 *
 * A line is a stranger's: anybody on the host may write one. What is read here is reported, and moves nothing.
 *
 * Facts: Postfix master/master_spawn.c (the line that master writes for each daemon that ended badly) and
 * util/msg_output.c (fatal, panic); Exim queue.c (a delivery process of a queue run that crashed), exim.c (segv_handler, also in the
 * panic log); OpenSMTPD smtpd.c (lost child); Sendmail main.c (persistent queue runners); qmail qmail-send.c (alert) behind multilog,
 * svlogd or splogger; Courier courierdb.C; Linux mm/fault.c and kernel/traps.c of x86 (segfault, traps).
 */
#ifndef DAEMONLOG_H
#define DAEMONLOG_H

#include "finding.h"

enum death_kind {
	DEATH_NONE,
	DEATH_SAID,  /* the last words of a daemon: somebody else tells that it died */
	DEATH_EXIT,  /* it gave up, and is started again */
	DEATH_CRASH, /* a signal, or the service went down with it */
};

/* When the line was written, as far as it says. */
struct log_time {
	bool known, epoch;
	int64_t seconds;       /* epoch: since 1970 */
	uint16_t year;         /* 0: not said */
	uint8_t month, day, hour, minute, second; /* month 1..12 */
	bool zoned;            /* else the host's own time */
	int32_t zone;          /* seconds east of UTC */
};

struct death {
	enum death_kind kind;
	const char *format;    /* name of its server's format: "postfix" */
	struct text daemon;    /* "qmgr" */
	uint64_t pid;          /* 0: not said, or of another process than the one that died */
	unsigned signal;       /* 0: none */
	struct text id;        /* of the message that it was at; empty: not said */
	struct text said;      /* its words, cut at TEXT_MAX bytes */
	struct log_time time;
};

/* Read the line (without its end): does it tell of a death? Heads are those of syslog (RFC 3164, and RFC 3339 times), of
 * `journalctl -o short-unix`, of Exim's own logs, of multilog (TAI64N) and of svlogd -tt. */
/*@ requires \valid(d) && \valid_read(line + (0 .. len - 1));
    requires \separated(d, line + (0 .. len - 1));
    ensures \result == \true ==> d->kind != DEATH_NONE;
*/
bool daemonlog_line(const uint8_t *line, size_t len, struct death *d);

#endif
