/*
 * lane.c - the reader's life
 *
 * Promises: looks at no byte of a message; every name of a job gets exactly one
 * result, whatever the worker does. It may run as root, so what the worker says
 * is read with suspicion (wire.c). When its channel to the coordinator fails it
 * exits.
 *
 * The flow: name -> slot_load() into lane memory -> a full batch, or the end of
 * the job -> ask() the worker -> results. With `deep` a report is held back until a second worker, which looks
 * into the text of the same lane memory, has answered, or died. When a batch goes wrong its unanswered
 * messages are asked about one at a time, so that only the guilty one stays
 * unchecked.
 */
#include "config.h"

#include "lane.h"

#include "beneath.h"
#include "bounds.h"
#include "hire.h"
#include "lanemem.h"
#include "slot.h"
#include "volume.h"
#include "wire.h"

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
	struct lanemem mem;
	struct slot slots[BATCH_MAX];
	unsigned count;              /* slots in the batch */
	struct hired worker, deep;   /* the second looks into texts */
	struct hired *at_work;       /* one of them */
	enum lane_verb verb;         /* what it is asked */
	uint8_t in[sizeof(struct lane_job) + JOB_BYTES_MAX];
	uint32_t clean;              /* messages of a brief job without a finding */
	uint64_t clean_bytes;
	uint16_t ages[AGES];         /* of them; a job has fewer names than this can count */
	uint8_t out[FRAME_MAX];
	size_t out_len;
	uint8_t frame[FRAME_MAX];    /* the worker's */
	struct report report;        /* room to decode an answer in */
	struct deep said;
} r = { .worker = HIRED_NONE, .deep = { -1, -1, 0, true } };

/* Reports that wait for the deep pass, by slot. */
static struct held {
	uint32_t len;
	bool good;                   /* sound enough to look inside */
	bool clean;                  /* without a finding */
	uint8_t bytes[ANSWER_MAX];
} held[BATCH_MAX];

/* --- Results -------------------------------------------------------------- */

static void out_flush(void)
{
	if (r.out_len > 0 && send(r.coordinator, r.out, r.out_len, MSG_NOSIGNAL) < 0)
		_exit(0);
	r.out_len = 0;
}

static void out_put(const void *p, size_t n)
{
	memcpy(r.out + r.out_len, p, n);
	r.out_len += n;
}

static void put_result(const struct lane_result *head, const char *path, const uint8_t *answer,
		       const uint8_t *deep)
{
	if (sizeof *head + head->path_len + head->answer_len + head->deep_len > sizeof r.out - r.out_len)
		out_flush();
	out_put(head, sizeof *head);
	out_put(path, head->path_len);
	if (head->answer_len > 0)
		out_put(answer, head->answer_len);
	if (head->deep_len > 0)
		out_put(deep, head->deep_len);
}

/* The result of a slot: an answer of the worker, or an end without one. */
static void result(struct slot *s, const struct load_end *end, const struct answer *a)
{
	struct lane_result head = {
		.seq = r.job.seq, .index = (uint16_t)s->index, .status = (uint8_t)end->status,
		.why = (uint8_t)end->why, .place = (uint8_t)s->place, .error = end->error,
		.offset = end->offset, .facts = s->facts[0],
		.path_len = (uint32_t)strlen(s->path) + 1,
		.answer_len = a != NULL ? (uint32_t)a->len : 0,
	};

	s->answered = end->status != LANE_ROW && end->status != LANE_RUN &&
		      end->status != LANE_TEXT;
	put_result(&head, s->path, a != NULL ? a->body : NULL, NULL);
}

/* Nothing to report: counted, told at the end of the job. Where the server wrote no arrival, the file's time has to do. */
static void clean(struct slot *s)
{
	int64_t arrival = r.report.has_arrival ? r.report.arrival : s->facts[0].mtime.tv_sec;

	r.ages[ages_class(r.config.site.now, arrival)]++;
	s->answered = true;
	r.clean++;
	r.clean_bytes += s->facts[0].size;
}

