/*
 * opensmtpd_check.c - check(): an envelope, a body, a submission
 *
 * An envelope is given whole: OpenSMTPD reads it in one piece, too. Everything in it is judged
 * as the queue process does when it loads it: one line that it refuses and the envelope is
 * passed over. What it accepts and acts on wrongly is suspect.
 *
 * Of a body only the two ends are looked at, because any text is legal: OpenSMTPD writes a
 * Received line first and ends every line, so a beginning of zero bytes or an end without a
 * newline are traces of a crash.
 */
#include "opensmtpd.h"

#define DAY 86400

/* What the lines of an envelope say together. */
struct envelope {
	const struct message *m;
	struct report *r;
	unsigned part;               /* the file, or what it unpacks to */
	uint32_t seen;               /* bit by key */
	struct os_line line[OS_KEYS]; /* the last one counts */
	int64_t number[OS_KEYS];
	bool version_upper;          /* a version line that is not found by its name */
	bool broken;                 /* a line could not be read: which one is unknown */
};

static bool has(const struct envelope *e, unsigned key)
{
	return (e->seen >> key & 1) != 0;
}

static struct finding *note_line(struct envelope *e, enum finding_id id, const struct os_line *line)
{
	struct finding *f = report_add(e->r, id, e->part, line->off, line->len);

	os_say(&f->field, line->key);
	if (f->field.len > 0)
		text_str(&f->field, " line");
	return f;
}

static struct finding *note_value(struct envelope *e, enum finding_id id,
				  const struct os_line *line, const char *expected)
{
	struct finding *f = note_line(e, id, line);

	f->offset = cur_offset(&line->value);
	f->length = cur_left(&line->value);
	text_str(&f->expected, expected);
	os_say(&f->found, line->value);
	return f;
}

static void soften(struct finding *f, enum severity severity)
{
	f->severity = (uint8_t)severity;
}

/* --- Values ------------------------------------------------------------------- */

static void too_long(struct envelope *e, const struct os_line *line, const char *what,
		     uint64_t limit, uint64_t found, enum severity severity)
{
	struct finding *f = note_value(e, F_OPENSMTPD_TOO_LONG, line, what);

	text_u64(&f->expected, limit);
	text_str(&f->expected, " bytes");
	f->found.len = 0;
	text_u64(&f->found, found);
	soften(f, severity);
}

/* The limit depends on the C library, so between the smallest and the largest it is suspect. */
static void check_length(struct envelope *e, const struct os_key *key, const struct os_line *line)
{
	size_t n = cur_left(&line->value);

	if (n > key->limit)
		too_long(e, line, "at most ", key->limit, n,
			 n > key->limit_max ? SEV_CORRUPT : SEV_SUSPECT);
}

static void check_address(struct envelope *e, unsigned key, const struct os_line *line)
{
	struct os_address a = os_address(&line->value);

	check_length(e, &os_keys[key], line);
	if (a.user > OS_ADDRESS_PART)
		too_long(e, line, "a local part of at most ", OS_ADDRESS_PART, a.user, SEV_CORRUPT);
	else if (a.domain > OS_ADDRESS_PART)
		too_long(e, line, "a domain of at most ", OS_ADDRESS_PART, a.domain, SEV_CORRUPT);
	else if (key != OS_KEY_SENDER && (a.user == 0 || a.domain == 0))
		note_value(e, F_OPENSMTPD_ADDRESS, line, "user@domain");
	else if (key == OS_KEY_SENDER && (!a.at || (a.user == 0) != (a.domain == 0)))
		note_value(e, F_OPENSMTPD_ADDRESS, line, "user@domain, or @ alone");
}

