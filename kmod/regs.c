// SPDX-License-Identifier: GPL-2.0
/*
 * The general registers by KVM_GET_REGS and KVM_SET_REGS, and what KVM_RUN takes from and leaves in
 * the run page. It only moves values: what a register means is known elsewhere.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <asm/processor-flags.h>

#include "compat.h"
#include "ioctl.h"
#include "regs.h"
#include "user_words.h"

#define SYNC_REGS_ALL	(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)
#define HARDWARE_REGS	(BIT(VITRINE_REG_RSP) | BIT(VITRINE_REG_RIP) | BIT(VITRINE_REG_RFLAGS))

void vitrine_regs_get(struct vitrine_vcpu *vcpu, struct kvm_regs *regs)
{
	const u64 *from = vcpu->regs;

	regs->rax = from[VITRINE_REG_RAX];
	regs->rbx = from[VITRINE_REG_RBX];
	regs->rcx = from[VITRINE_REG_RCX];
	regs->rdx = from[VITRINE_REG_RDX];
	regs->rsi = from[VITRINE_REG_RSI];
	regs->rdi = from[VITRINE_REG_RDI];
	regs->rsp = vitrine_reg_read(vcpu, VITRINE_REG_RSP);
	regs->rbp = from[VITRINE_REG_RBP];
	regs->r8 = from[VITRINE_REG_R8];
	regs->r9 = from[VITRINE_REG_R9];
	regs->r10 = from[VITRINE_REG_R10];
	regs->r11 = from[VITRINE_REG_R11];
	regs->r12 = from[VITRINE_REG_R12];
	regs->r13 = from[VITRINE_REG_R13];
	regs->r14 = from[VITRINE_REG_R14];
	regs->r15 = from[VITRINE_REG_R15];
	regs->rip = vitrine_rip_read(vcpu);
	regs->rflags = vitrine_rflags_read(vcpu);
}

void vitrine_regs_set(struct vitrine_vcpu *vcpu, const struct kvm_regs *regs)
{
	u64 *to = vcpu->regs;

	to[VITRINE_REG_RAX] = regs->rax;
	to[VITRINE_REG_RBX] = regs->rbx;
	to[VITRINE_REG_RCX] = regs->rcx;
	to[VITRINE_REG_RDX] = regs->rdx;
	to[VITRINE_REG_RSI] = regs->rsi;
	to[VITRINE_REG_RDI] = regs->rdi;
	to[VITRINE_REG_RSP] = regs->rsp;
	to[VITRINE_REG_RBP] = regs->rbp;
	to[VITRINE_REG_R8] = regs->r8;
	to[VITRINE_REG_R9] = regs->r9;
	to[VITRINE_REG_R10] = regs->r10;
	to[VITRINE_REG_R11] = regs->r11;
	to[VITRINE_REG_R12] = regs->r12;
	to[VITRINE_REG_R13] = regs->r13;
	to[VITRINE_REG_R14] = regs->r14;
	to[VITRINE_REG_R15] = regs->r15;
	to[VITRINE_REG_RIP] = regs->rip;
	to[VITRINE_REG_RFLAGS] = regs->rflags | X86_EFLAGS_FIXED;
	vcpu->regs_avail |= HARDWARE_REGS;
	vcpu->regs_dirty |= HARDWARE_REGS;

	/*
	 * An exception not yet part of an entry belonged to the instruction that the vCPU has now
	 * left.
	 */
	vcpu->events.exception.pending = false;
	vcpu->events.exception.has_payload = false;
	vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
}

void vitrine_regs_sync_out(struct vitrine_vcpu *vcpu)
{
	struct kvm_sync_regs *out = &vcpu->run->s.regs;
	u64 valid = READ_ONCE(vcpu->run->kvm_valid_regs);

	if (valid & KVM_SYNC_X86_REGS)
		vitrine_regs_get(vcpu, &out->regs);
	if (valid & KVM_SYNC_X86_SREGS) {
		/* Not straight into the shared page: bits of sregs are set one by one. */
		struct kvm_sregs sregs vitrine_uninitialized;

		vitrine_sregs_get(vcpu, &sregs);
		out->sregs = sregs;
	}
	if (valid & KVM_SYNC_X86_EVENTS) {
		struct kvm_vcpu_events events vitrine_uninitialized;

		vitrine_vcpu_events_get(vcpu, &events);
		out->events = events;
	}
}

/*
 * Everything is copied before it is looked at: the VMM's other threads can write the page
 * meanwhile.
 */
