// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the emulator and ends with the exit code of the lab's command: takes the frames out of the
 * emulator's stdout, writes output to stdout and the kernel log to a file as they come, keeps the
 * time limit, carries the user's keys, and leaves no process behind, whatever ends it. It knows
 * nothing of kernels; run (the script) prepared everything in the log directory.
 *
 * usage: supervise [-t SECONDS] [-i] [-r] [-k] [-b TICKS] [-d FILE]... LOGDIR EMULATOR ARGS
 *   -t  time limit	-i  interactive	-r, -k  a reset, a kexec is what is wanted
 *   -b  fail if PID 1 starts after more than so many ticks	-d  delete at the end
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "frame.h"

#define EXIT_TIMEOUT	124
#define EXIT_LAB	125
#define ESCAPE_KEY	0x1d	/* Ctrl-] */
#define EOF_KEY		0x04
#define DELETE_MAX	8
#define TAIL_BYTES	4000
#define TAIL_SHORT_BYTES 800
#define PTY_NAME	"keys"

struct parser {
	unsigned char header[FRAME_HEADER];
	unsigned int have;		/* bytes of the header seen */
	unsigned int left;		/* bytes of the frame's body to come */
	unsigned char body[64];		/* start of the body, for the short frames */
	unsigned int body_bytes;
};

static struct {
	const char *dir;
	long limit_seconds;
	unsigned long long budget_ticks;
	bool interactive;
	bool want_reset, want_kexec;
	const char *delete[DELETE_MAX];
	int deletes;

	pid_t emulator;
	int pty;			/* master; the emulator's second serial port is the slave */
	bool raw;
	struct termios termios;
	FILE *log, *noise;

	struct timespec start;
	unsigned int roms, inits;
	bool commanded, ended;
	bool told;			/* PID 1 was alive to tell its end */
	int code;
	char failure[sizeof(((struct parser *)0)->body) * 8];
	unsigned long long init_ticks;
} lab = { .limit_seconds = 300, .pty = -1, .code = -1 };

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught = number;
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	va_list args;

	fputs("lab: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs(lab.raw ? "\r\n" : "\n", stderr);
}

static double elapsed(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - lab.start.tv_sec + (now.tv_nsec - lab.start.tv_nsec) / 1e9;
}

static FILE *log_open(const char *name)
{
	FILE *file;
	char *path;

	if (asprintf(&path, "%s/%s", lab.dir, name) < 0)
		exit(EXIT_LAB);
	file = fopen(path, "we");
	if (!file) {
		say("%s: %s", path, strerror(errno));
		exit(EXIT_LAB);
	}
	free(path);
	return file;
}

/* A disk that is full or a reader that left ends the lab, not silently the output. */
static void output(const unsigned char *data, size_t bytes)
{
	while (bytes) {
		ssize_t done = write(STDOUT_FILENO, data, bytes);

		if (done < 0 && errno == EAGAIN) {
			poll(&(struct pollfd){ STDOUT_FILENO, POLLOUT, 0 }, 1, -1);
			continue;
		}
		if (done < 0 && errno == EINTR && !caught)
			continue;
		if (done < 0) {
			if (!caught)
				say("stdout: %s", strerror(errno));
			if (!lab.ended)
				lab.code = EXIT_LAB;
			lab.ended = true;
			return;
		}
		data += done;
		bytes -= done;
	}
}

static void terminal_raw(void)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &lab.termios))
		return;
	raw = lab.termios;
	cfmakeraw(&raw);
	say("Ctrl-] leaves");
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	lab.raw = true;
}

static void terminal_restore(void)
{
	if (lab.raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &lab.termios);
	lab.raw = false;
}

static void stage(const char *name, unsigned long long ticks)
{
	static FILE *file;

	if (!file)
		file = log_open("ticks");
	fprintf(file, "%s %llu ticks %.1f seconds\n", name, ticks, elapsed());
	fflush(file);
}

/* The kernel is gone, wanted or not. */
static void kernel_gone(const char *how, bool wanted)
{
	if (lab.ended)
		return;
	lab.ended = true;
	lab.code = wanted ? 0 : EXIT_LAB;
	snprintf(lab.failure, sizeof(lab.failure), "%s", how);
}

