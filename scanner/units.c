/* units.c - times and sizes as people write them */
#include "config.h"

#include "units.h"

#include <math.h>
#include <string.h>

struct unit {
	char letter;
	gint64 factor;
};

/* The largest first. */
static const struct unit times[] = {
	{ 'd', G_GINT64_CONSTANT(86400) * G_USEC_PER_SEC },
	{ 'h', G_GINT64_CONSTANT(3600) * G_USEC_PER_SEC },
	{ 'm', 60 * G_USEC_PER_SEC },
	{ 's', G_USEC_PER_SEC },
};
static const struct unit sizes[] = {
	{ 'T', G_GINT64_CONSTANT(1) << 40 },
	{ 'G', 1 << 30 },
	{ 'M', 1 << 20 },
	{ 'K', 1 << 10 },
};

#define TIME_MAX (100000.0 * 86400 * G_USEC_PER_SEC)
#define SIZE_LIMIT ((double)(G_GINT64_CONSTANT(1) << 50))

/* `bare`: what a number without a letter counts. */
static gint64 number(const char *text, const struct unit *units, size_t count, gint64 bare,
		     double max)
{
	char *end;
	double n = g_ascii_strtod(text, &end);
	double factor = (double)bare;

	if (end == text || !isfinite(n) || !g_ascii_isdigit(end[-1]))
		return -1;
	if (*end != '\0') {
		size_t i = 0;

		while (i < count && units[i].letter != *end)
			i++;
		if (i == count || end[1] != '\0')
			return -1;
		factor = (double)units[i].factor;
	}
	return n < 0 || n * factor > max ? -1 : (gint64)(n * factor);
}

gint64 units_time(const char *text)
{
	return number(text, times, G_N_ELEMENTS(times), G_USEC_PER_SEC, TIME_MAX);
}

gint64 units_size(const char *text)
{
	return number(text, sizes, G_N_ELEMENTS(sizes), 1, SIZE_LIMIT);
}

gboolean units_has_unit(const char *text)
{
	return *text != '\0' && g_ascii_isalpha(text[strlen(text) - 1]);
}

/* In the largest unit of which it is a whole number; NULL when there is none. */
static char *whole(gint64 n, const struct unit *units, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (n > 0 && n % units[i].factor == 0)
			return g_strdup_printf("%" G_GINT64_FORMAT "%c", n / units[i].factor,
					       units[i].letter);
	return NULL;
}

char *units_time_text(gint64 usec)
{
	char *text = whole(usec, times, G_N_ELEMENTS(times));

	return text != NULL ? text :
	       g_strdup_printf("%" G_GINT64_FORMAT ".%06" G_GINT64_FORMAT "s",
			       usec / G_USEC_PER_SEC, usec % G_USEC_PER_SEC);
}

char *units_size_text(gint64 bytes)
{
	char *text = whole(bytes, sizes, G_N_ELEMENTS(sizes));

	return text != NULL ? text : g_strdup_printf("%" G_GINT64_FORMAT, bytes);
}
