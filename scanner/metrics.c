/*
 * metrics.c - figures of a run for Prometheus
 *
 * Names and units by the conventions of its documentation ("Metric and label naming"; "Exposition
 * formats" for the escaping of label values); `promtool check metrics` has nothing to say.
 */
#include "config.h"

#include "metrics.h"

#include "escape.h"

#include <string.h>
#include <time.h>

struct spool_figures {
	char *labels; /* spool="...",format="..." */
	struct tally tally;
	guint64 corrupt[IMPACT_COUNT]; /* found, by impact */
	guint64 left;		       /* of them still in the spool, and not accepted */
	double seconds;
	bool complete;
};

struct metrics {
	GArray *spools; /* struct spool_figures */
	const struct incidents *incidents;
};

static void figures_clear(gpointer figures)
{
	g_free(((struct spool_figures *)figures)->labels);
}

struct metrics *metrics_new(void)
{
	struct metrics *m = g_new(struct metrics, 1);

	m->spools = g_array_new(FALSE, TRUE, sizeof(struct spool_figures));
	g_array_set_clear_func(m->spools, figures_clear);
	return m;
}

void metrics_free(struct metrics *m)
{
	if (m == NULL)
		return;
	g_array_free(m->spools, TRUE);
	g_free(m);
}

/* A label's value: bytes made UTF-8, then `\` and `"` escaped (a line end cannot be left). */
static char *label_value(const char *bytes)
{
	g_autofree char *text = escape_json(bytes, strlen(bytes));
	GString *out = g_string_new(NULL);

	for (const char *s = text; *s != '\0'; s++) {
		if (*s == '\\' || *s == '"')
			g_string_append_c(out, '\\');
		g_string_append_c(out, *s);
	}
	return g_string_free(out, FALSE);
}

void metrics_add(struct metrics *m, const struct scan *scan)
{
	g_autofree char *path = label_value(scan->spool->path);
	struct spool_figures figures = {.tally = scan->tally,
					.seconds = scan->seconds,
					.complete = !scan->cut_short && !scan->failed};

	figures.labels =
		g_strdup_printf("spool=\"%s\",format=\"%s\"", path, scan->spool->format->name);
	for (guint i = 0; i < scan->outcomes->len; i++) {
		const struct outcome *o = scan->outcomes->pdata[i];

		if (o->id == NULL || o->verdict != VERDICT_CORRUPT)
			continue;
		figures.corrupt[o->impact]++;
		figures.left += o->action != ACTION_MOVED && !o->accepted;
	}
	g_array_append_val(m->spools, figures);
}

void metrics_incidents(struct metrics *m, const struct incidents *incidents)
{
	m->incidents = incidents;
}

/* --- The file ------------------------------------------------------------------------ */

static void family(GString *out, const char *name, const char *help)
{
	g_string_append_printf(out, "# HELP spoolck_%s %s\n# TYPE spoolck_%s gauge\n", name, help,
			       name);
}

static void sample(GString *out, const char *name, const struct spool_figures *figures,
		   const char *label, const char *value, guint64 n)
{
	g_string_append_printf(out, "spoolck_%s{%s", name, figures->labels);
	if (label != NULL)
		g_string_append_printf(out, ",%s=\"%s\"", label, value);
	g_string_append_printf(out, "} %" G_GUINT64_FORMAT "\n", n);
}

static void plain(GString *out, const char *name, const char *help, gint64 n)
{
	family(out, name, help);
	g_string_append_printf(out, "spoolck_%s %" G_GINT64_FORMAT "\n", name, n);
}

static const struct spool_figures *figures_at(const struct metrics *m, guint i)
{
	return &g_array_index(m->spools, struct spool_figures, i);
}

