/*
 * spools.h - which spools a run is about, and what the configuration says of them
 *
 * Named on the command line; else those of the configuration and, unless discover=no, those that this host has
 * besides. However a spool was named, the [spool] section of its directory holds for it.
 */
#ifndef SPOOLS_H
#define SPOOLS_H

#include "settings.h"
#include "spool.h"

/* Open the spool that `word` names: the name of a section, PATH, TYPE:PATH or TYPE. NULL with a sentence in
 * *error_r (g_free). */
struct spool *spools_open_one(const struct settings *settings, const char *word, char **error_r);

/* The same, or one inside of that spool when that one holds a message `id`. */
struct spool *spools_open_with(const struct settings *settings, const char *word, const char *id,
			       char **error_r);

/* Has the spool of the section `name` to be mounted, and is not? */
bool spools_is_away(const struct settings *settings, const char *name);

/* What the configuration says of a spool that was found in another way. */
void spools_apply(const struct settings *settings, struct spool *spool);

/* Open those that `words` (NULL-terminated) name, or without any word all. What cannot be opened is told; a configured
 * spool that is not mounted, and was not named, is left out without a word (*away_r counts them). Spools inside of a
 * spool (named queues) come behind it. The caller
 * frees the array, which frees the spools. */
typedef void spools_told(void *arg, const char *word, const char *error);
GPtrArray *spools_open(const struct settings *settings, char **words, spools_told *told, void *arg,
		       unsigned *away_r);

#endif
