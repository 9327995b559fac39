// SPDX-License-Identifier: GPL-2.0
/*
 * The guest behind access.h: it stops at a port, finds address, value and direction in its
 * registers, does the access, and stops again.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "access.h"

#define PTE_PRESENT	0x01
#define PTE_WRITE	0x02
#define PTE_USER	0x04
#define PTE_LARGE	0x80

/* CR3 is loaded each time, so that test_access_map() needs no more. */
GUEST_CODE(access_guest,
	   "1: outb %al, $0xe0\n"
	   "mov %cr3, %rax\n"
	   "mov %rax, %cr3\n"
	   "test %rdx, %rdx\n"
	   "jnz 2f\n"
	   "mov (%rdi), %rsi\n"
	   "jmp 1b\n"
	   "2: mov %rsi, (%rdi)\n"
	   "jmp 1b\n");

void test_access_start(struct test_vcpu *vcpu)
{
	test_vcpu_long_mode(vcpu, GUEST_BLOB(access_guest));
	test_vcpu_run_to_sync(vcpu);
}

void test_access_map(struct test_vcpu *vcpu, uint64_t gva, uint64_t gpa)
{
	uint64_t *directories = test_vm_hva(vcpu->vm, TEST_PML4_GPA + 0x2000);

	directories[gva >> 21] = gpa | PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_LARGE;
}

static int run(struct test_vcpu *vcpu)
{
	return ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? -errno : 0;
}

static int try_access(struct test_vcpu *vcpu, uint64_t gva, uint64_t value, bool write)
{
	test_vcpu_set_command(vcpu, gva, value, write);
	return run(vcpu);
}

int test_access_try_read(struct test_vcpu *vcpu, uint64_t gva)
{
	return try_access(vcpu, gva, 0, false);
}

int test_access_try_write(struct test_vcpu *vcpu, uint64_t gva, uint64_t value)
{
	return try_access(vcpu, gva, value, true);
}

bool test_access_resume(struct test_vcpu *vcpu)
{
	return !run(vcpu) && test_vcpu_is_at(vcpu, TEST_PORT_SYNC);
}

uint64_t test_access_value(struct test_vcpu *vcpu)
{
	struct kvm_regs regs;

	test_vcpu_regs(vcpu, &regs);
	return regs.rsi;
}

static void access_or_die(struct test_vcpu *vcpu, uint64_t gva, uint64_t value, bool write)
{
	int ret = try_access(vcpu, gva, value, write);

	errno = -ret;
	if (ret || !test_vcpu_is_at(vcpu, TEST_PORT_SYNC))
		test_die("guest %s at %#llx: exit reason %u", write ? "write" : "read",
			 (unsigned long long)gva, vcpu->run->exit_reason);
}

uint64_t test_access_read(struct test_vcpu *vcpu, uint64_t gva)
{
	access_or_die(vcpu, gva, 0, false);
	return test_access_value(vcpu);
}

void test_access_write(struct test_vcpu *vcpu, uint64_t gva, uint64_t value)
{
	access_or_die(vcpu, gva, value, true);
}

bool test_access_is_mmio(struct test_vcpu *vcpu, uint64_t gpa, bool write)
{
	const struct kvm_run *run = vcpu->run;

	return run->exit_reason == KVM_EXIT_MMIO && run->mmio.phys_addr == gpa &&
	       run->mmio.len == 8 && !run->mmio.is_write == !write;
}
