/*
 * test-postfix.c - the Postfix format against small files built in memory
 *
 * healthy() builds the file that cleanup would write; each test then damages it
 * in one way and says which finding must come of it, and nothing else.
 */
#include "postfix-file.h"
#include "reports.h"

#define DELETES "corrupt server-deletes"
#define STOPS "corrupt server-stops"
#define DAMAGED "corrupt damaged-delivery"
#define HELD "corrupt none"
#define NOTICE "notice none"

/* --- Healthy files ---------------------------------------------------------------- */

static void test_healthy(void)
{
	struct file *f = healthy();
	struct report *r = run(f);

	show(r);
	g_assert_cmpuint(r->count, ==, 0);
	same_bytes(r->sender, r->sender_len, "alice@example.org", 17);
	same_bytes(r->recipient, r->recipient_len, "bob@example.org", 15);
	g_assert_true(r->has_sender && r->has_arrival);
	g_assert_cmpuint(r->recipients, ==, 2);
	g_assert_cmpuint(r->recipients_done, ==, 1);
	g_assert_cmpint(r->arrival, ==, 1795167359);
	g_free(r);
	g_free(f);

	expect_none(dropped());
	f = edited();
	r = run(f);
	show(r);
	g_assert_cmpuint(r->count, ==, 0);
	g_assert_cmpuint(r->recipients, ==, 2);
	g_assert_cmpuint(r->recipients_done, ==, 1);
	g_free(r);
	g_free(f);
}

/* Legal oddities that raise nothing. */
static void test_oddities(void)
{
	static const unsigned fields[] = { 3, 4, 5, 8 };
	struct file *f;

	/* Requeued: the cleaned layout in maildrop. */
	f = healthy();
	f->place = MAILDROP;
	expect_none(f);
	f = edited();
	f->place = MAILDROP;
	expect_none(f);
	/* No T in maildrop, an empty recipient, recipients behind the text. */
	f = fresh(MAILDROP);
	rec(f, 'S', "");
	rec(f, 'R', "");
	mark(f);
	lines(f);
	rec(f, 'X', "");
	rec(f, 'R', "late@example.org");
	rec(f, 'E', "");
	expect_none(f);
	/* 3.11: C with fields of -1 behind T. */
	f = fresh(MAILDROP);
	rec(f, 'T', "1795167359 1");
	rec(f, 'C', "             -1              -1              -1              -1              -1");
	rec(f, 'S', "a@b");
	rec(f, 'R', "b@b");
	mark(f);
	lines(f);
	rec(f, 'X', "");
	rec(f, 'E', "");
	expect_none(f);
	for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
		struct file *h = healthy();
		char c[200];

		f = fresh(DEFERRED);
		memset(c, ' ', sizeof c);
		for (unsigned k = 0; k < fields[i]; k++)
			c[16 * k + 14] = '0';
		recn(f, 'C', c, fields[i] * 16 - 1);
		f->text = h->text - 97 + f->n;
		f->x = h->x - 97 + f->n;
		bytes(f, h->b + 97, h->n - 97);
		field(f, 0, (int64_t)(f->x - f->text));
		field(f, 1, (int64_t)f->text);
		field(f, 2, 3);
		g_free(h);
		expect_none(f);
	}
	/* Sendopts and content length are free; numbers at the left of a column. */
	f = healthy();
	field(f, 4, 5);
	field(f, 5, 0x70);
	expect_none(f);
	f = healthy();
	put(f, 2 + 32, "3              ");
	expect_none(f);
	/* The time of 2.2, the warning sent, all recipients done, none at all. */
	f = healthy();
	put(f, at(f, 'W', 0) + 2, "             -1");
	put(f, at(f, 'R', 0), "D");
	put(f, at(f, 'R', 0), "/");
	expect_none(f);
	f = fresh(DEFERRED);
	head(f);
	mark(f);
	lines(f);
	extracted(f);
	rec(f, 'E', "");
	size_fields(f, 0);
	expect_none(f);
	expect_none(with(healthy(), 97, 'A', "unknown_name = "));
	expect_none(with(healthy(), 97, 'K', "killed=1"));
	f = healthy();
	expect_none(with(f, f->x, 'w', "padding\xff\xfe"));
	f = healthy();
	expect_none(with(f, f->x + 2, 'L', "smtp:[127.0.0.1]:10025"));
	f = healthy();
	f->mode = 0100757;
	expect_none(f);
}

/* --- Framing: PF01, 02, 03, 30 ------------------------------------------------------ */

static void test_framing(void)
{
	struct file *f = fresh(DEFERRED);

	expect(f, "postfix.empty", DELETES, 0);
	f = healthy();
	f->n = at(f, 'F', 0) + 1;
	expect(f, "postfix.record-overrun", DELETES, f->n - 1);
	f = healthy();
	f->n = f->text + 20;
	expect(f, "postfix.record-overrun", DELETES, f->text);
	f = healthy();
	f->n = at(f, 'N', 1);
	expect(f, "postfix.end-missing", DELETES, f->n);
	f = healthy();
	f->n = at(f, 'F', 0);
	expect(f, "postfix.end-missing", DELETES, f->n);
	f = healthy();
	f->n -= 2;
	expect(f, "postfix.end-missing", DELETES, f->n);
	f = healthy();
	f->n -= 1;
	expect(f, "postfix.record-overrun", DELETES, f->n - 1);
	f = healthy();
	put(f, at(f, 'F', 0) + 1, "\xff\xff\xff\xff\xff\xff");
	expect(f, "postfix.record-length", DELETES, at(f, 'F', 0));
	f = healthy();
	put(f, at(f, 'F', 0) + 1, "\xff\xff\xff\xff\x08");
	expect(f, "postfix.record-length", DELETES, at(f, 'F', 0));
	f = healthy();
	put(f, at(f, 'N', 1) + 1, "\xff\xff\xff\x7f");
	expect(f, "postfix.record-overrun", DELETES, at(f, 'N', 1));
	f = healthy();
	f->b[at(f, 'F', 0)] = 0;
	expect(f, "postfix.record-zero", DELETES, at(f, 'S', 0) - 7);
	f = healthy();
	f->b[f->text] = 0;
	expect(f, "postfix.record-zero", DELETES, f->text);
}

