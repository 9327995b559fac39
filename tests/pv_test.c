// SPDX-License-Identifier: GPL-2.0
/*
 * KVM's paravirtual features but the clock: CPUID, hypercalls, steal time, and what a guest was not
 * offered.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/apic.h"
#include "lib/irq.h"

#define LEAF_SIGNATURE		0x40000000u
#define LEAF_FEATURES		0x40000001u
#define MSR_WALL_CLOCK		0x11
#define MSR_SYSTEM_TIME		0x12
#define MSR_WALL_CLOCK_NEW	0x4b564d00
#define MSR_SYSTEM_TIME_NEW	0x4b564d01
#define MSR_ASYNC_PF_EN		0x4b564d02
#define MSR_STEAL_TIME		0x4b564d03
#define MSR_PV_EOI_EN		0x4b564d04
#define MSR_POLL_CONTROL	0x4b564d05
#define MSR_ASYNC_PF_INT	0x4b564d06
/* clock, no I/O delay, clock 2, steal time, EOI, unhalt, TLB flush, IPI, poll, yield, stable */
#define FEATURES		0x01003aebu
#define HC_VAPIC_POLL_IRQ	1
#define HC_KICK_CPU		5
#define HC_CLOCK_PAIRING	9
#define HC_SEND_IPI		10
#define HC_SCHED_YIELD		11
#define ENOSYS_KVM		1000
#define PREEMPTED		1
#define FLUSH_TLB		2
#define PAGE_GPA		(TEST_DATA_GPA + 0x1000u)
#define VECTOR			0x51

struct steal_page {
	uint64_t steal;
	uint32_t version;
	uint32_t flags;
	uint8_t preempted;
	uint8_t pad[47];
};

FIXTURE(pv) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	struct steal_page *page;
};

FIXTURE_SETUP(pv)
{
	self->vm = test_vm_create_irqchip();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
	self->page = test_vm_hva(self->vm, PAGE_GPA);
}

FIXTURE_TEARDOWN(pv)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

GUEST_CODE(guest_call, "1: vmcall\n" GUEST_SYNC "jmp 1b\n");
GUEST_CODE32(guest_call32, "1: vmcall\n" GUEST_SYNC "jmp 1b\n");

static void start_caller(struct test_vcpu *vcpu)
{
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_call));
}

static int64_t hypercall(struct test_vcpu *vcpu, uint64_t nr, uint64_t a0, uint64_t a1,
			 uint64_t a2, uint64_t a3)
{
	struct kvm_regs regs;

	test_vcpu_regs(vcpu, &regs);
	regs.rax = nr;
	regs.rbx = a0;
	regs.rcx = a1;
	regs.rdx = a2;
	regs.rsi = a3;
	test_vcpu_set_regs(vcpu, &regs);
	test_vcpu_run_to_sync(vcpu);
	test_vcpu_regs(vcpu, &regs);
	return regs.rax;
}

static int enable_cap(struct test_vcpu *vcpu, uint32_t cap, uint64_t arg, uint32_t flags)
{
	struct kvm_enable_cap enable = { .cap = cap, .flags = flags, .args = { arg } };

	return ioctl(vcpu->fd, KVM_ENABLE_CAP, &enable);
}

static void set_features(struct test_vcpu *vcpu, uint32_t features)
{
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vcpu->vm->dev_fd);

	test_cpuid_find(cpuid, LEAF_FEATURES, 0)->eax = features;
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid))
		test_die("KVM_SET_CPUID2");
	free(cpuid);
}

TEST_F(pv, cpuid)
{
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(self->vm->dev_fd);
	struct kvm_cpuid_entry2 *entry = test_cpuid_find(cpuid, LEAF_SIGNATURE, 0);

	ASSERT_NE(NULL, entry);
	EXPECT_EQ(LEAF_FEATURES, entry->eax);
	EXPECT_EQ(0x4b4d564b, entry->ebx);
	entry = test_cpuid_find(cpuid, LEAF_FEATURES, 0);
	ASSERT_NE(NULL, entry);
	EXPECT_EQ(FEATURES, entry->eax & FEATURES);
	if (!test_on_kvm())
		EXPECT_EQ(FEATURES, entry->eax);
	EXPECT_EQ(0, entry->edx);
	free(cpuid);
	EXPECT_EQ(1, test_check_extension(self->vm->fd, KVM_CAP_STEAL_TIME));
	EXPECT_EQ(1, test_check_extension(self->vm->fd, KVM_CAP_ENFORCE_PV_FEATURE_CPUID));
}

