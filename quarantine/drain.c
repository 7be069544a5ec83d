/*
 * drain.c - an entry's parts between the lodge in the spool and the store
 *
 * By copy, because the two lie on different file systems: "drain" empties the
 * lodge into parts/ of the store, "lodge" is the way back before a restore.
 *
 * Promises: at every instant one of the two places has every part, proved; the
 * other is emptied only after each copy was compared (size, mode, owner, times,
 * attributes, digest) with the manifest. Never: copies what the manifest does
 * not describe, a message whose name contains its inode, or a file with a
 * second name. Fails: Q_EREFUSED with what cannot be kept; the entry is then as it was.
 *
 * The states (N, I, E as in txn.c; OLD and NEW: where the parts lie, where they go):
 *
 *  state      on disk                                  a crash here; q_recover()
 *  ---------  ---------------------------------------  ----------------------------------
 *  DRAINING   I/N~drain/ without a complete plan.new;  back: copies in NEW removed once OLD is
 *             OLD has all                              found whole; E/N
 *  DRAINED    I/N~drain/plan.new complete; NEW has     forward: OLD emptied, plan.new becomes
 *             all, OLD has some                        plan; E/N. (NEW not whole, OLD whole: back)
 *  PUBLISHED  E/N/, whose plan names NEW               nothing to do
 *
 *  step                       what is on the disk before the step begins
 *  -------------------------  -----------------------------------------------------------
 *  rename E/N -> I/N~drain    -
 *  copy part 1..n to NEW      E, I; each copy is synced, then compared
 *  write plan.new             the copies, NEW, its parent. DRAINED
 *  unlink parts in OLD        plan.new, I/N~drain
 *  manifest, plan.new->plan   OLD is empty
 *  rename I/N~drain -> E/N    plan
 */
#include "config.h"

#include "private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One transfer: `t` sees OLD, `n` sees NEW; both are the same entry. */
struct drain {
	struct txn t;
	struct plan *next;
	int to; /* the directory NEW */
};

static void drain_close(struct drain *d)
{
	file_close(&d->to);
	plan_free(d->next);
	txn_close(&d->t);
}

/* Same entry, other place. */
static struct plan *plan_moved(const struct plan *old)
{
	struct plan *plan = plan_new(old->nparts);

	plan->kind = old->kind;
	plan->name = g_strdup(old->name);
	plan->spool = g_strdup(old->spool);
	plan->root_dev = old->root_dev;
	plan->root_ino = old->root_ino;
	plan->hidden = g_strdup(old->hidden);
	plan->lodged = !old->lodged;
	for (; plan->nparts < old->nparts; plan->nparts++) {
		const struct plan_part *from = &old->parts[plan->nparts];
		struct plan_part *p = &plan->parts[plan->nparts];

		*p = *from;
		p->path = g_strdup(from->path);
		p->target = g_strdup(from->target);
		p->role = g_strdup(from->role);
		p->dir = p->fd = -1;
	}
	return plan;
}

/* Open NEW into d->to; with create, make it. -ENOENT: it is not there. */
static int open_new(struct drain *d, bool create, struct q_error *err)
{
	struct plan *old = d->t.plan;
	int lodge = d->t.lodge, hidden = d->t.hidden, rc;

	d->t.plan = d->next;
	d->t.lodge = d->t.hidden = -1;
	rc = d->next->lodged ? txn_lodge_open_spool(&d->t, create, err) :
			       txn_lodge_open(&d->t, create, err);
	if (!rc && d->t.lodge < 0)
		rc = -ENOENT;
	d->to = d->t.lodge;
	file_close(&d->t.hidden);
	d->t.plan = old;
	d->t.lodge = lodge;
	d->t.hidden = hidden;
	return rc;
}

