/*
 * logline.c - when a line of a log was written
 */
#include "logline.h"

#include <string.h>

static bool small(struct cur *c, uint8_t low, uint8_t high, uint8_t *n_r)
{
	uint64_t n;

	if (!log_number(c, 2, &n) || n < low || n > high)
		return false;
	*n_r = (uint8_t)n;
	return true;
}

static bool clock(struct cur *c, struct log_time *t)
{
	uint64_t ignored;

	if (!small(c, 0, 23, &t->hour) || !log_eat(c, ":") || !small(c, 0, 59, &t->minute) || !log_eat(c, ":") ||
	    !small(c, 0, 60, &t->second))
		return false;
	return !log_eat(c, ".") || log_number(c, 9, &ignored);
}

/* "Z", "+01:00", "+0100"; nothing is the host's own time. */
static bool zone(struct cur *c, struct log_time *t)
{
	int sign = cur_peek(c) == '-' ? -1 : 1;
	uint64_t n, minutes = 0;

	t->zoned = true;
	if (log_eat(c, "Z"))
		return true;
	t->zoned = log_eat(c, "+") || log_eat(c, "-");
	if (!t->zoned)
		return true;
	if (!log_number(c, 4, &n))
		return false;
	if (log_eat(c, ":") && !log_number(c, 2, &minutes))
		return false;
	if (n >= 100) {
		minutes = n % 100;
		n /= 100;
	}
	t->zone = sign * (int32_t)(n * 3600 + minutes * 60);
	return n < 24 && minutes < 60;
}

/* "2026-11-20T15:41:19.12+01:00"; with a blank as Exim writes it; "2026-11-20_15:41:19.12345" of svlogd, which is UTC. */
bool log_time_iso(struct cur *c, struct log_time *t)
{
	uint64_t year;

	if (!log_number(c, 4, &year) || year < 1970 || !log_eat(c, "-") || !small(c, 1, 12, &t->month) || !log_eat(c, "-") ||
	    !small(c, 1, 31, &t->day))
		return false;
	t->year = (uint16_t)year;
	if (log_eat(c, "_"))
		return t->zoned = clock(c, t);
	if (!(log_eat(c, "T") || log_eat(c, " ")) || !clock(c, t))
		return false;
	if (cur_peek(c) == ' ' && (cur_ahead(c, 1) == '+' || cur_ahead(c, 1) == '-'))
		cur_skip(c, 1); /* Exim's log_timezone */
	return zone(c, t);
}

/* "Nov 20 15:41:19" */
static bool time_classic(struct cur *c, struct log_time *t)
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
					    "Nov", "Dec" };

	while (t->month < 12 && !log_eat(c, months[t->month]))
		t->month++;
	if (t->month++ == 12 || !log_eat(c, " "))
		return false;
	cur_skip_blanks(c);
	return small(c, 1, 31, &t->day) && log_eat(c, " ") && clock(c, t);
}

/* "1795161679.123456" */
bool log_time_unix(struct cur *c, struct log_time *t)
{
	uint64_t seconds, ignored;

	if (!log_number(c, 12, &seconds) || !log_eat(c, ".") || !log_number(c, 6, &ignored))
		return false;
	t->epoch = true;
	t->seconds = (int64_t)seconds;
	return true;
}

#define TAI_EPOCH (UINT64_C(1) << 62 | 10) /* 1970 in TAI64, as multilog counts */

/* "@400000006b00b0f7075bcd15", multilog's TAI64N: 16 digits of seconds, 8 of nanoseconds */
static bool time_tai(struct cur *c, struct log_time *t)
{
	uint64_t seconds = 0;

	if (!log_eat(c, "@"))
		return false;
	for (unsigned i = 0; i < 24; i++) {
		uint8_t ch = cur_u8(c);

		if (!(ch >= '0' && ch <= '9') && !(ch >= 'a' && ch <= 'f'))
			return false;
		if (i < 16)
			seconds = seconds << 4 | (uint64_t)(ch <= '9' ? ch - '0' : ch - 'a' + 10);
	}
	if (seconds < TAI_EPOCH || seconds - TAI_EPOCH > UINT32_MAX)
		return false;
	t->epoch = true;
	t->seconds = (int64_t)(seconds - TAI_EPOCH);
	return true;
}

bool log_time_read(struct cur *c, struct log_time *t)
{
	struct cur start = *c;

	for (unsigned form = 0; form < 4 && !t->known; form++) {
		*c = start;
		memset(t, 0, sizeof *t);
		t->known = form == 0 ? time_classic(c, t) : form == 1 ? log_time_iso(c, t) :
			   form == 2 ? time_tai(c, t) : log_time_unix(c, t);
	}
	return t->known;
}
