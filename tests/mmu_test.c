// SPDX-License-Identifier: GPL-2.0
/*
 * Second-level translation follows the host's: what happens to the VMM's memory under a guest that
 * uses it. Runs the same on KVM.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vitrine.h>

#include "kselftest_harness.h"
#include "lib/access.h"
#include "lib/host.h"
#include "lib/vm.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25		/* newer than the C library */
#endif

#define PAGE		4096ul
#define LARGE		(2ul << 20)
#define SLOT_GPA	0x40000000ul
#define EXIT_EPT_VIOLATION	48
#define NR_PAGES	1024ul		/* of the slot: two large pages */

FIXTURE(mmu) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	uint8_t *memory;		/* aligned to a large page */
};

static void *map_aligned(int flags, int fd)
{
	uint8_t *area = mmap(NULL, NR_PAGES * PAGE + LARGE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uintptr_t start = ((uintptr_t)area + LARGE - 1) & ~(LARGE - 1);

	if (area == MAP_FAILED)
		return MAP_FAILED;
	return mmap((void *)start, NR_PAGES * PAGE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd,
		    0);
}

FIXTURE_SETUP(mmu)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_access_start(self->vcpu);
	self->memory = map_aligned(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	ASSERT_NE(MAP_FAILED, (void *)self->memory);
	ASSERT_EQ(0, madvise(self->memory, NR_PAGES * PAGE, MADV_NOHUGEPAGE));
	test_vm_add_memory(self->vm, 1, SLOT_GPA, self->memory, NR_PAGES * PAGE, 0);
}

FIXTURE_TEARDOWN(mmu)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
	munmap(self->memory, NR_PAGES * PAGE);
}

static uint64_t gpa(unsigned long page)
{
	return SLOT_GPA + page * PAGE;
}

/* What the VMM sees there. */
static uint64_t *host(uint8_t *memory, unsigned long page)
{
	return (uint64_t *)(memory + page * PAGE);
}

TEST_F(mmu, both_sides_see_one_memory)
{
	for (unsigned long page = 0; page < 64; page++)
		test_access_write(self->vcpu, gpa(page), TEST_ACCESS_MARK(page));
	for (unsigned long page = 0; page < 64; page++) {
		EXPECT_EQ(TEST_ACCESS_MARK(page), *host(self->memory, page));
		*host(self->memory, page) = TEST_ACCESS_MARK(page + 1000);
		EXPECT_EQ(TEST_ACCESS_MARK(page + 1000), test_access_read(self->vcpu, gpa(page)));
	}
}

/* The first read may bring the zero page: the first write must not go into it. */
TEST_F(mmu, a_page_read_before_it_is_written)
{
	EXPECT_EQ(0, test_access_read(self->vcpu, gpa(0)));
	EXPECT_EQ(0, test_access_read(self->vcpu, gpa(1)));
	test_access_write(self->vcpu, gpa(0), 0x1111);
	EXPECT_EQ(0x1111, *host(self->memory, 0));
	EXPECT_EQ(0, *host(self->memory, 1));
	EXPECT_EQ(0, test_access_read(self->vcpu, gpa(1)));
}

