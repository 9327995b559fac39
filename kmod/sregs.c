// SPDX-License-Identifier: GPL-2.0
/*
 * Segment, descriptor-table and control registers as a whole: KVM_GET/SET_SREGS and the SREGS2
 * pair. A set is checked in full before the first register changes, so that a refused call changes
 * nothing.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/kvm.h>
#include <linux/printk.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "compat.h"
#include "cpuid.h"
#include "ioctl.h"
#include "regs.h"
#include "user_words.h"
#include "vm.h"

#define RESET_RIP	0xfff0
#define RESET_CS	0xf000
#define RESET_CS_BASE	0xffff0000

static u64 get_cr8(struct vitrine_vcpu *vcpu)
{
	return vcpu->lapic ? vitrine_lapic_get_cr8(vcpu) : vcpu->cr8;
}

/* Both structures begin alike and part behind apic_base. */
static_assert(offsetof(struct kvm_sregs, apic_base) == offsetof(struct kvm_sregs2, apic_base));
static_assert(offsetof(struct kvm_sregs, cr0) == offsetof(struct kvm_sregs2, cr0));

static void get_common(struct vitrine_vcpu *vcpu, struct kvm_sregs *sregs)
{
	vitrine_backend->get_segment(vcpu, VITRINE_SEG_CS, &sregs->cs);
	vitrine_backend->get_segment(vcpu, VITRINE_SEG_DS, &sregs->ds);
	vitrine_backend->get_segment(vcpu, VITRINE_SEG_ES, &sregs->es);
	vitrine_backend->get_segment(vcpu, VITRINE_SEG_FS, &sregs->fs);
	vitrine_backend->get_segment(vcpu, VITRINE_SEG_GS, &sregs->gs);
	vitrine_backend->get_segment(vcpu, VITRINE_SEG_SS, &sregs->ss);
	vitrine_backend->get_segment(vcpu, VITRINE_SEG_TR, &sregs->tr);
	vitrine_backend->get_segment(vcpu, VITRINE_SEG_LDTR, &sregs->ldt);
	sregs->gdt = (struct kvm_dtable) {};
	vitrine_backend->get_gdt(vcpu, &sregs->gdt);
	sregs->idt = (struct kvm_dtable) {};
	vitrine_backend->get_idt(vcpu, &sregs->idt);
	sregs->cr0 = vitrine_backend->get_cr0(vcpu);
	sregs->cr2 = vcpu->cr2;
	sregs->cr3 = vitrine_backend->get_cr3(vcpu);
	sregs->cr4 = vitrine_backend->get_cr4(vcpu);
	sregs->cr8 = get_cr8(vcpu);
	sregs->efer = vcpu->efer;
	sregs->apic_base = vcpu->lapic ? vitrine_lapic_get_base(vcpu) : vcpu->apic_base;
}

void vitrine_sregs_get(struct vitrine_vcpu *vcpu, struct kvm_sregs *sregs)
{
	get_common(vcpu, sregs);
	memset(sregs->interrupt_bitmap, 0, sizeof(sregs->interrupt_bitmap));
	if (vcpu->events.interrupt.injected && !vcpu->events.interrupt.soft)
		__set_bit(vcpu->events.interrupt.nr, (unsigned long *)sregs->interrupt_bitmap);
}

#define REFUSE(field, value, rule) ({						\
	pr_debug_ratelimited("KVM_SET_SREGS: field %s is %#llx, must " rule "\n",	\
			     field, (u64)(value));				\
	-EINVAL;								\
})

static int check_long_mode(struct vitrine_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	if ((sregs->efer & EFER_LME) && (sregs->cr0 & X86_CR0_PG)) {
		if (!(sregs->cr4 & X86_CR4_PAE))
			return REFUSE("cr4", sregs->cr4, "have PAE with EFER.LME and CR0.PG");
		if (!(sregs->efer & EFER_LMA))
			return REFUSE("efer", sregs->efer, "have LMA with LME and CR0.PG");
		if (sregs->cr3 & vitrine_reserved_gpa_bits(vcpu))
			return REFUSE("cr3", sregs->cr3, "be below the physical-address width");
		return 0;
	}
	if (sregs->efer & EFER_LMA)
		return REFUSE("efer", sregs->efer, "not have LMA without LME and CR0.PG");
	if (sregs->cs.l)
		return REFUSE("cs.l", sregs->cs.l, "be 0 outside long mode");
	return 0;
}

