/*
 * iis.h - what the files of the IIS format share (see fmt_iis.c)
 *
 *	fmt_iis.c        the layout, places and names, the format
 *	iis_field.c      header fields and addresses
 *	iis_check.c      check(): the order of things, the text from its first to its last byte
 *	iis_stream.c     check(): property streams, as far as that needs no layout
 *	iis_layout.c     check(): a property stream by the layout that the operator gave
 *	iis_submit.c     check(): files for Pickup and Replay
 *	iis_props.c      X-ExtendedProps: base64 and tokens
 *	iis_show.c       decode() and body()
 *
 * Nothing outside of these files includes this header.
 */
#ifndef IIS_H
#define IIS_H

#include "cursor.h"
#include "format.h"

/* --- Limits, each with its reason ----------------------------------------- */

#define IIS_SECTOR 512u           /* what a disk loses at a time, at least */
#define IIS_BLOCK 4096u           /* a cluster, as volumes are made by default */
#define IIS_BLOCK_CONTROLS 256u   /* control characters in a block of which text has none: noise has 400 */
#define IIS_BLOCK_CLEAN 16u       /* so few are in the block before, so many in its first sector: noise has 50 */
#define IIS_HEADER_MAX (512u << 10) /* bytes of a file in which its header has to end */
#define IIS_FRESH 60              /* seconds in which a file is still being written */
#define IIS_SETTLED 900           /* ... in which an SMTP session may be about to add to it */
#define IIS_PICKUP_HEADER (64u << 10) /* Exchange: header of a file in Pickup, by default */
#define IIS_PICKUP_RECIPIENTS 100u    /* ... its recipients */
#define IIS_PROPERTIES_MOST UINT32_MAX /* IMailMsgPropertyStream counts with 32 bits */
#define IIS_ADDRESSES 16u         /* addresses of the header that are looked for in a stream */

/* --- Places, parts ------------------------------------------------------------ */

enum iis_place { IIS_QUEUE, IIS_PICKUP, IIS_REPLAY, IIS_DROP, IIS_BADMAIL, IIS_PLACES };

enum iis_role {
	IIS_TEXT,
	IIS_STREAM,                 /* the first of them */
	IIS_STREAM_END = IIS_STREAM + 5,
	IIS_BDP = IIS_STREAM_END,
	IIS_BDR,
	IIS_ROLES
};

/* --- Header fields ---------------------------------------------------------------- */

enum iis_line {
	IIS_FIELD,     /* a field, with all its lines */
	IIS_BODY,      /* the empty line; it was stepped over */
	IIS_NO_FIELD,  /* a line that is none; it was not stepped over */
	IIS_END,       /* nothing is left */
};

struct iis_field {
	uint64_t off, len;    /* of all of it */
	struct cur name, value; /* value: with folds, without the last line end */
};

/* The next field. */
enum iis_line iis_field(struct cur *c, struct iis_field *f);

/* Is the field called so (lower case)? */
bool iis_is(const struct iis_field *f, const char *name);

/* The same bytes, letters in any case; `word` is in lower case. Moves over them when they are. */
bool iis_word(struct cur *c, const char *word);

/* The next address, local@domain, in any text; false when there is none. */
bool iis_address(struct cur *c, struct cur *address);

/* What stands in the first <...>, else without blanks around it. */
struct cur iis_path(struct cur value);

/* --- X-ExtendedProps ----------------------------------------------------------------- */

enum iis_props_end {
	IIS_PROPS_TOKEN,      /* one token, more may follow */
	IIS_PROPS_SOUND,      /* the block ends behind a value */
	IIS_PROPS_NO_VALUE,   /* ... behind a key */
	IIS_PROPS_OVERRUN,    /* a length or count that the block has no room for */
	IIS_PROPS_TYPE,       /* a type that is not known, so nobody knows where it ends */
	IIS_PROPS_BASE64,     /* a byte that is none of base64, or bytes behind its end */
};

#define IIS_PROPS_VIEW 48

/* A block, read token by token. */
struct iis_props {
	struct cur text;      /* the base64 that is left */
	uint64_t left;        /* bytes of the block */
	uint32_t bits;        /* decoded and not yet taken */
	uint8_t nbits;
	bool broken, value;   /* value: a key was read, its value is next */
};

struct iis_token {
	uint64_t off, len;    /* in the file: base64 from the first to the last byte of the token */
	uint64_t declared, room; /* IIS_PROPS_OVERRUN: what the length says, what is there */
	uint16_t type;
	bool value;           /* not a key */
	uint64_t number;      /* of types that are numbers */
	uint8_t nview;
	uint8_t view[IIS_PROPS_VIEW]; /* first bytes of the value */
};

struct iis_props iis_props(struct cur base64);
enum iis_props_end iis_props_next(struct iis_props *p, struct iis_token *t);

/* The base64 of a field X-ExtendedProps, or of the parameter in an X-Receiver; false when there is none. */
bool iis_props_of(const struct iis_field *f, struct cur *base64);

/* --- check() ----------------------------------------------------------------------------- */

struct iis_check {
	uint8_t phase;
	bool binary;          /* the text says that it may hold any byte */
	uint8_t match;        /* of "transfer-encoding:binary" */
	uint8_t tail;         /* the last byte, when pos > 0 */
	uint64_t pos;
	uint64_t zeros, first_zero; /* zero bytes */
	uint64_t run;         /* zero bytes just before pos */
	uint64_t hole, hole_len; /* the longest run that is a hole */
	uint32_t controls;    /* in the block of pos */
	uint32_t first;       /* ... in its first sector */
	uint32_t before;      /* ... in the block before it */
	bool noise;           /* the one before it is no text, and begins where a block does */
	uint8_t header;       /* of "Received: from ", with which a block begins in the middle of a word */
	uint64_t other;       /* the first block that does, 0 = none */
	uint64_t foreign, foreign_blocks; /* the first block that is no text, and how many are not */
	struct layout_scratch layout;
	struct report by_layout; /* what it said */
};

struct iis_work {
	const struct message *m;
	struct report *r;
	struct iis_check *k;
	struct cur head;      /* the file's first bytes */
};

static inline bool iis_present(const struct message *m, unsigned role)
{
	return m->parts[role].mode != 0;
}

/* The server has refused the file, and renamed it where it lies. */
bool iis_is_refused(const struct message *m);

/* Nobody is about to add to it. */
bool iis_settled(const struct message *m);

struct finding *iis_note(const struct iis_work *x, enum finding_id id, unsigned part, uint64_t offset,
			 uint64_t length);

/* The stream roles. */
void iis_check_streams(const struct iis_work *x);

/* Is there a layout for this stream, which is all at hand? */
bool iis_has_layout(const struct message *m, unsigned role);
void iis_check_layout(const struct iis_work *x, unsigned role);

/* A file in Pickup or Replay; Drop: its envelope. */
void iis_check_submission(const struct iis_work *x);

/* All that is left of the cursor, as text. */
void iis_say(struct text *t, struct cur c);

enum step iis_check(void *scratch, const struct message *m, struct report *r, struct want *w);

/* --- decode(), body() ------------------------------------------------------------------------ */

struct iis_show {
	uint8_t phase, part;
	uint64_t pos;
	unsigned rows;
	bool props;           /* tokens of the field at pos are being listed */
	struct iis_props block;
	uint64_t block_at, block_end;
	struct layout_show layout;
};

enum step iis_decode(void *scratch, const struct message *m, struct row *row, struct want *w);
enum step iis_body(void *scratch, const struct message *m, struct run *run, struct want *w);

#endif