/* Is dir/name the part, by size and digest? *fd_r (may be NULL) is opened. */
static int part_is_whole(int dir, const struct plan_part *p, bool *whole_r, struct q_error *err)
{
	struct stat st;
	char hex[65];
	int fd = file_open_regular(dir, p->target, &st), rc;

	*whole_r = false;
	if (fd == -ENOENT || fd == Q_ESTALE)
		return 0;
	if (fd < 0)
		return q_fail(err, fd, "cannot read %s: %s", q_tail(p->target), g_strerror(-fd));
	rc = (uint64_t)st.st_size == p->identity.size ? file_digest(fd, hex) : Q_ESTALE;
	close(fd);
	*whole_r = !rc && !strcmp(hex, p->sha256);
	return !rc || rc == Q_ESTALE ? 0 : q_fail(err, rc, "cannot read %s: %s", q_tail(p->target),
						   g_strerror(-rc));
}

static int all_whole(int dir, const struct plan *plan, bool *whole_r, struct q_error *err)
{
	int rc = 0;

	*whole_r = dir >= 0;
	for (unsigned i = 0; i < plan->nparts && *whole_r && !rc; i++)
		rc = part_is_whole(dir, &plan->parts[i], whole_r, err);
	return rc;
}

/* The planned names in a place of ours, and nothing else. */
static int empty_place(int dir, struct plan *plan, struct q_error *err)
{
	if (dir < 0)
		return 0;
	/* FUSE keeps what is open under another name, and the directory is not empty then */
	for (unsigned i = 0; i < plan->nparts; i++)
		file_close(&plan->parts[i].fd);
	for (unsigned i = 0; i < plan->nparts; i++) {
		int rc = unlinkat(dir, plan->parts[i].target, 0) && errno != ENOENT ? -errno :
			 streams_remove(dir, plan->parts[i].target);

		if (rc)
			return q_fail(err, rc, "cannot remove %s: %s", q_tail(plan->parts[i].target),
				      g_strerror(-rc));
	}
	return file_sync(dir) ? q_fail(err, EIO, "cannot sync a directory of parts") : 0;
}

/* Empty the place of `plan`; when it is a lodge in the spool, remove it. */
static int clear(struct drain *d, struct plan *plan, int dir, struct q_error *err)
{
	struct plan *kept = d->t.plan;
	int hidden = d->t.hidden, rc = empty_place(dir, plan, err);

	if (rc || !plan->lodged)
		return rc;
	d->t.plan = plan;
	d->t.hidden = -1;
	rc = txn_hidden_open(&d->t, err);
	if (!rc)
		rc = txn_lodge_remove(&d->t, err);
	file_close(&d->t.hidden);
	d->t.plan = kept;
	d->t.hidden = hidden;
	return rc;
}

static int publish(struct drain *d, struct q_error *err)
{
	return txn_publish(&d->t, err);
}

/* DRAINING to PUBLISHED, as it was. */
static int drain_undo(struct drain *d, struct q_error *err)
{
	int rc = d->to < 0 && d->next ? open_new(d, false, NULL) : 0;

	rc = rc == -ENOENT ? 0 : rc;
	if (!rc && d->next)
		rc = clear(d, d->next, d->to, err);
	if (!rc && unlinkat(d->t.dir, Q_FILE_NEXT, 0) && errno != ENOENT)
		rc = q_fail(err, errno, "cannot remove a file of the entry: %s", g_strerror(errno));
	if (!rc && file_sync(d->t.dir))
		rc = q_fail(err, EIO, "cannot sync the entry");
	return rc ? rc : publish(d, err);
}

/* DRAINED to PUBLISHED. */
static int drain_finish(struct drain *d, struct q_error *err)
{
	int rc = clear(d, d->t.plan, d->t.lodge, err);

	if (!rc)
		rc = manifest_moved(d->t.dir, d->next, err);
	if (!rc && renameat(d->t.dir, Q_FILE_NEXT, d->t.dir, Q_FILE_PLAN))
		rc = q_fail(err, errno, "cannot rename a file of the entry: %s", g_strerror(errno));
	if (!rc && file_sync(d->t.dir))
		rc = q_fail(err, EIO, "cannot sync the entry");
	return rc ? rc : publish(d, err);
}

