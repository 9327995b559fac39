// SPDX-License-Identifier: GPL-2.0
/* Rows of interrupts that a vCPU sends to itself or has from its timer. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "irq.h"
#include "lib/apic.h"
#include "lib/irq.h"

#define CODE_BYTES		0x1000u
#define HANDLER_GPA		TEST_FREE_GPA
#define CODE_GPA(id)		(TEST_FREE_GPA + ((id) + 1) * CODE_BYTES)
#define STACK_BYTES		0x1000u
#define X2APIC_BASE		0xfee00c00u
#define APIC_BASE_BSP		0x100u

GUEST_CODE(irq_handler,
	   "push %rax\npush %rcx\npush %rdx\n" BENCH_RDTSC("r13")
	   "incl " BENCH_COUNTER "\n" IRQ_MSR("0x80b", "0")
	   "pop %rdx\npop %rcx\npop %rax\niretq\n");

/* RSI sums up what @op adds to it, R15 counts down. */
#define LOOP(name, setup, op)						\
	GUEST_CODE(name,						\
		IRQ_APIC_ON setup					\
		"1:\nmov " BENCH_ROUNDS ", %r15d\nmov " BENCH_COUNTER ", %ebx\nxor %esi, %esi\n" \
		"2:\ninc %ebx\n" op					\
		"dec %r15d\njnz 2b\n" GUEST_SYNC "jmp 1b\n")
#define START		BENCH_RDTSC("r12")
#define DONE		BENCH_RDTSC("r13") "sub %r12, %r13\nadd %r13, %rsi\n"
#define LATE		"sub %r12, %r13\nadd %r13, %rsi\n"
#define SELF_IPI	IRQ_MSR("0x83f", "0x40")
#define DEADLINE_IN(ticks)						\
	BENCH_RDTSC("r12") "add $" ticks ", %r12\nmov %r12, %rax\nmov %r12, %rdx\n" \
	"shr $32, %rdx\nmov $0x6e0, %ecx\nwrmsr\n"

LOOP(guest_self, "sti\n", START SELF_IPI IRQ_WAIT DONE);
LOOP(guest_self_hlt, "", "cli\n" START SELF_IPI "sti\nhlt\n" IRQ_WAIT DONE);
LOOP(guest_timer, IRQ_DEADLINE_MODE "sti\n", DEADLINE_IN("5000") IRQ_WAIT LATE);
/* 100 us: within what a host polls for at most, so that it may learn to. */
LOOP(guest_timer_hlt, IRQ_DEADLINE_MODE, "cli\n" DEADLINE_IN("10000") "sti\nhlt\n" IRQ_WAIT LATE);

static char poll_before[32];

static const char *poll_path(void)
{
	return test_on_kvm() ? "/sys/module/kvm/parameters/halt_poll_ns" :
			       "/sys/module/vitrine/parameters/halt_poll_ns";
}

void irq_poll_set(enum irq_poll poll)
{
	int fd;

	poll_before[0] = 0;
	if (poll == IRQ_POLL_DEFAULT)
		return;
	fd = open(poll_path(), O_RDWR);
	if (fd < 0)
		return;		/* it never polls */
	if (read(fd, poll_before, sizeof(poll_before) - 1) < 1 || pwrite(fd, "0", 1, 0) != 1)
		test_die("%s", poll_path());
	close(fd);
}

void irq_poll_restore(void)
{
	int fd;

	if (!poll_before[0])
		return;
	fd = open(poll_path(), O_WRONLY);
	if (fd < 0 || write(fd, poll_before, strlen(poll_before)) < 1)
		test_die("%s", poll_path());
	close(fd);
}

struct test_vm *irq_vm_create(void)
{
	struct test_vm *vm = test_vm_create_irqchip();
	uint64_t *gate = (uint64_t *)test_vm_hva(vm, TEST_IDT_GPA) + 2 * IRQ_VECTOR;

	memcpy(test_vm_hva(vm, HANDLER_GPA), irq_handler, irq_handler_end - irq_handler);
	/* Present 64-bit interrupt gate. */
	gate[0] = (HANDLER_GPA & 0xffff) | TEST_CS << 16 | 0x8eull << 40 |
		  (uint64_t)(HANDLER_GPA >> 16) << 48;
	gate[1] = 0;
	*irq_word(vm, BENCH_ROUNDS_GPA) = bench_rounds_at_most(IRQ_MOST_ROUNDS);
	return vm;
}

void irq_vcpu_start(struct test_vcpu *vcpu, unsigned int id, const struct bench_code *code)
{
	const size_t bytes = code->end - code->start;
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	apic_set_cpuid(vcpu);
	if (test_vcpu_set_msr(vcpu, TEST_MSR_APIC_BASE,
			      X2APIC_BASE | (id ? 0 : APIC_BASE_BSP)) != 1)
		test_die("x2APIC mode");
	if (ioctl(vcpu->fd, KVM_SET_MP_STATE, &state))
		test_die("KVM_SET_MP_STATE");
	if (bytes > CODE_BYTES)
		test_die("%zu bytes of code", bytes);
	test_vcpu_long_mode(vcpu, code->start, bytes);
	memcpy(test_vm_hva(vcpu->vm, CODE_GPA(id)), code->start, bytes);
	test_vcpu_sregs(vcpu, &sregs);
	sregs.idt.limit = (IRQ_VECTOR + 1) * 16 - 1;
	test_vcpu_set_sregs(vcpu, &sregs);
	test_vcpu_regs(vcpu, &regs);
	regs.rip = CODE_GPA(id);
	regs.rsp -= id * STACK_BYTES;
	test_vcpu_set_regs(vcpu, &regs);
}

uint64_t irq_loop(struct test_vcpu *vcpu)
{
	uint32_t rounds = *irq_word(vcpu->vm, BENCH_ROUNDS_GPA);
	struct kvm_regs regs;

	test_vcpu_run_to_sync(vcpu);
	test_vcpu_run_to_sync(vcpu);
	test_vcpu_regs(vcpu, &regs);
	if (*irq_word(vcpu->vm, BENCH_COUNTER_GPA) != 2 * rounds)
		test_die("%u interrupts instead of %u", *irq_word(vcpu->vm, BENCH_COUNTER_GPA),
			 2 * rounds);
	return regs.rsi / rounds;
}

static uint64_t alone(const struct bench_row *row)
{
	struct test_vcpu *vcpu;
	struct test_vm *vm;
	uint64_t ticks;

	irq_poll_set(row->op);
	vm = irq_vm_create();
	vcpu = test_vcpu_create(vm, 0);
	irq_vcpu_start(vcpu, 0, row->arg);
	ticks = irq_loop(vcpu);
	bench_vcpu_free(vcpu);
	irq_poll_restore();
	return ticks;
}

const struct bench_row bench_irq_rows[] = {
	{ "self-IPI and EOI", BENCH_IRQ, alone, BENCH_CODE(guest_self) },
	{ "self-IPI, HLT and EOI, no polling", BENCH_IRQ, alone, BENCH_CODE(guest_self_hlt),
	  IRQ_POLL_OFF },
	{ "self-IPI, HLT and EOI", BENCH_IRQ, alone, BENCH_CODE(guest_self_hlt) },
	{ "timer to handler, running", BENCH_IRQ, alone, BENCH_CODE(guest_timer) },
	{ "timer to handler, HLT, no polling", BENCH_IRQ, alone, BENCH_CODE(guest_timer_hlt),
	  IRQ_POLL_OFF },
	{ "timer to handler, HLT", BENCH_IRQ, alone, BENCH_CODE(guest_timer_hlt) },
	{}
};
