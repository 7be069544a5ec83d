/*
 * news.h - how far a scan has come, told to a supervisor
 *
 * A scan that hangs in a dead file system cannot say so any more. What it has told through the pipe before
 * is what its supervisor then reports.
 */
#ifndef NEWS_H
#define NEWS_H

#include "scan.h"

/* Told whole, with one write of less than PIPE_BUF bytes. */
struct news {
	uint64_t messages, moved; /* looked at; quarantined */
	uint16_t reached;         /* bit per place of the format that was looked at wholly */
	uint8_t format;           /* in formats[] */
};

/* From now on news go to the pipe `fd` (the caller's). Without it news_tell() does nothing. */
void news_to(int fd);

/* Tell how far the scan is: `now`, or when the last word is some time ago. */
void news_tell(const struct scan *scan, bool now);

/* The places, without those for logs, that `reached` leaves out: "deferred, hold" (g_free). */
char *news_rest(const struct format *format, uint16_t reached);

#endif
