/*
 * each.c - the manifests of many entries, in order, read by several threads
 *
 * A list of 100,000 entries is 100,000 small files to be opened and parsed. Threads
 * read them in chunks; the caller gets them one by one, in the order of the names, in
 * its own thread. The files of a bounded number of chunks are in memory at a time,
 * so that it stays flat however many entries there are.
 *
 * Promises: every name is visited once, with its manifest or with the reason why there
 * is none. Never: looks at more than manifest.json; changes anything.
 * Fails: without threads it reads by itself.
 */
#include "config.h"

#include "private.h"

#include <errno.h>

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
	GMutex mutex;
	GCond done;
	struct chunk ring[AHEAD];
};

static void read_chunk(gpointer data, gpointer arg)
{
	struct chunk *c = data;
	struct reading *r = arg;
	struct q_error err = { "" };

	for (unsigned i = 0; i < c->count; i++)
		if (q_manifest(r->store, c->names[i], &c->manifests[i], &err))
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

void q_each(struct q_store *store, char **names, q_visit *visit, void *arg)
{
	struct reading *r = g_new0(struct reading, 1);
	GThreadPool *pool = NULL;
	unsigned begun = 0, visited = 0;
	bool go_on = true;

	r->store = store;
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
