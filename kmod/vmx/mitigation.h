/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Side channels on the way into a guest and back. What is in assembly stands in enter_asm.S; the
 * rest is called from the places named here. Where a CPU needs nothing, a call is a NOP.
 */
#ifndef VMX_MITIGATION_H
#define VMX_MITIGATION_H

#include <linux/jump_label.h>
#include <linux/percpu.h>
#include <linux/types.h>
#include <asm/nospec-branch.h>
#include <asm/segment.h>

#include "../compat.h"

struct vitrine_mitigations;
struct vitrine_vcpu;

/*
 * L1D is flushed before an entry; with the second, only if vmx_l1d_flush_due or an interrupt came.
 */
DECLARE_STATIC_KEY_FALSE(vmx_l1d_flush_key);
DECLARE_STATIC_KEY_FALSE(vmx_l1d_flush_cond_key);
DECLARE_PER_CPU(bool, vmx_l1d_flush_due);

bool vmx_mitigate_l1d(void);

/*
 * Last thing in C before vmx_enter(): interrupts off, no tracing (so inline, and what it calls is
 * noinstr).
 */
static __always_inline void vmx_mitigate_before_entry(void)
{
	static const u16 selector = __KERNEL_DS;

	if (static_branch_unlikely(&vmx_l1d_flush_key) && vmx_mitigate_l1d())
		return;
	/*
	 * A flush of L1D takes the buffers along; otherwise only the form with a memory operand
	 * does.
	 */
	if (static_branch_unlikely(&vitrine_cpu_buf_vm_clear))
		asm volatile("verw %[selector]" : : [selector] "m" (selector) : "cc");
}

/*
 * The CPU has read what the guest must not see: a vCPU was loaded, a handler walked host data. Any
 * context.
 */
static __always_inline void vmx_mitigate_host_data_read(void)
{
	if (static_branch_unlikely(&vmx_l1d_flush_cond_key))
		this_cpu_write(vmx_l1d_flush_due, true);
}

void vmx_mitigate_handled_exit(struct vitrine_vcpu *vcpu, u32 reason);

/* After the handler of an exit: most touch nobody's data. */
static __always_inline void vmx_mitigate_exit_handled(struct vitrine_vcpu *vcpu, u32 reason)
{
	if (static_branch_unlikely(&vmx_l1d_flush_cond_key))
		vmx_mitigate_handled_exit(vcpu, reason);
}

/*
 * Another vCPU than the last comes to this CPU: it must not steer the predictions of, or be steered
 * by, that one.
 */
static inline void vmx_mitigate_vcpu_switch(void)
{
	indirect_branch_prediction_barrier();
}

/*
 * After each exit and before preemption is on again: the barrier is for the CPU that ran the guest,
 * and this thread may return to userspace on another, or another thread on this one.
 */
static __always_inline void vmx_mitigate_before_user(void)
{
	vitrine_guest_ran_here();
}

/*
 * VMX_ENTER_* of this vCPU; to be asked again whenever the interception of IA32_SPEC_CTRL changed.
 */
unsigned int vmx_mitigation_enter_flags(const struct vitrine_vcpu *vcpu);

/* After vitrine_mmu_module_init(), which decides on large pages. */
int vmx_mitigation_init(void);
void vmx_mitigation_exit(void);
/* May a VM be created? 0, or -EOPNOTSUPP with a line in the log that names what is missing. */
int vmx_mitigation_check(void);
void vmx_mitigation_report(struct vitrine_mitigations *report);

#endif
