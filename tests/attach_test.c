// SPDX-License-Identifier: GPL-2.0
/*
 * Who may attach to a VM and who may not: by user, power, namespace, security label and the
 * module's parameter.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/host.h"
#include "lib/monitor.h"

#define PARAMETER	"/sys/module/vitrine/parameters/attach"
#define NOBODY		65534
#define SECURITYFS	"/sys/kernel/security"
/* A policy namespace of AppArmor's has a label of its own for who is not confined there. */
#define LABELS		SECURITYFS "/apparmor/policy/namespaces/vitrine_test"
#define OTHER_LABEL	"changeprofile :vitrine_test:unconfined"

FIXTURE(attach) {
	struct test_vm *vm;
	uint64_t id;
};

FIXTURE_SETUP(attach)
{
	if (test_on_kvm())
		SKIP(TEST_NOT_AT_ALL, "KVM has no monitors");
	self->vm = test_vm_create();
	self->id = test_vm_id(self->vm);
}

FIXTURE_TEARDOWN(attach)
{
	test_vm_free(self->vm);
}

/* In a process of its own: what @fn answers, 0 to 127. */
static int in_child(int (*fn)(void *data), void *data)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		test_die("fork");
	if (!child)
		_exit(fn(data));
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		test_die("a child ended with status 0x%x", status);
	return WEXITSTATUS(status);
}

static void become_nobody(void)
{
	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
		test_die("setresuid");
	/* The kernel takes dumpability away with each change of ids. */
	prctl(PR_SET_DUMPABLE, 1);
}

struct target {
	int dev_fd;
	uint64_t id;
	bool drop_caps;
	bool drop_effective;
	bool new_namespace;
	bool new_pids;
	bool new_label;
	bool nobody;
};

/* The first process of a PID namespace of its own; its parent answers what it does. */
static void enter_new_pids(void)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWPID))
		test_die("unshare");
	pid = fork();
	if (pid < 0)
		test_die("fork");
	if (!pid)
		return;
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		test_die("a child ended with status 0x%x", status);
	_exit(WEXITSTATUS(status));
}

/* 0 or an errno. */
static int attach_as(void *data)
{
	const struct target *target = data;
	int fd;

	if (target->new_namespace && unshare(CLONE_NEWUSER))
		test_die("unshare");
	if (target->new_pids)
		enter_new_pids();
	if (target->new_label && host_write("/proc/self/attr/current", OTHER_LABEL))
		test_die(OTHER_LABEL);
	if (target->drop_caps) {
		struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
		struct __user_cap_data_struct caps[2] = {};

		/* It could have them back. */
		if (target->drop_effective && syscall(SYS_capget, &header, caps))
			test_die("capget");
		caps[0].effective = 0;
		caps[1].effective = 0;
		if (syscall(SYS_capset, &header, caps))
			test_die("capset");
	}
	if (target->nobody)
		become_nobody();
	fd = test_attach(target->dev_fd, target->id, 0);
	return fd < 0 ? -fd : 0;
}

/* Of a VM that root created. */
TEST_F(attach, other_users)
{
	struct target target = { .dev_fd = self->vm->dev_fd, .id = self->id };

	EXPECT_EQ(0, in_child(attach_as, &target));
	target.nobody = true;
	EXPECT_EQ(EPERM, in_child(attach_as, &target));
	target.nobody = false;
	/* The same user with less power than the creator had. */
	target.drop_caps = true;
	EXPECT_EQ(EPERM, in_child(attach_as, &target));
	target.drop_effective = true;
	EXPECT_EQ(EPERM, in_child(attach_as, &target));
	target.drop_caps = false;
	/* The same user with all power, of a namespace of its own. */
	target.new_namespace = true;
	EXPECT_EQ(EPERM, in_child(attach_as, &target));
}

struct vmm {
	int dev_fd;
	int to_parent;
	int from_parent;
	/* what it is */
	bool setuid;
	bool hidden;
};

/* Creates a VM as nobody, tells its id and waits. */
static int be_vmm(void *data)
{
	const struct vmm *vmm = data;
	uint64_t id;
	char byte;
	int fd;

	if (vmm->setuid) {
		/* Started by nobody, with root's powers. */
		if (setresgid(NOBODY, 0, 0) || setresuid(NOBODY, 0, 0))
			test_die("setresuid");
		prctl(PR_SET_DUMPABLE, 1);
	} else {
		become_nobody();
	}
	if (vmm->hidden)
		prctl(PR_SET_DUMPABLE, 0);
	fd = ioctl(vmm->dev_fd, KVM_CREATE_VM, 0);
	if (fd < 0 || ioctl(fd, VITRINE_GET_VM_ID, &id))
		test_die("creating a VM as nobody");
	if (write(vmm->to_parent, &id, sizeof(id)) != sizeof(id))
		test_die("write");
	/* Until the parent has closed its end. */
	return read(vmm->from_parent, &byte, 1) ? 1 : 0;
}

