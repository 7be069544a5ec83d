/*
 * sendmail.h - what the files of the Sendmail format share (see fmt_sendmail.c)
 *
 *	fmt_sendmail.c      the layout, places and names, the format
 *	sendmail_line.c     lines of a control file, numbers, addresses, headers
 *	sendmail_value.c    the rules of each record
 *	sendmail_check.c    check(): the whole message
 *	sendmail_show.c     decode() and body()
 *
 * Nothing outside of these files includes this header.
 */
#ifndef SENDMAIL_H
#define SENDMAIL_H

#include "cursor.h"
#include "format.h"

/* --- Limits, each with its reason ---------------------------------------- */

#define SM_NAME_MAX 20u         /* a longer name is passed over (MAXQFNAME 21, with its NUL) */
#define SM_ID_MAX (SM_NAME_MAX - 2)
#define SM_VERSION 8            /* newest V line that is known: written since 8.13 */
#define SM_ADDRESS_MAX 255u     /* MAXNAME 256; a longer one is refused */
#define SM_FIELD_MAX 100u       /* a longer header name is taken for the end of the header */
#define SM_MACRO_MAX 25u        /* MAXMACNAMELEN */
#define SM_YOUNG 600            /* seconds: Sendmail itself lets an empty qf alone for so long */
#define SM_DAY 86400
#define SM_FIRST 315532800      /* 1980: no Sendmail has queued anything before */
#define SM_BLOCK 4096u          /* of a disk: what a crash loses at once */
#define SM_SCAN_MAX (64u << 20) /* of a longer text only both ends are looked at for zeros */
#define SM_SMALL 512u           /* shorter files of zeros may have been mailed */

/* --- Layout ---------------------------------------------------------------- */

/* Control files lie in the queue directory, or in its subdirectory qf; three letters each. */
enum sm_place { SM_QF, SM_SUB_QF, SM_HF, SM_SUB_HF, SM_QF_LOST, SM_SUB_LOST, SM_DF, SM_XF, SM_PLACES };

/* The text and the transcript lie in the queue directory or in its subdirectories df and xf,
 * wherever the control file is. */
enum sm_role { SM_CONTROL, SM_DATA, SM_SUB_DATA, SM_SCRIPT, SM_SUB_SCRIPT, SM_TEMP, SM_ROLES };

/* --- Lines of a control file ------------------------------------------------- */

struct sm_line {
	uint64_t off, len;   /* with its line end and the lines that continue it */
	int letter;          /* its first byte; -1 = an empty line */
	struct cur value;    /* what follows, without the last line end */
	uint64_t nul;        /* offset of the first zero byte, UINT64_MAX = none */
	bool ended;          /* a line feed ends it */
	bool folded;         /* it is continued */
};

/* The next line; false at the end. Every call moves on. */
bool sm_next(struct cur *c, struct sm_line *line);

/* As atol() reads: blanks, sign, digits. `clean`: and nothing else. */
struct sm_number {
	int64_t n;           /* at the end of the range when it is out of it */
	bool some, clean, out_of_range;
};
struct sm_number sm_number(struct cur value);

/* The recipient of an R line. */
struct sm_recipient {
	bool colon;          /* flags and their colon are there, or not needed */
	bool odd_flag;       /* a letter that 8.17 does not know */
	struct cur address;
};
struct sm_recipient sm_recipient(struct cur value, int version);

/* Without what surrounds it: "<a@b>" is a@b. */
struct cur sm_bare(struct cur address);

/* Would nothing be left of it: no token outside of blanks and comments? A backslash with nothing
 * behind it is none either (8.17.1: such a recipient is dropped without a word). */
bool sm_address_void(struct cur address);

/* Can it be one address: quotes, brackets and comments closed, no control character, a local
 * part and a host on both sides of the @? What exactly is one the configuration decides. */
bool sm_address_good(struct cur address);

/* Does a line that continues this value look like a recipient? */
bool sm_swallows(struct cur value);

enum sm_header_state {
	SM_HEADER_GOOD,
	SM_HEADER_FLAGS,     /* the second ? is missing */
	SM_HEADER_CONDITION, /* between the ? stands neither letters nor one macro */
	SM_HEADER_COLON,     /* no name, or no colon behind it */
};

struct sm_header {
	enum sm_header_state state;
	struct cur name, value; /* the value with its first blank */
};
struct sm_header sm_header(struct cur value);

/* A macro's name: one character, or {letters, digits, _}. */
bool sm_macro(struct cur value);

bool sm_xtext(struct cur value);
bool sm_is(struct cur c, const char *word);   /* case does not matter */
bool sm_starts(struct cur c, const char *s);
bool sm_digits(struct cur c);                 /* one at least, and nothing else */

/* All that is left of the cursor, as text. */
void sm_say(struct text *t, struct cur c);

/* --- check() -------------------------------------------------------------------- */

struct sm_check {
	uint8_t phase;
	bool expects_text;      /* the header promises a text */
	uint64_t pos;           /* in the text */
	uint64_t run_at;        /* where the zeros that go on here began */
	bool in_run;
	uint64_t zeros, first_block;
};

enum sm_shelf { SM_ACTIVE, SM_QUARANTINED, SM_ASIDE };

/* What the lines of a control file say together. */
struct sm_work {
	const struct message *m;
	struct report *r;
	struct sm_check *k;
	enum sm_shelf shelf;
	bool newer;             /* the file or the server may be newer than what is known here */
	bool quiet;             /* nothing more is to be said */
	bool lost;              /* a line was refused: Sendmail reads no further */
	int version;            /* V, 0 = none yet */
	uint64_t seen;          /* bit by letter: it was there */
	uint64_t headers;
	struct sm_line waiting; /* Q or r, for the next R */
	bool has_waiting;
	bool other_place;       /* the text lies in another queue directory */
	uint64_t tailed;        /* recipients that go on in another line */
	bool any_line_end;
};

struct finding *sm_note(const struct sm_work *x, enum finding_id id, unsigned part, uint64_t off,
			uint64_t len);
struct finding *sm_note_line(const struct sm_work *x, enum finding_id id,
			     const struct sm_line *line);
/* ... with its value as what was found. */
struct finding *sm_note_value(const struct sm_work *x, enum finding_id id,
			      const struct sm_line *line, const char *expected);

/* The rule of a line's own record; sm_work keeps what concerns several. */
void sm_record(struct sm_work *x, const struct sm_line *line);

bool sm_seen(const struct sm_work *x, int letter);
enum sm_shelf sm_shelf(const struct message *m);

/* Which role has the text of this message; SM_CONTROL = none. */
unsigned sm_text(const struct message *m);

enum step sm_check(void *scratch, const struct message *m, struct report *r, struct want *w);

/* --- decode() and body() ----------------------------------------------------------- */

struct sm_show {
	uint8_t phase;
	bool title;
	int version;
	uint64_t pos;
	unsigned rows;
};

enum step sm_decode(void *scratch, const struct message *m, struct row *row, struct want *w);
enum step sm_body(void *scratch, const struct message *m, struct run *run, struct want *w);

#endif
