/* formats.c - the list of supported servers; a new one is added here */
#include "format.h"

extern const struct format fmt_courier;
extern const struct format fmt_exim;
extern const struct format fmt_iis;
extern const struct format fmt_postfix;
extern const struct format fmt_opensmtpd;
extern const struct format fmt_sendmail;
extern const struct format fmt_qmail;

const struct format *const formats[] = { &fmt_postfix, &fmt_exim, &fmt_sendmail, &fmt_opensmtpd,
					  &fmt_qmail, &fmt_courier, &fmt_iis, NULL };
