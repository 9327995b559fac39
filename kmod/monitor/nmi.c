// SPDX-License-Identifier: GPL-2.0
/* NMIs that a monitor sends, as the button on a machine does. */
#include <linux/errno.h>
#include <linux/srcu.h>
#include <vitrine_access.h>

#include "../irq/irq_glue.h"
#include "../vcpu.h"
#include "../vm.h"
#include "access.h"
#include "attach.h"

static long send(struct vitrine_vm *vm, u32 index)
{
	struct vitrine_vcpu *vcpu;
	unsigned long i;

	if (index == VITRINE_NMI_ALL) {
		vitrine_vm_for_each_vcpu(i, vcpu, vm)
			vitrine_irq_raise_nmi(vcpu);
		return 0;
	}
	vcpu = vitrine_monitor_vcpu(vm, index);
	if (!vcpu)
		return -ENOENT;
	vitrine_irq_raise_nmi(vcpu);
	return 0;
}

static long nmi_ioctl_nmi(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_monitor *monitor = obj;
	struct vitrine_vm *vm;
	long ret;
	int idx;

	if (!monitor->controls)
		return -EPERM;
	vm = vitrine_monitor_get_vm(monitor);
	if (!vm)
		return -ESRCH;
	idx = srcu_read_lock(&vm->srcu);
	ret = vitrine_monitors_may_reach(vm) ? send(vm, *(u32 *)arg->data) : -ESRCH;
	srcu_read_unlock(&vm->srcu, idx);
	vitrine_vm_put(vm);
	return ret;
}

const struct vitrine_ioctl vitrine_nmi_ioctls[] = {
	{ VITRINE_NMI, 0, nmi_ioctl_nmi },
	{}
};
