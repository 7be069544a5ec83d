/*
 * reserve.c - directories and blocks put by, so that a full disk does not stop a move
 *
 *     STORE/reserve/NN/   parts.spare/  plan.spare  manifest.json.spare  summary.txt.spare
 *     SPOOL/HIDDEN/spare-NN___.../   where the store is on another file system
 *
 * A move by rename needs two directories and three small files. Where the file system has no
 * room for them one of these is renamed into inflight/ instead, and its files, whose blocks
 * are written already, are overwritten in place: a disk that is full stays
 * usable, and nobody else can take what is needed meanwhile. A spool that is full needs one directory for
 * each lodge; there a spare one is renamed.
 *
 * Promises: Q_RESERVE moves without a free block or inode, on file systems that overwrite
 * in place (ext4, xfs). Never: the cause of a failure; a reserve that cannot be made is
 * simply not there. What it cannot help with: directories (entries/, HIDDEN) that have to grow.
 */
#include "config.h"

#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESERVE "reserve"
#define UNIT_NEW "new"

/* 64 findings with all their texts make a manifest of about 40 KiB. */
static const struct {
	const char *name;
	size_t size;
} files[] = {
	{ Q_FILE_PLAN Q_SPARE, 8192 },
	{ Q_FILE_MANIFEST Q_SPARE, 49152 },
	{ Q_FILE_SUMMARY Q_SPARE, 4096 },
};

bool reserve_helps(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT;
}

/* One unit, complete or taken back; it gets its name when it is complete. */
static int fill_one(int reserve, const char *name)
{
	static const char zeros[49152];
	int dir = -1, rc = mkdirat(reserve, UNIT_NEW, 0700) && errno != EEXIST ? -errno : 0;

	if (!rc)
		dir = openat(reserve, UNIT_NEW, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir >= 0)
		reserve_drop(dir); /* what a crash left */
	if (!rc && (dir < 0 || mkdirat(dir, Q_DIR_PARTS Q_SPARE, 0700)))
		rc = -errno;
	for (size_t i = 0; i < G_N_ELEMENTS(files) && !rc; i++)
		rc = file_write(dir, files[i].name, zeros, files[i].size, NULL);
	if (!rc)
		rc = file_rename_new(reserve, UNIT_NEW, reserve, name, true);
	if (rc && dir >= 0) {
		reserve_drop(dir);
		unlinkat(reserve, UNIT_NEW, AT_REMOVEDIR);
	}
	file_close(&dir);
	return rc;
}

#define SPARE_NAME 100 /* as long as the name of a lodge, so that it takes the same room in HIDDEN */

static void spare_name(char name[SPARE_NAME + 1], unsigned n)
{
	memset(name, '_', SPARE_NAME);
	name[SPARE_NAME] = '\0';
	name[snprintf(name, SPARE_NAME, "spare-%02u", n)] = '_';
}

#define SLACK 2 /* made and removed: a rename makes the new name before it removes the old one */

/* Spare directories where lodges will be. A store on the spool's own file system needs none. */
static void fill_spool(const struct q_store *store, int root, const char *hidden)
{
	struct stat here, there;
	bool far = !fstat(root, &here) && !fstat(store->inflight, &there) && here.st_dev != there.st_dev;
	int parent = file_open_parent(root, hidden), dir, rc = 0;
	char name[SPARE_NAME + 1];

	if (parent >= 0 && far && !mkdirat(parent, file_base(hidden), 0700))
		file_sync(parent);
	dir = parent < 0 ? parent : openat(parent, file_base(hidden),
					   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir >= 0 && store_private_dir(dir, hidden, NULL))
		file_close(&dir);
	for (unsigned n = 0; n < Q_RESERVE + SLACK && dir >= 0 && !rc && far; n++) {
		spare_name(name, n);
		rc = mkdirat(dir, name, 0700) && errno != EEXIST ? -errno : 0;
	}
	for (unsigned n = far ? Q_RESERVE : 0; n < Q_RESERVE + SLACK && dir >= 0; n++) {
		spare_name(name, n);
		unlinkat(dir, name, AT_REMOVEDIR);
	}
	if (dir >= 0)
		file_sync(dir);
	file_close(&dir);
	if (parent >= 0 && !far)
		unlinkat(parent, file_base(hidden), AT_REMOVEDIR); /* stays when something lodges there */
	file_close(&parent);
}

