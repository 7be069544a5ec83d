/*
 * lane.h - a reader and its worker: names go in, facts and answers come out
 *
 * A lane is a process of its own (the reader) that opens, stats and copies
 * files and interprets nothing, with one confined worker at a time. The
 * coordinator sends jobs (names of one directory) and gets one result for each
 * name, in any order, and a last one for the job. A hung disk hangs a reader,
 * never the coordinator.
 */
#ifndef LANE_H
#define LANE_H

#include "ages.h"
#include "format.h"
#include "bounds.h"
#include "reach.h"
#include "worker.h"

#include <sys/types.h>
#include <time.h>

/* What became of one name. */
enum lane_status {
	LANE_REPORT,    /* the answer is a report */
	LANE_ROW,       /* the answer is a row of a listing; more follow */
	LANE_RUN,       /* the answer is a run of text; more follow */
	LANE_TEXT,      /* the answer is text itself, of a part that no file holds; more follow */
	LANE_ROWS_END,
	LANE_BUSY,      /* still being written by the server */
	LANE_FOREIGN,   /* not a regular file */
	LANE_CHANGED,   /* altered while it was read, twice */
	LANE_GONE,      /* not there any more, nor where it could have gone */
	LANE_UNCHECKED, /* see `why` and `error` */
	LANE_JOB_DONE,  /* every name of the job has its result, or is one of `clean` */
};

/* Why a message is unchecked. */
enum unchecked {
	UNCHECKED_OPEN,     /* error: errno */
	UNCHECKED_READ,     /* error: errno, at `offset` */
	UNCHECKED_STREAM,   /* a named stream cannot be seen whole in the way that streams are reached */
	UNCHECKED_TOO_BIG,  /* a part that has to be read whole is larger than WHOLE_MAX */
	UNCHECKED_BUDGET,   /* its pointers would have us read it over and over */
	UNCHECKED_DIED,     /* the worker died on it */
	UNCHECKED_HUNG,     /* the worker did not answer before the deadline */
	UNCHECKED_GARBAGE,  /* the worker's answer does not parse */
	UNCHECKED_WORKER,   /* no worker could be started */
	UNCHECKED_READER,   /* the reader died or hangs in the file system */
	UNCHECKED_TIME,     /* damaged at the first look, and no time was left for the second */
};

/* What became of the second look, into the text. */
enum deep_status {
	DEEP_NONE,      /* not asked for */
	DEEP_DONE,      /* what it says lies behind the answer */
	DEEP_CONTENTS,  /* the same, but its text was not read: it is corrupt as it is */
	DEEP_UNCHECKED, /* see `deep_why`; the structural verdict stands */
};

struct lane_job {
	uint32_t seq;       /* lanes.c numbers them */
	uint32_t tag;       /* the caller's own, given back with each result */
	uint8_t place;
	uint8_t depth;      /* levels of hash directories in `dir` */
	uint8_t verb;       /* enum lane_verb */
	uint8_t role;       /* which part the names are of; not 0: it is read without its message */
	bool force;         /* even if it looks unfinished */
	bool deep;          /* VERB_CHECK: look into the text, too */
	bool brief;         /* messages without a finding are only counted */
	bool fresh;         /* by a worker that has seen nothing and will see nothing else */
	uint16_t count;     /* names */
	uint16_t bytes;     /* of the strings that follow: dir, then the names, each terminated */
};

struct lane_result {
	uint32_t seq;
	uint16_t index;     /* of the name in its job */
	uint8_t status;     /* enum lane_status */
	uint8_t why;        /* enum unchecked */
	uint8_t deep;       /* LANE_REPORT: enum deep_status */
	uint8_t deep_why;   /* enum unchecked */
	uint8_t place;      /* where the message was found, maybe not where it was listed */
	int32_t error;
	uint32_t clean;     /* LANE_JOB_DONE: messages without a finding, facts.size bytes in all */
	uint16_t ages[AGES];/* ... and how many of them have which age */
	uint64_t offset;
	struct file_facts facts;
	uint32_t path_len;  /* bytes that follow: path below the spool's root, terminated */
	uint32_t answer_len;/* then the answer of the worker */
	uint32_t deep_len;  /* then that of the deep pass */
};

/* What a lane serves; copied at start. */
struct lane_config {
	const struct format *format;
	unsigned format_index;  /* in formats[] */
	struct site site;
	int root;               /* descriptor of the spool's root */
	int zygote;
	const struct reach *reach; /* lives as long as the lane */
};

/* Start a lane. Returns the coordinator's end of its socket, or a negative errno. */
int lane_start(const struct lane_config *config, pid_t *pid_r);

#endif
