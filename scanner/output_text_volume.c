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

/* What reads the folders: those below TransportRoles are Exchange's own from 2007 on. */
static const char *service_of(const struct spool *spool)
{
	g_autofree char *root = g_path_get_basename(spool->reach.below);

	return g_ascii_strcasecmp(root, "TransportRoles") == 0 ? "MSExchangeTransport" : "SMTPSVC";
}

/* Without /-Y a script would replace what has the same name already. */
void text_windows(const struct scan *scan)
{
	const char *service = service_of(scan->spool);
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
			       "  net stop %s\n  mkdir \"X:\\spoolck\"\n", print_on(BOLD), print_on(PLAIN), service);
		printf("  move /-Y \"X:\\%s\" \"X:\\spoolck\\\"\n", path);
	}
	if (shown > 0)
		printf("%s  net start %s\n", more > 0 ? "  ... and what else is named above\n" : "", service);
	if (shown > 0)
		printf("A move on the same volume keeps the named streams; a copy to another one may not.\n"
		       "Text, streams and envelope of a message, saved here: spoolck quarantine export SPOOL:ID\n");
}
