// SPDX-License-Identifier: GPL-2.0
/*
 * What the guest finds at its I/O ports: a serial port, a clock, the ACPI registers, the ways
 * to reset; and nothing else: unknown ports and addresses read all ones and swallow writes.
 * They are counted, or end the run with --strict.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "machine.h"

#define PORT_I8042_DATA		0x60
#define PORT_B			0x61
#define PORT_I8042_COMMAND	0x64
#define PORT_RTC_INDEX		0x70
#define PORT_RTC_DATA		0x71
#define PORT_POST		0x80
#define PORT_SERIAL		0x3f8
#define PORT_PCI_ADDRESS	0xcf8
#define PORT_PCI_END		0xd00

#define I8042_PULSE_RESET	0xfe
#define I8042_STATUS_EMPTY	0x00
#define RESET_CPU		0x04
#define PORT_B_REFRESH		0x10
#define PORT_B_TIMER2_OUT	0x20
#define PORT_B_WRITABLE		0x0f

#define PM1_SCI_ENABLE		0x0001
#define PM1_SLEEP_ENABLE	0x2000
#define PM1_SLEEP_TYPE(value)	((value) >> 10 & 7)

#define RTC_REG_B_24H		0x02
#define RTC_REG_D_VALID		0x80

static uint8_t bcd(int value)
{
	return (uint8_t)(value / 10 << 4 | value % 10);
}

/* The MC146818's registers that a guest needs for the time; never "update in progress". */
static uint8_t rtc_read(uint8_t index)
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	switch (index) {
	case 0x00:
		return bcd(tm.tm_sec);
	case 0x02:
		return bcd(tm.tm_min);
	case 0x04:
		return bcd(tm.tm_hour);
	case 0x06:
		return bcd(tm.tm_wday + 1);
	case 0x07:
		return bcd(tm.tm_mday);
	case 0x08:
		return bcd(tm.tm_mon + 1);
	case 0x09:
		return bcd(tm.tm_year % 100);
	case 0x0a:
		return 0x26;	/* 32.768 kHz, 1024 Hz: what firmware leaves there */
	case 0x0b:
		return RTC_REG_B_24H;
	case 0x0d:
		return RTC_REG_D_VALID;
	case 0x32:
		return bcd((tm.tm_year + 1900) / 100);
	default:
		return 0;
	}
}

static int reset(struct machine *machine)
{
	machine_finish(machine, END_RESET, NULL);
	return VITRINE_END_MACHINE;
}

__attribute__((format(printf, 3, 4)))
static int unknown(struct machine *machine, uint64_t *counter, const char *format, ...)
{
	char text[80];
	va_list args;

	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
	if (!machine->options->strict)
		return VITRINE_RESUME;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	machine_finish(machine, END_STRICT, text);
	return VITRINE_END_MACHINE;
}

static int write_pm1_control(struct machine *machine, uint16_t value)
{
	machine->pm1_control = value;
	if (!(value & PM1_SLEEP_ENABLE) || PM1_SLEEP_TYPE(value) != VITRINE_ACPI_S5_TYPE)
		return VITRINE_RESUME;
	machine_finish(machine, END_POWER_OFF, NULL);
	return VITRINE_END_MACHINE;
}

/* Reads of what is known; false for what is not. @value comes in as all ones. */
static bool read_port(struct machine *machine, uint16_t port, uint32_t *value)
{
	switch (port) {
	case PORT_I8042_DATA:
	case PORT_I8042_COMMAND:
		*value = I8042_STATUS_EMPTY;
		return true;
	case PORT_B:
		/* The refresh bit toggles; timer 2's output is taken as expired. */
		machine->port61 ^= PORT_B_REFRESH;
		*value = machine->port61 | PORT_B_TIMER2_OUT;
		return true;
	case PORT_RTC_INDEX:
		return true;
	case PORT_RTC_DATA:
		*value = rtc_read(machine->rtc_index);
		return true;
	case VITRINE_ACPI_PM1_EVENT:
		*value = machine->pm1_status | (uint32_t)machine->pm1_enable << 16;
		return true;
	case VITRINE_ACPI_PM1_EVENT + 2:
		*value = machine->pm1_enable;
		return true;
	case VITRINE_ACPI_PM1_CONTROL:
		*value = machine->pm1_control | PM1_SCI_ENABLE;
		return true;
	default:
		return port == PORT_POST || (port >= PORT_PCI_ADDRESS && port < PORT_PCI_END);
	}
}

