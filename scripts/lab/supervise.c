// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the emulator and ends with the exit code of the lab's command: passes on its output
 * (frames.c) and the user's keys (keys.c), keeps the time limit, says what went wrong (report.c),
 * and leaves no process behind, whatever ends it. It knows nothing of kernels; run (the script)
 * prepared everything in the log directory.
 *
 * usage: supervise [-t SECONDS] [-i] [-r] [-k] [-b TICKS] [-d FILE]... LOGDIR EMULATOR ARGS
 *   -t  time limit	-i  interactive	-r, -k  a reset, a kexec is what is wanted
 *   -b  fail if PID 1 starts after more than so many ticks	-d  delete at the end
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervise.h"

#define LINE_MS		10

struct lab lab = { .limit_seconds = 300, .code = -1 };
volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught = number;
}

static int emulator_start(char **argv)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t parent = getpid();
	int ends[2], err;

	if (pipe2(ends, O_CLOEXEC)) {
		say("pipe: %s", strerror(errno));
		exit(EXIT_LAB);
	}
	lab.emulator = fork();
	if (lab.emulator) {
		close(ends[1]);
		if (lab.emulator > 0)
			return ends[0];
		say("fork: %s", strerror(errno));
		exit(EXIT_LAB);
	}
	/* A session of its own keeps the terminal's Ctrl-C from its debugger. */
	setsid();
	/*
	 * Its screen is offered to the network with no password. Nobody looks at it: give it a
	 * network of its own, where the system lets us.
	 */
	if (unshare(CLONE_NEWNET))
		unshare(CLONE_NEWUSER | CLONE_NEWNET);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || chdir(lab.dir))
		_exit(EXIT_LAB);
	err = open("bochs.err", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	dup2(null, 0);
	dup2(ends[1], 1);
	dup2(err < 0 ? null : err, 2);
	execvp(argv[0], argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(EXIT_LAB);
}

static void emulator_end(void)
{
	int status;

	kill(lab.emulator, SIGKILL);
	while (waitpid(lab.emulator, &status, 0) < 0 && errno == EINTR)
		;
}

static void relay(int from)
{
	static unsigned char buffer[1 << 16];

	while (!caught && !lab.ended) {
		struct pollfd fds[] = { { from, POLLIN, 0 }, { keys_wanted(), POLLIN, 0 } };
		double left = lab.limit_seconds - elapsed();
		int wait_ms = left < 1000 ? (int)(left * 1000) + 1 : 1000000;
		ssize_t bytes;

		if (left <= 0) {
			lab.code = lab.commanded ? EXIT_TIMEOUT : EXIT_LAB;
			snprintf(lab.failure, sizeof(lab.failure), "not ended after %ld s%s",
				 lab.limit_seconds, lab.commanded ? "" : " (still booting)");
			return;
		}
		/* Nothing tells when the line has room again. */
		if (lab.interactive && lab.commanded && fds[1].fd < 0 && wait_ms > LINE_MS)
			wait_ms = LINE_MS;
		if (poll(fds, 2, wait_ms) < 0)
			continue;
		if (fds[1].revents)
			keys_relay();
		if (!fds[0].revents)
			continue;
		bytes = read(from, buffer, sizeof(buffer));
		if (bytes == 0)
			return;
		if (bytes > 0)
			frames_parse(buffer, bytes);
	}
}

int main(int argc, char **argv)
{
	const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, 0 };
	struct sigaction action = { .sa_handler = on_signal };
	size_t i;
	int option, code;

	while ((option = getopt(argc, argv, "+t:irkb:d:")) != -1) {
		switch (option) {
		case 't':
			lab.limit_seconds = atol(optarg);
			break;
		case 'i':
			lab.interactive = true;
			break;
		case 'r':
			lab.want_reset = true;
			break;
		case 'k':
			lab.want_kexec = true;
			break;
		case 'b':
			lab.budget_ticks = strtoull(optarg, NULL, 10);
			break;
		case 'd':
			if (lab.deletes < DELETE_MAX)
				lab.delete[lab.deletes++] = optarg;
			break;
		default:
			return EXIT_LAB;
		}
	}
	if (argc - optind < 2)
		return EXIT_LAB;
	lab.dir = argv[optind++];
	for (i = 0; signals[i]; i++)
		sigaction(signals[i], &action, NULL);
	clock_gettime(CLOCK_MONOTONIC, &lab.start);
	lab.log = log_open("kernel.log");
	lab.noise = log_open("bochs.out");
	if (lab.interactive)
		keys_open();
	relay(emulator_start(argv + optind));
	emulator_end();
	keys_terminal_restore();
	code = report_end();
	while (lab.deletes)
		unlink(lab.delete[--lab.deletes]);
	return code;
}
