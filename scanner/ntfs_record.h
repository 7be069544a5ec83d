/*
 * ntfs_record.h - what libfsntfs does not tell of a file: how much of a stream was ever written
 *
 * An MFT record keeps for each stream a data size and a valid ("initialized") size; what lies
 * between reads as zero. Pure functions over one record; facts: the documentation of the Linux-NTFS
 * project, "NTFS file record" and "Standard attribute header".
 */
#ifndef NTFS_RECORD_H
#define NTFS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NTFS_RECORD_MAX 4096 /* bytes; mostly 1024 */

/* A $DATA attribute: the whole of a resident stream, or the first run of another. */
struct ntfs_data {
	uint64_t size, valid;
	uint16_t flags;        /* NTFS_DATA_... */
	bool resident;
	unsigned name_units;   /* of UTF-16 */
	const uint8_t *name;   /* little-endian, in the record */
};

#define NTFS_DATA_COMPRESSED 0x0001
#define NTFS_DATA_ENCRYPTED 0x4000
#define NTFS_DATA_SPARSE 0x8000

/* Undo the update sequence, by which a record that was half-written is known. False: it is none, or is
 * torn; `len` is a multiple of 512. */
bool ntfs_record_fix(uint8_t *record, size_t len);

/* The $DATA attribute behind position *at (0 = the first); false when there is no other. */
bool ntfs_record_data(const uint8_t *record, size_t len, size_t *at, struct ntfs_data *d);

/* A restart page of $LogFile, whose update sequence is undone, too: its sequence number, and whether all that
 * was begun was ended. False: it is none. */
bool ntfs_restart(uint8_t *page, size_t len, uint64_t *lsn_r, bool *clean_r);

#endif
