/* ask.c - run a command of the host's server, with a deadline and without a shell; read a file */
#include "config.h"

#include "ask.h"

#include "bounds.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASK_MS 4000 /* of a loaded host: an installation with some instances needs one */
#define ASK_BYTES 65536
#define FILE_BYTES (1 << 20) /* Sendmail's configuration has 64 KiB */

static const char *late_command; /* see ask_late() */
static const volatile int never, *cancelled = &never;

void ask_heed(const volatile int *flag)
{
	cancelled = flag;
}

const char *ask_late(void)
{
	return late_command;
}

/* A program of root's in one of the system's directories, g_free, or NULL. */
static char *program(const char *name)
{
	static const char *const dirs[] = { "/usr/sbin", "/usr/bin", "/sbin", "/bin",
					    "/usr/local/sbin", "/usr/local/bin" };

	for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++) {
		g_autofree char *path = g_strconcat(dirs[i], "/", name, NULL);
		struct stat st;

		if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0 &&
		    st.st_uid == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
			return g_steal_pointer(&path);
	}
	return NULL;
}

/* In a process group of its own, so that what it starts ends with it. What it prints on descriptor `number`
 * (1 or 2) goes to `out`. */
static pid_t spawn(const char *path, const char *const *argv, int out, int number)
{
	static char path_word[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C";
	static char *environment[] = { path_word, locale, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	pid_t pid = -1;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, number);
	posix_spawn_file_actions_addopen(&actions, 3 - number, "/dev/null", O_WRONLY, 0);
	if (posix_spawn(&pid, path, &actions, &attributes, (char *const *)(size_t)argv,
			environment) != 0)
		pid = -1;
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

/* Read until the end; bytes read, -1 = late, cancelled, or more than fit. */
static ssize_t read_until(int fd, char *buf, size_t cap, gint64 deadline)
{
	size_t done = 0;

	while (done < cap) {
		gint64 left = (deadline - g_get_monotonic_time() + 999) / 1000;
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (left <= 0 || *cancelled)
			return -1;
		if (poll(&p, 1, (int)MIN(left, LOOK_UP_MS)) <= 0)
			continue;
		n = read(fd, buf + done, cap - done);
		if (n == 0)
			return (ssize_t)done;
		if (n > 0)
			done += (size_t)n;
		else if (errno != EINTR)
			return -1;
	}
	return -1;
}

/* Did it end by itself, and well, or at least in time when it `may_fail`? Whatever of it is left at the deadline
 * is killed. */
static bool ended_well(pid_t pid, bool late, bool may_fail, gint64 deadline)
{
	int status = -1;

	while (!late && waitpid(pid, &status, WNOHANG) == 0) {
		late = *cancelled || g_get_monotonic_time() > deadline;
		g_usleep(2000);
	}
	if (!late)
		return may_fail ? WIFEXITED(status) : status == 0;
	kill(-pid, SIGKILL);
	waitpid(pid, &status, 0);
	return false;
}

static char *ask(const char *const *argv, int number, bool may_fail)
{
	gint64 deadline = g_get_monotonic_time() + ASK_MS * 1000;
	g_autofree char *path = program(argv[0]);
	g_autofree char *text = NULL;
	ssize_t n = -1;
	bool good;
	int fds[2];
	pid_t pid;

	if (path == NULL || pipe2(fds, O_CLOEXEC) < 0)
		return NULL;
	pid = spawn(path, argv, fds[1], number);
	close(fds[1]);
	text = g_malloc(ASK_BYTES);
	if (pid > 0)
		n = read_until(fds[0], text, ASK_BYTES - 1, deadline);
	good = pid > 0 && ended_well(pid, n < 0, may_fail, deadline);
	if (g_get_monotonic_time() >= deadline)
		late_command = argv[0];
	close(fds[0]);
	if (!good || n <= 0)
		return NULL;
	text[n] = '\0';
	return g_steal_pointer(&text);
}

static char *first_line(char *text)
{
	if (text != NULL)
		text[strcspn(text, "\r\n")] = '\0';
	return text;
}

char *ask_all(const char *const *argv)
{
	return ask(argv, 1, false);
}

char *ask_command(const char *const *argv)
{
	return first_line(ask(argv, 1, false));
}

char *ask_usage(const char *const *argv)
{
	return first_line(ask(argv, 2, true));
}

/* `of_root`: others may not write it. */
static char *file(const char *path, bool of_root, size_t *len_r)
{
	g_autofree char *text = NULL;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	size_t done = 0;
	struct stat st;
	ssize_t n = -1;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (!of_root || (st.st_uid == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0))) {
		text = g_malloc(FILE_BYTES);
		do {
			n = read(fd, text + done, FILE_BYTES - 1 - done);
			done += n > 0 ? (size_t)n : 0;
		} while (n > 0);
	}
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return NULL;
	text[done] = '\0';
	*len_r = done;
	return g_steal_pointer(&text);
}

char *ask_file(const char *path)
{
	size_t ignored;

	return file(path, false, &ignored);
}

char *ask_only_file(const char *const *paths, size_t *len_r)
{
	const char *path = NULL;

	for (; *paths != NULL; paths++) {
		if (access(*paths, F_OK) < 0)
			continue;
		if (path != NULL)
			return NULL;
		path = *paths;
	}
	return path != NULL ? file(path, true, len_r) : NULL;
}
