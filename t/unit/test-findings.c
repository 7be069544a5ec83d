/*
 * test-findings.c - the catalogue is sound, the report and its texts hold
 */
#include "bytes.h"
#include "finding.h"

#include <glib.h>
#include <string.h>

/* Names are part of scripts and of stores: server or area, a dot, words. */
static void test_names(void)
{
	GHashTable *seen = g_hash_table_new(g_str_hash, g_str_equal);

	for (unsigned i = 0; i < F_COUNT; i++) {
		const struct finding_def *def = finding_def(i);

		g_assert_nonnull(def);
		g_assert_true(g_regex_match_simple("^[a-z]+\\.[a-z0-9]+(-[a-z0-9]+)*$", def->name, 0, 0));
		g_assert_true(g_hash_table_add(seen, (gpointer)(uintptr_t)def->name));
	}
	g_assert_null(finding_def(F_COUNT));
	g_assert_null(finding_def(UINT_MAX));
	g_hash_table_unref(seen);
}

static void test_sentences(void)
{
	for (unsigned i = 0; i < F_COUNT; i++) {
		const struct finding_def *def = finding_def(i);
		size_t n = strlen(def->text);

		g_test_message("%s", def->name);
		g_assert_cmpuint(n, >, 10);
		g_assert_cmpint(def->text[n - 1], !=, '.');
		g_assert_cmpuint(strlen(def->server), >, 10);
		g_assert_cmpuint(strlen(def->todo), >, 5);
		g_assert_true(g_str_is_ascii(def->text) && g_str_is_ascii(def->server) &&
			      g_str_is_ascii(def->todo));
		/* Only what is corrupt may be taken out of a running spool. */
		if (def->impact == IMPACT_SERVER_STOPS)
			g_assert_cmpint(def->severity, ==, SEV_CORRUPT);
	}
}

/* A milder severity would go unnoticed: the list is repeated here. */
static void test_severities(void)
{
	static const char *const notices[] = {
		"spool.stale-log", "postfix.length-padded", "postfix.size-twice",
		"postfix.recipient-count", "postfix.arrival-twice", "postfix.attribute-value",
		"postfix.warn-time", "postfix.verp", "postfix.recipient-order",
		"postfix.trailing-bytes", "postfix.incomplete", "postfix.hash-directory",
		"postfix.hash-mixed", "postfix.inode", "postfix.put-aside", "postfix.envelope-line-end", NULL
	};
	static const char *const suspects[] = {
		"spool.foreign", "spool.duplicate-id", "spool.place-missing", "spool.never-written", "postfix.sender-twice",
		"postfix.pointer-segment", "postfix.recipient-empty", "postfix.recipient-missing",
		"postfix.envelope-nul", "postfix.mark-data", "postfix.owner", NULL
	};

	for (unsigned i = 0; i < F_COUNT; i++) {
		const struct finding_def *def = finding_def(i);
		enum severity want = SEV_CORRUPT;

		if (!g_str_has_prefix(def->name, "postfix.") && !g_str_has_prefix(def->name, "spool."))
			continue;
		if (g_strv_contains(notices, def->name))
			want = SEV_NOTICE;
		if (g_strv_contains(suspects, def->name))
			want = SEV_SUSPECT;
		g_test_message("%s", def->name);
		g_assert_cmpint(def->severity, ==, want);
	}
}

static void test_words(void)
{
	g_assert_cmpstr(severity_name(SEV_NOTICE), ==, "notice");
	g_assert_cmpstr(severity_name(SEV_CORRUPT), ==, "corrupt");
	g_assert_cmpstr(severity_name((enum severity)3), ==, "?");
	g_assert_cmpstr(impact_name(IMPACT_NONE), ==, "none");
	g_assert_cmpstr(impact_name(IMPACT_SERVER_STOPS), ==, "server-stops");
	g_assert_cmpstr(impact_name((enum impact)5), ==, "?");
	g_assert_cmpstr(impact_name((enum impact)-1), ==, "?");
}

