// SPDX-License-Identifier: GPL-2.0
/*
 * Pausing a VM: the guest stands still, its VMM does not; and whoever goes, monitor or VMM, at
 * whatever moment, leaves nobody waiting for good.
 *
 * build: -lpthread
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vitrine.h>
#include <vitrine_policy.h>

#include "kselftest_harness.h"
#include "lib/monitor.h"
#include "lib/reach.h"
#include "lib/steer.h"
#include "lib/vm.h"

#define NR_PAUSES	60

/* Counts in R9, with an exit each time, until R10 is not 0. */
GUEST_CODE(guest_count, "sti\n1: xor %eax, %eax\ncpuid\ninc %r9\ntest %r10, %r10\njz 1b\ncli\n"
	   GUEST_SYNC);
GUEST_CODE(guest_cpuid, GUEST_SYNC "xor %eax, %eax\ncpuid\n" GUEST_SYNC);
GUEST_CODE(guest_halt, "sti\n1: hlt\njmp 1b\n");

FIXTURE(pause) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	uint64_t id;
	int fd;
	struct test_runner runner;
};

static int attach(struct test_vm *vm, uint32_t flags)
{
	int fd = test_attach(vm->dev_fd, test_vm_id(vm), flags);

	if (fd < 0)
		test_die("VITRINE_ATTACH");
	return fd;
}

FIXTURE_SETUP(pause)
{
	if (test_on_kvm())
		SKIP(TEST_NOT_AT_ALL, "KVM has no monitors");
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_count));
	self->id = test_vm_id(self->vm);
	self->fd = attach(self->vm, VITRINE_ATTACH_CONTROL);
	test_ignore_by_handler(SIGUSR1);
}

