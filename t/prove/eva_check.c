/* eva_check.c - check() on any message, through any windows */
#include "eva.h"

static struct report report;
static uint64_t scratch[4096]; /* SCRATCH_MAX of a worker */

int main(void)
{
	struct want want;
	enum step step = STEP_WANT;

	any_message();
	report_reset(&report);
	while (step == STEP_WANT) {
		any_window();
		step = EVA_FORMAT.check(scratch, &message, &report, &want);
	}
	return 0;
}
