/*
 * serverlock.c - record locks and flock, as the formats describe them
 *
 * fcntl locks are taken as open file description locks: a plain one would vanish as
 * soon as any other descriptor of the same file is closed in this process.
 */
#include "config.h"

#include "serverlock.h"

#include "beneath.h"
#include "bounds.h"
#include "names.h"
#include "partpath.h"
#include "proc_locks.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Open the part that is locked, wherever it lies. -ENOENT: nowhere, and `path` is where it was looked for last. */
static int open_locked(const struct spool *spool, const struct outcome *o, int flags, char path[PATH_MAX])
{
	const struct format *f = spool->format;

	for (unsigned depth = 0; depth <= DEPTH_MAX; depth++) {
		int fd;

		if (!part_path(f, &spool->site, o->place, f->lock.role, o->id, strlen(o->id), depth, o->path, path,
			       PATH_MAX))
			break;
		fd = open_beneath(spool->root, path, flags);
		if (fd != -ENOENT)
			return fd;
	}
	return -ENOENT;
}

static uint64_t locked_bytes(const struct lock *lock, const struct outcome *o)
{
	return lock->length != NULL ? lock->length(o->id, strlen(o->id)) : 0;
}

/* The part that is locked is not there: has somebody unlinked it who holds the lock still? Exim does so to the text
 * of a message that is done, and then unlinks the rest. Where that cannot be told, perhaps. */
static bool is_unlinked(const struct lock *lock, const struct outcome *o, const char *path)
{
	return proc_locks_unlinked(base_of(path), locked_bytes(lock, o)) != 0;
}

static int take_fcntl(int fd, const struct lock *lock, const struct outcome *o)
{
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
			       .l_len = (off_t)locked_bytes(lock, o) };

	if (fcntl(fd, F_OFD_SETLK, &range) == 0)
		return 0;
	return errno == EACCES || errno == EAGAIN ? -EWOULDBLOCK : -errno;
}

int server_lock(const struct spool *spool, const struct outcome *o)
{
	const struct lock *lock = &spool->format->lock;
	char path[PATH_MAX] = "";
	int fd = lock->kind == LOCK_NONE ? -ENOENT : open_locked(spool, o, O_RDWR | O_NONBLOCK | O_NOCTTY, path);
	int ret = 0;

	if (fd == -ENOENT && lock->kind != LOCK_NONE && is_unlinked(lock, o, path))
		return -EWOULDBLOCK;
	if (fd == -ENOENT)
		return fcntl(spool->root, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return fd;
	if (lock->kind != LOCK_FCNTL && flock(fd, LOCK_EX | LOCK_NB) < 0)
		ret = -errno;
	else if (lock->kind != LOCK_FLOCK)
		ret = take_fcntl(fd, lock, o);
	if (ret == 0)
		return fd;
	close(fd);
	return ret;
}

/* --- Asking who has it ------------------------------------------------------------- */

/* Does somebody hold the lock? */
static bool is_held(const struct spool *spool, const struct outcome *o)
{
	char path[PATH_MAX] = "";
	int fd = open_locked(spool, o, O_PATH, path);
	struct stat st;
	bool held;

	if (fd == -ENOENT)
		return is_unlinked(&spool->format->lock, o, path);
	if (fd < 0)
		return false;
	held = fstat(fd, &st) == 0 && proc_locks_exclusive(st.st_dev, st.st_ino) > 0;
	close(fd);
	return held;
}

/* Is the anchor still the file that was checked? */
static bool is_unchanged(const struct spool *spool, const struct outcome *o)
{
	struct reach_part part;
	struct file_facts now;
	bool same;

	if (reach_path(&spool->reach, spool->root, o->path, O_PATH, &part) < 0)
		return false;
	same = reach_facts(&part, &now) == 0 && facts_same(&o->facts, &now);
	reach_close(&part);
	return same;
}

static bool is_passing(const struct format *format, unsigned id)
{
	for (const enum finding_id *p = format->passing; p != NULL && *p != F_COUNT; p++)
		if (*p == id)
			return true;
	return false;
}

/* Is the verdict owed to such findings alone? Damage of another kind counts whoever has the message locked: a
 * delivery can take hours. */
static bool looks_removed(const struct format *format, const struct report *r)
{
	unsigned worst = SEV_NOTICE;

	for (unsigned i = 0; i < r->count; i++)
		worst = MAX(worst, r->findings[i].severity);
	for (unsigned i = 0; i < r->count; i++)
		if (r->findings[i].severity == worst && !is_passing(format, r->findings[i].id))
			return false;
	return worst > SEV_NOTICE;
}

/* In this order: who takes a message away gives its lock back last, so when the lock is free and the anchor is there
 * afterwards nobody was at it when it was checked, either. */
bool server_is_removing(const struct spool *spool, const struct outcome *o, const struct report *r)
{
	return looks_removed(spool->format, r) && (is_held(spool, o) || !is_unchanged(spool, o));
}
