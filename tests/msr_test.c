// SPDX-License-Identifier: GPL-2.0
/*
 * MSRs by ioctl and by RDMSR and WRMSR: lists, values, faults.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/apic.h"
#include "lib/irq.h"
#include "lib/vm.h"

#define MSR_TSC			0x10
#define MSR_APIC_BASE		0x1b
#define MSR_FEATURE_CONTROL	0x3a
#define MSR_TSC_ADJUST		0x3b
#define MSR_SPEC_CTRL		0x48
#define MSR_PRED_CMD		0x49
#define MSR_UCODE_REV		0x8b
#define MSR_PLATFORM_INFO	0xce
#define MSR_MTRRCAP		0xfe
#define MSR_ARCH_CAPABILITIES	0x10a
#define MSR_SYSENTER_CS		0x174
#define MSR_SYSENTER_ESP	0x175
#define MSR_SYSENTER_EIP	0x176
#define MSR_MCG_CAP		0x179
#define MSR_MISC_ENABLE		0x1a0
#define MSR_DEBUGCTL		0x1d9
#define MSR_MTRR_BASE0		0x200
#define MSR_MTRR_MASK0		0x201
#define MSR_MTRR_FIX64K		0x250
#define MSR_MTRR_FIX4K_F8	0x26f
#define MSR_PAT			0x277
#define MSR_MTRR_DEF_TYPE	0x2ff
#define MSR_MC0_CTL		0x400
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_EFER		0xc0000080
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_CSTAR		0xc0000083
#define MSR_FMASK		0xc0000084
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_TSC_AUX		0xc0000103
#define MSR_NOWHERE		0x12345

#define MAX_LIST	512
#define GP		13
#define NON_CANONICAL	0x1234567800000000ull

FIXTURE(msr) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
};

FIXTURE_SETUP(msr)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
}

FIXTURE_TEARDOWN(msr)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

struct list {
	uint32_t nr;
	uint32_t index[MAX_LIST];
};

static bool list_has(const struct list *list, uint32_t msr)
{
	for (uint32_t i = 0; i < list->nr; i++)
		if (list->index[i] == msr)
			return true;
	return false;
}

TEST_F(msr, index_list)
{
	struct list list = {};

	EXPECT_EQ(-1, ioctl(self->vm->dev_fd, KVM_GET_MSR_INDEX_LIST, &list));
	EXPECT_EQ(E2BIG, errno);
	/* The size is told with the refusal. */
	ASSERT_GT(list.nr, 10);
	ASSERT_LE(list.nr, MAX_LIST);
	ASSERT_EQ(0, ioctl(self->vm->dev_fd, KVM_GET_MSR_INDEX_LIST, &list));
	EXPECT_TRUE(list_has(&list, MSR_TSC));
	EXPECT_TRUE(list_has(&list, MSR_STAR));
	EXPECT_TRUE(list_has(&list, MSR_KERNEL_GS_BASE));
	EXPECT_TRUE(list_has(&list, MSR_PAT));
	EXPECT_FALSE(list_has(&list, MSR_NOWHERE));
	EXPECT_EQ(-1, ioctl(self->vm->dev_fd, KVM_GET_MSR_INDEX_LIST, (void *)1));
	EXPECT_EQ(EFAULT, errno);
}

/* What is listed can be read, and what was read can be written back. */
TEST_F(msr, listed_ones_round_trip)
{
	struct list list = { .nr = MAX_LIST };
	uint64_t value;

	ASSERT_EQ(0, ioctl(self->vm->dev_fd, KVM_GET_MSR_INDEX_LIST, &list));
	for (uint32_t i = 0; i < list.nr; i++) {
		/* Those of the paravirtual interface ask for more than a value. */
		if (list.index[i] >> 8 == 0x4b564d)
			continue;
		EXPECT_EQ(1, test_vcpu_get_msr(self->vcpu, list.index[i], &value)) {
			TH_LOG("MSR %#x cannot be read", list.index[i]);
		}
		EXPECT_EQ(1, test_vcpu_set_msr(self->vcpu, list.index[i], value)) {
			TH_LOG("MSR %#x does not take %#llx", list.index[i],
			       (unsigned long long)value);
		}
	}
}

