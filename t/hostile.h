/*
 * hostile.h - a worker that was taken over (test build only)
 *
 * SPOOLCK_HOSTILE=ACT[:ID] in the environment says what it does, and about
 * which message (all without ID):
 *
 *   abort, exit   dies                  hang    never answers
 *   garbage       random bytes          cut     a frame that ends too early
 *   index         answers about another message of the batch
 *   flood         answers without end   want    asks for windows that do not exist
 *   lie           says "corrupt, stops the server" of a sound message, unless
 *                 it is a fresh worker's first message: what a message that
 *                 takes over a batch worker can achieve
 *   lie-always    the same of every message, fresh or not: the brake's business
 *   word          the same of a message that has the word "findme": no copy without it shows that
 *   eat           takes memory until there is none
 *   syscall       makes a forbidden call (this build's sandbox kills)
 *
 * With "deep-" before it (deep-abort) an act is limited to the deep pass, and the structural check behaves.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <glib.h>
#include <stdlib.h>
#include <sys/syscall.h>


static void hostile_lie(struct wire *wire, unsigned index)
{
	static struct report r;

	report_reset(&r);
	report_add(&r, F_SPOOL_ZERO_FILLED, 0, 0, 4096)->impact = IMPACT_SERVER_STOPS;
	wire_put_report(wire, index, &r);
}

/* Act on message `index`; false = behave. `nth` counts the messages this worker has seen. */
static bool hostile_act(const struct message *m, unsigned index, unsigned verb, struct wire *wire)
{
	static unsigned nth;
	const char *colon, *word = getenv("SPOOLCK_HOSTILE");
	size_t n;

	nth++;
	if (word == NULL)
		return false;
	if (strncmp(word, "deep-", 5) == 0) {
		if (verb != VERB_DEEP && verb != VERB_CONTENTS)
			return false;
		word += 5;
	}
	colon = strchr(word, ':');
	n = colon != NULL ? (size_t)(colon - word) : strlen(word);
	if (colon != NULL && (strlen(colon + 1) != m->id_len || memcmp(colon + 1, m->id, m->id_len) != 0))
		return false;
#define IS(what) (n == strlen(what) && memcmp(word, what, n) == 0)
	if (IS("abort"))
		abort();
	if (IS("exit"))
		_exit(0);
	if (IS("hang"))
		for (volatile unsigned i = 0;; i++)
			;
	if (IS("eat"))
		for (;;)
			memset(g_malloc(1 << 20), 1, 1 << 20);
	if (IS("syscall"))
		syscall(SYS_getppid);
	if (IS("garbage")) {
		for (wire->len = 0; wire->len < 777; wire->len++)
			wire->buf[wire->len] = (uint8_t)(wire->len * 7919 >> 3);
		return true;
	}
	if (IS("cut")) {
		hostile_lie(wire, index);
		wire->len -= 5;
		return true;
	}
	if (IS("index")) {
		hostile_lie(wire, index + 1);
		return true;
	}
	if (IS("flood"))
		for (;;) {
			hostile_lie(wire, index);
			send(0, wire->buf, wire->len, MSG_NOSIGNAL);
			wire->len = 0;
		}
	if (IS("want")) {
		struct want want = { .part = 1, .off = UINT64_C(1) << 60, .len = WINDOW_MAX };

		wire_put_want(wire, index, &want);
		return true;
	}
	if (IS("word") && verb == VERB_CHECK &&
	    memmem(m->parts[0].bytes, m->parts[0].len, "findme", 6) != NULL) {
		hostile_lie(wire, index);
		return true;
	}
	if ((IS("lie") && nth > 1) || IS("lie-always")) {
		hostile_lie(wire, index);
		return true;
	}
#undef IS
	return false;
}

#endif
