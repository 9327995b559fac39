// SPDX-License-Identifier: GPL-2.0
/*
 * Machine-check banks of a guest: MSRs that the VMM sizes and fills. No machine check of the host's
 * gets here.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kvm.h>
#include <linux/nospec.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <asm/mce.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/traps.h>

#include "ioctl.h"
#include "mce.h"
#include "msr_table.h"
#include "regs.h"
#include "vm.h"

/*
 * What a VMM may ask for in IA32_MCG_CAP beside the number of banks: IA32_MCG_CTL, software error
 * recovery, and where the CPU is Intel's an interrupt for corrected errors, as KVM
 */
#define MCG_CAP_SUPPORTED	(MCG_CTL_P | MCG_SER_P | MCG_CMCI_P)
#define ALL_ONES		(~0ULL)

enum { BANK_CTL, BANK_STATUS, BANK_ADDR, BANK_MISC };

static unsigned int nr_banks(const struct vitrine_vcpu *vcpu)
{
	return vcpu->msrs.mcg_cap & MCG_BANKCNT_MASK;
}

MSR_SET(vitrine_mce_set_status)
{
	vcpu->msrs.mcg_status = data;
	return 0;
}

MSR_GET(vitrine_mce_get_ctl)
{
	if (!(vcpu->msrs.mcg_cap & MCG_CTL_P) && !host)
		return -EINVAL;
	*data = vcpu->msrs.mcg_ctl;
	return 0;
}

MSR_SET(vitrine_mce_set_ctl)
{
	if (!(vcpu->msrs.mcg_cap & MCG_CTL_P) && (data || !host))
		return -EINVAL;
	if (data && data != ALL_ONES)
		return -EINVAL;
	vcpu->msrs.mcg_ctl = data;
	return 0;
}

/* "IA32_MCi_CTL2 MSRs" */
MSR_GET(vitrine_mce_get_ctl2)
{
	if (msr - row->first >= nr_banks(vcpu) || (!(vcpu->msrs.mcg_cap & MCG_CMCI_P) && !host))
		return -EINVAL;
	*data = *msr_storage(&vcpu->msrs, row, msr);
	return 0;
}

MSR_SET(vitrine_mce_set_ctl2)
{
	if (msr - row->first >= nr_banks(vcpu) ||
	    (!(vcpu->msrs.mcg_cap & MCG_CMCI_P) && (data || !host)) ||
	    data & ~(u64)(MCI_CTL2_CMCI_EN | MCI_CTL2_CMCI_THRESHOLD_MASK))
		return -EINVAL;
	*msr_storage(&vcpu->msrs, row, msr) = data;
	return 0;
}

MSR_GET(vitrine_mce_get_bank)
{
	if ((msr - row->first) / 4 >= nr_banks(vcpu))
		return -EINVAL;
	*data = *msr_storage(&vcpu->msrs, row, msr);
	return 0;
}

MSR_SET(vitrine_mce_set_bank)
{
	unsigned int kind = (msr - row->first) % 4;

	if ((msr - row->first) / 4 >= nr_banks(vcpu))
		return -EINVAL;
	/*
	 * "IA32_MCi_CTL MSRs": all or nothing; Linux clears bit 10 of bank 4 on some AMD, bit 0 of
	 * bank 0 elsewhere.
	 */
	if (!host && kind == BANK_CTL && data && (data | BIT_ULL(10) | 1) != ALL_ONES)
		return -EINVAL;
	/* "IA32_MCi_STATUS MSRS": software clears, it does not set. */
	if (!host && kind == BANK_STATUS && data)
		return -EINVAL;
	*msr_storage(&vcpu->msrs, row, msr) = data;
	return 0;
}

static long mce_ioctl_get_supported(void *obj, struct vitrine_ioctl_arg *arg)
{
	*(u64 *)arg->data = MCG_CAP_SUPPORTED;
	return 0;
}

static long mce_ioctl_setup(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;
	u64 mcg_cap = *(u64 *)arg->data;
	unsigned int banks = mcg_cap & MCG_BANKCNT_MASK;
	unsigned int i;

	if (!banks || banks > VITRINE_MCE_BANKS) {
		pr_debug_ratelimited("KVM_X86_SETUP_MCE: field bank count is %u, must be 1 to %u\n",
				     banks, VITRINE_MCE_BANKS);
		return -EINVAL;
	}
	if (mcg_cap & ~(MCG_CAP_SUPPORTED | MCG_BANKCNT_MASK)) {
		pr_debug_ratelimited("KVM_X86_SETUP_MCE: field mcg_cap is %#llx, must be within %#llx\n",
				     mcg_cap, MCG_CAP_SUPPORTED | MCG_BANKCNT_MASK);
		return -EINVAL;
	}
	vcpu->msrs.mcg_cap = mcg_cap;
	vcpu->msrs.mcg_ctl = mcg_cap & MCG_CTL_P ? ALL_ONES : 0;
	for (i = 0; i < banks; i++)
		vcpu->msrs.mce_banks[i * 4 + BANK_CTL] = ALL_ONES;
	if (vcpu->lapic && mcg_cap & MCG_CMCI_P)
		vitrine_lapic_add_cmci(vcpu);
	return 0;
}

