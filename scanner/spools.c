/* spools.c - which spools a run is about, and what the configuration says of them */
#include "config.h"

#include "spools.h"

#include "ask.h"
#include "scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- Mount points --------------------------------------------------------------- */

/* Something is mounted at `path`. Kernels before 5.8 do not say; there another device than the one above has to do. */
static bool is_mount_point(const char *path)
{
	g_autofree char *above = g_strconcat(path, "/..", NULL);
	struct statx sx;
	struct stat here, up;

	if (statx(AT_FDCWD, path, 0, STATX_TYPE, &sx) < 0)
		return false;
	if (sx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)
		return (sx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
	return stat(path, &here) == 0 && stat(above, &up) == 0 && here.st_dev != up.st_dev;
}

/* The directory that has to be a mount point for this spool to be there; NULL = none has. */
static const char *mount_point(const struct spool_settings *s)
{
	if (s->mounted == NULL || strcmp(s->mounted, "no") == 0)
		return NULL;
	return strcmp(s->mounted, "yes") == 0 ? s->path : s->mounted;
}

/* Has it to be mounted, and is not? Then with a sentence (g_free). */
static bool is_unmounted(const struct spool_settings *s, char **error_r)
{
	const char *point = s != NULL ? mount_point(s) : NULL;

	if (point == NULL || is_mount_point(point))
		return false;
	if (error_r != NULL)
		*error_r = g_strdup_printf("%s is not mounted", point);
	return true;
}

/* --- Sections ---------------------------------------------------------------------- */

static const struct spool_settings *by_name(const struct settings *settings, const char *word)
{
	for (guint i = 0; i < settings->spools->len; i++) {
		const struct spool_settings *s = settings->spools->pdata[i];

		if (strcmp(s->name, word) == 0)
			return s;
	}
	return NULL;
}

bool spools_is_away(const struct settings *settings, const char *name)
{
	return is_unmounted(by_name(settings, name), NULL);
}

/* By its path as it was named or as it really is. The paths of sections are only compared: another one may lie on
 * a mount that hangs. */
static const struct spool_settings *by_directory(const struct settings *settings, const char *path)
{
	char *real = realpath(path, NULL);
	const struct spool_settings *found = NULL;

	for (guint i = 0; i < settings->spools->len && found == NULL; i++) {
		const struct spool_settings *s = settings->spools->pdata[i];
		g_autofree char *plain = g_canonicalize_filename(s->path, "/");

		if (strcmp(plain, path) == 0 || g_strcmp0(plain, real) == 0)
			found = s;
	}
	free(real);
	return found;
}

/* The section that holds for a spool: its own, or that of the directory in which it lies beside others of its
 * server. */
static const struct spool_settings *section_of(const struct settings *settings, const struct spool *spool)
{
	const struct spool_settings *s = by_directory(settings, spool->path);
	g_autofree char *above = g_path_get_dirname(spool->path);

	return s != NULL || !spool->format->several_below ? s : by_directory(settings, above);
}

/* TYPE:PATH, or PATH, of a section (g_free). */
static char *typed_of(const struct spool_settings *s)
{
	return s->format != NULL ? g_strconcat(s->format, ":", s->path, NULL) : g_strdup(s->path);
}

/* The lists of the spool and of all spools in one, or only what the command line says. */
static char **excluded(const struct settings *settings, const struct spool_settings *s)
{
	GPtrArray *all = g_ptr_array_new();

	for (char **p = settings->exclude; p != NULL && *p != NULL; p++)
		g_ptr_array_add(all, g_strdup(*p));
	for (char **p = s != NULL && !settings->exclude_given ? s->exclude : NULL;
	     p != NULL && *p != NULL; p++)
		g_ptr_array_add(all, g_strdup(*p));
	g_ptr_array_add(all, NULL);
	return (char **)g_ptr_array_free(all, FALSE);
}

static void apply(const struct settings *settings, const struct spool_settings *s,
		  struct spool *spool)
{
	spool->exclude = excluded(settings, s);
	spool_set_streams(spool, settings->streams);
	if (settings->offline)
		spool_set_offline(spool);
	if (s == NULL)
		return;
	if (s->exclusive)
		spool->network = false;
	if (s->version != NULL)
		spool_set_version(spool, s->version);
}

void spools_apply(const struct settings *settings, struct spool *spool)
{
	apply(settings, section_of(settings, spool), spool);
}

/* The spool of a section, or `typed`, one of several. */
static struct spool *open_section(const struct settings *settings, const struct spool_settings *s,
				  const char *typed, char **error_r)
{
	struct spool *spool = spool_open(typed, error_r);

	if (spool != NULL)
		apply(settings, s, spool);
	return spool;
}

struct spool *spools_open_one(const struct settings *settings, const char *word, char **error_r)
{
	const struct spool_settings *named = by_name(settings, word), *s = named;
	g_autofree char *cwd = g_get_current_dir();
	g_autofree char *path = g_canonicalize_filename(word, cwd);
	struct spool *spool;

	if (s == NULL)
		s = by_directory(settings, path);
	if (is_unmounted(s, error_r))
		return NULL;
	if (named != NULL) {
		g_autofree char *typed = typed_of(named);

		return open_section(settings, named, typed, error_r);
	}
	spool = spool_open(word, error_r);
	if (spool == NULL)
		return NULL;
	s = section_of(settings, spool); /* now also of TYPE and TYPE:PATH */
	apply(settings, s, spool);
	if (is_unmounted(s, error_r))
		g_clear_pointer(&spool, spool_close);
	return spool;
}

/* One that lies in another spool: without a section of its own, that of the other one holds. */
static struct spool *open_inner(const struct settings *settings, const struct spool *outer,
				const char *typed)
{
	g_autofree char *error = NULL;
	struct spool *spool = spool_open(typed, &error);
	const struct spool_settings *s = spool != NULL ? by_directory(settings, spool->path) : NULL;

	if (spool != NULL)
		apply(settings, s != NULL ? s : by_directory(settings, outer->path), spool);
	return spool;
}

struct spool *spools_open_with(const struct settings *settings, const char *word, const char *id,
			       char **error_r)
{
	struct spool *spool = spools_open_one(settings, word, error_r);
	struct outcome *o = spool != NULL ? spool_locate(spool, id) : NULL;
	g_auto(GStrv) inner = spool != NULL && o == NULL ? spool_inner(spool) : NULL;

	outcome_free(o);
	for (char **in = inner; in != NULL && *in != NULL; in++) {
		struct spool *other = open_inner(settings, spool, *in);

		o = other != NULL ? spool_locate(other, id) : NULL;
		if (o != NULL) {
			outcome_free(o);
			spool_close(spool);
			return other;
		}
		spool_close(other);
	}
	return spool;
}

/* --- All of them --------------------------------------------------------------------- */

static bool is_among(const GPtrArray *spools, const char *path)
{
	struct stat a, b;

	for (guint i = 0; i < spools->len; i++)
		if (fstat(((const struct spool *)spools->pdata[i])->root, &a) == 0 &&
		    stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
			return true;
	return false;
}

/* With the spools inside of it; a section for one of those is a spool of its own already. */
static void add_with_inner(const struct settings *settings, GPtrArray *spools, struct spool *spool)
{
	g_auto(GStrv) inner = spool_inner(spool);

	g_ptr_array_add(spools, spool);
	for (char **in = inner; *in != NULL; in++) {
		const char *path;
		struct spool *other;

		spool_type(*in, &path);
		other = is_among(spools, path) ? NULL : open_inner(settings, spool, *in);
		if (other != NULL)
			g_ptr_array_add(spools, other);
	}
}

static void add(const struct settings *settings, GPtrArray *spools, const char *word,
		struct spool *spool, char *error, spools_told *told, void *arg)
{
	if (spool != NULL)
		add_with_inner(settings, spools, spool);
	else
		told(arg, word, error);
	g_free(error);
}

/* Is it the directory of a section that is not mounted now? What lies beneath is not its spool. */
static bool is_away(const struct settings *settings, const char *path)
{
	return is_unmounted(by_directory(settings, path), NULL);
}

/* All spools of a section: mostly one. */
static void add_section(const struct settings *settings, GPtrArray *spools, const struct spool_settings *s,
			spools_told *told, void *arg)
{
	g_autofree char *typed = typed_of(s);
	char *one[] = { typed, NULL };
	g_auto(GStrv) each = spool_expand_all(one);

	for (char **name = each; *name != NULL; name++) {
		char *error = NULL;
		struct spool *spool;
		const char *path;

		spool_type(*name, &path);
		if (is_among(spools, path)) /* inside of one before it */
			continue;
		spool = open_section(settings, s, *name, &error);
		add(settings, spools, strcmp(*name, typed) == 0 ? s->name : *name, spool, error, told, arg);
	}
}

static void add_all(const struct settings *settings, GPtrArray *spools, spools_told *told,
		    void *arg, unsigned *away_r)
{
	g_auto(GStrv) host = settings->discover ? spool_host() : NULL;

	for (guint i = 0; i < settings->spools->len; i++) {
		const struct spool_settings *s = settings->spools->pdata[i];

		if (is_unmounted(s, NULL))
			(*away_r)++;
		else
			add_section(settings, spools, s, told, arg);
	}
	for (char **name = host; name != NULL && *name != NULL; name++) {
		char *error = NULL;
		struct spool *spool;
		const char *path;

		spool_type(*name, &path);
		if (is_among(spools, path) || is_away(settings, path))
			continue;
		spool = spools_open_one(settings, *name, &error);
		add(settings, spools, *name, spool, error, told, arg);
	}
	if (host != NULL && ask_late() != NULL)
		told(arg, ask_late(), "does not answer; spools that only it knows may be missing");
}

/* The spools that a word stands for: mostly itself. */
static char **stands_for(const struct settings *settings, char *word)
{
	const struct spool_settings *named = by_name(settings, word);
	g_autofree char *typed = named != NULL ? typed_of(named) : g_strdup(word);
	g_autofree char *cwd = g_get_current_dir(), *whole = NULL;
	char *one[] = { word, NULL }, *meant[] = { typed, NULL };
	g_auto(GStrv) each = NULL;
	const char *path;

	spool_type(typed, &path);
	whole = g_canonicalize_filename(path, cwd);
	if (is_away(settings, whole))
		return g_strdupv(one);
	each = spool_expand_all(meant);
	/* by its own name, so that what cannot be opened is told under that */
	return g_strv_length(each) == 1 && strcmp(each[0], typed) == 0 ? g_strdupv(one) : g_steal_pointer(&each);
}

GPtrArray *spools_open(const struct settings *settings, char **words, spools_told *told, void *arg,
		       unsigned *away_r)
{
	GPtrArray *spools = g_ptr_array_new_with_free_func((GDestroyNotify)spool_close);

	*away_r = 0;
	if (*words == NULL)
		add_all(settings, spools, told, arg, away_r);
	for (; *words != NULL; words++) {
		g_auto(GStrv) each = stands_for(settings, *words);

		for (char **word = each; *word != NULL; word++) {
			char *error = NULL;
			struct spool *spool = spools_open_one(settings, *word, &error);

			add(settings, spools, *word, spool, error, told, arg);
		}
	}
	return spools;
}
