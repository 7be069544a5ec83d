/*
 * accept.c - what an operator accepted: not moved again, no alarm
 *
 *     STORE/accepted/FORMAT-ID-HASH.json     HASH: of the spool's real path
 *
 * One small JSON file for each: spool, id, names of the findings, and the print
 * of the message's first part. A record speaks for a file that has its digest, or
 * its inode and time of birth (a server marks recipients in place), so a queue
 * id that is used again is not covered.
 *
 * Promises: a record is complete or absent. Never: moves or opens mail but to
 * hash it. Fails: -ENOENT where there is no record that is still valid.
 */
#include "config.h"

#include "private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define Q_RECORD_MAX (1u << 20)

static char *real_path(const char *spool)
{
	char *real = realpath(spool, NULL);

	return real ? real : strdup(spool);
}

static char *record_name(const char *spool, const char *format, const char *id, size_t id_len)
{
	char *real = real_path(spool);
	char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, real, -1);
	char *word = escape_name(id, id_len, 160);
	char *name = g_strdup_printf("%.32s-%s-%.16s.json", format, word, hash);

	g_free(word);
	g_free(hash);
	free(real);
	return g_strdelimit(name, "/", '_');
}

static int open_accepted(const struct q_store *store, struct q_error *err)
{
	int fd = file_open_dir(store->root, "accepted");

	return fd >= 0 ? fd : q_fail(err, fd, "cannot open %s/accepted: %s", q_tail(store->path),
				     g_strerror(-fd));
}

/* ---- prints ---- */

static void print_times(int fd, struct q_print *print)
{
	struct statx sx;

	print->born = (struct timespec){ 0, 0 };
	if (!statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &sx) && (sx.stx_mask & STATX_BTIME))
		print->born = (struct timespec){ sx.stx_btime.tv_sec, sx.stx_btime.tv_nsec };
}

int q_print(int root, const char *path, bool digest, struct q_print *print_r, struct q_error *err)
{
	struct stat st;
	int fd, rc, dir = file_open_parent(root, path);

	fd = dir < 0 ? dir : file_open_regular(dir, file_base(path), &st);
	file_close(&dir);
	if (fd < 0)
		return q_fail(err, fd, "cannot open %s: %s", q_tail(path), g_strerror(-fd));
	*print_r = (struct q_print){ .size = (uint64_t)st.st_size, .ino = st.st_ino };
	print_times(fd, print_r);
	rc = digest ? file_digest(fd, print_r->sha256) : 0;
	close(fd);
	return rc ? q_fail(err, rc, "cannot read %s: %s", q_tail(path), g_strerror(-rc)) : 0;
}

/* ---- records ---- */

static void set_bytes(json_t *j, const char *key, const char *bytes, size_t len)
{
	char *text = escape_json(bytes, len);

	json_object_set_new(j, key, json_string(text));
	g_free(text);
}

static json_t *record_json(const struct q_acceptance *a)
{
	json_t *j = json_object();
	char *real = real_path(a->spool);

	json_object_set_new(j, "schema", json_integer(1));
	set_bytes(j, "spool", real, strlen(real));
	json_object_set_new(j, "format", json_string(a->format));
	set_bytes(j, "id", a->id, a->id_len);
	json_object_set_new(j, "time", json_integer((json_int_t)a->now));
	json_object_set_new(j, "until", json_integer((json_int_t)a->until));
	json_object_set_new(j, "forced", json_boolean(a->forced));
	set_bytes(j, "who", a->who ? a->who : "", a->who ? strlen(a->who) : 0);
	set_bytes(j, "reason", a->reason ? a->reason : "", a->reason ? strlen(a->reason) : 0);
	json_object_set(j, "findings", a->findings);
	json_object_set_new(j, "size", json_integer((json_int_t)a->print.size));
	json_object_set_new(j, "ino", json_integer((json_int_t)a->print.ino));
	json_object_set_new(j, "born", json_sprintf("%lld.%09ld", (long long)a->print.born.tv_sec,
						    a->print.born.tv_nsec));
	json_object_set_new(j, "sha256", json_string(a->print.sha256));
	free(real);
	return j;
}

