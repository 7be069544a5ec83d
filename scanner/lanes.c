/*
 * lanes.c - handing out jobs, and what happens when a reader fails
 *
 * Never waits without a deadline: a reader stuck in a dead file system is
 * killed and forgotten (it cannot be waited for), and after HANGS_MAX of them the
 * rest of the spool is unchecked rather than waited for one by one.
 */
#include "config.h"

#include "lanes.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Jobs in a lane: one in work, the others waiting, so that it does not idle while the
 * coordinator reads a directory. All of them fit the socket: sending never waits. */
#define PENDING_MAX 16
#define PENDING_BYTES 65536
#define HANGS_MAX 3

struct pending {
	struct lane_job job;
	char strings[JOB_BYTES_MAX];
	bool done[JOB_NAMES_MAX];
};

struct lane {
	int fd;          /* -1 = not running */
	pid_t pid;
	unsigned first, count;        /* ring of pending jobs */
	size_t bytes;                 /* of their names */
	struct pending pending[PENDING_MAX];
	gint64 heard;    /* when it last said something, monotonic µs */
};

struct lanes {
	struct lane_config config;
	lanes_result *result;
	void *arg;
	unsigned count, hangs;
	uint32_t seq;
	gint64 deadline; /* lanes_until() */
	bool forgot;     /* a job, since then */
	GQueue retry;    /* struct pending of one name each */
	uint8_t frame[FRAME_MAX];
	struct lane lane[];
};

static bool lane_revive(struct lanes *lanes, struct lane *l)
{
	l->fd = lane_start(&lanes->config, &l->pid);
	return l->fd >= 0;
}

struct lanes *lanes_open(const struct lane_config *config, unsigned count, lanes_result *result,
			 void *arg, int *errno_r)
{
	struct lanes *lanes = g_malloc0(sizeof *lanes + count * sizeof lanes->lane[0]);

	lanes->config = *config;
	lanes->result = result;
	lanes->arg = arg;
	lanes->count = count;
	g_queue_init(&lanes->retry);
	for (unsigned i = 0; i < count; i++) {
		if (lane_revive(lanes, &lanes->lane[i]))
			continue;
		*errno_r = -lanes->lane[i].fd;
		if (i > 0) {
			lanes->count = i;
			return lanes;
		}
		g_free(lanes);
		return NULL;
	}
	return lanes;
}

/* Name number `index` of a job. */
static const char *name_of(const struct pending *p, unsigned index)
{
	const char *s = p->strings + strlen(p->strings) + 1;

	while (index-- > 0)
		s += strlen(s) + 1;
	return s;
}

/* A result that no lane gave. */
static void give_up(struct lanes *lanes, const struct pending *p, unsigned index, int error)
{
	struct lane_result res = { .seq = p->job.seq, .index = (uint16_t)index,
				   .status = LANE_UNCHECKED, .why = UNCHECKED_READER,
				   .place = p->job.place, .error = error };
	g_autofree char *path = g_strconcat(p->strings, *p->strings != '\0' ? "/" : "",
					    name_of(p, index), NULL);

	res.path_len = (uint32_t)strlen(path) + 1;
	lanes->result(lanes->arg, &p->job, &res, path, NULL);
}

/* A job that a failed lane left behind: tried again as it is when the lane had not
 * come to it, else name by name. */
static void salvage(struct lanes *lanes, const struct pending *p, bool begun, int error)
{
	if (!begun && lanes->hangs < HANGS_MAX) {
		g_queue_push_tail(&lanes->retry, g_memdup2(p, sizeof *p));
		return;
	}
	for (unsigned i = 0; i < p->job.count; i++) {
		struct pending *one;

		if (p->done[i])
			continue;
		if (p->job.count == 1 || lanes->hangs >= HANGS_MAX) {
			give_up(lanes, p, i, error);
			continue;
		}
		one = g_new0(struct pending, 1);
		one->job = p->job;
		one->job.count = 1;
		one->job.bytes = (uint16_t)(g_stpcpy(g_stpcpy(one->strings, p->strings) + 1,
						     name_of(p, i)) + 1 - one->strings);
		g_queue_push_tail(&lanes->retry, one);
	}
}

