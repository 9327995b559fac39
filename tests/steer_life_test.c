// SPDX-License-Identifier: GPL-2.0
/*
 * A steering monitor and its VMM that come, go, are slow, are killed, and say what cannot be: no
 * guest hangs for good, and no VMM does because of a tool.
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
#include <time.h>
#include <unistd.h>
#include <vitrine.h>
#include <vitrine_policy.h>

#include "kselftest_harness.h"
#include "lib/monitor.h"
#include "lib/reach.h"
#include "lib/steer.h"
#include "lib/vm.h"

#define SOON_MS	10000	/* much less than the 30 s that an event waits */
#define WAITING_GPA	0x10000000u
#define STOPPED_RAX	0x5708ed	/* what CPUID brings to a guest whose VMM was stopped */

/* CPUID of leaf ESI, subleaf EDI; the answer is in R8, R9, R10, R11. */
GUEST_CODE(guest_cpuid, "1: " GUEST_SYNC
	   "mov %esi, %eax\nmov %edi, %ecx\ncpuid\n"
	   "mov %rax, %r8\nmov %rbx, %r9\nmov %rcx, %r10\nmov %rdx, %r11\njmp 1b\n");
GUEST_CODE(guest_spin, "1: " GUEST_SYNC "xor %ebx, %ebx\n"
	   "2: xor %eax, %eax\nxor %ecx, %ecx\npush %rbx\ncpuid\npop %rbx\ninc %ebx\n"
	   "cmp %esi, %ebx\njne 2b\njmp 1b\n");

GUEST_CODE(guest_touch, GUEST_SYNC "mov $0x10000000, %edx\nmov (%rdx), %rax\n" GUEST_SYNC);

TEST_STEER_FIXTURE(steer)

static const struct vitrine_rule every_cpuid = {
	.on = VITRINE_ON_CPUID, .action = VITRINE_DO_ASK, .vcpu = VITRINE_ALL_VCPUS,
	.last = 0xffffffff, .sub_last = ~0ull,
};

/* The guest stands at CPUID, and the event was fetched: 0 or -errno. */
static int stand(struct test_steer *steer, struct vitrine_exit_event *event)
{
	int ret;

	test_steer_load(steer, GUEST_BLOB(guest_cpuid));
	ret = test_set_rules(steer->fd, &every_cpuid, 1);
	if (ret)
		return ret;
	test_steer_start(steer);
	return test_next_event(steer->fd, event, TEST_LONG_MS);
}

/* A signal to the VMM's thread; what its KVM_RUN said. */
static int interrupt(struct test_steer *steer)
{
	test_steer_interrupt(steer);
	return steer->error;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

TEST_F(steer, a_signal_ends_run_and_the_event_stays)
{
	struct vitrine_exit_event event, other;
	struct kvm_regs regs;

	ASSERT_EQ(0, stand(&self->t, &event));
	EXPECT_EQ(EINTR, interrupt(&self->t));
	EXPECT_EQ(KVM_EXIT_INTR, self->t.vcpu->run->exit_reason);
	/* Meanwhile the VMM sees a guest that stands before the instruction. */
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(event.regs.rip, regs.rip);

	self->t.vcpu->run->immediate_exit = 1;
	test_steer_start(&self->t);
	pthread_join(self->t.runner, NULL);
	EXPECT_EQ(EINTR, self->t.error);
	self->t.vcpu->run->immediate_exit = 0;

	/* It is the same event, which was fetched already; the answer may come before the RUN. */
	EXPECT_EQ(-ETIMEDOUT, test_next_event(self->t.fd, &other, 0));
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	test_steer_start(&self->t);
	ASSERT_TRUE(test_steer_ended_well(&self->t));
}

TEST_F(steer, a_guest_that_the_vmm_changed_does_it_anew)
{
	struct vitrine_exit_event event, again;
	struct kvm_regs regs;

	ASSERT_EQ(0, stand(&self->t, &event));
	EXPECT_EQ(EINTR, interrupt(&self->t));
	test_vcpu_regs(self->t.vcpu, &regs);
	regs.r15 ^= 1;
	test_vcpu_set_regs(self->t.vcpu, &regs);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &again, TEST_LONG_MS));
	EXPECT_LT(event.seq, again.seq);
	EXPECT_EQ(-ENOENT, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	EXPECT_EQ(0, test_answer(self->t.fd, again.seq, VITRINE_GO_ON));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
}

