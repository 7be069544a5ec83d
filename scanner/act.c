/*
 * act.c - what decide() planned, handed to the quarantine
 *
 * Holds the spool's lock while it moves, finishes earlier interrupted moves
 * first, and tells for each message what came of it. It opens no queue file
 * itself: the quarantine compares identity and bytes.
 */
#include "config.h"

#include "act.h"

#include "beneath.h"
#include "bounds.h"
#include "escape.h"
#include "log.h"
#include "names.h"
#include "news.h"
#include "output.h"
#include "partpath.h"
#include "progress.h"
#include "serverlock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The companions that lie beside a message, in the order of its roles. Their number, or a negative errno when one is
 * there and cannot be seen; its path is paths[0] then. */
static int companions(const struct spool *spool, const struct outcome *o, struct q_part *parts,
		      char paths[][PATH_MAX])
{
	const struct format *f = spool->format;
	int count = 0;

	for (unsigned role = 1; role < f->nroles; role++)
		for (unsigned depth = 0; depth <= DEPTH_MAX && !f->roles[role].shared; depth++) {
			char *path = paths[count];
			int fd;

			if (!part_path(f, &spool->site, o->place, role, o->id, strlen(o->id), depth, o->path, path,
				       PATH_MAX))
				break;
			fd = open_beneath(spool->root, path, O_PATH);
			if (fd == -ENOENT || fd == -ENOTDIR)
				continue;
			if (fd < 0) {
				memmove(paths[0], path, PATH_MAX);
				return fd;
			}
			close(fd);
			parts[count++] = (struct q_part){ .path = path, .role = f->roles[role].name };
			break;
		}
	return count;
}

/* Streams that are files of their own leave behind their message. They have no digest of what was checked; it is
 * taken when they are moved. Their number, of which `cap` at most are in `parts`, or a negative errno. */
