/*
 * quarantine.h - moving messages out of a spool and back
 *
 * The module knows files and transactions; it knows no format and no message.
 * Its states, each recognisable from names on disk alone, are drawn in txn.c.
 *
 * Every function that can fail returns 0 or a negative errno value, and fills a
 * struct q_error with one sentence for people (which file, what to do). `err`
 * may be NULL. Names, paths and ids are bytes of strangers: sentences and
 * `say` lines hold them raw.
 */
#ifndef QUARANTINE_H
#define QUARANTINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

struct q_error {
	char text[512]; /* terminated; may hold raw bytes of file names: escape before printing */
};

struct q_store; /* an open store */

/* What a file was when its bytes were checked. A part is moved only while all
 * of it still holds. */
struct q_identity {
	uint64_t dev, ino, size;
	struct timespec mtime, ctime;
};

struct q_part {
	const char *path;  /* below the spool's root, no "..", no leading "/" */
	const char *role;  /* the format's word: "message", "defer log" */
	bool checked;      /* identity is valid and has to match; otherwise the part moves if it is there */
	struct q_identity identity;
};

/* One message to be moved. All pointers stay the caller's. */
struct q_message {
	int root;               /* descriptor of the spool's root directory; opened for reading, not O_PATH */
	const char *spool;      /* its absolute path, for the manifest and for restore */
	const char *format;     /* "postfix"; at most 32 bytes */
	const char *hidden;     /* directory below the root that may hold lodges when the store is on another
	                         * file system; made when missing, its parent is not; NULL = none */
	bool inode_in_name;     /* never to be drained by copy */
	const char *id;
	size_t id_len;          /* 1..255 */
	const struct q_part *parts; /* in the order in which they leave the spool */
	unsigned nparts;        /* 1..64 */
	const char *reason;     /* one line; may be NULL */
	json_t *findings;       /* array, goes into the manifest as it is; may be NULL */
	json_t *envelope;       /* object, likewise; may be NULL */
};

enum q_outcome {
	Q_MOVED,     /* out of the spool, published in the store (or, for q_restore, back in the spool);
	              * err->text is empty, or a warning */
	Q_CHANGED,   /* a part is not the file that was checked any more; nothing moved */
	Q_REFUSED,   /* something forbids it; nothing moved */
	Q_FAILED,    /* an operational error; undone, or left to q_recover() as the sentence then says */
};

/* Open the store at `path` (absolute); `create` makes it, 0700, when it is missing (not its parents).
 * Refuses a store that is a symlink, not owned by the effective user, or writable by others.
 * Takes no lock. -ENOENT: there is no store, so nothing is quarantined. */
int q_store_open(const char *path, bool create, struct q_store **store_r, struct q_error *err);
void q_store_close(struct q_store *store);

/* One acting run per spool: flock on the root directory's descriptor, waiting at most
 * `wait_ms`. -EWOULDBLOCK when another run holds it. Released by closing `root`
 * or with q_unlock(). */
int q_lock(int root, int wait_ms, struct q_error *err);
void q_unlock(int root);

/* From now on q_move() through this store refuses (Q_REFUSED, "store-full: ...") what takes more than so
 * many bytes on disk, counted down with each move. Without it nothing is refused. */
void q_store_room(struct q_store *store, uint64_t bytes);

/* Put by what the next moves out of this spool need when the disk is full: in the store, and when the store
 * is on another file system in the directory `hidden` of the spool (NULL: none). Needs some fsyncs the first time. */
void q_reserve(struct q_store *store, int root, const char *hidden);

/* Move one message. The caller holds q_lock(). On Q_MOVED entry_r holds the name of the
 * entry (free() it). Refuses a store that lies in the spool or above it. */
enum q_outcome q_move(struct q_store *store, const struct q_message *m, char **entry_r,
		      struct q_error *err);

/* Finish or undo every transaction in flight that concerns the spool at this path,
 * whose q_lock() the caller holds. NULL: every spool that no other run has
 * locked; the caller then holds no lock itself. Idempotent; transactions
 * that another process is at work on are left alone. Returns how many were
 * finished or undone, or, after having tried all, the negative errno value of
 * the first that could not be. `say` (may be NULL) is told one line for each. */
typedef void q_say(void *arg, const char *line);
int q_recover(struct q_store *store, const char *spool, q_say *say, void *arg,
	      struct q_error *err);

/* Names of the entries, oldest first, as a NULL-terminated vector (g_strfreev).
 * Reads one directory and nothing else. */
int q_entries(struct q_store *store, char ***names_r, struct q_error *err);

/* When the entry was moved, from its name: seconds since 1970, 0 = the name does not say. */
time_t q_entry_time(const char *entry);

