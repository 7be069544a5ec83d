/*
 * manifest.c - what is told about an entry: manifest.json, summary.txt
 *
 * manifest.json: schema 1. Paths, names and ids are bytes: `\` is `\\`, each
 * byte that is a control or no UTF-8 is \xNN, before JSON's own quoting. Times
 * of parts are text, "SECONDS.NNNNNNNNN", because 64 bits of nanoseconds end in
 * 2262 and a file's time need not. xattrs: name -> base64; POSIX ACLs and
 * security labels are among them. streams: named streams that are opened by name (NTFS), each with size and
 * digest; ntfs: its own attributes, base64. state: "stored" = the parts are in parts/;
 * "lodged" = they lie in the directory `lodge`, on the spool's file system.
 *
 * Promises: both are written before anything moves, from the held descriptors;
 * nothing of a message's content goes in but what findings and envelope bring.
 * Never: needed to recover. Fails: like any write.
 */
#include "config.h"

#include "private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static json_t *json_bytes(const char *bytes, size_t len)
{
	char *text = escape_json(bytes, len);
	json_t *j = json_string(text);

	if (!j) { /* a code point that jansson takes for none */
		g_free(text);
		text = escape_word(bytes, len);
		j = json_string(text);
	}
	g_free(text);
	return j;
}

static json_t *json_text(const char *s)
{
	return json_bytes(s, strlen(s));
}

static json_t *json_time(const struct timespec *ts)
{
	return json_sprintf("%lld.%09ld", (long long)ts->tv_sec, ts->tv_nsec);
}

/* All attributes of the held file; a value that cannot be read is null. NULL when they cannot be listed. */
static json_t *xattrs_of(int fd)
{
	const size_t max = 65536; /* XATTR_LIST_MAX, XATTR_SIZE_MAX */
	char *list = g_malloc(max), *value = g_malloc(max);
	ssize_t len = flistxattr(fd, list, max);
	json_t *all = len >= 0 || errno == ENOTSUP ? json_object() : NULL;

	for (char *name = list; len > 0 && name < list + len; name += strlen(name) + 1) {
		ssize_t n = fgetxattr(fd, name, value, max);
		char *text = n >= 0 ? g_base64_encode((const guchar *)value, (gsize)n) : NULL;
		char *key = escape_word(name, strlen(name));

		json_object_set_new(all, key, text ? json_string(text) : json_null());
		g_free(key);
		g_free(text);
	}
	g_free(list);
	g_free(value);
	return all;
}

static json_t *part_json(const struct plan_part *p)
{
	struct stat st;
	json_t *j, *xattrs = xattrs_of(p->fd), *streams = streams_json(p->dir, file_base(p->path), p->fd,
							 false);
	json_t *ntfs = streams_ntfs_json(p->fd);

	if (!xattrs || !streams || fstat(p->fd, &st)) {
		json_decref(xattrs);
		json_decref(streams);
		json_decref(ntfs);
		return NULL;
	}
	j = json_object();
	json_object_set_new(j, "path", json_text(p->path));
	json_object_set_new(j, "role", json_text(p->role ? p->role : ""));
	json_object_set_new(j, "target", json_text(p->target));
	json_object_set_new(j, "checked", json_boolean(p->checked));
	json_object_set_new(j, "dev", json_integer((json_int_t)st.st_dev));
	json_object_set_new(j, "ino", json_integer((json_int_t)st.st_ino));
	json_object_set_new(j, "size", json_integer((json_int_t)st.st_size));
	json_object_set_new(j, "mode", json_sprintf("%04o", (unsigned)st.st_mode & 07777u));
	json_object_set_new(j, "uid", json_integer((json_int_t)st.st_uid));
	json_object_set_new(j, "gid", json_integer((json_int_t)st.st_gid));
	json_object_set_new(j, "nlink", json_integer((json_int_t)st.st_nlink));
	json_object_set_new(j, "mtime", json_time(&st.st_mtim));
	json_object_set_new(j, "atime", json_time(&st.st_atim));
	json_object_set_new(j, "ctime", json_time(&st.st_ctim));
	json_object_set_new(j, "xattrs", xattrs);
	if (json_array_size(streams) > 0)
		json_object_set(j, "streams", streams);
	json_decref(streams);
	if (ntfs)
		json_object_set_new(j, "ntfs", ntfs);
	json_object_set_new(j, "sha256", json_string(p->sha256));
	return j;
}

