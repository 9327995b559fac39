// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_IOEVENTFD: writes of a guest that signal an eventfd and go no further. Runs the same on KVM.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/doorbell.h"
#include "lib/eventfd.h"

#define PORT		0x600
#define GPA		0xd0000100ull
#define PIO		KVM_IOEVENTFD_FLAG_PIO
#define MATCH		KVM_IOEVENTFD_FLAG_DATAMATCH
#define DEASSIGN	KVM_IOEVENTFD_FLAG_DEASSIGN

static int ioeventfd(int vm_fd, int fd, uint64_t addr, uint32_t len, uint32_t flags,
		     uint64_t datamatch)
{
	struct kvm_ioeventfd args = { .fd = fd, .addr = addr, .len = len, .flags = flags,
				      .datamatch = datamatch };

	return ioctl(vm_fd, KVM_IOEVENTFD, &args) ? -errno : 0;
}

FIXTURE(ioeventfd) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	int fd, other;
};

FIXTURE_SETUP(ioeventfd)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
	test_doorbell_start(self->vcpu);
	self->fd = test_eventfd();
	self->other = test_eventfd();
}

FIXTURE_TEARDOWN(ioeventfd)
{
	test_vcpu_free(self->vcpu);
	if (self->vm)
		test_vm_free(self->vm);
	close(self->fd);
	close(self->other);
}

TEST_F(ioeventfd, capabilities)
{
	EXPECT_EQ(test_check_extension(self->vm->fd, KVM_CAP_IOEVENTFD), 1);
	EXPECT_EQ(test_check_extension(self->vm->fd, KVM_CAP_IOEVENTFD_NO_LENGTH), 1);
	EXPECT_EQ(test_check_extension(self->vm->fd, KVM_CAP_IOEVENTFD_ANY_LENGTH), 1);
}

TEST_F(ioeventfd, ports_of_each_width)
{
	unsigned int len, size;

	for (len = 1; len <= 4; len *= 2) {
		ASSERT_EQ(ioeventfd(self->vm->fd, self->fd, PORT, len, PIO, 0), 0);
		for (size = 1; size <= 4; size *= 2) {
			EXPECT_EQ(test_doorbell_out(self->vcpu, PORT, size, 0x11), size == len);
			EXPECT_EQ(test_eventfd_count(self->fd), size == len);
			EXPECT_FALSE(test_doorbell_out(self->vcpu, PORT + 1, size, 0x11));
			EXPECT_FALSE(test_doorbell_out(self->vcpu, PORT - 1, size, 0x11));
			EXPECT_EQ(test_eventfd_count(self->fd), 0);
		}
		/* Reads are not the eventfd's business, nor is memory of the same number. */
		EXPECT_FALSE(test_doorbell_in(self->vcpu, PORT, 3));
		EXPECT_EQ(test_eventfd_count(self->fd), 0);
		ASSERT_EQ(ioeventfd(self->vm->fd, self->fd, PORT, len, PIO | DEASSIGN, 0), 0);
		EXPECT_FALSE(test_doorbell_out(self->vcpu, PORT, len, 0x11));
		EXPECT_EQ(test_eventfd_count(self->fd), 0);
	}
}

TEST_F(ioeventfd, memory_of_each_width)
{
	unsigned int len, size;

	for (len = 1; len <= 8; len *= 2) {
		ASSERT_EQ(ioeventfd(self->vm->fd, self->fd, GPA, len, 0, 0), 0);
		for (size = 1; size <= 8; size *= 2) {
			EXPECT_EQ(test_doorbell_store(self->vcpu, GPA, size, 0x22), size == len);
			EXPECT_EQ(test_eventfd_count(self->fd), size == len);
			EXPECT_FALSE(test_doorbell_store(self->vcpu, GPA + 8, size, 0x22));
			EXPECT_FALSE(test_doorbell_store(self->vcpu, GPA - 8, size, 0x22));
			EXPECT_EQ(test_eventfd_count(self->fd), 0);
		}
		EXPECT_FALSE(test_doorbell_load(self->vcpu, GPA, 3));
		EXPECT_EQ(test_eventfd_count(self->fd), 0);
		ASSERT_EQ(ioeventfd(self->vm->fd, self->fd, GPA, len, DEASSIGN, 0), 0);
		EXPECT_FALSE(test_doorbell_store(self->vcpu, GPA, len, 0x22));
		EXPECT_EQ(test_eventfd_count(self->fd), 0);
	}
}