static int check(struct vitrine_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	if (sregs->cr0 >> 32)
		return REFUSE("cr0", sregs->cr0, "be below 2^32");
	if ((sregs->cr0 & X86_CR0_NW) && !(sregs->cr0 & X86_CR0_CD))
		return REFUSE("cr0", sregs->cr0, "not have NW without CD");
	if ((sregs->cr0 & X86_CR0_PG) && !(sregs->cr0 & X86_CR0_PE))
		return REFUSE("cr0", sregs->cr0, "not have PG without PE");
	if (sregs->cr4 & vitrine_cr4_reserved(vcpu))
		return REFUSE("cr4", sregs->cr4,
			      "only have bits that the CPU and the guest's CPUID have");
	if (sregs->efer & ~vitrine_efer_supported())
		return REFUSE("efer", sregs->efer, "only have bits that the CPU has");
	if (sregs->cr8 & ~0xfULL)
		return REFUSE("cr8", sregs->cr8, "be below 16");
	return check_long_mode(vcpu, sregs);
}

static int set_apic_base(struct vitrine_vcpu *vcpu, u64 base)
{
	u64 reserved = vitrine_reserved_gpa_bits(vcpu) | 0x2ff;

	if (vcpu->lapic)
		return vitrine_lapic_set_base(vcpu, base, true) ?
		       REFUSE("apic_base", base, "be a valid IA32_APIC_BASE") : 0;
	if ((base & reserved) ||
	    ((base & X2APIC_ENABLE) && !(base & MSR_IA32_APICBASE_ENABLE)))
		return REFUSE("apic_base", base, "be a valid IA32_APIC_BASE");
	vcpu->apic_base = base;
	return 0;
}

static void set_segments(struct vitrine_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	vitrine_backend->set_segment(vcpu, VITRINE_SEG_CS, &sregs->cs);
	vitrine_backend->set_segment(vcpu, VITRINE_SEG_DS, &sregs->ds);
	vitrine_backend->set_segment(vcpu, VITRINE_SEG_ES, &sregs->es);
	vitrine_backend->set_segment(vcpu, VITRINE_SEG_FS, &sregs->fs);
	vitrine_backend->set_segment(vcpu, VITRINE_SEG_GS, &sregs->gs);
	vitrine_backend->set_segment(vcpu, VITRINE_SEG_SS, &sregs->ss);
	vitrine_backend->set_segment(vcpu, VITRINE_SEG_TR, &sregs->tr);
	vitrine_backend->set_segment(vcpu, VITRINE_SEG_LDTR, &sregs->ldt);
}

/* VMMs written before KVM_SET_MP_STATE reset the boot CPU by its registers alone. */
static void wake_on_reset_state(struct vitrine_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	if (vcpu->mp_state != KVM_MP_STATE_RUNNABLE && vcpu->id == vcpu->vm->bsp_id &&
	    vitrine_rip_read(vcpu) == RESET_RIP && sregs->cs.selector == RESET_CS &&
	    sregs->cs.base == RESET_CS_BASE && !(sregs->cr0 & X86_CR0_PE))
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
}

/* All but the APIC's base. */
static void apply(struct vitrine_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	u64 old_cr0 = vitrine_backend->get_cr0(vcpu), old_cr3 = vitrine_backend->get_cr3(vcpu);
	u64 old_cr4 = vitrine_backend->get_cr4(vcpu), old_efer = vcpu->efer;

	vitrine_backend->set_idt(vcpu, &sregs->idt);
	vitrine_backend->set_gdt(vcpu, &sregs->gdt);
	vcpu->cr2 = sregs->cr2;
	if (vcpu->lapic)
		vitrine_lapic_set_cr8(vcpu, sregs->cr8);
	else
		vcpu->cr8 = sregs->cr8;
	if (old_efer != sregs->efer)
		vitrine_backend->set_efer(vcpu, sregs->efer);
	if (old_cr0 != sregs->cr0)
		vitrine_backend->set_cr0(vcpu, sregs->cr0 | X86_CR0_ET);
	if (old_cr3 != sregs->cr3)
		vitrine_backend->set_cr3(vcpu, sregs->cr3);
	if (old_cr4 != sregs->cr4) {
		vitrine_backend->set_cr4(vcpu, sregs->cr4);
		if ((old_cr4 ^ sregs->cr4) & (X86_CR4_OSXSAVE | X86_CR4_PKE))
			vitrine_cpuid_update_runtime(vcpu);
	}
	/* The guest's pages may have been exchanged along with its registers. */
	if (old_cr0 != sregs->cr0 || old_cr3 != sregs->cr3 || old_cr4 != sregs->cr4 ||
	    old_efer != sregs->efer) {
		preempt_disable();
		vitrine_backend->tlb_flush_guest(vcpu);
		preempt_enable();
	}
	set_segments(vcpu, sregs);
}

static int set_common(struct vitrine_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	int ret;

	ret = check(vcpu, sregs);
	if (ret)
		return ret;
	ret = set_apic_base(vcpu, sregs->apic_base);
	if (ret)
		return ret;
	apply(vcpu, sregs);
	wake_on_reset_state(vcpu, sregs);
	return 0;
}

/*
 * Registers may be set before memory is: a guest that starts without its tables there faults on
 * first use.
 */
