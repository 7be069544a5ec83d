/*
 * reach_volume.c - parts on a volume that is not mounted
 *
 * NTFS knows no owner and no mode of ours: a file is shown as its owner's alone, readable and finished.
 */
#include "config.h"

#include "reach_volume.h"

#include <errno.h>
#include <string.h>

#define RECORD 0xffffffffffff /* of a reference: without its sequence number */
#define MODE 0700

static int find(const struct reach *r, const char *path, struct volume_entry *e)
{
	g_autofree char *whole = g_strconcat(r->below, "/", path, NULL);

	return volume_find(r->volume, whole, e);
}

int reach_volume_open(const struct reach *r, const char *path, struct reach_part *part)
{
	struct volume_entry e;
	int ret = find(r, path, &e);

	*part = (struct reach_part){ .fd = -1 };
	if (ret < 0)
		return ret;
	if (e.kind != VOLUME_FILE)
		return e.kind == VOLUME_DIR ? -EISDIR : -ELOOP;
	*part = (struct reach_part){ .borrowed = true, .volume = r->volume, .ref = e.ref };
	return 0;
}

static const struct volume_stream *stream_of(const struct volume_stat *st, const char *name)
{
	for (unsigned i = 0; i < st->count; i++)
		if (strcmp(st->streams[i].name, name) == 0)
			return &st->streams[i];
	return NULL;
}

int reach_volume_facts(const struct reach_part *part, struct file_facts *f)
{
	const struct volume_stat *st;
	const struct volume_stream *s;
	int ret = volume_stat(part->volume, part->ref, &st);

	if (ret < 0)
		return ret;
	s = stream_of(st, part->attribute);
	if (s == NULL)
		return -ENOENT;
	if (s->flags & STREAM_ENCRYPTED)
		return -ENOKEY;
	*f = (struct file_facts){
		.ino = part->ref & RECORD, .size = s->size, .mtime = { st->mtime, st->mtime_ns },
		.ctime = { st->ctime, st->ctime_ns }, .mode = S_IFREG | MODE, .nlink = 1,
		.unwritten = s->valid != VOLUME_VALID_UNKNOWN ? s->size - s->valid : 0,
	};
	return 0;
}

ssize_t reach_volume_read(const struct reach_part *part, uint8_t *to, size_t len, uint64_t off)
{
	return volume_read(part->volume, part->ref, part->attribute, to, len, off);
}

int reach_volume_streams(const struct reach_part *file, GPtrArray *names)
{
	const struct volume_stat *st;
	int ret = volume_stat(file->volume, file->ref, &st);

	if (ret == 0 && st->unreadable > 0)
		ret = -EUCLEAN; /* one of those that seem to be missing */
	for (unsigned i = 0; ret == 0 && i < st->count; i++)
		if (st->streams[i].name_len > 0)
			g_ptr_array_add(names, g_strdup(st->streams[i].name));
	return ret;
}

int reach_volume_stream(const struct reach_part *file, const char *stream, struct reach_part *part)
{
	*part = *file;
	if (strlen(stream) >= sizeof part->attribute)
		return -ENAMETOOLONG;
	strcpy(part->attribute, stream);
	return 0;
}

int reach_volume_stat(const struct reach *r, const char *path, struct stat *out)
{
	const struct volume_stat *st;
	struct volume_entry e;
	int ret = find(r, path, &e);

	if (ret < 0)
		return ret;
	memset(out, 0, sizeof *out);
	out->st_ino = e.ref & RECORD;
	out->st_mode = MODE | (e.kind == VOLUME_DIR ? S_IFDIR : e.kind == VOLUME_FILE ? S_IFREG : S_IFLNK);
	out->st_nlink = 1;
	if (e.kind != VOLUME_FILE)
		return 0;
	ret = volume_stat(r->volume, e.ref, &st);
	if (ret < 0)
		return ret;
	out->st_size = st->count > 0 && st->streams[0].name_len == 0 ? (off_t)st->streams[0].size : 0;
	out->st_mtim = (struct timespec){ st->mtime, st->mtime_ns };
	out->st_ctim = (struct timespec){ st->ctime, st->ctime_ns };
	return 0;
}

int reach_volume_dir(const struct reach *r, const char *path, volume_each *each, void *arg, unsigned *lost_r)
{
	struct volume_entry e;
	int ret = find(r, path, &e);

	if (ret < 0)
		return ret;
	return e.kind == VOLUME_DIR ? volume_list(r->volume, e.ref, each, arg, lost_r) : -ENOTDIR;
}
