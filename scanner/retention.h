/*
 * retention.h - what the quarantine may hold, and for how long
 *
 * Off unless the configuration says otherwise. Never removed are entries that an operator keeps, and entries
 * younger than a day, whatever is configured: nobody can have looked at those, and what a run has just
 * moved must not be lost to make room for itself.
 */
#ifndef RETENTION_H
#define RETENTION_H

#include "quarantine.h"

#include <glib.h>

#define RETENTION_MIN (G_GINT64_CONSTANT(86400) * G_USEC_PER_SEC)

struct retention {
	gint64 retain;   /* µs that an entry stays, 0 = for ever */
	gint64 max_size; /* bytes that all entries may take on disk, 0 = any number */
};

/* Is there anything to do? */
gboolean retention_is_on(const struct retention *r);

/* Tell the store how much may still be moved into it: what max_size leaves, with what
 * retention_apply() would purge. Looks at each entry's files; does nothing without max_size. */
void retention_limit(const struct retention *r, struct q_store *store);

struct retained {
	guint64 purged, bytes; /* entries removed, and what they took */
	guint64 expired;       /* records of accepted messages that ended */
};

/* Purge what is older than `retain`, then the oldest until max_size holds; remove acceptances that have
 * expired. Each entry that goes is logged. `told` (may be NULL) gets the name of every entry that went and, with
 * error set, a sentence for each that could not go. Ends early at `deadline` (monotonic µs, 0 = none) and when the
 * run is cancelled. Returns the number of failures. */
typedef void retention_told(void *arg, const char *entry, const char *error);
unsigned retention_apply(const struct retention *r, struct q_store *store, gint64 deadline,
			 retention_told *told, void *arg, struct retained *done_r);

#endif
