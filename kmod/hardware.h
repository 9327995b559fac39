/* SPDX-License-Identifier: GPL-2.0 */
/* When this host's CPUs are in the vendor's root operation: from the first VM to the last. */
#ifndef VITRINE_HARDWARE_H
#define VITRINE_HARDWARE_H

#include <linux/types.h>

int vitrine_hardware_init(void);
void vitrine_hardware_exit(void);
/*
 * One reference a VM. 0, or the refusal: -EBUSY (somebody else holds the CPU), -EOPNOTSUPP, -EIO,
 * -ESHUTDOWN.
 */
int vitrine_hardware_get(void);
void vitrine_hardware_put(void);

#endif
