/*
 * host.h - what this host's installations say of themselves
 */
#ifndef HOST_H
#define HOST_H

#include "format.h"

#include <glib.h>

#define ROOTS_MAX 256 /* spools of one server that are believed; a wildcard can match anything */

/* Where the spools of formats[index] are on this host: directories that exist, each once, as
 * paths that stay valid. The first *configured_r are what the installation says; the others are usual
 * places, which may belong to somebody else. Starts no daemon. */
const GPtrArray *host_roots(unsigned index, unsigned *configured_r);

/* The same for any format, looked for anew (g_ptr_array_free). */
GPtrArray *host_look(const struct format *format, unsigned *configured_r);

/* The first value that `source` gives, g_free, or NULL. */
char *host_value(const struct source *source);

/* "4d", "1w12h", "90" in seconds; false when it is no time. */
bool host_duration(const char *text, uint64_t *seconds_r);

#endif
