// SPDX-License-Identifier: GPL-2.0
/* Signals that end a command which goes on until then: a flag, and what waits comes back. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "stop.h"

#define AGAIN_S	1

static const int ending[] = { SIGINT, SIGTERM, SIGHUP };
static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
	if (!stopped)
		stopped = signal;
	/* A write that has done a part does not fail, and the next waits as if nothing were. */
	alarm(AGAIN_S);
}

void stop_on_signals(void)
{
	/* Without SA_RESTART: a write to a pipe that nobody reads ends. */
	struct sigaction action = { .sa_handler = on_signal }, found;

	for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
		if (!sigaction(ending[i], NULL, &found) && found.sa_handler != SIG_IGN)
			sigaction(ending[i], &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

int stop_signal(void)
{
	return stopped;
}

int stop_poll(struct pollfd *fds, nfds_t nr, int timeout_ms)
{
	struct timespec timeout = {
		.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L,
	};
	sigset_t blocked, before;
	int ret = -1, error = EINTR;

	sigemptyset(&blocked);
	for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
		sigaddset(&blocked, ending[i]);
	/* One that comes between the look and the wait ends the wait. */
	sigprocmask(SIG_BLOCK, &blocked, &before);
	if (!stopped) {
		ret = ppoll(fds, nr, timeout_ms < 0 ? NULL : &timeout, &before);
		error = errno;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return ret;
}

int stop_finish_output(int code)
{
	if (!stopped || !ferror(stdout))
		return finish_output(code);
	/* Or the end of the program waits for it. */
	__fpurge(stdout);
	return code;
}
