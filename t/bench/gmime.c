/*
 * gmime.c - the yardstick of deep scans: GMime reads the same messages in one process
 *
 * Usage: gmime SPOOL (of qmail: each file below mess/ is the text of a message). Reads each file and has GMime
 * make its objects of it, asks for subject, sender, recipients and date, and walks the parts;
 * decodes no content. No sandbox, no judgement, no second process.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <gmime/gmime.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static GMimeParserOptions *options;
static uint64_t files, bytes, parts, words;

static void count(GMimeObject *parent, GMimeObject *part, gpointer arg)
{
	(void)parent, (void)part, (void)arg;
	parts++;
}

static void parse(const char *text, size_t len)
{
	GMimeStream *stream = g_mime_stream_mem_new_with_buffer(text, len);
	GMimeParser *parser = g_mime_parser_new_with_stream(stream);
	GMimeMessage *message = g_mime_parser_construct_message(parser, options);

	if (message != NULL) {
		const char *subject = g_mime_message_get_subject(message);
		char *from = internet_address_list_to_string(g_mime_message_get_from(message), NULL, FALSE);

		words += subject != NULL ? strlen(subject) : 0;
		words += from != NULL ? strlen(from) : 0;
		words += (uint64_t)internet_address_list_length(g_mime_message_get_to(message));
		words += g_mime_message_get_date(message) != NULL;
		g_free(from);
		g_mime_message_foreach(message, count, NULL);
		g_object_unref(message);
	}
	g_object_unref(parser);
	g_object_unref(stream);
}

static int one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	int fd;
	char *text;
	ssize_t n;

	(void)ftw;
	if (type != FTW_F)
		return 0;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	text = malloc((size_t)st->st_size + 1);
	if (fd < 0 || text == NULL || (n = read(fd, text, (size_t)st->st_size)) != st->st_size) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	parse(text, (size_t)n);
	files++;
	bytes += (uint64_t)n;
	free(text);
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	char *mess;
	int ret;

	if (argc != 2) {
		fprintf(stderr, "usage: gmime SPOOL\n");
		return 1;
	}
	g_mime_init();
	options = g_mime_parser_options_new();
	mess = g_build_filename(argv[1], "mess", NULL);
	ret = nftw(mess, one, 16, FTW_PHYS);
	printf("%ju files, %ju bytes, %ju parts, %ju\n", (uintmax_t)files, (uintmax_t)bytes,
	       (uintmax_t)parts, (uintmax_t)words);
	return ret;
}
