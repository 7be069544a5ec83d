/*
 * postfix_check.c - every rule of a Postfix queue file
 *
 * The file is read as the daemons read it, in phases that can pause anywhere
 * for another window:
 *
 *	START -> ENVELOPE -> TEXT -> [PROBE] -> EXTRACTED -> FINISH -> DONE
 *	             `-> ZERO (the file begins with zero bytes) -> DONE
 *
 * One damage, one finding: after the first structural damage of a segment the
 * rest of it is not judged. The next segment is still found, by the size record
 * or by the M and X records, whichever can be believed; what the two say about
 * each other is judged when both are known (M in end_of_envelope(), X in
 * after_text()). What a finding does to the server depends on the place: pickup
 * deletes what it cannot read, qmgr puts it aside, hold/ waits.
 */
#include "postfix.h"

enum phase {
	PH_START,
	PH_ENVELOPE,
	PH_ZERO,
	PH_TEXT,
	PH_PROBE,
	PH_EXTRACTED,
	PH_FINISH,
	PH_DONE,
};

/* --- Findings ---------------------------------------------------------------- */

static bool said(const struct report *r, enum finding_id id, uint64_t off, bool anywhere)
{
	for (unsigned i = 0; i < r->count && i < REPORT_MAX; i++)
		if (r->findings[i].id == id && (anywhere || r->findings[i].offset == off))
			return true;
	return false;
}

/* What a corrupt file means where this one lies. */
enum impact pf_impact_here(const struct pf_check *k, enum impact impact)
{
	if (k->held)
		return IMPACT_NONE;
	if (k->maildrop)
		return IMPACT_SERVER_DELETES;
	return impact;
}

/* Add a finding of the given weight. Anything milder than corrupt is said once
 * per message, and a corrupt one once per offset: a loop may pass it again. */
struct finding *pf_note_as(const struct pf_work *x, enum finding_id id, uint64_t off, uint64_t len,
			   enum severity severity, enum impact impact)
{
	struct finding *f;

	if (said(x->r, id, off, severity != SEV_CORRUPT)) {
		f = &x->r->spare;
		*f = (struct finding){ 0 };
		return f;
	}
	f = report_add(x->r, id, PF_MESSAGE, off, len);
	f->severity = (uint8_t)severity;
	f->impact = (uint8_t)impact;
	return f;
}

struct finding *pf_note(const struct pf_work *x, enum finding_id id, uint64_t off, uint64_t len)
{
	const struct finding_def *def = finding_def(id);
	enum impact impact = def->impact;

	if (def->severity == SEV_CORRUPT)
		impact = pf_impact_here(x->k, impact);
	return pf_note_as(x, id, off, len, def->severity, impact);
}

void pf_say_segment(struct text *t, enum pf_segment segment)
{
	text_str(t, segment == PF_ENV ? "initial envelope" :
		    segment == PF_TEXT ? "message text" : "extracted envelope");
}

/* Field of a finding about a record: its kind, where it is, how it was reached. */
static void say_record(const struct pf_work *x, struct finding *f, enum pf_segment segment)
{
	text_str(&f->field, "record in the ");
	pf_say_segment(&f->field, segment);
	if (x->k->arrived_by != 0) {
		text_str(&f->field, ", reached by the pointer at ");
		text_u64(&f->field, x->k->arrived_by);
	}
}

void pf_say_record(struct finding *f, const struct pf_record *rec)
{
	text_str(&f->found, "type ");
	pf_say_type(&f->found, rec->type);
	text_str(&f->found, ", length ");
	text_u64(&f->found, rec->len);
}

/* --- Facts that need no contents --------------------------------------------- */

