/*
 * volume_disk.c - partition tables, and files that only look like a disk
 *
 * Runs in the volume server. A partition is what holds a file system that can be read, whatever type its
 * table gives it. Facts: UEFI 2.10, 5.2 (MBR) and 5.3 (GPT); the extended partitions of MS-DOS; for the signatures of
 * containers the specification of each.
 */
#include "config.h"

#include "volume_server.h"

#include "cursor.h"

#include <string.h>

#define SECTOR_MAX 4096
#define EXTENDED_MAX 128 /* logical drives in a chain: more is a loop */
#define GPT_ENTRIES_MAX 256

/* --- Containers --------------------------------------------------------------------- */

static const struct {
	enum volume_container is;
	size_t at, len;
	const char *bytes;
} signatures[] = {
	{ CONTAINER_BITLOCKER, 3, 8, "-FVE-FS-" },
	{ CONTAINER_VHDX, 0, 8, "vhdxfile" },
	{ CONTAINER_VHD, 0, 8, "conectix" }, /* a fixed one has it in its last sector only, and is a disk */
	{ CONTAINER_VMDK, 0, 4, "KDMV" },
	{ CONTAINER_VMDK, 0, 4, "COWD" },
	{ CONTAINER_VMDK, 0, 21, "# Disk DescriptorFile" },
	{ CONTAINER_VDI, 64, 4, "\x7f\x10\xda\xbe" },
	{ CONTAINER_QCOW, 0, 4, "QFI\xfb" },
	{ CONTAINER_EWF, 0, 8, "EVF\x09\x0d\x0a\xff\x00" },
	{ CONTAINER_WIM, 0, 8, "MSWIM\0\0\0" },
	{ CONTAINER_LUKS, 0, 6, "LUKS\xba\xbe" },
	{ CONTAINER_GZIP, 0, 2, "\x1f\x8b" },
	{ CONTAINER_ZIP, 0, 4, "PK\x03\x04" },
	{ CONTAINER_7Z, 0, 6, "7z\xbc\xaf\x27\x1c" },
	{ CONTAINER_XZ, 0, 6, "\xfd" "7zXZ\0" },
	{ CONTAINER_ZSTD, 0, 4, "\x28\xb5\x2f\xfd" },
	{ CONTAINER_BZIP2, 0, 3, "BZh" },
};

static enum volume_container container_of(const uint8_t *head)
{
	for (unsigned i = 0; i < sizeof signatures / sizeof signatures[0]; i++)
		if (memcmp(head + signatures[i].at, signatures[i].bytes, signatures[i].len) == 0)
			return signatures[i].is;
	return CONTAINER_NONE;
}

/* --- Partitions --------------------------------------------------------------------- */

struct disk {
	disk_read *read_at;
	uint64_t size;
	uint32_t sector;
	struct volume_table *t;
};

enum holds { HOLDS_OTHER, HOLDS_NTFS, HOLDS_BITLOCKER };

/* A volume of NTFS ends with its number of sectors in its boot sector, so one that is said to be there
 * but does not fit is none. */
static enum holds holds(const struct disk *d, uint64_t off)
{
	uint8_t boot[512];

	if (off > d->size || d->size - off < sizeof boot || !d->read_at(off, boot, sizeof boot))
		return HOLDS_OTHER;
	if (memcmp(boot + 3, "NTFS    ", 8) == 0)
		return HOLDS_NTFS;
	return memcmp(boot + 3, "-FVE-FS-", 8) == 0 ? HOLDS_BITLOCKER : HOLDS_OTHER;
}

/* A partition at sector `lba`: kept when its file system is one of ours. */
static void partition(struct disk *d, unsigned number, uint64_t lba, uint64_t sectors)
{
	uint64_t off = lba * d->sector, size = sectors * d->sector;
	enum holds what;

	if (lba == 0 || lba > d->size / d->sector || sectors == 0 || d->t->count == VOLUME_PARTITIONS)
		return;
	if (sectors > (d->size - off) / d->sector)
		size = d->size - off; /* an image that was cut off; what is there can be read */
	what = holds(d, off);
	if (what != HOLDS_OTHER)
		d->t->volumes[d->t->count++] = (struct volume_partition){ number, off, size,
									  what == HOLDS_BITLOCKER };
}

