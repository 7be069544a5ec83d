/*
 * volume_state.c - was the volume left in order?
 *
 * Runs in the volume server. What cannot be read is not in order.
 */
#include "config.h"

#include "volume_server.h"

#include "ntfs_record.h"

#include <glib.h>
#include <string.h>

#define RECORD_LOG 2    /* of the MFT: $LogFile */
#define RECORD_VOLUME 3 /* $Volume */
#define ATTRIBUTE_VOLUME_INFORMATION 0x70

/* Has $Volume the mark that sends chkdsk over it? */
uint16_t volume_state_flags(libfsntfs_volume_t *volume)
{
	libfsntfs_file_entry_t *entry = NULL;
	uint16_t flags = VOLUME_DIRTY; /* what cannot be read is not clean */
	int count = 0;

	if (libfsntfs_volume_get_file_entry_by_index(volume, RECORD_VOLUME, &entry, NULL) != 1)
		return flags;
	libfsntfs_file_entry_get_number_of_attributes(entry, &count, NULL);
	for (int i = 0; i < count; i++) {
		libfsntfs_attribute_t *attribute = NULL;
		uint32_t type = 0;

		if (libfsntfs_file_entry_get_attribute_by_index(entry, i, &attribute, NULL) == 1 &&
		    libfsntfs_attribute_get_type(attribute, &type, NULL) == 1 &&
		    type == ATTRIBUTE_VOLUME_INFORMATION)
			libfsntfs_volume_information_attribute_get_flags(attribute, &flags, NULL);
		if (attribute != NULL)
			libfsntfs_attribute_free(&attribute, NULL);
	}
	libfsntfs_file_entry_free(&entry, NULL);
	return flags;
}

static bool all_ones(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != 0xff)
			return false;
	return true;
}

/* Of the two restart pages the newer one counts. A log of nothing but ones was emptied, which is clean. */
enum volume_log volume_state_log(libfsntfs_volume_t *volume)
{
	libfsntfs_file_entry_t *entry = NULL;
	uint8_t pages[2][4096];
	enum volume_log state = VOLUME_LOG_UNKNOWN;
	uint64_t newest = 0;

	if (libfsntfs_volume_get_file_entry_by_index(volume, RECORD_LOG, &entry, NULL) != 1)
		return state;
	if (libfsntfs_file_entry_read_buffer_at_offset(entry, pages[0], sizeof pages, 0, NULL) ==
	    (ssize_t)sizeof pages) {
		if (all_ones(pages[0], sizeof pages))
			state = VOLUME_LOG_CLEAN;
		for (unsigned i = 0; i < 2; i++) {
			uint64_t lsn;
			bool clean;

			if (!ntfs_restart(pages[i], sizeof pages[i], &lsn, &clean) ||
			    (state != VOLUME_LOG_UNKNOWN && lsn < newest))
				continue;
			newest = lsn;
			state = clean ? VOLUME_LOG_CLEAN : VOLUME_LOG_OPEN;
		}
	}
	libfsntfs_file_entry_free(&entry, NULL);
	return state;
}

/* A system that sleeps has the volume mounted: hiberfil.sys then begins with "hibr" or "HIBR". */
bool volume_state_hibernated(libfsntfs_file_entry_t *root)
{
	static const char name[] = "hiberfil.sys";
	libfsntfs_file_entry_t *entry = NULL;
	char head[4] = "";
	bool yes = false;

	if (libfsntfs_file_entry_get_sub_file_entry_by_utf8_name(root, (const uint8_t *)name, strlen(name),
								 &entry, NULL) != 1)
		return false;
	if (libfsntfs_file_entry_read_buffer_at_offset(entry, head, sizeof head, 0, NULL) == sizeof head)
		yes = g_ascii_strncasecmp(head, "hibr", 4) == 0;
	libfsntfs_file_entry_free(&entry, NULL);
	return yes;
}