/* A spare directory of HIDDEN gets this name. */
int reserve_lodge(int hidden, const char *name)
{
	int rc = -ENOSPC;

	for (unsigned n = 0; n < Q_RESERVE && rc == -ENOSPC; n++) {
		char spare[SPARE_NAME + 1];

		spare_name(spare, n);
		rc = file_rename_new(hidden, spare, hidden, name, true);
		if (rc == -ENOENT)
			rc = -ENOSPC;
	}
	return rc;
}

/* Make what is missing. Failing is no failure: the next run tries again. */
void q_reserve(struct q_store *store, int root, const char *hidden)
{
	int rc = mkdirat(store->root, RESERVE, 0700) ? -errno : 0;
	int reserve = rc && rc != -EEXIST ? -1 : file_open_dir(store->root, RESERVE);

	if (reserve >= 0 && store_private_dir(reserve, RESERVE, NULL))
		file_close(&reserve);
	rc = 0;
	for (unsigned n = 0; n < Q_RESERVE && reserve >= 0 && !rc; n++) {
		char name[16];
		struct stat st;

		snprintf(name, sizeof name, "%02u", n);
		if (fstatat(reserve, name, &st, AT_SYMLINK_NOFOLLOW))
			rc = fill_one(reserve, name);
	}
	if (reserve >= 0)
		file_sync(reserve);
	file_close(&reserve);
	if (hidden)
		fill_spool(store, root, hidden);
}

/* A unit becomes todir/name; *dir_r is opened. */
int reserve_take(const struct q_store *store, int todir, const char *name, int *dir_r)
{
	int reserve = file_open_dir(store->root, RESERVE), rc = -ENOSPC;

	for (unsigned n = 0; n < Q_RESERVE && reserve >= 0 && rc == -ENOSPC; n++) {
		char unit[16];

		snprintf(unit, sizeof unit, "%02u", n);
		rc = file_rename_new(reserve, unit, todir, name, true);
		if (rc == -ENOENT)
			rc = -ENOSPC;
	}
	file_close(&reserve);
	if (rc)
		return rc;
	*dir_r = openat(todir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *dir_r < 0 ? -errno : 0;
}

/* Write into the spare of this name, and give it its name. The torn write of a crash leaves the spare. */
int reserve_write(int dir, const char *name, const void *data, size_t len)
{
	char *spare = g_strconcat(name, Q_SPARE, NULL);
	const char *p = data;
	struct stat st;
	int fd = openat(dir, spare, O_WRONLY | O_NOFOLLOW | O_CLOEXEC), rc = 0;

	/* what it has blocks for */
	if (fd < 0 || fstat(fd, &st) || (uint64_t)st.st_blocks * 512 < len)
		rc = -ENOSPC;
	for (size_t at = 0; at < len && !rc;) {
		ssize_t n = pwrite(fd, p + at, len - at, (off_t)at);

		if (n > 0)
			at += (size_t)n;
		else if (n == 0 || errno != EINTR)
			rc = n == 0 ? -ENOSPC : -errno;
	}
	if (!rc && ftruncate(fd, (off_t)len))
		rc = -errno;
	if (!rc)
		rc = file_sync(fd);
	file_close(&fd);
	if (!rc)
		rc = file_rename_new(dir, spare, dir, name, true);
	g_free(spare);
	return rc;
}

/* The spare directory gets its name. */
int reserve_mkdir(int at, const char *name)
{
	char *spare = g_strconcat(name, Q_SPARE, NULL);
	int rc = file_rename_new(at, spare, at, name, true);

	g_free(spare);
	return rc == -ENOENT ? -ENOSPC : rc;
}

/* What was not needed of a unit. */
void reserve_drop(int dir)
{
	for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
		unlinkat(dir, files[i].name, 0);
	unlinkat(dir, Q_FILE_RETURN Q_SPARE, 0); /* restore.c's */
	unlinkat(dir, Q_DIR_PARTS Q_SPARE, AT_REMOVEDIR);
}
