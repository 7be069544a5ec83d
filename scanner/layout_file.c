/*
 * layout_file.c - the description of a property block: read, checked, written
 *
 * A key file; each key has one row in the table below, which reader and writer share. Read line by line, so
 * that every problem has its line.
 */
#include "config.h"

#include "layout_file.h"

#include "key_file.h"
#include "mailmsg.h"

#include <stddef.h>
#include <string.h>

enum kind {
	KIND_WORD,      /* struct layout_word: "OFFSET:WIDTH" */
	KIND_NUMBER,    /* uint32_t */
	KIND_BOOL,
	KIND_SIGNATURE, /* bytes in hexadecimal */
	KIND_AT,        /* uint16_t */
	KIND_ALIGNMENT, /* uint8_t */
	KIND_END,       /* enum layout_end */
};

struct key {
	const char *section, *key;
	enum kind kind;
	size_t at;              /* in struct layout */
	uint32_t min, max;      /* of numbers */
	const char *fallback;   /* what stands for a key that is not there */
};

#define AT(field) offsetof(struct layout, field)

static const struct key rows[] = {
	{ "layout", "confirmed", KIND_BOOL, AT(confirmed), 0, 0, "no" },

	{ "header", "size", KIND_NUMBER, AT(header_size), 0, LAYOUT_HEADER_MAX, NULL },
	{ "header", "signature", KIND_SIGNATURE, 0, 0, 0, "" },
	{ "header", "signature-at", KIND_AT, AT(signature_at), 0, LAYOUT_HEADER_MAX, "0" },
	{ "header", "header-size", KIND_WORD, AT(own_size), 0, 0, "none" },
	{ "header", "block-size", KIND_WORD, AT(total_size), 0, 0, "none" },
	{ "header", "block-size-adds", KIND_NUMBER, AT(total_adds), 0, LAYOUT_HEADER_MAX, "0" },
	{ "header", "slack", KIND_BOOL, AT(slack), 0, 0, "no" },
	{ "header", "entries", KIND_WORD, AT(count), 0, 0, "none" },
	{ "header", "table", KIND_WORD, AT(table), 0, 0, "none" },
	{ "header", "table-at", KIND_NUMBER, AT(table_at), 0, LAYOUT_STREAM_MAX, "0" },
	{ "header", "recipients", KIND_WORD, AT(recipients), 0, 0, "none" },
	{ "header", "list", KIND_WORD, AT(list), 0, 0, "none" },
	{ "header", "list-at", KIND_NUMBER, AT(list_at), 0, LAYOUT_STREAM_MAX, "0" },

	{ "fragment", "size", KIND_NUMBER, AT(fragment_header), 0, LAYOUT_HEADER_MAX, "0" },
	{ "fragment", "next", KIND_WORD, AT(next), 0, 0, "none" },
	{ "fragment", "used", KIND_WORD, AT(used), 0, 0, "none" },
	{ "fragment", "slots", KIND_WORD, AT(slots), 0, 0, "none" },
	{ "fragment", "slots-fixed", KIND_NUMBER, AT(slots_fixed), 0, 1u << 20, "0" },
	{ "fragment", "backward", KIND_BOOL, AT(backward), 0, 0, "no" },

	{ "entry", "size", KIND_NUMBER, AT(entry_size), 1, LAYOUT_ENTRY_MAX, NULL },
	{ "entry", "id", KIND_WORD, AT(id), 0, 0, NULL },
	{ "entry", "offset", KIND_WORD, AT(offset), 0, 0, NULL },
	{ "entry", "offset-adds", KIND_NUMBER, AT(offset_adds), 0, LAYOUT_HEADER_MAX, "0" },
	{ "entry", "length", KIND_WORD, AT(length), 0, 0, NULL },
	{ "entry", "allocated", KIND_WORD, AT(allocated), 0, 0, "none" },
	{ "entry", "type", KIND_WORD, AT(type), 0, 0, "none" },
	{ "entry", "recipient", KIND_WORD, AT(owner), 0, 0, "none" },
	{ "entry", "free", KIND_BOOL, AT(free_entries), 0, 0, "no" },

	{ "recipient", "size", KIND_NUMBER, AT(row_size), 0, LAYOUT_ENTRY_MAX, "0" },
	{ "recipient", "table", KIND_WORD, AT(row_table), 0, 0, "none" },
	{ "recipient", "entries", KIND_WORD, AT(row_count), 0, 0, "none" },

	{ "values", "alignment", KIND_ALIGNMENT, AT(alignment), 1, 16, "1" },
	{ "values", "strings-end", KIND_END, AT(end), 0, 0, "any" },
	{ "values", "typed", KIND_BOOL, AT(typed), 0, 0, "no" },
	{ "values", "shared", KIND_BOOL, AT(shared), 0, 0, "no" },
};

static const char *const sections[] = {
	"layout", "header", "fragment", "entry", "recipient", "values", "types", NULL
};
static const char *const yes_no[] = { "no", "yes", NULL };
static const char *const ends[] = { "any", "inside", "last", NULL };

/* --- Values ------------------------------------------------------------------------- */

