/*
 * fuzz_qmail.c - any bytes as a qmail message
 *
 * Input: place, window policy, which files there are, facts, length of the name, name; then the
 * files in the order of the places, each up to 0xff 0x00.
 */
#include "message.h"

extern const struct format fmt_qmail;

#define HEAD 5
#define FILES 7u /* info, todo, local, remote, bounce, intd, mess */
#define MESS 6u
#define ID "1400885"
#define NAME_BYTES 40

static void try_name(const struct fuzzed *f, const char *name)
{
	const struct name n = fuzz_name(f, name);
	const struct site *s = &f->m.site;
	char path[100];

	if (n.kind == NAME_MESSAGE)
		must((fuzz_path(f, 0, &n, path, sizeof path) > 0) ==
		     (s->split > 0 || (f->m.place == 1 && s->split_places == 0)));
}

static void set_part(struct fuzzed *f, unsigned role, size_t size, uint8_t odd)
{
	f->m.parts[role] = (struct part){ .ino = odd & 1 ? 7 : 1400885, .size = size, .mode = 0100644,
					  .uid = odd & 2 ? 9 : 100, .nlink = odd & 4 ? 3 : 1,
					  .mtime = odd & 8 ? 1700000000 : odd & 16 ? 1900000000 : 1795170000 };
}

static void set_parts(struct fuzzed *f, const uint8_t *data, size_t size, uint8_t gone, uint8_t odd)
{
	for (unsigned file = 0; file < FILES; file++) {
		unsigned role = file == f->m.place ? 0 : file + 1;
		size_t n = fuzz_part(&data, &size, &f->bytes[role]);

		if (role == 0 || (gone >> file & 1) == 0)
			set_part(f, role, n, file == MESS || file == 4 ? odd : odd & 0x18);
	}
	if (f->m.place >= FILES) { /* pid, lock: explained by hand */
		f->bytes[0] = data;
		set_part(f, 0, size, 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t splits[] = { 23, 0, 1, 7 };
	struct fuzzed f = { .format = &fmt_qmail };
	char name[NAME_BYTES + 1] = "";
	struct message *m = &f.m;
	size_t len;

	if (size < HEAD || size < HEAD + (len = data[4] % (NAME_BYTES + 1)))
		return 0;
	memcpy(name, data + HEAD, len);
	m->place = data[0] % fmt_qmail.nplaces;
	m->force = (data[0] & 0x80) != 0;
	m->path = data[1] & 0x80 ? name : m->place == 1 || m->place == 4 ? ID : "1/" ID;
	m->id = ID;
	m->id_len = strlen(ID);
	m->site = (struct site){ .now = 1795177000, .owner = 100, .split = splits[data[3] >> 6] };
	m->site.split_places = data[3] & 0x20 ? 1u << 1 : 0;
	for (unsigned i = 0; i < PLACES_MAX; i++)
		m->site.owners[i] = 100;
	f.policy = data[1];
	f.most.steps = 3 * size + 16;
	f.most.rows = size + 2 * FILES + 2;
	f.most.runs = 10;
	f.most.recipients = size;
	set_parts(&f, data + HEAD + len, size - HEAD - len, data[2], data[3]);
	try_name(&f, name);
	fuzz_message(&f);
	return 0;
}
