/*
 * command_learn.c - `spoolck learn-layout SPOOL`
 *
 * Reads messages and their property streams without looking at them, and prints the description that a confined process
 * inferred, or says why there is none. With --verify FILE, which messages a description contradicts.
 */
#include "config.h"

#include "command.h"
#include "escape.h"
#include "layout_file.h"
#include "learn_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STREAM ":PROPERTIES"

static char *verify;

static const GOptionEntry entries[] = {
	{ "verify", 0, 0, G_OPTION_ARG_FILENAME, &verify, "Learn nothing; tell which messages this layout contradicts", "FILE" },
	G_OPTION_ENTRY_NULL
};

/* --- Messages ------------------------------------------------------------------------- */

struct pair {
	uint8_t text[LEARN_TEXT], stream[LEARN_STREAM + 1];
	size_t text_len, size;
};

/* At most `cap` bytes of dir/name: 0 or a negative errno. */
static int read_file(int dir, const char *name, uint8_t *bytes, size_t cap, size_t *len_r)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	ssize_t n = 0;

	*len_r = 0;
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		n = -1;
	while (n >= 0 && *len_r < cap && (n = read(fd, bytes + *len_r, cap - *len_r)) > 0)
		*len_r += (size_t)n;
	close(fd);
	return n < 0 ? -EIO : 0;
}

/* Message and stream; false when the stream is not there, empty, or larger than what is learned from. */
static bool read_pair(int dir, const char *name, struct pair *p)
{
	g_autofree char *stream = g_strconcat(name, STREAM, NULL);

	return read_file(dir, name, p->text, sizeof p->text, &p->text_len) == 0 &&
	       read_file(dir, stream, p->stream, sizeof p->stream, &p->size) == 0 && p->size > 0 && p->size <= LEARN_STREAM;
}

static gint by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of messages in the directory, sorted; NULL with errno when it cannot be listed. */
static GPtrArray *list_names(const char *path)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	GDir *dir = g_dir_open(path, 0, NULL);
	const char *name;

	if (dir == NULL) {
		g_ptr_array_unref(names);
		return NULL;
	}
	while ((name = g_dir_read_name(dir)) != NULL) {
		size_t n = strlen(name);

		if (n > 4 && g_ascii_strcasecmp(name + n - 4, ".eml") == 0)
			g_ptr_array_add(names, g_strdup(name));
	}
	g_dir_close(dir);
	g_ptr_array_sort(names, by_name);
	return names;
}

/* The directory of queued messages: SPOOL/Queue, or SPOOL itself. */
static char *queue_of(const char *spool)
{
	const char *path = g_str_has_prefix(spool, "iis:") ? spool + 4 : spool;
	char *queue = g_build_filename(path, "Queue", NULL);

	if (g_file_test(queue, G_FILE_TEST_IS_DIR))
		return queue;
	g_free(queue);
	return g_strdup(path);
}

/* --- Trying a description -------------------------------------------------------------------- */

static void print_verdict(const char *name, const struct learn_verdict *v, bool all)
{
	const struct finding_def *def = finding_def(v->finding);
	g_autofree char *safe = escape_eyes(name, strlen(name));

	if (def != NULL && v->severity <= SEV_CORRUPT && (v->severity > SEV_NOTICE || all))
		printf("%s: %s, byte %u of the stream: %s [%s]\n", safe, severity_name(v->severity), v->offset, def->text,
		       def->name);
	else if (all)
		printf("%s: ok\n", safe);
}

/* Messages names[from...] that fit one run; returns where the next run begins. */
static guint verify_some(int dir, const GPtrArray *names, guint from, const struct layout *l, bool all,
			 uint32_t *good, uint32_t *bad, char **why_r)
{
	static struct learn_answer answer;
	static struct pair pair;
	g_autofree guint *index = g_new(guint, LEARN_MESSAGES);
	struct learn_run *run = learn_start(why_r);
	struct layout nothing;
	guint n = 0;

	if (run == NULL)
		return from;
	for (; from < names->len && n < LEARN_MESSAGES; from++)
		if (read_pair(dir, names->pdata[from], &pair) &&
		    learn_add(run, pair.text, pair.text_len, pair.stream, pair.size) == 0)
			index[n++] = from;
	if (!learn_finish(run, l, &answer, &nothing, why_r))
		return from;
	for (guint i = 0; i < n; i++) {
		bool fine = answer.verdicts[i].finding >= F_COUNT || answer.verdicts[i].severity < SEV_SUSPECT;

		*good += fine;
		*bad += !fine;
		print_verdict(names->pdata[index[i]], &answer.verdicts[i], all);
	}
	return from;
}

