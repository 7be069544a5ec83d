/*
 * fdpass.h - datagrams that carry descriptors
 */
#ifndef FDPASS_H
#define FDPASS_H

#include <stddef.h>

#define FDPASS_MAX 4

/* Send `len` bytes with `nfds` descriptors (0..FDPASS_MAX), which stay the caller's. 0 or a negative
 * errno. */
int fd_send(int sock, const void *data, size_t len, const int *fds, unsigned nfds);

/* Receive one datagram of at most `cap` bytes. Exactly `nfds` descriptors have to come with it,
 * or none: they are then -1. Bytes received, 0 = the other side is gone, or a negative
 * errno; any other number of descriptors is -EBADMSG and they are closed. */
int fd_recv(int sock, void *data, size_t cap, int *fds, unsigned nfds);

#endif