static void test_zeros(void)
{
	struct file *f = healthy();

	memset(f->b, 0, 512);
	expect(f, "postfix.record-zero", DELETES, 0);
	f = healthy();
	memset(f->b, 0, f->n);
	expect(f, "spool.zero-filled", DELETES, 0);
	f = fresh(HOLD);
	f->n = sizeof f->b;
	expect(f, "spool.zero-filled", HELD, 0);
	f = fresh(DEFERRED);
	f->n = 1;
	expect(f, "spool.zero-filled", DELETES, 0);
}

/* A length in more bytes than needed: two are a notice, five a doubt where the
 * reader takes five, and damage where it does not. */
static void test_padded(void)
{
	static const struct {
		uint32_t version;
		const char *weight;
	} five[] = {
		{ VERSION(3, 7, 11), "suspect none" }, { 0, "suspect none" },
		{ VERSION(3, 9, 13), "suspect none" }, { VERSION(3, 9, 14), DELETES },
		{ VERSION(3, 10, 12), "suspect none" }, { VERSION(3, 10, 13), DELETES },
		{ VERSION(3, 11, 5), "suspect none" }, { VERSION(3, 11, 6), DELETES },
		{ VERSION(3, 12, 0), DELETES },
	};

	for (unsigned i = 0; i <= G_N_ELEMENTS(five); i++) {
		struct file *f = healthy(), *g = fresh(0);
		struct report *r;
		bool found = false;

		if (i == 0)
			bytes(g, "K\x82\x00xy", 5);
		else
			bytes(g, "K\x82\x80\x80\x80\x00xy", 8);
		insert(f, 97, g);
		field(f, 1, (int64_t)f->text);
		g_free(g);
		if (i == 0) {
			expect(f, "postfix.length-padded", NOTICE, 97);
			continue;
		}
		f->version = five[i - 1].version;
		r = run(f);
		show(r);
		for (unsigned k = 0; k < r->count; k++) {
			const struct finding *x = &r->findings[k];
			char got[64];

			if (!g_str_equal(finding_def(x->id)->name, "postfix.record-length"))
				continue;
			g_snprintf(got, sizeof got, "%s %s", severity_name(x->severity),
				   impact_name(x->impact));
			g_assert_cmpstr(got, ==, five[i - 1].weight);
			found = true;
		}
		g_assert_true(found);
		g_free(r);
		g_free(f);
	}
}

/* --- The size record: PF04 .. PF12, PF32 --------------------------------------------- */

static void test_size_fields(void)
{
	struct file *f = healthy();

	/* One number left: qmgr takes the file for one of Postfix before 1.0. */
	put(f, 18, "x");
	expect(f, "postfix.size-field", STOPS, 18);
	f = healthy();
	put(f, 2 + 14, "x");
	expect(f, "postfix.size-field", STOPS, 2);
	f = healthy();
	put(f, 2, "x");
	expect(f, "postfix.size-field", DELETES, 2);
	f = healthy();
	put(f, 34, "x");
	expect(f, "postfix.size-field", DELETES, 34);
	f = healthy();
	put(f, 50, "x");
	expect(f, "postfix.size-field", HELD, 50);
	f = healthy();
	put(f, 2 + 15, "x");
	expect(f, "postfix.size-field", STOPS, 2);
	/* A column without a digit, digits parted by a blank; a number up to the next. */
	f = healthy();
	put(f, 50, "               ");
	expect(f, "postfix.size-field", DELETES, 50);
	f = healthy();
	put(f, 50, "            1 0");
	expect(f, "postfix.size-field", HELD, 50);
	f = healthy();
	put(f, 50 + 15, "0");
	expect(f, "postfix.size-field", HELD, 50);
	f = healthy();
	put(f, 18, "x");
	f->place = HOLD;
	expect(f, "postfix.size-field", HELD, 18);
	/* Too short: 15 columns, one number. */
	f = fresh(DEFERRED);
	rec(f, 'C', "            123");
	rec(f, 'T', "1795167359");
	rec(f, 'S', "");
	mark(f);
	lines(f);
	extracted(f);
	rec(f, 'E', "");
	expect(f, "postfix.size-field", STOPS, 2);
}

static void test_size_values(void)
{
	struct file *f = healthy();

	field(f, 0, 0);
	expect(f, "postfix.size-range", DELETES, 2);
	f = healthy();
	field(f, 1, -5);
	expect(f, "postfix.size-range", DELETES, 18);
	f = healthy();
	field(f, 0, 999999999999999);
	expect(f, "postfix.size-range", STOPS, 2);
	f = healthy();
	field(f, 0, 999999999999999);
	f->place = HOLD; /* showq seeks, too */
	expect(f, "postfix.size-range", STOPS, 2);
	f = healthy();
	field(f, 0, 999999999999999);
	f->place = MAILDROP;
	expect(f, "postfix.size-range", STOPS, 2);
	f = healthy();
	field(f, 0, 0); /* else pickup does not care */
	f->place = MAILDROP;
	expect_none(f);
	f = healthy();
	field(f, 0, 999999999999999);
	f->place = SAVED;
	expect(f, "postfix.size-range", HELD, 2);
	f = healthy();
	field(f, 1, (int64_t)f->text + 1);
	expect(f, "postfix.data-offset", DELETES, 18);
	f = healthy();
	field(f, 1, 97);
	expect(f, "postfix.data-offset", DELETES, 18);
	f = healthy();
	field(f, 1, 999999999999999);
	expect(f, "postfix.data-offset", DELETES, 18);
	f = healthy();
	field(f, 0, 7);
	expect(f, "postfix.data-size", DELETES, 2);
	f = healthy();
	field(f, 0, 70000);
	expect(f, "postfix.data-size", DELETES, 2);
	f = healthy();
	field(f, 3, 32);
	expect(f, "postfix.size-flags", DELETES, 50);
	f = healthy();
	field(f, 3, 31);
	expect_none(f);
	f = healthy();
	field(f, 4, -1);
	expect(f, "postfix.content-length", DELETES, 66);
	f = healthy();
	field(f, 2, 4);
	expect(f, "postfix.recipient-count", NOTICE, 34);
	f = healthy();
	field(f, 2, -4);
	expect(f, "postfix.recipient-count", NOTICE, 34);
}

