/*
 * test-settings.c - what can be set: units, severities, rows, the file and back
 */
#include "config.h"

#include "scan.h"
#include "key_file.h"
#include "settings.h"
#include "spool.h"
#include "units.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- units ------------------------------------------------------------------------ */

static void test_times(void)
{
	static const struct {
		const char *text;
		gint64 seconds;
	} good[] = { { "0", 0 }, { "1", 1 }, { "30s", 30 }, { "5m", 300 }, { "2h", 7200 },
		     { "90d", 7776000 }, { "1.5h", 5400 }, { "100000d", G_GINT64_CONSTANT(8640000000) } };
	static const char *const bad[] = { "", "s", "-1", "-1s", "1w", "1 s", "1ss", "nan", "inf",
					   "infd", "1e300", "100001d", "soon", "1.s", "1,5h" };

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_cmpint(units_time(good[i].text), ==, good[i].seconds * G_USEC_PER_SEC);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(units_time(bad[i]), ==, -1);
	g_assert_cmpint(units_time("0.000001s"), ==, 1);
}

static void test_sizes(void)
{
	static const char *const bad[] = { "", "G", "-1G", "1g", "1GB", "1 G", "2000T", "1d", "ten" };

	g_assert_cmpint(units_size("1"), ==, 1);
	g_assert_cmpint(units_size("1K"), ==, 1024);
	g_assert_cmpint(units_size("20M"), ==, 20 << 20);
	g_assert_cmpint(units_size("1.5G"), ==, 3ll << 29);
	g_assert_cmpint(units_size("1024T"), ==, 1ll << 50);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(units_size(bad[i]), ==, -1);
}

/* What is printed is read as the same. */
static void test_units_back(void)
{
	static const gint64 some[] = { 1, 999999, 1000000, 1500000, 60000000, 61000000,
				       G_GINT64_CONSTANT(7776000000000), 1 << 20, 1 << 30, 12345678 };

	for (size_t i = 0; i < G_N_ELEMENTS(some); i++) {
		g_autofree char *time = units_time_text(some[i]);
		g_autofree char *size = units_size_text(some[i]);

		g_assert_cmpint(units_time(time), ==, some[i]);
		g_assert_cmpint(units_size(size), ==, some[i]);
	}
}

/* --- severity ------------------------------------------------------------------------- */

/* A finding of each kind, by definition. */
static unsigned defined(enum severity severity, enum impact impact)
{
	for (unsigned id = 0; id < F_COUNT; id++)
		if (finding_def(id)->severity == severity && finding_def(id)->impact == impact)
			return id;
	g_assert_not_reached();
}

static bool takes(struct severity_rules *rules, unsigned id, const char *words)
{
	g_autofree char *why = severity_set(rules, id, words);

	g_assert_true(why == NULL || strlen(why) > 10);
	return why == NULL;
}

static void test_severity_words(void)
{
	struct severity_rules rules = { .any = false };
	unsigned notice = defined(SEV_NOTICE, IMPACT_NONE), suspect = defined(SEV_SUSPECT, IMPACT_NONE);
	unsigned deletes = defined(SEV_CORRUPT, IMPACT_SERVER_DELETES);
	unsigned harms = defined(SEV_CORRUPT, IMPACT_DAMAGED_DELIVERY);

	g_assert_true(takes(&rules, notice, "suspect"));
	g_assert_true(takes(&rules, notice, "notice"));
	g_assert_true(takes(&rules, suspect, "notice"));
	g_assert_true(takes(&rules, harms, "suspect"));
	g_assert_true(takes(&rules, harms, "notice"));
	g_assert_true(takes(&rules, harms, "corrupt"));
	g_assert_true(takes(&rules, deletes, "corrupt"));
	g_assert_true(takes(&rules, deletes, "suspect force"));
	g_assert_true(takes(&rules, deletes, "notice \t force"));
	g_assert_false(takes(&rules, notice, "corrupt"));
	g_assert_false(takes(&rules, notice, "corrupt force"));
	g_assert_false(takes(&rules, suspect, "corrupt force"));
	g_assert_false(takes(&rules, deletes, "suspect"));
	g_assert_false(takes(&rules, deletes, "notice"));
	g_assert_false(takes(&rules, deletes, "suspect please"));
	g_assert_false(takes(&rules, deletes, "suspect force force"));
	g_assert_false(takes(&rules, notice, "harmless"));
	g_assert_false(takes(&rules, notice, ""));
	g_assert_false(takes(&rules, notice, "force"));
	g_assert_cmpstr(severity_words(&rules.of[deletes]), ==, "notice force");
	g_assert_cmpint(severity_finding("postfix.size-field"), >=, 0);
	g_assert_cmpint(severity_finding("postfix.size"), ==, -1);
}

