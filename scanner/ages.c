/* ages.c - how old the mail of a queue is */
#include "config.h"

#include "ages.h"

#define MINUTE 60
#define HOUR 3600
#define DAY 86400

const int64_t ages_below[AGES] = { -AGE_SKEW, 10 * MINUTE, HOUR, 4 * HOUR, DAY, 2 * DAY, 5 * DAY, INT64_MAX };

unsigned ages_class(int64_t now, int64_t arrival)
{
	unsigned class = 0;
	int64_t age;

	/* A damaged date can be anything: no difference of two of them may overflow. */
	if (__builtin_sub_overflow(now, arrival, &age))
		return arrival > now ? 0 : AGES - 1;
	while (class < AGES - 1 && age >= ages_below[class])
		class++;
	return class;
}

const char *ages_name(unsigned class)
{
	static const char *const names[AGES] = { "in the future", "below 10 min", "10 min to 1 h", "1 h to 4 h",
						 "4 h to 1 d", "1 d to 2 d", "2 d to 5 d", "5 d and more" };

	return class < AGES ? names[class] : "?";
}
