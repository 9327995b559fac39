// SPDX-License-Identifier: GPL-2.0
/*
 * Rings of exit records: what a record says of an exit, filters, both ways of being full, readers
 * that write what they should not, and what recording costs.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/host.h"
#include "lib/monitor.h"

#define NR_RECORDS	16
#define NOBODY		65534
#define ROUNDS		40	/* guest_cpuids: so many exits and the one that ends it */
#define BIT64(nr)	(1ull << (nr))

FIXTURE(ring) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	uint64_t id;
	int fd;
};

FIXTURE_SETUP(ring)
{
	if (test_on_kvm())
		SKIP(TEST_NOT_AT_ALL, "KVM has no monitors");
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 7);
	test_vcpu_set_supported_cpuid(self->vcpu);
	self->id = test_vm_id(self->vm);
	self->fd = test_attach(self->vm->dev_fd, self->id, 0);
	if (self->fd < 0)
		test_die("attaching: %d", self->fd);
}

FIXTURE_TEARDOWN(ring)
{
	close(self->fd);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

GUEST_CODE(guest_facts,
	   "mov $0x1111, %ebx\nmov $0x2222, %edx\nmov $0x3333, %esi\nmov $0x4444, %edi\n"
	   "mov $0x8888, %r8d\nmov $0xffff, %r15d\n"
	   "xor %eax, %eax\nxor %ecx, %ecx\n"
	   "0: cpuid\n"
	   "mov $0x5a, %al\n"
	   "1: " GUEST_SYNC
	   "mov 0x300000, %rax\n"
	   "2: " GUEST_SYNC);

/* RDI: rounds */
GUEST_CODE(guest_cpuids,
	   "1: xor %eax, %eax\nxor %ecx, %ecx\ncpuid\n"
	   "dec %rdi\njnz 1b\n" GUEST_SYNC
	   "mov $40, %edi\njmp 1b\n");

static void run_cpuids(struct test_vcpu *vcpu, unsigned int rounds)
{
	struct kvm_regs regs;

	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_cpuids));
	test_vcpu_regs(vcpu, &regs);
	regs.rdi = rounds;
	test_vcpu_set_regs(vcpu, &regs);
	test_vcpu_run_to_sync(vcpu);
}

/* Of the first record with that reason; ends the test if there is none. */
static const struct vitrine_record *find(const struct test_ring *ring, uint32_t reason)
{
	for (uint64_t i = 0; i < ring->header->head; i++)
		if (test_ring_record(ring, i)->reason == reason)
			return test_ring_record(ring, i);
	test_die("no record of reason %u", reason);
	return NULL;
}