/* What becomes of a finding of this severity and impact, whatever its definition says. */
static int applied(unsigned id, const char *words, enum severity severity, enum impact impact)
{
	static struct report r;
	struct severity_rules rules = { .any = false };
	struct finding *f;

	g_assert_true(takes(&rules, id, words));
	report_reset(&r);
	report_add(&r, (enum finding_id)(id == 0), 0, 0, 0)->severity = SEV_SUSPECT;
	f = report_add(&r, (enum finding_id)id, 0, 0, 0);
	f->severity = (uint8_t)severity;
	f->impact = (uint8_t)impact;
	severity_apply(&rules, &r);
	g_assert_cmpint(r.findings[0].severity, ==, SEV_SUSPECT); /* has no rule */
	return f->severity;
}

static void test_severity_apply(void)
{
	unsigned notice = defined(SEV_NOTICE, IMPACT_NONE);
	unsigned harms = defined(SEV_CORRUPT, IMPACT_DAMAGED_DELIVERY);
	unsigned deletes = defined(SEV_CORRUPT, IMPACT_SERVER_DELETES);

	g_assert_cmpint(applied(notice, "suspect", SEV_NOTICE, IMPACT_NONE), ==, SEV_SUSPECT);
	g_assert_cmpint(applied(harms, "suspect", SEV_CORRUPT, IMPACT_DAMAGED_DELIVERY), ==, SEV_SUSPECT);
	g_assert_cmpint(applied(harms, "notice", SEV_CORRUPT, IMPACT_STRANDED), ==, SEV_NOTICE);
	/* harmless by definition, but here it stops the server: not without force */
	g_assert_cmpint(applied(harms, "notice", SEV_CORRUPT, IMPACT_SERVER_STOPS), ==, SEV_CORRUPT);
	g_assert_cmpint(applied(notice, "suspect", SEV_CORRUPT, IMPACT_SERVER_DELETES), ==, SEV_CORRUPT);
	g_assert_cmpint(applied(harms, "notice force", SEV_CORRUPT, IMPACT_SERVER_STOPS), ==, SEV_NOTICE);
	g_assert_cmpint(applied(deletes, "suspect force", SEV_CORRUPT, IMPACT_SERVER_STOPS), ==,
			SEV_SUSPECT);
	/* "corrupt" says what the definition says; a check that was not sure is not made sure */
	g_assert_cmpint(applied(deletes, "corrupt", SEV_SUSPECT, IMPACT_SERVER_STOPS), ==, SEV_SUSPECT);
	g_assert_cmpint(applied(deletes, "corrupt", SEV_CORRUPT, IMPACT_SERVER_STOPS), ==, SEV_CORRUPT);
	severity_apply(NULL, NULL);
}

/* No rule that can be written makes any finding corrupt that was not. */
static void test_severity_never_raises_to_corrupt(void)
{
	static const char *const words[] = { "notice", "suspect", "corrupt", "notice force",
					     "suspect force", "corrupt force" };

	for (unsigned id = 0; id < F_COUNT; id++)
		for (size_t w = 0; w < G_N_ELEMENTS(words); w++) {
			struct severity_rules rules = { .any = false };

			if (takes(&rules, id, words[w]))
				g_assert_cmpint(applied(id, words[w], SEV_SUSPECT, IMPACT_SERVER_STOPS), <,
						SEV_CORRUPT);
		}
}

