// SPDX-License-Identifier: GPL-2.0
/* What the subcommands share: how something is told, and what command lines have in common. */
#include <errno.h>
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

bool parse_index(const char *what, const char *text, uint64_t max, uint64_t *value)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 0);
	if (errno || *end || text[0] < '0' || text[0] > '9' || number > max) {
		complain("%s '%s': a number from 0 is wanted", what, text);
		return false;
	}
	*value = number;
	return true;
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
