/* partpath.h - where the other parts of a message lie */
#ifndef PARTPATH_H
#define PARTPATH_H

#include "format.h"

/* path_of() of the format, or path_at() with what is known of the site. */
size_t format_path(const struct format *f, const struct site *s, unsigned place, unsigned role,
		   const char *id, size_t id_len, unsigned depth, char *buf, size_t cap);

/* The path below the spool's root of the part `role` of the message whose anchor is at
 * `anchor`: beside it when the format keeps both in one directory (wherever that one is),
 * else where the format says, with `depth` hash directories. False when there is none. */
bool part_path(const struct format *f, const struct site *s, unsigned place, unsigned role,
	       const char *id, size_t id_len, unsigned depth, const char *anchor, char *buf, size_t cap);

#endif
