/* beneath.c - openat2 where the kernel has it, else one component at a time */
#include "config.h"

#include "beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* For kernels before 5.6: every directory on the way is opened without following. */
static int open_stepwise(int dir, const char *path, int flags)
{
	int at = dir, fd, err;

	for (;;) {
		char name[256];
		size_t len = strcspn(path, "/");

		if (len >= sizeof name)
			return -ENAMETOOLONG;
		memcpy(name, path, len);
		name[len] = '\0';
		path += len + strspn(path + len, "/");
		if (strcmp(name, "..") == 0)
			fd = -EXDEV;
		else if (*path == '\0')
			fd = openat(at, len > 0 ? name : ".", flags | O_NOFOLLOW | O_CLOEXEC);
		else
			fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		err = fd == -1 ? errno : 0;
		if (at != dir)
			close(at);
		if (fd < 0 || *path == '\0')
			return err != 0 ? -err : fd;
		at = fd;
	}
}

int open_beneath(int dir, const char *path, int flags)
{
	static int no_openat2;
	struct open_how how = { .flags = (unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
					   RESOLVE_NO_MAGICLINKS };
	long fd;

	if (no_openat2)
		return open_stepwise(dir, path, flags);
	fd = syscall(SYS_openat2, dir, *path != '\0' ? path : ".", &how, sizeof how);
	if (fd >= 0)
		return (int)fd;
	if (errno == ENOSYS || errno == EPERM) { /* EPERM: a seccomp filter that does not know it */
		no_openat2 = errno == ENOSYS;
		return open_stepwise(dir, path, flags);
	}
	return -errno;
}