static void test_size_record(void)
{
	struct file *f = healthy();
	char second[96];

	put(f, 0, "c");
	expect(f, "postfix.size-missing", DELETES, 0);
	f = healthy();
	memcpy(second, f->b + 2, 95);
	second[95] = '\0';
	expect(with(f, 97, 'C', second), "postfix.size-twice", NOTICE, 97);
	/* Two independent damages are two findings. */
	f = healthy();
	field(f, 3, 64);
	put(f, at(f, 'E', 0), "e");
	expect_all(f, "postfix.size-flags", "postfix.end-missing", NULL);
	/* The size record wrong and the text broken: the text is still judged. */
	f = healthy();
	put(f, 18, "x");
	put(f, at(f, 'N', 2), "S");
	expect_all(f, "postfix.size-field", "postfix.record-misplaced", NULL);
}

/* --- Types: PF13, 14, 15, 34 ---------------------------------------------------------- */

static void test_types(void)
{
	static const char ipc[] = "fdmwNX";
	struct file *f;
	size_t where;

	for (unsigned i = 0; ipc[i] != '\0'; i++)
		expect(with(healthy(), 97, ipc[i], ""), "postfix.record-misplaced", DELETES, 97);
	expect(with(healthy(), 97, 'r', "x"), "postfix.record-misplaced", DAMAGED, 97);
	expect(with(healthy(), 97, 'E', ""), "postfix.record-misplaced", DELETES, 97);
	f = healthy(); /* the recipients behind it are lost */
	where = at(f, 'W', 0);
	expect(with(f, where, 'E', ""), "postfix.record-misplaced", DAMAGED, where);
	f = healthy();
	where = f->x + 2;
	expect(with(f, where, 'T', "x"), "postfix.record-misplaced", DAMAGED, where);
	f = healthy(); /* showq */
	expect(with(f, where, 'S', "x"), "postfix.record-misplaced", STOPS, where);
	f = healthy();
	f->version = VERSION(3, 12, 0);
	expect(with(f, where, 'S', "x"), "postfix.record-misplaced", DAMAGED, where);
	f = healthy();
	where = f->x + 2;
	expect(with(f, where, 'N', "x"), "postfix.record-misplaced", DELETES, where);
	f = healthy();
	put(f, at(f, 'N', 2), "R");
	expect(f, "postfix.record-misplaced", DELETES, f->text + 51);
	f = healthy();
	put(f, at(f, 'N', 2), "X");
	expect(f, "postfix.text-end", DAMAGED, f->text + 51);
	f = healthy();
	put(f, f->x, "N");
	expect(f, "postfix.record-misplaced", DELETES, f->x + 2);
	f = healthy();
	put(f, f->text - 2, "K");
	expect(f, "postfix.message-mark", HELD, f->text);
	f = healthy();
	put(f, f->text - 2, "N");
	expect(f, "postfix.record-misplaced", DELETES, f->text - 2);
	/* In maildrop nothing is taken that pickup does not know. */
	f = healthy();
	f->place = MAILDROP;
	expect(with(f, 97, 'r', "x"), "postfix.record-misplaced", DELETES, 97);
	f = healthy();
	f->place = MAILDROP;
	expect_none(with(f, 97, 'w', "x"));
	f = dropped();
	f->n -= 2;
	expect(f, "postfix.end-missing", DELETES, f->n);
	f = dropped();
	put(f, f->x, "Q");
	expect(f, "postfix.record-type", DELETES, f->x);
}

/* A letter that nobody knows: who reads it decides. */
static void test_unknown(void)
{
	static const struct {
		uint32_t version;
		const char *letter, *byte;
	} cases[] = {
		{ 0, "suspect server-deletes", DELETES },
		{ VERSION(3, 13, 0), "suspect server-deletes", DELETES },
		{ VERSION(3, 12, 9), DELETES, DELETES },
		{ VERSION(3, 7, 0), DELETES, DELETES },
		{ VERSION(3, 6, 15), NOTICE, DAMAGED },
	};
	struct file *f;
	size_t where;

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		f = with(healthy(), 97, 'Q', "future");
		f->version = cases[i].version;
		expect(f, "postfix.record-type", cases[i].letter, 97);
		f = with(healthy(), 97, '\x93', "noise");
		f->version = cases[i].version;
		expect(f, "postfix.record-type", cases[i].byte, 97);
	}
	f = healthy();
	f->version = 0;
	where = f->x;
	expect(with(f, where, 'Q', "future"), "postfix.record-type", "suspect server-deletes", where);
	f = healthy();
	f->version = VERSION(3, 6, 0); /* agents of every release stop there */
	expect(with(f, where, 'Q', "future"), "postfix.record-type", DELETES, where);
}

/* --- Values: PF16, 17, 22 .. 29 --------------------------------------------------------- */

static void test_time(void)
{
	struct file *f = healthy();

	put(f, at(f, 'T', 0), "K");
	expect(f, "postfix.arrival-time", DELETES, 0);
	f = healthy();
	put(f, at(f, 'T', 0) + 2, "0000000000");
	expect(f, "postfix.arrival-time", DELETES, at(f, 'T', 0));
	f = healthy();
	put(f, at(f, 'T', 0) + 2, "-");
	expect(f, "postfix.arrival-time", DAMAGED, at(f, 'T', 0));
	f = healthy();
	put(f, at(f, 'T', 0) + 6, "x");
	expect(f, "postfix.arrival-time", "suspect damaged-delivery", at(f, 'T', 0));
	expect(with(healthy(), 97, 'T', "1795167000"), "postfix.arrival-twice", NOTICE, 109);
	f = dropped();
	put(f, 2, "0000000000");
	expect(f, "postfix.arrival-time", DELETES, 0);
}

