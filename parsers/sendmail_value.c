/*
 * sendmail_value.c - the rules of each record of a control file
 *
 * What makes Sendmail set the file aside, what it drops without a word, and what it takes for
 * something else: as readqf() reads it, record by record.
 */
#include "sendmail.h"

static bool said(const struct report *r, enum finding_id id)
{
	for (unsigned i = 0; i < r->count && i < REPORT_MAX; i++)
		if (r->findings[i].id == id)
			return true;
	return false;
}

struct finding *sm_note(const struct sm_work *x, enum finding_id id, unsigned part, uint64_t off,
			uint64_t len)
{
	const struct finding_def *def = finding_def(id);
	struct finding *f;

	/* What the server has put aside is no longer in its way, and nobody's to move but the
	 * postmaster's; a quarantined message is not read, but may be released. */
	if (x->quiet || (def->severity != SEV_CORRUPT && said(x->r, id))) {
		f = &x->r->spare;
		memset(f, 0, sizeof *f);
		return f;
	}
	f = report_add(x->r, id, part, off, len);
	if (x->shelf == SM_ASIDE)
		f->severity = SEV_NOTICE;
	if (x->shelf != SM_ACTIVE)
		f->impact = IMPACT_NONE;
	return f;
}

struct finding *sm_note_line(const struct sm_work *x, enum finding_id id, const struct sm_line *line)
{
	struct finding *f = sm_note(x, id, SM_CONTROL, line->off, line->len);

	if (line->letter > ' ' && line->letter < 0177) {
		const uint8_t letter = (uint8_t)line->letter;

		text_bytes(&f->field, &letter, 1);
		text_str(&f->field, " line");
	}
	return f;
}

struct finding *sm_note_value(const struct sm_work *x, enum finding_id id,
			      const struct sm_line *line, const char *expected)
{
	struct finding *f = sm_note_line(x, id, line);

	f->offset = cur_offset(&line->value);
	f->length = cur_left(&line->value);
	text_str(&f->expected, expected);
	sm_say(&f->found, line->value);
	return f;
}

/* --- Which records were there -------------------------------------------------------- */

static uint64_t bit_of(int letter)
{
	return letter >= 64 && letter < 127 ? (uint64_t)1 << (letter - 64) : letter == '!';
}

bool sm_seen(const struct sm_work *x, int letter)
{
	return (x->seen & bit_of(letter)) != 0;
}

static void count_record(struct sm_work *x, const struct sm_line *line)
{
	static const char single[] = "VTKNPSBFZA!qId";
	uint64_t bit = bit_of(line->letter);

	if ((x->seen & bit) != 0 && memchr(single, line->letter, sizeof single - 1) != NULL)
		sm_note_line(x, F_SENDMAIL_TWICE, line);
	x->seen |= bit;
}

/* What Sendmail refuses. A version that is newer than what is known here may take it. */
static struct finding *refuse(const struct sm_work *x, struct finding *f)
{
	if (x->newer && f->severity == SEV_CORRUPT)
		f->severity = SEV_SUSPECT;
	return f;
}

/* --- Numbers --------------------------------------------------------------------------- */

static void check_version(struct sm_work *x, const struct sm_line *line)
{
	struct sm_number v = sm_number(line->value);

	/* atoi() gives the low half of what strtol() gives. */
	x->version = (int)(int32_t)(uint32_t)(uint64_t)v.n;
	if (x->version > SM_VERSION)
		text_u64(&refuse(x, sm_note_value(x, F_SENDMAIL_VERSION, line, "at most "))->expected,
			 SM_VERSION);
	else if (x->version < 1 || !v.clean)
		sm_note_value(x, F_SENDMAIL_VERSION_ODD, line, "a number from 1 to 8");
	else if (line->off > 0)
		sm_note_line(x, F_SENDMAIL_VERSION_ODD, line);
}

static void check_time(const struct sm_work *x, const struct sm_line *line)
{
	struct sm_number t = sm_number(line->value);

	if (t.n < SM_FIRST || t.out_of_range) {
		sm_note_value(x, F_SENDMAIL_TIME, line, "seconds since 1970");
		return;
	}
	x->r->has_arrival = true;
	x->r->arrival = t.n;
	if (!t.clean)
		sm_note_value(x, F_SENDMAIL_NUMBER, line, "a number");
	else if (t.n > x->m->site.now && t.n - x->m->site.now > SM_DAY)
		sm_note_value(x, F_SENDMAIL_TIME_AHEAD, line, "a time that has passed");
}

