// SPDX-License-Identifier: GPL-2.0
/*
 * Owns how a halted vCPU waits: it looks for an interrupt for a while, because what is on its way
 * is often quicker than a sleep and a wake-up, and then sleeps. How long it looks follows from what
 * lately came in time; a CPU that somebody else wants is given up at once.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/entry-kvm.h>
#include <linux/errno.h>
#include <linux/ktime.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>
#include <linux/rcuwait.h>
#include <linux/sched.h>
#include <linux/sched/stat.h>

#include "halt.h"
#include "run.h"
#include "vcpu.h"
#include "vm.h"

static unsigned int halt_poll_ns = 200000;
module_param(halt_poll_ns, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns, "longest that a halted vCPU polls before it sleeps, in ns; 0: never");

static unsigned int halt_poll_ns_grow = 2;
module_param(halt_poll_ns_grow, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_grow, "factor by which polling gets longer; 0: it does not");

static unsigned int halt_poll_ns_grow_start = 10000;
module_param(halt_poll_ns_grow_start, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_grow_start, "what polling begins with, in ns");

static unsigned int halt_poll_ns_shrink;
module_param(halt_poll_ns_shrink, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_shrink, "divisor by which polling gets shorter; 0: it ends");

static u32 max_poll_ns(const struct vitrine_vm *vm)
{
	return READ_ONCE(vm->halt_poll_is_set) ? READ_ONCE(vm->halt_poll_ns) :
						 READ_ONCE(halt_poll_ns);
}

static void grow(struct vitrine_vcpu *vcpu, u32 max_ns)
{
	unsigned int factor = READ_ONCE(halt_poll_ns_grow);
	u64 ns;

	if (!factor)
		return;
	ns = max_t(u64, (u64)vcpu->halt_poll_ns * factor, READ_ONCE(halt_poll_ns_grow_start));
	vcpu->halt_poll_ns = min_t(u64, ns, max_ns);
}

static void shrink(struct vitrine_vcpu *vcpu)
{
	unsigned int divisor = READ_ONCE(halt_poll_ns_shrink);
	u32 ns = divisor ? vcpu->halt_poll_ns / divisor : 0;

	vcpu->halt_poll_ns = ns < READ_ONCE(halt_poll_ns_grow_start) ? 0 : ns;
}

/* A halt too long for any polling makes it pointless; one that was just missed is worth more. */
static void adapt(struct vitrine_vcpu *vcpu, u64 halted_ns, u32 max_ns)
{
	if (!max_ns)
		vcpu->halt_poll_ns = 0;
	else if (halted_ns <= vcpu->halt_poll_ns)
		return;
	else if (halted_ns > max_ns)
		shrink(vcpu);
	else if (vcpu->halt_poll_ns < max_ns)
		grow(vcpu, max_ns);
}

static bool is_over(struct vitrine_vcpu *vcpu)
{
	return vitrine_vcpu_has_work(vcpu) || READ_ONCE(vcpu->vm->dead);
}

static bool poll(struct vitrine_vcpu *vcpu, u64 start_ns)
{
	struct vitrine_vcpu_counters *stats = &vcpu->stats;
	u64 now_ns;
	bool over;

	stats->halt_attempted_poll++;
	do {
		over = is_over(vcpu);
		if (over)
			break;
		cpu_relax();
		now_ns = ktime_get_ns();
	} while (now_ns - start_ns < vcpu->halt_poll_ns && !__xfer_to_guest_mode_work_pending() &&
		 single_task_running());

	now_ns = ktime_get_ns();
	if (over) {
		stats->halt_successful_poll++;
		stats->halt_poll_success_ns += now_ns - start_ns;
	} else {
		stats->halt_poll_fail_ns += now_ns - start_ns;
	}
	return over;
}

/* Loaded as it is: if the thread sleeps indeed, the scheduler takes the vCPU off the CPU. */
static int sleep(struct vitrine_vcpu *vcpu)
{
	return rcuwait_wait_event(&vcpu->wait, is_over(vcpu), TASK_INTERRUPTIBLE);
}

int vitrine_halt_wait(struct vitrine_vcpu *vcpu)
{
	/* Not while it waits to be started, nor for a guest that polls before it halts. */
	bool may_poll = vcpu->mp_state == KVM_MP_STATE_HALTED && vcpu->pv.poll;
	u64 start_ns = ktime_get_ns();
	u32 max_ns;
	int ret = 0;

	if (!may_poll)
		return sleep(vcpu);
	max_ns = max_poll_ns(vcpu->vm);
	vcpu->halt_poll_ns = min(vcpu->halt_poll_ns, max_ns);
	if (!vcpu->halt_poll_ns || !poll(vcpu, start_ns))
		ret = sleep(vcpu);
	adapt(vcpu, ktime_get_ns() - start_ns, max_ns);
	return ret;
}

long vitrine_halt_set_poll(struct vitrine_vm *vm, u64 max_ns)
{
	if (max_ns > U32_MAX) {
		pr_debug_ratelimited("KVM_ENABLE_CAP: KVM_CAP_HALT_POLL is 0x%llx, must fit in 32 bits\n",
				     max_ns);
		return -EINVAL;
	}
	WRITE_ONCE(vm->halt_poll_ns, max_ns);
	WRITE_ONCE(vm->halt_poll_is_set, true);
	return 0;
}
