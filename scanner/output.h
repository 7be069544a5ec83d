/*
 * output.h - what people and programs are told
 *
 * Three writers with one interface. All escape every byte that came from a message or a
 * file name. The text writer speaks when a spool is done, worst first; the JSON
 * writer writes one object per line as soon as a fact is final; the Nagios writer prints one line.
 */
#ifndef OUTPUT_H
#define OUTPUT_H

#include "scan.h"

#include <jansson.h>

struct totals {
	struct tally tally;
	double seconds;
	int exit;
	unsigned spools;
	guint64 purged;      /* entries that retention removed */
	guint64 quarantined; /* entries in the store that are not marked as kept */
};

struct output {
	/* The spools that will be examined. */
	void (*start)(struct spool *const *spools, unsigned count);
	/* A spool or a message that could not be looked at: a sentence. */
	void (*error)(const char *where, const char *text);
	/* An ok or noted message, while the scan runs (only asked for with --all, and for noted
	 * ones always). */
	scan_passing *passing;
	void (*scan)(const struct scan *scan);
	void (*summary)(const struct totals *totals);
};

extern const struct output output_text, output_json, output_nagios, output_state;

/* output_state: what was told is remembered in the file `path`; told again after `remind` seconds (0 = never).
 * `suspect`: suspect messages and foreign files, too. False with *error_r (g_free) when there is a file that cannot be
 * used: all counts as new then, and the file is left as it is. */
bool output_state_begin(const char *path, gint64 remind, bool suspect, char **error_r);

/* Write the file (temp + rename), if it could be used. False with *error_r. */
bool output_state_end(char **error_r);

/* The exit code that a monitoring plugin has for these exit bits: 0 OK, 1 WARNING, 2 CRITICAL,
 * 3 UNKNOWN. */
int nagios_status(int bits, const struct totals *t);

/* Colour on a terminal; --quiet: silence unless there is something to say; --all. */
void output_text_options(bool colour, bool quiet, bool all);

/* The finding as an object of the documented fields (new reference). */
json_t *json_finding(const struct scan *scan, const struct outcome *o, const struct finding *f);

/* The findings of a message as an array, its envelope as an object (new references): what a
 * manifest keeps. */
/* Seconds since 1970 as a string; null where they are no date. */
json_t *json_time(int64_t t);

/* What is inside of the message, or why nobody knows; only for one that was to be looked into. */
json_t *json_deep(const struct outcome *o);

/* The same for people: subject and sender; the parts when one is damaged, or `all`. */
void put_deep(const struct deep *d, bool all);

/* Why something was not checked, in words. */
const char *why_text(enum unchecked why);

json_t *json_findings(const struct scan *scan, const struct outcome *o);
json_t *json_envelope(const struct outcome *o);

/* Why a message is unchecked, as a phrase (g_free). */
char *unchecked_text(const struct outcome *o);

#endif
