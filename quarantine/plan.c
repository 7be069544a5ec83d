/*
 * plan.c - the plan of a transaction, on disk
 *
 * Lines of printable ASCII, so that recovery needs no JSON and a person with a
 * shell can follow it:
 *
 *     spoolck-plan 1 move                      or: restore
 *     name 20261120-073100-postfix-4F2A1C0B9
 *     spool /var/spool/postfix
 *     root DEV INO                             the spool's root directory
 *     lodge store [HIDDEN]                     where the parts lie: in parts/ of the store,
 *                                              or: lodge spool HIDDEN
 *     part checked DEV INO SIZE SEC.NSEC SHA256 TARGET PATH
 *     part along   ...                         moved along if it was there
 *     end SHA256                               of every byte above
 *
 * Promises: a plan is written and synced in one piece before its directory is;
 * what does not carry a right `end` line is torn and was never acted upon.
 * Words are escaped by escape_word(). Never: says what is true now, only
 * what was when it was written. Fails: -EBADMSG for a torn plan.
 */
#include "config.h"

#include "private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct plan *plan_new(unsigned nparts)
{
	struct plan *plan = g_new0(struct plan, 1);

	plan->parts = g_new0(struct plan_part, nparts);
	for (unsigned i = 0; i < nparts; i++)
		plan->parts[i].dir = plan->parts[i].fd = -1;
	return plan;
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	for (unsigned i = 0; i < plan->nparts; i++) {
		file_close(&plan->parts[i].dir);
		file_close(&plan->parts[i].fd);
		g_free(plan->parts[i].path);
		g_free(plan->parts[i].target);
		g_free(plan->parts[i].role);
	}
	g_free(plan->parts);
	g_free(plan->name);
	g_free(plan->spool);
	g_free(plan->hidden);
	g_free(plan);
}

static void append_word(GString *out, const char *word)
{
	char *escaped = escape_word(word, strlen(word));

	g_string_append(out, escaped);
	g_free(escaped);
}

static void append_part(GString *out, const struct plan_part *p)
{
	g_string_append_printf(out, "part %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %lld.%09ld %s ",
			       p->checked ? "checked" : "along", p->identity.dev, p->identity.ino,
			       p->identity.size, (long long)p->identity.mtime.tv_sec,
			       p->identity.mtime.tv_nsec, p->sha256);
	append_word(out, p->target);
	g_string_append_c(out, ' ');
	append_word(out, p->path);
	g_string_append_c(out, '\n');
}

int plan_write(int dir, const char *file, const struct plan *plan, struct q_error *err)
{
	GString *out = g_string_new(NULL);
	char *hex;
	int rc;

	g_string_append_printf(out, "spoolck-plan 1 %s\nname ",
			       plan->kind == PLAN_MOVE ? "move" : "restore");
	append_word(out, plan->name);
	g_string_append(out, "\nspool ");
	append_word(out, plan->spool);
	g_string_append_printf(out, "\nroot %" PRIu64 " %" PRIu64 "\nlodge ", plan->root_dev,
			       plan->root_ino);
	g_string_append(out, plan->lodged ? "spool" : "store");
	if (plan->hidden) {
		g_string_append_c(out, ' ');
		append_word(out, plan->hidden);
	}
	g_string_append_c(out, '\n');
	for (unsigned i = 0; i < plan->nparts; i++)
		append_part(out, &plan->parts[i]);
	hex = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)out->str, out->len);
	g_string_append_printf(out, "end %s\n", hex);
	g_free(hex);
	rc = file_write(dir, file, out->str, out->len, err);
	g_string_free(out, TRUE);
	return rc;
}

/* Is the last line "end" with the digest of all the others? Cuts it off. */
static bool cut_end(char *data, size_t len)
{
	const size_t end = 4 + 64 + 1; /* "end ", digest, newline */
	char *hex;
	bool right;

	if (len < end || memchr(data, '\0', len))
		return false;
	hex = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)data, len - end);
	right = !strncmp(data + len - end, "end ", 4) && data[len - 1] == '\n' &&
		!strncmp(data + len - end + 4, hex, 64);
	g_free(hex);
	data[len - end] = '\0';
	return right;
}

static char *parse_word(const char *word)
{
	size_t len;
	char *bytes = escape_undo(word, &len);

	if (bytes && (len == 0 || strlen(bytes) != len)) {
		g_free(bytes);
		return NULL;
	}
	return bytes;
}

