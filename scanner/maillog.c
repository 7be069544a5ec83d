/* maillog.c - what was logged since the last look */
#include "config.h"

#include "maillog.h"

#include "ask.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_BYTES (4 << 20)  /* of a file that was never looked at */
#define MOST_BYTES (16 << 20)  /* of any file at once: over an hour of a host that logs 4 KiB a second */
#define AGAIN_BYTES (16 << 10) /* of what was read the last time */
#define LINE_MAX_BYTES 4096    /* of a line; syslog daemons write no longer ones unless they are told to */
#define NAMES_MAX 10000        /* of a directory of logs, looked through for a rotated one */
#define JOURNAL_LINES "500"

/* --- Files ---------------------------------------------------------------------- */

struct position {
	uint64_t ino, offset;
};

/* No link is followed: directories of logs may belong to a server's user. */
static int open_log(const char *path, struct stat *st)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
	int error = EINVAL;

	if (fd < 0)
		return -errno;
	if (fstat(fd, st) < 0)
		error = errno;
	else if (S_ISREG(st->st_mode))
		return fd;
	close(fd);
	return -error;
}

/* Hand out whole lines from `from` on, those before `new` as old ones; the offset behind the last of them. */
static uint64_t read_lines(int fd, uint64_t from, uint64_t new, const char *source, maillog_line *line, void *arg)
{
	g_autofree uint8_t *buf = g_malloc(LINE_MAX_BYTES + 65536);
	uint64_t end = from; /* of what was handed out */
	size_t have = 0;
	bool inside = false; /* a line whose beginning was handed out already, for it is too long */
	ssize_t n;

	while ((n = pread(fd, buf + have, 65536, (off_t)(end + have))) > 0) {
		size_t done = 0;
		uint8_t *lf;

		have += (size_t)n;
		while ((lf = memchr(buf + done, '\n', have - done)) != NULL) {
			size_t len = (size_t)(lf - (buf + done));

			if (!inside)
				line(arg, source, buf + done, MIN(len, LINE_MAX_BYTES), end + done < new);
			inside = false;
			done += len + 1;
		}
		if (have - done >= LINE_MAX_BYTES) {
			if (!inside)
				line(arg, source, buf + done, LINE_MAX_BYTES, end + done < new);
			inside = true;
			done = have;
		}
		end += done;
		have -= done;
		memmove(buf, buf + done, have);
	}
	return end;
}

/* The beginning of the line at or behind `from`. */
static uint64_t line_start(int fd, uint64_t from)
{
	uint8_t buf[LINE_MAX_BYTES];
	ssize_t n = from > 0 ? pread(fd, buf, sizeof buf, (off_t)(from - 1)) : 0;
	const uint8_t *lf = n > 0 ? memchr(buf, '\n', (size_t)n) : NULL;

	return lf != NULL ? from + (uint64_t)(lf - buf) : from;
}

static uint64_t start_of(int fd, const struct stat *st, uint64_t from, uint64_t most)
{
	uint64_t size = (uint64_t)st->st_size;

	if (from > size) /* copied away and truncated */
		from = 0;
	return line_start(fd, size - from > most ? size - most : from);
}

/* Lines behind `position`, and some before it. */
static uint64_t read_from(int fd, const struct stat *st, uint64_t position, uint64_t most, const char *source,
			  maillog_line *line, void *arg)
{
	uint64_t new = start_of(fd, st, position, most);

	return read_lines(fd, line_start(fd, new > AGAIN_BYTES ? new - AGAIN_BYTES : 0), new, source, line, arg);
}

/* The file that had the name `path`, as it is called now: FILE.1, FILE.0, FILE-20261120 (logrotate, newsyslog), @4000...s (multilog). Its
 * number alone would not do: that of a file that was removed comes again. A descriptor, or -1. */
