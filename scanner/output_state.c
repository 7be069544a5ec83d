/*
 * output_state.c - for timers: one line for what is new since the last run, else silence
 *
 * What was told is kept in a file of lines (first seen, last told, runs, spool, key), separated by tabs and
 * escaped, so that names of strangers cannot forge one. What a run did not look at (another spool, one that was
 * cut short) is neither new nor gone. A failure is told when it repeats: a busy spool has
 * files that cannot be checked once in a while.
 */
#include "config.h"

#include "output.h"

#include "escape.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define HEAD "spoolck-state 1\n"
#define STATE_MAX (64 << 20) /* bytes of a file that we believe to be ours */
#define LINES_MAX 20         /* told one by one; more would be no mail that anybody reads */

struct entry {
	gint64 first, told; /* seconds since 1970, told 0 = not yet */
	unsigned runs;      /* that saw it */
	char *spool;        /* escaped; "-" = none */
	bool seen;          /* by this run */
};

static struct {
	char *path;
	gint64 now, remind;      /* remind 0 = never */
	bool suspect;
	GHashTable *entries;     /* key (escaped) -> struct entry */
	GHashTable *complete;    /* spools (escaped) that this run has seen all of */
	GString *lines;
	unsigned count;
} s;

static void entry_free(void *p)
{
	struct entry *e = p;

	g_free(e->spool);
	g_free(e);
}

/* --- The file ------------------------------------------------------------------ */

static bool load_line(char *line)
{
	g_auto(GStrv) words = g_strsplit(line, "\t", 5);
	struct entry *e;

	if (g_strv_length(words) != 5 || *words[4] == '\0')
		return false;
	e = g_new0(struct entry, 1);
	e->first = g_ascii_strtoll(words[0], NULL, 10);
	e->told = g_ascii_strtoll(words[1], NULL, 10);
	e->runs = (unsigned)g_ascii_strtoull(words[2], NULL, 10);
	e->spool = g_strdup(words[3]);
	g_hash_table_replace(s.entries, g_strdup(words[4]), e);
	return true;
}

static bool load(char **error_r)
{
	g_autofree char *text = NULL;
	GError *error = NULL;
	struct stat st;
	bool good;

	if (lstat(s.path, &st) < 0 && errno == ENOENT)
		return true; /* the first run */
	if (!S_ISREG(st.st_mode) || st.st_size > STATE_MAX) {
		*error_r = g_strdup("no file of spoolck's; name another or remove it");
		return false;
	}
	if (!g_file_get_contents(s.path, &text, NULL, &error)) {
		*error_r = g_strdup(error->message);
		g_error_free(error);
		return false;
	}
	good = g_str_has_prefix(text, HEAD);
	for (char *line = good ? text + strlen(HEAD) : NULL, *end; good && *line != '\0'; line = end) {
		end = line + strcspn(line, "\n");
		good = *end == '\n';
		if (good)
			*end++ = '\0';
		good = good && load_line(line);
	}
	if (!good)
		*error_r = g_strdup("not a state file, or a damaged one; remove it, and all that is wrong "
				    "is told anew");
	return good;
}

bool output_state_begin(const char *path, gint64 remind, bool suspect, char **error_r)
{
	s.path = g_strdup(path);
	s.now = time(NULL);
	s.remind = remind;
	s.suspect = suspect;
	s.entries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, entry_free);
	s.complete = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	s.lines = g_string_new(NULL);
	if (load(error_r))
		return true;
	g_hash_table_remove_all(s.entries);
	g_clear_pointer(&s.path, g_free); /* whatever it is, it is not overwritten */
	return false;
}

bool output_state_end(char **error_r)
{
	GString *text = g_string_new(HEAD);
	GError *error = NULL;
	GHashTableIter iter;
	void *key, *value;
	bool good;

	if (s.path == NULL) {
		g_string_free(text, TRUE);
		return true;
	}
	g_hash_table_iter_init(&iter, s.entries);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		const struct entry *e = value;

		if (e->seen || (strcmp(e->spool, "-") != 0 && !g_hash_table_contains(s.complete, e->spool)))
			g_string_append_printf(text, "%" PRId64 "\t%" PRId64 "\t%u\t%s\t%s\n", (int64_t)e->first,
					       (int64_t)e->told, e->runs, e->spool, (char *)key);
	}
	good = g_file_set_contents_full(s.path, text->str, (gssize)text->len,
					G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error);
	if (!good) {
		*error_r = g_strdup(error->message);
		g_error_free(error);
	}
	g_string_free(text, TRUE);
	return good;
}

/* --- What is new ------------------------------------------------------------------ */

/* Note that this was seen. The word to tell it with, NULL = say nothing. `patience`: so many runs
 * have to have seen it before. */
static const char *news(const char *spool, const char *key, unsigned patience)
{
	g_autofree char *safe = escape_json(key, strlen(key));
	struct entry *e = g_hash_table_lookup(s.entries, safe);

	if (e == NULL) {
		e = g_new0(struct entry, 1);
		e->first = s.now;
		e->spool = spool != NULL ? escape_json(spool, strlen(spool)) : g_strdup("-");
		g_hash_table_insert(s.entries, g_strdup(safe), e);
	}
	if (e->seen)
		return NULL;
	e->seen = true;
	if (e->runs++ < patience)
		return NULL;
	if (e->told != 0 && (s.remind == 0 || s.now - e->told < s.remind))
		return NULL;
	e->told = s.now;
	return e->runs == patience + 1 ? "NEW" : "STILL";
}

