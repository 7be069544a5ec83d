/*
 * learn_run.h - the confined process that learns layouts and tries them
 *
 * Texts and streams are handed over in sealed memory and looked at in the child only, which has no other descriptor
 * than its channel. What it answers is text and numbers, and is not believed further than it can be checked.
 */
#ifndef LEARN_RUN_H
#define LEARN_RUN_H

#include "learn.h"

/* What the child says of message i when it tries a layout. */
struct learn_verdict {
	uint16_t finding;          /* the worst; F_COUNT = there is none */
	uint8_t severity;
	uint32_t offset, length;   /* in the stream */
};

#define LEARN_ANSWER_TEXT 8192

struct learn_answer {
	int32_t error;             /* negative errno of a step that failed, what: which */
	char what[60];
	struct learned learned;
	struct learn_verdict verdicts[LEARN_MESSAGES];
	char text[LEARN_ANSWER_TEXT]; /* layout_text() */
};

struct learn_run;

/* Start the child, before the messages that are added are read. NULL with *why_r (g_free). */
struct learn_run *learn_start(char **why_r);

/* Add one message: at most LEARN_TEXT and LEARN_STREAM bytes, at most LEARN_MESSAGES times. 0 or a negative errno. */
int learn_add(struct learn_run *run, const void *text, size_t text_len, const void *stream, size_t size);

/* Let the child learn from them, or try `given` on them when it is not NULL; ends it, and frees `run`. False with
 * *why_r (g_free). After true *layout_r, when the learned.end is LEARN_OK or LEARN_UNSURE, is what it learned, not confirmed. */
bool learn_finish(struct learn_run *run, const struct layout *given, struct learn_answer *answer_r,
		  struct layout *layout_r, char **why_r);

#endif
