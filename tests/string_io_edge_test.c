// SPDX-License-Identifier: GPL-2.0
/*
 * INS and OUTS at the two ends of 64-bit addresses, where offsets wrap and a count of the bytes
 * from there on is 2^64. The top page is TOP_GPA's, the lowest one guest-physical memory's.
 */
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"
#include "lib/port.h"
#include "lib/vm.h"

#define EFLAGS_DF	(1u << 10)
#define PTE_RW		3u
#define PTE_LARGE	0x80u
#define LARGE		(2u << 20)
#define TOP		(~0ull)
#define TOP_GPA		(TEST_MEMORY_BYTES - 1)
#define COUNT		3u

GUEST_CODE(rep_outsb, "rep outsb\n" GUEST_DONE);
GUEST_CODE(rep_insb, "rep insb\n" GUEST_DONE);
GUEST_CODE(outsb_once, "outsb\n" GUEST_DONE);
GUEST_CODE(insb_once, "insb\n" GUEST_DONE);

FIXTURE(edge) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	struct test_port *device;
	uint8_t *item[COUNT];		/* in the order of the port */
};

FIXTURE_VARIANT(edge) {
	uint64_t first;
	bool down;
	unsigned int exits;		/* for all items: one in each page */
};

FIXTURE_VARIANT_ADD(edge, up_from_zero) { 0, false, 1 };
FIXTURE_VARIANT_ADD(edge, down_to_zero) { 2, true, 1 };
FIXTURE_VARIANT_ADD(edge, down_from_the_top) { TOP, true, 1 };
FIXTURE_VARIANT_ADD(edge, up_to_the_top) { TOP - 2, false, 1 };
FIXTURE_VARIANT_ADD(edge, up_and_around) { TOP - 1, false, 2 };
FIXTURE_VARIANT_ADD(edge, down_and_around) { 1, true, 2 };

/* The last 2 MiB of addresses lead to the last of memory. */
static void map_top(struct test_vm *vm)
{
	uint64_t *pml4 = test_vm_hva(vm, TEST_PML4_GPA);
	uint64_t *pdpt = test_vm_hva(vm, TEST_FREE_GPA);
	uint64_t *pd = test_vm_hva(vm, TEST_FREE_GPA + 0x1000);

	pml4[511] = TEST_FREE_GPA | PTE_RW;
	pdpt[511] = (TEST_FREE_GPA + 0x1000) | PTE_RW;
	pd[511] = (TEST_MEMORY_BYTES - LARGE) | PTE_RW | PTE_LARGE;
}

FIXTURE_SETUP(edge)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	self->device = calloc(1, sizeof(*self->device));
	map_top(self->vm);
	for (unsigned int i = 0; i < COUNT; i++) {
		uint64_t gva = variant->first + (variant->down ? -(uint64_t)i : i);

		self->item[i] = test_vm_hva(self->vm, gva <= 2 ? gva : TOP_GPA - (TOP - gva));
	}
}

