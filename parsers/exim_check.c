/*
 * exim_check.c - every rule of an Exim message: -H, then -J, then -D
 *
 *	START (-H, -J) -> DATA -> BODY -> DONE
 *
 * -H and -J are read at once; -D goes by in windows. One damage, one finding:
 * what follows the first thing that Exim's reader refuses in -H is read only to
 * tell the postmaster whose mail it is. Exim never looks into -D: what can be
 * known of it (that it is there, its first line, the number of its lines and
 * zero bytes, which -H holds) is known here or nowhere. Either of -D and -J may
 * come without -H, when somebody looks at one file.
 */
#include "exim.h"

enum phase { PH_START, PH_DATA, PH_BODY, PH_DONE };

/* --- Findings ---------------------------------------------------------------- */

static bool said(const struct report *r, enum finding_id id)
{
	for (unsigned i = 0; i < r->count && i < REPORT_MAX; i++)
		if (r->findings[i].id == id)
			return true;
	return false;
}

struct finding *ex_note_as(const struct ex_work *x, enum finding_id id, unsigned part, uint64_t off,
			   uint64_t len, enum severity severity, enum impact impact)
{
	struct finding *f;

	if (x->k->muted || (severity != SEV_CORRUPT && said(x->r, id))) {
		f = &x->r->spare;
		memset(f, 0, sizeof *f);
		return f;
	}
	f = report_add(x->r, id, part, off, len);
	f->severity = (uint8_t)severity;
	f->impact = (uint8_t)impact;
	return f;
}

struct finding *ex_note(const struct ex_work *x, enum finding_id id, unsigned part, uint64_t off,
			uint64_t len)
{
	const struct finding_def *def = finding_def(id);
	bool idle = x->k->held && def->severity == SEV_CORRUPT;

	return ex_note_as(x, id, part, off, len, def->severity, idle ? IMPACT_NONE : def->impact);
}

static const struct part *part_of(const struct ex_work *x, unsigned role)
{
	const struct part *p = &x->m->parts[role];

	return p->mode != 0 ? p : NULL;
}

/* Nothing but zeros? At least one. */
static bool all_zero(struct cur c)
{
	if (cur_left(&c) == 0)
		return false;
	while (cur_peek(&c) == 0)
		cur_skip(&c, 1);
	return cur_left(&c) == 0;
}

/* --- Facts that need no contents ---------------------------------------------- */

static void check_status(const struct ex_work *x)
{
	const struct message *m = x->m;
	const struct site *s = &m->site;
	struct finding *f;

	if (m->path[0] != '\0' && m->path[1] == '/' && m->id_len > 5 && m->path[0] != m->id[5]) {
		f = ex_note(x, F_EXIM_DIRECTORY, EX_HEAD, 0, 0);
		text_bytes(&f->expected, (const uint8_t *)&m->id[5], 1);
		text_str(&f->expected, "/");
		text_bytes(&f->found, (const uint8_t *)m->path, 2);
	}
	if (m->id_len == EX_NEW_ID && s->version != 0 && s->version < VERSION(4, 97, 0))
		ex_note(x, F_EXIM_ID_NEWER, EX_HEAD, 0, 0);
	for (unsigned role = EX_HEAD; role <= EX_JOURNAL; role++) {
		const struct part *p = part_of(x, role);

		if (p == NULL)
			continue;
		if (p->nlink > 1)
			ex_note(x, F_EXIM_LINKS, role, 0, 0);
		if (s->owner != UINT32_MAX && p->uid != s->owner) {
			f = ex_note(x, F_EXIM_OWNER, role, 0, 0);
			text_str(&f->field, "owner");
			text_u64(&f->expected, s->owner);
			text_u64(&f->found, p->uid);
		} else if ((p->mode & 0007) != 0) {
			f = ex_note(x, F_EXIM_OWNER, role, 0, 0);
			text_str(&f->field, "mode");
			text_str(&f->expected, "0640");
			text_str(&f->found, "0");
			for (unsigned shift = 6; shift <= 6; shift -= 3)
				text_u64(&f->found, p->mode >> shift & 7);
		}
	}
}

/* --- -H ------------------------------------------------------------------------ */

