/*
 * partpath.c - where the other parts of a message lie
 *
 * A format says where a part belongs. When that is the directory of the anchor, what counts
 * is where the anchor really is: a message may lie in a hash directory that is not its own,
 * in a directory that somebody looks at outside of a spool, or have moved meanwhile.
 */
#include "config.h"

#include "partpath.h"

#include <limits.h>
#include <string.h>

/* Bytes of the directory in `path`, with its slash. */
static size_t dir_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? (size_t)(slash + 1 - path) : 0;
}

size_t format_path(const struct format *f, const struct site *s, unsigned place, unsigned role,
		   const char *id, size_t id_len, unsigned depth, char *buf, size_t cap)
{
	size_t len = f->path_at != NULL ? f->path_at(s, place, role, id, id_len, buf, cap) :
					  f->path_of(place, role, id, id_len, depth, buf, cap);

	if (f->any_case && len > 0) /* as it is spelled here; the same letters */
		memcpy(buf, f->places[place].name, strlen(f->places[place].name));
	return len;
}

/* A part has its extension in the case of that of its message: .bdr beside .bad. */
static void respell_extension(const char *anchor, char *path)
{
	const char *from = strrchr(anchor, '.');
	char *to = strrchr(path, '.');

	for (; from != NULL && to != NULL && *from != '\0' && *to != '\0'; from++, to++)
		if (*from >= 'a' && *from <= 'z' && *to >= 'A' && *to <= 'Z')
			*to = (char)(*to - 'A' + 'a');
}

bool part_path(const struct format *f, const struct site *s, unsigned place, unsigned role,
	       const char *id, size_t id_len, unsigned depth, const char *anchor, char *buf, size_t cap)
{
	size_t len = format_path(f, s, place, role, id, id_len, depth, buf, cap);
	size_t dir, real = dir_length(anchor);
	char home[PATH_MAX];

	if (len == 0)
		return false;
	dir = dir_length(buf);
	if (format_path(f, s, place, 0, id, id_len, depth, home, sizeof home) == 0 ||
	    dir_length(home) != dir || memcmp(home, buf, dir) != 0)
		return true;
	if (real + (len - dir) >= cap)
		return false;
	memmove(buf + real, buf + dir, len - dir + 1);
	memcpy(buf, anchor, real);
	if (f->any_case)
		respell_extension(anchor, buf);
	return true;
}
