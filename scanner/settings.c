/*
 * settings.c - every option, once: name, what it takes, default, limits
 *
 * A row's value is a number (also for a word or a yes), a text or a list, kept at `at` in struct
 * settings, or in struct spool_settings for rows of [spool NAME].
 */
#include "config.h"

#include "settings.h"

#include "bounds.h"
#include "log.h"
#include "spool.h"
#include "units.h"

#include <stddef.h>
#include <string.h>

enum kind {
	KIND_WORD,   /* one of `words`; its number is kept */
	KIND_BOOL,
	KIND_NUMBER,
	KIND_TIME,   /* µs */
	KIND_SIZE,   /* bytes */
	KIND_TEXT,
	KIND_LIST,   /* texts with ';' between them */
};

/* Where a row may be set besides the file. */
enum { FILE_ONLY, OPTION_OF_ALL, OPTION_OF_SCAN };

struct setting {
	const char *section, *name;
	enum kind kind;
	unsigned char where;
	gboolean unit;              /* a time or size needs its unit: what it limits is mail */
	size_t at;
	const char *fallback;       /* the default, as it would stand in the file */
	const char *const *words;   /* of KIND_WORD; for numbers what stands for 0, -1, ... */
	gint64 min, max;
	gboolean (*valid)(const char *text); /* of KIND_TEXT */
	const char *expects;        /* what it takes, for "NAME VALUE: ..." */
	const char *arg, *help;     /* of the command line */
};

/* --- What texts may be ---------------------------------------------------------- */

static gboolean is_absolute(const char *text)
{
	return *text == '/';
}

static gboolean is_mounted(const char *text)
{
	return is_absolute(text) || strcmp(text, "yes") == 0 || strcmp(text, "no") == 0;
}

static gboolean is_format(const char *text)
{
	return format_by_name(text, strlen(text)) >= 0;
}

static gboolean is_version(const char *text)
{
	struct spool spool = { .version = NULL };
	gboolean ok = spool_set_version(&spool, text);

	g_free(spool.version);
	return ok;
}

/* A path below a spool's root, which may hold wildcards. */
static gboolean is_below(const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, "/", -1);

	for (char **part = parts; *part != NULL; part++)
		if (**part == '\0' || strcmp(*part, ".") == 0 || strcmp(*part, "..") == 0)
			return FALSE;
	return *text != '\0';
}

/* --- The table -------------------------------------------------------------------- */

static const char *const yes_no[] = { "no", "yes", "false", "true", NULL };
static const char *const policies[] = { "none", "fatal", "corrupt", NULL };
static const char *const fail_on[] = { "corrupt", "suspect", NULL };
static const char *const none[] = { "none", NULL };
static const char *const never[] = { "never", NULL };
static const char *const automatic[] = { "auto", NULL };
static const char *const auto_none[] = { "auto", "none", NULL };

#define AT(field) .at = offsetof(struct settings, field)
#define AT_SPOOL(field) .at = offsetof(struct spool_settings, field)

