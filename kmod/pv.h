/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KVM's paravirtual interface: what a guest that knows it finds in CPUID, and its MSRs, hypercalls
 * and pages in guest memory. Tags as in vm.h.
 */
#ifndef VITRINE_PV_H
#define VITRINE_PV_H

#include <linux/bits.h>
#include <linux/kvm_para.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "ioctl.h"
#include "msr_table.h"

struct pid;
struct vitrine_vcpu;

/* Leaf KVM_CPUID_FEATURES: what works here. */
#define VITRINE_PV_FEATURES							\
	(BIT(KVM_FEATURE_CLOCKSOURCE) | BIT(KVM_FEATURE_NOP_IO_DELAY) |		\
	 BIT(KVM_FEATURE_CLOCKSOURCE2) | BIT(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT) | \
	 BIT(KVM_FEATURE_STEAL_TIME) | BIT(KVM_FEATURE_PV_EOI) |		\
	 BIT(KVM_FEATURE_PV_UNHALT) |						\
	 BIT(KVM_FEATURE_PV_TLB_FLUSH) | BIT(KVM_FEATURE_PV_SEND_IPI) |		\
	 BIT(KVM_FEATURE_POLL_CONTROL) | BIT(KVM_FEATURE_PV_SCHED_YIELD))

/* struct vitrine_pv - embedded in struct vitrine_vcpu */
struct vitrine_pv {
	u32 features;		/* [v] leaf KVM_CPUID_FEATURES of the vCPU's CPUID */
	bool enforce;		/* [v] KVM_CAP_ENFORCE_PV_FEATURE_CPUID */
	bool poll;		/* [v] MSR_KVM_POLL_CONTROL: the host may poll at HLT */
	bool unhalted;		/* [a] KVM_HC_KICK_CPU: ends HLT, this one or the next */
	bool guest_stopped;	/* [v] KVM_KVMCLOCK_CTRL: to be told with the next page */

	u64 system_time;	/* [v] MSR_KVM_SYSTEM_TIME */
	unsigned long clock_jiffies;	/* [v] when its page was written last, */
	unsigned int clock_generation;	/* [v] and by which clock of the host's */

	u64 steal_time;		/* [v] MSR_KVM_STEAL_TIME */
	u64 eoi;		/* [v] MSR_KVM_PV_EOI_EN */
	u64 run_delay_ns;	/* [v] of @waited_for, as far as it is in the guest's page */
	const void *waited_for;	/* [v] the thread, to compare with only */
	bool at_boundary;	/* [c] no instruction is under way: see steal.c */
	bool told_preempted;	/* [c] KVM_VCPU_PREEMPTED is set in its page */

	spinlock_t thread_lock;	/* innermost */
	struct pid *thread;	/* under @thread_lock: who runs the vCPU, for KVM_HC_SCHED_YIELD */
};

/* pv.c */
void vitrine_pv_init(struct vitrine_vcpu *vcpu);
void vitrine_pv_reset(struct vitrine_vcpu *vcpu);
void vitrine_pv_free(struct vitrine_vcpu *vcpu);
/* After KVM_SET_CPUID2. */
void vitrine_pv_update_cpuid(struct vitrine_vcpu *vcpu);
/* May the guest use KVM_FEATURE_*? */
bool vitrine_pv_has(const struct vitrine_vcpu *vcpu, unsigned int feature);
/* Another thread than last time runs the vCPU. */
void vitrine_pv_set_thread(struct vitrine_vcpu *vcpu);
void vitrine_pv_yield_to(struct vitrine_vcpu *vcpu, struct vitrine_vcpu *target);
MSR_GET(vitrine_pv_get_poll_control);
MSR_SET(vitrine_pv_set_poll_control);
extern const struct vitrine_ioctl vitrine_pv_vcpu_ioctls[];	/* KVM_ENABLE_CAP */

/* kvmclock.c */
/* Serves VITRINE_REQ_CLOCK. */
void vitrine_kvmclock_write_page(struct vitrine_vcpu *vcpu);
/* On a CPU again; preemption off. */
void vitrine_kvmclock_loaded(struct vitrine_vcpu *vcpu);
long vitrine_kvmclock_pair(struct vitrine_vcpu *vcpu, u64 gpa, u64 type);
MSR_GET(vitrine_kvmclock_get_system_time);
MSR_SET(vitrine_kvmclock_set_system_time);
MSR_GET(vitrine_kvmclock_get_wall_clock);
MSR_SET(vitrine_kvmclock_set_wall_clock);
extern const struct vitrine_ioctl vitrine_kvmclock_vcpu_ioctls[];	/* KVM_KVMCLOCK_CTRL */

/* steal.c */
/* Serves VITRINE_REQ_STEAL. */
void vitrine_steal_write_page(struct vitrine_vcpu *vcpu);
/* On a CPU again, and off it although there is work; preemption off. */
void vitrine_steal_loaded(struct vitrine_vcpu *vcpu);
void vitrine_steal_preempted(struct vitrine_vcpu *vcpu);
MSR_GET(vitrine_steal_get_msr);
MSR_SET(vitrine_steal_set_msr);

/* irq/pv_eoi.c */
MSR_GET(vitrine_pv_eoi_get_msr);
MSR_SET(vitrine_pv_eoi_set_msr);

/* hypercall.c */
/**
 * struct hypercall - a call by KVM's convention, its arguments cut to 32 bits outside 64-bit mode
 * @nr: KVM_HC_*
 * @arg: RBX, RCX, RDX, RSI
 * @long_mode: made in 64-bit mode
 */
struct hypercall {
	u64 nr;
	u64 arg[4];
	bool long_mode;
};

/* By the guest's kernel. The answer for RAX: 0, or -KVM_E*. Loaded, without vm->srcu. */
long vitrine_hypercall(struct vitrine_vcpu *vcpu, const struct hypercall *call);

#endif
