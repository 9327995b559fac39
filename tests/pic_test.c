// SPDX-License-Identifier: GPL-2.0
/*
 * The pair of PICs in a VM: ports, lines, LINT0, state. What the chips do inside is tested on the
 * host (unit/i8259_test.c). Runs the same on KVM.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/irq.h"

#define MASTER		0x20
#define SLAVE		0xa0
#define ELCR		0x4d0
#define APIC_SPIV	0xf0
#define APIC_LVT0	0x350
#define LVT_MASKED	0x10000
#define LVT_EXTINT	0x700

static void initialize(struct test_vcpu *vcpu)
{
	static const struct {
		uint16_t port;
		uint8_t value;
	} words[] = {
		{ MASTER, 0x11 }, { MASTER + 1, 0x20 }, { MASTER + 1, 0x04 }, { MASTER + 1, 0x01 },
		{ SLAVE, 0x11 }, { SLAVE + 1, 0x28 }, { SLAVE + 1, 0x02 }, { SLAVE + 1, 0x01 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(words); i++)
		test_irq_out(vcpu, words[i].port, words[i].value);
}

static int pulse(struct test_vm *vm, uint32_t gsi)
{
	int ret = test_irq_line(vm, gsi, 1);

	test_irq_line(vm, gsi, 0);
	return ret;
}

FIXTURE(pic) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
};

FIXTURE_SETUP(pic)
{
	self->vm = test_vm_create_irqchip();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
	test_irq_start(self->vcpu, 0, TEST_EOI_PIC);
	initialize(self->vcpu);
}

FIXTURE_TEARDOWN(pic)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

TEST_F(pic, each_line)
{
	for (unsigned int gsi = 0; gsi < 16; gsi++) {
		if (gsi == 2)
			continue;
		test_irq_clear(self->vcpu);
		EXPECT_EQ(pulse(self->vm, gsi), 1) TH_LOG("GSI %u", gsi);
		test_irq_halt(self->vcpu);
		ASSERT_EQ(test_irq_count(self->vcpu), 1);
		EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x20 + gsi);
	}
	/* Beyond the PICs, and the I/O APIC's pin is masked. */
	EXPECT_EQ(pulse(self->vm, 16), -1);
}

TEST_F(pic, masks_and_order)
{
	test_irq_out(self->vcpu, MASTER + 1, 0x10);
	EXPECT_EQ(test_irq_in(self->vcpu, MASTER + 1), 0x10);
	EXPECT_EQ(pulse(self->vm, 4), -1);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 0);
	EXPECT_EQ(pulse(self->vm, 7), 1);
	EXPECT_EQ(pulse(self->vm, 7), 0);
	EXPECT_EQ(pulse(self->vm, 12), 1);
	/* The request that was masked is still there, and the highest. */
	test_irq_out(self->vcpu, MASTER, 0x0a);
	EXPECT_EQ(test_irq_in(self->vcpu, MASTER) & ~0x04, 0x90);
	pulse(self->vm, 1);
	test_irq_out(self->vcpu, MASTER + 1, 0);
	for (unsigned int i = 0; i < 4; i++)
		test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 4);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x21);
	EXPECT_EQ(test_irq_vector(self->vcpu, 1), 0x2c);
	EXPECT_EQ(test_irq_vector(self->vcpu, 2), 0x24);
	EXPECT_EQ(test_irq_vector(self->vcpu, 3), 0x27);
}

TEST_F(pic, in_service_blocks)
{
	test_irq_set_eoi(self->vcpu, TEST_EOI_NONE);
	pulse(self->vm, 5);
	test_irq_window(self->vcpu);
	pulse(self->vm, 6);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);
	test_irq_out(self->vcpu, MASTER, 0x0b);
	EXPECT_EQ(test_irq_in(self->vcpu, MASTER), 0x20);
	pulse(self->vm, 1);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 2);
	test_irq_out(self->vcpu, MASTER, 0x20);
	test_irq_out(self->vcpu, MASTER, 0x20);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 3);
	EXPECT_EQ(test_irq_vector(self->vcpu, 2), 0x26);
}

