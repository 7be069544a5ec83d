/*
 * units.h - times and sizes as people write them
 *
 * One way on the command line and in the configuration file. A number may have a
 * fraction; the unit is one letter behind it.
 */
#ifndef UNITS_H
#define UNITS_H

#include <glib.h>

/* "30s", "5m", "2h", "90d" or plain seconds: microseconds, 0 to 100,000 days. -1 when it is
 * none of these. */
gint64 units_time(const char *text);

/* "500K", "20M", "2G", "1T" (powers of 1024) or plain bytes: bytes, up to 1 PiB. -1 when it is
 * none of these. */
gint64 units_size(const char *text);

/* The shortest text that means exactly as much (g_free). */
char *units_time_text(gint64 usec);
char *units_size_text(gint64 bytes);

/* Does it end with a unit? A bare "90" is easily meant for days and read as seconds. */
gboolean units_has_unit(const char *text);

#endif
