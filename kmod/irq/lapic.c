// SPDX-License-Identifier: GPL-2.0
/*
 * Owns a local APIC's life and its priority logic: IRR, ISR, TPR, PPR, IA32_APIC_BASE, INIT and
 * SIPI. Registers as software reads and writes them are in lapic_access.c, the timer and the ICR
 * have files of their own.
 *
 * IRR and TMR are set by anybody, in any context, with atomic bit operations; everything else
 * belongs to the vCPU.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/apicdef.h>
#include <asm/msr-index.h>

#include "backend.h"
#include "cpuid.h"
#include "irq_glue.h"
#include "lapic.h"
#include "lapic_regs.h"
#include "regs.h"
#include "vm.h"

/* "Integrated APIC" with six LVT entries, or one more. */
#define APIC_LVR_MAX_LVT	0x00ff0000
#define LAPIC_VERSION(nr_lvt)	(0x14 | ((nr_lvt) - 1) << 16)
#define LOWEST_VECTOR		16
#define BASE_ENABLE		MSR_IA32_APICBASE_ENABLE
#define BASE_RESERVED		0x2ff
#define CPUID_1_ECX_X2APIC	BIT(21)

static const u16 lvt_offsets[] = {
	APIC_LVTT, APIC_LVTTHMR, APIC_LVTPC, APIC_LVT0, APIC_LVT1, APIC_LVTERR,
};

int vitrine_lapic_serviced_vector(const struct vitrine_lapic *lapic)
{
	return lapic->apicv ? vitrine_lapic_bank_highest(lapic, APIC_ISR) : lapic->isr_top;
}

/* The register in the page is the processor's, if anybody's. */
u32 vitrine_lapic_ppr(const struct vitrine_lapic *lapic)
{
	u32 tpr = vitrine_lapic_get(lapic, APIC_TASKPRI);
	u32 isrv = max(vitrine_lapic_serviced_vector(lapic), 0);

	return (tpr & 0xf0) >= (isrv & 0xf0) ? tpr : isrv & 0xf0;
}

static int highest_request(const struct vitrine_lapic *lapic)
{
	int vector = vitrine_lapic_bank_highest(lapic, APIC_IRR);
	unsigned long posted;

	if (!lapic->apicv)
		return vector;
	posted = find_last_bit(lapic->posted, 256);
	return posted < 256 ? max_t(int, posted, vector) : vector;
}

void vitrine_lapic_log_error(struct vitrine_lapic *lapic, u32 error)
{
	if (atomic_fetch_or(error, &lapic->errors) & error)
		return;
	vitrine_lapic_accept_lvt(lapic, APIC_LVTERR);
}

int vitrine_lapic_accept(struct vitrine_lapic *lapic, u8 vector, bool level_triggered)
{
	unsigned int bit = vector & 31;
	int ret;

	if (!READ_ONCE(lapic->enabled))
		return -1;
	if (unlikely(vector < LOWEST_VECTOR)) {
		/* The error entry itself must not be able to come back here. */
		if ((u8)vitrine_lapic_get(lapic, APIC_LVTERR) >= LOWEST_VECTOR)
			vitrine_lapic_log_error(lapic, APIC_ESR_RECVILL);
		else
			atomic_or(APIC_ESR_RECVILL, &lapic->errors);
		return -1;
	}

	if (vitrine_lapic_bank_test(lapic, APIC_TMR, vector) != level_triggered) {
		if (level_triggered)
			set_bit(bit, vitrine_lapic_bank_word(lapic, APIC_TMR, vector));
		else
			clear_bit(bit, vitrine_lapic_bank_word(lapic, APIC_TMR, vector));
		WRITE_ONCE(lapic->eoi_exits_stale, true);
	}
	if (lapic->apicv) {
		ret = vitrine_lapic_post(lapic, vector);
		vitrine_vcpu_request_and_kick(lapic->vcpu, VITRINE_REQ_EVENT);
		return ret;
	}
	if (test_and_set_bit(bit, vitrine_lapic_bank_word(lapic, APIC_IRR, vector)))
		return 0;
	/* After the bit: begin_service() clears the flag first and looks at the bits then. */
	WRITE_ONCE(lapic->irr_pending, true);
	vitrine_vcpu_request_and_kick(lapic->vcpu, VITRINE_REQ_EVENT);
	return 1;
}

