// SPDX-License-Identifier: GPL-2.0
/* build: kmod/vmx/guest_check.c */
/*
 * "Checks on the Guest State Area": a valid state in each mode passes, and one violation of each
 * check is named by it.
 */
#include <string.h>

#include <linux/bits.h>
#include <linux/kernel.h>
#include <asm/processor-flags.h>

#include "event.h"
#include "tap.h"
#include "vmx/guest_check.h"

#define EFER_LME	BIT(8)
#define EFER_LMA	BIT(10)
#define EFER_NX		BIT(11)
#define UNUSABLE	0x10000

/* As a CPU with 39 bits of physical and 48 of linear address, and every activity state. */
static const struct vmx_guest_state_caps caps = {
	.cr0_fixed0 = X86_CR0_PG | X86_CR0_NE | X86_CR0_PE,
	.cr0_fixed1 = 0xffffffff,
	.cr4_fixed0 = X86_CR4_VMXE,
	.cr4_fixed1 = 0x3767ff,
	.efer_valid = 1 | EFER_LME | EFER_LMA | EFER_NX,
	.debugctl_valid = 0xffc7,
	.efer_lme = EFER_LME,
	.efer_lma = EFER_LMA,
	.activity_states = BIT(VMX_HLT) | BIT(VMX_SHUTDOWN) | BIT(VMX_WAIT_FOR_SIPI),
	.physical_bits = 39,
	.linear_bits = 48,
};

enum mode { REAL, PROTECTED, PAE, LONG, COMPAT, V86, RESTRICTED, NR_MODES };

static const char *const mode_names[NR_MODES] = {
	"real mode", "protected mode", "PAE paging", "64-bit mode", "compatibility mode",
	"virtual-8086 mode", "protected mode without unrestricted guest",
};

static void set_segments(struct vmx_guest_state *s, u16 selector, u32 limit, u32 code, u32 data)
{
	unsigned int i;

	for (i = VMX_SEG_ES; i <= VMX_SEG_GS; i++)
		s->seg[i] = (struct vmx_guest_segment) {
			.selector = i == VMX_SEG_CS ? 8 : selector,
			.limit = limit,
			.access_rights = i == VMX_SEG_CS ? code : data,
		};
	s->seg[VMX_SEG_TR] = (struct vmx_guest_segment) {
		.selector = 0x40, .limit = 0x67, .access_rights = 0x8b,
	};
	s->seg[VMX_SEG_LDTR] = (struct vmx_guest_segment) { .access_rights = UNUSABLE };
}

static void make_valid(struct vmx_guest_state *s, enum mode mode)
{
	unsigned int i;

	*s = (struct vmx_guest_state) {
		.load_debug = true, .load_pat = true, .load_efer = true,
		.unrestricted = mode != RESTRICTED, .virtual_nmis = true,
		.cr0 = X86_CR0_PG | X86_CR0_PE | X86_CR0_NE | X86_CR0_ET,
		.cr3 = 0x1000, .cr4 = X86_CR4_VMXE, .dr7 = 0x400,
		.pat = 0x0007040600070406ull,
		.gdtr = { 0x7f, 0xffff800000001000ull }, .idtr = { 0xfff, 0x5000 },
		.rip = 0x7c00, .rflags = X86_EFLAGS_FIXED | X86_EFLAGS_IF,
		.link_pointer = ~0ull,
	};
	switch (mode) {
	case REAL:
		s->cr0 = X86_CR0_NE;
		set_segments(s, 0, 0xffff, 0x9b, 0x93);
		break;
	case PROTECTED:
	case RESTRICTED:
		set_segments(s, 0x10, 0xffffffff, 0xc09b, 0xc093);
		break;
	case PAE:
		s->cr4 |= X86_CR4_PAE;
		s->pdpte[0] = 0x2001;
		s->pdpte[3] = 0x3000;
		set_segments(s, 0x10, 0xffffffff, 0xc09b, 0xc093);
		break;
	case LONG:
	case COMPAT:
		s->ia32e = true;
		s->efer = EFER_LME | EFER_LMA;
		s->cr4 |= X86_CR4_PAE;
		s->rip = mode == LONG ? 0xffffffff81000000ull : 0x1000;
		set_segments(s, 0x10, 0xffffffff, mode == LONG ? 0xa09b : 0xc09b, 0xc093);
		s->seg[VMX_SEG_GS].base = 0xffff888000000000ull;
		break;
	default:
		s->rflags |= X86_EFLAGS_VM;
		set_segments(s, 0x2000, 0xffff, 0xf3, 0xf3);
		for (i = VMX_SEG_ES; i <= VMX_SEG_GS; i++)
			s->seg[i].base = (u64)s->seg[i].selector << 4;
	}
}

