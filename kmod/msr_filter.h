/* SPDX-License-Identifier: GPL-2.0 */
/* KVM_X86_SET_MSR_FILTER: which MSRs a guest may read and write, as its VMM wants it. */
#ifndef VITRINE_MSR_FILTER_H
#define VITRINE_MSR_FILTER_H

#include <linux/compiler.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

#include "ioctl.h"
#include "vm.h"

/* @access: KVM_MSR_FILTER_READ or KVM_MSR_FILTER_WRITE */
bool vitrine_msr_filter_allows(struct vitrine_vm *vm, u32 msr, u32 access);
void vitrine_msr_filter_destroy(struct vitrine_vm *vm);

/* Does the filter keep this access from the guest? Asked at each RDMSR and WRMSR that exits. */
static inline bool vitrine_msr_filtered(struct vitrine_vm *vm, u32 msr, u32 access)
{
	return unlikely(rcu_access_pointer(vm->msr_filter)) &&
	       !vitrine_msr_filter_allows(vm, msr, access);
}

extern const struct vitrine_ioctl vitrine_msr_filter_ioctls[];	/* KVM_X86_SET_MSR_FILTER */

#endif
