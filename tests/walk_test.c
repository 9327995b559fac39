// SPDX-License-Identifier: GPL-2.0
/*
 * The walk through the guest's own page tables: what an access that the host makes for the guest (a
 * string output to a port) meets must be what the CPU meets with a plain load from the same
 * address. The CPU is the judge, so there is no table of expected answers. And KVM_TRANSLATE in
 * every paging mode. Runs the same on KVM.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/access.h"
#include "lib/vm.h"

#define CR0_PG		(1ull << 31)
#define CR0_WP		(1ull << 16)
#define CR4_PSE		(1ull << 4)
#define CR4_PAE		(1ull << 5)
#define CR4_SMAP	(1ull << 21)
#define EFER_NXE	(1ull << 11)
#define EFLAGS_AC	(1ull << 18)
#define P		0x001ull
#define W		0x002ull
#define U		0x004ull
#define PS		0x080ull
#define NX		(1ull << 63)

#define TABLES_GPA	0x200000u	/* ours: PDPT, PD, PT for the gigabyte at TEST_GVA */
#define PD_GPA		(TABLES_GPA + 0x1000)
#define PT_GPA		(TABLES_GPA + 0x2000)
#define TARGET_GPA	0x300000u
#define TEST_GVA	0x8000000000ull	/* second entry of the top table */
#define PORT		0x1f0

/* %rbx says which: 0 load, 1 store, 2 output from memory, 3 input to memory. */
GUEST_CODE(walk_guest,
	   "cld\n"
	   "cmp $1, %rbx\n"
	   "jb 1f\n"
	   "je 2f\n"
	   "cmp $3, %rbx\n"
	   "je 3f\n"
	   "outsl\n"
	   "jmp 4f\n"
	   "1: mov (%rsi), %eax\n"
	   "jmp 4f\n"
	   "2: mov %eax, (%rdi)\n"
	   "jmp 4f\n"
	   "3: insl\n"
	   "4: outb %al, $0xe1\n");

enum access { LOAD, STORE, OUTPUT, INPUT };

FIXTURE(walk) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	uint64_t *pml4, *pdpt, *pd, *pt;
};

FIXTURE_SETUP(walk)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(walk_guest));
	self->pml4 = test_vm_hva(self->vm, TEST_PML4_GPA);
	self->pdpt = test_vm_hva(self->vm, TABLES_GPA);
	self->pd = test_vm_hva(self->vm, PD_GPA);
	self->pt = test_vm_hva(self->vm, PT_GPA);
	self->pml4[1] = TABLES_GPA | P | W | U;
	self->pdpt[0] = PD_GPA | P | W | U;
	self->pd[0] = PT_GPA | P | W | U;
}

FIXTURE_TEARDOWN(walk)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

/* What an access came to; equal answers are equal in every byte. */
struct outcome {
	uint64_t vector;		/* ~0: none */
	uint64_t error_code;
	uint64_t cr2;
	uint32_t value;
	uint64_t entries[4];		/* of the tables, afterwards */
};

/* One access in the state that the tables and @sregs are in; the tables are put back afterwards. */
static struct outcome try_access(FIXTURE_DATA(walk) * self, enum access access, uint64_t gva,
				 struct kvm_sregs sregs, uint64_t rflags)
{
	uint64_t before[4] = { self->pml4[1], self->pdpt[0], self->pd[0], self->pt[0] };
	struct kvm_regs regs = {
		.rip = TEST_CODE_GPA, .rsp = TEST_STACK_GPA, .rflags = 2 | rflags,
		.rbx = access, .rsi = gva, .rdi = gva, .rdx = PORT, .rax = 0x11111111,
	};
	struct outcome outcome = { .vector = ~0ull };
	uint32_t *target = test_vm_hva(self->vm, TARGET_GPA);
	struct kvm_run *run = self->vcpu->run;
	uint32_t sent = 0;