static void load_pdptrs(struct vitrine_vcpu *vcpu, u64 cr3)
{
	int idx = srcu_read_lock(&vcpu->vm->srcu);

	if (vitrine_pdptrs_load(vcpu, cr3)) {
		memset(vcpu->pdptrs, 0, sizeof(vcpu->pdptrs));
		vcpu->regs_avail |= BIT(VITRINE_CACHE_PDPTRS);
		vcpu->regs_dirty |= BIT(VITRINE_CACHE_PDPTRS);
	}
	srcu_read_unlock(&vcpu->vm->srcu, idx);
}

int vitrine_sregs_set(struct vitrine_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	unsigned int vector;
	int ret;

	ret = set_common(vcpu, sregs);
	if (ret)
		return ret;
	if (vitrine_is_pae_paging(vcpu))
		load_pdptrs(vcpu, sregs->cr3);

	vector = find_first_bit((const unsigned long *)sregs->interrupt_bitmap, KVM_NR_INTERRUPTS);
	if (vector < KVM_NR_INTERRUPTS) {
		vcpu->irq_from = VITRINE_IRQ_FROM_STATE;
		vcpu->events.interrupt.injected = true;
		vcpu->events.interrupt.soft = false;
		vcpu->events.interrupt.nr = vector;
		vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
	}
	return 0;
}

#define SREGS_WORDS	(sizeof(struct kvm_sregs) / sizeof(u64))

static long sregs_ioctl_get(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct kvm_sregs sregs vitrine_uninitialized;

	vitrine_sregs_get(obj, &sregs);
	return vitrine_put_words(arg->user, &sregs, SREGS_WORDS);
}

static long sregs_ioctl_set(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct kvm_sregs sregs vitrine_uninitialized;

	if (vitrine_get_words(&sregs, arg->user, SREGS_WORDS))
		return -EFAULT;
	return vitrine_sregs_set(obj, &sregs);
}

void vitrine_sregs2_get(struct vitrine_vcpu *vcpu, struct kvm_sregs2 *sregs2)
{
	get_common(vcpu, (struct kvm_sregs *)sregs2);
	sregs2->flags = 0;
	memset(sregs2->pdptrs, 0, sizeof(sregs2->pdptrs));
	if (vitrine_is_pae_paging(vcpu)) {
		if (!(vcpu->regs_avail & BIT(VITRINE_CACHE_PDPTRS)))
			vitrine_backend->cache_reg(vcpu, VITRINE_CACHE_PDPTRS);
		memcpy(sregs2->pdptrs, vcpu->pdptrs, sizeof(sregs2->pdptrs));
		sregs2->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	}
}

static void set_pdptrs(struct vitrine_vcpu *vcpu, const struct kvm_sregs2 *sregs2)
{
	memcpy(vcpu->pdptrs, sregs2->pdptrs, sizeof(vcpu->pdptrs));
	vcpu->regs_avail |= BIT(VITRINE_CACHE_PDPTRS);
	vcpu->regs_dirty |= BIT(VITRINE_CACHE_PDPTRS);
}

void vitrine_sregs2_restore(struct vitrine_vcpu *vcpu, const struct kvm_sregs2 *sregs2)
{
	apply(vcpu, (const struct kvm_sregs *)sregs2);
	if (sregs2->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID)
		set_pdptrs(vcpu, sregs2);
}

int vitrine_sregs2_set(struct vitrine_vcpu *vcpu, const struct kvm_sregs2 *sregs2)
{
	bool pdptrs = sregs2->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
	bool pae = (sregs2->cr0 & X86_CR0_PG) && (sregs2->cr4 & X86_CR4_PAE) &&
		   !(sregs2->efer & EFER_LMA);
	int ret;

	if (sregs2->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return REFUSE("flags", sregs2->flags, "be 0 or KVM_SREGS2_FLAGS_PDPTRS_VALID");
	if (pdptrs && !pae)
		return REFUSE("flags", sregs2->flags, "be 0 without PAE paging");
	ret = set_common(vcpu, (const struct kvm_sregs *)sregs2);
	if (ret || !pae)
		return ret;
	if (pdptrs)
		set_pdptrs(vcpu, sregs2);
	else
		load_pdptrs(vcpu, sregs2->cr3);
	return 0;
}

static long sregs_ioctl_get2(void *obj, struct vitrine_ioctl_arg *arg)
{
	vitrine_sregs2_get(obj, arg->data);
	return 0;
}

static long sregs_ioctl_set2(void *obj, struct vitrine_ioctl_arg *arg)
{
	return vitrine_sregs2_set(obj, arg->data);
}

const struct vitrine_ioctl vitrine_sregs_ioctls[] = {
	{ KVM_GET_SREGS, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_RAW, sregs_ioctl_get },
	{ KVM_SET_SREGS, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_RAW, sregs_ioctl_set },
	{ KVM_GET_SREGS2, VITRINE_IOCTL_LOCK, sregs_ioctl_get2 },
	{ KVM_SET_SREGS2, VITRINE_IOCTL_LOCK, sregs_ioctl_set2 },
	{}
};
