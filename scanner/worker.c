/*
 * worker.c - the loop that interprets bytes
 *
 * Runs behind sandbox_close(): it reads lane memory, calls the pure functions
 * of a format, and sends frames of answers. It keeps nothing from one message to the
 * next. When anything about its channel fails it exits; its reader notices.
 */
#include "config.h"

#include "worker.h"

#include "contents.h"
#include "decode.h"
#include "deep.h"
#include "sandbox.h"
#include "wire.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef SPOOLCK_HOSTILE
#include "../t/hostile.h"
#endif

#define SCRATCH_MAX (32u << 10)

/* A deep pass speaks so often, in CPU time: its reader waits WORKER_DEADLINE_MS for a word, and one text may take
 * DEEP_CPU_MS. */
#define TELL_MS 100

static struct {
	const uint8_t *memory;  /* of the lane */
	const uint8_t *lane;    /* the half of it with the batch in work */
	struct message message; /* the one in work */
	struct report report;
	struct deep deep;
	uint8_t scratch[SCRATCH_MAX];
	uint8_t frame[FRAME_MAX];
	struct wire wire;
	int64_t told;           /* deep_clock() when a deep pass spoke because it takes long */
} w;

/* Wait for the reader's word. */
static void await(void)
{
	char word;

	if (recv(WORKER_FD, &word, 1, 0) != 1 || (word != WORKER_GO && word != WORKER_GO + 1))
		_exit(0);
	w.lane = w.memory + (size_t)(word - WORKER_GO) * LANE_HALF;
}

static void flush(void)
{
	if (w.wire.len > 0 && send(WORKER_FD, w.frame, w.wire.len, MSG_NOSIGNAL) < 0)
		_exit(0);
	w.wire.len = 0;
}

/* Copy message `index` of the batch out of lane memory. */
static void load(const struct lane_head *head, unsigned index)
{
	const struct lane_message *from =
		(const struct lane_message *)(const void *)(w.lane + head->messages[index]);
	struct message *m = &w.message;

	m->place = from->place;
	m->path = (const char *)w.lane + from->path;
	m->id = (const char *)w.lane + from->id;
	m->id_len = from->id_len;
	m->site = head->site;
	m->force = head->force;
	m->more_streams = from->more_streams;
	for (unsigned i = 0; i < formats[head->format]->nroles; i++) {
		const struct lane_part *p = &from->parts[i];

		m->parts[i] = (struct part){ .ino = p->ino, .size = p->size, .mtime = p->mtime,
			.mode = p->mode, .uid = p->uid, .gid = p->gid, .nlink = p->nlink,
			.unwritten = p->unwritten,
			.bytes = w.lane + p->data, .off = p->off, .len = p->len,
			.name = p->name != 0 ? (const char *)w.lane + p->name : NULL,
			.name_len = p->name_len };
	}
}

/* --- Windows ---------------------------------------------------------------- */

/* The message in work, for decode.c to ask with. */
struct work {
	const struct lane_head *head;
	unsigned index;
};

/* The role that is unpacked; 0 = this format has none. */
static unsigned unpacked_role(const struct format *format)
{
	for (unsigned i = 1; i < format->nroles; i++)
		if (format->roles[i].unpacked)
			return i;
	return 0;
}

/* Ask for a window of a file and wait until it is there. */
static void get_window(const struct work *work, const struct want *want)
{
	unsigned role = unpacked_role(formats[work->head->format]);
	struct part text = w.message.parts[role];

	if (!wire_put_want(&w.wire, work->index, want)) {
		flush();
		wire_put_want(&w.wire, work->index, want);
	}
	flush();
	await();
	load(work->head, work->index);
	if (role != 0)
		w.message.parts[role] = text;
}

/* The packed file from `off` on. */
static const struct part *packed_window(void *arg, uint64_t off)
{
	const struct part *p = &w.message.parts[0];
	uint64_t left = p->size - off;
	const struct want want = { 0, off, left < WINDOW_MAX ? (size_t)left : WINDOW_MAX, 1 };

	if (off < p->off || off - p->off >= p->len)
		get_window(arg, &want);
	return p;
}

/* Load message `index`, and unpack it if it is compressed. */
static void begin(struct work *work, const struct lane_head *head, unsigned index)
{
	const struct format *format = formats[head->format];
	unsigned role = unpacked_role(format);

	*work = (struct work){ head, index };
	load(head, index);
	if (role != 0 && format->compressed(&w.message))
		decode_open(&w.message.parts[0], packed_window, work, &w.message.parts[role]);
}

static void move_window(const struct work *work, const struct want *want)
{
	if (formats[work->head->format]->roles[want->part].unpacked)
		decode_window(want, &w.message.parts[want->part]);
	else
		get_window(work, want);
}

/* --- Verbs -------------------------------------------------------------------- */

