// SPDX-License-Identifier: GPL-2.0
/*
 * A machine whose TSC starts anew in its sleep, as firmware does it in S3: the guests' goes on. The
 * kernel must not see IA32_TSC_ADJUST, with which it would put the emulated CPU's right again.
 *
 * lab: --cpus 2 --memory 512 --append nohz_full=1 --append clearcpuid=xsaves,xsavec,tsc_adjust
 * build: -lpthread
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "kselftest_harness.h"
#include "lib/apic.h"
#include "lib/host.h"
#include "lib/irq.h"
#include "lib/steer.h"
#include "lib/vm.h"

#define MSR_TSC		0x10
#define VECTOR		0x80
#define FALL_S		3	/* at least: what comes below is less than that */
#define LONGEST_S	20	/* of a sleep and what is around it */
#define CLOCK_LIMIT_NS	(LONGEST_S * 1000000000ull)

GUEST_CODE(guest_cpuid, GUEST_SYNC "xor %eax, %eax\ncpuid\n" GUEST_SYNC);

/* Shows the byte that the test has put there. */
GUEST_CODE(guest_show, "1: mov 0x10000, %al\nout %al, $0x42\njmp 1b\n");

enum { OUTSIDE, HALTED, OTHER, CPUS };

FIXTURE(tsc) {
	struct test_vm *vm;
	struct test_vcpu *vcpu[CPUS];
	uint64_t deadline[CPUS];
	uint64_t second;	/* in ticks, the host's and the guests' */
};

FIXTURE_SETUP(tsc)
{
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	int i;

	self->vm = test_vm_create_irqchip();
	for (i = 0; i < CPUS; i++) {
		self->vcpu[i] = test_vcpu_create(self->vm, i);
		apic_set_cpuid(self->vcpu[i]);
		ASSERT_EQ(0, ioctl(self->vcpu[i]->fd, KVM_SET_MP_STATE, &runnable));
		test_irq_start(self->vcpu[i], i, TEST_EOI_X2APIC);
	}
	self->second = ioctl(self->vcpu[0]->fd, KVM_GET_TSC_KHZ, 0) * 1000ull;
}

FIXTURE_TEARDOWN(tsc)
{
	int i;

	for (i = 0; i < CPUS; i++)
		test_vcpu_free(self->vcpu[i]);
	test_vm_free(self->vm);
}

static uint64_t clock_ns(struct test_vm *vm)
{
	struct kvm_clock_data data = {};

	if (ioctl(vm->fd, KVM_GET_CLOCK, &data))
		test_die("KVM_GET_CLOCK: %m");
	return data.clock;
}

static uint64_t offset_of(struct test_vcpu *vcpu)
{
	uint64_t offset = 0;
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET,
					.addr = (uintptr_t)&offset };

	if (ioctl(vcpu->fd, KVM_GET_DEVICE_ATTR, &attr))
		test_die("KVM_VCPU_TSC_OFFSET: %m");
	return offset;
}

/* The guest's deadline, @ticks from now. */
static uint64_t arm(struct test_vcpu *vcpu, uint64_t ticks)
{
	uint64_t deadline;

	apic_enable_x2(vcpu);
	apic_set_x2(vcpu, APIC_LVTT, LVT_DEADLINE | VECTOR);
	deadline = test_irq_rdtsc(vcpu) + ticks;
	test_irq_set_msr(vcpu, TEST_MSR_TSC_DEADLINE, deadline);
	return deadline;
}

/* In KVM_RUN, which the sleep ends with EINTR. */
static void *wait_in_run(void *arg)
{
	struct test_vcpu *vcpu = arg;
	int ret;

	do {
		ret = ioctl(vcpu->fd, KVM_RUN, 0);
	} while (ret && errno == EINTR);
	return NULL;
}

/* To sleep and awake again: the host's TSC is at least so many ticks behind where it was. */
static void fall_back(struct __test_metadata *_metadata, uint64_t ticks)
{
	uint64_t before = __rdtsc();

	ASSERT_EQ(0, host_write("/sys/power/state", "mem"));
	/* Or nothing that follows would mean anything. */
	ASSERT_LT(__rdtsc(), before - ticks);
}

/* It may have fallen back before. */
static void let_it_grow(uint64_t ticks)
{
	while (__rdtsc() < ticks + ticks / 2)
		usleep(100000);
}

