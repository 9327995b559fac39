// SPDX-License-Identifier: GPL-2.0
/*
 * Debug registers of the guest and breakpoints of the VMM: KVM_GET/SET_DEBUGREGS,
 * KVM_SET_GUEST_DEBUG, MOV DR and #DB in the guest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/vm.h"

#define DR6_INIT	0xffff0ff0ull
#define DR6_BS		(1ull << 14)
#define DR6_BD		(1ull << 13)
#define DR7_INIT	0x400ull
#define DR7_GD		(1ull << 13)
#define RFLAGS_TF	(1ull << 8)
#define RFLAGS_IF	(1ull << 9)
#define DB		1
#define BP		3
#define UD		6
#define GP		13

FIXTURE(debugregs) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
};

FIXTURE_SETUP(debugregs)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
}

FIXTURE_TEARDOWN(debugregs)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

static int guest_debug(struct test_vcpu *vcpu, uint32_t control, uint64_t dr0, uint64_t dr7)
{
	struct kvm_guest_debug dbg = { .control = control };

	dbg.arch.debugreg[0] = dr0;
	dbg.arch.debugreg[7] = dr7;
	return ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &dbg) ? -errno : 0;
}

TEST_F(debugregs, round_trip)
{
	struct kvm_debugregs regs, back;

	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_DEBUGREGS, &regs));
	EXPECT_EQ(0, regs.db[0] | regs.db[1] | regs.db[2] | regs.db[3]);
	EXPECT_EQ(DR6_INIT, regs.dr6);
	EXPECT_EQ(DR7_INIT, regs.dr7);
	EXPECT_EQ(0, regs.flags);
	regs.db[0] = 0x1000;
	regs.db[3] = 0xffff800000001000;
	regs.dr6 = DR6_INIT | DR6_BS | 1;
	regs.dr7 = DR7_INIT | 0x55;
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_DEBUGREGS, &regs));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_DEBUGREGS, &back));
	EXPECT_EQ(0, memcmp(&regs, &back, sizeof(regs)));
}

TEST_F(debugregs, refusals)
{
	struct kvm_debugregs good, bad;

	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_DEBUGREGS, &good));
	bad = good;
	bad.flags = 1;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_DEBUGREGS, &bad));
	EXPECT_EQ(EINVAL, errno);
	bad = good;
	bad.dr6 |= 1ull << 32;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_DEBUGREGS, &bad));
	EXPECT_EQ(EINVAL, errno);
	bad = good;
	bad.dr7 |= 1ull << 63;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_DEBUGREGS, &bad));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_DEBUGREGS, (void *)1));
	EXPECT_EQ(EFAULT, errno);
}

TEST_F(debugregs, guest_debug_unknown_control)
{
	if (test_on_kvm())
		SKIP(return, "KVM takes any control");
	EXPECT_EQ(-EINVAL, guest_debug(self->vcpu, KVM_GUESTDBG_ENABLE | 1 << 5, 0, 0));
	EXPECT_EQ(-EINVAL, guest_debug(self->vcpu, 1u << 31, 0, 0));
	EXPECT_EQ(0, guest_debug(self->vcpu, 0, 0, 0));
}

GUEST_CODE(guest_mov_dr,
	   "mov $0x1234567000, %rax\n"
	   "mov %rax, %dr0\n"
	   "inc %rax\n"
	   "mov %rax, %dr3\n"
	   "mov $0x455, %eax\n"
	   "mov %rax, %dr7\n"
	   "xor %eax, %eax\n"
	   "mov %rax, %dr6\n"
	   "mov %dr0, %r8\n"
	   "mov %dr3, %r9\n"
	   "mov %dr6, %r10\n"
	   "mov %dr7, %r11\n"
	   /* DR4 is DR6 while CR4.DE is clear. */
	   "mov %db4, %r12\n"
	   GUEST_SYNC
	   "mov %dr0, %r8\n"
	   "mov %dr7, %r11\n"
	   GUEST_SYNC);

TEST_F(debugregs, guest_mov)
{
	struct kvm_debugregs dr;
	struct kvm_regs regs;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_mov_dr));
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0x1234567000, regs.r8);
	EXPECT_EQ(0x1234567001, regs.r9);
	EXPECT_EQ(DR6_INIT, regs.r10);
	EXPECT_EQ(0x455, regs.r11);
	EXPECT_EQ(DR6_INIT, regs.r12);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_DEBUGREGS, &dr));
	EXPECT_EQ(0x1234567000, dr.db[0]);
	EXPECT_EQ(0x1234567001, dr.db[3]);
	EXPECT_EQ(DR6_INIT, dr.dr6);
	EXPECT_EQ(0x455, dr.dr7);
	dr.db[0] = 0x777000;
	dr.dr7 = DR7_INIT;
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_DEBUGREGS, &dr));
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0x777000, regs.r8);
	EXPECT_EQ(DR7_INIT, regs.r11);
}

