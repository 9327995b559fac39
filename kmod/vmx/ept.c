// SPDX-License-Identifier: GPL-2.0
/*
 * The EPT pointer. What it leads to is kmod/mmu.c's; flushing what a CPU cached of it is vmx.c's.
 */
#include "ept.h"
#include "mmu.h"

u64 vmx_ept_pointer(const struct vitrine_mmu *mmu)
{
	u64 eptp = mmu->root_hpa | VMX_EPTP_MT_WB | VMX_EPTP_PWL_4;

	if (vmx_caps.ept_ad)
		eptp |= VMX_EPTP_AD_ENABLE_BIT;
	return eptp;
}