static void unchecked(struct slot *s, enum unchecked why)
{
	result(s, &(struct load_end){ .status = LANE_UNCHECKED, .why = why }, NULL);
}

enum ask {
	ASK_GO_ON,
	ASK_STOP,   /* the message has its result, and the worker waits for what will not come */
	ASK_REFUSE, /* this is not what an honest worker answers */
};

/* --- The deep pass: held reports ------------------------------------------- */

static bool second_look(void)
{
	return r.verb == VERB_DEEP || r.verb == VERB_CONTENTS;
}

static struct held *held_of(const struct slot *s)
{
	return &held[s - r.slots];
}

/* Keep the report until the text was looked into. */
static enum ask hold(struct slot *s, const struct answer *a)
{
	struct held *h = held_of(s);

	if (a->len > sizeof h->bytes)
		return ASK_REFUSE;
	h->len = (uint32_t)a->len;
	h->good = r.report.count == 0 || r.report.findings[0].severity < SEV_CORRUPT;
	h->clean = r.report.count == 0;
	memcpy(h->bytes, a->body, a->len);
	s->answered = true;
	return ASK_GO_ON;
}

/* Send it, with what the deep pass says, or without. */
static void release(struct slot *s, enum deep_status status, enum unchecked why, const struct answer *deep)
{
	struct held *h = held_of(s);
	struct lane_result head = {
		.seq = r.job.seq, .index = (uint16_t)s->index, .status = LANE_REPORT, .deep = (uint8_t)status,
		.deep_why = (uint8_t)why, .place = (uint8_t)s->place, .facts = s->facts[0],
		.path_len = (uint32_t)strlen(s->path) + 1, .answer_len = h->len,
		.deep_len = deep != NULL ? (uint32_t)deep->len : 0,
	};

	s->answered = true;
	h->len = 0;
	put_result(&head, s->path, h->bytes, deep != NULL ? deep->body : NULL);
}

/* What the deep pass says of a slot. */
static enum ask take_deep(struct slot *s, const struct answer *a)
{
	if (!second_look() || a->len > ANSWER_MAX || !wire_get_deep(a->body, a->len, &r.said))
		return ASK_REFUSE;
	if (!slot_unchanged(s)) {
		held_of(s)->len = 0;
		result(s, &(struct load_end){ .status = LANE_CHANGED }, NULL);
	} else if (r.job.brief && held_of(s)->clean && r.said.report.count == 0 &&
		   wire_get_report(held_of(s)->bytes, held_of(s)->len, &r.report)) { /* clean() wants its arrival */
		held_of(s)->len = 0;
		clean(s);
	} else {
		release(s, r.verb == VERB_DEEP ? DEEP_DONE : DEEP_CONTENTS, UNCHECKED_OPEN, a);
	}
	return ASK_GO_ON;
}

/* --- Asking the worker ---------------------------------------------------- */

static enum ask give_window(struct slot *s, const struct want *want)
{
	struct load_end end;

	switch (slot_window(s, &r.mem, want, &end)) {
	case LOAD_OK:
		return hired_go(r.at_work) ? ASK_GO_ON : ASK_REFUSE;
	case LOAD_END:
		if (second_look())
			release(s, DEEP_UNCHECKED, end.why, NULL);
		else
			result(s, &end, NULL);
		return ASK_STOP;
	case LOAD_FULL:
		break;
	}
	return ASK_REFUSE;
}

/* One answer about slot `s`. */
static enum ask take_answer(struct slot *s, const struct answer *a)
{
	struct load_end end = { .status = LANE_REPORT };
	bool check = r.verb == VERB_CHECK;
	struct want want;
	struct row row;
	struct run run;

