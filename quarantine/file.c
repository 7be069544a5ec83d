/*
 * file.c - files by descriptor
 *
 * Promises: a name is looked up in a held directory, below a held root, and no
 * symbolic link is ever followed there; nothing that exists is ever replaced;
 * no FIFO or device can make a call wait.
 * Never: interprets content, changes content, removes anything (its callers
 * remove what is theirs).
 * Fails: a negative errno value; the file is then as it was.
 */
#include "config.h"

#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int q_fail(struct q_error *err, int errnum, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		vsnprintf(err->text, sizeof err->text, fmt, ap);
		va_end(ap);
	}
	return errnum > 0 ? -errnum : errnum;
}

/* The end of a path, for a sentence that has 512 bytes. */
const char *q_tail(const char *path)
{
	size_t len = strlen(path);

	return len > 160 ? path + len - 160 : path;
}

void file_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

bool file_same_inode(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Below a root: not empty, not absolute, no empty component, no "." or "..". */
bool file_path_sane(const char *path)
{
	size_t len = strlen(path);

	if (len == 0 || len > Q_PATH_MAX)
		return false;
	for (;;) {
		size_t n = strcspn(path, "/");

		if (n == 0 || n > 255 || (n == 1 && path[0] == '.') ||
		    (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (!path[n])
			return true;
		path += n + 1;
	}
}

const char *file_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Component by component, for kernels and sandboxes without openat2(). */
static int dir_walk(int root, const char *path)
{
	int at = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	while (at >= 0 && *path) {
		size_t n = strcspn(path, "/");
		char *name = g_strndup(path, n);
		int next = openat(at, name,
				  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		int saved = errno;

		g_free(name);
		close(at);
		errno = saved;
		at = next;
		path += n + (path[n] == '/');
	}
	return at < 0 ? -errno : at;
}

/* The directory `path` below root; "" is root itself. A descriptor or -errno. */
int file_open_dir(int root, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	/* EAGAIN: something was renamed while the kernel looked for "..". */
	for (unsigned tries = 0; tries < 64; tries++) {
		fd = syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR)
			break;
	}
	/* Some sandboxes answer EPERM to every call that they do not know. */
	if (errno == ENOSYS || errno == EPERM || errno == EAGAIN)
		return dir_walk(root, path);
	return -errno;
}

int file_open_parent(int root, const char *path)
{
	const char *base = file_base(path);
	char *parent = base == path ? g_strdup("") : g_strndup(path, (size_t)(base - path - 1));
	int fd = file_open_dir(root, parent);

	g_free(parent);
	return fd;
}

/* A regular file for reading. -ESTALE when something else has the name. The
 * look before the open keeps devices from being opened at all. */
int file_open_regular(int dir, const char *name, struct stat *st_r)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd, rc;

	if (fstatat(dir, name, st_r, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (!S_ISREG(st_r->st_mode))
		return Q_ESTALE;
	fd = openat(dir, name, flags | O_NOATIME);
	if (fd < 0 && errno == EPERM) /* not our file: its atime will show the visit */
		fd = openat(dir, name, flags);
	if (fd < 0)
		return errno == ELOOP ? Q_ESTALE : -errno;
	rc = fstat(fd, st_r) ? -errno : S_ISREG(st_r->st_mode) ? 0 : Q_ESTALE;
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

/* Some file systems cannot sync a directory and say EINVAL: they have nothing to offer. */
int file_sync(int fd)
{
	int rc;

	do
		rc = fsync(fd);
	while (rc && errno == EINTR);
	return !rc || errno == EINVAL || errno == ENOTSUP ? 0 : -errno;
}

/*
 * Rename, replacing nothing. Where the file system has no RENAME_NOREPLACE:
 * into a directory of our own (to_private) a look and a plain rename will do,
 * nobody else puts names there; into the spool link() refuses what exists, and
 * the name that is then removed is the one in our own directory. Never is a
 * name in the spool unlinked: it could have become another file's.
 */
int file_rename_new(int fromdir, const char *from, int todir, const char *to, bool to_private)
{
	struct stat st;

	if (!renameat2(fromdir, from, todir, to, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (!to_private) {
		if (linkat(fromdir, from, todir, to, 0) || unlinkat(fromdir, from, 0))
			return -errno;
		return 0;
	}
	if (!fstatat(todir, to, &st, AT_SYMLINK_NOFOLLOW))
		return -EEXIST;
	if (errno != ENOENT || renameat(fromdir, from, todir, to))
		return -errno;
	return 0;
}

static int write_new(int dir, const char *name, const void *data, size_t len)
{
	const char *p = data;
	int rc = 0;
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	while (len > 0 && !rc) {
		ssize_t n = write(fd, p, len);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (n == 0 || errno != EINTR) {
			rc = n == 0 ? -ENOSPC : -errno;
		}
	}
	if (!rc)
		rc = file_sync(fd);
	if (close(fd) && !rc && errno != EINTR)
		rc = -errno;
	if (rc)
		unlinkat(dir, name, 0);
	return rc;
}

/* A new file, complete and on the disk, or none. The directory is the caller's to sync. */
int file_write(int dir, const char *name, const void *data, size_t len, struct q_error *err)
{
	int rc = write_new(dir, name, data, len);

	if (reserve_helps(rc) && !reserve_write(dir, name, data, len))
		rc = 0;
	return rc ? q_fail(err, rc, "cannot write %s into the store: %s; make room or choose "
			   "another store", name, g_strerror(-rc)) : 0;
}

/* All of a file of ours; one byte beyond len_r is NUL. -EFBIG beyond max. */
int file_read(int dir, const char *name, size_t max, char **data_r, size_t *len_r)
{
	struct stat st;
	char *data = NULL;
	size_t have = 0;
	int rc = 0;
	int fd = file_open_regular(dir, name, &st);

	if (fd < 0)
		return fd;
	if ((uint64_t)st.st_size > max) {
		rc = -EFBIG;
		goto out;
	}
	data = g_malloc((size_t)st.st_size + 1);
	while (have < (size_t)st.st_size) {
		ssize_t n = read(fd, data + have, (size_t)st.st_size - have);

		if (n == 0)
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rc = -errno;
			goto out;
		}
		have += (size_t)n;
	}
	data[have] = '\0';
	*data_r = data;
	*len_r = have;
	data = NULL;
out:
	g_free(data);
	close(fd);
	return rc;
}

/* SHA-256 of the held file, in hex. -ESTALE when it was written to meanwhile. */
int file_digest(int fd, char hex[65])
{
	struct stat before, after;
	GChecksum *sum = NULL;
	unsigned char *buf = NULL;
	const size_t bufsize = 256 * 1024;
	uint64_t at = 0;
	int rc = 0;

	if (fstat(fd, &before))
		return -errno;
	if ((uint64_t)before.st_size > Q_HASH_MAX)
		return -EFBIG;
	sum = g_checksum_new(G_CHECKSUM_SHA256);
	buf = g_malloc(bufsize);
	while (at < (uint64_t)before.st_size) {
		ssize_t n = pread(fd, buf, bufsize, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = -errno;
		if (n <= 0)
			break;
		g_checksum_update(sum, buf, n);
		at += (uint64_t)n;
	}
	if (!rc && fstat(fd, &after))
		rc = -errno;
	if (!rc && (at != (uint64_t)before.st_size || before.st_size != after.st_size ||
		    before.st_mtim.tv_sec != after.st_mtim.tv_sec ||
		    before.st_mtim.tv_nsec != after.st_mtim.tv_nsec ||
		    before.st_ctim.tv_sec != after.st_ctim.tv_sec ||
		    before.st_ctim.tv_nsec != after.st_ctim.tv_nsec))
		rc = Q_ESTALE;
	if (!rc)
		g_strlcpy(hex, g_checksum_get_string(sum), 65);
	g_free(buf);
	g_checksum_free(sum);
	return rc;
}
