// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_X86_SET_MSR_FILTER and KVM_CAP_X86_USER_SPACE_MSR: which accesses a guest may make, and what
 * becomes of those that it may not.
 *
 * build: -lpthread
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/irq.h"
#include "lib/vm.h"

#define MSR_TSC			0x10
#define MSR_SYSENTER_CS		0x174
#define MSR_MISC_ENABLE		0x1a0
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_X2APIC_TPR		0x808
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_NOWHERE		0x12345
#define NON_CANONICAL		0x1234567800000000ull
#define GP			13
#define ALL_REASONS	(KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | \
			 KVM_MSR_EXIT_REASON_FILTER)
#define BOTH		(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE)

/* RDMSR or WRMSR (RDI not 0) of the MSR in ESI, of RBX; what was read is in R8. */
GUEST_CODE(guest_msr,
	   "1: " GUEST_SYNC
	   "mov %esi, %ecx\n"
	   "test %edi, %edi\n"
	   "jz 2f\n"
	   "mov %rbx, %rax\n"
	   "mov %rbx, %rdx\n"
	   "shr $32, %rdx\n"
	   "wrmsr\n"
	   "jmp 1b\n"
	   "2: rdmsr\n"
	   "shl $32, %rdx\n"
	   "or %rdx, %rax\n"
	   "mov %rax, %r8\n"
	   "jmp 1b\n");

FIXTURE(filter) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
};

FIXTURE_SETUP(filter)
{
	self->vm = test_vm_create_irqchip();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_msr));
	test_vcpu_run_to_sync(self->vcpu);
}

FIXTURE_TEARDOWN(filter)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

static int enable(struct test_vm *vm, uint32_t cap, uint64_t value)
{
	struct kvm_enable_cap enable_cap = { .cap = cap, .args = { value } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &enable_cap) ? -errno : 0;
}

static int set_filter(struct test_vm *vm, const struct kvm_msr_filter *filter)
{
	return ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, filter) ? -errno : 0;
}

/* Denies one access of one MSR and nothing else. */
static int deny(struct test_vm *vm, uint32_t msr, uint32_t access)
{
	uint8_t bitmap[8] = {};
	struct kvm_msr_filter filter = {
		.ranges = { { .flags = access, .nmsrs = 1, .base = msr, .bitmap = bitmap } },
	};

	return set_filter(vm, &filter);
}

static void prepare(struct test_vcpu *vcpu, bool write, uint32_t msr, uint64_t value)
{
	struct kvm_regs regs;

	test_vcpu_regs(vcpu, &regs);
	regs.rdi = write;
	regs.rsi = msr;
	regs.rbx = value;
	test_vcpu_set_regs(vcpu, &regs);
}

static uint64_t value_read(struct test_vcpu *vcpu)
{
	struct kvm_regs regs;

	test_vcpu_regs(vcpu, &regs);
	return regs.r8;
}

/* One access that must work. */
static uint64_t access_ok(struct test_vcpu *vcpu, bool write, uint32_t msr, uint64_t value)
{
	prepare(vcpu, write, msr, value);
	test_vcpu_run_to_sync(vcpu);
	return value_read(vcpu);
}

/* One that must fault; the guest starts over. */
static bool access_faults(struct test_vcpu *vcpu, bool write, uint32_t msr, uint64_t value)
{
	struct test_exception exception;

	prepare(vcpu, write, msr, value);
	test_vcpu_run_to_exception(vcpu, &exception);
	test_vcpu_return_to(vcpu, TEST_CODE_GPA);
	test_vcpu_run_to_sync(vcpu);
	return exception.vector == GP && !exception.error_code;
}

/* One that must go to the VMM; it stays there. */
static bool access_exits(struct test_vcpu *vcpu, bool write, uint32_t msr, uint64_t value,
			 uint32_t reason)
{
	struct kvm_run *run = vcpu->run;
	uint32_t exit_reason;

	prepare(vcpu, write, msr, value);
	exit_reason = test_vcpu_run(vcpu);
	return exit_reason == (write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR) &&
	       run->msr.index == msr && run->msr.reason == reason && !run->msr.error &&
	       run->msr.data == (write ? value : 0);
}

