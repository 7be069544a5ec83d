/*
 * log.h - what is done to mail, told to the system log
 *
 * One entry for each action: fields for journald where it runs (SPOOLCK_ID, SPOOLCK_SPOOL ..., MESSAGE_ID), else
 * a line for syslog, facility mail. Never waits, never fails: a log that is full or absent must not stop a run.
 */
#ifndef LOG_H
#define LOG_H

/* Words of one action; NULL = not known. They are bytes and are escaped here. */
struct log_action {
	const char *verb; /* "moved", "restored", "purged" ... */
	const char *id, *spool, *finding, *from, *to, *digest, *reason;
};

void log_action(const struct log_action *a);

/* One line of other news. `priority` of syslog(3); `text` is escaped here. Asks nobody's name, so that
 * nothing is waited for at all. */
void log_text(int priority, const char *text);

/* The facilities that there are, by name (NULL-terminated); "none" sends nothing. log_use() takes the
 * place in this vector; without it the first one, mail, is used. */
extern const char *const log_facilities[];
void log_use(unsigned facility);

/* What q_recover() says of a transaction: it moved mail, or left some where it is. `spool` may be NULL. */
void log_recovered(const char *spool, const char *line);

/* Who acts, for logs and records (g_free): the user, and whom sudo names. */
char *log_who(void);

#endif
