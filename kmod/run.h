/* SPDX-License-Identifier: GPL-2.0 */
/* KVM_RUN: from the VMM's call to its return. */
#ifndef VITRINE_RUN_H
#define VITRINE_RUN_H

#include <linux/types.h>

struct vitrine_vcpu;

/* vcpu->mutex is held. 0 with run->exit_reason set, -EINTR, or another errno that ends RUN. */
long vitrine_vcpu_run(struct vitrine_vcpu *vcpu, unsigned long arg);
/* Would a halted vCPU go on? Any context. */
bool vitrine_vcpu_has_work(struct vitrine_vcpu *vcpu);

#endif
