/*
 * redact.c - a message that can be shown to a stranger
 *
 * A confined worker lists the message row by row and says of each which bytes are somebody's (struct row in
 * format.h); those, and every byte that no row speaks of, are masked, each by one, in the layout that
 * salvage.c made. Then a fresh worker checks the result.
 *
 * Promises: the findings are the same before and after, by name, severity, impact, part, offset and
 * length; else it fails. Never: takes a byte for harmless because nothing is known about it; believes a
 * worker beyond the size of a part. Fails: with a sentence, and the caller throws the layout away.
 */
#include "config.h"

#include "redact.h"

#include "beneath.h"
#include "escape.h"
#include "mask.h"
#include "names.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PART_BYTES (256u << 20)  /* a part is masked in memory that large; no mail is larger */
#define ADDRESSES 1000000u       /* the largest list; each costs 40 bytes of memory */
#define ADDRESS_BYTES 4096u      /* what is longer is no address, and masked as text */
#define MARK_FACTOR 16u          /* a row may be told again by pointers, but not without end */

struct address {
	uint8_t part;
	uint64_t offset;
	uint32_t length;
	const uint8_t *bytes;    /* of the part before it was masked */
};

struct part_bytes {
	int fd;
	uint64_t size;
	uint8_t *bytes, *how;
	struct timespec times[2];
};

struct work {
	const struct format *format;
	struct part_bytes parts[PARTS_MAX]; /* by role */
	GArray *addresses;
	uint64_t budget;
	bool bad;
};

/* --- The parts -------------------------------------------------------------------- */

static bool part_open(struct part_bytes *p, int root, const char *path, struct q_error *err)
{
	struct stat st;
	uint64_t have = 0;

	p->fd = open_beneath(root, path, O_RDWR);
	if (p->fd < 0 || fstat(p->fd, &st) < 0 || (uint64_t)st.st_size > PART_BYTES) {
		snprintf(err->text, sizeof err->text, "%.200s cannot be read, or is larger than 256 MiB", path);
		return false;
	}
	p->size = (uint64_t)st.st_size;
	p->times[0] = st.st_atim;
	p->times[1] = st.st_mtim;
	p->bytes = g_malloc(p->size + 1);
	p->how = g_malloc0(p->size + 1);
	while (have < p->size) {
		ssize_t n = pread(p->fd, p->bytes + have, p->size - have, (off_t)have);

		if (n <= 0)
			break;
		have += (uint64_t)n;
	}
	if (have == p->size)
		return true;
	snprintf(err->text, sizeof err->text, "cannot read %.200s", path);
	return false;
}

/* Write it back; its times are what a check looks at. */
static bool part_write(const struct part_bytes *p, const uint8_t *bytes)
{
	uint64_t done = 0;

	while (done < p->size) {
		ssize_t n = pwrite(p->fd, bytes + done, p->size - done, (off_t)done);

		if (n <= 0)
			return false;
		done += (uint64_t)n;
	}
	return futimens(p->fd, p->times) == 0 && fsync(p->fd) == 0;
}

static void part_close(struct part_bytes *p)
{
	if (p->fd >= 0)
		close(p->fd);
	g_free(p->bytes);
	g_free(p->how);
	*p = (struct part_bytes){ .fd = -1 };
}

/* --- What is whose ------------------------------------------------------------------- */

static void mark(struct work *w, unsigned part, uint64_t offset, uint64_t length, unsigned how)
{
	struct part_bytes *p = &w->parts[part];

	if (offset > p->size || length > p->size - offset || length > w->budget) {
		w->bad = true;
		return;
	}
	w->budget -= length;
	for (uint64_t i = offset; i < offset + length; i++)
		p->how[i] = (uint8_t)MAX(p->how[i], how);
}

static void on_row(void *arg, const struct row *row)
{
	struct work *w = arg;

	if (w->bad || !row->told || (row->part < w->format->nroles && w->format->roles[row->part].stream))
		return; /* named streams are masked whole */
	if (row->part >= PARTS_MAX || w->parts[row->part].fd < 0) {
		w->bad = true;
		return;
	}
	mark(w, row->part, row->offset, row->length, MASK_KEEP);
	for (unsigned i = 0; i < row->npersonal; i++) {
		const struct personal *p = &row->personal[i];
		struct address a = { row->part, p->offset, (uint32_t)p->length, NULL };

		mark(w, row->part, p->offset, p->length, MASK_PERSONAL + p->kind);
		if (w->bad || p->kind != PERSONAL_ADDRESS || p->length == 0 || p->length > ADDRESS_BYTES)
			continue;
		a.bytes = w->parts[row->part].bytes + p->offset;
		g_array_append_val(w->addresses, a);
		w->bad |= w->addresses->len > ADDRESSES;
	}
}

