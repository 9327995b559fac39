// SPDX-License-Identifier: GPL-2.0
/*
 * How the library says what failed: one line of text and an errno. It prints nothing.
 */
#include <stdarg.h>
#include <stdio.h>

#include "internal.h"

int vitrine_fail(struct vitrine_error *err, int code, const char *format, ...)
{
	va_list args;

	if (err) {
		err->code = code;
		va_start(args, format);
		vsnprintf(err->text, sizeof(err->text), format, args);
		va_end(args);
	}
	return -code;
}
