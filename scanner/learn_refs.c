/*
 * learn_refs.c - values that are known from the text, and what in the stream refers to them
 *
 * An address that stands in the text and in the stream is a property's value, whatever the layout is. A
 * number that says where it is, a number beside it that says how long it is, and a published id beside both
 * are an entry, if many values of many messages have them in the same places.
 */
#include "config.h"

#include "learn.h"

#include "mailmsg.h"

#include <string.h>

bool learn_number(const struct sample *s, int64_t at, unsigned width, uint32_t *value_r)
{
	uint32_t value = 0;

	if (at < 0 || at + width > s->size)
		return false;
	for (unsigned i = width; i > 0; i--)
		value = value << 8 | s->stream[at + i - 1];
	*value_r = value;
	return true;
}

/* --- Anchors --------------------------------------------------------------------- */

static bool is_address(uint8_t ch)
{
	return g_ascii_isalnum(ch) || (ch != '\0' && strchr("._%+=-@", ch) != NULL);
}

/* Each place in the stream where these bytes stand alone. */
static void find_value(const struct sample *s, const uint8_t *p, size_t n, bool wide, GArray *anchors)
{
	const uint8_t *hit, *from = s->stream, *end = s->stream + s->size;
	size_t step = wide ? 2 : 1;

	while (anchors->len < LEARN_ANCHORS && (hit = memmem(from, (size_t)(end - from), p, n)) != NULL) {
		struct anchor a = { (uint32_t)(hit - s->stream), (uint32_t)n, wide };
		bool alone = (a.at < step || !is_address(hit[-(int)step])) &&
			     (a.at + n >= s->size || !is_address(hit[n]));

		if (alone)
			g_array_append_val(anchors, a);
		from = hit + n;
	}
}

static void add_value(const struct sample *s, GHashTable *known, const uint8_t *p, size_t n, GArray *anchors)
{
	char *value = g_strndup((const char *)p, n);
	g_autofree uint8_t *wide = g_malloc0(2 * n + 1);

	if (n < 6 || n > ADDRESS_MAX || !g_hash_table_add(known, value))
		return;
	for (size_t i = 0; i < n; i++)
		wide[2 * i] = p[i];
	find_value(s, p, n, false, anchors);
	find_value(s, wide, 2 * n, true, anchors);
}

/* Addresses of one header line. */
static void add_addresses(const struct sample *s, GHashTable *known, const uint8_t *p, size_t n, GArray *anchors)
{
	for (size_t i = 0; i < n; i++) {
		size_t from = i, to = i;

		if (p[i] != '@')
			continue;
		while (from > 0 && is_address(p[from - 1]))
			from--;
		while (to + 1 < n && is_address(p[to + 1]))
			to++;
		if (from < i && to > i)
			add_value(s, known, p + from, to + 1 - from, anchors);
		i = to;
	}
}

static void add_line(const struct sample *s, GHashTable *known, const uint8_t *p, size_t n, GArray *anchors)
{
	static const char *const whole[] = { "Subject:", "Message-ID:" };

	for (size_t i = 0; i < G_N_ELEMENTS(whole); i++) {
		size_t skip = strlen(whole[i]);

		if (n > skip && g_ascii_strncasecmp((const char *)p, whole[i], skip) == 0) {
			while (skip < n && p[skip] == ' ')
				skip++;
			add_value(s, known, p + skip, n - skip, anchors);
		}
	}
	add_addresses(s, known, p, n, anchors);
}

/* What is a part of another value is none of its own: the address in a Message-ID. */
static void drop_parts(GArray *anchors)
{
	for (guint i = anchors->len; i > 0; i--) {
		const struct anchor a = g_array_index(anchors, struct anchor, i - 1);

		for (guint k = 0; k < anchors->len; k++) {
			const struct anchor *b = &g_array_index(anchors, struct anchor, k);

			if (b->length > a.length && b->at <= a.at && a.at + a.length <= b->at + b->length) {
				g_array_remove_index(anchors, i - 1);
				break;
			}
		}
	}
}

void learn_anchors(const struct sample *s, GArray *anchors_r)
{
	GHashTable *known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	const uint8_t *p = s->text, *end = s->text + s->text_len;

	while (p < end) {
		const uint8_t *newline = memchr(p, '\n', (size_t)(end - p));
		size_t n = newline != NULL ? (size_t)(newline - p) : (size_t)(end - p);
		size_t line = n > 0 && p[n - 1] == '\r' ? n - 1 : n;

		if (line == 0)
			break; /* the text begins */
		add_line(s, known, p, line, anchors_r);
		p += newline != NULL ? n + 1 : n;
	}
	drop_parts(anchors_r);
	g_hash_table_destroy(known);
}

/* --- Votes -------------------------------------------------------------------------- */

