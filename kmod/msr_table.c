// SPDX-License-Identifier: GPL-2.0
/*
 * The table of MSRs that a guest has, one line each, and the short functions behind most lines. To
 * add an MSR, add a line in its place. An MSR that is not here does not exist: #GP for the guest, a
 * refusal for the VMM.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/stddef.h>
#include <asm/apicdef.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/msr.h>
#include <asm/mtrr.h>

#include "cpuid.h"
#include "msr_table.h"
#include "pv.h"
#include "regs.h"
#include "vm.h"

#define MISC_ENABLE_FIXED	(MSR_IA32_MISC_ENABLE_BTS_UNAVAIL | \
				 MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL)

static bool is_canonical(struct vitrine_vcpu *vcpu, u64 address)
{
	unsigned int bits = vitrine_backend->get_cr4(vcpu) & X86_CR4_LA57 ? 57 : 48;

	return address == (u64)((s64)(address << (64 - bits)) >> (64 - bits));
}

static MSR_GET(get_stored)
{
	*data = *msr_storage(&vcpu->msrs, row, msr);
	return 0;
}

static MSR_SET(set_stored)
{
	*msr_storage(&vcpu->msrs, row, msr) = data;
	return 0;
}

/* Of no use to a guest, but asked for by kernels on every CPU: reads as 0, takes 0. */
static MSR_GET(get_zero)
{
	*data = 0;
	return 0;
}

static MSR_SET(set_zero)
{
	return data ? -EINVAL : 0;
}

/* Requests to the CPU that a guest may make and that have no effect on it. */
static MSR_SET(set_nothing)
{
	return 0;
}

static MSR_GET(get_vendor)
{
	return vitrine_backend->get_msr(vcpu, msr, data);
}

static MSR_SET(set_vendor)
{
	return vitrine_backend->set_msr(vcpu, msr, data);
}

static MSR_SET(set_vendor_address)
{
	return is_canonical(vcpu, data) ? vitrine_backend->set_msr(vcpu, msr, data) : -EINVAL;
}

/* The SYSCALL MSRs: kept here, told to the vendor, who may have the old value in hardware now. */
static MSR_SET(set_shared)
{
	int ret;

	*msr_storage(&vcpu->msrs, row, msr) = data;
	ret = vitrine_backend->set_msr(vcpu, msr, data);
	return ret == -ENOENT ? 0 : ret;
}

static MSR_SET(set_shared_address)
{
	return is_canonical(vcpu, data) ? set_shared(vcpu, row, msr, data, host) : -EINVAL;
}

static MSR_SET(set_shared_32)
{
	return data >> 32 ? -EINVAL : set_shared(vcpu, row, msr, data, host);
}

static MSR_GET(get_tsc)
{
	*data = vitrine_vcpu_guest_tsc(vcpu, rdtsc());
	return 0;
}

static MSR_SET(set_tsc)
{
	vitrine_tsc_write(vcpu, data, host);
	return 0;
}

static MSR_SET(set_tsc_adjust)
{
	vitrine_tsc_write_adjust(vcpu, data, host);
	return 0;
}

static MSR_GET(get_tsc_deadline)
{
	if (!vcpu->lapic) {
		*data = 0;
		return host ? 0 : -EINVAL;
	}
	if (host) {
		*data = vitrine_lapic_get_tsc_deadline(vcpu);
		return 0;
	}
	return vitrine_lapic_msr_read(vcpu, msr, data);
}

static MSR_SET(set_tsc_deadline)
{
	if (!vcpu->lapic)
		return host && !data ? 0 : -EINVAL;
	if (host) {
		vitrine_lapic_set_tsc_deadline(vcpu, data);
		return 0;
	}
	return vitrine_lapic_msr_write(vcpu, msr, data);
}

static MSR_GET(get_apic_base)
{
	*data = vcpu->lapic ? vitrine_lapic_get_base(vcpu) : vcpu->apic_base;
	return 0;
}

static MSR_SET(set_apic_base)
{
	if (vcpu->lapic)
		return vitrine_lapic_set_base(vcpu, data, host);
	/*
	 * Without one in the kernel userspace follows by KVM_GET_SREGS; only the shape is checked.
	 */
	if ((data & (vitrine_reserved_gpa_bits(vcpu) | 0x2ff)) ||
	    ((data & X2APIC_ENABLE) && !(data & MSR_IA32_APICBASE_ENABLE)))
		return -EINVAL;
	vcpu->apic_base = data;
	vitrine_cpuid_update_runtime(vcpu);
	return 0;
}

