/* slot.c - files into lane memory */
#include "config.h"

#include "slot.h"

#include "beneath.h"
#include "bounds.h"
#include "partpath.h"
#include "names.h"
#include "partpath.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- One file ---------------------------------------------------------------- */

static int facts_get(int fd, struct file_facts *f)
{
	struct stat st;

#ifdef __x86_64__ /* glibc takes the way by path there, which costs half as much again */
	if (syscall(SYS_fstat, fd, &st) < 0)
#else
	if (fstat(fd, &st) < 0)
#endif
		return -errno;
	*f = (struct file_facts){ .dev = st.st_dev, .ino = st.st_ino, .size = (uint64_t)st.st_size,
				  .mtime = st.st_mtim, .ctime = st.st_ctim, .mode = st.st_mode,
				  .uid = st.st_uid, .gid = st.st_gid, .nlink = (uint32_t)st.st_nlink };
	return 0;
}

/* Did anything change that a writer changes? */
static bool facts_same(const struct file_facts *a, const struct file_facts *b)
{
	return a->ino == b->ino && a->dev == b->dev && a->size == b->size && a->mode == b->mode &&
	       a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec &&
	       a->ctime.tv_sec == b->ctime.tv_sec && a->ctime.tv_nsec == b->ctime.tv_nsec;
}

/* Open without following, waiting or disturbing. Only the owner and root may ask for
 * O_NOATIME, and a network file system may not know it. */
static int open_file(int dir, const char *name)
{
	static bool noatime_refused;
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	int fd = -1;

	if (!noatime_refused) {
		fd = openat(dir, name, flags | O_NOATIME);
		if (fd >= 0 || (errno != EPERM && errno != EINVAL))
			return fd >= 0 ? fd : -errno;
	}
	fd = openat(dir, name, flags);
	if (fd < 0)
		return -errno;
	noatime_refused = true;
	return fd;
}

/* Copy bytes [off, off + len) to `to`; the count, less at the end of the file. `fresh`: nothing was read from the
 * descriptor yet. */
