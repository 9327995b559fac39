// SPDX-License-Identifier: GPL-2.0
/*
 * General, segment and control registers: KVM_GET/SET_REGS, SREGS, SREGS2, the registers in the run
 * page, and MOV to control registers in the guest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/vm.h"

#define CR0_PE		(1ull << 0)
#define CR0_ET		(1ull << 4)
#define CR0_NE		(1ull << 5)
#define CR0_WP		(1ull << 16)
#define CR0_NW		(1ull << 29)
#define CR0_CD		(1ull << 30)
#define CR0_PG		(1ull << 31)
#define CR4_PAE		(1ull << 5)
#define CR4_VMXE	(1ull << 13)
#define CR4_PCIDE	(1ull << 17)
#define CR4_SMEP	(1ull << 20)
#define EFER_LME	(1ull << 8)
#define EFER_LMA	(1ull << 10)
#define GP		13
#define PF		14

FIXTURE(regs) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
};

FIXTURE_SETUP(regs)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
}

FIXTURE_TEARDOWN(regs)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

/* "Processor States Following Power-up, Reset, or INIT" */
TEST_F(regs, after_reset)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	test_vcpu_regs(self->vcpu, &regs);
	test_vcpu_sregs(self->vcpu, &sregs);
	EXPECT_EQ(0xfff0, regs.rip);
	EXPECT_EQ(2, regs.rflags);
	EXPECT_EQ(0, regs.rax | regs.rbx | regs.rcx | regs.rsp | regs.r15);
	EXPECT_EQ(CR0_ET | CR0_NW | CR0_CD, sregs.cr0);
	EXPECT_EQ(0, sregs.cr2 | sregs.cr3 | sregs.cr4 | sregs.efer);
	EXPECT_EQ(0xf000, sregs.cs.selector);
	EXPECT_EQ(0xffff0000, sregs.cs.base);
	EXPECT_EQ(0xffff, sregs.cs.limit);
	EXPECT_EQ(0, sregs.ds.selector);
	EXPECT_EQ(0xffff, sregs.gdt.limit);
	EXPECT_EQ(0xffff, sregs.idt.limit);
	EXPECT_EQ(0xfee00900, sregs.apic_base);
}

TEST_F(regs, round_trip)
{
	struct kvm_regs regs, back;
	uint64_t *word = (uint64_t *)&regs;

	for (size_t i = 0; i < sizeof(regs) / 8; i++)
		word[i] = 0x1111111111111111 * (i % 15 + 1);
	regs.rflags = 0x246;
	test_vcpu_set_regs(self->vcpu, &regs);
	test_vcpu_regs(self->vcpu, &back);
	EXPECT_EQ(0, memcmp(&regs, &back, sizeof(regs)));
	/* Bit 1 of RFLAGS is always set. */
	regs.rflags = 0;
	test_vcpu_set_regs(self->vcpu, &regs);
	test_vcpu_regs(self->vcpu, &back);
	EXPECT_EQ(2, back.rflags);
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_REGS, (void *)1));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_GET_REGS, (void *)1));
	EXPECT_EQ(EFAULT, errno);
}

GUEST_CODE(guest_rotate,
	   "xchg %rax, %rbx\n"
	   "xchg %rcx, %rdx\n"
	   "xchg %rsi, %rdi\n"
	   "xchg %r8, %r9\n"
	   "xchg %r10, %r11\n"
	   "xchg %r12, %r13\n"
	   "xchg %r14, %r15\n"
	   "inc %rbp\n"
	   "push %rbp\n"
	   GUEST_SYNC
	   "add $1, %r15\n"
	   GUEST_SYNC);

