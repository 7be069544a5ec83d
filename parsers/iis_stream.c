/*
 * iis_stream.c - check(): property streams, as far as that needs no layout
 *
 * A message's envelope is in streams that the store driver keeps with the file. How they are laid out, which
 * of them counts and when one may be missing is not published. So each test asks for what no layout can mean: an
 * envelope names somebody, so streams that hold nothing but zeros hold none. What a layout could mean
 * (room that is not used, a stream that has not been written yet) is suspect or noted, and never
 * moves mail. Streams whose names nobody configured belong to who knows whom: about them there are notices only.
 */
#include "iis.h"

/* How a stream is called in a finding. */
static void say_name(struct text *t, const struct part *p)
{
	text_str(t, "stream ");
	if (p->name != NULL)
		text_bytes(t, (const uint8_t *)p->name, p->name_len);
}

static bool is_known(const struct message *m, unsigned role)
{
	return role >= IIS_STREAM && role - IIS_STREAM < m->site.streams_known;
}

static struct finding *note(const struct iis_work *x, enum finding_id id, unsigned role, uint64_t offset,
			    uint64_t length)
{
	struct finding *f = iis_note(x, id, role, offset, length);

	if (role >= IIS_STREAM_END)
		text_str(&f->field, role == IIS_BDP ? "the .BDP file" : "the .BDR file");
	else
		say_name(&f->field, &x->m->parts[role]);
	return f;
}

static struct cur bytes_of(const struct part *p)
{
	return cur_make(p->bytes, p->len, p->off);
}

/* Zero bytes from the cursor on. */
static size_t zeros(struct cur c)
{
	size_t n = 0;

	while (cur_peek(&c) == 0) {
		cur_skip(&c, 1);
		n++;
	}
	return n;
}

/* Zero bytes at the end. */
static size_t zero_tail(const struct part *p)
{
	struct cur c = bytes_of(p);
	size_t run = 0;

	while (cur_left(&c) > 0) {
		size_t n = zeros(c);

		run = n;
		cur_skip(&c, n);
		n = cur_find(&c, 0);
		if (n > 0)
			run = 0;
		cur_skip(&c, n);
	}
	return run;
}

static bool is_zero(const struct part *p)
{
	struct cur c = bytes_of(p);

	return p->len > 0 && zeros(c) == p->len;
}

/* --- Contents that are something else ----------------------------------------------------- */

/* Signatures of four bytes and more: fewer would be met by chance. */
static const struct {
	const char *bytes;
	uint8_t len;
	const char *name;
} signatures[] = {
	{ "regf", 4, "a registry hive" },
	{ "hbin", 4, "a piece of a registry hive" },
	{ "FILE0", 5, "a record of the NTFS master file table" },
	{ "INDX(", 5, "a directory of NTFS" },
	{ "RCRD(", 5, "a page of the NTFS journal" },
	{ "RSTR", 4, "a page of the NTFS journal" },
	{ "ElfFile\0", 8, "an event log" },
	{ "LfLe", 4, "an event log" },
	{ "PK\3\4", 4, "a ZIP archive" },
	{ "%PDF-", 5, "a PDF document" },
	{ "GIF8", 4, "a GIF image" },
	{ "\x89PNG\r\n", 6, "a PNG image" },
	{ "\xff\xd8\xff\xe0", 4, "a JPEG image" },
	{ "\xff\xd8\xff\xe1", 4, "a JPEG image" },
	{ "\xd0\xcf\x11\xe0\xa1\xb1", 6, "an OLE document" },
	{ "Rar!\x1a", 5, "a RAR archive" },
	{ "7z\xbc\xaf\x27\x1c", 6, "a 7-Zip archive" },
	{ "MSCF\0", 5, "a cabinet" },
	{ "<!DOCTYPE ", 10, "an HTML document" },
	{ "<?xml ", 6, "an XML document" },
	{ "\x7f" "ELF", 4, "an ELF program" },
	{ "{\\rtf", 5, "an RTF document" },
	{ "SQLite format 3", 15, "an SQLite database" },
};

