/*
 * txn.c - one message out of the spool, as a transaction
 *
 * Promises: after q_move() returns, and after q_recover() has run when it did
 * not return, the message is whole in the spool or whole in the quarantine.
 * Never: copies, opens for writing, chowns, or removes a file of mail; replaces
 * a name; follows a link. It unlinks its own papers, and in the lodge the
 * second name of a file that link() has put back; never a name in the spool.
 * Fails: before the first rename without a trace; later it puts back what it
 * took, and when even that fails says so and leaves the rest to q_recover().
 *
 * The states, recognised by names alone. N is the entry's name, I = inflight/,
 * E = entries/; the lodge is I/N/parts/, or HIDDEN/N/ in the spool when the
 * store is on another file system (I/N/parts/ then stays empty).
 *
 *  state      on disk                                  a crash here; q_recover()
 *  ---------  ---------------------------------------  ----------------------------------
 *  (begun)    I/N/ without a complete plan,            nothing has moved;
 *             no I/N/parts/                            papers and I/N/ removed
 *  PLANNED    I/N/plan complete; lodge absent or       nothing has moved;
 *             empty                                    lodge, papers, I/N/ removed
 *  HIDING     I/N/plan; some parts in the lodge        forward: the others follow when each
 *                                                      is still the planned file; else all
 *                                                      go back, last one first
 *  LODGED     I/N/plan; no planned part in the spool   forward: published
 *  PUBLISHED  E/N/                                     nothing to do
 *  RETURNING  I/N~restore/restore complete             see restore.c
 *  DRAINING   I/N~drain/                               see drain.c
 *  (purged)   I/N~purge/                               forward: see purge.c
 *
 *  step                    what is on the disk before the step begins
 *  ----------------------  --------------------------------------------------------------
 *  mkdir I/N, flock        -            (the flock tells q_recover() that somebody is at work)
 *  manifest, summary       I/N
 *  plan                    manifest and summary: recovery never writes them. PLANNED
 *  mkdir lodge, parts      plan, I/N, I: fsync of file, directory, parent directory
 *  rename part 1..n        the lodge; after each rename fsync of lodge, then of the part's
 *                          directory, so that the part that shows the message is gone first
 *  rename I/N -> E/N       all parts. LODGED -> PUBLISHED; fsync of E, then I
 *
 * When a lodged part turns out to have changed (its server had it open) the
 * message goes back. When it cannot go back because its name was taken, the id
 * has been used again, and what is lodged is published: nothing is lost and
 * nothing foreign is touched.
 *
 * Undoing removes parts/, lodge, then the papers; each directory is removed by
 * rmdir, so a part that should not be there stops it. A plan with parts/ but
 * without its lodge in the spool is never undone while a part is missing: then
 * somebody moved the lodge away.
 */
#include "config.h"

#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

void txn_init(struct txn *t, const struct q_store *store, int root)
{
	*t = (struct txn){ .store = store, .root = root, .dir = -1, .hidden = -1, .lodge = -1 };
}

void txn_close(struct txn *t)
{
	file_close(&t->lodge);
	file_close(&t->hidden);
	file_close(&t->dir);
	plan_free(t->plan);
	g_free(t->flying);
	t->plan = NULL;
	t->flying = NULL;
}

enum q_outcome txn_outcome(int rc)
{
	if (!rc)
		return Q_MOVED;
	return rc == Q_ESTALE ? Q_CHANGED : rc == Q_EREFUSED ? Q_REFUSED : Q_FAILED;
}

/* Whoever works on a transaction holds a flock on its directory, which must
 * still be the one of that name when the lock is granted. */
int txn_lock_dir(int dir, int at, const char *name)
{
	struct stat held, named;

	if (flock(dir, LOCK_EX | LOCK_NB) || fstat(dir, &held) ||
	    fstatat(at, name, &named, AT_SYMLINK_NOFOLLOW))
		return -errno;
	return file_same_inode(&held, &named) ? 0 : -ENOENT;
}

/* ---- the lodge ---- */

/* `spare` finds a directory that was put by. */
static int make_dir(int at, const char *name, int (*spare)(int at, const char *name), struct q_error *err)
{
	int rc = mkdirat(at, name, 0700) && errno != EEXIST ? -errno : 0;

	if (reserve_helps(rc) && !spare(at, name))
		rc = 0;
	if (rc)
		return q_fail(err, rc, "cannot make the directory %s: %s; make room, or see "
			      "who may write there", q_tail(name), g_strerror(-rc));
	if (file_sync(at))
		return q_fail(err, EIO, "cannot sync the directory above %s", q_tail(name));
	return 0;
}

