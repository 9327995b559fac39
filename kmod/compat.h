/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only place that knows kernels differ. It turns the answers of
 * scripts/compat-probe.sh into one spelling for the rest of the module; it
 * must not ask for a kernel version, and holds nothing that every supported
 * kernel spells alike.
 */
#ifndef VITRINE_COMPAT_H
#define VITRINE_COMPAT_H

#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/security.h>
#include <linux/shrinker.h>
#include <linux/hrtimer.h>
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
#error "this kernel cannot leave VMX before a crash (cpu_emergency_register_virt_callback)"
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

/*
 * Flags of get_user_pages() for a page that a guest will use, where they exist: wait no longer than
 * to the next signal, and take NUMA balancing's hints as a process does.
 */
#ifdef HAVE_FOLL_INTERRUPTIBLE
#define VITRINE_FOLL_INTERRUPTIBLE	FOLL_INTERRUPTIBLE
#else
#define VITRINE_FOLL_INTERRUPTIBLE	0
#endif
#ifdef HAVE_FOLL_HONOR_NUMA_FAULT
#define VITRINE_FOLL_GUEST	(VITRINE_FOLL_INTERRUPTIBLE | FOLL_HONOR_NUMA_FAULT)
#else
#define VITRINE_FOLL_GUEST	VITRINE_FOLL_INTERRUPTIBLE
#endif

/* One page of another address space, whose mmap_lock is held: 1, or less if there is none. */
static inline long vitrine_pin_page_remote(struct mm_struct *mm, unsigned long address,
					   unsigned int flags, struct page **page, int *locked)
{
#ifdef HAVE_GUP_REMOTE_VMAS
	return pin_user_pages_remote(mm, address, 1, flags, page, NULL, locked);
#else
	return pin_user_pages_remote(mm, address, 1, flags, page, locked);
#endif
}

/*
 * The frame that the host maps at @address of a VM_IO or VM_PFNMAP area, and
 * whether it may be written. mmap_lock is held; 0 or -errno.
 */
static inline int vitrine_follow_pfn(struct vm_area_struct *vma, unsigned long address, u64 *pfn,
				     bool *writable)
{
	int ret;
#ifdef HAVE_FOLLOW_PFNMAP_START
	struct follow_pfnmap_args args = { .vma = vma, .address = address };

	ret = follow_pfnmap_start(&args);
	if (ret)
		return ret;
	*pfn = args.pfn;
	*writable = args.writable;
	follow_pfnmap_end(&args);
#else
	spinlock_t *lock;	/* the page table's, held until unmapped */
	pte_t *pte;

	ret = follow_pte(vma->vm_mm, address, &pte, &lock);
	if (ret)
		return ret;
	/* follow_pte() has taken it, but does not tell sparse. */
	__acquire(lock);
	*pfn = pte_pfn(*pte);
	*writable = pte_write(*pte);
	pte_unmap_unlock(pte, lock);
#endif
	return 0;
}

/* VITRINE_SHRINKER(name, count, scan): defines name for the two functions. */
#ifdef HAVE_SHRINKER_ALLOC
struct vitrine_shrinker {
	struct shrinker *shrinker;
	unsigned long (*count)(struct shrinker *shrinker, struct shrink_control *control);
	unsigned long (*scan)(struct shrinker *shrinker, struct shrink_control *control);
};

#define VITRINE_SHRINKER(name, count_fn, scan_fn)			\
	static struct vitrine_shrinker name = { .count = count_fn, .scan = scan_fn }

static inline int vitrine_shrinker_register(struct vitrine_shrinker *shrinker, const char *name)
{
	shrinker->shrinker = shrinker_alloc(0, "%s", name);
	if (!shrinker->shrinker)
		return -ENOMEM;
	shrinker->shrinker->count_objects = shrinker->count;
	shrinker->shrinker->scan_objects = shrinker->scan;
	shrinker_register(shrinker->shrinker);
	return 0;
}

static inline void vitrine_shrinker_unregister(struct vitrine_shrinker *shrinker)
{
	shrinker_free(shrinker->shrinker);
}
#else
#define VITRINE_SHRINKER(name, count_fn, scan_fn)			\
	static struct shrinker name = {					\
		.count_objects = count_fn,				\
		.scan_objects = scan_fn,				\
		.seeks = DEFAULT_SEEKS,					\
	}

static inline int vitrine_shrinker_register(struct shrinker *shrinker, const char *name)
{
	return register_shrinker(shrinker, "%s", name);
}

static inline void vitrine_shrinker_unregister(struct shrinker *shrinker)
{
	unregister_shrinker(shrinker);
}
#endif

