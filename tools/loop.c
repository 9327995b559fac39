// SPDX-License-Identifier: GPL-2.0
/*
 * The main thread: it reads the keyboard for the guest, obeys the escape key and signals,
 * keeps the time limit and flushes what the guest left unflushed. It writes of the guest's output
 * only what goes at once, so that a reader who does not read cannot stop it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "report.h"
#include "terminal.h"

#define ESCAPE_KEY	0x01	/* Ctrl-A */
#define FLUSH_MS	20
#define FULL_RETRY_MS	20
#define FOREGROUND_MS	500
#define INPUT_BYTES	256

struct loop {
	struct machine *machine;
	bool input_open;	/* standard input has not ended */
	bool input_ours;	/* and may be read: we are in the foreground */
	bool escaped;		/* the last key was the escape key */
	bool flush_due;
	uint64_t deadline_ns;
};

uint64_t loop_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

int loop_signals(void)
{
	static const int handled[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT };
	struct sigaction found;
	sigset_t set;
	unsigned int i;

	sigemptyset(&set);
	/* What nohup or a shell's background told us to ignore stays ignored. */
	for (i = 0; i < ARRAY_SIZE(handled); i++)
		if (!sigaction(handled[i], NULL, &found) && found.sa_handler != SIG_IGN)
			sigaddset(&set, handled[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* A closed pipe is seen as EPIPE where it is written to; the background by its error. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	signal(SIGTTIN, SIG_IGN);
	/* A file that may grow no more, as EFBIG. */
	signal(SIGXFSZ, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void while_paused(struct machine *machine, void (*look)(struct machine *machine))
{
	if (machine_pause(machine))
		look(machine);
	else
		complain("a vCPU is busy (with slow output?); try again");
	machine_resume(machine);
}

static void escape_help(void)
{
	fputs("\nCtrl-A h  this text\n"
	      "Ctrl-A x  quit\n"
	      "Ctrl-A b  send a break (Linux: then a SysRq key)\n"
	      "Ctrl-A r  show the registers\n"
	      "Ctrl-A s  show the exit counts so far\n"
	      "Ctrl-A a  send Ctrl-A itself\n", stderr);
}

static void obey(struct loop *loop, uint8_t key)
{
	struct machine *machine = loop->machine;
	uint8_t escape = ESCAPE_KEY;

	switch (key) {
	case 'h':
	case '?':
		escape_help();
		break;
	case 'x':
		machine_finish(machine, END_QUIT, NULL);
		break;
	case 'b':
		serial_break(&machine->serial);
		break;
	case 'r':
		while_paused(machine, report_registers);
		break;
	case 's':
		while_paused(machine, report_exits);
		break;
	case 'a':
	case ESCAPE_KEY:
		serial_receive(&machine->serial, &escape, 1);
		break;
	}
}

static void handle_keys(struct loop *loop, const uint8_t *keys, size_t count)
{
	size_t i;

	if (!terminal_is_raw()) {
		serial_receive(&loop->machine->serial, keys, count);
		return;
	}
	for (i = 0; i < count; i++) {
		if (loop->escaped) {
			loop->escaped = false;
			obey(loop, keys[i]);
		} else if (keys[i] == ESCAPE_KEY) {
			loop->escaped = true;
		} else {
			serial_receive(&loop->machine->serial, &keys[i], 1);
		}
	}
}

/* On a raw terminal the escape key must get through, whatever the guest leaves unread. */
static size_t input_room(struct loop *loop)
{
	return terminal_is_raw() ? INPUT_BYTES : serial_room(&loop->machine->serial);
}

static void read_input(struct loop *loop, size_t room)
{
	uint8_t bytes[INPUT_BYTES];
	ssize_t count;

	count = read(STDIN_FILENO, bytes, room < sizeof(bytes) ? room : sizeof(bytes));
	if (count > 0) {
		handle_keys(loop, bytes, (size_t)count);
	} else if (!count || (errno != EINTR && errno != EAGAIN)) {
		/* In the background a terminal fails so, too, but that passes. */
		loop->input_ours = terminal_raw(STDIN_FILENO);
		loop->input_open = count && !loop->input_ours;
	}
}

static void handle_signal(struct loop *loop, int signo)
{
	struct machine *machine = loop->machine;

	switch (signo) {
	case SIGTSTP:
		terminal_restore();
		/* All threads stop here, and go on here. */
		raise(SIGSTOP);
		loop->input_ours = terminal_raw(STDIN_FILENO);
		break;
	case SIGCONT:
		loop->input_ours = terminal_raw(STDIN_FILENO);
		break;
	default:
		machine->end_signal = signo;
		machine_finish(machine, END_SIGNAL, strsignal(signo));
	}
}

static void read_signals(struct loop *loop, int signal_fd)
{
	struct signalfd_siginfo info;

	while (read(signal_fd, &info, sizeof(info)) == sizeof(info))
		handle_signal(loop, (int)info.ssi_signo);
}

static void read_wake(struct loop *loop)
{
	struct machine *machine = loop->machine;
	uint64_t count;

	if (read(machine->wake_fd, &count, sizeof(count)) < 0)
		return;
	loop->flush_due = true;
	if (output_error(&machine->output))
		machine_finish(machine, END_OUTPUT, strerror(output_error(&machine->output)));
	else if (output_until_seen(&machine->output))
		machine_finish(machine, END_UNTIL, NULL);
}

static int timeout_ms(const struct loop *loop, bool input_full)
{
	uint64_t now, left_ms;
	int timeout = -1;

	if (loop->flush_due)
		timeout = FLUSH_MS;
	else if (input_full)
		timeout = FULL_RETRY_MS;
	else if (loop->input_open && !loop->input_ours)
		timeout = FOREGROUND_MS;
	if (!loop->deadline_ns)
		return timeout;
	now = loop_now_ns();
	if (now >= loop->deadline_ns)
		return 0;
	left_ms = (loop->deadline_ns - now) / 1000000 + 1;
	if (left_ms > 3600 * 1000)
		left_ms = 3600 * 1000;
	return timeout >= 0 && timeout < (int)left_ms ? timeout : (int)left_ms;
}

void loop_run(struct machine *machine, int signal_fd, uint64_t deadline_ns)
{
	struct loop loop = {
		.machine = machine,
		.input_open = true,
		.deadline_ns = deadline_ns,
	};
	struct pollfd fds[3] = {
		{ .fd = signal_fd, .events = POLLIN },
		{ .fd = machine->wake_fd, .events = POLLIN },
		{ .events = POLLIN },
	};
	bool wanted;
	size_t room;
	int ready;

	loop.input_ours = terminal_raw(STDIN_FILENO);
	while (machine_ended(machine) == END_NONE) {
		wanted = loop.input_open && loop.input_ours;
		room = wanted ? input_room(&loop) : 0;
		fds[2].fd = room ? STDIN_FILENO : -1;
		fds[2].revents = 0;
		ready = poll(fds, 3, timeout_ms(&loop, wanted && !room));
		if (ready < 0 && errno != EINTR)
			machine_finish(machine, END_RUN_FAILED, strerror(errno));
		if (ready <= 0) {
			if (loop.deadline_ns && loop_now_ns() >= loop.deadline_ns)
				machine_finish(machine, END_TIMEOUT, NULL);
			loop.flush_due = loop.flush_due && output_flush_later(&machine->output);
			/* Nobody tells a job that runs when it gets the terminal. */
			if (!loop.input_ours)
				loop.input_ours = terminal_raw(STDIN_FILENO);
			continue;
		}
		if (fds[0].revents)
			read_signals(&loop, signal_fd);
		if (fds[1].revents)
			read_wake(&loop);
		if (fds[2].revents)
			read_input(&loop, room);
	}
}

/* Whether nobody waits for the guest's last words any more. */
static bool is_hurried(struct machine *machine)
{
	enum machine_end end = machine_ended(machine);

	return end == END_SIGNAL || end == END_TIMEOUT || end == END_QUIT;
}

void loop_drain(struct machine *machine, int signal_fd, uint64_t deadline_ns)
{
	const struct loop loop = { .machine = machine, .deadline_ns = deadline_ns };
	struct pollfd fds[2] = {
		{ .fd = signal_fd, .events = POLLIN },
		{ .fd = machine->output.fd, .events = POLLOUT },
	};

	while (output_flush_later(&machine->output) && !is_hurried(machine))
		if (poll(fds, 2, timeout_ms(&loop, false)) <= 0 || fds[0].revents)
			break;
}