/* A frame is complete; the long kinds were passed on piece by piece. */
static void frame_end(const struct parser *parser)
{
	unsigned long long value = 0;

	memcpy(&value, parser->body, sizeof(value));
	switch (parser->header[1]) {
	case FRAME_ROM:
		stage("loader", value);
		if (lab.roms++)
			kernel_gone("the emulated machine was reset", lab.want_reset);
		break;
	case FRAME_KERNEL:
		stage("kernel", value);
		break;
	case FRAME_INIT:
		stage("init", value);
		if (lab.inits++)
			kernel_gone("another kernel was started", lab.want_kexec);
		else
			lab.init_ticks = value;
		break;
	case FRAME_NEXT:
		kernel_gone("another kernel was started", lab.want_kexec);
		break;
	case FRAME_COMMAND:
		stage("command", value);
		lab.commanded = true;
		/* Not sooner: until now Ctrl-C ends the lab. */
		if (lab.interactive)
			terminal_raw();
		break;
	case FRAME_EXIT:
		if (!lab.ended)
			lab.code = value;
		lab.ended = true;
		break;
	case FRAME_FAIL:
		lab.told = lab.inits;
		if (!lab.ended)
			lab.code = EXIT_LAB;
		lab.ended = true;
		break;
	}
}

static void frame_piece(struct parser *parser, const unsigned char *data, size_t bytes)
{
	size_t room;

	switch (parser->header[1]) {
	case FRAME_OUTPUT:
		output(data, bytes);
		break;
	case FRAME_LOG:
		fwrite(data, 1, bytes, lab.log);
		fflush(lab.log);
		break;
	case FRAME_FAIL:
		room = sizeof(lab.failure) - 1 - strlen(lab.failure);
		strncat(lab.failure, (const char *)data, bytes < room ? bytes : room);
		break;
	default:
		room = sizeof(parser->body) - parser->body_bytes;
		if (bytes > room)
			bytes = room;
		memcpy(parser->body + parser->body_bytes, data, bytes);
		parser->body_bytes += bytes;
	}
}

static void parse(struct parser *parser, const unsigned char *data, size_t bytes)
{
	while (bytes) {
		size_t piece = 1;

		if (parser->left) {
			piece = bytes < parser->left ? bytes : parser->left;
			frame_piece(parser, data, piece);
			parser->left -= piece;
			if (!parser->left)
				frame_end(parser);
		} else if (!parser->have && *data != FRAME_START) {
			fputc(*data, lab.noise);
		} else {
			parser->header[parser->have++] = *data;
			if (parser->have == FRAME_HEADER) {
				parser->have = 0;
				parser->body_bytes = 0;
				memset(parser->body, 0, sizeof(parser->body));
				parser->left = parser->header[2] | parser->header[3] << 8;
				if (!parser->left)
					frame_end(parser);
			}
		}
		data += piece;
		bytes -= piece;
	}
}

/* The emulator opens the terminal by a name that its configuration can know beforehand. */
static void pty_open(void)
{
	struct termios raw;
	const char *name;
	int slave;
	char *path;

	lab.pty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (lab.pty < 0 || grantpt(lab.pty) || unlockpt(lab.pty))
		goto err;
	name = ptsname(lab.pty);
	/* Kept open for ever: without a slave the master reports a hang-up before the start. */
	slave = name ? open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
	if (slave < 0 || tcgetattr(slave, &raw))
		goto err;
	cfmakeraw(&raw);
	tcsetattr(slave, TCSANOW, &raw);
	if (asprintf(&path, "%s/" PTY_NAME, lab.dir) < 0)
		goto err;
	unlink(path);
	if (symlink(name, path))
		goto err;
	free(path);
	return;
err:
	say("pseudo-terminal: %s", strerror(errno));
	exit(EXIT_LAB);
}

