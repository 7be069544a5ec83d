/*
 * each.c - the manifests of many entries, in order, read by several threads
 *
 * A list of 100,000 entries is 100,000 small files to be opened and parsed. Threads
 * read them in chunks; the caller gets them one by one, in the order of the names, in
 * its own thread. The files of a bounded number of chunks are in memory at a time,
 * so that it stays flat however many entries there are.
 *
 * Most of the time goes into parsing, and most of a manifest is about parts and the details of findings. Where
 * less will do, those lines are left out before the parser sees them. That works because manifest.c
 * writes one value per line, indented by its depth; a text that looks different is parsed whole.
 *
 * Promises: every name is visited once, with its manifest or with the reason why there
 * is none. Never: looks at more than manifest.json; changes anything.
 * Fails: without threads it reads by itself.
 */
#include "config.h"

#include "private.h"

#include <errno.h>
#include <string.h>

#define CHUNK 64   /* manifests that change hands at once: a wake-up costs nothing then */
#define THREADS 4  /* two for the cores of a small host, more only to wait for its disk */
#define AHEAD (THREADS + 2)

struct chunk {
	char **names;
	unsigned count;
	bool done;
	json_t *manifests[CHUNK];
	char *why[CHUNK]; /* where there is no manifest */
};

struct reading {
	struct q_store *store;
	bool brief;
	GMutex mutex;
	GCond done;
	struct chunk ring[AHEAD];
};

/* ---- brief ---- */

#define NAME_LINE "   \"name\": \"" /* of a finding */

enum where { TOP, IN_PARTS, IN_FINDINGS };

/* Does this line stay? 1, 0, or -1: it is none of those that manifest.c writes. */
static int line_stays(enum where *where, const char *line, size_t indent)
{
	if (indent < 2) { /* a value of the manifest itself, or the end of a list of it */
		bool list = g_str_has_prefix(line, " \"parts\": [\n") ||
			    g_str_has_prefix(line, " \"findings\": [\n");

		*where = !list ? TOP : line[2] == 'p' ? IN_PARTS : IN_FINDINGS;
		return line[indent] == '"' || line[indent] == ']' || line[indent] == '}' ||
		       line[indent] == '{' ? 1 : -1;
	}
	switch (*where) {
	case IN_PARTS:
		return 0;
	case IN_FINDINGS:
		if (indent == 2)
			return line[2] == '{' || line[2] == '}' ? 1 : -1;
		return indent == 3 && g_str_has_prefix(line, NAME_LINE);
	default:
		return 1;
	}
}

/* Leave out of the text, in place, what is not needed; its new length, 0 = it is no text of manifest.c. */
static size_t make_brief(char *text)
{
	enum where where = TOP;
	char *to = text;
	bool closed = false;

	for (char *line = text; *line;) {
		char *end = strchrnul(line, '\n');
		size_t n = (size_t)(end - line) + (*end == '\n');
		size_t indent = strspn(line, " ");
		int stays = closed ? -1 : line_stays(&where, line, indent);

		if (stays < 0)
			return 0;
		closed = line[0] == '}';
		if (stays > 0) {
			memmove(to, line, n);
			to += n;
		}
		if (stays > 0 && indent == 3 && where == IN_FINDINGS && to - text > 2 && to[-2] == ',')
			to[-2] = ' '; /* it is the only member now */
		line = end + (*end == '\n');
	}
	return closed ? (size_t)(to - text) : 0;
}

/* NULL: read all of it. */
static json_t *read_brief(const struct q_store *store, const char *entry)
{
	int dir = store_name_valid(entry) ? file_open_dir(store->entries, entry) : -1;
	char *text = NULL;
	size_t len = 0;
	json_t *j = NULL;

	if (dir >= 0 && !file_read(dir, Q_FILE_MANIFEST, Q_MANIFEST_MAX, &text, &len) &&
	    strlen(text) == len && (len = make_brief(text)) > 0)
		j = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (json_integer_value(json_object_get(j, "schema")) != 1) {
		json_decref(j);
		j = NULL;
	}
	g_free(text);
	file_close(&dir);
	return j;
}

/* ---- threads ---- */

static void read_chunk(gpointer data, gpointer arg)
{
	struct chunk *c = data;
	struct reading *r = arg;
	struct q_error err = { "" };

	for (unsigned i = 0; i < c->count; i++)
		if (!(r->brief && (c->manifests[i] = read_brief(r->store, c->names[i]))) &&
		    q_manifest(r->store, c->names[i], &c->manifests[i], &err))
			c->why[i] = g_strdup(err.text);
	g_mutex_lock(&r->mutex);
	c->done = true;
	g_cond_signal(&r->done);
	g_mutex_unlock(&r->mutex);
}

/* The next names, on their way; false at the end. */
static bool begin_chunk(struct reading *r, GThreadPool *pool, struct chunk *c, char ***names)
{
	*c = (struct chunk){ .names = *names };
	while (c->count < CHUNK && c->names[c->count])
		c->count++;
	*names += c->count;
	if (!c->count)
		return false;
	if (!pool || !g_thread_pool_push(pool, c, NULL))
		read_chunk(c, r);
	return true;
}

static bool visit_chunk(struct reading *r, struct chunk *c, q_visit *visit, void *arg, bool go_on)
{
	g_mutex_lock(&r->mutex);
	while (!c->done)
		g_cond_wait(&r->done, &r->mutex);
	g_mutex_unlock(&r->mutex);
	for (unsigned i = 0; i < c->count; i++) {
		go_on = go_on && visit(arg, c->names[i], c->manifests[i], c->why[i]);
		json_decref(c->manifests[i]);
		g_free(c->why[i]);
	}
	return go_on;
}

void q_each(struct q_store *store, char **names, bool brief, q_visit *visit, void *arg)
{
	struct reading *r = g_new0(struct reading, 1);
	GThreadPool *pool = NULL;
	unsigned begun = 0, visited = 0;
	bool go_on = true;

	r->store = store;
	r->brief = brief;
	g_mutex_init(&r->mutex);
	g_cond_init(&r->done);
	json_object_seed(0); /* before threads would do it at the same time */
	if (g_strv_length(names) > CHUNK)
		pool = g_thread_pool_new(read_chunk, r, THREADS, FALSE, NULL);
	do {
		while (go_on && begun - visited < AHEAD &&
		       begin_chunk(r, pool, &r->ring[begun % AHEAD], &names))
			begun++;
		if (visited < begun)
			go_on = visit_chunk(r, &r->ring[visited++ % AHEAD], visit, arg, go_on);
	} while (visited < begun);
	if (pool)
		g_thread_pool_free(pool, FALSE, TRUE);
	g_cond_clear(&r->done);
	g_mutex_clear(&r->mutex);
	g_free(r);
}
