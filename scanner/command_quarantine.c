/*
 * command_quarantine.c - `spoolck quarantine list|show|add|restore|verify|recover`
 *
 * Words in, calls to quarantine/ and sentences out. Whatever touches a spool holds its
 * lock, and finishes earlier interrupted moves first.
 */
#include "config.h"

#include "act.h"
#include "command.h"
#include "escape.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct common common;
static char *reason;

static void put(const char *s)
{
	g_autofree char *safe = escape_eyes(s, strlen(s));

	fputs(safe, stdout);
}

static void say(void *arg, const char *line)
{
	(void)arg;
	put(line);
	putchar('\n');
}

static struct q_store *store_open(void)
{
	struct q_error err = { "" };
	struct q_store *store;

	if (q_store_open(common.store, false, &store, &err) < 0)
		exit(command_failed("%s", err.text));
	return store;
}

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "-";
}

/* --- Looking ---------------------------------------------------------------------- */

/* One line of the table, or one object; the name of the first finding says why. */
static void list_one(const char *name, const json_t *manifest)
{
	const json_t *finding = json_array_get(json_object_get(manifest, "findings"), 0);

	if (common.json) {
		json_t *j = json_copy((json_t *)(size_t)manifest);
		g_autofree char *entry = escape_json(name, strlen(name));

		json_object_set_new(j, "event", json_string("entry"));
		json_object_set_new(j, "entry", json_string(entry));
		json_dumpf(j, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
		putchar('\n');
		json_decref(j);
		return;
	}
	put(name);
	fputs("  ", stdout);
	put(text_of(manifest, "spool"));
	fputs("  ", stdout);
	put(finding != NULL ? text_of(finding, "name") : text_of(manifest, "reason"));
	putchar('\n');
}

static int do_list(char **words)
{
	struct q_store *store;
	struct q_error err = { "" };
	char **names;
	int status = 0;

	if (*words != NULL)
		return command_usage("quarantine list: takes no words");
	store = store_open();
	if (q_entries(store, &names, &err) < 0)
		return command_failed("%s", err.text);
	for (char **name = names; *name != NULL; name++) {
		json_t *manifest;

		if (q_manifest(store, *name, &manifest, &err) < 0) {
			status |= command_failed("%s", err.text);
			continue;
		}
		list_one(*name, manifest);
		json_decref(manifest);
	}
	if (*names == NULL && !common.json && !common.quiet)
		puts("The quarantine is empty.");
	g_strfreev(names);
	q_store_close(store);
	return status;
}

/* The entry that a word names, or NULL after saying why. */
static char *entry_of(struct q_store *store, const char *word)
{
	struct q_error err = { "" };
	char *entry;

	if (q_find(store, word, &entry, &err) == 0)
		return entry;
	command_failed("%s", err.text);
	return NULL;
}

static void show_text(const char *entry, const json_t *m)
{
	static const char *const keys[] = { "time", "spool", "format", "id", "state", "reason" };
	const json_t *f, *p;
	size_t i;

	put(entry);
	putchar('\n');
	for (i = 0; i < G_N_ELEMENTS(keys); i++) {
		printf("  %-8s ", keys[i]);
		put(text_of(m, keys[i]));
		putchar('\n');
	}
	json_array_foreach(json_object_get(m, "parts"), i, p) {
		fputs("  part     ", stdout);
		put(text_of(p, "path"));
		printf("  %" JSON_INTEGER_FORMAT " bytes  sha256 ",
		       json_integer_value(json_object_get(p, "size")));
		put(text_of(p, "sha256"));
		putchar('\n');
	}
	json_array_foreach(json_object_get(m, "findings"), i, f) {
		fputs("  finding  ", stdout);
		put(text_of(f, "text"));
		printf(" (byte %" JSON_INTEGER_FORMAT ")  [",
		       json_integer_value(json_object_get(f, "offset")));
		put(text_of(f, "name"));
		puts("]");
	}
}

static int do_show(char **words)
{
	struct q_store *store;
	int status = 0;

	if (*words == NULL)
		return command_usage("quarantine show: which entry or queue id?");
	store = store_open();
	for (; *words != NULL; words++) {
		g_autofree char *entry = entry_of(store, *words);
		struct q_error err = { "" };
		json_t *manifest;

		if (entry == NULL) {
			status = EXIT_FAILED;
			continue;
		}
		if (q_manifest(store, entry, &manifest, &err) < 0) {
			status = command_failed("%s", err.text);
			continue;
		}
		if (common.json)
			list_one(entry, manifest);
		else
			show_text(entry, manifest);
		json_decref(manifest);
	}
	q_store_close(store);
	return status;
}

static int do_verify(char **words)
{
	struct q_store *store = store_open();
	struct q_error err = { "" };
	g_auto(GStrv) all = NULL;
	int status = 0;

	if (*words == NULL) {
		if (q_entries(store, &all, &err) < 0)
			return command_failed("%s", err.text);
		words = all;
	}
	for (; *words != NULL; words++) {
		g_autofree char *entry = entry_of(store, *words);
		int bad = entry != NULL ? q_verify(store, entry, say, NULL, &err) : -ENOENT;

		if (bad < 0 && entry != NULL)
			command_failed("%s", err.text);
		if (bad != 0)
			status |= bad < 0 ? EXIT_FAILED : EXIT_LEFT;
		else if (!common.quiet) {
			put(entry);
			puts(": sound");
		}
	}
	q_store_close(store);
	return status;
}

/* --- Moving ------------------------------------------------------------------------ */

/* Finish what an earlier run left in the spool; the lock is held. */
static int recover(struct q_store *store, const char *spool)
{
	struct q_error err = { "" };

	return q_recover(store, spool, say, NULL, &err) < 0 ? command_failed("%s", err.text) : 0;
}

/* Lock the spool at `path`; the descriptor of its root, or -1 after saying why. */
static int lock_spool(const char *path)
{
	struct q_error err = { "" };
	int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (root < 0) {
		command_failed("%s: %s", path, g_strerror(errno));
		return -1;
	}
	if (q_lock(root, LOCK_WAIT_MS, &err) < 0) {
		command_failed("%s", err.text);
		close(root);
		return -1;
	}
	return root;
}

/* What to tell the server when a message came back. */
static void restored(const json_t *manifest)
{
	const char *format = text_of(manifest, "format");
	int index = format_by_name(format, strlen(format));

	fputs("restored: ", stdout);
	put(text_of(manifest, "id"));
	putchar('\n');
	if (index >= 0 && formats[index]->restore_note != NULL)
		printf("  %s\n", formats[index]->restore_note);
}

static int restore_one(struct q_store *store, const char *word)
{
	g_autofree char *entry = entry_of(store, word);
	g_autofree char *spool = NULL;
	struct q_error err = { "" };
	json_t *manifest;
	int root, status;
	size_t len;

	if (entry == NULL)
		return EXIT_FAILED;
	if (q_manifest(store, entry, &manifest, &err) < 0)
		return command_failed("%s", err.text);
	spool = escape_undo(text_of(manifest, "spool"), &len);
	root = spool != NULL ? lock_spool(spool) : -1;
	status = root < 0 ? EXIT_FAILED : recover(store, spool);
	if (status == 0 && q_restore(store, entry, root, &err) != Q_MOVED)
		status = command_failed("%s", err.text);
	if (status == 0) {
		restored(manifest);
		status = EXIT_TELL_SERVER;
	}
	if (root >= 0)
		close(root);
	json_decref(manifest);
	return status;
}

static int do_restore(char **words)
{
	struct q_store *store;
	int status = 0;

	if (*words == NULL)
		return command_usage("quarantine restore: which entry or queue id?");
	store = store_open();
	for (; *words != NULL; words++)
		status |= restore_one(store, *words);
	q_store_close(store);
	return status;
}

static int do_recover(char **words)
{
	struct q_store *store;
	struct q_error err = { "" };
	int n;

	if (*words != NULL)
		return command_usage("quarantine recover: takes no words");
	store = store_open();
	n = q_recover(store, NULL, say, NULL, &err);
	q_store_close(store);
	if (n < 0)
		return command_failed("%s", err.text);
	if (!common.quiet)
		printf("%d interrupted transaction%s finished or undone\n", n, n == 1 ? "" : "s");
	return 0;
}

/* Move what the operator names, whatever a check says of it. */
static int add_to(struct q_store *store, struct spool *spool, const char *id)
{
	struct outcome *o = spool_locate(spool, id);
	struct q_error err = { "" };
	json_t *none = json_array();
	int status = 0;

	if (o == NULL)
		status = command_failed("%s: no message with this queue id in %s", id, spool->path);
	else if (act_move(spool, store, o, reason != NULL ? reason : "added by hand", none, NULL,
			  &err) != Q_MOVED)
		status = command_failed("%s: %s", id, err.text);
	else {
		put(o->entry);
		putchar('\n');
	}
	json_decref(none);
	outcome_free(o);
	return status;
}

static int add_one(struct q_store *store, const char *word)
{
	const char *colon = strrchr(word, ':');
	g_autofree char *error = NULL;
	struct q_error err = { "" };
	struct spool *spool;
	int status;

	if (colon == NULL || colon[1] == '\0')
		return command_usage("quarantine add %s: SPOOL:ID is needed", word);
	g_autofree char *name = g_strndup(word, (gsize)(colon - word));
	spool = spool_open(name, &error);
	if (spool == NULL)
		return command_failed("%s: %s", name, error);
	if (q_lock(spool->root, LOCK_WAIT_MS, &err) < 0) {
		status = command_failed("%s", err.text);
	} else {
		status = recover(store, spool->path);
		if (status == 0)
			status = add_to(store, spool, colon + 1);
		q_unlock(spool->root);
	}
	spool_close(spool);
	return status;
}

static int do_add(char **words)
{
	struct q_error err = { "" };
	struct q_store *store;
	int status = 0;

	if (*words == NULL)
		return command_usage("quarantine add: which SPOOL:ID?");
	if (q_store_open(common.store, true, &store, &err) < 0)
		return command_failed("%s", err.text);
	for (; *words != NULL; words++)
		status |= add_one(store, *words);
	q_store_close(store);
	return status == 0 ? EXIT_MOVED : status;
}

int command_quarantine(char **argv)
{
	static const GOptionEntry entries[] = {
		{ "reason", 0, 0, G_OPTION_ARG_STRING, &reason, "Why, for the manifest", "TEXT" },
		G_OPTION_ENTRY_NULL
	};
	static const struct {
		const char *name;
		int (*run)(char **words);
	} verbs[] = {
		{ "list", do_list }, { "show", do_show },       { "add", do_add },
		{ "restore", do_restore }, { "verify", do_verify }, { "recover", do_recover },
	};
	g_auto(GStrv) words = command_options(argv, "list|show|add|restore|verify|recover [WORD...]",
					      entries, &common);

	if (words[0] == NULL)
		return command_usage("quarantine: list, show, add, restore, verify or recover?");
	for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
		if (strcmp(words[0], verbs[i].name) == 0)
			return verbs[i].run(words + 1);
	return command_usage("quarantine %s: no such verb", words[0]);
}