static int open_own_dir(int at, const char *name, int *fd_r, struct q_error *err)
{
	int fd, rc;

	file_close(fd_r);
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return q_fail(err, errno, "cannot open the directory %s: %s", q_tail(name),
			      g_strerror(errno));
	rc = store_private_dir(fd, name, err);
	if (rc)
		close(fd);
	else
		*fd_r = fd;
	return rc;
}

/* HIDDEN alone; t->hidden stays -1 when it is not there. */
int txn_hidden_open(struct txn *t, struct q_error *err)
{
	int parent = file_open_parent(t->root, t->plan->hidden), rc;

	if (parent == -ENOENT)
		return 0;
	rc = parent < 0 ? q_fail(err, parent, "cannot open the directory above %s in the spool: %s",
				 q_tail(t->plan->hidden), g_strerror(-parent)) :
			  open_own_dir(parent, file_base(t->plan->hidden), &t->hidden, err);
	file_close(&parent);
	return rc == -ENOENT ? 0 : rc;
}

int txn_lodge_open_spool(struct txn *t, bool create, struct q_error *err)
{
	const char *base = file_base(t->plan->hidden);
	int rc = 0;
	int parent = file_open_parent(t->root, t->plan->hidden);

	if (parent < 0)
		return q_fail(err, parent, "cannot open the directory above %s in the spool: %s",
			      q_tail(t->plan->hidden), g_strerror(-parent));
	if (create)
		rc = make_dir(parent, base, reserve_mkdir, err);
	if (!rc)
		rc = open_own_dir(parent, base, &t->hidden, err);
	if (!rc && create)
		rc = make_dir(t->hidden, t->plan->name, reserve_lodge, err);
	if (!rc)
		rc = open_own_dir(t->hidden, t->plan->name, &t->lodge, err);
	close(parent);
	return rc;
}

/*
 * parts/ is made after the plan is complete and after the lodge in the spool,
 * and removed before both: where there is no parts/ nothing is lodged, and where
 * it is the lodge must be, too. HIDDEN is looked at first, so that one which is
 * not ours stops a move without a trace.
 * Without create a missing lodge is no error: t->lodge stays -1.
 */
int txn_lodge_open(struct txn *t, bool create, struct q_error *err)
{
	struct stat st;
	int rc = 0;

	if (!create && fstatat(t->dir, Q_DIR_PARTS, &st, AT_SYMLINK_NOFOLLOW) && errno == ENOENT) {
		/* HIDDEN may be ours to remove, or somebody else's */
		rc = t->plan->lodged ? txn_lodge_open_spool(t, false, err) : 0;
		file_close(&t->lodge);
		return rc == -ENOENT || rc == -EPERM || rc == -ENOTDIR || rc == -ELOOP ? 0 : rc;
	}
	if (t->plan->lodged)
		rc = txn_lodge_open_spool(t, create, err);
	if (!rc && create)
		rc = make_dir(t->dir, Q_DIR_PARTS, reserve_mkdir, err);
	if (!rc && !t->plan->lodged)
		rc = open_own_dir(t->dir, Q_DIR_PARTS, &t->lodge, err);
	return rc == -ENOENT && !create ? 0 : rc;
}

/* The empty lodge in the spool, and HIDDEN itself when nothing else lodges there. */
int txn_lodge_remove(struct txn *t, struct q_error *err)
{
	int parent, rc;

	if (!t->plan || !t->plan->lodged || t->hidden < 0)
		return 0;
	if (unlinkat(t->hidden, t->plan->name, AT_REMOVEDIR) && errno != ENOENT)
		return q_fail(err, errno, "cannot remove the lodge %s in the spool: %s",
			      t->plan->name, g_strerror(errno));
	if (file_sync(t->hidden))
		return q_fail(err, EIO, "cannot sync %s in the spool", q_tail(t->plan->hidden));
	parent = file_open_parent(t->root, t->plan->hidden);
	/* It stays when another message lodges there. */
	if (parent < 0)
		rc = parent;
	else if (unlinkat(parent, file_base(t->plan->hidden), AT_REMOVEDIR))
		rc = errno == ENOTEMPTY || errno == EEXIST || errno == ENOENT ? 0 : -errno;
	else
		rc = file_sync(parent);
	file_close(&parent);
	return rc ? q_fail(err, rc, "cannot remove %s in the spool: %s", q_tail(t->plan->hidden),
			   g_strerror(-rc)) : 0;
}

