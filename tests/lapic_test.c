// SPDX-License-Identifier: GPL-2.0
/*
 * The local APIC: registers in both modes, priorities, timer, IPIs, INIT and SIPI, its state in a
 * VMM's hands. Runs the same on KVM but where test_on_kvm() says that KVM is less strict.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/irq.h"
#include "lib/apic.h"

FIXTURE(lapic) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
};

FIXTURE_SETUP(lapic)
{
	self->vm = test_vm_create_irqchip();
	self->vcpu = test_vcpu_create(self->vm, 0);
	apic_set_cpuid(self->vcpu);
	test_irq_start(self->vcpu, 0, TEST_EOI_X2APIC);
}

FIXTURE_TEARDOWN(lapic)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

TEST_F(lapic, x2apic_values_after_reset)
{
	static const uint32_t masked[] = {
		APIC_LVTT, APIC_LVTTHMR, APIC_LVTPC, APIC_LVT1, APIC_LVTERR,
	};
	static const uint32_t zero[] = {
		APIC_TPR, APIC_PPR, APIC_ICR, APIC_TMICT, APIC_TMCCT, APIC_TDCR, APIC_ESR, APIC_ID,
	};

	apic_enable_x2(self->vcpu);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_LVR) & 0xff, 0x14);
	EXPECT_GE(apic_x2(self->vcpu, APIC_LVR) >> 16 & 0xff, 5);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_LDR), 1);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_SPIV), SPIV_ON);
	/* The boot CPU's pin for the PIC. */
	EXPECT_EQ(apic_x2(self->vcpu, APIC_LVT0), 0x700);
	for (unsigned int i = 0; i < ARRAY_SIZE(masked); i++)
		EXPECT_EQ(apic_x2(self->vcpu, masked[i]), LVT_MASKED);
	for (unsigned int i = 0; i < ARRAY_SIZE(zero); i++)
		EXPECT_EQ(apic_x2(self->vcpu, zero[i]), 0);
	for (unsigned int i = 0; i < 8; i++) {
		EXPECT_EQ(apic_x2(self->vcpu, APIC_ISR + 16 * i), 0);
		EXPECT_EQ(apic_x2(self->vcpu, APIC_TMR + 16 * i), 0);
		EXPECT_EQ(apic_x2(self->vcpu, APIC_IRR + 16 * i), 0);
	}
}

TEST_F(lapic, x2apic_msrs_that_fault)
{
	static const uint32_t no_read[] = {
		APIC_EOI, APIC_SELF_IPI, APIC_DFR, APIC_ICR2, 0x00, 0x10, 0x40, 0x90, 0xc0, 0x290,
		0x3a0, 0x3d0,
	};
	static const uint32_t no_write[] = {
		APIC_ID, APIC_LVR, APIC_PPR, APIC_LDR, APIC_DFR, APIC_ISR, APIC_TMR,
		APIC_IRR + 0x70, APIC_ICR2, APIC_TMCCT, 0x00, 0x40,
	};
	uint64_t value;

	/* Before the switch to x2APIC mode there is none of them. */
	EXPECT_FALSE(test_irq_rdmsr(self->vcpu, TEST_X2APIC(APIC_ID), &value));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_TPR), 0));
	apic_enable_x2(self->vcpu);
	for (unsigned int i = 0; i < ARRAY_SIZE(no_read); i++) {
		EXPECT_FALSE(test_irq_rdmsr(self->vcpu, TEST_X2APIC(no_read[i]), &value))
			TH_LOG("offset %#x", no_read[i]);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(no_write); i++) {
		EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(no_write[i]), 0))
			TH_LOG("offset %#x", no_write[i]);
	}
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_ESR), 1));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_SELF_IPI), 0x100));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_TPR), 1ull << 32));
	EXPECT_TRUE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_EOI), 0));
	EXPECT_TRUE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_ESR), 0));
	if (test_on_kvm())
		return;
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_EOI), 1));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_TPR), 0x100));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_SPIV), 0x2ff | 1 << 10));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_LVTT), LVT_MASKED | 0x100));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_LVTT),
				    LVT_PERIODIC | LVT_DEADLINE));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_LVT0), LVT_MASKED | 0x800));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_LVTERR), LVT_MASKED | 0x400));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_TDCR), 4));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_ICR), 1 << 13));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_ICR), 1 << 20));
}

