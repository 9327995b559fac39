// SPDX-License-Identifier: GPL-2.0
/*
 * The 16550A's registers, after National Semiconductor's data sheet. The line has no speed: a
 * byte written is gone at once, so the transmitter is always empty. Received bytes wait on the
 * "wire" until the guest raises RTS or asks for receive interrupts, as a sender with flow
 * control would; so input piped in before the guest's driver is up is not lost.
 */
#include "serial.h"

enum {
	REG_DATA = 0,		/* RBR, THR, or divisor low */
	REG_IER = 1,		/* or divisor high */
	REG_IIR_FCR = 2,
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCR = 7,
};

#define IER_RECEIVED	0x01
#define IER_THR_EMPTY	0x02
#define IER_LINE_STATUS	0x04
#define IER_MASK	0x0f
#define IIR_NONE	0x01
#define IIR_THR_EMPTY	0x02
#define IIR_RECEIVED	0x04
#define IIR_LINE_STATUS	0x06
#define IIR_FIFO	0xc0
#define FCR_ENABLE	0x01
#define FCR_CLEAR_RX	0x02
#define FCR_KEEP	0xc9
#define LCR_DLAB	0x80
#define MCR_DTR		0x01
#define MCR_RTS		0x02
#define MCR_OUT1	0x04
#define MCR_OUT2	0x08
#define MCR_LOOP	0x10
#define MCR_MASK	0x1f
#define LSR_DATA	0x01
#define LSR_BREAK	0x10
#define LSR_THR_EMPTY	0x20
#define LSR_IDLE	0x40
#define MSR_CTS		0x10
#define MSR_DSR		0x20
#define MSR_RI		0x40
#define MSR_DCD		0x80

void serial_init(struct serial *serial, struct output *output,
		 void (*set_irq)(void *data, bool level), void *irq_data)
{
	*serial = (struct serial) {
		.output = output,
		.set_irq = set_irq,
		.irq_data = irq_data,
		.divisor = { 1, 0 },
	};
	pthread_mutex_init(&serial->lock, NULL);
}

void serial_destroy(struct serial *serial)
{
	pthread_mutex_destroy(&serial->lock);
}

static uint8_t pending(const struct serial *serial)
{
	if (serial->got_break && serial->ier & IER_LINE_STATUS)
		return IIR_LINE_STATUS;
	if (serial->fifo_count && serial->ier & IER_RECEIVED)
		return IIR_RECEIVED;
	if (serial->thr_event && serial->ier & IER_THR_EMPTY)
		return IIR_THR_EMPTY;
	return IIR_NONE;
}

/* OUT2 gates the interrupt on a PC; the line is an ioctl, so only changes are told. */
static void update_line(struct serial *serial)
{
	bool level = pending(serial) != IIR_NONE;

	if (level == serial->line)
		return;
	serial->line = level;
	serial->set_irq(serial->irq_data, level);
}

static bool accepts_input(const struct serial *serial)
{
	return serial->mcr & MCR_RTS || serial->ier & IER_RECEIVED || !serial->mcr_written;
}

static void refill(struct serial *serial)
{
	if (!accepts_input(serial) || serial->mcr & MCR_LOOP)
		return;
	while (serial->backlog_count && serial->fifo_count < SERIAL_FIFO_BYTES) {
		serial->fifo[(serial->fifo_head + serial->fifo_count++) % SERIAL_FIFO_BYTES] =
			serial->backlog[serial->backlog_head];
		serial->backlog_head = (serial->backlog_head + 1) % SERIAL_BACKLOG_BYTES;
		serial->backlog_count--;
	}
}

static uint8_t read_data(struct serial *serial)
{
	uint8_t value = 0;

	if (serial->fifo_count) {
		value = serial->fifo[serial->fifo_head];
		serial->fifo_head = (serial->fifo_head + 1) % SERIAL_FIFO_BYTES;
		serial->fifo_count--;
	}
	if (!serial->fifo_count)
		refill(serial);
	return value;
}