FIXTURE_TEARDOWN(pause)
{
	if (self->fd >= 0)
		close(self->fd);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

/* 0 or -errno */
static int pause_vm(int fd, uint32_t flags)
{
	return ioctl(fd, VITRINE_PAUSE, &flags) ? -errno : 0;
}

/* How many others, or -errno. */
static int unpause(int fd)
{
	int ret = ioctl(fd, VITRINE_UNPAUSE);

	return ret < 0 ? -errno : ret;
}

static uint64_t counted(int fd, uint32_t vcpu)
{
	struct vitrine_regs regs;

	if (test_read_regs(fd, vcpu, &regs))
		test_die("VITRINE_READ_REGS");
	return regs.general.r9;
}

static bool stands(int fd, uint32_t vcpu)
{
	uint64_t before = counted(fd, vcpu);

	usleep(20000);
	return counted(fd, vcpu) == before;
}

static bool goes_on(int fd, uint32_t vcpu)
{
	uint64_t before = counted(fd, vcpu);

	for (unsigned int i = 0; i < 1000; i++) {
		if (counted(fd, vcpu) != before)
			return true;
		usleep(5000);
	}
	return false;
}

/* The guest comes to its end; the VM may be paused only by who says so. */
static int finish(int fd, uint32_t vcpu, struct test_runner *runner)
{
	struct vitrine_regs regs;

	if (test_read_regs(fd, vcpu, &regs))
		test_die("VITRINE_READ_REGS");
	regs.general.r10 = 1;
	if (test_write_regs(fd, &regs, VITRINE_REGS_GENERAL))
		test_die("VITRINE_WRITE_REGS");
	return test_runner_join(runner);
}

TEST_F(pause, the_guest_stands_and_goes_on)
{
	test_runner_start(&self->runner, self->vcpu);
	EXPECT_TRUE(goes_on(self->fd, 0));
	ASSERT_EQ(0, pause_vm(self->fd, 0));
	EXPECT_TRUE(stands(self->fd, 0));
	/* Once more is as good as once. */
	ASSERT_EQ(0, pause_vm(self->fd, 0));
	EXPECT_TRUE(stands(self->fd, 0));
	EXPECT_EQ(0, unpause(self->fd));
	EXPECT_TRUE(goes_on(self->fd, 0));
	EXPECT_EQ(0, unpause(self->fd));
	EXPECT_EQ(0, finish(self->fd, 0, &self->runner));
	EXPECT_TRUE(test_vcpu_is_at(self->vcpu, TEST_PORT_SYNC));
}

TEST_F(pause, rights_and_flags)
{
	int observer = attach(self->vm, 0);

	EXPECT_EQ(-EPERM, pause_vm(observer, 0));
	EXPECT_EQ(-EPERM, unpause(observer));
	EXPECT_EQ(-EINVAL, pause_vm(self->fd, 2));
	EXPECT_EQ(-1, ioctl(self->fd, VITRINE_PAUSE, NULL));
	EXPECT_EQ(EFAULT, errno);
	close(observer);
}

/* Each by itself; what stays is anybody's. */
TEST_F(pause, several_monitors)
{
	int other = attach(self->vm, VITRINE_ATTACH_CONTROL);

	test_runner_start(&self->runner, self->vcpu);
	ASSERT_EQ(0, pause_vm(self->fd, 0));
	ASSERT_EQ(0, pause_vm(other, 0));
	ASSERT_EQ(0, pause_vm(other, VITRINE_PAUSE_STAY));
	EXPECT_EQ(1, unpause(self->fd));
	EXPECT_TRUE(stands(self->fd, 0));
	ASSERT_EQ(0, pause_vm(self->fd, 0));
	EXPECT_EQ(1, unpause(other));
	EXPECT_TRUE(stands(self->fd, 0));
	/* Whoever pauses and goes lets it go on. */
	close(self->fd);
	self->fd = other;
	EXPECT_TRUE(goes_on(other, 0));
	/* Unless the pause is to stay. */
	ASSERT_EQ(0, pause_vm(other, VITRINE_PAUSE_STAY));
	close(other);
	self->fd = attach(self->vm, VITRINE_ATTACH_CONTROL);
	EXPECT_TRUE(stands(self->fd, 0));
	EXPECT_EQ(0, unpause(self->fd));
	EXPECT_EQ(0, finish(self->fd, 0, &self->runner));
}

TEST_F(pause, the_vmm_gets_out_of_run)
{
	ASSERT_EQ(0, pause_vm(self->fd, 0));
	test_runner_start(&self->runner, self->vcpu);
	usleep(10000);
	EXPECT_FALSE(self->runner.done);
	EXPECT_EQ(EINTR, test_runner_interrupt(&self->runner));
	EXPECT_EQ(KVM_EXIT_INTR, self->vcpu->run->exit_reason);
	EXPECT_EQ(0, counted(self->fd, 0));

	self->vcpu->run->immediate_exit = 1;
	test_runner_start(&self->runner, self->vcpu);
	EXPECT_EQ(EINTR, test_runner_join(&self->runner));
	self->vcpu->run->immediate_exit = 0;

	/* And waits again in the next. */
	test_runner_start(&self->runner, self->vcpu);
	usleep(10000);
	EXPECT_FALSE(self->runner.done);
	EXPECT_EQ(0, counted(self->fd, 0));
	EXPECT_EQ(0, unpause(self->fd));
	EXPECT_EQ(0, finish(self->fd, 0, &self->runner));
}

TEST_F(pause, begins_paused)
{
	struct test_vcpu *late;
	struct test_runner other;

	ASSERT_EQ(0, ioctl(self->vm->fd, VITRINE_START_PAUSED));
	test_runner_start(&self->runner, self->vcpu);
	late = test_vcpu_create(self->vm, 1);
	test_vcpu_set_supported_cpuid(late);
	test_vcpu_long_mode(late, GUEST_BLOB(guest_count));
	test_runner_start(&other, late);
	usleep(10000);
	EXPECT_EQ(0, counted(self->fd, 0));
	EXPECT_EQ(0, counted(self->fd, 1));
	EXPECT_EQ(0, unpause(self->fd));
	EXPECT_EQ(0, finish(self->fd, 0, &self->runner));
	EXPECT_EQ(0, finish(self->fd, 1, &other));
	test_vcpu_free(late);
}

/* Nobody could resume it. */
TEST_F(pause, a_vmm_that_forbids_monitors_ends_it)
{
	struct kvm_regs regs;

	ASSERT_EQ(0, pause_vm(self->fd, 0));
	ASSERT_EQ(0, pause_vm(self->fd, VITRINE_PAUSE_STAY));
	test_vcpu_regs(self->vcpu, &regs);
	regs.r10 = 1;
	test_vcpu_set_regs(self->vcpu, &regs);
	test_runner_start(&self->runner, self->vcpu);
	usleep(10000);
	EXPECT_FALSE(self->runner.done);
	ASSERT_EQ(0, ioctl(self->vm->fd, VITRINE_FORBID_ATTACH));
	EXPECT_EQ(0, test_runner_join(&self->runner));
	EXPECT_EQ(-ESRCH, pause_vm(self->fd, 0));
	EXPECT_EQ(-ESRCH, unpause(self->fd));
	EXPECT_EQ(-1, ioctl(self->vm->fd, VITRINE_START_PAUSED));
	EXPECT_EQ(EPERM, errno);
}

TEST_F(pause, a_monitor_is_killed)
{
	pid_t child;
	int status;

	test_runner_start(&self->runner, self->vcpu);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		/* By the device: the VM's own fd is for the process that made it. */
		if (pause_vm(test_attach(self->vm->dev_fd, self->id, VITRINE_ATTACH_CONTROL), 0))
			_exit(1);
		for (;;)
			pause();
	}
	for (unsigned int i = 0; i < 50 && !stands(self->fd, 0); i++)
		usleep(1000);
	EXPECT_TRUE(stands(self->fd, 0));
	kill(child, SIGKILL);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(goes_on(self->fd, 0));
	EXPECT_EQ(0, finish(self->fd, 0, &self->runner));
}

