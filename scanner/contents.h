/*
 * contents.h - what a message's files hold where they should not
 *
 * Runs in a worker, for VERB_DEEP and VERB_CONTENTS. Each file is passed once for blocks that are not its own (blocks.h); what
 * they hold, and what stands where check() found a file corrupt, is named (content.h).
 */
#ifndef CONTENTS_H
#define CONTENTS_H

#include "format.h"

/* Larger files are not looked into. */
#define CONTENTS_MAX (64u << 20)
/* So many blocks of a message are named. */
#define CONTENTS_NAMED 8u

/* Make the window of the part `role` begin at `off` (below its size), with WINDOW_MAX bytes or as many as
 * there are. */
typedef const struct part *contents_window(void *arg, unsigned role, uint64_t off);

/* Look at all files of the message and add findings to `r`. `checked` is what check() said of them. */
void contents_look(const struct format *format, const struct message *m, const struct report *checked,
		   contents_window *window, void *arg, struct report *r);

#endif
