/*
 * iis_layout.c - a property stream by the layout that the operator gave
 *
 * Only the stream whose name is configured first is looked at so: whether other streams are laid out in the same way
 * is not published. Without a layout nothing here says a word.
 */
#include "iis.h"

bool iis_has_layout(const struct message *m, unsigned role)
{
	const struct part *p = &m->parts[role];

	return m->site.layout.entry_size > 0 && role == IIS_STREAM && m->site.streams_known > 0 && iis_present(m, role) &&
	       p->size > 0 && p->size <= LAYOUT_STREAM_MAX && p->off == 0 && p->len == p->size;
}

/* What the check by the layout says, as a finding of the message. */
static void pass_on(const struct iis_work *x, const struct part *p, const struct finding *said)
{
	struct finding *f = iis_note(x, (enum finding_id)said->id, said->part, said->offset, said->length);

	/* A session may be about to complete what it has begun to write. */
	f->severity = said->severity == SEV_CORRUPT && !iis_settled(x->m) ? SEV_SUSPECT : said->severity;
	f->impact = said->impact;
	f->expected = said->expected;
	f->found = said->found;
	text_str(&f->field, "stream ");
	if (p->name != NULL)
		text_bytes(&f->field, (const uint8_t *)p->name, p->name_len);
	text_str(&f->field, ", ");
	text_bytes(&f->field, said->field.bytes, said->field.len < TEXT_MAX ? said->field.len : TEXT_MAX);
}

/* Into a report of its own first: in one that is full, nobody could tell which findings are new. */
void iis_check_layout(const struct iis_work *x, unsigned role)
{
	const struct part *p = &x->m->parts[role];
	struct report *own = &x->k->by_layout;
	struct layout_result result;

	if (!iis_has_layout(x->m, role))
		return;
	report_reset(own);
	layout_check(&x->k->layout, &x->m->site.layout, p->bytes, (uint32_t)p->size, role, own, &result);
	for (unsigned i = 0; i < own->count && i < REPORT_MAX; i++)
		pass_on(x, p, &own->findings[i]);
	x->r->more += own->more;
}
