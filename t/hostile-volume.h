/*
 * hostile-volume.h - a volume server that was taken over (test build only)
 *
 * SPOOLCK_HOSTILE_VOLUME=ACT:VERB[:SIZE] in the environment says what it does when it is asked to do
 * VERB (table, open, list, stat, read); with SIZE only when so many bytes are to be read:
 *
 *   abort, exit   dies                  hang      never answers
 *   garbage       random bytes          syscall   makes a forbidden call (this build's sandbox kills)
 *   other         answers another question
 *   more          more bytes than were asked for
 *   slash         a name that leads elsewhere (list)
 *   again         a page that leads back to itself (list)
 *   twice         one name twice (list)
 */
#ifndef HOSTILE_VOLUME_H
#define HOSTILE_VOLUME_H

#include <stdlib.h>
#include <sys/syscall.h>

static bool hostile_is(const char *word, size_t len, const char *what)
{
	return len == strlen(what) && memcmp(word, what, len) == 0;
}

static bool hostile_asked(const char *word, const struct volume_request *r)
{
	static const char *const verbs[] = { "", "table", "open", "list", "stat", "read" };
	size_t len = strcspn(word, ":");

	return hostile_is(word, len, verbs[r->verb]) &&
	       (word[len] == '\0' || strtoull(word + len + 1, NULL, 10) == r->size);
}

static void hostile_entry(struct volume_out *out, const char *name, uint32_t next, uint16_t times)
{
	struct volume_entry e = { .ref = 5, .kind = VOLUME_DIR, .name_len = (uint16_t)strlen(name) };
	struct volume_page page = { .next = next, .count = times };

	strcpy(e.name, name);
	volume_put_page(out, &page);
	while (times-- > 0)
		volume_put_entry(out, &e);
}

/* Act on a request; false = behave. */
static bool hostile_volume(const struct volume_request *r, struct volume_out *out)
{
	const char *word = getenv("SPOOLCK_HOSTILE_VOLUME");
	size_t n = word != NULL ? strcspn(word, ":") : 0;

	if (word == NULL || word[n] == '\0' || !hostile_asked(word + n + 1, r))
		return false;
	if (hostile_is(word, n, "abort"))
		abort();
	if (hostile_is(word, n, "exit"))
		_exit(0);
	if (hostile_is(word, n, "hang"))
		for (volatile unsigned i = 0;; i++)
			;
	if (hostile_is(word, n, "syscall"))
		syscall(SYS_getppid);
	if (hostile_is(word, n, "garbage"))
		for (out->len = 0; out->len < 777; out->len++)
			out->buf[out->len] = (uint8_t)(out->len * 7919 >> 3);
	if (hostile_is(word, n, "other"))
		volume_put_head(out, r->verb == VOLUME_STAT ? VOLUME_READ : VOLUME_STAT);
	if (hostile_is(word, n, "more"))
		out->len = MIN(out->len + (size_t)r->size + 1, out->cap);
	if (hostile_is(word, n, "slash"))
		hostile_entry(out, "../../etc", 0, 1);
	if (hostile_is(word, n, "again"))
		hostile_entry(out, "Queue", 1, 1);
	if (hostile_is(word, n, "twice"))
		hostile_entry(out, "Mail", 0, 2);
	send(WORKER_FD, out->buf, out->len, MSG_NOSIGNAL);
	return true;
}

#endif
