/*
 * check_cost.c - what fmt_postfix.check() costs, without files, processes or sandbox
 *
 * Usage: check_cost SPOOL [ROUNDS [FILES]]. Reads the messages of deferred/, hold/, incoming/ and
 * active/ into memory, then checks them all, round after round, twice over: straight
 * from where they lie ("cold": out of the caches when there are many), and batch by
 * batch right after a copy into one buffer, as a worker gets them ("warm"; the copy is not
 * counted). Prints the median round of each on one line of name=value pairs,
 * in ns of processor time (other programs on the machine matter less to that).
 */
#include "format.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BATCH_BYTES (512u << 10)
#define BATCH_FILES 128
#define ROUNDS_MAX 99

struct file {
	struct message m;
	char path[32], id[ID_MAX + 1];
	uint8_t *bytes;
	size_t len;
};

static struct file *files;
static size_t count, room, limit = 20000;
static uint64_t total, findings, unfinished;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *must(void *p)
{
	if (p == NULL) {
		perror("check_cost");
		exit(1);
	}
	return p;
}

static void load(const struct format *f, unsigned place, int dir, const char *below, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	struct file *to;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0 ||
	    st.st_size > (off_t)WINDOW_MAX || strlen(name) > ID_MAX) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (count == room) {
		room = room * 2 + 1024;
		files = must(realloc(files, room * sizeof *files));
	}
	to = &files[count];
	memset(to, 0, sizeof *to);
	to->len = (size_t)st.st_size;
	to->bytes = must(malloc(to->len));
	if (read(fd, to->bytes, to->len) == st.st_size) {
		snprintf(to->path, sizeof to->path, "%s%.20s", below, name);
		strcpy(to->id, name);
		to->m.place = place;
		to->m.id_len = f->id_of(place, to->path).id_len;
		to->m.site = (struct site){ .now = time(NULL), .owner = st.st_uid };
		to->m.parts[0] = (struct part){ .ino = st.st_ino, .size = to->len,
			.mtime = st.st_mtime, .mode = st.st_mode, .uid = st.st_uid, .gid = st.st_gid,
			.nlink = (uint32_t)st.st_nlink, .len = to->len };
		total += to->len;
		count++;
	}
	close(fd);
}

static void walk(const struct format *f, unsigned place, int at, const char *name, const char *below)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	while (d != NULL && count < limit && (e = readdir(d)) != NULL) {
		char deeper[4] = { e->d_name[0], '/', '\0' };

		if (e->d_name[0] == '.')
			continue;
		if (e->d_type == DT_DIR && *below == '\0')
			walk(f, place, fd, e->d_name, deeper);
		else if (e->d_type == DT_REG)
			load(f, place, fd, below, e->d_name);
	}
	if (d != NULL)
		closedir(d);
}

/* Records up to the first that makes no sense, without following pointers. */
static uint64_t records_of(const struct file *file)
{
	uint64_t n = 0;

	for (size_t at = 0; at < file->len; n++) {
		size_t len = 0;
		unsigned shift = 0;
		uint8_t type = file->bytes[at++], byte = 0x80;

		while (at < file->len && (byte & 0x80) && shift < 35) {
			byte = file->bytes[at++];
			len |= (size_t)(byte & 0x7f) << shift;
			shift += 7;
		}
		if (type == 'E' || len > file->len - at)
			break;
		at += len;
	}
	return n;
}

static void check(const struct format *f, struct file *file, const uint8_t *bytes)
{
	static _Alignas(64) uint8_t scratch[32768];
	static struct report report;
	struct want want;

	report_reset(&report);
	memset(scratch, 0, f->check_scratch);
	file->m.path = file->path;
	file->m.id = file->id;
	file->m.parts[0].bytes = bytes;
	unfinished += f->check(scratch, &file->m, &report, &want) != STEP_DONE;
	findings += report.count;
}

static uint64_t round_cold(const struct format *f)
{
	uint64_t start = now_ns();

	for (size_t i = 0; i < count; i++)
		check(f, &files[i], files[i].bytes);
	return now_ns() - start;
}

static uint64_t round_warm(const struct format *f, uint8_t *buf)
{
	uint64_t spent = 0;

	for (size_t first = 0, next; first < count; first = next) {
		size_t used = 0;
		uint64_t start;

		for (next = first; next < count && next - first < BATCH_FILES &&
				   (next == first || files[next].len <= BATCH_BYTES - used); next++) {
			memcpy(buf + used, files[next].bytes, files[next].len);
			used += files[next].len;
		}
		start = now_ns();
		used = 0;
		for (size_t i = first; i < next; i++) {
			check(f, &files[i], buf + used);
			used += files[i].len;
		}
		spent += now_ns() - start;
	}
	return spent;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 9;
	int root = argc > 1 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	uint8_t *buf = must(malloc(WINDOW_MAX + BATCH_BYTES));
	uint64_t cold[ROUNDS_MAX], warm[ROUNDS_MAX], records = 0;
	const struct format *f = formats[0];

	for (unsigned i = 0; formats[i] != NULL; i++)
		if (strcmp(formats[i]->name, "postfix") == 0)
			f = formats[i];
	if (argc > 3)
		limit = (size_t)atol(argv[3]);
	if (root < 0 || rounds == 0 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: check_cost SPOOL [ROUNDS [FILES]]\n");
		return 1;
	}
	for (unsigned p = 0; p < f->nplaces; p++)
		if (strcmp(f->places[p].name, "deferred") == 0 || strcmp(f->places[p].name, "hold") == 0 ||
		    strcmp(f->places[p].name, "incoming") == 0 || strcmp(f->places[p].name, "active") == 0)
			walk(f, p, root, f->places[p].name, "");
	if (count == 0) {
		fprintf(stderr, "check_cost: no messages below %s\n", argv[1]);
		return 1;
	}
	for (size_t i = 0; i < count; i++)
		records += records_of(&files[i]);
	round_cold(f);
	findings = 0;
	for (unsigned i = 0; i < rounds; i++) {
		cold[i] = round_cold(f);
		warm[i] = round_warm(f, buf);
	}
	qsort(cold, rounds, sizeof *cold, by_value);
	qsort(warm, rounds, sizeof *warm, by_value);
	printf("messages=%zu bytes=%.0f records=%.1f findings=%ju unfinished=%ju "
	       "cold=%.0f warm=%.0f cold_record=%.1f warm_record=%.1f\n",
	       count, (double)total / (double)count, (double)records / (double)count,
	       (uintmax_t)(findings / rounds / 2), (uintmax_t)unfinished,
	       (double)cold[rounds / 2] / (double)count, (double)warm[rounds / 2] / (double)count,
	       (double)cold[rounds / 2] / (double)records, (double)warm[rounds / 2] / (double)records);
	return 0;
}