static void check_sockaddr(struct envelope *e, const struct os_line *line)
{
	const char *expected = "local, an IPv4 address, or an IPv6 address in brackets";
	uint32_t version = e->m->site.version;

	switch (os_sockaddr(line->value)) {
	case OS_IP_BAD:
		note_value(e, F_OPENSMTPD_SOCKADDR, line, expected);
		break;
	case OS_IP_OLD:
		/* Read until 6.8. */
		if (version == 0)
			soften(note_value(e, F_OPENSMTPD_SOCKADDR, line, expected), SEV_SUSPECT);
		else if (version >= VERSION(7, 0, 0))
			note_value(e, F_OPENSMTPD_SOCKADDR, line, expected);
		break;
	case OS_IP_SCOPE:
		if (version != 0 && version < VERSION(7, 0, 0))
			note_value(e, F_OPENSMTPD_SOCKADDR, line, expected);
		break;
	case OS_IP_GOOD:
		break;
	}
}

static void check_value(struct envelope *e, unsigned key, const struct os_line *line)
{
	const struct os_key *k = &os_keys[key];

	switch ((enum os_value)k->value) {
	case OS_TEXT:
		check_length(e, k, line);
		break;
	case OS_NUMBER:
		if (!os_number(line->value, k->max, &e->number[key]))
			text_u64(&note_value(e, F_OPENSMTPD_NUMBER, line,
					     "a number from 0 to ")->expected, (uint64_t)k->max);
		break;
	case OS_ADDRESS:
		check_address(e, key, line);
		break;
	case OS_SOCKADDR:
		check_sockaddr(e, line);
		break;
	case OS_WORD:
		if (!os_word(line->value, k->words))
			text_str(&note_value(e, F_OPENSMTPD_WORD, line, "one of ")->expected, k->words);
		break;
	case OS_FLAGS:
		if (!os_flags(line->value, k->words))
			text_str(&note_value(e, F_OPENSMTPD_WORD, line, "some of ")->expected, k->words);
		break;
	}
}

/* --- Lines ---------------------------------------------------------------------- */

static void bad_line(struct envelope *e, const struct os_line *line)
{
	static const enum finding_id ids[] = {
		[OS_LINE_BLANK] = F_OPENSMTPD_LINE,
		[OS_LINE_NUL] = F_OPENSMTPD_NUL,
		[OS_LINE_CUT] = F_OPENSMTPD_CUT,
		[OS_LINE_COLON] = F_OPENSMTPD_LINE,
		[OS_LINE_END_NUL] = F_OPENSMTPD_NUL,
	};
	struct finding *f = note_line(e, ids[line->state], line);

	if (line->state == OS_LINE_END_NUL)
		f->severity = SEV_SUSPECT;
	else
		e->broken = true;
	if (line->state == OS_LINE_BLANK)
		text_str(&f->found, "an empty line");
	if (line->state == OS_LINE_COLON)
		text_str(&f->expected, "key: value");
}

static void remember(struct envelope *e, unsigned key, const struct os_line *line)
{
	e->seen |= 1u << key;
	e->line[key] = *line;
}

static void good_line(struct envelope *e, const struct os_line *line)
{
	unsigned key = os_find_key(&line->key);
	uint32_t version = e->m->site.version;
	struct finding *f;

	if (key == OS_KEYS) {
		f = note_line(e, F_OPENSMTPD_KEY, line);
		os_say(&f->found, line->key);
		/* Refused by every version so far, but the next one may know it. */
		if (version == 0 || version >= VERSION(7, 9, 0))
			soften(f, SEV_SUSPECT);
		return;
	}
	if (key == OS_KEY_VERSION && !os_same(line->key, cur_make((const uint8_t *)"version", 7, 0))) {
		e->version_upper = true;
		return;
	}
	if (has(e, key)) {
		f = note_value(e, F_OPENSMTPD_KEY_TWICE, line, "one line; another at byte ");
		text_u64(&f->expected, e->line[key].off);
		/* Spelled alike, the last line counts; otherwise all do. */
		if (!os_same(line->key, e->line[key].key))
			check_value(e, key, &e->line[key]);
	}
	remember(e, key, line);
}

static void check_values(struct envelope *e)
{
	for (unsigned key = 0; key < OS_KEYS; key++)
		if (has(e, key))
			check_value(e, key, &e->line[key]);
}

/* --- All lines together ------------------------------------------------------------ */

static struct finding *note_key(struct envelope *e, enum finding_id id, unsigned key)
{
	struct finding *f = report_add(e->r, id, e->part, has(e, key) ? e->line[key].off : 0, 0);

