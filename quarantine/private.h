/*
 * private.h - what the files of the quarantine share among themselves
 *
 * file.c      descriptors: open below a root, rename without replacing, sync, digest
 * escape.c      bytes made printable, and back
 * plan.c      the plan on disk
 * copy.c      one file copied whole, for drain.c: between lodge and store
 * each.c      the manifests of many entries, read by threads
 * streams.c   named streams and attributes of NTFS
 * purge.c     an entry removed for good
 * reserve.c   room put by for a full disk
 * accept.c    what an operator accepted
 * measure.c   age and size of entries, room for more
 * manifest.c  what is told to people and programs about an entry
 * store.c     the store's directories, names of entries
 * txn.c       the states, and the steps between them
 * restore.c   the way back; recover.c: what a crash left
 *
 * Rules of the house: every file is reached by a held directory descriptor and
 * one component; no path is put together and handed to the kernel. Functions
 * return 0 or a negative errno value and then have filled `err` (which may be
 * NULL) with one sentence.
 */
#ifndef QUARANTINE_PRIVATE_H
#define QUARANTINE_PRIVATE_H

#include "escape.h"
#include "quarantine.h"

#include <glib.h>
#include <inttypes.h>

/* Limits, each with its reason. */
#define Q_ID_MAX 255            /* a queue id is a file name at most */
#define Q_PARTS_MAX 64          /* two descriptors per part stay far below 1024 */
#define Q_PATH_MAX 4095         /* PATH_MAX without its NUL */
#define Q_NAME_MAX 240          /* a name in entries/; leaves room for "~restore" in 255 */
#define Q_PLAN_MAX (4u << 20)   /* 64 paths of 4095 bytes, each byte escaped as four */
#define Q_MANIFEST_MAX (256u << 20)
#define Q_HASH_MAX (UINT64_C(16) << 30) /* a minute of hashing; larger is no mail and would not end */
#define Q_DEPTH_MAX 2100        /* PATH_MAX / 2 levels, and some */

/* Codes beside plain errno values; txn_outcome() maps them. */
#define Q_ESTALE (-ESTALE)      /* not the file that was checked any more */
#define Q_EREFUSED (-ECANCELED) /* nothing failed, but it must not be done */

/* Names in the store. '~' occurs in no escaped id. */
#define Q_FILE_PLAN "plan"
#define Q_FILE_RETURN "restore"
#define Q_FILE_MANIFEST "manifest.json"
#define Q_FILE_SUMMARY "summary.txt"
#define Q_FILE_NEXT "plan.new"            /* drain.c: where the parts lie from now on */
#define Q_FILE_MANIFEST_NEW "manifest.new"
#define Q_FILE_KEEP "keep"                /* purge.c: not to be purged */
#define Q_DIR_PARTS "parts"
#define Q_SPARE ".spare"
#define Q_RETURNING "~restore"
#define Q_DRAINING "~drain"
#define Q_PURGING "~purge"

struct q_store {
	int root, entries, inflight;
	char *path;
	bool limited;  /* by max-size: q_store_room() */
	uint64_t room; /* bytes that may still be moved in */
};

/* ---- file.c ---- */

