/*
 * iis_submit.c - check(): files that are dropped for the server to send, and that it has dropped
 *
 * IIS: a text with header, before it perhaps x-sender and x-receiver, which are the envelope. Without these
 * From (or Sender) and To, Cc, Bcc are; a file with no sender goes to Badmail. Exchange 2007 and later: in Pickup
 * the header alone decides; in Replay there have to be X-Sender, once, and X-Receiver, before all other fields, with more
 * fields that an export writes. Which of the two servers owns a folder is not to be seen, so
 * Pickup is held only against what both refuse.
 */
#include "iis.h"

struct seen {
	uint64_t senders, receivers, from, to;   /* fields */
	uint64_t addresses;                      /* in To, Cc, Bcc */
	uint64_t others;                         /* fields that no export writes */
	uint64_t exported;                       /* ... that nothing else writes */
	uint64_t end;                            /* offset behind the last one that is listed */
	struct iis_field last;                   /* X-EndOfInjectedXHeaders */
	bool ended, after;                       /* it was met; an export's field came after it */
	bool header_ends;
};

#define NAME_BYTES 24u /* of a name in a table, terminated */

static const char export_names[][NAME_BYTES] = {
	"x-createdby", "x-endofinjectedxheaders", "x-extendedprops", "x-extendedmessageprops", "x-helodomain",
	"x-source", "x-sourceipaddress",
};
static const char recipient_names[][NAME_BYTES] = { "to", "cc", "bcc" };

static bool is_export(const struct iis_field *f)
{
	for (size_t i = 0; i < sizeof export_names / NAME_BYTES; i++)
		if (iis_is(f, export_names[i]))
			return true;
	return false;
}

static bool is_recipient(const struct iis_field *f)
{
	for (size_t i = 0; i < sizeof recipient_names / NAME_BYTES; i++)
		if (iis_is(f, recipient_names[i]))
			return true;
	return false;
}

/* --- X-ExtendedProps ------------------------------------------------------------------------ */

static void check_props(const struct iis_work *x, const struct iis_field *f)
{
	struct iis_token t;
	struct iis_props p;
	struct finding *bad;
	struct cur base64;
	enum iis_props_end end;

	if (!iis_props_of(f, &base64))
		return;
	p = iis_props(base64);
	do
		end = iis_props_next(&p, &t);
	while (end == IIS_PROPS_TOKEN);
	switch (end) {
	case IIS_PROPS_OVERRUN:
		bad = iis_note(x, F_IIS_EXTENDED_OVERRUN, IIS_TEXT, t.off, t.len);
		text_str(&bad->expected, "at most ");
		text_u64(&bad->expected, t.room);
		text_str(&bad->expected, " bytes");
		text_u64(&bad->found, t.declared);
		break;
	case IIS_PROPS_NO_VALUE:
		bad = iis_note(x, F_IIS_EXTENDED_VALUE, IIS_TEXT, t.off, 0);
		break;
	case IIS_PROPS_TYPE:
		bad = iis_note(x, F_IIS_EXTENDED_TYPE, IIS_TEXT, t.off, t.len);
		text_u64(&bad->found, t.type);
		break;
	case IIS_PROPS_BASE64:
		bad = iis_note(x, F_IIS_EXTENDED_BASE64, IIS_TEXT, cur_offset(&base64), cur_left(&base64));
		break;
	default:
		return;
	}
	iis_say(&bad->field, f->name);
}

/* --- Fields ------------------------------------------------------------------------------------ */

static void keep(uint8_t *to, uint16_t *len, struct cur path)
{
	size_t n = cur_left(&path);

	if (n > ADDRESS_MAX)
		n = ADDRESS_MAX;
	*len = (uint16_t)n;
	cur_copy(&path, to, n);
}

static void envelope(const struct iis_work *x, const struct iis_field *f)
{
	struct report *r = x->r;

	if (iis_is(f, "x-sender") && !r->has_sender) {
		r->has_sender = true;
		keep(r->sender, &r->sender_len, iis_path(f->value));
	} else if (iis_is(f, "x-receiver")) {
		if (r->recipients++ == 0)
			keep(r->recipient, &r->recipient_len, iis_path(f->value));
	}
}

static uint64_t count_addresses(struct cur value)
{
	struct cur address;
	uint64_t n = 0;

	while (iis_address(&value, &address))
		n++;
	return n;
}

static void take(struct seen *s, const struct iis_field *f)
{
	bool export = is_export(f);

	s->senders += iis_is(f, "x-sender");
	s->receivers += iis_is(f, "x-receiver");
	s->from += iis_is(f, "from") || iis_is(f, "sender");
	s->to += is_recipient(f);
	if (is_recipient(f))
		s->addresses += count_addresses(f->value);
	s->exported += export;
	s->others += !export && !iis_is(f, "x-sender") && !iis_is(f, "x-receiver");
	if (s->ended && export)
		s->after = true;
	if (iis_is(f, "x-endofinjectedxheaders") && !s->ended) {
		s->ended = true;
		s->last = *f;
	}
	s->end = f->off + f->len;
}