static void test_text(void)
{
	struct text t = { 0 };
	uint8_t many[300];

	text_u64(&t, 0);
	text_str(&t, " ");
	text_u64(&t, UINT64_MAX);
	text_str(&t, " ");
	text_i64(&t, INT64_MIN);
	text_bytes(&t, (const uint8_t *)"\0x", 2);
	text_bytes(&t, NULL, 0);
	same_bytes(t.bytes, t.len, "0 18446744073709551615 -9223372036854775808\0x", 45);

	memset(many, 'm', sizeof many);
	text_bytes(&t, many, sizeof many);
	g_assert_cmpuint(t.len, ==, TEXT_MAX);
	text_str(&t, "more");
	text_u64(&t, 12345);
	text_bytes(&t, many, 1);
	g_assert_cmpuint(t.len, ==, TEXT_MAX);
	g_assert_cmpint(t.bytes[TEXT_MAX - 1], ==, 'm');

	memset(&t, 0, sizeof t);
	text_bytes(&t, many, TEXT_MAX - 1);
	text_u64(&t, 98765);
	g_assert_cmpuint(t.len, ==, TEXT_MAX);
	g_assert_cmpint(t.bytes[TEXT_MAX - 1], ==, '9');
}

/* What is left of a cursor, which does not move; what it has read, or cannot read, is not told. */
static void test_left(void)
{
	struct cur c = cur_make((const uint8_t *)"ab\0cd", 5, 0);
	struct text t = { 0 };
	uint8_t many[300];

	cur_skip(&c, 1);
	text_left(&t, &c);
	same_bytes(t.bytes, t.len, "b\0cd", 4);
	g_assert_cmpuint(c.pos, ==, 1);
	cur_skip(&c, 4);
	text_left(&t, &c);
	g_assert_cmpuint(t.len, ==, 4);
	cur_seek(&c, 0);
	cur_skip(&c, 6);
	text_left(&t, &c);
	g_assert_cmpuint(t.len, ==, 4);

	memset(many, 'm', sizeof many);
	c = cur_make(many, sizeof many, 0);
	text_left(&t, &c);
	text_left(&t, &c);
	g_assert_cmpuint(t.len, ==, TEXT_MAX);
	g_assert_cmpint(t.bytes[3], ==, 'd');
	g_assert_cmpint(t.bytes[TEXT_MAX - 1], ==, 'm');
	c = cur_make(NULL, 0, 0);
	text_left(&t, &c);
	g_assert_cmpuint(t.len, ==, TEXT_MAX);
}

/* A flood of mild findings must not hide the one that matters. */
static void test_overflow(void)
{
	struct report *r = g_new0(struct report, 1);
	struct finding *f;
	unsigned corrupt = 0;

	memset(r->findings, 0xee, sizeof r->findings); /* the room need not be clean */
	for (unsigned i = 0; i < 100; i++) {
		f = report_add(r, F_SPOOL_STALE_LOG, 0, i, 0);
		g_assert_cmpuint(f->field.len, ==, 0);
	}
	g_assert_cmpuint(r->count, ==, REPORT_MAX);
	g_assert_cmpuint(r->more, ==, 100 - REPORT_MAX);
	f = report_add(r, F_SPOOL_ZERO_FILLED, 3, 12, 34);
	g_assert_cmpint(f->severity, ==, SEV_CORRUPT);
	g_assert_true(f >= r->findings && f < r->findings + REPORT_MAX);
	for (unsigned i = 0; i < REPORT_MAX; i++)
		corrupt += r->findings[i].severity == SEV_CORRUPT;
	g_assert_cmpuint(corrupt, ==, 1);
	f = report_add(r, F_SPOOL_STALE_LOG, 0, 0, 0);
	g_assert_true(f == &r->spare);
	g_assert_cmpuint(r->more, ==, 100 - REPORT_MAX + 2);
	for (unsigned i = 0; i < 2 * REPORT_MAX; i++)
		report_add(r, F_SPOOL_ZERO_FILLED, 0, i, 0);
	for (unsigned i = 0; i < REPORT_MAX; i++)
		g_assert_cmpint(r->findings[i].severity, ==, SEV_CORRUPT);
	g_free(r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/findings/names", test_names);
	g_test_add_func("/findings/sentences", test_sentences);
	g_test_add_func("/findings/severities", test_severities);
	g_test_add_func("/findings/words", test_words);
	g_test_add_func("/findings/text", test_text);
	g_test_add_func("/findings/left", test_left);
	g_test_add_func("/findings/overflow", test_overflow);
	return g_test_run();
}
