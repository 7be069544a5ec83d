/*
 * spool.h - one spool: where it is, whose it is, what is known about its server
 */
#ifndef SPOOL_H
#define SPOOL_H

#include "format.h"
#include "reach.h"

#include <glib.h>

enum running { SERVER_STOPPED, SERVER_RUNNING, SERVER_UNKNOWN };

struct spool {
	char *path;                   /* absolute, as the user named it */
	int root;                     /* descriptor of the directory */
	const struct format *format;
	unsigned format_index;        /* in formats[] */
	struct format *spelled;       /* the format, with its places as they are spelled here; or NULL */
	struct site site;
	char *version;                /* of the server, for people; NULL unknown */
	enum running running;
	bool of_host;                 /* in the usual place of this host's server: its commands speak for it */
	bool offline;                 /* its server is stopped, the operator says */
	bool network;                 /* on a network or cluster file system: look only */
	unsigned disk_used, inodes_used; /* percent, 101 = unknown */
	struct reach reach;           /* how named streams of its files are read */
	char **streams;               /* their names, see reach.names */
	char **exclude;               /* paths below the root that are not looked at; may be NULL */
};

/* Is the path (below the root), or a directory above it, excluded? Wildcards are those of the shell; they
 * match no slash. */
bool spool_excludes(const struct spool *spool, const char *path);

/* Open the spool that `arg` names: PATH or TYPE:PATH. NULL with *error_r, a sentence for
 * people (g_free), when it does not exist, is no directory, or no server's spool. */
struct spool *spool_open(const char *arg, char **error_r);
void spool_close(struct spool *spool);

/* The operator says which version the spool's server has: "3.7.11". False when that is none. */
bool spool_set_version(struct spool *spool, const char *version);

/* The operator says how the named streams that matter are called; the default is PROPERTIES,
 * PROPERTIES-LIVE. The format's roles for streams bound their number. */
void spool_set_streams(struct spool *spool, char **names);

/* The operator says that the server is stopped: true where nothing shows that it runs. */
void spool_set_offline(struct spool *spool);

/* Look again whether the server runs: from its pid file and /proc/locks, taking no lock. */
enum running spool_running(const struct spool *spool);

/* The format that recognises most of the names in a directory, or -1. */
int spool_detect(int root);

/* Does a spool of formats[index] lie at `path`, or several below it? */
bool spool_is_at(const char *path, unsigned index);

/* The spools of this host, by what its installations say and by the formats' usual places: a vector
 * of TYPE:PATH (g_strfreev). */
char **spool_host(void);

/* The spools inside of a spool (named queues), by name: a vector of TYPE:PATH (g_strfreev). */
char **spool_inner(const struct spool *spool);

/* The spools that each of `args` (NULL ends) stands for: itself, or the several that lie in a
 * directory that is no spool itself (format.several_below). A vector of arguments for
 * spool_open() (g_strfreev). */
char **spool_expand_all(char *const *args);

/* The TYPE of TYPE:PATH; -1 and *path_r = arg when there is none. */
int spool_type(const char *arg, const char **path_r);

/* The format called `name`, or -1. */
int format_by_name(const char *name, size_t len);

/* The spool above `file` (TYPE:PATH or PATH): NULL when none is. *below_r = the rest of the
 * path, g_free. */
struct spool *spool_above(const char *file, char **below_r);

#endif