static void check_names(const struct pf_work *x)
{
	const struct message *m = x->m;
	char hash[ID_MAX] = { 0 };
	unsigned depth = 0;
	uint64_t inode = 0;
	struct finding *f;

	while (depth < 127 && m->path[2 * depth] != '\0' && m->path[2 * depth + 1] == '/')
		depth++;
	if (depth > 0 && pf_hash(m->id, m->id_len, depth, hash)) {
		unsigned i = 0;

		while (i < depth && m->path[2 * i] == hash[i])
			i++;
		if (i < depth) {
			f = pf_note(x, F_POSTFIX_HASH_DIRECTORY, 0, 0);
			for (i = 0; i < depth; i++) {
				text_bytes(&f->expected, (const uint8_t *)&hash[i], 1);
				text_str(&f->expected, "/");
			}
			text_bytes(&f->found, (const uint8_t *)m->path, 2u * depth);
		}
	}
	if (pf_short_inode(m->id, m->id_len, &inode) && inode != x->p->ino) {
		f = pf_note(x, F_POSTFIX_INODE, 0, 0);
		text_u64(&f->expected, inode);
		text_u64(&f->found, x->p->ino);
	}
	if (m->id_len == 1 && m->place != PF_MAILDROP) {
		bool scanned = m->place != PF_CORRUPT && m->place != PF_SAVED;

		pf_note_as(x, F_POSTFIX_ONE_LETTER, 0, 0, scanned ? SEV_CORRUPT : SEV_SUSPECT,
			scanned ? IMPACT_SERVER_STOPS : IMPACT_NONE);
	}
}

/* Kind, owner and mode. False when the contents are not to be looked at. */
static bool check_status(const struct pf_work *x)
{
	const struct site *s = &x->m->site;
	const struct part *p = x->p;
	bool aside = x->m->place == PF_CORRUPT || x->m->place == PF_SAVED;

	if ((p->mode & 0170000) != 0100000) {
		pf_note(x, F_SPOOL_FOREIGN, 0, 0);
		return false;
	}
	if (!x->k->maildrop && s->owner != UINT32_MAX && p->uid != s->owner) {
		struct finding *f = pf_note(x, F_POSTFIX_OWNER, 0, 0);

		text_str(&f->field, "owner");
		text_u64(&f->expected, s->owner);
		text_u64(&f->found, p->uid);
	}
	if (x->m->place == PF_CORRUPT)
		pf_note(x, F_POSTFIX_PUT_ASIDE, 0, 0);
	if (aside || (p->mode & 0700) == 0700 ||
	    (x->m->force && (p->mode & 0700) != 0400))
		return true;
	if ((p->mode & 0700) == 0400 && !x->k->maildrop) {
		pf_note(x, F_POSTFIX_MARKED_CORRUPT, 0, 0);
		return true;
	}
	if (p->mtime <= s->now - 7 * 86400)
		pf_note(x, F_POSTFIX_INCOMPLETE, 0, 0);
	return false;
}

static void start(const struct pf_work *x)
{
	struct pf_check *k = x->k;

	k->maildrop = x->m->place == PF_MAILDROP;
	k->held = x->m->place == PF_HOLD || x->m->place == PF_CORRUPT || x->m->place == PF_SAVED;
	k->phase = PH_DONE;
	check_names(x);
	if (!check_status(x))
		return;
	if (x->p->size == 0)
		pf_note(x, F_POSTFIX_EMPTY, 0, 0);
	else
		k->phase = PH_ENVELOPE;
}

/* --- Damage of the record structure --------------------------------------------- */

/* The record at the reader's position cannot be read. */
static void unreadable(const struct pf_work *x, enum pf_got got, const struct pf_record *rec,
		       enum pf_segment segment)
{
	uint64_t left = x->p->size - rec->off;
	struct finding *f;

	if (got != PF_EOF && rec->type == 0) {
		if (rec->off == 0) {
			x->k->zero_start = true;
			return;
		}
		f = pf_note(x, F_POSTFIX_RECORD_ZERO, rec->off, 1);
	} else if (got == PF_EOF) {
		f = pf_note(x, F_POSTFIX_END_MISSING, rec->off, 0);
		text_str(&f->expected, segment == PF_ENV ? "more records, then M" :
				       segment == PF_TEXT ? "more text, then X" : "E");
		text_str(&f->found, "end of file");
	} else if (got == PF_CUT) {
		f = pf_note(x, F_POSTFIX_RECORD_OVERRUN, rec->off, left);
		text_str(&f->expected, "type and length");
		text_str(&f->found, "end of file");
	} else if (got == PF_OVERRUN) {
		f = pf_note(x, F_POSTFIX_RECORD_OVERRUN, rec->off, left);
		text_str(&f->expected, "at most ");
		text_u64(&f->expected, left - rec->header);
		text_str(&f->expected, " bytes up to the end of the file");
		pf_say_record(f, rec);
		/* The daemons make room for the whole record before they read it. */
		if (rec->len >= PF_WILD_LENGTH && !x->k->maildrop)
			f->impact = (uint8_t)pf_impact_here(x->k, IMPACT_SERVER_STOPS);
	} else {
		f = pf_note(x, F_POSTFIX_RECORD_LENGTH, rec->off, PF_HEADER_MAX);
		text_str(&f->expected, "at most four length bytes");
		text_str(&f->found, got == PF_LONG ? "more than five" : "2 GiB or more");
	}
	say_record(x, f, segment);
}

