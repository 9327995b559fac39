// SPDX-License-Identifier: GPL-2.0
/*
 * Dirty logging by bitmap: nothing written is missed, nothing is told twice. Runs the same on KVM.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/access.h"
#include "lib/host.h"
#include "lib/vm.h"

#define PAGE		4096ul
#define LARGE		(2ul << 20)
#define SLOT		1
#define SLOT_GPA	0x40000000ul
#define NR_PAGES	1000ul		/* the bitmap's last word is not full */
#define PML		"/sys/module/vitrine/parameters/pml"
#define NR_WORDS	((NR_PAGES + 63) / 64)

FIXTURE(dirty) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	uint8_t *memory;		/* aligned to a large page */
	uint64_t bitmap[NR_WORDS + 1];
};

/* Where the CPU logs writes (PML), that is one way, and faults are the other. */
FIXTURE_VARIANT(dirty) {
	const char *pml;
};

FIXTURE_VARIANT_ADD(dirty, by_hardware) { .pml = "1" };
FIXTURE_VARIANT_ADD(dirty, by_faults) { .pml = "0" };

static int set_slot(struct test_vm *vm, uint64_t gpa, void *hva, uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = SLOT,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = hva ? NR_PAGES * PAGE : 0,
		.userspace_addr = (uintptr_t)hva,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

static int get_log(struct test_vm *vm, uint32_t slot, void *bitmap)
{
	struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = bitmap };

	return ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log) ? -errno : 0;
}

static int clear_log(struct test_vm *vm, uint64_t first_page, uint32_t num_pages, void *bitmap)
{
	struct kvm_clear_dirty_log log = {
		.slot = SLOT,
		.num_pages = num_pages,
		.first_page = first_page,
		.dirty_bitmap = bitmap,
	};

	return ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &log) ? -errno : 0;
}

static int enable_manual(struct test_vm *vm, uint64_t how)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { how } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &cap) ? -errno : 0;
}

static bool is_set(const uint64_t *bitmap, unsigned long page)
{
	return bitmap[page / 64] >> page % 64 & 1;
}

static unsigned long weight(const uint64_t *bitmap)
{
	unsigned long sum = 0;

	for (unsigned long word = 0; word < NR_WORDS; word++)
		sum += __builtin_popcountll(bitmap[word]);
	return sum;
}

static uint64_t gpa(unsigned long page)
{
	return SLOT_GPA + page * PAGE;
}

FIXTURE_SETUP(dirty)
{
	uint8_t *area = mmap(NULL, 2 * LARGE + LARGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)area);
	self->memory = (uint8_t *)(((uintptr_t)area + LARGE - 1) & ~(LARGE - 1));
	ASSERT_EQ(0, madvise(self->memory, 2 * LARGE, MADV_NOHUGEPAGE));
	host_write(PML, variant->pml);
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_access_start(self->vcpu);
	memset(self->bitmap, 0xff, sizeof(self->bitmap));
}

FIXTURE_TEARDOWN(dirty)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
	host_write(PML, "1");
}

TEST_F(dirty, written_pages_are_told_once)
{
	const unsigned long pages[] = { 0, 5, 63, 64, 128, 999 };

	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	for (unsigned int i = 0; i < 6; i++)
		test_access_write(self->vcpu, gpa(pages[i]), 1);
	EXPECT_EQ(0, test_access_read(self->vcpu, gpa(7)));
	ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
	for (unsigned int i = 0; i < 6; i++)
		EXPECT_TRUE(is_set(self->bitmap, pages[i]));
	EXPECT_EQ(6, weight(self->bitmap));
	/* Nothing is written behind the bitmap. */
	EXPECT_EQ(~0ull, self->bitmap[NR_WORDS]);

	/* Reading is not writing, and what is told is forgotten. */
	EXPECT_EQ(1, test_access_read(self->vcpu, gpa(5)));
	ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
	EXPECT_EQ(0, weight(self->bitmap));
	test_access_write(self->vcpu, gpa(63), 2);
	test_access_write(self->vcpu, gpa(63), 3);
	ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
	EXPECT_TRUE(is_set(self->bitmap, 63));
	EXPECT_EQ(1, weight(self->bitmap));
}

