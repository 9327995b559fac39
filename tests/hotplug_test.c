// SPDX-License-Identifier: GPL-2.0
/*
 * CPUs that go and come, and a machine that sleeps, while guests run: the guests go on, and root
 * operation is entered and left with the CPU.
 *
 * build: -lpthread
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <vitrine.h>
#include <vitrine_access.h>
#include <vitrine_policy.h>

#include "kselftest_harness.h"
#include "lib/host.h"
#include "lib/monitor.h"
#include "lib/steer.h"
#include "lib/vm.h"

#define RUNNERS	3
#define ROUNDS	3

/* Counts in memory and in a port, so that both ways of running are seen to go on. */
GUEST_CODE(guest_count, "mov $0x10000, %ebx\n1:\nmov $20000, %ecx\n2:\ndec %ecx\njnz 2b\n"
	   "incq (%rbx)\nmov (%rbx), %rax\noutb %al, $0x42\njmp 1b\n");
GUEST_CODE(guest_cpuid, GUEST_SYNC "xor %eax, %eax\ncpuid\n" GUEST_SYNC);

struct runner {
	pthread_t thread;
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	atomic_bool stop;
	atomic_ulong exits;
	int error;
};

static void *run(void *arg)
{
	struct runner *r = arg;

	r->vm = test_vm_create_irqchip();
	r->vcpu = test_vcpu_create(r->vm, 0);
	test_vcpu_long_mode(r->vcpu, GUEST_BLOB(guest_count));
	while (!r->stop) {
		if (ioctl(r->vcpu->fd, KVM_RUN, 0)) {
			r->error = errno;
			break;
		}
		if (r->vcpu->run->exit_reason != KVM_EXIT_IO) {
			r->error = 1000 + r->vcpu->run->exit_reason;
			break;
		}
		r->exits++;
	}
	return NULL;
}

FIXTURE(hotplug) {
	struct runner runner[RUNNERS];
};

FIXTURE_SETUP(hotplug)
{
	int i;

	if (access("/sys/devices/system/cpu/cpu1/online", W_OK))
		SKIP(TEST_NOT_AT_ALL, "one CPU only, or none that can go offline");
	for (i = 0; i < RUNNERS; i++) {
		self->runner[i] = (struct runner){};
		ASSERT_EQ(0, pthread_create(&self->runner[i].thread, NULL, run, &self->runner[i]));
	}
}

FIXTURE_TEARDOWN(hotplug)
{
	int i;

	for (i = 0; i < RUNNERS; i++) {
		self->runner[i].stop = true;
		pthread_join(self->runner[i].thread, NULL);
		EXPECT_EQ(0, self->runner[i].error);
		if (self->runner[i].vcpu)
			test_vcpu_free(self->runner[i].vcpu);
		if (self->runner[i].vm)
			test_vm_free(self->runner[i].vm);
	}
}

/* Every guest makes progress from here on. */
static void all_go_on(struct __test_metadata *_metadata, FIXTURE_DATA(hotplug) *self)
{
	unsigned long before[RUNNERS];
	int i, waited;

	for (i = 0; i < RUNNERS; i++)
		before[i] = self->runner[i].exits;
	for (i = 0; i < RUNNERS; i++) {
		for (waited = 0; self->runner[i].exits <= before[i] + 2 && waited < 2000; waited++)
			usleep(1000);
		EXPECT_GT(self->runner[i].exits, before[i] + 2);
	}
}

TEST_F(hotplug, cpu_goes_and_comes)
{
	int round;

	for (round = 0; round < ROUNDS; round++) {
		all_go_on(_metadata, self);
		ASSERT_EQ(0, host_cpu_set_online(1, 0));
		all_go_on(_metadata, self);
		ASSERT_EQ(0, host_cpu_set_online(1, 1));
	}
	all_go_on(_metadata, self);
}

/*
 * A thread that may run nowhere else keeps its guest when its CPU goes: the scheduler moves both.
 */
TEST_F(hotplug, cpu_goes_under_a_bound_guest)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(1, &one);
	ASSERT_EQ(0, pthread_setaffinity_np(self->runner[0].thread, sizeof(one), &one));
	all_go_on(_metadata, self);
	ASSERT_EQ(0, host_cpu_set_online(1, 0));
	all_go_on(_metadata, self);
	ASSERT_EQ(0, host_cpu_set_online(1, 1));
	all_go_on(_metadata, self);
}

/*
 * A CPU that comes while VMs live enters root operation by itself: a guest can be put there at
 * once.
 */
