// SPDX-License-Identifier: GPL-2.0
/*
 * Life and death of VMs and of the module: who keeps whom, and that nothing is left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/eventfd.h"
#include "lib/host.h"
#include "lib/monitor.h"
#include "lib/steer.h"
#include "lib/vm.h"
#include <vitrine.h>
#include <vitrine_policy.h>

#define ROUNDS		300
#define LONG_ROUNDS	1000
#define FULL_ROUNDS	20	/* of VMs with all that there is */
#define FULL_LEAK_KIB	240	/* three leaked pages a round */
#define DIRTY_RING_BYTES	(4 * 4096)
#define BELL_PORT	0x600
#define LEAK_KIB	1024	/* per-CPU caches; a leaked run area a round is 1,200 */

/* Runs for ever without an exit but for interrupts. */
GUEST_CODE(guest_spin, "1: jmp 1b\n");
/* The same with interrupts off: only the bound on a stay brings it out in the lab. */
GUEST_CODE(guest_spin_cli, "cli\n1: jmp 1b\n");
GUEST_CODE(guest_out, "1: outb %al, $0x42\njmp 1b\n");
GUEST_CODE(guest_hlt, "hlt\n");
GUEST_CODE(guest_bells, "mov $0x600, %edx\noutb %al, %dx\nincl 0x10000\n" GUEST_SYNC);

static unsigned int live_vms(void)
{
	struct vitrine_caps caps;
	int fd = test_dev_open();

	if (ioctl(fd, VITRINE_GET_CAPS, &caps))
		test_die("VITRINE_GET_CAPS");
	close(fd);
	return caps.vms;
}

static unsigned int vmx_owner(void)
{
	struct vitrine_caps caps;
	int fd = test_dev_open();

	if (ioctl(fd, VITRINE_GET_CAPS, &caps))
		test_die("VITRINE_GET_CAPS");
	close(fd);
	return caps.owner;
}

TEST(vmx_is_held_from_the_first_vm_to_the_last)
{
	struct test_vm *first, *second;

	EXPECT_EQ(VITRINE_VMX_FREE, vmx_owner());
	first = test_vm_create();
	EXPECT_EQ(VITRINE_VMX_OURS, vmx_owner());
	second = test_vm_create();
	EXPECT_EQ(2, live_vms());
	test_vm_free(first);
	EXPECT_EQ(VITRINE_VMX_OURS, vmx_owner());
	test_vm_free(second);
	EXPECT_EQ(VITRINE_VMX_FREE, vmx_owner());
	EXPECT_EQ(0, live_vms());
}

TEST(module_stays_while_any_descriptor_lives)
{
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	int vcpu_fd = dup(vcpu->fd);

	EXPECT_EQ(-EWOULDBLOCK, host_module_unload());
	test_vcpu_free(vcpu);
	test_vm_free(vm);
	/* The vCPU's descriptor alone keeps the VM, and the VM the module. */
	EXPECT_EQ(1, live_vms());
	EXPECT_EQ(-EWOULDBLOCK, host_module_unload());
	close(vcpu_fd);
	EXPECT_EQ(0, live_vms());
	EXPECT_EQ(0, host_module_users());
}

TEST(vm_ends_while_its_run_area_is_mapped)
{
	struct test_vm *vm = test_vm_create();
	int fd = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	struct kvm_run *run = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	ASSERT_NE(MAP_FAILED, (void *)run);
	close(fd);
	test_vm_free(vm);
	/* The mapping holds the file, and the file the VM. */
	run->immediate_exit = 1;
	EXPECT_EQ(1, live_vms());
	munmap(run, 4096);
	EXPECT_EQ(0, live_vms());
}

