// SPDX-License-Identifier: GPL-2.0
/*
 * "vitrine top" on a pseudo-terminal: what it shows of a guest that runs, its keys, and how it
 * leaves the terminal. Words without spaces are looked for: curses may jump over those.
 *
 * build: -lutil
 */
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include "kselftest_harness.h"

#define PATIENCE_MS	10000

FIXTURE(top) {
	int terminal;
	pid_t pid, guest;
	struct termios found;
	char seen[65536];
	size_t count, from;	/* read, and looked through */
};

static pid_t start_guest(void)
{
	int fd = memfd_create("guest", 0);
	char path[64];
	pid_t pid;

	/* jmp . */
	if (fd < 0 || write(fd, "\xeb\xfe", 2) != 2)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!freopen("/dev/null", "w", stderr))
			_exit(127);
		execlp("vitrine", "vitrine", "run", "--flat", path, "--no-stats", NULL);
		_exit(127);
	}
	close(fd);
	return pid;
}

static bool start_top(FIXTURE_DATA(top) *self, unsigned short columns)
{
	struct winsize size = { .ws_row = 30, .ws_col = columns };
	int other;

	self->count = 0;
	self->from = 0;
	if (openpty(&self->terminal, &other, NULL, NULL, &size))
		return false;
	tcgetattr(self->terminal, &self->found);
	self->pid = fork();
	if (!self->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(self->terminal);
		login_tty(other);
		setenv("TERM", "xterm", 1);
		execlp("vitrine", "vitrine", "top", "--interval", "0.2", NULL);
		_exit(127);
	}
	close(other);
	return self->pid > 0;
}

static void stop_top(FIXTURE_DATA(top) *self)
{
	kill(self->pid, SIGKILL);
	waitpid(self->pid, NULL, 0);
	close(self->terminal);
}

FIXTURE_SETUP(top)
{
	self->guest = start_guest();
	ASSERT_LT(0, self->guest);
	ASSERT_TRUE(start_top(self, 110));
}

FIXTURE_TEARDOWN(top)
{
	stop_top(self);
	kill(self->guest, SIGKILL);
	waitpid(self->guest, NULL, 0);
}

/* Reads what the terminal shows until @text comes, after what was found before. */
static bool expect(FIXTURE_DATA(top) *self, const char *text)
{
	struct pollfd readable = { .fd = self->terminal, .events = POLLIN };
	const char *found;
	ssize_t count;

	for (;;) {
		self->seen[self->count] = 0;
		found = strstr(self->seen + self->from, text);
		if (found) {
			self->from = (size_t)(found - self->seen) + strlen(text);
			return true;
		}
		if (self->count == sizeof(self->seen) - 1 || poll(&readable, 1, PATIENCE_MS) <= 0)
			return false;
		count = read(self->terminal, self->seen + self->count,
			     sizeof(self->seen) - 1 - self->count);
		if (count <= 0)
			return false;
		self->count += (size_t)count;
		if (memchr(self->seen, 0, self->count))
			return false;
	}
}

static bool type(FIXTURE_DATA(top) *self, const char *keys)
{
	return write(self->terminal, keys, strlen(keys)) == (ssize_t)strlen(keys);
}

TEST_F(top, shows_a_guest_and_obeys)
{
	struct termios now;
	int status;

	EXPECT_TRUE(expect(self, "EXITS/s"));
	EXPECT_TRUE(expect(self, "running"));
	EXPECT_TRUE(expect(self, "PREEMPTION_TIMER"));
	EXPECT_TRUE(type(self, "t"));
	EXPECT_TRUE(expect(self, "`-"));
	EXPECT_TRUE(type(self, "\\zzz\n"));
	EXPECT_TRUE(expect(self, "such"));
	EXPECT_TRUE(type(self, "\\\n"));
	EXPECT_TRUE(expect(self, "running"));
	EXPECT_TRUE(type(self, "M"));
	EXPECT_TRUE(expect(self, "memory"));
	EXPECT_TRUE(type(self, "?"));
	EXPECT_TRUE(expect(self, "htop"));
	EXPECT_TRUE(type(self, "x"));
	EXPECT_TRUE(expect(self, "EXITS/s"));
	EXPECT_TRUE(type(self, "q"));
	/* Gone is the alternate screen. */
	EXPECT_TRUE(expect(self, "\033[?1049l"));
	EXPECT_EQ(self->pid, waitpid(self->pid, &status, 0));
	EXPECT_EQ(0, status);
	tcgetattr(self->terminal, &now);
	EXPECT_EQ(self->found.c_lflag, now.c_lflag);
	EXPECT_EQ(self->found.c_iflag, now.c_iflag);
}

/* Where columns do not fit they are left out, and no line goes on in the next. */
TEST_F(top, narrow_screen)
{
	EXPECT_TRUE(expect(self, "MEMORY"));
	stop_top(self);
	ASSERT_TRUE(start_top(self, 80));
	EXPECT_TRUE(expect(self, "HALT%"));
	EXPECT_TRUE(type(self, "t"));
	EXPECT_TRUE(expect(self, "`-"));
	EXPECT_TRUE(type(self, "?"));
	EXPECT_TRUE(expect(self, "htop"));
	EXPECT_EQ(NULL, strstr(self->seen, "MEM"));
	EXPECT_EQ(NULL, strstr(self->seen, "256M"));
}

TEST_F(top, sees_the_guest_go)
{
	EXPECT_TRUE(expect(self, "running"));
	kill(self->guest, SIGKILL);
	EXPECT_TRUE(expect(self, "may"));
	EXPECT_TRUE(type(self, "q"));
}

TEST(wants_a_terminal)
{
	EXPECT_EQ(1, WEXITSTATUS(system("vitrine top </dev/null >/dev/null 2>&1")));
	EXPECT_EQ(2, WEXITSTATUS(system("vitrine top --interval 0 2>/dev/null")));
	EXPECT_EQ(0, WEXITSTATUS(system("vitrine top --help | grep -q htop")));
}

TEST_HARNESS_MAIN
