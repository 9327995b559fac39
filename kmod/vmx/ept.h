/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The format of EPT entries and of the EPT pointer (SDM, "The Extended Page Table Mechanism
 * (EPT)"), under the names that pte.h promises. Holds no state and takes no lock.
 *
 * An entry that is not present is zero, always: a CPU with L1TF may speculate through the address
 * bits of such an entry, and frame 0 holds nothing but the firmware's real-mode vectors.
 */
#ifndef VMX_EPT_H
#define VMX_EPT_H

#include <linux/bits.h>
#include <linux/kvm_types.h>
#include <linux/types.h>
#include <asm/page.h>
#include <asm/vmx.h>
#include <uapi/asm/mtrr.h>

#include "caps.h"

struct vitrine_mmu;

#define VITRINE_PTE_LEVELS	4
#define VITRINE_PTE_ENTRIES	512

/*
 * "Format of an EPT Page-Directory Entry that Maps a 2-MByte Page": bit 7; ignored at the last
 * level.
 */
#define EPT_LARGE		BIT_ULL(7)
#define EPT_ADDR_MASK		GENMASK_ULL(51, 12)
/*
 * Ignored by hardware, ours: the host page is writable, so a missing write right is only dirty
 * logging's.
 */
#define EPT_SOFT_HOST_WRITABLE	BIT_ULL(52)
/*
 * Ours, in an entry for a table: small translations stand here because the guest fetched code (ITLB
 * multihit).
 */
#define EPT_SOFT_NX_SPLIT	BIT_ULL(53)

static inline gfn_t vitrine_pte_pages(int level)
{
	return 1ULL << (9 * (level - 1));
}

static inline unsigned int vitrine_pte_index(gfn_t gfn, int level)
{
	return (gfn >> (9 * (level - 1))) & (VITRINE_PTE_ENTRIES - 1);
}

static inline int vitrine_pte_max_level(void)
{
	return vmx_caps.ept_1g ? 3 : vmx_caps.ept_2m ? 2 : 1;
}

/* Without them an entry's age is unknown while it exists. */
static inline bool vitrine_pte_has_accessed(void)
{
	return vmx_caps.ept_ad;
}

static inline bool vitrine_pte_present(u64 pte)
{
	return pte & VMX_EPT_RWX_MASK;
}

static inline bool vitrine_pte_leaf(u64 pte, int level)
{
	return level == 1 || pte & EPT_LARGE;
}

static inline bool vitrine_pte_permits(u64 pte, bool write, bool exec)
{
	return pte & VMX_EPT_READABLE_MASK && (!write || pte & VMX_EPT_WRITABLE_MASK) &&
	       (!exec || pte & VMX_EPT_EXECUTABLE_MASK);
}

static inline bool vitrine_pte_writable(u64 pte)
{
	return pte & VMX_EPT_WRITABLE_MASK;
}

static inline bool vitrine_pte_host_writable(u64 pte)
{
	return pte & EPT_SOFT_HOST_WRITABLE;
}

static inline bool vitrine_pte_nx_split(u64 pte)
{
	return pte & EPT_SOFT_NX_SPLIT;
}

static inline bool vitrine_pte_accessed(u64 pte)
{
	return pte & VMX_EPT_ACCESS_BIT;
}

static inline kvm_pfn_t vitrine_pte_pfn(u64 pte)
{
	return (pte & EPT_ADDR_MASK) >> PAGE_SHIFT;
}

static inline u64 *vitrine_pte_table(u64 pte)
{
	return __va(pte & EPT_ADDR_MASK);
}

static inline u64 vitrine_pte_make_table(u64 *table, bool nx_split)
{
	return __pa(table) | VMX_EPT_RWX_MASK | (nx_split ? EPT_SOFT_NX_SPLIT : 0);
}

/**
 * vitrine_pte_make_leaf() - a translation
 * @pfn: host frame; its low bits are dropped at @level
 * @level: where it will stand
 * @write: @exec: what the guest may do beside reading
 * @host_writable: see EPT_SOFT_HOST_WRITABLE
 * @ram: write-back whatever the guest's PAT says; otherwise uncacheable unless the PAT asks for
 * write-combining
 */
static inline u64 vitrine_pte_make_leaf(kvm_pfn_t pfn, int level, bool write, bool exec,
					bool host_writable, bool ram)
{
	u64 pte = (pfn & ~(vitrine_pte_pages(level) - 1)) << PAGE_SHIFT;

	/*
	 * The fault that asks for it is an access: say so now, it spares the CPU a locked write. So
	 * does dirty, which nobody asks for but the log.
	 */
	pte |= VMX_EPT_READABLE_MASK | VMX_EPT_ACCESS_BIT;
	if (write)
		pte |= VMX_EPT_WRITABLE_MASK | VMX_EPT_DIRTY_BIT;
	if (exec)
		pte |= VMX_EPT_EXECUTABLE_MASK;
	if (host_writable)
		pte |= EPT_SOFT_HOST_WRITABLE;
	if (level > 1)
		pte |= EPT_LARGE;
	if (ram)
		pte |= ((u64)MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT) | VMX_EPT_IPAT_BIT;
	else
		pte |= (u64)MTRR_TYPE_UNCACHABLE << VMX_EPT_MT_EPTE_SHIFT;
	return pte;
}

static inline u64 vitrine_pte_make_writable(u64 pte)
{
	return pte | VMX_EPT_WRITABLE_MASK | VMX_EPT_DIRTY_BIT;
}

/* The guest may write where the host may, and the CPU logs the first time (PML). */
static inline u64 vitrine_pte_make_logged(u64 pte)
{
	if (vitrine_pte_host_writable(pte))
		pte |= VMX_EPT_WRITABLE_MASK;
	return pte & ~VMX_EPT_DIRTY_BIT;
}

/*
 * Entry @index of the table that replaces the large leaf @pte of @level. Small translations are
 * always executable.
 */
static inline u64 vitrine_pte_split(u64 pte, int level, unsigned int index)
{
	pte += (u64)index * vitrine_pte_pages(level - 1) << PAGE_SHIFT;
	if (level == 2)
		pte = (pte & ~EPT_LARGE) | VMX_EPT_EXECUTABLE_MASK;
	return pte;
}

/* Atomic, because the CPU sets accessed and dirty bits behind our back. All answer: was it set? */
static inline bool vitrine_pte_clear_writable(u64 *pte)
{
	return test_and_clear_bit(ilog2(VMX_EPT_WRITABLE_MASK), (unsigned long *)pte);
}

static inline bool vitrine_pte_clear_accessed(u64 *pte)
{
	return test_and_clear_bit(ilog2(VMX_EPT_ACCESS_BIT), (unsigned long *)pte);
}

static inline bool vitrine_pte_clear_dirty(u64 *pte)
{
	return test_and_clear_bit(ilog2(VMX_EPT_DIRTY_BIT), (unsigned long *)pte);
}

/* The value of the VMCS field "EPT pointer" for these tables. */
u64 vmx_ept_pointer(const struct vitrine_mmu *mmu);

#endif
