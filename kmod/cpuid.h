/* SPDX-License-Identifier: GPL-2.0 */
/* The guest's CPUID: what this host supports, what the VMM set, what an exit answers. */
#ifndef VITRINE_CPUID_H
#define VITRINE_CPUID_H

#include <linux/kvm.h>
#include <linux/types.h>

#include "ioctl.h"

struct vitrine_vcpu;

#define VITRINE_CPUID_MAX_ENTRIES	256
#define VITRINE_CPUID_RANGES		4	/* 0x0, 0x40000000, 0x80000000, 0xc0000000 */
#define VITRINE_CPUID_DIRECT		64	/* leaves of each range found without search */

/**
 * struct vitrine_cpuid - a vCPU's CPUID table, replaced whole by KVM_SET_CPUID2
 * @nr: entries
 * @max: highest leaf of each range, as its first leaf says; 0 without one
 * @intel: the guest sees a GenuineIntel CPU: leaves out of range read as the highest basic one
 * @cr4_reserved: CR4 bits whose feature the guest was not given
 * @xcr0: bits the guest may set in XCR0
 * @first: entry number plus one of a leaf, 0 for none
 * @next: by entry number, the next entry of the same leaf in the same form
 * @entry: in the order the VMM gave
 */
struct vitrine_cpuid {
	u32 nr;
	u32 max[VITRINE_CPUID_RANGES];
	bool intel;
	u64 cr4_reserved;
	u64 xcr0;
	u16 first[VITRINE_CPUID_RANGES][VITRINE_CPUID_DIRECT];
	u16 next[VITRINE_CPUID_MAX_ENTRIES];
	struct kvm_cpuid_entry2 entry[];
};

void vitrine_cpuid_free(struct vitrine_vcpu *vcpu);
/*
 * EAX and ECX in, all four out; Intel's rule for leaves above the maximum. Fast: it is on the exit
 * path.
 */
void vitrine_cpuid_emulate(struct vitrine_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);
const struct kvm_cpuid_entry2 *vitrine_cpuid_find(struct vitrine_vcpu *vcpu, u32 function,
						  u32 index);
/* The leaf of the features of KVM_SIGNATURE, wherever the VMM put it; NULL if it has none. */
struct kvm_cpuid_entry2 *vitrine_cpuid_find_pv(struct vitrine_cpuid *cpuid);
/* Bits that mirror CR4 and XCR0 (OSXSAVE, OSPKE, 0xd sizes) and IA32_MISC_ENABLE are refreshed. */
void vitrine_cpuid_update_runtime(struct vitrine_vcpu *vcpu);
/* Was the guest told that it has this X86_FEATURE_*? Words that mirror CPUID leaves only. */
bool vitrine_cpuid_has(struct vitrine_vcpu *vcpu, unsigned int x86_feature);
/* What a guest on this host can have: the same question to KVM_GET_SUPPORTED_CPUID's answer. */
bool vitrine_cpuid_host_has(unsigned int x86_feature);
/* CPUID at this privilege level raises #GP: IA32_MISC_FEATURES_ENABLES has CPUID faulting on. */
bool vitrine_cpuid_faults(struct vitrine_vcpu *vcpu);
int vitrine_cpuid_module_init(void);

extern const struct vitrine_ioctl
	vitrine_cpuid_dev_ioctls[]; /* GET_SUPPORTED_CPUID, GET_EMULATED_CPUID */
extern const struct vitrine_ioctl vitrine_cpuid_vcpu_ioctls[];	/* SET_CPUID, SET/GET_CPUID2 */

#endif
