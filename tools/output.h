/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's console output on its way to a file descriptor: gathered, so that a byte does
 * not cost a system call.
 */
#ifndef VITRINE_OUTPUT_H
#define VITRINE_OUTPUT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTPUT_BYTES 1024

/**
 * struct output - a gathering buffer
 *
 * @fill_lock covers @bytes and @count and is held for moments; @write_lock is held while
 * bytes are being written, which may take as long as the reader likes. @write_lock first.
 */
struct output {
	int fd;
	pthread_mutex_t fill_lock;
	pthread_mutex_t write_lock;
	uint8_t bytes[OUTPUT_BYTES];
	size_t count;
	int error;			/* errno of the first failed write, by __atomic_* */
	bool closing;			/* the run ends: do not wait for a slow reader */
	bool armed;			/* somebody will flush soon */
	void (*wake)(void *data);	/* bytes wait and nobody is armed, or an error */
	void *wake_data;
	const char *until;		/* a text to look for; NULL for none */
	size_t until_matched;
	bool until_seen;		/* by __atomic_* */
	uint8_t last;			/* the last byte put */
};

void output_init(struct output *output, int fd, const char *until,
		 void (*wake)(void *data), void *wake_data);
void output_destroy(struct output *output);
void output_put(struct output *output, uint8_t byte);
void output_flush(struct output *output);

/* A timer's flush: waits neither for another writer nor for the reader. False: nothing is left. */
bool output_flush_later(struct output *output);

/* Whether what was written so far ends in the middle of a line. */
bool output_is_mid_line(struct output *output);

int output_error(struct output *output);
bool output_until_seen(struct output *output);

/* From now on a write that would block or was interrupted gives up. */
void output_close(struct output *output);

#endif /* VITRINE_OUTPUT_H */
