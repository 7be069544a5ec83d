/*
 * test-courier.c - the Courier format against control files and texts built in memory
 *
 * CONTROL is what submit writes and courierd appends; with() replaces lines of it, and each test
 * says which findings must come of that, and that nothing else does. Bytes are given in blocks of
 * exactly their size, so that a sanitizer build sees a read of one byte too many.
 */
#include "courier.h"
#include "format.h"
#include "reports.h"

#include <glib.h>
#include <stdio.h>

extern const struct format fmt_courier;

#define NOW 1795177800
#define OWNER 100
#define INODE 10994115
#define ID "10994115.1795177698"
#define HOME "179517/C" ID
#define DELETES "corrupt server-deletes"
#define LOST "corrupt stranded"
#define STOPS "corrupt server-stops"
#define DAMAGED "corrupt damaged-delivery"
#define ODD "suspect none"

static const char control[] =
	"salice@example.org\nfdns; client (client [127.0.0.1])\neenv+2B1\ntH\n"
	"M0000000000A7C1C3.000000006B003BB6.00000016\n"
	"rbob@example.net\nRrfc822;bob@x\nNSFD\nrcarol@example.net\nR\nN\nORELAYCLIENT=\nuesmtp\n"
	"E1795782198\np1795206198\nW1795191798\nA1795177398\nI0 R Connection refused\nD0 1795177398\n"
	"I1 R 250 ok\nS1 1795177398 r\nC1795177398\nA1795177698\n";

static const char text[] = "Received: from a\n  by b\nSubject: hello\n\nHello.\n";

/* --- One message ------------------------------------------------------------------ */

struct input {
	const uint8_t *bytes, *text;
	size_t size, text_size, window; /* a window is at most so large; 0 = as asked */
	unsigned place;
	const char *id, *path;
	uint64_t ino, control_ino;
	uint32_t uid, mode, nlink, control_mode, text_mode; /* mode 0 = there is none */
	int64_t mtime;
	bool force;
};

static struct input input_of(const void *bytes, size_t size)
{
	return (struct input){ .bytes = bytes, .size = size, .text = (const uint8_t *)text,
			       .text_size = sizeof text - 1, .id = ID, .path = HOME, .ino = INODE,
			       .control_ino = INODE, .uid = OWNER, .mode = 0100660, .nlink = 2,
			       .control_mode = 0100660, .text_mode = 0100660, .mtime = NOW - 100 };
}

static struct input healthy(void)
{
	return input_of(control, sizeof control - 1);
}

static void fill(struct message *m, const struct input *in)
{
	memset(m, 0, sizeof *m);
	m->place = in->place;
	m->path = in->path;
	m->id = in->id;
	m->id_len = strlen(in->id);
	m->force = in->force;
	m->site = (struct site){ .now = NOW, .owner = OWNER };
	m->parts[CO_ENTRY] = (struct part){ .ino = in->ino, .size = in->size, .mtime = in->mtime,
					    .mode = in->mode, .uid = in->uid, .nlink = in->nlink,
					    .bytes = g_memdup2(in->bytes, in->size), .len = in->size };
	m->parts[CO_CONTROL] = (struct part){ .ino = in->control_ino, .mode = in->control_mode };
	m->parts[CO_DATA] = (struct part){ .ino = 9, .size = in->text_mode != 0 ? in->text_size : 0,
					   .mode = in->text_mode };
}

static void empty(struct message *m)
{
	g_free((void *)(size_t)m->parts[CO_ENTRY].bytes);
	g_free((void *)(size_t)m->parts[CO_DATA].bytes);
}

static void give(struct message *m, const struct input *in, const struct want *w)
{
	g_assert_cmpuint(w->part, ==, CO_DATA);
	give_window(&m->parts[CO_DATA], in->text, in->text_size, in->window, w);
}

