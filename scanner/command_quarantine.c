/*
 * command_quarantine.c - `spoolck quarantine VERB`: options, and what the verbs share
 *
 * Words in, calls to quarantine/ and sentences out. The verbs are in
 * command_quarantine_look.c (list, show, verify), command_quarantine_move.c (add, accept, restore,
 * recover), command_quarantine_purge.c (purge, keep) and command_quarantine_export.c. Whatever touches a spool holds its lock, and finishes earlier interrupted moves first.
 */
#include "config.h"

#include "command_quarantine.h"

#include "act.h"
#include "escape.h"
#include "units.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct quarantine_options qo;

void put(const char *s)
{
	g_autofree char *safe = escape_eyes(s, strlen(s));

	fputs(safe, stdout);
}

void say(const char *line)
{
	put(line);
	putchar('\n');
}

void say_recovered(void *arg, const char *line)
{
	told_text(NULL, line);
	log_recovered(arg, line);
}

void put_text(const json_t *j, const char *key)
{
	g_autofree char *bytes = bytes_of(j, key);

	put(bytes != NULL ? bytes : text_of(j, key));
}

struct q_store *quarantine_store(bool create)
{
	struct q_error err = { "" };
	struct q_store *store;

	if (q_store_open(qo.common.store, create, &store, &err) < 0)
		exit(command_failed("%s", err.text));
	return store;
}

char *entry_of(struct q_store *store, const char *word)
{
	struct q_error err = { "" };
	char *entry;

	if (q_find(store, word, &entry, &err) == 0)
		return entry;
	command_failed("%s", err.text);
	return NULL;
}

char *manifest_of(struct q_store *store, const char *word, json_t **manifest_r)
{
	struct q_error err = { "" };
	char *entry = entry_of(store, word);

	if (entry != NULL && q_manifest(store, entry, manifest_r, &err) < 0) {
		command_failed("%s", err.text);
		g_clear_pointer(&entry, free);
	}
	return entry;
}

int quarantine_lock(struct q_store *store, const char *path)
{
	struct q_error err = { "" };
	int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (root < 0) {
		command_failed("%s: %s", path, g_strerror(errno));
		return -1;
	}
	if (q_lock(root, LOCK_WAIT_MS, &err) < 0 || q_recover(store, path, say_recovered, (char *)(size_t)path,
							       &err) < 0) {
		command_failed("%s", err.text);
		close(root);
		return -1;
	}
	return root;
}

gint64 quarantine_age(const char *text)
{
	gint64 time = units_time(text);

	return time < 0 ? -1 : time / G_USEC_PER_SEC;
}

gint64 quarantine_time(const json_t *manifest)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text_of(manifest, "time"), NULL);

	return time != NULL ? g_date_time_to_unix(time) : 0;
}

/* A spool is named by its path, or by any other path of the same directory. */
static bool same_spool(const json_t *manifest, const char *want)
{
	g_autofree char *path = bytes_of(manifest, "spool");
	const char *colon = strchr(want, ':');
	char *a, *b;
	bool same;

	if (path == NULL)
		return false;
	if (colon != NULL && colon[1] == '/')
		want = colon + 1;
	if (strcmp(path, want) == 0 || strcmp(text_of(manifest, "format"), want) == 0)
		return true;
	a = realpath(path, NULL);
	b = realpath(want, NULL);
	same = a != NULL && b != NULL && strcmp(a, b) == 0;
	free(a);
	free(b);
	return same;
}

static bool has_finding(const json_t *manifest, const char *want)
{
	const json_t *f;
	size_t i;

	json_array_foreach(json_object_get(manifest, "findings"), i, f)
		if (strcmp(text_of(f, "name"), want) == 0)
			return true;
	return false;
}

bool quarantine_wants(const json_t *manifest)
{
	const json_t *envelope = json_object_get(manifest, "envelope");

	if (qo.spool != NULL && !same_spool(manifest, qo.spool))
		return false;
	if (qo.finding != NULL && !has_finding(manifest, qo.finding))
		return false;
	if (qo.sender != NULL) {
		g_autofree char *sender = bytes_of(envelope, "sender");

		if (sender == NULL || g_ascii_strcasecmp(sender, qo.sender) != 0)
			return false;
	}
	return qo.older_than == NULL ||
	       quarantine_time(manifest) <= time(NULL) - quarantine_age(qo.older_than);
}

