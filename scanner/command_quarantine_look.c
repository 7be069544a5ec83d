/*
 * command_quarantine_look.c - `spoolck quarantine list|show|verify`
 *
 * Looks and changes nothing.
 */
#include "config.h"

#include "command_quarantine.h"

#include "escape.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One line of the table, or one object; the name of the first finding says why. */
static void list_one(const char *name, const json_t *manifest)
{
	const char *finding = finding_of(manifest);

	if (qo.common.json) {
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
	put_text(manifest, "spool");
	fputs("  ", stdout);
	if (finding != NULL)
		put(finding);
	else
		put_text(manifest, "reason");
	putchar('\n');
}

int quarantine_list(char **words)
{
	struct q_store *store;
	struct q_error err = { "" };
	char **names;
	int status = 0;

	if (*words != NULL)
		return command_usage("quarantine list: takes no words");
	store = quarantine_store(false);
	if (q_entries(store, &names, &err) < 0)
		return command_failed("%s", err.text);
	for (char **name = names; *name != NULL; name++) {
		json_t *manifest;

		if (q_manifest(store, *name, &manifest, &err) < 0) {
			status |= command_failed("%s", err.text);
			continue;
		}
		if (quarantine_wants(manifest))
			list_one(*name, manifest);
		json_decref(manifest);
	}
	if (*names == NULL && !qo.common.json && !qo.common.quiet)
		puts("The quarantine is empty.");
	g_strfreev(names);
	q_store_close(store);
	return status;
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
		put_text(m, keys[i]);
		putchar('\n');
	}
	json_array_foreach(json_object_get(m, "parts"), i, p) {
		fputs("  part     ", stdout);
		put_text(p, "path");
		printf("  %" JSON_INTEGER_FORMAT " bytes  sha256 ",
		       json_integer_value(json_object_get(p, "size")));
		put_text(p, "sha256");
		putchar('\n');
	}
	json_array_foreach(json_object_get(m, "findings"), i, f) {
		fputs("  finding  ", stdout);
		put_text(f, "text");
		printf(" (byte %" JSON_INTEGER_FORMAT ")  [",
		       json_integer_value(json_object_get(f, "offset")));
		put_text(f, "name");
		puts("]");
	}
}

int quarantine_show(char **words)
{
	struct q_store *store;
	int status = 0;

	if (*words == NULL)
		return command_usage("quarantine show: which entry or queue id?");
	store = quarantine_store(false);
	for (; *words != NULL; words++) {
		json_t *manifest;
		char *entry = manifest_of(store, *words, &manifest);

		if (entry == NULL) {
			status = EXIT_FAILED;
			continue;
		}
		if (qo.common.json)
			list_one(entry, manifest);
		else
			show_text(entry, manifest);
		json_decref(manifest);
		free(entry);
	}
	q_store_close(store);
	return status;
}

int quarantine_verify(char **words)
{
	struct q_store *store = quarantine_store(false);
	struct q_error err = { "" };
	g_auto(GStrv) all = NULL;
	int status = 0;

	if (*words == NULL) {
		if (q_entries(store, &all, &err) < 0)
			return command_failed("%s", err.text);
		words = all;
	}
	for (; *words != NULL; words++) {
		char *entry = entry_of(store, *words);
		int bad = entry != NULL ? q_verify(store, entry, say, NULL, &err) : -ENOENT;

		if (bad < 0 && entry != NULL)
			command_failed("%s", err.text);
		if (bad != 0)
			status |= bad < 0 ? EXIT_FAILED : EXIT_LEFT;
		else if (!qo.common.quiet) {
			put(entry);
			puts(": sound");
		}
		free(entry);
	}
	q_store_close(store);
	return status;
}
