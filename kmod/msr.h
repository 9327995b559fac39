/* SPDX-License-Identifier: GPL-2.0 */
/* Guest MSRs: one table, one lookup. MSRs in vendor state are reached through the backend. */
#ifndef VITRINE_MSR_H
#define VITRINE_MSR_H

#include <linux/types.h>

#include "ioctl.h"

struct vitrine_vcpu;

/*
 * MSRs that the guest shares with the host's SYSCALL entry; switched by the user-return notifier
 * (vmx/state.c).
 */
enum vitrine_shared_msr {
	VITRINE_MSR_STAR,
	VITRINE_MSR_LSTAR,
	VITRINE_MSR_CSTAR,
	VITRINE_MSR_FMASK,
	VITRINE_MSR_TSC_AUX,
	VITRINE_NR_SHARED_MSRS
};

#define VITRINE_MCE_BANKS	32

/* struct vitrine_msrs - MSR values that live in the vCPU, not in the vendor's state [v] */
struct vitrine_msrs {
	u64 shared[VITRINE_NR_SHARED_MSRS];
	u64 misc_enable;
	u64 pat;
	u64 arch_capabilities;
	u64 platform_info;
	u64 feature_control;
	u64 bios_sign_id;
	u64 spec_ctrl;
	u64 mtrr_def_type;
	u64 mtrr_fixed[11];
	u64 mtrr_var[16];
	u64 mcg_cap;
	u64 mcg_status;
	u64 mcg_ctl;
	u64 mce_banks[VITRINE_MCE_BANKS * 4];	/* CTL, STATUS, ADDR, MISC of each */
	u64 mce_ctl2[VITRINE_MCE_BANKS];
	u64 smi_count;
	u64 tsc_adjust;
	u64 misc_features;
	u64 power_ctl;
};

void vitrine_msr_reset(struct vitrine_vcpu *vcpu, bool init);
/*
 * @host: the VMM asks (KVM_GET/SET_MSRS): read-only MSRs may be set, the guest's CPUID is not
 * consulted. 0, -ENOENT for an MSR that is not in the table, -EINVAL for one that this guest does
 * not have or a value that faults; a guest gets #GP for both, unless its VMM wants to know.
 */
int vitrine_msr_read(struct vitrine_vcpu *vcpu, u32 msr, u64 *data, bool host);
int vitrine_msr_write(struct vitrine_vcpu *vcpu, u32 msr, u64 data, bool host);
/* After SET_CPUID2 and SET_MSR_FILTER: what exits depends on what the guest may have. */
void vitrine_msr_update_intercepts(struct vitrine_vcpu *vcpu);
/* One of them: by its hardware, unless the VMM filters it. */
void vitrine_msr_set_intercept(struct vitrine_vcpu *vcpu, u32 msr, bool read, bool write);
int vitrine_msr_module_init(void);

extern const struct vitrine_ioctl
	vitrine_msr_dev_ioctls[]; /* GET_MSR_INDEX_LIST, feature MSRs, GET_MSRS */
extern const struct vitrine_ioctl vitrine_msr_vcpu_ioctls[];	/* GET_MSRS, SET_MSRS */

#endif
