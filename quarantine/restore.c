/*
 * restore.c - a message back into its spool, and whether it still could go
 *
 * Promises: the message comes back whole, with the bytes, name, owner, mode,
 * times and attributes that the manifest recorded (a rename keeps them; they
 * are compared before), or it stays in the quarantine. The part that shows the
 * message to the server comes back last. Never: replaces a name, makes a
 * directory in the spool, restores what was damaged in the store.
 * Fails: Q_REFUSED with the reason; after a failure in the middle, as before.
 *
 * The states (N, I, E and lodge as in txn.c):
 *
 *  state      on disk                                 a crash here; q_recover()
 *  ---------  --------------------------------------  -----------------------------------
 *  PUBLISHED  E/N/, perhaps with a file `restore`     nothing to do; a stale `restore` means
 *                                                     nothing in entries/
 *  RETURNING  I/N~restore/restore complete, all       back: renamed to E/N
 *             parts in the lodge
 *  RETURNING  some parts in the lodge                 forward when their names are free, else
 *                                                     those which came back leave again
 *  RETURNED   I/N~restore/, no part in the lodge      forward: papers and directory removed
 *
 *  step                       what is on the disk before the step begins
 *  -------------------------  -----------------------------------------------------------
 *  write E/N/restore          -    (a plan with the identities of today: the store may have
 *                                   been copied since)
 *  rename E/N -> I/N~restore  `restore`, E/N
 *  rename part n..1           E, I; after each rename fsync of the part's directory, then of
 *                             the lodge
 *  remove papers              all parts
 */
#include "config.h"

#include "private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void say_first(void *arg, const char *line)
{
	char *first = arg;

	if (!first[0])
		g_strlcpy(first, line, 256);
}

/* The entry, its plan and its lock. */
int txn_entry_open(struct txn *t, const char *entry, struct q_error *err)
{
	int rc;

	if (!store_name_valid(entry))
		return q_fail(err, ENOENT, "%s is no name of an entry; see: spoolck quarantine "
			      "list", q_tail(entry));
	t->dir = file_open_dir(t->store->entries, entry);
	if (t->dir < 0)
		return q_fail(err, t->dir, "cannot open the entry %s: %s", entry,
			      g_strerror(-t->dir));
	rc = plan_read(t->dir, Q_FILE_PLAN, &t->plan, err);
	if (!rc && strcmp(t->plan->name, entry))
		rc = q_fail(err, EBADMSG, "the entry %s was renamed; its name is %s", entry,
			    t->plan->name);
	return rc;
}

/* The spool that the plan names must be the directory that the caller holds:
 * q_recover() would look there. */
int txn_check_root(const struct txn *t, struct q_error *err)
{
	struct stat held, named;

	if (fstat(t->root, &held) || stat(t->plan->spool, &named) ||
	    !file_same_inode(&held, &named))
		return q_fail(err, Q_EREFUSED, "the message belongs to the spool %s, which is not "
			      "the directory given", q_tail(t->plan->spool));
	return 0;
}

static int refuse_part(const struct plan_part *p, const char *why, struct q_error *err)
{
	return q_fail(err, Q_EREFUSED, "%s: %s; nothing was moved", q_tail(p->path), why);
}

/* One part, held and found to be what the manifest says. 1 = it never came. */
static int sound_part(struct txn *t, struct plan_part *p, const json_t *manifest,
		      struct q_error *err)
{
	char first[256] = "";
	struct stat st;
	int rc;

	p->fd = file_open_regular(t->lodge, p->target, &st);
	if (p->fd == -ENOENT && !p->checked)
		return 1;
	if (p->fd < 0)
		return refuse_part(p, "it is missing or damaged in the quarantine", err);
	rc = manifest_compare(manifest, p, t->lodge, p->fd, say_first, first, err);
	if (rc < 0)
		return rc;
	if (rc > 0)
		return q_fail(err, Q_EREFUSED, "damaged in the quarantine: %s; nothing was moved",
			      first);
	p->identity = (struct q_identity){ .dev = st.st_dev, .ino = st.st_ino,
					   .size = (uint64_t)st.st_size, .mtime = st.st_mtim };
	return 0;
}

