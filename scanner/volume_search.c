/*
 * volume_search.c - where the mailroots of a volume are
 */
#include "config.h"

#include "volume_search.h"

#include <string.h>

#define SEARCH_DEPTH 6     /* Program Files/Microsoft/Exchange Server/V15/TransportRoles */
#define SEARCH_DIRS 20000
#define BLIND_MAX 3

/* Folders that hold Windows, and whose thousands of folders hold no mail. */
static const char *const elsewhere[] = {
	"Windows", "WINNT", "System Volume Information", "$Recycle.Bin", "$Extend", "RECYCLER", "Recovery", "WinSxS",
	"Users", "Documents and Settings", "PerfLogs", "MSOCache", NULL
};

static bool is_one_of(const char *name, const char *const *words)
{
	for (; *words != NULL; words++)
		if (g_ascii_strcasecmp(name, *words) == 0)
			return true;
	return false;
}

struct folder {
	char *path;
	uint64_t ref;
	unsigned depth;
};

struct search {
	struct volume *volume;
	GQueue todo;             /* struct folder */
	GPtrArray *found;        /* paths */
	const struct folder *in;
	bool queue;              /* a folder of a mailroot was seen in it */
	unsigned looked, blind;
};

static void folder_free(gpointer p)
{
	struct folder *f = p;

	g_free(f->path);
	g_free(f);
}

/* "vsi 1": a virtual server of Exchange 2000 and 2003. */
static bool is_virtual(const char *name)
{
	return g_ascii_strncasecmp(name, "vsi ", 4) == 0 && g_ascii_isdigit(name[4]);
}

static char *below_of(const struct folder *in, const char *name)
{
	return in->path[0] != '\0' ? g_strconcat(in->path, "/", name, NULL) : g_strdup(name);
}

static bool on_folder(void *arg, const struct volume_entry *e)
{
	static const char *const places[] = { "Queue", "Pickup", "Replay", "Badmail", "Drop", NULL };
	struct search *s = arg;
	struct folder *f;

	if (e->kind != VOLUME_DIR || is_one_of(e->name, elsewhere))
		return true;
	s->queue |= is_one_of(e->name, places);
	if (s->in->depth + 1 >= SEARCH_DEPTH)
		return true;
	f = g_new(struct folder, 1);
	*f = (struct folder){ below_of(s->in, e->name), e->ref, s->in->depth + 1 };
	g_queue_push_tail(&s->todo, f);
	return true;
}

/* Only a folder of these names is one by itself; any other that has such folders may be anybody's. */
static bool is_root(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;

	return g_ascii_strcasecmp(name, "Mailroot") == 0 || g_ascii_strcasecmp(name, "TransportRoles") == 0 ||
	       is_virtual(name);
}

void volume_search(struct volume *volume, uint64_t root, GPtrArray *found)
{
	struct search s = { .volume = volume, .todo = G_QUEUE_INIT, .found = found };
	struct folder *f = g_new(struct folder, 1);

	*f = (struct folder){ g_strdup(""), root, 0 };
	g_queue_push_tail(&s.todo, f);
	while ((f = g_queue_pop_head(&s.todo)) != NULL && s.looked++ < SEARCH_DIRS) {
		unsigned lost = 0;
		bool blind;

		s.in = f;
		s.queue = false;
		blind = volume_list(volume, f->ref, on_folder, &s, &lost) < 0 || lost > 0;
		if ((is_root(f->path) && s.queue) || (blind && s.blind++ < BLIND_MAX))
			g_ptr_array_add(found, g_strdup(f->path));
		folder_free(f);
	}
	if (f != NULL)
		folder_free(f);
	g_queue_clear_full(&s.todo, folder_free);
}
