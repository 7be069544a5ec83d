/* progress.c - count, rate and time left, on standard error only */
#include "config.h"

#include "progress.h"

#include "walk.h"

#include <stdio.h>
#include <unistd.h>

struct progress {
	guint64 total;
	gint64 start, shown;
};

static bool disabled;

void progress_disable(void)
{
	disabled = true;
}

static bool add(void *arg, unsigned place, unsigned depth, const char *dir,
		const struct walk_name *names, size_t count)
{
	(void)place, (void)depth, (void)dir, (void)names;
	*(guint64 *)arg += count;
	return true;
}

static void ignore(void *arg, const char *dir, int error)
{
	(void)arg, (void)dir, (void)error; /* the scan itself reports it */
}

struct progress *progress_new(const struct spool *spool)
{
	struct progress *p;
	struct walk_sink sink = { add, ignore, NULL };

	if (disabled || !isatty(STDERR_FILENO))
		return NULL;
	p = g_new0(struct progress, 1);
	sink.arg = &p->total;
	for (unsigned i = 0; i < spool->format->nplaces; i++)
		if (spool->format->places[i].kind != PLACE_LOG)
			walk_place(spool, i, &sink);
	p->start = p->shown = g_get_monotonic_time();
	return p;
}

void progress_show(struct progress *p, guint64 done)
{
	gint64 now;
	double seconds, rate;

	if (p == NULL)
		return;
	now = g_get_monotonic_time();
	if (now - p->shown < G_USEC_PER_SEC / 10)
		return;
	p->shown = now;
	seconds = (double)(now - p->start) / G_USEC_PER_SEC;
	rate = (double)done / seconds;
	fprintf(stderr, "\r%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " messages, %.0f/s, %.0f s left\033[K",
		done, MAX(p->total, done), rate,
		(double)(MAX(p->total, done) - done) / MAX(rate, 1.0));
	fflush(stderr);
}

void progress_free(struct progress *p)
{
	if (p != NULL && p->shown != p->start)
		fputs("\r\033[K", stderr);
	g_free(p);
}
