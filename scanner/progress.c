/* progress.c - count, rate and time left, on standard error only */
#include "config.h"

#include "progress.h"

#include "names.h"
#include "walk.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define SHOWN_EVERY (G_USEC_PER_SEC / 10)

struct progress {
	const struct spool *spool;
	const volatile int *cancelled;
	guint64 total, here;       /* messages; of the place that is being counted */
	char path[PATH_MAX];
	gint64 start, shown;
	const char *label;         /* before the count */
};

static bool disabled;
static bool visible; /* a line stands there: there is one at a time */

void progress_disable(void)
{
	disabled = true;
}

/* Is there something new to show, and was the last line long enough ago? */
static bool is_due(struct progress *p)
{
	gint64 now = g_get_monotonic_time();

	if (now - p->shown < SHOWN_EVERY)
		return false;
	p->shown = now;
	visible = true;
	return true;
}

/* Count those that will have a result of their own. */
static bool add(void *arg, unsigned place, unsigned depth, const char *dir, const struct walk_name *names,
		size_t count)
{
	struct progress *p = arg;

	(void)depth;
	for (size_t i = 0; i < count; i++) {
		enum name_kind kind;

		g_snprintf(p->path, sizeof p->path, "%s/%s", dir, names[i].name);
		kind = name_of(p->spool->format, place, p->path).kind;
		p->here += kind != NAME_COMPANION && kind != NAME_TRANSIENT;
	}
	if (is_due(p)) {
		fprintf(stderr, "\rcounting: %" G_GUINT64_FORMAT " messages\033[K", p->total + p->here);
		fflush(stderr);
	}
	return !*p->cancelled;
}

static void ignore(void *arg, const char *dir, int error)
{
	(void)arg, (void)dir, (void)error; /* the scan itself reports it */
}

/* How many messages there are. Where several places hold files of one message the fullest has them all. */
static void count_all(struct progress *p)
{
	const struct walk_sink sink = { add, ignore, p };
	const struct format *f = p->spool->format;

	for (unsigned i = 0; i < f->nplaces && !*p->cancelled; i++) {
		if (f->places[i].kind == PLACE_LOG || f->of_parts >> i & 1)
			continue;
		p->here = 0;
		walk_place(p->spool, i, &sink);
		p->total = f->one_id ? MAX(p->total, p->here) : p->total + p->here;
	}
	p->here = 0;
}

struct progress *progress_new(const struct spool *spool, const volatile int *cancelled)
{
	struct progress *p;

	if (disabled || !isatty(STDERR_FILENO))
		return NULL;
	p = g_new0(struct progress, 1);
	*p = (struct progress){ .spool = spool, .cancelled = cancelled, .shown = g_get_monotonic_time(), .label = "" };
	count_all(p);
	p->start = p->shown = g_get_monotonic_time();
	return p;
}

struct progress *progress_of(const char *label, guint64 total)
{
	struct progress *p;

	if (disabled || !isatty(STDERR_FILENO))
		return NULL;
	p = g_new0(struct progress, 1);
	*p = (struct progress){ .total = total, .label = label };
	p->start = p->shown = g_get_monotonic_time();
	return p;
}

/* "42 s", "3 min 10 s", "1 h 5 min": as short as a person would say it. */
static void put_left(double seconds)
{
	guint64 s = (guint64)MIN(seconds + 0.5, 1e9);

	if (s < 60)
		fprintf(stderr, "%" G_GUINT64_FORMAT " s left", s);
	else if (s < 3600)
		fprintf(stderr, "%" G_GUINT64_FORMAT " min %" G_GUINT64_FORMAT " s left", s / 60, s % 60);
	else
		fprintf(stderr, "%" G_GUINT64_FORMAT " h %" G_GUINT64_FORMAT " min left", s / 3600, s / 60 % 60);
}

void progress_show(struct progress *p, guint64 done, guint64 damaged)
{
	double rate;

	if (p == NULL || !is_due(p))
		return;
	p->total = MAX(p->total, done); /* mail that came */
	if (*p->label != '\0')
		damaged = 0; /* they all are, or seem to be */
	rate = (double)done * G_USEC_PER_SEC / (double)MAX(p->shown - p->start, 1);
	fprintf(stderr, "\r%s%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " messages, %.0f/s, ",
		p->label, done, p->total, rate);
	put_left((double)(p->total - done) / MAX(rate, 1.0));
	if (damaged > 0)
		fprintf(stderr, ", %" G_GUINT64_FORMAT " damaged", damaged);
	fputs("\033[K", stderr);
	fflush(stderr);
}

void progress_again(struct progress *p, guint64 total)
{
	if (p == NULL)
		return;
	p->total = total;
	p->start = g_get_monotonic_time();
	p->label = "second look: ";
}

void progress_wipe(void)
{
	if (!visible)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	visible = false;
}

void progress_free(struct progress *p)
{
	if (p != NULL)
		progress_wipe();
	g_free(p);
}