int q_accept(struct q_store *store, const struct q_acceptance *a, struct q_error *err)
{
	char *name = record_name(a->spool, a->format, a->id, a->id_len);
	char *temp = g_strconcat("new-", name, NULL);
	json_t *j = record_json(a);
	char *text = json_dumps(j, JSON_INDENT(1));
	int rc, dir = open_accepted(store, err);

	rc = dir < 0 ? dir : text ? 0 : q_fail(err, EINVAL, "the record would be no JSON");
	if (!rc && unlinkat(dir, temp, 0) && errno != ENOENT)
		rc = q_fail(err, errno, "cannot remove accepted/%s: %s", temp, g_strerror(errno));
	if (!rc)
		rc = file_write(dir, temp, text, strlen(text), err);
	if (!rc && renameat(dir, temp, dir, name))
		rc = q_fail(err, errno, "cannot write accepted/%s: %s", name, g_strerror(errno));
	if (!rc && file_sync(dir))
		rc = q_fail(err, EIO, "cannot sync accepted/");
	file_close(&dir);
	free(text);
	json_decref(j);
	g_free(temp);
	g_free(name);
	return rc;
}

static int record_read(int dir, const char *name, time_t now, json_t **record_r,
		       struct q_error *err)
{
	char *data = NULL;
	size_t len;
	json_t *j;
	json_int_t until;
	int rc = file_read(dir, name, Q_RECORD_MAX, &data, &len);

	if (rc)
		return q_fail(err, rc, "cannot read accepted/%s: %s", q_tail(name),
			      g_strerror(-rc));
	j = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
	g_free(data);
	if (!j || json_integer_value(json_object_get(j, "schema")) != 1) {
		json_decref(j);
		return q_fail(err, EBADMSG, "accepted/%s is damaged; remove it", q_tail(name));
	}
	until = json_integer_value(json_object_get(j, "until"));
	if (until != 0 && until <= (json_int_t)now) {
		json_decref(j);
		return q_fail(err, ENOENT, "accepted/%s has expired", q_tail(name));
	}
	*record_r = j;
	return 0;
}

int q_accepted(struct q_store *store, const char *spool, const char *format, const char *id,
	       size_t id_len, time_t now, json_t **record_r, struct q_error *err)
{
	char *name = record_name(spool, format, id, id_len);
	int dir = open_accepted(store, err);
	int rc = dir < 0 ? dir : record_read(dir, name, now, record_r, err);

	file_close(&dir);
	g_free(name);
	return rc;
}

int q_unaccept(struct q_store *store, const char *spool, const char *format, const char *id,
	       size_t id_len, struct q_error *err)
{
	char *name = record_name(spool, format, id, id_len);
	int dir = open_accepted(store, err);
	int rc = dir < 0 ? dir : 0;

	if (!rc && unlinkat(dir, name, 0))
		rc = q_fail(err, errno, "cannot remove accepted/%s: %s", name, g_strerror(errno));
	file_close(&dir);
	g_free(name);
	return rc;
}

bool q_accepted_born(const json_t *record, const struct q_print *print)
{
	char *born = g_strdup_printf("%lld.%09ld", (long long)print->born.tv_sec,
				     print->born.tv_nsec);
	const char *then = json_string_value(json_object_get(record, "born"));
	bool same = print->born.tv_sec != 0 && then && !strcmp(born, then) &&
		    json_integer_value(json_object_get(record, "ino")) == (json_int_t)print->ino;

	g_free(born);
	return same;
}

bool q_accepted_digest(const json_t *record, const struct q_print *print)
{
	const char *digest = json_string_value(json_object_get(record, "sha256"));

	return digest && strlen(digest) == 64 && !strcmp(digest, print->sha256);
}

int q_accepted_expire(struct q_store *store, time_t now, struct q_error *err)
{
	int fd = open_accepted(store, err);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	int n = 0;

	if (!dir) {
		file_close(&fd);
		return fd < 0 ? fd : q_fail(err, EIO, "cannot read %s/accepted", q_tail(store->path));
	}
	while ((de = readdir(dir))) {
		json_t *record = NULL;

		if (!g_str_has_suffix(de->d_name, ".json"))
			continue;
		if (record_read(fd, de->d_name, now, &record, NULL) == -ENOENT &&
		    !unlinkat(fd, de->d_name, 0))
			n++;
		json_decref(record);
	}
	closedir(dir);
	return n;
}
