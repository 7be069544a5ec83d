/*
 * scan.c - the coordinator: names out, results in, a confirmed verdict for each
 *
 * It lists directories and hands names to the lanes; it never opens a queue
 * file. Whatever is corrupt or suspect is read and checked once more by a
 * worker that has seen nothing else, and only what that one says counts: a
 * message that moved on, healed or was never damaged drops out here.
 *
 * ok and noted messages pass by (tally, `passing`) and are forgotten, so that
 * memory does not grow with the spool; everything else is kept as an outcome.
 */
#include "config.h"

#include "scan.h"

#include "accepted.h"
#include "beneath.h"
#include "bounds.h"
#include "lanes.h"
#include "names.h"
#include "news.h"
#include "partpath.h"
#include "progress.h"
#include "seen.h"
#include "walk.h"
#include "wire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

volatile int scan_cancelled;

struct work {
	struct scan *scan;
	struct lanes *lanes;
	struct seen *seen;
	struct report report;      /* room to decode in */
	GPtrArray *confirm;        /* outcomes that a fresh worker has to confirm */
	scan_passing *passing;
	void *arg;
	struct lane_job job;       /* being filled */
	char strings[JOB_BYTES_MAX];
	size_t used;
	char path[PATH_MAX];       /* room to put a path together */
	guint64 done;
	uint16_t depths[PLACES_MAX]; /* bit per level of hash directories at which messages lie */
	struct progress *progress;
};

/* --- Verdicts --------------------------------------------------------------- */

static enum verdict verdict_of(const struct report *r)
{
	enum verdict v = VERDICT_OK;

	for (unsigned i = 0; i < r->count; i++)
		v = MAX(v, (enum verdict)(VERDICT_NOTED + r->findings[i].severity));
	return v;
}

static struct outcome *outcome_new(const struct work *w, const struct lane_result *res,
				   const char *path)
{
	struct outcome *o = g_new0(struct outcome, 1);
	const struct format *format = w->scan->spool->format;
	struct name name = name_of(format, res->place, path);

	o->place = res->place;
	o->path = g_strdup(path);
	o->id = g_strndup(name.id, name.id_len);
	o->facts = res->facts;
	return o;
}

/* A copy of the report with as many findings as there are. */
static struct report *report_keep(const struct report *r)
{
	return g_memdup2(r, G_STRUCT_OFFSET(struct report, findings) +
				    r->count * sizeof r->findings[0]);
}

/* A report that we write ourselves, about something that no worker reads. */
static struct report *report_own(const struct work *w, enum finding_id id)
{
	struct report r;

	report_reset(&r);
	report_add(&r, id, 0, 0, 0);
	severity_apply(w->scan->options->severities, &r);
	return report_keep(&r);
}

static void settle(const struct work *w, struct outcome *o, enum lane_status status,
		   const struct lane_result *res, const struct report *r)
{
	switch (status) {
	case LANE_REPORT:
		o->verdict = verdict_of(r);
		o->report = report_keep(r);
		o->impact = outcome_worst(o) != NULL ? outcome_worst(o)->impact : IMPACT_NONE;
		break;
	case LANE_BUSY:
		o->verdict = VERDICT_BUSY;
		break;
	case LANE_FOREIGN:
		o->report = report_own(w, F_SPOOL_FOREIGN);
		o->verdict = verdict_of(o->report) == VERDICT_NOTED ? VERDICT_NOTED : VERDICT_FOREIGN;
		break;
	case LANE_CHANGED:
		o->verdict = VERDICT_CHANGED;
		break;
	default:
		o->verdict = VERDICT_UNCHECKED;
		o->why = res->why;
		o->error = res->error;
		o->offset = res->offset;
		break;
	}
}

/* --- Results ---------------------------------------------------------------- */

static void count(struct work *w, const struct outcome *o)
{
	struct tally *t = &w->scan->tally;

	t->messages++;
	t->verdicts[o->verdict]++;
	t->bytes += o->facts.size;
}