	switch (a->kind) {
	case ANSWER_WANT:
		return wire_get_want(a->body, a->len, &want) ? give_window(s, &want) : ASK_REFUSE;
	case ANSWER_DONE:
		if (!check || !wire_get_report(a->body, a->len, &r.report))
			return ASK_REFUSE;
		if (!slot_unchanged(s))
			result(s, &(struct load_end){ .status = LANE_CHANGED }, NULL);
		else if (r.job.deep)
			return hold(s, a);
		else if (r.job.brief && r.report.count == 0)
			clean(s);
		else
			result(s, &end, a);
		return ASK_GO_ON;
	case ANSWER_ROW:
		if (r.verb != VERB_DECODE || !wire_get_row(a->body, a->len, &row))
			return ASK_REFUSE;
		end.status = LANE_ROW;
		result(s, &end, a);
		return ASK_GO_ON;
	case ANSWER_RUN:
		if (r.verb != VERB_BODY || !wire_get_run(a->body, a->len, &run))
			return ASK_REFUSE;
		end.status = LANE_RUN;
		result(s, &end, a);
		return ASK_GO_ON;
	case ANSWER_BYTES:
		if (r.verb != VERB_BODY)
			return ASK_REFUSE;
		end.status = LANE_TEXT;
		result(s, &end, a);
		return ASK_GO_ON;
	case ANSWER_DEEP:
		return take_deep(s, a);
	case ANSWER_END:
		if (check || second_look() || a->len > 0)
			return ASK_REFUSE;
		end.status = LANE_ROWS_END;
		result(s, &end, NULL);
		return ASK_GO_ON;
	}
	return ASK_REFUSE;
}

/* One frame of answers; *next is the slot whose answer is due. */
static enum ask take_frame(size_t len, unsigned first, unsigned n, unsigned *next)
{
	struct cur frame = cur_make(r.frame, len, 0);
	struct answer a;

	while (wire_next(&frame, &a)) {
		struct slot *s = &r.slots[first + *next];
		enum ask done = *next < n && a.index == *next ? take_answer(s, &a) : ASK_REFUSE;

		if (done != ASK_GO_ON)
			return done;
		*next += s->answered;
	}
	return frame.err == CUR_OK ? ASK_GO_ON : ASK_REFUSE;
}

/* Wake the worker for slots [first, first + n). */
static bool wake(unsigned first, unsigned n)
{
	struct lane_head *head = lanemem_at(&r.mem, 0);
	char what[60];

	if (hire(r.at_work, r.config.zygote, r.mem.fd, what) < 0)
		return false;
	head->count = n;
	head->verb = r.verb;
	head->force = r.job.force;
	for (unsigned i = 0; i < n; i++)
		head->messages[i] = r.slots[first + i].offset;
	r.at_work->served += n;
	return true;
}

/* Have slots [first, first + n) checked; results leave as answers arrive. True when
 * all have theirs; else the worker is gone and *why_r says why. */
static bool ask(unsigned first, unsigned n, enum unchecked *why_r)
{
	enum ask done = ASK_GO_ON;
	unsigned next = 0;

	*why_r = UNCHECKED_WORKER;
	if (!wake(first, n))
		return false;
	*why_r = UNCHECKED_DIED;
	if (!hired_go(r.at_work))
		done = ASK_REFUSE;
	while (done == ASK_GO_ON && next < n) {
		ssize_t len;

		if (!hired_speaks(r.at_work)) {
			*why_r = UNCHECKED_HUNG;
			break;
		}
		len = recv(r.at_work->fd, r.frame, sizeof r.frame, 0);
		if (len <= 0)
			break;
		done = take_frame((size_t)len, first, n, &next);
		if (done == ASK_REFUSE)
			*why_r = UNCHECKED_GARBAGE;
	}
	if (next < n || done != ASK_GO_ON)
		dismiss(r.at_work);
	return next == n || done == ASK_STOP;
}

/* Ask about slots [first, first + n). When that goes wrong as a whole, those still without an answer
 * are asked about one at a time; `fail` ends the one that goes wrong alone. */
static void ask_all(unsigned first, unsigned n, void (*fail)(struct slot *, enum unchecked))
{
	enum unchecked why;

	if (ask(first, n, &why))
		return;
	for (unsigned i = first; i < first + n; i++)
		if (!r.slots[i].answered && (n == 1 || !ask(i, 1, &why)))
			fail(&r.slots[i], why);
}

