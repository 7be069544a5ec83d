/*
 * command_quarantine_export.c - `spoolck quarantine export`
 *
 * What can be saved of a damaged message, of an entry or where it still lies (SPOOL:ID, of which nothing is altered):
 * NAME.eml, its text as far as it can be reached, with a mark where bytes are missing; NAME.eml:STREAM, its named
 * streams; NAME.json, its envelope; and the command that would send it again.
 */
#include "config.h"

#include "command_quarantine.h"

#include "escape.h"
#include "one.h"
#include "output.h"
#include "salvage.h"
#include "spools.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_LENGTH 160 /* of a file, without its ending and the name of a stream */
#define STREAM_LENGTH 80

/* One message on its way out. */
struct export {
	const char *what;       /* the entry, or the word that named the message */
	const char *name;       /* of its files */
	bool entry;             /* else it lies in a spool */
	const json_t *manifest; /* of the entry, or what it would say */
	const json_t *damage;   /* the findings that it has, before any doubt (spool.doubt) */
	struct salvage *s;
	GPtrArray *made;        /* char *: the files; when something goes wrong none is left half-written */
	json_t *streams;        /* array of files; null: streams are not to be seen here */
};

/* A new file in the output directory; NULL after saying why. */
static FILE *new_file(struct export *x, const char *ending, const char *stream, const char **path_r)
{
	char *path = g_strconcat(qo.output != NULL ? qo.output : ".", "/", x->name, ending, stream, NULL);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0) {
		command_failed("cannot create %s: %s", path, g_strerror(errno));
		g_free(path);
		return NULL;
	}
	g_ptr_array_add(x->made, path);
	*path_r = path;
	return fdopen(fd, "w");
}

/* All bytes are on the disk, and the file is closed; false after saying why not. */
static bool close_file(FILE *out, const char *path)
{
	bool good = fflush(out) == 0 && !ferror(out) && fsync(fileno(out)) == 0;

	if (!good)
		command_failed("cannot write %s: %s", path, g_strerror(errno));
	fclose(out);
	return good;
}

/* Is the finding about a named stream? Its offset says nothing of the text then. */
static bool is_of_stream(const struct spool *spool, const json_t *f)
{
	const char *stream = json_string_value(json_object_get(f, "stream"));

	for (unsigned r = 0; stream != NULL && spool != NULL && r < spool->format->nroles; r++)
		if (spool->format->roles[r].unpacked && strcmp(spool->format->roles[r].name, stream) == 0)
			return false;
	return stream != NULL;
}

/* The damage behind which the text ends, when it ends at damage: its name, else NULL. When there is no
 * text at all, any damage. */
static const char *cut_by(const struct salvage *s, const json_t *findings, const struct salvage_text *t)
{
	const json_t *f;
	size_t i;

	json_array_foreach(findings, i, f)
		if (strcmp(text_of(f, "severity"), "corrupt") == 0 && !is_of_stream(salvage_spool(s), f) &&
		    (t->bytes == 0 ||
		     salvage_text_before(s, t, text_of(f, "part"),
					 (guint64)json_integer_value(json_object_get(f, "offset")))))
			return text_of(f, "name");
	return NULL;
}

static bool write_text(struct export *x, struct salvage_text *t, const char **path_r)
{
	FILE *out = new_file(x, ".eml", NULL, path_r);
	const char *cut;

	if (out == NULL)
		return false;
	salvage_text(x->s, out, G_MAXUINT64, t);
	cut = cut_by(x->s, x->damage, t);
	if (!t->reached || cut != NULL) {
		fprintf(out, "\n[spoolck: the text cannot be reached beyond this point: %s]\n",
			t->reached ? cut : t->why);
		t->reached = false;
	}
	return close_file(out, *path_r);
}

/* --- Named streams ------------------------------------------------------------------ */

/* A stream that cannot be read does not keep the text from being saved. False: a file could not be written. */
static bool write_stream(struct export *x, const char *stream, int *status)
{
	g_autofree char *safe = escape_name(stream, strlen(stream), STREAM_LENGTH);
	const char *path;
	FILE *out = new_file(x, ".eml:", safe, &path);
	int ret;

	if (out == NULL)
		return false;
	ret = salvage_stream(x->s, stream, out);
	if (!close_file(out, path))
		return false;
	if (ret == 0) {
		g_autofree char *text = escape_json(path, strlen(path));

		json_array_append_new(x->streams, json_string(text));
		return true;
	}
	*status |= command_failed("%s: cannot read its stream %s: %s", x->what, stream,
				  ret == -E2BIG ? why_text(UNCHECKED_STREAM) : g_strerror(-ret));
	unlink(path);
	g_ptr_array_remove_index(x->made, x->made->len - 1);
	return true;
}

