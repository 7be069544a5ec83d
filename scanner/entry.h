/*
 * entry.h - what stands in the manifest of an entry, and its line in the log
 */
#ifndef ENTRY_H
#define ENTRY_H

#include <jansson.h>

/* A text of a manifest as it stands there (escaped), "-" when it is missing. */
const char *text_of(const json_t *j, const char *key);
/* The bytes that it stands for (g_free), NULL when it is missing or damaged. */
char *bytes_of(const json_t *j, const char *key);
/* The name of the first finding, else NULL. */
const char *finding_of(const json_t *manifest);

/* Log an action on an entry. NULL: from the entry, to its path in the spool; no reason. */
void entry_log(const char *verb, const char *entry, const json_t *manifest, const char *from,
	       const char *to, const char *reason);

#endif
