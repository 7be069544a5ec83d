/*
 * layout.h - the layout of a property block that somebody described, and the check by it
 *
 * How IIS SMTP lays out the property stream of a message is not published, and nothing here claims to
 * know it. A layout is a description by the operator, or one that was learned from healthy messages
 * (spoolck-layout(5)); what follows from it is as true as the description is.
 *
 * What is published (IMailMsgPropertyStream): a stream is a flat array of bytes that is addressed by
 * 32-bit offsets and lengths; properties are id, length, bytes; ids and types are in mailmsg.def.
 *
 *	header | table of entries, in one piece or in fragments that are chained | values
 *	                 entry: id, offset and length of its value, ...
 *	       | list of recipients, each of which has a table of its own, or entries that name theirs
 *
 * All numbers are little-endian and unsigned; offsets count from the stream's first byte.
 *
 *	layout_walk.c   from one table, fragment and entry to the next
 *	layout_check.c  what is wrong
 *	layout_show.c   the rows of the annotated listing
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include "cursor.h"
#include "finding.h"

struct row; /* format.h */

#define LAYOUT_SIGNATURE_MAX 16
#define LAYOUT_HEADER_MAX 4096u  /* bytes of a header, of a fragment's header */
#define LAYOUT_ENTRY_MAX 256u    /* ... of an entry, of a recipient's row */
#define LAYOUT_TYPES_MAX 16
#define LAYOUT_STREAM_MAX (16u << 20) /* larger ones are not walked */

/* Where a number is kept: bytes from the beginning of what holds it. */
struct layout_word {
	uint16_t at;
	uint8_t width;          /* 1, 2 or 4 bytes; 0 = there is none */
};

/* How strings end. */
enum layout_end {
	LAYOUT_END_ANY,    /* nothing is said */
	LAYOUT_END_INSIDE, /* a zero character is among the bytes of the value */
	LAYOUT_END_LAST,   /* it is the last one, and the only one */
};

/* A code of the entry's type field. */
struct layout_type {
	uint32_t code;
	uint8_t type;           /* enum mailmsg_type */
};

struct layout {
	bool confirmed;         /* the operator vouches for it: violations are corrupt, else suspect */

	/* The header. */
	uint8_t signature[LAYOUT_SIGNATURE_MAX];
	uint8_t signature_len;  /* 0 = none */
	uint16_t signature_at;
	uint32_t header_size;   /* bytes, 0..LAYOUT_HEADER_MAX */
	struct layout_word own_size;   /* holds header_size */
	struct layout_word total_size; /* and total_adds: bytes of the block */
	uint32_t total_adds;
	bool slack;             /* the stream may be longer than the block */
	struct layout_word count;      /* entries of the message's table, all fragments */
	struct layout_word table;      /* location of that table ... */
	uint32_t table_at;      /* ... or it is always here */
	struct layout_word recipients; /* their number */
	struct layout_word list;       /* location of the list of recipients ... */
	uint32_t list_at;       /* ... or it is always here */

	/* What a fragment begins with; fragment_header 0 = the table is one run of entries. */
	uint32_t fragment_header;
	struct layout_word next;  /* location of the next fragment; 0 or all ones = there is none */
	struct layout_word used;  /* entries in it */
	struct layout_word slots; /* entries that it has room for ... */
	uint32_t slots_fixed;     /* ... or always so many; 0 = as many as are used */
	bool backward;            /* a fragment may lie before the one that names it */

	/* An entry; entry_size 0 = there is no layout at all. */
	uint32_t entry_size;
	struct layout_word id, offset, length, allocated, type, owner;
	uint32_t offset_adds;     /* to offset: where the value begins */
	bool free_entries;        /* id 0 is an entry that is not used; it counts */

	/* A row of the list of recipients; row_size 0 = there is no list. */
	uint32_t row_size;
	struct layout_word row_table, row_count;

	/* Values. */
	uint8_t alignment;        /* of their first byte: 1, 2, 4, 8, 16 */
	uint8_t end;              /* of strings: enum layout_end */
	bool typed;               /* lengths suit the published types */
	bool shared;              /* several entries may have one value */
	uint8_t ntypes;
	struct layout_type types[LAYOUT_TYPES_MAX];
};

/* --- Walking ------------------------------------------------------------------- */

#define LAYOUT_MESSAGE UINT32_MAX /* the owner of what belongs to no recipient */

struct layout_entry {
	uint32_t number;          /* in its table, from 0 */
	uint32_t owner;           /* index of the recipient, or LAYOUT_MESSAGE */
	uint32_t id, offset, length, allocated, type; /* allocated, type: only when the layout has them */
};

struct layout_problem {
	enum finding_id finding;
	const char *field;        /* "next fragment" */
	const char *expected;
	uint32_t value;           /* found */
};

enum layout_kind {
	LAYOUT_DONE,
	LAYOUT_HEADER,
	LAYOUT_FRAGMENT,  /* header and all slots of a fragment, also of one that is the whole table */
	LAYOUT_ENTRY,
	LAYOUT_ROW,       /* a recipient; its entries follow */
	LAYOUT_PROBLEM,   /* a link, location or count that leads nowhere; the walk goes on behind it */
};

