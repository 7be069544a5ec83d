/*
 * fuzz_cursor.c - random operations on a cursor, beside a model too plain to err
 *
 * The model knows the bytes, a position and whether it failed; every operation
 * of cursor.h is said once more with nothing but these, byte by byte and in
 * arithmetic that cannot wrap. Input: operations, each an opcode and 8 bytes of
 * argument, then the bytes that are read.
 */
#include "fuzz.h"

#include "cursor.h"

#define OPS_MAX 64
#define OP_BYTES 9

struct model {
	const uint8_t *bytes;
	size_t len, pos;
	uint64_t base;
	enum cur_err err;
};

static void same(const struct cur *c, const struct model *m)
{
	must(c->len == m->len);
	must(c->pos == m->pos);
	must(c->pos <= c->len);
	must(c->err == m->err);
	must(cur_left(c) == (m->err == CUR_OK ? m->len - m->pos : 0));
	must(cur_offset(c) == m->base + m->pos);
}

/* Are there `n` bytes? If not, the model has failed. */
static bool has(struct model *m, uint64_t n)
{
	uint64_t i = 0;

	while (m->err == CUR_OK && i < n && m->pos + i < m->len)
		i++;
	if (m->err == CUR_OK && i < n)
		m->err = CUR_SHORT;
	return m->err == CUR_OK;
}

static uint64_t model_number(struct model *m, unsigned width)
{
	uint64_t value = 0;

	if (!has(m, width))
		return 0;
	for (unsigned i = width; i > 0; i--)
		value = value * 256 + m->bytes[m->pos + i - 1];
	m->pos += width;
	return value;
}

static uint64_t model_varint(struct model *m, unsigned max_bytes, uint64_t max)
{
	uint64_t value = 0, weight = 1;
	unsigned n = 0;

	if (m->err != CUR_OK)
		return 0;
	do {
		if (n == max_bytes || n == 9) {
			m->err = CUR_LONG_FORM;
			return 0;
		}
		if (m->pos + n == m->len) {
			m->err = CUR_SHORT;
			return 0;
		}
		value += m->bytes[m->pos + n] % 128 * weight;
		weight *= 128;
	} while (m->bytes[m->pos + n++] >= 128);
	if (value > max) {
		m->err = CUR_TOO_BIG;
		return 0;
	}
	m->pos += n;
	return value;
}

static size_t model_find(const struct model *m, uint8_t byte)
{
	size_t n = 0;

	while (m->err == CUR_OK && m->pos + n < m->len && m->bytes[m->pos + n] != byte)
		n++;
	return n;
}

static void try_take(struct cur *c, struct model *m, size_t n)
{
	const uint8_t *view = cur_view(c, n);
	const uint8_t *p = cur_take(c, n);

	must(view == p);
	if (!has(m, n)) {
		must(p == NULL);
		return;
	}
	must(p == m->bytes + m->pos);
	m->pos += n;
}

static void try_seek(struct cur *c, struct model *m, size_t pos)
{
	bool gone = cur_seek(c, pos);

	if (m->err == CUR_OK && pos > m->len)
		m->err = CUR_SHORT;
	if (m->err == CUR_OK)
		m->pos = pos;
	must(gone == (m->err == CUR_OK));
}

/* Read on in the smaller cursor when `enter`, or behind it. */
static void try_sub(struct cur *c, struct model *m, size_t n, bool enter)
{
	struct cur sub = cur_sub(c, n);
	struct model in = { m->bytes + m->pos, 0, 0, m->base + m->pos, CUR_SHORT };

	if (has(m, n)) {
		in.len = n;
		in.err = CUR_OK;
		m->pos += n;
	}
	same(&sub, &in);
	if (in.err == CUR_OK)
		must(sub.buf == in.bytes);
	if (enter) {
		*c = sub;
		*m = in;
	}
}

static void try_copy(struct cur *c, struct model *m, size_t n)
{
	uint8_t to[24], before[24];

	memset(before, 0xa5, sizeof before);
	memcpy(to, before, sizeof to);
	if (cur_copy(c, to, n)) {
		must(has(m, n));
		must(memcmp(to, m->bytes + m->pos, n) == 0);
		must(memcmp(to + n, before + n, sizeof to - n) == 0);
		m->pos += n;
	} else {
		must(!has(m, n));
		must(memcmp(to, before, sizeof to) == 0);
	}
}

static void one(struct cur *c, struct model *m, unsigned op, uint64_t arg)
{
	size_t small = (size_t)(arg % 24);

	switch (op % 16) {
	case 0: try_take(c, m, small); break;
	case 1: try_take(c, m, (size_t)arg); break;
	case 2: must(cur_skip(c, small) == has(m, small)); m->pos += m->err == CUR_OK ? small : 0; break;
	case 3: try_seek(c, m, (size_t)(arg % 300)); break;
	case 4: try_seek(c, m, (size_t)arg); break;
	case 5: must(cur_u8(c) == model_number(m, 1)); break;
	case 6: must(cur_u16le(c) == model_number(m, 2)); break;
	case 7: must(cur_u32le(c) == model_number(m, 4)); break;
	case 8: must(cur_u64le(c) == model_number(m, 8)); break;
	case 9: must(cur_varint(c, small % 11, UINT64_MAX >> (arg >> 58)) ==
		     model_varint(m, small % 11, UINT64_MAX >> (arg >> 58))); break;
	case 10: must(cur_find(c, (uint8_t)arg) == model_find(m, (uint8_t)arg)); break;
	case 11: try_sub(c, m, small, (arg >> 8 & 1) != 0); break;
	case 12: must(cur_peek(c) == (m->err == CUR_OK && m->pos < m->len ? m->bytes[m->pos] : -1)); break;
	case 13: try_sub(c, m, (size_t)arg, (arg >> 8 & 1) != 0); break;
	case 14: try_copy(c, m, small); break;
	default: must(cur_ahead(c, (size_t)arg) == (m->err == CUR_OK && arg < m->len - m->pos ?
						    m->bytes[m->pos + arg] : -1)); break;
	}
	same(c, m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t ops = size > 0 ? data[0] % OPS_MAX : 0;
	uint8_t *bytes;
	struct model m;
	struct cur c;

	if (size < 1 + ops * OP_BYTES)
		return 0;
	size -= 1 + ops * OP_BYTES;
	bytes = fuzz_copy(data + 1 + ops * OP_BYTES, size);
	m = (struct model){ bytes, size, 0, data[0], CUR_OK };
	c = cur_make(bytes, size, data[0]);
	same(&c, &m);
	for (size_t i = 0; i < ops; i++) {
		const uint8_t *op = data + 1 + i * OP_BYTES;
		uint64_t arg;

		memcpy(&arg, op + 1, sizeof arg);
		one(&c, &m, op[0], arg);
	}
	free(bytes);
	return 0;
}
