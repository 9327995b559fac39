// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family: what is shown and to whom, what is refused, what happens to a dump
 * when VMs come and go.
 *
 * build: build/tests/lib/watch.o
 */
#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include "kselftest_harness.h"
#include "lib/host.h"
#include "lib/vm.h"
#include "lib/watch.h"
#include <vitrine_netlink.h>

#define NOBODY		65534
/* More than two parts of a dump hold; NETLINK_VMS in the environment, for figures. */
#define MANY_VMS	400

GUEST_CODE(guest_cpuid, "xor %eax, %eax\ncpuid\nxor %eax, %eax\ncpuid\n" GUEST_SYNC);
/* No IDT: a triple fault. */
GUEST_CODE(guest_fault, "push $0\npush $0\nlidt (%rsp)\nud2\n");

FIXTURE(netlink) {
	struct test_found found;
	struct vitrine_watch *watch;
	struct test_vm *vm;
	struct test_vcpu *vcpu;
};

FIXTURE_SETUP(netlink)
{
	self->watch = test_watch_open();
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

static void on_counters(const struct vitrine_counters *counters, void *data)
{
	*(struct vitrine_counters *)data = *counters;
}

TEST_F(netlink, shows_the_vm)
{
	const struct vitrine_vm_info *vm = self->found.vm;
	uint64_t id;

	ASSERT_EQ(1, test_watch_count(&self->found));
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
	ASSERT_EQ(1, test_watch_count(&self->found));
	EXPECT_NE(0, vm->table_bytes);
	EXPECT_EQ(0, vm->table_bytes % 4096);
	/* Another one has another id, above. */
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
	self->vcpu = NULL;
	self->vm = test_vm_create();
	ASSERT_EQ(1, test_watch_count(&self->found));
	EXPECT_LT(id, vm->id);
}

TEST_F(netlink, shows_the_vcpu_and_its_counters)
{
	struct vitrine_counters counters;
	struct vitrine_vcpu_info vcpu;

	ASSERT_EQ(0, vitrine_watch_vcpus(self->watch, 0, test_watch_vcpu, &vcpu, NULL));
	EXPECT_EQ(7, vcpu.id);
	EXPECT_EQ(VITRINE_NL_VCPU_OUT, vcpu.state);
	EXPECT_EQ(-1, vcpu.cpu);
	EXPECT_FALSE(vcpu.has_run);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_cpuid));
	test_vcpu_run_to_sync(self->vcpu);
	ASSERT_EQ(0, vitrine_watch_vcpus(self->watch, vcpu.vm_id, test_watch_vcpu, &vcpu, NULL));
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
	ASSERT_EQ(1, test_watch_count(&self->found));
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
	EXPECT_EQ(-EINVAL, request(&raw, VITRINE_NL_CMD_SAMPLE, 0, 0, NULL, 0));
	EXPECT_EQ(-EOPNOTSUPP, request(&raw, VITRINE_NL_CMD_EVENT, 0, 0, NULL, 0));
	EXPECT_EQ(-EOPNOTSUPP, request(&raw, VITRINE_NL_CMD_UNSPEC, 0, 0, NULL, 0));
	EXPECT_EQ(-EOPNOTSUPP, request(&raw, 99, NLM_F_DUMP, 0, NULL, 0));
	nl_socket_free(raw.sock);
}

static int count_as_nobody(void *data)
{
	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
		return 255;
	return test_watch_count(data);
}

/* A socket of root's does not show nobody more than a socket of its own. */
static int count_by_roots_socket(void *data)
{
	struct test_found *found = data;
	struct vitrine_watch *watch = test_watch_open();

	if (setresuid(NOBODY, NOBODY, NOBODY))
		return 255;
	found->nr = 0;
	return vitrine_watch_vms(watch, 0, test_watch_vm, found, NULL) ? 255 : (int)found->nr;
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
	return test_watch_count(data);
}

static int count_own_as_nobody(void *data)
{
	int dev = test_dev_open(), vm;

	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
		return 255;
	vm = ioctl(dev, KVM_CREATE_VM, 0);
	return vm < 0 ? 255 : test_watch_count(data);
}