static guint64 pack(const struct shape *s)
{
	return s->adds | (guint64)(uint8_t)s->length << 16 | (guint64)(uint8_t)s->id << 24 |
	       (guint64)s->offset_width << 32 | (guint64)s->length_width << 36 |
	       (guint64)s->id_width << 40 | (guint64)s->counts_end << 44;
}

static struct shape unpack(guint64 key)
{
	return (struct shape){ .adds = key & 0xffff, .length = (int8_t)(key >> 16 & 0xff),
		.id = (int8_t)(key >> 24 & 0xff), .offset_width = key >> 32 & 15, .length_width = key >> 36 & 15,
		.id_width = key >> 40 & 15, .counts_end = key >> 44 & 1 };
}

static bool apart(int a, unsigned a_width, int b, unsigned b_width)
{
	return a + (int)a_width <= b || b + (int)b_width <= a;
}

/* With offset and length in place: every published id near by. */
static void vote_ids(const struct sample *s, uint32_t q, struct shape shape, GHashTable *seen)
{
	for (int e = -LEARN_REACH; e <= LEARN_REACH; e++)
		for (unsigned width = 2; width <= 4; width += 2) {
			uint32_t id;

			if (!apart(0, shape.offset_width, e, width) ||
			    !apart(shape.length, shape.length_width, e, width) ||
			    !learn_number(s, (int64_t)q + e, width, &id) || id == 0 || mailmsg_property(id) == NULL)
				continue;
			shape.id = (int8_t)e;
			shape.id_width = (uint8_t)width;
			g_hash_table_add(seen, g_memdup2(&(guint64){ pack(&shape) }, sizeof(guint64)));
		}
}

/* With an offset in place: every number near by that is the value's length. */
static void vote_lengths(const struct sample *s, const struct anchor *a, uint32_t q, struct shape shape,
			 GHashTable *seen)
{
	uint32_t zero = 1, unit = a->wide ? 2 : 1;
	bool ended = learn_number(s, (int64_t)a->at + a->length, unit, &zero) && zero == 0;

	for (int d = -LEARN_REACH; d <= LEARN_REACH; d++)
		for (unsigned width = 2; width <= 4; width += 2) {
			uint32_t length;

			if (!apart(0, shape.offset_width, d, width) || !learn_number(s, (int64_t)q + d, width, &length) ||
			    (length != a->length && !(ended && length == a->length + unit)))
				continue;
			shape.length = (int8_t)d;
			shape.length_width = (uint8_t)width;
			shape.counts_end = length != a->length;
			vote_ids(s, q, shape, seen);
		}
}

/* All shapes by which something refers to this value, each once. */
static GHashTable *vote(const struct sample *s, const struct anchor *a)
{
	GHashTable *seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);

	for (uint32_t q = 0; q + 2 <= s->size; q++)
		for (unsigned width = 2; width <= 4; width += 2) {
			uint32_t offset;

			if (!learn_number(s, q, width, &offset) || offset > a->at || a->at - offset > LEARN_ADDS)
				continue;
			vote_lengths(s, a, q, (struct shape){ .adds = a->at - offset, .offset_width = (uint8_t)width }, seen);
		}
	return seen;
}

static gint by_votes(gconstpointer a, gconstpointer b)
{
	const struct shape *x = a, *y = b;

	int x_width = x->offset_width + x->length_width + x->id_width;
	int y_width = y->offset_width + y->length_width + y->id_width;

	if (x->votes != y->votes)
		return x->votes > y->votes ? -1 : 1;
	/* What is simple first, since not all are tried. */
	if (x->adds != y->adds)
		return x->adds < y->adds ? -1 : 1;
	if (x_width != y_width)
		return x_width > y_width ? -1 : 1;
	return pack(x) < pack(y) ? -1 : pack(x) > pack(y);
}

GArray *learn_shapes(struct study *const *studies, unsigned n)
{
	GHashTable *votes = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	GArray *shapes = g_array_new(FALSE, FALSE, sizeof(struct shape));
	GHashTableIter iter;
	gpointer key, value;

	for (unsigned i = 0; i < n && i < LEARN_VOTERS; i++)
		for (guint k = 0; k < studies[i]->anchors->len; k++) {
			GHashTable *seen = vote(studies[i]->sample, &g_array_index(studies[i]->anchors, struct anchor, k));

			g_hash_table_iter_init(&iter, seen);
			while (g_hash_table_iter_next(&iter, &key, NULL)) {
				gpointer many = g_hash_table_lookup(votes, key);

				g_hash_table_insert(votes, g_memdup2(key, sizeof(guint64)),
						    GUINT_TO_POINTER(GPOINTER_TO_UINT(many) + 1));
			}
			g_hash_table_destroy(seen);
		}
	g_hash_table_iter_init(&iter, votes);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		struct shape shape = unpack(*(guint64 *)key);

		shape.votes = GPOINTER_TO_UINT(value);
		if (shape.votes > 2)
			g_array_append_val(shapes, shape);
	}
	g_array_sort(shapes, by_votes);
	g_hash_table_destroy(votes);
	return shapes;
}
