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

static bool add(struct walk *w, unsigned depth, const char *dir, const struct dirent *e)
{
	struct chunk *c = w->chunk;
	size_t len = strlen(e->d_name) + 1;

	if ((c->count == CHUNK_NAMES || len > CHUNK_BYTES - c->used) && !emit(w, depth, dir))
		return false;
	memcpy(c->bytes + c->used, e->d_name, len);
	c->names[c->count++] = (struct walk_name){ c->bytes + c->used, e->d_ino, e->d_type };
	c->used += len;
	return true;
}

/* Is this entry a hash directory? Servers go by the length of the name and never
 * stat; we do not call a file a directory, though. */
static bool is_hash_dir(const struct place *place, unsigned depth, const struct dirent *e)
{
	return depth < place->depth_max && (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN) &&
	       (!place->hash_dir_one || e->d_name[1] == '\0');
}

static bool walk_dir(struct walk *w, unsigned depth, const char *dir)
{
	const struct place *place = &w->spool->format->places[w->place];
	GPtrArray *below;
	int fd;
	DIR *d;
	struct dirent *e;
	bool more = true;

	if (spool_excludes(w->spool, dir))
		return true;
	below = g_ptr_array_new_with_free_func(g_free);
	fd = open_beneath(w->spool->root, dir, O_RDONLY | O_DIRECTORY);
	d = fd >= 0 ? fdopendir(fd) : NULL;
	if (d == NULL) {
		if (fd != -ENOENT)
			w->sink->error(w->sink->arg, dir, fd < 0 ? -fd : errno);
		g_ptr_array_free(below, TRUE);
		return true;
	}
	errno = 0;
	while (more && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (is_hash_dir(place, depth, e))
			g_ptr_array_add(below, g_strconcat(dir, "/", e->d_name, NULL));
		else
			more = add(w, depth, dir, e);
		errno = 0;
	}
	if (more && errno != 0)
		w->sink->error(w->sink->arg, dir, errno);
	closedir(d);
	more = more && emit(w, depth, dir);
	for (guint i = 0; more && i < below->len; i++)
		more = walk_dir(w, depth + 1, below->pdata[i]);
	g_ptr_array_free(below, TRUE);
	return more;
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
