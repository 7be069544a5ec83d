/*
 * supervise.c - children that may hang, and a parent that does not
 *
 * This process opens no file, stats none and reads no directory. It forks, polls pipes with the clock in
 * sight, and kills. What it cannot kill it leaves.
 */
#include "config.h"

#include "supervise.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#define PIPE_OUT 0
#define PIPE_ERR 1
#define PIPE_NEWS 2
#define PIPE_HELD 65536 /* bytes that are held back until a child is done */
#define TAKE_READS 8
#define NEWS_FD 3
#define RUNNING_MAX 64

static gint64 now_us(void)
{
	return g_get_monotonic_time();
}

/* --- Signals ------------------------------------------------------------------ */

/* Those that would end us: only where nobody chose to ignore them. */
static void ending_signals(sigset_t *set)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };

	sigemptyset(set);
	for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
		struct sigaction old;

		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaddset(set, signals[i]);
	}
}

/* Descriptors 0 to 2 may be closed, and stay so: nothing of ours may come to lie there. */
static int above_standard(int fd)
{
	int high;

	if (fd < 0 || fd > 2)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	close(fd);
	return high;
}

int watch_begin(struct watch *watch)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t set;

	*watch = (struct watch){ .fd = -1 };
	/* Children can be waited for even if who started us ignores them. */
	sigaction(SIGCHLD, &action, &watch->chld);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, &watch->pipe);
	ending_signals(&set);
	sigprocmask(SIG_BLOCK, &set, &watch->mask);
	watch->fd = above_standard(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	return watch->fd < 0 ? -errno : 0;
}

void watch_end(struct watch *watch)
{
	if (watch->fd >= 0)
		close(watch->fd);
	watch->fd = -1;
	sigaction(SIGCHLD, &watch->chld, NULL);
	sigaction(SIGPIPE, &watch->pipe, NULL);
	sigprocmask(SIG_SETMASK, &watch->mask, NULL);
}

static void hear_signals(struct watch *watch)
{
	struct signalfd_siginfo info;

	while (watch->fd >= 0 && read(watch->fd, &info, sizeof info) == sizeof info)
		watch->told = (int)info.ssi_signo;
}

/* --- Passing on ------------------------------------------------------------------ */

/* Wait until the descriptor takes something. A signal ends the patience. */
static bool takes(struct watch *watch, int fd, gint64 until)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLOUT }, { .fd = watch->fd, .events = POLLIN } };
	gint64 left;

	while ((left = (until - now_us()) / 1000) > 0) {
		int n = poll(p, watch->told == 0 ? 2 : 1, (int)MIN(left, 1000));

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0 && p[0].revents != 0)
			return (p[0].revents & POLLOUT) != 0;
		hear_signals(watch);
		if (watch->told != 0)
			until = MIN(until, now_us() + WARD_TELL_MS * 1000);
	}
	return false;
}

void supervise_write(struct watch *watch, int fd, const char *bytes, size_t len)
{
	gint64 until = MAX(watch->deadline, now_us() + WARD_TELL_MS * 1000);

	while (len > 0 && !watch->deaf[fd]) {
		ssize_t n;

		if (!takes(watch, fd, until)) {
			watch->deaf[fd] = true;
			return;
		}
		/* A pipe that polls as writable takes PIPE_BUF bytes without waiting. */
		n = send(fd, bytes, MIN(len, PIPE_BUF), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == ENOTSOCK)
			n = write(fd, bytes, MIN(len, PIPE_BUF));
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			watch->deaf[fd] = true;
		bytes += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
	}
}

/* Each line of a child's standard error, for the system log. */
static void log_lines(const char *bytes, size_t len)
{
	while (len > 0) {
		const char *end = memchr(bytes, '\n', len);
		size_t n = end != NULL ? (size_t)(end - bytes) : len;
		g_autofree char *line = g_strndup(bytes, n);

		if (n > 0)
			log_text(LOG_ERR, line);
		n += end != NULL;
		bytes += n;
		len -= n;
	}
}

/* What was held back goes to our own standard output or error. `whole`: no half line, as a child
 * that was killed may leave it. */