int txn_sound_all(struct txn *t, const json_t *manifest, struct q_error *err)
{
	struct plan *plan = t->plan;
	unsigned n = 0;

	for (unsigned i = 0; i < plan->nparts; i++) {
		int rc = sound_part(t, &plan->parts[i], manifest, err);

		if (rc < 0)
			return rc;
		if (rc == 0) { /* swap: plan_free() still releases the one left out */
			struct plan_part p = plan->parts[i];

			plan->parts[i] = plan->parts[n];
			plan->parts[n++] = p;
		}
	}
	while (plan->nparts > n) {
		struct plan_part *p = &plan->parts[--plan->nparts];

		file_close(&p->dir);
		g_free(p->path);
		g_free(p->target);
	}
	return n ? 0 : q_fail(err, Q_EREFUSED, "no part of it is in the quarantine");
}

/* Is each part's place in the spool there, and free? */
static int places_free(const struct txn *t, struct q_error *err)
{
	for (unsigned i = 0; i < t->plan->nparts; i++) {
		const struct plan_part *p = &t->plan->parts[i];
		struct stat taken;

		if (p->dir < 0)
			return refuse_part(p, i ? "its directory is gone" :
					   "its directory is gone; --to DIR names another", err);
		if (!fstatat(p->dir, file_base(p->path), &taken, AT_SYMLINK_NOFOLLOW))
			return refuse_part(p, "the name is taken", err);
		if (errno != ENOENT)
			return q_fail(err, errno, "cannot look at %s: %s", q_tail(p->path),
				      g_strerror(errno));
	}
	return 0;
}

/* The first part gets another path. */
static int redirect(struct txn *t, const char *to, struct q_error *err)
{
	if (!file_path_sane(to))
		return q_fail(err, Q_EREFUSED, "%s is no path below the spool", q_tail(to));
	g_free(t->plan->parts[0].path);
	t->plan->parts[0].path = g_strdup(to);
	return 0;
}

/* Everything that can be known before something moves. */
static int restore_prepare(struct txn *t, const char *entry, const char *to, struct q_error *err)
{
	json_t *manifest = NULL;
	struct stat st;
	int rc = txn_entry_open(t, entry, err);

	if (!rc && txn_lock_dir(t->dir, t->store->entries, entry))
		rc = q_fail(err, Q_EREFUSED, "another spoolck is at work on %s", entry);
	if (!rc)
		rc = txn_check_root(t, err);
	if (!rc)
		rc = store_apart(t->store, t->root, t->plan->spool, err);
	if (!rc)
		rc = manifest_read(t->dir, &manifest, err);
	if (!rc)
		rc = txn_lodge_open(t, false, err);
	if (!rc && t->lodge < 0)
		rc = q_fail(err, Q_EREFUSED, "the directory with the parts of %s is gone", entry);
	if (!rc)
		rc = txn_sound_all(t, manifest, err);
	if (!rc && to)
		rc = redirect(t, to, err);
	if (!rc)
		rc = txn_hold_parents(t, err);
	if (!rc)
		rc = places_free(t, err);
	if (!rc && fstat(t->root, &st))
		rc = q_fail(err, errno, "cannot look at the spool: %s", g_strerror(errno));
	if (!rc) {
		t->plan->kind = PLAN_RESTORE;
		t->plan->root_dev = st.st_dev;
		t->plan->root_ino = st.st_ino;
	}
	json_decref(manifest);
	return rc;
}

/* Do the parts lie on another file system than their places in the spool? Then they are copied into
 * a lodge there first (drain.c). */
static bool is_far(const struct txn *t)
{
	struct stat here, there;

	if (t->plan->lodged || fstat(t->lodge, &here))
		return false;
	for (unsigned i = 0; i < t->plan->nparts; i++)
		if (!fstat(t->plan->parts[i].dir, &there) && there.st_dev != here.st_dev)
			return true;
	return false;
}

