// SPDX-License-Identifier: GPL-2.0
/*
 * Dirty logging by ring: what each vCPU wrote stands in its ring, in order, until the VMM has taken
 * it; and a VMM that writes nonsense there harms itself only. Runs the same on KVM.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/access.h"
#include "lib/host.h"
#include "lib/stay.h"
#include "lib/vm.h"

#define PAGE		4096ul
#define SLOT		1
#define SLOT_GPA	0x40000000ul
#define NR_PAGES	2048ul
#define RING_BYTES	16384u		/* the smallest where hardware logs 512 pages */
#define RING_ENTRIES	(RING_BYTES / sizeof(struct kvm_dirty_gfn))
#define MSR_WALL_CLOCK_NEW	0x4b564d00
#define PML		"/sys/module/vitrine/parameters/pml"

struct ring {
	struct kvm_dirty_gfn *entries;
	uint32_t next;
};

FIXTURE(ring) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	struct ring ring;
	uint8_t *memory;
};

FIXTURE_VARIANT(ring) {
	const char *pml;
};

FIXTURE_VARIANT_ADD(ring, by_hardware) { .pml = "1" };
FIXTURE_VARIANT_ADD(ring, by_faults) { .pml = "0" };

static int enable_ring(struct test_vm *vm, uint32_t number, uint64_t bytes)
{
	struct kvm_enable_cap cap = { .cap = number, .args = { bytes } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &cap) ? -errno : 0;
}

static int set_slot(struct test_vm *vm, uint64_t gpa, void *hva, unsigned long pages,
		    uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = SLOT,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = pages * PAGE,
		.userspace_addr = (uintptr_t)hva,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

static int reset_rings(struct test_vm *vm)
{
	int ret = ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0);

	return ret < 0 ? -errno : ret;
}

static void *map_ring(struct test_vcpu *vcpu, int prot, int flags, size_t bytes)
{
	return mmap(NULL, bytes, prot, flags, vcpu->fd, KVM_DIRTY_LOG_PAGE_OFFSET * PAGE);
}

static struct ring ring_open(struct test_vcpu *vcpu)
{
	struct ring ring = {
		.entries = map_ring(vcpu, PROT_READ | PROT_WRITE, MAP_SHARED, RING_BYTES),
	};

	if (ring.entries == MAP_FAILED)
		test_die("mmap of the dirty ring");
	return ring;
}

/* The page in the next entry, which is taken; -1 if there is none. */
static long ring_take(struct ring *ring)
{
	struct kvm_dirty_gfn *entry = &ring->entries[ring->next % RING_ENTRIES];

	if (__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY)
		return -1;
	if (entry->slot != SLOT)
		test_die("slot %u in the ring", entry->slot);
	ring->next++;
	__atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	return entry->offset;
}

static uint64_t gpa(unsigned long page)
{
	return SLOT_GPA + page * PAGE;
}

FIXTURE_SETUP(ring)
{
	self->memory = mmap(NULL, NR_PAGES * PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->memory);
	host_write(PML, variant->pml);
	self->vm = test_vm_create();
	ASSERT_EQ(0, enable_ring(self->vm, KVM_CAP_DIRTY_LOG_RING, RING_BYTES));
	self->vcpu = test_vcpu_create(self->vm, 0);
	self->ring = ring_open(self->vcpu);
	test_access_start(self->vcpu);
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, NR_PAGES,
			      KVM_MEM_LOG_DIRTY_PAGES));
}

FIXTURE_TEARDOWN(ring)
{
	munmap(self->ring.entries, RING_BYTES);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
	munmap(self->memory, NR_PAGES * PAGE);
	host_write(PML, "1");
}