TEST_F(ioeventfd, any_length)
{
	struct kvm_regs before, after;
	unsigned int size, round;

	ASSERT_EQ(ioeventfd(self->vm->fd, self->fd, PORT, 0, PIO, 0), 0);
	ASSERT_EQ(ioeventfd(self->vm->fd, self->other, GPA, 0, 0, 0), 0);
	for (size = 1; size <= 4; size *= 2)
		EXPECT_TRUE(test_doorbell_out(self->vcpu, PORT, size, 5));
	EXPECT_EQ(test_eventfd_count(self->fd), 3);
	test_vcpu_regs(self->vcpu, &before);
	for (round = 0; round < 3; round++)
		for (size = 1; size <= 8; size *= 2)
			EXPECT_TRUE(test_doorbell_store(self->vcpu, GPA, size, 5));
	EXPECT_EQ(test_eventfd_count(self->other), 12);
	test_vcpu_regs(self->vcpu, &after);
	EXPECT_EQ(after.rip, before.rip);
	EXPECT_EQ(after.rsp, before.rsp);
	EXPECT_FALSE(test_doorbell_store(self->vcpu, GPA + 4, 4, 5));
	EXPECT_EQ(test_eventfd_count(self->other), 0);
	if (test_on_kvm())
		return;		/* which takes a read for a write there */
	EXPECT_FALSE(test_doorbell_load(self->vcpu, GPA, 5));
	EXPECT_EQ(test_eventfd_count(self->other), 0);
}

/* An instruction that reads what it writes is more than a doorbell. */
TEST_F(ioeventfd, read_and_write)
{
	ASSERT_EQ(ioeventfd(self->vm->fd, self->fd, GPA, 4, 0, 0), 0);
	EXPECT_TRUE(test_doorbell_xadd(self->vcpu, GPA, 7));
	EXPECT_EQ(test_eventfd_count(self->fd), 1);
	ASSERT_EQ(ioeventfd(self->vm->fd, self->fd, GPA, 4, DEASSIGN, 0), 0);
	if (test_on_kvm())
		return;		/* which looks at the address only, and skips the read */
	ASSERT_EQ(ioeventfd(self->vm->fd, self->fd, GPA, 0, 0, 0), 0);
	EXPECT_TRUE(test_doorbell_xadd(self->vcpu, GPA, 7));
	EXPECT_EQ(test_eventfd_count(self->fd), 1);
}

TEST_F(ioeventfd, datamatch)
{
	ASSERT_EQ(ioeventfd(self->vm->fd, self->fd, PORT, 2, PIO | MATCH, 0x1234), 0);
	ASSERT_EQ(ioeventfd(self->vm->fd, self->other, PORT, 2, PIO | MATCH, 0x1235), 0);
	EXPECT_TRUE(test_doorbell_out(self->vcpu, PORT, 2, 0x1234));
	EXPECT_TRUE(test_doorbell_out(self->vcpu, PORT, 2, 0x1235));
	EXPECT_TRUE(test_doorbell_out(self->vcpu, PORT, 2, 0x1235));
	EXPECT_FALSE(test_doorbell_out(self->vcpu, PORT, 2, 0x1236));
	EXPECT_FALSE(test_doorbell_out(self->vcpu, PORT, 4, 0x1234));
	EXPECT_EQ(test_eventfd_count(self->fd), 1);
	EXPECT_EQ(test_eventfd_count(self->other), 2);

	/* All of the value counts, not what fits into the write. */
	ASSERT_EQ(ioeventfd(self->vm->fd, self->fd, GPA, 1, MATCH, 0x101), 0);
	EXPECT_FALSE(test_doorbell_store(self->vcpu, GPA, 1, 1));
	ASSERT_EQ(ioeventfd(self->vm->fd, self->fd, GPA, 8, MATCH, 0x1122334455667788), 0);
	EXPECT_TRUE(test_doorbell_store(self->vcpu, GPA, 8, 0x1122334455667788));
	EXPECT_FALSE(test_doorbell_store(self->vcpu, GPA, 8, 0x2122334455667788));
	EXPECT_EQ(test_eventfd_count(self->fd), 1);
}

TEST_F(ioeventfd, collisions)
{
	int fd = self->vm->fd;

	ASSERT_EQ(ioeventfd(fd, self->fd, GPA, 4, MATCH, 1), 0);
	EXPECT_EQ(ioeventfd(fd, self->other, GPA, 4, MATCH, 1), -EEXIST);
	EXPECT_EQ(ioeventfd(fd, self->fd, GPA, 4, MATCH, 1), -EEXIST);
	EXPECT_EQ(ioeventfd(fd, self->other, GPA, 4, 0, 0), -EEXIST);
	EXPECT_EQ(ioeventfd(fd, self->other, GPA, 0, 0, 0), -EEXIST);
	/* These cannot be meant by the same write. */
	EXPECT_EQ(ioeventfd(fd, self->other, GPA, 4, MATCH, 2), 0);
	EXPECT_EQ(ioeventfd(fd, self->other, GPA, 2, 0, 0), 0);
	EXPECT_EQ(ioeventfd(fd, self->other, GPA + 2, 4, 0, 0), 0);
	EXPECT_EQ(ioeventfd(fd, self->other, GPA, 4, PIO, 0), 0);

	ASSERT_EQ(ioeventfd(fd, self->fd, PORT, 0, PIO, 0), 0);
	EXPECT_EQ(ioeventfd(fd, self->other, PORT, 1, PIO, 0), -EEXIST);
	EXPECT_EQ(ioeventfd(fd, self->other, PORT, 1, PIO | MATCH, 3), -EEXIST);
}

