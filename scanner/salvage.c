/*
 * salvage.c - the text of one message, as far as it can be reached
 *
 * An entry is copied into a directory of its own, laid out as its spool was; a message that still lies in a spool is read
 * there. A lane is asked about it. A worker's runs are hostile: they are read below the size of the part
 * only, and their sum is bounded, so that pointers that lead back cannot fill a disk. Of a compressed part
 * the worker sends the text itself, which is bounded, too.
 */
#include "config.h"

#include "salvage.h"

#include "beneath.h"
#include "bounds.h"
#include "escape.h"
#include "names.h"
#include "one.h"
#include "output.h"
#include "partpath.h"
#include "volume.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct salvage {
	char *dir;           /* the layout; NULL: the message is read where it lies, and the spool is the caller's */
	bool stays;          /* when this is closed */
	char *id;
	struct spool *spool; /* NULL: its format is unknown, or there is no worker to ask */
	int zygote, place;
	char *path;          /* of the first part */
	struct reach_part parts[PARTS_MAX]; /* by role */
	struct file_facts facts[PARTS_MAX]; /* when they were opened */
	char *paths[PARTS_MAX]; /* as a manifest has them */
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

void salvage_close(struct salvage *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < PARTS_MAX; i++) {
		reach_close(&s->parts[i]);
		g_free(s->paths[i]);
	}
	if (s->spool != NULL && s->dir != NULL)
		spool_close(s->spool);
	if (!s->stays && s->dir != NULL)
		nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	g_free(s->dir);
	g_free(s->id);
	g_free(s->path);
	g_free(s);
}

static struct salvage *salvage_new(int zygote)
{
	struct salvage *s = g_new0(struct salvage, 1);

	for (unsigned i = 0; i < PARTS_MAX; i++)
		s->parts[i].fd = -1;
	s->place = -1;
	s->zygote = zygote;
	return s;
}

/* --- Parts ------------------------------------------------------------------------ */

/* The directory of the file at `path`; on a volume, where nobody asks for it, -1. */
static int open_dir(const struct spool *spool, const char *path)
{
	g_autofree char *dir = g_path_get_dirname(path);

	return spool_on_volume(spool) ? -1 : open_beneath(spool->root, dir, O_PATH | O_DIRECTORY);
}

/* 0 or a negative errno. */
static int open_part(struct salvage *s, unsigned role, const char *path)
{
	struct reach_part *part = &s->parts[role];
	int dir = open_dir(s->spool, path), ret = dir;

	if (spool_on_volume(s->spool))
		ret = reach_path(&s->spool->reach, -1, path, O_RDONLY, part);
	else if (dir >= 0)
		ret = reach_file(dir, base_of(path), part);
	if (dir >= 0)
		close(dir);
	if (ret == 0)
		ret = reach_facts(part, &s->facts[role]);
	if (ret == 0 && !S_ISREG(s->facts[role].mode))
		ret = -EINVAL;
	if (ret < 0)
		reach_close(part);
	g_free(s->paths[role]);
	s->paths[role] = escape_json(path, strlen(path));
	return ret;
}

bool salvage_unchanged(const struct salvage *s)
{
	for (unsigned i = 0; i < PARTS_MAX; i++) {
		struct file_facts now;

		if (s->parts[i].fd >= 0 &&
		    (reach_facts(&s->parts[i], &now) < 0 || !facts_same(&s->facts[i], &now)))
			return false;
	}
	return true;
}

/* --- Opening ---------------------------------------------------------------------- */

/* The places of the format have to be there for the directory to be its spool. */
static void open_parts(struct salvage *s, const json_t *manifest)
{
	const struct format *f = s->spool->format;
	const json_t *p;
	size_t i;

	json_array_foreach(json_object_get(manifest, "parts"), i, p) {
		const char *role = json_string_value(json_object_get(p, "role"));
		const char *path = json_string_value(json_object_get(p, "path"));
		size_t len;
		g_autofree char *bytes = path != NULL ? escape_undo(path, &len) : NULL;

		for (unsigned r = 0; r < f->nroles && r < PARTS_MAX && bytes != NULL; r++)
			if (g_strcmp0(role, f->roles[r].name) == 0 && s->parts[r].fd < 0)
				open_part(s, r, bytes);
		if (i == 0)
			s->path = g_steal_pointer(&bytes);
	}
}

struct salvage *salvage_open(struct q_store *store, const char *entry, const json_t *manifest,
			     int zygote, struct q_error *err)
{
	return salvage_open_in(store, entry, manifest, zygote, NULL, err);
}