	text_str(&f->field, os_keys[key].name);
	if (has(e, key)) {
		f->offset = cur_offset(&e->line[key].value);
		f->length = cur_left(&e->line[key].value);
		os_say(&f->found, e->line[key].value);
	}
	return f;
}

/* False: the rest of the file is of another time. */
static bool check_version(struct envelope *e)
{
	struct finding *f;

	if (has(e, OS_KEY_VERSION) && e->number[OS_KEY_VERSION] == OS_VERSION)
		return true;
	f = note_key(e, F_OPENSMTPD_VERSION, OS_KEY_VERSION);
	text_str(&f->expected, "3");
	if (!has(e, OS_KEY_VERSION) && e->version_upper)
		text_str(&f->found, "a key that is not in lower case");
	/* A version to come may count on. */
	if (e->number[OS_KEY_VERSION] > OS_VERSION &&
	    (e->m->site.version == 0 || e->m->site.version >= VERSION(7, 9, 0)))
		soften(f, SEV_SUSPECT);
	return false;
}

static void check_needed(struct envelope *e)
{
	static const uint8_t wished[] = { OS_KEY_TYPE, OS_KEY_SOCKADDR, OS_KEY_SENDER, OS_KEY_RCPT,
					  OS_KEY_DEST, OS_KEY_CTIME };

	for (unsigned key = 0; key < OS_KEYS; key++)
		if (os_keys[key].needed && key != OS_KEY_VERSION &&
		    (!has(e, key) || cur_left(&e->line[key].value) == 0))
			note_key(e, F_OPENSMTPD_NEEDED, key);
	for (size_t i = 0; i < sizeof wished; i++)
		if (!has(e, wished[i]))
			note_key(e, F_OPENSMTPD_MISSING, wished[i]);
}

/* mda-exec is a command that is run: in an envelope of another type somebody wrote it. */
static void check_agent(struct envelope *e)
{
	static const char *const types[] = { NULL, "mda", "bounce" };
	const struct cur *type = &e->line[OS_KEY_TYPE].value;

	if (!has(e, OS_KEY_TYPE) || !os_word(*type, os_keys[OS_KEY_TYPE].words))
		return;
	for (unsigned key = 0; key < OS_KEYS; key++)
		if (has(e, key) && os_keys[key].agent != OS_ANY_AGENT &&
		    !os_is(type, types[os_keys[key].agent]))
			text_str(&note_key(e, F_OPENSMTPD_AGENT, key)->expected,
				 os_keys[key].agent == OS_MDA ? "only in an envelope of type mda" :
								"only in an envelope of type bounce");
}

/* The action of smtpd.conf that the envelope was queued for: is it still there? */
static void check_dispatcher(struct envelope *e)
{
	const struct os_line *line = &e->line[OS_KEY_DISPATCHER];

	if (e->m->site.configured && has(e, OS_KEY_DISPATCHER) && cur_left(&line->value) > 0 &&
	    !os_is_action(&e->m->site, line->value))
		note_value(e, F_OPENSMTPD_DISPATCHER, line, "an action of smtpd.conf");
}

static void check_times(struct envelope *e)
{
	int64_t now = e->m->site.now, ctime = e->number[OS_KEY_CTIME];
	struct finding *f;

	if (has(e, OS_KEY_RETRY) && e->number[OS_KEY_RETRY] > OS_RETRY_ODD)
		note_key(e, F_OPENSMTPD_RETRY, OS_KEY_RETRY);
	if (!has(e, OS_KEY_CTIME) || now <= 0)
		return;
	if (ctime > now && ctime - now > OS_DELAY_MAX) {
		text_str(&note_key(e, F_OPENSMTPD_CTIME_FAR, OS_KEY_CTIME)->expected,
			 "a time that has passed");
	} else if (ctime == 0 || ctime > now + DAY) {
		f = note_key(e, F_OPENSMTPD_CTIME, OS_KEY_CTIME);
		text_str(&f->expected, "a time that has passed");
	}
}

/* --- Into the report --------------------------------------------------------------- */

