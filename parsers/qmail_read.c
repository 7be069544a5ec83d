/*
 * qmail_read.c - records, and the windows they are read through
 *
 * All envelope files of qmail are runs of records that end with a zero byte; the first byte of
 * a record is its type. What follows the last zero byte is no record for qmail: it drops it
 * without a word.
 */
#include "qmail.h"

const struct part *qm_part(const struct message *m, unsigned place)
{
	const struct part *p = &m->parts[qm_role(m, place)];

	return p->mode != 0 ? p : NULL;
}

unsigned qm_guess(const struct message *m)
{
	struct cur c = qm_window(&m->parts[QM_HEAD], 0);

	switch (cur_peek(&c)) {
	case 'u':
		return QM_TODO;
	case 'F':
		return QM_INFO;
	case 'T':
	case 'D':
		return QM_LOCAL;
	default:
		return QM_MESS;
	}
}

struct cur qm_window(const struct part *p, uint64_t off)
{
	struct cur c = cur_make(p->bytes, p->len, p->off);

	if (off < p->off || off - p->off > p->len)
		return cur_make(p->bytes, 0, off);
	cur_seek(&c, (size_t)(off - p->off));
	return c;
}

void qm_say(struct text *t, struct cur c)
{
	for (unsigned i = 0; i < TEXT_MAX && cur_left(&c) > 0; i++) {
		uint8_t byte = cur_u8(&c);

		text_bytes(t, &byte, 1);
	}
}

bool qm_there(const struct message *m, unsigned role, uint64_t off, size_t need, struct want *w)
{
	const struct part *p = &m->parts[role];
	uint64_t left = p->size > off ? p->size - off : 0;
	struct cur c = qm_window(p, off);

	if (need > left)
		need = (size_t)left;
	if (cur_left(&c) >= need)
		return true;
	*w = (struct want){ role, off, left < WINDOW_MAX ? (size_t)left : WINDOW_MAX, need };
	return false;
}

/* Whatever the windows: a record that is not longer than QM_VIEW is seen in one piece, a longer
 * one is only measured. */
enum qm_read qm_next(struct qm_reader *rd, const struct message *m, unsigned role,
		     struct qm_record *rec, struct want *w)
{
	const struct part *p = &m->parts[role];

	while (rd->pos < p->size) {
		uint64_t at = rd->pos + rd->scanned;
		struct cur c;
		size_t n;

		if (at < p->size && !qm_there(m, role, at, rd->scanned > 0 ? 1 : QM_VIEW, w))
			return QM_WANT;
		c = qm_window(p, at);
		if (cur_left(&c) > p->size - at) /* never: a window ends with its part */
			return QM_END;
		if (rd->scanned == 0)
			rd->type = (uint8_t)(cur_peek(&c) > 0 ? cur_peek(&c) : 0);
		n = cur_find(&c, 0);
		if (n == cur_left(&c) && n > 0 && at + n < p->size) {
			rd->scanned += n;
			continue;
		}
		*rec = (struct qm_record){ .off = rd->pos, .type = rd->type,
					   .ended = n < cur_left(&c) };
		rec->len = rd->scanned + n + rec->ended;
		rec->whole = rd->scanned == 0 && rec->len <= QM_VIEW;
		rec->value = cur_sub(&c, rec->whole ? n : 0);
		cur_skip(&rec->value, rec->whole && n > 0 ? 1 : 0);
		rd->pos += rec->len;
		rd->scanned = 0;
		return QM_RECORD;
	}
	return QM_END;
}