static void run(const struct input *in, struct report *r)
{
	struct co_check *k = g_malloc0(fmt_courier.check_scratch);
	struct message m;
	struct want w = { 0 };
	unsigned steps = 0;

	fill(&m, in);
	report_reset(r);
	while (fmt_courier.check(k, &m, r, &w) == STEP_WANT) {
		g_assert_cmpuint(++steps, <, 10000);
		give(&m, in, &w);
	}
	empty(&m);
	g_free(k);
	report_sort(r);
	for (unsigned i = 0; i < r->count; i++) {
		uint64_t size = r->findings[i].part == CO_DATA ? in->text_size : in->size;

		g_assert_cmpuint(r->findings[i].offset, <=, size);
		g_assert_cmpuint(r->findings[i].length, <=, size - r->findings[i].offset);
	}
}

/* "name severity impact, name ..." of what comes of it; NULL = nothing. */
static void expect(const struct input *in, const char *expected)
{
	g_autofree char *words = NULL;
	struct report r;

	run(in, &r);
	words = report_words(&r, true);
	g_assert_cmpstr(words, ==, expected != NULL ? expected : "");
}

/* The control file with `line` replaced; `line` = "" puts the new text at the end. */
static char *with(const char *line, const char *by)
{
	const char *at = *line != '\0' ? strstr(control, line) : control + sizeof control - 1;

	g_assert_nonnull(at);
	return g_strdup_printf("%.*s%s%s", (int)(at - control), control, by, at + strlen(line));
}

static void line(const char *old, const char *by, const char *expected)
{
	g_autofree char *bytes = with(old, by);
	struct input in = input_of(bytes, strlen(bytes));

	g_test_message("%s", by);
	expect(&in, expected);
}

/* --- Records ------------------------------------------------------------------------- */

static void test_healthy(void)
{
	struct input in = healthy();
	struct report r;

	run(&in, &r);
	g_assert_cmpuint(r.count, ==, 0);
	g_assert_true(r.has_sender && r.has_arrival);
	g_assert_cmpmem(r.sender, r.sender_len, "alice@example.org", 17);
	g_assert_cmpmem(r.recipient, r.recipient_len, "bob@example.net", 15);
	g_assert_cmpuint(r.recipients, ==, 1);
	g_assert_cmpuint(r.recipients_done, ==, 1);
	g_assert_cmpint(r.arrival, ==, 1795177398);
	in.window = 1;
	expect(&in, NULL);
	/* Everything that is legal and odd. */
	line("salice@example.org\n", "s\n", NULL);
	line("salice@example.org\n", "s\"a;b..c\"@example.org\n", NULL);
	line("fdns; client (client [127.0.0.1])\n", "f\n", NULL);
	line("tH\n", "t\n", NULL);
	line("NSFD\n", "N\n", NULL);
	line("tH\n", "tH\r\n", NULL);
	line("E1795782198\n", "E1795782198\r\n\n\n", NULL);
	line("", "V\n8\nm\nvhost\nUSTARTTLS\niuser\nT\n", NULL);
	line("", "I0 C text without an end", NULL);
	line("ORELAYCLIENT=\n", "ORELAYCLIENT=\nL5\n", NULL);
}