static uint64_t vmm_start(struct vmm *vmm, pid_t *child, int *end)
{
	int up[2], down[2];
	uint64_t id;

	if (pipe(up) || pipe(down))
		test_die("pipe");
	*child = fork();
	if (*child < 0)
		test_die("fork");
	if (!*child) {
		close(down[1]);
		vmm->to_parent = up[1];
		vmm->from_parent = down[0];
		_exit(be_vmm(vmm));
	}
	close(up[1]);
	close(down[0]);
	if (read(up[0], &id, sizeof(id)) != sizeof(id))
		test_die("the VMM did not start");
	close(up[0]);
	*end = down[1];
	return id;
}

TEST_F(attach, the_owner)
{
	struct target target = { .dev_fd = self->vm->dev_fd };
	struct vmm vmm = { .dev_fd = self->vm->dev_fd };
	int end, status;
	pid_t child;

	target.id = vmm_start(&vmm, &child, &end);
	target.nobody = true;
	EXPECT_EQ(0, in_child(attach_as, &target));
	/* Root may in any case; not the root of a namespace. */
	target.nobody = false;
	EXPECT_EQ(0, in_child(attach_as, &target));
	target.new_namespace = true;
	EXPECT_EQ(EPERM, in_child(attach_as, &target));
	target.new_namespace = false;
	/* From another container, for which it does not exist; root may from there, too. */
	target.new_pids = true;
	EXPECT_EQ(0, in_child(attach_as, &target));
	target.nobody = true;
	EXPECT_EQ(ESRCH, in_child(attach_as, &target));
	target.new_pids = false;
	target.nobody = false;
	ASSERT_EQ(0, host_write(PARAMETER, "root"));
	EXPECT_EQ(0, in_child(attach_as, &target));
	target.nobody = true;
	EXPECT_EQ(EPERM, in_child(attach_as, &target));
	ASSERT_EQ(0, host_write(PARAMETER, "off"));
	EXPECT_EQ(EPERM, in_child(attach_as, &target));
	target.nobody = false;
	EXPECT_EQ(EPERM, in_child(attach_as, &target));
	EXPECT_EQ(-EINVAL, host_write(PARAMETER, "nobody"));
	ASSERT_EQ(0, host_write(PARAMETER, "owner"));
	EXPECT_EQ(0, in_child(attach_as, &target));
	close(end);
	waitpid(child, &status, 0);

	/* VMMs that the kernel protects from their own user. */
	vmm.hidden = true;
	target.nobody = true;
	target.id = vmm_start(&vmm, &child, &end);
	EXPECT_EQ(EPERM, in_child(attach_as, &target));
	target.nobody = false;
	EXPECT_EQ(0, in_child(attach_as, &target));
	close(end);
	waitpid(child, &status, 0);
	vmm.hidden = false;
	vmm.setuid = true;
	target.nobody = true;
	target.id = vmm_start(&vmm, &child, &end);
	EXPECT_EQ(EPERM, in_child(attach_as, &target));
	close(end);
	waitpid(child, &status, 0);
}

/* The kernel log from now on has a line about @id. */
static bool logged(int log, uint64_t id)
{
	char line[2048], wanted[64];
	ssize_t bytes;

	snprintf(wanted, sizeof(wanted), "VM %llu: observing monitor attached",
		 (unsigned long long)id);
	while ((bytes = read(log, line, sizeof(line) - 1)) > 0 || errno == EPIPE) {
		line[bytes > 0 ? bytes : 0] = 0;
		if (strstr(line, wanted))
			return true;
	}
	return false;
}

/* However many others are refused, or let into a VM of their own. */
TEST_F(attach, is_in_the_log)
{
	struct test_vm *noisy = test_vm_create();
	uint64_t noisy_id = test_vm_id(noisy);
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK), i;

	ASSERT_LE(0, log);
	ASSERT_LE(0, lseek(log, 0, SEEK_END));
	for (i = 0; i < 15; i++)
		close(test_attach(noisy->dev_fd, noisy_id, 0));
	ASSERT_EQ(0, ioctl(noisy->fd, VITRINE_FORBID_ATTACH));
	for (i = 0; i < 15; i++)
		EXPECT_EQ(-EPERM, test_attach(noisy->dev_fd, noisy_id, 0));
	close(test_attach(self->vm->dev_fd, self->id, 0));
	EXPECT_TRUE(logged(log, self->id));
	close(log);
	test_vm_free(noisy);
}

TEST_F(attach, other_labels)
{
	struct target target = { .dev_fd = self->vm->dev_fd, .new_label = true };
	struct vmm vmm = { .dev_fd = self->vm->dev_fd };
	int end, status;
	pid_t child;

	mount("securityfs", SECURITYFS, "securityfs", 0, NULL);
	if (mkdir(LABELS, 0700) && errno != EEXIST)
		SKIP(return, "no AppArmor in this kernel");
	target.id = vmm_start(&vmm, &child, &end);
	EXPECT_EQ(0, in_child(attach_as, &target));
	target.nobody = true;
	EXPECT_EQ(EPERM, in_child(attach_as, &target));
	target.new_label = false;
	EXPECT_EQ(0, in_child(attach_as, &target));
	close(end);
	waitpid(child, &status, 0);
	rmdir(LABELS);
}

TEST_HARNESS_MAIN
