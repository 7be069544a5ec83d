/*
 * fmt_sendmail.c - the queue of Sendmail 8: layout, places and names
 *
 * Written from the sources of 8.17 and the release notes back to 8.6; tried on files of 8.17.1.
 * A message is a control file and a text in one queue directory, or in its subdirectories:
 *
 *	qfID  qf/qfID  control file: a record a line, the first letter says which
 *	hfID           ... of a message that was quarantined; read on demand only
 *	QfID           ... that Sendmail itself has set aside: "lost"
 *	tfID           the next control file, which will be renamed over qfID
 *	dfID  df/dfID  the text, without its header, lines end in LF; may be empty
 *	xfID  xf/xfID  the transcript of a session that is going on
 *
 *	V8                       version of the control file: first
 *	T1795161600              time of arrival     K last try  N tries  P priority
 *	I8/1/131334              the text's device and inode; nobody reads it
 *	B8BITMIME                body type           F flags     Z DSN id  A AUTH=
 *	$_client.example [..]    a macro             M the last error
 *	S<bob@example.org>       the sender: without it the queue runner dies
 *	Calice:1000:1000:staff   who is behind the recipients that follow
 *	Qrfc822;x@y              as asked for        rRFC822; x@z@y  as finally tried
 *	RPFD:alice@example.org   a recipient with its flags
 *	H?P?Return-Path: <g>     a header line with its condition; blank or tab continue it
 *	.                        the end: nothing may follow
 *
 * qfID is made under its own name, locked, and written at once; a delivery that leaves something to
 * do writes tfID and renames it over qfID. At the end the text goes, then qfID. Whoever works on a
 * message holds a lock on all of qfID, by flock() or by fcntl(), which depends on the build.
 *
 * One queue directory is one spool here. Where a configuration has several (queue groups, a *
 * at the end of QueueDirectory) each is found and told on its own.
 */
#include "name.h"
#include "sendmail.h"

/* --- Places ---------------------------------------------------------------- */

#define TO(place) (1u << (place))

static const char held[] = "quarantined by a rule (hf files)", lost[] = "put aside as damaged (Qf files)";

static const struct place places[SM_PLACES] = {
	[SM_QF] = { .name = ".", .kind = PLACE_QUEUE, .lock = MOVE_LOCKED,
		    .next = TO(SM_HF) | TO(SM_QF_LOST) },
	[SM_SUB_QF] = { .name = "qf", .kind = PLACE_QUEUE, .lock = MOVE_LOCKED,
			.next = TO(SM_SUB_HF) | TO(SM_SUB_LOST) },
	[SM_HF] = { .name = ".", .kind = PLACE_HELD, .lock = MOVE_LOCKED, .next = TO(SM_QF),
		    .shelved = held },
	[SM_SUB_HF] = { .name = "qf", .kind = PLACE_HELD, .lock = MOVE_LOCKED, .next = TO(SM_SUB_QF),
			.shelved = held },
	[SM_QF_LOST] = { .name = ".", .kind = PLACE_HELD, .lock = MOVE_LOCKED, .next = TO(SM_QF),
			 .shelved = lost },
	[SM_SUB_LOST] = { .name = "qf", .kind = PLACE_HELD, .lock = MOVE_LOCKED,
			  .next = TO(SM_SUB_QF), .shelved = lost },
	/* For texts and transcripts that have no control file. */
	[SM_DF] = { .name = "df", .kind = PLACE_HELD, .lock = MOVE_LOCKED },
	[SM_XF] = { .name = "xf", .kind = PLACE_HELD, .lock = MOVE_LOCKED },
};

static const struct role roles[SM_ROLES] = {
	[SM_CONTROL] = { .name = "control file", .checked = true, .whole = true },
	[SM_DATA] = { .name = "text", .checked = true },
	[SM_SUB_DATA] = { .name = "text in df/", .checked = true },
	[SM_SCRIPT] = { .name = "transcript" },
	[SM_SUB_SCRIPT] = { .name = "transcript in xf/" },
	[SM_TEMP] = { .name = "next control file", .checked = true },
};

/* --- Names ----------------------------------------------------------------- */

/* The letter of the messages of a place; 0 = it has none. */
static char letter_of(unsigned place)
{
	static const char letters[SM_PLACES] = { 'q', 'q', 'h', 'h', 'Q', 'Q', 0, 0 };

	return place < SM_PLACES ? letters[place] : '\0';
}

