/*
 * reach_volume.h - parts on a volume that is not mounted (volume.h), for reach.c, walk.c and locate.c
 *
 * Paths are those below the spool's root; reach.below says where that is on the volume.
 */
#ifndef REACH_VOLUME_H
#define REACH_VOLUME_H

#include "reach.h"
#include "volume.h"

#include <glib.h>
#include <sys/stat.h>

/* As reach_path(), reach_facts() and reach_read(). */
int reach_volume_open(const struct reach *r, const char *path, struct reach_part *part);
int reach_volume_facts(const struct reach_part *part, struct file_facts *f);
ssize_t reach_volume_read(const struct reach_part *part, uint8_t *to, size_t len, uint64_t off);

/* Add the names of the file's streams (g_free). 0 or a negative errno. */
int reach_volume_streams(const struct reach_part *file, GPtrArray *names);

/* A stream of `file`. 0 or a negative errno. */
int reach_volume_stream(const struct reach_part *file, const char *stream, struct reach_part *part);

/* What is known of a file or directory; 0 or a negative errno. */
int reach_volume_stat(const struct reach *r, const char *path, struct stat *st);

/* As volume_list(). */
int reach_volume_dir(const struct reach *r, const char *path, volume_each *each, void *arg, unsigned *lost_r);

#endif
