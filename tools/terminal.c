// SPDX-License-Identifier: GPL-2.0
/*
 * One terminal per process, hence the one piece of static state of this program: it must be
 * reachable from atexit() and from a handler of fatal signals.
 */
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "command.h"
#include "terminal.h"

static struct {
	int fd;
	struct termios found;
	int raw;	/* by __atomic_*: read in signal handlers */
	bool hooked;
} terminal;

/* Of a terminal that is not our controlling one there is no foreground to be in. */
static bool in_background(int fd)
{
	pid_t foreground = tcgetpgrp(fd);

	return foreground >= 0 && foreground != getpgrp();
}

void terminal_restore(void)
{
	if (!__atomic_exchange_n(&terminal.raw, 0, __ATOMIC_ACQ_REL))
		return;
	/* Who was put into the foreground since has set it up for itself. */
	if (!in_background(terminal.fd))
		tcsetattr(terminal.fd, TCSANOW, &terminal.found);
}

bool terminal_is_raw(void)
{
	return __atomic_load_n(&terminal.raw, __ATOMIC_ACQUIRE);
}

static void on_fatal_signal(int signo)
{
	terminal_restore();
	/* The handler was one-shot: this time the signal does what it always does. */
	raise(signo);
}

static void hook(void)
{
	static const int fatal[] = {
		SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGALRM, SIGUSR2, SIGXCPU,
	};
	struct sigaction action = { .sa_handler = on_fatal_signal, .sa_flags = SA_RESETHAND };
	struct sigaction found;
	unsigned int i;

	if (terminal.hooked)
		return;
	terminal.hooked = true;
	atexit(terminal_restore);
	for (i = 0; i < ARRAY_SIZE(fatal); i++)
		if (!sigaction(fatal[i], NULL, &found) && found.sa_handler != SIG_IGN)
			sigaction(fatal[i], &action, NULL);
}

bool terminal_raw(int fd)
{
	struct termios raw;

	if (!isatty(fd))
		return true;
	if (in_background(fd))
		return false;
	/* Raw by our own account it may be no more: a shell that stopped us set it otherwise. */
	if (!terminal_is_raw() && tcgetattr(fd, &terminal.found))
		return true;
	hook();
	raw = terminal.found;
	raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL |
				   IXON);
	raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	raw.c_cflag &= ~(tcflag_t)(CSIZE | PARENB);
	raw.c_cflag |= CS8;
	/* Output stays processed: our own lines share the screen with the guest's. */
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	terminal.fd = fd;
	__atomic_store_n(&terminal.raw, 1, __ATOMIC_RELEASE);
	if (tcsetattr(fd, TCSANOW, &raw))
		__atomic_store_n(&terminal.raw, 0, __ATOMIC_RELEASE);
	return true;
}
