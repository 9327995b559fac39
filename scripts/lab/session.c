// SPDX-License-Identifier: GPL-2.0
/*
 * PID 1's main loop: starts the command, relays its output and the kernel log to the supervisor
 * (and keys from the second serial port to it, when interactive), reaps orphans, and ends when the
 * command does. Everything is relayed by this one process: see frame.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "init.h"
#include "port.h"

#define COM2_DATA	0x2f8
#define COM2_DIVISOR	0x2f8
#define COM2_FIFO	0x2fa
#define COM2_LINE	0x2fb
#define COM2_LINE_DLAB	0x80
#define COM2_LINE_8N1	0x03
#define COM2_MODEM	0x2fc
#define COM2_STATUS	0x2fd
#define COM2_READY	0x01
#define KEY_POLL_MS	10
#define KEY_SPINS	2000	/* about two characters' time on the line */

static int kmsg_fd = -1;

/* /dev/kmsg writes what is not printable, and the backslash, as \xNN. */
static size_t log_unescape(char *text, size_t length)
{
	size_t from = 0, to = 0;

	while (from < length) {
		unsigned int code;

		if (length - from >= 4 && sscanf(text + from, "\\x%2x", &code) == 1) {
			text[to++] = code;
			from += 4;
		} else {
			text[to++] = text[from++];
		}
	}
	return to;
}

/* One record, "priority,sequence,microseconds,flags;text\n key=value...", as dmesg prints it. */
static void log_send(char *record, size_t bytes)
{
	unsigned long long usec;
	char line[8400];
	char *text, *end;
	int length;

	record[bytes] = 0;
	text = strchr(record, ';');
	if (!text || sscanf(record, "%*u,%*u,%llu", &usec) != 1)
		return;
	text++;
	end = strchr(text, '\n');
	length = log_unescape(text, end ? (size_t)(end - text) : strlen(text));
	length = snprintf(line, sizeof(line), "[%5llu.%06llu] %.*s\n", usec / 1000000,
			  usec % 1000000, length, text);
	wire_send(FRAME_LOG, line, length);
}

/* Relays what the kernel log holds so far. */
void session_log(void)
{
	char record[8192 + 1];

	if (kmsg_fd < 0)
		kmsg_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kmsg_fd < 0)
		fail("/dev/kmsg: %s", strerror(errno));

	for (;;) {
		ssize_t bytes = read(kmsg_fd, record, sizeof(record) - 1);

		if (bytes > 0)
			log_send(record, bytes);
		else if (bytes < 0 && errno == EPIPE)	/* overwritten: go on with the oldest */
			continue;
		else
			return;
	}
}

/* False at end of file, or when a pseudo-terminal has lost its last user. */
static bool output_drain(int fd)
{
	static char buffer[FRAME_MAX];

	for (;;) {
		ssize_t bytes = read(fd, buffer, sizeof(buffer));

		if (bytes > 0)
			wire_send(FRAME_OUTPUT, buffer, bytes);
		else if (bytes < 0 && errno == EINTR)
			continue;
		else
			return bytes < 0 && errno == EAGAIN;
	}
}

/* The emulated port starts to listen when its speed is changed. */
static void keys_open(void)
{
	int divisor;

	for (divisor = 2; divisor; divisor--) {
		out8(COM2_LINE, COM2_LINE_DLAB | COM2_LINE_8N1);
		out8(COM2_DIVISOR, divisor);
		out8(COM2_DIVISOR + 1, 0);
		out8(COM2_LINE, COM2_LINE_8N1);
	}
	out8(COM2_FIFO, 0);
	out8(COM2_MODEM, 3);
}

/*
 * No driver: without its FIFO the emulated port hands over one character at a time and loses none,
 * and nothing in the kernel has to be configured for it.
 */
static void keys_relay(int pty)
{
	int spins = 0;

	while (spins++ < KEY_SPINS) {
		char key;

		if (!(in8(COM2_STATUS) & COM2_READY))
			continue;
		key = in8(COM2_DATA);
		if (write(pty, &key, 1) < 0)
			return;
		spins = 0;
	}
}

static void child_exec(char **argv)
{
	sigset_t none;

	wire_drop();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (chdir("/root"))
		_exit(126);
	execvp(argv[0], argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static pid_t start_piped(char **argv, int *fd)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		fail("pipe: %s", strerror(errno));
	pid = fork();
	if (!pid) {
		setsid();
		dup2(open("/dev/null", O_RDONLY), 0);
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		child_exec(argv);
	}
	close(ends[1]);
	*fd = ends[0];
	return pid;
}

static pid_t start_on_pty(char **argv, const char *window, int *fd)
{
	struct winsize size = { 24, 80, 0, 0 };
	int pty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	int slave;
	pid_t pid;

	if (pty < 0 || grantpt(pty) || unlockpt(pty))
		fail("pseudo-terminal: %s", strerror(errno));
	slave = open(ptsname(pty), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		fail("pseudo-terminal: %s", strerror(errno));
	if (sscanf(window, "%hu %hu", &size.ws_row, &size.ws_col) != 2)
		fail("no window size in /lab/interactive");
	ioctl(slave, TIOCSWINSZ, &size);
	pid = fork();
	if (!pid) {
		setsid();
		ioctl(slave, TIOCSCTTY, 0);
		dup2(slave, 0);
		dup2(slave, 1);
		dup2(slave, 2);
		child_exec(argv);
	}
	close(slave);
	*fd = pty;
	return pid;
}

/* Returns true once @pid is gone, and its exit code as a shell gives it. */
static bool children_reap(pid_t pid, int *code)
{
	bool gone = false;
	pid_t child;
	int status;

	while ((child = waitpid(-1, &status, WNOHANG)) > 0) {
		if (child != pid)
			continue;
		gone = true;
		*code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	}
	return gone;
}

int session_run(char **argv, const char *window)
{
	struct pollfd fds[3];
	int output, code = 0;
	sigset_t child;
	pid_t pid;

	session_log();
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	fds[0] = (struct pollfd){ signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK), POLLIN, 0 };
	fds[1] = (struct pollfd){ kmsg_fd, POLLIN, 0 };

	if (window)
		keys_open();
	wire_send_u64(FRAME_COMMAND, read_tsc());
	pid = window ? start_on_pty(argv, window, &output) : start_piped(argv, &output);
	if (pid < 0)
		fail("fork: %s", strerror(errno));
	fcntl(output, F_SETFL, fcntl(output, F_GETFL) | O_NONBLOCK);
	fds[2] = (struct pollfd){ output, POLLIN, 0 };

	for (;;) {
		poll(fds, 3, window ? KEY_POLL_MS : -1);
		if (fds[2].revents && !output_drain(output) && !window)
			fds[2].fd = -1;
		if (fds[1].revents)
			session_log();
		if (window)
			keys_relay(output);
		if (fds[0].revents) {
			struct signalfd_siginfo info;

			while (read(fds[0].fd, &info, sizeof(info)) > 0)
				;
			if (children_reap(pid, &code))
				break;
		}
	}
	output_drain(output);
	session_log();
	return code;
}
