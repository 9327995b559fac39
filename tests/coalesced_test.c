// SPDX-License-Identifier: GPL-2.0
/*
 * Coalesced MMIO and PIO: writes that wait in a ring for the VMM. Runs the same on KVM.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/doorbell.h"

#define PORT		0x700
#define GPA		0xd0000100ull
#define BYTES		0x100u
#define RING_ENTRIES	((4096 - sizeof(struct kvm_coalesced_mmio_ring)) / \
			 sizeof(struct kvm_coalesced_mmio))

static int zone(int vm_fd, unsigned long cmd, uint64_t addr, uint32_t size, uint32_t pio)
{
	struct kvm_coalesced_mmio_zone args = { .addr = addr, .size = size, .pio = pio };

	return ioctl(vm_fd, cmd, &args) ? -errno : 0;
}

static int add(int vm_fd, uint64_t addr, uint32_t size, uint32_t pio)
{
	return zone(vm_fd, KVM_REGISTER_COALESCED_MMIO, addr, size, pio);
}

static int del(int vm_fd, uint64_t addr, uint32_t size, uint32_t pio)
{
	return zone(vm_fd, KVM_UNREGISTER_COALESCED_MMIO, addr, size, pio);
}

static volatile struct kvm_coalesced_mmio_ring *ring_of(struct test_vcpu *vcpu)
{
	long page = test_check_extension(vcpu->vm->fd, KVM_CAP_COALESCED_MMIO);

	if (page <= 0 || (page + 1) * 4096ul > vcpu->run_bytes)
		test_die("page %ld is no place for the ring", page);
	return (volatile struct kvm_coalesced_mmio_ring *)((char *)vcpu->run + page * 4096);
}

static unsigned int waiting(volatile struct kvm_coalesced_mmio_ring *ring)
{
	return (ring->last + RING_ENTRIES - ring->first) % RING_ENTRIES;
}

FIXTURE(coalesced) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	volatile struct kvm_coalesced_mmio_ring *ring;
};

FIXTURE_SETUP(coalesced)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
	self->ring = ring_of(self->vcpu);
	test_doorbell_start(self->vcpu);
}

FIXTURE_TEARDOWN(coalesced)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

TEST_F(coalesced, capabilities)
{
	EXPECT_EQ(test_check_extension(self->vm->fd, KVM_CAP_COALESCED_MMIO), 2);
	EXPECT_EQ(test_check_extension(self->vm->fd, KVM_CAP_COALESCED_PIO), 1);
}

TEST_F(coalesced, writes_wait_in_order)
{
	volatile struct kvm_coalesced_mmio_ring *ring = self->ring;
	unsigned int size, n = 0;

	ASSERT_EQ(add(self->vm->fd, GPA, BYTES, 0), 0);
	ASSERT_EQ(add(self->vm->fd, PORT, 4, 1), 0);
	for (size = 1; size <= 8; size *= 2)
		EXPECT_TRUE(test_doorbell_store(self->vcpu, GPA + size, size,
						0x8877665544332211));
	for (size = 1; size <= 4; size *= 2)
		EXPECT_TRUE(test_doorbell_out(self->vcpu, PORT, size, 0xa4a3a2a1));
	ASSERT_EQ(waiting(ring), 7);
	for (size = 1; size <= 8; size *= 2, n++) {
		struct kvm_coalesced_mmio entry = *(struct kvm_coalesced_mmio *)
			&ring->coalesced_mmio[n];

		EXPECT_EQ(entry.phys_addr, GPA + size);
		EXPECT_EQ(entry.len, size);
		EXPECT_EQ(entry.pio, 0);
		EXPECT_EQ(memcmp(entry.data, "\x11\x22\x33\x44\x55\x66\x77\x88", size), 0);
	}
	for (size = 1; size <= 4; size *= 2, n++) {
		struct kvm_coalesced_mmio entry = *(struct kvm_coalesced_mmio *)
			&ring->coalesced_mmio[n];

		EXPECT_EQ(entry.phys_addr, PORT);
		EXPECT_EQ(entry.len, size);
		EXPECT_EQ(entry.pio, 1);
		EXPECT_EQ(memcmp(entry.data, "\xa1\xa2\xa3\xa4", size), 0);
	}
	EXPECT_EQ(ring->first, 0);
}

TEST_F(coalesced, only_writes_that_lie_in_a_zone)
{
	ASSERT_EQ(add(self->vm->fd, GPA, BYTES, 0), 0);
	ASSERT_EQ(add(self->vm->fd, PORT, 4, 1), 0);
	EXPECT_TRUE(test_doorbell_store(self->vcpu, GPA + BYTES - 4, 4, 1));
	EXPECT_FALSE(test_doorbell_store(self->vcpu, GPA + BYTES - 2, 4, 1));
	EXPECT_FALSE(test_doorbell_store(self->vcpu, GPA + BYTES, 1, 1));
	EXPECT_FALSE(test_doorbell_store(self->vcpu, GPA - 1, 2, 1));
	EXPECT_FALSE(test_doorbell_load(self->vcpu, GPA, 1));
	EXPECT_FALSE(test_doorbell_in(self->vcpu, PORT, 1));
	EXPECT_FALSE(test_doorbell_out(self->vcpu, PORT + 3, 2, 1));
	EXPECT_TRUE(test_doorbell_out(self->vcpu, PORT + 3, 1, 1));
	EXPECT_FALSE(test_doorbell_out(self->vcpu, PORT + 4, 1, 1));
	EXPECT_EQ(waiting(self->ring), 2);
}

/* One ring for the VM, whichever vCPU wrote and whichever run area shows it. */
TEST_F(coalesced, one_ring_for_all_vcpus)
{
	struct test_vcpu *other = test_vcpu_create(self->vm, 1);
	volatile struct kvm_coalesced_mmio_ring *ring = ring_of(other);

	test_vcpu_set_supported_cpuid(other);
	test_doorbell_start(other);
	ASSERT_EQ(add(self->vm->fd, GPA, BYTES, 0), 0);
	EXPECT_TRUE(test_doorbell_store(self->vcpu, GPA, 4, 1));
	EXPECT_TRUE(test_doorbell_store(other, GPA + 4, 4, 1));
	EXPECT_EQ(waiting(ring), 2);
	EXPECT_EQ(waiting(self->ring), 2);
	EXPECT_EQ(ring->coalesced_mmio[1].phys_addr, GPA + 4);
	ring->first = 2;
	EXPECT_EQ(self->ring->first, 2);
	test_vcpu_free(other);
	EXPECT_TRUE(test_doorbell_store(self->vcpu, GPA, 4, 1));
	EXPECT_EQ(waiting(self->ring), 1);
}