TEST_F(dirty, logging_catches_what_was_writable_before)
{
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, 0));
	for (unsigned long page = 0; page < NR_PAGES; page++)
		test_access_write(self->vcpu, gpa(page), 1);
	EXPECT_EQ(-ENOENT, get_log(self->vm, SLOT, self->bitmap));
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	test_access_write(self->vcpu, gpa(77), 2);
	test_access_write(self->vcpu, gpa(700), 2);
	ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
	EXPECT_TRUE(is_set(self->bitmap, 77));
	EXPECT_TRUE(is_set(self->bitmap, 700));
	EXPECT_EQ(2, weight(self->bitmap));

	/* Off and on again: the log begins empty. */
	test_access_write(self->vcpu, gpa(78), 2);
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, 0));
	EXPECT_EQ(-ENOENT, get_log(self->vm, SLOT, self->bitmap));
	test_access_write(self->vcpu, gpa(79), 2);
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
	EXPECT_EQ(0, weight(self->bitmap));
}

TEST_F(dirty, a_large_page_is_logged_in_small_ones)
{
	host_write("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	ASSERT_EQ(0, madvise(self->memory, 2 * LARGE, MADV_HUGEPAGE));
	memset(self->memory, 0, 2 * LARGE);
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, 0));
	for (unsigned long page = 0; page < NR_PAGES; page += 3)
		test_access_write(self->vcpu, gpa(page), page);
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	for (unsigned long page = 0; page < NR_PAGES; page += 100)
		test_access_write(self->vcpu, gpa(page) + 8, 1);
	ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
	for (unsigned long page = 0; page < NR_PAGES; page += 100)
		EXPECT_TRUE(is_set(self->bitmap, page));
	EXPECT_EQ(10, weight(self->bitmap));
	/* And together again. */
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, 0));
	for (unsigned long page = 0; page < NR_PAGES; page += 3)
		EXPECT_EQ(page, test_access_read(self->vcpu, gpa(page)));
	for (unsigned long page = 0; page < NR_PAGES; page += 100)
		test_access_write(self->vcpu, gpa(page), 0x77);
	EXPECT_EQ(0x77, *(uint64_t *)(self->memory + 100 * PAGE));
}

TEST_F(dirty, a_log_moves_with_its_slot)
{
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	test_access_write(self->vcpu, gpa(10), 1);
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA + LARGE, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	test_access_write(self->vcpu, gpa(20) + LARGE, 1);
	ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
	EXPECT_TRUE(is_set(self->bitmap, 10));
	EXPECT_TRUE(is_set(self->bitmap, 20));
	EXPECT_EQ(2, weight(self->bitmap));
}

TEST_F(dirty, wrong_questions_are_refused)
{
	const uint32_t log = KVM_MEM_LOG_DIRTY_PAGES;

	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, log));
	EXPECT_EQ(-ENOENT, get_log(self->vm, 0, self->bitmap));
	EXPECT_EQ(-ENOENT, get_log(self->vm, 7, self->bitmap));
	EXPECT_EQ(-EINVAL, get_log(self->vm, 32764, self->bitmap));
	EXPECT_EQ(-EINVAL, get_log(self->vm, ~0u, self->bitmap));
	EXPECT_EQ(-EFAULT, get_log(self->vm, SLOT, NULL));
	EXPECT_EQ(-EFAULT, get_log(self->vm, SLOT, (void *)0xffff888000000000ul));

	if (strcmp(test_dev_path(), "/dev/kvm")) {
		/* KVM forgets what it could not tell. */
		test_access_write(self->vcpu, gpa(3), 1);
		EXPECT_EQ(-EFAULT, get_log(self->vm, SLOT, NULL));
		ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
		EXPECT_TRUE(is_set(self->bitmap, 3));
	}

	EXPECT_EQ(-EINVAL, clear_log(self->vm, 1, 64, self->bitmap));
	EXPECT_EQ(-EINVAL, clear_log(self->vm, 0, 63, self->bitmap));
	EXPECT_EQ(-EINVAL, clear_log(self->vm, 1024, 64, self->bitmap));
	EXPECT_EQ(-EINVAL, clear_log(self->vm, 0, NR_PAGES + 1, self->bitmap));
	EXPECT_EQ(-EINVAL, clear_log(self->vm, 1ull << 63, 64, self->bitmap));
	EXPECT_EQ(-EFAULT, clear_log(self->vm, 0, 64, NULL));
	EXPECT_EQ(0, clear_log(self->vm, 0, NR_PAGES, self->bitmap));
	EXPECT_EQ(0, clear_log(self->vm, 960, NR_PAGES - 960, self->bitmap));

	EXPECT_EQ(-EINVAL, enable_manual(self->vm, 1u << 5));
	EXPECT_EQ(-EINVAL, enable_manual(self->vm, KVM_DIRTY_LOG_INITIALLY_SET));
}

