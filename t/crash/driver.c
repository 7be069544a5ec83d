/*
 * driver.c - the victim of kill.t
 *
 *     driver setup STATE SPOOL STORE PICTURE   make a spool with one message of three parts, in
 *                                              a state, and note what the whole spool looks like
 *     driver move|restore|drain|purge|recover SPOOL STORE PICTURE
 *                                              one action, between two sched_yield() calls that
 *                                              kill.t finds in the trace; exit 32 and more
 *     driver check SPOOL STORE PICTURE VERB STATUS
 *                                              is what the action said true? Recover; then: is the
 *                                              message exactly in one place, with every byte and
 *                                              attribute, and nothing left over?
 *
 * States: plain; moved; drained (moved, and copied to the store on the other file system); half-move,
 * half-restore (some parts lodged, papers in inflight/); changed (half moved, and the rest not the
 * planned file any more). SPOOLCK_CRASH_COPIED: a copy counts as the same file, whatever its inode.
 *
 * Exit 0, or 1 with a line "VIOLATION ..." on standard output.
 */
#include "config.h"

#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *spool, *store_path, *picture_path;
static struct q_error err;

/* The message: what shows it first, its data, a log that goes along. */
static const char *const paths[] = { "deferred/4/4F2A1C0B9", "input/4F2A1C0B9-D",
				     "defer/4/4F2A1C0B9" };
#define HEALTHY "deferred/4/4HEALTHY"
#define ID "4F2A1C0B9"

static void die(const char *what)
{
	printf("VIOLATION %s: %s (%s)\n", what, err.text, strerror(errno));
	exit(1);
}

static void need(bool good, const char *what)
{
	if (!good)
		die(what);
}

static char *in_spool(const char *path)
{
	return g_build_filename(spool, path, NULL);
}

/* ---- pictures ---- */

static GPtrArray *lines;