static const char *const wanted[] = {
	[EX_ID] = "the name of the file", [EX_USER] = "login uid gid", [EX_SENDER] = "the sender",
	[EX_TIME] = "the time of arrival", [EX_OPTION] = "an option, or XX", [EX_ACL] = "an option",
	[EX_NO_TREE] = "XX", [EX_NODE] = "an address of the tree",
	[EX_COUNT] = "the number of recipients", [EX_RECIPIENT] = "a recipient",
	[EX_BLANK] = "an empty line", [EX_HEADER] = "a header line", [EX_END] = "the end",
};

static void truncated(const struct ex_work *x, const struct ex_item *it)
{
	struct finding *f = ex_note(x, F_EXIM_TRUNCATED, EX_HEAD, it->off,
				    x->m->parts[EX_HEAD].size - it->off);

	text_str(&f->expected, wanted[it->kind]);
	text_str(&f->found, it->stop == EX_EOF ? "the end of the file" :
						 "the end of the file in the line");
}

static void bad_acl(const struct ex_work *x, const struct ex_item *it)
{
	bool dies = it->stop == EX_ACL_DATA && (it->number <= -2 || it->number >= EX_ALLOCATION);
	struct finding *f = ex_note(x, F_EXIM_ACL_LENGTH, EX_HEAD, it->off, it->len);

	if (!x->k->held && !dies)
		f->impact = IMPACT_SERVER_DELETES;
	if (it->stop == EX_ACL_LINE) {
		text_str(&f->expected, "-aclm name length");
	} else {
		text_str(&f->expected, "at most ");
		text_u64(&f->expected, x->m->parts[EX_HEAD].size - (it->off + it->len));
		text_str(&f->expected, " bytes that are left");
	}
	ex_say(&f->found, it->line);
}

static void bad_count(const struct ex_work *x, const struct ex_item *it)
{
	struct cur c = it->line;
	int64_t ignored;
	struct finding *f;

	ex_tree_end(x);
	f = ex_note(x, F_EXIM_RECIPIENT_COUNT, EX_HEAD, it->off, it->len);
	if (ex_number(&c, &ignored) && !x->k->held)
		f->impact = IMPACT_SERVER_STOPS; /* negative: it is allocated */
	text_str(&f->expected, "a number");
	ex_say(&f->found, it->line);
}

static void bad_header(const struct ex_work *x, const struct ex_item *it)
{
	const struct part *p = &x->m->parts[EX_HEAD];
	struct cur c = ex_window(p, it->off);
	struct finding *f = ex_note(x, F_EXIM_HEADER_LENGTH, EX_HEAD, it->off,
				    it->len > 0 ? it->len : 1);

	text_str(&f->field, "header line");
	if (it->stop == EX_NO_LENGTH) {
		text_str(&f->expected, "the length of a header line, or the end of the file");
	} else {
		text_str(&f->expected, "at most ");
		text_u64(&f->expected, p->size - (it->off + it->len));
		if ((it->number >= EX_ALLOCATION || it->number <= -2) && !x->k->held)
			f->impact = IMPACT_SERVER_STOPS;
	}
	if (all_zero(c)) {
		text_u64(&f->found, p->size - it->off);
		text_str(&f->found, " zero bytes");
	} else {
		ex_say(&f->found, ex_until(&c, '\n'));
	}
}

