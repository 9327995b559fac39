/* SPDX-License-Identifier: GPL-2.0 */
/* The list of counters, once: struct members, names and ids are generated from it. */
#ifndef VITRINE_STATS_H
#define VITRINE_STATS_H

#include <linux/types.h>

#include "ioctl.h"

/* X(name) of one u64 in struct vitrine_vcpu_stats_counters; add a line to add a counter. */
#define VITRINE_VCPU_COUNTERS(X)	\
	X(runs)				\
	X(user_exits)			\
	X(signal_exits)			\
	X(halts)			\
	X(halt_ticks)			\
	X(irq_injected)			\
	X(nmi_injected)			\
	X(exceptions_injected)		\
	X(mem_faults)			\
	X(mem_fault_retries)		\
	X(insn_decoded)			\
	X(tlb_flushes)			\
	X(preemptions)			\
	X(hypercalls)			\
	X(halt_attempted_poll)		\
	X(halt_successful_poll)		\
	X(halt_poll_success_ns)		\
	X(halt_poll_fail_ns)		\
	X(dirty_ring_dropped)

#define VITRINE_NR_EXIT_REASONS	80

struct vitrine_vcpu_counters {
#define VITRINE_COUNTER_MEMBER(name)	u64 name;
	VITRINE_VCPU_COUNTERS(VITRINE_COUNTER_MEMBER)
#undef VITRINE_COUNTER_MEMBER
	u64 exit_count[VITRINE_NR_EXIT_REASONS];	/* by basic exit reason */
	u64 exit_ticks[VITRINE_NR_EXIT_REASONS]; /* from that exit to the next entry */
	u64 guest_ticks;				/* host TSC ticks inside the guest */
	u64 host_ticks; /* host TSC ticks in RUN but outside the guest */
};

/* X(name) of what is counted when one looks; add a line and what fills it in stats_fd.c. */
#define VITRINE_VM_GAUGES(X)	\
	X(vcpus)		\
	X(table_pages)		\
	X(pages_4k)		\
	X(pages_2m)		\
	X(pages_1g)		\
	X(nx_lpage_splits)

struct vitrine_vm_gauges {
#define VITRINE_GAUGE_MEMBER(name)	u64 name;
	VITRINE_VM_GAUGES(VITRINE_GAUGE_MEMBER)
#undef VITRINE_GAUGE_MEMBER
};

/* stats_fd.c: KVM_GET_STATS_FD */
extern const struct vitrine_ioctl vitrine_stats_fd_vcpu_ioctls[];
extern const struct vitrine_ioctl vitrine_stats_fd_vm_ioctls[];
extern const struct vitrine_ioctl vitrine_stats_vcpu_ioctls[];	/* VITRINE_GET_STATS */

#endif