static int side_files(const struct spool *spool, const struct outcome *o, struct q_part *parts,
		      char paths[][PATH_MAX], unsigned cap)
{
	g_autofree char *dir = g_path_get_dirname(o->path);
	g_auto(GStrv) names = NULL;
	unsigned count = 0;
	int fd, ret;

	if (spool->reach.way != REACH_BESIDE)
		return 0;
	fd = open_beneath(spool->root, dir, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	ret = reach_beside(fd, base_of(o->path), &names);
	for (char **name = names; name != NULL && *name != NULL; name++, count++)
		if (count < cap) {
			g_snprintf(paths[count], PATH_MAX, "%s/%s", dir, *name);
			parts[count] = (struct q_part){ .path = paths[count], .role = "named stream" };
		}
	close(fd);
	return ret < 0 ? ret : (int)count;
}

/* The first finding's name, the first part's digest: for the log. */
static void log_moved(const struct spool *spool, struct q_store *store, const struct outcome *o,
		      const char *reason)
{
	const struct finding *worst = outcome_worst(o);
	const json_t *part;
	json_t *manifest;

	if (q_manifest(store, o->entry, &manifest, NULL) < 0)
		manifest = NULL;
	part = json_array_get(json_object_get(manifest, "parts"), 0);
	log_action(&(struct log_action){
		.verb = "moved to quarantine", .id = o->id, .spool = spool->path,
		.finding = worst != NULL ? finding_def(worst->id)->name : NULL, .from = o->path,
		.to = o->entry, .digest = json_string_value(json_object_get(part, "sha256")),
		.reason = reason,
	});
	json_decref(manifest);
}

/* All other files of the message's directory, which leave with it. The count, more than
 * `cap` when they are too many, or a negative errno. */
static int neighbours(const struct spool *spool, const struct outcome *o,
		      struct q_part *parts, char paths[][PATH_MAX], unsigned cap)
{
	g_autofree char *dir = g_path_get_dirname(o->path);
	int fd = open_beneath(spool->root, dir, O_RDONLY | O_DIRECTORY);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	unsigned count = 0;
	struct dirent *e;
	int ret;

	if (fd < 0)
		return fd;
	if (d == NULL) {
		ret = -errno;
		close(fd);
		return ret;
	}
	while (errno = 0, count <= cap && (e = readdir(d)) != NULL) {
		struct stat st;

		if (strcmp(e->d_name, base_of(o->path)) == 0 ||
		    fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (count < cap) {
			g_snprintf(paths[count], PATH_MAX, "%s/%s", dir, e->d_name);
			parts[count] = (struct q_part){ .path = paths[count], .role = "neighbour" };
		}
		count++;
	}
	ret = count > cap ? 0 : -errno;
	closedir(d);
	return ret < 0 ? ret : (int)count;
}

/* Everything of a message besides its anchor. The number of parts, or -1 with `err` filled in: a message that is not seen
 * whole stays whole where it is. */
static int others(const struct spool *spool, const struct outcome *o, struct q_part *parts,
		  char paths[][PATH_MAX], struct q_error *err)
{
	int found = companions(spool, o, parts, paths), count = MAX(found, 0);

	if (found < 0) {
		snprintf(err->text, sizeof err->text, "%s: %s", paths[0], g_strerror(-found));
		return -1;
	}
	found = side_files(spool, o, parts + count, paths + count, MOVE_PARTS - (unsigned)count);
	if (found < 0) {
		snprintf(err->text, sizeof err->text, "%s: its named streams cannot be listed: %s", o->path,
			 g_strerror(-found));
		return -1;
	}
	count += found;
	if (count <= MOVE_PARTS && spool->format->owns_directory != NULL &&
	    spool->format->owns_directory(o->place, o->id, strlen(o->id))) {
		found = neighbours(spool, o, parts + count, paths + count, MOVE_PARTS - (unsigned)count);
		if (found < 0) {
			snprintf(err->text, sizeof err->text, "%s: its directory cannot be listed: %s", o->path,
				 g_strerror(-found));
			return -1;
		}
		count += found;
	}
	if (count <= MOVE_PARTS)
		return count;
	snprintf(err->text, sizeof err->text,
		 "%s: its directory holds more than the %d files that one move can take", o->path, MOVE_PARTS);
	return -1;
}

enum q_outcome act_move(const struct spool *spool, struct q_store *store, struct outcome *o,
			const char *reason, json_t *findings, json_t *envelope,
			struct q_error *err)
{
	const struct place *place = &spool->format->places[o->place];
	g_autofree char (*paths)[PATH_MAX] = g_malloc(sizeof *paths * MOVE_PARTS);
	struct q_part parts[1 + MOVE_PARTS];
	struct q_message m = {
		.root = spool->root, .spool = spool->path, .format = spool->format->name,
		.hidden = spool->format->hidden,
		.inode_in_name = spool->format->inode_in_name != NULL &&
				 spool->format->inode_in_name(o->id, strlen(o->id)),
		.id = o->id, .id_len = strlen(o->id), .parts = parts, .reason = reason,
		.findings = findings, .envelope = envelope,
	};
	enum q_outcome done = Q_REFUSED;
	int lock = -1, more = others(spool, o, parts + 1, paths, err);

	parts[0] = (struct q_part){
		.path = o->path, .role = spool->format->roles[0].name, .checked = true,
		.identity = { o->facts.dev, o->facts.ino, o->facts.size, o->facts.mtime, o->facts.ctime },
	};
	if (more < 0)
		return Q_REFUSED;
	m.nparts = 1 + (unsigned)more;
	/* Asked again here, just before the move: it may have been started meanwhile. */
	if (place->lock == MOVE_STOPPED && spool_running(spool) != SERVER_STOPPED)
		snprintf(err->text, sizeof err->text,
			 "server-running: %s/ may be touched only while the server is stopped",
			 place->name);
	else if (place->lock == MOVE_LOCKED && (lock = server_lock(spool, o)) < 0)
		snprintf(err->text, sizeof err->text, "%s: %s", o->path,
			 lock == -EWOULDBLOCK ? "the server is working on this message now"
					      : g_strerror(-lock));
	else
		done = q_move(store, &m, &o->entry, err);
	if (done == Q_MOVED)
		log_moved(spool, store, o, reason);
	if (lock >= 0)
		close(lock);
	return done;
}

/* A run begins no move after it was told to stop, nor, if it has one, after its hard end. Why not, or NULL. */
static const char *too_late(const struct scan *scan)
{
	gint64 until = scan->options->act_until;

	if (scan_cancelled)
		return "the run was ended before it could be moved";
	return until != 0 && g_get_monotonic_time() > until ? "the time was spent before it could be moved" : NULL;
}

/* How long to wait for another run: where time is short, for a quarter of what is left. */
static int lock_wait_ms(const struct scan *scan)
{
	gint64 left = scan->options->act_until - g_get_monotonic_time();

	return scan->options->act_until == 0 ? LOCK_WAIT_MS : (int)CLAMP(left / 4000, 0, LOCK_WAIT_MS);
}

static void move_one(struct scan *scan, struct q_store *store, struct outcome *o)
{
	static const enum action actions[] = { [Q_MOVED] = ACTION_MOVED, [Q_CHANGED] = ACTION_REFUSED,
					       [Q_REFUSED] = ACTION_REFUSED,
					       [Q_FAILED] = ACTION_FAILED };
	struct q_error err = { "" };
	g_autofree char *reason = g_strdup_printf("spoolck scan: %s",
						  finding_def(outcome_worst(o)->id)->name);
	json_t *findings = json_findings(scan, o);
	json_t *envelope = json_envelope(o);

	o->action = actions[act_move(scan->spool, store, o, reason, findings, envelope, &err)];
	if (o->action == ACTION_MOVED)
		scan->tally.moved++;
	else
		o->reason = g_strdup(err.text);
	json_decref(findings);
	json_decref(envelope);
}

/* A file that lies where it should not is an outcome of its own and may have left with its message, or
 * taken the message along, a moment ago. */
static bool left_already(struct scan *scan, struct outcome *o)
{
	int fd;

	if (!scan->spool->format->one_id)
		return false;
	fd = open_beneath(scan->spool->root, o->path, O_PATH);
	if (fd >= 0)
		close(fd);
	for (guint i = 0; fd == -ENOENT && i < scan->outcomes->len; i++) {
		const struct outcome *other = scan->outcomes->pdata[i];

		if (other->action != ACTION_MOVED || strcmp(other->id, o->id) != 0)
			continue;
		o->action = ACTION_MOVED;
		o->entry = g_strdup(other->entry);
		scan->tally.moved++;
		return true;
	}
	return false;
}

/* Every planned move ends the same way. */
static void all_failed(struct scan *scan, const char *reason)
{
	for (guint i = 0; i < scan->outcomes->len; i++) {
		struct outcome *o = scan->outcomes->pdata[i];

		if (o->action != ACTION_PLANNED)
			continue;
		o->action = ACTION_FAILED;
		o->reason = g_strdup(reason);
	}
}

static void note(void *arg, const char *line)
{
	struct scan *scan = arg;

	g_ptr_array_add(scan->notes, g_strdup(line));
}

static void recovered(void *arg, const char *line)
{
	struct scan *scan = arg;

	note(scan, line);
	log_recovered(scan->spool->path, line);
}

void act_recover(struct scan *scan)
{
	struct q_error err = { "" };
	struct q_store *store;
	int root = scan->spool->root;

	if (scan->options->policy == MOVE_NOTHING || scan->spool->network || spool_on_volume(scan->spool))
		return;
	if (q_store_open(scan->options->store, false, &store, &err) < 0)
		return; /* no store: nothing is in flight; a bad one is told when it is needed */
	if (q_lock(root, lock_wait_ms(scan), &err) < 0 ||
	    q_recover(store, scan->spool->path, recovered, scan, &err) < 0) {
		note(scan, err.text);
		scan->failed = true;
	}
	q_unlock(root);
	q_store_close(store);
}

static void log_drained(const struct spool *spool, const char *entry, const json_t *manifest)
{
	const json_t *part = json_array_get(json_object_get(manifest, "parts"), 0);
	const char *text = json_string_value(json_object_get(manifest, "id"));
	size_t len;
	g_autofree char *id = text != NULL ? escape_undo(text, &len) : NULL;
	g_autofree char *lodge = g_strjoin("/", spool->format->hidden, entry, NULL);

	log_action(&(struct log_action){
		.verb = "copied into the store", .id = id,
		.spool = spool->path, .from = lodge, .to = entry,
		.digest = json_string_value(json_object_get(part, "sha256")),
	});
}

/* One entry; a message whose name contains its inode stays where it is, and that is nothing to note. */
static void drain_one(struct scan *scan, struct q_store *store, const char *entry)
{
	const struct spool *s = scan->spool;
	struct q_error err = { "" };
	json_t *manifest;

	if (q_manifest(store, entry, &manifest, NULL) < 0)
		return;
	if (json_is_true(json_object_get(manifest, "inode_in_name")))
		;
	else if (q_drain(store, entry, s->root, &err) == Q_MOVED)
		log_drained(s, entry, manifest);
	else
		g_ptr_array_add(scan->notes, g_strdup_printf("%s stays in %s/%s: %s.", entry, s->path,
							     s->format->hidden, err.text));
	json_decref(manifest);
}

/* The second half of a move, when the store is on another file system: what lodges in the spool is
 * copied there. What cannot be stays where it is, which is as safe. */
static void drain(struct scan *scan, struct q_store *store)
{
	const struct spool *s = scan->spool;
	g_auto(GStrv) names = NULL;
	struct q_error err = { "" };

	if (s->format->hidden == NULL ||
	    q_lodged(store, s->root, s->format->hidden, &names, &err) < 0)
		return;
	for (char **name = names; *name != NULL && !scan_cancelled; name++) {
		if (scan->options->deadline != 0 && g_get_monotonic_time() > scan->options->deadline)
			return;
		drain_one(scan, store, *name);
	}
}

/* Nothing is planned; perhaps an earlier run left something in a lodge. */
static void act_idle(struct scan *scan)
{
	struct q_store *store;

	if (scan->options->policy == MOVE_NOTHING || scan->spool->network || spool_on_volume(scan->spool) ||
	    q_store_open(scan->options->store, false, &store, NULL) < 0)
		return;
	if (q_lock(scan->spool->root, 0, NULL) == 0) {
		drain(scan, store);
		q_unlock(scan->spool->root);
	}
	q_store_close(store);
}

void act(struct scan *scan)
{
	struct q_error err = { "" };
	struct q_store *store = NULL;
	int root = scan->spool->root;
	struct progress *progress;
	guint planned = 0, done = 0;

	for (guint i = 0; i < scan->outcomes->len; i++)
		planned += ((struct outcome *)scan->outcomes->pdata[i])->action == ACTION_PLANNED;
	if (planned == 0) {
		if (!scan->early)
			act_idle(scan);
		return;
	}
	if (q_store_open(scan->options->store, true, &store, &err) < 0 ||
	    q_lock(root, lock_wait_ms(scan), &err) < 0) {
		all_failed(scan, err.text);
		q_store_close(store);
		return;
	}
	if (scan->options->retention != NULL)
		retention_limit(scan->options->retention, store);
	progress = progress_of("moving: ", planned);
	for (guint i = 0; i < scan->outcomes->len; i++) {
		struct outcome *o = scan->outcomes->pdata[i];
		const char *late = too_late(scan);

		if (o->action != ACTION_PLANNED)
			continue;
		if (late != NULL) {
			o->action = ACTION_REFUSED;
			o->reason = g_strdup(late);
			continue;
		}
		if (left_already(scan, o))
			continue;
		move_one(scan, store, o);
		news_tell(scan, true);
		progress_show(progress, ++done, 0);
	}
	progress_free(progress);
	if (!scan->early) {
		drain(scan, store);
		q_reserve(store, root, scan->spool->format->hidden); /* for the next run, which may find the disk full */
	}
	q_unlock(root);
	q_store_close(store);
}
