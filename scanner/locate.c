/* locate.c - where a message lies now */
#include "config.h"

#include "locate.h"

#include "beneath.h"
#include "names.h"
#include "partpath.h"
#include "reach_volume.h"
#include "scan.h"
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

bool stat_beneath(const struct spool *spool, const char *path, struct stat *st)
{
	bool ok;
	int fd;

	if (spool_on_volume(spool)) {
		errno = -reach_volume_stat(&spool->reach, path, st);
		return errno == 0;
	}
	fd = open_beneath(spool->root, path, O_PATH);
	ok = fd >= 0 && fstat(fd, st) == 0;
	if (fd >= 0)
		close(fd);
	else
		errno = -fd;
	return ok;
}

bool find_message(const struct spool *spool, const char *id, size_t len, uint64_t ino,
		  unsigned *place_r, char *path, size_t cap, struct stat *st)
{
	const struct format *f = spool->format;

	for (unsigned p = 0; p < f->nplaces; p++)
		for (unsigned d = 0; f->places[p].kind != PLACE_LOG && d <= f->places[p].depth_max; d++)
			if (format_path(f, &spool->site, p, 0, id, len, d, path, cap) != 0 &&
			    stat_beneath(spool, path, st) && st->st_ino != ino) {
				*place_r = p;
				return true;
			}
	return false;
}

/* A search by the part of the id that stays the same. */
struct stem_search {
	const struct spool *spool;
	const char *id;
	size_t len;
	char *path;
	unsigned place;
};

static bool on_stem(void *arg, unsigned place, unsigned depth, const char *dir,
		    const struct walk_name *names, size_t n)
{
	struct stem_search *s = arg;
	const struct format *f = s->spool->format;

	(void)depth;
	for (size_t i = 0; i < n && s->path == NULL; i++) {
		g_autofree char *path = g_strconcat(dir, "/", names[i].name, NULL);
		struct name name = name_of(f, place, path);

		if (name.kind == NAME_MESSAGE && stem_of(f, name.id, name.id_len) == s->len &&
		    memcmp(name.id, s->id, s->len) == 0) {
			s->place = place;
			s->path = g_steal_pointer(&path);
		}
	}
	return s->path == NULL;
}

static void stem_error(void *arg, const char *dir, int error)
{
	(void)arg, (void)dir, (void)error;
}

/* The same as find_message() for a server whose ids change: the first place that has it. */
static bool find_stem(const struct spool *spool, const char *id, unsigned *place_r, char *path,
		      size_t cap, struct stat *st)
{
	struct stem_search s = { .spool = spool, .id = id,
				 .len = stem_of(spool->format, id, strlen(id)) };
	const struct walk_sink sink = { on_stem, stem_error, &s };
	bool found;

	for (unsigned p = 0; p < spool->format->nplaces && s.path == NULL && s.len > 0; p++)
		if (spool->format->places[p].kind != PLACE_LOG)
			walk_place(spool, p, &sink);
	found = s.path != NULL && g_strlcpy(path, s.path, cap) < cap && stat_beneath(spool, path, st);
	*place_r = s.place;
	g_free(s.path);
	return found;
}

struct outcome *spool_locate(const struct spool *spool, const char *id)
{
	bool changes = spool->format->stem != NULL;
	char path[PATH_MAX];
	struct outcome *o;
	struct name name;
	struct stat st;
	unsigned place;

	if (changes ? !find_stem(spool, id, &place, path, sizeof path, &st) :
		      !find_message(spool, id, strlen(id), 0, &place, path, sizeof path, &st))
		return NULL;
	o = g_new0(struct outcome, 1);
	o->place = place;
	o->path = g_strdup(path);
	name = name_of(spool->format, place, path);
	o->id = changes ? g_strndup(name.id, name.id_len) : g_strdup(id);
	o->facts = (struct file_facts){ st.st_dev, st.st_ino, (uint64_t)st.st_size, st.st_mtim,
					st.st_ctim, st.st_mode, st.st_uid, st.st_gid,
					(uint32_t)st.st_nlink, 0 };
	return o;
}
