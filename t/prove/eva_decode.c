/* eva_decode.c - decode() and body() on any message, through any windows */
#include "eva.h"

static uint64_t scratch[4096]; /* SCRATCH_MAX of a worker */

static void decode(void)
{
	struct want want;
	struct row row;
	enum step step = STEP_WANT;

	memset(scratch, 0, sizeof scratch);
	while (step != STEP_DONE) {
		any_window();
		step = EVA_FORMAT.decode(scratch, &message, &row, &want);
	}
}

static void body(void)
{
	struct want want;
	struct run run;
	enum step step = STEP_WANT;

	memset(scratch, 0, sizeof scratch);
	while (step != STEP_DONE) {
		any_window();
		step = EVA_FORMAT.body(scratch, &message, &run, &want);
	}
}

int main(void)
{
	any_message();
	if (Frama_C_interval(0, 1))
		decode();
	else
		body();
	return 0;
}