TEST_F(ioeventfd, deassign_wants_all_of_it)
{
	int fd = self->vm->fd;

	ASSERT_EQ(ioeventfd(fd, self->fd, PORT, 2, PIO | MATCH, 7), 0);
	EXPECT_EQ(ioeventfd(fd, self->other, PORT, 2, PIO | MATCH | DEASSIGN, 7), -ENOENT);
	EXPECT_EQ(ioeventfd(fd, self->fd, PORT, 2, PIO | MATCH | DEASSIGN, 8), -ENOENT);
	EXPECT_EQ(ioeventfd(fd, self->fd, PORT, 2, PIO | DEASSIGN, 7), -ENOENT);
	EXPECT_EQ(ioeventfd(fd, self->fd, PORT, 2, MATCH | DEASSIGN, 7), -ENOENT);
	EXPECT_EQ(ioeventfd(fd, self->fd, PORT, 4, PIO | MATCH | DEASSIGN, 7), -ENOENT);
	EXPECT_EQ(ioeventfd(fd, self->fd, PORT + 2, 2, PIO | MATCH | DEASSIGN, 7), -ENOENT);
	EXPECT_EQ(ioeventfd(fd, -1, PORT, 2, PIO | MATCH | DEASSIGN, 7), -EBADF);
	EXPECT_EQ(ioeventfd(fd, self->vcpu->fd, PORT, 2, PIO | MATCH | DEASSIGN, 7), -EINVAL);
	EXPECT_TRUE(test_doorbell_out(self->vcpu, PORT, 2, 7));
	EXPECT_EQ(ioeventfd(fd, self->fd, PORT, 2, PIO | MATCH | DEASSIGN, 7), 0);
	EXPECT_EQ(ioeventfd(fd, self->fd, PORT, 2, PIO | MATCH | DEASSIGN, 7), -ENOENT);
	EXPECT_FALSE(test_doorbell_out(self->vcpu, PORT, 2, 7));
	EXPECT_EQ(test_eventfd_count(self->fd), 1);
}

TEST_F(ioeventfd, refused)
{
	int fd = self->vm->fd;

	EXPECT_EQ(ioeventfd(fd, -1, PORT, 1, PIO, 0), -EBADF);
	EXPECT_EQ(ioeventfd(fd, fd, PORT, 1, PIO, 0), -EINVAL);
	EXPECT_EQ(ioeventfd(fd, self->fd, PORT, 3, PIO, 0), -EINVAL);
	EXPECT_EQ(ioeventfd(fd, self->fd, PORT, 16, 0, 0), -EINVAL);
	EXPECT_EQ(ioeventfd(fd, self->fd, PORT, 0x80000000, 0, 0), -EINVAL);
	EXPECT_EQ(ioeventfd(fd, self->fd, ~0ull, 4, 0, 0), -EINVAL);
	EXPECT_EQ(ioeventfd(fd, self->fd, PORT, 1, PIO | 1u << 5, 0), -EINVAL);
	if (!test_on_kvm())
		EXPECT_EQ(ioeventfd(fd, self->fd, PORT, 1,
				    KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY, 0), -EINVAL);
	EXPECT_EQ(ioeventfd(fd, self->fd, PORT, 1, 1u << 31, 0), -EINVAL);
	EXPECT_EQ(ioeventfd(fd, self->fd, PORT, 0, PIO | MATCH, 0), -EINVAL);
	EXPECT_FALSE(test_doorbell_out(self->vcpu, PORT, 1, 0));
	EXPECT_EQ(test_eventfd_count(self->fd), 0);
	EXPECT_EQ(ioctl(fd, KVM_IOEVENTFD, NULL), -1);
	EXPECT_EQ(errno, EFAULT);
}

TEST_F(ioeventfd, more_than_devices)
{
	const unsigned int many = 1200;
	unsigned int i;

	for (i = 0; i < many; i++)
		ASSERT_EQ(ioeventfd(self->vm->fd, self->fd, GPA, 4, MATCH, i), 0);
	EXPECT_TRUE(test_doorbell_store(self->vcpu, GPA, 4, many - 1));
	EXPECT_TRUE(test_doorbell_store(self->vcpu, GPA, 4, 0));
	EXPECT_FALSE(test_doorbell_store(self->vcpu, GPA, 4, many));
	EXPECT_EQ(test_eventfd_count(self->fd), 2);
	ASSERT_EQ(ioeventfd(self->vm->fd, self->fd, GPA, 4, MATCH | DEASSIGN, many / 2), 0);
	EXPECT_FALSE(test_doorbell_store(self->vcpu, GPA, 4, many / 2));
	EXPECT_TRUE(test_doorbell_store(self->vcpu, GPA, 4, many / 2 + 1));
}

