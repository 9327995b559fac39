// SPDX-License-Identifier: GPL-2.0
/* The tool's side of an exit policy, and the VMM's thread. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vitrine.h>

#include "monitor.h"
#include "steer.h"

void test_steer_create(struct test_steer *steer)
{
	steer->vm = test_vm_create();
	steer->vcpu = test_vcpu_create(steer->vm, 0);
	test_vcpu_set_supported_cpuid(steer->vcpu);
	if (ioctl(steer->vm->fd, VITRINE_GET_VM_ID, &steer->vm_id))
		test_die("VITRINE_GET_VM_ID");
	steer->fd = test_attach(steer->vm->dev_fd, steer->vm_id, VITRINE_ATTACH_STEER);
	if (steer->fd < 0)
		test_die("VITRINE_ATTACH");
}

void test_steer_free(struct test_steer *steer)
{
	if (steer->fd >= 0)
		close(steer->fd);
	test_vcpu_free(steer->vcpu);
	test_vm_free(steer->vm);
}

void test_steer_load(struct test_steer *steer, const char *code, size_t bytes)
{
	test_vcpu_long_mode(steer->vcpu, code, bytes);
	test_vcpu_run_to_sync(steer->vcpu);
}

void test_steer_set_guest(struct test_steer *steer, uint64_t rsi, uint64_t rdi, uint64_t rbx)
{
	struct kvm_regs regs;

	test_vcpu_regs(steer->vcpu, &regs);
	regs.rsi = rsi;
	regs.rdi = rdi;
	regs.rbx = rbx;
	test_vcpu_set_regs(steer->vcpu, &regs);
}

uint64_t test_steer_exits(struct test_steer *steer, unsigned int reason)
{
	struct vitrine_vcpu_stats stats;

	if (ioctl(steer->vcpu->fd, VITRINE_GET_STATS, &stats))
		test_die("VITRINE_GET_STATS");
	return stats.exit_count[reason];
}

struct vitrine_rule test_rule(uint32_t on, uint32_t action, uint64_t first, uint64_t last)
{
	return (struct vitrine_rule){
		.on = on, .action = action, .vcpu = VITRINE_ALL_VCPUS,
		.first = first, .last = last, .sub_last = ~0ull,
	};
}

int test_set_rules(int fd, const struct vitrine_rule *rules, uint32_t nr)
{
	struct vitrine_policy *policy = calloc(1, sizeof(*policy) + nr * sizeof(*rules));
	int ret;

	if (!policy)
		test_die("calloc");
	policy->nr = nr;
	if (nr)
		memcpy(policy->rules, rules, nr * sizeof(*rules));
	ret = ioctl(fd, VITRINE_SET_POLICY, policy) ? -errno : 0;
	free(policy);
	return ret;
}

int test_next_event(int fd, struct vitrine_exit_event *event, int ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	if (poll(&poll_fd, 1, ms) != 1)
		return -ETIMEDOUT;
	return ioctl(fd, VITRINE_NEXT_EVENT, event) ? -errno : 0;
}

int test_answer(int fd, uint64_t seq, uint32_t verdict)
{
	struct vitrine_answer answer = { .seq = seq, .verdict = verdict };

	return ioctl(fd, VITRINE_ANSWER, &answer) ? -errno : 0;
}

struct vitrine_answer test_done(const struct vitrine_exit_event *event)
{
	return (struct vitrine_answer){
		.seq = event->seq, .verdict = VITRINE_DONE,
		.flags = VITRINE_SET_REGS | VITRINE_ADVANCE, .regs = event->regs,
	};
}

static void *run(void *arg)
{
	struct test_steer *steer = arg;

	steer->error = ioctl(steer->vcpu->fd, KVM_RUN, 0) ? errno : 0;
	return NULL;
}

static void *run_to_exception(void *arg)
{
	struct test_steer *steer = arg;

	test_vcpu_run_to_exception(steer->vcpu, &steer->exception);
	return NULL;
}

void test_steer_start(struct test_steer *steer)
{
	if (pthread_create(&steer->runner, NULL, run, steer))
		test_die("pthread_create");
}

void test_steer_start_to_exception(struct test_steer *steer)
{
	if (pthread_create(&steer->runner, NULL, run_to_exception, steer))
		test_die("pthread_create");
}

static void nothing(int number)
{
	(void)number;
}

void test_steer_interrupt(struct test_steer *steer)
{
	struct sigaction action = { .sa_handler = nothing };

	sigaction(SIGUSR1, &action, NULL);
	pthread_kill(steer->runner, SIGUSR1);
	pthread_join(steer->runner, NULL);
}

bool test_steer_ended_well(struct test_steer *steer)
{
	pthread_join(steer->runner, NULL);
	return !steer->error && steer->vcpu->run->exit_reason == KVM_EXIT_IO &&
	       steer->vcpu->run->io.port == TEST_PORT_SYNC;
}
