/*
 * supervise.h - children that may hang, and a parent that does not
 *
 * Each child is a process group of its own whose standard output, standard error and news are pipes to this
 * process; of what this process has open it gets nothing else. Whatever a child touches, a dead disk or a
 * hung mount, can stop that child and nobody else: this side waits for pipes and clocks only, and gives a
 * child up that does not even die.
 */
#ifndef SUPERVISE_H
#define SUPERVISE_H

#include <glib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A child's life: its exit status. `news` is a pipe for what is not meant for people. */
typedef int ward_main(void *arg, int news);

struct ward {
	/* Set by the caller. */
	ward_main *main;
	void *arg;
	void (*news)(struct ward *ward, const void *bytes, size_t len); /* some of it has come */

	/* The outcome. */
	int status;    /* as it exited; meaningful when `ended` */
	bool ended;    /* it exited of its own accord */
	bool late;     /* it had to be ended, or given up, or time was spent before it began */
	bool given_up; /* ... and did not even die: it hangs in the kernel */
	int sig;       /* a signal that is not ours ended it */
	int error;     /* errno: it could not be started */

	/* The supervisor's own. */
	pid_t pid;
	bool begun, gone;
	struct ward_pipe {
		int fd;
		size_t len;
		char *bytes;
	} pipes[3];
};

/* What this process was told meanwhile, and how it was before. */
struct watch {
	sigset_t mask;                 /* as inherited */
	struct sigaction chld, pipe;   /* likewise */
	int fd;                        /* of signals that end a process */
	int told;                      /* one that came, 0 = none */
	gint64 deadline;               /* monotonic µs: until then a reader of ours may be slow */
	bool deaf[3];                  /* ... and those who were slower get nothing more */
};

/* Take the signals in hand, and put everything back as it was found. 0 or a negative errno. */
int watch_begin(struct watch *watch);
void watch_end(struct watch *watch);

/* Run the wards, `at_once` at a time. At watch->deadline, or when a signal says so, those that are
 * left get SIGTERM; WARD_GRACE_MS later they are killed, each with its group; WARD_DEATH_MS later they are given
 * up. What a ward printed is passed on when it is done, or when there is much of it; its standard error goes to
 * the system log, too. */
#define WARD_GRACE_MS 400
#define WARD_DEATH_MS 200
void supervise(struct watch *watch, struct ward *wards, unsigned count, unsigned at_once);

/* Write to descriptor 1 or 2. Whoever reads there may take until watch->deadline, or WARD_TELL_MS when that is
 * over; what is not taken is lost. */
#define WARD_TELL_MS 100
void supervise_write(struct watch *watch, int fd, const char *bytes, size_t len);

#endif