struct salvage *salvage_open_in(struct q_store *store, const char *entry, const json_t *manifest,
				int zygote, const char *where, struct q_error *err)
{
	const char *id = json_string_value(json_object_get(manifest, "id"));
	const char *format = json_string_value(json_object_get(manifest, "format"));
	struct salvage *s = salvage_new(zygote);
	g_autofree char *typed = NULL;
	g_autofree char *error = NULL;
	unsigned depth;
	size_t id_len;
	int dir;

	s->stays = where != NULL;
	s->dir = where != NULL ? g_strdup(where) : g_dir_make_tmp("spoolck-XXXXXX", NULL);
	s->id = id != NULL ? escape_undo(id, &id_len) : NULL;
	dir = s->dir != NULL ? open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (dir < 0 || q_extract(store, entry, dir, err) < 0) {
		if (dir < 0)
			g_strlcpy(err->text, "cannot make a temporary directory", sizeof err->text);
		else
			close(dir);
		salvage_close(s);
		return NULL;
	}
	close(dir);
	typed = g_strdup_printf("%s:%s", format != NULL ? format : "", s->dir);
	s->spool = spool_open(typed, &error);
	if (s->spool != NULL)
		open_parts(s, manifest);
	if (s->path != NULL)
		s->place = one_place(s->spool->format, s->path, &depth);
	if (s->path != NULL && s->place < 0)
		s->place = (int)s->spool->format->loose_place;
	return s;
}

struct salvage *salvage_message(struct spool *spool, const struct outcome *o, int zygote, struct q_error *err)
{
	const struct format *f = spool->format;
	struct salvage *s = salvage_new(zygote);
	char path[PATH_MAX];
	int ret;

	s->spool = spool;
	s->id = g_strdup(o->id);
	s->path = g_strdup(o->path);
	s->place = (int)o->place;
	ret = open_part(s, 0, o->path);
	if (ret < 0) {
		g_snprintf(err->text, sizeof err->text, "%s: cannot read %s: %s", spool->path, o->path,
			   spool_on_volume(spool) ? volume_error(-ret) : g_strerror(-ret));
		salvage_close(s);
		return NULL;
	}
	for (unsigned role = 1; role < f->nroles; role++)
		if (!f->roles[role].shared &&
		    part_path(f, &spool->site, o->place, role, o->id, strlen(o->id), outcome_depth(spool, o), o->path,
			      path, sizeof path))
			open_part(s, role, path);
	return s;
}

size_t salvage_bytes(const struct salvage *s, const char *path, guint64 offset, guint8 *buf,
		     size_t cap)
{
	int fd = s->spool != NULL ? open_beneath(s->spool->root, path, O_RDONLY) : -1;
	ssize_t n = fd >= 0 ? pread(fd, buf, cap, (off_t)offset) : -1;

	if (fd >= 0)
		close(fd);
	return n > 0 ? (size_t)n : 0;
}

const struct spool *salvage_spool(const struct salvage *s)
{
	return s->spool;
}

struct outcome *salvage_check(const struct salvage *s)
{
	struct outcome *o;

	if (s->zygote < 0 || s->place < 0 || s->id == NULL)
		return NULL;
	o = g_new0(struct outcome, 1);
	o->id = g_strdup(s->id);
	o->path = g_strdup(s->path);
	o->place = (unsigned)s->place;
	if (!one_check(s->spool, s->zygote, o))
		g_clear_pointer(&o->report, g_free);
	return o;
}

struct rows {
	salvage_row *on_row;
	void *arg;
	bool ended;
};

static void on_any_row(void *arg, const struct lane_job *job, const struct lane_result *res,
		       const char *path, const uint8_t *answer)
{
	struct rows *r = arg;
	struct row row;

	(void)job, (void)path;
	if (res->status == LANE_ROW && wire_get_row(answer, res->answer_len, &row))
		r->on_row(r->arg, &row);
	r->ended = res->status == LANE_ROWS_END;
}

bool salvage_rows(const struct salvage *s, salvage_row *on_row, void *arg)
{
	struct rows r = { on_row, arg, false };

	return s->zygote >= 0 && s->place >= 0 &&
	       one_ask(s->spool, s->zygote, (unsigned)s->place, s->path, VERB_DECODE, on_any_row, &r) == 0 &&
	       r.ended;
}

/* --- Text ------------------------------------------------------------------------- */

struct copying {
	struct salvage *s;
	FILE *out;
	guint64 left, budget;
	struct salvage_text *text;
};

static guint64 total_size(const struct salvage *s)
{
	guint64 sum = 0;

	for (unsigned i = 0; i < PARTS_MAX; i++)
		if (s->parts[i].fd >= 0)
			sum += s->facts[i].size;
	return sum;
}

static void put_some(struct copying *c, const void *bytes, size_t n)
{
	n = (size_t)MIN((guint64)n, c->left);
	fwrite(bytes, 1, n, c->out);
	c->left -= n;
	c->text->bytes += n;
}

static void copy_run(struct copying *c, const struct run *run)
{
	guint64 at = run->offset, end = run->offset + MIN(run->length, c->budget);
	guint8 buf[16384];

	while (at < end && c->left > 0 && c->s->parts[run->part].fd >= 0 && end > run->offset) {
		ssize_t n = reach_read(&c->s->parts[run->part], buf, (size_t)MIN(sizeof buf, end - at), at);

		if (n <= 0)
			break;
		put_some(c, buf, (size_t)n);
		at += (guint64)n;
		c->budget -= (guint64)n;
	}
	if (run->newline)
		put_some(c, "\n", 1);
	c->budget -= MIN(c->budget, 1);
	c->text->ends[run->part] = MAX(c->text->ends[run->part], at);
}