TEST_F(lapic, priorities)
{
	apic_enable_x2(self->vcpu);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x50);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x40);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x61);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x50);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_IRR + 0x20), 1 << (0x50 - 0x40) | 1 << 0);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_IRR + 0x30), 1 << 1);

	apic_set_x2(self->vcpu, APIC_TPR, 0x5f);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_PPR), 0x5f);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 1);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x61);

	apic_set_x2(self->vcpu, APIC_TPR, 0);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 3);
	EXPECT_EQ(test_irq_vector(self->vcpu, 1), 0x50);
	EXPECT_EQ(test_irq_vector(self->vcpu, 2), 0x40);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_IRR + 0x20), 0);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_ISR + 0x20), 0);
}

TEST_F(lapic, in_service_blocks_its_class)
{
	apic_enable_x2(self->vcpu);
	test_irq_set_eoi(self->vcpu, TEST_EOI_NONE);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x44);
	test_irq_window(self->vcpu);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_ISR + 0x20), 1 << 4);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_PPR), 0x40);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x4f);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x33);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x50);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 2);
	EXPECT_EQ(test_irq_vector(self->vcpu, 1), 0x50);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_PPR), 0x50);

	/* Each EOI ends the highest; the lower class has to wait for both. */
	apic_set_x2(self->vcpu, APIC_EOI, 0);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_PPR), 0x40);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 2);
	apic_set_x2(self->vcpu, APIC_EOI, 0);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 3);
	EXPECT_EQ(test_irq_vector(self->vcpu, 2), 0x4f);
	apic_set_x2(self->vcpu, APIC_EOI, 0);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 4);
	EXPECT_EQ(test_irq_vector(self->vcpu, 3), 0x33);
	/* One too many does nothing. */
	apic_set_x2(self->vcpu, APIC_EOI, 0);
	apic_set_x2(self->vcpu, APIC_EOI, 0);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_PPR), 0);
}

TEST_F(lapic, xapic_writes_keep_reserved_bits)
{
	static const struct {
		uint32_t offset, value, expected;
	} rows[] = {
		{ APIC_TPR, 0xffffffff, 0xff },
		{ APIC_LDR, 0xffffffff, 0xff000000 },
		{ APIC_DFR, 0x00000000, 0x0fffffff },
		{ APIC_DFR, 0xffffffff, 0xffffffff },
		{ APIC_ICR2, 0xffffffff, 0xff000000 },
		/* But for the bits that only hardware sets. */
		{ APIC_LVTT, 0xfff9afff, 0x000100ff },
		{ APIC_LVTTHMR, 0xffffafff, 0x000107ff },
		{ APIC_LVTPC, 0xffffafff, 0x000107ff },
		{ APIC_LVT0, 0xffffafff, 0x0001a7ff },
		{ APIC_LVT1, 0xffffafff, 0x0001a7ff },
		{ APIC_LVTERR, 0xffffafff, 0x000100ff },
		{ APIC_TDCR, 0xffffffff, 0xb },
		{ APIC_LVTT, 0x00010000 | LVT_PERIODIC, 0x00010000 | LVT_PERIODIC },
	};

	test_irq_set_eoi(self->vcpu, TEST_EOI_XAPIC);
	/* While the APIC is off by software, nothing can be unmasked. */
	apic_set_mmio(self->vcpu, APIC_SPIV, 0xff);
	apic_set_mmio(self->vcpu, APIC_LVTT, 0x31);
	EXPECT_EQ(apic_mmio(self->vcpu, APIC_LVTT), LVT_MASKED | 0x31);
	apic_set_mmio(self->vcpu, APIC_SPIV, SPIV_ON);
	apic_set_mmio(self->vcpu, APIC_LVTT, 0x31);
	EXPECT_EQ(apic_mmio(self->vcpu, APIC_LVTT), 0x31);
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		apic_set_mmio(self->vcpu, rows[i].offset, rows[i].value);
		EXPECT_EQ(apic_mmio(self->vcpu, rows[i].offset), rows[i].expected)
			TH_LOG("offset %#x", rows[i].offset);
	}
	/* And is masked when it is turned off. */
	apic_set_mmio(self->vcpu, APIC_LVTPC, 0x32);
	apic_set_mmio(self->vcpu, APIC_SPIV, 0xff);
	EXPECT_EQ(apic_mmio(self->vcpu, APIC_LVTPC), LVT_MASKED | 0x32);
	EXPECT_EQ(apic_mmio(self->vcpu, APIC_LVR) & 0xff, 0x14);
}

