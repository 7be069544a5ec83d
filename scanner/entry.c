/* entry.c - what stands in the manifest of an entry, and its line in the log */
#include "config.h"

#include "entry.h"

#include "escape.h"
#include "log.h"

#include <glib.h>
#include <string.h>

const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "-";
}

char *bytes_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	size_t len;
	char *bytes = s != NULL ? escape_undo(s, &len) : NULL;

	if (bytes != NULL && strlen(bytes) != len)
		g_clear_pointer(&bytes, g_free);
	return bytes;
}

const char *finding_of(const json_t *manifest)
{
	const json_t *f = json_array_get(json_object_get(manifest, "findings"), 0);

	return json_string_value(json_object_get(f, "name"));
}

void entry_log(const char *verb, const char *entry, const json_t *manifest, const char *from,
	       const char *to, const char *reason)
{
	const json_t *part = json_array_get(json_object_get(manifest, "parts"), 0);
	g_autofree char *id = bytes_of(manifest, "id");
	g_autofree char *spool = bytes_of(manifest, "spool");
	g_autofree char *path = bytes_of(part, "path");

	log_action(&(struct log_action){
		.verb = verb, .id = id, .spool = spool, .finding = finding_of(manifest),
		.from = from != NULL ? from : entry, .to = to != NULL ? to : path,
		.digest = json_string_value(json_object_get(part, "sha256")), .reason = reason,
	});
}