TEST_F(ring, what_a_record_says)
{
	const struct vitrine_record *cpuid, *io, *ept;
	struct vitrine_ring_state state;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct test_ring ring;

	test_ring_open(&ring, self->fd, 0, 64, VITRINE_RING_INSN);
	EXPECT_EQ(7, ring.config.vcpu_id);
	EXPECT_EQ(VITRINE_RECORD_BYTES, ring.header->record_bytes);
	EXPECT_EQ(64, ring.header->nr_records);
	EXPECT_EQ(VITRINE_RING_INSN, ring.header->flags);
	EXPECT_EQ(7, ring.header->vcpu_id);
	EXPECT_EQ(0, ring.header->head);

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_facts));
	test_vcpu_sregs(self->vcpu, &sregs);
	test_vcpu_regs(self->vcpu, &regs);
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_run_to_sync(self->vcpu);
	test_ring_state(self->fd, 0, &state);
	EXPECT_EQ(state.head, ring.header->head);
	EXPECT_EQ(0, state.lost);

	cpuid = find(&ring, TEST_REASON_CPUID);
	EXPECT_LT(regs.rip, cpuid->rip);
	EXPECT_EQ(0, cpuid->code_base);
	EXPECT_EQ(regs.rsp, cpuid->regs[4]);
	EXPECT_EQ(sregs.cr3, cpuid->cr3);
	EXPECT_EQ(0, cpuid->regs[0]);
	EXPECT_EQ(0, cpuid->regs[1]);
	EXPECT_EQ(0x2222, cpuid->regs[2]);
	EXPECT_EQ(0x1111, cpuid->regs[3]);
	EXPECT_EQ(0x3333, cpuid->regs[6]);
	EXPECT_EQ(0x4444, cpuid->regs[7]);
	EXPECT_EQ(0x8888, cpuid->regs[8]);
	EXPECT_EQ(0xffff, cpuid->regs[15]);
	EXPECT_EQ(VITRINE_RECORD_64BIT, cpuid->mode);
	EXPECT_EQ(0, cpuid->cpl);
	EXPECT_EQ(2, cpuid->insn_len);
	EXPECT_EQ(15, cpuid->nr_insn);
	EXPECT_EQ(0, memcmp(cpuid->insn, "\x0f\xa2\xb0\x5a", 4));
	EXPECT_EQ(1, cpuid->result);
	EXPECT_GT(cpuid->exit_tsc, cpuid->entry_tsc);
	EXPECT_GT(cpuid->handler_ticks, 0);
	EXPECT_LT(cpuid->handler_ticks, 1000000);

	io = find(&ring, TEST_REASON_IO);
	EXPECT_EQ(cpuid->rip + 4, io->rip);
	EXPECT_EQ(0, io->result);
	EXPECT_EQ(TEST_PORT_SYNC, io->qualification >> 16);
	/* What CPUID put there, but for AL. */
	EXPECT_EQ(0x5a, io->regs[0] & 0xff);
	EXPECT_GT(io->entry_tsc, cpuid->exit_tsc);

	ept = test_ring_record(&ring, ring.header->head - 2);
	EXPECT_EQ(48, ept->reason);
	EXPECT_EQ(0x300000, ept->gpa);
	EXPECT_EQ(0, ept->insn_len);
	EXPECT_EQ(1, ept->qualification & 7);
	for (uint64_t i = 0; i < ring.header->head; i++)
		EXPECT_EQ(i + 1, test_ring_record(&ring, i)->seq);
	test_ring_close(&ring);
}

TEST_F(ring, filter)
{
	struct vitrine_ring_state state;
	struct test_ring ring;
	int other = test_attach(self->vm->dev_fd, self->id, 0);

	ASSERT_LE(0, other);
	test_ring_open(&ring, self->fd, 0, 64, 0);
	ASSERT_EQ(0, test_ring_filter(self->fd, 0, BIT64(TEST_REASON_IO), 0));
	run_cpuids(self->vcpu, ROUNDS);
	EXPECT_EQ(1, ring.header->head);
	EXPECT_EQ(TEST_REASON_IO, test_ring_record(&ring, 0)->reason);
	EXPECT_EQ(0, test_ring_record(&ring, 0)->nr_insn);
	/* Another monitor's ring is another one. */
	EXPECT_EQ(-ENOENT, test_ring_filter(other, 0, ~0ull, ~0ull));
	ASSERT_EQ(0, test_ring_filter(self->fd, 0, 0, ~0ull));
	test_vcpu_run_to_sync(self->vcpu);
	EXPECT_EQ(1, ring.header->head);
	ASSERT_EQ(0, test_ring_filter(self->fd, 0, BIT64(TEST_REASON_CPUID), 0));
	test_vcpu_run_to_sync(self->vcpu);
	EXPECT_EQ(1 + ROUNDS, ring.header->head);
	test_ring_state(self->fd, 0, &state);
	EXPECT_EQ(1 + ROUNDS, state.head);
	test_ring_close(&ring);
	close(other);
}

TEST_F(ring, full_and_stops)
{
	struct test_ring ring, second;
	int other = test_attach(self->vm->dev_fd, self->id, 0);

	ASSERT_LE(0, other);
	test_ring_open(&ring, self->fd, 0, NR_RECORDS, VITRINE_RING_STOP);
	test_ring_open(&second, other, 0, 64, VITRINE_RING_STOP);
	ASSERT_EQ(0, test_ring_filter(self->fd, 0, BIT64(TEST_REASON_CPUID), 0));
	ASSERT_EQ(0, test_ring_filter(other, 0, BIT64(TEST_REASON_CPUID), 0));
	run_cpuids(self->vcpu, ROUNDS);
	EXPECT_EQ(NR_RECORDS, ring.header->head);
	EXPECT_EQ(ROUNDS - NR_RECORDS, ring.header->lost);
	EXPECT_EQ(1, test_ring_record(&ring, 0)->seq);
	EXPECT_EQ(ROUNDS, second.header->head);
	EXPECT_EQ(0, second.header->lost);
	/* Room for three. */
	atomic_store((_Atomic uint64_t *)&ring.header->tail, 3);
	test_vcpu_run_to_sync(self->vcpu);
	EXPECT_EQ(NR_RECORDS + 3, ring.header->head);
	EXPECT_EQ(2 * ROUNDS - NR_RECORDS - 3, ring.header->lost);
	EXPECT_EQ(NR_RECORDS + 3, test_ring_record(&ring, 2)->seq);
	EXPECT_EQ(4, test_ring_record(&ring, 3)->seq);
	test_ring_close(&ring);
	test_ring_close(&second);
	close(other);
}

