/* SPDX-License-Identifier: GPL-2.0 */
/*
 * CPUID leaves by name, and where the kernel's capability words are among them: for cpuid.c and
 * cpuid_host.c only.
 */
#ifndef VITRINE_CPUID_LEAF_H
#define VITRINE_CPUID_LEAF_H

#include <linux/kvm.h>
#include <linux/types.h>

#define LEAF_BASIC		0x0
#define LEAF_FEATURES		0x1
#define LEAF_CACHE		0x4
#define LEAF_POWER		0x6
#define LEAF_STRUCTURED		0x7
#define LEAF_TOPOLOGY		0xb
#define LEAF_XSAVE		0xd
#define LEAF_TOPOLOGY_V2	0x1f
#define LEAF_HYPERVISOR		0x40000000
#define LEAF_HYPERVISOR_FEATURES	0x40000001
#define LEAF_EXTENDED		0x80000000
#define LEAF_EXTENDED_FEATURES	0x80000001
#define LEAF_BRAND_FIRST	0x80000002
#define LEAF_BRAND_LAST		0x80000004
#define LEAF_CACHE_L2		0x80000006
#define LEAF_INVARIANT_TSC	0x80000007
#define LEAF_ADDRESS_SIZES	0x80000008

enum cpuid_reg { CPUID_REG_EAX, CPUID_REG_EBX, CPUID_REG_ECX, CPUID_REG_EDX };

/* struct cpuid_word - a word of the kernel's x86_capability that mirrors a register of a leaf */
struct cpuid_word {
	u32 function;
	u32 index;
	enum cpuid_reg reg;
	u32 supported;		/* what can be given to a guest, whatever the host has */
	u32 emulated;		/* what a guest has even where the host has not */
};

/* NULL for a word that mirrors no leaf. */
const struct cpuid_word *cpuid_word_find(unsigned int word);

static inline u32 *cpuid_entry_reg(struct kvm_cpuid_entry2 *entry, enum cpuid_reg reg)
{
	switch (reg) {
	case CPUID_REG_EAX:
		return &entry->eax;
	case CPUID_REG_EBX:
		return &entry->ebx;
	case CPUID_REG_ECX:
		return &entry->ecx;
	default:
		return &entry->edx;
	}
}

/* Size of the XSAVE area for the components in @xcr0, in the standard or the compacted format. */
u32 cpuid_xsave_bytes(u64 xcr0, bool compacted);

#endif
