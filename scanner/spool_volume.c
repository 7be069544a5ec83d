/*
 * spool_volume.c - which folders of which volumes of a disk are spools
 *
 * A word on the command line is cut into image, offset and folder; what is not said is looked for. The image is
 * opened for reading only and nothing here ever writes. A volume that somebody has mounted to write is refused:
 * what is read beside a mount is half old and half new, and looks like damage.
 */
#include "config.h"

#include "spool_volume.h"

#include "reach_volume.h"
#include "volume_search.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_MAX 4096

static int zygote = -1;

void spool_volume_zygote(int z)
{
	zygote = z;
}

/* --- Words ------------------------------------------------------------------------- */

struct word {
	char *image;      /* absolute */
	char *below;      /* folder on the volume, "" = none was named */
	bool given;       /* the offset was */
	uint64_t off;
};

static void word_clear(struct word *w)
{
	g_free(w->image);
	g_free(w->below);
}

static bool is_image(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
}

/* The image that `path` is, maybe with an offset behind it. */
static bool image_of(const char *path, struct word *w)
{
	const char *at = strrchr(path, '@');
	char *end;

	if (is_image(path)) {
		w->image = g_strdup(path);
		return true;
	}
	if (at == NULL || !g_ascii_isdigit(at[1]))
		return false;
	w->image = g_strndup(path, (gsize)(at - path));
	errno = 0;
	w->off = strtoull(at + 1, &end, 10);
	w->given = true;
	if (errno == 0 && *end == '\0' && w->off <= INT64_MAX && is_image(w->image))
		return true;
	g_clear_pointer(&w->image, g_free);
	return false;
}

/* The shortest beginning of the path that is no directory decides. */
static bool word_parse(const char *path, struct word *w)
{
	g_autofree char *cwd = g_get_current_dir();
	g_autofree char *whole = g_canonicalize_filename(path, cwd);

	*w = (struct word){ 0 };
	for (char *slash = strchr(whole + 1, '/');; slash = strchr(slash + 1, '/')) {
		g_autofree char *head = slash != NULL ? g_strndup(whole, (gsize)(slash - whole)) :
						       g_strdup(whole);

		if (image_of(head, w)) {
			w->below = g_strdup(slash != NULL ? slash + 1 : "");
			return true;
		}
		if (slash == NULL || !g_file_test(head, G_FILE_TEST_IS_DIR))
			return false;
	}
}

bool spool_volume_is(const char *path)
{
	struct word w;
	bool yes = word_parse(path, &w);

	word_clear(&w);
	return yes;
}

/* --- Opening ---------------------------------------------------------------------------- */

struct disk {
	int fd;
	struct volume *volume;
	struct volume_table table;
};

static int image_size(int fd, const struct stat *st, uint64_t *size_r)
{
	*size_r = (uint64_t)st->st_size;
	if (S_ISBLK(st->st_mode) && ioctl(fd, BLKGETSIZE64, size_r) < 0)
		return -errno;
	return *size_r > INT64_MAX ? -EFBIG : 0;
}

