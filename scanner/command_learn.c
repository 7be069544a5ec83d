/*
 * command_learn.c - `spoolck learn-layout SPOOL`
 *
 * Reads messages and their property streams without looking at them, and prints the description that a confined process
 * inferred, or says why there is none. With --verify FILE, which messages a description contradicts. The stream is
 * the first one of those that are configured.
 */
#include "config.h"

#include "beneath.h"
#include "command.h"
#include "escape.h"
#include "layout_file.h"
#include "learn_run.h"
#include "spools.h"
#include "volume.h"
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* The messages of a spool's queue: names in their order, the spool that says how streams are reached. */
struct queue {
	struct spool *spool;
	int dir;            /* -1 on a volume that is not mounted */
	GPtrArray *names;
	int error;          /* of listing them, an errno: there may be more */
	guint other;        /* of those that were read: without a stream to learn from */
	guint unread;       /* ... that could not be read, */
	int why;            /* the last of them because of this errno */
};

/* The directory: the spool's first place. */
static const char *queue_name(const struct queue *q)
{
	return q->spool->format->places[0].name;
}

static int open_file(const struct queue *q, const char *name, struct reach_part *part)
{
	g_autofree char *path = NULL;

	if (!spool_on_volume(q->spool))
		return reach_file(q->dir, name, part);
	path = g_strconcat(queue_name(q), "/", name, NULL);
	return reach_path(&q->spool->reach, -1, path, O_RDONLY, part);
}

/* All that there is, at most `cap` bytes; 0 or a negative errno. */
static int read_part(const struct reach_part *part, uint8_t *bytes, size_t cap, size_t *len_r)
{
	ssize_t n = 1;

	for (*len_r = 0; *len_r < cap && n > 0; *len_r += n > 0 ? (size_t)n : 0)
		n = reach_read(part, bytes + *len_r, cap - *len_r, *len_r);
	return n < 0 ? (int)n : 0;
}

/* The stream that is learned from, open: 0, or a negative errno; -ENODATA: there is none. */
static int open_stream(const struct queue *q, const char *name, const struct reach_part *file, struct reach_part *stream)
{
	struct reach_streams streams;
	struct file_facts facts;
	int ret = reach_facts(file, &facts);

	if (ret == 0 && !S_ISREG(facts.mode))
		return -ENODATA;
	if (ret == 0)
		ret = reach_list(&q->spool->reach, q->dir, name, file, &streams);
	if (ret < 0)
		return ret;
	if (*streams.name[0] == '\0')
		return -ENODATA;
	return reach_stream(&q->spool->reach, q->dir, name, file, streams.name[0], stream);
}

/* 0 and message and stream, or a negative errno; -ENODATA: the stream is not there, empty, or larger than what is
 * learned from. */
static int load_pair(const struct queue *q, const char *name, struct pair *p)
{
	struct reach_part file, stream;
	int ret = open_file(q, name, &file);

	if (ret < 0)
		return ret;
	ret = open_stream(q, name, &file, &stream);
	if (ret == 0) {
		ret = read_part(&file, p->text, sizeof p->text, &p->text_len);
		if (ret == 0)
			ret = read_part(&stream, p->stream, sizeof p->stream, &p->size);
		if (ret == -E2BIG || ret == -ERANGE || (ret == 0 && (p->size == 0 || p->size > LEARN_STREAM)))
			ret = -ENODATA; /* those errors: an attribute of more than 64 KiB */
		reach_close(&stream);
	}
	reach_close(&file);
	return ret;
}

static bool read_pair(struct queue *q, guint index, struct pair *p)
{
	int ret = load_pair(q, q->names->pdata[index], p);

	if (ret == -ENODATA) {
		q->other++;
	} else if (ret < 0) {
		q->unread++;
		q->why = -ret;
	}
	return ret == 0;
}

static const char *error_words(const struct queue *q, int error)
{
	return spool_on_volume(q->spool) ? volume_error(error) : g_strerror(error);
}

/* What was not looked at because of errors: 0, or an exit status after saying it. */
static int tell_unread(const struct queue *q)
{
	int status = 0;

	if (q->error != 0)
		status = command_failed("%s/%s: cannot be listed wholly: %s", q->spool->path, queue_name(q),
					error_words(q, q->error));
	if (q->unread > 0)
		status = command_failed("%s/%s: %u messages cannot be read: %s", q->spool->path, queue_name(q), q->unread,
					error_words(q, q->why));
	return status;
}

static gint by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of messages in the queue; what they are on a volume is known by their path, and there is no directory. */
static bool on_names(void *arg, unsigned place, unsigned depth, const char *dir, const struct walk_name *names, size_t count)
{
	struct queue *q = arg;

	(void)depth, (void)dir;
	for (size_t i = 0; i < count; i++)
		if (q->spool->format->id_of(place, names[i].name).kind == NAME_MESSAGE)
			g_ptr_array_add(q->names, g_strdup(names[i].name));
	return true;
}