/* A type that no table holds. True when reading goes on behind it. */
static bool unknown_type(const struct pf_work *x, const struct pf_record *rec, enum pf_segment segment)
{
	uint32_t version = x->m->site.version;
	bool known = version != 0 && version < VERSION(3, 13, 0);
	bool skipped = known && version < VERSION(3, 7, 0) && segment != PF_TEXT && !x->k->maildrop;
	bool letter = rec->type >= 0x20 && rec->type < 0x7f;
	enum severity severity = SEV_CORRUPT;
	enum impact impact = pf_impact_here(x->k, IMPACT_SERVER_DELETES);
	struct finding *f;

	if (skipped) {
		/* A letter may come from a newer release, backed out; a byte that
		 * is none is damage, though this release does not see it. */
		severity = letter ? SEV_NOTICE : SEV_CORRUPT;
		impact = letter ? IMPACT_NONE : pf_impact_here(x->k, IMPACT_DAMAGED_DELIVERY);
	} else if (!known && letter) {
		severity = SEV_SUSPECT;
	}
	f = pf_note_as(x, F_POSTFIX_RECORD_TYPE, rec->off, rec->header + rec->len, severity, impact);
	say_record(x, f, segment);
	text_str(&f->expected, "a type that Postfix writes");
	pf_say_record(f, rec);
	return severity != SEV_CORRUPT || skipped;
}

/* A record whose type does not belong here. True when reading goes on. */
static bool misplaced(const struct pf_work *x, const struct pf_record *rec, enum pf_segment segment)
{
	const struct pf_rule *rule = &pf_rules[rec->type];
	uint32_t version = x->m->site.version;
	bool envelope = segment != PF_TEXT && !x->k->maildrop;
	bool taken = envelope && (rule->cleaned & (PF_ENV | PF_EXT)) != 0;
	struct finding *f;

	if (rec->type == 0) {
		unreadable(x, PF_OVERRUN, rec, segment);
		return false;
	}
	if (rule->name == NULL)
		return unknown_type(x, rec, segment);
	f = pf_note(x, F_POSTFIX_RECORD_MISPLACED, rec->off, rec->header + rec->len);
	say_record(x, f, segment);
	text_str(&f->expected, segment == PF_TEXT ? "N, L, w, p or X" :
			       segment == PF_ENV ? "an envelope record" : "an extracted record");
	pf_say_record(f, rec);
	/* qmgr takes what either envelope may hold, and earlier ones skipped all
	 * else: the recipient or value that stood here is lost. But an end before
	 * all that it needs makes it refuse the file, and a second sender is the
	 * end of showq. */
	if (taken || (envelope && version != 0 && version < VERSION(3, 7, 0)))
		f->impact = (uint8_t)pf_impact_here(x->k, IMPACT_DAMAGED_DELIVERY);
	if (taken && rec->type == 'E' &&
	    !(x->k->have_size && x->k->time_good && x->k->senders > 0))
		f->impact = (uint8_t)pf_impact_here(x->k, IMPACT_SERVER_DELETES);
	if (taken && rec->type == 'S' && x->m->place <= PF_HOLD && pf_showq_dies(version))
		f->impact = IMPACT_SERVER_STOPS;
	return taken && rec->type != 'E';
}

/* A pointer record. False when reading ends here. */
static bool follow(const struct pf_work *x, struct pf_reader *reader, const struct pf_record *rec,
		   enum pf_segment segment)
{
	struct pf_check *k = x->k;
	struct finding *f;
	uint64_t target, text_end = (uint64_t)k->data_offset + (uint64_t)k->data_size;
	uint64_t tortoise = reader->tortoise;
	bool in_text;

