// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_CAP_X86_DISABLE_EXITS: guests that halt and wait for memory on the CPU itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/apic.h"
#include "lib/irq.h"
#include "lib/stay.h"
#include "lib/vm.h"

#define REASON_HLT	12
#define REASON_MWAIT	36
#define REASON_MONITOR	39
#define ALL_EXITS	(KVM_X86_DISABLE_EXITS_MWAIT | KVM_X86_DISABLE_EXITS_HLT | \
			 KVM_X86_DISABLE_EXITS_PAUSE | KVM_X86_DISABLE_EXITS_CSTATE)
#define DB		1
#define UD		6
#define RFLAGS_TF	0x100
#define PV_SIGNATURE	0x40000000u
#define PV_UNHALT	(1u << 7)
#define STAY_US		10000

static int disable(struct test_vm *vm, uint64_t exits)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_DISABLE_EXITS, .args = { exits } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &cap) ? -errno : 0;
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
		EXPECT_EQ(-EINTR, test_run_for_us(vcpu, STAY_US));
		test_vcpu_regs(vcpu, &regs);
		EXPECT_LE(TEST_CODE_GPA + 1, regs.rip);
		EXPECT_GE(TEST_CODE_GPA + 2, regs.rip);
		ASSERT_EQ(0, ioctl(vcpu->fd, KVM_GET_MP_STATE, &state));
		EXPECT_EQ(KVM_MP_STATE_RUNNABLE, state.mp_state);
	}
	if (!test_on_kvm())
		EXPECT_EQ(0, test_exits_by(vcpu, REASON_HLT));
	/* A VMM that sends the guest elsewhere finds it awake there. */
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_done));
	test_vcpu_run_to_done(vcpu);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

/* A vCPU that has halted on its CPU, and a signal has come for the VMM. */
static struct test_vcpu *create_halted(struct __test_metadata *_metadata, struct test_vm *vm)
{
	struct test_vcpu *vcpu;

	EXPECT_EQ(0, disable(vm, KVM_X86_DISABLE_EXITS_HLT));
	vcpu = test_vcpu_create(vm, 0);
	test_vcpu_set_supported_cpuid(vcpu);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_idle));
	EXPECT_EQ(-EINTR, test_run_for_us(vcpu, STAY_US));
	return vcpu;
}

/* An exception is no event that a halted CPU could be entered with. */
TEST(hlt_without_exit_and_exception)
{
	struct kvm_vcpu_events events = { .exception = { .injected = 1, .nr = UD } };
	struct test_vm *vm = test_vm_create_irqchip();
	struct test_vcpu *vcpu = create_halted(_metadata, vm);
	struct test_exception exception;

	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events));
	test_vcpu_run_to_exception(vcpu, &exception);
	EXPECT_EQ(UD, exception.vector);
	EXPECT_LE(TEST_CODE_GPA + 1, exception.rip);
	EXPECT_GE(TEST_CODE_GPA + 2, exception.rip);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

/* Nor is a single step, of the VMM's or the guest's own, one that a halted CPU could have. */
TEST(hlt_without_exit_and_step)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP,
	};
	struct test_vm *vm = test_vm_create_irqchip();
	struct test_vcpu *vcpu = create_halted(_metadata, vm);
	struct test_exception exception;
	struct kvm_regs regs;

	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug));
	ASSERT_EQ(KVM_EXIT_DEBUG, test_vcpu_run(vcpu));
	EXPECT_EQ(DB, vcpu->run->debug.arch.exception);
	EXPECT_LE(TEST_CODE_GPA + 1, vcpu->run->debug.arch.pc);
	EXPECT_GE(TEST_CODE_GPA + 2, vcpu->run->debug.arch.pc);

	debug.control = 0;
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug));
	EXPECT_EQ(-EINTR, test_run_for_us(vcpu, STAY_US));
	test_vcpu_regs(vcpu, &regs);
	regs.rflags |= RFLAGS_TF;
	test_vcpu_set_regs(vcpu, &regs);
	test_vcpu_run_to_exception(vcpu, &exception);
	EXPECT_EQ(DB, exception.vector);
	EXPECT_LE(TEST_CODE_GPA + 1, exception.rip);
	EXPECT_GE(TEST_CODE_GPA + 2, exception.rip);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

/* Answers with what it sees of the leaf in EDI. */
GUEST_CODE(guest_cpuid, "1: mov %edi, %eax\ncpuid\n" GUEST_SYNC "jmp 1b\n");

/* All that is supported, and PV_UNHALT; KVM's leaves from @base on. */
static struct kvm_cpuid2 *cpuid_with_unhalt(int dev_fd, uint32_t base)
{
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(dev_fd);

	test_cpuid_find(cpuid, PV_SIGNATURE + 1, 0)->eax |= PV_UNHALT;
	test_cpuid_find(cpuid, PV_SIGNATURE + 1, 0)->function = base + 1;
	test_cpuid_find(cpuid, PV_SIGNATURE, 0)->eax = base + 1;
	test_cpuid_find(cpuid, PV_SIGNATURE, 0)->function = base;
	return cpuid;
}

