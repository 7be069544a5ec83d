/*
 * exim_value.c - what the lines of an Exim -H file may hold
 *
 * ex_next() says whether Exim can read a line; here is what it makes of it, and
 * what its writer would never have written. An option that nobody knows is
 * nothing: all releases ignore it, so that a newer one can be backed out.
 */
#include "exim.h"

/* --- The four fixed lines -------------------------------------------------- */

/* 4.97 and later take a line of the right length that begins like a short id. */
static bool id_enough(const struct ex_work *x, const struct ex_item *it)
{
	size_t len = cur_left(&it->line) + !it->nul;
	const uint8_t *p = cur_view(&it->line, EX_OLD_ID + 2);

	return x->m->id_len == EX_NEW_ID && (len == EX_OLD_ID + 3 || len == EX_NEW_ID + 3) &&
	       p != NULL && memcmp(p, x->m->id, EX_OLD_ID + 2) == 0;
}

static bool id_line(const struct ex_work *x, const struct ex_item *it)
{
	struct cur line = it->line, id;
	struct finding *f;

	id = cur_sub(&line, cur_left(&line) > 2 ? cur_left(&line) - 2 : 0);
	if (cur_left(&id) == x->m->id_len && ex_is(&line, "-H")) {
		const uint8_t *p = cur_view(&id, x->m->id_len);

		if (p != NULL && memcmp(p, x->m->id, x->m->id_len) == 0)
			return true;
	}
	f = ex_note(x, F_EXIM_FIRST_LINE, EX_HEAD, it->off, it->len);
	text_bytes(&f->expected, (const uint8_t *)x->m->id, x->m->id_len);
	text_str(&f->expected, "-H");
	ex_say(&f->found, it->line);
	if (id_enough(x, it)) {
		f->severity = SEV_SUSPECT;
		f->impact = IMPACT_NONE;
		return true;
	}
	return false;
}

/* A number at the end of `c`, with the blank before it: taken off from the right. */
static bool pop_number(struct cur *c)
{
	int ch = ex_pop(c);

	if (!ex_digit(ch))
		return false;
	while (ex_digit(ch) || ch == '-')
		ch = ex_pop(c);
	return ch == ' ';
}

/* login uid gid, read from the right: a login may hold blanks. */
static bool user_line(const struct ex_work *x, const struct ex_item *it)
{
	struct cur c = it->line, old = c;
	struct finding *f;
	int ch;

	do {
		old = c;
		ch = ex_pop(&c);
	} while (ex_blank(ch));
	c = old;
	if (pop_number(&c) && pop_number(&c))
		return true;
	f = ex_note(x, F_EXIM_USER_LINE, EX_HEAD, it->off, it->len);
	text_str(&f->expected, "login uid gid");
	ex_say(&f->found, it->line);
	return false;
}

static bool sender_line(const struct ex_work *x, const struct ex_item *it)
{
	struct cur c = it->line;
	struct report *r = x->r;
	struct finding *f;
	size_t n;

	if (cur_left(&c) >= 2 && cur_u8(&c) == '<' && ex_pop(&c) == '>') {
		n = cur_left(&c) < ADDRESS_MAX ? cur_left(&c) : ADDRESS_MAX;
		r->has_sender = true;
		r->sender_len = (uint16_t)n;
		cur_copy(&c, r->sender, n);
		return true;
	}
	f = ex_note(x, F_EXIM_SENDER_LINE, EX_HEAD, it->off, it->len);
	text_str(&f->expected, "<address> or <>");
	ex_say(&f->found, it->line);
	return false;
}

static bool time_line(const struct ex_work *x, const struct ex_item *it)
{
	struct cur c = it->line;
	int64_t sec, warnings, of_id = 0;
	struct finding *f;
	bool good = ex_number(&c, &sec);

	if (!good || !ex_number(&c, &warnings)) {
		f = ex_note(x, F_EXIM_TIME_LINE, EX_HEAD, it->off, it->len);
		text_str(&f->expected, "seconds since 1970, number of warnings");
		ex_say(&f->found, it->line);
		return false;
	}
	if (cur_left(&c) > 0 || sec < 0) {
		f = ex_note_as(x, F_EXIM_TIME_LINE, EX_HEAD, it->off, it->len, SEV_SUSPECT,
			       IMPACT_NONE);
		text_str(&f->expected, "seconds since 1970, number of warnings, nothing else");
		ex_say(&f->found, it->line);
	}
	x->r->has_arrival = true;
	x->r->arrival = sec;
	if (ex_id_time(x->m->id, x->m->id_len, &of_id) && (sec < of_id - 1 || sec > of_id + 1)) {
		bool far = sec < of_id - 86400 || sec > of_id + 86400;

		f = ex_note_as(x, F_EXIM_TIME_ID, EX_HEAD, it->off, it->len,
			       far ? SEV_SUSPECT : SEV_NOTICE,
			       far ? IMPACT_SERVER_DELETES : IMPACT_NONE);
		text_i64(&f->expected, of_id);
		text_i64(&f->found, sec);
	}
	return true;
}

