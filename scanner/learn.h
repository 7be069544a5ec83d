/*
 * learn.h - a layout inferred from healthy messages (spoolck learn-layout)
 *
 * Everything declared here but learn_run() looks at bytes of messages, and runs in a confined process only.
 *
 *	learn_refs.c   values that are known from the text, and what in the stream refers to them
 *	learn_table.c  from such references: the fields of an entry, its size, the entries
 *	learn_word.c   the place that holds a number which is expected
 *	learn_frame.c  header, fragments
 *	learn_list.c   recipients that have tables of their own
 *	learn_entry.c  other fields of an entry, what values have in common
 *	learn_proof.c  what the layout explains of messages that it was not learned from
 *	learn_run.c    sealed memory there, a description and some numbers back
 */
#ifndef LEARN_H
#define LEARN_H

#include "layout.h"

#include <glib.h>

/* --- Limits, each with its reason ---------------------------------------------- */

#define LEARN_MESSAGES 400u        /* more do not make a layout surer, only later */
#define LEARN_STREAM (32u << 10)   /* a larger stream has many recipients, which shows nothing new */
#define LEARN_TEXT (16u << 10)     /* where a message's header ends, nearly always */
#define LEARN_VOTERS 60u           /* messages whose references are counted: each costs milliseconds */
#define LEARN_ADDS 512u            /* what may have to be added to offsets: a header or two */
#define LEARN_REACH 32             /* bytes from an entry's offset to its other fields */
#define LEARN_ANCHORS 24u          /* values of one message that references are sought for */

#define LEARN_SHARE 85u            /* percent of the messages in which a field has to be right: some tables were misread */
#define LEARN_DIFFERENT 3u         /* values that a number has to take before its place can be told from a constant's */

#define LEARN_ADDRESS 0x2009u      /* RP_ADDRESS_SMTP, the property of which each recipient has one */

/* With fewer messages, or fewer explained, no description is written: see spoolck-layout(5). */
#define LEARN_LEAST_MESSAGES 22u
#define LEARN_LEAST_EXPLAINED 0.85 /* lower bound of Wilson's 95 % interval */
#define LEARN_LEAST_ANCHORS 90u    /* percent of known values that entries refer to */
#define LEARN_LEAST_DETECTED 90u   /* percent of size corruptions made here that the check finds */

/* --- What is learned from --------------------------------------------------------- */

struct sample {
	const uint8_t *text, *stream;
	uint32_t text_len, size;   /* of text: the beginning, at most LEARN_TEXT bytes */
};

/* A value of the text, found in the stream. */
struct anchor {
	uint32_t at, length;       /* without the zero character behind it */
	bool wide;                 /* UTF-16LE */
};

/* How an entry refers to a value: where its fields are, counted from its offset field. */
struct shape {
	uint32_t adds;             /* value's place less offset field */
	int8_t length, id;         /* bytes from the offset field */
	uint8_t offset_width, length_width, id_width;
	bool counts_end;           /* lengths count the zero character at the end */
	uint32_t votes;
};

/* An entry as it was met in a stream. */
struct found {
	uint32_t at;               /* of the entry's first known field */
	uint32_t id, start, length;
	bool first;                /* of a run of adjacent entries */
};

/* One message and what is known of it. */
struct study {
	const struct sample *sample;
	GArray *anchors;           /* struct anchor */
	GArray *entries;           /* struct found, by place */
	uint32_t messages, recipients; /* entries with ids of the message; how many recipients there seem to be */
	uint32_t runs, end;        /* end: the last byte that anything occupies, and one */
};

static inline struct found *learn_entry(const struct study *s, guint i)
{
	return &g_array_index(s->entries, struct found, i);
}

/* Is it an entry of the message's own, not of a recipient? */
static inline bool learn_of_message(const struct found *e)
{
	return e->id < 0x2000 || e->id >= 0x3000;
}

/* Little-endian number at `at`; false when it is not in the stream. */
bool learn_number(const struct sample *s, int64_t at, unsigned width, uint32_t *value_r);

/* Values of the text that stand in the stream, too. */
void learn_anchors(const struct sample *s, GArray *anchors_r);

/* Shapes of entries that refer to many of the anchors, those with most votes first (GArray of struct shape). */
GArray *learn_shapes(struct study *const *studies, unsigned n);

/* The best of `shapes`, and the size of entries, into *l: entry_size, id, offset, length, offset_adds. Fields
 * may be as wide as costs `nearly` percent of the entries. False: no table is to be seen. */
bool learn_table(struct study *const *studies, unsigned n, const GArray *shapes, unsigned nearly, struct layout *l);

/* All entries of a study by the table's layout. */
void learn_entries(struct study *study, const struct layout *l);

/* Complete *l: header, fragments, recipients, values. False: tables cannot be found from the header. */
bool learn_frame(struct study *const *studies, unsigned n, struct layout *l);

/* Parts of that. Recipients' list: its place within `room` bytes of the header, its rows. */
void learn_list(struct study *const *studies, unsigned n, uint32_t room, struct layout *l);
/* Allocated length, recipient and type of an entry; alignment, strings' ends. */
void learn_fields(struct study *const *studies, unsigned n, struct layout *l);
void learn_values(struct study *const *studies, unsigned n, struct layout *l);

/* --- What comes of it ----------------------------------------------------------------- */

enum learn_end { LEARN_OK, LEARN_FEW, LEARN_NO_ANCHORS, LEARN_NO_TABLE, LEARN_NO_FRAME, LEARN_UNSURE };

struct learned {
	uint32_t end;              /* enum learn_end */
	uint32_t messages;         /* looked at */
	uint32_t explained, contradicting; /* by a layout that was learned from other messages */
	uint32_t anchors, referred;/* values of the texts; those that an entry refers to */
	uint32_t corrupted, detected; /* sizes made wrong in these messages, and found */
};

/* How many of the messages `studies` the layout explains, and the other numbers of *result, added up. */
void learn_try(struct study *const *studies, unsigned n, const struct layout *l, struct learned *result);

/* Is there no finding above notice? */
bool learn_explains(const struct layout *l, const uint8_t *stream, uint32_t size);

/* Lower bound of Wilson's score interval at 95 % for `good` of `all`; 0..1. */
double learn_bound(uint32_t good, uint32_t all);

/* Learn from all samples, prove it crosswise; *l is of use when the result's end is LEARN_OK or LEARN_UNSURE. */
struct learned learn(const struct sample *samples, unsigned n, struct layout *l);

#endif
