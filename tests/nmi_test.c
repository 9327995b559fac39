// SPDX-License-Identifier: GPL-2.0
/*
 * NMIs that have to wait: for the end of the handler of the one before, and for the end of STI's
 * shadow.
 *
 * The lab's CPU keeps NMIs blocked from one guest to the next. So every handler here comes to its
 * IRET, whatever fails.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/device.h"
#include "lib/stay.h"
#include "lib/vm.h"

#define NMI		2
#define RFLAGS_IF	0x200
#define HANDLER_GPA	TEST_FREE_GPA
#define STAY_US		10000

/* What the handler writes down, at TEST_DATA_GPA. */
struct counts {
	uint32_t taken;
	uint32_t woken;		/* from the handler's HLT */
	uint64_t rip;		/* of what was interrupted last */
	uint32_t halt;		/* the next one is to halt */
};

GUEST_CODE(on_nmi,
	   "push %rax\n"
	   "incl 0x10000\n"
	   "mov 8(%rsp), %rax\n"
	   "mov %rax, 0x10008\n"
	   "xor %eax, %eax\n"
	   "xchg %eax, 0x10010\n"
	   "test %eax, %eax\n"
	   "jz 1f\n"
	   "hlt\n"
	   "incl 0x10004\n"
	   "1: pop %rax\n"
	   "iretq\n");

#define GUEST_END	"1: " GUEST_DONE "jmp 1b\n"
GUEST_CODE(guest_end, GUEST_END);
GUEST_CODE(guest_halt, "hlt\n" GUEST_END);
/* A page that nobody touched: in the shadow there is an exit, and the shadow outlasts it. */
GUEST_CODE(guest_count, "incl 0x200000\n" GUEST_END);
GUEST_CODE(guest_sti_mmio, "sti\nmov %eax, (%rdi)\n" GUEST_END);
#define COUNT_BYTES	7
#define STI_BYTES	1
#define MMIO_BYTES	2

struct machine {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	struct counts *counts;
};

static void machine_create(struct machine *machine, bool irqchip)
{
	struct test_vm *vm = irqchip ? test_vm_create_irqchip() : test_vm_create();
	uint64_t *idt = test_vm_hva(vm, TEST_IDT_GPA);

	machine->vm = vm;
	machine->vcpu = test_vcpu_create(vm, 0);
	machine->counts = test_vm_hva(vm, TEST_DATA_GPA);
	memcpy(test_vm_hva(vm, HANDLER_GPA), on_nmi, on_nmi_end - on_nmi);
	/* Present 64-bit interrupt gate. */
	idt[2 * NMI] = (HANDLER_GPA & 0xffff) | TEST_CS << 16 | 0x8eull << 40 |
		       (uint64_t)(HANDLER_GPA >> 16) << 48;
}

static void machine_free(struct machine *machine)
{
	test_vcpu_free(machine->vcpu);
	test_vm_free(machine->vm);
}

static uint32_t mp_state(struct test_vcpu *vcpu)
{
	struct kvm_mp_state state;

	return ioctl(vcpu->fd, KVM_GET_MP_STATE, &state) ? ~0u : state.mp_state;
}

static void set_rflags(struct test_vcpu *vcpu, uint64_t rflags)
{
	struct kvm_regs regs;

	test_vcpu_regs(vcpu, &regs);
	regs.rflags |= rflags;
	test_vcpu_set_regs(vcpu, &regs);
}

/* Of guests that halt in the kernel. */
FIXTURE(halt) {
	struct machine m;
};

FIXTURE_SETUP(halt)
{
	machine_create(&self->m, true);
}

FIXTURE_TEARDOWN(halt)
{
	machine_free(&self->m);
}

TEST_F(halt, with_interrupts_off_ends)
{
	test_vcpu_long_mode(self->m.vcpu, GUEST_BLOB(guest_halt));
	EXPECT_EQ(-EINTR, test_run_for_us(self->m.vcpu, STAY_US));
	EXPECT_EQ(KVM_MP_STATE_HALTED, mp_state(self->m.vcpu));
	EXPECT_EQ(0, self->m.counts->taken);
	ASSERT_EQ(0, ioctl(self->m.vcpu->fd, KVM_NMI, 0L));
	test_vcpu_run_to_done(self->m.vcpu);
	EXPECT_EQ(1, self->m.counts->taken);
	EXPECT_EQ(TEST_CODE_GPA + 1, self->m.counts->rip);
}

