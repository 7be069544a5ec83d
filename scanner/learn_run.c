/*
 * learn_run.c - sealed memory there, a description and some numbers back
 *
 * The child is forked before the messages that it is meant for are read, gives up what a worker gives up (sandbox.h), and
 * waits for one descriptor: the memory with all messages, which it maps for reading and closes. Then the door
 * closes.
 */
#include "config.h"

#include "learn_run.h"

#include "fdpass.h"
#include "layout_file.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 300000 /* learning from LEARN_MESSAGES takes seconds */

/* The sealed memory begins with this. */
struct head {
	uint32_t count;
	bool given;
	struct layout layout;
	struct place {
		uint32_t text, text_len, stream, size; /* offsets from the head */
	} places[LEARN_MESSAGES];
};

struct learn_run {
	pid_t pid;
	int channel, memory;
	struct head head;
	uint32_t used;
};

/* --- The child ---------------------------------------------------------------------- */

static struct learn_answer answer; /* of either side: too large for a stack */

static _Noreturn void give_up(const char *what, int error)
{
	answer.error = error;
	g_strlcpy(answer.what, what, sizeof answer.what);
	send(WORKER_FD, &answer, sizeof answer, MSG_NOSIGNAL);
	_exit(1);
}

/* Only the parent's memory and the channel are left. */
static const struct head *enter(int channel)
{
	struct sandbox_user user = sandbox_user();
	const char *what = "closing descriptors";
	const struct head *head;
	struct stat st;
	int landlock, memory, ret;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(channel, WORKER_FD) < 0 || syscall(SYS_close_range, 1u, ~0u, 0) < 0)
		_exit(1);
	ret = sandbox_prepare(&user, &landlock, &what);
	if (ret < 0)
		give_up(what, ret);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fd_recv(WORKER_FD, &(char){ 0 }, 1, &memory, 1) != 1 || memory < 0)
		_exit(0); /* nothing was read after all */
	if (fstat(memory, &st) < 0)
		give_up("fstat", -errno);
	head = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, memory, 0);
	if (head == MAP_FAILED)
		give_up("mmap", -errno);
	close(memory);
	mallopt(M_MMAP_MAX, 0); /* else a growing array would be moved by mremap(), which is refused */
	ret = sandbox_close(SANDBOX_WORKER, &what);
	if (ret < 0)
		give_up(what, ret);
	return head;
}

static void try_layout(const struct layout *l, const struct sample *samples, unsigned n)
{
	static struct layout_scratch scratch;
	static struct report report;

	for (unsigned i = 0; i < n; i++) {
		struct learn_verdict *v = &answer.verdicts[i];
		struct layout_result result;

		report_reset(&report);
		layout_check(&scratch, l, samples[i].stream, samples[i].size, 0, &report, &result);
		report_sort(&report);
		*v = (struct learn_verdict){ .finding = F_COUNT };
		if (report.count > 0)
			*v = (struct learn_verdict){ report.findings[0].id, report.findings[0].severity,
				(uint32_t)report.findings[0].offset, (uint32_t)report.findings[0].length };
		answer.learned.explained += v->severity < SEV_SUSPECT;
		answer.learned.contradicting += v->severity >= SEV_SUSPECT;
	}
	answer.learned.messages = n;
}

static _Noreturn void child(int channel)
{
	const struct head *head = enter(channel);
	const uint8_t *memory = (const uint8_t *)head;
	static struct sample samples[LEARN_MESSAGES];
	struct layout l;

	for (uint32_t i = 0; i < head->count; i++)
		samples[i] = (struct sample){ memory + head->places[i].text, memory + head->places[i].stream,
					      head->places[i].text_len, head->places[i].size };
	if (head->given) {
		try_layout(&head->layout, samples, head->count);
	} else {
		answer.learned = learn(samples, head->count, &l);
		if (answer.learned.end == LEARN_OK || answer.learned.end == LEARN_UNSURE) {
			char *text = layout_text(&l);

			g_strlcpy(answer.text, text, sizeof answer.text);
		}
	}
	send(WORKER_FD, &answer, sizeof answer, MSG_NOSIGNAL);
	_exit(0);
}

/* --- The parent ------------------------------------------------------------------------ */

struct learn_run *learn_start(char **why_r)
{
	struct learn_run *run = g_new0(struct learn_run, 1);
	int pair[2];

