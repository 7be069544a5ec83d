/*
 * lane_ask.c - a reader talks to its workers
 *
 * It may run as root, so what a worker says is read with suspicion (wire.c): what an honest one would
 * not say costs it its life.
 */
#include "config.h"

#include "lane_ask.h"

#include "hire.h"
#include "lane_out.h"
#include "wire.h"

#include <string.h>
#include <sys/socket.h>

/* Slots [first, first + n) of a batch, and who is asked what about them. */
struct round {
	struct batch *batch;
	unsigned first, n;
	struct hired *worker;
	enum lane_verb verb;
};

static struct {
	int zygote;
	const struct lane_job *job;
	struct hired worker, deep; /* the second looks into texts */
	struct round inside;         /* what it is at work on; n = 0: nothing */
	bool awake;                  /* it could be woken for that */
	uint8_t frame[FRAME_MAX];    /* a worker's */
	struct report report;        /* room to decode an answer in */
	struct deep said;
} q = { .worker = HIRED_NONE, .deep = { -1, -1, 0, true } };

enum ask {
	ASK_GO_ON,
	ASK_STOP,   /* the message has its result, and the worker waits for what will not come */
	ASK_REFUSE, /* this is not what an honest worker answers */
};

/* --- Results -------------------------------------------------------------- */

/* The result of a slot: an answer of the worker, or an end without one. */
static void result(struct slot *s, const struct load_end *end, const struct answer *a)
{
	s->answered = end->status != LANE_ROW && end->status != LANE_RUN &&
		      end->status != LANE_TEXT;
	out_result(s, end, a, NULL);
}

/* Nothing to report. Where the server wrote no arrival, the file's time has to do. */
static void clean(struct slot *s)
{
	s->answered = true;
	out_clean(q.report.has_arrival ? q.report.arrival : s->facts[0].mtime.tv_sec, s->facts[0].size);
}

static void unchecked(struct batch *b, struct slot *s, enum unchecked why)
{
	(void)b;
	result(s, &(struct load_end){ .status = LANE_UNCHECKED, .why = why }, NULL);
}

/* --- The deep pass: held reports ------------------------------------------- */

static struct held *held_of(struct batch *b, const struct slot *s)
{
	return &b->held[s - b->slots];
}

/* Keep the report until the text was looked into. */
static enum ask hold(struct batch *b, struct slot *s, const struct answer *a)
{
	struct held *h = held_of(b, s);

	if (a->len > sizeof h->bytes)
		return ASK_REFUSE;
	h->len = (uint32_t)a->len;
	h->good = q.report.count == 0 || q.report.findings[0].severity < SEV_CORRUPT;
	h->clean = q.report.count == 0;
	memcpy(h->bytes, a->body, a->len);
	s->answered = true;
	return ASK_GO_ON;
}

/* Send it, with what the deep pass says, or without. */
static void release(struct batch *b, struct slot *s, enum deep_status status, enum unchecked why,
		    const struct answer *deep)
{
	struct held *h = held_of(b, s);
	const struct answer report = { .body = h->bytes, .len = h->len };

	s->answered = true;
	out_result(s, &(struct load_end){ .status = LANE_REPORT }, &report,
		   &(struct deep_end){ status, why, deep });
	h->len = 0;
}

static void deep_unchecked(struct batch *b, struct slot *s, enum unchecked why)
{
	release(b, s, DEEP_UNCHECKED, why, NULL);
}

static bool second_look(enum lane_verb verb)
{
	return verb == VERB_DEEP || verb == VERB_CONTENTS;
}

/* What the deep pass says of a slot. */
static enum ask take_deep(const struct round *round, struct slot *s, const struct answer *a)
{
	struct batch *b = round->batch;
	struct held *h = held_of(b, s);

