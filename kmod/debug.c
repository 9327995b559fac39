// SPDX-License-Identifier: GPL-2.0
/*
 * Debug registers: MOV DR as the guest executes it, KVM_GET/SET_DEBUGREGS, KVM_SET_GUEST_DEBUG. How
 * single steps are made and when DR0-3 are in hardware is the backend's; the guest's RFLAGS in
 * vcpu->regs never has a TF of the VMM's.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kvm.h>
#include <linux/nospec.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <asm/processor-flags.h>
#include <asm/traps.h>

#include "cpuid.h"
#include "ioctl.h"
#include "regs.h"
#include "vm.h"

/* "Debug Registers": which bits can be written, and how the rest reads. */
#define DR6_WRITABLE	0x0000e00fULL
#define DR6_RTM		0x00010000ULL	/* active low */
#define DR6_ONES	0xfffe0ff0ULL
#define DR7_WRITABLE	0xffff2bffULL
#define DR7_ONES	0x00000400ULL
#define DR7_GD		VITRINE_DR7_GD
#define DR7_ENABLES	0x000000ffULL
#define DR6_BREAKPOINTS	0x0000000fULL

static u64 dr6_value(struct vitrine_vcpu *vcpu, u64 value)
{
	u64 writable = DR6_WRITABLE;
	u64 ones = DR6_ONES;

	if (vitrine_cpuid_has(vcpu, X86_FEATURE_RTM))
		writable |= DR6_RTM;
	else
		ones |= DR6_RTM;
	return (value & writable) | ones;
}

void vitrine_dr7_update(struct vitrine_vcpu *vcpu)
{
	u64 dr7 = vcpu->db.guest_debug & KVM_GUESTDBG_USE_HW_BP ? vcpu->db.guest_dr7 : vcpu->db.dr7;

	vcpu->db.active = dr7 & DR7_ENABLES;
	vitrine_backend->set_dr7(vcpu, dr7);
}

/*
 * "Debug Status Register (DR6)": B0 to B3 tell of this exception alone, the others add up; RTM is
 * active low.
 */
void vitrine_debug_deliver(struct vitrine_vcpu *vcpu, u64 dr6_bits)
{
	u64 dr6 = (vcpu->db.dr6 & ~DR6_BREAKPOINTS) | DR6_RTM | dr6_bits;

	vcpu->db.dr6 = dr6 ^ (dr6_bits & DR6_RTM);
	if (vcpu->db.dr7 & DR7_GD) {
		vcpu->db.dr7 &= ~DR7_GD;
		vitrine_dr7_update(vcpu);
	}
}

int vitrine_debug_exit(struct vitrine_vcpu *vcpu)
{
	struct kvm_debug_exit_arch *arch = &vcpu->run->debug.arch;
	struct kvm_segment cs;

	vitrine_backend->get_segment(vcpu, VITRINE_SEG_CS, &cs);
	memset(arch, 0, sizeof(*arch));
	arch->exception = X86_TRAP_DB;
	arch->pc = vitrine_rip_read(vcpu) + (cs.l ? 0 : cs.base);
	arch->dr6 = vcpu->db.exit_dr6 | DR6_ONES | DR6_RTM;
	arch->dr7 = vitrine_backend->get_dr7(vcpu);
	vcpu->run->exit_reason = KVM_EXIT_DEBUG;
	return EXIT_USER;
}

void vitrine_debug_reset(struct vitrine_vcpu *vcpu)
{
	memset(vcpu->db.dr, 0, sizeof(vcpu->db.dr));
	vcpu->db.dr6 = DR6_ONES | DR6_RTM;
	vcpu->db.dr7 = DR7_ONES;
	vitrine_dr7_update(vcpu);
}

/* DR4 and DR5 are other names of DR6 and DR7, unless CR4.DE makes them invalid. */
static int dr_number(struct vitrine_vcpu *vcpu, unsigned int dr)
{
	if (dr != 4 && dr != 5)
		return dr;
	return vitrine_backend->get_cr4(vcpu) & X86_CR4_DE ? -ENOENT : dr + 2;
}

int vitrine_dr_read(struct vitrine_vcpu *vcpu, unsigned int dr, u64 *value)
{
	int nr = dr_number(vcpu, dr);

	switch (nr) {
	case 0 ... 3:
		*value = vcpu->db.dr[array_index_nospec(nr, ARRAY_SIZE(vcpu->db.dr))];
		return 0;
	case 6:
		*value = vcpu->db.dr6;
		return 0;
	case 7:
		*value = vcpu->db.dr7;
		return 0;
	default:
		return -ENOENT;
	}
}

