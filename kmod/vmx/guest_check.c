// SPDX-License-Identifier: GPL-2.0
/*
 * "Checks on the Guest State Area", one after the other as the SDM lists them. Reads the two
 * structures and nothing else. State that this module never loads (BNDCFGS, RTIT, CET,
 * PERF_GLOBAL_CTRL) has no check here.
 */
#include <linux/bits.h>
#include <asm/processor-flags.h>

#include "../event.h"
#include "guest_check.h"

/* "Format of Access Rights" in the guest-state area. */
#define AR_TYPE(ar)		((ar) & 0xf)
#define AR_S			BIT(4)
#define AR_DPL(ar)		((ar) >> 5 & 3)
#define AR_P			BIT(7)
#define AR_L			BIT(13)
#define AR_DB			BIT(14)
#define AR_G			BIT(15)
#define AR_UNUSABLE		BIT(16)
#define AR_RESERVED		(GENMASK(11, 8) | GENMASK(31, 17))

#define TYPE_ACCESSED		1
#define TYPE_READABLE		2	/* of code */
#define TYPE_CODE		8
#define TYPE_DATA_RW		3	/* accessed, expand-up */
#define TYPE_DATA_RW_DOWN	7
#define TYPE_TSS16_BUSY		3
#define TYPE_TSS_BUSY		11
#define TYPE_LDT		2

#define SEL_RPL(sel)		((sel) & 3)
#define SEL_TI			BIT(2)

/* "Format of Interruptibility State" */
#define BLOCK_STI		BIT(0)
#define BLOCK_MOV_SS		BIT(1)
#define BLOCK_SMI		BIT(2)
#define BLOCK_NMI		BIT(3)
#define BLOCK_RESERVED		GENMASK(31, 5)

/* "Format of Pending-Debug-Exceptions" */
#define PENDING_BS		BIT_ULL(14)
#define PENDING_RESERVED \
	(GENMASK_ULL(63, 17) | BIT_ULL(15) | BIT_ULL(13) | GENMASK_ULL(11, 4))

#define DEBUGCTL_BTF		BIT_ULL(1)
#define RFLAGS_RESERVED		(GENMASK_ULL(63, 22) | BIT_ULL(15) | BIT_ULL(5) | BIT_ULL(3))
#define PDPTE_RESERVED		(GENMASK_ULL(2, 1) | GENMASK_ULL(8, 5))	/* below the address */
#define V86_ACCESS_RIGHTS	0xf3
#define NO_LINK			(~0ull)

#define VECTOR_DB		1
#define VECTOR_MC		18
#define TYPE_OTHER_EVENT	7	/* with vector 0: a pending MTF VM exit */

/* A text for each segment register, to be indexed by enum vmx_guest_seg. */
#define EACH(...) { \
	"ES" __VA_ARGS__, "CS" __VA_ARGS__, "SS" __VA_ARGS__, "DS" __VA_ARGS__, \
	"FS" __VA_ARGS__, "GS" __VA_ARGS__, "TR" __VA_ARGS__, "LDTR" __VA_ARGS__ \
}

static bool canonical(u64 address, u8 bits)
{
	return (u64)((s64)(address << (64 - bits)) >> (64 - bits)) == address;
}

static bool usable(const struct vmx_guest_segment *seg)
{
	return !(seg->access_rights & AR_UNUSABLE);
}

static bool is_v86(const struct vmx_guest_state *s)
{
	return s->rflags & X86_EFLAGS_VM;
}

static bool is_fixed(u64 value, u64 fixed0, u64 fixed1, u64 ignored)
{
	return !((fixed0 & ~value) & ~ignored) && !((value & ~fixed1) & ~ignored);
}

static bool pat_valid(u64 pat)
{
	unsigned int i;

	for (i = 0; i < 64; i += 8) {
		u8 type = pat >> i;

		if (type == 2 || type == 3 || type > 7)
			return false;
	}
	return true;
}

