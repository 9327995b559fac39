// SPDX-License-Identifier: GPL-2.0
/*
 * MTRRs and PAT of a guest: kept for it to read back, with the faults of the real ones. They do not
 * change how its memory is cached: RAM is write-back by the second level's own type, whatever a
 * guest says.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bits.h>
#include <linux/errno.h>
#include <asm/msr-index.h>

#include "msr_table.h"
#include "regs.h"

/* "IA32_MTRRCAP MSR": eight variable ranges, fixed ranges, write combining */
#define MTRRCAP		0x508ULL
#define DEF_TYPE_BITS	0xcffULL	/* type, FE, E */
#define VARIABLE_VALID	BIT_ULL(11)	/* in IA32_MTRR_PHYSMASKn */

/* UC, WC, WT, WP, WB */
static bool is_mtrr_type(u64 type)
{
	return type < 8 && (BIT(type) & 0x73);
}

/* PAT knows UC- besides. */
static bool is_pat_type(u64 type)
{
	return type == 7 || is_mtrr_type(type);
}

static bool all_types(u64 data, bool (*is_type)(u64 type))
{
	unsigned int i;

	for (i = 0; i < 64; i += 8)
		if (!is_type(data >> i & 0xff))
			return false;
	return true;
}

MSR_GET(vitrine_mtrr_get_cap)
{
	*data = MTRRCAP;
	return 0;
}

MSR_SET(vitrine_mtrr_set_fixed)
{
	if (!all_types(data, is_mtrr_type))
		return -EINVAL;
	*msr_storage(&vcpu->msrs, row, msr) = data;
	return 0;
}

MSR_SET(vitrine_mtrr_set_variable)
{
	bool is_mask = (msr - row->first) & 1;
	u64 reserved = vitrine_reserved_gpa_bits(vcpu);

	if (is_mask)
		reserved |= GENMASK_ULL(11, 0) & ~VARIABLE_VALID;
	else
		reserved |= GENMASK_ULL(11, 8);
	/* A VMM may restore before it has set CPUID, and with it the width. */
	if (host && !vcpu->cpuid)
		reserved &= GENMASK_ULL(11, 0);
	if (data & reserved)
		return -EINVAL;
	if (!is_mask && !is_mtrr_type(data & 0xff))
		return -EINVAL;
	*msr_storage(&vcpu->msrs, row, msr) = data;
	return 0;
}

MSR_SET(vitrine_mtrr_set_def_type)
{
	if ((data & ~DEF_TYPE_BITS) || !is_mtrr_type(data & 0xff))
		return -EINVAL;
	vcpu->msrs.mtrr_def_type = data;
	return 0;
}

MSR_SET(vitrine_pat_set)
{
	int ret;

	if (!all_types(data, is_pat_type))
		return -EINVAL;
	vcpu->msrs.pat = data;
	ret = vitrine_backend->set_msr(vcpu, msr, data);
	return ret == -ENOENT ? 0 : ret;
}
