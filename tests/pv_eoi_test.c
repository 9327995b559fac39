// SPDX-License-Identifier: GPL-2.0
/*
 * MSR_KVM_PV_EOI_EN: interrupts that the guest ends by a word in its memory. The guest counts those
 * for which it had to write EOI after all.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/apic.h"
#include "lib/eventfd.h"
#include "lib/irq.h"

#define MSR_PV_EOI_EN	0x4b564d04
#define ENABLED		1u
#define HIGH		0x71
#define LOW		0x51
#define ROUNDS		20u
#define CODE_GPA	(TEST_FREE_GPA + 0x8000u)
#define MOVED_GPA	(2u * TEST_MEMORY_BYTES)

FIXTURE(pv_eoi) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	volatile uint32_t *word;
	uint64_t gpa;
};

FIXTURE_SETUP(pv_eoi)
{
	self->vm = test_vm_create_irqchip();
	self->vcpu = test_vcpu_create(self->vm, 0);
	apic_set_cpuid(self->vcpu);
	test_irq_start(self->vcpu, 0, TEST_EOI_PV);
	apic_enable_x2(self->vcpu);
	self->gpa = test_irq_eoi_gpa(self->vcpu);
	self->word = test_vm_hva(self->vm, self->gpa);
	/* No exit in the handler because of the page. */
	test_irq_write(self->vcpu, self->gpa, 0);
}

FIXTURE_TEARDOWN(pv_eoi)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

static bool in_service(struct test_vcpu *vcpu)
{
	struct kvm_lapic_state state;
	uint32_t any = 0;

	if (ioctl(vcpu->fd, KVM_GET_LAPIC, &state))
		test_die("KVM_GET_LAPIC");
	for (unsigned int i = 0; i < 8; i++)
		any |= *apic_state_reg(&state, APIC_ISR + i * 16);
	return any;
}

/* One interrupt to take, and no other. */
static void take(struct test_vcpu *vcpu, uint8_t vector)
{
	apic_set_x2(vcpu, APIC_SELF_IPI, vector);
	test_irq_window(vcpu);
}

TEST_F(pv_eoi, msr)
{
	static uint8_t page[4096] __attribute__((aligned(4096)));
	const uint64_t bad[] = {
		self->gpa | 2 | ENABLED, self->gpa | 2, TEST_MEMORY_BYTES | ENABLED,
		~3ull | ENABLED, (MOVED_GPA + 8) | ENABLED,
	};
	uint64_t value;

	/* The guest could not clear it there. */
	test_vm_add_memory(self->vm, 1, MOVED_GPA, page, sizeof(page), KVM_MEM_READONLY);
	EXPECT_EQ(test_irq_msr(self->vcpu, MSR_PV_EOI_EN), 0);
	ASSERT_TRUE(test_irq_wrmsr(self->vcpu, MSR_PV_EOI_EN, self->gpa | ENABLED));
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_FALSE(test_irq_wrmsr(self->vcpu, MSR_PV_EOI_EN, bad[i]));
		EXPECT_EQ(test_vcpu_set_msr(self->vcpu, MSR_PV_EOI_EN, bad[i]), 0);
	}
	EXPECT_EQ(test_irq_msr(self->vcpu, MSR_PV_EOI_EN), self->gpa | ENABLED);
	/* Off it may point to nowhere. */
	EXPECT_EQ(test_vcpu_set_msr(self->vcpu, MSR_PV_EOI_EN, 1ull << 32), 1);
	ASSERT_EQ(test_vcpu_get_msr(self->vcpu, MSR_PV_EOI_EN, &value), 1);
	EXPECT_EQ(value, 1ull << 32);
}

TEST_F(pv_eoi, needs_no_write)
{
	/* Nobody turned it on. */
	take(self->vcpu, LOW);
	EXPECT_EQ(test_irq_eoi_writes(self->vcpu), 1);
	test_irq_clear(self->vcpu);

	test_irq_set_msr(self->vcpu, MSR_PV_EOI_EN, self->gpa | ENABLED);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		take(self->vcpu, HIGH);
		/* The one before it has ended, or this would not be above it. */
		take(self->vcpu, LOW);
		EXPECT_EQ(*self->word, 0);
		EXPECT_FALSE(in_service(self->vcpu));
	}
	EXPECT_EQ(test_irq_count(self->vcpu), 2 * ROUNDS);
	EXPECT_EQ(test_irq_eoi_writes(self->vcpu), 0);

	test_irq_set_msr(self->vcpu, MSR_PV_EOI_EN, self->gpa);
	take(self->vcpu, LOW);
	EXPECT_EQ(test_irq_count(self->vcpu), 2 * ROUNDS + 1);
	EXPECT_EQ(test_irq_eoi_writes(self->vcpu), 1);
}