/* Beyond what the event shows: segments, tables, debug registers. To write back is no change. */
TEST_F(steer, whatever_the_vmm_changed)
{
	struct vitrine_exit_event event, again;
	struct kvm_debugregs debug;
	struct kvm_sregs sregs;
	unsigned int i;

	ASSERT_EQ(0, stand(&self->t, &event));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(EINTR, interrupt(&self->t));
		test_vcpu_sregs(self->t.vcpu, &sregs);
		ASSERT_EQ(0, ioctl(self->t.vcpu->fd, KVM_GET_DEBUGREGS, &debug));
		sregs.fs.base += i == 0 ? 0x1000 : 0;
		sregs.idt.limit -= i == 1 ? 1 : 0;
		debug.db[1] += i == 2 ? 1 : 0;
		test_vcpu_set_sregs(self->t.vcpu, &sregs);
		ASSERT_EQ(0, ioctl(self->t.vcpu->fd, KVM_SET_DEBUGREGS, &debug));
		test_steer_start(&self->t);
		if (i == 3)
			break;
		ASSERT_EQ(0, test_next_event(self->t.fd, &again, TEST_LONG_MS));
		EXPECT_EQ(-ENOENT, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
		event = again;
	}
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
}

/* What waited for the last one does not wait for the next, who knows nothing of it. */
TEST_F(steer, the_next_monitor_inherits_nothing)
{
	struct vitrine_exit_event event;
	uint64_t start;

	ASSERT_EQ(0, stand(&self->t, &event));
	EXPECT_EQ(EINTR, interrupt(&self->t));
	close(self->t.fd);
	self->t.fd = test_attach(self->t.vm->dev_fd, self->t.vm_id, VITRINE_ATTACH_STEER);
	ASSERT_LE(0, self->t.fd);
	EXPECT_EQ(-ENOENT, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	start = now_ms();
	test_steer_start(&self->t);
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	EXPECT_GT(SOON_MS, now_ms() - start);
	EXPECT_EQ(-ETIMEDOUT, test_next_event(self->t.fd, &event, 0));
}

TEST_F(steer, a_vmm_that_forbids_it_with_an_event_open)
{
	struct vitrine_exit_event event;
	uint64_t start;

	ASSERT_EQ(0, stand(&self->t, &event));
	start = now_ms();
	ASSERT_EQ(0, ioctl(self->t.vm->fd, VITRINE_FORBID_ATTACH));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	EXPECT_GT(SOON_MS, now_ms() - start);
	EXPECT_EQ(-EPERM, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	EXPECT_EQ(-EPERM, test_set_rules(self->t.fd, &every_cpuid, 1));
	/* No rule is left either. */
	test_vcpu_run_to_sync(self->t.vcpu);
}

/* With its tool there or gone: what it said before counts no more. */
TEST_F(steer, an_answer_from_before_it_was_forbidden)
{
	struct vitrine_exit_event event;
	struct vitrine_answer reply;
	struct kvm_regs regs;

	ASSERT_EQ(0, stand(&self->t, &event));
	EXPECT_EQ(EINTR, interrupt(&self->t));
	reply = test_done(&event);
	reply.regs.r15 = 0x5eed;
	EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	close(self->t.fd);
	self->t.fd = -1;
	ASSERT_EQ(0, ioctl(self->t.vm->fd, VITRINE_FORBID_ATTACH));
	test_steer_start(&self->t);
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(event.regs.r15, regs.r15);
}

/* One a vCPU, answered in any order. */
TEST_F(steer, several_wait)
{
	struct test_steer other = { .vm = self->t.vm, .fd = -1 };
	struct vitrine_exit_event event[2];
	struct vitrine_answer reply;
	struct kvm_regs regs;

	other.vcpu = test_vcpu_create(self->t.vm, 1);
	test_vcpu_set_supported_cpuid(other.vcpu);
	test_steer_load(&other, GUEST_BLOB(guest_cpuid));
	ASSERT_EQ(0, stand(&self->t, &event[0]));
	test_steer_start(&other);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event[1], TEST_LONG_MS));
	EXPECT_EQ(0, event[0].vcpu);
	EXPECT_EQ(1, event[1].vcpu);
	reply = test_done(&event[1]);
	reply.regs.rax = 0x99;
	EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	ASSERT_TRUE(test_steer_ended_well(&other));
	EXPECT_EQ(0, test_answer(self->t.fd, event[0].seq, VITRINE_GO_ON));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	test_vcpu_regs(other.vcpu, &regs);
	EXPECT_EQ(0x99, regs.r8);
	test_vcpu_free(other.vcpu);
}

