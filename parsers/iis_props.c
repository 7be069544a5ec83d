/*
 * iis_props.c - X-ExtendedProps, the properties of a message that Exchange 2007 and later exports
 *
 * Base64 of tokens, little-endian: u16 type, value. They come in pairs, key and value, to the exact end. What is
 * known was read off exported messages, no specification stands behind it: so a type that
 * is not in the table ends the walk and is no damage. A length that goes beyond the block, or a key
 * without a value, contradicts everything that was seen.
 */
#include "iis.h"

enum shape { SHAPE_NUMBER, SHAPE_BYTES, SHAPE_COUNTED, SHAPE_LIST };

static const struct {
	uint16_t type;
	uint8_t shape;
	uint8_t size;    /* of SHAPE_NUMBER, SHAPE_BYTES */
} types[] = {
	{ 0x02, SHAPE_NUMBER, 1 },  { 0x05, SHAPE_NUMBER, 2 }, { 0x07, SHAPE_NUMBER, 4 },
	{ 0x08, SHAPE_NUMBER, 4 },  { 0x16, SHAPE_NUMBER, 4 }, { 0x09, SHAPE_NUMBER, 8 },
	{ 0x0a, SHAPE_NUMBER, 8 },  { 0x11, SHAPE_BYTES, 16 }, { 0x0f, SHAPE_COUNTED, 0 },
	{ 0x17, SHAPE_COUNTED, 0 }, { 0x2014, SHAPE_LIST, 0 },
};

#define TYPES (sizeof types / sizeof types[0])

/* --- Base64 ------------------------------------------------------------------------- */

/* The value of a character; 64 = a blank (lines are folded anywhere), 65 = padding, 66 = none. */
static unsigned digit(uint8_t ch)
{
	if (ch >= 'A' && ch <= 'Z')
		return (unsigned)(ch - 'A');
	if (ch >= 'a' && ch <= 'z')
		return (unsigned)(ch - 'a') + 26;
	if (ch >= '0' && ch <= '9')
		return (unsigned)(ch - '0') + 52;
	return ch == '+' ? 62 : ch == '/' ? 63 : cur_blank(ch) ? 64 : ch == '=' ? 65 : 66;
}

/* How many bytes the text stands for; false when it is no base64. */
static bool measure(struct cur c, uint64_t *bytes_r)
{
	uint64_t digits = 0, pads = 0;

	*bytes_r = 0;
	while (cur_left(&c) > 0) {
		unsigned d = digit(cur_u8(&c));

		if (d == 66 || (d < 64 && pads > 0))
			return false;
		digits += d < 64;
		pads += d == 65;
	}
	*bytes_r = digits / 4 * 3 + (digits % 4 > 0 ? digits % 4 - 1 : 0);
	return digits % 4 != 1 && pads <= 2 && (pads == 0 || (digits + pads) % 4 == 0);
}

/* The next byte; measure() has counted that there is one. */
static uint8_t next_byte(struct iis_props *p)
{
	uint8_t byte;

	while (p->nbits < 8 && cur_left(&p->text) > 0) {
		unsigned d = digit(cur_u8(&p->text));

		if (d >= 64)
			continue;
		p->bits = (p->bits << 6 | d) & 0x3fff;
		p->nbits = (uint8_t)(p->nbits + 6);
	}
	if (p->nbits < 8 || p->left == 0)
		return 0;
	p->nbits = (uint8_t)(p->nbits - 8);
	byte = (uint8_t)(p->bits >> p->nbits & 0xff);
	p->left--;
	return byte;
}

/* --- Tokens ---------------------------------------------------------------------------- */

static uint64_t number(struct iis_props *p, unsigned bytes)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < bytes; i++)
		n |= (uint64_t)next_byte(p) << 8 * i;
	return n;
}

static void take(struct iis_props *p, struct iis_token *t, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		uint8_t byte = next_byte(p);

		if (t->nview < IIS_PROPS_VIEW)
			t->view[t->nview++] = byte;
	}
}

/* Is there room for `n` more bytes? */
static bool fits(const struct iis_props *p, struct iis_token *t, uint64_t n)
{
	t->declared = n;
	t->room = p->left;
	return n <= p->left;
}

/* A length of 32 bits, then so many bytes. */
static bool counted(struct iis_props *p, struct iis_token *t)
{
	uint64_t n;

	if (!fits(p, t, 4))
		return false;
	n = number(p, 4);
	if (!fits(p, t, n))
		return false;
	take(p, t, n);
	return true;
}

/* A count of 32 bits, then so many of these. Each takes four bytes at least. */
static bool list(struct iis_props *p, struct iis_token *t)
{
	uint64_t n;

	if (!fits(p, t, 4))
		return false;
	n = number(p, 4);
	if (!fits(p, t, n * 4))
		return false;
	for (; n > 0; n--)
		if (!counted(p, t))
			return false;
	return true;
}

static bool value(struct iis_props *p, struct iis_token *t, unsigned k)
{
	switch (types[k].shape) {
	case SHAPE_NUMBER:
		if (!fits(p, t, types[k].size))
			return false;
		t->number = number(p, types[k].size);
		return true;
	case SHAPE_BYTES:
		if (!fits(p, t, types[k].size))
			return false;
		take(p, t, types[k].size);
		return true;
	case SHAPE_COUNTED:
		return counted(p, t);
	default:
		return list(p, t);
	}
}

struct iis_props iis_props(struct cur base64)
{
	struct iis_props p = { .text = base64 };

	p.broken = !measure(base64, &p.left);
	return p;
}

enum iis_props_end iis_props_next(struct iis_props *p, struct iis_token *t)
{
	unsigned k = 0;
	bool whole;

	memset(t, 0, sizeof *t);
	cur_skip_blanks(&p->text);
	t->off = cur_offset(&p->text);
	t->value = p->value;
	if (p->broken)
		return IIS_PROPS_BASE64;
	if (p->left == 0)
		return p->value ? IIS_PROPS_NO_VALUE : IIS_PROPS_SOUND;
	if (!fits(p, t, 2))
		return IIS_PROPS_OVERRUN;
	t->type = (uint16_t)number(p, 2);
	while (k < TYPES && types[k].type != t->type)
		k++;
	whole = k < TYPES && value(p, t, k);
	t->len = cur_offset(&p->text) - t->off;
	if (k == TYPES)
		return IIS_PROPS_TYPE;
	if (!whole)
		return IIS_PROPS_OVERRUN;
	p->value = !p->value;
	return IIS_PROPS_TOKEN;
}

bool iis_props_of(const struct iis_field *f, struct cur *base64)
{
	static const char mark[] = "x-extendedprops=";
	struct cur c = f->value;

	if (iis_is(f, "x-extendedprops")) {
		*base64 = f->value;
		return true;
	}
	if (!iis_is(f, "x-receiver"))
		return false;
	while (cur_left(&c) > 0) {
		cur_skip(&c, cur_find(&c, ';'));
		cur_skip(&c, cur_left(&c) > 0);
		cur_skip_blanks(&c);
		if (iis_word(&c, mark)) {
			*base64 = cur_sub(&c, cur_find(&c, ';'));
			cur_trim(base64);
			return true;
		}
	}
	return false;
}
