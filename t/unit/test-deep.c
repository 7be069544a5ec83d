/*
 * test-deep.c - the deep pass behind the door: how much stack it takes, and character sets
 *
 * Each case runs in a child: what it does to its stack or its sandbox stays there.
 */
#include "config.h"

#include "bounds.h"
#include "deep.h"
#include "mime.h"
#include "sandbox.h"

#include <dlfcn.h>
#include <glib.h>
#include <iconv.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static struct deep deep;

static void look(const char *text)
{
	deep_reset();
	deep_put((const uint8_t *)text, strlen(text));
	deep_look(&deep);
}

/* --- Stack ------------------------------------------------------------------------- */

#ifndef SANITIZED /* which have frames of their own */
static ucontext_t back, other;
static char *deepest;

static void run(void)
{
	look(deepest);
	_exit(deep.parsed ? 0 : 1);
}

/* Does the text get along with `size` bytes of stack? */
static bool enough(size_t size)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		const size_t guard = 1 << 20;
		char *p = mmap(NULL, size + guard, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED || mprotect(p, guard, PROT_NONE) < 0 || getcontext(&other) < 0)
			_exit(2);
		other.uc_stack.ss_sp = p + guard;
		other.uc_stack.ss_size = size;
		other.uc_link = &back;
		makecontext(&other, run, 0);
		swapcontext(&back, &other);
		_exit(2);
	}
	waitpid(pid, &status, 0);
	g_assert_false(WIFEXITED(status) && WEXITSTATUS(status) != 0);
	return WIFEXITED(status);
}

/* So many levels, each with its own number for "@". */
static char *nested(const char *each, unsigned n)
{
	GString *s = g_string_new("From: bob\n");

	for (unsigned i = 0; i < n; i++) {
		g_autofree char *number = g_strdup_printf("%u", i);
		g_auto(GStrv) pieces = g_strsplit(each, "@", -1);
		g_autofree char *level = g_strjoinv(number, pieces);

		g_string_append(s, level);
	}
	g_string_append(s, "\ntext\n");
	return g_string_free(s, FALSE);
}

static void test_stack(gconstpointer each)
{
	size_t size = 8 << 10;

	deepest = nested(each, MIME_DEPTH - 2);
	while (size < WORKER_STACK && !enough(size))
		size *= 2;
	g_test_message("the deepest accepted nesting takes at most %zu KiB of stack, of %u", size >> 10,
		       WORKER_STACK >> 10);
	g_assert_cmpuint(size, <=, WORKER_STACK / 2);
	g_free(deepest);
}

static void test_stack_groups(void)
{
	char *groups = g_malloc(MIME_GROUPS * 2 + 1);

	for (size_t i = 0; i < MIME_GROUPS - 1; i++)
		memcpy(groups + 2 * i, "a:", 3);
	char *each = g_strconcat("To: ", groups, "\n", NULL);
	size_t size = 8 << 10;

	deepest = g_strconcat(each, "\ntext\n", NULL);
	while (size < WORKER_STACK && !enough(size))
		size *= 2;
	g_test_message("the deepest accepted groups take at most %zu KiB of stack", size >> 10);
	g_assert_cmpuint(size, <=, WORKER_STACK / 2);
	g_free(each);
	g_free(groups);
	g_free(deepest);
}
#endif

/* --- Character sets -------------------------------------------------------------------- */

static const char strange[] = "=?IBM1047?Q?=C8=85=93=93=96?="; /* Hello, in a set that no list has */

static char *decode(const char *words)
{
	void *handle = dlopen("libgmime-3.0.so.0", RTLD_NOW);
	char *(*function)(void *, const char *) = NULL;
	void *found = handle != NULL ? dlsym(handle, "g_mime_utils_header_decode_text") : NULL;

	g_assert_nonnull(found);
	memcpy(&function, &found, sizeof found);
	return function(NULL, words);
}