TEST_F(dirty, by_hand_only_what_is_cleared_is_forgotten)
{
	uint64_t mask[NR_WORDS] = { 0 };

	ASSERT_EQ(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET,
		  test_check_extension(self->vm->fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2));
	ASSERT_EQ(0, enable_manual(self->vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE));
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	test_access_write(self->vcpu, gpa(64), 1);
	test_access_write(self->vcpu, gpa(65), 1);
	test_access_write(self->vcpu, gpa(200), 1);
	for (unsigned int round = 0; round < 2; round++) {
		ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
		EXPECT_EQ(3, weight(self->bitmap));
	}
	/* One of two in a word; and bits of clean pages, which do no harm. */
	mask[0] = 1ull << 1 | 1ull << 7;
	ASSERT_EQ(0, clear_log(self->vm, 64, 64, mask));
	ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
	EXPECT_TRUE(is_set(self->bitmap, 64));
	EXPECT_TRUE(is_set(self->bitmap, 200));
	EXPECT_EQ(2, weight(self->bitmap));
	test_access_write(self->vcpu, gpa(65), 2);
	ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
	EXPECT_EQ(3, weight(self->bitmap));
	ASSERT_EQ(0, clear_log(self->vm, 0, NR_PAGES, self->bitmap));
	ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
	EXPECT_EQ(0, weight(self->bitmap));
}

/* Nothing is write-protected by a start like that: large pages stay until they are cleared. */
TEST_F(dirty, large_pages_can_start_dirty)
{
	host_write("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	ASSERT_EQ(0, madvise(self->memory, 2 * LARGE, MADV_HUGEPAGE));
	memset(self->memory, 0, 2 * LARGE);
	ASSERT_EQ(0, enable_manual(self->vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
					     KVM_DIRTY_LOG_INITIALLY_SET));
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, 0));
	for (unsigned long page = 0; page < NR_PAGES; page += 50)
		test_access_write(self->vcpu, gpa(page), 1);
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	test_access_write(self->vcpu, gpa(3), 1);
	ASSERT_EQ(0, clear_log(self->vm, 64, 64, self->bitmap));
	test_access_write(self->vcpu, gpa(70), 1);
	ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
	EXPECT_TRUE(is_set(self->bitmap, 70));
	EXPECT_EQ(NR_PAGES - 63, weight(self->bitmap));
	ASSERT_EQ(0, clear_log(self->vm, 0, NR_PAGES, self->bitmap));
	test_access_write(self->vcpu, gpa(70), 2);
	test_access_write(self->vcpu, gpa(600), 2);
	ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
	EXPECT_TRUE(is_set(self->bitmap, 70));
	EXPECT_TRUE(is_set(self->bitmap, 600));
	EXPECT_EQ(2, weight(self->bitmap));
}

TEST_F(dirty, by_hand_everything_can_start_dirty)
{
	ASSERT_EQ(0, enable_manual(self->vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
					     KVM_DIRTY_LOG_INITIALLY_SET));
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, 0));
	for (unsigned long page = 0; page < NR_PAGES; page++)
		test_access_write(self->vcpu, gpa(page), 1);
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
	EXPECT_EQ(NR_PAGES, weight(self->bitmap));
	ASSERT_EQ(0, clear_log(self->vm, 0, NR_PAGES, self->bitmap));
	test_access_write(self->vcpu, gpa(11), 1);
	ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
	EXPECT_TRUE(is_set(self->bitmap, 11));
	EXPECT_EQ(1, weight(self->bitmap));
}

/*
 * The host writes for the guest, too: a string input goes into memory without the guest's own
 * store.
 */
GUEST_CODE(input_guest,
	   "mov $0x1f0, %edx\n"
	   "mov $64, %ecx\n"
	   "cld\n"
	   "rep insw\n"
	   "outb %al, $0xe1\n");

