/*
 * restart.h - stop a server for the moves that need that, and start it again
 *
 * Never leaves it stopped: before it is stopped, systemd itself is given the order to start it in some minutes, which is
 * taken back when the start is done. So it starts even if this process is killed, or hangs, in between. At most twice
 * an hour for each unit, which the store remembers (restarts: lines of time and unit).
 */
#ifndef RESTART_H
#define RESTART_H

#include "spool.h"

#define RESTART_WORK_SECONDS 60 /* for what is done meanwhile; the caller keeps to it */

struct restart;

/* Stop the spool's server. NULL with *error_r (a phrase, g_free): it runs on, or was started again. */
struct restart *restart_stop(const struct spool *spool, const char *store, char **error_r);

/* The unit that was stopped. */
const char *restart_unit(const struct restart *r);

/* Start it again, and free `r`. NULL, or what went wrong (a sentence, g_free); systemd then tries it once more by itself. */
char *restart_start(struct restart *r);

#endif