/* --- Options ------------------------------------------------------------------ */

static struct finding *option(const struct ex_work *x, enum finding_id id, const struct ex_item *it,
			      const struct ex_words *w)
{
	struct finding *f = ex_note(x, id, EX_HEAD, it->off, it->len);

	text_str(&f->field, "option ");
	ex_say(&f->field, w->name);
	ex_say(&f->found, it->line);
	return f;
}

/* An odd number of backslashes at the end: the reader of up to 4.92.1 went beyond. */
static bool open_escape(struct cur value)
{
	unsigned n = 0;

	while (ex_pop(&value) == '\\')
		n++;
	return n % 2 == 1;
}

/* "[ADDRESS]:PORT", or as releases before 4.20 wrote it: "ADDRESS.PORT". */
static bool address_ok(struct cur value)
{
	struct cur all = value;
	int64_t port;
	int ch;

	if (cur_peek(&value) == '[') {
		struct cur host;

		cur_skip(&value, 1);
		host = ex_until(&value, ']');
		return cur_left(&host) > 0 && cur_u8(&value) == ':' &&
		       ex_all_digits(value, &port) && port <= UINT16_MAX;
	}
	do
		ch = ex_pop(&value);
	while (ex_digit(ch));
	if (ch != '.' || cur_left(&value) == 0)
		return false;
	cur_skip(&all, cur_left(&value) + 1);
	return ex_all_digits(all, &port) && port <= UINT16_MAX;
}

/* No blank, or nothing behind it. Of a letter that is not there Exim counts on, and writes a zero byte
 * that it refuses to read. */
static void option_lacks(const struct ex_work *x, const struct ex_item *it, const struct ex_words *w)
{
	bool letter = ex_options[w->known].shape == EX_LETTER;
	bool none = !w->has_value || (letter && cur_left(&w->value) == 0);
	struct finding *f;

	if (!none && !w->glued)
		return;
	f = option(x, F_EXIM_OPTION_VALUE, it, w);
	text_str(&f->expected, "a blank and a value");
	/* What lies behind the line in memory goes into the next -H, line ends and all. */
	if (none)
		f->impact = x->k->held ? IMPACT_NONE : IMPACT_SERVER_DELETES;
}

static void option_value(const struct ex_work *x, const struct ex_item *it, const struct ex_words *w)
{
	const struct ex_option *o = &ex_options[w->known];
	bool read_on = o->shape == EX_BARE || o->shape == EX_LETTER || o->shape == EX_FROZEN_TIME;
	struct cur value = w->value;
	struct finding *f;
	int64_t number;

	switch (w->glued && !read_on ? (uint8_t)EX_TEXT : o->shape) {
	case EX_BARE:
		if (w->has_value && o->exact) {
			f = option(x, F_EXIM_OPTION_IGNORED, it, w);
			text_str(&f->expected, "the name alone");
		}
		return;
	case EX_ADDRESS:
		if (w->has_value && cur_left(&value) > 0 && !address_ok(value)) {
			f = option(x, F_EXIM_OPTION_ADDRESS, it, w);
			text_str(&f->expected, "[address]:port");
			return;
		}
		break;
	case EX_DEBUGLOG:
		if (w->has_value && cur_left(&value) == 0) {
			f = option(x, F_EXIM_OPTION_SHORT, it, w);
			text_str(&f->expected, "a name");
			if (ex_before(x, VERSION(4, 96, 0))) /* not known to them */
				f->severity = SEV_NOTICE, f->impact = IMPACT_NONE;
			return;
		}
		break;
	case EX_FROZEN_TIME:
		if (!ex_number(&value, &number)) {
			f = option(x, F_EXIM_FROZEN_TIME, it, w);
			text_str(&f->expected, "seconds since 1970");
		} else if (!x->k->held) {
			ex_note(x, F_EXIM_FROZEN, EX_HEAD, it->off, it->len);
		}
		return;
	case EX_ESCAPED:
		if (open_escape(value)) {
			f = option(x, F_EXIM_TLS_BACKSLASH, it, w);
			text_str(&f->expected, "a character behind the backslash");
			if (x->m->site.version >= VERSION(4, 92, 2))
				f->severity = SEV_SUSPECT, f->impact = IMPACT_NONE;
			return;
		}
		break;
	case EX_NUMBER:
		if (w->has_value && ex_all_digits(value, &number))
			return;
		f = option(x, F_EXIM_OPTION_VALUE, it, w);
		text_str(&f->expected, "a number");
		return;
	default:
		break;
	}
	option_lacks(x, it, w);
}

