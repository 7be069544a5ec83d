/*
 * fmt_qmail.c - the queue of qmail: layout, places and names
 *
 * Written from the INTERNALS and the sources of netqmail 1.06 and notqmail 1.09; tried on files
 * of notqmail 1.09.
 *
 *	mess/7/11338443      the text, as received, below qmail-queue's own Received line
 *	intd/11338443        the envelope while it is written ...
 *	todo/11338443        ... a hard link to it makes the message queued
 *	info/7/11338443      the sender; its time is the message's birth
 *	local/7/11338443     recipients of this host
 *	remote/7/11338443    ... of others
 *	bounce/11338443      what failed for good, for the sender
 *	pid/123.1795161600.1 a text before it has its number
 *	lock/                sendmutex (flock of qmail-send), trigger (a FIFO), tcpto
 *
 * The number is the inode of the text's file. A number lies in directory number mod n, where n
 * is 23 unless it was compiled otherwise; some patches divide todo/ and intd/ the same way.
 *
 * Every envelope file is a run of records, each a letter, a value and a zero byte:
 *
 *	todo, intd     u<uid> p<pid> F<sender> T<recipient> ...
 *	info           F<sender>
 *	local, remote  T<recipient> still to do, D<recipient> done ...
 *
 * Who reads what: qmail-send lists info/ when it starts and todo/ whenever it is woken. From todo it
 * writes info, local and remote; as long as todo is there these may be half written and are
 * nothing but scratch. Afterwards it turns T into D in place, removes local and remote when all
 * is done, sends the bounce, removes info, and has the text removed. A text without todo and
 * info is removed after 36 hours. What it cannot read it tries again every two minutes, for ever.
 *
 * There are no locks on a message. qmail-send has its numbers in memory and holds a flock on
 * lock/sendmutex while it lives, so nothing may be moved while it runs.
 */
#include "name.h"
#include "qmail.h"

/* --- Places ------------------------------------------------------------------ */

static const struct place places[QM_PLACES] = {
	[QM_INFO] = { .name = "info", .kind = PLACE_QUEUE, .lock = MOVE_STOPPED, .depth_max = 1,
		      .required = true, .split = true },
	[QM_TODO] = { .name = "todo", .kind = PLACE_QUEUE, .lock = MOVE_STOPPED, .depth_max = 1,
		      .next = 1u << QM_INFO, .required = true, .split = true },
	[QM_LOCAL] = { .name = "local", .kind = PLACE_QUEUE, .lock = MOVE_STOPPED, .depth_max = 1,
		       .required = true, .split = true },
	[QM_REMOTE] = { .name = "remote", .kind = PLACE_QUEUE, .lock = MOVE_STOPPED, .depth_max = 1,
			.required = true, .split = true },
	[QM_BOUNCE] = { .name = "bounce", .kind = PLACE_QUEUE, .lock = MOVE_STOPPED,
			.required = true },
	[QM_INTD] = { .name = "intd", .kind = PLACE_QUEUE, .lock = MOVE_STOPPED, .depth_max = 1,
		      .required = true, .split = true },
	[QM_MESS] = { .name = "mess", .kind = PLACE_QUEUE, .lock = MOVE_STOPPED, .depth_max = 1,
		      .required = true, .split = true },
	[QM_PID] = { .name = "pid", .kind = PLACE_QUEUE, .lock = MOVE_STOPPED, .required = true },
	[QM_LOCK] = { .name = "lock", .kind = PLACE_QUEUE, .lock = MOVE_STOPPED, .required = true },
};

/* Places that have these directories whatever was patched. */
#define ALWAYS_SPLIT (1u << QM_INFO | 1u << QM_LOCAL | 1u << QM_REMOTE | 1u << QM_MESS)
/* Places by whose files a message is found. */
#define ANCHORS (ALWAYS_SPLIT | 1u << QM_TODO)

