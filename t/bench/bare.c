/*
 * bare.c - the yardstick: one process that walks a Postfix queue and reads its files
 *
 * Usage: bare SPOOL. Does what no scan can do without, and nothing else: lists the
 * directories, opens, stats, reads and closes every message with one buffer. The logs
 * (defer, bounce, trace) are listed and not read, as a scan does.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t files, bytes, names;
static uint8_t buf[1 << 20];

static void read_file(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (off_t done = 0; done < st.st_size && (n = read(fd, buf, sizeof buf)) > 0; done += n)
		bytes += (uint64_t)n;
	files++;
	close(fd);
}

static void walk(int at, const char *name, bool contents)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (d == NULL) {
		if (errno != ENOENT)
			perror(name);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		if (e->d_type == DT_DIR) {
			walk(fd, e->d_name, contents);
			continue;
		}
		names++;
		if (contents)
			read_file(fd, e->d_name);
	}
	closedir(d);
}

int main(int argc, char **argv)
{
	static const char *const read_these[] = { "maildrop", "incoming", "active", "deferred",
						  "hold", "corrupt", "saved" };
	static const char *const list_these[] = { "defer", "bounce", "trace" };
	int root = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (root < 0) {
		fprintf(stderr, "usage: bare SPOOL\n");
		return 1;
	}
	for (size_t i = 0; i < sizeof read_these / sizeof read_these[0]; i++)
		walk(root, read_these[i], true);
	for (size_t i = 0; i < sizeof list_these / sizeof list_these[0]; i++)
		walk(root, list_these[i], false);
	printf("%ju files, %ju bytes, %ju names\n", (uintmax_t)files, (uintmax_t)bytes,
	       (uintmax_t)names);
	return 0;
}
