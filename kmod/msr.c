// SPDX-License-Identifier: GPL-2.0
/*
 * Guest MSRs: lookup in the table, the state after reset, which ones do without exits, and the
 * ioctls. What a single MSR does is in msr_table.c and the files that it names.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/apicdef.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/msr.h>

#include "cpuid.h"
#include "ioctl.h"
#include "msr.h"
#include "msr_filter.h"
#include "msr_table.h"
#include "monitor/steer.h"
#include "regs.h"
#include "vm.h"

#define MAX_IO_MSRS	256
#define MAX_LISTED	256
#define PAT_RESET	0x0007040600070406ULL	/* "IA32_PAT MSR" */
#define UCODE_REV_RESET	BIT_ULL(32)		/* any revision: the upper half is where it is */

/* Filled in once, at module load. */
static u32 saved_msrs[MAX_LISTED] __read_mostly;
static unsigned int nr_saved_msrs __read_mostly;
static u32 feature_msrs[MAX_LISTED] __read_mostly;
static unsigned int nr_feature_msrs __read_mostly;

/* The last row that does not begin behind @msr, if it reaches that far. */
static const struct vitrine_msr_row *find_row(u32 msr)
{
	unsigned int low = 0, high = vitrine_msr_nr_rows;
	const struct vitrine_msr_row *row;

	while (high - low > 1) {
		unsigned int middle = (low + high) / 2;

		if (msr >= vitrine_msr_rows[middle].first)
			low = middle;
		else
			high = middle;
	}
	row = &vitrine_msr_rows[low];
	return msr - row->first < row->count ? row : NULL;
}

/* What this host cannot have the VMM cannot set either: it would be written to hardware. */
static bool row_exists(struct vitrine_vcpu *vcpu, const struct vitrine_msr_row *row, bool host)
{
	if (row->feature == MSR_ANY_CPU)
		return true;
	return host ? vitrine_cpuid_host_has(row->feature) : vitrine_cpuid_has(vcpu, row->feature);
}

int vitrine_msr_read(struct vitrine_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	const struct vitrine_msr_row *row = find_row(msr);

	if (!row)
		return -ENOENT;
	if (!row->get || !row_exists(vcpu, row, host))
		return -EINVAL;
	return row->get(vcpu, row, msr, data, host);
}

int vitrine_msr_write(struct vitrine_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	const struct vitrine_msr_row *row = find_row(msr);

	if (!row)
		return -ENOENT;
	if (!row->set || !row_exists(vcpu, row, host) || (!host && row->flags & MSR_READ_ONLY))
		return -EINVAL;
	return row->set(vcpu, row, msr, data, host);
}

int vitrine_msr_feature_get(u32 msr, u64 *data)
{
	switch (msr) {
	case MSR_IA32_ARCH_CAPABILITIES:
		*data = vitrine_spec_arch_capabilities();
		return 0;
	case MSR_IA32_UCODE_REV:
		return rdmsrl_safe(msr, data) ? -ENOENT : 0;
	case MSR_IA32_PERF_CAPABILITIES:
		/* No performance counters are offered: nothing that they could do. */
		*data = 0;
		return 0;
	default:
		return -ENOENT;
	}
}

void vitrine_msr_reset(struct vitrine_vcpu *vcpu, bool init)
{
	struct vitrine_msrs *msrs = &vcpu->msrs;

	/* "Processor States Following Power-up, Reset, or INIT": INIT keeps nearly all. */
	msrs->spec_ctrl = 0;
	if (init)
		return;

	memset(msrs, 0, sizeof(*msrs));
	msrs->pat = PAT_RESET;
	msrs->misc_enable = MSR_IA32_MISC_ENABLE_FAST_STRING | MSR_IA32_MISC_ENABLE_BTS_UNAVAIL |
			    MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL;
	msrs->bios_sign_id = UCODE_REV_RESET;
	msrs->platform_info = MSR_PLATFORM_INFO_CPUID_FAULT;
	msrs->arch_capabilities = vitrine_spec_arch_capabilities();
	msrs->mcg_cap = VITRINE_MCE_BANKS;
	if (!vcpu->lapic) {
		vcpu->apic_base = APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE;
		if (vcpu->id == vcpu->vm->bsp_id)
			vcpu->apic_base |= MSR_IA32_APICBASE_BSP;
	}
	vitrine_backend->set_msr(vcpu, MSR_IA32_CR_PAT, msrs->pat);
	vitrine_msr_update_intercepts(vcpu);
}

