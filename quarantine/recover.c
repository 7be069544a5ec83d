/*
 * recover.c - what a crash left in inflight/
 *
 * Promises: afterwards each message whose transaction was found is whole in
 * the spool or whole in the quarantine; running it again changes nothing.
 * It decides from names, identities and digests on disk alone (the tables in
 * txn.c and restore.c) and needs no manifest. Never: touches a file that is
 * not the planned one, with one exception: what lies in the lodge under a
 * part's name was brought there by our own rename, and goes back.
 * Never: removes a directory that is not empty, acts on a spool that another
 * run has locked, or on another directory than the one the plan was made for.
 * Fails: says so, leaves that transaction as it was, goes on with the next.
 */
#include "config.h"

#include "private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct recovery {
	const char *spool;
	q_say *say;
	void *arg;
	int done, failed;
	struct q_error first; /* of the first that failed */
};

enum { SKIPPED = 1 }; /* not this spool's, or somebody is at work on it */

static void tell(struct recovery *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void tell(struct recovery *r, const char *fmt, ...)
{
	va_list ap;
	char *line;

	va_start(ap, fmt);
	line = g_strdup_vprintf(fmt, ap);
	va_end(ap);
	if (r->say)
		r->say(r->arg, line);
	g_free(line);
}

struct seen {
	enum part_seen lodge, spool;
};

/* Where is each part? A name that both places have for one inode is what a
 * crash between link and unlink leaves; the one in the lodge goes. */
static int see_all(struct txn *t, struct seen *seen, struct q_error *err)
{
	for (unsigned i = 0; i < t->plan->nparts; i++) {
		struct plan_part *p = &t->plan->parts[i];
		const char *base = file_base(p->path);
		struct stat a, b;
		int rc;

		if (t->lodge >= 0 && p->dir >= 0 &&
		    !fstatat(t->lodge, p->target, &a, AT_SYMLINK_NOFOLLOW) &&
		    !fstatat(p->dir, base, &b, AT_SYMLINK_NOFOLLOW) && file_same_inode(&a, &b) &&
		    (rc = txn_part_back(t, p, err)))
			return rc;
		rc = txn_part_see(t, p->dir, base, p, &seen[i].spool, err);
		if (!rc)
			rc = txn_part_see(t, t->lodge, p->target, p, &seen[i].lodge, err);
		if (rc)
			return rc;
	}
	return 0;
}

/* parts/ says that there was a lodge in the spool. When it is gone, and parts of
 * the message with it, nothing may be concluded: somebody took it away. */
static int lodge_must_be(const struct txn *t, const struct seen *seen, struct q_error *err)
{
	struct stat st;

	if (t->lodge >= 0 || fstatat(t->dir, Q_DIR_PARTS, &st, AT_SYMLINK_NOFOLLOW))
		return 0;
	for (unsigned i = 0; i < t->plan->nparts; i++)
		if (seen[i].spool == PART_ABSENT || seen[i].spool == PART_FOREIGN)
			return q_fail(err, ENOENT, "%s/%s/ is gone from the spool %s, and the parts "
				      "of the message with it; put that directory back",
				      t->plan->lodged ? t->plan->hidden : Q_DIR_PARTS,
				      t->plan->name, q_tail(t->plan->spool));
	return 0;
}

/* A crash of the process alone leaves renames that are not on the disk yet. */
static int sync_all(const struct txn *t, struct q_error *err)
{
	int rc = t->lodge >= 0 ? file_sync(t->lodge) : 0;

	for (unsigned i = 0; i < t->plan->nparts && !rc; i++)
		if (t->plan->parts[i].dir >= 0)
			rc = file_sync(t->plan->parts[i].dir);
	return rc ? q_fail(err, rc, "cannot sync the directories of the parts: %s",
			   g_strerror(-rc)) : 0;
}

/* Can every lodged part get its name back? */
static bool names_are_free(const struct txn *t, const struct seen *seen)
{
	struct stat st;

	for (unsigned i = 0; i < t->plan->nparts; i++) {
		const struct plan_part *p = &t->plan->parts[i];

		if (seen[i].lodge != PART_ABSENT &&
		    (p->dir < 0 || !fstatat(p->dir, file_base(p->path), &st, AT_SYMLINK_NOFOLLOW)))
			return false;
	}
	return true;
}

static unsigned count_lodged(const struct txn *t, const struct seen *seen)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->plan->nparts; i++)
		n += seen[i].lodge != PART_ABSENT;
	return n;
}

