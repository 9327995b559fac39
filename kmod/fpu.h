/* SPDX-License-Identifier: GPL-2.0 */
/* FPU and extended state of a vCPU, on top of the kernel's guest fpstate. */
#ifndef VITRINE_FPU_H
#define VITRINE_FPU_H

#include <linux/types.h>

#include "ioctl.h"

struct vitrine_vcpu;

int vitrine_fpu_create(struct vitrine_vcpu *vcpu);
void vitrine_fpu_free(struct vitrine_vcpu *vcpu);
void vitrine_fpu_reset(struct vitrine_vcpu *vcpu, bool init);
/* Around RUN: swap the task's FPU registers for the guest's and back. */
void vitrine_fpu_load(struct vitrine_vcpu *vcpu);
void vitrine_fpu_put(struct vitrine_vcpu *vcpu);
/*
 * XCR0 bits that may be offered to a guest on this host: never PKRU, AMX or anything that needs
 * XSS.
 */
u64 vitrine_fpu_supported_xcr0(void);
/* KVM_CAP_XSAVE2: bytes of KVM_GET_XSAVE2 and KVM_SET_XSAVE. */
unsigned int vitrine_fpu_image_bytes(void);
/* XSETBV by the guest or KVM_SET_XCRS: 0, or -EINVAL (#GP for a guest). */
int vitrine_fpu_set_xcr(struct vitrine_vcpu *vcpu, u32 index, u64 xcr0);

extern const struct vitrine_ioctl vitrine_fpu_ioctls[];	/* GET/SET_FPU, XSAVE, XSAVE2, XCRS */

#endif
