// SPDX-License-Identifier: GPL-2.0
/*
 * Monitor fds: how many there may be, and what happens when the VM, its VMM or the tool goes at any
 * time.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/host.h"
#include "lib/monitor.h"

#define NR_KILLS	20

FIXTURE(monitor) {
	struct test_vm *vm;
	uint64_t id;
};

FIXTURE_SETUP(monitor)
{
	if (test_on_kvm())
		SKIP(TEST_NOT_AT_ALL, "KVM has no monitors");
	self->vm = test_vm_create();
	self->id = test_vm_id(self->vm);
}

FIXTURE_TEARDOWN(monitor)
{
	if (!self->vm)
		return;
	test_vm_free(self->vm);
}

GUEST_CODE(guest_busy, "1: xor %eax, %eax\ncpuid\njmp 1b\n");

TEST_F(monitor, info)
{
	struct test_vm *other = test_vm_create();
	struct vitrine_monitor_info info;
	struct test_vcpu *vcpus[2];
	int fd = test_attach(self->vm->dev_fd, self->id, 0);

	EXPECT_NE(0, self->id);
	EXPECT_LT(self->id, test_vm_id(other));
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	ASSERT_EQ(0, test_monitor_info(fd, &info));
	EXPECT_EQ(self->id, info.vm_id);
	EXPECT_EQ(0, info.flags);
	EXPECT_EQ(0, info.nr_vcpus);
	EXPECT_EQ(1, info.nr_monitors);
	EXPECT_LT(0, info.tsc_khz);
	EXPECT_NE(0, info.tsc);
	EXPECT_NE(0, info.realtime_ns);
	vcpus[0] = test_vcpu_create(self->vm, 3);
	vcpus[1] = test_vcpu_create(self->vm, 1);
	ASSERT_EQ(0, test_monitor_info(fd, &info));
	EXPECT_EQ(2, info.nr_vcpus);
	EXPECT_EQ(-1, ioctl(fd, VITRINE_MONITOR_INFO, NULL));
	EXPECT_EQ(EFAULT, errno);
	close(fd);
	test_vcpu_free(vcpus[0]);
	test_vcpu_free(vcpus[1]);
	test_vm_free(other);
}

TEST_F(monitor, bad_requests)
{
	struct vitrine_attach attach = { .vm_id = self->id, .reserved = 1 };
	struct test_vm *other = test_vm_create();
	uint64_t gone = test_vm_id(other);
	int dev_fd = self->vm->dev_fd;

	test_vm_free(other);
	EXPECT_EQ(-ESRCH, test_attach(dev_fd, gone, 0));
	EXPECT_EQ(-ESRCH, test_attach(dev_fd, 0, 0));
	EXPECT_EQ(-ESRCH, test_attach(dev_fd, ~0ull, 0));
	EXPECT_EQ(-EINVAL, test_attach(dev_fd, self->id, 4));
	EXPECT_EQ(-1, ioctl(dev_fd, VITRINE_ATTACH, &attach));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ioctl(dev_fd, VITRINE_ATTACH, NULL));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(self->vm->fd, VITRINE_ATTACH, &attach));
	EXPECT_EQ(ENOTTY, errno);
}

/* One that steers, and a bounded number in all. */
TEST_F(monitor, how_many)
{
	struct vitrine_monitor_info info;
	int fds[VITRINE_MAX_MONITORS];
	int dev_fd = self->vm->dev_fd;

	fds[0] = test_attach(dev_fd, self->id, VITRINE_ATTACH_STEER);
	ASSERT_LE(0, fds[0]);
	ASSERT_EQ(0, test_monitor_info(fds[0], &info));
	EXPECT_EQ(VITRINE_ATTACH_STEER, info.flags);
	EXPECT_EQ(-EBUSY, test_attach(dev_fd, self->id, VITRINE_ATTACH_STEER));
	for (unsigned int i = 1; i < VITRINE_MAX_MONITORS; i++) {
		fds[i] = test_attach(dev_fd, self->id, 0);
		ASSERT_LE(0, fds[i]);
	}
	EXPECT_EQ(-EBUSY, test_attach(dev_fd, self->id, 0));
	ASSERT_EQ(0, test_monitor_info(fds[1], &info));
	EXPECT_EQ(VITRINE_MAX_MONITORS, info.nr_monitors);
	EXPECT_EQ(0, info.flags);
	close(fds[0]);
	fds[0] = test_attach(dev_fd, self->id, VITRINE_ATTACH_STEER);
	EXPECT_LE(0, fds[0]);
	for (unsigned int i = 0; i < VITRINE_MAX_MONITORS; i++)
		close(fds[i]);
}

