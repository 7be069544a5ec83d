/*
 * test-scanner.c - the scanner's pure pieces: wire, seen, decide, paths
 */
#include "config.h"

#include "ages.h"
#include "beneath.h"
#include "bounds.h"
#include "host.h"
#include "mask.h"
#include "proc_locks.h"
#include "reach.h"
#include "scan.h"
#include "seen.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- wire --------------------------------------------------------------------- */

static void fill(struct report *r)
{
	report_reset(r);
	r->has_sender = r->has_arrival = true;
	memcpy(r->sender, "bob@example.org", 15);
	r->sender_len = 15;
	r->recipients = UINT64_C(1) << 40;
	r->recipients_done = 7;
	r->arrival = -1;
	r->more = 3;
	for (unsigned i = 0; i < REPORT_MAX; i++) {
		struct finding *f = report_add(r, (enum finding_id)(i % F_COUNT), i % PARTS_MAX,
					       UINT64_MAX - i, i);

		f->impact = IMPACT_SERVER_STOPS;
		f->unit = UNIT_PART;
		f->deadline = INT64_MIN + i;
		for (unsigned k = 0; k < TEXT_MAX; k++)
			text_bytes(&f->found, (const uint8_t *)"\0", 1);
		text_str(&f->field, "field");
	}
}

/* One frame with one full report; the length of its body. */
static size_t full_frame(uint8_t *buf, size_t cap, struct answer *a)
{
	static struct report r;
	struct wire w = { .buf = buf, .cap = cap };
	struct cur c;

	fill(&r);
	g_assert_true(wire_put_report(&w, 5, &r));
	c = cur_make(buf, w.len, 0);
	g_assert_true(wire_next(&c, a));
	g_assert_cmpuint(cur_left(&c), ==, 0);
	return a->len;
}

static void test_wire_round_trip(void)
{
	static uint8_t buf[ANSWER_MAX];
	static struct report r, back;
	struct answer a;

	fill(&r);
	full_frame(buf, sizeof buf, &a);
	g_assert_cmpuint(a.kind, ==, ANSWER_DONE);
	g_assert_cmpuint(a.index, ==, 5);
	g_assert_true(wire_get_report(a.body, a.len, &back));
	g_assert_cmpuint(back.count, ==, REPORT_MAX);
	g_assert_cmpuint(back.recipients, ==, r.recipients);
	g_assert_cmpint(back.arrival, ==, -1);
	g_assert_cmpmem(back.sender, back.sender_len, r.sender, r.sender_len);
	g_assert_cmpuint(back.findings[3].offset, ==, UINT64_MAX - 3);
	g_assert_cmpint(back.findings[3].deadline, ==, INT64_MIN + 3);
	g_assert_cmpuint(back.findings[3].found.len, ==, TEXT_MAX);
}

/* Cut anywhere, and with bytes behind it: refused. */
static void test_wire_cut(void)
{
	static uint8_t buf[ANSWER_MAX + 1];
	static struct report back;
	struct answer a;
	size_t len = full_frame(buf, sizeof buf, &a);

	for (size_t n = 0; n < len; n++)
		g_assert_false(wire_get_report(a.body, n, &back));
	g_assert_false(wire_get_report(a.body, len + 1, &back));
}

/* Whatever bytes a taken-over worker sends: no crash, and what is accepted is in range. */
static void test_wire_flipped(void)
{
	static uint8_t buf[ANSWER_MAX];
	static struct report back;
	struct answer a;
	size_t len = full_frame(buf, sizeof buf, &a);

	for (size_t i = 0; i < len; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			uint8_t *byte = buf + (a.body - buf) + i;

			*byte ^= (uint8_t)(1u << bit);
			if (wire_get_report(a.body, len, &back)) {
				g_assert_cmpuint(back.count, <=, REPORT_MAX);
				for (unsigned f = 0; f < back.count; f++) {
					g_assert_cmpuint(back.findings[f].id, <, F_COUNT);
					g_assert_cmpuint(back.findings[f].severity, <=, SEV_CORRUPT);
					g_assert_cmpuint(back.findings[f].part, <, PARTS_MAX);
				}
			}
			*byte ^= (uint8_t)(1u << bit);
		}
}

