// SPDX-License-Identifier: GPL-2.0
/* Rows of ioctls on a vCPU, and the host's own floor: a system call, an ioctl that does nothing. */
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <x86intrin.h>

#include "bench.h"

#define WARM_UP		10

GUEST_CODE(guest_sync, GUEST_SYNC "1: jmp 1b\n");

enum { GETPPID, CHECK_EXTENSION, GET_REGS, SET_REGS, GET_SREGS, SET_SREGS };

static uint64_t on_host(const struct bench_row *row)
{
	struct test_vcpu *vcpu = bench_vcpu_create(false);
	unsigned int i, failed = 0, last = bench_rounds + WARM_UP - 1;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	uint64_t start = 0;
	bool done = true;

	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_sync));
	test_vcpu_run_to_sync(vcpu);
	test_vcpu_regs(vcpu, &regs);
	test_vcpu_sregs(vcpu, &sregs);
	for (i = 0; i <= last; i++) {
		if (i == WARM_UP)
			start = __rdtsc();
		switch (row->op) {
		case GETPPID:
			getppid();
			break;
		case CHECK_EXTENSION:
			failed += ioctl(vcpu->vm->dev_fd, KVM_CHECK_EXTENSION,
					KVM_CAP_USER_MEMORY) != 1;
			break;
		case GET_REGS:
			regs.rsp = 0;
			failed += ioctl(vcpu->fd, KVM_GET_REGS, &regs) != 0;
			break;
		case SET_REGS:
			regs.rbx = i;
			failed += ioctl(vcpu->fd, KVM_SET_REGS, &regs) != 0;
			break;
		case GET_SREGS:
			sregs.cr3 = 0;
			failed += ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) != 0;
			break;
		case SET_SREGS:
			sregs.cr2 = i;
			failed += ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) != 0;
			break;
		}
	}
	start = (__rdtsc() - start) / bench_rounds;

	if (row->op == GET_REGS) {
		done = regs.rsp == TEST_STACK_GPA;
	} else if (row->op == SET_REGS) {
		test_vcpu_regs(vcpu, &regs);
		done = regs.rbx == last;
	} else if (row->op == GET_SREGS) {
		done = sregs.cr3 == TEST_PML4_GPA;
	} else if (row->op == SET_SREGS) {
		test_vcpu_sregs(vcpu, &sregs);
		done = sregs.cr2 == last;
	}
	if (failed || !done)
		test_die("%s: %u failed, or not what was set", row->name, failed);
	bench_vcpu_free(vcpu);
	return start;
}

const struct bench_row bench_state_rows[] = {
	{ "GET_REGS", BENCH_STATE, on_host, .op = GET_REGS },
	{ "SET_REGS", BENCH_STATE, on_host, .op = SET_REGS },
	{ "GET_SREGS", BENCH_STATE, on_host, .op = GET_SREGS },
	{ "SET_SREGS", BENCH_STATE, on_host, .op = SET_SREGS },
	{ "getppid, the floor", BENCH_FLOOR, on_host, .op = GETPPID },
	{ "ioctl that does nothing", BENCH_FLOOR, on_host, .op = CHECK_EXTENSION },
	{}
};