TEST_F(netlink, hides_from_other_users)
{
	EXPECT_EQ(1, test_watch_count(&self->found));
	EXPECT_EQ(0, test_in_child(count_as_nobody, &self->found));
	EXPECT_EQ(0, test_in_child(count_by_roots_socket, &self->found));
	EXPECT_EQ(0, test_in_child(count_setuid_vm_as_nobody, &self->found));
	EXPECT_EQ(1, test_in_child(count_own_as_nobody, &self->found));
}

/* In namespaces of its own, root within: of the VMs outside none is seen, of its own all. */
static int count_in_namespace(void *data)
{
	struct test_found *found = data;
	int dev, vm, before, after;

	before = test_watch_count(found);
	dev = test_dev_open();
	vm = ioctl(dev, KVM_CREATE_VM, 0);
	if (vm < 0)
		return 255;
	after = test_watch_count(found);
	if (after == 1 && found->vm[0].owner_pid != (uint32_t)getpid())
		return 254;
	return before * 16 + after;
}

static int enter_pid_namespace(void *data)
{
	if (unshare(CLONE_NEWPID))
		return 255;
	return test_in_child(count_in_namespace, data);
}

static int enter_net_namespace(void *data)
{
	if (unshare(CLONE_NEWPID | CLONE_NEWNET))
		return 255;
	return test_in_child(count_in_namespace, data);
}

static int enter_user_namespace(void *data)
{
	struct test_found *found = data;

	/* As nobody, who is root of the new one: what root outside owns is not below it. */
	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY) ||
	    unshare(CLONE_NEWUSER))
		return 255;
	return test_watch_count(found);
}

TEST_F(netlink, hides_from_other_namespaces)
{
	EXPECT_EQ(1, test_in_child(enter_pid_namespace, &self->found));
	EXPECT_EQ(1, test_in_child(enter_net_namespace, &self->found));
	EXPECT_EQ(0, test_in_child(enter_user_namespace, &self->found));
}

/* Of @nr VMs that came one after the other, each once. */
static bool ids_ascend(const struct test_found *found)
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
	int vms[TEST_FOUND_MOST], i, nr = text ? atoi(text) : MANY_VMS;
	uint64_t ticks;

	for (i = 0; i < nr; i++)
		vms[i] = test_bare_vm();
	ticks = __rdtsc();
	EXPECT_EQ(nr + 1, test_watch_count(&self->found));
	ticks = __rdtsc() - ticks;
	EXPECT_TRUE(ids_ascend(&self->found));
	printf("# a dump of %d VMs took %llu ticks\n", nr + 1, (unsigned long long)ticks);
	fflush(stdout);
	if (text && system("vitrine list | wc -l; time vitrine list >/dev/null"))
		test_die("vitrine list");
	for (i = 0; i < nr; i++)
		close(vms[i]);
	EXPECT_EQ(1, test_watch_count(&self->found));
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
		vms[i] = test_bare_vm();
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
	EXPECT_EQ(0, test_watch_count(&self->found));
	EXPECT_EQ(-EWOULDBLOCK, host_module_unload());
	/* It goes on where it was, and there is nothing any more. */
	EXPECT_EQ(0, receive(raw.sock));
	EXPECT_EQ(0, host_module_users());
	ASSERT_EQ(0, test_watch_count(&self->found));
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

TEST_F(netlink, dumps_while_vms_come_and_go)
{
	struct vitrine_counters counters;
	struct vitrine_vcpu_info vcpu;
	pid_t pid[3];
	int i, round;

	for (i = 0; i < 3; i++)
		pid[i] = test_start(churn);
	for (round = 0; round < 150; round++) {
		EXPECT_LE(1, test_watch_count(&self->found));
		EXPECT_TRUE(ids_ascend(&self->found));
		EXPECT_EQ(0, vitrine_watch_vcpus(self->watch, 0, test_watch_vcpu, &vcpu, NULL));
		EXPECT_EQ(0, vitrine_watch_counters(self->watch, 0, on_counters, &counters, NULL));
		if (round % 50 == 49) {
			i = round / 50;
			kill(pid[i], SIGKILL);
			waitpid(pid[i], NULL, 0);
		}
	}
	EXPECT_EQ(1, test_watch_count(&self->found));
}

TEST_HARNESS_MAIN
