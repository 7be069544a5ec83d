/*
 * scan.h - one spool examined: what was found, what was done
 */
#ifndef SCAN_H
#define SCAN_H

#include "deep.h"
#include "lane.h"
#include "retention.h"
#include "severity.h"
#include "spool.h"

#include <glib.h>

enum verdict {
	VERDICT_OK,
	VERDICT_NOTED,
	VERDICT_SUSPECT,
	VERDICT_CORRUPT,
	VERDICT_BUSY,
	VERDICT_CHANGED,
	VERDICT_FOREIGN,
	VERDICT_UNCHECKED,
	VERDICT_COUNT
};

/* The word of the report and of JSON. */
const char *verdict_name(enum verdict v);

enum policy { MOVE_NOTHING, MOVE_FATAL, MOVE_CORRUPT }; /* -n, -p, -y */

enum action { ACTION_NONE, ACTION_PLANNED, ACTION_MOVED, ACTION_REFUSED, ACTION_FAILED };
const char *action_name(enum action a);

/* Exit status, bits as in fsck(8). */
enum {
	EXIT_MOVED = 1,
	EXIT_TELL_SERVER = 2,
	EXIT_LEFT = 4,
	EXIT_FAILED = 8,
	EXIT_USAGE = 16,
	EXIT_CANCELLED = 32,
};

/* One message that is worth keeping, or (id NULL) something about the spool itself. */
struct outcome {
	enum verdict verdict;
	enum impact impact;           /* the worst of its corrupt findings, else of all */
	unsigned place;
	char *id;                     /* bytes, terminated; NULL: about the spool */
	char *path;                   /* below the root */
	struct file_facts facts;      /* when it was checked last */
	struct report *report;        /* NULL unless it was read */
	struct deep *deep;            /* what is inside; NULL: nobody looked, or could. Its findings are in `report` */
	bool deep_unchecked;          /* somebody tried: see deep_why; the verdict stands */
	enum unchecked deep_why;
	enum unchecked why;           /* when VERDICT_UNCHECKED */
	int error;
	uint64_t offset;
	enum action action;
	char *reason;                 /* of the action, for people */
	bool held;                    /* refused by decide(), which may think again */
	bool accepted;                /* by an operator: left alone */
	bool told;                    /* its findings were told while the scan ran */
	char *entry;                  /* in the store, when moved */
};

void outcome_free(struct outcome *o);

struct tally {
	guint64 messages, verdicts[VERDICT_COUNT], moved, bytes;
	guint64 deep_unchecked;          /* verdict known, but could not be looked into */
	guint64 accepted[VERDICT_COUNT]; /* of these, left alone because an operator said so */
	guint64 ages[AGES]; /* of what could be read; ages_class() */
};

struct scan;
/* What is told while the scan runs. */
typedef void scan_passing(void *arg, const struct scan *scan, const struct outcome *o);

struct scan_options {
	enum policy policy;
	bool unattended;              /* the smaller brake, and only tested versions */
	bool brake;                   /* false: --max-move none */
	unsigned max_move;            /* 0 = the default of the brake */
	bool all;                     /* report ok messages, too */
	bool fail_on_suspect;
	bool deep;                    /* look into messages, too; the zygote was started for it */
	unsigned lanes;
	bool staged;                  /* prestart: places in the order of the server's start, each done with
	                               * before the next; what was found is moved even when time runs out */
	gint64 deadline;              /* look no longer than this; monotonic µs, 0 = none */
	gint64 act_until;             /* begin no move after this, wait for no lock; 0 = none */
	const char *store;
	const struct severity_rules *severities; /* NULL: as the findings have it */
	const struct retention *retention;       /* NULL: the store may grow */
	int zygote;
	/* Called for what stops the server as soon as a fresh worker has confirmed it, before the scan is over and
	 * anything is moved, unless an operator has accepted it. Its `told` is the callee's. NULL: nobody is. */
	void (*urgent)(const struct scan *scan, struct outcome *o);
};

struct scan {
	const struct scan_options *options;
	struct spool *spool;
	GPtrArray *outcomes;          /* struct outcome, worst first when the scan is over */
	struct tally tally;
	guint64 noted[F_COUNT];       /* how many messages have this notice as their worst */
	guint64 placed[PLACES_MAX];   /* messages by place, without what is no queue file */
	GPtrArray *notes;             /* char *: what the operator should know about this run */
	uint16_t reached;             /* staged: bit per place that was looked at wholly */
	bool early;                   /* staged: more places are to come */
	bool cut_short;               /* budget spent or cancelled */
	bool failed;                  /* an operational error besides unchecked messages */
	double seconds;
};

/* Examine the spool, and act as the options say. `passing` is called for every message that is not kept (ok
 * and noted), while the scan runs. The scan belongs to the caller (scan_free); the spool stays the caller's and
 * has to outlive it. */
struct scan *scan_run(struct spool *spool, const struct scan_options *options,
		      scan_passing *passing, void *arg);
void scan_free(struct scan *scan);

/* The exit bits of one scan. */
int scan_exit(const struct scan *scan);

/* Set by a signal handler: stop soon, leave everything in order. */
extern volatile int scan_cancelled;

/* The finding that names an outcome: the most severe, then with the worst impact. NULL when
 * there is none. */
const struct finding *outcome_worst(const struct outcome *o);

/* Add what the deep pass found to what the structural one did. */
void outcome_merge(struct report *r, const struct deep *d);

/* Levels of hash directories in which the message lies. */
unsigned outcome_depth(const struct spool *spool, const struct outcome *o);

/* The path below the spool's root of a part of the message (g_free). */
char *outcome_part(const struct spool *spool, const struct outcome *o, unsigned part);

/* What the finding is about; the anchor when the worker named no part of this format. */
const struct role *outcome_role(const struct spool *spool, const struct finding *f);

/* The named stream that the finding is about, as it is configured; "another" for one that is not; NULL: it is about a
 * file. */
const char *outcome_stream(const struct spool *spool, const struct finding *f);

/* Where the message `id` lies now: place, path, id and facts of a new outcome; NULL = nowhere. */
struct outcome *spool_locate(const struct spool *spool, const char *id);

/* decide.c: mark what is to be moved. Pure: looks at the outcomes, the options and the spool's
 * facts only. Sets action (ACTION_PLANNED or ACTION_REFUSED) and reason. May be called again
 * when more is known: what it refused itself is then looked at anew. While scan->early only what stops
 * the server is planned. */
void decide(struct scan *scan);

/* A message that the brake for all runs holds back, or would, because too many have the same finding; NULL = none. */
const struct outcome *decide_alike(const struct scan *scan);

/* act.c: finish what an interrupted run left (acting runs only); move what is planned, and, when the scan
 * is over, what an earlier run left in a lodge. */
void act_recover(struct scan *scan);
void act(struct scan *scan);

#endif
