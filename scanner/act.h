/*
 * act.h - moving one message of a spool into quarantine
 */
#ifndef ACT_H
#define ACT_H

#include "quarantine.h"
#include "scan.h"

/* How long an acting run waits for another one to finish with the same spool. */
#define LOCK_WAIT_MS 10000

/* Move the message of `o` (id, path, place and facts count) with its companions. The caller
 * holds the spool's lock and keeps the JSON values. On Q_MOVED o->entry is set, else
 * err->text. */
enum q_outcome act_move(const struct spool *spool, struct q_store *store, struct outcome *o,
			const char *reason, json_t *findings, json_t *envelope,
			struct q_error *err);

#endif
