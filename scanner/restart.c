/* restart.c - stop a server, and never leave it stopped */
#include "config.h"

#include "restart.h"

#include "ask.h"
#include "log.h"
#include "quarantine.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define AN_HOUR 3600
#define MOST_AN_HOUR 2
#define REMEMBERED (64 * 1024)    /* bytes of the file; a line has some 40 */
#define STOP_SECONDS 60
#define START_SECONDS 120
#define GUARD_SECONDS "180"       /* more than stopping and working take together */
#define STAND_SECONDS 2           /* that it has to run to count as started */
#define SETTLE_SECONDS 10         /* for the last process after the unit has stopped */

struct restart {
	char **units;  /* the server's, then those that stopped with it */
	char *guard;   /* of systemd, which would start them */
	int lock;      /* held: two runs do not stop the same server */
};

static void restart_free(struct restart *r)
{
	if (r->lock >= 0)
		close(r->lock);
	g_strfreev(r->units);
	g_free(r->guard);
	g_free(r);
}

/* --- How often ------------------------------------------------------------------- */

/* Lines "TIME UNIT" of the last hour; how many are of this unit. A time that is to come counts: clocks are set back. */
static unsigned recent(char *text, const char *unit, GString *kept)
{
	gint64 now = time(NULL);
	unsigned count = 0;

	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		const char *blank = strchr(line, ' ');

		if (blank == NULL || g_ascii_strtoll(line, NULL, 10) < now - AN_HOUR)
			continue;
		count += strcmp(blank + 1, unit) == 0;
		g_string_append_printf(kept, "%s\n", line);
	}
	return count;
}

static int open_times(const char *store, char **error_r)
{
	g_autofree char *path = g_build_filename(store, "restarts", NULL);
	struct q_error err = { "" };
	struct q_store *s;
	int fd;

	if (q_store_open(store, true, &s, &err) < 0) { /* it is ours, then, and nobody else writes there */
		*error_r = g_strdup(err.text);
		return -1;
	}
	q_store_close(s);
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		*error_r = g_strdup_printf("%s: %s", path, g_strerror(errno));
	else if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	else
		*error_r = g_strdup("another run restarts a server just now");
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Write down that it is restarted now, unless that was done too often. */
static bool may_restart(int fd, const char *unit, char **error_r)
{
	g_autoptr(GString) kept = g_string_new(NULL);
	char text[REMEMBERED];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	if (n < 0) {
		*error_r = g_strdup(g_strerror(errno));
		return false;
	}
	text[n] = '\0';
	if (recent(text, unit, kept) >= MOST_AN_HOUR) {
		*error_r = g_strdup_printf("%s was restarted twice within the last hour", unit);
		return false;
	}
	g_string_append_printf(kept, "%" G_GINT64_FORMAT " %s\n", (gint64)time(NULL), unit);
	if (ftruncate(fd, 0) == 0 && pwrite(fd, kept->str, kept->len, 0) == (ssize_t)kept->len && fsync(fd) == 0)
		return true;
	*error_r = g_strdup_printf("the store cannot remember it: %s", g_strerror(errno));
	return false;
}

/* --- The guard -------------------------------------------------------------------- */

/* systemd starts the units in some minutes, whatever becomes of us. */
static bool set_guard(const struct restart *r)
{
	g_autofree char *name = g_strconcat("--unit=", r->guard, NULL);
	GPtrArray *argv = g_ptr_array_new();
	bool set;

	for (const char *const *word = (const char *const[]){ "systemd-run", "--quiet", "--collect", name,
		"--on-active=" GUARD_SECONDS, "--timer-property=AccuracySec=1s", "systemctl", "start", NULL };
	     *word != NULL; word++)
		g_ptr_array_add(argv, (char *)(size_t)*word);
	for (char **unit = r->units; *unit != NULL; unit++)
		g_ptr_array_add(argv, *unit);
	g_ptr_array_add(argv, NULL);
	set = ask_done((const char *const *)argv->pdata, 10);
	g_ptr_array_free(argv, TRUE);
	return set;
}

static void remove_guard(const struct restart *r)
{
	g_autofree char *timer = g_strconcat(r->guard, ".timer", NULL);
	char *one[] = { timer, NULL };

	unit_do("stop", one, 10);
}

/* "spoolck-start-postfix@-": what of a unit's name is special stays special, and it is the same each time, so that
 * a guard that an interrupted run has left is met again. */
static char *guard_of(const char *unit)
{
	g_autofree char *name = g_strdup(unit);

	name[strlen(name) - strlen(".service")] = '\0';
	g_strdelimit(name, "@", '-');
	return g_strconcat("spoolck-start-", name, NULL);
}

/* --- Stop and start --------------------------------------------------------------- */

static void G_GNUC_PRINTF(1, 2) tell_log(const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	log_text(LOG_WARNING, text);
}

static bool has_ended(const struct spool *spool)
{
	for (int i = 0; i < SETTLE_SECONDS * 10; i++) {
		if (spool_running(spool) == SERVER_STOPPED)
			return true;
		g_usleep(100000);
	}
	return false;
}

struct restart *restart_stop(const struct spool *spool, const char *store, char **error_r)
{
	g_autofree char *unit = unit_of(spool, error_r), *failed = NULL;
	struct restart *r;
	char *one[] = { unit, NULL };

	if (unit == NULL)
		return NULL;
	r = g_new0(struct restart, 1);
	r->guard = guard_of(unit);
	r->lock = open_times(store, error_r);
	if (r->lock < 0 || !may_restart(r->lock, unit, error_r)) {
		restart_free(r);
		return NULL;
	}
	r->units = unit_family(unit);
	remove_guard(r); /* of a run that was interrupted: it has waited for long enough, or a new one takes its place */
	if (!set_guard(r)) {
		*error_r = g_strdup("systemd takes no order to start it again (systemd-run fails)");
		restart_free(r);
		return NULL;
	}
	tell_log("restart: stopping %s, to move messages that need that", unit);
	if (unit_do("stop", one, STOP_SECONDS) && has_ended(spool))
		return r;
	failed = restart_start(r);
	*error_r = g_strdup_printf("%s does not stop%s%s", unit, failed != NULL ? "; " : "", failed != NULL ? failed : "");
	return NULL;
}

const char *restart_unit(const struct restart *r)
{
	return r->units[0];
}

char *restart_start(struct restart *r)
{
	char *error = NULL, *one[] = { r->units[0], NULL };

	/* A service that forks (smtpd) has started for systemd before it reads its queue. */
	if (unit_do("start", r->units, START_SECONDS) && (g_usleep(STAND_SECONDS * G_USEC_PER_SEC), true) &&
	    unit_do("is-active", one, 10)) {
		remove_guard(r);
		tell_log("restart: started %s", r->units[0]);
	} else {
		error = g_strdup_printf("%s does not start; look at: systemctl status %s", r->units[0], r->units[0]);
		tell_log("restart: %s", error);
	}
	restart_free(r);
	return error;
}
