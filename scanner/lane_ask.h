/*
 * lane_ask.h - a batch of messages in lane memory, and what workers say of it
 *
 * Every message of a batch gets its result (lane_out.h), whatever the workers do: when a batch goes wrong, those
 * still without an answer are asked about one at a time, so that only the guilty one stays
 * unchecked. With `deep` a report is held back until a second worker, which looks into the text of the same lane
 * memory, has answered, or died; meanwhile the next batch can be read and checked.
 */
#ifndef LANE_ASK_H
#define LANE_ASK_H

#include "bounds.h"
#include "lanemem.h"
#include "slot.h"

/* A report that waits for the deep pass. */
struct held {
	uint32_t len;                /* 0 = there is none */
	bool good;                   /* sound enough to look inside */
	bool clean;                  /* without a finding */
	uint8_t bytes[ANSWER_MAX];
};

/* Messages whose bytes lie in one half of lane memory. */
struct batch {
	struct lanemem *mem;
	unsigned count;
	struct slot slots[BATCH_MAX];
	struct held held[BATCH_MAX];
};

/* Once, before the first job: where workers come from. */
void ask_open(int zygote);

/* A job begins; it stays the caller's and lives as long as its batches. A `fresh` one gets fresh workers. */
void ask_job(const struct lane_job *job);

/* The job is done: the workers of a `fresh` one go. */
void ask_job_end(void);

/* Ask the job's verb about the batch. With `deep`, reports are held back; other messages have their results. */
void ask_batch(struct batch *b);

/* Have the texts looked into whose reports were held back. The batch belongs to the worker until ask_inside_end(). Only
 * one at a time. */
void ask_inside(struct batch *b);

/* Wait until the batch that is being looked into, if there is one, has all its results. */
void ask_inside_end(void);

#endif