static void lane_failed(struct lanes *lanes, struct lane *l, int error)
{
	unsigned count = l->count;

	close(l->fd);
	l->fd = -1;
	kill(l->pid, SIGKILL);
	waitpid(l->pid, NULL, error == ETIMEDOUT ? WNOHANG : 0);
	l->count = 0;
	l->bytes = 0;
	lanes->hangs += error == ETIMEDOUT;
	for (unsigned i = 0; i < count; i++)
		salvage(lanes, &l->pending[(l->first + i) % PENDING_MAX], i == 0, error);
	if (lanes->hangs < HANGS_MAX)
		lane_revive(lanes, l);
}

/* Take one result out of a frame; the reader is ours, but a broken one must not
 * break us. The rest of the frame, or NULL when it makes no sense. */
static const uint8_t *take_result(struct lanes *lanes, struct lane *l, const uint8_t *p,
				  const uint8_t *end)
{
	struct lane_result res;
	struct pending *job = &l->pending[l->first];
	const char *path;

	if ((size_t)(end - p) < sizeof res)
		return NULL;
	memcpy(&res, p, sizeof res);
	p += sizeof res;
	if (l->count == 0 || res.seq != job->job.seq ||
	    (uint64_t)res.path_len + res.answer_len + res.deep_len > (size_t)(end - p))
		return NULL;
	if (res.status == LANE_JOB_DONE) {
		if (res.clean > 0)
			lanes->result(lanes->arg, &job->job, &res, "", NULL);
		l->bytes -= job->job.bytes;
		l->first = (l->first + 1) % PENDING_MAX;
		l->count--;
		return p;
	}
	path = (const char *)p;
	if (res.index >= job->job.count || res.path_len == 0 || path[res.path_len - 1] != '\0')
		return NULL;
	if (res.status != LANE_ROW && res.status != LANE_RUN && res.status != LANE_TEXT)
		job->done[res.index] = true;
	lanes->result(lanes->arg, &job->job, &res, path, p + res.path_len);
	return p + res.path_len + res.answer_len + res.deep_len;
}

static void hear(struct lanes *lanes, struct lane *l)
{
	ssize_t n = recv(l->fd, lanes->frame, sizeof lanes->frame, 0);
	const uint8_t *p = lanes->frame, *end = p + (n > 0 ? n : 0);

	if (n < 0 && errno == EINTR)
		return;
	l->heard = g_get_monotonic_time();
	while (p != NULL && p < end)
		p = take_result(lanes, l, p, end);
	if (n <= 0 || p == NULL)
		lane_failed(lanes, l, EPIPE);
}

static bool late(const struct lanes *lanes)
{
	return lanes->deadline != 0 && g_get_monotonic_time() >= lanes->deadline;
}

/* How long a silent reader may be waited for now, in milliseconds. */
static int patience(const struct lanes *lanes)
{
	gint64 left = lanes->deadline - g_get_monotonic_time();

	return lanes->deadline == 0 ? READER_DEADLINE_MS
				    : (int)CLAMP(left / 1000 + 1, 0, READER_DEADLINE_MS);
}

/* Time is up: nobody waits for what is pending any more. */
static void forget(struct lanes *lanes)
{
	lanes->forgot = true;
	g_queue_clear_full(&lanes->retry, g_free);
	for (unsigned i = 0; i < lanes->count; i++) {
		struct lane *l = &lanes->lane[i];

		if (l->fd < 0 || l->count == 0)
			continue;
		close(l->fd);
		kill(l->pid, SIGKILL);
		waitpid(l->pid, NULL, WNOHANG);
		l->count = 0;
		l->bytes = 0;
		lane_revive(lanes, l);
	}
}

void lanes_until(struct lanes *lanes, gint64 deadline)
{
	lanes->deadline = deadline;
	lanes->forgot = false;
}

/* Wait until some lane says something, and deliver it; lanes that are silent for too
 * long are given up. */