static void test_records(void)
{
	line("uesmtp\n", "uesmtp\nqnew\n", "letter notice none");
	line("uesmtp\n", "uesmtp\n\xff\n", "letter " ODD);
	line("salice@example.org\n", "", "no-sender " DAMAGED);
	line("uesmtp\n", "sx@y.org\n", "senders suspect damaged-delivery");
	line("salice", "sal\x0eice", "sender " DELETES);
	line("salice", "salice@", "sender suspect server-deletes");
	line("salice", "sal..ice", "sender suspect server-deletes");
	line("example.org", "", "sender suspect server-deletes");
	line("example.org", "example.", "sender suspect server-deletes");
	line("rbob@example.net", "r", "recipient " DELETES);
	line("rbob", "rb\x01ob", "recipient " DAMAGED);
	line("rbob@example.net\nRrfc822;bob@x\nNSFD\nrcarol@example.net\nR\nN\n", "", "no-recipient " DELETES
	     ", result " DAMAGED ", info " ODD ", info " ODD ", info " ODD);
	line("Rrfc822;bob@x\n", "", "counts " DAMAGED);
	line("NSFD\n", "", "counts " DAMAGED);
	line("NSFD\n", "NSFD\nN\n", "counts " DAMAGED);
	line("rcarol@example.net\n", "", "counts " DAMAGED ", result " DAMAGED ", info " ODD);
	line("rbob@example.net\n", "", "counts " DAMAGED ", result " DAMAGED ", info " ODD);
	line("Rrfc822;bob@x\nNSFD\n", "NSFD\nRrfc822;bob@x\n", "counts suspect damaged-delivery");
	line("NSFD\n", "NX\n", "value " ODD);
	line("tH\n", "tX\n", "value " ODD);
	line("tH\n", "tFH\n", "value " ODD);
	line("uesmtp\n", "wx\n", "value " ODD);
	line("M0000000000A7C1C3.", "MX.", "msgid " ODD);
	line("M0000000000A7C1C3.000000006B003BB6.00000016\n", "", "msgid " ODD);
	line("W1795191798\n", "W17951x\n", "number " ODD);
	line("C1795177398\n", "C\n", "number " ODD);
}

static void test_times(void)
{
	line("E1795782198\n", "", "no-expiry " DELETES);
	line("E1795782198\n", "E\n", "expiry " DELETES);
	line("E1795782198\n", "E17x95782198\n", "expiry " DELETES);
	line("E1795782198\n", "E0\n", "expiry " DELETES);
	line("E1795782198\n", "E1795782198x\n", "expiry " ODD);
	line("E1795782198\n", "E99999999999999999999999\n", "expiry " ODD); /* 200376420520689663 */
	line("E1795782198\n", "E9223372036854775808\n", "expiry " DELETES); /* negative */
	line("E1795782198\n", "E9795782198\n", "expiry " ODD);
	line("E1795782198\n", "E1795177399\n", "expired notice none");
	/* An arrival that lies ahead proves nothing. */
	line("000000006B003BB6", "000000406B003BB6", NULL);
	line("A1795177698\n", "A1795177699\n", "schedule " ODD);
	line("A1795177698\n", "A\n", "number " ODD ", schedule " ODD);
}

static void test_results(void)
{
	line("", "S0 1795177698\n", "done notice none");
	line("", "F0 1795177698 l\n", "done notice none");
	line("", "S\n", "result " DELETES ", done notice none");
	line("", "F 0 1795177698\n", "result " DELETES ", done notice none");
	line("", "S0 1\n", "result " DELETES ", done notice none");
	line("", "S2 1795177698\n", "result " DAMAGED);
	line("", "S4294967296 1795177698\n", "result " DELETES ", done notice none"); /* atoi() gives 0 */
	line("", "S4294967297 1795177698\n", "result " DAMAGED);
	line("", "S-9223372036854775809 1795177698\n", "result " DELETES ", done notice none");
	line("", "S-1 1795177698\n", "result " DAMAGED);
	line("", "D2 1795177698\n", "info " ODD);
	line("", "D\n", "info " ODD);
	line("", "I\n", "info " ODD);
	line("", "I7 R x\n", "info " ODD);
	line("", "Xcancelled\n", "cancelled notice none");
}

static void test_whole(void)
{
	struct input in = healthy();
	uint8_t zeros[500] = { 0 };
	char *copy = g_memdup2(control, sizeof control); /* with its zero byte */

	in.size = 0;
	expect(&in, "empty " DELETES);
	in = input_of(zeros, sizeof zeros);
	expect(&in, "zero-filled " DELETES);
	in = input_of(copy, sizeof control);
	expect(&in, "nul " DAMAGED);
	copy[30] = '\0';
	expect(&in, "no-recipient " DELETES ", no-expiry " DELETES ", nul " DAMAGED ", msgid " ODD);
	g_free(copy);
}