GUEST_CODE(guest_bad_dr,
	   "cmp $1, %edi\n"
	   "je 1f\n"
	   "cmp $2, %edi\n"
	   "je 2f\n"
	   "mov %db4, %rax\n"
	   GUEST_SYNC
	   "1: mov $1, %rax\n"
	   "shl $32, %rax\n"
	   "mov %rax, %dr7\n"
	   GUEST_SYNC
	   "2: mov $1, %rax\n"
	   "shl $32, %rax\n"
	   "mov %rax, %dr6\n"
	   GUEST_SYNC);

TEST_F(debugregs, guest_mov_faults)
{
	struct test_exception exception;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	for (int which = 0; which < 3; which++) {
		test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_bad_dr));
		test_vcpu_sregs(self->vcpu, &sregs);
		sregs.cr4 |= 1 << 3;					/* DE */
		test_vcpu_set_sregs(self->vcpu, &sregs);
		test_vcpu_regs(self->vcpu, &regs);
		regs.rdi = which;
		test_vcpu_set_regs(self->vcpu, &regs);
		test_vcpu_run_to_exception(self->vcpu, &exception);
		EXPECT_EQ(which ? GP : UD, exception.vector);
	}
}

GUEST_CODE(guest_own_breakpoint,
	   "lea 1f(%rip), %rax\n"
	   "mov %rax, %dr0\n"
	   "mov $0x10000, %eax\n"
	   "mov %rax, %dr1\n"
	   /* DR0: execution; DR1: write of four bytes. */
	   "mov $0xd0040a, %eax\n"
	   "or $0x401, %eax\n"
	   "mov %rax, %dr7\n"
	   "1: nop\n"
	   "movl $5, 0x10000\n"
	   "2: nop\n"
	   GUEST_DONE);

/* Breakpoints that the guest sets for itself, told by its own #DB and DR6. */
TEST_F(debugregs, guest_own_breakpoints)
{
	struct test_exception exception;
	struct kvm_debugregs dr;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_own_breakpoint));
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(DB, exception.vector);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_DEBUGREGS, &dr));
	EXPECT_EQ(exception.rip, dr.db[0]);
	EXPECT_EQ(1, dr.dr6 & 0xf);
	/* It would be hit again: on without it. */
	dr.dr7 &= ~3ull;
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_DEBUGREGS, &dr));
	test_vcpu_return_to(self->vcpu, exception.rip);
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(DB, exception.vector);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_DEBUGREGS, &dr));
	EXPECT_EQ(2, dr.dr6 & 0xf);
	EXPECT_EQ(5, *(uint32_t *)test_vm_hva(self->vm, TEST_DATA_GPA));
	test_vcpu_return_to(self->vcpu, exception.rip);
	test_vcpu_run_to_done(self->vcpu);
}

GUEST_CODE(guest_trap_flag,
	   "pushfq\n"
	   "orl $0x100, (%rsp)\n"
	   "popfq\n"
	   "1: mov $1, %eax\n"
	   "2: cpuid\n"
	   "3: mov $3, %eax\n"
	   GUEST_DONE);

/* The guest steps itself, also over an instruction that exits. */
TEST_F(debugregs, guest_own_single_step)
{
	struct test_exception exception;
	struct kvm_debugregs dr;
	uint64_t at[3];

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_trap_flag));
	for (int i = 0; i < 3; i++) {
		test_vcpu_run_to_exception(self->vcpu, &exception);
		EXPECT_EQ(DB, exception.vector);
		at[i] = exception.rip;
		ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_DEBUGREGS, &dr));
		EXPECT_EQ(DR6_BS, dr.dr6 & DR6_BS);
		test_vcpu_return_to(self->vcpu, exception.rip);
	}
	/* POPF itself is not followed by one: the first is at the end of the MOV. */
	EXPECT_EQ(2, at[1] - at[0]);
	EXPECT_EQ(5, at[2] - at[1]);
}

GUEST_CODE(guest_general_detect,
	   "mov $0x2400, %eax\n"
	   "mov %rax, %dr7\n"
	   "mov %dr0, %rbx\n"
	   GUEST_DONE);