TEST_F(pv, enable_cap)
{
	EXPECT_EQ(-1, enable_cap(self->vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, enable_cap(self->vcpu, KVM_CAP_IRQCHIP, 1, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_ENABLE_CAP, (void *)1));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, enable_cap(self->vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1, 0));
	EXPECT_EQ(0, enable_cap(self->vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 0, 0));
}

/* What was not offered is not there, if the VMM says so; otherwise it is, as it always was. */
TEST_F(pv, enforced)
{
	static const uint32_t msrs[] = { MSR_WALL_CLOCK, MSR_SYSTEM_TIME, MSR_WALL_CLOCK_NEW,
					 MSR_SYSTEM_TIME_NEW, MSR_STEAL_TIME, MSR_POLL_CONTROL,
					 MSR_PV_EOI_EN };
	static const uint64_t calls[] = { HC_KICK_CPU, HC_SEND_IPI, HC_SCHED_YIELD };
	uint64_t value;

	set_features(self->vcpu, 0);
	for (unsigned int i = 0; i < 7; i++) {
		EXPECT_EQ(1, test_vcpu_get_msr(self->vcpu, msrs[i], &value));
		EXPECT_EQ(1, test_vcpu_set_msr(self->vcpu, msrs[i], 0));
	}
	ASSERT_EQ(0, enable_cap(self->vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1, 0));
	for (unsigned int i = 0; i < 7; i++) {
		EXPECT_EQ(0, test_vcpu_get_msr(self->vcpu, msrs[i], &value));
		EXPECT_EQ(0, test_vcpu_set_msr(self->vcpu, msrs[i], 0));
	}
	test_irq_start(self->vcpu, 0, TEST_EOI_NONE);
	for (unsigned int i = 0; i < 7; i++) {
		EXPECT_FALSE(test_irq_rdmsr(self->vcpu, msrs[i], &value));
		EXPECT_FALSE(test_irq_wrmsr(self->vcpu, msrs[i], 0));
	}
	start_caller(self->vcpu);
	for (unsigned int i = 0; i < 3; i++)
		EXPECT_EQ(-ENOSYS_KVM, hypercall(self->vcpu, calls[i], 0, 0, 0, 0));
	EXPECT_EQ(0, hypercall(self->vcpu, HC_VAPIC_POLL_IRQ, 0, 0, 0, 0));
}

TEST_F(pv, no_async_page_faults)
{
	uint64_t value;

	if (test_on_kvm())
		SKIP(return, "KVM has them");
	EXPECT_EQ(0, test_check_extension(self->vm->fd, KVM_CAP_ASYNC_PF));
	EXPECT_EQ(0, test_vcpu_get_msr(self->vcpu, MSR_ASYNC_PF_EN, &value));
	EXPECT_EQ(0, test_vcpu_set_msr(self->vcpu, MSR_ASYNC_PF_INT, 0));
}

TEST_F(pv, msr_values)
{
	uint64_t value;

	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu, MSR_POLL_CONTROL, &value));
	EXPECT_EQ(1, value);
	EXPECT_EQ(0, test_vcpu_set_msr(self->vcpu, MSR_POLL_CONTROL, 2));
	EXPECT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_POLL_CONTROL, 0));
	/* Bits 1 to 5 are reserved. */
	EXPECT_EQ(0, test_vcpu_set_msr(self->vcpu, MSR_STEAL_TIME, PAGE_GPA | 3));
	EXPECT_EQ(0, test_vcpu_set_msr(self->vcpu, MSR_STEAL_TIME, PAGE_GPA | 0x21));
	EXPECT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_STEAL_TIME, PAGE_GPA | 1));
	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu, MSR_STEAL_TIME, &value));
	EXPECT_EQ(PAGE_GPA | 1, value);
}

