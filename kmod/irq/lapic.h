/* SPDX-License-Identifier: GPL-2.0 */
/* struct vitrine_lapic: one vCPU's local APIC, as the files of irq/ see it. Tags as in vm.h. */
#ifndef VITRINE_IRQ_LAPIC_H
#define VITRINE_IRQ_LAPIC_H

#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/hrtimer.h>
#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <linux/types.h>
#include <vitrine_policy.h>
#include <asm/apicdef.h>
#include <asm/mce.h>

#include "irq.h"
#include "vcpu.h"

enum vitrine_lapic_mode {
	VITRINE_LAPIC_DISABLED,
	VITRINE_LAPIC_XAPIC,
	VITRINE_LAPIC_X2APIC,
};

/* Bits of lapic->events. */
enum { VITRINE_LAPIC_EVENT_INIT, VITRINE_LAPIC_EVENT_SIPI };

/*
 * struct vitrine_lapic_timer - armed by the vCPU only, and only after hrtimer_cancel(): the
 * callback finds these members still, and alone writes them while it runs
 */
struct vitrine_lapic_timer {
	struct hrtimer hrtimer;
	u32 mode;		/* APIC_LVT_TIMER_* of the LVT entry */
	u32 divisor;
	u64 tsc_deadline;	/* guest TSC; 0 when disarmed or over */
	u64 host_deadline;	/* the same moment in host TSC */
	ktime_t start;		/* one-shot and periodic: when the count began, */
	u64 length_ns;		/* and how long it lasts; 0 when stopped */
};

/*
 * With apicv the processor moves vectors from IRR to ISR and out of it while the guest runs, in
 * memory and without atomic operations: @regs belongs to the vCPU alone. Others leave requests in
 * @posted, from where vitrine_lapic_prepare_entry() takes them; @irr_pending and @isr_top are not
 * kept, unless vitrine_lapic_is_virtual() says that the vCPU must do without. @posted is also what
 * a posted-interrupt descriptor would hold.
 */
struct vitrine_lapic {
	struct vitrine_vcpu *vcpu;	/* [I] */
	u8 *regs;			/* [v] a page in architectural layout; IRR and TMR: [a] */
	gpa_t mmio_base;		/* [v] the page of xAPIC mode; a hole in the others */
	enum vitrine_lapic_mode mode;	/* [a] written [v] */
	bool enabled;			/* [a] by IA32_APIC_BASE and by SVR; written [v] */
	bool irr_pending;		/* [a] false: IRR is empty */
	int isr_top;			/* [v] highest vector in service, or -1 */
	bool apicv;			/* [I] vm->apicv: see above */
	bool eoi_exits_stale;		/* [a] which ends of interrupts must exit, and so */
	DECLARE_BITMAP(ends_awaited, 256);	/* [v] edges among them */
	DECLARE_BITMAP(posted, 256);	/* [a] apicv: requested, and not yet in IRR */
	int extint;			/* [v] split irqchip: the PIC's vector, or -1 */
	bool reports_tpr;		/* [v] KVM_TPR_ACCESS_REPORTING: */
	bool tpr_write;			/* [v] the last access to TPR was a write, */
	u64 tpr_rip;			/* [v] and where that instruction was */
	atomic_t errors;		/* [a] APIC_ESR_* since the last write to ESR */
	unsigned long events;		/* [a] */
	u8 sipi_vector;			/* [a] valid once the SIPI bit is set */
	struct vitrine_lapic_timer timer;
};

/* A message on the (virtual) bus between interrupt sources and local APICs. */
struct vitrine_apic_msg {
	u32 dest;
	u16 delivery_mode;	/* APIC_DM_* */
	u8 vector;
	bool logical;
	bool level_triggered;
	bool assert;
	bool lowest;		/* redirection hint: one of the destinations only */
	u32 shorthand;		/* APIC_DEST_SELF, _ALLINC, _ALLBUT or 0 */
};

static inline u32 vitrine_lapic_get(const struct vitrine_lapic *lapic, u32 offset)
{
	return READ_ONCE(*(u32 *)(lapic->regs + offset));
}

static inline void vitrine_lapic_put(struct vitrine_lapic *lapic, u32 offset, u32 value)
{
	WRITE_ONCE(*(u32 *)(lapic->regs + offset), value);
}

/* The seventh entry of the local vector table, which KVM_X86_SETUP_MCE adds. */
static inline bool vitrine_lapic_has_cmci(const struct vitrine_lapic *lapic)
{
	return lapic->vcpu->msrs.mcg_cap & MCG_CMCI_P;
}

/* A vector's word in the bank of registers that begins at @bank. */
static inline unsigned long *vitrine_lapic_bank_word(const struct vitrine_lapic *lapic, u32 bank,
						     u8 vector)
{
	return (unsigned long *)(lapic->regs + bank + (vector >> 5 << 4));
}

static inline bool vitrine_lapic_bank_test(const struct vitrine_lapic *lapic, u32 bank, u8 vector)
{
	return vitrine_lapic_get(lapic, bank + (vector >> 5 << 4)) & BIT(vector & 31);
}

/* Or -1. */
static inline int vitrine_lapic_bank_highest(const struct vitrine_lapic *lapic, u32 bank)
{
	int i;

	for (i = APIC_ISR_NR - 1; i >= 0; i--) {
		u32 word = vitrine_lapic_get(lapic, bank + i * 16);

		if (word)
			return i * 32 + __fls(word);
	}
	return -1;
}

