/* SPDX-License-Identifier: GPL-2.0 */
/* I/O ports and the TSC for the loader (32-bit) and PID 1 (64-bit). Freestanding: no libc here. */
#ifndef VITRINE_LAB_PORT_H
#define VITRINE_LAB_PORT_H

static inline void out8(unsigned short port, unsigned char value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline unsigned char in8(unsigned short port)
{
	unsigned char value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void out_bytes(unsigned short port, const void *from, unsigned long bytes)
{
	asm volatile("rep outsb" : "+S"(from), "+c"(bytes) : "d"(port) : "memory");
}

static inline unsigned long long read_tsc(void)
{
	unsigned int lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (unsigned long long)hi << 32 | lo;
}

#endif