	if (!second_look(round->verb) || a->len > ANSWER_MAX || !wire_get_deep(a->body, a->len, &q.said))
		return ASK_REFUSE;
	if (!slot_unchanged(s)) {
		h->len = 0;
		result(s, &(struct load_end){ .status = LANE_CHANGED }, NULL);
	} else if (q.job->brief && h->clean && q.said.report.count == 0 &&
		   wire_get_report(h->bytes, h->len, &q.report)) { /* clean() wants its arrival */
		h->len = 0;
		clean(s);
	} else {
		release(b, s, round->verb == VERB_DEEP ? DEEP_DONE : DEEP_CONTENTS, UNCHECKED_OPEN, a);
	}
	return ASK_GO_ON;
}

/* --- Answers ---------------------------------------------------------------- */

static enum ask give_window(const struct round *round, struct slot *s, const struct want *want)
{
	struct load_end end;

	switch (slot_window(s, round->batch->mem, want, &end)) {
	case LOAD_OK:
		return hired_go(round->worker, round->batch->mem->half) ? ASK_GO_ON : ASK_REFUSE;
	case LOAD_END:
		if (second_look(round->verb))
			deep_unchecked(round->batch, s, end.why);
		else
			result(s, &end, NULL);
		return ASK_STOP;
	case LOAD_FULL:
		break;
	}
	return ASK_REFUSE;
}

/* A piece of what was asked for; more follow. */
static enum ask piece(struct slot *s, const struct answer *a, bool honest, enum lane_status status)
{
	if (!honest)
		return ASK_REFUSE;
	result(s, &(struct load_end){ .status = status }, a);
	return ASK_GO_ON;
}

static enum ask take_report(const struct round *round, struct slot *s, const struct answer *a)
{
	if (round->verb != VERB_CHECK || !wire_get_report(a->body, a->len, &q.report))
		return ASK_REFUSE;
	if (!slot_unchanged(s))
		result(s, &(struct load_end){ .status = LANE_CHANGED }, NULL);
	else if (q.job->deep)
		return hold(round->batch, s, a);
	else if (q.job->brief && q.report.count == 0)
		clean(s);
	else
		result(s, &(struct load_end){ .status = LANE_REPORT }, a);
	return ASK_GO_ON;
}

/* One answer about slot `s`. */
static enum ask take_answer(const struct round *round, struct slot *s, const struct answer *a)
{
	enum lane_verb verb = round->verb;
	struct want want;
	struct row row;
	struct run run;

	switch (a->kind) {
	case ANSWER_WANT:
		return wire_get_want(a->body, a->len, &want) ? give_window(round, s, &want) : ASK_REFUSE;
	case ANSWER_DONE:
		return take_report(round, s, a);
	case ANSWER_ROW:
		return piece(s, a, verb == VERB_DECODE && wire_get_row(a->body, a->len, &row), LANE_ROW);
	case ANSWER_RUN:
		return piece(s, a, verb == VERB_BODY && wire_get_run(a->body, a->len, &run), LANE_RUN);
	case ANSWER_BYTES:
		return piece(s, a, verb == VERB_BODY, LANE_TEXT);
	case ANSWER_DEEP:
		return take_deep(round, s, a);
	case ANSWER_END:
		if (verb == VERB_CHECK || second_look(verb) || a->len > 0)
			return ASK_REFUSE;
		result(s, &(struct load_end){ .status = LANE_ROWS_END }, NULL);
		return ASK_GO_ON;
	}
	return ASK_REFUSE;
}

/* One frame of answers; *next is the slot whose answer is due. */
static enum ask take_frame(const struct round *round, size_t len, unsigned *next)
{
	struct cur frame = cur_make(q.frame, len, 0);
	struct answer a;

	while (wire_next(&frame, &a)) {
		struct slot *s = &round->batch->slots[round->first + *next];
		enum ask done = *next < round->n && a.index == *next ? take_answer(round, s, &a) : ASK_REFUSE;

		if (done != ASK_GO_ON)
			return done;
		*next += s->answered;
	}
	return frame.err == CUR_OK ? ASK_GO_ON : ASK_REFUSE;
}

/* --- Rounds ------------------------------------------------------------------ */