/* Lodged parts to the spool, last one first. */
static int all_back(struct txn *t, struct q_error *err)
{
	int rc = 0;

	for (unsigned i = t->plan->nparts; i-- > 0 && !rc;)
		rc = txn_part_back(t, &t->plan->parts[i], err);
	return rc ? rc : sync_all(t, err);
}

/* The parts in the spool that are the planned ones to the lodge, in order. */
static int rest_out(struct txn *t, const struct seen *seen, struct q_error *err)
{
	int rc = 0;

	for (unsigned i = 0; i < t->plan->nparts && !rc; i++)
		if (seen[i].lodge == PART_ABSENT && seen[i].spool == PART_SAME)
			rc = txn_part_out(t, &t->plan->parts[i], err);
	return rc ? rc : sync_all(t, err);
}

/* ---- a message on its way out ---- */

static bool can_go_forward(const struct txn *t, const struct seen *seen)
{
	for (unsigned i = 0; i < t->plan->nparts; i++) {
		bool gone = seen[i].spool == PART_ABSENT && !t->plan->parts[i].checked;

		if (seen[i].lodge != PART_SAME &&
		    !(seen[i].lodge == PART_ABSENT && (seen[i].spool == PART_SAME || gone)))
			return false;
	}
	return true;
}

static bool lodge_has_foreign(const struct txn *t, const struct seen *seen)
{
	for (unsigned i = 0; i < t->plan->nparts; i++)
		if (seen[i].lodge == PART_FOREIGN)
			return true;
	return false;
}

static int recover_move(struct txn *t, struct recovery *r, struct q_error *err)
{
	struct seen seen[Q_PARTS_MAX];
	int rc = see_all(t, seen, err);

	if (!rc)
		rc = lodge_must_be(t, seen, err);
	if (rc)
		return rc;
	if (count_lodged(t, seen) == 0) {
		rc = sync_all(t, err);
		if (!rc)
			rc = txn_remove(t, err);
		if (!rc)
			tell(r, "%s: undone; the message is in the spool", t->plan->name);
		return rc;
	}
	if (!can_go_forward(t, seen) && names_are_free(t, seen)) {
		rc = all_back(t, err);
		if (!rc)
			rc = txn_remove(t, err);
		if (!rc)
			tell(r, "%s: put back; a part had changed or was gone", t->plan->name);
		return rc;
	}
	if (lodge_has_foreign(t, seen))
		return q_fail(err, EEXIST, "a file that is none of the message lies in the lodge "
			      "of %s, and its name in the spool is taken; put it back by hand",
			      t->plan->name);
	rc = rest_out(t, seen, err);
	if (!rc)
		rc = txn_publish(t, err);
	if (!rc)
		tell(r, can_go_forward(t, seen) ?
		     "%s: finished; the message is in the quarantine" :
		     "%s: in the quarantine, not as it was planned: a part had changed or was gone, "
		     "and its place in the spool is taken", t->plan->name);
	return rc;
}

/* ---- a message on its way back ---- */

static int recover_restore(struct txn *t, struct recovery *r, struct q_error *err)
{
	struct seen seen[Q_PARTS_MAX];
	unsigned lodged;
	int rc = see_all(t, seen, err);

	if (!rc)
		rc = lodge_must_be(t, seen, err);
	if (rc)
		return rc;
	lodged = count_lodged(t, seen);
	if (lodged == 0 || (lodged < t->plan->nparts && names_are_free(t, seen))) {
		rc = all_back(t, err);
		if (!rc)
			rc = txn_remove(t, err);
		if (!rc)
			tell(r, "%s: finished; the message is back in the spool", t->plan->name);
		return rc;
	}
	rc = rest_out(t, seen, err);
	if (!rc)
		rc = txn_publish(t, err);
	if (!rc) {
		unlinkat(t->dir, Q_FILE_RETURN, 0);
		tell(r, "%s: not restored; the message is in the quarantine", t->plan->name);
	}
	return rc;
}