/* --- the file ---------------------------------------------------------------------------- */

static char *dir;

/* Read this text as a file; the number of problems. */
static guint read_text(struct settings *s, const char *text, gsize len, char **first_r)
{
	g_autofree char *path = g_build_filename(dir, "conf", NULL);
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
	int status;

	g_assert_true(g_file_set_contents(path, text, (gssize)len, NULL));
	g_assert_cmpint(chmod(path, 0600), ==, 0);
	status = settings_read(s, path, TRUE, problems);
	g_assert_true((status == 0) == (problems->len == 0));
	if (first_r != NULL)
		*first_r = problems->len > 0 ? g_strdup(problems->pdata[0]) : NULL;
	return problems->len;
}

static char *printed(const struct settings *s)
{
	char *text = NULL, *body;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	settings_print(s, to);
	fclose(to);
	body = g_strdup(strchr(text, '\n')); /* without the line that names the file */
	free(text);
	return body;
}

static const char everything[] =
	"[quarantine]\nmax-size = 10G\nretain=90d\nstore=/srv/store\naccept = never\n"
	"[scan]\nquarantine = fatal\nbudget = 90s\nmax-move = 25\nunattended = true\nfail-on = suspect\n"
	"exclude = hold ; deferred/A ;;\ndiscover = no\njobs = 3\n"
	"[log]\nfacility = local3\n"
	"[severity]\npostfix.length-padded = suspect\npostfix.record-overrun = notice force\n"
	"[spool main]\npath = /var/spool/postfix\nformat = postfix\n"
	"[spool b]\r\npath = /mnt/b c\nmounted = /mnt\nexclusive = yes\nexclude = x*\nserver-version = 3.7.11\n";

static void test_file_there_and_back(void)
{
	struct settings *a = settings_new(), *b = settings_new();
	const struct spool_settings *spool;
	g_autofree char *first = NULL, *once = NULL, *twice = NULL, *second = NULL;

	g_assert_cmpuint(read_text(a, everything, strlen(everything), &first), ==, 0);
	g_assert_cmpint(a->policy, ==, MOVE_FATAL);
	g_assert_cmpint(a->budget, ==, 90 * G_USEC_PER_SEC);
	g_assert_cmpint(a->max_move, ==, 25);
	g_assert_true(a->unattended && a->fail_on_suspect && !a->discover);
	g_assert_cmpint(a->jobs, ==, 3);
	g_assert_cmpuint(g_strv_length(a->exclude), ==, 2);
	g_assert_cmpstr(a->exclude[0], ==, "hold");
	g_assert_cmpstr(a->store, ==, "/srv/store");
	g_assert_cmpint(a->retention.retain, ==, 90 * RETENTION_MIN);
	g_assert_cmpint(a->retention.max_size, ==, 10ll << 30);
	g_assert_cmpint(a->accept, ==, 0);
	g_assert_cmpint(a->facility, ==, 7);
	g_assert_cmpuint(a->spools->len, ==, 2);
	spool = a->spools->pdata[1];
	g_assert_cmpstr(spool->name, ==, "b");
	g_assert_cmpstr(spool->path, ==, "/mnt/b c");
	g_assert_cmpstr(spool->mounted, ==, "/mnt");
	g_assert_cmpint(spool->exclusive, ==, 1);
	g_assert_null(spool->format);

	once = printed(a);
	g_assert_cmpuint(read_text(b, once, strlen(once), &second), ==, 0);
	twice = printed(b);
	g_assert_cmpstr(once, ==, twice);
}