TEST_F(mmu, unmapped_memory_is_gone_at_once)
{
	test_access_write(self->vcpu, gpa(3), 0x3333);
	test_access_write(self->vcpu, gpa(4), 0x4444);
	ASSERT_EQ(0, munmap(self->memory + 3 * PAGE, PAGE));
	EXPECT_EQ(-EFAULT, test_access_try_read(self->vcpu, gpa(3)));
	/* It stays so as often as it is tried. */
	EXPECT_FALSE(test_access_resume(self->vcpu));
	ASSERT_EQ(self->memory + 3 * PAGE,
		  mmap(self->memory + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	*host(self->memory, 3) = 0x5555;
	ASSERT_TRUE(test_access_resume(self->vcpu));
	EXPECT_EQ(0x5555, test_access_value(self->vcpu));
	EXPECT_EQ(0x4444, test_access_read(self->vcpu, gpa(4)));
}

TEST_F(mmu, the_hosts_protection_is_the_guests)
{
	test_access_write(self->vcpu, gpa(5), 0x1);
	ASSERT_EQ(0, mprotect(self->memory, NR_PAGES * PAGE, PROT_READ));
	EXPECT_EQ(0x1, test_access_read(self->vcpu, gpa(5)));
	EXPECT_EQ(-EFAULT, test_access_try_write(self->vcpu, gpa(5), 0x2));
	EXPECT_EQ(0x1, *host(self->memory, 5));
	ASSERT_EQ(0, mprotect(self->memory, NR_PAGES * PAGE, PROT_READ | PROT_WRITE));
	ASSERT_TRUE(test_access_resume(self->vcpu));
	EXPECT_EQ(0x2, *host(self->memory, 5));
	ASSERT_EQ(0, mprotect(self->memory, NR_PAGES * PAGE, PROT_NONE));
	EXPECT_EQ(-EFAULT, test_access_try_read(self->vcpu, gpa(5)));
	ASSERT_EQ(0, mprotect(self->memory, NR_PAGES * PAGE, PROT_READ | PROT_WRITE));
	ASSERT_TRUE(test_access_resume(self->vcpu));
	EXPECT_EQ(0x2, test_access_value(self->vcpu));
}

TEST_F(mmu, discarded_memory_reads_as_zero)
{
	for (unsigned long page = 0; page < 8; page++)
		test_access_write(self->vcpu, gpa(page), TEST_ACCESS_MARK(page));
	ASSERT_EQ(0, madvise(self->memory + 2 * PAGE, 4 * PAGE, MADV_DONTNEED));
	for (unsigned long page = 0; page < 8; page++)
		EXPECT_EQ(page >= 2 && page < 6 ? 0 : TEST_ACCESS_MARK(page),
			  test_access_read(self->vcpu, gpa(page)));
}

/* The child keeps what was there at the fork, whatever the guest writes afterwards. */
TEST_F(mmu, a_forked_child_keeps_its_copy)
{
	int to_child[2], status;
	char go = 0;
	pid_t child;

	test_access_write(self->vcpu, gpa(1), 0xaaaa);
	ASSERT_EQ(0, pipe(to_child));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		/* The guest is the parent's: from here it is refused. */
		bool kept = read(to_child[0], &go, 1) == 1 && *host(self->memory, 1) == 0xaaaa &&
			    ioctl(self->vcpu->fd, KVM_RUN, 0) < 0 && errno == EIO;

		_exit(!kept);
	}
	test_access_write(self->vcpu, gpa(1), 0xbbbb);
	EXPECT_EQ(0xbbbb, *host(self->memory, 1));
	ASSERT_EQ(1, write(to_child[1], &go, 1));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_EQ(0xbbbb, test_access_read(self->vcpu, gpa(1)));
}

/* KiB of @memory's mapping that the line @name of smaps counts. */
static long smaps_kib(const void *memory, const char *name)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	bool inside = false;
	char line[256];
	long kib = -1;

	while (file && kib < 0 && fgets(line, sizeof(line), file)) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)memory >= start && (uintptr_t)memory < end;
		else if (inside && !strncmp(line, name, strlen(name)))
			sscanf(line + strlen(name), ": %ld", &kib);
	}
	if (file)
		fclose(file);
	return kib;
}

