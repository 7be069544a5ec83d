/*
 * fmt_opensmtpd.c - the queue of OpenSMTPD: layout, grammar, places and names
 *
 * Written from the sources of OpenSMTPD 6.4 to 7.8; tried on files of 6.8.0p2 and 7.6.0.
 *
 *	queue/a1/a1b2c3d4/message             the text, as received, lines end in LF
 *	queue/a1/a1b2c3d4/a1b2c3d4e5f60718    one envelope for each recipient still to do
 *	offline/1795161600.XXXXXXXXXX         a submission made while smtpd was down
 *
 * The directory below queue/ has the first two digits of the message id as its name. An
 * envelope is text, one `key: value` a line:
 *
 *	version: 3
 *	dispatcher: relay            the action of smtpd.conf that it was queued for
 *	type: mta                    mda, mta, bounce
 *	helo: mail.example.org       not empty
 *	hostname: <unknown>          not empty
 *	errorline: ...               why the last try failed
 *	sockaddr: [2001:db8::1]
 *	sender: bob@example.org      the null sender is @
 *	rcpt: ...   dest: ...        as asked for; after expansion
 *	ctime: 1795161600 ...
 *
 * Who reads what: at start the queue process walks queue/ and loads every envelope; what it
 * cannot load it passes over, with a debug line at most, and never looks at again. So a
 * damaged envelope is mail that silently stays for ever. The body is opened at delivery.
 *
 * Every envelope is a message here, and so is every body: one bad envelope leaves alone, and a
 * body is read once however many envelopes it has. A body that is damaged leaves with its whole
 * directory. With `queue compression` each file is one gzip stream; with `queue encryption` it is
 * 01, 12 bytes IV, ciphertext, 16 bytes tag.
 *
 * There are no locks. The queue process has everything in memory and renames new versions of an
 * envelope over old ones, so nothing may be moved while it runs.
 */
#include "name.h"
#include "opensmtpd.h"

/* --- Grammar: the keys of an envelope --------------------------------------- */

#define TIME_MAX INT64_MAX
#define HOST OS_TEXT, OS_ANY_AGENT, OS_HOST_SMALL, OS_HOST_MAX, 0, ""
#define TEXT(agent, limit) OS_TEXT, (agent), (limit), (limit), 0, ""
#define LINE(agent) OS_TEXT, (agent), OS_LINE_SMALL, OS_LINE_MAX, 0, ""
#define NUMBER(agent, max) OS_NUMBER, (agent), 0, 0, (max), ""
#define ADDRESS OS_ADDRESS, OS_ANY_AGENT, OS_LINE_SMALL, OS_LINE_MAX, 0, ""
#define WORDS(value, agent, words) (value), (agent), 0, 0, 0, words

const struct os_key os_keys[OS_KEYS] = {
	[OS_KEY_VERSION] = { "version", NUMBER(OS_ANY_AGENT, 64), true },
	[OS_KEY_DISPATCHER] = { "dispatcher", HOST, true },
	[OS_KEY_TYPE] = { "type", WORDS(OS_WORD, OS_ANY_AGENT, "mda mta bounce"), false },
	[OS_KEY_HELO] = { "helo", HOST, true },
	[OS_KEY_HOSTNAME] = { "hostname", HOST, true },
	[OS_KEY_SOCKADDR] = { "sockaddr", OS_SOCKADDR, OS_ANY_AGENT, 0, 0, 0, "", false },
	[OS_KEY_SENDER] = { "sender", ADDRESS, false },
	[OS_KEY_RCPT] = { "rcpt", ADDRESS, false },
	[OS_KEY_DEST] = { "dest", ADDRESS, false },
	[OS_KEY_CTIME] = { "ctime", NUMBER(OS_ANY_AGENT, TIME_MAX), false },
	[OS_KEY_RETRY] = { "retry", NUMBER(OS_ANY_AGENT, 65535), false },
	[OS_KEY_OTHERS] = { "tag", TEXT(OS_ANY_AGENT, 32), false },
	{ "smtpname", HOST, false },
	{ "username", TEXT(OS_ANY_AGENT, 255), false },
	{ "errorline", LINE(OS_ANY_AGENT), false },
	{ "last-try", NUMBER(OS_ANY_AGENT, TIME_MAX), false },
	{ "last-bounce", NUMBER(OS_ANY_AGENT, TIME_MAX), false },
	{ "ttl", NUMBER(OS_ANY_AGENT, TIME_MAX), false },
	{ "flags", WORDS(OS_FLAGS, OS_ANY_AGENT, "authenticated enqueued bounce internal"), false },
	{ "dsn-notify", NUMBER(OS_ANY_AGENT, 255), false },
	{ "dsn-ret", WORDS(OS_WORD, OS_ANY_AGENT, "FULL HDRS"), false },
	{ "dsn-envid", TEXT(OS_ANY_AGENT, 100), false },
	/* An address up to 6.8, since then text of 500 bytes. */
	{ "dsn-orcpt", OS_TEXT, OS_ANY_AGENT, OS_ADDRESS_PART, 2 * OS_ADDRESS_PART + 1, 0, "", false },
	{ "esc-class", NUMBER(OS_ANY_AGENT, 255), false },
	{ "esc-code", NUMBER(OS_ANY_AGENT, 255), false },
	{ "mda-exec", LINE(OS_MDA), false },
	{ "mda-subaddress", TEXT(OS_MDA, 255), false },
	{ "mda-user", TEXT(OS_MDA, 255), false },
	{ "bounce-ttl", NUMBER(OS_BOUNCE, TIME_MAX), false },
	{ "bounce-delay", NUMBER(OS_BOUNCE, TIME_MAX), false },
	{ "bounce-type", WORDS(OS_WORD, OS_BOUNCE, "failed error delayed warn delivered dsn"), false },
};