static uint8_t read_iir(struct serial *serial)
{
	uint8_t value = pending(serial);

	if (value == IIR_THR_EMPTY)
		serial->thr_event = false;
	return value | (serial->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct serial *serial)
{
	uint8_t value = LSR_THR_EMPTY | LSR_IDLE;

	if (serial->fifo_count)
		value |= LSR_DATA;
	if (serial->got_break)
		value |= LSR_BREAK;
	serial->got_break = false;
	return value;
}

static uint8_t read_msr(const struct serial *serial)
{
	uint8_t value = 0;

	if (!(serial->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	if (serial->mcr & MCR_RTS)
		value |= MSR_CTS;
	if (serial->mcr & MCR_DTR)
		value |= MSR_DSR;
	if (serial->mcr & MCR_OUT1)
		value |= MSR_RI;
	if (serial->mcr & MCR_OUT2)
		value |= MSR_DCD;
	return value;
}

uint8_t serial_read(struct serial *serial, unsigned int reg)
{
	bool divisor;
	uint8_t value = 0xff;

	pthread_mutex_lock(&serial->lock);
	divisor = serial->lcr & LCR_DLAB;
	switch (reg) {
	case REG_DATA:
		value = divisor ? serial->divisor[0] : read_data(serial);
		break;
	case REG_IER:
		value = divisor ? serial->divisor[1] : serial->ier;
		break;
	case REG_IIR_FCR:
		value = read_iir(serial);
		break;
	case REG_LCR:
		value = serial->lcr;
		break;
	case REG_MCR:
		value = serial->mcr;
		break;
	case REG_LSR:
		value = read_lsr(serial);
		break;
	case REG_MSR:
		value = read_msr(serial);
		break;
	case REG_SCR:
		value = serial->scr;
		break;
	}
	update_line(serial);
	pthread_mutex_unlock(&serial->lock);
	return value;
}

/* Returns true if the byte is for the outside. */
static bool write_data(struct serial *serial, uint8_t value)
{
	serial->thr_event = true;
	if (!(serial->mcr & MCR_LOOP))
		return true;
	if (serial->fifo_count < SERIAL_FIFO_BYTES)
		serial->fifo[(serial->fifo_head + serial->fifo_count++) % SERIAL_FIFO_BYTES] =
			value;
	return false;
}

/* Returns true when the guest's driver stops waiting for the transmitter: it has no more. */
static bool write_ier(struct serial *serial, uint8_t value)
{
	uint8_t changed = serial->ier ^ (value & IER_MASK);

	serial->ier = value & IER_MASK;
	if (!(changed & IER_THR_EMPTY))
		return false;
	serial->thr_event = serial->ier & IER_THR_EMPTY;
	return !serial->thr_event;
}

static void write_fcr(struct serial *serial, uint8_t value)
{
	serial->fcr = value & FCR_KEEP;
	if (value & FCR_CLEAR_RX)
		serial->fifo_count = 0;
}

void serial_write(struct serial *serial, unsigned int reg, uint8_t value)
{
	bool divisor, put = false, flush = false;

	pthread_mutex_lock(&serial->lock);
	divisor = serial->lcr & LCR_DLAB;
	switch (reg) {
	case REG_DATA:
		if (divisor)
			serial->divisor[0] = value;
		else
			put = write_data(serial, value);
		break;
	case REG_IER:
		if (divisor)
			serial->divisor[1] = value;
		else
			flush = write_ier(serial, value);
		break;
	case REG_IIR_FCR:
		write_fcr(serial, value);
		break;
	case REG_LCR:
		serial->lcr = value;
		break;
	case REG_MCR:
		serial->mcr = value & MCR_MASK;
		serial->mcr_written = true;
		break;
	case REG_SCR:
		serial->scr = value;
		break;
	}
	refill(serial);
	update_line(serial);
	pthread_mutex_unlock(&serial->lock);
	if (put)
		output_put(serial->output, value);
	else if (flush)
		output_flush(serial->output);
}

size_t serial_receive(struct serial *serial, const uint8_t *bytes, size_t count)
{
	unsigned int tail;
	size_t taken = 0;

	pthread_mutex_lock(&serial->lock);
	while (taken < count && serial->backlog_count < SERIAL_BACKLOG_BYTES) {
		tail = (serial->backlog_head + serial->backlog_count++) % SERIAL_BACKLOG_BYTES;
		serial->backlog[tail] = bytes[taken++];
	}
	refill(serial);
	update_line(serial);
	pthread_mutex_unlock(&serial->lock);
	return taken;
}

size_t serial_room(struct serial *serial)
{
	size_t room;

	pthread_mutex_lock(&serial->lock);
	room = SERIAL_BACKLOG_BYTES - serial->backlog_count;
	pthread_mutex_unlock(&serial->lock);
	return room;
}

void serial_break(struct serial *serial)
{
	pthread_mutex_lock(&serial->lock);
	serial->got_break = true;
	/* With a break comes a NUL; a full FIFO drops it, as the chip would. */
	if (serial->fifo_count < SERIAL_FIFO_BYTES)
		serial->fifo[(serial->fifo_head + serial->fifo_count++) % SERIAL_FIFO_BYTES] = 0;
	update_line(serial);
	pthread_mutex_unlock(&serial->lock);
}