static const struct role roles[QM_ROLES] = {
	[QM_HEAD] = { .name = "envelope", .checked = true },
	[QM_INFO + 1] = { .name = "info", .checked = true, .records = true },
	[QM_TODO + 1] = { .name = "todo", .checked = true, .records = true },
	[QM_LOCAL + 1] = { .name = "local", .checked = true, .records = true },
	[QM_REMOTE + 1] = { .name = "remote", .checked = true, .records = true },
	[QM_BOUNCE + 1] = { .name = "bounce", .checked = true },
	[QM_INTD + 1] = { .name = "intd", .checked = true, .records = true },
	[QM_MESS + 1] = { .name = "mess", .checked = true },
};

/* --- Names -------------------------------------------------------------------- */

/* Decimal, as qmail writes it: no leading zero, below 2^64. */
static bool is_id(struct cur id)
{
	uint64_t n = 0;

	if (cur_left(&id) == 0 || cur_peek(&id) == '0')
		return false;
	while (cur_left(&id) > 0) {
		unsigned digit = cur_u8(&id) - (unsigned)'0';

		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	return true;
}

static bool id_ok(const char *id, size_t len)
{
	return is_id(name_make(id, len));
}

static const char *const lock_files[] = { "sendmutex", "trigger", "tcpto" };
enum { LOCK_SENDMUTEX, LOCK_TRIGGER, LOCK_TCPTO, LOCK_FILES };

/* The role of a file in lock/ is its number in the list above: it belongs to no message. */
static void lock_name(struct cur file, struct name *n)
{
	for (unsigned i = 0; i < LOCK_FILES; i++)
		if (name_is(file, lock_files[i])) {
			n->kind = NAME_COMPANION;
			n->role = i;
		}
}

static struct name id_of(unsigned place, const char *path)
{
	struct name n = { NAME_FOREIGN, QM_HEAD, path, 0 };
	struct cur file = name_make(path, strlen(path));

	name_last(&file);
	n.id = name_at(&file);
	n.id_len = cur_left(&file);
	if (place == QM_LOCK) {
		lock_name(file, &n);
	} else if (place == QM_PID) {
		n.kind = NAME_COMPANION;
	} else if (place < QM_PLACES && is_id(file)) {
		n.kind = (ANCHORS >> place & 1) != 0 ? NAME_MESSAGE : NAME_COMPANION;
		n.role = n.kind == NAME_MESSAGE ? QM_HEAD : place + 1;
	}
	return n;
}

/* The directory of the id: the number that it is, mod n. */
static uint32_t split_of(const char *id, size_t id_len, uint32_t n)
{
	uint64_t rest = 0;

	for (size_t i = 0; i < id_len; i++)
		rest = (rest * 10 + (uint64_t)(id[i] - '0')) % n;
	return (uint32_t)rest;
}

size_t qm_home(const struct site *s, unsigned place, const char *id, size_t id_len, char *buf,
	       size_t cap)
{
	size_t at;

	if (place >= QM_PID || !id_ok(id, id_len))
		return 0;
	at = put_str(buf, cap, 0, places[place].name);
	at = put_char(buf, cap, at, '/');
	if (((ALWAYS_SPLIT | s->split_places) >> place & 1) != 0) {
		if (s->split == 0)
			return 0;
		at = put_number(buf, cap, at, split_of(id, id_len, s->split));
		at = put_char(buf, cap, at, '/');
	}
	at = put_bytes(buf, cap, at, id, id_len);
	return put_end(buf, cap, at);
}

static size_t path_at(const struct site *s, unsigned place, unsigned role, const char *id,
		      size_t id_len, char *buf, size_t cap)
{
	if (role == QM_HEAD)
		return place < QM_PLACES && (ANCHORS >> place & 1) != 0 ?
			       qm_home(s, place, id, id_len, buf, cap) : 0;
	/* Where the message was found this file is role 0. */
	return role < QM_ROLES && role != place + 1 ? qm_home(s, role - 1, id, id_len, buf, cap) : 0;
}

/* lock, bounce and pid are names of others, too; intd, todo and mess are not. */
static unsigned bid(const char *const *names, size_t count)
{
	uint32_t seen = 0;
	unsigned bits = 0;

	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(names[i]);

		for (unsigned p = 0; p < QM_PLACES; p++)
			if (len == strlen(places[p].name) && memcmp(names[i], places[p].name, len) == 0)
				seen |= 1u << p;
	}
	for (unsigned p = 0; p < QM_PLACES; p++)
		bits += (seen >> p & 1) * 8;
	return (seen >> QM_MESS & 1) != 0 && bits >= 40 ? bits : 0;
}

