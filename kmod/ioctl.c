// SPDX-License-Identifier: GPL-2.0
/*
 * The table walker: find the row, copy in, call, copy out. Locks and loading belong to the object
 * (vm.c, vcpu.c).
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/kvm.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <vitrine.h>

#include "compat.h"
#include "ioctl.h"

#define ON_STACK_BYTES	512	/* holds special registers; what is larger is allocated */

static int type_index(unsigned int cmd)
{
	switch (_IOC_TYPE(cmd)) {
	case KVMIO:
		return 0;
	case VITRINE_IOC_MAGIC:
		return 1;
	default:
		return -1;
	}
}

int vitrine_ioctl_set_build(struct vitrine_ioctl_set *set)
{
	const struct vitrine_ioctl *const *table;
	const struct vitrine_ioctl *row;

	for (table = set->tables; *table; table++) {
		for (row = *table; row->fn; row++) {
			int type = type_index(row->cmd);
			const struct vitrine_ioctl **slot;

			if (WARN_ON(type < 0))
				return -EINVAL;
			slot = &set->by_nr[type][_IOC_DIR(row->cmd)][_IOC_NR(row->cmd)];
			if (WARN(*slot, KBUILD_MODNAME ": two ioctls of number 0x%x\n",
				 _IOC_NR(row->cmd)))
				return -EINVAL;
			*slot = row;
		}
	}
	return 0;
}

const struct vitrine_ioctl *vitrine_ioctl_find(const struct vitrine_ioctl_set *set,
					       unsigned int cmd)
{
	const struct vitrine_ioctl *row;
	int type = type_index(cmd);

	if (type < 0)
		return NULL;
	row = set->by_nr[type][_IOC_DIR(cmd)][array_index_nospec(_IOC_NR(cmd), 256)];
	return row && row->cmd == cmd ? row : NULL;
}

/*
 * Apart, so that calls without an argument do not pay for the buffer, which some kernels zero on
 * entry.
 */
static noinline long call_with_data(const struct vitrine_ioctl *row, void *obj,
				    struct vitrine_ioctl_arg *arg)
{
	unsigned int dir = _IOC_DIR(row->cmd), size = _IOC_SIZE(row->cmd);
	u8 on_stack[ON_STACK_BYTES] __aligned(8) vitrine_uninitialized;
	void *data = on_stack;
	long ret;

	if (size > sizeof(on_stack)) {
		data = kmalloc(size, GFP_KERNEL_ACCOUNT);
		if (!data)
			return -ENOMEM;
	}
	if (dir & _IOC_WRITE) {
		ret = -EFAULT;
		if (copy_from_user(data, arg->user, size))
			goto out;
	} else {
		memset(data, 0, size);
	}
	arg->data = data;
	ret = row->fn(obj, arg);
	if (dir & _IOC_READ && ret >= 0 && copy_to_user(arg->user, data, size))
		ret = -EFAULT;
out:
	if (data != on_stack)
		kfree(data);
	return ret;
}

long vitrine_ioctl_call(const struct vitrine_ioctl *row, void *obj, unsigned long value)
{
	struct vitrine_ioctl_arg arg = { .value = value, .user = (void __user *)value };

	if (_IOC_DIR(row->cmd) == _IOC_NONE || row->flags & VITRINE_IOCTL_RAW)
		return row->fn(obj, &arg);
	return call_with_data(row, obj, &arg);
}
