/* contents.c - foreign blocks of a message's files, and what is where a file is corrupt */
#include "config.h"

#include "contents.h"

#include "blocks.h"
#include "content.h"
#include "names.h"

struct look {
	const struct message *m;
	contents_window *window;
	void *arg;
	struct report *r;
	unsigned named;
};

/* As many bytes from `off` on as are at hand in one window; 0 = none. */
static size_t bytes_at(const struct look *l, unsigned role, uint64_t off, const uint8_t **p_r)
{
	const struct part *p = &l->m->parts[role];

	if (off >= p->size)
		return 0;
	if (off < p->off || off - p->off >= p->len ||
	    (p->len - (off - p->off) < CONTENT_BYTES && p->off + p->len < p->size))
		p = l->window(l->arg, role, off);
	if (off < p->off || off - p->off >= p->len)
		return 0;
	*p_r = p->bytes + (off - p->off);
	return p->len - (size_t)(off - p->off);
}

static void pass(const struct look *l, unsigned role, bool text, struct blocks *b)
{
	const uint64_t size = l->m->parts[role].size;
	const uint8_t *bytes;
	uint64_t at = 0;
	size_t n;

	blocks_begin(b, text);
	while (at < size && (n = bytes_at(l, role, at, &bytes)) > 0) {
		blocks_feed(b, bytes, n);
		at += n;
	}
	blocks_end(b);
}

/* The name of what begins at `off`; CONTENT_NOTHING when enough was named. */
static enum content_kind identify(struct look *l, unsigned role, uint64_t off, uint64_t length,
				  struct content *c)
{
	const uint8_t *bytes = NULL; /* of nothing: what is not set may not be handed on */
	size_t n;

	c->kind = CONTENT_NOTHING;
	if (l->named >= CONTENTS_NAMED)
		return CONTENT_NOTHING;
	n = bytes_at(l, role, off, &bytes);
	content_identify(bytes, n < length ? n : (size_t)length, c);
	l->named++;
	return c->kind;
}

/* Was it said of these bytes already that they are zero? */
static bool said_zeros(const struct look *l, unsigned role, const struct block_run *run)
{
	for (unsigned i = 0; i < l->r->count; i++) {
		const struct finding *f = &l->r->findings[i];

		if ((f->id == F_MIME_ZEROS || f->id == F_MIME_ZEROS_ENCODED) && f->part == role &&
		    f->offset < run->offset + run->length && run->offset < f->offset + f->length)
			return true;
	}
	return false;
}

/* Binary data at a multiple of a usual block, of a kind with a name, is no accident; the rest may be one. */
static void tell_run(struct look *l, const struct format *format, unsigned role, const struct block_run *run)
{
	const bool zeros = run->kind == BLOCK_ZEROS;
	struct finding *f;
	struct content c;

	if (zeros && said_zeros(l, role, run))
		return;
	if (!zeros && identify(l, role, run->offset, run->length, &c) == CONTENT_NOTHING)
		return;
	f = report_add(l->r, zeros ? F_DEEP_ZERO_BLOCK : F_DEEP_FOREIGN_BLOCK, role, run->offset,
		       run->length);
	if (!zeros)
		f->found = c.name;
	if ((!zeros && (run->offset % BLOCK_USUAL != 0 || !content_foreign(c.kind))) ||
	    stream_unknown(format, &l->m->site, role)) {
		f->severity = SEV_NOTICE;
		f->impact = IMPACT_NONE;
	}
}

/* What stands at the place of a finding: there, where its block begins, or at the start of the file. A kind that is to be
 * expected there says nothing. False when there is nothing to say. */
static bool tell_place(struct look *l, const struct format *format, const struct finding *found)
{
	const uint64_t starts[] = { found->offset, found->offset - found->offset % BLOCK_SIZE,
				    found->offset - found->offset % BLOCK_USUAL, 0 };
	struct content c;

	for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
		struct finding *f;

		if (i > 0 && starts[i] == starts[i - 1])
			continue;
		identify(l, found->part, starts[i], CONTENT_BYTES, &c);
		if (c.kind == CONTENT_BINARY && format->roles[found->part].records)
			continue;
		if (c.kind == CONTENT_NOTHING || c.kind == CONTENT_ZEROS || c.kind == CONTENT_TEXT ||
		    (starts[i] == 0 && (c.kind == CONTENT_QUEUE_FILE || c.kind == CONTENT_MAIL)))
			continue;
		f = report_add(l->r, F_DEEP_CONTENTS, found->part, starts[i], 0);
		f->found = c.name;
		return true;
	}
	return false;
}

/* The next finding about `role` that is worth a look, by offset, from `from` on; NULL = none. */
static const struct finding *next_place(const struct report *checked, unsigned role, uint64_t from)
{
	const struct finding *next = NULL;

	for (unsigned i = 0; i < checked->count; i++) {
		const struct finding *f = &checked->findings[i];

		if (f->part == role && f->severity >= SEV_SUSPECT && f->offset >= from &&
		    (next == NULL || f->offset < next->offset))
			next = f;
	}
	return next;
}

/* A file that is corrupt: damage begins with its first finding, which need not be the worst. */
static void tell_corrupt(struct look *l, const struct format *format, const struct report *checked, unsigned role)
{
	const struct finding *f = NULL;
	bool corrupt = false;

	for (unsigned i = 0; i < checked->count; i++)
		corrupt |= checked->findings[i].part == role && checked->findings[i].severity >= SEV_CORRUPT;
	if (corrupt)
		f = next_place(checked, role, 0);
	while (f != NULL && !tell_place(l, format, f) && f->offset < UINT64_MAX)
		f = next_place(checked, role, f->offset + 1);
}

/* A named stream that counts holds records of its server: one that begins as files of another world do is theirs, or
 * holds what was. */
static void tell_stream(struct look *l, const struct format *format, unsigned role)
{
	struct content c;

	if (!format->roles[role].stream || stream_unknown(format, &l->m->site, role) ||
	    !content_foreign(identify(l, role, 0, CONTENT_BYTES, &c)))
		return;
	report_add(l->r, F_DEEP_FOREIGN_BLOCK, role, 0, l->m->parts[role].size)->found = c.name;
}

static bool looked_at(const struct format *format, const struct message *m, unsigned role)
{
	const struct role *r = &format->roles[role];
	const struct part *p = &m->parts[role];

	return r->checked && !r->shared && !r->unpacked && p->mode != 0 && p->size > 0 &&
	       p->size <= CONTENTS_MAX;
}

void contents_look(const struct format *format, const struct message *m, const struct report *checked,
		   contents_window *window, void *arg, struct report *r)
{
	static struct blocks b;
	struct look l = { m, window, arg, r, 0 };
	bool packed = format->compressed != NULL && format->compressed(m);

	for (unsigned role = 0; role < format->nroles && role < PARTS_MAX; role++) {
		if (!looked_at(format, m, role) || (packed && role == 0))
			continue;
		pass(&l, role, !format->roles[role].records, &b);
		for (unsigned i = 0; i < b.count; i++)
			tell_run(&l, format, role, &b.runs[i]);
		tell_stream(&l, format, role);
		tell_corrupt(&l, format, checked, role);
	}
}
