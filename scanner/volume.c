/*
 * volume.c - asking a volume server
 *
 * Believes an answer only as far as it parses. The server is ended when it is late, dead or talks nonsense; the
 * question that it was asked has failed, the next one goes to a fresh server, which opens the volume first.
 */
#include "config.h"

#include "volume.h"

#include "hire.h"
#include "volume_wire.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>

#define PAGES_MAX 100000  /* of a directory: more is no directory */

#define DEATHS_MAX 100    /* servers that one process loses before it gives the volume up; */
#define DEATHS_HUNG 50    /* one that hangs counts for so many: two deadlines are less than that of a reader */

/* A stream that is larger than its disk has holes, or a damaged size: it is not read for days. */
#define SPARSE_MAX (UINT64_C(8) << 30)

/* A directory that was asked about; or why nothing is known of it, so that it is not asked about again for
 * each of its files. */
struct listed {
	int error;
	bool unsure;          /* some names cannot be read: one that is not here may be there */
	GHashTable *exact;    /* name -> struct volume_entry */
	GHashTable *folded;   /* ... in lower case */
};

struct volume {
	int zygote, image;
	uint64_t disk_size;
	bool opened;             /* volume_open() was asked for: a fresh server has to open it, too */
	uint64_t off, size;
	struct volume_facts facts;
	struct hired server;
	bool server_opened;
	unsigned deaths;
	GHashTable *dirs;        /* reference -> struct listed */
	struct volume_stat last; /* file that was asked about, if last_known */
	bool last_known;
	uint8_t frame[FRAME_MAX];
};

struct volume *volume_new(int zygote, int image, uint64_t size)
{
	struct volume *v = g_new0(struct volume, 1);

	v->zygote = zygote;
	v->image = image;
	v->disk_size = size;
	v->server = (struct hired)HIRED_NONE;
	return v;
}

static void listed_free(gpointer p)
{
	struct listed *l = p;

	g_hash_table_destroy(l->folded);
	g_hash_table_destroy(l->exact);
	g_free(l);
}

void volume_free(struct volume *v)
{
	if (v == NULL)
		return;
	dismiss(&v->server);
	if (v->dirs != NULL)
		g_hash_table_destroy(v->dirs);
	g_free(v);
}

void volume_inherited(struct volume *v)
{
	v->server = (struct hired)HIRED_NONE; /* the parent's, whose descriptors are closed */
	v->server_opened = false;
}

/* --- Questions ------------------------------------------------------------------------- */

/* It died, hangs or lies. */
static int lost(struct volume *v, int error)
{
	dismiss(&v->server);
	v->deaths += error == -ETIME ? DEATHS_HUNG : 1;
	return error;
}

/* Ask and wait. 0 and `body` in v->frame, or a negative errno. */
static int exchange(struct volume *v, const struct volume_request *r, struct cur *body)
{
	ssize_t n;
	int ret;

	if (send(v->server.fd, r, sizeof *r, MSG_NOSIGNAL) != sizeof *r)
		return lost(v, -ECHILD);
	if (!hired_speaks(&v->server))
		return lost(v, -ETIME);
	n = recv(v->server.fd, v->frame, sizeof v->frame, 0);
	if (n <= 0)
		return lost(v, -ECHILD);
	ret = volume_get_head(body, v->frame, (size_t)n, (enum volume_verb)r->verb);
	return ret == -EPROTO ? lost(v, ret) : ret;
}

static int refused(struct volume *v)
{
	return lost(v, -EPROTO);
}

/* Have a server, which knows the volume when `open`. */
static int have_server(struct volume *v, bool open)
{
	char what[60];
	struct volume_request r = { .verb = VOLUME_OPEN, .off = v->off, .size = v->size };
	struct volume_facts again;
	struct cur body;
	int ret;

	if (v->deaths >= DEATHS_MAX)
		return -EOWNERDEAD;
	if (v->server.fd < 0) {
		v->server_opened = false;
		ret = hire_volume(&v->server, v->zygote, v->image, what);
		if (ret < 0)
			return ret;
	}
	if (!open || v->server_opened)
		return 0;
	ret = exchange(v, &r, &body);
	if (ret == 0 && !volume_get_facts(&body, &again))
		return refused(v);
	if (ret < 0) {
		dismiss(&v->server); /* it has half a volume */
		return ret;
	}
	v->facts = again;
	v->server_opened = true;
	return 0;
}

static int ask(struct volume *v, const struct volume_request *r, struct cur *body)
{
	int ret = have_server(v, r->verb != VOLUME_TABLE);

	return ret < 0 ? ret : exchange(v, r, body);
}

