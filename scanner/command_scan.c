/*
 * command_scan.c - `spoolck scan`
 */
#include "config.h"

#include "ask.h"
#include "command.h"
#include "metrics.h"
#include "output.h"
#include "quarantine.h"
#include "progress.h"
#include "restart.h"
#include "spools.h"
#include "units.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	gboolean nagios, restart;
	char *version, *metrics, *state, *remind;
} given;

static const GOptionEntry entries[] = {
	{ "no-action", 'n', G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, (gpointer)(guintptr)command_set,
	  "Move nothing (default)", NULL },
	{ "preen", 'p', G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, (gpointer)(guintptr)command_set,
	  "Move only what stops or endangers the service", NULL },
	{ "yes", 'y', G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, (gpointer)(guintptr)command_set,
	  "Move every corrupt message", NULL },
	{ "restart", 0, 0, G_OPTION_ARG_NONE, &given.restart,
	  "With -p or -y: stop the server for moves that need that, and start it", NULL },
	{ "server-version", 0, 0, G_OPTION_ARG_STRING, &given.version,
	  "The server's version, for a spool that is not this host's", "X.Y.Z" },
	{ "metrics", 0, 0, G_OPTION_ARG_FILENAME, &given.metrics,
	  "Write the figures for Prometheus' node exporter into this file", "FILE" },
	{ "nagios", 0, 0, G_OPTION_ARG_NONE, &given.nagios,
	  "One line and the exit status of a monitoring plugin", NULL },
	{ "state", 0, 0, G_OPTION_ARG_FILENAME, &given.state,
	  "For timers: tell only what is new since the run that left this file", "FILE" },
	{ "remind-after", 0, 0, G_OPTION_ARG_STRING, &given.remind,
	  "With --state: tell it again after this time", "TIME" },
	G_OPTION_ENTRY_NULL
};

struct scan_options command_scan_options(const struct common *common)
{
	const struct settings *s = common->settings;

	return (struct scan_options){
		.policy = (enum policy)s->policy, .unattended = s->unattended, .brake = s->max_move >= 0,
		.max_move = (unsigned)MAX(s->max_move, 0), .all = common->all,
		.fail_on_suspect = s->fail_on_suspect, .deep = s->deep, .lanes = common->jobs,
		.deadline = s->budget > 0 ? g_get_monotonic_time() + s->budget : 0,
		.store = common->store, .severities = &s->severities, .retention = &s->retention,
	};
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

struct opening {
	const struct output *out;
	struct totals *totals;
};

static void not_opened(void *arg, const char *word, const char *error)
{
	const struct opening *o = arg;

	o->out->error(word, error);
	o->totals->exit |= EXIT_FAILED;
}

/* The spools named on the command line, or those of configuration and host. */
static GPtrArray *open_spools(const struct settings *settings, char **names, const struct output *out,
			      struct totals *totals)
{
	struct opening opening = { out, totals };
	unsigned away;
	GPtrArray *spools = spools_open(settings, names, not_opened, &opening, &away);

