/* findings.c - the catalogue, the report and short texts */
#include "finding.h"

#include <string.h>

static const struct finding_def defs[] = {
#define FINDING(id, name, severity, impact, text, server, todo) \
	{ name, SEV_##severity, IMPACT_##impact, text, server, todo },
#include "findings.def"
#undef FINDING
};

const struct finding_def *finding_def(unsigned id)
{
	return id < F_COUNT ? &defs[id] : NULL;
}

const char *severity_name(enum severity s)
{
	static const char *const names[] = { "notice", "suspect", "corrupt" };

	return (unsigned)s < sizeof names / sizeof names[0] ? names[s] : "?";
}

const char *impact_name(enum impact i)
{
	static const char *const names[] = { "none", "damaged-delivery", "stranded",
					     "server-deletes", "server-stops" };

	return (unsigned)i < sizeof names / sizeof names[0] ? names[i] : "?";
}

void text_bytes(struct text *t, const uint8_t *p, size_t n)
{
	size_t room = t->len < TEXT_MAX ? (size_t)TEXT_MAX - t->len : 0;

	if (n > room)
		n = room;
	if (n > 0)
		memcpy(t->bytes + t->len, p, n);
	t->len = (uint8_t)(t->len + n);
}

void text_left(struct text *t, const struct cur *c)
{
	size_t n = cur_left(c);
	const uint8_t *p = cur_view(c, n);

	if (p != NULL)
		text_bytes(t, p, n);
}

void text_str(struct text *t, const char *s)
{
	/*@ loop invariant valid_read_string(s);
	    loop invariant \at(t->len, Pre) <= t->len <= \max(\at(t->len, Pre), TEXT_MAX);
	    loop assigns s, t->len, t->bytes[0 .. TEXT_MAX - 1];
	    loop variant 255 - t->len;
	*/
	while (*s != '\0' && t->len < TEXT_MAX)
		t->bytes[t->len++] = (uint8_t)*s++;
}

void text_u64(struct text *t, uint64_t n)
{
	uint8_t digits[20];
	size_t at = sizeof digits;

	/*@ loop invariant 0 < at <= 20;
	    loop assigns at, n, digits[0 .. 19];
	    loop variant at;
	*/
	do {
		digits[--at] = (uint8_t)('0' + n % 10);
		n /= 10;
	} while (n > 0 && at > 0);
	text_bytes(t, digits + at, sizeof digits - at);
}

void text_i64(struct text *t, int64_t n)
{
	if (n < 0)
		text_str(t, "-");
	text_u64(t, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
}

static void two_digits(struct text *t, uint64_t n)
{
	if (n < 10)
		text_str(t, "0");
	text_u64(t, n);
}

/* Seconds since 1970 as 2026-11-20T07:31:00Z. Days count from 1 March of year 0,
 * so that the leap day is the last of its year. */
void text_time(struct text *t, int64_t sec)
{
	uint64_t all = (uint64_t)sec, days = all / 86400 + 719468;
	uint64_t era = days / 146097, day = days % 146097;
	uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	uint64_t of_year = day - (365 * year + year / 4 - year / 100);
	uint64_t month = (5 * of_year + 2) / 153;

	if (sec <= 0 || sec > INT64_C(253402300799))
		return;
	text_str(t, " (");
	text_u64(t, era * 400 + year + (month >= 10 ? 1 : 0));
	text_str(t, "-");
	two_digits(t, month < 10 ? month + 3 : month - 9);
	text_str(t, "-");
	two_digits(t, of_year - (153 * month + 2) / 5 + 1);
	text_str(t, "T");
	two_digits(t, all % 86400 / 3600);
	text_str(t, ":");
	two_digits(t, all % 3600 / 60);
	text_str(t, ":");
	two_digits(t, all % 60);
	text_str(t, "Z)");
}

/* The place of the mildest finding, if that is milder than `severity`. */
static struct finding *mildest(struct report *r, enum severity severity)
{
	struct finding *low = &r->findings[0];

	for (unsigned i = 1; i < REPORT_MAX; i++)
		if (r->findings[i].severity < low->severity)
			low = &r->findings[i];
	return low->severity < (uint8_t)severity ? low : NULL;
}

struct finding *report_add(struct report *r, enum finding_id id, unsigned part, uint64_t offset,
			   uint64_t length)
{
	struct finding *f;

	if (r->count < REPORT_MAX) {
		f = &r->findings[r->count++];
	} else {
		r->more++;
		f = mildest(r, defs[id].severity);
		if (f == NULL)
			f = &r->spare;
	}
	*f = (struct finding){ 0 };
	f->id = (uint16_t)id;
	f->severity = (uint8_t)defs[id].severity;
	f->impact = (uint8_t)defs[id].impact;
	f->part = (uint8_t)part;
	f->offset = offset;
	f->length = length;
	return f;
}

/* Does `a` come before `b`? */
static bool worse(const struct finding *a, const struct finding *b)
{
	if (a->severity != b->severity)
		return a->severity > b->severity;
	if (a->impact != b->impact)
		return a->impact > b->impact;
	return a->offset < b->offset;
}

void report_sort(struct report *r)
{
	for (unsigned i = 1; i < r->count; i++)
		for (unsigned j = i; j > 0 && worse(&r->findings[j], &r->findings[j - 1]); j--) {
			struct finding f = r->findings[j];

			r->findings[j] = r->findings[j - 1];
			r->findings[j - 1] = f;
		}
}
