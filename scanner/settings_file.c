/*
 * settings_file.c - the configuration file: read, checked, printed
 *
 * Read line by line (key_file.h), to the end whatever is wrong with it.
 */
#include "config.h"

#include "settings.h"

#include "key_file.h"
#include "scan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SPOOL_PREFIX "spool "

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

/* --- What is wrong --------------------------------------------------------------------- */

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
	did_you = key_file_suggestion(key, names);
	problem(r, "%s: no such key in [%s]%s", key, r->section, did_you);
}

static void no_such_finding(struct reading *r, const char *name)
{
	const char *names[F_COUNT + 1];
	g_autofree char *did_you = NULL;

	for (unsigned id = 0; id < F_COUNT; id++)
		names[id] = finding_def(id)->name;
	names[F_COUNT] = NULL;
	did_you = key_file_suggestion(name, names);
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
		g_autofree char *did_you = key_file_suggestion(group, settings_sections());

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

static void on_key(struct reading *r, const char *key, char *value)
{
	if (r->section == NULL)
		problem(r, "%s: stands before the first section; put [scan] above it", key);
	else if (value == NULL)
		problem(r, "%s: " KEY_FILE_NO_VALUE, key);
	else if (!r->skip)
		set_key(r, key, value);
}

static void on_line(struct reading *r, const char *line)
{
	struct key_line l;

	if (!key_line_read(line, &l))
		problem(r, KEY_FILE_NO_LINE);
	else if (l.section != NULL)
		start_section(r, l.section);
	else if (l.key != NULL)
		on_key(r, l.key, l.value);
	key_line_clear(&l);
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
		text = key_file_text(fd, file, &why);
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
