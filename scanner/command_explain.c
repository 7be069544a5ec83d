/*
 * command_explain.c - `spoolck explain FILE|SPOOL:ID`
 *
 * Two questions to a lane: what is wrong (check), and what is in the file
 * (decode). The rows are printed as they arrive, so that a message of any size
 * costs no memory; findings stand under the row that they are about.
 */
#include "config.h"

#include "command.h"
#include "escape.h"
#include "lanes.h"
#include "names.h"
#include "one.h"
#include "output.h"
#include "partpath.h"
#include "print.h"
#include "serverlock.h"
#include "spool_volume.h"
#include "spools.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct explain {
	struct scan scan;           /* for the writers: spool and options */
	struct outcome *outcome;
	struct report report;
	struct deep deep;
	bool looked;                /* `deep` holds something */
	bool shown[REPORT_MAX];
	struct row last;            /* the row printed last, if `any` was */
	bool any, json, failed, foreign, look;
	bool leaving;               /* what was found may be the server's own work */
	unsigned role;              /* of the file, when its message is not to be found */
	const struct severity_rules *severities;
};

/* --- Which message ------------------------------------------------------------ */

/* The anchor of the message when *path_r is another part of it. */
static void to_anchor(const struct spool *spool, char **path_r)
{
	unsigned depth;
	int place = one_place(spool->format, *path_r, &depth);
	struct name name;
	struct outcome *o;

	if (place < 0)
		return;
	name = name_of(spool->format, (unsigned)place, *path_r);
	if (name.kind != NAME_COMPANION)
		return;
	g_autofree char *id = g_strndup(name.id, name.id_len);
	o = spool_locate(spool, id);
	if (o == NULL)
		return;
	g_free(*path_r);
	*path_r = g_steal_pointer(&o->path);
	outcome_free(o);
}

/* The first format that has files of this name; any, when none has. */
static int format_by_file(const char *base)
{
	for (int i = 0; formats[i] != NULL; i++) {
		enum name_kind kind = formats[i]->id_of(formats[i]->loose_place, base).kind;

		if (kind == NAME_MESSAGE || kind == NAME_COMPANION)
			return i;
	}
	return 0;
}