TEST_F(dirty, what_the_host_writes_for_the_guest_counts)
{
	struct test_vcpu *vcpu = test_vcpu_create(self->vm, 1);
	struct kvm_regs regs;

	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	test_vcpu_long_mode(vcpu, GUEST_BLOB(input_guest));
	test_vcpu_regs(vcpu, &regs);
	/* Across the border of two pages. */
	regs.rdi = gpa(42) - 64;
	test_vcpu_set_regs(vcpu, &regs);
	while (test_vcpu_run(vcpu) == KVM_EXIT_IO && vcpu->run->io.direction == KVM_EXIT_IO_IN)
		memset((uint8_t *)vcpu->run + vcpu->run->io.data_offset, 0x5a,
		       vcpu->run->io.size * vcpu->run->io.count);
	ASSERT_EQ(KVM_EXIT_IO, vcpu->run->exit_reason);
	ASSERT_EQ(TEST_PORT_DONE, vcpu->run->io.port);
	EXPECT_EQ(0x5a, self->memory[42 * PAGE - 64]);
	EXPECT_EQ(0x5a, self->memory[42 * PAGE + 63]);
	EXPECT_EQ(0, self->memory[42 * PAGE + 64]);
	ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
	EXPECT_TRUE(is_set(self->bitmap, 41));
	EXPECT_TRUE(is_set(self->bitmap, 42));
	EXPECT_EQ(2, weight(self->bitmap));
	test_vcpu_free(vcpu);
}

/* Counts up in every seventh word of memory, round and round, until it has done enough rounds. */
GUEST_CODE(counting_guest,
	   "1: mov %rdi, %rbx\n"
	   "2: incq (%rbx)\n"
	   "add %rdx, %rbx\n"
	   "cmp %rsi, %rbx\n"
	   "jb 2b\n"
	   "dec %rcx\n"
	   "jnz 1b\n"
	   "outb %al, $0xe1\n");

static void *run_thread(void *data)
{
	struct test_vcpu *vcpu = data;

	return (void *)(long)(ioctl(vcpu->fd, KVM_RUN, 0) ? -errno : 0);
}

static void copy_dirty(uint8_t *copy, const uint8_t *memory, const uint64_t *bitmap)
{
	for (unsigned long page = 0; page < NR_PAGES; page++)
		if (is_set(bitmap, page))
			memcpy(copy + page * PAGE, memory + page * PAGE, PAGE);
}

/* What a migration does: copy what is dirty while the guest runs, and once more when it stopped. */
static void migrate(struct __test_metadata *_metadata, struct _test_data_dirty *self)
{
	uint8_t *copy = calloc(NR_PAGES, PAGE);
	struct test_vcpu *vcpu = test_vcpu_create(self->vm, 1);
	struct kvm_regs regs;
	pthread_t thread;
	void *result;

	ASSERT_NE(NULL, copy);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(counting_guest));
	test_vcpu_regs(vcpu, &regs);
	regs.rdi = SLOT_GPA;
	regs.rsi = SLOT_GPA + NR_PAGES * PAGE;
	regs.rdx = 7 * 512;
	regs.rcx = 100;
	regs.rflags |= 0x200;
	test_vcpu_set_regs(vcpu, &regs);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_thread, vcpu));
	for (unsigned int round = 0; round < 10; round++) {
		ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
		copy_dirty(copy, self->memory, self->bitmap);
		usleep(2000);
	}
	ASSERT_EQ(0, pthread_join(thread, &result));
	ASSERT_EQ(NULL, result);
	ASSERT_EQ(KVM_EXIT_IO, vcpu->run->exit_reason);
	ASSERT_EQ(TEST_PORT_DONE, vcpu->run->io.port);
	EXPECT_EQ(100, *(uint64_t *)self->memory);
	ASSERT_EQ(0, get_log(self->vm, SLOT, self->bitmap));
	copy_dirty(copy, self->memory, self->bitmap);
	EXPECT_EQ(0, memcmp(copy, self->memory, NR_PAGES * PAGE));
	test_vcpu_free(vcpu);
	free(copy);
}

TEST_F(dirty, a_copy_taken_under_a_running_guest_is_whole)
{
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	migrate(_metadata, self);
}

TEST_F(dirty, and_so_it_is_with_large_pages)
{
	host_write("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	ASSERT_EQ(0, madvise(self->memory, 2 * LARGE, MADV_HUGEPAGE));
	memset(self->memory, 0, 2 * LARGE);
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, 0));
	for (unsigned long page = 0; page < NR_PAGES; page += 100)
		EXPECT_EQ(0, test_access_read(self->vcpu, gpa(page)));
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	migrate(_metadata, self);
}

TEST_HARNESS_MAIN