TEST_F(filter, capabilities)
{
	EXPECT_EQ(1, test_check_extension(self->vm->fd, KVM_CAP_X86_MSR_FILTER));
	EXPECT_LE(1, test_check_extension(self->vm->fd, KVM_CAP_X86_USER_SPACE_MSR));
	EXPECT_EQ(-EINVAL, enable(self->vm, KVM_CAP_X86_USER_SPACE_MSR, 1 << 3));
	EXPECT_EQ(-EINVAL, enable(self->vm, KVM_CAP_X86_USER_SPACE_MSR, 1ull << 40));
	EXPECT_EQ(0, enable(self->vm, KVM_CAP_X86_USER_SPACE_MSR, ALL_REASONS));
	EXPECT_EQ(0, enable(self->vm, KVM_CAP_X86_USER_SPACE_MSR, 0));
}

TEST_F(filter, refusals)
{
	uint8_t bitmap[0x600] = {};
	struct kvm_msr_filter good = {
		.ranges = { { .flags = BOTH, .nmsrs = 1, .base = MSR_NOWHERE, .bitmap = bitmap } },
	}, bad;

	bad = good;
	bad.flags = 2;
	EXPECT_EQ(-EINVAL, set_filter(self->vm, &bad));
	bad = good;
	bad.ranges[0].flags = 0;
	EXPECT_EQ(-EINVAL, set_filter(self->vm, &bad));
	bad.ranges[0].flags = 4;
	EXPECT_EQ(-EINVAL, set_filter(self->vm, &bad));
	bad = good;
	bad.ranges[0].nmsrs = 0x600 * 8 + 1;
	EXPECT_EQ(-EINVAL, set_filter(self->vm, &bad));
	bad.ranges[0].nmsrs = UINT32_MAX;
	EXPECT_EQ(-EINVAL, set_filter(self->vm, &bad));
	bad = good;
	bad.ranges[0].bitmap = (void *)1;
	EXPECT_EQ(-EFAULT, set_filter(self->vm, &bad));
	bad = good;
	bad.ranges[15] = bad.ranges[0];
	bad.ranges[15].flags = 8;
	EXPECT_EQ(-EINVAL, set_filter(self->vm, &bad));
	/* A denial of everything. */
	memset(&bad, 0, sizeof(bad));
	bad.flags = KVM_MSR_FILTER_DEFAULT_DENY;
	EXPECT_EQ(-EINVAL, set_filter(self->vm, &bad));
	EXPECT_EQ(-EFAULT, set_filter(self->vm, (void *)1));
	/* None of that left anything behind; the largest is taken. */
	access_ok(self->vcpu, false, MSR_MISC_ENABLE, 0);
	good.ranges[0].nmsrs = 0x600 * 8;
	EXPECT_EQ(0, set_filter(self->vm, &good));
}

/* An MSR that exits anyway, and those that the guest reaches without an exit. */
TEST_F(filter, denies)
{
	static const uint32_t msrs[] = { MSR_MISC_ENABLE, MSR_SYSENTER_CS, MSR_FS_BASE };

	for (size_t i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		uint64_t value = access_ok(self->vcpu, false, msrs[i], 0);

		access_ok(self->vcpu, true, msrs[i], value);
		ASSERT_EQ(0, deny(self->vm, msrs[i], KVM_MSR_FILTER_WRITE));
		EXPECT_EQ(value, access_ok(self->vcpu, false, msrs[i], 0));
		EXPECT_TRUE(access_faults(self->vcpu, true, msrs[i], value));
		ASSERT_EQ(0, deny(self->vm, msrs[i], KVM_MSR_FILTER_READ));
		EXPECT_TRUE(access_faults(self->vcpu, false, msrs[i], 0));
		access_ok(self->vcpu, true, msrs[i], value);
		ASSERT_EQ(0, deny(self->vm, msrs[i], BOTH));
		EXPECT_TRUE(access_faults(self->vcpu, false, msrs[i], 0));
		EXPECT_TRUE(access_faults(self->vcpu, true, msrs[i], value));
		/* Its VMM may all the same. */
		EXPECT_EQ(1, test_vcpu_get_msr(self->vcpu, msrs[i], &value));
		EXPECT_EQ(1, test_vcpu_set_msr(self->vcpu, msrs[i], value));
	}
	/* An empty filter lets all through. */
	ASSERT_EQ(0, set_filter(self->vm, &(struct kvm_msr_filter){}));
	access_ok(self->vcpu, false, MSR_FS_BASE, 0);
	access_ok(self->vcpu, true, MSR_FS_BASE, 0);
}