static void pass_on(struct watch *watch, struct ward *w, int which, bool whole)
{
	struct ward_pipe *p = &w->pipes[which];
	size_t len = p->len;

	while (whole && len > 0 && p->bytes[len - 1] != '\n')
		len--;
	supervise_write(watch, which == PIPE_OUT ? STDOUT_FILENO : STDERR_FILENO, p->bytes, len);
	if (which == PIPE_ERR)
		log_lines(p->bytes, len);
	p->len = 0;
}

/* Take what is in the pipe now, and not for ever from a child that never stops. */
static void take(struct watch *watch, struct ward *w, int which)
{
	struct ward_pipe *p = &w->pipes[which];

	for (int i = 0; i < TAKE_READS && p->fd >= 0; i++) {
		ssize_t n;

		if (p->len == PIPE_HELD)
			pass_on(watch, w, which, false);
		n = read(p->fd, p->bytes + p->len, PIPE_HELD - p->len);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			close(p->fd);
			p->fd = -1;
			return;
		}
		p->len += (size_t)n;
		if (which == PIPE_NEWS) {
			w->news(w, p->bytes, p->len);
			p->len = 0;
		}
	}
}

/* --- Birth and death ---------------------------------------------------------------- */

/* In the child: nothing of the parent's but the four descriptors, which become 0 to 3. */
static _Noreturn void become(struct ward *w, int fds[4], const struct watch *watch)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t term;

	setsid();
	/* Whoever kills the supervisor means us, too; what is being moved is finished. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	for (int i = 0; i < 4; i++)
		fds[i] = fcntl(fds[i], F_DUPFD, 4);
	for (int i = 0; i < 4; i++)
		if (fds[i] < 0 || dup2(fds[i], i) < 0)
			_exit(1);
	if (syscall(SYS_close_range, 4u, ~0u, 0) < 0)
		for (int fd = 4, end = (int)sysconf(_SC_OPEN_MAX); fd < end; fd++)
			close(fd); /* kernels before 5.9 */
	fcntl(NEWS_FD, F_SETFD, FD_CLOEXEC);
	/* As inherited, but that we have to hear when our time is up. */
	sigaction(SIGPIPE, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigprocmask(SIG_SETMASK, &watch->mask, NULL);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_UNBLOCK, &term, NULL);
	exit(w->main(w->arg, NEWS_FD));
}

/* pipe2() above the standard three. */
static int pipe_above(int pair[2])
{
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	pair[0] = above_standard(pair[0]);
	pair[1] = above_standard(pair[1]);
	return pair[0] < 0 || pair[1] < 0 ? -EMFILE : 0;
}

static void let_go(struct watch *watch, struct ward *w)
{
	for (int i = 0; i < 3; i++) {
		struct ward_pipe *p = &w->pipes[i];

		take(watch, w, i);
		if (i != PIPE_NEWS)
			pass_on(watch, w, i, !w->ended);
		if (p->fd >= 0)
			close(p->fd);
		p->fd = -1;
		g_clear_pointer(&p->bytes, g_free);
	}
	w->gone = true;
}

static void begin(struct watch *watch, struct ward *w)
{
	int in[2] = { -1, -1 }, ends[3] = { -1, -1, -1 };
	int ret = pipe_above(in);

	w->begun = true;
	for (int i = 0; i < 3; i++) {
		int pair[2] = { -1, -1 };

		if (ret == 0)
			ret = pipe_above(pair);
		w->pipes[i] = (struct ward_pipe){ .fd = pair[0], .bytes = g_malloc(PIPE_HELD) };
		ends[i] = pair[1];
		if (pair[0] >= 0)
			fcntl(pair[0], F_SETFL, O_NONBLOCK);
	}
	/* Its standard input is an empty pipe: there may be no /dev/null. */
	if (in[1] >= 0)
		close(in[1]);
	w->pid = ret == 0 ? fork() : -1;
	if (w->pid == 0)
		become(w, (int[]){ in[0], ends[0], ends[1], ends[2] }, watch);
	if (w->pid < 0)
		w->error = ret < 0 ? -ret : errno;
	for (int i = 0; i < 3; i++)
		if (ends[i] >= 0)
			close(ends[i]);
	if (in[0] >= 0)
		close(in[0]);
	if (w->pid < 0)
		let_go(watch, w);
}

