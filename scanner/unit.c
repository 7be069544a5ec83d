/* unit.c - the systemd unit that runs a spool's server */
#include "config.h"

#include "unit.h"

#include "ask.h"
#include "beneath.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FAMILY_MAX 16

/* Units that a server is known to have, by format: what a process of a stranger's pid file belongs to is never
 * stopped. Those whose messages may all move while they run are not here. */
static const struct {
	const char *format, *pattern;
} known[] = {
	{ "postfix", "postfix.service" },     /* Debian 13, and other systems */
	{ "postfix", "postfix@*.service" },   /* Debian 12, and instances */
	{ "opensmtpd", "opensmtpd.service" },
	{ "opensmtpd", "smtpd.service" },     /* Arch Linux */
	{ "courier", "courier.service" },
	{ "courier", "courier-mta.service" },
};

/* --- The server's process ---------------------------------------------------------- */

/* Who holds a lock on the file with this inode; 0 = nobody, or nobody knows. */
static pid_t holder_of(ino_t ino)
{
	FILE *f = fopen("/proc/locks", "re");
	char line[256];
	pid_t pid = 0;

	while (pid <= 1 && f != NULL && fgets(line, sizeof line, f) != NULL) {
		unsigned long long seen;
		int who;

		if (sscanf(line, "%*d: %*s %*s %*s %d %*x:%*x:%llu", &who, &seen) == 2 && seen == ino)
			pid = who;
	}
	if (f != NULL)
		fclose(f);
	return MAX(pid, 0);
}

/* Courier's file is locked and empty, that of Postfix has the pid, too. */
static pid_t pid_of_file(const struct spool *spool)
{
	int fd = open_beneath(spool->root, spool->format->pid_file, O_RDONLY | O_NONBLOCK);
	struct stat st;
	char text[64]; /* Postfix pads it to 32 */
	ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
	pid_t holder = fd >= 0 && fstat(fd, &st) == 0 ? holder_of(st.st_ino) : 0;
	long pid;

	if (fd >= 0)
		close(fd);
	if (n <= 0 || holder > 1)
		return holder;
	text[n] = '\0';
	pid = strtol(text, NULL, 10);
	return pid > 1 && pid < 1 << 30 ? (pid_t)pid : 0;
}

/* A process whose root directory is the spool. */
static pid_t pid_chrooted(const struct spool *spool)
{
	struct stat here, st;
	DIR *proc = opendir("/proc");
	struct dirent *e;
	pid_t pid = 0;

	if (proc == NULL || fstat(spool->root, &here) < 0)
		here.st_ino = 0;
	while (pid == 0 && proc != NULL && (e = readdir(proc)) != NULL) {
		g_autofree char *path = g_strconcat("/proc/", e->d_name, "/root", NULL);

		if (g_ascii_isdigit(e->d_name[0]) && stat(path, &st) == 0 && st.st_ino == here.st_ino &&
		    st.st_dev == here.st_dev)
			pid = (pid_t)atol(e->d_name);
	}
	if (proc != NULL)
		closedir(proc);
	return pid;
}

/* The last name in the path of its control group that is a service's. */
static char *service_of(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%ld/cgroup", (long)pid);
	g_autofree char *text = ask_file(path);
	g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

	for (char **line = lines; *line != NULL; line++) {
		char *at = strstr(*line, "::");
		g_auto(GStrv) names = NULL;

		if (at == NULL || !g_str_has_prefix(*line, "0::"))
			at = strstr(*line, ":name=systemd:");
		names = g_strsplit(at != NULL ? at : "", "/", -1);
		for (guint n = g_strv_length(names); n > 0; n--)
			if (g_str_has_suffix(names[n - 1], ".service"))
				return g_strdup(names[n - 1]);
	}
	return NULL;
}

/* --- Units -------------------------------------------------------------------------- */

static bool is_known(const struct format *format, const char *unit)
{
	for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
		if (strcmp(known[i].format, format->name) == 0 && fnmatch(known[i].pattern, unit, 0) == 0)
			return true;
	return false;
}

char *unit_of(const struct spool *spool, char **error_r)
{
	const struct format *f = spool->format;
	g_autofree char *unit = NULL;
	pid_t pid;

	if (access("/run/systemd/system", F_OK) < 0) {
		*error_r = g_strdup("no systemd manages this host's services");
		return NULL;
	}
	pid = f->chrooted != NULL ? pid_chrooted(spool) : f->pid_file != NULL ? pid_of_file(spool) : 0;
	unit = pid != 0 ? service_of(pid) : NULL;
	if (unit == NULL)
		*error_r = g_strdup_printf("the %s that uses this spool belongs to no unit of systemd", f->server);
	else if (!is_known(f, unit))
		*error_r = g_strdup_printf("%s, in which it runs, is no unit that is known for %s", unit, f->server);
	else
		return g_steal_pointer(&unit);
	return NULL;
}

bool unit_do(const char *verb, char *const *units, unsigned seconds)
{
	const char *argv[FAMILY_MAX + 4] = { "systemctl", "--quiet", verb };

	for (unsigned n = 0; units[n] != NULL && n < FAMILY_MAX; n++)
		argv[3 + n] = units[n];
	return ask_done(argv, seconds);
}

char **unit_family(const char *unit)
{
	const char *const argv[] = { "systemctl", "show", "--value", "--property=RequiredBy,BoundBy,ConsistsOf", unit, NULL };
	g_autofree char *text = ask_all(argv);
	g_auto(GStrv) words = g_strsplit_set(text != NULL ? text : "", " \n", -1);
	GPtrArray *family = g_ptr_array_new();

	g_ptr_array_add(family, g_strdup(unit));
	for (char **word = words; *word != NULL && family->len < FAMILY_MAX; word++) {
		char *one[] = { *word, NULL };

		if (g_str_has_suffix(*word, ".service") &&
		    !g_ptr_array_find_with_equal_func(family, *word, g_str_equal, NULL) && unit_do("is-active", one, 4))
			g_ptr_array_add(family, g_strdup(*word));
	}
	g_ptr_array_add(family, NULL);
	return (char **)g_ptr_array_free(family, FALSE);
}
