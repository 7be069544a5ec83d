/*
 * fuzz_decode.c - any bytes as a gzip stream, through windows of any size
 *
 * decode_open() has to end, within the bytes of the file, and what it gives must be what zlib makes of the
 * whole at once. A window elsewhere must show the same text again.
 *
 * Input: how large the windows are; the rest is the file.
 */
#include "fuzz.h"

#include "decode.h"

#include "bounds.h"

#include <zlib.h>

struct file {
	const uint8_t *bytes;
	size_t size, most;
	struct part part;
};

static const struct part *window(void *arg, uint64_t off)
{
	struct file *f = arg;
	size_t len = f->size - (size_t)off < f->most ? f->size - (size_t)off : f->most;

	must(off < f->size);
	free((void *)(uintptr_t)f->part.bytes);
	f->part.bytes = fuzz_copy(f->bytes + off, len);
	f->part.off = off;
	f->part.len = len;
	return &f->part;
}

/* All of it at once, as much as fits: the bytes that came out. */
static size_t reference(const struct file *f, uint8_t *out, size_t cap, int *ret_r)
{
	z_stream z;
	size_t n;

	memset(&z, 0, sizeof z);
	z.next_in = (Bytef *)(uintptr_t)f->bytes;
	z.avail_in = (uInt)f->size;
	z.next_out = out;
	z.avail_out = (uInt)cap;
	must(inflateInit2(&z, 15 + 16) == Z_OK);
	*ret_r = inflate(&z, Z_SYNC_FLUSH);
	n = cap - z.avail_out;
	inflateEnd(&z);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t sizes[] = { 1, 7, 64, 300, 4096, SIZE_MAX };
	static uint8_t out[16u << 20];
	struct file f;
	struct part text;
	struct want want = { 1, 0, 1, 1 };
	size_t n;
	int ret;

	if (size < 2)
		return 0;
	memset(&f, 0, sizeof f);
	f.bytes = data + 1;
	f.size = size - 1;
	f.most = sizes[data[0] % 6];
	f.part.size = f.size;
	window(&f, 0);
	decode_open(&f.part, window, &f, &text);
	must(text.frame >= FRAME_SOUND && text.frame <= FRAME_LARGE);
	must(text.frame_at <= f.size && text.size <= UNPACKED_MAX + (1u << 20));
	must(text.off == 0 && text.len == (text.size < WINDOW_MAX ? text.size : WINDOW_MAX));
	n = reference(&f, out, sizeof out, &ret);
	if (n < sizeof out) {
		must((ret == Z_STREAM_END) == (text.frame == FRAME_SOUND || text.frame == FRAME_MORE));
		must(text.size == n && memcmp(text.bytes, out, text.len) == 0);
	}
	if (text.size > 0) {
		want.off = text.size - 1 - data[1] % text.size;
		want.len = 1 + data[1] % 7;
		decode_window(&want, &text);
		must(text.off == want.off && text.len >= 1 && text.len <= want.len);
		must(n == sizeof out || memcmp(text.bytes, out + text.off, text.len) == 0);
	}
	free((void *)(uintptr_t)f.part.bytes);
	return 0;
}
