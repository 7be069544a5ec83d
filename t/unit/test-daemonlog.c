/*
 * test-daemonlog.c - what lines of real logs say, and what lines of strangers do not
 */
#include "daemonlog.h"

#include <glib.h>
#include <string.h>

static bool read_line(const char *line, struct death *d)
{
	/* a copy of exactly these bytes, so that a sanitizer sees a read too far */
	size_t len = strlen(line);
	uint8_t *copy = g_memdup2(line, len);
	bool found = daemonlog_line(copy, len, d);

	g_free(copy);
	return found;
}

static void is_text(const struct text *t, const char *s)
{
	g_assert_cmpmem(t->bytes, t->len, s, strlen(s));
}

static const struct {
	const char *line;
	enum death_kind kind;
	const char *format, *daemon;
	uint64_t pid;
	unsigned signal;
	const char *id;
} deaths[] = {
	{ "Nov 20 15:50:01 lab postfix/qmgr[241]: fatal: bad extra offset  file active/B10EC126127", DEATH_SAID, "postfix",
	  "qmgr", 241, 0, "B10EC126127" },
	{ "Nov 20 15:43:43 lab postfix/qmgr[996]: fatal: seek file active/0028F15D9FD: Invalid argument", DEATH_SAID,
	  "postfix", "qmgr", 996, 0, "0028F15D9FD" },
	{ "Nov 20 15:43:43 lab postfix/smtp[996]: panic: x file deferred/4/4F/4F2A, y", DEATH_SAID, "postfix", "smtp", 996,
	  0, "4F2A" },
	{ "Nov 20 15:44:39 lab postfix/qmgr[1155]: fatal: myrealloc: insufficient memory for 2147483648 bytes: Cannot "
	  "allocate memory", DEATH_SAID, "postfix", "qmgr", 1155, 0, "" },
	{ "Nov  2 05:44:39 lab postfix/master[235]: warning: process /usr/lib/postfix/sbin/qmgr pid 237 exit status 1",
	  DEATH_EXIT, "postfix", "qmgr", 237, 0, "" },
	{ "2026-11-20T15:41:18.123456+01:00 lab postfix-out/master[151]: warning: process /usr/lib/postfix/sbin/showq pid "
	  "157 killed by signal 11", DEATH_CRASH, "postfix", "showq", 157, 11, "" },
	{ "2026-11-20 15:41:18 queue run: process 237 crashed with signal 11 while delivering 1wIbVf-0000Ci-1A",
	  DEATH_CRASH, "exim", "queue run", 237, 11, "1wIbVf-0000Ci-1A" },
	{ "2026-11-20 15:41:18.123 +0100 [99] queue run: process 237 crashed with signal 11 while delivering "
	  "1wIbVf-000000000Ci-1Abc", DEATH_CRASH, "exim", "queue run", 237, 11, "1wIbVf-000000000Ci-1Abc" },
	{ "1795161679.123456 mx17 exim4[12]: queue run: process 237 crashed with signal 6 while delivering 1wIbVf-0000Ci-1A",
	  DEATH_CRASH, "exim", "queue run", 237, 6, "1wIbVf-0000Ci-1A" },
	{ "Nov 20 15:41:18 mx17 exim[12]: 2026-11-20 15:41:18 queue run: process 237 crashed with signal 6 while delivering "
	  "1wIbVf-0000Ci-1A", DEATH_CRASH, "exim", "queue run", 237, 6, "1wIbVf-0000Ci-1A" },
	{ "2026-11-20 19:23:47 process 21 crashed with signal 11 while delivering 1xUUCx-000006-10", DEATH_CRASH, "exim", "exim",
	  21, 11, "1xUUCx-000006-10" },
	/* real Exim 4.96 and 4.98, of a delivery and of a queue run; then as 4.99 writes it, and a run between two messages */
	{ "2026-11-20 19:23:47.337 [18] 1xUUCx-000006-10 SIGSEGV (   18 delivering 1xUUCx-000006-10", DEATH_CRASH, "exim", "exim",
	  18, 11, "1xUUCx-000006-10" },
	{ "2026-11-20 19:23:52 1xUUD7-00000000006-261F SIGSEGV (   10 delivering 1xUUD7-00000000006-261F (queue run pid 8)",
	  DEATH_CRASH, "exim", "queue run", 10, 11, "1xUUD7-00000000006-261F" },
	{ "2026-11-20 19:23:52 SIGSEGV (local delivery: 12345 delivering 1xUUD7-00000000006-261F: waiting", DEATH_CRASH, "exim",
	  "exim", 12345, 11, "1xUUD7-00000000006-261F" },
	{ "Nov 20 19:23:52 mx17 exim[7]: 2026-11-20 19:23:52 SIGSEGV (12345 running queue: waiting for 1xUUD7-00000000006-261F (9)",
	  DEATH_CRASH, "exim", "exim", 12345, 11, "" },
	{ "@400000006b00b0f9075bcd15 alert: oh no! lost spawn connection! dying...", DEATH_EXIT, "qmail", "qmail-send", 0, 0, "" },
	{ "2026-11-20_15:41:18.12345 alert: cannot start: unable to open mutex", DEATH_EXIT, "qmail", "qmail-send", 0, 0, "" },
	{ "Nov 20 15:41:18 mx17 qmail: 1795161679.123456 alert: oh no! lost qmail-clean connection! dying...", DEATH_EXIT, "qmail",
	  "qmail-send", 0, 0, "" },
	{ "1795161679.123456 mx17 courierd[151]: ABNORMAL TERMINATION BY A SIGNAL", DEATH_CRASH, "courier", "courierd", 0, 0, "" },
	{ "Nov 20 15:41:18 mx17 courierd: ABNORMAL TERMINATION, exit status: 1", DEATH_EXIT, "courier", "courierd", 0, 0, "" },
	{ "1795161679.123456 mx17 smtpd[12]: warn: lost child: scheduler exited abnormally", DEATH_CRASH, "opensmtpd",
	  "smtpd", 12, 0, "" },
	{ "1795161679.123456 mx17 smtpd[12]: lost child: queue terminated; signal 6", DEATH_CRASH, "opensmtpd", "smtpd", 12,
	  6, "" },
	{ "1795191401.428450 mx17 smtpd[118]: smtpd: process lka socket closed", DEATH_CRASH, "opensmtpd", "smtpd", 118, 0, "" },
	{ "1795161679.123456 mx17 smtpd[13]: fatal: scheduler: tree_xset", DEATH_SAID, "opensmtpd", "smtpd", 13, 0, "" },
	{ "Nov 20 15:41:18 mx17 sm-mta[12]: NOQUEUE: persistent queue runner=0 died, pid=237, signal=11", DEATH_CRASH,
	  "sendmail", "queue runner", 237, 11, "" },
	{ "Nov 20 15:41:18 mx17 sm-mta[12]: NOQUEUE: persistent queue runner=0 core dumped, signal=6", DEATH_CRASH,
	  "sendmail", "queue runner", 0, 6, "" },
	{ "1795161679.123456 mx17 kernel: exim4[1919]: segfault at ffffffffffffffe0 ip 00007f73d40b9c17 sp 00007ffd9afd2058 "
	  "error 5 in libc.so.6[167c17,7f73d3f78000+156000]", DEATH_CRASH, "exim", "exim4", 1919, 11, "" },
	{ "Nov 20 15:41:18 mx17 kernel: [23699.814404] traps: courierd[7] general protection fault ip:0 sp:0 error:0",
	  DEATH_CRASH, "courier", "courierd", 7, 0, "" },
};

