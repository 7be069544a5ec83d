/*
 * serverlock.h - the lock with which the server itself claims a message
 */
#ifndef SERVERLOCK_H
#define SERVERLOCK_H

#include "scan.h"

/* Take the format's lock on the message without waiting. A descriptor that holds it until
 * it is closed, or a negative errno: -EWOULDBLOCK = the server has it, or has just unlinked
 * what it has locked. A message without the part that is locked (an orphan) needs none: then
 * the descriptor is that of the root directory. */
int server_lock(const struct spool *spool, const struct outcome *o);

/* Is what was found of the message (`r`; id, place, path and facts of `o` count) nothing but what it looks like when the
 * server is just taking it away (format.passing), and is that what the server does? True when it holds its lock on the
 * message, or when the anchor is not the file any more that the facts are of: then it was at work meanwhile. No lock is
 * taken: the kernel is asked (proc_locks.h), which does not show a server in another container. */
bool server_is_removing(const struct spool *spool, const struct outcome *o, const struct report *r);

#endif