static const struct setting rows[] = {
	{ "scan", "quarantine", KIND_WORD, OPTION_OF_SCAN, AT(policy), .fallback = "none",
	  .words = policies, .expects = "none, fatal or corrupt", .arg = "none|fatal|corrupt",
	  .help = "The same as -n, -p, -y" },
	{ "scan", "budget", KIND_TIME, OPTION_OF_SCAN, AT(budget), .fallback = "none", .words = none,
	  .min = 1, .max = G_MAXINT64, .expects = "a time such as 30s, 5m or 2h, or none",
	  .arg = "TIME", .help = "Stop looking after this time" },
	{ "scan", "max-move", KIND_NUMBER, OPTION_OF_SCAN, AT(max_move), .fallback = "auto",
	  .words = auto_none, .min = 1, .max = G_MAXINT, .expects = "a number from 1, auto or none",
	  .arg = "N|none", .help = "Move at most N messages; none: without any brake" },
	{ "scan", "unattended", KIND_BOOL, OPTION_OF_SCAN, AT(unattended), .fallback = "no",
	  .words = yes_no, .expects = "yes or no",
	  .help = "Nobody watches: smaller brake, only tested server versions" },
	{ "scan", "fail-on", KIND_WORD, OPTION_OF_SCAN, AT(fail_on_suspect), .fallback = "corrupt",
	  .words = fail_on, .expects = "corrupt or suspect", .arg = "corrupt|suspect",
	  .help = "What sets exit bit 4 (corrupt)" },
	{ "scan", "deep", KIND_BOOL, OPTION_OF_SCAN, AT(deep), .fallback = "no", .words = yes_no,
	  .expects = "yes or no", .help = "Look inside of messages, too: header, MIME parts, encodings" },
	{ "scan", "exclude", KIND_LIST, OPTION_OF_SCAN, AT(exclude), .valid = is_below,
	  .expects = "paths below a spool's directory, with ';' between them, such as hold;deferred/A",
	  .arg = "PATH[;PATH...]", .help = "Do not look at these paths of a spool" },
	{ "scan", "discover", KIND_BOOL, FILE_ONLY, AT(discover), .fallback = "yes", .words = yes_no,
	  .expects = "yes or no" },
	{ "scan", "jobs", KIND_NUMBER, OPTION_OF_ALL, AT(jobs), .fallback = "auto",
	  .words = automatic, .min = 1, .max = LANES_MAX,
	  .expects = "a number from 1 to " G_STRINGIFY(LANES_MAX) ", or auto", .arg = "N",
	  .help = "Readers and workers (one per core)" },

	{ "quarantine", "store", KIND_TEXT, OPTION_OF_ALL, AT(store),
	  .fallback = "/var/spool/spoolck", .valid = is_absolute,
	  .expects = "an absolute path is needed", .arg = "DIR",
	  .help = "Quarantine directory (/var/spool/spoolck)" },
	{ "quarantine", "retain", KIND_TIME, FILE_ONLY, AT(retention.retain), .fallback = "never",
	  .unit = TRUE, .words = never, .min = RETENTION_MIN, .max = G_MAXINT64,
	  .expects = "a time from 1d, such as 90d, or never" },
	{ "quarantine", "max-size", KIND_SIZE, FILE_ONLY, AT(retention.max_size),
	  .fallback = "none", .unit = TRUE, .words = none, .min = 1 << 20, .max = G_MAXINT64,
	  .expects = "a size from 1M, such as 500M or 10G, or none" },
	{ "quarantine", "accept", KIND_TIME, FILE_ONLY, AT(accept), .fallback = "180d",
	  .unit = TRUE, .words = never, .min = 1, .max = G_MAXINT64,
	  .expects = "a time such as 30d, or never" },

	{ "log", "facility", KIND_WORD, FILE_ONLY, AT(facility), .fallback = "mail",
	  .words = log_facilities,
	  .expects = "mail, daemon, user, authpriv, local0 to local7, or none" },

	{ "spool", "path", KIND_TEXT, FILE_ONLY, AT_SPOOL(path), .valid = is_absolute,
	  .expects = "an absolute path is needed" },
	{ "spool", "format", KIND_TEXT, FILE_ONLY, AT_SPOOL(format), .valid = is_format,
	  .expects = "a server that is known here, such as postfix" },
	{ "spool", "mounted", KIND_TEXT, FILE_ONLY, AT_SPOOL(mounted), .valid = is_mounted,
	  .expects = "yes, no, or the absolute path of a mount point" },
	{ "spool", "exclusive", KIND_BOOL, FILE_ONLY, AT_SPOOL(exclusive), .fallback = "no",
	  .words = yes_no, .expects = "yes or no" },
	{ "spool", "exclude", KIND_LIST, FILE_ONLY, AT_SPOOL(exclude), .valid = is_below,
	  .expects = "paths below the spool's directory, with ';' between them" },
	{ "spool", "server-version", KIND_TEXT, FILE_ONLY, AT_SPOOL(version), .valid = is_version,
	  .expects = "a version such as 3.7.11" },
};

/* [severity] has no rows: its names are those of the findings. */
static const char *const sections[] = { "scan", "quarantine", "log", "severity", "spool", NULL };

const char *const *settings_sections(void)
{
	return sections;
}

const char *setting_name(const struct setting *row)
{
	return row->name;
}

const char *setting_expects(const struct setting *row)
{
	return row->expects;
}

const struct setting *const *settings_rows(const char *section)
{
	static const struct setting *found[G_N_ELEMENTS(rows) + 1];
	size_t n = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (strcmp(rows[i].section, section) == 0)
			found[n++] = &rows[i];
	found[n] = NULL;
	return found;
}

