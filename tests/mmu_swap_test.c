// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is swapped out under a guest, on purpose and by reclaim: it comes back whole, and
 * what the guest uses is known to be in use. A RAM disk holds the swap.
 *
 * lab: --cpus 2 --memory 1024 --with-module brd --module-args nx_huge_pages=on
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/access.h"
#include "lib/host.h"
#include "lib/vm.h"

#define PAGE		4096ul
#define SLOT_GPA	0x40000000ul
#define NR_PAGES	2048ul
#define SWAP		"/dev/ram0"
#define GROUPS		"/tmp/cgroup"
#define HOT_EVERY	8		/* of the pages that reclaim is tried on */

FIXTURE(swap) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	uint8_t *memory;
};

FIXTURE_SETUP(swap)
{
	ASSERT_EQ(0, system("modprobe brd rd_nr=1 rd_size=65536 && mkswap " SWAP " >/dev/null"));
	ASSERT_EQ(0, swapon(SWAP, 0));
	self->memory = mmap(NULL, NR_PAGES * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->memory);
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_access_start(self->vcpu);
	test_vm_add_memory(self->vm, 1, SLOT_GPA, self->memory, NR_PAGES * PAGE, 0);
}

FIXTURE_TEARDOWN(swap)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
	munmap(self->memory, NR_PAGES * PAGE);
	swapoff(SWAP);
}

static uint64_t gpa(unsigned long page)
{
	return SLOT_GPA + page * PAGE;
}

/* How many pages of @memory are in swap now, among each @every the first. */
static unsigned long swapped_every(const uint8_t *memory, unsigned int every)
{
	FILE *file = fopen("/proc/self/pagemap", "re");
	unsigned long sum = 0;
	uint64_t entry;

	if (!file || fseek(file, (uintptr_t)memory / PAGE * sizeof(entry), SEEK_SET))
		test_die("/proc/self/pagemap");
	for (unsigned long page = 0; page < NR_PAGES; page++)
		sum += fread(&entry, sizeof(entry), 1, file) == 1 && page % every == 0 &&
		       entry >> 62 & 1;
	fclose(file);
	return sum;
}

static unsigned long swapped_pages(const uint8_t *memory)
{
	return swapped_every(memory, 1);
}

TEST_F(swap, what_was_swapped_out_comes_back)
{
	for (unsigned long page = 0; page < NR_PAGES; page++)
		test_access_write(self->vcpu, gpa(page), TEST_ACCESS_MARK(page));
	/*
	 * One call takes what it can get without waiting. But nothing of the guest's holds a page.
	 */
	for (unsigned int i = 0; i < 20 && swapped_pages(self->memory) < NR_PAGES; i++)
		ASSERT_EQ(0, madvise(self->memory, NR_PAGES * PAGE, MADV_PAGEOUT));
	EXPECT_LT(NR_PAGES * 9 / 10, swapped_pages(self->memory));
	for (unsigned long page = 0; page < NR_PAGES; page += 3)
		EXPECT_EQ(TEST_ACCESS_MARK(page), test_access_read(self->vcpu, gpa(page)));
	for (unsigned long page = 1; page < NR_PAGES; page += 3)
		test_access_write(self->vcpu, gpa(page), TEST_ACCESS_MARK(page + 1));
	/*
	 * What was only read since may go without being written out; what was written must not be
	 * lost.
	 */
	ASSERT_EQ(0, madvise(self->memory, NR_PAGES * PAGE, MADV_PAGEOUT));
	for (unsigned long page = 0; page < NR_PAGES; page++)
		EXPECT_EQ(TEST_ACCESS_MARK(page % 3 == 1 ? page + 1 : page),
			  test_access_read(self->vcpu, gpa(page)));
}