static void put_messages(GString *out, const struct metrics *m)
{
	family(out, "messages", "Messages of the spool in the last scan, by verdict.");
	for (guint i = 0; i < m->spools->len; i++)
		for (unsigned v = 0; v < VERDICT_COUNT; v++)
			sample(out, "messages", figures_at(m, i), "verdict", verdict_name(v),
			       figures_at(m, i)->tally.verdicts[v]);
	family(out, "corrupt_messages",
	       "Corrupt messages of the last scan, by what the server does.");
	for (guint i = 0; i < m->spools->len; i++)
		for (unsigned n = 0; n < IMPACT_COUNT; n++)
			sample(out, "corrupt_messages", figures_at(m, i), "impact", impact_name(n),
			       figures_at(m, i)->corrupt[n]);
	family(out, "left_messages", "Corrupt messages neither moved nor accepted by an operator.");
	for (guint i = 0; i < m->spools->len; i++)
		sample(out, "left_messages", figures_at(m, i), NULL, NULL, figures_at(m, i)->left);
	family(out, "deep_unchecked_messages",
	       "Messages whose structure the last scan checked, but whose text it could not look into (--deep).");
	for (guint i = 0; i < m->spools->len; i++)
		sample(out, "deep_unchecked_messages", figures_at(m, i), NULL, NULL,
		       figures_at(m, i)->tally.deep_unchecked);
	family(out, "moved_messages", "Messages that the last scan moved to the quarantine.");
	for (guint i = 0; i < m->spools->len; i++)
		sample(out, "moved_messages", figures_at(m, i), NULL, NULL,
		       figures_at(m, i)->tally.moved);
}

static void put_scan(GString *out, const struct metrics *m)
{
	char seconds[G_ASCII_DTOSTR_BUF_SIZE];

	family(out, "daemon_deaths", "Daemons that died, in the part of the mail log that the last scan read.");
	for (unsigned i = 0; formats[i] != NULL; i++)
		g_string_append_printf(out, "spoolck_daemon_deaths{format=\"%s\"} %" G_GUINT64_FORMAT "\n", formats[i]->name,
				       m->incidents != NULL ? incidents_deaths(m->incidents, formats[i]) : 0);
	family(out, "spool_bytes", "Size of all messages that the last scan saw.");
	for (guint i = 0; i < m->spools->len; i++)
		sample(out, "spool_bytes", figures_at(m, i), NULL, NULL,
		       figures_at(m, i)->tally.bytes);
	family(out, "scan_complete", "1 when the last scan looked at everything.");
	for (guint i = 0; i < m->spools->len; i++)
		sample(out, "scan_complete", figures_at(m, i), NULL, NULL,
		       figures_at(m, i)->complete);
	family(out, "scan_duration_seconds", "Time that the last scan took.");
	for (guint i = 0; i < m->spools->len; i++)
		g_string_append_printf(out, "spoolck_scan_duration_seconds{%s} %s\n",
				       figures_at(m, i)->labels,
				       g_ascii_formatd(seconds, sizeof seconds, "%.6f",
						       figures_at(m, i)->seconds));
}

bool metrics_write(const struct metrics *m, const struct totals *totals, const char *path,
		   char **error_r)
{
	GString *out = g_string_new(NULL);
	GError *error = NULL;
	bool good;

	family(out, "build_info", "The version of spoolck, always 1.");
	g_string_append(out, "spoolck_build_info{version=\"" PACKAGE_VERSION "\"} 1\n");
	put_messages(out, m);
	put_scan(out, m);
	plain(out, "quarantine_entries", "Messages in the quarantine that are not marked as kept.",
	      (gint64)totals->quarantined);
	plain(out, "exit_status", "Exit status of the last scan, see spoolck(1).", totals->exit);
	plain(out, "last_scan_timestamp_seconds", "When the last scan ended.", (gint64)time(NULL));
	good = g_file_set_contents_full(path, out->str, (gssize)out->len,
					G_FILE_SET_CONTENTS_CONSISTENT, 0644, &error);
	g_string_free(out, TRUE);
	if (!good) {
		*error_r = g_strdup(error->message);
		g_error_free(error);
	}
	return good;
}