void vitrine_msr_set_intercept(struct vitrine_vcpu *vcpu, u32 msr, bool read, bool write)
{
	struct vitrine_vm *vm = vcpu->vm;

	read |= vitrine_msr_filtered(vm, msr, KVM_MSR_FILTER_READ) ||
		vitrine_steer_wants_msr(vcpu, msr, false);
	write |= vitrine_msr_filtered(vm, msr, KVM_MSR_FILTER_WRITE) ||
		 vitrine_steer_wants_msr(vcpu, msr, true);
	vitrine_backend->update_msr_intercept(vcpu, msr, read, write);
}

void vitrine_msr_update_intercepts(struct vitrine_vcpu *vcpu)
{
	/*
	 * Hardware holds the guest's value of these while the guest runs, and checks what it
	 * writes.
	 */
	static const u32 direct[] = {
		MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
		MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	};
	bool spec_ctrl_in_use = vcpu->msrs.spec_ctrl;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(direct); i++)
		vitrine_msr_set_intercept(vcpu, direct[i], false, false);
	/* Offset and scaling apply to reads in hardware; a write changes the offset. */
	vitrine_msr_set_intercept(vcpu, MSR_IA32_TSC, false, true);
	vitrine_msr_set_intercept(vcpu, MSR_IA32_SPEC_CTRL, !spec_ctrl_in_use, !spec_ctrl_in_use);
}

static long copy_list(struct vitrine_ioctl_arg *arg, const char *cmd, const u32 *list,
		      unsigned int nr)
{
	struct kvm_msr_list __user *user = arg->user;
	u32 room;

	if (get_user(room, &user->nmsrs))
		return -EFAULT;
	/* The number is told in any case: it is how a VMM learns how much room to bring. */
	if (put_user(nr, &user->nmsrs))
		return -EFAULT;
	if (room < nr) {
		pr_debug_ratelimited("%s: field nmsrs is %u, must be at least %u\n", cmd, room, nr);
		return -E2BIG;
	}
	return copy_to_user(user->indices, list, nr * sizeof(list[0])) ? -EFAULT : 0;
}

static long msr_ioctl_index_list(void *obj, struct vitrine_ioctl_arg *arg)
{
	return copy_list(arg, "KVM_GET_MSR_INDEX_LIST", saved_msrs, nr_saved_msrs);
}

static long msr_ioctl_feature_list(void *obj, struct vitrine_ioctl_arg *arg)
{
	return copy_list(arg, "KVM_GET_MSR_FEATURE_INDEX_LIST", feature_msrs, nr_feature_msrs);
}

static struct kvm_msr_entry *entries_get(struct vitrine_ioctl_arg *arg, const char *cmd)
{
	const struct kvm_msrs *header = arg->data;

	if (header->nmsrs >= MAX_IO_MSRS) {
		pr_debug_ratelimited("%s: field nmsrs is %u, must be below %u\n", cmd,
				     header->nmsrs, MAX_IO_MSRS);
		return ERR_PTR(-E2BIG);
	}
	return vmemdup_user(arg->user + sizeof(*header),
			    header->nmsrs * sizeof(struct kvm_msr_entry));
}

/* All read-outs end alike: what was done goes out, its number is the answer. */
static long entries_put(struct vitrine_ioctl_arg *arg, struct kvm_msr_entry *entries, u32 done)
{
	const struct kvm_msrs *header = arg->data;
	long ret = done;

	if (copy_to_user(arg->user + sizeof(*header), entries, done * sizeof(entries[0])))
		ret = -EFAULT;
	kvfree(entries);
	return ret;
}