static bool write_streams(struct export *x, int *status)
{
	const struct spool *spool = salvage_spool(x->s);
	struct reach_streams streams;
	int ret = salvage_streams(x->s, &streams);
	bool good = true;

	x->streams = spool != NULL && reach_warning(&spool->reach) != NULL ? json_null() : json_array();
	if (ret < 0)
		*status |= command_failed("%s: cannot list its named streams: %s", x->what, g_strerror(-ret));
	for (unsigned i = 0; i < REACH_STREAMS && ret == 0 && good; i++)
		if (streams.name[i][0] != '\0')
			good = write_stream(x, streams.name[i], status);
	if (ret == 0 && streams.more)
		*status |= command_failed("%s: it has more named streams, or longer names, than are exported", x->what);
	return good;
}

/* --- Envelope ------------------------------------------------------------------------- */

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

static json_t *describe(const struct export *x, const struct salvage_text *t, json_t *recipients, bool cut,
			const char *eml, const char *command)
{
	const json_t *envelope = json_object_get(x->manifest, "envelope");
	json_t *j = json_object();
	g_autofree char *file = escape_json(eml, strlen(eml));

	json_object_set_new(j, "event", json_string("export"));
	json_object_set_new(j, "entry", x->entry ? json_string(x->what) : json_null());
	for (const char *const *key = (const char *const[]){ "spool", "format", "id", "time", "reason",
							      "findings", NULL }; *key != NULL; key++)
		json_object_set(j, *key, json_object_get(x->manifest, *key));
	json_object_set(j, "sender", json_object_get(envelope, "sender"));
	json_object_set(j, "arrival", json_object_get(envelope, "arrival"));
	json_object_set(j, "recipients", recipients);
	json_object_set_new(j, "recipients_cut", json_boolean(cut));
	json_object_set_new(j, "text", json_string(file));
	json_object_set_new(j, "bytes", json_integer((json_int_t)t->bytes));
	json_object_set_new(j, "complete", json_boolean(t->reached));
	json_object_set(j, "streams", x->streams);
	json_object_set_new(j, "reinject", command != NULL ? json_string(command) : json_null());
	return j;
}

static bool write_json(struct export *x, const json_t *j, const char **path_r)
{
	FILE *out = new_file(x, ".json", NULL, path_r);

	if (out == NULL)
		return false;
	json_dumpf(j, out, JSON_INDENT(1));
	putc('\n', out);
	return close_file(out, *path_r);
}

static void told_streams(const struct export *x)
{
	const json_t *path;
	size_t i;

	json_array_foreach(x->streams, i, path) {
		size_t len;
		g_autofree char *bytes = escape_undo(json_string_value(path), &len);

		fputs("  stream    ", stdout);
		say(bytes);
	}
	if (json_is_null(x->streams))
		printf("  streams   %s\n", x->entry ? "none is to be seen" : reach_warning(&salvage_spool(x->s)->reach));
}

static void told(const struct export *x, const struct salvage_text *t, const char *eml, const char *json,
		 const char *command)
{
	put(x->what);
	printf(": %" G_GUINT64_FORMAT " bytes of text, %s\n  text      ", t->bytes,
	       t->reached ? "complete" : "not all of it");
	say(eml);
	told_streams(x);
	fputs("  envelope  ", stdout);
	say(json);
	if (salvage_spool(x->s) != NULL && salvage_spool(x->s)->doubt != NULL)
		printf("  damage is not proven: %s\n", salvage_spool(x->s)->doubt);
	if (command != NULL) {
		fputs("  to send it again, after a look at the text:\n  ", stdout);
		puts(command); /* no word of it has anything to escape */
	}
}

/* --- Export ----------------------------------------------------------------------------- */

/* A server that goes on with its work may have altered the message under our eyes. */
static bool unchanged(const struct export *x)
{
	if (salvage_unchanged(x->s))
		return true;
	command_failed("%s: it was changed while it was read; nothing is exported, try again", x->what);
	return false;
}

