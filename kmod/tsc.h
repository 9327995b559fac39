/* SPDX-License-Identifier: GPL-2.0 */
/* The guest's time-stamp counter: frequency, offset, and how the vCPUs of a VM agree on it. */
#ifndef VITRINE_TSC_H
#define VITRINE_TSC_H

#include <linux/types.h>

#include "ioctl.h"

struct vitrine_vcpu;

#define VITRINE_TSC_RATIO_BITS	48	/* fraction bits of vcpu->tsc_multiplier */

/**
 * struct vitrine_tsc_sync - the last write of a TSC by the VMM that began a new time
 * @khz: virtual frequency of the vCPU that was written; 0 before the first
 * @offset: what the vCPUs that agree with it have as their offset
 */
struct vitrine_tsc_sync {
	u64 khz;
	u64 offset;
};

/*
 * Set by the vendor in hardware_setup: the guest's TSC can run at another frequency than the
 * host's.
 */
extern bool vitrine_tsc_scaling_supported;

/* A new vCPU: the VM's frequency, and a counter in step with the other vCPUs'. Loaded. */
void vitrine_tsc_init_vcpu(struct vitrine_vcpu *vcpu);
/* IA32_TSC and IA32_TSC_ADJUST, by the guest or the VMM (@host). Loaded. */
void vitrine_tsc_write(struct vitrine_vcpu *vcpu, u64 value, bool host);
void vitrine_tsc_write_adjust(struct vitrine_vcpu *vcpu, u64 value, bool host);

/*
 * The host's TSC, @before, is @after now that it slept: every guest's goes on from where it was.
 * The only CPU, interrupts off.
 */
void vitrine_tsc_fell_back(u64 before, u64 after);

extern const struct vitrine_ioctl vitrine_tsc_vm_ioctls[];	/* GET/SET_TSC_KHZ of the VM */
/* GET/SET_TSC_KHZ of a vCPU, its device attributes */
extern const struct vitrine_ioctl vitrine_tsc_vcpu_ioctls[];

#endif
