/*
 * mailmsg.h - names and types of the properties that IIS SMTP keeps with a message (mailmsg.def)
 *
 * What is published: ids, names, types. How they lie in a property stream is not; layout.h is about that.
 */
#ifndef MAILMSG_H
#define MAILMSG_H

#include <stddef.h>
#include <stdint.h>

enum mailmsg_type {
	MAILMSG_UNKNOWN,  /* nothing is stated */
	MAILMSG_ANSI,     /* characters of one byte; the zero byte that ends them is part of the value */
	MAILMSG_UNICODE,  /* UTF-16LE, ended in the same way */
	MAILMSG_STRING,   /* one of both */
	MAILMSG_DWORD,    /* 32 bits */
	MAILMSG_BOOL,     /* handed over in 32 bits, 0 or 1 */
	MAILMSG_FILETIME, /* 64 bits, 100 ns since 1601 */
	MAILMSG_GUID,     /* 16 bytes */
	MAILMSG_BLOB,     /* any bytes */
	MAILMSG_TYPES
};

struct mailmsg_property {
	uint16_t id;
	uint8_t type;     /* enum mailmsg_type */
	const char *name; /* "MP_SENDER_ADDRESS_SMTP" */
};

/* Ids from here on belong to whoever asks the server for a range (AllocPropIDRange). */
#define MAILMSG_CUSTOM 0x8000u

/* The property `id`; NULL: none is published. */
const struct mailmsg_property *mailmsg_property(uint32_t id);

/* "dword", ...; "?" for a value outside of the enum. */
const char *mailmsg_type_name(unsigned type);

/* Of an object of the type: its length in bytes when all are equal, else 0. */
uint32_t mailmsg_type_length(unsigned type);

#endif