TEST_F(lapic, xapic_self_ipi)
{
	test_irq_set_eoi(self->vcpu, TEST_EOI_XAPIC);
	apic_set_mmio(self->vcpu, APIC_SPIV, SPIV_ON);
	apic_set_mmio(self->vcpu, APIC_ICR, ICR_SELF | ICR_ASSERT | 0x55);
	EXPECT_EQ(apic_mmio(self->vcpu, APIC_ICR), ICR_SELF | ICR_ASSERT | 0x55);
	EXPECT_EQ(apic_mmio(self->vcpu, APIC_IRR + 0x20), 1 << (0x55 - 0x40));
	test_irq_halt(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 1);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x55);
	/* By its logical id, flat. */
	apic_set_mmio(self->vcpu, APIC_LDR, 0x10000000);
	apic_set_mmio(self->vcpu, APIC_ICR2, 0x30000000);
	apic_set_mmio(self->vcpu, APIC_ICR, ICR_LOGICAL | ICR_ASSERT | 0x66);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_vector(self->vcpu, 1), 0x66);
	/* To somebody who is not there. */
	apic_set_mmio(self->vcpu, APIC_ICR2, 0x20000000);
	apic_set_mmio(self->vcpu, APIC_ICR, ICR_LOGICAL | ICR_ASSERT | 0x67);
	apic_set_mmio(self->vcpu, APIC_ICR2, 0x05000000);
	apic_set_mmio(self->vcpu, APIC_ICR, ICR_ASSERT | 0x68);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 2);
	if (test_on_kvm())
		return;
	/* An illegal vector, and a register that is not there. */
	apic_set_mmio(self->vcpu, APIC_ICR, ICR_SELF | ICR_ASSERT | 0x0f);
	apic_set_mmio(self->vcpu, 0x40, 0);
	apic_set_mmio(self->vcpu, APIC_ESR, 0);
	EXPECT_EQ(apic_mmio(self->vcpu, APIC_ESR), 0x20 | 0x80);
	apic_set_mmio(self->vcpu, APIC_ESR, 0);
	EXPECT_EQ(apic_mmio(self->vcpu, APIC_ESR), 0);
}

TEST_F(lapic, one_shot_timer)
{
	uint64_t count;

	apic_enable_x2(self->vcpu);
	apic_set_x2(self->vcpu, APIC_TDCR, DIVIDE_BY_1);
	apic_set_x2(self->vcpu, APIC_LVTT, 0x77);
	apic_set_x2(self->vcpu, APIC_TMICT, 1000 * MS_NS);
	count = apic_x2(self->vcpu, APIC_TMCCT);
	EXPECT_GT(count, 0);
	EXPECT_LE(count, 1000 * MS_NS);
	EXPECT_LE(apic_x2(self->vcpu, APIC_TMCCT), count);
	/* A new divisor: the rest takes twice as long, the count is the same. */
	apic_set_x2(self->vcpu, APIC_TDCR, 0);
	EXPECT_LE(apic_x2(self->vcpu, APIC_TMCCT), count);
	EXPECT_GT(apic_x2(self->vcpu, APIC_TMCCT), 0);
	apic_set_x2(self->vcpu, APIC_TMICT, 0);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_TMCCT), 0);

	apic_set_x2(self->vcpu, APIC_TMICT, MS_NS);
	test_irq_halt(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 1);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x77);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_TMCCT), 0);
	/* Masked: it passes unheard. */
	apic_set_x2(self->vcpu, APIC_LVTT, LVT_MASKED | 0x77);
	apic_set_x2(self->vcpu, APIC_TMICT, MS_NS / 10);
	test_irq_spin(self->vcpu, apic_tsc_khz(self->vcpu));
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);
}

