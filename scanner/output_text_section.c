/*
 * output_text_section.c - many messages: sections by what the server does, groups by what is wrong
 *
 * Three hundred messages with one and the same damage are one thing to know and not three hundred: the first is told
 * in full, the others by their first lines, and of very many only the count. JSON has all.
 */
#include "config.h"

#include "output_text.h"

#include "print.h"
#include "progress.h"

#include <stdio.h>
#include <string.h>

#define ALIKE_IN_FULL 3 /* so many of one kind are told in full, each ... */
#define ALIKE_HEADS 5   /* ... of more only one, and so many by their first lines */
#define GROUPS_SHOWN 20 /* per section */

struct section {
	const char *title;
	const char *colour;
	enum verdict verdict;
	int impact; /* enum impact, -1 = any, INSIDE = not looked into, sound else */
};

#define INSIDE -2
#define STOPS 1 /* its section */

static const struct section sections[] = {
	{ "NOT CHECKED", RED, VERDICT_UNCHECKED, -1 },
	[STOPS] = { "STOPS THE SERVICE", RED, VERDICT_CORRUPT, IMPACT_SERVER_STOPS },
	{ "NOT LOOKED INTO", RED, VERDICT_OK, INSIDE },
	{ "THE SERVER DELETES IT OR PUTS IT ASIDE, UNSENT", RED, VERDICT_CORRUPT,
	  IMPACT_SERVER_DELETES },
	{ "STAYS FOR EVER, SILENTLY", RED, VERDICT_CORRUPT, IMPACT_STRANDED },
	{ "DAMAGED, SERVICE RUNS", RED, VERDICT_CORRUPT, IMPACT_DAMAGED_DELIVERY },
	{ "DAMAGED, NOT IN USE", RED, VERDICT_CORRUPT, IMPACT_NONE },
	{ "SUSPECT", YELLOW, VERDICT_SUSPECT, -1 },
	{ "NO QUEUE FILE", YELLOW, VERDICT_FOREIGN, -1 },
	{ "CHANGED WHILE IT WAS READ", YELLOW, VERDICT_CHANGED, -1 },
	{ "NOTED", "", VERDICT_NOTED, -1 },
};

static bool in_section(const struct section *s, const struct outcome *o)
{
	if (o->deep_unchecked && o->verdict <= VERDICT_NOTED)
		return s->impact == INSIDE;
	return s->impact != INSIDE && o->verdict == s->verdict && (s->impact < 0 || o->impact == (enum impact)s->impact);
}

/* --- Groups ---------------------------------------------------------------------- */

/* Messages of one section with the same worst finding and the same fate. */
struct group {
	GPtrArray *fresh; /* struct outcome: to be told */
	GPtrArray *told;  /* ... told while the scan ran */
};

static void group_free(void *p)
{
	struct group *g = p;

	g_ptr_array_free(g->fresh, TRUE);
	g_ptr_array_free(g->told, TRUE);
	g_free(g);
}

/* Equal for messages of which one text can speak (g_free). */
static char *kind_of(const struct outcome *o)
{
	const struct finding *worst = outcome_worst(o);

	return g_strdup_printf("%d %d %d %d %d %s", worst != NULL ? worst->id : -1,
			       o->verdict == VERDICT_UNCHECKED ? (int)o->why : -1, o->error, o->action, o->accepted,
			       o->reason != NULL ? o->reason : "");
}

/* The groups of a section in the order of the report, g_ptr_array_free(). */
static GPtrArray *groups_of(const struct scan *scan, const struct section *s, guint *count_r)
{
	GPtrArray *groups = g_ptr_array_new_with_free_func(group_free);
	GHashTable *by_kind = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	*count_r = 0;
	for (guint i = 0; i < scan->outcomes->len; i++) {
		struct outcome *o = scan->outcomes->pdata[i];
		g_autofree char *kind = NULL;
		struct group *g;

		if (!in_section(s, o))
			continue;
		++*count_r;
		kind = kind_of(o);
		g = g_hash_table_lookup(by_kind, kind);
		if (g == NULL) {
			g = g_new(struct group, 1);
			*g = (struct group){ g_ptr_array_new(), g_ptr_array_new() };
			g_ptr_array_add(groups, g);
			g_hash_table_insert(by_kind, g_steal_pointer(&kind), g);
		}
		g_ptr_array_add(o->told ? g->told : g->fresh, o);
	}
	g_hash_table_unref(by_kind);
	return groups;
}

/* "and 295 more" after those that have a line. */
static void put_heads(const struct scan *scan, const GPtrArray *list, guint from)
{
	guint shown = MIN(list->len, from + ALIKE_HEADS);

	if (list->len == shown + 1)
		shown++; /* a line that says "1 more" is no shorter */
	for (guint i = from; i < shown; i++)
		text_head(4, scan, list->pdata[i]);
	if (list->len > shown)
		printf("    and %u more; --format json names each\n", list->len - shown);
}

/* Those that were told already, when something has become of them since. */
static bool has_news(const struct group *g)
{
	const struct outcome *o = g->told->len > 0 ? g->told->pdata[0] : NULL;

	return o != NULL && (o->action == ACTION_MOVED || o->reason != NULL);
}