/* Copy one part and compare. */
static int drain_part(struct drain *d, unsigned i, const json_t *manifest, struct q_error *err)
{
	const struct plan_part *from = &d->t.plan->parts[i];
	struct plan_part *p = &d->next->parts[i];
	char first[256] = "";
	struct stat st;
	int rc = file_copy(d->t.lodge, from->target, from->fd, d->to, p->target, err);

	if (rc)
		return rc;
	p->fd = file_open_regular(d->to, p->target, &st);
	if (p->fd < 0)
		return q_fail(err, p->fd, "cannot read the copy of %s", q_tail(p->path));
	streams_ntfs_set(p->fd, json_object_get(manifest_part(manifest, p->target), "ntfs"));
	if (file_sync(p->fd) || fstat(p->fd, &st))
		return q_fail(err, EIO, "cannot sync the copy of %s", q_tail(p->path));
	p->identity = (struct q_identity){ .dev = st.st_dev, .ino = st.st_ino,
					   .size = (uint64_t)st.st_size, .mtime = st.st_mtim };
	rc = manifest_compare(manifest, p, d->to, p->fd, say_first, first, err);
	if (rc > 0)
		rc = q_fail(err, Q_EREFUSED, "the copy is not the same: %s", first);
	file_close(&p->fd);
	return rc;
}

/* PUBLISHED to DRAINED. */
static int drain_copy(struct drain *d, const json_t *manifest, struct q_error *err)
{
	char *flying = g_strconcat(d->t.plan->name, Q_DRAINING, NULL);
	int rc = file_rename_new(d->t.store->entries, d->t.plan->name, d->t.store->inflight, flying,
				 true);

	if (rc) {
		q_fail(err, rc, "cannot rename the entry %s: %s", d->t.plan->name, g_strerror(-rc));
		g_free(flying);
		return rc;
	}
	d->t.flying = flying;
	if (file_sync(d->t.store->inflight) || file_sync(d->t.store->entries))
		return q_fail(err, EIO, "cannot sync the directories of the store");
	rc = open_new(d, true, err);
	for (unsigned i = 0; i < d->next->nparts && !rc; i++)
		rc = drain_part(d, i, manifest, err);
	if (!rc && file_sync(d->to))
		rc = q_fail(err, EIO, "cannot sync the directory of the copies");
	if (!rc)
		rc = plan_write(d->t.dir, Q_FILE_NEXT, d->next, err);
	if (!rc && file_sync(d->t.dir))
		rc = q_fail(err, EIO, "cannot sync the entry");
	return rc;
}

static bool inode_in_name(const json_t *manifest)
{
	return json_is_true(json_object_get(manifest, "inode_in_name"));
}

/* Everything that can be known before a copy is made. */
static int drain_prepare(struct drain *d, const char *entry, bool back, json_t **manifest_r,
			 struct q_error *err)
{
	int rc = txn_entry_open(&d->t, entry, err);

	if (!rc && txn_lock_dir(d->t.dir, d->t.store->entries, entry))
		rc = q_fail(err, Q_EREFUSED, "another spoolck is at work on %s", entry);
	if (!rc)
		rc = txn_check_root(&d->t, err);
	if (!rc && d->t.plan->lodged == back)
		return 1;
	if (!rc && !d->t.plan->hidden)
		rc = q_fail(err, Q_EREFUSED, "the entry %s names no hidden place in the spool", entry);
	if (!rc)
		rc = manifest_read(d->t.dir, manifest_r, err);
	if (!rc && inode_in_name(*manifest_r))
		rc = q_fail(err, Q_EREFUSED, "%s: its name contains its inode, which no copy can have",
			    entry);
	if (!rc)
		rc = txn_lodge_open(&d->t, false, err);
	if (!rc && d->t.lodge < 0)
		rc = q_fail(err, Q_EREFUSED, "the directory with the parts of %s is gone", entry);
	if (!rc)
		rc = txn_sound_all(&d->t, *manifest_r, err);
	if (!rc)
		d->next = plan_moved(d->t.plan);
	return rc;
}

