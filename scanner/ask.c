/* ask.c - run a command of the host's server, with a deadline and without a shell */
#include "config.h"

#include "ask.h"

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

#define ASK_MS 2000
#define ASK_FILE_MAX (256 << 10) /* bytes of a configuration */

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

static pid_t spawn(const char *path, const char *const *argv, int out, int number)
{
	static char path_word[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C";
	static char *environment[] = { path_word, locale, NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid = -1;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, number);
	posix_spawn_file_actions_addopen(&actions, 3 - number, "/dev/null", O_WRONLY, 0);
	if (posix_spawn(&pid, path, &actions, NULL, (char *const *)(size_t)argv, environment) != 0)
		pid = -1;
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

/* Read until the end, a full buffer, or the deadline; bytes read, -1 = late. */
static ssize_t read_until(int fd, char *buf, size_t cap)
{
	gint64 deadline = g_get_monotonic_time() + ASK_MS * 1000;
	size_t done = 0;

	while (done < cap) {
		gint64 left = (deadline - g_get_monotonic_time()) / 1000;
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)left) == 0)
			return -1;
		n = read(fd, buf + done, cap - done);
		if (n == 0)
			break;
		if (n > 0)
			done += (size_t)n;
		else if (errno != EINTR)
			return -1;
	}
	return (ssize_t)done;
}

/* The first line that the command prints on descriptor `number`. */
static char *first_line(const char *const *argv, int number, bool may_fail)
{
	g_autofree char *path = program(argv[0]);
	char line[256];
	int fds[2], status = 0;
	ssize_t n = -1;
	pid_t pid;

	if (path == NULL || pipe2(fds, O_CLOEXEC) < 0)
		return NULL;
	pid = spawn(path, argv, fds[1], number);
	close(fds[1]);
	if (pid > 0) {
		n = read_until(fds[0], line, sizeof line - 1);
		if (n < 0)
			kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	close(fds[0]);
	if (n <= 0 || !WIFEXITED(status) || (WEXITSTATUS(status) != 0 && !may_fail))
		return NULL;
	line[n] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	return g_strdup(line);
}

char *ask_command(const char *const *argv)
{
	return first_line(argv, 1, false);
}

char *ask_usage(const char *const *argv)
{
	return first_line(argv, 2, true);
}

char *ask_file(const char *const *paths, size_t *len_r)
{
	const char *path = NULL;
	char *text = NULL;
	struct stat st;
	int fd;

	for (; *paths != NULL; paths++) {
		if (access(*paths, F_OK) < 0)
			continue;
		if (path != NULL)
			return NULL;
		path = *paths;
	}
	fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == 0 &&
	    (st.st_mode & (S_IWGRP | S_IWOTH)) == 0 && st.st_size <= ASK_FILE_MAX) {
		text = g_malloc((gsize)st.st_size + 1);
		if (read(fd, text, (size_t)st.st_size) != st.st_size)
			g_clear_pointer(&text, g_free);
	}
	close(fd);
	*len_r = text != NULL ? (size_t)st.st_size : 0;
	return text;
}
