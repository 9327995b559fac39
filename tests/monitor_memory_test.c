// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory by a monitor: by physical and by virtual address, up to where there is none, logged
 * where it is written, and waited for where it is not there by nobody but who asks.
 *
 * build: -lpthread
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vitrine.h>

#include "kselftest_harness.h"
#include "lib/monitor.h"
#include "lib/reach.h"
#include "lib/vm.h"

#define PAGE		4096u
#define VIRTUAL		VITRINE_MEMORY_VIRTUAL
#define MAX		VITRINE_MEMORY_MAX_BYTES
#define SLOT_GPA	0x10000000ull
#define HIGH_HALF	0xffff800000000000ull
#define WAIT_MS		20000
#define RING_BYTES	16384u
#define RING_ENTRIES	(RING_BYTES / sizeof(struct kvm_dirty_gfn))

GUEST_CODE(guest_count, "sti\n1: incq 0x10000\nxor %eax, %eax\ncpuid\njmp 1b\n");
GUEST_CODE32(guest_sync32, "1: " GUEST_SYNC "jmp 1b\n");

FIXTURE(memory) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	int fd;			/* may write */
	int observer;
	uint8_t *data;		/* 2 * MAX of the tool's */
};

FIXTURE_SETUP(memory)
{
	if (test_on_kvm())
		SKIP(TEST_NOT_AT_ALL, "KVM has no monitors");
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_count));
	self->fd = test_attach(self->vm->dev_fd, test_vm_id(self->vm), VITRINE_ATTACH_CONTROL);
	self->observer = test_attach(self->vm->dev_fd, test_vm_id(self->vm), 0);
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->observer);
	self->data = calloc(2, MAX);
	ASSERT_NE(NULL, self->data);
	test_ignore_by_handler(SIGUSR1);
}