static long msr_ioctl_dev_get(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_msrs *header = arg->data;
	struct kvm_msr_entry *entries = entries_get(arg, "KVM_GET_MSRS");
	u32 i;

	if (IS_ERR(entries))
		return PTR_ERR(entries);
	for (i = 0; i < header->nmsrs; i++) {
		u64 value;

		if (vitrine_msr_feature_get(entries[i].index, &value)) {
			pr_debug_ratelimited("KVM_GET_MSRS: field index is %#x, must be a feature MSR\n",
					     entries[i].index);
			break;
		}
		entries[i].data = value;
	}
	return entries_put(arg, entries, i);
}

static long msr_ioctl_get(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;
	const struct kvm_msrs *header = arg->data;
	struct kvm_msr_entry *entries = entries_get(arg, "KVM_GET_MSRS");
	int idx;
	u32 i;

	if (IS_ERR(entries))
		return PTR_ERR(entries);
	idx = srcu_read_lock(&vcpu->vm->srcu);
	for (i = 0; i < header->nmsrs; i++) {
		u64 value;

		if (vitrine_msr_read(vcpu, entries[i].index, &value, true)) {
			pr_debug_ratelimited("KVM_GET_MSRS: field index is %#x, an MSR that cannot be read\n",
					     entries[i].index);
			break;
		}
		entries[i].data = value;
	}
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return entries_put(arg, entries, i);
}

static long msr_ioctl_set(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;
	const struct kvm_msrs *header = arg->data;
	struct kvm_msr_entry *entries = entries_get(arg, "KVM_SET_MSRS");
	int idx;
	u32 i;

	if (IS_ERR(entries))
		return PTR_ERR(entries);
	idx = srcu_read_lock(&vcpu->vm->srcu);
	for (i = 0; i < header->nmsrs; i++) {
		if (vitrine_msr_write(vcpu, entries[i].index, entries[i].data, true)) {
			pr_debug_ratelimited("KVM_SET_MSRS: MSR %#x does not take %#llx\n",
					     entries[i].index, entries[i].data);
			break;
		}
	}
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	kvfree(entries);
	return i;
}

int vitrine_msr_module_init(void)
{
	unsigned int i;
	u32 msr;
	u64 value;

	for (i = 0; i < vitrine_msr_nr_rows; i++) {
		const struct vitrine_msr_row *row = &vitrine_msr_rows[i];

		/* The search relies on it. */
		if (WARN_ON(!row->count || (i && row->first < row[-1].first + row[-1].count)))
			return -EINVAL;
		if (!row_exists(NULL, row, true))
			continue;
		for (msr = row->first; msr - row->first < row->count; msr++) {
			if (row->flags & MSR_SAVE && nr_saved_msrs < MAX_LISTED)
				saved_msrs[nr_saved_msrs++] = msr;
			if (row->flags & MSR_FEATURE && nr_feature_msrs < MAX_LISTED &&
			    !vitrine_msr_feature_get(msr, &value))
				feature_msrs[nr_feature_msrs++] = msr;
		}
	}
	return 0;
}

const struct vitrine_ioctl vitrine_msr_dev_ioctls[] = {
	{ KVM_GET_MSR_INDEX_LIST, VITRINE_IOCTL_RAW, msr_ioctl_index_list },
	{ KVM_GET_MSR_FEATURE_INDEX_LIST, VITRINE_IOCTL_RAW, msr_ioctl_feature_list },
	{ KVM_GET_MSRS, 0, msr_ioctl_dev_get },
	{}
};

const struct vitrine_ioctl vitrine_msr_vcpu_ioctls[] = {
	{ KVM_GET_MSRS, VITRINE_IOCTL_LOCK, msr_ioctl_get },
	{ KVM_SET_MSRS, VITRINE_IOCTL_LOCK, msr_ioctl_set },
	{}
};
