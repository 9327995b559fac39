// SPDX-License-Identifier: GPL-2.0
/*
 * Events on their way into the guest: the VM-entry interruption information, windows, blocking, and
 * stepping over an instruction.
 */
#include <linux/kvm.h>
#include <linux/percpu.h>
#include <asm/debugreg.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../regs.h"
#include "../vm.h"
#include "vmx.h"

#define INTR_SHADOW	(GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)

/* SDM, "Checks on VM-Entry Control Fields": event injection */
#define WITH_ERROR_CODE	(BIT(X86_TRAP_DF) | BIT(X86_TRAP_TS) | BIT(X86_TRAP_NP) |	\
			 BIT(X86_TRAP_SS) | BIT(X86_TRAP_GP) | BIT(X86_TRAP_PF) |	\
			 BIT(X86_TRAP_AC))
#define ERROR_CODE_MASK	0x7fffu

void vmx_leave_hlt(struct vitrine_vcpu *vcpu)
{
	if (vmcs_read(GUEST_ACTIVITY_STATE) == GUEST_ACTIVITY_HLT)
		vmcs_write(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
}

void vmx_inject(struct vitrine_vcpu *vcpu, const struct vitrine_injection *inj)
{
	const struct vitrine_event *event = &inj->event;
	u32 info = INTR_INFO_VALID_MASK | event->type << 8 | event->vector;

	/*
	 * By the vector, as an entry that delivers an error code with any other, or none with
	 * these, or a wide one, is refused; and a VMM may ask for that. Real mode knows none.
	 */
	if (event->type == VITRINE_EVENT_EXCEPTION && vcpu->cr0 & X86_CR0_PE &&
	    WITH_ERROR_CODE & BIT(event->vector)) {
		info |= INTR_INFO_DELIVER_CODE_MASK;
		vmcs_write(VM_ENTRY_EXCEPTION_ERROR_CODE,
			   event->has_error ? event->error_code & ERROR_CODE_MASK : 0);
	}
	if (event->type >= VITRINE_EVENT_SOFT_INTERRUPT)
		vmcs_write(VM_ENTRY_INSTRUCTION_LEN, event->insn_len);
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD, info);
	if (unlikely(vcpu->vm->disabled_exits))
		vmx_leave_hlt(vcpu);
}

void vmx_cancel_inject(struct vitrine_vcpu *vcpu)
{
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD, 0);
}

void vmx_set_windows(struct vitrine_vcpu *vcpu, bool interrupt, bool nmi)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_cpu_ctls_set(vmx, CPU_BASED_INTR_WINDOW_EXITING, interrupt);
	vmx_cpu_ctls_set(vmx, CPU_BASED_NMI_WINDOW_EXITING, nmi);
}

u32 vmx_interrupt_shadow(struct vitrine_vcpu *vcpu)
{
	u32 state = vmcs_read(GUEST_INTERRUPTIBILITY_INFO);

	return (state & GUEST_INTR_STATE_STI ? KVM_X86_SHADOW_INT_STI : 0) |
	       (state & GUEST_INTR_STATE_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0);
}

void vmx_set_interrupt_shadow(struct vitrine_vcpu *vcpu, u32 shadow)
{
	u32 old = vmcs_read(GUEST_INTERRUPTIBILITY_INFO);
	u32 state = old & ~INTR_SHADOW;

	/* Both at once is no state that a CPU can be in. */
	if (shadow & KVM_X86_SHADOW_INT_MOV_SS)
		state |= GUEST_INTR_STATE_MOV_SS;
	else if (shadow & KVM_X86_SHADOW_INT_STI)
		state |= GUEST_INTR_STATE_STI;
	if (state != old)
		vmcs_write(GUEST_INTERRUPTIBILITY_INFO, state);
}

bool vmx_nmi_masked(struct vitrine_vcpu *vcpu)
{
	return vmcs_read(GUEST_INTERRUPTIBILITY_INFO) & GUEST_INTR_STATE_NMI;
}

void vmx_set_nmi_masked(struct vitrine_vcpu *vcpu, bool masked)
{
	u32 old = vmcs_read(GUEST_INTERRUPTIBILITY_INFO);
	u32 state = masked ? old | GUEST_INTR_STATE_NMI : old & ~GUEST_INTR_STATE_NMI;

	if (state != old)
		vmcs_write(GUEST_INTERRUPTIBILITY_INFO, state);
}

void vmx_skip_insn(struct vitrine_vcpu *vcpu)
{
	u64 rip = vmx_rip_read(vcpu) + vmcs_read(VM_EXIT_INSTRUCTION_LEN);
	u32 state = vmcs_read(GUEST_INTERRUPTIBILITY_INFO);

	/* Outside 64-bit mode EIP wraps; what CS.L says matters only when it is about to. */
	if (unlikely(rip >> 32) &&
	    !(vcpu->efer & EFER_LMA && vmcs_read(GUEST_CS_AR_BYTES) & BIT(13)))
		rip = (u32)rip;
	vitrine_reg_write(vcpu, VITRINE_REG_RIP, rip);
	if (unlikely(state & INTR_SHADOW))
		vmcs_write(GUEST_INTERRUPTIBILITY_INFO, state & ~INTR_SHADOW);
	if (unlikely(vmx_rflags_read(vcpu) & X86_EFLAGS_TF ||
		     vcpu->db.guest_debug & KVM_GUESTDBG_SINGLESTEP))
		vitrine_vcpu_insn_done(vcpu);
}
