// SPDX-License-Identifier: GPL-2.0
/*
 * Segment and descriptor-table registers: KVM's form to the VMCS's and back.
 */
#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/processor-flags.h>

#include "../regs.h"
#include "../vm.h"
#include "vmx.h"

#define AR_UNUSABLE	BIT(16)		/* "Guest Register State": segment unusable */
#define AR_CS_L		BIT(13)
#define AR_CS_D		BIT(14)
#define AR_DPL_SHIFT	5

struct segment_fields {
	unsigned long selector, base, limit, ar;
};

#define SEGMENT_FIELDS(name) {							\
	GUEST_##name##_SELECTOR, GUEST_##name##_BASE,				\
	GUEST_##name##_LIMIT, GUEST_##name##_AR_BYTES }

static const struct segment_fields segments[VITRINE_NR_SEGS] = {
	[VITRINE_SEG_ES] = SEGMENT_FIELDS(ES),
	[VITRINE_SEG_CS] = SEGMENT_FIELDS(CS),
	[VITRINE_SEG_SS] = SEGMENT_FIELDS(SS),
	[VITRINE_SEG_DS] = SEGMENT_FIELDS(DS),
	[VITRINE_SEG_FS] = SEGMENT_FIELDS(FS),
	[VITRINE_SEG_GS] = SEGMENT_FIELDS(GS),
	[VITRINE_SEG_TR] = SEGMENT_FIELDS(TR),
	[VITRINE_SEG_LDTR] = SEGMENT_FIELDS(LDTR),
};

/*
 * The eight attributes of struct kvm_segment, from @type on, are a byte each: all are made in one
 * register and stored at once, as there are eight segments to a KVM_GET_SREGS.
 */
static_assert(offsetof(struct kvm_segment, avl) == offsetof(struct kvm_segment, type) + 7);

static u64 unpack_attributes(u64 ar)
{
	u64 bytes = (ar & 0xf) |		/* type */
		    (ar & BIT(7)) << 1 |	/* present */
		    (ar & (3 << 5)) << 11 |	/* dpl */
		    (ar & BIT(14)) << 10 |	/* db */
		    (ar & BIT(4)) << 28 |	/* s */
		    (ar & BIT(13)) << 27 |	/* l */
		    (ar & BIT(15)) << 33 |	/* g */
		    (ar & BIT(12)) << 44;	/* avl */

	/*
	 * Userspace sees "not present" for what cannot be used, which survives a set of what was
	 * got.
	 */
	return ar & AR_UNUSABLE ? bytes & ~BIT_ULL(8) : bytes;
}

void vmx_get_segment(struct vitrine_vcpu *vcpu, unsigned int seg, struct kvm_segment *var)
{
	const struct segment_fields *f = &segments[seg];
	u64 ar = vmcs_read(f->ar);
	u64 attributes = unpack_attributes(ar);

	memcpy((u8 *)var + offsetof(struct kvm_segment, type), &attributes, sizeof(attributes));
	var->unusable = !!(ar & AR_UNUSABLE);
	var->padding = 0;
	var->base = vmcs_read(f->base);
	var->limit = vmcs_read(f->limit);
	var->selector = vmcs_read(f->selector);
}

void vmx_set_segment(struct vitrine_vcpu *vcpu, unsigned int seg, const struct kvm_segment *var)
{
	const struct segment_fields *f = &segments[seg];
	u32 ar = var->type & 15;

	/*
	 * VMMs load descriptors that nobody touched yet; entry checks want code and data accessed.
	 */
	if (seg != VITRINE_SEG_LDTR)
		ar |= 1;
	ar |= (var->s & 1) << 4;
	ar |= (var->dpl & 3) << AR_DPL_SHIFT;
	ar |= (var->present & 1) << 7;
	ar |= (var->avl & 1) << 12;
	ar |= (var->l & 1) << 13;
	ar |= (var->db & 1) << 14;
	ar |= (var->g & 1) << 15;
	if (var->unusable || !var->present)
		ar |= AR_UNUSABLE;
	/* A VMM that sets registers has the guest go on there; HLT also wants SS.DPL 0. */
	if (unlikely(vcpu->vm->disabled_exits) && seg == VITRINE_SEG_CS)
		vmx_leave_hlt(vcpu);
	vmcs_write(f->selector, var->selector);
	vmcs_write(f->base, var->base);
	vmcs_write(f->limit, var->limit);
	vmcs_write(f->ar, ar);
}

/* "Access Rights": L counts in IA-32e mode only, and D/B where L does not. */
enum vitrine_insn_mode vmx_get_code_mode(struct vitrine_vcpu *vcpu, u64 *base)
{
	u32 ar = vmcs_read(GUEST_CS_AR_BYTES);

	*base = 0;
	if (ar & AR_CS_L && vcpu->efer & EFER_LMA)
		return VITRINE_INSN_64;
	*base = vmcs_read(GUEST_CS_BASE);
	return ar & AR_CS_D ? VITRINE_INSN_32 : VITRINE_INSN_16;
}

/*
 * "The value of the DPL field for SS is always equal to the logical processor's current privilege
 * level."
 */
int vmx_get_cpl(struct vitrine_vcpu *vcpu)
{
	return (vmcs_read(GUEST_SS_AR_BYTES) >> AR_DPL_SHIFT) & 3;
}

void vmx_get_gdt(struct vitrine_vcpu *vcpu, struct kvm_dtable *dt)
{
	dt->limit = vmcs_read(GUEST_GDTR_LIMIT);
	dt->base = vmcs_read(GUEST_GDTR_BASE);
}

void vmx_set_gdt(struct vitrine_vcpu *vcpu, const struct kvm_dtable *dt)
{
	vmcs_write(GUEST_GDTR_LIMIT, dt->limit);
	vmcs_write(GUEST_GDTR_BASE, dt->base);
}

void vmx_get_idt(struct vitrine_vcpu *vcpu, struct kvm_dtable *dt)
{
	dt->limit = vmcs_read(GUEST_IDTR_LIMIT);
	dt->base = vmcs_read(GUEST_IDTR_BASE);
}

void vmx_set_idt(struct vitrine_vcpu *vcpu, const struct kvm_dtable *dt)
{
	vmcs_write(GUEST_IDTR_LIMIT, dt->limit);
	vmcs_write(GUEST_IDTR_BASE, dt->base);
}
