// SPDX-License-Identifier: GPL-2.0
/*
 * What QEMU asks of every local APIC in the kernel so that it can patch guests that write the task
 * priority all the time: KVM_SET_VAPIC_ADDR and KVM_TPR_ACCESS_REPORTING.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/irq.h"
#include "lib/apic.h"
#include "lib/host.h"

#define WORD_GPA	(TEST_DATA_GPA + 0x40)
#define CODE_GPA	(TEST_FREE_GPA + 0x8000)
#define APICV_PARAMETER	"/sys/module/" HOST_MODULE "/parameters/apicv"

FIXTURE(vapic) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	volatile uint32_t *word;
};

FIXTURE_VARIANT(vapic) {
	const char *apicv;
};

FIXTURE_VARIANT_ADD(vapic, software) { .apicv = "0" };
/* The processor delivers interrupts, where it can. */
FIXTURE_VARIANT_ADD(vapic, apicv) { .apicv = "1" };

FIXTURE_SETUP(vapic)
{
	/* What a VM has it keeps; and KVM has no such parameter to write. */
	host_write(APICV_PARAMETER, variant->apicv);
	self->vm = test_vm_create_irqchip();
	host_write(APICV_PARAMETER, "0");
	self->vcpu = test_vcpu_create(self->vm, 0);
	self->word = test_vm_hva(self->vm, WORD_GPA);
	apic_set_cpuid(self->vcpu);
	test_irq_start(self->vcpu, 0, TEST_EOI_X2APIC);
}

FIXTURE_TEARDOWN(vapic)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

static int set_addr(struct test_vcpu *vcpu, uint64_t gpa)
{
	struct kvm_vapic_addr vapic = { .vapic_addr = gpa };

	return ioctl(vcpu->fd, KVM_SET_VAPIC_ADDR, &vapic);
}

static int report_tpr(struct test_vcpu *vcpu, uint32_t enabled, uint32_t flags)
{
	struct kvm_tpr_access_ctl ctl = { .enabled = enabled, .flags = flags };

	return ioctl(vcpu->fd, KVM_TPR_ACCESS_REPORTING, &ctl);
}

static void run_at(struct test_vcpu *vcpu, const char *code, size_t bytes)
{
	struct kvm_regs regs;

	memcpy(test_vm_hva(vcpu->vm, CODE_GPA), code, bytes);
	test_vcpu_regs(vcpu, &regs);
	regs.rip = CODE_GPA;
	regs.rdi = WORD_GPA;
	test_vcpu_set_regs(vcpu, &regs);
}

TEST_F(vapic, refuses_what_it_cannot_do)
{
	EXPECT_EQ(set_addr(self->vcpu, 0), 0);
	EXPECT_EQ(set_addr(self->vcpu, WORD_GPA), 0);
	EXPECT_EQ(set_addr(self->vcpu, TEST_MEMORY_BYTES), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(set_addr(self->vcpu, TEST_MEMORY_BYTES - 2), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(set_addr(self->vcpu, ~0ull - 1), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(report_tpr(self->vcpu, 1, 1), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(report_tpr(self->vcpu, 0, 0), 0);
}

TEST(vapic_without_an_apic)
{
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);

	EXPECT_EQ(set_addr(vcpu, 0), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(report_tpr(vcpu, 1, 0), 0);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

TEST_F(vapic, the_word_is_the_priority)
{
	struct kvm_lapic_state state;

	apic_enable_x2(self->vcpu);
	ASSERT_EQ(set_addr(self->vcpu, WORD_GPA), 0);
	test_irq_write(self->vcpu, WORD_GPA, 0x60);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x5a);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_TPR), 0x60);
	EXPECT_EQ(*self->word, 0x5a000060);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 0);
	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_GET_LAPIC, &state), 0);
	EXPECT_EQ(*apic_state_reg(&state, APIC_TPR), 0x60);
	/* The guest's byte only: the others are for it to read. */
	test_irq_write(self->vcpu, WORD_GPA, 0x5a000050);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 0);
	test_irq_write(self->vcpu, WORD_GPA, 0x5a000040);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 1);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x5a);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_TPR), 0x40);
	EXPECT_EQ(*self->word, 0x40);

	/* In service, as long as nobody ends it. */
	test_irq_set_eoi(self->vcpu, TEST_EOI_NONE);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x71);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 2);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x68);
	EXPECT_EQ(*self->word, 0x68007040);

	/* What the VMM restores counts, not what the word said before. */
	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_GET_LAPIC, &state), 0);
	*apic_state_reg(&state, APIC_TPR) = 0x30;
	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_SET_LAPIC, &state), 0);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_TPR), 0x30);
	EXPECT_EQ(*self->word, 0x68007030);

	/* The word is left alone once it is not the priority any more. */
	ASSERT_EQ(set_addr(self->vcpu, 0), 0);
	*self->word = 0xaaaaaaaa;
	apic_set_x2(self->vcpu, APIC_EOI, 0);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_TPR), 0x30);
	EXPECT_EQ(*self->word, 0xaaaaaaaa);
}

