/*
 * command_quarantine_export.c - `spoolck quarantine export`
 *
 * What can be saved of a damaged message: ENTRY.eml, its text as far as it can be reached, with a mark where
 * bytes are missing; ENTRY.json, its envelope; and the command that would send it again.
 */
#include "config.h"

#include "command_quarantine.h"

#include "escape.h"
#include "salvage.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A new file in the output directory; NULL after saying why. */
static FILE *new_file(const char *entry, const char *ending, char **path_r)
{
	char *path = g_strconcat(qo.output != NULL ? qo.output : ".", "/", entry, ending, NULL);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	*path_r = path;
	if (fd >= 0)
		return fdopen(fd, "w");
	command_failed("cannot create %s: %s", path, g_strerror(errno));
	return NULL;
}

/* The damage behind which the text ends, when it ends at damage: its name, else NULL. When there is no
 * text at all, any damage. */
static const char *cut_by(const struct salvage *s, const json_t *manifest, const struct salvage_text *t)
{
	const json_t *f;
	size_t i;

	json_array_foreach(json_object_get(manifest, "findings"), i, f)
		if (g_strcmp0(json_string_value(json_object_get(f, "severity")), "corrupt") == 0 &&
		    (t->bytes == 0 ||
		     salvage_text_before(s, t, text_of(f, "part"),
					 (guint64)json_integer_value(json_object_get(f, "offset")))))
			return text_of(f, "name");
	return NULL;
}

static bool write_text(struct salvage *s, const json_t *manifest, const char *path, FILE *out,
		       struct salvage_text *t)
{
	const char *cut;

	salvage_text(s, out, G_MAXUINT64, t);
	cut = cut_by(s, manifest, t);
	if (!t->reached || cut != NULL) {
		fprintf(out, "\n[spoolck: the text cannot be reached beyond this point: %s]\n",
			t->reached ? cut : t->why);
		t->reached = false;
	}
	if (fflush(out) == 0 && fsync(fileno(out)) == 0)
		return true;
	command_failed("cannot write %s: %s", path, g_strerror(errno));
	return false;
}

/* Append a word of a shell command; false when it has characters that nobody should type. */
static bool append_word(GString *line, const char *before, const char *word)
{
	g_autofree char *safe = escape_eyes(word, strlen(word));
	g_autofree char *quoted = g_shell_quote(word);

	g_string_append_printf(line, "%s%s", before, quoted);
	return strcmp(safe, word) == 0;
}

/* The command, or NULL when an address could not be typed. */
static char *reinject(const char *sender, const json_t *recipients, const char *eml)
{
	GString *line = g_string_new("sendmail -i");
	bool ok = append_word(line, " -f ", sender) && json_array_size(recipients) > 0;
	const json_t *r;
	size_t i;

	g_string_append(line, " --");
	json_array_foreach(recipients, i, r) {
		size_t len;
		g_autofree char *bytes = escape_undo(json_string_value(r), &len);

		ok = ok && bytes != NULL && strlen(bytes) == len && append_word(line, " ", bytes);
	}
	ok = ok && append_word(line, " <", eml);
	return g_string_free(line, !ok);
}

static json_t *describe(const char *entry, const json_t *manifest, const struct salvage_text *t,
			json_t *recipients, bool cut, const char *eml, const char *command)
{
	const json_t *envelope = json_object_get(manifest, "envelope");
	json_t *j = json_object();
	g_autofree char *file = escape_json(eml, strlen(eml));

	json_object_set_new(j, "event", json_string("export"));
	json_object_set_new(j, "entry", json_string(entry));
	for (const char *const *key = (const char *const[]){ "spool", "format", "id", "time", "reason",
							      "findings", NULL }; *key != NULL; key++)
		json_object_set(j, *key, json_object_get(manifest, *key));
	json_object_set(j, "sender", json_object_get(envelope, "sender"));
	json_object_set(j, "arrival", json_object_get(envelope, "arrival"));
	json_object_set(j, "recipients", recipients);
	json_object_set_new(j, "recipients_cut", json_boolean(cut));
	json_object_set_new(j, "text", json_string(file));
	json_object_set_new(j, "bytes", json_integer((json_int_t)t->bytes));
	json_object_set_new(j, "complete", json_boolean(t->reached));
	json_object_set_new(j, "reinject", command != NULL ? json_string(command) : json_null());
	return j;
}

static void told(const char *entry, const struct salvage_text *t, const char *eml, const char *json,
		 const char *command)
{
	put(entry);
	printf(": %" G_GUINT64_FORMAT " bytes of text, %s\n  text      ", t->bytes,
	       t->reached ? "complete" : "not all of it");
	say(NULL, eml);
	fputs("  envelope  ", stdout);
	say(NULL, json);
	if (command != NULL) {
		fputs("  to send it again, after a look at the text:\n  ", stdout);
		puts(command); /* no word of it has anything to escape */
	}
}

static int export_text(struct salvage *s, const char *entry, const json_t *manifest)
{
	g_autofree char *sender = bytes_of(json_object_get(manifest, "envelope"), "sender");
	g_autofree char *eml = NULL, *envelope = NULL, *command = NULL;
	struct salvage_text t = { .why = NULL };
	FILE *out = new_file(entry, ".eml", &eml), *json = NULL;
	json_t *recipients = NULL, *j = NULL;
	bool cut = false, ok = out != NULL && write_text(s, manifest, eml, out, &t);

	if (ok) {
		recipients = salvage_recipients(s, &cut);
		json = new_file(entry, ".json", &envelope);
		command = sender != NULL && !cut ? reinject(sender, recipients, eml) : NULL;
		j = describe(entry, manifest, &t, recipients, cut, eml, command);
		ok = json != NULL && json_dumpf(j, json, JSON_INDENT(1)) == 0 &&
		     fputc('\n', json) != EOF && fflush(json) == 0;
	}
	if (ok && qo.common.json) {
		json_dumpf(j, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
		putchar('\n');
	} else if (ok) {
		told(entry, &t, eml, envelope, command);
	}
	if (out != NULL)
		fclose(out);
	if (json != NULL)
		fclose(json);
	json_decref(recipients);
	json_decref(j);
	g_free(t.why);
	return ok ? 0 : EXIT_FAILED;
}

static int export_one(struct q_store *store, const char *entry, const json_t *manifest, int zygote)
{
	struct q_error err = { "" };
	struct salvage *s;
	int status;

	if (qo.redact)
		return quarantine_redact(store, entry, manifest, zygote);
	s = salvage_open(store, entry, manifest, zygote, &err);
	status = s != NULL ? export_text(s, entry, manifest) : command_failed("%s", err.text);
	salvage_close(s);
	return status;
}

int quarantine_export(char **words)
{
	struct q_store *store;
	int status = 0, zygote;

	if (*words == NULL)
		return command_usage("quarantine export: which entry or queue id?");
	zygote = command_zygote(false); /* before any mail is read */
	store = quarantine_store(false);
	for (; *words != NULL; words++) {
		json_t *manifest;
		char *entry = manifest_of(store, *words, &manifest);

		if (entry == NULL) {
			status = EXIT_FAILED;
			continue;
		}
		status |= export_one(store, entry, manifest, zygote);
		json_decref(manifest);
		free(entry);
	}
	q_store_close(store);
	return status;
}
