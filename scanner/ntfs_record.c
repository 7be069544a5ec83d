/* ntfs_record.c - sizes in an MFT record, and the end of the log */
#include "ntfs_record.h"

#include "cursor.h"

#include <string.h>

#define ATTRIBUTE_DATA 0x80
#define ATTRIBUTE_END 0xffffffff

/* Every sector ends in the same two bytes; those that belong there are kept behind the header. */
static bool fix(uint8_t *record, size_t len, const char *signature)
{
	struct cur c = cur_make(record, len, 0);
	const uint8_t *magic = cur_take(&c, 4);
	size_t at = cur_u16le(&c), count = cur_u16le(&c);

	if (c.err != CUR_OK || memcmp(magic, signature, 4) != 0 || len % 512 != 0 ||
	    count != len / 512 + 1 || at % 2 != 0 || at + 2 * count > 510)
		return false;
	for (size_t i = 1; i < count; i++) {
		uint8_t *last = record + 512 * i - 2;

		if (memcmp(last, record + at, 2) != 0)
			return false;
		memcpy(last, record + at + 2 * i, 2);
	}
	return true;
}

bool ntfs_record_fix(uint8_t *record, size_t len)
{
	return fix(record, len, "FILE");
}

/* A cursor on the attribute at *at (0 = the first), and *at beyond it. */
static bool next_attribute(const uint8_t *record, size_t len, size_t *at, struct cur *attribute,
			   uint32_t *type_r)
{
	struct cur c = cur_make(record, len, 0);
	uint32_t size;

	if (*at == 0) {
		cur_seek(&c, 0x14);
		*at = cur_u16le(&c);
	}
	if (*at < 0x18 || !cur_seek(&c, *at))
		return false;
	*type_r = cur_u32le(&c);
	if (c.err != CUR_OK || *type_r == ATTRIBUTE_END)
		return false;
	size = cur_u32le(&c);
	cur_seek(&c, *at);
	*attribute = cur_sub(&c, size);
	*at += size;
	return c.err == CUR_OK && size >= 0x18 && size % 8 == 0;
}

/* The form of an attribute: everything up to what differs between the two kinds. */
struct form {
	bool resident;
	uint8_t name_units;
	uint16_t name_at, flags;
};

static struct form form_of(struct cur *c)
{
	struct form f;

	cur_seek(c, 8);
	f.resident = cur_u8(c) == 0;
	f.name_units = cur_u8(c);
	f.name_at = cur_u16le(c);
	f.flags = cur_u16le(c);
	cur_skip(c, 2);
	return f;
}

/* False: it is a later run of a stream whose sizes stand in another record, or it does not parse. */
static bool data_of(struct cur *c, struct ntfs_data *d)
{
	struct form f = form_of(c);

	d->resident = f.resident;
	d->flags = f.flags;
	d->name_units = f.name_units;
	if (f.resident) {
		d->size = d->valid = cur_u32le(c);
	} else {
		if (cur_u64le(c) != 0)
			return false;
		cur_seek(c, 0x30);
		d->size = cur_u64le(c);
		d->valid = cur_u64le(c);
	}
	cur_seek(c, f.name_at);
	d->name = cur_take(c, 2u * f.name_units);
	return c->err == CUR_OK && d->valid <= d->size;
}

bool ntfs_record_data(const uint8_t *record, size_t len, size_t *at, struct ntfs_data *d)
{
	struct cur attribute;
	uint32_t type;

	while (next_attribute(record, len, at, &attribute, &type))
		if (type == ATTRIBUTE_DATA && data_of(&attribute, d))
			return true;
	return false;
}

#define RESTART_CLEAN 0x0002
#define NO_CLIENT 0xffff

bool ntfs_restart(uint8_t *page, size_t len, uint64_t *lsn_r, bool *clean_r)
{
	struct cur c = cur_make(page, len, 0);
	uint16_t in_use;

	if (!fix(page, len, "RSTR"))
		return false;
	cur_seek(&c, 0x18);
	cur_seek(&c, cur_u16le(&c));
	*lsn_r = cur_u64le(&c);
	cur_skip(&c, 4);
	in_use = cur_u16le(&c);
	*clean_r = in_use == NO_CLIENT || (cur_u16le(&c) & RESTART_CLEAN) != 0;
	return c.err == CUR_OK;
}
