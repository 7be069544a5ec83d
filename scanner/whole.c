/*
 * whole.c - findings about the spool itself, not about one message
 *
 * What lies about without its message, two files of one id, directories that are missing: from names and
 * stat alone, judged by the format's pure functions.
 */
#include "config.h"

#include "work.h"

#include "locate.h"
#include "names.h"
#include "proc_locks.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static void about_spool(struct work *w, unsigned place, const char *path, struct report *r)
{
	struct outcome *o = g_new0(struct outcome, 1);

	severity_apply(w->scan->options->severities, r);
	if (w->scan->spool->doubt != NULL)
		severity_doubt(r);
	o->place = place;
	o->path = g_strdup(path);
	o->verdict = work_verdict(r);
	o->report = work_report(r);
	o->impact = outcome_worst(o)->impact;
	g_ptr_array_add(w->scan->outcomes, o);
}

/* Two files of one id, as they are at a moment. */
struct twins {
	const char *path;
	struct stat here, there;
	unsigned place;       /* where the other one lies, */
	char other[PATH_MAX]; /* and its path */
};

/* Are they there? Else one moved while we looked, or the hashes met by chance. */
static bool see_twins(const struct spool *spool, const struct walk_name *n, const struct name *name, struct twins *t)
{
	return find_message(spool, name->id, name->id_len, n->ino, &t->place, t->other, sizeof t->other, &t->there) &&
	       stat_beneath(spool, t->path, &t->here) && t->here.st_ino == n->ino;
}

/* Does the server hold one of them? Sendmail has both for a moment, and both locked, when it gives a message its
 * other name. */
static bool is_at_work(const struct spool *spool, const struct twins *t)
{
	return spool->format->lock.kind != LOCK_NONE && spool->format->lock.role == 0 &&
	       (proc_locks_exclusive(t->here.st_dev, t->here.st_ino) > 0 ||
		proc_locks_exclusive(t->there.st_dev, t->there.st_ino) > 0);
}

void whole_duplicate(struct work *w, unsigned place, const char *dir, const struct walk_name *n,
		     const struct name *name)
{
	const struct spool *spool = w->scan->spool;
	g_autofree char *path = path_in(dir, n->name);
	struct sighting a = { .place = place, .path = path, .ino = n->ino }, b;
	struct twins t = { .path = path };
	struct report r;

	/* Nobody was at it when the lock is free and both are there afterwards. */
	if (!see_twins(spool, n, name, &t) || is_at_work(spool, &t) || !see_twins(spool, n, name, &t))
		return;
	b = (struct sighting){ t.place, t.other, t.there.st_ino, t.there.st_mtime, t.there.st_mode };
	a.mtime = t.here.st_mtime;
	a.mode = t.here.st_mode;
	report_reset(&r);
	spool->format->cross(&a, &b, &r);
	if (r.count > 0)
		about_spool(w, place, path, &r);
}

static struct part part_of(const struct stat *st)
{
	return (struct part){ .ino = st->st_ino, .size = (uint64_t)st->st_size,
			      .mtime = st->st_mtime, .mode = st->st_mode, .uid = st->st_uid,
			      .gid = st->st_gid, .nlink = (uint32_t)st->st_nlink };
}

/* A part whose message is gone: an old log, or an orphan that the format judges. */
static void orphan(struct work *w, unsigned place, unsigned role, const char *path,
		   const struct stat *st)
{
	const struct spool *spool = w->scan->spool;
	const struct part part = part_of(st);
	struct report r;

	report_reset(&r);
	if (spool->format->places[place].kind != PLACE_LOG && spool->format->orphan != NULL)
		spool->format->orphan(place, role, &part, &spool->site, &r);
	else if (spool->format->places[place].kind == PLACE_LOG &&
		 st->st_mtime <= spool->site.now - STALE_LOG_SECONDS)
		report_add(&r, F_SPOOL_STALE_LOG, 0, 0, 0);
	if (r.count > 0)
		about_spool(w, place, path, &r);
}

/* A file that no message has for more than an instant. */
static void leftover(struct work *w, unsigned place, const char *path)
{
	const struct spool *spool = w->scan->spool;
	struct report r;
	struct stat st;

	report_reset(&r);
	if (spool->format->leftover != NULL && stat_beneath(spool, path, &st)) {
		const struct part part = part_of(&st);

		spool->format->leftover(place, &part, &spool->site, &r);
	}
	if (r.count > 0)
		about_spool(w, place, path, &r);
}

