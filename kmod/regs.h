/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Register access: the lazy cache of what stays in hardware, and the rules for control registers that the guest's
 * own writes and KVM_SET_SREGS share.
 */
#ifndef VITRINE_REGS_H
#define VITRINE_REGS_H

#include "backend.h"
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

/* Checks of "MOV to control register" and what follows from a change; 0, or -EINVAL (#GP for a guest). */
int vitrine_cr0_write(struct vitrine_vcpu *vcpu, u64 cr0);
int vitrine_cr3_write(struct vitrine_vcpu *vcpu, u64 cr3);
int vitrine_cr4_write(struct vitrine_vcpu *vcpu, u64 cr4);
int vitrine_efer_write(struct vitrine_vcpu *vcpu, u64 efer, bool host);
/* CR4 bits that neither this CPU nor the guest's CPUID allow. */
u64 vitrine_cr4_reserved(struct vitrine_vcpu *vcpu);
/* MOV DR: 0, -EINVAL for #GP, -ENOENT for #UD (DR4 and DR5 with CR4.DE). */
int vitrine_dr_read(struct vitrine_vcpu *vcpu, unsigned int dr, u64 *value);
int vitrine_dr_write(struct vitrine_vcpu *vcpu, unsigned int dr, u64 value);

/* KVM_SYNC_X86_*: run->s.regs in both directions around RUN. */
void vitrine_regs_sync_out(struct vitrine_vcpu *vcpu);
int vitrine_regs_sync_in(struct vitrine_vcpu *vcpu);

/* GET/SET_REGS, SREGS, SREGS2, DEBUGREGS, VCPU_EVENTS, MP_STATE, TSC_KHZ, TRANSLATE, SET_GUEST_DEBUG, ... */
extern const struct vitrine_ioctl vitrine_regs_ioctls[];
extern const struct vitrine_ioctl vitrine_vcpu_state_ioctls[];

#endif
