/*
 * maillog.h - the lines that were logged since the last look: files, and the journal
 *
 * Bounded: so many bytes of a file, so many lines of the journal; the newest are read, what is older is left
 * out. Lines are bytes of strangers.
 */
#ifndef MAILLOG_H
#define MAILLOG_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* `old`: the last time it was handed out as new; some such lines come first, for a death is told in two lines. */
typedef void maillog_line(void *arg, const char *source, const uint8_t *line, size_t len, bool old);

/* Lines of the file behind `position`, which an earlier call gave; NULL: of its last megabytes. When another file has its name
 * now, the rest of the old one comes first, whatever it is called since, if it lies in the same directory and is not
 * compressed; one that was cut short begins anew. *position_r (g_free) is for the next time; a last line without an end is
 * left for it. 0, or -errno: no lines, and *position_r is NULL. */
int maillog_file(const char *path, const char *position, maillog_line *line, void *arg, char **position_r);

/* Has this host a journal? */
bool maillog_has_journal(void);

/* Lines of the journal (the newest first; none is called old) that may tell of a daemon's death, from `since` up to but without `until` (seconds since 1970).
 * False: journalctl did not answer in time. */
bool maillog_journal(gint64 since, gint64 until, maillog_line *line, void *arg);

#endif
