/*
 * zygote.c - the clean process that workers are forked from
 *
 * Forked before any mail was read, and it never reads any: its memory holds nothing of a
 * message, so a worker that it forks has "seen no byte of any other message" by
 * construction. It ends when the last holder of its socket is gone.
 */
#include "config.h"

#include "worker.h"

#include "deep.h"
#include "fdpass.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What is asked for, in one byte. */
#define ASK_WORKER 'W'
#define ASK_DEEP 'D'

/* Close every descriptor but `keep`, which becomes number 0. */
static int keep_only(int keep)
{
	if (keep != 0 && dup2(keep, 0) < 0)
		return -errno;
	if (syscall(SYS_close_range, 1u, ~0u, 0) == 0)
		return 0;
	for (int fd = 1, end = (int)sysconf(_SC_OPEN_MAX); fd < end; fd++)
		close(fd); /* kernels before 5.9 */
	return 0;
}

static void say(int fd, char kind, int error, const char *what)
{
	struct worker_hello hello = { .kind = kind, .error = error };

	strncpy(hello.what, what, sizeof hello.what - 1);
	send(fd, &hello, sizeof hello, MSG_NOSIGNAL);
}

/* In the child: take place, close the door, work. */
static _Noreturn void become_worker(bool deep, int channel, int memfd)
{
	const char *what = "mapping lane memory";
	const uint8_t *lane = mmap(NULL, LANE_BYTES, PROT_READ, MAP_SHARED, memfd, 0);
	int ret = lane == MAP_FAILED ? -errno : 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (ret == 0)
		ret = keep_only(channel);
	else
		dup2(channel, 0);
	if (ret == 0)
		ret = sandbox_close(deep, &what);
	say(WORKER_FD, HELLO_READY, ret, what);
	if (ret < 0)
		_exit(1);
	worker_main(lane);
}

/* Fork one worker and hand its pidfd to the reader, so that it can be killed without
 * a doubt about whom a pid means. */
static void spawn(bool deep, int channel, int memfd)
{
	pid_t pid = fork();
	int pidfd;

	if (pid == 0)
		become_worker(deep, channel, memfd);
	if (pid < 0) {
		say(channel, HELLO_READY, -errno, "fork");
		return;
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd >= 0) {
		struct worker_hello hello = { .kind = HELLO_PID };

		fd_send(channel, &hello, sizeof hello, &pidfd, 1);
		close(pidfd);
	} else {
		say(channel, HELLO_PID, -errno, "pidfd_open");
		kill(pid, SIGKILL);
	}
}

static _Noreturn void zygote_main(bool deep, int sock, const struct sandbox_user *user)
{
	const char *what = "closing descriptors";
	int landlock = 0;
	int ret = keep_only(sock);

	if (ret == 0 && deep)
		ret = deep_prepare(&what); /* while there are files to load */
	if (ret == 0)
		ret = sandbox_prepare(user, &landlock, &what);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user clears it: so only now */
	signal(SIGCHLD, SIG_IGN);
	signal(SIGINT, SIG_IGN);          /* the coordinator decides when to end */
	say(0, HELLO_READY, ret < 0 ? ret : landlock, what);
	if (ret < 0)
		_exit(1);
	for (;;) {
		char word;
		int fds[2];
		int n = fd_recv(0, &word, 1, fds, 2);

		if (n <= 0 || fds[0] < 0)
			_exit(0);
		spawn(word == ASK_DEEP, fds[0], fds[1]);
		close(fds[0]);
		close(fds[1]);
	}
}

int zygote_start(bool deep, int *landlock_r, const char **what_r)
{
	static struct worker_hello hello;
	struct sandbox_user user = sandbox_user();
	int pair[2];
	pid_t pid;

	*what_r = "socketpair";
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*what_r = "fork";
	pid = fork();
	if (pid == 0)
		zygote_main(deep, pair[1], &user);
	close(pair[1]);
	if (pid < 0 || recv(pair[0], &hello, sizeof hello, 0) != sizeof hello) {
		int ret = pid < 0 ? -errno : -ECHILD;

		close(pair[0]);
		return ret;
	}
	hello.what[sizeof hello.what - 1] = '\0';
	*what_r = hello.what;
	if (hello.error < 0) {
		close(pair[0]);
		return hello.error;
	}
	*landlock_r = hello.error;
	return pair[0];
}

int zygote_ask(int zygote, bool deep, int channel, int memfd)
{
	int fds[2] = { channel, memfd };
	char word = deep ? ASK_DEEP : ASK_WORKER;

	return fd_send(zygote, &word, 1, fds, 2);
}