/* The eventfd lives as long as somebody may signal it. */
TEST_F(ioeventfd, closed_while_armed)
{
	ASSERT_EQ(ioeventfd(self->vm->fd, self->fd, PORT, 1, PIO, 0), 0);
	close(self->fd);
	EXPECT_TRUE(test_doorbell_out(self->vcpu, PORT, 1, 0));
	self->fd = test_eventfd();
	/* Its place stays taken, and nobody can name it any more. */
	EXPECT_EQ(ioeventfd(self->vm->fd, self->fd, PORT, 1, PIO | DEASSIGN, 0), -ENOENT);
	EXPECT_EQ(ioeventfd(self->vm->fd, self->fd, PORT, 1, PIO, 0), -EEXIST);
	EXPECT_TRUE(test_doorbell_out(self->vcpu, PORT, 1, 0));
	EXPECT_EQ(test_eventfd_count(self->fd), 0);
}

TEST_F(ioeventfd, vm_closed_while_armed)
{
	ASSERT_EQ(ioeventfd(self->vm->fd, self->fd, PORT, 1, PIO, 0), 0);
	ASSERT_EQ(ioeventfd(self->vm->fd, self->fd, GPA, 0, 0, 0), 0);
	test_vm_free(self->vm);
	self->vm = NULL;
	/* The vCPU is still there, and its VM for it. */
	EXPECT_EQ(test_eventfd_count(self->fd), 0);
}

/* It stands where the OUT of the last exit was, two bytes long, which the next RUN completes. */
GUEST_CODE(ring_for_ever,
	   "nop\nnop\n"
	   "mov $0x600, %edx\nmov $0xd0000100, %ebx\n"
	   "1: outb %al, %dx\nmov %eax, (%rbx)\njmp 1b\n");

struct ringer {
	struct test_vcpu *vcpu;
	volatile int stop;
	unsigned long exits;
};

static void *ring(void *arg)
{
	struct ringer *ringer = arg;

	while (!ringer->stop) {
		if (ioctl(ringer->vcpu->fd, KVM_RUN, 0L)) {
			if (errno != EINTR)
				test_die("KVM_RUN");
		} else if (ringer->vcpu->run->exit_reason != KVM_EXIT_IO &&
			   ringer->vcpu->run->exit_reason != KVM_EXIT_MMIO) {
			test_die("exit reason %u", ringer->vcpu->run->exit_reason);
		}
		ringer->exits++;
	}
	return NULL;
}

/* A write is signalled, or comes out, at any moment of a change. */
TEST_F(ioeventfd, changed_under_a_running_vcpu)
{
	struct ringer ringer = { .vcpu = self->vcpu };
	uint64_t signals = 0;
	pthread_t thread;
	int i;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(ring_for_ever));
	pthread_create(&thread, NULL, ring, &ringer);
	for (i = 0; i < 100; i++) {
		int pio = test_eventfd(), mmio = test_eventfd();
		uint32_t len = i & 1 ? 4 : 0;

		ASSERT_EQ(ioeventfd(self->vm->fd, pio, PORT, 1, PIO, 0), 0);
		ASSERT_EQ(ioeventfd(self->vm->fd, mmio, GPA, len, 0, 0), 0);
		usleep(i % 8 * 100);
		ASSERT_EQ(ioeventfd(self->vm->fd, pio, PORT, 1, PIO | DEASSIGN, 0), 0);
		ASSERT_EQ(ioeventfd(self->vm->fd, mmio, GPA, len, DEASSIGN, 0), 0);
		signals += test_eventfd_count(pio) + test_eventfd_count(mmio);
		/* After that, none comes. */
		EXPECT_EQ(test_eventfd_count(pio) + test_eventfd_count(mmio), 0);
		close(pio);
		close(mmio);
	}
	/* Signalled on while it is closed. */
	ASSERT_EQ(ioeventfd(self->vm->fd, self->other, PORT, 1, PIO, 0), 0);
	usleep(1000);
	close(self->other);
	self->other = test_eventfd();
	usleep(1000);
	ringer.stop = 1;
	self->vcpu->run->immediate_exit = 1;
	pthread_join(thread, NULL);
	self->vcpu->run->immediate_exit = 0;
	EXPECT_GT(signals, 0);
	EXPECT_GT(ringer.exits, 0);
}

TEST_HARNESS_MAIN
