/* SPDX-License-Identifier: GPL-2.0 */
/* Machine-check banks of a guest, by ioctl; their MSRs are rows of the MSR table. */
#ifndef VITRINE_MCE_H
#define VITRINE_MCE_H

#include "ioctl.h"

extern const struct vitrine_ioctl vitrine_mce_dev_ioctls[];	/* X86_GET_MCE_CAP_SUPPORTED */
extern const struct vitrine_ioctl vitrine_mce_vcpu_ioctls[];	/* X86_SETUP_MCE, X86_SET_MCE */

#endif