FIXTURE_TEARDOWN(edge)
{
	free(self->device);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

static void start(struct test_vcpu *vcpu, const char *code, size_t bytes, uint64_t address,
		  bool down)
{
	struct kvm_regs regs;

	test_vcpu_long_mode(vcpu, code, bytes);
	test_vcpu_regs(vcpu, &regs);
	regs.rdx = TEST_PORT_NUMBER;
	regs.rsi = address;
	regs.rdi = address;
	regs.rcx = COUNT;
	regs.rflags |= down ? EFLAGS_DF : 0;
	test_vcpu_set_regs(vcpu, &regs);
}

/*
 * That there are as many items as RCX says is test_port_run()'s business, too.
 * KVM's are one each.
 */
static void check_exits(struct __test_metadata *_metadata, const struct test_port *device,
			unsigned int exits)
{
	if (!test_on_kvm())
		EXPECT_EQ(exits, device->exits);
}

/* All are done: the register that moves is at @end, the other one where it was. */
static void check_end(struct __test_metadata *_metadata, struct test_vcpu *vcpu, bool in,
		      uint64_t first, bool down)
{
	uint64_t end = first + (down ? -(uint64_t)COUNT : COUNT);
	struct kvm_regs regs;

	test_vcpu_regs(vcpu, &regs);
	EXPECT_EQ(0, regs.rcx);
	EXPECT_EQ(in ? first : end, regs.rsi);
	EXPECT_EQ(in ? end : first, regs.rdi);
}

TEST_F(edge, outs)
{
	for (unsigned int i = 0; i < COUNT; i++)
		*self->item[i] = 0xa0 + i;
	start(self->vcpu, GUEST_BLOB(rep_outsb), variant->first, variant->down);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	ASSERT_EQ(COUNT, self->device->written_bytes);
	for (unsigned int i = 0; i < COUNT; i++)
		EXPECT_EQ(0xa0 + i, self->device->written[i]);
	check_exits(_metadata, self->device, variant->exits);
	check_end(_metadata, self->vcpu, false, variant->first, variant->down);
}

TEST_F(edge, ins)
{
	for (unsigned int i = 0; i < COUNT; i++)
		*self->item[i] = 0xee;
	start(self->vcpu, GUEST_BLOB(rep_insb), variant->first, variant->down);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	ASSERT_EQ(COUNT, self->device->read_bytes);
	for (unsigned int i = 0; i < COUNT; i++)
		EXPECT_EQ(test_port_byte(i), *self->item[i]);
	check_exits(_metadata, self->device, variant->exits);
	check_end(_metadata, self->vcpu, true, variant->first, variant->down);
}

/* Not skipped: without a count there is one item. */
TEST_F(edge, one_item_without_rep)
{
	uint64_t step = variant->down ? -1ull : 1;
	struct kvm_regs regs;

	*self->item[0] = 0xa5;
	start(self->vcpu, GUEST_BLOB(outsb_once), variant->first, variant->down);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	ASSERT_EQ(1, self->device->written_bytes);
	EXPECT_EQ(0xa5, self->device->written[0]);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(variant->first + step, regs.rsi);

	*self->item[0] = 0xee;
	start(self->vcpu, GUEST_BLOB(insb_once), variant->first, variant->down);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	ASSERT_EQ(1, self->device->read_bytes);
	EXPECT_EQ(test_port_byte(0), *self->item[0]);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(variant->first + step, regs.rdi);
	EXPECT_EQ(COUNT, regs.rcx);
}

static void check_lowered(struct __test_metadata *_metadata, struct test_vcpu *vcpu, bool down,
			  unsigned int left)
{
	uint64_t first = TEST_DATA_GPA + 8, end = first + (down ? -(uint64_t)left : left);
	uint8_t *at = test_vm_hva(vcpu->vm, first);
	struct kvm_run *run = vcpu->run;
	struct kvm_regs regs;

	memset(at - 8, 0xee, 16);
	start(vcpu, GUEST_BLOB(rep_insb), first, down);
	ASSERT_EQ(KVM_EXIT_IO, test_vcpu_run(vcpu));
	ASSERT_EQ(COUNT, run->io.count);
	for (unsigned int i = 0; i < COUNT; i++)
		*((uint8_t *)run + run->io.data_offset + i) = test_port_byte(i);
	test_vcpu_regs(vcpu, &regs);
	regs.rcx = left;
	test_vcpu_set_regs(vcpu, &regs);
	test_vcpu_run_to_done(vcpu);
	test_vcpu_regs(vcpu, &regs);
	EXPECT_EQ(0, regs.rcx);
	EXPECT_EQ(end, regs.rdi);
	for (unsigned int i = 0; i < 8; i++)
		EXPECT_EQ(i < left ? test_port_byte(i) : 0xee, down ? *(at - i) : at[i]);
}

/* The VMM lowers RCX while the items are out: so many are moved, and none may be left. */
TEST(count_lowered_meanwhile)
{
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);

	if (test_on_kvm())
		SKIP(return, "KVM moves what it has asked for");
	for (int down = 0; down < 2; down++)
		for (unsigned int left = COUNT; left-- > 0;)
			check_lowered(_metadata, vcpu, down, left);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

TEST_HARNESS_MAIN