int volume_table(struct volume *v, struct volume_table *t)
{
	struct volume_request r = { .verb = VOLUME_TABLE, .size = v->disk_size };
	struct cur body;
	int ret = ask(v, &r, &body);

	if (ret < 0)
		return ret;
	return volume_get_table(&body, t) ? 0 : refused(v);
}

int volume_open(struct volume *v, uint64_t off, uint64_t size, struct volume_facts *f)
{
	int ret;

	dismiss(&v->server); /* one server, one volume */
	g_clear_pointer(&v->dirs, g_hash_table_destroy);
	v->last_known = false;
	v->off = off;
	v->size = size;
	ret = have_server(v, true);
	if (ret == 0)
		*f = v->facts;
	return ret;
}

/* One page, from entry r->off on. It is copied first, because each() may ask something else. */
static int list_page(struct volume *v, struct volume_request *r, volume_each *each, void *arg,
		     struct volume_page *page, bool *stop)
{
	g_autofree uint8_t *bytes = NULL;
	struct cur body;
	int ret = ask(v, r, &body);

	if (ret < 0)
		return ret;
	bytes = g_memdup2(body.buf, body.len);
	body.buf = bytes;
	if (!volume_get_page(&body, page) || (page->next != 0 && page->next <= r->off))
		return refused(v);
	for (unsigned i = 0; i < page->count && !*stop; i++) {
		struct volume_entry e;

		if (!volume_get_entry(&page->entries, &e))
			return refused(v);
		*stop = !each(arg, &e);
	}
	if (!*stop && cur_left(&page->entries) > 0)
		return refused(v);
	return 0;
}

int volume_list(struct volume *v, uint64_t ref, volume_each *each, void *arg, unsigned *lost_r)
{
	struct volume_request r = { .verb = VOLUME_LIST, .ref = ref };
	bool stop = false;

	*lost_r = 0;
	for (unsigned i = 0; i < PAGES_MAX && !stop; i++) {
		struct volume_page page;
		int ret = list_page(v, &r, each, arg, &page, &stop);

		if (ret < 0)
			return ret;
		*lost_r += page.lost;
		if (page.next == 0)
			return 0;
		r.off = page.next;
	}
	return stop ? 0 : -ELOOP;
}

/* Each stream of a file is asked about in turn, so the last answer is kept. */
int volume_stat(struct volume *v, uint64_t ref, const struct volume_stat **st_r)
{
	struct volume_request r = { .verb = VOLUME_STAT, .ref = ref };
	struct cur body;
	int ret;

	*st_r = &v->last;
	if (v->last_known && v->last.ref == ref)
		return 0;
	v->last_known = false;
	ret = ask(v, &r, &body);
	if (ret < 0)
		return ret;
	if (!volume_get_stat(&body, &v->last) || v->last.ref != ref)
		return refused(v);
	for (unsigned i = 0; i < v->last.count; i++)
		if (v->last.streams[i].size > MAX(v->disk_size, SPARSE_MAX))
			return -EUCLEAN;
	v->last_known = true;
	return 0;
}

ssize_t volume_read(struct volume *v, uint64_t ref, const char *stream, void *to, size_t len, uint64_t off)
{
	struct volume_request r = { .verb = VOLUME_READ, .ref = ref };
	size_t name = strlen(stream), done = 0;

	if (name > VOLUME_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(r.name, stream, name);
	r.name_len = (uint32_t)name;
	while (done < len) {
		struct cur body;
		size_t n;
		int ret;

		r.off = off + done;
		r.size = MIN(len - done, VOLUME_READ_MAX);
		ret = ask(v, &r, &body);
		if (ret < 0)
			return ret;
		n = cur_left(&body);
		if (n > r.size)
			return refused(v);
		cur_copy(&body, (uint8_t *)to + done, n);
		done += n;
		if (n == 0)
			break;
	}
	return (ssize_t)done;
}

/* --- Paths --------------------------------------------------------------------------------- */

static bool remember(void *arg, const struct volume_entry *e)
{
	struct listed *l = arg;
	size_t size = offsetof(struct volume_entry, name) + e->name_len + 1;
	struct volume_entry *copy;

	/* A damaged index, or a server that lies, names a file twice: the first one counts. To put the second one in its
	 * place would free the name by which it is found. */
	if (g_hash_table_contains(l->exact, e->name))
		return true;
	copy = g_memdup2(e, size);
	g_hash_table_insert(l->exact, copy->name, copy);
	g_hash_table_insert(l->folded, g_ascii_strdown(copy->name, -1), copy);
	return true;
}

/* The directory's names; they stay known, because it is asked for one after the other. */
static int listed_of(struct volume *v, uint64_t ref, struct listed **l_r)
{
	struct listed *l;
	unsigned unreadable;

	if (v->dirs == NULL)
		v->dirs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, listed_free);
	*l_r = g_hash_table_lookup(v->dirs, &ref);
	if (*l_r != NULL)
		return (*l_r)->error;
	l = g_new(struct listed, 1);
	l->exact = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
	l->folded = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	l->error = volume_list(v, ref, remember, l, &unreadable);
	l->unsure = unreadable > 0;
	g_hash_table_insert(v->dirs, g_memdup2(&ref, sizeof ref), l);
	*l_r = l;
	return l->error;
}

