/*
 * output_text_message.c - one message, in words
 *
 * Nothing that came from a message, a file name or a worker reaches the terminal unescaped. Words, not codes; the code
 * stands in brackets at the end.
 */
#include "config.h"

#include "output_text.h"

#include "print.h"
#include "volume.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FINDINGS_SHOWN 3 /* per message; explain shows all */
#define SENDER_LEAST 16  /* columns that are left to a sender, however long the rest is */

char *unchecked_text(const struct outcome *o)
{
	switch (o->why) {
	case UNCHECKED_OPEN:
		return g_strdup_printf("cannot be opened: %s", volume_error(o->error));
	case UNCHECKED_READ:
		return g_strdup_printf("cannot be read at byte %" PRIu64 ": %s", o->offset,
				       volume_error(o->error));
	case UNCHECKED_STREAM:
		return g_strdup("a named stream of more than 64 KiB cannot be read through this mount; mount with "
				"ntfs-3g -o streams_interface=windows");
	case UNCHECKED_TOO_BIG:
		return g_strdup("larger than what is read whole");
	case UNCHECKED_BUDGET:
		return g_strdup("reading it would not end: its pointers lead back too often");
	case UNCHECKED_DIED:
		return g_strdup("the checking process died on it");
	case UNCHECKED_HUNG:
		return g_strdup("the checking process did not answer in time");
	case UNCHECKED_GARBAGE:
		return g_strdup("the checking process answered nonsense");
	case UNCHECKED_WORKER:
		return g_strdup("no checking process could be started");
	case UNCHECKED_READER:
		return g_strdup("the reading process died or hangs in the file system");
	case UNCHECKED_TIME:
		return g_strdup("damaged at the first look; no time was left for the second");
	}
	return g_strdup("unknown");
}

/* --- The first line --------------------------------------------------------------- */

/* " -> 3 recipients  4 h  18 KiB", as far as it is known */
static GString *tail_of(const struct scan *scan, const struct outcome *o)
{
	const struct report *r = o->report;
	g_autofree char *size = print_size(o->facts.size);
	GString *s = g_string_new(NULL);

	if (r != NULL && r->has_sender) {
		uint64_t n = r->recipients + r->recipients_done;

		g_string_append_printf(s, " -> %" PRIu64 " recipient%s", n, n == 1 ? "" : "s");
	}
	if (r != NULL && r->has_arrival) {
		g_autofree char *age = print_age(scan->spool->site.now - r->arrival);

		g_string_append_printf(s, "  %s", age);
	}
	if (o->facts.mode != 0)
		g_string_append_printf(s, "  %s", size);
	return s;
}

/* The sender, in the columns that the rest of the line leaves. */
static GString *sender_of(const struct report *r, unsigned taken)
{
	GString *s = g_string_new(NULL);

	if (r->sender_len == 0)
		g_string_append(s, "<>");
	else
		print_bytes(s, r->sender, r->sender_len);
	if (print_columns() > 0)
		print_cut(s, taken + SENDER_LEAST < print_columns() ? print_columns() - taken : SENDER_LEAST);
	return s;
}

void text_head(unsigned indent, const struct scan *scan, const struct outcome *o)
{
	const char *place = scan->spool->format->places[o->place].name;
	GString *id = g_string_new(NULL), *rest = g_string_new(NULL), *tail = tail_of(scan, o);

	print_string(id, o->id != NULL ? o->id : o->path);
	if (o->id != NULL && strcmp(place, ".") != 0)
		g_string_append_printf(rest, "  %s", place);
	if (o->report != NULL && o->report->has_sender) {
		unsigned taken = indent + print_width(id->str) + print_width(rest->str) + 2 + print_width(tail->str);
		GString *sender = sender_of(o->report, taken);

		g_string_append_printf(rest, "  %s", sender->str);
		g_string_free(sender, TRUE);
	}
	/* not broken between words: each message is one line */
	printf("%*s%s%s%s%s%s\n", (int)indent, "", print_on(BOLD), id->str, print_on(PLAIN), rest->str, tail->str);
	g_string_free(id, TRUE);
	g_string_free(rest, TRUE);
	g_string_free(tail, TRUE);
}