/* A message that is all that its directory holds. */
static void alone(struct work *w, unsigned place, const char *dir, const char *name)
{
	const struct spool *spool = w->scan->spool;
	g_autofree char *path = path_in(dir, name);
	struct report r;
	struct stat st;

	report_reset(&r);
	if (!spool_excludes(spool, path) && stat_beneath(spool, path, &st)) {
		const struct part part = part_of(&st);

		spool->format->alone(place, name, &part, &spool->site, &r);
	}
	if (r.count > 0)
		about_spool(w, place, path, &r);
}

/* Companions of messages that no walk has met. */
bool whole_companions(void *arg, unsigned place, unsigned depth, const char *dir,
		      const struct walk_name *names, size_t n)
{
	struct work *w = arg;
	const struct spool *spool = w->scan->spool;

	(void)depth;
	if (n == 1 && spool->format->alone != NULL)
		alone(w, place, dir, names[0].name);
	for (size_t i = 0; i < n; i++) {
		struct name name = work_name(w, place, dir, names[i].name);
		g_autofree char *path = NULL;
		char other[PATH_MAX];
		struct stat st, part;
		unsigned p;

		if ((name.kind != NAME_TRANSIENT && name.kind != NAME_COMPANION) ||
		    spool_excludes(spool, w->path))
			continue;
		path = path_in(dir, names[i].name);
		if (name.kind == NAME_TRANSIENT)
			leftover(w, place, path);
		if (name.kind != NAME_COMPANION ||
		    seen_id(w->seen, name.id, stem_of(spool->format, name.id, name.id_len)))
			continue;
		if (!find_message(spool, name.id, name.id_len, 0, &p, other, sizeof other, &st) &&
		    stat_beneath(spool, path, &part))
			orphan(w, place, name.role, path, &part);
	}
	return !work_time_is_up(w->scan);
}

/* --- Directories ------------------------------------------------------------------ */

/* A directory that has to be there. */
static void check_directory(struct work *w, unsigned place, const char *path)
{
	struct report r;
	struct stat st;

	if (stat_beneath(w->scan->spool, path, &st) || spool_excludes(w->scan->spool, path))
		return;
	if (spool_on_volume(w->scan->spool) && errno != ENOENT && errno != ENOTDIR)
		return; /* it is there for all that is known; the walk tells that it cannot be read */
	report_reset(&r);
	report_add(&r, F_SPOOL_PLACE_MISSING, 0, 0, 0);
	if (w->scan->spool->format->places[place].split) { /* that server waits for it, for ever */
		r.findings[0].severity = SEV_CORRUPT;
		r.findings[0].impact = IMPACT_SERVER_STOPS;
	}
	about_spool(w, place, path, &r);
}

void whole_place(struct work *w, unsigned p)
{
	const struct place *place = &w->scan->spool->format->places[p];
	const struct site *site = &w->scan->spool->site;

	if (place->required)
		check_directory(w, p, place->name);
	for (unsigned i = 0; (site->split_places >> p & 1) != 0 && i < site->split; i++) {
		g_autofree char *path = g_strdup_printf("%s/%u", place->name, i);

		check_directory(w, p, path);
	}
}

/* Places whose messages lie at several depths. */
void whole_depths(struct work *w)
{
	const struct format *f = w->scan->spool->format;

	for (unsigned p = 0; f->mixed != NULL && p < f->nplaces; p++) {
		struct report r;

		report_reset(&r);
		if ((w->depths[p] & (w->depths[p] - 1)) != 0)
			f->mixed(p, &r);
		if (r.count > 0)
			about_spool(w, p, f->places[p].name, &r);
	}
}

/* Directories as the server wants them, on the host's own spool: a copy may look as it likes. */
void whole_directories(struct work *w)
{
	const struct spool *spool = w->scan->spool;
	const struct format *f = spool->format;

	if (f->directory == NULL || !spool->of_host)
		return;
	for (unsigned i = 0; f->directories[i] != NULL; i++) {
		struct report r;
		struct stat st;

		if (!stat_beneath(spool, f->directories[i], &st))
			continue;
		const struct part part = part_of(&st);

		report_reset(&r);
		f->directory(i, &part, &spool->site, &r);
		if (r.count > 0)
			about_spool(w, 0, f->directories[i], &r);
	}
}
