/*
 * command_quarantine_redact.c - `spoolck quarantine export --redact`
 *
 * ENTRY.redacted/: spool/, the parts under the names that the server needs, masked; findings.json, what
 * spoolck says of them. It is made under another name, and gets its own only when it was proved that the
 * findings are the same; before that no stranger should see it.
 */
#include "config.h"

#include "command_quarantine.h"

#include "redact.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* What a stranger needs to know: nothing of the host, the sender, the time of the move. */
static json_t *describe(const struct salvage *s, const json_t *manifest, const struct redaction *r)
{
	const struct format *f = salvage_spool(s)->format;
	json_t *j = json_object();

	json_object_set_new(j, "event", json_string("redacted"));
	json_object_set_new(j, "version", json_string(PACKAGE_VERSION));
	json_object_set_new(j, "format", json_string(f->name));
	json_object_set_new(j, "tested", json_string(f->tested));
	json_object_set(j, "id", json_object_get(manifest, "id"));
	json_object_set(j, "findings", r->findings);
	json_object_set(j, "not_shown", r->lost);
	json_object_set(j, "of_the_copy", r->alone);
	return j;
}

static bool write_json(const char *dir, const json_t *j)
{
	g_autofree char *path = g_build_filename(dir, "findings.json", NULL);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
	bool good = out != NULL && json_dumpf(j, out, JSON_INDENT(1)) == 0 && fputc('\n', out) != EOF &&
		    fflush(out) == 0 && fsync(fd) == 0;

	if (out != NULL)
		fclose(out);
	return good;
}

static void told(const char *dir, const json_t *j)
{
	if (qo.common.json) {
		json_dumpf(j, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
		putchar('\n');
		return;
	}
	say(dir);
	printf("  %zu finding(s), the same as before, proved by a fresh worker; text and addresses are masked.\n"
	       "  Names of files and of header fields, sizes and times stay: have a look before it leaves.\n",
	       json_array_size(json_object_get(j, "findings")));
}

/* In the directory `work`, which gets the name `final`. */
static int redact_in(struct salvage *s, const json_t *manifest, const char *work, const char *final)
{
	struct redaction r = { NULL, NULL, NULL };
	struct q_error err = { "" };
	int status = 0;
	json_t *j;

	if (!redact(s, manifest, &r, &err)) {
		status = command_failed("not redacted: %s", err.text);
		goto out;
	}
	j = describe(s, manifest, &r);
	if (!write_json(work, j) ||
	    renameat2(AT_FDCWD, work, AT_FDCWD, final, RENAME_NOREPLACE) < 0)
		status = command_failed("cannot create %s: %s", final, g_strerror(errno));
	else
		told(final, j);
	json_decref(j);
out:
	json_decref(r.findings);
	json_decref(r.lost);
	json_decref(r.alone);
	return status;
}

static int redact_entry(struct q_store *store, const char *entry, const json_t *manifest, int zygote)
{
	const char *to = qo.output != NULL ? qo.output : ".";
	g_autofree char *work = g_strconcat(to, "/.spoolck-XXXXXX", NULL);
	g_autofree char *final = g_strconcat(to, "/", entry, ".redacted", NULL);
	g_autofree char *layout = NULL;
	struct q_error err = { "" };
	struct salvage *s;
	int status;

	if (g_mkdtemp_full(work, 0700) == NULL)
		return command_failed("cannot make a directory in %s: %s", to, g_strerror(errno));
	layout = g_build_filename(work, "spool", NULL);
	if (mkdir(layout, 0700) < 0) {
		rmdir(work);
		return command_failed("cannot create %s: %s", layout, g_strerror(errno));
	}
	s = salvage_open_in(store, entry, manifest, zygote, layout, &err);
	if (s == NULL)
		status = command_failed("%s", err.text);
	else if (salvage_spool(s) == NULL)
		status = command_failed("%s: its format is not known here", entry);
	else
		status = redact_in(s, manifest, work, final);
	salvage_close(s);
	nftw(work, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* it has another name now, or must not stay */
	return status;
}

/* What is not masked yet must not be left behind by an impatient Ctrl-C: it counts when all is cleared away. */
int quarantine_redact(struct q_store *store, const char *entry, const json_t *manifest, int zygote)
{
	sigset_t later, before;
	int status;

	sigemptyset(&later);
	sigaddset(&later, SIGINT);
	sigaddset(&later, SIGTERM);
	sigaddset(&later, SIGHUP);
	sigprocmask(SIG_BLOCK, &later, &before);
	status = redact_entry(store, entry, manifest, zygote);
	fflush(stdout);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}