/* The companions that each walk is to tell of: those of a directory once. */
static bool companion(unsigned place, char letter, unsigned *role_r)
{
	switch (letter) {
	case 'd':
		*role_r = place == SM_DF ? SM_SUB_DATA : SM_DATA;
		return place == SM_QF || place == SM_DF;
	case 'x':
		*role_r = place == SM_XF ? SM_SUB_SCRIPT : SM_SCRIPT;
		return place == SM_QF || place == SM_XF;
	case 't':
		*role_r = SM_TEMP;
		return place == SM_QF || place == SM_SUB_QF;
	default:
		return false;
	}
}

/* Sendmail passes over all other names without a word; so do we. Only what looks like a control
 * file and has too long a name is one that it complains of. */
static struct name id_of(unsigned place, const char *path)
{
	static const char letters[] = "qhQtTdx";
	struct name n = { NAME_TRANSIENT, SM_CONTROL, path, 0 };
	struct cur file = name_make(path, strlen(path));
	char letter;

	name_last(&file);
	n.id = name_at(&file);
	n.id_len = cur_left(&file);
	letter = (char)cur_peek(&file);
	if (n.id_len < 3 || cur_ahead(&file, 1) != 'f' ||
	    memchr(letters, letter, sizeof letters - 1) == NULL)
		return n;
	if (n.id_len > SM_NAME_MAX) {
		if (letter == 'q' && letter_of(place) == 'q')
			n.kind = NAME_FOREIGN;
		return n;
	}
	if (letter == letter_of(place))
		n.kind = NAME_MESSAGE;
	else if (companion(place, letter, &n.role))
		n.kind = NAME_COMPANION;
	cur_skip(&file, 2);
	n.id = name_at(&file);
	n.id_len = cur_left(&file);
	return n;
}

static size_t path_of(unsigned place, unsigned role, const char *id, size_t id_len, unsigned depth,
		      char *buf, size_t cap)
{
	static const char *const heads[SM_ROLES] = { "", "df", "df/df", "xf", "xf/xf", "tf" };
	char letter = letter_of(place);
	bool below = place == SM_SUB_QF || place == SM_SUB_HF || place == SM_SUB_LOST;
	char anchor[3] = { letter, 'f', '\0' };
	size_t at;

	if (letter == '\0' || role >= SM_ROLES || depth > 0 || id_len == 0 || id_len > SM_ID_MAX ||
	    memchr(id, '/', id_len) != NULL)
		return 0;
	at = put_str(buf, cap, 0, below && (role == SM_CONTROL || role == SM_TEMP) ? "qf/" : "");
	at = put_str(buf, cap, at, role == SM_CONTROL ? anchor : heads[role]);
	at = put_bytes(buf, cap, at, id, id_len);
	return put_end(buf, cap, at);
}

/* Letters and digits, the last five of them digits. */
static bool id_strict(const char *id)
{
	size_t len = strlen(id);

	for (size_t i = 0; i < len; i++) {
		bool digit = id[i] >= '0' && id[i] <= '9';
		bool letter = (id[i] >= 'A' && id[i] <= 'Z') || (id[i] >= 'a' && id[i] <= 'z');

		if (!digit && (!letter || i + 5 >= len))
			return false;
	}
	return len >= 6 && len <= SM_ID_MAX;
}

/* Names of one letter, an f and an id of Sendmail's; or the three subdirectories. */
static unsigned bid(const char *const *names, size_t count)
{
	static const struct {
		char letter;
		unsigned name, dir;
	} known[] = { { 'q', 24, 8 }, { 'd', 12, 8 }, { 'h', 24, 0 }, { 'Q', 24, 0 }, { 'x', 2, 4 } };
	enum { KNOWN = sizeof known / sizeof known[0] };
	uint32_t names_seen = 0, dirs_seen = 0;
	unsigned bits = 0;

	for (size_t i = 0; i < count; i++)
		for (unsigned k = 0; k < KNOWN; k++) {
			if (names[i][0] != known[k].letter || names[i][1] != 'f')
				continue;
			if (names[i][2] == '\0')
				dirs_seen |= 1u << k;
			else if (id_strict(names[i] + 2))
				names_seen |= 1u << k;
		}
	for (unsigned k = 0; k < KNOWN; k++)
		bits += (names_seen >> k & 1) * known[k].name + (dirs_seen >> k & 1) * known[k].dir;
	return bits >= 16 ? bits : 0;
}

