/*
 * walk.c - directories in, sorted chunks of names out
 *
 * Memory stays the same however many files a directory holds: names come in chunks,
 * each sorted by inode, which is the order in which a disk likes to be asked. Descends as
 * deep as the format says and no further; opens no file.
 */
#include "config.h"

#include "walk.h"

#include "beneath.h"
#include "bounds.h"
#include "names.h"
#include "reach_volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_NAMES 16384
#define CHUNK_BYTES (1u << 20)

struct chunk {
	char bytes[CHUNK_BYTES];
	size_t used, count;
	struct walk_name names[CHUNK_NAMES];
};

struct walk {
	const struct spool *spool;
	unsigned place;
	const struct walk_sink *sink;
	struct chunk *chunk;
};

static int by_inode(const void *a, const void *b)
{
	ino_t x = ((const struct walk_name *)a)->ino, y = ((const struct walk_name *)b)->ino;

	return x < y ? -1 : x > y;
}

static bool emit(struct walk *w, unsigned depth, const char *dir)
{
	struct chunk *c = w->chunk;
	size_t count = c->count;

	c->used = c->count = 0;
	if (count == 0)
		return true;
	if (w->spool->format->places[w->place].kind != PLACE_LOG) /* logs are not opened */
		qsort(c->names, count, sizeof c->names[0], by_inode);
	return w->sink->names(w->sink->arg, w->place, depth, dir, c->names, count);
}

static bool add(struct walk *w, unsigned depth, const char *dir, const struct walk_name *n)
{
	struct chunk *c = w->chunk;
	size_t len = strlen(n->name) + 1;

	if ((c->count == CHUNK_NAMES || len > CHUNK_BYTES - c->used) && !emit(w, depth, dir))
		return false;
	memcpy(c->bytes + c->used, n->name, len);
	c->names[c->count++] = (struct walk_name){ c->bytes + c->used, n->ino, n->type };
	c->used += len;
	return true;
}

/* Is this entry a hash directory? Servers go by the length of the name and never
 * stat; we do not call a file a directory, though. */
static bool is_hash_dir(const struct place *place, unsigned depth, const struct walk_name *n)
{
	return depth < place->depth_max && (n->type == DT_DIR || n->type == DT_UNKNOWN) &&
	       (!place->hash_dir_one || n->name[1] == '\0');
}

/* One directory while it is listed. */
struct listing {
	struct walk *w;
	unsigned depth;
	const char *dir;
	GPtrArray *below;
	bool more;
};

static bool take(struct listing *l, const struct walk_name *n)
{
	if (is_hash_dir(&l->w->spool->format->places[l->w->place], l->depth, n))
		g_ptr_array_add(l->below, path_in(l->dir, n->name));
	else
		l->more = add(l->w, l->depth, l->dir, n);
	return l->more;
}

static bool take_entry(void *arg, const struct volume_entry *e)
{
	static const unsigned char types[] = { DT_REG, DT_DIR, DT_LNK };
	const struct walk_name n = { e->name, e->ref & 0xffffffffffff, types[e->kind] };

	return take(arg, &n);
}

/* On a volume that is not mounted. What cannot be read of its index is an error of the directory. */
static void list_volume(struct listing *l)
{
	unsigned lost = 0;
	int ret = reach_volume_dir(&l->w->spool->reach, l->dir, take_entry, l, &lost);

	if (ret == 0 && lost > 0)
		ret = -EUCLEAN;
	if (ret < 0 && ret != -ENOENT)
		l->w->sink->error(l->w->sink->arg, l->dir, -ret);
}

static void list_dir(struct listing *l)
{
	int fd = open_beneath(l->w->spool->root, l->dir, O_RDONLY | O_DIRECTORY);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (d == NULL) {
		if (fd != -ENOENT)
			l->w->sink->error(l->w->sink->arg, l->dir, fd < 0 ? -fd : errno);
		return;
	}
	errno = 0;
	while (l->more && (e = readdir(d)) != NULL) {
		const struct walk_name n = { e->d_name, e->d_ino, e->d_type };

		if (strcmp(n.name, ".") != 0 && strcmp(n.name, "..") != 0)
			take(l, &n);
		errno = 0;
	}
	if (l->more && errno != 0)
		l->w->sink->error(l->w->sink->arg, l->dir, errno);
	closedir(d);
}

static bool walk_dir(struct walk *w, unsigned depth, const char *dir)
{
	struct listing l = { .w = w, .depth = depth, .dir = dir, .more = true };

	if (spool_excludes(w->spool, dir))
		return true;
	l.below = g_ptr_array_new_with_free_func(g_free);
	if (spool_on_volume(w->spool))
		list_volume(&l);
	else
		list_dir(&l);
	l.more = l.more && emit(w, depth, dir);
	for (guint i = 0; l.more && i < l.below->len; i++)
		l.more = walk_dir(w, depth + 1, l.below->pdata[i]);
	g_ptr_array_free(l.below, TRUE);
	return l.more;
}

bool walk_place(const struct spool *spool, unsigned place, const struct walk_sink *sink)
{
	struct walk w = { spool, place, sink, g_new(struct chunk, 1) };
	bool more;

	w.chunk->used = w.chunk->count = 0;
	more = walk_dir(&w, 0, spool->format->places[place].name);
	g_free(w.chunk);
	return more;
}
