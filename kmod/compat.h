/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only place that knows kernels differ. It turns the answers of
 * scripts/compat-probe.sh into one spelling for the rest of the module; it
 * must not ask for a kernel version, and holds nothing that every supported
 * kernel spells alike.
 */
#ifndef VITRINE_COMPAT_H
#define VITRINE_COMPAT_H

#include <linux/syscore_ops.h>
#include <asm/idtentry.h>

#include "compat_probe.h"

/*
 * CR4.VMXE may only be changed behind the kernel's back-up copy of CR4, and
 * cr4_set_bits() needs both of these.
 */
#if !defined(HAVE_CR4_UPDATE_IRQSOFF) || !defined(HAVE_CR4_READ_SHADOW)
#error "this kernel keeps cr4_update_irqsoff() to KVM: 6.18 is the last that we can be built for"
#endif

/* The kernel's NMI entry that may be called on the task's own stack. */
#if defined(HAVE_ASM_EXC_NMI_KVM_VMX)
#define vitrine_nmi_entry asm_exc_nmi_kvm_vmx
#elif defined(HAVE_ASM_EXC_NMI_NOIST)
#define vitrine_nmi_entry asm_exc_nmi_noist
#else
#error "this kernel exports no NMI entry for hypervisors (was it built without KVM_INTEL?)"
#endif

#ifndef HAVE_CPU_EMERGENCY_REGISTER_VIRT_CALLBACK
#error "this kernel cannot be told to leave VMX before a crash (cpu_emergency_register_virt_callback)"
#endif

/*
 * VITRINE_SYSCORE(name, suspend, resume, shutdown): defines name, to be handed
 * to vitrine_syscore_register(), from int (void), void (void), void (void).
 */
#ifdef HAVE_REGISTER_SYSCORE
#define VITRINE_SYSCORE(name, suspend_fn, resume_fn, shutdown_fn)	\
	static int name##_suspend(void *data) { return suspend_fn(); }	\
	static void name##_resume(void *data) { resume_fn(); }		\
	static void name##_shutdown(void *data) { shutdown_fn(); }	\
	static const struct syscore_ops name##_ops = {			\
		.suspend = name##_suspend,				\
		.resume = name##_resume,				\
		.shutdown = name##_shutdown,				\
	};								\
	static struct syscore name = { .ops = &name##_ops }
#define vitrine_syscore_register	register_syscore
#define vitrine_syscore_unregister	unregister_syscore
#else
#define VITRINE_SYSCORE(name, suspend_fn, resume_fn, shutdown_fn)	\
	static struct syscore_ops name = {				\
		.suspend = suspend_fn,					\
		.resume = resume_fn,					\
		.shutdown = shutdown_fn,				\
	}
#define vitrine_syscore_register	register_syscore_ops
#define vitrine_syscore_unregister	unregister_syscore_ops
#endif

#endif /* VITRINE_COMPAT_H */
