/*
 * fmt_postfix.c - the queue of Postfix: layout, grammar, places and names
 *
 * Written from the sources of Postfix 2.2 to 3.12-20260821; tried on files of
 * 3.7.11 and 3.10.13. A queue file that cleanup wrote:
 *
 *	offset 0                            the size record, "%15ld %15ld ..."
 *	+--------------------------------+    1 data size     bytes between M and X
 *	| C  size record                 |    2 data offset   byte after M
 *	+--------------------------------+    3 recipients    R + D + /
 *	| T  arrival time                |    4 flags         (2.1)
 *	| A  create_time=..., more A     |    5 content length (2.4)
 *	| F  S  [p]  A..  W              |    6 sendopts      (3.0)
 *	| (A O R) per recipient     [p]  |
 *	| M  message start, empty        |  initial envelope
 *	+--------------------------------+ <- data offset
 *	| N  line    L  piece of a line  |
 *	| w  padding                [p]  |  content
 *	+--------------------------------+ <- data offset + data size
 *	| X  extracted start, empty      |
 *	| L > A     (A O R)         [p]  |  extracted envelope
 *	| E  end, empty                  |
 *	+--------------------------------+
 *	| records reached by p only      |  heap of milter edits; may hold dead
 *	+--------------------------------+  bytes, as may any gap behind a p
 *
 * A p (pointer) record holds the decimal offset where reading goes on, 0 = right
 * behind it. In maildrop/ (postdrop) there is no C: T A.. F S A.. R.. M, text, X,
 * A R.., E; what `postsuper -r` requeues there keeps the layout above.
 *
 * Who reads what: qmgr both envelopes, with pointers, jumping over the text by
 * the size record; delivery agents the text from data offset to X; pickup all of
 * a maildrop file; showq the envelopes; postsuper only names and modes.
 */
#include "name.h"
#include "postfix.h"

/* --- Grammar: which record may stand where -------------------------------- */

#define IN_BOTH (PF_ENV | PF_EXT)

const struct pf_rule pf_rules[256] = {
	/*        name                        cleaned   maildrop  value */
	['C'] = { "size record",              PF_ENV,   PF_ENV,   PF_SIZE_VALUE },
	['T'] = { "arrival time",             PF_ENV,   PF_ENV,   PF_TIME_VALUE },
	['c'] = { "create time",              IN_BOTH,  PF_ENV,   PF_ANY },
	['F'] = { "full name",                IN_BOTH,  IN_BOTH,  PF_ANY },
	['I'] = { "content inspector",        IN_BOTH,  IN_BOTH,  PF_ANY },
	['L'] = { "piece of a line, filter",  PF_ALL,   PF_ALL,   PF_ANY },
	['S'] = { "sender",                   PF_ENV,   PF_ENV,   PF_SENDER_VALUE },
	['R'] = { "recipient",                IN_BOTH,  IN_BOTH,  PF_RECIPIENT_VALUE },
	['D'] = { "recipient done",           IN_BOTH,  IN_BOTH,  PF_DONE_VALUE },
	['/'] = { "recipient cancelled",      IN_BOTH,  IN_BOTH,  PF_DONE_VALUE },
	['O'] = { "original recipient",       IN_BOTH,  IN_BOTH,  PF_BEFORE_VALUE },
	['n'] = { "DSN notify",               IN_BOTH,  IN_BOTH,  PF_BEFORE_VALUE },
	['o'] = { "DSN original recipient",   IN_BOTH,  IN_BOTH,  PF_BEFORE_VALUE },
	['W'] = { "delay warning time",       PF_ENV,   PF_ENV,   PF_WARN_VALUE },
	['V'] = { "VERP delimiters",          PF_ENV,   PF_ENV,   PF_VERP_VALUE },
	['A'] = { "attribute",                IN_BOTH,  IN_BOTH,  PF_ATTRIBUTE_VALUE },
	['K'] = { "killed record",            IN_BOTH,  IN_BOTH,  PF_ANY },
	['>'] = { "redirect",                 IN_BOTH,  IN_BOTH,  PF_ANY },
	['<'] = { "DSN return",               IN_BOTH,  PF_ENV,   PF_ANY },
	['i'] = { "DSN envelope id",          IN_BOTH,  PF_ENV,   PF_ANY },
	['f'] = { "cleanup flags",            0,        0,        PF_ANY },
	['d'] = { "cleanup delay",            0,        0,        PF_ANY },
	['m'] = { "milter count",             0,        0,        PF_ANY },
	['M'] = { "message start",            PF_ENV,   PF_ENV,   PF_MARK_VALUE },
	['N'] = { "line",                     PF_TEXT,  PF_TEXT,  PF_ANY },
	['w'] = { "padding",                  PF_TEXT,  PF_ALL,   PF_ANY },
	['X'] = { "extracted start",          PF_TEXT,  PF_TEXT,  PF_MARK_VALUE },
	['r'] = { "return receipt",           PF_EXT,   PF_EXT,   PF_ANY },
	['e'] = { "errors to",                PF_EXT,   PF_EXT,   PF_ANY },
	['P'] = { "priority",                 PF_EXT,   PF_EXT,   PF_ANY },
	['p'] = { "pointer",                  PF_ALL,   PF_ALL,   PF_POINTER_VALUE },
	['E'] = { "end",                      PF_EXT,   PF_EXT,   PF_MARK_VALUE },
};

