/*
 * salvage.h - the text of one message, as far as it can be reached
 *
 * Of an entry of the quarantine, or of a message that still lies in a spool, which may be on a volume that is not
 * mounted. Where the text lies is said by a confined worker (the format's body()); the bytes are copied from
 * the parts without being looked at.
 */
#ifndef SALVAGE_H
#define SALVAGE_H

#include "quarantine.h"
#include "scan.h"

#include <stdio.h>

struct salvage;

/* Lay out the entry for looking at it; `zygote` < 0: without its text. NULL with a sentence in err. */
struct salvage *salvage_open(struct q_store *store, const char *entry, const json_t *manifest,
			     int zygote, struct q_error *err);
/* The same in an empty directory of the caller's, where it stays when it is closed. */
struct salvage *salvage_open_in(struct q_store *store, const char *entry, const json_t *manifest,
				int zygote, const char *where, struct q_error *err);
/* The message of `o` (id, path, place), read where it lies, neither locked nor altered; the spool stays the caller's and has to
 * outlive it. NULL with a sentence in err: its first part cannot be opened. */
struct salvage *salvage_message(struct spool *spool, const struct outcome *o, int zygote, struct q_error *err);
void salvage_close(struct salvage *s);
/* False: a part has changed since it was opened, so what was read may be half of this and half of that. */
bool salvage_unchanged(const struct salvage *s);

/* What a worker that sees nothing else says of the layout as it is now (outcome_free); its report is NULL
 * when it could not be checked. NULL: nobody can be asked. */
struct outcome *salvage_check(const struct salvage *s);
const struct spool *salvage_spool(const struct salvage *s);

/* The rows of the annotated listing, one by one; row->part is a role. False when there was no end. */
typedef void salvage_row(void *arg, const struct row *row);
bool salvage_rows(const struct salvage *s, salvage_row *on_row, void *arg);

/* What came of the text. */
struct salvage_text {
	bool reached;      /* a worker told where it is, to the end of what can be read */
	guint64 bytes;
	guint64 ends[PARTS_MAX]; /* by role: offset in the part behind the last byte of text, 0 = it
				  * holds none */
	char *why;         /* when not reached (g_free) */
};

/* Copy the text to `out`, at most `max` bytes of it. */
void salvage_text(struct salvage *s, FILE *out, guint64 max, struct salvage_text *text_r);

/* Does the part at `path` hold text, and all of it before `offset`? */
bool salvage_text_before(const struct salvage *s, const struct salvage_text *text, const char *path,
			 guint64 offset);

/* The recipients that still have to get it: an array of strings as JSON wants them. *cut_r: one was too
 * long to be told whole. */
json_t *salvage_recipients(struct salvage *s, bool *cut_r);

/* Up to `cap` bytes of the part at `path` from `offset`; how many there were. */
size_t salvage_bytes(const struct salvage *s, const char *path, guint64 offset, guint8 *buf,
		     size_t cap);

/* The named streams of the first part: 0 or a negative errno. None is seen where reach_sees() says so. */
int salvage_streams(const struct salvage *s, struct reach_streams *streams_r);
/* Copy one of them: 0 or a negative errno of reading; -E2BIG as reach_facts(). */
int salvage_stream(const struct salvage *s, const char *stream, FILE *out);

#endif
