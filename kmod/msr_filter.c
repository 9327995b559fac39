// SPDX-License-Identifier: GPL-2.0
/*
 * Owns a VM's MSR filter: ranges of MSRs with a bit for each, and what holds outside of them. What
 * becomes of a refused access is exit_msr.c's.
 *
 * A filter is never edited: a new one takes its place, and the call returns only when no vCPU runs
 * by the old one, be it in the kernel or by the MSRs that its guest reaches without an exit.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/err.h>
#include <linux/errno.h>
#include <linux/kvm.h>
#include <linux/nospec.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>
#include <asm/apicdef.h>

#include "msr_filter.h"
#include "vcpu.h"

#define X2APIC_MSRS	0x100
#define ACCESS_ALL	(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE)

struct filter_range {
	u32 base;
	u32 nr;
	u32 access;		/* KVM_MSR_FILTER_READ, _WRITE */
	unsigned long *bitmap;	/* a bit an MSR: 1 lets the access through */
};

struct vitrine_msr_filter {
	bool default_allow;
	unsigned int nr_ranges;
	struct filter_range range[KVM_MSR_FILTER_MAX_RANGES];
};

static bool allows(const struct vitrine_msr_filter *filter, u32 msr, u32 access)
{
	unsigned int i;

	for (i = 0; i < filter->nr_ranges; i++) {
		const struct filter_range *range = &filter->range[i];

		if (msr >= range->base && msr - range->base < range->nr && range->access & access)
			return test_bit(array_index_nospec(msr - range->base, range->nr),
					range->bitmap);
	}
	return filter->default_allow;
}

bool vitrine_msr_filter_allows(struct vitrine_vm *vm, u32 msr, u32 access)
{
	const struct vitrine_msr_filter *filter;
	bool allowed;
	int idx;

	/* As in KVM: the interrupt controller is not the filter's business. */
	if (msr - APIC_BASE_MSR < X2APIC_MSRS)
		return true;
	idx = srcu_read_lock(&vm->srcu);
	filter = srcu_dereference(vm->msr_filter, &vm->srcu);
	allowed = !filter || allows(filter, msr, access);
	srcu_read_unlock(&vm->srcu, idx);
	return allowed;
}

static void filter_free(struct vitrine_msr_filter *filter)
{
	unsigned int i;

	if (!filter)
		return;
	for (i = 0; i < filter->nr_ranges; i++)
		kfree(filter->range[i].bitmap);
	kfree(filter);
}

#define REFUSE(field, value, rule) ({						\
	pr_debug_ratelimited("KVM_X86_SET_MSR_FILTER: field %s is %#x, must " rule "\n",	\
			     field, (u32)(value));				\
	-EINVAL;								\
})

static int copy_range(struct vitrine_msr_filter *filter, const struct kvm_msr_filter_range *from)
{
	struct filter_range *range = &filter->range[filter->nr_ranges];
	size_t bytes = BITS_TO_LONGS((u64)from->nmsrs) * sizeof(long);

	if (!from->nmsrs)
		return 0;
	if (!from->flags || from->flags & ~ACCESS_ALL)
		return REFUSE("ranges.flags", from->flags, "be KVM_MSR_FILTER_READ, WRITE or both");
	if (bytes > KVM_MSR_FILTER_MAX_BITMAP_SIZE)
		return REFUSE("ranges.nmsrs", from->nmsrs, "fit in 0x600 bytes of bitmap");
	range->bitmap = kmalloc(bytes, GFP_KERNEL_ACCOUNT);
	if (!range->bitmap)
		return -ENOMEM;
	filter->nr_ranges++;
	if (copy_from_user(range->bitmap, (const void __user *)from->bitmap, bytes))
		return -EFAULT;
	range->base = from->base;
	range->nr = from->nmsrs;
	range->access = from->flags;
	return 0;
}

static struct vitrine_msr_filter *filter_create(const struct kvm_msr_filter *from)
{
	struct vitrine_msr_filter *filter;
	unsigned int i;
	int ret = 0;

	filter = kzalloc(sizeof(*filter), GFP_KERNEL_ACCOUNT);
	if (!filter)
		return ERR_PTR(-ENOMEM);
	filter->default_allow = !(from->flags & KVM_MSR_FILTER_DEFAULT_DENY);
	for (i = 0; i < ARRAY_SIZE(from->ranges) && !ret; i++)
		ret = copy_range(filter, &from->ranges[i]);
	/* Would take every MSR from the guest, which cannot be meant. */
	if (!ret && !filter->nr_ranges && !filter->default_allow)
		ret = REFUSE("flags", from->flags, "not deny by default without a range");
	if (ret) {
		filter_free(filter);
		return ERR_PTR(ret);
	}
	return filter;
}

static long vm_ioctl_set_msr_filter(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_msr_filter *from = arg->data;
	struct vitrine_msr_filter *filter, *old;
	struct vitrine_vm *vm = obj;

	if (from->flags & ~KVM_MSR_FILTER_DEFAULT_DENY)
		return REFUSE("flags", from->flags, "be 0 or KVM_MSR_FILTER_DEFAULT_DENY");
	filter = filter_create(from);
	if (IS_ERR(filter))
		return PTR_ERR(filter);
	/* Lets everything through: costs nothing then. */
	if (!filter->nr_ranges) {
		filter_free(filter);
		filter = NULL;
	}
	mutex_lock(&vm->lock);
	old = rcu_replace_pointer(vm->msr_filter, filter, lockdep_is_held(&vm->lock));
	vitrine_vm_kick_all(vm, VITRINE_REQ_MSR_FILTER);
	mutex_unlock(&vm->lock);
	/* Not under the lock, which a reader's way out may need: see vm.h. */
	synchronize_srcu_expedited(&vm->srcu);
	filter_free(old);
	return 0;
}

/* Nobody can reach the VM any more. */
void vitrine_msr_filter_destroy(struct vitrine_vm *vm)
{
	filter_free(rcu_dereference_protected(vm->msr_filter, true));
}

const struct vitrine_ioctl vitrine_msr_filter_ioctls[] = {
	{ KVM_X86_SET_MSR_FILTER, 0, vm_ioctl_set_msr_filter },
	{}
};
