/* severity.c - severities that the operator changed */
#include "config.h"

#include "severity.h"

#include <glib.h>
#include <string.h>

#define FORCE "force"

int severity_finding(const char *name)
{
	for (unsigned id = 0; id < F_COUNT; id++)
		if (strcmp(finding_def(id)->name, name) == 0)
			return (int)id;
	return -1;
}

/* Would lowering it hide what stops the service or loses mail? */
static bool is_fatal(enum severity severity, enum impact impact)
{
	return severity == SEV_CORRUPT &&
	       (impact == IMPACT_SERVER_STOPS || impact == IMPACT_SERVER_DELETES);
}

char *severity_set(struct severity_rules *rules, unsigned id, const char *words)
{
	const struct finding_def *def = finding_def(id);
	g_auto(GStrv) word = g_strsplit_set(words, " \t", 2);
	bool force = word[0] != NULL && word[1] != NULL && strcmp(g_strstrip(word[1]), FORCE) == 0;
	int severity = -1;

	for (int s = SEV_NOTICE; word[0] != NULL && s <= SEV_CORRUPT; s++)
		if (strcmp(word[0], severity_name((enum severity)s)) == 0)
			severity = s;
	if (severity < 0 || (word[1] != NULL && !force))
		return g_strdup("notice, suspect or corrupt");
	if (severity == SEV_CORRUPT && def->severity != SEV_CORRUPT)
		return g_strdup_printf("corrupt moves mail, and this finding (%s) proves no damage; "
				       "at most suspect", severity_name(def->severity));
	if (severity < SEV_CORRUPT && is_fatal(def->severity, def->impact) && !force)
		return g_strdup_printf("this finding is corrupt with impact %s, and lowering it hides "
				       "that; if that is meant, write: %s " FORCE,
				       impact_name(def->impact), word[0]);
	rules->any = true;
	rules->of[id] = (struct severity_rule){ true, force, (enum severity)severity };
	return NULL;
}

const char *severity_words(const struct severity_rule *rule)
{
	static const char *const words[][2] = { { "notice", "notice " FORCE },
						{ "suspect", "suspect " FORCE },
						{ "corrupt", "corrupt " FORCE } };

	return words[rule->severity][rule->force];
}

void severity_apply(const struct severity_rules *rules, struct report *report)
{
	for (unsigned i = 0; rules != NULL && rules->any && i < report->count; i++) {
		struct finding *f = &report->findings[i];
		const struct severity_rule *rule = &rules->of[f->id];

		if (!rule->set || rule->severity == SEV_CORRUPT)
			continue;
		if (rule->force || !is_fatal((enum severity)f->severity, (enum impact)f->impact))
			f->severity = (uint8_t)rule->severity;
	}
}

void severity_doubt(struct report *report)
{
	for (unsigned i = 0; i < report->count; i++)
		report->findings[i].severity = (uint8_t)MIN(report->findings[i].severity, SEV_SUSPECT);
}