static uint16_t put_address(uint8_t *to, struct cur value)
{
	size_t n = cur_left(&value);

	if (n > ADDRESS_MAX)
		n = ADDRESS_MAX;
	return cur_copy(&value, to, n) ? (uint16_t)n : 0;
}

static void put_envelope(struct envelope *e)
{
	struct report *r = e->r;
	struct cur at = e->line[OS_KEY_SENDER].value;
	unsigned to = has(e, OS_KEY_DEST) ? OS_KEY_DEST : OS_KEY_RCPT;

	if (has(e, OS_KEY_SENDER)) {
		r->has_sender = true;
		if (cur_left(&at) != 1 || cur_peek(&at) != '@')
			r->sender_len = put_address(r->sender, at);
	}
	if (has(e, to)) {
		r->recipients = 1;
		r->recipient_len = put_address(r->recipient, e->line[to].value);
	}
	if (has(e, OS_KEY_CTIME) && e->number[OS_KEY_CTIME] > 0) {
		r->has_arrival = true;
		r->arrival = e->number[OS_KEY_CTIME];
	}
}

/* --- Facts of the files --------------------------------------------------------------- */

/* A file that is explained on its own, outside of a queue. */
static bool is_loose(const struct message *m)
{
	return m->force && memchr(m->path, '/', strlen(m->path)) == NULL;
}

/* Does the path below the place equal where the id belongs? */
static bool at_home(const struct message *m, char *home, size_t cap)
{
	static const char place[] = "queue/";
	size_t n = os_home(m->id, m->id_len, OS_FILE, home, cap), skip = sizeof place - 1;

	if (n == 0 || is_loose(m))
		return true;
	return strlen(m->path) == n - skip && memcmp(m->path, home + skip, n - skip) == 0;
}

/* The walk goes by the path that the id computes to. Elsewhere an envelope is not found; and
 * when there is one at home, too, both claim the same id, and the scheduler gives up. */
static void check_place(const struct message *m, struct report *r)
{
	char home[64] = "";
	bool twin;
	struct finding *f;

	if (at_home(m, home, sizeof home))
		return;
	twin = m->parts[OS_HOME].mode != 0 && os_walked(m->path);
	f = report_add(r, twin ? F_OPENSMTPD_TWIN : F_OPENSMTPD_MISPLACED, OS_FILE, 0, 0);
	text_str(&f->expected, home);
	text_str(&f->found, "queue/");
	text_str(&f->found, m->path);
}

/* Can the queue process open it? It is the owner of queue/ and in no group that matters. */
static void check_access(const struct message *m, struct report *r)
{
	const struct part *p = &m->parts[OS_FILE];
	uint32_t owner = m->site.owner;
	struct finding *f;

	if (owner == UINT32_MAX || owner == 0 || (p->mode & (p->uid == owner ? 0400u : 0044u)) != 0)
		return;
	f = report_add(r, F_OPENSMTPD_ACCESS, OS_FILE, 0, 0);
	text_str(&f->expected, "readable for user ");
	text_u64(&f->expected, owner);
	text_str(&f->found, "owner ");
	text_u64(&f->found, p->uid);
}

static void check_facts(const struct message *m, struct report *r)
{
	const struct part *p = &m->parts[OS_FILE];
	struct finding *f;

	check_place(m, r);
	check_access(m, r);
	if (m->site.now > 0 && p->mtime > m->site.now + DAY) {
		f = report_add(r, F_OPENSMTPD_MTIME, OS_FILE, 0, 0);
		text_i64(&f->found, p->mtime);
	}
	if (p->nlink > 1) {
		f = report_add(r, F_OPENSMTPD_LINKS, OS_FILE, 0, 0);
		text_u64(&f->found, p->nlink);
	}
}