/* --- Places ------------------------------------------------------------------ */

static const struct place places[OS_PLACES] = {
	[OS_QUEUE] = { .name = "queue", .kind = PLACE_QUEUE, .lock = MOVE_STOPPED, .depth_max = 2 },
	/* Read at start, by a child of its own for each file. */
	[OS_OFFLINE] = { .name = "offline", .kind = PLACE_QUEUE, .lock = MOVE_STOPPED },
	/* What smtpd was receiving when it died; it removes that when it starts. */
	[OS_INCOMING] = { .name = "incoming", .kind = PLACE_HELD, .lock = MOVE_STOPPED },
	[OS_TEMPORARY] = { .name = "temporary", .kind = PLACE_HELD, .lock = MOVE_STOPPED },
};

static const struct role roles[OS_ROLES] = {
	[OS_FILE] = { .name = "file", .checked = true },
	[OS_BODY] = { .name = "body", .checked = true, .shared = true },
	[OS_HOME] = { .name = "envelope of the same id", .checked = true, .shared = true },
	[OS_UNPACKED] = { .name = "unpacked text", .unpacked = true },
};

/* --- Names -------------------------------------------------------------------- */

static const char body_name[] = "message";

static bool is_hex(char ch)
{
	return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f') || (ch >= 'A' && ch <= 'F');
}

static bool all_hex(struct cur c)
{
	while (cur_left(&c) > 0)
		if (!is_hex((char)cur_u8(&c)))
			return false;
	return true;
}

/* Copy hexadecimal digits in lower case. */
static void put_digits(char *to, const char *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (char)(from[i] >= 'A' && from[i] <= 'F' ? from[i] + ('a' - 'A') : from[i]);
}

size_t os_home(const char *id, size_t id_len, unsigned role, char *buf, size_t cap)
{
	/* queue/a1/a1b2c3d4/... */
	const size_t bucket = sizeof "queue/" - 1, dir = bucket + 3, name = dir + OS_MSGID + 1;
	bool envelope = id_len == OS_EVPID && role != OS_BODY;
	size_t len = name + (envelope ? OS_EVPID : sizeof body_name - 1);

	if (role == OS_UNPACKED || (id_len != OS_EVPID && (id_len != OS_MSGID || role != OS_FILE)) ||
	    !all_hex(name_make(id, id_len)) || len >= cap)
		return 0;
	memcpy(buf, "queue/", bucket);
	put_digits(buf + bucket, id, 2);
	put_digits(buf + dir, id, OS_MSGID);
	buf[dir - 1] = buf[name - 1] = '/';
	if (envelope)
		put_digits(buf + name, id, OS_EVPID);
	else
		memcpy(buf + name, body_name, sizeof body_name - 1);
	buf[len] = '\0';
	return len;
}

