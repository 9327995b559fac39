// SPDX-License-Identifier: GPL-2.0
/*
 * Life-cycle messages by netlink: what is said of VMs that come, go, fail or are killed, to whom,
 * and what becomes of those who do not listen.
 *
 * build: build/tests/lib/watch.o
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/monitor.h"
#include "lib/vm.h"
#include "lib/watch.h"
#include <vitrine.h>
#include <vitrine_access.h>
#include <vitrine_netlink.h>

#define NOBODY		65534
#define WAIT_MS		3000

GUEST_CODE(guest_spin, "1: jmp 1b\n");
/* No IDT: a triple fault. */
GUEST_CODE(guest_fault, "push $0\npush $0\nlidt (%rsp)\nud2\n");

FIXTURE(event) {
	struct test_found found;
	struct vitrine_watch *watch;
};

FIXTURE_SETUP(event)
{
	self->watch = test_watch_open();
}

FIXTURE_TEARDOWN(event)
{
	vitrine_watch_close(self->watch);
}

static int join_as_nobody(void *data)
{
	struct vitrine_watch *watch;

	(void)data;
	if (setresuid(NOBODY, NOBODY, NOBODY))
		return 255;
	watch = test_watch_open();
	return vitrine_watch_join(watch, NULL) == -EPERM ? 0 : 1;
}

TEST_F(event, take_a_capability)
{
	EXPECT_EQ(0, test_in_child(join_as_nobody, NULL));
	EXPECT_LT(0, vitrine_watch_join(self->watch, NULL));
}

struct events {
	struct vitrine_life_event event[64];
	unsigned int nr;
};

static void on_event(const struct vitrine_life_event *event, void *data)
{
	struct events *events = data;

	if (events->nr < 64)
		events->event[events->nr++] = *event;
}

/* The next event, of whichever VM. */
static struct vitrine_life_event next_event(struct vitrine_watch *watch)
{
	struct pollfd in = { .fd = vitrine_watch_join(watch, NULL), .events = POLLIN };
	struct events events = { .nr = 0 };

	if (poll(&in, 1, WAIT_MS) != 1)
		test_die("no event came");
	if (vitrine_watch_events(watch, on_event, &events, NULL) || events.nr != 1)
		test_die("%u events", events.nr);
	return events.event[0];
}

#define EXPECT_EVENT(kind, vcpu) ({					\
	struct vitrine_life_event __event = next_event(self->watch);	\
									\
	EXPECT_STREQ(vitrine_event_name(kind), vitrine_event_name(__event.event));	\
	EXPECT_EQ(vcpu, __event.vcpu_id);				\
	__event;							\
})

TEST_F(event, of_a_life)
{
	struct vitrine_life_event event;
	struct test_vcpu *vcpu;
	struct test_vm *vm;
	uint64_t id;
	int fd;

	ASSERT_LT(0, vitrine_watch_join(self->watch, NULL));
	vm = test_vm_create();
	event = EXPECT_EVENT(VITRINE_NL_EVENT_VM_CREATED, -1);
	id = event.vm_id;
	EXPECT_EQ((uint32_t)getpid(), event.owner_pid);
	EXPECT_EQ(getuid(), event.owner_uid);
	EXPECT_STREQ("netlink_event_t", event.name);
	vcpu = test_vcpu_create(vm, 3);
	event = EXPECT_EVENT(VITRINE_NL_EVENT_VCPU_CREATED, 3);
	EXPECT_EQ(id, event.vm_id);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_fault));
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, test_vcpu_run(vcpu));
	event = EXPECT_EVENT(VITRINE_NL_EVENT_SHUTDOWN, 3);
	EXPECT_EQ(id, event.vm_id);
	fd = test_attach(vm->dev_fd, id, 0);
	event = EXPECT_EVENT(VITRINE_NL_EVENT_MONITOR_ATTACHED, -1);
	EXPECT_EQ(id, event.vm_id);
	close(fd);
	event = EXPECT_EVENT(VITRINE_NL_EVENT_MONITOR_DETACHED, -1);
	EXPECT_EQ(id, event.vm_id);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
	event = EXPECT_EVENT(VITRINE_NL_EVENT_VCPU_GONE, 3);
	EXPECT_EQ(id, event.vm_id);
	event = EXPECT_EVENT(VITRINE_NL_EVENT_VM_GONE, -1);
	EXPECT_EQ(id, event.vm_id);
}

