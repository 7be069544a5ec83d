/*
 * store.c - the store's directories and the names of its entries
 *
 *     STORE/            0700, ours
 *       entries/NAME/   parts/, plan, manifest.json, summary.txt
 *       inflight/       transactions under way (txn.c)
 *       accepted/       what an operator accepted
 *
 * NAME is YYYYMMDD-HHMMSS-FORMAT-ID (UTC), "~2" and so on behind it when taken;
 * '-' in FORMAT becomes '_', odd bytes of ID become %NN, so that an id is found
 * by names alone and no manifest is read.
 *
 * Promises: the directory is the truth, there is nothing beside it to agree
 * with. Never: follows a link at or below the store's own name; uses a store
 * that somebody else owns or may write to.
 * Fails: -EPERM for an unsafe store, else what the kernel said.
 */
#include "config.h"

#include "private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/* Ours, and nobody else may put names into it. */
int store_private_dir(int fd, const char *what, struct q_error *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return q_fail(err, errno, "cannot look at %s: %s", q_tail(what), g_strerror(errno));
	if (st.st_uid != geteuid())
		return q_fail(err, EPERM, "%s belongs to uid %lu, not to us; remove it or choose "
			      "another place", q_tail(what), (unsigned long)st.st_uid);
	if (st.st_mode & 022 && (streams_seen(fd) == STREAMS_NAMED || streams_seen(fd) == STREAMS_XATTR))
		return q_fail(err, EPERM, "%s may be written by others: so it is with all of this volume; mount "
			      "it with umask=077, or with permissions (ntfs-3g)", q_tail(what));
	if (st.st_mode & 022)
		return q_fail(err, EPERM, "%s may be written by others (mode %04o); see who did "
			      "that, then chmod 0700", q_tail(what), (unsigned)st.st_mode & 07777u);
	return 0;
}

