/*
 * volume.h - an NTFS volume that is not mounted: a disk, a partition, or an image of one
 *
 * libfsntfs reads the file system, in a confined process (volume_server.c) that holds one read-only
 * descriptor and its channel; this is the side that asks. Nothing of the volume is interpreted here, and
 * an answer is believed only as far as it parses. A server that dies or hangs over a damaged structure
 * costs the question that it was asked, and a fresh one gets the next, a hundred times.
 *
 * Functions return 0 (or a count) or a negative errno: -EUCLEAN a structure of the file system is damaged;
 * -EIO (and other errors of reading) the medium; -ECHILD the server died; -ETIME it hung; -EPROTO it
 * answered nonsense; -EOWNERDEAD too many of them did; -ESTALE the MFT record holds another file by now.
 *
 * Facts: the documentation of libfsntfs and of the Linux-NTFS project.
 */
#ifndef VOLUME_H
#define VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A name has 255 UTF-16 units at most: so many bytes of UTF-8. */
#define VOLUME_NAME_MAX 765

/* Partitions of a disk, named streams of a file that are looked at. */
#define VOLUME_PARTITIONS 64
#define VOLUME_STREAMS 32

/* What a file holds that is no disk: each has to be converted first (volume_container_help()). */
enum volume_container {
	CONTAINER_NONE,
	CONTAINER_VHDX, CONTAINER_VHD, CONTAINER_VMDK, CONTAINER_VDI, CONTAINER_QCOW, CONTAINER_EWF,
	CONTAINER_WIM, CONTAINER_BITLOCKER, CONTAINER_LUKS, CONTAINER_GZIP, CONTAINER_ZIP, CONTAINER_7Z,
	CONTAINER_XZ, CONTAINER_ZSTD, CONTAINER_BZIP2,
	CONTAINER_COUNT
};

struct volume_partition {
	unsigned number;     /* as Linux counts, from 1; 0 = the disk itself is the volume */
	uint64_t off, size;  /* bytes */
	bool bitlocker;      /* encrypted by BitLocker; else NTFS */
};

struct volume_table {
	enum volume_container container;
	unsigned count;      /* of volumes; other partitions are left out */
	struct volume_partition volumes[VOLUME_PARTITIONS];
};

enum volume_log {
	VOLUME_LOG_CLEAN,    /* $LogFile: everything that was begun was ended */
	VOLUME_LOG_OPEN,     /* the metadata may be half-written until Windows replays it */
	VOLUME_LOG_UNKNOWN,  /* it cannot be read */
};

#define VOLUME_DIRTY 0x0001 /* volume_facts.flags: chkdsk has to run at the next start */

struct volume_facts {
	uint64_t root;         /* reference of the root directory */
	uint64_t serial;
	uint32_t record_size;  /* of the MFT, bytes */
	uint16_t flags;        /* of $Volume */
	enum volume_log log;
	bool hibernated;       /* hiberfil.sys holds a system that still has the volume mounted */
};

enum volume_kind { VOLUME_FILE, VOLUME_DIR, VOLUME_OTHER /* link, reparse point */ };

/* An entry of a directory. */
struct volume_entry {
	uint64_t ref;
	enum volume_kind kind;
	uint16_t name_len;
	char name[VOLUME_NAME_MAX + 1]; /* UTF-8, terminated; without slash and NUL, not . or .. */
};

enum volume_stream_flags {
	STREAM_COMPRESSED = 1,
	STREAM_SPARSE = 2,
	STREAM_ENCRYPTED = 4,
	STREAM_RESIDENT = 8, /* lies in the MFT record */
};

#define VOLUME_VALID_UNKNOWN UINT64_MAX

struct volume_stream {
	uint64_t size;    /* bytes */
	uint64_t valid;   /* of which so many were ever written, the rest reads as zero; or unknown */
	unsigned flags;   /* enum volume_stream_flags */
	uint16_t name_len;
	char name[VOLUME_NAME_MAX + 1]; /* UTF-8, terminated; "" the unnamed one */
};

struct volume_stat {
	uint64_t ref;
	enum volume_kind kind;
	int64_t mtime, ctime;    /* seconds since 1970; ctime: of the MFT record */
	uint32_t mtime_ns, ctime_ns;
	unsigned count;          /* of streams; the unnamed one, when there is one, comes first */
	unsigned more;           /* streams beyond VOLUME_STREAMS */
	unsigned unreadable;     /* streams whose name or size is damaged; they are not among the others */
	struct volume_stream streams[VOLUME_STREAMS];
};

struct volume;

/* A disk, partition or image of `size` bytes, read through `image`, which stays the caller's and has to be
 * open for as long. Asks nothing yet. `zygote` as from zygote_start(). */
struct volume *volume_new(int zygote, int image, uint64_t size);
void volume_free(struct volume *v);

/* In a child that was forked: its questions go to a server of its own. */
void volume_inherited(struct volume *v);

int volume_table(struct volume *v, struct volume_table *t);

/* Open the volume at byte `off` of the disk, `size` bytes long; the functions below ask about it. */
int volume_open(struct volume *v, uint64_t off, uint64_t size, struct volume_facts *f);

/* Each entry of a directory, in the order of its index; false ends. *lost_r = entries that cannot be
 * read because their MFT record is damaged: then the others come, and it is not an error. */
typedef bool volume_each(void *arg, const struct volume_entry *e);
int volume_list(struct volume *v, uint64_t ref, volume_each *each, void *arg, unsigned *lost_r);

/* *st_r is valid until the next question about another file. */
int volume_stat(struct volume *v, uint64_t ref, const struct volume_stat **st_r);

/* Up to `len` bytes at `off` of a stream ("" = the unnamed one): the count, less only at its end. */
ssize_t volume_read(struct volume *v, uint64_t ref, const char *stream, void *to, size_t len, uint64_t off);

/* The file at `path` ("Inetpub/Mailroot", "" = the root). Names are compared as Windows does for ASCII letters, one that is
 * spelt exactly so first. -ENOENT, -ENOTDIR; -EUCLEAN also when the directory has entries that cannot be read, so that nobody can
 * say what is not in it. */
int volume_find(struct volume *v, const char *path, struct volume_entry *e);

/* What an error of these functions says to people; any errno (positive). */
const char *volume_error(int error);

/* "VMware disk (VMDK)", and the command that makes something of it that can be read. */
const char *volume_container_name(enum volume_container c);
const char *volume_container_help(enum volume_container c);

#endif