	*target = 0xabcdef01;
	/* Registers first: an exit that is half done must not meet new ones. */
	test_vcpu_set_sregs(self->vcpu, &sregs);
	test_vcpu_set_regs(self->vcpu, &regs);
	for (;;) {
		uint32_t *data = (void *)((uint8_t *)run + run->io.data_offset);

		if (test_vcpu_run(self->vcpu) != KVM_EXIT_IO)
			test_die("exit reason %u", run->exit_reason);
		data = (void *)((uint8_t *)run + run->io.data_offset);
		if (run->io.port != PORT)
			break;
		if (run->io.direction == KVM_EXIT_IO_IN)
			*data = 0x11111111;
		else
			sent = *data;
	}
	if (run->io.port == TEST_PORT_EXCEPTION) {
		struct kvm_sregs after;
		uint64_t *frame;

		test_vcpu_regs(self->vcpu, &regs);
		test_vcpu_sregs(self->vcpu, &after);
		frame = test_vm_hva(self->vm, regs.rsp);
		outcome.vector = frame[0];
		outcome.error_code = frame[1];
		outcome.cr2 = after.cr2;
	} else if (access == LOAD || access == OUTPUT) {
		test_vcpu_regs(self->vcpu, &regs);
		outcome.value = access == LOAD ? (uint32_t)regs.rax : sent;
	} else {
		outcome.value = *target;
	}
	outcome.entries[0] = self->pml4[1];
	outcome.entries[1] = self->pdpt[0];
	outcome.entries[2] = self->pd[0];
	outcome.entries[3] = self->pt[0];
	self->pml4[1] = before[0];
	self->pdpt[0] = before[1];
	self->pd[0] = before[2];
	self->pt[0] = before[3];
	return outcome;
}

/*
 * Both ways to read and both to write; the first is the CPU's. True if the CPU let the read
 * through.
 */
static bool compare(struct __test_metadata *_metadata, struct _test_data_walk *self, uint64_t gva,
		    const struct kvm_sregs *sregs, uint64_t rflags)
{
	struct outcome load = try_access(self, LOAD, gva, *sregs, rflags);
	struct outcome output = try_access(self, OUTPUT, gva, *sregs, rflags);
	struct outcome store = try_access(self, STORE, gva, *sregs, rflags);
	struct outcome input = try_access(self, INPUT, gva, *sregs, rflags);

	if (load.vector != ~0ull || output.vector != ~0ull) {
		/* How far accessed bits were set before a fault is the CPU's own affair. */
		memset(load.entries, 0, sizeof(load.entries));
		memset(output.entries, 0, sizeof(output.entries));
	}
	if (store.vector != ~0ull || input.vector != ~0ull) {
		memset(store.entries, 0, sizeof(store.entries));
		memset(input.entries, 0, sizeof(input.entries));
	}
	EXPECT_EQ(load.vector, output.vector);
	EXPECT_EQ(load.error_code, output.error_code);
	EXPECT_EQ(load.cr2, output.cr2);
	EXPECT_EQ(load.value, output.value);
	EXPECT_EQ(0, memcmp(load.entries, output.entries, sizeof(load.entries)));
	EXPECT_EQ(store.vector, input.vector);
	EXPECT_EQ(store.error_code, input.error_code);
	EXPECT_EQ(store.value, input.value);
	EXPECT_EQ(0, memcmp(store.entries, input.entries, sizeof(store.entries)));
	return load.vector == ~0ull;
}

/* Every level's rights, one taken away at a time. */
TEST_F(walk, rights_of_each_level)
{
	const uint64_t all[6] = { P | W | U, P | W, P | U, P, 0, W | U };
	uint64_t *level[] = { &self->pml4[1], &self->pdpt[0], &self->pd[0], &self->pt[0] };
	struct kvm_sregs sregs;
	unsigned int passed = 0;

	self->pt[0] = TARGET_GPA | P | W | U;
	test_vcpu_sregs(self->vcpu, &sregs);
	for (unsigned int wp = 0; wp < 2; wp++) {
		sregs.cr0 = (sregs.cr0 & ~CR0_WP) | (wp ? CR0_WP : 0);
		for (unsigned int i = 0; i < 4; i++) {
			uint64_t before = *level[i];

			for (unsigned int j = 0; j < 6; j++) {
				*level[i] = (before & ~(P | W | U)) | all[j];
				passed += compare(_metadata, self, TEST_GVA, &sregs, 0);
			}
			*level[i] = before;
		}
	}
	/* Four of six have the present bit. */
	EXPECT_EQ(2 * 4 * 4, passed);
}

