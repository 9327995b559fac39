// SPDX-License-Identifier: GPL-2.0
/*
 * Guest state that lives in the VMCS: control registers, MSRs, TSC, translations. Values come
 * checked.
 */
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/lockdep.h>
#include <vitrine_policy.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>

#include "../regs.h"
#include "../vm.h"
#include "ept.h"
#include "mitigation.h"
#include "vmx.h"

/* CR4 bits whose change needs no exit: they alter nothing that we keep, and no translation mode. */
#define CR4_GUEST_OWNED \
	(X86_CR4_PVI | X86_CR4_DE | X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | \
	 X86_CR4_PGE | X86_CR4_TSD | X86_CR4_FSGSBASE)

void vmx_cache_reg(struct vitrine_vcpu *vcpu, unsigned int reg)
{
	switch (reg) {
	case VITRINE_REG_RIP:
		vcpu->regs[reg] = vmcs_read(GUEST_RIP);
		break;
	case VITRINE_REG_RSP:
		vcpu->regs[reg] = vmcs_read(GUEST_RSP);
		break;
	case VITRINE_REG_RFLAGS:
		vcpu->regs[reg] = vmcs_read(GUEST_RFLAGS);
		/* The VMM's, see step_prepare() in enter.c. */
		if (unlikely(vcpu->db.guest_debug & KVM_GUESTDBG_SINGLESTEP) &&
		    !to_vmx(vcpu)->guest_tf)
			vcpu->regs[reg] &= ~X86_EFLAGS_TF;
		break;
	case VITRINE_CACHE_PDPTRS:
		vcpu->pdptrs[0] = vmcs_read(GUEST_PDPTR0);
		vcpu->pdptrs[1] = vmcs_read(GUEST_PDPTR1);
		vcpu->pdptrs[2] = vmcs_read(GUEST_PDPTR2);
		vcpu->pdptrs[3] = vmcs_read(GUEST_PDPTR3);
		break;
	}
	vcpu->regs_avail |= BIT(reg);
}

u64 vmx_get_cr0(struct vitrine_vcpu *vcpu)
{
	u64 owned = to_vmx(vcpu)->cr0_guest_owned;

	return (vcpu->cr0 & ~owned) | (vmcs_read(GUEST_CR0) & owned);
}

u64 vmx_get_cr3(struct vitrine_vcpu *vcpu)
{
	return vmcs_read(GUEST_CR3);
}

u64 vmx_get_cr4(struct vitrine_vcpu *vcpu)
{
	u64 owned = to_vmx(vcpu)->cr4_guest_owned;

	return (vcpu->cr4 & ~owned) | (vmcs_read(GUEST_CR4) & owned);
}

void vmx_set_cr0(struct vitrine_vcpu *vcpu, u64 cr0)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	/*
	 * Unrestricted guests are free of the fixed PE and PG; caching is the host's business, so
	 * CD and NW stay 0.
	 */
	u64 fixed = vmx_caps.cr0_fixed0 & ~(X86_CR0_PE | X86_CR0_PG);

	vcpu->cr0 = cr0;
	vmx->cr0_guest_owned = vcpu->policy_on & BIT(VITRINE_ON_CR_WRITE) ? 0 : X86_CR0_TS;
	vmcs_write(CR0_GUEST_HOST_MASK, ~vmx->cr0_guest_owned);
	vmcs_write(CR0_READ_SHADOW, cr0);
	vmcs_write(GUEST_CR0, (cr0 & ~(X86_CR0_CD | X86_CR0_NW)) | fixed);
	if (vcpu->efer & EFER_LME)
		vmx_set_efer(vcpu,
			     cr0 & X86_CR0_PG ? vcpu->efer | EFER_LMA : vcpu->efer & ~EFER_LMA);
}

void vmx_set_cr3(struct vitrine_vcpu *vcpu, u64 cr3)
{
	vcpu->cr3 = cr3;
	vmcs_write(GUEST_CR3, cr3);
}

void vmx_set_cr4(struct vitrine_vcpu *vcpu, u64 cr4)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	/*
	 * A machine check in the guest must exit and not shut the CPU down, so MCE is the host's.
	 */
	u64 hw = (cr4 & ~X86_CR4_MCE) | (cr4_read_shadow() & X86_CR4_MCE) | vmx_caps.cr4_fixed0;

	vcpu->cr4 = cr4;
	vmx->cr4_guest_owned = vcpu->policy_on & BIT(VITRINE_ON_CR_WRITE) ? 0 :
			       CR4_GUEST_OWNED & ~vitrine_cr4_reserved(vcpu);
	vmcs_write(CR4_GUEST_HOST_MASK, ~vmx->cr4_guest_owned);
	vmcs_write(CR4_READ_SHADOW, cr4);
	vmcs_write(GUEST_CR4, hw);
}

void vmx_set_efer(struct vitrine_vcpu *vcpu, u64 efer)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if ((vcpu->efer ^ efer) & EFER_SCE && vmx->guest_loaded)
		vmx->shared_stale = true;
	vcpu->efer = efer;
	vmcs_write(GUEST_IA32_EFER, efer);
	vmx_entry_ctls_set(vmx, VM_ENTRY_IA32E_MODE, efer & EFER_LMA);
}

u64 vmx_get_dr7(struct vitrine_vcpu *vcpu)
{
	return vmcs_read(GUEST_DR7);
}

void vmx_set_dr7(struct vitrine_vcpu *vcpu, u64 dr7)
{
	vmcs_write(GUEST_DR7, dr7);
}

