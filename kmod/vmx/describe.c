// SPDX-License-Identifier: GPL-2.0
/*
 * What an exit means in the words of an exit policy's rules, and what an answer's value does to the
 * instruction. It must not decide anything.
 */
#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/kvm.h>
#include <linux/percpu.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include <asm/vmx.h>

#include "../monitor/policy.h"
#include "../regs.h"
#include "../vm.h"
#include "vmx.h"

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
		what->value = vmx_reg_operand(vcpu, (qualification >> 8) & 15) ^ old_cr(vcpu, cr);
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

/* What comes before the exit by the SDM, and does not on all that runs this, is no access. */
static bool describe_dr(struct vitrine_vcpu *vcpu, struct vitrine_happening *what)
{
	u64 qualification = vcpu->exit.qualification;

	if (vmx_get_cpl(vcpu))
		return false;
	what->on = qualification & BIT(4) ? VITRINE_ON_DR_READ : VITRINE_ON_DR_WRITE;
	what->key = qualification & 7;
	if (what->on == VITRINE_ON_DR_WRITE)
		what->value = vmx_reg_operand(vcpu, (qualification >> 8) & 15);
	return true;
}

static void describe_io(struct vitrine_vcpu *vcpu, struct vitrine_happening *what)
{
	u64 qualification = vcpu->exit.qualification;
	unsigned int size = (qualification & 7) + 1;

	what->string = qualification & BIT(4);
	what->on = qualification & BIT(3) ? VITRINE_ON_IN : VITRINE_ON_OUT;
	what->key = (u16)(qualification >> 16);
	what->sub = size;
	if (what->on == VITRINE_ON_OUT && !what->string)
		what->value = vcpu->regs[VITRINE_REG_RAX] & GENMASK_ULL(size * 8 - 1, 0);
}

/* What the VMM debugs with is the VMM's, and what the host makes of a split lock the host's. */
static bool is_guests_own(struct vitrine_vcpu *vcpu, u8 vector)
{
	u32 debug = vcpu->db.guest_debug;

	switch (vector) {
	case X86_TRAP_DB:
		return !(debug & (KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_SINGLESTEP));
	case X86_TRAP_BP:
		return !(debug & KVM_GUESTDBG_USE_SW_BP);
	case X86_TRAP_AC:
		return vmx_is_guest_alignment_check(vcpu);
	default:
		return true;
	}
}

static bool describe_exception(struct vitrine_vcpu *vcpu, struct vitrine_happening *what)
{
	u32 info = vcpu->exit.intr_info;
	u8 vector = info & INTR_INFO_VECTOR_MASK;

	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR || vector > 31 ||
	    !(VMX_POLICY_EXCEPTIONS & BIT(vector)) || !is_guests_own(vcpu, vector))
		return false;
	what->on = VITRINE_ON_EXCEPTION;
	what->key = vector;
	if (info & INTR_INFO_DELIVER_CODE_MASK)
		what->value = vmcs_read(VM_EXIT_INTR_ERROR_CODE);
	else if (vector == X86_TRAP_DB)
		what->value = vcpu->exit.qualification;
	return true;
}

static void describe_invpcid(struct vitrine_vcpu *vcpu, struct vitrine_happening *what)
{
	struct vmx_operand operand;

	vmx_operand_decode(vcpu, &operand);
	what->on = VITRINE_ON_INVPCID;
	what->key = vmx_reg_operand(vcpu, operand.info >> 28);
	what->value = vmx_operand_linear(vcpu, &operand);
}

/* An exception has one where an instruction is there to raise it: INT1, INT3, INTO. */
static u32 insn_len(struct vitrine_vcpu *vcpu)
{
	u32 type = vcpu->exit.intr_info & INTR_INFO_INTR_TYPE_MASK;

	if (vcpu->exit.reason == EXIT_REASON_MONITOR_TRAP_FLAG)
		return 0;
	if (vcpu->exit.reason == EXIT_REASON_EXCEPTION_NMI && type != INTR_TYPE_SOFT_EXCEPTION &&
	    type != INTR_TYPE_PRIV_SW_EXCEPTION)
		return 0;
	return vmcs_read(VM_EXIT_INSTRUCTION_LEN);
}

