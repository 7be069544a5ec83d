/*
 * metrics.h - figures of a run for Prometheus
 *
 * A file in the text format, for the node exporter's textfile collector: the state of the spools as
 * the last run saw them, so all are gauges. Every series is always there: a verdict that no
 * message has is 0, not absent.
 */
#ifndef METRICS_H
#define METRICS_H

#include "output.h"

struct metrics;

/* An empty collection; metrics_free(). */
struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* Take the figures of one scan. */
void metrics_add(struct metrics *m, const struct scan *scan);

/* Take the deaths of daemons; they have to live until the file is written. */
void metrics_incidents(struct metrics *m, const struct incidents *incidents);

/* Write the file anew: a temporary file beside it, then a rename; mode 0644. False with a sentence
 * in *error_r (g_free) when that fails; what was there is then left as it was. */
bool metrics_write(const struct metrics *m, const struct totals *totals, const char *path,
		   char **error_r);

#endif