static int step(struct volume *v, const char *name, size_t len, struct volume_entry *e)
{
	g_autofree char *word = g_strndup(name, len);
	g_autofree char *lower = g_ascii_strdown(word, -1);
	const struct volume_entry *found;
	struct listed *l;
	int ret;

	if (e->kind != VOLUME_DIR)
		return -ENOTDIR;
	ret = listed_of(v, e->ref, &l);
	if (ret < 0)
		return ret;
	found = g_hash_table_lookup(l->exact, word);
	if (found == NULL)
		found = g_hash_table_lookup(l->folded, lower);
	if (found == NULL)
		return l->unsure ? -EUCLEAN : -ENOENT;
	memcpy(e, found, offsetof(struct volume_entry, name) + found->name_len + 1);
	return 0;
}

int volume_find(struct volume *v, const char *path, struct volume_entry *e)
{
	int ret = have_server(v, true); /* v->facts */

	*e = (struct volume_entry){ .ref = v->facts.root, .kind = VOLUME_DIR };
	while (ret == 0 && *(path += strspn(path, "/")) != '\0') {
		size_t len = strcspn(path, "/");

		ret = len == 1 && *path == '.' ? 0 : step(v, path, len, e);
		path += len;
	}
	return ret;
}

const char *volume_error(int error)
{
	switch (error) {
	case EUCLEAN: return "the file system is damaged there";
	case ECHILD: return "the process that reads the file system died over it";
	case ETIME: return "the process that reads the file system did not answer in time";
	case EPROTO: return "the process that reads the file system answered nonsense";
	case EOWNERDEAD: return "the process that reads the file system died or hung too often; no more is tried";
	case ESTALE: return "its place in the file system is another file's by now";
	case ENOKEY: return "encrypted, and the key is not here";
	}
	return g_strerror(error);
}

/* --- Words --------------------------------------------------------------------------------- */

static const struct {
	const char *name, *help;
} containers[CONTAINER_COUNT] = {
	[CONTAINER_NONE] = { "disk", "" },
	[CONTAINER_VHDX] = { "Hyper-V disk (VHDX)", "qemu-img convert -O raw FILE disk.img" },
	[CONTAINER_VHD] = { "dynamic virtual disk (VHD)", "qemu-img convert -f vpc -O raw FILE disk.img" },
	[CONTAINER_VMDK] = { "VMware disk (VMDK)", "qemu-img convert -O raw FILE disk.img" },
	[CONTAINER_VDI] = { "VirtualBox disk (VDI)", "qemu-img convert -O raw FILE disk.img" },
	[CONTAINER_QCOW] = { "QEMU disk (QCOW2)", "qemu-img convert -O raw FILE disk.img" },
	[CONTAINER_EWF] = { "EnCase image (EWF, E01)", "ewfexport -f raw -t disk FILE, or ewfmount FILE DIRECTORY" },
	[CONTAINER_WIM] = { "Windows image (WIM)", "wimapply FILE DIRECTORY on an NTFS volume" },
	[CONTAINER_BITLOCKER] = { "volume encrypted by BitLocker",
				  "dislocker -r -V FILE -p -- DIRECTORY, then scan iis:DIRECTORY/dislocker-file" },
	[CONTAINER_LUKS] = { "encrypted volume (LUKS)", "cryptsetup open --readonly FILE NAME, then scan "
			     "iis:/dev/mapper/NAME" },
	[CONTAINER_GZIP] = { "compressed file (gzip)", "gzip -d FILE" },
	[CONTAINER_ZIP] = { "archive (zip)", "unzip FILE" },
	[CONTAINER_7Z] = { "archive (7-Zip)", "7zz x FILE" },
	[CONTAINER_XZ] = { "compressed file (xz)", "xz -d FILE" },
	[CONTAINER_ZSTD] = { "compressed file (zstd)", "zstd -d FILE" },
	[CONTAINER_BZIP2] = { "compressed file (bzip2)", "bzip2 -d FILE" },
};

const char *volume_container_name(enum volume_container c)
{
	return containers[c].name;
}

const char *volume_container_help(enum volume_container c)
{
	return containers[c].help;
}
