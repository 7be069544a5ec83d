/*
 * fmt_exim.c - the spool of Exim 4: layout, places and names
 *
 * Written from the sources of Exim 4.80 to 4.99; tried on files of 4.96 and
 * 4.98.2. A message is up to four files; ID has 16 characters (tttttt-pppppp-ss)
 * or, from 4.97 on, 23 (tttttt-ppppppppppp-ssss), t = seconds in base 62.
 *
 *	input/ID-H           or input/<6th character of ID>/ID-H
 *	+--------------------------------+
 *	| ID-H                           |
 *	| login uid gid                  |
 *	| <sender>                       |
 *	| seconds warnings               |
 *	| -option [value]                |  any number, any order; --option: tainted
 *	| -aclm NAME LENGTH              |
 *	|   LENGTH bytes of any kind     |
 *	| XX  or  YN address             |  those who have it: a tree in pre-order
 *	| number of recipients           |
 *	| address [orcpt n,f errto n,p#3]|  read from the right
 *	|                                |
 *	| 023T To: ...                   |  length (of the text), type, text; to the
 *	+--------------------------------+  end of the file
 *	ID-D   "ID-D\n" and the text: lines end in \n, or in \r\n when -H says
 *	       -spool_file_wireformat
 *	ID-J   while it is being delivered: an address a line that is done
 *
 * -D comes first, -H makes the message visible, -J exists during a delivery; at
 * the end -D goes, then -H, then -J. -H is only ever replaced by rename (from
 * hdr.ID), -D never written again, -J only appended to. Whoever works on a
 * message holds a write lock on the first line of -D.
 *
 * A named queue (-qG, queue = NAME in an ACL) is a directory NAME beside input/ with an
 * input/ and a msglog/ of its own: a spool in the spool.
 */
#include "exim.h"
#include "name.h"

/* --- Places ---------------------------------------------------------------- */

#define TO(place) (1u << (place))

/* Finput and Fmsglog hold what `move_frozen_messages` takes off the queue; scan/ID/ what
 * is unpacked of a message that is being received. */
static const struct place places[EX_PLACES] = {
	[EX_INPUT] = { .name = "input", .kind = PLACE_QUEUE, .lock = MOVE_LOCKED,
		       .next = TO(EX_FROZEN), .depth_max = 1, .hash_dir_one = true },
	[EX_FROZEN] = { .name = "Finput", .kind = PLACE_HELD, .lock = MOVE_LOCKED,
			.next = TO(EX_INPUT), .depth_max = 1, .hash_dir_one = true,
			.shelved = "frozen and moved away (Finput/)" },
	[EX_MSGLOG] = { .name = "msglog", .kind = PLACE_LOG, .depth_max = 1, .hash_dir_one = true },
	[EX_FROZEN_LOG] = { .name = "Fmsglog", .kind = PLACE_LOG, .depth_max = 1,
			    .hash_dir_one = true },
	[EX_SCAN] = { .name = "scan", .kind = PLACE_LOG, .depth_max = 1 },
};

static const struct role roles[EX_ROLES] = {
	[EX_HEAD] = { .name = "envelope", .checked = true, .whole = true },
	[EX_DATA] = { .name = "text", .checked = true, .alone = true },
	[EX_JOURNAL] = { .name = "journal", .checked = true, .whole = true, .alone = true },
	[EX_LOG] = { .name = "message log" },
};

/* --- Names ----------------------------------------------------------------- */

