// SPDX-License-Identifier: GPL-2.0
/*
 * How a halted vCPU waits: it polls for as long as has paid lately, and never in anybody's way.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <vitrine.h>

#include "kselftest_harness.h"
#include "lib/apic.h"
#include "lib/irq.h"

#define MSR_POLL_CONTROL	0x4b564d05
#define MSR_APIC_BASE		TEST_MSR_APIC_BASE
#define VECTOR			0x61
#define SECOND_NS		1000000000ull
#define PARAMETERS		"/sys/module/vitrine/parameters/"

FIXTURE(halt_poll) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	uint64_t saved[4];
};

static const char *const parameters[4] = {
	"halt_poll_ns", "halt_poll_ns_grow", "halt_poll_ns_grow_start", "halt_poll_ns_shrink",
};

static uint64_t parameter(const char *name)
{
	unsigned long long value;
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%llu", &value) != 1)
		test_die("%s", path);
	fclose(file);
	return value;
}

static void set_parameter(const char *name, uint64_t value)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	file = fopen(path, "w");
	if (!file || fprintf(file, "%llu", (unsigned long long)value) < 0 || fclose(file))
		test_die("%s", path);
}

FIXTURE_SETUP(halt_poll)
{
	if (test_on_kvm())
		SKIP(TEST_NOT_AT_ALL, "KVM's are another module's parameters and counters");
	for (unsigned int i = 0; i < 4; i++)
		self->saved[i] = parameter(parameters[i]);
	self->vm = test_vm_create_irqchip();
	self->vcpu = test_vcpu_create(self->vm, 0);
	apic_set_cpuid(self->vcpu);
	test_irq_start(self->vcpu, 0, TEST_EOI_X2APIC);
	apic_enable_x2(self->vcpu);
	apic_set_x2(self->vcpu, APIC_TDCR, DIVIDE_BY_1);
	apic_set_x2(self->vcpu, APIC_LVTT, VECTOR);
}

FIXTURE_TEARDOWN(halt_poll)
{
	for (unsigned int i = 0; i < 4; i++)
		set_parameter(parameters[i], self->saved[i]);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

static uint64_t counter(struct test_vcpu *vcpu, const char *name)
{
	char names[] = VITRINE_COUNTER_NAMES;
	struct vitrine_vcpu_stats stats;
	unsigned int i = 0;

	if (ioctl(vcpu->fd, VITRINE_GET_STATS, &stats))
		test_die("VITRINE_GET_STATS");
	for (char *word = strtok(names, ","); word; word = strtok(NULL, ","), i++)
		if (!strcmp(word, name))
			return stats.counter[i];
	test_die("there is no %s", name);
}

/* The timer's interrupt comes @ns after it was asked for, and the guest halts until then. */
static void halt_for(struct test_vcpu *vcpu, uint32_t ns)
{
	unsigned int taken = test_irq_count(vcpu);

	apic_set_x2(vcpu, APIC_TMICT, ns);
	test_irq_halt(vcpu);
	if (test_irq_count(vcpu) != taken + 1)
		test_die("%u interrupts", test_irq_count(vcpu) - taken);
}

static int set_limit(struct test_vm *vm, uint64_t ns)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HALT_POLL, .args = { ns } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* As KVM has them. */
TEST_F(halt_poll, parameters)
{
	EXPECT_EQ(200000, self->saved[0]);
	EXPECT_EQ(2, self->saved[1]);
	EXPECT_EQ(10000, self->saved[2]);
	EXPECT_EQ(0, self->saved[3]);
	EXPECT_EQ(1, test_check_extension(self->vm->fd, KVM_CAP_HALT_POLL));
	EXPECT_EQ(-1, set_limit(self->vm, 1ull << 32));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, set_limit(self->vm, 0xffffffff));
	EXPECT_EQ(0, set_limit(self->vm, 0));
}

TEST_F(halt_poll, grows_and_shrinks)
{
	/* Generous, for an emulated machine that is slow: a poll always catches what is near. */
	set_parameter("halt_poll_ns", 500000000);
	set_parameter("halt_poll_ns_grow_start", 100000000);
	halt_for(self->vcpu, 2000000);
	EXPECT_EQ(0, counter(self->vcpu, "halt_attempted_poll"));
	/* That was worth a poll: the next one is caught. */
	halt_for(self->vcpu, 2000000);
	EXPECT_EQ(1, counter(self->vcpu, "halt_attempted_poll"));
	EXPECT_EQ(1, counter(self->vcpu, "halt_successful_poll"));
	EXPECT_LE(1000000, counter(self->vcpu, "halt_poll_success_ns"));
	EXPECT_EQ(0, counter(self->vcpu, "halt_poll_fail_ns"));
	/* A limit below what it is: no time for it, so it does not come back by itself. */
	set_parameter("halt_poll_ns", 1000);
	halt_for(self->vcpu, 5000000);
	EXPECT_EQ(1, counter(self->vcpu, "halt_successful_poll"));
	EXPECT_LT(0, counter(self->vcpu, "halt_poll_fail_ns"));
	halt_for(self->vcpu, 5000000);
	EXPECT_EQ(2, counter(self->vcpu, "halt_attempted_poll"));
}

