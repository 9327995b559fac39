/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Register access: the lazy cache of what stays in hardware, and the rules for control registers
 * that the guest's own writes and KVM_SET_SREGS share.
 */
#ifndef VITRINE_REGS_H
#define VITRINE_REGS_H

#include "backend.h"
#include "ioctl.h"
#include "vcpu.h"

static inline u64 vitrine_reg_read(struct vitrine_vcpu *vcpu, unsigned int reg)
{
	if (unlikely(!(vcpu->regs_avail & BIT(reg))))
		vitrine_backend->cache_reg(vcpu, reg);
	return vcpu->regs[reg];
}

static inline void vitrine_reg_write(struct vitrine_vcpu *vcpu, unsigned int reg, u64 value)
{
	vcpu->regs[reg] = value;
	vcpu->regs_avail |= BIT(reg);
	vcpu->regs_dirty |= BIT(reg);
}

static inline u64 vitrine_rip_read(struct vitrine_vcpu *vcpu)
{
	return vitrine_reg_read(vcpu, VITRINE_REG_RIP);
}

static inline u64 vitrine_rflags_read(struct vitrine_vcpu *vcpu)
{
	return vitrine_reg_read(vcpu, VITRINE_REG_RFLAGS);
}

static inline bool vitrine_is_long_mode(struct vitrine_vcpu *vcpu)
{
	return vcpu->efer & EFER_LMA;
}

/*
 * Checks of "MOV to control register" and what follows from a change; 0, or -EINVAL (#GP for a
 * guest).
 */
int vitrine_cr0_write(struct vitrine_vcpu *vcpu, u64 cr0);
int vitrine_cr3_write(struct vitrine_vcpu *vcpu, u64 cr3);
int vitrine_cr4_write(struct vitrine_vcpu *vcpu, u64 cr4);
int vitrine_efer_write(struct vitrine_vcpu *vcpu, u64 efer, bool host);
/* CR4 bits that this CPU or the guest's CPUID do not allow. */
u64 vitrine_cr4_reserved(struct vitrine_vcpu *vcpu);
/* The CPUID part of it, for cpuid.c to keep. */
u64 vitrine_cr4_reserved_by_cpuid(struct vitrine_vcpu *vcpu);
/* EFER bits that the VMM may set. */
u64 vitrine_efer_supported(void);
/* Physical-address bits above the guest's width, which fault in CR3 and in paging structures. */
u64 vitrine_reserved_gpa_bits(struct vitrine_vcpu *vcpu);
/*
 * PAE paging takes its four page-directory pointers from memory when CR3 is loaded: reads them at
 * @cr3 into vcpu->pdptrs, marked available and dirty. -EINVAL (#GP) where one has a reserved bit
 * set or is not there. Needs vm->srcu.
 */
int vitrine_pdptrs_load(struct vitrine_vcpu *vcpu, u64 cr3);
bool vitrine_is_pae_paging(struct vitrine_vcpu *vcpu);
/* Bits of "Debug Registers" that the kernel's headers have no name for. */
#define VITRINE_DR6_BD		0x00002000ULL	/* general detect: a MOV DR while DR7.GD was set */
#define VITRINE_DR7_GD		0x00002000ULL

/* MOV DR: 0, -EINVAL for #GP, -ENOENT for #UD (DR4 and DR5 with CR4.DE). */
int vitrine_dr_read(struct vitrine_vcpu *vcpu, unsigned int dr, u64 *value);
int vitrine_dr_write(struct vitrine_vcpu *vcpu, unsigned int dr, u64 value);

/* KVM_SYNC_X86_*: run->s.regs in both directions around RUN. */
void vitrine_regs_sync_out(struct vitrine_vcpu *vcpu);
int vitrine_regs_sync_in(struct vitrine_vcpu *vcpu);

void vitrine_regs_get(struct vitrine_vcpu *vcpu, struct kvm_regs *regs);
void vitrine_regs_set(struct vitrine_vcpu *vcpu, const struct kvm_regs *regs);
void vitrine_sregs_get(struct vitrine_vcpu *vcpu, struct kvm_sregs *sregs);
int vitrine_sregs_set(struct vitrine_vcpu *vcpu, const struct kvm_sregs *sregs);
void vitrine_sregs2_get(struct vitrine_vcpu *vcpu, struct kvm_sregs2 *sregs2);
int vitrine_sregs2_set(struct vitrine_vcpu *vcpu, const struct kvm_sregs2 *sregs2);
/*
 * What vitrine_sregs2_get() has said, and the APIC's base is the same: no rule of today's keeps the
 * guest from what it had, as the VMM may have changed its CPUID since.
 */
void vitrine_sregs2_restore(struct vitrine_vcpu *vcpu, const struct kvm_sregs2 *sregs2);
void vitrine_debugregs_get(struct vitrine_vcpu *vcpu, struct kvm_debugregs *regs);
int vitrine_debugregs_set(struct vitrine_vcpu *vcpu, const struct kvm_debugregs *regs);
void vitrine_vcpu_events_get(struct vitrine_vcpu *vcpu, struct kvm_vcpu_events *out);
int vitrine_vcpu_events_set(struct vitrine_vcpu *vcpu, const struct kvm_vcpu_events *in);
/* DR7 that counts now, the VMM's or the guest's, goes to hardware. */
void vitrine_dr7_update(struct vitrine_vcpu *vcpu);
/* A #DB is being injected: its new DR6 bits become visible. */
void vitrine_debug_deliver(struct vitrine_vcpu *vcpu, u64 dr6_bits);
/* KVM_EXIT_DEBUG with vcpu->db.exit_dr6; EXIT_USER. */
int vitrine_debug_exit(struct vitrine_vcpu *vcpu);
void vitrine_debug_reset(struct vitrine_vcpu *vcpu);
/* KVM_CAP_SET_GUEST_DEBUG2: what KVM_SET_GUEST_DEBUG takes. */
#define VITRINE_GUEST_DEBUG_ALL                                                     \
	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP |   \
	 KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP | \
	 KVM_GUESTDBG_BLOCKIRQ)

extern const struct vitrine_ioctl vitrine_regs_ioctls[];	/* GET/SET_REGS */
extern const struct vitrine_ioctl vitrine_sregs_ioctls[];	/* GET/SET_SREGS, GET/SET_SREGS2 */
extern const struct vitrine_ioctl vitrine_debug_ioctls[];	/* DEBUGREGS, SET_GUEST_DEBUG */
extern const struct vitrine_ioctl vitrine_vcpu_state_ioctls[];	/* VCPU_EVENTS, MP_STATE */
extern const struct vitrine_ioctl vitrine_nested_ioctls[];	/* NESTED_STATE */

#endif
