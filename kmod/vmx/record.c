// SPDX-License-Identifier: GPL-2.0
/* What a record of an exit takes from the VMCS. It must not change anything. */
#include <linux/types.h>
#include <asm/msr-index.h>
#include <vitrine.h>

#include "vmx.h"

/* Not those that come between instructions, nor where its SDM section leaves it undefined. */
static bool has_insn_len(u32 reason)
{
	switch ((u16)reason) {
	case EXIT_REASON_EXCEPTION_NMI:
	case EXIT_REASON_EXTERNAL_INTERRUPT:
	case EXIT_REASON_TRIPLE_FAULT:
	case EXIT_REASON_INTERRUPT_WINDOW:
	case EXIT_REASON_NMI_WINDOW:
	case EXIT_REASON_TPR_BELOW_THRESHOLD:
	case EXIT_REASON_EOI_INDUCED:
	case EXIT_REASON_EPT_VIOLATION:
	case EXIT_REASON_EPT_MISCONFIG:
	case EXIT_REASON_PREEMPTION_TIMER:
	case EXIT_REASON_APIC_WRITE:
	case EXIT_REASON_MONITOR_TRAP_FLAG:
	case EXIT_REASON_PML_FULL:
		return false;
	default:
		return !(reason & VMX_EXIT_REASONS_FAILED_VMENTRY);
	}
}

/* Each word from where it is: the usual ways to them are calls, and this is for every exit. */
void vmx_record_exit(struct vitrine_vcpu *vcpu, struct vitrine_record *record)
{
	u32 reason = vcpu->exit.reason, cs_rights = vmcs_read(GUEST_CS_AR_BYTES);

	record->intr_info = 0;
	record->error_code = 0;
	record->gpa = 0;
	record->insn_len = has_insn_len(reason) ? vmcs_read(VM_EXIT_INSTRUCTION_LEN) : 0;
	if (reason == EXIT_REASON_EPT_VIOLATION || reason == EXIT_REASON_EPT_MISCONFIG) {
		record->gpa = vmcs_read(GUEST_PHYSICAL_ADDRESS);
	} else if (reason == EXIT_REASON_EXCEPTION_NMI) {
		record->intr_info = vcpu->exit.intr_info;
		if (record->intr_info & INTR_INFO_DELIVER_CODE_MASK)
			record->error_code = vmcs_read(VM_EXIT_INTR_ERROR_CODE);
	}
	record->rip = vmx_rip_read(vcpu);
	record->rflags = vmx_rflags_read(vcpu);
	record->cr3 = vmcs_read(GUEST_CR3);
	record->regs[VITRINE_REG_RSP] = vmcs_read(GUEST_RSP);
	if (cs_rights & VMX_AR_L_MASK && vcpu->efer & EFER_LMA) {
		record->mode = VITRINE_RECORD_64BIT;
		record->code_base = 0;
	} else {
		record->mode = cs_rights & VMX_AR_DB_MASK ? VITRINE_RECORD_32BIT :
							    VITRINE_RECORD_16BIT;
		record->code_base = vmcs_read(GUEST_CS_BASE);
	}
	record->cpl = VMX_AR_DPL(vmcs_read(GUEST_SS_AR_BYTES));
}