TEST_F(monitor, forbidden)
{
	int fd = test_attach(self->vm->dev_fd, self->id, 0);
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	struct test_vcpu *vcpu = test_vcpu_create(self->vm, 0);
	struct vitrine_ring_config config = { .nr_records = 16 };
	struct vitrine_monitor_info info;
	struct test_ring ring;

	ASSERT_LE(0, fd);
	test_ring_open(&ring, fd, 0, 16, 0);
	EXPECT_EQ(0, poll(&poll_fd, 1, 0));
	ASSERT_EQ(0, ioctl(self->vm->fd, VITRINE_FORBID_ATTACH, 0));
	EXPECT_EQ(1, poll(&poll_fd, 1, 0));
	EXPECT_EQ(POLLHUP, poll_fd.revents);
	EXPECT_EQ(-ESRCH, test_monitor_info(fd, &info));
	EXPECT_EQ(-ESRCH, test_ring_create(fd, &config));
	EXPECT_EQ(-ESRCH, test_ring_filter(fd, 0, 0, 0));
	/* For root as well, and for good. */
	EXPECT_EQ(-EPERM, test_attach(self->vm->dev_fd, self->id, 0));
	ASSERT_EQ(0, ioctl(self->vm->fd, VITRINE_FORBID_ATTACH, 0));
	EXPECT_EQ(-EPERM, test_attach(self->vm->dev_fd, self->id, 0));
	/* The VM is none the worse, and its exits are its own. */
	test_vcpu_set_supported_cpuid(vcpu);
	vcpu->run->immediate_exit = 1;
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_busy));
	EXPECT_EQ(-1, ioctl(vcpu->fd, KVM_RUN, 0));
	EXPECT_EQ(EINTR, errno);
	EXPECT_EQ(0, ring.header->head);
	test_ring_close(&ring);
	close(fd);
	test_vcpu_free(vcpu);
}

TEST_F(monitor, the_vm_goes)
{
	int fd = test_attach(self->vm->dev_fd, self->id, VITRINE_ATTACH_STEER);
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	struct test_vcpu *vcpu = test_vcpu_create(self->vm, 0);
	int dev_fd = open(test_dev_path(), O_RDWR | O_CLOEXEC);
	struct vitrine_monitor_info info;
	struct vitrine_ring_state state;
	struct test_ring ring;

	ASSERT_LE(0, fd);
	ASSERT_LE(0, dev_fd);
	test_ring_open(&ring, fd, 0, 16, 0);
	test_vcpu_free(vcpu);
	test_vm_free(self->vm);
	self->vm = NULL;
	EXPECT_EQ(1, poll(&poll_fd, 1, 0));
	EXPECT_EQ(POLLHUP, poll_fd.revents);
	EXPECT_EQ(-ESRCH, test_monitor_info(fd, &info));
	EXPECT_EQ(-ESRCH, test_ring_filter(fd, 0, 0, 0));
	EXPECT_EQ(-ESRCH, test_attach(dev_fd, self->id, 0));
	test_ring_state(fd, 0, &state);
	EXPECT_EQ(0, state.head);
	/* Also where nobody has touched it yet. */
	EXPECT_EQ(0, test_ring_record(&ring, 15)->seq);
	test_ring_close(&ring);
	close(fd);
	close(dev_fd);
}

/* A guest that never ends, its id told to the parent first. */
static void run_for_ever(int to_parent)
{
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	uint64_t id = test_vm_id(vm);

	test_vcpu_set_supported_cpuid(vcpu);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_busy));
	if (write(to_parent, &id, sizeof(id)) != sizeof(id))
		test_die("write");
	for (;;)
		ioctl(vcpu->fd, KVM_RUN, 0);
}

static uint64_t start_for_ever(pid_t *child)
{
	uint64_t id;
	int up[2];

	if (pipe(up))
		test_die("pipe");
	*child = fork();
	if (*child < 0)
		test_die("fork");
	if (!*child)
		run_for_ever(up[1]);
	close(up[1]);
	if (read(up[0], &id, sizeof(id)) != sizeof(id))
		test_die("the VMM did not start");
	close(up[0]);
	return id;
}

static void kill_and_wait(pid_t child)
{
	int status;

	kill(child, SIGKILL);
	if (waitpid(child, &status, 0) != child)
		test_die("waitpid");
}

static void wait_for_records(const struct test_ring *ring, uint64_t until)
{
	for (unsigned int i = 0; i < 5000; i++) {
		if (*(volatile uint64_t *)&ring->header->head >= until)
			return;
		usleep(1000);
	}
	test_die("no more records come");
}