static bool test_valid(void)
{
	struct vmx_guest_state state;
	unsigned int mode;
	bool ok = true;

	for (mode = 0; mode < NR_MODES; mode++) {
		const char *text;

		make_valid(&state, mode);
		text = vmx_guest_state_check(&state, &caps);
		if (!text)
			continue;
		tap_diag("%s: %s", mode_names[mode], text);
		ok = false;
	}
	return ok;
}

/* Valid, though it may look odd. */
static bool test_tolerated(void)
{
	struct vmx_guest_state s;
	bool ok = true;

	make_valid(&s, REAL);
	s.seg[VMX_SEG_CS].access_rights = 0x93; /* real mode after "mov cr0" from protected mode */
	s.cr0 |= X86_CR0_CD | X86_CR0_NW;
	ok &= !vmx_guest_state_check(&s, &caps);

	make_valid(&s, LONG);
	s.seg[VMX_SEG_DS].access_rights = UNUSABLE;
	s.seg[VMX_SEG_SS] =
		(struct vmx_guest_segment){ .access_rights = UNUSABLE, .base = 1ull << 40 };
	s.dr7 = 1ull << 40;
	s.load_debug = false;
	ok &= !vmx_guest_state_check(&s, &caps);

	make_valid(&s, PAE);
	s.pdpte[1] = 0x1e6;				/* not present: nothing is reserved */
	s.activity = VMX_HLT;
	s.event_valid = true;
	s.event_type = VITRINE_EVENT_INTERRUPT;
	s.event_vector = 0x20;
	ok &= !vmx_guest_state_check(&s, &caps);
	return ok;
}

struct poke {
	size_t offset, size;
	u64 value;
};

/* Value first, so that a member of an array can follow. */
#define AT(v, ...) { \
	.offset = offsetof(struct vmx_guest_state, __VA_ARGS__), \
	.size = sizeof(((struct vmx_guest_state *)0)->__VA_ARGS__), \
	.value = (v) \
}

#define AR(name, v)	AT(v, seg[VMX_SEG_##name].access_rights)
#define SEL(name, v)	AT(v, seg[VMX_SEG_##name].selector)
#define BASE(name, v)	AT(v, seg[VMX_SEG_##name].base)
#define LIMIT(name, v)	AT(v, seg[VMX_SEG_##name].limit)

/* Three bytes in a row: valid, type, vector. */
#define EVENT(type, vector) { \
	.offset = offsetof(struct vmx_guest_state, event_valid), \
	.size = 3, \
	.value = 1 | (type) << 8 | (vector) << 16 \
}

_Static_assert(offsetof(struct vmx_guest_state, event_vector) ==
	       offsetof(struct vmx_guest_state, event_valid) + 2, "in a row");

#define MAX_POKES	5