/* --- What they say together -------------------------------------------------------------------- */

static void syntax(const struct iis_work *x, const char *expected, uint64_t found)
{
	struct finding *f = iis_note(x, x->m->place == IIS_REPLAY ? F_IIS_REPLAY_SYNTAX :
								    F_IIS_PICKUP_SYNTAX, IIS_TEXT, 0, 0);

	text_str(&f->expected, expected);
	if (found == 0)
		text_str(&f->found, "none");
	else
		text_u64(&f->found, found);
	if (iis_is_refused(x->m)) { /* this is why, perhaps */
		f->severity = SEV_NOTICE;
		f->impact = IMPACT_NONE;
	}
}

static void check_pickup(const struct iis_work *x, const struct seen *s)
{
	struct finding *f;

	if (s->exported > 0 && s->receivers > 0)
		iis_note(x, F_IIS_REPLAY_IN_PICKUP, IIS_TEXT, 0, s->end);
	else if (s->from == 0 && s->senders == 0)
		syntax(x, "a field From, Sender or x-sender", 0);
	else if (s->to == 0 && s->receivers == 0)
		syntax(x, "a field To, Cc, Bcc or x-receiver", 0);
	if (s->end > IIS_PICKUP_HEADER || s->addresses > IIS_PICKUP_RECIPIENTS) {
		f = iis_note(x, F_IIS_PICKUP_LIMIT, IIS_TEXT, 0, s->end);
		text_str(&f->expected, s->end > IIS_PICKUP_HEADER ? "a header of at most 64 KB" :
								    "at most 100 recipients");
		text_u64(&f->found, s->end > IIS_PICKUP_HEADER ? s->end : s->addresses);
	}
}

/* The number in X-EndOfInjectedXHeaders; what it counts is not known. */
static void check_last(const struct iis_work *x, const struct seen *s)
{
	struct cur c = s->last.value;
	bool number = cur_left(&c) > 0;
	struct finding *f;

	while (cur_left(&c) > 0) {
		uint8_t ch = cur_u8(&c);

		number = number && ch >= '0' && ch <= '9';
	}
	if (number && !s->after)
		return;
	f = iis_note(x, F_IIS_REPLAY_ORDER, IIS_TEXT, s->last.off, s->last.len);
	text_str(&f->field, "X-EndOfInjectedXHeaders");
	text_str(&f->expected, number ? "to be the last field of the export" : "a decimal number");
}

static void check_replay(const struct iis_work *x, const struct seen *s)
{
	if (s->senders != 1)
		syntax(x, "one field X-Sender", s->senders);
	if (s->receivers == 0)
		syntax(x, "a field X-Receiver", 0);
	if (s->ended)
		check_last(x, s);
}

/* Fields of one file that matter by themselves. */
static void check_field(const struct iis_work *x, const struct seen *s, const struct iis_field *f)
{
	bool injected = is_export(f) || iis_is(f, "x-sender") || iis_is(f, "x-receiver");
	struct cur value = f->value;
	struct finding *bad;

	if (x->m->place == IIS_PICKUP || x->m->place == IIS_REPLAY)
		check_props(x, f);
	if (x->m->place != IIS_REPLAY)
		return;
	if (iis_is(f, "x-createdby") && iis_word(&value, "msexchange"))
		iis_note(x, F_IIS_REPLAY_TRUSTED, IIS_TEXT, f->off, f->len);
	if (injected && s->others > 0) {
		bad = iis_note(x, F_IIS_REPLAY_ORDER, IIS_TEXT, f->off, f->len);
		iis_say(&bad->field, f->name);
		text_str(&bad->expected, "to stand before all other fields");
	}
}

void iis_check_submission(const struct iis_work *x)
{
	bool cut = x->m->parts[IIS_TEXT].size > IIS_HEADER_MAX;
	struct cur c = x->head;
	struct seen s = { 0 };
	struct iis_field f;
	enum iis_line line;

	if (x->m->place == IIS_QUEUE || x->m->place == IIS_BADMAIL || cur_left(&c) == 0 || cur_peek(&c) == 0)
		return;
	while ((line = iis_field(&c, &f)) == IIS_FIELD) {
		if (cut && cur_left(&c) == 0)
			break; /* it may go on behind what was read */
		check_field(x, &s, &f);
		envelope(x, &f);
		take(&s, &f);
	}
	/* A header that goes on beyond what was read may hold all that is missed. */
	if (cut && line != IIS_BODY && cur_find(&c, '\n') == cur_left(&c))
		return;
	if (line == IIS_NO_FIELD) {
		struct finding *bad = x->m->place == IIS_PICKUP ?
			iis_note(x, F_IIS_TEXT_HEADER, IIS_TEXT, cur_offset(&c), 0) : NULL;

		if (bad != NULL)
			iis_say(&bad->found, cur_sub(&c, cur_word(&c, '\n')));
	}
	if (x->m->place == IIS_PICKUP)
		check_pickup(x, &s);
	else if (x->m->place == IIS_REPLAY)
		check_replay(x, &s);
}
