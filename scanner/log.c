/*
 * log.c - one entry for the journal, or one line for the system log
 *
 * Not syslog(3): that one waits for as long as the log daemon hangs, and every
 * wait of ours has to end. The datagrams are the ones that sd_journal_send(3) and syslog(3) send.
 */
#include "config.h"

#include "log.h"

#include "escape.h"

#include <errno.h>
#include <glib.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define JOURNAL "/run/systemd/journal/socket"
#define LOG_LINE_MAX 2000 /* what every syslog daemon takes */

const char *const log_facilities[] = { "mail", "daemon", "user", "authpriv", "local0", "local1",
				       "local2", "local3", "local4", "local5", "local6", "local7",
				       "none", NULL };
static const int codes[] = { LOG_MAIL, LOG_DAEMON, LOG_USER, LOG_AUTHPRIV, LOG_LOCAL0, LOG_LOCAL1,
			     LOG_LOCAL2, LOG_LOCAL3, LOG_LOCAL4, LOG_LOCAL5, LOG_LOCAL6,
			     LOG_LOCAL7, -1 };
G_STATIC_ASSERT(G_N_ELEMENTS(codes) + 1 == G_N_ELEMENTS(log_facilities));
static int facility = LOG_MAIL;

void log_use(unsigned index)
{
	facility = index < G_N_ELEMENTS(codes) ? codes[index] : LOG_MAIL;
}

char *log_who(void)
{
	const char *sudo = g_getenv("SUDO_USER");
	const struct passwd *pw = getpwuid(getuid());
	char *name = pw != NULL ? g_strdup(pw->pw_name)
				: g_strdup_printf("uid %lu", (unsigned long)getuid());
	char *who = sudo != NULL && *sudo != '\0' ? g_strdup_printf("%s (sudo: %s)", name, sudo)
						  : g_strdup(name);

	g_free(name);
	return who;
}

/* --- Lines and fields --------------------------------------------------------- */

/* One entry, in both forms: a line for people, and fields for journald. */
struct entry {
	int priority;
	GString *line;   /* without its head */
	GString *fields; /* KEY=value, each ended by a line feed */
};

/* The kinds of entries that contrib/systemd/spoolck.catalog explains. */
static const struct {
	const char *verb, *id;
} kinds[] = {
	{ "moved to quarantine", "14f0aba3bc2d4ea8b163c6ac122f569c" },
	{ "restored", "4f5aa95ff47b44bcac518c3ed2846d3c" },
	{ "purged", "d3a9cc2230934e6d8e74771264da58e8" },
	{ "interrupted transaction", "36b2848a38074d0493212973745aad2c" },
};

static struct entry begin(int priority)
{
	return (struct entry){ priority, g_string_new(NULL), g_string_new(NULL) };
}

static void append(struct entry *e, const char *key, const char *value)
{
	g_autofree char *safe = NULL, *upper = g_ascii_strup(key, -1);

	if (value == NULL || *value == '\0')
		return;
	safe = escape_eyes(value, strlen(value));
	g_string_append_printf(e->fields, "SPOOLCK_%s=%s\n", upper, safe);
	g_strdelimit(safe, "\"", '\'');
	g_string_append_printf(e->line, " %s=\"%s\"", key, safe);
}

/* --- Where to -------------------------------------------------------------------- */

/* False when nobody listens there. A log that is full gets a moment to make room. */
static bool send_to(const char *path, const GString *datagram)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = EAGAIN;

	g_strlcpy(to.sun_path, path, sizeof to.sun_path);
	for (int tries = 0; fd >= 0 && tries < 5 && (error == EAGAIN || error == ENOBUFS); tries++) {
		if (tries > 0)
			g_usleep(10000);
		error = sendto(fd, datagram->str, datagram->len, MSG_NOSIGNAL, (struct sockaddr *)&to,
			       sizeof to) < 0 ? errno : 0;
	}
	if (fd >= 0)
		close(fd);
	return error != ENOENT && error != ECONNREFUSED;
}

/* The protocol of systemd's JOURNAL_NATIVE_PROTOCOL document. No value has a line feed: all are escaped. */
static bool to_journal(const struct entry *e)
{
	g_autoptr(GString) out = g_string_new(NULL);

	g_string_append_printf(out, "MESSAGE=%s\nPRIORITY=%d\nSYSLOG_FACILITY=%d\n"
			       "SYSLOG_IDENTIFIER=spoolck\n%s", e->line->str, e->priority,
			       facility >> 3, e->fields->str);
	return send_to(JOURNAL, out);
}

static void to_syslog(const struct entry *e)
{
	g_autoptr(GString) out = g_string_new(NULL);
	time_t now = time(NULL);
	char stamp[32] = "";
	struct tm tm;

	if (localtime_r(&now, &tm) != NULL)
		strftime(stamp, sizeof stamp, "%b %e %H:%M:%S", &tm);
	g_string_append_printf(out, "<%d>%s spoolck[%ld]: %s", facility | e->priority, stamp,
			       (long)getpid(), e->line->str);
	g_string_truncate(out, MIN(out->len, LOG_LINE_MAX));
	send_to("/dev/log", out);
}

static void finish(struct entry *e)
{
	if (facility >= 0 && !to_journal(e))
		to_syslog(e);
	g_string_free(e->line, TRUE);
	g_string_free(e->fields, TRUE);
}

/* --- What is said ------------------------------------------------------------------ */

void log_text(int priority, const char *text)
{
	g_autofree char *safe = escape_eyes(text, strlen(text));
	struct entry e = begin(priority);

	g_string_append(e.line, safe);
	finish(&e);
}

void log_action(const struct log_action *a)
{
	g_autofree char *who = log_who();
	struct entry e = begin(LOG_NOTICE);

	g_string_append(e.line, a->verb);
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (strcmp(kinds[i].verb, a->verb) == 0)
			g_string_append_printf(e.fields, "MESSAGE_ID=%s\n", kinds[i].id);
	append(&e, "id", a->id);
	append(&e, "spool", a->spool);
	append(&e, "finding", a->finding);
	append(&e, "from", a->from);
	append(&e, "to", a->to);
	append(&e, "digest", a->digest);
	append(&e, "who", who);
	append(&e, "reason", a->reason);
	finish(&e);
}

void log_recovered(const char *spool, const char *line)
{
	log_action(&(struct log_action){ .verb = "interrupted transaction", .spool = spool,
					 .reason = line });
}