TEST_F(walk, supervisor_mode_access_prevention)
{
	struct kvm_sregs sregs;

	test_vcpu_sregs(self->vcpu, &sregs);
	sregs.cr4 |= CR4_SMAP;
	if (ioctl(self->vcpu->fd, KVM_SET_SREGS, &sregs))
		SKIP(return, "this CPU has no SMAP");
	/* The guest's own code and stack must be the supervisor's then. */
	self->pml4[0] &= ~U;
	self->pt[0] = TARGET_GPA | P | W | U;
	EXPECT_FALSE(compare(_metadata, self, TEST_GVA, &sregs, 0));
	EXPECT_TRUE(compare(_metadata, self, TEST_GVA, &sregs, EFLAGS_AC));
	self->pt[0] = TARGET_GPA | P | W;
	EXPECT_TRUE(compare(_metadata, self, TEST_GVA, &sregs, 0));
}

TEST_F(walk, reserved_bits)
{
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(self->vm->dev_fd);
	unsigned int bits = test_cpuid_find(cpuid, 0x80000008, 0)->eax & 0xff;
	uint64_t *level[] = { &self->pml4[1], &self->pdpt[0], &self->pd[0], &self->pt[0] };
	struct kvm_sregs sregs;

	test_vcpu_sregs(self->vcpu, &sregs);
	for (unsigned int nxe = 0; nxe < 2; nxe++) {
		sregs.efer = (sregs.efer & ~EFER_NXE) | (nxe ? EFER_NXE : 0);
		for (unsigned int i = 0; i < 4; i++) {
			uint64_t before;

			self->pt[0] = TARGET_GPA | P | W | U;
			before = *level[i];
			if (bits < 52) {
				*level[i] = before | 1ull << bits;
				EXPECT_FALSE(compare(_metadata, self, TEST_GVA, &sregs, 0));
				*level[i] = before | 1ull << 51;
				EXPECT_FALSE(compare(_metadata, self, TEST_GVA, &sregs, 0));
			}
			/* Ignored ones, and the one that EFER gives a meaning. */
			*level[i] = before | 1ull << 52 | 1ull << 62 | 1ull << 9;
			EXPECT_TRUE(compare(_metadata, self, TEST_GVA, &sregs, 0));
			*level[i] = before | NX;
			EXPECT_EQ(nxe, compare(_metadata, self, TEST_GVA, &sregs, 0));
			*level[i] = before;
		}
	}
	/* A large page at the top level there is not. */
	self->pml4[1] |= PS;
	EXPECT_FALSE(compare(_metadata, self, TEST_GVA, &sregs, 0));
	free(cpuid);
}

TEST_F(walk, large_pages)
{
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(self->vm->dev_fd);
	struct kvm_sregs sregs;

	test_vcpu_sregs(self->vcpu, &sregs);
	self->pd[0] = (TARGET_GPA & ~0x1fffffull) | P | W | U | PS;
	EXPECT_TRUE(compare(_metadata, self, TEST_GVA + (TARGET_GPA & 0x1fffff), &sregs, 0));
	self->pd[0] &= ~W;
	EXPECT_TRUE(compare(_metadata, self, TEST_GVA + (TARGET_GPA & 0x1fffff), &sregs, 0));
	/* Bit 12 is the PAT's, the next ones are reserved. */
	self->pd[0] |= 1ull << 12;
	EXPECT_TRUE(compare(_metadata, self, TEST_GVA + (TARGET_GPA & 0x1fffff), &sregs, 0));
	for (unsigned int bit = 13; bit < 21; bit++) {
		self->pd[0] |= 1ull << bit;
		EXPECT_FALSE(compare(_metadata, self, TEST_GVA + (TARGET_GPA & 0x1fffff), &sregs,
				     0));
		self->pd[0] &= ~(1ull << bit);
	}
	self->pdpt[0] = P | W | U | PS;
	EXPECT_EQ(!!(test_cpuid_find(cpuid, 0x80000001, 0)->edx & 1u << 26),
		  compare(_metadata, self, TEST_GVA + TARGET_GPA, &sregs, 0));
	self->pdpt[0] |= 1ull << 29;
	EXPECT_FALSE(compare(_metadata, self, TEST_GVA + TARGET_GPA, &sregs, 0));
	free(cpuid);
}

/*
 * Tables that lead out of memory read as nothing on KVM, and so here: the guest must not end the
 * VMM.
 */
TEST_F(walk, tables_that_are_nowhere)
{
	struct kvm_translation look = { .linear_address = TEST_GVA };

	self->pd[0] = 0x70000000 | P | W | U;
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_TRANSLATE, &look));
	EXPECT_EQ(0, look.valid);
}

