/* incident.c - from lines of the mail log to daemons that died, and the message that does it */
#include "config.h"

#include "incident.h"

#include "daemonlog.h"
#include "maillog.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define BY_HAND (60 * 60)          /* seconds that a run looks back that remembers nothing */
#define LONGEST (24 * 60 * 60)     /* ... and one that does, at most */
#define WORDS 60                   /* seconds that the last words may come before the death is told */
#define AGREE 10                   /* seconds that two lines, or two logs, about one death may be apart */
#define DEATHS_MAX 10000           /* kept of one run, and as many last words; lines of a flood beyond are not */

struct damaged {
	char *id, *spool;
	const char *finding;
	enum impact impact;
};

static void damaged_free(void *p)
{
	struct damaged *d = p;

	g_free(d->id);
	g_free(d->spool);
	g_free(d);
}

static void incident_free(void *p)
{
	struct incident *i = p;

	g_free(i->daemon);
	g_free(i->said);
	g_free(i->source);
	g_free(i->id);
	g_free(i->spool);
	g_free(i);
}

struct incidents *incidents_new(void)
{
	struct incidents *in = g_new0(struct incidents, 1);

	in->all = g_ptr_array_new_with_free_func(incident_free);
	in->spools = g_ptr_array_new();
	in->damaged = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, damaged_free);
	in->now = time(NULL);
	return in;
}

void incidents_free(struct incidents *in)
{
	g_ptr_array_free(in->all, TRUE);
	g_ptr_array_free(in->spools, TRUE);
	g_hash_table_destroy(in->damaged);
	g_free(in);
}

/* --- Scans ------------------------------------------------------------------------ */

static char *key_of(const struct format *format, const char *id)
{
	return g_strjoin("\n", format->name, id, NULL);
}

void incidents_scan(struct incidents *in, const struct scan *scan)
{
	in->scanned |= 1u << scan->spool->format_index;
	in->of_host |= scan->spool->of_host;
	g_ptr_array_add(in->spools, scan->spool);
	for (guint i = 0; i < scan->outcomes->len; i++) {
		const struct outcome *o = scan->outcomes->pdata[i];
		struct damaged *d;

		if (o->id == NULL || o->verdict != VERDICT_CORRUPT)
			continue;
		d = g_new0(struct damaged, 1);
		d->id = g_strdup(o->id);
		d->spool = g_strdup(scan->spool->path);
		d->finding = finding_def(outcome_worst(o)->id)->name;
		d->impact = o->impact;
		g_hash_table_replace(in->damaged, key_of(scan->spool->format, o->id), d);
	}
}

/* --- Lines ------------------------------------------------------------------------ */

/* Deaths, or last words, as lines come. */
struct said {
	GHashTable *by_process; /* FORMAT LF PID -> GPtrArray of struct one: numbers come again */
	guint count;
};

struct collection {
	struct incidents *in;
	gint64 since;          /* lines before are old; 0 = none is */
	struct said deaths, words;
};

struct one {
	struct death death;
	gint64 time;           /* seconds since 1970, 0 = not known */
	char *source;
};

static void one_free(void *p)
{
	struct one *o = p;

	g_free(o->source);
	g_free(o);
}

static void said_begin(struct said *s)
{
	s->by_process = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
	s->count = 0;
}

/* All of this death's process: those of different processes without a number are taken for one's. NULL = none. */
static GPtrArray *said_of(const struct said *s, const struct death *d)
{
	g_autofree char *key = g_strdup_printf("%s\n%" PRIu64, d->format, d->pid);

	return g_hash_table_lookup(s->by_process, key);
}

/* Take it in, unless it was told already. */
static bool said_add(struct said *s, struct one *o)
{
	GPtrArray *all = said_of(s, &o->death);

	if (s->count >= DEATHS_MAX)
		return false;
	for (guint i = 0; all != NULL && i < all->len; i++) {
		const struct one *other = all->pdata[i];

		if (ABS(o->time - other->time) <= AGREE)
			return false;
	}
	if (all == NULL) {
		all = g_ptr_array_new_with_free_func(one_free);
		g_hash_table_insert(s->by_process, g_strdup_printf("%s\n%" PRIu64, o->death.format, o->death.pid), all);
	}
	g_ptr_array_add(all, o);
	s->count++;
	return true;
}

static const struct format *scanned_format(const struct incidents *in, const char *name)
{
	int index = format_by_name(name, strlen(name));

	return index >= 0 && in->scanned & 1u << index ? formats[index] : NULL;
}

/* 0 = not known. A line without a year is of the last twelve months. */
static gint64 seconds_of(const struct log_time *t, gint64 now)
{
	time_t today = (time_t)now;
	struct tm tm, local;
	time_t when;

	if (!t->known || t->epoch)
		return t->seconds;
	localtime_r(&today, &local);
	for (int back = 0; back < 2; back++) {
		tm = (struct tm){ .tm_year = t->year != 0 ? t->year - 1900 : local.tm_year - back,
				  .tm_mon = t->month - 1, .tm_mday = t->day, .tm_hour = t->hour,
				  .tm_min = t->minute, .tm_sec = t->second, .tm_isdst = -1 };
		when = t->zoned ? timegm(&tm) - t->zone : mktime(&tm);
		if (t->year != 0 || when <= today + 86400)
			return when;
	}
	return 0;
}

