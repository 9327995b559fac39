// SPDX-License-Identifier: GPL-2.0
/*
 * Exits that there are only for an exit policy's sake: each handler does what the instruction would
 * have done without it.
 */
#include <linux/bitops.h>
#include <linux/kernel.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <asm/archrandom.h>
#include <asm/invpcid.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../exit.h"
#include "../regs.h"
#include "../vm.h"
#include "vmx.h"

#define STATUS_FLAGS	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF |	\
			 X86_EFLAGS_SF | X86_EFLAGS_OF)

static int skip(struct vitrine_vcpu *vcpu)
{
	vmx_skip_insn(vcpu);
	return EXIT_RESUME;
}

static int inject_gp(struct vitrine_vcpu *vcpu)
{
	vitrine_vcpu_queue_exception(vcpu, X86_TRAP_GP, true, 0);
	return EXIT_RESUME;
}

int vmx_exit_rdtsc(struct vitrine_vcpu *vcpu)
{
	u64 tsc = vitrine_vcpu_guest_tsc(vcpu, rdtsc());

	vcpu->regs[VITRINE_REG_RAX] = (u32)tsc;
	vcpu->regs[VITRINE_REG_RDX] = tsc >> 32;
	return skip(vcpu);
}

int vmx_exit_rdtscp(struct vitrine_vcpu *vcpu)
{
	vcpu->regs[VITRINE_REG_RCX] = (u32)vcpu->msrs.shared[VITRINE_MSR_TSC_AUX];
	return vmx_exit_rdtsc(vcpu);
}

/*
 * More goes than the guest asked for, which is never wrong; and all of the paging-structure caches,
 * which INVLPG empties whatever its address, cannot go by address.
 */
static int flush(struct vitrine_vcpu *vcpu)
{
	preempt_disable();
	vmx_tlb_flush_guest(vcpu);
	preempt_enable();
	return skip(vcpu);
}

int vmx_exit_invlpg(struct vitrine_vcpu *vcpu)
{
	return flush(vcpu);
}

/* "INVPCID": types, and the descriptor's two words */
#define INVPCID_PCID_BITS	GENMASK_ULL(11, 0)

static bool invpcid_faults(struct vitrine_vcpu *vcpu, u64 type, const u64 *desc)
{
	unsigned int bits = vcpu->cr4 & X86_CR4_LA57 ? 57 : 48;

	if (desc[0] & ~INVPCID_PCID_BITS)
		return true;
	if (type == INVPCID_TYPE_INDIV_ADDR &&
	    (u64)sign_extend64(desc[1], bits - 1) != desc[1])
		return true;
	return (type == INVPCID_TYPE_INDIV_ADDR || type == INVPCID_TYPE_SINGLE_CTXT) && desc[0] &&
	       !(vmx_get_cr4(vcpu) & X86_CR4_PCIDE);
}

int vmx_exit_invpcid(struct vitrine_vcpu *vcpu)
{
	struct vmx_operand operand;
	u64 type, desc[2];
	int ret;

	vmx_operand_decode(vcpu, &operand);
	type = vmx_reg_operand(vcpu, operand.info >> 28);
	if (vmx_get_cpl(vcpu) || type > INVPCID_TYPE_ALL_NON_GLOBAL)
		return inject_gp(vcpu);
	ret = vmx_operand_read(vcpu, &operand, desc, sizeof(desc));
	if (ret)
		return ret;
	return invpcid_faults(vcpu, type, desc) ? inject_gp(vcpu) : flush(vcpu);
}

/* "Format of the VM-Exit Instruction-Information Field": RDRAND and RDSEED */
unsigned int vmx_random_bytes(struct vitrine_vcpu *vcpu)
{
	return 2 << ((vmcs_read(VMX_INSTRUCTION_INFO) >> 11) & 3);
}

/* What the processor's own instruction gave, or failed to give, which is the guest's to see. */
void vmx_put_random(struct vitrine_vcpu *vcpu, bool ok, u64 value)
{
	u64 rflags = vitrine_rflags_read(vcpu) & ~(u64)STATUS_FLAGS;

	vmx_reg_store(vcpu, (vmcs_read(VMX_INSTRUCTION_INFO) >> 3) & 15, vmx_random_bytes(vcpu),
		      ok ? value : 0);
	vitrine_reg_write(vcpu, VITRINE_REG_RFLAGS, rflags | (ok ? X86_EFLAGS_CF : 0));
}

int vmx_exit_rdrand(struct vitrine_vcpu *vcpu)
{
	unsigned long value = 0;
	bool ok = rdrand_long(&value);

	vmx_put_random(vcpu, ok, value);
	return skip(vcpu);
}

int vmx_exit_rdseed(struct vitrine_vcpu *vcpu)
{
	unsigned long value = 0;
	bool ok = rdseed_long(&value);

	vmx_put_random(vcpu, ok, value);
	return skip(vcpu);
}

/* Between two instructions: nothing is to be done. */
int vmx_exit_monitor_trap(struct vitrine_vcpu *vcpu)
{
	return EXIT_RESUME;
}

int vmx_exit_pause(struct vitrine_vcpu *vcpu)
{
	return skip(vcpu);
}