static gint by_bytes(gconstpointer a, gconstpointer b)
{
	const struct address *x = a, *y = b;
	int order = memcmp(x->bytes, y->bytes, MIN(x->length, y->length));

	return order != 0 ? order : (x->length > y->length) - (x->length < y->length);
}

/* --- Masking --------------------------------------------------------------------------- */

/* Each of the different addresses gets the number of its place in their order. */
static void rank_all(struct work *w, uint8_t *const out[PARTS_MAX])
{
	size_t rank = 0;
	unsigned digits;

	g_array_sort(w->addresses, by_bytes);
	digits = mask_digits(w->addresses->len);
	for (guint i = 0; i < w->addresses->len; i++) {
		const struct address *a = &g_array_index(w->addresses, struct address, i);

		if (i > 0 && by_bytes(a - 1, a) != 0)
			rank++;
		mask_rank(out[a->part] + a->offset, a->length, rank, digits);
	}
}

static bool mask_all(struct work *w)
{
	uint8_t *out[PARTS_MAX] = { NULL };
	bool good = true;

	for (unsigned i = 0; i < PARTS_MAX; i++) {
		const struct part_bytes *p = &w->parts[i];
		struct mask_state state = { false };

		if (p->fd < 0)
			continue;
		out[i] = g_memdup2(p->bytes, p->size + 1);
		mask_bytes(&state, out[i], p->how, p->size);
	}
	rank_all(w, out);
	for (unsigned i = 0; i < PARTS_MAX; i++) {
		good = good && (out[i] == NULL || part_write(&w->parts[i], out[i]));
		g_free(out[i]);
	}
	return good;
}

/* A part that check() does not look at, and of which nothing is known: all of it is text. */
static bool mask_log(int root, const char *path, struct q_error *err)
{
	struct part_bytes p = { .fd = -1 };
	struct mask_state state = { false };
	bool good = part_open(&p, root, path, err);

	if (good) {
		mask_bytes(&state, p.bytes, p.how, p.size);
		good = part_write(&p, p.bytes);
	}
	part_close(&p);
	return good;
}

static int role_of(const struct format *f, const char *name)
{
	for (unsigned r = 0; r < f->nroles && r < PARTS_MAX; r++)
		if (f->roles[r].checked && !f->roles[r].stream && g_strcmp0(f->roles[r].name, name) == 0)
			return (int)r;
	return -1;
}

/* Named streams, which lie beside their file in a copy: all of each is text. */
static bool mask_streams(int root, const char *path, struct q_error *err)
{
	g_autofree char *dir = g_path_get_dirname(path);
	int fd = open_beneath(root, dir, O_RDONLY | O_DIRECTORY);
	g_auto(GStrv) names = NULL;
	int ret = fd < 0 ? fd : reach_beside(fd, base_of(path), &names);
	bool good = ret == 0;

	if (ret < 0)
		snprintf(err->text, sizeof err->text, "%.200s: its named streams cannot be listed: %s", path, g_strerror(-ret));
	for (char **name = names; good && name != NULL && *name != NULL; name++) {
		g_autofree char *whole = path_in(dir, *name);

		good = mask_log(root, whole, err);
	}
	if (fd >= 0)
		close(fd);
	return good;
}

static bool open_all(struct work *w, const struct spool *spool, const json_t *manifest, struct q_error *err)
{
	const json_t *part;
	size_t i;

	json_array_foreach(json_object_get(manifest, "parts"), i, part) {
		const char *path = json_string_value(json_object_get(part, "path"));
		int role = role_of(spool->format, json_string_value(json_object_get(part, "role")));
		size_t len;
		g_autofree char *bytes = path != NULL ? escape_undo(path, &len) : NULL;
		int fd = bytes != NULL ? open_beneath(spool->root, bytes, O_RDONLY) : -1;

		if (fd < 0)
			continue; /* it never came */
		close(fd);
		if (role >= 0 && w->parts[role].fd < 0 ? !part_open(&w->parts[role], spool->root, bytes, err) :
							 !mask_log(spool->root, bytes, err))
			return false;
		if (!mask_streams(spool->root, bytes, err))
			return false;
		if (role >= 0)
			w->budget += MARK_FACTOR * (w->parts[role].size + 4096);
	}
	return true;
}

static bool mask_layout(struct work *w, struct salvage *s, const json_t *manifest, struct q_error *err)
{
	w->format = salvage_spool(s)->format;
	if (!open_all(w, salvage_spool(s), manifest, err))
		return false;
	if (!salvage_rows(s, on_row, w) || w->bad) {
		g_strlcpy(err->text, w->bad ? "its listing is larger than it can be" :
			  "a worker could not list it to its end", sizeof err->text);
		return false;
	}
	if (mask_all(w))
		return true;
	snprintf(err->text, sizeof err->text, "cannot write the masked copy: %s", g_strerror(errno));
	return false;
}