static void check_number(const struct sm_work *x, const struct sm_line *line)
{
	struct sm_number n = sm_number(line->value);

	if (!n.some && cur_left(&line->value) > 0)
		sm_note_value(x, F_SENDMAIL_NO_NUMBER, line, "a number");
	else if (!n.clean)
		sm_note_value(x, F_SENDMAIL_NUMBER, line, "a number");
}

/* I: device and inode of the text. Nobody reads it. */
static void check_inode(const struct sm_work *x, const struct sm_line *line)
{
	struct cur c = line->value;
	bool good = true;

	for (unsigned i = 0; i < 3; i++) {
		size_t n = cur_find(&c, '/');

		good &= (i < 2) == (n < cur_left(&c)) && sm_digits(cur_sub(&c, n));
		cur_skip(&c, cur_left(&c) > 0);
	}
	if (!good)
		sm_note_value(x, F_SENDMAIL_INODE, line, "three numbers and two slashes");
}

/* A flag byte, a blank, seconds. */
static void check_deliver_by(const struct sm_work *x, const struct sm_line *line)
{
	struct cur c = line->value;

	cur_skip(&c, 1);
	if (cur_u8(&c) != ' ' || !sm_number(c).clean)
		sm_note_value(x, F_SENDMAIL_DELIVERBY, line, "a flag byte, a blank and seconds");
}

/* --- People ------------------------------------------------------------------------------ */

static void check_sender(struct sm_work *x, const struct sm_line *line)
{
	struct cur bare = sm_bare(line->value);
	size_t n = cur_left(&bare) < ADDRESS_MAX ? cur_left(&bare) : ADDRESS_MAX;

	x->r->has_sender = true;
	x->r->sender_len = (uint16_t)n;
	cur_copy(&bare, x->r->sender, n);
	/* The null sender is <>. */
	if (!sm_is(line->value, "<>") && !sm_address_good(line->value))
		sm_note_value(x, F_SENDMAIL_SENDER_ODD, line, "an address");
}

static bool has_8bit(struct cur c)
{
	while (cur_left(&c) > 0)
		if (cur_u8(&c) >= 128)
			return true;
	return false;
}

static void check_recipient(struct sm_work *x, const struct sm_line *line)
{
	struct sm_recipient rcpt = sm_recipient(line->value, x->version);
	struct cur bare = sm_bare(rcpt.address);
	struct finding *f;

	x->has_waiting = false;
	if (!rcpt.colon || sm_address_void(rcpt.address)) {
		sm_note_value(x, F_SENDMAIL_RECIPIENT, line, "flags, a colon and an address");
		return;
	}
	if (cur_left(&rcpt.address) > SM_ADDRESS_MAX) {
		f = sm_note_value(x, F_SENDMAIL_RECIPIENT, line, "an address of at most ");
		text_u64(&f->expected, SM_ADDRESS_MAX);
		text_str(&f->expected, " bytes");
		if (has_8bit(rcpt.address) && f->severity == SEV_CORRUPT)
			f->severity = SEV_SUSPECT; /* some bytes count double */
		return;
	}
	if (x->r->recipients++ == 0) {
		x->r->recipient_len = (uint16_t)cur_left(&bare);
		cur_copy(&bare, x->r->recipient, cur_left(&bare));
	}
	if (rcpt.odd_flag)
		sm_note_value(x, F_SENDMAIL_FLAG, line, "flags among PNSFDBAY");
	if (line->folded) { /* whether it can be read depends on what follows */
		x->tailed++;
		sm_note_value(x, F_SENDMAIL_RECIPIENT, line, "an address in one line");
	} else if (!sm_address_good(rcpt.address)) {
		sm_note_value(x, F_SENDMAIL_RECIPIENT_ODD, line, "an address");
	}
}

/* Empty; :alias; user:uid:gid:alias (from version 2 on). */
static void check_controller(const struct sm_work *x, const struct sm_line *line)
{
	struct cur c = line->value;
	bool good = true;

	if (cur_left(&c) == 0 || cur_peek(&c) == ':' || x->version < 2)
		return;
	cur_skip(&c, cur_find(&c, ':'));
	for (unsigned i = 0; i < 2; i++) {
		size_t n;

		cur_skip(&c, cur_left(&c) > 0);
		n = cur_find(&c, ':');
		good &= sm_digits(cur_sub(&c, n));
	}
	if (!good || cur_left(&c) < 2)
		sm_note_value(x, F_SENDMAIL_CONTROLLER, line, "user:uid:gid:alias");
}

/* --- Headers --------------------------------------------------------------------------------- */

/* Does the header promise a text? Then an empty one was lost. */
static bool promises(const struct sm_header *h)
{
	struct cur value = h->value;

	cur_skip_blanks(&value);
	if (sm_is(h->name, "content-type"))
		return sm_starts(value, "multipart/");
	return sm_is(h->name, "content-length") && sm_number(value).n > 0;
}