const struct setting *setting_find(const char *section, const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (strcmp(rows[i].section, section) == 0 && strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

/* --- Values -------------------------------------------------------------------------- */

static int word_index(const char *const *words, const char *text)
{
	for (int i = 0; words != NULL && words[i] != NULL; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	return -1;
}

static gboolean to_number(const struct setting *row, const char *text, gint64 *number_r)
{
	int word = word_index(row->words, text);

	switch (row->kind) {
	case KIND_WORD:
		*number_r = word;
		return word >= 0;
	case KIND_BOOL:
		*number_r = word & 1;
		return word >= 0;
	case KIND_TIME:
		*number_r = units_time(text);
		break;
	case KIND_SIZE:
		*number_r = units_size(text);
		break;
	default:
		if (!g_ascii_string_to_signed(text, 10, G_MININT64, G_MAXINT64, number_r, NULL))
			*number_r = row->min - 1;
	}
	if (word >= 0) {
		*number_r = -word;
		return TRUE;
	}
	return *number_r >= row->min && *number_r <= row->max &&
	       (!row->unit || units_has_unit(text));
}

static gboolean to_list(const struct setting *row, const char *text, char ***list_r)
{
	g_auto(GStrv) parts = g_strsplit(text, ";", -1);
	GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
	gboolean ok = TRUE;

	for (char **part = parts; *part != NULL; part++) {
		g_strstrip(*part);
		if (**part == '\0')
			continue;
		ok = ok && row->valid(*part);
		g_ptr_array_add(list, g_strdup(*part));
	}
	g_ptr_array_add(list, NULL);
	if (ok) {
		g_strfreev(*list_r);
		*list_r = (char **)g_ptr_array_free(list, FALSE);
	} else {
		g_ptr_array_free(list, TRUE);
	}
	return ok;
}

gboolean setting_set(const struct setting *row, void *base, const char *text)
{
	void *at = (char *)base + row->at;
	gint64 number;
	char **slot = at;

	if (row->kind == KIND_LIST)
		return to_list(row, text, at);
	if (row->kind == KIND_TEXT) {
		if (!row->valid(text))
			return FALSE;
		g_free(*slot);
		*slot = g_strdup(text);
		return TRUE;
	}
	if (!to_number(row, text, &number))
		return FALSE;
	*(gint64 *)at = number;
	return TRUE;
}

char *setting_get(const struct setting *row, const void *base)
{
	const void *at = (const char *)base + row->at;
	gint64 number = row->kind < KIND_TEXT ? *(const gint64 *)at : 0;

	switch (row->kind) {
	case KIND_TEXT:
		return g_strdup(*(char *const *)at);
	case KIND_LIST:
		return *(char **const *)at != NULL ? g_strjoinv(";", *(char **const *)at) : NULL;
	case KIND_WORD:
	case KIND_BOOL:
		return g_strdup(row->words[number]);
	default:
		break;
	}
	if (number <= 0)
		return g_strdup(row->words[-number]);
	return row->kind == KIND_TIME ? units_time_text(number) :
	       row->kind == KIND_SIZE ? units_size_text(number) :
	       g_strdup_printf("%" G_GINT64_FORMAT, number);
}

static void set_defaults(const char *section, void *base)
{
	const struct setting *const *of = settings_rows(section);

	for (; *of != NULL; of++)
		if ((*of)->fallback != NULL && !setting_set(*of, base, (*of)->fallback))
			g_error("the default of %s is none", (*of)->name);
}

struct settings *settings_new(void)
{
	struct settings *s = g_new0(struct settings, 1);

	s->spools = g_ptr_array_new();
	set_defaults("scan", s);
	set_defaults("quarantine", s);
	set_defaults("log", s);
	return s;
}

struct spool_settings *settings_add_spool(struct settings *settings, const char *name)
{
	struct spool_settings *spool = g_new0(struct spool_settings, 1);

	spool->name = g_strdup(name);
	set_defaults("spool", spool);
	g_ptr_array_add(settings->spools, spool);
	return spool;
}

/* --- The command line --------------------------------------------------------------------- */

#define NO "no-"

const struct setting *setting_of_option(const char *name, gboolean *no_r)
{
	*no_r = g_str_has_prefix(name, NO);
	if (*no_r)
		name += strlen(NO);
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (rows[i].where != FILE_ONLY && strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

static void add_option(GArray *entries, const struct setting *row, GOptionArgFunc set, gboolean no)
{
	GOptionEntry e = { .long_name = no ? g_strconcat(NO, row->name, NULL) : row->name,
			   .arg = G_OPTION_ARG_CALLBACK, .arg_data = (gpointer)(guintptr)set,
			   .description = row->help, .arg_description = row->arg };

	if (row->kind == KIND_BOOL)
		e.flags = G_OPTION_FLAG_NO_ARG | (no ? G_OPTION_FLAG_HIDDEN : 0);
	if (row->kind == KIND_TEXT || row->kind == KIND_LIST)
		e.flags = G_OPTION_FLAG_FILENAME; /* bytes, whatever the locale says */
	if (strcmp(row->name, "jobs") == 0)
		e.short_name = 'j';
	g_array_append_val(entries, e);
}

const GOptionEntry *settings_options(gboolean scan, GOptionArgFunc set, const GOptionEntry *more)
{
	static const GOptionEntry end = G_OPTION_ENTRY_NULL;
	static GOptionEntry *made[2];
	GArray *entries = g_array_new(FALSE, FALSE, sizeof(GOptionEntry));

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		if (rows[i].where != (scan ? OPTION_OF_SCAN : OPTION_OF_ALL))
			continue;
		add_option(entries, &rows[i], set, FALSE);
		if (rows[i].kind == KIND_BOOL)
			add_option(entries, &rows[i], set, TRUE);
	}
	for (; more != NULL && more->long_name != NULL; more++)
		g_array_append_val(entries, *more);
	g_array_append_val(entries, end);
	made[scan ? 1 : 0] = (GOptionEntry *)(void *)g_array_free(entries, FALSE);
	return made[scan ? 1 : 0];
}
