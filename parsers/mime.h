/*
 * mime.h - how a message's text is divided (RFC 5322, RFC 2045, RFC 2046)
 *
 * The text lies in flat memory, without the envelope; lines end in LF or CR LF. What is found is put into a
 * report, each kind once, with offsets in the text; whoever knows where the text lies in files corrects
 * part and offset. Nothing here decodes: a library does, and this pass runs before it and refuses what
 * could exhaust one. All limits are far beyond mail that people or programs send:
 */
#ifndef MIME_H
#define MIME_H

#include "cursor.h"
#include "finding.h"

#define MIME_DEPTH 100               /* nested multiparts and messages; Postfix and Dovecot stop there, too */
#define MIME_PARTS 10000             /* as Dovecot's limit */
#define MIME_HEADERS 2000            /* fields of one header block */
#define MIME_BLOCK (1u << 20)        /* bytes of one header block; Exim's header_maxsize */
#define MIME_HEADER_BYTES (8u << 20) /* of all header blocks of a message */
#define MIME_FIELD (512u << 10)      /* bytes of one field */
#define MIME_PARAMETERS (32u << 10)  /* bytes of one Content-Type or other field with parameters */
#define MIME_BOUNDARY 250            /* RFC 2046 allows 70 */
#define MIME_ADDRESSES 10000         /* of all address fields of a message */
#define MIME_GROUPS 500              /* of addresses, one in the other: RFC 5322 knows one level */

enum mime_kind { MIME_LEAF, MIME_MULTIPART, MIME_MESSAGE };
enum mime_encoding { MIME_PLAIN, MIME_BINARY, MIME_BASE64, MIME_QUOTED, MIME_OTHER };

/* A stretch of the text. */
struct mime_span {
	uint64_t at;
	uint32_t len;
};

/* A part, in the order of the text; node 0 is the message itself. */
struct mime_node {
	uint64_t header, body, end; /* offsets; the line end before a boundary belongs to the boundary */
	uint32_t parent;            /* of node 0: 0 */
	uint8_t depth;              /* 0 = the message */
	uint8_t kind;               /* enum mime_kind */
	uint8_t encoding;           /* enum mime_encoding */
	bool closed;                /* a multipart: its end boundary was there */
	bool damaged;               /* a finding is about it */
	struct mime_span type;      /* "text/plain"; empty: the default */
	struct mime_span charset;   /* the parameter's value as it stands there; empty: none */
	uint64_t declared;          /* bytes of the file, by the sender (RFC 2183 2.7); 0: not said, or of a text */
};

/* A multipart whose boundary counts. */
struct mime_open {
	uint32_t node;
	bool seen, ended;
	uint8_t len;              /* of its boundary */
};

/* The pass over one text. */
struct mime {
	struct cur text;          /* all of it; its position is where the pass is */
	struct mime_node *nodes;  /* room for MIME_PARTS, the caller's */
	struct report *report;    /* the caller's */
	unsigned count, now;      /* nodes; the one in work */
	unsigned depth;           /* of open[] */
	struct mime_open open[MIME_DEPTH];
	uint8_t boundary[MIME_DEPTH][MIME_BOUNDARY];
	uint64_t header_bytes, addresses;
	uint64_t said[2];         /* bit per finding of these files, counted from the first */
	bool exhausted;           /* a budget is spent: no library is to see this */
	bool partial;             /* the text goes on behind what is here */
	bool cut;                 /* the text ends inside of a multipart */
	bool again, again_open;   /* a part began behind the end of its multipart; and no end came again */
	uint64_t again_at;
	unsigned again_node;
};

/* Find the parts of the text and what is wrong with its lines; `partial`: it goes on. False when a budget is spent; the report says
 * which, and the nodes are those found before. */
bool mime_scan(struct mime *m, const uint8_t *text, size_t len, bool partial, struct mime_node *nodes,
	       struct report *report);

/* Look at the bytes of the parts that hold no others: do their transfer encodings hold? */
void mime_leaves(struct mime *m);

/* --- Between the files of this pass ----------------------------------------------- */

/* Report a finding, once for each message; NULL when it was said before. `node` is marked as damaged unless
 * the finding is a notice. */
struct finding *mime_say(struct mime *m, enum finding_id id, unsigned node, uint64_t at, uint64_t length);

/* A budget is spent: say so, once, and stop. */
void mime_exhaust(struct mime *m, enum finding_id id, uint64_t at, uint64_t limit);

/* A line, taken from the text: without its end. */
struct mime_line {
	uint64_t at;
	struct cur bytes;
	bool ended;               /* there was a line end */
};
struct mime_line mime_line(struct cur *text);

/* The part that holds `node`: it stands before it, so going up ends. Of the message: the message. */
static inline unsigned mime_parent(const struct mime *m, unsigned node)
{
	unsigned parent = m->nodes[node].parent;

	return parent < node ? parent : 0;
}

/* Is the line a boundary of an open multipart? Its index in open[], -1 = no; *end_r = it is the closing one. */
int mime_boundary(const struct mime *m, const struct mime_line *line, bool *end_r);

/* A parameter's value, without quotes. */
struct mime_value {
	uint8_t bytes[MIME_BOUNDARY];
	size_t len;               /* may be more than there is room for */
	struct mime_span where;
	bool open;                /* a quote without its end */
};

/* mime_parameter.c: step over blanks and comments; take a word; find the next parameter, false = there is none. */
void mime_skip_comments(struct cur *c);
struct cur mime_token(struct cur *c);
bool mime_parameter(struct cur *c, struct cur *name_r, struct mime_value *v);

/* mime_field.c: read the header block of the node in work; afterwards kind, encoding, type and body are
 * known, `boundary` (MIME_BOUNDARY bytes) has *len_r bytes. The position is behind the block. */
void mime_header(struct mime *m, uint8_t *boundary, size_t *len_r);

#endif
