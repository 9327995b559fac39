// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the VMX-preemption timer. It ends a stay in the guest when the deadline of its local APIC's
 * timer has come, which saves a timer of the host for each that the guest sets; and after a bound
 * that a module parameter sets. It must not know what an APIC is.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/minmax.h>
#include <linux/moduleparam.h>
#include <asm/msr.h>
#include <asm/tsc.h>

#include "../vm.h"
#include "vmx.h"

static unsigned int preemption_timer_us;
module_param(preemption_timer_us, uint, 0444);
MODULE_PARM_DESC(preemption_timer_us,
		 "longest uninterrupted stay in a guest, in microseconds (0: no bound; for emulated CPUs that lose interrupts)");

static bool deadline_exits = true;
module_param(deadline_exits, bool, 0444);
MODULE_PARM_DESC(deadline_exits,
		 "leave the guest at its TSC deadline by the preemption timer, not by a timer of the host");

/* In the timer's own ticks; the longest possible without a bound. */
static u32 longest_stay(void)
{
	u64 ticks = (u64)preemption_timer_us * tsc_khz / 1000;

	if (!preemption_timer_us)
		return U32_MAX;
	return clamp_t(u64, ticks >> vmx_caps.preemption_timer_shift, 1, U32_MAX);
}

static void timer_set(struct vmx_vcpu *vmx, bool on, u32 value)
{
	u32 pin = vmx_caps.pin;

	if (on != vmx->timer_on) {
		if (!on)
			pin &= ~PIN_BASED_VMX_PREEMPTION_TIMER;
		vmcs_write(PIN_BASED_VM_EXEC_CONTROL, pin);
		vmx->timer_on = on;
	}
	if (on && value != vmx->timer_value) {
		vmcs_write(VMX_PREEMPTION_TIMER_VALUE, value);
		vmx->timer_value = value;
	}
}

void vmx_timer_setup(struct vmx_vcpu *vmx)
{
	vmcs_write(PIN_BASED_VM_EXEC_CONTROL, vmx_caps.pin);
	vmx->timer_on = vmx_caps.preemption_timer;
	/* The timer stands still in the deeper idle states that MWAIT may reach. */
	vmx->vcpu.exits_at_deadline = vmx_caps.preemption_timer && deadline_exits &&
		!(vmx->vcpu.vm->disabled_exits & KVM_X86_DISABLE_EXITS_MWAIT);
	if (!vmx_caps.preemption_timer)
		return;
	vmcs_write(VMX_PREEMPTION_TIMER_VALUE, 0);
	vmx->timer_value = 0;
	vmx->timer_bound = longest_stay();
	vmx_timer_update(vmx);
}

void vmx_timer_update(struct vmx_vcpu *vmx)
{
	u64 deadline = vmx->vcpu.deadline_tsc, now;
	u32 value = vmx->timer_bound;

	if (!deadline) {
		timer_set(vmx, preemption_timer_us, value);
	} else {
		now = rdtsc();
		/* Rather a tick too late: too early, the exit would be for nothing. */
		if (deadline > now)
			value = min_t(u64, value,
				      ((deadline - now) >> vmx_caps.preemption_timer_shift) + 1);
		else
			value = 0;
		timer_set(vmx, true, value);
	}
	vmx->timer_for_deadline = deadline;
}