void ex_stopped(const struct ex_work *x, const struct ex_item *it)
{
	struct finding *f;

	switch (it->stop) {
	case EX_EOF:
	case EX_CUT:
		if (it->kind == EX_NODE || (it->kind == EX_COUNT && x->k->tree.nodes > 0))
			ex_tree_end(x);
		truncated(x, it);
		return;
	case EX_NUL:
		f = ex_note(x, F_EXIM_NUL, EX_HEAD, it->nul_at, 1);
		text_str(&f->field, wanted[it->kind]);
		return;
	case EX_LONG:
		f = ex_note(x, F_EXIM_LINE_LENGTH, EX_HEAD, it->off, it->len);
		text_str(&f->expected, "at most ");
		text_u64(&f->expected, EX_LINE_MAX);
		text_u64(&f->found, it->len);
		return;
	case EX_ACL_LINE:
	case EX_ACL_DATA:
		bad_acl(x, it);
		return;
	case EX_NODE_SHORT:
		f = ex_note(x, F_EXIM_TREE_LINE, EX_HEAD, it->off, it->len);
		text_str(&f->expected, x->k->tree.nodes == 0 ? "an option, XX, or a line of the tree"
							     : wanted[EX_NODE]);
		ex_say(&f->found, it->line);
		return;
	case EX_NO_COUNT:
		bad_count(x, it);
		return;
	case EX_NO_ADDRESS:
		f = ex_note(x, F_EXIM_RECIPIENT_EMPTY, EX_HEAD, it->off, it->len);
		text_i64(&f->expected, x->k->count);
		text_str(&f->expected, " recipients");
		text_i64(&f->found, x->k->index);
		return;
	case EX_NO_BLANK:
		f = ex_note(x, F_EXIM_BLANK_LINE, EX_HEAD, it->off, it->len);
		text_str(&f->expected, wanted[EX_BLANK]);
		ex_say(&f->found, it->line);
		return;
	default:
		bad_header(x, it);
		return;
	}
}

static void read_head(const struct ex_work *x)
{
	const struct part *p = &x->m->parts[EX_HEAD];
	struct ex_reader reader = { 0 };
	struct ex_check *k = x->k;
	struct ex_item it;

	if (p->size == 0) {
		ex_note(x, F_EXIM_EMPTY, EX_HEAD, 0, 0);
		return;
	}
	if (all_zero(ex_window(p, 0))) {
		ex_note(x, F_SPOOL_ZERO_FILLED, EX_HEAD, 0, p->size);
		return;
	}
	k->head_good = true;
	for (ex_next(&reader, p, &it); it.stop == EX_OK && it.kind != EX_END;
	     ex_next(&reader, p, &it)) {
		if (!ex_value(x, &it)) {
			k->head_good = false;
			k->muted = true;
		}
		k->envelope_good = k->head_good && it.kind >= EX_BLANK;
	}
	if (it.stop != EX_OK) {
		ex_stopped(x, &it);
		k->head_good = false;
	} else if (k->head_good && k->received == 0) {
		ex_note(x, F_EXIM_RECEIVED, EX_HEAD, p->size, 0);
	}
	k->muted = false;
}

/* --- Who is to get it still ------------------------------------------------------- */

/* Is the address among the lines of `c`, behind `skip` bytes of each? */
static bool listed(struct cur c, size_t skip, const struct cur *address)
{
	while (cur_left(&c) > 0) {
		struct cur line = ex_until(&c, '\n');

		cur_skip(&line, skip);
		if (ex_same(&line, address))
			return true;
	}
	return false;
}

static void count_recipients(const struct ex_work *x)
{
	const struct part *p = &x->m->parts[EX_HEAD], *journal = part_of(x, EX_JOURNAL);
	const struct ex_check *k = x->k;
	struct ex_reader reader = { .pos = k->rcpt_off, .due = EX_RECIPIENT, .recipients = k->count };
	struct cur all = ex_window(p, k->tree_off), tree, lines = cur_make(p->bytes, 0, 0);
	struct report *r = x->r;
	struct ex_item it;
	uint64_t size;

	if (k->rcpt_off == 0 || k->count == 0)
		return;
	tree = cur_sub(&all, (size_t)(k->tree_end - k->tree_off));
	if (journal != NULL)
		lines = ex_window(journal, 0);
	size = cur_left(&tree) + cur_left(&lines);
	r->recipients = (uint64_t)k->index;
	for (int64_t i = 0; i < k->index; i++) {
		struct ex_rcpt rcpt;

		ex_next(&reader, p, &it);
		if (it.stop != EX_OK || it.kind != EX_RECIPIENT)
			return;
		ex_recipient(it.line, &rcpt);
		if (size > 0 && size * (uint64_t)k->count < EX_MATCH_BUDGET &&
		    (listed(tree, 3, &rcpt.address) || listed(lines, 0, &rcpt.address))) {
			r->recipients--;
			r->recipients_done++;
		} else if (r->recipient_len == 0) {
			size_t n = cur_left(&rcpt.address);

			r->recipient_len = (uint16_t)(n < ADDRESS_MAX ? n : ADDRESS_MAX);
			cur_copy(&rcpt.address, r->recipient, r->recipient_len);
		}
		if (r->recipient_len > 0 && (size == 0 || size * (uint64_t)k->count >= EX_MATCH_BUDGET))
			return;
	}
}

