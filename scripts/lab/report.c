// SPDX-License-Identifier: GPL-2.0
/*
 * The supervisor's mouth: messages, the log files, and at the end the reason with the log that
 * shows it, and the exit code.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "supervise.h"

#define TAIL_BYTES	4000
#define TAIL_SHORT_BYTES 800

void say(const char *format, ...)
{
	va_list args;

	fputs("lab: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

double elapsed(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - lab.start.tv_sec + (now.tv_nsec - lab.start.tv_nsec) / 1e9;
}

FILE *log_open(const char *name)
{
	FILE *file;
	char *path;

	if (asprintf(&path, "%s/%s", lab.dir, name) < 0)
		exit(EXIT_LAB);
	file = fopen(path, "we");
	if (!file) {
		say("%s: %s", path, strerror(errno));
		exit(EXIT_LAB);
	}
	free(path);
	return file;
}

void report_stage(const char *name, unsigned long long ticks)
{
	static FILE *file;

	if (!file)
		file = log_open("ticks");
	fprintf(file, "%s %llu ticks %.1f seconds\n", name, ticks, elapsed());
	fflush(file);
}

static void tail(const char *name, long length)
{
	char buffer[TAIL_BYTES + 1], *start = buffer;
	char *path;
	size_t bytes;
	FILE *file;

	if (asprintf(&path, "%s/%s", lab.dir, name) < 0)
		return;
	file = fopen(path, "re");
	if (file) {
		bool cut = !fseek(file, -length, SEEK_END);

		bytes = fread(buffer, 1, TAIL_BYTES, file);
		buffer[bytes] = 0;
		if (cut && strchr(buffer, '\n'))
			start = strchr(buffer, '\n') + 1;
		if (*start)
			fprintf(stderr, "--- end of %s\n%s%s", path, start,
				buffer[bytes - 1] == '\n' ? "" : "\n");
		fclose(file);
	}
	free(path);
}

int report_end(void)
{
	if (caught) {
		say("interrupted");
		return 128 + caught;
	}
	if (lab.code < 0) {
		lab.code = EXIT_LAB;
		snprintf(lab.failure, sizeof(lab.failure), "the emulator ended by itself");
	}
	if ((lab.want_reset || lab.want_kexec) && lab.commanded && !lab.failure[0]) {
		say("the command ended with %d, but no %s came", lab.code,
		    lab.want_reset ? "reset" : "other kernel");
		return lab.code ? lab.code : 1;
	}
	if (lab.failure[0])
		say("%s%s", lab.code == EXIT_LAB ? "failed: " : "", lab.failure);
	if (lab.code == EXIT_LAB && lab.failure[0]) {
		fflush(lab.log);
		fflush(lab.noise);
		if (!lab.roms) {
			tail("bochs.err", TAIL_SHORT_BYTES);
			tail("bochs.log", TAIL_SHORT_BYTES);
		} else if (lab.told) {
			tail("kernel.log", TAIL_BYTES);
		} else {
			/* Nobody relayed what the kernel said last, but the console has it. */
			tail("console.log", TAIL_BYTES);
		}
	}
	if (lab.budget_ticks && lab.init_ticks > lab.budget_ticks) {
		say("PID 1 started after %llu ticks, over the budget of %llu", lab.init_ticks,
		    lab.budget_ticks);
		if (!lab.code)
			lab.code = 1;
	}
	return lab.code;
}
