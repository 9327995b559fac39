// SPDX-License-Identifier: GPL-2.0
/* Rows of exits to userspace and back: one KVM_RUN each, completed by the next. */
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <x86intrin.h>

#include "bench.h"

#define WARM_UP		10

GUEST_CODE(guest_out, "1:\ninc %eax\nout %al, $0x42\njmp 1b\n");
GUEST_CODE(guest_in, "1:\nin $0x42, %al\nmovzbl %al, %ecx\nadd %rcx, %rbx\njmp 1b\n");
GUEST_CODE(guest_mmio_write, "mov $0x40000000, %edx\n1:\ninc %eax\nmov %eax, (%rdx)\njmp 1b\n");
GUEST_CODE(guest_mmio_read,
	   "mov $0x40000000, %edx\n1:\nmov (%rdx), %eax\nadd %rax, %rbx\njmp 1b\n");
GUEST_CODE(guest_nops, ".rept 1000\nnop\n.endr\n1: jmp 1b\n");

enum { OUT, IN, MMIO_WRITE, MMIO_READ };

/* What the device answers, or where the guest's data is. */
static void *data_of(struct kvm_run *run, int op)
{
	if (op == OUT || op == IN)
		return (char *)run + run->io.data_offset;
	return run->mmio.data;
}

static uint64_t to_user(const struct bench_row *row)
{
	const struct bench_code *code = row->arg;
	struct test_vcpu *vcpu = bench_vcpu_create(false);
	uint64_t start = 0, sum = 0, got;
	unsigned int i, last = bench_rounds + WARM_UP;
	struct kvm_regs regs;
	uint8_t *data;

	test_vcpu_long_mode(vcpu, code->start, code->end - code->start);
	test_vcpu_run(vcpu);
	data = data_of(vcpu->run, row->op);
	for (i = 1; i < last; i++) {
		if (i == WARM_UP)
			start = __rdtsc();
		if (row->op == IN || row->op == MMIO_READ)
			*data = i;
		if (ioctl(vcpu->fd, KVM_RUN, 0))
			test_die("KVM_RUN");
	}
	start = (__rdtsc() - start) / bench_rounds;

	if (vcpu->run->exit_reason !=
	    (row->op == OUT || row->op == IN ? KVM_EXIT_IO : KVM_EXIT_MMIO))
		test_die("%s: exit reason %u", row->name, vcpu->run->exit_reason);
	test_vcpu_regs(vcpu, &regs);
	if (row->op == OUT || row->op == MMIO_WRITE) {
		/* The last write, which counts all. */
		got = *data;
		sum = (uint8_t)last;
	} else {
		/* The last read waits for its answer. */
		got = regs.rbx;
		for (i = 1; i < last; i++)
			sum += (uint8_t)i;
	}
	if (got != sum)
		test_die("%s: %llu instead of %llu", row->name, (unsigned long long)got,
			 (unsigned long long)sum);
	bench_vcpu_free(vcpu);
	return start;
}

static uint64_t immediate_exit(const struct bench_row *row)
{
	struct test_vcpu *vcpu = bench_vcpu_create(false);
	unsigned int i, ended = 0;
	uint64_t start = 0;

	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_out));
	test_vcpu_run(vcpu);
	vcpu->run->immediate_exit = 1;
	for (i = 0; i < bench_rounds + WARM_UP; i++) {
		if (i == WARM_UP)
			start = __rdtsc();
		ended += ioctl(vcpu->fd, KVM_RUN, 0) < 0;
	}
	start = (__rdtsc() - start) / bench_rounds;
	if (ended != bench_rounds + WARM_UP)
		test_die("%s: %u RUNs ended by it", row->name, ended);
	bench_vcpu_free(vcpu);
	return start;
}

static uint64_t step(const struct bench_row *row)
{
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };
	struct test_vcpu *vcpu = bench_vcpu_create(false);
	uint64_t start, first;
	unsigned int i;

	if (!test_check_extension(vcpu->vm->dev_fd, KVM_CAP_SET_GUEST_DEBUG)) {
		bench_vcpu_free(vcpu);
		return BENCH_NOT_OFFERED;
	}
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_nops));
	if (ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug))
		test_die("KVM_SET_GUEST_DEBUG");
	/* The first may report without having moved, as what they need is not yet there. */
	for (i = 0; i < WARM_UP; i++)
		test_vcpu_run(vcpu);
	first = vcpu->run->debug.arch.pc;
	start = __rdtsc();
	for (i = 0; i < bench_rounds; i++)
		if (ioctl(vcpu->fd, KVM_RUN, 0) || vcpu->run->exit_reason != KVM_EXIT_DEBUG)
			test_die("exit reason %u", vcpu->run->exit_reason);
	start = (__rdtsc() - start) / bench_rounds;
	if (vcpu->run->debug.arch.pc - first != bench_rounds)
		test_die("%s: from %#llx to %#llx", row->name, (unsigned long long)first,
			 vcpu->run->debug.arch.pc);
	bench_vcpu_free(vcpu);
	return start;
}

const struct bench_row bench_user_rows[] = {
	{ "OUT to userspace and back", BENCH_USER, to_user, BENCH_CODE(guest_out), OUT },
	{ "IN to userspace and back", BENCH_USER, to_user, BENCH_CODE(guest_in), IN },
	{ "MMIO write to userspace and back", BENCH_USER, to_user, BENCH_CODE(guest_mmio_write),
	  MMIO_WRITE },
	{ "MMIO read to userspace and back", BENCH_USER, to_user, BENCH_CODE(guest_mmio_read),
	  MMIO_READ },
	{ "RUN with immediate_exit", BENCH_RUN, immediate_exit },
	{ "single-step, per instruction", BENCH_DEBUG, step },
	{}
};