int vitrine_regs_sync_in(struct vitrine_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 valid = READ_ONCE(run->kvm_valid_regs);
	u64 dirty = READ_ONCE(run->kvm_dirty_regs);

	if (likely(!(valid | dirty)))
		return 0;
	if ((valid | dirty) & ~(u64)SYNC_REGS_ALL) {
		pr_debug_ratelimited("KVM_RUN: field %s is %#llx, must be within %#lx\n",
				     valid & ~(u64)SYNC_REGS_ALL ? "kvm_valid_regs" :
								   "kvm_dirty_regs",
				     valid & ~(u64)SYNC_REGS_ALL ? valid : dirty, SYNC_REGS_ALL);
		return -EINVAL;
	}

	if (dirty & KVM_SYNC_X86_REGS) {
		struct kvm_regs regs vitrine_uninitialized;

		memcpy(&regs, &run->s.regs.regs, sizeof(regs));
		barrier();
		vitrine_regs_set(vcpu, &regs);
		run->kvm_dirty_regs = dirty &= ~(u64)KVM_SYNC_X86_REGS;
	}
	if (dirty & KVM_SYNC_X86_SREGS) {
		struct kvm_sregs sregs vitrine_uninitialized;

		memcpy(&sregs, &run->s.regs.sregs, sizeof(sregs));
		barrier();
		if (vitrine_sregs_set(vcpu, &sregs))
			return -EINVAL;
		run->kvm_dirty_regs = dirty &= ~(u64)KVM_SYNC_X86_SREGS;
	}
	if (dirty & KVM_SYNC_X86_EVENTS) {
		struct kvm_vcpu_events events vitrine_uninitialized;

		memcpy(&events, &run->s.regs.events, sizeof(events));
		barrier();
		if (vitrine_vcpu_events_set(vcpu, &events))
			return -EINVAL;
		run->kvm_dirty_regs = dirty & ~(u64)KVM_SYNC_X86_EVENTS;
	}
	return 0;
}

/*
 * Both rows do without loading the vCPU: writes go to the cache and reach hardware with the next
 * entry, reads load it only where the cache lacks something. The read goes word by word from the
 * cache to userspace, as debuggers and fuzzers do it after each exit.
 */
static int put_regs(const struct vitrine_vcpu *vcpu, struct kvm_regs __user *user)
{
	const u64 *from = vcpu->regs;

	if (!user_write_access_begin(user, sizeof(*user)))
		return -EFAULT;
	unsafe_put_user(from[VITRINE_REG_RAX], &user->rax, fault);
	unsafe_put_user(from[VITRINE_REG_RBX], &user->rbx, fault);
	unsafe_put_user(from[VITRINE_REG_RCX], &user->rcx, fault);
	unsafe_put_user(from[VITRINE_REG_RDX], &user->rdx, fault);
	unsafe_put_user(from[VITRINE_REG_RSI], &user->rsi, fault);
	unsafe_put_user(from[VITRINE_REG_RDI], &user->rdi, fault);
	unsafe_put_user(from[VITRINE_REG_RSP], &user->rsp, fault);
	unsafe_put_user(from[VITRINE_REG_RBP], &user->rbp, fault);
	unsafe_put_user(from[VITRINE_REG_R8], &user->r8, fault);
	unsafe_put_user(from[VITRINE_REG_R9], &user->r9, fault);
	unsafe_put_user(from[VITRINE_REG_R10], &user->r10, fault);
	unsafe_put_user(from[VITRINE_REG_R11], &user->r11, fault);
	unsafe_put_user(from[VITRINE_REG_R12], &user->r12, fault);
	unsafe_put_user(from[VITRINE_REG_R13], &user->r13, fault);
	unsafe_put_user(from[VITRINE_REG_R14], &user->r14, fault);
	unsafe_put_user(from[VITRINE_REG_R15], &user->r15, fault);
	unsafe_put_user(from[VITRINE_REG_RIP], &user->rip, fault);
	unsafe_put_user(from[VITRINE_REG_RFLAGS], &user->rflags, fault);
	user_write_access_end();
	return 0;
fault:
	user_write_access_end();
	return -EFAULT;
}

static long regs_ioctl_get(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;

	if (unlikely((vcpu->regs_avail & HARDWARE_REGS) != HARDWARE_REGS)) {
		vitrine_vcpu_load(vcpu);
		vitrine_reg_read(vcpu, VITRINE_REG_RSP);
		vitrine_reg_read(vcpu, VITRINE_REG_RIP);
		vitrine_reg_read(vcpu, VITRINE_REG_RFLAGS);
		vitrine_vcpu_put(vcpu);
	}
	return put_regs(vcpu, arg->user);
}

static long regs_ioctl_set(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct kvm_regs regs vitrine_uninitialized;

	if (vitrine_get_words(&regs, arg->user, sizeof(regs) / sizeof(u64)))
		return -EFAULT;
	vitrine_regs_set(obj, &regs);
	return 0;
}

#define DIRECT	(VITRINE_IOCTL_LOCK | VITRINE_IOCTL_NO_LOAD | VITRINE_IOCTL_RAW)

const struct vitrine_ioctl vitrine_regs_ioctls[] = {
	{ KVM_GET_REGS, DIRECT, regs_ioctl_get },
	{ KVM_SET_REGS, DIRECT, regs_ioctl_set },
	{}
};
