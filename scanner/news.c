/* news.c - how far a scan has come, told to a supervisor */
#include "config.h"

#include "news.h"

#include <unistd.h>

#define NEWS_EVERY (G_USEC_PER_SEC / 10)

static int pipe_fd = -1;

void news_to(int fd)
{
	pipe_fd = fd;
}

void news_tell(const struct scan *scan, bool now)
{
	static gint64 told;
	gint64 time;
	struct news n = { .messages = scan->tally.messages, .moved = scan->tally.moved,
			  .reached = scan->reached, .format = (uint8_t)scan->spool->format_index };

	if (pipe_fd < 0)
		return;
	time = g_get_monotonic_time();
	if (!now && time - told < NEWS_EVERY)
		return;
	told = time;
	if (write(pipe_fd, &n, sizeof n) < 0)
		pipe_fd = -1; /* nobody listens any more */
}

char *news_rest(const struct format *format, uint16_t reached)
{
	GString *rest = g_string_new(NULL);

	for (unsigned i = 0; i < format->nplaces; i++) {
		unsigned p = format->start_order != NULL ? format->start_order[i] : i;

		if (format->places[p].kind != PLACE_LOG && !(reached & 1u << p))
			g_string_append_printf(rest, "%s%s", rest->len > 0 ? ", " : "",
					       format->places[p].name);
	}
	return g_string_free(rest, FALSE);
}