TEST_F(coalesced, a_full_ring_comes_out)
{
	unsigned int i;

	ASSERT_EQ(add(self->vm->fd, PORT, 4, 1), 0);
	/* Its count of what is left goes wrong half-way, on the safe side. */
	if (test_on_kvm())
		SKIP(return, "KVM finds its ring full too early");
	for (i = 0; i < RING_ENTRIES - 1; i++)
		ASSERT_TRUE(test_doorbell_out(self->vcpu, PORT, 4, i));
	EXPECT_FALSE(test_doorbell_out(self->vcpu, PORT, 4, i));
	EXPECT_FALSE(test_doorbell_out(self->vcpu, PORT, 4, i));
	EXPECT_EQ(waiting(self->ring), RING_ENTRIES - 1);
	for (i = 0; i < RING_ENTRIES - 1; i++)
		EXPECT_EQ(*(uint32_t *)self->ring->coalesced_mmio[i].data, i);
	/* It goes on around the end. */
	self->ring->first = 10;
	for (i = 0; i < 10; i++)
		EXPECT_TRUE(test_doorbell_out(self->vcpu, PORT, 4, i));
	EXPECT_FALSE(test_doorbell_out(self->vcpu, PORT, 4, i));
	EXPECT_EQ(self->ring->last, 9);
}

/* The VMM may write anything to the ring: nothing but its own writes gets lost. */
TEST_F(coalesced, nonsense_in_the_ring)
{
	static const uint32_t numbers[] = { RING_ENTRIES, RING_ENTRIES + 1, 0x7fffffff, 0x80000000,
					    0xffffffff, 4096 };
	unsigned int i;

	ASSERT_EQ(add(self->vm->fd, PORT, 4, 1), 0);
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		self->ring->first = 0;
		self->ring->last = numbers[i];
		EXPECT_FALSE(test_doorbell_out(self->vcpu, PORT, 1, 1));
		EXPECT_EQ(self->ring->last, numbers[i]);
		self->ring->first = numbers[i];
		self->ring->last = 1;
		test_doorbell_out(self->vcpu, PORT, 1, 1);
		EXPECT_LT(self->ring->last, RING_ENTRIES);
	}
	memset((void *)self->ring, 0, 4096);
	EXPECT_TRUE(test_doorbell_out(self->vcpu, PORT, 1, 1));
	EXPECT_EQ(waiting(self->ring), 1);
}