TEST(a_ring_has_rules)
{
	struct test_vm *vm = test_vm_create();
	struct kvm_dirty_log log = { .slot = 0 };
	struct kvm_clear_dirty_log clear = { .slot = 0 };

	EXPECT_EQ(1 << 20, test_check_extension(vm->fd, KVM_CAP_DIRTY_LOG_RING));
	EXPECT_EQ(1 << 20, test_check_extension(vm->dev_fd, KVM_CAP_DIRTY_LOG_RING_ACQ_REL));
	EXPECT_EQ(-EINVAL, reset_rings(vm));
	EXPECT_EQ(-EINVAL, enable_ring(vm, KVM_CAP_DIRTY_LOG_RING, 0));
	EXPECT_EQ(-EINVAL, enable_ring(vm, KVM_CAP_DIRTY_LOG_RING, 2048));
	EXPECT_EQ(-EINVAL, enable_ring(vm, KVM_CAP_DIRTY_LOG_RING, 3 * 4096));
	EXPECT_EQ(-E2BIG, enable_ring(vm, KVM_CAP_DIRTY_LOG_RING, 2 << 20));
	EXPECT_EQ(0, enable_ring(vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 1 << 20));
	EXPECT_EQ(-EINVAL, enable_ring(vm, KVM_CAP_DIRTY_LOG_RING, 1 << 20));
	EXPECT_EQ(0, reset_rings(vm));
	/* The other way to ask is closed. */
	EXPECT_EQ(-1, ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(ENXIO, errno);
	EXPECT_EQ(-1, ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &clear));
	EXPECT_EQ(ENXIO, errno);
	test_vm_free(vm);

	vm = test_vm_create();
	test_vcpu_free(test_vcpu_create(vm, 0));
	EXPECT_EQ(-EINVAL, enable_ring(vm, KVM_CAP_DIRTY_LOG_RING, RING_BYTES));
	test_vm_free(vm);
}

TEST_F(ring, it_is_mapped_shared_and_to_its_end)
{
	const int both = PROT_READ | PROT_WRITE;
	uint8_t *map;
	int status;
	pid_t pid;

	EXPECT_EQ(MAP_FAILED, map_ring(self->vcpu, both, MAP_PRIVATE, RING_BYTES));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, map_ring(self->vcpu, both | PROT_EXEC, MAP_SHARED, RING_BYTES));
	EXPECT_EQ(EINVAL, errno);
	/* So is a mapping that only ends in it. */
	EXPECT_EQ(MAP_FAILED, mmap(NULL, (KVM_DIRTY_LOG_PAGE_OFFSET + 1) * PAGE, both, MAP_PRIVATE,
				   self->vcpu->fd, 0));
	map = map_ring(self->vcpu, both, MAP_SHARED, RING_BYTES + PAGE);
	ASSERT_NE(MAP_FAILED, (void *)map);
	EXPECT_EQ(0, map[RING_BYTES - 1]);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		signal(SIGBUS, SIG_DFL);
		_exit(map[RING_BYTES]);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	munmap(map, RING_BYTES + PAGE);
}

TEST_F(ring, what_is_written_stands_in_it_in_order)
{
	const unsigned long pages[] = { 5, 2000, 6, 7, 0 };

	EXPECT_EQ(-1, ring_take(&self->ring));
	for (unsigned int i = 0; i < 5; i++)
		test_access_write(self->vcpu, gpa(pages[i]), 1);
	/* Neither is this writing, nor is that news. */
	EXPECT_EQ(0, test_access_read(self->vcpu, gpa(77)));
	test_access_write(self->vcpu, gpa(5), 2);
	EXPECT_EQ(0, reset_rings(self->vm));
	for (unsigned int i = 0; i < 3; i++)
		EXPECT_EQ(pages[i], ring_take(&self->ring));
	EXPECT_EQ(3, reset_rings(self->vm));
	EXPECT_EQ(0, reset_rings(self->vm));

	/* 7 and 0 are still there, and not told again; the others are. */
	test_access_write(self->vcpu, gpa(7), 2);
	test_access_write(self->vcpu, gpa(6), 2);
	test_access_write(self->vcpu, gpa(77), 2);
	EXPECT_EQ(7, ring_take(&self->ring));
	EXPECT_EQ(0, ring_take(&self->ring));
	EXPECT_EQ(6, ring_take(&self->ring));
	EXPECT_EQ(77, ring_take(&self->ring));
	EXPECT_EQ(-1, ring_take(&self->ring));
	EXPECT_EQ(4, reset_rings(self->vm));
}

