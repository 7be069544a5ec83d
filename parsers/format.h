/*
 * format.h - what a mail server's queue format is
 *
 * A format is one `const struct format` at the end of one fmt_*.c. Data where
 * data will do, pure functions elsewhere: no I/O, no allocation, no recursion,
 * no clock, no globals that change. Formats include this header and cursor.h,
 * nothing else of the project; only scanner/ calls through the pointers.
 */
#ifndef FORMAT_H
#define FORMAT_H

#include "finding.h"
#include "layout.h"

#define ID_MAX 255          /* NAME_MAX: a queue id is a file name or part of one */
#define PARTS_MAX 8         /* parts that check() looks at */
#define PLACES_MAX 16       /* places of one format; a bit each in place.next */
#define WINDOW_MAX (1u << 20) /* the largest window of a stream part */
#define WHOLE_MAX (16u << 20) /* the largest part that is given whole */
#define SITE_WORDS 1024     /* bytes for the names that a format keeps of a configuration */

/* --- Places ------------------------------------------------------------- */

enum place_kind {
	PLACE_QUEUE, /* messages that the server will work on */
	PLACE_HELD,  /* messages no daemon touches: held, shelved, put aside */
	PLACE_LOG,   /* companions of messages; never checked, they move along */
};

enum place_lock {
	MOVE_LIVE,    /* rename is safe while the server runs */
	MOVE_STOPPED, /* only while the server is stopped */
	MOVE_LOCKED,  /* while we hold the server's own lock on the message, see struct lock */
};

struct place {
	const char *name;     /* directory below the spool's root; ".": the root, without what lies below
	                       * it. Places may share a directory; the name then tells whose a file is */
	enum place_kind kind;
	enum place_lock lock;
	uint16_t next;        /* bit per place: where mail goes on to from here */
	uint8_t depth_max;    /* levels of hash directories that may lie below */
	bool hash_dir_one;    /* hash directories have one-character names */
	bool required;        /* the server does not run without it */
	/* Files lie in directories 0..n-1, that of an id is the id mod n. The number n is the same
	 * in all such places of a spool (site.split). A place that is not `required` may do
	 * without such directories (site.split_places). */
	bool split;
	const char *shelved;  /* what the server did with messages here, of which it delivers none: "held (hold/)";
	                       * NULL: it delivers them, or they are none */
	bool streams;         /* its messages have named streams, see struct role */
};

/* A part that a message can have. Roles are listed in the order in which they
 * leave the spool, the one that makes the message visible first; role 0 is the
 * anchor, and a message's parts are indexed by role. */
struct role {
	const char *name;     /* "message", "defer log" */
	bool checked;         /* given to check(); the others only move along */
	bool whole;           /* check() gets all of it at once, up to WHOLE_MAX; else a window */
	bool alone;           /* check() and decode() take it without the anchor, too (explain) */
	bool shared;          /* other messages have it, too: check() gets its facts and no bytes,
	                       * and it stays when one of them leaves */
	bool stream;          /* a named stream of the anchor; which one, says its part. Those whose names are
	                       * configured come first, in that order */
	uint64_t most;        /* of one that is `whole`: the server cannot have written more. Of a longer one check() gets
	                       * its facts and no bytes; 0 = there is no such limit */
	bool records;         /* binary records: bytes of any value are usual in it. Else it is lines of text */
	bool unpacked;        /* no file: the text that the anchor unpacks to, when compressed() says so */
};

/* The lock that the server holds on a message while it works on it. */
enum lock_kind {
	LOCK_NONE,
	LOCK_FCNTL,
	LOCK_FLOCK,
	LOCK_BOTH, /* either, which depends on how the server was built */
};

struct lock {
	enum lock_kind kind;
	unsigned role;        /* the part that is locked */
	/* LOCK_FCNTL, LOCK_BOTH: how many bytes from the start, for this id; NULL = all. */
	uint64_t (*length)(const char *id, size_t id_len);
};

/* --- Names -------------------------------------------------------------- */

enum name_kind {
	NAME_MESSAGE,   /* the anchor part of a message */
	NAME_COMPANION, /* another part; found through its anchor */
	NAME_TRANSIENT, /* exists for an instant while the server writes */
	NAME_FOREIGN,   /* nothing this server would read */
};

/* What a file name says. `id` lies inside the caller's name. */
struct name {
	enum name_kind kind;
	unsigned role;
	const char *id;
	size_t id_len;
};