/* A VMM in a process of its own tells its VM's number and runs the guest for good. */
static void be_vmm(int fd, bool halts)
{
	struct test_vm *vm = halts ? test_vm_create_irqchip() : test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	uint64_t id = test_vm_id(vm);

	test_vcpu_set_supported_cpuid(vcpu);
	if (halts)
		test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_halt));
	else
		test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_count));
	if (write(fd, &id, sizeof(id)) != sizeof(id))
		_exit(1);
	for (;;)
		test_vcpu_run(vcpu);
}

static void kill_vmm(struct __test_metadata *_metadata, int dev_fd, bool halts)
{
	struct pollfd poll_fd = { .events = POLLIN };
	int pipe_fd[2], status;
	uint64_t id;
	pid_t child;

	ASSERT_EQ(0, pipe(pipe_fd));
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		be_vmm(pipe_fd[1], halts);
	ASSERT_EQ(sizeof(id), read(pipe_fd[0], &id, sizeof(id)));
	poll_fd.fd = test_attach(dev_fd, id, VITRINE_ATTACH_CONTROL);
	ASSERT_LE(0, poll_fd.fd);
	usleep(10000);
	ASSERT_EQ(0, pause_vm(poll_fd.fd, VITRINE_PAUSE_STAY));
	EXPECT_TRUE(stands(poll_fd.fd, 0));
	kill(child, SIGKILL);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(1, poll(&poll_fd, 1, TEST_LONG_MS));
	EXPECT_TRUE(poll_fd.revents & POLLHUP);
	EXPECT_EQ(-ESRCH, unpause(poll_fd.fd));
	EXPECT_EQ(-ESRCH, pause_vm(poll_fd.fd, 0));
	close(poll_fd.fd);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

TEST_F(pause, the_vmm_is_killed)
{
	kill_vmm(_metadata, self->vm->dev_fd, false);
	kill_vmm(_metadata, self->vm->dev_fd, true);
}

/* What waits for its answer is answered, and the guest stops after that. */
TEST_F(pause, with_an_event_that_waits)
{
	struct vitrine_rule rule = test_rule(VITRINE_ON_CPUID, VITRINE_DO_ASK, 0, 0);
	int steering = attach(self->vm, VITRINE_ATTACH_STEER);
	struct vitrine_exit_event event;
	struct vitrine_answer answer;
	struct vitrine_regs regs;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_cpuid));
	test_vcpu_run_to_sync(self->vcpu);
	ASSERT_EQ(0, test_set_rules(steering, &rule, 1));
	test_runner_start(&self->runner, self->vcpu);
	ASSERT_EQ(0, test_next_event(steering, &event, TEST_LONG_MS));
	ASSERT_EQ(0, pause_vm(self->fd, 0));
	answer = test_done(&event);
	answer.regs.rax = 0x1234;
	EXPECT_EQ(0, ioctl(steering, VITRINE_ANSWER, &answer));
	for (unsigned int i = 0; i < 1000; i++) {
		ASSERT_EQ(0, test_read_regs(self->fd, 0, &regs));
		if (regs.general.rax == 0x1234)
			break;
		usleep(1000);
	}
	EXPECT_EQ(0x1234, regs.general.rax);
	EXPECT_EQ(event.regs.rip + 2, regs.general.rip);
	usleep(10000);
	EXPECT_FALSE(self->runner.done);
	EXPECT_EQ(0, unpause(self->fd));
	EXPECT_EQ(0, test_runner_join(&self->runner));
	close(steering);
}