/* What does not fit leaves the buffer as it was. */
static void test_wire_full(void)
{
	static struct report r;
	uint8_t buf[64];
	struct wire w = { .buf = buf, .cap = sizeof buf };

	g_assert_true(wire_put_end(&w, 1));
	fill(&r);
	g_assert_false(wire_put_report(&w, 2, &r));
	g_assert_cmpuint(w.len, ==, 7);
	g_assert_true(wire_put_end(&w, 3));
	g_assert_cmpuint(w.len, ==, 14);
}

static void test_wire_want(void)
{
	uint8_t buf[64];
	struct wire w = { .buf = buf, .cap = sizeof buf };
	struct want want = { .part = 1, .off = 1u << 30, .len = WINDOW_MAX }, back;
	struct cur c;
	struct answer a;

	g_assert_true(wire_put_want(&w, 0, &want));
	c = cur_make(buf, w.len, 0);
	g_assert_true(wire_next(&c, &a));
	g_assert_true(wire_get_want(a.body, a.len, &back));
	g_assert_cmpuint(back.off, ==, want.off);
	w.len = 0;
	want.len = WINDOW_MAX + 1;
	wire_put_want(&w, 0, &want);
	g_assert_false(wire_get_want(buf + 7, w.len - 7, &back));
	buf[0] = 99; /* no such kind */
	c = cur_make(buf, w.len, 0);
	g_assert_false(wire_next(&c, &a));
	g_assert_cmpint(c.err, !=, CUR_OK);
}

/* --- seen ---------------------------------------------------------------------- */

static void test_seen(void)
{
	struct seen *seen = seen_new();
	char id[32];
	unsigned wrong = 0;

	for (unsigned i = 0; i < 50000; i++) {
		int n = g_snprintf(id, sizeof id, "%X", i * 2654435761u);

		wrong += seen_add(seen, id, (size_t)n, i) != SEEN_NEW;
	}
	/* 40 bits of a keyed hash: two of so many ids meet in one run of a thousand */
	g_assert_cmpuint(wrong, <=, 2);
	for (unsigned i = 0; i < 50000; i++) {
		int n = g_snprintf(id, sizeof id, "%X", i * 2654435761u);

		g_assert_cmpint(seen_add(seen, id, (size_t)n, i), ==, SEEN_SAME);
		g_assert_true(seen_id(seen, id, (size_t)n));
	}
	g_assert_cmpint(seen_add(seen, "0", 1, 77), ==, SEEN_OTHER);
	g_assert_cmpint(seen_add(seen, "0", 1, 77), ==, SEEN_SAME);
	g_assert_cmpint(seen_add(seen, "0", 1, 0), ==, SEEN_SAME);
	g_assert_false(seen_id(seen, "never", 5));
	seen_free(seen);
}

/* --- decide ---------------------------------------------------------------------- */

static const struct place places[] = {
	{ .name = "stopped-only", .lock = MOVE_STOPPED },
	{ .name = "live", .lock = MOVE_LIVE },
};
static const struct format format = { .name = "test", .places = places, .nplaces = 2,
				      .tested_version = VERSION(3, 7, 0) };

static struct scan *scan_new(struct spool *spool, struct scan_options *options, unsigned messages)
{
	struct scan *scan = g_new0(struct scan, 1);

	spool->format = &format;
	*scan = (struct scan){ .options = options, .spool = spool,
			       .outcomes = g_ptr_array_new_with_free_func(
				       (GDestroyNotify)outcome_free),
			       .notes = g_ptr_array_new_with_free_func(g_free) };
	scan->tally.messages = messages;
	return scan;
}

static struct outcome *add(struct scan *scan, unsigned place, enum verdict v, enum impact impact,
			   enum finding_id id)
{
	struct outcome *o = g_new0(struct outcome, 1);

	o->id = g_strdup("ID");
	o->path = g_strdup("x");
	o->place = place;
	o->verdict = v;
	o->impact = impact;
	o->report = g_new0(struct report, 1);
	report_add(o->report, id, 0, 0, 0)->impact = (uint8_t)impact;
	g_ptr_array_add(scan->outcomes, o);
	return o;
}