/* ---- one part between spool and lodge ---- */

/* The part's directory must still be where its path says, else a rename would
 * reach into wherever it was moved to. */
static int parent_still(const struct txn *t, const struct plan_part *p, struct q_error *err)
{
	struct stat held, named;
	int rc = 0;
	int now = file_open_parent(t->root, p->path);

	if (now == -ENOENT || now == -ENOTDIR || now == -ELOOP || now == -EXDEV || p->dir < 0)
		rc = Q_ESTALE;
	else if (now < 0)
		rc = now;
	else if (fstat(now, &named) || fstat(p->dir, &held))
		rc = -errno;
	else if (!file_same_inode(&held, &named))
		rc = Q_ESTALE;
	file_close(&now);
	if (rc == Q_ESTALE)
		q_fail(err, rc, "the directory of %s is not what it was", q_tail(p->path));
	else if (rc)
		q_fail(err, rc, "cannot look at the directory of %s: %s", q_tail(p->path),
		       g_strerror(-rc));
	return rc;
}

static bool identity_holds(const struct q_identity *id, const struct stat *st)
{
	return id->ino == st->st_ino && id->size == (uint64_t)st->st_size &&
	       id->mtime.tv_sec == st->st_mtim.tv_sec && id->mtime.tv_nsec == st->st_mtim.tv_nsec;
}

static bool held_holds(const struct plan_part *p, struct stat *held_r)
{
	return p->fd >= 0 && !fstat(p->fd, held_r) && identity_holds(&p->identity, held_r);
}

static int changed(const struct plan_part *p, struct q_error *err)
{
	return q_fail(err, Q_ESTALE, "%s is not the file that was checked any more; look again",
		      q_tail(p->path));
}

static int sync_both(int first, int second, const struct plan_part *p, struct q_error *err)
{
	int rc = file_sync(first);

	if (!rc)
		rc = file_sync(second);
	if (rc)
		q_fail(err, rc, "cannot sync the directories of %s: %s", q_tail(p->path),
		       g_strerror(-rc));
	return rc;
}

/* Spool to lodge. The part is held open: what arrives must be that file. */
int txn_part_out(struct txn *t, struct plan_part *p, struct q_error *err)
{
	const char *base = file_base(p->path);
	struct stat held, named;
	int rc = parent_still(t, p, err);

	if (rc)
		return rc;
	if (!held_holds(p, &held) || fstatat(p->dir, base, &named, AT_SYMLINK_NOFOLLOW) ||
	    !file_same_inode(&held, &named))
		return changed(p, err);
	rc = file_rename_new(p->dir, base, t->lodge, p->target, true);
	if (rc == -ENOENT)
		return changed(p, err);
	if (rc)
		return q_fail(err, rc, "cannot move %s out of the spool: %s", q_tail(p->path),
			      g_strerror(-rc));
	if (fstatat(t->lodge, p->target, &named, AT_SYMLINK_NOFOLLOW) ||
	    !file_same_inode(&held, &named)) {
		/* Somebody exchanged the file in that instant: his goes back. */
		rc = file_rename_new(t->lodge, p->target, p->dir, base, false);
		if (!rc)
			rc = sync_both(p->dir, t->lodge, p, err);
		return rc ? q_fail(err, rc, "%s was exchanged while it was moved, and what took "
				   "its place cannot go back", q_tail(p->path)) : changed(p, err);
	}
	return sync_both(t->lodge, p->dir, p, err);
}

/* Lodge to spool. Nothing to do when the lodge does not have it. A name that
 * both have, for one inode, is left by a crash between link and unlink. */
