/*
 * roots.c - which spools there are: of this host, and in a directory
 *
 * Usual places and configuration files of each format; the files are read here, what a line
 * of them means is the format's business. Nothing is run.
 */
#include "config.h"

#include "spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_LINES_MAX 100000 /* a configuration of more lines is none */

/* Arguments for spool_open(), each directory once, whatever its names. */
struct roots {
	GPtrArray *args;
	GArray *seen; /* struct stat */
};

static void add_root(struct roots *r, const struct format *f, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return;
	for (guint i = 0; i < r->seen->len; i++) {
		const struct stat *other = &g_array_index(r->seen, struct stat, i);

		if (other->st_ino == st.st_ino && other->st_dev == st.st_dev)
			return;
	}
	g_array_append_val(r->seen, st);
	g_ptr_array_add(r->args, g_strconcat(f->name, ":", path, NULL));
}

static gint by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The paths of what lies in `dir` and has a name that begins with `prefix`, in order. */
static GPtrArray *entries(const char *dir, const char *prefix)
{
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && g_str_has_prefix(e->d_name, prefix))
			g_ptr_array_add(paths, g_build_filename(dir, e->d_name, NULL));
	if (d != NULL)
		closedir(d);
	g_ptr_array_sort(paths, by_name);
	return paths;
}

/* A path of the configuration. */
static void add_pattern(struct roots *r, const struct format *f, const char *path, size_t len)
{
	g_autofree char *whole = g_strndup(path, len);
	g_autofree char *dir = NULL, *prefix = NULL;
	GPtrArray *paths;

	if (len == 0 || whole[len - 1] != '*') {
		add_root(r, f, whole);
		return;
	}
	whole[len - 1] = '\0';
	dir = g_path_get_dirname(whole);
	prefix = g_strdup(strrchr(whole, '/') + 1);
	paths = entries(dir, prefix);
	for (guint i = 0; i < paths->len; i++)
		add_root(r, f, paths->pdata[i]);
	g_ptr_array_free(paths, TRUE);
}

static void read_config(struct roots *r, const struct format *f, const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	FILE *in = fd >= 0 ? fdopen(fd, "r") : NULL;
	char line[4096];

	for (unsigned n = 0; in != NULL && n < CONFIG_LINES_MAX && fgets(line, sizeof line, in); n++) {
		const char *path;
		size_t len;

		line[strcspn(line, "\n")] = '\0';
		len = f->config_root(line, &path);
		if (len > 0)
			add_pattern(r, f, path, len);
	}
	if (in != NULL)
		fclose(in);
	else if (fd >= 0)
		close(fd);
}

/* The format of what lies in this directory, or -1. */
static int detect_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK), index;

	if (fd < 0)
		return -1;
	index = spool_detect(fd);
	close(fd);
	return index;
}

static struct roots roots_new(void)
{
	return (struct roots){ g_ptr_array_new(), g_array_new(FALSE, FALSE, sizeof(struct stat)) };
}

static char **roots_end(struct roots *r)
{
	g_array_free(r->seen, TRUE);
	g_ptr_array_add(r->args, NULL);
	return (char **)g_ptr_array_free(r->args, FALSE);
}

/* The spools that lie in `path`, a directory that is none; of any format when `type` is -1. */
static void add_below(struct roots *r, const char *path, int type)
{
	GPtrArray *paths = entries(path, "");

	for (guint i = 0; i < paths->len; i++) {
		int index = detect_path(paths->pdata[i]);

		if (index >= 0 && (type < 0 || index == type) && formats[index]->several_below)
			add_root(r, formats[index], paths->pdata[i]);
	}
	g_ptr_array_free(paths, TRUE);
}

static void add_default(struct roots *r, int type, const char *path)
{
	int index = detect_path(path);

	if (index == type)
		add_root(r, formats[type], path);
	else if (index < 0 && formats[type]->several_below)
		add_below(r, path, type);
}

bool spool_is_at(const char *path, unsigned index)
{
	struct roots r = roots_new();
	char **found;
	bool yes;

	add_default(&r, (int)index, path);
	found = roots_end(&r);
	yes = found[0] != NULL;
	g_strfreev(found);
	return yes;
}

char **spool_host(void)
{
	struct roots r = roots_new();

	for (int i = 0; formats[i] != NULL; i++) {
		const struct format *f = formats[i];

		for (const char *const *p = f->default_roots; p != NULL && *p != NULL; p++)
			add_default(&r, i, *p);
		for (const char *const *p = f->config_files; p != NULL && *p != NULL; p++)
			read_config(&r, f, *p);
	}
	return roots_end(&r);
}

/* The spools that `arg` stands for: itself, or those that lie in a directory that is none. */
static void expand(struct roots *r, const char *arg)
{
	const char *path;
	int type = spool_type(arg, &path);
	guint before = r->args->len;

	if (detect_path(path) < 0)
		add_below(r, path, type);
	if (r->args->len == before)
		g_ptr_array_add(r->args, g_strdup(arg));
}

char **spool_expand_all(char *const *args)
{
	struct roots r = roots_new();

	for (; *args != NULL; args++)
		expand(&r, *args);
	return roots_end(&r);
}
