/*
 * reports.h - what any report promises, and that two of them say the same
 *
 * Always member by member: what is not set, and padding, holds anything.
 */
#ifndef REPORTS_H
#define REPORTS_H

#include "finding.h"
#include "fuzz.h"

static inline void fuzz_same_text(const struct text *a, const struct text *b)
{
	must(a->len <= TEXT_MAX && a->len == b->len);
	must(memcmp(a->bytes, b->bytes, a->len) == 0);
}

/* A report as a worker may answer it; where its findings lie is the target's business. */
static inline void fuzz_sane_report(const struct report *r)
{
	must(r->count <= REPORT_MAX && (r->count == REPORT_MAX || r->more == 0));
	must(r->sender_len <= ADDRESS_MAX && r->recipient_len <= ADDRESS_MAX);
	must(r->recipients > 0 || r->recipient_len == 0);
	for (unsigned i = 0; i < r->count; i++) {
		const struct finding *f = &r->findings[i];

		must(finding_def(f->id) != NULL);
		must(f->severity <= SEV_CORRUPT && f->impact <= IMPACT_SERVER_STOPS && f->unit <= UNIT_PART);
		must(f->deadline == 0 || f->impact == IMPACT_SERVER_DELETES);
	}
}

static inline void fuzz_same_finding(const struct finding *a, const struct finding *b)
{
	must(a->id == b->id && a->severity == b->severity && a->impact == b->impact);
	must(a->unit == b->unit && a->deadline == b->deadline);
	must(a->part == b->part && a->offset == b->offset && a->length == b->length);
	fuzz_same_text(&a->field, &b->field);
	fuzz_same_text(&a->expected, &b->expected);
	fuzz_same_text(&a->found, &b->found);
}

static inline void fuzz_same_report(const struct report *a, const struct report *b)
{
	must(a->count == b->count && a->more == b->more);
	must(a->has_sender == b->has_sender && a->has_arrival == b->has_arrival);
	must(a->sender_len == b->sender_len && a->recipient_len == b->recipient_len);
	must(memcmp(a->sender, b->sender, a->sender_len) == 0);
	must(memcmp(a->recipient, b->recipient, a->recipient_len) == 0);
	must(a->recipients == b->recipients && a->recipients_done == b->recipients_done);
	must(a->arrival == b->arrival);
	for (unsigned i = 0; i < a->count; i++)
		fuzz_same_finding(&a->findings[i], &b->findings[i]);
}

#endif
