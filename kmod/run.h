/* SPDX-License-Identifier: GPL-2.0 */
/* KVM_RUN: from the VMM's call to its return. */
#ifndef VITRINE_RUN_H
#define VITRINE_RUN_H

#include <linux/types.h>

struct vitrine_ioctl_arg;
struct vitrine_vcpu;

long vitrine_vcpu_ioctl_run(void *obj, struct vitrine_ioctl_arg *arg);
/* Would a halted vCPU go on? Any context. */
bool vitrine_vcpu_has_work(struct vitrine_vcpu *vcpu);

#endif
