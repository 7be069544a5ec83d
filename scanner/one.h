/*
 * one.h - one message of a spool, by a worker that sees nothing else
 */
#ifndef ONE_H
#define ONE_H

#include "lanes.h"
#include "scan.h"
#include "settings.h"

/* The place of a path below the root, with the levels of hash directories; -1 = none. */
int one_place(const struct format *format, const char *path, unsigned *depth_r);

/* Open the spool `name` (spools_open_one()), or the one inside of it that holds a message `id`. */
struct spool *one_spool(const struct settings *settings, const char *name, const char *id,
			char **error_r);

/* Check the message of `o` (place, path): fills in facts, report, verdict and impact. False with o->why
 * and o->error when it could not be checked. */
bool one_check(const struct spool *spool, int zygote, struct outcome *o);

/* Ask a lane of its own about the message at `path` in `place`; `result` is called as by lanes.h. Returns 0 or
 * a negative errno when no reader could be started. */
int one_ask(const struct spool *spool, int zygote, unsigned place, const char *path,
	    enum lane_verb verb, lanes_result *result, void *arg);

#endif