TEST_F(filter, default_deny)
{
	uint8_t bitmap[8] = { 0x02 };
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_DENY,
		.ranges = { { .flags = BOTH, .nmsrs = 2, .base = MSR_FS_BASE, .bitmap = bitmap } },
	};

	ASSERT_EQ(0, set_filter(self->vm, &filter));
	EXPECT_TRUE(access_faults(self->vcpu, false, MSR_FS_BASE, 0));
	access_ok(self->vcpu, true, MSR_GS_BASE, 0x1000);
	EXPECT_EQ(0x1000, access_ok(self->vcpu, false, MSR_GS_BASE, 0));
	EXPECT_TRUE(access_faults(self->vcpu, false, MSR_MISC_ENABLE, 0));
	EXPECT_TRUE(access_faults(self->vcpu, false, MSR_TSC, 0));
	EXPECT_TRUE(access_faults(self->vcpu, false, MSR_NOWHERE, 0));
}

/* The first range that an MSR is in decides. */
TEST_F(filter, first_range_wins)
{
	uint8_t none[8] = {}, all[8] = { 0xff, 0xff };
	struct kvm_msr_filter filter = {
		.ranges = {
			{ .flags = BOTH, .nmsrs = 1, .base = MSR_FS_BASE, .bitmap = none },
			{ .flags = BOTH, .nmsrs = 16, .base = MSR_FS_BASE, .bitmap = all },
			{ .flags = BOTH, .nmsrs = 16, .base = MSR_FS_BASE, .bitmap = none },
		},
	};

	ASSERT_EQ(0, set_filter(self->vm, &filter));
	EXPECT_TRUE(access_faults(self->vcpu, false, MSR_FS_BASE, 0));
	access_ok(self->vcpu, false, MSR_GS_BASE, 0);
}

/* The local APIC's own are nobody's to filter; its deadline is. */
TEST_F(filter, apic)
{
	uint64_t base;

	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu, TEST_MSR_APIC_BASE, &base));
	ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, TEST_MSR_APIC_BASE, base | 0x400));
	ASSERT_EQ(0, deny(self->vm, MSR_X2APIC_TPR, BOTH));
	access_ok(self->vcpu, true, MSR_X2APIC_TPR, 0x20);
	EXPECT_EQ(0x20, access_ok(self->vcpu, false, MSR_X2APIC_TPR, 0));
	if (test_on_kvm())
		SKIP(return, "KVM's fast path looks at no filter");
	ASSERT_EQ(0, deny(self->vm, MSR_TSC_DEADLINE, BOTH));
	EXPECT_TRUE(access_faults(self->vcpu, true, MSR_TSC_DEADLINE, 1));
}

TEST_F(filter, user_space_answers)
{
	struct kvm_run *run = self->vcpu->run;
	struct test_exception exception;
	struct kvm_regs regs, later;

	ASSERT_EQ(0, enable(self->vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER));
	ASSERT_EQ(0, deny(self->vm, MSR_FS_BASE, BOTH));
	ASSERT_TRUE(access_exits(self->vcpu, false, MSR_FS_BASE, 0, KVM_MSR_EXIT_REASON_FILTER));
	/* RIP stays at the instruction until the answer is there. */
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0x0f, ((uint8_t *)test_vm_hva(self->vm, regs.rip))[0]);
	run->msr.data = 0x1122334455667788;
	run->immediate_exit = 1;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_RUN, 0));
	EXPECT_EQ(EINTR, errno);
	run->immediate_exit = 0;
	test_vcpu_regs(self->vcpu, &later);
	EXPECT_EQ(regs.rip + 2, later.rip);
	test_vcpu_run_to_sync(self->vcpu);
	EXPECT_EQ(0x1122334455667788, value_read(self->vcpu));

	ASSERT_TRUE(access_exits(self->vcpu, true, MSR_FS_BASE, 0x8877665544332211,
				 KVM_MSR_EXIT_REASON_FILTER));
	test_vcpu_run_to_sync(self->vcpu);

	/* Or the VMM lets it fault. */
	for (int write = 0; write < 2; write++) {
		ASSERT_TRUE(access_exits(self->vcpu, write, MSR_FS_BASE, 0,
					 KVM_MSR_EXIT_REASON_FILTER));
		run->msr.error = 1;
		test_vcpu_run_to_exception(self->vcpu, &exception);
		EXPECT_EQ(GP, exception.vector);
		test_vcpu_return_to(self->vcpu, TEST_CODE_GPA);
		test_vcpu_run_to_sync(self->vcpu);
	}
	/* Not asked for: these fault. */
	EXPECT_TRUE(access_faults(self->vcpu, false, MSR_NOWHERE, 0));
	EXPECT_TRUE(access_faults(self->vcpu, true, MSR_GS_BASE, NON_CANONICAL));
}