static void check_header(struct sm_work *x, const struct sm_line *line)
{
	static const char *const expected[] = {
		[SM_HEADER_GOOD] = "", [SM_HEADER_FLAGS] = "a second question mark",
		[SM_HEADER_CONDITION] = "letters or one macro between the question marks",
		[SM_HEADER_COLON] = "a name and a colon",
	};
	struct sm_header h = sm_header(line->value);

	x->headers++;
	if (x->has_waiting)
		sm_note_line(x, F_SENDMAIL_WAITING, &x->waiting);
	x->has_waiting = false;
	if (h.state != SM_HEADER_GOOD)
		sm_note_value(x, F_SENDMAIL_HEADER, line, expected[h.state]);
	else if (cur_left(&h.name) > SM_FIELD_MAX)
		sm_note_value(x, F_SENDMAIL_HEADER_LONG, line, "a name of at most 100 bytes");
	else if (promises(&h))
		x->k->expects_text = true;
}

/* --- All of them ------------------------------------------------------------------------------ */

/* The spoofing that Sendmail looks for: a line of an mbox file. */
static bool is_from_line(const struct sm_line *line)
{
	struct cur c = line->value;

	for (const char *s = "rom "; *s != '\0'; s++)
		if (cur_left(&c) == 0 || cur_u8(&c) != (uint8_t)*s)
			return false;
	return true;
}

/* Records that Sendmail refuses, and the whole file with them. */
static bool check_refused(const struct sm_work *x, const struct sm_line *line)
{
	struct finding *f;

	switch (line->letter) {
	case 'A':
		if (sm_xtext(line->value))
			return false;
		refuse(x, sm_note_value(x, F_SENDMAIL_AUTH, line, "xtext"));
		return true;
	case 'B':
		if (sm_is(line->value, "7bit") || sm_is(line->value, "8bitmime"))
			return false;
		refuse(x, sm_note_value(x, F_SENDMAIL_BODY_TYPE, line, "7BIT or 8BITMIME"));
		return true;
	case 'F':
		if (!is_from_line(line))
			return false;
		sm_note_line(x, F_SENDMAIL_FROM, line);
		return true;
	case 'd':
		/* Always below QueueDirectory. */
		if (cur_left(&line->value) > 0 && cur_peek(&line->value) != '/')
			return false;
		sm_note_value(x, F_SENDMAIL_DIRECTORY, line, "the name of a queue directory");
		return true;
	default:
		f = refuse(x, sm_note_line(x, F_SENDMAIL_RECORD, line));
		text_str(&f->expected, "one of A B C D d E F H I K L M N P Q q R r S T V Z ! $ .");
		if (line->letter < 0)
			text_str(&f->found, "an empty line");
		else if (line->letter == 0)
			text_str(&f->found, "a zero byte");
		else
			text_bytes(&f->found, &(const uint8_t){ (uint8_t)line->letter }, 1);
		return true;
	}
}

void sm_record(struct sm_work *x, const struct sm_line *line)
{
	static const char known[] = "CDEHIKLMNPQRrSTVZq!$";
	bool lost = line->letter <= 0 || memchr(known, line->letter, sizeof known - 1) == NULL;

	if (lost && check_refused(x, line)) {
		x->lost = true;
		return;
	}
	x->quiet |= !line->ended; /* cut off: that is what is to be said of it */
	count_record(x, line);
	if (line->folded && line->letter != 'H')
		sm_note_line(x, sm_swallows(line->value) ? F_SENDMAIL_SWALLOWED : F_SENDMAIL_FOLDED, line);
	switch (line->letter) {
	case 'V':
		check_version(x, line);
		x->lost |= x->version > SM_VERSION;
		break;
	case 'T':
		check_time(x, line);
		break;
	case 'K':
	case 'N':
	case 'P':
		check_number(x, line);
		break;
	case 'I':
		check_inode(x, line);
		break;
	case '!':
		check_deliver_by(x, line);
		break;
	case 'S':
		check_sender(x, line);
		break;
	case 'Q':
	case 'r':
		if (x->has_waiting && x->waiting.letter == line->letter)
			sm_note_line(x, F_SENDMAIL_WAITING, &x->waiting);
		x->has_waiting = !line->folded;
		x->waiting = *line;
		break;
	case 'R':
		check_recipient(x, line);
		break;
	case 'C':
		check_controller(x, line);
		break;
	case 'H':
		check_header(x, line);
		break;
	case 'd':
		x->other_place = true;
		break;
	case '$':
		if (!sm_macro(line->value))
			sm_note_value(x, F_SENDMAIL_MACRO, line, "one character, or {a name}");
		break;
	default:
		break;
	}
}
