// SPDX-License-Identifier: GPL-2.0
/*
 * An exit policy in terms of the VMCS: what an exit means in the words of the rules, and which
 * controls make a class exit that otherwise would not.
 */
#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/percpu.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include <asm/vmx.h>

#include "../monitor/policy.h"
#include "../regs.h"
#include "../vm.h"
#include "vmx.h"

/* Faults that can be raised again as they came. */
#define EXCEPTIONS (BIT(X86_TRAP_DE) | BIT(X86_TRAP_BR) | BIT(X86_TRAP_UD) | BIT(X86_TRAP_NM) |	\
		    BIT(X86_TRAP_TS) | BIT(X86_TRAP_NP) | BIT(X86_TRAP_SS) | BIT(X86_TRAP_GP) |	\
		    BIT(X86_TRAP_PF) | BIT(X86_TRAP_MF) | BIT(X86_TRAP_XF))

/* Bits 5:4 of the exit qualification for control-register accesses */
enum { MOV_TO_CR, MOV_FROM_CR, CLTS, LMSW };

static u64 edx_eax(const struct vitrine_vcpu *vcpu)
{
	return (u32)vcpu->regs[VITRINE_REG_RAX] | vcpu->regs[VITRINE_REG_RDX] << 32;
}

static u64 old_cr(struct vitrine_vcpu *vcpu, unsigned int cr)
{
	switch (cr) {
	case 0:
		return vmx_get_cr0(vcpu);
	case 3:
		return vmx_get_cr3(vcpu);
	case 4:
		return vmx_get_cr4(vcpu);
	default:
		return vcpu->lapic ? vitrine_lapic_get_cr8(vcpu) : vcpu->cr8;
	}
}

static void describe_cr(struct vitrine_vcpu *vcpu, struct vitrine_happening *what)
{
	u64 qualification = vcpu->exit.qualification;
	unsigned int cr = qualification & 15;

	what->on = VITRINE_ON_CR_WRITE;
	switch ((qualification >> 4) & 3) {
	case MOV_TO_CR:
		what->key = cr;
		what->value = vmx_cr_operand(vcpu) ^ old_cr(vcpu, cr);
		break;
	case MOV_FROM_CR:
		what->on = VITRINE_ON_CR_READ;
		what->key = cr;
		break;
	case CLTS:
		what->value = vmx_get_cr0(vcpu) & X86_CR0_TS;
		break;
	default:
		what->value = (vmx_get_cr0(vcpu) ^ qualification >> LMSW_SOURCE_DATA_SHIFT) & 0xf;
		break;
	}
}

static void describe_io(struct vitrine_vcpu *vcpu, struct vitrine_happening *what)
{
	u64 qualification = vcpu->exit.qualification;
	unsigned int size = (qualification & 7) + 1;
	bool string = qualification & BIT(4);

	what->on = qualification & BIT(3) ? VITRINE_ON_IN : VITRINE_ON_OUT;
	what->key = (u16)(qualification >> 16);
	what->sub = size;
	if (what->on == VITRINE_ON_OUT && !string)
		what->value = vcpu->regs[VITRINE_REG_RAX] & GENMASK_ULL(size * 8 - 1, 0);
}

static bool describe_exception(struct vitrine_vcpu *vcpu, struct vitrine_happening *what)
{
	u32 info = vcpu->exit.intr_info;
	u8 vector = info & INTR_INFO_VECTOR_MASK;

	if ((info & INTR_INFO_INTR_TYPE_MASK) != INTR_TYPE_HARD_EXCEPTION || vector > 31 ||
	    !(EXCEPTIONS & BIT(vector)))
		return false;
	what->on = VITRINE_ON_EXCEPTION;
	what->key = vector;
	if (info & INTR_INFO_DELIVER_CODE_MASK)
		what->value = vmcs_read(VM_EXIT_INTR_ERROR_CODE);
	return true;
}

bool vmx_describe_exit(struct vitrine_vcpu *vcpu, struct vitrine_happening *what)
{
	const u64 *regs = vcpu->regs;
	u64 base;

	*what = (struct vitrine_happening){};
	switch (vcpu->exit.reason) {
	case EXIT_REASON_CPUID:
		what->on = VITRINE_ON_CPUID;
		what->key = (u32)regs[VITRINE_REG_RAX];
		what->sub = (u32)regs[VITRINE_REG_RCX];
		break;
	case EXIT_REASON_MSR_READ:
		what->on = VITRINE_ON_RDMSR;
		what->key = (u32)regs[VITRINE_REG_RCX];
		break;
	case EXIT_REASON_MSR_WRITE:
		what->on = VITRINE_ON_WRMSR;
		what->key = (u32)regs[VITRINE_REG_RCX];
		what->value = edx_eax(vcpu);
		break;
	case EXIT_REASON_IO_INSTRUCTION:
		describe_io(vcpu, what);
		break;
	case EXIT_REASON_CR_ACCESS:
		describe_cr(vcpu, what);
		break;
	case EXIT_REASON_EXCEPTION_NMI:
		if (!describe_exception(vcpu, what))
			return false;
		break;
	case EXIT_REASON_VMCALL:
		what->on = VITRINE_ON_HYPERCALL;
		what->key = regs[VITRINE_REG_RAX];
		if (vmx_get_code_mode(vcpu, &base) != VITRINE_INSN_64)
			what->key = (u32)what->key;
		break;
	case EXIT_REASON_HLT:
		what->on = VITRINE_ON_HLT;
		break;
	case EXIT_REASON_RDTSC:
	case EXIT_REASON_RDTSCP:
		what->on = VITRINE_ON_RDTSC;
		what->key = vcpu->exit.reason == EXIT_REASON_RDTSCP;
		break;
	case EXIT_REASON_XSETBV:
		what->on = VITRINE_ON_XSETBV;
		what->key = (u32)regs[VITRINE_REG_RCX];
		what->value = edx_eax(vcpu);
		break;
	default:
		return false;
	}
	if (!(vcpu->policy_on & BIT(what->on)))
		return false;
	/* The event that the exit interrupted is looked after before anybody waits. */
	vmx_settle_exit(vcpu);
	return true;
}

u32 vmx_insn_len(struct vitrine_vcpu *vcpu)
{
	return vcpu->exit.reason == EXIT_REASON_EXCEPTION_NMI ? 0 :
								vmcs_read(VM_EXIT_INSTRUCTION_LEN);
}

u32 vmx_policy_exceptions(const struct vitrine_vcpu *vcpu)
{
	return vcpu->policy_on & BIT(VITRINE_ON_EXCEPTION) ? EXCEPTIONS : 0;
}

void vmx_update_policy(struct vitrine_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 on = vcpu->policy_on;
	u64 cr0 = vmx_get_cr0(vcpu), cr4 = vmx_get_cr4(vcpu);

	vmx_update_exceptions(vcpu);
	vmx_cpu_ctls_set(vmx, CPU_BASED_RDTSC_EXITING, on & BIT(VITRINE_ON_RDTSC));
	vmx_cpu_ctls_set(vmx, CPU_BASED_CR3_LOAD_EXITING, on & BIT(VITRINE_ON_CR_WRITE));
	vmx_cpu_ctls_set(vmx, CPU_BASED_CR3_STORE_EXITING, on & BIT(VITRINE_ON_CR_READ));
	vmx_cpu_ctls_set(vmx, CPU_BASED_HLT_EXITING,
			 !vmx->hlt_passes || on & BIT(VITRINE_ON_HLT));
	/* Which bits the guest owns follows from policy_on. */
	vmx_set_cr0(vcpu, cr0);
	vmx_set_cr4(vcpu, cr4);
}