TEST_F(steer, an_address_that_no_guest_can_run_at)
{
	struct vitrine_exit_event event;
	struct vitrine_answer reply;

	ASSERT_EQ(0, stand(&self->t, &event));
	reply = test_done(&event);
	reply.flags = VITRINE_SET_REGS;
	reply.regs.rip = 1ull << 47;
	EXPECT_EQ(-1, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	EXPECT_EQ(EINVAL, errno);
	/* It still waits. */
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
}

TEST_F(steer, an_answer_that_never_comes)
{
	uint32_t ms[] = { 0, 3600001, 20 };
	struct vitrine_exit_event event;

	EXPECT_EQ(-1, ioctl(self->t.fd, VITRINE_SET_TIMEOUT, &ms[0]));
	EXPECT_EQ(-1, ioctl(self->t.fd, VITRINE_SET_TIMEOUT, &ms[1]));
	EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_SET_TIMEOUT, &ms[2]));
	ASSERT_EQ(0, stand(&self->t, &event));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	EXPECT_EQ(-ENOENT, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
}

TEST_F(steer, a_monitor_that_goes)
{
	struct vitrine_exit_event event;

	ASSERT_EQ(0, stand(&self->t, &event));
	close(self->t.fd);
	self->t.fd = -1;
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	/* And nothing is left of its rules. */
	test_vcpu_run_to_sync(self->t.vcpu);
	self->t.fd = test_attach(self->t.vm->dev_fd, self->t.vm_id, VITRINE_ATTACH_STEER);
	EXPECT_LE(0, self->t.fd);
}

TEST_F(steer, a_vmm_that_closes_with_an_event_open)
{
	struct vitrine_exit_event event;
	struct pollfd poll_fd = { .fd = self->t.fd };
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		struct test_vm *vm = test_vm_create();
		struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
		uint64_t vm_id;
		int fd;

		test_vcpu_set_supported_cpuid(vcpu);
		test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_cpuid));
		test_vcpu_run_to_sync(vcpu);
		if (ioctl(vm->fd, VITRINE_GET_VM_ID, &vm_id))
			_exit(1);
		fd = test_attach(vm->dev_fd, vm_id, VITRINE_ATTACH_STEER);
		if (fd < 0 || test_set_rules(fd, &every_cpuid, 1))
			_exit(2);
		vcpu->run->immediate_exit = 0;
		alarm(1);
		/* Dies by SIGALRM in its KVM_RUN, while the event waits. */
		ioctl(vcpu->fd, KVM_RUN, 0);
		_exit(3);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	/* Our own VM has nothing of it. */
	EXPECT_EQ(0, poll(&poll_fd, 1, 0));
	EXPECT_EQ(-ETIMEDOUT, test_next_event(self->t.fd, &event, 0));
}

/* A VMM in a process of its own: tells its VM's number, waits for a byte, runs to the next sync. */
static void be_vmm(int id_fd, int go_fd)
{
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	uint64_t id = test_vm_id(vm);
	struct kvm_regs regs;
	char go;
	int ret;

	test_vcpu_set_supported_cpuid(vcpu);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_cpuid));
	test_vcpu_run_to_sync(vcpu);
	if (write(id_fd, &id, sizeof(id)) != sizeof(id) || read(go_fd, &go, 1) != 1)
		_exit(1);
	do {
		ret = ioctl(vcpu->fd, KVM_RUN, 0);
	} while (ret && errno == EINTR);
	if (ret || !test_vcpu_is_at(vcpu, TEST_PORT_SYNC))
		_exit(2);
	test_vcpu_regs(vcpu, &regs);
	_exit(regs.r8 == STOPPED_RAX ? 0 : 3);
}

