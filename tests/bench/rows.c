// SPDX-License-Identifier: GPL-2.0
/* Owns the list of rows, in the order of the report, and what the files of rows share. */
#include <sched.h>
#include <stdlib.h>

#include "bench.h"

unsigned int bench_rounds = 201;

const struct bench_row *const bench_tables[] = {
	bench_exit_rows, bench_user_rows, bench_state_rows, bench_irq_rows, bench_pair_rows,
	bench_memory_rows, bench_life_rows, bench_boot_rows,
	bench_steer_rows, NULL,
};

unsigned int bench_rounds_at_most(unsigned int most)
{
	return bench_rounds < most ? bench_rounds : most;
}

struct test_vcpu *bench_vcpu_create(bool irqchip)
{
	struct test_vm *vm = irqchip ? test_vm_create_irqchip() : test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);

	test_vcpu_set_supported_cpuid(vcpu);
	*(uint32_t *)test_vm_hva(vm, BENCH_ROUNDS_GPA) = bench_rounds;
	return vcpu;
}

void bench_vcpu_free(struct test_vcpu *vcpu)
{
	struct test_vm *vm = vcpu->vm;

	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

uint64_t bench_loop(struct test_vcpu *vcpu, const struct bench_code *code, struct kvm_regs *regs)
{
	test_vcpu_long_mode(vcpu, code->start, code->end - code->start);
	test_vcpu_run_to_sync(vcpu);
	test_vcpu_run_to_sync(vcpu);
	test_vcpu_regs(vcpu, regs);
	return regs->rsi / bench_rounds;
}

void bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		test_die("CPU %d", cpu);
}
