// SPDX-License-Identifier: GPL-2.0
/*
 * The lab's PID 1: reports that the kernel is up, furnishes the machine, inserts the module, runs
 * the command, reports its exit code and ends the emulator.
 * The files it obeys are in /lab, written by scripts/lab/run:
 *   argv         the command, NUL-separated
 *   module.ko    the module to insert, if any; module-args its parameters
 *   interactive  present if the command gets a terminal: its rows and columns
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"
#include "port.h"

#define ARGS_MAX	1024

static void module_insert(void)
{
	char *args = file_read("/lab/module-args", NULL);
	int fd = open("/lab/module.ko", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (syscall(SYS_finit_module, fd, args ? args : "", 0)) {
		int error = errno;

		session_log();
		fail("the module cannot be inserted (parameters: %s): %s", args ? args : "none",
		     strerror(error));
	}
	close(fd);
	free(args);
}

static char **command_read(void)
{
	static char *argv[ARGS_MAX + 1];
	size_t bytes, at = 0;
	char *text = file_read("/lab/argv", &bytes);
	int i;

	if (!text)
		fail("the initramfs has no command");
	for (i = 0; i < ARGS_MAX && at < bytes; i++) {
		argv[i] = text + at;
		at += strlen(argv[i]) + 1;
	}
	if (at < bytes)
		fail("the command has more than %d words", ARGS_MAX);
	return argv;
}

int main(void)
{
	unsigned long long start = read_tsc();
	char **argv;
	int code;

	wire_open();
	wire_send_u64(FRAME_INIT, start);
	umask(022);
	mount_all();
	setenv("PATH", "/root:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("USER", "root", 1);
	setenv("TERM", "linux", 0);
	setenv("VITRINE_LAB", "1", 1);
	module_insert();
	argv = command_read();
	code = session_run(argv, file_read("/lab/interactive", NULL));
	wire_send_u64(FRAME_EXIT, code);
	wire_poweroff();
}