	if (*names == NULL && spools->len + away == 0 && totals->exit == 0 && !scan_cancelled)
		not_opened(&opening, "host", "no spool of a known server is on this host; name one: "
			   "spoolck scan PATH");
	for (guint i = 0; i < spools->len; i++)
		if (given.version != NULL && !spool_set_version(spools->pdata[i], given.version))
			exit(command_usage("--server-version %s: a version such as 3.7.11", given.version));
	return spools;
}

static void add_up(struct totals *totals, const struct scan *scan)
{
	totals->tally.messages += scan->tally.messages;
	totals->tally.moved += scan->tally.moved;
	totals->tally.bytes += scan->tally.bytes;
	totals->tally.deep_unchecked += scan->tally.deep_unchecked;
	for (unsigned v = 0; v < VERDICT_COUNT; v++)
		totals->tally.verdicts[v] += scan->tally.verdicts[v];
	for (unsigned i = 0; i < AGES; i++)
		totals->tally.ages[i] += scan->tally.ages[i];
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

/* --state: what is remembered from the last run. */
static int state_begin(bool suspect)
{
	gint64 remind = given.remind != NULL ? units_time(given.remind) : 0;
	g_autofree char *error = NULL;

	if (remind < 0 || (given.remind != NULL && given.state == NULL))
		exit(command_usage("--remind-after %s: with --state, a time such as 24h", given.remind));
	if (given.state == NULL || output_state_begin(given.state, remind / G_USEC_PER_SEC, suspect, &error))
		return 0;
	return command_failed("--state %s: %s", given.state, error);
}

static int state_end(void)
{
	g_autofree char *error = NULL;

	if (given.state == NULL || output_state_end(&error))
		return 0;
	return command_failed("--state %s: %s", given.state, error);
}

static void not_purged(void *arg, const char *entry, const char *error)
{
	const struct opening *o = arg;

	if (error == NULL)
		return; /* it went; the log has it, the summary counts it */
	o->out->error(entry, error);
	o->totals->exit |= EXIT_FAILED;
}

/* --restart: would anything be moved if only the server stood still? The brake is asked, too. */
static bool waits_for_stop(struct scan *scan)
{
	guint notes = scan->notes->len;
	bool any = false;

	if (!given.restart || scan->spool->running != SERVER_RUNNING || scan_cancelled)
		return false;
	scan->spool->running = SERVER_STOPPED;
	decide(scan);
	for (guint i = 0; i < scan->outcomes->len; i++) {
		struct outcome *o = scan->outcomes->pdata[i];

		any |= o->action == ACTION_PLANNED;
		if (o->action == ACTION_PLANNED)
			o->action = ACTION_NONE;
	}
	scan->spool->running = SERVER_RUNNING;
	decide(scan);
	g_ptr_array_set_size(scan->notes, (gint)notes); /* once is enough */
	return any;
}

static void passing_again(void *arg, const struct scan *scan, const struct outcome *o)
{
	(void)arg, (void)scan, (void)o; /* was told the first time */
}

/* What has left the spool already is told with the rest. */
static void keep_moved(struct scan *from, struct scan *to)
{
	for (guint i = from->outcomes->len; i > 0; i--) {
		struct outcome *o = from->outcomes->pdata[i - 1];

		if (o->action != ACTION_MOVED)
			continue;
		g_ptr_array_add(to->outcomes, g_ptr_array_steal_index(from->outcomes, i - 1));
		to->tally.messages++;
		to->tally.moved++;
		to->tally.verdicts[o->verdict]++;
		to->tally.bytes += o->facts.size;
	}
}

/* What was found while the server ran may have moved on when it stands still: all is looked at anew, in the order and within the
 * time of a hook. */
static struct scan *scan_stopped(struct scan *scan, const struct scan_options *opt, const struct output *out)
{
	static struct scan_options stopped; /* outlives the scan */
	g_autofree char *error = NULL, *unit = NULL;
	struct spool *spool = scan->spool;
	struct restart *r = restart_stop(spool, opt->store, &error);
	struct scan *again;
	gint64 now = g_get_monotonic_time(), work = RESTART_WORK_SECONDS * G_USEC_PER_SEC;

	if (r == NULL) {
		spool->running = spool_running(spool);
		g_ptr_array_add(scan->notes, g_strdup_printf("--restart: not done: %s.", error));
		return scan;
	}
	unit = g_strdup(restart_unit(r));
	spool->running = SERVER_STOPPED;
	stopped = *opt;
	stopped.staged = true;
	stopped.deadline = now + work / 4 * 3;
	stopped.act_until = now + work;
	again = scan_run(spool, &stopped, passing_again, NULL);
	keep_moved(scan, again);
	scan_free(scan);
	scan = again;
	error = restart_start(r);
	spool->running = spool_running(spool);
	if (error != NULL) {
		scan->failed = true;
		out->error(spool->path, error);
	} else {
		g_ptr_array_add(scan->notes, g_strdup_printf("%s was stopped for this, and started again.", unit));
	}
	return scan;
}

/* Daemons that died. A hook has no time for that. */
static void look_at_logs(struct incidents *in, const struct settings *settings, const struct scan_options *opt,
			 const struct output *out, struct totals *totals)
{
	static const struct log_memory memory = { output_state_recall, output_state_remember };
	struct opening told = { out, totals };

	if (opt->staged || scan_cancelled)
		return;
	incidents_look(in, settings->mail_log, given.state != NULL ? &memory : NULL, not_opened, &told);
	for (guint i = 0; i < in->all->len; i++)
		out->incident(in->all->pdata[i]);
}

/* After an acting run: what the configuration lets go. */
static void retain(const struct settings *settings, const struct scan_options *opt,
		   const struct output *out, struct totals *totals)
{
	struct opening told = { out, totals };
	struct retained done;
	struct q_store *store;

	/* a hook has no time for it */
	if (opt->policy == MOVE_NOTHING || opt->staged || scan_cancelled ||
	    q_store_open(settings->store, false, &store, NULL) < 0)
		return;
	retention_apply(&settings->retention, store, opt->deadline, not_purged, &told, &done);
	totals->purged = done.purged;
	q_store_close(store);
}

int command_scan_spools(char **names, struct scan_options opt, const struct common *common)
{
	const struct output *out = given.nagios ? &output_nagios : given.state != NULL ? &output_state :
				   common->json ? &output_json : &output_text;
	struct metrics *metrics = metrics_new();
	struct incidents *incidents = incidents_new();
	struct totals totals = { .exit = state_begin(opt.fail_on_suspect) };
	gint64 start = g_get_monotonic_time();
	GPtrArray *spools;

	output_text_options(common->quiet, common->all);
	if (common->json || common->quiet || given.nagios || given.state != NULL)
		progress_disable();
	opt.zygote = command_zygote(opt.deep); /* before any mail is read */
	opt.urgent = out->urgent;
	catch_signals();
	ask_heed(&scan_cancelled);
	spools = open_spools(common->settings, names, out, &totals);
	out->start((struct spool *const *)spools->pdata, spools->len);
	for (guint i = 0; i < spools->len && !scan_cancelled; i++) {
		struct scan *scan = scan_run(spools->pdata[i], &opt, out->passing, NULL);

		if (waits_for_stop(scan))
			scan = scan_stopped(scan, &opt, out);
		out->scan(scan);
		metrics_add(metrics, scan);
		incidents_scan(incidents, scan);
		add_up(&totals, scan);
		scan_free(scan);
	}
	look_at_logs(incidents, common->settings, &opt, out, &totals);
	metrics_incidents(metrics, incidents);
	retain(common->settings, &opt, out, &totals);
	totals.spools = spools->len;
	totals.seconds = (double)(g_get_monotonic_time() - start) / G_USEC_PER_SEC;
	if (scan_cancelled)
		totals.exit |= EXIT_CANCELLED;
	totals.quarantined = quarantined(common->store);
	totals.exit |= state_end();
	if (spools->len > 0 || common->json || given.nagios || given.state != NULL)
		out->summary(&totals);
	write_metrics(metrics, &totals);
	metrics_free(metrics);
	incidents_free(incidents);
	g_ptr_array_free(spools, TRUE);
	return given.nagios ? nagios_status(totals.exit, &totals) : totals.exit;
}

int command_scan(char **argv)
{
	struct scan_options opt;
	struct common common;
	g_auto(GStrv) names = command_options(argv, "[SPOOL...] - examine mail spools",
					      settings_options(TRUE, command_set, entries), &common);

	if (given.nagios + common.json + (given.state != NULL) > 1)
		exit(command_usage("--nagios, --state and --format json exclude each other"));
	opt = command_scan_options(&common);
	if (given.version != NULL)
		command_carry("--server-version", given.version);
	if (given.restart && opt.policy == MOVE_NOTHING)
		exit(command_usage("--restart: with -p or -y; -n moves nothing"));
	return command_scan_spools(names, opt, &common);
}
