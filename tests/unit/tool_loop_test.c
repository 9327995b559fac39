// SPDX-License-Identifier: GPL-2.0
/* build: tools/loop.c tools/terminal.c tools/output.c tools/serial.c tools/command.c -lutil */
/*
 * The event loop of "vitrine run" without a guest: a thread echoes what the serial port receives.
 * It is a job on a pseudo-terminal, and this program, the session's leader, is its shell.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "../../tools/loop.h"
#include "../../tools/report.h"
#include "../../tools/terminal.h"
#include "tap.h"

#define PATIENCE_MS	5000
#define MS		1000	/* for usleep() */

/* The machine, as far as the loop sees it. */

void machine_wake(void *data)
{
	struct machine *machine = data;
	uint64_t one = 1;

	if (write(machine->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void machine_finish(struct machine *machine, enum machine_end end, const char *text)
{
	(void)text;
	if (!machine->end)
		__atomic_store_n(&machine->end, end, __ATOMIC_RELEASE);
	machine_wake(machine);
}

enum machine_end machine_ended(struct machine *machine)
{
	return __atomic_load_n(&machine->end, __ATOMIC_ACQUIRE);
}

bool machine_pause(struct machine *machine)
{
	return machine;
}

void machine_resume(struct machine *machine)
{
	(void)machine;
}

void report_registers(struct machine *machine)
{
	(void)machine;
}

void report_exits(struct machine *machine)
{
	(void)machine;
}

static void set_irq(void *data, bool level)
{
	(void)data;
	(void)level;
}

/* What the guest is like. */
struct job {
	int in, out;
	const char *prompt;	/* written first */
	bool deaf;		/* then it reads nothing */
	bool halts;		/* or ends */
	unsigned int lazy_ms;	/* so long it does nothing */
	unsigned int limit_ms;	/* for the run */
	bool own_session;	/* away from the terminal's */
	int ignored;		/* a signal */
};

struct guest {
	struct machine *machine;
	const struct job *job;
};

static void *guest_main(void *data)
{
	struct guest *guest = data;
	struct machine *machine = guest->machine;
	const char *at;

	usleep(guest->job->lazy_ms * MS);
	for (at = guest->job->prompt; at && *at; at++)
		serial_write(&machine->serial, 0, (uint8_t)*at);
	if (guest->job->halts)
		machine_finish(machine, END_HALTED, NULL);
	while (machine_ended(machine) == END_NONE)
		if (!guest->job->deaf && serial_read(&machine->serial, 5) & 1)
			serial_write(&machine->serial, 0, serial_read(&machine->serial, 0));
		else
			usleep(MS);
	return NULL;
}

/* As run.c does it. The exit code is the end's number. */
static void run(const struct job *job)
{
	struct machine machine = { 0 };
	struct guest guest = { &machine, job };
	uint64_t deadline_ns = 0;
	pthread_t thread;
	int signal_fd;

	signal_fd = loop_signals();
	if (job->limit_ms)
		deadline_ns = loop_now_ns() + job->limit_ms * 1000000ULL;
	machine.wake_fd = eventfd(0, EFD_NONBLOCK);
	output_init(&machine.output, STDOUT_FILENO, NULL, machine_wake, &machine);
	serial_init(&machine.serial, &machine.output, set_irq, NULL);
	pthread_create(&thread, NULL, guest_main, &guest);
	loop_run(&machine, signal_fd, deadline_ns);
	pthread_join(thread, NULL);
	terminal_restore();
	loop_drain(&machine, signal_fd, deadline_ns);
	_exit(machine.end);
}

/* The terminal and the job. */

static int terminal, tty;
static struct termios found;

static pid_t start(const struct job *job)
{
	pid_t pid = fork();

	if (pid) {
		setpgid(pid, pid);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	signal(SIGTTOU, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	if (job->ignored)
		signal(job->ignored, SIG_IGN);
	if (job->own_session) {
		/* A group's leader may not. */
		setpgid(0, getppid());
		setsid();
	}
	dup2(job->in, STDIN_FILENO);
	dup2(job->out, STDOUT_FILENO);
	run(job);
	_exit(127);
}

static bool is_raw(void)
{
	struct termios now;

	return !tcgetattr(terminal, &now) && !(now.c_lflag & (ICANON | ECHO | ISIG));
}

static bool is_as_found(void)
{
	struct termios now;

	return !tcgetattr(terminal, &now) && now.c_lflag == found.c_lflag &&
	       now.c_iflag == found.c_iflag && now.c_oflag == found.c_oflag;
}

static bool await_raw(void)
{
	unsigned int i;

	for (i = 0; i < PATIENCE_MS / 10 && !is_raw(); i++)
		usleep(10 * MS);
	return is_raw();
}

static bool type(const char *keys)
{
	return write(terminal, keys, strlen(keys)) == (ssize_t)strlen(keys);
}

/* Reads up to the end or until @count bytes are there; how many they were. */
static size_t read_from(int fd, char *bytes, size_t count)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	size_t got = 0;
	ssize_t more;

	while (got < count && poll(&readable, 1, PATIENCE_MS) > 0) {
		more = read(fd, bytes + got, count - got);
		if (more <= 0)
			break;
		got += (size_t)more;
	}
	return got;
}

static bool shows(const char *text)
{
	char bytes[64];

	return read_from(terminal, bytes, strlen(text)) == strlen(text) &&
	       !memcmp(bytes, text, strlen(text));
}

/* The job's exit code, 128 + n for a signal that killed it, or -1. */
static int finish(pid_t pid)
{
	unsigned int i;
	int status;

	for (i = 0; i < PATIENCE_MS / 10; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		usleep(10 * MS);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

static bool quits(pid_t pid)
{
	return type("\001x") && finish(pid) == END_QUIT;
}

static bool stop(pid_t pid)
{
	int status;

	kill(pid, SIGSTOP);
	return waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status);
}

static pid_t start_in_foreground(struct job *job)
{
	pid_t pid;

	job->in = tty;
	job->out = tty;
	pid = start(job);
	tcsetpgrp(tty, pid);
	return pid;
}

static bool check_foreground_late(void)
{
	struct job job = { .in = tty, .out = tty };
	pid_t pid = start(&job);

	usleep(200 * MS);
	if (!is_as_found())
		return false;
	/* As a shell does, which sends no SIGCONT to what runs. */
	tcsetpgrp(tty, pid);
	return await_raw() && type("typed\003") && shows("typed\003") && quits(pid) &&
	       is_as_found();
}

static bool check_stopped(void)
{
	struct job job = { 0 };
	pid_t pid = start_in_foreground(&job);

	if (!await_raw() || !stop(pid))
		return false;
	tcsetattr(tty, TCSANOW, &found);
	kill(pid, SIGCONT);
	return await_raw() && type("typed\003") && shows("typed\003") && quits(pid) &&
	       is_as_found();
}

static bool check_stopped_to_background(void)
{
	struct termios other = found;
	struct job job = { 0 };
	pid_t pid = start_in_foreground(&job);
	struct termios now;

	if (!await_raw() || !stop(pid))
		return false;
	tcsetpgrp(tty, getpgrp());
	other.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(tty, TCSANOW, &other);
	kill(pid, SIGCONT);
	kill(pid, SIGTERM);
	return finish(pid) == END_SIGNAL && !tcgetattr(tty, &now) && now.c_lflag == other.c_lflag;
}

static bool check_another_terminal(void)
{
	struct job job = { .in = tty, .out = tty, .own_session = true };
	pid_t pid = start(&job);

	return await_raw() && type("typed") && shows("typed") && quits(pid) && is_as_found();
}

static bool check_fatal(void)
{
	static const int fatal[] = { SIGUSR2, SIGALRM, SIGXCPU };
	struct job job = { 0 };
	unsigned int i;
	pid_t pid;

	for (i = 0; i < ARRAY_SIZE(fatal); i++) {
		pid = start_in_foreground(&job);
		if (!await_raw() || kill(pid, fatal[i]) || finish(pid) != 128 + fatal[i] ||
		    !is_as_found())
			return false;
	}
	/* What is ignored stays so. */
	job.ignored = SIGUSR2;
	pid = start_in_foreground(&job);
	if (!await_raw() || kill(pid, SIGUSR2) || kill(pid, SIGXFSZ))
		return false;
	return type("typed") && shows("typed") && is_raw() && quits(pid);
}

static bool check_unread_keys(void)
{
	struct job job = { .deaf = true };
	pid_t pid = start_in_foreground(&job);
	unsigned int i;

	if (!await_raw())
		return false;
	for (i = 0; i < 100; i++)
		if (!type("fifty keys that nobody reads, and so on and so on.\r"))
			return false;
	return quits(pid);
}

/* What comes from a pipe waits for the guest, and none of it is lost. */
static bool check_piped_input(void)
{
	static char sent[9000], got[9000];
	int ends[2], out[2];
	struct job job = { .lazy_ms = 200 };
	pid_t pid, writer;
	bool ok;

	if (pipe2(ends, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		return false;
	memset(sent, 'k', sizeof(sent));
	job.in = ends[0];
	job.out = out[1];
	pid = start(&job);
	writer = fork();
	if (!writer)
		_exit(write(ends[1], sent, sizeof(sent)) != sizeof(sent));
	ok = read_from(out[0], got, sizeof(got)) == sizeof(got);
	kill(pid, SIGTERM);
	return finish(pid) == END_SIGNAL && !finish(writer) && ok;
}

/* A pipe to which nothing more can be written. */
static bool full_pipe(int *ends, size_t *filled)
{
	static const char line[4096];
	ssize_t count;

	if (pipe2(ends, O_CLOEXEC))
		return false;
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	for (*filled = 0; (count = write(ends[1], line, sizeof(line))) > 0;)
		*filled += (size_t)count;
	fcntl(ends[1], F_SETFL, 0);
	return errno == EAGAIN;
}

static bool check_full_pipe(void)
{
	struct job job = { .in = open("/dev/null", O_RDONLY), .prompt = "login: " };
	size_t filled;
	int ends[2];
	pid_t pid;

	if (!full_pipe(ends, &filled))
		return false;
	job.out = ends[1];
	pid = start(&job);
	usleep(200 * MS);
	kill(pid, SIGTERM);
	if (finish(pid) != END_SIGNAL)
		return false;
	job.limit_ms = 200;
	return finish(start(&job)) == END_TIMEOUT;
}

/* The last words of a guest that ended wait for their reader; not for ever, if there is a limit. */
static bool check_last_words(void)
{
	struct job job = {
		.in = open("/dev/null", O_RDONLY), .prompt = "login: ", .halts = true,
		.limit_ms = 300,
	};
	static char bytes[1 << 20];
	size_t filled;
	int ends[2];
	pid_t pid;

	if (!full_pipe(ends, &filled))
		return false;
	job.out = ends[1];
	if (finish(start(&job)) != END_HALTED)
		return false;
	job.limit_ms = 0;
	pid = start(&job);
	usleep(100 * MS);
	if (waitpid(pid, NULL, WNOHANG) || filled + 7 > sizeof(bytes))
		return false;
	return read_from(ends[0], bytes, filled + 7) == filled + 7 &&
	       !memcmp(bytes + filled, "login: ", 7) && finish(pid) == END_HALTED;
}

/* Each in a session of its own, with a terminal. */
static bool in_session(bool (*check)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setsid();
		signal(SIGTTOU, SIG_IGN);
		signal(SIGPIPE, SIG_IGN);
		if (openpty(&terminal, &tty, NULL, NULL, NULL) || ioctl(tty, TIOCSCTTY, 0) ||
		    tcgetattr(tty, &found))
			_exit(2);
		/* Or the end of a job that has it would hang nothing up. */
		fcntl(terminal, F_SETFD, FD_CLOEXEC);
		_exit(!check());
	}
	return waitpid(pid, &status, 0) == pid && !status;
}

#define IN_SESSION(name) static bool test_##name(void) { return in_session(check_##name); }

IN_SESSION(foreground_late)
IN_SESSION(stopped)
IN_SESSION(stopped_to_background)
IN_SESSION(another_terminal)
IN_SESSION(fatal)
IN_SESSION(unread_keys)
IN_SESSION(piped_input)
IN_SESSION(full_pipe)
IN_SESSION(last_words)

int main(void)
{
	static const struct tap_test tests[] = {
		{ "a job put into the foreground gets the keyboard", test_foreground_late },
		{ "and again after a stop that it was not told of", test_stopped },
		{ "put into the background it leaves the terminal alone",
		  test_stopped_to_background },
		{ "a terminal that is not ours to control is read, too", test_another_terminal },
		{ "signals that kill put the terminal back, ignored ones do not", test_fatal },
		{ "the escape key works while keys are unread", test_unread_keys },
		{ "piped input waits for the guest", test_piped_input },
		{ "a reader that does not read holds up neither signals nor the limit",
		  test_full_pipe },
		{ "the last words wait for their reader", test_last_words },
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
