/* SPDX-License-Identifier: GPL-2.0 */
/* compat.h for assembly: how this kernel spells its mitigations, and where NMIs go. */
#ifndef VITRINE_COMPAT_ASM_H
#define VITRINE_COMPAT_ASM_H

#include "compat_probe.h"

#if defined(HAVE_ASM_EXC_NMI_KVM_VMX)
#define VITRINE_NMI_ENTRY	asm_exc_nmi_kvm_vmx
#else
#define VITRINE_NMI_ENTRY	asm_exc_nmi_noist
#endif

/* VERW against MDS, TAA and RFDS where the kernel does it for its own exits too. */
#define VITRINE_CLEAR_CPU_BUFFERS	CLEAR_CPU_BUFFERS

#if defined(HAVE_CLEAR_BRANCH_HISTORY_VMEXIT)
#define VITRINE_CLEAR_BRANCH_HISTORY	CLEAR_BRANCH_HISTORY_VMEXIT
#else
#define VITRINE_CLEAR_BRANCH_HISTORY	CLEAR_BRANCH_HISTORY
#endif

#endif