/* What the file system itself says of the parts that were looked at, whichever server they belong to. */
static void check_written(const struct message *m, const struct format *format)
{
	for (unsigned i = 0; i < format->nroles; i++) {
		const struct part *p = &m->parts[i];
		struct finding *f;

		if (p->mode == 0 || p->unwritten == 0)
			continue;
		f = report_add(&w.report, F_SPOOL_NEVER_WRITTEN, i, p->size - p->unwritten, p->unwritten);
		if (f != NULL && p->name != NULL) {
			text_str(&f->field, "stream ");
			text_bytes(&f->field, (const uint8_t *)p->name, p->name_len);
		}
	}
}

/* Leaves a report of the structure in w.report. */
static void examine(const struct lane_head *head, unsigned index)
{
	const struct format *format = formats[head->format];
	struct work work;
	struct want want;

	report_reset(&w.report);
	memset(w.scratch, 0, format->check_scratch);
	begin(&work, head, index);
	while (format->check(w.scratch, &w.message, &w.report, &want) == STEP_WANT)
		move_window(&work, &want);
	check_written(&w.message, format);
	report_sort(&w.report);
}

static void check(const struct lane_head *head, unsigned index)
{
	examine(head, index);
	if (!wire_put_report(&w.wire, index, &w.report)) {
		flush();
		wire_put_report(&w.wire, index, &w.report);
	}
}

static void decode(const struct lane_head *head, unsigned index)
{
	const struct format *format = formats[head->format];
	struct work work;
	enum step step;

	memset(w.scratch, 0, format->decode_scratch);
	begin(&work, head, index);
	do {
		struct want want;
		struct row row;

		memset(&row, 0, sizeof row);
		step = format->decode(w.scratch, &w.message, &row, &want);
		if (step == STEP_WANT) {
			move_window(&work, &want);
		} else if (step == STEP_ROW && !wire_put_row(&w.wire, index, &row)) {
			flush();
			wire_put_row(&w.wire, index, &row);
		}
	} while (step != STEP_DONE);
	flush();
	wire_put_end(&w.wire, index);
}

/* A run of a part that no file holds goes as it is. */
static void put_text(const struct work *work, const struct run *run)
{
	struct part *text = &w.message.parts[run->part];
	uint64_t done = 0;

	while (done < run->length) {
		uint64_t at = run->offset + done, left = run->length - done;
		struct want want = { run->part, at, left < WINDOW_MAX ? (size_t)left : WINDOW_MAX, 1 };
		size_t n;

		if (at < text->off || at - text->off >= text->len)
			decode_window(&want, text);
		if (at - text->off >= text->len)
			return;
		n = text->len - (size_t)(at - text->off);
		n = n < BYTES_MAX ? n : BYTES_MAX;
		n = n < left ? n : (size_t)left;
		if (!wire_put_bytes(&w.wire, work->index, text->bytes + (at - text->off), n)) {
			flush();
			wire_put_bytes(&w.wire, work->index, text->bytes + (at - text->off), n);
		}
		done += n;
	}
}

/* Where the text lies; a format without body() has none. */
static void body(const struct lane_head *head, unsigned index)
{
	const struct format *format = formats[head->format];
	enum step step = format->body != NULL ? STEP_ROW : STEP_DONE;
	struct work work;

	memset(w.scratch, 0, format->body_scratch);
	begin(&work, head, index);
	while (step != STEP_DONE) {
		struct want want;
		struct run run = { 0 };

		step = format->body(w.scratch, &w.message, &run, &want);
		if (step == STEP_WANT) {
			move_window(&work, &want);
		} else if (step == STEP_ROW && format->roles[run.part].unpacked) {
			put_text(&work, &run);
		} else if (step == STEP_ROW && !wire_put_run(&w.wire, index, &run)) {
			flush();
			wire_put_run(&w.wire, index, &run);
		}
	}
	flush();
	wire_put_end(&w.wire, index);
}

/* --- The deep pass ---------------------------------------------------------------- */

/* The next bytes of a run, from `at` on, as many as its window has; 0 = no more can be had. */
static size_t run_bytes(const struct work *work, const struct run *run, uint64_t at, const uint8_t **bytes_r)
{
	const struct part *p = &w.message.parts[run->part];
	uint64_t left = run->offset + run->length - at;
	struct want want = { run->part, at, left < WINDOW_MAX ? (size_t)left : WINDOW_MAX, 1 };
	size_t n;

	if (p->mode == 0 || at >= p->size)
		return 0;
	if (at < p->off || at - p->off >= p->len)
		move_window(work, &want);
	if (at < p->off || at - p->off >= p->len)
		return 0;
	*bytes_r = p->bytes + (at - p->off);
	n = p->len - (size_t)(at - p->off);
	return n < left ? n : (size_t)left;
}

/* Put one run into the text; false when there is no more room, or time. */
static bool put_run(const struct work *work, const struct run *run)
{
	uint64_t at = run->offset;
	const uint8_t *bytes;
	size_t n;

	while (at - run->offset < run->length && (n = run_bytes(work, run, at, &bytes)) > 0) {
		if (!deep_put(bytes, n))
			return false;
		at += n;
	}
	return !run->newline || deep_put((const uint8_t *)"\n", 1);
}