TEST_F(pv, hypercalls)
{
	start_caller(self->vcpu);
	EXPECT_EQ(-ENOSYS_KVM, hypercall(self->vcpu, 0, 0, 0, 0, 0));
	EXPECT_EQ(-ENOSYS_KVM, hypercall(self->vcpu, 2, 0, 0, 0, 0));
	EXPECT_EQ(-ENOSYS_KVM, hypercall(self->vcpu, ~0ull, 0, 0, 0, 0));
	EXPECT_EQ(-ENOSYS_KVM, hypercall(self->vcpu, 1ull << 32 | HC_VAPIC_POLL_IRQ, 0, 0, 0, 0));
	EXPECT_EQ(0, hypercall(self->vcpu, HC_VAPIC_POLL_IRQ, 0, 0, 0, 0));
	/* To itself, to nobody, to no possible id. */
	EXPECT_EQ(0, hypercall(self->vcpu, HC_SCHED_YIELD, 0, 0, 0, 0));
	EXPECT_EQ(0, hypercall(self->vcpu, HC_SCHED_YIELD, 7, 0, 0, 0));
	EXPECT_EQ(0, hypercall(self->vcpu, HC_SCHED_YIELD, ~0ull, 0, 0, 0));
	EXPECT_EQ(0, hypercall(self->vcpu, HC_KICK_CPU, 0, 7, 0, 0));
	EXPECT_EQ(0, hypercall(self->vcpu, HC_KICK_CPU, 0, ~0ull, 0, 0));
}

/* Outside 64-bit mode registers have 32 bits. */
TEST_F(pv, hypercalls_of_32_bits)
{
	test_vcpu_protected_mode(self->vcpu, GUEST_BLOB(guest_call32));
	EXPECT_EQ((uint32_t)-ENOSYS_KVM, hypercall(self->vcpu, 2, 0, 0, 0, 0));
	EXPECT_EQ(0, hypercall(self->vcpu, 1ull << 32 | HC_VAPIC_POLL_IRQ, 0, 0, 0, 0));
}

TEST_F(pv, hypercalls_are_the_kernels)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	start_caller(self->vcpu);
	test_vcpu_sregs(self->vcpu, &sregs);
	sregs.cs.selector |= 3;
	sregs.cs.dpl = 3;
	sregs.ss.selector |= 3;
	sregs.ss.dpl = 3;
	test_vcpu_set_sregs(self->vcpu, &sregs);
	/* For its port. */
	test_vcpu_regs(self->vcpu, &regs);
	regs.rflags |= 3 << 12;
	test_vcpu_set_regs(self->vcpu, &regs);
	EXPECT_EQ(-EPERM, hypercall(self->vcpu, HC_VAPIC_POLL_IRQ, 0, 0, 0, 0));
	EXPECT_EQ(-EPERM, hypercall(self->vcpu, 77, 0, 0, 0, 0));
}

TEST_F(pv, clock_pairing)
{
	struct {
		int64_t sec, nsec;
		uint64_t tsc;
		uint32_t flags, pad[9];
	} *pairing = test_vm_hva(self->vm, PAGE_GPA);
	struct timespec now;

	start_caller(self->vcpu);
	EXPECT_EQ(-EOPNOTSUPP, hypercall(self->vcpu, HC_CLOCK_PAIRING, PAGE_GPA, 1, 0, 0));
	if (hypercall(self->vcpu, HC_CLOCK_PAIRING, PAGE_GPA, 0, 0, 0) == -EOPNOTSUPP)
		SKIP(return, "the host does not count by the TSC");
	EXPECT_EQ(-EFAULT, hypercall(self->vcpu, HC_CLOCK_PAIRING, 1ull << 32, 0, 0, 0));
	ASSERT_EQ(0, hypercall(self->vcpu, HC_CLOCK_PAIRING, PAGE_GPA, 0, 0, 0));
	clock_gettime(CLOCK_REALTIME, &now);
	EXPECT_LE(pairing->sec, now.tv_sec);
	EXPECT_GE(pairing->sec + 10, now.tv_sec);
	EXPECT_GT(1000000000, pairing->nsec);
	EXPECT_NE(0, pairing->tsc);
	EXPECT_EQ(0, pairing->flags);
}