/*
 * "Machine-Check Global Status", "Error-Reporting Register Banks": what the error does to bank and
 * CPU
 */
static void raise(struct vitrine_vcpu *vcpu, const struct kvm_x86_mce *mce)
{
	u64 *bank = &vcpu->msrs.mce_banks[mce->bank * 4];

	if (mce->status & MCI_STATUS_UC) {
		/*
		 * A second one while the first is being handled, or one that the guest does not
		 * take, ends it.
		 */
		if ((vcpu->msrs.mcg_status & MCG_STATUS_MCIP) ||
		    !(vitrine_backend->get_cr4(vcpu) & X86_CR4_MCE)) {
			vitrine_vcpu_request(vcpu, VITRINE_REQ_TRIPLE_FAULT);
			return;
		}
		vcpu->msrs.mcg_status = mce->mcg_status;
	} else if (bank[BANK_STATUS] & MCI_STATUS_UC) {
		/* An uncorrected error is not overwritten by a corrected one. */
		bank[BANK_STATUS] |= MCI_STATUS_OVER;
		return;
	}
	bank[BANK_ADDR] = mce->addr;
	bank[BANK_MISC] = mce->misc;
	bank[BANK_STATUS] = mce->status |
			    (bank[BANK_STATUS] & MCI_STATUS_VAL ? MCI_STATUS_OVER : 0);
	if (mce->status & MCI_STATUS_UC)
		vitrine_vcpu_queue_exception(vcpu, X86_TRAP_MC, false, 0);
}

/* "Uncorrected no action required": logged, and told like a corrected one, by an interrupt. */
static bool is_ucna(const struct kvm_x86_mce *mce)
{
	return !mce->mcg_status && mce->status & MCI_STATUS_UC &&
	       !(mce->status & (MCI_STATUS_PCC | MCI_STATUS_S | MCI_STATUS_AR));
}

static void log_ucna(struct vitrine_vcpu *vcpu, const struct kvm_x86_mce *mce)
{
	unsigned int nr = array_index_nospec(mce->bank, VITRINE_MCE_BANKS);
	u64 *bank = &vcpu->msrs.mce_banks[nr * 4];

	bank[BANK_STATUS] = mce->status;
	bank[BANK_ADDR] = mce->addr;
	bank[BANK_MISC] = mce->misc;
	vcpu->msrs.mcg_status = 0;
	if (vcpu->lapic && vcpu->msrs.mcg_cap & MCG_CMCI_P &&
	    vcpu->msrs.mce_ctl2[nr] & MCI_CTL2_CMCI_EN)
		vitrine_lapic_raise_cmci(vcpu);
}

static long mce_ioctl_set(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;
	const struct kvm_x86_mce *mce = arg->data;

	if (mce->bank >= nr_banks(vcpu)) {
		pr_debug_ratelimited("KVM_X86_SET_MCE: field bank is %u, must be below %u\n",
				     mce->bank, nr_banks(vcpu));
		return -EINVAL;
	}
	if (!(mce->status & MCI_STATUS_VAL)) {
		pr_debug_ratelimited("KVM_X86_SET_MCE: field status is %#llx, must have bit 63\n",
				     mce->status);
		return -EINVAL;
	}
	if (is_ucna(mce)) {
		log_ucna(vcpu, mce);
		return 0;
	}
	/* Reporting that the guest turned off: the error goes unseen. */
	if ((mce->status & MCI_STATUS_UC) &&
	    (((vcpu->msrs.mcg_cap & MCG_CTL_P) && vcpu->msrs.mcg_ctl != ALL_ONES) ||
	     vcpu->msrs.mce_banks[mce->bank * 4 + BANK_CTL] != ALL_ONES))
		return 0;
	raise(vcpu, mce);
	return 0;
}

const struct vitrine_ioctl vitrine_mce_dev_ioctls[] = {
	{ KVM_X86_GET_MCE_CAP_SUPPORTED, 0, mce_ioctl_get_supported },
	{}
};

const struct vitrine_ioctl vitrine_mce_vcpu_ioctls[] = {
	{ KVM_X86_SETUP_MCE, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_NO_LOAD, mce_ioctl_setup },
	{ KVM_X86_SET_MCE, VITRINE_IOCTL_LOCK, mce_ioctl_set },
	{}
};