/* --- -J ---------------------------------------------------------------------------- */

static void read_journal(const struct ex_work *x)
{
	const struct part *p = part_of(x, EX_JOURNAL);
	struct finding *f;
	struct cur c;

	if (p == NULL || p->size == 0)
		return;
	c = ex_window(p, 0);
	if (all_zero(c)) {
		f = ex_note(x, F_SPOOL_ZERO_FILLED, EX_JOURNAL, 0, p->size);
		text_str(&f->field, "journal (-J)");
		return;
	}
	while (cur_left(&c) > 0) {
		uint64_t off = cur_offset(&c);
		bool ended = cur_find(&c, '\n') < cur_left(&c);
		struct cur line = ex_until(&c, '\n');
		size_t n = cur_left(&line), nul = cur_find(&line, 0);

		if (n == 0 || nul == 0) {
			f = ex_note(x, F_EXIM_JOURNAL_LINE, EX_JOURNAL, off, n > 0 ? n : 1);
			text_str(&f->expected, "an address");
			text_str(&f->found, n == 0 ? "an empty line" : "a zero byte");
			return;
		}
		if (nul < n) {
			f = ex_note_as(x, F_EXIM_JOURNAL_LINE, EX_JOURNAL, off + nul, 1, SEV_CORRUPT,
				       x->k->held ? IMPACT_NONE : IMPACT_DAMAGED_DELIVERY);
			text_str(&f->expected, "an address");
			text_str(&f->found, "a zero byte");
		} else if (!ended || n >= EX_LINE_SURE) {
			f = ex_note(x, F_EXIM_JOURNAL_CUT, EX_JOURNAL, off, n);
			ex_say(&f->found, line);
		}
	}
}

/* --- -D ------------------------------------------------------------------------------ */

static uint64_t data_start(const struct ex_work *x)
{
	return x->m->id_len + 3;
}

/* The window of -D at `off`, asked for when it is not there. */
static bool have(const struct part *p, uint64_t off, size_t need, struct want *w)
{
	struct cur c = ex_window(p, off);

	if (cur_left(&c) >= need)
		return true;
	w->part = EX_DATA;
	w->off = off;
	w->need = need;
	w->len = p->size - off < WINDOW_MAX ? (size_t)(p->size - off) : WINDOW_MAX;
	return false;
}

/* Its first line names the message. Exim never reads it. */
static enum step first_line(const struct ex_work *x, struct want *w)
{
	const struct part *p = part_of(x, EX_DATA);
	struct ex_check *k = x->k;
	struct finding *f;
	struct cur c, line;

	k->phase = PH_DONE;
	if (p == NULL && part_of(x, EX_HEAD) == NULL)
		return STEP_DONE; /* a journal that is looked at on its own */
	if (p == NULL) {
		f = ex_note(x, F_EXIM_DATA_MISSING, EX_HEAD, 0, 0);
		text_bytes(&f->expected, (const uint8_t *)x->m->id, x->m->id_len);
		text_str(&f->expected, "-D");
		return STEP_DONE;
	}
	if (p->size < data_start(x)) {
		f = ex_note(x, F_EXIM_DATA_SHORT, EX_DATA, 0, p->size);
		text_str(&f->expected, "at least ");
		text_u64(&f->expected, data_start(x));
		text_u64(&f->found, p->size);
		return STEP_DONE;
	}
	k->phase = PH_DATA;
	if (!have(p, 0, (size_t)data_start(x), w))
		return STEP_WANT;
	c = ex_window(p, 0);
	line = cur_sub(&c, (size_t)data_start(x));
	for (size_t i = 0; i < x->m->id_len; i++)
		if (cur_u8(&line) != (uint8_t)x->m->id[i])
			k->bad_id = true;
	k->bad_id |= !ex_is(&line, "-D\n");
	k->pos = k->line_at = data_start(x);
	k->first_block = UINT64_MAX;
	k->phase = PH_BODY;
	return STEP_DONE;
}

