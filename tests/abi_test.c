// SPDX-License-Identifier: GPL-2.0
/*
 * The descriptors' manners: versions, unknown commands, wrong order, wrong arguments, two threads
 * at once. What each command does with good arguments is its own test's business; addresses that
 * cannot be read or written are pointer_test.c's.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/host.h"
#include "lib/vm.h"
#include <vitrine.h>

#define EXPECT_ERRNO(error, call)	do {		\
	errno = 0;					\
	EXPECT_EQ(-1, (call));				\
	EXPECT_EQ(error, errno);			\
} while (0)

GUEST_CODE(guest_spin, "1: jmp 1b\n");

FIXTURE(abi) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
};

FIXTURE_SETUP(abi)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
}

FIXTURE_TEARDOWN(abi)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

TEST_F(abi, version)
{
	EXPECT_EQ(12, ioctl(self->vm->dev_fd, KVM_GET_API_VERSION, 0));
	EXPECT_ERRNO(EINVAL, ioctl(self->vm->dev_fd, KVM_GET_API_VERSION, 1));
	EXPECT_LE(2 * 4096, ioctl(self->vm->dev_fd, KVM_GET_VCPU_MMAP_SIZE, 0));
	EXPECT_ERRNO(EINVAL, ioctl(self->vm->dev_fd, KVM_CREATE_VM, 77));
}

TEST_F(abi, unknown_commands)
{
	const int fds[] = { self->vm->dev_fd, self->vm->fd, self->vcpu->fd };
	char room[8192];
	unsigned int i, nr;

	memset(room, 0, sizeof(room));
	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		EXPECT_ERRNO(ENOTTY, ioctl(fds[i], _IO(KVMIO, 0xfe), 0));
		EXPECT_ERRNO(ENOTTY, ioctl(fds[i], _IOR(KVMIO, 0xfd, int), room));
		EXPECT_ERRNO(ENOTTY, ioctl(fds[i], _IO('x', 0), 0));
		/* A known number with another size is another command. */
		for (nr = 0; nr < 256; nr++)
			EXPECT_ERRNO(ENOTTY,
				     ioctl(fds[i], _IOC(_IOC_READ | _IOC_WRITE, KVMIO, nr, 4093),
					   room));
	}
	/* Commands of one kind of descriptor are unknown on another. */
	EXPECT_ERRNO(ENOTTY, ioctl(self->vm->dev_fd, KVM_RUN, 0));
	EXPECT_ERRNO(ENOTTY, ioctl(self->vm->fd, KVM_RUN, 0));
	EXPECT_ERRNO(ENOTTY, ioctl(self->vcpu->fd, KVM_CREATE_VCPU, 1));
	EXPECT_ERRNO(ENOTTY, ioctl(self->vcpu->fd, KVM_CREATE_VM, 0));
}

TEST_F(abi, enable_cap)
{
	struct kvm_enable_cap cap = { .cap = 0xffff };

	EXPECT_ERRNO(EINVAL, ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap));
	cap.flags = 1;
	EXPECT_ERRNO(EINVAL, ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap));
	EXPECT_ERRNO(EFAULT, ioctl(self->vm->fd, KVM_ENABLE_CAP, 1ul));
}

TEST_F(abi, vcpu_ids)
{
	int max = ioctl(self->vm->dev_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPU_ID), fd;

	EXPECT_ERRNO(EEXIST, ioctl(self->vm->fd, KVM_CREATE_VCPU, 0));
	EXPECT_ERRNO(EINVAL, ioctl(self->vm->fd, KVM_CREATE_VCPU, max));
	EXPECT_ERRNO(EINVAL, ioctl(self->vm->fd, KVM_CREATE_VCPU, -1));
	EXPECT_ERRNO(EINVAL, ioctl(self->vm->fd, KVM_CREATE_VCPU, 1ul << 32));
	fd = ioctl(self->vm->fd, KVM_CREATE_VCPU, max - 1);
	EXPECT_LE(0, fd);
	close(fd);
	/* The vCPU outlives its descriptor, and so does its number. */
	EXPECT_ERRNO(EEXIST, ioctl(self->vm->fd, KVM_CREATE_VCPU, max - 1));
}

TEST_F(abi, too_late)
{
	uint64_t addr = 0xfffbc000;

	EXPECT_ERRNO(EINVAL, ioctl(self->vm->fd, KVM_CREATE_IRQCHIP, 0));
	EXPECT_ERRNO(EINVAL, ioctl(self->vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &addr));
	EXPECT_ERRNO(EBUSY, ioctl(self->vm->fd, KVM_SET_BOOT_CPU_ID, 1));
	EXPECT_ERRNO(EINVAL, ioctl(self->vm->fd, KVM_SET_TSS_ADDR, 0xfffff000ul));
	EXPECT_EQ(0, ioctl(self->vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000ul));
}

