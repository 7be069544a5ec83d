/* retention.c - what the quarantine may hold, and for how long */
#include "config.h"

#include "retention.h"

#include "entry.h"
#include "scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOCK_WAIT 1000 /* ms for the lock of a spool in which parts lodge: it is not urgent */

/* All entries, oldest first, with what they take. */
struct stock {
	char **names;
	guint64 *bytes;
	guint count;
	guint64 total;
};

gboolean retention_is_on(const struct retention *r)
{
	return r->retain > 0 || r->max_size > 0;
}

static void stock_free(struct stock *s)
{
	g_strfreev(s->names);
	g_free(s->bytes);
}

/* What cannot be measured (another run took it away) counts nothing. `sizes`: whether they are needed. */
static int take_stock(struct q_store *store, bool sizes, struct stock *s, struct q_error *err)
{
	*s = (struct stock){ .names = NULL };
	if (q_entries(store, &s->names, err) < 0)
		return -1;
	s->count = g_strv_length(s->names);
	s->bytes = g_new0(guint64, s->count + 1);
	for (guint i = 0; i < s->count && sizes; i++)
		if (q_measure(store, s->names[i], &s->bytes[i], NULL) == 0)
			s->total += s->bytes[i];
	return 0;
}

/* Seconds since it was moved; 0 when its name or the clock makes no sense. */
static gint64 age(const char *entry, time_t now)
{
	time_t then = q_entry_time(entry);

	return then > 0 && then < now ? (gint64)now - (gint64)then : 0;
}

static bool may_go(struct q_store *store, const char *entry, time_t now)
{
	return age(entry, now) >= RETENTION_MIN / G_USEC_PER_SEC && !q_kept(store, entry);
}

void retention_limit(const struct retention *r, struct q_store *store)
{
	guint64 staying, max = (guint64)r->max_size;
	time_t now = time(NULL);
	struct stock s;

	if (r->max_size == 0)
		return;
	if (take_stock(store, true, &s, NULL) < 0) {
		stock_free(&s);
		q_store_room(store, 0); /* who cannot count must not fill */
		return;
	}
	staying = s.total;
	for (guint i = 0; i < s.count; i++)
		if (may_go(store, s.names[i], now))
			staying -= s.bytes[i];
	q_store_room(store, staying < max ? max - staying : 0);
	stock_free(&s);
}

/* Parts that lodge in a spool are removed under its lock, after what a crash may have left there. */
static enum q_outcome purge_one(struct q_store *store, const char *entry, const json_t *manifest,
				struct q_error *err)
{
	const json_t *lodge = json_object_get(manifest, "lodge");
	g_autofree char *spool = json_is_string(lodge) ? bytes_of(manifest, "spool") : NULL;
	int root = spool != NULL ? open(spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	enum q_outcome done = Q_FAILED;
	int locked = 0;

	if (spool != NULL && root < 0)
		snprintf(err->text, sizeof err->text, "its parts lie in %s: %s", spool,
			 g_strerror(errno));
	else if (root >= 0 && (locked = q_lock(root, LOCK_WAIT, err)) < 0)
		done = locked == -EWOULDBLOCK ? Q_REFUSED : Q_FAILED; /* the next run finds it again */
	else if (root < 0 || q_recover(store, spool, NULL, NULL, err) >= 0)
		done = q_purge(store, entry, root, err);
	if (root >= 0)
		close(root);
	return done;
}

/* Did another run take it away, or is one at it? */
static bool is_taken(struct q_store *store, const char *entry, enum q_outcome done)
{
	uint64_t bytes;

	return done == Q_REFUSED || q_measure(store, entry, &bytes, NULL) == -ENOENT;
}

/* One entry that is to go, with its line in the log. Q_MOVED, Q_CHANGED (another run's now), Q_FAILED. */
static enum q_outcome let_go(struct q_store *store, const char *entry, const char *reason,
			     retention_told *told, void *arg)
{
	struct q_error err = { "" };
	json_t *manifest = NULL;
	enum q_outcome done = Q_FAILED;

	if (q_manifest(store, entry, &manifest, &err) == 0)
		done = purge_one(store, entry, manifest, &err);
	if (done == Q_MOVED)
		entry_log("purged", entry, manifest, NULL, NULL, reason);
	else
		done = is_taken(store, entry, done) ? Q_CHANGED : Q_FAILED;
	if (told != NULL && done != Q_CHANGED)
		told(arg, entry, done == Q_FAILED ? err.text : NULL);
	json_decref(manifest);
	return done;
}

/* Why this entry has to go, or NULL. */
static const char *too_much(const struct retention *r, const struct stock *s, guint i, time_t now)
{
	if (r->retain > 0 && age(s->names[i], now) >= r->retain / G_USEC_PER_SEC)
		return "retention: older than retain";
	if (r->max_size > 0 && s->total > (guint64)r->max_size)
		return "retention: max-size";
	return NULL;
}

unsigned retention_apply(const struct retention *r, struct q_store *store, gint64 deadline,
			 retention_told *told, void *arg, struct retained *done_r)
{
	time_t now = time(NULL);
	struct q_error err = { "" };
	unsigned failures = 0;
	struct stock s;
	int expired;

	*done_r = (struct retained){ 0 };
	expired = q_accepted_expire(store, now, NULL);
	done_r->expired = expired > 0 ? (guint64)expired : 0;
	if (!retention_is_on(r))
		return 0;
	if (take_stock(store, r->max_size > 0, &s, &err) < 0) {
		if (told != NULL)
			told(arg, "entries", err.text);
		stock_free(&s);
		return 1;
	}
	for (guint i = 0; i < s.count; i++) {
		const char *why = too_much(r, &s, i, now);

		if (scan_cancelled || (deadline != 0 && g_get_monotonic_time() > deadline))
			break;
		if (why == NULL || !may_go(store, s.names[i], now))
			continue;
		switch (let_go(store, s.names[i], why, told, arg)) {
		case Q_MOVED:
			done_r->purged++;
			done_r->bytes += s.bytes[i];
			s.total -= s.bytes[i];
			break;
		case Q_CHANGED:
			s.total -= s.bytes[i];
			break;
		default:
			failures++;
		}
	}
	stock_free(&s);
	return failures;
}
