// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <sys/ioctl.h>

#include "apic.h"
#include "irq.h"

uint64_t apic_x2(struct test_vcpu *vcpu, uint32_t offset)
{
	return test_irq_msr(vcpu, TEST_X2APIC(offset));
}

void apic_set_x2(struct test_vcpu *vcpu, uint32_t offset, uint64_t value)
{
	test_irq_set_msr(vcpu, TEST_X2APIC(offset), value);
}

uint32_t apic_mmio(struct test_vcpu *vcpu, uint32_t offset)
{
	return test_irq_read(vcpu, TEST_APIC_GPA + offset);
}

void apic_set_mmio(struct test_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	test_irq_write(vcpu, TEST_APIC_GPA + offset, value);
}

void apic_enable_x2(struct test_vcpu *vcpu)
{
	uint64_t base = test_irq_msr(vcpu, TEST_MSR_APIC_BASE);

	test_irq_set_msr(vcpu, TEST_MSR_APIC_BASE, base | BASE_ENABLE | BASE_X2APIC);
	apic_set_x2(vcpu, APIC_SPIV, SPIV_ON);
}

uint32_t *apic_state_reg(struct kvm_lapic_state *state, uint32_t offset)
{
	return (uint32_t *)(state->regs + offset);
}

uint32_t apic_tsc_khz(struct test_vcpu *vcpu)
{
	return ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0L);
}

/* KVM_CAP_TSC_DEADLINE_TIMER says what KVM_GET_SUPPORTED_CPUID is silent about. */
void apic_set_cpuid(struct test_vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vcpu->vm->dev_fd);

	if (!test_check_extension(vcpu->vm->dev_fd, KVM_CAP_TSC_DEADLINE_TIMER))
		test_die("no TSC deadline");
	test_cpuid_find(cpuid, 1, 0)->ecx |= CPUID_1_ECX_TSC_DEADLINE;
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid))
		test_die("KVM_SET_CPUID2");
	free(cpuid);
}
