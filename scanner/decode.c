/*
 * decode.c - gzip streams through zlib, in a worker
 *
 * The text is never held as a whole: the first pass counts it, keeps its first window and sees how
 * the stream ends; a window elsewhere is unpacked again from the start, or from where the last one
 * ended. zlib gets its memory from a fixed arena. What a stream may cost is bounded by
 * UNPACKED_MAX bytes of text, then it is given up as FRAME_LARGE.
 */
#include "decode.h"

#include "bounds.h"

#define ZLIB_CONST
#include <string.h>
#include <zlib.h>

#define GZIP_ONLY (15 + 16) /* inflateInit2(): the largest window, a gzip header */
#define ARENA (64u << 10)   /* inflate takes 7 KiB and a window of 32 KiB */

static struct {
	decode_source *source;
	void *arg;
	uint64_t packed;          /* bytes of the file */
	z_stream z;
	uint64_t in, out;         /* bytes read of the file, and written of the text, so far */
	enum frame frame;         /* FRAME_NONE while it goes on */
	const char *why;
	uint8_t text[WINDOW_MAX]; /* the window */
	uint8_t rest[64u << 10];  /* what is only counted */
	_Alignas(16) uint8_t arena[ARENA];
	size_t used;
} d;

static voidpf take(voidpf opaque, uInt items, uInt size)
{
	size_t n = ((size_t)items * size + 15) & ~(size_t)15, start = d.used;

	(void)opaque;
	if (n > ARENA - start)
		return Z_NULL;
	d.used += n;
	return d.arena + start;
}

/* All of it is free again at the next start. */
static void give_back(voidpf opaque, voidpf address)
{
	(void)opaque, (void)address;
}

static void end(enum frame frame, const char *why)
{
	d.frame = frame;
	d.why = why != NULL ? why : "";
}

static void start(void)
{
	d.used = 0;
	d.in = d.out = 0;
	d.frame = FRAME_NONE;
	d.why = "";
	d.z = (z_stream){ .zalloc = take, .zfree = give_back };
	if (inflateInit2(&d.z, GZIP_ONLY) != Z_OK)
		end(FRAME_DAMAGED, d.z.msg);
}

/* More packed bytes for zlib; false at the end of the file. */
static bool feed(void)
{
	const struct part *p;
	size_t skip;

	if (d.in >= d.packed)
		return false;
	p = d.source(d.arg, d.in);
	if (d.in < p->off || d.in - p->off >= p->len)
		return false;
	skip = (size_t)(d.in - p->off);
	d.z.next_in = p->bytes + skip;
	d.z.avail_in = (uInt)(p->len - skip);
	return true;
}

/* Unpack up to `cap` bytes; fewer at the end of the stream only. */
static size_t unpack(uint8_t *to, size_t cap)
{
	d.z.next_out = to;
	d.z.avail_out = (uInt)cap;
	while (d.z.avail_out > 0 && d.frame == FRAME_NONE) {
		uInt before = d.z.avail_in;
		int ret = inflate(&d.z, Z_NO_FLUSH);

		d.in += before - d.z.avail_in;
		if (ret == Z_STREAM_END) {
			end(d.in < d.packed ? FRAME_MORE : FRAME_SOUND, NULL);
		} else if (ret == Z_BUF_ERROR) { /* all that was read is written, too */
			if (!feed())
				end(FRAME_CUT, NULL);
		} else if (ret != Z_OK) {
			end(FRAME_DAMAGED, d.z.msg);
		}
	}
	d.out += cap - d.z.avail_out;
	return cap - d.z.avail_out;
}

void decode_open(const struct part *packed, decode_source *source, void *arg, struct part *text_r)
{
	size_t len;

	d.source = source;
	d.arg = arg;
	d.packed = packed->size;
	*text_r = *packed;
	start();
	len = unpack(d.text, sizeof d.text);
	while (d.frame == FRAME_NONE)
		if (unpack(d.rest, sizeof d.rest) > 0 && d.out > UNPACKED_MAX)
			end(FRAME_LARGE, NULL);
	text_r->bytes = d.text;
	text_r->off = 0;
	text_r->len = len;
	text_r->size = d.out;
	text_r->frame = (uint8_t)d.frame;
	text_r->frame_at = d.in;
	text_r->frame_why = d.why;
}

void decode_window(const struct want *want, struct part *text)
{
	uint64_t left = want->off < text->size ? text->size - want->off : 0;
	size_t len = want->len < sizeof d.text ? want->len : sizeof d.text;

	if (len > left)
		len = (size_t)left;
	if (d.out > want->off || d.frame != FRAME_NONE)
		start();
	while (d.out < want->off && d.frame == FRAME_NONE)
		unpack(d.text, want->off - d.out < sizeof d.text ? (size_t)(want->off - d.out) :
								   sizeof d.text);
	text->off = want->off;
	text->len = len > 0 ? unpack(d.text, len) : 0;
}
