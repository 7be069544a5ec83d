/*
 * fmt_iis.c - the mail folders of IIS SMTP, Exchange 2000/2003 and Exchange 2007 and later: layout, names
 *
 * Written from what Microsoft has published (platform SDK, knowledge base, documentation of Exchange); no
 * server of these has judged the files, which Linux cannot run.
 *
 *	Queue/NTFS_3d2a01c5.EML             a message that waits, RFC 822
 *	Queue/NTFS_3d2a01c5.EML:PROPERTIES  its envelope: a named stream of the same file
 *	Queue/...EML:PROPERTIES-LIVE        the same
 *	Queue/...LTR ...RTR                 transcripts of sessions (IIS 4)
 *	Pickup/any.txt any.eml              a message to be sent, with or without x-sender, x-receiver lines
 *	Replay/any.eml                      an exported message (Exchange 2007 and later), X- lines first
 *	Drop/any.eml                        delivered mail, with x-sender, x-receiver lines
 *	Badmail/stem.BAD stem.BDP stem.BDR  what could neither be delivered nor returned; its properties; why
 *
 * How the bytes of a property stream are laid out is not published, nor which of the two
 * counts, nor when one of them may be missing. So nothing here reads a field of them: what is checked
 * (iis_stream.c) holds whatever the layout is. That a layout may leave room unused is why zero bytes at
 * the end of a stream are suspect and no more.
 *
 * There is no lock that another system would see: nothing is moved unless the operator says that the
 * service is stopped. A rename on the volume keeps all streams.
 *
 * The names of folders and files are what Windows makes of them: in any case.
 */
#include "iis.h"
#include "name.h"

static const struct place places[IIS_PLACES] = {
	[IIS_QUEUE] = { .name = "Queue", .kind = PLACE_QUEUE, .lock = MOVE_STOPPED, .streams = true },
	[IIS_PICKUP] = { .name = "Pickup", .kind = PLACE_QUEUE, .lock = MOVE_STOPPED },
	[IIS_REPLAY] = { .name = "Replay", .kind = PLACE_QUEUE, .lock = MOVE_STOPPED },
	[IIS_DROP] = { .name = "Drop", .kind = PLACE_HELD, .lock = MOVE_STOPPED },
	[IIS_BADMAIL] = { .name = "Badmail", .kind = PLACE_HELD, .lock = MOVE_STOPPED,
			  .shelved = "given up (Badmail/)" },
};

#define STREAM { .name = "named stream", .checked = true, .whole = true, .stream = true, .records = true, \
		 .most = IIS_PROPERTIES_MOST }

static const struct role roles[IIS_ROLES] = {
	[IIS_TEXT] = { .name = "message", .checked = true },
	STREAM, STREAM, STREAM, STREAM, STREAM,
	[IIS_BDP] = { .name = "properties", .checked = true, .whole = true, .records = true },
	[IIS_BDR] = { .name = "reason", .checked = true, .whole = true },
};

/* --- Names ----------------------------------------------------------------------------- */

/* Is what is left this word, in any case? */
static bool is_name(struct cur c, const char *word)
{
	return iis_word(&c, word) && cur_left(&c) == 0;
}

/* Does it end so, with something before it? */
static bool ends(struct cur c, const char *end)
{
	size_t len = cur_left(&c), n = strlen(end);

	return len > n && cur_skip(&c, len - n) && iis_word(&c, end);
}

/* A file without its stream: what is it? */
static enum name_kind kind_of(unsigned place, struct cur file)
{
	bool eml = ends(file, ".eml"), bad = ends(file, ".bad"), tmp = ends(file, ".tmp");

	switch (place) {
	case IIS_QUEUE:
		return eml ? NAME_MESSAGE :
		       tmp || ends(file, ".ltr") || ends(file, ".rtr") ? NAME_TRANSIENT : NAME_FOREIGN;
	case IIS_PICKUP: /* IIS takes a file of any name */
		return tmp ? NAME_TRANSIENT : cur_left(&file) > 0 ? NAME_MESSAGE : NAME_FOREIGN;
	case IIS_REPLAY:
		return eml || bad ? NAME_MESSAGE : tmp ? NAME_TRANSIENT : NAME_FOREIGN;
	case IIS_DROP:
		return eml ? NAME_MESSAGE : tmp ? NAME_TRANSIENT : NAME_FOREIGN;
	case IIS_BADMAIL:
		return bad ? NAME_MESSAGE : NAME_FOREIGN;
	default:
		return NAME_FOREIGN;
	}
}

static struct name id_of(unsigned place, const char *path)
{
	struct name name = { NAME_FOREIGN, IIS_TEXT, path, 0 };
	struct cur all = name_make(path, strlen(path)), file;
	size_t n;