int txn_part_back(struct txn *t, struct plan_part *p, struct q_error *err)
{
	const char *base = file_base(p->path);
	struct stat here, there;
	int rc;

	if (t->lodge < 0 || (fstatat(t->lodge, p->target, &here, AT_SYMLINK_NOFOLLOW) &&
			     errno == ENOENT))
		return 0;
	rc = parent_still(t, p, err);
	if (rc)
		return rc;
	/* FUSE does not remove the name of a file that is open: it would stay in the lodge. */
	file_close(&p->fd);
	rc = file_rename_new(t->lodge, p->target, p->dir, base, false);
	if (rc == -EEXIST && !fstatat(t->lodge, p->target, &here, AT_SYMLINK_NOFOLLOW) &&
	    !fstatat(p->dir, base, &there, AT_SYMLINK_NOFOLLOW) && file_same_inode(&here, &there))
		rc = unlinkat(t->lodge, p->target, 0) ? -errno : 0;
	if (rc)
		return q_fail(err, rc, "cannot put %s back into the spool: %s", q_tail(p->path),
			      rc == -EEXIST ? "the name is taken" : g_strerror(-rc));
	return sync_both(p->dir, t->lodge, p, err);
}

/* What has this name? When it is the planned inode it is held open in p->fd. */
int txn_part_see(const struct txn *t, int dir, const char *name, struct plan_part *p,
		 enum part_seen *seen_r, struct q_error *err)
{
	struct stat st, root;
	char hex[65];
	int fd, rc;

	*seen_r = PART_ABSENT;
	if (dir < 0)
		return 0;
	fd = file_open_regular(dir, name, &st);
	if (fd == -ENOENT)
		return 0;
	*seen_r = PART_FOREIGN;
	if (fd == Q_ESTALE)
		return 0;
	if (fd < 0)
		return q_fail(err, fd, "cannot read %s: %s", q_tail(p->path), g_strerror(-fd));
	/* Device numbers may change with a restart of the host: what was planned
	 * on the spool's own file system must still be there. */
	if (st.st_ino != p->identity.ino ||
	    (p->identity.dev == t->plan->root_dev &&
	     (fstat(t->root, &root) || st.st_dev != root.st_dev))) {
		close(fd);
		return 0;
	}
	file_close(&p->fd);
	p->fd = fd;
	*seen_r = PART_CHANGED;
	if (!identity_holds(&p->identity, &st))
		return 0;
	rc = file_digest(fd, hex);
	if (rc && rc != Q_ESTALE)
		return q_fail(err, rc, "cannot read %s: %s", q_tail(p->path), g_strerror(-rc));
	if (!rc && !strcmp(hex, p->sha256))
		*seen_r = PART_SAME;
	return 0;
}

/* The directories in the spool; one that is missing stays -1. */
int txn_hold_parents(struct txn *t, struct q_error *err)
{
	for (unsigned i = 0; i < t->plan->nparts; i++) {
		struct plan_part *p = &t->plan->parts[i];
		int fd = file_open_parent(t->root, p->path);

		if (fd < 0 && fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP)
			return q_fail(err, fd, "cannot open the directory of %s: %s",
				      q_tail(p->path), g_strerror(-fd));
		file_close(&p->dir);
		p->dir = fd < 0 ? -1 : fd;
	}
	return 0;
}

/* ---- the end of a transaction ---- */

static int remove_papers(struct txn *t, struct q_error *err)
{
	/* the file by which the state is known goes last */
	static const char *const papers[] = {
		Q_FILE_KEEP, Q_FILE_MANIFEST_NEW, Q_FILE_SUMMARY, Q_FILE_MANIFEST, Q_FILE_NEXT,
		Q_FILE_PLAN, Q_FILE_RETURN,
	};
	int rc;

	for (size_t i = 0; i < G_N_ELEMENTS(papers); i++)
		if (unlinkat(t->dir, papers[i], 0) && errno != ENOENT)
			return q_fail(err, errno, "cannot remove inflight/%s/%s in the store: %s",
				      t->flying, papers[i], g_strerror(errno));
	rc = unlinkat(t->store->inflight, t->flying, AT_REMOVEDIR) ? -errno : 0;
	if (rc == -ENOTEMPTY || rc == -EEXIST) { /* of a unit of the reserve something was not needed */
		reserve_drop(t->dir);
		rc = unlinkat(t->store->inflight, t->flying, AT_REMOVEDIR) ? -errno : 0;
	}
	if (rc)
		return q_fail(err, rc, "cannot remove inflight/%s in the store: %s", t->flying,
			      g_strerror(-rc));
	file_sync(t->store->inflight); /* an empty directory that comes back is removed again */
	return 0;
}

/* Nothing is lodged any more: parts/, lodge, papers and directory go, in this
 * order. A directory that is not empty stays, and with it everything behind. */