/* Collect the ward if it has ended, and what is left of its group. */
static void collect(struct watch *watch, struct ward *w)
{
	siginfo_t info = { 0 };
	int status;

	/* Its group is killed while its number still belongs to it. */
	if (waitid(P_PID, (id_t)w->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
		return;
	kill(-w->pid, SIGKILL);
	if (waitpid(w->pid, &status, 0) == w->pid) {
		w->ended = WIFEXITED(status);
		w->status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
		w->sig = WIFSIGNALED(status) && !w->late ? WTERMSIG(status) : 0;
	}
	/* As process 1 we inherit its children. */
	while (waitpid(-w->pid, NULL, WNOHANG) > 0)
		;
	let_go(watch, w);
}

/* --- The loop ---------------------------------------------------------------------- */

enum stage { STAGE_WORK, STAGE_ASKED, STAGE_KILLED, STAGE_OVER };

static void signal_all(struct ward *wards, unsigned count, enum stage stage)
{
	for (unsigned i = 0; i < count; i++) {
		struct ward *w = &wards[i];

		if (w->begun && w->gone)
			continue;
		w->late = true;
		if (!w->begun)
			w->gone = w->begun = true;
		else if (stage == STAGE_ASKED)
			kill(w->pid, SIGTERM);
		else
			kill(-w->pid, SIGKILL);
	}
}

/* The next stage, when it is time for it. */
static void advance(enum stage *stage, gint64 *until, struct watch *watch, struct ward *wards,
		    unsigned count)
{
	gint64 now = now_us();

	if (now < *until && (*stage != STAGE_WORK || watch->told == 0))
		return;
	++*stage;
	*until = now + (*stage == STAGE_ASKED ? WARD_GRACE_MS : WARD_DEATH_MS) * 1000;
	if (*stage != STAGE_OVER)
		signal_all(wards, count, *stage);
}

static unsigned running(struct ward *wards, unsigned count)
{
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++)
		n += wards[i].begun && !wards[i].gone;
	return n;
}

/* Wait until somebody says something, or it is time. The end of a child shows by its pipes. */
static void listen_to(struct watch *watch, struct ward *wards, unsigned count, gint64 until)
{
	struct pollfd fds[3 * RUNNING_MAX + 1] = { { .fd = watch->fd, .events = POLLIN } };
	gint64 wait = (until - now_us()) / 1000 + 1;
	bool silent = true;
	nfds_t n = 1;

	for (unsigned i = 0; i < count; i++)
		for (int k = 0; k < 3 && wards[i].begun && !wards[i].gone; k++)
			if (wards[i].pipes[k].fd >= 0) {
				fds[n++] = (struct pollfd){ .fd = wards[i].pipes[k].fd, .events = POLLIN };
				silent = false;
			}
	/* All pipes closed, and yet not dead: looked at now and then. */
	poll(fds, n, (int)CLAMP(wait, 0, silent ? 10 : 100));
	hear_signals(watch);
	for (unsigned i = 0; i < count; i++)
		for (int k = 0; k < 3 && wards[i].begun && !wards[i].gone; k++)
			take(watch, &wards[i], k);
}

void supervise(struct watch *watch, struct ward *wards, unsigned count, unsigned at_once)
{
	enum stage stage = STAGE_WORK;
	gint64 until = watch->deadline;
	unsigned next = 0;

	at_once = CLAMP(at_once, 1, RUNNING_MAX);
	while (stage != STAGE_OVER) {
		while (stage == STAGE_WORK && next < count && running(wards, count) < at_once)
			begin(watch, &wards[next++]);
		if (running(wards, count) == 0)
			break;
		listen_to(watch, wards, count, until);
		for (unsigned i = 0; i < count; i++)
			if (wards[i].begun && !wards[i].gone)
				collect(watch, &wards[i]);
		advance(&stage, &until, watch, wards, count);
	}
	for (unsigned i = 0; i < count; i++)
		if (wards[i].begun && !wards[i].gone) {
			wards[i].given_up = true;
			let_go(watch, &wards[i]);
		}
}
