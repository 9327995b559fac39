// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_CAP_X86_DISABLE_EXITS: guests that halt and wait for memory on the CPU itself.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/apic.h"
#include "lib/device.h"
#include "lib/irq.h"
#include "lib/vm.h"

#define REASON_HLT	12
#define REASON_MWAIT	36
#define REASON_MONITOR	39
#define ALL_EXITS	(KVM_X86_DISABLE_EXITS_MWAIT | KVM_X86_DISABLE_EXITS_HLT | \
			 KVM_X86_DISABLE_EXITS_PAUSE | KVM_X86_DISABLE_EXITS_CSTATE)
#define UD		6

static int disable(struct test_vm *vm, uint64_t exits)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_DISABLE_EXITS, .args = { exits } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &cap) ? -errno : 0;
}

static void on_alarm(int signal __attribute__((unused)))
{
}

static void alarm_after_us(unsigned int us)
{
	struct itimerval timer = { .it_value = { .tv_usec = us } };
	struct sigaction action = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static uint64_t exits_by(struct test_vcpu *vcpu, uint32_t reason)
{
	char bytes[sizeof(struct kvm_stats_desc) + 64];
	struct kvm_stats_desc *desc = (void *)bytes;
	struct kvm_stats_header header;
	uint64_t count = ~0ull;
	int fd = ioctl(vcpu->fd, KVM_GET_STATS_FD, 0);

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header))
		test_die("no statistics");
	for (unsigned int i = 0; i < header.num_desc; i++) {
		size_t size = sizeof(*desc) + header.name_size;

		if (pread(fd, desc, size, header.desc_offset + i * size) != (ssize_t)size)
			test_die("no descriptor");
		if (!strcmp(desc->name, "exit_count") &&
		    pread(fd, &count, 8, header.data_offset + desc->offset + reason * 8) != 8)
			test_die("no counter");
	}
	close(fd);
	return count;
}

GUEST_CODE(guest_done, GUEST_DONE);

GUEST_CODE(guest_idle,
	   "sti\n"
	   "1: hlt\n"
	   "jmp 1b\n");

/*
 * A timer's interrupt ends a HLT that does not exit; so does a signal, for the VMM. The emulator's
 * HLT is over after any exit, so that the guest may have to try again.
 */
TEST(hlt_without_exit)
{
	struct test_vm *vm = test_vm_create_irqchip();
	uint32_t exits = test_check_extension(vm->fd, KVM_CAP_X86_DISABLE_EXITS);
	struct kvm_mp_state state;
	struct test_vcpu *vcpu;
	struct kvm_regs regs;

	EXPECT_EQ(KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_PAUSE,
		  exits & (KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_PAUSE));
	ASSERT_EQ(0, disable(vm, exits));
	vcpu = test_vcpu_create(vm, 0);
	apic_set_cpuid(vcpu);
	test_irq_start(vcpu, 0, TEST_EOI_X2APIC);
	apic_enable_x2(vcpu);
	apic_set_x2(vcpu, APIC_SPIV, SPIV_ON);
	apic_set_x2(vcpu, APIC_TDCR, DIVIDE_BY_1);
	apic_set_x2(vcpu, APIC_LVTT, 0x40);
	test_irq_clear(vcpu);
	apic_set_x2(vcpu, APIC_TMICT, 2 * MS_NS);
	for (int i = 0; i < 20 && !test_irq_count(vcpu); i++)
		test_irq_halt(vcpu);
	EXPECT_EQ(1, test_irq_count(vcpu));
	EXPECT_EQ(0x40, test_irq_vector(vcpu, 0));

	/* Nothing comes but a signal. */
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_idle));
	for (int i = 0; i < 2; i++) {
		alarm_after_us(10000);
		EXPECT_EQ(-1, ioctl(vcpu->fd, KVM_RUN, 0));
		EXPECT_EQ(EINTR, errno);
		test_vcpu_regs(vcpu, &regs);
		EXPECT_LE(TEST_CODE_GPA + 1, regs.rip);
		EXPECT_GE(TEST_CODE_GPA + 2, regs.rip);
		ASSERT_EQ(0, ioctl(vcpu->fd, KVM_GET_MP_STATE, &state));
		EXPECT_EQ(KVM_MP_STATE_RUNNABLE, state.mp_state);
	}
	if (!test_on_kvm())
		EXPECT_EQ(0, exits_by(vcpu, REASON_HLT));
	/* A VMM that sends the guest elsewhere finds it awake there. */
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_done));
	test_vcpu_run_to_done(vcpu);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