TEST_F(ring, full_and_goes_on)
{
	struct test_ring ring;

	test_ring_open(&ring, self->fd, 0, NR_RECORDS, 0);
	ASSERT_EQ(0, test_ring_filter(self->fd, 0, BIT64(TEST_REASON_CPUID), 0));
	run_cpuids(self->vcpu, ROUNDS);
	EXPECT_EQ(ROUNDS, ring.header->head);
	EXPECT_EQ(0, ring.header->lost);
	/* The last ones, in order: the guest's count goes down. */
	for (uint64_t i = ROUNDS - NR_RECORDS; i < ROUNDS; i++) {
		EXPECT_EQ(i + 1, test_ring_record(&ring, i)->seq);
		EXPECT_EQ(ROUNDS - i, test_ring_record(&ring, i)->regs[7]);
	}
	test_ring_close(&ring);
}

TEST_F(ring, wakes_who_polls)
{
	struct vitrine_ring_config config = { .nr_records = 64, .wakeup = 8,
					      .reasons = { BIT64(TEST_REASON_CPUID) } };
	struct pollfd poll_fd = { .fd = self->fd, .events = POLLIN };
	struct vitrine_ring_header *header;
	pid_t child;
	int status;

	EXPECT_EQ(0, poll(&poll_fd, 1, 0));
	ASSERT_EQ(0, test_ring_create(self->fd, &config));
	header = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
		      config.map_offset);
	ASSERT_NE(MAP_FAILED, header);
	run_cpuids(self->vcpu, 7);
	EXPECT_EQ(0, poll(&poll_fd, 1, 0));
	/* Asleep when the eighth comes. */
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(poll(&poll_fd, 1, 10000) == 1 && poll_fd.revents == POLLIN ? 0 : 1);
	usleep(50000);
	test_vcpu_run_to_sync(self->vcpu);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(1, poll(&poll_fd, 1, 0));
	header->tail = header->head;
	EXPECT_EQ(0, poll(&poll_fd, 1, 0));
	munmap(header, 4096);
}