FIXTURE_TEARDOWN(memory)
{
	free(self->data);
	close(self->fd);
	close(self->observer);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

static void fill(uint8_t *data, size_t bytes, unsigned int seed)
{
	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(i * 7 + i / 251 + seed);
}

TEST_F(memory, by_physical_address)
{
	uint8_t *memory = test_vm_hva(self->vm, 0);

	fill(memory + TEST_FREE_GPA, MAX, 1);
	ASSERT_EQ(MAX, test_read_memory(self->observer, TEST_FREE_GPA, self->data, MAX, 0));
	EXPECT_EQ(0, memcmp(memory + TEST_FREE_GPA, self->data, MAX));
	/* Wherever it begins and ends. */
	fill(self->data, MAX, 2);
	ASSERT_EQ(3 * PAGE + 2, test_write_memory(self->fd, TEST_FREE_GPA + PAGE - 1, self->data,
						  3 * PAGE + 2, 0));
	EXPECT_EQ(0, memcmp(memory + TEST_FREE_GPA + PAGE - 1, self->data, 3 * PAGE + 2));
	EXPECT_EQ((uint8_t)((PAGE - 2) * 7 + (PAGE - 2) / 251 + 1),
		  memory[TEST_FREE_GPA + PAGE - 2]);
	EXPECT_EQ(0, test_read_memory(self->observer, TEST_FREE_GPA, self->data, 0, 0));
	EXPECT_EQ(1, test_read_memory(self->observer, 0, self->data, 1, 0));
}

TEST_F(memory, bad_requests)
{
	struct vitrine_memory memory = { .data = (uintptr_t)self->data, .bytes = 1, .reserved = 1 };

	EXPECT_EQ(-EPERM, test_write_memory(self->observer, 0x1000, self->data, 1, 0));
	EXPECT_EQ(-EINVAL, test_read_memory(self->fd, 0, self->data, MAX + 1, 0));
	EXPECT_EQ(-EINVAL, test_read_memory(self->fd, 0, self->data, 1, 2));
	EXPECT_EQ(-EINVAL, test_read_memory(self->fd, ~0ull, self->data, 2, 0));
	EXPECT_EQ(-EINVAL, test_write_memory(self->fd, ~0ull - 10, self->data, 12, VIRTUAL));
	EXPECT_EQ(-EFAULT, test_read_memory(self->fd, ~0ull, self->data, 1, 0));
	EXPECT_EQ(-EFAULT, test_read_memory(self->fd, 0, NULL, 1, 0));
	EXPECT_EQ(-EFAULT, test_write_memory(self->fd, 0x1000, NULL, 1, 0));
	EXPECT_EQ(-1, ioctl(self->fd, VITRINE_READ_MEMORY, &memory));
	EXPECT_EQ(EINVAL, errno);
	memory.reserved = 0;
	memory.flags = VIRTUAL;
	memory.vcpu = 1;
	EXPECT_EQ(-1, ioctl(self->fd, VITRINE_READ_MEMORY, &memory));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(-1, ioctl(self->fd, VITRINE_READ_MEMORY, NULL));
	EXPECT_EQ(EFAULT, errno);
}

TEST_F(memory, holes_and_read_only_slots)
{
	static uint8_t rom[2 * PAGE] __attribute__((aligned(PAGE)));

	test_vm_add_memory(self->vm, 1, SLOT_GPA, rom, PAGE, KVM_MEM_READONLY);
	test_vm_add_memory(self->vm, 2, SLOT_GPA - PAGE, rom + PAGE, PAGE, 0);
	/* The end of memory. */
	EXPECT_EQ(100, test_read_memory(self->fd, TEST_MEMORY_BYTES - 100, self->data, MAX, 0));
	EXPECT_EQ(100, test_write_memory(self->fd, TEST_MEMORY_BYTES - 100, self->data, MAX, 0));
	EXPECT_EQ(-EFAULT, test_read_memory(self->fd, TEST_MEMORY_BYTES, self->data, 1, 0));
	EXPECT_EQ(-EFAULT, test_write_memory(self->fd, TEST_MEMORY_BYTES, self->data, 1, 0));
	/* ROM can be read. */
	rom[5] = 0x55;
	EXPECT_EQ(PAGE, test_read_memory(self->fd, SLOT_GPA, self->data, 2 * PAGE, 0));
	EXPECT_EQ(0x55, self->data[5]);
	fill(self->data, 2 * PAGE, 3);
	EXPECT_EQ(-EFAULT, test_write_memory(self->fd, SLOT_GPA, self->data, PAGE, 0));
	EXPECT_EQ(16, test_write_memory(self->fd, SLOT_GPA - 16, self->data, 32, 0));
	EXPECT_EQ(0, memcmp(rom + 2 * PAGE - 16, self->data, 16));
	EXPECT_EQ(0, rom[0]);
	EXPECT_EQ(0x55, rom[5]);
	/* A slot without memory behind it. */
	munmap(rom, PAGE);
	EXPECT_EQ(-EFAULT, test_read_memory(self->fd, SLOT_GPA, self->data, 1, 0));
	ASSERT_NE(MAP_FAILED, mmap(rom, PAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
}

TEST_F(memory, by_virtual_address)
{
	uint64_t *pml4 = test_vm_hva(self->vm, TEST_PML4_GPA);
	uint64_t *directory = test_vm_hva(self->vm, TEST_PML4_GPA + 0x2000);
	uint8_t *memory = test_vm_hva(self->vm, 0);
	uint64_t before;

	pml4[256] = pml4[0];
	fill(memory + TEST_FREE_GPA, MAX, 4);
	directory[0] &= ~0x60ull;
	directory[1] &= ~0x60ull;
	before = directory[0];
	ASSERT_EQ(MAX, test_read_memory(self->observer, HIGH_HALF + TEST_FREE_GPA, self->data, MAX,
					VIRTUAL));
	EXPECT_EQ(0, memcmp(memory + TEST_FREE_GPA, self->data, MAX));
	ASSERT_EQ(8, test_write_memory(self->fd, HIGH_HALF + TEST_FREE_GPA, "virtual", 8, VIRTUAL));
	EXPECT_EQ(0, memcmp(memory + TEST_FREE_GPA, "virtual", 8));
	/* Nobody was there. */
	EXPECT_EQ(before, directory[0]);
	/* Not canonical; not mapped; mapped to nothing; from something to nothing. */
	EXPECT_EQ(-EFAULT, test_read_memory(self->fd, 1ull << 47, self->data, 1, VIRTUAL));
	EXPECT_EQ(-EFAULT, test_read_memory(self->fd, 1ull << 40, self->data, 1, VIRTUAL));
	EXPECT_EQ(-EFAULT, test_read_memory(self->fd, 0x80000000, self->data, 1, VIRTUAL));
	EXPECT_EQ(7, test_read_memory(self->fd, TEST_MEMORY_BYTES - 7, self->data, 8, VIRTUAL));
	/* A page that is read-only to the guest is none to a debugger. */
	directory[0] &= ~2ull;
	EXPECT_EQ(1, test_write_memory(self->fd, TEST_FREE_GPA, "V", 1, VIRTUAL));
	EXPECT_EQ('V', memory[TEST_FREE_GPA]);
	directory[0] &= ~1ull;
	EXPECT_EQ(-EFAULT, test_read_memory(self->fd, TEST_FREE_GPA, self->data, 1, VIRTUAL));
}

TEST_F(memory, without_paging_and_with_pae)
{
	uint64_t *pointers = test_vm_hva(self->vm, TEST_DATA_GPA);
	uint64_t *directory = test_vm_hva(self->vm, TEST_PML4_GPA + 0x3000);
	struct vitrine_regs regs;

	memcpy(test_vm_hva(self->vm, TEST_FREE_GPA), "paging", 7);
	test_vcpu_protected_mode(self->vcpu, GUEST_BLOB(guest_sync32));
	EXPECT_EQ(7, test_read_memory(self->fd, TEST_FREE_GPA, self->data, 7, VIRTUAL));
	EXPECT_STREQ("paging", (char *)self->data);
	EXPECT_EQ(-EFAULT, test_read_memory(self->fd, 1ull << 32, self->data, 1, VIRTUAL));

	/* The second GiB leads to the first. */
	directory[0] = 0x83;
	ASSERT_EQ(0, test_read_regs(self->fd, 0, &regs));
	regs.system.cr3 = TEST_DATA_GPA;
	regs.system.cr4 |= 0x20;
	regs.system.cr0 |= 0x80000000;
	regs.system.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	for (unsigned int i = 0; i < 2; i++)
		regs.system.pdptrs[i] = (TEST_PML4_GPA + (i + 2) * PAGE) | 1;
	ASSERT_EQ(0, test_write_regs(self->fd, &regs, VITRINE_REGS_SYSTEM));
	/* The registers count, not what is in memory. */
	EXPECT_EQ(0, pointers[0]);
	memset(self->data, 0, 8);
	EXPECT_EQ(7, test_read_memory(self->fd, 0x40000000 + TEST_FREE_GPA, self->data, 7,
				      VIRTUAL));
	EXPECT_STREQ("paging", (char *)self->data);
	EXPECT_EQ(-EFAULT, test_read_memory(self->fd, 0x80000000, self->data, 1, VIRTUAL));
}

/* Another process: what is written there is the VMM's memory, not its own. */
TEST_F(memory, of_another_process)
{
	uint8_t *memory = test_vm_hva(self->vm, TEST_FREE_GPA);
	char text[16] = "";
	int status;
	pid_t child;

	memcpy(memory, "the VMM's", 10);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		memcpy(memory, "a child's", 10);
		if (test_read_memory(self->fd, TEST_FREE_GPA, text, 10, VIRTUAL) != 10 ||
		    strcmp(text, "the VMM's"))
			_exit(1);
		if (test_write_memory(self->fd, TEST_FREE_GPA, "a tool's", 9, VIRTUAL) != 9 ||
		    memcmp(memory, "a child's", 10))
			_exit(2);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, memcmp(memory, "a tool's", 9));
}

TEST_F(memory, of_a_guest_that_runs)
{
	struct test_runner runner;
	uint64_t now, last = 0;

	test_runner_start(&runner, self->vcpu);
	for (unsigned int i = 0; i < 20 || last < 100; i++) {
		ASSERT_EQ(8, test_read_memory(self->observer, TEST_DATA_GPA, &now, 8, VIRTUAL));
		EXPECT_LE(last, now);
		last = now;
		usleep(1000);
	}
	last = 1ull << 40;
	ASSERT_EQ(8, test_write_memory(self->fd, TEST_DATA_GPA, &last, 8, VIRTUAL));
	usleep(20000);
	ASSERT_EQ(8, test_read_memory(self->observer, TEST_DATA_GPA, &now, 8, 0));
	EXPECT_LT(1ull << 40, now);
	EXPECT_EQ(EINTR, test_runner_interrupt(&runner));
}

TEST_F(memory, writes_are_logged)
{
	static uint8_t memory[64 * PAGE] __attribute__((aligned(PAGE)));
	uint64_t bitmap = 0;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bitmap };

	test_vm_add_memory(self->vm, 1, SLOT_GPA, memory, sizeof(memory), KVM_MEM_LOG_DIRTY_PAGES);
	ASSERT_EQ(sizeof(memory), test_read_memory(self->fd, SLOT_GPA, self->data, sizeof(memory),
						   0));
	ASSERT_EQ(2, test_write_memory(self->fd, SLOT_GPA + 8 * PAGE - 1, "xy", 2, 0));
	ASSERT_EQ(1, test_write_memory(self->fd, SLOT_GPA + 63 * PAGE, "z", 1, 0));
	ASSERT_EQ(0, ioctl(self->vm->fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(1ull << 7 | 1ull << 8 | 1ull << 63, bitmap);
}

struct writer {
	int fd;
	uint8_t *data;
};

static int write_512_pages(void *data)
{
	struct writer *writer = data;

	return test_write_memory(writer->fd, SLOT_GPA, writer->data, MAX, 0) != MAX ||
	       test_write_memory(writer->fd, SLOT_GPA + MAX, writer->data, MAX, 0) != MAX;
}

/* A ring that nobody empties is waited for, and loses nothing. */
TEST_F(memory, writes_go_into_the_ring)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { RING_BYTES } };
	struct test_vm *vm = test_vm_create();
	struct kvm_dirty_gfn *entries;
	struct writer writer = { .data = self->data };
	struct test_vcpu *vcpu;
	unsigned int i, nr;
	uint8_t *memory;

	memory = mmap(NULL, 2 * MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)memory);
	ASSERT_EQ(0, ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	test_vm_add_memory(vm, 1, SLOT_GPA, memory, 2 * MAX, KVM_MEM_LOG_DIRTY_PAGES);
	writer.fd = test_attach(vm->dev_fd, test_vm_id(vm), VITRINE_ATTACH_CONTROL);
	ASSERT_LE(0, writer.fd);
	/* Nobody could hear of it. */
	EXPECT_EQ(-EFAULT, test_write_memory(writer.fd, SLOT_GPA, "x", 1, 0));
	vcpu = test_vcpu_create(vm, 0);
	entries = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd,
		       KVM_DIRTY_LOG_PAGE_OFFSET * PAGE);
	ASSERT_NE(MAP_FAILED, (void *)entries);
	memset(self->data, 0x5a, MAX);
	EXPECT_TRUE(test_dies_waiting(write_512_pages, &writer, 300));
	for (nr = 0; nr < RING_ENTRIES && entries[nr].flags & KVM_DIRTY_GFN_F_DIRTY; nr++) {
		EXPECT_EQ(1, entries[nr].slot);
		EXPECT_EQ(nr, entries[nr].offset);
		EXPECT_EQ(0x5a, memory[nr * PAGE]);
		entries[nr].flags = KVM_DIRTY_GFN_F_RESET;
	}
	EXPECT_LT(256, nr);
	EXPECT_GT(512, nr);
	for (i = nr; i < 512; i++)
		EXPECT_EQ(0, memory[i * PAGE]);
	EXPECT_EQ(nr, ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0));
	EXPECT_EQ(1, test_write_memory(writer.fd, SLOT_GPA + 511 * PAGE, "x", 1, 0));
	EXPECT_EQ(511, entries[nr].offset);
	close(writer.fd);
	munmap(entries, RING_BYTES);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
	munmap(memory, 2 * MAX);
}

