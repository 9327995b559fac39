// SPDX-License-Identifier: GPL-2.0
/* build: tools/top.c tools/top_screen.c tools/top_table.c tools/top_history.c tools/vms.c */
/* build: tools/stat_sample.c tools/command.c tools/lib/watch_names.c */
/* build: -lncursesw -ltinfo -lutil */
/*
 * "vitrine top" without VMs, on a pseudo-terminal: how it leaves that, whatever ends it. The module
 * is this program.
 */
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include "../../tools/command.h"
#include "../../tools/vms.h"
#include "tap.h"

#define PATIENCE_MS	5000
#define LEAVES		"\033[?1049l"	/* the alternate screen */

struct vitrine_watch *vitrine_watch_open(struct vitrine_error *err)
{
	static char watch;

	(void)err;
	return (struct vitrine_watch *)&watch;
}

void vitrine_watch_close(struct vitrine_watch *watch)
{
	(void)watch;
}

int vitrine_watch_vms(struct vitrine_watch *watch, uint64_t vm_id,
		      void (*fn)(const struct vitrine_vm_info *vm, void *data), void *data,
		      struct vitrine_error *err)
{
	(void)watch;
	(void)vm_id;
	(void)fn;
	(void)data;
	(void)err;
	return 0;
}

int vitrine_watch_vcpus(struct vitrine_watch *watch, uint64_t vm_id,
			void (*fn)(const struct vitrine_vcpu_info *vcpu, void *data), void *data,
			struct vitrine_error *err)
{
	(void)watch;
	(void)vm_id;
	(void)fn;
	(void)data;
	(void)err;
	return 0;
}

int vitrine_watch_counters(struct vitrine_watch *watch, uint64_t vm_id,
			   void (*fn)(const struct vitrine_counters *counters, void *data),
			   void *data, struct vitrine_error *err)
{
	(void)watch;
	(void)vm_id;
	(void)fn;
	(void)data;
	(void)err;
	return 0;
}

int vitrine_watch_counter(const struct vitrine_watch *watch, const char *name)
{
	(void)watch;
	(void)name;
	return -1;
}

uint32_t vitrine_watch_tsc_khz(const struct vitrine_watch *watch)
{
	(void)watch;
	return 1000;
}

struct vitrine *vitrine_open(const char *path, struct vitrine_error *err)
{
	(void)path;
	(void)err;
	return NULL;
}

void vitrine_close(struct vitrine *dev)
{
	(void)dev;
}

struct vitrine_monitor *vitrine_monitor_attach(struct vitrine *dev, uint64_t vm_id, uint32_t flags,
					       struct vitrine_error *err)
{
	(void)dev;
	(void)vm_id;
	(void)flags;
	(void)err;
	return NULL;
}

struct session {
	int terminal;
	pid_t pid;
	struct termios found;
	char seen[65536];
	size_t count;
};

/* @ignored: a signal, or 0 */
static bool start(struct session *session, int ignored)
{
	struct winsize size = { .ws_row = 30, .ws_col = 80 };
	int other;

	session->count = 0;
	if (openpty(&session->terminal, &other, NULL, NULL, &size))
		return false;
	tcgetattr(session->terminal, &session->found);
	fflush(stdout);
	session->pid = fork();
	if (!session->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(session->terminal);
		login_tty(other);
		signal(SIGINT, SIG_DFL);
		signal(SIGQUIT, SIG_DFL);
		if (ignored)
			signal(ignored, SIG_IGN);
		setenv("TERM", "xterm", 1);
		_exit(command_top(3, (char *[]) { "top", "--interval", "60", NULL }));
	}
	close(other);
	return true;
}

static bool expect(struct session *session, const char *text)
{
	struct pollfd readable = { .fd = session->terminal, .events = POLLIN };
	ssize_t count;

	for (;;) {
		session->seen[session->count] = 0;
		if (strstr(session->seen, text))
			return true;
		if (session->count == sizeof(session->seen) - 1 ||
		    poll(&readable, 1, PATIENCE_MS) <= 0)
			return false;
		count = read(session->terminal, session->seen + session->count,
			     sizeof(session->seen) - 1 - session->count);
		if (count <= 0) {
			tap_diag("ended after '%s'", session->seen);
			return false;
		}
		session->count += (size_t)count;
	}
}

static bool type(struct session *session, const char *keys)
{
	return write(session->terminal, keys, strlen(keys)) == (ssize_t)strlen(keys);
}

/* Whether it ends with @code, the terminal being as it was. */
static bool ends(struct session *session, int code)
{
	struct termios now;
	int status;
	bool ok;

	ok = expect(session, LEAVES);
	if (!ok)
		kill(session->pid, SIGKILL);
	waitpid(session->pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
		tap_diag("wanted exit code %d, got status 0x%x", code, (unsigned int)status);
	ok &= WIFEXITED(status) && WEXITSTATUS(status) == code &&
	      !tcgetattr(session->terminal, &now) &&
	      now.c_lflag == session->found.c_lflag && now.c_iflag == session->found.c_iflag;
	close(session->terminal);
	return ok;
}

static bool test_signals(void)
{
	static const int signals[] = { SIGHUP, SIGTERM, SIGQUIT, SIGINT };
	static struct session session;
	bool ok = true;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		if (!start(&session, 0) || !expect(&session, "F10Quit"))
			return false;
		kill(session.pid, signals[i]);
		ok &= ends(&session, 128 + signals[i]);
	}
	return ok;
}

static bool test_keys(void)
{
	static struct session session;
	bool ok;

	if (!start(&session, 0) || !expect(&session, "F10Quit") || !type(&session, "\003"))
		return false;
	ok = ends(&session, 128 + SIGINT);
	if (!start(&session, 0) || !expect(&session, "F10Quit") || !type(&session, "\034"))
		return false;
	ok &= ends(&session, 128 + SIGQUIT);
	/* Keys of several bytes are still one. */
	if (!start(&session, 0) || !expect(&session, "F10Quit") ||
	    !type(&session, "\033OP") || !expect(&session, "htop") || !type(&session, "xq"))
		return false;
	return ends(&session, 0) && ok;
}

static bool test_ignored(void)
{
	static struct session session;

	if (!start(&session, SIGHUP) || !expect(&session, "F10Quit"))
		return false;
	kill(session.pid, SIGHUP);
	if (!type(&session, "?") || !expect(&session, "htop") || !type(&session, "xq"))
		return false;
	return ends(&session, 0);
}

static bool test_hangup(void)
{
	static struct session session;
	int status;

	if (!start(&session, 0) || !expect(&session, "F10Quit"))
		return false;
	close(session.terminal);
	return waitpid(session.pid, &status, 0) == session.pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 128 + SIGHUP;
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "signals end it with the terminal as it was", test_signals },
		{ "so do keys, and F1 is one of them", test_keys },
		{ "what is ignored stays so", test_ignored },
		{ "a terminal that goes away ends it", test_hangup },
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