/* Open at/name, 0700, made when create; `what` names it in sentences. */
static int open_dir(int at, const char *name, const char *what, bool create, struct q_error *err)
{
	int fd, rc;

	if (create && mkdirat(at, name, 0700) == 0)
		rc = file_sync(at);
	else
		rc = create && errno != EEXIST ? -errno : 0;
	if (rc)
		return q_fail(err, rc, "cannot make %s: %s", q_tail(what), g_strerror(-rc));
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return q_fail(err, ENOTDIR, "%s is a link or no directory; name the store itself",
			      q_tail(what));
	if (fd < 0)
		return q_fail(err, errno, "cannot open %s: %s", q_tail(what), g_strerror(errno));
	rc = store_private_dir(fd, what, err);
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

static int open_below(struct q_store *s, const char *name, bool create, struct q_error *err)
{
	char *what = g_strconcat(s->path, "/", name, NULL);
	int fd = open_dir(s->root, name, what, create, err);

	g_free(what);
	return fd;
}

static int store_open_root(struct q_store *s, bool create, struct q_error *err)
{
	char *parent = g_path_get_dirname(s->path);
	char *base = g_path_get_basename(s->path);
	int at = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (at < 0) {
		rc = q_fail(err, errno, "cannot open %s, in which the store lies: %s",
			    q_tail(parent), g_strerror(errno));
	} else {
		rc = open_dir(at, base, s->path, create, err);
		close(at);
	}
	g_free(base);
	g_free(parent);
	return rc;
}

int q_store_open(const char *path, bool create, struct q_store **store_r, struct q_error *err)
{
	struct q_store *s;
	int fd, rc = 0;

	*store_r = NULL;
	if (!path || path[0] != '/' || strlen(path) > Q_PATH_MAX)
		return q_fail(err, EINVAL, "the store must be an absolute path");
	s = g_new0(struct q_store, 1);
	s->root = s->entries = s->inflight = -1;
	s->path = g_canonicalize_filename(path, "/");
	rc = s->root = store_open_root(s, create, err);
	if (rc >= 0)
		rc = s->entries = open_below(s, "entries", create, err);
	if (rc >= 0)
		rc = s->inflight = open_below(s, "inflight", create, err);
	if (rc >= 0 && create) {
		rc = fd = open_below(s, "accepted", true, err);
		file_close(&fd);
	}
	if (rc < 0) {
		q_store_close(s);
		return rc;
	}
	*store_r = s;
	return 0;
}

void q_store_close(struct q_store *store)
{
	if (!store)
		return;
	file_close(&store->root);
	file_close(&store->entries);
	file_close(&store->inflight);
	g_free(store->path);
	g_free(store);
}

/* Is `inner` the directory `outer` or below it? By "..", so that no path lies. -errno. */
static int dir_is_below(int inner, int outer)
{
	struct stat want, st, last;
	int at = openat(inner, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = -ELOOP;

	if (at < 0 || fstat(outer, &want) || fstat(at, &st)) {
		rc = -errno;
		file_close(&at);
		return rc;
	}
	for (unsigned depth = 0; depth < Q_DEPTH_MAX && rc == -ELOOP; depth++) {
		int up;

		if (file_same_inode(&st, &want)) {
			rc = 1;
			break;
		}
		up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		last = st;
		if (up < 0 || fstat(up, &st)) {
			rc = -errno;
			file_close(&up);
			break;
		}
		close(at);
		at = up;
		if (file_same_inode(&st, &last))
			rc = 0; /* the root directory is its own parent */
	}
	file_close(&at);
	return rc;
}

/* A store in the spool would be scanned as mail; a spool in the store would be purged. */
int store_apart(const struct q_store *store, int spool_root, const char *spool,
		struct q_error *err)
{
	int in = dir_is_below(store->root, spool_root);
	int above = in ? 0 : dir_is_below(spool_root, store->root);

	if (in < 0 || above < 0)
		return q_fail(err, in < 0 ? in : above, "cannot tell whether the store %s lies in "
			      "the spool: %s", q_tail(store->path),
			      g_strerror(-(in < 0 ? in : above)));
	if (in || above)
		return q_fail(err, Q_EREFUSED, "the store %s lies %s the spool %s; choose a --store "
			      "beside it", q_tail(store->path), in ? "in" : "above",
			      q_tail(spool));
	return 0;
}

/* ---- one acting run ---- */

int q_lock(int root, int wait_ms, struct q_error *err)
{
	struct timespec nap = { 0, 20 * 1000 * 1000 };
	gint64 deadline = g_get_monotonic_time() + (gint64)wait_ms * 1000;

	while (flock(root, LOCK_EX | LOCK_NB)) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			return q_fail(err, errno, "cannot lock the spool: %s", g_strerror(errno));
		if (g_get_monotonic_time() >= deadline)
			return q_fail(err, EWOULDBLOCK, "another spoolck is acting on this spool; "
				      "wait for it to end");
		nanosleep(&nap, NULL);
	}
	return 0;
}

void q_unlock(int root)
{
	flock(root, LOCK_UN);
}

/* ---- names ---- */

#define STAMP_LEN 16 /* YYYYMMDD-HHMMSS- */

static char *name_of_format(const char *format)
{
	char *name = escape_name(format, strlen(format), 40);

	return g_strdelimit(name, "-", '_');
}

/* Leaves room for "~9999". */
static char *name_of_id(const char *id, size_t id_len)
{
	return escape_name(id, id_len, Q_NAME_MAX - STAMP_LEN - 41 - 5);
}

char *store_name(const char *format, const char *id, size_t id_len, time_t now)
{
	char *fmt = name_of_format(format);
	char *name = name_of_id(id, id_len);
	char stamp[32] = "";
	struct tm tm;
	char *all;

	if (gmtime_r(&now, &tm))
		strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &tm);
	all = g_strdup_printf("%.15s-%s-%s", stamp, fmt, name);
	g_free(fmt);
	g_free(name);
	return all;
}