/* Somebody must bring what waits for the end. */
TEST_F(pv_eoi, not_while_another_waits)
{
	test_irq_set_msr(self->vcpu, MSR_PV_EOI_EN, self->gpa | ENABLED);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, HIGH);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, LOW);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 2);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), HIGH);
	EXPECT_EQ(test_irq_vector(self->vcpu, 1), LOW);
	EXPECT_EQ(test_irq_eoi_writes(self->vcpu), 1);
	EXPECT_FALSE(in_service(self->vcpu));
}

/* A VMM finds what it saves in agreement: no word is set, and the interrupt is in service. */
TEST_F(pv_eoi, taken_back_for_the_vmm)
{
	test_irq_set_msr(self->vcpu, MSR_PV_EOI_EN, self->gpa | ENABLED);
	test_irq_set_eoi(self->vcpu, TEST_EOI_NONE);
	take(self->vcpu, HIGH);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);
	EXPECT_EQ(*self->word, 0);
	EXPECT_TRUE(in_service(self->vcpu));
	take(self->vcpu, LOW);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);
	apic_set_x2(self->vcpu, APIC_EOI, 0);
	test_irq_set_eoi(self->vcpu, TEST_EOI_PV);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 2);
	EXPECT_FALSE(in_service(self->vcpu));
}

/* A guest that does not look: its writes are for the interrupt that it means. */
TEST_F(pv_eoi, ended_by_a_write)
{
	test_irq_set_msr(self->vcpu, MSR_PV_EOI_EN, self->gpa | ENABLED);
	test_irq_set_eoi(self->vcpu, TEST_EOI_X2APIC);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		take(self->vcpu, HIGH);
		take(self->vcpu, LOW);
		EXPECT_EQ(*self->word, 0);
		EXPECT_FALSE(in_service(self->vcpu));
	}
	EXPECT_EQ(test_irq_count(self->vcpu), 2 * ROUNDS);
}

GUEST_CODE(nest_and_end,
	   "sti\n nop\n"
	   /* The first is in service, and not ended: the second comes on top of it. */
	   "mov $0x83f, %ecx\n mov $0x71, %eax\n xor %edx, %edx\n wrmsr\n nop\n"
	   "cli\n"
	   /* Ends the first by a write, as nothing is in the word any more. */
	   "mov $0x80b, %ecx\n xor %eax, %eax\n wrmsr\n"
	   "mov $0x80a, %ecx\n rdmsr\n mov %eax, %esi\n"
	   GUEST_SYNC);

static void run_at(struct test_vcpu *vcpu, const char *code, size_t bytes)
{
	struct kvm_regs regs;

	memcpy(test_vm_hva(vcpu->vm, CODE_GPA), code, bytes);
	test_vcpu_regs(vcpu, &regs);
	regs.rip = CODE_GPA;
	test_vcpu_set_regs(vcpu, &regs);
	test_vcpu_run_to_sync(vcpu);
}

/* The word ends one, a write the other, and neither is taken for the other. */
TEST_F(pv_eoi, nested)
{
	struct kvm_regs regs;

	test_irq_set_msr(self->vcpu, MSR_PV_EOI_EN, self->gpa | ENABLED);
	test_irq_set_eoi(self->vcpu, TEST_EOI_NONE);
	take(self->vcpu, LOW);
	test_irq_set_eoi(self->vcpu, TEST_EOI_PV);
	run_at(self->vcpu, GUEST_BLOB(nest_and_end));
	EXPECT_EQ(test_irq_count(self->vcpu), 2);
	EXPECT_EQ(test_irq_vector(self->vcpu, 1), HIGH);
	EXPECT_EQ(test_irq_eoi_writes(self->vcpu), 0);
	EXPECT_FALSE(in_service(self->vcpu));
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(regs.rsi, 0);
}

GUEST_CODE(take_and_halt, "sti\n nop\n nop\n hlt\n cli\n" GUEST_SYNC);