static void keep(struct work *w, struct outcome *o)
{
	count(w, o);
	g_ptr_array_add(w->scan->outcomes, o);
}

/* A message that gives no cause for concern: told, counted, forgotten. */
static void pass(struct work *w, struct outcome *o)
{
	count(w, o);
	if (o->verdict == VERDICT_NOTED)
		w->scan->noted[outcome_worst(o)->id]++;
	if (w->passing != NULL)
		w->passing(w->arg, w->scan, o);
	outcome_free(o);
}

/* The common case, without making an outcome of it. */
static bool pass_quickly(struct work *w, const struct lane_result *res)
{
	if (w->report.count > 0 || w->scan->options->all)
		return false;
	w->scan->tally.messages++;
	w->scan->tally.verdicts[VERDICT_OK]++;
	w->scan->tally.bytes += res->facts.size;
	return true;
}

static void first_result(struct work *w, const struct lane_result *res, const char *path)
{
	struct outcome *o;

	if (res->status == LANE_REPORT && pass_quickly(w, res))
		return;
	o = outcome_new(w, res, path);
	settle(w, o, res->status, res, &w->report);
	if (o->verdict == VERDICT_CORRUPT || o->verdict == VERDICT_SUSPECT)
		g_ptr_array_add(w->confirm, o);
	else if (o->verdict == VERDICT_OK || o->verdict == VERDICT_NOTED ||
		 o->verdict == VERDICT_BUSY)
		pass(w, o);
	else
		keep(w, o);
}

/* What the fresh worker says counts, and nothing else. */
static void confirmed(struct work *w, struct outcome *o, const struct lane_result *res,
		      const char *path)
{
	struct outcome *now = outcome_new(w, res, path);

	outcome_free(o);
	settle(w, now, res->status, res, &w->report);
	if (now->verdict == VERDICT_OK || now->verdict == VERDICT_NOTED)
		pass(w, now);
	else
		keep(w, now);
}

static void on_result(void *arg, const struct lane_job *job, const struct lane_result *result,
		      const char *path, const uint8_t *answer)
{
	struct work *w = arg;
	struct lane_result res = *result;

	w->done += res.status == LANE_JOB_DONE ? res.clean : 1;
	progress_show(w->progress, w->done);
	news_tell(w->scan, false);
	if (res.status == LANE_REPORT && !wire_get_report(answer, res.answer_len, &w->report)) {
		res.status = LANE_UNCHECKED;
		res.why = UNCHECKED_GARBAGE;
	} else if (res.status == LANE_REPORT) {
		severity_apply(w->scan->options->severities, &w->report);
	}
	if (res.status == LANE_JOB_DONE) {
		w->scan->tally.messages += res.clean;
		w->scan->tally.verdicts[VERDICT_OK] += res.clean;
		w->scan->tally.bytes += res.facts.size;
	} else if (job->fresh) {
		struct outcome *o = g_steal_pointer(&w->confirm->pdata[job->tag]);

		if (res.status == LANE_GONE)
			outcome_free(o);
		else
			confirmed(w, o, &res, path);
	} else if (res.status != LANE_GONE) {
		first_result(w, &res, path);
	}
}

/* --- Names ------------------------------------------------------------------ */

static void job_flush(struct work *w)
{
	if (w->job.count == 0)
		return;
	w->job.bytes = (uint16_t)w->used;
	lanes_submit(w->lanes, w->job, w->strings);
	w->job.count = 0;
	w->used = 0;
}

static void job_add(struct work *w, unsigned place, unsigned depth, const char *dir,
		    const char *name)
{
	size_t len = strlen(name) + 1;

	if (w->job.count == JOB_NAMES_MAX || len > sizeof w->strings - w->used)
		job_flush(w);
	if (w->job.count == 0) {
		w->job = (struct lane_job){ .place = (uint8_t)place, .depth = (uint8_t)depth,
					    .verb = VERB_CHECK,
					    .brief = !w->scan->options->all };
		w->used = strlen(dir) + 1;
		memcpy(w->strings, dir, w->used);
	}
	memcpy(w->strings + w->used, name, len);
	w->used += len;
	w->job.count++;
}

