/*
 * beneath.h - opening below a directory without ever leaving it
 */
#ifndef BENEATH_H
#define BENEATH_H

/* openat() of `path` below `dir`, refusing links in every component and anything that
 * leads out. `path` is relative; "" or "." is `dir` itself. `flags` as for open(2), O_CLOEXEC and O_NOFOLLOW are
 * added. The descriptor or a negative errno (-ELOOP, -ENOTDIR or -EXDEV: a link or
 * a way out). */
int open_beneath(int dir, const char *path, int flags);

#endif
