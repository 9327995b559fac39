// SPDX-License-Identifier: GPL-2.0
/*
 * Memory slots: KVM_SET_USER_MEMORY_REGION's rules, and what the guest sees of each change. Runs
 * the same on KVM.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/access.h"
#include "lib/vm.h"

#define PAGE		4096ul
#define SLOT_GPA	0x40000000ul	/* inside the guest's one-to-one map, far from slot 0 */
#define OTHER_GPA	0x50000000ul
#define SLOT_BYTES	(16 * PAGE)
#define MAX_SLOTS	32764

static int set_region(int vm_fd, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t bytes,
		      const void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)hva,
	};

	return ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

static unsigned int physical_bits(int dev_fd)
{
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(dev_fd);
	unsigned int bits = test_cpuid_find(cpuid, 0x80000008, 0)->eax & 0xff;

	free(cpuid);
	return bits < 48 ? bits : 48;
}

FIXTURE(slots) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	uint8_t *memory;
};

FIXTURE_SETUP(slots)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_access_start(self->vcpu);
	self->memory = mmap(NULL, 2 * SLOT_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->memory);
	for (unsigned int page = 0; page < 32; page++)
		*(uint64_t *)(self->memory + page * PAGE) = TEST_ACCESS_MARK(page);
}

FIXTURE_TEARDOWN(slots)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
	munmap(self->memory, 2 * SLOT_BYTES);
}

TEST_F(slots, malformed_regions_are_refused)
{
	unsigned int bits = physical_bits(self->vm->dev_fd);
	int spaces = test_check_extension(self->vm->fd, KVM_CAP_MULTI_ADDRESS_SPACE);
	uint64_t top = 1ull << bits;
	int fd = self->vm->fd;
	uint8_t *hva = self->memory;

	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, SLOT_GPA + 1, PAGE, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, SLOT_GPA + 0x800, PAGE, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, SLOT_GPA, PAGE + 1, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, SLOT_GPA, PAGE / 2, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, SLOT_GPA, PAGE, hva + 1));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, SLOT_GPA, PAGE, (void *)0xffff888000000000ul));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, SLOT_GPA, PAGE, (void *)0x0100000000001000ul));
	/* The address is fine, its end is not. */
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, SLOT_GPA, 2 * PAGE, (void *)0x7ffffffff000ul));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, -PAGE, 2 * PAGE, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, -PAGE, PAGE, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, top, PAGE, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, top - PAGE, 2 * PAGE, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, 0x1000000000000ull, PAGE, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, 1ull << 63, PAGE, hva));
	/* One page more than a slot may have. */
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, 0, PAGE << 31, (void *)PAGE));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 1u << 31, SLOT_GPA, PAGE, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 1u << 7, SLOT_GPA, PAGE, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, MAX_SLOTS, 0, SLOT_GPA, PAGE, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, 0xffff, 0, SLOT_GPA, PAGE, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, (spaces ? spaces : 1) << 16, 0, SLOT_GPA, PAGE, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, ~0u, 0, SLOT_GPA, PAGE, hva));
	/* Nothing to delete. */
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, SLOT_GPA, 0, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, MAX_SLOTS - 1, 0, 0, 0, NULL));
	EXPECT_EQ(-1, ioctl(fd, KVM_SET_USER_MEMORY_REGION, NULL));
	EXPECT_EQ(EFAULT, errno);

	/* All that left nothing behind, and what is just inside the limits is taken. */
	ASSERT_EQ(0, test_access_try_read(self->vcpu, SLOT_GPA));
	EXPECT_TRUE(test_access_is_mmio(self->vcpu, SLOT_GPA, false));
	EXPECT_EQ(0, set_region(fd, MAX_SLOTS - 1, 0, top - PAGE, PAGE, hva));
	EXPECT_EQ(0, set_region(fd, MAX_SLOTS - 1, 0, 0, 0, NULL));
}

