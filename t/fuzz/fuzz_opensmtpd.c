/*
 * fuzz_opensmtpd.c - any bytes as an envelope, a body or a submission of OpenSMTPD
 *
 * The bytes are those of the file, or what it unpacks to.
 *
 * Input: what it is, version, window policy, facts of the parts, length of the name, name; the
 * rest is the file.
 */
#include "message.h"

extern const struct format fmt_opensmtpd;

#define HEAD 5
#define NAME_BYTES 40

static void set_parts(struct fuzzed *f, const uint8_t *file, size_t size, const uint8_t head[HEAD])
{
	static const uint32_t modes[] = { 0, 0100600, 0120777, 0040700 };
	const unsigned unpacked = f->format->nroles - 1;
	struct part *parts = f->m.parts;

	parts[0] = (struct part){ .ino = 7, .size = size, .mtime = head[3] & 0x40 ? 1700000000 : 1900000000,
				  .mode = head[3] & 0x20 ? 0100600 : 0100644, .uid = head[3] & 0x10 ? 100 : 0,
				  .nlink = 1 };
	parts[1].mode = modes[head[3] % 4];
	parts[2].mode = modes[head[3] / 4 % 4];
	if (f->m.place != 0 || (head[0] >> 2) % 6 == 0) {
		f->bytes[0] = file;
		return;
	}
	f->bytes[unpacked] = file;
	parts[unpacked] = parts[0];
	parts[unpacked].mode = 0100600;
	parts[unpacked].frame = (uint8_t)(head[0] >> 2) % 6;
	parts[unpacked].frame_at = head[1];
	parts[unpacked].frame_why = "incorrect data check";
	parts[0].size = 300;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t versions[] = { 0, VERSION(6, 8, 0), VERSION(7, 8, 0), VERSION(8, 0, 0) };
	struct fuzzed f = { .format = &fmt_opensmtpd };
	char name[NAME_BYTES + 1] = "";
	struct name said;
	size_t len;

	if (size < HEAD || size < HEAD + (len = data[4] % (NAME_BYTES + 1)))
		return 0;
	memcpy(name, data + HEAD, len);
	f.m.place = data[0] % 2;
	f.m.force = (data[0] & 2) != 0;
	f.m.path = name;
	f.m.site.now = 1800000000;
	f.m.site.owner = data[3] & 0x80 ? UINT32_MAX : 100;
	f.m.site.version = versions[data[1] % 4];
	f.policy = data[2];
	f.most.steps = f.most.rows = size + 16;
	f.most.runs = 10;
	set_parts(&f, data + HEAD + len, size - HEAD - len, data);
	said = fuzz_name(&f, name);
	f.m.id = said.id;
	f.m.id_len = said.id_len;
	fuzz_message(&f);
	return 0;
}
