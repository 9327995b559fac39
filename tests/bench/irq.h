/* SPDX-License-Identifier: GPL-2.0 */
/* What the rows of interrupts share: a vCPU in x2APIC mode whose handler counts. */
#ifndef TESTS_BENCH_IRQ_H
#define TESTS_BENCH_IRQ_H

#include "bench.h"

#define IRQ_VECTOR		0x40
#define IRQ_STOP		"0x10010"	/* another vCPU ends its loop */
#define IRQ_STOP_GPA		(TEST_DATA_GPA + 16)
#define IRQ_READY		"0x10014"	/* it has begun it */
#define IRQ_READY_GPA		(TEST_DATA_GPA + 20)
#define IRQ_HALTS		"0x10018"	/* how often its HLT ended */
#define IRQ_HALTS_GPA		(TEST_DATA_GPA + 24)
#define IRQ_MOST_ROUNDS		51

#define IRQ_MSR(msr, value) \
	"mov $" msr ", %ecx\nmov $" value ", %eax\nxor %edx, %edx\nwrmsr\n"
#define IRQ_APIC_ON		IRQ_MSR("0x80f", "0x1ff")
#define IRQ_DEADLINE_MODE	IRQ_MSR("0x832", "0x40040")
/* EBX counts the interrupts that there should have been. */
#define IRQ_WAIT		"8:\ncmp %ebx, " BENCH_COUNTER "\njne 8b\n"

enum irq_poll { IRQ_POLL_DEFAULT, IRQ_POLL_OFF };

/*
 * Sets up @code, at a place of its own for each @id, to run in long mode with the handler of
 * IRQ_VECTOR, which leaves the time in R13.
 */
void irq_vcpu_start(struct test_vcpu *vcpu, unsigned int id, const struct bench_code *code);
struct test_vm *irq_vm_create(void);
/* Two runs of the loop on @vcpu; RSI of the second, a round. */
uint64_t irq_loop(struct test_vcpu *vcpu);

/* For VMs to come: does a halted vCPU's thread poll? The second takes back what the first set. */
void irq_poll_set(enum irq_poll poll);
void irq_poll_restore(void);

static inline volatile uint32_t *irq_word(struct test_vm *vm, uint32_t gpa)
{
	return test_vm_hva(vm, gpa);
}

#endif
