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

#include "work.h"

#include "accepted.h"
#include "bounds.h"
#include "names.h"
#include "news.h"
#include "partpath.h"

#include <dirent.h>
#include <string.h>

volatile int scan_cancelled;

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
					    .verb = VERB_CHECK, .deep = w->scan->options->deep,
					    .brief = !w->scan->options->all };
		w->used = strlen(dir) + 1;
		memcpy(w->strings, dir, w->used);
	}
	memcpy(w->strings + w->used, name, len);
	w->used += len;
	w->job.count++;
}

bool work_time_is_up(const struct scan *scan)
{
	return scan_cancelled ||
	       (scan->options->deadline != 0 && g_get_monotonic_time() > scan->options->deadline);
}

/* A name that no server would read, or a thing that is no file. */
static void foreign(struct work *w, unsigned place, const char *dir, const struct walk_name *n)
{
	struct lane_result res = { .status = LANE_FOREIGN, .place = (uint8_t)place };
	g_autofree char *path = path_in(dir, n->name);
	struct outcome *o = work_outcome(w, &res, path);

	if (o->id[0] == '\0') {
		g_free(o->id);
		o->id = g_strdup(n->name);
	}
	o->facts.ino = n->ino;
	work_settle(w, o, LANE_FOREIGN, &res, NULL);
	if (o->verdict == VERDICT_NOTED) /* the operator said that it is nothing */
		work_pass(w, o);
	else
		work_keep(w, o);
}

/* What the entry `name` of `dir` is; valid until the next call. */
struct name work_name(struct work *w, unsigned place, const char *dir, const char *name)
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
		struct name name = work_name(w, place, dir, names[i].name);
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
			whole_duplicate(w, place, dir, &names[i], &name);
		job_add(w, place, depth, dir, names[i].name);
	}
	job_flush(w); /* a job is of one directory */
	w->scan->cut_short |= work_time_is_up(w->scan);
	return !w->scan->cut_short;
}

static void on_error(void *arg, const char *dir, int error)
{
	struct work *w = arg;

	w->scan->failed = true;
	g_ptr_array_add(w->scan->notes, g_strdup_printf("Cannot read %s: %s.", dir,
							g_strerror(error)));
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
	const struct walk_sink sink = { whole_companions, on_error, w };

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
		struct lane_job job = { .tag = i, .place = (uint8_t)o->place, .verb = VERB_CHECK, .deep = w->scan->options->deep,
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
		work_keep(w, o);
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

	whole_place(w, p);
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

static void examine(struct work *w)
{
	whole_directories(w);
	for (unsigned p = 0; p < w->scan->spool->format->nplaces; p++)
		whole_place(w, p);
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
	whole_depths(w);
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
	w->lanes = lanes_open(&config, options->lanes, work_result, w, &error);
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
	       (scan->failed || t->verdicts[VERDICT_UNCHECKED] + t->deep_unchecked > 0 ? EXIT_FAILED : 0) |
	       (scan->cut_short ? EXIT_CANCELLED : 0);
}
