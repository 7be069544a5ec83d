/*
 * hire.c - asking the zygote for a worker, and ending one
 *
 * A worker is trusted until it reads its first batch: the zygote's pidfd and the worker's "ready"
 * both come before that. From then on nothing it says is believed
 * unseen, and it is ended through the pidfd, which cannot mean anybody else.
 */
#include "config.h"

#include "hire.h"

#include "bounds.h"
#include "fdpass.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

void dismiss(struct hired *h)
{
	if (h->pidfd >= 0) {
		syscall(SYS_pidfd_send_signal, h->pidfd, SIGKILL, NULL, 0);
		close(h->pidfd);
	}
	if (h->fd >= 0)
		close(h->fd);
	h->fd = h->pidfd = -1;
	h->served = 0;
}

bool hired_speaks(const struct hired *h)
{
	struct pollfd p = { .fd = h->fd, .events = POLLIN };
	int n;

	do
		n = poll(&p, 1, WORKER_DEADLINE_MS);
	while (n < 0 && errno == EINTR);
	return n > 0;
}

bool hired_go(const struct hired *h, unsigned half)
{
	char word = (char)(WORKER_GO + half);

	return send(h->fd, &word, 1, MSG_NOSIGNAL) == 1;
}

/* The zygote's pidfd and the worker's "ready", in either order. */
static int greet(struct hired *h, char *what)
{
	bool ready = false;

	while (!ready || h->pidfd < 0) {
		struct worker_hello hello;
		int passed;
		int n = hired_speaks(h) ? fd_recv(h->fd, &hello, sizeof hello, &passed, 1) : -ETIMEDOUT;

		if (n < 0)
			return n;
		if (n != sizeof hello)
			return -EPROTO;
		if (hello.error < 0) {
			memcpy(what, hello.what, sizeof hello.what);
			return hello.error;
		}
		if (passed >= 0)
			h->pidfd = passed;
		ready |= hello.kind == HELLO_READY;
	}
	return 0;
}

static int engage(struct hired *h, int zygote, char kind, int with, char *what)
{
	int pair[2], ret;

	if (h->fd >= 0 && h->served < WORKER_MESSAGES)
		return 0;
	dismiss(h);
	strcpy(what, "socketpair");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	strcpy(what, "asking for a worker");
	h->fd = pair[0];
	ret = zygote_ask(zygote, kind, pair[1], with);
	close(pair[1]); /* or its end would never be seen */
	if (ret == 0)
		ret = greet(h, what);
	if (ret < 0)
		dismiss(h);
	return ret;
}

int hire(struct hired *h, int zygote, int memfd, char *what)
{
	return engage(h, zygote, h->deep ? ZYGOTE_DEEP : ZYGOTE_WORKER, memfd, what);
}

int hire_volume(struct hired *h, int zygote, int image, char *what)
{
	return engage(h, zygote, ZYGOTE_VOLUME, image, what);
}