/* Stopped and continued with an event open, which is answered while it stands or afterwards. */
static void stop_vmm(struct __test_metadata *_metadata, int dev_fd, bool answered_stopped)
{
	struct vitrine_exit_event event, other;
	struct vitrine_answer reply;
	int ids[2], go[2], status, fd;
	uint64_t id;
	pid_t pid;

	ASSERT_EQ(0, pipe(ids));
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		be_vmm(ids[1], go[0]);
	ASSERT_EQ(sizeof(id), read(ids[0], &id, sizeof(id)));
	fd = test_attach(dev_fd, id, VITRINE_ATTACH_STEER);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, test_set_rules(fd, &every_cpuid, 1));
	ASSERT_EQ(1, write(go[1], "", 1));
	ASSERT_EQ(0, test_next_event(fd, &event, TEST_LONG_MS));
	reply = test_done(&event);
	reply.regs.rax = STOPPED_RAX;

	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, kill(pid, SIGSTOP));
		ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
		ASSERT_TRUE(WIFSTOPPED(status));
		if (answered_stopped && i == 2)
			EXPECT_EQ(0, ioctl(fd, VITRINE_ANSWER, &reply));
		ASSERT_EQ(0, kill(pid, SIGCONT));
		usleep(2000);
	}
	/* It is the one that was fetched, and no other. */
	EXPECT_EQ(-ETIMEDOUT, test_next_event(fd, &other, 0));
	if (!answered_stopped)
		EXPECT_EQ(0, ioctl(fd, VITRINE_ANSWER, &reply));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	close(fd);
	for (int i = 0; i < 2; i++) {
		close(ids[i]);
		close(go[i]);
	}
}

TEST_F(steer, a_vmm_that_is_stopped_with_an_event_open)
{
	stop_vmm(_metadata, self->t.vm->dev_fd, false);
	stop_vmm(_metadata, self->t.vm->dev_fd, true);
}

TEST_F(steer, what_is_refused)
{
	struct vitrine_rule hlt = test_rule(VITRINE_ON_HLT, VITRINE_DO_ASK, 0, 0);
	struct vitrine_rule *many = calloc(VITRINE_MAX_RULES + 1, sizeof(*many));
	struct { struct vitrine_policy head; struct vitrine_rule rule; } policy = {
		.head = { .nr = 1, .reserved = 1 }, .rule = hlt,
	};
	struct vitrine_exit_event event;
	struct vitrine_answer reply = { .verdict = VITRINE_INJECT + 1 };
	unsigned int i;
	uint32_t ms = 10;
	int observer;

	for (i = 0; i <= VITRINE_MAX_RULES; i++)
		many[i] = hlt;
	EXPECT_EQ(-E2BIG, test_set_rules(self->t.fd, many, VITRINE_MAX_RULES + 1));
	EXPECT_EQ(0, test_set_rules(self->t.fd, many, VITRINE_MAX_RULES));
	free(many);
	EXPECT_EQ(-1, ioctl(self->t.fd, VITRINE_SET_POLICY, &policy));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ioctl(self->t.fd, VITRINE_SET_POLICY, NULL));
	EXPECT_EQ(EFAULT, errno);
	hlt.on = VITRINE_NR_ON;
	EXPECT_EQ(-EINVAL, test_set_rules(self->t.fd, &hlt, 1));
	hlt.on = VITRINE_ON_HLT;
	hlt.action = VITRINE_DO_OBSERVE + 1;
	EXPECT_EQ(-EINVAL, test_set_rules(self->t.fd, &hlt, 1));
	hlt.action = VITRINE_DO_ASK;

	EXPECT_EQ(-1, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	EXPECT_EQ(EINVAL, errno);
	reply.verdict = VITRINE_GO_ON;
	reply.flags = VITRINE_ADVANCE;
	EXPECT_EQ(-1, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-ENOENT, test_answer(self->t.fd, 1, VITRINE_GO_ON));

	observer = test_attach(self->t.vm->dev_fd, self->t.vm_id, 0);
	ASSERT_LE(0, observer);
	EXPECT_EQ(-EPERM, test_set_rules(observer, &hlt, 1));
	EXPECT_EQ(-1, ioctl(observer, VITRINE_NEXT_EVENT, &event));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-EPERM, test_answer(observer, 1, VITRINE_GO_ON));
	EXPECT_EQ(-1, ioctl(observer, VITRINE_SET_TIMEOUT, &ms));
	EXPECT_EQ(EPERM, errno);
	close(observer);
}