static char *open_error(const struct word *w, struct disk *d)
{
	g_autofree char *where = NULL;
	struct stat st;
	uint64_t size;
	int ret;

	d->fd = open(w->image, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (d->fd < 0 || fstat(d->fd, &st) < 0)
		return g_strdup_printf("cannot open: %s", g_strerror(errno));
	where = volume_mounted_at(&st);
	if (where != NULL)
		return g_strdup_printf("is mounted at %s for writing, and what is read beside a mount looks like damage; "
				       "scan the folder there, or unmount it", where);
	ret = image_size(d->fd, &st, &size);
	if (ret == 0 && zygote < 0)
		return g_strdup("is no directory, and volumes that are not mounted are only looked at");
	if (ret == 0) {
		d->volume = volume_new(zygote, d->fd, size);
		ret = volume_table(d->volume, &d->table);
	}
	if (ret < 0)
		return g_strdup_printf("cannot read the disk: %s", volume_error(-ret));
	if (w->given) { /* whatever the table says */
		d->table.container = CONTAINER_NONE;
		d->table.count = 0;
		if (w->off >= size)
			return g_strdup_printf("the offset lies behind the end, at %" PRIu64, size);
		d->table.volumes[d->table.count++] = (struct volume_partition){ 0, w->off, size - w->off, false };
	}
	return NULL;
}

static void disk_close(struct disk *d)
{
	volume_free(d->volume);
	if (d->fd >= 0)
		close(d->fd);
}

static char *container_error(const struct word *w, enum volume_container c)
{
	g_auto(GStrv) parts = g_strsplit(volume_container_help(c), "FILE", -1);
	g_autofree char *base = g_path_get_basename(w->image);
	g_autofree char *help = g_strjoinv(base, parts);

	return g_strdup_printf("is a %s, which is not read; make a plain image of it first: %s",
			       volume_container_name(c), help);
}

/* Why none of the disk's volumes can be opened, or which one is meant (*which). */
static char *choose(const struct word *w, const struct disk *d, unsigned *which)
{
	g_autoptr(GString) several = g_string_new(NULL);
	unsigned ntfs = 0;

	if (d->table.container != CONTAINER_NONE)
		return container_error(w, d->table.container);
	for (unsigned i = 0; i < d->table.count; i++) {
		if (d->table.volumes[i].bitlocker)
			continue;
		*which = i;
		ntfs++;
		g_string_append_printf(several, "%s%s@%" PRIu64, ntfs > 1 ? ", " : "", w->image,
				       d->table.volumes[i].off);
	}
	if (ntfs == 0 && d->table.count > 0)
		return container_error(w, CONTAINER_BITLOCKER);
	if (ntfs == 0)
		return g_strdup("is no directory, and no disk or image with an NTFS volume");
	if (ntfs > 1)
		return g_strdup_printf("has several NTFS volumes; say which: %s", several->str);
	return NULL;
}

static const char *doubt(const struct volume_facts *f)
{
	if (f->hibernated)
		return "Windows sleeps on this volume (hiberfil.sys) and has not written all it knows";
	if (f->flags & VOLUME_DIRTY)
		return "the volume is marked as not clean: chkdsk has to look at it first";
	if (f->log != VOLUME_LOG_CLEAN)
		return "the volume was not unmounted cleanly: what stands in its $LogFile has not been applied";
	return NULL;
}

/* The path as it is printed, and as it can be given again. */
static char *path_of(const struct word *w, const struct volume_partition *p)
{
	bool offset = w->given || p->number > 0;
	g_autofree char *at = offset ? g_strdup_printf("@%" PRIu64, p->off) : g_strdup("");

	return g_strconcat(w->image, at, w->below[0] != '\0' ? "/" : "", w->below, NULL);
}

static char *open_one(struct spool *spool, const struct word *w, struct disk *d)
{
	struct volume_facts facts;
	struct volume_entry e;
	unsigned which = 0;
	char *error = choose(w, d, &which);
	const struct volume_partition *p = &d->table.volumes[which];
	int ret;

	if (error != NULL)
		return error;
	ret = volume_open(d->volume, p->off, p->size, &facts);
	if (ret < 0)
		return g_strdup_printf("cannot open the NTFS volume at byte %" PRIu64 ": %s", p->off,
				       volume_error(-ret));
	ret = volume_find(d->volume, w->below, &e);
	if (ret == 0 && e.kind != VOLUME_DIR)
		ret = -ENOTDIR;
	if (ret < 0)
		return g_strdup_printf("cannot open: %s", volume_error(-ret));
	g_free(spool->path);
	spool->path = path_of(w, p);
	spool->doubt = doubt(&facts);
	spool->reach.way = REACH_VOLUME;
	spool->reach.still = spool->doubt == NULL;
	spool->reach.any = true;
	return NULL;
}

/* Without a folder, the mailroot on the volume is meant when there is one only. NULL, or why not. */
static char *only_mailroot(struct spool *spool)
{
	GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
	char *error = NULL;
	struct volume_entry root;

	if (volume_find(spool->reach.volume, "", &root) == 0)
		volume_search(spool->reach.volume, root.ref, found);
	if (found->len == 0 && spool_detect_names(spool_volume_names(spool, ".")) != format_by_name("iis", 3))
		error = g_strdup_printf("no mailroot was found on the volume; name its folder: %s/FOLDER", spool->path);
	if (found->len > 1)
		error = g_strdup_printf("has several mailroots; say which, such as %s/%s", spool->path,
					(const char *)found->pdata[0]);
	if (found->len == 1) {
		g_autofree char *path = g_steal_pointer(&spool->path);

		g_free(spool->reach.below);
		spool->reach.below = g_strdup(found->pdata[0]);
		spool->path = g_strconcat(path, "/", spool->reach.below, NULL);
	}
	g_ptr_array_free(found, TRUE);
	return error;
}

int spool_volume_open(struct spool *spool, const char *path, int index, char **error_r)
{
	struct disk d = { .fd = -1 };
	struct word w;

	if (!word_parse(path, &w)) {
		word_clear(&w);
		*error_r = g_strdup("cannot open: no such image");
		return -1;
	}
	*error_r = open_error(&w, &d);
	if (*error_r == NULL)
		*error_r = open_one(spool, &w, &d);
	if (*error_r != NULL) {
		disk_close(&d);
		word_clear(&w);
		return -1;
	}
	spool->root = d.fd;
	spool->reach.volume = d.volume;
	spool->reach.below = g_steal_pointer(&w.below);
	word_clear(&w);
	if (spool->reach.below[0] == '\0' && (index < 0 || index == format_by_name("iis", 3)))
		*error_r = only_mailroot(spool);
	if (*error_r != NULL)
		return -1;
	if (index < 0)
		index = spool_detect_names(spool_volume_names(spool, "."));
	if (index < 0)
		*error_r = g_strdup_printf("no spool of a server that is known here; name its folder: %s/FOLDER",
					   spool->path);
	return index;
}

void spool_volume_close(struct spool *spool)
{
	volume_free(spool->reach.volume);
	g_free(spool->reach.below);
	spool->reach.volume = NULL;
	spool->reach.below = NULL;
}

static bool add_name(void *arg, const struct volume_entry *e)
{
	g_ptr_array_add(arg, g_strdup(e->name));
	return ((GPtrArray *)arg)->len < NAMES_MAX;
}

GPtrArray *spool_volume_names(const struct spool *spool, const char *dir)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	unsigned lost;

	reach_volume_dir(&spool->reach, dir, add_name, names, &lost);
	return names;
}

