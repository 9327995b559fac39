// SPDX-License-Identifier: GPL-2.0
/*
 * CPUID: what the device offers, what a vCPU takes, what the guest reads.
 */
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/vm.h"

#define MAX_ENTRIES	256
#define ECX_OSXSAVE	(1u << 27)
#define ECX_XSAVE	(1u << 26)
#define ECX_HYPERVISOR	(1u << 31)
#define EDX_APIC	(1u << 9)
#define EBX7_SMEP	(1u << 7)
#define CR4_OSXSAVE	(1ull << 18)
#define MSR_APIC_BASE	0x1b
#define APIC_ENABLE	(1ull << 11)
#define MSR_MISC_FEATURES	0x140
#define GP		13

FIXTURE(cpuid) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	struct kvm_cpuid2 *table;
};

FIXTURE_SETUP(cpuid)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	self->table = test_supported_cpuid(self->vm->dev_fd);
}

FIXTURE_TEARDOWN(cpuid)
{
	free(self->table);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

static struct kvm_cpuid2 *alloc_table(unsigned int nent)
{
	struct kvm_cpuid2 *table;

	table = calloc(1, sizeof(*table) + (nent + 1) * sizeof(table->entries[0]));
	if (!table)
		test_die("out of memory");
	table->nent = nent;
	return table;
}

static int get_supported(int fd, struct kvm_cpuid2 *table)
{
	return ioctl(fd, KVM_GET_SUPPORTED_CPUID, table) ? -errno : 0;
}

TEST_F(cpuid, supported_needs_room)
{
	struct kvm_cpuid2 *table = alloc_table(MAX_ENTRIES);
	unsigned int nent = self->table->nent;

	ASSERT_GT(nent, 10);
	ASSERT_LT(nent, MAX_ENTRIES);
	table->nent = 0;
	EXPECT_EQ(-E2BIG, get_supported(self->vm->dev_fd, table));
	table->nent = nent - 1;
	EXPECT_EQ(-E2BIG, get_supported(self->vm->dev_fd, table));
	table->nent = nent;
	EXPECT_EQ(0, get_supported(self->vm->dev_fd, table));
	EXPECT_EQ(nent, table->nent);
	/* More room than there is anything for is corrected. */
	table->nent = 10000;
	EXPECT_EQ(0, get_supported(self->vm->dev_fd, table));
	EXPECT_EQ(nent, table->nent);
	EXPECT_EQ(-1, ioctl(self->vm->dev_fd, KVM_GET_SUPPORTED_CPUID, (void *)1));
	EXPECT_EQ(EFAULT, errno);
	free(table);
}

/* Nothing that the CPU under us lacks, nothing that no guest can have. */
TEST_F(cpuid, supported_is_honest)
{
	struct kvm_cpuid_entry2 *entry;
	unsigned int eax, ebx, ecx, edx;

	entry = test_cpuid_find(self->table, 1, 0);
	ASSERT_NE(NULL, entry);
	__cpuid(1, eax, ebx, ecx, edx);
	EXPECT_EQ(0, entry->edx & ~edx);
	/* x2APIC and the hypervisor bit are ours to give. */
	EXPECT_EQ(0, entry->ecx & ~(ecx | ECX_HYPERVISOR | 1u << 21));
	if (!test_on_kvm())
		EXPECT_EQ(ECX_HYPERVISOR, entry->ecx & ECX_HYPERVISOR);
	EXPECT_EQ(0, entry->ecx & (1u << 3));		/* MONITOR */

	entry = test_cpuid_find(self->table, 7, 0);
	ASSERT_NE(NULL, entry);
	__cpuid_count(7, 0, eax, ebx, ecx, edx);
	EXPECT_EQ(0, entry->ebx & ~(ebx | 1u << 1));	/* TSC_ADJUST */
	/* KVM emulates UMIP. */
	EXPECT_EQ(0, entry->ecx & ~(ecx | (test_on_kvm() ? 1u << 2 : 0)));
	EXPECT_EQ(0, entry->edx & ~(edx | 1u << 29));	/* ARCH_CAPABILITIES */

	entry = test_cpuid_find(self->table, 0x80000001, 0);
	ASSERT_NE(NULL, entry);
	__cpuid(0x80000001, eax, ebx, ecx, edx);
	EXPECT_EQ(0, entry->ecx & ~ecx);
	EXPECT_EQ(0, entry->edx & ~edx);

	entry = test_cpuid_find(self->table, 0x80000008, 0);
	ASSERT_NE(NULL, entry);
	__cpuid(0x80000008, eax, ebx, ecx, edx);
	EXPECT_LE(entry->eax & 0xff, eax & 0xff);
}

TEST_F(cpuid, supported_signature)
{
	struct kvm_cpuid_entry2 *entry = test_cpuid_find(self->table, 0x40000000, 0);

	ASSERT_NE(NULL, entry);
	EXPECT_EQ(0x40000001, entry->eax);
	EXPECT_EQ(0, memcmp(&entry->ebx, "KVMK", 4));
	EXPECT_EQ(0, memcmp(&entry->ecx, "VMKV", 4));
	EXPECT_EQ(0, memcmp(&entry->edx, "M\0\0\0", 4));
}

/* Leaf 0xd must describe what leaf 0xd, EAX offers, and be as large as its last component says. */
TEST_F(cpuid, supported_xsave_sizes)
{
	struct kvm_cpuid_entry2 *entry = test_cpuid_find(self->table, 0xd, 0);
	unsigned int i, bytes = 576;
	uint64_t xcr0;

	if (!(test_cpuid_find(self->table, 1, 0)->ecx & ECX_XSAVE))
		SKIP(return, "no XSAVE here");
	ASSERT_NE(NULL, entry);
	xcr0 = entry->eax | (uint64_t)entry->edx << 32;
	EXPECT_EQ(3, xcr0 & 3);
	for (i = 2; i < 63; i++) {
		struct kvm_cpuid_entry2 *part = test_cpuid_find(self->table, 0xd, i);

		if (!(xcr0 >> i & 1))
			continue;
		ASSERT_NE(NULL, part);
		EXPECT_GT(part->eax, 0);
		if (part->ebx + part->eax > bytes)
			bytes = part->ebx + part->eax;
	}
	EXPECT_EQ(bytes, entry->ecx);
}

TEST_F(cpuid, emulated)
{
	struct kvm_cpuid2 *table = alloc_table(MAX_ENTRIES);

	ASSERT_EQ(0, ioctl(self->vm->dev_fd, KVM_GET_EMULATED_CPUID, table));
	EXPECT_LE(table->nent, 8);
	free(table);
}

TEST_F(cpuid, set_and_get)
{
	struct kvm_cpuid2 *back = alloc_table(MAX_ENTRIES);
	unsigned int i;

	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_CPUID2, self->table));
	back->nent = self->table->nent - 1;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_GET_CPUID2, back));
	EXPECT_EQ(E2BIG, errno);
	back->nent = MAX_ENTRIES;
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_CPUID2, back));
	/* The KVM of 6.1 leaves the number as it was. */
	if (!test_on_kvm())
		ASSERT_EQ(self->table->nent, back->nent);
	for (i = 0; i < self->table->nent; i++) {
		EXPECT_EQ(self->table->entries[i].function, back->entries[i].function);
		EXPECT_EQ(self->table->entries[i].index, back->entries[i].index);
		EXPECT_EQ(self->table->entries[i].flags, back->entries[i].flags);
		if (back->entries[i].function != 0xd && back->entries[i].function != 1)
			EXPECT_EQ(self->table->entries[i].ebx, back->entries[i].ebx);
	}
	free(back);
}

