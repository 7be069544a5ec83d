/*
 * lanes.h - all lanes of a run, seen from the coordinator
 *
 * Jobs go to whichever lane has room; results come back through one function.
 * A lane that dies or hangs is replaced: its names are tried again one at a
 * time, and the one that kills or hangs a lane alone is reported unchecked.
 */
#ifndef LANES_H
#define LANES_H

#include "lane.h"

#include <glib.h>

struct lanes;

/* One result. LANE_JOB_DONE comes here when it counts clean messages. `path` and `answer` (behind
 * it the deep pass's) are what the lane sent; valid only during the call. */
typedef void lanes_result(void *arg, const struct lane_job *job, const struct lane_result *result,
			  const char *path, const uint8_t *answer);

/* Start `count` lanes (1..LANES_MAX). NULL with *errno_r set when not even one starts. */
struct lanes *lanes_open(const struct lane_config *config, unsigned count, lanes_result *result,
			 void *arg, int *errno_r);

/* Hand out a job: `strings` = directory below the root, then job->count names, each
 * terminated, job->bytes in all. Waits (delivering results) while all lanes are busy. */
void lanes_submit(struct lanes *lanes, struct lane_job job, const char *strings);

/* A job for the single name `name` in `dir`. */
void lanes_submit_one(struct lanes *lanes, struct lane_job job, const char *dir,
		      const char *name);

/* Wait until every job has its results. False when time was up before that. */
bool lanes_drain(struct lanes *lanes);

/* From `deadline` on (monotonic µs, 0 = never) nothing is waited for: jobs without a result are
 * forgotten, submitted ones dropped, readers that are at work killed and replaced. A later deadline begins
 * anew. */
void lanes_until(struct lanes *lanes, gint64 deadline);

/* End the readers. */
void lanes_close(struct lanes *lanes);

#endif