static const char *signature(struct cur c)
{
	for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++) {
		const uint8_t *p = cur_view(&c, signatures[i].len);

		if (p != NULL && memcmp(p, signatures[i].bytes, signatures[i].len) == 0)
			return signatures[i].name;
	}
	return NULL;
}

/* Does it begin with at least three header fields, all of them text? */
static bool is_message(struct cur c)
{
	unsigned fields = 0;
	struct iis_field f;

	if (cur_left(&c) > IIS_HEADER_MAX)
		c = cur_sub(&c, IIS_HEADER_MAX);
	while (fields < 3 && iis_field(&c, &f) == IIS_FIELD) {
		struct cur v = f.value;

		if (cur_find(&v, 0) < cur_left(&v))
			return false;
		fields++;
	}
	return fields == 3;
}

static void check_contents(const struct iis_work *x, unsigned role)
{
	const struct part *p = &x->m->parts[role];
	const char *what = signature(bytes_of(p));
	struct finding *f;

	if (what == NULL && is_message(bytes_of(p)))
		what = "the text of a message";
	if (what == NULL)
		return;
	f = note(x, F_IIS_PROPERTY_FOREIGN, role, 0, p->size);
	text_str(&f->found, what);
}

/* --- Addresses: the stream against the header ------------------------------------------------ */

struct addresses {
	unsigned count;
	struct cur of[IIS_ADDRESSES];
};

static void collect(struct addresses *a, struct cur head)
{
	struct iis_field f;

	while (iis_field(&head, &f) == IIS_FIELD && a->count < IIS_ADDRESSES) {
		struct cur value = f.value, address;

		if (!iis_is(&f, "from") && !iis_is(&f, "to") && !iis_is(&f, "cc") &&
		    !iis_is(&f, "sender") && !iis_is(&f, "bcc") && !iis_is(&f, "return-path") &&
		    !iis_is(&f, "reply-to"))
			continue;
		while (a->count < IIS_ADDRESSES && iis_address(&value, &address))
			a->of[a->count++] = address;
	}
}

static int lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* Does the address stand around the '@' at `at`, in letters of one byte or (stride 2) of two? */
static bool stands_at(struct cur stream, size_t at, struct cur address, size_t stride)
{
	size_t local = cur_find(&address, '@'), len = cur_left(&address);

	if (at < local * stride || !cur_seek(&stream, at - local * stride))
		return false;
	for (size_t i = 0; i < len; i++)
		if (lower(cur_ahead(&stream, i * stride)) != lower(cur_ahead(&address, i)))
			return false;
	return true;
}

