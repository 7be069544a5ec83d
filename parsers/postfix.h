/*
 * postfix.h - what the files of the Postfix format share (see fmt_postfix.c)
 *
 *	fmt_postfix.c     the layout, the grammar, places and names, the format
 *	postfix_read.c    one reading engine: record after record, pointers followed
 *	postfix_check.c   check(): the structure
 *	postfix_value.c   check(): the data of envelope records
 *	postfix_show.c    decode() and body()
 *
 * Nothing outside of these files includes this header.
 */
#ifndef POSTFIX_H
#define POSTFIX_H

#include "cursor.h"
#include "format.h"

/* --- Limits, each with its reason ---------------------------------------- */

#define PF_VIEW 1024u          /* bytes of an envelope record that are looked at */
#define PF_LENGTH_BYTES 5u     /* readers before 3.9.14, 3.10.13, 3.11.6 take five */
#define PF_LENGTH_SAFE 4u      /* ... and later ones four */
#define PF_LENGTH_MAX INT32_MAX /* the reader keeps the length in an int */
#define PF_WILD_LENGTH (256u << 20) /* qmgr dies for want of so much memory where it is limited */
#define PF_HEADER_MAX 6u       /* type and five length bytes */
#define PF_BACKWARD_MAX 10000u /* REVERSE_JUMP_LIMIT of Postfix' record.c */
#define PF_WINDOW_JUMP (64u << 10) /* window after a jump: many jumps must stay cheap */
#define PF_FIELDS 6u           /* fields of the size record that Postfix reads */
#define PF_COLUMN 16u          /* "%15ld" and a blank */
#define PF_LINE_LIMIT 2048u    /* line_length_limit, when the site's is unknown */
#define PF_SEEK_LIMIT ((int64_t)1 << 41) /* ext3 refuses to seek beyond 2 TiB, ext4 beyond 16 */

/* --- Grammar -------------------------------------------------------------- */

enum pf_place {
	PF_MAILDROP,
	PF_INCOMING,
	PF_ACTIVE,
	PF_DEFERRED,
	PF_HOLD,
	PF_CORRUPT,
	PF_SAVED,
	PF_DEFER,
	PF_BOUNCE,
	PF_TRACE,
	PF_PLACES
};

enum pf_role { PF_MESSAGE, PF_DEFER_LOG, PF_BOUNCE_LOG, PF_TRACE_LOG, PF_ROLES };

/* Segments, as bits. */
enum pf_segment { PF_ENV = 1, PF_TEXT = 2, PF_EXT = 4, PF_ALL = 7 };

/* What the data of a record must look like, and what it stands for. */
enum pf_value {
	PF_ANY,
	PF_SIZE_VALUE,
	PF_TIME_VALUE,
	PF_SENDER_VALUE,
	PF_RECIPIENT_VALUE,
	PF_DONE_VALUE,
	PF_BEFORE_VALUE, /* belongs to the next recipient */
	PF_ATTRIBUTE_VALUE,
	PF_WARN_VALUE,
	PF_VERP_VALUE,
	PF_POINTER_VALUE,
	PF_MARK_VALUE, /* empty */
};

struct pf_rule {
	const char *name; /* NULL: no Postfix up to 3.12 writes such a record */
	uint8_t cleaned;  /* segments of a file that cleanup wrote */
	uint8_t maildrop; /* segments in which pickup accepts it */
	uint8_t value;    /* enum pf_value */
};

/* By record type. */
extern const struct pf_rule pf_rules[256];

extern const struct place pf_places[PF_PLACES];

/* The hash directories of `id`, `depth` letters into `out`; false when the id
 * is not valid. */
bool pf_hash(const char *id, size_t id_len, unsigned depth, char *out);

/* Does the id follow the short form, and then: which inode does it name? */
bool pf_short_inode(const char *id, size_t id_len, uint64_t *inode_r);

/* --- The reading engine --------------------------------------------------- */

/* One reading of a file: where it stands, and the guard against loops. All
 * zero is the start of the file. */
struct pf_reader {
	uint64_t pos;      /* next record */
	uint64_t jumped;   /* last pointer target: what Postfix compares with */
	uint64_t tortoise; /* Brent: the target that later ones are compared with */
	uint32_t power, steps;
	uint32_t backward; /* jumps not beyond the last target */
	uint32_t jumps;    /* all jumps, saturating */
	bool near;         /* the next window may be small */
};