/* --- Places ---------------------------------------------------------------- */

#define TO(place) (1u << (place))

/* In the order in which mail passes through. qmgr renames between incoming,
 * active and deferred; postsuper -h, -H and -r to hold, deferred, maildrop.
 * active may only be touched while Postfix is stopped: agents write into the
 * files, and qmgr holds them in memory. */
const struct place pf_places[PF_PLACES] = {
	[PF_MAILDROP] = { "maildrop", PLACE_QUEUE, MOVE_LIVE, 0, 0, true, true, false, NULL, false },
	[PF_INCOMING] = { "incoming", PLACE_QUEUE, MOVE_LIVE,
			  TO(PF_ACTIVE) | TO(PF_DEFERRED) | TO(PF_HOLD) | TO(PF_MAILDROP), 10, true, true, false, NULL, false },
	[PF_ACTIVE] = { "active", PLACE_QUEUE, MOVE_STOPPED,
			TO(PF_DEFERRED) | TO(PF_INCOMING) | TO(PF_HOLD) | TO(PF_CORRUPT) |
				TO(PF_MAILDROP), 10, true, true, false, NULL, false },
	[PF_DEFERRED] = { "deferred", PLACE_QUEUE, MOVE_LIVE,
			  TO(PF_ACTIVE) | TO(PF_INCOMING) | TO(PF_HOLD) | TO(PF_MAILDROP), 10, true, true, false, NULL, false },
	[PF_HOLD] = { "hold", PLACE_HELD, MOVE_LIVE, TO(PF_DEFERRED) | TO(PF_MAILDROP), 10, true, true, false,
		      "held (hold/)", false },
	[PF_CORRUPT] = { "corrupt", PLACE_HELD, MOVE_LIVE, 0, 10, true, false, false,
			 "put aside as damaged (corrupt/)", false },
	[PF_SAVED] = { "saved", PLACE_HELD, MOVE_LIVE, 0, 10, true, false, false, "put aside (saved/)", false },
	[PF_DEFER] = { "defer", PLACE_LOG, MOVE_LIVE, 0, 10, true, true, false, NULL, false },
	[PF_BOUNCE] = { "bounce", PLACE_LOG, MOVE_LIVE, 0, 10, true, true, false, NULL, false },
	[PF_TRACE] = { "trace", PLACE_LOG, MOVE_LIVE, 0, 10, true, false, false, NULL, false },
};

/* qmgr moves what is left in active/ back to incoming/ before it does anything else, then scans incoming/ and
 * deferred/; pickup is woken at once, too, and then each minute. */
static const uint8_t start_order[PF_PLACES] = {
	PF_ACTIVE, PF_INCOMING, PF_MAILDROP, PF_DEFERRED, PF_HOLD, PF_CORRUPT, PF_SAVED,
	PF_DEFER, PF_BOUNCE, PF_TRACE,
};

static const struct role roles[PF_ROLES] = {
	[PF_MESSAGE] = { .name = "message", .checked = true, .records = true },
	[PF_DEFER_LOG] = { .name = "defer log" },
	[PF_BOUNCE_LOG] = { .name = "bounce log" },
	[PF_TRACE_LOG] = { .name = "trace log" },
};

/* The place of a log by its role, and the reverse. */
#define LOG_PLACE(role) (PF_DEFER + (role) - PF_DEFER_LOG)
#define LOG_ROLE(place) (PF_DEFER_LOG + (place) - PF_DEFER)

/* --- Names ----------------------------------------------------------------- */