static void test_sender(void)
{
	static const struct {
		uint32_t version;
		const char *twice, *late;
	} versions[] = {
		{ 0, "suspect server-stops", STOPS },
		{ VERSION(3, 0, 15), "suspect none", HELD },
		{ VERSION(3, 1, 0), STOPS, STOPS },
		{ VERSION(3, 11, 6), "suspect none", HELD },
	};
	struct file *f = healthy();

	put(f, at(f, 'S', 0), "K");
	expect(f, "postfix.sender-missing", DELETES, at(f, 'R', 0));
	f = dropped();
	put(f, at(f, 'S', 0), "F");
	expect(f, "postfix.sender-missing", DELETES, at(f, 'R', 0));
	f = with(healthy(), 97, 'R', "early@example.org");
	field(f, 2, 4);
	expect(f, "postfix.sender-late", STOPS, 97);
	f = healthy();
	f = with(f, at(f, 'S', 0), 'S', "");
	expect(f, "postfix.sender-twice", STOPS, at(f, 'S', 1));
	for (unsigned i = 0; i < G_N_ELEMENTS(versions); i++) {
		f = healthy();
		f = with(f, at(f, 'S', 0), 'S', "");
		f->version = versions[i].version;
		expect(f, "postfix.sender-twice", versions[i].twice, at(f, 'S', 1));
		f = with(healthy(), 97, 'R', "early@example.org");
		field(f, 2, 4);
		f->version = versions[i].version;
		expect(f, "postfix.sender-late", versions[i].late, 97);
	}
	f = healthy(); /* mailq lists hold/, too, but not corrupt/ */
	f = with(f, at(f, 'S', 0), 'S', "");
	f->place = HOLD;
	expect(f, "postfix.sender-twice", STOPS, at(f, 'S', 1));
	f = healthy();
	f = with(f, at(f, 'S', 0), 'S', "");
	f->place = SAVED;
	expect(f, "postfix.sender-twice", "suspect none", at(f, 'S', 1));
	f = dropped(); /* cleanup wants the sender before all that is a recipient's */
	put(f, 0, "K");
	expect(f, "postfix.sender-late", DELETES, 0);
	f = healthy();
	expect_none(with(f, 97, 'K', "killed"));
	f = dropped();
	f = with(f, at(f, 'S', 0), 'S', "");
	expect(f, "postfix.sender-twice", DELETES, at(f, 'S', 1));
}

static void test_attributes(void)
{
	static const char *const refused[] = { "", "  ", "=x", " = x", "name", "name ", "name x=1", "name x" };
	static const char *const taken[] = { "a=", "a=b", " a = b ", "a==", "\t a\t=\tb", "a= \t " };
	static const struct {
		const char *data;
		bool cleanup_refuses;
	} values[] = {
		{ "notify_flags=3", false },  { "notify_flags=", false },
		{ "notify_flags=16", false }, { "ret_flags=3", true },
		{ "ret_flags=x", true },      { "trace_flags=1x", true },
		{ "create_time=-1", false },  { "envelope_id=\x01", true },
		{ "rewrite_context=x", true },
	};
	static const char *const good[] = { "ret_flags=1", "ret_flags=2", "trace_flags=8",
					    "create_time=0", "envelope_id=QQ+3D",
					    "rewrite_context=remote",
					    "\f rewrite_context \v= local\t " };

	for (unsigned i = 0; i < G_N_ELEMENTS(refused); i++) {
		expect(with(healthy(), 97, 'A', refused[i]), "postfix.attribute", DELETES, 97);
		expect(with(dropped(), 0, 'A', refused[i]), "postfix.attribute", DELETES, 0);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(taken); i++)
		expect_none(with(healthy(), 97, 'A', taken[i]));
	for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
		expect_none(with(healthy(), 97, 'A', good[i]));
		expect_none(with(dropped(), 0, 'A', good[i]));
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
		struct file *f = with(healthy(), 97, 'A', values[i].data);

		if (g_str_has_prefix(values[i].data, "notify")) {
			g_free(f);
			f = healthy();
			with(f, at(f, 'O', 0), 'A', values[i].data);
			expect(f, "postfix.attribute-value", NOTICE, at(f, 'O', 0) - 2 -
			       strlen(values[i].data));
			continue;
		}
		expect(f, "postfix.attribute-value", NOTICE, 97);
		expect(with(dropped(), 0, 'A', values[i].data), "postfix.attribute-value",
		       values[i].cleanup_refuses ? DELETES : NOTICE, 0);
	}
}

static void test_recipients(void)
{
	struct file *f = healthy(), *g = fresh(0);
	size_t where = at(f, 'O', 0);

	expect(with(f, where, 'O', ""), "postfix.recipient-order", NOTICE, where + 2);
	f = healthy();
	f = with(f, f->x + 2, 'n', "1");
	expect(f, "postfix.recipient-order", NOTICE, f->n);
	f = healthy();
	where = at(f, 'A', 2);
	with(f, where, 'R', "");
	field(f, 2, 4);
	expect(f, "postfix.recipient-empty", "suspect damaged-delivery", where);
	recn(g, 'I', "cut\0off", 7);
	f = healthy();
	insert(f, 97, g);
	field(f, 1, (int64_t)f->text);
	expect(f, "postfix.envelope-nul", "suspect damaged-delivery", 97);
	g_free(g);
	g = fresh(0);
	recn(g, 'I', "two\nlines", 9);
	f = healthy();
	insert(f, 97, g);
	field(f, 1, (int64_t)f->text);
	expect(f, "postfix.envelope-line-end", NOTICE, 97);
	g_free(g);
	f = dropped();
	put(f, at(f, 'R', 0), "O");
	expect_all(f, "postfix.recipient-missing", "postfix.recipient-order", NULL);
	f = dropped();
	put(f, at(f, 'R', 0), "D");
	expect_none(f);
}

static void test_small_values(void)
{
	struct file *f = healthy();

	put(f, at(f, 'W', 0) + 5, "x");
	expect(f, "postfix.warn-time", NOTICE, at(f, 'W', 0));
	f = healthy();
	f = with(f, at(f, 'W', 0), 'V', "+");
	expect(f, "postfix.verp", NOTICE, at(f, 'V', 0));
	f = healthy();
	expect_none(with(f, at(f, 'W', 0), 'V', "+="));
	expect(with(healthy(), 97, 'V', "+="), "postfix.verp", NOTICE, 97);
	f = healthy();
	f->b[f->n - 1] = 2;
	bytes(f, "xy", 2);
	expect(f, "postfix.mark-data", "suspect none", f->n - 4);
	f = healthy();
	bytes(f, "anything", 8);
	expect(f, "postfix.trailing-bytes", NOTICE, f->n - 8);
	f = edited();
	bytes(f, "anything", 8);
	expect_none(f);
}