static bool time_is_up(const struct scan *scan)
{
	return scan_cancelled ||
	       (scan->options->deadline != 0 && g_get_monotonic_time() > scan->options->deadline);
}

/* A name that no server would read, or a thing that is no file. */
static void foreign(struct work *w, unsigned place, const char *dir, const struct walk_name *n)
{
	struct lane_result res = { .status = LANE_FOREIGN, .place = (uint8_t)place };
	g_autofree char *path = path_in(dir, n->name);
	struct outcome *o = outcome_new(w, &res, path);

	if (o->id[0] == '\0') {
		g_free(o->id);
		o->id = g_strdup(n->name);
	}
	o->facts.ino = n->ino;
	settle(w, o, LANE_FOREIGN, &res, NULL);
	if (o->verdict == VERDICT_NOTED) /* the operator said that it is nothing */
		pass(w, o);
	else
		keep(w, o);
}

/* A second file with the same id? The set of ids holds hashes, so look. */
static void duplicate(struct work *w, unsigned place, const char *dir, const struct walk_name *n,
		      const struct name *name);

/* What the entry `name` of `dir` is; valid until the next call. */
static struct name name_in(struct work *w, unsigned place, const char *dir, const char *name)
{
	g_snprintf(w->path, sizeof w->path, "%s/%s", dir, name);
	return name_of(w->scan->spool->format, place, w->path);
}

/* Does the entry, whose path is in w->path, lie where the format looks for it? */
static bool at_home(const struct work *w, unsigned place, const struct name *name)
{
	const struct spool *spool = w->scan->spool;
	char home[PATH_MAX];

	return format_path(spool->format, &spool->site, place, 0, name->id, name->id_len, 0, home,
			   sizeof home) == 0 ||
	       strcmp(home, w->path) == 0;
}

/* Was it met before? Where several places hold files of one message, a second file of the id is
 * nothing new, unless it lies where nobody looks for it. Two hashes of the id take the place
 * of the inode then. */
static enum sight meet(struct work *w, unsigned place, const struct walk_name *n,
		       const struct name *name)
{
	guint64 other = 0xcbf29ce484222325;

	if (!w->scan->spool->format->one_id || name->kind == NAME_FOREIGN)
		return seen_add(w->seen, name->id,
				stem_of(w->scan->spool->format, name->id, name->id_len), n->ino);
	for (size_t i = 0; i < name->id_len; i++)
		other = (other ^ (guint8)name->id[i]) * 0x100000001b3;
	if (seen_add(w->seen, name->id, name->id_len, other) != SEEN_SAME)
		return SEEN_NEW;
	if (at_home(w, place, name))
		return SEEN_SAME;
	return seen_add(w->seen, w->path, strlen(w->path), n->ino) == SEEN_SAME ? SEEN_SAME : SEEN_NEW;
}

static bool on_names(void *arg, unsigned place, unsigned depth, const char *dir,
		     const struct walk_name *names, size_t n)
{
	struct work *w = arg;

	for (size_t i = 0; i < n; i++) {
		struct name name = name_in(w, place, dir, names[i].name);
		bool file = names[i].type == DT_REG || names[i].type == DT_UNKNOWN;
		enum sight sight;

		if (name.kind == NAME_COMPANION || name.kind == NAME_TRANSIENT ||
		    spool_excludes(w->scan->spool, w->path))
			continue;
		if (name.kind == NAME_FOREIGN) {
			name.id = names[i].name;
			name.id_len = strlen(names[i].name);
		}
		sight = meet(w, place, &names[i], &name);
		if (sight == SEEN_SAME ||
		    (sight == SEEN_OTHER && w->scan->spool->format->of_parts >> place & 1))
			continue;
		if (name.kind == NAME_FOREIGN || !file) {
			foreign(w, place, dir, &names[i]);
			continue;
		}
		/* A file with a name like a hash directory's says nothing of depths. */
		if (names[i].name[1] != '\0')
			w->depths[place] |= (uint16_t)(1u << MIN(depth, 15u));
		if (sight == SEEN_OTHER)
			duplicate(w, place, dir, &names[i], &name);
		job_add(w, place, depth, dir, names[i].name);
	}
	job_flush(w); /* a job is of one directory */
	w->scan->cut_short |= time_is_up(w->scan);
	return !w->scan->cut_short;
}

