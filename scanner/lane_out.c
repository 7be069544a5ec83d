/* lane_out.c - frames of results, and what is only counted */
#include "config.h"

#include "lane_out.h"

#include "bounds.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
	int coordinator;
	int64_t now;
	uint32_t seq;
	uint32_t clean;        /* messages without a finding */
	uint64_t clean_bytes;
	uint16_t ages[AGES];   /* of them; a job has fewer names than this can count */
	size_t len;
	uint8_t frame[FRAME_MAX];
} out;

void out_open(int coordinator, int64_t now)
{
	out.coordinator = coordinator;
	out.now = now;
}

void out_job(uint32_t seq)
{
	out.seq = seq;
	out.clean = 0;
	out.clean_bytes = 0;
	memset(out.ages, 0, sizeof out.ages);
}

void out_send(void)
{
	if (out.len > 0 && send(out.coordinator, out.frame, out.len, MSG_NOSIGNAL) < 0)
		_exit(0);
	out.len = 0;
}

static void put(const void *p, size_t n)
{
	memcpy(out.frame + out.len, p, n);
	out.len += n;
}

/* All of it in one frame. */
static void put_result(const struct lane_result *head, const char *path, const struct answer *answer,
		       const struct answer *deep)
{
	if (sizeof *head + head->path_len + head->answer_len + head->deep_len > sizeof out.frame - out.len)
		out_send();
	put(head, sizeof *head);
	put(path, head->path_len);
	if (answer != NULL)
		put(answer->body, head->answer_len);
	if (deep != NULL)
		put(deep->body, head->deep_len);
}

void out_result(const struct slot *s, const struct load_end *end, const struct answer *answer,
		const struct deep_end *deep)
{
	const struct answer *said = deep != NULL ? deep->said : NULL;
	const struct lane_result head = {
		.seq = out.seq, .index = (uint16_t)s->index, .status = (uint8_t)end->status,
		.why = (uint8_t)end->why, .place = (uint8_t)s->place, .error = end->error,
		.offset = end->offset, .facts = s->facts[0],
		.deep = deep != NULL ? (uint8_t)deep->status : DEEP_NONE,
		.deep_why = deep != NULL ? (uint8_t)deep->why : 0,
		.path_len = (uint32_t)strlen(s->path) + 1,
		.answer_len = answer != NULL ? (uint32_t)answer->len : 0,
		.deep_len = said != NULL ? (uint32_t)said->len : 0,
	};

	put_result(&head, s->path, answer, said);
}

void out_clean(int64_t arrival, uint64_t size)
{
	out.ages[ages_class(out.now, arrival)]++;
	out.clean++;
	out.clean_bytes += size;
}

void out_done(void)
{
	struct lane_result done = { .seq = out.seq, .status = LANE_JOB_DONE, .clean = out.clean,
				    .facts.size = out.clean_bytes };

	memcpy(done.ages, out.ages, sizeof done.ages);
	put_result(&done, "", NULL, NULL);
	out_send();
}
