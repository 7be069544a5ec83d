/*
 * deep.c - the text of a message: put together, divided, judged
 *
 * Runs in a worker. All memory of this file is mapped before the door closes; GMime allocates as it likes within the
 * worker's limit. What could exhaust it is found first (mime.h), and GMime is not asked then.
 */
#include "config.h"

#include "deep.h"

#include "content.h"
#include "mime.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define DOUBT_LETTERS 1600 /* of base64: enough for the first 1,024 bytes, with line ends */

static struct arena {
	struct mime mime;
	struct mime_node nodes[MIME_PARTS];
	uint8_t text[DEEP_TEXT_MAX];
} *a;
static size_t used;
static bool large;              /* the text goes on */
static int64_t began;           /* CPU time, ms */

int64_t deep_clock(void)
{
	struct timespec t = { 0, 0 };

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int deep_prepare(const char **what_r)
{
	void *p;

	*what_r = "room for texts";
	p = mmap(NULL, sizeof *a, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	a = p;
	if (content_open(what_r) < 0)
		return -ELIBACC;
	return gmime_load(what_r);
}

void deep_reset(void)
{
	used = 0;
	large = false;
	began = deep_clock();
}

bool deep_put(const uint8_t *bytes, size_t len)
{
	size_t room = sizeof a->text - used;

	large |= len > room;
	len = len < room ? len : room;
	if (len > 0)
		memcpy(a->text + used, bytes, len);
	used += len;
	return !large;
}

bool deep_late(void)
{
	return deep_clock() - began > DEEP_CPU_MS;
}

/* --- What is told ----------------------------------------------------------------- */

static void tell_nodes(struct deep *d)
{
	d->count = 0;
	d->more = 0;
	for (unsigned i = 0; i < a->mime.count; i++) {
		const struct mime_node *n = &a->nodes[i];
		struct deep_node *to = &d->nodes[d->count];

		if (d->count == DEEP_NODES) {
			d->more++;
			continue;
		}
		*to = (struct deep_node){ .depth = n->depth, .damaged = n->damaged, .offset = n->body,
					  .size = n->end - n->body };
		text_bytes(&to->type, a->text + n->type.at, n->type.len);
		d->count++;
	}
}

static bool is_text(const struct mime_node *n)
{
	return n->type.len >= 5 && strncasecmp((const char *)a->text + n->type.at, "text/", 5) == 0;
}

/* Character sets that nobody here can decode. */
static void charsets(void)
{
	for (unsigned i = 0; i < a->mime.count; i++) {
		const struct mime_span *s = &a->nodes[i].charset;
		struct finding *f;

		if (s->len == 0 || !is_text(&a->nodes[i]) || gmime_knows_charset(a->text + s->at, s->len))
			continue;
		f = mime_say(&a->mime, F_MIME_CHARSET, i, s->at, s->len);
		if (f != NULL)
			text_bytes(&f->found, a->text + s->at, s->len);
	}
}

/* Decode base64 letters, up to `chars` of them, into `to`; the number of bytes. */
static size_t decode_some(const struct mime_node *n, size_t chars, uint8_t *to)
{
	size_t left = (size_t)(n->end - n->body);
	gint state = 0;
	guint save = 0;

	return (size_t)g_base64_decode_step((const char *)a->text + n->body, left < chars ? left : chars, to, &state, &save);
}

/* Encoded parts that cannot be what their type says. Only those whose first bytes are doubtful are
 * given to libmagic. */
static void types(void)
{
	static uint8_t bytes[CONTENT_BYTES + 4];

	for (unsigned i = 0; i < a->mime.count; i++) {
		const struct mime_node *n = &a->nodes[i];
		const char *type = (const char *)a->text + n->type.at;
		struct content c;
		struct finding *f;

		if (n->kind != MIME_LEAF || n->encoding != MIME_BASE64 || !content_certain(type, n->type.len) || deep_late() ||
		    !content_doubtful(type, n->type.len, bytes, decode_some(n, DOUBT_LETTERS, bytes)))
			continue;
		content_identify(bytes, decode_some(n, CONTENT_BYTES / 3 * 4, bytes), &c);
		if (!content_contradicts(type, n->type.len, c.kind))
			continue;
		f = mime_say(&a->mime, F_MIME_TYPE_MISMATCH, i, n->body, n->end - n->body);
		if (f == NULL)
			return;
		text_bytes(&f->expected, a->text + n->type.at, n->type.len);
		f->found = c.name;
	}
}

/* --- The pass ----------------------------------------------------------------------- */

/* What GMime says of a text that is within all budgets. */
static void read_with_library(struct deep *d)
{
	long parts = gmime_read(a->text, used, d);
	struct finding *f;

	d->parsed = parts >= 0;
	if (parts < 0 || large || (unsigned long)parts == a->mime.count)
		return;
	f = mime_say(&a->mime, F_MIME_READERS, 0, 0, 0);
	if (f == NULL)
		return;
	text_u64(&f->expected, a->mime.count);
	text_str(&f->expected, " parts");
	text_u64(&f->found, (uint64_t)parts);
}

void deep_nothing(struct deep *d)
{
	memset(d, 0, sizeof *d);
	report_reset(&d->report);
}

void deep_look(struct deep *d)
{
	deep_nothing(d);
	d->text = used;
	if (used == 0)
		return; /* encrypted, or there is none: the structural check has said so */
	if (mime_scan(&a->mime, a->text, used, large, a->nodes, &d->report)) {
		mime_leaves(&a->mime);
		charsets();
		types();
		if (!deep_late())
			read_with_library(d);
	}
	if (deep_late())
		mime_exhaust(&a->mime, F_DEEP_BUDGET_CPU, 0, DEEP_CPU_MS);
	if (large)
		mime_say(&a->mime, F_DEEP_TEXT_LARGE, 0, used, 0);
	tell_nodes(d);
	report_sort(&d->report);
}
