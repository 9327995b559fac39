// SPDX-License-Identifier: GPL-2.0
/*
 * Owns MSR_KVM_PV_EOI_EN: a byte of guest memory by which a guest ends interrupts without an exit.
 * Where nobody waits for the end of the interrupt in service, and no other one waits for its turn,
 * its bit 0 is set before an entry; a guest that then finds it clears it and needs not write EOI.
 *
 * What the guest did is looked at before anybody asks what is in service, and the byte is taken
 * back then: at the latest when the vCPU halts or leaves KVM_RUN, so that what a VMM saves of
 * memory and of the APIC agrees. Other exits leave it alone.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/align.h>
#include <linux/bitmap.h>
#include <linux/kvm_para.h>
#include <linux/srcu.h>

#include "guest.h"
#include "irq_glue.h"
#include "lapic.h"
#include "pv.h"
#include "vm.h"

/* The byte is in a word of its own. */
#define ALIGNMENT	4

static gpa_t byte_gpa(const struct vitrine_vcpu *vcpu)
{
	return vcpu->pv.eoi & ~(u64)KVM_MSR_ENABLED;
}

static bool end_is_awaited(struct vitrine_lapic *lapic, u8 vector)
{
	if (unlikely(READ_ONCE(lapic->eoi_exits_stale)))
		vitrine_lapic_update_ends(lapic);
	return vitrine_lapic_bank_test(lapic, APIC_TMR, vector) ||
	       test_bit(vector, lapic->ends_awaited);
}

void vitrine_pv_eoi_offer(struct vitrine_vcpu *vcpu)
{
	static const u8 enabled = KVM_PV_EOI_ENABLED;
	struct vitrine_lapic *lapic = vcpu->lapic;
	int idx;

	/* Where the processor ends interrupts there is no exit to save. */
	if (lapic->apicv || READ_ONCE(lapic->irr_pending) || lapic->isr_top < 0 ||
	    end_is_awaited(lapic, lapic->isr_top))
		return;
	idx = srcu_read_lock(&vcpu->vm->srcu);
	/* A slot may be gone by now: then the guest writes EOI as ever. */
	if (!vitrine_guest_write(vcpu->vm, byte_gpa(vcpu), &enabled, sizeof(enabled)))
		vcpu->apic_words |= VITRINE_WORD_EOI_OFFERED;
	srcu_read_unlock(&vcpu->vm->srcu, idx);
}

void vitrine_pv_eoi_take_back(struct vitrine_vcpu *vcpu)
{
	static const u8 disabled = KVM_PV_EOI_DISABLED;
	bool ended = true;
	int idx;
	u8 byte;

	vcpu->apic_words &= ~VITRINE_WORD_EOI_OFFERED;
	idx = srcu_read_lock(&vcpu->vm->srcu);
	/* The vCPU is not in the guest, so nobody else writes it by the rules. */
	if (!vitrine_guest_read(vcpu->vm, byte_gpa(vcpu), &byte, sizeof(byte)) &&
	    byte & KVM_PV_EOI_ENABLED) {
		vitrine_guest_write(vcpu->vm, byte_gpa(vcpu), &disabled, sizeof(disabled));
		ended = false;
	}
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	if (ended)
		vitrine_lapic_end_service(vcpu->lapic);
}

static bool has_writable_memory(struct vitrine_vcpu *vcpu, gpa_t gpa)
{
	int idx = srcu_read_lock(&vcpu->vm->srcu);
	bool ret = vitrine_guest_has_memory(vcpu->vm, gpa, true);

	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

MSR_GET(vitrine_pv_eoi_get_msr)
{
	if (!vitrine_pv_has(vcpu, KVM_FEATURE_PV_EOI))
		return -ENOENT;
	*data = vcpu->pv.eoi;
	return 0;
}

MSR_SET(vitrine_pv_eoi_set_msr)
{
	u64 gpa = data & ~(u64)KVM_MSR_ENABLED;

	if (!vitrine_pv_has(vcpu, KVM_FEATURE_PV_EOI))
		return -ENOENT;
	if (!IS_ALIGNED(gpa, ALIGNMENT) ||
	    (data & KVM_MSR_ENABLED && !has_writable_memory(vcpu, gpa))) {
		pr_debug_ratelimited("MSR_KVM_PV_EOI_EN: no aligned word of memory at %#llx\n",
				     gpa);
		return -EINVAL;
	}
	if (vcpu->apic_words & VITRINE_WORD_EOI_OFFERED)
		vitrine_pv_eoi_take_back(vcpu);
	vcpu->pv.eoi = data;
	vcpu->apic_words &= ~VITRINE_WORD_EOI;
	if (data & KVM_MSR_ENABLED && vcpu->lapic)
		vcpu->apic_words |= VITRINE_WORD_EOI;
	return 0;
}
