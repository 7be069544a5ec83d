/* volume_wire.c - encoding and suspicious decoding of the volume server's answers */
#include "volume_wire.h"

#include <errno.h>
#include <string.h>

/* --- Writing ------------------------------------------------------------------ */

static void put(struct volume_out *w, const void *p, size_t n)
{
	if (w->full || n > w->cap - w->len) {
		w->full = true;
		return;
	}
	memcpy(w->buf + w->len, p, n);
	w->len += n;
}

/* The lowest `n` bytes of a number. */
static void put_number(struct volume_out *w, uint64_t value, unsigned n)
{
	uint8_t b[8];

	for (unsigned i = 0; i < n; i++)
		b[i] = (uint8_t)(value >> 8 * i);
	put(w, b, n);
}

static void put_name(struct volume_out *w, const char *name, uint16_t len)
{
	put_number(w, len, 2);
	put(w, name, len);
}

#define HEAD (1 + 4)

void volume_put_head(struct volume_out *w, enum volume_verb verb)
{
	w->len = 0;
	w->full = false;
	put_number(w, verb, 1);
	put_number(w, 0, 4);
}

void volume_put_error(struct volume_out *w, int error)
{
	w->len = 1;
	w->full = false;
	put_number(w, (uint32_t)error, 4);
}

void volume_put_table(struct volume_out *w, const struct volume_table *t)
{
	put_number(w, t->container, 1);
	put_number(w, t->count, 1);
	for (unsigned i = 0; i < t->count; i++) {
		put_number(w, t->volumes[i].number, 2);
		put_number(w, t->volumes[i].off, 8);
		put_number(w, t->volumes[i].size, 8);
		put_number(w, t->volumes[i].bitlocker, 1);
	}
}

void volume_put_facts(struct volume_out *w, const struct volume_facts *f)
{
	put_number(w, f->root, 8);
	put_number(w, f->serial, 8);
	put_number(w, f->record_size, 4);
	put_number(w, f->flags, 2);
	put_number(w, f->log, 1);
	put_number(w, f->hibernated, 1);
}

void volume_put_page(struct volume_out *w, const struct volume_page *page)
{
	put_number(w, page->next, 4);
	put_number(w, page->lost, 4);
	put_number(w, page->count, 2);
}

bool volume_put_entry(struct volume_out *w, const struct volume_entry *e)
{
	size_t start = w->len;

	put_number(w, e->ref, 8);
	put_number(w, e->kind, 1);
	put_name(w, e->name, e->name_len);
	if (!w->full)
		return true;
	w->full = false;
	w->len = start;
	return false;
}

void volume_end_page(struct volume_out *w, const struct volume_page *page)
{
	struct volume_out head = { w->buf, HEAD, w->cap, false };

	volume_put_page(&head, page);
}

static void put_stream(struct volume_out *w, const struct volume_stream *s)
{
	put_number(w, s->size, 8);
	put_number(w, s->valid, 8);
	put_number(w, s->flags, 1);
	put_name(w, s->name, s->name_len);
}

void volume_put_stat(struct volume_out *w, const struct volume_stat *st)
{
	put_number(w, st->ref, 8);
	put_number(w, st->kind, 1);
	put_number(w, (uint64_t)st->mtime, 8);
	put_number(w, st->mtime_ns, 4);
	put_number(w, (uint64_t)st->ctime, 8);
	put_number(w, st->ctime_ns, 4);
	put_number(w, st->more, 4);
	put_number(w, st->unreadable, 4);
	put_number(w, st->count, 1);
	for (unsigned i = 0; i < st->count; i++)
		put_stream(w, &st->streams[i]);
}

/* --- Reading ------------------------------------------------------------------- */

/* A number that has to be `max` at most. */
static unsigned get_small(struct cur *c, unsigned max)
{
	unsigned n = cur_u8(c);

	if (n > max)
		cur_fail(c, CUR_TOO_BIG);
	return c->err == CUR_OK ? n : 0;
}

