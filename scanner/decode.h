/*
 * decode.h - the text of a compressed part, inside the worker
 *
 * A format with a role that is `unpacked` gets, beside the file of its anchor, a part that no
 * file holds: the text that the anchor's gzip stream unpacks to. It is read through windows like
 * any other part. Everything here runs behind the closed door, in memory that was there before:
 * no call of the system, no allocation.
 */
#ifndef DECODE_H
#define DECODE_H

#include "format.h"

/* Where the packed bytes come from: makes the window of the packed part begin at `off` and answers
 * that part. Only called for off below its size; a window that is empty ends the stream. */
typedef const struct part *decode_source(void *arg, uint64_t off);

/* Unpack once from end to end to learn size and state: `text_r` becomes the part, with the facts of
 * the packed one, and as many bytes from the start as one window holds. */
void decode_open(const struct part *packed, decode_source *source, void *arg, struct part *text_r);

/* Move the window of the part that decode_open() made; what the packed part was then, it must
 * still be. */
void decode_window(const struct want *want, struct part *text);

#endif