bool os_walked(const char *path)
{
	const size_t dir = 3 + OS_MSGID + 1;

	if (strlen(path) != dir + OS_EVPID || path[2] != '/' || path[dir - 1] != '/')
		return false;
	for (size_t i = 0; i < dir - 1; i++)
		if (path[i] == '/' && i != 2)
			return false;
	return all_hex(name_make(path + dir, OS_EVPID));
}

/* A submission: any name, but what an editor or an administrator leaves begins with a dot. */
static struct name offline_name(const char *path)
{
	struct name n = { NAME_FOREIGN, OS_FILE, path, strlen(path) };

	if (n.id_len > 0 && n.id_len <= ID_MAX && path[0] != '.')
		n.kind = NAME_MESSAGE;
	return n;
}

static struct name id_of(unsigned place, const char *path)
{
	struct name n = { NAME_FOREIGN, OS_FILE, path, 0 };
	struct cur file = name_make(path, strlen(path)), dir = file;
	size_t start;

	name_last(&file);
	start = (size_t)cur_offset(&file);
	n.id = name_at(&file);
	n.id_len = cur_left(&file);
	if (place == OS_OFFLINE)
		return start == 0 ? offline_name(path) : n;
	if (place == OS_INCOMING || place == OS_TEMPORARY) {
		n.kind = NAME_COMPANION;
		return n;
	}
	if (n.id_len == OS_EVPID && all_hex(file)) {
		n.kind = NAME_MESSAGE;
	} else if (name_is(file, body_name) && start > 0) {
		dir = cur_sub(&dir, start - 1);
		name_last(&dir);
		if (cur_left(&dir) == OS_MSGID && all_hex(dir)) {
			n.kind = NAME_MESSAGE;
			n.id = name_at(&dir);
			n.id_len = OS_MSGID;
		}
	}
	return n;
}

static size_t path_of(unsigned place, unsigned role, const char *id, size_t id_len, unsigned depth,
		      char *buf, size_t cap)
{
	static const char dir[] = "offline/";
	size_t n = sizeof dir - 1;

	(void)depth; /* always two levels */
	if (place == OS_QUEUE)
		return os_home(id, id_len, role, buf, cap);
	if (place != OS_OFFLINE || role != OS_FILE || id_len == 0 || id_len > ID_MAX ||
	    memchr(id, '/', id_len) != NULL || n + id_len >= cap)
		return 0;
	memcpy(buf, dir, n);
	memcpy(buf + n, id, id_len);
	buf[n + id_len] = '\0';
	return n + id_len;
}

/* A body's directory is its own: with the body goes whatever lies beside it. */
static bool owns_directory(unsigned place, const char *id, size_t id_len)
{
	(void)id;
	return place == OS_QUEUE && id_len == OS_MSGID;
}

/* queue and incoming are names of others, too; together with purge and temporary they are no
 * coincidence. */
static unsigned bid(const char *const *names, size_t count)
{
	static const char *const known[] = { "queue",   "incoming", "purge", "temporary",
					     "offline", "corrupt" };
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
	return (seen & 1) != 0 && bits >= 32 ? bits : 0;
}

/* `queue compression`: each file is one gzip stream. */
static bool compressed(const struct message *m)
{
	return m->place == OS_QUEUE && os_kind(&m->parts[OS_FILE]) == OS_GZIP;
}

/* --- Still being written? ------------------------------------------------------- */

/* New mail comes by a rename of its whole directory, updates by a rename over the old file. Only
 * a later envelope (a split, a bounce) is made in place, and written in one go. A submission
 * grows as long as its sender writes. */
static bool in_flight(unsigned place, const struct part *p, const struct site *s)
{
	if (p->mtime < s->now - OS_FRESH || p->mtime > s->now + 86400)
		return false;
	return place == OS_OFFLINE || p->size == 0;
}

/* --- A body without envelopes ---------------------------------------------------- */

#define DAY 86400

/* The last envelope takes the directory along, so what is left was lost, or its envelopes were. */
static void alone(unsigned place, const char *name, const struct part *p, const struct site *s,
		  struct report *r)
{
	size_t n = sizeof body_name;

