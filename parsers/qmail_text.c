/*
 * qmail_text.c - the text of a message, and that of the bounce that is being collected
 *
 * qmail never looks into either. No length and no sum is kept of them, so what can be known is
 * little: that there is something, how it begins, and that it has no holes.
 */
#include "qmail.h"

/* What failed is told in text; a report cannot hold a zero byte. */
bool qm_check_bounce(const struct qm_work *x, struct want *w)
{
	const struct part *p = qm_part(x->m, QM_BOUNCE);
	unsigned role = qm_role(x->m, QM_BOUNCE);
	struct qm_record rec = { 0 };
	struct finding *f;

	if (p == NULL)
		return true;
	switch (qm_next(&x->k->read, x->m, role, &rec, w)) {
	case QM_WANT:
		return false;
	case QM_END:
		qm_note(x, F_QMAIL_BOUNCE, role, 0, 0);
		break;
	case QM_RECORD:
		if (!rec.ended)
			break;
		f = qm_note(x, F_QMAIL_BOUNCE, role, rec.len - 1, 1);
		text_str(&f->found, "a zero byte");
		break;
	}
	return true;
}

/* A run of zero bytes has ended at k->pos: is it what a disk does? */
static void zeros_ended(struct qm_check *k, const struct part *p)
{
	uint64_t start = k->pos - k->run;
	bool edge = start == 0 || k->pos == p->size;

	if (k->hole_len == 0 && (k->run >= QM_BLOCK || (edge && k->run >= QM_ZEROS))) {
		k->hole = start;
		k->hole_len = k->run;
	}
	k->run = 0;
}

/* Look for zeros from k->pos to `end`. */
static bool scan_to(const struct qm_work *x, unsigned role, uint64_t end, struct want *w)
{
	const struct part *p = &x->m->parts[role];
	struct qm_check *k = x->k;

	while (k->pos < end) {
		struct cur window, c;
		size_t n;

		if (!qm_there(x->m, role, k->pos, 1, w))
			return false;
		window = qm_window(p, k->pos);
		n = cur_left(&window);
		c = cur_sub(&window, n < end - k->pos ? n : (size_t)(end - k->pos));
		if (cur_peek(&c) != 0) {
			if (k->run > 0)
				zeros_ended(k, p);
			n = cur_find(&c, 0);
			cur_skip(&c, n);
			k->pos += n;
		}
		while (cur_peek(&c) == 0) {
			cur_skip(&c, 1);
			k->run++;
			k->pos++;
		}
	}
	if (k->run > 0)
		zeros_ended(k, p);
	return true;
}

/* All of the text; of a large one both ends. */
bool qm_scan_text(const struct qm_work *x, unsigned role, struct want *w)
{
	uint64_t size = x->m->parts[role].size;
	struct qm_check *k = x->k;

	if (size > QM_SCAN_MAX && !k->tail_only) {
		if (!scan_to(x, role, QM_TAIL, w))
			return false;
		k->tail_only = true;
		k->pos = size - QM_TAIL;
	}
	return scan_to(x, role, size, w);
}

void qm_say_zeros(const struct qm_work *x, unsigned role)
{
	const struct part *p = &x->m->parts[role];
	const struct qm_check *k = x->k;
	struct finding *f;

	if (k->hole_len == p->size) {
		qm_note(x, F_SPOOL_ZERO_FILLED, role, 0, p->size)->impact = IMPACT_DAMAGED_DELIVERY;
	} else if (k->hole_len > 0) {
		f = qm_note(x, F_QMAIL_MESS_ZEROS, role, k->hole, k->hole_len);
		if (k->hole > 0)
			f->severity = SEV_SUSPECT; /* a sender may have sent that */
	}
}

/* The first line of the text; zeros in place of it are the next phase's business. */
bool qm_check_head(const struct qm_work *x, struct want *w)
{
	static const char received[] = "Received: (qmail ";
	const struct part *p = qm_part(x->m, QM_MESS);
	unsigned role = qm_role(x->m, QM_MESS);
	const uint8_t *head;
	struct finding *f;
	struct cur c;

	if (p == NULL || p->size == 0) {
		x->k->skip = true;
		if (p != NULL)
			qm_note(x, F_QMAIL_MESS_EMPTY, role, 0, 0);
		return true;
	}
	if (!qm_there(x->m, role, 0, sizeof received - 1, w))
		return false;
	c = qm_window(p, 0);
	head = cur_view(&c, sizeof received - 1);
	if (cur_peek(&c) == 0 || (head != NULL && memcmp(head, received, sizeof received - 1) == 0))
		return true;
	f = qm_note(x, F_QMAIL_RECEIVED, role, 0, 0);
	text_str(&f->expected, received);
	qm_say(&f->found, c);
	if (f->found.len > sizeof received - 1)
		f->found.len = sizeof received - 1;
	return true;
}