bool salvage_text_before(const struct salvage *s, const struct salvage_text *text, const char *path,
			 guint64 offset)
{
	/* The first part holds at least the header, but where it is just the one that was met first. */
	bool first = s->spool != NULL && !s->spool->format->one_id;

	for (unsigned r = 0; r < PARTS_MAX; r++)
		if ((text->ends[r] > 0 || (r == 0 && first)) && g_strcmp0(s->paths[r], path) == 0)
			return offset >= text->ends[r];
	return false;
}

static char *why_not(const struct lane_result *res)
{
	struct outcome o = { .why = res->status == LANE_UNCHECKED ? res->why : UNCHECKED_OPEN,
			     .error = res->status == LANE_UNCHECKED ? res->error : ENOENT,
			     .offset = res->offset };

	return unchecked_text(&o);
}

static void on_run(void *arg, const struct lane_job *job, const struct lane_result *res,
		   const char *path, const uint8_t *answer)
{
	struct copying *c = arg;
	struct run run;

	(void)job, (void)path;
	if (res->status == LANE_RUN && wire_get_run(answer, res->answer_len, &run)) {
		copy_run(c, &run);
	} else if (res->status == LANE_TEXT) {
		/* Not more than an honest worker unpacks. */
		if (c->text->bytes <= UNPACKED_MAX)
			put_some(c, answer, res->answer_len);
	} else if (res->status == LANE_ROWS_END) {
		c->text->reached = c->budget > 0;
	} else {
		g_free(c->text->why);
		c->text->why = why_not(res);
	}
}

void salvage_text(struct salvage *s, FILE *out, guint64 max, struct salvage_text *text_r)
{
	struct copying c = { s, out, max, total_size(s) * 4 + 65536, text_r };

	*text_r = (struct salvage_text){ .reached = false };
	if (s->zygote < 0 || s->place < 0)
		text_r->why = g_strdup("no worker can be asked");
	else if (s->spool->format->body == NULL)
		text_r->why = g_strdup("this format's text is not known");
	else if (one_ask(s->spool, s->zygote, (unsigned)s->place, s->path, VERB_BODY, on_run, &c) < 0)
		text_r->why = g_strdup("no reader could be started");
	if (!text_r->reached && text_r->why == NULL)
		text_r->why = g_strdup("its parts refer to each other without end");
}

/* --- Recipients --------------------------------------------------------------------- */

struct names {
	json_t *array;
	bool cut;
};

static void on_row(void *arg, const struct lane_job *job, const struct lane_result *res,
		   const char *path, const uint8_t *answer)
{
	struct names *n = arg;
	struct row row;

	(void)job, (void)path;
	if (res->status != LANE_ROW || !wire_get_row(answer, res->answer_len, &row) ||
	    row.kind.len != strlen("recipient") || memcmp(row.kind.bytes, "recipient", row.kind.len) != 0)
		return;
	g_autofree char *text = escape_json(row.detail.bytes, row.detail.len);

	n->cut |= row.detail.len == TEXT_MAX;
	if (json_array_size(n->array) < 100000)
		json_array_append_new(n->array, json_string(text));
}

json_t *salvage_recipients(struct salvage *s, bool *cut_r)
{
	struct names n = { json_array(), false };

	if (s->zygote >= 0 && s->place >= 0)
		one_ask(s->spool, s->zygote, (unsigned)s->place, s->path, VERB_DECODE, on_row, &n);
	*cut_r = n.cut;
	return n.array;
}

/* --- Named streams ------------------------------------------------------------------- */

int salvage_streams(const struct salvage *s, struct reach_streams *streams_r)
{
	int dir, ret;

	memset(streams_r, 0, sizeof *streams_r);
	if (s->spool == NULL || s->parts[0].fd < 0)
		return 0;
	dir = open_dir(s->spool, s->path);
	ret = reach_list(&s->spool->reach, dir, base_of(s->path), &s->parts[0], streams_r);
	if (dir >= 0)
		close(dir);
	return ret;
}

/* Up to the size that it had when it was opened. */
static int copy_stream(const struct reach_part *stream, guint64 size, FILE *out)
{
	guint8 buf[16384];
	ssize_t n = 1;

	for (guint64 at = 0; at < size && n > 0; at += (guint64)MAX(n, 0)) {
		n = reach_read(stream, buf, (size_t)MIN(sizeof buf, size - at), at);
		if (n > 0)
			fwrite(buf, 1, (size_t)n, out);
	}
	return n < 0 ? (int)n : n == 0 ? -ESTALE : 0;
}

int salvage_stream(const struct salvage *s, const char *stream, FILE *out)
{
	int dir = open_dir(s->spool, s->path);
	struct reach_part part;
	struct file_facts facts;
	int ret = reach_stream(&s->spool->reach, dir, base_of(s->path), &s->parts[0], stream, &part);

	if (ret == 0) {
		ret = reach_facts(&part, &facts);
		if (ret == 0)
			ret = S_ISREG(facts.mode) ? copy_stream(&part, facts.size, out) : -EINVAL;
		reach_close(&part);
	}
	if (dir >= 0)
		close(dir);
	return ret;
}