static const char *check_registers(const struct vmx_guest_state *s,
				   const struct vmx_guest_state_caps *caps)
{
	u64 cr0_ignored = X86_CR0_NW | X86_CR0_CD;

	if (s->unrestricted)
		cr0_ignored |= X86_CR0_PE | X86_CR0_PG;
	if (!is_fixed(s->cr0, caps->cr0_fixed0, caps->cr0_fixed1, cr0_ignored))
		return "CR0: no bit may have a value not supported in VMX operation";
	if (s->cr0 & X86_CR0_PG && !(s->cr0 & X86_CR0_PE))
		return "CR0: if PG is 1, PE must be 1";
	if (!is_fixed(s->cr4, caps->cr4_fixed0, caps->cr4_fixed1, 0))
		return "CR4: no bit may have a value not supported in VMX operation";
	if (s->load_debug && s->debugctl & ~caps->debugctl_valid)
		return "IA32_DEBUGCTL: reserved bits must be 0";
	if (s->ia32e && !(s->cr0 & X86_CR0_PG))
		return "CR0: PG must be 1 if \"IA-32e mode guest\" is 1";
	if (s->ia32e && !(s->cr4 & X86_CR4_PAE))
		return "CR4: PAE must be 1 if \"IA-32e mode guest\" is 1";
	if (!s->ia32e && s->cr4 & X86_CR4_PCIDE)
		return "CR4: PCIDE must be 0 if \"IA-32e mode guest\" is 0";
	if (s->cr3 >> caps->physical_bits)
		return "CR3: bits beyond the physical-address width must be 0";
	if (s->load_debug && s->dr7 >> 32)
		return "DR7: bits 63:32 must be 0";
	if (!canonical(s->sysenter_esp, caps->linear_bits))
		return "IA32_SYSENTER_ESP: must contain a canonical address";
	if (!canonical(s->sysenter_eip, caps->linear_bits))
		return "IA32_SYSENTER_EIP: must contain a canonical address";
	if (s->load_pat && !pat_valid(s->pat))
		return "IA32_PAT: each byte must be 0, 1, 4, 5, 6, or 7";
	if (!s->load_efer)
		return NULL;
	if (s->efer & ~caps->efer_valid)
		return "IA32_EFER: reserved bits must be 0";
	if (!(s->efer & caps->efer_lma) == s->ia32e)
		return "IA32_EFER: LMA must equal \"IA-32e mode guest\"";
	if (s->cr0 & X86_CR0_PG && !(s->efer & caps->efer_lma) != !(s->efer & caps->efer_lme))
		return "IA32_EFER: LME must equal LMA if CR0.PG is 1";
	return NULL;
}

static const char *check_selectors(const struct vmx_guest_state *s)
{
	const struct vmx_guest_segment *seg = s->seg;

	if (seg[VMX_SEG_TR].selector & SEL_TI)
		return "TR: the TI flag (bit 2) of the selector must be 0";
	if (usable(&seg[VMX_SEG_LDTR]) && seg[VMX_SEG_LDTR].selector & SEL_TI)
		return "LDTR: if usable, the TI flag (bit 2) of the selector must be 0";
	if (!is_v86(s) && !s->unrestricted &&
	    SEL_RPL(seg[VMX_SEG_SS].selector) != SEL_RPL(seg[VMX_SEG_CS].selector))
		return "SS: the RPL (bits 1:0) must equal the RPL of the selector field for CS";
	return NULL;
}

static const char *check_bases(const struct vmx_guest_state *s,
			       const struct vmx_guest_state_caps *caps)
{
	static const char *const v86_text[] =
		EACH(": the base must be the selector shifted left 4 bits in virtual-8086 mode");
	static const char *const canonical_text[] = EACH(": the base address must be canonical");
	static const char *const high_text[] =
		EACH(": bits 63:32 of the base address must be zero");
	unsigned int i;

	for (i = VMX_SEG_ES; is_v86(s) && i <= VMX_SEG_GS; i++)
		if (s->seg[i].base != (u64)s->seg[i].selector << 4)
			return v86_text[i];
	for (i = 0; i < VMX_NR_SEGS; i++) {
		const struct vmx_guest_segment *seg = &s->seg[i];

		if (i >= VMX_SEG_FS) {
			if ((i != VMX_SEG_LDTR || usable(seg)) &&
			    !canonical(seg->base, caps->linear_bits))
				return canonical_text[i];
		} else if ((i == VMX_SEG_CS || usable(seg)) && seg->base >> 32) {
			return high_text[i];
		}
	}
	return NULL;
}

static const char *check_v86(const struct vmx_guest_state *s)
{
	static const char *const limit_text[] =
		EACH(": the limit must be 0000FFFFH in virtual-8086 mode");
	static const char *const ar_text[] =
		EACH(": the access rights must be 000000F3H in virtual-8086 mode");
	unsigned int i;

	for (i = VMX_SEG_ES; i <= VMX_SEG_GS; i++) {
		if (s->seg[i].limit != 0xffff)
			return limit_text[i];
		if (s->seg[i].access_rights != V86_ACCESS_RIGHTS)
			return ar_text[i];
	}
	return NULL;
}

