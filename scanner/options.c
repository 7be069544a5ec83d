/*
 * options.c - the command line and the configuration file become settings
 *
 * Defaults, then the file, then the command line: each through setting_set(), so a word is right or wrong
 * wherever it stands, and the later one holds.
 */
#include "config.h"

#include "command.h"

#include "bounds.h"
#include "layout_file.h"
#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Options that are another one's words. */
static const struct {
	const char *option, *name, *value;
} aliases[] = {
	{ "-n", "quarantine", "none" },	   { "--no-action", "quarantine", "none" },
	{ "-p", "quarantine", "fatal" },   { "--preen", "quarantine", "fatal" },
	{ "-y", "quarantine", "corrupt" }, { "--yes", "quarantine", "corrupt" },
	{ "-j", "jobs", NULL },
};

/* What the command line sets, in its order: it is applied when the file has been read. */
struct given {
	const struct setting *row;
	const char *option;
	char *value;
	bool alone;       /* no word was given with it */
};
static GArray *given;
static char *config_file; /* --config; NULL: the usual one */
static GString *carried;  /* command_carry() */

gboolean command_set(const gchar *option, const gchar *value, gpointer data, GError **error)
{
	const char *name = option + strspn(option, "-");
	gboolean no;
	struct given g = { .option = g_strdup(option), .alone = value == NULL };

	(void)data;
	for (size_t i = 0; i < G_N_ELEMENTS(aliases); i++)
		if (strcmp(aliases[i].option, option) == 0) {
			name = aliases[i].name;
			value = aliases[i].value != NULL ? aliases[i].value : value;
		}
	g.row = setting_of_option(name, &no);
	g.value = g_strdup(value != NULL ? value : no ? "no" : "yes");
	if (given == NULL)
		given = g_array_new(FALSE, FALSE, sizeof g);
	for (guint i = 0; i < given->len; i++)
		if (g_array_index(given, struct given, i).row == g.row &&
		    strcmp(name, "quarantine") == 0) {
			g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
				    "-n, -p, -y and --quarantine exclude each other");
			return FALSE;
		}
	g_array_append_val(given, g);
	return TRUE;
}

static void apply_given(struct settings *settings)
{
	for (guint i = 0; given != NULL && i < given->len; i++) {
		const struct given *g = &g_array_index(given, struct given, i);

		if (!setting_set(g->row, settings, g->value))
			exit(command_usage("%s %s: %s", g->option, g->value, setting_expects(g->row)));
		settings->exclude_given |= strcmp(setting_name(g->row), "exclude") == 0;
	}
}

/* --- What is to be typed next ----------------------------------------------------- */

static void append_option(GString *s, const char *option, const char *value)
{
	g_autofree char *quoted = value != NULL ? g_shell_quote(value) : NULL;

	g_string_append_printf(s, "%s%s%s ", option, value != NULL ? " " : "", value != NULL ? quoted : "");
}

void command_carry(const char *option, const char *value)
{
	if (carried == NULL)
		carried = g_string_new(NULL);
	append_option(carried, option, value);
}

char *command_carried(bool scan)
{
	static const char *const of_scan[] = { "deep", "exclude", "layout", "streams", "offline", NULL };
	GString *s = g_string_new(NULL);

	if (config_file != NULL)
		append_option(s, "--config", config_file);
	for (guint i = 0; given != NULL && i < given->len; i++) {
		const struct given *g = &g_array_index(given, struct given, i);

		if (strcmp(setting_name(g->row), "store") == 0 || (scan && g_strv_contains(of_scan, setting_name(g->row))))
			append_option(s, g->option, g->alone ? NULL : g->value);
	}
	if (scan && carried != NULL)
		g_string_append(s, carried->str);
	return g_string_free(s, FALSE);
}

/* --- The whole line --------------------------------------------------------------- */

/* Lanes that keep every core busy, within reason. */
static unsigned default_jobs(void)
{
	return CLAMP(g_get_num_processors(), 1, LANES_MAX);
}