static bool parse_time(const char *word, struct timespec *ts_r)
{
	long long sec;
	long nsec;
	int used = 0;

	if (sscanf(word, "%lld.%9ld%n", &sec, &nsec, &used) != 2 || word[used] || nsec < 0)
		return false;
	ts_r->tv_sec = (time_t)sec;
	ts_r->tv_nsec = nsec;
	return true;
}

/* part HOW DEV INO SIZE TIME SHA256 TARGET PATH */
static bool parse_part(char **w, struct plan_part *p)
{
	if (g_strv_length(w) != 9 || strlen(w[6]) != 64)
		return false;
	p->checked = !strcmp(w[1], "checked");
	if (!g_ascii_string_to_unsigned(w[2], 10, 0, G_MAXUINT64, &p->identity.dev, NULL) ||
	    !g_ascii_string_to_unsigned(w[3], 10, 0, G_MAXUINT64, &p->identity.ino, NULL) ||
	    !g_ascii_string_to_unsigned(w[4], 10, 0, G_MAXUINT64, &p->identity.size, NULL) ||
	    !parse_time(w[5], &p->identity.mtime))
		return false;
	g_strlcpy(p->sha256, w[6], sizeof p->sha256);
	p->target = parse_word(w[7]);
	p->path = parse_word(w[8]);
	return p->target && p->path && file_path_sane(p->path) && file_path_sane(p->target) &&
	       !strchr(p->target, '/');
}

static bool parse_root(char **w, struct plan *plan)
{
	return g_strv_length(w) == 3 &&
	       g_ascii_string_to_unsigned(w[1], 10, 0, G_MAXUINT64, &plan->root_dev, NULL) &&
	       g_ascii_string_to_unsigned(w[2], 10, 0, G_MAXUINT64, &plan->root_ino, NULL);
}

static bool parse_lodge(char **w, struct plan *plan)
{
	plan->lodged = !strcmp(w[1], "spool");
	if (!plan->lodged && strcmp(w[1], "store"))
		return false;
	if (g_strv_length(w) == 2)
		return !plan->lodged;
	if (g_strv_length(w) != 3)
		return false;
	plan->hidden = parse_word(w[2]);
	return plan->hidden && file_path_sane(plan->hidden);
}

/* The head is five lines in fixed order; every further line is a part. */
static bool parse_line(struct plan *plan, unsigned n, char **w)
{
	static const char *const keys[] = { "spoolck-plan", "name", "spool", "root", "lodge" };
	unsigned words = g_strv_length(w);

	if (n >= G_N_ELEMENTS(keys))
		return words && !strcmp(w[0], "part") && parse_part(w, &plan->parts[plan->nparts++]);
	if (words < 2 || strcmp(w[0], keys[n]))
		return false;
	switch (n) {
	case 0:
		plan->kind = words == 3 && !strcmp(w[2], "move") ? PLAN_MOVE : PLAN_RESTORE;
		return words == 3 && !strcmp(w[1], "1") &&
		       (plan->kind == PLAN_MOVE || !strcmp(w[2], "restore"));
	case 1:
		return (plan->name = parse_word(w[1])) && store_name_valid(plan->name);
	case 2:
		return (plan->spool = parse_word(w[1])) && plan->spool[0] == '/';
	case 3:
		return parse_root(w, plan);
	default:
		return parse_lodge(w, plan);
	}
}

int plan_read(int dir, const char *file, struct plan **plan_r, struct q_error *err)
{
	struct plan *plan = NULL;
	char *data = NULL, **lines = NULL;
	size_t len = 0;
	unsigned n = 0;
	int rc = file_read(dir, file, Q_PLAN_MAX, &data, &len);

	if (rc)
		return q_fail(err, rc, "cannot read the file %s of the transaction: %s", file,
			      g_strerror(-rc));
	if (!cut_end(data, len)) {
		rc = q_fail(err, EBADMSG, "the file %s is cut or damaged", file);
		goto out;
	}
	plan = plan_new(Q_PARTS_MAX);
	lines = g_strsplit(data, "\n", 5 + Q_PARTS_MAX + 2);
	for (; lines[n] && lines[n][0]; n++) {
		char **w = g_strsplit(lines[n], " ", 10);
		bool good = n < 5 + Q_PARTS_MAX && parse_line(plan, n, w);

		g_strfreev(w);
		if (!good) {
			rc = q_fail(err, EPROTO, "line %u of the file %s is not of this version of "
				    "spoolck", n + 1, file);
			goto out;
		}
	}
	if (plan->nparts == 0) {
		rc = q_fail(err, EPROTO, "the file %s names no part", file);
		goto out;
	}
	*plan_r = plan;
	plan = NULL;
out:
	plan_free(plan);
	g_strfreev(lines);
	g_free(data);
	return rc;
}