	switch (pf_follow(reader, x->p, rec, &target)) {
	case PF_DUMMY:
		return true;
	case PF_JUMPED:
		if (reader->tortoise != tortoise)
			k->circled = x->r->recipients;
		k->jumped = true;
		k->arrived_by = rec->off;
		in_text = target >= (uint64_t)k->data_offset && target <= text_end;
		if (k->data_offset > 0 && k->data_size > 0 && !k->maildrop &&
		    (segment == PF_TEXT ? target < (uint64_t)k->data_offset : in_text)) {
			f = pf_note(x, F_POSTFIX_POINTER_SEGMENT, rec->off, rec->header + rec->len);
			break;
		}
		return true;
	case PF_NO_VALUE:
		f = pf_note_as(x, F_POSTFIX_POINTER_VALUE, rec->off, rec->header + rec->len,
			    SEV_SUSPECT, IMPACT_NONE);
		text_str(&f->expected, "an offset or 0");
		return true;
	case PF_NO_NUMBER:
		f = pf_note(x, F_POSTFIX_POINTER_VALUE, rec->off, rec->header + rec->len);
		text_str(&f->expected, "an offset");
		break;
	case PF_OUTSIDE:
		f = pf_note(x, F_POSTFIX_POINTER_TARGET, rec->off, rec->header + rec->len);
		text_str(&f->expected, "at most ");
		text_u64(&f->expected, x->p->size - 2);
		break;
	case PF_BACKWARD:
		f = pf_note(x, F_POSTFIX_POINTER_BACKWARD, rec->off, rec->header + rec->len);
		break;
	case PF_LOOP:
	default:
		f = pf_note(x, F_POSTFIX_POINTER_LOOP, rec->off, rec->header + rec->len);
		/* Only recipients that are read again and again hurt more than
		 * this message: otherwise reading gives up after 10000 rounds. */
		if (segment == PF_TEXT || x->r->recipients == k->circled)
			f->impact = (uint8_t)pf_impact_here(k, IMPACT_SERVER_DELETES);
		text_str(&f->expected, "an offset not read before");
		break;
	}
	text_str(&f->field, "pointer in the ");
	pf_say_segment(&f->field, segment);
	pf_say_bytes(&f->found, pf_string(rec));
	return said(x->r, F_POSTFIX_POINTER_SEGMENT, rec->off, false) &&
	       f->id == F_POSTFIX_POINTER_SEGMENT;
}

/* A record that any_record() does not pass at once. */
static bool odd_record(const struct pf_work *x, const struct pf_record *rec, enum pf_segment segment)
{
	uint64_t limit = x->m->site.record_limit;
	uint32_t version = x->m->site.version;
	struct finding *f;

	if (rec->padded)
		pf_note(x, F_POSTFIX_LENGTH_PADDED, rec->off, rec->header);
	if (rec->header > 1 + PF_LENGTH_SAFE) {
		bool refused = pf_fixed_2026(version);

		f = pf_note_as(x, F_POSTFIX_RECORD_LENGTH, rec->off, rec->header,
			    refused ? SEV_CORRUPT : SEV_SUSPECT,
			    refused ? pf_impact_here(x->k, IMPACT_SERVER_DELETES) : IMPACT_NONE);
		say_record(x, f, segment);
		text_str(&f->expected, "at most four length bytes");
		text_str(&f->found, "five");
		if (refused)
			return false;
	}
	if (x->k->maildrop && rec->len > (limit != 0 ? limit : PF_LINE_LIMIT)) {
		f = pf_note_as(x, F_POSTFIX_RECORD_LIMIT, rec->off, rec->header + rec->len,
			    limit != 0 ? SEV_CORRUPT : SEV_SUSPECT, IMPACT_SERVER_DELETES);
		say_record(x, f, segment);
		text_str(&f->expected, "at most ");
		text_u64(&f->expected, limit != 0 ? limit : PF_LINE_LIMIT);
		pf_say_record(f, rec);
		return limit == 0;
	}
	return true;
}

/* What holds for every record, whatever its type. False when its reader stops. */
static bool any_record(const struct pf_work *x, const struct pf_record *rec, enum pf_segment segment)
{
	bool plain = !rec->padded && rec->header <= 1 + PF_LENGTH_SAFE && !x->k->maildrop;

	return plain || odd_record(x, rec, segment);
}

/* --- Segments --------------------------------------------------------------------- */