TEST_F(pic, level)
{
	test_irq_out(self->vcpu, ELCR, 0xff);
	test_irq_out(self->vcpu, ELCR + 1, 0xff);
	EXPECT_EQ(test_irq_in(self->vcpu, ELCR), 0xf8);
	EXPECT_EQ(test_irq_in(self->vcpu, ELCR + 1), 0xde);
	/* Ended by the test: a handler that did would be called again before it returned. */
	test_irq_set_eoi(self->vcpu, TEST_EOI_NONE);
	test_irq_line(self->vm, 11, 1);
	for (unsigned int i = 0; i < 3; i++) {
		test_irq_window(self->vcpu);
		ASSERT_EQ(test_irq_count(self->vcpu), i + 1);
		EXPECT_EQ(test_irq_vector(self->vcpu, i), 0x2b);
		if (i == 2)
			test_irq_line(self->vm, 11, 0);
		test_irq_out(self->vcpu, SLAVE, 0x20);
		test_irq_out(self->vcpu, MASTER, 0x20);
	}
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 3);
}

/* The PIC speaks through LINT0: masked there, it waits. */
TEST_F(pic, lint0)
{
	test_irq_write(self->vcpu, TEST_APIC_GPA + APIC_SPIV, 0x1ff);
	test_irq_write(self->vcpu, TEST_APIC_GPA + APIC_LVT0, LVT_MASKED | LVT_EXTINT);
	pulse(self->vm, 3);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 0);
	test_irq_write(self->vcpu, TEST_APIC_GPA + APIC_LVT0, LVT_EXTINT);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);

	/* Without an APIC, the pin is the CPU's. */
	test_irq_write(self->vcpu, TEST_APIC_GPA + APIC_LVT0, LVT_MASKED);
	test_irq_set_msr(self->vcpu, TEST_MSR_APIC_BASE,
			 test_irq_msr(self->vcpu, TEST_MSR_APIC_BASE) & ~0x800ull);
	pulse(self->vm, 3);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 2);
	EXPECT_EQ(test_irq_vector(self->vcpu, 1), 0x23);
}

TEST_F(pic, state)
{
	struct kvm_irqchip slave = { .chip_id = KVM_IRQCHIP_PIC_SLAVE };
	struct kvm_irqchip master = { .chip_id = KVM_IRQCHIP_PIC_MASTER };

	test_irq_out(self->vcpu, SLAVE + 1, 0x12);
	ASSERT_EQ(ioctl(self->vm->fd, KVM_GET_IRQCHIP, &slave), 0);
	EXPECT_EQ(slave.chip.pic.irq_base, 0x28);
	EXPECT_EQ(slave.chip.pic.imr, 0x12);
	EXPECT_EQ(slave.chip.pic.elcr_mask, 0xde);
	ASSERT_EQ(ioctl(self->vm->fd, KVM_GET_IRQCHIP, &master), 0);
	EXPECT_EQ(master.chip.pic.irq_base, 0x20);
	EXPECT_EQ(master.chip.pic.elcr_mask, 0xf8);

	/* A restored request is delivered by the restored base. */
	master.chip.pic.irq_base = 0x40;
	master.chip.pic.irr = 0x02;
	ASSERT_EQ(ioctl(self->vm->fd, KVM_SET_IRQCHIP, &master), 0);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 1);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x41);
	if (test_on_kvm())
		return;
	/* What the chip cannot be in is left out. */
	memset(&master.chip, 0xff, sizeof(master.chip));
	ASSERT_EQ(ioctl(self->vm->fd, KVM_SET_IRQCHIP, &master), 0);
	ASSERT_EQ(ioctl(self->vm->fd, KVM_GET_IRQCHIP, &master), 0);
	EXPECT_EQ(master.chip.pic.irq_base, 0xf8);
	EXPECT_EQ(master.chip.pic.priority_add, 7);
	EXPECT_EQ(master.chip.pic.elcr, 0xf8);
}

TEST_HARNESS_MAIN
