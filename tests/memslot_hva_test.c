// SPDX-License-Identifier: GPL-2.0
/*
 * Memory slots by host address: what goes from the host's mapping goes from every slot that it is
 * behind, however they lie there. Runs the same on KVM.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "lib/access.h"
#include "lib/host.h"
#include "lib/vm.h"

#define PAGE		4096ul
#define SLOT_GPA	0x40000000ul
#define NR_PAGES	32u		/* behind all of them */
#define NR_SLOTS	24u

struct window {
	unsigned int first, nr;		/* in pages; none: there is no such slot */
};

FIXTURE(hva) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	uint8_t *memory;
	struct window windows[NR_SLOTS];
};

FIXTURE_SETUP(hva)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_access_start(self->vcpu);
	self->memory = mmap(NULL, NR_PAGES * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->memory);
}

FIXTURE_TEARDOWN(hva)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
	munmap(self->memory, NR_PAGES * PAGE);
}

static uint64_t slot_gpa(unsigned int slot)
{
	return SLOT_GPA + slot * NR_PAGES * PAGE;
}

/* Neighbours in the guest's memory are far from each other in the host's, and the reverse. */
static int set_window(FIXTURE_DATA(hva) *self, unsigned int slot, unsigned int first,
		      unsigned int nr)
{
	struct kvm_userspace_memory_region region = {
		.slot = 1 + slot,
		.guest_phys_addr = slot_gpa(slot),
		.memory_size = nr * PAGE,
		.userspace_addr = (uintptr_t)self->memory + first * PAGE,
	};

	self->windows[slot] = (struct window){ first, nr };
	return ioctl(self->vm->fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

static uint64_t *word(FIXTURE_DATA(hva) *self, unsigned int page)
{
	return (uint64_t *)(self->memory + page * PAGE);
}

/* The guest sees, in each slot, what the VMM has there; and has a translation of it afterwards. */
static unsigned int count_wrong(FIXTURE_DATA(hva) *self)
{
	unsigned int wrong = 0, slot, page;

	for (slot = 0; slot < NR_SLOTS; slot++) {
		const struct window *window = &self->windows[slot];

		for (page = 0; page < window->nr; page++)
			wrong += test_access_read(self->vcpu, slot_gpa(slot) + page * PAGE) !=
				 *word(self, window->first + page);
	}
	return wrong;
}

static void mark(FIXTURE_DATA(hva) *self, unsigned int first, unsigned int nr, unsigned int round)
{
	for (unsigned int page = first; page < first + nr; page++)
		*word(self, page) = TEST_ACCESS_MARK(round * NR_PAGES + page);
}

/* Takes pages away and brings others in their place, but for every third time. */
static int replace(FIXTURE_DATA(hva) *self, unsigned int first, unsigned int nr,
		   unsigned int round)
{
	int ret = madvise(self->memory + first * PAGE, nr * PAGE, MADV_DONTNEED);

	if (round % 3)
		mark(self, first, nr, round);
	return ret;
}

/* One over all, adjacent ones, some that begin or end alike, the same twice, single pages. */
TEST_F(hva, each_page_goes_from_all_slots_that_have_it)
{
	static const struct window windows[] = {
		{ 0, NR_PAGES }, { 0, 8 }, { 8, 8 }, { 16, 16 }, { 4, 8 }, { 0, 1 }, { 31, 1 },
		{ 8, 4 }, { 12, 4 }, { 10, 1 }, { 10, 1 }, { 10, 2 }, { 9, 2 }, { 20, 4 },
	};

	mark(self, 0, NR_PAGES, 0);
	for (unsigned int slot = 0; slot < sizeof(windows) / sizeof(windows[0]); slot++)
		ASSERT_EQ(0, set_window(self, slot, windows[slot].first, windows[slot].nr));
	ASSERT_EQ(0, count_wrong(self));
	for (unsigned int page = 0; page < NR_PAGES; page += page % 8 == 7 ? 1 : 2) {
		ASSERT_EQ(0, replace(self, page, 1, 1 + page));
		ASSERT_EQ(0, count_wrong(self));
	}
}

TEST_F(hva, slots_come_and_go_between_invalidations)
{
	uint64_t seed = host_seed();

	mark(self, 0, NR_PAGES, 0);
	for (unsigned int round = 1; round < 40; round++) {
		unsigned int first, nr;

		for (unsigned int i = 0; i < 4; i++) {
			unsigned int slot = host_random(&seed) % NR_SLOTS;

			if (self->windows[slot].nr) {
				ASSERT_EQ(0, set_window(self, slot, 0, 0));
				continue;
			}
			first = host_random(&seed) % NR_PAGES;
			nr = 1 + host_random(&seed) % (NR_PAGES - first);
			ASSERT_EQ(0, set_window(self, slot, first, nr));
		}
		ASSERT_EQ(0, count_wrong(self));
		first = host_random(&seed) % NR_PAGES;
		nr = 1 + host_random(&seed) % (NR_PAGES - first < 4 ? NR_PAGES - first : 4);
		ASSERT_EQ(0, replace(self, first, nr, round));
		ASSERT_EQ(0, count_wrong(self));
	}
}

TEST_HARNESS_MAIN