/* Its body, and its number. */
static void check_siblings(const struct message *m, struct report *r)
{
	const struct part *body = &m->parts[OS_BODY];
	char home[64] = "";
	bool zero = true;

	if (m->id_len != OS_EVPID || is_loose(m) || !at_home(m, home, sizeof home))
		return;
	if (body->mode == 0)
		report_add(r, F_OPENSMTPD_BODY_MISSING, OS_FILE, 0, 0);
	else if ((body->mode & 0170000) != 0100000)
		report_add(r, F_OPENSMTPD_BODY_KIND, OS_FILE, 0, 0);
	for (size_t i = OS_MSGID; i < OS_EVPID; i++)
		zero = zero && m->id[i] == '0';
	if (zero)
		report_add(r, F_OPENSMTPD_EVPID_ZERO, OS_FILE, 0, 0);
}

/* --- Kinds of files ----------------------------------------------------------------------- */

/* Ciphertext is random: 64 bytes of it without a single one above 127 are text that lost its
 * first byte. */
#define RANDOM_BYTES 64u

enum os_kind os_kind(const struct part *p)
{
	struct cur c = cur_make(p->bytes, p->off == 0 ? p->len : 0, 0);
	int first = cur_left(&c) > 0 ? cur_u8(&c) : -1;

	if (first == 0x1f && cur_peek(&c) == 0x8b)
		return OS_GZIP;
	if (first != 1)
		return OS_PLAIN;
	if (cur_left(&c) < RANDOM_BYTES)
		return OS_CRYPT;
	for (unsigned i = 0; i < RANDOM_BYTES; i++)
		if (cur_u8(&c) >= 128)
			return OS_CRYPT;
	return OS_PLAIN;
}

static void check_crypt(const struct part *p, struct report *r)
{
	struct finding *f;

	report_add(r, F_OPENSMTPD_ENCRYPTED, OS_FILE, 0, 0);
	if (p->size >= OS_CRYPT_MIN)
		return;
	f = report_add(r, F_OPENSMTPD_CRYPT_SHORT, OS_FILE, 0, p->size);
	text_str(&f->expected, "at least 30 bytes");
	text_u64(&f->found, p->size);
}

unsigned os_text(const struct message *m)
{
	return m->parts[OS_UNPACKED].mode != 0 ? OS_UNPACKED : OS_FILE;
}

/* How the gzip stream around a text ended; false when smtpd does not read an envelope in it. A body it
 * unpacks with gzread(), which takes an early end for the end and reads a second stream behind the
 * first; other bytes there are ignored. */
static bool check_frame(const struct message *m, struct report *r)
{
	const struct part *text = &m->parts[OS_UNPACKED];
	uint64_t size = m->parts[OS_FILE].size, at = text->frame_at < size ? text->frame_at : size;
	struct finding *f;

	switch ((enum frame)text->frame) {
	case FRAME_NONE:
	case FRAME_SOUND:
		return true;
	case FRAME_MORE:
		f = report_add(r, F_OPENSMTPD_GZIP_MORE, OS_FILE, at, size - at);
		if (!os_is_envelope(m))
			f->impact = IMPACT_DAMAGED_DELIVERY;
		text_u64(&f->found, size - at);
		text_str(&f->found, " bytes");
		return true;
	case FRAME_LARGE:
		f = report_add(r, F_OPENSMTPD_GZIP_LARGE, OS_FILE, 0, size);
		text_str(&f->found, "more than ");
		text_u64(&f->found, text->size);
		text_str(&f->found, " bytes");
		return true;
	case FRAME_CUT:
		f = report_add(r, F_OPENSMTPD_GZIP, OS_FILE, size, 0);
		if (!os_is_envelope(m))
			f->impact = IMPACT_DAMAGED_DELIVERY;
		text_str(&f->expected, "the end of the compressed stream");
		text_str(&f->found, "the end of the file");
		return false;
	case FRAME_DAMAGED:
		f = report_add(r, F_OPENSMTPD_GZIP, OS_FILE, at, 0);
		text_str(&f->expected, "a gzip stream");
		text_str(&f->found, text->frame_why);
		return false;
	}
	return true;
}

