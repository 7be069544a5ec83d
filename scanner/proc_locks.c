/* proc_locks.c - the kernel's list of file locks */
#include "config.h"

#include "proc_locks.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The kernel hands out the list a page at a time, and counts lines to find the place where the next page begins:
 * when a lock before it is released in between, one is passed over: of 600 locks, with two processes that do nothing
 * but take and release some, a given one is missing in one list of a hundred (Linux 6). So "no" is believed when it
 * was said so often. */
#define TIMES 5

#define PID_NONE 0 /* of an open file description, or of a process that is not visible here */

struct proc_lock {
	bool of_process;      /* by fcntl(), of a process */
	bool exclusive;
	pid_t pid;            /* whose it is */
	dev_t dev;            /* of the file system */
	ino_t ino;
	uint64_t first, last; /* bytes; last UINT64_MAX = to the end */
};

/* "1: POSIX  ADVISORY  WRITE 4711 08:01:1179 0 18"; who waits for a lock has an arrow after the number. */
static bool parse(const char *line, struct proc_lock *l)
{
	char kind[16], mode[16], last[24];
	unsigned major, minor;
	unsigned long long ino, first;
	int pid;

	if (sscanf(line, "%*[^:]: %15s %*s %15s %d %x:%x:%llu %llu %23s", kind, mode, &pid, &major, &minor, &ino,
		   &first, last) != 8)
		return false;
	*l = (struct proc_lock){
		.of_process = strcmp(kind, "POSIX") == 0, .exclusive = strcmp(mode, "WRITE") == 0,
		.pid = pid > 0 ? pid : PID_NONE, .dev = makedev(major, minor), .ino = (ino_t)ino,
		.first = first,
		.last = strcmp(last, "EOF") == 0 ? UINT64_MAX : g_ascii_strtoull(last, NULL, 10),
	};
	return true;
}

/* Ask about each lock until the answer is yes. */
static int any(bool (*yes)(const struct proc_lock *l, void *arg), void *arg)
{
	for (unsigned i = 0; i < TIMES; i++) {
		FILE *f = fopen("/proc/locks", "re");
		bool found = false;
		struct proc_lock l;
		char line[256];

		if (f == NULL)
			return -1;
		while (!found && fgets(line, sizeof line, f) != NULL)
			found = parse(line, &l) && yes(&l, arg);
		fclose(f);
		if (found)
			return 1;
	}
	return 0;
}

static bool has_inode(const struct proc_lock *l, void *arg)
{
	return l->ino == *(const ino_t *)arg;
}

int proc_locks_held(ino_t ino)
{
	return any(has_inode, &ino);
}

struct file {
	dev_t dev;
	ino_t ino;
};

/* Device numbers prove that files differ where both are those of block devices: btrfs and overlays show others in
 * stat(2) than here. */
static bool may_be(dev_t a, dev_t b)
{
	return a == b || major(a) == 0 || major(b) == 0;
}

static bool is_file(const struct proc_lock *l, void *arg)
{
	const struct file *file = arg;

	return l->exclusive && l->ino == file->ino && may_be(l->dev, file->dev);
}

int proc_locks_exclusive(dev_t dev, ino_t ino)
{
	return any(is_file, &(struct file){ dev, ino });
}

/* --- Files without a name --------------------------------------------------------- */

struct holders {
	uint64_t last;
	GHashTable *pids;
};

static bool collect(const struct proc_lock *l, void *arg)
{
	struct holders *h = arg;

	if (l->of_process && l->exclusive && l->first == 0 && l->last == h->last && l->pid != PID_NONE)
		g_hash_table_add(h->pids, GINT_TO_POINTER(l->pid));
	return false;
}

/* Has the process a file open that was called so? 1, 0, or -1 when its files are not to be seen. */
static int has_open(int pid, const char *name)
{
	g_autofree char *dir_path = g_strdup_printf("/proc/%d/fd", pid);
	g_autofree char *gone = g_strdup_printf("/%s (deleted)", name);
	GDir *dir = g_dir_open(dir_path, 0, NULL);
	const char *fd;
	int found = 0;

	if (dir == NULL) /* one that has ended meanwhile holds no lock; proc(5) may hide one that has not */
		return kill(pid, 0) < 0 && errno == ESRCH ? 0 : -1;
	while (found == 0 && (fd = g_dir_read_name(dir)) != NULL) {
		g_autofree char *link = g_strdup_printf("%s/%s", dir_path, fd);
		g_autofree char *file = g_file_read_link(link, NULL);

		found = file != NULL && g_str_has_suffix(file, gone);
	}
	g_dir_close(dir);
	return found;
}

int proc_locks_unlinked(const char *name, uint64_t length)
{
	g_autoptr(GHashTable) pids = g_hash_table_new(NULL, NULL);
	struct holders holders = { length > 0 ? length - 1 : UINT64_MAX, pids };
	int found = any(collect, &holders);
	GHashTableIter iter;
	gpointer pid;

	if (found < 0)
		return found;
	g_hash_table_iter_init(&iter, pids);
	while (found <= 0 && g_hash_table_iter_next(&iter, &pid, NULL)) {
		int has = has_open(GPOINTER_TO_INT(pid), name);

		if (has != 0)
			found = has;
	}
	return found;
}
