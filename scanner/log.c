/*
 * log.c - one line for the system log
 *
 * Not syslog(3): that one waits for as long as the log daemon hangs, and every
 * wait of ours has to end. The datagram is the one that syslog(3) sends.
 */
#include "config.h"

#include "log.h"

#include "escape.h"

#include <errno.h>
#include <glib.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

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

static void append(GString *line, const char *key, const char *value)
{
	g_autofree char *safe = NULL;

	if (value == NULL || *value == '\0')
		return;
	safe = escape_eyes(value, strlen(value));
	g_strdelimit(safe, "\"", '\'');
	g_string_append_printf(line, " %s=\"%s\"", key, safe);
}

static void send_line(const char *line)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	int fd = facility >= 0 ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;

	if (fd < 0)
		return;
	/* a full log gets a moment to make room */
	for (int tries = 0; tries < 5; tries++) {
		if (sendto(fd, line, strlen(line), MSG_NOSIGNAL, (struct sockaddr *)&to,
			   sizeof to) >= 0 || (errno != EAGAIN && errno != ENOBUFS))
			break;
		g_usleep(10000);
	}
	close(fd);
}

/* What every line begins with. */
static GString *begin(int priority)
{
	GString *line = g_string_new(NULL);
	time_t now = time(NULL);
	char stamp[32] = "";
	struct tm tm;

	if (localtime_r(&now, &tm) != NULL)
		strftime(stamp, sizeof stamp, "%b %e %H:%M:%S", &tm);
	g_string_append_printf(line, "<%d>%s spoolck[%ld]: ", facility | priority, stamp,
			       (long)getpid());
	return line;
}

static void finish(GString *line)
{
	g_string_truncate(line, MIN(line->len, LOG_LINE_MAX));
	send_line(line->str);
	g_string_free(line, TRUE);
}

void log_text(int priority, const char *text)
{
	g_autofree char *safe = escape_eyes(text, strlen(text));
	GString *line = begin(priority);

	g_string_append(line, safe);
	finish(line);
}

void log_action(const struct log_action *a)
{
	g_autofree char *who = log_who();
	GString *line = begin(LOG_NOTICE);

	g_string_append(line, a->verb);
	append(line, "id", a->id);
	append(line, "spool", a->spool);
	append(line, "finding", a->finding);
	append(line, "from", a->from);
	append(line, "to", a->to);
	append(line, "digest", a->digest);
	append(line, "who", who);
	append(line, "reason", a->reason);
	finish(line);
}

void log_recovered(const char *spool, const char *line)
{
	log_action(&(struct log_action){ .verb = "interrupted transaction", .spool = spool,
					 .reason = line });
}