TEST_F(debugregs, guest_general_detect)
{
	struct test_exception exception;
	struct kvm_debugregs dr;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_general_detect));
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(DB, exception.vector);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_DEBUGREGS, &dr));
	EXPECT_EQ(DR6_BD, dr.dr6 & DR6_BD);
	EXPECT_EQ(0, dr.dr7 & DR7_GD);
	/* With it off, the access goes through. */
	test_vcpu_return_to(self->vcpu, exception.rip);
	test_vcpu_run_to_done(self->vcpu);
}

GUEST_CODE(guest_debugged,
	   "nop\n"
	   "int3\n"
	   "nop\n"
	   "mov $7, %ebx\n"
	   "movl $1, 0x10000\n"
	   "nop\n"
	   GUEST_DONE);

/* The VMM's breakpoints end KVM_RUN and leave the guest's debug registers alone. */
TEST_F(debugregs, vmm_software_breakpoint)
{
	struct test_exception exception;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_debugged));
	ASSERT_EQ(0, guest_debug(self->vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP, 0, 0));
	ASSERT_EQ(KVM_EXIT_DEBUG, test_vcpu_run(self->vcpu));
	EXPECT_EQ(BP, self->vcpu->run->debug.arch.exception);
	EXPECT_EQ(TEST_CODE_GPA + 1, self->vcpu->run->debug.arch.pc);
	/* Turned off, it is the guest's own. */
	ASSERT_EQ(0, guest_debug(self->vcpu, 0, 0, 0));
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(BP, exception.vector);
	EXPECT_EQ(TEST_CODE_GPA + 2, exception.rip);
}

static void start_after_int3(struct test_vcpu *vcpu)
{
	struct kvm_regs regs;

	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_debugged));
	test_vcpu_regs(vcpu, &regs);
	regs.rip = TEST_CODE_GPA + 2;
	test_vcpu_set_regs(vcpu, &regs);
}

TEST_F(debugregs, vmm_hardware_breakpoints)
{
	struct kvm_debugregs dr;

	start_after_int3(self->vcpu);
	ASSERT_EQ(0, guest_debug(self->vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
				 TEST_CODE_GPA + 3, DR7_INIT | 2));
	ASSERT_EQ(KVM_EXIT_DEBUG, test_vcpu_run(self->vcpu));
	EXPECT_EQ(DB, self->vcpu->run->debug.arch.exception);
	EXPECT_EQ(TEST_CODE_GPA + 3, self->vcpu->run->debug.arch.pc);
	EXPECT_EQ(1, self->vcpu->run->debug.arch.dr6 & 0xf);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_DEBUGREGS, &dr));
	EXPECT_EQ(0, dr.db[0]);
	EXPECT_EQ(DR7_INIT, dr.dr7);

	/* Data, write, four bytes. */
	ASSERT_EQ(0, guest_debug(self->vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
				 TEST_DATA_GPA, DR7_INIT | 2 | 0xd << 16));
	ASSERT_EQ(KVM_EXIT_DEBUG, test_vcpu_run(self->vcpu));
	EXPECT_EQ(1, self->vcpu->run->debug.arch.dr6 & 0xf);
	EXPECT_EQ(1, *(uint32_t *)test_vm_hva(self->vm, TEST_DATA_GPA));
	ASSERT_EQ(0, guest_debug(self->vcpu, 0, 0, 0));
	test_vcpu_run_to_done(self->vcpu);
}

TEST_F(debugregs, vmm_single_step)
{
	/* nop, mov imm32, movl imm32 to memory, nop: their ends. */
	static const unsigned int ends[] = { 3, 8, 19, 20 };

	start_after_int3(self->vcpu);
	ASSERT_EQ(0, guest_debug(self->vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, 0, 0));
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		uint64_t before = i ? TEST_CODE_GPA + ends[i - 1] : TEST_CODE_GPA + 2;

		do {
			ASSERT_EQ(KVM_EXIT_DEBUG, test_vcpu_run(self->vcpu));
			EXPECT_EQ(DB, self->vcpu->run->debug.arch.exception);
			/* A second-level fault may come between entry and instruction. */
		} while (self->vcpu->run->debug.arch.pc == before);
		EXPECT_EQ(TEST_CODE_GPA + ends[i], self->vcpu->run->debug.arch.pc);
		EXPECT_EQ(DR6_BS, self->vcpu->run->debug.arch.dr6 & DR6_BS);
	}
	ASSERT_EQ(0, guest_debug(self->vcpu, 0, 0, 0));
	test_vcpu_run_to_done(self->vcpu);
}