static void picture_file(GString *s, const char *path, const struct stat *st)
{
	int fd = open(path, O_RDONLY | O_NOATIME | O_NOFOLLOW);
	char buf[4096], list[1024], value[1024];
	ssize_t n = read(fd, buf, sizeof buf), len = flistxattr(fd, list, sizeof list);

	need(fd >= 0 && n >= 0, path);
	g_string_append_printf(s, " ino %lu links %lu a %lld.%09ld m %lld.%09ld ",
			       getenv("SPOOLCK_CRASH_COPIED") ? 0 : st->st_ino,
			       st->st_nlink, (long long)st->st_atim.tv_sec, st->st_atim.tv_nsec,
			       (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	for (ssize_t i = 0; i < n; i++)
		g_string_append_printf(s, "%02x", (unsigned char)buf[i]);
	for (char *name = list; len > 0 && name < list + len; name += strlen(name) + 1) {
		ssize_t got = fgetxattr(fd, name, value, sizeof value);

		g_string_append_printf(s, " %s=%.*s", name, got > 0 ? (int)got : 0, value);
	}
	close(fd);
}

static int picture_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	GString *s = g_string_new(path + strlen(spool));

	(void)type;
	(void)ftw;
	g_string_append_printf(s, " %o %u:%u", st->st_mode, st->st_uid, st->st_gid);
	if (S_ISREG(st->st_mode))
		picture_file(s, path, st);
	g_ptr_array_add(lines, g_string_free(s, FALSE));
	return 0;
}

static gint compare(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static char *picture(void)
{
	char *all;

	lines = g_ptr_array_new_with_free_func(g_free);
	need(nftw(spool, picture_one, 16, FTW_PHYS) == 0, "walk of the spool");
	g_ptr_array_sort(lines, compare);
	g_ptr_array_add(lines, NULL);
	all = g_strjoinv("\n", (char **)lines->pdata);
	g_ptr_array_free(lines, TRUE);
	return all;
}

static void picture_save(void)
{
	char *now = picture();

	need(g_file_set_contents(picture_path, now, -1, NULL), "picture");
	g_free(now);
}

static bool picture_agrees(void)
{
	char *now = picture(), *then = NULL;
	bool same;

	need(g_file_get_contents(picture_path, &then, NULL, NULL), "picture");
	same = !strcmp(now, then);
	if (!same)
		printf("--- was\n%s\n--- is\n%s\n", then, now);
	g_free(now);
	g_free(then);
	return same;
}

static bool store_dir_is_empty(const char *name)
{
	char *path = g_build_filename(store_path, name, NULL);
	GDir *d = g_dir_open(path, 0, NULL);
	bool empty = !d || !g_dir_read_name(d);

	if (d)
		g_dir_close(d);
	g_free(path);
	return empty;
}

static bool spool_has(const char *path)
{
	struct stat st;
	char *full = in_spool(path);
	bool has = !lstat(full, &st);

	g_free(full);
	return has;
}

/* ---- one action ---- */

static struct q_store *open_store(void)
{
	struct q_store *s;

	return q_store_open(store_path, true, &s, &err) ? NULL : s;
}

static int open_root(void)
{
	return open(spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static struct q_identity identity(const char *path)
{
	struct stat st;
	char *full = in_spool(path);

	need(!lstat(full, &st), full);
	g_free(full);
	return (struct q_identity){ st.st_dev, st.st_ino, (uint64_t)st.st_size, st.st_mtim,
				    st.st_ctim };
}

static enum q_outcome do_move(struct q_store *s, int root, char **entry_r)
{
	struct q_part parts[] = {
		{ paths[0], "message", true, identity(paths[0]) },
		{ paths[1], "data", true, identity(paths[1]) },
		{ .path = paths[2], .role = "defer log" },
		{ .path = "bounce/" ID, .role = "bounce log" },
	};
	struct q_message m = {
		.root = root, .spool = spool, .format = "test", .hidden = ".spoolck", .id = ID,
		.id_len = strlen(ID), .parts = parts, .nparts = 4, .reason = "crash test",
	};
	enum q_outcome o;

	sched_yield();
	o = q_move(s, &m, entry_r, &err);
	sched_yield();
	return o;
}

static enum q_outcome do_restore(struct q_store *s, int root)
{
	enum q_outcome o;
	char *entry;

	need(!q_find(s, ID, &entry, &err), "find");
	sched_yield();
	o = q_restore(s, entry, root, &err);
	sched_yield();
	free(entry);
	return o;
}

static enum q_outcome do_entry(struct q_store *s, int root, bool drain)
{
	enum q_outcome o;
	char *entry;

	need(!q_find(s, ID, &entry, &err), "find");
	sched_yield();
	o = drain ? q_drain(s, entry, root, &err) : q_purge(s, entry, root, &err);
	sched_yield();
	free(entry);
	return o;
}

/* What came of it goes into the exit status; nothing is judged here, where
 * calls may still fail on purpose. */
enum { ACTED = 32, POINTED_AT_RECOVER = 4, SAID_SOMETHING = 8 };

static int action(const char *verb)
{
	struct q_store *s = open_store();
	int root = open_root();
	enum q_outcome o = Q_FAILED;
	char *entry = NULL;

	need(s && root >= 0 && !q_lock(root, 0, &err), "open");
	err.text[0] = '\0';
	if (!strcmp(verb, "move")) {
		o = do_move(s, root, &entry);
		need((o == Q_MOVED) == (entry != NULL), "the entry's name");
	} else if (!strcmp(verb, "restore")) {
		o = do_restore(s, root);
	} else if (!strcmp(verb, "drain") || !strcmp(verb, "purge")) {
		o = do_entry(s, root, verb[0] == 'd');
	} else {
		sched_yield();
		o = q_recover(s, spool, NULL, NULL, &err) < 0 ? Q_FAILED : Q_MOVED;
		sched_yield();
	}
	printf("%s outcome %d %s\n", verb, o, err.text);
	return ACTED + (int)o + (strstr(err.text, "quarantine recover") ? POINTED_AT_RECOVER : 0) +
	       (err.text[0] ? SAID_SOMETHING : 0);
}

/* Is what the action said true, before recover comes? A failure that did not
 * point at recover has left no trace. */
static void judge(const char *verb, int status)
{
	enum q_outcome o = (enum q_outcome)(status & 3);
	bool move = !strcmp(verb, "move"), purge = !strcmp(verb, "purge");

	if (status < ACTED || g_str_has_prefix(verb, "recover"))
		return;
	if (o == Q_MOVED && (purge || !strcmp(verb, "drain"))) {
		need(store_dir_is_empty("inflight"), "a leftover after an action that was done");
		need(store_dir_is_empty("entries") == purge, "the entries after it");
		return;
	}
	if (o == Q_MOVED) {
		need(!move || (!spool_has(paths[0]) && !spool_has(paths[1])), "said moved, is not");
		need(move || (status & SAID_SOMETHING) || picture_agrees(), "said restored, is not");
		return;
	}
	need(status & SAID_SOMETHING, "a failure without a word");
	need(o == Q_FAILED || !(status & POINTED_AT_RECOVER), "changed or refused, but not undone");
	if (status & POINTED_AT_RECOVER)
		return;
	need(store_dir_is_empty("inflight"), "a leftover after a clean failure");
	need(store_dir_is_empty("entries") == move, "the entries after a clean failure");
	need(!move || picture_agrees(), "the spool after a clean failure");
}

/* ---- setup ---- */

static void put(const char *path, const char *text, mode_t mode)
{
	char *full = in_spool(path);
	struct timespec ts[2] = { { 1700000000, 123456789 }, { 1700000001, 987654321 } };

	need(g_file_set_contents(full, text, -1, NULL), full);
	need(!chmod(full, mode), full);
	if (geteuid() == 0) {
		need(!chown(full, 1234, 4321), full);
		lsetxattr(full, "trusted.spoolck", "kept", 4, 0);
	}
	lsetxattr(full, "user.spoolck", "kept", 4, 0);
	need(!utimensat(AT_FDCWD, full, ts, 0), full);
	g_free(full);
}

static void make_spool(void)
{
	static const char *const dirs[] = { "", "deferred", "deferred/4", "input", "defer",
					    "defer/4", "bounce" };

	for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++) {
		char *full = in_spool(dirs[i]);

		need(!mkdir(full, 0700), full);
		g_free(full);
	}
	put(paths[0], "C the message", 0700);
	put(paths[1], "data\nof it\n", 0640);
	put(paths[2], "deferred: because", 0600);
	put(HEALTHY, "another one", 0700);
}

/* E/N to I/N or I/N~restore, and part n to the other side. */
static void unpublish(const char *entry, bool returning)
{
	char *from = g_build_filename(store_path, "entries", entry, NULL);
	char *name = g_strconcat(entry, returning ? Q_RETURNING : "", NULL);
	char *to = g_build_filename(store_path, "inflight", name, NULL);

	if (returning) {
		struct plan *plan;
		int dir = open(from, O_RDONLY | O_DIRECTORY);

		need(!plan_read(dir, Q_FILE_PLAN, &plan, &err), "plan");
		plan->kind = PLAN_RESTORE;
		need(!plan_write(dir, Q_FILE_RETURN, plan, &err), "restore plan");
		plan_free(plan);
		close(dir);
	}
	need(!rename(from, to), to);
	g_free(from);
	g_free(name);
	g_free(to);
}

static void shift(const char *entry, bool returning, unsigned n, bool to_spool)
{
	static const char *const targets[] = { "01-" ID, "02-" ID "-D", "03-" ID };
	char *name = g_strconcat(entry, returning ? Q_RETURNING : "", NULL);
	char *near = g_build_filename(store_path, "inflight", name, "parts", targets[n], NULL);
	char *far = g_build_filename(spool, ".spoolck", entry, targets[n], NULL);
	char *home = in_spool(paths[n]);
	char *lodge = spool_has(".spoolck") ? far : near;

	need(!rename(to_spool ? lodge : home, to_spool ? home : lodge), home);
	g_free(name);
	g_free(near);
	g_free(far);
	g_free(home);
}

static int setup(const char *state)
{
	bool returning = !strcmp(state, "half-restore");
	struct q_store *s;
	char *entry = NULL;

	make_spool();
	picture_save();
	s = open_store();
	need(s, "store");
	if (!strcmp(state, "plain"))
		return 0;
	need(do_move(s, open_root(), &entry) == Q_MOVED, "setup");
	if (!strcmp(state, "drained"))
		need(q_drain(s, entry, open_root(), &err) == Q_MOVED, "setup drain");
	if (!strcmp(state, "moved") || !strcmp(state, "drained"))
		return 0;
	unpublish(entry, returning);
	if (!strcmp(state, "changed")) {
		char *lodge = in_spool(".spoolck"), *aside = in_spool("aside");

		for (unsigned n = 3; n-- > 0;)
			shift(entry, false, n, true);
		put(paths[1], "written to since", 0640);
		/* the picture is of a spool without lodge */
		if (spool_has(".spoolck")) {
			char *out = g_strconcat(spool, ".aside", NULL);

			need(!rename(lodge, out), "aside");
			picture_save();
			need(!rename(out, lodge), "aside");
			g_free(out);
		} else {
			picture_save();
		}
		shift(entry, false, 0, false);
		g_free(lodge);
		g_free(aside);
		return 0;
	}
	shift(entry, returning, 2, true);
	if (!returning)
		shift(entry, returning, 1, true);
	return 0;
}

/* ---- check ---- */

/* A message that was purged is nowhere, and nothing of it is. */
static int check_purged(void)
{
	need(store_dir_is_empty("entries"), "half purged");
	need(!spool_has(paths[0]) && !spool_has(paths[1]) && !spool_has(paths[2]), "half purged");
	need(!spool_has(".spoolck"), "a lodge is left");
	puts("purged");
	return 0;
}

static void tell(void *arg, const char *line)
{
	(void)arg;
	puts(line);
}

static int check(const char *verb)
{
	struct q_store *s = open_store();
	int root = open_root(), n;
	char **names;
	bool here;

	need(s && root >= 0, "open");
	need(q_recover(s, spool, NULL, NULL, &err) >= 0, "recover");
	n = q_recover(s, spool, NULL, NULL, &err);
	need(n == 0, "recover again");
	need(store_dir_is_empty("inflight"), "leftover in inflight");
	need(spool_has(HEALTHY), "the healthy message");
	need(!q_entries(s, &names, &err), "list");
	here = spool_has(paths[0]);
	if (strstr(verb, "purge") && g_strv_length(names) == 0)
		return check_purged();
	need(spool_has(paths[1]) == here && spool_has(paths[2]) == here, "half a message");
	need(g_strv_length(names) == (here ? 0u : 1u), "not exactly one place");
	if (!here) {
		need(q_verify(s, names[0], tell, NULL, &err) == 0, "verify");
		need(q_restore(s, names[0], root, &err) == Q_MOVED, "restore");
	}
	need(picture_agrees(), "the spool is not what it was");
	need(store_dir_is_empty("inflight") && store_dir_is_empty("entries"), "leftover in the store");
	g_strfreev(names);
	puts(here ? "spool" : "quarantine");
	return 0;
}

int main(int argc, char **argv)
{
	int first = argc > 1 && !strcmp(argv[1], "setup") ? 3 : 2;
	bool checking = argc == 7 && !strcmp(argv[1], "check");

	if (argc != first + 3 && !checking)
		return 16;
	umask(022);
	spool = argv[first];
	store_path = argv[first + 1];
	picture_path = argv[first + 2];
	if (first == 3)
		return setup(argv[2]);
	if (!checking)
		return action(argv[1]);
	judge(argv[5], atoi(argv[6]));
	return check(argv[5]);
}