struct entry {
	uint8_t type;
	uint32_t first, count;
};

static struct entry mbr_entry(const uint8_t *sector, unsigned i)
{
	struct cur c = cur_make(sector, 512, 0);
	struct entry e;

	cur_seek(&c, 446 + 16 * i + 4);
	e.type = cur_u8(&c);
	cur_skip(&c, 3);
	e.first = cur_u32le(&c);
	e.count = cur_u32le(&c);
	return e;
}

static bool is_mbr(const uint8_t *sector)
{
	return sector[510] == 0x55 && sector[511] == 0xaa;
}

static bool is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

/* Logical drives: each table names one of them and where the next table is, counted from the first. */
static void extended(struct disk *d, uint64_t base)
{
	uint64_t at = base;

	for (unsigned i = 0; i < EXTENDED_MAX; i++) {
		uint8_t sector[512];
		struct entry drive, next;

		if (!d->read_at(at * d->sector, sector, sizeof sector) || !is_mbr(sector))
			return;
		drive = mbr_entry(sector, 0);
		next = mbr_entry(sector, 1);
		if (drive.type != 0)
			partition(d, 5 + i, at + drive.first, drive.count);
		if (!is_extended(next.type) || next.first == 0)
			return;
		at = base + next.first;
	}
}

static void mbr(struct disk *d, const uint8_t *sector)
{
	for (unsigned i = 0; i < 4; i++) {
		struct entry e = mbr_entry(sector, i);

		if (is_extended(e.type))
			extended(d, e.first);
		else if (e.type != 0)
			partition(d, i + 1, e.first, e.count);
	}
}

/* The table whose header is in sector `lba`. */
static bool gpt(struct disk *d, uint64_t lba)
{
	uint8_t header[512];
	struct cur c = cur_make(header, sizeof header, 0);
	uint64_t table;
	uint32_t count, size;

	if (lba > d->size / d->sector || !d->read_at(lba * d->sector, header, sizeof header) ||
	    memcmp(header, "EFI PART", 8) != 0)
		return false;
	cur_seek(&c, 72);
	table = cur_u64le(&c);
	count = cur_u32le(&c);
	size = cur_u32le(&c);
	if (table > d->size / d->sector || size < 128 || size > SECTOR_MAX || size % 8 != 0)
		return false;
	for (unsigned i = 0; i < count && i < GPT_ENTRIES_MAX; i++) {
		uint8_t entry[128];
		struct cur e = cur_make(entry, sizeof entry, 0);
		uint64_t first, last;

		if (!d->read_at(table * d->sector + (uint64_t)i * size, entry, sizeof entry))
			break;
		cur_seek(&e, 32);
		first = cur_u64le(&e);
		last = cur_u64le(&e);
		if (first > 0 && last >= first && last < UINT64_MAX / SECTOR_MAX)
			partition(d, i + 1, first, last - first + 1);
	}
	return true;
}

/* The copy in the last sector serves when the first table is lost. */
static bool any_gpt(struct disk *d)
{
	return gpt(d, 1) || (d->size >= 2 * d->sector && gpt(d, d->size / d->sector - 1));
}

void volume_disk_table(disk_read *read_at, uint64_t size, struct volume_table *t)
{
	static const uint32_t sectors[] = { 512, 4096 };
	uint8_t head[512];
	struct disk d = { read_at, size, 512, t };
	enum holds what = holds(&d, 0);

	*t = (struct volume_table){ .container = CONTAINER_NONE };
	if (size < sizeof head || !read_at(0, head, sizeof head))
		return;
	if (what == HOLDS_NTFS) {
		t->volumes[t->count++] = (struct volume_partition){ 0, 0, size, false };
		return;
	}
	t->container = container_of(head);
	for (unsigned i = 0; i < 2 && t->count == 0 && t->container == CONTAINER_NONE; i++) {
		d.sector = sectors[i];
		if (!any_gpt(&d) && is_mbr(head))
			mbr(&d, head);
	}
}