/* The file that --config names, else the usual one, which need not be there. Exits when it is wrong. */
static void read_file(struct settings *settings, const char *file)
{
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
	int status = settings_read(settings, file != NULL ? file : SETTINGS_FILE, file != NULL, problems);

	for (guint i = 0; i < problems->len; i++)
		command_failed("%s", (const char *)problems->pdata[i]);
	if (status != 0)
		exit(status);
}

/* The description that --layout names. Exits when it is wrong. */
static void read_layout(struct settings *settings)
{
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);

	if (settings->layout_file == NULL || strcmp(settings->layout_file, "none") == 0)
		return;
	layout_read(settings->layout_file, &settings->layout, problems);
	for (guint i = 0; i < problems->len; i++)
		command_failed("%s", (const char *)problems->pdata[i]);
	if (problems->len > 0)
		exit(EXIT_FAILED);
}

/* --check-config, --print-config: what there is to say, and the end. */
static void show_settings(const struct settings *settings, gboolean print, gboolean quiet)
{
	if (print)
		settings_print(settings, stdout);
	else if (!quiet)
		printf("%s: %s\n", settings->file != NULL ? settings->file : SETTINGS_FILE,
		       settings->file != NULL ? "nothing is wrong" : "does not exist; defaults hold");
	exit(fflush(stdout) == 0 ? 0 : EXIT_FAILED);
}

static char **parse(char **argv, const char *summary, const GOptionEntry *own, gboolean configured,
		    struct common *common)
{
	static char *format;
	static gboolean quiet, all, no_cache, check, print;
	static const GOptionEntry entries[] = {
		{ "format", 0, 0, G_OPTION_ARG_STRING, &format, "Output for people or programs",
		  "text|json" },
		{ "quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet,
		  "Print only when there is something to say", NULL },
		{ "all", 0, 0, G_OPTION_ARG_NONE, &all, "Show messages without findings, too", NULL },
		{ "config", 0, 0, G_OPTION_ARG_FILENAME, &config_file,
		  "Configuration file (" SETTINGS_FILE ")", "FILE" },
		{ "check-config", 0, 0, G_OPTION_ARG_NONE, &check,
		  "Only say whether the configuration is sound", NULL },
		{ "print-config", 0, 0, G_OPTION_ARG_NONE, &print,
		  "Only print what holds, with these options", NULL },
		{ "no-cache", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_NONE, &no_cache, NULL, NULL },
		G_OPTION_ENTRY_NULL
	};
	GOptionContext *context = g_option_context_new(summary);
	char **words = g_strdupv(argv);
	static struct settings *settings; /* lives as long as the program */
	GError *error = NULL;

	settings = settings_new();
	g_option_context_add_main_entries(context, settings_options(FALSE, command_set, entries), NULL);
	if (own != NULL)
		g_option_context_add_main_entries(context, own, NULL);
	if (!g_option_context_parse_strv(context, &words, &error))
		exit(command_usage("%s", error->message));
	g_option_context_free(context);
	if (format != NULL && strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
		exit(command_usage("--format %s: text or json", format));
	if (configured)
		read_file(settings, config_file);
	apply_given(settings);
	read_layout(settings);
	log_use((unsigned)settings->facility);
	if (check || print)
		show_settings(settings, print, quiet);
	*common = (struct common){ .settings = settings, .store = settings->store,
				   .json = format != NULL && strcmp(format, "json") == 0,
				   .quiet = quiet, .all = all,
				   .jobs = settings->jobs > 0 ? (unsigned)settings->jobs : default_jobs() };
	g_free(words[0]);
	memmove(words, words + 1, g_strv_length(words) * sizeof *words);
	return words;
}

char **command_options(char **argv, const char *summary, const GOptionEntry *own,
		       struct common *common)
{
	return parse(argv, summary, own, TRUE, common);
}

char **command_options_only(char **argv, const char *summary, struct common *common)
{
	return parse(argv, summary, NULL, FALSE, common);
}

/* `spoolck --check-config` and its like, without a verb. */
int command_config(char **argv)
{
	struct common common;

	g_strfreev(command_options(argv, "- an fsck for mail spools",
				   settings_options(TRUE, command_set, NULL), &common));
	return command_usage("which verb? `spoolck scan` is the first to try");
}
