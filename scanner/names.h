/*
 * names.h - from paths below the root to what a format reads in them
 */
#ifndef NAMES_H
#define NAMES_H

#include "format.h"

/* `path` (below the spool's root; its place may be ".", the root itself) without the name of its place in front. */
const char *below_place(const struct format *format, unsigned place, const char *path);

/* What the file at `path` (below the root) is. The id lies inside `path`. */
struct name name_of(const struct format *format, unsigned place, const char *path);

/* The file's name alone. */
const char *base_of(const char *path);

/* The path of the entry `name` of `dir`, which may be "." (the root). g_free. */
char *path_in(const char *dir, const char *name);

/* Is the part a named stream that nobody configured? No server is known to read it: nothing about it is more than a notice. */
bool stream_unknown(const struct format *format, const struct site *site, unsigned role);

/* How many bytes of an id name the message wherever it lies. */
size_t stem_of(const struct format *format, const char *id, size_t len);

#endif