static void on_error(void *arg, const char *dir, int error)
{
	struct work *w = arg;

	w->scan->failed = true;
	g_ptr_array_add(w->scan->notes, g_strdup_printf("Cannot read %s: %s.", dir,
							g_strerror(error)));
}

/* --- The spool as a whole ---------------------------------------------------- */

static void about_spool(struct work *w, unsigned place, const char *path, struct report *r)
{
	struct outcome *o = g_new0(struct outcome, 1);

	severity_apply(w->scan->options->severities, r);

	o->place = place;
	o->path = g_strdup(path);
	o->verdict = verdict_of(r);
	o->report = report_keep(r);
	o->impact = outcome_worst(o)->impact;
	g_ptr_array_add(w->scan->outcomes, o);
}

/* stat below the root, without following a link anywhere. */
static bool stat_beneath(const struct spool *spool, const char *path, struct stat *st)
{
	int fd = open_beneath(spool->root, path, O_PATH);
	bool ok = fd >= 0 && fstat(fd, st) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Is there a file of this id in some place where messages lie? The path of one whose inode
 * is not `ino` (0 = any) goes to `path`. */
static bool find_message(const struct spool *spool, const char *id, size_t len, uint64_t ino,
			 unsigned *place_r, char *path, size_t cap, struct stat *st)
{
	const struct format *f = spool->format;

	for (unsigned p = 0; p < f->nplaces; p++)
		for (unsigned d = 0; f->places[p].kind != PLACE_LOG && d <= f->places[p].depth_max; d++)
			if (format_path(f, &spool->site, p, 0, id, len, d, path, cap) != 0 &&
			    stat_beneath(spool, path, st) && st->st_ino != ino) {
				*place_r = p;
				return true;
			}
	return false;
}

/* A search by the part of the id that stays the same. */
struct stem_search {
	const struct spool *spool;
	const char *id;
	size_t len;
	char *path;
	unsigned place;
};

static bool on_stem(void *arg, unsigned place, unsigned depth, const char *dir,
		    const struct walk_name *names, size_t n)
{
	struct stem_search *s = arg;
	const struct format *f = s->spool->format;

	(void)depth;
	for (size_t i = 0; i < n && s->path == NULL; i++) {
		g_autofree char *path = g_strconcat(dir, "/", names[i].name, NULL);
		struct name name = name_of(f, place, path);

		if (name.kind == NAME_MESSAGE && stem_of(f, name.id, name.id_len) == s->len &&
		    memcmp(name.id, s->id, s->len) == 0) {
			s->place = place;
			s->path = g_steal_pointer(&path);
		}
	}
	return s->path == NULL;
}

static void stem_error(void *arg, const char *dir, int error)
{
	(void)arg, (void)dir, (void)error;
}

/* The same as find_message() for a server whose ids change: the first place that has it. */
static bool find_stem(const struct spool *spool, const char *id, unsigned *place_r, char *path,
		      size_t cap, struct stat *st)
{
	struct stem_search s = { .spool = spool, .id = id,
				 .len = stem_of(spool->format, id, strlen(id)) };
	const struct walk_sink sink = { on_stem, stem_error, &s };
	bool found;

	for (unsigned p = 0; p < spool->format->nplaces && s.path == NULL && s.len > 0; p++)
		if (spool->format->places[p].kind != PLACE_LOG)
			walk_place(spool, p, &sink);
	found = s.path != NULL && g_strlcpy(path, s.path, cap) < cap && stat_beneath(spool, path, st);
	*place_r = s.place;
	g_free(s.path);
	return found;
}

struct outcome *spool_locate(const struct spool *spool, const char *id)
{
	bool changes = spool->format->stem != NULL;
	char path[PATH_MAX];
	struct outcome *o;
	struct name name;
	struct stat st;
	unsigned place;

	if (changes ? !find_stem(spool, id, &place, path, sizeof path, &st) :
		      !find_message(spool, id, strlen(id), 0, &place, path, sizeof path, &st))
		return NULL;
	o = g_new0(struct outcome, 1);
	o->place = place;
	o->path = g_strdup(path);
	name = name_of(spool->format, place, path);
	o->id = changes ? g_strndup(name.id, name.id_len) : g_strdup(id);
	o->facts = (struct file_facts){ st.st_dev, st.st_ino, (uint64_t)st.st_size, st.st_mtim,
					st.st_ctim, st.st_mode, st.st_uid, st.st_gid,
					(uint32_t)st.st_nlink };
	return o;
}

static void duplicate(struct work *w, unsigned place, const char *dir, const struct walk_name *n,
		      const struct name *name)
{
	const struct spool *spool = w->scan->spool;
	g_autofree char *path = path_in(dir, n->name);
	struct sighting a = { .place = place, .path = path, .ino = n->ino }, b;
	struct stat here, there;
	char other[PATH_MAX];
	struct report r;

	if (!find_message(spool, name->id, name->id_len, n->ino, &b.place, other, sizeof other,
			  &there) || !stat_beneath(spool, path, &here) || here.st_ino != n->ino)
		return; /* it moved while we looked, or the hashes met by chance */
	b = (struct sighting){ b.place, other, there.st_ino, there.st_mtime, there.st_mode };
	a.mtime = here.st_mtime;
	a.mode = here.st_mode;
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
static bool on_companions(void *arg, unsigned place, unsigned depth, const char *dir,
			  const struct walk_name *names, size_t n)
{
	struct work *w = arg;
	const struct spool *spool = w->scan->spool;

	(void)depth;
	if (n == 1 && spool->format->alone != NULL)
		alone(w, place, dir, names[0].name);
	for (size_t i = 0; i < n; i++) {
		struct name name = name_in(w, place, dir, names[i].name);
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
	return !time_is_up(w->scan);
}

/* --- The run ------------------------------------------------------------------ */

/* The messages of every place. */
static void walk_messages(struct work *w)
{
	const struct format *f = w->scan->spool->format;
	const struct walk_sink sink = { on_names, on_error, w };

	for (unsigned p = 0; p < f->nplaces; p++)
		if (f->places[p].kind != PLACE_LOG && !walk_place(w->scan->spool, p, &sink))
			break;
}

/* What lies about without a message. */
static void walk_companions(struct work *w)
{
	const struct format *f = w->scan->spool->format;
	const struct walk_sink sink = { on_companions, on_error, w };

	for (unsigned p = 0; p < f->nplaces; p++)
		if ((f->places[p].kind == PLACE_LOG || f->orphan != NULL || f->alone != NULL ||
		     f->leftover != NULL) &&
		    !walk_place(w->scan->spool, p, &sink))
			break;
}

/* What seems to be stranded, or to have lost a part, may just be on its way out, its parts
 * unlinked one after the other: the second look comes a moment later. */
static void let_it_go(const struct work *w)
{
	for (guint i = 0; i < w->confirm->len; i++) {
		const struct outcome *o = w->confirm->pdata[i];

		if (o->verdict == VERDICT_CORRUPT &&
		    (o->impact == IMPACT_STRANDED || o->impact == IMPACT_DAMAGED_DELIVERY) &&
		    w->scan->spool->running != SERVER_STOPPED) {
			g_usleep(CONFIRM_AFTER_MS * 1000);
			return;
		}
	}
}

static void confirm(struct work *w)
{
	if (!w->scan->cut_short)
		let_it_go(w);
	for (guint i = 0; i < w->confirm->len; i++) {
		const struct outcome *o = w->confirm->pdata[i];
		struct lane_job job = { .tag = i, .place = (uint8_t)o->place, .verb = VERB_CHECK,
					.depth = (uint8_t)outcome_depth(w->scan->spool, o),
					.fresh = true };
		g_autofree char *dir = g_path_get_dirname(o->path);

		lanes_submit_one(w->lanes, job, dir, base_of(o->path));
	}
	lanes_drain(w->lanes);
	for (guint i = 0; i < w->confirm->len; i++) {
		struct outcome *o = w->confirm->pdata[i];

		if (o == NULL)
			continue;
		o->verdict = VERDICT_UNCHECKED; /* time was up */
		o->why = UNCHECKED_TIME;
		keep(w, o);
	}
	g_ptr_array_set_size(w->confirm, 0);
}

/* Worst first; what could not be checked before everything else. */
static int rank(const struct outcome *o)
{
	static const int ranks[VERDICT_COUNT] = { 0, 1, 3, 4, 0, 2, 2, 5 };

	return ranks[o->verdict] * 16 + (int)o->impact;
}

static gint by_rank(gconstpointer a, gconstpointer b)
{
	const struct outcome *x = *(const struct outcome *const *)a;
	const struct outcome *y = *(const struct outcome *const *)b;
	int diff = rank(y) - rank(x);

	return diff != 0 ? diff : strcmp(x->path, y->path);
}

/* A directory that has to be there. */
static void check_directory(struct work *w, unsigned place, const char *path)
{
	struct report r;
	struct stat st;

	if (stat_beneath(w->scan->spool, path, &st) || spool_excludes(w->scan->spool, path))
		return;
	report_reset(&r);
	report_add(&r, F_SPOOL_PLACE_MISSING, 0, 0, 0);
	if (w->scan->spool->format->places[place].split) { /* that server waits for it, for ever */
		r.findings[0].severity = SEV_CORRUPT;
		r.findings[0].impact = IMPACT_SERVER_STOPS;
	}
	about_spool(w, place, path, &r);
}

static void check_place(struct work *w, unsigned p)
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

/* Act on what is known so far. */
static void conclude(struct scan *scan)
{
	accepted_apply(scan);
	decide(scan);
	act(scan);
}

/* Have what was found confirmed, in the time that is left for acting. */
static void confirm_in_time(struct work *w)
{
	lanes_until(w->lanes, w->scan->options->act_until);
	confirm(w);
	lanes_until(w->lanes, w->scan->options->deadline);
}

/* One place from end to end: nothing of the next one is touched before what was found here has been confirmed
 * and, if it stops the server, moved. A place on a dead disk then keeps nobody from those before it. */
static void examine_place(struct work *w, unsigned p)
{
	struct scan *scan = w->scan;
	const struct walk_sink sink = { on_names, on_error, w };

	check_place(w, p);
	if (scan->spool->format->places[p].kind != PLACE_LOG)
		walk_place(scan->spool, p, &sink);
	scan->cut_short |= !lanes_drain(w->lanes) || scan_cancelled;
	if (!scan->cut_short)
		scan->reached |= (uint16_t)(1u << p);
	confirm_in_time(w);
	conclude(scan);
	news_tell(scan, true);
}

static void examine_staged(struct work *w)
{
	struct scan *scan = w->scan;
	const struct format *f = scan->spool->format;

	scan->early = true;
	for (unsigned i = 0; i < f->nplaces && !scan->cut_short; i++)
		examine_place(w, f->start_order != NULL ? f->start_order[i] : i);
	/* Mail that moved on to a place that was already behind us. */
	if (!scan->cut_short && scan->spool->running != SERVER_STOPPED) {
		walk_messages(w);
		scan->cut_short |= !lanes_drain(w->lanes);
		confirm_in_time(w);
	}
	scan->early = false;
}

/* What a run whose time was spent has not looked at. */
static void note_cut(struct scan *scan)
{
	g_autofree char *rest = news_rest(scan->spool->format, scan->reached);

	g_ptr_array_add(scan->notes, g_strdup_printf(
		"Stopped before the end: %" G_GUINT64_FORMAT " messages were looked at%s%s.",
		scan->tally.messages, scan->options->staged ? "; not, or not wholly: " : "",
		scan->options->staged ? rest : ""));
}

/* Places whose messages lie at several depths. */
static void check_depths(struct work *w)
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
static void check_directories(struct work *w)
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

static void examine(struct work *w)
{
	check_directories(w);
	for (unsigned p = 0; p < w->scan->spool->format->nplaces; p++)
		check_place(w, p);
	walk_messages(w);
	if (!w->scan->cut_short) /* while the lanes are busy with the last messages */
		walk_companions(w);
	lanes_drain(w->lanes);
	/* Mail that came, or moved to a place that was already behind us. */
	if (!w->scan->cut_short && w->scan->spool->running != SERVER_STOPPED) {
		walk_messages(w);
		lanes_drain(w->lanes);
	}
	w->scan->cut_short |= !lanes_drain(w->lanes);
	lanes_until(w->lanes, 0);
	check_depths(w);
	confirm(w);
}

struct scan *scan_run(struct spool *spool, const struct scan_options *options,
		      scan_passing *passing, void *arg)
{
	struct scan *scan = g_new0(struct scan, 1);
	struct work *w = g_new0(struct work, 1);
	struct lane_config config = { spool->format, spool->format_index, spool->site, spool->root,
				      options->zygote };
	gint64 start = g_get_monotonic_time();
	int error;

	*scan = (struct scan){ .options = options, .spool = spool,
			       .outcomes = g_ptr_array_new_with_free_func(
				       (GDestroyNotify)outcome_free),
			       .notes = g_ptr_array_new_with_free_func(g_free) };
	news_tell(scan, true);
	act_recover(scan);
	w->scan = scan;
	w->passing = passing;
	w->arg = arg;
	w->confirm = g_ptr_array_new();
	w->seen = seen_new();
	w->lanes = lanes_open(&config, options->lanes, on_result, w, &error);
	if (w->lanes != NULL) {
		w->progress = progress_new(spool);
		lanes_until(w->lanes, options->deadline);
		if (options->staged)
			examine_staged(w);
		else
			examine(w);
		progress_free(w->progress);
		lanes_close(w->lanes);
	} else {
		scan->failed = true;
		g_ptr_array_add(scan->notes, g_strdup_printf("Cannot start a reader: %s.",
							     g_strerror(error)));
	}
	seen_free(w->seen);
	g_ptr_array_free(w->confirm, TRUE);
	g_free(w);
	conclude(scan);
	if (scan->cut_short)
		note_cut(scan);
	g_ptr_array_sort(scan->outcomes, by_rank);
	scan->seconds = (double)(g_get_monotonic_time() - start) / G_USEC_PER_SEC;
	return scan;
}

void scan_free(struct scan *scan)
{
	g_ptr_array_free(scan->outcomes, TRUE);
	g_ptr_array_free(scan->notes, TRUE);
	g_free(scan);
}

int scan_exit(const struct scan *scan)
{
	const struct tally *t = &scan->tally;
	guint64 left = t->verdicts[VERDICT_CORRUPT] - t->moved - t->accepted[VERDICT_CORRUPT];
	int bits = 0;

	if (scan->options->fail_on_suspect)
		left += t->verdicts[VERDICT_SUSPECT] + t->verdicts[VERDICT_FOREIGN] -
			t->accepted[VERDICT_SUSPECT];
	for (guint i = 0; i < scan->outcomes->len; i++) {
		const struct outcome *o = scan->outcomes->pdata[i];

		if (o->action == ACTION_FAILED)
			bits |= EXIT_FAILED;
		left += o->id == NULL && o->verdict == VERDICT_CORRUPT;
	}
	return bits | (t->moved > 0 ? EXIT_MOVED : 0) | (left > 0 ? EXIT_LEFT : 0) |
	       (scan->failed || t->verdicts[VERDICT_UNCHECKED] > 0 ? EXIT_FAILED : 0) |
	       (scan->cut_short ? EXIT_CANCELLED : 0);
}
