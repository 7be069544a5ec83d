/*
 * courier.h - what the files of the Courier format share (see fmt_courier.c)
 *
 *	fmt_courier.c      the layout, the grammar, places and names, the format
 *	courier_read.c     records, numbers and the counts of a control file as Courier reads them
 *	courier_check.c    check(): how names, links and parts fit, both ends of the text
 *	courier_records.c  check(): the records of a control file
 *	courier_show.c     decode() and body()
 *
 * Nothing outside of these files includes this header.
 */
#ifndef COURIER_H
#define COURIER_H

#include "cursor.h"
#include "format.h"

/* --- Limits, each with its reason ----------------------------------------- */

#define CO_FOLDERS 100u       /* folders in msgs/: configure --with-qdircount, which nobody changes */
#define CO_FOLDER_SECONDS 10000u /* a folder of msgq/ and tmp/ has the time without its last four digits */
#define CO_TIME_DIGITS 9u     /* digits of a time, at least: since 1973 */
#define CO_NUMBER_DIGITS 19u  /* ... and of any number, so that it fits 64 bits */
#define CO_FRESH 60           /* seconds in which courierd moves what it has just written to */
#define CO_SUBMIT_MAX (48 * 3600) /* what is older than that in tmp/ courierd deletes */
#define CO_ORPHAN 3600        /* seconds after which nobody is about to add the control file */
#define CO_TRACKED 65536u     /* recipients of which is known whether they are done; a batch has 100 */
#define CO_TAIL 4096u         /* window for the end of the text */

/* --- Grammar ---------------------------------------------------------------- */

enum co_place { CO_MSGQ, CO_MSGS, CO_TMP, CO_PLACES };

/* The schedule entry is a second name of the control file. Without an entry (in msgs/ and
 * tmp/) the control file itself has role 0. */
enum co_role { CO_ENTRY, CO_CONTROL, CO_DATA, CO_ROLES };

/* How the value of a record is read. */
enum co_value {
	CO_TEXT,
	CO_TIME,   /* seconds since 1970, decimal */
	CO_NUMBER,
	CO_EMPTY,
	CO_MSGID,  /* inode.time.pid in hexadecimal */
	CO_RET,    /* F, H or nothing */
	CO_NOTIFY, /* any of S F D N */
	CO_RESULT, /* recipient time [more] */
	CO_INFO,   /* recipient letter text */
};

struct co_letter {
	char letter;
	uint8_t value;    /* enum co_value */
	const char *name; /* for people */
};

#define CO_LETTERS 30u
extern const struct co_letter co_letters[CO_LETTERS];

/* --- Names ------------------------------------------------------------------- */

/* An id: INODE (in msgs/), INODE.TIME (in msgq/), INODE or INODE.BATCH (in tmp/). */
struct co_id {
	uint64_t inode;
	uint64_t time;    /* 0 = none */
	uint64_t batch;   /* 0 = none */
	size_t stem;      /* bytes of the inode's number */
};
bool co_id(const char *id, size_t len, struct co_id *id_r);

/* Where role `role` of a queued message lies, below the root; its length, 0 = does not fit. */
size_t co_queue_path(unsigned place, unsigned role, const struct co_id *id, char *buf, size_t cap);

/* --- A control file ------------------------------------------------------------ */

struct co_line {
	uint64_t off, len;  /* with the newline */
	char letter;
	struct cur value;   /* without the newline */
	bool ended;         /* there was a newline */
};

/* The text that Courier sees: up to the first zero byte. */
struct cur co_text(const struct part *p);

/* The next line with anything in it; false at the end. */
bool co_next(struct cur *c, struct co_line *line);

/* Index into co_letters, CO_LETTERS = unknown. */
unsigned co_find(char letter);

/* Leading digits, as Courier reads times; UINT64_MAX when they are too many. */
uint64_t co_digits(struct cur *c);

/* The same as strtotime() of courier/libs/comstrtotime.c has it, which does not know of too many:
 * what is left of the sum in 64 bits, as on all machines of today; negative where it comes out so. */
int64_t co_expires(struct cur value);

/* All of it is a decimal number of at most 19 digits. */
bool co_number(struct cur value, uint64_t *n_r);

/* "recipient time ..." or "recipient letter ...": the recipient's number; false when it is not so. */
bool co_index(struct cur value, bool time, uint64_t *n_r);

/* What atoi() makes of it: what is left in 32 bits; UINT64_MAX when that is negative. */
uint64_t co_atoi(struct cur value);

/* hex.hex.hex; the second is the time. */
bool co_msgid(struct cur value, int64_t *time_r);

/* What the records of a control file say together. */
struct co_sum {
	uint64_t senders, recipients, originals, notifies; /* how many s, r, R, N */
	uint64_t order;            /* offset of the first r, R, N that is out of turn */
	bool disorder;
	uint64_t attempts;         /* C records */
	bool has_expiry, has_msgid, has_next, has_delay, cancelled;
	struct co_line expiry;     /* the first E */
	int64_t expires;       /* as courierd reads it */
	struct co_line next;       /* the last A */
	uint64_t next_time;
	struct co_line delay;      /* the first L */
	uint64_t delay_time;
	int64_t arrival;           /* from M, 0 = unknown */
	struct cur sender;
	uint64_t done;             /* recipients with S or F */
	uint8_t is_done[CO_TRACKED / 8];
};

/* `s` is zeroed and filled. */
void co_sum(const struct part *p, struct co_sum *s);
bool co_is_done(const struct co_sum *s, uint64_t recipient);

/* All that is left of the cursor, as text. */
void co_say(struct text *t, struct cur c);

/* --- check() ----------------------------------------------------------------------- */

struct co_work {
	const struct message *m;
	struct report *r;
	const struct co_sum *s;
	struct co_id id;
};

/* A finding about one record of the control file. */
struct finding *co_note(const struct co_work *w, enum finding_id id, const struct co_line *line,
			const char *expected);

/* All records, each alone and together. */
void co_check_records(const struct co_work *w);

/* The envelope as far as it can be read: the first recipient who is not done. */
void co_put_envelope(const struct co_work *w);

/* --- The format's functions ------------------------------------------------------ */

struct co_check {
	uint8_t phase;
	uint64_t zeros;   /* bytes of the text that are known to be zero, from the start */
	struct co_sum sum;
};

enum step co_check(void *scratch, const struct message *m, struct report *r, struct want *w);

/* Is the file of role 0 older than what courierd is about to move on? */
bool co_settled(const struct message *m);

struct co_show {
	uint8_t phase;
	uint64_t pos;
	unsigned rows;
};

enum step co_decode(void *scratch, const struct message *m, struct row *row, struct want *w);
enum step co_body(void *scratch, const struct message *m, struct run *run, struct want *w);

#endif