TEST_F(lapic, periodic_timer)
{
	apic_enable_x2(self->vcpu);
	apic_set_x2(self->vcpu, APIC_TDCR, DIVIDE_BY_1);
	apic_set_x2(self->vcpu, APIC_LVTT, LVT_PERIODIC | 0x78);
	apic_set_x2(self->vcpu, APIC_TMICT, 2 * MS_NS);
	for (unsigned int i = 0; i < 5; i++)
		test_irq_halt(self->vcpu);
	EXPECT_GE(test_irq_count(self->vcpu), 5);
	EXPECT_EQ(test_irq_vector(self->vcpu, 4), 0x78);
	EXPECT_GT(apic_x2(self->vcpu, APIC_TMCCT), 0);
	apic_set_x2(self->vcpu, APIC_TMICT, 0);
	test_irq_window(self->vcpu);
	test_irq_clear(self->vcpu);
	test_irq_spin(self->vcpu, 5ull * apic_tsc_khz(self->vcpu));
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 0);
}

/* The shortest period is a fifth of a millisecond: a storm leaves the guest and its host time. */
TEST_F(lapic, storm_is_bounded)
{
	apic_enable_x2(self->vcpu);
	apic_set_x2(self->vcpu, APIC_TDCR, DIVIDE_BY_1);
	apic_set_x2(self->vcpu, APIC_LVTT, LVT_PERIODIC | 0x79);
	apic_set_x2(self->vcpu, APIC_TMICT, 1);
	for (unsigned int i = 0; i < 20; i++) {
		test_irq_spin(self->vcpu, apic_tsc_khz(self->vcpu));
		test_irq_window(self->vcpu);
	}
	EXPECT_GE(test_irq_count(self->vcpu), 20);
	EXPECT_LE(test_irq_count(self->vcpu), 60);
	apic_set_x2(self->vcpu, APIC_TMICT, 0);
}

TEST_F(lapic, tsc_deadline)
{
	uint64_t ms = apic_tsc_khz(self->vcpu), deadline;

	apic_enable_x2(self->vcpu);
	/* In another mode the MSR is zero and stays so. */
	test_irq_set_msr(self->vcpu, TEST_MSR_TSC_DEADLINE, ~0ull);
	EXPECT_EQ(test_irq_msr(self->vcpu, TEST_MSR_TSC_DEADLINE), 0);

	apic_set_x2(self->vcpu, APIC_LVTT, LVT_DEADLINE | 0x80);
	deadline = test_irq_rdtsc(self->vcpu) + 2 * ms;
	test_irq_set_msr(self->vcpu, TEST_MSR_TSC_DEADLINE, deadline);
	test_irq_halt(self->vcpu);
	EXPECT_GE(test_irq_rdtsc(self->vcpu), deadline);
	ASSERT_EQ(test_irq_count(self->vcpu), 1);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x80);
	EXPECT_EQ(test_irq_msr(self->vcpu, TEST_MSR_TSC_DEADLINE), 0);

	/* One that is over is due at once, with the CPU busy or halted. */
	test_irq_set_msr(self->vcpu, TEST_MSR_TSC_DEADLINE, 1);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 2);
	test_irq_set_msr(self->vcpu, TEST_MSR_TSC_DEADLINE, 1);
	test_irq_halt(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 3);

	/* A busy guest is interrupted by it too. */
	test_irq_set_msr(self->vcpu, TEST_MSR_TSC_DEADLINE, test_irq_rdtsc(self->vcpu) + ms);
	test_irq_spin(self->vcpu, 2 * ms);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 4);

	/* Disarmed by zero, and by a change of mode. */
	test_irq_set_msr(self->vcpu, TEST_MSR_TSC_DEADLINE, test_irq_rdtsc(self->vcpu) + ms);
	test_irq_set_msr(self->vcpu, TEST_MSR_TSC_DEADLINE, 0);
	test_irq_spin(self->vcpu, 2 * ms);
	test_irq_set_msr(self->vcpu, TEST_MSR_TSC_DEADLINE, test_irq_rdtsc(self->vcpu) + 2 * ms);
	apic_set_x2(self->vcpu, APIC_LVTT, 0x80);
	EXPECT_EQ(test_irq_msr(self->vcpu, TEST_MSR_TSC_DEADLINE), 0);
	apic_set_x2(self->vcpu, APIC_LVTT, LVT_DEADLINE | 0x80);
	EXPECT_EQ(test_irq_msr(self->vcpu, TEST_MSR_TSC_DEADLINE), 0);
	test_irq_spin(self->vcpu, 3 * ms);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 4);

	/* The initial count means nothing in this mode. */
	apic_set_x2(self->vcpu, APIC_TMICT, 1000);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_TMICT), 0);

	/* A deadline in a million years does not come early, and the guest can be ended with it. */
	test_irq_set_msr(self->vcpu, TEST_MSR_TSC_DEADLINE, ~0ull);
	test_irq_spin(self->vcpu, ms);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 4);
	EXPECT_EQ(test_irq_msr(self->vcpu, TEST_MSR_TSC_DEADLINE), ~0ull);
}

