/*
 * output_json.c - JSON Lines
 *
 * Strings are bytes made UTF-8 by escape_json() (invertible); the fields are
 * those of spoolck-json(5). Written with jansson, one object per line, flushed at the
 * end of each spool and after what cannot wait.
 */
#include "config.h"

#include "output.h"

#include "escape.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static json_t *json_bytes(const void *p, size_t len)
{
	g_autofree char *s = escape_json(p, len);

	return json_string(s);
}

static json_t *json_text(const struct text *t)
{
	return t->len > 0 ? json_bytes(t->bytes, t->len) : json_null();
}

static json_t *json_cstring(const char *s)
{
	return s != NULL ? json_bytes(s, strlen(s)) : json_null();
}

json_t *json_time(int64_t t)
{
	char buf[40];
	struct tm tm;
	time_t when = (time_t)t;

	if (gmtime_r(&when, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 8099)
		return json_null();
	/* %Y of strftime() has no four digits before the year 1000 */
	g_snprintf(buf, sizeof buf, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		   tm.tm_min, tm.tm_sec);
	return json_string(buf);
}

static json_t *json_u64(uint64_t n)
{
	return json_integer(n <= INT64_MAX ? (json_int_t)n : (json_int_t)INT64_MAX);
}

json_t *json_finding(const struct scan *scan, const struct outcome *o, const struct finding *f)
{
	const struct finding_def *def = finding_def(f->id);
	const struct role *role = outcome_role(scan->spool, f);
	g_autofree char *part = outcome_part(scan->spool, o, f->part);
	json_t *j = json_object();

	json_object_set_new(j, "event", json_string("finding"));
	json_object_set_new(j, "spool", json_cstring(scan->spool->path));
	json_object_set_new(j, "format", json_string(scan->spool->format->name));
	json_object_set_new(j, "id", json_cstring(o->id));
	json_object_set_new(j, "name", json_string(def->name));
	json_object_set_new(j, "severity", json_string(severity_name(f->severity)));
	json_object_set_new(j, "impact", json_string(impact_name(f->impact)));
	json_object_set_new(j, "part", json_cstring(part));
	json_object_set_new(j, "stream", role->unpacked ? json_string(role->name) :
					 json_cstring(outcome_stream(scan->spool, f)));
	json_object_set_new(j, "offset", json_u64(f->offset));
	json_object_set_new(j, "length", json_u64(f->length));
	json_object_set_new(j, "field", json_text(&f->field));
	json_object_set_new(j, "expected", json_text(&f->expected));
	json_object_set_new(j, "found", json_text(&f->found));
	json_object_set_new(j, "text", json_string(def->text));
	json_object_set_new(j, "deadline", f->deadline != 0 ? json_time(f->deadline) : json_null());
	return j;
}

json_t *json_findings(const struct scan *scan, const struct outcome *o)
{
	json_t *array = json_array();

	for (unsigned i = 0; o->report != NULL && i < o->report->count; i++)
		json_array_append_new(array, json_finding(scan, o, &o->report->findings[i]));
	return array;
}

json_t *json_envelope(const struct outcome *o)
{
	const struct report *r = o->report;
	json_t *j = json_object();

	json_object_set_new(j, "sender",
			    r != NULL && r->has_sender ? json_bytes(r->sender, r->sender_len)
						       : json_null());
	json_object_set_new(j, "recipients", r != NULL ? json_u64(r->recipients) : json_null());
	json_object_set_new(j, "arrival",
			    r != NULL && r->has_arrival ? json_time(r->arrival) : json_null());
	json_object_set_new(j, "size", json_u64(o->facts.size));
	if (o->deep != NULL || o->deep_unchecked)
		json_object_set_new(j, "deep", json_deep(o));
	return j;
}

static void line(json_t *j)
{
	json_dumpf(j, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
	putchar('\n');
	json_decref(j);
}

static json_t *json_strings(char **strings)
{
	json_t *array = json_array();

	for (; *strings != NULL; strings++)
		json_array_append_new(array, json_cstring(*strings));
	return array;
}

static void start(struct spool *const *spools, unsigned count)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < count; i++) {
		json_t *spool = json_pack("{s:o,s:s}", "path", json_cstring(spools[i]->path), "format",
					  spools[i]->format->name);

		if (spools[i]->exclude != NULL && *spools[i]->exclude != NULL)
			json_object_set_new(spool, "excluded", json_strings(spools[i]->exclude));
		if (reach_words(spools[i]->reach.way) != NULL)
			json_object_set_new(spool, "streams", json_string(reach_words(spools[i]->reach.way)));
		json_array_append_new(array, spool);
	}
	line(json_pack("{s:s,s:i,s:s,s:o}", "event", "start", "schema", 1, "version",
		       PACKAGE_VERSION, "spools", array));
}

