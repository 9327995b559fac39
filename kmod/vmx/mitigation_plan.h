/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From what this CPU suffers and what its kernel decided to what the entry path does. Pure:
 * compiled into the module and into the host's unit test.
 *
 * The measure is what the kernel does for its own hypervisor. Where the kernel itself leaves a hole
 * open (no microcode, or the command line says so) there is nothing that we could close alone: such
 * a hole is not "needed" but "open".
 */
#ifndef VMX_MITIGATION_PLAN_H
#define VMX_MITIGATION_PLAN_H

#include <linux/types.h>

/* The kernel's l1tf=; its variants that differ only in SMT and warnings are one. */
enum vmx_l1tf_choice {
	VMX_L1TF_OFF,
	VMX_L1TF_FLUSH,
	VMX_L1TF_FULL,
	VMX_L1TF_FULL_FORCE,
	VMX_NR_L1TF_CHOICES
};

/*
 * When the first-level data cache is flushed before an entry. AUTO is only asked for, never
 * planned.
 */
enum vmx_l1d_flush {
	VMX_L1D_FLUSH_AUTO,
	VMX_L1D_FLUSH_NEVER,
	VMX_L1D_FLUSH_COND,
	VMX_L1D_FLUSH_ALWAYS,
	VMX_NR_L1D_FLUSH
};

/**
 * struct vmx_mitigation_input - everything the plan depends on
 * @bug_itlb_multihit: @bug_l1tf: @bug_spectre_v2: @bug_bhi: @bug_vmscape: the CPU has it
 * @bug_buffers: the CPU has one of those that VERW helps against: MDS, TAA, MMIO stale data, RFDS
 * @flush_l1d: IA32_FLUSH_CMD exists
 * @skip_l1d_flush: an outer hypervisor flushes for us (IA32_ARCH_CAPABILITIES)
 * @spec_ctrl: IA32_SPEC_CTRL exists
 * @mitigations_off: the kernel was told to do without all of them
 * @l1tf: the kernel's choice
 * @verw: the kernel clears CPU buffers on its own way out to userspace, and so does
 *	VITRINE_CLEAR_CPU_BUFFERS
 * @verw_mmio: it does so only before guests that reach devices
 * @rsb_fill: @rsb_one: the kernel fills the return stack after an exit, or has one call retire
 * @bhb_loop: the kernel overwrites the branch history after an exit
 * @bhb_hardware: IA32_SPEC_CTRL.BHI_DIS_S does instead
 * @ibpb: the kernel issues prediction barriers between tasks
 * @ibpb_to_user: the kernel issues one before userspace after a guest ran, if told that one did
 * @can_tell_vmscape: the module was built where the kernel lets us tell it
 * @smt: sibling threads are on
 * @nx_huge_pages: parameter: large second-level translations are not executable
 * @want_l1d_flush: parameter
 */
struct vmx_mitigation_input {
	bool bug_itlb_multihit;
	bool bug_l1tf;
	bool bug_buffers;
	bool bug_spectre_v2;
	bool bug_bhi;
	bool bug_vmscape;
	bool flush_l1d;
	bool skip_l1d_flush;
	bool spec_ctrl;
	bool mitigations_off;
	bool verw;
	bool verw_mmio;
	bool rsb_fill;
	bool rsb_one;
	bool bhb_loop;
	bool bhb_hardware;
	bool ibpb;
	bool ibpb_to_user;
	bool can_tell_vmscape;
	bool smt;
	bool nx_huge_pages;
	enum vmx_l1tf_choice l1tf;
	enum vmx_l1d_flush want_l1d_flush;
};

/**
 * struct vmx_mitigation_plan - what to do
 * @needed: VITRINE_MIT_* that the kernel would do for its own hypervisor here
 * @active: VITRINE_MIT_* that the entry path and the second-level tables do
 * @open: VITRINE_MIT_* that this CPU would need and that its kernel leaves undone
 * @l1d_flush: NEVER, COND or ALWAYS
 * @l1d_flush_by_reading: without IA32_FLUSH_CMD the cache is filled with other data
 * @verw_in_c: VERW before the entry, as the one in assembly is patched out
 * @tell_vmscape: the kernel is told before this CPU runs anything else
 * @warn_smt: an L1TF flush does not protect against a sibling thread: say so once
 */
struct vmx_mitigation_plan {
	u64 needed;
	u64 active;
	u64 open;
	enum vmx_l1d_flush l1d_flush;
	bool l1d_flush_by_reading;
	bool verw_in_c;
	bool tell_vmscape;
	bool warn_smt;
};

void vmx_mitigation_plan(const struct vmx_mitigation_input *in, struct vmx_mitigation_plan *plan);

#endif