static int verify_all(int dir, const GPtrArray *names, bool all)
{
	GPtrArray *problems = g_ptr_array_new_with_free_func(g_free);
	struct layout l;
	uint32_t good = 0, bad = 0;
	char *why = NULL;

	layout_read(verify, &l, problems);
	for (guint i = 0; i < problems->len; i++)
		command_failed("%s", (char *)problems->pdata[i]);
	if (problems->len > 0)
		return EXIT_FAILED;
	for (guint from = 0; from < names->len && why == NULL;)
		from = verify_some(dir, names, from, &l, all, &good, &bad, &why);
	if (why != NULL)
		return command_failed("%s", why);
	printf("%u messages, %u explained, %u contradict the layout.\n", good + bad, good, bad);
	return bad > 0 ? EXIT_LEFT : 0;
}

/* --- Learning ------------------------------------------------------------------------------------ */

static void print_numbers(const struct learned *r, FILE *to)
{
	fprintf(to, "# Learned from %u messages; each was tried with what the other half of them taught.\n"
		    "# explained:    %u (at least %.0f %% of such messages, with 95 %% confidence)\n"
		    "# contradicting: %u\n"
		    "# known values that entries refer to: %u of %u\n"
		    "# sizes made wrong in these messages and noticed: %u of %u\n",
		r->messages, r->explained, 100 * learn_bound(r->explained, r->explained + r->contradicting),
		r->contradicting, r->referred, r->anchors, r->detected, r->corrupted);
}

static int print_learned(const struct learned *r, const struct layout *l)
{
	g_autofree char *text = layout_text(l);

	switch ((enum learn_end)r->end) {
	case LEARN_OK:
		printf("# A layout of property blocks, inferred by spoolck " PACKAGE_VERSION ". It is what these messages have in\n"
		       "# common, not what their server is known to write: see spoolck-layout(5) before you set\n"
		       "# confirmed = yes.\n");
		print_numbers(r, stdout);
		printf("\n%s", text);
		return 0;
	case LEARN_FEW:
		return command_failed("%u messages with a property stream: at least %u are needed", r->messages,
				      LEARN_LEAST_MESSAGES);
	case LEARN_NO_ANCHORS:
		return command_failed("hardly any address of a message's text is in its property stream: nothing to learn from");
	case LEARN_NO_TABLE:
		return command_failed("no table of properties is to be seen in these streams: they cannot be described");
	case LEARN_NO_FRAME:
		return command_failed("tables of properties are to be seen, but not how they are found: write a layout by hand");
	case LEARN_UNSURE:
		print_numbers(r, stderr);
		return command_failed("this is not enough to write a layout down: see LEARNING in spoolck-layout(5)");
	}
	return command_failed("the process that looks at messages answered nonsense");
}

static int learn_all(int dir, const GPtrArray *names)
{
	static struct learn_answer answer;
	static struct pair pair;
	struct layout l;
	char *why = NULL;
	struct learn_run *run = learn_start(&why);
	guint step = MAX(1, (names->len + LEARN_MESSAGES - 1) / LEARN_MESSAGES);

	if (run == NULL)
		return command_failed("%s", why);
	/* Spread over the spool: neighbours are alike. */
	for (guint i = 0; i < names->len; i += step)
		if (read_pair(dir, names->pdata[i], &pair))
			learn_add(run, pair.text, pair.text_len, pair.stream, pair.size);
	if (!learn_finish(run, NULL, &answer, &l, &why))
		return command_failed("%s", why);
	return print_learned(&answer.learned, &l);
}

int command_learn(char **argv)
{
	struct common common;
	g_auto(GStrv) words = command_options(argv, "SPOOL - infer the layout of property blocks", entries, &common);
	g_autofree char *path = NULL;
	GPtrArray *names;
	int dir, status;

	if (words[0] == NULL || words[1] != NULL)
		return command_usage("learn-layout: one SPOOL, a mailroot or its Queue directory");
	path = queue_of(words[0]);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	names = dir >= 0 ? list_names(path) : NULL;
	if (names == NULL)
		return command_failed("cannot list %s: %s", path, g_strerror(errno));
	if (names->len == 0)
		status = command_failed("%s: no message (*.EML) is here", path);
	else
		status = verify != NULL ? verify_all(dir, names, common.all) : learn_all(dir, names);
	g_ptr_array_unref(names);
	close(dir);
	return status;
}