static void deep_unchecked(struct slot *s, enum unchecked why)
{
	release(s, DEEP_UNCHECKED, why, NULL);
}

/* Have the texts looked into whose reports are held back. Of what is corrupt as it is, only the place of the damage. */
static void look_inside(void)
{
	r.at_work = &r.deep;
	for (unsigned i = 0, n; i < r.count; i += n) {
		n = 1;
		if (held[i].len == 0)
			continue;
		r.verb = held[i].good ? VERB_DEEP : VERB_CONTENTS;
		while (i + n < r.count && held[i + n].len > 0 && held[i + n].good == held[i].good)
			n++;
		for (unsigned j = i; j < i + n; j++)
			r.slots[j].answered = false;
		ask_all(i, n, deep_unchecked);
	}
}

/* Check what is in lane memory and begin a new batch. */
static void batch_flush(void)
{
	r.at_work = &r.worker;
	r.verb = (enum lane_verb)r.job.verb;
	for (unsigned i = 0; i < r.count; i++)
		held[i].len = 0;
	if (r.count > 0)
		ask_all(0, r.count, unchecked);
	if (r.count > 0 && r.job.deep)
		look_inside();
	for (unsigned i = 0; i < r.count; i++)
		slot_close(&r.slots[i]);
	r.count = 0;
	lanemem_reset(&r.mem);
}

/* --- Jobs ----------------------------------------------------------------- */

/* Add a name to the batch. A stream is a batch of its own: only one message can
 * have its window moved. */
static void add(unsigned index, const char *name)
{
	for (int tries = 0; tries < 2; tries++) {
		struct slot *s = &r.slots[r.count];
		struct load_end end;
		enum load done;

		s->index = index;
		done = slot_load(s, &r.source, name, &end);
		if (done == LOAD_END) {
			result(s, &end, NULL);
			return;
		}
		if (done == LOAD_OK && (!s->stream || r.count == 0)) {
			r.count++;
			if (s->stream || r.count == BATCH_MAX || r.mem.used > BATCH_BYTES)
				batch_flush();
			return;
		}
		if (done == LOAD_OK)
			slot_close(s);
		batch_flush(); /* and once more, alone */
	}
	r.slots[0].index = index;
	unchecked(&r.slots[0], UNCHECKED_TOO_BIG);
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
	struct lane_result done = { .seq = r.job.seq, .status = LANE_JOB_DONE };

	r.clean = 0;
	r.clean_bytes = 0;
	memset(r.ages, 0, sizeof r.ages);
	if (r.job.fresh) {
		dismiss(&r.worker);
		dismiss(&r.deep);
	}
	r.source = (struct slot_source){
		.config = &r.config, .mem = &r.mem, .dir_path = strings,
		.dir = dir_open(strings),
		.place = r.job.place, .depth = r.job.depth, .role = r.job.role,
		.force = r.job.force, .fresh = r.job.fresh,
	};
	for (unsigned i = 0; i < r.job.count; i++) {
		add(i, name);
		name += strlen(name) + 1;
	}
	batch_flush();
	if (r.source.dir >= 0 && r.source.dir != r.config.root)
		close(r.source.dir);
	if (r.job.fresh) {
		dismiss(&r.worker);
		dismiss(&r.deep);
	}
	done.clean = r.clean;
	done.facts.size = r.clean_bytes;
	memcpy(done.ages, r.ages, sizeof done.ages);
	put_result(&done, "", NULL, NULL);
	out_flush();
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
	struct lane_head *head;

	close_others();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_IGN); /* the coordinator decides when to end, also where a service manager tells all */
	signal(SIGTERM, SIG_IGN);
	if (on_volume())
		volume_inherited(r.config.reach->volume);
	if (lanemem_open(&r.mem) < 0)
		_exit(1);
	head = lanemem_at(&r.mem, 0);
	head->format = r.config.format_index;
	head->site = r.config.site;
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
