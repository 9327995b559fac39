/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The subcommands and what they share: exit codes and how an error is told.
 */
#ifndef VITRINE_COMMAND_H
#define VITRINE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#define VITRINE_VERSION "0.1.0"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Exit codes, documented in vitrine(1) and vitrine-run(1). 128 + n: ended by signal n. */
enum exit_code {
	EXIT_OK = 0,			/* the guest powered off, or the command did its work */
	EXIT_HOST = 1,			/* a file, the device or the terminal failed */
	EXIT_USAGE = 2,			/* the command line is wrong */
	EXIT_RESET = 3,			/* the guest asked for a reset */
	EXIT_SHUTDOWN = 4,		/* triple fault */
	EXIT_ENTRY_FAILURE = 5,		/* the hardware refused the guest's state */
	EXIT_INTERNAL_ERROR = 6,	/* the hypervisor gave up on the guest */
	EXIT_STRICT = 7,		/* --strict, and the guest used what is not there */
	EXIT_UNKNOWN_EXIT = 8,		/* an exit that this program does not know */
	EXIT_TIMEOUT = 124,		/* --timeout */
	EXIT_SIGNAL = 128,
};

struct command {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *help;
};

int command_ask(int argc, char **argv);
int command_events(int argc, char **argv);
int command_info(int argc, char **argv);
int command_list(int argc, char **argv);
int command_mem(int argc, char **argv);
int command_nmi(int argc, char **argv);
int command_pause(int argc, char **argv);
int command_regs(int argc, char **argv);
int command_resume(int argc, char **argv);
int command_run(int argc, char **argv);
int command_stat(int argc, char **argv);
int command_top(int argc, char **argv);
int command_trace(int argc, char **argv);

/* One line on stderr, "vitrine: " before it. */
__attribute__((format(printf, 1, 2)))
void complain(const char *format, ...);

/*
 * A command line that is wrong, for those who parse and print nothing: the line into *err with the
 * code EINVAL; -EINVAL.
 */
struct vitrine_error;
__attribute__((format(printf, 2, 3)))
int refuse(struct vitrine_error *err, const char *format, ...);

/*
 * What getopt_long() does not like, '?' or ':' (which it gives where the letters begin with one):
 * as a line in *err, and -EINVAL; or as a complaint, and EXIT_USAGE.
 */
int refuse_option(char **argv, int value, struct vitrine_error *err);
int complain_option(char **argv, int value);

/* The number at *at, decimal or after 0x, up to the first character that is none of it. */
bool take_number(const char **at, uint64_t *value);
/* A whole number from 1 on, or false with a complaint that names @what. */
bool parse_count(const char *what, const char *text, uint64_t max, uint64_t *value);
/* One from 0 on, decimal or after 0x, likewise. */
bool parse_index(const char *what, const char *text, uint64_t max, uint64_t *value);
/* A number of seconds within these bounds, likewise. */
bool parse_seconds(const char *what, const char *text, double least, double most, double *value);

/* Flushes stdout and tells if that failed (full disk, closed pipe); returns the exit code. */
int finish_output(int code);

#endif /* VITRINE_COMMAND_H */
