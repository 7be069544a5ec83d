/*
 * escape.h - bytes made printable
 *
 * Any bytes go in; what comes out is valid UTF-8 without controls and is
 * inverted by escape_undo(). Results are the caller's (g_free).
 */
#ifndef ESCAPE_H
#define ESCAPE_H

#include <stddef.h>

/* For JSON, before its own quoting: `\` is doubled, each byte that is a control or not
 * valid UTF-8 becomes \xNN. */
char *escape_json(const void *bytes, size_t len);

/* For terminals, logs and summaries: C1, bidirectional and invisible characters, too. */
char *escape_eyes(const void *bytes, size_t len);

/* The bytes that escape_json() or escape_eyes() made `text` from, terminated, their count in *len_r;
 * NULL when neither writes such a text. */
char *escape_undo(const char *text, size_t *len_r);

/* A piece of a file name: harmless characters, others as %NN; no ':' and no slash. What is longer than `max` bytes (at least 34)
 * keeps its beginning and gets "%~" and 32 digits of its SHA-256. */
char *escape_name(const char *bytes, size_t len, size_t max);

#endif