static void pump(struct lanes *lanes)
{
	struct pollfd fds[LANES_MAX];
	gint64 now;

	if (late(lanes)) {
		forget(lanes);
		return;
	}

	for (unsigned i = 0; i < lanes->count; i++) {
		struct lane *l = &lanes->lane[i];

		fds[i] = (struct pollfd){ .fd = l->count > 0 ? l->fd : -1, .events = POLLIN };
	}
	if (poll(fds, lanes->count, patience(lanes)) < 0)
		return; /* a signal: the caller looks at its flag */
	now = g_get_monotonic_time();
	for (unsigned i = 0; i < lanes->count; i++) {
		struct lane *l = &lanes->lane[i];

		if (fds[i].fd < 0)
			continue;
		if (fds[i].revents != 0)
			hear(lanes, l);
		else if (now - l->heard >= READER_DEADLINE_MS * 1000)
			lane_failed(lanes, l, ETIMEDOUT);
	}
}

/* A lane with room for `bytes`, the emptiest first; NULL when there is none. */
static struct lane *lane_free(struct lanes *lanes, size_t bytes)
{
	struct lane *best = NULL;

	for (unsigned i = 0; i < lanes->count; i++) {
		struct lane *l = &lanes->lane[i];

		if (l->fd >= 0 && l->count < PENDING_MAX &&
		    (l->count == 0 || l->bytes + bytes <= PENDING_BYTES) &&
		    (best == NULL || l->count < best->count))
			best = l;
	}
	return best;
}

static bool any(const struct lanes *lanes, bool alive)
{
	for (unsigned i = 0; i < lanes->count; i++)
		if (alive ? lanes->lane[i].fd >= 0 : lanes->lane[i].count > 0)
			return true;
	return false;
}

/* Queue the job at a lane; its number is new each time. */
static void hand_out(struct lanes *lanes, const struct lane_job *job, const char *strings)
{
	uint8_t frame[sizeof *job + JOB_BYTES_MAX];
	struct lane *l;
	struct pending *p, lost;

	while ((l = lane_free(lanes, job->bytes)) == NULL && any(lanes, true))
		pump(lanes);
	if (late(lanes)) {
		lanes->forgot = true;
		return;
	}
	p = l != NULL ? &l->pending[(l->first + l->count) % PENDING_MAX] : &lost;
	p->job = *job;
	p->job.seq = ++lanes->seq;
	memset(p->done, 0, sizeof p->done);
	memcpy(p->strings, strings, job->bytes);
	if (l != NULL)
		l->bytes += job->bytes;
	if (l == NULL) { /* no lane is left, and none can be started */
		for (unsigned i = 0; i < job->count; i++)
			give_up(lanes, p, i, ETIMEDOUT);
		return;
	}
	if (l->count++ == 0)
		l->heard = g_get_monotonic_time();
	memcpy(frame, &p->job, sizeof p->job);
	memcpy(frame + sizeof p->job, strings, job->bytes);
	if (send(l->fd, frame, sizeof p->job + job->bytes, MSG_NOSIGNAL) < 0)
		lane_failed(lanes, l, EPIPE);
}

static void hand_out_retries(struct lanes *lanes)
{
	struct pending *p;

	while ((p = g_queue_pop_head(&lanes->retry)) != NULL) {
		hand_out(lanes, &p->job, p->strings);
		g_free(p);
	}
}

void lanes_submit(struct lanes *lanes, struct lane_job job, const char *strings)
{
	hand_out_retries(lanes);
	hand_out(lanes, &job, strings);
}

void lanes_submit_one(struct lanes *lanes, struct lane_job job, const char *dir, const char *name)
{
	char strings[JOB_BYTES_MAX];

	if (strlen(dir) + strlen(name) + 2 > sizeof strings)
		return;
	job.count = 1;
	job.bytes = (uint16_t)(g_stpcpy(g_stpcpy(strings, dir) + 1, name) + 1 - strings);
	lanes_submit(lanes, job, strings);
}

bool lanes_drain(struct lanes *lanes)
{
	do {
		hand_out_retries(lanes);
		while (any(lanes, false))
			pump(lanes);
	} while (!g_queue_is_empty(&lanes->retry));
	return !lanes->forgot;
}

void lanes_close(struct lanes *lanes)
{
	for (unsigned i = 0; i < lanes->count; i++) {
		struct lane *l = &lanes->lane[i];

		if (l->fd < 0)
			continue;
		close(l->fd);
		waitpid(l->pid, NULL, 0);
	}
	g_queue_clear_full(&lanes->retry, g_free);
	g_free(lanes);
}
