// SPDX-License-Identifier: GPL-2.0
/*
 * What a VMM chooses for a whole VM by KVM_ENABLE_CAP: KVM's quirks, hypercalls and failed
 * emulation that it wants to hear of, the bound on vCPU ids.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/apic.h"
#include "lib/device.h"
#include "lib/irq.h"
#include "lib/vm.h"

#define MSR_MISC_ENABLE		0x1a0
#define MISC_ENABLE_MWAIT	(1ull << 18)
#define CPUID_1_ECX_MWAIT	(1u << 3)
#define HC_MAP_GPA_RANGE	12
#define HC_NOBODYS		77
#define ENOSYS_RET		((uint64_t)-1000)
#define EPERM_RET		((uint64_t)-1)
#define EINVAL_RET		((uint64_t)-22)
#define UD			6

FIXTURE(quirks) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
};

FIXTURE_SETUP(quirks)
{
	self->vm = test_vm_create_irqchip();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
}

FIXTURE_TEARDOWN(quirks)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

static int enable(struct test_vm *vm, uint32_t cap, uint64_t value)
{
	struct kvm_enable_cap enable_cap = { .cap = cap, .args = { value } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &enable_cap) ? -errno : 0;
}

static void give_rdi(struct test_vcpu *vcpu, uint64_t value)
{
	struct kvm_regs regs;

	test_vcpu_regs(vcpu, &regs);
	regs.rdi = value;
	test_vcpu_set_regs(vcpu, &regs);
}

TEST_F(quirks, capabilities)
{
	uint64_t quirks = test_check_extension(self->vm->fd, KVM_CAP_DISABLE_QUIRKS2);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DISABLE_QUIRKS2, .flags = 1 };

	EXPECT_EQ(0x7f, quirks & 0x7f);
	EXPECT_EQ(1, test_check_extension(self->vm->fd, KVM_CAP_DISABLE_QUIRKS));
	EXPECT_EQ(-EINVAL, enable(self->vm, KVM_CAP_DISABLE_QUIRKS2, 1ull << 63));
	EXPECT_EQ(-EINVAL, enable(self->vm, KVM_CAP_DISABLE_QUIRKS2, quirks + 1));
	EXPECT_EQ(0, enable(self->vm, KVM_CAP_DISABLE_QUIRKS2, quirks));
	EXPECT_EQ(0, enable(self->vm, KVM_CAP_DISABLE_QUIRKS2, 0));
	/* The older form looks at nothing. */
	EXPECT_EQ(0, enable(self->vm, KVM_CAP_DISABLE_QUIRKS, 1ull << 63));
	EXPECT_EQ(-1, ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-EINVAL, enable(self->vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 2));
	EXPECT_EQ(0, test_check_extension(self->vm->fd, KVM_CAP_EXIT_HYPERCALL) &
		     ~(1 << HC_MAP_GPA_RANGE));
	EXPECT_EQ(-EINVAL, enable(self->vm, KVM_CAP_EXIT_HYPERCALL, 1 << 11));
	EXPECT_EQ(-EINVAL, enable(self->vm, 1u << 20, 0));
}

GUEST_CODE(guest_monitor,
	   "mov $0x10000, %eax\n"
	   "xor %ecx, %ecx\n"
	   "xor %edx, %edx\n"
	   "monitor\n"
	   "xor %eax, %eax\n"
	   "mwait\n"
	   GUEST_DONE);

/* A CPU without MONITOR has #UD for it; KVM's guests get away with it. */
TEST_F(quirks, mwait_never_faults)
{
	struct test_exception exception;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_monitor));
	test_vcpu_run_to_done(self->vcpu);
	ASSERT_EQ(0, enable(self->vm, KVM_CAP_DISABLE_QUIRKS2,
			    KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS));
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_monitor));
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(UD, exception.vector);
}

GUEST_CODE(guest_cpuid_1,
	   "1: mov $1, %eax\n"
	   "cpuid\n"
	   "mov %ecx, %r8d\n"
	   GUEST_SYNC
	   "jmp 1b\n");

static bool guest_sees_mwait(struct test_vcpu *vcpu)
{
	struct kvm_regs regs;

	test_vcpu_run_to_sync(vcpu);
	test_vcpu_regs(vcpu, &regs);
	return regs.r8 & CPUID_1_ECX_MWAIT;
}

