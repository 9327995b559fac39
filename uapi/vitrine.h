/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * Vitrine's own ABI: what KVM has no word for. Everything else on /dev/vitrine is <linux/kvm.h>.
 *
 * All structures have fixed-width members and no implicit padding; reserved members must be zero.
 * Every command fails with -EIO when called from another process's address space than the
 * creator's, -EFAULT for a bad pointer, -ENOTTY where the running module does not know it.
 *
 * VITRINE_GET_CAPS (device fd)
 *	Out: struct vitrine_caps. What this CPU offers of VMX, as the module read it at load:
 *	the raw capability MSRs, and who holds VMX now. Needs no VM. Errors: none of its own.
 *
 * VITRINE_GET_MITIGATIONS (device fd)
 *	Out: struct vitrine_mitigations. What the entry path does against side channels on this
 *	CPU: a bit in @needed for each attack this CPU is open to, and one in @active for each
 *	that the module counters now.
 *
 * VITRINE_GET_STATS (vCPU fd)
 *	Out: struct vitrine_vcpu_stats. Counters of one vCPU since its creation. Waits while the
 *	vCPU is inside KVM_RUN in another thread. Ticks are of the host's TSC.
 */
#ifndef _UAPI_VITRINE_H
#define _UAPI_VITRINE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VITRINE_IOC_MAGIC	0xb7

#define VITRINE_NR_VMX_MSRS	18	/* IA32_VMX_BASIC (0x480) to IA32_VMX_VMFUNC (0x491) */

/* struct vitrine_caps.owner */
#define VITRINE_VMX_FREE	0	/* nobody is in VMX operation */
#define VITRINE_VMX_OURS	1	/* at least one VM of this module lives */
#define VITRINE_VMX_FOREIGN	2	/* CR4.VMXE is set and not by this module */

/**
 * struct vitrine_caps - what VMX offers here
 * @vmx_msr: raw values of MSRs 0x480 to 0x491 by number; 0 where the CPU has no such MSR
 * @feature_control: IA32_FEATURE_CONTROL, MSR 0x3a
 * @owner: VITRINE_VMX_*
 * @vms: living virtual machines
 * @ept_in_use: @vpid_in_use: feature used by this module (0 or 1)
 * @tpr_shadow_in_use: @apicv_in_use: likewise
 * @pml_in_use: likewise: VMs created now have writes logged by the CPU (page-modification log)
 * @reserved8: @reserved: zero
 */
struct vitrine_caps {
	__u64 vmx_msr[VITRINE_NR_VMX_MSRS];
	__u64 feature_control;
	__u32 owner;
	__u32 vms;
	__u8 ept_in_use;
	__u8 vpid_in_use;
	__u8 tpr_shadow_in_use;
	__u8 apicv_in_use;
	__u8 pml_in_use;
	__u8 reserved8[3];
	__u32 reserved[2];
};

#define VITRINE_GET_CAPS	_IOR(VITRINE_IOC_MAGIC, 0x00, struct vitrine_caps)

/* Bits of struct vitrine_mitigations. */
#define VITRINE_MIT_ITLB_MULTIHIT	(1ULL << 0)	/* huge pages not executable */
#define VITRINE_MIT_L1TF		(1ULL << 1)	/* L1D flushed before entry */
#define VITRINE_MIT_MDS			(1ULL << 2)	/* VERW last before entry */
#define VITRINE_MIT_RSB			(1ULL << 3)	/* return stack filled after exit */
#define VITRINE_MIT_BHI			(1ULL << 4)	/* branch history cleared after exit */
#define VITRINE_MIT_SPEC_CTRL		(1ULL << 5)	/* IA32_SPEC_CTRL switched */
#define VITRINE_MIT_IBPB		(1ULL << 6)	/* predictor barrier between vCPUs */
#define VITRINE_MIT_VMSCAPE		(1ULL << 7)	/* predictor barrier before the VMM */
#define VITRINE_NR_MITIGATIONS		8

/**
 * struct vitrine_mitigations - side channels: VITRINE_MIT_* bits
 * @needed: this CPU is open to the attack, and the kernel's command line did not turn the defence
 * off
 * @active: the module does what is needed; VM creation is refused while a needed bit is missing
 * here
 */
struct vitrine_mitigations {
	__u64 needed;
	__u64 active;
};

#define VITRINE_GET_MITIGATIONS	_IOR(VITRINE_IOC_MAGIC, 0x01, struct vitrine_mitigations)

#define VITRINE_STATS_NR_REASONS	80
#define VITRINE_STATS_NR_COUNTERS	32

/**
 * struct vitrine_vcpu_stats - counters of one vCPU
 * @guest_ticks: host TSC ticks spent inside the guest
 * @host_ticks: host TSC ticks inside KVM_RUN but outside the guest
 * @exit_count: exits by basic exit reason of the SDM
 * @exit_ticks: host TSC ticks from such an exit to the next entry or to the return to the VMM
 * @counter: named counters; their order and names are VITRINE_COUNTER_NAMES
 */
struct vitrine_vcpu_stats {
	__u64 guest_ticks;
	__u64 host_ticks;
	__u64 exit_count[VITRINE_STATS_NR_REASONS];
	__u64 exit_ticks[VITRINE_STATS_NR_REASONS];
	__u64 counter[VITRINE_STATS_NR_COUNTERS];
};

#define VITRINE_GET_STATS	_IOR(VITRINE_IOC_MAGIC, 0x20, struct vitrine_vcpu_stats)

/* Names of vitrine_vcpu_stats.counter[], in order, separated by commas; the rest are zero. */
#define VITRINE_COUNTER_NAMES	\
	"runs,user_exits,signal_exits,halts,halt_ticks,irq_injected,nmi_injected," \
	"exceptions_injected,mem_faults,mem_fault_retries,insn_decoded,tlb_flushes,preemptions," \
	"hypercalls,halt_attempted_poll,halt_successful_poll,halt_poll_success_ns," \
	"halt_poll_fail_ns"

#endif
