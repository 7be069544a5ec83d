/*
 * told.h - what a verb of `spoolck quarantine` did, one event of JSON for each message
 *
 * With --format json the sentences that people would read are kept, and leave together as the `texts` of an event
 * "action" (spoolck-json(5)). Without it nothing here does anything, except that told_text() prints.
 */
#ifndef TOLD_H
#define TOLD_H

#include <jansson.h>
#include <stdbool.h>

/* Events are wanted. */
void told_as_json(void);
bool told_is_json(void);

/* Begin with one message, or with a verb that is about none in particular. It has failed until told_result(). */
void told_begin(const char *verb);

/* Which entry it is, and what its manifest says of spool, format and id (NULL: nothing). */
void told_entry(const char *entry, const json_t *manifest);
/* The same for a message that has no entry: the id as bytes. */
void told_message(const char *spool, const char *format, const char *id);

/* "done", "sound", "damaged": how it ended. */
void told_result(const char *result);

/* Where it went, as bytes below the spool; the command that makes the server look (NULL: it does of itself). */
void told_restored(const char *path, const char *wake);

/* A sentence, not escaped: of q_say, so `arg` is unused. */
void told_text(void *arg, const char *line);

/* There is nothing to tell yet: no event comes of it. */
void told_forget(void);

/* The event, if one was begun. */
void told_end(void);

#endif
