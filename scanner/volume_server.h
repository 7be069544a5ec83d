/*
 * volume_server.h - the confined process that reads a file system
 */
#ifndef VOLUME_SERVER_H
#define VOLUME_SERVER_H

#include "volume_wire.h"

#include <libbfio.h>
#include <libfsntfs.h>

/* The server's life behind the closed door: requests from WORKER_FD, bytes from VOLUME_FD. Never returns. */
_Noreturn void volume_server_main(void);

/* volume_io.c: bytes of the disk; false: they cannot be read. */
bool volume_io_read(uint64_t off, void *to, size_t len);
/* What libfsntfs reads a volume through; NULL: no memory. */
libbfio_handle_t *volume_io_open(uint64_t off, uint64_t size);
/* The errno of the last failure to read, once; 0 = there was none. */
int volume_io_error(void);

/* volume_state.c: flags of $Volume; the end of its log; does a system sleep on it? */
uint16_t volume_state_flags(libfsntfs_volume_t *volume);
enum volume_log volume_state_log(libfsntfs_volume_t *volume);
bool volume_state_hibernated(libfsntfs_file_entry_t *root);

/* Which volumes are on a disk (volume_disk.c). `read_at` copies `len` bytes at `off` of a disk of `size` bytes; false: it
 * cannot. */
typedef bool disk_read(uint64_t off, void *to, size_t len);
void volume_disk_table(disk_read *read_at, uint64_t size, struct volume_table *t);

#endif