/* Returns false when there will be no more keys. */
static bool keys(void)
{
	unsigned char buffer[64];
	ssize_t bytes = read(STDIN_FILENO, buffer, sizeof(buffer));
	ssize_t i;

	if (bytes < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (bytes <= 0) {
		buffer[0] = EOF_KEY;
		return write(lab.pty, buffer, 1) < 0 && errno == EAGAIN;
	}
	for (i = 0; lab.raw && i < bytes; i++) {
		if (buffer[i] == ESCAPE_KEY) {
			lab.ended = true;
			lab.code = 0;
			return false;
		}
	}
	if (write(lab.pty, buffer, bytes) < 0 && errno != EAGAIN)
		return false;
	return true;
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
	struct parser parser = { .have = 0 };
	static unsigned char buffer[1 << 16];
	bool listening = lab.interactive;

	while (!caught) {
		struct pollfd fds[] = {
			{ from, POLLIN, 0 },
			{ listening ? lab.pty : -1, POLLOUT, 0 },
			{ -1, POLLIN, 0 },
		};
		double left = lab.limit_seconds - elapsed();
		ssize_t bytes;

		if (left <= 0) {
			lab.code = lab.commanded ? EXIT_TIMEOUT : EXIT_LAB;
			snprintf(lab.failure, sizeof(lab.failure), "not ended after %ld s%s",
				 lab.limit_seconds, lab.commanded ? "" : " (still booting)");
			return;
		}
		if (lab.ended)
			return;
		/* Keys are taken only as fast as the emulated line carries them. */
		if (listening && lab.commanded && poll(&fds[1], 1, 0) > 0) {
			fds[1].fd = -1;
			fds[2].fd = STDIN_FILENO;
		} else if (!lab.commanded) {
			fds[1].fd = -1;
		}
		if (poll(fds, 3, left < 1000 ? (int)(left * 1000) + 1 : 1000000) < 0)
			continue;
		if (fds[2].revents)
			listening = keys();
		if (!fds[0].revents)
			continue;
		bytes = read(from, buffer, sizeof(buffer));
		if (bytes == 0)
			return;
		if (bytes > 0)
			parse(&parser, buffer, bytes);
	}
}

static void tail(const char *name, long length)
{
	char buffer[TAIL_BYTES + 1], *start = buffer;
	char *path;
	size_t bytes;
	FILE *file;

	if (asprintf(&path, "%s/%s", lab.dir, name) < 0)
		return;
	file = fopen(path, "re");
	if (file) {
		bool cut = !fseek(file, -length, SEEK_END);

		bytes = fread(buffer, 1, TAIL_BYTES, file);
		buffer[bytes] = 0;
		if (cut && strchr(buffer, '\n'))
			start = strchr(buffer, '\n') + 1;
		if (*start)
			fprintf(stderr, "--- end of %s\n%s%s", path, start,
				buffer[bytes - 1] == '\n' ? "" : "\n");
		fclose(file);
	}
	free(path);
}

static int finish(void)
{
	if (caught) {
		say("interrupted");
		return 128 + caught;
	}
	if (lab.code < 0) {
		lab.code = EXIT_LAB;
		snprintf(lab.failure, sizeof(lab.failure), "the emulator ended by itself");
	}
	if ((lab.want_reset || lab.want_kexec) && lab.commanded && !lab.failure[0]) {
		say("the command ended with %d, but no %s came", lab.code,
		    lab.want_reset ? "reset" : "other kernel");
		return lab.code ? lab.code : 1;
	}
	if (lab.failure[0])
		say("%s%s", lab.code == EXIT_LAB ? "failed: " : "", lab.failure);
	if (lab.code == EXIT_LAB && lab.failure[0]) {
		fflush(lab.log);
		fflush(lab.noise);
		if (!lab.roms) {
			tail("bochs.err", TAIL_SHORT_BYTES);
			tail("bochs.log", TAIL_SHORT_BYTES);
		} else if (lab.told) {
			tail("kernel.log", TAIL_BYTES);
		} else {
			/* Nobody relayed what the kernel said last, but the console has it. */
			tail("console.log", TAIL_BYTES);
		}
	}
	if (lab.budget_ticks && lab.init_ticks > lab.budget_ticks) {
		say("PID 1 started after %llu ticks, over the budget of %llu", lab.init_ticks,
		    lab.budget_ticks);
		if (!lab.code)
			lab.code = 1;
	}
	return lab.code;
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
		pty_open();
	relay(emulator_start(argv + optind));
	emulator_end();
	terminal_restore();
	code = finish();
	while (lab.deletes)
		unlink(lab.delete[--lab.deletes]);
	return code;
}