TEST_F(lapic, base_transitions)
{
	uint64_t base = test_irq_msr(self->vcpu, TEST_MSR_APIC_BASE);
	struct kvm_sregs sregs;
	uint64_t value;

	EXPECT_EQ(base, TEST_APIC_GPA | BASE_ENABLE | 0x100);
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_MSR_APIC_BASE, base | 1));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_MSR_APIC_BASE, base | 0x200));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_MSR_APIC_BASE, base | 1ull << 60));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_MSR_APIC_BASE,
				    (base & ~BASE_ENABLE) | BASE_X2APIC));
	EXPECT_EQ(test_irq_msr(self->vcpu, TEST_MSR_APIC_BASE), base);

	EXPECT_TRUE(test_irq_wrmsr(self->vcpu, TEST_MSR_APIC_BASE, base | BASE_X2APIC));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_MSR_APIC_BASE, base));
	apic_set_x2(self->vcpu, APIC_SPIV, SPIV_ON);
	EXPECT_TRUE(test_irq_wrmsr(self->vcpu, TEST_MSR_APIC_BASE, base & ~BASE_ENABLE));
	EXPECT_FALSE(test_irq_rdmsr(self->vcpu, TEST_X2APIC(APIC_ID), &value));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_MSR_APIC_BASE, base | BASE_X2APIC));
	EXPECT_TRUE(test_irq_wrmsr(self->vcpu, TEST_MSR_APIC_BASE, base));
	EXPECT_TRUE(test_irq_wrmsr(self->vcpu, TEST_MSR_APIC_BASE, base | BASE_X2APIC));
	EXPECT_EQ(apic_x2(self->vcpu, APIC_ID), 0);
	/* Turned off, it forgot. */
	if (!test_on_kvm())
		EXPECT_EQ(apic_x2(self->vcpu, APIC_SPIV), 0xff);

	/* A VMM may go where a guest may not, but not beyond the architecture. */
	test_vcpu_sregs(self->vcpu, &sregs);
	sregs.apic_base = base;
	EXPECT_EQ(ioctl(self->vcpu->fd, KVM_SET_SREGS, &sregs), 0);
	sregs.apic_base = (base & ~BASE_ENABLE) | BASE_X2APIC;
	EXPECT_EQ(ioctl(self->vcpu->fd, KVM_SET_SREGS, &sregs), -1);
	EXPECT_EQ(errno, EINVAL);
	sregs.apic_base = base | 1ull << 60;
	EXPECT_EQ(ioctl(self->vcpu->fd, KVM_SET_SREGS, &sregs), -1);
	EXPECT_EQ(errno, EINVAL);
}

TEST_F(lapic, moved_page)
{
	uint64_t base = test_irq_msr(self->vcpu, TEST_MSR_APIC_BASE);
	const uint64_t moved = 0xfef00000;

	test_irq_set_eoi(self->vcpu, TEST_EOI_XAPIC);
	test_irq_set_msr(self->vcpu, TEST_MSR_APIC_BASE, (base & 0xfff) | moved);
	EXPECT_EQ(test_irq_read(self->vcpu, moved + APIC_LVR) & 0xff, 0x14);
	test_irq_set_msr(self->vcpu, TEST_MSR_APIC_BASE, base);
	EXPECT_EQ(test_irq_read(self->vcpu, TEST_APIC_GPA + APIC_LVR) & 0xff, 0x14);
}