/* PUBLISHED to RETURNING. */
static int restore_begin(struct txn *t, struct q_error *err)
{
	char *flying = g_strconcat(t->plan->name, Q_RETURNING, NULL);
	int rc = 0;

	if (unlinkat(t->dir, Q_FILE_RETURN, 0) && errno != ENOENT)
		rc = q_fail(err, errno, "cannot remove a stale file of the entry: %s",
			    g_strerror(errno));
	if (!rc)
		rc = plan_write(t->dir, Q_FILE_RETURN, t->plan, err);
	/* On a full disk the summary, which is for eyes, gives its block. */
	if (reserve_helps(rc) &&
	    !renameat(t->dir, Q_FILE_SUMMARY, t->dir, Q_FILE_RETURN Q_SPARE))
		rc = plan_write(t->dir, Q_FILE_RETURN, t->plan, err);
	if (!rc && file_sync(t->dir))
		rc = q_fail(err, EIO, "cannot sync the entry %s", t->plan->name);
	if (!rc) {
		rc = file_rename_new(t->store->entries, t->plan->name, t->store->inflight, flying,
				     true);
		if (rc)
			q_fail(err, rc, "cannot rename the entry %s: %s", t->plan->name,
			       g_strerror(-rc));
	}
	if (rc) {
		unlinkat(t->dir, Q_FILE_RETURN, 0);
		g_free(flying);
		return rc;
	}
	t->flying = flying;
	if (file_sync(t->store->inflight) || file_sync(t->store->entries))
		return q_fail(err, EIO, "cannot sync the directories of the store");
	return 0;
}

/* Does the spool have this part? -EMLINK: linked there, but the lodge's name
 * could not be removed; q_recover() will try that again. */