/* Whatever makes the steps, the VMM reads the guest's own flags. */
TEST_F(debugregs, vmm_single_step_leaves_flags)
{
	struct kvm_regs regs;

	start_after_int3(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	regs.rflags = 0x46;
	test_vcpu_set_regs(self->vcpu, &regs);
	ASSERT_EQ(0, guest_debug(self->vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, 0, 0));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(KVM_EXIT_DEBUG, test_vcpu_run(self->vcpu));
		test_vcpu_regs(self->vcpu, &regs);
		EXPECT_EQ(0x46, regs.rflags);
	}
	/* Off in the middle: the guest runs on without a trap of its own. */
	ASSERT_EQ(0, guest_debug(self->vcpu, 0, 0, 0));
	test_vcpu_run_to_done(self->vcpu);
}

/* A trap flag that the guest set itself stays its own under the VMM's steps, and after them. */
TEST_F(debugregs, vmm_single_step_keeps_guest_flag)
{
	struct test_exception exception;
	struct kvm_regs regs;

	start_after_int3(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	regs.rflags = 2 | RFLAGS_TF;
	test_vcpu_set_regs(self->vcpu, &regs);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(2 | RFLAGS_TF, regs.rflags);
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(DB, exception.vector);
	/* After the NOP; the emulator raises the first one right at the entry. */
	EXPECT_LE(TEST_CODE_GPA + 2, exception.rip);
	EXPECT_GE(TEST_CODE_GPA + 3, exception.rip);
	EXPECT_EQ(RFLAGS_TF, exception.rflags & RFLAGS_TF);
}

TEST_F(debugregs, vmm_injects)
{
	struct test_exception exception;

	start_after_int3(self->vcpu);
	ASSERT_EQ(0, guest_debug(self->vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB, 0, 0));
	/* One at a time. */
	EXPECT_EQ(-EBUSY, guest_debug(self->vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_BP,
				      0, 0));
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(DB, exception.vector);
	EXPECT_EQ(TEST_CODE_GPA + 2, exception.rip);
}

/* General detect of the VMM's: told to it before the access happens, and unknown to the guest. */
TEST_F(debugregs, vmm_general_detect)
{
	struct kvm_regs regs;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_mov_dr));
	ASSERT_EQ(0, guest_debug(self->vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, 0,
				 DR7_INIT | DR7_GD));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(KVM_EXIT_DEBUG, test_vcpu_run(self->vcpu));
		EXPECT_EQ(DB, self->vcpu->run->debug.arch.exception);
		EXPECT_EQ(DR6_BD, self->vcpu->run->debug.arch.dr6 & DR6_BD);
		EXPECT_EQ(DR7_GD, self->vcpu->run->debug.arch.dr7 & DR7_GD);
		/* The MOV of ten bytes before it is done, itself it is not. */
		EXPECT_EQ(TEST_CODE_GPA + 10, self->vcpu->run->debug.arch.pc);
	}
	ASSERT_EQ(0, guest_debug(self->vcpu, 0, 0, 0));
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0x1234567000, regs.r8);
	EXPECT_EQ(0x455, regs.r11);
}

GUEST_CODE(guest_exits,
	   "cpuid\n"
	   "mov $0x1a0, %ecx\n"
	   "rdmsr\n"
	   "mov 0x200000, %rax\n"		/* touched for the first time */
	   "outb %al, $0xe3\n"
	   "1: nop\n"
	   "nop\n"
	   GUEST_DONE);

static void step_to(struct test_vcpu *vcpu, uint64_t rip)
{
	for (int i = 0; i < 8; i++) {
		uint32_t reason = test_vcpu_run(vcpu);

		if (reason == KVM_EXIT_IO)
			continue;
		if (reason != KVM_EXIT_DEBUG)
			test_die("exit %u at a step", reason);
		if (vcpu->run->debug.arch.pc == rip)
			return;
	}
	test_die("no step to 0x%llx", (unsigned long long)rip);
}

/*
 * Every step is an instruction, whatever exits in between; and when the VMM stops right after, the
 * guest, which has an IDT, hears nothing of it.
 */
TEST_F(debugregs, vmm_single_step_over_exits)
{
	static const unsigned int ends[] = { 2, 7, 9, 17, 19, 20 };

	if (test_on_kvm())
		SKIP(return, "KVM reports a pending step of the emulator's before the next");
	for (size_t stop = 1; stop <= sizeof(ends) / sizeof(ends[0]); stop++) {
		test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_exits));
		ASSERT_EQ(0, guest_debug(self->vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP,
					 0, 0));
		for (size_t i = 0; i < stop; i++) {
			uint32_t reason = test_vcpu_run(self->vcpu);

			/* OUT goes to the VMM, and is a step when it is complete. */
			if (ends[i] == 19) {
				ASSERT_EQ(KVM_EXIT_IO, reason);
				reason = test_vcpu_run(self->vcpu);
			}
			ASSERT_EQ(KVM_EXIT_DEBUG, reason);
			EXPECT_EQ(TEST_CODE_GPA + ends[i], self->vcpu->run->debug.arch.pc);
			EXPECT_EQ(DR6_INIT | DR6_BS, self->vcpu->run->debug.arch.dr6);
		}
		ASSERT_EQ(0, guest_debug(self->vcpu, 0, 0, 0));
		if (ends[stop - 1] < 19) {
			ASSERT_EQ(KVM_EXIT_IO, test_vcpu_run(self->vcpu));
			ASSERT_EQ(0xe3, self->vcpu->run->io.port);
		}
		test_vcpu_run_to_done(self->vcpu);
	}
}

