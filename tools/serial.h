/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A 16550A UART. It knows no terminal: bytes go to an output, bytes come from whoever calls
 * serial_receive(), and its interrupt line is a function.
 */
#ifndef VITRINE_SERIAL_H
#define VITRINE_SERIAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "output.h"

#define SERIAL_FIFO_BYTES 16
#define SERIAL_BACKLOG_BYTES 4096

/**
 * struct serial - one UART
 *
 * @lock covers all registers and queues; it is never held across a system call other than
 * the interrupt line's.
 */
struct serial {
	pthread_mutex_t lock;
	struct output *output;
	void (*set_irq)(void *data, bool level);
	void *irq_data;
	uint8_t ier, fcr, lcr, mcr, scr, divisor[2];
	bool mcr_written;
	bool thr_event;		/* "transmitter empty" not yet seen by the guest */
	bool line;		/* the interrupt line's level */
	bool got_break;
	uint8_t fifo[SERIAL_FIFO_BYTES];	/* what the guest may read now */
	unsigned int fifo_head, fifo_count;
	uint8_t backlog[SERIAL_BACKLOG_BYTES];	/* what still waits on the wire */
	unsigned int backlog_head, backlog_count;
};

void serial_init(struct serial *serial, struct output *output,
		 void (*set_irq)(void *data, bool level), void *irq_data);
void serial_destroy(struct serial *serial);

/* Register accesses by the guest; @reg is 0 to 7. */
uint8_t serial_read(struct serial *serial, unsigned int reg);
void serial_write(struct serial *serial, unsigned int reg, uint8_t value);

/* Bytes for the guest; returns how many were taken (the backlog is bounded). */
size_t serial_receive(struct serial *serial, const uint8_t *bytes, size_t count);
size_t serial_room(struct serial *serial);

/* A break condition on the line: Linux takes the next byte as a SysRq key. */
void serial_break(struct serial *serial);

#endif /* VITRINE_SERIAL_H */