/* --- Facts of the site and of a file ------------------------------------- */

/* What is known about the installation; everything may be unknown. */
struct site {
	int64_t now;            /* seconds since 1970 */
	uint32_t owner;         /* uid that owns the queue directories; UINT32_MAX unknown */
	uint32_t owners[PLACES_MAX]; /* the same by place, for a format with many_owners */
	uint32_t split;         /* number of directories in places with `split`, 0 unknown */
	uint16_t split_places;  /* bit per place that has such directories */
	uint32_t version;       /* major << 16 | minor << 8 | patch, 0 unknown */
	uint64_t record_limit;  /* the server's limit for a line or record, 0 unknown */
	uint32_t keep;          /* seconds for which the server keeps what it cannot read, 0 unknown */
	uint32_t group[PLACES_MAX]; /* gid of the directory, of the places in `groups`; else UINT32_MAX */

	bool streams_seen;      /* the spool shows named streams, so one that is missing is not there */
	uint8_t streams_known;  /* how many roles stand for streams whose names are configured */

	/* Of property blocks, as the operator described it (--layout); entry_size 0: nobody did. */
	struct layout layout;

	/* What configure() made of the server's configuration; the format knows what it means. */
	bool configured;
	uint8_t storage;
	uint16_t words_len;
	uint8_t words[SITE_WORDS];
};

/* How a gzip stream (RFC 1952) ended. Only FRAME_SOUND and FRAME_MORE are whole. */
enum frame {
	FRAME_NONE,    /* the part is no unpacked one */
	FRAME_SOUND,
	FRAME_MORE,    /* whole, but the file goes on */
	FRAME_CUT,     /* the file ends before the stream does */
	FRAME_DAMAGED, /* header, data, check sum or length is wrong */
	FRAME_LARGE,   /* more text than anybody wants to unpack: given up */
};

/* One part as the reader found it. The window moves for stream parts. */
struct part {
	uint64_t ino, size;
	int64_t mtime;          /* seconds since 1970 */
	uint32_t mode, uid, gid, nlink; /* mode with the type bits of st_mode */
	const uint8_t *bytes;   /* the window: bytes [off, off + len) of the part */
	uint64_t off;
	size_t len;

	uint64_t unwritten;     /* bytes at its end that were never written and read as zero (NTFS, valid data length); known
	                         * of a volume that is not mounted, else 0 */

	const char *name;       /* of a named stream, terminated; NULL = it is none */
	size_t name_len;

	/* Of an unpacked part, where size is that of all text that could be unpacked: */
	uint8_t frame;          /* enum frame */
	uint64_t frame_at;      /* so many bytes of the file were read then */
	const char *frame_why;  /* FRAME_DAMAGED: zlib's words, a string that stays */
};

struct message {
	unsigned place;         /* index into the format's places */
	const char *path;       /* of the anchor, below the place: "4/4F2A1C0B9" */
	const char *id;         /* not terminated */
	size_t id_len;
	struct part parts[PARTS_MAX]; /* by role; mode 0 = there is none */
	bool more_streams;      /* it has more named streams than there are roles for */
	bool force;             /* judge the contents even if it looks unfinished (explain) */
	struct site site;
};

/* --- Work --------------------------------------------------------------- */

/* check(), decode() and body() run until they are done, or until they need
 * bytes outside of a part's window: then they answer STEP_WANT, fill in `want`
 * and are called again with the same scratch and a window that begins at
 * want.off and has want.len bytes, or as many as the part has. A window that
 * reaches the end of the part is never refused for its length. */
enum step { STEP_DONE, STEP_WANT, STEP_ROW };

struct want {
	unsigned part;
	uint64_t off;
	size_t len;             /* 1..WINDOW_MAX */
	size_t need;            /* 1..len: with this many it gets on already */
};

/* Bytes of a row that are somebody's, and how they are masked before a stranger sees the file, each by as many. */
enum personal_kind {
	PERSONAL_LETTERS, /* a number should be here: all letters become one */
	PERSONAL_TEXT,    /* ... and all digits, too */
	PERSONAL_ADDRESS, /* ... but equal ones stay equal, and their byte order stays */
	PERSONAL_OPAQUE,  /* compressed or encrypted: every byte, whatever it is */
	PERSONAL_KINDS
};

struct personal {
	uint64_t offset, length; /* in the row's part */
	uint8_t kind;            /* enum personal_kind */
};