/* --- Pointers: PF18 .. PF21 --------------------------------------------------------------- */

static void test_pointers(void)
{
	struct file *f = edited();
	size_t dummy = at(f, 'p', 0), where;

	put(f, dummy + 2, "x");
	expect(f, "postfix.pointer-value", DELETES, dummy);
	f = edited();
	put(f, dummy + 2, "-       0");
	expect(f, "postfix.pointer-value", DELETES, dummy);
	f = edited();
	put(f, dummy + 2, "         ");
	expect(f, "postfix.pointer-value", "suspect none", dummy);
	f = edited();
	put(f, dummy + 2, "  0000000");
	expect_none(f);
	f = edited();
	put(f, dummy + 2, "    99999");
	expect(f, "postfix.pointer-target", DELETES, dummy);
	f = edited();
	put(f, dummy + 2, "999999999");
	expect(f, "postfix.pointer-target", DELETES, dummy);
	/* A circle with recipients delivers to them again and again; any other only
	 * ends badly. */
	f = edited();
	where = at(f, 'p', 1);
	put(f, where + 2, "             97");
	expect(f, "postfix.pointer-loop", STOPS, where);
	f = edited();
	put(f, at(f, 'p', 0) + 2, "       97");
	expect(f, "postfix.pointer-loop", DELETES, dummy);
	f = edited();
	put(f, at(f, 'p', 0) + 2, "       97");
	f->place = MAILDROP;
	expect(f, "postfix.pointer-loop", DELETES, dummy);
	f = edited();
	{
		struct report *r;
		char s[16];
		size_t last = f->x - 17;

		g_snprintf(s, sizeof s, "%15zu", f->text);
		put(f, last + 2, s);
		r = run(f);
		only(r, "postfix.pointer-loop", DELETES); /* at any pointer of the circle */
		g_free(r);
		g_free(f);
	}
	/* From the text into the envelope, and back to the text. */
	f = edited();
	{
		char s[16];

		g_snprintf(s, sizeof s, "%15d", 97);
		put(f, f->x - 17 + 2, s);
		expect_all(f, "postfix.pointer-segment", "postfix.record-misplaced", NULL);
	}
}

/* 10000 jumps backward are read, one more is not. */
static void test_backward(void)
{
	for (unsigned extra = 0; extra < 2; extra++) {
		GByteArray *a = g_byte_array_new();
		struct file *f = fresh(DEFERRED);
		void *scratch = g_malloc0(fmt_postfix.check_scratch);
		struct report *r = g_new0(struct report, 1);
		struct message m;
		struct want w;
		unsigned jumps = 10000 + extra;
		size_t chain;

		/* The text begins with a jump to the last link of a chain behind E; each
		 * link leads to the one before it, the first one back to the text. */
		head(f);
		mark(f);
		f->x = f->text + 17;
		chain = f->x + 2 + 2;
		pointer(f, chain + 17 * (size_t)jumps);
		rec(f, 'X', "");
		rec(f, 'E', "");
		size_fields(f, 0);
		g_byte_array_append(a, f->b, (guint)f->n);
		for (unsigned i = 0; i <= jumps; i++) {
			char s[32];

			g_snprintf(s, sizeof s, "p\x0f%15zu",
				   i == 0 ? f->x : chain + 17 * (size_t)(i - 1));
			g_byte_array_append(a, (const guint8 *)s, 17);
		}
		facts(f, &m);
		m.parts[0].size = a->len;
		m.parts[0].bytes = a->data;
		m.parts[0].len = a->len;
		g_assert_cmpint(fmt_postfix.check(scratch, &m, r, &w), ==, STEP_DONE);
		if (extra == 0) {
			show(r);
			/* One of them leads back to X, which lies before the chain. */
			g_assert_cmpuint(r->count, ==, 1);
		}
		only(r, "postfix.pointer-backward", DELETES);
		g_free(scratch);
		g_free(r);
		g_free(f);
		g_byte_array_unref(a);
	}
}

/* --- maildrop: PF33 ------------------------------------------------------------------------ */

static void test_record_limit(void)
{
	char *line = g_strnfill(2049, 'a');
	struct file *f = dropped();
	size_t where = at(f, 'N', 1);

	expect(with(f, where, 'N', line), "postfix.record-limit", DELETES, where);
	f = dropped();
	f->limit = 0;
	expect(with(f, where, 'N', line), "postfix.record-limit", "suspect server-deletes", where);
	f = dropped();
	f->limit = 4096;
	expect_none(with(f, where, 'N', line));
	f = dropped();
	expect_none(with(f, where, 'N', line + 1));
	f = healthy();
	where = at(f, 'N', 1);
	expect_none(with(f, where, 'N', line));
	f = dropped();
	expect(with(f, 0, 'F', line), "postfix.record-limit", DELETES, 0);
	g_free(line);
}

/* --- Names, modes, places: PF38 .. PF44 ----------------------------------------------------- */

static void test_status(void)
{
	struct file *f = healthy();

	f->mode = 0100400;
	expect(f, "postfix.marked-corrupt", DELETES, 0);
	f = healthy();
	f->mode = 0100600;
	f->mtime = NOW - 8 * 86400;
	expect(f, "postfix.incomplete", NOTICE, 0);
	f = healthy();
	f->mode = 0100600;
	f->n = 10; /* half-written: nothing is said of its contents */
	expect_none(f);
	f = healthy();
	f->mode = 0120777;
	expect(f, "spool.foreign", "suspect none", 0);
	f = healthy();
	f->uid = 0;
	expect(f, "postfix.owner", "suspect stranded", 0);
	f = healthy();
	f->place = CORRUPT;
	f->mode = 0100400;
	expect(f, "postfix.put-aside", "notice stranded", 0);
	f = healthy();
	f->place = CORRUPT;
	f->n -= 2;
	expect_all(f, "postfix.put-aside", "postfix.end-missing", NULL);
	f = healthy();
	f->path = "4/" ID;
	expect_none(f);
	f = healthy();
	f->path = "4/F/2/A/1/1/" ID;
	expect_none(f);
	f = healthy();
	f->path = "4/E/" ID;
	expect(f, "postfix.hash-directory", "notice stranded", 0);
	f = healthy();
	f->path = "4F2A111E17E";
	expect(f, "postfix.inode", NOTICE, 0);
	f = healthy();
	f->path = "X";
	expect(f, "postfix.one-letter-name", STOPS, 0);
	f = dropped();
	f->path = "X";
	expect_none(f);
}

