/*
 * eva.h - any message at all, for Frama-C's value analysis
 *
 * FORMAT is the format's name, PARTS how many parts its messages can have. The window of each part is
 * EVA_WINDOW bytes, each of them anything; position and size of the file, the length of the window,
 * place, mode, times and site are anything, too. Every call finds the windows somewhere else.
 */
#ifndef EVA_H
#define EVA_H

#include "format.h"

#include <string.h>

#include "__fc_builtin.h"

#define EVA_WINDOW 4096
#define EVA_NAME 255 /* ID_MAX */

#define EVA_JOIN(a, b) a##b
#define EVA_NAMED(a, b) EVA_JOIN(a, b)
#define EVA_FORMAT EVA_NAMED(fmt_, FORMAT)

extern const struct format EVA_FORMAT;

static uint8_t window[PARTS][EVA_WINDOW];
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

static void any_site(struct site *s)
{
	s->now = Frama_C_long_interval(0, INT64_C(1) << 40);
	s->owner = Frama_C_unsigned_int_interval(0, UINT32_MAX);
	Frama_C_make_unknown((char *)s->owners, sizeof s->owners);
	s->split = Frama_C_unsigned_int_interval(0, UINT32_MAX);
	s->split_places = Frama_C_unsigned_short_interval(0, UINT16_MAX);
	s->version = Frama_C_unsigned_int_interval(0, UINT32_MAX);
	s->record_limit = Frama_C_unsigned_long_interval(0, UINT64_MAX);
	s->keep = Frama_C_unsigned_int_interval(0, UINT32_MAX);
	Frama_C_make_unknown((char *)s->group, sizeof s->group);
	s->configured = Frama_C_interval(0, 1);
	s->storage = Frama_C_unsigned_char_interval(0, UINT8_MAX);
	s->words_len = Frama_C_unsigned_short_interval(0, SITE_WORDS);
	Frama_C_make_unknown((char *)s->words, SITE_WORDS);
}

static void any_part(struct part *p)
{
	p->ino = Frama_C_unsigned_long_interval(0, UINT64_MAX);
	p->mtime = Frama_C_long_interval(INT64_MIN, INT64_MAX);
	p->mode = Frama_C_unsigned_int_interval(0, UINT32_MAX);
	p->uid = Frama_C_unsigned_int_interval(0, UINT32_MAX);
	p->gid = Frama_C_unsigned_int_interval(0, UINT32_MAX);
	p->nlink = Frama_C_unsigned_int_interval(0, UINT32_MAX);
	p->size = Frama_C_unsigned_long_interval(0, INT64_MAX);
	p->frame = Frama_C_unsigned_char_interval(0, UINT8_MAX);
	p->frame_at = Frama_C_unsigned_long_interval(0, UINT64_MAX);
	p->frame_why = "incorrect data check";
}

static void any_message(void)
{
	any_name();
	any_site(&message.site);
	message.place = Frama_C_unsigned_int_interval(0, PLACES_MAX - 1);
	message.force = Frama_C_interval(0, 1);
	for (unsigned i = 0; i < PARTS; i++) {
		any_part(&message.parts[i]);
		message.parts[i].bytes = window[i];
	}
}

/* Bytes [off, off + len) of the files are at hand now. */
static void any_window(void)
{
	for (unsigned i = 0; i < PARTS; i++) {
		struct part *p = &message.parts[i];

		Frama_C_make_unknown((char *)window[i], EVA_WINDOW);
		p->off = Frama_C_unsigned_long_interval(0, INT64_MAX);
		p->len = Frama_C_size_t_interval(0, EVA_WINDOW);
	}
}

#endif
