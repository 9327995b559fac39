// SPDX-License-Identifier: GPL-2.0
/*
 * Several vCPUs count in the same pages while the host takes the pages away, protects, copies,
 * merges and logs them. No count may be lost, and no copy may change. Seeded: SEED in the
 * environment, 1 unless given; LONG runs longer.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/access.h"
#include "lib/host.h"
#include "lib/vm.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25		/* newer than the C library */
#endif

#define PAGE		4096ul
#define LARGE		(2ul << 20)
#define SLOT		1
#define SLOT_GPA	0x40000000ul
#define NR_PAGES	1024ul
#define NR_VCPUS	3

/* Counts up in every page, at the vCPU's own place, as many rounds as %rcx says. */
GUEST_CODE(racing_guest,
	   "1: mov %rdi, %rbx\n"
	   "2: incq (%rbx)\n"
	   "add $4096, %rbx\n"
	   "cmp %rsi, %rbx\n"
	   "jb 2b\n"
	   "dec %rcx\n"
	   "jnz 1b\n"
	   "outb %al, $0xe1\n");

struct racer {
	struct test_vcpu *vcpu;
	pthread_t thread;
	unsigned long faults;		/* times the host's protection stopped it */
	int error;
};

struct race {
	struct test_vm *vm;
	uint8_t *memory;
	struct racer racers[NR_VCPUS];
	unsigned int seed;
};

static void *racer_thread(void *data)
{
	struct racer *racer = data;
	struct kvm_run *run = racer->vcpu->run;

	for (;;) {
		if (!ioctl(racer->vcpu->fd, KVM_RUN, 0)) {
			racer->error = run->exit_reason == KVM_EXIT_IO &&
						       run->io.port == TEST_PORT_DONE ?
					       0 :
					       (int)run->exit_reason;
			return NULL;
		}
		if (errno == EFAULT)
			racer->faults++;
		else if (errno != EINTR && errno != EAGAIN)
			break;
		sched_yield();
	}
	racer->error = -errno;
	return NULL;
}

/* The sum of all counts, each weighted by its page. */
static uint64_t sum_up(const uint8_t *memory)
{
	uint64_t sum = 0;

	for (unsigned long page = 0; page < NR_PAGES; page++) {
		const uint64_t *counts = (const uint64_t *)(memory + page * PAGE);

		for (unsigned int i = 0; i < NR_VCPUS; i++)
			sum += __atomic_load_n(&counts[i], __ATOMIC_RELAXED) * (page + 1);
	}
	return sum;
}

/* A child's copy must not move while the guest goes on. */
static bool fork_and_look(const uint8_t *memory)
{
	int status;
	pid_t child = fork();

	if (!child)
		_exit(sum_up(memory) != sum_up(memory));
	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

static void set_logging(struct race *race, bool on)
{
	test_vm_add_memory(race->vm, SLOT, SLOT_GPA, race->memory, NR_PAGES * PAGE,
			   on ? KVM_MEM_LOG_DIRTY_PAGES : 0);
}

/* One thing that a host does; false if it went wrong. */
static bool disturb(struct race *race)
{
	unsigned long first = rand_r(&race->seed) % NR_PAGES;
	unsigned long bytes = (1 + rand_r(&race->seed) % (NR_PAGES - first)) * PAGE;
	uint64_t bitmap[NR_PAGES / 64];
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = bitmap };
	uint8_t *start = race->memory + first * PAGE;

	switch (rand_r(&race->seed) % 9) {
	case 0:
		return !mprotect(start, bytes, PROT_READ) &&
		       !mprotect(start, bytes, PROT_READ | PROT_WRITE);
	case 1:
		return !mprotect(start, bytes, PROT_NONE) &&
		       !mprotect(start, bytes, PROT_READ | PROT_WRITE);
	case 2:
		return fork_and_look(race->memory);
	case 3:
		madvise(race->memory, NR_PAGES * PAGE, MADV_HUGEPAGE);
		madvise(race->memory, NR_PAGES * PAGE, MADV_COLLAPSE);
		return true;
	case 4:
		return !host_write("/proc/sys/vm/drop_caches", "2");
	case 5:
		set_logging(race, true);
		return true;
	case 6:
		set_logging(race, false);
		return true;
	case 7:
		return !ioctl(race->vm->fd, KVM_GET_DIRTY_LOG, &log) || errno == ENOENT;
	default:
		madvise(start, bytes, MADV_COLD);
		madvise(start, bytes, MADV_PAGEOUT);
		return true;
	}
}

static void racer_start(struct __test_metadata *_metadata, struct race *race, unsigned int id,
			uint64_t rounds)
{
	struct racer *racer = &race->racers[id];
	struct kvm_regs regs;

	racer->vcpu = test_vcpu_create(race->vm, id);
	/* They share code and page tables; none of them pushes anything. */
	test_vcpu_long_mode(racer->vcpu, GUEST_BLOB(racing_guest));
	test_vcpu_regs(racer->vcpu, &regs);
	regs.rdi = SLOT_GPA + 8 * id;
	regs.rsi = SLOT_GPA + NR_PAGES * PAGE;
	regs.rcx = rounds;
	/* Or the emulated CPU takes no interrupt of the host's. */
	regs.rflags |= 0x200;
	test_vcpu_set_regs(racer->vcpu, &regs);
	ASSERT_EQ(0, pthread_create(&racer->thread, NULL, racer_thread, racer));
}

TEST(no_count_is_lost)
{
	const char *seed = getenv("SEED");
	unsigned int disturbances = getenv("LONG") ? 3000 : 60, lost = 0;
	uint64_t rounds = getenv("LONG") ? 5000 : 150;
	struct race race = { .seed = seed ? atoi(seed) : 1 };
	uint8_t *area =
		mmap(NULL, 3 * LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)area);
	TH_LOG("seed %u", race.seed);
	host_write("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	race.memory = (uint8_t *)(((uintptr_t)area + LARGE - 1) & ~(LARGE - 1));
	race.vm = test_vm_create();
	set_logging(&race, false);
	for (unsigned int i = 0; i < NR_VCPUS; i++)
		racer_start(_metadata, &race, i, rounds);
	for (unsigned int i = 0; i < disturbances; i++)
		ASSERT_TRUE(disturb(&race));
	for (unsigned int i = 0; i < NR_VCPUS; i++) {
		ASSERT_EQ(0, pthread_join(race.racers[i].thread, NULL));
		EXPECT_EQ(0, race.racers[i].error);
	}
	for (unsigned long page = 0; page < NR_PAGES; page++) {
		const uint64_t *counts = (const uint64_t *)(race.memory + page * PAGE);

		for (unsigned int i = 0; i < NR_VCPUS; i++)
			lost += counts[i] != rounds;
	}
	EXPECT_EQ(0, lost);
	for (unsigned int i = 0; i < NR_VCPUS; i++)
		test_vcpu_free(race.racers[i].vcpu);
	test_vm_free(race.vm);
}

TEST_HARNESS_MAIN
