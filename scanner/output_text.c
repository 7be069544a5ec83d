/*
 * output_text.c - the report for people: worst first, and what to type next
 *
 * Nothing that came from a message, a file name or a worker reaches the
 * terminal unescaped. Words, not codes; the code stands in brackets at the end.
 */
#include "config.h"

#include "output.h"

#include "escape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FINDINGS_SHOWN 3  /* per message; explain shows all */
#define MESSAGES_SHOWN 50 /* per section; JSON has all */

static bool colour, quiet, show_all;

void output_text_options(bool colour_on, bool quiet_on, bool all_on)
{
	colour = colour_on;
	quiet = quiet_on;
	show_all = all_on;
}

static const char *on(const char *code)
{
	return colour ? code : "";
}

#define RED "\033[1;31m"
#define YELLOW "\033[1;33m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

/* --- Small words -------------------------------------------------------------- */

static void put_bytes(const void *p, size_t len)
{
	g_autofree char *s = escape_eyes(p, len);

	fputs(s, stdout);
}

static void put_string(const char *s)
{
	put_bytes(s, strlen(s));
}

static char *size_text(uint64_t n)
{
	if (n < 1024)
		return g_strdup_printf("%" PRIu64 " bytes", n);
	if (n < 1024 * 1024)
		return g_strdup_printf("%" PRIu64 " KiB", (n + 512) / 1024);
	return g_strdup_printf("%.1f MiB", (double)n / (1024 * 1024));
}

static char *age_text(int64_t seconds)
{
	if (seconds < 0)
		return g_strdup("from the future");
	if (seconds < 120)
		return g_strdup_printf("%" PRId64 " s", seconds);
	if (seconds < 7200)
		return g_strdup_printf("%" PRId64 " min", seconds / 60);
	if (seconds < 172800)
		return g_strdup_printf("%" PRId64 " h", seconds / 3600);
	return g_strdup_printf("%" PRId64 " d", seconds / 86400);
}

const char *why_text(enum unchecked why)
{
	switch (why) {
	case UNCHECKED_OPEN:
		return "cannot be opened";
	case UNCHECKED_READ:
		return "cannot be read";
	case UNCHECKED_TOO_BIG:
		return "larger than what is read whole";
	case UNCHECKED_BUDGET:
		return "reading it would not end: its pointers lead back too often";
	case UNCHECKED_DIED:
		return "the checking process died on it";
	case UNCHECKED_HUNG:
		return "the checking process did not answer in time";
	case UNCHECKED_GARBAGE:
		return "the checking process answered nonsense";
	case UNCHECKED_WORKER:
		return "no checking process could be started";
	case UNCHECKED_READER:
		return "the reading process died or hangs in the file system";
	case UNCHECKED_TIME:
		return "damaged at the first look; no time was left for the second";
	}
	return "unknown";
}

char *unchecked_text(const struct outcome *o)
{
	if (o->why == UNCHECKED_OPEN)
		return g_strdup_printf("%s: %s", why_text(o->why), g_strerror(o->error));
	if (o->why == UNCHECKED_READ)
		return g_strdup_printf("%s at byte %" PRIu64 ": %s", why_text(o->why), o->offset,
				       g_strerror(o->error));
	return g_strdup(why_text(o->why));
}

/* --- One message ---------------------------------------------------------------- */

/* "4F2A1C0B9  active  bob@example.org -> 3 recipients  4 h  18 KiB" */
static void put_head(const struct scan *scan, const struct outcome *o)
{
	const struct report *r = o->report;
	g_autofree char *size = size_text(o->facts.size);

	fputs(on(BOLD), stdout);
	put_string(o->id != NULL ? o->id : o->path);
	fputs(on(PLAIN), stdout);
	if (o->id != NULL && strcmp(scan->spool->format->places[o->place].name, ".") != 0)
		printf("  %s", scan->spool->format->places[o->place].name);
	if (r != NULL && r->has_sender) {
		uint64_t n = r->recipients + r->recipients_done;

		fputs("  ", stdout);
		if (r->sender_len == 0)
			fputs("<>", stdout);
		else
			put_bytes(r->sender, r->sender_len);
		printf(" -> %" PRIu64 " recipient%s", n, n == 1 ? "" : "s");
	}
	if (r != NULL && r->has_arrival) {
		g_autofree char *age = age_text(scan->spool->site.now - r->arrival);

		printf("  %s", age);
	}
	if (o->facts.mode != 0)
		printf("  %s", size);
	putchar('\n');
}