static void test_defaults_print(void)
{
	struct settings *a = settings_new(), *b = settings_new();
	g_autofree char *once = printed(a), *twice = NULL, *first = NULL;

	g_assert_cmpint(a->policy, ==, MOVE_NOTHING);
	g_assert_false(retention_is_on(&a->retention));
	g_assert_cmpuint(read_text(b, once, strlen(once), &first), ==, 0);
	twice = printed(b);
	g_assert_cmpstr(once, ==, twice);
}

/* Cut anywhere, and with any byte changed: problems, or none, and always the end. */
static void test_file_damaged(void)
{
	gsize n = strlen(everything);

	for (gsize i = 0; i < n; i++)
		read_text(settings_new(), everything, i, NULL);
	for (gsize i = 0; i < n; i++) {
		static const char bytes[] = "\0\n[=\\\xff";
		g_autofree char *text = g_strdup(everything);

		text[i] = bytes[i % (sizeof bytes - 1)];
		read_text(settings_new(), text, n, NULL);
	}
}

static void test_problem_has_its_line(void)
{
	g_autofree char *first = NULL;

	g_assert_cmpuint(read_text(settings_new(), "# one\n\n[scan]\nbudgte = 5m\n", 25, &first), ==, 1);
	g_assert_nonnull(strstr(first, "/conf:4: budgte: no such key in [scan]; did you mean budget?"));
}

static void test_nearest(void)
{
	static const char *const names[] = { "budget", "max-move", "quarantine", "exclude", NULL };

	g_assert_cmpstr(key_file_nearest("budgte", names), ==, "budget");
	g_assert_cmpstr(key_file_nearest("max_move", names), ==, "max-move");
	g_assert_cmpstr(key_file_nearest("quarantne", names), ==, "quarantine");
	g_assert_cmpstr(key_file_nearest("excludes", names), ==, "exclude");
	g_assert_null(key_file_nearest("retention-period", names));
	g_assert_null(key_file_nearest("", names));
}

/* --- exclusions ----------------------------------------------------------------------------- */

static void test_excludes(void)
{
	const char *const list[] = { "hold", "deferred/A", "incoming/4F*", NULL };
	struct spool spool = { .exclude = (char **)(size_t)list };

	g_assert_true(spool_excludes(&spool, "hold"));
	g_assert_true(spool_excludes(&spool, "hold/4F2"));
	g_assert_true(spool_excludes(&spool, "deferred/A/4F2"));
	g_assert_true(spool_excludes(&spool, "incoming/4F2A"));
	g_assert_false(spool_excludes(&spool, "holder"));
	g_assert_false(spool_excludes(&spool, "deferred"));
	g_assert_false(spool_excludes(&spool, "deferred/AB"));
	g_assert_false(spool_excludes(&spool, "incoming/3F2A"));
	g_assert_false(spool_excludes(&spool, "x/hold"));
	spool.exclude = NULL;
	g_assert_false(spool_excludes(&spool, "hold"));
}

int main(int argc, char **argv)
{
	g_autofree char *path = NULL;
	int status;

	g_test_init(&argc, &argv, NULL);
	dir = g_dir_make_tmp("spoolck-settings-XXXXXX", NULL);
	g_test_add_func("/units/times", test_times);
	g_test_add_func("/units/sizes", test_sizes);
	g_test_add_func("/units/back", test_units_back);
	g_test_add_func("/severity/words", test_severity_words);
	g_test_add_func("/severity/apply", test_severity_apply);
	g_test_add_func("/severity/never-raises-to-corrupt", test_severity_never_raises_to_corrupt);
	g_test_add_func("/file/there-and-back", test_file_there_and_back);
	g_test_add_func("/file/defaults", test_defaults_print);
	g_test_add_func("/file/damaged", test_file_damaged);
	g_test_add_func("/file/line", test_problem_has_its_line);
	g_test_add_func("/file/nearest", test_nearest);
	g_test_add_func("/excludes", test_excludes);
	status = g_test_run();
	path = g_build_filename(dir, "conf", NULL);
	unlink(path);
	rmdir(dir);
	return status;
}
