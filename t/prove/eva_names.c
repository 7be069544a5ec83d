/*
 * eva_names.c - what a format makes of any name, of any facts of a file that is not read, and of what is
 * read before check(): most of it in the coordinator, which is not confined
 */
#include "eva.h"

#define PATH 512

static struct report report;
static char path[PATH], buf[PATH];

static void any_string(char *s, size_t size)
{
	Frama_C_make_unknown(s, size - 1);
	s[size - 1] = '\0';
}

/* Names: what they are, what stays of them, where their parts are. */
static void names(unsigned place)
{
	unsigned role = Frama_C_unsigned_int_interval(0, UINT32_MAX);
	size_t cap = Frama_C_size_t_interval(0, sizeof buf);

	EVA_FORMAT.id_of(place, path);
	if (EVA_FORMAT.path_of != NULL)
		EVA_FORMAT.path_of(place, role, message.id, message.id_len,
				   Frama_C_unsigned_int_interval(0, UINT32_MAX), buf, cap);
	if (EVA_FORMAT.path_at != NULL)
		EVA_FORMAT.path_at(&message.site, place, role, message.id, message.id_len, buf, cap);
	if (EVA_FORMAT.stem != NULL)
		EVA_FORMAT.stem(message.id, message.id_len);
	if (EVA_FORMAT.inode_in_name != NULL)
		EVA_FORMAT.inode_in_name(message.id, message.id_len);
	if (EVA_FORMAT.owns_directory != NULL)
		EVA_FORMAT.owns_directory(place, message.id, message.id_len);
	if (EVA_FORMAT.lock.length != NULL)
		EVA_FORMAT.lock.length(message.id, message.id_len);
	EVA_FORMAT.bid((const char *const[]){ path, name }, 2);
	if (EVA_FORMAT.inner != NULL)
		EVA_FORMAT.inner(path, (const char *const[]){ path, name }, 2);
}

/* Files that are not read. */
static void facts(unsigned place)
{
	const struct part *p = &message.parts[0];
	struct sighting a = { place, path, p->ino, p->mtime, p->mode }, b;

	EVA_FORMAT.in_flight(place, p, &message.site);
	b.place = Frama_C_unsigned_int_interval(0, PLACES_MAX - 1);
	b.path = name;
	b.ino = Frama_C_unsigned_long_interval(0, UINT64_MAX);
	b.mtime = Frama_C_long_interval(INT64_MIN, INT64_MAX);
	b.mode = Frama_C_unsigned_int_interval(0, UINT32_MAX);
	EVA_FORMAT.cross(&a, &b, &report);
	if (EVA_FORMAT.orphan != NULL)
		EVA_FORMAT.orphan(place, Frama_C_unsigned_int_interval(0, UINT32_MAX), p, &message.site, &report);
	if (EVA_FORMAT.leftover != NULL)
		EVA_FORMAT.leftover(place, p, &message.site, &report);
	if (EVA_FORMAT.mixed != NULL)
		EVA_FORMAT.mixed(place, &report);
	if (EVA_FORMAT.directory != NULL)
		EVA_FORMAT.directory(Frama_C_unsigned_int_interval(0, 9), p, &message.site, &report);
	if (EVA_FORMAT.alone != NULL)
		EVA_FORMAT.alone(place, path, p, &message.site, &report);
}

/* What is read before check(): the server's configuration, the first bytes of a message. */
static void bytes(void)
{
	any_window();
	if (EVA_FORMAT.compressed != NULL)
		EVA_FORMAT.compressed(&message);
	if (EVA_FORMAT.configure != NULL)
		EVA_FORMAT.configure(&message.site, window[0], message.parts[0].len);
}

int main(void)
{
	unsigned place = Frama_C_unsigned_int_interval(0, PLACES_MAX - 1);

	any_message();
	any_string(path, sizeof path);
	report_reset(&report);
	if (Frama_C_interval(0, 1))
		names(place);
	else if (Frama_C_interval(0, 1))
		facts(place);
	else
		bytes();
	return 0;
}