static ssize_t read_range(int fd, bool fresh, uint8_t *to, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = fresh && off == 0 && done == 0 ? read(fd, to, len)
						  : pread(fd, to + done, len - done,
							  (off_t)(off + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static void part_fill(struct lane_part *p, const struct file_facts *f)
{
	*p = (struct lane_part){ .ino = f->ino, .size = f->size, .mtime = f->mtime.tv_sec,
				 .mode = f->mode, .uid = f->uid, .gid = f->gid, .nlink = f->nlink };
}

/* --- One part ---------------------------------------------------------------- */

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
static enum load load_part(struct slot *s, const struct slot_source *src, unsigned role, int fd,
			   struct load_end *end)
{
	struct lane_part *p = &message_of(s, src->mem)->parts[role];
	const struct file_facts *f = &s->facts[role];
	struct file_facts again;
	bool whole = src->config->format->roles[role].whole;
	size_t most = whole ? WHOLE_MAX : WINDOW_MAX;
	size_t len = f->size > most ? most : (size_t)f->size;
	ssize_t got;

	if (whole && f->size > most)
		return unchecked(end, UNCHECKED_TOO_BIG, 0, 0);
	part_fill(p, f);
	p->data = lanemem_take(src->mem, len);
	if (p->data == 0)
		return LOAD_FULL;
	got = read_range(fd, true, lanemem_at(src->mem, p->data), len, 0);
	if (got < 0)
		return unchecked(end, UNCHECKED_READ, (int)-got, 0);
	p->len = (uint32_t)got;
	s->spent += (uint64_t)got;
	/* A first look leaves out the second fstat: what changes under it is seen as damaged at worst,
	 * and then looked at again. */
	if ((size_t)got < len ||
	    (src->fresh && (facts_get(fd, &again) < 0 || !facts_same(f, &again))))
		return ended(end, LANE_CHANGED);
	if (f->size > len) {
		s->fd[role] = fd; /* the caller leaves it open */
		s->stream = true;
	}
	return LOAD_OK;
}

/* The anchor is open: is it something to be read, and now? */
static enum load load_anchor(struct slot *s, const struct slot_source *src, int fd,
			     struct load_end *end)
{
	struct file_facts *f = &s->facts[0];
	struct part part;
	int ret = facts_get(fd, f);

	if (ret < 0)
		return unchecked(end, UNCHECKED_OPEN, -ret, 0);
	if (!S_ISREG(f->mode))
		return ended(end, LANE_FOREIGN);
	part = (struct part){ .ino = f->ino, .size = f->size, .mtime = f->mtime.tv_sec,
			      .mode = f->mode, .uid = f->uid, .gid = f->gid, .nlink = f->nlink };
	if (!src->force && src->config->format->in_flight(s->place, &part, &src->config->site))
		return ended(end, LANE_BUSY);
	return load_part(s, src, 0, fd, end);
}

/* Another part, which is looked at on its own. */
static enum load load_lone(struct slot *s, const struct slot_source *src, int fd,
			   struct load_end *end)
{
	struct file_facts *f = &s->facts[src->role];
	int ret = facts_get(fd, f);

	if (ret < 0)
		return unchecked(end, UNCHECKED_OPEN, -ret, 0);
	if (!S_ISREG(f->mode))
		return ended(end, LANE_FOREIGN);
	s->facts[0] = *f;
	return load_part(s, src, src->role, fd, end);
}

/* --- One message --------------------------------------------------------------- */

/* The message was listed and is not there: has the server moved it on? Twice over
 * all places that mail can reach from here, since it may move again while we look. */
static int find_again(struct slot *s, const struct slot_source *src, const char *id, size_t id_len)
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
				int fd;

				if ((reach & 1u << p) == 0 ||
				    format_path(format, &src->config->site, p, 0, id, id_len,
						d, path, sizeof path) == 0)
					continue;
				fd = open_beneath(src->config->root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
				if (fd >= 0) {
					strcpy(s->path, path);
					s->place = p;
					return fd;
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
	int fd = open_beneath(src->config->root, path, O_PATH);

	if (fd < 0)
		return;
	if (facts_get(fd, &s->facts[role]) == 0)
		part_fill(&message_of(s, src->mem)->parts[role], &s->facts[role]);
	close(fd);
}

/* The parts besides the anchor that check() looks at. */
static enum load load_others(struct slot *s, const struct slot_source *src, const struct name *name,
			     struct load_end *end)
{
	const struct format *format = src->config->format;
	enum load done = LOAD_OK;

	for (unsigned role = 1; role < format->nroles && done == LOAD_OK; role++) {
		char path[PATH_MAX];
		int fd;

		/* What others have, too, lies where the format says. */
		if (format->roles[role].shared) {
			if (format_path(format, &src->config->site, s->place, role, name->id,
					name->id_len, src->depth, path, sizeof path) != 0)
				load_facts(s, src, role, path);
			continue;
		}
		if (!format->roles[role].checked ||
		    !part_path(format, &src->config->site, s->place, role, name->id, name->id_len, src->depth, s->path,
			       path, sizeof path))
			continue;
		fd = open_beneath(src->config->root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
		if (fd == -ENOENT)
			continue;
		if (fd < 0)
			return refused(end, fd);
		if (facts_get(fd, &s->facts[role]) < 0 || !S_ISREG(s->facts[role].mode))
			done = ended(end, LANE_FOREIGN);
		else
			done = load_part(s, src, role, fd, end);
		if (s->fd[role] != fd)
			close(fd);
	}
	return done;
}

void slot_close(struct slot *s)
{
	for (unsigned i = 0; i < PARTS_MAX; i++)
		if (s->fd[i] >= 0)
			close(s->fd[i]);
}

enum load slot_load(struct slot *s, const struct slot_source *src, const char *name,
		    struct load_end *end)
{
	char path[PATH_MAX]; /* s->path may become another one, and the id lies in this */
	struct name id;
	enum load done;
	int fd;

	s->place = src->place;
	s->stream = s->answered = false;
	s->spent = 0;
	s->path[0] = '\0';
	for (unsigned i = 0; i < PARTS_MAX; i++)
		s->fd[i] = -1;
	memset(&s->facts[0], 0, sizeof s->facts[0]);
	if (!set_path(s, src->dir_path, name))
		return unchecked(end, UNCHECKED_OPEN, ENAMETOOLONG, 0);
	strcpy(path, s->path);
	id = name_of(src->config->format, src->place, path);
	fd = src->dir >= 0 ? open_file(src->dir, name) : src->dir;
	if (fd == -ENOENT)
		fd = find_again(s, src, id.id, id.id_len);
	if (fd == -ENOENT)
		return ended(end, LANE_GONE);
	if (fd < 0)
		return refused(end, fd);
	if (!begin(s, src, &id))
		done = LOAD_FULL;
	else
		done = src->role == 0 ? load_anchor(s, src, fd, end) : load_lone(s, src, fd, end);
	if (s->fd[src->role] != fd)
		close(fd);
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

	if (s->fd[want->part] < 0 || want->off > p->size)
		return LOAD_FULL;
	if (s->spent > budget)
		return unchecked(end, UNCHECKED_BUDGET, 0, want->off);
	got = read_range(s->fd[want->part], false, lanemem_at(mem, p->data), want->len, want->off);
	if (got < 0)
		return unchecked(end, UNCHECKED_READ, (int)-got, want->off);
	p->off = want->off;
	p->len = (uint32_t)got;
	s->spent += (uint64_t)got + 4096; /* a tiny window is not free */
	return LOAD_OK;
}

bool slot_unchanged(const struct slot *s)
{
	for (unsigned i = 0; i < PARTS_MAX; i++) {
		struct file_facts f;

		if (s->fd[i] >= 0 && (facts_get(s->fd[i], &f) < 0 || !facts_same(&s->facts[i], &f)))
			return false;
	}
	return true;
}