static void test_decide_policy(void)
{
	static const struct {
		enum policy policy;
		enum verdict verdict;
		enum impact impact;
		enum action action;
	} cases[] = {
		{ MOVE_NOTHING, VERDICT_CORRUPT, IMPACT_SERVER_STOPS, ACTION_NONE },
		{ MOVE_FATAL, VERDICT_CORRUPT, IMPACT_SERVER_STOPS, ACTION_PLANNED },
		{ MOVE_FATAL, VERDICT_CORRUPT, IMPACT_SERVER_DELETES, ACTION_PLANNED },
		{ MOVE_FATAL, VERDICT_CORRUPT, IMPACT_DAMAGED_DELIVERY, ACTION_NONE },
		{ MOVE_FATAL, VERDICT_CORRUPT, IMPACT_STRANDED, ACTION_NONE },
		{ MOVE_CORRUPT, VERDICT_CORRUPT, IMPACT_NONE, ACTION_PLANNED },
		{ MOVE_CORRUPT, VERDICT_SUSPECT, IMPACT_SERVER_STOPS, ACTION_NONE },
		{ MOVE_CORRUPT, VERDICT_UNCHECKED, IMPACT_SERVER_STOPS, ACTION_NONE },
		{ MOVE_CORRUPT, VERDICT_FOREIGN, IMPACT_SERVER_STOPS, ACTION_NONE },
		{ MOVE_CORRUPT, VERDICT_CHANGED, IMPACT_SERVER_STOPS, ACTION_NONE },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct spool spool = { .running = SERVER_STOPPED };
		struct scan_options options = { .policy = cases[i].policy, .brake = true };
		struct scan *scan = scan_new(&spool, &options, 100);
		struct outcome *o = add(scan, 0, cases[i].verdict, cases[i].impact, 0);

		decide(scan);
		g_assert_cmpint(o->action, ==, cases[i].action);
		scan_free(scan);
	}
}

/* One message that -y would move, under each circumstance that holds it back. */
static void test_decide_refusals(void)
{
	static const struct {
		unsigned place;
		enum running running;
		bool network, cut, unattended;
		uint32_t version;
		enum action action;
	} cases[] = {
		{ 0, SERVER_STOPPED, false, false, false, 0, ACTION_PLANNED },
		{ 0, SERVER_RUNNING, false, false, false, 0, ACTION_REFUSED },
		{ 0, SERVER_UNKNOWN, false, false, false, 0, ACTION_REFUSED },
		{ 1, SERVER_RUNNING, false, false, false, 0, ACTION_PLANNED },
		{ 1, SERVER_STOPPED, true, false, false, 0, ACTION_REFUSED },
		{ 1, SERVER_STOPPED, false, true, false, 0, ACTION_REFUSED },
		{ 1, SERVER_STOPPED, false, false, true, VERSION(3, 7, 99), ACTION_PLANNED },
		{ 1, SERVER_STOPPED, false, false, true, VERSION(3, 8, 0), ACTION_REFUSED },
		{ 1, SERVER_STOPPED, false, false, true, VERSION(4, 0, 0), ACTION_REFUSED },
		{ 1, SERVER_STOPPED, false, false, false, VERSION(4, 0, 0), ACTION_PLANNED },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct spool spool = { .running = cases[i].running, .network = cases[i].network,
				       .site.version = cases[i].version };
		struct scan_options options = { .policy = MOVE_CORRUPT, .brake = true,
						.unattended = cases[i].unattended };
		struct scan *scan = scan_new(&spool, &options, 100);
		struct outcome *o = add(scan, cases[i].place, VERDICT_CORRUPT, IMPACT_SERVER_STOPS, 0);

		scan->cut_short = cases[i].cut;
		decide(scan);
		g_assert_cmpint(o->action, ==, cases[i].action);
		g_assert_true((o->action == ACTION_REFUSED) == (o->reason != NULL));
		scan_free(scan);
	}
}

static unsigned planned(unsigned messages, unsigned corrupt, unsigned kinds,
			struct scan_options options)
{
	struct spool spool = { .running = SERVER_STOPPED };
	struct scan *scan = scan_new(&spool, &options, messages);
	unsigned count = 0;

