/*
 * seen.h - which messages have been met, in eight bytes each
 *
 * A message that moves between queues while we look shows up twice: same id, same
 * inode. Two files with one id and different inodes are a finding. The set holds
 * hashes, so an answer other than SEEN_NEW is a strong hint that the caller confirms by looking at
 * the files: 1 in 16 million repeats is wrong.
 */
#ifndef SEEN_H
#define SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seen;

enum sight {
	SEEN_NEW,   /* the id was not there */
	SEEN_SAME,  /* id and inode were there */
	SEEN_OTHER, /* the id was there with another inode; now with this one, too */
};

struct seen *seen_new(void);
void seen_free(struct seen *seen);

/* Add (id, inode) and say what was there before. */
enum sight seen_add(struct seen *seen, const char *id, size_t len, uint64_t ino);

/* Is the id there with any inode? */
bool seen_id(const struct seen *seen, const char *id, size_t len);

#endif
