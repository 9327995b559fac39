// SPDX-License-Identifier: GPL-2.0
/*
 * CR0, CR3, CR4 and EFER as the guest writes them: what faults, and what else changes with them.
 * Hardware is written through the backend only, and only with values that passed here or in
 * sregs.c.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/preempt.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "cpuid.h"
#include "guest.h"
#include "regs.h"

#define CR3_NO_FLUSH	BIT_ULL(63)
#define CR3_PCID_BITS	0xfffULL
#define PDPTE_PRESENT	BIT_ULL(0)
/* "PDPTE Registers": all but P, PWT, PCD, the ignored bits 11:9 and the address must be zero. */
#define PDPTE_RESERVED	(GENMASK_ULL(2, 1) | GENMASK_ULL(8, 5))

/* Which changes make a CPU in PAE paging read the PDPTEs again: "PDPTE Registers" */
#define CR0_PDPTR_BITS	(X86_CR0_CD | X86_CR0_NW | X86_CR0_PG)
#define CR4_PDPTR_BITS	(X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP)

#define CR4_ALWAYS                                                                          \
	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | X86_CR4_PAE | \
	 X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)

static const struct {
	u64 bit;
	unsigned int feature;
} cr4_features[] = {
	{ X86_CR4_UMIP, X86_FEATURE_UMIP },
	{ X86_CR4_LA57, X86_FEATURE_LA57 },
	{ X86_CR4_FSGSBASE, X86_FEATURE_FSGSBASE },
	{ X86_CR4_PCIDE, X86_FEATURE_PCID },
	{ X86_CR4_OSXSAVE, X86_FEATURE_XSAVE },
	{ X86_CR4_SMEP, X86_FEATURE_SMEP },
	{ X86_CR4_SMAP, X86_FEATURE_SMAP },
};

u64 vitrine_cr4_reserved(struct vitrine_vcpu *vcpu)
{
	static u64 host_reserved __read_mostly;
	u64 allowed = CR4_ALWAYS;
	unsigned int i;

	/* Writers that race here write the same. */
	if (unlikely(!host_reserved)) {
		for (i = 0; i < ARRAY_SIZE(cr4_features); i++)
			if (vitrine_cpuid_host_has(cr4_features[i].feature))
				allowed |= cr4_features[i].bit;
		WRITE_ONCE(host_reserved, ~allowed);
	}
	return host_reserved | (vcpu->cpuid ? vcpu->cpuid->cr4_reserved : 0);
}

u64 vitrine_cr4_reserved_by_cpuid(struct vitrine_vcpu *vcpu)
{
	u64 reserved = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cr4_features); i++)
		if (!vitrine_cpuid_has(vcpu, cr4_features[i].feature))
			reserved |= cr4_features[i].bit;
	return reserved;
}

u64 vitrine_reserved_gpa_bits(struct vitrine_vcpu *vcpu)
{
	/* A vCPU without CPUID has the width of the CPU that it runs on. */
	return GENMASK_ULL(63, vcpu->maxphyaddr ? vcpu->maxphyaddr : boot_cpu_data.x86_phys_bits);
}

bool vitrine_is_pae_paging(struct vitrine_vcpu *vcpu)
{
	return (vitrine_backend->get_cr0(vcpu) & X86_CR0_PG) &&
	       (vitrine_backend->get_cr4(vcpu) & X86_CR4_PAE) && !(vcpu->efer & EFER_LMA);
}

int vitrine_pdptrs_load(struct vitrine_vcpu *vcpu, u64 cr3)
{
	u64 reserved = PDPTE_RESERVED | vitrine_reserved_gpa_bits(vcpu);
	u64 pdptrs[ARRAY_SIZE(vcpu->pdptrs)];
	unsigned int i;

	if (vitrine_guest_read(vcpu->vm, cr3 & GENMASK_ULL(31, 5), pdptrs, sizeof(pdptrs)))
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(pdptrs); i++)
		if ((pdptrs[i] & PDPTE_PRESENT) && (pdptrs[i] & reserved))
			return -EINVAL;
	memcpy(vcpu->pdptrs, pdptrs, sizeof(pdptrs));
	vcpu->regs_avail |= BIT(VITRINE_CACHE_PDPTRS);
	vcpu->regs_dirty |= BIT(VITRINE_CACHE_PDPTRS);
	return 0;
}

static void flush_guest_tlb(struct vitrine_vcpu *vcpu)
{
	preempt_disable();
	vitrine_backend->tlb_flush_guest(vcpu);
	preempt_enable();
}

static bool in_64bit_code(struct vitrine_vcpu *vcpu)
{
	struct kvm_segment cs;

	if (!vitrine_is_long_mode(vcpu))
		return false;
	vitrine_backend->get_segment(vcpu, VITRINE_SEG_CS, &cs);
	return cs.l;
}

/*
 * Turning paging on is what activates long mode, turning it off what leaves it: "Initializing
 * IA-32e Mode".
 */
static int check_paging_switch(struct vitrine_vcpu *vcpu, u64 cr0, u64 cr4)
{
	struct kvm_segment cs;

	if (!(cr0 & X86_CR0_PG))
		return (cr4 & X86_CR4_PCIDE) || in_64bit_code(vcpu) ? -EINVAL : 0;
	if (!(vcpu->efer & EFER_LME))
		return 0;
	if (!(cr4 & X86_CR4_PAE))
		return -EINVAL;
	vitrine_backend->get_segment(vcpu, VITRINE_SEG_CS, &cs);
	return cs.l ? -EINVAL : 0;
}

