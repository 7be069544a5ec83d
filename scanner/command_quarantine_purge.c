/*
 * command_quarantine_purge.c - `spoolck quarantine purge|keep`
 *
 * Purge is the one verb that removes mail: it says what it is going to remove, asks on a
 * terminal and needs --yes elsewhere, and the log keeps what is gone.
 */
#include "config.h"

#include "command_quarantine.h"
#include "units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* One entry that is to go. Its manifest is read again then: 100,000 of them are too many to be kept. */
struct doomed {
	char *entry;
	gint64 bytes;
};

static void doomed_free(struct doomed *d)
{
	g_free(d->entry);
	g_free(d);
}

static gint64 size_of(const json_t *manifest)
{
	const json_t *p;
	gint64 sum = 0;
	size_t i;

	json_array_foreach(json_object_get(manifest, "parts"), i, p)
		sum += json_integer_value(json_object_get(p, "size"));
	return sum;
}

static void doom(GPtrArray *list, const char *entry, const json_t *manifest)
{
	struct doomed *d = g_new0(struct doomed, 1);

	d->entry = g_strdup(entry);
	d->bytes = size_of(manifest);
	g_ptr_array_add(list, d);
}

/* "500M", "2G", "10%" of the store's file system: bytes, or -1. */
static gint64 amount(const char *text)
{
	char *end;
	double n = g_ascii_strtod(text, &end);
	struct statvfs fs;

	if (strcmp(end, "%") != 0)
		return units_size(text);
	return end == text || !(n >= 0 && n <= 100) || statvfs(qo.common.store, &fs) < 0 ? -1 :
		(gint64)(n / 100 * (double)fs.f_blocks * (double)fs.f_frsize);
}

/* How much has to go so that `want` bytes are free: 0 = nothing. */
static gint64 missing(gint64 want)
{
	struct statvfs fs;

	if (statvfs(qo.common.store, &fs) < 0)
		return 0;
	return want - (gint64)((double)fs.f_bavail * (double)fs.f_frsize);
}

/* The entries that words name; 0 or a status. */
static int choose_named(struct q_store *store, char **words, GPtrArray *list)
{
	int status = 0;

	for (; *words != NULL; words++) {
		json_t *manifest;
		char *entry;
		bool doomed = false;

		told_begin("purge");
		entry = manifest_of(store, *words, &manifest);
		if (entry != NULL)
			told_entry(entry, manifest);
		if (entry == NULL)
			status = EXIT_FAILED;
		else if (q_kept(store, entry))
			status = command_failed("%s is kept; see: spoolck quarantine keep --undo", entry);
		else
			doomed = true;
		if (doomed) {
			doom(list, entry, manifest);
			told_forget();
		}
		told_end();
		if (entry != NULL)
			json_decref(manifest);
		free(entry);
	}
	return status;
}

struct choice {
	struct q_store *store;
	GPtrArray *list;
	gint64 need;
	int status;
};

static bool choose_one(void *arg, const char *entry, json_t *manifest, const char *why)
{
	struct choice *c = arg;

	if (q_kept(c->store, entry))
		return true;
	if (manifest == NULL) {
		c->status |= command_failed("%s: %s", entry, why);
	} else if (quarantine_wants(manifest)) {
		doom(c->list, entry, manifest);
		if (qo.keep_free != NULL)
			c->need -= size_of(manifest);
	}
	return c->need > 0;
}

/* The oldest that pass the filters, as many as --keep-free asks for. */
static int choose_filtered(struct q_store *store, GPtrArray *list)
{
	struct choice c = { store, list,
			    qo.keep_free != NULL ? missing(amount(qo.keep_free)) : G_MAXINT64, 0 };
	struct q_error err = { "" };
	g_auto(GStrv) names = NULL;

	if (q_entries(store, &names, &err) < 0)
		return command_failed("%s", err.text);
	if (c.need > 0)
		q_each(store, names, false, choose_one, &c); /* the sizes of the parts are needed */
	return c.status;
}

