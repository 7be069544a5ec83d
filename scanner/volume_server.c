/*
 * volume_server.c - libfsntfs behind a closed door
 *
 * The library follows pointers of a file system that may be damaged or made to harm. It has one descriptor
 * to read from and one channel to answer on; what it can do besides is think, take memory and die. Whoever asks has
 * a deadline, kills, and asks a fresh server (volume.c).
 *
 * One entry of the library is kept open for each of the last few files, because a directory's index is read
 * anew for each.
 */
#include "config.h"

#include "volume_server.h"

#include "ntfs_record.h"
#include "sandbox.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEPT 4              /* entries that stay open */
#define RECORD_MFT 0        /* of the MFT: itself */
#define RECORD_ROOT 5
#define ATTRIBUTE_LIST 0x20
#define ATTRIBUTE_DATA 0x80
#define LIST_MAX 4096       /* attributes of one file */
#define FILETIME_1970 116444736000000000ull /* in units of 100 ns since 1601 */

static struct server {
	libbfio_handle_t *io;
	libfsntfs_volume_t *volume;
	struct {
		uint64_t ref, used;
		libfsntfs_file_entry_t *entry;
		libfsntfs_data_stream_t *stream; /* the one that was read last, called `name` */
		char name[VOLUME_NAME_MAX + 1];
	} kept[KEPT];
	uint64_t clock;
	libfsntfs_file_entry_t *mft;
	uint32_t record_size;
	struct volume_request request;
	struct volume_out out;
	uint8_t frame[FRAME_MAX];
} s;

/* --- Files --------------------------------------------------------------------------- */

/* The library said no: why? */
static int damaged(void)
{
	int error = volume_io_error();

	return error != 0 ? error : EUCLEAN;
}

static uint64_t reference_of(libfsntfs_file_entry_t *entry)
{
	uint64_t ref = 0;

	return libfsntfs_file_entry_get_file_reference(entry, &ref, NULL) == 1 ? ref : 0;
}

static void forget(unsigned i)
{
	if (s.kept[i].stream != NULL)
		libfsntfs_data_stream_free(&s.kept[i].stream, NULL);
	if (s.kept[i].entry != NULL)
		libfsntfs_file_entry_free(&s.kept[i].entry, NULL);
}

/* The file `ref`, open; its index in s.kept or a negative errno. */
static int file_of(uint64_t ref)
{
	unsigned oldest = 0;
	libfsntfs_file_entry_t *entry = NULL;

	if (s.volume == NULL)
		return -EINVAL;
	for (unsigned i = 0; i < KEPT; i++) {
		if (s.kept[i].entry != NULL && s.kept[i].ref == ref) {
			s.kept[i].used = ++s.clock;
			return (int)i;
		}
		if (s.kept[i].used < s.kept[oldest].used)
			oldest = i;
	}
	if (libfsntfs_volume_get_file_entry_by_index(s.volume, ref & 0xffffffffffff, &entry, NULL) != 1)
		return -damaged();
	if (libfsntfs_file_entry_is_corrupted(entry, NULL) == 1 || reference_of(entry) != ref) {
		int ret = libfsntfs_file_entry_is_corrupted(entry, NULL) == 1 ? -EUCLEAN : -ESTALE;

		libfsntfs_file_entry_free(&entry, NULL);
		return ret;
	}
	forget(oldest);
	s.kept[oldest].ref = ref;
	s.kept[oldest].used = ++s.clock;
	s.kept[oldest].entry = entry;
	return (int)oldest;
}

static enum volume_kind kind_of(libfsntfs_file_entry_t *entry)
{
	if (libfsntfs_file_entry_is_symbolic_link(entry, NULL) == 1)
		return VOLUME_OTHER;
	if (libfsntfs_file_entry_has_directory_entries_index(entry, NULL) == 1)
		return VOLUME_DIR;
	return VOLUME_FILE;
}

/* --- Directories ---------------------------------------------------------------------- */

