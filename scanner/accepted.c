/*
 * accepted.c - messages that an operator accepted as they are
 *
 * A record covers a message while the names of its findings are among those that were accepted and the file
 * is the same one: its inode and birth, or its bytes. What stops the server is
 * covered only by a record that was forced. Where the store cannot be looked into
 * nothing counts as accepted.
 */
#include "config.h"

#include "accepted.h"

#include "log.h"

#include <errno.h>
#include <string.h>

bool findings_stop_server(const json_t *findings)
{
	const json_t *f;
	size_t i;

	json_array_foreach(findings, i, f) {
		const char *severity = json_string_value(json_object_get(f, "severity"));
		const char *impact = json_string_value(json_object_get(f, "impact"));

		if (g_strcmp0(severity, severity_name(SEV_CORRUPT)) == 0 &&
		    g_strcmp0(impact, impact_name(IMPACT_SERVER_STOPS)) == 0)
			return true;
	}
	return false;
}

/* Their names, each once. */
static json_t *names_of(const json_t *findings)
{
	json_t *names = json_array(), *seen = json_object();
	const json_t *f;
	size_t i;

	json_array_foreach(findings, i, f) {
		const char *name = json_string_value(json_object_get(f, "name"));

		if (name == NULL || json_object_get(seen, name) != NULL)
			continue;
		json_object_set_new(seen, name, json_true());
		json_array_append_new(names, json_string(name));
	}
	json_decref(seen);
	return names;
}

int accepted_write(struct q_store *store, const struct accept *a, struct q_error *err)
{
	g_autofree char *who = log_who();
	time_t now = time(NULL);
	struct q_acceptance record = {
		.spool = a->spool, .format = a->format, .id = a->id, .id_len = strlen(a->id),
		.findings = names_of(a->findings), .forced = a->forced, .who = who,
		.reason = a->reason, .now = now,
		.until = a->seconds > 0 ? now + (time_t)a->seconds : 0, .print = a->print,
	};
	int ret = q_accept(store, &record, err);

	json_decref(record.findings);
	return ret;
}

static bool has_name(const json_t *names, const char *name)
{
	const json_t *n;
	size_t i;

	json_array_foreach(names, i, n)
		if (g_strcmp0(json_string_value(n), name) == 0)
			return true;
	return false;
}

/* Only what was accepted, and nothing that stops the server unless that was forced. Notices do not
 * count. A record without any name (what was added by hand) covers all of them. */
static bool covers(const json_t *record, const struct report *r)
{
	const json_t *names = json_object_get(record, "findings");
	bool forced = json_is_true(json_object_get(record, "forced"));

	for (unsigned i = 0; i < r->count; i++) {
		const struct finding *f = &r->findings[i];

		if (f->severity == SEV_NOTICE)
			continue;
		if (json_array_size(names) > 0 && !has_name(names, finding_def(f->id)->name))
			return false;
		if (f->severity == SEV_CORRUPT && f->impact == IMPACT_SERVER_STOPS && !forced)
			return false;
	}
	return true;
}

static bool is_accepted(const struct scan *scan, struct q_store *store, const struct outcome *o)
{
	const struct spool *s = scan->spool;
	struct q_print print;
	json_t *record;
	bool yes;

	if (q_accepted(store, s->path, s->format->name, o->id, strlen(o->id), s->site.now, &record,
		       NULL) < 0)
		return false;
	yes = covers(record, o->report) && q_print(s->root, o->path, false, &print, NULL) == 0;
	if (yes && !q_accepted_born(record, &print))
		yes = q_print(s->root, o->path, true, &print, NULL) == 0 &&
		      q_accepted_digest(record, &print);
	json_decref(record);
	return yes;
}

bool accepted_is(const struct scan *scan, const struct outcome *o)
{
	struct q_error err = { "" };
	struct q_store *store;
	bool yes;

	if (q_store_open(scan->options->store, false, &store, &err) < 0)
		return false;
	yes = is_accepted(scan, store, o);
	q_store_close(store);
	return yes;
}

void accepted_apply(struct scan *scan)
{
	struct q_store *store = NULL;
	struct q_error err = { "" };
	bool any = false;

	for (guint i = 0; i < scan->outcomes->len; i++) {
		struct outcome *o = scan->outcomes->pdata[i];
		int ret;

		if ((o->verdict != VERDICT_CORRUPT && o->verdict != VERDICT_SUSPECT) ||
		    o->id == NULL || o->report == NULL || o->accepted)
			continue;
		ret = any ? 0 : q_store_open(scan->options->store, false, &store, &err);
		any = true;
		if (ret < 0 && ret != -ENOENT && !scan->early)
			g_ptr_array_add(scan->notes, g_strdup_printf(
				"What was accepted before is not known here: %s.", err.text));
		if (store == NULL)
			return;
		o->accepted = is_accepted(scan, store, o);
		if (!o->accepted)
			continue;
		o->reason = g_strdup("accepted");
		scan->tally.accepted[o->verdict]++;
	}
	q_store_close(store);
}