static MSR_GET(get_x2apic)
{
	return vcpu->lapic ? vitrine_lapic_msr_read(vcpu, msr, data) : -EINVAL;
}

static MSR_SET(set_x2apic)
{
	return vcpu->lapic ? vitrine_lapic_msr_write(vcpu, msr, data) : -EINVAL;
}

static MSR_GET(get_efer)
{
	*data = vcpu->efer;
	return 0;
}

static MSR_SET(set_efer)
{
	return vitrine_efer_write(vcpu, data, host);
}

/*
 * "IA32_FEATURE_CONTROL": nothing that it could turn on is given to guests, so only the lock bit is
 * left.
 */
static MSR_SET(set_feature_control)
{
	if (data & ~(u64)FEAT_CTL_LOCKED)
		return -EINVAL;
	if (!host && (vcpu->msrs.feature_control & FEAT_CTL_LOCKED))
		return -EINVAL;
	vcpu->msrs.feature_control = data;
	return 0;
}

static MSR_GET(get_platform_info)
{
	if (!host && vcpu->vm->platform_info_hidden)
		return -EINVAL;
	return get_stored(vcpu, row, msr, data, host);
}

static MSR_SET(set_misc_features)
{
	if (data & ~(u64)MSR_MISC_FEATURES_ENABLES_CPUID_FAULT)
		return -EINVAL;
	if (data && !(vcpu->msrs.platform_info & MSR_PLATFORM_INFO_CPUID_FAULT) && !host)
		return -EINVAL;
	vcpu->msrs.misc_features = data;
	return 0;
}

static MSR_SET(set_misc_enable)
{
	u64 old = vcpu->msrs.misc_enable;

	if (!host) {
		/* Bits that tell what the CPU lacks stay as they are. */
		if ((data ^ old) & MISC_ENABLE_FIXED)
			return -EINVAL;
		data = (data & ~(u64)MSR_IA32_MISC_ENABLE_EMON) |
		       (old & MSR_IA32_MISC_ENABLE_EMON);
	}
	if ((data ^ old) & MSR_IA32_MISC_ENABLE_MWAIT &&
	    !vitrine_vm_has_quirk(vcpu->vm, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT)) {
		if (!vitrine_cpuid_has(vcpu, X86_FEATURE_XMM3))
			return -EINVAL;
		vcpu->msrs.misc_enable = data;
		vitrine_cpuid_update_runtime(vcpu);
	}
	vcpu->msrs.misc_enable = data;
	return 0;
}

/* Loading microcode ends in the same revision: a guest writes 0 here before it asks for it. */
static MSR_SET(set_ucode_revision)
{
	if (host)
		vcpu->msrs.bios_sign_id = data;
	return 0;
}

/*
 * "IA32_DEBUGCTL": branch records and single-stepping on branches are not offered; writes of them
 * do nothing.
 */
static MSR_SET(set_debugctl)
{
	return data & ~(u64)(DEBUGCTLMSR_LBR | DEBUGCTLMSR_BTF) ? -EINVAL : 0;
}

#define IN(member)	offsetof(struct vitrine_msrs, member)
#define SHARED(which)	IN(shared[VITRINE_MSR_##which])
#define ANY		MSR_ANY_CPU
#define IF(bit)		X86_FEATURE_##bit

/* The columns of the table. */
#define RANGE(first_, count_, flags_, feature_, offset_, get_, set_) {			\
	.first = first_, .count = count_, .flags = flags_, .offset = offset_,		\
	.feature = feature_, .get = get_, .set = set_ }
#define ONE(msr_, ...)	RANGE(msr_, 1, __VA_ARGS__)
#define ZEROES(first_, count_)	RANGE(first_, count_, 0, ANY, 0, get_zero, set_zero)
#define ZERO(msr_)	ZEROES(msr_, 1)

