/*
 * streams.c - named streams and the attributes of NTFS
 *
 * NTFS files may have more streams than one, and Linux shows them in one of several ways, as the mount
 * says (ntfs-3g, streams_interface): "xattr", as user.NAME, up to 64 KiB (then copy.c and manifest.c have
 * them already); "windows", by opening FILE:NAME, listed in the attribute ntfs.streams.list; "none", or another
 * driver: not at all. rename keeps them all. A copy into the store puts each beside the part, in a file
 * TARGET:NAME, so that one and the same openat() finds it on either side.
 *
 * Promises: a copy has every stream, or there is none; a file system that may hide some is
 * never copied from or to. The security descriptor, the DOS attributes and the four times of NTFS go
 * into the manifest, and are set when a copy comes back.
 * Never: takes a file of the store for a stream whose name does not begin with the part's target and ':'
 * (escape_name() writes no ':'). Fails: Q_EREFUSED with what cannot be seen or kept.
 */
#include "config.h"

#include "private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LIST_NAME "ntfs.streams.list"
#define LIST_MAX 65536   /* XATTR_SIZE_MAX */
#define FUSE_MAGIC 0x65735546
#define NTFS_MAGIC 0x5346544e
#define NTFS3_MAGIC 0x7366746e

/* ntfs-3g has these for every file, whatever the interface to streams. */
static const char *const kept[] = { "system.ntfs_acl", "system.ntfs_attrib", "system.ntfs_times" };

enum streams streams_seen(int fd)
{
	char list[LIST_MAX];
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return STREAMS_HIDDEN;
	if (fs.f_type == NTFS_MAGIC || fs.f_type == NTFS3_MAGIC)
		return STREAMS_HIDDEN;
	if (fs.f_type != FUSE_MAGIC)
		return STREAMS_NONE;
	if (fgetxattr(fd, "system.ntfs_attrib", list, sizeof list) < 0)
		return STREAMS_HIDDEN;
	if (fgetxattr(fd, LIST_NAME, list, sizeof list) >= 0)
		return STREAMS_NAMED;
	return fgetxattr(fd, "user.spoolck", list, sizeof list) >= 0 || errno == ENODATA ||
	       errno == E2BIG ? STREAMS_XATTR : STREAMS_HIDDEN;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int list_named(int fd, GPtrArray *names)
{
	char *list = g_malloc(LIST_MAX + 1);
	ssize_t len = fgetxattr(fd, LIST_NAME, list, LIST_MAX);
	int rc = len < 0 ? -errno : 0;

	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(list + at) + 1) {
		list[len] = '\0'; /* the last name has none */
		g_ptr_array_add(names, g_strdup(list + at));
	}
	g_free(list);
	return rc;
}

static int list_beside(int dir, const char *target, GPtrArray *names)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	size_t n = strlen(target);
	struct dirent *de;
	int rc;

	if (!d) {
		rc = -errno;
		file_close(&fd);
		return rc;
	}
	while (errno = 0, (de = readdir(d)))
		if (!strncmp(de->d_name, target, n) && de->d_name[n] == ':' && de->d_name[n + 1])
			g_ptr_array_add(names, g_strdup(de->d_name + n + 1));
	rc = -errno;
	closedir(d);
	return rc;
}

/* The names of the streams of dir/name, held as fd; sorted. Files beside it count in a place of ours only. */
static int list_streams(int dir, const char *name, int fd, bool ours, GPtrArray **names_r)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	enum streams seen = streams_seen(fd);
	int rc = seen == STREAMS_NAMED ? list_named(fd, names) :
		 seen == STREAMS_NONE && ours ? list_beside(dir, name, names) : 0;

	g_ptr_array_sort(names, compare_names);
	*names_r = names;
	return rc;
}

static int open_stream(int dir, const char *name, const char *stream)
{
	char *path = g_strconcat(name, ":", stream, NULL);
	struct stat st;
	int fd = strchr(stream, '/') ? -EINVAL : file_open_regular(dir, path, &st);

	g_free(path);
	return fd;
}

static json_t *stream_json(int dir, const char *name, const char *stream)
{
	int fd = open_stream(dir, name, stream);
	char *text = escape_json(stream, strlen(stream)), hex[65];
	json_t *j = NULL;
	struct stat st;

	if (fd >= 0 && !fstat(fd, &st) && !file_digest(fd, hex))
		j = json_pack("{s:s,s:I,s:s}", "name", text, "size", (json_int_t)st.st_size, "sha256",
			      hex);
	file_close(&fd);
	g_free(text);
	return j;
}