/* A name without a byte that could mean something else in a path. */
static bool get_name(struct cur *c, char *name, uint16_t *len_r, bool of_file)
{
	uint16_t len = cur_u16le(c);

	if (len > VOLUME_NAME_MAX || !cur_copy(c, (uint8_t *)name, len))
		return false;
	name[len] = '\0';
	*len_r = len;
	if (memchr(name, '\0', len) != NULL || memchr(name, '/', len) != NULL)
		return false;
	return !of_file || (len > 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
}

static bool ended(const struct cur *c)
{
	return c->err == CUR_OK && cur_left(c) == 0;
}

int volume_get_head(struct cur *body, const uint8_t *answer, size_t len, enum volume_verb verb)
{
	uint32_t error;

	*body = cur_make(answer, len, 0);
	if (cur_u8(body) != (uint8_t)verb)
		return -EPROTO;
	error = cur_u32le(body);
	if (body->err != CUR_OK || error > 4095 || (error > 0 && cur_left(body) > 0))
		return -EPROTO;
	return -(int)error;
}

bool volume_get_table(struct cur *c, struct volume_table *t)
{
	t->container = (enum volume_container)get_small(c, CONTAINER_COUNT - 1);
	t->count = get_small(c, VOLUME_PARTITIONS);
	for (unsigned i = 0; i < t->count; i++) {
		struct volume_partition *p = &t->volumes[i];

		p->number = cur_u16le(c);
		p->off = cur_u64le(c);
		p->size = cur_u64le(c);
		p->bitlocker = get_small(c, 1) == 1;
		if (p->off > INT64_MAX || p->size > INT64_MAX - p->off)
			return false;
	}
	return ended(c);
}

bool volume_get_facts(struct cur *c, struct volume_facts *f)
{
	f->root = cur_u64le(c);
	f->serial = cur_u64le(c);
	f->record_size = cur_u32le(c);
	f->flags = cur_u16le(c);
	f->log = (enum volume_log)get_small(c, VOLUME_LOG_UNKNOWN);
	f->hibernated = get_small(c, 1) == 1;
	return ended(c);
}

bool volume_get_page(struct cur *c, struct volume_page *page)
{
	page->next = cur_u32le(c);
	page->lost = cur_u32le(c);
	page->count = cur_u16le(c);
	page->entries = cur_sub(c, cur_left(c));
	return c->err == CUR_OK;
}

bool volume_get_entry(struct cur *c, struct volume_entry *e)
{
	e->ref = cur_u64le(c);
	e->kind = (enum volume_kind)get_small(c, VOLUME_OTHER);
	return get_name(c, e->name, &e->name_len, true) && c->err == CUR_OK;
}

static bool get_stream(struct cur *c, struct volume_stream *s)
{
	s->size = cur_u64le(c);
	s->valid = cur_u64le(c);
	s->flags = get_small(c, 15);
	if (s->size > INT64_MAX || (s->valid > s->size && s->valid != VOLUME_VALID_UNKNOWN))
		return false;
	return get_name(c, s->name, &s->name_len, false) && c->err == CUR_OK;
}

bool volume_get_stat(struct cur *c, struct volume_stat *st)
{
	st->ref = cur_u64le(c);
	st->kind = (enum volume_kind)get_small(c, VOLUME_OTHER);
	st->mtime = (int64_t)cur_u64le(c);
	st->mtime_ns = cur_u32le(c);
	st->ctime = (int64_t)cur_u64le(c);
	st->ctime_ns = cur_u32le(c);
	st->more = cur_u32le(c);
	st->unreadable = cur_u32le(c);
	st->count = get_small(c, VOLUME_STREAMS);
	for (unsigned i = 0; i < st->count; i++)
		if (!get_stream(c, &st->streams[i]) || (st->streams[i].name_len == 0) > (i == 0))
			return false;
	return ended(c) && st->mtime_ns < 1000000000 && st->ctime_ns < 1000000000;
}
