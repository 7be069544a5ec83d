/*
 * one.c - one message of a spool, by a worker that sees nothing else
 *
 * For what an operator names: accept, export. The answer counts as much as the
 * second look of a scan does, and no more.
 */
#include "config.h"

#include "one.h"
#include "spools.h"

#include "wire.h"

#include <errno.h>
#include <string.h>

int one_place(const struct format *format, const char *path, unsigned *depth_r)
{
	for (unsigned p = 0; p < format->nplaces; p++) {
		size_t n = strlen(format->places[p].name);

		if (strncmp(path, format->places[p].name, n) != 0 || path[n] != '/')
			continue;
		*depth_r = 0;
		for (const char *s = path + n + 1; *s != '\0'; s++)
			*depth_r += *s == '/';
		return (int)p;
	}
	return -1;
}

struct spool *one_spool(const struct settings *settings, const char *name, const char *id,
			char **error_r)
{
	struct spool *spool = spools_open_one(settings, name, error_r);
	struct outcome *o = spool != NULL ? spool_locate(spool, id) : NULL;
	g_auto(GStrv) inner = spool != NULL && o == NULL ? spool_inner(spool) : g_new0(char *, 1);

	outcome_free(o);
	for (char **in = inner; *in != NULL; in++) {
		g_autofree char *error = NULL;
		struct spool *other = spool_open(*in, &error);

		o = other != NULL ? spool_locate(other, id) : NULL;
		if (o != NULL) {
			outcome_free(o);
			spool_close(spool);
			spools_apply(settings, other);
			return other;
		}
		spool_close(other);
	}
	return spool;
}

int one_ask(const struct spool *spool, int zygote, unsigned place, const char *path,
	    enum lane_verb verb, lanes_result *result, void *arg)
{
	struct lane_config config = { spool->format, spool->format_index, spool->site, spool->root,
				      zygote };
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