static void test_held(void)
{
	struct file *f = healthy();

	f->place = HOLD;
	f->n -= 2;
	expect(f, "postfix.end-missing", HELD, f->n);
	f = healthy();
	f->place = HOLD;
	put(f, at(f, 'S', 0), "K");
	expect(f, "postfix.sender-missing", STOPS, at(f, 'R', 0)); /* showq */
}

static void test_in_flight(void)
{
	struct site s = { .now = NOW };
	struct part p = { .mode = 0100600, .mtime = NOW - 60 };

	g_assert_true(fmt_postfix.in_flight(INCOMING, &p, &s));
	g_assert_true(fmt_postfix.in_flight(MAILDROP, &p, &s));
	g_assert_false(fmt_postfix.in_flight(CORRUPT, &p, &s));
	g_assert_false(fmt_postfix.in_flight(DEFER, &p, &s));
	p.mtime = NOW + 100000;
	g_assert_true(fmt_postfix.in_flight(INCOMING, &p, &s));
	p.mtime = NOW - 8 * 86400;
	g_assert_false(fmt_postfix.in_flight(INCOMING, &p, &s));
	p.mtime = NOW;
	p.mode = 0100700;
	g_assert_false(fmt_postfix.in_flight(INCOMING, &p, &s));
	p.mode = 0100740;
	g_assert_false(fmt_postfix.in_flight(INCOMING, &p, &s));
	p.mode = 0100400;
	g_assert_false(fmt_postfix.in_flight(ACTIVE, &p, &s));
}

static void kind(unsigned place, const char *path, enum name_kind want, unsigned role)
{
	struct name n = fmt_postfix.id_of(place, path);

	g_test_message("%s", path);
	g_assert_cmpint(n.kind, ==, want);
	if (want == NAME_MESSAGE || want == NAME_COMPANION)
		g_assert_cmpuint(n.role, ==, role);
}

static void test_names(void)
{
	char *longest = g_strnfill(255, 'A'), *longer = g_strnfill(256, 'A');

	kind(DEFERRED, "4/" ID, NAME_MESSAGE, 0);
	kind(DEFERRED, ID, NAME_MESSAGE, 0);
	kind(HOLD, "4jW9FC5Jyxz8r5Y", NAME_MESSAGE, 0);
	kind(DEFER, "4/" ID, NAME_COMPANION, 1);
	kind(BOUNCE, ID, NAME_COMPANION, 2);
	kind(TRACE, ID, NAME_COMPANION, 3);
	kind(INCOMING, "747177.1234", NAME_TRANSIENT, 0);
	kind(MAILDROP, "747177.1234", NAME_TRANSIENT, 0);
	kind(INCOMING, ID "#FIX", NAME_TRANSIENT, 0);
	kind(INCOMING, "747177.", NAME_FOREIGN, 0);
	kind(INCOMING, ".1234", NAME_FOREIGN, 0);
	kind(INCOMING, "7.1.2", NAME_FOREIGN, 0);
	kind(INCOMING, "#FIX", NAME_FOREIGN, 0);
	kind(INCOMING, "", NAME_FOREIGN, 0);
	kind(INCOMING, "a-b", NAME_FOREIGN, 0);
	kind(INCOMING, "a\nb", NAME_FOREIGN, 0);
	g_assert_true(fmt_postfix.inode_in_name("4F2A1C0B9", 9));
	g_assert_false(fmt_postfix.inode_in_name("4jW9FC42qMz8r55", 15));
	g_assert_false(fmt_postfix.inode_in_name("4F2A1", 5));
	kind(INCOMING, "4F/" ID, NAME_FOREIGN, 0);
	kind(INCOMING, "/" ID, NAME_FOREIGN, 0);
	kind(INCOMING, "4//" ID, NAME_FOREIGN, 0);
	kind(MAILDROP, "4/" ID, NAME_FOREIGN, 0);
	kind(INCOMING, longest, NAME_MESSAGE, 0);
	kind(INCOMING, longer, NAME_FOREIGN, 0);
	kind(99, ID, NAME_FOREIGN, 0);
	g_free(longest);
	g_free(longer);
}

static void path(unsigned place, unsigned role, const char *id, unsigned depth, const char *want)
{
	char buf[64];
	size_t n = fmt_postfix.path_of(place, role, id, strlen(id), depth, buf, sizeof buf);

	g_assert_cmpuint(n, ==, strlen(want));
	if (n > 0)
		g_assert_cmpstr(buf, ==, want);
}

static void test_paths(void)
{
	char exact[14];

	path(DEFERRED, 0, ID, 0, "deferred/" ID);
	path(DEFERRED, 0, ID, 1, "deferred/4/" ID);
	path(DEFERRED, 0, ID, 2, "deferred/4/F/" ID);
	path(ACTIVE, 1, ID, 1, "defer/4/" ID);
	path(ACTIVE, 2, ID, 0, "bounce/" ID);
	path(ACTIVE, 3, ID, 0, "trace/" ID);
	path(DEFERRED, 0, "AB", 3, "deferred/A/B/_/AB");
	path(DEFERRED, 0, "4jW9FC5Jyxz8r5Y", 1, "deferred/B/4jW9FC5Jyxz8r5Y");
	path(DEFERRED, 0, "../etc", 0, "");
	path(DEFERRED, 0, "", 0, "");
	path(DEFERRED, 9, ID, 0, "");
	path(DEFERRED, 0, ID, 9999, "");
	g_assert_cmpuint(fmt_postfix.path_of(HOLD, 0, "ABCDEFGH", 8, 0, exact, 14), ==, 13);
	g_assert_cmpuint(fmt_postfix.path_of(HOLD, 0, "ABCDEFGH", 8, 0, exact, 13), ==, 0);
}

