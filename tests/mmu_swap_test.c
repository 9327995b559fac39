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

/* How many pages of @memory are in swap now. */
static unsigned long swapped_pages(const uint8_t *memory)
{
	FILE *file = fopen("/proc/self/pagemap", "re");
	unsigned long sum = 0;
	uint64_t entry;

	if (!file || fseek(file, (uintptr_t)memory / PAGE * sizeof(entry), SEEK_SET))
		test_die("/proc/self/pagemap");
	for (unsigned long page = 0; page < NR_PAGES; page++)
		sum += fread(&entry, sizeof(entry), 1, file) == 1 && entry >> 62 & 1;
	fclose(file);
	return sum;
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

/* Reclaim asks for pages' age, and takes the old ones: those the guest keeps using should stay. */
TEST_F(swap, reclaim_spares_what_the_guest_uses)
{
	unsigned long hot = 0;

	if (!enter_group() || access(GROUPS "/swap_test/memory.reclaim", W_OK))
		SKIP(return, "no memory.reclaim in this kernel");
	for (unsigned long page = 0; page < NR_PAGES; page++)
		test_access_write(self->vcpu, gpa(page), TEST_ACCESS_MARK(page));
	for (unsigned int round = 0; round < 8; round++) {
		for (unsigned long page = 0; page < 64; page++)
			hot += test_access_read(self->vcpu, gpa(page)) == TEST_ACCESS_MARK(page);
		host_write(GROUPS "/swap_test/memory.reclaim", "1M");
	}
	EXPECT_EQ(8 * 64, hot);
	EXPECT_LT(NR_PAGES / 4, swapped_pages(self->memory));
	for (unsigned long page = 0; page < NR_PAGES; page++)
		EXPECT_EQ(TEST_ACCESS_MARK(page), test_access_read(self->vcpu, gpa(page)));
}

TEST_HARNESS_MAIN
