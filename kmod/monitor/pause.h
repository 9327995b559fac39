/* SPDX-License-Identifier: GPL-2.0 */
/* Pausing a VM: each vCPU sleeps in its KVM_RUN before it would enter the guest again. */
#ifndef VITRINE_MONITOR_PAUSE_H
#define VITRINE_MONITOR_PAUSE_H

#include "../ioctl.h"

struct vitrine_monitors;
struct vitrine_vcpu;

/*
 * Who pauses the VM is another than before: under the lock of its monitors, while it is there. When
 * it returns no vCPU is in the guest, if it is paused now.
 */
void vitrine_pause_update(struct vitrine_monitors *all);
/*
 * VITRINE_REQ_PAUSE: waits while the VM is paused. Loaded; EXIT_RESUME or -EINTR. The request is
 * set again, with EXIT_RESUME, where VITRINE_REQ_CALL has to be served first.
 */
int vitrine_pause_wait(struct vitrine_vcpu *vcpu);

extern const struct vitrine_ioctl vitrine_pause_ioctls[];	/* of a monitor: PAUSE, UNPAUSE */
extern const struct vitrine_ioctl vitrine_pause_vm_ioctls[];	/* START_PAUSED */

#endif
