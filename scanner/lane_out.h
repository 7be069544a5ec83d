/*
 * lane_out.h - what goes from a reader to the coordinator
 *
 * Results are gathered until a frame is full or the job is done. Messages without a finding are only counted, when the
 * job says so. When the channel fails the reader exits: nobody is left to tell.
 */
#ifndef LANE_OUT_H
#define LANE_OUT_H

#include "lane.h"
#include "slot.h"
#include "wire.h"

/* What became of the deep pass, and what it said; NULL = nothing. */
struct deep_end {
	enum deep_status status;
	enum unchecked why;
	const struct answer *said;
};

/* Once, before the first job: the channel, and the time from which ages count. */
void out_open(int coordinator, int64_t now);

/* A job begins: nothing is counted. */
void out_job(uint32_t seq);

/* The result of a slot: an answer (NULL = an end without one), and what a deep pass adds (NULL = there was none). All is
 * copied. */
void out_result(const struct slot *s, const struct load_end *end, const struct answer *answer,
		const struct deep_end *deep);

/* Count a message of `size` bytes without a finding, that arrived then (seconds since 1970). */
void out_clean(int64_t arrival, uint64_t size);

/* Send what was gathered: what comes next may take so long that the reader would seem to hang. */
void out_send(void);

/* Tell that the job is done, and send everything. */
void out_done(void);

#endif
