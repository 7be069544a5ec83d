/*
 * command_prestart.c - `spoolck prestart`: before a server starts
 *
 * Promises: returns within the budget and a second, whatever the storage does; exits 0 unless --strict was
 * asked for, whatever happens; runs COMMAND, if there is one, with everything as it was inherited.
 *
 * This process touches no spool, no store and no configuration: a first child (plan) reads the words and says
 * which spools are meant, then each spool has a child of its own (examine), which tells how far it is. What
 * a child cannot say any more is said here, on standard error and in the system log.
 */
#include "config.h"

#include "command.h"
#include "escape.h"
#include "log.h"
#include "news.h"
#include "spools.h"
#include "supervise.h"
#include "units.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define DEFAULT_BUDGET (30 * G_USEC_PER_SEC)
#define AT_ONCE 8                 /* spools */
#define PLAN_MAX (1u << 20)       /* bytes of spool names */
#define ACT_SHARE 5               /* a fifth of the budget is kept for acting ... */
#define ACT_MOST (5 * G_USEC_PER_SEC) /* ... but no more than this */

static struct {
	char *budget;
	gboolean strict;
} given;

static const GOptionEntry entries[] = {
	{ "budget", 0, 0, G_OPTION_ARG_STRING, &given.budget, "Return after this time (30s)", "TIME" },
	{ "strict", 0, 0, G_OPTION_ARG_NONE, &given.strict, "Exit status as of scan (else always 0)", NULL },
	{ "max-move", 0, 0, G_OPTION_ARG_CALLBACK, (gpointer)(guintptr)command_set,
	  "Move at most N messages; none: without any brake", "N|none" },
	G_OPTION_ENTRY_NULL
};

struct prestart {
	char **words;         /* ours, without the COMMAND */
	char **command;       /* NULL: none */
	bool strict;
	gint64 start, budget; /* µs */
	struct watch watch;
	GByteArray *plan;     /* of the first child */
};

/* One spool. */
struct target {
	const struct prestart *prestart;
	char *name;           /* as given, or TYPE:PATH */
	bool host;            /* a usual place of this host: perhaps there is none */
	bool configured;      /* perhaps not mounted */
	struct news news;
	size_t partial;       /* bytes of `raw` */
	uint8_t raw[sizeof(struct news)];
	bool heard;
};

/* --- In the children ------------------------------------------------------------ */

/* A report that nobody got is a failure. */
static int closing(int status)
{
	return fflush(stdout) != 0 || ferror(stdout) ? status | EXIT_FAILED : status;
}

/* The words, checked; exits when they are wrong. */
static char **parse(const struct prestart *p, struct common *common, struct scan_options *opt)
{
	char **names = command_options(p->words, "[SPOOL...] [-- COMMAND...] - before a server starts, move "
				       "what would stop it", entries, common);
	gint64 left = p->watch.deadline - g_get_monotonic_time();
	gint64 act = MIN(p->budget / ACT_SHARE, ACT_MOST);

	if (given.budget != NULL && units_time(given.budget) <= 0)
		exit(command_usage("--budget %s: a time such as 30s, 5m or 2h", given.budget));
	*opt = command_scan_options(common);
	opt->policy = MOVE_FATAL;
	opt->deep = false; /* what is inside of a message stops no server */
	opt->unattended = opt->staged = true;
	opt->deadline = p->watch.deadline - MIN(act, left);
	opt->act_until = p->watch.deadline - MIN(act / 4, left);
	common->quiet = !common->all;
	return names;
}

static void plan_word(int fd, char kind, const char *word)
{
	g_autofree char *line = g_strdup_printf("%c%s", kind, word);

	if (write(fd, line, strlen(line) + 1) < 0)
		exit(command_failed("cannot tell the supervisor: %s", g_strerror(errno)));
}

/* The directory of a format that a section of the configuration speaks of comes with that section. */
static bool is_configured(const struct settings *settings, const char *path)
{
	for (guint i = 0; i < settings->spools->len; i++) {
		const struct spool_settings *s = settings->spools->pdata[i];
		g_autofree char *plain = g_canonicalize_filename(s->path, "/");

		if (strcmp(plain, path) == 0)
			return true;
	}
	return false;
}

static void plan_host(int news, const struct settings *settings)
{
	for (guint i = 0; i < settings->spools->len; i++)
		plan_word(news, '+', ((const struct spool_settings *)settings->spools->pdata[i])->name);
	for (unsigned i = 0; settings->discover && formats[i] != NULL; i++)
		for (const char *const *root = formats[i]->default_roots; root != NULL && *root != NULL; root++) {
			g_autofree char *name = g_strdup_printf("%s:%s", formats[i]->name, *root);

			if (!is_configured(settings, *root))
				plan_word(news, '?', name);
		}
}