struct pf_record {
	uint64_t off;    /* of its type byte */
	uint64_t len;    /* of its data */
	uint8_t type;
	uint8_t header;  /* bytes before the data */
	bool padded;     /* the length is written longer than needed */
	struct cur data; /* the data, or the first PF_VIEW bytes of it */
	size_t string;   /* how many of these come before the first NUL */
};

enum pf_got {
	PF_GOT,
	PF_WANT,     /* `want` says which window */
	PF_EOF,      /* the file ends where a record would begin */
	PF_CUT,      /* the file ends in the header */
	PF_LONG,     /* a sixth length byte */
	PF_TOO_BIG,  /* a length of 2 GiB or more */
	PF_OVERRUN,  /* the file ends in the data */
};

/* Read the record at rd->pos. PF_GOT moves to the next one; all else stays,
 * with rec->off, type and header (and len for PF_OVERRUN) as far as known. Data
 * is only asked for when the segment is not text or the record a pointer. */
enum pf_got pf_read(struct pf_reader *rd, const struct part *p, enum pf_segment segment,
		    struct pf_record *rec, struct want *w);

/* Step over the text records that lie whole in the window, each no longer than
 * `cap` and none of it unusual. What is left to see is for pf_read(). */
void pf_skip_text(struct pf_reader *rd, const struct part *p, uint64_t cap);

enum pf_jump {
	PF_DUMMY,     /* a pointer of value 0: reading goes on behind it */
	PF_JUMPED,    /* rd->pos is the target now */
	PF_NO_NUMBER, /* not blanks and digits, or too large for an offset */
	PF_NO_VALUE,  /* blanks only: Postfix takes it for a dummy */
	PF_OUTSIDE,   /* beyond the end of the file */
	PF_BACKWARD,  /* too many jumps backward */
	PF_LOOP,      /* this target has been read before */
};

/* Follow the pointer record just read. Only PF_JUMPED moves. */
enum pf_jump pf_follow(struct pf_reader *rd, const struct part *p, const struct pf_record *rec,
		       uint64_t *target_r);

/* A new window for the byte at `off`: at least `need` bytes to go on. */
void pf_want(struct want *w, const struct part *p, uint64_t off, size_t need, size_t wish);

/* A cursor over the window, at file offset `off`; empty when that is outside. */
struct cur pf_window(const struct part *p, uint64_t off);

/* --- Values --------------------------------------------------------------- */

/* The size record as qmgr's sscanf("%ld %ld %d %d %ld %d") reads it. */
struct pf_size {
	int count;                 /* numbers read; 0 also for an empty record */
	int64_t field[PF_FIELDS];
	unsigned columns;          /* fields that the length of the record gives */
	unsigned bad;              /* 1..: the first column that is no number; 0 none */
};
void pf_size_scan(const struct pf_record *rec, struct pf_size *s);

/* Column `n` (from 0) of a size record: its bytes. */
struct cur pf_size_column(const struct pf_record *rec, unsigned n);

extern const char *const pf_size_names[PF_FIELDS];

/* The data as a C string sees it: up to the first NUL. */
static inline struct cur pf_string(const struct pf_record *rec)
{
	struct cur c = rec->data;

	return cur_sub(&c, rec->string);
}

/* atol(): leading blanks, a sign, digits; 0 when there are none. Saturates.
 * Leaves the cursor behind the digits; false when there were none. */
bool pf_number(struct cur *c, int64_t *value_r);

/* Blanks, an optional minus, digits, blanks, nothing else. Postfix writes no
 * blanks behind a number, but reads them. */
bool pf_is_number(struct cur c);

/* All of it digits, at least one, and the value as atoi() would give it. */
bool pf_all_digits(struct cur c, int64_t *value_r);

/* name=value: `c` becomes the value; false when Postfix refuses it (and `c` stands
 * wherever that showed). */
bool pf_attribute(struct cur *c, struct cur *name_r);

/* Is the cursor's text this word? */
static inline bool pf_is(const struct cur *c, const char *word)
{
	size_t n = strlen(word);
	const uint8_t *p = cur_view(c, n);

	return p != NULL && cur_left(c) == n && memcmp(p, word, n) == 0;
}

/* Is the version known to hold the reader fixes of mid-2026 (four length bytes,
 * type 0 refused, showq's missing return)? */
bool pf_fixed_2026(uint32_t version);