/* What is set is what the guest computes with, in all sixteen. */
TEST_F(regs, guest_uses_them)
{
	struct kvm_regs in = { .rax = 1, .rbx = 2, .rcx = 3, .rdx = 4, .rsi = 5, .rdi = 6, .r8 = 8,
			       .r9 = 9, .r10 = 10, .r11 = 11, .r12 = 12, .r13 = 13, .r14 = 14,
			       .r15 = 15, .rbp = 0x123456789abcdef0, .rsp = TEST_STACK_GPA,
			       .rip = TEST_CODE_GPA, .rflags = 2 };
	struct kvm_regs out;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_rotate));
	test_vcpu_set_regs(self->vcpu, &in);
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &out);
	EXPECT_EQ(2, out.rax);
	EXPECT_EQ(1, out.rbx);
	EXPECT_EQ(4, out.rcx);
	EXPECT_EQ(3, out.rdx);
	EXPECT_EQ(6, out.rsi);
	EXPECT_EQ(5, out.rdi);
	EXPECT_EQ(9, out.r8);
	EXPECT_EQ(8, out.r9);
	EXPECT_EQ(11, out.r10);
	EXPECT_EQ(10, out.r11);
	EXPECT_EQ(13, out.r12);
	EXPECT_EQ(12, out.r13);
	EXPECT_EQ(15, out.r14);
	EXPECT_EQ(14, out.r15);
	EXPECT_EQ(0x123456789abcdef1, out.rbp);
	EXPECT_EQ(TEST_STACK_GPA - 8, out.rsp);
	EXPECT_EQ(out.rbp, *(uint64_t *)test_vm_hva(self->vm, TEST_STACK_GPA - 8));
	/* Between two runs, too. */
	out.r15 = 99;
	test_vcpu_set_regs(self->vcpu, &out);
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &out);
	EXPECT_EQ(100, out.r15);
}

TEST_F(regs, sregs_round_trip)
{
	struct kvm_sregs sregs, back;

	test_vcpu_set_supported_cpuid(self->vcpu);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_rotate));
	test_vcpu_sregs(self->vcpu, &sregs);
	sregs.cr2 = 0x1234567000;
	sregs.cr8 = 5;
	sregs.fs.base = 0x7f0000001000;
	sregs.gs.base = 0xffff888000000000;
	sregs.interrupt_bitmap[1] = 1ull << 5;
	test_vcpu_set_sregs(self->vcpu, &sregs);
	test_vcpu_sregs(self->vcpu, &back);
	EXPECT_EQ(0, memcmp(&sregs, &back, sizeof(sregs)));
}

static int set_sregs(struct test_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	return ioctl(vcpu->fd, KVM_SET_SREGS, sregs) ? -errno : 0;
}

/* Each is refused whole: nothing has changed afterwards. */
TEST_F(regs, sregs_refusals)
{
	struct kvm_sregs good, bad, now;

	test_vcpu_set_supported_cpuid(self->vcpu);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_rotate));
	test_vcpu_sregs(self->vcpu, &good);

#define REFUSED(change)								\
	do {									\
		bad = good;							\
		bad.cr2 = 0xbad;						\
		change;								\
		EXPECT_EQ(-EINVAL, set_sregs(self->vcpu, &bad)) {		\
			TH_LOG("%s", #change);					\
		}								\
		test_vcpu_sregs(self->vcpu, &now);				\
		EXPECT_EQ(0, memcmp(&good, &now, sizeof(now)));			\
	} while (0)

	REFUSED(bad.cr4 &= ~CR4_PAE);
	REFUSED(bad.efer &= ~EFER_LMA);
	REFUSED(bad.efer &= ~EFER_LME);
	REFUSED(bad.cr3 |= 1ull << 60);
	REFUSED(bad.cr4 |= 1ull << 40);
	REFUSED(bad.cr0 &= ~CR0_PG);			/* leaves LMA behind */
	REFUSED(bad.apic_base = 1 << 10);		/* x2APIC without the APIC */
	REFUSED(bad.apic_base |= 1ull << 60);
	REFUSED(bad.apic_base |= 1);
	if (!test_on_kvm()) {
		/* KVM has VMX for guests; the rest it takes and drops, or fails at entry. */
		REFUSED(bad.cr4 |= CR4_VMXE);
		REFUSED(bad.cr0 |= 1ull << 40);
		REFUSED(bad.cr0 |= CR0_NW);
		REFUSED(bad.cr0 &= ~CR0_PE);
		REFUSED(bad.efer |= 1ull << 40);
		REFUSED(bad.cr8 = 16);
	}
	EXPECT_EQ(0, set_sregs(self->vcpu, &good));
}

