// SPDX-License-Identifier: GPL-2.0
/*
 * "vitrine run" on a terminal: raw while the guest runs, as it was found afterwards, however the
 * run ends; and the escape keys. The terminal is a pseudo-terminal, this program its user.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#include "kselftest.h"

#define PATIENCE_MS 10000

/* mov dx, 0x3fd; in al, dx; test al, 1; jz; mov dx, 0x3f8; in al, dx; out dx, al; jmp */
static const unsigned char echo_guest[] = {
	0xfb, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xfb, 0xba, 0xf8, 0x03, 0xec, 0xee,
	0xeb, 0xf1,
};

struct session {
	int terminal;
	pid_t pid;
	struct termios found;
	char seen[16384];
	size_t count;
};

static int guest_fd;

static bool start(struct session *session)
{
	char path[64];
	int other;

	memset(session, 0, sizeof(*session));
	if (openpty(&session->terminal, &other, NULL, NULL, NULL))
		return false;
	/* Held by the guest's monitor too, closing it here would hang up nothing. */
	fcntl(session->terminal, F_SETFD, FD_CLOEXEC);
	tcgetattr(session->terminal, &session->found);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", guest_fd);
	session->pid = fork();
	if (!session->pid) {
		/* A shell's background ignores these, and what is ignored stays so. */
		signal(SIGINT, SIG_DFL);
		signal(SIGQUIT, SIG_DFL);
		login_tty(other);
		execlp("vitrine", "vitrine", "run", "--flat", path, NULL);
		_exit(127);
	}
	close(other);
	return session->pid > 0;
}

/* Reads what the terminal shows until @text is there. */
static bool expect(struct session *session, const char *text)
{
	struct pollfd readable = { .fd = session->terminal, .events = POLLIN };
	ssize_t count;

	while (!strstr(session->seen, text)) {
		if (session->count == sizeof(session->seen) - 1 ||
		    poll(&readable, 1, PATIENCE_MS) <= 0)
			return false;
		count = read(session->terminal, session->seen + session->count,
			     sizeof(session->seen) - 1 - session->count);
		if (count <= 0)
			return false;
		session->count += (size_t)count;
		session->seen[session->count] = 0;
	}
	return true;
}

static void type(struct session *session, const char *keys)
{
	if (write(session->terminal, keys, strlen(keys)) < 0)
		ksft_print_msg("typing failed: %s\n", strerror(errno));
}

static bool is_raw(const struct session *session)
{
	struct termios now;

	return !tcgetattr(session->terminal, &now) && !(now.c_lflag & (ICANON | ECHO | ISIG));
}

static bool is_as_found(const struct session *session)
{
	struct termios now;

	return !tcgetattr(session->terminal, &now) && now.c_lflag == session->found.c_lflag &&
	       now.c_iflag == session->found.c_iflag && now.c_oflag == session->found.c_oflag;
}

/* Waits for what the caller says to become true. */
static bool await(bool (*what)(const struct session *session), const struct session *session)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	unsigned int i;

	for (i = 0; i < PATIENCE_MS / 20; i++) {
		if (what(session))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

static bool is_stopped(const struct session *session)
{
	int status;

	return waitpid(session->pid, &status, WNOHANG | WUNTRACED) == session->pid &&
	       WIFSTOPPED(status);
}

/* The run's exit code, or -1; the terminal is read on, or the last lines would block it. */
static int finish(struct session *session)
{
	struct pollfd readable = { .fd = session->terminal, .events = POLLIN };
	unsigned int waited_ms;
	char bytes[256];
	int status;

	for (waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += 20) {
		if (waitpid(session->pid, &status, WNOHANG) == session->pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		if (poll(&readable, 1, 20) > 0 &&
		    read(session->terminal, bytes, sizeof(bytes)) < 0)
			usleep(20000);
	}
	kill(session->pid, SIGKILL);
	waitpid(session->pid, &status, 0);
	return -1;
}

static void check(bool ok, const char *name)
{
	if (ok)
		ksft_test_result_pass("%s\n", name);
	else
		ksft_test_result_fail("%s\n", name);
}

static void test_keys(void)
{
	struct session session;
	bool ok;

	ok = start(&session) && await(is_raw, &session);
	check(ok, "the terminal is raw while the guest runs");
	type(&session, "typed\003");
	check(expect(&session, "typed\003"), "keys reach the guest, Ctrl-C included");
	type(&session, "\001a.");
	check(expect(&session, "\001."), "Ctrl-A a is Ctrl-A");
	type(&session, "\001h");
	check(expect(&session, "quit"), "Ctrl-A h lists the keys");
	type(&session, "\001r");
	check(expect(&session, "idtr base"), "Ctrl-A r shows the registers");
	type(&session, "\001s");
	check(expect(&session, "exits to user space"), "Ctrl-A s counts the exits");
	type(&session, "again");
	check(expect(&session, "again"), "and the guest goes on");
	type(&session, "\001x");
	check(finish(&session) == 0, "Ctrl-A x quits");
	check(is_as_found(&session), "and the terminal is as it was");
	close(session.terminal);
}

static void test_signal(int signo, const char *name)
{
	struct session session;
	bool ok;

	ok = start(&session) && await(is_raw, &session);
	kill(session.pid, signo);
	ok &= finish(&session) == 128 + signo;
	ok &= is_as_found(&session);
	check(ok, name);
	close(session.terminal);
}

static void test_stop(void)
{
	struct session session;
	bool ok;

	ok = start(&session) && await(is_raw, &session);
	kill(session.pid, SIGTSTP);
	ok &= await(is_stopped, &session) && is_as_found(&session);
	check(ok, "SIGTSTP stops with the terminal as it was");
	kill(session.pid, SIGCONT);
	ok = await(is_raw, &session);
	type(&session, "back");
	ok &= expect(&session, "back");
	check(ok, "SIGCONT goes on, raw again");
	kill(session.pid, SIGTERM);
	check(finish(&session) == 128 + SIGTERM && is_as_found(&session),
	      "and then SIGTERM puts the terminal back");
	close(session.terminal);
}

static void test_hangup(void)
{
	struct session session;
	int code;
	bool ok;

	ok = start(&session) && await(is_raw, &session);
	close(session.terminal);
	code = finish(&session);
	if (code != 128 + SIGHUP)
		ksft_print_msg("exit code %d\n", code);
	check(ok && code == 128 + SIGHUP, "a terminal that goes away ends the run");
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	ksft_print_header();
	ksft_set_plan(16);
	guest_fd = memfd_create("guest", 0);
	if (guest_fd < 0 ||
	    write(guest_fd, echo_guest, sizeof(echo_guest)) != sizeof(echo_guest))
		ksft_exit_fail_msg("cannot write the guest: %s\n", strerror(errno));
	test_keys();
	test_signal(SIGTERM, "SIGTERM puts the terminal back");
	test_signal(SIGINT, "SIGINT puts the terminal back");
	test_signal(SIGQUIT, "SIGQUIT puts the terminal back");
	test_stop();
	test_hangup();
	ksft_finished();
}
