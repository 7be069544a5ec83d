/*
 * qmail.h - what the files of the qmail format share (see fmt_qmail.c)
 *
 *	fmt_qmail.c     the layout, places and names, the format
 *	qmail_read.c    records, and the windows they are read through
 *	qmail_check.c   check(): which parts there are, and what they say of each other
 *	qmail_value.c   check(): the records of todo, info, local and remote
 *	qmail_text.c    check(): the text, and that of the bounce
 *	qmail_show.c    decode() and body()
 *
 * Nothing outside of these files includes this header.
 */
#ifndef QMAIL_H
#define QMAIL_H

#include "cursor.h"
#include "format.h"

/* --- Limits, each with its reason ---------------------------------------- */

#define QM_ID_MAX 20u         /* digits of 2^64 - 1: ids are inode numbers */
#define QM_ADDRESS 1002u      /* qmail-queue refuses longer ones (ADDR, qmail-queue.c) */
#define QM_RECORD_LONG 65536u /* longer than any rewriting makes an address */
#define QM_VIEW 4096u         /* a record that is not longer is looked into */
#define QM_LEFT_OVER 129600   /* OSSIFIED: seconds after which qmail-send clears what was left */
#define QM_DAY 86400
#define QM_SCAN_MAX (64u << 20) /* a larger text is looked at only at its two ends */
#define QM_TAIL (64u << 10)
#define QM_BLOCK 512u         /* what a disk loses at once */
#define QM_ZEROS 8u           /* zero bytes at an end of a text that are no accident */
#define QM_YEAR_2000 946684800
#define QM_RETRY_FAR (30 * QM_DAY) /* the wait grows with the root of the age: less than 3 days
                               * for a message of a year */

/* --- Places and parts ------------------------------------------------------ */

/* In the order in which parts leave: what qmail-send lists at its start first. */
enum qm_place {
	QM_INFO, QM_TODO, QM_LOCAL, QM_REMOTE, QM_BOUNCE, QM_INTD, QM_MESS, QM_PID, QM_LOCK,
	QM_PLACES
};

/* Role 0 is the file by which the message was found, whichever that is; the file of place P is
 * role P + 1 otherwise. */
#define QM_HEAD 0u
#define QM_ROLES (QM_MESS + 2u)

/* The role of the file of `place` in this message. */
static inline unsigned qm_role(const struct message *m, unsigned place)
{
	return m->place == place ? QM_HEAD : place + 1;
}

/* The file itself; NULL when there is none. */
const struct part *qm_part(const struct message *m, unsigned place);

/* Where the file of `place` with this id belongs, below the root. Terminated; its length, 0 = that
 * is not known, no id, or no room. */
size_t qm_home(const struct site *s, unsigned place, const char *id, size_t id_len, char *buf,
	       size_t cap);

/* Is a file looked at outside of a queue? Then nothing is known of other parts. */
static inline bool qm_loose(const struct message *m)
{
	return m->site.split == 0;
}

/* The place that a file on its own, whose first bytes are at hand, seems to come from: QM_TODO,
 * QM_INFO, QM_LOCAL (or remote), else QM_MESS. */
unsigned qm_guess(const struct message *m);

/* --- Reading ---------------------------------------------------------------- */

enum qm_read { QM_RECORD, QM_END, QM_WANT };

/* Reading one file; all zero is the start. */
struct qm_reader {
	uint64_t pos;     /* of the record */
	uint64_t scanned; /* bytes of it that hold no end */
	uint8_t type;
};

struct qm_record {
	uint64_t off, len; /* with its end */
	bool ended;        /* by a zero byte; else by the end of the file */
	uint8_t type;      /* the first byte; 0 = an empty record */
	bool whole;        /* not longer than QM_VIEW: value is there */
	struct cur value;  /* without type and end */
};

/* The next record of the part `role`, or what window it takes. */
enum qm_read qm_next(struct qm_reader *rd, const struct message *m, unsigned role,
		     struct qm_record *rec, struct want *w);

/* Are the bytes [off, off + need) at hand, as far as the part has them? Else what window it takes. */
bool qm_there(const struct message *m, unsigned role, uint64_t off, size_t need, struct want *w);

/* A cursor over the window of a part at `off`; empty when that is outside. */
struct cur qm_window(const struct part *p, uint64_t off);

/* All that is left of the cursor, as text. */
void qm_say(struct text *t, struct cur c);

/* --- check() ------------------------------------------------------------------ */

/* Scratch of check(). */
struct qm_check {
	uint8_t phase;
	uint8_t state;       /* enum qm_state */
	bool quiet;          /* records are read for the envelope only */
	bool skip;           /* there is no text to look at */
	bool guessed;
	uint8_t guess;       /* enum qm_place of a file on its own */

	/* The file that is being read. */
	unsigned role;
	struct qm_reader read;
	uint64_t zeros;      /* zero bytes from its start */
	bool zeros_known;
	uint64_t count[4];   /* of records u, p, F, T or D */
	bool disorder, cut, letter;
	uint64_t letter_at, letter_len; /* the first record with a letter that only patches know */
	uint8_t letter_type;

	/* The text. */
	uint64_t pos, run;   /* looked at so far; zero bytes that end there */
	uint64_t hole, hole_len; /* the first run of zeros that is a finding */
	bool tail_only;
};

/* What functions of check() work on; nothing in it outlives one call. */
struct qm_work {
	struct qm_check *k;
	const struct message *m;
	struct report *r;
};

/* Add a finding with the severity and impact of its definition. What is milder than corrupt is said
 * once for each message. Never NULL. */
struct finding *qm_note(const struct qm_work *x, enum finding_id id, unsigned role, uint64_t off,
			uint64_t len);

/* The records of the part `role`, which is a file of `place`. False: give a window. */
bool qm_records(const struct qm_work *x, unsigned place, unsigned role, struct want *w);

/* The text of the bounce; the first line of the message's; zeros in it, and what is said of them.
 * False: give a window. */
bool qm_check_bounce(const struct qm_work *x, struct want *w);
bool qm_check_head(const struct qm_work *x, struct want *w);
bool qm_scan_text(const struct qm_work *x, unsigned role, struct want *w);
void qm_say_zeros(const struct qm_work *x, unsigned role);

enum step qm_check(void *scratch, const struct message *m, struct report *r, struct want *w);

/* --- decode() and body() -------------------------------------------------------- */

struct qm_show {
	uint8_t file;     /* index into the order of listing */
	bool titled;
	struct qm_reader read;
	uint64_t pos;
	unsigned rows;
};

enum step qm_decode(void *scratch, const struct message *m, struct row *row, struct want *w);
enum step qm_body(void *scratch, const struct message *m, struct run *run, struct want *w);

#endif
