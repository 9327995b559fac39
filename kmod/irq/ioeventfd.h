/* SPDX-License-Identifier: GPL-2.0 */
/* KVM_IOEVENTFD: a guest's write to a port or an address signals an eventfd, and that is all. */
#ifndef VITRINE_IRQ_IOEVENTFD_H
#define VITRINE_IRQ_IOEVENTFD_H

#include "ioctl.h"

extern const struct vitrine_ioctl vitrine_ioeventfd_ioctls[];

#endif
