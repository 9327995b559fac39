// SPDX-License-Identifier: GPL-2.0
/*
 * The I/O APIC: its registers, edge and level pins, remote IRR, its state in a VMM's hands. Runs
 * the same on KVM.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/irq.h"

#define NR_PINS		24
#define REG_ID		0
#define REG_VERSION	1
#define REG_TABLE	0x10
#define ENTRY_LOGICAL	(1u << 11)
#define ENTRY_REMOTE_IRR (1u << 14)
#define ENTRY_LEVEL	(1u << 15)
#define ENTRY_MASKED	(1u << 16)
#define APIC_EOI	0xb0
#define APIC_TMR	0x180

static uint32_t reg(struct test_vcpu *vcpu, uint8_t index)
{
	test_irq_write(vcpu, TEST_IOAPIC_GPA, index);
	return test_irq_read(vcpu, TEST_IOAPIC_GPA + 0x10);
}

static void set_reg(struct test_vcpu *vcpu, uint8_t index, uint32_t value)
{
	test_irq_write(vcpu, TEST_IOAPIC_GPA, index);
	test_irq_write(vcpu, TEST_IOAPIC_GPA + 0x10, value);
}

static uint32_t entry(struct test_vcpu *vcpu, unsigned int pin)
{
	return reg(vcpu, REG_TABLE + 2 * pin);
}

static void set_entry(struct test_vcpu *vcpu, unsigned int pin, uint32_t low)
{
	set_reg(vcpu, REG_TABLE + 2 * pin, low);
}

static void eoi(struct test_vcpu *vcpu)
{
	test_irq_set_msr(vcpu, TEST_X2APIC(APIC_EOI), 0);
}

FIXTURE(ioapic) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
};

FIXTURE_SETUP(ioapic)
{
	self->vm = test_vm_create_irqchip();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
	test_irq_start(self->vcpu, 0, TEST_EOI_X2APIC);
	test_irq_set_msr(self->vcpu, TEST_MSR_APIC_BASE,
			 test_irq_msr(self->vcpu, TEST_MSR_APIC_BASE) | 0xc00);
	test_irq_set_msr(self->vcpu, TEST_X2APIC(0xf0), 0x1ff);
	/* The PICs share these GSIs and would make every one count as delivered. */
	test_irq_out(self->vcpu, 0x21, 0xff);
	test_irq_out(self->vcpu, 0xa1, 0xff);
}

FIXTURE_TEARDOWN(ioapic)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

TEST_F(ioapic, registers)
{
	EXPECT_EQ(reg(self->vcpu, REG_VERSION), 0x00170011);
	set_reg(self->vcpu, REG_VERSION, 0xffffffff);
	EXPECT_EQ(reg(self->vcpu, REG_VERSION), 0x00170011);
	set_reg(self->vcpu, REG_ID, 0xffffffff);
	EXPECT_EQ(reg(self->vcpu, REG_ID), 0x0f000000);
	EXPECT_EQ(test_irq_read(self->vcpu, TEST_IOAPIC_GPA), REG_ID);
	for (unsigned int pin = 0; pin < NR_PINS; pin++)
		EXPECT_EQ(entry(self->vcpu, pin), ENTRY_MASKED);
	/* Beyond the table. */
	set_reg(self->vcpu, REG_TABLE + 2 * NR_PINS, 0x40);
	EXPECT_EQ(reg(self->vcpu, REG_TABLE + 2 * NR_PINS), 0xffffffff);
	set_reg(self->vcpu, 0xff, 0x40);
	/* The read-only bits cannot be set, the destination has its eight bits. */
	set_entry(self->vcpu, 3, ENTRY_MASKED | ENTRY_LEVEL | ENTRY_REMOTE_IRR | 1 << 12 | 0x40);
	EXPECT_EQ(entry(self->vcpu, 3), ENTRY_MASKED | ENTRY_LEVEL | 0x40);
	set_reg(self->vcpu, REG_TABLE + 2 * 3 + 1, 0x55000000);
	EXPECT_EQ(reg(self->vcpu, REG_TABLE + 2 * 3 + 1), 0x55000000);
	EXPECT_EQ(entry(self->vcpu, 3), ENTRY_MASKED | ENTRY_LEVEL | 0x40);
}

