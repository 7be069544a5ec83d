/*
 * blocks.h - blocks of a file that are not what was written to it
 *
 * A file system that loses a write leaves whole blocks: zero bytes, or what the blocks held for another file.
 * Such damage begins and ends where a block does. Mail that holds zero bytes or
 * binary data of its own does not keep to blocks: that is how both are told
 * apart. One pass over the bytes in their order, in constant memory, no libmagic.
 */
#ifndef BLOCKS_H
#define BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The smallest block of any file system (NTFS, old disks); most have 4096. */
#define BLOCK_SIZE 512u
/* Other data than zeros are only looked for at multiples of this. */
#define BLOCK_USUAL 4096u
#define BLOCK_RUNS 8u /* so many are remembered */

enum block_kind {
	BLOCK_ZEROS,   /* zero bytes */
	BLOCK_BINARY,  /* no text, in a file that is text */
	BLOCK_ANOTHER, /* in the middle of a line another message or queue file begins */
};

struct block_run {
	enum block_kind kind;
	bool beside;           /* another run touches it */
	uint64_t offset, length; /* in the file; multiples of BLOCK_SIZE but for the end of the file */
};

/* What one block looks like. */
enum block_look { LOOK_TEXT, LOOK_ZEROS, LOOK_BINARY, LOOK_MIXED };

struct blocks {
	bool text;             /* the file is text; else it has records, and only zeros are looked for */
	uint8_t block[BLOCK_SIZE];
	size_t have;           /* bytes in it */
	uint64_t at;           /* where it begins */

	enum block_look last;  /* of the block before */
	uint8_t last_byte;
	bool any;              /* there was one */
	bool some_text;        /* ... a whole one of text: the file is not encrypted */

	/* A stretch: blocks one behind the other that are no text; a run for each kind. */
	bool open;
	bool sharp;            /* it begins where a block does */
	bool tail;             /* and what it ended with so far was no text either */
	uint64_t began;
	unsigned before;       /* runs before it */
	bool several;          /* runs in it */
	struct block_run run;  /* the last one of it */

	bool own;              /* binary data that do not keep to blocks: the message's own */
	unsigned count;        /* runs */
	uint64_t more;         /* runs that found no room */
	struct block_run runs[BLOCK_RUNS];
};

/* Begin with a file of text (Exim -D, df, mess ...), or of records (Postfix). */
void blocks_begin(struct blocks *b, bool text);

/* The next bytes of the file. */
void blocks_feed(struct blocks *b, const uint8_t *p, size_t n);

/* The file ends here: `runs` are final. Binary runs, and zeros beside them, are dropped when the
 * message has binary data of its own, or no text at all. */
void blocks_end(struct blocks *b);

#endif