/* What the entry takes on disk (parts, papers, directories), in the store or in a lodge. Opens no part. */
int q_measure(struct q_store *store, const char *entry, uint64_t *bytes_r, struct q_error *err);

/* The manifest of an entry (json_decref). -EBADMSG when it cannot be read. */
int q_manifest(struct q_store *store, const char *entry, json_t **manifest_r, struct q_error *err);

/* Visit the manifests of these entries in this order (threads read ahead; memory stays flat). `manifest` is
 * borrowed; NULL: it cannot be read, and `why` says so. False from visit() ends it. `brief`: without parts, and
 * of the findings at least their names; that is four times as fast. */
typedef bool q_visit(void *arg, const char *entry, json_t *manifest, const char *why);
void q_each(struct q_store *store, char **names, bool brief, q_visit *visit, void *arg);

/* The one entry that `word` names: its name, or a queue id (as bytes, or escaped as
 * reports print it) that only one entry has. -ENOENT, -ENOTUNIQ. free() the
 * result. Reads no manifest. */
int q_find(struct q_store *store, const char *word, char **entry_r, struct q_error *err);

/* Put the message back where it was: same path, name, owner, mode and times; the last part to
 * leave comes back first. Q_REFUSED when the name is taken, the directory is
 * gone or the entry is damaged. The entry disappears from the store. The caller
 * holds q_lock() on `root`, the spool named in the manifest. */
enum q_outcome q_restore(struct q_store *store, const char *entry, int root,
			 struct q_error *err);

/* The same, but its first part goes to `to`, a path below the root (NULL: its own). */
enum q_outcome q_restore_to(struct q_store *store, const char *entry, int root, const char *to,
			    struct q_error *err);

/* Copy the parts of an entry that lodges in the spool to the store, compare, empty the lodge. Q_MOVED: done,
 * or there was nothing to do. Q_REFUSED: something of it cannot be kept by a copy; it stays in the lodge, and
 * nothing is wrong with that. The caller holds q_lock() on `root`. q_restore() copies back by itself. */
enum q_outcome q_drain(struct q_store *store, const char *entry, int root, struct q_error *err);

/* The entries whose parts lodge in the directory `hidden` of this spool (g_strfreev). */
int q_lodged(struct q_store *store, int root, const char *hidden, char ***names_r,
	     struct q_error *err);

/* Copy the parts into the directory `todir`, at the paths that they had in the spool: for looking at them. */
int q_extract(struct q_store *store, const char *entry, int todir, struct q_error *err);

/* Remove an entry for good. `root`: its spool, locked, when the parts lodge there; else -1. */
enum q_outcome q_purge(struct q_store *store, const char *entry, int root, struct q_error *err);

/* Keep an entry from being purged, or no longer; is it kept? */
int q_keep(struct q_store *store, const char *entry, bool keep, struct q_error *err);
bool q_kept(struct q_store *store, const char *entry);

/* ---- what an operator accepted ---- */

/* By what a file is known again. */
struct q_print {
	uint64_t size, ino;
	struct timespec born; /* 0: the file system does not know */
	char sha256[65];      /* "": not asked for */
};

struct q_acceptance {
	const char *spool, *format; /* as in struct q_message */
	const char *id;
	size_t id_len;
	json_t *findings;     /* array of their names */
	bool forced;          /* also what stops the server */
	const char *who, *reason;
	time_t now, until;    /* until 0: for ever */
	struct q_print print;
};

/* The print of the file `path` below root, with its digest or without. */
int q_print(int root, const char *path, bool digest, struct q_print *print_r, struct q_error *err);

/* Write or replace the record of a message, look for one that has not expired (json_decref; -ENOENT:
 * there is none), remove it, remove all that have expired (returns how many). */
int q_accept(struct q_store *store, const struct q_acceptance *a, struct q_error *err);
int q_accepted(struct q_store *store, const char *spool, const char *format, const char *id,
	       size_t id_len, time_t now, json_t **record_r, struct q_error *err);
int q_unaccept(struct q_store *store, const char *spool, const char *format, const char *id,
	       size_t id_len, struct q_error *err);
int q_accepted_expire(struct q_store *store, time_t now, struct q_error *err);

/* Does the record speak for this file: the same inode of the same birth; the same bytes? */
bool q_accepted_born(const json_t *record, const struct q_print *print);
bool q_accepted_digest(const json_t *record, const struct q_print *print);

/* Do manifest and content of the entry agree? `say` is told each difference;
 * returns their number, 0 = sound, or a negative errno value. */
int q_verify(struct q_store *store, const char *entry, q_say *say, void *arg, struct q_error *err);

#endif
