/*
 * manifests.c - the yardstick of `quarantine list`: one process that reads every manifest of a store
 *
 * Usage: manifests STORE/entries. Lists the directory, opens, reads and closes each
 * NAME/manifest.json, and nothing else.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static char buf[1 << 20];
	int at = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECTORY) : -1;
	DIR *d = at >= 0 ? fdopendir(at) : NULL;
	uint64_t bytes = 0;
	struct dirent *e;
	char path[300];
	ssize_t n;

	if (d == NULL)
		return 1;
	while ((e = readdir(d)) != NULL) {
		int fd;

		snprintf(path, sizeof path, "%s/manifest.json", e->d_name);
		fd = e->d_name[0] != '.' ? openat(at, path, O_RDONLY) : -1;
		if (fd < 0)
			continue;
		while ((n = read(fd, buf, sizeof buf)) > 0)
			bytes += (uint64_t)n;
		close(fd);
	}
	closedir(d);
	return bytes == 0;
}
