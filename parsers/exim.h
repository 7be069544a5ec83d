/*
 * exim.h - what the files of the Exim format share (see fmt_exim.c)
 *
 *	fmt_exim.c         the layout, places and names, the format
 *	exim_read.c        one reading engine: line after line through a -H file
 *	exim_check.c       check(): -H, then -J, then -D, and what they say of each other
 *	exim_value.c       check(): the lines of the envelope and the header lines
 *	exim_recipient.c   the recipients: taken apart, and check()
 *	exim_tree.c        check(): the tree of those who have the message already
 *	exim_show.c        decode() and body()
 *
 * Nothing outside of these files includes this header.
 */
#ifndef EXIM_H
#define EXIM_H

#include "cursor.h"
#include "format.h"

/* --- Limits, each with its reason ---------------------------------------- */

#define EX_OLD_ID 16u       /* tttttt-pppppp-ss, up to 4.96 and read by all later ones */
#define EX_NEW_ID 23u       /* tttttt-ppppppppppp-ssss, from 4.97 */
#define EX_LINE_SURE 16383u /* a line of the fixed part that every Exim reads in one piece */
#define EX_DSN_FLAGS 31      /* the bits of them that releases up to 4.99 know */
#define EX_LINE_MAX 65535u  /* options and recipients: big_buffer may double twice (4.94.2) */
#define EX_RECIPIENTS 16384 /* the reader's limit from 4.88 on; reception has another one */
#define EX_ALLOCATION INT64_C(1073741822) /* more than this Exim does not allocate: it dies */
#define EX_DEPTH 64u        /* an AVL tree so deep would have more nodes than there are people */
#define EX_DEPTH_STOPS 16384u /* chain of nodes that takes the reader minutes, and then its stack */
#define EX_SCAN_MAX (64u << 20) /* a larger body is looked at only at its two ends */
#define EX_TAIL (64u << 10)
#define EX_BLOCK 512u       /* what a disk loses at once */
#define EX_MATCH_BUDGET (4u << 20) /* bytes compared to tell who has the message already */
#define EX_COMPLETION 7200  /* seconds after which a -D without -H is not being received any more */
#define EX_LEFTOVER 86400   /* seconds after which what lives for an instant was left behind */
#define EX_KEEP 345600      /* keep_malformed, unless the configuration says otherwise: 4 days */

enum ex_place { EX_INPUT, EX_FROZEN, EX_MSGLOG, EX_FROZEN_LOG, EX_SCAN, EX_PLACES };
enum ex_role { EX_HEAD, EX_DATA, EX_JOURNAL, EX_LOG, EX_ROLES };

/* --- The reading engine --------------------------------------------------- */

enum ex_kind {
	EX_ID,        /* 1234ab-000001-00-H */
	EX_USER,      /* login uid gid */
	EX_SENDER,    /* <address> */
	EX_TIME,      /* seconds warnings */
	EX_OPTION,    /* -name [value] */
	EX_ACL,       /* -aclm name length, and the data */
	EX_NO_TREE,   /* XX */
	EX_NODE,      /* YN address */
	EX_COUNT,     /* number of recipients */
	EX_RECIPIENT,
	EX_BLANK,     /* between envelope and header lines */
	EX_HEADER,    /* 023T To: ... */
	EX_END,       /* the file ends where it may */
};

/* Why reading ends, as Exim's reader would end. */
enum ex_stop {
	EX_OK,
	EX_EOF,        /* the file ends where a line should begin */
	EX_CUT,        /* the file ends in a line, or in the text of a header line */
	EX_NUL,        /* a zero byte where the reader refuses one */
	EX_LONG,       /* a longer line than the reader takes */
	EX_ACL_LINE,   /* no name, or no number behind it */
	EX_ACL_DATA,   /* fewer bytes left than the number says, or a number out of range */
	EX_NODE_SHORT, /* a line of the tree without an address */
	EX_NO_COUNT,   /* the number of recipients is none, or negative */
	EX_NO_ADDRESS, /* an empty line where a recipient should be */
	EX_NO_BLANK,
	EX_NO_LENGTH,  /* a header line does not begin with its length */
	EX_LENGTH,     /* ... or with one that is beyond the end of the file */
};

