// SPDX-License-Identifier: GPL-2.0
/*
 * A monitor's view of a vCPU's registers: VITRINE_READ_REGS and VITRINE_WRITE_REGS. What is written
 * goes the way of the VMM's own calls, and is taken back if the processor would not enter with it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kvm.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <asm/processor-flags.h>
#include <vitrine_access.h>

#include "../regs.h"
#include "../vm.h"
#include "access.h"
#include "attach.h"
#include "call.h"
#include "steer.h"

/* struct regs_call - @old: to go back to */
struct regs_call {
	struct vitrine_call call;
	struct vitrine_regs regs;
	struct vitrine_regs old;
};

static struct regs_call *to_regs_call(struct vitrine_call *call)
{
	return container_of(call, struct regs_call, call);
}

static void read_all(struct vitrine_vcpu *vcpu, struct vitrine_regs *regs)
{
	regs->parts = VITRINE_REGS_ALL;
	regs->vcpu_id = vcpu->id;
	regs->mp_state = vcpu->mp_state;
	vitrine_regs_get(vcpu, &regs->general);
	vitrine_sregs2_get(vcpu, &regs->system);
	vitrine_debugregs_get(vcpu, &regs->debug);
}

static long do_read(struct vitrine_vcpu *vcpu, struct vitrine_call *call)
{
	read_all(vcpu, &to_regs_call(call)->regs);
	return 0;
}

#define REFUSE(field, value, rule) ({							\
	pr_debug_ratelimited("VITRINE_WRITE_REGS: field %s is %#llx, must " rule "\n",	\
			     field, (u64)(value));					\
	-EINVAL;									\
})

/* Where the VMM has the APIC, it is the one to say what CR8 is, with each KVM_RUN. */
static void tell_cr8(struct vitrine_vcpu *vcpu, const struct kvm_sregs2 *system)
{
	if (!vcpu->lapic)
		WRITE_ONCE(vcpu->run->cr8, system->cr8);
}

static long write_system(struct vitrine_vcpu *vcpu, const struct kvm_sregs2 *system,
			 const struct kvm_sregs2 *old)
{
	bool pae = (system->cr0 & X86_CR0_PG) && (system->cr4 & X86_CR4_PAE) &&
		   !(system->efer & EFER_LMA);
	long ret;

	if (system->apic_base != old->apic_base)
		return REFUSE("system.apic_base", system->apic_base, "stay as it is");
	/* Without it they would be read from memory, for which nobody here may wait. */
	if (pae && !(system->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID))
		return REFUSE("system.flags", system->flags,
			      "say that there are pdptrs, as for PAE paging");
	ret = vitrine_sregs2_set(vcpu, system);
	if (!ret)
		tell_cr8(vcpu, system);
	return ret;
}

static long write_parts(struct vitrine_vcpu *vcpu, const struct vitrine_regs *to,
			const struct vitrine_regs *from)
{
	long ret = 0;

	if (to->parts & VITRINE_REGS_SYSTEM)
		ret = write_system(vcpu, &to->system, &from->system);
	if (!ret && to->parts & VITRINE_REGS_DEBUG)
		ret = vitrine_debugregs_set(vcpu, &to->debug);
	if (ret || !(to->parts & VITRINE_REGS_GENERAL))
		return ret;
	vitrine_regs_set(vcpu, &to->general);
	/* What STI and MOV SS hold back they hold back for the instruction behind them. */
	if (to->general.rip != from->general.rip || !(to->general.rflags & X86_EFLAGS_IF))
		vitrine_backend->set_interrupt_shadow(vcpu, 0);
	return 0;
}

/* Whatever the guest's own state was: without the checks, which it may not pass. */
static void take_back(struct vitrine_vcpu *vcpu, const struct vitrine_regs *old, u32 parts)
{
	if (parts & VITRINE_REGS_SYSTEM) {
		vitrine_sregs2_restore(vcpu, &old->system);
		tell_cr8(vcpu, &old->system);
	}
	if (parts & VITRINE_REGS_DEBUG)
		vitrine_debugregs_set(vcpu, &old->debug);
	if (parts & VITRINE_REGS_GENERAL)
		vitrine_regs_set(vcpu, &old->general);
}

static long do_write(struct vitrine_vcpu *vcpu, struct vitrine_call *call)
{
	struct regs_call *this = to_regs_call(call);
	struct vitrine_events events = vcpu->events;
	u32 shadow = vitrine_backend->interrupt_shadow(vcpu);
	const char *wrong;
	long ret;

	read_all(vcpu, &this->old);
	ret = write_parts(vcpu, &this->regs, &this->old);
	if (!ret) {
		wrong = vitrine_backend->invalid_state(vcpu);
		if (!wrong) {
			vitrine_steer_overwritten(vcpu);
			return 0;
		}
		pr_debug_ratelimited("VITRINE_WRITE_REGS: no entry is possible with %s\n", wrong);
		ret = -EINVAL;
	}
	take_back(vcpu, &this->old, this->regs.parts);
	vcpu->mp_state = this->old.mp_state;
	vitrine_backend->set_interrupt_shadow(vcpu, shadow);
	vcpu->events = events;
	return ret;
}

/* -EINVAL, or what the call returned; then @regs is what it left. */
static long call_regs(struct vitrine_monitor *monitor, struct vitrine_regs *regs,
		      long (*fn)(struct vitrine_vcpu *vcpu, struct vitrine_call *call))
{
	struct regs_call *this;
	struct vitrine_vcpu *vcpu;
	struct vitrine_vm *vm;
	long ret = -ENOENT;

	this = kzalloc(sizeof(*this), GFP_KERNEL_ACCOUNT);
	if (!this)
		return -ENOMEM;
	vitrine_call_init(&this->call, fn);
	this->regs = *regs;
	vm = vitrine_monitor_get_vm(monitor);
	if (!vm) {
		ret = -ESRCH;
		goto out;
	}
	vcpu = vitrine_monitor_vcpu(vm, regs->vcpu);
	if (vcpu)
		ret = vitrine_call(vcpu, &this->call);
	if (!ret)
		*regs = this->regs;
	vitrine_vm_put(vm);
out:
	vitrine_call_put(&this->call);
	return ret;
}

static long registers_ioctl_read(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_regs *regs = arg->data;

	if (regs->parts) {
		pr_debug_ratelimited("VITRINE_READ_REGS: field parts is %#x, must be 0\n",
				     regs->parts);
		return -EINVAL;
	}
	return call_regs(obj, regs, do_read);
}

static long registers_ioctl_write(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_regs *regs = arg->data;
	struct vitrine_monitor *monitor = obj;

	if (!monitor->controls)
		return -EPERM;
	if (!regs->parts || regs->parts & ~VITRINE_REGS_ALL)
		return REFUSE("parts", regs->parts, "name some of VITRINE_REGS_*");
	return call_regs(monitor, regs, do_write);
}

const struct vitrine_ioctl vitrine_registers_ioctls[] = {
	{ VITRINE_READ_REGS, 0, registers_ioctl_read },
	{ VITRINE_WRITE_REGS, 0, registers_ioctl_write },
	{}
};