/* An exception is no event that a halted CPU could be entered with. */
TEST(hlt_without_exit_and_exception)
{
	struct kvm_vcpu_events events = { .exception = { .injected = 1, .nr = UD } };
	struct test_vm *vm = test_vm_create_irqchip();
	struct test_exception exception;
	struct test_vcpu *vcpu;

	ASSERT_EQ(0, disable(vm, KVM_X86_DISABLE_EXITS_HLT));
	vcpu = test_vcpu_create(vm, 0);
	test_vcpu_set_supported_cpuid(vcpu);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_idle));
	alarm_after_us(10000);
	EXPECT_EQ(-1, ioctl(vcpu->fd, KVM_RUN, 0));
	EXPECT_EQ(EINTR, errno);
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events));
	test_vcpu_run_to_exception(vcpu, &exception);
	EXPECT_EQ(UD, exception.vector);
	EXPECT_LE(TEST_CODE_GPA + 1, exception.rip);
	EXPECT_GE(TEST_CODE_GPA + 2, exception.rip);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

/* As KVM: every known exit is taken, whether or not this host can do without it. */
TEST(which_exits)
{
	struct test_vm *vm = test_vm_create();

	EXPECT_EQ(0, test_check_extension(vm->fd, KVM_CAP_X86_DISABLE_EXITS) & ~ALL_EXITS);
	EXPECT_EQ(-EINVAL, disable(vm, ALL_EXITS + 1));
	EXPECT_EQ(-EINVAL, disable(vm, 1ull << 63));
	EXPECT_EQ(0, disable(vm, ALL_EXITS));
	test_vm_free(vm);
}

GUEST_CODE(guest_wait,
	   "mov $0x10000, %ebx\n"
	   "1: mov %rbx, %rax\n"
	   "xor %ecx, %ecx\n"
	   "xor %edx, %edx\n"
	   "monitor\n"
	   "xor %eax, %eax\n"
	   "mwait\n"
	   "incl 0x100(%rbx)\n"
	   "jmp 1b\n");

/* The guest waits on its CPU for a write that nobody makes; a signal ends it, for the VMM. */
TEST(mwait_without_exit)
{
	struct test_vm *vm = test_vm_create_irqchip();
	struct test_vcpu *vcpu;

	if (!(test_check_extension(vm->fd, KVM_CAP_X86_DISABLE_EXITS) &
	      KVM_X86_DISABLE_EXITS_MWAIT)) {
		test_vm_free(vm);
		SKIP(return, "this CPU has no MWAIT that keeps its APIC timer going");
	}
	ASSERT_EQ(0, disable(vm, KVM_X86_DISABLE_EXITS_MWAIT));
	vcpu = test_vcpu_create(vm, 0);
	test_vcpu_set_supported_cpuid(vcpu);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_wait));
	for (int i = 0; i < 2; i++) {
		alarm_after_us(10000);
		EXPECT_EQ(-1, ioctl(vcpu->fd, KVM_RUN, 0));
		EXPECT_EQ(EINTR, errno);
	}
	if (!test_on_kvm()) {
		EXPECT_EQ(0, exits_by(vcpu, REASON_MWAIT));
		EXPECT_EQ(0, exits_by(vcpu, REASON_MONITOR));
	}
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_done));
	test_vcpu_run_to_done(vcpu);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

TEST_HARNESS_MAIN
