/*
 * proc_locks.h - who holds locks on files: asked of the kernel, and none is ever taken
 *
 * Source: /proc/locks, proc(5). It shows the locks of processes that are visible from here: of a server
 * in another container, nothing. Of flock() and of fcntl() alike.
 */
#ifndef PROC_LOCKS_H
#define PROC_LOCKS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Does somebody hold a lock, of whatever kind, on a file with this inode? 1 yes, 0 no, -1 that cannot be told.
 * File systems such as btrfs show another device number in /proc/locks than in stat, so the inode decides alone: a
 * "yes" can be wrong. */
int proc_locks_held(ino_t ino);

/* Does somebody hold an exclusive lock on this very file, as stat(2) has it? 1, 0 or -1 as above. A "yes" can be
 * wrong only where one of the devices has no block device behind it. */
int proc_locks_exclusive(dev_t dev, ino_t ino);

/* Has somebody who holds an exclusive fcntl lock on the first `length` bytes of some file (0 = on all of it) a
 * file open that was called `name`, in whatever directory, until it was unlinked? 1, 0 or -1 as above; -1 also
 * when there is such a process and its files are not to be seen (another user's). */
int proc_locks_unlinked(const char *name, uint64_t length);

#endif