TEST_F(msr, feature_msrs)
{
	struct list list = {};
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[2];
	} msrs = { .head.nmsrs = 2 };

	if (!test_check_extension(self->vm->dev_fd, KVM_CAP_GET_MSR_FEATURES))
		SKIP(return, "no feature MSRs");
	EXPECT_EQ(-1, ioctl(self->vm->dev_fd, KVM_GET_MSR_FEATURE_INDEX_LIST, &list));
	EXPECT_EQ(E2BIG, errno);
	ASSERT_EQ(0, ioctl(self->vm->dev_fd, KVM_GET_MSR_FEATURE_INDEX_LIST, &list));
	ASSERT_TRUE(list_has(&list, MSR_ARCH_CAPABILITIES));
	msrs.entry[0].index = MSR_ARCH_CAPABILITIES;
	msrs.entry[1].index = MSR_NOWHERE;
	EXPECT_EQ(1, ioctl(self->vm->dev_fd, KVM_GET_MSRS, &msrs));
}

TEST_F(msr, ioctl_stops_at_the_first_bad_one)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[3];
	} msrs = { .head.nmsrs = 3 };

	msrs.entry[0] = (struct kvm_msr_entry) { .index = MSR_LSTAR, .data = 0x1000 };
	msrs.entry[1] = (struct kvm_msr_entry) { .index = MSR_NOWHERE, .data = 1 };
	msrs.entry[2] = (struct kvm_msr_entry) { .index = MSR_CSTAR, .data = 0x2000 };
	EXPECT_EQ(1, ioctl(self->vcpu->fd, KVM_SET_MSRS, &msrs));
	msrs.entry[0].data = 7;
	msrs.entry[2].data = 7;
	EXPECT_EQ(1, ioctl(self->vcpu->fd, KVM_GET_MSRS, &msrs));
	EXPECT_EQ(0x1000, msrs.entry[0].data);
	EXPECT_EQ(7, msrs.entry[2].data);
	msrs.head.nmsrs = 0;
	EXPECT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_MSRS, &msrs));
	msrs.head.nmsrs = 1000;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_GET_MSRS, &msrs));
	EXPECT_EQ(E2BIG, errno);
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_MSRS, &msrs));
	EXPECT_EQ(E2BIG, errno);
}

/* RDMSR or WRMSR of ECX, with the value in RBX, for as long as the host asks. */
GUEST_CODE(guest_msr,
	   "1: mov %edi, %ecx\n"
	   "test %esi, %esi\n"
	   "jnz 2f\n"
	   "mov $0xffffffffffffffff, %rax\n"
	   "mov %rax, %rdx\n"
	   "rdmsr\n"
	   "jmp 3f\n"
	   "2: mov %rbx, %rax\n"
	   "mov %rbx, %rdx\n"
	   "shr $32, %rdx\n"
	   "wrmsr\n"
	   "3:\n"
	   GUEST_SYNC
	   "jmp 1b\n");

/* One access by the guest: true and the value, or false where it raised #GP. */
static bool guest_access(struct test_vcpu *vcpu, bool write, uint32_t msr, uint64_t *value)
{
	struct kvm_regs regs = { .rip = TEST_CODE_GPA, .rsp = TEST_STACK_GPA, .rflags = 2,
				 .rdi = msr, .rsi = write, .rbx = *value };
	struct test_exception *frame;
	struct kvm_sregs sregs;

	/* Only once: setting all segments again would also set FS and GS base. */
	test_vcpu_sregs(vcpu, &sregs);
	if (!sregs.cs.l)
		test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_msr));
	test_vcpu_set_regs(vcpu, &regs);
	if (test_vcpu_run(vcpu) != KVM_EXIT_IO)
		test_die("exit reason %u", vcpu->run->exit_reason);
	test_vcpu_regs(vcpu, &regs);
	if (vcpu->run->io.port == TEST_PORT_SYNC) {
		if (!write && (regs.rax >> 32 || regs.rdx >> 32))
			test_die("RDMSR of %#x left the upper halves", msr);
		if (!write)
			*value = (uint32_t)regs.rax | regs.rdx << 32;
		return true;
	}
	frame = test_vm_hva(vcpu->vm, regs.rsp);
	if (vcpu->run->io.port != TEST_PORT_EXCEPTION || frame->vector != GP || frame->error_code)
		test_die("port %#x, vector %llu", vcpu->run->io.port,
			 (unsigned long long)frame->vector);
	return false;
}

