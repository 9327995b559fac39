/* SPDX-License-Identifier: GPL-2.0 */
/* Who may have VMX: kvm_intel and this module take turns. */
#ifndef VMX_OWNER_H
#define VMX_OWNER_H

#include <linux/types.h>

int vmx_owner_init(void);
void vmx_owner_exit(void);
/*
 * Before the first VM: -EBUSY with the way out in the log while kvm_intel is there. Keeps it out
 * until released.
 */
int vmx_owner_claim(void);
void vmx_owner_release(void);
/* VITRINE_VMX_* of struct vitrine_caps. */
u32 vmx_owner_report(void);

#endif