/* Is it kept in the way that smtpd.conf says? A plain body in a compressed queue is read, too. */
static void check_storage(const struct message *m, struct report *r)
{
	static const char *const names[] = { "plain text", "compressed", "encrypted" };
	unsigned kind = os_text(m) == OS_UNPACKED ? OS_GZIP : os_kind(&m->parts[OS_FILE]);
	unsigned wanted = m->site.storage <= OS_CRYPT ? m->site.storage : OS_PLAIN;
	bool body = !os_is_envelope(m);
	struct finding *f;

	if (!m->site.configured || kind == wanted || m->parts[OS_FILE].size == 0 ||
	    (body && kind == OS_PLAIN && wanted == OS_GZIP))
		return;
	f = report_add(r, F_OPENSMTPD_STORAGE, OS_FILE, 0, 0);
	if (body && wanted == OS_PLAIN)
		f->impact = IMPACT_DAMAGED_DELIVERY;
	text_str(&f->expected, names[wanted]);
	text_str(&f->found, names[kind]);
}

static bool all_zero(struct cur c)
{
	while (cur_left(&c) > 0)
		if (cur_u8(&c) != 0)
			return false;
	return true;
}

/* --- An envelope -------------------------------------------------------------------------- */

static void check_text(const struct message *m, struct report *r, unsigned part)
{
	const struct part *p = &m->parts[part];
	struct cur c = cur_make(p->bytes, p->len, p->off);
	struct envelope e = { .m = m, .r = r, .part = part };
	struct os_line line = { .len = 0 };

	while (os_next(&c, &line)) {
		if (line.state == OS_LINE_GOOD || line.state == OS_LINE_END_NUL)
			good_line(&e, &line);
		if (line.state != OS_LINE_GOOD)
			bad_line(&e, &line);
	}
	check_values(&e);
	if (!e.broken && check_version(&e)) {
		check_needed(&e);
		check_agent(&e);
		check_dispatcher(&e);
	}
	check_times(&e);
	put_envelope(&e);
}

/* Of a text that smtpd does not get: whose it is, as far as that can be read. */
static void read_rest(const struct message *m, struct report *r)
{
	const struct part *p = &m->parts[OS_UNPACKED];
	struct cur c = cur_make(p->bytes, p->len, p->off);
	struct envelope e = { .m = m, .r = r, .part = OS_UNPACKED };
	struct os_line line = { .len = 0 };

	while (os_next(&c, &line)) {
		unsigned key = os_find_key(&line.key);

		if (line.state == OS_LINE_GOOD && key < OS_KEYS)
			remember(&e, key, &line);
	}
	if (has(&e, OS_KEY_CTIME))
		os_number(e.line[OS_KEY_CTIME].value, os_keys[OS_KEY_CTIME].max,
			  &e.number[OS_KEY_CTIME]);
	put_envelope(&e);
}

/* Is it larger than smtpd reads? True when nothing more can be said about it. */
static bool too_large(const struct message *m, struct report *r, unsigned part)
{
	uint64_t size = m->parts[part].size;
	struct finding *f;

	if (size < OS_ENVELOPE_SMALL)
		return false;
	f = report_add(r, F_OPENSMTPD_TOO_LARGE, part, 0, 0);
	text_str(&f->expected, "less than 7568 bytes");
	text_u64(&f->found, size);
	if (size < OS_ENVELOPE_MAX)
		soften(f, SEV_SUSPECT);
	return size >= OS_ENVELOPE_MAX;
}

/* The text of an envelope, in the file or unpacked. All of it is at hand. */
static void check_plain(const struct message *m, struct report *r, unsigned part)
{
	const struct part *p = &m->parts[part];

	if (p->size == 0) {
		report_add(r, F_OPENSMTPD_EMPTY, part, 0, 0);
	} else if (all_zero(cur_make(p->bytes, p->len, 0))) {
		struct finding *f = report_add(r, F_SPOOL_ZERO_FILLED, part, 0, p->size);

		f->impact = IMPACT_STRANDED;
	} else {
		check_text(m, r, part);
	}
}

static enum step check_envelope(const struct message *m, struct report *r, struct want *w)
{
	unsigned part = os_text(m);
	const struct part *p = &m->parts[part];