static int nmi(int fd, uint32_t vcpu)
{
	return ioctl(fd, VITRINE_NMI, &vcpu) ? -errno : 0;
}

/* The guest's handler tells its vector and goes no further. */
TEST_F(pause, an_nmi)
{
	struct test_vcpu *second = test_vcpu_create(self->vm, 1);
	int observer = attach(self->vm, 0);
	struct test_exception exception;
	struct test_runner other;

	EXPECT_EQ(-EPERM, nmi(observer, 0));
	EXPECT_EQ(-ENOENT, nmi(self->fd, 2));
	EXPECT_EQ(-1, ioctl(self->fd, VITRINE_NMI, NULL));
	EXPECT_EQ(EFAULT, errno);
	test_vcpu_set_supported_cpuid(second);
	test_vcpu_long_mode(second, GUEST_BLOB(guest_count));
	ASSERT_EQ(0, pause_vm(self->fd, 0));
	test_runner_start(&self->runner, self->vcpu);
	test_runner_start(&other, second);
	ASSERT_EQ(0, nmi(self->fd, VITRINE_NMI_ALL));
	usleep(10000);
	EXPECT_FALSE(self->runner.done);
	EXPECT_FALSE(other.done);
	EXPECT_EQ(0, unpause(self->fd));
	EXPECT_EQ(0, test_runner_join(&self->runner));
	EXPECT_EQ(0, test_runner_join(&other));
	EXPECT_TRUE(test_vcpu_is_at(self->vcpu, TEST_PORT_EXCEPTION));
	EXPECT_TRUE(test_vcpu_is_at(second, TEST_PORT_EXCEPTION));
	test_vcpu_free(second);

	/* To one, that is not in KVM_RUN: it takes it when it comes there. */
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_count));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_VCPU_EVENTS, &(struct kvm_vcpu_events) {}));
	ASSERT_EQ(0, nmi(self->fd, 0));
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(2, exception.vector);
	close(observer);
}

struct hammer {
	int fd;
	uint32_t vcpu;
	bool stop;
};

static void *hammer(void *arg)
{
	struct hammer *hammer = arg;

	while (!__atomic_load_n(&hammer->stop, __ATOMIC_RELAXED))
		counted(hammer->fd, hammer->vcpu);
	return NULL;
}

TEST_F(pause, again_and_again)
{
	struct test_vcpu *second = test_vcpu_create(self->vm, 1);
	struct hammer hammers[2] = { { self->fd, 0, false }, { self->fd, 1, false } };
	struct test_runner runners[2];
	pthread_t threads[2];
	unsigned int i;

	test_vcpu_set_supported_cpuid(second);
	test_vcpu_long_mode(second, GUEST_BLOB(guest_count));
	test_runner_start(&runners[0], self->vcpu);
	test_runner_start(&runners[1], second);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, hammer, &hammers[i]));
	for (i = 0; i < NR_PAUSES; i++) {
		uint64_t before[2];

		ASSERT_EQ(0, pause_vm(self->fd, i & 1 ? VITRINE_PAUSE_STAY : 0));
		before[0] = counted(self->fd, 0);
		before[1] = counted(self->fd, 1);
		if (i % 8 == 0) {
			EXPECT_EQ(EINTR, test_runner_interrupt(&runners[0]));
			test_runner_start(&runners[0], self->vcpu);
		}
		EXPECT_EQ(before[0], counted(self->fd, 0));
		EXPECT_EQ(before[1], counted(self->fd, 1));
		EXPECT_EQ(0, unpause(self->fd));
	}
	for (i = 0; i < 2; i++) {
		__atomic_store_n(&hammers[i].stop, true, __ATOMIC_RELAXED);
		pthread_join(threads[i], NULL);
	}
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, finish(self->fd, i, &runners[i]));
	test_vcpu_free(second);
}

TEST_HARNESS_MAIN
