/*
 * command.h - the verbs of the command line and what they share
 */
#ifndef COMMAND_H
#define COMMAND_H

#include "scan.h"
#include "settings.h"

/* Options that every verb understands, after parsing. */
struct common {
	struct settings *settings;
	const char *store;    /* of the settings: absolute path */
	bool json, quiet, all;
	unsigned jobs;        /* lanes */
};

/* Each verb gets the words behind it, NULL-terminated, argv[0] being the verb, and
 * returns the exit status. */
int command_scan(char **argv);
int command_prestart(char **argv);
int command_explain(char **argv);
int command_quarantine(char **argv);
int command_spools(char **argv);
int command_findings(char **argv);
int command_learn(char **argv);

/* Parse `argv` with the common options and `own` (GOptionEntry[] or NULL). Returns what is not
 * an option (g_strfreev), argv[0] left out; on an error or --help it says so and exits. */
char **command_options(char **argv, const char *summary, const GOptionEntry *own,
		       struct common *common);

/* The same for a verb that no configuration concerns: the file is not read. */
char **command_options_only(char **argv, const char *summary, struct common *common);

/* For the entries of options that are rows of the settings (settings_options()), or -n, -p, -y: remembers the
 * word until the file has been read. */
gboolean command_set(const gchar *option, const gchar *value, gpointer data, GError **error);

/* --check-config, --print-config without a verb. */
int command_config(char **argv);

/* What the settings say of a scan. */
struct scan_options command_scan_options(const struct common *common);

/* The options of this command line that a command to be typed next needs as well, quoted for a shell, each with a blank behind
 * it (g_free): "--deep --store '/srv/q' ". `scan`: that command is a scan; else it needs configuration and store. What is
 * no setting (--server-version) is taken in by command_carry(). */
char *command_carried(bool scan);
void command_carry(const char *option, const char *value);

/* Examine the spools `names` (none: those of configuration and host) and report; the exit status. `zygote`
 * of the options is filled in here. */
int command_scan_spools(char **names, struct scan_options opt, const struct common *common);

/* Descriptors 0 to 2 that are closed would be given to the first thing we open, and the
 * report written into it. What stands in for them takes no output. */
void command_open_standard(void);

/* Wrong words on the command line: a sentence on standard error; EXIT_USAGE. */
int command_usage(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* Something failed: a sentence on standard error, escaped; EXIT_FAILED. */
int command_failed(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* From now on each such sentence is handed to `heed`, too, unescaped. */
void command_heed_failures(void (*heed)(const char *sentence));

/* Start the zygote and prove that a worker can be had; exits with EXIT_FAILED and a sentence
 * when not: there is no way to go on without the sandbox. `deep`: for --deep. */
int command_zygote(bool deep);

#endif