/* --- Several at once ------------------------------------------------------------------ */

static gint by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The mailroots of one volume, as words. */
static void expand_volume(GPtrArray *found, struct word *w, struct disk *d, unsigned i, int index)
{
	GPtrArray *roots = g_ptr_array_new_with_free_func(g_free);
	const struct volume_partition *p = &d->table.volumes[i];
	struct volume_facts facts;

	if (!p->bitlocker && volume_open(d->volume, p->off, p->size, &facts) == 0)
		volume_search(d->volume, facts.root, roots);
	g_ptr_array_sort(roots, by_name);
	for (guint k = 0; k < roots->len; k++) {
		struct word one = { w->image, roots->pdata[k], w->given, w->off };
		g_autofree char *path = path_of(&one, p);

		g_ptr_array_add(found, g_strconcat(formats[index]->name, ":", path, NULL));
	}
	g_ptr_array_free(roots, TRUE);
}

void spool_volume_expand(GPtrArray *found, const char *path, int index)
{
	int mailroot = format_by_name("iis", 3);
	struct disk d = { .fd = -1 };
	struct word w;

	if (mailroot >= 0 && (index < 0 || index == mailroot) && word_parse(path, &w)) {
		g_autofree char *error = w.below[0] == '\0' ? open_error(&w, &d) : NULL;

		for (unsigned i = 0; w.below[0] == '\0' && error == NULL && i < d.table.count; i++)
			expand_volume(found, &w, &d, i, mailroot);
		disk_close(&d);
		word_clear(&w);
	}
}
