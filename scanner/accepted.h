/*
 * accepted.h - messages that an operator accepted as they are
 */
#ifndef ACCEPTED_H
#define ACCEPTED_H

#include "quarantine.h"
#include "scan.h"

/* Mark the outcomes of a scan that stand in accepted/: they are shown, and neither moved nor counted
 * as left. */
void accepted_apply(struct scan *scan);

/* Does one stand there for this outcome, which has a report? Looked up anew; marks nothing. */
bool accepted_is(const struct scan *scan, const struct outcome *o);

/* What a new record says. `findings`: objects with a "name", as json_findings() makes them. */
struct accept {
	const char *spool, *format, *id;
	const json_t *findings;
	bool forced;
	gint64 seconds; /* until it expires, 0 = never */
	const char *reason;
	struct q_print print;
};

int accepted_write(struct q_store *store, const struct accept *a, struct q_error *err);

/* Does one of these findings stop the server? */
bool findings_stop_server(const json_t *findings);

#endif
