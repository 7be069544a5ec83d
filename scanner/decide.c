/*
 * decide.c - from verdicts to what is moved
 *
 * Pure: no system call, no file. Only VERDICT_CORRUPT can be planned; what
 * holds a move back is said in `reason`, and once for the whole run in the notes.
 */
#include "config.h"

#include "scan.h"

#include <string.h>

/* Does the policy want this message out? */
static bool wanted(const struct outcome *o, enum policy policy)
{
	if (o->verdict != VERDICT_CORRUPT || o->id == NULL || o->accepted)
		return false;
	switch (policy) {
	case MOVE_NOTHING:
		return false;
	case MOVE_FATAL:
		return o->impact == IMPACT_SERVER_STOPS || o->impact == IMPACT_SERVER_DELETES;
	case MOVE_CORRUPT:
		return true;
	}
	return false;
}

/* What forbids any move in this spool, or NULL. */
static const char *forbidden(const struct scan *scan)
{
	const struct spool *s = scan->spool;

	if (spool_on_volume(s))
		return "the volume is not mounted, and nothing is ever written to one";
	if (s->network)
		return "the spool is on a network file system, where another host may use it; if none does, say "
		       "exclusive=yes in spoolck.conf(5), or --offline if its server is stopped";
	if (scan->cut_short && (!scan->options->staged || scan_cancelled))
		return "the scan was cut short";
	if (scan->options->unattended && s->site.version >> 8 > s->format->tested_version >> 8)
		return "this server is newer than the newest that the checks were tested with; "
		       "unattended runs move nothing";
	return NULL;
}

static void refuse(struct outcome *o, const char *reason)
{
	o->action = ACTION_REFUSED;
	o->reason = g_strdup(reason);
	o->held = true;
}

/* Forget what was refused with less known than now. */
static void think_again(struct outcome *o)
{
	if (!o->held)
		return;
	o->action = ACTION_NONE;
	g_clear_pointer(&o->reason, g_free);
	o->held = false;
}

/* How many corrupt messages have which worst finding. */
static void count_same(const struct scan *scan, guint same[F_COUNT])
{
	memset(same, 0, F_COUNT * sizeof same[0]);
	for (guint i = 0; i < scan->outcomes->len; i++) {
		const struct outcome *o = scan->outcomes->pdata[i];

		if (o->verdict == VERDICT_CORRUPT)
			same[outcome_worst(o)->id]++;
	}
}

/* Too many messages with one and the same finding look like an error of ours. */
static bool is_suspicious(const struct scan *scan, guint same)
{
	return same > BRAKE_SAME && (guint64)same * 3 > scan->tally.messages;
}

const struct outcome *decide_alike(const struct scan *scan)
{
	guint same[F_COUNT];

	count_same(scan, same);
	for (guint i = 0; i < scan->outcomes->len; i++) {
		const struct outcome *o = scan->outcomes->pdata[i];

		if (o->verdict == VERDICT_CORRUPT && o->id != NULL && o->action != ACTION_MOVED &&
		    is_suspicious(scan, same[outcome_worst(o)->id]))
			return o;
	}
	return NULL;
}

static void brake_same(struct scan *scan)
{
	guint same[F_COUNT];

	count_same(scan, same);
	for (guint i = 0; i < scan->outcomes->len; i++) {
		struct outcome *o = scan->outcomes->pdata[i];
		guint n = o->action == ACTION_PLANNED ? same[outcome_worst(o)->id] : 0;

		if (is_suspicious(scan, n))
			refuse(o, "brake: over a third of the spool has the same finding, which may be "
				  "our error; --max-move none overrides");
	}
}

/* How many an unattended run, or the operator's number, allows. */
static guint64 limit(const struct scan *scan)
{
	guint64 share = scan->tally.messages * BRAKE_SHARE / 100;

	if (scan->options->max_move > 0)
		return scan->options->max_move;
	if (!scan->options->unattended)
		return G_MAXUINT64;
	return CLAMP(share, 1, BRAKE_MESSAGES);
}

static void brake_count(struct scan *scan)
{
	guint64 planned = scan->tally.moved, max = limit(scan);

	for (guint i = 0; i < scan->outcomes->len; i++)
		planned += ((struct outcome *)scan->outcomes->pdata[i])->action == ACTION_PLANNED;
	if (planned <= max)
		return;
	for (guint i = 0; i < scan->outcomes->len; i++) {
		struct outcome *o = scan->outcomes->pdata[i];

		if (o->action == ACTION_PLANNED)
			refuse(o, "brake: more messages than one run may move; look first, then "
				  "--max-move N or none");
	}
}

void decide(struct scan *scan)
{
	const char *no = forbidden(scan);
	bool any = false;

	for (guint i = 0; i < scan->outcomes->len; i++) {
		struct outcome *o = scan->outcomes->pdata[i];
		const struct place *place = &scan->spool->format->places[o->place];

		think_again(o);
		if (o->action != ACTION_NONE || !wanted(o, scan->options->policy) ||
		    (scan->early && o->impact != IMPACT_SERVER_STOPS))
			continue;
		any = true;
		if (no != NULL)
			refuse(o, no);
		else if (place->lock == MOVE_STOPPED && scan->spool->running != SERVER_STOPPED)
			refuse(o, scan->spool->running == SERVER_RUNNING ?
				  "server-running: this place may be touched only while the server is stopped" :
				  "server-running: this place may be touched only while the server is stopped, "
				  "which is not to be seen from here; --offline says that it is");
		else
			o->action = ACTION_PLANNED;
	}
	if (any && no != NULL && !scan->early)
		g_ptr_array_add(scan->notes, g_strdup_printf("Nothing is moved: %s.", no));
	if (scan->options->brake) {
		brake_same(scan);
		brake_count(scan);
	}
}
