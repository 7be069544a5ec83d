/*
 * opensmtpd.h - what the files of the OpenSMTPD format share (see fmt_opensmtpd.c)
 *
 *	fmt_opensmtpd.c      the layout, the grammar, places and names, the format
 *	opensmtpd_conf.c     what smtpd.conf says
 *	opensmtpd_line.c     lines, numbers, addresses as OpenSMTPD reads them
 *	opensmtpd_check.c    check(): envelopes, bodies, offline submissions
 *	opensmtpd_show.c     decode() and body()
 *
 * Nothing outside of these files includes this header.
 */
#ifndef OPENSMTPD_H
#define OPENSMTPD_H

#include "cursor.h"
#include "format.h"

/* --- Limits, each with its reason ---------------------------------------- */

#define OS_MSGID 8u            /* digits of a message id */
#define OS_EVPID 16u           /* ... of an envelope id, the message id first */
#define OS_ENVELOPE_SMALL 7568u /* sizeof(struct envelope) with glibc: the file must be smaller */
#define OS_ENVELOPE_MAX 16384u /* ... larger than with any libc and system */
#define OS_HOST_SMALL 64u      /* HOST_NAME_MAX of glibc; musl and OpenBSD have 255 */
#define OS_HOST_MAX 255u
#define OS_LINE_SMALL 2047u    /* LINE_MAX of glibc and OpenBSD less one; musl has 4096 */
#define OS_LINE_MAX 4095u
#define OS_ADDRESS_PART 255u   /* each side of the @ */
#define OS_VERSION 3           /* of the envelope, since OpenSMTPD 6.4 */
#define OS_CRYPT_MIN 30u       /* version, 12 bytes IV, one byte, 16 bytes tag */
#define OS_DELAY_MAX INT32_MAX /* the scheduler keeps a delay in an int */
#define OS_FRESH 60            /* seconds: an empty file that is younger is being written */
#define OS_RETRY_ODD 1000      /* tries in the four days of a default queue: about 30 */
#define OS_TAIL 4096u          /* window for the end of a body */

#define OS_WORDS 48u           /* room for the words of one key */

/* --- Grammar -------------------------------------------------------------- */

enum os_place { OS_QUEUE, OS_OFFLINE, OS_INCOMING, OS_TEMPORARY, OS_PLACES };

/* Role 0 is the file that is looked at: an envelope, a body, a submission. The others are
 * only looked up, for an envelope: its body, and the place where its id belongs; and OS_UNPACKED is
 * no file but what a compressed one unpacks to. */
enum os_role { OS_FILE, OS_BODY, OS_HOME, OS_UNPACKED, OS_ROLES };

/* How the value of a line is read. */
enum os_value {
	OS_TEXT,
	OS_NUMBER,
	OS_ADDRESS,
	OS_SOCKADDR,
	OS_WORD,   /* one of a list */
	OS_FLAGS,  /* several of a list */
};

/* Keys by name in os_keys[]; those that the checks ask for by number. */
enum os_key_id {
	OS_KEY_VERSION,
	OS_KEY_DISPATCHER,
	OS_KEY_TYPE,
	OS_KEY_HELO,
	OS_KEY_HOSTNAME,
	OS_KEY_SOCKADDR,
	OS_KEY_SENDER,
	OS_KEY_RCPT,
	OS_KEY_DEST,
	OS_KEY_CTIME,
	OS_KEY_RETRY,
	OS_KEY_OTHERS,
};

enum os_agent { OS_ANY_AGENT, OS_MDA, OS_BOUNCE };

struct os_key {
	const char *name;
	uint8_t value;      /* enum os_value */
	uint8_t agent;      /* enum os_agent: belongs to this type of envelope only */
	uint16_t limit;     /* OS_TEXT: longest value with glibc */
	uint16_t limit_max; /* ... with any libc */
	int64_t max;        /* OS_NUMBER */
	char words[OS_WORDS]; /* OS_WORD, OS_FLAGS: separated by blanks */
	bool needed;        /* an envelope without it is refused */
};