/* Outside long mode there is no 64-bit code segment. */
TEST_F(regs, sregs_64bit_code_without_long_mode)
{
	struct kvm_sregs sregs;

	test_vcpu_protected_mode(self->vcpu, GUEST_BLOB(guest_rotate));
	test_vcpu_sregs(self->vcpu, &sregs);
	sregs.cs.l = 1;
	sregs.cs.db = 0;
	EXPECT_EQ(-EINVAL, set_sregs(self->vcpu, &sregs));
}

/* CR4 bits come with their CPUID bit; before KVM_SET_CPUID2 all that the host has are taken. */
TEST_F(regs, cr4_follows_cpuid)
{
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(self->vm->dev_fd);
	struct kvm_cpuid_entry2 *entry = test_cpuid_find(cpuid, 7, 0);
	struct kvm_sregs sregs;

	if (!entry || !(entry->ebx & 1 << 7))
		SKIP(return, "no SMEP here");
	test_vcpu_sregs(self->vcpu, &sregs);
	sregs.cr4 |= CR4_SMEP;
	EXPECT_EQ(0, set_sregs(self->vcpu, &sregs));
	sregs.cr4 &= ~CR4_SMEP;
	EXPECT_EQ(0, set_sregs(self->vcpu, &sregs));
	entry->ebx &= ~(1u << 7);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_CPUID2, cpuid));
	sregs.cr4 |= CR4_SMEP;
	EXPECT_EQ(-EINVAL, set_sregs(self->vcpu, &sregs));
	free(cpuid);
}

GUEST_CODE(guest_mov_cr,
	   "cmp $4, %edi\n"
	   "je 4f\n"
	   "cmp $3, %edi\n"
	   "je 3f\n"
	   "mov %rsi, %cr0\n"
	   "jmp 9f\n"
	   "3: mov %rsi, %cr3\n"
	   "jmp 9f\n"
	   "4: mov %rsi, %cr4\n"
	   "9: mov %cr0, %r8\n"
	   "mov %cr3, %r9\n"
	   "mov %cr4, %r10\n"
	   GUEST_SYNC);

/* MOV to a control register in long mode: 0 if done, else the vector that it raised. */
static unsigned int mov_cr(struct test_vcpu *vcpu, unsigned int cr, uint64_t value,
			   struct kvm_regs *regs)
{
	struct test_exception *frame;

	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_mov_cr));
	test_vcpu_regs(vcpu, regs);
	regs->rdi = cr;
	regs->rsi = value;
	test_vcpu_set_regs(vcpu, regs);
	if (test_vcpu_run(vcpu) != KVM_EXIT_IO)
		test_die("exit reason %u", vcpu->run->exit_reason);
	test_vcpu_regs(vcpu, regs);
	if (vcpu->run->io.port == TEST_PORT_SYNC)
		return 0;
	frame = test_vm_hva(vcpu->vm, regs->rsp);
	return frame->vector;
}

