/* eva_check.c - check() on any message, through any windows */
#include "eva.h"

static struct report report;
static uint64_t scratch[64];

int main(void)
{
	struct want want;
	enum step step = STEP_WANT;

	any_message();
	report_reset(&report);
	while (step == STEP_WANT) {
		any_window();
		step = fmt_postfix.check(scratch, &message, &report, &want);
	}
	return 0;
}