static bool guest_read(struct test_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	*value = 0;
	return guest_access(vcpu, false, msr, value);
}

static bool guest_write(struct test_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	return guest_access(vcpu, true, msr, &value);
}

#define expect_guest_value(msr, expected)						\
	do {										\
		uint64_t seen;								\
											\
		EXPECT_TRUE(guest_read(self->vcpu, msr, &seen));			\
		EXPECT_EQ((uint64_t)(expected), seen);					\
	} while (0)

#define expect_host_value(msr, expected)						\
	do {										\
		uint64_t seen;								\
											\
		EXPECT_EQ(1, test_vcpu_get_msr(self->vcpu, msr, &seen));		\
		EXPECT_EQ((uint64_t)(expected), seen);					\
	} while (0)

TEST_F(msr, unknown_faults)
{
	uint64_t value;

	EXPECT_FALSE(guest_read(self->vcpu, MSR_NOWHERE, &value));
	EXPECT_FALSE(guest_write(self->vcpu, MSR_NOWHERE, 0));
	EXPECT_FALSE(guest_read(self->vcpu, 0xc0001000, &value));
	EXPECT_FALSE(guest_read(self->vcpu, 0xffffffff, &value));
}

/* Both sides see what the other wrote. */
TEST_F(msr, syscall_and_segment_bases)
{
	static const uint32_t stored[] = {
		MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
		MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
	};
	uint64_t value;

	for (size_t i = 0; i < sizeof(stored) / sizeof(stored[0]); i++) {
		uint32_t msr = stored[i];

		ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, msr, 0x7abc00001000 + i));
		expect_guest_value(msr, 0x7abc00001000 + i);
		EXPECT_TRUE(guest_write(self->vcpu, msr, 0x112233440000 + i));
		expect_host_value(msr, 0x112233440000 + i);
		expect_guest_value(msr, 0x112233440000 + i);
	}
	EXPECT_TRUE(guest_write(self->vcpu, MSR_FMASK, 0x47700));
	expect_host_value(MSR_FMASK, 0x47700);
	EXPECT_TRUE(guest_write(self->vcpu, MSR_SYSENTER_CS, 0x10));
	expect_host_value(MSR_SYSENTER_CS, 0x10);
	value = 0;
	EXPECT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_TSC_AUX, 5));
	EXPECT_TRUE(guest_read(self->vcpu, MSR_TSC_AUX, &value));
	EXPECT_EQ(5, value);
	EXPECT_TRUE(guest_write(self->vcpu, MSR_TSC_AUX, 6));
	expect_host_value(MSR_TSC_AUX, 6);
}

TEST_F(msr, non_canonical_faults)
{
	static const uint32_t addresses[] = {
		MSR_LSTAR, MSR_CSTAR, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
		MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
	};

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		EXPECT_FALSE(guest_write(self->vcpu, addresses[i], NON_CANONICAL)) {
			TH_LOG("MSR %#x", addresses[i]);
		}
		EXPECT_TRUE(guest_write(self->vcpu, addresses[i], 0xffff800000000000));
		expect_host_value(addresses[i], 0xffff800000000000);
	}
}

TEST_F(msr, efer)
{
	uint64_t value;

	ASSERT_TRUE(guest_read(self->vcpu, MSR_EFER, &value));
	EXPECT_EQ(0x501, value);
	EXPECT_TRUE(guest_write(self->vcpu, MSR_EFER, 0xd01));
	/* LME cannot change while paging is on; bits that are reserved cannot be set at all. */
	EXPECT_FALSE(guest_write(self->vcpu, MSR_EFER, 0x401));
	EXPECT_FALSE(guest_write(self->vcpu, MSR_EFER, 0x503));
	EXPECT_FALSE(guest_write(self->vcpu, MSR_EFER, 0x10000501));
	EXPECT_EQ(0, test_vcpu_set_msr(self->vcpu, MSR_EFER, 0x10000501));
}