/* --- Names, links and parts ------------------------------------------------------------- */

static void test_links(void)
{
	struct input in = healthy();

	in.nlink = 3;
	expect(&in, "links " LOST);
	in.nlink = 1;
	in.control_ino = 5;
	expect(&in, "copy " LOST);
	in.control_mode = 0;
	expect(&in, "control-missing " DELETES);
	in.text_mode = 0;
	expect(&in, "leftover notice none");
	in.nlink = 2;
	expect(&in, "control-elsewhere suspect server-deletes");
	in.text_mode = 0100660;
	expect(&in, "control-elsewhere " DELETES);
	in.mtime = NOW - 5; /* courierd is at it */
	expect(&in, NULL);
	in.mtime = NOW - 100;
	in.control_mode = 0100660;
	expect(&in, "control-other " DELETES);
	in = healthy();
	in.text_mode = 0;
	expect(&in, "data-missing " LOST);
	in.mtime = NOW - 5;
	expect(&in, NULL);
	in = healthy();
	in.ino = in.control_ino = 7;
	expect(&in, "inode suspect stranded");
	in = healthy();
	in.mode = 0100440;
	expect(&in, "access suspect stranded");
	in.uid = 1000;
	expect(&in, NULL);
	in.mode = 0100600;
	expect(&in, "access suspect stranded");
}

/* With a recipient the one to be done is lost, and the other one counts as all. */
static void test_shifted(void)
{
	g_autofree char *bytes = g_strconcat(control, "S0 1795177698\n", NULL);
	char *lost = strstr(bytes, "rbob@example.net\n");
	struct input in;

	memmove(lost, lost + 17, strlen(lost + 17) + 1);
	in = input_of(bytes, strlen(bytes));
	expect(&in, "counts " DELETES ", result " DAMAGED ", info " ODD ", done notice none");
}

/* Before the first try the control file may be in tmp/ still. */
static void test_untried(void)
{
	g_autofree char *bytes = with("C1795177398\n", "");
	struct input in = input_of(bytes, strlen(bytes));

	in.control_mode = 0;
	expect(&in, "control-elsewhere suspect server-deletes");
}

static void test_folders(void)
{
	struct input in = healthy();

	in.path = "179518/C" ID;
	expect(&in, "folder " STOPS);
	in.path = "17951/C" ID;
	expect(&in, "folder " STOPS);
	in.path = "C" ID;
	expect(&in, "folder " LOST);
}

static void test_stray(void)
{
	g_autofree char *bad = with("E1795782198\n", "");
	struct input in = healthy();

	in.place = CO_MSGS;
	in.id = "10994115";
	in.path = "15/C10994115";
	in.control_mode = 0;
	expect(&in, NULL);
	in.mtime = NOW - 100000;
	expect(&in, "unscheduled suspect stranded");
	in.nlink = 1;
	expect(&in, "unscheduled " LOST);
	/* What has an entry somewhere must not be moved without it. */
	in.bytes = (const uint8_t *)bad;
	in.size = strlen(bad);
	in.nlink = 2;
	in.mtime = NOW - 100;
	expect(&in, "no-expiry suspect server-deletes");
	/* A file on its own. */
	in = healthy();
	in.place = CO_MSGS;
	in.id = in.path = "saved-copy";
	in.control_mode = in.text_mode = 0;
	expect(&in, NULL);
}

