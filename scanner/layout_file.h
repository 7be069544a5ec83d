/*
 * layout_file.h - the file that describes the layout of a property block (spoolck-layout(5))
 */
#ifndef LAYOUT_FILE_H
#define LAYOUT_FILE_H

#include "layout.h"

#include <glib.h>

/* Read a description from `text`; `file` is its name in messages. Each problem is added to `problems`
 * (strings, g_free), "FILE:LINE: what is wrong, what may have been meant". *layout_r is of use only when there is none. */
void layout_parse(const char *file, const char *text, struct layout *layout_r, GPtrArray *problems);

/* The same from the file, which nobody else than root and this user may write. */
void layout_read(const char *file, struct layout *layout_r, GPtrArray *problems);

/* The description as text (g_free), without a comment; layout_parse() makes the same layout of it. */
char *layout_text(const struct layout *layout);

#endif