TEST_F(msr, pat)
{
	expect_guest_value(MSR_PAT, 0x0007040600070406);
	EXPECT_TRUE(guest_write(self->vcpu, MSR_PAT, 0x0007010600070106));
	expect_host_value(MSR_PAT, 0x0007010600070106);
	EXPECT_FALSE(guest_write(self->vcpu, MSR_PAT, 0x0207040600070406));
	EXPECT_FALSE(guest_write(self->vcpu, MSR_PAT, 0x0007040600070408));
	EXPECT_EQ(0, test_vcpu_set_msr(self->vcpu, MSR_PAT, 3));
	expect_host_value(MSR_PAT, 0x0007010600070106);
}

TEST_F(msr, mtrr)
{
	uint64_t cap;

	ASSERT_TRUE(guest_read(self->vcpu, MSR_MTRRCAP, &cap));
	EXPECT_EQ(8, cap & 0xff);
	EXPECT_FALSE(guest_write(self->vcpu, MSR_MTRRCAP, cap));

	EXPECT_TRUE(guest_write(self->vcpu, MSR_MTRR_DEF_TYPE, 0xc06));
	expect_host_value(MSR_MTRR_DEF_TYPE, 0xc06);
	EXPECT_FALSE(guest_write(self->vcpu, MSR_MTRR_DEF_TYPE, 0xc02));
	EXPECT_FALSE(guest_write(self->vcpu, MSR_MTRR_DEF_TYPE, 0x1c06));

	EXPECT_TRUE(guest_write(self->vcpu, MSR_MTRR_FIX64K, 0x0606060606060606));
	expect_guest_value(MSR_MTRR_FIX64K, 0x0606060606060606);
	EXPECT_TRUE(guest_write(self->vcpu, MSR_MTRR_FIX4K_F8, 0x0504010006060606));
	expect_host_value(MSR_MTRR_FIX4K_F8, 0x0504010006060606);
	EXPECT_FALSE(guest_write(self->vcpu, MSR_MTRR_FIX64K, 0x0206060606060606));

	EXPECT_TRUE(guest_write(self->vcpu, MSR_MTRR_BASE0, 0xc0000000));
	EXPECT_TRUE(guest_write(self->vcpu, MSR_MTRR_MASK0, 0xfc0000800));
	expect_host_value(MSR_MTRR_BASE0, 0xc0000000);
	expect_host_value(MSR_MTRR_MASK0, 0xfc0000800);
	EXPECT_FALSE(guest_write(self->vcpu, MSR_MTRR_BASE0, 0xc0000002));
	EXPECT_FALSE(guest_write(self->vcpu, MSR_MTRR_BASE0, 1ull << 60));
	EXPECT_FALSE(guest_write(self->vcpu, MSR_MTRR_MASK0, 1ull << 60));
}

TEST_F(msr, read_only_for_the_guest)
{
	uint64_t value;

	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu, MSR_ARCH_CAPABILITIES, &value));
	expect_guest_value(MSR_ARCH_CAPABILITIES, value);
	EXPECT_FALSE(guest_write(self->vcpu, MSR_ARCH_CAPABILITIES, 0));
	EXPECT_FALSE(guest_write(self->vcpu, MSR_PLATFORM_INFO, 0));
	/* The VMM gives the revision; the guest's write is the request to read it. */
	ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_UCODE_REV, 0x2a00000000));
	EXPECT_TRUE(guest_write(self->vcpu, MSR_UCODE_REV, 0));
	expect_guest_value(MSR_UCODE_REV, 0x2a00000000);
}

