// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family: what is shown and to whom, what is refused, what happens to a dump
 * when VMs come and go, and events.
 */
#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include "kselftest_harness.h"
#include "lib/host.h"
#include "lib/vm.h"
#include <libvitrine_watch.h>
#include <vitrine_netlink.h>

#define NOBODY		65534
#define MANY_VMS	400	/* more than two parts of a dump hold */
#define MOST_VMS	2000	/* NETLINK_VMS in the environment, for figures */
#define WAIT_MS		3000

GUEST_CODE(guest_cpuid, "xor %eax, %eax\ncpuid\nxor %eax, %eax\ncpuid\n" GUEST_SYNC);
GUEST_CODE(guest_spin, "1: jmp 1b\n");
/* No IDT: a triple fault. */
GUEST_CODE(guest_fault, "push $0\npush $0\nlidt (%rsp)\nud2\n");

static struct vitrine_watch *watch_open(void)
{
	struct vitrine_error err;
	struct vitrine_watch *watch = vitrine_watch_open(&err);

	if (!watch)
		test_die("%s", err.text);
	return watch;
}

struct found {
	struct vitrine_vm_info vm[MOST_VMS + 8];
	unsigned int nr;
};

static void on_vm(const struct vitrine_vm_info *vm, void *data)
{
	struct found *found = data;

	if (found->nr < sizeof(found->vm) / sizeof(found->vm[0]))
		found->vm[found->nr++] = *vm;
}

/* How many VMs there are for the caller; -errno. */
static int count_vms(struct found *found)
{
	struct vitrine_watch *watch = watch_open();
	int ret;

	found->nr = 0;
	ret = vitrine_watch_vms(watch, 0, on_vm, found, NULL);
	vitrine_watch_close(watch);
	return ret ? ret : (int)found->nr;
}

static int bare_vm(void)
{
	int dev = test_dev_open(), vm = ioctl(dev, KVM_CREATE_VM, 0);

	if (vm < 0)
		test_die("KVM_CREATE_VM");
	close(dev);
	return vm;
}

FIXTURE(netlink) {
	struct found found;
	struct vitrine_watch *watch;
	struct test_vm *vm;
	struct test_vcpu *vcpu;
};

FIXTURE_SETUP(netlink)
{
	self->watch = watch_open();
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 7);
	test_vcpu_set_supported_cpuid(self->vcpu);
}

FIXTURE_TEARDOWN(netlink)
{
	if (self->vcpu)
		test_vcpu_free(self->vcpu);
	if (self->vm)
		test_vm_free(self->vm);
	vitrine_watch_close(self->watch);
}

static void on_vcpu(const struct vitrine_vcpu_info *vcpu, void *data)
{
	*(struct vitrine_vcpu_info *)data = *vcpu;
}

static void on_counters(const struct vitrine_counters *counters, void *data)
{
	*(struct vitrine_counters *)data = *counters;
}

TEST_F(netlink, shows_the_vm)
{
	const struct vitrine_vm_info *vm = self->found.vm;
	uint64_t id;

	ASSERT_EQ(1, count_vms(&self->found));
	EXPECT_EQ((uint32_t)getpid(), vm->owner_pid);
	EXPECT_EQ(getuid(), vm->owner_uid);
	EXPECT_STREQ("netlink_test", vm->name);
	EXPECT_EQ(1, vm->nr_vcpus);
	EXPECT_EQ(VITRINE_NL_VM_IDLE, vm->state);
	EXPECT_EQ(TEST_MEMORY_BYTES, vm->memory_bytes);
	EXPECT_NE(0, vm->age_ns);
	EXPECT_GT(60000000000ull, vm->age_ns);
	EXPECT_EQ(0, vm->table_bytes);
	id = vm->id;
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_cpuid));
	test_vcpu_run_to_sync(self->vcpu);
	ASSERT_EQ(1, count_vms(&self->found));
	EXPECT_NE(0, vm->table_bytes);
	EXPECT_EQ(0, vm->table_bytes % 4096);
	/* Another one has another id, above. */
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
	self->vcpu = NULL;
	self->vm = test_vm_create();
	ASSERT_EQ(1, count_vms(&self->found));
	EXPECT_LT(id, vm->id);
}

