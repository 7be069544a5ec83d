/*
 * finding.h - what a check can say about a message
 *
 * The catalogue is findings.def: one line gives the number, the stable name,
 * severity, impact and the sentences; this header, `spoolck findings` and the
 * manual page are derived from it. Parsers pass numbers and values, never
 * sentences.
 */
#ifndef FINDING_H
#define FINDING_H

#include "cursor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Only SEV_CORRUPT may move mail. */
enum severity { SEV_NOTICE, SEV_SUSPECT, SEV_CORRUPT };

/* What the server does with such a file, from harmless to worst. */
enum impact {
	IMPACT_NONE,
	IMPACT_DAMAGED_DELIVERY, /* sent damaged, twice, or not as written */
	IMPACT_STRANDED,         /* stays for ever, silently */
	IMPACT_SERVER_DELETES,   /* the server deletes it, or puts it aside for good, unsent */
	IMPACT_SERVER_STOPS,     /* a daemon dies, loops or hangs */
};

#define IMPACT_COUNT (IMPACT_SERVER_STOPS + 1)

enum finding_id {
#define FINDING(id, name, severity, impact, text, server, todo) F_##id,
#include "findings.def"
#undef FINDING
	F_COUNT
};

struct finding_def {
	const char *name;   /* stable: "postfix.record-overrun" */
	enum severity severity;
	enum impact impact; /* the default; a finding may carry another */
	const char *text;   /* what is wrong, one sentence without a full stop */
	const char *server; /* what the server does with such a file */
	const char *todo;   /* what the postmaster does */
};

/* The definition of `id`; NULL when it is not below F_COUNT. */
const struct finding_def *finding_def(unsigned id);

/* Stable words of the report and of JSON: "corrupt", "server-stops", ...
 * "?" for a value outside of the enum. */
const char *severity_name(enum severity s);
const char *impact_name(enum impact i);

/* Short text of a parser: bytes, not a string; may hold anything that the
 * message held, so whoever prints it escapes it. Silently cut when full. */
#define TEXT_MAX 80
struct text {
	uint8_t len;
	uint8_t bytes[TEXT_MAX];
};

/* Append a string, a number, bytes of the message. */
/*@ requires \valid(t) && valid_read_string(s);
    assigns t->len \from *t, s[0 .. TEXT_MAX];
    assigns t->bytes[0 .. TEXT_MAX - 1] \from *t, s[0 .. TEXT_MAX];
    ensures \old(t->len) <= t->len <= \max(\old(t->len), TEXT_MAX);
*/
void text_str(struct text *t, const char *s);
/*@ requires \valid(t);
    assigns t->len \from t->len, n;
    assigns t->bytes[0 .. TEXT_MAX - 1] \from *t, n;
    ensures \old(t->len) <= t->len <= \max(\old(t->len), TEXT_MAX);
*/
void text_u64(struct text *t, uint64_t n);
/*@ requires \valid(t);
    assigns t->len \from t->len, n;
    assigns t->bytes[0 .. TEXT_MAX - 1] \from *t, n;
    ensures \old(t->len) <= t->len <= \max(\old(t->len), TEXT_MAX);
*/
void text_i64(struct text *t, int64_t n);
/*@ requires \valid(t) && \valid_read(p + (0 .. n - 1));
    requires \separated(t, p + (0 .. n - 1));
    assigns t->len \from t->len, n;
    assigns t->bytes[0 .. TEXT_MAX - 1] \from *t, n, p[0 .. n - 1];
    ensures t->len == \max(\old(t->len), \min(\old(t->len) + n, TEXT_MAX));
    ensures \forall integer i; 0 <= i < t->len - \old(t->len) ==>
      t->bytes[\old(t->len) + i] == p[i];
    ensures \forall integer i; 0 <= i < \old(t->len) && i < TEXT_MAX ==> t->bytes[i] == \old(t->bytes[i]);
*/
void text_bytes(struct text *t, const uint8_t *p, size_t n);

/* Append what is left of the cursor, which stays where it is; nothing after a failure. */
/*@ requires \valid(t);
    requires cur_valid(c);
    requires \separated(t, c) && \separated(t, c->buf + (0 .. c->len - 1));
    assigns t->len \from t->len, c->len, c->pos, c->err;
    assigns t->bytes[0 .. TEXT_MAX - 1] \from *t, c->len, c->pos, c->err, c->buf[0 .. c->len - 1];
    ensures \let n = c->err == CUR_OK ? c->len - c->pos : 0;
      t->len == \max(\old(t->len), \min(\old(t->len) + n, TEXT_MAX));
    ensures \forall integer i; 0 <= i < t->len - \old(t->len) ==>
      t->bytes[\old(t->len) + i] == c->buf[c->pos + i];
*/
void text_left(struct text *t, const struct cur *c);

/* Append seconds since 1970 as " (2026-11-20T07:31:00Z)"; nothing when they are not within
 * the years 1970 to 9999. */
void text_time(struct text *t, int64_t sec);

/* What leaves the spool when the finding moves mail. */
enum unit { UNIT_MESSAGE, UNIT_PART };

struct finding {
	uint16_t id;         /* enum finding_id */
	uint8_t severity;    /* enum severity */
	uint8_t impact;      /* enum impact */
	uint8_t unit;        /* enum unit */
	uint8_t part;        /* index into the message's parts */
	uint64_t offset;     /* in that part */
	uint64_t length;     /* bytes concerned, 0 = a place between bytes */
	int64_t deadline;    /* seconds since 1970 when the server deletes the message for it; 0 = not
	                      * known, or as soon as it meets it */
	struct text field;   /* "size record, field 2 (data offset)" */
	struct text expected;
	struct text found;
};

/* All that check() says of one message. A flood ends in `more`. */
#define REPORT_MAX 16
#define ADDRESS_MAX 255
struct report {
	unsigned count;
	uint64_t more;       /* findings that found no room */

	/* The envelope as far as it could be read. */
	bool has_sender, has_arrival;
	uint16_t sender_len, recipient_len;
	uint8_t sender[ADDRESS_MAX];       /* empty and has_sender = null sender */
	uint8_t recipient[ADDRESS_MAX];    /* the first one still to do */
	uint64_t recipients;               /* still to do */
	uint64_t recipients_done;
	int64_t arrival;                   /* seconds since 1970 */

	struct finding spare; /* what report_add() hands out when all is full */
	struct finding findings[REPORT_MAX]; /* last, so that a copy can end with its count */
};

/* Make a report empty; the room for findings is left as it is. */
static inline void report_reset(struct report *r)
{
	r->count = 0;
	r->more = 0;
	r->has_sender = r->has_arrival = false;
	r->sender_len = r->recipient_len = 0;
	r->recipients = r->recipients_done = 0;
	r->arrival = 0;
}

/* Add a finding with the severity and impact of its definition; returns it for
 * more detail. Never NULL: when the report is full, a worse finding takes the
 * place of the mildest one, and anything else lands in a spare that is counted
 * in `more`. */
struct finding *report_add(struct report *r, enum finding_id id, unsigned part, uint64_t offset,
			   uint64_t length);

/* Order the findings: the most severe first, then the worst impact, then by offset. */
void report_sort(struct report *r);

#endif