/* A VMM that sits inside KVM_RUN; the parent learns when it is about to. */
static pid_t start_runner(const char *code, size_t bytes, int *pipe_fd)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		test_die("pipe2");
	pid = fork();
	if (!pid) {
		struct test_vm *vm = test_vm_create_irqchip();
		struct test_vcpu *vcpu = test_vcpu_create(vm, 0);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		test_vcpu_long_mode(vcpu, code, bytes);
		if (write(fds[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			ioctl(vcpu->fd, KVM_RUN, 0);
	}
	close(fds[1]);
	*pipe_fd = fds[0];
	return pid;
}

static void kill_runner(struct __test_metadata *_metadata, const char *code, size_t bytes,
			uint64_t delay_us)
{
	int fd, status;
	char ready;
	pid_t pid = start_runner(code, bytes, &fd);

	ASSERT_EQ(1, read(fd, &ready, 1));
	close(fd);
	usleep(delay_us);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
}

/*
 * At instants spread over the first milliseconds: in creation, in the guest, in an exit, in a
 * sleep.
 */
TEST(sigkill_inside_run)
{
	static const struct {
		const char *name;
		const char *start, *end;
	} guests[] = {
		{ "spin", guest_spin, guest_spin_end },
		{ "spin with interrupts off", guest_spin_cli, guest_spin_cli_end },
		{ "exits to userspace", guest_out, guest_out_end },
		{ "halted", guest_hlt, guest_hlt_end },
	};
	uint64_t seed = host_seed();
	unsigned int i, round, rounds = getenv("LONG") ? 100 : 8;

	for (i = 0; i < ARRAY_SIZE(guests); i++) {
		for (round = 0; round < rounds; round++) {
			kill_runner(_metadata, guests[i].start, guests[i].end - guests[i].start,
				    host_random(&seed) % 4000);
		}
	}
	EXPECT_EQ(0, live_vms());
	EXPECT_EQ(0, host_module_users());
}

TEST(descriptor_sent_to_another_process_is_refused_there)
{
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct kvm_regs regs;

		if (ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_HLT) != -1 || errno != EIO)
			_exit(1);
		if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) != -1 || errno != EIO)
			_exit(2);
		if (ioctl(vcpu->fd, KVM_RUN, 0) != -1 || errno != EIO)
			_exit(3);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

/* Where that can be seen, and a line that says what was. */
static void nothing_leaked(struct __test_metadata *_metadata, long before, int rounds, long limit)
{
	long after = host_meminfo_kib("MemAvailable");

	printf("# MemAvailable %ld KiB before, %ld KiB after %d rounds%s\n", before, after, rounds,
	       host_keeps_freed_memory() ? "; not compared: KASAN keeps freed memory" : "");
	/* The harness ends without. */
	fflush(stdout);
	if (!host_keeps_freed_memory())
		EXPECT_LT(before - after, limit);
}

/* With LONG more rounds than the harness has patience for. */
FIXTURE(rounds) {
};

FIXTURE_SETUP(rounds)
{
}

FIXTURE_TEARDOWN(rounds)
{
}

TEST_F_TIMEOUT(rounds, nothing_is_left_of_many_vms, 300)
{
	int i, rounds = getenv("LONG") ? LONG_ROUNDS : ROUNDS;
	long before = 0;

	for (i = 0; i < rounds + 20; i++) {
		struct test_vm *vm = test_vm_create_irqchip();
		struct test_vcpu *vcpu = test_vcpu_create(vm, 0);

		test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_out));
		EXPECT_EQ(KVM_EXIT_IO, test_vcpu_run(vcpu));
		test_vcpu_free(vcpu);
		test_vm_free(vm);
		/* The first rounds fill caches. */
		if (i == 20)
			before = host_meminfo_kib("MemAvailable");
	}
	nothing_leaked(_metadata, before, rounds, LEAK_KIB);
	EXPECT_EQ(0, live_vms());
}

static int vm_enable(struct test_vm *vm, uint32_t cap, uint64_t value)
{
	struct kvm_enable_cap enable_cap = { .cap = cap, .args = { value } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &enable_cap) ? -errno : 0;
}

static int deny_an_msr(struct test_vm *vm)
{
	uint8_t none = 0;
	struct kvm_msr_filter filter = {
		.ranges[0] = { .flags = KVM_MSR_FILTER_READ, .nmsrs = 1, .base = 0x174,
			       .bitmap = &none },
	};

	return ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &filter) ? -errno : 0;
}

static int listen_at_a_port(struct test_vm *vm, int eventfd)
{
	struct kvm_ioeventfd bell = { .addr = BELL_PORT, .len = 1, .fd = eventfd,
				      .flags = KVM_IOEVENTFD_FLAG_PIO };

	return ioctl(vm->fd, KVM_IOEVENTFD, &bell) ? -errno : 0;
}

