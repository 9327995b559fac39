/* SPDX-License-Identifier: GPL-2.0 */
/* What the supervisor's parts share: supervise.c (the story), frames.c, keys.c, report.c. */
#ifndef VITRINE_LAB_SUPERVISE_H
#define VITRINE_LAB_SUPERVISE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

#define EXIT_TIMEOUT	124
#define EXIT_LAB	125
#define DELETE_MAX	8

struct lab {
	/* as asked for */
	const char *dir;
	long limit_seconds;
	unsigned long long budget_ticks;
	bool interactive, want_reset, want_kexec;
	const char *delete[DELETE_MAX];
	int deletes;

	/* as it goes */
	struct timespec start;
	pid_t emulator;
	FILE *log;			/* the kernel's */
	FILE *noise;			/* what the emulator printed between frames */
	unsigned int roms, inits;	/* times the loader and PID 1 came up */
	unsigned long long init_ticks;
	bool commanded;			/* the command was started */
	bool ended;
	bool told;			/* PID 1 was alive to tell its end */
	int code;			/* -1 until known */
	char failure[512];
};

extern struct lab lab;
extern volatile sig_atomic_t caught;	/* the signal that is to end us */

/* frames.c: sorts out the bytes that the emulator writes. */
void frames_parse(const unsigned char *data, size_t bytes);

/* keys.c: the user's terminal and the pseudo-terminal that is the emulated serial port. */
void keys_open(void);
void keys_terminal_raw(void);
void keys_terminal_restore(void);
int keys_wanted(void);
void keys_relay(void);

/* report.c: what people read. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
double elapsed(void);
FILE *log_open(const char *name);
void report_stage(const char *name, unsigned long long ticks);
int report_end(void);

#endif
