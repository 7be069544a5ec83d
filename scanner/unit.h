/*
 * unit.h - the systemd unit that runs a spool's server
 *
 * Which one it is differs by server, release and instance (postfix.service, postfix@-.service); the control group of the
 * running server says it.
 */
#ifndef UNIT_H
#define UNIT_H

#include "spool.h"

/* The unit (g_free) that the spool's running server is a part of; NULL with *error_r, a phrase (g_free), when there is
 * none, or none that is known to be this server's. */
char *unit_of(const struct spool *spool, char **error_r);

/* A vector (g_strfreev): the unit first, then those active now that stop when it stops, and are not started by it. */
char **unit_family(const char *unit);

/* systemctl VERB UNIT... within `seconds`; false when it fails or is late (and is then ended). `units` ends with NULL. */
bool unit_do(const char *verb, char *const *units, unsigned seconds);

#endif
