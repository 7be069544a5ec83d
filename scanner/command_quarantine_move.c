/*
 * command_quarantine_move.c - `spoolck quarantine add|accept|restore|recover`
 *
 * A message that comes back is recorded in accepted/ first, so that no run between takes it away
 * again; the record goes when the message could not be restored.
 */
#include "config.h"

#include "command_quarantine.h"

#include "accepted.h"
#include "act.h"
#include "beneath.h"
#include "escape.h"
#include "names.h"
#include "one.h"
#include "output.h"
#include "spools.h"
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Seconds that an acceptance lasts. */
static gint64 expiry(void)
{
	if (qo.expire == NULL)
		return qo.common.settings->accept / G_USEC_PER_SEC;
	return strcmp(qo.expire, "never") == 0 ? 0 : quarantine_age(qo.expire);
}

/* --- SPOOL:ID -------------------------------------------------------------------- */

/* What is done with a message that an operator names. */
typedef int on_message(struct q_store *store, struct spool *spool, struct outcome *o);

static int with_message(struct q_store *store, struct spool *spool, const char *id, on_message *run)
{
	struct outcome *o = spool_locate(spool, id);
	int status = o != NULL ? run(store, spool, o) :
		     command_failed("%s: no message with this queue id in %s", id, spool->path);

	outcome_free(o);
	return status;
}

static int with_word(struct q_store *store, const char *verb, const char *word, on_message *run)
{
	const char *colon = strrchr(word, ':');
	g_autofree char *error = NULL;
	struct q_error err = { "" };
	struct spool *spool;
	int status;

	if (colon == NULL || colon[1] == '\0')
		return command_usage("quarantine %s %s: SPOOL:ID is needed", verb, word);
	g_autofree char *name = g_strndup(word, (gsize)(colon - word));
	spool = spools_open_with(qo.common.settings, name, colon + 1, &error);
	if (spool == NULL)
		return command_failed("%s: %s", name, error);
	if (q_lock(spool->root, LOCK_WAIT_MS, &err) < 0 ||
	    q_recover(store, spool->path, say_recovered, spool->path, &err) < 0)
		status = command_failed("%s", err.text);
	else
		status = with_message(store, spool, colon + 1, run);
	q_unlock(spool->root);
	spool_close(spool);
	return status;
}

/* --- add ------------------------------------------------------------------------- */

/* Move what the operator names, whatever a check says of it. */
static int add(struct q_store *store, struct spool *spool, struct outcome *o)
{
	struct q_error err = { "" };
	json_t *none = json_array();
	int status = 0;

	if (act_move(spool, store, o, qo.reason != NULL ? qo.reason : "added by hand", none, NULL,
		     &err) != Q_MOVED) {
		status = command_failed("%s: %s", o->id, err.text);
	} else {
		put(o->entry);
		putchar('\n');
	}
	json_decref(none);
	return status;
}

int quarantine_add(char **words)
{
	struct q_store *store;
	int status = 0;

	if (*words == NULL)
		return command_usage("quarantine add: which SPOOL:ID?");
	store = quarantine_store(true);
	if (!qo.force)
		retention_limit(&qo.common.settings->retention, store);
	for (; *words != NULL; words++)
		status |= with_word(store, "add", *words, add);
	q_store_close(store);
	return status == 0 ? EXIT_MOVED : status;
}

/* --- accept ---------------------------------------------------------------------- */

static int zygote = -1;

static int accept_undo(struct q_store *store, struct spool *spool, struct outcome *o)
{
	struct q_error err = { "" };

	if (q_unaccept(store, spool->path, spool->format->name, o->id, strlen(o->id), &err) < 0)
		return command_failed("%s: %s", o->id, err.text);
	fputs("no longer accepted: ", stdout);
	say(NULL, o->id);
	log_action(&(struct log_action){ .verb = "acceptance withdrawn", .id = o->id,
					 .spool = spool->path, .from = o->path,
					 .reason = qo.reason });
	return 0;
}

static int accept_write(struct q_store *store, struct spool *spool, struct outcome *o,
			const json_t *findings)
{
	struct accept a = { .spool = spool->path, .format = spool->format->name, .id = o->id,
			    .findings = findings, .forced = qo.force, .seconds = expiry(),
			    .reason = qo.reason };
	struct q_error err = { "" };

	if (q_print(spool->root, o->path, true, &a.print, &err) < 0 ||
	    accepted_write(store, &a, &err) < 0)
		return command_failed("%s: %s", o->id, err.text);
	fputs("accepted: ", stdout);
	say(NULL, o->id);
	log_action(&(struct log_action){ .verb = "accepted", .id = o->id, .spool = spool->path,
		.finding = outcome_worst(o) != NULL ? finding_def(outcome_worst(o)->id)->name : NULL,
		.from = o->path, .digest = a.print.sha256, .reason = qo.reason });
	return 0;
}

