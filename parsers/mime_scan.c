/*
 * mime_scan.c - boundaries and parts, one line after the other
 *
 * No recursion: the open multiparts are a stack of MIME_DEPTH boundaries. A line that begins with "--" is compared
 * with each of them, so the work is bounded by the text times the depth.
 */
#include "mime.h"

#include <string.h>

/* --- Findings ----------------------------------------------------------------- */

struct finding *mime_say(struct mime *m, enum finding_id id, unsigned node, uint64_t at, uint64_t length)
{
	unsigned bit = (unsigned)id - (unsigned)F_DEEP_BUDGET_PARTS;
	struct finding *f;

	if (bit >= 128 || (m->said[bit / 64] >> bit % 64 & 1) != 0)
		return NULL;
	m->said[bit / 64] |= UINT64_C(1) << bit % 64;
	f = report_add(m->report, id, 0, at, length);
	if (f->severity > SEV_NOTICE && node < m->count)
		m->nodes[node].damaged = true;
	return f;
}

void mime_exhaust(struct mime *m, enum finding_id id, uint64_t at, uint64_t limit)
{
	struct finding *f = m->exhausted ? NULL : mime_say(m, id, m->now, at, 0);

	m->exhausted = true;
	if (f != NULL) {
		text_str(&f->expected, "at most ");
		text_u64(&f->expected, limit);
	}
}

/* --- Lines ---------------------------------------------------------------------- */

struct mime_line mime_line(struct cur *text)
{
	struct mime_line line = { .at = cur_offset(text) };
	size_t n = cur_find(text, '\n');

	line.ended = n < cur_left(text);
	if (line.ended && n > 0 && cur_ahead(text, n - 1) == '\r') {
		line.bytes = cur_sub(text, n - 1);
		cur_skip(text, 2);
	} else {
		line.bytes = cur_sub(text, n);
		if (line.ended)
			cur_skip(text, 1);
	}
	return line;
}

/* Does the line, its "--" and blanks at its end taken off, stand for this boundary? By their lengths first: an attacker
 * may make the beginnings equal. */
static bool matches(const struct mime *m, unsigned index, struct cur line, bool *end_r)
{
	struct cur boundary = cur_make(m->boundary[index], m->open[index].len, 0), start;
	size_t left = cur_left(&line), len = cur_left(&boundary);

	*end_r = left == len + 2;
	if (left != len && !*end_r)
		return false;
	if (*end_r && (cur_ahead(&line, left - 1) != '-' || cur_ahead(&line, left - 2) != '-'))
		return false;
	start = cur_sub(&line, len);
	return cur_same(&start, &boundary);
}

int mime_boundary(const struct mime *m, const struct mime_line *line, bool *end_r)
{
	struct cur c = line->bytes;

	if (m->depth == 0 || cur_ahead(&c, 0) != '-' || cur_ahead(&c, 1) != '-')
		return -1;
	cur_skip(&c, 2);
	cur_trim(&c);
	/* An inner multipart may have the boundary of the outer one; when it has ended the outer is meant. */
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = m->depth; i > 0; i--)
			if (m->open[i - 1].ended == (round == 1) && matches(m, i - 1, c, end_r))
				return (int)(i - 1);
	return -1;
}

/* --- Nodes ------------------------------------------------------------------------ */

/* Begin a part whose header starts here. */
static void begin(struct mime *m, unsigned parent)
{
	uint64_t at = cur_offset(&m->text);
	unsigned depth = m->count > 0 ? m->nodes[parent].depth + 1u : 0;

	if (m->count >= MIME_PARTS) {
		mime_exhaust(m, F_DEEP_BUDGET_PARTS, at, MIME_PARTS);
		return;
	}
	if (depth >= MIME_DEPTH) {
		mime_exhaust(m, F_DEEP_BUDGET_DEPTH, at, MIME_DEPTH);
		return;
	}
	m->nodes[m->count] = (struct mime_node){ .header = at, .body = at, .end = at, .parent = parent,
						 .depth = (uint8_t)depth };
	m->now = m->count++;
}

/* The parts from the one in work up to, and without, node `up` end at `at`. */
static void end_below(struct mime *m, unsigned up, uint64_t at)
{
	while (m->now != up) {
		struct mime_node *n = &m->nodes[m->now];

		n->end = at > n->body ? at : n->body;
		if (n->body > n->end)
			n->body = n->end;
		m->now = mime_parent(m, m->now);
	}
}