static void test_submission(void)
{
	g_autofree char *far = with("ORELAYCLIENT=\n", "L86400\n");
	struct input in = healthy();

	in.place = CO_TMP;
	in.id = "10994115";
	in.path = "179517/C10994115";
	in.control_mode = 0;
	in.nlink = 1;
	expect(&in, NULL);
	in.text_mode = 0;
	expect(&in, "data-missing " LOST);
	in.nlink = 2; /* the text has gone ahead */
	expect(&in, NULL);
	in.nlink = 1;
	in.mtime = NOW - 5;
	expect(&in, NULL);
	in.text_mode = 0100660;
	in.mtime = NOW - 3 * 86400;
	expect(&in, "submission-old suspect server-deletes");
	in.mtime = NOW - 100;
	in.bytes = (const uint8_t *)far;
	in.size = strlen(far);
	expect(&in, "delay suspect server-stops");
	in.mtime = NOW - 5;
	expect(&in, NULL);
	/* One of several, the first of which is not complete. */
	in.mtime = NOW - 100;
	in.size = 3;
	in.id = "10994115.2";
	in.path = "179517/C10994115.2";
	in.control_mode = 0100660;
	expect(&in, NULL);
	in.control_mode = 0;
	expect(&in, "no-recipient " DELETES ", no-expiry " DELETES ", msgid " ODD);
}

/* --- The text ------------------------------------------------------------------------------ */

static void test_text(void)
{
	struct input in = healthy();
	size_t n = 3 * WINDOW_MAX + 100;
	uint8_t *big = g_malloc0(n);

	in.text_size--;
	expect(&in, "data-cut suspect damaged-delivery");
	in.text_size = 0;
	expect(&in, "data-empty " DAMAGED);
	in.text = big;
	in.text_size = n;
	expect(&in, "zero-filled " DAMAGED);
	in.window = 100000;
	expect(&in, "zero-filled " DAMAGED);
	big[n - 1] = '\n';
	expect(&in, "data-zeros " DAMAGED);
	big[n - 1] = 0;
	big[0] = 'R';
	expect(&in, "data-zeros suspect damaged-delivery");
	memset(big, 'x', n);
	big[n - 1] = '\n';
	expect(&in, NULL);
	g_free(big);
}

/* --- Every cut, every bit -------------------------------------------------------------------- */

static unsigned count_rows(const struct input *in)
{
	struct co_show s;
	struct message m;
	struct want w = { 0 };
	struct row row;
	struct run found;
	enum step step;
	unsigned rows = 0;

	memset(&s, 0, sizeof s);
	fill(&m, in);
	do {
		step = fmt_courier.decode(&s, &m, &row, &w);
		if (step == STEP_WANT)
			give(&m, in, &w);
		if (step == STEP_ROW) {
			uint64_t size = row.part == CO_DATA ? in->text_size : in->size;

			g_assert_cmpuint(row.offset, <=, size);
			g_assert_cmpuint(row.length, <=, size - row.offset);
			g_assert_cmpuint(row.kind.len, >, 0);
			rows++;
		}
		g_assert_cmpuint(rows, <, 5000);
	} while (step != STEP_DONE);
	memset(&s, 0, sizeof s);
	if (fmt_courier.body(&s, &m, &found, &w) == STEP_ROW) {
		g_assert_cmpuint(found.length, ==, in->text_size);
		g_assert_cmpint(fmt_courier.body(&s, &m, &found, &w), ==, STEP_DONE);
	}
	empty(&m);
	return rows;
}

static void torture(struct input in)
{
	size_t n = in.size, expiry = (size_t)(strstr(control, "\np") - control);
	uint8_t *copy = g_memdup2(in.bytes, n);
	struct report r;

	for (in.size = 0; in.size < n; in.size++) {
		run(&in, &r);
		/* Up to E everything is needed; what is appended later may end anywhere. */
		g_assert_true(r.count > 0 || in.size >= expiry);
		count_rows(&in);
	}
	in.bytes = copy;
	for (size_t bit = 0; bit < n * 8; bit++) {
		copy[bit / 8] = (uint8_t)(copy[bit / 8] ^ 1u << bit % 8);
		run(&in, &r);
		count_rows(&in);
		copy[bit / 8] = (uint8_t)(copy[bit / 8] ^ 1u << bit % 8);
	}
	g_free(copy);
}

