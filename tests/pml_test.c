// SPDX-License-Identifier: GPL-2.0
/*
 * Dirty logging by the CPU's page-modification log: what is written costs no fault, and is told as
 * exactly as if it did. Vitrine only: KVM does not tell its exits. What the log says is tested by
 * dirty_test and dirty_ring_test, with and without.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vitrine.h>

#include "kselftest_harness.h"
#include "lib/access.h"
#include "lib/host.h"
#include "lib/vm.h"

#define PAGE		4096ul
#define LARGE		(2ul << 20)
#define SLOT		1
#define SLOT_GPA	0x40000000ul
#define NR_PAGES	1024ul
#define NR_WORDS	(NR_PAGES / 64)
#define PML		"/sys/module/vitrine/parameters/pml"
#define EXIT_EPT	48
#define EXIT_PML_FULL	62

/*
 * Counts up in each page from %rdi to %rsi. Other code that takes its place must not begin where
 * its OUT, which the next RUN completes, was.
 */
GUEST_CODE(counting_guest,
	   "nop\n"
	   "1: outb %al, $0xe0\n"
	   "mov %rdi, %rbx\n"
	   "2: incq (%rbx)\n"
	   "add $0x1000, %rbx\n"
	   "cmp %rsi, %rbx\n"
	   "jb 2b\n"
	   "jmp 1b\n");

/* Writes to one page after the other, and says in the word at %rdx how many it has written. */
GUEST_CODE(telling_guest,
	   "mov %rdi, %rbx\n"
	   "1: incq (%rbx)\n"
	   "incq (%rdx)\n"
	   "mov $300, %ecx\n"
	   "2: dec %ecx\n"
	   "jnz 2b\n"
	   "add $0x1000, %rbx\n"
	   "cmp %rsi, %rbx\n"
	   "jb 1b\n"
	   "outb %al, $0xe1\n");

FIXTURE(pml) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	uint8_t *memory;
	uint64_t bitmap[NR_WORDS];
};

static int set_slot(struct test_vm *vm, uint64_t gpa, void *hva, uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = SLOT,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = NR_PAGES * PAGE,
		.userspace_addr = (uintptr_t)hva,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

static int get_log(struct test_vm *vm, void *bitmap)
{
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = bitmap };

	return ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log) ? -errno : 0;
}

static unsigned long weight(const uint64_t *bitmap)
{
	unsigned long sum = 0;

	for (unsigned long word = 0; word < NR_WORDS; word++)
		sum += __builtin_popcountll(bitmap[word]);
	return sum;
}

static unsigned long exits(struct test_vcpu *vcpu, unsigned int reason)
{
	struct vitrine_vcpu_stats stats;

	if (ioctl(vcpu->fd, VITRINE_GET_STATS, &stats))
		test_die("VITRINE_GET_STATS");
	return stats.exit_count[reason];
}

static void set_code(struct test_vcpu *vcpu, const void *code, size_t bytes)
{
	struct kvm_regs regs;

	test_vcpu_long_mode(vcpu, code, bytes);
	test_vcpu_regs(vcpu, &regs);
	regs.rdi = SLOT_GPA;
	regs.rsi = SLOT_GPA + NR_PAGES * PAGE;
	regs.rdx = TEST_DATA_GPA;
	regs.rflags |= 0x200;
	test_vcpu_set_regs(vcpu, &regs);
}

/* Exits of that kind while every page is written once. */
static unsigned long count_round(struct test_vcpu *vcpu, unsigned int reason)
{
	unsigned long before = exits(vcpu, reason);

	test_vcpu_run_to_sync(vcpu);
	return exits(vcpu, reason) - before;
}

static void start(FIXTURE_DATA(pml) *self)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	set_code(self->vcpu, GUEST_BLOB(counting_guest));
	test_vcpu_run_to_sync(self->vcpu);
}

