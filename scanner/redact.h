/*
 * redact.h - a message that can be shown to a stranger
 */
#ifndef REDACT_H
#define REDACT_H

#include "salvage.h"

struct redaction {
	json_t *findings; /* of the masked message, those of the manifest (json_decref) */
	json_t *lost;     /* names of findings in the manifest that the message alone does not show: about its
			   * name, place or neighbours */
	json_t *alone;    /* names of findings that it has only because it is alone, a copy */
};

/* Mask the parts of the layout in place, ask a fresh worker about them, and compare. False with a
 * sentence in err: then nothing of it may be shown. */
bool redact(struct salvage *s, const json_t *manifest, struct redaction *r, struct q_error *err);

#endif
