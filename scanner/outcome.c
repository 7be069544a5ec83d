/*
 * outcome.c - what is kept of a message that is worth keeping, and its words
 */
#include "config.h"

#include "scan.h"

#include "names.h"
#include "partpath.h"

#include <limits.h>
#include <string.h>

const char *verdict_name(enum verdict v)
{
	static const char *const names[VERDICT_COUNT] = { "ok", "noted", "suspect", "corrupt",
							  "busy", "changed", "foreign", "unchecked" };

	return names[v];
}

const char *action_name(enum action a)
{
	static const char *const names[] = { "none", "none", "moved", "refused", "failed" };

	return names[a];
}

void outcome_free(struct outcome *o)
{
	if (o == NULL)
		return;
	g_free(o->id);
	g_free(o->path);
	g_free(o->report);
	g_free(o->deep);
	g_free(o->reason);
	g_free(o->entry);
	g_free(o);
}

const struct finding *outcome_worst(const struct outcome *o)
{
	const struct finding *worst = NULL;

	for (unsigned i = 0; o->report != NULL && i < o->report->count; i++) {
		const struct finding *f = &o->report->findings[i];

		if (worst == NULL || f->severity > worst->severity ||
		    (f->severity == worst->severity && f->impact > worst->impact))
			worst = f;
	}
	return worst;
}

void outcome_merge(struct report *r, const struct deep *d)
{
	for (unsigned i = 0; i < d->report.count; i++) {
		const struct finding *f = &d->report.findings[i];

		*report_add(r, (enum finding_id)f->id, f->part, f->offset, f->length) = *f;
	}
	r->more += d->report.more;
	report_sort(r);
}

unsigned outcome_depth(const struct spool *spool, const struct outcome *o)
{
	unsigned depth = 0;

	for (const char *s = below_place(spool->format, o->place, o->path); *s != '\0'; s++)
		depth += *s == '/';
	return depth;
}

const struct role *outcome_role(const struct spool *spool, const struct finding *f)
{
	return &spool->format->roles[f->part < spool->format->nroles ? f->part : 0];
}

char *outcome_part(const struct spool *spool, const struct outcome *o, unsigned part)
{
	const struct format *f = spool->format;
	char path[PATH_MAX];

	if (part == 0 || o->id == NULL)
		return g_strdup(o->path);
	if (!part_path(f, &spool->site, o->place, part, o->id, strlen(o->id), outcome_depth(spool, o), o->path,
		       path, sizeof path))
		return g_strdup(o->path);
	return g_strdup(path);
}
