// SPDX-License-Identifier: GPL-2.0
/*
 * The supervisor's fingers: the user's terminal, raw while the command has it, and the
 * pseudo-terminal that the emulator takes for the other end of its second serial port.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "supervise.h"

#define ESCAPE_KEY	0x1d	/* Ctrl-] */
#define EOF_KEY		0x04
#define PTY_NAME	"keys"

static int pty = -1;		/* master; the emulator has the slave */
static bool raw;
static bool finished;		/* no more keys will come */
static struct termios before;

/* The emulator opens the terminal by a name that its configuration can know beforehand. */
void keys_open(void)
{
	struct termios mode;
	const char *name;
	int slave;
	char *path;

	pty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (pty < 0 || grantpt(pty) || unlockpt(pty))
		goto err;
	name = ptsname(pty);
	/* Kept open for ever: without a slave the master reports a hang-up before the start. */
	slave = name ? open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
	if (slave < 0 || tcgetattr(slave, &mode))
		goto err;
	cfmakeraw(&mode);
	tcsetattr(slave, TCSANOW, &mode);
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

void keys_terminal_raw(void)
{
	struct termios mode;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &before))
		return;
	mode = before;
	cfmakeraw(&mode);
	say("Ctrl-] leaves");
	tcsetattr(STDIN_FILENO, TCSADRAIN, &mode);
	raw = true;
}

void keys_terminal_restore(void)
{
	if (raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	raw = false;
}

/* The descriptor that keys may be read from now, or -1: no faster than the emulated line is. */
int keys_wanted(void)
{
	struct pollfd line = { pty, POLLOUT, 0 };

	if (finished || !lab.interactive || !lab.commanded || poll(&line, 1, 0) <= 0)
		return -1;
	return STDIN_FILENO;
}

void keys_relay(void)
{
	unsigned char buffer[64];
	ssize_t bytes = read(STDIN_FILENO, buffer, sizeof(buffer));

	if (bytes < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (bytes <= 0) {
		buffer[0] = EOF_KEY;
		bytes = 1;
		finished = true;
	} else if (raw && memchr(buffer, ESCAPE_KEY, bytes)) {
		lab.ended = true;
		lab.code = 0;
		return;
	}
	if (write(pty, buffer, bytes) < 0 && errno != EAGAIN)
		finished = true;
}