TEST_F(filter, user_space_reasons)
{
	ASSERT_EQ(0, enable(self->vm, KVM_CAP_X86_USER_SPACE_MSR,
			    KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_INVAL));
	for (int write = 0; write < 2; write++) {
		EXPECT_TRUE(access_exits(self->vcpu, write, MSR_NOWHERE, 0,
					 KVM_MSR_EXIT_REASON_UNKNOWN));
		test_vcpu_run_to_sync(self->vcpu);
	}
	/* Hardware checks what goes to it directly; with an exit it is for us to say. */
	EXPECT_TRUE(access_exits(self->vcpu, true, TEST_MSR_APIC_BASE, ~0ull,
				 KVM_MSR_EXIT_REASON_INVAL));
	test_vcpu_run_to_sync(self->vcpu);
	ASSERT_EQ(0, deny(self->vm, MSR_MISC_ENABLE, BOTH));
	EXPECT_TRUE(access_faults(self->vcpu, false, MSR_MISC_ENABLE, 0));
}

/* A VMM that answers by leading the guest elsewhere. */
TEST_F(filter, user_space_moves_rip)
{
	struct kvm_regs regs;

	if (test_on_kvm())
		SKIP(return, "KVM skips an instruction there");
	ASSERT_EQ(0, enable(self->vm, KVM_CAP_X86_USER_SPACE_MSR, ALL_REASONS));
	ASSERT_TRUE(access_exits(self->vcpu, false, MSR_NOWHERE, 0, KVM_MSR_EXIT_REASON_UNKNOWN));
	test_vcpu_regs(self->vcpu, &regs);
	regs.rip = TEST_CODE_GPA;
	regs.rax = 0x77;
	test_vcpu_set_regs(self->vcpu, &regs);
	EXPECT_EQ(0x77, test_vcpu_run_to_sync(self->vcpu));
}

GUEST_CODE(guest_forever,
	   "sti\n"
	   "1: mov $0xc0000100, %ecx\n"
	   "rdmsr\n"
	   "incq 0x10000\n"
	   "jmp 1b\n");

struct flipper {
	struct test_vm *vm;
	unsigned int rounds;
	int error;
};

static void *flip(void *arg)
{
	struct flipper *flipper = arg;
	volatile uint64_t *count = test_vm_hva(flipper->vm, TEST_DATA_GPA);

	for (unsigned int i = 0; i < 20 && !flipper->error; i++) {
		uint64_t before = *count;

		/* Let the guest run on by the one in force. */
		for (unsigned int j = 0; j < 1000 && *count == before; j++)
			usleep(100);
		flipper->error = deny(flipper->vm, i & 1 ? MSR_GS_BASE : MSR_SYSENTER_CS, BOTH);
		flipper->rounds++;
	}
	if (!flipper->error)
		flipper->error = deny(flipper->vm, MSR_FS_BASE, BOTH);
	return NULL;
}

/* Another thread changes it while the guest runs: it takes effect without the guest's help. */
TEST_F(filter, changes_under_a_running_guest)
{
	struct flipper flipper = { .vm = self->vm };
	pthread_t thread;

	ASSERT_EQ(0, enable(self->vm, KVM_CAP_X86_USER_SPACE_MSR, ALL_REASONS));
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_forever));
	ASSERT_EQ(0, pthread_create(&thread, NULL, flip, &flipper));
	EXPECT_EQ(KVM_EXIT_X86_RDMSR, test_vcpu_run(self->vcpu));
	EXPECT_EQ(MSR_FS_BASE, self->vcpu->run->msr.index);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, flipper.error);
	EXPECT_EQ(20, flipper.rounds);
	EXPECT_LT(0, *(uint64_t *)test_vm_hva(self->vm, TEST_DATA_GPA));
}