/* Microseconds 0 and 999999, encoded in base 52 and rewritten in hexadecimal. */
static void test_long_hash(void)
{
	path(DEFERRED, 0, "0000000000z1", 5, "deferred/0/0/0/0/0/0000000000z1");
	path(DEFERRED, 0, "00000075plz1", 5, "deferred/F/4/2/3/F/00000075plz1");
	path(DEFERRED, 0, "000000000Az1", 1, "deferred/0/000000000Az1"); /* no such digit */
}

static void test_bid(void)
{
	static const char *const postfix[] = { ".", "maildrop", "incoming", "active", "deferred",
					       "hold", "corrupt", "defer", "bounce", "pid" };
	static const char *const exim[] = { "input", "msglog", "db", "scan" };
	static const char *const part[] = { "active", "pid", "private", "public" };

	g_assert_cmpuint(fmt_postfix.bid(postfix, G_N_ELEMENTS(postfix)), >=, 32);
	g_assert_cmpuint(fmt_postfix.bid(exim, G_N_ELEMENTS(exim)), ==, 0);
	g_assert_cmpuint(fmt_postfix.bid(part, G_N_ELEMENTS(part)), ==, 0);
	g_assert_cmpuint(fmt_postfix.bid(NULL, 0), ==, 0);
}

static void test_cross(void)
{
	struct report *r = g_new0(struct report, 1);
	struct sighting a = { ACTIVE, "active/" ID, 1, 0, 0100700 };
	struct sighting b = { DEFERRED, "deferred/4/" ID, 2, 0, 0100700 };

	fmt_postfix.cross(&a, &b, r);
	only(r, "spool.duplicate-id", "suspect damaged-delivery");
	report_reset(r);
	b.ino = 1;
	fmt_postfix.cross(&a, &b, r);
	g_assert_cmpuint(r->count, ==, 0);
	g_free(r);
}

/* --- All files in many ways ------------------------------------------------------------------ */

/* The listing and the text, every byte of them folded into a number. */
static uint64_t listing(const struct file *f, size_t cap, size_t *rows_r)
{
	void *scratch = g_malloc0(MAX(fmt_postfix.decode_scratch, fmt_postfix.body_scratch));
	uint64_t sum = 0;
	struct message m;
	struct want w;
	struct row row;
	struct run text;
	enum step step;
	size_t steps = 0;

	facts(f, &m);
	*rows_r = 0;
	open_window(f, &m.parts[0], 0, cap);
	while ((step = fmt_postfix.decode(scratch, &m, &row, &w)) != STEP_DONE) {
		g_assert_cmpuint(++steps, <, 16 * f->n + 1000);
		if (step == STEP_WANT) {
			close_window(&m.parts[0]);
			open_window(f, &m.parts[0], w.off, fit(&w, cap));
			continue;
		}
		++*rows_r;
		g_assert_cmpuint(row.offset, <=, f->n);
		g_assert_cmpuint(row.length, <=, f->n - row.offset);
		sum = sum * 31 + row.offset + 7 * row.length + row.target;
		for (unsigned i = 0; i < row.kind.len; i++)
			sum = sum * 31 + row.kind.bytes[i];
		for (unsigned i = 0; i < row.detail.len; i++)
			sum = sum * 31 + row.detail.bytes[i];
	}
	memset(scratch, 0, fmt_postfix.body_scratch);
	while ((step = fmt_postfix.body(scratch, &m, &text, &w)) != STEP_DONE) {
		g_assert_cmpuint(++steps, <, 32 * f->n + 2000);
		if (step == STEP_WANT) {
			close_window(&m.parts[0]);
			open_window(f, &m.parts[0], w.off, fit(&w, cap));
			continue;
		}
		g_assert_cmpuint(text.offset, <=, f->n);
		g_assert_cmpuint(text.length, <=, f->n - text.offset);
		sum = sum * 31 + text.offset + 3 * text.length + text.newline;
	}
	close_window(&m.parts[0]);
	g_free(scratch);
	return sum;
}

typedef struct file *(*builder)(void);
static const builder samples[] = { healthy, dropped, edited };

/* Windows of any size give the same report and the same listing. */
static void test_windows(void)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(samples); i++) {
		for (unsigned damage = 0; damage < 3; damage++) {
			struct file *f = samples[i]();
			struct report *whole;
			uint64_t sum;
			size_t rows, again;

			if (damage == 1)
				f->n -= f->n / 3;
			if (damage == 2)
				f->b[f->n / 2] ^= 0x21;
			whole = run(f);
			sum = listing(f, WINDOW_MAX, &rows);
			for (size_t cap = 16; cap <= f->n + 1; cap++) {
				struct report *r = run_capped(f, cap);

				same_report(whole, r);
				g_free(r);
				g_assert_cmpuint(listing(f, cap, &again), ==, sum);
				g_assert_cmpuint(again, ==, rows);
			}
			g_free(whole);
			g_free(f);
		}
	}
}

static bool is_corrupt(const struct report *r)
{
	bool corrupt = false;

	for (unsigned i = 0; i < r->count; i++)
		corrupt = corrupt || r->findings[i].severity == SEV_CORRUPT;
	return corrupt;
}

/* Cut anywhere, a file is corrupt: there is no end record. */
static void test_truncated(void)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(samples); i++) {
		struct file *f = samples[i]();
		size_t n = i == 2 ? f->x : f->n, rows;

		for (f->n = 0; f->n < n; f->n++) {
			struct report *r = run(f), *small = run_capped(f, 16);

			g_assert_true(is_corrupt(r));
			same_report(r, small);
			listing(f, 64, &rows);
			g_free(r);
			g_free(small);
		}
		g_free(f);
	}
}

static void test_bit_flips(void)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(samples); i++) {
		struct file *f = samples[i]();
		size_t rows;

		for (size_t bit = 0; bit < 8 * f->n; bit++) {
			struct report *r, *small;

			f->b[bit / 8] ^= (uint8_t)(1u << bit % 8);
			r = run(f);
			small = run_capped(f, 16);
			same_report(r, small);
			listing(f, 4096, &rows);
			f->b[bit / 8] ^= (uint8_t)(1u << bit % 8);
			g_free(r);
			g_free(small);
		}
		g_free(f);
	}
}

