// SPDX-License-Identifier: GPL-2.0
/*
 * Owns what a local APIC and a processor that virtualizes it tell each other: requests that others
 * post, the vectors requested and in service, whose ends must exit, and the TPR threshold where the
 * processor knows only that register. How it is told is the vendor's business.
 */
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/kernel.h>
#include <asm/apicdef.h>

#include "backend.h"
#include "irq_glue.h"
#include "lapic.h"
#include "vm.h"

bool vitrine_lapic_post(struct vitrine_lapic *lapic, u8 vector)
{
	/* For the answer only: the processor may take the vector out of IRR at any time. */
	bool waits = vitrine_lapic_bank_test(lapic, APIC_IRR, vector);

	return !test_and_set_bit(vector, lapic->posted) && !waits;
}

void vitrine_lapic_take_posted(struct vitrine_lapic *lapic)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lapic->posted); i++) {
		u64 bits = READ_ONCE(lapic->posted[i]);

		if (likely(!bits))
			continue;
		bits = xchg(&lapic->posted[i], 0);
		WRITE_ONCE(lapic->irr_pending, true);
		/* Software counts what it injects. */
		if (vitrine_lapic_is_virtual(lapic))
			lapic->vcpu->stats.irq_injected += hweight64(bits);
		*(u32 *)(lapic->regs + APIC_IRR + 32 * i) |= (u32)bits;
		*(u32 *)(lapic->regs + APIC_IRR + 32 * i + 16) |= bits >> 32;
	}
}

void vitrine_lapic_update_ends(struct vitrine_lapic *lapic)
{
	WRITE_ONCE(lapic->eoi_exits_stale, false);
	/* What set the flag is visible when it is seen to be cleared too early. */
	smp_mb();
	bitmap_zero(lapic->ends_awaited, 256);
	vitrine_irq_ends_awaited(lapic->vcpu->vm, lapic->ends_awaited);
}

/*
 * The end of a level-triggered interrupt, as TMR knows it, and of an edge that somebody waits for.
 * Whatever changes either sets the flag before the next such interrupt is posted.
 */
static void update_eoi_exits(struct vitrine_lapic *lapic)
{
	DECLARE_BITMAP(vectors, 256);
	unsigned int i;

	vitrine_lapic_update_ends(lapic);
	bitmap_copy(vectors, lapic->ends_awaited, 256);
	for (i = 0; i < APIC_ISR_NR; i++)
		vectors[i / 2] |= (u64)vitrine_lapic_get(lapic, APIC_TMR + 16 * i) << i % 2 * 32;
	vitrine_backend->set_eoi_exits(lapic->vcpu, vectors);
}

void vitrine_lapic_eoi_exits_changed(struct vitrine_vm *vm)
{
	struct vitrine_vcpu *vcpu;
	unsigned long index;

	vitrine_vm_for_each_vcpu(index, vcpu, vm)
		if (vcpu->lapic)
			WRITE_ONCE(vcpu->lapic->eoi_exits_stale, true);
}

/* So that the guest's TPR exits when it lets the highest request through, and no earlier. */
static u8 tpr_threshold(const struct vitrine_lapic *lapic)
{
	int request;

	if (!READ_ONCE(lapic->irr_pending) || lapic->mode == VITRINE_LAPIC_DISABLED)
		return 0;
	request = vitrine_lapic_bank_highest(lapic, APIC_IRR);
	if (request < 0 || request >> 4 > vitrine_lapic_get(lapic, APIC_TASKPRI) >> 4)
		return 0;
	return request >> 4;
}

void vitrine_lapic_prepare_entry(struct vitrine_vcpu *vcpu)
{
	struct vitrine_lapic *lapic = vcpu->lapic;
	int request = 0, service;

	if (lapic->apicv)
		vitrine_lapic_take_posted(lapic);
	if (!vitrine_lapic_is_virtual(lapic)) {
		vitrine_backend->set_tpr_threshold(vcpu, tpr_threshold(lapic));
		return;
	}
	if (unlikely(READ_ONCE(lapic->eoi_exits_stale)))
		update_eoi_exits(lapic);
	if (lapic->mode != VITRINE_LAPIC_DISABLED)
		request = max(vitrine_lapic_bank_highest(lapic, APIC_IRR), 0);
	service = max(vitrine_lapic_bank_highest(lapic, APIC_ISR), 0);
	vitrine_backend->set_virtual_interrupts(vcpu, request, service);
}

void vitrine_lapic_ended(struct vitrine_vcpu *vcpu, u8 vector)
{
	vitrine_irq_eoi(vcpu, vector, vitrine_lapic_bank_test(vcpu->lapic, APIC_TMR, vector));
}