int vitrine_dr_write(struct vitrine_vcpu *vcpu, unsigned int dr, u64 value)
{
	int nr = dr_number(vcpu, dr);

	switch (nr) {
	case 0 ... 3:
		vcpu->db.dr[array_index_nospec(nr, ARRAY_SIZE(vcpu->db.dr))] = value;
		return 0;
	case 6:
		if (value >> 32)
			return -EINVAL;
		vcpu->db.dr6 = dr6_value(vcpu, value);
		return 0;
	case 7:
		if (value >> 32)
			return -EINVAL;
		vcpu->db.dr7 = (value & DR7_WRITABLE) | DR7_ONES;
		vitrine_dr7_update(vcpu);
		return 0;
	default:
		return -ENOENT;
	}
}

void vitrine_debugregs_get(struct vitrine_vcpu *vcpu, struct kvm_debugregs *regs)
{
	memset(regs, 0, sizeof(*regs));
	memcpy(regs->db, vcpu->db.dr, sizeof(regs->db));
	regs->dr6 = vcpu->db.dr6;
	regs->dr7 = vcpu->db.dr7;
}

int vitrine_debugregs_set(struct vitrine_vcpu *vcpu, const struct kvm_debugregs *regs)
{
	if (regs->flags) {
		pr_debug_ratelimited("KVM_SET_DEBUGREGS: field flags is %#llx, must be 0\n",
				     regs->flags);
		return -EINVAL;
	}
	if (regs->dr6 >> 32 || regs->dr7 >> 32) {
		pr_debug_ratelimited("KVM_SET_DEBUGREGS: field %s is %#llx, must be below 2^32\n",
				     regs->dr6 >> 32 ? "dr6" : "dr7",
				     regs->dr6 >> 32 ? regs->dr6 : regs->dr7);
		return -EINVAL;
	}
	memcpy(vcpu->db.dr, regs->db, sizeof(vcpu->db.dr));
	vcpu->db.dr6 = regs->dr6;
	vcpu->db.dr7 = regs->dr7;
	vitrine_dr7_update(vcpu);
	return 0;
}

static long debug_ioctl_get_regs(void *obj, struct vitrine_ioctl_arg *arg)
{
	vitrine_debugregs_get(obj, arg->data);
	return 0;
}

static long debug_ioctl_set_regs(void *obj, struct vitrine_ioctl_arg *arg)
{
	return vitrine_debugregs_set(obj, arg->data);
}

static long debug_ioctl_set_guest_debug(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;
	const struct kvm_guest_debug *dbg = arg->data;
	struct vitrine_debug_regs *db = &vcpu->db;

	if (dbg->control & ~VITRINE_GUEST_DEBUG_ALL) {
		pr_debug_ratelimited("KVM_SET_GUEST_DEBUG: field control is %#x, must be within %#lx\n",
				     dbg->control, (unsigned long)VITRINE_GUEST_DEBUG_ALL);
		return -EINVAL;
	}
	if (dbg->control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)) {
		if (vcpu->events.exception.pending || vcpu->events.exception.injected) {
			pr_debug_ratelimited("KVM_SET_GUEST_DEBUG: field control is %#x, must not inject while an exception is pending\n",
					     dbg->control);
			return -EBUSY;
		}
		vitrine_vcpu_queue_exception(vcpu, dbg->control & KVM_GUESTDBG_INJECT_DB ?
					     X86_TRAP_DB : X86_TRAP_BP, false, 0);
	}

	/* While it is known whose TF is in hardware. */
	vitrine_reg_write(vcpu, VITRINE_REG_RFLAGS, vitrine_rflags_read(vcpu));
	db->guest_debug = dbg->control & KVM_GUESTDBG_ENABLE ? dbg->control : 0;
	if (db->guest_debug & KVM_GUESTDBG_USE_HW_BP) {
		memcpy(db->guest_dr, dbg->arch.debugreg, sizeof(db->guest_dr));
		db->guest_dr7 = (dbg->arch.debugreg[7] & DR7_WRITABLE) | DR7_ONES;
	} else {
		memset(db->guest_dr, 0, sizeof(db->guest_dr));
		db->guest_dr7 = 0;
	}
	vitrine_dr7_update(vcpu);
	vitrine_backend->update_exceptions(vcpu);
	/* What was not told yet of a step is of no interest any more. */
	if (!(db->guest_debug & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP)))
		clear_bit(VITRINE_REQ_DEBUG_EXIT, &vcpu->requests);
	/* KVM_GUESTDBG_BLOCKIRQ may have come or gone. */
	if (vcpu->vm->tpr_shadow)
		vitrine_backend->update_apicv(vcpu);
	vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
	return 0;
}

const struct vitrine_ioctl vitrine_debug_ioctls[] = {
	{ KVM_GET_DEBUGREGS, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_NO_LOAD, debug_ioctl_get_regs },
	{ KVM_SET_DEBUGREGS, VITRINE_IOCTL_LOCK, debug_ioctl_set_regs },
	{ KVM_SET_GUEST_DEBUG, VITRINE_IOCTL_LOCK, debug_ioctl_set_guest_debug },
	{}
};
