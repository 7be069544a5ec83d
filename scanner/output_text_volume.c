/* output_text_volume.c - what is typed on the Windows host whose volume was looked at */
#include "config.h"

#include "output_text.h"

#include "escape.h"
#include "print.h"

#include <stdio.h>
#include <string.h>

#define MOVES_SHOWN 20

/* A path of the volume, as Windows writes it (g_free). NULL: not to be typed, because cmd.exe expands %NAME%
 * even between quotes, or what is printed is not what is there. */
static char *windows_path(const struct spool *spool, const char *path)
{
	g_autofree char *whole = g_strconcat(spool->reach.below, "/", path, NULL);
	g_autofree char *safe = escape_eyes(whole, strlen(whole));

	if (strcmp(whole, safe) != 0 || strpbrk(whole, "\\\"%!^&|<>*?") != NULL)
		return NULL;
	return g_strdelimit(g_steal_pointer(&safe), "/", '\\');
}

void text_windows(const struct scan *scan)
{
	unsigned shown = 0, more = 0;

	for (guint i = 0; i < scan->outcomes->len; i++) {
		const struct outcome *o = scan->outcomes->pdata[i];

		g_autofree char *path = NULL;

		if (o->id == NULL || o->accepted || o->verdict != VERDICT_CORRUPT)
			continue;
		path = windows_path(scan->spool, o->path);
		if (shown == MOVES_SHOWN || path == NULL) {
			more++;
			continue;
		}
		if (shown++ == 0)
			printf("\n%sDO THIS%s on the Windows host, where X: is this volume\n"
			       "  net stop SMTPSVC\n  mkdir \"X:\\spoolck\"\n", print_on(BOLD), print_on(PLAIN));
		printf("  move \"X:\\%s\" \"X:\\spoolck\\\"\n", path);
	}
	if (shown > 0)
		printf("%s  net start SMTPSVC\n", more > 0 ? "  ... and what else is named above\n" : "");
	if (shown > 0)
		printf("A move on the same volume keeps the named streams; a copy to another one may not.\n"
		       "Text, streams and envelope of a message, saved here: spoolck quarantine export SPOOL:ID\n");
}
