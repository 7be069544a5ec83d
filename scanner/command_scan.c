/*
 * command_scan.c - `spoolck scan`
 */
#include "config.h"

#include "command.h"
#include "metrics.h"
#include "output.h"
#include "quarantine.h"
#include "progress.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	gboolean none, fatal, corrupt, unattended, nagios;
	char *quarantine, *budget, *max_move, *fail_on, *version, *metrics;
} given;

static const GOptionEntry entries[] = {
	{ "no-action", 'n', 0, G_OPTION_ARG_NONE, &given.none, "Move nothing (default)", NULL },
	{ "preen", 'p', 0, G_OPTION_ARG_NONE, &given.fatal,
	  "Move only what stops or endangers the service", NULL },
	{ "yes", 'y', 0, G_OPTION_ARG_NONE, &given.corrupt, "Move every corrupt message", NULL },
	{ "quarantine", 0, 0, G_OPTION_ARG_STRING, &given.quarantine, "The same as -n, -p, -y",
	  "none|fatal|corrupt" },
	{ "budget", 0, 0, G_OPTION_ARG_STRING, &given.budget, "Stop looking after this time",
	  "TIME" },
	{ "max-move", 0, 0, G_OPTION_ARG_STRING, &given.max_move,
	  "Move at most N messages; none: without any brake", "N|none" },
	{ "unattended", 0, 0, G_OPTION_ARG_NONE, &given.unattended,
	  "Nobody watches: smaller brake, only tested server versions", NULL },
	{ "fail-on", 0, 0, G_OPTION_ARG_STRING, &given.fail_on,
	  "What sets exit bit 4 (corrupt)", "corrupt|suspect" },
	{ "server-version", 0, 0, G_OPTION_ARG_STRING, &given.version,
	  "The server's version, for a spool that is not this host's", "X.Y.Z" },
	{ "metrics", 0, 0, G_OPTION_ARG_FILENAME, &given.metrics,
	  "Write the figures for Prometheus' node exporter into this file", "FILE" },
	{ "nagios", 0, 0, G_OPTION_ARG_NONE, &given.nagios,
	  "One line and the exit status of a monitoring plugin", NULL },
	G_OPTION_ENTRY_NULL
};

/* -n, -p, -y and --quarantine: one of them. */
static enum policy policy(void)
{
	static const char *const words[] = { "none", "fatal", "corrupt" };
	int count = given.none + given.fatal + given.corrupt + (given.quarantine != NULL);

	if (count > 1)
		exit(command_usage("-n, -p, -y and --quarantine exclude each other"));
	for (unsigned i = 0; given.quarantine != NULL && i < G_N_ELEMENTS(words); i++)
		if (strcmp(given.quarantine, words[i]) == 0)
			return (enum policy)i;
	if (given.quarantine != NULL)
		exit(command_usage("--quarantine %s: none, fatal or corrupt", given.quarantine));
	return given.corrupt ? MOVE_CORRUPT : given.fatal ? MOVE_FATAL : MOVE_NOTHING;
}

void command_max_move(const char *text, struct scan_options *o)
{
	guint64 n;

	if (text == NULL)
		return;
	o->brake = strcmp(text, "none") != 0;
	if (!o->brake)
		return;
	if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT, &n, NULL))
		exit(command_usage("--max-move %s: a number from 1, or none", text));
	o->max_move = (unsigned)n;
}

static struct scan_options options(const struct common *common)
{
	struct scan_options o = { .policy = policy(), .brake = true, .all = common->all,
				  .unattended = given.unattended, .lanes = common->jobs,
				  .store = common->store };

	if (given.budget != NULL) {
		gint64 budget = command_duration(given.budget);

		if (budget <= 0)
			exit(command_usage("--budget %s: a time such as 30s, 5m or 2h", given.budget));
		o.deadline = g_get_monotonic_time() + budget;
	}
	command_max_move(given.max_move, &o);
	if (given.fail_on != NULL && strcmp(given.fail_on, "suspect") == 0)
		o.fail_on_suspect = true;
	else if (given.fail_on != NULL && strcmp(given.fail_on, "corrupt") != 0)
		exit(command_usage("--fail-on %s: corrupt or suspect", given.fail_on));
	return o;
}

static void on_signal(int sig)
{
	(void)sig;
	scan_cancelled = 1;
}