TEST_F(pv, ipis_to_a_set)
{
	struct test_vcpu *second = test_vcpu_create(self->vm, 3);
	struct kvm_lapic_state state;
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };

	test_vcpu_set_supported_cpuid(second);
	ASSERT_EQ(0, ioctl(second->fd, KVM_SET_MP_STATE, &mp));
	for (unsigned int i = 0; i < 2; i++) {
		struct test_vcpu *vcpu = i ? second : self->vcpu;

		ASSERT_EQ(0, ioctl(vcpu->fd, KVM_GET_LAPIC, &state));
		*apic_state_reg(&state, APIC_SPIV) = SPIV_ON;
		ASSERT_EQ(0, ioctl(vcpu->fd, KVM_SET_LAPIC, &state));
	}
	start_caller(self->vcpu);
	/* Ids 0 and 3, and some that are nobody's. */
	EXPECT_EQ(2, hypercall(self->vcpu, HC_SEND_IPI, 0xff, ~0ull, 0, VECTOR));
	/* The same again: they still wait, and it is theirs. */
	EXPECT_EQ(2, hypercall(self->vcpu, HC_SEND_IPI, 9, 0, 0, VECTOR));
	ASSERT_EQ(0, ioctl(second->fd, KVM_GET_LAPIC, &state));
	EXPECT_EQ(1u << (VECTOR % 32), *apic_state_reg(&state, APIC_IRR + VECTOR / 32 * 16));
	/* In the second word, and from another first id. */
	EXPECT_EQ(1, hypercall(self->vcpu, HC_SEND_IPI, 2, 0, 2, VECTOR + 1));
	EXPECT_EQ(0, hypercall(self->vcpu, HC_SEND_IPI, 0, ~0ull, 0, VECTOR + 1));
	ASSERT_EQ(0, ioctl(second->fd, KVM_GET_LAPIC, &state));
	EXPECT_EQ(3u << (VECTOR % 32), *apic_state_reg(&state, APIC_IRR + VECTOR / 32 * 16));
	/* To nobody; beyond every id; a destination in the message. */
	EXPECT_EQ(0, hypercall(self->vcpu, HC_SEND_IPI, ~0ull, ~0ull, 100, VECTOR));
	EXPECT_EQ(0, hypercall(self->vcpu, HC_SEND_IPI, ~0ull, 0, 0xffffff00, VECTOR));
	EXPECT_EQ(-EINVAL, hypercall(self->vcpu, HC_SEND_IPI, 1, 0, 0, ICR_ALL_BUT | VECTOR));
	EXPECT_EQ(-EINVAL, hypercall(self->vcpu, HC_SEND_IPI, 1, 0, 0, ICR_LOGICAL | VECTOR));
	/* One that takes no interrupts. */
	*apic_state_reg(&state, APIC_SPIV) = 0xff;
	ASSERT_EQ(0, ioctl(second->fd, KVM_SET_LAPIC, &state));
	EXPECT_EQ(0, hypercall(self->vcpu, HC_SEND_IPI, 8, 0, 0, VECTOR));
	test_vcpu_free(second);
}

GUEST_CODE(guest_halt, "1: hlt\n" GUEST_SYNC "jmp 1b\n");

static void *run_to_sync(void *vcpu)
{
	test_vcpu_run_to_sync(vcpu);
	return NULL;
}

/* HLT with interrupts off, which nothing else would end. */
TEST_F(pv, kick)
{
	struct test_vcpu *second = test_vcpu_create(self->vm, 1);
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };
	pthread_t thread;

	if (test_on_kvm()) {
		test_vcpu_free(second);
		SKIP(return, "the emulated machine hangs with KVM here");
	}
	test_vcpu_set_supported_cpuid(second);
	ASSERT_EQ(0, ioctl(second->fd, KVM_SET_MP_STATE, &mp));
	/* Both programs are at the same place: first one, then the other. */
	test_vcpu_long_mode(second, GUEST_BLOB(guest_halt));
	mp.mp_state = KVM_MP_STATE_HALTED;
	ASSERT_EQ(0, ioctl(second->fd, KVM_SET_MP_STATE, &mp));
	start_caller(self->vcpu);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_to_sync, second));
	usleep(20000);
	EXPECT_EQ(0, hypercall(self->vcpu, HC_KICK_CPU, 0, 1, 0, 0));
	pthread_join(thread, NULL);

	/* Before it halts: then it does not. */
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_call));
	EXPECT_EQ(0, hypercall(self->vcpu, HC_KICK_CPU, 0, 1, 0, 0));
	test_vcpu_long_mode(second, GUEST_BLOB(guest_halt));
	test_vcpu_run_to_sync(second);
	test_vcpu_free(second);
}

