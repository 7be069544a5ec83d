/*
 * command_quarantine_look.c - `spoolck quarantine list|show|verify`
 *
 * Looks and changes nothing.
 */
#include "config.h"

#include "command_quarantine.h"

#include "escape.h"
#include "salvage.h"
#include "worker.h"

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

static bool list_visit(void *arg, const char *entry, json_t *manifest, const char *why)
{
	int *status = arg;

	if (manifest == NULL)
		*status |= command_failed("%s: %s", entry, why);
	else if (quarantine_wants(manifest))
		list_one(entry, manifest);
	return true;
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
	q_each(store, names, !qo.common.json, list_visit, &status);
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

/* --- show: the message itself -------------------------------------------------------- */

/* What a deep pass saw before the message was moved. */
static void show_deep(const json_t *deep)
{
	static const char *const words[] = { "subject", "from", "date", "message_id" };
	const json_t *to = json_object_get(deep, "to_count"), *p;
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(words); i++) {
		if (!json_is_string(json_object_get(deep, words[i])))
			continue;
		printf("  %-8s ", words[i]);
		put_text(deep, words[i]);
		putchar('\n');
	}
	if (json_is_integer(to))
		printf("  to       %" JSON_INTEGER_FORMAT " address%s\n", json_integer_value(to),
		       json_integer_value(to) == 1 ? "" : "es");
	json_array_foreach(json_object_get(deep, "parts"), i, p) {
		int depth = (int)CLAMP(json_integer_value(json_object_get(p, "depth")), 0, 100);

		printf("  inside   %*s", depth * 2, "");
		if (json_is_string(json_object_get(p, "type")))
			put_text(p, "type");
		else
			fputs("text/plain (by default)", stdout);
		printf(", %" JSON_INTEGER_FORMAT " bytes%s\n", json_integer_value(json_object_get(p, "size")),
		       json_is_true(json_object_get(p, "damaged")) ? "  <-- damaged" : "");
	}
}

static void show_envelope(const json_t *m)
{
	const json_t *e = json_object_get(m, "envelope");
	const json_t *n = json_object_get(e, "recipients");

	if (!json_is_object(e))
		return;
	fputs("  envelope <", stdout);
	if (json_is_string(json_object_get(e, "sender")))
		put_text(e, "sender");
	fputs(">", stdout);
	if (json_is_integer(n))
		printf(" -> %" JSON_INTEGER_FORMAT " recipient(s)", json_integer_value(n));
	if (json_is_string(json_object_get(e, "arrival"))) {
		fputs(", arrived ", stdout);
		put_text(e, "arrival");
	}
	putchar('\n');
	show_deep(json_object_get(e, "deep"));
}

/* "        16  43 20 20 ..  |C  ..|" with what is damaged between < and >. */
static void show_hex(const guint8 *bytes, size_t n, guint64 offset, guint64 from, guint64 to)
{
	for (size_t row = 0; row < n; row += 16) {
		printf("  %10" G_GUINT64_FORMAT "  ", offset + row);
		for (size_t i = row; i < row + 16; i++) {
			bool bad = i < n && offset + i >= from && offset + i < to;

			if (i < n)
				printf("%c%02x", bad ? '*' : ' ', bytes[i]);
			else
				fputs("   ", stdout);
		}
		fputs("  |", stdout);
		for (size_t i = row; i < row + 16 && i < n; i++)
			putchar(g_ascii_isprint(bytes[i]) ? bytes[i] : '.');
		puts("|");
	}
}

/* Bytes around the first finding. */
static void show_place(const struct salvage *s, const json_t *m)
{
	const json_t *f = json_array_get(json_object_get(m, "findings"), 0);
	g_autofree char *path = f != NULL ? bytes_of(f, "part") : NULL;
	guint64 at = (guint64)json_integer_value(json_object_get(f, "offset"));
	guint64 length = (guint64)json_integer_value(json_object_get(f, "length"));
	guint64 start = at > 32 ? (at - 32) / 16 * 16 : 0;
	guint8 buf[96];
	size_t n = path != NULL ? salvage_bytes(s, path, start, buf, sizeof buf) : 0;

	/* What was unpacked is not in the file. */
	if (n == 0 || json_is_string(json_object_get(f, "stream")))
		return;
	fputs("\nThe damaged place (* = the damage):\n", stdout);
	show_hex(buf, n, start, at, at + MAX(length, 1));
}

#define HEADERS_SHOWN 32768 /* bytes; lines: */
#define HEADER_LINES 60

static void show_headers(struct salvage *s)
{
	struct salvage_text t;
	char *text = NULL, *line;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	unsigned n = 0;

	if (out == NULL)
		return;
	salvage_text(s, out, HEADERS_SHOWN, &t);
	fclose(out);
	if (len > 0)
		fputs("\nHeaders, escaped:\n", stdout);
	for (line = text; line < text + len && *line != '\n'; n++) {
		char *end = memchr(line, '\n', (size_t)(text + len - line));
		size_t bytes = (size_t)((end != NULL ? end : text + len) - line);
		g_autofree char *safe = escape_eyes(line, MIN(bytes, 998));

		if (n == HEADER_LINES) {
			puts("  ...");
			break;
		}
		printf("  %s\n", safe);
		line += bytes + 1;
	}
	if (!t.reached)
		printf("  (%s)\n", t.why);
	g_free(t.why);
	free(text);
}

static void show_message(struct q_store *store, const char *entry, const json_t *m, int zygote)
{
	struct q_error err = { "" };
	struct salvage *s = salvage_open(store, entry, m, zygote, &err);

	show_envelope(m);
	if (s == NULL) {
		command_failed("%s", err.text);
		return;
	}
	show_place(s, m);
	show_headers(s);
	salvage_close(s);
}

int quarantine_show(char **words)
{
	const char *what;
	struct q_store *store;
	int status = 0, landlock, zygote = -1;

	if (*words == NULL)
		return command_usage("quarantine show: which entry or queue id?");
	/* Before any mail is read. Without a sandbox there are no headers, but all the rest. */
	if (!qo.common.json)
		zygote = zygote_start(false, &landlock, &what);
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
		else {
			show_text(entry, manifest);
			show_message(store, entry, manifest, zygote);
		}
		json_decref(manifest);
		free(entry);
	}
	q_store_close(store);
	return status;
}

static int verify_one(struct q_store *store, const char *word)
{
	struct q_error err = { "" };
	char *entry;
	int bad = -ENOENT;

	told_begin("verify");
	entry = entry_of(store, word);
	if (entry != NULL) {
		told_entry(entry, NULL);
		bad = q_verify(store, entry, told_text, NULL, &err);
		if (bad < 0)
			command_failed("%s", err.text);
		else
			told_result(bad == 0 ? "sound" : "damaged");
	}
	if (bad == 0 && !qo.common.quiet && !qo.common.json) {
		put(entry);
		puts(": sound");
	}
	told_end();
	free(entry);
	return bad == 0 ? 0 : bad < 0 ? EXIT_FAILED : EXIT_LEFT;
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
	for (; *words != NULL; words++)
		status |= verify_one(store, *words);
	q_store_close(store);
	return status;
}