const struct vitrine_msr_row vitrine_msr_rows[] = {
	ZEROES(MSR_IA32_P5_MC_ADDR, 2),
	ONE(MSR_IA32_TSC, MSR_SAVE, ANY, 0, get_tsc, set_tsc),
	ONE(MSR_KVM_WALL_CLOCK, MSR_SAVE, ANY, 0, vitrine_kvmclock_get_wall_clock,
	    vitrine_kvmclock_set_wall_clock),
	ONE(MSR_KVM_SYSTEM_TIME, MSR_SAVE, ANY, 0, vitrine_kvmclock_get_system_time,
	    vitrine_kvmclock_set_system_time),
	ZERO(MSR_IA32_PLATFORM_ID),
	ONE(MSR_IA32_APICBASE, 0, ANY, 0, get_apic_base, set_apic_base),
	ZERO(MSR_IA32_EBL_CR_POWERON),
	ONE(MSR_SMI_COUNT, MSR_SAVE | MSR_READ_ONLY, ANY, IN(smi_count), get_stored, set_stored),
	ONE(MSR_IA32_FEAT_CTL, MSR_SAVE, ANY, IN(feature_control), get_stored, set_feature_control),
	ONE(MSR_IA32_TSC_ADJUST, MSR_SAVE, IF(TSC_ADJUST), IN(tsc_adjust), get_stored,
	    set_tsc_adjust),
	ONE(MSR_IA32_SPEC_CTRL, MSR_SAVE, ANY, 0, vitrine_spec_get_ctrl, vitrine_spec_set_ctrl),
	ONE(MSR_IA32_PRED_CMD, 0, ANY, 0, NULL, vitrine_spec_set_pred_cmd),
	ONE(MSR_IA32_UCODE_WRITE, 0, ANY, 0, get_zero, set_nothing),
	ONE(MSR_IA32_UCODE_REV, MSR_SAVE | MSR_FEATURE, ANY, IN(bios_sign_id), get_stored,
	    set_ucode_revision),
	ZEROES(MSR_P6_PERFCTR0, 2),
	ZERO(MSR_FSB_FREQ),
	ONE(MSR_PLATFORM_INFO, MSR_SAVE | MSR_READ_ONLY, ANY, IN(platform_info), get_platform_info,
	    set_stored),
	ONE(MSR_MTRRcap, 0, IF(MTRR), 0, vitrine_mtrr_get_cap, NULL),
	ONE(MSR_IA32_ARCH_CAPABILITIES, MSR_SAVE | MSR_FEATURE | MSR_READ_ONLY,
	    IF(ARCH_CAPABILITIES), IN(arch_capabilities), get_stored, set_stored),
	ONE(MSR_IA32_FLUSH_CMD, 0, ANY, 0, NULL, vitrine_spec_set_flush_cmd),
	ONE(MSR_MISC_FEATURES_ENABLES, MSR_SAVE, ANY, IN(misc_features), get_stored,
	    set_misc_features),
	ONE(MSR_IA32_SYSENTER_CS, MSR_SAVE, ANY, 0, get_vendor, set_vendor),
	RANGE(MSR_IA32_SYSENTER_ESP, 2, MSR_SAVE, ANY, 0, get_vendor,
	      set_vendor_address),
	ONE(MSR_IA32_MCG_CAP, 0, ANY, IN(mcg_cap), get_stored, NULL),
	ONE(MSR_IA32_MCG_STATUS, MSR_SAVE, ANY, IN(mcg_status), get_stored, vitrine_mce_set_status),
	ONE(MSR_IA32_MCG_CTL, MSR_SAVE, ANY, IN(mcg_ctl), vitrine_mce_get_ctl, vitrine_mce_set_ctl),
	ZEROES(MSR_P6_EVNTSEL0, 2),
	ZEROES(MSR_IA32_PERF_STATUS, 2),
	ONE(MSR_IA32_MISC_ENABLE, MSR_SAVE, ANY, IN(misc_enable), get_stored, set_misc_enable),
	ZEROES(MSR_LBR_SELECT, 2),
	ONE(MSR_IA32_DEBUGCTLMSR, 0, ANY, 0, get_zero, set_debugctl),
	ZEROES(MSR_IA32_LASTBRANCHFROMIP, 4),
	ONE(MSR_IA32_POWER_CTL, MSR_SAVE, ANY, IN(power_ctl), get_stored, set_stored),
	RANGE(MTRRphysBase_MSR(0), 16, MSR_SAVE, IF(MTRR), IN(mtrr_var), get_stored,
	      vitrine_mtrr_set_variable),
	ONE(MSR_MTRRfix64K_00000, MSR_SAVE, IF(MTRR), IN(mtrr_fixed[0]), get_stored,
	    vitrine_mtrr_set_fixed),
	RANGE(MSR_MTRRfix16K_80000, 2, MSR_SAVE, IF(MTRR), IN(mtrr_fixed[1]),
	      get_stored, vitrine_mtrr_set_fixed),
	RANGE(MSR_MTRRfix4K_C0000, 8, MSR_SAVE, IF(MTRR), IN(mtrr_fixed[3]),
	      get_stored, vitrine_mtrr_set_fixed),
	ONE(MSR_IA32_CR_PAT, MSR_SAVE, IF(PAT), IN(pat), get_stored, vitrine_pat_set),
	RANGE(MSR_IA32_MC0_CTL2, VITRINE_MCE_BANKS, 0, ANY, IN(mce_ctl2), vitrine_mce_get_ctl2,
	      vitrine_mce_set_ctl2),
	ONE(MSR_MTRRdefType, MSR_SAVE, IF(MTRR), IN(mtrr_def_type), get_stored,
	    vitrine_mtrr_set_def_type),
	ONE(MSR_IA32_PERF_CAPABILITIES, MSR_FEATURE, ANY, 0, get_zero, set_zero),
	RANGE(MSR_IA32_MC0_CTL, VITRINE_MCE_BANKS * 4, 0, ANY, IN(mce_banks), vitrine_mce_get_bank,
	      vitrine_mce_set_bank),
	ZERO(MSR_RAPL_POWER_UNIT),
	ZERO(MSR_PKG_ENERGY_STATUS),
	ZERO(MSR_DRAM_ENERGY_STATUS),
	ZERO(MSR_PP0_ENERGY_STATUS),
	ZERO(MSR_PP1_ENERGY_STATUS),
	ONE(MSR_IA32_TSC_DEADLINE, MSR_SAVE, ANY, 0, get_tsc_deadline, set_tsc_deadline),
	RANGE(APIC_BASE_MSR, 0x100, 0, ANY, 0, get_x2apic, set_x2apic),
	ONE(MSR_KVM_WALL_CLOCK_NEW, MSR_SAVE, ANY, 0, vitrine_kvmclock_get_wall_clock,
	    vitrine_kvmclock_set_wall_clock),
	ONE(MSR_KVM_SYSTEM_TIME_NEW, MSR_SAVE, ANY, 0, vitrine_kvmclock_get_system_time,
	    vitrine_kvmclock_set_system_time),
	ONE(MSR_KVM_STEAL_TIME, MSR_SAVE, ANY, 0, vitrine_steal_get_msr, vitrine_steal_set_msr),
	ONE(MSR_KVM_PV_EOI_EN, MSR_SAVE, ANY, 0, vitrine_pv_eoi_get_msr, vitrine_pv_eoi_set_msr),
	ONE(MSR_KVM_POLL_CONTROL, MSR_SAVE, ANY, 0, vitrine_pv_get_poll_control,
	    vitrine_pv_set_poll_control),
	ONE(MSR_EFER, 0, ANY, 0, get_efer, set_efer),
	ONE(MSR_STAR, MSR_SAVE, ANY, SHARED(STAR), get_stored, set_shared),
	ONE(MSR_LSTAR, MSR_SAVE, ANY, SHARED(LSTAR), get_stored, set_shared_address),
	ONE(MSR_CSTAR, MSR_SAVE, ANY, SHARED(CSTAR), get_stored, set_shared_address),
	ONE(MSR_SYSCALL_MASK, MSR_SAVE, ANY, SHARED(FMASK), get_stored, set_shared_32),
	RANGE(MSR_FS_BASE, 2, 0, ANY, 0, get_vendor, set_vendor_address),
	ONE(MSR_KERNEL_GS_BASE, MSR_SAVE, ANY, 0, get_vendor, set_vendor_address),
	ONE(MSR_TSC_AUX, MSR_SAVE, IF(RDTSCP), SHARED(TSC_AUX), get_stored, set_shared_32),
};

const unsigned int vitrine_msr_nr_rows = ARRAY_SIZE(vitrine_msr_rows);
