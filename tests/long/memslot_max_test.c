// SPDX-License-Identifier: GPL-2.0
/*
 * As many memory slots as there can be: all made, found, told apart and deleted again, and in
 * nobody's way.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "lib/access.h"
#include "lib/vm.h"

#define PAGE		4096ul
#define SLOT_GPA	0x40000000ul
#define WINDOW		64ul		/* pages behind them all */
#define TIMES_DEARER	4		/* an invalidation with all slots than with one */

static int set_region(struct test_vm *vm, uint32_t slot, uint64_t gpa, const void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = hva ? PAGE : 0,
		.userspace_addr = (uintptr_t)hva,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

FIXTURE(many) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	uint8_t *memory;
};

FIXTURE_SETUP(many)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_access_start(self->vcpu);
	self->memory = mmap(NULL, WINDOW * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->memory);
	for (unsigned long page = 0; page < WINDOW; page++)
		*(uint64_t *)(self->memory + page * PAGE) = TEST_ACCESS_MARK(page);
}

FIXTURE_TEARDOWN(many)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

/* Every other frame; slot 0 is the guest's own. */
static uint64_t slot_gpa(uint32_t slot)
{
	return SLOT_GPA + 2 * slot * PAGE;
}

static uint64_t ticks(void)
{
	return __builtin_ia32_rdtsc();
}

/*
 * The least that it takes to drop a page of the host's that is in no slot: its mm tells of it, and
 * whoever reclaims memory waits.
 */
static uint64_t invalidation_ticks(void)
{
	uint64_t least = UINT64_MAX;
	uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);

	if (page == MAP_FAILED)
		test_die("mmap");
	for (unsigned int i = 0; i < 64; i++) {
		uint64_t start, taken;

		*page = 1;
		start = ticks();
		if (madvise(page, PAGE, MADV_DONTNEED))
			test_die("MADV_DONTNEED");
		taken = ticks() - start;
		if (taken < least)
			least = taken;
	}
	munmap(page, PAGE);
	return least;
}

TEST_F_TIMEOUT(many, all_slots_at_once, 600)
{
	uint32_t max = test_check_extension(self->vm->fd, KVM_CAP_NR_MEMSLOTS);
	uint64_t with_one, with_all;

	ASSERT_LE(509, max);
	with_one = invalidation_ticks();
	for (uint32_t slot = 1; slot < max; slot++)
		ASSERT_EQ(0, set_region(self->vm, slot, slot_gpa(slot),
					self->memory + slot % WINDOW * PAGE));
	EXPECT_EQ(-EINVAL, set_region(self->vm, max, slot_gpa(max), self->memory));
	with_all = invalidation_ticks();
	printf("# an invalidation takes %llu ticks with one slot, %llu with %u\n",
	       (unsigned long long)with_one, (unsigned long long)with_all, max);
	EXPECT_GT(TIMES_DEARER * with_one, with_all);
	for (uint32_t slot = 1; slot < max; slot += 61) {
		EXPECT_EQ(TEST_ACCESS_MARK(slot % WINDOW),
			  test_access_read(self->vcpu, slot_gpa(slot)));
		ASSERT_EQ(0, test_access_try_read(self->vcpu, slot_gpa(slot) + PAGE));
		EXPECT_TRUE(test_access_is_mmio(self->vcpu, slot_gpa(slot) + PAGE, false));
		ASSERT_TRUE(test_access_resume(self->vcpu));
	}
	/* One page of the host's is behind many of the guest's: it goes from all of them. */
	ASSERT_EQ(0, madvise(self->memory + PAGE, PAGE, MADV_DONTNEED));
	for (uint32_t slot = 1; slot < max; slot += WINDOW * 8)
		EXPECT_EQ(0, test_access_read(self->vcpu, slot_gpa(slot)));
	for (uint32_t slot = max - 1; slot; slot--)
		ASSERT_EQ(0, set_region(self->vm, slot, 0, NULL));
	EXPECT_EQ(-EINVAL, set_region(self->vm, 1, 0, NULL));
}

TEST_HARNESS_MAIN