static void put_group(const struct scan *scan, const struct group *g)
{
	for (guint i = 0; i < g->told->len && has_news(g); i++) {
		const struct outcome *o = g->told->pdata[i];

		text_head(0, scan, o);
		text_action(o);
	}
	if (g->fresh->len == 0)
		return;
	if (g->told->len > 0) {
		const struct outcome *o = g->fresh->pdata[0];

		printf("  %u more with the same finding as above%s:\n", g->fresh->len,
		       o->action == ACTION_MOVED ? ", moved as well" : has_news(g) ? ", not moved either" : "");
		put_heads(scan, g->fresh, 0);
		return;
	}
	for (guint i = 0; i < (g->fresh->len > ALIKE_IN_FULL ? 1 : g->fresh->len); i++)
		text_message(scan, g->fresh->pdata[i], i > 0);
	if (g->fresh->len > ALIKE_IN_FULL) {
		printf("  %u more like this:\n", g->fresh->len - 1);
		put_heads(scan, g->fresh, 1);
	}
}

/* --- Sections --------------------------------------------------------------------- */

/* Has the group something to say? */
static bool speaks(const struct group *g)
{
	return g->fresh->len > 0 || has_news(g);
}

static void put_section(const struct scan *scan, const struct section *s)
{
	guint count, shown = 0, hidden = 0;
	GPtrArray *groups = groups_of(scan, s, &count);
	bool any = false;

	for (guint i = 0; i < groups->len; i++)
		any |= speaks(groups->pdata[i]);
	if (any)
		printf("\n%s%s (%u)%s\n", print_on(s->colour), s->title, count, print_on(PLAIN));
	for (guint i = 0; i < groups->len; i++) {
		const struct group *g = groups->pdata[i];

		if (!speaks(g))
			continue;
		if (shown++ < GROUPS_SHOWN)
			put_group(scan, g);
		else
			hidden += g->fresh->len;
	}
	if (hidden > 0)
		printf("and %u more, of other kinds: --format json shows all\n", hidden);
	g_ptr_array_free(groups, TRUE);
}

/* What was told while the scan runs. */
static struct live {
	const struct scan *of; /* NULL: nothing yet */
	unsigned last;         /* finding of the message above */
	guint told[F_COUNT];   /* messages that have it */
} live;

void text_sections(const struct scan *scan)
{
	for (size_t i = 0; i < G_N_ELEMENTS(sections); i++)
		put_section(scan, &sections[i]);
	live.of = NULL; /* the next scan may lie where this one did */
}

void text_urgent(const struct scan *scan, struct outcome *o)
{
	static const struct section *const s = &sections[STOPS];
	const unsigned id = outcome_worst(o)->id;

	if (live.of != scan) {
		progress_wipe();
		live = (struct live){ .of = scan, .last = F_COUNT };
		printf("\n%s%s%s\n", print_on(s->colour), s->title, print_on(PLAIN));
	}
	o->told = live.told[id]++ < ALIKE_IN_FULL;
	if (o->told) {
		progress_wipe();
		text_message(scan, o, live.last == id);
		live.last = id;
	}
	fflush(stdout);
}

/* --- Notices, and the queue itself --------------------------------------------------- */

void text_noted(const struct scan *scan)
{
	bool first = true;

	for (unsigned i = 0; i < F_COUNT; i++) {
		if (scan->noted[i] == 0)
			continue;
		if (first)
			printf("\nNOTED\n");
		first = false;
		print_words(0, "%" G_GUINT64_FORMAT " message%s: %s  [%s]", scan->noted[i],
			    scan->noted[i] == 1 ? "" : "s", finding_def(i)->text, finding_def(i)->name);
	}
}

#define CHART_LEAST 10 /* messages: fewer are seen at a glance */
#define BAR 40         /* columns of the longest */

static void put_ages(const guint64 *ages)
{
	unsigned first = AGES, last = 0;
	guint64 most = 1;

	for (unsigned i = 0; i < AGES; i++) {
		if (ages[i] == 0)
			continue;
		first = MIN(first, i);
		last = i;
		most = MAX(most, ages[i]);
	}
	printf("\nAGE OF THE MAIL\n");
	for (unsigned i = first; i <= last; i++) {
		/* whatever is there has a bar that is seen */
		int bar = (int)((ages[i] * BAR + most - 1) / most);
		char bars[BAR + 1];

		memset(bars, '#', sizeof bars);
		printf("  %-13s %10" G_GUINT64_FORMAT "%s%.*s\n", ages_name(i), ages[i], bar > 0 ? "  " : "", bar, bars);
	}
}

/* Places whose messages nobody delivers: whoever wonders where mail is should know. */
static void put_held(const struct scan *scan)
{
	const struct format *f = scan->spool->format;
	GString *line = g_string_new(NULL);

	for (unsigned p = 0; p < f->nplaces; p++)
		if (f->places[p].shelved != NULL && scan->placed[p] > 0)
			g_string_append_printf(line, "%s%" G_GUINT64_FORMAT " %s", line->len > 0 ? ", " : "",
					       scan->placed[p], f->places[p].shelved);
	if (line->len == 0) {
		g_string_free(line, TRUE);
		return;
	}
	g_string_prepend(line, "Not being delivered: ");
	g_string_append_c(line, '.');
	putchar('\n');
	print_line(0, line);
}

void text_queue(const struct scan *scan)
{
	guint64 count = 0;

	for (unsigned i = 0; i < AGES; i++)
		count += scan->tally.ages[i];
	if (count >= CHART_LEAST)
		put_ages(scan->tally.ages);
	put_held(scan);
}
