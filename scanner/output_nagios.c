/*
 * output_nagios.c - one line for Nagios, Icinga and their like
 *
 * The words, exit codes and performance data of the "Monitoring Plugins Development
 * Guidelines". CRITICAL: damage lies in the spool, or a message could not be looked at and another
 * is damaged. UNKNOWN: something could not be looked at. WARNING: messages were moved or are
 * suspect.
 */
#include "config.h"

#include "output.h"

#include "escape.h"

#include <stdio.h>
#include <string.h>

enum { NAGIOS_OK, NAGIOS_WARNING, NAGIOS_CRITICAL, NAGIOS_UNKNOWN };

static GString *trouble; /* the first thing that could not be looked at */
static GString *worst;	 /* the damaged message that is named */
static enum impact worst_impact;
static guint64 stopping; /* messages left that stop the server */

int nagios_status(int bits, const struct totals *t)
{
	if (bits & EXIT_LEFT)
		return NAGIOS_CRITICAL;
	if (bits & ~(EXIT_MOVED | EXIT_TELL_SERVER))
		return NAGIOS_UNKNOWN;
	return bits != 0 || t->tally.verdicts[VERDICT_SUSPECT] > 0 ? NAGIOS_WARNING : NAGIOS_OK;
}

/* Bytes on a line whose performance data begin at a bar. */
static void append(GString *to, const char *bytes)
{
	g_autofree char *safe = escape_eyes(bytes, strlen(bytes));

	g_strdelimit(safe, "|\n", '!');
	g_string_append(to, safe);
}

static void start(struct spool *const *spools, unsigned count)
{
	(void)spools;
	(void)count;
}

static void error(const char *where, const char *text)
{
	if (trouble != NULL)
		return;
	trouble = g_string_new(NULL);
	append(trouble, where);
	g_string_append(trouble, ": ");
	append(trouble, text);
}

static void passing(void *arg, const struct scan *scan, const struct outcome *o)
{
	(void)arg;
	(void)scan;
	(void)o;
}

static void scan_done(const struct scan *scan)
{
	for (guint i = 0; i < scan->outcomes->len; i++) {
		const struct outcome *o = scan->outcomes->pdata[i];
		const struct finding *f = outcome_worst(o);

		if (o->verdict != VERDICT_CORRUPT || o->action == ACTION_MOVED || o->accepted)
			continue;
		stopping += o->impact == IMPACT_SERVER_STOPS;
		if (f == NULL || (worst != NULL && o->impact <= worst_impact))
			continue;
		if (worst == NULL)
			worst = g_string_new(NULL);
		g_string_truncate(worst, 0);
		append(worst, o->id != NULL ? o->id : scan->spool->path);
		g_string_append_printf(worst, " %s", finding_def(f->id)->name);
		worst_impact = o->impact;
	}
}

static void summary(const struct totals *t)
{
	static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
	const guint64 *v = t->tally.verdicts;

	printf("SPOOLCK %s: %" G_GUINT64_FORMAT " messages, %" G_GUINT64_FORMAT " corrupt, "
	       "%" G_GUINT64_FORMAT " unchecked, %" G_GUINT64_FORMAT " moved",
	       words[nagios_status(t->exit, t)], t->tally.messages, v[VERDICT_CORRUPT],
	       v[VERDICT_UNCHECKED], t->tally.moved);
	if (t->tally.deep_unchecked > 0)
		printf("; %" G_GUINT64_FORMAT " not looked into", t->tally.deep_unchecked);
	if (stopping > 0)
		printf("; %" G_GUINT64_FORMAT " stopping the server", stopping);
	if (worst != NULL)
		printf("; worst: %s", worst->str);
	if (trouble != NULL)
		printf("; %s", trouble->str);
	printf(" | messages=%" G_GUINT64_FORMAT ";;;0 corrupt=%" G_GUINT64_FORMAT ";;0;0 "
	       "suspect=%" G_GUINT64_FORMAT ";0;;0 unchecked=%" G_GUINT64_FORMAT ";;;0 "
	       "moved=%" G_GUINT64_FORMAT ";0;;0 quarantined=%" G_GUINT64_FORMAT ";;;0 "
	       "size=%" G_GUINT64_FORMAT "B;;;0 time=%.3fs;;;0\n",
	       t->tally.messages, v[VERDICT_CORRUPT], v[VERDICT_SUSPECT], v[VERDICT_UNCHECKED],
	       t->tally.moved, t->quarantined, t->tally.bytes, t->seconds);
	fflush(stdout);
}

const struct output output_nagios = {start, error, passing, scan_done, summary};
