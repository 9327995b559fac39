/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Telling the kernel that this CPU runs a guest: time accounting, RCU, lockdep. The same steps that
 * the kernel takes for its own hypervisor, with one difference: where context tracking is off,
 * RCU's quiescent state is reported once a tick and not at each entry, which is as often as a grace
 * period can make use of it.
 */
#ifndef VITRINE_CONTEXT_H
#define VITRINE_CONTEXT_H

#include <linux/context_tracking.h>
#include <linux/entry-common.h>
#include <linux/ftrace.h>
#include <linux/instrumentation.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/vtime.h>

#include "compat.h"

/* Around the time that counts as the guest's; interrupts off. */
static __always_inline void vitrine_guest_time_enter(void)
{
	vtime_account_guest_enter();
}

static __always_inline void vitrine_guest_time_exit(void)
{
	if (vtime_accounting_enabled_this_cpu())
		vtime_guest_exit(current);
}

/*
 * Where time is counted in ticks: the tick that ended the guest's stay comes in when interrupts go
 * on, at least one instruction after that, and must still find the flag.
 */
static __always_inline void vitrine_guest_time_tick_taken(void)
{
	current->flags &= ~PF_VCPU;
}

/* Right before and after the entry; nothing in between may be traced or use RCU. */
static __always_inline void vitrine_guest_context_enter(unsigned long *rcu_noted_jiffies)
{
	instrumentation_begin();
	trace_hardirqs_on_prepare();
	lockdep_hardirqs_on_prepare();
	instrumentation_end();
	if (!context_tracking_guest_enter()) {
		instrumentation_begin();
		if (unlikely(time_after(jiffies, *rcu_noted_jiffies))) {
			*rcu_noted_jiffies = jiffies;
			vitrine_rcu_note_guest();
		}
		instrumentation_end();
	}
	lockdep_hardirqs_on(CALLER_ADDR0);
}

static __always_inline void vitrine_guest_context_exit(void)
{
	lockdep_hardirqs_off(CALLER_ADDR0);
	context_tracking_guest_exit();
	instrumentation_begin();
	trace_hardirqs_off_finish();
	instrumentation_end();
}

#endif