/* Counts up in every page, round and round. */
GUEST_CODE(counting_guest,
	   "1: mov %rdi, %rbx\n"
	   "2: incq (%rbx)\n"
	   "add $4096, %rbx\n"
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

TEST_F(swap, a_running_guest_loses_no_count)
{
	struct test_vcpu *vcpu = test_vcpu_create(self->vm, 1);
	struct kvm_regs regs;
	pthread_t thread;
	void *result;

	test_vcpu_long_mode(vcpu, GUEST_BLOB(counting_guest));
	test_vcpu_regs(vcpu, &regs);
	regs.rdi = SLOT_GPA;
	regs.rsi = SLOT_GPA + NR_PAGES * PAGE;
	regs.rcx = 20;
	/* Or the emulated CPU takes no interrupt of the host's. */
	regs.rflags |= 0x200;
	test_vcpu_set_regs(vcpu, &regs);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_thread, vcpu));
	for (unsigned int i = 0; i < 10; i++) {
		ASSERT_EQ(0, madvise(self->memory, NR_PAGES * PAGE, MADV_PAGEOUT));
		sched_yield();
	}
	ASSERT_EQ(0, pthread_join(thread, &result));
	ASSERT_EQ(NULL, result);
	ASSERT_EQ(KVM_EXIT_IO, vcpu->run->exit_reason);
	for (unsigned long page = 0; page < NR_PAGES; page++)
		EXPECT_EQ(20, *(uint64_t *)(self->memory + page * PAGE));
	test_vcpu_free(vcpu);
}

static bool enter_group(void)
{
	char pid[16];

	mkdir(GROUPS, 0755);
	if (mount("cgroup2", GROUPS, "cgroup2", 0, NULL) && errno != EBUSY)
		return false;
	host_write(GROUPS "/cgroup.subtree_control", "+memory");
	mkdir(GROUPS "/swap_test", 0755);
	snprintf(pid, sizeof(pid), "%d", getpid());
	return !host_write(GROUPS "/swap_test/cgroup.procs", pid);
}

/* A mebibyte and more: how many pages of @memory that the guest does not use are gone then. */
static unsigned long squeeze(const uint8_t *memory)
{
	int ret = host_write(GROUPS "/swap_test/memory.reclaim", "1M");

	/* The kernel also tells where it could not get as much. */
	if (ret && ret != -EAGAIN)
		test_die("memory.reclaim: %d", ret);
	return swapped_pages(memory) - swapped_every(memory, HOT_EVERY);
}

/*
 * Reclaim asks for pages' age, and takes the old ones: those the guest keeps using stay. They lie
 * among the others, so that without an age they would go as those do, and there are always others
 * left to take. Where EPT has no accessed bits the question takes the translation away, and whether
 * it is there again is the answer to the next one.
 */
TEST_F(swap, reclaim_spares_what_the_guest_uses)
{
	unsigned long first, cold, hot = 0, rounds;

	if (!enter_group() || access(GROUPS "/swap_test/memory.reclaim", W_OK))
		SKIP(return, "no memory.reclaim in this kernel");
	/* The pages of a huge one have one age. */
	ASSERT_EQ(0, madvise(self->memory, NR_PAGES * PAGE, MADV_NOHUGEPAGE));
	for (unsigned long page = 0; page < NR_PAGES; page++)
		test_access_write(self->vcpu, gpa(page), TEST_ACCESS_MARK(page));
	/* All are young until somebody has asked once. */
	first = squeeze(self->memory);
	for (rounds = 0, cold = first; rounds < 8 && cold < first + NR_PAGES / 4; rounds++) {
		for (unsigned long page = 0; page < NR_PAGES; page += HOT_EVERY)
			EXPECT_EQ(TEST_ACCESS_MARK(page), test_access_read(self->vcpu, gpa(page)));
		cold = squeeze(self->memory);
		hot += swapped_every(self->memory, HOT_EVERY);
	}
	TH_LOG("%lu cold pages gone, %lu at first; %lu hot ones in %lu rounds", cold, first, hot,
	       rounds);
	EXPECT_LE(first + NR_PAGES / 4, cold);
	/* If age were not known, as many would go as their share is. */
	EXPECT_GT((cold - first) / (HOT_EVERY - 1) / 4, hot);
	for (unsigned long page = 0; page < NR_PAGES; page++)
		EXPECT_EQ(TEST_ACCESS_MARK(page), test_access_read(self->vcpu, gpa(page)));
}

TEST_HARNESS_MAIN
