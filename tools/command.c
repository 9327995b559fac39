// SPDX-License-Identifier: GPL-2.0
/* What the subcommands share: how something is told, and what command lines have in common. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "lib/libvitrine.h"

void complain(const char *format, ...)
{
	char line[1024];
	va_list args;

	/* In one piece, so that a vCPU's output does not get in between. */
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	fprintf(stderr, "vitrine: %s\n", line);
}

int finish_output(int code)
{
	if (fflush(stdout) || ferror(stdout)) {
		if (errno == EPIPE)
			return EXIT_SIGNAL + 13;
		complain("standard output: %s", strerror(errno));
		return code ? code : EXIT_HOST;
	}
	return code;
}

int refuse(struct vitrine_error *err, const char *format, ...)
{
	va_list args;

	err->code = EINVAL;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return -EINVAL;
}

int refuse_option(char **argv, int value, struct vitrine_error *err)
{
	const char *word = argv[optind - 1];
	bool is_long = !strncmp(word, "--", 2);

	if (value == ':')
		return is_long ? refuse(err, "%s wants a value", word) :
				 refuse(err, "-%c wants a value", optopt);
	if (is_long && optopt && strchr(word, '='))
		return refuse(err, "%.*s takes no value", (int)strcspn(word, "="), word);
	/* Of letters that stand together the word before them may be the last that was passed. */
	return optopt ? refuse(err, "no option -%c", optopt) : refuse(err, "no option %s", word);
}

int complain_option(char **argv, int value)
{
	struct vitrine_error err;

	refuse_option(argv, value, &err);
	complain("%s: %s; 'vitrine %s --help' lists the options", argv[0], err.text, argv[0]);
	return EXIT_USAGE;
}

bool parse_count(const char *what, const char *text, uint64_t max, uint64_t *value)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || !number || number > max) {
		complain("%s '%s': 1 to %" PRIu64 " are possible", what, text, max);
		return false;
	}
	*value = number;
	return true;
}

bool take_number(const char **at, uint64_t *value)
{
	char *end;

	/* strtoull() would take a sign and blanks, and by itself a leading 0 for octal. */
	if (**at < '0' || **at > '9')
		return false;
	errno = 0;
	*value = strtoull(*at, &end, strncasecmp(*at, "0x", 2) ? 10 : 16);
	*at = end;
	return !errno;
}

bool parse_index(const char *what, const char *text, uint64_t max, uint64_t *value)
{
	const char *at = text;
	uint64_t number;

	if (take_number(&at, &number) && !*at && number <= max) {
		*value = number;
		return true;
	}
	if (max == UINT64_MAX)
		complain("%s '%s': a number is wanted, decimal or after 0x", what, text);
	else
		complain("%s '%s': 0 to %" PRIu64 " are possible", what, text, max);
	return false;
}

bool parse_seconds(const char *what, const char *text, double least, double most, double *value)
{
	char *end;

	errno = 0;
	*value = strtod(text, &end);
	if (!errno && end != text && !*end && *value >= least && *value <= most)
		return true;
	complain("%s '%s': %g to %g seconds are possible", what, text, least, most);
	return false;
}
