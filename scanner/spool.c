/*
 * spool.c - detection of a spool and of its server
 *
 * Opens directories and reads names; never a queue file. What it learns about the server
 * comes from the format's own tables (pid file, commands that print version, limits and
 * directories: host.c), so that no fact of one server lives here. Unknown is a value, not an error.
 */
#include "config.h"

#include "spool.h"

#include "ask.h"
#include "beneath.h"
#include "host.h"
#include "proc_locks.h"
#include "split.h"
#include "spool_volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static char *default_streams[] = { (char[]){ "PROPERTIES" }, (char[]){ "PROPERTIES-LIVE" }, NULL };

#define NAMES_MAX 4096 /* enough to recognise a spool; a directory with more is none */

int format_by_name(const char *name, size_t len)
{
	for (int i = 0; formats[i] != NULL; i++)
		if (strlen(formats[i]->name) == len && memcmp(formats[i]->name, name, len) == 0)
			return i;
	return -1;
}

static gint by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a directory. */
static GPtrArray *names_of(int root)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	int fd = open_beneath(root, ".", O_RDONLY | O_DIRECTORY);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	while (dir != NULL && names->len < NAMES_MAX && (e = readdir(dir)) != NULL)
		g_ptr_array_add(names, g_strdup(e->d_name));
	if (dir != NULL)
		closedir(dir);
	return names;
}

int spool_detect_names(GPtrArray *names)
{
	unsigned best = 0;
	int index = -1;

	for (int i = 0; formats[i] != NULL; i++) {
		unsigned bits = formats[i]->bid((const char *const *)names->pdata, names->len);

		if (bits > best) {
			best = bits;
			index = i;
		}
	}
	g_ptr_array_free(names, TRUE);
	return index;
}

int spool_detect(int root)
{
	return spool_detect_names(names_of(root));
}

/* The names in the root of a spool. */
static GPtrArray *root_names(const struct spool *spool)
{
	return spool_on_volume(spool) ? spool_volume_names(spool, ".") : names_of(spool->root);
}

/* --- The server ------------------------------------------------------------ */

/* The pid in the file, 0 = none. Written by the server, so hardly hostile, but read
 * bounded all the same. */
static pid_t pid_in(int fd)
{
	char text[64]; /* Postfix pads it to 32 */
	ssize_t n = read(fd, text, sizeof text - 1);
	long pid;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	pid = strtol(text, NULL, 10);
	return pid > 1 && pid < 1 << 30 ? (pid_t)pid : 0;
}

/* Is this the name of the process? It can be read where the root directory cannot. */
static bool is_called(const char *pid, const char *name)
{
	g_autofree char *path = g_strconcat("/proc/", pid, "/comm", NULL);
	char comm[32] = "";
	FILE *f = fopen(path, "re");

	if (f != NULL && fgets(comm, sizeof comm, f) != NULL)
		comm[strcspn(comm, "\n")] = '\0';
	if (f != NULL)
		fclose(f);
	return strcmp(comm, name) == 0;
}

/* Is the spool some process' root directory? Only root can see that of others. */
static enum running chrooted(const struct spool *spool)
{
	enum running running = SERVER_STOPPED;
	DIR *proc = opendir("/proc");
	struct dirent *e;
	struct stat here;

	if (proc == NULL || fstat(spool->root, &here) < 0 || geteuid() != 0)
		running = SERVER_UNKNOWN;
	while (running != SERVER_RUNNING && proc != NULL && (e = readdir(proc)) != NULL) {
		g_autofree char *path = g_strconcat("/proc/", e->d_name, "/root", NULL);
		struct stat st;

		if (!g_ascii_isdigit(e->d_name[0]))
			continue;
		if (stat(path, &st) == 0) {
			if (st.st_ino == here.st_ino && st.st_dev == here.st_dev)
				running = SERVER_RUNNING;
		} else if (errno != ENOENT && errno != ESRCH &&
			   is_called(e->d_name, spool->format->chrooted)) {
			running = SERVER_UNKNOWN;
		}
	}
	if (proc != NULL)
		closedir(proc);
	return running;
}

/* From what is to be seen alone. */
static enum running seen_running(const struct spool *spool)
{
	struct stat st;
	int held, fd;
	pid_t pid;

	if (spool->format->chrooted != NULL)
		return chrooted(spool);
	if (spool->format->pid_file == NULL)
		return SERVER_UNKNOWN;
	fd = open_beneath(spool->root, spool->format->pid_file, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return fd == -ENOENT ? SERVER_STOPPED : SERVER_UNKNOWN;
	held = fstat(fd, &st) == 0 ? proc_locks_held(st.st_ino) : -1;
	pid = pid_in(fd);
	close(fd);
	if (held >= 0)
		return held ? SERVER_RUNNING : SERVER_STOPPED;
	/* No /proc/locks: a living pid is evidence, a dead one proves nothing. */
	return pid != 0 && (kill(pid, 0) == 0 || errno == EPERM) ? SERVER_RUNNING : SERVER_UNKNOWN;
}

enum running spool_running(const struct spool *spool)
{
	enum running running = spool_on_volume(spool) ? SERVER_STOPPED : seen_running(spool);