/*
 * Before guests that reach devices: CPU buffers are cleared where the kernel's own exits do not
 * need it.
 */
#ifdef HAVE_CPU_BUF_VM_CLEAR
#define vitrine_cpu_buf_vm_clear	cpu_buf_vm_clear
#else
#define vitrine_cpu_buf_vm_clear	mmio_stale_data_clear
#endif

/* What VITRINE_CLEAR_BRANCH_HISTORY of compat_asm.h goes by. */
#ifdef HAVE_CLEAR_BRANCH_HISTORY_VMEXIT
#define VITRINE_FEATURE_BHB_LOOP	X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT
#else
#define VITRINE_FEATURE_BHB_LOOP	X86_FEATURE_CLEAR_BHB_LOOP
#endif

/* VMSCAPE: does this kernel know it, does it want to be told, and may we tell? */
#ifdef HAVE_BUG_VMSCAPE
#define vitrine_has_bug_vmscape()	boot_cpu_has_bug(X86_BUG_VMSCAPE)
#define vitrine_has_ibpb_to_user()	boot_cpu_has(X86_FEATURE_IBPB_EXIT_TO_USER)
#else
#define vitrine_has_bug_vmscape()	false
#define vitrine_has_ibpb_to_user()	false
#endif

#if defined(HAVE_BUG_VMSCAPE) && defined(HAVE_X86_IBPB_EXIT_TO_USER)
#define VITRINE_CAN_TELL_VMSCAPE	true
#define vitrine_guest_ran_here() do {						\
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))			\
		this_cpu_write(x86_ibpb_exit_to_user, true);			\
} while (0)
#else
#define VITRINE_CAN_TELL_VMSCAPE	false
#define vitrine_guest_ran_here()	do { } while (0)
#endif

#ifdef HAVE_HRTIMER_SETUP
#define vitrine_hrtimer_setup	hrtimer_setup
#else
static inline void vitrine_hrtimer_setup(struct hrtimer *timer,
					 enum hrtimer_restart (*function)(struct hrtimer *),
					 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}
#endif

/* A guest is as good as userspace to RCU: this CPU holds no reference. */
#ifdef HAVE_RCU_VIRT_NOTE_CPU
#define vitrine_rcu_note_guest()	rcu_virt_note_context_switch(raw_smp_processor_id())
#else
#define vitrine_rcu_note_guest()	rcu_virt_note_context_switch()
#endif

/*
 * Whether a hypercall came from 64-bit mode: a word, later the first of the flags that this word
 * became.
 */
#ifdef HAVE_HYPERCALL_LONG_MODE_FLAG
#define vitrine_longmode	flags
#else
#define vitrine_longmode	longmode
#endif

/* The member of struct kvm_run, under the name that warns of reading it twice. */
#ifdef HAVE_IMMEDIATE_EXIT_UNSAFE
#define vitrine_immediate_exit	immediate_exit__unsafe
#else
#define vitrine_immediate_exit	immediate_exit
#endif

/* The attributes of the request that a dump answers. */
#ifdef HAVE_GENL_INFO_DUMP
#define vitrine_genl_dump_attrs(cb)	(genl_info_dump(cb)->attrs)
#else
#define vitrine_genl_dump_attrs(cb)	(genl_dumpit_info(cb)->attrs)
#endif

/*
 * What the kernel's security modules take the caller for, all zero without one: a number, later a
 * number or a pointer for each. Those of the same domain are equal.
 */
#if defined(HAVE_SECURITY_CURRENT_GETLSMPROP)
struct vitrine_label {
	struct lsm_prop of;
};

#define vitrine_current_getlabel	security_current_getlsmprop_subj
#elif defined(HAVE_SECURITY_CURRENT_GETSECID)
struct vitrine_label {
	u32 of;
};

#define vitrine_current_getlabel	security_current_getsecid_subj
#else
#error "this kernel does not say what its security modules take a task for"
#endif

static inline void vitrine_label_get(struct vitrine_label *label)
{
	memset(label, 0, sizeof(*label));
	vitrine_current_getlabel(&label->of);
}

/* Adds one to an eventfd's counter. */
#ifdef HAVE_EVENTFD_SIGNAL_COUNT
#define vitrine_eventfd_signal(ctx)	eventfd_signal(ctx, 1)
#else
#define vitrine_eventfd_signal(ctx)	eventfd_signal(ctx)
#endif

/*
 * For buffers on a hot path that are filled before they are read: not zeroed by
 * CONFIG_INIT_STACK_ALL_ZERO.
 */
#if __has_attribute(uninitialized)
#define vitrine_uninitialized	__attribute__((uninitialized))
#else
#define vitrine_uninitialized
#endif

#endif /* VITRINE_COMPAT_H */