static int came_back(const struct txn *t, const struct plan_part *p, struct q_error *err)
{
	struct stat here, there;

	if (fstatat(t->lodge, p->target, &here, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 1 : q_fail(err, errno, "cannot look at %s: %s",
						    q_tail(p->target), g_strerror(errno));
	if (!fstatat(p->dir, file_base(p->path), &there, AT_SYMLINK_NOFOLLOW) &&
	    file_same_inode(&here, &there))
		return q_fail(err, EMLINK, "%s is in both places", q_tail(p->path));
	return 0;
}

/* RETURNING to PUBLISHED: what came back leaves again. */
static int restore_undo(struct txn *t, struct q_error *err)
{
	struct q_error why = { "" };
	int rc = 0;

	for (unsigned i = 0; i < t->plan->nparts && rc >= 0; i++) {
		struct plan_part *p = &t->plan->parts[i];
		struct stat st;

		rc = came_back(t, p, &why);
		if (rc > 0 && p->fd < 0) /* txn_part_out() compares it with the plan */
			p->fd = file_open_regular(p->dir, file_base(p->path), &st);
		if (rc > 0)
			rc = txn_part_out(t, p, &why);
	}
	if (!rc)
		rc = txn_publish(t, &why);
	if (!rc)
		unlinkat(t->dir, Q_FILE_RETURN, 0);
	if (rc && err) {
		size_t have = strlen(err->text);

		snprintf(err->text + have, sizeof err->text - have, "; then %.180s; run: spoolck "
			 "quarantine recover", why.text);
	}
	return rc;
}

enum q_outcome q_restore(struct q_store *store, const char *entry, int root, struct q_error *err)
{
	return q_restore_to(store, entry, root, NULL, err);
}

/* -EXDEV: nothing moved, the parts lie on another file system than their places in the spool. */
static int restore_once(struct txn *t, const char *entry, const char *to, struct q_error *err)
{
	int rc = restore_prepare(t, entry, to, err);

	if (!rc && is_far(t))
		return -EXDEV;
	if (!rc)
		rc = restore_begin(t, err);
	for (unsigned i = rc ? 0 : t->plan->nparts; i-- > 0 && !rc;)
		rc = txn_part_back(t, &t->plan->parts[i], err);
	if (!rc) {
		txn_remove(t, err); /* the message is back; a leftover is a warning in err */
	} else if (t->flying) {
		int undone = restore_undo(t, err);

		if (rc == -EEXIST)
			rc = Q_EREFUSED;
		if (undone)
			rc = undone == Q_ESTALE || undone == Q_EREFUSED ? -EIO : undone;
	}
	return rc;
}

enum q_outcome q_restore_to(struct q_store *store, const char *entry, int root, const char *to,
			    struct q_error *err)
{
	struct q_error ignored;
	struct txn t;
	int rc = -EXDEV;

	if (!err)
		err = &ignored;
	for (unsigned tries = 0; tries < 2 && rc == -EXDEV; tries++) {
		err->text[0] = '\0';
		rc = tries == 0 ? 0 : drain_back(store, entry, root, err);
		if (rc)
			break;
		txn_init(&t, store, root);
		rc = restore_once(&t, entry, to, err);
		txn_close(&t);
	}
	return txn_outcome(rc);
}

/* ---- q_verify ---- */

struct verify {
	q_say *say;
	void *arg;
	int count;
};

static void verify_say(struct verify *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void verify_say(struct verify *v, const char *fmt, ...)
{
	va_list ap;
	char *line;

	va_start(ap, fmt);
	line = g_strdup_vprintf(fmt, ap);
	va_end(ap);
	v->count++;
	if (v->say)
		v->say(v->arg, line);
	g_free(line);
}

/* Files that lie among the parts and that the plan does not name. */
static void verify_strangers(struct verify *v, const struct txn *t)
{
	int fd = openat(t->lodge, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *de;

	if (!dir) {
		verify_say(v, "the directory of the parts cannot be read: %s", g_strerror(errno));
		file_close(&fd);
		return;
	}
	while ((de = readdir(dir))) {
		bool known = !strcmp(de->d_name, ".") || !strcmp(de->d_name, "..");

		for (unsigned i = 0; i < t->plan->nparts && !known; i++) {
			size_t n = strlen(t->plan->parts[i].target);

			/* of streams the comparison knows each */
			known = !strncmp(t->plan->parts[i].target, de->d_name, n) &&
				(!de->d_name[n] || de->d_name[n] == ':');
		}
		if (!known)
			verify_say(v, "%s lies among the parts and belongs to nobody", de->d_name);
	}
	closedir(dir);
}

static int verify_parts(struct verify *v, struct txn *t, const json_t *manifest,
			struct q_error *err)
{
	size_t told = json_array_size(json_object_get(manifest, "parts"));

	if (told != t->plan->nparts)
		verify_say(v, "the manifest names %zu parts, the plan %u", told, t->plan->nparts);
	for (unsigned i = 0; i < t->plan->nparts; i++) {
		struct plan_part *p = &t->plan->parts[i];
		struct stat st;
		int rc;

		p->fd = file_open_regular(t->lodge, p->target, &st);
		if (p->fd == -ENOENT || p->fd == Q_ESTALE) {
			verify_say(v, "%s: missing in the quarantine", q_tail(p->path));
			continue;
		}
		if (p->fd < 0)
			return q_fail(err, p->fd, "cannot read %s: %s", q_tail(p->path),
				      g_strerror(-p->fd));
		rc = manifest_compare(manifest, p, t->lodge, p->fd, v->say, v->arg, err);
		if (rc < 0)
			return rc;
		v->count += rc;
	}
	verify_strangers(v, t);
	return 0;
}

int q_verify(struct q_store *store, const char *entry, q_say *say, void *arg, struct q_error *err)
{
	struct verify v = { say, arg, 0 };
	struct q_error why = { "" };
	json_t *manifest = NULL;
	struct txn t;
	int root = -1, rc;

	txn_init(&t, store, -1);
	rc = txn_entry_open(&t, entry, &why);
	if (rc == -EBADMSG || (rc == -ENOENT && t.dir >= 0)) {
		verify_say(&v, "%s", why.text);
		rc = v.count;
		goto out;
	}
	if (!rc && t.plan->lodged)
		rc = root = t.root = open(t.plan->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rc < 0 && !why.text[0])
		q_fail(&why, errno, "cannot open the spool, where the parts lie: %s",
		       g_strerror(errno));
	if (rc >= 0) {
		rc = manifest_read(t.dir, &manifest, &why);
		if (rc == -EBADMSG || rc == -ENOENT) {
			verify_say(&v, "%s", why.text);
			rc = v.count;
			goto out;
		}
	}
	if (rc >= 0)
		rc = txn_lodge_open(&t, false, &why);
	if (rc >= 0 && t.lodge < 0)
		verify_say(&v, "the directory with the parts is gone");
	else if (rc >= 0)
		rc = verify_parts(&v, &t, manifest, &why);
	rc = rc < 0 ? q_fail(err, rc, "%s", why.text) : v.count;
out:
	json_decref(manifest);
	txn_close(&t);
	file_close(&root);
	return rc;
}