/* The same where the exit is one to userspace, in the middle of an instruction. */
TEST_F(debugregs, vmm_stops_stepping_in_an_exit)
{
	if (test_on_kvm())
		SKIP(return, "KVM reports a pending step of the emulator's before the next");
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_exits));
	ASSERT_EQ(0, guest_debug(self->vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, 0, 0));
	step_to(self->vcpu, TEST_CODE_GPA + 17);
	ASSERT_EQ(KVM_EXIT_IO, test_vcpu_run(self->vcpu));
	ASSERT_EQ(0, guest_debug(self->vcpu, 0, 0, 0));
	test_vcpu_run_to_done(self->vcpu);
}

GUEST_CODE(guest_touches_device,
	   "mov $0xd0000000, %edi\n"
	   "mov (%rdi), %rax\n"
	   "nop\n"
	   GUEST_DONE);

TEST_F(debugregs, vmm_stops_stepping_in_an_mmio_exit)
{
	struct kvm_regs regs;

	if (test_on_kvm())
		SKIP(return, "KVM reports a pending step of the emulator's before the next");
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_touches_device));
	ASSERT_EQ(0, guest_debug(self->vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, 0, 0));
	step_to(self->vcpu, TEST_CODE_GPA + 5);
	ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->vcpu));
	*(uint64_t *)self->vcpu->run->mmio.data = 0x1122334455667788;
	ASSERT_EQ(0, guest_debug(self->vcpu, 0, 0, 0));
	test_vcpu_run_to_done(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0x1122334455667788, regs.rax);
}

/* The guest steps itself while the VMM does: the VMM takes the traps, the flag stays. */
TEST_F(debugregs, vmm_single_step_over_guest_step)
{
	struct test_exception exception;
	struct kvm_regs regs;

	if (test_on_kvm())
		SKIP(return, "KVM drops the guest's own flag");
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_exits));
	test_vcpu_regs(self->vcpu, &regs);
	regs.rflags = 2 | RFLAGS_TF;
	test_vcpu_set_regs(self->vcpu, &regs);
	ASSERT_EQ(0, guest_debug(self->vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, 0, 0));
	step_to(self->vcpu, TEST_CODE_GPA + 7);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(2 | RFLAGS_TF, regs.rflags);
	ASSERT_EQ(0, guest_debug(self->vcpu, 0, 0, 0));
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(DB, exception.vector);
	EXPECT_LT(TEST_CODE_GPA + 6, exception.rip);
}

GUEST_CODE(guest_shadow,
	   "xor %eax, %eax\n"
	   "nop\n"
	   GUEST_DONE);

/*
 * A guest that steps itself, saved behind its STI: such a vCPU can be entered only with a step
 * pending, which no ioctl tells.
 */
TEST_F(debugregs, step_and_shadow)
{
	struct kvm_vcpu_events events = { .flags = KVM_VCPUEVENT_VALID_SHADOW,
					  .interrupt = { .shadow = KVM_X86_SHADOW_INT_STI } };
	struct test_exception exception;
	struct kvm_regs regs;

	if (test_on_kvm())
		SKIP(return, "KVM does not enter");
	for (int order = 0; order < 2; order++) {
		test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_shadow));
		test_vcpu_regs(self->vcpu, &regs);
		if (order)
			ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_VCPU_EVENTS, &events));
		regs.rflags = 2 | RFLAGS_TF | RFLAGS_IF;
		test_vcpu_set_regs(self->vcpu, &regs);
		if (!order)
			ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_VCPU_EVENTS, &events));
		test_vcpu_run_to_exception(self->vcpu, &exception);
		EXPECT_EQ(DB, exception.vector);
		/* And the reverse: the shadow without the flag. */
		ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_VCPU_EVENTS, &events));
		regs.rflags = 2 | RFLAGS_IF;
		test_vcpu_set_regs(self->vcpu, &regs);
		test_vcpu_run_to_done(self->vcpu);
	}
}

TEST_HARNESS_MAIN