bool vmx_describe_exit(struct vitrine_vcpu *vcpu, struct vitrine_happening *what)
{
	const u64 *regs = vcpu->regs;
	u32 reason = vcpu->exit.reason;
	bool load;
	u64 base;

	*what = (struct vitrine_happening){};
	switch (reason) {
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
	case EXIT_REASON_DR_ACCESS:
		if (!describe_dr(vcpu, what))
			return false;
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
		what->key = reason == EXIT_REASON_RDTSCP;
		what->value = vitrine_vcpu_guest_tsc(vcpu, vcpu->exit.tsc);
		break;
	case EXIT_REASON_XSETBV:
		what->on = VITRINE_ON_XSETBV;
		what->key = (u32)regs[VITRINE_REG_RCX];
		what->value = edx_eax(vcpu);
		break;
	case EXIT_REASON_INVLPG:
		what->on = VITRINE_ON_INVLPG;
		what->key = vcpu->exit.qualification;
		break;
	case EXIT_REASON_INVPCID:
		describe_invpcid(vcpu, what);
		break;
	case EXIT_REASON_RDPMC:
		what->on = VITRINE_ON_RDPMC;
		what->key = (u32)regs[VITRINE_REG_RCX];
		break;
	case EXIT_REASON_RDRAND:
	case EXIT_REASON_RDSEED:
		what->on = reason == EXIT_REASON_RDRAND ? VITRINE_ON_RDRAND : VITRINE_ON_RDSEED;
		what->key = vmx_random_bytes(vcpu);
		break;
	case EXIT_REASON_WBINVD:
	case EXIT_REASON_INVD:
		what->on = VITRINE_ON_WBINVD;
		what->key = reason == EXIT_REASON_INVD;
		break;
	case EXIT_REASON_PAUSE_INSTRUCTION:
		what->on = VITRINE_ON_PAUSE;
		break;
	case EXIT_REASON_MONITOR_INSTRUCTION:
	case EXIT_REASON_MWAIT_INSTRUCTION:
		what->on = VITRINE_ON_MONITOR;
		what->key = reason == EXIT_REASON_MWAIT_INSTRUCTION;
		break;
	case EXIT_REASON_GDTR_IDTR:
	case EXIT_REASON_LDTR_TR:
		if (!vmx_describe_table(vcpu, &load, &what->key))
			return false;
		what->on = load ? VITRINE_ON_TABLE_LOAD : VITRINE_ON_TABLE_STORE;
		break;
	case EXIT_REASON_VMCLEAR ... EXIT_REASON_VMON:
	case EXIT_REASON_INVEPT:
	case EXIT_REASON_INVVPID:
		what->on = VITRINE_ON_VMX;
		what->key = reason;
		break;
	case EXIT_REASON_MONITOR_TRAP_FLAG:
		what->on = VITRINE_ON_STEP;
		what->key = vitrine_rip_read(vcpu);
		break;
	default:
		return false;
	}
	if (!(vcpu->policy_on & BIT(what->on)))
		return false;
	what->insn_len = insn_len(vcpu);
	/* The event that the exit interrupted is looked after before anybody waits. */
	vmx_settle_exit(vcpu);
	return true;
}

static void put_edx_eax(struct vitrine_vcpu *vcpu, u64 value)
{
	vcpu->regs[VITRINE_REG_RAX] = (u32)value;
	vcpu->regs[VITRINE_REG_RDX] = value >> 32;
}

void vmx_put_result(struct vitrine_vcpu *vcpu, u64 value)
{
	u64 qualification = vcpu->exit.qualification;
	unsigned int reg = (qualification >> 8) & 15;
	u64 base;

	switch (vcpu->exit.reason) {
	case EXIT_REASON_IO_INSTRUCTION:
		vmx_reg_store(vcpu, VITRINE_REG_RAX, (qualification & 7) + 1, value);
		break;
	case EXIT_REASON_CR_ACCESS:
	case EXIT_REASON_DR_ACCESS:
		vmx_reg_store(vcpu, reg,
			      vmx_get_code_mode(vcpu, &base) == VITRINE_INSN_64 ? 8 : 4, value);
		break;
	case EXIT_REASON_RDRAND:
	case EXIT_REASON_RDSEED:
		vmx_put_random(vcpu, true, value);
		break;
	case EXIT_REASON_RDTSCP:
		vcpu->regs[VITRINE_REG_RCX] = (u32)vcpu->msrs.shared[VITRINE_MSR_TSC_AUX];
		fallthrough;
	default:
		put_edx_eax(vcpu, value);
		break;
	}
}

/* The guest's registers are its own again behind the instruction, which has read them once. */
int vmx_handle_exit_with(struct vitrine_vcpu *vcpu, u64 value)
{
	u64 qualification = vcpu->exit.qualification;
	u32 reason = vcpu->exit.reason;
	unsigned int reg = reason == EXIT_REASON_DR_ACCESS ? (qualification >> 8) & 15 :
							      VITRINE_REG_RAX;
	u64 old = vitrine_reg_read(vcpu, reg), rdx = vcpu->regs[VITRINE_REG_RDX];
	int ret;

	if (reason == EXIT_REASON_MSR_WRITE || reason == EXIT_REASON_XSETBV)
		put_edx_eax(vcpu, value);
	else
		vitrine_reg_write(vcpu, reg, value);
	ret = vmx_handle_exit(vcpu);
	vcpu->regs[VITRINE_REG_RDX] = rdx;
	vitrine_reg_write(vcpu, reg, old);
	return ret;
}