/* CPUID follows IA32_MISC_ENABLE only for a VMM that knows of it. */
TEST_F(quirks, misc_enable_shows_mwait)
{
	uint64_t value;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_cpuid_1));
	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu, MSR_MISC_ENABLE, &value));
	ASSERT_EQ(0, value & MISC_ENABLE_MWAIT);
	ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_MISC_ENABLE, value | MISC_ENABLE_MWAIT));
	EXPECT_FALSE(guest_sees_mwait(self->vcpu));
	ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_MISC_ENABLE, value));
	ASSERT_EQ(0, enable(self->vm, KVM_CAP_DISABLE_QUIRKS2,
			    KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT));
	ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_MISC_ENABLE, value | MISC_ENABLE_MWAIT));
	EXPECT_TRUE(guest_sees_mwait(self->vcpu));
	ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_MISC_ENABLE, value));
	EXPECT_FALSE(guest_sees_mwait(self->vcpu));
}

GUEST_CODE(guest_vmmcall,
	   "mov $77, %eax\n"
	   "vmmcall\n"
	   "mov %rax, %r8\n"
	   "mov $77, %eax\n"
	   "jmp 1f\n"
	   ".balign 4096, 0x90\n"
	   ".skip 4094, 0x90\n"
	   "1: vmmcall\n"			/* across a page's end */
	   GUEST_SYNC
	   "ud2\n");

TEST_F(quirks, fix_hypercall)
{
	uint8_t *code = test_vm_hva(self->vm, TEST_CODE_GPA);
	struct test_exception exception;
	struct kvm_regs regs;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_vmmcall));
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(ENOSYS_RET, regs.r8);
	EXPECT_EQ(ENOSYS_RET, regs.rax);
	EXPECT_EQ(0xc1, code[7]);
	/* UD2 is what it is. */
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(UD, exception.vector);

	ASSERT_EQ(0, enable(self->vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_FIX_HYPERCALL_INSN));
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_vmmcall));
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(UD, exception.vector);
	EXPECT_EQ(TEST_CODE_GPA + 5, exception.rip);
	EXPECT_EQ(0xd9, code[7]);
}

/* It is written as the guest would: not into code that the guest may not write. */
TEST_F(quirks, fix_hypercall_in_read_only_code)
{
	struct kvm_sregs sregs;
	uint64_t *pd = test_vm_hva(self->vm, TEST_PML4_GPA + 0x2000);

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_vmmcall));
	test_vcpu_sregs(self->vcpu, &sregs);
	sregs.cr0 |= 1 << 16;				/* WP */
	test_vcpu_set_sregs(self->vcpu, &sregs);
	/* The stack is in the same 2 MiB: the exception's delivery faults on it, twice. */
	pd[0] &= ~2ull;
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, test_vcpu_run(self->vcpu));
	EXPECT_EQ(0xd9, ((uint8_t *)test_vm_hva(self->vm, TEST_CODE_GPA))[7]);
}

GUEST_CODE(guest_quirky_port,
	   "outb %al, $0x7e\n"
	   "outb %al, $0x7d\n"
	   GUEST_DONE);

TEST_F(quirks, out_7e)
{
	struct kvm_regs regs;

	for (int quirk = 1; quirk >= 0; quirk--) {
		ASSERT_EQ(0, enable(self->vm, KVM_CAP_DISABLE_QUIRKS2,
				    quirk ? 0 : KVM_X86_QUIRK_OUT_7E_INC_RIP));
		test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_quirky_port));
		ASSERT_EQ(KVM_EXIT_IO, test_vcpu_run(self->vcpu));
		EXPECT_EQ(0x7e, self->vcpu->run->io.port);
		test_vcpu_regs(self->vcpu, &regs);
		EXPECT_EQ(TEST_CODE_GPA + (quirk ? 2 : 0), regs.rip);
		ASSERT_EQ(KVM_EXIT_IO, test_vcpu_run(self->vcpu));
		EXPECT_EQ(0x7d, self->vcpu->run->io.port);
		test_vcpu_regs(self->vcpu, &regs);
		EXPECT_EQ(TEST_CODE_GPA + 2, regs.rip);
		test_vcpu_run_to_done(self->vcpu);
	}
}

GUEST_CODE(guest_reads_apic_page,
	   "mov $0xfee00030, %edi\n"
	   "mov (%rdi), %eax\n"
	   "mov %eax, %r8d\n"
	   "movl $5, (%rdi)\n"
	   GUEST_DONE);