/* One reading of a -H file; all zero is the start. */
struct ex_reader {
	uint64_t pos;
	uint8_t due;          /* enum ex_kind: what comes next */
	uint64_t nodes;       /* nodes of the tree that were announced and not read */
	int64_t recipients;   /* that are still to come */
};

struct ex_item {
	uint8_t kind;         /* enum ex_kind */
	uint8_t stop;         /* enum ex_stop */
	uint64_t off, len;    /* all of it, with its line end */
	struct cur line;      /* the line without its end; the text of a header line */
	struct cur data;      /* EX_ACL: the value */
	int64_t number;       /* EX_COUNT; EX_ACL, EX_HEADER: the length that is written */
	uint8_t type;         /* EX_HEADER */
	uint8_t digits, blanks; /* EX_HEADER: of the length, and behind the type */
	bool nul;             /* a zero byte in the line, at nul_at; the reader sees what is before */
	uint64_t nul_at;
	bool closed;          /* EX_ACL: a line end follows the value */
};

/* The next item. With a stop other than EX_OK reading is over. */
void ex_next(struct ex_reader *rd, const struct part *p, struct ex_item *it);

/* A cursor over the window of a part at `off`; empty when that is outside. */
struct cur ex_window(const struct part *p, uint64_t off);

/* --- Values --------------------------------------------------------------- */

bool ex_digit(int ch);
bool ex_blank(int ch); /* isspace() of the C locale */

/* Blanks, a sign, digits, as scanf() reads a number; false when there is none.
 * Saturates. */
bool ex_number(struct cur *c, int64_t *value_r);

/* The same for %d: what the C library leaves of it in an int. */
bool ex_int(struct cur *c, int64_t *value_r);

/* Digits only, at least one. */
bool ex_all_digits(struct cur c, int64_t *value_r);

/* Up to the first `byte`, which is stepped over; all of it when there is none. */
struct cur ex_until(struct cur *c, uint8_t byte);

/* Is the cursor's text this word? Do two hold the same? Byte order: < 0, 0, > 0. */
bool ex_is(const struct cur *c, const char *word);
bool ex_same(const struct cur *a, const struct cur *b);
int ex_order(const struct cur *a, const struct cur *b);

/* The last byte and the text without it; -1 when there is none. */
int ex_pop(struct cur *c);

/* The unread bytes of `c`, as many as fit. */
void ex_say(struct text *t, struct cur c);

enum ex_shape { EX_BARE, EX_TEXT, EX_LETTER, EX_ADDRESS, EX_NUMBER, EX_DEBUGLOG, EX_FROZEN_TIME, EX_ESCAPED };

struct ex_option {
	const char *name;
	uint8_t shape; /* enum ex_shape */
	bool exact;    /* the name must end there; of the others Exim compares no more than that */
};

/* An option line taken apart as the reader does. */
struct ex_words {
	struct cur quoter;   /* "ldap" of --(ldap)name; empty when there is none */
	bool quoted, open;   /* there is one; and it has no end */
	struct cur name, value;
	bool has_value;      /* there is something behind the name */
	bool glued;          /* ... but no blank: Exim takes any byte for it */
	int known;           /* index into ex_options, -1 unknown */
};
void ex_option_words(const struct ex_item *it, struct ex_words *w);

#define EX_OPTIONS 48u
extern const struct ex_option ex_options[EX_OPTIONS];

/* A recipient line taken apart from the right, as the reader does. */
enum ex_form { EX_PLAIN, EX_EXIM3, EX_PARENT, EX_ERRORS, EX_DSN, EX_NO_FORM };
struct ex_rcpt {
	uint8_t form;          /* enum ex_form */
	uint8_t bad;           /* 0, or the field at fault: 'e' errors-to, 'o' original recipient */
	bool outside;          /* ... which would begin before the line */
	struct cur address, orcpt, errors_to, bad_field;
	int64_t parent, dsn, flags;
};
void ex_recipient(struct cur line, struct ex_rcpt *r);