int txn_remove(struct txn *t, struct q_error *err)
{
	int rc;

	if (unlinkat(t->dir, Q_DIR_PARTS, AT_REMOVEDIR) && errno != ENOENT)
		return q_fail(err, errno, "cannot remove inflight/%s/parts in the store: %s",
			      t->flying, g_strerror(errno));
	rc = file_sync(t->dir);
	if (rc)
		return q_fail(err, rc, "cannot sync inflight/%s in the store", t->flying);
	rc = txn_lodge_remove(t, err);
	return rc ? rc : remove_papers(t, err);
}

/* LODGED to PUBLISHED. Once renamed it is done; a failing sync is a warning in err. */
int txn_publish(struct txn *t, struct q_error *err)
{
	int rc = file_rename_new(t->store->inflight, t->flying, t->store->entries, t->plan->name,
				 true);

	if (rc)
		return q_fail(err, rc, "cannot publish the entry %s in the store: %s",
			      t->plan->name, g_strerror(-rc));
	if (file_sync(t->store->entries) || file_sync(t->store->inflight))
		q_fail(err, EIO, "the entry %s is published, but its directory could not be "
		       "synced", t->plan->name);
	return 0;
}

/* ---- q_move ---- */

static int check_message(const struct q_message *m, struct q_error *err)
{
	if (m->id_len < 1 || m->id_len > Q_ID_MAX || m->nparts < 1 || m->nparts > Q_PARTS_MAX ||
	    !m->spool || m->spool[0] != '/' || strlen(m->spool) > Q_PATH_MAX || !m->format ||
	    !m->format[0] || strlen(m->format) > 32 || (m->hidden && !file_path_sane(m->hidden)))
		return q_fail(err, Q_EREFUSED, "the message is not described as q_move() wants it");
	for (unsigned i = 0; i < m->nparts; i++)
		if (!m->parts[i].path || !file_path_sane(m->parts[i].path))
			return q_fail(err, Q_EREFUSED, "a part's path is empty, absolute or has a "
				      "component that is none: %s",
				      m->parts[i].path ? q_tail(m->parts[i].path) : "(none)");
	return 0;
}

static void identity_of(const struct stat *st, struct q_identity *id_r)
{
	*id_r = (struct q_identity){
		.dev = st->st_dev, .ino = st->st_ino, .size = (uint64_t)st->st_size,
		.mtime = st->st_mtim, .ctime = st->st_ctim,
	};
}

static bool identity_equal(const struct q_identity *a, const struct q_identity *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec &&
	       a->ctime.tv_sec == b->ctime.tv_sec && a->ctime.tv_nsec == b->ctime.tv_nsec;
}

/* Open one part into p. 1 = not there and not needed. */
static int hold_part(int root, const struct q_part *part, struct plan_part *p, struct q_error *err)
{
	struct stat st;
	int rc;

	p->path = g_strdup(part->path);
	p->role = g_strdup(part->role ? part->role : "");
	p->checked = part->checked;
	p->dir = file_open_parent(root, part->path);
	rc = p->dir < 0 ? p->dir : 0;
	if (!rc) {
		p->fd = file_open_regular(p->dir, file_base(part->path), &st);
		rc = p->fd < 0 ? p->fd : 0;
	}
	if (rc == -ENOENT || rc == -ENOTDIR || rc == -ELOOP || rc == -EXDEV || rc == Q_ESTALE)
		return p->checked ? changed(p, err) : 1;
	if (rc)
		return q_fail(err, rc, "cannot open %s: %s", q_tail(p->path), g_strerror(-rc));
	identity_of(&st, &p->identity);
	if (p->checked && !identity_equal(&p->identity, &part->identity))
		return changed(p, err);
	return 0;
}

static int digest_all(struct txn *t, struct q_error *err)
{
	int rc = 0;

	for (unsigned i = 0; i < t->plan->nparts && !rc; i++) {
		struct plan_part *p = &t->plan->parts[i];

		rc = file_digest(p->fd, p->sha256);
		if (rc == -EFBIG)
			rc = q_fail(err, Q_EREFUSED, "%s is larger than 16 GiB; move it by hand",
				    q_tail(p->path));
		else if (rc == Q_ESTALE)
			changed(p, err);
		else if (rc)
			q_fail(err, rc, "cannot read %s: %s; nothing was moved", q_tail(p->path),
			       g_strerror(-rc));
	}
	return rc;
}

