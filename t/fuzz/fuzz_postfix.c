/*
 * fuzz_postfix.c - any bytes as a Postfix queue file
 *
 * Input: place, version, status, window policy, line limit, length of the name,
 * name; the rest is the file.
 */
#include "message.h"

extern const struct format fmt_postfix;

#define HEAD 6
#define NAME_BYTES 48

/* Without pointers each record is read once or twice; with them Brent ends a loop after
 * three rounds, each of them no longer than the file. */
static void set_bounds(struct fuzzed *f, const uint8_t *file, size_t size)
{
	uint64_t records = size / 2 + 1;
	bool pointers = size > 0 && memchr(file, 'p', size) != NULL;

	f->most.steps = 64 + (pointers ? 16 * records * records : 8 * records);
	f->most.rows = f->most.runs = f->most.steps;
	f->most.recipients = pointers ? 0 : records;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t versions[] = { 0, VERSION(2, 11, 0), VERSION(3, 7, 11),
					     VERSION(3, 11, 6), VERSION(3, 14, 0) };
	static const uint64_t limits[] = { 0, 100, 2048 };
	static const uint32_t modes[] = { 0100700, 0100700, 0100700, 0100400, 0100600, 0040755 };
	struct fuzzed f = { .format = &fmt_postfix };
	char name[NAME_BYTES + 1] = "";
	struct name said;
	size_t len;

	if (size < HEAD || size < HEAD + (len = data[5] % (NAME_BYTES + 1)))
		return 0;
	memcpy(name, data + HEAD, len);
	f.m.place = data[0] % 7; /* the places of messages; logs are not checked */
	f.m.path = name;
	f.m.id = name;
	f.m.id_len = strlen(name);
	f.m.site.now = 1800000000;
	f.m.site.owner = data[2] & 0x80 ? UINT32_MAX : 100;
	f.m.site.version = versions[data[1] % (sizeof versions / sizeof versions[0])];
	f.m.site.record_limit = limits[data[4] % (sizeof limits / sizeof limits[0])];
	f.policy = data[3];
	f.bytes[0] = data + HEAD + len;
	f.m.parts[0] = (struct part){ .ino = 0x1c0b9, .size = size - HEAD - len, .uid = 100, .nlink = 1,
				      .mtime = data[2] & 0x40 ? 1700000000 : 1800000000,
				      .mode = modes[data[2] % (sizeof modes / sizeof modes[0])] };
	set_bounds(&f, f.bytes[0], f.m.parts[0].size);
	said = fuzz_name(&f, name);
	if (said.kind == NAME_MESSAGE) {
		must(said.role == 0);
		f.m.id = said.id;
		f.m.id_len = said.id_len;
	}
	fuzz_message(&f);
	return 0;
}
