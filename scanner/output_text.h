/*
 * output_text.h - what the parts of the report for people share
 *
 * Nobody but output_text*.c includes this header.
 */
#ifndef OUTPUT_TEXT_H
#define OUTPUT_TEXT_H

#include "output.h"

#include <glib.h>

/* --- output_text_message.c: one message ------------------------------------------ */

/* "4F2A1C0B9  active  bob@example.org -> 3 recipients  4 h  18 KiB" */
void text_head(unsigned indent, const struct scan *scan, const struct outcome *o);

/* The same, and what is wrong with it, what the server does, where, and how we know. `again`: one with the
 * same finding stands just above, so that only where and how is new. */
void text_message(const struct scan *scan, const struct outcome *o, bool again);

/* What became of it; nothing when that is nothing. */
void text_action(const struct outcome *o);

/* --- output_text_incident.c: daemons, units ----------------------------------------- */

void text_incident(const struct incident *i);
/* Was there one? */
bool text_incidents(void);

/* The unit of the spool's running server, then those that stop with it (g_strfreev); NULL: none is known. */
char **text_units(const struct spool *spool);
/* "systemctl VERB UNIT...", of at most `most` units; without units the other command. */
void text_command(const char *verb, char *const *units, unsigned most, const char *fallback);

/* --- output_text_section.c: many messages ----------------------------------------- */

/* A message that stops the server, as soon as it is found. The first few of each finding are told in full. */
void text_urgent(const struct scan *scan, struct outcome *o);

/* All of them, worst first, what is alike together; what was told already is not told again. */
void text_sections(const struct scan *scan);

/* Notices, only counted. */
void text_noted(const struct scan *scan);

/* How old the mail is, as bars; what the server keeps back. Nothing for a queue that one sees at a glance. */
void text_queue(const struct scan *scan);

/* --- output_text_volume.c ----------------------------------------------------------- */

/* On a volume that is not mounted nothing is moved: what is typed on the Windows host instead. */
void text_windows(const struct scan *scan);

#endif