static int word_index(const char *const *words, const char *text)
{
	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	return -1;
}

static gboolean to_number(const char *text, uint32_t min, uint32_t max, uint32_t *number_r)
{
	gboolean hex = g_str_has_prefix(text, "0x");
	guint64 number;

	if (!g_ascii_string_to_unsigned(hex ? text + 2 : text, hex ? 16 : 10, min, max, &number, NULL))
		return FALSE;
	*number_r = (uint32_t)number;
	return TRUE;
}

static gboolean to_word(const char *text, struct layout_word *word)
{
	g_auto(GStrv) parts = g_strsplit(text, ":", 3);
	uint32_t at, width;

	*word = (struct layout_word){ 0, 0 };
	if (strcmp(text, "none") == 0)
		return TRUE;
	if (g_strv_length(parts) != 2 || !to_number(parts[0], 0, LAYOUT_HEADER_MAX, &at) ||
	    !to_number(parts[1], 1, 4, &width) || width == 3)
		return FALSE;
	*word = (struct layout_word){ (uint16_t)at, (uint8_t)width };
	return TRUE;
}

static gboolean to_signature(const char *text, struct layout *l)
{
	size_t n = strlen(text);

	if (n % 2 != 0 || n / 2 > LAYOUT_SIGNATURE_MAX)
		return FALSE;
	for (size_t i = 0; i < n; i++)
		if (!g_ascii_isxdigit(text[i]))
			return FALSE;
	for (size_t i = 0; i < n / 2; i++)
		l->signature[i] = (uint8_t)(g_ascii_xdigit_value(text[2 * i]) * 16 +
					    g_ascii_xdigit_value(text[2 * i + 1]));
	l->signature_len = (uint8_t)(n / 2);
	return TRUE;
}

static gboolean set(const struct key *row, struct layout *l, const char *text)
{
	void *at = (char *)l + row->at;
	uint32_t number = 0;
	int word;

	switch (row->kind) {
	case KIND_WORD:
		return to_word(text, at);
	case KIND_SIGNATURE:
		return to_signature(text, l);
	case KIND_BOOL:
		word = word_index(yes_no, text);
		*(bool *)at = word == 1;
		return word >= 0;
	case KIND_END:
		word = word_index(ends, text);
		*(uint8_t *)at = (uint8_t)MAX(word, 0);
		return word >= 0;
	default:
		break;
	}
	if (!to_number(text, row->min, row->max, &number))
		return FALSE;
	if (row->kind == KIND_NUMBER)
		*(uint32_t *)at = number;
	else if (row->kind == KIND_AT)
		*(uint16_t *)at = (uint16_t)number;
	else
		*(uint8_t *)at = (uint8_t)number;
	return TRUE;
}

/* What the key takes (g_free). */
static char *expects(const struct key *row)
{
	switch (row->kind) {
	case KIND_WORD:
		return g_strdup("OFFSET:WIDTH is needed, with a width of 1, 2 or 4 bytes, such as 8:4; or none");
	case KIND_SIGNATURE:
		return g_strdup("at most 16 bytes in hexadecimal are needed, such as 4d53472e");
	case KIND_BOOL:
		return g_strdup("yes or no is needed");
	case KIND_END:
		return g_strdup("any, inside or last is needed");
	default:
		return g_strdup_printf("a number from %u to %u is needed", row->min, row->max);
	}
}

/* --- Reading -------------------------------------------------------------------------- */

struct reading {
	struct layout *layout;
	const char *file;
	unsigned line;
	GPtrArray *problems;
	const char *section;    /* NULL: before the first one, or in one that does not exist */
	gboolean skip;
	unsigned lines[G_N_ELEMENTS(rows)]; /* where each key stands, 0 = nowhere */
};

static void G_GNUC_PRINTF(2, 3) problem(struct reading *r, const char *format, ...)
{
	va_list args;
	g_autofree char *text = NULL;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_ptr_array_add(r->problems, r->line > 0 ? g_strdup_printf("%s:%u: %s", r->file, r->line, text) :
						   g_strdup_printf("%s: %s", r->file, text));
}

static void start_section(struct reading *r, const char *name)
{
	int index = word_index(sections, name);

	r->section = index >= 0 ? sections[index] : NULL;
	r->skip = index < 0;
	if (index < 0) {
		g_autofree char *did_you = key_file_suggestion(name, sections);

		problem(r, "[%s]: no such section%s", name, did_you);
	}
}

static void no_such_key(struct reading *r, const char *key)
{
	const char *names[G_N_ELEMENTS(rows) + 1];
	g_autofree char *did_you = NULL;
	size_t n = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (strcmp(rows[i].section, r->section) == 0)
			names[n++] = rows[i].key;
	names[n] = NULL;
	did_you = key_file_suggestion(key, names);
	problem(r, "%s: no such key in [%s]%s", key, r->section, did_you);
}

