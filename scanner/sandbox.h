/*
 * sandbox.h - the door that closes behind a worker
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The only descriptor of a worker: its channel to the reader. */
#define WORKER_FD 0

/* Who the workers are. For root a user that owns nothing: "spoolck", else "nobody"; for
 * anybody else the same user. */
struct sandbox_user {
	uid_t uid;
	gid_t gid;
	bool change; /* we are root and have to become it */
};

/* Look the user up; reads the user database, so before any door is closed. */
struct sandbox_user sandbox_user(void);

/* The zygote's share, once: give up root, groups and capabilities for good, no new
 * privileges, no core, not traceable, and with Landlock (*landlock_r = its ABI, 0 =
 * the kernel has none) no way to the file system. 0 or a negative errno with
 * what_r naming the step. */
int sandbox_prepare(const struct sandbox_user *user, int *landlock_r, const char **what_r);

/* The worker's share: limits, then seccomp. From here on it may receive from and send to
 * WORKER_FD, use anonymous memory, and exit; `deep`: and ask how much CPU time it has used. Every other call fails with
 * ENOSYS (a build with -DSPOOLCK_SANDBOX_KILL: kills). 0 or a negative errno. */
int sandbox_close(bool deep, const char **what_r);

#endif
