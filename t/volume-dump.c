/*
 * volume-dump.c - everything that a disk's NTFS volumes hold, one line each, for t/volume.t
 *
 *     volume-dump IMAGE
 *
 * Prints the table, then for each volume its state and each file: path, stream, size, valid size, flags,
 * seconds, number of the MFT record, SHA-256; or the error. Files of the file system itself are left out. Goes through the zygote and the
 * confined server like the program.
 */
#include "config.h"

#include "volume.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH 12
#define READ_MAX (64u << 20) /* a damaged size may be anything */

static struct volume *v;
static const struct volume_stat *st;

static void dump_stream(const char *path, const struct volume_stream *s)
{
	static uint8_t buffer[1 << 20];
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	uint64_t off = 0;
	ssize_t n = 0;

	while (off < s->size && off < READ_MAX) {
		n = volume_read(v, st->ref, s->name, buffer, sizeof buffer, off);
		if (n <= 0)
			break;
		g_checksum_update(sum, buffer, n);
		off += (uint64_t)n;
	}
	printf("file\t%s\t%s\t%" G_GUINT64_FORMAT "\t%" G_GINT64_FORMAT "\t%u\t%" G_GINT64_FORMAT "\t%"
	       G_GUINT64_FORMAT "\t%s\n", path, s->name,
	       (guint64)s->size, s->valid == VOLUME_VALID_UNKNOWN ? -1 : (gint64)s->valid, s->flags,
	       (gint64)st->mtime, (guint64)(st->ref & 0xffffffffffff), n < 0 ? volume_error((int)-n) : off < s->size ? "cut off" : g_checksum_get_string(sum));
}

static void dump_file(const char *path, uint64_t ref)
{
	int ret = volume_stat(v, ref, &st);

	if (ret < 0)
		printf("error\t%s\t%s\n", path, volume_error(-ret));
	for (unsigned i = 0; ret == 0 && i < st->count; i++)
		dump_stream(path, &st->streams[i]);
}

static bool collect(void *arg, const struct volume_entry *e)
{
	g_ptr_array_add(arg, g_memdup2(e, sizeof *e));
	return true;
}

static void dump_dir(const char *path, uint64_t ref, int depth)
{
	GPtrArray *entries = g_ptr_array_new_with_free_func(g_free);
	unsigned lost;
	int ret = volume_list(v, ref, collect, entries, &lost);

	if (ret < 0)
		printf("error\t%s\t%s\n", path, volume_error(-ret));
	if (lost > 0)
		printf("lost\t%s\t%u\n", path, lost);
	for (guint i = 0; i < entries->len; i++) {
		const struct volume_entry *e = entries->pdata[i];
		g_autofree char *below = g_strconcat(path, "/", e->name, NULL);

		if ((e->ref & 0xffffffffffff) < 24 || depth == DEPTH)
			continue;
		if (e->kind == VOLUME_DIR)
			dump_dir(below, e->ref, depth + 1);
		else
			dump_file(below, e->ref);
	}
	g_ptr_array_free(entries, TRUE);
}

int main(int argc, char **argv)
{
	int landlock, zygote, fd, ret;
	const char *what;
	struct volume_table table;

	zygote = zygote_start(false, &landlock, &what);
	fd = argc > 1 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
	if (zygote < 0 || fd < 0)
		return 2;
	v = volume_new(zygote, fd, (uint64_t)lseek(fd, 0, SEEK_END));
	ret = volume_table(v, &table);
	if (ret < 0)
		printf("error\ttable\t%s\n", volume_error(-ret));
	else if (table.container != CONTAINER_NONE)
		printf("container\t%s\t%s\n", volume_container_name(table.container),
		       volume_container_help(table.container));
	for (unsigned i = 0; ret == 0 && i < table.count; i++) {
		const struct volume_partition *p = &table.volumes[i];
		struct volume_facts f = { 0 };
		int opened = p->bitlocker ? 0 : volume_open(v, p->off, p->size, &f);

		printf("volume\t%u\t%" G_GUINT64_FORMAT "\t%" G_GUINT64_FORMAT "\t%s\n", p->number, (guint64)p->off,
		       (guint64)p->size, p->bitlocker ? "bitlocker" : opened < 0 ? volume_error(-opened) : "ntfs");
		if (p->bitlocker || opened < 0)
			continue;
		printf("state\t%u\t%d\t%d\n", f.flags, f.log, f.hibernated);
		dump_dir("", f.root, 0);
	}
	volume_free(v);
	return 0;
}