int vitrine_lapic_accept_lvt(struct vitrine_lapic *lapic, u32 lvt)
{
	u32 entry = vitrine_lapic_get(lapic, lvt);

	if (entry & APIC_LVT_MASKED || READ_ONCE(lapic->mode) == VITRINE_LAPIC_DISABLED)
		return -1;
	/* Entries without a delivery mode have these bits zero: fixed. */
	switch (entry & APIC_MODE_MASK) {
	case APIC_DM_FIXED:
		return vitrine_lapic_accept(lapic, entry & APIC_VECTOR_MASK, false);
	case APIC_DM_NMI:
		vitrine_irq_raise_nmi(lapic->vcpu);
		return 1;
	default:
		return -1;
	}
}

bool vitrine_lapic_takes_pic(const struct vitrine_lapic *lapic)
{
	u32 lint0 = vitrine_lapic_get(lapic, APIC_LVT0);

	/* Without an APIC the pin is the CPU's INTR. */
	if (READ_ONCE(lapic->mode) == VITRINE_LAPIC_DISABLED)
		return true;
	return (lint0 & (APIC_LVT_MASKED | APIC_MODE_MASK)) == APIC_DM_EXTINT;
}

int vitrine_lapic_requested_vector(const struct vitrine_lapic *lapic)
{
	if ((!lapic->apicv && !READ_ONCE(lapic->irr_pending)) ||
	    READ_ONCE(lapic->mode) == VITRINE_LAPIC_DISABLED)
		return -1;
	return highest_request(lapic);
}

int vitrine_lapic_pending_vector(const struct vitrine_lapic *lapic)
{
	int vector = vitrine_lapic_requested_vector(lapic);

	if (vector < 0 || (vector & 0xf0) <= (vitrine_lapic_ppr(lapic) & 0xf0))
		return -1;
	return vector;
}

void vitrine_lapic_begin_service(struct vitrine_lapic *lapic, u8 vector)
{
	WRITE_ONCE(lapic->irr_pending, false);
	clear_bit(vector & 31, vitrine_lapic_bank_word(lapic, APIC_IRR, vector));
	/* Pairs with the order in vitrine_lapic_accept(): bit, then flag. */
	smp_mb__after_atomic();
	if (vitrine_lapic_bank_highest(lapic, APIC_IRR) >= 0)
		WRITE_ONCE(lapic->irr_pending, true);

	__set_bit(vector & 31, vitrine_lapic_bank_word(lapic, APIC_ISR, vector));
	/* It was above the processor priority, so above all in service. */
	lapic->isr_top = vector;
}

void vitrine_lapic_end_service(struct vitrine_lapic *lapic)
{
	int vector;

	/* Of another one, perhaps: the guest may have ended the last one by its byte. */
	if (unlikely(lapic->vcpu->apic_words & VITRINE_WORD_EOI_OFFERED))
		vitrine_pv_eoi_take_back(lapic->vcpu);
	vector = vitrine_lapic_serviced_vector(lapic);
	if (vector < 0)
		return;
	__clear_bit(vector & 31, vitrine_lapic_bank_word(lapic, APIC_ISR, vector));
	lapic->isr_top = vitrine_lapic_bank_highest(lapic, APIC_ISR);
	vitrine_lapic_ended(lapic->vcpu, vector);
	if (READ_ONCE(lapic->irr_pending) || lapic->apicv)
		vitrine_vcpu_request(lapic->vcpu, VITRINE_REQ_EVENT);
}