/* While its exits are recorded. */
TEST_F(monitor, the_vmm_is_killed)
{
	struct pollfd poll_fd = { .events = POLLIN };
	struct vitrine_ring_state state;
	struct test_ring ring;
	pid_t child;
	uint64_t id;

	for (unsigned int i = 0; i < 3; i++) {
		id = start_for_ever(&child);
		poll_fd.fd = test_attach(self->vm->dev_fd, id, 0);
		ASSERT_LE(0, poll_fd.fd);
		test_ring_open(&ring, poll_fd.fd, 0, 64, i == 1 ? VITRINE_RING_STOP : 0);
		wait_for_records(&ring, i == 1 ? 64 : 100);
		kill(child, SIGKILL);
		EXPECT_EQ(1, poll(&poll_fd, 1, 10000));
		EXPECT_EQ(POLLHUP, poll_fd.revents);
		kill_and_wait(child);
		test_ring_state(poll_fd.fd, 0, &state);
		EXPECT_EQ(state.head, ring.header->head);
		EXPECT_EQ(state.lost, ring.header->lost);
		EXPECT_EQ(state.head, test_ring_record(&ring, state.head - 1)->seq);
		test_ring_close(&ring);
		close(poll_fd.fd);
	}
}

struct tool {
	int dev_fd;
	uint64_t id;
	uint64_t seed;
};

/* Attaches, opens a ring, changes its filter, over and over. */
static void watch_for_ever(const struct tool *tool)
{
	for (;;) {
		int fd = test_attach(tool->dev_fd, tool->id, VITRINE_ATTACH_STEER);
		struct test_ring ring;

		if (fd < 0)
			continue;
		test_ring_open(&ring, fd, 0, 64, VITRINE_RING_INSN);
		for (unsigned int i = 0; i < 8; i++)
			test_ring_filter(fd, 0, i & 1 ? ~0ull : 0, 0);
		test_ring_close(&ring);
		close(fd);
	}
}

/* At any moment; the guest goes on, and the place is free again. */
TEST_F(monitor, the_tool_is_killed)
{
	struct tool tool = { .dev_fd = self->vm->dev_fd, .seed = host_seed() };
	struct vitrine_monitor_info info;
	struct test_ring ring;
	pid_t vmm, child;
	int fd, steering;

	tool.id = start_for_ever(&vmm);
	fd = test_attach(self->vm->dev_fd, tool.id, 0);
	ASSERT_LE(0, fd);
	test_ring_open(&ring, fd, 0, 64, 0);
	for (unsigned int i = 0; i < NR_KILLS; i++) {
		child = fork();
		ASSERT_LE(0, child);
		if (!child)
			watch_for_ever(&tool);
		usleep(500 + host_random(&tool.seed) % 10000);
		kill_and_wait(child);
		steering = test_attach(self->vm->dev_fd, tool.id, VITRINE_ATTACH_STEER);
		ASSERT_LE(0, steering);
		close(steering);
	}
	wait_for_records(&ring, ring.header->head + 100);
	ASSERT_EQ(0, test_monitor_info(fd, &info));
	EXPECT_EQ(1, info.nr_monitors);
	test_ring_close(&ring);
	close(fd);
	kill_and_wait(vmm);
}

struct chaser {
	int dev_fd;
	atomic_ullong id;
	atomic_bool stop;
	unsigned int attached;
	unsigned int gone;
	unsigned int other;
};

static void *chase(void *data)
{
	struct chaser *chaser = data;
	struct vitrine_ring_config config = { .nr_records = 16 };

	while (!atomic_load(&chaser->stop)) {
		int fd = test_attach(chaser->dev_fd, atomic_load(&chaser->id), 0);

		if (fd >= 0) {
			config = (struct vitrine_ring_config) { .nr_records = 16,
								.reasons = { ~0ull } };
			chaser->attached++;
			test_ring_create(fd, &config);
			close(fd);
		} else if (fd == -ESRCH) {
			chaser->gone++;
		} else {
			chaser->other++;
		}
	}
	return NULL;
}

/* VMs that come and go while somebody attaches to them. */
TEST_F(monitor, dying_vms)
{
	struct chaser chaser = { .dev_fd = self->vm->dev_fd };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, chase, &chaser));
	for (unsigned int i = 0; i < 60; i++) {
		int vm_fd = ioctl(self->vm->dev_fd, KVM_CREATE_VM, 0), vcpu_fd;
		uint64_t id;

		ASSERT_LE(0, vm_fd);
		ASSERT_EQ(0, ioctl(vm_fd, VITRINE_GET_VM_ID, &id));
		atomic_store(&chaser.id, id);
		vcpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
		ASSERT_LE(0, vcpu_fd);
		close(vcpu_fd);
		close(vm_fd);
	}
	atomic_store(&chaser.stop, true);
	pthread_join(thread, NULL);
	EXPECT_LT(0, chaser.attached);
	EXPECT_LT(0, chaser.gone);
	EXPECT_EQ(0, chaser.other);
}

TEST_HARNESS_MAIN
