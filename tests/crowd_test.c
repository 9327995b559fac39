// SPDX-License-Identifier: GPL-2.0
/*
 * More guests than CPUs, of every way to leave a guest and of none, bound so that each CPU has its
 * share: all go on side by side. The tests of tests/host that take the machine down under running
 * guests use it as their load (CROWD_SECONDS); it says "running" when every guest runs.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/vm.h"

#define MAX_CPUS	4
#define MAX_GUESTS	(MAX_CPUS * 4)
#define LIMIT_MS	20000	/* for one round of all guests, on a machine that is slow */

/* Each counts in its own memory, which the test reads while they run. */
#define COUNT		"mov $0x10000, %ebx\n1:\nincq (%rbx)\n"

/* With interrupts off, as a guest starts, KVM in the lab would never get it out. */
GUEST_CODE(guest_spin, "sti\n" COUNT "jmp 1b\n");
/* Only the bound on a stay in the guest brings it out in the lab. */
GUEST_CODE(guest_spin_cli, "cli\n" COUNT "jmp 1b\n");
GUEST_CODE(guest_cpuid, "mov $0x10000, %esi\n1:\nincq (%rsi)\nxor %eax, %eax\ncpuid\njmp 1b\n");
GUEST_CODE(guest_out, COUNT "outb %al, $0x42\njmp 1b\n");

struct guest {
	pthread_t thread;
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	int cpu;
	uint32_t exit_reason;	/* the one that may come */
	atomic_bool stop;
	int error;
	uint64_t before;
};

static void on_signal(int signal)
{
	(void)signal;
}

static void *run(void *arg)
{
	struct guest *guest = arg;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(guest->cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		test_die("CPU %d", guest->cpu);
	/* Who watches them, and takes the machine down, comes first. */
	setpriority(PRIO_PROCESS, 0, 19);
	while (!guest->stop) {
		if (ioctl(guest->vcpu->fd, KVM_RUN, 0)) {
			if (errno == EINTR)
				continue;
			guest->error = errno;
			break;
		}
		if (guest->vcpu->run->exit_reason != guest->exit_reason) {
			guest->error = 1000 + guest->vcpu->run->exit_reason;
			break;
		}
	}
	return NULL;
}

FIXTURE(crowd) {
	struct guest guest[MAX_GUESTS];
	int guests;
};

static void add(struct __test_metadata *_metadata, FIXTURE_DATA(crowd) *self, int cpu,
		uint32_t exit_reason, const char *code, size_t bytes)
{
	struct guest *guest = &self->guest[self->guests++];

	*guest = (struct guest){ .cpu = cpu, .exit_reason = exit_reason };
	guest->vm = test_vm_create();
	guest->vcpu = test_vcpu_create(guest->vm, 0);
	/* KVM of 6.12 lets no vCPU into long mode that has not been told of it. */
	test_vcpu_set_supported_cpuid(guest->vcpu);
	test_vcpu_long_mode(guest->vcpu, code, bytes);
	ASSERT_EQ(0, pthread_create(&guest->thread, NULL, run, guest));
}

FIXTURE_SETUP(crowd)
{
	int cpus = sysconf(_SC_NPROCESSORS_ONLN), cpu;

	/* Without SA_RESTART, so that it ends KVM_RUN. */
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_signal }, NULL);
	self->guests = 0;
	for (cpu = 0; cpu < cpus && cpu < MAX_CPUS; cpu++) {
		add(_metadata, self, cpu, KVM_EXIT_UNKNOWN, GUEST_BLOB(guest_spin));
		add(_metadata, self, cpu, KVM_EXIT_UNKNOWN, GUEST_BLOB(guest_cpuid));
		add(_metadata, self, cpu, KVM_EXIT_IO, GUEST_BLOB(guest_out));
		/* It would hold KVM's lab for ever. */
		if (!test_on_kvm())
			add(_metadata, self, cpu, KVM_EXIT_UNKNOWN, GUEST_BLOB(guest_spin_cli));
	}
}

FIXTURE_TEARDOWN(crowd)
{
	int i;

	for (i = 0; i < self->guests; i++) {
		struct guest *guest = &self->guest[i];

		guest->stop = true;
		guest->vcpu->run->immediate_exit = 1;
		pthread_kill(guest->thread, SIGUSR1);
		pthread_join(guest->thread, NULL);
		EXPECT_EQ(0, guest->error);
		test_vcpu_free(guest->vcpu);
		test_vm_free(guest->vm);
	}
}

static uint64_t counted(const struct guest *guest)
{
	return *(volatile uint64_t *)test_vm_hva(guest->vm, TEST_DATA_GPA);
}

/* Every guest counts on from here. */
static void all_go_on(struct __test_metadata *_metadata, FIXTURE_DATA(crowd) *self)
{
	int i, waited = 0;

	for (i = 0; i < self->guests; i++)
		self->guest[i].before = counted(&self->guest[i]);
	for (i = 0; i < self->guests; i++) {
		struct guest *guest = &self->guest[i];

		for (; counted(guest) < guest->before + 10 && waited < LIMIT_MS; waited++)
			usleep(1000);
		EXPECT_LE(guest->before + 10, counted(guest))
			TH_LOG("guest %d on CPU %d stands still, error %d", i, guest->cpu,
			       guest->error);
	}
}

TEST_F_TIMEOUT(crowd, all_go_on_side_by_side, 3600)
{
	const char *text = getenv("CROWD_SECONDS");
	time_t end = time(NULL) + (text ? atoi(text) : 2);

	all_go_on(_metadata, self);
	printf("# running\n");
	fflush(stdout);
	while (time(NULL) < end && _metadata->passed) {
		all_go_on(_metadata, self);
		usleep(50000);
	}
}

TEST_HARNESS_MAIN