/* Where findings lie: from offsets in the text to those in the file whose run holds them. `at` is where the run begins in the
 * text. A place between two runs is the later one's; the end of the text, behind a line end that no byte of the file stands for,
 * is that of the last. */
static void locate(struct report *r, const struct run *run, uint64_t at, uint64_t *places)
{
	uint64_t end = at + run->length;

	for (unsigned i = 0; i < r->count; i++) {
		struct finding *f = &r->findings[i];

		if (places[i] < at || places[i] > end + run->newline)
			continue;
		f->part = run->part;
		f->offset = run->offset + (places[i] < end ? places[i] - at : run->length);
		if (places[i] < end && f->length > end - places[i])
			f->length = end - places[i];
	}
}

#define RUNS_AT_ONCE 4096 /* between two looks at the clock */

/* Go through the runs of the text: to put it together, or (`places`: where the findings are in it) to find
 * them in the files. */
static void each_run(const struct lane_head *head, unsigned index, uint64_t *places)
{
	const struct format *format = formats[head->format];
	enum step step = STEP_ROW;
	unsigned runs = 0;
	uint64_t at = 0;
	struct work work;

	memset(w.scratch, 0, format->body_scratch);
	begin(&work, head, index);
	while (step != STEP_DONE && (++runs % RUNS_AT_ONCE != 0 || !deep_late())) {
		struct want want;
		struct run run = { 0 };

		step = format->body(w.scratch, &w.message, &run, &want);
		if (step == STEP_WANT)
			move_window(&work, &want);
		if (step != STEP_ROW)
			continue;
		if (places != NULL)
			locate(&w.deep.report, &run, at, places);
		else if (!put_run(&work, &run))
			break;
		at += run.length + run.newline;
	}
}

static const struct part *file_window(void *arg, unsigned role, uint64_t off)
{
	const struct part *p = &w.message.parts[role];
	uint64_t left = p->size - off;

	move_window(arg, &(struct want){ role, off, left < WINDOW_MAX ? (size_t)left : WINDOW_MAX, 1 });
	return p;
}

/* What the files hold where they should not, and what stands where w.report says that they are corrupt. */
static void contents(const struct lane_head *head, unsigned index)
{
	struct work work;

	begin(&work, head, index);
	contents_look(formats[head->format], &w.message, &w.report, file_window, &work, &w.deep.report);
	report_sort(&w.deep.report);
	if (!wire_put_deep(&w.wire, index, &w.deep)) {
		flush();
		wire_put_deep(&w.wire, index, &w.deep);
	}
	if (deep_clock() - w.told > TELL_MS) {
		flush();
		w.told = deep_clock();
	}
}

#define SECTOR 512 /* a disk writes no less */

/* Zeros that fill sectors of the file to their ends, or to the end of the file, look like sectors that are lost. In an encoded
 * part they are: no encoder writes them. */
static void judge_zeros(struct report *r)
{
	for (unsigned i = 0; i < r->count; i++) {
		struct finding *f = &r->findings[i];
		uint64_t end = f->offset + f->length;

		if (f->length < SECTOR || f->offset % SECTOR != 0 ||
		    (end % SECTOR != 0 && end != w.message.parts[f->part].size))
			continue;
		if (f->id == F_MIME_ZEROS)
			f->severity = SEV_SUSPECT;
		else if (f->id == F_MIME_ZEROS_ENCODED)
			f->severity = SEV_CORRUPT;
	}
}

static void deep(const struct lane_head *head, unsigned index)
{
	uint64_t places[REPORT_MAX];

	deep_reset();
	if (formats[head->format]->body != NULL)
		each_run(head, index, NULL);
	deep_look(&w.deep);
	for (unsigned i = 0; i < w.deep.report.count; i++)
		places[i] = w.deep.report.findings[i].offset;
	if (w.deep.report.count > 0 && formats[head->format]->body != NULL)
		each_run(head, index, places);
	judge_zeros(&w.deep.report);
	report_reset(&w.report);
	contents(head, index);
}

/* The structure is corrupt: what stands there? */
static void damage(const struct lane_head *head, unsigned index)
{
	examine(head, index);
	deep_nothing(&w.deep);
	contents(head, index);
}

void worker_main(const uint8_t *memory)
{
	w.memory = memory;
	w.wire = (struct wire){ .buf = w.frame, .cap = sizeof w.frame };
	for (;;) {
		const struct lane_head *head;
		unsigned count, verb;

		await();
		head = (const struct lane_head *)(const void *)w.lane;
		/* The head is the reader's again as soon as the last answer has left. */
		count = head->count;
		verb = head->verb;
		for (unsigned i = 0; i < count; i++) {
#ifdef SPOOLCK_HOSTILE
			load(head, i);
			if (hostile_act(&w.message, i, verb, &w.wire))
				continue;
#endif
			if (verb == VERB_DECODE)
				decode(head, i);
			else if (verb == VERB_BODY)
				body(head, i);
			else if (verb == VERB_DEEP)
				deep(head, i);
			else if (verb == VERB_CONTENTS)
				damage(head, i);
			else
				check(head, i);
		}
		flush();
	}
}
