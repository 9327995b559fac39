// SPDX-License-Identifier: GPL-2.0
/* Looking at VMs by netlink, and children that make some. */
#include <linux/kvm.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm.h"
#include "watch.h"

struct vitrine_watch *test_watch_open(void)
{
	struct vitrine_error err;
	struct vitrine_watch *watch = vitrine_watch_open(&err);

	if (!watch)
		test_die("%s", err.text);
	return watch;
}

void test_watch_vm(const struct vitrine_vm_info *vm, void *data)
{
	struct test_found *found = data;

	if (found->nr < TEST_FOUND_MOST)
		found->vm[found->nr++] = *vm;
}

int test_watch_count(struct test_found *found)
{
	struct vitrine_watch *watch = test_watch_open();
	int ret;

	found->nr = 0;
	ret = vitrine_watch_vms(watch, 0, test_watch_vm, found, NULL);
	vitrine_watch_close(watch);
	return ret ? ret : (int)found->nr;
}

void test_watch_vcpu(const struct vitrine_vcpu_info *vcpu, void *data)
{
	*(struct vitrine_vcpu_info *)data = *vcpu;
}

int test_bare_vm(void)
{
	int dev = test_dev_open(), vm = ioctl(dev, KVM_CREATE_VM, 0);

	if (vm < 0)
		test_die("KVM_CREATE_VM");
	close(dev);
	return vm;
}

int test_in_child(int (*fn)(void *data), void *data)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(fn(data));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		test_die("a child");
	return WEXITSTATUS(status);
}

pid_t test_start(void (*fn)(void))
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
