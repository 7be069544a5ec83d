/*
 * work.h - one scan at work: what scan.c, result.c and whole.c share
 *
 * Nobody else includes this header.
 */
#ifndef WORK_H
#define WORK_H

#include "lanes.h"
#include "progress.h"
#include "scan.h"
#include "seen.h"
#include "walk.h"

#include <limits.h>

struct work {
	struct scan *scan;
	struct lanes *lanes;
	struct seen *seen;
	struct report report;      /* room to decode in */
	struct deep deep;          /* the same */
	GPtrArray *confirm;        /* outcomes that a fresh worker has to confirm */
	scan_passing *passing;
	void *arg;
	struct lane_job job;       /* being filled */
	char strings[JOB_BYTES_MAX];
	size_t used;
	char path[PATH_MAX];       /* room to put a path together */
	guint64 done;
	uint16_t depths[PLACES_MAX]; /* bit per level of hash directories at which messages lie */
	struct progress *progress;
};

/* --- scan.c: names ---------------------------------------------------------- */

/* What the entry `name` of `dir` is; valid until the next call. Its path is in w->path. */
struct name work_name(struct work *w, unsigned place, const char *dir, const char *name);

/* Cancelled, or the budget is spent. */
bool work_time_is_up(const struct scan *scan);

/* --- result.c: what became of a name ------------------------------------------- */

/* What a lane says (lanes_result). */
void work_result(void *arg, const struct lane_job *job, const struct lane_result *result,
		 const char *path, const uint8_t *answer);

/* A new outcome of the file at `path`, without a verdict. */
struct outcome *work_outcome(const struct work *w, const struct lane_result *res, const char *path);

/* Its verdict, from what the lane says (`r`: of LANE_REPORT, else unused). */
void work_settle(const struct work *w, struct outcome *o, enum lane_status status,
		 const struct lane_result *res, const struct report *r);

/* Count it, and keep it for the report; or tell, count and forget it. Both take it over. */
void work_keep(struct work *w, struct outcome *o);
void work_pass(struct work *w, struct outcome *o);

/* The verdict of a report; a copy of it with as many findings as there are (g_free). */
enum verdict work_verdict(const struct report *r);
struct report *work_report(const struct report *r);

/* --- whole.c: the spool as a whole ------------------------------------------------ */

/* A second file with the same id? The set of ids holds hashes, so look. */
void whole_duplicate(struct work *w, unsigned place, const char *dir, const struct walk_name *n,
		     const struct name *name);

/* Parts of messages that no walk has met (for walk_place()). */
bool whole_companions(void *arg, unsigned place, unsigned depth, const char *dir,
		      const struct walk_name *names, size_t n);

/* Directories that have to be there, of place `p`; as the server wants them; places whose messages lie at
 * several depths. */
void whole_place(struct work *w, unsigned p);
void whole_directories(struct work *w);
void whole_depths(struct work *w);

#endif