/* ---- one directory of inflight/ ---- */

/* The spool must be the directory that the plan was made for: an empty mount
 * point would look as if every part had gone. */
static int open_spool(struct txn *t, struct recovery *r, int *root_r, struct q_error *err)
{
	struct stat st;
	int root = open(t->plan->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;

	*root_r = root;
	if (root < 0)
		return q_fail(err, errno, "cannot open the spool %s: %s", q_tail(t->plan->spool),
			      g_strerror(errno));
	if (fstat(root, &st) || st.st_ino != t->plan->root_ino)
		return q_fail(err, ENXIO, "the spool %s is not the directory that it was; is "
			      "its file system mounted?", q_tail(t->plan->spool));
	if (!r->spool) {
		rc = q_lock(root, 0, err);
		if (rc == -EWOULDBLOCK)
			return SKIPPED;
	}
	t->root = root;
	return rc;
}

static bool same_spool(const char *a, const char *b)
{
	struct stat sa, sb;

	return !strcmp(a, b) || (!stat(a, &sa) && !stat(b, &sb) && file_same_inode(&sa, &sb));
}

/* No complete plan: before it nothing moves, and after a message came back it
 * goes last. parts/ says that the plan had been complete once. */
static int recover_planless(struct txn *t, struct recovery *r, int why, struct q_error *err)
{
	struct stat st;
	int rc;

	if (!fstatat(t->dir, Q_DIR_PARTS, &st, AT_SYMLINK_NOFOLLOW))
		return q_fail(err, why, "the plan of inflight/%s is damaged; parts may lie in its "
			      "directory or in a hidden directory of the spool", t->flying);
	rc = txn_remove(t, err);
	if (!rc)
		tell(r, "%s: a leftover is removed; nothing had moved", t->flying);
	return rc;
}

static int recover_parts(struct txn *t, struct recovery *r, struct q_error *err)
{
	int rc = txn_hold_parents(t, err);

	if (rc)
		return rc;
	return t->plan->kind == PLAN_MOVE ? recover_move(t, r, err) : recover_restore(t, r, err);
}

static int recover_purge(struct txn *t, struct recovery *r, struct q_error *err)
{
	int rc = purge_finish(t, err);

	if (!rc)
		tell(r, "%s: finished; the entry is purged", t->plan->name);
	return rc;
}

static int recover_drain(struct txn *t, struct recovery *r, struct q_error *err)
{
	bool forward;
	int rc = drain_recover(t, &forward, err);

	if (!rc)
		tell(r, "%s: in the quarantine; its copy to the other file system is %s",
		     t->plan->name, forward ? "finished" : "undone");
	return rc;
}

static int recover_planned(struct txn *t, struct recovery *r, struct q_error *err)
{
	int root = -1, rc;

	if (!t->plan->lodged && g_str_has_suffix(t->flying, Q_PURGING)) {
		rc = txn_lodge_open(t, false, err); /* the spool, perhaps long gone, has no part in it */
		return rc ? rc : recover_purge(t, r, err);
	}
	if (r->spool && !same_spool(r->spool, t->plan->spool))
		return SKIPPED;
	rc = open_spool(t, r, &root, err);
	if (!rc)
		rc = store_apart(t->store, t->root, t->plan->spool, err);
	if (!rc)
		rc = txn_lodge_open(t, false, err);
	if (!rc && g_str_has_suffix(t->flying, Q_PURGING))
		rc = recover_purge(t, r, err);
	else if (!rc && g_str_has_suffix(t->flying, Q_DRAINING))
		rc = recover_drain(t, r, err);
	else if (!rc)
		rc = recover_parts(t, r, err);
	t->root = -1;
	file_close(&root);
	return rc;
}

/* What is behind the entry's name in that of its transaction. */
static const char *way_of(const char *flying)
{
	static const char *const ways[] = { Q_RETURNING, Q_DRAINING, Q_PURGING };

	for (size_t i = 0; i < G_N_ELEMENTS(ways); i++)
		if (g_str_has_suffix(flying, ways[i]))
			return ways[i];
	return "";
}

/* A name that we give. */
static bool name_is_ours(const char *flying)
{
	char *name = g_strdup(flying);
	bool ours;

	name[strlen(name) - strlen(way_of(name))] = '\0';
	ours = store_name_valid(name);
	g_free(name);
	return ours;
}

/* 0, SKIPPED, or an error. */
static int take(struct txn *t, const char *flying, struct q_error *err)
{
	int rc;

	t->flying = g_strdup(flying);
	t->dir = file_open_dir(t->store->inflight, flying);
	rc = t->dir < 0 ? t->dir : txn_lock_dir(t->dir, t->store->inflight, flying);
	if (rc == -EWOULDBLOCK || rc == -ENOENT)
		return SKIPPED; /* somebody is at work on it, or has just ended */
	return rc ? q_fail(err, rc, "cannot open inflight/%s in the store: %s", flying,
			   g_strerror(-rc)) : 0;
}

static int recover_one(struct q_store *store, const char *flying, struct recovery *r,
		       struct q_error *err)
{
	bool returning = g_str_has_suffix(flying, Q_RETURNING);
	struct txn t;
	int rc;

	if (!name_is_ours(flying))
		return SKIPPED;
	txn_init(&t, store, -1);
	rc = take(&t, flying, err);
	if (rc)
		goto out;
	rc = plan_read(t.dir, returning ? Q_FILE_RETURN : Q_FILE_PLAN, &t.plan, err);
	if (rc == -ENOENT || rc == -EBADMSG) {
		rc = recover_planless(&t, r, rc, err);
	} else if (!rc) {
		char *want = g_strconcat(t.plan->name, way_of(flying), NULL);

		if (strcmp(want, flying) || (t.plan->kind == PLAN_RESTORE) != returning)
			rc = q_fail(err, EBADMSG, "inflight/%s holds the plan of another entry",
				    flying);
		else
			rc = recover_planned(&t, r, err);
		g_free(want);
	}
out:
	txn_close(&t);
	return rc;
}

static int list_inflight(const struct q_store *store, GPtrArray *names)
{
	int fd = openat(store->inflight, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *de;
	int rc;

	if (!dir) {
		rc = -errno;
		file_close(&fd);
		return rc;
	}
	while (errno = 0, (de = readdir(dir)))
		if (strcmp(de->d_name, ".") && strcmp(de->d_name, ".."))
			g_ptr_array_add(names, g_strdup(de->d_name));
	rc = -errno;
	closedir(dir);
	return rc;
}

int q_recover(struct q_store *store, const char *spool, q_say *say, void *arg, struct q_error *err)
{
	struct recovery r = { .spool = spool, .say = say, .arg = arg };
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	int rc = list_inflight(store, names);

	if (rc)
		q_fail(err, rc, "cannot read %s/inflight: %s", q_tail(store->path),
		       g_strerror(-rc));
	for (unsigned i = 0; i < names->len && !rc; i++) {
		const char *name = g_ptr_array_index(names, i);
		struct q_error why = { "" };
		int one = recover_one(store, name, &r, &why);

		if (one == 0)
			r.done++;
		if (one >= 0)
			continue;
		tell(&r, "%s: %s", name, why.text);
		if (!r.failed)
			r.first = why;
		r.failed = r.failed ? r.failed : one;
	}
	g_ptr_array_free(names, TRUE);
	if (!rc && r.failed)
		rc = q_fail(err, r.failed, "%s", r.first.text);
	return rc ? rc : r.done;
}