static void on_error(void *arg, const char *dir, int error)
{
	struct queue *q = arg;

	(void)dir;
	q->error = error;
}

/* 0 or an errno. */
static int list_names(struct queue *q)
{
	const struct walk_sink sink = { on_names, on_error, q };

	if (!spool_on_volume(q->spool)) {
		q->dir = open_beneath(q->spool->root, queue_name(q), O_PATH | O_DIRECTORY);
		if (q->dir < 0)
			return -q->dir;
	}
	walk_place(q->spool, 0, &sink);
	g_ptr_array_sort(q->names, by_name);
	return q->error;
}

/* Open the spool `word`; 0 or an exit status after saying why not. */
static int open_spool(const struct settings *settings, const char *word, struct queue *q)
{
	g_autofree char *error = NULL;
	int ret;

	*q = (struct queue){ .dir = -1, .names = g_ptr_array_new_with_free_func(g_free) };
	q->spool = spools_open_one(settings, word, &error);
	if (q->spool == NULL)
		return command_failed("%s: %s", word, error);
	if (strcmp(q->spool->format->name, "iis") != 0)
		return command_failed("%s: a spool of %s; only IIS keeps properties in blocks", word, q->spool->format->server);
	ret = list_names(q);
	if (ret != 0 && q->names->len == 0)
		return command_failed("%s/%s: %s", q->spool->path, queue_name(q),
				      error_words(q, ret));
	if (q->names->len == 0)
		return command_failed("%s/%s: no message is here", q->spool->path, queue_name(q));
	if (!reach_sees(&q->spool->reach)) {
		const char *why = reach_warning(&q->spool->reach);

		return command_failed("%s: no named stream is to be seen%s%s", q->spool->path, why != NULL ? ": " : "",
				      why != NULL ? why : "");
	}
	return 0;
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
static guint verify_some(struct queue *q, guint from, const struct layout *l, bool all,
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
	for (; from < q->names->len && n < LEARN_MESSAGES; from++)
		if (read_pair(q, from, &pair) &&
		    learn_add(run, pair.text, pair.text_len, pair.stream, pair.size) == 0)
			index[n++] = from;
	if (!learn_finish(run, l, &answer, &nothing, why_r))
		return from;
	for (guint i = 0; i < n; i++) {
		bool fine = answer.verdicts[i].finding >= F_COUNT || answer.verdicts[i].severity < SEV_SUSPECT;

		*good += fine;
		*bad += !fine;
		print_verdict(q->names->pdata[index[i]], &answer.verdicts[i], all);
	}
	return from;
}

static int verify_all(struct queue *q, bool all)
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
	for (guint from = 0; from < q->names->len && why == NULL;)
		from = verify_some(q, from, &l, all, &good, &bad, &why);
	if (why != NULL)
		return command_failed("%s", why);
	printf("%u messages, %u explained, %u contradict the layout.\n", good + bad, good, bad);
	if (q->other > 0)
		printf("Not tried: %u without a stream of at most %u KiB.\n", q->other, LEARN_STREAM >> 10);
	return (bad > 0 ? EXIT_LEFT : 0) | tell_unread(q);
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

static int learn_all(struct queue *q)
{
	static struct learn_answer answer;
	static struct pair pair;
	struct layout l;
	char *why = NULL;
	struct learn_run *run = learn_start(&why);
	guint step = MAX(1, (q->names->len + LEARN_MESSAGES - 1) / LEARN_MESSAGES);

	if (run == NULL)
		return command_failed("%s", why);
	/* Spread over the spool: neighbours are alike. */
	for (guint i = 0; i < q->names->len; i += step)
		if (read_pair(q, i, &pair))
			learn_add(run, pair.text, pair.text_len, pair.stream, pair.size);
	if (!learn_finish(run, NULL, &answer, &l, &why))
		return command_failed("%s", why);
	tell_unread(q); /* what was learned is no less true */
	return print_learned(&answer.learned, &l);
}

int command_learn(char **argv)
{
	struct common common;
	g_auto(GStrv) words = command_options(argv, "SPOOL - infer the layout of property blocks", entries, &common);
	struct queue q;
	int status;

	if (words[0] == NULL || words[1] != NULL)
		return command_usage("learn-layout: one SPOOL, a mail server's folder with Queue and Pickup");
	command_zygote(false); /* who reads a volume comes from it, too; before any mail is read */
	status = open_spool(common.settings, words[0], &q);
	if (status == 0)
		status = verify != NULL ? verify_all(&q, common.all) : learn_all(&q);
	if (q.dir >= 0)
		close(q.dir);
	g_ptr_array_unref(q.names);
	return status;
}