TEST_F(regs, guest_mov_cr0)
{
	uint64_t cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	test_vcpu_set_supported_cpuid(self->vcpu);
	EXPECT_EQ(0, mov_cr(self->vcpu, 0, cr0 & ~CR0_WP, &regs));
	EXPECT_EQ(cr0 & ~CR0_WP, regs.r8);
	test_vcpu_sregs(self->vcpu, &sregs);
	EXPECT_EQ(cr0 & ~CR0_WP, sregs.cr0);
	/* ET cannot be cleared, reserved bits in the low half do not stick, CD reads back. */
	EXPECT_EQ(0, mov_cr(self->vcpu, 0, (cr0 & ~CR0_ET) | 1 << 7 | CR0_CD, &regs));
	EXPECT_EQ(cr0 | CR0_CD, regs.r8);
	EXPECT_EQ(GP, mov_cr(self->vcpu, 0, cr0 | CR0_NW, &regs));
	EXPECT_EQ(GP, mov_cr(self->vcpu, 0, cr0 & ~CR0_PE, &regs));
	EXPECT_EQ(GP, mov_cr(self->vcpu, 0, cr0 & ~CR0_PG, &regs));	/* from 64-bit code */
	EXPECT_EQ(GP, mov_cr(self->vcpu, 0, cr0 | 1ull << 32, &regs));
}

TEST_F(regs, guest_mov_cr4)
{
	uint64_t cr4 = CR4_PAE | 1 << 9 | 1 << 10;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	test_vcpu_set_supported_cpuid(self->vcpu);
	EXPECT_EQ(0, mov_cr(self->vcpu, 4, cr4 | 1 << 7 | 1 << 6, &regs));
	EXPECT_EQ(cr4 | 1 << 7 | 1 << 6, regs.r10);
	test_vcpu_sregs(self->vcpu, &sregs);
	EXPECT_EQ(cr4 | 1 << 7 | 1 << 6, sregs.cr4);
	EXPECT_EQ(GP, mov_cr(self->vcpu, 4, cr4 & ~CR4_PAE, &regs));
	if (!test_on_kvm())
		EXPECT_EQ(GP, mov_cr(self->vcpu, 4, cr4 | CR4_VMXE, &regs));
	EXPECT_EQ(GP, mov_cr(self->vcpu, 4, cr4 | 1ull << 31, &regs));
	EXPECT_EQ(GP, mov_cr(self->vcpu, 4, cr4 | 1ull << 40, &regs));
}

TEST_F(regs, guest_mov_cr3)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	test_vcpu_set_supported_cpuid(self->vcpu);
	/* A second top table, the same below. */
	memcpy(test_vm_hva(self->vm, TEST_FREE_GPA), test_vm_hva(self->vm, TEST_PML4_GPA), 4096);
	EXPECT_EQ(0, mov_cr(self->vcpu, 3, TEST_FREE_GPA, &regs));
	EXPECT_EQ(TEST_FREE_GPA, regs.r9);
	test_vcpu_sregs(self->vcpu, &sregs);
	EXPECT_EQ(TEST_FREE_GPA, sregs.cr3);
	EXPECT_EQ(GP, mov_cr(self->vcpu, 3, TEST_FREE_GPA | 1ull << 62, &regs));
}

/* Real mode to long mode and back by the guest itself: EFER.LMA follows CR0.PG. */
GUEST_CODE32(guest_long_and_back,
	     "mov %cr4, %eax\n"
	     "or $0x20, %eax\n"
	     "mov %eax, %cr4\n"
	     "mov $0x30000, %eax\n"
	     "mov %eax, %cr3\n"
	     "mov $0xc0000080, %ecx\n"
	     "rdmsr\n"
	     "or $0x100, %eax\n"
	     "wrmsr\n"
	     "mov %cr0, %eax\n"
	     "or $0x80000000, %eax\n"
	     "mov %eax, %cr0\n"
	     GUEST_SYNC
	     "mov %cr0, %eax\n"
	     "and $0x7fffffff, %eax\n"
	     "mov %eax, %cr0\n"
	     GUEST_SYNC);

