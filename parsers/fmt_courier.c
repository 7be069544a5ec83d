/*
 * fmt_courier.c - the queue of the Courier mail server: layout, grammar, places and names
 *
 * Written from the sources of Courier 1.0 to 1.4; tried on files of 1.0.16.
 *
 *	tmp/179516/C4711              a submission, complete as soon as it has this name
 *	tmp/179516/D4711              its text
 *	tmp/179516/C4711.2 D4711.2    ... for more recipients than one control file takes
 *	tmp/179516/17951616.99.host   the first control file before that; C4711.1 likewise
 *	msgs/11/C4711                 the control file
 *	msgs/11/D4711                 the text
 *	msgq/179516/C4711.1795161600  a second name of the control file: when to try next
 *
 * 4711 is the inode of the control file, 11 its last two digits, 179516 a time without its last
 * four digits. A control file is lines of one letter and a value:
 *
 *	salice@example.org           sender
 *	fdns; client (client [...])  where it came from
 *	eQQ314 tH                    DSN options
 *	M...A7C1C3....6B003BB6.16    id: inode, time, process
 *	rbob@example.net             a recipient, number 0
 *	Rrfc822;bob@x                ... as it was asked for
 *	NSFD                         ... what he wants to be told of
 *	uesmtp                       source
 *	E1795782198 W1795191798      expires, warn at
 *	A1795177398                  next try; from here on records are appended
 *	I0 R Connection refused      what the other side said about recipient 0
 *	D0 1795177398                deferred; S = delivered, F = failed
 *	C1795177398                  a try is over
 *
 * Who reads what: at start courierd lists msgq/, earliest first, and opens every entry; then tmp/.
 * Only the number of names tells it the state: an entry with one name is one of a finished message
 * and is removed, one with three names or more is passed over for ever. So nothing here
 * may ever be linked, only renamed, and the entry goes first and comes back last. Whatever
 * concerns contents it believes: no recipient left means finished, no expiry means expired.
 *
 * There is no lock on a message. courierd holds a lock on tmp/courierd.lock and keeps what it has
 * read in memory, so nothing may be moved while it runs.
 */
#include "courier.h"

/* --- Grammar: the letters of a control file ----------------------------------------- */

const struct co_letter co_letters[CO_LETTERS] = {
	{ 's', CO_TEXT, "sender" },
	{ 'f', CO_TEXT, "received from" },
	{ 'e', CO_TEXT, "envelope id" },
	{ 't', CO_RET, "return" },
	{ 'M', CO_MSGID, "message id" },
	{ 'L', CO_NUMBER, "delay" },
	{ 'r', CO_TEXT, "recipient" },
	{ 'R', CO_TEXT, "original" },
	{ 'N', CO_NOTIFY, "notify" },
	{ 'm', CO_EMPTY, "SMTPUTF8" },
	{ '8', CO_EMPTY, "8-bit" },
	{ 'v', CO_TEXT, "virtual host" },
	{ 'U', CO_TEXT, "security" },
	{ 'V', CO_EMPTY, "VERP" },
	{ 'w', CO_EMPTY, "warned" },
	{ 'i', CO_TEXT, "authenticated" },
	{ 'O', CO_TEXT, "environment" },
	{ 'u', CO_TEXT, "source" },
	{ 'E', CO_TIME, "expires" },
	{ 'p', CO_TIME, "fax expires" },
	{ 'W', CO_TIME, "warn at" },
	{ 'T', CO_EMPTY, "no backscatter" },
	{ 'A', CO_TIME, "next try" },
	{ 'I', CO_INFO, "info" },
	{ 'S', CO_RESULT, "delivered" },
	{ 'F', CO_RESULT, "failed" },
	{ 'D', CO_RESULT, "deferred" },
	{ 'C', CO_TIME, "tried" },
	{ 'X', CO_TEXT, "cancelled" },
	{ 'x', CO_EMPTY, "cancel seen" },
};

/* --- Places --------------------------------------------------------------------------- */

#define TO(place) (1u << (place))

/* Mail comes from tmp/, but an entry says more than the submission that it may be a second name of; what
 * comes meanwhile is met in the second walk. */
static const struct place places[CO_PLACES] = {
	[CO_MSGQ] = { .name = "msgq", .kind = PLACE_QUEUE, .lock = MOVE_STOPPED, .next = TO(CO_MSGS),
		      .depth_max = 1 },
	[CO_MSGS] = { .name = "msgs", .kind = PLACE_QUEUE, .lock = MOVE_STOPPED, .depth_max = 1,
		      .required = true },
	[CO_TMP] = { .name = "tmp", .kind = PLACE_QUEUE, .lock = MOVE_STOPPED, .next = TO(CO_MSGS),
		     .depth_max = 1, .required = true },
};

static const struct role roles[CO_ROLES] = {
	[CO_ENTRY] = { .name = "schedule entry", .checked = true, .whole = true },
	[CO_CONTROL] = { .name = "control file", .checked = true },
	[CO_DATA] = { .name = "message text", .checked = true },
};

/* --- Names ----------------------------------------------------------------------------- */