static const struct violation {
	enum mode mode;
	const char *check;
	struct poke pokes[MAX_POKES];
} violations[] = {
	{ PROTECTED,
	  "CR0: no bit may have a value not supported in VMX operation",
	  { AT(X86_CR0_PE | X86_CR0_PG, cr0) } },
	{ RESTRICTED,
	  "CR0: no bit may have a value not supported in VMX operation",
	  { AT(X86_CR0_PE | X86_CR0_NE, cr0) } },
	{ REAL, "CR0: if PG is 1, PE must be 1", { AT(X86_CR0_PG | X86_CR0_NE, cr0) } },
	{ PROTECTED, "CR4: no bit may have a value not supported in VMX operation",
	  { AT(0, cr4) } },
	{ PROTECTED,
	  "CR4: no bit may have a value not supported in VMX operation",
	  { AT(X86_CR4_VMXE | BIT(15), cr4) } },
	{ PROTECTED, "IA32_DEBUGCTL: reserved bits must be 0", { AT(BIT(3), debugctl) } },
	{ LONG,
	  "CR0: PG must be 1 if \"IA-32e mode guest\" is 1",
	  { AT(X86_CR0_PE | X86_CR0_NE, cr0) } },
	{ LONG, "CR4: PAE must be 1 if \"IA-32e mode guest\" is 1", { AT(X86_CR4_VMXE, cr4) } },
	{ PROTECTED,
	  "CR4: PCIDE must be 0 if \"IA-32e mode guest\" is 0",
	  { AT(X86_CR4_VMXE | X86_CR4_PCIDE, cr4) } },
	{ PROTECTED,
	  "CR3: bits beyond the physical-address width must be 0",
	  { AT(1ull << 39, cr3) } },
	{ PROTECTED, "DR7: bits 63:32 must be 0", { AT(1ull << 32, dr7) } },
	{ PROTECTED,
	  "IA32_SYSENTER_ESP: must contain a canonical address",
	  { AT(1ull << 47, sysenter_esp) } },
	{ PROTECTED,
	  "IA32_SYSENTER_EIP: must contain a canonical address",
	  { AT(0x7fff800000000000ull, sysenter_eip) } },
	{ PROTECTED, "IA32_PAT: each byte must be 0, 1, 4, 5, 6, or 7",
	  { AT(0x02ull << 56, pat) } },
	{ PROTECTED, "IA32_PAT: each byte must be 0, 1, 4, 5, 6, or 7", { AT(0x0800, pat) } },
	{ PROTECTED, "IA32_EFER: reserved bits must be 0", { AT(BIT(1), efer) } },
	{ LONG, "IA32_EFER: LMA must equal \"IA-32e mode guest\"", { AT(EFER_LME, efer) } },
	{ PROTECTED,
	  "IA32_EFER: LMA must equal \"IA-32e mode guest\"",
	  { AT(EFER_LME | EFER_LMA, efer) } },
	{ LONG, "IA32_EFER: LME must equal LMA if CR0.PG is 1", { AT(EFER_LMA, efer) } },

	{ PROTECTED, "TR: the TI flag (bit 2) of the selector must be 0", { SEL(TR, 0x44) } },
	{ PROTECTED,
	  "LDTR: if usable, the TI flag (bit 2) of the selector must be 0",
	  { SEL(LDTR, 0x4c), AR(LDTR, 0x82) } },
	{ RESTRICTED,
	  "SS: the RPL (bits 1:0) must equal the RPL of the selector field for CS",
	  { SEL(SS, 0x13) } },
	{ V86,
	  "FS: the base must be the selector shifted left 4 bits in virtual-8086 mode",
	  { BASE(FS, 0) } },
	{ PROTECTED, "TR: the base address must be canonical", { BASE(TR, 1ull << 47) } },
	{ LONG, "FS: the base address must be canonical", { BASE(FS, 1ull << 63) } },
	{ LONG,
	  "LDTR: the base address must be canonical",
	  { BASE(LDTR, 1ull << 47), AR(LDTR, 0x82) } },
	{ LONG, "CS: bits 63:32 of the base address must be zero", { BASE(CS, 1ull << 32) } },
	{ LONG, "DS: bits 63:32 of the base address must be zero", { BASE(DS, 1ull << 32) } },
	{ V86, "ES: the limit must be 0000FFFFH in virtual-8086 mode", { LIMIT(ES, 0xfffff) } },
	{ V86, "GS: the access rights must be 000000F3H in virtual-8086 mode", { AR(GS, 0x93) } },

	{ RESTRICTED,
	  "CS: the type must be 9, 11, 13, or 15 (accessed code segment)",
	  { AR(CS, 0xc093) } },
	{ PROTECTED, "CS: the type must be 3, 9, 11, 13, or 15", { AR(CS, 0xc09a) } },
	{ PROTECTED,
	  "SS: the type must be 3 or 7 (read/write, accessed data segment)",
	  { AR(SS, 0xc091) } },
	{ PROTECTED, "DS: bit 0 of the type must be 1 (accessed)", { AR(DS, 0xc092) } },
	{ PROTECTED,
	  "FS: if bit 3 of the type is 1 (code), bit 1 must be 1 (readable)",
	  { AR(FS, 0xc099) } },
	{ PROTECTED, "ES: bit 4 of the access rights (S) must be 1", { AR(ES, 0xc083) } },
	{ PROTECTED, "CS: bit 4 of the access rights (S) must be 1", { AR(CS, 0xc08b) } },
	{ PROTECTED, "CS: if the type is 3, the DPL must be 0",
	  { AR(CS, 0xc0f3), AR(SS, 0xc0f3) } },
	{ PROTECTED,
	  "CS: if the type is 9 or 11, the DPL must equal the DPL of SS",
	  { AR(CS, 0xc0fb) } },
	{ PROTECTED,
	  "CS: if the type is 13 or 15, the DPL cannot be greater than the DPL of SS",
	  { AR(CS, 0xc0ff) } },
	{ RESTRICTED,
	  "SS: the DPL must equal the RPL from the selector field",
	  { AR(SS, 0xc0f3), AR(CS, 0xc0fb) } },
	{ REAL,
	  "SS: the DPL must be 0 if the type of CS is 3 or CR0.PE is 0",
	  { AR(SS, 0xf3), AR(CS, 0xfb) } },
	{ PROTECTED,
	  "SS: the DPL must be 0 if the type of CS is 3 or CR0.PE is 0",
	  { AR(SS, 0xc0b3), AR(CS, 0xc093) } },
	{ RESTRICTED, "DS: the DPL cannot be less than the RPL of the selector",
	  { SEL(DS, 0x13) } },
	{ PROTECTED, "GS: bit 7 of the access rights (P) must be 1", { AR(GS, 0xc013) } },
	{ PROTECTED, "CS: bits 11:8 and 31:17 of the access rights must be 0", { AR(CS, 0xc19b) } },
	{ PROTECTED, "TR: bits 11:8 and 31:17 of the access rights must be 0",
	  { AR(TR, 0x2008b) } },
	{ PROTECTED,
	  "SS: if any limit bit in the range 11:0 is 0, G must be 0",
	  { LIMIT(SS, 0xfffffffe) } },
	{ PROTECTED,
	  "SS: if any limit bit in the range 31:20 is 1, G must be 1",
	  { AR(SS, 0x4093) } },
	{ LONG,
	  "CS: D/B must be 0 if the guest will be in IA-32e mode and L is 1",
	  { AR(CS, 0xe09b) } },

	{ LONG, "TR: the type must be 11 (64-bit busy TSS) in IA-32e mode", { AR(TR, 0x83) } },
	{ PROTECTED,
	  "TR: the type must be 3 (16-bit busy TSS) or 11 (32-bit busy TSS)",
	  { AR(TR, 0x89) } },
	{ PROTECTED, "TR: bit 4 of the access rights (S) must be 0", { AR(TR, 0x9b) } },
	{ PROTECTED, "TR: bit 16 of the access rights (unusable) must be 0", { AR(TR, 0x1008b) } },
	{ PROTECTED, "TR: bit 7 of the access rights (P) must be 1", { AR(TR, 0x0b) } },
	{ PROTECTED, "LDTR: the type must be 2 (LDT)", { AR(LDTR, 0x83) } },
	{ PROTECTED, "LDTR: bit 4 of the access rights (S) must be 0", { AR(LDTR, 0x92) } },
	{ PROTECTED, "LDTR: bit 7 of the access rights (P) must be 1", { AR(LDTR, 0x02) } },

	{ PROTECTED,
	  "GDTR: the base-address field must contain a canonical address",
	  { AT(1ull << 47, gdtr.base) } },
	{ PROTECTED,
	  "IDTR: the base-address field must contain a canonical address",
	  { AT(1ull << 62, idtr.base) } },
	{ PROTECTED, "GDTR: bits 31:16 of the limit field must be 0", { AT(0x10000, gdtr.limit) } },
	{ PROTECTED, "IDTR: bits 31:16 of the limit field must be 0", { AT(0x10000, idtr.limit) } },

	{ PROTECTED,
	  "RIP: bits 63:32 must be 0 if \"IA-32e mode guest\" is 0 or CS.L is 0",
	  { AT(1ull << 32, rip) } },
	{ COMPAT,
	  "RIP: bits 63:32 must be 0 if \"IA-32e mode guest\" is 0 or CS.L is 0",
	  { AT(0xffffffff81000000ull, rip) } },
	{ LONG,
	  "RIP: must be canonical if \"IA-32e mode guest\" is 1 and CS.L is 1",
	  { AT(1ull << 47, rip) } },
	{ PROTECTED,
	  "RFLAGS: bits 63:22, 15, 5, and 3 are reserved and must be 0",
	  { AT(2 | BIT(15), rflags) } },
	{ PROTECTED, "RFLAGS: reserved bit 1 must be 1", { AT(0, rflags) } },
	{ V86,
	  "RFLAGS: VM must be 0 if \"IA-32e mode guest\" is 1 or CR0.PE is 0",
	  { AT(X86_CR0_NE, cr0) } },
	{ PROTECTED,
	  "RFLAGS: IF must be 1 if an external interrupt is injected",
	  { AT(2, rflags), EVENT(VITRINE_EVENT_INTERRUPT, 0x20) } },

	{ PROTECTED,
	  "activity state: must be 0 - 3 and supported by the implementation",
	  { AT(4, activity) } },
	{ PROTECTED,
	  "activity state: must not be HLT if the DPL of SS is not 0",
	  { AT(VMX_HLT, activity), AR(SS, 0xc0f3), AR(CS, 0xc0fb) } },
	{ PROTECTED,
	  "activity state: must be active if there is blocking by MOV SS or by STI",
	  { AT(VMX_SHUTDOWN, activity), AT(2, interruptibility) } },
	{ PROTECTED,
	  "activity state: the event to be injected is blocked in this state",
	  { AT(VMX_HLT, activity), EVENT(VITRINE_EVENT_EXCEPTION, 14) } },
	{ PROTECTED,
	  "activity state: the event to be injected is blocked in this state",
	  { AT(VMX_SHUTDOWN, activity), EVENT(VITRINE_EVENT_INTERRUPT, 0x20) } },
	{ PROTECTED,
	  "activity state: the event to be injected is blocked in this state",
	  { AT(VMX_WAIT_FOR_SIPI, activity), EVENT(VITRINE_EVENT_NMI, 2) } },

	{ PROTECTED,
	  "interruptibility state: bits 31:5 are reserved and must be 0",
	  { AT(BIT(5), interruptibility) } },
	{ PROTECTED,
	  "interruptibility state: cannot be blocking by both STI and MOV SS",
	  { AT(3, interruptibility) } },
	{ PROTECTED,
	  "interruptibility state: bit 0 (STI) must be 0 if RFLAGS.IF is 0",
	  { AT(1, interruptibility), AT(2, rflags) } },
	{ PROTECTED,
	  "interruptibility state: bits 0 and 1 must be 0 for an external interrupt",
	  { AT(2, interruptibility), EVENT(VITRINE_EVENT_INTERRUPT, 0x20) } },
	{ PROTECTED,
	  "interruptibility state: bits 0 and 1 must be 0 for an NMI",
	  { AT(2, interruptibility), EVENT(VITRINE_EVENT_NMI, 2) } },
	{ PROTECTED,
	  "interruptibility state: bit 2 (SMI) must be 0 outside SMM",
	  { AT(4, interruptibility) } },
	{ PROTECTED,
	  "interruptibility state: bit 3 (NMI) must be 0 for a virtual NMI",
	  { AT(8, interruptibility), EVENT(VITRINE_EVENT_NMI, 2) } },

	{ PROTECTED,
	  "pending debug exceptions: bits 11:4, 13, 15, and 63:17 must be 0",
	  { AT(BIT(13), pending_debug) } },
	{ PROTECTED,
	  "pending debug exceptions: BS must be 1 if TF is 1 and BTF is 0",
	  { AT(2, interruptibility), AT(2 | X86_EFLAGS_TF, rflags) } },
	{ PROTECTED,
	  "pending debug exceptions: BS must be 0 if TF is 0 or BTF is 1",
	  { AT(2, interruptibility), AT(BIT(14), pending_debug) } },
	{ PROTECTED,
	  "pending debug exceptions: BS must be 0 if TF is 0 or BTF is 1",
	  { AT(VMX_HLT, activity), AT(BIT(14), pending_debug), AT(2 | X86_EFLAGS_TF, rflags),
	    AT(2, debugctl) } },
	{ PROTECTED, "VMCS link pointer: must be FFFFFFFF_FFFFFFFFH", { AT(0, link_pointer) } },
	{ PAE, "PDPTEs: if bit 0 is 1, the reserved bits must be 0", { AT(0x2003, pdpte[2]) } },
	{ PAE,
	  "PDPTEs: if bit 0 is 1, the reserved bits must be 0",
	  { AT(1ull << 39 | 1, pdpte[0]) } },
};