#define WAITING_GPA	0x40000000ul

/* The fixture's OUT was at the same address, and is completed first: two bytes. */
GUEST_CODE(guest_touch, "nop\n nop\n mov $0x40000000, %eax\n mov (%rax), %eax\n" GUEST_SYNC);

struct caller {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	atomic_int done;
	int error;
};

static void *run_vcpu(void *arg)
{
	struct caller *caller = arg;

	test_vcpu_run_to_sync(caller->vcpu);
	atomic_store(&caller->done, 1);
	return NULL;
}

static void *change_filter(void *arg)
{
	struct caller *caller = arg;

	caller->error = deny(caller->vm, MSR_FS_BASE, BOTH);
	atomic_store(&caller->done, 1);
	return NULL;
}

static void *call_vm(void *arg)
{
	struct caller *caller = arg;

	caller->error = enable(caller->vm, KVM_CAP_X86_USER_SPACE_MSR, ALL_REASONS);
	atomic_store(&caller->done, 1);
	return NULL;
}

/*
 * A vCPU waits for memory of the VMM's, and the filter that changes for the vCPU; but nobody who
 * has other business with the VM does, as the pager may be one of them.
 */
TEST_F(filter, holds_nobody_else_up)
{
	static uint8_t memory[4096] __attribute__((aligned(4096)));
	static const uint8_t copy[4096];
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .range = { (uintptr_t)memory, sizeof(memory) },
					 .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_copy fill = { .dst = (uintptr_t)memory, .src = (uintptr_t)copy,
				    .len = sizeof(copy) };
	struct caller callers[3] = {
		{ .vcpu = self->vcpu }, { .vm = self->vm }, { .vm = self->vm },
	};
	void *(*const calls[3])(void *arg) = { run_vcpu, change_filter, call_vm };
	struct pollfd poller = { .events = POLLIN };
	pthread_t threads[3];

	if (test_on_kvm())
		SKIP(return, "KVM of 6.1 waits with the VM's lock held");
	poller.fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (poller.fd < 0 || ioctl(poller.fd, UFFDIO_API, &api))
		SKIP(return, "no userfaultfd in this kernel");
	ASSERT_EQ(0, madvise(memory, sizeof(memory), MADV_DONTNEED));
	ASSERT_EQ(0, ioctl(poller.fd, UFFDIO_REGISTER, &range));
	test_vm_add_memory(self->vm, 1, WAITING_GPA, memory, sizeof(memory), 0);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_touch));
	for (unsigned int i = 0; i < 3; i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, calls[i], &callers[i]));
		if (i == 0)
			ASSERT_EQ(1, poll(&poller, 1, 5000));
		usleep(20000);
	}
	for (unsigned int i = 0; i < 100 && !atomic_load(&callers[2].done); i++)
		usleep(20000);
	EXPECT_EQ(1, atomic_load(&callers[2].done));
	/* It returns only when nobody goes by the old one. */
	EXPECT_EQ(0, atomic_load(&callers[1].done));
	EXPECT_EQ(0, atomic_load(&callers[0].done));
	ASSERT_EQ(0, ioctl(poller.fd, UFFDIO_COPY, &fill));
	for (unsigned int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, callers[i].error);
	}
	close(poller.fd);
}

/* A vCPU that comes later finds the filter in force. */
TEST_F(filter, vcpu_to_come)
{
	struct test_vcpu *later;

	ASSERT_EQ(0, deny(self->vm, MSR_FS_BASE, BOTH));
	later = test_vcpu_create(self->vm, 1);
	test_vcpu_set_supported_cpuid(later);
	ASSERT_EQ(0, ioctl(later->fd, KVM_SET_MP_STATE,
			   &(struct kvm_mp_state){ KVM_MP_STATE_RUNNABLE }));
	test_vcpu_long_mode(later, GUEST_BLOB(guest_msr));
	test_vcpu_run_to_sync(later);
	EXPECT_TRUE(access_faults(later, false, MSR_FS_BASE, 0));
	access_ok(later, false, MSR_GS_BASE, 0);
	test_vcpu_free(later);
}

TEST_HARNESS_MAIN