/* CODE = TYPE */
static void add_type(struct reading *r, const char *key, const char *value)
{
	struct layout *l = r->layout;
	const char *names[MAILMSG_TYPES + 1] = { NULL };
	uint32_t code;

	for (unsigned i = 0; i < MAILMSG_TYPES; i++)
		names[i] = mailmsg_type_name(i);
	if (!to_number(key, 0, UINT32_MAX, &code)) {
		problem(r, "%s: a code of the entries' type field is a number, such as 3 or 0x1e", key);
	} else if (word_index(names, value) < 0) {
		g_autofree char *did_you = key_file_suggestion(value, names);

		problem(r, "%s = %s: no such type%s", key, value, did_you);
	} else if (l->ntypes == LAYOUT_TYPES_MAX) {
		problem(r, "%s: there may be %d types", key, LAYOUT_TYPES_MAX);
	} else {
		l->types[l->ntypes++] = (struct layout_type){ code, (uint8_t)word_index(names, value) };
	}
}

static void set_key(struct reading *r, const char *key, const char *value)
{
	if (strcmp(r->section, "types") == 0) {
		add_type(r, key, value);
		return;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		if (strcmp(rows[i].section, r->section) != 0 || strcmp(rows[i].key, key) != 0)
			continue;
		if (r->lines[i] != 0) {
			problem(r, "%s: stands in line %u already", key, r->lines[i]);
		} else if (!set(&rows[i], r->layout, value)) {
			g_autofree char *what = expects(&rows[i]);

			problem(r, "%s = %s: %s", key, value, what);
		}
		r->lines[i] = r->line;
		return;
	}
	no_such_key(r, key);
}

static void on_key(struct reading *r, const char *key, const char *value)
{
	if (r->section == NULL)
		problem(r, "%s: stands before the first section; put [header] above it", key);
	else if (value == NULL)
		problem(r, "%s: " KEY_FILE_NO_VALUE, key);
	else
		set_key(r, key, value);
}

static void on_line(struct reading *r, const char *line)
{
	struct key_line l;

	if (!key_line_read(line, &l))
		problem(r, KEY_FILE_NO_LINE);
	else if (l.section != NULL)
		start_section(r, l.section);
	else if (l.key != NULL && !r->skip)
		on_key(r, l.key, l.value);
	key_line_clear(&l);
}

void layout_parse(const char *file, const char *text, struct layout *layout_r, GPtrArray *problems)
{
	struct reading r = { .layout = layout_r, .file = file, .problems = problems };
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	guint before = problems->len;
	const char *why;

	memset(layout_r, 0, sizeof *layout_r);
	layout_r->alignment = 1;
	for (char **line = lines; *line != NULL; line++) {
		r.line++;
		on_line(&r, *line);
	}
	r.line = 0;
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (r.lines[i] == 0 && rows[i].fallback == NULL)
			problem(&r, "[%s] %s is missing", rows[i].section, rows[i].key);
	why = problems->len == before ? layout_sound(layout_r) : NULL;
	if (why != NULL)
		problem(&r, "%s", why);
}

void layout_read(const char *file, struct layout *layout_r, GPtrArray *problems)
{
	char *why = NULL;
	g_autofree char *text = key_file_open(file, &why);

	if (text == NULL)
		g_ptr_array_add(problems, why);
	else
		layout_parse(file, text, layout_r, problems);
}

/* --- Writing ----------------------------------------------------------------------------- */

static char *value_text(const struct key *row, const struct layout *l)
{
	const void *at = (const char *)l + row->at;
	const struct layout_word *word = at;
	GString *hex;

	switch (row->kind) {
	case KIND_WORD:
		return word->width > 0 ? g_strdup_printf("%u:%u", word->at, word->width) : g_strdup("none");
	case KIND_SIGNATURE:
		hex = g_string_new(NULL);
		for (unsigned i = 0; i < l->signature_len; i++)
			g_string_append_printf(hex, "%02x", l->signature[i]);
		return g_string_free(hex, FALSE);
	case KIND_BOOL:
		return g_strdup(yes_no[*(const bool *)at]);
	case KIND_END:
		return g_strdup(ends[*(const uint8_t *)at]);
	case KIND_NUMBER:
		return g_strdup_printf("%u", *(const uint32_t *)at);
	case KIND_AT:
		return g_strdup_printf("%u", *(const uint16_t *)at);
	case KIND_ALIGNMENT:
		break;
	}
	return g_strdup_printf("%u", *(const uint8_t *)at);
}

char *layout_text(const struct layout *layout)
{
	GString *s = g_string_new(NULL);
	const char *section = "";

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *value = value_text(&rows[i], layout);

		if (strcmp(rows[i].key, "confirmed") != 0 && g_strcmp0(value, rows[i].fallback) == 0)
			continue;
		if (strcmp(rows[i].section, section) != 0)
			g_string_append_printf(s, "%s[%s]\n", s->len > 0 ? "\n" : "", rows[i].section);
		section = rows[i].section;
		g_string_append_printf(s, "%s = %s\n", rows[i].key, value);
	}
	for (unsigned i = 0; i < layout->ntypes; i++)
		g_string_append_printf(s, "%s%u = %s\n", i == 0 ? "\n[types]\n" : "", layout->types[i].code,
				       mailmsg_type_name(layout->types[i].type));
	return g_string_free(s, FALSE);
}