/* For as many ticks as RSI says. */
GUEST_CODE(guest_spin,
	   "rdtsc\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, %rbx\n"
	   "1: rdtsc\n shl $32, %rdx\n or %rdx, %rax\n sub %rbx, %rax\n cmp %rsi, %rax\n jb 1b\n"
	   GUEST_SYNC);

struct hog {
	struct steal_page *page;
	atomic_bool stop;
	atomic_uint seen;	/* times it ran while the vCPU said that it does not */
};

/* Asks for a flush as guests do: only of who waits at that very moment. */
static void *hog_thread(void *arg)
{
	struct hog *hog = arg;
	uint8_t state;

	while (!hog->stop) {
		state = PREEMPTED;
		if (__atomic_compare_exchange_n(&hog->page->preempted, &state,
						PREEMPTED | FLUSH_TLB, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED) || state & PREEMPTED)
			hog->seen++;
	}
	return NULL;
}

static uint64_t run_delay_ns(void)
{
	unsigned long long ran, waited;
	FILE *file = fopen("/proc/thread-self/schedstat", "r");

	if (!file || fscanf(file, "%llu %llu", &ran, &waited) != 2)
		test_die("schedstat");
	fclose(file);
	return waited;
}

TEST_F(pv, steal_time)
{
	struct hog hog = { .page = self->page };
	uint64_t waited, stolen;
	struct kvm_regs regs;
	cpu_set_t one;
	pthread_t thread;

	CPU_ZERO(&one);
	CPU_SET(1, &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_spin));
	self->page->version = 7;
	ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_STEAL_TIME, PAGE_GPA | 1));
	test_vcpu_regs(self->vcpu, &regs);
	test_vcpu_run_to_sync(self->vcpu);
	EXPECT_EQ(0, self->page->version & 1);
	EXPECT_NE(7, self->page->version);
	EXPECT_EQ(0, self->page->flags);
	EXPECT_EQ(0, self->page->preempted);

	stolen = self->page->steal;
	waited = run_delay_ns();
	ASSERT_EQ(0, pthread_create(&thread, NULL, hog_thread, &hog));
	regs.rsi = 100ull * ioctl(self->vcpu->fd, KVM_GET_TSC_KHZ, 0L);
	test_vcpu_set_regs(self->vcpu, &regs);
	test_vcpu_run_to_sync(self->vcpu);
	hog.stop = true;
	pthread_join(thread, NULL);
	/* What it waited for until now is in the page with the next entry. */
	waited = run_delay_ns() - waited;
	regs.rsi = 0;
	test_vcpu_set_regs(self->vcpu, &regs);
	test_vcpu_run_to_sync(self->vcpu);
	EXPECT_LT(10000000, waited);
	EXPECT_LE(waited, self->page->steal - stolen);
	EXPECT_EQ(0, self->page->preempted);
	EXPECT_LT(0, hog.seen);
}

/* As of a VM that was saved while it waited: with the first entry it does not. */
TEST_F(pv, steal_page_is_taken_over)
{
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_spin));
	self->page->preempted = PREEMPTED | FLUSH_TLB;
	self->page->steal = 1ull << 40;
	ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_STEAL_TIME, PAGE_GPA | 1));
	test_vcpu_run_to_sync(self->vcpu);
	EXPECT_EQ(0, self->page->preempted);
	EXPECT_LE(1ull << 40, self->page->steal);
	EXPECT_EQ(2, self->page->version);
}

TEST_F(pv, steal_page_that_cannot_be)
{
	static const uint64_t gpas[] = { 1ull << 32, 0xffffffffffffffc0ull, TEST_MEMORY_BYTES };

	for (unsigned int i = 0; i < 3; i++) {
		test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_spin));
		ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_STEAL_TIME, gpas[i] | 1));
		test_vcpu_run_to_sync(self->vcpu);
	}
}

TEST_HARNESS_MAIN
