/*
 * ask.h - what a command prints
 */
#ifndef ASK_H
#define ASK_H

/* The first line that `argv` (NULL-terminated; argv[0] is looked up in the system's
 * directories, not in PATH) prints within two seconds, g_free; NULL when it is not
 * installed, fails, or is late (it is then killed). */
char *ask_command(const char *const *argv);

#endif