static void drop_part(struct plan_part *p)
{
	file_close(&p->dir);
	file_close(&p->fd);
	g_free(p->path);
	g_free(p->role);
	g_free(p->target);
	*p = (struct plan_part){ .dir = -1, .fd = -1 };
}

static char *part_target(unsigned n, const char *path)
{
	const char *base = file_base(path);
	char *name = escape_name(base, strlen(base), 160);
	char *target = g_strdup_printf("%02u-%s", n, name);

	g_free(name);
	return target;
}

/* All parts that are there, held; the plan but for its name and lodge. */
static int hold_all(struct txn *t, const struct q_message *m, struct q_error *err)
{
	struct stat st;

	t->plan = plan_new(m->nparts);
	t->plan->spool = g_strdup(m->spool);
	if (fstat(m->root, &st))
		return q_fail(err, errno, "cannot look at the spool %s: %s", q_tail(m->spool),
			      g_strerror(errno));
	t->plan->root_dev = st.st_dev;
	t->plan->root_ino = st.st_ino;
	for (unsigned i = 0; i < m->nparts; i++) {
		struct plan_part *p = &t->plan->parts[t->plan->nparts++];
		int rc = hold_part(m->root, &m->parts[i], p, err);

		if (rc < 0)
			return rc;
		if (rc == 0) {
			p->target = part_target(t->plan->nparts, p->path);
		} else {
			drop_part(p);
			t->plan->nparts--;
		}
	}
	return t->plan->nparts ? 0 : q_fail(err, Q_ESTALE, "no part of the message is there any "
					    "more; look again");
}

/* 1 when every part's directory is on the store's file system, as far as device
 * numbers tell; a rename knows better (EXDEV). */
static int store_is_near(const struct txn *t)
{
	struct stat store, dir;

	if (fstat(t->store->inflight, &store))
		return 0;
	for (unsigned i = 0; i < t->plan->nparts; i++)
		if (fstat(t->plan->parts[i].dir, &dir) || dir.st_dev != store.st_dev)
			return 0;
	return 1;
}

static bool name_is_used(const struct q_store *store, const char *name)
{
	static const char *const ways[] = { Q_RETURNING, Q_DRAINING, Q_PURGING };
	struct stat st;
	bool used = !fstatat(store->entries, name, &st, AT_SYMLINK_NOFOLLOW);

	for (size_t i = 0; i < G_N_ELEMENTS(ways) && !used; i++) {
		char *flying = g_strconcat(name, ways[i], NULL);

		used = !fstatat(store->inflight, flying, &st, AT_SYMLINK_NOFOLLOW);
		g_free(flying);
	}
	return used;
}

/* Make inflight/NAME/ and hold its lock. First the directory, then the look
 * into entries/: another run publishes by renaming its directory away.
 * -EEXIST: try another name. */
