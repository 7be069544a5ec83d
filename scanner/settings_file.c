/*
 * settings_file.c - the configuration file: read, checked, printed
 *
 * GLib's key file, given one line at a time: so every problem has its line, and the file is read to the
 * end whatever is wrong with it. root reads it before anything else, so a file that others may write is refused.
 */
#include "config.h"

#include "settings.h"

#include "scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1 << 20) /* a hundred thousand lines: no configuration is larger */
#define SPOOL_PREFIX "spool "
#define LINE_GROUP "spoolck line" /* the section in which a line is parsed alone */

struct reading {
	struct settings *settings;
	const char *file;
	unsigned line;
	GPtrArray *problems;
	char *section;           /* "scan"; NULL before the first one */
	gboolean skip;           /* an unknown section: its keys were not meant for us */
	struct spool_settings *spool;
	GHashTable *seen;        /* "section\nkey" -> line, for what stands twice */
};

static void G_GNUC_PRINTF(2, 3) problem(struct reading *r, const char *format, ...)
{
	va_list args;
	g_autofree char *text = NULL;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_ptr_array_add(r->problems, g_strdup_printf("%s:%u: %s", r->file, r->line, text));
}

/* --- Names that may have been meant ----------------------------------------------- */

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

const char *settings_nearest(const char *word, const char *const *names)
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

/* "; did you mean X?" or nothing (g_free). */
static char *suggestion(const char *word, const char *const *names)
{
	const char *nearest = settings_nearest(word, names);

	return nearest != NULL ? g_strdup_printf("; did you mean %s?", nearest) : g_strdup("");
}

static void no_such_key(struct reading *r, const char *in, const char *key)
{
	const char *names[64] = { NULL };
	const struct setting *const *of;
	g_autofree char *did_you = NULL;
	size_t n = 0;

	for (const char *const *section = settings_sections(); *section != NULL; section++)
		if (strcmp(*section, "spool") != 0 && setting_find(*section, key) != NULL) {
			problem(r, "%s: this key belongs to [%s]", key, *section);
			return;
		}
	for (of = settings_rows(in); *of != NULL; of++)
		names[n++] = setting_name(*of);
	did_you = suggestion(key, names);
	problem(r, "%s: no such key in [%s]%s", key, r->section, did_you);
}

static void no_such_finding(struct reading *r, const char *name)
{
	const char *names[F_COUNT + 1];
	g_autofree char *did_you = NULL;

	for (unsigned id = 0; id < F_COUNT; id++)
		names[id] = finding_def(id)->name;
	names[F_COUNT] = NULL;
	did_you = suggestion(name, names);
	problem(r, "%s: no such finding%s; `spoolck findings` lists them", name, did_you);
}

/* --- Lines --------------------------------------------------------------------------- */

/* The line of what stands twice, else 0; notes this line. */
static unsigned seen_before(struct reading *r, const char *section, const char *key)
{
	char *name = g_strconcat(section, "\n", key, NULL);
	unsigned line = GPOINTER_TO_UINT(g_hash_table_lookup(r->seen, name));

	if (line == 0)
		g_hash_table_insert(r->seen, name, GUINT_TO_POINTER(r->line));
	else
		g_free(name);
	return line;
}

static void start_spool(struct reading *r, const char *name)
{
	if (*name == '\0' || strpbrk(name, "/:") != NULL) {
		problem(r, "[spool]: it needs a name without / and :, such as [spool main]");
		r->skip = TRUE;
		return;
	}
	r->spool = settings_add_spool(r->settings, name);
	r->spool->line = r->line;
}

static void start_section(struct reading *r, const char *given)
{
	gboolean is_spool = g_str_has_prefix(given, SPOOL_PREFIX);
	g_autofree char *name = g_strstrip(g_strdup(is_spool ? given + strlen(SPOOL_PREFIX) : ""));
	g_autofree char *group = is_spool ? g_strconcat(SPOOL_PREFIX, name, NULL) : g_strdup(given);
	unsigned line = seen_before(r, group, "");
	gboolean known = g_strv_contains(settings_sections(), group);

	g_free(r->section);
	r->section = g_strdup(group);
	r->spool = NULL;
	r->skip = FALSE;
	if (line > 0) {
		problem(r, "[%s]: this section stands in line %u already", group, line);
		r->skip = TRUE;
	} else if (is_spool || strcmp(group, "spool") == 0) {
		start_spool(r, name);
	} else if (!known) {
		g_autofree char *did_you = suggestion(group, settings_sections());

		problem(r, "[%s]: no such section%s", group, did_you);
		r->skip = TRUE;
	}
}

static void set_severity(struct reading *r, const char *name, const char *words)
{
	int id = severity_finding(name);
	g_autofree char *why = NULL;

	if (id < 0)
		no_such_finding(r, name);
	else if ((why = severity_set(&r->settings->severities, (unsigned)id, words)) != NULL)
		problem(r, "%s = %s: %s", name, words, why);
}

static void set_key(struct reading *r, const char *key, const char *value)
{
	const char *section = r->spool != NULL ? "spool" : r->section;
	void *base = r->spool != NULL ? (void *)r->spool : (void *)r->settings;
	const struct setting *row = setting_find(section, key);
	unsigned line = seen_before(r, r->section, key);

	if (line > 0) {
		problem(r, "%s: stands in line %u already", key, line);
	} else if (strcmp(section, "severity") == 0) {
		set_severity(r, key, value);
	} else if (row == NULL) {
		no_such_key(r, section, key);
	} else if (!setting_set(row, base, value)) {
		problem(r, "%s = %s: %s", key, value, setting_expects(row));
	}
}