TEST_F(regs, guest_enters_and_leaves_long_mode)
{
	struct kvm_sregs sregs;

	test_vcpu_set_supported_cpuid(self->vcpu);
	test_vcpu_protected_mode(self->vcpu, GUEST_BLOB(guest_long_and_back));
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_sregs(self->vcpu, &sregs);
	EXPECT_EQ(EFER_LME | EFER_LMA, sregs.efer);
	EXPECT_EQ(CR0_PG, sregs.cr0 & CR0_PG);
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_sregs(self->vcpu, &sregs);
	EXPECT_EQ(EFER_LME, sregs.efer);
	EXPECT_EQ(0, sregs.cr0 & CR0_PG);
}

/*
 * PAE paging: the guest turns it on with a table whose first gigabyte is mapped to itself, then
 * moves the second gigabyte's pointer in memory (no effect yet) and reloads CR3 (now it counts).
 */
GUEST_CODE32(guest_pae,
	     "mov %cr4, %eax\n"
	     "or $0x20, %eax\n"
	     "mov %eax, %cr4\n"
	     "mov $0x100000, %eax\n"
	     "mov %eax, %cr3\n"
	     "mov %cr0, %eax\n"
	     "or $0x80000000, %eax\n"
	     "mov %eax, %cr0\n"
	     "mov 0x40010000, %ebx\n"
	     GUEST_SYNC
	     "mov 0x100000, %eax\n"
	     "mov %eax, 0x100008\n"
	     "mov %cr3, %eax\n"
	     "mov %eax, %cr3\n"
	     "mov 0x40010000, %esi\n"
	     GUEST_SYNC);

#define PDE(gpa)	((gpa) | 0x83)

static void write_pae_tables(struct test_vm *vm)
{
	uint64_t *pdpt = test_vm_hva(vm, TEST_FREE_GPA);
	uint64_t *pd0 = test_vm_hva(vm, TEST_FREE_GPA + 0x1000);
	uint64_t *pd1 = test_vm_hva(vm, TEST_FREE_GPA + 0x2000);

	memset(pdpt, 0, 0x3000);
	pdpt[0] = (TEST_FREE_GPA + 0x1000) | 1;
	pdpt[1] = (TEST_FREE_GPA + 0x2000) | 1;
	pd0[0] = PDE(0);
	pd1[0] = PDE(0x200000);
	*(uint32_t *)test_vm_hva(vm, 0x10000) = 0x11111111;
	*(uint32_t *)test_vm_hva(vm, 0x210000) = 0x22222222;
}

TEST_F(regs, guest_pae_paging)
{
	struct kvm_sregs2 sregs2;
	struct kvm_regs regs;

	write_pae_tables(self->vm);
	test_vcpu_protected_mode(self->vcpu, GUEST_BLOB(guest_pae));
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0x22222222, regs.rbx);
	if (test_check_extension(self->vm->dev_fd, KVM_CAP_SREGS2)) {
		ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_SREGS2, &sregs2));
		EXPECT_EQ(KVM_SREGS2_FLAGS_PDPTRS_VALID, sregs2.flags);
		EXPECT_EQ((TEST_FREE_GPA + 0x1000) | 1, sregs2.pdptrs[0]);
		EXPECT_EQ((TEST_FREE_GPA + 0x2000) | 1, sregs2.pdptrs[1]);
		EXPECT_EQ(0, sregs2.pdptrs[2]);
	}
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0x11111111, regs.rsi);
}

GUEST_CODE32(guest_read_pae,
	     "mov 0x40010000, %ebx\n"
	     GUEST_SYNC);