FIXTURE_SETUP(pml)
{
	uint8_t *area = mmap(NULL, NR_PAGES * PAGE + LARGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)area);
	self->memory = (uint8_t *)(((uintptr_t)area + LARGE - 1) & ~(LARGE - 1));
	ASSERT_EQ(0, madvise(self->memory, NR_PAGES * PAGE, MADV_NOHUGEPAGE));
	ASSERT_EQ(0, host_write(PML, "1"));
	start(self);
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, 0));
}

FIXTURE_TEARDOWN(pml)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
	host_write(PML, "1");
}

TEST_F(pml, writing_costs_no_fault)
{
	unsigned long exits;

	/* Nothing is logged of a slot that asks for nothing. */
	EXPECT_LE(NR_PAGES, count_round(self->vcpu, EXIT_EPT));
	EXPECT_EQ(0, count_round(self->vcpu, EXIT_PML_FULL));
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	for (unsigned int round = 0; round < 3; round++) {
		ASSERT_EQ(0, get_log(self->vm, self->bitmap));
		EXPECT_EQ(0, weight(self->bitmap));
		/* 512 pages are a log full; nothing faults. */
		exits = count_round(self->vcpu, round == 1 ? EXIT_PML_FULL : EXIT_EPT);
		EXPECT_EQ(round == 1, exits > 0);
		ASSERT_EQ(0, get_log(self->vm, self->bitmap));
		EXPECT_EQ(NR_PAGES, weight(self->bitmap));
	}
	/* What is dirty is not logged again. */
	EXPECT_LE(1, count_round(self->vcpu, EXIT_PML_FULL));
	EXPECT_EQ(0, count_round(self->vcpu, EXIT_PML_FULL));
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, 0));
	EXPECT_EQ(0, count_round(self->vcpu, EXIT_PML_FULL));
}

TEST_F(pml, a_vm_keeps_the_way_it_began_with)
{
	FIXTURE_DATA(pml) other = { .memory = self->memory };
	struct vitrine_caps caps;

	ASSERT_EQ(0, ioctl(self->vm->dev_fd, VITRINE_GET_CAPS, &caps));
	ASSERT_EQ(1, caps.pml_in_use);
	ASSERT_EQ(0, host_write(PML, "0"));
	ASSERT_EQ(0, ioctl(self->vm->dev_fd, VITRINE_GET_CAPS, &caps));
	EXPECT_EQ(0, caps.pml_in_use);
	count_round(self->vcpu, EXIT_EPT);
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	EXPECT_EQ(0, count_round(self->vcpu, EXIT_EPT));

	start(&other);
	ASSERT_EQ(0, set_slot(other.vm, SLOT_GPA, other.memory, 0));
	count_round(other.vcpu, EXIT_EPT);
	ASSERT_EQ(0, set_slot(other.vm, SLOT_GPA, other.memory, KVM_MEM_LOG_DIRTY_PAGES));
	EXPECT_LE(NR_PAGES, count_round(other.vcpu, EXIT_EPT));
	EXPECT_EQ(0, exits(other.vcpu, EXIT_PML_FULL));
	ASSERT_EQ(0, get_log(other.vm, self->bitmap));
	EXPECT_EQ(NR_PAGES, weight(self->bitmap));
	test_vcpu_free(other.vcpu);
	test_vm_free(other.vm);
}

TEST_F(pml, a_large_page_costs_one_fault)
{
	host_write("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	ASSERT_EQ(0, madvise(self->memory, NR_PAGES * PAGE, MADV_HUGEPAGE));
	memset(self->memory, 0, NR_PAGES * PAGE);
	EXPECT_GE(4, count_round(self->vcpu, EXIT_EPT));
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	EXPECT_GE(4, count_round(self->vcpu, EXIT_EPT));
	ASSERT_EQ(0, get_log(self->vm, self->bitmap));
	EXPECT_EQ(NR_PAGES, weight(self->bitmap));
	EXPECT_EQ(2, *(uint64_t *)self->memory);
	/* And large again. */
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, 0));
	EXPECT_GE(4, count_round(self->vcpu, EXIT_EPT));
	EXPECT_EQ(0, count_round(self->vcpu, EXIT_EPT));
}