static void on_key(struct reading *r, GKeyFile *parsed, const char *key)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *value = g_key_file_get_string(parsed, LINE_GROUP, key, &error);

	if (r->section == NULL)
		problem(r, "%s: stands before the first section; put [scan] above it", key);
	else if (error != NULL) /* there may be a value nevertheless */
		problem(r, "%s: its value is not UTF-8, or holds a \\ that means nothing; \\\\ is one", key);
	else if (!r->skip)
		set_key(r, key, g_strstrip(value));
}

static void on_line(struct reading *r, const char *line)
{
	g_autoptr(GKeyFile) parsed = g_key_file_new();
	g_autofree char *text = g_strconcat("[" LINE_GROUP "]\n", line, "\n", NULL);
	g_auto(GStrv) groups = NULL;
	g_auto(GStrv) keys = NULL;

	if (!g_key_file_load_from_data(parsed, text, strlen(text), G_KEY_FILE_NONE, NULL)) {
		problem(r, "neither a [section], a key = value nor a comment with #");
		return;
	}
	groups = g_key_file_get_groups(parsed, NULL);
	keys = g_key_file_get_keys(parsed, LINE_GROUP, NULL, NULL);
	if (groups[0] != NULL && groups[1] != NULL)
		start_section(r, groups[1]);
	else if (keys != NULL && keys[0] != NULL)
		on_key(r, parsed, keys[0]);
}

/* What only the whole file shows. */
static void on_end(struct reading *r)
{
	for (guint i = 0; i < r->settings->spools->len; i++) {
		const struct spool_settings *spool = r->settings->spools->pdata[i];

		g_autofree char *path = g_strconcat(SPOOL_PREFIX, spool->name, "\npath", NULL);

		r->line = spool->line;
		if (!g_hash_table_contains(r->seen, path))
			problem(r, "[spool %s]: its path is missing; add: path = DIRECTORY", spool->name);
		for (guint j = 0; j < i && spool->path != NULL; j++) {
			const struct spool_settings *other = r->settings->spools->pdata[j];

			if (g_strcmp0(other->path, spool->path) == 0)
				problem(r, "[spool %s]: [spool %s] has the same path", spool->name,
					other->name);
		}
	}
}

static void read_lines(struct settings *settings, const char *file, const char *text,
		       GPtrArray *problems)
{
	struct reading r = { .settings = settings, .file = file, .problems = problems,
			     .seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL) };
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (char **line = lines; *line != NULL; line++) {
		r.line++;
		on_line(&r, *line);
	}
	on_end(&r);
	g_hash_table_destroy(r.seen);
	g_free(r.section);
}

/* --- The file ------------------------------------------------------------------------------ */

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

char *settings_text(const char *file, char **why_r)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *text = NULL;

	*why_r = NULL;
	if (fd < 0) {
		*why_r = g_strdup_printf("cannot read %s: %s", file, g_strerror(errno));
		return NULL;
	}
	*why_r = untrusted_file(fd, file);
	if (*why_r == NULL)
		text = read_all(fd, file, why_r);
	close(fd);
	return text;
}

int settings_read(struct settings *settings, const char *file, gboolean required,
		  GPtrArray *problems)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	g_autofree char *text = NULL;
	char *why = NULL;
	guint before = problems->len;

	if (fd < 0 && !required && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0) {
		why = g_strdup_printf("cannot read the configuration %s: %s%s", file,
				      g_strerror(errno), errno != EACCES ? "" :
				      "; make it readable, or name another with --config");
	} else {
		why = untrusted_file(fd, file);
		if (why == NULL)
			text = read_all(fd, file, &why);
		close(fd);
	}
	if (why != NULL) {
		g_ptr_array_add(problems, why);
		return EXIT_FAILED;
	}
	settings->file = g_strdup(file);
	read_lines(settings, file, text, problems);
	return problems->len > before ? EXIT_USAGE : 0;
}

/* --- Printing -------------------------------------------------------------------------------- */

static void print_rows(GKeyFile *to, const char *group, const char *section, const void *base)
{
	for (const struct setting *const *row = settings_rows(section); *row != NULL; row++) {
		g_autofree char *value = setting_get(*row, base);

		if (value != NULL)
			g_key_file_set_string(to, group, setting_name(*row), value);
	}
}

void settings_print(const struct settings *settings, FILE *to)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autofree char *text = NULL;

	for (const char *const *section = settings_sections(); *section != NULL; section++)
		if (strcmp(*section, "spool") != 0)
			print_rows(file, *section, *section, settings);
	for (unsigned id = 0; id < F_COUNT; id++)
		if (settings->severities.of[id].set)
			g_key_file_set_string(file, "severity", finding_def(id)->name,
					      severity_words(&settings->severities.of[id]));
	for (guint i = 0; i < settings->spools->len; i++) {
		const struct spool_settings *spool = settings->spools->pdata[i];
		g_autofree char *group = g_strconcat(SPOOL_PREFIX, spool->name, NULL);

		print_rows(file, group, "spool", spool);
	}
	text = g_key_file_to_data(file, NULL, NULL);
	fprintf(to, "# spoolck " PACKAGE_VERSION "; read: %s\n%s",
		settings->file != NULL ? settings->file : "no file", text);
}
