/*
 * severity.h - severities that the operator changed
 *
 * As fsck.<msg-id> of git: the name of a finding and a word. A checker knows nothing of it;
 * the coordinator applies the rules to each report as it comes in, before any verdict.
 *
 * What may be said:
 *   notice, suspect    instead of what the finding has by itself. Where that is corrupt and the server
 *                      would stop or delete mail, a second word is needed: "suspect force"
 *   corrupt            only where it is so already: only a proven violation moves mail
 */
#ifndef SEVERITY_H
#define SEVERITY_H

#include "finding.h"

struct severity_rule {
	bool set;
	bool force;             /* even where the server stops or deletes */
	enum severity severity;
};

/* Rules of all findings. */
struct severity_rules {
	bool any;               /* false: nothing is set, so nothing to do */
	struct severity_rule of[F_COUNT];
};

/* The finding called `name`, or -1. */
int severity_finding(const char *name);

/* Set the rule of finding `id` from "suspect", "notice force"... NULL when it is set; else why not, a
 * phrase that goes on with what to write (g_free). */
char *severity_set(struct severity_rules *rules, unsigned id, const char *words);

/* The words of a rule that is set. */
const char *severity_words(const struct severity_rule *rule);

/* Change the findings of a report. A finding that is corrupt here and would stop the server or make it
 * delete mail is lowered by a rule with force only, whatever its definition says; none becomes corrupt. `rules`
 * may be NULL. */
void severity_apply(const struct severity_rules *rules, struct report *report);

/* Nothing that was found is proven: corrupt becomes suspect. */
void severity_doubt(struct report *report);

#endif