/* Where the page of a local APIC is that is off or in x2APIC mode. */
TEST_F(quirks, lapic_mmio_hole)
{
	static const uint64_t modes[] = { 0, BASE_ENABLE | BASE_X2APIC };
	struct kvm_regs regs;

	for (size_t i = 0; i < 2; i++) {
		ASSERT_EQ(0, enable(self->vm, KVM_CAP_DISABLE_QUIRKS2, 0));
		ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, TEST_MSR_APIC_BASE,
					       TEST_APIC_GPA | 0x100 | modes[i]));
		test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_reads_apic_page));
		test_vcpu_run_to_done(self->vcpu);
		test_vcpu_regs(self->vcpu, &regs);
		EXPECT_EQ(0xffffffff, regs.r8);

		ASSERT_EQ(0, enable(self->vm, KVM_CAP_DISABLE_QUIRKS2,
				    KVM_X86_QUIRK_LAPIC_MMIO_HOLE));
		test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_reads_apic_page));
		ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->vcpu));
		EXPECT_EQ(TEST_APIC_GPA + 0x30, self->vcpu->run->mmio.phys_addr);
		EXPECT_EQ(0, self->vcpu->run->mmio.is_write);
		ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->vcpu));
		EXPECT_EQ(1, self->vcpu->run->mmio.is_write);
		test_vcpu_run_to_done(self->vcpu);
	}
}

static uint32_t lint0_of_new_vcpu(struct test_vm *vm)
{
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	struct kvm_lapic_state state;

	if (ioctl(vcpu->fd, KVM_GET_LAPIC, &state))
		test_die("KVM_GET_LAPIC");
	test_vcpu_free(vcpu);
	return *apic_state_reg(&state, APIC_LVT0);
}

TEST(lint0_reenabled)
{
	struct test_vm *vm = test_vm_create_irqchip();

	/* The PIC's interrupts reach the boot CPU before anybody turned the pin on. */
	EXPECT_EQ(0x700, lint0_of_new_vcpu(vm));
	test_vm_free(vm);
	vm = test_vm_create_irqchip();
	ASSERT_EQ(0, enable(vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_LINT0_REENABLED));
	EXPECT_EQ(LVT_MASKED, lint0_of_new_vcpu(vm));
	test_vm_free(vm);
}

/* RDI: the call; its arguments are fixed; RAX is shown. */
GUEST_CODE(guest_hypercall,
	   "1: mov %rdi, %rax\n"
	   "mov $0x40000000, %ebx\n"
	   "mov $3, %ecx\n"
	   "mov $0x10, %edx\n"
	   "2: vmcall\n"
	   "mov %rax, %r8\n"
	   GUEST_SYNC
	   "jmp 1b\n");

static uint64_t answer(struct test_vcpu *vcpu)
{
	struct kvm_regs regs;

	test_vcpu_run_to_sync(vcpu);
	test_vcpu_regs(vcpu, &regs);
	return regs.r8;
}

TEST_F(quirks, hypercall_exit)
{
	struct kvm_run *run = self->vcpu->run;
	struct kvm_regs regs;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_hypercall));
	give_rdi(self->vcpu, HC_MAP_GPA_RANGE);
	EXPECT_EQ(ENOSYS_RET, answer(self->vcpu));
	ASSERT_EQ(0, enable(self->vm, KVM_CAP_EXIT_HYPERCALL, 1 << HC_MAP_GPA_RANGE));
	ASSERT_EQ(KVM_EXIT_HYPERCALL, test_vcpu_run(self->vcpu));
	EXPECT_EQ(HC_MAP_GPA_RANGE, run->hypercall.nr);
	EXPECT_EQ(0x40000000, run->hypercall.args[0]);
	EXPECT_EQ(3, run->hypercall.args[1]);
	EXPECT_EQ(0x10, run->hypercall.args[2]);
	EXPECT_EQ(1, run->hypercall.longmode);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0, memcmp(test_vm_hva(self->vm, regs.rip), "\x0f\x01\xc1", 3));
	run->hypercall.ret = 0x123456789abc;
	EXPECT_EQ(0x123456789abc, answer(self->vcpu));
	give_rdi(self->vcpu, HC_NOBODYS);
	EXPECT_EQ(ENOSYS_RET, answer(self->vcpu));
	/* Off again. */
	ASSERT_EQ(0, enable(self->vm, KVM_CAP_EXIT_HYPERCALL, 0));
	give_rdi(self->vcpu, HC_MAP_GPA_RANGE);
	EXPECT_EQ(ENOSYS_RET, answer(self->vcpu));
}

