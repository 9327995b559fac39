/* SPDX-License-Identifier: GPL-2.0 */
/* The guest's CPUID: what this host supports, what the VMM set, what an exit answers. */
#ifndef VITRINE_CPUID_H
#define VITRINE_CPUID_H

#include <linux/kvm.h>
#include <linux/types.h>

struct vitrine_ioctl;
struct vitrine_vcpu;

/**
 * struct vitrine_cpuid - a vCPU's CPUID table, replaced whole by KVM_SET_CPUID2
 * @nr: entries
 * @max_basic: @max_extended: highest leaf of each range, for out-of-range leaves
 * @entry: sorted by function, then index
 */
struct vitrine_cpuid {
	u32 nr;
	u32 max_basic;
	u32 max_extended;
	struct kvm_cpuid_entry2 entry[];
};

void vitrine_cpuid_free(struct vitrine_vcpu *vcpu);
/* EAX and ECX in, all four out; Intel's rule for leaves above the maximum. Fast: it is on the exit path. */
void vitrine_cpuid_emulate(struct vitrine_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);
const struct kvm_cpuid_entry2 *vitrine_cpuid_find(struct vitrine_vcpu *vcpu, u32 function, u32 index);
/* Bits that mirror CR4 and XCR0 (OSXSAVE, OSPKE, 0xd sizes) and IA32_MISC_ENABLE are refreshed. */
void vitrine_cpuid_update_runtime(struct vitrine_vcpu *vcpu);
int vitrine_cpuid_module_init(void);
void vitrine_cpuid_module_exit(void);

extern const struct vitrine_ioctl vitrine_cpuid_dev_ioctls[];	/* GET_SUPPORTED_CPUID, GET_EMULATED_CPUID */
extern const struct vitrine_ioctl vitrine_cpuid_vcpu_ioctls[];	/* SET_CPUID, SET_CPUID2, GET_CPUID2 */

#endif
