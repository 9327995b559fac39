// SPDX-License-Identifier: GPL-2.0
/*
 * The paravirtual interface as a whole: which features a guest may use, the state that belongs to
 * none of the other files, and the thread behind a vCPU.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <linux/pid.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/sched/stat.h>
#include <linux/sched/task.h>

#include "cpuid.h"
#include "pv.h"
#include "vcpu.h"
#include "vm.h"

void vitrine_pv_init(struct vitrine_vcpu *vcpu)
{
	spin_lock_init(&vcpu->pv.thread_lock);
	vcpu->pv.poll = true;
}

/* RESET: the guest's firmware knows nothing of pages that were shared before. */
void vitrine_pv_reset(struct vitrine_vcpu *vcpu)
{
	vcpu->pv.system_time = 0;
	vcpu->pv.steal_time = 0;
	vcpu->pv.told_preempted = false;
	vcpu->pv.poll = true;
	WRITE_ONCE(vcpu->pv.unhalted, false);
}

void vitrine_pv_free(struct vitrine_vcpu *vcpu)
{
	put_pid(vcpu->pv.thread);
}

bool vitrine_pv_has(const struct vitrine_vcpu *vcpu, unsigned int feature)
{
	return !vcpu->pv.enforce || vcpu->pv.features & BIT(feature);
}

void vitrine_pv_update_cpuid(struct vitrine_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *entry = NULL;

	if (vcpu->cpuid)
		entry = vitrine_cpuid_find_pv(vcpu->cpuid);
	vcpu->pv.features = entry ? entry->eax : 0;
}

void vitrine_pv_set_thread(struct vitrine_vcpu *vcpu)
{
	struct pid *old, *new = get_task_pid(current, PIDTYPE_PID);

	spin_lock(&vcpu->pv.thread_lock);
	old = vcpu->pv.thread;
	WRITE_ONCE(vcpu->pv.thread, new);
	spin_unlock(&vcpu->pv.thread_lock);
	put_pid(old);
}

/* A hint of the guest's that it waits for something that @target was about to do. */
void vitrine_pv_yield_to(struct vitrine_vcpu *vcpu, struct vitrine_vcpu *target)
{
	struct task_struct *task;
	struct pid *pid;

	if (target == vcpu || READ_ONCE(target->cpu) >= 0 || single_task_running())
		return;
	spin_lock(&target->pv.thread_lock);
	pid = get_pid(target->pv.thread);
	spin_unlock(&target->pv.thread_lock);
	task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);
	if (!task)
		return;
	yield_to(task, true);
	put_task_struct(task);
}

MSR_GET(vitrine_pv_get_poll_control)
{
	if (!vitrine_pv_has(vcpu, KVM_FEATURE_POLL_CONTROL))
		return -ENOENT;
	*data = vcpu->pv.poll;
	return 0;
}

MSR_SET(vitrine_pv_set_poll_control)
{
	if (!vitrine_pv_has(vcpu, KVM_FEATURE_POLL_CONTROL))
		return -ENOENT;
	if (data & ~1ULL)
		return -EINVAL;
	vcpu->pv.poll = data;
	return 0;
}

static long pv_ioctl_enable_cap(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_enable_cap *cap = arg->data;
	struct vitrine_vcpu *vcpu = obj;

	if (cap->flags) {
		pr_debug_ratelimited("KVM_ENABLE_CAP: flags is 0x%x, must be 0\n", cap->flags);
		return -EINVAL;
	}
	switch (cap->cap) {
	case KVM_CAP_ENFORCE_PV_FEATURE_CPUID:
		vcpu->pv.enforce = cap->args[0];
		return 0;
	default:
		pr_debug_ratelimited("KVM_ENABLE_CAP: cap %u cannot be enabled on a vCPU\n",
				     cap->cap);
		return -EINVAL;
	}
}

const struct vitrine_ioctl vitrine_pv_vcpu_ioctls[] = {
	{ KVM_ENABLE_CAP, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_NO_LOAD, pv_ioctl_enable_cap },
	{}
};