#define RACE_ROUNDS	20
#define RACE_SLOTS	8

struct spinner {
	int fd;
	atomic_bool stop;
	atomic_uint words;		/* that are written */
	int error;			/* what ended it */
	uint64_t last[RACE_SLOTS];
};

/* One slot after the other, until it is refused: not logged, and nobody to hear of it. */
static void *write_words(void *arg)
{
	struct spinner *spinner = arg;
	int ret = sizeof(uint64_t);
	uint64_t word;

	for (word = 1; !atomic_load(&spinner->stop); word++) {
		ret = test_write_memory(spinner->fd, SLOT_GPA + word % RACE_SLOTS * PAGE, &word,
					sizeof(word), 0);
		if (ret != sizeof(word))
			break;
		spinner->last[word % RACE_SLOTS] = word;
		atomic_fetch_add(&spinner->words, 1);
	}
	spinner->error = ret;
	/* Nobody waits for more of them. */
	atomic_fetch_add(&spinner->words, 2 * RACE_SLOTS);
	return NULL;
}

static void race_with_the_ring(struct __test_metadata *_metadata, uint8_t *memory)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { RING_BYTES } };
	struct test_vm *vm = test_vm_create();
	struct spinner spinner = {};
	pthread_t thread;

	for (unsigned int i = 0; i < RACE_SLOTS; i++)
		test_vm_add_memory(vm, 1 + i, SLOT_GPA + i * PAGE, memory + i * PAGE, PAGE,
				   KVM_MEM_LOG_DIRTY_PAGES);
	spinner.fd = test_attach(vm->dev_fd, test_vm_id(vm), VITRINE_ATTACH_CONTROL);
	ASSERT_LE(0, spinner.fd);
	ASSERT_EQ(0, pthread_create(&thread, NULL, write_words, &spinner));
	while (atomic_load(&spinner.words) < 2 * RACE_SLOTS)
		sched_yield();
	if (ioctl(vm->fd, KVM_ENABLE_CAP, &cap))
		atomic_store(&spinner.stop, true);
	pthread_join(thread, NULL);
	EXPECT_FALSE(atomic_load(&spinner.stop));
	EXPECT_EQ(-EFAULT, spinner.error);
	for (unsigned int i = 0; i < RACE_SLOTS; i++)
		EXPECT_EQ(0, memcmp(memory + i * PAGE, &spinner.last[i], sizeof(uint64_t)));
	close(spinner.fd);
	test_vm_free(vm);
}

