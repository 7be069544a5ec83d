/* print.c - the manners of text for people on standard output */
#include "config.h"

#include "print.h"

#include "escape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_USUAL 80
#define COLUMNS_LEAST 40 /* narrower ones are taken for this: words have to fit somewhere */

static bool colour, live;
static unsigned columns;

void print_setup(void)
{
	const char *no_colour = getenv("NO_COLOR"); /* no-color.org: an empty one does not count */
	struct winsize size = { .ws_col = 0 };

	live = isatty(STDOUT_FILENO);
	colour = live && g_strcmp0(getenv("TERM"), "dumb") != 0 && (no_colour == NULL || *no_colour == '\0');
	columns = 0;
	if (live && (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0))
		size.ws_col = COLUMNS_USUAL;
	if (live)
		columns = MAX(size.ws_col, COLUMNS_LEAST);
}

bool print_live(void)
{
	return live;
}

const char *print_on(const char *code)
{
	return colour ? code : "";
}

unsigned print_columns(void)
{
	return columns;
}

void print_bytes(GString *line, const void *bytes, gsize len)
{
	g_autofree char *s = escape_eyes(bytes, len);

	g_string_append(line, s);
}

void print_string(GString *line, const char *s)
{
	print_bytes(line, s, strlen(s));
}

/* --- Columns ------------------------------------------------------------------ */

/* The next character (g_utf8_next_char() loses the const). */
static const char *next_of(const char *s)
{
	return s + g_utf8_skip[*(const guchar *)s];
}

static unsigned width_of(const char *s, const char *end)
{
	unsigned width = 0;

	for (; s < end; s = next_of(s)) {
		gunichar c = g_utf8_get_char(s);

		width += g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
	}
	return width;
}

unsigned print_width(const char *text)
{
	return width_of(text, text + strlen(text));
}

void print_cut(GString *text, unsigned most)
{
	const char *s = text->str;
	unsigned width = 0;

	if (print_width(text->str) <= most)
		return;
	while (width + 2 <= most - 3 && *s != '\0') {
		const char *next = next_of(s);

		width += width_of(s, next);
		s = next;
	}
	g_string_truncate(text, (gsize)(s - text->str));
	g_string_append(text, "...");
}

static void blanks(unsigned count)
{
	printf("%*s", (int)count, "");
}

/* One line's words. */
static void put_wrapped(unsigned indent, const char *s, const char *end)
{
	unsigned at = indent;
	bool first = true;

	blanks(indent);
	while (s < end) {
		/* blanks between words are kept where the line goes on */
		const char *word = s + strspn(s, " ");
		const char *stop = word + MIN(strcspn(word, " \n"), (gsize)(end - word));
		unsigned gap = (unsigned)(word - s), width = width_of(word, stop);

		if (!first && columns > 0 && at + gap + width > columns) {
			putchar('\n');
			blanks(indent);
			at = indent;
			gap = 0;
		}
		blanks(gap);
		fwrite(word, 1, (size_t)(stop - word), stdout);
		at += gap + width;
		first = false;
		s = stop;
	}
	putchar('\n');
}

void print_line(unsigned indent, GString *line)
{
	const char *s = line->str;

	for (;;) {
		const char *end = s + strcspn(s, "\n");

		put_wrapped(indent, s, end);
		if (*end == '\0')
			break;
		s = end + 1;
	}
	g_string_free(line, TRUE);
}

void print_words(unsigned indent, const char *format, ...)
{
	GString *line = g_string_new(NULL);
	va_list args;

	va_start(args, format);
	g_string_vprintf(line, format, args);
	va_end(args);
	print_line(indent, line);
}

/* --- Figures ------------------------------------------------------------------- */

char *print_size(guint64 n)
{
	if (n < 1024)
		return g_strdup_printf("%" G_GUINT64_FORMAT " bytes", n);
	if (n < 1024 * 1024)
		return g_strdup_printf("%" G_GUINT64_FORMAT " KiB", (n + 512) / 1024);
	return g_strdup_printf("%.1f MiB", (double)n / (1024 * 1024));
}

char *print_age(gint64 seconds)
{
	if (seconds < 0)
		return g_strdup("from the future");
	if (seconds < 120)
		return g_strdup_printf("%" G_GINT64_FORMAT " s", seconds);
	if (seconds < 7200)
		return g_strdup_printf("%" G_GINT64_FORMAT " min", seconds / 60);
	if (seconds < 172800)
		return g_strdup_printf("%" G_GINT64_FORMAT " h", seconds / 3600);
	return g_strdup_printf("%" G_GINT64_FORMAT " d", seconds / 86400);
}
