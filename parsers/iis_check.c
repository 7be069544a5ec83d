/*
 * iis_check.c - check(): the order of things, the text from its first to its last byte
 *
 * NTFS journals what files are called and how long they are, not what is in them. So after a crash a file has its
 * length, and where its data did not reach the disk it has zeros, or what lay in the cluster before. Text
 * has neither, unless it says that it is binary (RFC 3030; Exchange 2000 offers that).
 */
#include "iis.h"

enum { CHECK_HEAD, CHECK_TEXT, CHECK_END };

struct finding *iis_note(const struct iis_work *x, enum finding_id id, unsigned part, uint64_t offset,
			 uint64_t length)
{
	return report_add(x->r, id, part, offset, length);
}

/* --- The text, byte by byte -------------------------------------------------------------- */

/* Does "transfer-encoding: binary" end with this byte? Its first letter occurs in it once. */
static void match(struct iis_check *k, uint8_t byte)
{
	static const char word[] = "transfer-encoding:binary";
	uint8_t ch = byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte - 'A' + 'a') : byte;

	if (k->match == 18 && (ch == ' ' || ch == '\t'))
		return;
	if (k->match < sizeof word - 1 && ch == (uint8_t)word[k->match])
		k->match++;
	else
		k->match = ch == (uint8_t)word[0];
	if (k->match == sizeof word - 1) {
		k->binary = true;
		k->match = 0;
	}
}

/* A run of zeros has ended at pos. Does it have a whole sector? */
static void run_ended(struct iis_check *k)
{
	uint64_t start = k->pos - k->run;
	uint64_t sector = (start + IIS_SECTOR - 1) / IIS_SECTOR * IIS_SECTOR;

	if (k->run >= IIS_SECTOR && k->pos >= sector && k->pos - sector >= IIS_SECTOR &&
	    k->run > k->hole_len) {
		k->hole = start;
		k->hole_len = k->run;
	}
	k->run = 0;
}

/* A whole block is behind pos. What is in the cluster of another file begins with the block; what a sender put
 * into his text (yEnc) begins anywhere. */
static void block_ended(struct iis_check *k)
{
	bool begins = k->before < IIS_BLOCK_CLEAN && k->first >= IIS_BLOCK_CLEAN;

	k->noise = k->controls >= IIS_BLOCK_CONTROLS && (k->noise || begins);
	if (k->noise && k->foreign_blocks++ == 0)
		k->foreign = k->pos - IIS_BLOCK;
	k->before = k->controls;
	k->controls = k->first = 0;
}

