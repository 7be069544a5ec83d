/*
 * fuzz_exim.c - any bytes as an Exim message
 *
 * Input: place, version, window policy, what parts there are; the -H file up to the
 * first 0xff 0x00, the -J file up to the next one; the rest is the -D file.
 */
#include "message.h"

extern const struct format fmt_exim;

#define HEAD 4
#define ID "1xUM0n-00000r-15"
#define NEW_ID "1xUM1R-0000000000T-0gDX"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t versions[] = { 0, VERSION(4, 80, 0), VERSION(4, 87, 0), VERSION(4, 94, 1),
					     VERSION(4, 96, 0), VERSION(4, 98, 2), VERSION(5, 0, 0) };
	struct fuzzed f = { .format = &fmt_exim };
	size_t sizes[3];
	uint8_t missing;

	if (size < HEAD)
		return 0;
	f.m.place = data[0] & 1;
	f.m.id = data[0] & 2 ? NEW_ID : ID;
	f.m.id_len = strlen(f.m.id);
	f.m.path = data[0] & 4 ? "n/" ID "-H" : ID "-H";
	f.m.site.now = 1795177000;
	f.m.site.owner = 100;
	f.m.site.keep = (data[1] & 16) != 0 ? 3600 : 0;
	f.m.site.version = versions[data[1] % (sizeof versions / sizeof versions[0])];
	f.policy = data[2];
	missing = data[3];
	data += HEAD;
	size -= HEAD;
	f.most.steps = size + 4;
	f.most.rows = f.most.runs = 4 * size + 100;
	sizes[0] = fuzz_part(&data, &size, &f.bytes[0]);
	sizes[2] = fuzz_part(&data, &size, &f.bytes[2]);
	f.bytes[1] = data;
	sizes[1] = size;
	for (unsigned i = 0; i < 3; i++)
		/* -H is missing when somebody looks at one of the others. */
		if ((missing >> i & 1) == 0 || (i == 0 && (missing & 6) == 6))
			f.m.parts[i] = (struct part){ .ino = i, .size = sizes[i], .mode = 0100640, .uid = 100,
						      .nlink = 1 };
	f.most.recipients = f.m.parts[0].size > 0 ? f.m.parts[0].size : 1;
	fuzz_message(&f);
	return 0;
}