/* The VMCS field of an MSR that lives there, or 0. */
static unsigned long msr_field(u32 msr)
{
	switch (msr) {
	case MSR_FS_BASE:
		return GUEST_FS_BASE;
	case MSR_GS_BASE:
		return GUEST_GS_BASE;
	case MSR_IA32_SYSENTER_CS:
		return GUEST_SYSENTER_CS;
	case MSR_IA32_SYSENTER_ESP:
		return GUEST_SYSENTER_ESP;
	case MSR_IA32_SYSENTER_EIP:
		return GUEST_SYSENTER_EIP;
	case MSR_IA32_CR_PAT:
		return GUEST_IA32_PAT;
	default:
		return 0;
	}
}

int vmx_get_msr(struct vitrine_vcpu *vcpu, u32 msr, u64 *data)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned long field = msr_field(msr);

	if (field) {
		*data = vmcs_read(field);
		return 0;
	}
	if (msr != MSR_KERNEL_GS_BASE)
		return -ENOENT;
	preempt_disable();
	if (vmx->guest_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_kernel_gs_base);
	*data = vmx->msr_kernel_gs_base;
	preempt_enable();
	return 0;
}

int vmx_set_msr(struct vitrine_vcpu *vcpu, u32 msr, u64 data)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned long field = msr_field(msr);

	if (field) {
		vmcs_write(field, data);
		return 0;
	}
	switch (msr) {
	case MSR_KERNEL_GS_BASE:
		preempt_disable();
		vmx->msr_kernel_gs_base = data;
		if (vmx->guest_loaded)
			wrmsrl(MSR_KERNEL_GS_BASE, data);
		preempt_enable();
		return 0;
	case MSR_STAR:
	case MSR_LSTAR:
	case MSR_SYSCALL_MASK:
	case MSR_TSC_AUX:
		/* The value is in vcpu->msrs; the CPU's copy is renewed at the next entry. */
		vmx->shared_stale = true;
		return 0;
	default:
		return -ENOENT;
	}
}

/*
 * "MSR-Bitmap Address": reads of low and high MSRs, then writes of both, a bit each, 1 for an exit.
 */
void vmx_update_msr_intercept(struct vitrine_vcpu *vcpu, u32 msr, bool read, bool write)
{
	unsigned long *bitmap = to_vmx(vcpu)->msr_bitmap;
	unsigned int bit, high = 0;

	if (msr <= 0x1fff) {
		bit = msr;
	} else if (msr >= 0xc0000000 && msr <= 0xc0001fff) {
		bit = msr - 0xc0000000;
		high = 0x400 * 8;
	} else {
		return;		/* always exits */
	}
	__assign_bit(high + bit, bitmap, read);
	__assign_bit(0x800 * 8 + high + bit, bitmap, write);
	/*
	 * What the guest writes unseen must be read back at each exit, or the host runs on with it.
	 */
	if (msr == MSR_IA32_SPEC_CTRL)
		to_vmx(vcpu)->enter_flags = vmx_mitigation_enter_flags(vcpu);
}

void vmx_update_exceptions(struct vitrine_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	/*
	 * #AC and #DB can be raised without end by their own delivery, so they must exit for the
	 * host to stay in control; #DB also because DR6 is kept by us. #MC belongs to the host.
	 */
	u32 bitmap = BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC) |
		     vmx_policy_exceptions(vcpu);

	if (vitrine_vm_has_quirk(vcpu->vm, KVM_X86_QUIRK_FIX_HYPERCALL_INSN))
		bitmap |= BIT(X86_TRAP_UD);
	if (vcpu->db.guest_debug & KVM_GUESTDBG_USE_SW_BP)
		bitmap |= BIT(X86_TRAP_BP);
	if (bitmap != vmx->exception_bitmap) {
		vmx->exception_bitmap = bitmap;
		vmcs_write(EXCEPTION_BITMAP, bitmap);
	}
}

void vmx_set_tsc(struct vitrine_vcpu *vcpu)
{
	vmcs_write(TSC_OFFSET, vcpu->tsc_offset);
	if (vmx_caps.tsc_scaling)
		vmcs_write(TSC_MULTIPLIER, vcpu->tsc_multiplier);
}

void vmx_mmu_root_changed(struct vitrine_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->eptp = vmx_ept_pointer(&vcpu->vm->mmu);
	vmcs_write(EPT_POINTER, vmx->eptp);
	/*
	 * This CPU may know what the root led to before: for another VM, or for a vCPU that has
	 * moved on and was flushed elsewhere. Nobody else could ask this vCPU for it until now.
	 */
	vitrine_vcpu_request(vcpu, VITRINE_REQ_TLB_FLUSH);
}

/* Preemption off: it is this CPU's caches that are dropped. */
void vmx_tlb_flush(struct vitrine_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	int ret;

	lockdep_assert_preemption_disabled();
	if (!vmx->eptp)
		return;
	if (vmx_caps.invept_single)
		ret = vmx_invept(VMX_EPT_EXTENT_CONTEXT, vmx->eptp);
	else
		ret = vmx_invept(VMX_EPT_EXTENT_GLOBAL, 0);
	/* The guest may still reach pages that are the host's again: no entry may follow. */
	if (unlikely(ret))
		vitrine_vm_mark_dead(vcpu->vm, "INVEPT failed");
	vmx_tlb_flush_guest(vcpu);
	vcpu->stats.tlb_flushes++;
}

void vmx_tlb_flush_guest(struct vitrine_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (vmx->vpid && vmx_invvpid(VMX_VPID_EXTENT_SINGLE_CONTEXT, vmx->vpid, 0))
		vitrine_vm_mark_dead(vcpu->vm, "INVVPID failed");
}
