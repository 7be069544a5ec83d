/*
 * host.c - what this host's installations say of themselves
 *
 * Runs the commands and reads the files that a format names (struct source), and takes values
 * out of their lines. It opens directories, never a queue file. What a command prints is believed
 * as far as it names a directory that exists.
 */
#include "config.h"

#include "host.h"

#include "ask.h"

#define FORMATS_MAX 64

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- Values ------------------------------------------------------------------- */

/* What stands in `line` behind `before`: up to a blank or comma, or to the end when `before` is
 * empty. NULL when the line is another one. */
static char *value_in(const char *line, const char *before)
{
	const char *star = strchr(before, '*');
	size_t n = star != NULL ? (size_t)(star - before) : strlen(before);

	if (strncmp(line, before, n) != 0)
		return NULL;
	line += n;
	if (star != NULL) {
		line = strstr(line, star + 1);
		if (line == NULL)
			return NULL;
		line += strlen(star + 1);
	}
	n = *before == '\0' ? strlen(line) : strcspn(line, " \t,");
	return n > 0 ? g_strndup(line, n) : NULL;
}

/* All values of a source, in order. */
static GPtrArray *values_of(const struct source *source)
{
	GPtrArray *values = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *text = source->file != NULL ? ask_file(source->file)
						     : ask_all(source->command);
	g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

	for (char **line = lines; *line != NULL && values->len < ROOTS_MAX; line++) {
		char *value = value_in(g_strchomp(*line), source->before);

		if (value != NULL)
			g_ptr_array_add(values, value);
	}
	return values;
}

char *host_value(const struct source *source)
{
	GPtrArray *values = values_of(source);
	char *first = values->len > 0 ? g_strdup(values->pdata[0]) : NULL;

	g_ptr_array_free(values, TRUE);
	return first;
}

bool host_duration(const char *text, uint64_t *seconds_r)
{
	static const struct { char letter; uint64_t seconds; } units[] = {
		{ 'w', 604800 }, { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };
	uint64_t sum = 0;

	do {
		char *end;
		guint64 n = g_ascii_strtoull(text, &end, 10);
		unsigned i = 0;

		if (!g_ascii_isdigit(*text) || n > UINT32_MAX)
			return false;
		while (i < G_N_ELEMENTS(units) && units[i].letter != *end)
			i++;
		if (i == G_N_ELEMENTS(units) && *end != '\0')
			return false;
		sum += n * (i < G_N_ELEMENTS(units) ? units[i].seconds : 1);
		text = *end != '\0' ? end + 1 : end;
	} while (*text != '\0');
	*seconds_r = sum;
	return true;
}

/* --- Roots ---------------------------------------------------------------------- */

static bool same_directory(const char *path, const struct stat *st)
{
	struct stat other;

	return stat(path, &other) == 0 && other.st_ino == st->st_ino && other.st_dev == st->st_dev;
}

/* Add the directory, unless it is none or known already. */
static void add_root(GPtrArray *roots, const char *path)
{
	struct stat st;

	if (*path != '/' || roots->len >= ROOTS_MAX || stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return;
	for (guint i = 0; i < roots->len; i++)
		if (same_directory(roots->pdata[i], &st))
			return;
	g_ptr_array_add(roots, g_canonicalize_filename(path, "/"));
}

/* A path of a configuration, whose last name may hold wildcards. */
static void add_configured(GPtrArray *roots, const char *value, const char *below)
{
	g_autofree char *path = below != NULL ? g_build_filename(value, below, NULL) : g_strdup(value);
	const char *slash = strrchr(value, '/');
	glob_t found;

	if (strpbrk(value, "*?[") == NULL) {
		add_root(roots, path);
		return;
	}
	/* One directory is listed and no more: wildcards further up could take for ever. */
	if (*value != '/' || strcspn(value, "*?[") < (size_t)(slash - value) ||
	    glob(path, GLOB_ONLYDIR, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		add_root(roots, found.gl_pathv[i]);
	globfree(&found);
}

GPtrArray *host_look(const struct format *format, unsigned *configured_r)
{
	GPtrArray *roots = g_ptr_array_new_with_free_func(g_free);

	for (const struct source *s = format->sources;
	     s != NULL && (s->file != NULL || s->command != NULL); s++) {
		GPtrArray *values = values_of(s);

		for (guint i = 0; i < values->len; i++)
			add_configured(roots, values->pdata[i], s->below);
		g_ptr_array_free(values, TRUE);
	}
	*configured_r = roots->len;
	for (const char *const *p = format->default_roots; p != NULL && *p != NULL; p++)
		add_root(roots, *p);
	return roots;
}

/* The commands are run once per format. */
const GPtrArray *host_roots(unsigned index, unsigned *configured_r)
{
	static struct { GPtrArray *roots; unsigned configured; } known[FORMATS_MAX];

	g_assert(index < FORMATS_MAX);
	if (known[index].roots == NULL)
		known[index].roots = host_look(formats[index], &known[index].configured);
	*configured_r = known[index].configured;
	return known[index].roots;
}