TEST_F(slots, overlaps_are_refused)
{
	int fd = self->vm->fd;
	uint8_t *hva = self->memory;

	ASSERT_EQ(0, set_region(fd, 1, 0, SLOT_GPA, 4 * PAGE, hva));
	EXPECT_EQ(-EEXIST, set_region(fd, 2, 0, SLOT_GPA, 4 * PAGE, hva));
	EXPECT_EQ(-EEXIST, set_region(fd, 2, 0, SLOT_GPA - PAGE, 2 * PAGE, hva));
	EXPECT_EQ(-EEXIST, set_region(fd, 2, 0, SLOT_GPA - PAGE, 8 * PAGE, hva));
	EXPECT_EQ(-EEXIST, set_region(fd, 2, 0, SLOT_GPA + PAGE, PAGE, hva));
	EXPECT_EQ(-EEXIST, set_region(fd, 2, 0, SLOT_GPA + 3 * PAGE, 2 * PAGE, hva));
	/* Neighbours on both sides are none. */
	EXPECT_EQ(0, set_region(fd, 2, 0, SLOT_GPA - PAGE, PAGE, hva));
	EXPECT_EQ(0, set_region(fd, 3, 0, SLOT_GPA + 4 * PAGE, PAGE, hva));
	/* Moving onto another is one, moving onto oneself is not. */
	EXPECT_EQ(-EEXIST, set_region(fd, 3, 0, SLOT_GPA + 3 * PAGE, PAGE, hva));
	EXPECT_EQ(0, set_region(fd, 3, 0, 0, 0, NULL));
	EXPECT_EQ(0, set_region(fd, 1, 0, SLOT_GPA + 2 * PAGE, 4 * PAGE, hva));
	/* The refusals left the memory as it was. */
	EXPECT_EQ(TEST_ACCESS_MARK(0), test_access_read(self->vcpu, SLOT_GPA + 2 * PAGE));
	EXPECT_EQ(TEST_ACCESS_MARK(0), test_access_read(self->vcpu, SLOT_GPA - PAGE));
}

TEST_F(slots, an_existing_slot_changes_only_place_and_logging)
{
	int fd = self->vm->fd;
	uint8_t *hva = self->memory;

	ASSERT_EQ(0, set_region(fd, 1, 0, SLOT_GPA, 4 * PAGE, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, SLOT_GPA, 8 * PAGE, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, SLOT_GPA, 2 * PAGE, hva));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, 0, SLOT_GPA, 4 * PAGE, hva + PAGE));
	EXPECT_EQ(-EINVAL, set_region(fd, 1, KVM_MEM_READONLY, SLOT_GPA, 4 * PAGE, hva));
	EXPECT_EQ(0, set_region(fd, 1, 0, SLOT_GPA, 4 * PAGE, hva));
	EXPECT_EQ(0, set_region(fd, 1, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA, 4 * PAGE, hva));
	EXPECT_EQ(0, set_region(fd, 1, 0, OTHER_GPA, 4 * PAGE, hva));
	/* By deleting it first, everything can change. */
	EXPECT_EQ(0, set_region(fd, 1, 0, 0, 0, NULL));
	EXPECT_EQ(0, set_region(fd, 1, KVM_MEM_READONLY, SLOT_GPA, 8 * PAGE, hva + PAGE));
	EXPECT_EQ(TEST_ACCESS_MARK(1), test_access_read(self->vcpu, SLOT_GPA));
}

TEST_F(slots, memory_moves_with_its_slot)
{
	struct test_vcpu *vcpu = self->vcpu;
	int fd = self->vm->fd;

	ASSERT_EQ(0, set_region(fd, 1, 0, SLOT_GPA, SLOT_BYTES, self->memory));
	test_access_write(vcpu, SLOT_GPA + 8, 0x1234);
	EXPECT_EQ(TEST_ACCESS_MARK(3), test_access_read(vcpu, SLOT_GPA + 3 * PAGE));

	ASSERT_EQ(0, set_region(fd, 1, 0, OTHER_GPA, SLOT_BYTES, self->memory));
	EXPECT_EQ(0x1234, test_access_read(vcpu, OTHER_GPA + 8));
	ASSERT_EQ(0, test_access_try_read(vcpu, SLOT_GPA + 8));
	EXPECT_TRUE(test_access_is_mmio(vcpu, SLOT_GPA + 8, false));
	memset(vcpu->run->mmio.data, 0xab, 8);
	ASSERT_TRUE(test_access_resume(vcpu));
	EXPECT_EQ(0xababababababababull, test_access_value(vcpu));

	/* Another memory in the old place, and then nothing anywhere. */
	ASSERT_EQ(0, set_region(fd, 2, 0, SLOT_GPA, SLOT_BYTES, self->memory + SLOT_BYTES));
	EXPECT_EQ(TEST_ACCESS_MARK(16), test_access_read(vcpu, SLOT_GPA));
	EXPECT_EQ(TEST_ACCESS_MARK(0), test_access_read(vcpu, OTHER_GPA));
	ASSERT_EQ(0, set_region(fd, 1, 0, 0, 0, NULL));
	ASSERT_EQ(0, set_region(fd, 2, 0, 0, 0, NULL));
	ASSERT_EQ(0, test_access_try_write(vcpu, OTHER_GPA, 0x5678));
	EXPECT_TRUE(test_access_is_mmio(vcpu, OTHER_GPA, true));
	EXPECT_EQ(0, memcmp(vcpu->run->mmio.data, &(uint64_t){ 0x5678 }, 8));
	ASSERT_TRUE(test_access_resume(vcpu));
	EXPECT_EQ(TEST_ACCESS_MARK(0), *(uint64_t *)self->memory);
}

