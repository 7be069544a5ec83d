/*
 * extract.c - an entry laid out as it was in its spool, in another directory
 *
 * For looking at it: a lane reads the layout as if it were a spool. Copies, never
 * links: the entry stays as it is whatever happens to them.
 */
#include "config.h"

#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The directories above the last component of `path`, made below `dir`; a descriptor of the last. */
static int make_parents(int dir, const char *path)
{
	int at = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	while (at >= 0 && strchr(path, '/')) {
		size_t n = strcspn(path, "/");
		char *name = g_strndup(path, n);
		int next = -1;

		if (!mkdirat(at, name, 0700) || errno == EEXIST)
			next = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		g_free(name);
		close(at);
		at = next;
		path += n + 1;
	}
	return at < 0 ? -errno : at;
}

static int extract_part(const struct txn *t, const struct plan_part *p, int todir,
			struct q_error *err)
{
	struct stat st;
	int fd = file_open_regular(t->lodge, p->target, &st);
	int dir = fd < 0 ? -1 : make_parents(todir, p->path);
	int to = dir < 0 ? dir : openat(dir, file_base(p->path),
					O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int rc = fd < 0 ? fd : to < 0 ? -errno : file_copy_data(fd, to, st.st_size);
	struct timespec times[2] = { st.st_atim, st.st_mtim };

	if (!rc)
		rc = streams_copy(t->lodge, p->target, fd, dir, file_base(p->path), to, err);

	/* what a check looks at; a user who may not chown sees other findings, and no harm */
	if (!rc && (fchown(to, st.st_uid, st.st_gid) || fchmod(to, st.st_mode & 07777) ||
		    futimens(to, times)))
		errno = 0;
	file_close(&to);
	file_close(&dir);
	file_close(&fd);
	return rc ? q_fail(err, rc, "cannot read %s in the quarantine: %s", q_tail(p->path),
			   g_strerror(-rc)) : 0;
}

int q_extract(struct q_store *store, const char *entry, int todir, struct q_error *err)
{
	struct txn t;
	int root = -1, rc;

	txn_init(&t, store, -1);
	rc = txn_entry_open(&t, entry, err);
	if (!rc && t.plan->lodged) {
		root = t.root = open(t.plan->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (root < 0)
			rc = q_fail(err, errno, "cannot open the spool %s, where the parts lie: %s",
				    q_tail(t.plan->spool), g_strerror(errno));
	}
	if (!rc)
		rc = txn_lodge_open(&t, false, err);
	if (!rc && t.lodge < 0)
		rc = q_fail(err, ENOENT, "the directory with the parts of %s is gone", entry);
	for (unsigned i = 0; !rc && i < t.plan->nparts; i++)
		rc = extract_part(&t, &t.plan->parts[i], todir, err);
	txn_close(&t);
	file_close(&root);
	return rc;
}