/* Writes to what is known; *known tells. */
static int write_port(struct machine *machine, uint16_t port, uint32_t value, bool *known)
{
	switch (port) {
	case PORT_I8042_DATA:
	case PORT_POST:
		return VITRINE_RESUME;
	case PORT_I8042_COMMAND:
		return (uint8_t)value == I8042_PULSE_RESET ? reset(machine) : VITRINE_RESUME;
	case PORT_B:
		machine->port61 = value & PORT_B_WRITABLE;
		return VITRINE_RESUME;
	case PORT_RTC_INDEX:
		/* The top bit masks NMIs on a PC; none come from here. */
		machine->rtc_index = value & 0x7f;
		return VITRINE_RESUME;
	case PORT_RTC_DATA:
		return VITRINE_RESUME;
	case VITRINE_ACPI_PM1_EVENT:
		/* No event is ever pending: clearing status bits changes nothing. */
		return VITRINE_RESUME;
	case VITRINE_ACPI_PM1_EVENT + 2:
		machine->pm1_enable = (uint16_t)value;
		return VITRINE_RESUME;
	case VITRINE_ACPI_PM1_CONTROL:
		return write_pm1_control(machine, (uint16_t)value);
	case VITRINE_ACPI_RESET:
		return value & RESET_CPU ? reset(machine) : VITRINE_RESUME;
	default:
		*known = port >= PORT_PCI_ADDRESS && port < PORT_PCI_END;
		return VITRINE_RESUME;
	}
}

static int access_one(struct machine *machine, const struct vitrine_io *io, uint8_t *data)
{
	uint32_t value = UINT32_MAX;
	bool known = true;
	int ret = VITRINE_RESUME;

	if (io->out) {
		value = 0;
		memcpy(&value, data, io->size);
		ret = write_port(machine, io->port, value, &known);
	} else {
		known = read_port(machine, io->port, &value);
		memcpy(data, &value, io->size);
	}
	if (known)
		return ret;
	return unknown(machine, &machine->unknown_io, "%s port 0x%x, %u bytes",
		       io->out ? "write to" : "read from", io->port, io->size);
}

/* Its registers are bytes; a wider access reaches the neighbours too, as on the ISA bus. */
static void access_serial(struct machine *machine, const struct vitrine_io *io, uint8_t *data)
{
	unsigned int i, reg;

	for (i = 0; i < io->size; i++) {
		reg = io->port - PORT_SERIAL + i;
		if (reg > 7)
			data[i] = io->out ? data[i] : 0xff;
		else if (io->out)
			serial_write(&machine->serial, reg, data[i]);
		else
			data[i] = serial_read(&machine->serial, reg);
	}
}

int port_access(struct vitrine_vcpu *vcpu, const struct vitrine_io *io, void *cpu)
{
	struct machine *machine = ((struct machine_cpu *)cpu)->machine;
	uint8_t *data = io->data;
	uint32_t i;
	int ret;

	(void)vcpu;
	for (i = 0; i < io->count; i++, data += io->size) {
		if (io->port >= PORT_SERIAL && io->port < PORT_SERIAL + 8) {
			access_serial(machine, io, data);
			continue;
		}
		ret = access_one(machine, io, data);
		if (ret != VITRINE_RESUME)
			return ret;
	}
	return VITRINE_RESUME;
}

int mmio_access(struct vitrine_vcpu *vcpu, const struct vitrine_mmio *mmio, void *cpu)
{
	struct machine *machine = ((struct machine_cpu *)cpu)->machine;

	(void)vcpu;
	if (!mmio->write)
		memset(mmio->data, 0xff, mmio->size);
	return unknown(machine, &machine->unknown_mmio, "%s address 0x%llx, %u bytes",
		       mmio->write ? "write to" : "read from", (unsigned long long)mmio->gpa,
		       mmio->size);
}
