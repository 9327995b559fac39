/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest that touches interrupt controllers on request, one access at a time, and writes down the
 * interrupts it takes: what the tests of the controllers drive. Interrupts are off in it but for
 * test_irq_window() and test_irq_halt().
 */
#ifndef TESTS_LIB_IRQ_H
#define TESTS_LIB_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#include "vm.h"

#define TEST_APIC_GPA		0xfee00000u
#define TEST_IOAPIC_GPA		0xfec00000u
#define TEST_X2APIC(offset)	(0x800u + ((offset) >> 4))
#define TEST_MSR_APIC_BASE	0x1bu
#define TEST_MSR_TSC_DEADLINE	0x6e0u

/* What the handler of every vector from 32 on does at its end. */
enum test_irq_eoi {
	TEST_EOI_NONE,
	TEST_EOI_X2APIC,
	TEST_EOI_XAPIC,
	TEST_EOI_PIC,		/* slave and master, non-specific */
	TEST_EOI_PV,		/* by the word of MSR_KVM_PV_EOI_EN, or else as in x2APIC mode */
};

/* What the guest finds in EDI, with operands in RSI and RDX, when TEST_PORT_SYNC lets it go. */
enum test_irq_command {
	TEST_IRQ_READ,
	TEST_IRQ_WRITE,
	TEST_IRQ_IN,
	TEST_IRQ_OUT,
	TEST_IRQ_RDMSR,
	TEST_IRQ_WRMSR,
	TEST_IRQ_WINDOW,
	TEST_IRQ_HALT,
	TEST_IRQ_SPIN,		/* from R8, for RSI ticks */
	TEST_IRQ_RDTSC,
	TEST_IRQ_CALL,		/* code at RSI, which returns */
};

/* Starts the guest in long mode; each vCPU has its own stack and its own list of interrupts. */
void test_irq_start(struct test_vcpu *vcpu, unsigned int id, enum test_irq_eoi eoi);
void test_irq_set_eoi(struct test_vcpu *vcpu, enum test_irq_eoi eoi);

/* Where TEST_EOI_PV looks, and how often it had to write EOI since the last clear. */
uint64_t test_irq_eoi_gpa(struct test_vcpu *vcpu);
unsigned int test_irq_eoi_writes(struct test_vcpu *vcpu);

/* One 32-bit access by the guest. */
uint32_t test_irq_read(struct test_vcpu *vcpu, uint64_t gpa);
void test_irq_write(struct test_vcpu *vcpu, uint64_t gpa, uint32_t value);
/* One access of 8 bits. */
uint8_t test_irq_in(struct test_vcpu *vcpu, uint16_t port);
void test_irq_out(struct test_vcpu *vcpu, uint16_t port, uint8_t value);
/* By the guest itself; false for #GP. */
bool test_irq_rdmsr(struct test_vcpu *vcpu, uint32_t msr, uint64_t *value);
bool test_irq_wrmsr(struct test_vcpu *vcpu, uint32_t msr, uint64_t value);
/* The same where #GP ends the test. */
uint64_t test_irq_msr(struct test_vcpu *vcpu, uint32_t msr);
void test_irq_set_msr(struct test_vcpu *vcpu, uint32_t msr, uint64_t value);
uint64_t test_irq_rdtsc(struct test_vcpu *vcpu);
/* Interrupts on for a moment, and on until one was taken. */
void test_irq_window(struct test_vcpu *vcpu);
void test_irq_halt(struct test_vcpu *vcpu);
/* Busy with interrupts off for so many guest TSC ticks. */
void test_irq_spin(struct test_vcpu *vcpu, uint64_t ticks);
/* For a RUN that the caller makes. */
void test_irq_begin_halt(struct test_vcpu *vcpu);
void test_irq_begin_wrmsr(struct test_vcpu *vcpu, uint32_t msr, uint64_t value);

/* How many interrupts were taken since the last clear, and which. */
unsigned int test_irq_count(struct test_vcpu *vcpu);
uint8_t test_irq_vector(struct test_vcpu *vcpu, unsigned int index);
void test_irq_clear(struct test_vcpu *vcpu);

/* KVM_IRQ_LINE_STATUS: its status. */
int test_irq_line(struct test_vm *vm, uint32_t gsi, int level);

#endif