/*
 * Does the processor deliver? Not where TPR is a word in memory, which must be looked at, nor where
 * an exit policy is asked about interrupts: then what was posted is delivered by software. The
 * vCPU's mutex is held.
 */
static inline bool vitrine_lapic_is_virtual(const struct vitrine_lapic *lapic)
{
	return lapic->apicv && !(lapic->vcpu->apic_words & VITRINE_WORD_VAPIC) &&
	       !(lapic->vcpu->policy_on & BIT(VITRINE_ON_INTERRUPT));
}

/* Does @gpa belong to this vCPU's own APIC page? */
static inline bool vitrine_lapic_owns(struct vitrine_vcpu *vcpu, gpa_t gpa)
{
	return vcpu->lapic && (gpa & PAGE_MASK) == vcpu->lapic->mmio_base;
}

/* lapic.c: any context unless they say otherwise. */
/*
 * 1: the vector is now requested, 0: it already was, -1: the APIC takes no interrupts (or not
 * this vector).
 */
int vitrine_lapic_accept(struct vitrine_lapic *lapic, u8 vector, bool level_triggered);
int vitrine_lapic_accept_lvt(struct vitrine_lapic *lapic, u32 lvt);
/* Would this APIC pass an interrupt of the PIC on to its CPU? */
bool vitrine_lapic_takes_pic(const struct vitrine_lapic *lapic);
/* Highest requested vector, or -1; and if it is above the processor priority. */
int vitrine_lapic_requested_vector(const struct vitrine_lapic *lapic);
int vitrine_lapic_pending_vector(const struct vitrine_lapic *lapic);
void vitrine_lapic_log_error(struct vitrine_lapic *lapic, u32 error);
/* Those of the vCPU: its mutex is held. */
void vitrine_lapic_begin_service(struct vitrine_lapic *lapic, u8 vector);
void vitrine_lapic_end_service(struct vitrine_lapic *lapic);
/* Highest vector in service, or -1. */
int vitrine_lapic_serviced_vector(const struct vitrine_lapic *lapic);
u32 vitrine_lapic_ppr(const struct vitrine_lapic *lapic);
/* After SVR, ISR or IRR were written as a whole. */
void vitrine_lapic_refresh(struct vitrine_lapic *lapic);

/* lapic_apicv.c */
/* For vitrine_lapic_accept(): was @vector neither posted nor in IRR? Any context. */
bool vitrine_lapic_post(struct vitrine_lapic *lapic, u8 vector);
/*
 * Into IRR what others posted: who reads or writes the registers as a whole does it before. The
 * vCPU's mutex is held.
 */
void vitrine_lapic_take_posted(struct vitrine_lapic *lapic);

/* Makes lapic->ends_awaited what it should be. The vCPU's mutex is held. */
void vitrine_lapic_update_ends(struct vitrine_lapic *lapic);

/*
 * pv_eoi.c: lets the guest end what is in service by its byte, if that may be, and takes the offer
 * back: the interrupt was ended by it, or cannot be any more. Loaded.
 */
void vitrine_pv_eoi_offer(struct vitrine_vcpu *vcpu);
void vitrine_pv_eoi_take_back(struct vitrine_vcpu *vcpu);

/* lapic_access.c: the vCPU's mutex is held. */
int vitrine_lapic_mmio_read(struct vitrine_vcpu *vcpu, gpa_t gpa, void *data,
			    unsigned int len_bytes);
int vitrine_lapic_mmio_write(struct vitrine_vcpu *vcpu, gpa_t gpa, const void *data,
			     unsigned int len_bytes);

/* vapic.c: an access to TPR, where lapic->reports_tpr; the vCPU's mutex is held. */
void vitrine_vapic_report_tpr(struct vitrine_lapic *lapic, bool write);

/* The guest's write to the register at @offset is in the page already: what it means. */
void vitrine_lapic_written(struct vitrine_lapic *lapic, u32 offset);

/* lapic_timer.c: the vCPU's mutex is held. */
void vitrine_lapic_timer_init(struct vitrine_lapic *lapic);
void vitrine_lapic_timer_stop(struct vitrine_lapic *lapic);
/* From the initial count, or from @count of it. */
void vitrine_lapic_timer_start(struct vitrine_lapic *lapic, u32 count);
/* LVT timer entry, or divide configuration register, were written. */
void vitrine_lapic_timer_update_lvt(struct vitrine_lapic *lapic);
void vitrine_lapic_timer_update_divisor(struct vitrine_lapic *lapic);
u32 vitrine_lapic_timer_count(struct vitrine_lapic *lapic);
/* All of the above after the registers were written as a whole; @count is the current count. */
void vitrine_lapic_timer_restore(struct vitrine_lapic *lapic, u32 count);

/* lapic_ipi.c: any context. */
/* How many vCPUs newly took it; 0: coalesced or refused; -1: nobody is addressed. */
int vitrine_lapic_send(struct vitrine_vm *vm, struct vitrine_lapic *source,
		       const struct vitrine_apic_msg *msg);
bool vitrine_lapic_matches(const struct vitrine_lapic *lapic, const struct vitrine_lapic *source,
			   const struct vitrine_apic_msg *msg);
/* Both with the vCPU's mutex held: an IPI as the ICR encodes it, and a write to ICR. */
void vitrine_lapic_send_ipi(struct vitrine_lapic *lapic, u32 low, u32 high);
void vitrine_lapic_write_icr(struct vitrine_lapic *lapic, u32 low, u32 high);

#endif
