/*
 * fuzz_courier.c - any bytes as control file, text and name of a message of Courier
 *
 * Input: place, facts, window policy, length of the name, name; then the control file up to FF 00,
 * and the text.
 */
#include "message.h"

extern const struct format fmt_courier;

#define HEAD 4
#define NAME_BYTES 48
#define ENTRY 0
#define CONTROL 1
#define TEXT 2

static void set_parts(struct fuzzed *f, size_t control, size_t text, uint8_t facts)
{
	struct part *parts = f->m.parts;

	parts[ENTRY] = (struct part){ .ino = 11, .size = control, .mode = facts & 2 ? 0100660 : 0100600,
				      .mtime = facts & 1 ? 1700000000 : 1799999990,
				      .uid = facts & 4 ? 100 : 0, .nlink = facts >> 3 & 3 };
	parts[CONTROL].mode = facts & 0x20 ? 0100660 : 0;
	parts[CONTROL].ino = facts & 0x40 ? 11 : 12;
	if ((facts & 0x80) == 0)
		parts[TEXT] = (struct part){ .size = text, .mode = 0100660 };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzzed f = { .format = &fmt_courier };
	char name[NAME_BYTES + 1] = "";
	size_t control, len;
	struct name said;

	if (size < HEAD || size < HEAD + (len = data[3] % (NAME_BYTES + 1)))
		return 0;
	memcpy(name, data + HEAD, len);
	f.m.place = data[0] % 3;
	f.m.force = (data[0] & 4) != 0;
	f.m.path = name;
	f.m.site.now = 1800000000;
	f.m.site.owner = 100;
	f.policy = data[2];
	f.most.steps = f.most.rows = size + 16;
	f.most.runs = 10;
	uint8_t facts = data[1];
	data += HEAD + len;
	size -= HEAD + len;
	control = fuzz_part(&data, &size, &f.bytes[ENTRY]);
	f.bytes[TEXT] = data;
	set_parts(&f, control, size, facts);
	said = fuzz_name(&f, name);
	f.m.id = said.id;
	f.m.id_len = said.id_len;
	fuzz_message(&f);
	return 0;
}
