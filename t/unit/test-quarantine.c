/*
 * test-quarantine.c - the quarantine, state by state
 *
 * Each test has a spool and a store of its own in a temporary directory. A
 * "picture" is the text of a whole tree (names, types, modes, owners, sizes,
 * times in ns, attributes, digests); two equal pictures mean that nothing was
 * lost, doubled or changed. As root the second file system is a tmpfs in a
 * private mount namespace; otherwise those tests are skipped.
 */
#include "config.h"

#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static char *base;    /* of all tests */
static bool have_ns;  /* we may mount */

struct fix {
	char *top, *spool, *store_path, *outside;
	int root;
	struct q_store *store;
	struct q_part parts[4];
	struct q_message m;
	struct q_error err;
	char *before; /* picture of the spool with its message */
};

/* ---- trees ---- */

static GPtrArray *pic_lines;
static size_t pic_skip;
static bool pic_copied; /* of a copy: inodes differ */

static void pic_xattrs(GString *s, const char *path)
{
	char list[1024], value[1024];
	ssize_t len = llistxattr(path, list, sizeof list);

	for (char *n = list; len > 0 && n < list + len; n += strlen(n) + 1) {
		ssize_t got = lgetxattr(path, n, value, sizeof value);

		g_string_append_printf(s, " %s=%.*s", n, got > 0 ? (int)got : 0, value);
	}
}

static int pic_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	GString *s = g_string_new(NULL);

	(void)type;
	(void)ftw;
	g_string_append_printf(s, "%s %o %u:%u", path + pic_skip, st->st_mode, st->st_uid,
			       st->st_gid);
	if (S_ISREG(st->st_mode)) {
		char *data = NULL, *hex;
		gsize len = 0;

		g_assert_true(g_file_get_contents(path, &data, &len, NULL));
		hex = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guchar *)data, len);
		g_string_append_printf(s, " %lu %zu %lld.%09ld %s", pic_copied ? 0 : st->st_ino, len,
				       (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, hex);
		g_free(hex);
		g_free(data);
		pic_xattrs(s, path);
	}
	g_ptr_array_add(pic_lines, g_string_free(s, FALSE));
	return 0;
}

