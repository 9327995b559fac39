/* SPDX-License-Identifier: GPL-2.0 */
/* Waiting in HLT. */
#ifndef VITRINE_HALT_H
#define VITRINE_HALT_H

#include <linux/kvm.h>

struct vitrine_vcpu;
struct vitrine_vm;

/*
 * Until vitrine_vcpu_has_work(), or a signal: 0 or -EINTR. Loaded, before and after; the FPU and
 * the CPU are the host's while it sleeps.
 */
int vitrine_halt_wait(struct vitrine_vcpu *vcpu);
/* KVM_CAP_HALT_POLL: the longest that vCPUs of this VM may poll, instead of the module's. */
long vitrine_halt_set_poll(struct vitrine_vm *vm, u64 max_ns);

#endif