GUEST_CODE(lower_and_go_on,
	   "movb $0x40, (%rdi)\n"
	   GUEST_SYNC
	   "sti\n"
	   "nop\n"
	   "cli\n"
	   GUEST_SYNC);

/* What the guest wrote last counts when the word goes, without another call that says so. */
TEST_F(vapic, the_word_goes_after_it_was_lowered)
{
	apic_enable_x2(self->vcpu);
	ASSERT_EQ(set_addr(self->vcpu, WORD_GPA), 0);
	test_irq_write(self->vcpu, WORD_GPA, 0x60);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x5a);
	run_at(self->vcpu, GUEST_BLOB(lower_and_go_on));
	test_vcpu_run_to_sync(self->vcpu);
	ASSERT_EQ(set_addr(self->vcpu, 0), 0);
	test_vcpu_run_to_sync(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 1);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x5a);
}

GUEST_CODE(lower_and_halt,
	   "movb $0, (%rdi)\n"
	   "sti\n"
	   "hlt\n"
	   "cli\n"
	   GUEST_SYNC);

TEST_F(vapic, a_halted_guest_has_lowered_it)
{
	apic_enable_x2(self->vcpu);
	ASSERT_EQ(set_addr(self->vcpu, WORD_GPA), 0);
	test_irq_write(self->vcpu, WORD_GPA, 0xf0);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x93);
	run_at(self->vcpu, GUEST_BLOB(lower_and_halt));
	test_vcpu_run_to_sync(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 1);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x93);
}

/* Requests that others post, and what is in service, go on from where they are. */
TEST_F(vapic, the_word_comes_and_goes_in_between)
{
	apic_enable_x2(self->vcpu);
	test_irq_set_eoi(self->vcpu, TEST_EOI_NONE);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x61);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 1);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x45);

	*self->word = 0;
	ASSERT_EQ(set_addr(self->vcpu, WORD_GPA), 0);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x72);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 2);
	EXPECT_EQ(test_irq_vector(self->vcpu, 1), 0x72);
	EXPECT_EQ(*self->word, 0x45007000);
	apic_set_x2(self->vcpu, APIC_EOI, 0);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 2);

	ASSERT_EQ(set_addr(self->vcpu, 0), 0);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 2);
	apic_set_x2(self->vcpu, APIC_EOI, 0);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 3);
	EXPECT_EQ(test_irq_vector(self->vcpu, 2), 0x45);
	apic_set_x2(self->vcpu, APIC_EOI, 0);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_PPR), 0);
}

/* Memory goes while the word is in it. */
TEST_F(vapic, memory_that_goes_away)
{
	static uint8_t page[4096] __attribute__((aligned(4096)));

	apic_enable_x2(self->vcpu);
	test_vm_add_memory(self->vm, 1, 2 * TEST_MEMORY_BYTES, page, sizeof(page), 0);
	ASSERT_EQ(set_addr(self->vcpu, 2 * TEST_MEMORY_BYTES), 0);
	test_irq_write(self->vcpu, 2 * TEST_MEMORY_BYTES, 0x20);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_TPR), 0x20);
	test_vm_add_memory(self->vm, 1, 2 * TEST_MEMORY_BYTES, page, 0, 0);
	page[0] = 0x30;
	EXPECT_EQ(apic_x2(self->vcpu, APIC_TPR), 0x20);
}

GUEST_CODE(touch_tpr,
	   "mov $0xfee00080, %eax\n"
	   "movl $0x50, (%rax)\n"
	   "mov (%rax), %ecx\n"
	   GUEST_SYNC);
#define TOUCH_WRITE_AT	5
#define TOUCH_READ_AT	11

TEST_F(vapic, accesses_are_reported)
{
	struct kvm_run *run = self->vcpu->run;
	struct kvm_regs regs;

	if (!test_check_extension(self->vm->fd, KVM_CAP_VAPIC))
		SKIP(return, "the CPU virtualizes TPR: its accesses do not exit");
	ASSERT_EQ(report_tpr(self->vcpu, 1, 0), 0);
	run_at(self->vcpu, GUEST_BLOB(touch_tpr));
	ASSERT_EQ(test_vcpu_run(self->vcpu), KVM_EXIT_TPR_ACCESS);
	EXPECT_EQ(run->tpr_access.rip, CODE_GPA + TOUCH_WRITE_AT);
	EXPECT_EQ(run->tpr_access.is_write, 1);
	/* It is told after the fact. */
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(regs.rip, CODE_GPA + TOUCH_READ_AT);
	EXPECT_EQ(run->cr8, 5);
	ASSERT_EQ(test_vcpu_run(self->vcpu), KVM_EXIT_TPR_ACCESS);
	EXPECT_EQ(run->tpr_access.rip, CODE_GPA + TOUCH_READ_AT);
	EXPECT_EQ(run->tpr_access.is_write, 0);
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(regs.rcx, 0x50);

	ASSERT_EQ(report_tpr(self->vcpu, 0, 0), 0);
	run_at(self->vcpu, GUEST_BLOB(touch_tpr));
	test_vcpu_run_to_sync(self->vcpu);
}

TEST_HARNESS_MAIN
