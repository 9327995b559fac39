// SPDX-License-Identifier: GPL-2.0
/*
 * RDMSR and WRMSR of a guest that fault, or that its VMM filters: #GP, or an exit to a VMM that
 * wants to answer itself (KVM_CAP_X86_USER_SPACE_MSR).
 */
#include <linux/errno.h>
#include <linux/kvm.h>
#include <linux/string.h>
#include <asm/trapnr.h>

#include "backend.h"
#include "exit.h"
#include "regs.h"
#include "vm.h"

static int inject_gp(struct vitrine_vcpu *vcpu)
{
	vitrine_vcpu_queue_exception(vcpu, X86_TRAP_GP, true, 0);
	return EXIT_RESUME;
}

static u32 reason_of(int error)
{
	switch (error) {
	case -EPERM:
		return KVM_MSR_EXIT_REASON_FILTER;
	case -ENOENT:
		return KVM_MSR_EXIT_REASON_UNKNOWN;
	default:
		return KVM_MSR_EXIT_REASON_INVAL;
	}
}

/* A VMM that moved RIP meanwhile has given the instruction up. */
static int complete_rdmsr(struct vitrine_vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	u64 data = READ_ONCE(run->msr.data);

	if (vitrine_rip_read(vcpu) != vcpu->user_exit_rip)
		return EXIT_RESUME;
	if (READ_ONCE(run->msr.error))
		return inject_gp(vcpu);
	vcpu->regs[VITRINE_REG_RAX] = (u32)data;
	vcpu->regs[VITRINE_REG_RDX] = data >> 32;
	vitrine_backend->skip_insn(vcpu);
	return EXIT_RESUME;
}

static int complete_wrmsr(struct vitrine_vcpu *vcpu)
{
	if (vitrine_rip_read(vcpu) != vcpu->user_exit_rip)
		return EXIT_RESUME;
	if (READ_ONCE(vcpu->run->msr.error))
		return inject_gp(vcpu);
	vitrine_backend->skip_insn(vcpu);
	return EXIT_RESUME;
}

static int refused(struct vitrine_vcpu *vcpu, u32 exit_reason, u32 msr, u64 data, int error)
{
	struct kvm_run *run = vcpu->run;
	u32 reason = reason_of(error);

	if (!(READ_ONCE(vcpu->vm->user_msr_reasons) & reason))
		return inject_gp(vcpu);
	run->exit_reason = exit_reason;
	run->msr.error = 0;
	memset(run->msr.pad, 0, sizeof(run->msr.pad));
	run->msr.reason = reason;
	run->msr.index = msr;
	run->msr.data = data;
	vcpu->user_exit_rip = vitrine_rip_read(vcpu);
	vcpu->complete_user_exit = exit_reason == KVM_EXIT_X86_RDMSR ? complete_rdmsr :
								       complete_wrmsr;
	return EXIT_USER;
}

int vitrine_exit_rdmsr_refused(struct vitrine_vcpu *vcpu, u32 msr, int error)
{
	return refused(vcpu, KVM_EXIT_X86_RDMSR, msr, 0, error);
}

int vitrine_exit_wrmsr_refused(struct vitrine_vcpu *vcpu, u32 msr, u64 data, int error)
{
	return refused(vcpu, KVM_EXIT_X86_WRMSR, msr, data, error);
}