TEST_F(mmu, a_large_page_falls_apart_under_the_guest)
{
	host_write("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	ASSERT_EQ(0, madvise(self->memory, NR_PAGES * PAGE, MADV_HUGEPAGE));
	test_access_write(self->vcpu, gpa(0), TEST_ACCESS_MARK(0));
	if (smaps_kib(self->memory, "AnonHugePages") < 2048)
		SKIP(return, "no large page was to be had");
	for (unsigned long page = 0; page < NR_PAGES; page++)
		test_access_write(self->vcpu, gpa(page), TEST_ACCESS_MARK(page));
	ASSERT_EQ(0, madvise(self->memory + 100 * PAGE, PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, mprotect(self->memory + 101 * PAGE, PAGE, PROT_READ));
	EXPECT_EQ(0, test_access_read(self->vcpu, gpa(100)));
	EXPECT_EQ(-EFAULT, test_access_try_write(self->vcpu, gpa(101), 0x1));
	ASSERT_EQ(0, mprotect(self->memory + 101 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	ASSERT_TRUE(test_access_resume(self->vcpu));
	for (unsigned long page = 0; page < NR_PAGES; page++) {
		uint64_t want = page == 100 ? 0 : page == 101 ? 1 : TEST_ACCESS_MARK(page);

		if (test_access_read(self->vcpu, gpa(page)) != want ||
		    *host(self->memory, page) != want)
			EXPECT_EQ(want, page);
	}
}

/*
 * Small pages that become one large page keep what is in them, and what is written from then on is
 * seen.
 */
TEST_F(mmu, small_pages_grow_together_under_the_guest)
{
	for (unsigned long page = 0; page < NR_PAGES; page++)
		test_access_write(self->vcpu, gpa(page), TEST_ACCESS_MARK(page));
	host_write("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	ASSERT_EQ(0, madvise(self->memory, NR_PAGES * PAGE, MADV_HUGEPAGE));
	if (madvise(self->memory, NR_PAGES * PAGE, MADV_COLLAPSE))
		SKIP(return, "this kernel does not collapse on request");
	ASSERT_EQ((long)(NR_PAGES * PAGE / 1024), smaps_kib(self->memory, "AnonHugePages"));
	for (unsigned long page = 0; page < NR_PAGES; page += 7) {
		EXPECT_EQ(TEST_ACCESS_MARK(page), test_access_read(self->vcpu, gpa(page)));
		test_access_write(self->vcpu, gpa(page), TEST_ACCESS_MARK(page + 5));
		EXPECT_EQ(TEST_ACCESS_MARK(page + 5), *host(self->memory, page));
	}
}

TEST_F(mmu, hugetlb_pages)
{
	uint8_t *memory;

	if (host_write("/proc/sys/vm/nr_hugepages", "4"))
		SKIP(return, "no hugetlb in this kernel");
	memory = mmap(NULL, 2 * LARGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (memory == MAP_FAILED)
		SKIP(return, "no hugetlb pages are free");
	test_vm_add_memory(self->vm, 2, SLOT_GPA + 0x10000000, memory, 2 * LARGE, 0);
	for (unsigned long page = 0; page < 1024; page += 64)
		test_access_write(self->vcpu, gpa(page) + 0x10000000, TEST_ACCESS_MARK(page));
	for (unsigned long page = 0; page < 1024; page += 64)
		EXPECT_EQ(TEST_ACCESS_MARK(page), *host(memory, page));
	ASSERT_EQ(0, munmap(memory + LARGE, LARGE));
	EXPECT_EQ(TEST_ACCESS_MARK(64), test_access_read(self->vcpu, gpa(64) + 0x10000000));
	EXPECT_EQ(-EFAULT, test_access_try_read(self->vcpu, gpa(512) + 0x10000000));
	ASSERT_EQ(0, munmap(memory, LARGE));
	/* The guest's hold on them is gone: they can be given back. */
	ASSERT_EQ(0, host_write("/proc/sys/vm/nr_hugepages", "0"));
}

/* A slot that is not aligned as its large pages are must be mapped small, and right. */
TEST_F(mmu, large_pages_at_odd_addresses)
{
	const uint64_t odd = SLOT_GPA + 0x10000000 + 3 * PAGE;

	host_write("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	ASSERT_EQ(0, madvise(self->memory, NR_PAGES * PAGE, MADV_HUGEPAGE));
	for (unsigned long page = 0; page < NR_PAGES; page++)
		*host(self->memory, page) = TEST_ACCESS_MARK(page);
	test_vm_add_memory(self->vm, 2, odd, self->memory, NR_PAGES * PAGE, 0);
	/* Aligned, but the slot begins and ends inside a large page. */
	test_vm_add_memory(self->vm, 3, SLOT_GPA + 0x20000000 + PAGE, self->memory + PAGE,
			   1000 * PAGE, 0);
	for (unsigned long page = 0; page < NR_PAGES; page += 11)
		EXPECT_EQ(TEST_ACCESS_MARK(page), test_access_read(self->vcpu, odd + page * PAGE));
	EXPECT_EQ(TEST_ACCESS_MARK(1), test_access_read(self->vcpu, gpa(1) + 0x20000000));
	EXPECT_EQ(TEST_ACCESS_MARK(1000), test_access_read(self->vcpu, gpa(1000) + 0x20000000));
	ASSERT_EQ(0, test_access_try_read(self->vcpu, gpa(0) + 0x20000000));
	EXPECT_TRUE(test_access_is_mmio(self->vcpu, gpa(0) + 0x20000000, false));
	ASSERT_TRUE(test_access_resume(self->vcpu));
	ASSERT_EQ(0, test_access_try_read(self->vcpu, gpa(1001) + 0x20000000));
	EXPECT_TRUE(test_access_is_mmio(self->vcpu, gpa(1001) + 0x20000000, false));
	ASSERT_TRUE(test_access_resume(self->vcpu));
}

TEST_F(mmu, shared_memory_and_holes_in_it)
{
	int fd = memfd_create("shared", MFD_CLOEXEC);
	uint8_t *guest_side, *other_side;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, NR_PAGES * PAGE));
	guest_side = map_aligned(MAP_SHARED, fd);
	other_side = map_aligned(MAP_SHARED, fd);
	ASSERT_NE(MAP_FAILED, (void *)guest_side);
	ASSERT_NE(MAP_FAILED, (void *)other_side);
	test_vm_add_memory(self->vm, 2, SLOT_GPA + 0x10000000, guest_side, NR_PAGES * PAGE, 0);
	for (unsigned long page = 0; page < 16; page++)
		test_access_write(self->vcpu, gpa(page) + 0x10000000, TEST_ACCESS_MARK(page));
	for (unsigned long page = 0; page < 16; page++)
		EXPECT_EQ(TEST_ACCESS_MARK(page), *host(other_side, page));
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * PAGE, 4 * PAGE));
	for (unsigned long page = 0; page < 16; page++)
		EXPECT_EQ(page >= 4 && page < 8 ? 0 : TEST_ACCESS_MARK(page),
			  test_access_read(self->vcpu, gpa(page) + 0x10000000));
	/* Past the end of a file there is SIGBUS for a process and EFAULT for a guest. */
	ASSERT_EQ(0, ftruncate(fd, 8 * PAGE));
	EXPECT_EQ(-EFAULT, test_access_try_read(self->vcpu, gpa(9) + 0x10000000));
	ASSERT_EQ(0, ftruncate(fd, 16 * PAGE));
	ASSERT_TRUE(test_access_resume(self->vcpu));
	EXPECT_EQ(0, test_access_value(self->vcpu));
	close(fd);
	munmap(guest_side, NR_PAGES * PAGE);
	munmap(other_side, NR_PAGES * PAGE);
}

TEST_F(mmu, merged_pages_part_again)
{
	bool merged = false;

	if (host_write("/sys/kernel/mm/ksm/run", "1"))
		SKIP(return, "no page merging in this kernel");
	host_write("/sys/kernel/mm/ksm/sleep_millisecs", "1");
	host_write("/sys/kernel/mm/ksm/pages_to_scan", "1000");
	for (unsigned long page = 0; page < 8; page++)
		test_access_write(self->vcpu, gpa(page), 0x7777);
	ASSERT_EQ(0, madvise(self->memory, 8 * PAGE, MADV_MERGEABLE));
	for (unsigned int i = 0; i < 100 && !merged; i++) {
		char text[32] = "";
		int fd = open("/sys/kernel/mm/ksm/pages_sharing", O_RDONLY | O_CLOEXEC);

		ASSERT_LT(0, read(fd, text, sizeof(text) - 1));
		close(fd);
		merged = atoi(text) >= 7;
		usleep(20000);
	}
	EXPECT_TRUE(merged);
	test_access_write(self->vcpu, gpa(3), 0x8888);
	for (unsigned long page = 0; page < 8; page++) {
		EXPECT_EQ(page == 3 ? 0x8888 : 0x7777, test_access_read(self->vcpu, gpa(page)));
		EXPECT_EQ(page == 3 ? 0x8888 : 0x7777, *host(self->memory, page));
	}
	host_write("/sys/kernel/mm/ksm/run", "2");
}

struct pager {
	int fd;
	int stop_fd;			/* readable when it is enough */
	uint8_t *memory;
	unsigned int missing;		/* faults answered */
	unsigned int protected;
};

/*
 * Answers every missing page with a copy that tells its place, every write with the right to write.
 */
static void *pager_thread(void *data)
{
	struct pager *pager = data;
	uint64_t copy[PAGE / sizeof(uint64_t)] = { 0 };
	struct uffd_msg message;
	struct pollfd fds[] = {
		{ .fd = pager->fd, .events = POLLIN },
		{ .fd = pager->stop_fd, .events = POLLIN },
	};

	while (poll(fds, 2, -1) > 0 && !fds[1].revents) {
		uintptr_t page;

		if (read(pager->fd, &message, sizeof(message)) != sizeof(message))
			continue;
		page = message.arg.pagefault.address & ~(PAGE - 1);
		if (message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) {
			struct uffdio_writeprotect unprotect = { .range = { page, PAGE } };

			pager->protected++;
			ioctl(pager->fd, UFFDIO_WRITEPROTECT, &unprotect);
		} else {
			struct uffdio_copy fill = { .dst = page,
						    .src = (uintptr_t)copy,
						    .len = PAGE };

			pager->missing++;
			copy[0] = TEST_ACCESS_MARK((page - (uintptr_t)pager->memory) / PAGE);
			ioctl(pager->fd, UFFDIO_COPY, &fill);
		}
	}
	return NULL;
}

TEST_F(mmu, userfaultfd_pages_the_guest_in)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_register range = {
		.range = { (uintptr_t)self->memory, 64 * PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect protect = {
		.range = { (uintptr_t)self->memory, 32 * PAGE },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	struct pager pager = { .memory = self->memory };
	pthread_t thread;
	int stop[2];

	ASSERT_EQ(0, pipe(stop));
	pager.stop_fd = stop[0];
	pager.fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (pager.fd < 0 || ioctl(pager.fd, UFFDIO_API, &api))
		SKIP(return, "no userfaultfd with write protection in this kernel");
	ASSERT_EQ(0, ioctl(pager.fd, UFFDIO_REGISTER, &range));
	ASSERT_EQ(0, pthread_create(&thread, NULL, pager_thread, &pager));
	for (unsigned long page = 0; page < 32; page++)
		EXPECT_EQ(TEST_ACCESS_MARK(page), test_access_read(self->vcpu, gpa(page)));
	EXPECT_EQ(32, pager.missing);
	for (unsigned long page = 0; page < 32; page++)
		test_access_write(self->vcpu, gpa(page), TEST_ACCESS_MARK(page + 1));
	EXPECT_EQ(0, pager.protected);

	/* What is protected afterwards is so for the guest, too. */
	ASSERT_EQ(0, ioctl(pager.fd, UFFDIO_WRITEPROTECT, &protect));
	for (unsigned long page = 0; page < 32; page += 2) {
		EXPECT_EQ(TEST_ACCESS_MARK(page + 1), test_access_read(self->vcpu, gpa(page)));
		test_access_write(self->vcpu, gpa(page), TEST_ACCESS_MARK(page + 2));
		EXPECT_EQ(TEST_ACCESS_MARK(page + 2), *host(self->memory, page));
	}
	EXPECT_EQ(16, pager.protected);

	/* Where nobody is asked any more, it is memory like any other. */
	ASSERT_EQ(0, ioctl(pager.fd, UFFDIO_UNREGISTER, &range.range));
	EXPECT_EQ(0, test_access_read(self->vcpu, gpa(63)));
	EXPECT_EQ(32, pager.missing);
	ASSERT_EQ(1, write(stop[1], "", 1));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	close(pager.fd);
}

/* Firmware mapped through /dev/mem has no pages that could be held. */
TEST_F(mmu, device_memory_of_the_host)
{
	int fd = open("/dev/mem", O_RDONLY | O_CLOEXEC);
	uint8_t *rom;

	if (fd < 0)
		SKIP(return, "no /dev/mem");
	rom = mmap(NULL, 16 * PAGE, PROT_READ, MAP_SHARED, fd, 0xf0000);
	close(fd);
	if (rom == MAP_FAILED)
		SKIP(return, "/dev/mem does not show the firmware");
	test_vm_add_memory(self->vm, 2, SLOT_GPA + 0x10000000, rom, 16 * PAGE, KVM_MEM_READONLY);
	for (unsigned long page = 0; page < 16; page++)
		for (unsigned long at = 0; at < PAGE; at += 1024)
			EXPECT_EQ(*(uint64_t *)(rom + page * PAGE + at),
				  test_access_read(self->vcpu, gpa(page) + 0x10000000 + at));
	ASSERT_EQ(0, test_access_try_write(self->vcpu, gpa(2) + 0x10000000, 1));
	EXPECT_TRUE(test_access_is_mmio(self->vcpu, gpa(2) + 0x10000000, true));
	ASSERT_TRUE(test_access_resume(self->vcpu));
	munmap(rom, 16 * PAGE);
	EXPECT_EQ(-EFAULT, test_access_try_read(self->vcpu, gpa(1) + 0x10000000));
}

static uintptr_t poison_address;
static int poison_code;

static void poison_handler(int signal_nr, siginfo_t *info, void *context)
{
	(void)signal_nr;
	(void)context;
	poison_address = (uintptr_t)info->si_addr;
	poison_code = info->si_code;
}

TEST_F(mmu, a_poisoned_page_raises_sigbus)
{
	struct sigaction action = { .sa_sigaction = poison_handler, .sa_flags = SA_SIGINFO };

	test_access_write(self->vcpu, gpa(9), 0x9);
	/* The process learns of the poisoning itself, too, as it has the page mapped. */
	ASSERT_EQ(0, sigaction(SIGBUS, &action, NULL));
	if (madvise(self->memory + 9 * PAGE, PAGE, MADV_HWPOISON))
		SKIP(return, "this kernel cannot poison pages");
	poison_address = 0;
	poison_code = 0;
	EXPECT_EQ(-EINTR, test_access_try_read(self->vcpu, gpa(9)));
	EXPECT_EQ((uintptr_t)self->memory + 9 * PAGE, poison_address);
	EXPECT_EQ(BUS_MCEERR_AR, poison_code);
	EXPECT_EQ(0, test_access_read(self->vcpu, gpa(10)));
}

/* Under memory pressure the tables themselves go; nothing of it is seen. */
TEST_F(mmu, tables_shrink_and_grow)
{
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned long page = 0; page < NR_PAGES; page += 16)
			test_access_write(self->vcpu, gpa(page), TEST_ACCESS_MARK(page + round));
		ASSERT_EQ(0, host_write("/proc/sys/vm/drop_caches", "2"));
		for (unsigned long page = 0; page < NR_PAGES; page += 16)
			EXPECT_EQ(TEST_ACCESS_MARK(page + round),
				  test_access_read(self->vcpu, gpa(page)));
	}
}

TEST_F(mmu, translate_follows_the_guests_tables)
{
	struct kvm_translation look = { .linear_address = SLOT_GPA + 0x123 };

	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_TRANSLATE, &look));
	EXPECT_EQ(1, look.valid);
	EXPECT_EQ(SLOT_GPA + 0x123, look.physical_address);
	test_access_map(self->vcpu, 0x80000000, SLOT_GPA);
	look.linear_address = 0x80001456;
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_TRANSLATE, &look));
	EXPECT_EQ(1, look.valid);
	EXPECT_EQ(SLOT_GPA + 0x1456, look.physical_address);
	/* Past what the tables map. */
	look.linear_address = 1ull << 33;
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_TRANSLATE, &look));
	EXPECT_EQ(0, look.valid);
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_TRANSLATE, NULL));
	EXPECT_EQ(EFAULT, errno);
}

