/* names.c - from paths below the root to what a format reads in them */
#include "config.h"

#include "names.h"

#include <glib.h>
#include <string.h>

const char *below_place(const struct format *format, unsigned place, const char *path)
{
	const char *name = format->places[place].name;
	size_t n = strlen(name);

	return strncmp(path, name, n) == 0 && path[n] == '/' ? path + n + 1 : path;
}

struct name name_of(const struct format *format, unsigned place, const char *path)
{
	return format->id_of(place, below_place(format, place, path));
}

const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

char *path_in(const char *dir, const char *name)
{
	return strcmp(dir, ".") == 0 ? g_strdup(name) : g_strconcat(dir, "/", name, NULL);
}

bool stream_unknown(const struct format *format, const struct site *site, unsigned role)
{
	unsigned before = 0;

	for (unsigned i = 0; i < role; i++)
		before += format->roles[i].stream;
	return format->roles[role].stream && before >= site->streams_known;
}

size_t stem_of(const struct format *format, const char *id, size_t len)
{
	return format->stem != NULL ? format->stem(id, len) : len;
}