/* Go through the door, with the channel where it belongs. */
static void close_door(void)
{
	const char *what;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 || dup2(pair[0], WORKER_FD) < 0 ||
	    sandbox_close(true, &what) < 0)
		_exit(100);
}

static void in_child(int (*act)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(act());
	waitpid(pid, &status, 0);
	g_assert_true(WIFEXITED(status));
	g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

static int open_outside(void)
{
	char *text = decode(strange);

	return strcmp(text, "Hello") == 0 ? 0 : 1;
}

/* Behind the door the same call fails, and does not say so. */
static int silent_inside(void)
{
	char *(*function)(void *, const char *) = NULL;
	void *found = dlsym(dlopen("libgmime-3.0.so.0", RTLD_NOW), "g_mime_utils_header_decode_text");
	char *text;

	memcpy(&function, &found, sizeof found);
	close_door();
	if (iconv_open("UTF-8", "IBM1047") != (iconv_t)-1)
		return 1;
	text = function(NULL, strange);
	return text != NULL && strcmp(text, "Hello") != 0 ? 0 : 2;
}

/* And we do not take that for the text. */
static int not_fooled(void)
{
	g_autofree char *text = g_strconcat("From: a@b\nSubject: ", strange, "\n\ntext\n", NULL);

	close_door();
	look(text);
	if (deep.subject.len != strlen(strange) || memcmp(deep.subject.bytes, strange, strlen(strange)) != 0)
		return 1;
	for (unsigned i = 0; i < deep.report.count; i++)
		if (deep.report.findings[i].id == F_MIME_CHARSET)
			return 0;
	return 2;
}

/* What the list has is decoded behind the door. */
static int known_inside(void)
{
	static const char *const words[][2] = {
		{ "=?iso-8859-15?Q?=A4?=", "\xe2\x82\xac" },
		{ "=?windows-1251?Q?=E0?=", "\xd0\xb0" },
		{ "=?koi8-r?Q?=C1?=", "\xd0\xb0" },
		{ "=?iso-2022-jp?B?GyRCJCIbKEI=?=", "\xe3\x81\x82" },
		{ "=?gb18030?B?xOM=?=", "\xe4\xbd\xa0" },
		{ "=?big5?B?pEA=?=", "\xe4\xb8\x80" },
		{ "=?utf-7?Q?+AOQ-?=", "\xc3\xa4" },
		{ "=?cp866?Q?=A0?=", "\xd0\xb0" },
	};

	close_door();
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
		g_autofree char *text = g_strconcat("From: a@b\nSubject: ", words[i][0], "\n\ntext\n", NULL);

		look(text);
		if (deep.subject.len != strlen(words[i][1]) ||
		    memcmp(deep.subject.bytes, words[i][1], deep.subject.len) != 0)
			return (int)i + 1;
	}
	return 0;
}

static void test_child(gconstpointer act)
{
	int (*function)(void);

	memcpy(&function, &act, sizeof act);
	in_child(function);
}

static void add_child(const char *name, int (*act)(void))
{
	gpointer data;

	memcpy(&data, &act, sizeof act);
	g_test_add_data_func(name, data, test_child);
}

int main(int argc, char **argv)
{
	const char *what = "";

	g_test_init(&argc, &argv, NULL);
	g_assert_cmpint(deep_prepare(&what), ==, 0);
#ifndef SANITIZED
	g_test_add_data_func("/deep/stack/multiparts",
			     "Content-Type: multipart/mixed; boundary=x@\n\n--x@\n", test_stack);
	g_test_add_data_func("/deep/stack/messages", "Content-Type: message/rfc822\n\n", test_stack);
	g_test_add_func("/deep/stack/groups", test_stack_groups);
#endif
	add_child("/deep/charset/outside", open_outside);
	add_child("/deep/charset/silent-inside", silent_inside);
	add_child("/deep/charset/not-fooled", not_fooled);
	add_child("/deep/charset/known-inside", known_inside);
	return g_test_run();
}