	if (place == OS_QUEUE && strlen(name) + 1 == n && memcmp(name, body_name, n) == 0 &&
	    p->mtime < s->now - DAY)
		report_add(r, F_OPENSMTPD_NO_ENVELOPE, OS_FILE, 0, 0);
}

/* A client that is still sending is no day old; what was not accepted, it will send again. */
static void orphan(unsigned place, unsigned role, const struct part *p, const struct site *s,
		   struct report *r)
{
	(void)role;
	if ((place == OS_INCOMING || place == OS_TEMPORARY) && p->mtime < s->now - DAY)
		report_add(r, F_OPENSMTPD_UNFINISHED, OS_FILE, 0, 0);
}

/* --- Directories that smtpd looks at ------------------------------------------------ */

/* incoming/ and temporary/ it makes anew. */
static const char *const directories[] = { ".", "queue", "purge", "offline", NULL };

static void say_mode(struct text *t, uint32_t mode)
{
	text_str(t, "mode ");
	text_u64(t, mode >> 9 & 7);
	text_u64(t, mode >> 6 & 7);
	text_u64(t, mode >> 3 & 7);
	text_u64(t, mode & 7);
	text_str(t, ", owner ");
}

/* smtpd starts only with exactly these modes and owners. (offline/ has to have the queue's group, whose
 * number is not known here.) */
static void directory(unsigned index, const struct part *p, const struct site *s, struct report *r)
{
	bool root = index == 0, offline = index == 3;
	uint32_t mode = root ? 0711 : offline ? 0770 : 0700;
	uint32_t owner = root || offline ? 0 : s->owner;
	struct finding *f;

	if ((p->mode & 07777) == mode && (owner == UINT32_MAX || p->uid == owner) &&
	    (offline || p->gid == 0))
		return;
	f = report_add(r, F_OPENSMTPD_DIRECTORY, OS_FILE, 0, 0);
	f->impact = IMPACT_SERVER_STOPS;
	say_mode(&f->expected, mode);
	text_u64(&f->expected, owner);
	if (!offline)
		text_str(&f->expected, ", group 0");
	say_mode(&f->found, p->mode);
	text_u64(&f->found, p->uid);
	text_str(&f->found, ", group ");
	text_u64(&f->found, p->gid);
}

/* Two files of one id: check() finds the one in the wrong place by itself. */
static void cross(const struct sighting *a, const struct sighting *b, struct report *r)
{
	(void)a, (void)b, (void)r;
}

/* --- The format ------------------------------------------------------------------- */

static const char *const default_roots[] = { "/var/spool/smtpd", NULL };
static const char *const version_command[] = { "smtpd", "-h", NULL };
static const char *const config_files[] = { "/etc/smtpd.conf", "/etc/mail/smtpd.conf",
					    "/etc/smtpd/smtpd.conf", "/etc/opensmtpd/smtpd.conf",
					    "/usr/local/etc/mail/smtpd.conf", NULL };

const struct format fmt_opensmtpd = {
	.name = "opensmtpd",
	.server = "OpenSMTPD",
	.tested = "7.6",
	.tested_version = VERSION(7, 6, 0),
	.places = places,
	.nplaces = OS_PLACES,
	.roles = roles,
	.nroles = OS_ROLES,
	.loose_place = OS_QUEUE,
	.groups = 1u << OS_OFFLINE,
	/* smtpd checks six directories by name and looks at no other. */
	.hidden = "spoolck",
	.chrooted = "smtpd",
	.default_roots = default_roots,
	.version_command = version_command,
	.version_usage = true,
	.config_files = config_files,
	.directories = directories,
	.stop_command = "systemctl stop opensmtpd",
	.start_command = "systemctl start opensmtpd",
	.wake_command = "systemctl restart opensmtpd",
	.configure = os_configure,
	.directory = directory,
	.bid = bid,
	.id_of = id_of,
	.path_of = path_of,
	.in_flight = in_flight,
	.compressed = compressed,
	.check_scratch = sizeof(struct os_check),
	.check = os_check,
	.cross = cross,
	.orphan = orphan,
	.alone = alone,
	.owns_directory = owns_directory,
	.decode_scratch = sizeof(struct os_show),
	.decode = os_decode,
	.body_scratch = sizeof(struct os_show),
	.body = os_body,
	.restore_note = "OpenSMTPD looks into its queue only when it starts, and at `smtpctl discover ID`.",
};