TEST_F(netlink, shows_the_vcpu_and_its_counters)
{
	struct vitrine_counters counters;
	struct vitrine_vcpu_info vcpu;

	ASSERT_EQ(0, vitrine_watch_vcpus(self->watch, 0, on_vcpu, &vcpu, NULL));
	EXPECT_EQ(7, vcpu.id);
	EXPECT_EQ(VITRINE_NL_VCPU_OUT, vcpu.state);
	EXPECT_EQ(-1, vcpu.cpu);
	EXPECT_FALSE(vcpu.has_run);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_cpuid));
	test_vcpu_run_to_sync(self->vcpu);
	ASSERT_EQ(0, vitrine_watch_vcpus(self->watch, vcpu.vm_id, on_vcpu, &vcpu, NULL));
	EXPECT_TRUE(vcpu.has_run);
	EXPECT_EQ((uint32_t)gettid(), vcpu.thread);
	EXPECT_STREQ("IO_INSTRUCTION", vitrine_reason_name(vcpu.exit_reason));
	ASSERT_EQ(0, vitrine_watch_counters(self->watch, 0, on_counters, &counters, NULL));
	EXPECT_EQ(vcpu.vm_id, counters.vm_id);
	EXPECT_EQ(7, counters.vcpu_id);
	EXPECT_EQ(2, counters.exits[10]);	/* CPUID */
	EXPECT_NE(0, counters.exit_ticks[10]);
	EXPECT_EQ(1, counters.exits[30]);	/* I/O */
	EXPECT_EQ(1, counters.value[vitrine_watch_counter(self->watch, "runs")]);
	EXPECT_EQ(1, counters.value[vitrine_watch_counter(self->watch, "user_exits")]);
	EXPECT_NE(0, counters.value[vitrine_watch_counter(self->watch, "mem_faults")]);
	EXPECT_NE(0, counters.guest_ticks);
	EXPECT_NE(0, counters.host_ticks);
	EXPECT_EQ(-1, vitrine_watch_counter(self->watch, "frobnications"));
	EXPECT_EQ(-ENOENT, vitrine_watch_counters(self->watch, counters.vm_id + 1, on_counters,
						  &counters, NULL));
}

/* Requests that the library would not make. */

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *answer, void *data)
{
	(void)from;
	*(int *)data = answer->error;
	return NL_STOP;
}

struct raw {
	struct nl_sock *sock;
	int family;
};

static void raw_open(struct raw *raw)
{
	raw->sock = nl_socket_alloc();
	if (!raw->sock || genl_connect(raw->sock))
		test_die("no netlink socket");
	raw->family = genl_ctrl_resolve(raw->sock, VITRINE_NL_FAMILY);
	if (raw->family < 0)
		test_die("no family");
}

static int receive(struct nl_sock *sock)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int error = 0, ret;

	nl_cb_err(cb, NL_CB_CUSTOM, on_error, &error);
	ret = nl_recvmsgs(sock, cb);
	nl_cb_put(cb);
	return error || ret >= 0 ? error : -EPROTO;
}

/* The answer's errno, negative; attribute @attr, unless 0, is the @bytes at @value. */
static int request(const struct raw *raw, int cmd, int flags, int attr, const void *value,
		   int bytes)
{
	struct nl_msg *msg = nlmsg_alloc();

	genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, raw->family, 0, flags, cmd,
		    VITRINE_NL_VERSION);
	if (attr)
		nla_put(msg, attr, bytes, value);
	nl_socket_disable_auto_ack(raw->sock);
	if (nl_send_auto(raw->sock, msg) < 0)
		test_die("nl_send_auto");
	nlmsg_free(msg);
	return receive(raw->sock);
}