static uint64_t mem_faults(struct test_vcpu *vcpu)
{
	struct vitrine_vcpu_stats stats;

	if (test_on_kvm())
		return 0;
	if (ioctl(vcpu->fd, VITRINE_GET_STATS, &stats))
		test_die("VITRINE_GET_STATS");
	return stats.exit_count[EXIT_EPT_VIOLATION];
}

/* A bound on table pages costs faults and nothing else. */
TEST_F(mmu, as_many_tables_as_the_vmm_allows)
{
	const unsigned long spots = 100, bytes = spots * LARGE;
	uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t before;

	ASSERT_NE(MAP_FAILED, (void *)memory);
	ASSERT_EQ(0, madvise(memory, bytes, MADV_NOHUGEPAGE));
	test_vm_add_memory(self->vm, 2, SLOT_GPA + LARGE * 2, memory, bytes, 0);
	EXPECT_EQ(-1, ioctl(self->vm->fd, KVM_SET_NR_MMU_PAGES, 63));
	EXPECT_EQ(EINVAL, errno);
	for (unsigned long i = 0; i < spots; i++)
		test_access_write(self->vcpu, gpa((i + 2) * 512), TEST_ACCESS_MARK(i));
	before = mem_faults(self->vcpu);
	for (unsigned long i = 0; i < spots; i++)
		EXPECT_EQ(TEST_ACCESS_MARK(i), test_access_read(self->vcpu, gpa((i + 2) * 512)));
	EXPECT_EQ(before, mem_faults(self->vcpu));

	ASSERT_EQ(0, ioctl(self->vm->fd, KVM_SET_NR_MMU_PAGES, 64));
	EXPECT_EQ(64, ioctl(self->vm->fd, KVM_GET_NR_MMU_PAGES, 0));
	for (int round = 0; round < 3; round++)
		for (unsigned long i = 0; i < spots; i++)
			EXPECT_EQ(TEST_ACCESS_MARK(i),
				  test_access_read(self->vcpu, gpa((i + 2) * 512)));
	if (!test_on_kvm())
		EXPECT_LE(before + spots, mem_faults(self->vcpu));
	munmap(memory, bytes);
}

TEST_HARNESS_MAIN
