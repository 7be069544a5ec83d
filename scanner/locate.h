/*
 * locate.h - where a message lies now
 */
#ifndef LOCATE_H
#define LOCATE_H

#include "spool.h"

#include <sys/stat.h>

/* stat below the root, without following a link anywhere. False: errno says why. */
bool stat_beneath(const struct spool *spool, const char *path, struct stat *st);

/* Is there a file of this id in some place where messages lie? The path of one whose inode
 * is not `ino` (0 = any) goes to `path`, `cap` bytes. */
bool find_message(const struct spool *spool, const char *id, size_t len, uint64_t ino,
		  unsigned *place_r, char *path, size_t cap, struct stat *st);

#endif
