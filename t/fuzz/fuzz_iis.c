/*
 * fuzz_iis.c - the IIS format against any bytes
 *
 * Input: place and what is seen (1 byte), age and more (1), how windows are given (1), length of the name (1), the name,
 * then text, three streams, .BDP and .BDR, with 0xff 0x00 between them.
 */
#include "iis.h"

#include "message.h"

extern const struct format fmt_iis;

#define HEAD 4u
#define NAME_BYTES 40u
#define PARTS 6u

/* The text as base64 of a block: tokens follow each other, and it ends. */
static void try_props(const uint8_t *text, size_t size)
{
	uint8_t *bytes = fuzz_copy(text, size);
	struct iis_props p = iis_props(cur_make(bytes, size, 0));
	uint64_t end = 0, tokens = 0;
	struct iis_token t;
	bool value = false;

	must(p.left <= size);
	for (;;) {
		enum iis_props_end said = iis_props_next(&p, &t);

		must(t.off >= end && t.off <= size && t.len <= size - t.off);
		must(t.nview <= IIS_PROPS_VIEW && t.value == value);
		if (said != IIS_PROPS_TOKEN)
			break;
		must(t.len > 0 && ++tokens <= size);
		value = !value;
		end = t.off + t.len;
	}
	free(bytes);
}

static void set_part(struct fuzzed *f, unsigned role, size_t size, uint8_t facts)
{
	struct part *p = &f->m.parts[role];

	if (role != IIS_TEXT && size == 0 && facts & 1)
		return; /* there is none */
	*p = (struct part){ .ino = 7, .mode = 0100600, .nlink = 1, .size = size,
			    .mtime = facts & 2 ? 1799999900 : 1700000000 };
	if (f->format->roles[role].stream) {
		p->name = "PROPERTIES";
		p->name_len = 10;
	}
}

static void set_parts(struct fuzzed *f, const uint8_t *data, size_t size, uint8_t facts)
{
	static const unsigned roles[PARTS] = { IIS_TEXT, IIS_STREAM, IIS_STREAM + 1, IIS_STREAM + 2, IIS_BDP, IIS_BDR };

	for (unsigned i = 0; i < PARTS; i++)
		set_part(f, roles[i], fuzz_part(&data, &size, &f->bytes[roles[i]]), facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzzed f = { .format = &fmt_iis };
	char name[NAME_BYTES + 1] = "";
	const struct report *r;
	struct name said;
	size_t len;

	if (size < HEAD || size < HEAD + (len = data[3] % (NAME_BYTES + 1)))
		return 0;
	memcpy(name, data + HEAD, len);
	f.m.place = (data[0] & 15) % IIS_PLACES;
	f.m.path = name;
	f.m.force = (data[0] & 16) != 0;
	f.m.more_streams = (data[0] & 32) != 0;
	f.m.site.now = 1800000000;
	f.m.site.streams_seen = (data[0] & 64) != 0;
	f.m.site.streams_known = data[1] >> 2 & 3;
	f.policy = data[2];
	f.most.steps = size + 16;
	f.most.rows = size + 32;
	f.most.runs = 10;
	set_parts(&f, data + HEAD + len, size - HEAD - len, data[1]);
	said = fuzz_name(&f, name);
	f.m.id = said.id;
	f.m.id_len = said.id_len;
	try_props(f.bytes[IIS_TEXT], f.m.parts[IIS_TEXT].size);
	r = fuzz_message(&f);
	for (unsigned i = 0; i < r->count; i++)
		must(r->findings[i].severity <= finding_def(r->findings[i].id)->severity);
	return 0;
}
