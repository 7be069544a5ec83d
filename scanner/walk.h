/*
 * walk.h - the names in a place, chunk by chunk
 */
#ifndef WALK_H
#define WALK_H

#include "spool.h"

#include <sys/types.h>

struct walk_name {
	const char *name;
	ino_t ino;
	unsigned char type; /* DT_*; DT_UNKNOWN on file systems that do not say */
};

struct walk_sink {
	/* Names of one directory (`dir` below the spool's root, `depth` levels of hash
	 * directories), sorted by inode. False ends the walk. */
	bool (*names)(void *arg, unsigned place, unsigned depth, const char *dir,
		      const struct walk_name *names, size_t count);
	/* A directory could not be read. */
	void (*error)(void *arg, const char *dir, int error);
	void *arg;
};

/* Walk one place with its hash directories, without the directories that the spool excludes; links are never followed. A place that does not exist
 * is empty. False when the sink ended it. */
bool walk_place(const struct spool *spool, unsigned place, const struct walk_sink *sink);

#endif
