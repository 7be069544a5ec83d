/* slot.c - files into lane memory */
#include "config.h"

#include "slot.h"

#include "beneath.h"
#include "bounds.h"
#include "names.h"
#include "partpath.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY)

/* --- One file ---------------------------------------------------------------- */

static void part_fill(struct lane_part *p, const struct file_facts *f)
{
	*p = (struct lane_part){ .ino = f->ino, .size = f->size, .mtime = f->mtime.tv_sec,
				 .mode = f->mode, .uid = f->uid, .gid = f->gid, .nlink = f->nlink,
				 .unwritten = f->unwritten };
}

/* --- One part ---------------------------------------------------------------- */

static bool is_open(const struct slot *s, unsigned role)
{
	return s->open >> role & 1;
}

static enum load ended(struct load_end *end, enum lane_status status)
{
	*end = (struct load_end){ .status = status };
	return LOAD_END;
}

static enum load unchecked(struct load_end *end, enum unchecked why, int error, uint64_t offset)
{
	*end = (struct load_end){ LANE_UNCHECKED, why, error, offset };
	return LOAD_END;
}

/* What an error of opening says about a message. */
static enum load refused(struct load_end *end, int error)
{
	if (error == -ELOOP || error == -ENXIO || error == -EISDIR)
		return ended(end, LANE_FOREIGN); /* a symlink, socket or FIFO */
	return unchecked(end, UNCHECKED_OPEN, -error, 0);
}

static struct lane_message *message_of(const struct slot *s, const struct lanemem *mem)
{
	return lanemem_at(mem, s->offset);
}

/* Read the first window of an open part. A part that does not fit one stays open. */
static enum load load_part(struct slot *s, const struct slot_source *src, unsigned role,
			   const struct reach_part *part, struct load_end *end)
{
	struct lane_part *p = &message_of(s, src->mem)->parts[role];
	const struct file_facts *f = &s->facts[role];
	struct file_facts again;
	bool whole = src->config->format->roles[role].whole;
	size_t most = whole ? WHOLE_MAX : WINDOW_MAX;
	size_t len = f->size > most ? most : (size_t)f->size;
	ssize_t got;

	part_fill(p, f);
	if (whole && f->size > most) {
		uint64_t never = src->config->format->roles[role].most;

		return never > 0 && f->size > never ? LOAD_OK : unchecked(end, UNCHECKED_TOO_BIG, 0, 0);
	}
	p->data = lanemem_take(src->mem, len);
	if (p->data == 0)
		return LOAD_FULL;
	got = reach_read(part, lanemem_at(src->mem, p->data), len, 0);
	if (got < 0)
		return unchecked(end, UNCHECKED_READ, (int)-got, 0);
	p->len = (uint32_t)got;
	s->spent += (uint64_t)got;
	/* A first look leaves out the second fstat: what changes under it is seen as damaged at worst,
	 * and then looked at again. */
	if ((size_t)got < len ||
	    (src->fresh && (reach_facts(part, &again) < 0 || !facts_same(f, &again))))
		return ended(end, LANE_CHANGED);
	if (f->size > len) {
		s->part[role] = *part; /* the caller leaves it open */
		s->open |= 1u << role;
	}
	return LOAD_OK;
}

/* The anchor is open: is it something to be read, and now? */
static enum load load_anchor(struct slot *s, const struct slot_source *src,
			     const struct reach_part *file, struct load_end *end)
{
	struct file_facts *f = &s->facts[0];
	struct part part;
	int ret = reach_facts(file, f);

	if (ret < 0)
		return unchecked(end, UNCHECKED_OPEN, -ret, 0);
	if (!S_ISREG(f->mode))
		return ended(end, LANE_FOREIGN);
	part = (struct part){ .ino = f->ino, .size = f->size, .mtime = f->mtime.tv_sec,
			      .mode = f->mode, .uid = f->uid, .gid = f->gid, .nlink = f->nlink };
	if (!src->force && !(src->config->reach != NULL && src->config->reach->still) &&
	    src->config->format->in_flight(s->place, &part, &src->config->site))
		return ended(end, LANE_BUSY);
	return load_part(s, src, 0, file, end);
}

/* Another part, which is looked at on its own. */
static enum load load_lone(struct slot *s, const struct slot_source *src,
			   const struct reach_part *file, struct load_end *end)
{
	struct file_facts *f = &s->facts[src->role];
	int ret = reach_facts(file, f);

	if (ret < 0)
		return unchecked(end, UNCHECKED_OPEN, -ret, 0);
	if (!S_ISREG(f->mode))
		return ended(end, LANE_FOREIGN);
	s->facts[0] = *f;
	return load_part(s, src, src->role, file, end);
}

/* --- One message --------------------------------------------------------------- */

/* The message was listed and is not there: has the server moved it on? Twice over
 * all places that mail can reach from here, since it may move again while we look. */
static int find_again(struct slot *s, const struct slot_source *src, const char *id, size_t id_len,
		      struct reach_part *file)
{
	const struct format *format = src->config->format;
	unsigned reach = 1u << s->place;
	unsigned usual = src->depth > DEPTH_USUAL ? src->depth : DEPTH_USUAL;
	char path[PATH_MAX];

