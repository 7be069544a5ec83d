/* blocks.c - one pass over a file for blocks that do not belong to it */
#include "blocks.h"

#include "content.h"

#include <string.h>

/* Where text becomes binary data or back: so many bytes have to show it. */
#define EDGE 16u

void blocks_begin(struct blocks *b, bool text)
{
	memset(b, 0, sizeof *b);
	b->text = text;
}

/* No text of any character set has it, ISO-2022-JP included: ESC is allowed, and so are BEL to CR. */
static bool control(uint8_t c)
{
	return ((c < ' ') & ((uint8_t)(c - '\a') > '\r' - '\a') & (c != 0x1b)) | (c == 0x7f);
}

/* Sixteen at a time without a branch: compilers make a few vector instructions of it, and every byte of a spool comes by here. */
static size_t controls(const uint8_t *p, size_t n)
{
	size_t found = 0;

	for (; n >= 16; p += 16, n -= 16) {
		uint8_t some = 0;

		for (unsigned i = 0; i < 16; i++)
			some = (uint8_t)(some + control(p[i]));
		found += some;
	}
	while (n > 0)
		found += control(p[--n]);
	return found;
}

/* One in nine of random bytes is a control character; in text with a stray one it is one in hundreds. */
static enum block_look look(const uint8_t *p, size_t n)
{
	size_t found;

	if (content_zeros(p, n))
		return LOOK_ZEROS;
	found = controls(p, n);
	if (found <= n / 256 && memchr(p, 0, n) == NULL)
		return LOOK_TEXT;
	return found >= n / 32 && found > 1 ? LOOK_BINARY : LOOK_MIXED;
}

static void add(struct blocks *b, const struct block_run *run)
{
	if (b->count < BLOCK_RUNS)
		b->runs[b->count++] = *run;
	else
		b->more++;
}

static void open_stretch(struct blocks *b, bool sharp)
{
	b->open = true;
	b->sharp = sharp;
	b->before = b->count;
	b->began = b->at;
	b->several = false;
	b->run.length = 0;
}

/* Put the block at hand into the stretch. */
static void stretch(struct blocks *b, enum block_kind kind)
{
	if (b->run.length > 0 && b->run.kind != kind) {
		b->several = b->run.beside = true;
		add(b, &b->run);
		b->run.length = 0;
	}
	if (b->run.length == 0)
		b->run = (struct block_run){ kind, b->several, b->at, 0 };
	b->run.length += b->have;
}

/* The stretch, if there is one, ends before the block at hand, or with the file. Zeros have sharp ends; where binary
 * data begin is known to some bytes only, so one message in 30 that is sent with a program in its text would
 * seem to have it at a multiple of 512. */
static void close_stretch(struct blocks *b, bool sharp)
{
	if (!b->open)
		return;
	b->open = false;
	if (b->sharp && sharp && b->at - b->began >= BLOCK_SIZE &&
	    ((!b->several && b->run.kind == BLOCK_ZEROS) || b->began % BLOCK_USUAL == 0)) {
		add(b, &b->run);
	} else {
		b->count = b->before;
		b->own = true;
	}
}

/* In a file of records any byte may be next to a run of zeros, but for another zero. */
static void records(struct blocks *b, enum block_look now)
{
	if (now != LOOK_ZEROS) {
		close_stretch(b, b->block[0] != 0);
		return;
	}
	if (!b->open)
		open_stretch(b, !b->any || b->last_byte != 0);
	stretch(b, BLOCK_ZEROS);
}

static void texts(struct blocks *b, enum block_look now)
{
	size_t edge = b->have < EDGE ? b->have : EDGE;

	if (now == LOOK_TEXT || now == LOOK_MIXED) {
		close_stretch(b, now == LOOK_TEXT && b->tail);
		b->own = b->own || now == LOOK_MIXED;
		b->some_text = b->some_text || (now == LOOK_TEXT && b->have == BLOCK_SIZE);
		return;
	}
	if (!b->open)
		open_stretch(b, controls(b->block, edge) > 0 && (!b->any || b->last == LOOK_TEXT));
	stretch(b, now == LOOK_ZEROS ? BLOCK_ZEROS : BLOCK_BINARY);
	b->tail = controls(b->block + b->have - edge, edge) > 0;
}

/* Text of another file: it cuts a line, and begins as only files begin. X-Received cut behind its X- does not. */
static void another(struct blocks *b, enum block_look now)
{
	const struct block_run run = { BLOCK_ANOTHER, false, b->at, BLOCK_USUAL };
	struct text name = { 0 };

	if (b->at % BLOCK_USUAL == 0 && b->any && now != LOOK_ZEROS && b->last == LOOK_TEXT &&
	    b->last_byte != '\n' && b->last_byte != '-' && b->last_byte != '_' &&
	    content_mail(b->block, b->have, &name) != CONTENT_NOTHING)
		add(b, &run);
}

static void block(struct blocks *b)
{
	enum block_look now = look(b->block, b->have);

	if (b->text) {
		another(b, now);
		texts(b, now);
	} else {
		records(b, now);
	}
	b->last = now;
	b->last_byte = b->block[b->have - 1];
	b->any = true;
	b->at += b->have;
	b->have = 0;
}

void blocks_feed(struct blocks *b, const uint8_t *p, size_t n)
{
	while (n > 0) {
		size_t take = BLOCK_SIZE - b->have;

		take = take < n ? take : n;
		memcpy(b->block + b->have, p, take);
		b->have += take;
		p += take;
		n -= take;
		if (b->have == BLOCK_SIZE)
			block(b);
	}
}

void blocks_end(struct blocks *b)
{
	unsigned kept = 0;

	if (b->have > 0)
		block(b);
	close_stretch(b, true);
	for (unsigned i = 0; i < b->count; i++) {
		struct block_run *run = &b->runs[i];

		if ((run->kind == BLOCK_BINARY || run->beside) && (b->own || !b->some_text))
			continue;
		if (run->length > b->at - run->offset)
			run->length = b->at - run->offset;
		b->runs[kept++] = *run;
	}
	b->count = kept;
}