TEST_F(tsc, goes_on)
{
	uint64_t limit = LONGEST_S * self->second, guest, clock, value;
	struct test_vcpu *late;
	pthread_t thread;
	int i;

	let_it_grow(FALL_S * self->second);
	self->deadline[OUTSIDE] = arm(self->vcpu[OUTSIDE], self->second);
	self->deadline[HALTED] = arm(self->vcpu[HALTED], self->second);
	test_irq_begin_halt(self->vcpu[HALTED]);
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_in_run, self->vcpu[HALTED]));
	guest = test_irq_rdtsc(self->vcpu[OTHER]);
	clock = clock_ns(self->vm);
	fall_back(_metadata, FALL_S * self->second);

	/* To the VMM before any RUN, then by the hardware of the same vCPU. */
	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu[OTHER], MSR_TSC, &value));
	EXPECT_GT(value, guest);
	EXPECT_LT(value, guest + limit);
	guest = test_irq_rdtsc(self->vcpu[OTHER]);
	EXPECT_GT(guest, value);
	EXPECT_LT(guest, value + limit);

	value = clock_ns(self->vm);
	EXPECT_GT(value, clock);
	EXPECT_LT(value, clock + CLOCK_LIMIT_NS);

	/* Neither lost nor early. */
	test_irq_halt(self->vcpu[OUTSIDE]);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_TRUE(test_vcpu_is_at(self->vcpu[HALTED], TEST_PORT_SYNC));
	for (i = OUTSIDE; i <= HALTED; i++) {
		value = test_irq_rdtsc(self->vcpu[i]);
		EXPECT_GE(value, self->deadline[i]);
		EXPECT_LT(value, self->deadline[i] + limit);
		ASSERT_EQ(1, test_irq_count(self->vcpu[i]));
		EXPECT_EQ(VECTOR, test_irq_vector(self->vcpu[i], 0));
	}

	/* One that comes now is in step, which it is not on KVM. */
	if (test_on_kvm())
		return;
	late = test_vcpu_create(self->vm, CPUS);
	EXPECT_EQ(offset_of(late), offset_of(self->vcpu[OUTSIDE]));
	EXPECT_EQ(offset_of(late), offset_of(self->vcpu[HALTED]));
	EXPECT_EQ(offset_of(late), offset_of(self->vcpu[OTHER]));
	test_vcpu_free(late);

	/* So is who is given what another shows; a write of another moment is obeyed. */
	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu[OTHER], MSR_TSC, &value));
	EXPECT_EQ(1, test_vcpu_set_msr(self->vcpu[HALTED], MSR_TSC, value));
	EXPECT_EQ(offset_of(self->vcpu[HALTED]), offset_of(self->vcpu[OTHER]));
	EXPECT_EQ(1, test_vcpu_set_msr(self->vcpu[HALTED], MSR_TSC, value + limit));
	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu[HALTED], MSR_TSC, &value));
	EXPECT_GE(value, guest + limit);
}

/* What a monitor is told of an exit that was before goes by the same count as all that it reads. */
TEST(event_of_before)
{
	struct vitrine_rule rule = test_rule(VITRINE_ON_CPUID, VITRINE_DO_ASK, 0, 0);
	uint64_t second, before;
	struct vitrine_exit_event event;
	struct test_steer steer;
	struct pollfd waiting;

	if (test_on_kvm())
		SKIP(return, "KVM has no monitors");
	test_steer_create(&steer);
	second = ioctl(steer.vcpu->fd, KVM_GET_TSC_KHZ, 0) * 1000ull;
	test_steer_load(&steer, GUEST_BLOB(guest_cpuid));
	ASSERT_EQ(0, test_set_rules(steer.fd, &rule, 1));
	let_it_grow(FALL_S * second);
	ASSERT_EQ(0, pthread_create(&steer.runner, NULL, wait_in_run, steer.vcpu));
	waiting = (struct pollfd){ .fd = steer.fd, .events = POLLIN };
	ASSERT_EQ(1, poll(&waiting, 1, TEST_LONG_MS));
	before = __rdtsc();
	fall_back(_metadata, FALL_S * second);
	ASSERT_EQ(0, test_next_event(steer.fd, &event, TEST_LONG_MS));
	/* Below zero, that is, where the machine was not up for long before it slept. */
	EXPECT_LT((int64_t)(event.tsc - __rdtsc()), 0);
	EXPECT_LT(__rdtsc() - event.tsc, before);
	ASSERT_EQ(0, test_answer(steer.fd, event.seq, VITRINE_GO_ON));
	ASSERT_EQ(0, pthread_join(steer.runner, NULL));
	EXPECT_TRUE(test_vcpu_is_at(steer.vcpu, TEST_PORT_SYNC));
	test_steer_free(&steer);
}

static void *run_slowly(void *arg)
{
	struct test_steer *steer = arg;
	int ret;

	do {
		ret = ioctl(steer->vcpu->fd, KVM_RUN, 0);
		usleep(1000);
	} while (!steer->error && (!ret || errno == EINTR));
	return NULL;
}

/*
 * The time of the first line of the tool, which goes on for ever, that has @what; below zero if
 * none.
 */
static double shown_s(FILE *tool, const char *what)
{
	static char line[512];

	while (fgets(line, sizeof(line), tool))
		if (strstr(line, what))
			return strtod(line, NULL);
	return -1;
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* It does not wait for the new count to get where the old one was. */
TEST(tool_traces_on)
{
	struct test_steer steer;
	char command[128];
	uint64_t second;
	uint8_t *byte;
	double start, first_s, later_s;
	FILE *tool;

	if (test_on_kvm())
		SKIP(return, "KVM has no monitors");
	test_steer_create(&steer);
	second = ioctl(steer.vcpu->fd, KVM_GET_TSC_KHZ, 0) * 1000ull;
	test_vcpu_long_mode(steer.vcpu, GUEST_BLOB(guest_show));
	byte = test_vm_hva(steer.vm, TEST_DATA_GPA);
	*byte = 0x77;
	steer.error = 0;
	ASSERT_EQ(0, pthread_create(&steer.runner, NULL, run_slowly, &steer));
	let_it_grow(FALL_S * second);
	snprintf(command, sizeof(command), "timeout -s KILL 60 vitrine trace --no-insn %llu 2>&1",
		 (unsigned long long)steer.vm_id);
	tool = popen(command, "re");
	ASSERT_NE(NULL, tool);
	first_s = shown_s(tool, "value 0x77");
	ASSERT_LE(0, first_s);
	fall_back(_metadata, FALL_S * second);
	*byte = 0x99;
	start = now_s();
	later_s = shown_s(tool, "value 0x99");
	EXPECT_LT(now_s() - start, FALL_S - 1);
	/* Its time goes on, too. */
	ASSERT_LT(first_s, later_s);
	EXPECT_LT(later_s, first_s + LONGEST_S);
	/* Which ends it: there is always more to show. */
	pclose(tool);
	steer.error = 1;
	pthread_join(steer.runner, NULL);
	test_steer_free(&steer);
}

TEST_HARNESS_MAIN