/* Seconds since 1970 in a message id; false when the id does not tell. */
bool ex_id_time(const char *id, size_t len, int64_t *time_r);

/* --- The format's functions ------------------------------------------------ */

/* The tree as it is read: one level per node on the way down, each with the
 * ancestors between which its subtree must lie. */
struct ex_level {
	uint64_t off;        /* of the address */
	uint32_t len;
	uint8_t low, high;   /* index of the level whose address bounds it, EX_DEPTH none */
	uint8_t flags;       /* 1 has a left child, 2 has a right one */
	uint8_t left_height;
	uint8_t on_right;    /* 1: its right child is being read */
};

struct ex_tree {
	uint64_t nodes;
	uint64_t run;        /* nodes one below the other, in one go */
	uint64_t deepest_run;
	uint8_t depth;       /* levels in use */
	bool deep;           /* more than EX_DEPTH: levels are no longer kept */
	bool unordered, unbalanced;
	struct ex_level level[EX_DEPTH];
};

/* Scratch of check(). */
struct ex_check {
	uint8_t phase;
	bool held;             /* a place that no daemon reads */
	bool muted;            /* behind the first damage of -H: only for sender and recipients */
	bool head_good;        /* -H was read to its end */
	bool envelope_good;    /* ... to the blank line */

	/* What -H says of the body. */
	bool wire, has_lines, has_longest;
	int64_t lines, zeros, longest;
	uint64_t seen_options; /* bit per known option */
	uint32_t received;     /* Received: lines */
	uint64_t tree_off, tree_end, rcpt_off; /* in -H */
	int64_t count, index;  /* recipients announced, read */

	/* The body, as it is read. */
	uint64_t pos, line_at, found_lines, found_crlf, found_zeros, found_longest;
	uint64_t run_at, zero_at; /* zero bytes that end at pos; the first of all */
	uint64_t first_block;  /* a block of nothing but zeros, UINT64_MAX none */
	bool in_run, tail_only, bad_id;
	uint8_t last[2];       /* the last two bytes */

	struct ex_tree tree;
};

/* What the functions of check() work on; nothing in it outlives one call. */
struct ex_work {
	struct ex_check *k;
	const struct message *m;
	struct report *r;
};

/* Add a finding with the severity and impact of its definition, or of the given
 * ones. Anything milder than corrupt is said once per message. Never NULL. */
struct finding *ex_note(const struct ex_work *x, enum finding_id id, unsigned part, uint64_t off,
			uint64_t len);
struct finding *ex_note_as(const struct ex_work *x, enum finding_id id, unsigned part, uint64_t off,
			   uint64_t len, enum severity severity, enum impact impact);

/* Is the server older than that? Not when its version is not known. */
static inline bool ex_before(const struct ex_work *x, uint32_t version)
{
	return x->m->site.version != 0 && x->m->site.version < version;
}

/* Judge one item that the reader took. False where Exim itself reads no further. */
bool ex_value(const struct ex_work *x, const struct ex_item *it);
/* Why the reader stopped. */
void ex_stopped(const struct ex_work *x, const struct ex_item *it);
/* The number of recipients, and one of them. */
void ex_recipient_count(const struct ex_work *x, const struct ex_item *it);
void ex_recipient_line(const struct ex_work *x, const struct ex_item *it);
/* A node of the tree, and all of it. */
void ex_tree_node(const struct ex_work *x, const struct ex_item *it);
void ex_tree_end(const struct ex_work *x);

enum step ex_check(void *scratch, const struct message *m, struct report *r, struct want *w);

/* Scratch of decode() and body(). */
struct ex_show {
	uint8_t phase;
	bool title;
	uint64_t pos;      /* in -J or -D */
	uint32_t line;
	struct ex_reader read;
};

enum step ex_decode(void *scratch, const struct message *m, struct row *row, struct want *w);
enum step ex_body(void *scratch, const struct message *m, struct run *run, struct want *w);

#endif