/* A part of a message is given for it when the message lies beside it. */
static void to_neighbour(const struct spool *spool, char **below_r)
{
	const struct format *f = spool->format;
	struct name name = f->id_of(f->loose_place, *below_r);
	char path[PATH_MAX];
	const char *slash;

	if (name.kind != NAME_COMPANION ||
	    format_path(f, &spool->site, f->loose_place, 0, name.id, name.id_len, 0, path, sizeof path) == 0)
		return;
	slash = strrchr(path, '/');
	if (slash == NULL || faccessat(spool->root, slash + 1, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	g_free(*below_r);
	*below_r = g_strdup(slash + 1);
}

/* A file on its own, in no spool that is known: its directory stands for one. */
static struct spool *loose(const char *arg, char **below_r)
{
	const char *colon = strchr(arg, ':');
	int index = colon != NULL ? format_by_name(arg, (size_t)(colon - arg)) : -1;
	const char *path = index >= 0 ? colon + 1 : arg;
	g_autofree char *dir = g_path_get_dirname(path);
	g_autofree char *base = g_path_get_basename(path);
	g_autofree char *error = NULL;
	struct spool *spool;

	if (index < 0)
		index = format_by_file(base);
	g_autofree char *typed = g_strdup_printf("%s:%s", formats[index]->name, dir);
	spool = spool_open(typed, &error);
	*below_r = g_steal_pointer(&base);
	if (spool != NULL)
		to_neighbour(spool, below_r);
	return spool;
}

/* A file on a volume that is not mounted: the nearest folder above it that is a spool. */
static struct spool *find_on_volume(const struct settings *settings, const char *path, int index, char **below_r)
{
	g_autofree char *root = g_strdup(path);
	char *slash;

	while ((slash = strrchr(root, '/')) != NULL && slash != root && spool_volume_is(root)) {
		g_autofree char *error = NULL;
		struct spool *spool;

		unsigned depth;

		*slash = '\0';
		g_autofree char *typed = index < 0 ? g_strdup(root) :
						     g_strconcat(formats[index]->name, ":", root, NULL);
		spool = spool_volume_is(root) ? spool_open(typed, &error) : NULL;
		if (spool != NULL && one_place(spool->format, path + (slash + 1 - root), &depth) >= 0) {
			*below_r = g_strdup(path + (slash + 1 - root));
			to_anchor(spool, below_r);
			spools_apply(settings, spool);
			return spool;
		}
		spool_close(spool);
	}
	command_failed("%s: no spool of a server that is known here; give SPOOL:ID", path);
	return NULL;
}

/* The argument's spool and the message's path below its root. NULL after saying why. */
static struct spool *find(const struct settings *settings, const char *arg, char **path_r)
{
	const char *colon = strchr(arg, ':');
	bool typed = colon != NULL && format_by_name(arg, (size_t)(colon - arg)) >= 0;
	const char *path = typed ? colon + 1 : arg;
	g_autofree char *error = NULL;
	struct spool *spool;
	struct stat st;

	if (lstat(path, &st) == 0) {
		spool = spool_above(arg, path_r);
		if (spool == NULL)
			spool = loose(arg, path_r);
		else
			to_anchor(spool, path_r);
		if (spool == NULL)
			command_failed("%s: cannot open its directory", arg);
		else
			spools_apply(settings, spool);
		return spool;
	}
	if (strchr(base_of(path), ':') == NULL && spool_volume_is(path))
		return find_on_volume(settings, path, typed ? format_by_name(arg, (size_t)(colon - arg)) : -1,
				      path_r);
	colon = strrchr(arg, ':');
	if (colon == NULL || colon[1] == '\0') {
		command_failed("%s: %s; give a FILE, or SPOOL:ID", arg, g_strerror(errno));
		return NULL;
	}
	g_autofree char *name = g_strndup(arg, (gsize)(colon - arg));
	spool = spools_open_with(settings, name, colon + 1, &error);
	if (spool == NULL) {
		command_failed("%s: %s", name, error);
		return NULL;
	}
	struct outcome *o = spool_locate(spool, colon + 1);
	if (o == NULL) {
		command_failed("%s: no message with this queue id in %s", colon + 1, spool->path);
		spool_close(spool);
		return NULL;
	}
	*path_r = g_steal_pointer(&o->path);
	outcome_free(o);
	return spool;
}

/* The role of a part that can be looked at without its message; 0 for a message. */
static unsigned lone_role(const struct format *f, unsigned place, const char *path)
{
	struct name name = name_of(f, place, path);

	return name.kind == NAME_COMPANION && f->roles[name.role].alone ? name.role : 0;
}

/* --- Rows ----------------------------------------------------------------------- */

static void put(const struct text *t)
{
	g_autofree char *s = escape_eyes(t->bytes, t->len);

	fputs(s, stdout);
}

static void put_finding(struct explain *x, unsigned index)
{
	const struct finding *f = &x->report.findings[index];
	const struct finding_def *def = finding_def(f->id);

	x->shown[index] = true;
	printf("%s  ^^^ %s at byte %" PRIu64, print_on(RED), severity_name(f->severity), f->offset);
	if (outcome_role(x->scan.spool, f)->unpacked)
		printf(" of the %s", outcome_role(x->scan.spool, f)->name);
	if (f->field.len > 0) {
		fputs(", ", stdout);
		put(&f->field);
	}
	printf(": %s", def->text);
	if (f->expected.len > 0) {
		fputs("; expected ", stdout);
		put(&f->expected);
	}
	if (f->found.len > 0) {
		fputs("; found \"", stdout);
		put(&f->found);
		putchar('"');
	}
	printf("  [%s]%s\n", def->name, print_on(PLAIN));
}

static void put_row(const struct row *row)
{
	printf("%10" PRIu64 " %8" PRIu64 "  %*s", row->offset, row->length, row->depth * 2, "");
	put(&row->kind);
	if (row->detail.len > 0) {
		int pad = 18 - row->depth * 2 - row->kind.len;

		printf("%*s", pad > 2 ? pad : 2, "");
		put(&row->detail);
	}
	if (row->has_target)
		printf("  --> %" PRIu64, row->target);
	putchar('\n');
}

/* One object on a line of its own; frees it. */
static void put_json(json_t *j)
{
	json_dumpf(j, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	putchar('\n');
	json_decref(j);
}

static void put_row_json(const struct row *row)
{
	g_autofree char *kind = escape_json(row->kind.bytes, row->kind.len);
	g_autofree char *detail = escape_json(row->detail.bytes, row->detail.len);
	json_t *j = json_pack("{s:s,s:i,s:I,s:I,s:s,s:s,s:i}", "event", "row", "part", row->part,
			      "offset", (json_int_t)row->offset, "length", (json_int_t)row->length,
			      "kind", kind, "detail", detail, "depth", row->depth);

	if (row->has_target)
		json_object_set_new(j, "target", json_integer((json_int_t)row->target));
	put_json(j);
}

static bool row_holds(const struct row *row, const struct finding *f)
{
	return f->part == row->part && f->offset >= row->offset &&
	       f->offset < row->offset + MAX(row->length, 1);
}

/* The findings about the row before `next`, unless `next` is a detail of it that tells more
 * exactly where they are. */
static void put_findings_of_last(struct explain *x, const struct row *next)
{
	bool detail = next != NULL && next->depth > x->last.depth && next->part == x->last.part;

	for (unsigned i = 0; i < x->report.count; i++) {
		const struct finding *f = &x->report.findings[i];

		/* The first detail may be another one than the finding's: wait for it. */
		if (!x->shown[i] && row_holds(&x->last, f) &&
		    !(detail && f->offset >= next->offset))
			put_finding(x, i);
	}
}

static void on_row(struct explain *x, const struct row *row)
{
	if (x->json) {
		put_row_json(row);
		return;
	}
	if (x->any)
		put_findings_of_last(x, row);
	else
		printf("%10s %8s  %-16s  %s\n", "offset", "bytes", "record", "value");
	put_row(row);
	x->last = *row;
	x->any = true;
}

/* What the deep pass says, or why it says nothing. */
static void look_inside(struct explain *x, const struct lane_result *res, const uint8_t *answer)
{
	struct outcome *o = x->outcome;

	bool there = res->deep == DEEP_DONE || res->deep == DEEP_CONTENTS;
	bool read = there && wire_get_deep(answer, res->deep_len, &x->deep);

	x->looked = read && res->deep == DEEP_DONE;
	o->deep = x->looked ? &x->deep : NULL;
	o->deep_unchecked = res->deep == DEEP_UNCHECKED || (there && !read);
	o->deep_why = res->deep == DEEP_UNCHECKED ? res->deep_why : UNCHECKED_GARBAGE;
	if (read)
		outcome_merge(&x->report, &x->deep);
}

static void put_inside(const struct explain *x)
{
	const struct outcome *o = x->outcome;

	if (x->json && (x->looked || o->deep_unchecked)) {
		json_t *j = json_deep(o);

		json_object_set_new(j, "event", json_string("deep"));
		put_json(j);
	} else if (x->looked) {
		putchar('\n');
		put_deep(&x->deep, true);
	} else if (o->deep_unchecked) {
		printf("\nIts text could not be looked into: %s.\n", why_text(o->deep_why));
	}
}

static void on_result(void *arg, const struct lane_job *job,
		      const struct lane_result *res, const char *path, const uint8_t *answer)
{
	struct explain *x = arg;
	struct row row;

	(void)job, (void)path;
	x->outcome->facts = res->facts;
	switch ((enum lane_status)res->status) {
	case LANE_REPORT:
		if (wire_get_report(answer, res->answer_len, &x->report)) {
			look_inside(x, res, answer + res->answer_len);
			severity_apply(x->severities, &x->report);
			if (x->scan.spool->doubt != NULL)
				severity_doubt(&x->report);
			return;
		}
		break;
	case LANE_ROW:
		if (wire_get_row(answer, res->answer_len, &row))
			on_row(x, &row);
		return;
	case LANE_ROWS_END:
		return;
	case LANE_UNCHECKED:
		x->outcome->why = res->why;
		x->outcome->error = res->error;
		x->outcome->offset = res->offset;
		break;
	default:
		x->outcome->why = UNCHECKED_OPEN;
		x->outcome->error = ENOENT;
		x->foreign = res->status == LANE_FOREIGN;
		break;
	}
	x->failed = true;
}

/* --- The command ------------------------------------------------------------------ */

static void ask(struct lanes *lanes, const struct explain *x, unsigned depth, enum lane_verb verb)
{
	const struct outcome *o = x->outcome;
	struct lane_job job = { .place = (uint8_t)o->place, .depth = (uint8_t)depth,
				.verb = (uint8_t)verb, .force = true, .role = (uint8_t)x->role,
				.deep = verb == VERB_CHECK && x->role == 0 && x->look };
	g_autofree char *dir = g_path_get_dirname(o->path);
	const char *base = strrchr(o->path, '/');

	lanes_submit_one(lanes, job, dir, base != NULL ? base + 1 : o->path);
	lanes_drain(lanes);
}

/* Is the server just taking the message away? Asked when it has been checked. */
static bool is_leaving(const struct explain *x)
{
	const struct spool *spool = x->scan.spool;
	struct outcome o = *x->outcome;
	const struct name name = name_of(spool->format, o.place, o.path);
	g_autofree char *id = g_strndup(name.id, name.id_len);

	o.id = id;
	return x->role == 0 && name.kind == NAME_MESSAGE && server_is_removing(spool, &o, &x->report);
}

static void put_leaving(const struct explain *x)
{
	static const char text[] = "The server holds its lock on this message, and may be taking it away just now: "
				   "look again in a while.";

	if (x->json) {
		const char *path = x->scan.spool->path;
		g_autofree char *spool = escape_json(path, strlen(path));
		json_t *j = json_pack("{s:s,s:s,s:s}", "event", "note", "spool", spool, "text", text);

		json_dumpf(j, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
		putchar('\n');
		json_decref(j);
	} else {
		printf("\n%s\n", text);
	}
}

static int finish(struct explain *x)
{
	struct outcome *o = x->outcome;
	int status = 0;

	if (x->failed && x->foreign)
		return command_failed("%s/%s: no regular file, as queue files are; links are not followed: name the file itself",
				      x->scan.spool->path, o->path);
	if (x->failed) {
		g_autofree char *why = unchecked_text(o);

		return command_failed("%s/%s: %s", x->scan.spool->path, o->path, why);
	}
	if (x->any)
		put_findings_of_last(x, NULL);
	for (unsigned i = 0; i < x->report.count && !x->json; i++)
		if (!x->shown[i])
			put_finding(x, i);
	if (!x->json && x->report.count == 0)
		puts(x->role == 0 ? "No finding: the message is sound." :
				    "No finding, as far as this part can tell without its message.");
	for (unsigned i = 0; i < x->report.count; i++) {
		if (x->json)
			put_json(json_finding(&x->scan, o, &x->report.findings[i]));
		else if (i == 0)
			printf("\n%s\n%s\n", finding_def(outcome_worst(o)->id)->server,
			       finding_def(outcome_worst(o)->id)->todo);
	}
	put_inside(x);
	if (x->leaving)
		put_leaving(x);
	if (o->deep_unchecked)
		status |= EXIT_FAILED;
	if (x->leaving)
		return status;
	for (unsigned i = 0; i < x->report.count; i++)
		if (x->report.findings[i].severity == SEV_CORRUPT)
			return status | EXIT_LEFT;
	return status;
}

int command_explain(char **argv)
{
	static const GOptionEntry options[] = {
		{ "deep", 0, G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, (gpointer)(guintptr)command_set,
		  "Look inside of the message, too: header, MIME parts, encodings", NULL },
		G_OPTION_ENTRY_NULL
	};
	struct common common;
	g_auto(GStrv) names = command_options(argv, "FILE|SPOOL:ID - annotated listing of one message",
					      options, &common);
	struct explain x = { .json = common.json, .severities = &common.settings->severities };
	struct outcome outcome = { .id = NULL };
	struct lane_config config;
	struct lanes *lanes;
	unsigned depth = 0;
	int place, error, zygote, status;

	if (names[0] == NULL || names[1] != NULL)
		return command_usage("explain: one FILE or SPOOL:ID");
	x.look = common.settings->deep;
	zygote = command_zygote(x.look);
	x.scan.spool = find(common.settings, names[0], &outcome.path);
	if (x.scan.spool == NULL)
		return EXIT_FAILED;
	place = one_place(x.scan.spool->format, outcome.path, &depth);
	outcome.place = place >= 0 ? (unsigned)place : x.scan.spool->format->loose_place;
	outcome.id = g_path_get_basename(outcome.path); /* for the writers; only a name */
	x.role = lone_role(x.scan.spool->format, outcome.place, outcome.path);
	outcome.report = &x.report;
	x.outcome = &outcome;
	print_setup();
	config = (struct lane_config){ x.scan.spool->format, x.scan.spool->format_index,
				       x.scan.spool->site, x.scan.spool->root, zygote, &x.scan.spool->reach };
	lanes = lanes_open(&config, 1, on_result, &x, &error);
	if (lanes == NULL)
		return command_failed("cannot start a reader: %s", g_strerror(error));
	ask(lanes, &x, depth, VERB_CHECK);
	x.leaving = !x.failed && is_leaving(&x);
	if (!x.failed)
		ask(lanes, &x, depth, VERB_DECODE);
	lanes_close(lanes);
	status = finish(&x);
	g_free(outcome.path);
	g_free(outcome.id);
	spool_close(x.scan.spool);
	return status;
}
