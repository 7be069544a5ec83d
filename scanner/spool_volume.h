/*
 * spool_volume.h - spools on NTFS volumes that are not mounted: IMAGE[@OFFSET][/FOLDER]
 *
 * IMAGE is a regular file or a block device: a volume, or a disk whose table names volumes. OFFSET (bytes)
 * says where the volume begins when the table is not to be asked.
 */
#ifndef SPOOL_VOLUME_H
#define SPOOL_VOLUME_H

#include "spool.h"

/* Where volume servers come from: before any other function. */
void spool_volume_zygote(int zygote);

/* Does `path` lead into an image? */
bool spool_volume_is(const char *path);

/* Open the spool at `path`: spool->path, root and reach are set. `index` of its format, -1 = whatever is
 * recognised; the index or -1 with a sentence in *error_r (g_free). */
int spool_volume_open(struct spool *spool, const char *path, int index, char **error_r);
void spool_volume_close(struct spool *spool);

/* The names in a directory of the spool. */
GPtrArray *spool_volume_names(const struct spool *spool, const char *dir);

/* The spools that `path` stands for when it names no folder: words for spool_open() are added to `found`. None is added
 * when there is none, or an error that spool_volume_open() will tell. */
void spool_volume_expand(GPtrArray *found, const char *path, int index);

#endif
