/*
 * logline.h - words, numbers and times of a line of a log
 *
 * Between daemonlog.c and logline.c. A reader that fails has stepped over part of what it read: whoever wants to try something
 * else keeps a copy of the cursor.
 */
#ifndef LOGLINE_H
#define LOGLINE_H

#include "daemonlog.h"

#include "cursor.h"

#include <string.h>

/* Step over `word` when it comes next. */
static inline bool log_eat(struct cur *c, const char *word)
{
	size_t n = strlen(word);
	const uint8_t *p = cur_view(c, n);

	if (p == NULL || memcmp(p, word, n) != 0)
		return false;
	return cur_skip(c, n);
}

/* 1..`most` (at most 19) digits as a number; false: none, or more of them. */
static inline bool log_number(struct cur *c, unsigned most, uint64_t *n_r)
{
	unsigned digits = 0;
	uint64_t n = 0;

	while (digits < most && cur_peek(c) >= '0' && cur_peek(c) <= '9') {
		n = n * 10 + (uint64_t)(cur_u8(c) - '0');
		digits++;
	}
	*n_r = n;
	return digits > 0 && !(cur_peek(c) >= '0' && cur_peek(c) <= '9');
}

/* A time of any form that daemonlog_line() knows; `t` is cleared first. */
bool log_time_read(struct cur *c, struct log_time *t);

/* Exim's, RFC 3339's and svlogd's; splogger's and the journal's. `t` is zero before. */
bool log_time_iso(struct cur *c, struct log_time *t);
bool log_time_unix(struct cur *c, struct log_time *t);

#endif