static bool export_all(struct export *x, int *status)
{
	g_autofree char *sender = bytes_of(json_object_get(x->manifest, "envelope"), "sender");
	g_autofree char *command = NULL;
	const char *eml, *envelope;
	struct salvage_text t = { .why = NULL };
	json_t *recipients = NULL, *j = NULL;
	bool cut = false, ok = write_text(x, &t, &eml) && write_streams(x, status);

	if (ok) {
		recipients = salvage_recipients(x->s, &cut);
		command = sender != NULL && !cut ? reinject(sender, recipients, eml) : NULL;
		j = describe(x, &t, recipients, cut, eml, command);
		ok = unchanged(x) && write_json(x, j, &envelope);
	}
	if (ok && qo.common.json) {
		json_dumpf(j, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
		putchar('\n');
	} else if (ok) {
		told(x, &t, eml, envelope, command);
	}
	json_decref(recipients);
	json_decref(j);
	g_free(t.why);
	return ok;
}

static int export_files(struct export *x)
{
	int status = 0;

	x->made = g_ptr_array_new_with_free_func(g_free);
	if (!export_all(x, &status)) {
		for (guint i = 0; i < x->made->len; i++)
			unlink(x->made->pdata[i]);
		status |= EXIT_FAILED;
	}
	g_ptr_array_unref(x->made);
	json_decref(x->streams);
	return status;
}

static int export_salvaged(struct q_store *store, const char *entry, const json_t *manifest, int zygote)
{
	struct q_error err = { "" };
	struct export x = { .what = entry, .name = entry, .entry = true, .manifest = manifest,
			    .damage = json_object_get(manifest, "findings") };
	int status;

	x.s = salvage_open(store, entry, manifest, zygote, &err);
	status = x.s != NULL ? export_files(&x) : command_failed("%s", err.text);
	salvage_close(x.s);
	return status;
}

static int export_entry(struct q_store *store, const char *word, int zygote)
{
	json_t *manifest;
	char *entry = manifest_of(store, word, &manifest);
	int status;

	if (entry == NULL)
		return EXIT_FAILED;
	status = qo.redact ? quarantine_redact(store, entry, manifest, zygote) :
			     export_salvaged(store, entry, manifest, zygote);
	json_decref(manifest);
	free(entry);
	return status;
}

/* --- A message in a spool ----------------------------------------------------------------- */

/* What a manifest of it would say. */
static json_t *manifest_like(struct spool *spool, const struct outcome *o)
{
	struct scan scan = { .spool = spool };
	g_autofree char *path = escape_json(spool->path, strlen(spool->path));
	g_autofree char *id = escape_json(o->id, strlen(o->id));

	return json_pack("{s:s,s:s,s:s,s:n,s:n,s:o,s:o}", "spool", path, "format", spool->format->name, "id", id,
			 "time", "reason", "findings", json_findings(&scan, o), "envelope", json_envelope(o));
}

/* What could not be checked is exported nevertheless. */
static int check_it(const char *word, const struct spool *spool, int zygote, struct outcome *o)
{
	g_autofree char *why = NULL;

	if (one_check(spool, zygote, o)) {
		severity_apply(&qo.common.settings->severities, o->report);
		return 0;
	}
	why = unchecked_text(o);
	return command_failed("%s: not checked: %s", word, why);
}

static int export_message(const char *word, struct spool *spool, struct outcome *o, int zygote)
{
	g_autofree char *name = escape_name(o->id, strlen(o->id), NAME_LENGTH);
	struct export x = { .what = word, .name = name };
	struct scan scan = { .spool = spool };
	struct q_error err = { "" };
	json_t *manifest, *damage;
	int status;

	/* First: what is checked is what is exported, or it is seen as changed. */
	x.s = salvage_message(spool, o, zygote, &err);
	if (x.s == NULL)
		return command_failed("%s", err.text);
	status = check_it(word, spool, zygote, o);
	x.damage = damage = json_findings(&scan, o);
	if (spool->doubt != NULL && o->report != NULL)
		severity_doubt(o->report);
	x.manifest = manifest = manifest_like(spool, o);
	status |= export_files(&x);
	json_decref(manifest);
	json_decref(damage);
	salvage_close(x.s);
	return status;
}

/* SPOOL:ID. Nothing is locked or altered. */
static int export_from_spool(const char *word, int zygote)
{
	const char *id = strrchr(word, ':') + 1;
	g_autofree char *name = g_strndup(word, (gsize)(id - 1 - word));
	g_autofree char *error = NULL;
	struct spool *spool;
	struct outcome *o;
	int status;

	if (*id == '\0')
		return command_usage("quarantine export %s: SPOOL:ID is needed", word);
	if (qo.redact)
		return command_usage("quarantine export --redact %s: it takes entries of the quarantine only", word);
	spool = spools_open_with(qo.common.settings, name, id, &error);
	if (spool == NULL)
		return command_failed("%s: %s", name, error);
	o = spool_locate(spool, id);
	status = o != NULL ? export_message(word, spool, o, zygote) :
			     command_failed("%s: no message with this queue id in %s", id, spool->path);
	outcome_free(o);
	spool_close(spool);
	return status;
}

int quarantine_export(char **words)
{
	struct q_store *store = NULL;
	int status = 0, zygote;

	if (*words == NULL)
		return command_usage("quarantine export: which entry, queue id or SPOOL:ID?");
	zygote = command_zygote(false); /* before any mail is read */
	for (; *words != NULL; words++) {
		/* The name of an entry has no colon. */
		if (strchr(*words, ':') != NULL) {
			status |= export_from_spool(*words, zygote);
			continue;
		}
		if (store == NULL)
			store = quarantine_store(false);
		status |= export_entry(store, *words, zygote);
	}
	if (store != NULL)
		q_store_close(store);
	return status;
}
