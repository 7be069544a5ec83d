/*
 * volume_mounted.c - is a disk, or a volume on it, mounted on this host?
 *
 * From /proc/self/mountinfo and /sys/dev/block: by the source of each mount, which is a block device (also a
 * partition of the disk, or a loop device over the image) or, with FUSE, the image itself. Mounts of other
 * namespaces are not to be seen.
 */
#include "config.h"

#include "volume_search.h"

#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

/* The block devices that a disk and its partitions are have directories one inside the other. */
static bool same_disk(dev_t a, dev_t b)
{
	char *dir[2];
	bool same = false;

	for (unsigned i = 0; i < 2; i++) {
		dev_t dev = i == 0 ? a : b;
		g_autofree char *link = g_strdup_printf("/sys/dev/block/%u:%u", major(dev), minor(dev));

		dir[i] = realpath(link, NULL);
	}
	if (dir[0] != NULL && dir[1] != NULL) {
		size_t x = strlen(dir[0]), y = strlen(dir[1]);

		same = strncmp(dir[0], dir[1], MIN(x, y)) == 0 && (x == y || dir[x > y][MIN(x, y)] == '/' ||
								   dir[x < y][MIN(x, y)] == '/');
	}
	free(dir[0]);
	free(dir[1]);
	return same;
}

/* The file behind a loop device, or behind that of which it is a partition. */
static bool backed_by(dev_t loop, const struct stat *image)
{
	static const char *const where[] = { "loop", "../loop" };

	for (unsigned i = 0; i < 2; i++) {
		g_autofree char *path = g_strdup_printf("/sys/dev/block/%u:%u/%s/backing_file", major(loop),
							minor(loop), where[i]);
		g_autofree char *file = NULL;
		struct stat st;

		if (g_file_get_contents(path, &file, NULL, NULL) && stat(g_strchomp(file), &st) == 0)
			return st.st_dev == image->st_dev && st.st_ino == image->st_ino;
	}
	return false;
}

static bool is_source(const char *source, const struct stat *image)
{
	struct stat st;

	if (source[0] != '/' || stat(source, &st) < 0)
		return false;
	if (S_ISREG(st.st_mode) && S_ISBLK(image->st_mode))
		return backed_by(image->st_rdev, &st);
	if (S_ISREG(st.st_mode))
		return st.st_dev == image->st_dev && st.st_ino == image->st_ino;
	if (!S_ISBLK(st.st_mode))
		return false;
	return S_ISBLK(image->st_mode) ? same_disk(st.st_rdev, image->st_rdev) :
					 backed_by(st.st_rdev, image);
}

char *volume_mounted_at(const struct stat *image)
{
	g_autofree char *info = NULL;
	g_auto(GStrv) lines = NULL;

	if (!g_file_get_contents("/proc/self/mountinfo", &info, NULL, NULL))
		return NULL;
	lines = g_strsplit(info, "\n", -1);
	for (char **line = lines; *line != NULL; line++) {
		char *dash = strstr(*line, " - ");
		g_auto(GStrv) left = g_strsplit(*line, " ", 6);
		g_auto(GStrv) right = g_strsplit(dash != NULL ? dash + 3 : "", " ", 3);

		if (g_strv_length(left) < 6 || g_strv_length(right) < 3)
			continue;
		g_autofree char *source = g_strcompress(right[1]);

		if (g_str_has_prefix(right[2], "rw") && is_source(source, image))
			return g_strcompress(left[4]);
	}
	return NULL;
}
