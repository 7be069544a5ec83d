/*
 * mime_leaf.c - do the bytes of a part hold what its transfer encoding says?
 *
 * Legal and odd, so silent: base64 without its padding, padding in the middle (one encoder after the other), lines of any
 * length, text of a mailing list behind it; 8-bit bytes anywhere; "=" that quotes nothing. What cannot be is
 * a base64 text that ends with one letter too many, control bytes in it, and blocks of zeros. A size that the sender gave is
 * approximate (RFC 2183): Exchange counts all properties of an attachment, its icon too; others count the base64 text, or say 0.
 */
#include "mime.h"

#define ZEROS 512 /* a block of a disk: fewer zero bytes in a row may be somebody's */

/* So many bytes more or fewer than declared are nothing, nor is a tenth. */
#define SIZE_MORE 1024
#define SIZE_FEWER (16u << 10)

enum letter { FOREIGN, LETTER, PAD, SPACE, CONTROL };

/* What each byte is in base64 (RFC 4648); what is not here is foreign. A table, since attachments are most of all mail. */
static const uint8_t letters_of[256] = {
	[0 ... 8] = CONTROL, [11 ... 12] = CONTROL, [14 ... 31] = CONTROL, [127] = CONTROL, ['\t'] = SPACE,
	['\n'] = SPACE, ['\r'] = SPACE, [' '] = SPACE,
	['A' ... 'Z'] = LETTER, ['a' ... 'z'] = LETTER, ['0' ... '9'] = LETTER, ['+'] = LETTER, ['/'] = LETTER,
	['='] = PAD,
};

struct stretch {
	uint64_t at, len;
};

/* The first run of ZEROS zero bytes or more; len 0 = there is none. Also says where the first one is. */
static struct stretch zeros(struct cur c, uint64_t *first_r)
{
	struct stretch s = { 0, 0 };

	*first_r = UINT64_MAX;
	while (cur_left(&c) > 0) {
		size_t skip = cur_find(&c, 0);

		cur_skip(&c, skip);
		if (cur_left(&c) == 0)
			break;
		s.at = cur_offset(&c);
		s.len = 0;
		if (*first_r == UINT64_MAX)
			*first_r = s.at;
		while (cur_peek(&c) == 0) {
			cur_skip(&c, 1);
			s.len++;
		}
		if (s.len >= ZEROS)
			return s;
	}
	s.len = 0;
	return s;
}

static bool last_of_text(const struct mime *m, const struct mime_node *n)
{
	return n->end == m->nodes[0].end;
}

/* Does a message that another one carries end with this part? Bounces carry the beginning of a large one: cut by who made
 * the bounce, and none of this file's losses. */
static bool last_of_carried(const struct mime *m, unsigned index)
{
	const struct mime_node *n = &m->nodes[index];

	for (unsigned i = mime_parent(m, index); i != 0; i = mime_parent(m, i))
		if (m->nodes[i].kind == MIME_MESSAGE && m->nodes[i].end - n->end <= 2)
			return !last_of_text(m, n);
	return false;
}

static bool about(uint64_t declared, uint64_t size, uint64_t more, uint64_t fewer)
{
	uint64_t off = size > declared ? size - declared : declared - size;

	return off <= declared / 10 || off <= (size > declared ? more : fewer);
}

/* Is the file of `size` bytes as large as its sender said? */
static void declared_size(struct mime *m, unsigned index, uint64_t size)
{
	const struct mime_node *n = &m->nodes[index];
	struct finding *f;

	if (n->declared == 0 || about(n->declared, size, SIZE_MORE, SIZE_FEWER) ||
	    about(n->declared, n->end - n->body, 0, 0))
		return;
	f = mime_say(m, F_MIME_SIZE, index, n->body, n->end - n->body);
	if (f == NULL)
		return;
	text_u64(&f->expected, n->declared);
	text_str(&f->expected, " bytes");
	text_u64(&f->found, size);
}

/* A base64 part. Once there are foreign bytes (the footer of a list) its end is not known, and only control bytes
 * count. */
static void base64(struct mime *m, unsigned index, struct cur c)
{
	const struct mime_node *n = &m->nodes[index];
	uint64_t all = 0, letters = 0, last = n->body;
	bool padded = false, foreign = false;

	for (size_t i = 0; cur_left(&c) > 0; i++) {
		enum letter l = (enum letter)letters_of[cur_u8(&c)];

		if (l == LETTER) {
			letters = padded ? 1 : letters + 1; /* behind padding another text begins */
			padded = false;
			all++;
			last = n->body + i;
		} else if (l == PAD) {
			padded = true;
			last = n->body + i;
		} else if (l == CONTROL) {
			mime_say(m, F_MIME_BASE64_CONTROL, index, n->body + i, 1);
		} else {
			foreign |= l == FOREIGN;
		}
	}
	if (foreign || (m->partial && last_of_text(m, n)) || last_of_carried(m, index))
		return;
	declared_size(m, index, all * 3 / 4);
	if (padded || letters % 4 == 0)
		return;
	/* Without padding two or three letters may be left over; one never is. */
	if (letters % 4 == 1 || (m->cut && last_of_text(m, n))) {
		struct finding *f = mime_say(m, F_MIME_BASE64_CUT, index, last, 1);

		/* Three things that agree: this text was cut, whoever did it. */
		if (f != NULL && m->cut && last_of_text(m, n) && last + 1 == n->end) {
			f = mime_say(m, F_MIME_CUT, index, n->end, 0);
			if (f != NULL)
				text_str(&f->expected, "the rest of a base64 group, a line end and an end boundary");
		}
	}
}

/* Quoted-printable that stops behind a "=": only at the end of a text whose multipart is open. */
static void quoted(struct mime *m, unsigned index, struct cur c)
{
	const struct mime_node *n = &m->nodes[index];
	size_t left = cur_left(&c);

	if (m->cut && last_of_text(m, n) && left >= 2 &&
	    (cur_ahead(&c, left - 1) == '=' || cur_ahead(&c, left - 2) == '='))
		mime_say(m, F_MIME_QUOTED_CUT, index, n->end - 1, 1);
}

static void leaf(struct mime *m, unsigned index)
{
	const struct mime_node *n = &m->nodes[index];
	struct cur c = m->text;
	struct stretch run;
	uint64_t nul;

	cur_seek(&c, (size_t)n->body);
	c = cur_sub(&c, (size_t)(n->end - n->body));
	if (n->encoding == MIME_BINARY)
		return;
	run = zeros(c, &nul);
	if (run.len > 0)
		mime_say(m, n->encoding == MIME_BASE64 || n->encoding == MIME_QUOTED ? F_MIME_ZEROS_ENCODED :
			 F_MIME_ZEROS, index, run.at, run.len);
	else if (nul != UINT64_MAX)
		mime_say(m, F_MIME_NUL, index, nul, 1);
	if (n->encoding == MIME_BASE64)
		base64(m, index, c);
	else if (n->encoding == MIME_QUOTED)
		quoted(m, index, c);
}

void mime_leaves(struct mime *m)
{
	for (unsigned i = 0; i < m->count; i++)
		if (m->nodes[i].kind == MIME_LEAF)
			leaf(m, i);
}