/* The streams that are opened by name: an array of name, size, digest; NULL when one cannot be read. */
json_t *streams_json(int dir, const char *name, int fd, bool ours)
{
	GPtrArray *names;
	json_t *all = list_streams(dir, name, fd, ours, &names) ? NULL : json_array();

	for (unsigned i = 0; i < names->len && all; i++) {
		json_t *one = stream_json(dir, name, g_ptr_array_index(names, i));

		if (!one || json_array_append_new(all, one)) {
			json_decref(all);
			all = NULL;
		}
	}
	g_ptr_array_free(names, TRUE);
	return all;
}

/* ---- copying ---- */

static int copy_stream(int from, const char *name, int to, const char *target, const char *stream)
{
	char *path = g_strconcat(target, ":", stream, NULL);
	int in = open_stream(from, name, stream), out = -1, rc = in < 0 ? in : 0;
	struct stat st;

	if (!rc)
		out = openat(to, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (!rc && (out < 0 || fstat(in, &st)))
		rc = -errno;
	if (!rc)
		rc = file_copy_data(in, out, st.st_size);
	if (!rc)
		rc = file_sync(out);
	file_close(&in);
	file_close(&out);
	g_free(path);
	return rc;
}

/* All streams of from/name (held as fd) to to/target, which is there (held as copy). */
int streams_copy(int from, const char *name, int fd, int to, const char *target, int copy,
		 struct q_error *err)
{
	GPtrArray *names = NULL;
	int rc;

	if (streams_seen(fd) == STREAMS_HIDDEN || streams_seen(copy) == STREAMS_HIDDEN)
		return q_fail(err, Q_EREFUSED, "%s: named streams may be hidden here; mount with "
			      "streams_interface=windows (ntfs-3g)", q_tail(name));
	rc = list_streams(from, name, fd, true, &names);
	if (rc)
		q_fail(err, rc, "cannot list the streams of %s: %s", q_tail(name), g_strerror(-rc));
	else if (names->len > 0 && streams_seen(copy) == STREAMS_XATTR)
		rc = q_fail(err, Q_EREFUSED, "%s has named streams, which cannot be written here; mount "
			    "with streams_interface=windows (ntfs-3g)", q_tail(name));
	for (unsigned i = 0; i < names->len && !rc; i++) {
		const char *stream = g_ptr_array_index(names, i);

		rc = copy_stream(from, name, to, target, stream);
		if (rc)
			q_fail(err, rc == -ENOSPC || rc == -EDQUOT || rc == -EIO ? rc : Q_EREFUSED,
			       "the stream %s of %s cannot be kept: %s", q_tail(stream), q_tail(name),
			       g_strerror(-rc));
	}
	g_ptr_array_free(names, TRUE);
	return rc;
}

/* What streams_copy() put beside a part in a place of ours. */
int streams_remove(int dir, const char *target)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	int rc = list_beside(dir, target, names);

	for (unsigned i = 0; i < names->len && !rc; i++) {
		char *path = g_strconcat(target, ":", (char *)g_ptr_array_index(names, i), NULL);

		if (unlinkat(dir, path, 0) && errno != ENOENT)
			rc = -errno;
		g_free(path);
	}
	g_ptr_array_free(names, TRUE);
	return rc;
}

/* ---- what NTFS has besides ---- */

/* name -> base64; NULL where there is nothing of it. */
json_t *streams_ntfs_json(int fd)
{
	char *value = g_malloc(LIST_MAX);
	json_t *j = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(kept) && streams_seen(fd) > STREAMS_NONE; i++) {
		ssize_t n = fgetxattr(fd, kept[i], value, LIST_MAX);
		char *text = n >= 0 ? g_base64_encode((const guchar *)value, (gsize)n) : NULL;

		if (text && !j)
			j = json_object();
		if (text)
			json_object_set_new(j, kept[i], json_string(text));
		g_free(text);
	}
	g_free(value);
	return j;
}

/* Give a copy that came to NTFS what the manifest recorded. What it does not take is seen by the comparison. */
void streams_ntfs_set(int fd, const json_t *recorded)
{
	for (size_t i = 0; i < G_N_ELEMENTS(kept) && streams_seen(fd) > STREAMS_NONE; i++) {
		const char *text = json_string_value(json_object_get(recorded, kept[i]));
		gsize len;
		guchar *value = text ? g_base64_decode(text, &len) : NULL;

		if (value && fsetxattr(fd, kept[i], value, len, 0))
			errno = 0;
		g_free(value);
	}
}