	run->memory = memfd_create("spoolck-learn", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (run->memory < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		*why_r = g_strdup_printf("cannot make memory and a channel for a process: %s", g_strerror(errno));
		if (run->memory >= 0)
			close(run->memory);
		g_free(run);
		return NULL;
	}
	run->used = sizeof run->head;
	run->pid = fork();
	if (run->pid == 0)
		child(pair[1]);
	close(pair[1]);
	run->channel = pair[0];
	if (run->pid < 0) {
		*why_r = g_strdup_printf("cannot start a process: %s", g_strerror(errno));
		close(run->channel);
		close(run->memory);
		g_free(run);
		return NULL;
	}
	return run;
}

static int put(struct learn_run *run, const void *bytes, size_t n, uint32_t at)
{
	for (size_t done = 0; done < n;) {
		ssize_t some = pwrite(run->memory, (const char *)bytes + done, n - done, (off_t)(at + done));

		if (some < 0 && errno != EINTR)
			return -errno;
		done += some > 0 ? (size_t)some : 0;
	}
	return 0;
}

int learn_add(struct learn_run *run, const void *text, size_t text_len, const void *stream, size_t size)
{
	struct place *p = &run->head.places[run->head.count];
	int ret;

	if (run->head.count == LEARN_MESSAGES || text_len > LEARN_TEXT || size > LEARN_STREAM)
		return -E2BIG;
	*p = (struct place){ run->used, (uint32_t)text_len, run->used + (uint32_t)text_len, (uint32_t)size };
	ret = put(run, text, text_len, p->text);
	if (ret == 0)
		ret = put(run, stream, size, p->stream);
	if (ret < 0)
		return ret;
	run->used += (uint32_t)(text_len + size);
	run->head.count++;
	return 0;
}

/* Hand the memory over; nobody can change it any more. */
static int hand_over(struct learn_run *run)
{
	int ret = put(run, &run->head, sizeof run->head, 0);

	if (ret == 0 && fcntl(run->memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		ret = -errno;
	return ret < 0 ? ret : fd_send(run->channel, "M", 1, &run->memory, 1);
}

static bool receive(struct learn_run *run, struct learn_answer *answer_r, char **why_r)
{
	struct pollfd poll_one = { .fd = run->channel, .events = POLLIN };
	int ready = poll(&poll_one, 1, DEADLINE_MS);
	ssize_t n = ready > 0 ? recv(run->channel, answer_r, sizeof *answer_r, MSG_TRUNC) : -1;

	if (ready == 0)
		*why_r = g_strdup_printf("the process that looks at messages has not answered for %d s", DEADLINE_MS / 1000);
	else if (n != sizeof *answer_r)
		*why_r = g_strdup("the process that looks at messages died: one of them may have killed it");
	else if (answer_r->error < 0)
		*why_r = g_strdup_printf("no sandbox, no learning: %.60s: %s", answer_r->what, g_strerror(-answer_r->error));
	return *why_r == NULL;
}

/* The text is a description, or there is none: whoever wrote it may have been taken over. */
static bool read_answer(const struct learn_answer *a, struct layout *layout_r, char **why_r)
{
	GPtrArray *problems = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *text = g_strndup(a->text, sizeof a->text);

	if (a->learned.end == LEARN_OK || a->learned.end == LEARN_UNSURE)
		layout_parse("learned", text, layout_r, problems);
	layout_r->confirmed = false;
	if (problems->len > 0)
		*why_r = g_strdup_printf("the process that looks at messages answered nonsense: %s", (char *)problems->pdata[0]);
	g_ptr_array_unref(problems);
	return *why_r == NULL;
}

bool learn_finish(struct learn_run *run, const struct layout *given, struct learn_answer *answer_r,
		  struct layout *layout_r, char **why_r)
{
	bool ok;
	int ret;

	*why_r = NULL;
	run->head.given = given != NULL;
	if (given != NULL)
		run->head.layout = *given;
	memset(layout_r, 0, sizeof *layout_r);
	ret = hand_over(run);
	if (ret < 0)
		*why_r = g_strdup_printf("cannot hand the messages over: %s", g_strerror(-ret));
	ok = ret == 0 && receive(run, answer_r, why_r);
	kill(run->pid, SIGKILL);
	waitpid(run->pid, NULL, 0);
	close(run->channel);
	close(run->memory);
	g_free(run);
	return ok && (given != NULL || read_answer(answer_r, layout_r, why_r));
}