TEST_F(ioapic, edge)
{
	EXPECT_EQ(test_irq_line(self->vm, 4, 1), -1);
	EXPECT_EQ(test_irq_line(self->vm, 4, 0), 1);
	set_entry(self->vcpu, 4, 0x44);
	/* The edge that came while it was masked is lost. */
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 0);

	EXPECT_EQ(test_irq_line(self->vm, 4, 1), 1);
	EXPECT_EQ(test_irq_line(self->vm, 4, 1), 0);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x44);
	/* No other without another edge. */
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);
	EXPECT_EQ(entry(self->vcpu, 4), 0x44);
	test_irq_line(self->vm, 4, 0);
	EXPECT_EQ(test_irq_line(self->vm, 4, 1), 1);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 2);
	/* Nobody beyond the pins. */
	EXPECT_EQ(test_irq_line(self->vm, NR_PINS, 1), -1);
}

TEST_F(ioapic, level)
{
	test_irq_set_eoi(self->vcpu, TEST_EOI_NONE);
	set_entry(self->vcpu, 10, ENTRY_LEVEL | 0x4a);
	EXPECT_EQ(test_irq_line(self->vm, 10, 1), 1);
	EXPECT_EQ(entry(self->vcpu, 10), ENTRY_LEVEL | ENTRY_REMOTE_IRR | 0x4a);
	EXPECT_EQ(test_irq_msr(self->vcpu, TEST_X2APIC(APIC_TMR + 0x20)), 1 << 10);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);
	/* It waits for the EOI, and comes again as the line is still high. */
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);
	eoi(self->vcpu);
	EXPECT_EQ(entry(self->vcpu, 10), ENTRY_LEVEL | ENTRY_REMOTE_IRR | 0x4a);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 2);
	/* Lowered in the handler: that was the last. */
	test_irq_line(self->vm, 10, 0);
	eoi(self->vcpu);
	EXPECT_EQ(entry(self->vcpu, 10), ENTRY_LEVEL | 0x4a);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 2);

	/* Raised while masked: it comes when the mask goes. */
	set_entry(self->vcpu, 10, ENTRY_MASKED | ENTRY_LEVEL | 0x4a);
	EXPECT_EQ(test_irq_line(self->vm, 10, 1), -1);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 2);
	set_entry(self->vcpu, 10, ENTRY_LEVEL | 0x4a);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 3);

	/* Guests clear remote IRR by a switch to edge and back. */
	set_entry(self->vcpu, 10, ENTRY_MASKED | 0x4a);
	EXPECT_EQ(entry(self->vcpu, 10), ENTRY_MASKED | 0x4a);
	test_irq_line(self->vm, 10, 0);
	set_entry(self->vcpu, 10, ENTRY_LEVEL | 0x4a);
	EXPECT_EQ(entry(self->vcpu, 10), ENTRY_LEVEL | 0x4a);
	eoi(self->vcpu);
}

/* An EOI for another vector is none for this pin. */
TEST_F(ioapic, eoi_is_by_vector)
{
	test_irq_set_eoi(self->vcpu, TEST_EOI_NONE);
	set_entry(self->vcpu, 10, ENTRY_LEVEL | 0x4a);
	set_entry(self->vcpu, 11, ENTRY_LEVEL | 0x5b);
	test_irq_line(self->vm, 10, 1);
	test_irq_window(self->vcpu);
	test_irq_line(self->vm, 11, 1);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 2);
	test_irq_line(self->vm, 10, 0);
	test_irq_line(self->vm, 11, 0);
	eoi(self->vcpu);
	EXPECT_EQ(entry(self->vcpu, 11), ENTRY_LEVEL | 0x5b);
	EXPECT_EQ(entry(self->vcpu, 10), ENTRY_LEVEL | ENTRY_REMOTE_IRR | 0x4a);
	eoi(self->vcpu);
	EXPECT_EQ(entry(self->vcpu, 10), ENTRY_LEVEL | 0x4a);
}

