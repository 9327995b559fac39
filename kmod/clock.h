/* SPDX-License-Identifier: GPL-2.0 */
/* The VM's clock, in nanoseconds: what kvmclock shows to guests, and KVM_GET/SET_CLOCK to VMMs. */
#ifndef VITRINE_CLOCK_H
#define VITRINE_CLOCK_H

#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include "ioctl.h"

struct vitrine_vcpu;
struct vitrine_vm;

/* KVM_CAP_ADJUST_CLOCK */
#define VITRINE_CLOCK_FLAGS	(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

/**
 * struct vitrine_clock - embedded in struct vitrine_vm; members are under @lock
 * @master: the host's own clock is its TSC, and the guest's TSCs agree: every vCPU computes from
 *	the same moment, so that what one of them reads is never behind what another one has read
 * @master_tsc: that moment in host TSC,
 * @master_ns: and in ns of the host's raw clock since its boot, sleep included
 * @offset_ns: of the VM's clock to that clock
 * @old_msr: the first vCPU uses the MSR of guests from before there was PVCLOCK_TSC_STABLE_BIT
 * @wall_clock: MSR_KVM_WALL_CLOCK, as last written
 * @host_generation: of the host's clock, when @master was decided
 */
struct vitrine_clock {
	struct mutex lock;	/* a leaf */
	bool master;
	u64 master_tsc;
	u64 master_ns;
	s64 offset_ns;
	bool old_msr;
	u64 wall_clock;
	unsigned int host_generation;
};

/* struct vitrine_clock_base - from which moment on a vCPU counts, by host TSC */
struct vitrine_clock_base {
	u64 tsc;
	u64 clock_ns;		/* the VM's clock then */
	bool stable;		/* PVCLOCK_TSC_STABLE_BIT */
};

/* Grows when the host's clock becomes another one, or was asleep. */
unsigned int vitrine_clock_host_generation(void);
void vitrine_clock_init(struct vitrine_vm *vm);
void vitrine_clock_base(struct vitrine_vm *vm, struct vitrine_clock_base *base);
u64 vitrine_clock_now_ns(struct vitrine_vm *vm);
/* Wall-clock time of a host TSC; false where the host's clock is another one. */
bool vitrine_clock_realtime(u64 *tsc, u64 *real_ns);
/* @khz as pvclock has it: ns = (ticks << shift) * mul >> 32, or a shift to the right. */
void vitrine_clock_scale(u64 khz, u32 *mul, s8 *shift);
/* @vcpu was added; the others are looked at only if its TSC is not theirs. May sleep. */
void vitrine_clock_add_vcpu(struct vitrine_vcpu *vcpu);
/*
 * What the clock goes by may be different now: a TSC was written, or (@always) the
 * host's clock is not what it was. Every vCPU's page is written anew before it runs on. May sleep.
 */
void vitrine_clock_update(struct vitrine_vm *vm, bool always);
void vitrine_clock_use_old_msr(struct vitrine_vm *vm, bool old);
/*
 * The host's clock is another one, or its TSC fell back: every VM's clock begins anew, soon. From
 * the host's tick, or where none can come.
 */
void vitrine_clock_host_changed(void);
int vitrine_clock_module_init(void);
void vitrine_clock_module_exit(void);

extern const struct vitrine_ioctl vitrine_clock_vm_ioctls[];	/* KVM_GET_CLOCK, KVM_SET_CLOCK */

#endif
