/*
 * command_info.c - `spoolck spools` and `spoolck findings`
 */
#include "config.h"

#include "command.h"
#include "escape.h"
#include "output.h"
#include "spool_volume.h"
#include "spools.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void print_finding(const struct finding_def *d)
{
	printf("%s\n  severity: %s\n  impact: %s\n  what: %s\n  server: %s\n  do: %s\n", d->name,
	       severity_name(d->severity), impact_name(d->impact), d->text, d->server, d->todo);
}

static void json_print_finding(const struct finding_def *d)
{
	json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "event", "definition", "name", d->name,
			      "severity", severity_name(d->severity), "impact",
			      impact_name(d->impact), "text", d->text, "server", d->server, "todo",
			      d->todo);

	json_dumpf(j, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(j);
}

int command_findings(char **argv)
{
	struct common common;
	g_auto(GStrv) names = command_options_only(argv, "[NAME] - what each finding means", &common);
	bool any = false;

	if (names[0] != NULL && names[1] != NULL)
		return command_usage("findings: at most one name");
	for (unsigned i = 0; i < F_COUNT; i++) {
		const struct finding_def *d = finding_def(i);

		if (names[0] != NULL && strcmp(names[0], d->name) != 0)
			continue;
		if (common.json)
			json_print_finding(d);
		else
			print_finding(d);
		any = true;
	}
	return any ? 0 : command_usage("%s: no such finding", names[0]);
}

/* One spool of the host; readable = its first queue directory can be listed. */
static void print_spool(const struct spool *s, bool json)
{
	static const char *const running[] = { "stopped", "running", "unknown" };
	bool readable = true;

	for (unsigned i = 0; i < s->format->nplaces; i++)
		if (faccessat(s->root, s->format->places[i].name, R_OK | X_OK, AT_EACCESS) < 0 &&
		    errno == EACCES)
			readable = false;
	if (json) {
		g_autofree char *path = escape_json(s->path, strlen(s->path));
		json_t *j = json_pack("{s:s,s:s,s:s,s:s?,s:s,s:b}", "event", "spool", "path", path,
				      "format", s->format->name, "version", s->version, "server",
				      running[s->running], "readable", readable);

		json_dumpf(j, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(j);
	} else {
		g_autofree char *path = escape_eyes(s->path, strlen(s->path));

		printf("%s: %s %s, %s%s\n", path, s->format->server,
		       s->version != NULL ? s->version : "(version unknown)", running[s->running],
		       readable ? "" : ", not readable for this user");
	}
}

static void spool_failed(void *arg, const char *word, const char *error)
{
	int *status = arg;

	*status |= command_failed("%s: %s", word, error);
}

int command_spools(char **argv)
{
	struct common common;
	g_auto(GStrv) names = command_options(argv, "[SPOOL...] - the spools of this host", NULL,
					      &common);
	int status = 0;
	unsigned away;
	GPtrArray *spools;

	for (char **name = names; *name != NULL; name++) {
		const char *path;

		spool_type(*name, &path);
		if (spool_volume_is(path)) {
			command_zygote(false); /* which reads it */
			break;
		}
	}
	spools = spools_open(common.settings, names, spool_failed, &status, &away);

	for (guint i = 0; i < spools->len; i++)
		print_spool(spools->pdata[i], common.json);
	if (*names == NULL && spools->len == 0 && status == 0 && !common.json && !common.quiet)
		puts(away > 0 ? "No spool is mounted." : "No spool of a known server is on this host.");
	g_ptr_array_free(spools, TRUE);
	return status;
}
