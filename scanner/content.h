/*
 * content.h - what bytes are that should be mail
 *
 * A damaged part often holds something else: a piece of another file, a directory of the file
 * system, nothing at all. libmagic and some rules of our own give it a name for
 * people. It is a hint and no verdict: nothing is ever moved for it.
 *
 * libmagic also calls random bytes "OpenPGP Secret Key" (one in 25 random blocks gets some such name),
 * so its word counts only for the kinds in content.c's table, whose magic is unmistakable.
 */
#ifndef CONTENT_H
#define CONTENT_H

#include "finding.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* libmagic looks at so many bytes; what is known is known from the first few hundred. */
#define CONTENT_BYTES 8192u

enum content_kind {
	CONTENT_NOTHING,     /* there are no bytes */
	CONTENT_ZEROS,       /* zero bytes only */
	CONTENT_QUEUE_FILE,  /* how a file of some mail server's queue begins */
	CONTENT_MAIL,        /* how a mail message begins: header fields */
	CONTENT_FILE_SYSTEM, /* structures of a file system */
	CONTENT_PROGRAM,
	CONTENT_CORE,        /* memory of a process that crashed */
	CONTENT_ARCHIVE,     /* compressed data, archives, packages */
	CONTENT_IMAGE,
	CONTENT_DOCUMENT,    /* PDF, PostScript, OLE */
	CONTENT_DATABASE,
	CONTENT_TEXT,        /* of no kind that is known */
	CONTENT_BINARY,      /* ... the same */
	CONTENT_KINDS
};

struct content {
	enum content_kind kind;
	struct text name;    /* "gzip compressed data"; printable ASCII, without values out of the bytes */
};

/* Load libmagic and its database: once, before the door closes, without a look at HOME or MAGIC. 0 or -1,
 * and then *why_r names the step; content_identify() goes on without it, with our own rules. */
int content_open(const char **why_r);

/* Free it (tests). */
void content_close(void);

/* What `n` bytes at `p`, the beginning of a block or of a part, are. Never more than
 * CONTENT_BYTES of them are looked at. */
void content_identify(const uint8_t *p, size_t n, struct content *c);

/* Do these bytes begin like a file of a queue, or like a mail message? CONTENT_QUEUE_FILE,
 * CONTENT_MAIL or CONTENT_NOTHING. Without libmagic, cheap. */
enum content_kind content_mail(const uint8_t *p, size_t n, struct text *name);

/* Is this a kind that mail can be recognised not to be, whatever stands around it? */
bool content_foreign(enum content_kind kind);

/* Zero bytes only (n > 0)? */
bool content_zeros(const uint8_t *p, size_t n);

/* Have files of the media type `declared` ("image/png", not terminated, any case) an unmistakable beginning? */
bool content_certain(const char *declared, size_t len);

/* May a part with the media type `declared` that begins with these bytes be something of another world? False for
 * types that are not certain, and when they begin as they should: nobody else has to look then. */
bool content_doubtful(const char *declared, size_t len, const uint8_t *p, size_t n);

/* Can the kind not be what is declared? Programs that call a PNG image/jpeg are many, none calls a
 * program so in good faith. False whenever content_doubtful() must be. */
bool content_contradicts(const char *declared, size_t len, enum content_kind kind);

/* What libmagic was told of limits, in their order MAGIC_PARAM_*, for a test; 0 behind the last. */
extern const size_t content_limits[];

#endif