TEST_F(slots, a_read_only_slot_is_written_by_nobody)
{
	struct test_vcpu *vcpu = self->vcpu;

	ASSERT_EQ(1, test_check_extension(self->vm->fd, KVM_CAP_READONLY_MEM));
	ASSERT_EQ(0, set_region(self->vm->fd, 1, KVM_MEM_READONLY, SLOT_GPA, SLOT_BYTES,
				self->memory));
	/* A write first: there is no translation yet. */
	ASSERT_EQ(0, test_access_try_write(vcpu, SLOT_GPA + PAGE, 0x77));
	EXPECT_TRUE(test_access_is_mmio(vcpu, SLOT_GPA + PAGE, true));
	ASSERT_TRUE(test_access_resume(vcpu));
	EXPECT_EQ(TEST_ACCESS_MARK(1), test_access_read(vcpu, SLOT_GPA + PAGE));
	/* And when there is one. */
	ASSERT_EQ(0, test_access_try_write(vcpu, SLOT_GPA + PAGE, 0x99));
	EXPECT_TRUE(test_access_is_mmio(vcpu, SLOT_GPA + PAGE, true));
	EXPECT_EQ(0x99, vcpu->run->mmio.data[0]);
	ASSERT_TRUE(test_access_resume(vcpu));
	EXPECT_EQ(TEST_ACCESS_MARK(1), test_access_read(vcpu, SLOT_GPA + PAGE));
	EXPECT_EQ(TEST_ACCESS_MARK(1), *(uint64_t *)(self->memory + PAGE));
	/* The VMM may write, and the guest sees it. */
	*(uint64_t *)(self->memory + PAGE) = 0x4242;
	EXPECT_EQ(0x4242, test_access_read(vcpu, SLOT_GPA + PAGE));
}

/* Pages from every other frame, made in an order that is neither rising nor falling. */
TEST_F(slots, many_slots_are_told_apart)
{
	const unsigned int nr = 32;
	struct test_vcpu *vcpu = self->vcpu;

	for (unsigned int i = 0; i < nr; i++) {
		unsigned int page = i * 13 % nr;

		ASSERT_EQ(0, set_region(self->vm->fd, 100 + page, 0, SLOT_GPA + 2 * page * PAGE,
					PAGE, self->memory + page * PAGE));
	}
	for (unsigned int page = 0; page < nr; page++) {
		EXPECT_EQ(TEST_ACCESS_MARK(page),
			  test_access_read(vcpu, SLOT_GPA + 2 * page * PAGE));
		ASSERT_EQ(0, test_access_try_read(vcpu, SLOT_GPA + (2 * page + 1) * PAGE));
		EXPECT_TRUE(test_access_is_mmio(vcpu, SLOT_GPA + (2 * page + 1) * PAGE, false));
		ASSERT_TRUE(test_access_resume(vcpu));
	}
	for (unsigned int page = 0; page < nr; page += 3)
		ASSERT_EQ(0, set_region(self->vm->fd, 100 + page, 0, 0, 0, NULL));
	for (unsigned int page = 0; page < nr; page++) {
		ASSERT_EQ(0, test_access_try_read(vcpu, SLOT_GPA + 2 * page * PAGE));
		if (page % 3) {
			EXPECT_EQ(TEST_ACCESS_MARK(page), test_access_value(vcpu));
			continue;
		}
		EXPECT_TRUE(test_access_is_mmio(vcpu, SLOT_GPA + 2 * page * PAGE, false));
		ASSERT_TRUE(test_access_resume(vcpu));
	}
}

static long available_kib(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128];
	long kib = -1;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

TEST_F(slots, half_a_terabyte_costs_what_is_touched)
{
	const uint64_t bytes = 512ull << 30, gpa = 4ull << 30;
	const uint64_t spots[] = { 0, 2ull << 20, 1ull << 30, 255ull << 30, bytes - (2ull << 20) };
	struct test_vcpu *vcpu = self->vcpu;
	int fd = memfd_create("sparse", MFD_CLOEXEC);
	long before, after;
	uint8_t *memory;

	if (physical_bits(self->vm->dev_fd) < 40)
		SKIP(return, "this CPU's physical addresses end below");
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, bytes));
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)memory);

	before = available_kib();
	ASSERT_EQ(0, set_region(self->vm->fd, 1, 0, gpa, bytes, memory));
	for (unsigned int i = 0; i < 5; i++) {
		test_access_map(vcpu, 0x80000000 + ((uint64_t)i << 21), gpa + spots[i]);
		test_access_write(vcpu, 0x80000000 + ((uint64_t)i << 21), TEST_ACCESS_MARK(i));
	}
	for (unsigned int i = 0; i < 5; i++)
		EXPECT_EQ(TEST_ACCESS_MARK(i), *(uint64_t *)(memory + spots[i]));
	/* Past its end there is nothing. */
	test_access_map(vcpu, 0x80000000, gpa + bytes);
	ASSERT_EQ(0, test_access_try_read(vcpu, 0x80000000));
	EXPECT_TRUE(test_access_is_mmio(vcpu, gpa + bytes, false));
	ASSERT_TRUE(test_access_resume(vcpu));
	after = available_kib();
	/* A bit a page would be 16 MiB already. */
	EXPECT_GT(8 * 1024, before - after);

	ASSERT_EQ(0, set_region(self->vm->fd, 1, 0, 0, 0, NULL));
	munmap(memory, bytes);
	close(fd);
}