static const char *check_type(const struct vmx_guest_state *s, unsigned int i)
{
	static const char *const accessed_text[] = EACH(": bit 0 of the type must be 1 (accessed)");
	static const char *const readable_text[] =
		EACH(": if bit 3 of the type is 1 (code), bit 1 must be 1 (readable)");
	unsigned int type = AR_TYPE(s->seg[i].access_rights);

	switch (i) {
	case VMX_SEG_CS:
		if ((type & (TYPE_CODE | TYPE_ACCESSED)) == (TYPE_CODE | TYPE_ACCESSED))
			return NULL;
		if (!s->unrestricted)
			return "CS: the type must be 9, 11, 13, or 15 (accessed code segment)";
		return type == TYPE_DATA_RW ? NULL : "CS: the type must be 3, 9, 11, 13, or 15";
	case VMX_SEG_SS:
		return type == TYPE_DATA_RW || type == TYPE_DATA_RW_DOWN ? NULL :
			"SS: the type must be 3 or 7 (read/write, accessed data segment)";
	default:
		if (!(type & TYPE_ACCESSED))
			return accessed_text[i];
		return type & TYPE_CODE && !(type & TYPE_READABLE) ? readable_text[i] : NULL;
	}
}

static const char *check_dpl(const struct vmx_guest_state *s, unsigned int i)
{
	static const char *const data_text[] =
		EACH(": the DPL cannot be less than the RPL of the selector");
	unsigned int dpl = AR_DPL(s->seg[i].access_rights);
	unsigned int ss_dpl = AR_DPL(s->seg[VMX_SEG_SS].access_rights);
	unsigned int cs_type = AR_TYPE(s->seg[VMX_SEG_CS].access_rights);
	unsigned int rpl = SEL_RPL(s->seg[i].selector);

	switch (i) {
	case VMX_SEG_CS:
		if (cs_type == TYPE_DATA_RW)
			return dpl ? "CS: if the type is 3, the DPL must be 0" : NULL;
		if (cs_type == 9 || cs_type == 11)
			return dpl == ss_dpl ? NULL :
				"CS: if the type is 9 or 11, the DPL must equal the DPL of SS";
		return dpl <= ss_dpl ? NULL :
			"CS: if the type is 13 or 15, the DPL cannot be greater than the DPL of SS";
	case VMX_SEG_SS:
		if (!s->unrestricted && dpl != rpl)
			return "SS: the DPL must equal the RPL from the selector field";
		if (dpl && (cs_type == TYPE_DATA_RW || !(s->cr0 & X86_CR0_PE)))
			return "SS: the DPL must be 0 if the type of CS is 3 or CR0.PE is 0";
		return NULL;
	default:
		if (!s->unrestricted && usable(&s->seg[i]) &&
		    AR_TYPE(s->seg[i].access_rights) <= 11 && dpl < rpl)
			return data_text[i];
		return NULL;
	}
}

/* Granularity and reserved bits, of every usable segment register. */
static const char *check_common(const struct vmx_guest_segment *seg, unsigned int i)
{
	static const char *const present_text[] =
		EACH(": bit 7 of the access rights (P) must be 1");
	static const char *const reserved_text[] =
		EACH(": bits 11:8 and 31:17 of the access rights must be 0");
	static const char *const byte_text[] =
		EACH(": if any limit bit in the range 11:0 is 0, G must be 0");
	static const char *const page_text[] =
		EACH(": if any limit bit in the range 31:20 is 1, G must be 1");

	if (!(seg->access_rights & AR_P))
		return present_text[i];
	if (seg->access_rights & AR_RESERVED)
		return reserved_text[i];
	if ((seg->limit & 0xfff) != 0xfff && seg->access_rights & AR_G)
		return byte_text[i];
	if (seg->limit >> 20 && !(seg->access_rights & AR_G))
		return page_text[i];
	return NULL;
}

static const char *check_access_rights(const struct vmx_guest_state *s)
{
	static const char *const s_text[] = EACH(": bit 4 of the access rights (S) must be 1");
	const char *text;
	unsigned int i;

	for (i = VMX_SEG_ES; i <= VMX_SEG_GS; i++) {
		const struct vmx_guest_segment *seg = &s->seg[i];
		bool checked = i == VMX_SEG_CS || usable(seg);

		text = checked ? check_type(s, i) : NULL;
		if (!text && checked && !(seg->access_rights & AR_S))
			text = s_text[i];
		if (!text)
			text = check_dpl(s, i);
		if (!text && checked)
			text = check_common(seg, i);
		if (!text && i == VMX_SEG_CS && s->ia32e && seg->access_rights & AR_L &&
		    seg->access_rights & AR_DB)
			text = "CS: D/B must be 0 if the guest will be in IA-32e mode and L is 1";
		if (text)
			return text;
	}
	return NULL;
}

