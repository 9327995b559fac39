// SPDX-License-Identifier: GPL-2.0
/*
 * Gathered output: written at a newline, when the buffer is full, when the guest's driver has
 * nothing more to send, or a moment later by the event loop (a prompt has no newline).
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "output.h"

#define WRITE_RETRY_MS 100
/* What poll() lets through without waiting: a pseudo-terminal's 256 with a CR before each LF. */
#define PIECE_BYTES 128

void output_init(struct output *output, int fd, const char *until,
		 void (*wake)(void *data), void *wake_data)
{
	*output = (struct output) {
		.fd = fd,
		.until = until,
		.wake = wake,
		.wake_data = wake_data,
	};
	pthread_mutex_init(&output->fill_lock, NULL);
	pthread_mutex_init(&output->write_lock, NULL);
}

void output_destroy(struct output *output)
{
	pthread_mutex_destroy(&output->fill_lock);
	pthread_mutex_destroy(&output->write_lock);
}

static bool is_closing(struct output *output)
{
	return __atomic_load_n(&output->closing, __ATOMIC_ACQUIRE);
}

void output_close(struct output *output)
{
	__atomic_store_n(&output->closing, true, __ATOMIC_RELEASE);
}

static int write_all(struct output *output, const uint8_t *bytes, size_t count)
{
	struct pollfd writable = { .fd = output->fd, .events = POLLOUT };
	ssize_t written;

	while (count) {
		written = write(output->fd, bytes, count);
		if (written >= 0) {
			bytes += written;
			count -= (size_t)written;
			continue;
		}
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
		if (is_closing(output))
			return -EINTR;
		if (errno == EAGAIN)
			poll(&writable, 1, WRITE_RETRY_MS);
	}
	return 0;
}

/*
 * Writes the oldest bytes, at most @max; false if there are none. The caller holds write_lock,
 * which keeps their order.
 */
static bool write_oldest(struct output *output, size_t max)
{
	uint8_t bytes[OUTPUT_BYTES];
	size_t count;
	int error;

	pthread_mutex_lock(&output->fill_lock);
	count = output->count < max ? output->count : max;
	memcpy(bytes, output->bytes, count);
	output->count -= count;
	memmove(output->bytes, output->bytes + count, output->count);
	pthread_mutex_unlock(&output->fill_lock);
	/* After a failure the guest's output has nowhere to go, and the run is about to end. */
	if (!count || output_error(output))
		return count;
	error = write_all(output, bytes, count);
	if (error) {
		__atomic_store_n(&output->error, -error, __ATOMIC_RELEASE);
		output->wake(output->wake_data);
	}
	return true;
}

void output_flush(struct output *output)
{
	pthread_mutex_lock(&output->write_lock);
	write_oldest(output, OUTPUT_BYTES);
	pthread_mutex_unlock(&output->write_lock);
}

bool output_flush_later(struct output *output)
{
	struct pollfd writable = { .fd = output->fd, .events = POLLOUT };
	size_t left = OUTPUT_BYTES;
	bool more;

	if (!pthread_mutex_trylock(&output->write_lock)) {
		while (left && poll(&writable, 1, 0) == 1 && write_oldest(output, PIECE_BYTES))
			left -= PIECE_BYTES;
		pthread_mutex_unlock(&output->write_lock);
	}
	pthread_mutex_lock(&output->fill_lock);
	more = output->count;
	output->armed = more;
	pthread_mutex_unlock(&output->fill_lock);
	return more;
}

int output_error(struct output *output)
{
	return __atomic_load_n(&output->error, __ATOMIC_ACQUIRE);
}

bool output_until_seen(struct output *output)
{
	return __atomic_load_n(&output->until_seen, __ATOMIC_ACQUIRE);
}

bool output_is_mid_line(struct output *output)
{
	bool mid_line;

	pthread_mutex_lock(&output->fill_lock);
	mid_line = output->last && output->last != '\n';
	pthread_mutex_unlock(&output->fill_lock);
	return mid_line;
}

/* How much of @text the output ends with after @byte, if it ended with @matched before. */
static size_t advance(const char *text, size_t matched, uint8_t byte)
{
	size_t shorter;

	while ((uint8_t)text[matched] != byte) {
		if (!matched)
			return 0;
		/* The longest start of the text that is also an end of what has matched. */
		shorter = matched - 1;
		while (memcmp(text, text + matched - shorter, shorter))
			shorter--;
		matched = shorter;
	}
	return matched + 1;
}

static bool match_until(struct output *output, uint8_t byte)
{
	if (!output->until || output->until_seen)
		return false;
	output->until_matched = advance(output->until, output->until_matched, byte);
	if (output->until[output->until_matched])
		return false;
	__atomic_store_n(&output->until_seen, true, __ATOMIC_RELEASE);
	return true;
}

void output_put(struct output *output, uint8_t byte)
{
	bool flush, wake = false;

	pthread_mutex_lock(&output->fill_lock);
	while (output->count == OUTPUT_BYTES) {
		pthread_mutex_unlock(&output->fill_lock);
		output_flush(output);
		pthread_mutex_lock(&output->fill_lock);
	}
	output->bytes[output->count++] = byte;
	output->last = byte;
	flush = byte == '\n' || output->count == OUTPUT_BYTES;
	if (match_until(output, byte)) {
		flush = true;
		wake = true;
	} else if (!flush && !output->armed) {
		output->armed = true;
		wake = true;
	}
	pthread_mutex_unlock(&output->fill_lock);
	if (flush)
		output_flush(output);
	if (wake)
		output->wake(output->wake_data);
}
