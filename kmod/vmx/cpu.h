/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Entering and leaving VMX root operation on the CPU that calls; interrupts off but for init and
 * exit.
 */
#ifndef VMX_CPU_H
#define VMX_CPU_H

#include <linux/types.h>

int vmx_cpu_init(void);
void vmx_cpu_exit(void);
int vmx_cpu_enable(void);
void vmx_cpu_disable(void);
/* Between the offline callback and the CPU's last breath, vCPU threads may still come by. */
void vmx_cpu_set_leaving(bool leaving);
/* The kernel's emergency callback: NMI context. */
void vmx_cpu_emergency(void);

#endif