static int claim_one(struct txn *t, const char *name)
{
	int rc = mkdirat(t->store->inflight, name, 0700) ? -errno : 0;

	if (reserve_helps(rc))
		rc = reserve_take(t->store, t->store->inflight, name, &t->dir);
	if (rc)
		return rc;
	if (name_is_used(t->store, name)) {
		if (t->dir >= 0)
			reserve_drop(t->dir);
		file_close(&t->dir);
		unlinkat(t->store->inflight, name, AT_REMOVEDIR);
		return -EEXIST;
	}
	if (t->dir < 0)
		t->dir = openat(t->store->inflight, name,
				O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	rc = t->dir < 0 ? -errno : txn_lock_dir(t->dir, t->store->inflight, name);
	if (!rc)
		return 0;
	file_close(&t->dir);
	/* A recover() beside us takes the empty directory for a leftover. */
	if (rc == -ENOENT || rc == -EWOULDBLOCK)
		return -EEXIST;
	unlinkat(t->store->inflight, name, AT_REMOVEDIR);
	return rc;
}

static int claim_name(struct txn *t, const char *wanted, struct q_error *err)
{
	int rc = -EEXIST;

	for (unsigned n = 1; n < 10000 && rc == -EEXIST; n++) {
		char *name = n == 1 ? g_strdup(wanted) : g_strdup_printf("%s~%u", wanted, n);

		rc = claim_one(t, name);
		if (rc) {
			g_free(name);
		} else {
			t->plan->name = g_strdup(name);
			t->flying = name;
		}
	}
	if (rc)
		q_fail(err, rc, "cannot make inflight/%s in the store: %s; make room or choose "
		       "another store", wanted, g_strerror(-rc));
	return rc;
}

/* Up to PLANNED: papers on the disk, nothing moved. */
static int move_plan(struct txn *t, const struct q_message *m, bool near, struct q_error *err)
{
	time_t now = time(NULL);
	char *wanted = store_name(m->format, m->id, m->id_len, now);
	int rc;

	t->plan->hidden = g_strdup(m->hidden);
	t->plan->lodged = !near;
	rc = claim_name(t, wanted, err);
	g_free(wanted);
	if (!rc)
		rc = manifest_write(t->dir, m, t->plan, now, err);
	if (!rc)
		rc = plan_write(t->dir, Q_FILE_PLAN, t->plan, err);
	if (!rc && (file_sync(t->dir) || file_sync(t->store->inflight)))
		rc = q_fail(err, EIO, "cannot sync inflight/%s in the store", t->flying);
	return rc;
}

/* HIDING to LODGED. Afterwards no part may have been written to meanwhile. */
static int move_hide(struct txn *t, struct q_error *err)
{
	struct stat st;
	int rc = txn_lodge_open(t, true, err);

	for (unsigned i = 0; i < t->plan->nparts && !rc; i++)
		rc = txn_part_out(t, &t->plan->parts[i], err);
	for (unsigned i = 0; i < t->plan->nparts && !rc; i++)
		if (!held_holds(&t->plan->parts[i], &st))
			rc = changed(&t->plan->parts[i], err);
	return rc;
}

/* Everything back, last one first. On failure says where things are. */
static int move_undo(struct txn *t, struct q_error *err)
{
	struct q_error why = { "" };
	int rc = 0;

	if (t->lodge < 0) /* nothing was lodged, but a directory may have been made */
		rc = txn_lodge_open(t, false, &why);
	for (unsigned i = t->plan->nparts; i-- > 0 && !rc;)
		rc = txn_part_back(t, &t->plan->parts[i], &why);
	if (!rc)
		rc = txn_remove(t, &why);
	if (rc && err) {
		size_t have = strlen(err->text);

		snprintf(err->text + have, sizeof err->text - have, "; then %.180s; run: spoolck "
			 "quarantine recover", why.text);
	}
	return rc;
}

static int move_once(struct q_store *store, const struct q_message *m, bool near, char **entry_r,
		     struct q_error *err)
{
	uint64_t bytes = 0;
	struct txn t;
	int rc;

	txn_init(&t, store, m->root);
	rc = hold_all(&t, m, err);
	if (!rc)
		rc = measure_room(store, t.plan, &bytes, err);
	if (!rc && near && !store_is_near(&t))
		rc = -EXDEV;
	if (!rc)
		rc = digest_all(&t, err);
	if (!rc)
		rc = move_plan(&t, m, near, err);
	if (!rc)
		rc = move_hide(&t, err);
	if (!rc)
		rc = txn_publish(&t, err);
	if (rc && t.flying) {
		int undone = move_undo(&t, err);

		/* "changed" and "refused" promise that nothing moved */
		if (undone)
			rc = undone == Q_ESTALE || undone == Q_EREFUSED ? -EIO : undone;
	}
	if (!rc)
		store->room -= store->limited ? bytes : 0;
	if (!rc && entry_r)
		*entry_r = strdup(t.plan->name);
	txn_close(&t);
	return rc;
}

enum q_outcome q_move(struct q_store *store, const struct q_message *m, char **entry_r,
		      struct q_error *err)
{
	struct q_error ignored;
	int rc;

	if (!err)
		err = &ignored;
	err->text[0] = '\0';
	if (entry_r)
		*entry_r = NULL;
	rc = check_message(m, err);
	if (!rc)
		rc = store_apart(store, m->root, m->spool, err);
	if (rc)
		return txn_outcome(rc);
	rc = move_once(store, m, true, entry_r, err);
	if (rc != -EXDEV)
		return txn_outcome(rc);
	if (!m->hidden) {
		q_fail(err, EXDEV, "the store %s is not on the file system of the spool, and this "
		       "format names no hidden place in the spool; choose a --store there",
		       q_tail(store->path));
		return Q_REFUSED;
	}
	err->text[0] = '\0';
	rc = move_once(store, m, false, entry_r, err);
	if (rc == -EXDEV)
		rc = q_fail(err, Q_EREFUSED, "a part lies on another file system than the spool's "
			    "root directory; move this message by hand");
	return txn_outcome(rc);
}
