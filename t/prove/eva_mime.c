/*
 * eva_mime.c - the passes over a message's text that come before any library, on any text
 *
 * Of any length up to the window, whole or cut off. The hints are the limits of mime.h: without them the analysis
 * gives indices up before it has seen what bounds them.
 */
#include "mime.h"

#include <string.h>

#include "__fc_builtin.h"

#define EVA_WINDOW 4096

static uint8_t window[EVA_WINDOW];
static struct mime_node nodes[MIME_PARTS];
static struct report report;
static struct mime m;

int main(void)
{
	/*@ widen_hints global:"all", 99, 100, 249, 250, 9999, 10000; */
	size_t len = Frama_C_size_t_interval(0, EVA_WINDOW);

	Frama_C_make_unknown((char *)window, EVA_WINDOW);
	report_reset(&report);
	if (mime_scan(&m, window, len, Frama_C_interval(0, 1), nodes, &report))
		mime_leaves(&m);
	return 0;
}