TEST_F(msr, platform_info_can_be_hidden)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MSR_PLATFORM_INFO };
	uint64_t value;

	if (!test_check_extension(self->vm->dev_fd, KVM_CAP_MSR_PLATFORM_INFO))
		SKIP(return, "no KVM_CAP_MSR_PLATFORM_INFO");
	ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_PLATFORM_INFO, 0x8000ff00));
	expect_guest_value(MSR_PLATFORM_INFO, 0x8000ff00);
	ASSERT_EQ(0, ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap));
	EXPECT_FALSE(guest_read(self->vcpu, MSR_PLATFORM_INFO, &value));
	expect_host_value(MSR_PLATFORM_INFO, 0x8000ff00);
}

TEST_F(msr, feature_control_locks)
{
	expect_guest_value(MSR_FEATURE_CONTROL, 0);
	EXPECT_TRUE(guest_write(self->vcpu, MSR_FEATURE_CONTROL, 1));
	EXPECT_FALSE(guest_write(self->vcpu, MSR_FEATURE_CONTROL, 0));
	expect_guest_value(MSR_FEATURE_CONTROL, 1);
	EXPECT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_FEATURE_CONTROL, 0));
	EXPECT_TRUE(guest_write(self->vcpu, MSR_FEATURE_CONTROL, 1));
}

/* Without its CPUID bit an MSR does not exist for the guest; the VMM still gets at it. */
TEST_F(msr, needs_its_cpuid_bit)
{
	struct test_vcpu *bare = test_vcpu_create(self->vm, 1);
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(self->vm->dev_fd);
	struct kvm_cpuid_entry2 *entry = test_cpuid_find(cpuid, 7, 0);
	uint64_t value;

	ASSERT_NE(NULL, entry);
	entry->ebx &= ~(1u << 1);
	entry->edx &= ~(1u << 29 | 1u << 26 | 1u << 27 | 1u << 31);
	ASSERT_EQ(0, ioctl(bare->fd, KVM_SET_CPUID2, cpuid));
	EXPECT_FALSE(guest_read(bare, MSR_ARCH_CAPABILITIES, &value));
	EXPECT_FALSE(guest_read(bare, MSR_SPEC_CTRL, &value));
	EXPECT_FALSE(guest_write(bare, MSR_SPEC_CTRL, 0));
	EXPECT_FALSE(guest_write(bare, MSR_PRED_CMD, 1));
	EXPECT_EQ(1, test_vcpu_get_msr(bare, MSR_ARCH_CAPABILITIES, &value));
	free(cpuid);
	test_vcpu_free(bare);
}

TEST_F(msr, debugctl_and_misc_enable)
{
	uint64_t value;

	expect_guest_value(MSR_DEBUGCTL, 0);
	EXPECT_TRUE(guest_write(self->vcpu, MSR_DEBUGCTL, 0));
	EXPECT_FALSE(guest_write(self->vcpu, MSR_DEBUGCTL, 1ull << 40));
	ASSERT_TRUE(guest_read(self->vcpu, MSR_MISC_ENABLE, &value));
	/* There is no precise event sampling, and no guest can say otherwise. */
	EXPECT_EQ(0x1800, value & 0x1800);
	EXPECT_FALSE(guest_write(self->vcpu, MSR_MISC_ENABLE, value & ~0x1000ull));
	EXPECT_TRUE(guest_write(self->vcpu, MSR_MISC_ENABLE, value | 1));
}

/* A VMM may size the machine-check banks; only those exist. */
TEST_F(msr, machine_check_banks)
{
	uint64_t cap = 2 | 1 << 8, too_many = 33, supported, value;

	if (!test_check_extension(self->vm->dev_fd, KVM_CAP_MCE))
		SKIP(return, "no KVM_CAP_MCE");
	ASSERT_EQ(0, ioctl(self->vm->dev_fd, KVM_X86_GET_MCE_CAP_SUPPORTED, &supported));
	EXPECT_EQ(1 << 8, supported & (1 << 8));
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_X86_SETUP_MCE, &too_many));
	EXPECT_EQ(EINVAL, errno);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_X86_SETUP_MCE, &cap));
	expect_guest_value(MSR_MCG_CAP, cap);
	expect_guest_value(MSR_MC0_CTL, ~0ull);
	EXPECT_TRUE(guest_write(self->vcpu, MSR_MC0_CTL + 4, 0));
	EXPECT_FALSE(guest_write(self->vcpu, MSR_MC0_CTL + 5, 1));
	EXPECT_FALSE(guest_read(self->vcpu, MSR_MC0_CTL + 8, &value));
}