	for (unsigned i = 0; i < format->nplaces; i++)
		for (unsigned p = 0; p < format->nplaces; p++)
			if (reach & 1u << p)
				reach |= format->places[p].next;
	for (unsigned round = 0; round < 2; round++)
		for (unsigned p = 0; p < format->nplaces; p++)
			for (unsigned d = 0; d <= MIN(format->places[p].depth_max, usual); d++) {
				if ((reach & 1u << p) == 0 ||
				    format_path(format, &src->config->site, p, 0, id, id_len,
						d, path, sizeof path) == 0)
					continue;
				if (reach_path(src->config->reach, src->config->root, path, FILE_FLAGS, file) == 0) {
					strcpy(s->path, path);
					s->place = p;
					return 0;
				}
			}
	return -ENOENT;
}

static bool set_path(struct slot *s, const char *dir, const char *name)
{
	size_t dir_len = strcmp(dir, ".") != 0 ? strlen(dir) : 0, len = strlen(name);

	if (dir_len + 1 + len >= sizeof s->path)
		return false;
	memcpy(s->path, dir, dir_len);
	s->path[dir_len] = '/';
	memcpy(s->path + dir_len + (dir_len > 0), name, len + 1);
	return true;
}

/* Begin the slot's lane_message; false = no room. */
static bool begin(struct slot *s, const struct slot_source *src, const struct name *name)
{
	const char *below = below_place(src->config->format, s->place, s->path);
	struct lane_message *m;

	s->offset = lanemem_take(src->mem, sizeof *m);
	if (s->offset == 0)
		return false;
	m = message_of(s, src->mem);
	memset(m, 0, sizeof *m);
	m->place = s->place;
	m->path = lanemem_copy(src->mem, below, strlen(below));
	m->id = lanemem_copy(src->mem, name->id, name->id_len);
	m->id_len = (uint32_t)name->id_len;
	return m->path != 0 && m->id != 0;
}

/* The facts of a part that belongs to other messages, too; its bytes are their business. */
static void load_facts(struct slot *s, const struct slot_source *src, unsigned role,
		       const char *path)
{
	struct reach_part part;

	if (reach_path(src->config->reach, src->config->root, path, O_PATH, &part) < 0)
		return;
	if (reach_facts(&part, &s->facts[role]) == 0)
		part_fill(&message_of(s, src->mem)->parts[role], &s->facts[role]);
	reach_close(&part);
}

/* A part besides the anchor that has a file of its own. */
static enum load load_file(struct slot *s, const struct slot_source *src, unsigned role, const char *path,
			   struct load_end *end)
{
	struct reach_part part;
	enum load done;
	int ret = reach_path(src->config->reach, src->config->root, path, FILE_FLAGS, &part);

	if (ret == -ENOENT)
		return LOAD_OK;
	if (ret < 0)
		return refused(end, ret);
	if (reach_facts(&part, &s->facts[role]) < 0 || !S_ISREG(s->facts[role].mode))
		done = ended(end, LANE_FOREIGN);
	else
		done = load_part(s, src, role, &part, end);
	if (!is_open(s, role))
		reach_close(&part);
	return done;
}

/* The parts besides the anchor that check() looks at. */
static enum load load_others(struct slot *s, const struct slot_source *src, const struct name *name,
			     struct load_end *end)
{
	const struct format *format = src->config->format;
	const struct site *site = &src->config->site;
	enum load done = LOAD_OK;

	for (unsigned role = 1; role < format->nroles && done == LOAD_OK; role++) {
		char path[PATH_MAX];

		/* What others have, too, lies where the format says. */
		if (format->roles[role].shared) {
			if (format_path(format, site, s->place, role, name->id, name->id_len,
					src->depth, path, sizeof path) != 0)
				load_facts(s, src, role, path);
			continue;
		}
		if (format->roles[role].checked &&
		    part_path(format, site, s->place, role, name->id, name->id_len, src->depth,
			      s->path, path, sizeof path))
			done = load_file(s, src, role, path, end);
	}
	return done;
}

/* One named stream of the file that is open as `file`. */
static enum load load_stream(struct slot *s, const struct slot_source *src, unsigned role,
			     const struct reach_part *file, const char *stream, struct load_end *end)
{
	struct reach_part part;
	struct lane_part *p;
	enum load done;
	int ret = reach_stream(src->config->reach, src->dir, base_of(s->path), file, stream, &part);

	if (ret == 0)
		ret = reach_facts(&part, &s->facts[role]);
	if (ret == -ENOENT)
		return ended(end, LANE_CHANGED); /* it was listed */
	if (ret < 0)
		return unchecked(end, ret == -E2BIG ? UNCHECKED_STREAM : UNCHECKED_OPEN, -ret, 0);
	done = S_ISREG(s->facts[role].mode) ? load_part(s, src, role, &part, end) :
					      ended(end, LANE_FOREIGN);
	if (!is_open(s, role))
		reach_close(&part);
	p = &message_of(s, src->mem)->parts[role];
	p->name_len = (uint32_t)strlen(stream);
	p->name = lanemem_copy(src->mem, stream, p->name_len);
	return done == LOAD_OK && p->name == 0 ? LOAD_FULL : done;
}

