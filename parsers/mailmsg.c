/* mailmsg.c - the published properties */
#include "mailmsg.h"

static const struct mailmsg_property properties[] = {
#define MAILMSG(id, name, type) { id, MAILMSG_##type, #name },
#include "mailmsg.def"
#undef MAILMSG
};

const struct mailmsg_property *mailmsg_property(uint32_t id)
{
	size_t low = 0, high = sizeof properties / sizeof properties[0];

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (properties[middle].id == id)
			return &properties[middle];
		if (properties[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const char *mailmsg_type_name(unsigned type)
{
	static const char *const names[MAILMSG_TYPES] = {
		"unknown", "ansi", "unicode", "string", "dword", "bool", "filetime", "guid", "blob"
	};

	return type < MAILMSG_TYPES ? names[type] : "?";
}

uint32_t mailmsg_type_length(unsigned type)
{
	static const uint8_t lengths[MAILMSG_TYPES] = {
		[MAILMSG_DWORD] = 4, [MAILMSG_FILETIME] = 8, [MAILMSG_GUID] = 16
	};

	return type < MAILMSG_TYPES ? lengths[type] : 0;
}
