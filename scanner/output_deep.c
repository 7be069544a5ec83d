/* output_deep.c - what a deep pass says, for people and for programs */
#include "config.h"

#include "output.h"

#include "escape.h"

#include <inttypes.h>
#include <stdio.h>

static json_t *json_words(const struct deep_words *w)
{
	g_autofree char *s = escape_json(w->bytes, w->len);

	return w->len > 0 ? json_string(s) : json_null();
}

static json_t *json_node(const struct deep_node *n)
{
	g_autofree char *type = escape_json(n->type.bytes, n->type.len);

	return json_pack("{s:i,s:o,s:I,s:I,s:b}", "depth", n->depth, "type",
			 n->type.len > 0 ? json_string(type) : json_null(), "offset", (json_int_t)n->offset,
			 "size", (json_int_t)n->size, "damaged", n->damaged);
}

json_t *json_deep(const struct outcome *o)
{
	const struct deep *d = o->deep;
	json_t *j = json_pack("{s:b}", "checked", d != NULL), *parts;

	if (d == NULL) {
		json_object_set_new(j, "reason", json_string(why_text(o->deep_why)));
		return j;
	}
	json_object_set_new(j, "subject", json_words(&d->subject));
	json_object_set_new(j, "from", json_words(&d->from));
	json_object_set_new(j, "message_id", json_words(&d->message_id));
	json_object_set_new(j, "to_count", d->parsed ? json_integer((json_int_t)d->to) : json_null());
	json_object_set_new(j, "date", d->has_date ? json_time(d->date) : json_null());
	json_object_set_new(j, "size", json_integer((json_int_t)d->text));
	parts = json_array();
	for (unsigned i = 0; i < d->count; i++)
		json_array_append_new(parts, json_node(&d->nodes[i]));
	json_object_set_new(j, "parts", parts);
	json_object_set_new(j, "more_parts", json_integer((json_int_t)d->more));
	return j;
}

static void put_words(const char *label, const struct deep_words *w)
{
	g_autofree char *s = escape_eyes(w->bytes, w->len);

	if (w->len > 0)
		printf("  %s: %s\n", label, s);
}

static void put_node(const struct deep_node *n)
{
	g_autofree char *type = escape_eyes(n->type.bytes, n->type.len);

	printf("  %*s%s, %" PRIu64 " bytes%s\n", n->depth * 2, "", n->type.len > 0 ? type : "text/plain (by default)",
	       n->size, n->damaged ? "  <-- damaged" : "");
}

static bool any_damaged(const struct deep *d)
{
	for (unsigned i = 0; i < d->count; i++)
		if (d->nodes[i].damaged)
			return true;
	return false;
}

void put_deep(const struct deep *d, bool all)
{
	put_words("Subject", &d->subject);
	put_words("From", &d->from);
	if (all && d->has_date) {
		struct text when = { .len = 0 };

		text_time(&when, d->date); /* " (2026-11-20T07:31:00Z)" */
		if (when.len > 3)
			printf("  Date: %.*s\n", when.len - 3, (const char *)when.bytes + 2);
	}
	if (all && d->parsed)
		printf("  To: %" PRIu64 " address%s\n", d->to, d->to == 1 ? "" : "es");
	if (!all && !any_damaged(d))
		return;
	for (unsigned i = 0; i < d->count; i++)
		put_node(&d->nodes[i]);
	if (d->more > 0)
		printf("  and %" PRIu64 " more parts\n", d->more);
}