/* Alphabet of long queue ids: digits and consonants. */
static const char safe_chars[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
#define SAFE_BASE 52u
#define LONG_TIME 10u /* six digits of seconds, four of microseconds */
#define LONG_USEC 4u
#define SHORT_USEC 5u
#define SEPARATOR 'z'

static bool is_id_char(char ch)
{
	return (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') ||
	       ch == '_';
}

/* What Postfix' mail_queue_id_ok() accepts. */
static bool is_id(struct cur id)
{
	if (cur_left(&id) == 0 || cur_left(&id) > ID_MAX)
		return false;
	while (cur_left(&id) > 0)
		if (!is_id_char((char)cur_u8(&id)))
			return false;
	return true;
}

/* Index of the separator of a long id; 0 when the id is short. */
static size_t separator(const char *id, size_t len)
{
	for (size_t i = len; i > LONG_TIME; i--)
		if (id[i - 1] == SEPARATOR)
			return i - 1;
	return 0;
}

/* "%05X" of the microseconds in a long id; 0 when they cannot be decoded. */
static void usec_hex(const char *digits, char out[SHORT_USEC])
{
	static const char hex[] = "0123456789ABCDEF";
	uint32_t usec = 0;
	bool good = true;

	for (unsigned i = 0; i < LONG_USEC; i++) {
		uint32_t value = 0;

		while (value < SAFE_BASE && safe_chars[value] != digits[i])
			value++;
		good = good && value < SAFE_BASE;
		usec = usec * SAFE_BASE + value;
	}
	if (!good)
		usec = 0;
	/* 52^4 - 1 has six hexadecimal digits; the first ones count then. */
	if (usec > 0xfffff)
		usec >>= 4;
	for (unsigned i = SHORT_USEC; i > 0; i--) {
		out[i - 1] = hex[usec & 15];
		usec >>= 4;
	}
}

bool pf_hash(const char *id, size_t id_len, unsigned depth, char *out)
{
	char usec[SHORT_USEC] = { 0 };
	size_t sep;

	if (!is_id(name_make(id, id_len)))
		return false;
	sep = separator(id, id_len);
	if (sep >= LONG_TIME)
		usec_hex(id + sep - LONG_USEC, usec);
	for (unsigned i = 0; i < depth; i++) {
		if (sep > 0)
			out[i] = i < SHORT_USEC ? usec[i] : '_';
		else
			out[i] = i < id_len ? id[i] : '_';
	}
	return true;
}

bool pf_short_inode(const char *id, size_t id_len, uint64_t *inode_r)
{
	uint64_t inode = 0;

	if (id_len <= SHORT_USEC || id_len > SHORT_USEC + 16 || separator(id, id_len) > 0)
		return false;
	for (size_t i = 0; i < id_len; i++) {
		char ch = id[i];
		unsigned digit;

		if (ch >= '0' && ch <= '9')
			digit = (unsigned)(ch - '0');
		else if (ch >= 'A' && ch <= 'F')
			digit = (unsigned)(ch - 'A') + 10;
		else
			return false;
		if (i >= SHORT_USEC)
			inode = inode << 4 | digit;
	}
	*inode_r = inode;
	return true;
}

/* Long ids name one, too, but nobody compares it, except `postsuper -S` by hand. */
static bool inode_in_name(const char *id, size_t id_len)
{
	uint64_t ignored;

	return pf_short_inode(id, id_len, &ignored);
}

/* USEC.PID, which cleanup and postdrop use until they know the inode; ID#FIX,
 * which `postsuper -s` uses while it renames. */
static bool is_transient(struct cur name)
{
	struct cur fix = name, id = cur_sub(&fix, cur_find(&fix, '#'));

	if (name_is(fix, "#FIX") && cur_left(&id) > 0)
		return is_id(id);
	return name_digits(&name) > 0 && cur_u8(&name) == '.' && name_digits(&name) > 0 &&
	       cur_left(&name) == 0;
}

static struct name id_of(unsigned place, const char *path)
{
	struct name n = { NAME_FOREIGN, 0, path, 0 };
	struct cur file = name_make(path, strlen(path));
	bool hashed = true;

	/* Every directory on the way has a name of one character. */
	while (cur_find(&file, '/') < cur_left(&file)) {
		hashed &= cur_find(&file, '/') == 1;
		cur_skip(&file, cur_find(&file, '/') + 1);
	}
	n.id = name_at(&file);
	n.id_len = cur_left(&file);
	if (place >= PF_PLACES || !hashed || (place == PF_MAILDROP && n.id != path))
		return n;
	if (is_transient(file)) {
		n.kind = NAME_TRANSIENT;
	} else if (is_id(file)) {
		n.kind = place >= PF_DEFER ? NAME_COMPANION : NAME_MESSAGE;
		n.role = place >= PF_DEFER ? LOG_ROLE(place) : PF_MESSAGE;
	}
	return n;
}

static size_t path_of(unsigned place, unsigned role, const char *id, size_t id_len, unsigned depth,
		      char *buf, size_t cap)
{
	char hash[UINT8_MAX] = { 0 };
	size_t at;

	if (place >= PF_PLACES || role >= PF_ROLES || depth > sizeof hash ||
	    !pf_hash(id, id_len, depth, hash))
		return 0;
	at = put_str(buf, cap, 0, pf_places[role == PF_MESSAGE ? place : LOG_PLACE(role)].name);
	at = put_char(buf, cap, at, '/');
	for (unsigned i = 0; i < depth; i++) {
		at = put_char(buf, cap, at, hash[i]);
		at = put_char(buf, cap, at, '/');
	}
	at = put_bytes(buf, cap, at, id, id_len);
	return put_end(buf, cap, at);
}

/* Directories of a queue that the installation always makes. Three of them
 * among which are active and deferred are no coincidence. */
static unsigned bid(const char *const *names, size_t count)
{
	static const char *const known[] = { "active", "deferred", "incoming", "maildrop",
					     "hold",   "corrupt",  "defer",    "bounce",
					     "trace",  "flush",    "pid",      "private",
					     "public" };
	enum { KNOWN = sizeof known / sizeof known[0] };
	uint32_t seen = 0;
	unsigned bits = 0;

	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(names[i]);

		for (unsigned k = 0; k < KNOWN; k++)
			if (len == strlen(known[k]) && memcmp(names[i], known[k], len) == 0)
				seen |= 1u << k;
	}
	for (unsigned k = 0; k < KNOWN; k++)
		bits += (seen >> k & 1) * 8;
	return (seen & 3) == 3 && bits >= 24 ? bits : 0;
}

/* --- Still being written? -------------------------------------------------- */

#define DAY 86400
#define MAX_TEMP_AGE (7 * DAY) /* postsuper -p deletes incomplete files then */

/* Owner bits rwx say complete. Of the rest, 0400 is an agent's mark on a corrupt
 * file, and old files were given up by their writer; check() reports both. */
static bool in_flight(unsigned place, const struct part *p, const struct site *s)
{
	if (place == PF_CORRUPT || place == PF_SAVED || place >= PF_DEFER)
		return false;
	if ((p->mode & 0700) == 0700 || (p->mode & 0700) == 0400)
		return false;
	return p->mtime > s->now - MAX_TEMP_AGE;
}

/* --- Two files, one id ------------------------------------------------------ */

static void cross(const struct sighting *a, const struct sighting *b, struct report *r)
{
	struct finding *f;

	/* Nothing renames to or from saved/; all other queues meet. */
	if (a->ino == b->ino || a->place == PF_SAVED || b->place == PF_SAVED)
		return;
	f = report_add(r, F_SPOOL_DUPLICATE_ID, PF_MESSAGE, 0, 0);
	text_str(&f->expected, a->path);
	text_str(&f->found, b->path);
}

/* Whatever the settings are, Postfix opens a file only at the depth that they give. */
static void mixed(unsigned place, struct report *r)
{
	if (place <= PF_HOLD)
		report_add(r, F_POSTFIX_HASH_MIXED, PF_MESSAGE, 0, 0);
}

/* --- The format -------------------------------------------------------------- */

static const char *const default_roots[] = { "/var/spool/postfix", NULL };
static const char *const version_command[] = { "postconf", "-h", "mail_version", NULL };
/* Of all instances; it answers nothing where no network interface is up. */
static const char *const roots_command[] = { "postmulti", "-x", "postconf", "-h", "queue_directory",
					     NULL };
static const char *const root_command[] = { "postconf", "-h", "queue_directory", NULL };
static const struct source sources[] = {
	{ .command = roots_command, .before = "" },
	{ .command = root_command, .before = "" },
	{ .before = NULL },
};
static const char *const limit_command[] = { "postconf", "-h", "line_length_limit", NULL };

const struct format fmt_postfix = {
	.name = "postfix",
	.server = "Postfix",
	.tested = "3.10",
	.tested_version = VERSION(3, 10, 0),
	.places = pf_places,
	.nplaces = PF_PLACES,
	.start_order = start_order,
	.roles = roles,
	.nroles = PF_ROLES,
	.loose_place = PF_DEFERRED,
	/* No daemon, postsuper or `postfix check` looks at directories of the
	 * queue whose names it does not know. */
	.hidden = "spoolck",
	.pid_file = "pid/master.pid",
	.default_roots = default_roots,
	.sources = sources,
	.version_command = version_command,
	.limit_command = limit_command,
	.stop_command = "systemctl stop postfix",
	.start_command = "systemctl start postfix",
	.wake_command = "postqueue -f",
	.bid = bid,
	.id_of = id_of,
	.path_of = path_of,
	.inode_in_name = inode_in_name,
	.in_flight = in_flight,
	.check_scratch = sizeof(struct pf_check),
	.check = pf_check,
	.cross = cross,
	.mixed = mixed,
	.decode_scratch = sizeof(struct pf_show),
	.decode = pf_decode,
	.body_scratch = sizeof(struct pf_show),
	.body = pf_body,
	.restore_note = "Postfix reads it at its next queue run. A short queue id names the inode: a "
			"message that came back as another inode is renamed by the next `postsuper -s`.",
};
