/*
 * split.c - over how many directories a spool's files are divided
 *
 * The number is compiled into the server, so the directories themselves have to tell: a place has
 * 0, 1, 2, ... without a gap. Where one is missing in one place the others outvote it. Directories
 * may be left from a server that had more of them, and what was taken out of a spool (a
 * quarantined message, laid out again) has only a few: there any number will do with which every
 * file lies where its id says.
 */
#include "config.h"

#include "split.h"

#include "beneath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define SPLIT_MAX 100000u /* directories; who compiles in more has no need of them */
#define SAMPLE_MAX 256u   /* files that are asked when directories do not tell */

/* Decimal without leading zeros: its value, else UINT64_MAX. */
static guint64 decimal(const char *s)
{
	guint64 n;
	char *end;

	if (!g_ascii_isdigit(s[0]) || (s[0] == '0' && s[1] != '\0'))
		return UINT64_MAX;
	errno = 0;
	n = g_ascii_strtoull(s, &end, 10);
	return *end == '\0' && errno == 0 ? n : UINT64_MAX;
}

static DIR *open_dir(const struct spool *spool, const char *path)
{
	int fd = open_beneath(spool->root, path, O_RDONLY | O_DIRECTORY);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (dir == NULL && fd >= 0)
		close(fd);
	return dir;
}

/* Which of the directories 0..SPLIT_MAX - 1 a place has; a byte each. */
static GByteArray *numbers_of(const struct spool *spool, const char *place)
{
	GByteArray *there = g_byte_array_new();
	DIR *dir = open_dir(spool, place);
	struct dirent *e;

	while (dir != NULL && (e = readdir(dir)) != NULL) {
		guint64 n = decimal(e->d_name);

		if (n >= SPLIT_MAX || (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN))
			continue;
		while (there->len <= n)
			g_byte_array_append(there, (const guint8 *)"", 1);
		there->data[n] = 1;
	}
	if (dir != NULL)
		closedir(dir);
	return there;
}

static guint without_gap(const GByteArray *there)
{
	guint n = 0;

	while (n < there->len && there->data[n] != 0)
		n++;
	return n;
}

/* --- Few directories: the files tell --------------------------------------------- */

struct sample {
	guint64 id;
	guint dir;
};

static void sample_dir(const struct spool *spool, const char *place, guint n, GArray *samples)
{
	g_autofree char *path = g_strdup_printf("%s/%u", place, n);
	DIR *dir = open_dir(spool, path);
	struct dirent *e;

	while (dir != NULL && samples->len < SAMPLE_MAX && (e = readdir(dir)) != NULL) {
		struct sample s = { decimal(e->d_name), n };

		if (s.id != UINT64_MAX)
			g_array_append_val(samples, s);
	}
	if (dir != NULL)
		closedir(dir);
}

/* How many files lie in their own directory when there are n. */
static guint agree(const GArray *samples, guint n)
{
	guint count = 0;

	for (guint i = 0; i < samples->len; i++) {
		const struct sample *s = &g_array_index(samples, struct sample, i);

		count += s->id % n == s->dir;
	}
	return count;
}

/* The smallest number of directories with which every file does, 0 = none. */
static guint fits(const GArray *samples)
{
	guint n = 1;

	for (guint i = 0; i < samples->len; i++)
		n = MAX(n, g_array_index(samples, struct sample, i).dir + 1);
	while (samples->len > 0 && n < SPLIT_MAX && agree(samples, n) < samples->len)
		n++;
	return samples->len > 0 && n < SPLIT_MAX ? n : 0;
}

/* --- The spool ---------------------------------------------------------------------- */

/* How many have it decides; among equals the larger number. */
static guint vote(const guint *numbers, unsigned count)
{
	guint best = 0, votes = 0;

	for (unsigned i = 0; i < count; i++) {
		guint same = 0;

		for (unsigned j = 0; j < count; j++)
			same += numbers[j] == numbers[i];
		if (numbers[i] > 1 && (same > votes || (same == votes && numbers[i] > best))) {
			best = numbers[i];
			votes = same;
		}
	}
	return best;
}

void split_learn(struct spool *spool)
{
	const struct format *f = spool->format;
	GByteArray *there[PLACES_MAX] = { NULL };
	g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(struct sample));
	guint numbers[PLACES_MAX] = { 0 };
	guint fitting = 0;
	bool whole;

	for (unsigned p = 0; p < f->nplaces; p++)
		if (f->places[p].split) {
			there[p] = numbers_of(spool, f->places[p].name);
			numbers[p] = without_gap(there[p]);
		}
	spool->site.split = vote(numbers, f->nplaces);
	whole = spool->site.split > 0;
	for (unsigned p = 0; p < f->nplaces; p++)
		for (guint n = 0; there[p] != NULL && n < there[p]->len && samples->len < SAMPLE_MAX; n++)
			if (there[p]->data[n] != 0)
				sample_dir(spool, f->places[p].name, n, samples);
	if (!whole || agree(samples, spool->site.split) * 2 < samples->len)
		fitting = fits(samples);
	if (fitting > 0)
		spool->site.split = fitting;
	for (unsigned p = 0; p < f->nplaces; p++) {
		guint have = 0;

		for (guint n = 0; there[p] != NULL && n < MIN(there[p]->len, spool->site.split); n++)
			have += there[p]->data[n];
		if (whole && have * 2 > spool->site.split)
			spool->site.split_places |= (uint16_t)(1u << p);
		if (there[p] != NULL)
			g_byte_array_free(there[p], TRUE);
	}
}