/* Inside of a message that is carried along? Bounces carry those that were cut. */
static bool carried(const struct mime *m, unsigned node)
{
	while (node != 0) {
		node = mime_parent(m, node);
		if (m->nodes[node].kind == MIME_MESSAGE)
			return true;
	}
	return false;
}

/* Multiparts above `keep` are over without their end. */
static void close_down_to(struct mime *m, unsigned keep, uint64_t at)
{
	while (m->depth > keep) {
		const struct mime_open *o = &m->open[--m->depth];

		if (!o->ended && !carried(m, o->node))
			mime_say(m, F_MIME_INNER_OPEN, o->node, at, 0);
	}
}

/* A boundary of a multipart that is over. OpenSMTPD writes the end of bounces twice, and part of the text
 * between them. */
static void after_end(struct mime *m, unsigned node, bool end, uint64_t at)
{
	m->again_open = !end;
	if (end || m->again)
		return;
	m->again = true;
	m->again_at = at;
	m->again_node = node;
}

/* A boundary line of open[index]. */
static void on_boundary(struct mime *m, unsigned index, bool end, const struct mime_line *line, uint64_t before)
{
	struct mime_open *o = &m->open[index];
	unsigned node = o->node;

	close_down_to(m, index + 1, line->at);
	end_below(m, node, before);
	o->seen = true;
	if (o->ended) {
		after_end(m, node, end, line->at);
		return;
	}
	o->ended = end;
	if (end)
		m->nodes[node].closed = true;
	else
		begin(m, node);
}

/* The header block of the node in work, and what follows from it. */
static void header(struct mime *m)
{
	uint8_t boundary[MIME_BOUNDARY] = { 0 };
	size_t len = 0;
	struct mime_node *n;

	mime_header(m, boundary, &len);
	n = &m->nodes[m->now];
	if (n->kind == MIME_MULTIPART && m->depth < MIME_DEPTH) {
		struct mime_open *o = &m->open[m->depth++];

		o->node = m->now;
		o->seen = o->ended = false;
		o->len = (uint8_t)len;
		memcpy(m->boundary[m->depth - 1], boundary, len);
	}
}

/* After a header block: is another one due at once? */
static bool message_follows(const struct mime *m)
{
	return m->nodes[m->now].kind == MIME_MESSAGE;
}

/* The text is over: which multiparts are not? */
static void finish(struct mime *m)
{
	uint64_t at = cur_offset(&m->text);

	end_below(m, 0, at);
	m->nodes[0].end = at;
	if (m->again && !m->again_open)
		mime_say(m, F_MIME_END_TWICE, m->again_node, m->again_at, 0);
	else if (m->again && !m->exhausted && !m->partial)
		mime_say(m, F_MIME_AFTER_END, m->again_node, m->again_at, 0);
	/* where we stopped is no end of its own */
	for (unsigned i = 0; i < m->depth && !m->exhausted && !m->partial; i++) {
		const struct mime_open *o = &m->open[i];

		if (o->ended || carried(m, o->node))
			continue;
		m->cut = true;
		mime_say(m, o->seen ? F_MIME_OPEN : F_MIME_BOUNDARY_UNUSED, o->node, at, 0);
		break;
	}
}

bool mime_scan(struct mime *m, const uint8_t *text, size_t len, bool partial, struct mime_node *nodes,
	       struct report *report)
{
	uint64_t before = 0; /* where the line before ended, without its line end */
	bool in_header = true;

	m->text = cur_make(text, len, 0);
	m->nodes = nodes;
	m->report = report;
	m->count = m->now = m->depth = 0;
	m->header_bytes = m->addresses = 0;
	m->said[0] = m->said[1] = 0;
	m->partial = partial;
	m->exhausted = m->cut = m->again = m->again_open = false;
	begin(m, 0);
	while (!m->exhausted) {
		struct mime_line line;
		bool end = false;
		int hit;

		if (in_header) {
			header(m);
			if (m->exhausted)
				break;
			before = cur_offset(&m->text);
			in_header = message_follows(m);
			if (in_header)
				begin(m, m->now);
			continue;
		}
		if (cur_left(&m->text) == 0)
			break;
		line = mime_line(&m->text);
		hit = mime_boundary(m, &line, &end);
		if (hit >= 0) {
			unsigned count = m->count;

			on_boundary(m, (unsigned)hit, end, &line, before);
			in_header = m->count > count;
		}
		before = line.at + cur_left(&line.bytes);
	}
	finish(m);
	return !m->exhausted;
}
