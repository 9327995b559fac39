/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rows of "make bench": what one operation costs on the device that VITRINE_DEV names, in TSC
 * ticks. A row measures once a call; it ends the program (test_die()) where the operation did not
 * do what it is measured for.
 */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/vm.h"

/* The device says no to a capability that the row needs, or the machine has too few CPUs. */
#define BENCH_NOT_OFFERED	UINT64_MAX

/* What the report sums up: the first five are those of the geometric mean. */
#define BENCH_KERNEL		"in-kernel exits"
#define BENCH_USER		"userspace exits"
#define BENCH_IOEVENTFD		"ioeventfd"
#define BENCH_STATE		"GET/SET"
#define BENCH_RUN		"RUN"
#define BENCH_FLOOR		"floor"
#define BENCH_IRQ		"interrupts"
#define BENCH_MEMORY		"memory"
#define BENCH_DEBUG		"debug"
#define BENCH_LIFE		"life"
#define BENCH_BOOT		"boot"
#define BENCH_TOOL		"control tool"	/* not judged: KVM's side is another thing */

struct bench_row {
	const char *name;
	const char *group;
	uint64_t (*measure)(const struct bench_row *row);
	const void *arg;
	int op;
	unsigned int cpus;	/* CPUs of the machine that it takes; 0 is 1 */
	bool once;		/* a second measurement would find what the first left */
};

/* Guest code that loops over an operation, see BENCH_LOOP(). */
struct bench_code {
	const char *start;
	const char *end;
};

#define BENCH_CODE(name)	(&(const struct bench_code){ name, name##_end })

/* In the guest's data: the loop's count, then what the interrupt rows need. */
#define BENCH_ROUNDS		"0x10000"
#define BENCH_ROUNDS_GPA	TEST_DATA_GPA
#define BENCH_COUNTER		"0x10008"	/* interrupts taken */
#define BENCH_COUNTER_GPA	(TEST_DATA_GPA + 8)

#define BENCH_RDTSC(reg)	"rdtsc\nshl $32, %rdx\nor %rdx, %rax\nmov %rax, %" reg "\n"

/*
 * The count is in R15; ticks are left in RSI, RAX, RBX and RDX of the last round in R8 to R10.
 * @setup is executed once, @prepare before each loop; they and @op use the other registers.
 */
#define BENCH_LOOP(name, setup, prepare, op)				\
	GUEST_CODE(name,						\
		setup "1:\n" prepare					\
		BENCH_RDTSC("r14")					\
		"mov " BENCH_ROUNDS ", %r15d\n"				\
		"2:\n" op						\
		"dec %r15d\njnz 2b\n"					\
		"mov %rax, %r8\nmov %rbx, %r9\nmov %rdx, %r10\n"	\
		BENCH_RDTSC("rsi")					\
		"sub %r14, %rsi\n"					\
		GUEST_SYNC "jmp 1b\n")

/* How often an operation is repeated for one measurement: odd, so that a toggled bit shows. */
extern unsigned int bench_rounds;
/* An upper limit of it, for what takes long. */
unsigned int bench_rounds_at_most(unsigned int most);

/* VM and vCPU with all that KVM_GET_SUPPORTED_CPUID offers, and back. */
struct test_vcpu *bench_vcpu_create(bool irqchip);
void bench_vcpu_free(struct test_vcpu *vcpu);
/* Runs the loop twice; the ticks of one round in the second. */
uint64_t bench_loop(struct test_vcpu *vcpu, const struct bench_code *code, struct kvm_regs *regs);
/* Keeps the calling thread on @cpu. */
void bench_pin(int cpu);

/* Each ends with a row without a name. */
extern const struct bench_row bench_exit_rows[], bench_user_rows[], bench_irq_rows[],
	bench_pair_rows[], bench_state_rows[], bench_memory_rows[], bench_life_rows[],
	bench_boot_rows[], bench_steer_rows[];
extern const struct bench_row *const bench_tables[];

#endif
