/*
 * fuzz_volume.c - the answers of a volume server that was taken over, and records of a damaged MFT
 *
 * An answer of any bytes is refused, or it is exactly what a server would have written: what was decoded is
 * encoded again and must give the same bytes. The first byte says which question was asked.
 */
#include "fuzz.h"

#include "ntfs_record.h"
#include "volume_wire.h"

#include <errno.h>

static uint8_t copy[FRAME_MAX];

static void must_be_same(const struct volume_out *w, const uint8_t *bytes, size_t size)
{
	must(!w->full && w->len == size && memcmp(copy, bytes, size) == 0);
}

static void check_name(const char *name, size_t len, bool of_file)
{
	must(len <= VOLUME_NAME_MAX && strlen(name) == len && strchr(name, '/') == NULL);
	must(!of_file || (len > 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0));
}

static bool again_page(struct volume_out *w, struct cur *body)
{
	struct volume_page page;
	struct volume_entry e;

	if (!volume_get_page(body, &page))
		return false;
	volume_put_page(w, &page);
	for (unsigned i = 0; i < page.count; i++) {
		if (!volume_get_entry(&page.entries, &e))
			return false;
		check_name(e.name, e.name_len, true);
		must(volume_put_entry(w, &e));
	}
	return cur_left(&page.entries) == 0;
}

static bool again_stat(struct volume_out *w, struct cur *body)
{
	static struct volume_stat st;

	if (!volume_get_stat(body, &st))
		return false;
	must(st.count <= VOLUME_STREAMS);
	for (unsigned i = 0; i < st.count; i++) {
		check_name(st.streams[i].name, st.streams[i].name_len, false);
		must(i == 0 || st.streams[i].name_len > 0);
	}
	volume_put_stat(w, &st);
	return true;
}

static bool again_table(struct volume_out *w, struct cur *body)
{
	struct volume_table t;

	if (!volume_get_table(body, &t))
		return false;
	must(t.count <= VOLUME_PARTITIONS && t.container < CONTAINER_COUNT);
	for (unsigned i = 0; i < t.count; i++)
		must(t.volumes[i].off + t.volumes[i].size <= INT64_MAX);
	volume_put_table(w, &t);
	return true;
}

static bool again_facts(struct volume_out *w, struct cur *body)
{
	struct volume_facts f;

	if (!volume_get_facts(body, &f))
		return false;
	volume_put_facts(w, &f);
	return true;
}

static void answers(enum volume_verb verb, const uint8_t *bytes, size_t size)
{
	struct volume_out w = { copy, 0, sizeof copy, false };
	struct cur body;
	int ret = volume_get_head(&body, bytes, size, verb);
	bool whole = false;

	must(ret <= 0 && ret > -4096);
	if (ret == -EPROTO)
		return;
	volume_put_head(&w, verb);
	if (ret < 0) {
		volume_put_error(&w, -ret);
		must_be_same(&w, bytes, size);
		return;
	}
	switch (verb) {
	case VOLUME_TABLE: whole = again_table(&w, &body); break;
	case VOLUME_OPEN: whole = again_facts(&w, &body); break;
	case VOLUME_LIST: whole = again_page(&w, &body); break;
	case VOLUME_STAT: whole = again_stat(&w, &body); break;
	case VOLUME_READ: break;
	}
	if (whole)
		must_be_same(&w, bytes, size);
}

static void record(uint8_t *bytes, size_t size)
{
	struct ntfs_data d;
	size_t at = 0, last = 0;
	uint64_t lsn;
	bool clean;

	ntfs_record_fix(bytes, size);
	while (ntfs_record_data(bytes, size, &at, &d)) {
		must(at > last && at <= size && d.valid <= d.size);
		must(d.name >= bytes && d.name + 2 * d.name_units <= bytes + size);
		last = at;
	}
	ntfs_restart(bytes, size, &lsn, &clean);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *bytes;

	if (size == 0)
		return 0;
	bytes = fuzz_copy(data + 1, size - 1);
	if (data[0] == 0)
		record(bytes, size - 1);
	else
		answers((enum volume_verb)(1 + data[0] % VOLUME_READ), bytes, size - 1);
	free(bytes);
	return 0;
}