static void test_deaths(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(deaths); i++) {
		struct death d;

		g_test_message("%s", deaths[i].line);
		g_assert_true(read_line(deaths[i].line, &d));
		g_assert_cmpint(d.kind, ==, deaths[i].kind);
		g_assert_cmpstr(d.format, ==, deaths[i].format);
		is_text(&d.daemon, deaths[i].daemon);
		g_assert_cmpuint(d.pid, ==, deaths[i].pid);
		g_assert_cmpuint(d.signal, ==, deaths[i].signal);
		is_text(&d.id, deaths[i].id);
	}
}

/* What is logged every day, and what a stranger may put into the words of others. */
static const char *const harmless[] = {
	"",
	"Nov 20 15:41:18",
	"Nov 20 15:41:18 ",
	"Nov 20 15:41:18 lab",
	"Nov 20 15:41:18 lab postfix/master[235]: terminating on signal 15",
	"Nov 20 15:41:18 lab postfix/master[235]: daemon started -- version 3.7.11, configuration /etc/postfix",
	"Nov 20 15:41:18 lab postfix/master[235]: warning: process /usr/lib/postfix/sbin/smtpd pid 237 exit status 1",
	"Nov 20 15:41:18 lab postfix/master[235]: warning: process /usr/lib/postfix/sbin/qmgr pid 237 killed by signal 15",
	"Nov 20 15:41:18 lab postfix/postqueue[1154]: fatal: malformed showq server response",
	"Nov 20 15:41:18 lab postfix/sendmail[1154]: fatal: usage: sendmail [options]",
	"Nov 20 15:41:18 lab postfix/qmgr[241]: 4F2A1C0B9: from=<fatal: file active/4F2A1C0B9>, size=1, nrcpt=1",
	"Nov 20 15:41:18 lab postfix/cleanup[241]: 4F2A: warning: header Subject: fatal: bad extra offset file active/4F2A",
	("Nov 20 15:41:18 lab postfix/smtp[241]: 4F: status=deferred (queue run: process 1 crashed with signal 11 while "
	 "delivering 4F)"),
	"Nov 20 15:41:18 lab postfix/master[235]: warning: process /usr/lib/postfix/sbin/qmgr pid x exit status 1",
	"Nov 20 15:41:18 lab postfix/master[235]: warning: process /usr/lib/postfix/sbin/qmgr pid 99999999999 exit status 1",
	"2026-11-20 15:41:18 1wIbVf-0000Ci-1A <= queue run: process 237 crashed with signal 11 while delivering x",
	"2026-11-20 15:41:18 Start queue run: pid=237",
	"2026-11-20 15:41:18 H=(queue run: process 1 crashed with signal 11 while delivering x) [127.0.0.1] rejected",
	"Nov 20 15:41:18 mx17 smtpd[13]: 1234 smtp connected address=127.0.0.1 host=lost child: queue",
	"Nov 20 15:41:18 mx17 smtpd[13]: 1234 smtp connected address=127.0.0.1 host=smtpd: process lka socket closed",
	"Nov 20 15:41:18 mx17 smtpd[13]: smtpd: process lka socket closed by peer",
	"Nov 20 15:41:18 mx17 kernel: firefox[7]: segfault at 0 ip 0 sp 0 error 4",
	"Nov 20 15:41:18 mx17 kernel: smtpd[7]: segfault at 0 ip 0 sp 0 error 4",
	"Nov 20 15:41:18 mx17 kernel: exim4[7]: segfaulting tests",
	"2026-11-20 19:23:47.331 [18] 1xUUCx-000006-10 SIGSEGV (fault address: 0x1)",
	"2026-11-20 19:23:47.334 [18] 1xUUCx-000006-10 SIGSEGV (null pointer indirection)",
	"2026-11-20 19:23:47.334 [18] 1xUUCx-000006-10 SIGSEGV (12",
	"2026-11-20 19:23:57 1xUUD7-00000000006-261F backtrace",
	"2026-11-20 19:23:57 1xUUD7-00000000006-261F <= SIGSEGV (   18 delivering 1xUUCx-000006-10",
	"2026-11-20 19:23:57 H=x SIGSEGV 18 delivering 1xUUCx-000006-10",
	"@400000006b00b0f9075bcd15 status: local 0/10 remote 0/20",
	"@400000006b00b0f9075bcd15 delivery 5: deferral: alert: oh no! lost spawn connection! dying.../",
	"@400000006b00b0f9075bcd15 alert: cannot start: qmail-send is already running",
	"@400000006b00b0f9075bcd15 alert: unable to append to bounce message; HELP! sleeping...",
	"@40000000 alert: oh no! lost spawn connection! dying...",
	"@400000006B00B0F9075BCD15 alert: oh no! lost spawn connection! dying...",
	"@ffffffffffffffff075bcd15 alert: oh no! lost spawn connection! dying...",
	"Nov 20 15:41:18 mx17 postfix/smtpd: alert: oh no! lost spawn connection! dying...",
	"Nov 20 15:41:18 mx17 courierd: Invalid number of links for ABNORMAL TERMINATION",
	"Nov 20 15:41:18 mx17 courierd: SHUTDOWN: respawnlo limit reached.",
	"Nov 31 25:41:18 mx17 kernel: exim4[7]: segfault at 0",
	"Nov 20 15:41:18 mx17 logger: exim4[7]: segfault at 0",
	"Foo 20 15:41:18 lab postfix/qmgr[241]: fatal: x",
};