TEST_F(abi, run_needs_no_argument)
{
	EXPECT_ERRNO(EINVAL, ioctl(self->vcpu->fd, KVM_RUN, 1));
	self->vcpu->run->immediate_exit = 1;
	EXPECT_ERRNO(EINTR, ioctl(self->vcpu->fd, KVM_RUN, 0));
	self->vcpu->run->immediate_exit = 0;
	self->vcpu->run->cr8 = 16;
	EXPECT_ERRNO(EINVAL, ioctl(self->vcpu->fd, KVM_RUN, 0));
	self->vcpu->run->cr8 = 0;
	self->vcpu->run->kvm_valid_regs = ~0ull;
	EXPECT_ERRNO(EINVAL, ioctl(self->vcpu->fd, KVM_RUN, 0));
}

/* No slot at all: the first instruction cannot be fetched, which is said and not tried for ever. */
TEST(run_before_memory)
{
	int dev = test_dev_open(), vm = ioctl(dev, KVM_CREATE_VM, 0),
	    vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	struct kvm_run *run = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	ASSERT_EQ(0, ioctl(vcpu, KVM_RUN, 0));
	EXPECT_EQ(KVM_EXIT_INTERNAL_ERROR, run->exit_reason);
	munmap(run, 4096);
	close(vcpu);
	close(vm);
	close(dev);
}

TEST_F(abi, signal_mask)
{
	char room[64] = {};
	struct kvm_signal_mask *mask = (void *)room;

	mask->len = 4;
	EXPECT_ERRNO(EINVAL, ioctl(self->vcpu->fd, KVM_SET_SIGNAL_MASK, mask));
	mask->len = 8;
	EXPECT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_SIGNAL_MASK, mask));
	EXPECT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_SIGNAL_MASK, NULL));
	EXPECT_ERRNO(EFAULT, ioctl(self->vcpu->fd, KVM_SET_SIGNAL_MASK, 8ul));
}

static void on_signal(int signal)
{
	(void)signal;
}

static void *run_until_signal(void *arg)
{
	struct test_vcpu *vcpu = arg;

	return (void *)(long)(ioctl(vcpu->fd, KVM_RUN, 0) ? errno : 0);
}

/* The second thread waits for the first, which a signal brings out of the guest. */
TEST_F(abi, two_threads_in_run)
{
	struct sigaction action = { .sa_handler = on_signal };
	pthread_t first, second;
	void *ret;
	int i;

	sigaction(SIGUSR1, &action, NULL);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_spin));
	ASSERT_EQ(0, pthread_create(&first, NULL, run_until_signal, self->vcpu));
	ASSERT_EQ(0, pthread_create(&second, NULL, run_until_signal, self->vcpu));
	usleep(20000);
	for (i = 0; i < 2; i++) {
		pthread_kill(i ? second : first, SIGUSR1);
		usleep(20000);
		pthread_kill(i ? first : second, SIGUSR1);
	}
	/*
	 * Whoever was inside is out, and then the other: each by a signal of its own, sent until it
	 * is gone.
	 */
	for (i = 0; i < 200; i++) {
		pthread_kill(first, SIGUSR1);
		usleep(5000);
		if (!pthread_tryjoin_np(first, &ret))
			break;
	}
	EXPECT_EQ(EINTR, (long)ret);
	for (i = 0; i < 200; i++) {
		pthread_kill(second, SIGUSR1);
		usleep(5000);
		if (!pthread_tryjoin_np(second, &ret))
			break;
	}
	EXPECT_EQ(EINTR, (long)ret);
}

TEST_F(abi, stats)
{
	struct vitrine_vcpu_stats stats;
	struct vitrine_mitigations mitigations;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_spin));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, VITRINE_GET_STATS, &stats));
	EXPECT_EQ(0, stats.guest_ticks);
	EXPECT_EQ(0, stats.counter[0]);
	EXPECT_EQ(0, ioctl(self->vm->dev_fd, VITRINE_GET_MITIGATIONS, &mitigations));
	EXPECT_EQ(0, mitigations.needed & ~mitigations.active);
	EXPECT_ERRNO(ENOTTY, ioctl(self->vm->fd, VITRINE_GET_STATS, &stats));
}

TEST_HARNESS_MAIN