static void put_value(const char *label, const struct text *t, bool bytes)
{
	printf("%s%s", label, bytes ? "\"" : "");
	put_bytes(t->bytes, t->len);
	if (bytes)
		putchar('"');
}

/* "active/4F2A1C0B9, byte 18, size record, field 2 (data offset):
 *  expected a number, found "x           612"  [postfix.size-field]" */
static void put_finding(const struct spool *spool, const struct outcome *o, const struct finding *f)
{
	g_autofree char *part = outcome_part(spool, o, f->part);

	fputs("  ", stdout);
	put_string(part);
	if (outcome_role(spool, f)->unpacked)
		printf(", %s", outcome_role(spool, f)->name);
	if (f->length > 0 || f->offset > 0)
		printf(", byte %" PRIu64, f->offset);
	if (f->field.len > 0)
		put_value(", ", &f->field, false);
	if (f->expected.len > 0 || f->found.len > 0)
		fputs(":\n ", stdout);
	if (f->expected.len > 0)
		put_value(" expected ", &f->expected, false);
	if (f->found.len > 0)
		put_value(f->expected.len > 0 ? ", found " : " found ", &f->found, true);
	printf("  [%s]\n", finding_def(f->id)->name);
}

/* Until when the message can be saved. */
static void put_deadline(const struct spool *spool, const struct finding *f)
{
	struct text when = { .len = 0 };

	if (f->deadline == 0)
		return;
	text_time(&when, f->deadline);
	if (f->deadline <= spool->site.now) {
		puts("  The time for which the server keeps it is over: it goes at the next attempt.");
	} else {
		g_autofree char *left = age_text(f->deadline - spool->site.now);

		printf("  The server keeps it for %s more", left);
		put_bytes(when.bytes, when.len);
		puts(spool->site.keep == 0 ? ", by its default setting." : ".");
	}
}

/* The findings that matter as much as the worst one; explain shows all of them. */
static void put_findings(const struct spool *spool, const struct outcome *o,
			 const struct finding *worst)
{
	unsigned shown = 0, more = 0;

	printf("  %c%s.\n  %s\n", g_ascii_toupper(finding_def(worst->id)->text[0]),
	       finding_def(worst->id)->text + 1, finding_def(worst->id)->server);
	put_deadline(spool, worst);
	for (unsigned i = 0; i < o->report->count; i++) {
		const struct finding *f = &o->report->findings[i];

		if (f->severity < worst->severity)
			continue;
		if (shown++ < FINDINGS_SHOWN)
			put_finding(spool, o, f);
		else
			more++;
	}
	if (more > 0)
		printf("  and %" PRIu64 " more: spoolck explain\n", more + o->report->more);
}

static void put_outcome(const struct scan *scan, const struct outcome *o)
{
	const struct finding *worst = outcome_worst(o);

	put_head(scan, o);
	if (worst != NULL)
		put_findings(scan->spool, o, worst);
	if (o->deep != NULL)
		put_deep(o->deep, false);
	if (o->deep_unchecked)
		printf("  Its structure was checked, its text was not: %s.\n", why_text(o->deep_why));
	if (o->verdict == VERDICT_UNCHECKED) {
		g_autofree char *why = unchecked_text(o);

		fputs("  ", stdout);
		put_string(o->path);
		printf(": %s\n", why);
	}
	if (o->action == ACTION_MOVED) {
		fputs("  Moved to quarantine entry ", stdout);
		put_string(o->entry);
		putchar('\n');
	} else if (o->accepted) {
		puts("  Accepted by an operator: left alone.");
	} else if (o->reason != NULL) {
		printf("  Not moved: ");
		put_string(o->reason);
		putchar('\n');
	}
}

/* --- Sections --------------------------------------------------------------------- */

struct section {
	const char *title;
	const char *colour;
	enum verdict verdict;
	int impact; /* enum impact, -1 = any, INSIDE = not looked into, whatever the verdict */
};

#define INSIDE -2

