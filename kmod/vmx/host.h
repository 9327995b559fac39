/* SPDX-License-Identifier: GPL-2.0 */
/* What the host keeps in a CPU while guests use it. */
#ifndef VMX_HOST_H
#define VMX_HOST_H

#include <linux/percpu.h>
#include <linux/types.h>
#include <asm/desc_defs.h>

struct vmx_vcpu;

extern u64 vmx_host_xcr0;	/* XCR0 of the kernel; 0 where it does not use XSAVE */
extern bool vmx_perf_present; /* perf drives a PMU here: its MSRs are looked at before each entry */
DECLARE_PER_CPU(struct desc_ptr, vmx_host_idt);

int vmx_host_init(void);
/* 0, or -EIO: no entry may follow. */
int vmx_host_prepare(struct vmx_vcpu *vmx, u64 debugctl);
void vmx_host_restore(struct vmx_vcpu *vmx);
/* This CPU leaves VMX: nothing of a guest's may stay in it. Interrupts off. */
void vmx_host_forget_cpu(void);

/* cpu.c: VMCSs by CPU */
bool vmx_vmcs_make_current(struct vmx_vcpu *vmx, int cpu);
void vmx_vmcs_put(struct vmx_vcpu *vmx);

#endif
