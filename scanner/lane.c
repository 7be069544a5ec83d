/*
 * lane.c - the reader's life
 *
 * Promises: looks at no byte of a message; every name of a job gets exactly one
 * result, whatever the worker does. When its channel to the coordinator fails it
 * exits.
 *
 * The flow: name -> slot_load() into lane memory -> a full batch, or the end of
 * the job -> lane_ask.c asks the worker -> lane_out.c sends results. With `deep` a second worker looks into
 * one batch while the next is read and checked.
 */
#include "config.h"

#include "lane.h"

#include "beneath.h"
#include "bounds.h"
#include "lane_ask.h"
#include "lane_out.h"
#include "lanemem.h"
#include "slot.h"
#include "volume.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct reader {
	struct lane_config config;
	int coordinator;
	struct lane_job job;
	struct slot_source source;
	struct lanemem mem[2];
	struct batch batch[2];
	struct batch *filling;       /* one of them; the other one may be looked into */
	uint8_t in[sizeof(struct lane_job) + JOB_BYTES_MAX];
} r;

/* --- Batches -------------------------------------------------------------- */

static void batch_reset(struct batch *b)
{
	for (unsigned i = 0; i < b->count; i++)
		slot_close(&b->slots[i]);
	b->count = 0;
	lanemem_reset(b->mem);
}

/* Have the batch checked and begin a new one, which is read while a second worker looks into this one. */
static void batch_flush(void)
{
	struct batch *other = &r.batch[r.filling == &r.batch[0]];

	ask_batch(r.filling);
	if (!r.job.deep) {
		batch_reset(r.filling);
		return;
	}
	ask_inside_end();
	batch_reset(other);
	ask_inside(r.filling);
	r.filling = other;
}

/* No message of the job is left without its result. */
static void batch_end(void)
{
	batch_flush();
	ask_inside_end();
	for (unsigned i = 0; i < 2; i++)
		batch_reset(&r.batch[i]);
}

static void ended(const struct slot *s, const struct load_end *end)
{
	out_result(s, end, NULL, NULL);
}

/* --- Jobs ----------------------------------------------------------------- */

/* Add a name to the batch. A stream is a batch of its own: only one message can
 * have its window moved. */
static void add(unsigned index, const char *name)
{
	struct slot *s = NULL;

	for (int tries = 0; tries < 2; tries++) {
		struct batch *b = r.filling;
		struct load_end end;
		enum load done;

		s = &b->slots[b->count];
		s->index = index;
		r.source.mem = b->mem;
		done = slot_load(s, &r.source, name, &end);
		if (done == LOAD_END) {
			ended(s, &end);
			return;
		}
		if (done == LOAD_OK && (s->open == 0 || b->count == 0)) {
			b->count++;
			if (s->open != 0 || b->count == BATCH_MAX || b->mem->used > BATCH_BYTES)
				batch_flush();
			return;
		}
		if (done == LOAD_OK)
			slot_close(s);
		batch_flush(); /* and once more, alone */
	}
	ended(s, &(struct load_end){ .status = LANE_UNCHECKED, .why = UNCHECKED_TOO_BIG });
}

static bool on_volume(void)
{
	return r.config.reach != NULL && r.config.reach->volume != NULL;
}

/* The job's directory; on a volume there is nothing to be held open, and the root stands for it. */
static int dir_open(const char *path)
{
	return on_volume() ? r.config.root : open_beneath(r.config.root, path, O_RDONLY | O_DIRECTORY);
}

static void job_run(const char *strings)
{
	const char *name = strings + strlen(strings) + 1;

	out_job(r.job.seq);
	ask_job(&r.job);
	r.source = (struct slot_source){
		.config = &r.config, .dir_path = strings,
		.dir = dir_open(strings),
		.place = r.job.place, .depth = r.job.depth, .role = r.job.role,
		.force = r.job.force, .fresh = r.job.fresh,
	};
	for (unsigned i = 0; i < r.job.count; i++) {
		add(i, name);
		name += strlen(name) + 1;
	}
	batch_end();
	if (r.source.dir >= 0 && r.source.dir != r.config.root)
		close(r.source.dir);
	ask_job_end();
	out_done();
}

/* Of what the coordinator had open a reader keeps its channel, the spool, the zygote
 * and the standard three; a sibling's socket in its hands would outlive the sibling. */
static void close_others(void)
{
	const int keep[] = { r.coordinator, r.config.root, r.config.zygote };
	int max = 0;

	for (unsigned i = 0; i < sizeof keep / sizeof keep[0]; i++)
		max = keep[i] > max ? keep[i] : max;
	for (int fd = 3; fd < max; fd++)
		if (fd != keep[0] && fd != keep[1] && fd != keep[2])
			close(fd);
	if (syscall(SYS_close_range, (unsigned)max + 1, ~0u, 0) < 0)
		for (int fd = max + 1, end = (int)sysconf(_SC_OPEN_MAX); fd < end; fd++)
			close(fd); /* kernels before 5.9 */
}

static _Noreturn void reader_main(void)
{
	close_others();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_IGN); /* the coordinator decides when to end, also where a service manager tells all */
	signal(SIGTERM, SIG_IGN);
	if (on_volume())
		volume_inherited(r.config.reach->volume);
	if (lanemem_open(r.mem) < 0)
		_exit(1);
	for (unsigned i = 0; i < 2; i++) {
		struct lane_head *head = lanemem_at(&r.mem[i], 0);

		head->format = r.config.format_index;
		head->site = r.config.site;
		r.batch[i].mem = &r.mem[i];
	}
	r.filling = &r.batch[0];
	out_open(r.coordinator, r.config.site.now);
	ask_open(r.config.zygote);
	for (;;) {
		ssize_t n = recv(r.coordinator, r.in, sizeof r.in, 0);

		if (n < (ssize_t)sizeof r.job)
			_exit(0);
		memcpy(&r.job, r.in, sizeof r.job);
		job_run((const char *)r.in + sizeof r.job);
	}
}

int lane_start(const struct lane_config *config, pid_t *pid_r)
{
	int pair[2], ret;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		r.config = *config;
		r.coordinator = pair[1];
		reader_main();
	}
	ret = pid < 0 ? -errno : pair[0];
	close(pair[1]);
	if (pid < 0)
		close(pair[0]);
	*pid_r = pid;
	return ret;
}