void vitrine_lapic_refresh(struct vitrine_lapic *lapic)
{
	bool svr_enabled = vitrine_lapic_get(lapic, APIC_SPIV) & APIC_SPIV_APIC_ENABLED;

	WRITE_ONCE(lapic->enabled, lapic->mode != VITRINE_LAPIC_DISABLED && svr_enabled);
	lapic->isr_top = vitrine_lapic_bank_highest(lapic, APIC_ISR);
	WRITE_ONCE(lapic->irr_pending, true);
	WRITE_ONCE(lapic->eoi_exits_stale, true);
	vitrine_vcpu_request(lapic->vcpu, VITRINE_REQ_EVENT);
}

/* What IA32_APIC_BASE says becomes the APIC's mode. */
static void lapic_update_mode(struct vitrine_lapic *lapic)
{
	struct vitrine_vcpu *vcpu = lapic->vcpu;
	u64 base = vcpu->apic_base;
	enum vitrine_lapic_mode mode = VITRINE_LAPIC_DISABLED;
	bool was_xapic;

	if (base & BASE_ENABLE)
		mode = base & X2APIC_ENABLE ? VITRINE_LAPIC_X2APIC : VITRINE_LAPIC_XAPIC;
	/*
	 * Counted as long as its mode can be seen: who sends a message looks at all APICs rather
	 * than at those that eight bits name in x2APIC mode.
	 */
	was_xapic = lapic->mode == VITRINE_LAPIC_XAPIC;
	if (mode == VITRINE_LAPIC_XAPIC && !was_xapic)
		atomic_inc(&vcpu->vm->irq.nr_xapic);
	smp_mb__after_atomic();	/* pairs with search_begin() */
	WRITE_ONCE(lapic->mode, mode);
	smp_mb__before_atomic();	/* likewise, and matches_logical() */
	if (mode != VITRINE_LAPIC_XAPIC && was_xapic)
		atomic_dec(&vcpu->vm->irq.nr_xapic);
	lapic->mmio_base = base & PAGE_MASK;
	if (mode == VITRINE_LAPIC_X2APIC) {
		vitrine_lapic_put(lapic, APIC_ID, vcpu->id);
		vitrine_lapic_put(lapic, APIC_LDR, vitrine_lapic_x2apic_ldr(vcpu->id));
	} else {
		vitrine_lapic_put(lapic, APIC_ID, vcpu->id << 24);
	}
	if (vcpu->vm->tpr_shadow)
		vitrine_backend->update_apicv(vcpu);
	vitrine_lapic_refresh(lapic);
}

/* "Local APIC State After Power-Up or Reset", which INIT brings about as well. */
static void lapic_reset_regs(struct vitrine_lapic *lapic)
{
	struct vitrine_vcpu *vcpu = lapic->vcpu;
	u32 version = LAPIC_VERSION(vitrine_lapic_has_cmci(lapic) ? 7 : 6);
	unsigned int i;

	if (vcpu->apic_words & VITRINE_WORD_EOI_OFFERED)
		vitrine_pv_eoi_take_back(vcpu);
	vitrine_lapic_timer_stop(lapic);
	for (i = 0; i < 0x400; i += 16)
		vitrine_lapic_put(lapic, i, 0);
	for (i = 0; i < ARRAY_SIZE(lapic->posted); i++)
		WRITE_ONCE(lapic->posted[i], 0);
	atomic_set(&lapic->errors, 0);
	lapic->extint = -1;
	vcpu->vapic_addr = 0;
	vcpu->apic_words &= ~VITRINE_WORD_VAPIC;

	/* The I/O APIC of the kernel has no EOI register to direct an EOI to. */
	if (vitrine_irq_mode(vcpu->vm) == VITRINE_IRQCHIP_SPLIT)
		version |= APIC_LVR_DIRECTED_EOI;
	vitrine_lapic_put(lapic, APIC_LVR, version);
	vitrine_lapic_put(lapic, APIC_DFR, APIC_DFR_FLAT);
	vitrine_lapic_put(lapic, APIC_SPIV, 0xff);
	for (i = 0; i < ARRAY_SIZE(lvt_offsets); i++)
		vitrine_lapic_put(lapic, lvt_offsets[i], APIC_LVT_MASKED);
	if (vitrine_lapic_has_cmci(lapic))
		vitrine_lapic_put(lapic, APIC_LVTCMCI, APIC_LVT_MASKED);
	/*
	 * Firmware that knows no APIC expects the PIC to reach the boot CPU, as virtual wire mode
	 * has it.
	 */
	if (vcpu->vm->bsp_id == vcpu->id &&
	    vitrine_vm_has_quirk(vcpu->vm, KVM_X86_QUIRK_LINT0_REENABLED))
		vitrine_lapic_put(lapic, APIC_LVT0, APIC_DM_EXTINT);
	vitrine_lapic_timer_restore(lapic, 0);
	lapic_update_mode(lapic);
}