TEST_F(lapic, state_round_trip)
{
	struct kvm_lapic_state state, again;

	apic_enable_x2(self->vcpu);
	apic_set_x2(self->vcpu, APIC_TPR, 0x20);
	apic_set_x2(self->vcpu, APIC_LVTPC, LVT_MASKED | 0x44);
	apic_set_x2(self->vcpu, APIC_TDCR, DIVIDE_BY_1);
	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_GET_LAPIC, &state), 0);
	EXPECT_EQ(*apic_state_reg(&state, APIC_TPR), 0x20);
	EXPECT_EQ(*apic_state_reg(&state, APIC_LVTPC), LVT_MASKED | 0x44);
	EXPECT_EQ(*apic_state_reg(&state, APIC_SPIV), SPIV_ON);

	/* A restored request is delivered, a restored count goes on. */
	*apic_state_reg(&state, APIC_IRR + 0x20) = 1 << 5;
	*apic_state_reg(&state, APIC_LVTT) = 0x46;
	*apic_state_reg(&state, APIC_TMICT) = 1000 * MS_NS;
	*apic_state_reg(&state, APIC_TMCCT) = MS_NS;
	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_SET_LAPIC, &state), 0);
	test_irq_window(self->vcpu);
	test_irq_halt(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 2);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x45);
	EXPECT_EQ(test_irq_vector(self->vcpu, 1), 0x46);

	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_GET_LAPIC, &state), 0);
	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_SET_LAPIC, &state), 0);
	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_GET_LAPIC, &again), 0);
	EXPECT_EQ(memcmp(&state, &again, sizeof(state)), 0);
}

/* What no APIC can be in, a VMM cannot put it in. KVM takes the page as it is. */
TEST_F(lapic, impossible_state)
{
	struct kvm_lapic_state state;

	if (test_on_kvm())
		SKIP(return, "KVM does not check");
	apic_enable_x2(self->vcpu);
	memset(&state, 0xff, sizeof(state));
	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_SET_LAPIC, &state), 0);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_ID), 0);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_LDR), 1);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_LVR) & 0xff, 0x14);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_LVT0), 0x1a7ff);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_LVTERR), 0x100ff);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_LVTT), LVT_PERIODIC | 0x100ff);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_TDCR), 0xb);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_PPR), 0xff);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 0);
	memset(&state, 0, sizeof(state));
	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_SET_LAPIC, &state), 0);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_IRR), 0);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 0);
}

TEST_F(lapic, nmi)
{
	struct test_exception exception;

	apic_enable_x2(self->vcpu);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x50);
	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_NMI, 0L), 0);
	test_irq_begin_halt(self->vcpu);
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(exception.vector, 2);
	EXPECT_EQ(test_irq_count(self->vcpu), 0);
	/* What was interrupted goes on. */
	test_vcpu_run_to_sync(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);

	/* The same by an IPI of that mode, to one's own id. */
	test_irq_begin_wrmsr(self->vcpu, TEST_X2APIC(APIC_ICR), ICR_NMI | ICR_ASSERT);
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(exception.vector, 2);
	test_vcpu_run_to_sync(self->vcpu);
}

TEST_F(lapic, interrupt_is_for_irqchips_in_userspace)
{
	struct kvm_interrupt interrupt = { .irq = 0x40 };

	EXPECT_EQ(ioctl(self->vcpu->fd, KVM_INTERRUPT, &interrupt), -1);
	EXPECT_EQ(errno, ENXIO);
	interrupt.irq = 256;
	EXPECT_EQ(ioctl(self->vcpu->fd, KVM_INTERRUPT, &interrupt), -1);
	EXPECT_EQ(errno, EINVAL);
}

TEST(no_irqchip)
{
	struct kvm_interrupt interrupt = { .irq = 0x40 };
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	struct kvm_lapic_state state = {};
	struct kvm_regs regs;
	uint64_t value;

	EXPECT_EQ(ioctl(vcpu->fd, KVM_GET_LAPIC, &state), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(ioctl(vcpu->fd, KVM_SET_LAPIC, &state), -1);
	EXPECT_EQ(errno, EINVAL);
	test_vcpu_set_supported_cpuid(vcpu);
	test_irq_start(vcpu, 0, TEST_EOI_NONE);
	EXPECT_FALSE(test_irq_rdmsr(vcpu, TEST_X2APIC(APIC_ID), &value));
	/* It is for the VMM to see that the guest can take it. */
	test_vcpu_regs(vcpu, &regs);
	regs.rflags |= RFLAGS_IF;
	test_vcpu_set_regs(vcpu, &regs);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt), 0);
	test_irq_window(vcpu);
	ASSERT_EQ(test_irq_count(vcpu), 1);
	EXPECT_EQ(test_irq_vector(vcpu, 0), 0x40);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

TEST_HARNESS_MAIN
