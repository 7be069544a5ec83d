/*
 * main.c - the verbs
 *
 * Parses words and hands over; the work is in the command_*.c files.
 */
#include "config.h"

#include "command.h"

#include "escape.h"
#include "hire.h"
#include "lanemem.h"
#include "spool_volume.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *name;
	int (*run)(char **argv);
	const char *summary;
} verbs[] = {
	{ "scan", command_scan, "examine mail spools, and move damaged messages if asked to" },
	{ "prestart", command_prestart, "before a server starts: move what would stop it, in bounded time" },
	{ "explain", command_explain, "annotated listing of one message, the damage marked" },
	{ "quarantine", command_quarantine, "list, show, restore, export ... what was moved" },
	{ "spools", command_spools, "which spools are on this host" },
	{ "findings", command_findings, "what each finding means and what to do" },
	{ "learn-layout", command_learn, "infer the layout of property blocks from healthy messages" },
};

static void G_GNUC_PRINTF(2, 0) say(const char *kind, const char *format, va_list args)
{
	g_autofree char *text = g_strdup_vprintf(format, args);
	g_autofree char *safe = escape_eyes(text, strlen(text));

	fflush(stdout);
	fprintf(stderr, "spoolck: %s%s\n", kind, safe);
}

int command_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("", format, args);
	va_end(args);
	fprintf(stderr, "Try `spoolck --help`.\n");
	return EXIT_USAGE;
}

static void (*heed_failures)(const char *sentence);

void command_heed_failures(void (*heed)(const char *sentence))
{
	heed_failures = heed;
}

int command_failed(const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	say("", format, args);
	va_end(args);
	if (heed_failures == NULL)
		return EXIT_FAILED;
	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	heed_failures(text);
	return EXIT_FAILED;
}

int command_zygote(bool deep)
{
	const char *what = "";
	char step[60] = "";
	struct hired worker = HIRED_NONE;
	struct lanemem mem[2];
	int landlock, ret;
	int zygote = zygote_start(deep, &landlock, &what);

	if (zygote == -ELIBACC)
		exit(command_failed("--deep: %s: it cannot be found or used; install it (Debian: libgmime-3.0-0, libmagic1), or "
				    "leave --deep out", what));
	if (zygote < 0)
		exit(command_failed("no sandbox, no scan: %s: %s", what, g_strerror(-zygote)));
	ret = lanemem_open(mem);
	if (ret == 0) {
		ret = hire(&worker, zygote, mem[0].fd, step);
		dismiss(&worker);
		lanemem_close(mem);
	}
	if (ret < 0)
		exit(command_failed("no sandbox, no scan: %s: %s", step, g_strerror(-ret)));
	spool_volume_zygote(zygote);
	return zygote;
}

static void help(FILE *to)
{
	fprintf(to, "spoolck " PACKAGE_VERSION ", an fsck for mail spools\n\n"
		    "Usage: spoolck VERB [OPTION...] [WORD...]\n\n");
	for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
		fprintf(to, "  %-12s %s\n", verbs[i].name, verbs[i].summary);
	fprintf(to, "\n`spoolck VERB --help` shows the options; `spoolck --check-config` looks at\n"
		    SETTINGS_FILE "; spoolck(1) tells it all.\n");
}

void command_open_standard(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd)
			_exit(EXIT_FAILED);
}

static int run(int argc, char **argv)
{
	if (argc < 2) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		help(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("spoolck " PACKAGE_VERSION);
		return 0;
	}
	if (*argv[1] == '-')
		return command_config(argv);
	for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
		g_autofree char *name = g_strconcat("spoolck ", verbs[i].name, NULL);

		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		g_set_prgname(name); /* for --help */
		return verbs[i].run(argv + 1);
	}
	return command_usage("%s: no such verb", argv[1]);
}

int main(int argc, char **argv)
{
	int status;

	/* A hook is never the reason that a service stays down, and hands its descriptors on as they are. */
	if (argc > 1 && strcmp(argv[1], "prestart") == 0)
		return command_prestart(argv + 1);
	command_open_standard();
	setlocale(LC_ALL, "");
	/* Numbers are read and written in one way. */
	setlocale(LC_NUMERIC, "C");
	status = run(argc, argv);
	/* A report that nobody got is a failure. */
	if (fflush(stdout) != 0 || ferror(stdout))
		status |= command_failed("cannot write to standard output: %s", g_strerror(errno));
	return status;
}