TEST_F(cpuid, set_refuses)
{
	struct kvm_cpuid2 *table = alloc_table(MAX_ENTRIES + 1);
	struct kvm_cpuid_entry2 *entry;

	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_CPUID2, table));
	EXPECT_EQ(E2BIG, errno);
	table->nent = MAX_ENTRIES;
	EXPECT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_CPUID2, table));
	free(table);

	entry = test_cpuid_find(self->table, 0x80000008, 0);
	entry->eax = (entry->eax & ~0xff00u) | 50 << 8;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_CPUID2, self->table));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_CPUID2, (void *)1));
	EXPECT_EQ(EFAULT, errno);
}

/* The form without indices. */
TEST_F(cpuid, set_old_form)
{
	struct {
		struct kvm_cpuid head;
		struct kvm_cpuid_entry entry[1];
	} old = { .head.nent = 1, .entry[0] = { .function = 0x40000010, .eax = 0x1234 } };
	struct kvm_cpuid2 *back = alloc_table(1);

	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_CPUID, &old));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_CPUID2, back));
	EXPECT_EQ(1, back->nent);
	EXPECT_EQ(0x40000010, back->entries[0].function);
	EXPECT_EQ(0x1234, back->entries[0].eax);
	EXPECT_EQ(0, back->entries[0].flags);
	old.head.nent = MAX_ENTRIES + 1;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_CPUID, &old));
	EXPECT_EQ(E2BIG, errno);
	free(back);
}

/* EAX and ECX of each question come from the host through RSI and RDI. */
GUEST_CODE(guest_cpuid,
	   "1: mov %esi, %eax\n"
	   "mov %edi, %ecx\n"
	   "cpuid\n"
	   GUEST_SYNC
	   "jmp 1b\n");