static void on_line(void *arg, const char *source, const uint8_t *line, size_t len, bool old)
{
	struct collection *c = arg;
	struct one *o = g_new0(struct one, 1);
	bool words;

	if (!daemonlog_line(line, len, &o->death) || scanned_format(c->in, o->death.format) == NULL) {
		g_free(o);
		return;
	}
	words = o->death.kind == DEATH_SAID;
	o->time = seconds_of(&o->death.time, c->in->now);
	o->source = g_strdup(source);
	if ((old && !words) || o->time < c->since - (words ? WORDS : 0) || !said_add(words ? &c->words : &c->deaths, o))
		one_free(o);
}

/* --- Incidents ---------------------------------------------------------------------- */

static char *string_of(const struct text *t)
{
	return g_strndup((const char *)t->bytes, t->len);
}

/* The newest of `all` that may be last words before this death; NULL = none. */
static const struct one *newest(const GPtrArray *all, const struct one *death)
{
	const struct one *found = NULL;

	for (guint i = 0; all != NULL && i < all->len; i++) {
		const struct one *o = all->pdata[i];

		if (o->time <= death->time + AGREE && o->time + WORDS >= death->time &&
		    (found == NULL || o->time > found->time))
			found = o;
	}
	return found;
}

/* The death's own last words, or, where another process of the server has them (smtpd), the newest. */
static const struct one *words_of(const struct collection *c, const struct one *death)
{
	const struct one *words = newest(said_of(&c->words, &death->death), death);
	GHashTableIter iter;
	void *all;

	if (words != NULL || death->death.said.len == 0 || strcmp(death->death.format, "opensmtpd") != 0)
		return words;
	g_hash_table_iter_init(&iter, c->words.by_process);
	while (g_hash_table_iter_next(&iter, NULL, &all)) {
		const struct one *other = newest(all, death);

		if (other != NULL && strcmp(other->death.format, death->death.format) == 0 &&
		    (words == NULL || other->time > words->time))
			words = other;
	}
	return words;
}

static struct incident *incident_of(struct incidents *in, const struct death *d)
{
	const struct format *format = scanned_format(in, d->format);
	g_autofree char *daemon = string_of(&d->daemon);
	struct incident *i;

	for (guint n = 0; n < in->all->len; n++) {
		i = in->all->pdata[n];
		if (i->format == format && strcmp(i->daemon, daemon) == 0)
			return i;
	}
	i = g_new0(struct incident, 1);
	i->format = format;
	i->daemon = g_steal_pointer(&daemon);
	i->said = g_strdup("");
	g_ptr_array_add(in->all, i);
	return i;
}

static void add_death(struct collection *c, const struct one *o)
{
	const struct one *words = words_of(c, o);
	struct incident *i = incident_of(c->in, &o->death);
	const struct text *id = o->death.id.len > 0 || words == NULL ? &o->death.id : &words->death.id;
	const struct text *said = words != NULL ? &words->death.said : &o->death.said;

	i->deaths++;
	i->crashed |= o->death.kind == DEATH_CRASH;
	if (o->death.signal != 0)
		i->signal = o->death.signal;
	if (i->source == NULL || o->time >= i->last) {
		i->last = o->time;
		g_free(i->source);
		i->source = g_strdup(o->source);
		if (said->len > 0) {
			g_free(i->said);
			i->said = string_of(said);
		}
		if (id->len > 0) {
			g_free(i->id);
			i->id = string_of(id);
			i->by_log = true;
		}
	}
}

static bool is_queued(const struct incidents *in, const struct incident *i)
{
	for (guint n = 0; n < in->spools->len; n++) {
		const struct spool *spool = in->spools->pdata[n];
		struct outcome *o = spool->format == i->format ? spool_locate(spool, i->id) : NULL;

		if (o == NULL)
			continue;
		outcome_free(o);
		return true;
	}
	return false;
}

/* The message: what the log names, else what the scan has found that stops this server. */
static void name_message(struct incidents *in, struct incident *i)
{
	g_autofree char *key = i->id != NULL ? key_of(i->format, i->id) : NULL;
	const struct damaged *found = key != NULL ? g_hash_table_lookup(in->damaged, key) : NULL;
	g_autofree char *prefix = g_strconcat(i->format->name, "\n", NULL);
	GHashTableIter iter;
	void *k, *value;

	g_hash_table_iter_init(&iter, in->damaged);
	while (i->id == NULL && g_hash_table_iter_next(&iter, &k, &value)) {
		const struct damaged *d = value;

		if (!g_str_has_prefix(k, prefix) || d->impact != IMPACT_SERVER_STOPS)
			continue;
		i->others += found != NULL;
		if (found == NULL || strcmp(d->id, found->id) < 0)
			found = d;
	}
	if (found == NULL) {
		i->gone = i->id != NULL && !is_queued(in, i);
		return;
	}
	if (i->id == NULL)
		i->id = g_strdup(found->id);
	i->spool = g_strdup(found->spool);
	i->finding = found->finding;
}