static bool confirmed(const GPtrArray *list)
{
	gint64 bytes = 0;
	char answer[8] = "";

	if (qo.yes)
		return true;
	for (guint i = 0; i < list->len; i++) {
		const struct doomed *d = list->pdata[i];

		bytes += d->bytes;
		if (i < 20 && !qo.common.json)
			say(d->entry);
	}
	if (list->len > 20 && !qo.common.json)
		printf("and %u more\n", list->len - 20);
	if (!isatty(STDIN_FILENO) || qo.common.json) {
		told_begin("purge");
		command_failed("%u entries would be removed for good; --yes does it", list->len);
		told_end();
		return false;
	}
	printf("Remove %u entries (%" G_GINT64_FORMAT " KiB) for good? [y/N] ", list->len, bytes / 1024);
	fflush(stdout);
	return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

static void purged(const char *entry)
{
	told_result("done");
	if (qo.common.quiet || qo.common.json)
		return;
	fputs("purged: ", stdout);
	say(entry);
}

static int purge_one(struct q_store *store, const char *entry, const json_t *manifest)
{
	const json_t *lodge = json_object_get(manifest, "lodge");
	g_autofree char *spool = bytes_of(manifest, "spool");
	struct q_error err = { "" };
	bool lodged = json_is_string(lodge) && spool != NULL;
	int root = lodged ? quarantine_lock(store, spool) : -1, status = 0;

	if (lodged && root < 0)
		return EXIT_FAILED;
	told_entry(entry, manifest);
	if (q_purge(store, entry, root, &err) != Q_MOVED) {
		status = command_failed("%s: %s", entry, err.text);
	} else {
		quarantine_log("purged", entry, manifest, NULL, NULL);
		purged(entry);
	}
	if (root >= 0)
		close(root);
	return status;
}

/* --retention: the configuration is the word of the operator, so nobody is asked. */

static void retention_say(void *arg, const char *entry, const char *error)
{
	(void)arg;
	told_begin("purge");
	told_entry(entry, NULL);
	if (error != NULL)
		command_failed("%s: %s", entry, error);
	else
		purged(entry);
	told_end();
}

static int purge_retention(void)
{
	const struct retention *r = &qo.common.settings->retention;
	struct q_error err = { "" };
	struct q_store *store = NULL;
	struct retained done = { 0 };
	unsigned failures = 0;
	int ret = q_store_open(qo.common.store, false, &store, &err);

	if (ret < 0 && ret != -ENOENT)
		return command_failed("%s", err.text);
	if (ret == 0)
		failures = retention_apply(r, store, 0, retention_say, NULL, &done);
	if (qo.common.json)
		; /* no entry, no event */
	else if (!retention_is_on(r) && !qo.common.quiet)
		puts("Nothing to purge: the configuration has neither retain= nor max-size=.");
	else if (done.purged == 0 && failures == 0 && !qo.common.quiet)
		puts("Nothing to purge.");
	q_store_close(store);
	return failures > 0 ? EXIT_FAILED : 0;
}

static int purge_all(struct q_store *store, const GPtrArray *list)
{
	int status = 0;

	for (guint i = 0; i < list->len; i++) {
		const struct doomed *d = list->pdata[i];
		struct q_error err = { "" };
		json_t *manifest;

		told_begin("purge");
		told_entry(d->entry, NULL);
		if (q_manifest(store, d->entry, &manifest, &err) < 0) {
			status |= command_failed("%s: %s", d->entry, err.text);
		} else {
			status |= purge_one(store, d->entry, manifest);
			json_decref(manifest);
		}
		told_end();
	}
	return status;
}

int quarantine_purge(char **words)
{
	bool filtered = qo.older_than != NULL || qo.keep_free != NULL;
	struct q_error err = { "" };
	struct q_store *store;
	GPtrArray *list;
	int status;

	if (filtered + qo.retention + (*words != NULL) != 1)
		return command_usage("quarantine purge: name entries, or say --older-than, --keep-free or "
				     "--retention");
	if (qo.retention)
		return purge_retention();
	if (qo.keep_free != NULL && amount(qo.keep_free) < 0)
		return command_usage("--keep-free %s: bytes, 500M, 2G or 10%%", qo.keep_free);
	store = quarantine_store(false);
	if (filtered)
		q_accepted_expire(store, time(NULL), &err);
	list = g_ptr_array_new_with_free_func((GDestroyNotify)doomed_free);
	status = *words != NULL ? choose_named(store, words, list) : choose_filtered(store, list);
	if (list->len == 0 && status == 0 && !qo.common.quiet && !qo.common.json)
		puts("Nothing to purge.");
	else if (list->len > 0 && !confirmed(list))
		status |= EXIT_FAILED;
	else
		status |= purge_all(store, list);
	g_ptr_array_free(list, TRUE);
	q_store_close(store);
	return status;
}

int quarantine_keep(char **words)
{
	struct q_store *store;
	int status = 0;

	if (*words == NULL)
		return command_usage("quarantine keep: which entry or queue id?");
	store = quarantine_store(false);
	for (; *words != NULL; words++) {
		struct q_error err = { "" };
		json_t *manifest;
		char *entry;

		told_begin("keep");
		entry = manifest_of(store, *words, &manifest);
		if (entry == NULL) {
			status = EXIT_FAILED;
			told_end();
			continue;
		}
		told_entry(entry, manifest);
		if (q_keep(store, entry, !qo.undo, &err) < 0) {
			status = command_failed("%s", err.text);
		} else {
			told_result("done");
			if (!qo.common.json) {
				fputs(qo.undo ? "no longer kept: " : "kept: ", stdout);
				say(entry);
			}
			quarantine_log(qo.undo ? "no longer kept" : "kept", entry, manifest, NULL, NULL);
		}
		told_end();
		json_decref(manifest);
		free(entry);
	}
	q_store_close(store);
	return status;
}