int vitrine_cr0_write(struct vitrine_vcpu *vcpu, u64 cr0)
{
	u64 old = vitrine_backend->get_cr0(vcpu);
	u64 cr4 = vitrine_backend->get_cr4(vcpu);
	bool paging_switch = (cr0 ^ old) & X86_CR0_PG;

	if (cr0 >> 32)
		return -EINVAL;
	/* The other reserved bits ignore what is written: "Control Registers" */
	cr0 &= X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_NE | X86_CR0_WP |
	       X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG;
	cr0 |= X86_CR0_ET;
	if ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD))
		return -EINVAL;
	if ((cr0 & X86_CR0_PG) && !(cr0 & X86_CR0_PE))
		return -EINVAL;
	if (paging_switch && check_paging_switch(vcpu, cr0, cr4))
		return -EINVAL;
	if ((cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(vcpu->efer & EFER_LME) &&
	    ((cr0 ^ old) & CR0_PDPTR_BITS) &&
	    vitrine_pdptrs_load(vcpu, vitrine_backend->get_cr3(vcpu)))
		return -EINVAL;

	vitrine_backend->set_cr0(vcpu, cr0);
	if (paging_switch)
		flush_guest_tlb(vcpu);
	return 0;
}

int vitrine_cr3_write(struct vitrine_vcpu *vcpu, u64 cr3)
{
	bool no_flush = false;

	if (vitrine_backend->get_cr4(vcpu) & X86_CR4_PCIDE) {
		no_flush = cr3 & CR3_NO_FLUSH;
		cr3 &= ~CR3_NO_FLUSH;
	}
	if (vitrine_is_long_mode(vcpu)) {
		if (cr3 & vitrine_reserved_gpa_bits(vcpu))
			return -EINVAL;
	} else if (vitrine_is_pae_paging(vcpu) && vitrine_pdptrs_load(vcpu, cr3)) {
		return -EINVAL;
	}
	vitrine_backend->set_cr3(vcpu, cr3);
	if (!no_flush)
		flush_guest_tlb(vcpu);
	return 0;
}

int vitrine_cr4_write(struct vitrine_vcpu *vcpu, u64 cr4)
{
	u64 old = vitrine_backend->get_cr4(vcpu);
	u64 changed = cr4 ^ old;
	u64 cr3 = vitrine_backend->get_cr3(vcpu);

	if (cr4 & vitrine_cr4_reserved(vcpu))
		return -EINVAL;
	if (vitrine_is_long_mode(vcpu)) {
		if (!(cr4 & X86_CR4_PAE) || (changed & X86_CR4_LA57))
			return -EINVAL;
	} else if ((vitrine_backend->get_cr0(vcpu) & X86_CR0_PG) && (cr4 & X86_CR4_PAE) &&
		   (changed & CR4_PDPTR_BITS) && vitrine_pdptrs_load(vcpu, cr3)) {
		return -EINVAL;
	}
	if ((cr4 & changed & X86_CR4_PCIDE) &&
	    (!vitrine_is_long_mode(vcpu) || (cr3 & CR3_PCID_BITS)))
		return -EINVAL;

	vitrine_backend->set_cr4(vcpu, cr4);
	/* "Operations that Invalidate TLBs and Paging-Structure Caches": MOV to CR4 */
	if ((changed & (X86_CR4_PGE | X86_CR4_PAE | X86_CR4_PSE)) ||
	    (changed & old & X86_CR4_PCIDE) || (changed & cr4 & X86_CR4_SMEP))
		flush_guest_tlb(vcpu);
	if (changed & X86_CR4_OSXSAVE)
		vitrine_cpuid_update_runtime(vcpu);
	return 0;
}

u64 vitrine_efer_supported(void)
{
	u64 bits = EFER_SCE | EFER_LME | EFER_LMA;

	return boot_cpu_has(X86_FEATURE_NX) ? bits | EFER_NX : bits;
}

int vitrine_efer_write(struct vitrine_vcpu *vcpu, u64 efer, bool host)
{
	u64 old = vcpu->efer;

	if (efer & ~vitrine_efer_supported())
		return -EINVAL;
	if (!host) {
		if ((efer & EFER_NX) && !vitrine_cpuid_has(vcpu, X86_FEATURE_NX))
			return -EINVAL;
		if ((efer & EFER_LME) && !vitrine_cpuid_has(vcpu, X86_FEATURE_LM))
			return -EINVAL;
		if ((efer & EFER_SCE) && !vitrine_cpuid_has(vcpu, X86_FEATURE_SYSCALL))
			return -EINVAL;
		if (((efer ^ old) & EFER_LME) && (vitrine_backend->get_cr0(vcpu) & X86_CR0_PG))
			return -EINVAL;
	}
	/* LMA follows LME and CR0.PG and cannot be written. */
	efer = (efer & ~(u64)EFER_LMA) | (old & EFER_LMA);
	vitrine_backend->set_efer(vcpu, efer);
	if ((efer ^ old) & EFER_NX)
		flush_guest_tlb(vcpu);
	return 0;
}
