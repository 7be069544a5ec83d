/*
 * result.c - what became of a name: from a lane's word to an outcome
 *
 * ok and noted messages pass by and are forgotten; what is corrupt or suspect waits for the
 * second look, and only that one counts.
 */
#include "config.h"

#include "work.h"

#include "accepted.h"
#include "names.h"
#include "news.h"
#include "serverlock.h"
#include "wire.h"

#include <string.h>

/* --- Verdicts --------------------------------------------------------------- */

enum verdict work_verdict(const struct report *r)
{
	enum verdict v = VERDICT_OK;

	for (unsigned i = 0; i < r->count; i++)
		v = MAX(v, (enum verdict)(VERDICT_NOTED + r->findings[i].severity));
	return v;
}

struct outcome *work_outcome(const struct work *w, const struct lane_result *res,
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
struct report *work_report(const struct report *r)
{
	return g_memdup2(r, G_STRUCT_OFFSET(struct report, findings) +
				    r->count * sizeof r->findings[0]);
}

/* A copy of it with as many parts as there are. */
static struct deep *keep_deep(const struct deep *d)
{
	return g_memdup2(d, G_STRUCT_OFFSET(struct deep, nodes) + d->count * sizeof d->nodes[0]);
}

/* A report that we write ourselves, about something that no worker reads. */
static struct report *report_own(const struct work *w, enum finding_id id)
{
	struct report r;

	report_reset(&r);
	report_add(&r, id, 0, 0, 0);
	severity_apply(w->scan->options->severities, &r);
	if (w->scan->spool->doubt != NULL)
		severity_doubt(&r);
	return work_report(&r);
}

void work_settle(const struct work *w, struct outcome *o, enum lane_status status,
		 const struct lane_result *res, const struct report *r)
{
	switch (status) {
	case LANE_REPORT:
		o->verdict = work_verdict(r);
		o->report = work_report(r);
		o->impact = outcome_worst(o) != NULL ? outcome_worst(o)->impact : IMPACT_NONE;
		o->deep_unchecked = res->deep == DEEP_UNCHECKED;
		o->deep_why = res->deep_why;
		if (res->deep == DEEP_DONE)
			o->deep = keep_deep(&w->deep);
		break;
	case LANE_BUSY:
		o->verdict = VERDICT_BUSY;
		break;
	case LANE_FOREIGN:
		o->report = report_own(w, F_SPOOL_FOREIGN);
		o->verdict = work_verdict(o->report) == VERDICT_NOTED ? VERDICT_NOTED : VERDICT_FOREIGN;
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

/* Where a message lies, and how old it is. Where nothing says when it arrived the file's time has to do; what was
 * never read has none. */
static void count_queued(struct work *w, unsigned place, const struct report *r, const struct file_facts *facts)
{
	w->scan->placed[place]++;
	if (facts->mode != 0)
		w->scan->tally.ages[ages_class(w->scan->spool->site.now, r != NULL && r->has_arrival
					       ? r->arrival : facts->mtime.tv_sec)]++;
}

static void count(struct work *w, const struct outcome *o)
{
	struct tally *t = &w->scan->tally;

	t->messages++;
	t->verdicts[o->verdict]++;
	t->bytes += o->facts.size;
	t->deep_unchecked += o->deep_unchecked;
	if (o->verdict != VERDICT_FOREIGN)
		count_queued(w, o->place, o->report, &o->facts);
}

void work_keep(struct work *w, struct outcome *o)
{
	count(w, o);
	g_ptr_array_add(w->scan->outcomes, o);
}

/* A message that gives no cause for concern: told, counted, forgotten. */
void work_pass(struct work *w, struct outcome *o)
{
	if (o->deep_unchecked) {
		work_keep(w, o);
		return;
	}
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
	if (w->report.count > 0 || w->scan->options->all || res->deep == DEEP_UNCHECKED)
		return false;
	w->scan->tally.messages++;
	w->scan->tally.verdicts[VERDICT_OK]++;
	w->scan->tally.bytes += res->facts.size;
	count_queued(w, res->place, &w->report, &res->facts);
	return true;
}

static void first_result(struct work *w, const struct lane_result *res, const char *path)
{
	struct outcome *o;

	if (res->status == LANE_REPORT && pass_quickly(w, res))
		return;
	o = work_outcome(w, res, path);
	work_settle(w, o, res->status, res, &w->report);
	w->damaged += o->verdict == VERDICT_CORRUPT;
	if (o->verdict == VERDICT_CORRUPT || o->verdict == VERDICT_SUSPECT)
		g_ptr_array_add(w->confirm, o);
	else if (o->verdict == VERDICT_OK || o->verdict == VERDICT_NOTED ||
		 o->verdict == VERDICT_BUSY)
		work_pass(w, o);
	else
		work_keep(w, o);
}

/* What stops the server is told now, not at the end of a spool that may take minutes. */
static void hurry(const struct work *w, struct outcome *o)
{
	if (w->scan->options->urgent != NULL && o->verdict == VERDICT_CORRUPT &&
	    o->impact == IMPACT_SERVER_STOPS && !accepted_is(w->scan, o))
		w->scan->options->urgent(w->scan, o);
}

/* What the fresh worker says counts, and nothing else; unless it met the server half-way. */
static void confirmed(struct work *w, struct outcome *o, const struct lane_result *res,
		      const char *path)
{
	struct outcome *now = work_outcome(w, res, path);
	bool busy = res->status == LANE_REPORT && server_is_removing(w->scan->spool, now, &w->report);

	outcome_free(o);
	work_settle(w, now, busy ? LANE_BUSY : res->status, res, &w->report);
	if (now->verdict == VERDICT_OK || now->verdict == VERDICT_NOTED || now->verdict == VERDICT_BUSY)
		work_pass(w, now);
	else {
		work_keep(w, now);
		hurry(w, now);
	}
}

/* Messages that a job only counted. */
static void count_clean(struct work *w, const struct lane_job *job, const struct lane_result *res)
{
	struct tally *t = &w->scan->tally;

	t->messages += res->clean;
	t->verdicts[VERDICT_OK] += res->clean;
	t->bytes += res->facts.size;
	w->scan->placed[job->place] += res->clean;
	for (unsigned i = 0; i < AGES; i++)
		t->ages[i] += res->ages[i];
}

/* Both answers of a lane into w->report and w->deep. A lane lets nothing else through; this costs little. */
static bool decode(struct work *w, struct lane_result *res, const uint8_t *answer)
{
	const bool deep = res->deep == DEEP_DONE || res->deep == DEEP_CONTENTS;

	if (!wire_get_report(answer, res->answer_len, &w->report))
		return false;
	if (deep && wire_get_deep(answer + res->answer_len, res->deep_len, &w->deep)) {
		outcome_merge(&w->report, &w->deep);
	} else if (deep) {
		res->deep = DEEP_UNCHECKED;
		res->deep_why = UNCHECKED_GARBAGE;
	}
	severity_apply(w->scan->options->severities, &w->report);
	if (w->scan->spool->doubt != NULL)
		severity_doubt(&w->report);
	return true;
}

void work_result(void *arg, const struct lane_job *job, const struct lane_result *result,
		 const char *path, const uint8_t *answer)
{
	struct work *w = arg;
	struct lane_result res = *result;

	if (job->fresh == w->again)
		w->done += res.status == LANE_JOB_DONE ? res.clean : 1;
	progress_show(w->progress, w->done, w->damaged);
	news_tell(w->scan, false);
	if (res.status == LANE_REPORT && !decode(w, &res, answer)) {
		res.status = LANE_UNCHECKED;
		res.why = UNCHECKED_GARBAGE;
	}
	if (res.status == LANE_JOB_DONE) {
		count_clean(w, job, &res);
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
