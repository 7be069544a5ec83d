/*
 * reports.h - for tests of formats: what a report says, in a line; the window that a check asked for
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
