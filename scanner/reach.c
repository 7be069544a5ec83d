/*
 * reach.c - how the bytes of a part are reached
 *
 * What is known of the ways (all seen with ntfs-3g 2022.10.3): with streams_interface=windows a stream is opened as FILE:NAME
 * and listed in ntfs.streams.list, names separated by NUL, none after the last one. With =xattr it is an
 * extended attribute; one of more than 64 KiB answers E2BIG, and its size is told as 65,536 whatever it is. With =none, and in
 * the kernel's own drivers, there is nothing to be seen.
 *
 * Never: takes what cannot be seen for what is not there (reach_sees()).
 */
#include "config.h"

#include "reach.h"
#include "reach_volume.h"

#include "beneath.h"
#include "names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LIST_NAME "ntfs.streams.list"
#define ATTRIBUTE_MAX 65536 /* XATTR_SIZE_MAX, XATTR_LIST_MAX */
#define USER "user."
#define SAMBA "user.DosStream."
#define SAMBA_TYPE ":$DATA"
#define FUSE_MAGIC 0x65735546
#define NTFS_MAGIC 0x5346544e
#define NTFS3_MAGIC 0x7366746e

/* --- One part ------------------------------------------------------------------ */

static int stat_fd(int fd, struct file_facts *f)
{
	struct stat st;

#ifdef __x86_64__ /* glibc takes the way by path there, which costs half as much again */
	if (syscall(SYS_fstat, fd, &st) < 0)
#else
	if (fstat(fd, &st) < 0)
#endif
		return -errno;
	*f = (struct file_facts){ .dev = st.st_dev, .ino = st.st_ino, .size = (uint64_t)st.st_size,
				  .mtime = st.st_mtim, .ctime = st.st_ctim, .mode = st.st_mode,
				  .uid = st.st_uid, .gid = st.st_gid, .nlink = (uint32_t)st.st_nlink };
	return 0;
}

int reach_facts(const struct reach_part *part, struct file_facts *f)
{
	int ret = part->volume != NULL ? reach_volume_facts(part, f) : stat_fd(part->fd, f);
	char *value;
	ssize_t n;

	if (ret < 0 || part->volume != NULL || part->attribute[0] == '\0')
		return ret;
	value = g_malloc(ATTRIBUTE_MAX); /* to ask for the size alone would be answered wrongly */
	n = fgetxattr(part->fd, part->attribute, value, ATTRIBUTE_MAX);
	ret = n < 0 ? -errno : 0;
	f->size = n < 0 ? 0 : (uint64_t)n;
	g_free(value);
	return ret == -ERANGE ? -E2BIG : ret == -ENODATA ? -ENOENT : ret;
}

/* Only the owner and root may ask for O_NOATIME, and a network file system may not know it. */
int reach_file(int dir, const char *name, struct reach_part *part)
{
	static bool noatime_refused;
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;

	*part = (struct reach_part){ .fd = -1 };
	if (!noatime_refused) {
		part->fd = openat(dir, name, flags | O_NOATIME);
		if (part->fd >= 0 || (errno != EPERM && errno != EINVAL))
			return part->fd >= 0 ? 0 : -errno;
	}
	part->fd = openat(dir, name, flags);
	if (part->fd < 0)
		return -errno;
	noatime_refused = true;
	return 0;
}

int reach_path(const struct reach *r, int root, const char *path, int flags, struct reach_part *part)
{
	if (r != NULL && r->volume != NULL)
		return reach_volume_open(r, path, part);
	*part = (struct reach_part){ .fd = open_beneath(root, path, flags) };
	return MIN(part->fd, 0);
}

static ssize_t read_attribute(const struct reach_part *part, uint8_t *to, size_t len, uint64_t off)
{
	uint8_t *value = g_malloc(ATTRIBUTE_MAX);
	ssize_t n = fgetxattr(part->fd, part->attribute, value, ATTRIBUTE_MAX);

	if (n < 0)
		n = -errno;
	else if (off >= (uint64_t)n)
		n = 0;
	else
		n = MIN(n - (ssize_t)off, (ssize_t)len);
	if (n > 0)
		memcpy(to, value + off, (size_t)n);
	g_free(value);
	return n;
}