/* Which spools are meant: "!" first, then each with a '=' (named), '+' (of the configuration) or '?' (perhaps on
 * this host). */
static int plan(void *arg, int news)
{
	const struct prestart *p = arg;
	struct scan_options opt;
	struct common common;
	g_auto(GStrv) names = parse(p, &common, &opt);

	plan_word(news, '!', "");
	for (char **name = names; *name != NULL; name++)
		plan_word(news, '=', *name);
	if (*names == NULL)
		plan_host(news, common.settings);
	return closing(0);
}

static int examine(void *arg, int news)
{
	const struct target *t = arg;
	struct scan_options opt;
	struct common common;
	char **none = parse(t->prestart, &common, &opt);
	char *names[] = { t->name, NULL };

	g_strfreev(none);
	if (t->host) {
		const char *path = strchr(t->name, ':') + 1;
		int index = format_by_name(t->name, (size_t)(path - 1 - t->name));

		if (index < 0 || !spool_is_at(path, (unsigned)index))
			return closing(0);
	}
	if (t->configured && spools_is_away(common.settings, t->name))
		return closing(0);
	news_to(news);
	return closing(command_scan_spools(names, opt, &common));
}

/* --- In the supervisor ------------------------------------------------------------ */

static void G_GNUC_PRINTF(3, 4) say(struct prestart *p, int priority, const char *format, ...)
{
	g_autofree char *text = NULL, *safe = NULL, *line = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	safe = escape_eyes(text, strlen(text));
	line = g_strdup_printf("spoolck: prestart: %s\n", safe);
	supervise_write(&p->watch, STDERR_FILENO, line, strlen(line));
	line[strlen(line) - 1] = '\0';
	log_text(priority, line + strlen("spoolck: "));
}

static void on_plan(struct ward *w, const void *bytes, size_t len)
{
	struct prestart *p = w->arg;

	if (p->plan->len + len <= PLAN_MAX)
		g_byte_array_append(p->plan, bytes, (guint)len);
}

/* Keep the last news that came whole. */
static void on_news(struct ward *w, const void *bytes, size_t len)
{
	struct target *t = w->arg;
	const uint8_t *b = bytes;

	for (size_t i = 0; i < len; i++) {
		t->raw[t->partial++] = b[i];
		if (t->partial < sizeof t->raw)
			continue;
		memcpy(&t->news, t->raw, sizeof t->news);
		t->partial = 0;
		t->heard = true;
	}
}

