/*
 * key_file.c - files of sections and keys that decide what happens to mail
 *
 * GLib's key file, given one line at a time: so every problem has its line. root reads such files before anything
 * else, so one that others may write is refused.
 */
#include "config.h"

#include "key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1 << 20) /* a hundred thousand lines: no configuration is larger */
#define LINE_GROUP "spoolck line" /* the section in which a line is parsed alone */

/* --- Lines ----------------------------------------------------------------------------- */

bool key_line_read(const char *line, struct key_line *l)
{
	g_autoptr(GKeyFile) parsed = g_key_file_new();
	g_autofree char *text = g_strconcat("[" LINE_GROUP "]\n", line, "\n", NULL);
	g_auto(GStrv) groups = NULL;
	g_auto(GStrv) keys = NULL;
	g_autoptr(GError) error = NULL;

	*l = (struct key_line){ NULL, NULL, NULL };
	if (!g_key_file_load_from_data(parsed, text, strlen(text), G_KEY_FILE_NONE, NULL))
		return false;
	groups = g_key_file_get_groups(parsed, NULL);
	keys = g_key_file_get_keys(parsed, LINE_GROUP, NULL, NULL);
	if (groups[0] != NULL && groups[1] != NULL) {
		l->section = g_strdup(groups[1]);
	} else if (keys != NULL && keys[0] != NULL) {
		l->key = g_strdup(keys[0]);
		l->value = g_key_file_get_string(parsed, LINE_GROUP, l->key, &error);
		if (error != NULL) /* there may be a value nevertheless */
			g_clear_pointer(&l->value, g_free);
		else
			g_strstrip(l->value);
	}
	return true;
}

void key_line_clear(struct key_line *l)
{
	g_free(l->section);
	g_free(l->key);
	g_free(l->value);
}

/* --- Names that may have been meant ---------------------------------------------------- */

#define WORD_MAX 63

/* How many letters have to be changed, added or left out (Levenshtein). */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1];
	size_t n = strlen(b);

	if (n > WORD_MAX || strlen(a) > WORD_MAX)
		return G_MAXUINT;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (; *a != '\0'; a++) {
		unsigned diagonal = row[0]++;

		for (size_t j = 1; j <= n; j++) {
			unsigned changed = diagonal + (*a != b[j - 1]);

			diagonal = row[j];
			row[j] = MIN(changed, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[n];
}

const char *key_file_nearest(const char *word, const char *const *names)
{
	unsigned best = MAX(2, (unsigned)strlen(word) / 3) + 1;
	const char *nearest = NULL;

	for (; *names != NULL; names++) {
		gboolean within = strlen(word) > 3 && strstr(*names, word) != NULL;
		unsigned d = within ? 0 : distance(word, *names);

		if (d < best) {
			best = d;
			nearest = *names;
		}
	}
	return nearest;
}

char *key_file_suggestion(const char *word, const char *const *names)
{
	const char *nearest = key_file_nearest(word, names);

	return nearest != NULL ? g_strdup_printf("; did you mean %s?", nearest) : g_strdup("");
}

/* --- The file ---------------------------------------------------------------------------- */

/* Ours or root's, and writable by nobody else; NULL, or why not and what to do (g_free). */
static char *untrusted(const struct stat *st, const char *path)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return g_strdup_printf("%s belongs to uid %lu, who could change what is done here; "
				       "see what stands in it, then: chown root %s", path,
				       (unsigned long)st->st_uid, path);
	/* in a directory like /tmp others may add files, but not touch this one */
	if ((st->st_mode & 022) && !(S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX)))
		return g_strdup_printf("%s may be written by others (mode %04o); see what stands in "
				       "it, then: chmod go-w %s", path,
				       (unsigned)st->st_mode & 07777u, path);
	return NULL;
}

/* The same of the file and of the directories in which it and, when it is a link, the file itself lie. */
static char *untrusted_file(int fd, const char *path)
{
	g_autofree char *real = realpath(path, NULL);
	const char *const paths[] = { path, real };
	struct stat st;
	char *why;

	if (fstat(fd, &st) < 0)
		return g_strdup_printf("%s: %s", path, g_strerror(errno));
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
		return NULL; /* /dev/null: nothing but defaults */
	if (!S_ISREG(st.st_mode))
		return g_strdup_printf("%s is no regular file", path);
	if (st.st_size > FILE_BYTES_MAX)
		return g_strdup_printf("%s is larger than 1 MiB, which is no configuration", path);
	why = untrusted(&st, path);
	for (size_t i = 0; i < G_N_ELEMENTS(paths) && why == NULL; i++) {
		g_autofree char *dir = paths[i] != NULL ? g_path_get_dirname(paths[i]) : g_strdup("/");

		if (stat(dir, &st) == 0)
			why = untrusted(&st, dir);
	}
	return why;
}

/* All of it, terminated (g_free); NULL with *why_r when it cannot be read. */
static char *read_all(int fd, const char *path, char **why_r)
{
	char *text = g_malloc(FILE_BYTES_MAX + 1);
	size_t used = 0;
	ssize_t n;

	while ((n = read(fd, text + used, FILE_BYTES_MAX - used)) > 0 || (n < 0 && errno == EINTR))
		used += n > 0 ? (size_t)n : 0;
	if (n < 0)
		*why_r = g_strdup_printf("cannot read %s: %s", path, g_strerror(errno));
	else if (memchr(text, '\0', used) != NULL)
		*why_r = g_strdup_printf("%s holds a zero byte: no text", path);
	text[used] = '\0';
	if (*why_r != NULL)
		g_clear_pointer(&text, g_free);
	return text;
}

char *key_file_text(int fd, const char *path, char **why_r)
{
	*why_r = untrusted_file(fd, path);
	return *why_r == NULL ? read_all(fd, path, why_r) : NULL;
}

char *key_file_open(const char *path, char **why_r)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *text;

	if (fd < 0) {
		*why_r = g_strdup_printf("cannot read %s: %s", path, g_strerror(errno));
		return NULL;
	}
	text = key_file_text(fd, path, why_r);
	close(fd);
	return text;
}
