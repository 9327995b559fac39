/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What enter_asm.S and enter.c agree on. Included by assembly: constants first, declarations
 * guarded.
 */
#ifndef VMX_ENTER_H
#define VMX_ENTER_H

/* Flags of vmx_enter(). */
#define VMX_ENTER_RESUME_BIT		0
#define VMX_ENTER_RESUME		0x1	/* VMRESUME, else VMLAUNCH */
#define VMX_ENTER_SPEC_CTRL		0x2	/* switch IA32_SPEC_CTRL */
#define VMX_ENTER_SAVE_SPEC_CTRL	0x4	/* the guest writes it unseen: read it back */

/* Answers of vmx_enter(). */
#define VMX_ENTER_DONE			0
#define VMX_ENTER_FAILED		1
#define VMX_ENTER_FAULTED		2

/* Offsets into struct vmx_entry; checked in enter.c. */
#define VMX_ENTRY_HOST_RSP		0
#define VMX_ENTRY_GUEST_SPEC_CTRL	8
#define VMX_ENTRY_HOST_SPEC_CTRL	16

/* HOST_RSP of enum vmcs_field, which assembly cannot include; checked in enter.c. */
#define VMX_FIELD_HOST_RSP		0x6c14

#ifndef __ASSEMBLY__
#include <linux/types.h>

struct vitrine_vcpu;

/* struct vmx_entry - what vmx_enter() needs beside the registers */
struct vmx_entry {
	u64 host_rsp;		/* what HOST_RSP holds */
	u64 guest_spec_ctrl;
	u64 host_spec_ctrl;
};

int vmx_enter(u64 *regs, struct vmx_entry *entry, unsigned int flags);
void vmx_exit_point(void);
void vmx_call_nmi_entry(void);
int vmx_vcpu_run(struct vitrine_vcpu *vcpu);
/* What is in vcpu->regs only goes to the VMCS, as before an entry. Loaded. */
void vmx_write_regs(struct vitrine_vcpu *vcpu);
#endif

#endif