TEST_F(ring, bad_requests)
{
	const struct vitrine_ring_config good = { .nr_records = 16, .reasons = { ~0ull, ~0ull } };
	struct vitrine_ring_filter filter = { .reserved = 1 };
	struct vitrine_ring_state state = { .reserved = 1 };
	struct vitrine_ring_config config;
	struct test_vcpu *more[4];
	pid_t child;
	int status;

#define EXPECT_REFUSED(error, member, value)				\
	do {								\
		config = good;						\
		config.member = (value);				\
		EXPECT_EQ(-(error), test_ring_create(self->fd, &config)); \
	} while (0)
	EXPECT_REFUSED(EINVAL, nr_records, 0);
	EXPECT_REFUSED(EINVAL, nr_records, 8);
	EXPECT_REFUSED(EINVAL, nr_records, 24);
	EXPECT_REFUSED(EINVAL, nr_records, 2 * VITRINE_RING_MAX_RECORDS);
	EXPECT_REFUSED(EINVAL, nr_records, 1u << 31);
	EXPECT_REFUSED(EINVAL, flags, 4);
	EXPECT_REFUSED(EINVAL, wakeup, 17);
	EXPECT_REFUSED(EINVAL, vcpu_id, 1);
	EXPECT_REFUSED(EINVAL, map_bytes, 1);
	EXPECT_REFUSED(EINVAL, map_offset, 1);
	EXPECT_REFUSED(EINVAL, reserved[0], 1);
	EXPECT_REFUSED(EINVAL, reserved[1], 1);
	EXPECT_REFUSED(ENOENT, vcpu, 1);
	EXPECT_REFUSED(ENOENT, vcpu, ~0u);
	EXPECT_EQ(-1, ioctl(self->fd, VITRINE_RING_CREATE, NULL));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(self->fd, VITRINE_RING_FILTER, &filter));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ioctl(self->fd, VITRINE_RING_STATE, &state));
	EXPECT_EQ(EINVAL, errno);
	state.reserved = 0;
	EXPECT_EQ(-1, ioctl(self->fd, VITRINE_RING_STATE, &state));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(-1, ioctl(self->fd, KVM_GET_API_VERSION, 0));
	EXPECT_EQ(ENOTTY, errno);
	config = good;
	EXPECT_EQ(0, test_ring_create(self->fd, &config));
	config = good;
	EXPECT_EQ(-EEXIST, test_ring_create(self->fd, &config));

	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
	/* Behind the ring, and where there is none. */
	for (off_t offset = 8192; offset <= 1 << 30; offset <<= 1) {
		child = fork();
		ASSERT_LE(0, child);
		if (!child) {
			const char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->fd, offset);

			signal(SIGBUS, SIG_DFL);
			_exit(*map);
		}
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	}

	/* What one fd may take is bounded. */
	for (unsigned int i = 0; i < 4; i++) {
		more[i] = test_vcpu_create(self->vm, 10 + i);
		config = good;
		config.vcpu = 1 + i;
		config.nr_records = VITRINE_RING_MAX_RECORDS;
		EXPECT_EQ(i < 3 ? 0 : -ENOSPC, test_ring_create(self->fd, &config));
	}
	for (unsigned int i = 0; i < 4; i++)
		test_vcpu_free(more[i]);
}

/* Writes anything anywhere in a ring until told to stop. */
struct vandal {
	struct test_ring *ring;
	uint64_t seed;
	atomic_bool stop;
};

static void *vandalize(void *data)
{
	struct vandal *vandal = data;
	uint64_t *words = (uint64_t *)vandal->ring->header;
	size_t nr = vandal->ring->config.map_bytes / 8;

	while (!atomic_load(&vandal->stop)) {
		uint64_t value = host_random(&vandal->seed);

		/* The header's words more often than others. */
		words[value & 1 ? value % 24 : value % nr] =
			value & 2 ? host_random(&vandal->seed) : -(value & 4);
		vandal->ring->header->tail = value & 8 ? ~0ull : vandal->ring->header->head + 1;
	}
	return NULL;
}

TEST_F(ring, hostile_reader)
{
	int other = test_attach(self->vm->dev_fd, self->id, 0);
	struct pollfd poll_fd = { .fd = self->fd, .events = POLLIN };
	struct vandal vandals[2] = {};
	struct vitrine_ring_state state;
	struct test_ring rings[2], honest;
	pthread_t threads[2];
	int fds[2] = { self->fd, test_attach(self->vm->dev_fd, self->id, 0) };

	ASSERT_LE(0, other);
	ASSERT_LE(0, fds[1]);
	test_ring_open(&honest, other, 0, 1024, 0);
	ASSERT_EQ(0, test_ring_filter(other, 0, BIT64(TEST_REASON_CPUID), 0));
	for (unsigned int i = 0; i < 2; i++) {
		test_ring_open(&rings[i], fds[i], 0, NR_RECORDS, i ? VITRINE_RING_STOP : 0);
		ASSERT_EQ(0, test_ring_filter(fds[i], 0, BIT64(TEST_REASON_CPUID), 0));
		vandals[i].ring = &rings[i];
		vandals[i].seed = host_seed() + i;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, vandalize, &vandals[i]));
	}
	run_cpuids(self->vcpu, 20000);
	poll(&poll_fd, 1, 0);
	for (unsigned int i = 0; i < 2; i++) {
		atomic_store(&vandals[i].stop, true);
		pthread_join(threads[i], NULL);
	}
	/* The kernel's own books are right, and so is everybody else's ring. */
	test_ring_state(fds[0], 0, &state);
	EXPECT_EQ(20000, state.head);
	test_ring_state(fds[1], 0, &state);
	EXPECT_EQ(20000, state.head + state.lost);
	EXPECT_EQ(20000, honest.header->head);
	for (uint64_t i = 20000 - 1024; i < 20000; i++) {
		EXPECT_EQ(i + 1, test_ring_record(&honest, i)->seq);
		EXPECT_EQ(TEST_REASON_CPUID, test_ring_record(&honest, i)->reason);
	}
	test_ring_close(&honest);
	for (unsigned int i = 0; i < 2; i++)
		test_ring_close(&rings[i]);
	close(other);
	close(fds[1]);
}