/* The part of an entry's name behind stamp and format, or NULL when it is no such name. */
static const char *name_id_field(const char *name)
{
	const char *dash;

	for (unsigned i = 0; i < STAMP_LEN; i++)
		if (i == 8 || i == 15 ? name[i] != '-' : !g_ascii_isdigit(name[i]))
			return NULL;
	dash = strchr(name + STAMP_LEN, '-');
	return dash && dash[1] && !strchr(name, '/') ? dash + 1 : NULL;
}

bool store_name_valid(const char *name)
{
	return strlen(name) <= Q_NAME_MAX && name_id_field(name) &&
	       !g_str_has_suffix(name, Q_RETURNING) && !g_str_has_suffix(name, Q_DRAINING) &&
	       !g_str_has_suffix(name, Q_PURGING);
}

/* Does the id field of the name say `want` (escaped), with or without "~N"? */
static bool name_has_id(const char *name, const char *want)
{
	const char *field = name_id_field(name);
	size_t n = strlen(want);

	if (!field || strncmp(field, want, n))
		return false;
	return !field[n] || (field[n] == '~' && field[n + 1] &&
			     !field[n + 1 + strspn(field + n + 1, "0123456789")]);
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names in entries/ that want (NULL: everything) is the id of; sorted, so oldest first. */
static int list_names(const struct q_store *store, const char *want, GPtrArray **names_r,
		      struct q_error *err)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	int fd = openat(store->entries, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *de;
	int rc = 0;

	if (!dir) {
		rc = q_fail(err, errno, "cannot read %s/entries: %s", q_tail(store->path),
			    g_strerror(errno));
		file_close(&fd);
		goto out;
	}
	while (errno = 0, (de = readdir(dir)))
		if (store_name_valid(de->d_name) && (!want || name_has_id(de->d_name, want)))
			g_ptr_array_add(names, g_strdup(de->d_name));
	if (errno)
		rc = q_fail(err, errno, "cannot read %s/entries: %s", q_tail(store->path),
			    g_strerror(errno));
	closedir(dir);
	g_ptr_array_sort(names, compare_names);
out:
	if (rc)
		g_ptr_array_free(names, TRUE);
	else
		*names_r = names;
	return rc;
}

int q_entries(struct q_store *store, char ***names_r, struct q_error *err)
{
	GPtrArray *names;
	int rc = list_names(store, NULL, &names, err);

	if (rc)
		return rc;
	g_ptr_array_set_free_func(names, NULL);
	g_ptr_array_add(names, NULL);
	*names_r = (char **)(void *)g_ptr_array_free(names, FALSE);
	return 0;
}

static int find_id(struct q_store *store, const char *id, size_t id_len, char **entry_r,
		   struct q_error *err)
{
	char *want = name_of_id(id, id_len);
	GPtrArray *names;
	int rc = list_names(store, want, &names, err);

	g_free(want);
	if (rc)
		return rc;
	if (names->len == 1)
		*entry_r = strdup(g_ptr_array_index(names, 0));
	else if (names->len == 0)
		rc = q_fail(err, ENOENT, "the quarantine has no entry and no id of that name; see: "
			    "spoolck quarantine list");
	else
		rc = q_fail(err, ENOTUNIQ, "%u entries have that id; name one of them: %s, %s%s",
			    names->len, (char *)g_ptr_array_index(names, 0),
			    (char *)g_ptr_array_index(names, 1), names->len > 2 ? ", ..." : "");
	g_ptr_array_free(names, TRUE);
	return rc;
}

int q_find(struct q_store *store, const char *word, char **entry_r, struct q_error *err)
{
	struct stat st;
	char *bytes;
	size_t len;
	int rc;

	*entry_r = NULL;
	if (store_name_valid(word) && !fstatat(store->entries, word, &st, AT_SYMLINK_NOFOLLOW)) {
		*entry_r = strdup(word);
		return 0;
	}
	rc = find_id(store, word, strlen(word), entry_r, err);
	/* An id with odd bytes may also be typed as reports print it. */
	if (rc == -ENOENT && strchr(word, '\\') && (bytes = escape_undo(word, &len))) {
		rc = find_id(store, bytes, len, entry_r, err);
		g_free(bytes);
	}
	return rc;
}
