/*
 * ask.h - what the host says of its mail server: what a command prints, what a file holds
 *
 * A command is looked up in the system's directories, not in PATH, and has to be root's; it gets
 * no shell, hardly an environment, and four seconds, after which it and what it started are
 * killed.
 */
#ifndef ASK_H
#define ASK_H

#include <stddef.h>

/* All that `argv` (NULL-terminated) prints, g_free; NULL when it is not installed, fails, is late, or
 * prints nothing or more than 64 KiB. */
char *ask_all(const char *const *argv);

/* The first line of that. */
char *ask_command(const char *const *argv);

/* The first line that it prints on standard error, whatever its exit status: how some tell their
 * usage and version. */
char *ask_usage(const char *const *argv);

/* From the moment when *cancelled becomes nonzero (a signal handler's) nothing is waited for any more. */
void ask_heed(const volatile int *cancelled);

/* The command that was late last, or NULL. */
const char *ask_late(void);

/* What the file holds, up to 1 MiB, g_free; NULL when it cannot be read or is no regular file. */
char *ask_file(const char *path);

/* The same of the one file of `paths` (NULL-terminated) that exists: *len_r bytes. NULL also when there is
 * none or more than one, and when others than root may write it. */
char *ask_only_file(const char *const *paths, size_t *len_r);

#endif
