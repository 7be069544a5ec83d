/*
 * key_file.h - files of sections and keys that decide what happens to mail: the configuration, layouts
 */
#ifndef KEY_FILE_H
#define KEY_FILE_H

#include <glib.h>
#include <stdbool.h>

/* What one line says, in the syntax of GLib's key files: all NULL = a comment, or nothing. */
struct key_line {
	char *section;       /* of [section] */
	char *key;           /* of key = value */
	char *value;         /* without blanks around it; NULL: KEY_FILE_NO_VALUE */
};

#define KEY_FILE_NO_LINE "neither a [section], a key = value nor a comment with #"
#define KEY_FILE_NO_VALUE "its value is not UTF-8, or holds a \\ that means nothing; \\\\ is one"

/* Read one line, which holds no newline; false: KEY_FILE_NO_LINE. key_line_clear() in either case. */
bool key_line_read(const char *line, struct key_line *l);
void key_line_clear(struct key_line *l);

/* The name of `names` (NULL ends) that `word` may have been meant to be; NULL: none is near. */
const char *key_file_nearest(const char *word, const char *const *names);
/* "; did you mean X?", of the names (NULL ends) that which is near to `word`; "" when none is (g_free). */
char *key_file_suggestion(const char *word, const char *const *names);

/* The text of a file: all of it, terminated (g_free), at most 1 MiB, without zero bytes. NULL with *why_r, a sentence
 * with the path (g_free), when it cannot be read, or when others than root and this user may write it. */
char *key_file_open(const char *path, char **why_r);
/* The same of one that is open, and stays so; `path` is what it was opened by. */
char *key_file_text(int fd, const char *path, char **why_r);

#endif
