/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What this CPU's VMX can do and what of it this module uses; filled once at load, compared on
 * every CPU.
 */
#ifndef VMX_CAPS_H
#define VMX_CAPS_H

#include <linux/types.h>

struct vitrine_caps;

/**
 * struct vmx_caps - settings common to every VMCS and features found
 * @pin: @cpu: @cpu2: @exit: @entry: control words: required and wanted bits that this CPU allows
 * @cpu_allowed: @cpu2_allowed: every bit of those two that may be 1
 * @basic: IA32_VMX_BASIC
 * @misc: IA32_VMX_MISC
 * @ept_vpid: IA32_VMX_EPT_VPID_CAP
 * @cr0_fixed0: @cr0_fixed1: @cr4_fixed0: @cr4_fixed1: IA32_VMX_CRn_FIXEDm
 * @ept_ad: accessed and dirty bits for EPT
 * @ept_2m: @ept_1g: page sizes
 * @ept_exec_only: execute-only translations
 * @invept_single: @invvpid_single: single-context invalidation
 * @vpid: VPID is in use
 * @preemption_timer: can be armed; @preemption_timer_shift: TSC bits dropped by its counter
 * @tsc_scaling: guest TSC may run at another rate
 * @invpcid: @rdtscp: @wbinvd: @umwait: instruction controls present
 * @tpr_shadow: @apicv: what apicv.c turns on for a VM is there; it is not in the words above
 * @pml: page-modification log
 */
struct vmx_caps {
	u32 pin;
	u32 cpu;
	u32 cpu2;
	u32 exit;
	u32 entry;
	u32 cpu_allowed;
	u32 cpu2_allowed;
	u64 basic;
	u64 misc;
	u64 ept_vpid;
	u64 cr0_fixed0, cr0_fixed1;
	u64 cr4_fixed0, cr4_fixed1;
	bool ept_ad;
	bool ept_2m;
	bool ept_1g;
	bool ept_exec_only;
	bool invept_single;
	bool invvpid_single;
	bool vpid;
	bool preemption_timer;
	u8 preemption_timer_shift;
	bool tsc_scaling;
	bool invpcid;
	bool rdtscp;
	bool umwait;
	bool tpr_shadow;
	bool apicv;
	bool pml;
};

extern struct vmx_caps vmx_caps;

/*
 * Reads this CPU's capabilities; logs every missing required control by its SDM name. 0, -ENODEV,
 * -EOPNOTSUPP.
 */
int vmx_caps_read(struct vmx_caps *caps, bool log_missing);
/* Does this CPU offer what the boot CPU does? 0 or -EOPNOTSUPP with one line. Any context. */
int vmx_caps_compare(void);
/* Is VMX there and let through by the firmware? 0, -ENODEV (no VMX), -EPERM (firmware). */
int vmx_caps_check_firmware(void);
void vmx_caps_report(struct vitrine_caps *caps);

#endif
