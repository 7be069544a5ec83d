/*
 * bounds.h - every limit of the scanner, with its reason
 */
#ifndef BOUNDS_H
#define BOUNDS_H

#include "format.h"

/* Names that travel together from the coordinator to a lane: few enough that
 * both cores stay busy to the end, many enough that a wake-up costs nothing. */
#define JOB_NAMES_MAX 256
#define JOB_BYTES_MAX 32768

/* Messages that are checked in one go, and the bytes of theirs that are read
 * before the worker is woken: they should still be in the cache. */
#define BATCH_MAX 128
#define BATCH_BYTES (512u << 10)

/* Lane memory: two halves, so that one is filled while the other is looked into. Each has room for one whole
 * part of the largest size, or one batch and a bit. Only touched pages count. */
#define LANE_HALF (WHOLE_MAX + (2u << 20))
#define LANE_BYTES (2 * LANE_HALF)

/* A frame between processes. The kernel's default for a local socket buffer is
 * 208 KiB; several frames should fit. */
#define FRAME_MAX 65536

/* Answer of a worker about one message: REPORT_MAX findings with all texts full
 * need less than half of it. */
#define ANSWER_MAX 16384

/* Unpacked text travels in pieces of this size. */
#define BYTES_MAX 8192

/* A worker serves so many messages, then a fresh one takes its place: damage
 * that one message does to it does not last. */
#define WORKER_MESSAGES 20000

/* A worker has this long for one batch or one window, in milliseconds. A
 * healthy batch takes about one. */
#ifndef WORKER_DEADLINE_MS
#define WORKER_DEADLINE_MS 10000
#endif

/* A message that would stay for ever is looked at again after so long: a server that is
 * deleting it would be done. */
#define CONFIRM_AFTER_MS 700

/* A reader that says nothing for so long hangs in the file system. */
#define READER_DEADLINE_MS 30000

/* A run that is told to end ends within a second: what readers are at work on may take so long, of the first
 * look and of the second one; and this is how often the coordinator looks up from a wait. */
#define CANCEL_GRACE_MS 200
#define LOOK_UP_MS 100

/* Bytes that a stream part may cost, as a multiple of its size plus a constant:
 * a chain of pointers must not make us read a file ten thousand times. */
#define STREAM_FACTOR 4
#define STREAM_EXTRA (64ull << 20)

/* Text that one compressed part may unpack to: larger than any mail, and unpacked in a few seconds. A window of
 * packed bytes gives 1032 times as much at most. */
#define UNPACKED_MAX (256ull << 20)

/* Worker's stack; parsers need a few KiB (t/purity.t prints how much). */
#define WORKER_STACK (1u << 20)

/* What a worker may allocate, CPU seconds in its life. */
#define WORKER_MEMORY (256u << 20)
#define WORKER_CPU_SECONDS 300

/* A volume server keeps the index of a directory in memory (8 MiB for one of 30,000 files), and lives as long as
 * the scan: so it may have more. It has WORKER_DEADLINE_MS for one answer, too. */
#define VOLUME_MEMORY (512u << 20)
#define VOLUME_CPU_SECONDS 3600

/* Lanes: one per core, but a host with 64 cores does not need 64. */
#define LANES_MAX 16

/* Hash directories are followed this deep at most. */
#define DEPTH_MAX 10

/* ... and a message that moved on is looked for this deep, or as deep as it was listed: a
 * busy server delivers thousands while we look, and each costs a search. */
#define DEPTH_USUAL 2

/* Files that one move takes besides the message's own: q_move() has room for 64. */
#define MOVE_PARTS 63

/* The unattended brake: this many messages, this share of the spool. */
#define BRAKE_MESSAGES 10
#define BRAKE_SHARE 10 /* percent */

/* The brake for every run: more than so many messages AND more than a third of
 * the spool with the same finding is taken for our own error. */
#define BRAKE_SAME 3

/* A log of a message that is gone is stale only after this many seconds. */
#define STALE_LOG_SECONDS 3600

#endif