TEST_F(ioapic, destinations)
{
	set_entry(self->vcpu, 5, ENTRY_LOGICAL | 0x55);
	set_reg(self->vcpu, REG_TABLE + 2 * 5 + 1, 0x01000000);
	EXPECT_EQ(test_irq_line(self->vm, 5, 1), 1);
	set_entry(self->vcpu, 6, 0x56);
	set_reg(self->vcpu, REG_TABLE + 2 * 6 + 1, 0x07000000);
	EXPECT_LE(test_irq_line(self->vm, 6, 1), 0);
	set_entry(self->vcpu, 7, 0x57);
	set_reg(self->vcpu, REG_TABLE + 2 * 7 + 1, 0xff000000);
	EXPECT_EQ(test_irq_line(self->vm, 7, 1), 1);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 2);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x57);
	EXPECT_EQ(test_irq_vector(self->vcpu, 1), 0x55);
}

TEST_F(ioapic, state)
{
	struct kvm_irqchip state = { .chip_id = KVM_IRQCHIP_IOAPIC };
	struct kvm_irqchip other = { .chip_id = 3 };

	EXPECT_EQ(ioctl(self->vm->fd, KVM_GET_IRQCHIP, &other), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(ioctl(self->vm->fd, KVM_SET_IRQCHIP, &other), -1);
	EXPECT_EQ(errno, EINVAL);

	set_entry(self->vcpu, 12, ENTRY_LEVEL | 0x4c);
	set_reg(self->vcpu, REG_ID, 0x05000000);
	ASSERT_EQ(ioctl(self->vm->fd, KVM_GET_IRQCHIP, &state), 0);
	EXPECT_EQ(state.chip.ioapic.base_address, TEST_IOAPIC_GPA);
	EXPECT_EQ(state.chip.ioapic.id, 5);
	EXPECT_EQ(state.chip.ioapic.irr, 0);
	EXPECT_EQ(state.chip.ioapic.redirtbl[12].bits, ENTRY_LEVEL | 0x4c);

	/* A restored request goes out. */
	state.chip.ioapic.irr = 1 << 12;
	state.chip.ioapic.redirtbl[13].bits = ENTRY_MASKED | 0x4d;
	ASSERT_EQ(ioctl(self->vm->fd, KVM_SET_IRQCHIP, &state), 0);
	EXPECT_EQ(entry(self->vcpu, 12), ENTRY_LEVEL | ENTRY_REMOTE_IRR | 0x4c);
	EXPECT_EQ(entry(self->vcpu, 13), ENTRY_MASKED | 0x4d);
	test_irq_line(self->vm, 12, 0);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 1);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x4c);
	EXPECT_EQ(entry(self->vcpu, 12), ENTRY_LEVEL | 0x4c);
}

/* Bits that no pin and no entry has are dropped, and the host is none the worse. */
TEST_F(ioapic, impossible_state)
{
	struct kvm_irqchip state;

	if (test_on_kvm())
		SKIP(return, "KVM does not check");
	memset(&state, 0xff, sizeof(state));
	state.chip_id = KVM_IRQCHIP_IOAPIC;
	ASSERT_EQ(ioctl(self->vm->fd, KVM_SET_IRQCHIP, &state), 0);
	ASSERT_EQ(ioctl(self->vm->fd, KVM_GET_IRQCHIP, &state), 0);
	EXPECT_EQ(state.chip.ioapic.base_address, TEST_IOAPIC_GPA);
	EXPECT_EQ(state.chip.ioapic.id, 0xf);
	EXPECT_EQ(state.chip.ioapic.irr, 0xffffff);
	EXPECT_EQ(state.chip.ioapic.redirtbl[0].bits, 0xff0000000001efffull);
	EXPECT_EQ(reg(self->vcpu, REG_VERSION), 0x00170011);
}

TEST_HARNESS_MAIN
