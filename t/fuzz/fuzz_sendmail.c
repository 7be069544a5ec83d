/*
 * fuzz_sendmail.c - any bytes as a Sendmail message
 *
 * Input: letter, version, window policy, where the text lies, age; the control file up
 * to the first 0xff 0x00; the rest is the text.
 */
#include "message.h"

extern const struct format fmt_sendmail;

#define HEAD 5
#define ID "6AKCZi2h000071"
#define CONTROL 0

static void set_part(struct fuzzed *f, unsigned role, const uint8_t *bytes, size_t size, int64_t age)
{
	f->bytes[role] = bytes;
	f->m.parts[role] = (struct part){ .ino = role, .size = size, .mode = 0100600, .nlink = 1,
					  .mtime = f->m.site.now - age };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t versions[] = { 0, VERSION(8, 9, 3), VERSION(8, 17, 1), VERSION(8, 19, 0) };
	static const char *const paths[] = { "qf" ID, "hf" ID, "Qf" ID, "qfcopy" };
	struct fuzzed f = { .format = &fmt_sendmail };
	const uint8_t *head = data, *control;
	int64_t age;
	size_t n;

	if (size < HEAD)
		return 0;
	f.m.path = paths[head[0] % 4];
	f.m.id = f.m.path + 2;
	f.m.id_len = strlen(f.m.id);
	f.m.force = (head[0] & 4) != 0;
	f.m.site.now = 1795177000;
	f.m.site.owner = UINT32_MAX;
	f.m.site.version = versions[head[1] % 4];
	f.policy = head[2];
	age = head[4] & 1 ? 60 : 3600;
	data += HEAD;
	size -= HEAD;
	f.most.steps = size + 4;
	f.most.rows = f.most.runs = 4 * size + 100;
	n = fuzz_part(&data, &size, &control);
	f.most.recipients = n > 0 ? n : 1;
	set_part(&f, CONTROL, control, n, age);
	if ((head[3] & 6) != 6) /* there is a text: in the queue directory, or in df/ */
		set_part(&f, head[3] & 1 ? 2 : 1, data, size, age);
	fuzz_message(&f);
	return 0;
}
