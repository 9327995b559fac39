// SPDX-License-Identifier: GPL-2.0
/*
 * The supervisor's ear: takes the frames (frame.h) out of what the emulator writes, passes output
 * and kernel log on as they come, and notes in struct lab what became of the machine. It ends
 * nothing itself.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "frame.h"
#include "supervise.h"

static struct parser {
	unsigned char header[FRAME_HEADER];
	unsigned int have;		/* bytes of the header seen */
	unsigned int left;		/* bytes of the frame's body to come */
	unsigned char body[8];		/* of the short frames */
	unsigned int body_bytes;
} parser;

/* A disk that is full or a reader that left ends the lab, not silently the output. */
static void output(const unsigned char *data, size_t bytes)
{
	while (bytes) {
		ssize_t done = write(STDOUT_FILENO, data, bytes);

		if (done < 0 && errno == EAGAIN) {
			poll(&(struct pollfd){ STDOUT_FILENO, POLLOUT, 0 }, 1, -1);
			continue;
		}
		if (done < 0 && errno == EINTR && !caught)
			continue;
		if (done < 0) {
			if (!caught)
				say("stdout: %s", strerror(errno));
			if (!lab.ended)
				lab.code = EXIT_LAB;
			lab.ended = true;
			return;
		}
		data += done;
		bytes -= done;
	}
}

/* The kernel is gone, wanted or not. */
static void kernel_gone(const char *how, bool wanted)
{
	if (lab.ended)
		return;
	lab.ended = true;
	lab.code = wanted ? 0 : EXIT_LAB;
	snprintf(lab.failure, sizeof(lab.failure), "%s", how);
}

/* A frame is complete; the long kinds were passed on piece by piece. */
static void frame_end(void)
{
	unsigned long long value = 0;

	memcpy(&value, parser.body, sizeof(value));
	switch (parser.header[1]) {
	case FRAME_ROM:
		report_stage("loader", value);
		if (lab.roms++)
			kernel_gone("the emulated machine was reset", lab.want_reset);
		break;
	case FRAME_KERNEL:
		report_stage("kernel", value);
		break;
	case FRAME_INIT:
		report_stage("init", value);
		if (lab.inits++)
			kernel_gone("another kernel was started", lab.want_kexec);
		else
			lab.init_ticks = value;
		break;
	case FRAME_NEXT:
		kernel_gone("another kernel was started", lab.want_kexec);
		break;
	case FRAME_COMMAND:
		report_stage("command", value);
		lab.commanded = true;
		/* Not sooner: until now Ctrl-C ends the lab. */
		if (lab.interactive)
			keys_terminal_raw();
		break;
	case FRAME_EXIT:
		if (!lab.ended)
			lab.code = value;
		lab.ended = true;
		break;
	case FRAME_FAIL:
		lab.told = lab.inits;
		if (!lab.ended)
			lab.code = EXIT_LAB;
		lab.ended = true;
		break;
	}
}

static void frame_piece(const unsigned char *data, size_t bytes)
{
	size_t room;

	switch (parser.header[1]) {
	case FRAME_OUTPUT:
		output(data, bytes);
		break;
	case FRAME_LOG:
		fwrite(data, 1, bytes, lab.log);
		fflush(lab.log);
		break;
	case FRAME_FAIL:
		room = sizeof(lab.failure) - 1 - strlen(lab.failure);
		strncat(lab.failure, (const char *)data, bytes < room ? bytes : room);
		break;
	default:
		room = sizeof(parser.body) - parser.body_bytes;
		if (bytes > room)
			bytes = room;
		memcpy(parser.body + parser.body_bytes, data, bytes);
		parser.body_bytes += bytes;
	}
}

void frames_parse(const unsigned char *data, size_t bytes)
{
	while (bytes) {
		size_t piece = 1;

		if (parser.left) {
			piece = bytes < parser.left ? bytes : parser.left;
			frame_piece(data, piece);
			parser.left -= piece;
			if (!parser.left)
				frame_end();
		} else if (!parser.have && *data != FRAME_START) {
			fputc(*data, lab.noise);
		} else {
			parser.header[parser.have++] = *data;
			if (parser.have == FRAME_HEADER) {
				parser.have = 0;
				parser.body_bytes = 0;
				memset(parser.body, 0, sizeof(parser.body));
				parser.left = parser.header[2] | parser.header[3] << 8;
				if (!parser.left)
					frame_end();
			}
		}
		data += piece;
		bytes -= piece;
	}
}