static const struct section sections[] = {
	{ "NOT CHECKED", RED, VERDICT_UNCHECKED, -1 },
	{ "NOT LOOKED INTO", RED, VERDICT_OK, INSIDE },
	{ "STOPS THE SERVICE", RED, VERDICT_CORRUPT, IMPACT_SERVER_STOPS },
	{ "THE SERVER DELETES IT OR PUTS IT ASIDE, UNSENT", RED, VERDICT_CORRUPT,
	  IMPACT_SERVER_DELETES },
	{ "STAYS FOR EVER, SILENTLY", RED, VERDICT_CORRUPT, IMPACT_STRANDED },
	{ "DAMAGED, SERVICE RUNS", RED, VERDICT_CORRUPT, IMPACT_DAMAGED_DELIVERY },
	{ "DAMAGED, NOT IN USE", RED, VERDICT_CORRUPT, IMPACT_NONE },
	{ "SUSPECT", YELLOW, VERDICT_SUSPECT, -1 },
	{ "NO QUEUE FILE", YELLOW, VERDICT_FOREIGN, -1 },
	{ "CHANGED WHILE IT WAS READ", YELLOW, VERDICT_CHANGED, -1 },
	{ "NOTED", "", VERDICT_NOTED, -1 },
};

static bool in_section(const struct section *s, const struct outcome *o)
{
	if (o->deep_unchecked && o->verdict <= VERDICT_NOTED)
		return s->impact == INSIDE;
	return s->impact != INSIDE && o->verdict == s->verdict && (s->impact < 0 || o->impact == (enum impact)s->impact);
}

static void put_section(const struct scan *scan, const struct section *s)
{
	guint count = 0, shown = 0;

	for (guint i = 0; i < scan->outcomes->len; i++)
		count += in_section(s, scan->outcomes->pdata[i]);
	if (count == 0)
		return;
	printf("\n%s%s (%u)%s\n", on(s->colour), s->title, count, on(PLAIN));
	for (guint i = 0; i < scan->outcomes->len && shown < MESSAGES_SHOWN; i++)
		if (in_section(s, scan->outcomes->pdata[i])) {
			put_outcome(scan, scan->outcomes->pdata[i]);
			shown++;
		}
	if (count > shown)
		printf("and %u more: --format json shows all\n", count - shown);
}

static void put_noted(const struct scan *scan)
{
	bool first = true;

	for (unsigned i = 0; i < F_COUNT; i++) {
		if (scan->noted[i] == 0)
			continue;
		if (first)
			printf("\nNOTED\n");
		first = false;
		printf("%" G_GUINT64_FORMAT " message%s: %s  [%s]\n", scan->noted[i],
		       scan->noted[i] == 1 ? "" : "s", finding_def(i)->text, finding_def(i)->name);
	}
}

/* What the operator types next, for what is left in the spool. */
static void put_todo(const struct scan *scan)
{
	const struct format *f = scan->spool->format;
	const struct outcome *moved = NULL;
	bool left = false, fatal_only = true, stop = false;
	g_autofree char *path = g_shell_quote(scan->spool->path);
	g_autofree char *safe = escape_eyes(path, strlen(path));

	for (guint i = 0; i < scan->outcomes->len; i++) {
		const struct outcome *o = scan->outcomes->pdata[i];

		if (o->action == ACTION_MOVED && moved == NULL)
			moved = o;
		if (o->verdict != VERDICT_CORRUPT || o->action == ACTION_MOVED || o->id == NULL ||
		    o->accepted)
			continue;
		left = true;
		fatal_only &= o->impact >= IMPACT_SERVER_DELETES;
		stop |= f->places[o->place].lock == MOVE_STOPPED &&
			scan->spool->running != SERVER_STOPPED;
	}
	if (left) {
		printf("\n%sDO THIS%s%s\n", on(BOLD), on(PLAIN),
		       stop ? " (some places may be touched only while the server is stopped)" : "");
		if (stop)
			printf("  %s\n", f->stop_command);
		printf("  spoolck scan %s %s\n", fatal_only ? "-p" : "-y", safe);
		if (stop)
			printf("  %s\n", f->start_command);
	}
	if (moved != NULL) {
		printf("\nUndo: spoolck quarantine restore %s",
		       moved->impact == IMPACT_SERVER_STOPS ? "--force " : "");
		put_string(moved->entry);
		putchar('\n');
	}
}