#define OS_KEYS 31u
extern const struct os_key os_keys[OS_KEYS];

/* --- Names ----------------------------------------------------------------- */

/* Where the file `id` belongs, below the root. Lower case. Terminated; its length, 0 = no. */
size_t os_home(const char *id, size_t id_len, unsigned role, char *buf, size_t cap);

/* Would the start-up walk open an envelope under this path (below the place)? It looks at the
 * lengths of the names and at hexadecimal digits only. */
bool os_walked(const char *path);

/* --- Lines ----------------------------------------------------------------- */

enum os_line_state {
	OS_LINE_GOOD,
	OS_LINE_BLANK,
	OS_LINE_NUL,     /* a NUL in it */
	OS_LINE_CUT,     /* no newline at the end of the file */
	OS_LINE_COLON,   /* no colon, or something else than letters, digits, - before it */
	OS_LINE_END_NUL, /* good, but for a NUL where the last newline should be: it is read */
};

struct os_line {
	uint64_t off, len;     /* with the newline */
	enum os_line_state state;
	struct cur key, value; /* GOOD, and CUT when there is a colon */
};

/* The next line of an envelope; false at its end. Every call moves on. */
bool os_next(struct cur *c, struct os_line *line);

/* Index into os_keys, OS_KEYS = unknown. */
unsigned os_find_key(const struct cur *name);

/* strtonum(): blanks, a sign, digits, nothing else; 0..max. */
bool os_number(struct cur value, int64_t max, int64_t *n_r);

/* user@domain, split at the last @. */
struct os_address {
	size_t user, domain; /* lengths; the domain is the end of the value */
	bool at;
};
struct os_address os_address(const struct cur *value);

enum os_ip { OS_IP_BAD, OS_IP_GOOD, OS_IP_OLD, OS_IP_SCOPE };

/* "local", IPv4, [IPv6]; OLD: IPv6:... (up to 6.8); SCOPE: [IPv6%interface] (7.0 and later). */
enum os_ip os_sockaddr(struct cur value);

/* Is the value one of the words? For OS_FLAGS: are all its parts? Case does not matter. */
bool os_word(struct cur value, const char words[OS_WORDS]);
bool os_flags(struct cur value, const char words[OS_WORDS]);

/* The same bytes, case and all? */
bool os_same(struct cur a, struct cur b);

/* All that is left of the cursor, as text. */
void os_say(struct text *t, struct cur c);
bool os_is(const struct cur *c, const char *word); /* case does not matter */

/* --- The configuration ------------------------------------------------------- */

/* Of a site: `storage` is an enum os_kind, `words` are the names of actions, each with a NUL. */
void os_configure(struct site *s, const uint8_t *bytes, size_t len);
bool os_is_action(const struct site *s, struct cur name);

/* --- Kinds of files --------------------------------------------------------- */

enum os_kind { OS_PLAIN, OS_GZIP, OS_CRYPT };

/* Where the text is that smtpd would read: OS_UNPACKED, or OS_FILE when it is not packed. */
unsigned os_text(const struct message *m);

/* What the first bytes say. */
enum os_kind os_kind(const struct part *p);

/* Is role 0 of this message an envelope, or else (in queue/) a body? */
bool os_is_envelope(const struct message *m);

/* --- The format's functions -------------------------------------------------- */

struct os_check {
	uint8_t phase;
	uint64_t zeros; /* bytes that are known to be zero, from the start */
};

enum step os_check(void *scratch, const struct message *m, struct report *r, struct want *w);

struct os_show {
	uint8_t phase;
	uint64_t pos;
	unsigned rows;
};

enum step os_decode(void *scratch, const struct message *m, struct row *row, struct want *w);
enum step os_body(void *scratch, const struct message *m, struct run *run, struct want *w);

#endif