/* The zero bytes [from, to) of -D: is a whole block of the disk among them? */
static void zero_run(struct ex_check *k, uint64_t from, uint64_t to, bool at_end)
{
	uint64_t block = (from + EX_BLOCK - 1) / EX_BLOCK * EX_BLOCK;

	if (k->found_zeros == 0)
		k->zero_at = from;
	k->found_zeros += to - from;
	if (k->first_block == UINT64_MAX && block < to && (block + EX_BLOCK <= to || at_end))
		k->first_block = block;
}

/* The zero bytes of a window at k->pos. */
static void count_zeros(struct ex_check *k, struct cur c, uint64_t size)
{
	uint64_t end = cur_offset(&c) + cur_left(&c);

	if (k->in_run && cur_peek(&c) != 0) {
		zero_run(k, k->run_at, cur_offset(&c), false);
		k->in_run = false;
	}
	while (cur_left(&c) > 0) {
		if (!k->in_run) {
			cur_skip(&c, cur_find(&c, 0));
			k->run_at = cur_offset(&c);
			if (cur_left(&c) == 0)
				return;
		}
		while (cur_peek(&c) == 0)
			cur_skip(&c, 1);
		k->in_run = cur_left(&c) == 0 && end < size;
		if (!k->in_run)
			zero_run(k, k->run_at, cur_offset(&c), cur_offset(&c) == size);
	}
}

static void count_lines(struct ex_check *k, struct cur c)
{
	while (cur_left(&c) > 0) {
		size_t n = cur_find(&c, '\n');
		int before = k->last[1]; /* of the window before this one */

		if (n > 0) {
			cur_skip(&c, n - 1);
			before = cur_u8(&c);
		} else if (k->line_at == cur_offset(&c)) {
			before = '\n';
		}
		if (cur_offset(&c) - k->line_at > k->found_longest)
			k->found_longest = cur_offset(&c) - k->line_at;
		if (cur_left(&c) == 0)
			return;
		cur_skip(&c, 1);
		k->line_at = cur_offset(&c);
		k->found_lines++;
		k->found_crlf += before == '\r';
	}
}

static enum step read_body(const struct ex_work *x, struct want *w)
{
	const struct part *p = &x->m->parts[EX_DATA];
	struct ex_check *k = x->k;

	while (k->pos < p->size) {
		struct cur c;

		if ((p->size > EX_SCAN_MAX || (k->wire && p->size > WINDOW_MAX)) && !k->tail_only &&
		    k->pos > data_start(x)) {
			k->tail_only = true;
			k->in_run = false;
			k->pos = p->size - EX_TAIL;
		}
		if (!have(p, k->pos, 1, w))
			return STEP_WANT;
		c = ex_window(p, k->pos);
		if (cur_left(&c) > p->size - k->pos) /* it grew: not by Exim */
			c = cur_sub(&c, (size_t)(p->size - k->pos));
		count_zeros(k, c, p->size);
		count_lines(k, c);
		k->pos += cur_left(&c);
		if (cur_left(&c) > 1) {
			cur_skip(&c, cur_left(&c) - 2);
			k->last[0] = cur_u8(&c);
		} else {
			k->last[0] = k->last[1];
		}
		k->last[1] = cur_u8(&c);
	}
	k->phase = PH_DONE;
	return STEP_DONE;
}

/* Zeros where the reception counted others. */
static void judge_zeros(const struct ex_work *x)
{
	const struct ex_check *k = x->k;
	bool block = k->first_block != UINT64_MAX;
	struct finding *f;

	if (k->tail_only ? !block || k->zeros >= EX_BLOCK : k->found_zeros == (uint64_t)k->zeros)
		return;
	block = block && k->found_zeros > (uint64_t)k->zeros;
	f = ex_note_as(x, F_EXIM_DATA_ZEROS, EX_DATA, block ? k->first_block : k->zero_at,
		       k->found_zeros, block ? SEV_CORRUPT : SEV_SUSPECT,
		       x->k->held ? IMPACT_NONE : IMPACT_DAMAGED_DELIVERY);
	text_str(&f->field, "zero bytes in the text");
	text_i64(&f->expected, k->zeros);
	text_u64(&f->found, k->found_zeros);
}