static void put_title(const struct spool *s)
{
	static const char *const running[] = { "stopped", "running", "running or not: unknown" };

	fputs(on(BOLD), stdout);
	put_string(s->path);
	printf("%s: %s", on(PLAIN), s->format->server);
	if (s->version != NULL) {
		putchar(' ');
		put_string(s->version);
	}
	printf(", %s", running[s->running]);
	if (s->disk_used <= 100)
		printf("; disk %u %% full", s->disk_used);
	if (s->inodes_used <= 100)
		printf(", inodes %u %%", s->inodes_used);
	for (char **p = s->exclude; p != NULL && *p != NULL; p++) {
		fputs(p == s->exclude ? "; not looked at: " : ", ", stdout);
		put_string(*p);
	}
	putchar('\n');
}

/* --- The interface ------------------------------------------------------------------ */

static void start(struct spool *const *spools, unsigned count)
{
	(void)spools;
	(void)count;
}

static void error(const char *where, const char *text)
{
	g_autofree char *safe = escape_eyes(where, strlen(where));
	g_autofree char *safe_text = escape_eyes(text, strlen(text));

	fflush(stdout);
	fprintf(stderr, "spoolck: %s: %s\n", safe, safe_text);
}

static void passing(void *arg, const struct scan *scan, const struct outcome *o)
{
	(void)arg;
	if (!show_all)
		return;
	printf("%s  ", verdict_name(o->verdict));
	put_head(scan, o);
}

static void scan_done(const struct scan *scan)
{
	bool something = scan->notes->len > 0 || scan->cut_short;

	/* what was accepted, or is a notice, is nothing new */
	for (guint i = 0; i < scan->outcomes->len; i++) {
		const struct outcome *o = scan->outcomes->pdata[i];

		something |= !o->accepted && (o->verdict != VERDICT_NOTED || o->deep_unchecked);
	}
	if (quiet && !something)
		return;
	put_title(scan->spool);
	for (size_t i = 0; i < G_N_ELEMENTS(sections); i++)
		put_section(scan, &sections[i]);
	if (!quiet)
		put_noted(scan);
	put_todo(scan);
	if (scan->notes->len > 0)
		putchar('\n');
	for (guint i = 0; i < scan->notes->len; i++) {
		put_string(scan->notes->pdata[i]);
		putchar('\n');
	}
	putchar('\n');
}

static void summary(const struct totals *t)
{
	static const enum verdict shown[] = { VERDICT_SUSPECT, VERDICT_BUSY, VERDICT_CHANGED,
					      VERDICT_FOREIGN };
	const guint64 *v = t->tally.verdicts;

	if (quiet && t->exit == 0)
		return;
	printf("%" G_GUINT64_FORMAT " message%s, %.1f s: %" G_GUINT64_FORMAT " ok, %" G_GUINT64_FORMAT
	       " corrupt, %" G_GUINT64_FORMAT " unchecked", t->tally.messages,
	       t->tally.messages == 1 ? "" : "s", t->seconds, v[VERDICT_OK] + v[VERDICT_NOTED],
	       v[VERDICT_CORRUPT], v[VERDICT_UNCHECKED]);
	for (size_t i = 0; i < G_N_ELEMENTS(shown); i++)
		if (v[shown[i]] > 0)
			printf(", %" G_GUINT64_FORMAT " %s", v[shown[i]], verdict_name(shown[i]));
	if (t->tally.deep_unchecked > 0)
		printf(", %" G_GUINT64_FORMAT " not looked into", t->tally.deep_unchecked);
	if (t->tally.moved > 0)
		printf("; %" G_GUINT64_FORMAT " moved", t->tally.moved);
	else
		printf("; none moved");
	if (t->purged > 0)
		printf("; %" G_GUINT64_FORMAT " purged from quarantine", t->purged);
	if (t->quarantined > 0)
		printf("; %" G_GUINT64_FORMAT " in quarantine", t->quarantined);
	printf(". Exit %d.\n", t->exit);
	fflush(stdout);
}

const struct output output_text = { start, error, passing, scan_done, summary };
