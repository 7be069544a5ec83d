/*
 * qmail_check.c - every rule of a qmail message: which parts there are, then each of them
 *
 *	FACTS -> ALONE or TODO -> INFO -> LOCAL -> REMOTE -> BOUNCE -> HEAD (of the text) -> TEXT -> DONE
 *
 * Which files there are is the state of a message (INTERNALS, section 2), and decides what
 * qmail-send reads: while todo is there, info, local and remote are scratch and are not looked
 * at. Nobody at qmail ever looks into the text.
 */
#include "qmail.h"

enum phase {
	PH_FACTS, PH_ALONE, PH_TODO, PH_INFO, PH_LOCAL, PH_REMOTE, PH_BOUNCE, PH_HEAD, PH_TEXT, PH_TEXT_END,
	PH_DONE
};

enum qm_state {
	QM_ON_ITS_OWN,   /* outside of a queue */
	QM_RECEIVING,    /* only a text, perhaps intd */
	QM_QUEUED,       /* todo */
	QM_PREPROCESSED, /* info */
	QM_FORGOTTEN,    /* recipients, but neither todo nor info */
	QM_SCRAPS,       /* the same, and the text is gone, too */
};

/* --- Findings ---------------------------------------------------------------- */

static bool said(const struct report *r, enum finding_id id)
{
	for (unsigned i = 0; i < r->count && i < REPORT_MAX; i++)
		if (r->findings[i].id == id)
			return true;
	return false;
}

struct finding *qm_note(const struct qm_work *x, enum finding_id id, unsigned role, uint64_t off,
			uint64_t len)
{
	struct finding *f = &x->r->spare;

	if (finding_def(id)->severity != SEV_CORRUPT && said(x->r, id)) {
		memset(f, 0, sizeof *f);
		return f;
	}
	return report_add(x->r, id, role, off, len);
}

/* --- Facts that need no contents ------------------------------------------------ */

static enum qm_state state_of(const struct message *m)
{
	if (qm_loose(m))
		return QM_ON_ITS_OWN;
	if (qm_part(m, QM_TODO) != NULL)
		return QM_QUEUED;
	if (qm_part(m, QM_INFO) != NULL)
		return QM_PREPROCESSED;
	if (qm_part(m, QM_LOCAL) == NULL && qm_part(m, QM_REMOTE) == NULL)
		return QM_RECEIVING;
	return qm_part(m, QM_MESS) != NULL ? QM_FORGOTTEN : QM_SCRAPS;
}

/* qmail computes the directory from the number and never looks into another. */
static bool check_home(const struct qm_work *x)
{
	const struct message *m = x->m;
	char buf[64] = { 0 };
	size_t n = qm_home(&m->site, m->place, m->id, m->id_len, buf, sizeof buf);
	struct cur home = cur_make((const uint8_t *)buf, n, 0), rest = home, dir;
	struct cur path = cur_make((const uint8_t *)m->path, strlen(m->path), 0);
	struct finding *f;

	dir = cur_sub(&rest, cur_find(&rest, '/'));
	cur_skip(&rest, 1);
	if (n == 0 || cur_same(&rest, &path))
		return true;
	f = qm_note(x, F_QMAIL_MISPLACED, QM_HEAD, 0, 0);
	if (m->place == QM_TODO || m->place == QM_MESS)
		f->impact = IMPACT_STRANDED;
	qm_say(&f->expected, home);
	qm_say(&f->found, dir);
	text_str(&f->found, "/");
	qm_say(&f->found, path);
	return false;
}

/* The users qmailq and qmails own their directories and what they write. qmail-rspawn and
 * qmail-lspawn refuse a text that is not qmailq's, qmail-send has to write into local and remote. */
static void check_owner(const struct qm_work *x, unsigned place)
{
	const struct part *p = qm_part(x->m, place);
	uint32_t owner = x->m->site.owners[place];
	struct finding *f;

	if (p == NULL || owner == UINT32_MAX ||
	    (p->uid == owner && (p->mode & (place == QM_MESS ? 0004u : 0400u)) != 0))
		return;
	f = qm_note(x, F_QMAIL_OWNER, qm_role(x->m, place), 0, 0);
	text_str(&f->expected, "owner ");
	text_u64(&f->expected, owner);
	text_str(&f->expected, place == QM_MESS ? ", readable for all" : ", readable");
	text_str(&f->found, "owner ");
	text_u64(&f->found, p->uid);
}

/* qmail-send makes the file itself. When it may not append to it, the first recipient that fails
 * makes it wait, and with it everything. */
