/*
 * deep.h - a second look, into the text of a message
 *
 * Only with --deep, and only after the structural check: its verdict stands whatever happens here. The text
 * is put together in the worker as body() says, mime.h finds its parts and refuses what is built to exhaust,
 * and what is left is read by GMime.
 */
#ifndef DEEP_H
#define DEEP_H

#include "bounds.h"
#include "format.h"

/* Bytes of the text that are looked into; the rest is not (deep.text-large). Larger than the usual limit
 * of servers. No transfer encoding makes a text larger, so this bounds decoded bytes, too. */
#define DEEP_TEXT_MAX (64u << 20)

/* CPU time that one message may take, in milliseconds; the reader's deadline bounds the time on the wall. */
#ifndef DEEP_CPU_MS
#define DEEP_CPU_MS 3000
#endif

#define DEEP_WORDS 250 /* bytes of a decoded header field that are kept */
#define DEEP_NODES 40  /* parts that are told; all are looked at */

struct deep_words {
	uint8_t len;
	uint8_t bytes[DEEP_WORDS]; /* UTF-8 without control characters */
};

/* A part, in the order of the text. */
struct deep_node {
	uint8_t depth;         /* 0 = the message */
	bool damaged;          /* a finding above notice is about it */
	uint64_t offset, size; /* of its bytes, without its header, in the text */
	struct text type;      /* as it stands there; empty: the default */
};

/* What a deep pass says of a message. */
struct deep {
	struct report report;  /* its findings; parts and offsets are of files */
	bool parsed;           /* GMime has read it; else the words below are empty */
	bool has_date;
	int64_t date;          /* seconds since 1970 */
	uint64_t to;           /* addresses in To, Cc and Bcc */
	uint64_t text;         /* bytes of the text */
	struct deep_words subject, from, message_id;
	uint64_t more;         /* parts that found no room in nodes */
	unsigned count;
	struct deep_node nodes[DEEP_NODES]; /* last, so that a copy can end with its count */
};

/* Before the door closes: load GMime and its character sets, libmagic and its database, and make room. 0 or a negative errno;
 * *what_r names the step, or what the loader said. */
int deep_prepare(const char **what_r);

/* Forget the text of the message before. */
void deep_reset(void);

/* Append to the text; false when there is no room for all of it. */
bool deep_put(const uint8_t *bytes, size_t len);

/* Look into nothing: an empty answer, for findings of others. */
void deep_nothing(struct deep *d);

/* Look into the text. Offsets of findings are of the text, their part is 0. */
void deep_look(struct deep *d);

/* --- Between the files of the deep pass ------------------------------------------ */

/* gmime.c: load the library; as deep_prepare(). */
int gmime_load(const char **what_r);

/* Read the text and fill in what the header says. The number of parts that GMime sees, -1 = none. */
long gmime_read(const uint8_t *text, size_t len, struct deep *d);

/* Is this name of a character set one whose converter was opened before the door closed? */
bool gmime_knows_charset(const uint8_t *name, size_t len);

/* The CPU time of this process, in milliseconds. A system call where the door lets no other clock through. */
int64_t deep_clock(void);

/* Has the message had its CPU time? */
bool deep_late(void);

#endif
