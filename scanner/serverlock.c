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
#include "partpath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Open the part that is locked, wherever it lies. */
static int open_locked(const struct spool *spool, const struct outcome *o)
{
	const struct format *f = spool->format;

	for (unsigned depth = 0; depth <= DEPTH_MAX; depth++) {
		char path[PATH_MAX];
		int fd;

		if (!part_path(f, &spool->site, o->place, f->lock.role, o->id, strlen(o->id), depth, o->path, path,
			       sizeof path))
			break;
		fd = open_beneath(spool->root, path, O_RDWR | O_NONBLOCK | O_NOCTTY);
		if (fd != -ENOENT)
			return fd;
	}
	return -ENOENT;
}

static int take_fcntl(int fd, const struct lock *lock, const struct outcome *o)
{
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (lock->length != NULL)
		range.l_len = (off_t)lock->length(o->id, strlen(o->id));
	if (fcntl(fd, F_OFD_SETLK, &range) == 0)
		return 0;
	return errno == EACCES || errno == EAGAIN ? -EWOULDBLOCK : -errno;
}

int server_lock(const struct spool *spool, const struct outcome *o)
{
	const struct lock *lock = &spool->format->lock;
	int fd = lock->kind == LOCK_NONE ? -ENOENT : open_locked(spool, o);
	int ret = 0;

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