static void test_torture(void)
{
	struct input in = healthy();

	torture(in);
	in.window = 3;
	in.place = CO_MSGS;
	in.id = "10994115";
	in.path = "15/C10994115";
	torture(in);
	in.text = (const uint8_t *)control;
	for (in.text_size = 0; in.text_size < sizeof control - 1; in.text_size++)
		count_rows(&in);
}

static void test_rows(void)
{
	struct input in = healthy();

	g_assert_cmpuint(count_rows(&in), ==, 1 + 23 + 1 + 3 + 1);
	in.text = (const uint8_t *)": a field has a name\n\n";
	in.text_size = 22;
	g_assert_cmpuint(count_rows(&in), ==, 1 + 23 + 1 + 1);
	in.text_mode = 0;
	in.size = sizeof control; /* and something behind the end */
	g_assert_cmpuint(count_rows(&in), ==, 1 + 23 + 1);
}

/* --- Names -------------------------------------------------------------------------------------- */

static void is_name(unsigned place, const char *path, enum name_kind kind, const char *id)
{
	struct name n = fmt_courier.id_of(place, path);

	g_test_message("%s", path);
	g_assert_cmpint(n.kind, ==, kind);
	if (id != NULL)
		g_assert_cmpmem(n.id, n.id_len, id, strlen(id));
}

static void is_path(unsigned place, unsigned role, const char *id, const char *path)
{
	char buf[100];
	size_t n = fmt_courier.path_of(place, role, id, strlen(id), 0, buf, sizeof buf);

	g_test_message("%s", id);
	g_assert_cmpuint(n, ==, path != NULL ? strlen(path) : 0);
	if (path == NULL)
		return;
	g_assert_cmpstr(buf, ==, path);
	g_assert_cmpuint(fmt_courier.path_of(place, role, id, strlen(id), 1, buf, n), ==, 0);
	g_assert_cmpuint(fmt_courier.path_of(place, role, id, strlen(id), 1, buf, n + 1), ==, n);
}

