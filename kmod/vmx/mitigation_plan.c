// SPDX-License-Identifier: GPL-2.0
/*
 * What the entry path does against side channels: one pure function, no CPU is asked and nothing is
 * remembered.
 */
#include <vitrine.h>

#include "mitigation_plan.h"

static enum vmx_l1d_flush plan_l1d_flush(const struct vmx_mitigation_input *in)
{
	if (!in->bug_l1tf || in->skip_l1d_flush)
		return VMX_L1D_FLUSH_NEVER;
	/* "force" takes the choice away at run time, the kernel's documentation says. */
	if (in->l1tf == VMX_L1TF_FULL_FORCE)
		return VMX_L1D_FLUSH_ALWAYS;
	if (in->want_l1d_flush != VMX_L1D_FLUSH_AUTO)
		return in->want_l1d_flush;
	switch (in->l1tf) {
	case VMX_L1TF_OFF:
		return VMX_L1D_FLUSH_NEVER;
	case VMX_L1TF_FLUSH:
		return VMX_L1D_FLUSH_COND;
	default:
		return VMX_L1D_FLUSH_ALWAYS;
	}
}

/* @kernel_does: the kernel's own answer to @bit; @we_do: ours. */
static void add(struct vmx_mitigation_plan *plan, u64 bit, bool kernel_does, bool we_do)
{
	if (kernel_does)
		plan->needed |= bit;
	if (we_do)
		plan->active |= bit;
}

void vmx_mitigation_plan(const struct vmx_mitigation_input *in, struct vmx_mitigation_plan *plan)
{
	bool l1tf = in->bug_l1tf && !in->skip_l1d_flush && in->l1tf != VMX_L1TF_OFF;
	bool bhi = in->bhb_loop || in->bhb_hardware;

	*plan = (struct vmx_mitigation_plan){};
	plan->l1d_flush = plan_l1d_flush(in);
	plan->l1d_flush_by_reading = plan->l1d_flush != VMX_L1D_FLUSH_NEVER && !in->flush_l1d;
	plan->verw_in_c = in->verw_mmio && !in->verw;
	plan->tell_vmscape = in->ibpb_to_user && in->can_tell_vmscape;
	plan->warn_smt = l1tf && in->smt && in->l1tf != VMX_L1TF_FULL_FORCE;

	add(plan, VITRINE_MIT_ITLB_MULTIHIT, in->bug_itlb_multihit && !in->mitigations_off,
	    in->nx_huge_pages);
	add(plan, VITRINE_MIT_L1TF, l1tf, plan->l1d_flush != VMX_L1D_FLUSH_NEVER);
	add(plan, VITRINE_MIT_MDS, in->verw || in->verw_mmio, in->verw || plan->verw_in_c);
	add(plan, VITRINE_MIT_RSB, in->rsb_fill || in->rsb_one, in->rsb_fill || in->rsb_one);
	/*
	 * The hardware's way lives in IA32_SPEC_CTRL, which must hold the host's value again after
	 * an exit.
	 */
	add(plan, VITRINE_MIT_BHI, bhi, in->bhb_loop || (in->bhb_hardware && in->spec_ctrl));
	add(plan, VITRINE_MIT_SPEC_CTRL, in->spec_ctrl, in->spec_ctrl);
	add(plan, VITRINE_MIT_IBPB, in->ibpb, in->ibpb);
	add(plan, VITRINE_MIT_VMSCAPE, in->ibpb_to_user, plan->tell_vmscape);

	if (in->mitigations_off)
		return;
	if (in->bug_l1tf && !in->skip_l1d_flush && in->l1tf == VMX_L1TF_OFF)
		plan->open |= VITRINE_MIT_L1TF;
	if (in->bug_buffers)
		plan->open |= VITRINE_MIT_MDS;
	if (in->bug_spectre_v2)
		plan->open |= VITRINE_MIT_RSB | VITRINE_MIT_IBPB;
	if (in->bug_bhi)
		plan->open |= VITRINE_MIT_BHI;
	if (in->bug_vmscape)
		plan->open |= VITRINE_MIT_VMSCAPE;
	plan->open &= ~(plan->needed | plan->active);
}