static bool test_violations(void)
{
	bool ok = true;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(violations); i++) {
		const struct violation *v = &violations[i];
		struct vmx_guest_state state;
		const char *text;

		make_valid(&state, v->mode);
		/* Little-endian, as everything here. */
		for (j = 0; j < MAX_POKES; j++)
			memcpy((char *)&state + v->pokes[j].offset, &v->pokes[j].value,
			       v->pokes[j].size);
		text = vmx_guest_state_check(&state, &caps);
		if (text && !strcmp(text, v->check))
			continue;
		tap_diag("in %s: expected \"%s\", got \"%s\"", mode_names[v->mode], v->check,
			 text ? text : "valid");
		ok = false;
	}
	return ok;
}

/* The check's words after the register's name, which may be any of several. */
static const char *words(const char *text)
{
	const char *colon = strchr(text, ':');

	return colon ? colon : text;
}

/* Whatever random damage does, it is a check that the table above knows. */
static bool test_no_other_check(void)
{
	unsigned int n, i;

	for (n = 0; n < 1000000; n++) {
		struct vmx_guest_state state;
		const char *text;

		make_valid(&state, tap_random() % NR_MODES);
		for (i = tap_random() % 3; i < 3; i++) {
			const struct violation *v =
				&violations[tap_random() % ARRAY_SIZE(violations)];
			const struct poke *p = &v->pokes[tap_random() % MAX_POKES];

			/* An event begins with a bool, which takes no random bits. */
			if (p->size > 1 && p->size != 3) {
				u64 bits = tap_random() & tap_random() & tap_random();

				memcpy((char *)&state + p->offset, &bits, p->size);
			}
		}
		text = vmx_guest_state_check(&state, &caps);
		for (i = 0; text && i < ARRAY_SIZE(violations); i++)
			if (!strcmp(words(text), words(violations[i].check)))
				break;
		if (i == ARRAY_SIZE(violations)) {
			tap_diag("no violation in the table for \"%s\"", text);
			return false;
		}
	}
	return true;
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "a valid state in each mode passes", test_valid },
		{ "what the SDM tolerates passes", test_tolerated },
		{ "each violation is named", test_violations },
		{ "random damage is named by a known check", test_no_other_check },
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