#define ROW_PERSONAL 3

/* One line of the annotated listing. */
struct row {
	uint8_t part;
	uint64_t offset, length; /* the bytes the row is about */
	uint64_t target;         /* where reading goes on, when has_target */
	bool has_target;
	uint8_t depth;           /* nesting, for indentation: 0 = top */
	struct text kind;        /* "recipient", "pointer", "text" */
	struct text detail;      /* decoded value or first bytes of the data */

	/* For `quarantine export --redact`. told: all other bytes of the row are the server's own, and stay. A
	 * row that does not tell, and what no row covers, is masked as text. */
	bool told;
	uint8_t npersonal;
	struct personal personal[ROW_PERSONAL];
};

/* Add to a row; one too many has no room, and the row does not tell any more. */
static inline void row_personal(struct row *row, uint64_t offset, uint64_t length, enum personal_kind kind)
{
	if (row->npersonal >= ROW_PERSONAL) {
		row->npersonal = 0;
		row->told = false;
		return;
	}
	row->personal[row->npersonal].offset = offset;
	row->personal[row->npersonal].length = length;
	row->personal[row->npersonal].kind = (uint8_t)kind;
	row->npersonal++;
	row->told = true;
}

/* One run of message text: bytes of a part, then possibly a line end that the
 * file does not hold. */
struct run {
	uint8_t part;
	uint64_t offset, length;
	bool newline;
};

/* Where the installation says something of itself: a line that a command prints, or that
 * a file holds. Neither starts a daemon; both are read up to a bound. */
struct source {
	const char *file;             /* absolute; NULL: */
	const char *const *command;   /* argv; NULL ends. A source with neither ends a table */
	const char *before;           /* what stands before the value; '*' = any text, "" = nothing */
	const char *below;            /* of a path: where the spool lies below it; NULL = there */
};

/* The same id seen twice with different inodes, for cross(). */
struct sighting {
	unsigned place;
	const char *path;       /* below the spool's root */
	uint64_t ino;
	int64_t mtime;
	uint32_t mode;
};

struct format {
	const char *name;       /* "postfix" */
	const char *server;     /* "Postfix", for people */
	const char *tested;     /* newest series whose files were tested: "3.7" */
	uint32_t tested_version;/* the same as a number, patch 0 */
	const struct place *places; /* those that mail leaves before those it enters */
	unsigned nplaces;
	bool any_case;          /* the server minds no case in the names of its directories */
	const uint8_t *start_order; /* all places in the order in which the server reads them at start;
	                             * NULL = as above */
	uint16_t of_parts;      /* bit per place: a file there is a part of the message of its id that
				 * was met in an earlier place */
	const struct role *roles;
	unsigned nroles;        /* at most PARTS_MAX */
	unsigned loose_place;   /* where a file that is explained on its own is taken to lie */
	struct lock lock;       /* for places with MOVE_LOCKED */
	/* What a message looks like for a moment that the server is just taking away, holding that lock:
	 * such findings are none while it does. F_COUNT ends; NULL: there is no such thing. */
	const enum finding_id *passing;
	uint16_t groups;        /* bit per place: files in it have its group, site.group is wanted */
	const char *hidden;     /* directory below the root where the server never looks, for the lodge */
	/* Files of one id in several places are one message; the place that is listed first has the
	 * anchor, path_at() tells where in a place it belongs, and what lies elsewhere is a
	 * message of its own. Of no use together with cross(). */
	bool one_id;
	bool many_owners;       /* the places belong to several users: site.owners */

	/* Of the installation, all may be NULL. */
	const char *pid_file;   /* below the root; its lock or its pid tells whether the server runs */
	const char *chrooted;   /* or: the name of a process whose root directory is the spool */
	const char *const *default_roots;   /* where this server's spool usually is; NULL ends */
	const struct source *sources;       /* what else tells where: each value is a path, of which
	                                     * the last name may hold wildcards of glob(7) */
	bool several_below;     /* several spools can lie in one directory that is none itself */
	const char *const *version_command; /* argv that prints the version; NULL ends */
	const char *const *limit_command;   /* argv that prints record_limit */
	const struct source *keep_source;   /* site.keep as a time such as 4d or 1w12h */
	bool version_usage;     /* the version command prints it on standard error, and fails */
	const char *const *config_files;    /* where the configuration may be; NULL ends */
	const char *const *directories;     /* that the server looks at when it starts; NULL ends */
	const char *stop_command, *start_command; /* what the administrator types */
	const char *wake_command; /* makes the server look at a restored message */