static void run_for_ever(void)
{
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);

	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_spin));
	test_vcpu_run(vcpu);
}

TEST_F(event, a_vmm_is_killed)
{
	struct vitrine_vcpu_info vcpu = { .vm_id = 0 };
	struct vitrine_life_event event;
	int status, waited;
	uint64_t id;
	pid_t pid;

	ASSERT_LT(0, vitrine_watch_join(self->watch, NULL));
	pid = test_start(run_for_ever);
	event = EXPECT_EVENT(VITRINE_NL_EVENT_VM_CREATED, -1);
	id = event.vm_id;
	EXPECT_EQ((uint32_t)pid, event.owner_pid);
	EXPECT_EVENT(VITRINE_NL_EVENT_VCPU_CREATED, 0);
	for (waited = 0; vcpu.state != VITRINE_NL_VCPU_GUEST && waited < WAIT_MS; waited++) {
		ASSERT_EQ(0, vitrine_watch_vcpus(self->watch, id, test_watch_vcpu, &vcpu, NULL));
		usleep(1000);
	}
	EXPECT_EQ(VITRINE_NL_VCPU_GUEST, vcpu.state);
	EXPECT_LE(0, vcpu.cpu);
	EXPECT_EQ((uint32_t)pid, vcpu.thread);
	ASSERT_EQ(1, test_watch_count(&self->found));
	EXPECT_EQ(VITRINE_NL_VM_RUNNING, self->found.vm[0].state);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	EXPECT_EVENT(VITRINE_NL_EVENT_VCPU_GONE, 0);
	event = EXPECT_EVENT(VITRINE_NL_EVENT_VM_GONE, -1);
	EXPECT_EQ(id, event.vm_id);
	/* It is still said whose it was. */
	EXPECT_EQ((uint32_t)pid, event.owner_pid);
	EXPECT_EQ(-ENOENT, vitrine_watch_vcpus(self->watch, id, test_watch_vcpu, &vcpu, NULL));
}

/* Who does not read is told what it missed, and holds nobody up. */
TEST_F(event, that_are_lost)
{
	struct events events = { .nr = 0 };
	int fd, bytes = 1, i, ret = 0;

	fd = vitrine_watch_join(self->watch, NULL);
	ASSERT_LT(0, fd);
	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)));
	for (i = 0; i < 30; i++)
		close(test_bare_vm());
	for (i = 0; !ret && i < 60; i++)
		ret = vitrine_watch_events(self->watch, on_event, &events, NULL);
	EXPECT_EQ(-ENOBUFS, ret);
}

/* A VM cannot flood who listens: 150 pauses and their ends, in much less than three seconds. */
TEST_F(event, that_are_too_many)
{
	struct events events = { .nr = 0 };
	int fd, monitor, i, ret = 0, bytes = 4 << 20;
	struct vitrine_life_event event;
	struct test_vm *vm;
	uint32_t flags = 0;

	fd = vitrine_watch_join(self->watch, NULL);
	ASSERT_LT(0, fd);
	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)));
	vm = test_vm_create();
	event = EXPECT_EVENT(VITRINE_NL_EVENT_VM_CREATED, -1);
	monitor = test_attach(vm->dev_fd, event.vm_id, VITRINE_ATTACH_CONTROL);
	ASSERT_LE(0, monitor);
	for (i = 0; i < 150; i++) {
		ASSERT_EQ(0, ioctl(monitor, VITRINE_PAUSE, &flags));
		ASSERT_EQ(0, ioctl(monitor, VITRINE_UNPAUSE));
	}
	/* What there is to say of its life is said. */
	test_vm_free(vm);
	for (i = 0; !ret && i < 400; i++) {
		events.nr = 0;
		ret = vitrine_watch_events(self->watch, on_event, &events, NULL);
		if (events.nr && events.event[events.nr - 1].event == VITRINE_NL_EVENT_VM_GONE)
			break;
	}
	EXPECT_EQ(0, ret);
	EXPECT_LE(50, i);
	EXPECT_GT(299, i);
	close(monitor);
}

