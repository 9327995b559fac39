// SPDX-License-Identifier: GPL-2.0
/*
 * Why did the processor refuse to enter? Reads the guest-state area into the form that
 * guest_check.c judges. Asked after an entry failed, and of what a monitor writes; the vCPU is
 * loaded.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/build_bug.h>
#include <asm/msr-index.h>
#include <asm/processor.h>
#include <asm/vmx.h>

#include "enter.h"
#include "guest_check.h"
#include "vmx.h"

static_assert((int)VMX_SEG_ES == (int)VITRINE_SEG_ES && (int)VMX_SEG_GS == (int)VITRINE_SEG_GS);
static_assert((int)VMX_SEG_TR == (int)VITRINE_SEG_TR && (int)VMX_SEG_LDTR == (int)VITRINE_SEG_LDTR);
static_assert(VMX_ACTIVE == GUEST_ACTIVITY_ACTIVE && VMX_HLT == GUEST_ACTIVITY_HLT);

/* IA32_DEBUGCTL: LBR to bus-lock detection, TR to freeze-while-SMM, RTM. */
#define DEBUGCTL_VALID	(GENMASK_ULL(15, 6) | GENMASK_ULL(2, 0))

/* The four fields of a segment register are numbered alike, in this order, two apart. */
static void read_segment(struct vmx_guest_segment *seg, unsigned int i)
{
	static const u16 index[VMX_NR_SEGS] = {
		[VMX_SEG_ES] = 0, [VMX_SEG_CS] = 2, [VMX_SEG_SS] = 4, [VMX_SEG_DS] = 6,
		[VMX_SEG_FS] = 8, [VMX_SEG_GS] = 10, [VMX_SEG_LDTR] = 12, [VMX_SEG_TR] = 14,
	};

	seg->selector = vmcs_read(GUEST_ES_SELECTOR + index[i]);
	seg->limit = vmcs_read(GUEST_ES_LIMIT + index[i]);
	seg->access_rights = vmcs_read(GUEST_ES_AR_BYTES + index[i]);
	seg->base = vmcs_read(GUEST_ES_BASE + index[i]);
}

static void read_state(struct vmx_guest_state *state, const struct vmx_vcpu *vmx)
{
	u32 entry = vmcs_read(VM_ENTRY_CONTROLS);
	u32 event = vmcs_read(VM_ENTRY_INTR_INFO_FIELD);
	unsigned int i;

	*state = (struct vmx_guest_state) {
		.load_debug = entry & VM_ENTRY_LOAD_DEBUG_CONTROLS,
		.load_pat = entry & VM_ENTRY_LOAD_IA32_PAT,
		.load_efer = entry & VM_ENTRY_LOAD_IA32_EFER,
		.ia32e = entry & VM_ENTRY_IA32E_MODE,
		.unrestricted = vmx->cpu2_ctls & SECONDARY_EXEC_UNRESTRICTED_GUEST,
		.virtual_nmis = vmx_caps.pin & PIN_BASED_VIRTUAL_NMIS,
		.event_valid = event & INTR_INFO_VALID_MASK,
		.event_type = (event & INTR_INFO_INTR_TYPE_MASK) >> 8,
		.event_vector = event & INTR_INFO_VECTOR_MASK,
		.cr0 = vmcs_read(GUEST_CR0),
		.cr3 = vmcs_read(GUEST_CR3),
		.cr4 = vmcs_read(GUEST_CR4),
		.dr7 = vmcs_read(GUEST_DR7),
		.debugctl = vmcs_read(GUEST_IA32_DEBUGCTL),
		.sysenter_esp = vmcs_read(GUEST_SYSENTER_ESP),
		.sysenter_eip = vmcs_read(GUEST_SYSENTER_EIP),
		.pat = vmcs_read(GUEST_IA32_PAT),
		.efer = vmcs_read(GUEST_IA32_EFER),
		.gdtr = { vmcs_read(GUEST_GDTR_LIMIT), vmcs_read(GUEST_GDTR_BASE) },
		.idtr = { vmcs_read(GUEST_IDTR_LIMIT), vmcs_read(GUEST_IDTR_BASE) },
		.rip = vmcs_read(GUEST_RIP),
		.rflags = vmcs_read(GUEST_RFLAGS),
		.activity = vmcs_read(GUEST_ACTIVITY_STATE),
		.interruptibility = vmcs_read(GUEST_INTERRUPTIBILITY_INFO),
		.pending_debug = vmcs_read(GUEST_PENDING_DBG_EXCEPTIONS),
		.link_pointer = vmcs_read(VMCS_LINK_POINTER),
		.pdpte = { vmcs_read(GUEST_PDPTR0), vmcs_read(GUEST_PDPTR1),
			   vmcs_read(GUEST_PDPTR2), vmcs_read(GUEST_PDPTR3) },
	};
	for (i = 0; i < VMX_NR_SEGS; i++)
		read_segment(&state->seg[i], i);
}

const char *vmx_invalid_guest_state(struct vmx_vcpu *vmx)
{
	/*
	 * The widths are CPUID's: the kernel's own may be smaller, as memory encryption takes bits.
	 */
	u32 widths = cpuid_eax(0x80000008);
	const struct vmx_guest_state_caps caps = {
		.cr0_fixed0 = vmx_caps.cr0_fixed0,
		.cr0_fixed1 = vmx_caps.cr0_fixed1,
		.cr4_fixed0 = vmx_caps.cr4_fixed0,
		.cr4_fixed1 = vmx_caps.cr4_fixed1,
		.efer_valid = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX,
		.debugctl_valid = DEBUGCTL_VALID,
		.efer_lme = EFER_LME,
		.efer_lma = EFER_LMA,
		/* IA32_VMX_MISC: bit 6 is HLT, 7 shutdown, 8 wait-for-SIPI. */
		.activity_states = (vmx_caps.misc >> 6 & 7) << VMX_HLT,
		.physical_bits = widths & 0xff,
		.linear_bits = widths >> 8 & 0xff,
	};
	struct vmx_guest_state state;

	read_state(&state, vmx);
	return vmx_guest_state_check(&state, &caps);
}

const char *vmx_invalid_state(struct vitrine_vcpu *vcpu)
{
	vmx_write_regs(vcpu);
	return vmx_invalid_guest_state(to_vmx(vcpu));
}