void quarantine_log(const char *verb, const char *entry, const json_t *manifest, const char *from,
		    const char *to)
{
	entry_log(verb, entry, manifest, from, to, qo.reason);
}

static const struct {
	const char *name;
	int (*run)(char **words);
} verbs[] = {
	{ "list", quarantine_list },	   { "show", quarantine_show },
	{ "add", quarantine_add },	   { "restore", quarantine_restore },
	{ "accept", quarantine_accept },   { "verify", quarantine_verify },
	{ "recover", quarantine_recover }, { "purge", quarantine_purge },
	{ "keep", quarantine_keep },	   { "export", quarantine_export },
};

/* "list, show, add": for sentences. */
static char *verb_names(const char *between)
{
	GString *names = g_string_new(NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
		g_string_append_printf(names, "%s%s", i > 0 ? between : "", verbs[i].name);
	return g_string_free(names, FALSE);
}

int command_quarantine(char **argv)
{
	static const GOptionEntry entries[] = {
		{ "reason", 0, 0, G_OPTION_ARG_STRING, &qo.reason, "Why, for manifest and log", "TEXT" },
		{ "to", 0, 0, G_OPTION_ARG_FILENAME, &qo.to,
		  "restore: another directory or path in the spool", "PATH" },
		{ "force", 0, 0, G_OPTION_ARG_NONE, &qo.force,
		  "restore, accept: even what stops the server; restore: even a second copy; add: even into a full store", NULL },
		{ "no-accept", 0, 0, G_OPTION_ARG_NONE, &qo.no_accept,
		  "restore: do not record that it is accepted as it is", NULL },
		{ "wake", 0, 0, G_OPTION_ARG_NONE, &qo.wake, "restore: have the server look at it", NULL },
		{ "undo", 0, 0, G_OPTION_ARG_NONE, &qo.undo, "accept, keep: no longer", NULL },
		{ "expire", 0, 0, G_OPTION_ARG_STRING, &qo.expire,
		  "accept, restore: until when it is accepted (180d; never)", "TIME" },
		{ "spool", 0, 0, G_OPTION_ARG_FILENAME, &qo.spool, "Only entries of this spool", "SPOOL" },
		{ "finding", 0, 0, G_OPTION_ARG_STRING, &qo.finding, "Only with this finding", "NAME" },
		{ "sender", 0, 0, G_OPTION_ARG_STRING, &qo.sender, "Only from this sender", "ADDRESS" },
		{ "older-than", 0, 0, G_OPTION_ARG_STRING, &qo.older_than,
		  "Only what was moved before this time (30d, 12h)", "TIME" },
		{ "keep-free", 0, 0, G_OPTION_ARG_STRING, &qo.keep_free,
		  "purge: the oldest, until so much is free (500M, 2G, 10%)", "SIZE" },
		{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &qo.output,
		  "export: the directory to write to (.)", "DIR" },
		{ "redact", 0, 0, G_OPTION_ARG_NONE, &qo.redact,
		  "export: text and addresses masked, the findings the same: for a stranger", NULL },
		{ "yes", 0, 0, G_OPTION_ARG_NONE, &qo.yes, "purge: do not ask", NULL },
		{ "retention", 0, 0, G_OPTION_ARG_NONE, &qo.retention,
		  "purge: what retain= and max-size= of the configuration let go", NULL },
		G_OPTION_ENTRY_NULL
	};
	g_autofree char *names = verb_names("|");
	g_autofree char *summary = g_strdup_printf("%s [WORD...]", names);
	g_auto(GStrv) words = command_options(argv, summary, entries, &qo.common);

	if (words[0] == NULL)
		return command_usage("quarantine: which of %s?", names);
	if (qo.older_than != NULL && quarantine_age(qo.older_than) < 0)
		return command_usage("--older-than %s: a time such as 30d or 12h", qo.older_than);
	if (qo.expire != NULL && strcmp(qo.expire, "never") != 0 && quarantine_age(qo.expire) <= 0)
		return command_usage("--expire %s: a time such as 30d, or never", qo.expire);
	if (qo.common.json)
		told_as_json();
	for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
		if (strcmp(words[0], verbs[i].name) == 0)
			return verbs[i].run(words + 1);
	return command_usage("quarantine %s: no such verb", words[0]);
}
