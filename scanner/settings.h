/*
 * settings.h - what the operator has set: configuration file first, then the command line
 *
 * Each option has one row in settings.c, which names it (the same in the file and behind "--"), says what it
 * takes, and has its default and its limits. Whoever sets it goes through setting_set(), so a value is right
 * or wrong for the same reason wherever it stands; spoolck.conf(5) describes them.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "layout.h"
#include "retention.h"
#include "severity.h"

#include <glib.h>
#include <stdio.h>

#define SETTINGS_FILE "/etc/spoolck/spoolck.conf"

/* One [spool NAME] of the file. Texts are NULL where nothing is set. */
struct spool_settings {
	char *name, *path, *format;
	char *mounted;          /* "yes": the path itself; else the directory that has to be a mount point */
	gint64 exclusive;       /* no other host uses it, although its file system is shared */
	char **exclude;
	char *version;          /* of its server */
	unsigned line;          /* in the file */
};

struct settings {
	char *file;             /* that was read; NULL: none */
	/* [scan] */
	gint64 policy;          /* enum policy */
	gint64 unattended, fail_on_suspect, discover, deep;
	gint64 budget;          /* µs, 0 = none */
	gint64 max_move;        /* 0 = as the brake says, -1 = without any brake */
	gint64 jobs;            /* 0 = as many as there are cores */
	char **exclude;         /* paths below a spool's root, of every spool */
	char **streams;         /* names of streams that hold properties */
	gint64 offline;         /* servers that nobody sees from here are stopped */
	char **mail_log;        /* auto, none, journal, paths of logs */
	char *layout_file;      /* spoolck-layout(5); NULL: none */
	struct layout layout;   /* what it says; entry_size 0 = nothing */
	gboolean exclude_given; /* on the command line: those of the file do not count */
	/* [quarantine] */
	char *store;
	struct retention retention;
	gint64 accept;          /* µs that an acceptance lasts, 0 = for ever */
	/* [log] */
	gint64 facility;        /* index for log_use() */
	/* [severity], [spool NAME] */
	struct severity_rules severities;
	GPtrArray *spools;      /* struct spool_settings */
};

struct setting; /* a row */

/* The defaults. They live until the program ends. */
struct settings *settings_new(void);
struct spool_settings *settings_add_spool(struct settings *settings, const char *name);

/* The row of `name` in the section "scan", "quarantine", "log" or "spool"; NULL: there is none. */
const struct setting *setting_find(const char *section, const char *name);
/* The row that the command line calls `name`, and whether it says "no" ("--no-unattended"). */
const struct setting *setting_of_option(const char *name, gboolean *no_r);

/* Set a row of `base`, a struct spool_settings for "spool", else the settings. False when `text` is nothing
 * that it takes; setting_expects() then says what it does take. */
gboolean setting_set(const struct setting *row, void *base, const char *text);
const char *setting_expects(const struct setting *row);

/* The row's value as it would stand in the file (g_free); NULL: nothing is set. */
char *setting_get(const struct setting *row, const void *base);

/* All sections of the file in order, and the rows of one, in a vector ended by NULL. For suggestions, for
 * printing. */
const char *const *settings_sections(void);
const char *setting_name(const struct setting *row);
const struct setting *const *settings_rows(const char *section);

/* Options of the command line for the rows that every verb has and, with `scan`, those of a scan; `more` behind
 * them (may be NULL). Each calls `set` with its name and word. The vector lives until the program ends. */
const GOptionEntry *settings_options(gboolean scan, GOptionArgFunc set, const GOptionEntry *more);

/* --- settings_file.c --- */

/* Read the file into the settings. Problems (sentences with file and line, what to do) are added to
 * `problems` (char *). 0, EXIT_FAILED when it cannot be read or must not be trusted, EXIT_USAGE when it
 * says what makes no sense. A file that does not exist is 0 unless it is `required`. */
int settings_read(struct settings *settings, const char *file, gboolean required,
		  GPtrArray *problems);

/* Everything that is set, defaults included, in a form that settings_read() takes. */
void settings_print(const struct settings *settings, FILE *to);

#endif