static int open_rotated(const char *path, const struct position *old, struct stat *st)
{
	g_autofree char *name = g_path_get_dirname(path), *base = g_path_get_basename(path);
	DIR *dir = opendir(name);
	struct dirent *e;
	int fd = -1;

	for (unsigned n = 0; fd < 0 && dir != NULL && n < NAMES_MAX && (e = readdir(dir)) != NULL; n++) {
		g_autofree char *rotated = NULL;

		if (e->d_ino != old->ino || (*e->d_name != '@' && !g_str_has_prefix(e->d_name, base)))
			continue;
		rotated = g_build_filename(name, e->d_name, NULL);
		fd = open_log(rotated, st);
		if (fd >= 0 && (st->st_ino != old->ino || (uint64_t)st->st_size < old->offset)) {
			close(fd);
			fd = -1;
		}
	}
	if (dir != NULL)
		closedir(dir);
	return fd;
}

/* What was left of the file that had this name before. */
static void read_rotated(const char *path, const struct position *old, maillog_line *line, void *arg)
{
	struct stat st;
	int fd = open_rotated(path, old, &st);

	if (fd < 0)
		return;
	read_from(fd, &st, old->offset, MOST_BYTES, path, line, arg);
	close(fd);
}

int maillog_file(const char *path, const char *position, maillog_line *line, void *arg, char **position_r)
{
	struct position old = { 0, 0 };
	bool known = position != NULL && sscanf(position, "%" SCNu64 ":%" SCNu64, &old.ino, &old.offset) == 2;
	uint64_t from = 0, most = known ? MOST_BYTES : FIRST_BYTES;
	struct stat st;
	int fd = open_log(path, &st);

	*position_r = NULL;
	if (fd < 0)
		return fd;
	if (known && old.ino == st.st_ino)
		from = old.offset;
	else if (known)
		read_rotated(path, &old, line, arg);
	from = read_from(fd, &st, from, most, path, line, arg);
	*position_r = g_strdup_printf("%" PRIu64 ":%" PRIu64, (uint64_t)st.st_ino, from);
	close(fd);
	return 0;
}

/* --- The journal -------------------------------------------------------------------- */

/* Each branch begins where a server's own words begin: what others can bring into a line comes later. */
#define PATTERN "^(fatal|panic): |^warning: process [^ ]+ pid [0-9]+ |^[-0-9:. +]*(queue run: )?process [0-9]+ crashed |^[-0-9:. +]*([^ ]+ )?SIGSEGV \\(|^(warn: )?lost child: |^(smtpd: )?process [a-z]+ socket closed|" \
		"^[^ ]*:? ?persistent queue runner=|^[0-9.]+ alert: |^ABNORMAL TERMINATION|^(traps: )?(exim|sendmail|courier)[^ ]*\\[[0-9]+\\]"

bool maillog_has_journal(void)
{
	return access("/run/log/journal", F_OK) == 0 || access("/var/log/journal", F_OK) == 0;
}

bool maillog_journal(gint64 since, gint64 until, maillog_line *line, void *arg)
{
	g_autofree char *from = g_strdup_printf("--since=@%" G_GINT64_FORMAT, since);
	g_autofree char *to = g_strdup_printf("--until=@%" G_GINT64_FORMAT, until);
	const char *const argv[] = { "journalctl", "--quiet", "--no-pager", "--output=short-unix", "--reverse",
				     "--lines=" JOURNAL_LINES, "--case-sensitive=yes", "--grep=" PATTERN, from, to,
				     /* by the journal's index: what is at least a warning, whosoever says it, and the kernel's */
				     "PRIORITY=0", "PRIORITY=1", "PRIORITY=2", "PRIORITY=3", "PRIORITY=4", "+",
				     "_TRANSPORT=kernel", NULL };
	g_autofree char *text = ask_begin(argv);

	if (text == NULL) /* nothing matches, or there is no journalctl */
		return ask_late() != argv[0];
	for (char *at = text, *end; *at != '\0'; at = end) {
		end = at + strcspn(at, "\n");
		line(arg, "journal", (const uint8_t *)at, (size_t)(end - at), false);
		end += *end == '\n';
	}
	return true;
}