static void test_names(void)
{
	is_name(CO_MSGQ, HOME, NAME_MESSAGE, ID);
	is_name(CO_MSGQ, "C" ID, NAME_MESSAGE, ID);
	is_name(CO_MSGQ, "179517/C10994115", NAME_FOREIGN, "C10994115");
	is_name(CO_MSGQ, "179517/C010994115.1795177698", NAME_FOREIGN, NULL);
	is_name(CO_MSGQ, "179517/C10994115.1795177698x", NAME_FOREIGN, NULL);
	is_name(CO_MSGQ, "179517/D10994115.1795177698", NAME_FOREIGN, NULL);
	is_name(CO_MSGQ, "backup/C" ID, NAME_FOREIGN, NULL);
	is_name(CO_MSGS, "15/C10994115", NAME_MESSAGE, "10994115");
	is_name(CO_MSGS, "15/D10994115", NAME_COMPANION, "10994115");
	is_name(CO_MSGS, "15/C10994115.bak", NAME_FOREIGN, NULL);
	is_name(CO_MSGS, "15/C", NAME_FOREIGN, NULL);
	is_name(CO_MSGS, "15/C99999999999999999999", NAME_FOREIGN, NULL);
	is_name(CO_TMP, "179517/C10994115", NAME_MESSAGE, "10994115");
	is_name(CO_TMP, "179517/C10994115.2", NAME_MESSAGE, "10994115.2");
	is_name(CO_TMP, "179517/C10994115.1", NAME_TRANSIENT, NULL);
	is_name(CO_TMP, "179517/D10994115.2", NAME_COMPANION, "10994115.2");
	is_name(CO_TMP, "179517/1795177398.99.host", NAME_TRANSIENT, NULL);
	is_name(CO_TMP, "broken/C10994115", NAME_TRANSIENT, NULL);
	is_name(CO_TMP, "courierd.lock", NAME_TRANSIENT, NULL);
	is_path(CO_MSGQ, CO_ENTRY, ID, "msgq/" HOME);
	is_path(CO_MSGQ, CO_CONTROL, ID, "msgs/15/C10994115");
	is_path(CO_MSGQ, CO_DATA, ID, "msgs/15/D10994115");
	is_path(CO_MSGQ, CO_ENTRY, "10994115", NULL);
	is_path(CO_MSGQ, CO_ENTRY, "10994115.2", NULL);
	is_path(CO_MSGS, CO_ENTRY, "10994115", "msgs/15/C10994115");
	is_path(CO_MSGS, CO_ENTRY, ID, "msgs/15/C10994115");
	is_path(CO_MSGS, CO_CONTROL, "10994115", NULL);
	is_path(CO_MSGS, CO_DATA, "200", "msgs/0/D200");
	is_path(CO_TMP, CO_ENTRY, "10994115.2", "tmp/0/C10994115.2");
	is_path(CO_TMP, CO_CONTROL, "10994115.2", "tmp/0/C10994115.1");
	is_path(CO_TMP, CO_CONTROL, "10994115", NULL);
	is_path(CO_TMP, CO_DATA, "10994115", "tmp/0/D10994115");
	is_path(CO_TMP, CO_ENTRY, ID, NULL);
	is_path(CO_MSGS, CO_ENTRY, "../../etc", NULL);
	g_assert_cmpuint(fmt_courier.stem(ID, strlen(ID)), ==, 8);
	g_assert_cmpuint(fmt_courier.stem("10994115", 8), ==, 8);
	g_assert_cmpuint(fmt_courier.stem("10994115.2", 10), ==, 10);
	g_assert_cmpuint(fmt_courier.stem("x.2", 3), ==, 3);
}

static void test_spool(void)
{
	const char *const names[] = { "msgs", "msgq", "tmp", "track", "filters", "allfilters" };
	const struct site s = { .now = NOW };
	struct part p = { .mtime = NOW - 3, .mode = 0100660 };
	struct report r;

	g_assert_cmpuint(fmt_courier.bid(names, 6), >, fmt_courier.bid(names, 3));
	g_assert_cmpuint(fmt_courier.bid(names, 3), >, 0);
	g_assert_cmpuint(fmt_courier.bid(names, 2), ==, 0);
	report_reset(&r);
	fmt_courier.orphan(CO_MSGS, CO_DATA, &p, &s, &r);
	p.mtime = NOW - 86400;
	fmt_courier.orphan(CO_TMP, CO_DATA, &p, &s, &r);
	g_assert_cmpuint(r.count, ==, 0);
	fmt_courier.orphan(CO_MSGS, CO_DATA, &p, &s, &r);
	g_assert_cmpuint(r.count, ==, 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/courier/healthy", test_healthy);
	g_test_add_func("/courier/records", test_records);
	g_test_add_func("/courier/times", test_times);
	g_test_add_func("/courier/results", test_results);
	g_test_add_func("/courier/whole", test_whole);
	g_test_add_func("/courier/links", test_links);
	g_test_add_func("/courier/untried", test_untried);
	g_test_add_func("/courier/shifted", test_shifted);
	g_test_add_func("/courier/folders", test_folders);
	g_test_add_func("/courier/stray", test_stray);
	g_test_add_func("/courier/submission", test_submission);
	g_test_add_func("/courier/text", test_text);
	g_test_add_func("/courier/torture", test_torture);
	g_test_add_func("/courier/rows", test_rows);
	g_test_add_func("/courier/names", test_names);
	g_test_add_func("/courier/spool", test_spool);
	return g_test_run();
}
