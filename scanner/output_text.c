/*
 * output_text.c - the report for people: worst first, and what to type next
 *
 * On a terminal what stops the server is told the moment it is known; everything else waits for the end of its spool.
 */
#include "config.h"

#include "output_text.h"

#include "command.h"
#include "escape.h"
#include "print.h"
#include "progress.h"
#include "unit.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static bool quiet, show_all;
static bool titled; /* the spool at work has its title already */

void output_text_options(bool quiet_on, bool all_on)
{
	print_setup();
	quiet = quiet_on;
	show_all = all_on;
}

/* So much of the same: before the brake is released, somebody looks. */
static void put_alike(const struct scan *scan, const struct outcome *o)
{
	g_autofree char *word = g_strdup_printf("%s:%s", scan->spool->path, o->id);
	g_autofree char *quoted = g_shell_quote(word);
	GString *line = g_string_new("spoolck explain ");

	print_string(line, quoted);
	printf("  # many have the same finding, which may be our error: look first\n");
	print_line(2, line);
}

/* A command is one line, however wide the terminal is: it is copied. Frees it. */
static void put_command(const char *before, GString *command)
{
	printf("%s%s\n", before, command->str);
	g_string_free(command, TRUE);
}

/* A server that nothing shows is taken to run when the message comes back, too. */
static void put_undo(const struct scan *scan, const struct outcome *moved)
{
	const struct spool *spool = scan->spool;
	g_autofree char *carried = command_carried(false);
	GString *line = g_string_new("spoolck quarantine restore ");

	print_string(line, carried);
	g_string_append(line, moved->impact == IMPACT_SERVER_STOPS ? "--force " : "");
	g_string_append(line, spool->offline && spool->format->places[moved->place].lock == MOVE_STOPPED ? "--offline " : "");
	print_string(line, moved->entry);
	put_command("\nUndo: ", line);
}

/* "spoolck scan -p --store /srv/q /var/spool/postfix": with all that made this scan find what it found. */
static void put_scan(const struct scan *scan, bool fatal_only, bool alike, bool offline)
{
	g_autofree char *path = g_shell_quote(scan->spool->path), *carried = command_carried(true);
	GString *line = g_string_new("spoolck scan ");

	g_string_append_printf(line, "%s %s", fatal_only ? "-p" : "-y", alike ? "--max-move none " : "");
	if (offline && strstr(carried, "--offline ") == NULL)
		g_string_append(line, "--offline ");
	print_string(line, carried);
	print_string(line, path);
	put_command("  ", line);
}

/* What the operator types next, for what is left in the spool. */
static void put_todo(const struct scan *scan)
{
	const struct format *f = scan->spool->format;
	const struct outcome *moved = NULL;
	const struct outcome *alike = decide_alike(scan);
	bool left = false, fatal_only = true, stop = false;

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
	if (spool_on_volume(scan->spool)) {
		text_windows(scan);
	} else if (left) {
		g_auto(GStrv) units = stop ? text_units(scan->spool) : NULL;

		printf("\n%sDO THIS%s%s\n", print_on(BOLD), print_on(PLAIN),
		       stop ? " (some places may be touched only while the server is stopped)" : "");
		if (stop)
			text_command("stop", units, 1, f->stop_command);
		if (alike != NULL)
			put_alike(scan, alike);
		put_scan(scan, fatal_only, alike != NULL, stop && scan->spool->running == SERVER_UNKNOWN);
		if (stop)
			text_command("start", units, UINT_MAX, f->start_command);
	}
	if (moved != NULL)
		put_undo(scan, moved);
}

static void put_title(const struct spool *s)
{
	static const char *const running[] = { "stopped", "running", "running or not: unknown" };

	GString *line = g_string_new(NULL);

	if (titled)
		return;
	titled = true;
	print_string(line, s->path);
	g_string_append_printf(line, ": %s", s->format->server);
	if (s->version != NULL) {
		g_string_append_c(line, ' ');
		print_string(line, s->version);
	}
	g_string_append_printf(line, ", %s", running[s->running]);
	if (s->disk_used <= 100)
		g_string_append_printf(line, "; disk %u %% full", s->disk_used);
	if (s->inodes_used <= 100)
		g_string_append_printf(line, ", inodes %u %%", s->inodes_used);
	if (reach_words(s->reach.way) != NULL)
		g_string_append_printf(line, "; named streams: %s", reach_words(s->reach.way));
	for (char **p = s->exclude; p != NULL && *p != NULL; p++) {
		g_string_append(line, p == s->exclude ? "; not looked at: " : ", ");
		print_string(line, *p);
	}
	fputs(print_on(BOLD), stdout);
	print_line(0, line);
	fputs(print_on(PLAIN), stdout);
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
	progress_wipe();
	put_title(scan->spool);
	printf("%s  ", verdict_name(o->verdict));
	text_head(0, scan, o);
}

static void urgent(const struct scan *scan, struct outcome *o)
{
	if (!print_live())
		return; /* whoever reads a file reads it when it is whole */
	if (!titled)
		progress_wipe();
	put_title(scan->spool);
	text_urgent(scan, o);
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
	titled = false; /* the next one needs its own */
	text_sections(scan);
	if (!quiet) {
		text_noted(scan);
		text_queue(scan);
	}
	put_todo(scan);
	if (scan->notes->len > 0)
		putchar('\n');
	for (guint i = 0; i < scan->notes->len; i++) {
		GString *line = g_string_new(NULL);

		print_string(line, scan->notes->pdata[i]);
		print_line(0, line);
	}
	putchar('\n');
	fflush(stdout);
}

static void summary(const struct totals *t)
{
	static const enum verdict shown[] = { VERDICT_SUSPECT, VERDICT_BUSY, VERDICT_CHANGED,
					      VERDICT_FOREIGN };
	const guint64 *v = t->tally.verdicts;
	GString *line;

	if (text_incidents())
		putchar('\n');
	if (quiet && t->exit == 0)
		return;
	line = g_string_new(NULL);
	g_string_printf(line, "%" G_GUINT64_FORMAT " message%s, %.1f s: %" G_GUINT64_FORMAT " ok, %" G_GUINT64_FORMAT
	       " corrupt, %" G_GUINT64_FORMAT " unchecked", t->tally.messages,
	       t->tally.messages == 1 ? "" : "s", t->seconds, v[VERDICT_OK] + v[VERDICT_NOTED],
	       v[VERDICT_CORRUPT], v[VERDICT_UNCHECKED]);
	for (size_t i = 0; i < G_N_ELEMENTS(shown); i++)
		if (v[shown[i]] > 0)
			g_string_append_printf(line, ", %" G_GUINT64_FORMAT " %s", v[shown[i]], verdict_name(shown[i]));
	if (t->tally.deep_unchecked > 0)
		g_string_append_printf(line, ", %" G_GUINT64_FORMAT " not looked into", t->tally.deep_unchecked);
	if (t->tally.moved > 0)
		g_string_append_printf(line, "; %" G_GUINT64_FORMAT " moved", t->tally.moved);
	else
		g_string_append(line, "; none moved");
	if (t->purged > 0)
		g_string_append_printf(line, "; %" G_GUINT64_FORMAT " purged from quarantine", t->purged);
	if (t->quarantined > 0)
		g_string_append_printf(line, "; %" G_GUINT64_FORMAT " in quarantine", t->quarantined);
	g_string_append_printf(line, ". Exit %d.", t->exit);
	print_line(0, line);
	fflush(stdout);
}

const struct output output_text = { start, error, passing, scan_done, text_incident, summary, urgent };