	/* Fill in what the configuration says: configured, storage, words. NULL: nothing is read. */
	void (*configure)(struct site *s, const uint8_t *bytes, size_t len);

	/* Directory `index` of directories, on the host's own spool: a finding, or nothing. */
	void (*directory)(unsigned index, const struct part *p, const struct site *s,
			  struct report *r);

	/* How surely a directory that holds these names is this server's spool:
	 * bits of evidence, 0 = no. */
	unsigned (*bid)(const char *const *names, size_t count);

	/* Is the directory `name` of the root, which holds these names, a spool of its own (a named
	 * queue)? It has the same places. NULL: none is. */
	bool (*inner)(const char *name, const char *const *names, size_t count);

	/* What the file name `path` (below place `place`, with its hash
	 * directories) is. A name alone may be given, too: that of a file on its own. */
	struct name (*id_of)(unsigned place, const char *path);

	/* How many bytes of an id name the message in all its places, when the rest changes (Courier
	 * appends the time of the next try). NULL: all of them. */
	size_t (*stem)(const char *id, size_t id_len);

	/* The path below the spool's root of the part `role` of a message `id` that
	 * lies in `place`, with `depth` levels of hash directories. Returns its
	 * length, 0 when it does not fit `cap` or the id is invalid. Terminated. */
	size_t (*path_of)(unsigned place, unsigned role, const char *id, size_t id_len,
			  unsigned depth, char *buf, size_t cap);
	/* The same for a format that has to know the site for it. It has no path_of(). */
	size_t (*path_at)(const struct site *s, unsigned place, unsigned role, const char *id,
			  size_t id_len, char *buf, size_t cap);

	/* Does this id name the inode of its file, so that a restored copy would have to be the same inode?
	 * NULL: none does. */
	bool (*inode_in_name)(const char *id, size_t id_len);

	/* From mode, age and type alone: is the server still writing it? */
	bool (*in_flight)(unsigned place, const struct part *p, const struct site *s);

	/* Is the anchor a gzip stream? Its first bytes are at hand. Then the part whose role is
	 * `unpacked` is filled in before check(), decode() or body() run. NULL: it never is. */
	bool (*compressed)(const struct message *m);

	size_t check_scratch;   /* bytes, zeroed before the first call */
	enum step (*check)(void *scratch, const struct message *m, struct report *r,
			   struct want *w);

	/* Two files claim the same id: a finding, or nothing. */
	void (*cross)(const struct sighting *a, const struct sighting *b, struct report *r);

	/* The part `role` lies in `place` without its anchor: a finding, or nothing. NULL: orphans
	 * mean nothing. */
	void (*orphan)(unsigned place, unsigned role, const struct part *p, const struct site *s,
		       struct report *r);

	/* A file that should exist for an instant only (NAME_TRANSIENT): a finding, or nothing.
	 * NULL: they mean nothing. */
	void (*leftover)(unsigned place, const struct part *p, const struct site *s,
			 struct report *r);

	/* Messages of `place` lie at more than one depth of hash directories: a finding, or nothing.
	 * NULL: they may. */
	void (*mixed)(unsigned place, struct report *r);

	/* The message `name` is the only file of its directory: a finding, or nothing. NULL: that
	 * means nothing. */
	void (*alone)(unsigned place, const char *name, const struct part *p, const struct site *s,
		      struct report *r);

	/* Does the message leave with all files of its directory? NULL: none does. */
	bool (*owns_directory)(unsigned place, const char *id, size_t id_len);

	/* STEP_ROW: one row was filled in, call again. */
	size_t decode_scratch;
	enum step (*decode)(void *scratch, const struct message *m, struct row *row,
			    struct want *w);

	/* STEP_ROW: one run of text was filled in, call again. */
	size_t body_scratch;
	enum step (*body)(void *scratch, const struct message *m, struct run *run,
			  struct want *w);

	/* What the server will say or do when a message comes back. */
	const char *restore_note;
};

#define VERSION(major, minor, patch) \
	((uint32_t)(major) << 16 | (uint32_t)(minor) << 8 | (uint32_t)(patch))

/* Every supported format; NULL ends. The one list that a new server is added to
 * is in formats.c. */
extern const struct format *const formats[];

#endif