/* RBX, RCX: what is wrong with it. */
GUEST_CODE(guest_bad_range,
	   "mov $12, %eax\n"
	   "vmcall\n"
	   "mov %rax, %r8\n"
	   GUEST_SYNC);

TEST_F(quirks, hypercall_bad_arguments)
{
	static const uint64_t ranges[][2] = {
		{ 0x40000001, 1 }, { 0x40000000, 0 }, { 0x40000000, UINT64_MAX },
	};
	struct kvm_regs regs;

	ASSERT_EQ(0, enable(self->vm, KVM_CAP_EXIT_HYPERCALL, 1 << HC_MAP_GPA_RANGE));
	for (size_t i = 0; i < 3; i++) {
		test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_bad_range));
		test_vcpu_regs(self->vcpu, &regs);
		regs.rbx = ranges[i][0];
		regs.rcx = ranges[i][1];
		test_vcpu_set_regs(self->vcpu, &regs);
		EXPECT_EQ(EINVAL_RET, answer(self->vcpu));
	}
}

/* Loads what no compiler loads from a device; R9 counts its #UD where it is an application's. */
GUEST_CODE(guest_odd_mmio,
	   "mov $0xd0000000, %edi\n"
	   "fldl (%rdi)\n"
	   GUEST_DONE);

static void check_failure(struct __test_metadata *_metadata, const struct kvm_run *run)
{
	static const uint8_t code[] = { 0xdd, 0x07 };

	ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, run->exit_reason);
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, run->emulation_failure.suberror);
	/* Flags, the bytes in two words, and five facts. */
	EXPECT_LE(3, run->emulation_failure.ndata);
	EXPECT_GE(16, run->emulation_failure.ndata);
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES,
		  run->emulation_failure.flags);
	EXPECT_EQ(15, run->emulation_failure.insn_size);
	EXPECT_EQ(0, memcmp(run->emulation_failure.insn_bytes, code, sizeof(code)));
}

TEST_F(quirks, emulation_failure)
{
	struct test_exception exception;
	struct kvm_regs regs;

	/* The kernel of a guest: the VMM hears of it, and the guest too if it goes on there. */
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_odd_mmio));
	test_vcpu_run(self->vcpu);
	check_failure(_metadata, self->vcpu->run);
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(UD, exception.vector);
	EXPECT_EQ(TEST_CODE_GPA + 5, exception.rip);

	/* One that wants to do it itself skips it. */
	ASSERT_EQ(1, test_check_extension(self->vm->fd, KVM_CAP_EXIT_ON_EMULATION_FAILURE));
	ASSERT_EQ(0, enable(self->vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1));
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_odd_mmio));
	test_vcpu_run(self->vcpu);
	check_failure(_metadata, self->vcpu->run);
	/* Not done: the same again. */
	test_vcpu_run(self->vcpu);
	check_failure(_metadata, self->vcpu->run);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(TEST_CODE_GPA + 5, regs.rip);
	regs.rip += 2;
	test_vcpu_set_regs(self->vcpu, &regs);
	test_vcpu_run_to_done(self->vcpu);
}

TEST(max_vcpu_id)
{
	struct test_vm *vm = test_vm_create();
	int limit = test_check_extension(vm->fd, KVM_CAP_MAX_VCPU_ID), fd;

	EXPECT_EQ(-EINVAL, enable(vm, KVM_CAP_MAX_VCPU_ID, limit + 1));
	EXPECT_EQ(0, enable(vm, KVM_CAP_MAX_VCPU_ID, 5));
	EXPECT_EQ(0, enable(vm, KVM_CAP_MAX_VCPU_ID, 5));
	EXPECT_EQ(-EINVAL, enable(vm, KVM_CAP_MAX_VCPU_ID, 6));
	EXPECT_EQ(-1, ioctl(vm->fd, KVM_CREATE_VCPU, 5));
	EXPECT_EQ(EINVAL, errno);
	fd = ioctl(vm->fd, KVM_CREATE_VCPU, 4);
	EXPECT_LE(0, fd);
	close(fd);
	test_vm_free(vm);
}

TEST_HARNESS_MAIN
