/*
 * eva.h - any message at all, for Frama-C's value analysis
 *
 * The window is EVA_WINDOW bytes, each of them anything; position and size of
 * the file, the length of the window, place, mode, times and site are anything,
 * too. Every call finds the window somewhere else.
 */
#ifndef EVA_H
#define EVA_H

#include "format.h"

#include <string.h>

#include "__fc_builtin.h"

#define EVA_WINDOW 4096
#define EVA_NAME 255 /* ID_MAX */

extern const struct format fmt_postfix;

static uint8_t window[EVA_WINDOW];
static char name[EVA_NAME + 1];
static struct message message;

static void any_name(void)
{
	Frama_C_make_unknown(name, EVA_NAME);
	name[EVA_NAME] = '\0';
	message.path = name;
	message.id = name;
	message.id_len = Frama_C_size_t_interval(0, EVA_NAME);
}

static void any_message(void)
{
	struct part *p = &message.parts[0];

	any_name();
	message.place = Frama_C_unsigned_int_interval(0, 9);
	message.site.now = Frama_C_long_interval(0, INT64_C(1) << 40);
	message.site.owner = Frama_C_unsigned_int_interval(0, UINT32_MAX);
	message.site.version = Frama_C_unsigned_int_interval(0, UINT32_MAX);
	message.site.record_limit = Frama_C_unsigned_long_interval(0, UINT64_MAX);
	p->ino = Frama_C_unsigned_long_interval(0, UINT64_MAX);
	p->mtime = Frama_C_long_interval(INT64_MIN, INT64_MAX);
	p->mode = Frama_C_unsigned_int_interval(0, UINT32_MAX);
	p->uid = Frama_C_unsigned_int_interval(0, UINT32_MAX);
	p->gid = 0;
	p->nlink = 1;
	p->size = Frama_C_unsigned_long_interval(0, INT64_MAX);
	p->bytes = window;
}

/* Bytes [off, off + len) of the file are at hand now. */
static void any_window(void)
{
	struct part *p = &message.parts[0];

	Frama_C_make_unknown((char *)window, sizeof window);
	p->off = Frama_C_unsigned_long_interval(0, INT64_MAX);
	p->len = Frama_C_size_t_interval(0, sizeof window);
}

#endif
