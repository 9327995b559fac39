// SPDX-License-Identifier: GPL-2.0
/*
 * Owns how a monitor gets something done with a vCPU loaded. The vCPU's mutex is held for as long
 * as KVM_RUN lasts, so a vCPU that runs is asked by a request; and KVM_RUN's end tells nobody, so
 * that it costs nothing: who waits looks at times whether the mutex has become free.
 */
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>

#include "../vcpu.h"
#include "../vm.h"
#include "attach.h"
#include "call.h"
#include "steer.h"

#define MAX_WAIT_MS	50
#define MAX_AT_ONCE	16	/* before signals are looked at */

void vitrine_call_init(struct vitrine_call *call,
		       long (*fn)(struct vitrine_vcpu *vcpu, struct vitrine_call *call))
{
	refcount_set(&call->users, 1);
	call->fn = fn;
	call->release = NULL;
	INIT_LIST_HEAD(&call->node);
	init_waitqueue_head(&call->wait);
}

void vitrine_call_put(struct vitrine_call *call)
{
	if (!refcount_dec_and_test(&call->users))
		return;
	if (call->release)
		call->release(call);
	kfree(call);
}

/* Under vcpu->mutex, loaded. */
static void serve(struct vitrine_vcpu *vcpu, struct vitrine_call *call)
{
	struct srcu_struct *srcu = &vcpu->vm->srcu;
	int idx = srcu_read_lock(srcu);

	/* The VMM may have cut its monitors off meanwhile. */
	if (!vitrine_monitors_may_reach(vcpu->vm))
		call->ret = -ESRCH;
	else
		call->ret = READ_ONCE(vcpu->vm->dead) ? -EIO : call->fn(vcpu, call);
	srcu_read_unlock(srcu, idx);
	/* Pairs with the caller's look, which takes @ret and all that the function wrote. */
	smp_store_release(&call->done, true);
}

void vitrine_calls_serve(struct vitrine_vcpu *vcpu)
{
	unsigned int left = MAX_AT_ONCE;
	struct vitrine_call *call;

	for (;;) {
		/* Who calls without end does not keep the thread from all else. */
		if (!left--) {
			vitrine_vcpu_request(vcpu, VITRINE_REQ_CALL);
			cond_resched();
			return;
		}
		spin_lock(&vcpu->calls.lock);
		call = list_first_entry_or_null(&vcpu->calls.list, struct vitrine_call, node);
		if (call)
			list_del_init(&call->node);
		spin_unlock(&vcpu->calls.lock);
		if (!call)
			return;
		serve(vcpu, call);
		wake_up(&call->wait);
		vitrine_call_put(call);
	}
}

static void post(struct vitrine_vcpu *vcpu, struct vitrine_call *call)
{
	refcount_inc(&call->users);
	spin_lock(&vcpu->calls.lock);
	list_add_tail(&call->node, &vcpu->calls.list);
	spin_unlock(&vcpu->calls.lock);
	vitrine_vcpu_request_and_kick(vcpu, VITRINE_REQ_CALL);
	vitrine_steer_wake(vcpu);
}

/* False if somebody has taken it, and is at it or done. */
static bool take_back(struct vitrine_vcpu *vcpu, struct vitrine_call *call)
{
	bool mine;

	spin_lock(&vcpu->calls.lock);
	mine = !list_empty(&call->node);
	list_del_init(&call->node);
	spin_unlock(&vcpu->calls.lock);
	if (mine)
		vitrine_call_put(call);
	return mine;
}

/* Here and now, if nobody has the vCPU: who had it has done all of it, or nothing. */
static bool serve_here(struct vitrine_vcpu *vcpu, struct vitrine_call *call)
{
	if (!mutex_trylock(&vcpu->mutex))
		return false;
	if (!call->done) {
		take_back(vcpu, call);
		vitrine_vcpu_load(vcpu);
		serve(vcpu, call);
		vitrine_vcpu_put(vcpu);
	}
	mutex_unlock(&vcpu->mutex);
	return true;
}

static bool is_done(const struct vitrine_call *call)
{
	/* Pairs with serve(). */
	return smp_load_acquire(&call->done);
}

long vitrine_call(struct vitrine_vcpu *vcpu, struct vitrine_call *call)
{
	long left, wait = 1;

	call->done = false;
	if (serve_here(vcpu, call))
		return call->ret;
	post(vcpu, call);
	for (;;) {
		left = wait_event_interruptible_timeout(call->wait, is_done(call), wait);
		if (left > 0 || serve_here(vcpu, call))
			return call->ret;
		/* A thread that is on its way to userspace, or waits for memory of the VMM's. */
		wait = min_t(long, 2 * wait, msecs_to_jiffies(MAX_WAIT_MS));
		if (left < 0) {
			take_back(vcpu, call);
			return -EINTR;
		}
		if (READ_ONCE(vcpu->vm->dead)) {
			take_back(vcpu, call);
			return -EIO;
		}
	}
}