	if (p->size > 0 && p->size < OS_ENVELOPE_MAX && (p->off != 0 || p->len < p->size)) {
		*w = (struct want){ part, 0, (size_t)p->size, (size_t)p->size };
		return STEP_WANT;
	}
	check_facts(m, r);
	check_siblings(m, r);
	check_storage(m, r);
	if (too_large(m, r, OS_FILE) || (part == OS_UNPACKED && too_large(m, r, OS_UNPACKED)))
		return STEP_DONE;
	if (part == OS_UNPACKED && !check_frame(m, r))
		read_rest(m, r);
	else if (part == OS_FILE && os_kind(p) == OS_CRYPT)
		check_crypt(p, r);
	else
		check_plain(m, r, part);
	return STEP_DONE;
}

/* --- A body ---------------------------------------------------------------------------------- */

enum { BODY_START, BODY_ZEROS, BODY_END };

/* Step over zero bytes until something else comes; false: give us a window. */
static bool count_zeros(struct os_check *k, const struct message *m, struct want *w)
{
	unsigned part = os_text(m);
	const struct part *p = &m->parts[part];
	struct cur c;

	while (k->zeros < p->size) {
		if (k->zeros < p->off || k->zeros - p->off >= p->len) {
			uint64_t left = p->size - k->zeros;

			*w = (struct want){ part, k->zeros,
					    left < WINDOW_MAX ? (size_t)left : WINDOW_MAX, 1 };
			return false;
		}
		c = cur_make(p->bytes, p->len, p->off);
		cur_seek(&c, (size_t)(k->zeros - p->off));
		while (cur_peek(&c) == 0) {
			cur_skip(&c, 1);
			k->zeros++;
		}
		if (cur_left(&c) > 0)
			return true;
	}
	return true;
}

static enum step body_start(struct os_check *k, const struct message *m, struct report *r,
			    struct want *w)
{
	unsigned part = os_text(m);
	const struct part *p = &m->parts[part];
	size_t head = p->size < RANDOM_BYTES + 1 ? (size_t)p->size : RANDOM_BYTES + 1;

	if (p->size > 0 && (p->off != 0 || p->len < head)) {
		*w = (struct want){ part, 0, p->size < WINDOW_MAX ? (size_t)p->size : WINDOW_MAX,
				    head };
		return STEP_WANT;
	}
	check_access(m, r);
	check_storage(m, r);
	if (part == OS_UNPACKED && (!check_frame(m, r) || p->frame == FRAME_LARGE))
		return STEP_DONE;
	if (p->size == 0) {
		report_add(r, F_OPENSMTPD_BODY_EMPTY, part, 0, 0);
		return STEP_DONE;
	}
	if (part == OS_FILE && os_kind(p) == OS_CRYPT) {
		check_crypt(p, r);
		return STEP_DONE;
	}
	k->phase = BODY_ZEROS;
	return STEP_WANT;
}

static enum step body_zeros(struct os_check *k, const struct message *m, struct report *r,
			    struct want *w)
{
	unsigned part = os_text(m);
	const struct part *p = &m->parts[part];
	struct finding *f;

	if (!count_zeros(k, m, w))
		return STEP_WANT;
	k->phase = BODY_END;
	if (k->zeros == p->size) {
		f = report_add(r, F_SPOOL_ZERO_FILLED, part, 0, p->size);
		f->impact = IMPACT_DAMAGED_DELIVERY;
		return STEP_DONE;
	}
	if (k->zeros > 0)
		report_add(r, F_OPENSMTPD_BODY_ZEROS, part, 0, k->zeros);
	return STEP_WANT;
}

static enum step body_end(const struct message *m, struct report *r, struct want *w)
{
	unsigned part = os_text(m);
	const struct part *p = &m->parts[part];
	size_t tail = p->size < OS_TAIL ? (size_t)p->size : OS_TAIL;
	uint64_t start = p->size - tail, zeros = 0;
	struct cur c;
	int last = 0;
	struct finding *f;