void vitrine_lapic_add_cmci(struct vitrine_vcpu *vcpu)
{
	u32 version = vitrine_lapic_get(vcpu->lapic, APIC_LVR) & ~APIC_LVR_MAX_LVT;

	vitrine_lapic_put(vcpu->lapic, APIC_LVR, version | (LAPIC_VERSION(7) & APIC_LVR_MAX_LVT));
	vitrine_lapic_put(vcpu->lapic, APIC_LVTCMCI, APIC_LVT_MASKED);
}

void vitrine_lapic_raise_cmci(struct vitrine_vcpu *vcpu)
{
	vitrine_lapic_accept_lvt(vcpu->lapic, APIC_LVTCMCI);
}

void vitrine_lapic_reset(struct vitrine_vcpu *vcpu, bool init)
{
	if (!init)
		vcpu->apic_base = APIC_DEFAULT_PHYS_BASE | BASE_ENABLE |
				  (vcpu->vm->bsp_id == vcpu->id ? MSR_IA32_APICBASE_BSP : 0);
	if (vcpu->lapic)
		lapic_reset_regs(vcpu->lapic);
	vcpu->pv.eoi = 0;
	vcpu->apic_words = 0;
}

int vitrine_lapic_create(struct vitrine_vcpu *vcpu)
{
	struct vitrine_lapic *lapic = kzalloc(sizeof(*lapic), GFP_KERNEL_ACCOUNT);

	if (!lapic)
		return -ENOMEM;
	lapic->regs = (u8 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!lapic->regs) {
		kfree(lapic);
		return -ENOMEM;
	}
	lapic->vcpu = vcpu;
	lapic->apicv = vcpu->vm->apicv;
	vitrine_lapic_timer_init(lapic);
	vcpu->lapic = lapic;
	return 0;
}

void vitrine_lapic_free(struct vitrine_vcpu *vcpu)
{
	struct vitrine_lapic *lapic = vcpu->lapic;

	if (!lapic)
		return;
	vitrine_lapic_timer_stop(lapic);
	if (lapic->mode == VITRINE_LAPIC_XAPIC)
		atomic_dec(&vcpu->vm->irq.nr_xapic);
	vcpu->lapic = NULL;
	free_page((unsigned long)lapic->regs);
	kfree(lapic);
}

u64 vitrine_lapic_get_cr8(struct vitrine_vcpu *vcpu)
{
	return vitrine_lapic_get(vcpu->lapic, APIC_TASKPRI) >> 4;
}

void vitrine_lapic_set_cr8(struct vitrine_vcpu *vcpu, u64 cr8)
{
	struct vitrine_lapic *lapic = vcpu->lapic;

	vitrine_lapic_put(lapic, APIC_TASKPRI, (cr8 & 0xf) << 4);
	if (READ_ONCE(lapic->irr_pending))
		vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
}

u64 vitrine_lapic_get_base(struct vitrine_vcpu *vcpu)
{
	return vcpu->apic_base;
}

