/*
 * fuzz_daemonlog.c - any bytes as a line of a mail log
 *
 * What is read of it is within bounds, and the same each time.
 */
#include "fuzz.h"

#include "daemonlog.h"

static void check(const struct death *d)
{
	must(d->kind == DEATH_SAID || d->kind == DEATH_EXIT || d->kind == DEATH_CRASH);
	must(d->format != NULL && d->daemon.len > 0);
	must(d->daemon.len <= TEXT_MAX && d->id.len <= TEXT_MAX && d->said.len <= TEXT_MAX);
	must(d->pid < 10000000000 && d->signal < 1000);
	must(d->time.known);
	must(d->time.epoch || (d->time.month >= 1 && d->time.month <= 12 && d->time.day >= 1 && d->time.day <= 31 &&
			       d->time.hour < 24 && d->time.minute < 60 && d->time.second <= 60));
	must(d->time.zone > -86400 && d->time.zone < 86400);
	for (unsigned i = 0; i < d->id.len; i++)
		must(d->id.bytes[i] != ' ' && d->id.bytes[i] != '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *line = fuzz_copy(data, size);
	struct death one, again;

	memset(&one, 0xaa, sizeof one);
	memset(&again, 0x55, sizeof again);
	if (daemonlog_line(line, size, &one)) {
		check(&one);
		must(daemonlog_line(line, size, &again));
		must(one.kind == again.kind && one.pid == again.pid && one.signal == again.signal);
		must(one.id.len == again.id.len && memcmp(one.id.bytes, again.id.bytes, one.id.len) == 0);
	} else {
		must(!daemonlog_line(line, size, &again));
	}
	free(line);
	return 0;
}
