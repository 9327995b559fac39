// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "crowd.h"

static void on_signal(int signal)
{
	(void)signal;
}

static void *run(void *arg)
{
	struct test_guest *guest = arg;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(guest->cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		test_die("CPU %d", guest->cpu);
	/* Who watches them comes first. */
	setpriority(PRIO_PROCESS, 0, 19);
	guest->tid = syscall(SYS_gettid);
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

void test_guest_start(struct test_guest *guest, int cpu, uint32_t exit_reason, const char *code,
		      size_t bytes)
{
	*guest = (struct test_guest){ .cpu = cpu, .exit_reason = exit_reason };
	/* Without SA_RESTART, so that it ends KVM_RUN. */
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_signal }, NULL);
	guest->vm = test_vm_create();
	guest->vcpu = test_vcpu_create(guest->vm, 0);
	/* KVM of 6.12 lets no vCPU into long mode that has not been told of it. */
	test_vcpu_set_supported_cpuid(guest->vcpu);
	test_vcpu_long_mode(guest->vcpu, code, bytes);
	if (pthread_create(&guest->thread, NULL, run, guest))
		test_die("pthread_create");
}

int test_guest_stop(struct test_guest *guest)
{
	guest->stop = true;
	guest->vcpu->run->immediate_exit = 1;
	pthread_kill(guest->thread, SIGUSR1);
	pthread_join(guest->thread, NULL);
	test_vcpu_free(guest->vcpu);
	test_vm_free(guest->vm);
	return guest->error;
}

uint64_t test_guest_count(const struct test_guest *guest)
{
	return *(volatile uint64_t *)test_vm_hva(guest->vm, TEST_DATA_GPA);
}

int test_guests_standing(struct test_guest *guests, int nr, int limit_ms)
{
	int i, waited = 0;

	for (i = 0; i < nr; i++)
		guests[i].before = test_guest_count(&guests[i]);
	for (i = 0; i < nr; i++)
		for (; test_guest_count(&guests[i]) < guests[i].before + 10; waited++) {
			if (waited >= limit_ms)
				return i;
			usleep(1000);
		}
	return -1;
}