/* --- decode() and body() ----------------------------------------------------------------------- */

static void test_body(void)
{
	struct file *f = edited();
	void *scratch = g_malloc0(fmt_postfix.body_scratch);
	GString *s = g_string_new(NULL);
	struct message m;
	struct want w;
	struct run t;

	facts(f, &m);
	m.parts[0].bytes = f->b;
	m.parts[0].len = f->n;
	while (fmt_postfix.body(scratch, &m, &t, &w) == STEP_ROW) {
		g_string_append_len(s, (const char *)f->b + t.offset, (gssize)t.length);
		if (t.newline)
			g_string_append_c(s, '\n');
	}
	g_assert_cmpstr(s->str, ==, "Received: by example.org (Postfix)\nX-New: header\n\ntext\n");
	/* The last piece of a text has no line end. */
	g_free(f);
	f = healthy();
	facts(f, &m);
	m.parts[0].bytes = f->b;
	m.parts[0].len = f->n;
	memset(scratch, 0, fmt_postfix.body_scratch);
	g_string_truncate(s, 0);
	while (fmt_postfix.body(scratch, &m, &t, &w) == STEP_ROW) {
		g_string_append_len(s, (const char *)f->b + t.offset, (gssize)t.length);
		if (t.newline)
			g_string_append_c(s, '\n');
	}
	g_assert_true(g_str_has_suffix(s->str + 60, "end of a long line\nno newline"));
	g_string_free(s, TRUE);
	g_free(scratch);
	g_free(f);
}

static char *rows_of(const struct file *f)
{
	void *scratch = g_malloc0(fmt_postfix.decode_scratch);
	GString *s = g_string_new(NULL);
	struct message m;
	struct want w;
	struct row row;

	facts(f, &m);
	m.parts[0].bytes = f->b;
	m.parts[0].len = f->n;
	while (fmt_postfix.decode(scratch, &m, &row, &w) == STEP_ROW) {
		g_string_append_printf(s, "%*s%.*s: %.*s", 2 * row.depth, "", row.kind.len,
				       (const char *)row.kind.bytes, row.detail.len,
				       (const char *)row.detail.bytes);
		if (row.has_target)
			g_string_append_printf(s, "-> %" G_GUINT64_FORMAT, row.target);
		g_string_append_c(s, '\n');
	}
	g_free(scratch);
	return g_string_free(s, FALSE);
}

static void has(const char *rows, const char *row)
{
	g_test_message("%s\nin\n%s", row, rows);
	g_assert_nonnull(strstr(rows, row));
}

static void test_decode(void)
{
	struct file *f = edited();
	char *s = rows_of(f), *t;

	g_assert_true(g_str_has_prefix(s, "initial envelope: \n  size record: \n"
					  "    data size (field 1): "));
	has(s, "    sendopts (field 6): 0\n");
	has(s, "  arrival time: 1795167359 747177 (2026-11-20T09:35:59Z)\n");
	has(s, "  attribute: create_time=1795167359 (2026-11-20T09:35:59Z)\n");
	has(s, "  sender: alice@example.org\n  pointer: 0: room for a later edit\n");
	has(s, "  pointer: -> ");
	has(s, "  recipient cancelled: gone@example.org\n");
	has(s, "message text: \n");
	has(s, "  padding: padding\n");
	has(s, "extracted envelope: \n");
	has(s, "bytes, read by pointers only\n");
	g_free(s);
	/* Damage: reading stops, and goes on where the size record says. */
	put(f, f->text - 2, "M\x7f");
	s = rows_of(f);
	t = strstr(s, "extracted envelope");
	g_assert_nonnull(t);
	has(s, "  message start: ");
	g_free(s);
	f->b[at(f, 'F', 0)] = 0;
	s = rows_of(f);
	has(s, "  reading stops: ");
	has(s, "message text: by the size record\n");
	g_free(s);
	g_free(f);
	f = healthy();
	bytes(f, "tail", 4);
	s = rows_of(f);
	has(s, "after the end: 4 bytes, never read\n");
	g_free(s);
	g_free(f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/postfix/healthy", test_healthy);
	g_test_add_func("/postfix/oddities", test_oddities);
	g_test_add_func("/postfix/framing", test_framing);
	g_test_add_func("/postfix/zeros", test_zeros);
	g_test_add_func("/postfix/padded", test_padded);
	g_test_add_func("/postfix/size-fields", test_size_fields);
	g_test_add_func("/postfix/size-values", test_size_values);
	g_test_add_func("/postfix/size-record", test_size_record);
	g_test_add_func("/postfix/types", test_types);
	g_test_add_func("/postfix/unknown", test_unknown);
	g_test_add_func("/postfix/time", test_time);
	g_test_add_func("/postfix/sender", test_sender);
	g_test_add_func("/postfix/attributes", test_attributes);
	g_test_add_func("/postfix/recipients", test_recipients);
	g_test_add_func("/postfix/small-values", test_small_values);
	g_test_add_func("/postfix/pointers", test_pointers);
	g_test_add_func("/postfix/backward", test_backward);
	g_test_add_func("/postfix/record-limit", test_record_limit);
	g_test_add_func("/postfix/status", test_status);
	g_test_add_func("/postfix/held", test_held);
	g_test_add_func("/postfix/in-flight", test_in_flight);
	g_test_add_func("/postfix/names", test_names);
	g_test_add_func("/postfix/paths", test_paths);
	g_test_add_func("/postfix/long-hash", test_long_hash);
	g_test_add_func("/postfix/bid", test_bid);
	g_test_add_func("/postfix/cross", test_cross);
	g_test_add_func("/postfix/windows", test_windows);
	g_test_add_func("/postfix/truncated", test_truncated);
	g_test_add_func("/postfix/bit-flips", test_bit_flips);
	g_test_add_func("/postfix/body", test_body);
	g_test_add_func("/postfix/decode", test_decode);
	return g_test_run();
}