static void check_bounce_owner(const struct qm_work *x)
{
	const struct part *p = qm_part(x->m, QM_BOUNCE);
	uint32_t owner = x->m->site.owners[QM_BOUNCE];
	struct finding *f;

	if (p == NULL || owner == UINT32_MAX || owner == 0 ||
	    (p->mode & (p->uid == owner ? 0200u : 0022u)) != 0)
		return;
	f = qm_note(x, F_QMAIL_BOUNCE_OWNER, qm_role(x->m, QM_BOUNCE), 0, 0);
	text_str(&f->expected, "owner ");
	text_u64(&f->expected, owner);
	text_str(&f->expected, ", writable");
	text_str(&f->found, "owner ");
	text_u64(&f->found, p->uid);
}

static void check_links(const struct qm_work *x, unsigned place, uint32_t most)
{
	const struct part *p = qm_part(x->m, place);

	if (p != NULL && p->nlink > most)
		text_u64(&qm_note(x, F_QMAIL_LINKS, qm_role(x->m, place), 0, 0)->found, p->nlink);
}

static uint64_t number(const char *id, size_t len)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++)
		n = n * 10 + (uint64_t)(id[i] - '0');
	return n;
}

/* A queue that was copied has numbers that are not the inodes; it works, but one of its numbers
 * may be another file's inode. */
static void check_inode(const struct qm_work *x)
{
	const struct part *p = qm_part(x->m, QM_MESS);
	struct finding *f;

	if (p == NULL || p->ino == number(x->m->id, x->m->id_len))
		return;
	f = qm_note(x, F_QMAIL_INODE, qm_role(x->m, QM_MESS), 0, 0);
	text_bytes(&f->expected, (const uint8_t *)x->m->id, x->m->id_len);
	text_u64(&f->found, p->ino);
}

static void check_twin(const struct qm_work *x)
{
	const struct part *todo = qm_part(x->m, QM_TODO), *intd = qm_part(x->m, QM_INTD);
	struct finding *f;

	if (todo == NULL || intd == NULL || intd->ino == todo->ino)
		return;
	f = qm_note(x, F_QMAIL_TWIN, qm_role(x->m, QM_INTD), 0, 0);
	text_u64(&f->expected, todo->ino);
	text_u64(&f->found, intd->ino);
}

static void check_birth(const struct qm_work *x)
{
	const struct part *p = qm_part(x->m, QM_INFO);
	int64_t now = x->m->site.now;
	struct finding *f;

	if (p == NULL || (p->mtime <= now + QM_DAY && p->mtime >= QM_YEAR_2000))
		return;
	f = qm_note(x, F_QMAIL_BIRTH, qm_role(x->m, QM_INFO), 0, 0);
	if (p->mtime > now)
		f->impact = IMPACT_STRANDED;
	text_i64(&f->found, p->mtime);
	text_time(&f->found, p->mtime);
}

/* When qmail-send stops it leaves the time of the next attempt in the file. */
static void check_retry(const struct qm_work *x, unsigned place)
{
	const struct part *p = qm_part(x->m, place);
	struct finding *f;

	if (p == NULL || p->mtime <= x->m->site.now + QM_RETRY_FAR)
		return;
	f = qm_note(x, F_QMAIL_RETRY_FAR, qm_role(x->m, place), 0, 0);
	text_i64(&f->found, p->mtime);
	text_time(&f->found, p->mtime);
}

/* --- What the state demands --------------------------------------------------------- */

static void preprocessed(const struct qm_work *x)
{
	const struct message *m = x->m;
	bool left = qm_part(m, QM_LOCAL) != NULL || qm_part(m, QM_REMOTE) != NULL ||
		    qm_part(m, QM_BOUNCE) != NULL;

	check_birth(x);
	check_retry(x, QM_LOCAL);
	check_retry(x, QM_REMOTE);
	if (!left)
		qm_note(x, F_QMAIL_DONE, qm_role(m, QM_INFO), 0, 0);
	else if (qm_part(m, QM_MESS) == NULL)
		qm_note(x, F_QMAIL_MESS_MISSING, qm_role(m, QM_INFO), 0, 0);
}

static void left_over(const struct qm_work *x, unsigned place)
{
	const struct part *p = qm_part(x->m, place);

	if (p != NULL && p->mtime < x->m->site.now - QM_LEFT_OVER - QM_DAY)
		qm_note(x, F_QMAIL_LEFT_OVER, qm_role(x->m, place), 0, 0);
}