static size_t digits_of(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && s[i] >= '0' && s[i] <= '9')
		i++;
	return i;
}

/* Step over a decimal number; false when none is there, it has a leading zero or more than 19 digits. */
static bool decimal(struct cur *c, uint64_t *value_r)
{
	size_t left = cur_left(c), n;
	bool zero = cur_peek(c) == '0';

	*value_r = co_digits(c);
	n = left - cur_left(c);
	return n > 0 && n <= CO_NUMBER_DIGITS && !(zero && n > 1);
}

bool co_id(const char *id, size_t len, struct co_id *id_r)
{
	struct cur c = cur_make((const uint8_t *)id, len, 0);
	uint64_t second;
	size_t n;

	*id_r = (struct co_id){ 0 };
	if (!decimal(&c, &id_r->inode))
		return false;
	id_r->stem = len - cur_left(&c);
	if (cur_left(&c) == 0)
		return true;
	if (cur_u8(&c) != '.')
		return false;
	n = cur_left(&c);
	if (!decimal(&c, &second) || cur_left(&c) > 0 || second == 0)
		return false;
	if (n >= CO_TIME_DIGITS) {
		id_r->time = second;
	} else {
		id_r->batch = second;
		id_r->stem = len;
	}
	return true;
}

/* A name is put together from position `at` on; cap = it has no room. */
static size_t put_char(char *buf, size_t cap, size_t at, char ch)
{
	if (at < cap)
		buf[at++] = ch;
	return at;
}

static size_t put_text(char *buf, size_t cap, size_t at, const char *s)
{
	for (; *s != '\0'; s++)
		at = put_char(buf, cap, at, *s);
	return at;
}

static size_t put_number(char *buf, size_t cap, size_t at, uint64_t n)
{
	uint64_t unit = UINT64_C(10000000000000000000);

	while (unit > 1 && n < unit)
		unit /= 10;
	for (; unit > 0; unit /= 10)
		at = put_char(buf, cap, at, (char)('0' + n / unit % 10));
	return at;
}

/* Its length; 0 = it did not fit. */
static size_t put_end(char *buf, size_t cap, size_t at)
{
	if (at >= cap)
		return 0;
	buf[at] = '\0';
	return at;
}

size_t co_queue_path(unsigned place, unsigned role, const struct co_id *id, char *buf, size_t cap)
{
	bool entry = place == CO_MSGQ && role == CO_ENTRY;
	size_t at = put_text(buf, cap, 0, entry ? "msgq/" : "msgs/");

	at = put_number(buf, cap, at, entry ? id->time / CO_FOLDER_SECONDS : id->inode % CO_FOLDERS);
	at = put_text(buf, cap, at, role == CO_DATA ? "/D" : "/C");
	at = put_number(buf, cap, at, id->inode);
	if (entry) {
		at = put_text(buf, cap, at, ".");
		at = put_number(buf, cap, at, id->time);
	}
	return put_end(buf, cap, at);
}

/* In tmp/ the folder is not to be told from the id: it is the one where the control file is.
 * A batch is complete when the first one has lost its .1, which is looked for in its place. */
static size_t tmp_path(unsigned role, const struct co_id *id, char *buf, size_t cap)
{
	bool first = role == CO_CONTROL;
	size_t at = put_text(buf, cap, 0, role == CO_DATA ? "tmp/0/D" : "tmp/0/C");

	if (first && id->batch == 0)
		return 0;
	at = put_number(buf, cap, at, id->inode);
	if (id->batch != 0) {
		at = put_text(buf, cap, at, ".");
		at = put_number(buf, cap, at, first ? 1 : id->batch);
	}
	return put_end(buf, cap, at);
}

static size_t path_of(unsigned place, unsigned role, const char *id, size_t id_len, unsigned depth,
		      char *buf, size_t cap)
{
	struct co_id parsed;

	(void)depth; /* always one level */
	if (role >= CO_ROLES || cap == 0 || !co_id(id, id_len, &parsed))
		return 0;
	if (place == CO_TMP)
		return parsed.time == 0 ? tmp_path(role, &parsed, buf, cap) : 0;
	if (parsed.batch != 0 || (place == CO_MSGQ) != (parsed.time != 0 && place != CO_MSGS) ||
	    (place == CO_MSGS && role == CO_CONTROL))
		return 0;
	return co_queue_path(place, role, &parsed, buf, cap);
}

/* What a name is in tmp/: the lock, the trigger and folders like broken/ are not the queue, and
 * what submit is still writing has no C, or is the first of several. */
static struct name tmp_name(const char *path, size_t start, struct name n)
{
	struct co_id id;
	char letter = n.id_len > 0 ? n.id[0] : '\0';

	n.kind = NAME_TRANSIENT;
	if (start > 0 && digits_of(path, start - 1) < start - 1)
		return n;
	if ((letter != 'C' && letter != 'D') || !co_id(n.id + 1, n.id_len - 1, &id) || id.time != 0)
		return n;
	n.id++;
	n.id_len--;
	n.role = letter == 'C' ? CO_ENTRY : CO_DATA;
	if (id.batch != 1)
		n.kind = letter == 'C' ? NAME_MESSAGE : NAME_COMPANION;
	return n;
}