static bool has_x2apic(struct vitrine_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *entry = vitrine_cpuid_find(vcpu, 1, 0);

	return entry && entry->ecx & CPUID_1_ECX_X2APIC;
}

/* "Local APIC State Transitions With x2APIC" */
static bool transition_allowed(u64 old, u64 new)
{
	const u64 both = BASE_ENABLE | X2APIC_ENABLE;

	if ((old & both) == both && (new & both) == BASE_ENABLE)
		return false;
	return old & BASE_ENABLE || (new & both) != both;
}

int vitrine_lapic_set_base(struct vitrine_vcpu *vcpu, u64 data, bool host)
{
	u64 old = vcpu->apic_base;
	u64 reserved = BASE_RESERVED;

	if (vcpu->maxphyaddr)
		reserved |= ~(BIT_ULL(vcpu->maxphyaddr) - 1);
	if (!has_x2apic(vcpu))
		reserved |= X2APIC_ENABLE;
	if (data & reserved || (data & (BASE_ENABLE | X2APIC_ENABLE)) == X2APIC_ENABLE ||
	    (!host && !transition_allowed(old, data))) {
		pr_debug_ratelimited("IA32_APIC_BASE: %#llx must not follow %#llx (reserved bits %#llx)\n",
				     data, old, reserved);
		return -EINVAL;
	}

	vcpu->apic_base = data;
	if (vcpu->lapic) {
		/*
		 * A guest that turns its APIC off finds it as after power-up; a VMM restores in
		 * any order.
		 */
		if (!host && old & BASE_ENABLE && !(data & BASE_ENABLE))
			lapic_reset_regs(vcpu->lapic);
		else
			lapic_update_mode(vcpu->lapic);
	}
	if ((old ^ data) & BASE_ENABLE && vcpu->cpuid)
		vitrine_cpuid_update_runtime(vcpu);
	return 0;
}

bool vitrine_lapic_has_events(struct vitrine_vcpu *vcpu)
{
	return vcpu->lapic && READ_ONCE(vcpu->lapic->events);
}

/* "MP Initialization Protocol": a SIPI counts only for a CPU that waits for one. */
void vitrine_lapic_accept_events(struct vitrine_vcpu *vcpu)
{
	struct vitrine_lapic *lapic = vcpu->lapic;
	struct kvm_segment cs;

	if (!lapic || !READ_ONCE(lapic->events))
		return;

	if (test_and_clear_bit(VITRINE_LAPIC_EVENT_INIT, &lapic->events)) {
		vitrine_vcpu_reset(vcpu, true);
		vcpu->mp_state = vcpu->vm->bsp_id == vcpu->id ? KVM_MP_STATE_RUNNABLE :
								KVM_MP_STATE_INIT_RECEIVED;
	}
	if (test_and_clear_bit(VITRINE_LAPIC_EVENT_SIPI, &lapic->events) &&
	    vcpu->mp_state == KVM_MP_STATE_INIT_RECEIVED) {
		u8 vector = READ_ONCE(lapic->sipi_vector);

		vitrine_backend->get_segment(vcpu, VITRINE_SEG_CS, &cs);
		cs.selector = vector << 8;
		cs.base = vector << 12;
		vitrine_backend->set_segment(vcpu, VITRINE_SEG_CS, &cs);
		vitrine_reg_write(vcpu, VITRINE_REG_RIP, 0);
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
	}
}

void vitrine_lapic_set_sipi(struct vitrine_vcpu *vcpu)
{
	set_bit(VITRINE_LAPIC_EVENT_SIPI, &vcpu->lapic->events);
	vitrine_vcpu_request(vcpu, VITRINE_REQ_APIC_EVENT);
}

void vitrine_lapic_set_sipi_vector(struct vitrine_vcpu *vcpu, u8 vector)
{
	WRITE_ONCE(vcpu->lapic->sipi_vector, vector);
}