TEST_F(halt_poll, can_be_off)
{
	set_parameter("halt_poll_ns", 0);
	for (int i = 0; i < 3; i++)
		halt_for(self->vcpu, 100000);
	EXPECT_EQ(0, counter(self->vcpu, "halt_attempted_poll"));
	/* The guest's wish. */
	set_parameter("halt_poll_ns", 500000000);
	set_parameter("halt_poll_ns_grow_start", 100000000);
	test_irq_set_msr(self->vcpu, MSR_POLL_CONTROL, 0);
	for (int i = 0; i < 3; i++)
		halt_for(self->vcpu, 100000);
	EXPECT_EQ(0, counter(self->vcpu, "halt_attempted_poll"));
	test_irq_set_msr(self->vcpu, MSR_POLL_CONTROL, 1);
	halt_for(self->vcpu, 100000);
	halt_for(self->vcpu, 100000);
	EXPECT_EQ(1, counter(self->vcpu, "halt_attempted_poll"));
	/* The VMM's. */
	ASSERT_EQ(0, set_limit(self->vm, 0));
	halt_for(self->vcpu, 100000);
	EXPECT_EQ(1, counter(self->vcpu, "halt_attempted_poll"));
	/* Four halts slept that would have been caught. */
	EXPECT_LE(8, counter(self->vcpu, "halts"));
}

/* From here on it polls for seconds, if nothing stops it. */
static void poll_for_seconds(struct test_vcpu *vcpu)
{
	if (set_limit(vcpu->vm, 4000000000u))
		test_die("KVM_CAP_HALT_POLL");
	set_parameter("halt_poll_ns_grow_start", 3000000000u);
	halt_for(vcpu, 100000);
	if (counter(vcpu, "halt_attempted_poll"))
		test_die("polls too early");
}

static void nothing(int number)
{
	(void)number;
}

struct other {
	pthread_t target;
	bool busy;
	uint64_t sent_ns;
};

static void *other_thread(void *arg)
{
	struct other *other = arg;
	uint64_t start = now_ns();

	do {
		if (!other->busy)
			usleep(50000);
	} while (now_ns() - start < 50000000);
	other->sent_ns = now_ns();
	pthread_kill(other->target, SIGUSR1);
	return NULL;
}

/* A halt without a timer: until the signal. */
static uint64_t halt_until_signal(struct test_vcpu *vcpu, struct other *other)
{
	struct sigaction action = { .sa_handler = nothing };
	pthread_t thread;
	int ret;

	sigaction(SIGUSR1, &action, NULL);
	other->target = pthread_self();
	test_irq_begin_halt(vcpu);
	if (pthread_create(&thread, NULL, other_thread, other))
		test_die("pthread_create");
	ret = ioctl(vcpu->fd, KVM_RUN, 0L);
	if (ret != -1 || errno != EINTR)
		test_die("KVM_RUN: %d", ret);
	ret = pthread_join(thread, NULL);
	return now_ns() - other->sent_ns;
}

TEST_F(halt_poll, ends_with_a_signal)
{
	struct other other = {};

	poll_for_seconds(self->vcpu);
	EXPECT_GT(SECOND_NS, halt_until_signal(self->vcpu, &other));
	EXPECT_EQ(1, counter(self->vcpu, "halt_attempted_poll"));
	EXPECT_EQ(0, counter(self->vcpu, "halt_successful_poll"));
	/* How long is for the host's other threads to say: any that wakes up ends it. */
	EXPECT_LT(0, counter(self->vcpu, "halt_poll_fail_ns"));
}

/* Somebody else has use for the CPU: he gets it at once. */
TEST_F(halt_poll, gives_way)
{
	struct other other = { .busy = true };
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(1, &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	poll_for_seconds(self->vcpu);
	EXPECT_GT(SECOND_NS, halt_until_signal(self->vcpu, &other));
	EXPECT_GT(40000000, counter(self->vcpu, "halt_poll_fail_ns"));
}

TEST_HARNESS_MAIN