GUEST_CODE(guest_timed,
	   "0: mov $1000, %edi\n"
	   "1: xor %eax, %eax\nxor %ecx, %ecx\ncpuid\ndec %edi\njnz 1b\n" GUEST_SYNC "jmp 0b\n");

/* Ticks of a round, by the counters that every vCPU has. */
static uint64_t round_ticks(struct test_vcpu *vcpu)
{
	struct vitrine_vcpu_stats before, after;

	if (ioctl(vcpu->fd, VITRINE_GET_STATS, &before))
		test_die("VITRINE_GET_STATS");
	test_vcpu_run_to_sync(vcpu);
	if (ioctl(vcpu->fd, VITRINE_GET_STATS, &after))
		test_die("VITRINE_GET_STATS");
	return (after.exit_ticks[TEST_REASON_CPUID] - before.exit_ticks[TEST_REASON_CPUID]) / 1000;
}

/* The least of some rounds: what the host does in between comes on top of others. */
static uint64_t exit_ticks(struct test_vcpu *vcpu)
{
	uint64_t least = round_ticks(vcpu);

	for (int i = 0; i < 4; i++) {
		uint64_t ticks = round_ticks(vcpu);

		least = ticks < least ? ticks : least;
	}
	return least;
}

TEST_F(ring, cost)
{
	uint64_t alone, attached, filtered, recorded, with_insn;
	struct test_ring ring, insn;
	int other;

	close(self->fd);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_timed));
	alone = exit_ticks(self->vcpu);
	self->fd = test_attach(self->vm->dev_fd, self->id, 0);
	ASSERT_LE(0, self->fd);
	attached = exit_ticks(self->vcpu);
	test_ring_open(&ring, self->fd, 0, 64, 0);
	recorded = exit_ticks(self->vcpu);
	ASSERT_EQ(0, test_ring_filter(self->fd, 0, 0, 0));
	filtered = exit_ticks(self->vcpu);
	other = test_attach(self->vm->dev_fd, self->id, 0);
	ASSERT_LE(0, other);
	test_ring_open(&insn, other, 0, 64, VITRINE_RING_INSN);
	with_insn = exit_ticks(self->vcpu);
	printf("# ticks of a CPUID exit outside the guest:\n");
	printf("# alone %llu, attached %llu, filtered out %llu, recorded %llu, with insn %llu\n",
	       (unsigned long long)alone, (unsigned long long)attached,
	       (unsigned long long)filtered, (unsigned long long)recorded,
	       (unsigned long long)with_insn);
	fflush(stdout);
	EXPECT_LE(attached, alone + 10);
	EXPECT_LE(recorded, alone + 300);
	EXPECT_LE(filtered, alone + 100);
	test_ring_close(&insn);
	test_ring_close(&ring);
	close(other);
}

/* Within what its user may lock; what is refused is given back, or later rounds would not fit. */
TEST_F(ring, is_locked_memory)
{
	struct rlimit limit = { 1 << 20, 1 << 20 };
	pid_t child = fork();
	int status, i;

	ASSERT_LE(0, child);
	if (!child) {
		struct vitrine_ring_config large = { .nr_records = 4096 };
		struct vitrine_ring_config small;

		if (setrlimit(RLIMIT_MEMLOCK, &limit) || setresuid(NOBODY, NOBODY, NOBODY))
			_exit(1);
		for (i = 0; i < 6; i++) {
			/* Who has the fd has what it can. */
			if (test_ring_create(self->fd, &large) != -ENOMEM)
				_exit(2);
			small = (struct vitrine_ring_config) { .nr_records = 1024 };
			if (test_ring_create(self->fd, &small) != (i ? -EEXIST : 0))
				_exit(3);
		}
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