/* What the check of -D needs. The last one counts, as in Exim. */
static void remember(struct ex_check *k, const struct ex_words *w)
{
	struct cur value = w->value;
	int64_t number = 0;

	ex_number(&value, &number);
	if (ex_is(&w->name, "spool_file_wireformat"))
		k->wire = true;
	if (ex_is(&w->name, "body_zerocount"))
		k->zeros = number;
	if (ex_is(&w->name, "body_linecount") && w->has_value) {
		k->has_lines = true;
		k->lines = number;
	}
	if (ex_is(&w->name, "max_received_linelength") && w->has_value) {
		k->has_longest = true;
		k->longest = number;
	}
}

/* Lookup types that quote, of all releases. */
static bool known_quoter(const struct cur *name)
{
	static const char *const names[] = {
		"cdb", "dbm", "dbmjz", "dbmnz", "dnsdb", "dsearch", "ibase", "iplsearch", "json",
		"ldap", "ldapauth", "ldapdn", "ldapm", "lmdb", "lsearch", "mysql", "nis", "nis0",
		"nisplus", "nwildlsearch", "oracle", "passwd", "pgsql", "psl", "readsock", "redis",
		"spf", "sqlite", "testdb", "whoson", "wildlsearch",
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (ex_is(name, names[i]))
			return true;
	return false;
}

/* --(TYPE)name: 4.96 and later refuse what they do not know. */
static bool quoter(const struct ex_work *x, const struct ex_item *it, const struct ex_words *w)
{
	uint32_t version = x->m->site.version;
	bool tested = version >= VERSION(4, 96, 0) && version < VERSION(4, 99, 0);
	struct finding *f;

	if (!w->quoted || ex_before(x, VERSION(4, 96, 0)) || known_quoter(&w->quoter))
		return true;
	f = ex_note_as(x, F_EXIM_OPTION_QUOTER, EX_HEAD, it->off, it->len,
		       tested ? SEV_CORRUPT : SEV_SUSPECT,
		       x->k->held ? IMPACT_NONE : IMPACT_SERVER_DELETES);
	text_str(&f->expected, "a lookup type of Exim");
	ex_say(&f->found, w->quoter);
	return false;
}

static void option_line(const struct ex_work *x, const struct ex_item *it)
{
	struct ex_words w;
	struct finding *f;

	ex_option_words(it, &w);
	if (w.open) {
		f = ex_note(x, F_EXIM_OPTION_QUOTER, EX_HEAD, it->off, it->len);
		text_str(&f->expected, ")");
		ex_say(&f->found, it->line);
		if (ex_before(x, VERSION(4, 96, 0))) /* they ignore it */
			f->severity = SEV_SUSPECT, f->impact = IMPACT_NONE;
		return;
	}
	if (!quoter(x, it, &w) || w.known < 0)
		return;
	remember(x->k, &w);
	if ((x->k->seen_options >> w.known & 1) != 0)
		option(x, F_EXIM_OPTION_TWICE, it, &w);
	x->k->seen_options |= UINT64_C(1) << w.known;
	option_value(x, it, &w);
}

static void acl_line(const struct ex_work *x, const struct ex_item *it)
{
	struct cur data = it->data;
	struct ex_words w;
	struct finding *f;
	int64_t index;

	ex_option_words(it, &w);
	if (ex_is(&w.name, "acl") && (!ex_number(&w.value, &index) || cur_peek(&w.value) != ' ' ||
				      index < 0 || index >= 20 || it->number > 16384)) {
		f = ex_note(x, F_EXIM_ACL_LENGTH, EX_HEAD, it->off, it->len);
		text_str(&f->expected, "a number below 20, and at most 16384 bytes");
		ex_say(&f->found, it->line);
		f->impact = x->k->held ? IMPACT_NONE : IMPACT_SERVER_DELETES;
	}
	if (!it->closed) {
		f = ex_note(x, F_EXIM_ACL_END, EX_HEAD, it->off, it->len);
		text_str(&f->field, "ACL variable");
		text_str(&f->expected, "a line end after ");
		text_i64(&f->expected, it->number);
		text_str(&f->expected, " bytes");
	}
	if (cur_find(&data, 0) < cur_left(&data)) {
		uint64_t at = cur_offset(&data) + cur_find(&data, 0);

		f = ex_note_as(x, F_EXIM_NUL, EX_HEAD, at, 1, SEV_CORRUPT,
			       x->k->held ? IMPACT_NONE : IMPACT_DAMAGED_DELIVERY);
		text_str(&f->field, "ACL variable");
	}
}

/* --- The tree ------------------------------------------------------------------ */

static void node_line(const struct ex_work *x, const struct ex_item *it)
{
	struct ex_check *k = x->k;
	struct cur c = it->line;
	int left = cur_u8(&c), right = cur_u8(&c), gap = cur_u8(&c);
	struct finding *f;

	if (k->tree.nodes == 0)
		k->tree_off = it->off;
	k->tree_end = it->off + it->len;
	if ((left != 'Y' && left != 'N') || (right != 'Y' && right != 'N') || gap != ' ') {
		f = ex_note(x, F_EXIM_TREE_LINE, EX_HEAD, it->off, it->len);
		f->severity = SEV_SUSPECT; /* others than Y are read as N, and it may fit */
		f->impact = IMPACT_DAMAGED_DELIVERY;
		text_str(&f->expected, "YY, YN, NY or NN, a blank and an address");
		ex_say(&f->found, it->line);
	}
	ex_tree_node(x, it);
}

/* --- Header lines ------------------------------------------------------------------ */

/* "name:", and inner lines that go on with a blank. */
static bool shaped(struct cur text)
{
	bool any = false;
	int ch;

	for (ch = cur_peek(&text); ch >= 33 && ch <= 126 && ch != ':'; ch = cur_peek(&text)) {
		cur_skip(&text, 1);
		any = true;
	}
	while (cur_peek(&text) == ' ' || cur_peek(&text) == '\t')
		cur_skip(&text, 1);
	if (!any || cur_peek(&text) != ':')
		return false;
	for (;;) {
		cur_skip(&text, cur_find(&text, '\n'));
		if (cur_left(&text) <= 1)
			return true;
		cur_skip(&text, 1);
		if (cur_peek(&text) != ' ' && cur_peek(&text) != '\t')
			return false;
	}
}

static bool known_type(uint8_t type)
{
	static const uint8_t types[] = " *BCFIPRST";

	return memchr(types, type, sizeof types - 1) != NULL;
}

static void header_line(const struct ex_work *x, const struct ex_item *it)
{
	const struct part *p = &x->m->parts[EX_HEAD];
	bool more = it->off + it->len < p->size;
	struct cur text = it->line;
	struct finding *f;
	bool ended;

	if (it->type == 'P')
		x->k->received++;
	ended = ex_pop(&text) == '\n';
	if (!ended || !shaped(it->line)) {
		bool cut = !ended && more;

		f = ex_note_as(x, F_EXIM_HEADER_TEXT, EX_HEAD, it->off, it->len,
			       cut ? SEV_CORRUPT : SEV_SUSPECT,
			       x->k->held ? IMPACT_NONE : IMPACT_DAMAGED_DELIVERY);
		text_str(&f->expected, ended ? "name: value, each further line with a blank in front"
					     : "a line end as the last of ");
		if (!ended)
			text_i64(&f->expected, it->number);
		ex_say(&f->found, it->line);
	}
	if (it->digits < 3 || !known_type(it->type) || it->blanks != 1) {
		f = ex_note(x, F_EXIM_HEADER_TYPE, EX_HEAD, it->off, it->len);
		text_str(&f->expected, "three digits, a letter or blank that Exim writes, one blank");
		ex_say(&f->found, it->line);
	}
}

/* --- All of them ---------------------------------------------------------------- */

bool ex_value(const struct ex_work *x, const struct ex_item *it)
{
	/* Up to 4.94.1 a recipient's line was cut, and its rest read as further lines (CVE-2020-28026). */
	bool cut = it->kind == EX_RECIPIENT && ex_before(x, VERSION(4, 94, 2));
	bool fixed = cut || it->kind < EX_OPTION || (it->kind > EX_ACL && it->kind < EX_RECIPIENT);

	if (it->nul) /* the reader goes on with what is before it */
		ex_note_as(x, F_EXIM_NUL, EX_HEAD, it->nul_at, 1, SEV_CORRUPT,
			   x->k->held ? IMPACT_NONE : IMPACT_DAMAGED_DELIVERY);
	if (fixed && it->len > EX_LINE_SURE) {
		struct finding *f = ex_note_as(x, F_EXIM_LINE_LENGTH, EX_HEAD, it->off, it->len,
					       SEV_SUSPECT, IMPACT_SERVER_DELETES);

		text_str(&f->expected, "at most ");
		text_u64(&f->expected, EX_LINE_SURE);
		text_u64(&f->found, it->len);
	}
	switch (it->kind) {
	case EX_ID:
		return id_line(x, it);
	case EX_USER:
		return user_line(x, it);
	case EX_SENDER:
		return sender_line(x, it);
	case EX_TIME:
		return time_line(x, it);
	case EX_OPTION:
		option_line(x, it);
		break;
	case EX_ACL:
		acl_line(x, it);
		break;
	case EX_NODE:
		node_line(x, it);
		break;
	case EX_COUNT:
		ex_recipient_count(x, it);
		break;
	case EX_RECIPIENT:
		ex_recipient_line(x, it);
		break;
	case EX_HEADER:
		header_line(x, it);
		break;
	default:
		break;
	}
	return true;
}
