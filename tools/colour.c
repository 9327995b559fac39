// SPDX-License-Identifier: GPL-2.0
/*
 * Colours of the output, and none where it is no terminal.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "colour.h"

struct colours colours_choose(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (!isatty(STDOUT_FILENO) || (no_color && *no_color) || !term || !strcmp(term, "dumb"))
		return (struct colours) { "", "", "", "", "" };
	return (struct colours) { "\033[32m", "\033[33m", "\033[31m", "\033[1m", "\033[0m" };
}