static struct name id_of(unsigned place, const char *path)
{
	struct name n = { NAME_FOREIGN, CO_ENTRY, path, 0 };
	size_t len = strlen(path), start = len;
	struct co_id id;
	char letter;

	while (start > 0 && path[start - 1] != '/')
		start--;
	n.id = path + start;
	n.id_len = len - start;
	if (place == CO_TMP)
		return tmp_name(path, start, n);
	letter = n.id_len > 0 ? n.id[0] : '\0';
	if (place >= CO_PLACES || (start > 0 && digits_of(path, start - 1) < start - 1) ||
	    (letter != 'C' && letter != 'D') || !co_id(n.id + 1, n.id_len - 1, &id) || id.batch != 0 ||
	    (place == CO_MSGQ ? letter == 'D' || id.time == 0 : id.time != 0))
		return n;
	n.id++;
	n.id_len--;
	n.kind = letter == 'C' ? NAME_MESSAGE : NAME_COMPANION;
	n.role = letter == 'C' ? CO_ENTRY : CO_DATA;
	return n;
}

/* The time in an entry's name changes with every try. */
static size_t stem(const char *id, size_t id_len)
{
	struct co_id parsed;

	return co_id(id, id_len, &parsed) ? parsed.stem : id_len;
}

/* A file with two names must stay one, whatever number they have. */
static bool inode_in_name(const char *id, size_t id_len)
{
	(void)id, (void)id_len;
	return true;
}

/* msgs and msgq together are Courier's; its other folders make it surer. */
static unsigned bid(const char *const *names, size_t count)
{
	static const struct {
		const char *name;
		unsigned bits;
	} known[] = { { "msgq", 16 }, { "msgs", 16 }, { "tmp", 4 }, { "track", 6 },
		      { "allfilters", 8 }, { "filters", 4 } };
	enum { KNOWN = sizeof known / sizeof known[0] };
	uint32_t seen = 0;
	unsigned bits = 0;

	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(names[i]);

		for (unsigned k = 0; k < KNOWN; k++)
			if (len == strlen(known[k].name) && memcmp(names[i], known[k].name, len) == 0)
				seen |= 1u << k;
	}
	for (unsigned k = 0; k < KNOWN; k++)
		bits += (seen >> k & 1) * known[k].bits;
	return (seen & 7) == 7 ? bits : 0;
}

/* --- Still being written? ----------------------------------------------------------------- */

/* Files get their names when they are complete. */
static bool in_flight(unsigned place, const struct part *p, const struct site *s)
{
	(void)place, (void)p, (void)s;
	return false;
}

/* --- Parts without their message ------------------------------------------------------------ */

/* A text comes to msgs/ a moment before its control file, and goes before it. */
static void orphan(unsigned place, unsigned role, const struct part *p, const struct site *s,
		   struct report *r)
{
	if (place == CO_MSGS && role == CO_DATA && p->mtime < s->now - CO_ORPHAN)
		report_add(r, F_COURIER_DATA_ORPHAN, CO_DATA, 0, p->size);
}

/* Two files with one number: check() compares every entry with the control file of its number. */
static void cross(const struct sighting *a, const struct sighting *b, struct report *r)
{
	(void)a, (void)b, (void)r;
}

/* --- The format -------------------------------------------------------------------------------- */

static const char *const default_roots[] = { "/var/lib/courier", "/usr/lib/courier/var",
					     "/var/spool/courier", NULL };

static const char *const config_command[] = { "courier-config", NULL };
static const struct source sources[] = {
	{ .command = config_command, .before = "localstatedir=" },
	{ .before = NULL },
};
static const char *const version_command[] = { "courier", "--version", NULL };

const struct format fmt_courier = {
	.name = "courier",
	.server = "Courier",
	.tested = "1.0",
	.tested_version = VERSION(1, 0, 0),
	.places = places,
	.nplaces = CO_PLACES,
	.of_parts = TO(CO_MSGS),
	.roles = roles,
	.nroles = CO_ROLES,
	.loose_place = CO_MSGS,
	/* Courier opens its own folders by name and never lists the directory above them. */
	.hidden = "spoolck",
	.pid_file = "tmp/courierd.lock",
	.default_roots = default_roots,
	.sources = sources,
	.version_command = version_command,
	.stop_command = "systemctl stop courier",
	.start_command = "systemctl start courier",
	.wake_command = "courier flush",
	.bid = bid,
	.id_of = id_of,
	.stem = stem,
	.inode_in_name = inode_in_name,
	.path_of = path_of,
	.in_flight = in_flight,
	.check_scratch = sizeof(struct co_check),
	.check = co_check,
	.cross = cross,
	.orphan = orphan,
	.decode_scratch = sizeof(struct co_show),
	.decode = co_decode,
	.body_scratch = sizeof(struct co_show),
	.body = co_body,
	.restore_note = "courierd finds it when it starts; it tries it when its time has come.",
};