	return spool->offline && running == SERVER_UNKNOWN ? SERVER_STOPPED : running;
}

void spool_set_offline(struct spool *spool)
{
	spool->offline = true;
	spool->network = false;
	spool->running = spool_running(spool);
}

static bool on_network(int root)
{
	static const long magics[] = { NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, 0xff534d42 /* cifs */,
				       0xfe534d42 /* smb2 */, 0x00c36400 /* ceph */, AFS_SUPER_MAGIC,
				       CODA_SUPER_MAGIC, 0x7461636f /* ocfs2 */,
				       0x01161970 /* gfs2 */, V9FS_MAGIC };
	struct statfs st;

	if (fstatfs(root, &st) < 0)
		return true; /* careful: looking is always allowed */
	for (size_t i = 0; i < G_N_ELEMENTS(magics); i++)
		if ((unsigned long)st.f_type == (unsigned long)magics[i])
			return true;
	return false;
}

/* As df(1) counts: what root alone may use is neither used nor available. */
static unsigned percent_used(fsblkcnt_t total, fsblkcnt_t free, fsblkcnt_t avail)
{
	fsblkcnt_t used = free < total ? total - free : 0;

	return used + avail == 0 ? 101 : (unsigned)((used * 100 + used + avail - 1) / (used + avail));
}

/* "3.7.11" as VERSION(3, 7, 11), whatever comes after it; 0 when it is no version. */
static uint32_t version_number(const char *text)
{
	unsigned major = 0, minor = 0, patch = 0;

	if (text == NULL || sscanf(text, "%u.%u.%u", &major, &minor, &patch) < 2)
		return 0;
	return VERSION(major & 0xff, minor & 0xff, patch & 0xff);
}

bool spool_set_version(struct spool *spool, const char *version)
{
	uint32_t number = version_number(version);

	if (number == 0)
		return false;
	g_free(spool->version);
	spool->version = g_strdup(version);
	spool->site.version = number;
	return true;
}

/* The first word that begins with a digit: "version: OpenSMTPD 6.8.0p2" as "6.8.0p2". */
static char *version_told(const struct format *f)
{
	g_autofree char *line = f->version_usage ? ask_usage(f->version_command) :
						   ask_command(f->version_command);
	const char *digit = line != NULL ? strpbrk(line, "0123456789") : NULL;

	return digit != NULL ? g_strndup(digit, strcspn(digit, " \t")) : NULL;
}

static void configure(struct spool *spool)
{
	const struct format *f = spool->format;
	size_t len = 0;
	g_autofree char *text = f->configure != NULL ? ask_only_file(f->config_files, &len) : NULL;

	if (text != NULL)
		f->configure(&spool->site, (const uint8_t *)text, len);
}

static bool is_same(const char *path, const struct stat *st)
{
	struct stat other;

	return stat(path, &other) == 0 && other.st_ino == st->st_ino && other.st_dev == st->st_dev;
}

/* Is the spool, or the one that it lies in, this directory? */
static bool is_at(const struct spool *spool, const char *path)
{
	struct stat here, above;

	return (fstat(spool->root, &here) == 0 && is_same(path, &here)) ||
	       (spool->format->inner != NULL && fstatat(spool->root, "..", &above, 0) == 0 &&
		is_same(path, &above));
}

/* The commands of the host speak for the host's own spools only, not for a copy. Usual places come
 * first: that saves asking. */
static bool is_host_root(const struct spool *spool)
{
	const GPtrArray *roots;
	unsigned ignored;

	for (const char *const *p = spool->format->default_roots; p != NULL && *p != NULL; p++)
		if (is_at(spool, *p))
			return true;
	roots = host_roots(spool->format_index, &ignored);
	for (guint i = 0; i < roots->len; i++)
		if (is_at(spool, roots->pdata[i]))
			return true;
	return false;
}

/* For how long the server keeps what it cannot read. */
static void keep_learn(struct spool *spool)
{
	const struct source *source = spool->format->keep_source;
	g_autofree char *text = source != NULL ? host_value(source) : NULL;
	uint64_t seconds;

	if (text != NULL && host_duration(text, &seconds))
		spool->site.keep = (uint32_t)CLAMP(seconds, 1, UINT32_MAX);
}

static void site_learn(struct spool *spool)
{
	const struct format *f = spool->format;
	struct statvfs vfs;

	spool->site = (struct site){ .now = time(NULL), .owner = UINT32_MAX };
	spool->disk_used = spool->inodes_used = 101;
	if (spool_on_volume(spool)) { /* whose server is not running, and whose owners are none of ours */
		for (unsigned i = 0; i < f->nplaces; i++)
			spool->site.group[i] = spool->site.owners[i] = UINT32_MAX;
		split_learn(spool);
		return;
	}
	for (unsigned i = 0; i < f->nplaces; i++) {
		bool ask = (f->groups >> i & 1) != 0 || f->many_owners ||
			   (f->places[i].kind == PLACE_QUEUE && spool->site.owner == UINT32_MAX);
		struct stat st;

		/* A place may lie on a disk that does not answer: none is touched for nothing. */
		spool->site.group[i] = spool->site.owners[i] = UINT32_MAX;
		if (!ask || fstatat(spool->root, f->places[i].name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		spool->site.group[i] = st.st_gid;
		spool->site.owners[i] = st.st_uid;
		if (f->places[i].kind == PLACE_QUEUE && spool->site.owner == UINT32_MAX)
			spool->site.owner = st.st_uid;
	}
	split_learn(spool);
	spool->of_host = is_host_root(spool);
	if (spool->of_host) {
		g_autofree char *limit = f->limit_command ? ask_command(f->limit_command) : NULL;

		configure(spool);
		spool->version = f->version_command ? version_told(f) : NULL;
		spool->site.version = version_number(spool->version);
		spool->site.record_limit = limit != NULL ? strtoull(limit, NULL, 10) : 0;
		keep_learn(spool);
	}
	if (fstatvfs(spool->root, &vfs) == 0) {
		spool->disk_used = percent_used(vfs.f_blocks, vfs.f_bfree, vfs.f_bavail);
		spool->inodes_used = percent_used(vfs.f_files, vfs.f_ffree, vfs.f_favail);
	}
	spool->network = on_network(spool->root);
	spool->running = spool_running(spool);
}

/* --- Named streams -------------------------------------------------------------- */

void spool_set_streams(struct spool *spool, char **names)
{
	unsigned roles = 0;

	for (unsigned i = 0; i < spool->format->nroles; i++)
		roles += spool->format->roles[i].stream;
	if (roles == 0 || (spool->streams != NULL &&
			   g_strv_equal((const gchar *const *)spool->streams, (const gchar *const *)names)))
		return;
	g_strfreev(spool->streams);
	spool->streams = g_strdupv(names);
	reach_probe(spool->root, spool->format, spool->streams, &spool->reach);
	spool->site.streams_seen = reach_sees(&spool->reach);
	spool->site.streams_known = (uint8_t)MIN(g_strv_length(names), roles);
}

/* --- Names in another case --------------------------------------------------------- */

/* A format whose places are spelled as they are in this directory (the server minds no case, we do):
 * to be freed with its places. */
static struct format *format_spelled(const struct format *format, GPtrArray *names)
{
	struct format *own = g_memdup2(format, sizeof *format);
	struct place *places = g_memdup2(format->places, format->nplaces * sizeof *places);

	for (unsigned p = 0; p < own->nplaces; p++) {
		places[p].name = g_strdup(places[p].name);
		for (guint i = 0; i < names->len; i++)
			if (g_ascii_strcasecmp(places[p].name, names->pdata[i]) == 0)
				strcpy((char *)(size_t)places[p].name, names->pdata[i]);
	}
	g_ptr_array_free(names, TRUE);
	own->places = places;
	return own;
}

static void format_free(struct format *own)
{
	for (unsigned p = 0; own != NULL && p < own->nplaces; p++)
		g_free((char *)(size_t)own->places[p].name);
	if (own != NULL)
		g_free((struct place *)(size_t)own->places);
	g_free(own);
}

/* --- Opening ---------------------------------------------------------------- */

int spool_type(const char *arg, const char **path_r)
{
	const char *colon = strchr(arg, ':');
	int index = colon != NULL ? format_by_name(arg, (size_t)(colon - arg)) : -1;

	*path_r = index >= 0 ? colon + 1 : arg;
	return index;
}

/* A format's name alone means that server's spool on this host. */
static const char *default_root(const char *arg)
{
	int index = format_by_name(arg, strlen(arg));
	const GPtrArray *roots;
	unsigned ignored;

	if (index < 0 || access(arg, F_OK) == 0)
		return NULL;
	roots = host_roots((unsigned)index, &ignored);
	return roots->len > 0 ? roots->pdata[0] : NULL;
}

static char *absolute(const char *path)
{
	g_autofree char *cwd = g_get_current_dir();

	return g_canonicalize_filename(path, cwd);
}

struct spool *spool_open(const char *arg, char **error_r)
{
	struct spool *spool = g_new0(struct spool, 1);
	const char *path;
	int index = spool_type(arg, &path);

	*error_r = NULL;
	if (index < 0 && default_root(arg) != NULL) {
		path = default_root(arg);
		index = format_by_name(arg, strlen(arg)); /* its spool may be empty */
	}
	spool->path = absolute(path);
	/* The operator may name the spool through a link; below it none is followed. */
	spool->root = open(spool->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
	if (spool->root < 0 && spool_volume_is(path))
		index = spool_volume_open(spool, path, index, error_r);
	else if (spool->root < 0)
		*error_r = g_strdup_printf("cannot open: %s", g_strerror(errno));
	else if (index < 0 && (index = spool_detect(spool->root)) < 0)
		*error_r = g_strdup("not the spool of any server that is known here; to force a "
				    "format write TYPE:PATH, for example postfix:PATH");
	if (*error_r != NULL) {
		spool_close(spool);
		return NULL;
	}
	spool->format = formats[index];
	if (spool->format->any_case)
		spool->format = spool->spelled = format_spelled(spool->format, root_names(spool));
	spool->format_index = (unsigned)index;
	site_learn(spool);
	spool_set_streams(spool, default_streams);
	return spool;
}

void spool_close(struct spool *spool)
{
	if (spool == NULL)
		return;
	spool_volume_close(spool);
	if (spool->root >= 0)
		close(spool->root);
	g_strfreev(spool->exclude);
	g_strfreev(spool->streams);
	format_free(spool->spelled);
	g_free(spool->version);
	g_free(spool->path);
	g_free(spool);
}

bool spool_excludes(const struct spool *spool, const char *path)
{
	/* where the root is a place; nobody would write it so */
	if (strncmp(path, "./", 2) == 0)
		path += 2;
	for (char **p = spool->exclude; p != NULL && *p != NULL; p++)
		if (fnmatch(*p, path, FNM_PATHNAME | FNM_LEADING_DIR) == 0)
			return true;
	return false;
}

/* Can this directory of the root be a spool of its own? Those that the format knows cannot. */
static bool is_inner(const struct spool *spool, const char *name)
{
	const struct format *f = spool->format;
	GPtrArray *names;
	bool yes;
	int fd;

	for (unsigned i = 0; i < f->nplaces; i++)
		if (strcmp(f->places[i].name, name) == 0)
			return false;
	if (name[0] == '.' || g_strcmp0(f->hidden, name) == 0)
		return false;
	fd = open_beneath(spool->root, name, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return false;
	names = names_of(fd);
	close(fd);
	yes = f->inner(name, (const char *const *)names->pdata, names->len);
	g_ptr_array_free(names, TRUE);
	return yes;
}

char **spool_inner(const struct spool *spool)
{
	GPtrArray *found = g_ptr_array_new();

	if (spool->format->inner != NULL) {
		GPtrArray *names = root_names(spool);

		for (guint i = 0; i < names->len; i++)
			if (is_inner(spool, names->pdata[i]))
				g_ptr_array_add(found, g_strconcat(spool->format->name, ":", spool->path,
								   "/", names->pdata[i], NULL));
		g_ptr_array_free(names, TRUE);
		g_ptr_array_sort(found, by_name);
	}
	g_ptr_array_add(found, NULL);
	return (char **)g_ptr_array_free(found, FALSE);
}

/* When the path below the spool leads into one inside of it, that one. */
static struct spool *into_inner(struct spool *spool, char **below_r)
{
	char *slash = strchr(*below_r, '/');
	g_autofree char *name = slash != NULL ? g_strndup(*below_r, (gsize)(slash - *below_r)) : NULL;
	g_autofree char *error = NULL;
	struct spool *inner;

	if (spool == NULL || name == NULL || spool->format->inner == NULL || !is_inner(spool, name))
		return spool;
	g_autofree char *path = g_strconcat(spool->format->name, ":", spool->path, "/", name, NULL);
	inner = spool_open(path, &error);
	if (inner == NULL)
		return spool;
	memmove(*below_r, slash + 1, strlen(slash));
	spool_close(spool);
	return inner;
}

struct spool *spool_above(const char *file, char **below_r)
{
	const char *path;
	int index = spool_type(file, &path);
	g_autofree char *whole = absolute(path);
	g_autofree char *uncut = g_strdup(whole);
	char *slash;

	for (slash = strrchr(whole, '/'); slash != NULL && slash != whole; slash = strrchr(whole, '/')) {
		g_autofree char *error = NULL;
		int fd;

		*slash = '\0';
		fd = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (spool_detect(fd) >= 0 && (index < 0 || spool_detect(fd) == index)) {
			close(fd);
			*below_r = g_strdup(uncut + (slash + 1 - whole));
			return into_inner(spool_open(whole, &error), below_r);
		}
		close(fd);
	}
	return NULL;
}