/* One record of an envelope. False when the segment ends, k->broken says how. */
static bool envelope_record(const struct pf_work *x, const struct pf_record *rec,
			    enum pf_segment segment)
{
	struct pf_check *k = x->k;
	const struct pf_rule *rule = &pf_rules[rec->type];
	unsigned where = k->maildrop ? rule->maildrop : rule->cleaned;

	if (!any_record(x, rec, segment)) {
		k->broken = true;
		return false;
	}
	if (rec->type == 'p') {
		if (follow(x, &k->read, rec, segment))
			return true;
		k->broken = true;
		return false;
	}
	if (rec->type == 'w' && k->maildrop) {
		k->arrived_by = 0;
		return true;
	}
	if ((where & segment) == 0) {
		/* Text where the size record says, but no M before it. */
		if (segment == PF_ENV && k->passed && (rule->cleaned & PF_TEXT) != 0)
			return false;
		if (misplaced(x, rec, segment))
			return true;
		k->broken = true;
		return false;
	}
	k->arrived_by = 0;
	return pf_value(x, rec, segment);
}

static enum step envelope(const struct pf_work *x, struct want *w, enum pf_segment segment)
{
	struct pf_check *k = x->k;
	struct pf_record rec = { 0 };

	for (;;) {
		enum pf_got got;

		if (k->data_offset > 0 && k->read.pos == (uint64_t)k->data_offset)
			k->passed = true;
		got = pf_read(&k->read, x->p, segment, &rec, w);
		if (got == PF_WANT)
			return STEP_WANT;
		if (got != PF_GOT) {
			unreadable(x, got, &rec, segment);
			k->broken = true;
			return STEP_DONE;
		}
		if (!envelope_record(x, &rec, segment))
			return STEP_DONE;
	}
}

/* The text, as a delivery agent (or pickup) reads it. */
static enum step text(const struct pf_work *x, struct want *w)
{
	struct pf_check *k = x->k;
	struct pf_reader *reader = k->maildrop ? &k->read : &k->lines;
	uint64_t limit = x->m->site.record_limit;
	uint64_t cap = !k->maildrop ? UINT64_MAX : limit != 0 ? limit : PF_LINE_LIMIT;
	struct pf_record rec = { 0 };

	for (;;) {
		uint64_t before = reader->pos;
		enum pf_got got;
		bool good;

		pf_skip_text(reader, x->p, cap);
		if (reader->pos != before)
			k->arrived_by = 0;
		got = pf_read(reader, x->p, PF_TEXT, &rec, w);
		if (got == PF_WANT)
			return STEP_WANT;
		/* Behind a broken envelope the text was only assumed to begin
		 * here: no record means that all is shifted, by one cause. */
		if (k->env_broken && rec.off == k->text &&
		    (got != PF_GOT || (pf_rules[rec.type].cleaned & PF_TEXT) == 0)) {
			k->broken = true;
			return STEP_DONE;
		}
		if (got != PF_GOT) {
			unreadable(x, got, &rec, PF_TEXT);
			k->broken = true;
			return STEP_DONE;
		}
		good = any_record(x, &rec, PF_TEXT);
		if (good && rec.type == 'X') {
			pf_mark(x, &rec);
			k->have_x = true;
			k->x = rec.off;
			k->x_end = reader->pos;
			return STEP_DONE;
		}
		if (good && rec.type == 'p')
			good = follow(x, reader, &rec, PF_TEXT);
		else if (good && (pf_rules[rec.type].cleaned & PF_TEXT) == 0)
			good = misplaced(x, &rec, PF_TEXT);
		else
			k->arrived_by = 0;
		if (!good) {
			k->broken = true;
			return STEP_DONE;
		}
	}
}

/* --- Between the segments ----------------------------------------------------------- */

