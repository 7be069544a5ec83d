/*
 * copy.c - one file copied whole, or not at all
 *
 * Data with its holes, owner, group, mode, every extended attribute (POSIX ACLs
 * and labels are among them), named streams (streams.c), times in ns. What comes out is on the disk, and
 * the caller compares it with the manifest before it believes it.
 *
 * Promises: the copy has all of it, or there is no copy and the sentence says what
 * could not be kept. Never: follows a link, replaces a file, guesses.
 * Fails: Q_EREFUSED where an attribute cannot be kept; else what the kernel said.
 */
#include "config.h"

#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define XATTR_MAX 65536 /* XATTR_LIST_MAX, XATTR_SIZE_MAX */

static int write_all(int to, const unsigned char *buf, size_t len, off_t at)
{
	while (len > 0) {
		ssize_t n = pwrite(to, buf, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		buf += n;
		len -= (size_t)n;
		at += n;
	}
	return 0;
}

/* Bytes [at, end). */
static int copy_range(int from, int to, off_t at, off_t end, unsigned char *buf, size_t cap)
{
	int rc = 0;

	while (at < end && !rc) {
		size_t want = (size_t)MIN((off_t)cap, end - at);
		ssize_t n = pread(from, buf, want, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : Q_ESTALE;
		rc = write_all(to, buf, (size_t)n, at);
		at += n;
	}
	return rc;
}

/* Data where there is data; a hole stays one. */
int file_copy_data(int from, int to, off_t size)
{
	const size_t cap = 256 * 1024;
	unsigned char *buf = g_malloc(cap);
	off_t at = 0;
	int rc = 0;

	while (at < size && !rc) {
		off_t data = lseek(from, at, SEEK_DATA), end = size;

		if (data < 0 && errno == ENXIO)
			break; /* a hole up to the end */
		if (data < 0)
			data = at; /* a file system that knows no holes */
		else
			end = lseek(from, data, SEEK_HOLE);
		if (end < 0 || end > size)
			end = size;
		rc = copy_range(from, to, data, end, buf, cap);
		at = end;
	}
	if (!rc && ftruncate(to, size))
		rc = -errno;
	g_free(buf);
	return rc;
}

static bool listed(const char *list, ssize_t len, const char *name)
{
	for (const char *n = list; n < list + len; n += strlen(n) + 1)
		if (!strcmp(n, name))
			return true;
	return false;
}

static int cannot_keep(const char *name, const char *what, int errnum, struct q_error *err)
{
	return q_fail(err, errnum == ENOSPC || errnum == EDQUOT || errnum == EIO ? -errnum :
		      Q_EREFUSED, "%s: its attribute %s cannot be kept: %s", q_tail(name), what,
		      g_strerror(errnum));
}

static int copy_xattrs(int from, int to, const char *name, struct q_error *err)
{
	char *list = g_malloc(XATTR_MAX), *more = g_malloc(XATTR_MAX), *value = g_malloc(XATTR_MAX);
	ssize_t len = flistxattr(from, list, XATTR_MAX), extra;
	int rc = 0;

	if (len < 0)
		rc = errno == ENOTSUP ? 0 : cannot_keep(name, "list", errno, err);
	for (const char *n = list; n < list + len && !rc; n += strlen(n) + 1) {
		ssize_t got = fgetxattr(from, n, value, XATTR_MAX);

		if (got < 0 || fsetxattr(to, n, value, (size_t)got, 0))
			rc = cannot_keep(name, n, errno, err);
	}
	/* What the new file inherited from its directory. */
	extra = rc ? 0 : flistxattr(to, more, XATTR_MAX);
	for (const char *n = more; n < more + extra; n += strlen(n) + 1)
		if (!listed(list, len, n))
			fremovexattr(to, n); /* what stays is seen by the comparison */
	g_free(list);
	g_free(more);
	g_free(value);
	return rc;
}

/* Owner first: it takes away setuid bits and capabilities. Times last. */
static int copy_attributes(int from, int to, const char *name, struct q_error *err)
{
	struct timespec times[2];
	struct stat st;
	int rc;

	if (fstat(from, &st))
		return q_fail(err, errno, "cannot look at %s: %s", q_tail(name), g_strerror(errno));
	/* where everything belongs to one user, whatever is asked: the comparison sees what it is */
	if (fchown(to, st.st_uid, st.st_gid) && errno != EOPNOTSUPP)
		return cannot_keep(name, "owner", errno, err);
	if (fchmod(to, st.st_mode & 07777) && errno != EOPNOTSUPP)
		return cannot_keep(name, "mode", errno, err);
	rc = copy_xattrs(from, to, name, err);
	if (rc)
		return rc;
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	return futimens(to, times) ? cannot_keep(name, "mtime", errno, err) : 0;
}

/* The file `base` in the directory `at`, held as `from`, to dir/name, a new file; on the disk when this
 * returns 0. */
int file_copy(int at, const char *base, int from, int dir, const char *name, struct q_error *err)
{
	struct stat st;
	int to, rc = fstat(from, &st) ? -errno : 0;

	if (!rc && st.st_nlink > 1)
		return q_fail(err, Q_EREFUSED, "%s has %lu names, and the others would be left "
			      "behind", q_tail(name), (unsigned long)st.st_nlink);
	to = rc ? rc : openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return q_fail(err, rc ? rc : errno, "cannot make a copy of %s: %s", q_tail(name),
			      g_strerror(rc ? -rc : errno));
	rc = file_copy_data(from, to, st.st_size);
	if (rc)
		q_fail(err, rc, "cannot copy %s: %s", q_tail(name), g_strerror(-rc));
	else
		rc = streams_copy(at, base, from, dir, name, to, err);
	if (!rc)
		rc = copy_attributes(from, to, name, err); /* behind the streams, which change its times */
	if (!rc && (rc = file_sync(to)))
		q_fail(err, rc, "cannot write the copy of %s: %s", q_tail(name), g_strerror(-rc));
	/* so that the comparison reads the disk where it can */
	posix_fadvise(to, 0, 0, POSIX_FADV_DONTNEED);
	close(to);
	if (rc) {
		unlinkat(dir, name, 0);
		streams_remove(dir, name);
	}
	return rc;
}
