/* output_text_incident.c - daemons that died, and the units of a server, for people */
#include "config.h"

#include "output_text.h"

#include "print.h"
#include "unit.h"

#include <stdio.h>
#include <time.h>

static bool headed; /* the title was printed */

/* The unit that is to be stopped, and all that are to be started then. On Debian 12 `systemctl stop postfix` returns before
 * postfix@- has stopped, and `systemctl start postfix` does not start it again: names that always fit would not do. */
char **text_units(const struct spool *spool)
{
	g_autofree char *error = NULL;
	g_autofree char *unit = unit_of(spool, &error);

	return unit != NULL ? unit_family(unit) : NULL;
}

void text_command(const char *verb, char *const *units, unsigned most, const char *fallback)
{
	GString *line;

	if (units == NULL) {
		printf("  %s\n", fallback);
		return;
	}
	line = g_string_new("systemctl ");
	g_string_append(line, verb);
	for (; *units != NULL && most > 0; units++, most--) {
		g_string_append_c(line, ' ');
		print_string(line, *units);
	}
	print_line(2, line);
}

/* Whose fault it is, as far as anybody knows. */
static void put_cause(const struct incident *i)
{
	GString *line = g_string_new(NULL);

	if (i->id == NULL) {
		g_string_append(line, "The log names no message, and none lies in the queue that would do this.");
	} else {
		g_string_append(line, i->by_log ? "It was at " : "This would do it: ");
		print_string(line, i->id);
		if (i->finding != NULL)
			g_string_append_printf(line, ", damaged, see above  [%s]", i->finding);
		else
			g_string_append(line, i->gone ? ", which is not in the queue now" : ", in which no damage was found");
		if (i->others > 0)
			g_string_append_printf(line, "; and %u more", i->others);
	}
	print_line(2, line);
}

void text_incident(const struct incident *i)
{
	g_autofree char *age = print_age(MAX(time(NULL) - i->last, 0));
	GString *line = g_string_new(NULL);

	if (!headed)
		printf("%sDAEMONS THAT DIED%s, says the mail log of the last hour\n", print_on(RED), print_on(PLAIN));
	headed = true;
	print_string(line, i->daemon);
	g_string_append_printf(line, " of %s: %u time%s", i->format->server, i->deaths, i->deaths == 1 ? "" : "s");
	if (i->signal != 0)
		g_string_append_printf(line, ", by signal %u", i->signal);
	if (i->last != 0)
		g_string_append_printf(line, ", last %s ago", age);
	g_string_append(line, "  [");
	print_string(line, i->source);
	g_string_append_c(line, ']');
	print_line(0, line);
	if (*i->said != '\0') {
		line = g_string_new("It said: ");
		print_string(line, i->said);
		print_line(2, line);
	}
	put_cause(i);
}

bool text_incidents(void)
{
	return headed;
}
