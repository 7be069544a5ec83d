/*
 * progress.h - the moving line on a terminal
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include "spool.h"

struct progress;

/* NULL (and then nothing is ever shown) unless standard error is a terminal and the run
 * wants it; else the names are counted first, for the share and the time left. */
struct progress *progress_new(const struct spool *spool);

/* `done` messages have their result. Shows at most ten lines a second. */
void progress_show(struct progress *p, guint64 done);

/* Wipe the line. */
void progress_free(struct progress *p);

/* --quiet and pipes. */
void progress_disable(void);

#endif
