/*
 * fuzz.h - what the fuzz targets share
 *
 * A target is a promise written as code: must() stops the fuzzer at the first
 * input that breaks it, and says which promise that was.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define must(promise) \
	do { \
		if (!(promise)) { \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #promise); \
			abort(); \
		} \
	} while (0)

/* Bytes in a heap block of exactly their size, so that AddressSanitizer sees the
 * first byte that is read beyond them. */
static inline uint8_t *fuzz_copy(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n > 0 ? n : 1);

	must(copy != NULL);
	if (n > 0)
		memcpy(copy, p, n);
	return copy;
}

/* Several parts in one input: the bytes up to the next FF 00, which is stepped over, or all that are left. */
static inline size_t fuzz_part(const uint8_t **data, size_t *size, const uint8_t **part_r)
{
	size_t n = 0, mark;

	while (n < *size && !(n + 1 < *size && (*data)[n] == 0xff && (*data)[n + 1] == 0))
		n++;
	mark = n < *size ? 2 : 0;
	*part_r = *data;
	*data += n + mark;
	*size -= n + mark;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