TEST_F(netlink, refuses)
{
	uint64_t id = 1, none = 0, far = ~0ull, both[2] = { 1, 2 };
	unsigned int cmd;
	struct raw raw;

	raw_open(&raw);
	ASSERT_EQ(1, count_vms(&self->found));
	id = self->found.vm[0].id;
	EXPECT_EQ(0, request(&raw, VITRINE_NL_CMD_GET_VM, 0, VITRINE_NL_A_VM_ID, &id, 8));
	EXPECT_EQ(-EINVAL, request(&raw, VITRINE_NL_CMD_GET_VM, 0, 0, NULL, 0));
	EXPECT_EQ(-ENOENT, request(&raw, VITRINE_NL_CMD_GET_VM, 0, VITRINE_NL_A_VM_ID, &none, 8));
	EXPECT_EQ(-ENOENT, request(&raw, VITRINE_NL_CMD_GET_VM, 0, VITRINE_NL_A_VM_ID, &far, 8));
	for (cmd = VITRINE_NL_CMD_GET_VM; cmd <= VITRINE_NL_CMD_GET_STATS; cmd++) {
		int dump = NLM_F_DUMP;

		EXPECT_EQ(0, request(&raw, cmd, dump, VITRINE_NL_A_VM_ID, &id, 8));
		EXPECT_EQ(-ENOENT, request(&raw, cmd, dump, VITRINE_NL_A_VM_ID, &far, 8));
		/* Too short, too long, another attribute, one that nobody knows. */
		EXPECT_EQ(-EINVAL, request(&raw, cmd, dump, VITRINE_NL_A_VM_ID, &id, 4));
		EXPECT_EQ(-EINVAL, request(&raw, cmd, dump, VITRINE_NL_A_VM_ID, both, 16));
		EXPECT_EQ(-EINVAL, request(&raw, cmd, dump, VITRINE_NL_A_VCPU_ID, &id, 4));
		EXPECT_EQ(-EINVAL, request(&raw, cmd, dump, 1000, &id, 8));
		EXPECT_EQ(-EINVAL, request(&raw, cmd, dump, VITRINE_NL_A_PAD, NULL, 0));
	}
	EXPECT_EQ(0, request(&raw, VITRINE_NL_CMD_GET_CAPS, 0, 0, NULL, 0));
	EXPECT_EQ(-EINVAL, request(&raw, VITRINE_NL_CMD_GET_CAPS, 0, VITRINE_NL_A_VM_ID, &id, 8));
	EXPECT_EQ(-EOPNOTSUPP, request(&raw, VITRINE_NL_CMD_GET_CAPS, NLM_F_DUMP, 0, NULL, 0));
	EXPECT_EQ(-EOPNOTSUPP, request(&raw, VITRINE_NL_CMD_GET_VCPU, 0, 0, NULL, 0));
	EXPECT_EQ(-EOPNOTSUPP, request(&raw, VITRINE_NL_CMD_EVENT, 0, 0, NULL, 0));
	EXPECT_EQ(-EOPNOTSUPP, request(&raw, VITRINE_NL_CMD_UNSPEC, 0, 0, NULL, 0));
	EXPECT_EQ(-EOPNOTSUPP, request(&raw, 99, NLM_F_DUMP, 0, NULL, 0));
	nl_socket_free(raw.sock);
}

/* Runs @fn in a child; its value, 0 to 255. */
static int in_child(int (*fn)(void *data), void *data)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(fn(data));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		test_die("a child");
	return WEXITSTATUS(status);
}

static int count_as_nobody(void *data)
{
	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
		return 255;
	return count_vms(data);
}

/* A socket of root's does not show nobody more than a socket of its own. */
static int count_by_roots_socket(void *data)
{
	struct found *found = data;
	struct vitrine_watch *watch = watch_open();

	if (setresuid(NOBODY, NOBODY, NOBODY))
		return 255;
	found->nr = 0;
	return vitrine_watch_vms(watch, 0, on_vm, found, NULL) ? 255 : (int)found->nr;
}

/* Root's effective id and nobody's real one, as of a set-uid program: nobody's VM it is not. */
static int count_setuid_vm_as_nobody(void *data)
{
	int vm, fd;

	if (setresuid(NOBODY, 0, 0))
		return 255;
	fd = test_dev_open();
	vm = ioctl(fd, KVM_CREATE_VM, 0);
	if (vm < 0 || setresuid(NOBODY, NOBODY, NOBODY))
		return 255;
	return count_vms(data);
}

static int count_own_as_nobody(void *data)
{
	int dev = test_dev_open(), vm;

	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
		return 255;
	vm = ioctl(dev, KVM_CREATE_VM, 0);
	return vm < 0 ? 255 : count_vms(data);
}

TEST_F(netlink, hides_from_other_users)
{
	EXPECT_EQ(1, count_vms(&self->found));
	EXPECT_EQ(0, in_child(count_as_nobody, &self->found));
	EXPECT_EQ(0, in_child(count_by_roots_socket, &self->found));
	EXPECT_EQ(0, in_child(count_setuid_vm_as_nobody, &self->found));
	EXPECT_EQ(1, in_child(count_own_as_nobody, &self->found));
}

static int join_as_nobody(void *data)
{
	struct vitrine_watch *watch;

	(void)data;
	if (setresuid(NOBODY, NOBODY, NOBODY))
		return 255;
	watch = watch_open();
	return vitrine_watch_join(watch, NULL) == -EPERM ? 0 : 1;
}

TEST_F(netlink, events_take_a_capability)
{
	EXPECT_EQ(0, in_child(join_as_nobody, NULL));
	EXPECT_LT(0, vitrine_watch_join(self->watch, NULL));
}

