/*
 * reach.h - how the bytes of a part are reached
 *
 * A part is a file below an open directory, or a named stream of one. Files of NTFS have such streams, and
 * what of them is to be seen depends on how the volume, its copy or its share got here. The way is found once for each spool,
 * told in the report, and the same for all its messages. One more way is one more case in reach.c; nobody else
 * knows how a stream is opened.
 */
#ifndef REACH_H
#define REACH_H

#include "format.h"

#include <sys/types.h>
#include <time.h>

/* A file as it was when it was read; compared before it may move. */
struct file_facts {
	uint64_t dev, ino, size;
	struct timespec mtime, ctime;
	uint32_t mode, uid, gid, nlink;
	uint64_t unwritten;     /* so many bytes at its end were never written and read as zero; only a volume that is
	                         * not mounted shows that, elsewhere 0 */
};

/* In the order in which they are tried. */
enum reach_way {
	REACH_FILES,  /* there are no streams, or none was seen */
	REACH_NAMED,  /* ntfs-3g, streams_interface=windows: FILE:NAME, listed in an attribute */
	REACH_XATTR,  /* ntfs-3g, streams_interface=xattr, and copies that keep attributes: user.NAME */
	REACH_SAMBA,  /* Samba's vfs_streams_xattr: user.DosStream.NAME:$DATA */
	REACH_BESIDE, /* an unpacked archive: side files FILE:NAME */
	REACH_HIDDEN, /* NTFS, mounted so that streams are not to be seen */
	REACH_VOLUME, /* NTFS, not mounted: by libfsntfs in a process of its own */
};

#define REACH_NAME 256      /* bytes of a stream's name, terminated; longer ones are counted only */
#define REACH_STREAMS 7     /* streams of one message that are looked at, PARTS_MAX less the file */
#define REACH_PROBE 256     /* files whose streams tell the way */

struct reach {
	enum reach_way way;
	bool any;               /* there was a message of which streams are expected */
	char **names;           /* of streams, first come first; NULL ends; whatever its case. The spool's */
	struct volume *volume;  /* REACH_VOLUME, else NULL: then a directory's descriptor means nothing */
	char *below;            /* path of the spool on it */
	bool still;             /* it was unmounted cleanly: no file is being written */
};

/* One part, open. It is read with reach_read() and not written. */
struct reach_part {
	int fd;                 /* -1 = closed */
	bool borrowed;          /* of the file that the stream is an attribute of */
	char attribute[REACH_NAME + 32]; /* "" = the bytes of fd; of a volume: the stream */
	struct volume *volume;  /* NULL = none; then fd is merely not negative */
	uint64_t ref;
};

/* The streams of one file. Those that reach.names has come first, at the index that they have there. */
struct reach_streams {
	char name[REACH_STREAMS][REACH_NAME]; /* "" = there is none */
	bool more;              /* than there is room for */
};

/* Learn how streams of the spool's messages are reached. `names` stay the caller's. */
void reach_probe(int root, const struct format *format, char **names, struct reach *reach);

/* How streams are read, in a few words; NULL: they are not. */
const char *reach_words(enum reach_way way);

/* What the operator has to know, a sentence; NULL: nothing. */
const char *reach_warning(const struct reach *r);

/* Does a missing stream mean anything: would it be seen? */
static inline bool reach_sees(const struct reach *r)
{
	return r->way != REACH_FILES && r->way != REACH_HIDDEN;
}

/* Open the file dir/name without following, waiting or disturbing: 0 or a negative errno. */
int reach_file(int dir, const char *name, struct reach_part *part);

/* Open the file at `path` below the spool's root, following no link: 0 or a negative errno. `flags` as for
 * open_beneath(). */
int reach_path(const struct reach *r, int root, const char *path, int flags, struct reach_part *part);

/* The streams of dir/name, which is open as `file`: 0 or a negative errno. */
int reach_list(const struct reach *r, int dir, const char *name, const struct reach_part *file,
	       struct reach_streams *streams);

/* Open one of them; file stays open at least as long. 0 or a negative errno; -ENOENT: it is gone. */
int reach_stream(const struct reach *r, int dir, const char *name, const struct reach_part *file,
		 const char *stream, struct reach_part *part);

/* What the kernel says of it; of an attribute, of the file that has it, with the size of the attribute. -E2BIG: larger
 * than this way can show. */
int reach_facts(const struct reach_part *part, struct file_facts *f);

/* Copy bytes [off, off + len) to `to`: the count, less at the end, or a negative errno. */
ssize_t reach_read(const struct reach_part *part, uint8_t *to, size_t len, uint64_t off);

/* Did nothing change that a writer changes? */
bool facts_same(const struct file_facts *a, const struct file_facts *b);

void reach_close(struct reach_part *part);

/* The side files of dir/name that are its streams, for REACH_BESIDE: 0 and their names (g_strfreev) in *names_r, or a
 * negative errno and NULL: then nobody knows whether there are any. */
int reach_beside(int dir, const char *name, char ***names_r);

#endif
