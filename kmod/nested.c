// SPDX-License-Identifier: GPL-2.0
/*
 * The state of nested virtualization. No guest has it here; VMMs save and load its header all the
 * same, as KVM answers them even where it does not offer VMX.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/kvm.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "ioctl.h"
#include "regs.h"

#define NO_ADDRESS	(~0ULL)	/* of a VMXON region or a VMCS: there is none */

static long nested_ioctl_get(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct kvm_nested_state __user *user = arg->user;
	struct kvm_nested_state state;
	u32 room;

	if (get_user(room, &user->size))
		return -EFAULT;
	if (room < sizeof(state)) {
		pr_debug_ratelimited("KVM_GET_NESTED_STATE: field size is %u, must be at least %zu\n",
				     room, sizeof(state));
		return put_user((u32)sizeof(state), &user->size) ? -EFAULT : -E2BIG;
	}
	memset(&state, 0, sizeof(state));
	state.format = KVM_STATE_NESTED_FORMAT_VMX;
	state.size = sizeof(state);
	state.hdr.vmx.vmxon_pa = NO_ADDRESS;
	state.hdr.vmx.vmcs12_pa = NO_ADDRESS;
	return copy_to_user(user, &state, sizeof(state)) ? -EFAULT : 0;
}

/* The name of the first field that asks for more than nothing. */
static const char *wrong_field(const struct kvm_nested_state *state)
{
	/* An enlightened VMCS is asked for by old VMMs, of guests that have none. */
	if (state->flags & ~KVM_STATE_NESTED_EVMCS)
		return "flags";
	if (state->format != KVM_STATE_NESTED_FORMAT_VMX)
		return "format";
	if (state->size < sizeof(*state))
		return "size";
	if (state->hdr.vmx.vmxon_pa != NO_ADDRESS)
		return "hdr.vmx.vmxon_pa";
	if (state->hdr.vmx.vmcs12_pa != NO_ADDRESS)
		return "hdr.vmx.vmcs12_pa";
	if (state->hdr.vmx.smm.flags)
		return "hdr.vmx.smm.flags";
	if (state->hdr.vmx.flags & ~KVM_STATE_VMX_PREEMPTION_TIMER_DEADLINE)
		return "hdr.vmx.flags";
	return NULL;
}

static long nested_ioctl_set(void *obj, struct vitrine_ioctl_arg *arg)
{
	const char *field = wrong_field(arg->data);

	if (!field)
		return 0;
	pr_debug_ratelimited("KVM_SET_NESTED_STATE: field %s must be that of a vCPU without VMX\n",
			     field);
	return -EINVAL;
}

const struct vitrine_ioctl vitrine_nested_ioctls[] = {
	{ KVM_GET_NESTED_STATE, VITRINE_IOCTL_RAW, nested_ioctl_get },
	{ KVM_SET_NESTED_STATE, 0, nested_ioctl_set },
	{}
};