/* In namespaces of its own, root within: of the VMs outside none is seen, of its own all. */
static int count_in_namespace(void *data)
{
	struct found *found = data;
	int dev, vm, before, after;

	before = count_vms(found);
	dev = test_dev_open();
	vm = ioctl(dev, KVM_CREATE_VM, 0);
	if (vm < 0)
		return 255;
	after = count_vms(found);
	if (after == 1 && found->vm[0].owner_pid != (uint32_t)getpid())
		return 254;
	return before * 16 + after;
}

static int enter_pid_namespace(void *data)
{
	if (unshare(CLONE_NEWPID))
		return 255;
	return in_child(count_in_namespace, data);
}

static int enter_net_namespace(void *data)
{
	if (unshare(CLONE_NEWPID | CLONE_NEWNET))
		return 255;
	return in_child(count_in_namespace, data);
}

static int enter_user_namespace(void *data)
{
	struct found *found = data;

	/* As nobody, who is root of the new one: what root outside owns is not below it. */
	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY) ||
	    unshare(CLONE_NEWUSER))
		return 255;
	return count_vms(found);
}

TEST_F(netlink, hides_from_other_namespaces)
{
	EXPECT_EQ(1, in_child(enter_pid_namespace, &self->found));
	EXPECT_EQ(1, in_child(enter_net_namespace, &self->found));
	EXPECT_EQ(0, in_child(enter_user_namespace, &self->found));
}

/* Of @nr VMs that came one after the other, each once. */
static bool ids_ascend(const struct found *found)
{
	unsigned int i;

	for (i = 1; i < found->nr; i++)
		if (found->vm[i].id <= found->vm[i - 1].id)
			return false;
	return true;
}

TEST_F(netlink, dumps_many)
{
	const char *text = getenv("NETLINK_VMS");
	int vms[MOST_VMS], i, nr = text ? atoi(text) : MANY_VMS;
	uint64_t ticks;

	for (i = 0; i < nr; i++)
		vms[i] = bare_vm();
	ticks = __rdtsc();
	EXPECT_EQ(nr + 1, count_vms(&self->found));
	ticks = __rdtsc() - ticks;
	EXPECT_TRUE(ids_ascend(&self->found));
	printf("# a dump of %d VMs took %llu ticks\n", nr + 1, (unsigned long long)ticks);
	fflush(stdout);
	if (text && system("vitrine list | wc -l; time vitrine list >/dev/null"))
		test_die("vitrine list");
	for (i = 0; i < nr; i++)
		close(vms[i]);
	EXPECT_EQ(1, count_vms(&self->found));
}

static void on_part(const struct vitrine_vm_info *vm, void *data)
{
	(void)vm;
	++*(int *)data;
}

/* A dump that is begun and not read on: it keeps the module, but no VM. */
TEST_F(netlink, half_a_dump)
{
	struct nl_msg *msg = nlmsg_alloc();
	char part[4096];
	int vms[MANY_VMS], i, seen = 0;
	struct raw raw;

	for (i = 0; i < MANY_VMS; i++)
		vms[i] = bare_vm();
	raw_open(&raw);
	genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, raw.family, 0, NLM_F_DUMP,
		    VITRINE_NL_CMD_GET_VM, VITRINE_NL_VERSION);
	ASSERT_LT(0, nl_send_auto(raw.sock, msg));
	nlmsg_free(msg);
	ASSERT_LT(0, recv(nl_socket_get_fd(raw.sock), part, sizeof(part), 0));
	for (i = 0; i < MANY_VMS; i++)
		close(vms[i]);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
	self->vcpu = NULL;
	self->vm = NULL;
	EXPECT_EQ(0, count_vms(&self->found));
	EXPECT_EQ(-EWOULDBLOCK, host_module_unload());
	/* It goes on where it was, and there is nothing any more. */
	EXPECT_EQ(0, receive(raw.sock));
	EXPECT_EQ(0, host_module_users());
	ASSERT_EQ(0, count_vms(&self->found));
	/* A new one sees the new. */
	self->vm = test_vm_create();
	EXPECT_EQ(0, vitrine_watch_vms(self->watch, 0, on_part, &seen, NULL));
	EXPECT_EQ(1, seen);
	nl_socket_free(raw.sock);
}

/* Others create and destroy, or are killed with it, while one reads. */
static void churn(void)
{
	for (;;) {
		struct test_vm *vm = test_vm_create();
		struct test_vcpu *vcpu = test_vcpu_create(vm, 0);

		test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_fault));
		test_vcpu_run(vcpu);
		test_vcpu_free(vcpu);
		test_vm_free(vm);
	}
}

static pid_t start(void (*fn)(void))
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fn();
		_exit(0);
	}
	if (pid < 0)
		test_die("fork");
	return pid;
}