static void *run_thread(void *data)
{
	struct test_vcpu *vcpu = data;

	return (void *)(long)(ioctl(vcpu->fd, KVM_RUN, 0) ? -errno : 0);
}

/* A log asked for while the guest runs has all that the guest had written by then. */
TEST_F(pml, what_a_running_guest_wrote_is_told)
{
	uint64_t sum[NR_WORDS] = { 0 }, told, *count = test_vm_hva(self->vm, TEST_DATA_GPA);
	pthread_t thread;
	void *result;

	count_round(self->vcpu, EXIT_EPT);
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	set_code(self->vcpu, GUEST_BLOB(telling_guest));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_thread, self->vcpu));
	do {
		told = __atomic_load_n(count, __ATOMIC_ACQUIRE);
		ASSERT_EQ(0, get_log(self->vm, self->bitmap));
		for (unsigned long word = 0; word < NR_WORDS; word++)
			sum[word] |= self->bitmap[word];
		ASSERT_LE(told, weight(sum));
	} while (told < NR_PAGES);
	ASSERT_EQ(0, pthread_join(thread, &result));
	ASSERT_EQ(NULL, result);
	ASSERT_EQ(KVM_EXIT_IO, self->vcpu->run->exit_reason);
}

/* So has one that moved while the guest ran: every count is in the copy. */
TEST_F(pml, a_log_moves_with_what_is_in_it)
{
	uint64_t sum[NR_WORDS] = { 0 }, *count = test_vm_hva(self->vm, TEST_DATA_GPA);
	unsigned long moves = 0;
	pthread_t thread;
	void *result;

	/* Both places lead to the same memory, by an alias that is not logged. */
	test_vm_add_memory(self->vm, 2, SLOT_GPA + (1ul << 30), self->memory, NR_PAGES * PAGE, 0);
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	set_code(self->vcpu, GUEST_BLOB(telling_guest));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_thread, self->vcpu));
	while (__atomic_load_n(count, __ATOMIC_ACQUIRE) < 64)
		usleep(100);
	/* The guest finds a hole there and leaves; the first 64 pages must be told all the same. */
	while (set_slot(self->vm, SLOT_GPA + (++moves << 32), self->memory,
			KVM_MEM_LOG_DIRTY_PAGES))
		ASSERT_LT(moves, 3);
	ASSERT_EQ(0, pthread_join(thread, &result));
	ASSERT_EQ(NULL, result);
	EXPECT_EQ(KVM_EXIT_MMIO, self->vcpu->run->exit_reason);
	ASSERT_EQ(0, get_log(self->vm, sum));
	EXPECT_LE(*count, weight(sum));
}

/* Logging on and off under two vCPUs that write. */
static void *count_thread(void *data)
{
	struct test_vcpu *vcpu = data;

	for (unsigned int round = 0; round < 10; round++)
		if (ioctl(vcpu->fd, KVM_RUN, 0))
			return (void *)(long)-errno;
	return NULL;
}

TEST_F(pml, it_goes_on_and_off_under_running_guests)
{
	struct test_vcpu *vcpus[2] = { self->vcpu, test_vcpu_create(self->vm, 1) };
	pthread_t threads[2];
	void *result;

	set_code(vcpus[1], GUEST_BLOB(counting_guest));
	for (unsigned int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, count_thread, vcpus[i]));
	for (unsigned int i = 0; i < 30; i++) {
		ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory,
				      i & 1 ? 0 : KVM_MEM_LOG_DIRTY_PAGES));
		if (!(i & 1))
			ASSERT_EQ(0, get_log(self->vm, self->bitmap));
		usleep(100);
	}
	for (unsigned int i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], &result));
		EXPECT_EQ(NULL, result);
	}
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, KVM_MEM_LOG_DIRTY_PAGES));
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_run_to_sync(self->vcpu);
	ASSERT_EQ(0, get_log(self->vm, self->bitmap));
	EXPECT_EQ(NR_PAGES, weight(self->bitmap));
	test_vcpu_free(vcpus[1]);
}

TEST_HARNESS_MAIN