/* Restored registers bring their own pointers, whatever memory holds by now. */
TEST_F(regs, sregs2_carries_pdptrs)
{
	struct kvm_sregs2 sregs2;
	struct kvm_regs regs;

	if (!test_check_extension(self->vm->dev_fd, KVM_CAP_SREGS2))
		SKIP(return, "no KVM_CAP_SREGS2");
	write_pae_tables(self->vm);
	test_vcpu_protected_mode(self->vcpu, GUEST_BLOB(guest_read_pae));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_SREGS2, &sregs2));
	EXPECT_EQ(0, sregs2.flags);
	sregs2.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_SREGS2, &sregs2));
	EXPECT_EQ(EINVAL, errno);
	sregs2.flags = 2;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_SREGS2, &sregs2));
	EXPECT_EQ(EINVAL, errno);

	sregs2.cr0 |= CR0_PG;
	sregs2.cr3 = TEST_FREE_GPA;
	sregs2.cr4 |= CR4_PAE;
	sregs2.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	sregs2.pdptrs[0] = (TEST_FREE_GPA + 0x1000) | 1;
	/* In memory this one leads elsewhere. */
	sregs2.pdptrs[1] = (TEST_FREE_GPA + 0x1000) | 1;
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_SREGS2, &sregs2));
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0x11111111, regs.rbx);
}

/* Without the flag they are read from memory at CR3. */
TEST_F(regs, sregs_loads_pdptrs)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	write_pae_tables(self->vm);
	test_vcpu_protected_mode(self->vcpu, GUEST_BLOB(guest_read_pae));
	test_vcpu_sregs(self->vcpu, &sregs);
	sregs.cr0 |= CR0_PG;
	sregs.cr3 = TEST_FREE_GPA;
	sregs.cr4 |= CR4_PAE;
	test_vcpu_set_sregs(self->vcpu, &sregs);
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0x22222222, regs.rbx);
}

GUEST_CODE(guest_count,
	   "1: inc %rbx\n"
	   GUEST_SYNC
	   "jmp 1b\n");

TEST_F(regs, sync_regs)
{
	struct kvm_run *run = self->vcpu->run;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	unsigned int all;

	all = test_check_extension(self->vm->dev_fd, KVM_CAP_SYNC_REGS);
	if (!all)
		SKIP(return, "no KVM_CAP_SYNC_REGS");
	EXPECT_EQ(7, all);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_count));
	run->kvm_valid_regs = all;
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	test_vcpu_sregs(self->vcpu, &sregs);
	EXPECT_EQ(1, run->s.regs.regs.rbx);
	EXPECT_EQ(0, memcmp(&regs, &run->s.regs.regs, sizeof(regs)));
	EXPECT_EQ(0, memcmp(&sregs, &run->s.regs.sregs, sizeof(sregs)));

	run->s.regs.regs.rbx = 0xbac0;
	run->s.regs.sregs.cr2 = 0x4242;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	test_vcpu_run_to_sync(self->vcpu);
	EXPECT_EQ(0, run->kvm_dirty_regs);
	EXPECT_EQ(0xbac1, run->s.regs.regs.rbx);
	EXPECT_EQ(0x4242, run->s.regs.sregs.cr2);

	/* What is not marked dirty is not read, what is not marked valid is not written. */
	run->s.regs.regs.rbx = 5;
	run->kvm_valid_regs = 0;
	test_vcpu_run_to_sync(self->vcpu);
	EXPECT_EQ(5, run->s.regs.regs.rbx);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0xbac2, regs.rbx);
}

TEST_F(regs, sync_regs_refusals)
{
	struct kvm_run *run = self->vcpu->run;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_count));
	run->kvm_valid_regs = 8;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_RUN, 0));
	EXPECT_EQ(EINVAL, errno);
	run->kvm_valid_regs = 0;
	run->kvm_dirty_regs = 1 << 10;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_RUN, 0));
	EXPECT_EQ(EINVAL, errno);
	run->kvm_valid_regs = KVM_SYNC_X86_SREGS;
	run->kvm_dirty_regs = 0;
	test_vcpu_run_to_sync(self->vcpu);
	run->s.regs.sregs.cr4 |= CR4_VMXE | 1ull << 40;
	run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_RUN, 0));
	EXPECT_EQ(EINVAL, errno);
	run->kvm_dirty_regs = 0;
	test_vcpu_run_to_sync(self->vcpu);
}

TEST_HARNESS_MAIN