/* The second NMI is for after the handler, which halts, and sleeps on. */
TEST_F(halt, in_the_handler_does_not_end)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_vcpu_events events;

	self->m.counts->halt = 1;
	test_vcpu_long_mode(self->m.vcpu, GUEST_BLOB(guest_end));
	EXPECT_EQ(0, ioctl(self->m.vcpu->fd, KVM_NMI, 0L));
	EXPECT_EQ(-EINTR, test_run_for_us(self->m.vcpu, STAY_US));
	EXPECT_EQ(KVM_MP_STATE_HALTED, mp_state(self->m.vcpu));
	EXPECT_EQ(1, self->m.counts->taken);
	EXPECT_EQ(0, ioctl(self->m.vcpu->fd, KVM_NMI, 0L));
	/* It is on its way in the first RUN, and pending in the second. */
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(-EINTR, test_run_for_us(self->m.vcpu, STAY_US));
		EXPECT_EQ(KVM_MP_STATE_HALTED, mp_state(self->m.vcpu));
		EXPECT_EQ(1, self->m.counts->taken);
		EXPECT_EQ(0, self->m.counts->woken);
	}
	EXPECT_EQ(0, ioctl(self->m.vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(1, events.nmi.masked);
	EXPECT_EQ(1, events.nmi.pending);

	EXPECT_EQ(0, ioctl(self->m.vcpu->fd, KVM_SET_MP_STATE, &runnable));
	test_vcpu_run_to_done(self->m.vcpu);
	EXPECT_EQ(2, self->m.counts->taken);
	EXPECT_EQ(1, self->m.counts->woken);
	EXPECT_EQ(TEST_CODE_GPA, self->m.counts->rip);
	EXPECT_EQ(0, ioctl(self->m.vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(0, events.nmi.masked);
	EXPECT_EQ(0, events.nmi.pending);
}

FIXTURE(sti) {
	struct machine m;
};

FIXTURE_VARIANT(sti) {
	bool irqchip;
};

FIXTURE_VARIANT_ADD(sti, irqchip) { true };
FIXTURE_VARIANT_ADD(sti, no_irqchip) { false };

FIXTURE_SETUP(sti)
{
	machine_create(&self->m, variant->irqchip);
}

FIXTURE_TEARDOWN(sti)
{
	machine_free(&self->m);
}

/* As a VMM restores it. */
TEST_F(sti, shadow_is_waited_for)
{
	struct kvm_vcpu_events events = { .flags = KVM_VCPUEVENT_VALID_SHADOW,
					  .interrupt.shadow = KVM_X86_SHADOW_INT_STI };

	test_vcpu_long_mode(self->m.vcpu, GUEST_BLOB(guest_count));
	set_rflags(self->m.vcpu, RFLAGS_IF);
	ASSERT_EQ(0, ioctl(self->m.vcpu->fd, KVM_SET_VCPU_EVENTS, &events));
	ASSERT_EQ(0, ioctl(self->m.vcpu->fd, KVM_NMI, 0L));
	test_vcpu_run_to_done(self->m.vcpu);
	EXPECT_EQ(1, self->m.counts->taken);
	EXPECT_EQ(TEST_CODE_GPA + COUNT_BYTES, self->m.counts->rip);
	EXPECT_EQ(1, *(uint32_t *)test_vm_hva(self->m.vm, 0x200000));
	if (test_on_kvm())
		return;
	/* Whether the NMI window opens before that instruction is the CPU's choice. */
	EXPECT_EQ(1, test_exits_by(self->m.vcpu, TEST_REASON_INTERRUPT_WINDOW));
	EXPECT_EQ(0, test_exits_by(self->m.vcpu, TEST_REASON_NMI_WINDOW));
}

/* The guest's own STI, and a VMM that saves and restores in the middle of the instruction. */
TEST_F(sti, and_mmio)
{
	struct kvm_vcpu_events events;

	test_vcpu_long_mode(self->m.vcpu, GUEST_BLOB(guest_sti_mmio));
	test_vcpu_set_command(self->m.vcpu, TEST_DEVICE_GPA, 0, 0);
	ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->m.vcpu));
	ASSERT_EQ(0, ioctl(self->m.vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	/* KVM is done with the instruction by now. */
	if (!test_on_kvm())
		EXPECT_EQ(KVM_X86_SHADOW_INT_STI, events.interrupt.shadow);
	ASSERT_EQ(0, ioctl(self->m.vcpu->fd, KVM_NMI, 0L));
	events.flags = KVM_VCPUEVENT_VALID_SHADOW;
	ASSERT_EQ(0, ioctl(self->m.vcpu->fd, KVM_SET_VCPU_EVENTS, &events));
	test_vcpu_run_to_done(self->m.vcpu);
	EXPECT_EQ(1, self->m.counts->taken);
	EXPECT_EQ(TEST_CODE_GPA + STI_BYTES + MMIO_BYTES, self->m.counts->rip);
}

TEST_HARNESS_MAIN