static gint pic_sort(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static char *picture(const char *path)
{
	char *all;

	pic_lines = g_ptr_array_new_with_free_func(g_free);
	pic_skip = strlen(path);
	g_assert_cmpint(nftw(path, pic_one, 16, FTW_PHYS), ==, 0);
	g_ptr_array_sort(pic_lines, pic_sort);
	g_ptr_array_add(pic_lines, NULL);
	all = g_strjoinv("\n", (char **)pic_lines->pdata);
	g_ptr_array_free(pic_lines, TRUE);
	return all;
}

static int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void rm_tree(const char *path)
{
	nftw(path, rm_one, 16, FTW_PHYS | FTW_DEPTH);
}

static unsigned count_in(const char *dir, const char *sub)
{
	char *path = g_build_filename(dir, sub, NULL);
	GDir *d = g_dir_open(path, 0, NULL);
	unsigned n = 0;

	while (d && g_dir_read_name(d))
		n++;
	if (d)
		g_dir_close(d);
	g_free(path);
	return n;
}

static char *at(const struct fix *f, const char *path)
{
	return g_build_filename(f->top, path, NULL);
}

static void put(const struct fix *f, const char *path, const char *text, mode_t mode)
{
	char *full = at(f, path);
	struct timespec ts[2] = { { 1700000000, 123456789 }, { 1700000001, 987654321 } };

	g_assert_true(g_file_set_contents(full, text, -1, NULL));
	g_assert_cmpint(chmod(full, mode), ==, 0);
	if (geteuid() == 0)
		g_assert_cmpint(chown(full, 1234, 4321), ==, 0);
	lsetxattr(full, "user.spoolck", "kept", 4, 0);
	if (geteuid() == 0)
		lsetxattr(full, "trusted.spoolck", "kept too", 8, 0);
	g_assert_cmpint(utimensat(AT_FDCWD, full, ts, 0), ==, 0);
	g_free(full);
}

static void move_file(const struct fix *f, const char *from, const char *to)
{
	char *a = at(f, from), *b = at(f, to);

	g_assert_cmpint(rename(a, b), ==, 0);
	g_free(a);
	g_free(b);
}

static bool is_there(const struct fix *f, const char *path)
{
	struct stat st;
	char *full = at(f, path);
	bool there = !lstat(full, &st);

	g_free(full);
	return there;
}

static struct q_identity look(const struct fix *f, const char *path)
{
	struct stat st;
	char *full = at(f, path);

	g_assert_cmpint(lstat(full, &st), ==, 0);
	g_free(full);
	return (struct q_identity){ st.st_dev, st.st_ino, (uint64_t)st.st_size, st.st_mtim,
				    st.st_ctim };
}

/* ---- the fixture: a message of two parts and a log ---- */

#define ID "4F2A1C0B9"

static void describe(struct fix *f)
{
	f->parts[0] = (struct q_part){ "deferred/4/" ID, "message", true,
				       look(f, "spool/deferred/4/" ID) };
	f->parts[1] = (struct q_part){ "input/" ID "-D", "data", true,
				       look(f, "spool/input/" ID "-D") };
	f->parts[2] = (struct q_part){ .path = "defer/4/" ID, .role = "defer log" };
	f->parts[3] = (struct q_part){ .path = "bounce/" ID, .role = "bounce log" };
	f->m = (struct q_message){
		.root = f->root, .spool = f->spool, .format = "postfix", .hidden = ".spoolck",
		.id = ID, .id_len = strlen(ID), .parts = f->parts, .nparts = 4,
		.reason = "a test", .findings = json_pack("[{s:s,s:s}]", "name", "test.finding",
							  "text", "broken \xe2\x80\xae here"),
		.envelope = json_pack("{s:s}", "sender", "bob@example.org"),
	};
}

static void fix_up_at(struct fix *f, const char *spool_at)
{
	static const char *const dirs[] = { "deferred", "deferred/4", "input", "defer", "defer/4",
					    "bounce" };

	memset(f, 0, sizeof *f);
	f->top = g_build_filename(base, "tXXXXXX", NULL);
	g_assert_nonnull(g_mkdtemp(f->top));
	f->spool = at(f, "spool");
	f->store_path = at(f, "store");
	f->outside = at(f, "outside");
	g_assert_cmpint(mkdir(f->outside, 0700), ==, 0);
	g_assert_cmpint(mkdir(f->spool, 0755), ==, 0);
	if (spool_at)
		g_assert_cmpint(mount("none", f->spool, spool_at, 0, "mode=755"), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++) {
		char *d = g_build_filename(f->spool, dirs[i], NULL);

		g_assert_cmpint(mkdir(d, 0700), ==, 0);
		g_free(d);
	}
	put(f, "spool/deferred/4/" ID, "C the message", 0700);
	put(f, "spool/input/" ID "-D", "data\nof it\n", 0640);
	put(f, "spool/defer/4/" ID, "deferred: because", 0600);
	put(f, "spool/deferred/4/4HEALTHY", "another one", 0700);
	f->root = open(f->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(q_store_open(f->store_path, true, &f->store, &f->err), ==, 0);
	describe(f);
	f->before = picture(f->spool);
}

static void fix_up(struct fix *f, gconstpointer data)
{
	(void)data;
	fix_up_at(f, NULL);
}

static void fix_down(struct fix *f, gconstpointer data)
{
	(void)data;
	q_store_close(f->store);
	close(f->root);
	json_decref(f->m.findings);
	json_decref(f->m.envelope);
	umount2(f->spool, MNT_DETACH);
	rm_tree(f->top);
	g_free(f->top);
	g_free(f->spool);
	g_free(f->store_path);
	g_free(f->outside);
	g_free(f->before);
}

static void collect(void *arg, const char *line)
{
	g_string_append_printf(arg, "%s\n", line);
}

static void assert_spool_as_before(const struct fix *f)
{
	char *now = picture(f->spool);

	g_assert_cmpstr(now, ==, f->before);
	g_free(now);
}

static void assert_no_leftover(const struct fix *f)
{
	g_assert_cmpuint(count_in(f->store_path, "inflight"), ==, 0);
	if (count_in(f->store_path, "entries") == 0)
		g_assert_false(is_there(f, "spool/.spoolck"));
}

static char *move_ok(struct fix *f)
{
	char *entry = NULL;
	enum q_outcome o = q_move(f->store, &f->m, &entry, &f->err);

	g_assert_cmpstr(f->err.text, ==, "");
	g_assert_cmpint(o, ==, Q_MOVED);
	g_assert_nonnull(entry);
	g_assert_false(is_there(f, "spool/deferred/4/" ID));
	g_assert_false(is_there(f, "spool/input/" ID "-D"));
	g_assert_false(is_there(f, "spool/defer/4/" ID));
	g_assert_true(is_there(f, "spool/deferred/4/4HEALTHY"));
	g_assert_cmpuint(count_in(f->store_path, "inflight"), ==, 0);
	g_assert_cmpint(q_verify(f->store, entry, NULL, NULL, &f->err), ==, 0);
	return entry;
}

static void restore_ok(struct fix *f, const char *entry)
{
	enum q_outcome o = q_restore(f->store, entry, f->root, &f->err);

	g_assert_cmpstr(f->err.text, ==, "");
	g_assert_cmpint(o, ==, Q_MOVED);
	assert_spool_as_before(f);
	assert_no_leftover(f);
	g_assert_cmpuint(count_in(f->store_path, "entries"), ==, 0);
}

/* Recover, then once more: the second run finds nothing and changes nothing. */
static int recover_twice(struct fix *f)
{
	GString *said = g_string_new(NULL);
	int n = q_recover(f->store, f->spool, collect, said, &f->err);
	char *one = picture(f->top), *two;

	g_test_message("recover said: %s", said->str);
	if (n >= 0)
		g_assert_cmpint(q_recover(f->store, f->spool, NULL, NULL, &f->err), ==, 0);
	two = picture(f->top);
	g_assert_cmpstr(one, ==, two);
	g_free(one);
	g_free(two);
	g_string_free(said, TRUE);
	return n;
}

/* ---- there and back ---- */

static void round_trip(struct fix *f, gconstpointer data)
{
	(void)data;
	for (int i = 0; i < 3; i++) {
		char *entry, *one, *two;

		json_decref(f->m.findings);
		json_decref(f->m.envelope);
		describe(f);
		entry = move_ok(f);
		one = picture(f->store_path);
		g_assert_nonnull(strstr(one, entry));
		restore_ok(f, entry);
		two = picture(f->store_path);
		g_assert_null(strstr(two, entry));
		g_free(one);
		g_free(two);
		free(entry);
	}
}

static void manifest(struct fix *f, gconstpointer data)
{
	char *entry = move_ok(f), *path, *text;
	json_t *j, *part;

	(void)data;
	g_assert_cmpint(q_manifest(f->store, entry, &j, &f->err), ==, 0);
	g_assert_cmpint(json_integer_value(json_object_get(j, "schema")), ==, 1);
	g_assert_cmpstr(json_string_value(json_object_get(j, "version")), ==, PACKAGE_VERSION);
	g_assert_cmpstr(json_string_value(json_object_get(j, "spool")), ==, f->spool);
	g_assert_cmpstr(json_string_value(json_object_get(j, "id")), ==, ID);
	g_assert_cmpstr(json_string_value(json_object_get(j, "state")), ==, "stored");
	g_assert_true(json_equal(json_object_get(j, "findings"), f->m.findings));
	g_assert_true(json_equal(json_object_get(j, "envelope"), f->m.envelope));
	g_assert_cmpuint(json_array_size(json_object_get(j, "parts")), ==, 3);
	part = json_array_get(json_object_get(j, "parts"), 0);
	g_assert_cmpstr(json_string_value(json_object_get(part, "path")), ==, "deferred/4/" ID);
	g_assert_cmpstr(json_string_value(json_object_get(part, "mode")), ==, "0700");
	g_assert_cmpstr(json_string_value(json_object_get(part, "mtime")), ==,
			"1700000001.987654321");
	g_assert_cmpint(json_integer_value(json_object_get(part, "ino")), ==,
			(json_int_t)f->parts[0].identity.ino);
	json_decref(j);
	path = g_build_filename(f->store_path, "entries", entry, "summary.txt", NULL);
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_nonnull(strstr(text, "broken \\xE2\\x80\\xAE here"));
	g_assert_nonnull(strstr(text, "quarantine restore"));
	g_free(text);
	g_free(path);
	restore_ok(f, entry);
	free(entry);
}

static void two_file_systems(void)
{
	struct fix f;
	char *entry;
	json_t *j;

	if (!have_ns) {
		g_test_skip("needs root and a mount namespace");
		return;
	}
	fix_up_at(&f, "tmpfs");
	entry = move_ok(&f);
	g_assert_true(is_there(&f, "spool/.spoolck"));
	g_assert_cmpint(q_manifest(f.store, entry, &j, &f.err), ==, 0);
	g_assert_cmpstr(json_string_value(json_object_get(j, "state")), ==, "lodged");
	g_assert_true(g_str_has_prefix(json_string_value(json_object_get(j, "lodge")), f.spool));
	json_decref(j);
	restore_ok(&f, entry);
	free(entry);
	/* a hidden directory that is there stays as long as something is in it */
	f.m.hidden = NULL;
	json_decref(f.m.findings);
	json_decref(f.m.envelope);
	describe(&f);
	f.m.hidden = NULL;
	g_assert_cmpint(q_move(f.store, &f.m, &entry, &f.err), ==, Q_REFUSED);
	assert_spool_as_before(&f);
	assert_no_leftover(&f);
	/* one that is not ours is not used, and leaves no trace */
	f.m.hidden = ".spoolck";
	{
		char *hidden = at(&f, "spool/.spoolck");

		g_assert_cmpint(mkdir(hidden, 0700), ==, 0);
		g_assert_cmpint(chown(hidden, 1234, 1234), ==, 0);
		g_assert_cmpint(q_move(f.store, &f.m, &entry, &f.err), ==, Q_FAILED);
		g_assert_nonnull(strstr(f.err.text, "belongs to uid 1234"));
		g_assert_cmpuint(count_in(f.store_path, "inflight"), ==, 0);
		g_assert_cmpint(rmdir(hidden), ==, 0);
		assert_spool_as_before(&f);
		/* a link in its place is not followed */
		g_assert_cmpint(symlink(f.outside, hidden), ==, 0);
		g_assert_cmpint(q_move(f.store, &f.m, &entry, &f.err), ==, Q_FAILED);
		g_assert_cmpuint(count_in(f.store_path, "inflight"), ==, 0);
		g_assert_cmpuint(count_in(f.outside, ""), ==, 0);
		g_assert_cmpint(unlink(hidden), ==, 0);
		assert_spool_as_before(&f);
		g_free(hidden);
	}
	fix_down(&f, NULL);
}

/* The parts' blocks, to see whether holes stayed holes. */
static long blocks_of(const struct fix *f, const char *path)
{
	struct stat st;
	char *full = at(f, path);

	g_assert_cmpint(lstat(full, &st), ==, 0);
	g_free(full);
	return st.st_blocks;
}

/* A message that is harder to copy: a sparse file, an ACL, odd modes. */
static void make_rich(struct fix *f)
{
	static const unsigned char acl[] = { /* u::rw- u:1234:r-- g::r-- m::r-- o::--- */
		2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 0xd2, 4, 0, 0,
		4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255,
		32, 0, 0, 0, 255, 255, 255, 255 };
	struct timespec ts[2] = { { 1600000000, 1 }, { 5000000000, 999999999 } };
	char *data = at(f, "spool/input/" ID "-D"), *log = at(f, "spool/defer/4/" ID);
	int fd = open(data, O_WRONLY);

	g_assert_cmpint(pwrite(fd, "x", 1, 3 << 20), ==, 1);
	g_assert_cmpint(ftruncate(fd, 9 << 20), ==, 0);
	close(fd);
	g_assert_cmpint(chmod(data, 06755), ==, 0);
	g_assert_cmpint(lsetxattr(log, "system.posix_acl_access", acl, sizeof acl, 0), ==, 0);
	g_assert_cmpint(utimensat(AT_FDCWD, log, ts, 0), ==, 0);
	g_free(data);
	g_free(log);
	json_decref(f->m.findings);
	json_decref(f->m.envelope);
	describe(f);
	g_free(f->before);
	f->before = picture(f->spool);
}

static char *state_of(struct fix *f, const char *entry)
{
	json_t *j;
	char *state;

	g_assert_cmpint(q_manifest(f->store, entry, &j, &f->err), ==, 0);
	state = g_strdup(json_string_value(json_object_get(j, "state")));
	json_decref(j);
	return state;
}

static void assert_state(struct fix *f, const char *entry, const char *want)
{
	char *state = state_of(f, entry);

	g_assert_cmpstr(state, ==, want);
	g_free(state);
}

/* From the lodge to the store, verified, and back into the spool. */
static void drain(void)
{
	struct fix f;
	char *entry, **names, *parts;

	if (!have_ns) {
		g_test_skip("needs root and a mount namespace");
		return;
	}
	pic_copied = true;
	fix_up_at(&f, "tmpfs");
	make_rich(&f);
	entry = move_ok(&f);
	g_assert_cmpint(q_lodged(f.store, f.root, ".spoolck", &names, &f.err), ==, 0);
	g_assert_cmpstr(names[0], ==, entry);
	g_strfreev(names);
	for (int i = 0; i < 2; i++) { /* the second time there is nothing to do */
		g_assert_cmpint(q_drain(f.store, entry, f.root, &f.err), ==, Q_MOVED);
		g_assert_cmpstr(f.err.text, ==, "");
		assert_state(&f, entry, "stored");
		g_assert_false(is_there(&f, "spool/.spoolck"));
		g_assert_cmpint(q_verify(f.store, entry, NULL, NULL, &f.err), ==, 0);
		g_assert_cmpuint(count_in(f.store_path, "inflight"), ==, 0);
	}
	parts = g_strdup_printf("store/entries/%s/parts/02-" ID "-D", entry);
	g_assert_cmpint(blocks_of(&f, parts), <, 256);
	g_free(parts);
	restore_ok(&f, entry);
	g_assert_cmpint(blocks_of(&f, "spool/input/" ID "-D"), <, 256);
	free(entry);
	fix_down(&f, NULL);
	pic_copied = false;
}

static void expect_not_drained(struct fix *f, const char *entry, const char *why)
{
	g_assert_cmpint(q_drain(f->store, entry, f->root, &f->err), ==, Q_REFUSED);
	g_assert_nonnull(strstr(f->err.text, why));
	assert_state(f, entry, "lodged");
	g_assert_cmpint(q_verify(f->store, entry, NULL, NULL, &f->err), ==, 0);
	g_assert_cmpuint(count_in(f->store_path, "inflight"), ==, 0);
}

/* What a copy cannot keep stays in the lodge, and comes back from there. */
static void drain_refused(void)
{
	struct fix f;
	char *entry, *small, *path;

	if (!have_ns) {
		g_test_skip("needs root and a mount namespace");
		return;
	}
	fix_up_at(&f, "tmpfs");
	f.m.inode_in_name = true;
	entry = move_ok(&f);
	expect_not_drained(&f, entry, "contains its inode");
	restore_ok(&f, entry);
	free(entry);

	/* a second name */
	json_decref(f.m.findings);
	json_decref(f.m.envelope);
	describe(&f);
	entry = move_ok(&f);
	path = g_strdup_printf("%s/.spoolck/%s/02-" ID "-D", f.spool, entry);
	small = at(&f, "spool/other");
	g_assert_cmpint(link(path, small), ==, 0);
	expect_not_drained(&f, entry, "2 names");
	g_assert_cmpint(unlink(small), ==, 0);
	g_free(small);
	/* damaged in the lodge */
	g_assert_cmpint(truncate(path, 3), ==, 0);
	g_assert_cmpint(q_drain(f.store, entry, f.root, &f.err), ==, Q_REFUSED);
	g_assert_nonnull(strstr(f.err.text, "damaged"));
	g_free(path);
	free(entry);
	fix_down(&f, NULL);
}

/* A drained entry whose device number says that the spool is near: a bind mount. */
static void drain_bind(void)
{
	struct fix f;
	char *entry;

	if (!have_ns) {
		g_test_skip("needs root and a mount namespace");
		return;
	}
	pic_copied = true;
	fix_up_at(&f, NULL);
	g_assert_cmpint(mount(f.spool, f.spool, NULL, MS_BIND, NULL), ==, 0);
	close(f.root);
	f.m.root = f.root = open(f.spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	entry = move_ok(&f);
	g_assert_cmpint(q_drain(f.store, entry, f.root, &f.err), ==, Q_MOVED);
	assert_state(&f, entry, "stored");
	restore_ok(&f, entry);
	free(entry);
	fix_down(&f, NULL);
	pic_copied = false;
}

/* Purge, with and without a lodge; keep. */
static void purge(void)
{
	for (int far = 0; far < 2; far++) {
		struct fix f;
		char *entry;

		if (far && !have_ns) {
			g_test_skip("needs root and a mount namespace");
			return;
		}
		fix_up_at(&f, far ? "tmpfs" : NULL);
		entry = move_ok(&f);
		g_assert_false(q_kept(f.store, entry));
		g_assert_cmpint(q_keep(f.store, entry, true, &f.err), ==, 0);
		g_assert_cmpint(q_keep(f.store, entry, true, &f.err), ==, 0);
		g_assert_true(q_kept(f.store, entry));
		g_assert_cmpint(q_purge(f.store, entry, f.root, &f.err), ==, Q_REFUSED);
		g_assert_cmpint(q_keep(f.store, entry, false, &f.err), ==, 0);
		g_assert_cmpint(q_purge(f.store, entry, -1, &f.err), ==, far ? Q_REFUSED : Q_MOVED);
		if (far)
			g_assert_cmpint(q_purge(f.store, entry, f.root, &f.err), ==, Q_MOVED);
		g_assert_cmpuint(count_in(f.store_path, "entries"), ==, 0);
		assert_no_leftover(&f);
		g_assert_true(is_there(&f, "spool/deferred/4/4HEALTHY"));
		g_assert_cmpint(q_purge(f.store, entry, f.root, &f.err), ==, Q_FAILED);
		free(entry);
		fix_down(&f, NULL);
	}
}

/* What an entry takes on disk, on one file system and in a lodge; no room for it, room for one. */
static void measure(void)
{
	for (int far = 0; far < 2; far++) {
		uint64_t bytes = 0, gone = 1;
		struct fix f;
		char *big, *entry;
		time_t then;

		if (far && !have_ns) {
			g_test_skip("needs root and a mount namespace");
			return;
		}
		fix_up_at(&f, far ? "tmpfs" : NULL);
		big = g_strnfill(256 << 10, 'x');
		put(&f, "spool/deferred/4/" ID, big, 0700);
		describe(&f);
		g_free(f.before);
		f.before = picture(f.spool);
		q_store_room(f.store, 255 << 10);
		g_assert_cmpint(q_move(f.store, &f.m, &entry, &f.err), ==, Q_REFUSED);
		g_assert_true(g_str_has_prefix(f.err.text, "store-full: "));
		g_assert_nonnull(strstr(f.err.text, "max-size"));
		assert_spool_as_before(&f);
		assert_no_leftover(&f);
		g_assert_cmpuint(count_in(f.store_path, "entries"), ==, 0);

		q_store_room(f.store, 300 << 10);
		entry = move_ok(&f);
		g_assert_cmpuint(f.store->room, <=, 44 << 10); /* counted down */
		g_assert_cmpint(q_measure(f.store, entry, &bytes, &f.err), ==, 0);
		g_assert_cmpuint(bytes, >=, 256 << 10);
		g_assert_cmpuint(bytes, <, 400 << 10);
		then = q_entry_time(entry);
		g_assert_cmpint(then, >, time(NULL) - 1000);
		g_assert_cmpint(then, <=, time(NULL));
		g_assert_cmpint(q_purge(f.store, entry, f.root, &f.err), ==, Q_MOVED);
		g_assert_cmpint(q_measure(f.store, entry, &gone, &f.err), ==, -ENOENT);
		g_assert_cmpuint(gone, ==, 0);
		free(entry);
		g_free(big);
		fix_down(&f, NULL);
	}
	g_assert_cmpint(q_entry_time("20010909-014640-postfix-4F2A1C0B9"), ==, 1000000000);
	g_assert_cmpint(q_entry_time("20010909-014640"), ==, 0);
	g_assert_cmpint(q_entry_time("200109-014640-x-y"), ==, 0);
	g_assert_cmpint(q_entry_time("name"), ==, 0);
	g_assert_cmpint(q_entry_time(""), ==, 0);
}

/* A bind mount: equal device numbers, yet rename says EXDEV. */
static void bind_mount(void)
{
	struct fix f;
	char *entry;

	if (!have_ns) {
		g_test_skip("needs root and a mount namespace");
		return;
	}
	fix_up_at(&f, NULL);
	g_assert_cmpint(mount(f.spool, f.spool, NULL, MS_BIND, NULL), ==, 0);
	close(f.root);
	f.m.root = f.root = open(f.spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	entry = move_ok(&f);
	g_assert_true(is_there(&f, "spool/.spoolck"));
	restore_ok(&f, entry);
	free(entry);
	fix_down(&f, NULL);
}

/* ---- what must not move ---- */

static void expect_not_moved(struct fix *f, enum q_outcome want)
{
	char *entry = NULL, *spool = picture(f->spool), *out = picture(f->outside), *now;

	g_assert_cmpint(q_move(f->store, &f->m, &entry, &f->err), ==, want);
	g_test_message("said: %s", f->err.text);
	g_assert_null(entry);
	g_assert_cmpstr(f->err.text, !=, "");
	now = picture(f->spool);
	g_assert_cmpstr(now, ==, spool);
	g_free(now);
	now = picture(f->outside);
	g_assert_cmpstr(now, ==, out);
	g_free(now);
	g_free(spool);
	g_free(out);
	assert_no_leftover(f);
	g_assert_cmpuint(count_in(f->store_path, "entries"), ==, 0);
}

static void changed_content(struct fix *f, gconstpointer data)
{
	char *path = at(f, "spool/input/" ID "-D");
	struct timespec ts[2] = { { 0, UTIME_OMIT }, { 1700000001, 1 } };

	(void)data;
	g_assert_true(g_file_set_contents(path, "another inode", -1, NULL));
	expect_not_moved(f, Q_CHANGED);
	f->parts[1].identity = look(f, "spool/input/" ID "-D");
	g_assert_cmpint(utimensat(AT_FDCWD, path, ts, 0), ==, 0);
	expect_not_moved(f, Q_CHANGED);
	f->parts[1].identity = look(f, "spool/input/" ID "-D");
	g_usleep(20000);
	g_assert_cmpint(chmod(path, 0400), ==, 0); /* only the ctime tells */
	expect_not_moved(f, Q_CHANGED);
	g_assert_cmpint(chmod(path, 0600), ==, 0);
	f->parts[1].identity = look(f, "spool/input/" ID "-D");
	g_assert_cmpint(truncate(path, 3), ==, 0);
	expect_not_moved(f, Q_CHANGED);
	g_assert_cmpint(unlink(path), ==, 0);
	expect_not_moved(f, Q_CHANGED);
	g_free(path);
}

static void swapped_file(struct fix *f, gconstpointer data)
{
	char *path = at(f, "spool/input/" ID "-D"), *victim = at(f, "outside/victim");

	(void)data;
	put(f, "outside/victim", "precious", 0600);
	g_assert_cmpint(unlink(path), ==, 0);
	g_assert_cmpint(symlink(victim, path), ==, 0);
	expect_not_moved(f, Q_CHANGED);
	g_assert_cmpint(unlink(path), ==, 0);
	g_assert_cmpint(mkdir(path, 0700), ==, 0);
	expect_not_moved(f, Q_CHANGED);
	g_assert_cmpint(rmdir(path), ==, 0);
	g_assert_cmpint(mkfifo(path, 0700), ==, 0);
	expect_not_moved(f, Q_CHANGED);
	g_free(path);
	g_free(victim);
}

/* The directory above a part becomes a link to a place outside that has a file of that name. */
static void swapped_directory(struct fix *f, gconstpointer data)
{
	char *dir = at(f, "spool/input");

	(void)data;
	put(f, "outside/" ID "-D", "data\nof it\n", 0640);
	move_file(f, "spool/input", "spool/was-input");
	g_assert_cmpint(symlink(f->outside, dir), ==, 0);
	expect_not_moved(f, Q_CHANGED);
	/* the same for a part that merely goes along: it is left where it is */
	g_assert_cmpint(unlink(dir), ==, 0);
	move_file(f, "spool/was-input", "spool/input");
	move_file(f, "spool/defer/4", "spool/defer/5");
	g_free(dir);
	dir = at(f, "spool/defer/4");
	g_assert_cmpint(symlink(f->outside, dir), ==, 0);
	put(f, "outside/" ID, "not a log", 0600);
	{
		char *out = picture(f->outside), *now, *entry = NULL;

		g_assert_cmpint(q_move(f->store, &f->m, &entry, &f->err), ==, Q_MOVED);
		now = picture(f->outside);
		g_assert_cmpstr(now, ==, out);
		g_free(now);
		g_free(out);
		free(entry);
	}
	g_free(dir);
}

static void bad_paths(struct fix *f, gconstpointer data)
{
	static const char *const bad[] = { "", "/etc/passwd", "../outside/x", "input/../x", "a//b",
					   "./x", "x/", "..", "." };

	(void)data;
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		f->parts[3].path = bad[i];
		expect_not_moved(f, Q_REFUSED);
	}
	f->parts[3].path = "bounce/" ID;
	f->m.hidden = "../outside";
	expect_not_moved(f, Q_REFUSED);
	f->m.hidden = NULL;
	f->m.id_len = 0;
	expect_not_moved(f, Q_REFUSED);
	f->m.id_len = 256;
	expect_not_moved(f, Q_REFUSED);
}

/* Writers at work while messages move: exchanges of files and
 * directories; nothing outside is ever touched and nothing is lost. */
static void exchanges(struct fix *f, gconstpointer data)
{
	char *outside, *now;
	unsigned moved = 0, other = 0;
	pid_t pid;

	(void)data;
	put(f, "outside/" ID "-D", "data\nof it\n", 0640);
	outside = picture(f->outside);
	pid = fork();
	if (pid == 0) {
		char *dir = at(f, "spool/input"), *aside = at(f, "spool/aside");
		char *one = at(f, "spool/input/" ID "-D"), *two = at(f, "spool/input/other");

		for (;;) {
			if (!rename(dir, aside) && !symlink(f->outside, dir)) {
				unlink(dir);
				rename(aside, dir);
			}
			rename(one, two);
			rename(two, one);
			g_usleep(g_random_int() % 200); /* let some moves succeed */
		}
	}
	for (int i = 0; i < 150; i++) {
		char *entry = NULL;
		enum q_outcome o = q_move(f->store, &f->m, &entry, &f->err);

		if (o == Q_MOVED) {
			moved++;
			for (int j = 0; j < 1000 && o == Q_MOVED && entry; j++)
				if (q_restore(f->store, entry, f->root, &f->err) == Q_MOVED) {
					free(entry);
					entry = NULL;
				}
			if (entry)
				break;
		} else {
			other++;
		}
		free(entry);
		if (o == Q_FAILED)
			q_recover(f->store, f->spool, NULL, NULL, &f->err);
		/* identities are unchanged by renames but for the ctime */
		for (unsigned n = 0; n < 2; n++) {
			struct stat st;
			char *path = g_build_filename(f->spool, f->parts[n].path, NULL);

			if (!lstat(path, &st) && S_ISREG(st.st_mode) &&
			    st.st_ino == f->parts[n].identity.ino)
				f->parts[n].identity.ctime = st.st_ctim;
			g_free(path);
		}
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	g_test_message("%u moved, %u not", moved, other);
	now = picture(f->outside);
	g_assert_cmpstr(now, ==, outside);
	g_free(now);
	g_free(outside);
	q_recover(f->store, f->spool, NULL, NULL, &f->err);
	/* put the spool's furniture back, then the message must be whole in one place */
	if (is_there(f, "spool/aside")) {
		char *dir = at(f, "spool/input");

		unlink(dir);
		move_file(f, "spool/aside", "spool/input");
		g_free(dir);
	}
	if (is_there(f, "spool/input/other"))
		move_file(f, "spool/input/other", "spool/input/" ID "-D");
	q_recover(f->store, f->spool, NULL, NULL, &f->err);
	if (count_in(f->store_path, "entries")) {
		char **names;

		g_assert_cmpint(q_entries(f->store, &names, &f->err), ==, 0);
		g_assert_cmpint(q_restore(f->store, names[0], f->root, &f->err), ==, Q_MOVED);
		g_strfreev(names);
	}
	assert_spool_as_before(f);
	assert_no_leftover(f);
}

/* ---- restore that must not happen ---- */

static void expect_not_restored(struct fix *f, const char *entry, enum q_outcome want)
{
	char *one = picture(f->top), *two;

	g_assert_cmpint(q_restore(f->store, entry, f->root, &f->err), ==, want);
	g_test_message("said: %s", f->err.text);
	two = picture(f->top);
	g_assert_cmpstr(one, ==, two);
	g_free(one);
	g_free(two);
}

static void restore_refused(struct fix *f, gconstpointer data)
{
	char *entry = move_ok(f), *full, *parts;
	int other;

	(void)data;
	put(f, "spool/input/" ID "-D", "a newcomer", 0600);
	expect_not_restored(f, entry, Q_REFUSED);
	g_assert_nonnull(strstr(f->err.text, "taken"));
	full = at(f, "spool/input/" ID "-D");
	g_assert_cmpint(unlink(full), ==, 0);
	g_assert_cmpint(symlink("/nowhere", full), ==, 0);
	expect_not_restored(f, entry, Q_REFUSED);
	g_assert_cmpint(unlink(full), ==, 0);
	g_free(full);
	move_file(f, "spool/defer/4", "spool/defer/gone");
	expect_not_restored(f, entry, Q_REFUSED);
	g_assert_nonnull(strstr(f->err.text, "directory is gone"));
	move_file(f, "spool/defer/gone", "spool/defer/4");
	other = f->root;
	f->root = open(f->outside, O_RDONLY | O_DIRECTORY);
	expect_not_restored(f, entry, Q_REFUSED);
	close(f->root);
	f->root = other;
	expect_not_restored(f, "20200101-000000-postfix-NONE", Q_FAILED);
	expect_not_restored(f, "../../outside", Q_FAILED);
	parts = g_build_filename("store/entries", entry, "parts/02-" ID "-D", NULL);
	full = at(f, parts);
	g_assert_cmpint(chmod(full, 0666), ==, 0);
	expect_not_restored(f, entry, Q_REFUSED);
	g_assert_nonnull(strstr(f->err.text, "mode was"));
	g_assert_cmpint(q_verify(f->store, entry, NULL, NULL, &f->err), ==, 1);
	g_assert_cmpint(chmod(full, 0640), ==, 0);
	restore_ok(f, entry);
	g_free(parts);
	g_free(full);
	free(entry);
}

static void verify(struct fix *f, gconstpointer data)
{
	char *entry = move_ok(f);
	char *parts = g_build_filename("store/entries", entry, "parts", NULL);
	char *one = g_build_filename(parts, "01-" ID, NULL);
	char *stray = g_build_filename(parts, "stray", NULL);
	char *json = g_build_filename("store/entries", entry, "manifest.json", NULL);
	GString *said = g_string_new(NULL);

	(void)data;
	move_file(f, one, "outside/away");
	g_assert_cmpint(q_verify(f->store, entry, collect, said, &f->err), ==, 1);
	g_assert_nonnull(strstr(said->str, "deferred/4/" ID ": missing"));
	expect_not_restored(f, entry, Q_REFUSED);
	put(f, one, "C the massage", 0700); /* same size, mode, times and owner */
	g_string_truncate(said, 0);
	g_assert_cmpint(q_verify(f->store, entry, collect, said, &f->err), ==, 1);
	g_assert_nonnull(strstr(said->str, "sha256 was"));
	expect_not_restored(f, entry, Q_REFUSED);
	move_file(f, "outside/away", one);
	put(f, stray, "what is this", 0600);
	g_assert_cmpint(q_verify(f->store, entry, NULL, NULL, &f->err), ==, 1);
	move_file(f, stray, "outside/stray");
	move_file(f, json, "outside/json");
	g_assert_cmpint(q_verify(f->store, entry, NULL, NULL, &f->err), ==, 1);
	expect_not_restored(f, entry, Q_FAILED);
	put(f, json, "{\"schema\":1,", 0600);
	g_assert_cmpint(q_verify(f->store, entry, NULL, NULL, &f->err), ==, 1);
	move_file(f, "outside/json", json);
	restore_ok(f, entry);
	g_string_free(said, TRUE);
	g_free(parts);
	g_free(one);
	g_free(stray);
	g_free(json);
	free(entry);
}

/* ---- the store ---- */

static void store_refused(struct fix *f, gconstpointer data)
{
	struct q_store *s;
	char *path = at(f, "store2"), *entries = at(f, "store2/entries");

	(void)data;
	g_assert_cmpint(q_store_open("relative/store", true, &s, &f->err), ==, -EINVAL);
	g_assert_cmpint(q_store_open(path, false, &s, &f->err), ==, -ENOENT);
	g_assert_cmpint(symlink("store", path), ==, 0);
	g_assert_cmpint(q_store_open(path, true, &s, &f->err), ==, -ENOTDIR);
	g_assert_cmpint(unlink(path), ==, 0);
	put(f, "store2", "a file", 0600);
	g_assert_cmpint(q_store_open(path, true, &s, &f->err), ==, -ENOTDIR);
	g_assert_cmpint(unlink(path), ==, 0);
	g_assert_cmpint(mkdir(path, 0700), ==, 0);
	g_assert_cmpint(chmod(path, 0770), ==, 0);
	g_assert_cmpint(q_store_open(path, true, &s, &f->err), ==, -EPERM);
	g_assert_cmpint(chmod(path, 0700), ==, 0);
	if (geteuid() == 0) {
		g_assert_cmpint(chown(path, 1234, 0), ==, 0);
		g_assert_cmpint(q_store_open(path, true, &s, &f->err), ==, -EPERM);
		g_assert_cmpint(chown(path, 0, 0), ==, 0);
	}
	g_assert_cmpint(symlink(f->outside, entries), ==, 0);
	g_assert_cmpint(q_store_open(path, true, &s, &f->err), ==, -ENOTDIR);
	g_assert_cmpint(unlink(entries), ==, 0);
	g_assert_cmpint(q_store_open(path, true, &s, &f->err), ==, 0);
	q_store_close(s);
	g_assert_cmpint(q_store_open(path, false, &s, &f->err), ==, 0);
	q_store_close(s);
	g_free(path);
	g_free(entries);
}

static void store_placed(struct fix *f, gconstpointer data)
{
	struct q_store *good = f->store;
	char *in = at(f, "spool/deferred/store"), *entry = NULL;
	char *now;

	(void)data;
	g_assert_cmpint(q_store_open(in, true, &f->store, &f->err), ==, 0);
	g_assert_cmpint(q_move(f->store, &f->m, &entry, &f->err), ==, Q_REFUSED);
	g_assert_nonnull(strstr(f->err.text, "in the spool"));
	q_store_close(f->store);
	rm_tree(in);
	assert_spool_as_before(f);
	chmod(f->top, 0700);
	g_assert_cmpint(q_store_open(f->top, true, &f->store, &f->err), ==, 0);
	g_assert_cmpint(q_move(f->store, &f->m, &entry, &f->err), ==, Q_REFUSED);
	g_assert_nonnull(strstr(f->err.text, "above the spool"));
	q_store_close(f->store);
	now = picture(f->spool);
	g_assert_cmpstr(now, ==, f->before);
	g_free(now);
	/* the spool itself as the store */
	chmod(f->spool, 0700);
	g_assert_cmpint(q_store_open(f->spool, true, &f->store, &f->err), ==, 0);
	g_assert_cmpint(q_move(f->store, &f->m, &entry, &f->err), ==, Q_REFUSED);
	q_store_close(f->store);
	f->store = good;
	g_free(in);
}

static void names(struct fix *f, gconstpointer data)
{
	char *entry[3], *found, **all;
	struct timespec now;

	(void)data;
	/* three of one id within one second, if the clock is kind */
	do
		clock_gettime(CLOCK_REALTIME, &now);
	while (now.tv_nsec > 500000000);
	for (int i = 0; i < 3; i++) {
		put(f, "spool/deferred/4/" ID, "again", 0700);
		put(f, "spool/input/" ID "-D", "again", 0700);
		put(f, "spool/defer/4/" ID, "again", 0600);
		f->parts[0].identity = look(f, "spool/deferred/4/" ID);
		f->parts[1].identity = look(f, "spool/input/" ID "-D");
		entry[i] = move_ok(f);
	}
	g_assert_cmpint(q_entries(f->store, &all, &f->err), ==, 0);
	g_assert_cmpuint(g_strv_length(all), ==, 3);
	for (int i = 0; i < 3; i++)
		g_assert_cmpstr(all[i], ==, entry[i]);
	g_strfreev(all);
	g_assert_cmpint(q_find(f->store, ID, &found, &f->err), ==, -ENOTUNIQ);
	g_assert_cmpint(q_find(f->store, "C0B9", &found, &f->err), ==, -ENOENT);
	g_assert_cmpint(q_find(f->store, ID "0", &found, &f->err), ==, -ENOENT);
	g_assert_cmpint(q_find(f->store, entry[1], &found, &f->err), ==, 0);
	g_assert_cmpstr(found, ==, entry[1]);
	free(found);
	/* two of them cannot be back at once */
	g_assert_cmpint(q_restore(f->store, entry[2], f->root, &f->err), ==, Q_MOVED);
	g_assert_cmpint(q_restore(f->store, entry[0], f->root, &f->err), ==, Q_REFUSED);
	for (int i = 0; i < 3; i++)
		free(entry[i]);
}

static void odd_ids(struct fix *f, gconstpointer data)
{
	char longest[255], odd[255];
	const struct { const char *id; size_t len; } ids[] = {
		{ longest, 255 }, { odd, 255 }, { "1tAbCd-0000XX-Ab", 16 }, { "..", 2 },
		{ "a/b\n\x1b[31m", 9 }, { "~2", 2 }, { "x~restore", 9 }, { "%7E", 3 },
		{ "\xff\xfe", 2 }, { "back\\slash", 10 },
	};
	char *found;

	(void)data;
	memset(longest, 'A', sizeof longest);
	memset(odd, '\n', sizeof odd);
	for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
		char *entry, *id = g_strndup(ids[i].id, ids[i].len);
		char *shown = escape_json(ids[i].id, ids[i].len);
		json_t *j;

		f->m.id = ids[i].id;
		f->m.id_len = ids[i].len;
		entry = move_ok(f);
		g_assert_cmpuint(strlen(entry), <=, Q_NAME_MAX);
		g_assert_cmpint(q_find(f->store, id, &found, &f->err), ==, 0);
		g_assert_cmpstr(found, ==, entry);
		free(found);
		g_assert_cmpint(q_find(f->store, shown, &found, &f->err), ==, 0);
		free(found);
		g_assert_cmpint(q_manifest(f->store, entry, &j, &f->err), ==, 0);
		g_assert_cmpstr(json_string_value(json_object_get(j, "id")), ==, shown);
		json_decref(j);
		restore_ok(f, entry);
		free(entry);
		g_free(id);
		g_free(shown);
		f->parts[0].identity = look(f, "spool/deferred/4/" ID);
		f->parts[1].identity = look(f, "spool/input/" ID "-D");
	}
}

static void escapes(void)
{
	char all[256];
	size_t len;

	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	for (int i = 0; i < 3; i++) {
		char *t = i == 0 ? escape_json(all, 256) : i == 1 ? escape_eyes(all, 256) :
								     escape_word(all, 256);
		char *back = escape_undo(t, &len);

		g_assert_true(g_utf8_validate(t, -1, NULL));
		g_assert_null(strpbrk(t, "\n\r\t\x1b\x7f"));
		g_assert_cmpuint(len, ==, 256);
		g_assert_true(!memcmp(back, all, 256));
		g_free(t);
		g_free(back);
	}
	g_assert_null(escape_undo("a\\", &len));
	g_assert_null(escape_undo("\\x4", &len));
	g_assert_null(escape_undo("\\n", &len));
	g_assert_null(escape_undo("a\n", &len));
	{
		char *t = escape_json("\xc3\xa4\xc2\x9b", 4), *u = escape_eyes("\xc3\xa4\xc2\x9b", 4);

		g_assert_cmpstr(t, ==, "\xc3\xa4\xc2\x9b");
		g_assert_cmpstr(u, ==, "\xc3\xa4\\xC2\\x9B");
		g_free(t);
		g_free(u);
	}
}

/* ---- states made by hand ---- */

/* An entry goes back in time: E/N to I/N, as it was when all parts were lodged. */
static char *unpublish(struct fix *f, const char *entry, bool returning)
{
	char *from = g_build_filename("store/entries", entry, NULL);
	char *to = g_strconcat("store/inflight/", entry, returning ? "~restore" : "", NULL);
	struct q_error err;

	if (returning) {
		struct plan *plan;
		char *full = at(f, from);
		int dir = open(full, O_RDONLY | O_DIRECTORY);

		g_assert_cmpint(plan_read(dir, "plan", &plan, &err), ==, 0);
		plan->kind = PLAN_RESTORE;
		g_assert_cmpint(plan_write(dir, "restore", plan, &err), ==, 0);
		plan_free(plan);
		close(dir);
		g_free(full);
	}
	move_file(f, from, to);
	g_free(from);
	return to;
}

static char *lodged(const char *flying, const char *target)
{
	return g_build_filename(flying, "parts", target, NULL);
}

static void part_to_spool(struct fix *f, const char *flying, unsigned n)
{
	static const char *const target[] = { "01-" ID, "02-" ID "-D", "03-" ID };
	static const char *const path[] = { "spool/deferred/4/" ID, "spool/input/" ID "-D",
					    "spool/defer/4/" ID };
	char *from = lodged(flying, target[n]);

	move_file(f, from, path[n]);
	g_free(from);
}

static void expect_in_quarantine(struct fix *f, const char *entry)
{
	char *name = NULL;

	g_assert_cmpuint(count_in(f->store_path, "inflight"), ==, 0);
	g_assert_cmpint(q_find(f->store, ID, &name, &f->err), ==, 0);
	g_assert_cmpstr(name, ==, entry);
	g_assert_cmpint(q_verify(f->store, entry, NULL, NULL, &f->err), ==, 0);
	restore_ok(f, entry);
	free(name);
}

/* Which parts are back in the spool when the crash comes: 0..7 as bits. */
static void recover_move_states(struct fix *f, gconstpointer data)
{
	(void)data;
	for (unsigned bits = 0; bits < 8; bits++) {
		char *entry = move_ok(f);
		char *flying = unpublish(f, entry, false);

		for (unsigned n = 0; n < 3; n++)
			if (bits & 1u << n)
				part_to_spool(f, flying, n);
		g_assert_cmpint(recover_twice(f), ==, 1);
		if (bits == 7) {
			assert_spool_as_before(f);
			assert_no_leftover(f);
			g_assert_cmpuint(count_in(f->store_path, "entries"), ==, 0);
		} else {
			expect_in_quarantine(f, entry);
		}
		for (unsigned n = 0; n < 2; n++) {
			char *path = g_build_filename("spool", f->parts[n].path, NULL);

			f->parts[n].identity = look(f, path);
			g_free(path);
		}
		g_free(flying);
		free(entry);
	}
}

static void recover_restore_states(struct fix *f, gconstpointer data)
{
	(void)data;
	for (unsigned bits = 0; bits < 8; bits++) {
		char *entry = move_ok(f);
		char *flying = unpublish(f, entry, true);

		for (unsigned n = 0; n < 3; n++)
			if (bits & 1u << n)
				part_to_spool(f, flying, n);
		g_assert_cmpint(recover_twice(f), ==, 1);
		if (bits) {
			assert_spool_as_before(f);
			assert_no_leftover(f);
			g_assert_cmpuint(count_in(f->store_path, "entries"), ==, 0);
		} else {
			expect_in_quarantine(f, entry);
		}
		for (unsigned n = 0; n < 2; n++) {
			char *path = g_build_filename("spool", f->parts[n].path, NULL);

			f->parts[n].identity = look(f, path);
			g_free(path);
		}
		g_free(flying);
		free(entry);
	}
}

static void recover_torn_plan(struct fix *f, gconstpointer data)
{
	char *entry = move_ok(f), *flying, *path, *plan, *dir;
	gsize len;

	(void)data;
	path = g_build_filename(f->store_path, "entries", entry, "plan", NULL);
	g_assert_true(g_file_get_contents(path, &plan, &len, NULL));
	g_free(path);
	restore_ok(f, entry);
	flying = g_build_filename("store/inflight", entry, NULL);
	dir = at(f, flying);
	path = g_build_filename(dir, "plan", NULL);
	for (gsize cut = 0; cut <= len; cut += cut < 80 || cut > len - 80 ? 1 : 11) {
		g_assert_cmpint(mkdir(dir, 0700), ==, 0);
		if (cut > 0)
			g_assert_true(g_file_set_contents(path, plan, (gssize)(cut - 1), NULL));
		g_assert_cmpint(q_recover(f->store, f->spool, NULL, NULL, &f->err), ==, 1);
		g_assert_false(is_there(f, flying));
		assert_spool_as_before(f);
	}
	/* what has no name of ours is not ours to remove */
	{
		char *odd = at(f, "store/inflight/lost+found");

		g_assert_cmpint(mkdir(odd, 0700), ==, 0);
		g_assert_cmpint(recover_twice(f), ==, 0);
		g_assert_true(is_there(f, "store/inflight/lost+found"));
		g_assert_cmpint(rmdir(odd), ==, 0);
		g_free(odd);
	}
	/* a damaged plan beside lodged parts is nobody's to guess */
	g_assert_cmpint(mkdir(dir, 0700), ==, 0);
	plan[30]++;
	g_assert_true(g_file_set_contents(path, plan, (gssize)len, NULL));
	g_free(path);
	path = g_build_filename(dir, "parts", NULL);
	g_assert_cmpint(mkdir(path, 0700), ==, 0);
	g_assert_cmpint(recover_twice(f), ==, -EBADMSG);
	g_assert_true(is_there(f, flying));
	g_free(path);
	g_free(plan);
	g_free(dir);
	g_free(flying);
	free(entry);
}

static void recover_changed(struct fix *f, gconstpointer data)
{
	char *entry = move_ok(f), *flying = unpublish(f, entry, false), *now;
	char *path = at(f, "spool/input/" ID "-D");

	(void)data;
	/* part 2 still in the spool, and written to since */
	part_to_spool(f, flying, 1);
	part_to_spool(f, flying, 2);
	g_assert_cmpint(truncate(path, 2), ==, 0);
	g_assert_cmpint(recover_twice(f), ==, 1);
	assert_no_leftover(f);
	g_assert_cmpuint(count_in(f->store_path, "entries"), ==, 0);
	g_assert_true(is_there(f, "spool/deferred/4/" ID));
	g_assert_true(is_there(f, "spool/input/" ID "-D"));
	put(f, "spool/input/" ID "-D", "data\nof it\n", 0640);
	now = picture(f->spool);
	g_assert_cmpuint(strlen(now), ==, strlen(f->before));
	g_free(now);
	g_free(path);
	g_free(flying);
	free(entry);
}

/* A foreign file was caught by our rename, and the crash came before we looked at it. */
static void recover_foreign(struct fix *f, gconstpointer data)
{
	char *entry = move_ok(f), *flying = unpublish(f, entry, false);
	char *target = lodged(flying, "02-" ID "-D"), *text_now, *path;

	(void)data;
	part_to_spool(f, flying, 2);
	move_file(f, target, "outside/original");
	put(f, target, "somebody else's", 0600);
	g_assert_cmpint(recover_twice(f), ==, 1);
	assert_no_leftover(f);
	g_assert_true(is_there(f, "spool/deferred/4/" ID));
	path = at(f, "spool/input/" ID "-D");
	g_assert_true(g_file_get_contents(path, &text_now, NULL, NULL));
	g_assert_cmpstr(text_now, ==, "somebody else's");
	g_free(text_now);
	g_free(path);
	g_free(target);
	g_free(flying);
	free(entry);
}

/* It cannot go forward and cannot go back: published, the newcomer untouched. */
static void recover_name_taken(struct fix *f, gconstpointer data)
{
	char *entry = move_ok(f), *flying = unpublish(f, entry, false), *path, *t;
	char *two = lodged(flying, "02-" ID "-D");

	(void)data;
	move_file(f, two, "outside/gone");
	put(f, "spool/deferred/4/" ID, "a newcomer", 0700);
	g_assert_cmpint(recover_twice(f), ==, 1);
	g_assert_cmpuint(count_in(f->store_path, "inflight"), ==, 0);
	g_assert_cmpuint(count_in(f->store_path, "entries"), ==, 1);
	g_assert_cmpint(q_verify(f->store, entry, NULL, NULL, &f->err), ==, 1);
	path = at(f, "spool/deferred/4/" ID);
	g_assert_true(g_file_get_contents(path, &t, NULL, NULL));
	g_assert_cmpstr(t, ==, "a newcomer");
	g_free(t);
	g_free(path);
	g_free(two);
	g_free(flying);
	free(entry);
}

/* Half restored, and the name of another part taken: what came back leaves again. */
static void recover_restore_taken(struct fix *f, gconstpointer data)
{
	char *entry = move_ok(f), *flying = unpublish(f, entry, true), *path;

	(void)data;
	part_to_spool(f, flying, 2);
	put(f, "spool/deferred/4/" ID, "a newcomer", 0700);
	g_assert_cmpint(recover_twice(f), ==, 1);
	path = at(f, "spool/deferred/4/" ID);
	g_assert_cmpint(unlink(path), ==, 0);
	g_free(path);
	expect_in_quarantine(f, entry);
	g_free(flying);
	free(entry);
}

/* Restored in full and consumed by the server at once: nothing comes back to life. */
static void recover_restore_consumed(struct fix *f, gconstpointer data)
{
	char *entry = move_ok(f), *flying = unpublish(f, entry, true);
	static const char *const path[] = { "spool/deferred/4/" ID, "spool/input/" ID "-D",
					    "spool/defer/4/" ID };

	(void)data;
	for (unsigned n = 0; n < 3; n++) {
		char *full = at(f, path[n]);

		part_to_spool(f, flying, n);
		g_assert_cmpint(unlink(full), ==, 0);
		g_free(full);
	}
	g_assert_cmpint(recover_twice(f), ==, 1);
	assert_no_leftover(f);
	g_assert_cmpuint(count_in(f->store_path, "entries"), ==, 0);
	g_free(flying);
	free(entry);
}

/* link() done, unlink() not: both places have the name. */
static void recover_linked(struct fix *f, gconstpointer data)
{
	char *entry = move_ok(f), *flying = unpublish(f, entry, true);
	char *target = lodged(flying, "03-" ID), *a = at(f, target);
	char *b = at(f, "spool/defer/4/" ID);

	(void)data;
	g_assert_cmpint(link(a, b), ==, 0);
	g_assert_cmpint(recover_twice(f), ==, 1);
	assert_spool_as_before(f);
	assert_no_leftover(f);
	g_free(a);
	g_free(b);
	g_free(target);
	g_free(flying);
	free(entry);
}

/* A part that merely went along is gone: no reason to bring the message back. */
static void recover_along_gone(struct fix *f, gconstpointer data)
{
	char *entry = move_ok(f), *flying = unpublish(f, entry, false), *found;
	char *log = lodged(flying, "03-" ID);

	(void)data;
	part_to_spool(f, flying, 1);
	move_file(f, log, "outside/log");
	g_assert_cmpint(recover_twice(f), ==, 1);
	g_assert_cmpint(q_find(f->store, ID, &found, &f->err), ==, 0);
	g_assert_cmpint(q_restore(f->store, entry, f->root, &f->err), ==, Q_MOVED);
	move_file(f, "outside/log", "spool/defer/4/" ID);
	assert_spool_as_before(f);
	assert_no_leftover(f);
	free(found);
	g_free(log);
	g_free(flying);
	free(entry);
}

/* Somebody is at work on it, or it is another spool's: left alone. */
static void recover_leaves_alone(struct fix *f, gconstpointer data)
{
	char *entry = move_ok(f), *flying = unpublish(f, entry, false), *dir = at(f, flying), *one, *two;
	int fd = open(dir, O_RDONLY | O_DIRECTORY);

	(void)data;
	one = picture(f->top);
	g_assert_cmpint(flock(fd, LOCK_EX | LOCK_NB), ==, 0);
	g_assert_cmpint(q_recover(f->store, f->spool, NULL, NULL, &f->err), ==, 0);
	close(fd);
	g_assert_cmpint(q_recover(f->store, f->outside, NULL, NULL, &f->err), ==, 0);
	/* every spool, but this one is locked by another run */
	fd = open(f->spool, O_RDONLY | O_DIRECTORY);
	g_assert_cmpint(flock(fd, LOCK_EX | LOCK_NB), ==, 0);
	g_assert_cmpint(q_recover(f->store, NULL, NULL, NULL, &f->err), ==, 0);
	close(fd);
	two = picture(f->top);
	g_assert_cmpstr(one, ==, two);
	/* the spool is another directory now: nothing is concluded from what it lacks */
	move_file(f, "spool", "was-spool");
	g_assert_cmpint(mkdir(f->spool, 0755), ==, 0);
	g_assert_cmpint(q_recover(f->store, f->spool, NULL, NULL, &f->err), ==, -ENXIO);
	g_assert_cmpint(rmdir(f->spool), ==, 0);
	move_file(f, "was-spool", "spool");
	g_assert_cmpint(q_recover(f->store, NULL, NULL, NULL, &f->err), ==, 1);
	expect_in_quarantine(f, entry);
	g_free(one);
	g_free(two);
	g_free(dir);
	g_free(flying);
	free(entry);
}

/* A stale `restore` in a published entry means nothing. */
static void stale_restore(struct fix *f, gconstpointer data)
{
	char *entry = move_ok(f);
	char *path = g_build_filename("store/entries", entry, "restore", NULL);

	(void)data;
	put(f, path, "spoolck-plan 1 rest", 0600);
	g_assert_cmpint(recover_twice(f), ==, 0);
	restore_ok(f, entry);
	g_free(path);
	free(entry);
}

static void lodge_states(void)
{
	if (!have_ns) {
		g_test_skip("needs root and a mount namespace");
		return;
	}
	for (unsigned bits = 0; bits < 16; bits++) {
		static const char *const target[] = { "01-" ID, "02-" ID "-D", "03-" ID };
		static const char *const path[] = { "spool/deferred/4/" ID, "spool/input/" ID "-D",
						    "spool/defer/4/" ID };
		bool returning = bits & 8;
		char *entry, *flying;
		struct fix f;

		fix_up_at(&f, "tmpfs");
		entry = move_ok(&f);
		flying = unpublish(&f, entry, returning);
		for (unsigned n = 0; n < 3; n++)
			if (bits & 1u << n) {
				char *from = g_build_filename("spool/.spoolck", entry, target[n], NULL);

				move_file(&f, from, path[n]);
				g_free(from);
			}
		g_assert_cmpint(recover_twice(&f), ==, 1);
		if (returning ? (bits & 7) != 0 : (bits & 7) == 7) {
			assert_spool_as_before(&f);
			assert_no_leftover(&f);
		} else {
			expect_in_quarantine(&f, entry);
		}
		g_free(flying);
		free(entry);
		fix_down(&f, NULL);
	}
}

/* The spool's owner takes the lodge away in the middle: nothing is concluded
 * from that, and when it comes back the move is finished. */
static void lodge_taken_away(void)
{
	char *entry, *flying, *one, *two;
	struct fix f;

	if (!have_ns) {
		g_test_skip("needs root and a mount namespace");
		return;
	}
	fix_up_at(&f, "tmpfs");
	entry = move_ok(&f);
	flying = unpublish(&f, entry, false);
	move_file(&f, "spool/.spoolck", "spool/taken");
	one = picture(f.top);
	g_assert_cmpint(q_recover(f.store, f.spool, NULL, NULL, &f.err), ==, -ENOENT);
	two = picture(f.top);
	g_assert_cmpstr(one, ==, two);
	move_file(&f, "spool/taken", "spool/.spoolck");
	g_assert_cmpint(recover_twice(&f), ==, 1);
	expect_in_quarantine(&f, entry);
	g_free(one);
	g_free(two);
	g_free(flying);
	free(entry);
	fix_down(&f, NULL);
}

/* ---- locks, numbers ---- */

static void lock(struct fix *f, gconstpointer data)
{
	int other = open(f->spool, O_RDONLY | O_DIRECTORY);
	gint64 start = g_get_monotonic_time(), took;

	(void)data;
	g_assert_cmpint(q_lock(f->root, 0, &f->err), ==, 0);
	g_assert_cmpint(q_lock(other, 200, &f->err), ==, -EWOULDBLOCK);
	took = g_get_monotonic_time() - start;
	g_assert_cmpint(took, >=, 200 * 1000);
	q_unlock(f->root);
	g_assert_cmpint(q_lock(other, 0, &f->err), ==, 0);
	close(other);
	g_assert_cmpint(q_lock(f->root, 0, &f->err), ==, 0);
	q_unlock(f->root);
}

static void many_entries(struct fix *f, gconstpointer data)
{
	enum { MANY = 20000 };
	char **all, *found, *dir = g_build_filename(f->store_path, "entries", NULL);
	int fd = open(dir, O_RDONLY | O_DIRECTORY);

	(void)data;
	for (int i = MANY; i-- > 0;) {
		char name[64];

		snprintf(name, sizeof name, "2026%04d-000000-postfix-%05X", i / 10, (unsigned)i);
		g_assert_cmpint(mkdirat(fd, name, 0700), ==, 0);
	}
	g_assert_cmpint(mkdirat(fd, "lost+found", 0700), ==, 0);
	close(fd);
	g_assert_cmpint(q_entries(f->store, &all, &f->err), ==, 0);
	g_assert_cmpuint(g_strv_length(all), ==, MANY);
	for (unsigned i = 1; i < MANY; i++)
		g_assert_cmpint(strcmp(all[i - 1], all[i]), <, 0);
	g_strfreev(all);
	g_assert_cmpint(q_find(f->store, "01234", &found, &f->err), ==, 0);
	g_assert_true(g_str_has_suffix(found, "-01234"));
	free(found);
	g_free(dir);
}

static void setup_namespace(void)
{
	have_ns = geteuid() == 0 && !unshare(CLONE_NEWNS) &&
		  !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

#define T(path, fn) g_test_add("/quarantine/" path, struct fix, NULL, fix_up, fn, fix_down)

int main(int argc, char **argv)
{
	int rc;

	umask(022);
	g_test_init(&argc, &argv, NULL);
	setup_namespace();
	base = g_dir_make_tmp("spoolck-XXXXXX", NULL);
	g_assert_nonnull(base);
	/* many fsyncs; TMPDIR=DIR runs them on a disk */
	if (have_ns && !g_getenv("TMPDIR"))
		g_assert_cmpint(mount("none", base, "tmpfs", 0, "mode=700"), ==, 0);
	T("round-trip", round_trip);
	T("manifest", manifest);
	g_test_add_func("/quarantine/two-file-systems", two_file_systems);
	g_test_add_func("/quarantine/bind-mount", bind_mount);
	g_test_add_func("/quarantine/drain", drain);
	g_test_add_func("/quarantine/drain-refused", drain_refused);
	g_test_add_func("/quarantine/drain-bind-mount", drain_bind);
	g_test_add_func("/quarantine/purge", purge);
	g_test_add_func("/quarantine/measure", measure);
	T("changed-content", changed_content);
	T("swapped-file", swapped_file);
	T("swapped-directory", swapped_directory);
	T("bad-paths", bad_paths);
	T("exchanges", exchanges);
	T("restore-refused", restore_refused);
	T("verify", verify);
	T("store-refused", store_refused);
	T("store-placed", store_placed);
	T("names", names);
	T("odd-ids", odd_ids);
	g_test_add_func("/quarantine/escape", escapes);
	T("recover-move-states", recover_move_states);
	T("recover-restore-states", recover_restore_states);
	T("recover-torn-plan", recover_torn_plan);
	T("recover-changed", recover_changed);
	T("recover-foreign", recover_foreign);
	T("recover-name-taken", recover_name_taken);
	T("recover-restore-taken", recover_restore_taken);
	T("recover-restore-consumed", recover_restore_consumed);
	T("recover-linked", recover_linked);
	T("recover-along-gone", recover_along_gone);
	T("recover-leaves-alone", recover_leaves_alone);
	T("stale-restore", stale_restore);
	g_test_add_func("/quarantine/lodge-states", lodge_states);
	g_test_add_func("/quarantine/lodge-taken-away", lodge_taken_away);
	T("lock", lock);
	T("many-entries", many_entries);
	rc = g_test_run();
	rm_tree(base);
	umount2(base, MNT_DETACH);
	rmdir(base);
	g_free(base);
	return rc;
}
