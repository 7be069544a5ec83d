/*
 * volume_io.c - how the volume server reads its disk
 *
 * libbfio would open files by name; behind the closed door there is one descriptor, and it is read at
 * positions.
 */
#include "config.h"

#include "volume_server.h"

#include "sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <sys/param.h>
#include <unistd.h>

static struct {
	uint64_t off, size;      /* the volume on the disk */
	uint64_t at;             /* the library's position in it */
	int error;               /* errno of reading, so that it is not taken for damage */
} d;

int volume_io_error(void)
{
	int error = d.error;

	d.error = 0;
	return error;
}

bool volume_io_read(uint64_t off, void *to, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(VOLUME_FD, (char *)to + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n < 0)
				d.error = errno;
			return false;
		}
		done += (size_t)n;
	}
	return true;
}

/* What the library reads with: a file that begins at d.off. */
static ssize_t io_read(intptr_t *io, uint8_t *to, size_t size, libbfio_error_t **error)
{
	size_t len = d.at >= d.size ? 0 : MIN(size, d.size - d.at);

	(void)io;
	(void)error;
	if (len > 0 && !volume_io_read(d.off + d.at, to, len))
		return -1;
	d.at += len;
	return (ssize_t)len;
}

static off64_t io_seek(intptr_t *io, off64_t off, int whence, libbfio_error_t **error)
{
	off64_t from = whence == SEEK_CUR ? (off64_t)d.at : whence == SEEK_END ? (off64_t)d.size : 0;

	(void)io;
	(void)error;
	if (off < -from || (off > 0 && from > INT64_MAX - off))
		return -1;
	d.at = (uint64_t)(from + off);
	return (off64_t)d.at;
}

static int io_size(intptr_t *io, size64_t *size, libbfio_error_t **error)
{
	(void)io;
	(void)error;
	*size = d.size;
	return 1;
}

static int io_yes(intptr_t *io, libbfio_error_t **error)
{
	(void)io;
	(void)error;
	return 1;
}

static int io_open(intptr_t *io, int flags, libbfio_error_t **error)
{
	(void)flags;
	return io_yes(io, error);
}

static int io_close(intptr_t *io, libbfio_error_t **error)
{
	(void)io;
	(void)error;
	return 0;
}

static int io_free(intptr_t **io, libbfio_error_t **error)
{
	(void)error;
	*io = NULL;
	return 1;
}

static int io_clone(intptr_t **to, intptr_t *from, libbfio_error_t **error)
{
	(void)error;
	*to = from; /* there is only one */
	return 1;
}

static ssize_t io_write(intptr_t *io, const uint8_t *from, size_t size, libbfio_error_t **error)
{
	(void)io;
	(void)from;
	(void)size;
	(void)error;
	return -1;
}

libbfio_handle_t *volume_io_open(uint64_t off, uint64_t size)
{
	libbfio_handle_t *io = NULL;

	d.off = off;
	d.size = size;
	if (libbfio_handle_initialize(&io, (intptr_t *)&d, io_free, io_clone, io_open, io_close, io_read,
				      io_write, io_seek, io_yes, io_yes, io_size, 0, NULL) != 1 ||
	    libbfio_handle_open(io, LIBBFIO_OPEN_READ, NULL) != 1)
		return NULL;
	return io;
}