static int translate(struct test_vcpu *vcpu, uint64_t gva, uint64_t *gpa)
{
	struct kvm_translation look = { .linear_address = gva };

	if (ioctl(vcpu->fd, KVM_TRANSLATE, &look))
		return -errno;
	*gpa = look.physical_address;
	return look.valid;
}

TEST_F(walk, translate_without_paging)
{
	struct test_vcpu *vcpu = test_vcpu_create(self->vm, 1);
	uint64_t gpa = 0;

	test_vcpu_protected_mode(vcpu, GUEST_BLOB(walk_guest));
	EXPECT_EQ(1, translate(vcpu, 0x12345678, &gpa));
	EXPECT_EQ(0x12345678, gpa);
	test_vcpu_free(vcpu);
}

TEST_F(walk, translate_32_bit_paging)
{
	struct test_vcpu *vcpu = test_vcpu_create(self->vm, 1);
	uint32_t *directory = test_vm_hva(self->vm, TABLES_GPA);
	uint32_t *table = test_vm_hva(self->vm, PD_GPA);
	struct kvm_sregs sregs;
	uint64_t gpa = 0;

	test_vcpu_set_supported_cpuid(vcpu);
	test_vcpu_protected_mode(vcpu, GUEST_BLOB(walk_guest));
	memset(directory, 0, 4096);
	directory[0x300] = PD_GPA | P | W;
	table[0x123] = TARGET_GPA | P;
	directory[0x301] = 0x40c00000 | P | W | PS;
	/* The 4 MiB page at 0x3_4080_0000: the high bits stand in the low ones. */
	directory[0x302] = 0x40800000 | 0x3 << 13 | P | W | PS;
	test_vcpu_sregs(vcpu, &sregs);
	sregs.cr3 = TABLES_GPA;
	sregs.cr4 |= CR4_PSE;
	sregs.cr0 |= CR0_PG;
	test_vcpu_set_sregs(vcpu, &sregs);
	EXPECT_EQ(1, translate(vcpu, 0xc0123456, &gpa));
	EXPECT_EQ(TARGET_GPA + 0x456, gpa);
	EXPECT_EQ(0, translate(vcpu, 0xc0124456, &gpa));
	EXPECT_EQ(0, translate(vcpu, 0xbfffffff, &gpa));
	EXPECT_EQ(1, translate(vcpu, 0xc0712345, &gpa));
	EXPECT_EQ(0x40f12345, gpa);
	EXPECT_EQ(1, translate(vcpu, 0xc0812345, &gpa));
	EXPECT_EQ(0x340812345ull, gpa);
	/* Without PSE the bit means nothing, and the entry leads to a table that is nowhere. */
	sregs.cr4 &= ~CR4_PSE;
	test_vcpu_set_sregs(vcpu, &sregs);
	EXPECT_EQ(0, translate(vcpu, 0xc0712345, &gpa));
	test_vcpu_free(vcpu);
}

TEST_F(walk, translate_pae_paging)
{
	struct test_vcpu *vcpu = test_vcpu_create(self->vm, 1);
	struct kvm_sregs sregs;
	uint64_t gpa = 0;

	test_vcpu_set_supported_cpuid(vcpu);
	test_vcpu_protected_mode(vcpu, GUEST_BLOB(walk_guest));
	memset(self->pdpt, 0, 4096);
	memset(self->pd, 0, 4096);
	memset(self->pt, 0, 4096);
	self->pdpt[3] = PD_GPA | P;
	self->pd[0] = PT_GPA | P | W;
	self->pd[1] = 0x1234600000ull | P | PS;
	self->pt[5] = TARGET_GPA | P;
	test_vcpu_sregs(vcpu, &sregs);
	sregs.cr3 = TABLES_GPA;
	sregs.cr4 |= CR4_PAE;
	sregs.cr0 |= CR0_PG;
	test_vcpu_set_sregs(vcpu, &sregs);
	EXPECT_EQ(1, translate(vcpu, 0xc0005678, &gpa));
	EXPECT_EQ(TARGET_GPA + 0x678, gpa);
	EXPECT_EQ(1, translate(vcpu, 0xc0234567, &gpa));
	EXPECT_EQ(0x1234634567ull, gpa);
	EXPECT_EQ(0, translate(vcpu, 0xc0006000, &gpa));
	/* The other three quarters have no directory. */
	EXPECT_EQ(0, translate(vcpu, 0x80005678, &gpa));
	EXPECT_EQ(0, translate(vcpu, 0, &gpa));
	test_vcpu_free(vcpu);
}

TEST_HARNESS_MAIN
