/*
 * measure.c - how old and how large entries are
 *
 * For a quarantine that must not grow for ever. Reads directories and their files' facts; a plan only where the
 * parts lodge in the spool.
 *
 * Never: opens a part. Fails: with what the kernel said; an entry that another run takes away is -ENOENT.
 */
#include "config.h"

#include "private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 512 /* of st_blocks, whatever the file system's own size */

time_t q_entry_time(const char *entry)
{
	struct tm tm = { 0 };
	int end = 0;

	if (sscanf(entry, "%4d%2d%2d-%2d%2d%2d-%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
		   &tm.tm_min, &tm.tm_sec, &end) != 6 || end != 16)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return timegm(&tm);
}

/* What the directory at/name and the files in it take; how many they are. */
static int add_files(int at, const char *name, uint64_t *bytes, unsigned *files)
{
	int fd = file_open_dir(at, name);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!dir) {
		file_close(&fd);
		return fd < 0 ? fd : -EIO;
	}
	while ((de = readdir(dir))) {
		struct stat st;

		if (fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    (S_ISDIR(st.st_mode) && strcmp(de->d_name, ".")))
			continue;
		*bytes += (uint64_t)st.st_blocks * BLOCK;
		*files += S_ISREG(st.st_mode);
	}
	closedir(dir);
	return 0;
}

/* What lodges in the spool counts, too: a purge frees it. */
static void add_lodged(int dir, uint64_t *bytes)
{
	struct plan *plan = NULL;

	if (!plan_read(dir, Q_FILE_PLAN, &plan, NULL) && plan->lodged)
		for (unsigned i = 0; i < plan->nparts; i++)
			*bytes += plan->parts[i].identity.size;
	plan_free(plan);
}

int q_measure(struct q_store *store, const char *entry, uint64_t *bytes_r, struct q_error *err)
{
	int dir = store_name_valid(entry) ? file_open_dir(store->entries, entry) : -ENOENT;
	unsigned papers = 0, parts = 0;
	int rc = dir < 0 ? dir : 0;

	*bytes_r = 0;
	if (!rc)
		rc = add_files(dir, ".", bytes_r, &papers);
	if (!rc && (add_files(dir, Q_DIR_PARTS, bytes_r, &parts) || !parts))
		add_lodged(dir, bytes_r);
	file_close(&dir);
	return rc ? q_fail(err, rc, "cannot look at the entry %s: %s", q_tail(entry), g_strerror(-rc)) : 0;
}

void q_store_room(struct q_store *store, uint64_t bytes)
{
	store->limited = true;
	store->room = bytes;
}

int measure_room(struct q_store *store, const struct plan *plan, uint64_t *bytes_r,
		 struct q_error *err)
{
	struct stat st;

	*bytes_r = 0;
	for (unsigned i = 0; i < plan->nparts; i++)
		if (!fstat(plan->parts[i].fd, &st))
			*bytes_r += (uint64_t)st.st_blocks * BLOCK;
	if (!store->limited || *bytes_r <= store->room)
		return 0;
	return q_fail(err, Q_EREFUSED, "store-full: the quarantine has room for %" PRIu64 " KiB under its "
		      "max-size, this message takes %" PRIu64 " KiB; restore or purge entries, or raise "
		      "max-size", store->room / 1024, (*bytes_r + 1023) / 1024);
}
