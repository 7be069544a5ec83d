/*
 * slot.h - one message on its way into lane memory
 *
 * Opens, stats and copies the parts of a message; follows no link, waits for
 * nothing, interprets nothing. Whether the message is there, unfinished or
 * altered meanwhile is read from what the kernel says about the file.
 */
#ifndef SLOT_H
#define SLOT_H

#include "lane.h"
#include "lanemem.h"
#include "reach.h"

#include <limits.h>

/* Where names come from: the job of the lane. */
struct slot_source {
	const struct lane_config *config;
	struct lanemem *mem;
	const char *dir_path; /* of the job, below the root */
	int dir;              /* open, or the negative errno of opening it */
	unsigned place, depth, role;
	bool force;           /* even if it looks unfinished */
	bool fresh;           /* what is found will count: a file has to be the same before and after */
};

struct slot {
	unsigned index;              /* of its name in the job */
	unsigned place;              /* where it was found */
	uint32_t offset;             /* of its struct lane_message in lane memory */
	char path[PATH_MAX];         /* of the anchor, below the root */
	unsigned open;               /* parts that do not fit one window, a bit for each: the message is a stream */
	struct reach_part part[PARTS_MAX]; /* of those that are open */
	struct file_facts facts[PARTS_MAX];
	bool answered;
	uint64_t spent;              /* bytes read for it so far */
};

enum load {
	LOAD_OK,   /* it lies in lane memory; slot_close() it when it has its answer */
	LOAD_FULL, /* no room in lane memory; nothing is left open */
	LOAD_END,  /* it will not be checked: see the result */
};

/* What became of a message that is not checked. */
struct load_end {
	enum lane_status status;
	enum unchecked why;
	int error;
	uint64_t offset;
};

/* Read the message `name` of the source's directory. s->index is the caller's. */
enum load slot_load(struct slot *s, const struct slot_source *src, const char *name,
		    struct load_end *end);

/* Move the window of a stream part. LOAD_OK; LOAD_END when it cannot be read or costs too much;
 * LOAD_FULL when no honest worker would ask that. */
enum load slot_window(struct slot *s, const struct lanemem *mem, const struct want *want,
		      struct load_end *end);

/* Are the files of a stream still what they were when it was loaded? */
bool slot_unchanged(const struct slot *s);

void slot_close(struct slot *s);

#endif
