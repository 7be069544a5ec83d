/*
 * roots.c - which spools there are: of this host, and in a directory that holds several
 *
 * Several queue directories of one Sendmail are several spools, mostly side by side in one
 * directory (/var/spool/mqueue/q1, q2, ...). That directory stands for all of them.
 */
#include "config.h"

#include "spool.h"

#include "host.h"
#include "spool_volume.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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

static gint by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Add the spools that lie in `path`, a directory that is none; of any format when `type` is -1. By name. */
static void add_below(GPtrArray *found, const char *path, int type)
{
	GDir *dir = g_dir_open(path, 0, NULL);
	GPtrArray *names = g_ptr_array_new();
	const char *name;

	while (dir != NULL && names->len < ROOTS_MAX && (name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *whole = g_build_filename(path, name, NULL);
		int index = name[0] != '.' ? detect_path(whole) : -1;

		if (index >= 0 && (type < 0 || index == type) && formats[index]->several_below)
			g_ptr_array_add(names, g_strconcat(formats[index]->name, ":", whole, NULL));
	}
	if (dir != NULL)
		g_dir_close(dir);
	g_ptr_array_sort(names, by_name);
	for (guint i = 0; i < names->len; i++)
		g_ptr_array_add(found, names->pdata[i]);
	g_ptr_array_free(names, TRUE);
}

/* Add the spool at a usual place of the format, or those below it. */
static void add_usual(GPtrArray *found, const char *path, unsigned index)
{
	int is = detect_path(path);

	if (is == (int)index)
		g_ptr_array_add(found, g_strconcat(formats[index]->name, ":", path, NULL));
	else if (is < 0 && formats[index]->several_below)
		add_below(found, path, (int)index);
}

bool spool_is_at(const char *path, unsigned index)
{
	GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
	bool yes;

	add_usual(found, path, index);
	yes = found->len > 0;
	g_ptr_array_free(found, TRUE);
	return yes;
}

char **spool_host(void)
{
	GPtrArray *found = g_ptr_array_new();

	for (unsigned i = 0; formats[i] != NULL; i++) {
		unsigned configured;
		const GPtrArray *roots = host_roots(i, &configured);

		for (guint k = 0; k < roots->len; k++) {
			if (k < configured)
				g_ptr_array_add(found, g_strconcat(formats[i]->name, ":",
								   roots->pdata[k], NULL));
			else
				add_usual(found, roots->pdata[k], i);
		}
	}
	g_ptr_array_add(found, NULL);
	return (char **)g_ptr_array_free(found, FALSE);
}

char **spool_expand_all(char *const *args)
{
	GPtrArray *found = g_ptr_array_new();

	for (; *args != NULL; args++) {
		const char *path;
		int type = spool_type(*args, &path);
		guint before = found->len;

		if (spool_volume_is(path))
			spool_volume_expand(found, path, type);
		else if (detect_path(path) < 0)
			add_below(found, path, type);
		if (found->len == before)
			g_ptr_array_add(found, g_strdup(*args));
	}
	g_ptr_array_add(found, NULL);
	return (char **)g_ptr_array_free(found, FALSE);
}
