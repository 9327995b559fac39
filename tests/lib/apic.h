/* SPDX-License-Identifier: GPL-2.0 */
/* The local APIC's registers and the ways to them, for the tests of lapic_test.c and smp_test.c. */
#ifndef TESTS_LIB_APIC_H
#define TESTS_LIB_APIC_H

#include <linux/kvm.h>
#include <stdint.h>

#include "vm.h"

#define APIC_ID		0x20
#define APIC_LVR	0x30
#define APIC_TPR	0x80
#define APIC_PPR	0xa0
#define APIC_EOI	0xb0
#define APIC_LDR	0xd0
#define APIC_DFR	0xe0
#define APIC_SPIV	0xf0
#define APIC_ISR	0x100
#define APIC_TMR	0x180
#define APIC_IRR	0x200
#define APIC_ESR	0x280
#define APIC_ICR	0x300
#define APIC_ICR2	0x310
#define APIC_LVTT	0x320
#define APIC_LVTTHMR	0x330
#define APIC_LVTPC	0x340
#define APIC_LVT0	0x350
#define APIC_LVT1	0x360
#define APIC_LVTERR	0x370
#define APIC_TMICT	0x380
#define APIC_TMCCT	0x390
#define APIC_TDCR	0x3e0
#define APIC_SELF_IPI	0x3f0

#define LVT_MASKED	0x10000
#define LVT_PERIODIC	0x20000
#define LVT_DEADLINE	0x40000
#define BASE_X2APIC	0x400
#define BASE_ENABLE	0x800
#define SPIV_ON		0x1ff
#define ICR_SELF	0x40000
#define ICR_ALL_BUT	0xc0000
#define ICR_LOGICAL	0x800
#define ICR_ASSERT	0x4000
#define ICR_NMI		0x400
#define ICR_INIT	0x500
#define ICR_SIPI	0x600
#define DIVIDE_BY_1	0xb

#define MS_NS		1000000u
#define RFLAGS_IF	0x200
#define CPUID_1_ECX_TSC_DEADLINE	(1u << 24)

uint64_t apic_x2(struct test_vcpu *vcpu, uint32_t offset);
void apic_set_x2(struct test_vcpu *vcpu, uint32_t offset, uint64_t value);
uint32_t apic_mmio(struct test_vcpu *vcpu, uint32_t offset);
void apic_set_mmio(struct test_vcpu *vcpu, uint32_t offset, uint32_t value);
void apic_enable_x2(struct test_vcpu *vcpu);
uint32_t *apic_state_reg(struct kvm_lapic_state *state, uint32_t offset);
uint32_t apic_tsc_khz(struct test_vcpu *vcpu);
/* KVM_CAP_TSC_DEADLINE_TIMER says what KVM_GET_SUPPORTED_CPUID is silent about. */
void apic_set_cpuid(struct test_vcpu *vcpu);

#endif