static bool is_letter(int c)
{
	c = lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Has the stream an '@' between letters, and is it one of a header's addresses? */
static void look_for(struct cur stream, const struct addresses *a, bool *any_r, bool *same_r)
{
	struct cur c = stream;

	while (!*same_r && cur_left(&c) > 0) {
		size_t at = c.pos + cur_find(&c, '@');
		struct cur before = stream;

		if (!cur_seek(&c, at) || cur_left(&c) == 0)
			break;
		if (at > 0 && cur_seek(&before, at - 1) && is_letter(cur_peek(&before)) &&
		    is_letter(cur_ahead(&c, 1)))
			*any_r = true;
		for (unsigned i = 0; i < a->count && i < IIS_ADDRESSES && !*same_r; i++)
			*same_r = stands_at(stream, at, a->of[i], 1) || stands_at(stream, at, a->of[i], 2);
		cur_skip(&c, 1);
	}
}

static void check_addresses(const struct iis_work *x)
{
	struct addresses header = { 0 };
	bool any = false, same = false, sign = false, contents = false;
	unsigned first = IIS_STREAM_END;

	collect(&header, x->head);
	for (unsigned role = IIS_STREAM; role < IIS_STREAM_END && is_known(x->m, role); role++) {
		const struct part *p = &x->m->parts[role];
		struct cur c = bytes_of(p);

		if (!iis_present(x->m, role) || p->len == 0 || is_zero(p))
			continue;
		contents = true;
		first = role < first ? role : first;
		sign = sign || cur_find(&c, '@') < cur_left(&c);
		look_for(c, &header, &any, &same);
	}
	if (contents && !sign)
		note(x, F_IIS_PROPERTY_NO_ADDRESS, first, 0, x->m->parts[first].size);
	else if (contents && any && !same && header.count > 0)
		note(x, F_IIS_PROPERTY_ADDRESSES, first, 0, x->m->parts[first].size);
}

/* --- One stream, and all of them ------------------------------------------------------------- */

/* Is there a stream that counts and has something in it? */
static bool has_contents(const struct message *m)
{
	for (unsigned role = IIS_STREAM; role < IIS_STREAM_END && is_known(m, role); role++)
		if (iis_present(m, role) && m->parts[role].len > 0 && !is_zero(&m->parts[role]))
			return true;
	return false;
}

static void check_one(const struct iis_work *x, unsigned role, bool others)
{
	const struct part *p = &x->m->parts[role];
	size_t tail = zero_tail(p);
	struct finding *f;

	if (p->size > IIS_PROPERTIES_MOST) {
		if (!is_known(x->m, role))
			return;
		f = note(x, F_IIS_PROPERTY_LONG, role, 0, p->size);
		text_str(&f->expected, "at most ");
		text_u64(&f->expected, IIS_PROPERTIES_MOST);
		text_str(&f->expected, " bytes");
		return;
	}
	if (!iis_settled(x->m) && (p->size == 0 || is_zero(p)))
		return; /* room may have been made for what is to come */
	if (!is_known(x->m, role)) {
		if (p->size == 0 || tail >= IIS_SECTOR || is_zero(p))
			note(x, F_IIS_STREAM_ZEROS, role, p->size - tail, tail);
		return;
	}
	if (p->size == 0) {
		f = note(x, F_IIS_PROPERTY_EMPTY, role, 0, 0);
		if (others) {
			f->severity = SEV_NOTICE;
			f->impact = IMPACT_NONE;
		}
	} else if (is_zero(p)) {
		f = note(x, F_IIS_PROPERTY_ZEROS, role, 0, p->size);
		if (others)
			f->severity = SEV_SUSPECT;
	} else if (tail >= IIS_SECTOR) {
		f = note(x, F_IIS_PROPERTY_ZERO_TAIL, role, p->size - tail, tail);
		text_u64(&f->found, tail);
		text_str(&f->found, " zero bytes");
	}
	check_contents(x, role);
	if (!is_zero(p))
		iis_check_layout(x, role);
}

static void check_missing(const struct iis_work *x)
{
	struct finding *f;

	for (unsigned role = IIS_STREAM; role < IIS_STREAM_END && is_known(x->m, role); role++)
		if (iis_present(x->m, role))
			return;
	if (x->m->place != IIS_QUEUE || !x->m->site.streams_seen || x->m->site.streams_known == 0 ||
	    !iis_settled(x->m))
		return;
	f = iis_note(x, F_IIS_PROPERTY_MISSING, IIS_TEXT, 0, 0);
	text_str(&f->expected, "a named stream that holds the envelope");
}

/* Of a triple in Badmail. */
static void check_triple(const struct iis_work *x)
{
	struct finding *f;

	if (x->m->place != IIS_BADMAIL || (iis_present(x->m, IIS_BDP) && iis_present(x->m, IIS_BDR)) ||
	    !iis_settled(x->m))
		return;
	f = iis_note(x, F_IIS_BADMAIL_INCOMPLETE, IIS_TEXT, 0, 0);
	text_str(&f->expected, "files .BDP and .BDR beside it");
	text_str(&f->found, iis_present(x->m, IIS_BDP) ? "no .BDR" :
			    iis_present(x->m, IIS_BDR) ? "no .BDP" : "neither");
}

void iis_check_streams(const struct iis_work *x)
{
	bool others = has_contents(x->m);

	for (unsigned role = IIS_STREAM; role < IIS_ROLES; role++)
		if (iis_present(x->m, role))
			check_one(x, role, others);
	check_missing(x);
	check_triple(x);
	check_addresses(x);
	if (x->m->more_streams)
		iis_note(x, F_IIS_STREAMS_MORE, IIS_TEXT, 0, 0);
}