/* A container's events go into it, and to the first namespace. */
TEST_F(event, of_another_namespace)
{
	struct vitrine_life_event event;
	struct vitrine_watch *inner;
	pid_t pid;
	int status;

	ASSERT_LT(0, vitrine_watch_join(self->watch, NULL));
	pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWNET))
			_exit(1);
		inner = test_watch_open();
		if (vitrine_watch_join(inner, NULL) < 0)
			_exit(2);
		close(test_bare_vm());
		event = next_event(inner);
		if (event.event != VITRINE_NL_EVENT_VM_CREATED ||
		    event.owner_pid != (uint32_t)getpid())
			_exit(3);
		event = next_event(inner);
		_exit(event.event != VITRINE_NL_EVENT_VM_GONE);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	event = EXPECT_EVENT(VITRINE_NL_EVENT_VM_CREATED, -1);
	EXPECT_EQ((uint32_t)pid, event.owner_pid);
	EXPECT_EVENT(VITRINE_NL_EVENT_VM_GONE, -1);
}

/* Samples of whatever vCPUs there are, from the time they are asked for. */
struct samples {
	unsigned int nr;
	uint64_t first_ns, last_ns;
	uint64_t runs;
};

static void on_sample(const struct vitrine_counters *counters, void *data)
{
	struct samples *samples = data;

	if (!samples->nr++)
		samples->first_ns = counters->time_ns;
	samples->last_ns = counters->time_ns;
	samples->runs = counters->value[0];
}

TEST_F(event, samples)
{
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	struct samples samples = { .nr = 0 };

	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_fault));
	test_vcpu_run(vcpu);
	EXPECT_EQ(-ERANGE, vitrine_watch_sample(self->watch, 99, NULL));
	EXPECT_EQ(-ERANGE, vitrine_watch_sample(self->watch, 60001, NULL));
	ASSERT_LT(0, vitrine_watch_sample(self->watch, 100, NULL));
	while (samples.nr < 3)
		ASSERT_EQ(0, vitrine_watch_samples(self->watch, on_sample, &samples, NULL));
	EXPECT_EQ(1, samples.runs);
	EXPECT_LE(2 * 90000000ull, samples.last_ns - samples.first_ns);
	EXPECT_GE(2 * 1000000000ull, samples.last_ns - samples.first_ns);
	/* They hold neither the VM nor, once nobody listens, the module's timer. */
	test_vcpu_free(vcpu);
	test_vm_free(vm);
	EXPECT_EQ(0, test_watch_count(&self->found));
}

static int sample_as_nobody(void *data)
{
	struct vitrine_watch *watch;

	(void)data;
	if (setresuid(NOBODY, NOBODY, NOBODY))
		return 255;
	watch = test_watch_open();
	return vitrine_watch_sample(watch, 100, NULL) == -EPERM ? 0 : 1;
}

TEST_F(event, samples_take_a_capability)
{
	EXPECT_EQ(0, test_in_child(sample_as_nobody, NULL));
}

TEST_F(event, of_monitors)
{
	struct vitrine_attach attach = { .flags = VITRINE_ATTACH_STEER };
	struct vitrine_life_event event;
	struct test_vm *vm;
	int dev, fd;

	ASSERT_LT(0, vitrine_watch_join(self->watch, NULL));
	vm = test_vm_create();
	event = EXPECT_EVENT(VITRINE_NL_EVENT_VM_CREATED, -1);
	attach.vm_id = event.vm_id;
	dev = test_dev_open();
	fd = ioctl(dev, VITRINE_ATTACH, &attach);
	ASSERT_LE(0, fd);
	event = EXPECT_EVENT(VITRINE_NL_EVENT_MONITOR_ATTACHED, -1);
	EXPECT_EQ(attach.vm_id, event.vm_id);
	EXPECT_EQ(VITRINE_ATTACH_STEER, event.detail);
	close(fd);
	event = EXPECT_EVENT(VITRINE_NL_EVENT_MONITOR_DETACHED, -1);
	EXPECT_EQ(VITRINE_ATTACH_STEER, event.detail);
	/* Of a VM that is gone there is no more to say. */
	fd = ioctl(dev, VITRINE_ATTACH, &attach);
	ASSERT_LE(0, fd);
	EXPECT_EVENT(VITRINE_NL_EVENT_MONITOR_ATTACHED, -1);
	test_vm_free(vm);
	EXPECT_EVENT(VITRINE_NL_EVENT_VM_GONE, -1);
	close(fd);
	close(dev);
	close(test_bare_vm());
	EXPECT_EVENT(VITRINE_NL_EVENT_VM_CREATED, -1);
}

TEST_HARNESS_MAIN