struct layout_item {
	enum layout_kind kind;
	uint32_t at, length;      /* its bytes, always inside of the stream */
	uint32_t owner, number;   /* of a fragment: whose table, which of it; of a row: which */
	uint32_t entries, next;   /* of a fragment */
	bool last;                /* of a fragment: no other follows */
	struct layout_entry entry;
	struct layout_problem problem;
};

/* Problems that are told after the item that they were met with. */
#define LAYOUT_PENDING 4

struct layout_walk {
	const struct layout *layout;
	struct cur block;         /* all of the stream */
	uint32_t size;
	uint8_t stage;
	bool in_table, counted;   /* counted: `expected` is known */
	uint32_t owner, expected, seen, fragments;
	uint32_t at, left, number, next; /* in the fragment: next entry, how many are left */
	bool has_next;
	uint32_t rows, row, list;
	uint64_t budget;          /* entries that can still be told */
	uint64_t fragment_budget; /* ... fragments */
	bool has_first;           /* the first fragment of a recipient's table, told after its row */
	struct layout_item first;
	unsigned pending, told;
	struct layout_item problems[LAYOUT_PENDING];
};

/* Begin with the `size` bytes of a stream, at most LAYOUT_STREAM_MAX, which the caller keeps. `layout` is
 * sound (layout_sound()) and stays as long as the walk. */
/*@ requires \valid(w) && \valid_read(l) && \valid_read(bytes + (0 .. size - 1));
    assigns *w;
*/
void layout_begin(struct layout_walk *w, const struct layout *l, const uint8_t *bytes, uint32_t size);

/* The next item. Ends for every input, after at most size + a few items. */
/*@ requires \valid(w) && \valid(item) && \separated(w, item);
    assigns *w, *item;
*/
void layout_next(struct layout_walk *w, struct layout_item *item);

/* The number that `word` keeps in what begins at `base`; false, and 0, when it is not in the stream, or
 * the layout has none. */
/*@ requires \valid_read(w) && \valid(value_r);
    assigns *value_r;
*/
bool layout_number(const struct layout_walk *w, uint64_t base, struct layout_word word, uint32_t *value_r);

/* A word of all ones: "none" to many a program. */
static inline bool layout_none(struct layout_word word, uint32_t value)
{
	return value == 0 || value == (word.width == 4 ? UINT32_MAX : word.width == 2 ? 0xffffu : 0xffu);
}

/* --- What a layout has to be ------------------------------------------------------ */

/* NULL, or what contradicts itself: a sentence without a full stop. */
/*@ requires \valid_read(l);
    assigns \nothing;
*/
const char *layout_sound(const struct layout *l);

/* --- Checking --------------------------------------------------------------------- */

/* Bytes that something occupies, for the search for overlaps. */
struct layout_extent {
	uint32_t start, end;      /* the first byte behind it */
	uint32_t where;           /* entry, fragment or row that says so; 0 = the header */
	uint32_t what;            /* owner of the entry; LAYOUT_STRUCTURE of anything else */
};

#define LAYOUT_STRUCTURE (UINT32_MAX - 1)
#define LAYOUT_EXTENTS 1024u /* of a message with more, overlaps among the first so many are found */

struct layout_scratch {
	struct layout_walk walk;
	struct layout_item item;
	uint32_t nextents;
	struct layout_extent extents[LAYOUT_EXTENTS];
};

/* What the caller of a check may want to know of it. */
struct layout_result {
	uint32_t entries;         /* that were met */
	uint32_t known;           /* ... with a published id */
};

/* Check all sizes, offsets and counts of the stream, which is part `part` of its message. Findings of
 * the kind iis.property-*; offsets count in the stream. `size` is at most LAYOUT_STREAM_MAX. */
/*@ requires \valid(s) && \valid_read(l) && \valid_read(bytes + (0 .. size - 1)) && \valid(r) && \valid(result_r);
    requires \separated(s, r, result_r, bytes + (0 .. size - 1));
    assigns *s, *r, *result_r;
*/
void layout_check(struct layout_scratch *s, const struct layout *l, const uint8_t *bytes, uint32_t size,
		  unsigned part, struct report *r, struct layout_result *result_r);

/* --- Showing ------------------------------------------------------------------------- */

struct layout_show {
	struct layout_walk walk;
	struct layout_item item;
	bool begun;
	unsigned field;           /* of the header: the next one to show */
	bool value;               /* the entry's value comes next */
};

/* The next row of the annotated listing of a stream, which is part `part`; false: there is none. `s` is all zero
 * before the first call; the other arguments are those of layout_check(), and the same in each call. */
/*@ requires \valid(s) && \valid_read(l) && \valid_read(bytes + (0 .. size - 1)) && \valid(row);
    assigns *s, *row;
*/
bool layout_row(struct layout_show *s, const struct layout *l, const uint8_t *bytes, uint32_t size,
		unsigned part, struct row *row);

/* Append the published name of a property, or its number. */
/*@ requires \valid(t);
    assigns t->len, t->bytes[0 .. TEXT_MAX - 1];
*/
void layout_name(struct text *t, uint32_t id);

#endif
