// SPDX-License-Identifier: GPL-2.0
/*
 * A guest on a CPU of which the kernel tracks context instead of ticking (nohz_full): its time is
 * the guest's, and grace periods of RCU do not wait for it.
 *
 * lab: --cpus 2 --memory 512 --append nohz_full=1 --append rcu_nocbs=1
 * build: -lpthread
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
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/vm.h"

#define QUIET_CPU	1	/* as above */
#define STAY_MS		300
#define GRACE_MS	1000	/* of one that does not wait for a guest */

GUEST_CODE(guest_spin, "sti\nmov $0x10000, %ebx\n1:\nincq (%rbx)\njmp 1b\n");
GUEST_CODE(guest_cpuid, "mov $0x10000, %esi\n1:\nincq (%rsi)\nxor %eax, %eax\ncpuid\njmp 1b\n");

FIXTURE(quiet) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	pthread_t thread;
	atomic_int tid;
	atomic_bool stop;
	int error;
};

FIXTURE_VARIANT(quiet) {
	const char *code, *end;
};

FIXTURE_VARIANT_ADD(quiet, stays_inside) {
	.code = guest_spin, .end = guest_spin_end,
};

FIXTURE_VARIANT_ADD(quiet, goes_in_and_out) {
	.code = guest_cpuid, .end = guest_cpuid_end,
};

static void on_signal(int signal)
{
	(void)signal;
}

static void *run(void *arg)
{
	FIXTURE_DATA(quiet) *self = arg;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(QUIET_CPU, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		test_die("CPU %d", QUIET_CPU);
	self->tid = syscall(SYS_gettid);
	while (!self->stop) {
		if (ioctl(self->vcpu->fd, KVM_RUN, 0) && errno == EINTR)
			continue;
		self->error = 1000 + self->vcpu->run->exit_reason;
		break;
	}
	return NULL;
}

/* Field @number of the thread's line in /proc, from 1, in clock ticks. */
static unsigned long thread_stat(int tid, unsigned int number)
{
	char path[64], line[1024], *at;
	unsigned int field = 2;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "re");
	if (!file || !fgets(line, sizeof(line), file))
		test_die("%s", path);
	fclose(file);
	/* The name in field 2 may have spaces. */
	for (at = strrchr(line, ')'); at && field < number; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoul(at, NULL, 10) : 0;
}

static bool is_quiet(void)
{
	FILE *file = fopen("/sys/devices/system/cpu/nohz_full", "re");
	int cpu = -1;

	if (!file)
		return false;
	if (fscanf(file, "%d", &cpu) != 1)
		cpu = -1;
	fclose(file);
	return cpu == QUIET_CPU;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t counted(FIXTURE_DATA(quiet) *self)
{
	return *(volatile uint64_t *)test_vm_hva(self->vm, TEST_DATA_GPA);
}

FIXTURE_SETUP(quiet)
{
	if (!is_quiet())
		SKIP(return, "this kernel has not been told nohz_full=%d", QUIET_CPU);
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_signal }, NULL);
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
	test_vcpu_long_mode(self->vcpu, variant->code, variant->end - variant->code);
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, run, self));
	while (!counted(self))
		usleep(1000);
}

FIXTURE_TEARDOWN(quiet)
{
	self->stop = true;
	self->vcpu->run->immediate_exit = 1;
	pthread_kill(self->thread, SIGUSR1);
	pthread_join(self->thread, NULL);
	EXPECT_EQ(0, self->error);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

TEST_F(quiet, its_time_is_the_guests)
{
	long hz = sysconf(_SC_CLK_TCK);
	unsigned long before_ms, guest_ms, kernel_ms;
	uint64_t count = counted(self);

	before_ms = thread_stat(self->tid, 43) * 1000 / hz;
	kernel_ms = thread_stat(self->tid, 15) * 1000 / hz;
	usleep(STAY_MS * 1000);
	guest_ms = thread_stat(self->tid, 43) * 1000 / hz - before_ms;
	kernel_ms = thread_stat(self->tid, 15) * 1000 / hz - kernel_ms;
	printf("# of %d ms, %lu in the guest and %lu in the kernel\n", STAY_MS, guest_ms,
	       kernel_ms);
	EXPECT_LT(count, counted(self));
	EXPECT_LT(0, guest_ms);
	if (variant->code == guest_spin)
		EXPECT_LT(STAY_MS / 2, guest_ms);
	EXPECT_GT(STAY_MS * 3 / 2, guest_ms + kernel_ms);
}

/* A packet socket that goes waits for one. */
TEST_F(quiet, grace_periods_come_to_their_end)
{
	uint64_t start, most = 0;
	int i, fd;

	for (i = 0; i < 5; i++) {
		fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
		if (fd < 0)
			SKIP(return, "no packet sockets");
		start = now_ms();
		close(fd);
		if (now_ms() - start > most)
			most = now_ms() - start;
	}
	printf("# the longest of 5 took %llu ms\n", (unsigned long long)most);
	EXPECT_GT(GRACE_MS, most);
}

TEST_HARNESS_MAIN
