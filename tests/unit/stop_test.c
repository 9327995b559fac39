// SPDX-License-Identifier: GPL-2.0
/* build: tools/stop.c tools/command.c */
/*
 * How commands end that go on until a signal: whatever they are at, and not by one that is ignored.
 * Each is a process of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../tools/command.h"
#include "../../tools/stop.h"
#include "tap.h"

#define DELAY_US	100000
#define TEXT_BYTES	100000	/* more than a pipe holds */

/* The exit code of one that does this, and gets the signals meanwhile. */
static int code_of(int (*fn)(void), int signal, int other)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		exit(fn());
	usleep(DELAY_US);
	kill(pid, signal);
	if (other) {
		usleep(DELAY_US);
		kill(pid, other);
	}
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		return WEXITSTATUS(status);
	tap_diag("status %#x", status);
	return -1;
}

static int wait_long(void)
{
	stop_on_signals();
	return stop_poll(NULL, 0, -1) == -1 && errno == EINTR ? stop_signal() : 99;
}

static int wait_after_signal(void)
{
	stop_on_signals();
	usleep(2 * DELAY_US);
	return wait_long();
}

static int wait_by_nohup(void)
{
	signal(SIGHUP, SIG_IGN);
	return wait_long();
}

static bool test_wait(void)
{
	return code_of(wait_long, SIGINT, 0) == SIGINT &&
	       code_of(wait_long, SIGTERM, 0) == SIGTERM &&
	       code_of(wait_long, SIGHUP, 0) == SIGHUP &&
	       code_of(wait_after_signal, SIGINT, 0) == SIGINT;
}

static bool test_ignored(void)
{
	return code_of(wait_by_nohup, SIGHUP, SIGTERM) == SIGTERM;
}

/* Into a pipe that nobody reads: full from the beginning, or after a part. */
static int write_much(bool full)
{
	char byte = 0;
	int ends[2];

	if (pipe(ends))
		return 99;
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	while (full && write(ends[1], &byte, 1) == 1)
		;
	fcntl(ends[1], F_SETFL, 0);
	dup2(ends[1], STDOUT_FILENO);
	stop_on_signals();
	for (int i = 0; i < TEXT_BYTES && !ferror(stdout); i++)
		putchar('x');
	return stop_finish_output(stop_signal() == SIGINT ? EXIT_OK : 99);
}

static int write_to_full(void)
{
	return write_much(true);
}

static int write_to_empty(void)
{
	return write_much(false);
}

static bool test_write(void)
{
	return code_of(write_to_full, SIGINT, 0) == EXIT_OK &&
	       code_of(write_to_empty, SIGINT, 0) == EXIT_OK;
}

/* A disk that is full is one, signal or not. */
static int write_to_disk(void)
{
	if (!freopen("/dev/full", "w", stdout) || !freopen("/dev/null", "w", stderr))
		return 99;
	stop_on_signals();
	stop_poll(NULL, 0, -1);
	putchar('x');
	return stop_finish_output(EXIT_OK);
}

static bool test_disk(void)
{
	return code_of(write_to_disk, SIGINT, 0) == EXIT_HOST;
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "a wait ends, also by a signal from before it", test_wait },
		{ "what is ignored stays so", test_ignored },
		{ "a write that waits ends, and is no failure", test_write },
		{ "one that fails is", test_disk },
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
