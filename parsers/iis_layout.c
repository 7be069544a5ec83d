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

void iis_check_layout(const struct iis_work *x, unsigned role)
{
	const struct part *p = &x->m->parts[role];
	const struct layout *l = &x->m->site.layout;
	struct layout_result result;
	unsigned before = x->r->count;

	if (!iis_has_layout(x->m, role))
		return;
	layout_check(&x->k->layout, l, p->bytes, (uint32_t)p->size, role, x->r, &result);
	for (unsigned i = before; i < x->r->count; i++) {
		struct finding *f = &x->r->findings[i];
		struct text field = f->field;

		f->field.len = 0;
		text_str(&f->field, "stream ");
		if (p->name != NULL)
			text_bytes(&f->field, (const uint8_t *)p->name, p->name_len);
		text_str(&f->field, ", ");
		text_bytes(&f->field, field.bytes, field.len);
		/* A session may be about to complete what it has begun to write. */
		if (f->severity == SEV_CORRUPT && !iis_settled(x->m))
			f->severity = SEV_SUSPECT;
	}
}