TEST_F(coalesced, zones_come_and_go)
{
	int fd = self->vm->fd;

	EXPECT_EQ(add(fd, GPA, BYTES, 2), -EINVAL);
	EXPECT_EQ(del(fd, GPA, BYTES, ~0u), -EINVAL);
	EXPECT_EQ(ioctl(fd, KVM_REGISTER_COALESCED_MMIO, NULL), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EQ(del(fd, GPA, BYTES, 0), 0);

	ASSERT_EQ(add(fd, GPA, BYTES, 0), 0);
	ASSERT_EQ(add(fd, GPA, BYTES, 0), 0);
	ASSERT_EQ(add(fd, PORT, 8, 1), 0);
	/* What no zone holds as a whole takes none away. */
	EXPECT_EQ(del(fd, GPA, BYTES + 1, 0), 0);
	EXPECT_EQ(del(fd, GPA - 1, 2, 0), 0);
	EXPECT_EQ(del(fd, GPA, BYTES, 1), 0);
	EXPECT_EQ(del(fd, PORT, 8, 0), 0);
	EXPECT_TRUE(test_doorbell_store(self->vcpu, GPA, 4, 1));
	EXPECT_TRUE(test_doorbell_out(self->vcpu, PORT, 4, 1));
	EXPECT_EQ(waiting(self->ring), 2);
	/* A part takes all, from every zone that has it. */
	EXPECT_EQ(del(fd, GPA + 4, 4, 0), 0);
	EXPECT_FALSE(test_doorbell_store(self->vcpu, GPA, 4, 1));
	EXPECT_TRUE(test_doorbell_out(self->vcpu, PORT, 4, 1));
	EXPECT_EQ(del(fd, PORT, 8, 1), 0);
	EXPECT_FALSE(test_doorbell_out(self->vcpu, PORT, 4, 1));

	/* Zones that hold nothing. */
	EXPECT_EQ(add(fd, PORT, 0, 1), 0);
	EXPECT_FALSE(test_doorbell_out(self->vcpu, PORT, 1, 1));
	EXPECT_EQ(add(fd, ~0ull, 16, 0), 0);
	EXPECT_FALSE(test_doorbell_store(self->vcpu, GPA, 1, 1));
}

TEST_F(coalesced, no_more_than_a_bus_holds)
{
	unsigned int i;

	for (i = 0; i < 2000; i++)
		if (add(self->vm->fd, 0x1000 + 16 * i, 16, 1))
			break;
	EXPECT_EQ(errno, ENOSPC);
	EXPECT_GE(i, 998);
	EXPECT_LE(i, 1000);
}

/* It stands where the OUT of the last exit was, two bytes long, which the next RUN completes. */
GUEST_CODE(write_for_ever,
	   "nop\nnop\n"
	   "mov $0xd0000100, %ebx\n1: mov %eax, (%rbx)\noutb %al, $0x70\njmp 1b\n");

struct writer {
	struct test_vcpu *vcpu;
	volatile int stop;
};

static void *write_on(void *arg)
{
	struct writer *writer = arg;

	while (!writer->stop)
		if (ioctl(writer->vcpu->fd, KVM_RUN, 0L) && errno != EINTR)
			test_die("KVM_RUN");
	return NULL;
}

/* Zones and indices change under two vCPUs that write. */
TEST_F(coalesced, changed_under_running_vcpus)
{
	struct writer writers[2] = { { self->vcpu }, { test_vcpu_create(self->vm, 1) } };
	pthread_t threads[2];
	int i;

	test_vcpu_set_supported_cpuid(writers[1].vcpu);
	for (i = 0; i < 2; i++)
		test_vcpu_long_mode(writers[i].vcpu, GUEST_BLOB(write_for_ever));
	for (i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, write_on, &writers[i]);
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(add(self->vm->fd, GPA, BYTES, 0), 0);
		ASSERT_EQ(add(self->vm->fd, 0x70, 1, 1), 0);
		self->ring->first = i & 1 ? self->ring->last : i * 0x01234567u;
		if (i % 16 == 7)
			self->ring->last = 0x80000000u | i;
		usleep(i % 4 * 100);
		if (i % 16 == 7)
			self->ring->last = 0;
		ASSERT_EQ(del(self->vm->fd, GPA, BYTES, 0), 0);
		ASSERT_EQ(del(self->vm->fd, 0x70, 1, 1), 0);
	}
	for (i = 0; i < 2; i++) {
		writers[i].stop = 1;
		writers[i].vcpu->run->immediate_exit = 1;
	}
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	EXPECT_LT(self->ring->last, RING_ENTRIES);
	test_vcpu_free(writers[1].vcpu);
}

TEST_HARNESS_MAIN