/* To the store, or back to the lodge. */
static int transfer(struct q_store *store, const char *entry, int root, bool back,
		    struct q_error *err)
{
	struct drain d = { .to = -1 };
	json_t *manifest = NULL;
	int rc;

	txn_init(&d.t, store, root);
	rc = drain_prepare(&d, entry, back, &manifest, err);
	if (rc == 0) {
		rc = drain_copy(&d, manifest, err);
		if (!rc) {
			rc = drain_finish(&d, err);
			if (rc && err)
				g_strlcat(err->text, "; run: spoolck quarantine recover",
					  sizeof err->text);
		} else if (d.t.flying) {
			struct q_error why = { "" };

			if (drain_undo(&d, &why)) {
				q_fail(err, EIO, "%.240s; run: spoolck quarantine recover", why.text);
				rc = -EIO;
			}
		}
	}
	json_decref(manifest);
	drain_close(&d);
	return rc > 0 ? 0 : rc;
}

enum q_outcome q_drain(struct q_store *store, const char *entry, int root, struct q_error *err)
{
	if (err)
		err->text[0] = '\0';
	return txn_outcome(transfer(store, entry, root, false, err));
}

int drain_back(struct q_store *store, const char *entry, int root, struct q_error *err)
{
	return transfer(store, entry, root, true, err);
}

/* ---- which entries lodge in a spool ---- */

int q_lodged(struct q_store *store, int root, const char *hidden, char ***names_r,
	     struct q_error *err)
{
	GPtrArray *names = g_ptr_array_new();
	int fd = file_open_dir(root, hidden);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *de;
	struct stat st;

	*names_r = NULL;
	if (!dir && fd != -ENOENT && fd != -ENOTDIR) {
		g_ptr_array_free(names, TRUE);
		file_close(&fd);
		return q_fail(err, fd < 0 ? fd : EIO, "cannot read %s in the spool", q_tail(hidden));
	}
	while (dir && (de = readdir(dir)))
		if (store_name_valid(de->d_name) &&
		    !fstatat(store->entries, de->d_name, &st, AT_SYMLINK_NOFOLLOW))
			g_ptr_array_add(names, g_strdup(de->d_name));
	if (dir)
		closedir(dir);
	g_ptr_array_add(names, NULL);
	*names_r = (char **)(void *)g_ptr_array_free(names, FALSE);
	return 0;
}

/* ---- after a crash ---- */

/* I/N~drain, its plan read, its spool open. *to_new_r: the parts are in NEW now. */
int drain_recover(struct txn *t, bool *to_new_r, struct q_error *err)
{
	struct drain d = { .t = *t, .to = -1 };
	bool done = false, whole_old = false, whole_new = false;
	int rc = plan_read(t->dir, Q_FILE_NEXT, &d.next, NULL);

	if (!rc)
		done = true;
	else if (rc != -ENOENT && rc != -EBADMSG)
		return q_fail(err, rc, "cannot read a file of inflight/%s", t->flying);
	else
		d.next = plan_moved(t->plan);
	rc = open_new(&d, false, err);
	if (rc == -ENOENT)
		rc = 0;
	if (!rc && done)
		rc = all_whole(d.to, d.next, &whole_new, err);
	if (!rc && !whole_new)
		rc = all_whole(d.t.lodge, d.t.plan, &whole_old, err);
	if (!rc && !whole_old && !whole_new)
		rc = q_fail(err, EBADMSG, "neither the lodge nor the store has all parts of %s, as "
			    "they were; look with: spoolck quarantine verify", t->plan->name);
	if (!rc)
		rc = whole_new ? drain_finish(&d, err) : drain_undo(&d, err);
	*to_new_r = whole_new;
	file_close(&d.to);
	plan_free(d.next);
	return rc;
}