static void error(const char *where, const char *text)
{
	line(json_pack("{s:s,s:o,s:o}", "event", "error", "spool", json_cstring(where), "text",
		       json_cstring(text)));
}

static void message(const struct scan *scan, const struct outcome *o)
{
	json_t *j = json_envelope(o);
	g_autofree char *why = o->verdict == VERDICT_UNCHECKED ? unchecked_text(o) : NULL;

	json_object_set_new(j, "event", json_string("message"));
	json_object_set_new(j, "spool", json_cstring(scan->spool->path));
	json_object_set_new(j, "format", json_string(scan->spool->format->name));
	json_object_set_new(j, "id", json_cstring(o->id));
	json_object_set_new(j, "verdict", json_string(verdict_name(o->verdict)));
	json_object_set_new(j, "impact", json_string(impact_name(o->impact)));
	json_object_set_new(j, "parts", json_pack("[o]", json_cstring(o->path)));
	json_object_set_new(j, "action", json_string(action_name(o->action)));
	json_object_set_new(j, "reason", json_cstring(o->reason != NULL ? o->reason : why));
	json_object_set_new(j, "entry", json_cstring(o->entry));
	line(j);
}

static void findings(const struct scan *scan, const struct outcome *o)
{
	for (unsigned i = 0; o->report != NULL && i < o->report->count; i++)
		line(json_finding(scan, o, &o->report->findings[i]));
}

static void outcome(const struct scan *scan, const struct outcome *o)
{
	if (!o->told)
		findings(scan, o);
	if (o->id != NULL)
		message(scan, o);
}

/* What was found is told now; the message itself follows when it is known what became of it. */
static void urgent(const struct scan *scan, struct outcome *o)
{
	findings(scan, o);
	fflush(stdout);
	o->told = true;
}

static void passing(void *arg, const struct scan *scan, const struct outcome *o)
{
	(void)arg;
	outcome(scan, o);
}

static void scan_done(const struct scan *scan)
{
	for (guint i = 0; i < scan->outcomes->len; i++)
		outcome(scan, scan->outcomes->pdata[i]);
	for (guint i = 0; i < scan->notes->len; i++)
		line(json_pack("{s:s,s:o,s:o}", "event", "note", "spool",
			       json_cstring(scan->spool->path), "text",
			       json_cstring(scan->notes->pdata[i])));
	fflush(stdout);
}

/* Messages by age: each class reaches up to the bound of the next one. */
static json_t *ages(const guint64 *counts)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < AGES; i++)
		json_array_append_new(array, json_pack("{s:o,s:o}", "below", ages_below[i] == INT64_MAX ? json_null()
						       : json_integer(ages_below[i]), "messages", json_u64(counts[i])));
	return array;
}

static void incident(const struct incident *i)
{
	line(json_pack("{s:s,s:s,s:o,s:i,s:b,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "event", "incident", "format", i->format->name,
		       "daemon", json_cstring(i->daemon), "deaths", (int)i->deaths, "crashed", i->crashed, "signal",
		       i->signal != 0 ? json_u64(i->signal) : json_null(), "last",
		       i->last != 0 ? json_time(i->last) : json_null(), "said", json_cstring(i->said), "source",
		       json_cstring(i->source), "id", json_cstring(i->id), "named_by",
		       i->id == NULL ? json_null() : json_string(i->by_log ? "log" : "scan"), "spool",
		       json_cstring(i->spool), "name", json_cstring(i->finding), "queued",
		       i->id == NULL ? json_null() : json_boolean(!i->gone)));
}

static void summary(const struct totals *t)
{
	json_t *j = json_object();

	json_object_set_new(j, "event", json_string("summary"));
	json_object_set_new(j, "messages", json_u64(t->tally.messages));
	for (unsigned v = 0; v < VERDICT_COUNT; v++)
		json_object_set_new(j, verdict_name(v), json_u64(t->tally.verdicts[v]));
	if (t->tally.deep_unchecked > 0)
		json_object_set_new(j, "deep_unchecked", json_u64(t->tally.deep_unchecked));
	json_object_set_new(j, "moved", json_u64(t->tally.moved));
	json_object_set_new(j, "purged", json_u64(t->purged));
	json_object_set_new(j, "quarantined", json_u64(t->quarantined));
	json_object_set_new(j, "ages", ages(t->tally.ages));
	json_object_set_new(j, "bytes", json_u64(t->tally.bytes));
	json_object_set_new(j, "seconds", json_real(t->seconds));
	json_object_set_new(j, "exit", json_integer(t->exit));
	line(j);
	fflush(stdout);
}

const struct output output_json = { start, error, passing, scan_done, incident, summary, urgent };