static bool is_id_char(char ch)
{
	return (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z');
}

/* What follows the id in the name of a part. */
static const char *const tails[EX_ROLES] = {
	[EX_HEAD] = "-H", [EX_DATA] = "-D", [EX_JOURNAL] = "-J", [EX_LOG] = "",
};

/* Of `len` characters, in groups that are parted by hyphens. */
static bool is_id(struct cur id)
{
	size_t len = cur_left(&id), last = len == EX_NEW_ID ? 18 : 13;

	if (len != EX_OLD_ID && len != EX_NEW_ID)
		return false;
	for (size_t i = 0; cur_left(&id) > 0; i++) {
		char ch = (char)cur_u8(&id);

		if (i == 6 || i == last ? ch != '-' : !is_id_char(ch))
			return false;
	}
	return true;
}

/* hdr.ID, and hdr.PID up to 4.92: an envelope being written. ID-PID-K: a text being
 * signed. */
static bool is_transient(struct cur name)
{
	static const size_t lengths[] = { EX_OLD_ID, EX_NEW_ID };
	struct cur rest = name;

	if (cur_left(&name) > 4 && name_is(cur_sub(&rest, 4), "hdr.")) {
		bool good = is_id(rest);

		name_digits(&rest);
		return good || cur_left(&rest) == 0;
	}
	for (unsigned k = 0; k < 2; k++) {
		rest = name;
		if (is_id(cur_sub(&rest, lengths[k])) && cur_u8(&rest) == '-' &&
		    name_digits(&rest) > 0 && name_is(rest, "-K"))
			return true;
	}
	return false;
}

static struct name id_of(unsigned place, const char *path)
{
	struct name n = { NAME_FOREIGN, EX_HEAD, path, 0 };
	struct cur file = name_make(path, strlen(path)), dir = file, id, rest;
	size_t start;

	name_last(&file);
	start = (size_t)cur_offset(&file);
	n.id = name_at(&file);
	n.id_len = cur_left(&file);
	if (place == EX_SCAN) {
		if (start > 0 && is_id(cur_sub(&dir, start - 1)))
			n.kind = NAME_TRANSIENT;
		return n;
	}
	if (place >= EX_PLACES || (start != 0 && (start != 2 || !is_id_char(path[0]))))
		return n;
	if (places[place].kind == PLACE_LOG) {
		if (is_id(file)) {
			n.kind = NAME_COMPANION;
			n.role = EX_LOG;
		}
		return n;
	}
	rest = file;
	id = cur_sub(&rest, n.id_len > 2 ? n.id_len - 2 : 0);
	for (unsigned role = EX_HEAD; role <= EX_JOURNAL; role++)
		if (name_is(rest, tails[role]) && is_id(id)) {
			n.role = role;
			n.kind = role == EX_HEAD ? NAME_MESSAGE : NAME_COMPANION;
			n.id_len = cur_left(&id);
			return n;
		}
	if (is_transient(file))
		n.kind = NAME_TRANSIENT;
	return n;
}

static size_t path_of(unsigned place, unsigned role, const char *id, size_t id_len, unsigned depth,
		      char *buf, size_t cap)
{
	size_t at;

	if (place >= EX_PLACES || role >= EX_ROLES || depth > 1 || !is_id(name_make(id, id_len)) ||
	    (role != EX_LOG && places[place].kind == PLACE_LOG))
		return 0;
	if (role == EX_LOG)
		place = place == EX_FROZEN || place == EX_FROZEN_LOG ? EX_FROZEN_LOG : EX_MSGLOG;
	at = put_str(buf, cap, 0, places[place].name);
	at = put_char(buf, cap, at, '/');
	if (depth == 1) {
		at = put_char(buf, cap, at, id[5]);
		at = put_char(buf, cap, at, '/');
	}
	at = put_bytes(buf, cap, at, id, id_len);
	at = put_str(buf, cap, at, tails[role]);
	return put_end(buf, cap, at);
}

/* input/ alone could be anybody's. With msglog/ beside it, or db/ and Exim's own
 * files, it is Exim's. */
static unsigned bid(const char *const *names, size_t count)
{
	static const struct {
		const char *name;
		unsigned bits;
	} known[] = { { "input", 12 }, { "msglog", 16 }, { "db", 6 }, { "scan", 4 },
		      { "exim-process.info", 24 }, { "exim_daemon_notify", 24 }, { "Finput", 16 },
		      { "gnutls-params-2048", 8 } };
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
	return (seen & 1) != 0 && bits >= 18 ? bits : 0;
}

/* Any directory that has an input/ can be a named queue. */
static bool inner(const char *name, const char *const *names, size_t count)
{
	(void)name;
	for (size_t i = 0; i < count; i++)
		if (strlen(names[i]) == 5 && memcmp(names[i], "input", 5) == 0)
			return true;
	return false;
}

/* --- Locks, and what is still being written ---------------------------------- */

/* The first line of -D, with its line end. */
static uint64_t lock_length(const char *id, size_t id_len)
{
	(void)id;
	return id_len + 3;
}

/* -H appears whole, by rename. */
static bool in_flight(unsigned place, const struct part *p, const struct site *s)
{
	(void)place, (void)p, (void)s;
	return false;
}

/* A -D exists before its -H for as long as the sender takes, and a -J after it for a
 * moment. Old ones were left by a crash. */
static void orphan(unsigned place, unsigned role, const struct part *p, const struct site *s,
		   struct report *r)
{
	struct finding *f;

	(void)place;
	if (p->mtime > s->now - EX_COMPLETION || (p->mode & 0170000) != 0100000)
		return;
	if (role == EX_DATA) {
		f = report_add(r, F_EXIM_DATA_ORPHAN, EX_DATA, 0, p->size);
		text_u64(&f->found, p->size);
		text_str(&f->found, " bytes");
	} else if (role == EX_JOURNAL) {
		report_add(r, F_EXIM_JOURNAL_ORPHAN, EX_JOURNAL, 0, p->size);
	}
}

/* hdr.*, -K and the files of content scanning live as long as one process of Exim. */
static void leftover(unsigned place, const struct part *p, const struct site *s, struct report *r)
{
	struct finding *f;

	(void)place;
	if (p->mtime > s->now - EX_LEFTOVER || (p->mode & 0170000) != 0100000)
		return;
	f = report_add(r, F_EXIM_LEFTOVER, EX_HEAD, 0, 0);
	text_u64(&f->found, p->size);
	text_str(&f->found, " bytes");
}

static void cross(const struct sighting *a, const struct sighting *b, struct report *r)
{
	struct finding *f;

	if (a->ino == b->ino)
		return;
	f = report_add(r, F_SPOOL_DUPLICATE_ID, EX_HEAD, 0, 0);
	text_str(&f->expected, a->path);
	text_str(&f->found, b->path);
}

/* --- The format -------------------------------------------------------------- */

static const char *const default_roots[] = { "/var/spool/exim4", "/var/spool/exim", NULL };
static const char *const version_command[] = { "exim", "-be", "$version_number", NULL };
static const char *const root_command[] = { "exim", "-bP", "spool_directory", NULL };
static const char *const keep_command[] = { "exim", "-bP", "keep_malformed", NULL };
static const struct source sources[] = {
	{ .command = root_command, .before = "spool_directory = " },
	{ .before = NULL },
};
static const struct source keep_source = { .command = keep_command, .before = "keep_malformed = " };

/* -D goes before -H. */
static const enum finding_id passing[] = { F_EXIM_DATA_MISSING, F_COUNT };

const struct format fmt_exim = {
	.name = "exim",
	.server = "Exim",
	.tested = "4.98",
	.tested_version = VERSION(4, 98, 0),
	.places = places,
	.nplaces = EX_PLACES,
	.roles = roles,
	.nroles = EX_ROLES,
	.loose_place = EX_INPUT,
	.lock = { LOCK_FCNTL, EX_DATA, lock_length },
	.passing = passing,
	/* Exim looks below its spool directory only for names that it knows and for
	 * queues that are named to it. */
	.hidden = "spoolck",
	.default_roots = default_roots,
	.sources = sources,
	.version_command = version_command,
	.keep_source = &keep_source,
	.stop_command = "systemctl stop exim4",
	.start_command = "systemctl start exim4",
	.wake_command = "exim -qf",
	.bid = bid,
	.inner = inner,
	.id_of = id_of,
	.path_of = path_of,
	.in_flight = in_flight,
	.check_scratch = sizeof(struct ex_check),
	.check = ex_check,
	.cross = cross,
	.orphan = orphan,
	.leftover = leftover,
	.decode_scratch = sizeof(struct ex_show),
	.decode = ex_decode,
	.body_scratch = sizeof(struct ex_show),
	.body = ex_body,
	.restore_note = "Exim finds it at its next queue run; `exim -M ID` tries it at once.",
};