static const char *check_system_segments(const struct vmx_guest_state *s)
{
	const struct vmx_guest_segment *tr = &s->seg[VMX_SEG_TR], *ldtr = &s->seg[VMX_SEG_LDTR];
	unsigned int type = AR_TYPE(tr->access_rights);
	const char *text;

	if (s->ia32e && type != TYPE_TSS_BUSY)
		return "TR: the type must be 11 (64-bit busy TSS) in IA-32e mode";
	if (type != TYPE_TSS_BUSY && type != TYPE_TSS16_BUSY)
		return "TR: the type must be 3 (16-bit busy TSS) or 11 (32-bit busy TSS)";
	if (tr->access_rights & AR_S)
		return "TR: bit 4 of the access rights (S) must be 0";
	if (!usable(tr))
		return "TR: bit 16 of the access rights (unusable) must be 0";
	text = check_common(tr, VMX_SEG_TR);
	if (text || !usable(ldtr))
		return text;
	if (AR_TYPE(ldtr->access_rights) != TYPE_LDT)
		return "LDTR: the type must be 2 (LDT)";
	if (ldtr->access_rights & AR_S)
		return "LDTR: bit 4 of the access rights (S) must be 0";
	return check_common(ldtr, VMX_SEG_LDTR);
}

static const char *check_tables(const struct vmx_guest_state *s,
				const struct vmx_guest_state_caps *caps)
{
	if (!canonical(s->gdtr.base, caps->linear_bits))
		return "GDTR: the base-address field must contain a canonical address";
	if (!canonical(s->idtr.base, caps->linear_bits))
		return "IDTR: the base-address field must contain a canonical address";
	if (s->gdtr.limit >> 16)
		return "GDTR: bits 31:16 of the limit field must be 0";
	if (s->idtr.limit >> 16)
		return "IDTR: bits 31:16 of the limit field must be 0";
	return NULL;
}

static const char *check_rip_rflags(const struct vmx_guest_state *s,
				    const struct vmx_guest_state_caps *caps)
{
	bool long_code = s->ia32e && s->seg[VMX_SEG_CS].access_rights & AR_L;

	if (!long_code && s->rip >> 32)
		return "RIP: bits 63:32 must be 0 if \"IA-32e mode guest\" is 0 or CS.L is 0";
	if (long_code && !canonical(s->rip, caps->linear_bits))
		return "RIP: must be canonical if \"IA-32e mode guest\" is 1 and CS.L is 1";
	if (s->rflags & RFLAGS_RESERVED)
		return "RFLAGS: bits 63:22, 15, 5, and 3 are reserved and must be 0";
	if (!(s->rflags & X86_EFLAGS_FIXED))
		return "RFLAGS: reserved bit 1 must be 1";
	if (is_v86(s) && (s->ia32e || !(s->cr0 & X86_CR0_PE)))
		return "RFLAGS: VM must be 0 if \"IA-32e mode guest\" is 1 or CR0.PE is 0";
	if (s->event_valid && s->event_type == VITRINE_EVENT_INTERRUPT &&
	    !(s->rflags & X86_EFLAGS_IF))
		return "RFLAGS: IF must be 1 if an external interrupt is injected";
	return NULL;
}

static bool event_fits_activity(const struct vmx_guest_state *s)
{
	bool nmi = s->event_type == VITRINE_EVENT_NMI;
	bool fault = s->event_type == VITRINE_EVENT_EXCEPTION;

	switch (s->activity) {
	case VMX_HLT:
		return nmi || s->event_type == VITRINE_EVENT_INTERRUPT ||
		       (fault && (s->event_vector == VECTOR_DB || s->event_vector == VECTOR_MC)) ||
		       (s->event_type == TYPE_OTHER_EVENT && !s->event_vector);
	case VMX_SHUTDOWN:
		return nmi || (fault && s->event_vector == VECTOR_MC);
	default:
		return s->activity == VMX_ACTIVE;
	}
}

