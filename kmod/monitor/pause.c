// SPDX-License-Identifier: GPL-2.0
/*
 * Owns whether a VM is paused: because a monitor wants it and lives, or because one wanted it for
 * longer than that. Nothing is held by a vCPU that sleeps here but its own mutex, and its VMM gets
 * it out of KVM_RUN whenever it likes.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kvm.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/rcuwait.h>
#include <linux/sched/signal.h>
#include <vitrine_access.h>

#include "../backend.h"
#include "../compat.h"
#include "../netlink.h"
#include "../vcpu.h"
#include "../vm.h"
#include "attach.h"
#include "pause.h"

static void wake_all(struct vitrine_vm *vm)
{
	struct vitrine_vcpu *vcpu;
	unsigned long index;

	vitrine_vm_for_each_vcpu(index, vcpu, vm)
		rcuwait_wake_up(&vcpu->wait);
}

void vitrine_pause_update(struct vitrine_monitors *all)
{
	struct vitrine_vm *vm = all->vm;
	struct vitrine_monitor *monitor;
	bool paused = all->stays_paused;

	lockdep_assert_held(&all->lock);
	list_for_each_entry(monitor, &all->list, node)
		paused = paused || monitor->pauses;
	if (paused == vm->paused)
		return;
	WRITE_ONCE(vm->paused, paused);
	if (paused)
		vitrine_vm_kick_all(vm, VITRINE_REQ_PAUSE);
	else
		wake_all(vm);
	vitrine_netlink_event(vm, NULL, paused ? VITRINE_NL_EVENT_PAUSED : VITRINE_NL_EVENT_RESUMED,
			      0);
}

static bool has_call(const struct vitrine_vcpu *vcpu)
{
	return READ_ONCE(vcpu->requests) & BIT(VITRINE_REQ_CALL);
}

static bool is_over(const struct vitrine_vcpu *vcpu)
{
	return !READ_ONCE(vcpu->vm->paused) || READ_ONCE(vcpu->vm->dead);
}

int vitrine_pause_wait(struct vitrine_vcpu *vcpu)
{
	int ret = 0;

	if (is_over(vcpu))
		return EXIT_RESUME;
	/* The second first: calls may come without end. */
	if (READ_ONCE(vcpu->run->vitrine_immediate_exit) || signal_pending(current))
		ret = -EINTR;
	else
		ret = rcuwait_wait_event(&vcpu->wait, is_over(vcpu) || has_call(vcpu),
					 TASK_INTERRUPTIBLE);
	/* Also where it is over: another pause may have come after that. */
	vitrine_vcpu_request(vcpu, VITRINE_REQ_PAUSE);
	if (!ret)
		return EXIT_RESUME;
	vcpu->run->exit_reason = KVM_EXIT_INTR;
	vcpu->stats.signal_exits++;
	return ret;
}

static long pause_ioctl_pause(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_monitor *monitor = obj;
	struct vitrine_monitors *all = monitor->all;
	u32 flags = *(u32 *)arg->data;
	long ret = -ESRCH;

	if (!monitor->controls)
		return -EPERM;
	if (flags & ~VITRINE_PAUSE_STAY) {
		pr_debug_ratelimited("VITRINE_PAUSE: flags is %#x, must be within %#x\n", flags,
				     VITRINE_PAUSE_STAY);
		return -EINVAL;
	}
	if (mutex_lock_killable(&all->lock))
		return -EINTR;
	if (all->vm) {
		if (flags & VITRINE_PAUSE_STAY)
			all->stays_paused = true;
		else
			monitor->pauses = true;
		vitrine_pause_update(all);
		ret = 0;
	}
	mutex_unlock(&all->lock);
	return ret;
}

/* How many others still have it paused. */
static long pause_ioctl_resume(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_monitor *monitor = obj, *other;
	struct vitrine_monitors *all = monitor->all;
	long ret = -ESRCH;

	if (!monitor->controls)
		return -EPERM;
	if (mutex_lock_killable(&all->lock))
		return -EINTR;
	if (all->vm) {
		all->stays_paused = false;
		monitor->pauses = false;
		vitrine_pause_update(all);
		ret = 0;
		list_for_each_entry(other, &all->list, node)
			ret += other->pauses;
	}
	mutex_unlock(&all->lock);
	return ret;
}

/* Before the first instruction, so that a monitor can be there. */
static long pause_vm_ioctl_start_paused(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm = obj;
	struct vitrine_monitors *all = vm->monitors;
	long ret = -EPERM;

	if (mutex_lock_killable(&all->lock))
		return -EINTR;
	/* Nobody could ever resume a VM that forbids to be attached to. */
	if (all->vm) {
		all->stays_paused = true;
		vitrine_pause_update(all);
		ret = 0;
	}
	mutex_unlock(&all->lock);
	return ret;
}

const struct vitrine_ioctl vitrine_pause_ioctls[] = {
	{ VITRINE_PAUSE, 0, pause_ioctl_pause },
	{ VITRINE_UNPAUSE, 0, pause_ioctl_resume },
	{}
};

const struct vitrine_ioctl vitrine_pause_vm_ioctls[] = {
	{ VITRINE_START_PAUSED, 0, pause_vm_ioctl_start_paused },
	{}
};