static int accept_one(struct q_store *store, struct spool *spool, struct outcome *o)
{
	struct scan scan = { .spool = spool };
	json_t *findings;
	int status;

	if (!one_check(spool, zygote, o)) {
		g_autofree char *why = unchecked_text(o);

		return command_failed("%s: %s", o->id, why);
	}
	if (o->verdict != VERDICT_CORRUPT && o->verdict != VERDICT_SUSPECT)
		return command_failed("%s: there is nothing to accept, the message is %s", o->id,
				      verdict_name(o->verdict));
	findings = json_findings(&scan, o);
	if (!qo.force && findings_stop_server(findings))
		status = command_failed("%s: it stops the server (%s); --force accepts it nevertheless",
					o->id, finding_def(outcome_worst(o)->id)->name);
	else
		status = accept_write(store, spool, o, findings);
	json_decref(findings);
	return status;
}

int quarantine_accept(char **words)
{
	struct q_store *store;
	int status = 0;

	if (*words == NULL)
		return command_usage("quarantine accept: which SPOOL:ID?");
	if (!qo.undo)
		zygote = command_zygote(false); /* before any mail is read */
	store = quarantine_store(!qo.undo);
	for (; *words != NULL; words++)
		status |= with_word(store, "accept", *words, qo.undo ? accept_undo : accept_one);
	q_store_close(store);
	return status;
}

/* --- restore: is it queued again? -------------------------------------------------- */

struct search {
	const struct spool *spool;
	json_int_t size;
	const char *digest;
	char *found; /* path of a file with the same bytes */
};

static bool on_names(void *arg, unsigned place, unsigned depth, const char *dir,
		     const struct walk_name *names, size_t count)
{
	struct search *s = arg;
	int fd = open_beneath(s->spool->root, dir, O_PATH | O_DIRECTORY);
	struct q_print print;
	struct stat st;

	(void)place, (void)depth;
	for (size_t i = 0; i < count && fd >= 0 && s->found == NULL; i++) {
		g_autofree char *path = NULL;

		if (fstatat(fd, names[i].name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode) || st.st_size != s->size)
			continue;
		path = path_in(dir, names[i].name);
		if (q_print(s->spool->root, path, true, &print, NULL) == 0 &&
		    strcmp(print.sha256, s->digest) == 0)
			s->found = g_steal_pointer(&path);
	}
	if (fd >= 0)
		close(fd);
	return s->found == NULL;
}

static void on_error(void *arg, const char *dir, int error)
{
	(void)arg, (void)dir, (void)error;
}

/* A file in the queues with the bytes of the entry's first part (g_free), or NULL. */
static char *same_bytes(const struct spool *spool, const json_t *manifest)
{
	const json_t *part = json_array_get(json_object_get(manifest, "parts"), 0);
	struct search s = { .spool = spool,
			    .size = json_integer_value(json_object_get(part, "size")),
			    .digest = text_of(part, "sha256") };
	const struct walk_sink sink = { on_names, on_error, &s };

	/* an empty file is nobody's copy */
	for (unsigned p = 0; p < spool->format->nplaces && s.size > 0; p++)
		if (spool->format->places[p].kind != PLACE_LOG && !walk_place(spool, p, &sink))
			break;
	return s.found;
}

/* --- restore ----------------------------------------------------------------------- */

/* One message on its way back. */
struct back {
	struct q_store *store;
	const char *entry;
	json_t *manifest;
	char *id, *path;   /* bytes; where its first part goes */
	char *spool_path;
	struct spool *spool; /* NULL: its format is not known any more */
	int root;
};

/* Where the first part goes: its old path, or what --to says. */
static char *back_path(const struct back *b)
{
	const json_t *part = json_array_get(json_object_get(b->manifest, "parts"), 0);
	g_autofree char *old = bytes_of(part, "path");
	const char *to = qo.to;
	size_t n = strlen(b->spool_path);
	struct stat st;
	int fd;

	if (to == NULL || old == NULL)
		return g_steal_pointer(&old);
	if (strncmp(to, b->spool_path, n) == 0 && to[n] == '/')
		to += n + 1;
	g_autofree char *below = g_strdup(to);
	while (strlen(below) > 1 && g_str_has_suffix(below, "/"))
		below[strlen(below) - 1] = '\0';
	fd = open_beneath(b->root, below, O_PATH);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		g_autofree char *base = g_path_get_basename(old);

		close(fd);
		return g_strconcat(below, "/", base, NULL);
	}
	if (fd >= 0)
		close(fd);
	return g_steal_pointer(&below);
}

