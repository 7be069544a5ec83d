/*
 * progress.h - the moving line on a terminal
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include "spool.h"

struct progress;

/* NULL (and then nothing is ever shown) unless standard error is a terminal and the run
 * wants it; else the messages are counted first, for the share and the time left, unless *cancelled becomes
 * nonzero. */
struct progress *progress_new(const struct spool *spool, const volatile int *cancelled);

/* The same for `total` of something else: "moving: 12 of 300 messages". `label`, a literal, ends with a blank. */
struct progress *progress_of(const char *label, guint64 total);

/* `done` messages have their result, `damaged` of them a bad one. Shows at most ten lines a second. */
void progress_show(struct progress *p, guint64 done, guint64 damaged);

/* From now on `done` counts from 0 again, of `total` that are looked at for the second time. */
void progress_again(struct progress *p, guint64 total);

/* Wipe whichever line there is, which comes back when there is more to show: somebody is about to print. */
void progress_wipe(void);

/* Wipe the line, and no more of it. */
void progress_free(struct progress *p);

/* --quiet and pipes. */
void progress_disable(void);

#endif