	options.policy = MOVE_CORRUPT;
	for (unsigned i = 0; i < corrupt; i++)
		add(scan, 1, VERDICT_CORRUPT, IMPACT_SERVER_STOPS, (enum finding_id)(i % kinds));
	decide(scan);
	for (guint i = 0; i < scan->outcomes->len; i++)
		count += ((struct outcome *)scan->outcomes->pdata[i])->action == ACTION_PLANNED;
	scan_free(scan);
	return count;
}

static void test_decide_brake(void)
{
	const struct scan_options attended = { .brake = true };
	const struct scan_options unattended = { .brake = true, .unattended = true };
	const struct scan_options none = { .brake = false };
	const struct scan_options five = { .brake = true, .max_move = 5 };

	/* More than 3 and over a third with the same finding: our error. */
	g_assert_cmpuint(planned(3, 3, 1, attended), ==, 3);
	g_assert_cmpuint(planned(4, 4, 1, attended), ==, 0);
	g_assert_cmpuint(planned(12, 4, 1, attended), ==, 4);
	g_assert_cmpuint(planned(11, 4, 1, attended), ==, 0);
	g_assert_cmpuint(planned(4, 4, 1, none), ==, 4);
	g_assert_cmpuint(planned(4, 4, 2, attended), ==, 4);
	/* Unattended: 10 percent, at least 1, at most 10. */
	g_assert_cmpuint(planned(5, 1, 1, unattended), ==, 1);
	g_assert_cmpuint(planned(5, 2, 1, unattended), ==, 0);
	g_assert_cmpuint(planned(30, 3, 1, unattended), ==, 3);
	g_assert_cmpuint(planned(1000, 10, 1, unattended), ==, 10);
	g_assert_cmpuint(planned(1000, 11, 1, unattended), ==, 0);
	g_assert_cmpuint(planned(1000, 300, 1, attended), ==, 300);
	/* The operator's own number. */
	g_assert_cmpuint(planned(1000, 5, 1, five), ==, 5);
	g_assert_cmpuint(planned(1000, 6, 1, five), ==, 0);
}

/* --- beneath ----------------------------------------------------------------------- */

static void test_beneath(void)
{
	g_autofree char *dir = g_dir_make_tmp("spoolck-beneath-XXXXXX", NULL);
	int root = open(dir, O_RDONLY | O_DIRECTORY), fd;

	g_assert_cmpint(mkdirat(root, "a", 0700), ==, 0);
	g_assert_cmpint(mkdirat(root, "a/b", 0700), ==, 0);
	g_assert_cmpint(symlinkat("/etc", root, "a/out"), ==, 0);
	g_assert_cmpint(symlinkat("b", root, "a/in"), ==, 0);
	fd = open_beneath(root, "a/b", O_RDONLY | O_DIRECTORY);
	g_assert_cmpint(fd, >=, 0);
	close(fd);
	fd = open_beneath(root, ".", O_RDONLY | O_DIRECTORY);
	g_assert_cmpint(fd, >=, 0);
	close(fd);
	g_assert_cmpint(open_beneath(root, "a/out/passwd", O_RDONLY), <, 0);
	g_assert_cmpint(open_beneath(root, "a/in", O_RDONLY), <, 0);
	g_assert_cmpint(open_beneath(root, "../etc/passwd", O_RDONLY), <, 0);
	g_assert_cmpint(open_beneath(root, "/etc/passwd", O_RDONLY), <, 0);
	g_assert_cmpint(open_beneath(root, "a/none", O_RDONLY), ==, -ENOENT);
	unlinkat(root, "a/in", 0);
	unlinkat(root, "a/out", 0);
	unlinkat(root, "a/b", AT_REMOVEDIR);
	unlinkat(root, "a", AT_REMOVEDIR);
	rmdir(dir);
	close(root);
}

/* --- host --------------------------------------------------------------------------- */

/* A configuration file with this text; the path, g_free. */
static char *configuration(const char *text)
{
	char *path = NULL;
	int fd = g_file_open_tmp("spoolck-host-XXXXXX", &path, NULL);

	g_assert_cmpint(fd, >=, 0);
	close(fd);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	return path;
}

