/*
 * print.h - the manners of text for people on standard output
 *
 * Bytes of strangers are escaped by whoever puts them into a line. In a pipe nothing is coloured, cut or wrapped, so
 * that sentences can be searched for.
 */
#ifndef PRINT_H
#define PRINT_H

#include <glib.h>
#include <stdbool.h>

#define RED "\033[1;31m"
#define YELLOW "\033[1;33m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

/* Look at standard output: is it a terminal, how wide, and is colour wanted (NO_COLOR)? */
void print_setup(void);

/* Is somebody looking at it now? */
bool print_live(void);

/* The colour's code, or "". */
const char *print_on(const char *code);

/* Append bytes of strangers, escaped. */
void print_bytes(GString *line, const void *bytes, gsize len);
void print_string(GString *line, const char *s);

/* Print a line, which may hold line ends; on a terminal it is broken between words, and every line begins with
 * `indent` blanks. What cannot be broken runs over. Frees the line. */
void print_line(unsigned indent, GString *line);
void print_words(unsigned indent, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Columns of the terminal; 0 = no terminal, no limit. */
unsigned print_columns(void);

/* Columns that a text takes. */
unsigned print_width(const char *text);

/* Cut the text, which is escaped already, to so many columns (at least 4), the cut marked. */
void print_cut(GString *text, unsigned columns);

/* "18 KiB", "4 h" (g_free). */
char *print_size(guint64 bytes);
char *print_age(gint64 seconds);

#endif