/* --- What is still being written ----------------------------------------------- */

/* Made, locked and written: for an instant it is empty. Sendmail itself waits ten minutes. */
static bool in_flight(unsigned place, const struct part *p, const struct site *s)
{
	(void)place;
	return p->size == 0 && p->mtime > s->now - SM_YOUNG && p->mtime <= s->now + SM_DAY;
}

/* A text comes before its control file and stays as long as its sender writes; the others live
 * for a session. Old ones were left by a crash. */
static void orphan(unsigned place, unsigned role, const struct part *p, const struct site *s,
		   struct report *r)
{
	struct finding *f;

	(void)place;
	if (p->mtime > s->now - SM_DAY || (p->mode & 0170000) != 0100000)
		return;
	f = report_add(r, role == SM_DATA || role == SM_SUB_DATA ? F_SENDMAIL_ORPHAN : F_SENDMAIL_LITTER,
		       role, 0, p->size);
	text_u64(&f->found, p->size);
	text_str(&f->found, " bytes");
}

/* The same id as qf, hf or Qf at once. */
static void cross(const struct sighting *a, const struct sighting *b, struct report *r)
{
	struct finding *f;

	if (a->ino == b->ino)
		return;
	f = report_add(r, F_SENDMAIL_TWIN, SM_CONTROL, 0, 0);
	text_str(&f->expected, "one of ");
	text_str(&f->expected, a->path);
	text_str(&f->expected, " and ");
	text_str(&f->expected, b->path);
}

/* --- Configuration ----------------------------------------------------------- */

/* --- The format -------------------------------------------------------------- */

static const char *const default_roots[] = { "/var/spool/mqueue", "/var/spool/mqueue-client",
					     "/var/spool/clientmqueue", NULL };
/* O QueueDirectory=PATH, OQPATH, and of a queue group: Qname, P=PATH, F=f */
#define SOURCES(file)                                       \
	{ file, NULL, "O QueueDirectory=", NULL },          \
	{ file, NULL, "O QueueDirectory = ", NULL },        \
	{ file, NULL, "OQ", NULL },                         \
	{ file, NULL, "Q*,P=", NULL },                      \
	{ file, NULL, "Q* P=", NULL },                      \
	{ file, NULL, "Q*Path=", NULL },                    \
	{ file, NULL, "Q*Path = ", NULL }
static const struct source sources[] = {
	SOURCES("/etc/mail/sendmail.cf"), SOURCES("/etc/mail/submit.cf"), SOURCES("/etc/sendmail.cf"),
	{ NULL, NULL, NULL, NULL }
};
static const char *const version_command[] = { "sendmail", "-d0.1", "-bt", NULL };

/* The text goes before its control file. */
static const enum finding_id passing[] = { F_SENDMAIL_TEXT_MISSING, F_COUNT };

const struct format fmt_sendmail = {
	.name = "sendmail",
	.server = "Sendmail",
	.tested = "8.17",
	.tested_version = VERSION(8, 17, 0),
	.places = places,
	.nplaces = SM_PLACES,
	.roles = roles,
	.nroles = SM_ROLES,
	.loose_place = SM_QF,
	.lock = { LOCK_BOTH, SM_CONTROL, NULL },
	.passing = passing,
	/* A queue directory is read for names with an f in second place. */
	.hidden = ".spoolck",
	.default_roots = default_roots,
	.sources = sources,
	.several_below = true,
	.version_command = version_command,
	.stop_command = "systemctl stop sendmail",
	.start_command = "systemctl start sendmail",
	.wake_command = "sendmail -q",
	.bid = bid,
	.id_of = id_of,
	.path_of = path_of,
	.in_flight = in_flight,
	.check_scratch = sizeof(struct sm_check),
	.check = sm_check,
	.cross = cross,
	.orphan = orphan,
	.decode_scratch = sizeof(struct sm_show),
	.decode = sm_decode,
	.body_scratch = sizeof(struct sm_show),
	.body = sm_body,
	.restore_note = "Sendmail finds it at its next queue run; `sendmail -v -qIID` tries it at once.",
};
