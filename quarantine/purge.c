/*
 * purge.c - an entry removed for good; one that is kept from it
 *
 * Promises: the word of an operator is carried out whole: after a crash q_recover()
 * finishes what was begun (I/N~purge). Never: removes a file that the plan does
 * not name, or a directory that is not empty. Fails: before the entry left entries/
 * without a trace; later it is left to q_recover().
 */
#include "config.h"

#include "private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Parts first, wherever they lie; then lodge, papers, directory. */
int purge_finish(struct txn *t, struct q_error *err)
{
	for (unsigned i = 0; i < t->plan->nparts && t->lodge >= 0; i++) {
		const char *target = t->plan->parts[i].target;
		int rc = unlinkat(t->lodge, target, 0) && errno != ENOENT ? -errno :
			 streams_remove(t->lodge, target);

		if (rc)
			return q_fail(err, rc, "cannot remove %s: %s", q_tail(target), g_strerror(-rc));
	}
	if (t->lodge >= 0 && file_sync(t->lodge))
		return q_fail(err, EIO, "cannot sync the directory of the parts");
	return txn_remove(t, err);
}

static int purge_begin(struct txn *t, struct q_error *err)
{
	char *flying = g_strconcat(t->plan->name, Q_PURGING, NULL);
	int rc = file_rename_new(t->store->entries, t->plan->name, t->store->inflight, flying, true);

	if (rc) {
		q_fail(err, rc, "cannot rename the entry %s: %s", t->plan->name, g_strerror(-rc));
		g_free(flying);
		return rc;
	}
	t->flying = flying;
	if (file_sync(t->store->inflight) || file_sync(t->store->entries))
		return q_fail(err, EIO, "cannot sync the directories of the store");
	return 0;
}

enum q_outcome q_purge(struct q_store *store, const char *entry, int root, struct q_error *err)
{
	struct txn t;
	struct stat st;
	int rc;

	txn_init(&t, store, root);
	rc = txn_entry_open(&t, entry, err);
	if (!rc && txn_lock_dir(t.dir, store->entries, entry))
		rc = q_fail(err, Q_EREFUSED, "another spoolck is at work on %s", entry);
	if (!rc && !fstatat(t.dir, Q_FILE_KEEP, &st, AT_SYMLINK_NOFOLLOW))
		rc = q_fail(err, Q_EREFUSED, "%s is kept; see: spoolck quarantine keep --undo", entry);
	if (!rc && t.plan->lodged && root < 0)
		rc = q_fail(err, Q_EREFUSED, "the parts of %s lie in the spool %s, which is not open",
			    entry, q_tail(t.plan->spool));
	if (!rc && t.plan->lodged)
		rc = txn_check_root(&t, err);
	if (!rc)
		rc = txn_lodge_open(&t, false, err);
	if (!rc)
		rc = purge_begin(&t, err);
	if (!rc)
		rc = purge_finish(&t, err);
	if (rc && t.flying && err)
		g_strlcat(err->text, "; run: spoolck quarantine recover", sizeof err->text);
	txn_close(&t);
	return txn_outcome(rc);
}

/* ---- kept ---- */

int q_keep(struct q_store *store, const char *entry, bool keep, struct q_error *err)
{
	int dir = store_name_valid(entry) ? file_open_dir(store->entries, entry) : -ENOENT, rc = 0;

	if (dir < 0)
		return q_fail(err, dir, "cannot open the entry %s: %s", q_tail(entry), g_strerror(-dir));
	if (!keep && unlinkat(dir, Q_FILE_KEEP, 0) && errno != ENOENT)
		rc = q_fail(err, errno, "cannot remove the mark: %s", g_strerror(errno));
	else if (keep && !q_kept(store, entry))
		rc = file_write(dir, Q_FILE_KEEP, "", 0, err);
	if (!rc && file_sync(dir))
		rc = q_fail(err, EIO, "cannot sync the entry %s", entry);
	file_close(&dir);
	return rc;
}

bool q_kept(struct q_store *store, const char *entry)
{
	char *path = g_strconcat(entry, "/" Q_FILE_KEEP, NULL);
	bool kept = store_name_valid(entry) && !faccessat(store->entries, path, F_OK, 0);

	g_free(path);
	return kept;
}