static void ask(struct test_vcpu *vcpu, uint32_t function, uint32_t index, struct kvm_regs *regs)
{
	test_vcpu_regs(vcpu, regs);
	regs->rsi = function;
	regs->rdi = index;
	/* All ones: the instruction must clear the upper halves. */
	regs->rax = ~0ull;
	regs->rbx = ~0ull;
	regs->rcx = ~0ull;
	regs->rdx = ~0ull;
	test_vcpu_set_regs(vcpu, regs);
	test_vcpu_run_to_sync(vcpu);
	test_vcpu_regs(vcpu, regs);
}

TEST_F(cpuid, guest_reads_table)
{
	struct kvm_regs regs;
	unsigned int i;

	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_CPUID2, self->table));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_CPUID2, self->table));
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_cpuid));
	for (i = 0; i < self->table->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &self->table->entries[i];

		ask(self->vcpu, entry->function, entry->index, &regs);
		EXPECT_EQ(entry->eax, regs.rax);
		EXPECT_EQ(entry->ebx, regs.rbx);
		EXPECT_EQ(entry->ecx, regs.rcx);
		EXPECT_EQ(entry->edx, regs.rdx);
	}
}

/* A table of our own: indices, leaves that are missing, leaves out of range. */
TEST_F(cpuid, guest_reads_gaps)
{
	struct kvm_cpuid2 *table = alloc_table(7);
	struct kvm_cpuid_entry2 *entries = table->entries;
	struct kvm_regs regs;

	entries[0] = (struct kvm_cpuid_entry2) { .function = 0, .eax = 0xb, .ebx = 0x756e6547,
						 .ecx = 0x6c65746e, .edx = 0x49656e69 };
	entries[1] = (struct kvm_cpuid_entry2) { .function = 4, .index = 1, .eax = 0x41,
						 .flags = 1 };
	entries[2] = (struct kvm_cpuid_entry2) { .function = 0xb, .index = 0, .eax = 0xb0, .edx = 5,
						 .flags = 1 };
	entries[3] = (struct kvm_cpuid_entry2) { .function = 0xb, .index = 1, .eax = 0xb1, .edx = 7,
						 .flags = 1 };
	entries[4] = (struct kvm_cpuid_entry2) { .function = 0x80000000, .eax = 0x80000001 };
	/* Entries of one leaf need not stand together. */
	entries[5] = (struct kvm_cpuid_entry2) { .function = 4, .index = 0, .eax = 0x40,
						 .flags = 1 };
	entries[6] = (struct kvm_cpuid_entry2) { .function = 2, .eax = 0x22 };
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_CPUID2, table));
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_cpuid));

	ask(self->vcpu, 4, 0, &regs);
	EXPECT_EQ(0x40, regs.rax);
	ask(self->vcpu, 4, 1, &regs);
	EXPECT_EQ(0x41, regs.rax);
	ask(self->vcpu, 4, 2, &regs);
	EXPECT_EQ(0, regs.rax | regs.rbx | regs.rcx | regs.rdx);
	/* An index means nothing to a leaf without. */
	ask(self->vcpu, 2, 99, &regs);
	EXPECT_EQ(0x22, regs.rax);
	/* In range, but not there. */
	ask(self->vcpu, 3, 0, &regs);
	EXPECT_EQ(0, regs.rax | regs.rbx | regs.rcx | regs.rdx);
	/* Topology goes on below its last level. */
	ask(self->vcpu, 0xb, 9, &regs);
	EXPECT_EQ(0, regs.rax | regs.rbx);
	EXPECT_EQ(9, regs.rcx);
	EXPECT_EQ(7, regs.rdx);
	/* Out of range: as the highest basic leaf, with the index asked for. */
	ask(self->vcpu, 0x20, 1, &regs);
	EXPECT_EQ(0xb1, regs.rax);
	ask(self->vcpu, 0x80000005, 0, &regs);
	EXPECT_EQ(0xb0, regs.rax);
	ask(self->vcpu, 0x12345678, 1, &regs);
	EXPECT_EQ(0xb1, regs.rax);
	free(table);
}

TEST_F(cpuid, guest_without_table)
{
	struct kvm_regs regs;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_cpuid));
	ask(self->vcpu, 0, 0, &regs);
	EXPECT_EQ(0, regs.rax | regs.rbx | regs.rcx | regs.rdx);
}

