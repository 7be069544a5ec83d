/* formats.c - the list of supported servers; a new one is added here */
#include "format.h"

extern const struct format fmt_postfix;

const struct format *const formats[] = { &fmt_postfix, NULL };
