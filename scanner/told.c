/* told.c - what a verb of `spoolck quarantine` did */
#include "config.h"

#include "told.h"

#include "command.h"
#include "entry.h"
#include "escape.h"

#include <stdio.h>
#include <string.h>

static bool wanted;
static json_t *event, *texts;

void told_as_json(void)
{
	wanted = true;
}

bool told_is_json(void)
{
	return wanted;
}

static json_t *bytes(const char *s)
{
	g_autofree char *safe = s != NULL ? escape_json(s, strlen(s)) : NULL;

	return safe != NULL ? json_string(safe) : json_null();
}

static void add_text(const char *line)
{
	if (texts != NULL)
		json_array_append_new(texts, bytes(line));
}

void told_begin(const char *verb)
{
	if (!wanted)
		return;
	texts = json_array();
	event = json_pack("{s:s,s:s,s:n,s:n,s:n,s:n,s:s,s:O}", "event", "action", "verb", verb, "entry", "spool",
			  "format", "id", "result", "failed", "texts", texts);
	command_heed_failures(add_text);
}

static void copy(const json_t *manifest, const char *key)
{
	json_t *value = json_object_get(manifest, key);

	if (json_is_string(value))
		json_object_set(event, key, value); /* it is escaped there as it is here */
}

void told_entry(const char *entry, const json_t *manifest)
{
	if (event == NULL)
		return;
	json_object_set_new(event, "entry", bytes(entry));
	copy(manifest, "spool");
	copy(manifest, "format");
	copy(manifest, "id");
}

void told_message(const char *spool, const char *format, const char *id)
{
	if (event == NULL)
		return;
	json_object_set_new(event, "spool", bytes(spool));
	json_object_set_new(event, "format", json_string(format));
	json_object_set_new(event, "id", bytes(id));
}

void told_result(const char *result)
{
	if (event != NULL)
		json_object_set_new(event, "result", json_string(result));
}

void told_restored(const char *path, const char *wake)
{
	if (event == NULL)
		return;
	json_object_set_new(event, "path", bytes(path));
	json_object_set_new(event, "wake", wake != NULL ? json_string(wake) : json_null());
}

void told_text(void *arg, const char *line)
{
	g_autofree char *safe = NULL;

	(void)arg;
	if (wanted) {
		add_text(line);
		return;
	}
	safe = escape_eyes(line, strlen(line));
	puts(safe);
}

void told_forget(void)
{
	json_decref(event);
	json_decref(texts);
	event = texts = NULL;
}

void told_end(void)
{
	if (event == NULL)
		return;
	json_dumpf(event, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	putchar('\n');
	fflush(stdout); /* what follows may take long, or end us */
	told_forget();
}
