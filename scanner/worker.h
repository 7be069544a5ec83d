/*
 * worker.h - the confined process that looks at bytes, and the zygote it comes from
 *
 * The zygote is forked before any mail was read, becomes an unprivileged user
 * and waits. Whoever holds its socket sends it the two descriptors that a
 * worker needs; the worker's first words come over its own channel. Nobody but
 * a worker ever looks at the bytes of a message.
 */
#ifndef WORKER_H
#define WORKER_H

#include "format.h"
#include "bounds.h"

#include <sys/types.h>

enum lane_verb { VERB_CHECK, VERB_DECODE, VERB_BODY, VERB_DEEP, VERB_CONTENTS };

/* A half of lane memory: written by a reader, mapped read-only by its worker. Offsets
 * count from the head. */
struct lane_part {
	uint64_t ino, size, off; /* the window begins at `off` of the part */
	uint64_t unwritten;      /* struct part */
	int64_t mtime;
	uint32_t mode, uid, gid, nlink;
	uint32_t data, len;      /* the window: offset in lane memory, bytes */
	uint32_t name, name_len; /* of a named stream; offset, 0 = none */
};

struct lane_message {
	uint32_t place, path, id, id_len; /* path, id: offsets in lane memory */
	bool more_streams;       /* struct message */
	struct lane_part parts[PARTS_MAX];
};

struct lane_head {
	uint32_t format;         /* index into formats[] */
	uint32_t verb;           /* enum lane_verb */
	uint32_t count;          /* messages in this batch */
	bool force;              /* struct message */
	struct site site;
	uint32_t messages[BATCH_MAX]; /* offsets of struct lane_message */
};

/* What one byte to a worker means. */
#define WORKER_GO 'G'    /* plus 0 or 1: a new batch is in this half of lane memory; after ANSWER_WANT: the window is there */

/* What a worker and its zygote say first. */
struct worker_hello {
	char kind;       /* HELLO_PID: from the zygote, with a pidfd; HELLO_READY: from the worker */
	int32_t error;   /* negative errno of a sandbox step that failed, 0 = ready */
	char what[60];   /* the step */
};
#define HELLO_PID 'P'
#define HELLO_READY 'R'

/* Start the zygote, `deep`: one whose workers can look into messages, too. Returns the socket through which workers
 * are asked for, or a negative errno (-ELIBACC: GMime is not there); *landlock_r = Landlock's ABI or 0; *what_r
 * names the step that failed. */
int zygote_start(bool deep, int *landlock_r, const char **what_r);

/* What the zygote is asked for. */
#define ZYGOTE_WORKER 'W' /* a worker that maps the lane memory `with` (LANE_BYTES) */
#define ZYGOTE_DEEP 'D'   /* the same, for VERB_DEEP and VERB_CONTENTS and nothing else */
#define ZYGOTE_VOLUME 'V' /* a volume server that reads `with`, an image or a block device */

/* Ask for one that talks over `channel`, a SOCK_SEQPACKET whose other end the caller keeps. Both
 * descriptors stay the caller's. */
int zygote_ask(int zygote, char kind, int channel, int with);

/* The worker's life behind the closed door; never returns. */
_Noreturn void worker_main(const uint8_t *memory);

#endif
