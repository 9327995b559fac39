// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reach.h"

int test_read_regs(int fd, uint32_t vcpu, struct vitrine_regs *regs)
{
	*regs = (struct vitrine_regs) { .vcpu = vcpu };
	return ioctl(fd, VITRINE_READ_REGS, regs) ? -errno : 0;
}

int test_write_regs(int fd, struct vitrine_regs *regs, uint32_t parts)
{
	regs->parts = parts;
	return ioctl(fd, VITRINE_WRITE_REGS, regs) ? -errno : 0;
}

static int access_memory(int fd, unsigned long cmd, uint64_t address, const void *data,
			 uint32_t bytes, uint32_t flags)
{
	struct vitrine_memory memory = { .address = address, .data = (uintptr_t)data,
					 .bytes = bytes, .flags = flags };
	int ret = ioctl(fd, cmd, &memory);

	return ret < 0 ? -errno : ret;
}

int test_read_memory(int fd, uint64_t address, void *data, uint32_t bytes, uint32_t flags)
{
	return access_memory(fd, VITRINE_READ_MEMORY, address, data, bytes, flags);
}

int test_write_memory(int fd, uint64_t address, const void *data, uint32_t bytes, uint32_t flags)
{
	return access_memory(fd, VITRINE_WRITE_MEMORY, address, data, bytes, flags);
}

static void *run(void *arg)
{
	struct test_runner *runner = arg;

	runner->error = ioctl(runner->vcpu->fd, KVM_RUN, 0) ? errno : 0;
	__atomic_store_n(&runner->done, true, __ATOMIC_RELEASE);
	return NULL;
}

void test_runner_start(struct test_runner *runner, struct test_vcpu *vcpu)
{
	*runner = (struct test_runner) { .vcpu = vcpu };
	if (pthread_create(&runner->thread, NULL, run, runner))
		test_die("pthread_create");
}

int test_runner_interrupt(struct test_runner *runner)
{
	/* Again and again, as the thread may not have come to its KVM_RUN yet. */
	while (!__atomic_load_n(&runner->done, __ATOMIC_ACQUIRE)) {
		pthread_kill(runner->thread, SIGUSR1);
		usleep(2000);
	}
	return test_runner_join(runner);
}

int test_runner_join(struct test_runner *runner)
{
	pthread_join(runner->thread, NULL);
	return runner->error;
}

static void nothing(int signal)
{
	(void)signal;
}

void test_ignore_by_handler(int signal)
{
	struct sigaction action = { .sa_handler = nothing };

	sigaction(signal, &action, NULL);
}

bool test_pager_create(struct test_pager *pager, void *memory, uint64_t bytes)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .range = { (uintptr_t)memory, bytes },
					 .mode = UFFDIO_REGISTER_MODE_MISSING };

	*pager = (struct test_pager) { .memory = memory, .bytes = bytes };
	pager->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (pager->fd < 0 || ioctl(pager->fd, UFFDIO_API, &api))
		return false;
	if (madvise(memory, bytes, MADV_DONTNEED) || ioctl(pager->fd, UFFDIO_REGISTER, &range))
		test_die("userfaultfd");
	return true;
}

bool test_pager_wait(struct test_pager *pager, int ms)
{
	struct pollfd poll_fd = { .fd = pager->fd, .events = POLLIN };

	return poll(&poll_fd, 1, ms) == 1;
}

void test_pager_end(struct test_pager *pager)
{
	struct uffdio_range range = { (uintptr_t)pager->memory, pager->bytes };

	if (ioctl(pager->fd, UFFDIO_UNREGISTER, &range))
		test_die("UFFDIO_UNREGISTER");
	close(pager->fd);
}

bool test_dies_waiting(int (*fn)(void *data), void *data, unsigned int ms)
{
	pid_t child = fork();
	int status, i;

	if (child < 0)
		test_die("fork");
	if (!child)
		_exit(fn(data) ? 1 : 0);
	usleep(ms * 1000);
	if (waitpid(child, &status, WNOHANG))
		return false;
	kill(child, SIGKILL);
	for (i = 0; i < 1000; i++) {
		if (waitpid(child, &status, WNOHANG) == child)
			return WIFSIGNALED(status);
		usleep(10000);
	}
	return false;
}