static bool is_alphanumeric(uint8_t ch)
{
	return (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z');
}

/* Does the block at hand begin like a message, in the middle of a word? Behind a blank or a '>' it may be a header
 * that somebody quotes, and begins with the block by chance. */
static void match_header(struct iis_check *k, uint8_t ch)
{
	static const char word[] = "Received: from ";

	if (k->pos % IIS_BLOCK == 0)
		k->header = k->pos > 0 && is_alphanumeric(k->tail) && ch == 'R' ? 1 : 0;
	else if (k->header > 0)
		k->header = k->header < sizeof word - 1 && ch == (uint8_t)word[k->header] ?
			    (uint8_t)(k->header + 1) : 0;
	if (k->header == sizeof word - 1 && k->other == 0)
		k->other = k->pos + 1 - (sizeof word - 1);
}

/* Control characters that no text and no character set has. */
static bool is_control(uint8_t ch)
{
	return ch < ' ' && ch != 0 && ch != '\t' && ch != '\n' && ch != '\r' && ch != '\f' && ch != '\b' &&
	       ch != 0x1b && ch != 0x0e && ch != 0x0f;
}

static void take_byte(struct iis_check *k, uint8_t ch)
{
	if (ch == 0) {
		if (k->zeros++ == 0)
			k->first_zero = k->pos;
		k->run++;
	} else if (k->run > 0) {
		run_ended(k);
	}
	if (is_control(ch)) {
		k->controls++;
		k->first += k->pos % IIS_BLOCK < IIS_SECTOR;
	}
	match(k, ch);
	match_header(k, ch);
	k->tail = ch;
	k->pos++;
	if (k->pos % IIS_BLOCK == 0)
		block_ended(k);
}

/* All of the text; false while more of it is wanted. */
static bool scan(struct iis_check *k, const struct part *p, struct want *w)
{
	struct cur c = cur_make(p->bytes, p->len, p->off);
	uint64_t left = p->size - k->pos;

	if (k->pos >= p->off && cur_seek(&c, (size_t)(k->pos - p->off)))
		while (cur_left(&c) > 0 && k->pos < p->size)
			take_byte(k, cur_u8(&c));
	if (k->pos >= p->size)
		return true;
	left = p->size - k->pos;
	*w = (struct want){ IIS_TEXT, k->pos, left < WINDOW_MAX ? (size_t)left : WINDOW_MAX, 1 };
	return false;
}

/* --- What that says ------------------------------------------------------------------------ */

static void milder(const struct iis_work *x, struct finding *f)
{
	if (!x->k->binary)
		return;
	f->severity = SEV_SUSPECT;
	text_str(&f->expected, "text, although it says that it is binary");
}

static void check_zeros(const struct iis_work *x)
{
	const struct iis_check *k = x->k;
	uint64_t size = x->m->parts[IIS_TEXT].size;
	struct finding *f;

	if (!iis_settled(x->m))
		return; /* room may have been made for what is to come */
	if (k->zeros == size) {
		iis_note(x, F_IIS_TEXT_ZEROS, IIS_TEXT, 0, size);
	} else if (k->hole_len > 0) {
		f = iis_note(x, F_IIS_TEXT_ZEROS, IIS_TEXT, k->hole, k->hole_len);
		text_u64(&f->found, k->hole_len);
		text_str(&f->found, k->hole + k->hole_len == size ? " zero bytes up to the end" :
								    " zero bytes");
		milder(x, f);
	} else if (k->zeros > 0 && !k->binary) {
		f = iis_note(x, F_IIS_TEXT_NUL, IIS_TEXT, k->first_zero, 1);
		text_u64(&f->found, k->zeros);
		text_str(&f->found, k->zeros == 1 ? " zero byte" : " zero bytes");
	}
}

static void check_text(const struct iis_work *x)
{
	const struct iis_check *k = x->k;
	const struct part *p = &x->m->parts[IIS_TEXT];
	struct finding *f;

	if (p->size == 0) {
		if (iis_settled(x->m))
			iis_note(x, F_IIS_TEXT_EMPTY, IIS_TEXT, 0, 0);
		return;
	}
	check_zeros(x);
	if (k->foreign_blocks > 0 && !k->binary) {
		f = iis_note(x, F_IIS_TEXT_FOREIGN, IIS_TEXT, k->foreign, IIS_BLOCK);
		text_u64(&f->found, k->foreign_blocks);
		text_str(&f->found, k->foreign_blocks == 1 ? " block that is no text" : " blocks that are no text");
	}
	if (k->other > 0) {
		f = iis_note(x, F_IIS_TEXT_FOREIGN, IIS_TEXT, k->other, 0);
		text_str(&f->found, "the beginning of another message, in the middle of a word");
	}
	if (k->tail != '\n' && k->tail != 0 && !k->binary)
		iis_note(x, F_IIS_TEXT_UNENDED, IIS_TEXT, p->size - 1, 1);
}

/* The service adds a Received field in front of all that it queues. */
static void check_beginning(const struct iis_work *x)
{
	struct cur c = x->head;
	struct iis_field f;
	struct finding *bad;

	if (x->m->place == IIS_PICKUP || cur_left(&c) == 0 || cur_peek(&c) == 0 ||
	    iis_field(&c, &f) != IIS_NO_FIELD)
		return;
	bad = iis_note(x, F_IIS_TEXT_HEADER, IIS_TEXT, 0, 0);
	iis_say(&bad->found, cur_sub(&c, cur_word(&c, '\n')));
}

bool iis_is_refused(const struct message *m)
{
	struct cur c = cur_make((const uint8_t *)m->id, m->id_len, 0);

	return (m->place == IIS_PICKUP || m->place == IIS_REPLAY) && m->id_len > 4 &&
	       cur_seek(&c, m->id_len - 4) && iis_word(&c, ".bad");
}

/* --- All of it -------------------------------------------------------------------------------- */

/* What the first bytes tell. False while they are not at hand. */
static bool check_head(const struct iis_work *work, struct want *w)
{
	const struct part *p = &work->m->parts[IIS_TEXT];
	size_t n = p->size < IIS_HEADER_MAX ? (size_t)p->size : IIS_HEADER_MAX;
	struct iis_work x = *work;

	if (n > 0 && (p->off != 0 || p->len < n)) {
		*w = (struct want){ IIS_TEXT, 0, n, n };
		return false;
	}
	x.head = cur_make(p->bytes, p->len, 0);
	x.head = cur_sub(&x.head, n);
	check_beginning(&x);
	if (iis_is_refused(x.m))
		iis_note(&x, F_IIS_REFUSED, IIS_TEXT, 0, 0);
	iis_check_streams(&x);
	iis_check_submission(&x);
	return true;
}

enum step iis_check(void *scratch, const struct message *m, struct report *r, struct want *w)
{
	struct iis_check *k = scratch;
	const struct iis_work x = { .m = m, .r = r, .k = k };

	if (k->phase == CHECK_HEAD) {
		if (!check_head(&x, w))
			return STEP_WANT;
		k->phase = CHECK_TEXT;
	}
	if (k->phase == CHECK_TEXT) {
		if (!scan(k, &m->parts[IIS_TEXT], w))
			return STEP_WANT;
		if (k->run > 0)
			run_ended(k);
		check_text(&x);
		k->phase = CHECK_END;
	}
	return STEP_DONE;
}
