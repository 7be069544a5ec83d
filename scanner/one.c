/*
 * one.c - one message of a spool, by a worker that sees nothing else
 *
 * For what an operator names: accept, export. The answer counts as much as the
 * second look of a scan does, and no more.
 */
#include "config.h"

#include "one.h"

#include "names.h"
#include "wire.h"

#include <errno.h>
#include <string.h>

/* Does `path` lie in this place? The root is a place without directories. */
static bool lies_in(const struct place *place, const char *path)
{
	size_t n = strlen(place->name);

	if (strcmp(place->name, ".") == 0)
		return strchr(path, '/') == NULL;
	return strncmp(path, place->name, n) == 0 && path[n] == '/';
}

int one_place(const struct format *format, const char *path, unsigned *depth_r)
{
	int found = -1;

	for (unsigned p = 0; p < format->nplaces; p++) {
		if (!lies_in(&format->places[p], path))
			continue;
		if (found < 0)
			found = (int)p;
		/* Several places can be one directory; the file's name decides. */
		if (name_of(format, p, path).kind == NAME_MESSAGE) {
			found = (int)p;
			break;
		}
	}
	*depth_r = 0;
	for (const char *s = found >= 0 ? below_place(format, (unsigned)found, path) : ""; *s != '\0'; s++)
		*depth_r += *s == '/';
	return found;
}

int one_ask(const struct spool *spool, int zygote, unsigned place, const char *path,
	    enum lane_verb verb, lanes_result *result, void *arg)
{
	struct lane_config config = { spool->format, spool->format_index, spool->site, spool->root,
				      zygote, &spool->reach };
	struct lane_job job = { .place = (uint8_t)place, .verb = (uint8_t)verb, .force = true,
				.fresh = true };
	g_autofree char *dir = g_path_get_dirname(path);
	const char *base = strrchr(path, '/');
	unsigned depth = 0;
	struct lanes *lanes;
	int error = 0;

	one_place(spool->format, path, &depth);
	job.depth = (uint8_t)depth;
	lanes = lanes_open(&config, 1, result, arg, &error);
	if (lanes == NULL)
		return error > 0 ? -error : -EAGAIN;
	lanes_submit_one(lanes, job, dir, base != NULL ? base + 1 : path);
	lanes_drain(lanes);
	lanes_close(lanes);
	return 0;
}

struct check {
	struct outcome *outcome;
	struct report report;
	bool done;
};

static void on_result(void *arg, const struct lane_job *job, const struct lane_result *res,
		      const char *path, const uint8_t *answer)
{
	struct check *c = arg;

	(void)job, (void)path;
	c->outcome->facts = res->facts;
	c->outcome->why = res->status == LANE_UNCHECKED ? res->why : UNCHECKED_OPEN;
	c->outcome->error = res->status == LANE_UNCHECKED ? res->error :
			    res->status == LANE_FOREIGN ? EINVAL : ENOENT;
	c->done = res->status == LANE_REPORT &&
		  wire_get_report(answer, res->answer_len, &c->report);
}

bool one_check(const struct spool *spool, int zygote, struct outcome *o)
{
	struct check *c = g_new0(struct check, 1);
	const struct finding *worst;
	bool done;

	c->outcome = o;
	report_reset(&c->report);
	o->why = UNCHECKED_READER;
	done = one_ask(spool, zygote, o->place, o->path, VERB_CHECK, on_result, c) == 0 && c->done;
	if (done) {
		g_free(o->report);
		o->report = g_memdup2(&c->report, sizeof c->report);
		worst = outcome_worst(o);
		o->verdict = worst == NULL ? VERDICT_OK :
			     (enum verdict)(VERDICT_NOTED + worst->severity);
		o->impact = worst != NULL ? worst->impact : IMPACT_NONE;
	}
	g_free(c);
	return done;
}
