/*
 * test-decode.c - gzip streams through decode.c: whole, cut anywhere, damaged anywhere, larger than a
 * window, larger than allowed
 *
 * zlib itself makes the streams and is the judge of what comes out of them.
 */
#include "decode.h"

#include "bounds.h"

#include <glib.h>
#include <string.h>
#include <zlib.h>

/* A packed file that is given away in windows of at most `most` bytes, each a block of its own. */
struct file {
	uint8_t *bytes;
	size_t size, most;
	struct part part;
};

static const struct part *window(void *arg, uint64_t off)
{
	struct file *f = arg;
	size_t len = MIN(f->most, f->size - (size_t)off);

	g_assert_cmpuint(off, <, f->size);
	g_free((void *)(size_t)f->part.bytes);
	f->part.bytes = g_memdup2(f->bytes + off, len);
	f->part.off = off;
	f->part.len = len;
	return &f->part;
}

static void pack(struct file *f, const uint8_t *text, size_t n)
{
	z_stream z = { .next_in = (Bytef *)(size_t)text, .avail_in = (uInt)n };

	g_assert_cmpint(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), ==, Z_OK);
	f->size = deflateBound(&z, n);
	f->bytes = g_malloc(f->size);
	z.next_out = f->bytes;
	z.avail_out = (uInt)f->size;
	g_assert_cmpint(deflate(&z, Z_FINISH), ==, Z_STREAM_END);
	f->size = z.total_out;
	deflateEnd(&z);
}

static void open_file(struct file *f, struct part *text)
{
	window(f, 0);
	f->part.size = f->size;
	f->part.mode = 0100600;
	decode_open(&f->part, window, f, text);
}

static void drop(struct file *f)
{
	g_free((void *)(size_t)f->part.bytes);
	f->part.bytes = NULL;
	g_free(f->bytes);
}

/* Text that packs neither well nor badly. */
static uint8_t *make_text(size_t n)
{
	GRand *rand = g_rand_new_with_seed(1);
	uint8_t *text = g_malloc(n);

	for (size_t i = 0; i < n; i++)
		text[i] = (uint8_t)(g_rand_int(rand) % 7 == 0 ? '\n' : 'a' + i % 26);
	g_rand_free(rand);
	return text;
}

static void look_at(struct part *text, const uint8_t *expected, uint64_t off, size_t len)
{
	const struct want want = { 1, off, len, 1 };

	decode_window(&want, text);
	g_assert_cmpuint(text->off, ==, off);
	g_assert_cmpuint(text->len, ==, MIN(len, text->size - off));
	g_assert_cmpmem(text->bytes, text->len, expected + off, text->len);
}

static void test_whole(void)
{
	const size_t n = 3 * WINDOW_MAX + 1234;
	g_autofree uint8_t *text = make_text(n);
	struct file f = { .most = 4096 };
	struct part p;

	pack(&f, text, n);
	open_file(&f, &p);
	g_assert_cmpint(p.frame, ==, FRAME_SOUND);
	g_assert_cmpuint(p.frame_at, ==, f.size);
	g_assert_cmpuint(p.size, ==, n);
	g_assert_cmpuint(p.mode, ==, 0100600);
	g_assert_cmpuint(p.off, ==, 0);
	g_assert_cmpmem(p.bytes, p.len, text, WINDOW_MAX);
	look_at(&p, text, n - 4096, 4096);
	look_at(&p, text, 5, WINDOW_MAX);
	look_at(&p, text, WINDOW_MAX + 5, WINDOW_MAX);
	look_at(&p, text, 2 * WINDOW_MAX, 1);
	look_at(&p, text, n - 1, WINDOW_MAX);
	drop(&f);
	/* Nothing at all, packed. */
	pack(&f, text, 0);
	open_file(&f, &p);
	g_assert_cmpint(p.frame, ==, FRAME_SOUND);
	g_assert_cmpuint(p.size, ==, 0);
	drop(&f);
}

static void test_more(void)
{
	g_autofree uint8_t *text = make_text(500);
	struct file f = { .most = 100 };
	struct part p;

	pack(&f, text, 500);
	f.bytes = g_realloc(f.bytes, f.size + 3);
	memset(f.bytes + f.size, 'x', 3);
	f.size += 3;
	open_file(&f, &p);
	g_assert_cmpint(p.frame, ==, FRAME_MORE);
	g_assert_cmpuint(p.frame_at, ==, f.size - 3);
	g_assert_cmpmem(p.bytes, p.len, text, 500);
	drop(&f);
}

/* Every cut is seen, and what came out until then is the text. */
static void test_cut(void)
{
	g_autofree uint8_t *text = make_text(2000);
	struct file f = { .most = 64 };
	struct part p;

	pack(&f, text, 2000);
	for (size_t whole = f.size, n = 1; n < whole; n++) {
		f.size = n;
		open_file(&f, &p);
		g_assert_cmpint(p.frame, ==, FRAME_CUT);
		g_assert_cmpuint(p.frame_at, ==, n);
		g_assert_cmpmem(p.bytes, p.len, text, (size_t)p.size);
		/* The last bytes may wait in zlib when all of the file was read. */
		for (size_t back = 1; back < 8 && back <= p.size; back++)
			look_at(&p, text, p.size - back, 1);
	}
	drop(&f);
}

/* What zlib says of all of it at once. */
static bool sound(const struct file *f)
{
	uint8_t out[4096];
	z_stream z = { .next_in = f->bytes, .avail_in = (uInt)f->size, .next_out = out,
		       .avail_out = sizeof out };
	bool good;

	g_assert_cmpint(inflateInit2(&z, 15 + 16), ==, Z_OK);
	good = inflate(&z, Z_FINISH) == Z_STREAM_END;
	inflateEnd(&z);
	return good;
}

static void test_damaged(void)
{
	g_autofree uint8_t *text = make_text(600);
	struct file f = { .most = 64 };
	struct part p;
	unsigned refused = 0;

	pack(&f, text, 600);
	for (size_t bit = 0; bit < f.size * 8; bit++) {
		f.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		open_file(&f, &p);
		g_assert_true((p.frame == FRAME_SOUND || p.frame == FRAME_MORE) == sound(&f));
		g_assert_cmpuint(p.frame_at, <=, f.size);
		g_assert_true(p.frame != FRAME_DAMAGED || p.frame_why[0] != '\0');
		refused += p.frame == FRAME_DAMAGED;
		f.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	g_assert_cmpuint(refused, >, f.size * 4);
	drop(&f);
}

/* A thousand times its size. */
static void test_bomb(void)
{
	const size_t n = UNPACKED_MAX + (1u << 20);
	uint8_t *text = g_malloc0(n);
	struct file f = { .most = WINDOW_MAX };
	struct part p;

	pack(&f, text, n);
	g_free(text);
	open_file(&f, &p);
	g_assert_cmpint(p.frame, ==, FRAME_LARGE);
	g_assert_cmpuint(p.size, >, UNPACKED_MAX);
	g_assert_cmpuint(p.size, <, n);
	drop(&f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/decode/whole", test_whole);
	g_test_add_func("/decode/more", test_more);
	g_test_add_func("/decode/cut", test_cut);
	g_test_add_func("/decode/damaged", test_damaged);
	g_test_add_func("/decode/bomb", test_bomb);
	return g_test_run();
}