/* Wake the worker. False = there is none. */
static bool wake(const struct round *round)
{
	struct lane_head *head = lanemem_at(round->batch->mem, 0);
	char what[60];

	if (hire(round->worker, q.zygote, round->batch->mem->fd, what) < 0)
		return false;
	head->count = round->n;
	head->verb = round->verb;
	head->force = q.job->force;
	for (unsigned i = 0; i < round->n; i++) {
		struct slot *s = &round->batch->slots[round->first + i];

		head->messages[i] = s->offset;
		s->answered = false;
	}
	round->worker->served += round->n;
	hired_go(round->worker, round->batch->mem->half); /* if it is gone, it will not speak either */
	return true;
}

/* Results leave as answers arrive. True when all slots have theirs; else the worker is gone and *why_r says why. */
static bool collect(const struct round *round, enum unchecked *why_r)
{
	enum ask done = ASK_GO_ON;
	unsigned next = 0;

	*why_r = UNCHECKED_DIED;
	while (done == ASK_GO_ON && next < round->n) {
		ssize_t len;

		if (!hired_speaks(round->worker)) {
			*why_r = UNCHECKED_HUNG;
			break;
		}
		len = recv(round->worker->fd, q.frame, sizeof q.frame, 0);
		if (len <= 0)
			break;
		done = take_frame(round, (size_t)len, &next);
		if (done == ASK_REFUSE)
			*why_r = UNCHECKED_GARBAGE;
	}
	if (next < round->n || done != ASK_GO_ON)
		dismiss(round->worker);
	return next == round->n || done == ASK_STOP;
}

/* Wake and collect. */
static bool ask(const struct round *round, enum unchecked *why_r)
{
	*why_r = UNCHECKED_WORKER;
	return wake(round) && collect(round, why_r);
}

/* The round went wrong as a whole: ask about those still without an answer one at a time; `fail` ends the one that goes wrong
 * alone. */
static void ask_singly(const struct round *round, enum unchecked why,
		       void (*fail)(struct batch *, struct slot *, enum unchecked))
{
	struct round one = *round;

	one.n = 1;
	for (one.first = round->first; one.first < round->first + round->n; one.first++) {
		struct slot *s = &one.batch->slots[one.first];

		if (s->answered || (round->n > 1 && ask(&one, &why)))
			continue;
		fail(one.batch, s, why);
		if (why == UNCHECKED_HUNG)
			out_send(); /* WORKER_DEADLINE_MS went by in silence */
	}
}

void ask_batch(struct batch *b)
{
	const struct round round = { b, 0, b->count, &q.worker, (enum lane_verb)q.job->verb };
	enum unchecked why;

	for (unsigned i = 0; i < b->count; i++)
		b->held[i].len = 0;
	if (b->count > 0 && !ask(&round, &why))
		ask_singly(&round, why, unchecked);
}

/* The next held reports from slot `from` on that want the same: of what is corrupt as it is, only the place of the damage is
 * looked at. n = 0: there are none. */
static struct round next_inside(struct batch *b, unsigned from)
{
	struct round round = { b, from, 0, &q.deep, VERB_DEEP };

	while (round.first < b->count && b->held[round.first].len == 0)
		round.first++;
	for (unsigned i = round.first; i < b->count && b->held[i].len > 0 &&
				       b->held[i].good == b->held[round.first].good; i++)
		round.n++;
	if (round.n > 0 && !b->held[round.first].good)
		round.verb = VERB_CONTENTS;
	return round;
}

static void look_inside(struct round round)
{
	q.inside = round;
	q.awake = round.n > 0 && wake(&round);
}

void ask_inside(struct batch *b)
{
	look_inside(next_inside(b, 0));
}

void ask_inside_end(void)
{
	while (q.inside.n > 0) {
		struct round round = q.inside;
		enum unchecked why = UNCHECKED_WORKER;

		if (!q.awake || !collect(&round, &why))
			ask_singly(&round, why, deep_unchecked);
		look_inside(next_inside(round.batch, round.first + round.n));
	}
}

/* --- Jobs --------------------------------------------------------------------- */

void ask_open(int zygote)
{
	q.zygote = zygote;
}

void ask_job(const struct lane_job *job)
{
	q.job = job;
	ask_job_end();
}

void ask_job_end(void)
{
	if (q.job->fresh) {
		dismiss(&q.worker);
		dismiss(&q.deep);
	}
}