static void check_unhalt(struct __test_metadata *_metadata, uint64_t exits, uint32_t base,
			 uint32_t expected)
{
	struct test_vm *vm = test_vm_create_irqchip();
	struct kvm_cpuid2 *cpuid = cpuid_with_unhalt(vm->dev_fd, base);
	struct kvm_cpuid2 *now = cpuid_with_unhalt(vm->dev_fd, base);
	struct test_vcpu *vcpu;
	struct kvm_regs regs;

	ASSERT_EQ(0, disable(vm, exits));
	vcpu = test_vcpu_create(vm, 0);
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid));
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_GET_CPUID2, now));
	EXPECT_EQ(expected, test_cpuid_find(now, base + 1, 0)->eax & PV_UNHALT);
	/* Nothing else is. */
	EXPECT_EQ(test_cpuid_find(cpuid, base + 1, 0)->eax & ~PV_UNHALT,
		  test_cpuid_find(now, base + 1, 0)->eax & ~PV_UNHALT);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_cpuid));
	test_vcpu_set_command(vcpu, base + 1, 0, 0);
	test_vcpu_run_to_sync(vcpu);
	test_vcpu_regs(vcpu, &regs);
	EXPECT_EQ(expected, regs.rax & PV_UNHALT);

	/* As it was given, and as it was read; but not another one. */
	EXPECT_EQ(0, ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid));
	EXPECT_EQ(0, ioctl(vcpu->fd, KVM_SET_CPUID2, now));
	test_cpuid_find(cpuid, base + 1, 0)->eax ^= 1;
	EXPECT_EQ(-1, ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid));
	EXPECT_EQ(EINVAL, errno);
	free(cpuid);
	free(now);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

/* Who halts with interrupts off waits for a kick, which would not reach it on its CPU. */
TEST(hlt_without_exit_and_unhalt)
{
	check_unhalt(_metadata, KVM_X86_DISABLE_EXITS_HLT, PV_SIGNATURE, 0);
	check_unhalt(_metadata, KVM_X86_DISABLE_EXITS_HLT, PV_SIGNATURE + 0x100, 0);
	check_unhalt(_metadata, KVM_X86_DISABLE_EXITS_PAUSE, PV_SIGNATURE, PV_UNHALT);
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
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(-EINTR, test_run_for_us(vcpu, STAY_US));
	if (!test_on_kvm()) {
		EXPECT_EQ(0, test_exits_by(vcpu, REASON_MWAIT));
		EXPECT_EQ(0, test_exits_by(vcpu, REASON_MONITOR));
	}
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_done));
	test_vcpu_run_to_done(vcpu);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

/* Until there was an interrupt: as with HLT, none comes between the question and the wait. */
GUEST_CODE(wait_for_interrupt,
	   "1: mov $0x10000, %eax\n"
	   "xor %ecx, %ecx\n"
	   "xor %edx, %edx\n"
	   "monitor\n"
	   "cli\n"
	   "cmpl $0, %gs:0\n"
	   "jne 2f\n"
	   "xor %eax, %eax\n"
	   "sti\n"
	   "mwait\n"
	   "jmp 1b\n"
	   "2: ret\n");
#define WAIT_GPA	(TEST_DATA_GPA + 0x1000)

/* The deadline of a guest that waits on its CPU, however deep. */
TEST(mwait_without_exit_and_deadline)
{
	struct test_vm *vm = test_vm_create_irqchip();
	struct test_vcpu *vcpu;
	uint64_t deadline;

	if (!(test_check_extension(vm->fd, KVM_CAP_X86_DISABLE_EXITS) &
	      KVM_X86_DISABLE_EXITS_MWAIT)) {
		test_vm_free(vm);
		SKIP(return, "this CPU has no MWAIT that keeps its APIC timer going");
	}
	ASSERT_EQ(0, disable(vm, KVM_X86_DISABLE_EXITS_MWAIT));
	memcpy(test_vm_hva(vm, WAIT_GPA), wait_for_interrupt,
	       wait_for_interrupt_end - wait_for_interrupt);
	vcpu = test_vcpu_create(vm, 0);
	apic_set_cpuid(vcpu);
	test_irq_start(vcpu, 0, TEST_EOI_X2APIC);
	apic_enable_x2(vcpu);
	apic_set_x2(vcpu, APIC_LVTT, LVT_DEADLINE | 0x40);
	for (int i = 0; i < 3; i++) {
		test_irq_clear(vcpu);
		deadline = test_irq_rdtsc(vcpu) + 2 * apic_tsc_khz(vcpu);
		test_irq_set_msr(vcpu, TEST_MSR_TSC_DEADLINE, deadline);
		test_vcpu_set_command(vcpu, TEST_IRQ_CALL, WAIT_GPA, 0);
		ASSERT_EQ(0, test_run_for_us(vcpu, 500000));
		ASSERT_TRUE(test_vcpu_is_at(vcpu, TEST_PORT_SYNC));
		EXPECT_LE(deadline, test_irq_rdtsc(vcpu));
		EXPECT_EQ(1, test_irq_count(vcpu));
		EXPECT_EQ(0x40, test_irq_vector(vcpu, 0));
	}
	if (!test_on_kvm())
		EXPECT_EQ(0, test_exits_by(vcpu, REASON_MWAIT));
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

TEST_HARNESS_MAIN