static void test_host_values(void)
{
	static const struct { const char *text, *before, *value; } rows[] = {
		{ "# x\nO QueueDirectory=/var/spool/mqueue\n", "O QueueDirectory=", "/var/spool/mqueue" },
		{ "OQ/var/spool/mqueue\r\nOQ/other\n", "OQ", "/var/spool/mqueue" },
		{ "Qlocal, P=/var/q/l*, F=f\n", "Q*P=", "/var/q/l*" },
		{ "Q, P=/a b\n", "Q*P=", "/a" },
		{ "queue = 4d\n", "keep = ", NULL }, { "keep = \n", "keep = ", NULL }, { "", "", NULL },
		{ "/a path\n/b\n", "", "/a path" }, { "\n\n/b", "", "/b" }, { "Q P=", "Q*P=", NULL },
		{ "xO QueueDirectory=/a\n", "O QueueDirectory=", NULL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *path = configuration(rows[i].text);
		const struct source source = { .file = path, .before = rows[i].before };
		g_autofree char *value = host_value(&source);

		g_assert_cmpstr(value, ==, rows[i].value);
		unlink(path);
		g_assert_null(host_value(&source)); /* there is no such file now */
	}
}

static void test_host_durations(void)
{
	static const struct { const char *text; gint64 seconds; } rows[] = {
		{ "4d", 345600 }, { "1w2d3h4m5s", 788645 }, { "90", 90 }, { "0s", 0 }, { "0", 0 },
		{ "", -1 }, { "d", -1 }, { "4x", -1 }, { "4d x", -1 }, { "-4d", -1 }, { " 4d", -1 },
		{ "99999999999999999999d", -1 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		uint64_t seconds = 0;
		bool good = host_duration(rows[i].text, &seconds);

		g_assert_cmpint(good ? (gint64)seconds : -1, ==, rows[i].seconds);
	}
}

static void test_host_roots(void)
{
	g_autofree char *dir = g_dir_make_tmp("spoolck-host-XXXXXX", NULL);
	g_autofree char *text = g_strdup_printf("dir %s/q*\ndir %s/one\ndir %s/*/x\ndir relative\n"
						"dir %s/./one\ndir %s/nowhere\ndir %s/file\nhome %s\n",
						dir, dir, dir, dir, dir, dir, dir);
	g_autofree char *path = configuration(text), *usual = g_strconcat(dir, "/usual", NULL);
	g_autofree char *one = g_strconcat(dir, "/one", NULL);
	const char *const defaults[] = { usual, one, NULL };
	const struct source sources[] = {
		{ .file = path, .before = "dir " }, { .file = "/nonexistent/spoolck", .before = "" },
		{ .file = path, .before = "home ", .below = "msgs" }, { .before = NULL },
	};
	const struct format server = { .sources = sources, .default_roots = defaults };
	static const char *const wanted[] = { "q1", "q2", "one", "msgs", "usual" };
	static const char *const made[] = { "q1", "q2", "one", "msgs", "usual", "q1/x", "other", "other/x" };
	g_autofree char *file = g_strconcat(dir, "/file", NULL);
	unsigned configured;
	GPtrArray *roots;

	for (size_t i = 0; i < G_N_ELEMENTS(made); i++) {
		g_autofree char *made_path = g_build_filename(dir, made[i], NULL);

		g_assert_cmpint(mkdir(made_path, 0700), ==, 0);
	}
	g_assert_true(g_file_set_contents(file, "", 0, NULL));
	roots = host_look(&server, &configured);
	g_assert_cmpuint(configured, ==, 4);
	g_assert_cmpuint(roots->len, ==, G_N_ELEMENTS(wanted));
	for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
		g_autofree char *want = g_build_filename(dir, wanted[i], NULL);

		g_assert_cmpstr(roots->pdata[i], ==, want);
	}
	g_ptr_array_free(roots, TRUE);
	unlink(path);
	unlink(file);
	for (size_t i = G_N_ELEMENTS(made); i > 0; i--) {
		g_autofree char *made_path = g_build_filename(dir, made[i - 1], NULL);

		rmdir(made_path);
	}
	rmdir(dir);
}

/* --- Masking ---------------------------------------------------------------- */

static char *mask_all(const char *text, unsigned how)
{
	struct mask_state state = { false };
	size_t n = strlen(text);
	g_autofree uint8_t *map = g_malloc(n + 1);
	char *copy = g_strdup(text);

	memset(map, (int)how, n);
	mask_bytes(&state, (uint8_t *)copy, map, n);
	return copy;
}

static void test_mask_bytes(void)
{
	static const struct {
		const char *text, *masked;
		unsigned how;
	} cases[] = {
		{ "Bob 12, <a@B.de>\r\n", "Aaa 11, <a@A.aa>\r\n", MASK_UNTOLD },
		{ "Bob 12", "Bob 12", MASK_KEEP },
		{ "x  612", "a  612", MASK_PERSONAL + PERSONAL_LETTERS },
		{ "a\033$B!!$\n$B", "a\033aAaaa\n$A", MASK_PERSONAL + PERSONAL_TEXT },
		{ "\037\213.a", "aaaa", MASK_PERSONAL + PERSONAL_OPAQUE },
		{ "+2B=4d", "+1A=1a", MASK_PERSONAL + PERSONAL_TEXT },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *got = mask_all(cases[i].text, cases[i].how);

		g_assert_cmpstr(got, ==, cases[i].masked);
	}
}

/* Every character stays one of as many bytes, and is another. */
static void test_mask_utf8(void)
{
	for (gunichar c = 0x80; c < 0x110000; c += c < 0x11000 ? 1 : 0x1001) {
		char text[8] = "";
		g_autofree char *got = NULL;

		if (c >= 0xd800 && c < 0xe000)
			continue;
		g_unichar_to_utf8(c, text);
		got = mask_all(text, MASK_UNTOLD);
		g_assert_cmpuint(strlen(got), ==, strlen(text));
		g_assert_true(g_utf8_validate(got, -1, NULL));
		g_assert_cmpint(g_utf8_strlen(got, -1), ==, 1);
	}
}

/* In order before, in order behind; different stay different. */
static void test_mask_rank(void)
{
	const size_t count = 700;
	char last[16] = "";

	g_assert_cmpuint(mask_digits(26), ==, 1);
	g_assert_cmpuint(mask_digits(27), ==, 2);
	g_assert_cmpuint(mask_digits(677), ==, 3);
	for (size_t i = 0; i < count; i++) {
		char address[16] = "aaaaa@aaaa.aaa";

		mask_rank((uint8_t *)address, strlen(address), i, mask_digits(count));
		g_assert_cmpint(strcmp(last, address), <, 0);
		g_assert_cmpstr(address + 3, ==, "aa@aaaa.aaa");
		strcpy(last, address);
	}
	strcpy(last, "a@b");
	mask_rank((uint8_t *)last, 3, 30, 2);
	g_assert_cmpstr(last, ==, "a@b");
	strcpy(last, "111");
	mask_rank((uint8_t *)last, 3, 30, 2);
	g_assert_cmpstr(last, ==, "111");
}

/* A row with what is personal in it; a kind that there is not is refused. */
static void test_wire_personal(void)
{
	uint8_t buf[ANSWER_MAX];
	struct wire w = { .buf = buf, .cap = sizeof buf };
	struct row row = { .part = 1, .offset = 7, .length = 90 }, back;
	struct answer a;
	struct cur c;

	row_personal(&row, 9, 3, PERSONAL_ADDRESS);
	row_personal(&row, 20, 70, PERSONAL_TEXT);
	g_assert_true(wire_put_row(&w, 0, &row));
	c = cur_make(buf, w.len, 0);
	g_assert_true(wire_next(&c, &a));
	g_assert_true(wire_get_row(a.body, a.len, &back));
	g_assert_true(back.told);
	g_assert_cmpuint(back.npersonal, ==, 2);
	g_assert_cmpuint(back.personal[1].offset, ==, 20);
	g_assert_cmpuint(back.personal[1].length, ==, 70);
	g_assert_cmpuint(back.personal[0].kind, ==, PERSONAL_ADDRESS);
	buf[w.len - 1] = PERSONAL_KINDS;
	g_assert_false(wire_get_row(a.body, a.len, &back));
	row_personal(&row, 1, 1, PERSONAL_TEXT);
	g_assert_true(row.told);
	row_personal(&row, 1, 1, PERSONAL_TEXT); /* no room: nothing of it is told */
	g_assert_false(row.told);
}

/* --- ages ------------------------------------------------------------------------ */

static void test_ages(void)
{
	const int64_t now = 1795161600;

	g_assert_cmpuint(ages_class(now, now), ==, 1);
	g_assert_cmpuint(ages_class(now, now + AGE_SKEW), ==, 1); /* the other clock is a little fast */
	g_assert_cmpuint(ages_class(now, now + AGE_SKEW + 1), ==, 0);
	for (unsigned i = 1; i < AGES - 1; i++) {
		g_assert_cmpuint(ages_class(now, now - ages_below[i] + 1), ==, i);
		g_assert_cmpuint(ages_class(now, now - ages_below[i]), ==, i + 1);
	}
	g_assert_cmpuint(ages_class(now, INT64_MIN), ==, AGES - 1);
	g_assert_cmpuint(ages_class(now, INT64_MAX), ==, 0);
	g_assert_cmpuint(ages_class(-1, INT64_MAX), ==, 0);
	g_assert_cmpstr(ages_name(1), ==, "below 10 min");
	g_assert_cmpstr(ages_name(AGES), ==, "?");
}

/* --- locks ----------------------------------------------------------------------- */

/* A new file, open; its path is the caller's. */
static int new_file(char **path_r, struct stat *st)
{
	int fd = g_file_open_tmp("spoolck-lock-XXXXXX", path_r, NULL);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(fstat(fd, st), ==, 0);
	return fd;
}

static void test_locks(void)
{
	g_autofree char *path = NULL;
	struct stat st;
	int fd = new_file(&path, &st);

	g_assert_cmpint(proc_locks_held(st.st_ino), ==, 0);
	g_assert_cmpint(proc_locks_exclusive(st.st_dev, st.st_ino), ==, 0);
	g_assert_cmpint(flock(fd, LOCK_SH), ==, 0);
	g_assert_cmpint(proc_locks_held(st.st_ino), ==, 1);
	g_assert_cmpint(proc_locks_exclusive(st.st_dev, st.st_ino), ==, 0);
	g_assert_cmpint(flock(fd, LOCK_EX), ==, 0);
	g_assert_cmpint(proc_locks_held(st.st_ino), ==, 1);
	g_assert_cmpint(proc_locks_exclusive(st.st_dev, st.st_ino), ==, 1);
	g_assert_cmpint(proc_locks_exclusive(st.st_dev, st.st_ino + 1), ==, 0);
	g_assert_cmpint(proc_locks_held(st.st_ino + 1), ==, 0);
	unlink(path);
	close(fd);
	g_assert_cmpint(proc_locks_held(st.st_ino), ==, 0);
}

static void test_locks_unlinked(void)
{
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 19 };
	g_autofree char *path = NULL, *name = NULL;
	struct stat st;
	int fd = new_file(&path, &st);

	name = g_path_get_basename(path);
	g_assert_cmpint(fcntl(fd, F_SETLK, &range), ==, 0);
	g_assert_cmpint(proc_locks_unlinked(name, 19), ==, 0); /* it has its name */
	unlink(path);
	g_assert_cmpint(proc_locks_unlinked(name, 19), ==, 1);
	g_assert_cmpint(proc_locks_unlinked(name + 1, 19), ==, 0);
	g_assert_cmpint(proc_locks_unlinked(name, 18), ==, 0);
	g_assert_cmpint(proc_locks_unlinked(name, 0), ==, 0);
	range.l_len = 0;
	g_assert_cmpint(fcntl(fd, F_SETLK, &range), ==, 0);
	g_assert_cmpint(proc_locks_unlinked(name, 0), ==, 1);
	close(fd);
	g_assert_cmpint(proc_locks_unlinked(name, 0), ==, 0);
}