/* One line, fit for the subject of a mail. */
static void G_GNUC_PRINTF(1, 2) tell(const char *format, ...)
{
	g_autofree char *text = NULL, *safe = NULL;
	va_list args;

	if (s.count++ >= LINES_MAX)
		return;
	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	safe = escape_eyes(text, strlen(text));
	g_string_append_printf(s.lines, "%s\n", safe);
}

static const char *impact_word(const struct outcome *o)
{
	static const char *const words[] = { "damaged", "damages-delivery", "stranded", "deleted-by-server",
					     "stops-service" };

	return o->verdict == VERDICT_CORRUPT ? words[o->impact] : verdict_name(o->verdict);
}

static void finding(const struct scan *scan, const struct outcome *o)
{
	const struct spool *spool = scan->spool;
	const struct finding *worst = outcome_worst(o);
	const char *what, *name = worst != NULL ? finding_def(worst->id)->name : "unknown";
	g_autofree char *key = g_strjoin("\n", spool->path, o->id != NULL ? o->id : o->path, name,
					 impact_word(o), NULL);
	g_autofree char *byte = worst != NULL && worst->offset > 0
		? g_strdup_printf(" byte %" PRIu64, worst->offset) : g_strdup("");
	const char *place = o->id != NULL ? spool->format->places[o->place].name : o->path;

	/* What was moved is gone from the spool: it cannot be told twice. */
	what = o->action == ACTION_MOVED ? "NEW" : news(spool->path, key, 0);
	if (what != NULL)
		tell("spoolck %s: %s %s %s:%s %s%s %s, %s%s", g_get_host_name(), what, impact_word(o),
		     spool->format->name, o->id != NULL ? o->id : "", place, byte, name,
		     o->action == ACTION_MOVED ? "moved; run: spoolck quarantine show " : "not moved; run: spoolck "
		     "scan ", o->action == ACTION_MOVED ? o->entry : spool->path);
}

static void unchecked(const struct scan *scan, const struct outcome *o)
{
	g_autofree char *key = g_strjoin("\n", scan->spool->path, o->id, "unchecked", NULL);
	g_autofree char *why = unchecked_text(o);
	const char *what = news(scan->spool->path, key, 1);

	if (what != NULL)
		tell("spoolck %s: %s unchecked %s:%s %s: %s; run: spoolck scan %s", g_get_host_name(), what,
		     scan->spool->format->name, o->id, scan->spool->format->places[o->place].name, why,
		     scan->spool->path);
}

/* Its structure is known, its text is not. */
static void not_inside(const struct scan *scan, const struct outcome *o)
{
	g_autofree char *key = g_strjoin("\n", scan->spool->path, o->id, "unchecked (deep)", NULL);
	const char *what = news(scan->spool->path, key, 1);

	if (what != NULL)
		tell("spoolck %s: %s unchecked (deep) %s:%s %s: %s; run: spoolck scan --deep %s", g_get_host_name(),
		     what, scan->spool->format->name, o->id, scan->spool->format->places[o->place].name,
		     why_text(o->deep_why), scan->spool->path);
}

/* --- The interface ------------------------------------------------------------------ */

static void start(struct spool *const *spools, unsigned count)
{
	(void)spools, (void)count;
}

static void error(const char *where, const char *text)
{
	g_autofree char *key = g_strjoin("\n", where, text, "error", NULL);
	const char *what = news(NULL, key, 0);

	if (what != NULL)
		tell("spoolck %s: %s error %s: %s", g_get_host_name(), what, where, text);
}

static void passing(void *arg, const struct scan *scan, const struct outcome *o)
{
	(void)arg, (void)scan, (void)o;
}

static void scan_done(const struct scan *scan)
{
	bool whole = !scan->cut_short && !scan->failed;

	for (guint i = 0; i < scan->outcomes->len; i++) {
		const struct outcome *o = scan->outcomes->pdata[i];

		if (o->accepted)
			continue;
		if (o->deep_unchecked)
			not_inside(scan, o);
		if (o->verdict == VERDICT_UNCHECKED)
			unchecked(scan, o);
		else if (o->verdict == VERDICT_CORRUPT ||
			 (s.suspect && (o->verdict == VERDICT_SUSPECT || o->verdict == VERDICT_FOREIGN)))
			finding(scan, o);
	}
	if (whole)
		g_hash_table_add(s.complete, escape_json(scan->spool->path, strlen(scan->spool->path)));
	else {
		g_autofree char *key = g_strjoin("\n", scan->spool->path, "incomplete", NULL);
		const char *what = news(scan->spool->path, key, 1);

		if (what != NULL)
			tell("spoolck %s: %s incomplete %s: %s; run: spoolck scan %s", g_get_host_name(), what,
			     scan->spool->path, scan->notes->len > 0 ? (char *)scan->notes->pdata[0] : "stopped",
			     scan->spool->path);
	}
}

static void summary(const struct totals *totals)
{
	(void)totals;
	fputs(s.lines->str, stdout);
	if (s.count > LINES_MAX)
		printf("spoolck %s: and %u more; run: spoolck scan\n", g_get_host_name(), s.count - LINES_MAX);
	fflush(stdout);
}

const struct output output_state = { start, error, passing, scan_done, summary };