TEST_F(cpuid, set_after_run)
{
	struct kvm_cpuid_entry2 *entry;
	struct kvm_regs regs;

	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_CPUID2, self->table));
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_cpuid));
	ask(self->vcpu, 0, 0, &regs);
	/* The same again is a restore, anything else would change the CPU under the guest. */
	EXPECT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_CPUID2, self->table));
	entry = test_cpuid_find(self->table, 7, 0);
	entry->ebx ^= EBX7_SMEP;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_CPUID2, self->table));
	EXPECT_EQ(EINVAL, errno);
	entry->ebx ^= EBX7_SMEP;
	self->table->nent--;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_CPUID2, self->table));
	EXPECT_EQ(EINVAL, errno);
	self->table->nent++;
	EXPECT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_CPUID2, self->table));
}

GUEST_CODE(guest_osxsave,
	   "mov $1, %eax\n"
	   "xor %ecx, %ecx\n"
	   "cpuid\n"
	   "mov %ecx, %r8d\n"
	   "mov %cr4, %rax\n"
	   "or $0x40000, %rax\n"
	   "mov %rax, %cr4\n"
	   "mov $1, %eax\n"
	   "xor %ecx, %ecx\n"
	   "cpuid\n"
	   "mov %ecx, %r9d\n"
	   "mov $0xd, %eax\n"
	   "xor %ecx, %ecx\n"
	   "cpuid\n"
	   "mov %ebx, %r10d\n"
	   "xor %ecx, %ecx\n"
	   "xor %edx, %edx\n"
	   "mov $7, %eax\n"
	   "xsetbv\n"
	   "mov $0xd, %eax\n"
	   "xor %ecx, %ecx\n"
	   "cpuid\n"
	   "mov %ebx, %r11d\n"
	   GUEST_DONE);

/* What mirrors the guest's own state follows it. */
TEST_F(cpuid, follows_cr4_and_xcr0)
{
	struct kvm_cpuid_entry2 *avx = test_cpuid_find(self->table, 0xd, 2);
	struct kvm_regs regs;

	if (!(test_cpuid_find(self->table, 1, 0)->ecx & ECX_XSAVE) || !avx)
		SKIP(return, "no AVX here");
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_CPUID2, self->table));
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_osxsave));
	test_vcpu_run_to_done(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0, regs.r8 & ECX_OSXSAVE);
	EXPECT_EQ(ECX_OSXSAVE, regs.r9 & ECX_OSXSAVE);
	EXPECT_EQ(576, regs.r10);
	EXPECT_EQ(avx->ebx + avx->eax, regs.r11);
}

TEST_F(cpuid, follows_apic_base)
{
	uint64_t base;
	struct kvm_regs regs;

	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_CPUID2, self->table));
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_cpuid));
	ask(self->vcpu, 1, 0, &regs);
	EXPECT_EQ(EDX_APIC, regs.rdx & EDX_APIC);
	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu, MSR_APIC_BASE, &base));
	ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_APIC_BASE, base & ~APIC_ENABLE));
	ask(self->vcpu, 1, 0, &regs);
	EXPECT_EQ(0, regs.rdx & EDX_APIC);
}

GUEST_CODE(guest_user_cpuid,
	   /* To ring 3 by IRETQ, with flat user segments that the test put into the GDT. */
	   "push $0x33\n"
	   "push %rsp\n"
	   "push $0x3002\n"
	   "push $0x3b\n"
	   "lea 1f(%rip), %rax\n"
	   "push %rax\n"
	   "iretq\n"
	   "1: xor %eax, %eax\n"
	   "cpuid\n"
	   GUEST_SYNC);

/* CPUID faulting: at ring 3 the instruction raises #GP once the VMM or the guest asked for it. */
TEST_F(cpuid, faulting)
{
	uint64_t *gdt = test_vm_hva(self->vm, TEST_GDT_GPA);
	struct test_exception exception;
	struct kvm_sregs sregs;
	int faulting;

	for (faulting = 0; faulting < 2; faulting++) {
		ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_MISC_FEATURES, faulting));
		test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_user_cpuid));
		gdt[6] = 0x00cff3000000ffff;
		gdt[7] = 0x00affb000000ffff;
		test_vcpu_sregs(self->vcpu, &sregs);
		sregs.gdt.limit = 8 * 8 - 1;
		test_vcpu_set_sregs(self->vcpu, &sregs);
		/* RSP0 of the TSS, for the way back. */
		*(uint64_t *)test_vm_hva(self->vm, TEST_TSS_GPA + 4) = TEST_STACK_GPA;
		if (faulting) {
			test_vcpu_run_to_exception(self->vcpu, &exception);
			EXPECT_EQ(GP, exception.vector);
			EXPECT_EQ(0, exception.error_code);
			EXPECT_EQ(3, exception.cs & 3);
		} else {
			test_vcpu_run_to_sync(self->vcpu);
		}
	}
}

TEST_HARNESS_MAIN
