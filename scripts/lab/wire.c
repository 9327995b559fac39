// SPDX-License-Identifier: GPL-2.0
/*
 * PID 1's channel to the supervisor: frames through port 0xE9. It owns the I/O permission, which no
 * child may inherit: a task with it pays for its I/O bitmap at every context switch.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <unistd.h>

#include "init.h"
#include "port.h"

void wire_open(void)
{
	if (iopl(3))
		_exit(1);
}

void wire_drop(void)
{
	iopl(0);
}

void wire_send(enum frame_type type, const void *data, size_t bytes)
{
	do {
		size_t part = bytes < FRAME_MAX ? bytes : FRAME_MAX;
		unsigned char header[FRAME_HEADER] = { FRAME_START, type, part, part >> 8 };

		out_bytes(FRAME_PORT, header, sizeof(header));
		out_bytes(FRAME_PORT, data, part);
		data = (const char *)data + part;
		bytes -= part;
	} while (bytes);
}

void wire_send_u64(enum frame_type type, unsigned long long value)
{
	wire_send(type, &value, sizeof(value));
}

void wire_poweroff(void)
{
	static const char word[] = POWEROFF_WORD;
	size_t i;

	for (i = 0; i < sizeof(word) - 1; i++)
		out8(POWEROFF_PORT, word[i]);
	for (;;)
		pause();
}

void fail(const char *format, ...)
{
	char text[512];
	va_list args;
	int bytes;

	va_start(args, format);
	bytes = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (bytes >= (int)sizeof(text))
		bytes = sizeof(text) - 1;
	wire_send(FRAME_FAIL, text, bytes);
	wire_poweroff();
}
