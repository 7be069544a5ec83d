/*
 * reports.h - for tests of formats: what a report says, in a line; two that say the same; the window that a check
 * asked for
 */
#ifndef REPORTS_H
#define REPORTS_H

#include "format.h"

#include <glib.h>
#include <string.h>

/* "name severity impact, name ..." (g_free); `brief`: names without the format's. Where and why are told in the
 * test's messages. */
static inline char *report_words(const struct report *r, bool brief)
{
	GString *s = g_string_new(NULL);

	for (unsigned i = 0; i < MIN(r->count, REPORT_MAX); i++) {
		const struct finding *f = &r->findings[i];
		const char *name = finding_def(f->id)->name;

		g_string_append_printf(s, "%s%s %s %s", i > 0 ? ", " : "", brief ? strchr(name, '.') + 1 : name,
				       severity_name(f->severity), impact_name(f->impact));
		g_test_message("%s at %" G_GUINT64_FORMAT "+%" G_GUINT64_FORMAT ": %.*s: expected %.*s, found %.*s",
			       name, f->offset, f->length, f->field.len, (const char *)f->field.bytes,
			       f->expected.len, (const char *)f->expected.bytes, f->found.len,
			       (const char *)f->found.bytes);
	}
	return g_string_free(s, FALSE);
}

static inline void same_text(const struct text *a, const struct text *b)
{
	g_assert_cmpuint(a->len, ==, b->len);
	g_assert_true(memcmp(a->bytes, b->bytes, a->len) == 0);
}

static inline void same_finding(const struct finding *a, const struct finding *b)
{
	g_assert_cmpuint(a->id, ==, b->id);
	g_assert_cmpuint(a->severity, ==, b->severity);
	g_assert_cmpuint(a->impact, ==, b->impact);
	g_assert_cmpuint(a->unit, ==, b->unit);
	g_assert_cmpuint(a->part, ==, b->part);
	g_assert_cmpuint(a->offset, ==, b->offset);
	g_assert_cmpuint(a->length, ==, b->length);
	g_assert_cmpint(a->deadline, ==, b->deadline);
	same_text(&a->field, &b->field);
	same_text(&a->expected, &b->expected);
	same_text(&a->found, &b->found);
}

/* Member by member: what is not set, and padding, holds anything. */
static inline void same_report(const struct report *a, const struct report *b)
{
	g_assert_cmpuint(a->count, ==, b->count);
	g_assert_cmpuint(a->more, ==, b->more);
	for (unsigned i = 0; i < a->count; i++)
		same_finding(&a->findings[i], &b->findings[i]);
	g_assert_cmpuint(a->has_sender, ==, b->has_sender);
	g_assert_cmpuint(a->sender_len, ==, b->sender_len);
	g_assert_true(memcmp(a->sender, b->sender, a->sender_len) == 0);
	g_assert_cmpuint(a->recipient_len, ==, b->recipient_len);
	g_assert_true(memcmp(a->recipient, b->recipient, a->recipient_len) == 0);
	g_assert_cmpuint(a->recipients, ==, b->recipients);
	g_assert_cmpuint(a->recipients_done, ==, b->recipients_done);
	g_assert_cmpuint(a->has_arrival, ==, b->has_arrival);
	g_assert_cmpint(a->arrival, ==, b->arrival);
}

/* Give the part, which has `size` bytes, the window that is wanted of it: no more than `most` bytes (0 = as many as
 * asked), unless more are needed. In a block of exactly that size, which takes the place of the one before. */
static inline void give_window(struct part *p, const uint8_t *bytes, uint64_t size, size_t most,
			       const struct want *w)
{
	g_assert_cmpuint(w->need, >=, 1);
	g_assert_cmpuint(w->need, <=, w->len);
	g_assert_cmpuint(w->len, <=, WINDOW_MAX);
	g_assert_cmpuint(w->off, <, size);
	g_assert_cmpuint(w->need, <=, size - w->off);
	g_free((void *)(size_t)p->bytes);
	p->off = w->off;
	p->len = MIN(most > 0 ? MIN(w->len, MAX(most, w->need)) : w->len, size - w->off);
	p->bytes = g_memdup2(bytes + w->off, p->len);
}

#endif