static void test_harmless(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(harmless); i++) {
		struct death d;

		g_test_message("%s", harmless[i]);
		g_assert_false(read_line(harmless[i], &d));
	}
}

static void test_time(void)
{
	struct death d;

	read_line("2026-02-03T04:05:06.7-08:30 h postfix/qmgr[1]: fatal: x", &d);
	g_assert_true(d.time.known && !d.time.epoch && d.time.zoned);
	g_assert_cmpint(d.time.year, ==, 2026);
	g_assert_cmpint(d.time.month, ==, 2);
	g_assert_cmpint(d.time.day, ==, 3);
	g_assert_cmpint(d.time.hour, ==, 4);
	g_assert_cmpint(d.time.minute, ==, 5);
	g_assert_cmpint(d.time.second, ==, 6);
	g_assert_cmpint(d.time.zone, ==, -(8 * 3600 + 30 * 60));
	read_line("Dec  3 04:05:06 h postfix/qmgr[1]: fatal: x", &d);
	g_assert_true(d.time.known && !d.time.zoned);
	g_assert_cmpint(d.time.year, ==, 0);
	g_assert_cmpint(d.time.month, ==, 12);
	g_assert_cmpint(d.time.day, ==, 3);
	read_line("1795161679.123456 h postfix/qmgr[1]: fatal: x", &d);
	g_assert_true(d.time.epoch);
	g_assert_cmpint(d.time.seconds, ==, 1795161679);
	read_line("@400000006b00b0f9075bcd15 alert: oh no! lost x", &d); /* 2026-11-20 20:43:27 UTC */
	g_assert_true(d.time.epoch);
	g_assert_cmpint(d.time.seconds, ==, 1795207407);
	read_line("2026-11-20_15:41:18.12345 alert: oh no! lost x", &d);
	g_assert_true(d.time.known && !d.time.epoch && d.time.zoned);
	g_assert_cmpint(d.time.hour, ==, 15);
	g_assert_cmpint(d.time.zone, ==, 0);
}

/* Every line cut at each byte, and with each byte replaced: no read too far (sanitizers), and a text within its bounds. */
static void test_any_bytes(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(deaths); i++) {
		size_t len = strlen(deaths[i].line);

		for (size_t at = 0; at <= len; at++) {
			uint8_t *cut = g_memdup2(deaths[i].line, at);
			struct death d;

			daemonlog_line(cut, at, &d);
			for (unsigned byte = 0; at > 0 && byte < 256; byte += 17) {
				cut[at - 1] = (uint8_t)byte;
				daemonlog_line(cut, at, &d);
				g_assert_cmpint(d.id.len, <=, TEXT_MAX);
				g_assert_cmpint(d.said.len, <=, TEXT_MAX);
			}
			g_free(cut);
		}
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/daemonlog/deaths", test_deaths);
	g_test_add_func("/daemonlog/harmless", test_harmless);
	g_test_add_func("/daemonlog/time", test_time);
	g_test_add_func("/daemonlog/any-bytes", test_any_bytes);
	return g_test_run();
}
