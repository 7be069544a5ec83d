/*
 * volume_search.h - what has to be known of a disk before its spools are opened
 */
#ifndef VOLUME_SEARCH_H
#define VOLUME_SEARCH_H

#include "volume.h"

#include <glib.h>
#include <sys/stat.h>

/* Add the paths (g_free) of the mailroots on a volume that is open: folders called Mailroot, "vsi N" or
 * TransportRoles that hold the folders of one, at most six deep, outside of Windows' own, among the first 20,000 folders
 * that are met, those of the root first. A folder that cannot be listed wholly may hide one: the first of those are added, too, so that looking into them tells why. */
void volume_search(struct volume *volume, uint64_t root, GPtrArray *found);

/* Where the image (a file or block device), or a volume on it, is mounted to write (g_free); NULL = nowhere that
 * is to be seen. */
char *volume_mounted_at(const struct stat *image);

#endif
