// SPDX-License-Identifier: GPL-2.0
/*
 * Exits on control and debug registers. What a value may be is control_regs.c's and debug.c's
 * business.
 */
#include <linux/errno.h>
#include <linux/kvm.h>
#include <linux/percpu.h>
#include <asm/debugreg.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../exit.h"
#include "../regs.h"
#include "../trace.h"
#include "../vm.h"
#include "vmx.h"

/* "Exit Qualification for Control-Register Accesses", bits 5:4 */
enum { MOV_TO_CR, MOV_FROM_CR, CLTS, LMSW };

static void inject_gp(struct vitrine_vcpu *vcpu)
{
	vitrine_vcpu_queue_exception(vcpu, X86_TRAP_GP, true, 0);
}

u64 vmx_reg_operand(struct vitrine_vcpu *vcpu, unsigned int reg)
{
	u64 value = vitrine_reg_read(vcpu, reg);

	return vcpu->efer & EFER_LMA && vmcs_read(GUEST_CS_AR_BYTES) & BIT(13) ? value : (u32)value;
}

static int write_cr8(struct vitrine_vcpu *vcpu, u64 value)
{
	u64 old;

	if (value > 15)
		return -EINVAL;
	if (vcpu->lapic) {
		vitrine_lapic_set_cr8(vcpu, value);
		vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
		return 0;
	}
	old = vcpu->cr8;
	vcpu->cr8 = value;
	/* An APIC in userspace must hear of a lower priority: it may have an interrupt waiting. */
	if (value < old) {
		vcpu->run->exit_reason = KVM_EXIT_SET_TPR;
		return 1;
	}
	return 0;
}

static int move_to_cr(struct vitrine_vcpu *vcpu, unsigned int cr, u64 value)
{
	int ret, idx;

	trace_vitrine_cr(vcpu, cr, true, value);
	/* Loads of CR0, CR3 and CR4 read PDPTEs from guest memory. */
	idx = srcu_read_lock(&vcpu->vm->srcu);
	switch (cr) {
	case 0:
		ret = vitrine_cr0_write(vcpu, value);
		break;
	case 3:
		ret = vitrine_cr3_write(vcpu, value);
		break;
	case 4:
		ret = vitrine_cr4_write(vcpu, value);
		break;
	case 8:
		ret = write_cr8(vcpu, value);
		break;
	default:
		ret = -EINVAL;
		break;
	}
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	if (ret < 0) {
		inject_gp(vcpu);
		return EXIT_RESUME;
	}
	vmx_skip_insn(vcpu);
	return ret ? EXIT_USER : EXIT_RESUME;
}

static int move_from_cr(struct vitrine_vcpu *vcpu, unsigned int cr, unsigned int reg)
{
	u64 value;

	switch (cr) {
	case 3:
		value = vmx_get_cr3(vcpu);
		break;
	case 8:
		value = vcpu->lapic ? vitrine_lapic_get_cr8(vcpu) : vcpu->cr8;
		break;
	default:
		inject_gp(vcpu);
		return EXIT_RESUME;
	}
	trace_vitrine_cr(vcpu, cr, false, value);
	vitrine_reg_write(vcpu, reg, value);
	vmx_skip_insn(vcpu);
	return EXIT_RESUME;
}

int vmx_exit_cr_access(struct vitrine_vcpu *vcpu)
{
	u64 qualification = vcpu->exit.qualification;
	unsigned int cr = qualification & 15;
	unsigned int reg = (qualification >> 8) & 15;
	u64 cr0;

	switch ((qualification >> 4) & 3) {
	case MOV_TO_CR:
		return move_to_cr(vcpu, cr, vmx_reg_operand(vcpu, reg));
	case MOV_FROM_CR:
		return move_from_cr(vcpu, cr, reg);
	case CLTS:
		return move_to_cr(vcpu, 0, vmx_get_cr0(vcpu) & ~X86_CR0_TS);
	default:
		/* LMSW can set PE and not clear it; it reaches the low four bits. */
		cr0 = vmx_get_cr0(vcpu);
		cr0 = (cr0 & ~0xeULL) | ((qualification >> LMSW_SOURCE_DATA_SHIFT) & 0xf) |
		      (cr0 & X86_CR0_PE);
		return move_to_cr(vcpu, 0, cr0);
	}
}

/*
 * "Exit Qualification for MOV DR": number in 2:0, direction in bit 4 (1: from DR), register in 11:8
 */
int vmx_exit_dr_access(struct vitrine_vcpu *vcpu)
{
	u64 qualification = vcpu->exit.qualification;
	unsigned int dr = qualification & 7, reg = (qualification >> 8) & 15;
	u64 value;
	int ret;

	if (vmx_get_cpl(vcpu)) {
		inject_gp(vcpu);
		return EXIT_RESUME;
	}
	/* General detect: the access itself is the debug exception, before it happens. */
	if (vcpu->db.dr7 & VITRINE_DR7_GD || (vcpu->db.guest_debug & KVM_GUESTDBG_USE_HW_BP &&
					      vcpu->db.guest_dr7 & VITRINE_DR7_GD)) {
		if (vcpu->db.guest_debug & KVM_GUESTDBG_USE_HW_BP &&
		    vcpu->db.guest_dr7 & VITRINE_DR7_GD) {
			vcpu->db.exit_dr6 = VITRINE_DR6_BD;
			vitrine_vcpu_request(vcpu, VITRINE_REQ_DEBUG_EXIT);
			return EXIT_RESUME;
		}
		vcpu->db.dr7 &= ~VITRINE_DR7_GD;
		vitrine_dr7_update(vcpu);
		vitrine_vcpu_queue_debug(vcpu, VITRINE_DR6_BD);
		return EXIT_RESUME;
	}
	if (qualification & BIT(4)) {
		ret = vitrine_dr_read(vcpu, dr, &value);
		if (!ret)
			vitrine_reg_write(vcpu, reg, value);
	} else {
		ret = vitrine_dr_write(vcpu, dr, vmx_reg_operand(vcpu, reg));
	}
	if (ret) {
		if (ret == -ENOENT)
			vitrine_vcpu_queue_exception(vcpu, X86_TRAP_UD, false, 0);
		else
			inject_gp(vcpu);
		return EXIT_RESUME;
	}
	vmx_skip_insn(vcpu);
	return EXIT_RESUME;
}