enum { CHURN = 300 };

/* Takes and releases locks for ever. */
static _Noreturn void churn(void)
{
	int fds[CHURN];

	for (unsigned i = 0; i < CHURN; i++) {
		g_autofree char *path = NULL;
		struct stat st;

		fds[i] = new_file(&path, &st);
		unlink(path);
		flock(fds[i], LOCK_EX);
	}
	for (;;) {
		int fd = fds[rand() % CHURN];

		flock(fd, LOCK_UN);
		flock(fd, LOCK_EX);
	}
}

/* One that is held all the time is seen, however many others come and go. */
static void test_locks_churn(void)
{
	g_autofree char *path = NULL;
	struct stat st;
	int fd = new_file(&path, &st);
	unsigned missed = 0;
	pid_t pids[2];

	g_assert_cmpint(flock(fd, LOCK_EX), ==, 0);
	for (unsigned i = 0; i < 2; i++) {
		pids[i] = fork();
		g_assert_cmpint(pids[i], >=, 0);
		if (pids[i] == 0)
			churn();
	}
	for (unsigned i = 0; i < 1000; i++)
		missed += proc_locks_exclusive(st.st_dev, st.st_ino) != 1;
	for (unsigned i = 0; i < 2; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	unlink(path);
	close(fd);
	g_assert_cmpuint(missed, ==, 0);
}

/* --- reach ----------------------------------------------------------------------- */

/* Side files are told of the directory that is asked about, and of one that cannot be listed nothing is. */
static void test_reach_beside(void)
{
	g_autofree char *dir = g_dir_make_tmp("spoolck-reach-XXXXXX", NULL);
	g_autofree char *side = g_strconcat(dir, "/m.EML:PROPERTIES", NULL);
	char *known[] = { (char[]){ "PROPERTIES" }, NULL };
	const struct reach r = { .way = REACH_BESIDE, .names = known };
	struct reach_part file = { .fd = -1 };
	struct reach_streams streams;
	g_auto(GStrv) names = NULL;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), none = open("/dev/null", O_RDONLY | O_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	g_assert_true(g_file_set_contents(side, "x", 1, NULL));
	g_assert_cmpint(reach_list(&r, fd, "m.EML", &file, &streams), ==, 0);
	g_assert_cmpstr(streams.name[0], ==, "PROPERTIES");
	g_assert_cmpint(reach_list(&r, fd, "n.EML", &file, &streams), ==, 0);
	g_assert_cmpstr(streams.name[0], ==, "");
	g_assert_cmpint(reach_list(&r, none, "m.EML", &file, &streams), ==, -ENOTDIR);
	g_assert_cmpint(reach_beside(none, "m.EML", &names), ==, -ENOTDIR); /* what moves a message leaves it alone then */
	g_assert_null(names);
	g_assert_cmpint(reach_beside(fd, "m.EML", &names), ==, 0);
	g_assert_cmpstr(names[0], ==, "m.EML:PROPERTIES");
	g_assert_null(names[1]);
	g_assert_cmpint(reach_list(&r, fd, "m.EML", &file, &streams), ==, 0);
	g_assert_cmpstr(streams.name[0], ==, "PROPERTIES");
	unlink(side);
	rmdir(dir);
	close(fd);
	close(none);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/wire/round-trip", test_wire_round_trip);
	g_test_add_func("/wire/cut", test_wire_cut);
	g_test_add_func("/wire/flipped", test_wire_flipped);
	g_test_add_func("/wire/full", test_wire_full);
	g_test_add_func("/wire/want", test_wire_want);
	g_test_add_func("/wire/personal", test_wire_personal);
	g_test_add_func("/mask/bytes", test_mask_bytes);
	g_test_add_func("/mask/utf8", test_mask_utf8);
	g_test_add_func("/mask/rank", test_mask_rank);
	g_test_add_func("/seen", test_seen);
	g_test_add_func("/decide/policy", test_decide_policy);
	g_test_add_func("/decide/refusals", test_decide_refusals);
	g_test_add_func("/decide/brake", test_decide_brake);
	g_test_add_func("/ages", test_ages);
	g_test_add_func("/reach/beside", test_reach_beside);
	g_test_add_func("/beneath", test_beneath);
	g_test_add_func("/locks/files", test_locks);
	g_test_add_func("/locks/unlinked", test_locks_unlinked);
	g_test_add_func("/locks/churn", test_locks_churn);
	g_test_add_func("/host/values", test_host_values);
	g_test_add_func("/host/durations", test_host_durations);
	g_test_add_func("/host/roots", test_host_roots);
	return g_test_run();
}