	if (p->off > start || p->off + p->len < p->size) {
		*w = (struct want){ part, start, tail, tail };
		return STEP_WANT;
	}
	c = cur_make(p->bytes, p->len, p->off);
	cur_seek(&c, (size_t)(start - p->off));
	while (cur_left(&c) > 0) {
		last = cur_u8(&c);
		zeros = last == 0 ? zeros + 1 : 0;
	}
	if (last == '\n')
		return STEP_DONE;
	f = report_add(r, zeros > 0 ? F_OPENSMTPD_BODY_ZEROS : F_OPENSMTPD_BODY_CUT, part,
		       p->size - (zeros > 0 ? zeros : 1), zeros > 0 ? zeros : 1);
	text_str(&f->expected, "a newline as the last byte");
	return STEP_DONE;
}

static enum step check_body(struct os_check *k, const struct message *m, struct report *r,
			    struct want *w)
{
	enum step step = STEP_DONE;
	unsigned before = BODY_END + 1;

	/* Each turn is another phase, or asks for a window. */
	while (before != k->phase) {
		before = k->phase;
		if (k->phase == BODY_START)
			step = body_start(k, m, r, w);
		else if (k->phase == BODY_ZEROS)
			step = body_zeros(k, m, r, w);
		else
			step = body_end(m, r, w);
		if (step == STEP_DONE)
			break;
	}
	return step;
}

/* --- A submission ------------------------------------------------------------------------------ */

/* What smtpd asks of a submission before it reads it. */
static void check_submitter(const struct message *m, struct report *r)
{
	const struct part *p = &m->parts[OS_FILE];
	uint32_t group = m->site.group[OS_OFFLINE];
	struct finding *f;

	if (p->nlink > 1)
		report_add(r, F_OPENSMTPD_OFFLINE_LINKS, OS_FILE, 0, 0);
	if (group == UINT32_MAX || p->gid == group)
		return;
	f = report_add(r, F_OPENSMTPD_OFFLINE_GROUP, OS_FILE, 0, 0);
	text_u64(&f->expected, group);
	text_u64(&f->found, p->gid);
}

/* The arguments of sendmail, separated by |, up to the first newline. */
static enum step check_offline(struct os_check *k, const struct message *m, struct report *r,
			       struct want *w)
{
	const struct part *p = &m->parts[OS_FILE];
	struct cur c = cur_make(p->bytes, p->len, p->off);

	if (p->size == 0) {
		report_add(r, F_OPENSMTPD_OFFLINE_EMPTY, OS_FILE, 0, 0);
		return STEP_DONE;
	}
	if (k->phase == 0)
		check_submitter(m, r);
	k->phase = 1;
	/* k->zeros: bytes without a newline. */
	if (k->zeros < p->off || k->zeros - p->off >= p->len) {
		uint64_t left = p->size - k->zeros;

		if (left == 0) {
			report_add(r, F_OPENSMTPD_OFFLINE_LINE, OS_FILE, 0, p->size);
			return STEP_DONE;
		}
		*w = (struct want){ OS_FILE, k->zeros, left < WINDOW_MAX ? (size_t)left : WINDOW_MAX, 1 };
		return STEP_WANT;
	}
	cur_seek(&c, (size_t)(k->zeros - p->off));
	if (cur_find(&c, '\n') < cur_left(&c))
		return STEP_DONE;
	k->zeros += cur_left(&c);
	if (k->zeros < p->size) {
		uint64_t left = p->size - k->zeros;

		*w = (struct want){ OS_FILE, k->zeros, left < WINDOW_MAX ? (size_t)left : WINDOW_MAX, 1 };
		return STEP_WANT;
	}
	report_add(r, F_OPENSMTPD_OFFLINE_LINE, OS_FILE, 0, p->size);
	return STEP_DONE;
}

/* --- check() -------------------------------------------------------------------------------------- */

bool os_is_envelope(const struct message *m)
{
	return m->id_len != OS_MSGID && !(m->id_len == 7 && memcmp(m->id, "message", 7) == 0);
}

enum step os_check(void *scratch, const struct message *m, struct report *r, struct want *w)
{
	struct os_check *k = scratch;

	if (m->place == OS_OFFLINE)
		return check_offline(k, m, r, w);
	return os_is_envelope(m) ? check_envelope(m, r, w) : check_body(k, m, r, w);
}