/* Stop in good order: no name more is handed out, what is being moved is finished. */
static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* The spools named on the command line, or those of the host. */
static GPtrArray *open_spools(char **names, const struct output *out, struct totals *totals)
{
	GPtrArray *spools = g_ptr_array_new_with_free_func((GDestroyNotify)spool_close);
	g_auto(GStrv) host = *names == NULL ? spool_host() : NULL;

	if (host != NULL && *host == NULL) {
		out->error("host", "no spool of a known server is on this host; name one: spoolck "
				   "scan PATH");
		totals->exit |= EXIT_FAILED;
	}
	for (char **name = host != NULL ? host : names; *name != NULL; name++) {
		g_autofree char *error = NULL;
		struct spool *spool = spool_open(*name, &error);

		if (spool != NULL && given.version != NULL && !spool_set_version(spool, given.version))
			exit(command_usage("--server-version %s: a version such as 3.7.11", given.version));
		if (spool != NULL) {
			g_ptr_array_add(spools, spool);
			continue;
		}
		out->error(*name, error);
		totals->exit |= EXIT_FAILED;
	}
	return spools;
}

static void add_up(struct totals *totals, const struct scan *scan)
{
	totals->tally.messages += scan->tally.messages;
	totals->tally.moved += scan->tally.moved;
	totals->tally.bytes += scan->tally.bytes;
	for (unsigned v = 0; v < VERDICT_COUNT; v++)
		totals->tally.verdicts[v] += scan->tally.verdicts[v];
	totals->exit |= scan_exit(scan);
}

#define KEPT_ASKED 1000 /* a look at each of a hundred thousand would take seconds */

/* How many entries wait for an operator; 0 where the store cannot be read. Of very many also those that
 * are kept are counted. */
static guint64 quarantined(const char *path)
{
	g_auto(GStrv) names = NULL;
	struct q_store *store;
	guint64 count = 0;

	if (q_store_open(path, false, &store, NULL) < 0)
		return 0;
	if (q_entries(store, &names, NULL) < 0)
		names = NULL;
	for (char **name = names; name != NULL && *name != NULL; name++)
		count += name - names >= KEPT_ASKED || !q_kept(store, *name);
	q_store_close(store);
	return count;
}

/* What was found is worth more than its figures: a failure is told, and changes no exit status. */
static void write_metrics(const struct metrics *metrics, const struct totals *totals)
{
	g_autofree char *error = NULL;

	if (given.metrics != NULL && !metrics_write(metrics, totals, given.metrics, &error))
		command_failed("--metrics %s: %s", given.metrics, error);
}

int command_scan_spools(char **names, struct scan_options opt, const struct common *common)
{
	const struct output *out = given.nagios ? &output_nagios :
				   common->json ? &output_json : &output_text;
	struct metrics *metrics = metrics_new();
	struct totals totals = { .exit = 0 };
	gint64 start = g_get_monotonic_time();
	GPtrArray *spools;

	output_text_options(isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL,
			    common->quiet, common->all);
	if (common->json || common->quiet || given.nagios)
		progress_disable();
	opt.zygote = command_zygote(); /* before any mail is read */
	catch_signals();
	spools = open_spools(names, out, &totals);
	out->start((struct spool *const *)spools->pdata, spools->len);
	for (guint i = 0; i < spools->len && !scan_cancelled; i++) {
		struct scan *scan = scan_run(spools->pdata[i], &opt, out->passing, NULL);

		out->scan(scan);
		metrics_add(metrics, scan);
		add_up(&totals, scan);
		scan_free(scan);
	}
	totals.spools = spools->len;
	totals.seconds = (double)(g_get_monotonic_time() - start) / G_USEC_PER_SEC;
	if (scan_cancelled)
		totals.exit |= EXIT_CANCELLED;
	totals.quarantined = quarantined(common->store);
	if (spools->len > 0 || common->json || given.nagios)
		out->summary(&totals);
	write_metrics(metrics, &totals);
	metrics_free(metrics);
	g_ptr_array_free(spools, TRUE);
	return given.nagios ? nagios_status(totals.exit, &totals) : totals.exit;
}

int command_scan(char **argv)
{
	struct common common;
	g_auto(GStrv) names = command_options(argv, "[SPOOL...] - examine mail spools", entries,
					      &common);

	if (given.nagios && common.json)
		exit(command_usage("--nagios and --format json exclude each other"));
	return command_scan_spools(names, options(&common), &common);
}