/* It began by bitmap, which nobody can ask for any more. */
TEST_F(ring, a_slot_that_was_logged_before_counts)
{
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu;
	struct ring ring;

	ASSERT_EQ(0, set_slot(vm, SLOT_GPA, self->memory, NR_PAGES, KVM_MEM_LOG_DIRTY_PAGES));
	ASSERT_EQ(0, enable_ring(vm, KVM_CAP_DIRTY_LOG_RING, RING_BYTES));
	vcpu = test_vcpu_create(vm, 0);
	ring = ring_open(vcpu);
	test_access_start(vcpu);
	test_access_write(vcpu, gpa(9), 1);
	EXPECT_EQ(9, ring_take(&ring));
	EXPECT_EQ(-1, ring_take(&ring));
	EXPECT_EQ(1, reset_rings(vm));
	munmap(ring.entries, RING_BYTES);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

/* Counts up in a word of each page from %rdi to %rsi, %rcx times. */
GUEST_CODE(counting_guest,
	   "1: mov %rdi, %rbx\n"
	   "2: incq (%rbx)\n"
	   "add $0x1000, %rbx\n"
	   "cmp %rsi, %rbx\n"
	   "jb 2b\n"
	   "dec %rcx\n"
	   "jnz 1b\n"
	   "outb %al, $0xe1\n");

static struct test_vcpu *counting_vcpu(struct test_vm *vm, unsigned int id, unsigned long first,
				       unsigned long last, unsigned long times)
{
	struct test_vcpu *vcpu = test_vcpu_create(vm, id);
	struct kvm_regs regs;

	test_vcpu_long_mode(vcpu, GUEST_BLOB(counting_guest));
	test_vcpu_regs(vcpu, &regs);
	regs.rdi = gpa(first);
	regs.rsi = gpa(last);
	regs.rcx = times;
	regs.rflags |= 0x200;
	test_vcpu_set_regs(vcpu, &regs);
	return vcpu;
}

/*
 * Takes all; @seen is the page that comes next. The one before may come twice: it filled the ring
 * at its fault, and the write itself came after the reset.
 */
static unsigned long take_all(struct ring *ring, unsigned long *seen)
{
	unsigned long count = 0;
	long page;

	for (; (page = ring_take(ring)) >= 0; count++) {
		if (page == (long)*seen)
			++*seen;
		else if (page != (long)*seen - 1)
			test_die("page %ld in the ring, after %ld", page, (long)*seen - 1);
	}
	return count;
}

TEST_F(ring, a_full_one_ends_run_until_there_is_room)
{
	struct test_vcpu *vcpu = counting_vcpu(self->vm, 1, 0, NR_PAGES, 1);
	struct ring ring = ring_open(vcpu);
	unsigned long seen = 0, count, fulls = 0;

	while (test_vcpu_run(vcpu) == KVM_EXIT_DIRTY_RING_FULL) {
		fulls++;
		ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL, test_vcpu_run(vcpu));
		count = take_all(&ring, &seen);
		ASSERT_LT(0, count);
		/* Seen is not reset. */
		ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL, test_vcpu_run(vcpu));
		ASSERT_EQ(count, reset_rings(self->vm));
		ASSERT_LT(fulls, 100);
	}
	ASSERT_EQ(KVM_EXIT_IO, vcpu->run->exit_reason);
	take_all(&ring, &seen);
	EXPECT_EQ(NR_PAGES, seen);
	EXPECT_LE(2, fulls);
	/* The other vCPU has its own. */
	test_access_start(self->vcpu);
	test_access_write(self->vcpu, gpa(3), 1);
	EXPECT_EQ(-1, ring_take(&ring));
	EXPECT_EQ(3, ring_take(&self->ring));
	munmap(ring.entries, RING_BYTES);
	test_vcpu_free(vcpu);
}

GUEST_CODE(input_guest,
	   "mov $0x1f0, %edx\n"
	   "mov $64, %ecx\n"
	   "cld\n"
	   "rep insw\n"
	   "outb %al, $0xe1\n");

TEST_F(ring, what_the_host_writes_for_the_guest_counts)
{
	struct test_vcpu *vcpu = test_vcpu_create(self->vm, 1);
	struct ring ring = ring_open(vcpu);
	struct kvm_regs regs;
	bool seen[2] = { 0 };
	long page;

	test_vcpu_long_mode(vcpu, GUEST_BLOB(input_guest));
	test_vcpu_regs(vcpu, &regs);
	regs.rdi = gpa(42) - 64;
	test_vcpu_set_regs(vcpu, &regs);
	while (test_vcpu_run(vcpu) == KVM_EXIT_IO && vcpu->run->io.port == 0x1f0)
		memset((uint8_t *)vcpu->run + vcpu->run->io.data_offset, 0x5a,
		       (size_t)vcpu->run->io.size * vcpu->run->io.count);
	ASSERT_EQ(TEST_PORT_DONE, vcpu->run->io.port);
	while ((page = ring_take(&ring)) >= 0) {
		ASSERT_TRUE(page == 41 || page == 42);
		seen[page - 41] = true;
	}
	EXPECT_TRUE(seen[0] && seen[1]);
	munmap(ring.entries, RING_BYTES);
	test_vcpu_free(vcpu);
}