/* --- The proof ---------------------------------------------------------------------------- */

/* The first finding that only one of them has, or NULL. */
static const struct finding *difference(const struct report *a, const struct report *b)
{
	for (unsigned i = 0; i < a->count || i < b->count; i++) {
		const struct finding *x = &a->findings[i], *y = &b->findings[i];

		if (i >= b->count)
			return x;
		if (i >= a->count || x->id != y->id || x->severity != y->severity ||
		    x->impact != y->impact || x->unit != y->unit || x->part != y->part ||
		    x->offset != y->offset || x->length != y->length)
			return y;
	}
	return NULL;
}

static bool same_findings(const struct report *before, const struct outcome *after, struct q_error *err)
{
	const struct finding *f;

	if (after == NULL || after->report == NULL) {
		g_strlcpy(err->text, "the masked copy could not be checked", sizeof err->text);
		return false;
	}
	f = difference(before, after->report);
	if (f == NULL && before->more == after->report->more)
		return true;
	snprintf(err->text, sizeof err->text, "masking changes the findings (%s, byte %" G_GUINT64_FORMAT "): they "
		 "depend on what would be hidden", f != NULL ? finding_def(f->id)->name : "too many of them",
		 f != NULL ? (guint64)f->offset : 0);
	return false;
}

static bool shows(const struct report *r, const char *name)
{
	for (unsigned i = 0; i < r->count; i++)
		if (g_strcmp0(finding_def(r->findings[i].id)->name, name) == 0)
			return true;
	return false;
}

/* Findings of the manifest that the message alone does not show. False: it shows none of several. */
static bool sort_out(const struct report *r, const json_t *manifest, json_t *lost, struct q_error *err)
{
	const json_t *findings = json_object_get(manifest, "findings"), *f;
	size_t i;

	json_array_foreach(findings, i, f) {
		const char *name = json_string_value(json_object_get(f, "name"));

		if (name != NULL && !shows(r, name))
			json_array_append_new(lost, json_string(name));
	}
	if (json_array_size(findings) == 0 || json_array_size(lost) < json_array_size(findings))
		return true;
	snprintf(err->text, sizeof err->text, "the message alone does not show %s: that is about its name, its place or "
		 "its neighbours", json_string_value(json_array_get(lost, 0)));
	return false;
}

static bool manifest_has(const json_t *manifest, const char *name)
{
	const json_t *findings = json_object_get(manifest, "findings"), *f;
	size_t i;

	json_array_foreach(findings, i, f)
		if (g_strcmp0(json_string_value(json_object_get(f, "name")), name) == 0)
			return true;
	return json_array_size(findings) == 0; /* added by hand: whatever it has */
}

/* The findings, without a path of this host. */
static void findings_of(struct redaction *r, const struct spool *spool, const struct outcome *o,
			const json_t *manifest)
{
	struct scan scan = { .spool = (struct spool *)(size_t)spool };
	json_t *all = json_findings(&scan, o), *f;
	size_t i;

	r->findings = json_array();
	json_array_foreach(all, i, f) {
		json_t *name = json_object_get(f, "name");

		json_object_set_new(f, "spool", json_string("spool"));
		if (manifest_has(manifest, json_string_value(name)))
			json_array_append(r->findings, f);
		else
			json_array_append(r->alone, name);
	}
	json_decref(all);
}

bool redact(struct salvage *s, const json_t *manifest, struct redaction *r, struct q_error *err)
{
	struct work w = { .addresses = g_array_new(FALSE, FALSE, sizeof(struct address)) };
	struct outcome *before = salvage_check(s), *after = NULL;
	bool good = before != NULL && before->report != NULL;

	for (unsigned i = 0; i < PARTS_MAX; i++)
		w.parts[i].fd = -1;
	*r = (struct redaction){ NULL, json_array(), json_array() };
	if (!good)
		g_strlcpy(err->text, "it cannot be checked, so nothing can be proved of a masked copy",
			  sizeof err->text);
	good = good && sort_out(before->report, manifest, r->lost, err) &&
	       mask_layout(&w, s, manifest, err);
	if (good) {
		after = salvage_check(s);
		good = same_findings(before->report, after, err);
	}
	if (good)
		findings_of(r, salvage_spool(s), after, manifest);
	for (unsigned i = 0; i < PARTS_MAX; i++)
		part_close(&w.parts[i]);
	g_array_free(w.addresses, TRUE);
	outcome_free(before);
	outcome_free(after);
	return good;
}
