/*
 * fuzz_layout.c - any description of a layout, and any property block by it
 *
 * A description is refused, or written again it is the same. By one that is accepted, check and listing
 * end, tell only of bytes that the stream has, and say the same twice.
 *
 * Input: a selector, then the description up to FF 00, then the stream. Selectors from 1 on take a
 * description from below instead, changed by as many of the first pairs of bytes as the next byte says.
 */
#define _GNU_SOURCE 1 /* memmem() */
#include "reports.h"

#include "format.h"
#include "layout_file.h"
#include "settings.h"

/* What layout_file.c wants of settings_file.c is not what is tried here. */
const char *settings_nearest(const char *word, const char *const *names)
{
	return *word != '\0' ? names[0] : NULL;
}

char *settings_text(const char *file, char **why_r)
{
	*why_r = g_strdup(file);
	return NULL;
}

static const char *const known[] = {
	("[layout]\nconfirmed=yes\n[header]\nsize=24\nsignature=53504c4b\nheader-size=4:4\nblock-size=8:4\nentries=12:4\n"
	 "table=16:4\nrecipients=20:4\n[entry]\nsize=16\nid=0:2\nrecipient=2:2\noffset=4:4\nlength=8:4\nallocated=12:4\n"
	 "[values]\nalignment=4\nstrings-end=last\ntyped=yes\n"),
	("[header]\nsize=8\nentries=0:2\ntable=4:4\n[fragment]\nsize=8\nnext=0:4\nused=4:2\nslots=6:2\nbackward=yes\n"
	 "[entry]\nsize=12\nlength=0:2\nid=2:4\noffset=6:4\ntype=10:1\nfree=yes\n[values]\nstrings-end=inside\ntyped=yes\n"
	 "[types]\n3=dword\n30=ansi\n31=unicode\n"),
	("[header]\nsize=20\nentries=0:4\ntable=4:4\nrecipients=8:4\nlist=12:4\nblock-size=16:4\nslack=yes\n[entry]\nsize=12\n"
	 "id=0:4\noffset=4:4\nlength=8:4\n[recipient]\nsize=8\ntable=0:4\nentries=4:4\n[values]\nshared=yes\n"),
	"[header]\nsize=4\ntable-at=4\n[entry]\nsize=8\nid=0:2\nlength=2:2\noffset=4:4\noffset-adds=4\n",
};
#define KNOWN (sizeof known / sizeof known[0])

static bool parse(const char *text, struct layout *l)
{
	GPtrArray *problems = g_ptr_array_new_with_free_func(g_free);
	bool ok;

	layout_parse("f", text, l, problems);
	ok = problems->len == 0;
	g_ptr_array_unref(problems);
	return ok;
}

static void round_trip(const struct layout *l)
{
	struct layout again;
	char *text = layout_text(l), *second;

	must(layout_sound(l) == NULL);
	must(parse(text, &again));
	second = layout_text(&again);
	must(strcmp(text, second) == 0);
	g_free(text);
	g_free(second);
}

static void try_check(const struct layout *l, const uint8_t *bytes, uint32_t size)
{
	static struct layout_scratch s;
	static struct report first, second;
	struct layout_result a, b;

	report_reset(&first);
	report_reset(&second);
	layout_check(&s, l, bytes, size, 1, &first, &a);
	memset(&s, 0xa5, sizeof s);
	layout_check(&s, l, bytes, size, 1, &second, &b);
	must(a.entries == b.entries && a.known == b.known && a.known <= a.entries);
	must(a.entries <= size / l->entry_size);
	fuzz_sane_report(&first);
	fuzz_same_report(&first, &second);
	for (unsigned i = 0; i < first.count; i++) {
		const struct finding *f = &first.findings[i];

		must(f->part == 1 && f->offset <= size && f->length <= size - f->offset);
		must(l->confirmed || f->severity <= SEV_SUSPECT);
	}
}

static void try_rows(const struct layout *l, const uint8_t *bytes, uint32_t size)
{
	struct layout_show s;
	struct row row;
	uint64_t rows = 0;

	memset(&s, 0, sizeof s);
	memset(&row, 0, sizeof row);
	while (layout_row(&s, l, bytes, size, 1, &row)) {
		must(row.part == 1 && row.offset <= size && row.length <= size - row.offset);
		must(++rows < 4ull * size + 32);
		memset(&row, 0, sizeof row);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct layout l;
	uint8_t *stream;

	if (size < 2)
		return 0;
	if (data[0] == 0) {
		const uint8_t *end = memmem(data + 1, size - 1, "\xff", 2);
		size_t n = end != NULL ? (size_t)(end - data) - 1 : size - 1;
		char *text = g_strndup((const char *)data + 1, n);
		bool ok = parse(text, &l);

		g_free(text);
		if (!ok)
			return 0;
		round_trip(&l);
		data += end != NULL ? n + 3 : size;
		size -= end != NULL ? n + 3 : size;
	} else {
		size_t changes = data[1] % 16;

		must(parse(known[data[0] % KNOWN], &l));
		data += 2;
		size -= 2;
		for (; changes > 0 && size >= 2; changes--, data += 2, size -= 2)
			if (data[0] != offsetof(struct layout, confirmed) && data[0] != offsetof(struct layout, slack) &&
			    data[0] != offsetof(struct layout, backward) && data[0] != offsetof(struct layout, free_entries) &&
			    data[0] != offsetof(struct layout, typed) && data[0] != offsetof(struct layout, shared))
				((uint8_t *)&l)[data[0] % sizeof l] = data[1];
		if (layout_sound(&l) != NULL)
			return 0;
	}
	stream = fuzz_copy(data, size);
	try_check(&l, stream, (uint32_t)size);
	try_rows(&l, stream, (uint32_t)size);
	free(stream);
	return 0;
}