/* Reads one address for ever; the loop's own memory stays. */
GUEST_CODE(reading_guest,
	   "1: mov (%rdi), %rsi\n"
	   "jmp 1b\n");

static void *run_thread(void *data)
{
	struct test_vcpu *vcpu = data;

	return (void *)(long)(ioctl(vcpu->fd, KVM_RUN, 0) ? -errno : 0);
}

/*
 * A guest that never leaves by itself must not hold up the change, and must not see what is gone.
 */
TEST_F(slots, a_slot_goes_under_a_running_guest)
{
	struct test_vcpu *vcpu = test_vcpu_create(self->vm, 1);
	struct kvm_regs regs;
	pthread_t thread;
	void *result;

	ASSERT_EQ(0, set_region(self->vm->fd, 1, 0, SLOT_GPA, SLOT_BYTES, self->memory));
	test_vcpu_long_mode(vcpu, GUEST_BLOB(reading_guest));
	test_vcpu_regs(vcpu, &regs);
	regs.rdi = SLOT_GPA;
	/*
	 * With interrupts off the emulated CPU would not take the host's either: see scripts/lab.
	 */
	regs.rflags |= 0x200;
	test_vcpu_set_regs(vcpu, &regs);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_thread, vcpu));
	usleep(50000);
	/* Others come and go meanwhile. */
	for (unsigned int i = 0; i < 4; i++) {
		ASSERT_EQ(0, set_region(self->vm->fd, 2, 0, OTHER_GPA, PAGE,
					self->memory + SLOT_BYTES));
		ASSERT_EQ(0, set_region(self->vm->fd, 2, 0, 0, 0, NULL));
	}
	ASSERT_EQ(0, set_region(self->vm->fd, 1, 0, 0, 0, NULL));
	ASSERT_EQ(0, pthread_join(thread, &result));
	ASSERT_EQ(NULL, result);
	EXPECT_TRUE(test_access_is_mmio(vcpu, SLOT_GPA, false));
	test_vcpu_regs(vcpu, &regs);
	EXPECT_EQ(TEST_ACCESS_MARK(0), regs.rsi);
	test_vcpu_free(vcpu);
}

/* Two threads fight over one number: each call is whole, and the end state is one of theirs. */
static void *change_thread(void *data)
{
	struct test_vm *vm = ((void **)data)[0];
	uint8_t *memory = ((void **)data)[1];

	for (unsigned int i = 0; i < 50; i++) {
		set_region(vm->fd, 5, 0, SLOT_GPA, SLOT_BYTES, memory);
		set_region(vm->fd, 5, 0, OTHER_GPA, SLOT_BYTES, memory);
		set_region(vm->fd, 5, 0, 0, 0, NULL);
	}
	return NULL;
}

TEST_F(slots, two_threads_change_one_slot)
{
	void *first[] = { self->vm, self->memory },
	     *second[] = { self->vm, self->memory + SLOT_BYTES };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, change_thread, first));
	change_thread(second);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	set_region(self->vm->fd, 5, 0, 0, 0, NULL);
	EXPECT_EQ(-EINVAL, set_region(self->vm->fd, 5, 0, 0, 0, NULL));
	ASSERT_EQ(0, set_region(self->vm->fd, 5, 0, SLOT_GPA, SLOT_BYTES, self->memory));
	EXPECT_EQ(TEST_ACCESS_MARK(0), test_access_read(self->vcpu, SLOT_GPA));
}

TEST_F(slots, a_vcpu_without_memory_stops_at_its_first_fetch)
{
	ASSERT_EQ(0, set_region(self->vm->fd, 0, 0, 0, 0, NULL));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_RUN, 0));
	/* Its page tables are nowhere, so are its handlers. */
	EXPECT_NE(KVM_EXIT_IO, self->vcpu->run->exit_reason);
	EXPECT_EQ(-EINVAL, set_region(self->vm->fd, 0, 0, 0, 0, NULL));
}

TEST_HARNESS_MAIN