/* The named streams of the anchor, which is open as `file`, for the roles that are such. */
static enum load load_streams(struct slot *s, const struct slot_source *src,
			      const struct reach_part *file, struct load_end *end)
{
	const struct format *format = src->config->format;
	struct reach_streams streams;
	enum load done = LOAD_OK;
	unsigned next = 0;
	int ret;

	if (src->config->reach == NULL || !reach_sees(src->config->reach) || src->dir < 0)
		return LOAD_OK;
	ret = reach_list(src->config->reach, src->dir, base_of(s->path), file, &streams);
	if (ret < 0)
		return unchecked(end, UNCHECKED_OPEN, -ret, 0);
	for (unsigned role = 1; role < format->nroles && done == LOAD_OK; role++) {
		if (!format->roles[role].stream)
			continue;
		if (streams.name[next][0] != '\0')
			done = load_stream(s, src, role, file, streams.name[next], end);
		next++;
	}
	for (; next < REACH_STREAMS; next++)
		streams.more |= streams.name[next][0] != '\0';
	message_of(s, src->mem)->more_streams = streams.more;
	return done;
}

/* Has the format parts that are named streams? */
static bool has_streams(const struct format *format)
{
	for (unsigned role = 1; role < format->nroles; role++)
		if (format->roles[role].stream)
			return true;
	return false;
}

void slot_close(struct slot *s)
{
	for (unsigned role = 0; s->open >> role != 0; role++)
		if (is_open(s, role))
			reach_close(&s->part[role]);
	s->open = 0;
}

/* The file of the name, where it was listed or where it went. 0 or a negative errno. */
static int open_anchor(struct slot *s, const struct slot_source *src, const char *name,
		       const struct name *id, struct reach_part *file)
{
	const struct reach *reach = src->config->reach;
	int ret = src->dir;

	if (reach != NULL && reach->volume != NULL)
		ret = reach_path(reach, -1, s->path, FILE_FLAGS, file);
	else if (src->dir >= 0)
		ret = reach_file(src->dir, name, file);
	return ret == -ENOENT ? find_again(s, src, id->id, id->id_len, file) : ret;
}

enum load slot_load(struct slot *s, const struct slot_source *src, const char *name,
		    struct load_end *end)
{
	char path[PATH_MAX]; /* s->path may become another one, and the id lies in this */
	struct reach_part file;
	struct name id;
	enum load done;
	int ret;

	s->place = src->place;
	s->answered = false;
	s->open = 0;
	s->spent = 0;
	s->path[0] = '\0';
	memset(&s->facts[0], 0, sizeof s->facts[0]);
	if (!set_path(s, src->dir_path, name))
		return unchecked(end, UNCHECKED_OPEN, ENAMETOOLONG, 0);
	strcpy(path, s->path);
	id = name_of(src->config->format, src->place, path);
	ret = open_anchor(s, src, name, &id, &file);
	if (ret == -ENOENT)
		return ended(end, LANE_GONE);
	if (ret < 0)
		return refused(end, ret);
	if (!begin(s, src, &id))
		done = LOAD_FULL;
	else
		done = src->role == 0 ? load_anchor(s, src, &file, end) : load_lone(s, src, &file, end);
	if (done == LOAD_OK && src->role == 0 && has_streams(src->config->format))
		done = load_streams(s, src, &file, end);
	if (!is_open(s, src->role))
		reach_close(&file);
	if (done == LOAD_OK && src->role == 0)
		done = load_others(s, src, &id, end);
	if (done != LOAD_OK)
		slot_close(s);
	return done;
}

enum load slot_window(struct slot *s, const struct lanemem *mem, const struct want *want,
		      struct load_end *end)
{
	struct lane_part *p = &message_of(s, mem)->parts[want->part];
	uint64_t budget = s->facts[want->part].size * STREAM_FACTOR + STREAM_EXTRA;
	ssize_t got;

	if (!is_open(s, want->part) || want->off > p->size)
		return LOAD_FULL;
	if (s->spent > budget)
		return unchecked(end, UNCHECKED_BUDGET, 0, want->off);
	got = reach_read(&s->part[want->part], lanemem_at(mem, p->data), want->len, want->off);
	if (got < 0)
		return unchecked(end, UNCHECKED_READ, (int)-got, want->off);
	p->off = want->off;
	p->len = (uint32_t)got;
	s->spent += (uint64_t)got + 4096; /* a tiny window is not free */
	return LOAD_OK;
}

bool slot_unchanged(const struct slot *s)
{
	for (unsigned role = 0; s->open >> role != 0; role++) {
		struct file_facts f;

		if (is_open(s, role) &&
		    (reach_facts(&s->part[role], &f) < 0 || !facts_same(&s->facts[role], &f)))
			return false;
	}
	return true;
}
