/*
 * ask.h - what the host says of its mail server: what a command prints, what a file holds
 *
 * Commands are started without a shell, looked up in the system's directories and not in PATH,
 * and have two seconds; then they are killed. Programs and files have to be root's own.
 */
#ifndef ASK_H
#define ASK_H

#include <stddef.h>

/* The first line that `argv` (NULL-terminated) prints, g_free; NULL when it is not installed, fails,
 * or is late. */
char *ask_command(const char *const *argv);

/* The first line that it prints on standard error, whatever its exit status: how some tell their
 * usage and version. */
char *ask_usage(const char *const *argv);

/* All of the one file of `paths` (NULL-terminated) that exists: *len_r bytes, g_free. NULL when there is
 * none or more than one, when it cannot be read, when others than root may write it, or when it is
 * larger than 256 KiB. */
char *ask_file(const char *const *paths, size_t *len_r);

#endif