/* Everything armed, something seen of it, and then the parts go in one of the orders. */
static void live_and_die(struct __test_metadata *_metadata, unsigned int order)
{
	struct vitrine_rule rule = test_rule(VITRINE_ON_OUT, VITRINE_DO_OBSERVE, 0, 0xffff);
	int irq_fd = test_eventfd(), resample_fd = test_eventfd(), bell_fd = test_eventfd();
	struct test_vm *vm = test_vm_create_irqchip();
	struct test_vcpu *vcpu;
	struct test_ring ring;
	void *dirty;
	int monitor;

	ASSERT_EQ(0, vm_enable(vm, KVM_CAP_DIRTY_LOG_RING, DIRTY_RING_BYTES));
	ASSERT_EQ(0, vm_enable(vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER));
	ASSERT_EQ(0, deny_an_msr(vm));
	vcpu = test_vcpu_create(vm, 0);
	dirty = mmap(NULL, DIRTY_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd,
		     KVM_DIRTY_LOG_PAGE_OFFSET * 4096);
	ASSERT_NE(MAP_FAILED, dirty);
	ASSERT_EQ(0, test_irqfd_route(vm->fd, 0));
	ASSERT_EQ(0, test_irqfd(vm->fd, irq_fd, TEST_GSI, KVM_IRQFD_FLAG_RESAMPLE, resample_fd));
	ASSERT_EQ(0, listen_at_a_port(vm, bell_fd));
	monitor = test_attach(vm->dev_fd, test_vm_id(vm), VITRINE_ATTACH_STEER);
	ASSERT_LE(0, monitor);
	test_ring_open(&ring, monitor, 0, 64, 0);
	ASSERT_EQ(0, test_set_rules(monitor, &rule, 1));
	/* Twice, so that the first ones are replaced. */
	ASSERT_EQ(0, deny_an_msr(vm));
	ASSERT_EQ(0, test_set_rules(monitor, &rule, 1));

	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_bells));
	test_vcpu_run_to_sync(vcpu);
	EXPECT_EQ(1, test_eventfd_count(bell_fd));
	EXPECT_LT(0, ring.header->head);
	test_eventfd_signal(irq_fd);

	if (order % 2)
		close(monitor);
	if (order % 3) {
		close(irq_fd);
		close(bell_fd);
	}
	test_vcpu_free(vcpu);
	test_vm_free(vm);
	munmap(dirty, DIRTY_RING_BYTES);
	test_ring_close(&ring);
	if (!(order % 2))
		close(monitor);
	if (!(order % 3)) {
		close(irq_fd);
		close(bell_fd);
	}
	close(resample_fd);
}

/* The kernel's number of the next eventfd: the lowest that is free, so none stays behind. */
static int next_eventfd_id(void)
{
	char path[64], line[128];
	int fd = test_eventfd(), id = -1;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "re");
	while (info && fgets(line, sizeof(line), info))
		sscanf(line, "eventfd-id: %d", &id);
	if (info)
		fclose(info);
	close(fd);
	return id;
}

TEST_F_TIMEOUT(rounds, nothing_is_left_of_vms_with_everything, 300)
{
	int i, rounds = getenv("LONG") ? LONG_ROUNDS : FULL_ROUNDS, eventfds = 0;
	long before = 0;

	if (test_on_kvm())
		SKIP(return, "KVM has no monitors");
	for (i = 0; i < rounds + 10 && _metadata->passed; i++) {
		live_and_die(_metadata, i);
		if (i == 10) {
			/* The last one may be freed a moment after it was closed. */
			usleep(100000);
			before = host_meminfo_kib("MemAvailable");
			eventfds = next_eventfd_id();
		}
	}
	usleep(100000);
	nothing_leaked(_metadata, before, rounds, getenv("LONG") ? LEAK_KIB : FULL_LEAK_KIB);
	EXPECT_EQ(eventfds, next_eventfd_id());
	EXPECT_EQ(0, live_vms());
	EXPECT_EQ(0, host_module_users());
}

TEST_HARNESS_MAIN