TEST_F(netlink, dumps_while_vms_come_and_go)
{
	struct vitrine_counters counters;
	struct vitrine_vcpu_info vcpu;
	pid_t pid[3];
	int i, round;

	for (i = 0; i < 3; i++)
		pid[i] = start(churn);
	for (round = 0; round < 150; round++) {
		EXPECT_LE(1, count_vms(&self->found));
		EXPECT_TRUE(ids_ascend(&self->found));
		EXPECT_EQ(0, vitrine_watch_vcpus(self->watch, 0, on_vcpu, &vcpu, NULL));
		EXPECT_EQ(0, vitrine_watch_counters(self->watch, 0, on_counters, &counters, NULL));
		if (round % 50 == 49) {
			i = round / 50;
			kill(pid[i], SIGKILL);
			waitpid(pid[i], NULL, 0);
		}
	}
	EXPECT_EQ(1, count_vms(&self->found));
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

TEST_F(netlink, events_of_a_life)
{
	struct vitrine_life_event event;
	struct test_vcpu *vcpu;
	struct test_vm *vm;
	uint64_t id;

	ASSERT_LT(0, vitrine_watch_join(self->watch, NULL));
	vm = test_vm_create();
	event = EXPECT_EVENT(VITRINE_NL_EVENT_VM_CREATED, -1);
	id = event.vm_id;
	EXPECT_EQ((uint32_t)getpid(), event.owner_pid);
	EXPECT_EQ(getuid(), event.owner_uid);
	EXPECT_STREQ("netlink_test", event.name);
	vcpu = test_vcpu_create(vm, 3);
	event = EXPECT_EVENT(VITRINE_NL_EVENT_VCPU_CREATED, 3);
	EXPECT_EQ(id, event.vm_id);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_fault));
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, test_vcpu_run(vcpu));
	event = EXPECT_EVENT(VITRINE_NL_EVENT_SHUTDOWN, 3);
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

TEST_F(netlink, a_vmm_is_killed)
{
	struct vitrine_vcpu_info vcpu = { .vm_id = 0 };
	struct vitrine_life_event event;
	int status, waited;
	uint64_t id;
	pid_t pid;

	ASSERT_LT(0, vitrine_watch_join(self->watch, NULL));
	pid = start(run_for_ever);
	event = EXPECT_EVENT(VITRINE_NL_EVENT_VM_CREATED, -1);
	id = event.vm_id;
	EXPECT_EQ((uint32_t)pid, event.owner_pid);
	EXPECT_EVENT(VITRINE_NL_EVENT_VCPU_CREATED, 0);
	for (waited = 0; vcpu.state != VITRINE_NL_VCPU_GUEST && waited < WAIT_MS; waited++) {
		ASSERT_EQ(0, vitrine_watch_vcpus(self->watch, id, on_vcpu, &vcpu, NULL));
		usleep(1000);
	}
	EXPECT_EQ(VITRINE_NL_VCPU_GUEST, vcpu.state);
	EXPECT_LE(0, vcpu.cpu);
	EXPECT_EQ((uint32_t)pid, vcpu.thread);
	ASSERT_EQ(2, count_vms(&self->found));
	EXPECT_EQ(VITRINE_NL_VM_RUNNING, self->found.vm[1].state);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	EXPECT_EVENT(VITRINE_NL_EVENT_VCPU_GONE, 0);
	event = EXPECT_EVENT(VITRINE_NL_EVENT_VM_GONE, -1);
	EXPECT_EQ(id, event.vm_id);
	/* It is still said whose it was. */
	EXPECT_EQ((uint32_t)pid, event.owner_pid);
	EXPECT_EQ(-ENOENT, vitrine_watch_vcpus(self->watch, id, on_vcpu, &vcpu, NULL));
}

/* Who does not read is told what it missed, and holds nobody up. */
TEST_F(netlink, events_that_are_lost)
{
	struct events events = { .nr = 0 };
	int fd, bytes = 1, i, ret = 0;

	fd = vitrine_watch_join(self->watch, NULL);
	ASSERT_LT(0, fd);
	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)));
	for (i = 0; i < 30; i++)
		close(bare_vm());
	for (i = 0; !ret && i < 60; i++)
		ret = vitrine_watch_events(self->watch, on_event, &events, NULL);
	EXPECT_EQ(-ENOBUFS, ret);
}

/* A container's events go into it, and to the first namespace. */
TEST_F(netlink, events_of_another_namespace)
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
		inner = watch_open();
		if (vitrine_watch_join(inner, NULL) < 0)
			_exit(2);
		close(bare_vm());
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

TEST_HARNESS_MAIN