/* Why it must not go back, as things are; 0 when it may. */
static int back_refused(const struct back *b)
{
	const struct format *f = b->spool != NULL ? b->spool->format : NULL;
	struct outcome *queued = f != NULL ? spool_locate(b->spool, b->id) : NULL;
	g_autofree char *copy = NULL;
	unsigned depth;
	int place = f != NULL ? one_place(f, b->path, &depth) : -1, status = 0;

	if (!qo.force && findings_stop_server(json_object_get(b->manifest, "findings")))
		status = command_failed("%s: not restored: its damage stops the server (%s); --force "
					"restores it as it is", b->id, finding_of(b->manifest));
	else if (!qo.force && queued != NULL)
		status = command_failed("%s: not restored: this queue id is in use again: %s; --force "
					"restores it beside that one", b->id, queued->path);
	else if (f != NULL && place < 0)
		status = command_failed("%s: not restored: %s is in no directory of this server; --to "
					"names another", b->id, b->path);
	else if (f != NULL && f->places[place].lock == MOVE_STOPPED &&
		 spool_running(b->spool) != SERVER_STOPPED)
		status = command_failed("%s: not restored: %s/ may be touched only while the server is "
					"stopped; stop it, or name another directory with --to", b->id,
					f->places[place].name);
	else if (f != NULL && !qo.force && (copy = same_bytes(b->spool, b->manifest)) != NULL)
		status = command_failed("%s: not restored: %s has the same bytes, it would be sent "
					"twice; --force restores it", b->id, copy);
	outcome_free(queued);
	return status;
}

/* Record it as accepted; again when it is back and its inode is known. */
static int back_accept(const struct back *b, bool is_back)
{
	const json_t *part = json_array_get(json_object_get(b->manifest, "parts"), 0);
	struct accept a = { .spool = b->spool_path, .format = text_of(b->manifest, "format"),
			    .id = b->id, .findings = json_object_get(b->manifest, "findings"),
			    .forced = qo.force, .seconds = expiry(), .reason = qo.reason };
	struct q_error err = { "" };

	if (!is_back || q_print(b->root, b->path, false, &a.print, NULL) < 0)
		a.print = (struct q_print){ .size = (uint64_t)json_integer_value(
						    json_object_get(part, "size")) };
	g_strlcpy(a.print.sha256, text_of(part, "sha256"), sizeof a.print.sha256);
	return accepted_write(b->store, &a, &err) < 0 ? command_failed("%s", err.text) : 0;
}

/* Run the server's own command that makes it look; no shell, and not for ever. */
static int wake(const char *command)
{
	g_auto(GStrv) argv = g_strsplit(command, " ", -1);
	char *env[] = { (char *)(size_t)"PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin",
			(char *)(size_t)"LC_ALL=C", NULL };
	gint64 deadline = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
	GPid pid;
	int status = 0;

	/* SEARCH_PATH_FROM_ENVP: the path above, whatever ours is */
	if (!g_spawn_async("/", argv, env, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH_FROM_ENVP |
			   G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, &pid, NULL))
		return command_failed("cannot run %s", command);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (g_get_monotonic_time() > deadline) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return command_failed("%s did not end within 10 s", command);
		}
		g_usleep(5000);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : command_failed("%s failed", command);
}

/* What to tell the server when a message came back. */
static int back_told(const struct back *b)
{
	const struct format *f = b->spool != NULL ? b->spool->format : NULL;

	fputs("restored: ", stdout);
	say(NULL, b->id);
	if (f != NULL && f->restore_note != NULL)
		printf("  %s\n", f->restore_note);
	if (qo.wake && f != NULL && f->wake_command != NULL)
		return wake(f->wake_command) == 0 ? 0 : EXIT_FAILED | EXIT_TELL_SERVER;
	if (f != NULL && f->wake_command != NULL)
		printf("  To have it looked at now: %s\n", f->wake_command);
	return EXIT_TELL_SERVER;
}