static int by_deaths(gconstpointer a, gconstpointer b)
{
	const struct incident *x = *(struct incident *const *)a, *y = *(struct incident *const *)b;

	return x->deaths != y->deaths ? (x->deaths < y->deaths ? 1 : -1) : strcmp(x->daemon, y->daemon);
}

bool incident_repeats(const struct incident *i)
{
	return i->crashed || i->deaths > 1;
}

guint64 incidents_deaths(const struct incidents *in, const struct format *format)
{
	guint64 deaths = 0;

	for (guint n = 0; n < in->all->len; n++) {
		const struct incident *i = in->all->pdata[n];

		deaths += i->format == format ? i->deaths : 0;
	}
	return deaths;
}

/* --- Logs --------------------------------------------------------------------------- */

/* Where Debian's servers and syslog daemons, and other systems', write. Exim's panic log may be all that it writes to a file;
 * qmail's is where its supervisor puts it, which has no usual place but some common ones. */
static const char *const usual[] = {
	"/var/log/mail.log", "/var/log/maillog",
	"/var/log/exim4/mainlog", "/var/log/exim4/paniclog", "/var/log/exim/mainlog", "/var/log/exim/paniclog",
	"/var/log/exim/main.log", "/var/log/exim/panic.log",
	"/var/log/qmail/current", "/var/log/qmail/send/current", "/var/log/qmail/qmail-send/current", NULL
};

struct look {
	struct collection c;
	const struct log_memory *memory;
	void (*failed)(void *arg, const char *log, const char *error);
	void *arg;
};

static void look_at_file(struct look *l, const char *path, bool named)
{
	g_autofree char *key = g_strconcat("log ", path, NULL);
	const char *position = l->memory != NULL ? l->memory->recall(key) : NULL;
	g_autofree char *next = NULL;
	int ret;

	/* Behind the position all is new, whatever its time says. */
	l->c.since = position != NULL ? 0 : l->c.in->now - BY_HAND;
	ret = maillog_file(path, position, on_line, &l->c, &next);
	if (next != NULL && l->memory != NULL)
		l->memory->remember(key, next);
	l->c.in->looked |= ret == 0;
	if (ret < 0 && named)
		l->failed(l->arg, path, ret == -EINVAL ? "no file that can be read as a log" : g_strerror(-ret));
}

static void look_at_journal(struct look *l)
{
	static const char key[] = "log journal";
	const char *last = l->memory != NULL ? l->memory->recall(key) : NULL;
	gint64 now = l->c.in->now, since = last != NULL ? g_ascii_strtoll(last, NULL, 10) : now - BY_HAND;
	g_autofree char *next = g_strdup_printf("%" G_GINT64_FORMAT, now);

	since = CLAMP(since, now - LONGEST, now);
	l->c.since = since;
	/* By hand also what is logged in this second; a run that remembers leaves that to the next. */
	if (!maillog_journal(since - WORDS, l->memory != NULL ? now : now + 2, on_line, &l->c)) {
		l->failed(l->arg, "journal", "journalctl does not answer in time");
		return;
	}
	l->c.in->looked = true;
	if (l->memory != NULL)
		l->memory->remember(key, next);
}

static void look_at(struct look *l, const char *word)
{
	if (strcmp(word, "journal") == 0) {
		look_at_journal(l);
	} else if (strcmp(word, "auto") == 0) {
		for (unsigned i = 0; l->c.in->of_host && usual[i] != NULL; i++)
			look_at_file(l, usual[i], false);
		if (l->c.in->of_host && maillog_has_journal())
			look_at_journal(l);
	} else if (strcmp(word, "none") != 0) {
		look_at_file(l, word, true);
	}
}

void incidents_look(struct incidents *in, char *const *logs, const struct log_memory *memory,
		    void (*failed)(void *arg, const char *log, const char *error), void *arg)
{
	struct look l = { .c.in = in, .memory = memory, .failed = failed, .arg = arg };
	GHashTableIter iter;
	void *value;

	in->now = time(NULL);
	in->since = in->now - BY_HAND;
	said_begin(&l.c.deaths);
	said_begin(&l.c.words);
	for (; logs != NULL && *logs != NULL; logs++)
		look_at(&l, *logs);
	g_hash_table_iter_init(&iter, l.c.deaths.by_process);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const GPtrArray *all = value;

		for (guint i = 0; i < all->len; i++)
			add_death(&l.c, all->pdata[i]);
	}
	for (guint n = 0; n < in->all->len; n++)
		name_message(in, in->all->pdata[n]);
	g_ptr_array_sort(in->all, by_deaths);
	g_hash_table_destroy(l.c.deaths.by_process);
	g_hash_table_destroy(l.c.words.by_process);
}
