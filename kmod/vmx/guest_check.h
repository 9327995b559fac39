/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest-state area and what a VM entry checks of it: SDM, "Checks on the Guest State Area".
 * Pure: compiled into the module, which asks after an entry failed, and into the host's unit test.
 */
#ifndef VMX_GUEST_CHECK_H
#define VMX_GUEST_CHECK_H

#include <linux/types.h>

enum vmx_guest_seg {
	VMX_SEG_ES,
	VMX_SEG_CS,
	VMX_SEG_SS,
	VMX_SEG_DS,
	VMX_SEG_FS,
	VMX_SEG_GS,
	VMX_SEG_TR,
	VMX_SEG_LDTR,
	VMX_NR_SEGS
};

struct vmx_guest_segment {
	u16 selector;
	u32 limit;
	u32 access_rights;	/* as in the VMCS: bit 16 is "unusable" */
	u64 base;
};

struct vmx_guest_table {
	u32 limit;
	u64 base;
};

/* enum vmx_activity - the guest activity state, as encoded in the VMCS */
enum vmx_activity { VMX_ACTIVE, VMX_HLT, VMX_SHUTDOWN, VMX_WAIT_FOR_SIPI };

/**
 * struct vmx_guest_state - what is checked, in the SDM's order
 * @load_debug: @load_pat: @load_efer: @ia32e: VM-entry controls
 * @unrestricted: @virtual_nmis: VM-execution controls
 * @event_valid: @event_type: @event_vector: VM-entry interruption-information field
 */
struct vmx_guest_state {
	bool load_debug, load_pat, load_efer, ia32e;
	bool unrestricted, virtual_nmis;
	bool event_valid;
	u8 event_type, event_vector;

	u64 cr0, cr3, cr4;
	u64 dr7, debugctl;
	u64 sysenter_esp, sysenter_eip;
	u64 pat, efer;
	struct vmx_guest_segment seg[VMX_NR_SEGS];
	struct vmx_guest_table gdtr, idtr;
	u64 rip, rflags;
	u32 activity, interruptibility;
	u64 pending_debug;
	u64 link_pointer;
	u64 pdpte[4];
};

/**
 * struct vmx_guest_state_caps - what this CPU supports
 * @cr0_fixed0: @cr0_fixed1: @cr4_fixed0: @cr4_fixed1: IA32_VMX_CRn_FIXEDm
 * @efer_valid: @debugctl_valid: bits that are not reserved
 * @efer_lme: @efer_lma: which of them these two are
 * @activity_states: bit by activity state, but active: IA32_VMX_MISC
 * @physical_bits: @linear_bits: widths of addresses
 */
struct vmx_guest_state_caps {
	u64 cr0_fixed0, cr0_fixed1;
	u64 cr4_fixed0, cr4_fixed1;
	u64 efer_valid, debugctl_valid;
	u64 efer_lme, efer_lma;
	u32 activity_states;
	u8 physical_bits;
	u8 linear_bits;
};

/* The first check that @state fails, in the SDM's words and order, or NULL. */
const char *vmx_guest_state_check(const struct vmx_guest_state *state,
				  const struct vmx_guest_state_caps *caps);

#endif