/* Make the directory `path` again if it is missing, as its parent is. */
static void remake_dir(int root, const char *path)
{
	g_autofree char *up = g_path_get_dirname(path);
	const char *name = base_of(path);
	int parent = open_beneath(root, up, O_RDONLY | O_DIRECTORY), dir;
	struct stat st;

	if (parent < 0)
		return;
	if (fstat(parent, &st) == 0 && mkdirat(parent, name, 0700) == 0) {
		dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (dir >= 0 && (fchown(dir, st.st_uid, st.st_gid) < 0 ||
				 fchmod(dir, st.st_mode & 07777) < 0))
			unlinkat(parent, name, AT_REMOVEDIR); /* the restore then says what is missing */
		if (dir >= 0)
			close(dir);
		fsync(parent);
	}
	close(parent);
}

/* Servers remove hash directories when they are empty, and make them when they need one;
 * so do we. The place itself has to be there. */
static void remake_hash_dirs(const struct back *b)
{
	const json_t *part;
	size_t i;

	json_array_foreach(json_object_get(b->manifest, "parts"), i, part) {
		g_autofree char *path = bytes_of(part, "path");
		unsigned depth = 0;
		int place = path != NULL ? one_place(b->spool->format, path, &depth) : -1;
		char *slash;

		if (place < 0)
			continue;
		slash = path + strlen(b->spool->format->places[place].name);
		while (depth-- > 0) {
			slash = strchr(slash + 1, '/');
			*slash = '\0';
			remake_dir(b->root, path);
			*slash = '/';
		}
	}
}

static int back_move(const struct back *b)
{
	struct q_error err = { "" };
	bool record = !qo.no_accept && !(b->spool == NULL);
	int status = record ? back_accept(b, false) : 0;

	if (status != 0)
		return status;
	if (qo.to == NULL && b->spool != NULL)
		remake_hash_dirs(b);
	if (q_restore_to(b->store, b->entry, b->root, qo.to != NULL ? b->path : NULL, &err) != Q_MOVED) {
		if (record)
			q_unaccept(b->store, b->spool_path, text_of(b->manifest, "format"), b->id,
				   strlen(b->id), NULL);
		return command_failed("%s", err.text);
	}
	if (err.text[0] != '\0')
		command_failed("%s", err.text);
	if (record)
		back_accept(b, true);
	quarantine_log("restored", b->entry, b->manifest, NULL, b->path);
	return back_told(b);
}

static int back_locked(struct back *b)
{
	g_autofree char *typed = g_strdup_printf("%s:%s", text_of(b->manifest, "format"),
						 b->spool_path);
	g_autofree char *error = NULL;
	int status;

	b->path = back_path(b);
	if (b->path == NULL || b->id == NULL)
		return command_failed("%s: the manifest is damaged", b->entry);
	b->spool = spool_open(typed, &error);
	status = back_refused(b);
	if (status == 0)
		status = back_move(b);
	if (b->spool != NULL)
		spool_close(b->spool);
	return status;
}

static int restore_one(struct q_store *store, const char *word)
{
	struct back b = { .store = store, .root = -1 };
	char *entry = manifest_of(store, word, &b.manifest);
	int status = EXIT_FAILED;

	if (entry == NULL)
		return EXIT_FAILED;
	b.entry = entry;
	b.id = bytes_of(b.manifest, "id");
	b.spool_path = bytes_of(b.manifest, "spool");
	b.root = b.spool_path != NULL ? quarantine_lock(store, b.spool_path) : -1;
	if (b.root >= 0)
		status = back_locked(&b);
	if (b.root >= 0)
		close(b.root);
	g_free(b.path);
	g_free(b.id);
	g_free(b.spool_path);
	json_decref(b.manifest);
	free(entry);
	return status;
}

int quarantine_restore(char **words)
{
	struct q_store *store;
	int status = 0;

	if (*words == NULL)
		return command_usage("quarantine restore: which entry or queue id?");
	if (qo.to != NULL && words[1] != NULL)
		return command_usage("quarantine restore --to: one message at a time");
	store = quarantine_store(false);
	for (; *words != NULL; words++)
		status |= restore_one(store, *words);
	q_store_close(store);
	return status;
}

/* --- recover ----------------------------------------------------------------------- */

int quarantine_recover(char **words)
{
	struct q_store *store;
	struct q_error err = { "" };
	int n;

	if (*words != NULL)
		return command_usage("quarantine recover: takes no words");
	store = quarantine_store(false);
	n = q_recover(store, NULL, say_recovered, NULL, &err);
	q_store_close(store);
	if (n < 0)
		return command_failed("%s", err.text);
	if (!qo.common.quiet)
		printf("%d interrupted transaction%s finished or undone\n", n, n == 1 ? "" : "s");
	return 0;
}
