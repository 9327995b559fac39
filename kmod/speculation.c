// SPDX-License-Identifier: GPL-2.0
/*
 * The MSRs of the side-channel defences as the guest sees them. What is switched at entry and exit
 * is the entry path's; here a value is only let through if this CPU takes it, since it will be
 * written to hardware as it is.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>

#include "cpuid.h"
#include "msr_table.h"
#include "regs.h"

/* Bits without a name in the kernels built for: "IA32_SPEC_CTRL MSR", CPUID leaf 7.2 */
#define SPEC_CTRL_IPRED_DIS	(BIT_ULL(3) | BIT_ULL(4))
#define SPEC_CTRL_RRSBA_DIS	(BIT_ULL(5) | BIT_ULL(6))
#define SPEC_CTRL_PSFD_BIT	BIT_ULL(7)
#define SPEC_CTRL_DDPD_U	BIT_ULL(8)
#define SPEC_CTRL_BHI_DIS	BIT_ULL(10)

/* Only what the guest can act on, and what stays true in it. */
#define ARCH_CAP_PASSED                                                                          \
	(ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_RSBA | ARCH_CAP_SKIP_VMENTRY_L1DFLUSH | \
	 ARCH_CAP_SSB_NO | ARCH_CAP_MDS_NO | ARCH_CAP_PSCHANGE_MC_NO | ARCH_CAP_TAA_NO |         \
	 ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO | ARCH_CAP_FB_CLEAR |      \
	 ARCH_CAP_RRSBA | ARCH_CAP_PBRSB_NO | ARCH_CAP_GDS_NO | ARCH_CAP_RFDS_NO |               \
	 ARCH_CAP_RFDS_CLEAR | ARCH_CAP_BHI_NO | ARCH_CAP_ITS_NO)

u64 vitrine_spec_arch_capabilities(void)
{
	u64 caps = 0;

	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, caps);
	caps &= ARCH_CAP_PASSED;
	/* What the kernel knows of this model without the CPU saying so. */
	if (!boot_cpu_has_bug(X86_BUG_CPU_MELTDOWN))
		caps |= ARCH_CAP_RDCL_NO;
	if (!boot_cpu_has_bug(X86_BUG_SPEC_STORE_BYPASS))
		caps |= ARCH_CAP_SSB_NO;
	if (!boot_cpu_has_bug(X86_BUG_MDS))
		caps |= ARCH_CAP_MDS_NO;
	/*
	 * Without TSX there is nothing to abort, and a guest that lands on another host must not
	 * rely on it.
	 */
	if (!vitrine_cpuid_host_has(X86_FEATURE_RTM))
		caps &= ~(u64)ARCH_CAP_TAA_NO;
	else if (!boot_cpu_has_bug(X86_BUG_TAA))
		caps |= ARCH_CAP_TAA_NO;
	return caps;
}

static u64 spec_ctrl_bits(void)
{
	u32 eax, ebx, ecx, edx;
	u64 bits = 0;

	if (vitrine_cpuid_host_has(X86_FEATURE_SPEC_CTRL))
		bits |= SPEC_CTRL_IBRS | SPEC_CTRL_STIBP;
	if (vitrine_cpuid_host_has(X86_FEATURE_INTEL_STIBP))
		bits |= SPEC_CTRL_STIBP;
	if (vitrine_cpuid_host_has(X86_FEATURE_SPEC_CTRL_SSBD))
		bits |= SPEC_CTRL_SSBD;
	if (!bits || cpuid_eax(0) < 7)
		return bits;
	cpuid_count(7, 0, &eax, &ebx, &ecx, &edx);
	if (eax < 2)
		return bits;
	cpuid_count(7, 2, &eax, &ebx, &ecx, &edx);
	if (edx & BIT(0))
		bits |= SPEC_CTRL_PSFD_BIT;
	if (edx & BIT(1))
		bits |= SPEC_CTRL_IPRED_DIS;
	if (edx & BIT(2))
		bits |= SPEC_CTRL_RRSBA_DIS;
	if (edx & BIT(3))
		bits |= SPEC_CTRL_DDPD_U;
	if (edx & BIT(4))
		bits |= SPEC_CTRL_BHI_DIS;
	return bits;
}

static bool guest_has_spec_ctrl(struct vitrine_vcpu *vcpu)
{
	return vitrine_cpuid_has(vcpu, X86_FEATURE_SPEC_CTRL) ||
	       vitrine_cpuid_has(vcpu, X86_FEATURE_INTEL_STIBP) ||
	       vitrine_cpuid_has(vcpu, X86_FEATURE_SPEC_CTRL_SSBD);
}

MSR_GET(vitrine_spec_get_ctrl)
{
	if (!host && !guest_has_spec_ctrl(vcpu))
		return -EINVAL;
	*data = vcpu->msrs.spec_ctrl;
	return 0;
}

MSR_SET(vitrine_spec_set_ctrl)
{
	if (!host && !guest_has_spec_ctrl(vcpu))
		return -EINVAL;
	if (data & ~spec_ctrl_bits())
		return -EINVAL;
	vcpu->msrs.spec_ctrl = data;
	/*
	 * A guest that uses it does so often: from now on without exits, and with the switch at
	 * each of them.
	 */
	if (data && !host)
		vitrine_msr_set_intercept(vcpu, msr, false, false);
	return 0;
}

MSR_SET(vitrine_spec_set_pred_cmd)
{
	if (!host && !vitrine_cpuid_has(vcpu, X86_FEATURE_SPEC_CTRL))
		return -EINVAL;
	if (!boot_cpu_has(X86_FEATURE_IBPB) || (data & ~(u64)PRED_CMD_IBPB))
		return -EINVAL;
	if (data)
		wrmsrl(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
	return 0;
}

MSR_SET(vitrine_spec_set_flush_cmd)
{
	if (!host && !vitrine_cpuid_has(vcpu, X86_FEATURE_FLUSH_L1D))
		return -EINVAL;
	if (!boot_cpu_has(X86_FEATURE_FLUSH_L1D) || (data & ~(u64)L1D_FLUSH))
		return -EINVAL;
	if (data)
		wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
	return 0;
}