	name_last(&all);
	name.id = name_at(&all);
	name.id_len = cur_left(&all);
	if (name.id != path)
		return name;
	n = cur_find(&all, ':');
	file = cur_sub(&all, n);
	name.kind = kind_of(place, file);
	if (place == IIS_BADMAIL && n == name.id_len && (ends(file, ".bdp") || ends(file, ".bdr"))) {
		name.kind = NAME_COMPANION;
		name.role = ends(file, ".bdp") ? IIS_BDP : IIS_BDR;
	}
	if (n < name.id_len && name.kind == NAME_MESSAGE) {
		name.kind = n + 1 < name.id_len ? NAME_COMPANION : NAME_FOREIGN;
		name.role = IIS_STREAM;
	}
	if (name.kind == NAME_MESSAGE || name.kind == NAME_COMPANION)
		name.id_len = place == IIS_BADMAIL ? n - 4 : n;
	return name;
}

/* Streams have no path of their own. */
static size_t path_of(unsigned place, unsigned role, const char *id, size_t id_len, unsigned depth,
		      char *buf, size_t cap)
{
	static const char *const ext[] = { [IIS_TEXT] = ".BAD", [IIS_BDP] = ".BDP", [IIS_BDR] = ".BDR" };
	bool triple = place == IIS_BADMAIL;
	size_t at;

	(void)depth;
	if (place >= IIS_PLACES || id_len == 0 || id_len > ID_MAX ||
	    (role != IIS_TEXT && !(triple && (role == IIS_BDP || role == IIS_BDR))))
		return 0;
	at = put_str(buf, cap, 0, places[place].name);
	at = put_char(buf, cap, at, '/');
	at = put_bytes(buf, cap, at, id, id_len);
	at = put_str(buf, cap, at, triple ? ext[role] : "");
	return put_end(buf, cap, at);
}

/* All of it; so an id is looked for among the names that are there, in any case. */
static size_t stem(const char *id, size_t id_len)
{
	(void)id;
	return id_len;
}

/* Pickup and one of the folders that come with it. */
static unsigned bid(const char *const *names, size_t count)
{
	static const struct {
		const char *name;
		unsigned bits;
	} known[] = { { "pickup", 8 }, { "queue", 8 }, { "replay", 8 }, { "badmail", 8 }, { "drop", 4 },
		      { "sorttemp", 4 }, { "route", 2 }, { "mailbox", 2 } };
	enum { KNOWN = sizeof known / sizeof known[0] };
	uint32_t seen = 0;
	unsigned bits = 0;

	for (size_t i = 0; i < count; i++)
		for (unsigned k = 0; k < KNOWN; k++)
			if (is_name(name_make(names[i], strlen(names[i])), known[k].name))
				seen |= 1u << k;
	for (unsigned k = 0; k < KNOWN; k++)
		bits += (seen >> k & 1) * known[k].bits;
	return (seen & 1) != 0 && (seen & 0xe) != 0 ? bits : 0;
}

/* --- Files ---------------------------------------------------------------------------------- */

/* A file gets its name before its contents. */
static bool in_flight(unsigned place, const struct part *p, const struct site *s)
{
	return place != IIS_BADMAIL && p->mtime > s->now - IIS_FRESH && p->mtime <= s->now;
}

bool iis_settled(const struct message *m)
{
	return m->force || m->parts[IIS_TEXT].mtime <= m->site.now - IIS_SETTLED ||
	       m->parts[IIS_TEXT].mtime > m->site.now;
}

static void orphan(unsigned place, unsigned role, const struct part *p, const struct site *s,
		   struct report *r)
{
	(void)s;
	if (place == IIS_BADMAIL && (role == IIS_BDP || role == IIS_BDR))
		report_add(r, F_IIS_BADMAIL_ORPHAN, role, 0, p->size);
	else
		report_add(r, F_IIS_STREAM_ORPHAN, IIS_TEXT, 0, p->size);
}

/* Two places may have files of one name: nothing is shared between them. */
static void cross(const struct sighting *a, const struct sighting *b, struct report *r)
{
	(void)a, (void)b, (void)r;
}

/* --- The format -------------------------------------------------------------------------------- */

const struct format fmt_iis = {
	.name = "iis",
	.server = "IIS SMTP or Exchange",
	.tested = "6.0",
	.tested_version = VERSION(6, 0, 0),
	.places = places,
	.nplaces = IIS_PLACES,
	.any_case = true,
	.roles = roles,
	.nroles = IIS_ROLES,
	.loose_place = IIS_QUEUE,
	/* The service opens its folders by name and never lists the one above. */
	.hidden = "spoolck",
	.several_below = true,
	.stop_command = "net stop smtpsvc (on the Windows server; Exchange 2007 and later: MSExchangeTransport)",
	.start_command = "net start smtpsvc (on the Windows server; Exchange 2007 and later: MSExchangeTransport)",
	.bid = bid,
	.id_of = id_of,
	.stem = stem,
	.path_of = path_of,
	.in_flight = in_flight,
	.check_scratch = sizeof(struct iis_check),
	.check = iis_check,
	.cross = cross,
	.orphan = orphan,
	.decode_scratch = sizeof(struct iis_show),
	.decode = iis_decode,
	.body_scratch = sizeof(struct iis_show),
	.body = iis_body,
	.restore_note = "The service takes up messages in Queue when it starts.",
};