/* --- Findings ----------------------------------------------------------------------- */

static void append_value(GString *line, const char *label, const struct text *t, bool bytes)
{
	g_string_append_printf(line, "%s%s", label, bytes ? "\"" : "");
	print_bytes(line, t->bytes, t->len);
	if (bytes)
		g_string_append_c(line, '"');
}

/* "active/4F2A1C0B9, byte 18, size record, field 2 (data offset):
 *  expected a number, found "x           612"  [postfix.size-field]" */
static void put_finding(const struct spool *spool, const struct outcome *o, const struct finding *f)
{
	g_autofree char *part = outcome_part(spool, o, f->part);
	GString *line = g_string_new(NULL);

	print_string(line, part);
	if (outcome_role(spool, f)->unpacked)
		g_string_append_printf(line, ", %s", outcome_role(spool, f)->name);
	if (f->length > 0 || f->offset > 0)
		g_string_append_printf(line, ", byte %" PRIu64, f->offset);
	if (f->field.len > 0)
		append_value(line, ", ", &f->field, false);
	if (f->expected.len > 0 || f->found.len > 0)
		g_string_append(line, ":\n");
	if (f->expected.len > 0)
		append_value(line, "expected ", &f->expected, false);
	if (f->found.len > 0)
		append_value(line, f->expected.len > 0 ? ", found " : "found ", &f->found, true);
	g_string_append_printf(line, "  [%s]", finding_def(f->id)->name);
	print_line(2, line);
}

/* Until when the message can be saved. */
static void put_deadline(const struct spool *spool, const struct finding *f)
{
	struct text when = { .len = 0 };
	g_autofree char *left = NULL, *date = NULL;

	if (f->deadline == 0)
		return;
	text_time(&when, f->deadline);
	if (f->deadline <= spool->site.now) {
		print_words(2, "The time for which the server keeps it is over: it goes at the next attempt.");
		return;
	}
	left = print_age(f->deadline - spool->site.now);
	date = g_strndup((const char *)when.bytes, when.len);
	print_words(2, "The server keeps it for %s more%s%s", left, date,
		    spool->site.keep == 0 ? ", by its default setting." : ".");
}

/* The findings that matter as much as the worst one; explain shows all of them. */
static void put_findings(const struct spool *spool, const struct outcome *o,
			 const struct finding *worst, bool again)
{
	const struct finding_def *def = finding_def(worst->id);
	unsigned shown = 0, more = 0;

	if (!again) {
		print_words(2, "%c%s.", g_ascii_toupper(def->text[0]), def->text + 1);
		print_words(2, "%s", def->server);
	}
	put_deadline(spool, worst);
	for (unsigned i = 0; i < o->report->count; i++) {
		const struct finding *f = &o->report->findings[i];

		if (f->severity < worst->severity)
			continue;
		if (shown++ < FINDINGS_SHOWN)
			put_finding(spool, o, f);
		else
			more++;
	}
	if (more > 0)
		print_words(2, "and %" PRIu64 " more: spoolck explain", more + o->report->more);
}

/* --- All of it ------------------------------------------------------------------------ */

void text_action(const struct outcome *o)
{
	GString *line;

	if (o->action == ACTION_MOVED) {
		line = g_string_new("Moved to quarantine entry ");
		print_string(line, o->entry);
	} else if (o->accepted) {
		line = g_string_new("Accepted by an operator: left alone.");
	} else if (o->reason != NULL) {
		line = g_string_new("Not moved: ");
		print_string(line, o->reason);
	} else {
		return;
	}
	print_line(2, line);
}

void text_message(const struct scan *scan, const struct outcome *o, bool again)
{
	const struct finding *worst = outcome_worst(o);

	text_head(0, scan, o);
	if (worst != NULL)
		put_findings(scan->spool, o, worst, again);
	if (o->verdict == VERDICT_UNCHECKED) {
		g_autofree char *why = unchecked_text(o);
		GString *line = g_string_new(NULL);

		print_string(line, o->path);
		g_string_append_printf(line, ": %s", why);
		print_line(2, line);
	}
	text_action(o);
}
