/*
 * serverlock.h - the lock with which the server itself claims a message
 */
#ifndef SERVERLOCK_H
#define SERVERLOCK_H

#include "scan.h"

/* Take the format's lock on the message without waiting. A descriptor that holds it until
 * it is closed, or a negative errno: -EWOULDBLOCK = the server has it. A message without
 * the part that is locked (an orphan) needs none: then the descriptor is that of the
 * root directory. */
int server_lock(const struct spool *spool, const struct outcome *o);

#endif