/* A name that could mean something else in a path is no name. */
static bool sane_name(const char *name, size_t len)
{
	return len > 0 && len <= VOLUME_NAME_MAX && strlen(name) == len && memchr(name, '/', len) == NULL &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool entry_of(libfsntfs_file_entry_t *entry, struct volume_entry *e)
{
	size_t size = 0;

	if (libfsntfs_file_entry_is_corrupted(entry, NULL) == 1 ||
	    libfsntfs_file_entry_is_empty(entry, NULL) == 1 ||
	    libfsntfs_file_entry_get_utf8_name_size(entry, &size, NULL) != 1 || size == 0 ||
	    size > sizeof e->name ||
	    libfsntfs_file_entry_get_utf8_name(entry, (uint8_t *)e->name, size, NULL) != 1)
		return false;
	e->name[size - 1] = '\0';
	e->name_len = (uint16_t)(size - 1);
	e->ref = reference_of(entry);
	e->kind = kind_of(entry);
	return sane_name(e->name, size - 1);
}

/* The page of directory `entry` that begins at entry `from`. */
static int put_page(libfsntfs_file_entry_t *entry, uint64_t from)
{
	struct volume_page page = { 0, 0, 0, { 0 } };
	int count = 0;

	if (kind_of(entry) != VOLUME_DIR)
		return ENOTDIR;
	if (libfsntfs_file_entry_get_number_of_sub_file_entries(entry, &count, NULL) != 1)
		return damaged();
	volume_put_page(&s.out, &page);
	for (int i = (int)MIN(from, (uint64_t)MAX(count, 0)); i < count; i++) {
		libfsntfs_file_entry_t *sub = NULL;
		struct volume_entry e;
		bool there = libfsntfs_file_entry_get_sub_file_entry_by_index(entry, i, &sub, NULL) == 1 &&
			     entry_of(sub, &e);

		if (sub != NULL)
			libfsntfs_file_entry_free(&sub, NULL);
		if (there && (page.count == UINT16_MAX || !volume_put_entry(&s.out, &e))) {
			page.next = (uint32_t)i;
			break;
		}
		page.count = (uint16_t)(page.count + there);
		page.lost += !there;
	}
	volume_end_page(&s.out, &page);
	return 0;
}

/* --- Streams -------------------------------------------------------------------------- */

/* Record `index` of the MFT, as it lies on the disk; undone. */
static bool record_of(uint64_t index, uint8_t *record)
{
	if (s.mft == NULL || s.record_size > NTFS_RECORD_MAX || index > UINT32_MAX ||
	    libfsntfs_file_entry_read_buffer_at_offset(s.mft, record, s.record_size,
						       (off64_t)(index * s.record_size), NULL) !=
		    (ssize_t)s.record_size)
		return false;
	return ntfs_record_fix(record, s.record_size);
}

static bool same_name(const struct ntfs_data *d, const struct volume_stream *stream)
{
	gunichar2 units[256];
	g_autofree char *name = NULL;

	for (unsigned i = 0; i < d->name_units; i++)
		units[i] = (gunichar2)(d->name[2 * i] | d->name[2 * i + 1] << 8);
	name = g_utf16_to_utf8(units, (glong)d->name_units, NULL, NULL, NULL);
	return name != NULL && strcmp(name, stream->name) == 0;
}

static unsigned flags_of(const struct ntfs_data *d)
{
	return (d->flags & NTFS_DATA_COMPRESSED ? STREAM_COMPRESSED : 0) |
	       (d->flags & NTFS_DATA_SPARSE ? STREAM_SPARSE : 0) |
	       (d->flags & NTFS_DATA_ENCRYPTED ? STREAM_ENCRYPTED : 0) | (d->resident ? STREAM_RESIDENT : 0);
}

/* What one record says of the streams that the library found. */
static void learn_valid(const uint8_t *record, struct volume_stat *st)
{
	struct ntfs_data d;
	size_t at = 0;

	while (ntfs_record_data(record, s.record_size, &at, &d))
		for (unsigned i = 0; i < st->count; i++)
			if (d.size == st->streams[i].size && same_name(&d, &st->streams[i])) {
				st->streams[i].valid = d.valid;
				st->streams[i].flags = flags_of(&d);
			}
}

/* The other records of a file that has more attributes than one holds; each once. */
static void learn_listed(libfsntfs_attribute_t *list, struct volume_stat *st)
{
	uint8_t record[NTFS_RECORD_MAX];
	uint64_t last = st->ref, ref = 0;
	int count = 0;

	libfsntfs_attribute_list_attribute_get_number_of_entries(list, &count, NULL);
	for (int i = 0; i < MIN(count, LIST_MAX); i++) {
		libfsntfs_attribute_list_entry_t *entry = NULL;
		uint32_t type = 0;

		if (libfsntfs_attribute_list_attribute_get_entry_by_index(list, i, &entry, NULL) == 1 &&
		    libfsntfs_attribute_list_entry_get_attribute_type(entry, &type, NULL) == 1 &&
		    type == ATTRIBUTE_DATA &&
		    libfsntfs_attribute_list_entry_get_file_reference(entry, &ref, NULL) == 1 && ref != last &&
		    ref != st->ref && record_of(ref & 0xffffffffffff, record))
			learn_valid(record, st);
		last = ref;
		if (entry != NULL)
			libfsntfs_attribute_list_entry_free(&entry, NULL);
	}
}

/* How much of each stream was written: libfsntfs reads the rest as zero, and does not tell. */
static void put_valid(libfsntfs_file_entry_t *entry, struct volume_stat *st)
{
	uint8_t record[NTFS_RECORD_MAX];
	int count = 0;

	if (!record_of(st->ref & 0xffffffffffff, record))
		return;
	learn_valid(record, st);
	libfsntfs_file_entry_get_number_of_attributes(entry, &count, NULL);
	for (int i = 0; i < count; i++) {
		libfsntfs_attribute_t *attribute = NULL;
		uint32_t type = 0;

		if (libfsntfs_file_entry_get_attribute_by_index(entry, i, &attribute, NULL) == 1 &&
		    libfsntfs_attribute_get_type(attribute, &type, NULL) == 1 && type == ATTRIBUTE_LIST)
			learn_listed(attribute, st);
		if (attribute != NULL)
			libfsntfs_attribute_free(&attribute, NULL);
	}
}

/* False: its name or its size cannot be read. There is room for it. */
static bool put_named(libfsntfs_data_stream_t *stream, struct volume_stat *st)
{
	struct volume_stream *to = &st->streams[st->count];
	size64_t size = 0;
	size_t name = 0;

	*to = (struct volume_stream){ .valid = VOLUME_VALID_UNKNOWN };
	if (libfsntfs_data_stream_get_utf8_name_size(stream, &name, NULL) != 1 || name < 2 ||
	    name > sizeof to->name ||
	    libfsntfs_data_stream_get_utf8_name(stream, (uint8_t *)to->name, name, NULL) != 1 ||
	    libfsntfs_data_stream_get_size(stream, &size, NULL) != 1 || size > INT64_MAX ||
	    memchr(to->name, '/', name) != NULL || strlen(to->name) != name - 1)
		return false;
	to->size = size;
	to->name_len = (uint16_t)(name - 1);
	st->count++;
	return true;
}

static void put_streams(libfsntfs_file_entry_t *entry, struct volume_stat *st)
{
	size64_t size = 0;
	int count = 0;

	if (libfsntfs_file_entry_has_default_data_stream(entry, NULL) == 1) {
		if (libfsntfs_file_entry_get_size(entry, &size, NULL) == 1 && size <= INT64_MAX)
			st->streams[st->count++] = (struct volume_stream){ .size = size,
									   .valid = VOLUME_VALID_UNKNOWN };
		else
			st->unreadable++;
	}
	if (libfsntfs_file_entry_get_number_of_alternate_data_streams(entry, &count, NULL) != 1)
		st->unreadable++;
	for (int i = 0; i < count; i++) {
		libfsntfs_data_stream_t *stream = NULL;

		if (st->count == VOLUME_STREAMS)
			st->more++;
		else if (libfsntfs_file_entry_get_alternate_data_stream_by_index(entry, i, &stream, NULL) != 1 ||
			 !put_named(stream, st))
			st->unreadable++;
		if (stream != NULL)
			libfsntfs_data_stream_free(&stream, NULL);
	}
}

static void put_time(uint64_t filetime, int64_t *seconds, uint32_t *ns)
{
	int64_t since = filetime <= INT64_MAX ? (int64_t)filetime - (int64_t)FILETIME_1970 : 0;
	int64_t rest = since % 10000000;

	*seconds = since / 10000000 - (rest < 0);
	*ns = (uint32_t)((rest < 0 ? rest + 10000000 : rest) * 100);
}

static int put_stat(libfsntfs_file_entry_t *entry, uint64_t ref)
{
	static struct volume_stat st;
	uint64_t modified = 0, changed = 0;

	st = (struct volume_stat){ .ref = ref, .kind = kind_of(entry) };
	libfsntfs_file_entry_get_modification_time(entry, &modified, NULL);
	libfsntfs_file_entry_get_entry_modification_time(entry, &changed, NULL);
	put_time(modified, &st.mtime, &st.mtime_ns);
	put_time(changed, &st.ctime, &st.ctime_ns);
	if (st.kind == VOLUME_FILE) {
		put_streams(entry, &st);
		put_valid(entry, &st);
	}
	volume_put_stat(&s.out, &st);
	return 0;
}

/* The named stream of a kept file, open. */
static int stream_of(unsigned k, const char *name, size_t len)
{
	if (s.kept[k].stream != NULL && strcmp(s.kept[k].name, name) == 0)
		return 0;
	if (s.kept[k].stream != NULL)
		libfsntfs_data_stream_free(&s.kept[k].stream, NULL);
	if (libfsntfs_file_entry_has_alternate_data_stream_by_utf8_name(s.kept[k].entry, (const uint8_t *)name,
									len, NULL) != 1)
		return ENOENT;
	if (libfsntfs_file_entry_get_alternate_data_stream_by_utf8_name(
		    s.kept[k].entry, (const uint8_t *)name, len, &s.kept[k].stream, NULL) != 1)
		return damaged();
	memcpy(s.kept[k].name, name, len + 1);
	return 0;
}

static int put_bytes(unsigned k)
{
	const struct volume_request *r = &s.request;
	size_t room = s.out.cap - s.out.len;
	ssize_t n;
	int ret;

	if (r->size > VOLUME_READ_MAX || r->size > room || r->off > INT64_MAX)
		return EINVAL;
	if (r->name_len == 0) {
		n = libfsntfs_file_entry_read_buffer_at_offset(s.kept[k].entry, s.out.buf + s.out.len,
							       (size_t)r->size, (off64_t)r->off, NULL);
	} else {
		ret = stream_of(k, r->name, r->name_len);
		if (ret != 0)
			return ret;
		n = libfsntfs_data_stream_read_buffer_at_offset(s.kept[k].stream, s.out.buf + s.out.len,
								(size_t)r->size, (off64_t)r->off, NULL);
	}
	if (n < 0)
		return damaged();
	s.out.len += MIN((size_t)n, (size_t)r->size);
	return 0;
}

/* --- The volume ------------------------------------------------------------------------- */

static int library_open(void)
{
	s.io = volume_io_open(s.request.off, s.request.size);
	if (s.io == NULL || libfsntfs_volume_initialize(&s.volume, NULL) != 1)
		return ENOMEM;
	if (libfsntfs_volume_open_file_io_handle(s.volume, s.io, LIBFSNTFS_OPEN_READ, NULL) != 1 ||
	    libfsntfs_volume_get_file_entry_by_index(s.volume, RECORD_MFT, &s.mft, NULL) != 1)
		return damaged();
	return 0;
}

static int put_facts(void)
{
	struct volume_facts f = { 0 };
	libfsntfs_file_entry_t *root = NULL;
	size32_t record = 0;
	int ret;

	if (s.volume != NULL || s.request.size == 0)
		return EINVAL; /* one volume for one server */
	ret = library_open();
	if (ret != 0)
		return ret;
	if (libfsntfs_volume_get_file_entry_by_index(s.volume, RECORD_ROOT, &root, NULL) != 1)
		return damaged();
	libfsntfs_volume_get_mft_entry_size(s.volume, &record, NULL);
	libfsntfs_volume_get_serial_number(s.volume, &f.serial, NULL);
	f.record_size = s.record_size = record;
	f.root = reference_of(root);
	f.flags = volume_state_flags(s.volume);
	f.log = volume_state_log(s.volume);
	f.hibernated = volume_state_hibernated(root);
	libfsntfs_file_entry_free(&root, NULL);
	volume_put_facts(&s.out, &f);
	return 0;
}

static int put_table(void)
{
	static struct volume_table table;
	int error;

	volume_disk_table(volume_io_read, s.request.size, &table);
	error = volume_io_error();
	if (error != 0)
		return error;
	volume_put_table(&s.out, &table);
	return 0;
}

/* --- Requests ----------------------------------------------------------------------------- */

static int answer(void)
{
	enum volume_verb verb = (enum volume_verb)s.request.verb;
	int k;

	if (verb == VOLUME_TABLE)
		return put_table();
	if (verb == VOLUME_OPEN)
		return put_facts();
	k = file_of(s.request.ref);
	if (k < 0)
		return -k;
	switch (verb) {
	case VOLUME_LIST:
		return put_page(s.kept[k].entry, s.request.off);
	case VOLUME_STAT:
		return put_stat(s.kept[k].entry, s.request.ref);
	case VOLUME_READ:
		return put_bytes((unsigned)k);
	case VOLUME_TABLE:
	case VOLUME_OPEN:
		break;
	}
	return EINVAL;
}

#ifdef SPOOLCK_HOSTILE
#include "../t/hostile-volume.h"
#endif

_Noreturn void volume_server_main(void)
{
	s.out.buf = s.frame;
	s.out.cap = sizeof s.frame;
	for (;;) {
		ssize_t n = recv(WORKER_FD, &s.request, sizeof s.request, 0);
		int error;

		if (n != sizeof s.request || s.request.name_len > VOLUME_NAME_MAX)
			_exit(0);
		s.request.name[s.request.name_len] = '\0';
		volume_io_error(); /* of the last one */
		volume_put_head(&s.out, (enum volume_verb)s.request.verb);
#ifdef SPOOLCK_HOSTILE
		if (hostile_volume(&s.request, &s.out))
			continue;
#endif
		error = answer();
		if (error == 0 && s.out.full)
			error = EOVERFLOW;
		if (error != 0)
			volume_put_error(&s.out, error);
		if (send(WORKER_FD, s.frame, s.out.len, MSG_NOSIGNAL) < 0)
			_exit(0);
	}
}