/* Does showq go on after it has freed its buffers, when a sender record stands
 * second or behind a recipient? From 3.1 until those fixes; so it may be when the
 * version is unknown. Tried on 3.7.11: signal 11, and mailq fails for a minute. */
bool pf_showq_dies(uint32_t version);

/* "'N' (line)", "0x93". */
void pf_say_type(struct text *t, uint8_t type);

/* The unread bytes of `c`, as many as fit. */
void pf_say_bytes(struct text *t, struct cur c);

/* --- The format's functions ------------------------------------------------ */

/* Scratch of check(). */
struct pf_check {
	uint8_t phase;
	bool maildrop;       /* pickup's rules, not qmgr's */
	bool held;           /* a place that no daemon but showq reads */
	bool broken;         /* structural damage in the segment being read */
	bool env_broken, text_broken, any_broken;
	bool zero_start;     /* the first byte is zero */
	bool jumped;         /* a pointer other than a dummy was followed */

	/* What the size record says, 0 when it cannot be believed. */
	bool have_size, counted;
	bool offset_known;   /* field 2 is a number, if perhaps a wrong one */
	uint8_t size_header;
	uint64_t size_at;
	int64_t data_size, data_offset, said_offset, rcpt_count;

	/* What was found. */
	bool passed;         /* reading stood at the data offset before any M */
	bool marked;         /* M was reached */
	bool have_x;         /* the text ended in an X record */
	bool wrong_size;     /* ... which is not where the size record says */
	uint64_t text, x, x_end, end; /* first record of the text; X; behind X; behind E */
	uint64_t zeros;      /* zero bytes at the start */
	uint64_t arrived_by; /* the pointer just followed, 0 none */
	uint64_t circled;    /* recipients read when the circle, if it is one, began */

	bool time_seen, time_good;
	bool null_sender;
	bool rcpt_first;     /* a recipient record before the sender, at rcpt_at */
	uint8_t pending;     /* O, n, o records that wait for their recipient */
	uint32_t senders;
	uint64_t time_at, time_len, sender_at, rcpt_at;

	struct pf_reader read;  /* both envelopes, as qmgr reads; all of a maildrop file */
	struct pf_reader lines; /* the text, as a delivery agent reads */
};

/* What the functions of check() work on; nothing in it outlives one call. */
struct pf_work {
	struct pf_check *k;
	const struct message *m;
	const struct part *p;
	struct report *r;
};

/* What a corrupt file means where this one lies. */
enum impact pf_impact_here(const struct pf_check *k, enum impact impact);

/* Add a finding with the severity and impact of its definition, or of the given
 * ones. Anything milder than corrupt is said once per message, and a corrupt one
 * once per offset: a loop may pass it again. Never NULL. */
struct finding *pf_note(const struct pf_work *x, enum finding_id id, uint64_t off, uint64_t len);
struct finding *pf_note_as(const struct pf_work *x, enum finding_id id, uint64_t off, uint64_t len,
			   enum severity severity, enum impact impact);

void pf_say_segment(struct text *t, enum pf_segment segment);

/* "type 'N' (line), length 45" into f->found. */
void pf_say_record(struct finding *f, const struct pf_record *rec);

/* A mark (M, X, E) should be empty. */
void pf_mark(const struct pf_work *x, const struct pf_record *rec);

/* Judge the data of an envelope record that may stand in `segment`. False at the
 * segment's end: its mark, or damage (k->broken). */
bool pf_value(const struct pf_work *x, const struct pf_record *rec, enum pf_segment segment);

enum step pf_check(void *scratch, const struct message *m, struct report *r, struct want *w);

/* Scratch of decode() and body(). */
struct pf_show {
	uint8_t phase;
	uint8_t field;    /* the field of the size record that is due, from 1; 0 none */
	bool title;       /* the segment's title was given */
	bool by_size;     /* the segment was found by the size record only */
	bool have_size;
	bool jumped;      /* a pointer other than a dummy was followed */
	bool body;        /* the header of the text is over */
	bool piece;       /* the record before was a piece of a line */
	uint64_t size_at; /* the record whose fields are due */
	uint64_t text, x; /* by the size record, 0 unknown */
	uint64_t end;     /* behind the end record */
	struct pf_reader read;
};

enum step pf_decode(void *scratch, const struct message *m, struct row *row, struct want *w);
enum step pf_body(void *scratch, const struct message *m, struct run *run, struct want *w);

#endif
