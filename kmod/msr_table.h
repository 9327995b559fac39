/* SPDX-License-Identifier: GPL-2.0 */
/* The rows of the MSR table: for msr.c and the files that hold rows' functions. */
#ifndef VITRINE_MSR_TABLE_H
#define VITRINE_MSR_TABLE_H

#include <linux/nospec.h>
#include <linux/types.h>

#include "msr.h"

/* Row flags. */
#define MSR_SAVE	0x1	/* part of a vCPU's state: in KVM_GET_MSR_INDEX_LIST */
#define MSR_FEATURE	0x2	/* what the host can offer: in KVM_GET_MSR_FEATURE_INDEX_LIST */
#define MSR_READ_ONLY	0x4	/* a guest's write faults; the VMM may write */

#define MSR_ANY_CPU	(~0U)	/* row.feature: no CPUID bit is asked for */

/**
 * struct vitrine_msr_row - one MSR, or a range of alike ones
 * @first: index of the first
 * @count: of them
 * @flags: MSR_*
 * @feature: X86_FEATURE_* without which it does not exist for the guest, or MSR_ANY_CPU
 * @offset: of the value in struct vitrine_msrs, for get and set functions that need one
 * @get: @set: 0, -ENOENT or -EINVAL as in msr.h; NULL faults
 */
struct vitrine_msr_row {
	u32 first;
	u32 count;
	u16 flags;
	u16 offset;
	u32 feature;
	int (*get)(struct vitrine_vcpu *vcpu, const struct vitrine_msr_row *row, u32 msr, u64 *data,
		   bool host);
	int (*set)(struct vitrine_vcpu *vcpu, const struct vitrine_msr_row *row, u32 msr, u64 data,
		   bool host);
};

#define MSR_GET(name)	int name(struct vitrine_vcpu *vcpu, const struct vitrine_msr_row *row, \
				 u32 msr, u64 *data, bool host)
#define MSR_SET(name)	int name(struct vitrine_vcpu *vcpu, const struct vitrine_msr_row *row, \
				 u32 msr, u64 data, bool host)

/* Ascending, without overlap. */
extern const struct vitrine_msr_row vitrine_msr_rows[];
extern const unsigned int vitrine_msr_nr_rows;

static inline u64 *msr_storage(struct vitrine_msrs *msrs, const struct vitrine_msr_row *row,
			       u32 msr)
{
	u32 i = array_index_nospec(msr - row->first, row->count);

	return (u64 *)((u8 *)msrs + row->offset) + i;
}

/* mtrr.c: memory types are stored and checked; the second level's own types decide what RAM is. */
MSR_SET(vitrine_mtrr_set_fixed);
MSR_SET(vitrine_mtrr_set_variable);
MSR_SET(vitrine_mtrr_set_def_type);
MSR_SET(vitrine_pat_set);
MSR_GET(vitrine_mtrr_get_cap);

/* mce.c */
MSR_SET(vitrine_mce_set_status);
MSR_GET(vitrine_mce_get_ctl);
MSR_SET(vitrine_mce_set_ctl);
MSR_GET(vitrine_mce_get_ctl2);
MSR_SET(vitrine_mce_set_ctl2);
MSR_GET(vitrine_mce_get_bank);
MSR_SET(vitrine_mce_set_bank);

/* speculation.c: the MSRs of the side-channel defences */
MSR_GET(vitrine_spec_get_ctrl);
MSR_SET(vitrine_spec_set_ctrl);
MSR_SET(vitrine_spec_set_pred_cmd);
MSR_SET(vitrine_spec_set_flush_cmd);
u64 vitrine_spec_arch_capabilities(void);

/* The device's answer for a feature MSR. */
int vitrine_msr_feature_get(u32 msr, u64 *data);

#endif