static void judge_body(const struct ex_work *x)
{
	const struct part *p = &x->m->parts[EX_DATA];
	const struct ex_check *k = x->k;
	uint64_t body = p->size - data_start(x);
	bool ended = body == 0 || k->last[1] == '\n';
	bool fewer = k->has_lines && k->found_lines < (uint64_t)k->lines;
	struct finding *f;

	if (k->bad_id && k->found_zeros == body && body > 0) {
		f = ex_note_as(x, F_SPOOL_ZERO_FILLED, EX_DATA, 0, p->size, SEV_CORRUPT,
			       x->k->held ? IMPACT_NONE : IMPACT_DAMAGED_DELIVERY);
		text_str(&f->field, "text (-D)");
		return;
	}
	if (k->bad_id)
		ex_note(x, F_EXIM_DATA_ID, EX_DATA, 0, data_start(x));
	if (!k->envelope_good)
		return;
	if (k->wire) {
		if (body > 0 && (k->last[0] != '\r' || k->last[1] != '\n'))
			ex_note(x, F_EXIM_WIRE_END, EX_DATA, p->size, 0);
		return;
	}
	if (k->has_lines && k->lines == 0 && k->found_lines > 0 && k->found_crlf == k->found_lines) {
		ex_note(x, F_EXIM_WIRE_FLAG, EX_HEAD, 0, 0);
		return;
	}
	judge_zeros(x);
	if (!ended || (body == 0 && fewer)) {
		f = ex_note(x, F_EXIM_DATA_CUT, EX_DATA, p->size, 0);
		if (k->has_lines && !k->tail_only) {
			text_i64(&f->expected, k->lines);
			text_str(&f->expected, " lines, each with its end");
			text_u64(&f->found, k->found_lines);
		}
	} else if (k->has_lines && !k->tail_only && k->found_lines != (uint64_t)k->lines) {
		f = ex_note(x, F_EXIM_DATA_LINES, EX_DATA, data_start(x), body);
		text_i64(&f->expected, k->lines);
		text_u64(&f->found, k->found_lines);
	} else if (k->has_longest && !k->tail_only && k->found_longest > (uint64_t)k->longest) {
		f = ex_note(x, F_EXIM_DATA_LINES, EX_DATA, data_start(x), body);
		text_str(&f->field, "longest line");
		text_str(&f->expected, "at most ");
		text_i64(&f->expected, k->longest);
		text_u64(&f->found, k->found_longest);
	}
}

/* What Exim's reader refuses is deleted when it is older than keep_malformed: by the time of
 * arrival when that could be read with the rest of the envelope, else by the id. */
static void set_deadlines(const struct ex_work *x)
{
	const struct site *s = &x->m->site;
	int64_t arrival = x->r->arrival;

	if (!x->k->envelope_good && !ex_id_time(x->m->id, x->m->id_len, &arrival))
		return;
	for (unsigned i = 0; i < x->r->count && i < REPORT_MAX; i++) {
		struct finding *f = &x->r->findings[i];

		if (f->impact == IMPACT_SERVER_DELETES && f->id != F_EXIM_RECIPIENT_NONE &&
		    f->id != F_EXIM_TIME_ID && arrival < INT64_MAX - UINT32_MAX)
			f->deadline = arrival + (s->keep > 0 ? s->keep : EX_KEEP);
	}
}

static void start(const struct ex_work *x)
{
	x->k->held = x->m->place == EX_FROZEN;
	x->k->first_block = UINT64_MAX;
	check_status(x);
	if (part_of(x, EX_HEAD) != NULL)
		read_head(x);
	read_journal(x);
	set_deadlines(x);
	count_recipients(x);
	x->k->phase = PH_DATA;
}

enum step ex_check(void *scratch, const struct message *m, struct report *r, struct want *w)
{
	struct ex_check *k = scratch;
	const struct ex_work x = { k, m, r };

	if (k->phase == PH_START)
		start(&x);
	if (k->phase == PH_DATA && first_line(&x, w) == STEP_WANT)
		return STEP_WANT;
	if (k->phase == PH_BODY) {
		if (read_body(&x, w) == STEP_WANT)
			return STEP_WANT;
		judge_body(&x);
	}
	k->phase = PH_DONE;
	return STEP_DONE;
}