TEST_F(ring, entries_outlive_their_slot)
{
	for (unsigned int i = 0; i < 10; i++)
		test_access_write(self->vcpu, gpa(2040 - i), 1);
	for (unsigned int i = 0; i < 5; i++)
		EXPECT_EQ(2040 - i, ring_take(&self->ring));
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, 0, 0));
	EXPECT_EQ(5, reset_rings(self->vm));
	/* Another slot of that number, which has not so many pages. */
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, 100, KVM_MEM_LOG_DIRTY_PAGES));
	for (unsigned int i = 5; i < 10; i++)
		EXPECT_EQ(2040 - i, ring_take(&self->ring));
	EXPECT_EQ(5, reset_rings(self->vm));
	test_access_write(self->vcpu, gpa(50), 1);
	EXPECT_EQ(50, ring_take(&self->ring));
	/* Logging ends with an entry on its way, and begins again. */
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, 100, 0));
	EXPECT_EQ(1, reset_rings(self->vm));
	test_access_write(self->vcpu, gpa(50), 2);
	EXPECT_EQ(-1, ring_take(&self->ring));
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, 100, KVM_MEM_LOG_DIRTY_PAGES));
	test_access_write(self->vcpu, gpa(50), 3);
	EXPECT_EQ(50, ring_take(&self->ring));
	EXPECT_EQ(1, reset_rings(self->vm));
}

struct counter {
	struct test_vcpu *vcpu;
	bool done;
};

/* RUN until the guest is done, whatever the ring says. */
static void *run_thread(void *data)
{
	struct counter *counter = data;

	while (!ioctl(counter->vcpu->fd, KVM_RUN, 0) &&
	       counter->vcpu->run->exit_reason == KVM_EXIT_DIRTY_RING_FULL)
		usleep(100);
	__atomic_store_n(&counter->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* What a migration does: takes entries, resets, copies the pages they name. */
static unsigned long copy_round(struct test_vm *vm, struct ring *rings, unsigned int nr,
				const uint8_t *memory, uint8_t *copy)
{
	static long pages[2 * RING_ENTRIES];
	unsigned long count = 0;

	for (unsigned int i = 0; i < nr; i++)
		while (count < 2 * RING_ENTRIES && (pages[count] = ring_take(&rings[i])) >= 0)
			count++;
	reset_rings(vm);
	for (unsigned long i = 0; i < count; i++)
		memcpy(copy + pages[i] * PAGE, memory + pages[i] * PAGE, PAGE);
	return count;
}

TEST_F(ring, a_copy_taken_under_two_running_vcpus_is_whole)
{
	uint8_t *copy = calloc(NR_PAGES, PAGE);
	struct counter counters[2];
	struct ring rings[2];
	pthread_t threads[2];

	ASSERT_NE(NULL, copy);
	/* They share the pages in the middle. */
	for (unsigned int i = 0; i < 2; i++) {
		counters[i] = (struct counter){
			counting_vcpu(self->vm, i + 1, i * 600, 1200 + i * 600, 8),
		};
		rings[i] = ring_open(counters[i].vcpu);
	}
	for (unsigned int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, run_thread, &counters[i]));
	while (!__atomic_load_n(&counters[0].done, __ATOMIC_ACQUIRE) ||
	       !__atomic_load_n(&counters[1].done, __ATOMIC_ACQUIRE)) {
		copy_round(self->vm, rings, 2, self->memory, copy);
		usleep(200);
	}
	for (unsigned int i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		ASSERT_EQ(KVM_EXIT_IO, counters[i].vcpu->run->exit_reason);
	}
	while (copy_round(self->vm, rings, 2, self->memory, copy))
		;
	EXPECT_EQ(8, *(uint64_t *)self->memory);
	EXPECT_EQ(8, *(uint64_t *)(self->memory + 1799 * PAGE));
	EXPECT_EQ(0, memcmp(copy, self->memory, NR_PAGES * PAGE));
	for (unsigned int i = 0; i < 2; i++) {
		munmap(rings[i].entries, RING_BYTES);
		test_vcpu_free(counters[i].vcpu);
	}
	free(copy);
}

/* A VMM out of its mind: every field of every entry, all the time, from another thread. */
static void *scribble_thread(void *data)
{
	struct counter *counter = data;
	struct ring ring = ring_open(counter->vcpu);
	uint64_t seed = 88172645463325252ull;

	while (!__atomic_load_n(&counter->done, __ATOMIC_ACQUIRE)) {
		for (unsigned int i = 0; i < RING_ENTRIES; i++) {
			struct kvm_dirty_gfn *entry = &ring.entries[i];

			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			__atomic_store_n(&entry->slot, seed & 1 ? SLOT : seed >> 8,
					 __ATOMIC_RELAXED);
			__atomic_store_n(&entry->offset, seed & 2 ? seed : seed >> 52,
					 __ATOMIC_RELAXED);
			__atomic_store_n(&entry->flags, seed >> 30, __ATOMIC_RELAXED);
		}
		ioctl(counter->vcpu->vm->fd, KVM_RESET_DIRTY_RINGS, 0);
	}
	munmap(ring.entries, RING_BYTES);
	return NULL;
}

TEST_F(ring, nonsense_in_it_harms_nobody_else)
{
	struct counter counter;
	pthread_t runner, scribbler;

	/* KVM counts on past what it has written when told that it was seen. */
	if (test_on_kvm())
		SKIP(return, "KVM's rings stay full after this");
	counter = (struct counter){ counting_vcpu(self->vm, 1, 0, NR_PAGES, 4) };
	ASSERT_EQ(0, pthread_create(&scribbler, NULL, scribble_thread, &counter));
	ASSERT_EQ(0, pthread_create(&runner, NULL, run_thread, &counter));
	for (unsigned int i = 0; i < 20; i++) {
		ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, NR_PAGES,
				      i & 1 ? KVM_MEM_LOG_DIRTY_PAGES : 0));
		usleep(500);
	}
	ASSERT_EQ(0, pthread_join(runner, NULL));
	ASSERT_EQ(0, pthread_join(scribbler, NULL));
	ASSERT_EQ(KVM_EXIT_IO, counter.vcpu->run->exit_reason);
	EXPECT_EQ(4, *(uint64_t *)self->memory);
	/* The other ring is as it was, once what the lost entries stand for is forgotten. */
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, NR_PAGES, 0));
	ASSERT_EQ(0, set_slot(self->vm, SLOT_GPA, self->memory, NR_PAGES,
			      KVM_MEM_LOG_DIRTY_PAGES));
	test_access_start(self->vcpu);
	test_access_write(self->vcpu, gpa(9), 1);
	EXPECT_EQ(9, ring_take(&self->ring));
	EXPECT_EQ(1, reset_rings(self->vm));
	test_vcpu_free(counter.vcpu);
}