/* --- Still being written? ------------------------------------------------------- */

/* A text that was met before any envelope: its sender has 24 hours to go on. */
static bool in_flight(unsigned place, const struct part *p, const struct site *s)
{
	return place == QM_MESS && p->mtime > s->now - QM_LEFT_OVER - QM_DAY;
}

/* --- Files without a message ------------------------------------------------------ */

static void lock_file(unsigned which, const struct part *p, struct report *r)
{
	static const char *const kinds[] = { "a regular file", "a FIFO", "a regular file of 1024 bytes" };
	uint32_t type = p->mode & 0170000, wanted = which == LOCK_TRIGGER ? 0010000 : 0100000;
	struct finding *f;

	if (which >= LOCK_FILES ||
	    (type == wanted && (which != LOCK_TCPTO || p->size == 0 || p->size == 1024)))
		return;
	f = report_add(r, F_QMAIL_LOCK_FILE, QM_HEAD, 0, 0);
	if (which == LOCK_SENDMUTEX) { /* tcpto is a cache of hosts that did not answer */
		f->severity = SEV_CORRUPT;
		f->impact = IMPACT_SERVER_STOPS;
	}
	text_str(&f->field, lock_files[which]);
	text_str(&f->expected, kinds[which]);
}

static void orphan(unsigned place, unsigned role, const struct part *p, const struct site *s,
		   struct report *r)
{
	if (place == QM_LOCK)
		lock_file(role, p, r);
	else if (p->mtime < s->now - QM_LEFT_OVER - QM_DAY)
		report_add(r, F_QMAIL_LEFT_OVER, QM_HEAD, 0, p->size);
}

/* One id, one message: what lies in a wrong directory is found by check(). */
static void cross(const struct sighting *a, const struct sighting *b, struct report *r)
{
	(void)a, (void)b, (void)r;
}

/* --- The format ------------------------------------------------------------------- */

static const char *const default_roots[] = { "/var/qmail/queue", "/var/lib/qmail/queue", NULL };

const struct format fmt_qmail = {
	.name = "qmail",
	.server = "qmail",
	.tested = "1.09",
	.tested_version = VERSION(1, 9, 0),
	.places = places,
	.nplaces = QM_PLACES,
	.roles = roles,
	.nroles = QM_ROLES,
	.loose_place = QM_INFO,
	/* qmail's programs open what they know by name, and list only these places. */
	.hidden = "spoolck",
	.one_id = true,
	.many_owners = true,
	.pid_file = "lock/sendmutex",
	.default_roots = default_roots,
	.stop_command = "qmailctl stop",
	.start_command = "qmailctl start",
	.wake_command = "qmailctl restart",
	.bid = bid,
	.id_of = id_of,
	.path_at = path_at,
	.inode_in_name = id_ok,
	.in_flight = in_flight,
	.check_scratch = sizeof(struct qm_check),
	.check = qm_check,
	.cross = cross,
	.orphan = orphan,
	.decode_scratch = sizeof(struct qm_show),
	.decode = qm_decode,
	.body_scratch = sizeof(struct qm_show),
	.body = qm_body,
	.restore_note = "qmail-send looks into info/ only when it starts.",
};
