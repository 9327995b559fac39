// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the vCPU ioctls about interrupts: the local APIC's state as a VMM saves and restores it,
 * and interrupts and NMIs that a VMM queues.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/string.h>
#include <asm/apicdef.h>

#include "ioctl.h"
#include "irq_glue.h"
#include "lapic.h"
#include "lapic_regs.h"
#include "vm.h"

#define ERROR_BITS	0xff

static u32 *state_reg(struct kvm_lapic_state *state, u32 offset)
{
	return (u32 *)(state->regs + offset);
}

/*
 * In x2APIC mode the id has 32 bits; VMMs that did not ask for them get its low byte where xAPIC
 * has it.
 */
static u32 state_id(const struct vitrine_lapic *lapic)
{
	bool wide = lapic->mode == VITRINE_LAPIC_X2APIC && lapic->vcpu->vm->irq.x2apic_format;

	return wide ? lapic->vcpu->id : lapic->vcpu->id << 24;
}

static long lapic_ioctl_get(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;
	struct vitrine_lapic *lapic = vcpu->lapic;
	struct kvm_lapic_state *state = arg->data;

	if (!lapic)
		return -EINVAL;
	vitrine_lapic_take_posted(lapic);
	memcpy(state->regs, lapic->regs, sizeof(state->regs));
	*state_reg(state, APIC_PROCPRI) = vitrine_lapic_ppr(lapic);
	*state_reg(state, APIC_ID) = state_id(lapic);
	*state_reg(state, APIC_TMCCT) = vitrine_lapic_timer_count(lapic);
	return 0;
}

/* What a register becomes when a VMM restores it to @value. */
static u32 restored_reg(struct vitrine_lapic *lapic, u32 offset, u32 value)
{
	struct vitrine_lapic_reg reg = vitrine_lapic_reg_find(offset);

	/* Not checked for vectors that no source can send: a VMM may want to see them pending. */
	if (offset >= APIC_ISR && offset < APIC_ESR)
		return value;

	switch (offset) {
	case APIC_ID:
	case APIC_LVR:
		return vitrine_lapic_get(lapic, offset);
	case APIC_LDR:
		if (lapic->mode == VITRINE_LAPIC_X2APIC)
			return vitrine_lapic_get(lapic, offset);
		break;
	case APIC_DFR:
		return value | ~reg.writable;
	case APIC_SPIV:
		if (vitrine_lapic_get(lapic, APIC_LVR) & APIC_LVR_DIRECTED_EOI)
			reg.writable |= APIC_SPIV_DIRECTED_EOI;
		break;
	case APIC_ESR:
		return value & ERROR_BITS;
	case APIC_ICR2:
		if (lapic->mode == VITRINE_LAPIC_X2APIC)
			return value;
		break;
	case APIC_LVTCMCI:
		if (!vitrine_lapic_has_cmci(lapic))
			return 0;
		break;
	case APIC_LVTT:
		if (value & APIC_LVT_TIMER_PERIODIC)
			value &= ~APIC_LVT_TIMER_TSCDEADLINE;
		break;
	}
	return value & reg.writable;
}

static long lapic_ioctl_set(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;
	struct vitrine_lapic *lapic = vcpu->lapic;
	struct kvm_lapic_state *state = arg->data;
	u64 tsc_deadline;
	u32 offset;

	if (!lapic)
		return -EINVAL;
	if (lapic->mode == VITRINE_LAPIC_X2APIC && vcpu->vm->irq.x2apic_format &&
	    *state_reg(state, APIC_ID) != vcpu->id) {
		pr_debug_ratelimited("KVM_SET_LAPIC: APIC id is %#x, must be %#x\n",
				     *state_reg(state, APIC_ID), vcpu->id);
		return -EINVAL;
	}

	tsc_deadline = vitrine_lapic_get_tsc_deadline(vcpu);
	vitrine_lapic_timer_stop(lapic);
	vitrine_lapic_take_posted(lapic);
	for (offset = 0; offset < sizeof(state->regs); offset += 16)
		vitrine_lapic_put(lapic, offset,
				  restored_reg(lapic, offset, *state_reg(state, offset)));
	lapic->timer.tsc_deadline = tsc_deadline;
	vitrine_lapic_timer_restore(lapic, *state_reg(state, APIC_TMCCT));
	vitrine_lapic_refresh(lapic);
	return 0;
}

static long lapic_ioctl_interrupt(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_interrupt *interrupt = arg->data;
	struct vitrine_vcpu *vcpu = obj;
	int ret = 0;

	if (interrupt->irq > 255) {
		pr_debug_ratelimited("KVM_INTERRUPT: field irq is %u, must be below 256\n",
				     interrupt->irq);
		return -EINVAL;
	}
	switch (vitrine_irq_mode(vcpu->vm)) {
	case VITRINE_IRQCHIP_NONE:
		ret = vitrine_events_queue_interrupt(&vcpu->events, interrupt->irq);
		if (!ret)
			vcpu->irq_from = VITRINE_IRQ_FROM_USER;
		break;
	case VITRINE_IRQCHIP_SPLIT:
		if (vcpu->lapic->extint >= 0)
			ret = -EEXIST;
		else
			vcpu->lapic->extint = interrupt->irq;
		break;
	case VITRINE_IRQCHIP_KERNEL:
		return -ENXIO;
	}
	if (!ret)
		vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
	return ret;
}

static long lapic_ioctl_nmi(void *obj, struct vitrine_ioctl_arg *arg)
{
	vitrine_irq_raise_nmi(obj);
	return 0;
}

const struct vitrine_ioctl vitrine_irq_vcpu_ioctls[] = {
	{ KVM_GET_LAPIC, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_NO_LOAD, lapic_ioctl_get },
	{ KVM_SET_LAPIC, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_NO_LOAD, lapic_ioctl_set },
	{ KVM_INTERRUPT, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_NO_LOAD, lapic_ioctl_interrupt },
	{ KVM_NMI, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_NO_LOAD, lapic_ioctl_nmi },
	{}
};