TEST_F(hotplug, guest_moves_to_a_new_cpu)
{
	cpu_set_t one;
	int i;

	ASSERT_EQ(0, host_cpu_set_online(1, 0));
	ASSERT_EQ(0, host_cpu_set_online(1, 1));
	CPU_ZERO(&one);
	CPU_SET(1, &one);
	for (i = 0; i < RUNNERS; i++)
		ASSERT_EQ(0, pthread_setaffinity_np(self->runner[i].thread, sizeof(one), &one));
	all_go_on(_metadata, self);
}

/*
 * All that follows in this boot counts on it: a CPU whose TSC went astray in the sleep has its
 * timers late by as much.
 */
static void clocks_agree(struct __test_metadata *_metadata)
{
	struct timespec before, after;
	cpu_set_t old, one;
	long ms;
	int cpu;

	ASSERT_EQ(0, sched_getaffinity(0, sizeof(old), &old));
	for (cpu = 0; cpu < 2; cpu++) {
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		/* Read on the other CPU, to see both clocks in one difference. */
		clock_gettime(CLOCK_MONOTONIC, &before);
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
		usleep(10000);
		clock_gettime(CLOCK_MONOTONIC, &after);
		ms = (after.tv_sec - before.tv_sec) * 1000 +
		     (after.tv_nsec - before.tv_nsec) / 1000000;
		EXPECT_GE(ms, 10);
		EXPECT_LT(ms, 200);
	}
	sched_setaffinity(0, sizeof(old), &old);
}

TEST_F(hotplug, machine_sleeps_and_wakes)
{
	all_go_on(_metadata, self);
	ASSERT_EQ(0, host_write("/sys/power/state", "mem"));
	all_go_on(_metadata, self);
	clocks_agree(_metadata);
}

/* A guest whose thread waits in KVM_RUN, and goes back there when a signal, or a sleep, ends it. */
struct waiter {
	struct test_steer t;
	atomic_bool done;
};

static void *wait_in_run(void *arg)
{
	struct waiter *waiter = arg;
	int ret;

	do {
		ret = ioctl(waiter->t.vcpu->fd, KVM_RUN, 0);
	} while (ret && errno == EINTR);
	waiter->t.error = ret ? errno : 0;
	waiter->done = true;
	return NULL;
}

static void waiter_create(struct waiter *waiter)
{
	*waiter = (struct waiter){};
	test_steer_create(&waiter->t);
	test_steer_load(&waiter->t, GUEST_BLOB(guest_cpuid));
}

/* What waits for a control tool waits on: an event for its answer, and a guest that is paused. */
TEST(machine_sleeps_while_a_monitor_is_waited_for)
{
	struct vitrine_rule rule = test_rule(VITRINE_ON_CPUID, VITRINE_DO_ASK, 0, 0);
	struct waiter asking, paused;
	struct vitrine_exit_event event, other;
	struct vitrine_answer answer;
	uint32_t flags = 0;
	struct kvm_regs regs;
	int control;

	if (test_on_kvm())
		SKIP(return, "KVM has no monitors");
	waiter_create(&asking);
	waiter_create(&paused);
	ASSERT_EQ(0, test_set_rules(asking.t.fd, &rule, 1));
	ASSERT_EQ(0, pthread_create(&asking.t.runner, NULL, wait_in_run, &asking));
	ASSERT_EQ(0, test_next_event(asking.t.fd, &event, TEST_LONG_MS));
	control = test_attach(paused.t.vm->dev_fd, paused.t.vm_id, VITRINE_ATTACH_CONTROL);
	ASSERT_LE(0, control);
	ASSERT_EQ(0, ioctl(control, VITRINE_PAUSE, &flags));
	ASSERT_EQ(0, pthread_create(&paused.t.runner, NULL, wait_in_run, &paused));
	usleep(10000);

	for (int round = 0; round < 2; round++) {
		ASSERT_EQ(0, host_write("/sys/power/state", "mem"));
		usleep(10000);
		EXPECT_FALSE(asking.done);
		EXPECT_FALSE(paused.done);
		/* Fetched before, and not once more. */
		EXPECT_EQ(-ETIMEDOUT, test_next_event(asking.t.fd, &other, 0));
	}

	answer = test_done(&event);
	answer.regs.rax = 0x1234;
	EXPECT_EQ(0, ioctl(asking.t.fd, VITRINE_ANSWER, &answer));
	ASSERT_TRUE(test_steer_ended_well(&asking.t));
	test_vcpu_regs(asking.t.vcpu, &regs);
	EXPECT_EQ(0x1234, regs.rax);
	EXPECT_EQ(0, ioctl(control, VITRINE_UNPAUSE));
	ASSERT_TRUE(test_steer_ended_well(&paused.t));
	close(control);
	test_steer_free(&asking.t);
	test_steer_free(&paused.t);
	clocks_agree(_metadata);
}

TEST_HARNESS_MAIN