static json_t *json_clock(time_t now)
{
	char text[40] = "";
	struct tm tm;

	if (gmtime_r(&now, &tm))
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

/* Where the parts lie. */
static void set_place(json_t *j, const struct plan *plan)
{
	char *lodge = plan->lodged ?
		g_strjoin("/", plan->spool, plan->hidden, plan->name, NULL) : NULL;

	json_object_set_new(j, "state", json_string(lodge ? "lodged" : "stored"));
	json_object_set_new(j, "lodge", lodge ? json_text(lodge) : json_null());
	g_free(lodge);
}

static json_t *manifest_json(const struct q_message *m, const struct plan *plan, time_t now)
{
	char host[256] = "";
	json_t *j = json_object(), *parts = json_array();

	gethostname(host, sizeof host - 1);
	json_object_set_new(j, "schema", json_integer(1));
	json_object_set_new(j, "version", json_string(PACKAGE_VERSION));
	json_object_set_new(j, "entry", json_text(plan->name));
	json_object_set_new(j, "time", json_clock(now));
	json_object_set_new(j, "host", json_text(host));
	json_object_set_new(j, "spool", json_text(plan->spool));
	json_object_set_new(j, "format", json_text(m->format));
	json_object_set_new(j, "id", json_bytes(m->id, m->id_len));
	json_object_set_new(j, "reason", json_text(m->reason ? m->reason : ""));
	json_object_set_new(j, "inode_in_name", json_boolean(m->inode_in_name));
	set_place(j, plan);
	for (unsigned i = 0; i < plan->nparts; i++)
		if (json_array_append_new(parts, part_json(&plan->parts[i]))) {
			json_decref(parts);
			json_decref(j);
			return NULL;
		}
	json_object_set_new(j, "parts", parts);
	json_object_set(j, "findings", m->findings);
	if (!json_object_get(j, "findings"))
		json_object_set_new(j, "findings", json_array());
	json_object_set(j, "envelope", m->envelope);
	if (!json_object_get(j, "envelope"))
		json_object_set_new(j, "envelope", json_null());
	return j;
}

/* ---- summary.txt ---- */

static void summary_line(GString *out, const char *label, const char *bytes, size_t len)
{
	char *text = escape_eyes(bytes, len);

	g_string_append_printf(out, "%-9s %s\n", label, text);
	g_free(text);
}

static void summary_findings(GString *out, const json_t *findings)
{
	size_t i;
	json_t *f;

	json_array_foreach (findings, i, f) {
		const char *name = json_string_value(json_object_get(f, "name"));
		const char *text = json_string_value(json_object_get(f, "text"));
		char *line = g_strconcat(name ? name : "", name && text ? ": " : "",
					 text ? text : "", NULL);

		summary_line(out, i ? "" : "findings", line, strlen(line));
		g_free(line);
		if (i == 19) { /* for eyes; the manifest has them all */
			g_string_append(out, "          ... more in manifest.json\n");
			break;
		}
	}
}

static char *summary_text(const struct q_message *m, const struct plan *plan, time_t now)
{
	GString *out = g_string_new(NULL);
	char clock[40] = "";
	struct tm tm;

	if (gmtime_r(&now, &tm))
		strftime(clock, sizeof clock, "%Y-%m-%d %H:%M:%S UTC", &tm);
	summary_line(out, "message", m->id, m->id_len);
	summary_line(out, "spool", plan->spool, strlen(plan->spool));
	summary_line(out, "server", m->format, strlen(m->format));
	summary_line(out, "moved", clock, strlen(clock));
	if (m->reason)
		summary_line(out, "reason", m->reason, strlen(m->reason));
	summary_findings(out, m->findings);
	for (unsigned i = 0; i < plan->nparts; i++) {
		const struct plan_part *p = &plan->parts[i];
		char *line = g_strdup_printf("%s (%" PRIu64 " bytes) -> %s", p->path,
					     p->identity.size, p->target);

		summary_line(out, i ? "" : "parts", line, strlen(line));
		g_free(line);
	}
	if (plan->lodged) {
		char *lodge = g_strjoin("/", plan->spool, plan->hidden, plan->name, NULL);

		summary_line(out, "they lie", lodge, strlen(lodge));
		g_free(lodge);
	}
	g_string_append_printf(out, "undo      spoolck quarantine restore %s\n", plan->name);
	return g_string_free(out, FALSE);
}

int manifest_write(int dir, const struct q_message *m, const struct plan *plan, time_t now,
		   struct q_error *err)
{
	json_t *j = manifest_json(m, plan, now);
	char *text = j ? json_dumps(j, JSON_INDENT(1)) : NULL;
	char *summary;
	int rc;

	if (!text || strlen(text) > Q_MANIFEST_MAX) {
		free(text);
		rc = q_fail(err, j ? EOVERFLOW : EIO, j ? "the manifest would be no JSON, or "
			      "more than 256 MiB of it" : "cannot look at a part of the message");
		json_decref(j);
		return rc;
	}
	json_decref(j);
	rc = file_write(dir, Q_FILE_MANIFEST, text, strlen(text), err);
	free(text);
	if (rc)
		return rc;
	summary = summary_text(m, plan, now);
	rc = file_write(dir, Q_FILE_SUMMARY, summary, strlen(summary), err);
	g_free(summary);
	return rc;
}

/* ---- reading ---- */

int manifest_read(int dir, json_t **manifest_r, struct q_error *err)
{
	json_error_t why;
	char *data = NULL;
	size_t len;
	int rc = file_read(dir, Q_FILE_MANIFEST, Q_MANIFEST_MAX, &data, &len);
	json_t *j;

	if (rc)
		return q_fail(err, rc == -EFBIG ? -EBADMSG : rc, "cannot read manifest.json: %s",
			      g_strerror(-rc));
	j = json_loadb(data, len, JSON_REJECT_DUPLICATES, &why);
	g_free(data);
	if (!j)
		return q_fail(err, EBADMSG, "manifest.json is damaged, line %d: %s", why.line,
			      why.text);
	if (json_integer_value(json_object_get(j, "schema")) != 1 ||
	    !json_is_array(json_object_get(j, "parts"))) {
		json_decref(j);
		return q_fail(err, EBADMSG, "manifest.json is not of schema 1");
	}
	*manifest_r = j;
	return 0;
}

/* The parts lie elsewhere now. A manifest that cannot be read stays as it is: nothing
 * depends on it. */
int manifest_moved(int dir, const struct plan *plan, struct q_error *err)
{
	json_t *j = NULL;
	char *text;
	int rc = manifest_read(dir, &j, NULL);

	if (rc)
		return 0;
	set_place(j, plan);
	text = json_dumps(j, JSON_INDENT(1));
	json_decref(j);
	if (!text || (unlinkat(dir, Q_FILE_MANIFEST_NEW, 0) && errno != ENOENT))
		rc = q_fail(err, EIO, "cannot write manifest.json");
	if (!rc)
		rc = file_write(dir, Q_FILE_MANIFEST_NEW, text, strlen(text), err);
	if (!rc && renameat(dir, Q_FILE_MANIFEST_NEW, dir, Q_FILE_MANIFEST))
		rc = q_fail(err, errno, "cannot write manifest.json: %s", g_strerror(errno));
	free(text);
	return rc;
}

int q_manifest(struct q_store *store, const char *entry, json_t **manifest_r, struct q_error *err)
{
	int dir, rc;

	*manifest_r = NULL;
	if (!store_name_valid(entry))
		return q_fail(err, ENOENT, "%s is no name of an entry", q_tail(entry));
	dir = file_open_dir(store->entries, entry);
	if (dir < 0)
		return q_fail(err, dir, "cannot open the entry %s: %s", entry, g_strerror(-dir));
	rc = manifest_read(dir, manifest_r, err);
	file_close(&dir);
	return rc;
}

/* What it says of a part; borrowed. */
json_t *manifest_part(const json_t *manifest, const char *target)
{
	char *escaped = escape_json(target, strlen(target));
	json_t *j, *found = NULL;
	size_t i;

	json_array_foreach (json_object_get(manifest, "parts"), i, j) {
		const char *t = json_string_value(json_object_get(j, "target"));

		if (t && !strcmp(t, escaped))
			found = j;
	}
	g_free(escaped);
	return found;
}

struct differ {
	const struct plan_part *part;
	q_say *say;
	void *arg;
	int count;
};

static void differ(struct differ *d, const char *what)
{
	char *line = g_strdup_printf("%s: %s", q_tail(d->part->path), what);

	d->count++;
	if (d->say)
		d->say(d->arg, line);
	g_free(line);
}

static void differ_attr(struct differ *d, const json_t *want, const char *key, json_t *have)
{
	if (!json_equal(json_object_get(want, key), have)) {
		char *a = json_dumps(json_object_get(want, key), JSON_ENCODE_ANY);
		char *b = json_dumps(have, JSON_ENCODE_ANY);
		char *what = g_strdup_printf("%s was %.100s, is %.100s", key, a ? a : "(none)",
					     b ? b : "(none)");

		differ(d, what);
		g_free(what);
		free(a);
		free(b);
	}
	json_decref(have);
}

/* A value that could not be read when the manifest was written says nothing; one that cannot be read
 * now is an error, not a difference. */
static int differ_xattrs(struct differ *d, const json_t *want, int fd, struct q_error *err)
{
	json_t *have = xattrs_of(fd), *then = json_deep_copy(json_object_get(want, "xattrs"));
	json_t *both = json_object(), *value;
	const char *name;
	void *next;
	int rc = have ? 0 : q_fail(err, EIO, "cannot read the attributes of %s", q_tail(d->part->path));

	json_object_foreach_safe (then, next, name, value) {
		json_t *now = json_object_get(have, name);

		if (json_is_null(value) && now) {
			json_object_del(have, name);
			json_object_del(then, name);
		} else if (json_is_null(now)) {
			rc = q_fail(err, EIO, "cannot read the attribute %s of %s", name,
				    q_tail(d->part->path));
		}
	}
	json_object_set_new(both, "xattrs", then ? then : json_null());
	if (rc)
		json_decref(have);
	else
		differ_attr(d, both, "xattrs", have);
	json_decref(both);
	return rc;
}

/* Named streams; and, where the file is on NTFS again, what else NTFS has. */
static int differ_streams(struct differ *d, const json_t *want, int dir, int fd, struct q_error *err)
{
	json_t *have = streams_json(dir, d->part->target, fd, true), *then = json_object_get(want, "streams");
	json_t *both = json_object(), *ntfs = streams_ntfs_json(fd), *was = json_object_get(want, "ntfs");
	static const char *const keys[] = { "system.ntfs_acl", "system.ntfs_attrib" };

	json_object_set(both, "streams", then);
	if (!then)
		json_object_set_new(both, "streams", json_array());
	if (have)
		differ_attr(d, both, "streams", json_incref(have));
	for (size_t i = 0; i < G_N_ELEMENTS(keys) && ntfs && was; i++)
		differ_attr(d, was, keys[i], json_incref(json_object_get(ntfs, keys[i])));
	json_decref(both);
	json_decref(ntfs);
	json_decref(have);
	return have ? 0 : q_fail(err, EIO, "cannot read the named streams of %s", q_tail(d->part->path));
}

/* Does the held file agree with the manifest? Says each difference; returns their number. */
int manifest_compare(const json_t *manifest, const struct plan_part *part, int dir, int fd,
		     q_say *say, void *arg, struct q_error *err)
{
	struct differ d = { .part = part, .say = say, .arg = arg };
	json_t *want = manifest_part(manifest, part->target);
	struct stat st;
	char hex[65];
	int rc;

	if (!want) {
		differ(&d, "the manifest does not know it");
		return d.count;
	}
	if (fstat(fd, &st))
		return q_fail(err, errno, "cannot look at %s: %s", q_tail(part->path),
			      g_strerror(errno));
	differ_attr(&d, want, "path", json_text(part->path));
	differ_attr(&d, want, "size", json_integer((json_int_t)st.st_size));
	differ_attr(&d, want, "mode", json_sprintf("%04o", (unsigned)st.st_mode & 07777u));
	differ_attr(&d, want, "uid", json_integer((json_int_t)st.st_uid));
	differ_attr(&d, want, "gid", json_integer((json_int_t)st.st_gid));
	differ_attr(&d, want, "mtime", json_time(&st.st_mtim));
	rc = differ_xattrs(&d, want, fd, err);
	if (rc)
		return rc;
	rc = differ_streams(&d, want, dir, fd, err);
	if (rc)
		return rc;
	rc = file_digest(fd, hex);
	if (rc && rc != Q_ESTALE && rc != -EFBIG)
		return q_fail(err, rc, "cannot read %s: %s", q_tail(part->path), g_strerror(-rc));
	if (rc)
		differ(&d, "it is being written to");
	else
		differ_attr(&d, want, "sha256", json_string(hex));
	return d.count;
}