static const char *check_activity(const struct vmx_guest_state *s,
				  const struct vmx_guest_state_caps *caps)
{
	if (s->activity > VMX_WAIT_FOR_SIPI ||
	    (s->activity != VMX_ACTIVE && !(caps->activity_states & BIT(s->activity))))
		return "activity state: must be 0 - 3 and supported by the implementation";
	if (s->activity == VMX_HLT && AR_DPL(s->seg[VMX_SEG_SS].access_rights))
		return "activity state: must not be HLT if the DPL of SS is not 0";
	if (s->activity != VMX_ACTIVE && s->interruptibility & (BLOCK_STI | BLOCK_MOV_SS))
		return "activity state: must be active if there is blocking by MOV SS or by STI";
	if (s->event_valid && !event_fits_activity(s))
		return "activity state: the event to be injected is blocked in this state";
	return NULL;
}

static const char *check_interruptibility(const struct vmx_guest_state *s)
{
	u32 block = s->interruptibility;
	bool nmi = s->event_valid && s->event_type == VITRINE_EVENT_NMI;

	if (block & BLOCK_RESERVED)
		return "interruptibility state: bits 31:5 are reserved and must be 0";
	if ((block & (BLOCK_STI | BLOCK_MOV_SS)) == (BLOCK_STI | BLOCK_MOV_SS))
		return "interruptibility state: cannot be blocking by both STI and MOV SS";
	if (block & BLOCK_STI && !(s->rflags & X86_EFLAGS_IF))
		return "interruptibility state: bit 0 (STI) must be 0 if RFLAGS.IF is 0";
	if (s->event_valid && s->event_type == VITRINE_EVENT_INTERRUPT &&
	    block & (BLOCK_STI | BLOCK_MOV_SS))
		return "interruptibility state: bits 0 and 1 must be 0 for an external interrupt";
	if (nmi && block & (BLOCK_STI | BLOCK_MOV_SS))
		return "interruptibility state: bits 0 and 1 must be 0 for an NMI";
	if (block & BLOCK_SMI)
		return "interruptibility state: bit 2 (SMI) must be 0 outside SMM";
	if (nmi && s->virtual_nmis && block & BLOCK_NMI)
		return "interruptibility state: bit 3 (NMI) must be 0 for a virtual NMI";
	return NULL;
}

static const char *check_pending_debug(const struct vmx_guest_state *s)
{
	bool steps = s->rflags & X86_EFLAGS_TF && !(s->debugctl & DEBUGCTL_BTF);

	if (s->pending_debug & PENDING_RESERVED)
		return "pending debug exceptions: bits 11:4, 13, 15, and 63:17 must be 0";
	if (!(s->interruptibility & (BLOCK_STI | BLOCK_MOV_SS)) && s->activity != VMX_HLT)
		return NULL;
	if (steps && !(s->pending_debug & PENDING_BS))
		return "pending debug exceptions: BS must be 1 if TF is 1 and BTF is 0";
	if (!steps && s->pending_debug & PENDING_BS)
		return "pending debug exceptions: BS must be 0 if TF is 0 or BTF is 1";
	return NULL;
}

static const char *check_pdptes(const struct vmx_guest_state *s,
				const struct vmx_guest_state_caps *caps)
{
	unsigned int i;

	if (!(s->cr0 & X86_CR0_PG) || !(s->cr4 & X86_CR4_PAE) || s->ia32e)
		return NULL;
	for (i = 0; i < 4; i++)
		if (s->pdpte[i] & 1 &&
		    (s->pdpte[i] & PDPTE_RESERVED || s->pdpte[i] >> caps->physical_bits))
			return "PDPTEs: if bit 0 is 1, the reserved bits must be 0";
	return NULL;
}

const char *vmx_guest_state_check(const struct vmx_guest_state *s,
				  const struct vmx_guest_state_caps *caps)
{
	const char *text = check_registers(s, caps);

	if (!text)
		text = check_selectors(s);
	if (!text)
		text = check_bases(s, caps);
	if (!text)
		text = is_v86(s) ? check_v86(s) : check_access_rights(s);
	if (!text)
		text = check_system_segments(s);
	if (!text)
		text = check_tables(s, caps);
	if (!text)
		text = check_rip_rflags(s, caps);
	if (!text)
		text = check_activity(s, caps);
	if (!text)
		text = check_interruptibility(s);
	if (!text)
		text = check_pending_debug(s);
	if (!text && s->link_pointer != NO_LINK)
		text = "VMCS link pointer: must be FFFFFFFF_FFFFFFFFH";
	return text ? text : check_pdptes(s, caps);
}
