/*
 * volume_server.h - the confined process that reads a file system
 */
#ifndef VOLUME_SERVER_H
#define VOLUME_SERVER_H

#include "volume_wire.h"

/* The server's life behind the closed door: requests from WORKER_FD, bytes from VOLUME_FD. Never returns. */
_Noreturn void volume_server_main(void);

/* Which volumes are on a disk (volume_disk.c). `read_at` copies `len` bytes at `off` of a disk of `size` bytes; false: it
 * cannot. */
typedef bool disk_read(uint64_t off, void *to, size_t len);
void volume_disk_table(disk_read *read_at, uint64_t size, struct volume_table *t);

#endif