int q_fail(struct q_error *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
const char *q_tail(const char *path);
void file_close(int *fd);
bool file_same_inode(const struct stat *a, const struct stat *b);
bool file_path_sane(const char *path);
int file_open_dir(int root, const char *path);
int file_open_parent(int root, const char *path);
const char *file_base(const char *path);
int file_open_regular(int dir, const char *name, struct stat *st_r);
int file_sync(int fd);
int file_rename_new(int fromdir, const char *from, int todir, const char *to, bool to_private);
int file_write(int dir, const char *name, const void *data, size_t len, struct q_error *err);
int file_read(int dir, const char *name, size_t max, char **data_r, size_t *len_r);
int file_digest(int fd, char hex[65]);

/* ---- copy.c ---- */

int file_copy_data(int from, int to, off_t size);
int file_copy(int at, const char *base, int from, int dir, const char *name, struct q_error *err);

/* ---- streams.c ---- */

/* How a file system shows named streams. */
enum streams {
	STREAMS_NONE,   /* it has none */
	STREAMS_XATTR,  /* as extended attributes */
	STREAMS_NAMED,  /* FILE:NAME */
	STREAMS_HIDDEN, /* it may have some that nobody sees */
};

enum streams streams_seen(int fd);
json_t *streams_json(int dir, const char *name, int fd, bool ours);
int streams_copy(int from, const char *name, int fd, int to, const char *target, int copy,
		 struct q_error *err);
int streams_remove(int dir, const char *target);
json_t *streams_ntfs_json(int fd);
void streams_ntfs_set(int fd, const json_t *recorded);

/* ---- escape.c: escape.h, and ---- */

char *escape_word(const char *bytes, size_t len);

/* ---- plan.c ---- */

enum plan_kind { PLAN_MOVE, PLAN_RESTORE };

struct plan_part {
	char *path, *target, *role;
	bool checked;
	struct q_identity identity; /* ctime is not kept: every rename changes it */
	char sha256[65];
	/* held while a transaction is at work, else -1 */
	int dir; /* the parent directory in the spool */
	int fd;  /* the file itself, opened before it was moved */
};

struct plan {
	enum plan_kind kind;
	char *name;  /* of the entry, and of the lodge in the spool */
	char *spool; /* absolute */
	uint64_t root_dev, root_ino;
	char *hidden; /* where in the spool a lodge may be; NULL: nowhere */
	bool lodged;  /* it is there; else the parts' place is parts/ in the store */
	struct plan_part *parts; /* in the order in which they leave */
	unsigned nparts;
};

struct plan *plan_new(unsigned nparts);
void plan_free(struct plan *plan);
int plan_write(int dir, const char *file, const struct plan *plan, struct q_error *err);
int plan_read(int dir, const char *file, struct plan **plan_r, struct q_error *err);

/* ---- manifest.c ---- */

int manifest_write(int dir, const struct q_message *m, const struct plan *plan, time_t now,
		   struct q_error *err);
int manifest_read(int dir, json_t **manifest_r, struct q_error *err);
int manifest_moved(int dir, const struct plan *plan, struct q_error *err);
json_t *manifest_part(const json_t *manifest, const char *target);
int manifest_compare(const json_t *manifest, const struct plan_part *part, int dir, int fd,
		     q_say *say, void *arg, struct q_error *err);

/* ---- store.c ---- */

int store_apart(const struct q_store *store, int spool_root, const char *spool,
		struct q_error *err);
char *store_name(const char *format, const char *id, size_t id_len, time_t now);
bool store_name_valid(const char *name);
int store_private_dir(int fd, const char *what, struct q_error *err);

/* ---- txn.c ---- */

struct txn {
	const struct q_store *store;
	struct plan *plan;
	char *flying; /* name below inflight/, NULL while there is none */
	int root;     /* the spool; borrowed */
	int dir;      /* inflight/FLYING, locked by flock */
	int hidden;   /* the directory that holds lodges in the spool, or -1 */
	int lodge;    /* where the parts lie while they are not in the spool, or -1 */
};

/* Where a part is found, seen from one of its two names. */
enum part_seen {
	PART_ABSENT,
	PART_SAME,    /* identity and digest as planned */
	PART_CHANGED, /* the inode, with other content */
	PART_FOREIGN, /* something else has the name */
};

void txn_init(struct txn *t, const struct q_store *store, int root);
void txn_close(struct txn *t);
int txn_lock_dir(int dir, int at, const char *name);
int txn_hold_parents(struct txn *t, struct q_error *err);
int txn_lodge_open(struct txn *t, bool create, struct q_error *err);
int txn_lodge_open_spool(struct txn *t, bool create, struct q_error *err);
int txn_hidden_open(struct txn *t, struct q_error *err);
int txn_lodge_remove(struct txn *t, struct q_error *err);
int txn_part_out(struct txn *t, struct plan_part *p, struct q_error *err);
int txn_part_back(struct txn *t, struct plan_part *p, struct q_error *err);
int txn_part_see(const struct txn *t, int dir, const char *name, struct plan_part *p,
		 enum part_seen *seen_r, struct q_error *err);
int txn_remove(struct txn *t, struct q_error *err);
int txn_publish(struct txn *t, struct q_error *err);
enum q_outcome txn_outcome(int rc);

/* ---- restore.c: an entry and what it should hold ---- */

int txn_entry_open(struct txn *t, const char *entry, struct q_error *err);
int txn_check_root(const struct txn *t, struct q_error *err);
int txn_sound_all(struct txn *t, const json_t *manifest, struct q_error *err);
void say_first(void *first, const char *line); /* a q_say that keeps the first line; char[256] */

/* ---- reserve.c ---- */

#define Q_RESERVE 32 /* moves on a full disk: enough for an incident */

bool reserve_helps(int rc);
int reserve_take(const struct q_store *store, int todir, const char *name, int *dir_r);
int reserve_write(int dir, const char *name, const void *data, size_t len);
int reserve_mkdir(int at, const char *name);
int reserve_lodge(int hidden, const char *name);
void reserve_drop(int dir);

/* ---- measure.c ---- */

int measure_room(struct q_store *store, const struct plan *plan, uint64_t *bytes_r,
		 struct q_error *err);

/* ---- drain.c, purge.c ---- */

int drain_back(struct q_store *store, const char *entry, int root, struct q_error *err);
int drain_recover(struct txn *t, bool *to_new_r, struct q_error *err);
int purge_finish(struct txn *t, struct q_error *err);

#endif