GUEST_CODE(guest_mce,
	   "1: " GUEST_SYNC
	   "jmp 1b\n");

TEST_F(msr, machine_check_is_raised)
{
	uint64_t cap = 2;
	struct kvm_x86_mce mce = { .status = 1ull << 63 | 1ull << 61 | 1ull << 58, .addr = 0x5000,
				   .mcg_status = 4, .bank = 1 };
	struct test_exception exception;
	struct kvm_sregs sregs;

	if (!test_check_extension(self->vm->dev_fd, KVM_CAP_MCE))
		SKIP(return, "no KVM_CAP_MCE");
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_X86_SETUP_MCE, &cap));
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_mce));
	test_vcpu_sregs(self->vcpu, &sregs);
	sregs.cr4 |= 1 << 6;
	test_vcpu_set_sregs(self->vcpu, &sregs);
	test_vcpu_run_to_sync(self->vcpu);
	mce.bank = 2;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_X86_SET_MCE, &mce));
	EXPECT_EQ(EINVAL, errno);
	mce.bank = 1;
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_X86_SET_MCE, &mce));
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(18, exception.vector);
	expect_host_value(MSR_MC0_CTL + 5, mce.status);
	expect_host_value(MSR_MC0_CTL + 6, 0x5000);
}

#define MSR_MC0_CTL2		0x280
#define CTL2_CMCI_EN		(1ull << 30)
#define CMCI_P			(1ull << 10)
#define APIC_LVR_CMCI		0x2f0

/* Errors that need no action come as an interrupt of the local APIC's, where the guest wants it. */
TEST(corrected_machine_check_interrupt)
{
	struct kvm_x86_mce mce = { .status = 1ull << 63 | 1ull << 61, .addr = 0x7000, .bank = 1 };
	struct test_vm *vm = test_vm_create_irqchip();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	uint64_t cap = 2 | CMCI_P, supported, value;

	test_vcpu_set_supported_cpuid(vcpu);
	ASSERT_EQ(0, ioctl(vm->dev_fd, KVM_X86_GET_MCE_CAP_SUPPORTED, &supported));
	EXPECT_EQ(CMCI_P, supported & CMCI_P);
	test_irq_start(vcpu, 0, TEST_EOI_X2APIC);
	apic_enable_x2(vcpu);
	/* Without the capability there is neither the bank's register nor the APIC's. */
	EXPECT_FALSE(test_irq_rdmsr(vcpu, MSR_MC0_CTL2 + 1, &value));
	EXPECT_FALSE(test_irq_rdmsr(vcpu, TEST_X2APIC(APIC_LVR_CMCI), &value));
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_X86_SETUP_MCE, &cap));
	EXPECT_EQ(6, apic_x2(vcpu, APIC_LVR) >> 16 & 0xff);
	EXPECT_EQ(LVT_MASKED, apic_x2(vcpu, APIC_LVR_CMCI));
	apic_set_x2(vcpu, APIC_LVR_CMCI, 0x60);
	EXPECT_FALSE(test_irq_wrmsr(vcpu, MSR_MC0_CTL2 + 1, 1ull << 31));
	EXPECT_FALSE(test_irq_wrmsr(vcpu, MSR_MC0_CTL2 + 2, 0));
	/* Off: it is only logged. */
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_X86_SET_MCE, &mce));
	test_irq_window(vcpu);
	EXPECT_EQ(0, test_irq_count(vcpu));
	EXPECT_EQ(1, test_vcpu_get_msr(vcpu, MSR_MC0_CTL + 5, &value));
	EXPECT_EQ(mce.status, value);
	test_irq_set_msr(vcpu, MSR_MC0_CTL2 + 1, CTL2_CMCI_EN | 1);
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_X86_SET_MCE, &mce));
	test_irq_window(vcpu);
	ASSERT_EQ(1, test_irq_count(vcpu));
	EXPECT_EQ(0x60, test_irq_vector(vcpu, 0));
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

TEST_HARNESS_MAIN