/*
 * A vCPU waits in its KVM_RUN for memory that its VMM withholds, as a reader of the rules: sooner
 * or later who changes them waits for it, and can be killed, and nobody else waits.
 */
TEST_F(steer, a_vcpu_that_the_vmm_holds_up)
{
	static uint8_t memory[4096] __attribute__((aligned(4096)));
	struct vitrine_monitor_info info;
	struct test_runner runner;
	struct test_pager pager;
	int fd, i, gone = 0;
	pid_t child;

	if (!test_pager_create(&pager, memory, sizeof(memory)))
		SKIP(return, "no userfaultfd in this kernel");
	test_vm_add_memory(self->t.vm, 1, WAITING_GPA, memory, sizeof(memory), 0);
	test_steer_load(&self->t, GUEST_BLOB(guest_touch));
	test_runner_start(&runner, self->t.vcpu);
	ASSERT_TRUE(test_pager_wait(&pager, TEST_LONG_MS));
	child = fork();
	ASSERT_LE(0, child);
	while (!child)
		if (test_set_rules(self->t.fd, &every_cpuid, 1))
			_exit(1);
	usleep(200000);
	fd = test_attach(self->t.vm->dev_fd, self->t.vm_id, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, test_monitor_info(fd, &info));
	close(fd);
	EXPECT_EQ(0, waitpid(child, NULL, WNOHANG));
	kill(child, SIGKILL);
	for (i = 0; !gone && i < 200; i++) {
		gone = waitpid(child, NULL, WNOHANG);
		usleep(10000);
	}
	EXPECT_EQ(child, gone);
	/* It ends with its monitor, too. */
	close(self->t.fd);
	self->t.fd = -1;
	test_pager_end(&pager);
	EXPECT_EQ(0, test_runner_join(&runner));
}

/* A tool in a process of its own, which answers at random until it is killed. */
static void tool(int dev_fd, uint64_t vm_id, unsigned int seed)
{
	struct vitrine_rule all = every_cpuid;
	struct vitrine_exit_event event;
	int fd = test_attach(dev_fd, vm_id, VITRINE_ATTACH_STEER);

	all.action = seed % 2 ? VITRINE_DO_ASK : VITRINE_DO_TELL;
	if (fd < 0 || test_set_rules(fd, &all, 1))
		_exit(1);
	for (;;) {
		if (!test_next_event(fd, &event, TEST_LONG_MS) && rand_r(&seed) % 8)
			test_answer(fd, event.seq, VITRINE_GO_ON);
	}
}

TEST_F(steer, tools_are_killed_at_random)
{
	unsigned int kills = getenv("LONG") ? 1000 : 50, i, seed = 1;
	const char *given = getenv("VITRINE_SEED");
	struct timespec pause = { 0 };

	if (given)
		seed = atoi(given);
	TH_LOG("seed %u, %u tools", seed, kills);
	close(self->t.fd);
	self->t.fd = -1;
	test_steer_load(&self->t, GUEST_BLOB(guest_spin));
	for (i = 0; i < kills; i++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid)
			tool(self->t.vm->dev_fd, self->t.vm_id, rand_r(&seed));
		rand_r(&seed);
		test_steer_set_guest(&self->t, 200, 0, 0);
		test_steer_start(&self->t);
		pause.tv_nsec = rand_r(&seed) % 2000000;
		nanosleep(&pause, NULL);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		/* The guest gets to its end, whatever the tool had asked for. */
		ASSERT_TRUE(test_steer_ended_well(&self->t));
	}
}

TEST_HARNESS_MAIN