static void check_mandatory(const struct pf_work *x)
{
	struct pf_check *k = x->k;
	bool dies = pf_showq_dies(x->m->site.version);
	bool showq = x->m->place == PF_HOLD && dies;
	struct finding *f;

	/* pickup adds the file's own time when there is no T at all. */
	if (!k->time_good && (k->time_seen || !k->maildrop)) {
		f = pf_note(x, F_POSTFIX_ARRIVAL_TIME, k->time_at, k->time_len);
		text_str(&f->expected, "seconds and microseconds");
	}
	if (k->senders == 0) {
		f = pf_note(x, F_POSTFIX_SENDER_MISSING, k->rcpt_at, 0);
		if (k->rcpt_first && showq)
			f->impact = IMPACT_SERVER_STOPS;
	} else if (k->rcpt_first) {
		f = pf_note(x, F_POSTFIX_SENDER_LATE, k->rcpt_at, 0);
		text_str(&f->expected, "the sender, which is at ");
		text_u64(&f->expected, k->sender_at);
		if (showq)
			f->impact = IMPACT_SERVER_STOPS;
		else if (!k->maildrop && !dies)
			f->impact = IMPACT_NONE;
	}
}

/* M was reached, or the envelope is broken: where does the text begin? */
static void end_of_envelope(const struct pf_work *x)
{
	struct pf_check *k = x->k;
	uint64_t offset = (uint64_t)k->data_offset;
	struct finding *f;

	k->env_broken = k->any_broken = k->broken;
	k->broken = false;
	k->arrived_by = 0;
	k->phase = PH_TEXT;
	if (k->zero_start) {
		k->phase = PH_ZERO;
		return;
	}
	if (!k->env_broken)
		check_mandatory(x);
	if (k->maildrop) {
		k->text = k->read.pos;
		if (k->env_broken)
			k->phase = PH_DONE;
		return;
	}
	if (!k->env_broken && (!k->have_size || k->size_at != 0)) {
		f = pf_note(x, F_POSTFIX_SIZE_MISSING, 0, 0);
		text_str(&f->expected, "C");
		if (k->have_size)
			f->impact = IMPACT_NONE;
	}
	k->text = k->marked ? k->read.pos : offset;
	if (!k->marked && !k->env_broken) {
		f = pf_note(x, F_POSTFIX_MESSAGE_MARK, offset, 0);
		text_str(&f->expected, "M before this offset");
	}
	if (k->marked && k->offset_known && k->said_offset != (int64_t)k->text) {
		f = pf_note(x, F_POSTFIX_DATA_OFFSET, k->size_at + k->size_header + PF_COLUMN,
			 PF_COLUMN - 1);
		text_str(&f->field, "size record, field 2 (data offset)");
		text_u64(&f->expected, k->text);
		text_i64(&f->found, k->said_offset);
	}
	k->lines.pos = k->text;
	if (k->text == 0)
		k->phase = PH_FINISH;
}

/* The text is read or broken: does the size record agree, and where does the
 * extracted segment begin? */
static void after_text(const struct pf_work *x)
{
	struct pf_check *k = x->k;
	uint64_t expected = k->text + (uint64_t)k->data_size;

	k->text_broken = k->broken;
	k->any_broken = k->any_broken || k->broken;
	k->broken = false;
	k->arrived_by = 0;
	k->phase = PH_EXTRACTED;
	if (k->maildrop) {
		if (k->text_broken)
			k->phase = PH_DONE;
		return;
	}
	if (k->have_x)
		k->read.pos = k->x_end;
	if (k->have_x && (k->data_size == 0 || k->x == expected))
		return;
	if (k->data_size > 0 && expected < x->p->size) {
		k->read.pos = expected;
		k->phase = PH_PROBE;
	} else if (!k->have_x) {
		k->phase = PH_FINISH;
	}
	k->wrong_size = k->have_x;
}

static void note_data_size(const struct pf_work *x)
{
	struct pf_check *k = x->k;
	struct finding *f;

	k->wrong_size = false;
	k->read.pos = k->x_end;
	f = pf_note(x, F_POSTFIX_DATA_SIZE, k->size_at + k->size_header, PF_COLUMN - 1);
	text_str(&f->field, "size record, field 1 (data size)");
	text_u64(&f->expected, k->x - k->text);
	text_i64(&f->found, k->data_size);
}

/* The text did not end where the size record says. Is there an X? Then the text
 * is wrong, else the size record is. */
static enum step probe(const struct pf_work *x, struct want *w)
{
	struct pf_check *k = x->k;
	struct pf_record rec = { 0 };
	enum pf_got got = pf_read(&k->read, x->p, PF_EXT, &rec, w);
	bool there = got == PF_GOT && rec.type == 'X' && rec.len == 0;
	struct finding *f;