ssize_t reach_read(const struct reach_part *part, uint8_t *to, size_t len, uint64_t off)
{
	size_t done = 0;

	if (part->volume != NULL)
		return reach_volume_read(part, to, len, off);
	if (part->attribute[0] != '\0')
		return read_attribute(part, to, len, off);
	while (done < len) {
		ssize_t n = pread(part->fd, to + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

bool facts_same(const struct file_facts *a, const struct file_facts *b)
{
	return a->ino == b->ino && a->dev == b->dev && a->size == b->size && a->mode == b->mode &&
	       a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec &&
	       a->ctime.tv_sec == b->ctime.tv_sec && a->ctime.tv_nsec == b->ctime.tv_nsec;
}

void reach_close(struct reach_part *part)
{
	if (part->fd >= 0 && !part->borrowed)
		close(part->fd);
	part->fd = -1;
}

/* --- Lists ---------------------------------------------------------------------- */

/* The index in reach.names, or -1. Windows minds no case. */
static int wanted(const struct reach *r, const char *name)
{
	for (int i = 0; r->names != NULL && r->names[i] != NULL && i < REACH_STREAMS; i++)
		if (g_ascii_strcasecmp(r->names[i], name) == 0)
			return i;
	return -1;
}

static unsigned wanted_count(const struct reach *r)
{
	return r->names != NULL ? MIN(g_strv_length(r->names), REACH_STREAMS) : 0;
}

static void put_stream(const struct reach *r, struct reach_streams *s, const char *name)
{
	int at = wanted(r, name);

	for (unsigned i = wanted_count(r); at < 0 && i < REACH_STREAMS; i++)
		if (s->name[i][0] == '\0')
			at = (int)i;
	if (at < 0 || strlen(name) >= REACH_NAME || s->name[at][0] != '\0')
		s->more = true;
	else
		strcpy(s->name[at], name);
}

/* Names that come in any order are looked at in one. */
static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_streams(const struct reach *r, struct reach_streams *s, GPtrArray *names)
{
	g_ptr_array_sort(names, by_name);
	for (guint i = 0; i < names->len; i++)
		put_stream(r, s, names->pdata[i]);
}

/* The stream that an attribute is, or NULL; in `name`, which it may alter. */
static const char *stream_of(enum reach_way way, char *name)
{
	char *end;

	if (way == REACH_NAMED)
		return name[0] != '\0' ? name : NULL;
	if (way == REACH_XATTR)
		return g_str_has_prefix(name, USER) && name[strlen(USER)] != '\0' ? name + strlen(USER) : NULL;
	if (!g_str_has_prefix(name, SAMBA))
		return NULL;
	end = name + strlen(name) - strlen(SAMBA_TYPE);
	if (end > name + strlen(SAMBA) && strcmp(end, SAMBA_TYPE) == 0)
		*end = '\0';
	return name[strlen(SAMBA)] != '\0' ? name + strlen(SAMBA) : NULL;
}

/* From a list of terminated names, the last of which may lack its end. */
static int list_attributes(enum reach_way way, int fd, GPtrArray *names)
{
	char *list = g_malloc(ATTRIBUTE_MAX + 1);
	ssize_t len = way == REACH_NAMED ? fgetxattr(fd, LIST_NAME, list, ATTRIBUTE_MAX) :
					   flistxattr(fd, list, ATTRIBUTE_MAX);
	int ret = len < 0 ? -errno : 0;

	for (ssize_t at = 0; at < len;) {
		ssize_t next;
		const char *name;

		list[len] = '\0';
		next = at + (ssize_t)strlen(list + at) + 1;
		name = stream_of(way, list + at);
		if (name != NULL)
			g_ptr_array_add(names, g_strdup(name));
		at = next;
	}
	g_free(list);
	return ret;
}

/* --- Side files ------------------------------------------------------------------- */

/* Names with a ':' of the directory that was asked for last: a reader asks for file after file of one. */
static struct {
	dev_t dev;
	ino_t ino;
	struct timespec mtime;
	GPtrArray *names; /* sorted */
} side;

static bool side_known(const struct stat *st)
{
	return side.names != NULL && side.dev == st->st_dev && side.ino == st->st_ino &&
	       side.mtime.tv_sec == st->st_mtim.tv_sec && side.mtime.tv_nsec == st->st_mtim.tv_nsec;
}

/* All names of `d`, which it closes; 0 or a negative errno: half of them would be taken for all. */
static int side_read(DIR *d, GPtrArray *names)
{
	struct dirent *e;
	int ret;

	while (errno = 0, (e = readdir(d)) != NULL)
		if (strchr(e->d_name, ':') != NULL)
			g_ptr_array_add(names, g_strdup(e->d_name));
	ret = -errno;
	closedir(d);
	g_ptr_array_sort(names, by_name);
	return ret;
}

/* Have side.names be those of `dir`; 0 or a negative errno. */
static int side_learn(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret;
	struct stat st;
	DIR *d;

	if (fd < 0)
		return -errno;
	ret = fstat(fd, &st) < 0 ? -errno : 0;
	if (ret < 0 || side_known(&st)) {
		close(fd);
		return ret;
	}
	d = fdopendir(fd);
	if (d == NULL) {
		close(fd);
		return -ENOMEM;
	}
	g_clear_pointer(&side.names, g_ptr_array_unref);
	side.names = g_ptr_array_new_with_free_func(g_free);
	side.dev = st.st_dev;
	side.ino = st.st_ino;
	side.mtime = st.st_mtim;
	ret = side_read(d, side.names);
	if (ret < 0)
		g_clear_pointer(&side.names, g_ptr_array_unref);
	return ret;
}

static int list_beside(int dir, const char *name, GPtrArray *names)
{
	size_t len = strlen(name);
	guint low = 0, high;
	int ret = side_learn(dir);

	if (ret < 0)
		return ret;
	high = side.names->len;
	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (strcmp(side.names->pdata[middle], name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < side.names->len && strncmp(side.names->pdata[low], name, len) == 0; low++) {
		const char *at = (const char *)side.names->pdata[low] + len;

		if (at[0] == ':' && at[1] != '\0')
			g_ptr_array_add(names, g_strdup(at + 1));
	}
	return 0;
}

int reach_beside(int dir, const char *name, char ***names_r)
{
	GPtrArray *streams = g_ptr_array_new_with_free_func(g_free);
	int ret = list_beside(dir, name, streams);

	*names_r = ret == 0 ? g_new0(char *, streams->len + 1) : NULL;
	for (guint i = 0; ret == 0 && i < streams->len; i++)
		(*names_r)[i] = g_strconcat(name, ":", (char *)streams->pdata[i], NULL);
	g_ptr_array_unref(streams);
	return ret;
}

/* With those that can be opened by name, but are in no list: a share shows them so. */
static int list_shown(const struct reach *r, int dir, const char *name, GPtrArray *names)
{
	int ret = list_beside(dir, name, names);

	for (char **n = r->names; n != NULL && *n != NULL; n++) {
		g_autofree char *path = g_strconcat(name, ":", *n, NULL);
		bool listed = false;

		for (guint i = 0; i < names->len && !listed; i++)
			listed = g_ascii_strcasecmp(names->pdata[i], *n) == 0;
		if (!listed && faccessat(dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			g_ptr_array_add(names, g_strdup(*n));
	}
	return ret;
}

/* --- Streams ------------------------------------------------------------------------ */

int reach_list(const struct reach *r, int dir, const char *name, const struct reach_part *file,
	       struct reach_streams *streams)
{
	GPtrArray *names;
	int ret = 0;

	memset(streams, 0, sizeof *streams);
	if (!reach_sees(r))
		return 0;
	names = g_ptr_array_new_with_free_func(g_free);
	if (r->way == REACH_VOLUME)
		ret = reach_volume_streams(file, names);
	else if (r->way == REACH_BESIDE)
		ret = list_shown(r, dir, name, names);
	else
		ret = list_attributes(r->way, file->fd, names);
	put_streams(r, streams, names);
	g_ptr_array_free(names, TRUE);
	return ret;
}

int reach_stream(const struct reach *r, int dir, const char *name, const struct reach_part *file,
		 const char *stream, struct reach_part *part)
{
	g_autofree char *path = NULL;
	bool samba = r->way == REACH_SAMBA;

	if (r->way == REACH_VOLUME)
		return reach_volume_stream(file, stream, part);
	if (r->way == REACH_XATTR || samba) {
		*part = (struct reach_part){ .fd = file->fd, .borrowed = true };
		g_snprintf(part->attribute, sizeof part->attribute, "%s%s%s", samba ? SAMBA : USER, stream,
			   samba ? SAMBA_TYPE : "");
		if (samba && fgetxattr(part->fd, part->attribute, NULL, 0) < 0)
			part->attribute[strlen(part->attribute) - strlen(SAMBA_TYPE)] = '\0';
		return 0;
	}
	if (!reach_sees(r) || strchr(stream, '/') != NULL)
		return -ENOENT;
	path = g_strconcat(name, ":", stream, NULL);
	return reach_file(dir, path, part);
}

/* --- Which way ------------------------------------------------------------------------ */

/* Is there such an attribute? Some drivers answer wrongly when the room for it is too small. */
static bool has_attribute(int fd, const char *name)
{
	char *value = g_malloc(ATTRIBUTE_MAX);
	bool yes = fgetxattr(fd, name, value, ATTRIBUTE_MAX) >= 0;
	int error = errno;

	g_free(value);
	errno = error;
	return yes;
}

/* What the file system says by itself; REACH_FILES: nothing. */
static enum reach_way way_of_volume(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return REACH_FILES;
	if (fs.f_type == NTFS_MAGIC || fs.f_type == NTFS3_MAGIC)
		return REACH_HIDDEN;
	if (fs.f_type != FUSE_MAGIC || !has_attribute(fd, "system.ntfs_attrib"))
		return REACH_FILES;
	if (has_attribute(fd, LIST_NAME))
		return REACH_NAMED;
	return has_attribute(fd, "user.spoolck") || errno == ENODATA || errno == E2BIG ? REACH_XATTR :
											 REACH_HIDDEN;
}

/* What one message of any other file system shows. */
static enum reach_way way_of_file(const struct reach *r, int dir, const char *name, int fd)
{
	static const enum reach_way ways[] = { REACH_XATTR, REACH_SAMBA };
	enum reach_way way = REACH_FILES;

	for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
		GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

		list_attributes(ways[i], fd, names);
		for (guint k = 0; k < names->len && way == REACH_FILES; k++)
			if (ways[i] == REACH_SAMBA || wanted(r, names->pdata[k]) >= 0)
				way = ways[i];
		g_ptr_array_free(names, TRUE);
	}
	for (char **n = r->names; way == REACH_FILES && n != NULL && *n != NULL; n++) {
		g_autofree char *path = g_strconcat(name, ":", *n, NULL);

		if (faccessat(dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			way = REACH_BESIDE;
	}
	return way;
}

/* The files of one place, until one tells. */
static enum reach_way way_of_place(struct reach *r, const struct format *format, unsigned place, int fd)
{
	DIR *d = fdopendir(fd);
	enum reach_way way = REACH_FILES;
	struct dirent *e;

	if (d == NULL) {
		close(fd);
		return way;
	}
	for (unsigned n = 0; n < REACH_PROBE && way == REACH_FILES && (e = readdir(d)) != NULL;) {
		struct name name = format->id_of(place, e->d_name);
		struct reach_part file;

		if (name.kind == NAME_COMPANION && format->roles[name.role].stream) {
			way = REACH_BESIDE;
			r->any = true;
		}
		if (name.kind != NAME_MESSAGE || reach_file(fd, e->d_name, &file) < 0)
			continue;
		n++;
		r->any = true;
		way = way_of_volume(file.fd);
		if (way == REACH_FILES)
			way = way_of_file(r, fd, e->d_name, file.fd);
		reach_close(&file);
	}
	closedir(d);
	return way;
}

void reach_probe(int root, const struct format *format, char **names, struct reach *reach)
{
	if (reach->volume != NULL) {
		reach->names = names;
		return;
	}
	*reach = (struct reach){ .way = REACH_FILES, .names = names };
	for (unsigned p = 0; p < format->nplaces && reach->way == REACH_FILES; p++) {
		int fd = format->places[p].streams ?
			 open_beneath(root, format->places[p].name, O_RDONLY | O_DIRECTORY) : -1;

		if (fd >= 0)
			reach->way = way_of_place(reach, format, p, fd);
	}
}

const char *reach_words(enum reach_way way)
{
	switch (way) {
	case REACH_NAMED:
		return "FILE:NAME (ntfs-3g, streams_interface=windows)";
	case REACH_XATTR:
		return "attributes user.NAME, up to 64 KiB";
	case REACH_SAMBA:
		return "attributes user.DosStream.NAME (Samba)";
	case REACH_BESIDE:
		return "side files FILE:NAME";
	case REACH_VOLUME:
		return "the volume, which is not mounted";
	case REACH_FILES:
	case REACH_HIDDEN:
		break;
	}
	return NULL;
}

const char *reach_warning(const struct reach *r)
{
	if (r->way == REACH_HIDDEN)
		return "Named streams are hidden by this mount: properties were not looked at. Mount with ntfs-3g "
		       "-o streams_interface=windows.";
	if (r->way == REACH_FILES && r->any)
		return "No named stream of a message is to be seen here: properties were not looked at. If this "
		       "is a copy, copy it again with a program that keeps named streams.";
	return NULL;
}