/* Nothing but the word says that it may be woken by the lower one. */
TEST_F(pv_eoi, halted_after_it)
{
	uint64_t ms = apic_tsc_khz(self->vcpu);

	test_irq_set_msr(self->vcpu, MSR_PV_EOI_EN, self->gpa | ENABLED);
	apic_set_x2(self->vcpu, APIC_LVTT, LVT_DEADLINE | LOW);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, HIGH);
	test_irq_set_msr(self->vcpu, TEST_MSR_TSC_DEADLINE, test_irq_rdtsc(self->vcpu) + 20 * ms);
	run_at(self->vcpu, GUEST_BLOB(take_and_halt));
	ASSERT_EQ(test_irq_count(self->vcpu), 2);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), HIGH);
	EXPECT_EQ(test_irq_vector(self->vcpu, 1), LOW);
	EXPECT_FALSE(in_service(self->vcpu));
}

static void pulse(struct test_vm *vm, struct test_vcpu *vcpu)
{
	test_irq_line(vm, TEST_GSI, 1);
	test_irq_line(vm, TEST_GSI, 0);
	test_irq_window(vcpu);
}

/* Of an edge nobody needs to know the end; of a level, or where one resamples, somebody does. */
TEST_F(pv_eoi, pins)
{
	int fd = test_eventfd(), resample = test_eventfd();

	test_irq_set_msr(self->vcpu, MSR_PV_EOI_EN, self->gpa | ENABLED);
	test_irqfd_set_entry(self->vcpu, TEST_GSI, HIGH);
	pulse(self->vm, self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);
	EXPECT_EQ(test_irq_eoi_writes(self->vcpu), 0);

	test_irqfd_set_entry(self->vcpu, TEST_GSI, LOW | TEST_ENTRY_LEVEL);
	pulse(self->vm, self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 2);
	EXPECT_EQ(test_irq_eoi_writes(self->vcpu), 1);
	EXPECT_FALSE(in_service(self->vcpu));

	test_irqfd_set_entry(self->vcpu, TEST_GSI, HIGH);
	ASSERT_EQ(test_irqfd(self->vm->fd, fd, TEST_GSI, KVM_IRQFD_FLAG_RESAMPLE, resample), 0);
	pulse(self->vm, self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 3);
	EXPECT_EQ(test_irq_eoi_writes(self->vcpu), 2);
	EXPECT_EQ(test_eventfd_count(resample), 1);
	/* Of a vector that comes from elsewhere none does. */
	take(self->vcpu, LOW + 1);
	EXPECT_EQ(test_irq_count(self->vcpu), 4);
	EXPECT_EQ(test_irq_eoi_writes(self->vcpu), 2);

	ASSERT_EQ(test_irqfd(self->vm->fd, fd, TEST_GSI, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	pulse(self->vm, self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 5);
	EXPECT_EQ(test_irq_eoi_writes(self->vcpu), 2);
	EXPECT_FALSE(in_service(self->vcpu));
	close(fd);
	close(resample);
}

/* Memory goes while the word is in it; and when it is back, so is the word. */
TEST_F(pv_eoi, memory_that_goes_away)
{
	static uint8_t page[4096] __attribute__((aligned(4096)));

	test_vm_add_memory(self->vm, 1, MOVED_GPA, page, sizeof(page), 0);
	test_irq_set_msr(self->vcpu, MSR_PV_EOI_EN, MOVED_GPA | ENABLED);
	test_irq_set_eoi(self->vcpu, TEST_EOI_NONE);
	take(self->vcpu, LOW);
	test_vm_add_memory(self->vm, 1, MOVED_GPA, page, 0, 0);
	page[0] = 0x30;
	take(self->vcpu, HIGH);
	EXPECT_EQ(test_irq_count(self->vcpu), 2);
	EXPECT_EQ(page[0], 0x30);
	EXPECT_TRUE(in_service(self->vcpu));
	apic_set_x2(self->vcpu, APIC_EOI, 0);
	apic_set_x2(self->vcpu, APIC_EOI, 0);
	EXPECT_FALSE(in_service(self->vcpu));
}

/* INIT: who starts anew knows of no word. What is at the reset vector is of no interest. */
TEST_F(pv_eoi, init_turns_it_off)
{
	uint64_t value;

	test_irq_set_msr(self->vcpu, MSR_PV_EOI_EN, self->gpa | ENABLED);
	test_irq_begin_wrmsr(self->vcpu, TEST_X2APIC(APIC_ICR), ICR_INIT | ICR_ASSERT);
	test_vcpu_run(self->vcpu);
	ASSERT_EQ(test_vcpu_get_msr(self->vcpu, MSR_PV_EOI_EN, &value), 1);
	EXPECT_EQ(value, 0);
}

TEST_HARNESS_MAIN