	if (got == PF_WANT)
		return STEP_WANT;
	k->phase = there || k->have_x ? PH_EXTRACTED : PH_FINISH;
	if (there && k->have_x) {
		f = pf_note(x, F_POSTFIX_TEXT_END, k->x, k->x_end - k->x);
		text_str(&f->expected, "text up to ");
		text_u64(&f->expected, rec.off);
		text_str(&f->found, "an X record");
		k->any_broken = true;
		k->wrong_size = false;
	}
	return STEP_DONE;
}

/* A file that begins with zero bytes: is there anything else in it? */
static enum step zeros(const struct pf_work *x, struct want *w)
{
	struct pf_check *k = x->k;
	struct finding *f;

	while (k->zeros < x->p->size && k->zeros < WHOLE_MAX) {
		struct cur c = pf_window(x->p, k->zeros);

		if (cur_left(&c) == 0) {
			pf_want(w, x->p, k->zeros, 1, WINDOW_MAX);
			return STEP_WANT;
		}
		while (cur_peek(&c) == 0)
			cur_skip(&c, 1);
		k->zeros = cur_offset(&c);
		if (cur_left(&c) > 0)
			break;
	}
	if (k->zeros >= x->p->size) {
		pf_note(x, F_SPOOL_ZERO_FILLED, 0, x->p->size);
	} else {
		f = pf_note(x, F_POSTFIX_RECORD_ZERO, 0, k->zeros);
		text_u64(&f->found, k->zeros);
		text_str(&f->found, " zero bytes");
	}
	k->phase = PH_DONE;
	return STEP_DONE;
}

static void finish(const struct pf_work *x)
{
	struct pf_check *k = x->k;
	const struct report *r = x->r;
	uint64_t recipients = r->recipients + r->recipients_done;
	struct finding *f;

	k->phase = PH_DONE;
	if (k->any_broken || k->end == 0)
		return;
	if (k->maildrop && recipients == 0)
		pf_note(x, F_POSTFIX_RECIPIENT_MISSING, k->end, 0);
	if (k->counted && (k->rcpt_count < 0 || (uint64_t)k->rcpt_count != recipients)) {
		/* With an original recipient that waits for its recipient: one R was
		 * turned into something else, and its mail is lost in silence. */
		f = pf_note_as(x, F_POSTFIX_RECIPIENT_COUNT,
			 k->size_at + k->size_header + 2 * PF_COLUMN, PF_COLUMN - 1,
			 k->pending != 0 ? SEV_SUSPECT : SEV_NOTICE, IMPACT_NONE);
		text_str(&f->field, "size record, field 3 (recipient count)");
		text_u64(&f->expected, recipients);
		text_i64(&f->found, k->rcpt_count);
	}
	if (k->pending != 0)
		pf_note(x, F_POSTFIX_RECIPIENT_ORDER, k->end, 0);
	if (!k->jumped && k->end < x->p->size)
		pf_note(x, F_POSTFIX_TRAILING_BYTES, k->end, x->p->size - k->end);
}

enum step pf_check(void *scratch, const struct message *m, struct report *r, struct want *w)
{
	struct pf_check *k = scratch;
	const struct pf_work x = { k, m, &m->parts[PF_MESSAGE], r };

	if (k->phase == PH_START)
		start(&x);
	if (k->phase == PH_ENVELOPE) {
		if (envelope(&x, w, PF_ENV) == STEP_WANT)
			return STEP_WANT;
		end_of_envelope(&x);
	}
	if (k->phase == PH_ZERO && zeros(&x, w) == STEP_WANT)
		return STEP_WANT;
	if (k->phase == PH_TEXT) {
		if (text(&x, w) == STEP_WANT)
			return STEP_WANT;
		after_text(&x);
	}
	if (k->phase == PH_PROBE && probe(&x, w) == STEP_WANT)
		return STEP_WANT;
	if (k->phase == PH_EXTRACTED) {
		if (k->wrong_size)
			note_data_size(&x);
		if (envelope(&x, w, PF_EXT) == STEP_WANT)
			return STEP_WANT;
		k->any_broken = k->any_broken || k->broken;
		k->end = k->broken ? 0 : k->read.pos;
		k->phase = PH_FINISH;
	}
	if (k->phase == PH_FINISH)
		finish(&x);
	return STEP_DONE;
}