/* The exit bits as words, for the log. */
static char *bits_text(int bits)
{
	static const struct {
		int bit;
		const char *text;
	} words[] = {
		{ EXIT_CANCELLED, "stopped before the end" },
		{ EXIT_FAILED, "not everything could be examined or moved" },
		{ EXIT_USAGE, "wrong usage" },
		{ EXIT_LEFT, "damaged messages are left in place" },
		{ EXIT_MOVED, "damaged messages were moved to quarantine" },
	};
	GString *s = g_string_new(NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		if (bits & words[i].bit)
			g_string_append_printf(s, "%s%s", s->len > 0 ? "; " : "", words[i].text);
	return g_string_free(s, FALSE);
}

/* A child that could not speak for itself at the end. */
static int tell_late(struct prestart *p, const struct target *t, const struct ward *w)
{
	const struct format *f = formats[t->news.format];
	const char *left = w->given_up ? "; its reader hangs in the kernel and is left behind" : "";

	if (!t->heard) {
		say(p, LOG_ERR, "%s: does not answer: nothing of it was looked at in %.0f s%s", t->name,
		    (double)p->budget / G_USEC_PER_SEC, left);
	} else {
		g_autofree char *rest = news_rest(f, t->news.reached);

		say(p, LOG_ERR, "%s: stopped after %.0f s: %" G_GUINT64_FORMAT " messages were looked at, %"
		    G_GUINT64_FORMAT " moved; not, or not wholly: %s%s", t->name,
		    (double)p->budget / G_USEC_PER_SEC, t->news.messages, t->news.moved, rest, left);
	}
	return EXIT_CANCELLED | (t->heard && t->news.moved > 0 ? EXIT_MOVED : 0);
}

/* What came of a child: its exit bits. */
static int tell(struct prestart *p, const char *name, const struct ward *w)
{
	g_autofree char *text = bits_text(w->status);
	g_autofree char *line = g_strdup_printf("prestart: %s: %s (exit %d)", name, text, w->status);

	if (w->error != 0) {
		say(p, LOG_ERR, "%s: cannot start a process: %s", name, g_strerror(w->error));
		return EXIT_FAILED;
	}
	if (w->sig != 0) {
		say(p, LOG_ERR, "%s: the examining process was ended by signal %d", name, w->sig);
		return EXIT_FAILED;
	}
	/* The report went to standard output; this is for the log alone. */
	if (w->status != 0)
		log_text(w->status == EXIT_MOVED ? LOG_WARNING : LOG_ERR, line);
	return w->status;
}

/* The targets of a plan. */
static GPtrArray *targets(const struct prestart *p)
{
	GPtrArray *found = g_ptr_array_new();
	const char *s = (const char *)p->plan->data, *end = s + p->plan->len;

	while (s < end && memchr(s, '\0', (size_t)(end - s)) != NULL) {
		struct target *t = g_new0(struct target, 1);

		*t = (struct target){ .prestart = p, .name = g_strdup(s + 1), .host = *s == '?',
				       .configured = *s == '+' };
		if (*s == '=' || *s == '+' || *s == '?')
			g_ptr_array_add(found, t);
		s += strlen(s) + 1;
	}
	return found;
}

static int examine_all(struct prestart *p)
{
	GPtrArray *all = targets(p);
	struct ward *wards = g_new0(struct ward, all->len);
	bool any = false;
	int bits = 0;

	for (guint i = 0; i < all->len; i++)
		wards[i] = (struct ward){ .main = examine, .arg = all->pdata[i], .news = on_news };
	supervise(&p->watch, wards, all->len, AT_ONCE);
	for (guint i = 0; i < all->len; i++) {
		const struct target *t = all->pdata[i];
		const struct ward *w = &wards[i];

		any |= !t->host || t->heard || w->late || w->status != 0 || w->sig != 0;
		bits |= w->late && !w->ended ? tell_late(p, t, w) : tell(p, t->name, w);
	}
	if (!any) {
		say(p, LOG_ERR, "no spool of a known server is on this host; name one: spoolck prestart PATH");
		bits |= EXIT_FAILED;
	}
	return bits;
}

static int supervised(struct prestart *p)
{
	struct ward first = { .main = plan, .arg = p, .news = on_plan };

	supervise(&p->watch, &first, 1, 1);
	if (first.late && !first.ended) {
		say(p, LOG_ERR, "the words and the configuration could not be read in %.0f s",
		    (double)p->budget / G_USEC_PER_SEC);
		return EXIT_CANCELLED;
	}
	/* Without a plan: --help, or what was wrong has been said. */
	if (p->plan->len == 0 || p->watch.told != 0)
		return tell(p, "prestart", &first);
	return examine_all(p);
}

/* What has to be known before any child can be asked: a wrong word is the first child's to tell. */
static void look_ahead(struct prestart *p)
{
	p->budget = DEFAULT_BUDGET;
	for (char **word = p->words; *word != NULL; word++) {
		gint64 budget = -1;

		p->strict |= strcmp(*word, "--strict") == 0;
		if (g_str_has_prefix(*word, "--budget="))
			budget = units_time(*word + strlen("--budget="));
		else if (strcmp(*word, "--budget") == 0 && word[1] != NULL)
			budget = units_time(word[1]);
		if (budget > 0)
			p->budget = budget;
	}
}

int command_prestart(char **argv)
{
	struct prestart p = { .start = g_get_monotonic_time(), .plan = g_byte_array_new() };
	char **dashes = argv;
	int bits, ret;

	setlocale(LC_ALL, "");
	setlocale(LC_NUMERIC, "C");
	while (*dashes != NULL && strcmp(*dashes, "--") != 0)
		dashes++;
	if (*dashes != NULL && dashes[1] != NULL)
		p.command = dashes + 1;
	*dashes = NULL;
	p.words = argv;
	look_ahead(&p);
	ret = watch_begin(&p.watch);
	p.watch.deadline = p.start + p.budget;
	bits = ret == 0 ? supervised(&p) : EXIT_FAILED;
	if (ret < 0)
		say(&p, LOG_ERR, "cannot watch over children: %s", g_strerror(-ret));
	watch_end(&p.watch);
	if (p.watch.told != 0)
		return p.command != NULL ? 128 + p.watch.told : p.strict ? bits | EXIT_CANCELLED : 0;
	if (p.command == NULL)
		return p.strict ? bits : 0;
	execvp(p.command[0], p.command);
	ret = errno;
	say(&p, LOG_ERR, "%s: cannot be run: %s", p.command[0], g_strerror(ret));
	return ret == ENOENT ? 127 : 126;
}