static void check_state(const struct qm_work *x)
{
	struct report *r = x->r;
	const struct part *birth = NULL;

	switch ((enum qm_state)x->k->state) {
	case QM_QUEUED:
		birth = qm_part(x->m, QM_TODO);
		if (qm_part(x->m, QM_MESS) == NULL)
			qm_note(x, F_QMAIL_MESS_MISSING, qm_role(x->m, QM_TODO), 0, 0);
		check_twin(x);
		break;
	case QM_PREPROCESSED:
		birth = qm_part(x->m, QM_INFO);
		preprocessed(x);
		break;
	case QM_FORGOTTEN:
		birth = qm_part(x->m, QM_MESS);
		qm_note(x, F_QMAIL_INFO_MISSING, QM_HEAD, 0, 0);
		break;
	case QM_SCRAPS:
		left_over(x, QM_LOCAL);
		left_over(x, QM_REMOTE);
		break;
	case QM_RECEIVING:
		left_over(x, QM_MESS);
		break;
	case QM_ON_ITS_OWN:
		break;
	}
	if (birth != NULL) {
		r->has_arrival = true;
		r->arrival = birth->mtime;
	}
}

/* Which phases follow: the bits of those that look into files. */
static unsigned phases_of(const struct qm_check *k)
{
	switch ((enum qm_state)k->state) {
	case QM_QUEUED:
		return 1u << PH_TODO | 1u << PH_HEAD;
	case QM_PREPROCESSED:
		return 1u << PH_INFO | 1u << PH_LOCAL | 1u << PH_REMOTE | 1u << PH_BOUNCE |
		       1u << PH_HEAD;
	case QM_FORGOTTEN:
		return 1u << PH_LOCAL | 1u << PH_REMOTE;
	case QM_ON_ITS_OWN:
		return 1u << PH_ALONE;
	case QM_RECEIVING:
	case QM_SCRAPS:
		break;
	}
	return 0;
}

static void check_facts(const struct qm_work *x)
{
	x->k->state = (uint8_t)state_of(x->m);
	x->k->quiet = x->k->state == QM_FORGOTTEN;
	if (x->k->state == QM_ON_ITS_OWN)
		return;
	if (!check_home(x)) {
		x->k->phase = PH_DONE; /* the rest is said where it belongs */
		return;
	}
	for (unsigned place = 0; place <= QM_MESS; place++) {
		if (place != QM_BOUNCE)
			check_owner(x, place);
		check_links(x, place, place == QM_TODO || place == QM_INTD ? 2 :
				      place == QM_MESS && x->k->state == QM_RECEIVING ? 2 : 1);
	}
	check_bounce_owner(x);
	check_inode(x);
	check_state(x);
}

/* --- check() ---------------------------------------------------------------------------- */

/* A file outside of a queue: it is what its first byte says. */
static bool check_alone(const struct qm_work *x, struct want *w)
{
	struct qm_check *k = x->k;

	if (!k->guessed) {
		if (!qm_there(x->m, QM_HEAD, 0, 1, w))
			return false;
		k->guess = (uint8_t)qm_guess(x->m);
		k->guessed = true;
	}
	return k->guess == QM_MESS || qm_records(x, k->guess, QM_HEAD, w);
}

/* One phase; false: give a window. */
static bool phase(const struct qm_work *x, unsigned now, struct want *w)
{
	unsigned role = qm_role(x->m, QM_MESS);

	switch ((enum phase)now) {
	case PH_FACTS:
		check_facts(x);
		return true;
	case PH_ALONE:
		return check_alone(x, w);
	case PH_TODO:
		return qm_records(x, QM_TODO, qm_role(x->m, QM_TODO), w);
	case PH_INFO:
		return qm_records(x, QM_INFO, qm_role(x->m, QM_INFO), w);
	case PH_LOCAL:
		return qm_records(x, QM_LOCAL, qm_role(x->m, QM_LOCAL), w);
	case PH_REMOTE:
		return qm_records(x, QM_REMOTE, qm_role(x->m, QM_REMOTE), w);
	case PH_BOUNCE:
		return qm_check_bounce(x, w);
	case PH_HEAD:
		return qm_check_head(x, w);
	case PH_TEXT:
		return x->k->skip || qm_scan_text(x, role, w);
	case PH_TEXT_END:
		if (!x->k->skip)
			qm_say_zeros(x, role);
		return true;
	case PH_DONE:
		break;
	}
	return true;
}

enum step qm_check(void *scratch, const struct message *m, struct report *r, struct want *w)
{
	struct qm_check *k = scratch;
	const struct qm_work x = { k, m, r };

	while (k->phase < PH_DONE) {
		unsigned now = k->phase, due;

		if (now != PH_FACTS) {
			due = phases_of(k);
			due |= (due >> PH_HEAD & 1) << PH_TEXT | (due >> PH_HEAD & 1) << PH_TEXT_END;
			if ((due >> now & 1) == 0) {
				k->phase++;
				continue;
			}
		}
		if (!phase(&x, now, w))
			return STEP_WANT;
		if (k->phase == now)
			k->phase++;
	}
	return STEP_DONE;
}
