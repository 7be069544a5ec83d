/*
 * incident.h - daemons that died, as the mail log tells, and the message that does it
 *
 * A server may survive the death of its daemon (Postfix' master, Exim's daemon), so that no service manager sees
 * it: the log does. What is said here is a report; no line of a log makes anybody move a message.
 */
#ifndef INCIDENT_H
#define INCIDENT_H

#include "scan.h"

#include <glib.h>

/* One daemon. Texts are bytes of strangers. */
struct incident {
	const struct format *format;
	char *daemon;          /* "qmgr" */
	unsigned deaths;       /* in the time that was looked at */
	bool crashed;          /* by a signal, or the service went down with it; else it gave up */
	unsigned signal;       /* 0: none, or not said */
	gint64 last;           /* seconds since 1970, 0 = not known */
	char *said;            /* its last words; may be empty */
	char *source;          /* "journal", or the log's path */

	char *id;              /* the message; NULL: nobody knows */
	bool by_log;           /* the log names it; else the only clue is that it was found damaged */
	char *spool;           /* where it was found damaged; NULL: it was not */
	const char *finding;   /* the name of that */
	bool gone;             /* it is in no queue that was examined (any more) */
	unsigned others;       /* messages that would do the same */
};

struct incidents {
	GPtrArray *all;        /* struct incident, most deaths first */

	GHashTable *damaged;   /* FORMAT LF ID -> struct damaged, of all scans */
	GPtrArray *spools;     /* const struct spool, of the scans */
	unsigned scanned;      /* bit per format that has a scan */
	bool of_host;          /* one of them is this host's own spool */
	gint64 now;
};

struct incidents *incidents_new(void);
void incidents_free(struct incidents *in);

/* Take in what a scan found: its messages may turn out to be the cause. The spool has to stay open until incidents_look()
 * is done. */
void incidents_scan(struct incidents *in, const struct scan *scan);

/* How a run remembers what it has seen of a log (output_state_recall(), output_state_remember()). Without, each run looks at the
 * last hour. */
struct log_memory {
	const char *(*recall)(const char *key);
	void (*remember)(const char *key, const char *value);
};

/* Look at the logs: words of the setting mail-log (auto, none, journal, paths). `memory` may be NULL. `failed` is told of a
 * log that was named, or of a journal, which cannot be read. */
void incidents_look(struct incidents *in, char *const *logs, const struct log_memory *memory,
		    void (*failed)(void *arg, const char *log, const char *error), void *arg);

/* Is it a reason to wake somebody? A daemon that gave up once may have had a bad day. */
bool incident_repeats(const struct incident *i);

/* Deaths of daemons of the format. */
guint64 incidents_deaths(const struct incidents *in, const struct format *format);

#endif
