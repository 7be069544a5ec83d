/*
 * command_quarantine.h - what the files of `spoolck quarantine` share
 */
#ifndef COMMAND_QUARANTINE_H
#define COMMAND_QUARANTINE_H

#include "command.h"
#include "entry.h"
#include "log.h"
#include "quarantine.h"
#include "told.h"

/* The options of all its verbs. */
struct quarantine_options {
	struct common common;
	char *reason, *to, *spool, *finding, *sender, *older_than, *keep_free, *expire, *output;
	gboolean force, no_accept, wake, yes, undo, redact, retention;
};
extern struct quarantine_options qo;

/* To standard output, escaped for eyes; say() with a newline. For people only: see told.h for what a program gets, too. */
void put(const char *s);
void say(const char *line);
/* For q_recover(): told and logged; `arg` is the path of the spool, or NULL. */
void say_recovered(void *arg, const char *line);
/* A text of a manifest: it is escaped already, but not for eyes. */
void put_text(const json_t *j, const char *key);

/* The store; exits with a sentence when there is none. */
struct q_store *quarantine_store(bool create);

/* The entry that a word names (g_free), or NULL after saying why. */
char *entry_of(struct q_store *store, const char *word);
/* The same with its manifest (json_decref). */
char *manifest_of(struct q_store *store, const char *word, json_t **manifest_r);

/* Lock the spool at `path` and finish what an earlier run left: a descriptor of its root, or -1 after
 * saying why. */
int quarantine_lock(struct q_store *store, const char *path);

/* Does the entry pass --spool, --finding, --sender and --older-than? */
bool quarantine_wants(const json_t *manifest);
/* When was it moved: seconds since 1970, 0 = unknown. */
gint64 quarantine_time(const json_t *manifest);
/* --older-than and its like: "30d", "12h"; seconds, or -1. */
gint64 quarantine_age(const char *text);

/* Log an action on an entry. */
void quarantine_log(const char *verb, const char *entry, const json_t *manifest, const char *from,
		    const char *to);

int quarantine_list(char **words);
int quarantine_show(char **words);
int quarantine_verify(char **words);
int quarantine_add(char **words);
int quarantine_accept(char **words);
int quarantine_restore(char **words);
int quarantine_recover(char **words);
int quarantine_purge(char **words);
int quarantine_keep(char **words);
int quarantine_export(char **words);

/* export --redact of one entry. */
int quarantine_redact(struct q_store *store, const char *entry, const json_t *manifest, int zygote);

#endif