/* The bitmaps go while somebody marks in them, whom no vCPU's absence keeps away. */
TEST(writes_while_the_ring_takes_the_bitmaps_place)
{
	static uint8_t memory[RACE_SLOTS * PAGE] __attribute__((aligned(PAGE)));

	if (test_on_kvm())
		SKIP(return, "KVM has no monitors");
	for (unsigned int i = 0; i < RACE_ROUNDS; i++)
		race_with_the_ring(_metadata, memory);
}

static int read_waiting(void *data)
{
	uint8_t byte;

	return test_read_memory(*(int *)data, SLOT_GPA, &byte, 1, 0);
}

static int write_waiting(void *data)
{
	return test_write_memory(*(int *)data, SLOT_GPA, "", 1, 0);
}

TEST_F(memory, that_is_not_there_yet)
{
	static uint8_t memory[PAGE] __attribute__((aligned(PAGE)));
	static uint8_t other[PAGE] __attribute__((aligned(PAGE)));
	struct vitrine_regs regs;
	struct test_pager pager;
	pid_t child;
	int status;

	if (!test_pager_create(&pager, memory, PAGE))
		SKIP(return, "no userfaultfd in this kernel");
	test_vm_add_memory(self->vm, 1, SLOT_GPA, memory, PAGE, 0);
	EXPECT_TRUE(test_dies_waiting(read_waiting, &self->observer, 100));
	EXPECT_TRUE(test_dies_waiting(write_waiting, &self->fd, 100));
	/* One waits; the VMM and other monitors do not. */
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(read_waiting(&self->observer) != 1);
	ASSERT_TRUE(test_pager_wait(&pager, WAIT_MS));
	test_vm_add_memory(self->vm, 2, SLOT_GPA + PAGE, other, PAGE, 0);
	EXPECT_EQ(1, test_read_memory(self->fd, SLOT_GPA + PAGE, self->data, 1, 0));
	EXPECT_EQ(0, test_read_regs(self->fd, 0, &regs));
	EXPECT_EQ(0, waitpid(child, &status, WNOHANG));
	test_pager_end(&pager);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

/* Its VMM, the only one who could bring the memory, is killed meanwhile. */
TEST_F(memory, of_a_vmm_that_is_killed)
{
	int pipe_fd[2], status, fd, ret;
	uint64_t id;
	pid_t child;

	ASSERT_EQ(0, pipe(pipe_fd));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		static uint8_t memory[PAGE] __attribute__((aligned(PAGE)));
		struct test_vm *vm = test_vm_create();
		struct test_pager pager;

		id = test_pager_create(&pager, memory, PAGE) ? test_vm_id(vm) : 0;
		if (id)
			test_vm_add_memory(vm, 1, SLOT_GPA, memory, PAGE, 0);
		ret = write(pipe_fd[1], &id, sizeof(id)) != sizeof(id);
		if (!ret && id && test_pager_wait(&pager, WAIT_MS))
			kill(getpid(), SIGKILL);
		_exit(ret);
	}
	ASSERT_EQ(sizeof(id), read(pipe_fd[0], &id, sizeof(id)));
	if (id) {
		fd = test_attach(self->vm->dev_fd, id, 0);
		ASSERT_LE(0, fd);
		ret = read_waiting(&fd);
		/* Its address space is gone, or what it made others wait for is. */
		EXPECT_TRUE(ret == 1 || ret == -EFAULT || ret == -ESRCH)
			TH_LOG("%d", ret);
		EXPECT_EQ(-ESRCH, test_read_memory(fd, 0x1000, self->data, 1, 0));
		close(fd);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	if (id)
		EXPECT_TRUE(WIFSIGNALED(status));
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

TEST_HARNESS_MAIN