/* The VMM has memory written for the guest, in a page each, and lets no RUN make room. */
TEST_F(ring, what_finds_no_room_is_counted)
{
	unsigned long page, taken = 0;

	if (test_on_kvm())
		SKIP(return, "KVM does not count it");
	for (page = 0; page < RING_ENTRIES; page++)
		ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_WALL_CLOCK_NEW, gpa(page)));
	EXPECT_EQ(0, test_counter(self->vcpu, "dirty_ring_dropped", 0));
	ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_WALL_CLOCK_NEW, gpa(page)));
	EXPECT_LT(0, test_counter(self->vcpu, "dirty_ring_dropped", 0));
	while (ring_take(&self->ring) == (long)taken)
		taken++;
	EXPECT_EQ(RING_ENTRIES, taken);
}

/* All that a VMM has when it is killed: a full ring, a running vCPU, a reset under way. */
TEST_F(ring, a_vmm_can_die_with_it)
{
	for (unsigned int round = 0; round < 3; round++) {
		pid_t pid = fork();
		int status;

		ASSERT_LE(0, pid);
		if (!pid) {
			struct test_vm *vm = test_vm_create();
			struct counter counter;
			pthread_t thread;

			if (enable_ring(vm, KVM_CAP_DIRTY_LOG_RING, RING_BYTES))
				_exit(1);
			counter = (struct counter){ counting_vcpu(vm, 0, 0, NR_PAGES, 1ul << 40) };
			if (set_slot(vm, SLOT_GPA, self->memory, NR_PAGES,
				     KVM_MEM_LOG_DIRTY_PAGES) ||
			    pthread_create(&thread, NULL, run_thread, &counter))
				_exit(1);
			for (struct ring ring = ring_open(counter.vcpu);; reset_rings(vm))
				while (ring_take(&ring) >= 0)
					;
		}
		usleep(20000 + round * 7000);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
	}
}

TEST_HARNESS_MAIN
